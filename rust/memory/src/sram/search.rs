//! Which order to place the buffers in: a few good ones, then steps from the best of them.

use super::buffer::{Buffer, Space, live};
use super::error::AllocationError;
use super::packing::{Fit, Packing};
use std::cmp::Reverse;

/// Asked now and then whether to go on.
pub(super) type Watch<'a> = dyn FnMut() -> bool + 'a;

/// The best packing found, with its order; or none, where every order left a buffer over.
pub(super) type Found = Option<(Packing, Vec<usize>, Fit)>;

/// Beyond so many buffers one pass takes long, and only the two orders that win most often are tried.
const MANY: usize = 4096;

/// Few PMUs first, then a low high-water mark.
fn quality(packing: &Packing) -> (usize, u64) {
    (packing.tops.len(), packing.high_water())
}

/// Packs in each of the orders, first fit and best fit; stops when `good` bytes are reached, as none can be better.
pub(super) fn orders(
    buffers: &[Buffer],
    space: &Space,
    good: u64,
    watch: &mut Watch<'_>,
) -> Result<Found, AllocationError> {
    let mut best: Found = None;
    let good = (good.div_ceil(space.capacity_bytes) as usize, good);
    for order in candidates(buffers) {
        for fit in [Fit::First, Fit::Best] {
            if !watch() {
                return Err(AllocationError::Interrupted);
            }
            let (packing, left_over) = Packing::of(buffers, space, &order, fit);
            if left_over.is_none() && best.as_ref().is_none_or(|(best, ..)| quality(&packing) < quality(best)) {
                let done = quality(&packing) <= good;
                best = Some((packing, order.clone(), fit));
                if done {
                    return Ok(best);
                }
            }
        }
    }
    Ok(best)
}

/// Orders that do well, each for another kind of input. Ties fall to the earlier buffer.
fn candidates(buffers: &[Buffer]) -> Vec<Vec<usize>> {
    let life = |buffer: &Buffer| u128::from(buffer.last_use - buffer.first_use) + 1;
    let pressure = pressure(buffers);
    let mut found = vec![
        sorted(buffers, |_, b| (Reverse(u128::from(b.bytes)), Reverse(life(b)))),
        sorted(buffers, |_, b| (Reverse(u128::from(b.bytes) * life(b)), Reverse(0))),
    ];
    if buffers.len() <= MANY {
        found.push(sorted(buffers, |_, b| (Reverse(life(b)), Reverse(u128::from(b.bytes)))));
        found.push(sorted(buffers, |at, b| (Reverse(u128::from(pressure[at])), Reverse(u128::from(b.bytes)))));
        found.push(sorted(buffers, |at, b| (Reverse(u128::from(pressure[at])), Reverse(life(b)))));
        found.push(sorted(buffers, |_, b| (Reverse(u128::from(u64::MAX - b.first_use)), Reverse(u128::from(b.bytes)))));
        found.push(sorted(buffers, |_, b| (Reverse(u128::from(b.last_use)), Reverse(u128::from(b.bytes)))));
    }
    found
}

fn sorted<K: Ord>(buffers: &[Buffer], key: impl Fn(usize, &Buffer) -> K) -> Vec<usize> {
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_cached_key(|&at| key(at, &buffers[at]));
    order
}

/// The most bytes alive at any step of each buffer's life.
fn pressure(buffers: &[Buffer]) -> Vec<u64> {
    let steps = live(buffers);
    let most = |buffer: &Buffer| {
        let from = steps.partition_point(|(step, _)| *step < buffer.first_use);
        let to = steps.partition_point(|(step, _)| *step <= buffer.last_use);
        steps[from..to].iter().map(|(_, bytes)| *bytes).max().unwrap_or(0)
    };
    buffers.iter().map(most).collect()
}

/// Steps from an order towards a lower top, in one PMU: a buffer at the top is placed earlier, and what is no worse is
/// kept. Ends at `good` bytes or after `steps`; the same steps each time.
pub(super) fn climb(
    buffers: &[Buffer],
    space: &Space,
    start: (Packing, Vec<usize>, Fit),
    good: u64,
    steps: u64,
    watch: &mut Watch<'_>,
) -> Result<(Packing, Vec<usize>, Fit), AllocationError> {
    let (mut best, mut order, fit) = start;
    let mut current = best.clone();
    // xorshift64 (Marsaglia 2003) from a fixed seed.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for _ in 0..steps {
        if best.high_water() <= good {
            break;
        }
        if !watch() {
            return Err(AllocationError::Interrupted);
        }
        let top = current.high_water();
        let at_top: Vec<usize> =
            current.pieces.iter().filter(|p| p.offset_bytes + p.bytes == top).map(|p| p.buffer).collect();
        let moved = at_top[random(at_top.len())];
        let from = order.iter().position(|&at| at == moved).unwrap_or(0);
        let mut next = order.clone();
        if from == 0 || random(4) == 0 {
            let (a, b) = (random(order.len()), random(order.len()));
            next.swap(a, b);
        } else {
            next.remove(from);
            next.insert(random(from), moved);
        }
        let (packing, left_over) = Packing::of(buffers, space, &next, fit);
        if left_over.is_none() && packing.high_water() <= top {
            (current, order) = (packing, next);
            if current.high_water() < best.high_water() {
                best = current.clone();
            }
        }
    }
    Ok((best, order, fit))
}
