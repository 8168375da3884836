//! Which order to place the buffers in: a few good ones, then a search for a placement below a given height.

use super::buffer::{Buffer, Space, live};
use super::canonical::{self, Outcome};
use super::error::AllocationError;
use super::packing::{Fit, Packing};
use std::cmp::Reverse;

/// Asked now and then whether to go on.
pub(super) type Watch<'a> = dyn FnMut() -> bool + 'a;

/// Nodes of the first, quickest round of a search.
const FIRST_NODES: u64 = 1000;
/// Heights that are tried between the lower bound and the first packing.
const HALVINGS: u32 = 6;

/// Beyond so many buffers one pass takes long, and only the two orders that win most often are tried.
const MANY: usize = 4096;

/// Few PMUs first, then a low high-water mark.
fn quality(packing: &Packing) -> (usize, u64) {
    (packing.tops.len(), packing.high_water())
}

/// The best packing of a list of orders, first fit and best fit, or none where each left a buffer over; stops when `good`
/// bytes are reached, as none can be better.
pub(super) fn orders(
    buffers: &[Buffer],
    space: &Space,
    good: u64,
    watch: &mut Watch<'_>,
) -> Result<Option<Packing>, AllocationError> {
    let mut best: Option<Packing> = None;
    let good = (good.div_ceil(space.capacity_bytes) as usize, good);
    for order in candidates(buffers) {
        for fit in [Fit::First, Fit::Best] {
            let (packing, left_over) = Packing::of(buffers, space, &order, fit, watch)?;
            if left_over.is_none() && best.as_ref().is_none_or(|best| quality(&packing) < quality(best)) {
                let done = quality(&packing) <= good;
                best = Some(packing);
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

fn life(buffer: &Buffer) -> u128 {
    u128::from(buffer.last_use - buffer.first_use) + 1
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

/// Presses the buffers of one PMU below `height`: offsets, or none if that cannot be or was not found in time.
///
/// Three orders in turn, with twice the nodes each round: on some inputs one of them answers at once and another never.
pub(super) fn press(
    buffers: &[Buffer],
    height: u64,
    most_nodes: u64,
    watch: &mut Watch<'_>,
) -> Result<Option<Vec<u64>>, AllocationError> {
    if buffers.len() > canonical::MOST {
        return Ok(None);
    }
    let pressure = pressure(buffers);
    let key = |at: usize, b: &Buffer| (Reverse(pressure[at]), Reverse(life(b)), Reverse(u128::from(b.bytes) * life(b)));
    let keys = [
        sorted(buffers, key),
        sorted(buffers, |at, b| (key(at, b).1, key(at, b).2, key(at, b).0)),
        sorted(buffers, |at, b| (key(at, b).0, key(at, b).2, key(at, b).1)),
    ];
    let mut round = FIRST_NODES;
    while round <= most_nodes {
        for order in &keys {
            match canonical::search(buffers, height, order, round, watch) {
                Outcome::Fits(offsets) => return Ok(Some(offsets)),
                Outcome::Never => return Ok(None),
                Outcome::Interrupted => return Err(AllocationError::Interrupted),
                Outcome::Unknown => {}
            }
        }
        round *= 2;
    }
    Ok(None)
}

/// Lowers the high-water mark of a packing of one PMU towards `least`: the bound itself first, then by halves.
pub(super) fn lower(
    buffers: &[Buffer],
    packing: Packing,
    least: u64,
    most_nodes: u64,
    watch: &mut Watch<'_>,
) -> Result<Packing, AllocationError> {
    let unit = canonical::unit(buffers);
    let (mut best, mut no, mut next) = (packing, least, least.next_multiple_of(unit));
    for _ in 0..HALVINGS {
        if best.high_water() <= next {
            break;
        }
        match press(buffers, next, most_nodes, watch)? {
            Some(offsets) => best = Packing::at(buffers, &offsets),
            None => no = next,
        }
        next = (no + best.high_water().saturating_sub(no) / 2).next_multiple_of(unit);
        if next <= no {
            break;
        }
    }
    Ok(best)
}
