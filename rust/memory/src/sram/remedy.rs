//! What did not fit, who held the space, and what would fit: every advice is tried before it is given.

use super::allocate::{attempt, lower_nodes};
use super::buffer::{Buffer, Space, live_bytes};
use super::error::{AllocationError, Full, Remedies};
use super::packing::{Fit, Packing};
use super::search::{Watch, lower, orders};

/// Sizes are looked for in steps of a vector.
const STEP_BYTES: u64 = 64;
/// Holders whose shortening is tried, the largest first.
const TRIED: usize = 8;

/// The error for buffers that do not fit.
pub(super) fn full(
    buffers: &[Buffer],
    space: &Space,
    watch: &mut Watch<'_>,
) -> Result<AllocationError, AllocationError> {
    // In the order of the schedule, as they would come at run time: the first that finds no place is the one to name.
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|&at| buffers[at].first_use);
    let (mut packing, mut left_over) = Packing::of(buffers, space, &order, Fit::Best, watch)?;
    if left_over.is_none() {
        // That order would have done, and then there is no error; the largest-first order is as good a witness.
        order.sort_by_key(|&at| std::cmp::Reverse(buffers[at].bytes));
        (packing, left_over) = Packing::of(buffers, space, &order, Fit::Best, watch)?;
    }
    let at = left_over.unwrap_or(0);
    let buffer = &buffers[at];
    let holding = |step: u64| {
        let alive = move |piece: &&super::Piece| {
            let other = &buffers[piece.buffer];
            other.first_use <= step && step <= other.last_use
        };
        packing.pieces.iter().filter(alive)
    };
    // What is held changes only where a life begins.
    let starts = packing.pieces.iter().map(|piece| buffers[piece.buffer].first_use).chain([buffer.first_use]);
    let (held, step) = starts
        .filter(|step| (buffer.first_use..=buffer.last_use).contains(step))
        .map(|step| (holding(step).map(|piece| piece.bytes).sum::<u64>(), step))
        .fold((0, buffer.first_use), |most, next| if (next.0, most.1) > (most.0, next.1) { next } else { most });
    let mut bytes = vec![0; buffers.len()];
    for piece in holding(step) {
        bytes[piece.buffer] += piece.bytes;
    }
    let mut holders: Vec<usize> = (0..buffers.len()).filter(|&other| bytes[other] > 0).collect();
    holders.sort_by_key(|&other| std::cmp::Reverse(bytes[other]));
    let (live, live_step) = live_bytes(buffers);
    let total = u128::from(space.capacity_bytes) * u128::from(space.pmus);
    let mut remedies = remedies(buffers, space, at, &holders, watch)?;
    if let Some(bytes) = remedies.capacity_bytes.filter(|_| space.pmus == 1) {
        remedies.capacity_bytes = Some(pressed(buffers, space, bytes, live, watch)?);
    }
    Ok(AllocationError::Full(Box::new(Full {
        buffer: buffer.name.clone(),
        needed_bytes: buffer.bytes,
        first_use: buffer.first_use,
        last_use: buffer.last_use,
        step,
        free_bytes: u64::try_from(total.saturating_sub(u128::from(held))).unwrap_or(u64::MAX),
        gap_bytes: packing.largest_gap(buffer, space),
        holders: holders.iter().map(|&other| (buffers[other].name.clone(), bytes[other])).collect(),
        capacity_bytes: space.capacity_bytes,
        pmus: space.pmus,
        live_bytes: live,
        live_step,
        remedies,
    })))
}

/// The capacity that a search gets by with, if that is less than what a list of orders needs.
fn pressed(
    buffers: &[Buffer],
    space: &Space,
    capacity_bytes: u64,
    live: u64,
    watch: &mut Watch<'_>,
) -> Result<u64, AllocationError> {
    let Some(packing) = orders(buffers, &Space { capacity_bytes, ..*space }, live, watch)? else {
        return Ok(capacity_bytes);
    };
    let least = live.max(space.capacity_bytes + 1);
    let tight = lower(buffers, packing, least, lower_nodes(buffers), watch)?.high_water().next_multiple_of(STEP_BYTES);
    let tried =
        tight < capacity_bytes && attempt(buffers, &Space { capacity_bytes: tight, ..*space }, live, watch)?.is_some();
    Ok(if tried { tight } else { capacity_bytes })
}

fn remedies(
    buffers: &[Buffer],
    space: &Space,
    at: usize,
    holders: &[usize],
    watch: &mut Watch<'_>,
) -> Result<Remedies, AllocationError> {
    let mut fits = |buffers: &[Buffer], space: &Space| -> Result<bool, AllocationError> {
        Ok(orders(buffers, space, u64::MAX, watch)?.is_some())
    };
    let mut found = Remedies::default();
    // All in a row in one PMU surely fits, and its size is the most that can be needed; alignment may add its own.
    let all: u64 = buffers.iter().map(|b| b.bytes.next_multiple_of(b.alignment_bytes)).sum();
    let most = all.div_ceil(STEP_BYTES);
    let least = space.capacity_bytes / STEP_BYTES;
    let sized = |steps: u64| Space { capacity_bytes: steps * STEP_BYTES, ..*space };
    if most > least && fits(buffers, &sized(most))? {
        let steps = bisect(least, most, |steps| fits(buffers, &sized(steps)))?;
        found.capacity_bytes = Some(steps * STEP_BYTES);
    }
    let more = |pmus: u64| Space { pmus, ..*space };
    let plenty = space.pmus.max(buffers.len() as u64) + all.div_ceil(space.capacity_bytes);
    if fits(buffers, &more(plenty))? {
        found.pmus = Some(bisect(space.pmus, plenty, |pmus| fits(buffers, &more(pmus)))?);
    }
    found.split = space.split_bytes.is_none()
        && space.pmus > 1
        && fits(buffers, &Space { split_bytes: Some(STEP_BYTES.min(1 << space.capacity_bytes.ilog2())), ..*space })?;
    let mut changed = buffers.to_vec();
    let units = buffers[at].bytes / STEP_BYTES;
    let mut smaller = |units: u64| {
        changed[at].bytes = units * STEP_BYTES;
        fits(&changed, space)
    };
    // Sizes from large to small, as `bisect` looks for the first that fits.
    if units > 1 && smaller(1)? {
        let cut = bisect(0, units - 1, |cut| smaller(units - cut))?;
        found.shrink_bytes = Some((units - cut) * STEP_BYTES);
    }
    for &holder in holders.iter().take(TRIED) {
        let (now, begins) = (&buffers[holder], buffers[at].first_use);
        if now.first_use < begins {
            let mut changed = buffers.to_vec();
            changed[holder].last_use = begins - 1;
            if fits(&changed, space)? {
                found.shorten = Some((now.name.clone(), begins - 1));
                break;
            }
        }
    }
    Ok(found)
}

/// The first value that fits, above one that does not and up to one that does.
fn bisect(
    mut no: u64,
    mut yes: u64,
    mut fits: impl FnMut(u64) -> Result<bool, AllocationError>,
) -> Result<u64, AllocationError> {
    while yes - no > 1 {
        let middle = no + (yes - no) / 2;
        if fits(middle)? { yes = middle } else { no = middle }
    }
    Ok(yes)
}
