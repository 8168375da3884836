//! The smallest capacities that pass a test, by the streams whose slots a failing cycle waits for.
//!
//! A cycle that is too slow stays too slow until one of the streams whose slots it waits for grows; so from a vector
//! that fails, every larger vector that passes has one of these streams larger. Best-first search from a lower bound by
//! the smallest sum is therefore exact (Stuijk, Geilen and Basten, "Throughput-buffering trade-off exploration for
//! cyclo-static and synchronous dataflow graphs", IEEE Transactions on Computers 57, 2008).

use super::error::AnalysisError;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// What a test says of a vector of capacities; `None` is a stream without bound.
pub(crate) enum Verdict {
    Passes,
    /// The streams, by their place in the vector, whose slots the failing cycle waits for; none if no capacity helps.
    Fails(Vec<usize>),
}

/// Tests capacities, and counts what that costs.
pub(crate) trait Test {
    fn test(&mut self, capacities: &[Option<u64>]) -> Result<Verdict, AnalysisError>;
    /// Work done so far.
    fn work(&self) -> u64;
    /// The smallest capacity above `capacity` that differs from it in effect.
    fn next(&self, stream: usize, capacity: u64) -> u64;
}

/// Capacities, and whether no smaller sum passes.
pub(crate) struct Found {
    pub capacities: Vec<u64>,
    pub exact: bool,
}

/// The vector of smallest sum between `least` and anything that passes; `enough` passes. After `most` work the smallest
/// vector so far is the answer: still no single stream of it can be smaller.
pub(crate) fn smallest(test: &mut impl Test, least: &[u64], enough: &[u64], most: u64) -> Result<Found, AnalysisError> {
    let bounds: Vec<Option<u64>> = vec![None; least.len()];
    let mut lower = least.to_vec();
    // Each stream alone, with all others unbounded.
    for stream in 0..least.len() {
        let mut trial = bounds.clone();
        lower[stream] = shrink(test, &mut trial, stream, least[stream], enough[stream])?;
    }
    let mut best = grown(test, &lower, enough)?;
    minimise(test, &mut best, &lower)?;

    let sum = |capacities: &[u64]| capacities.iter().map(|&capacity| u128::from(capacity)).sum::<u128>();
    let mut heap = BinaryHeap::from([Reverse((sum(&lower), lower.clone()))]);
    let mut seen = BTreeSet::from([lower]);
    while let Some(Reverse((total, capacities))) = heap.pop() {
        if total >= sum(&best) {
            break;
        }
        if test.work() > most {
            return Ok(Found { capacities: best, exact: false });
        }
        match test.test(&bounded(&capacities))? {
            Verdict::Passes => return Ok(Found { capacities, exact: true }),
            Verdict::Fails(streams) => {
                for stream in streams {
                    let mut larger = capacities.clone();
                    larger[stream] = test.next(stream, capacities[stream]);
                    if sum(&larger) < sum(&best) && seen.insert(larger.clone()) {
                        heap.push(Reverse((sum(&larger), larger)));
                    }
                }
            }
        }
    }
    Ok(Found { capacities: best, exact: true })
}

fn bounded(capacities: &[u64]) -> Vec<Option<u64>> {
    capacities.iter().copied().map(Some).collect()
}

/// From `lower` upwards, each failing cycle growing the streams it waits for, in steps that double; `enough` is the end.
fn grown(test: &mut impl Test, lower: &[u64], enough: &[u64]) -> Result<Vec<u64>, AnalysisError> {
    let mut capacities = lower.to_vec();
    let mut steps = vec![1u64; lower.len()];
    loop {
        match test.test(&bounded(&capacities))? {
            Verdict::Passes => return Ok(capacities),
            Verdict::Fails(streams) => {
                let mut grows = false;
                for stream in streams {
                    if capacities[stream] >= enough[stream] {
                        continue;
                    }
                    let stepped = capacities[stream].saturating_add(steps[stream] - 1);
                    capacities[stream] = test.next(stream, stepped).min(enough[stream]);
                    steps[stream] = steps[stream].saturating_mul(2);
                    grows = true;
                }
                if !grows {
                    // A stream outside of this cycle may still be too small; `enough` for all passes.
                    return Ok(enough.to_vec());
                }
            }
        }
    }
}

/// Shrinks every stream as far as it goes while the others stay; those with the most to lose first.
fn minimise(test: &mut impl Test, capacities: &mut [u64], lower: &[u64]) -> Result<(), AnalysisError> {
    let mut order: Vec<usize> = (0..capacities.len()).collect();
    order.sort_by_key(|&stream| Reverse(capacities[stream] - lower[stream]));
    let mut trial = bounded(capacities);
    for stream in order {
        capacities[stream] = shrink(test, &mut trial, stream, lower[stream], capacities[stream])?;
        trial[stream] = Some(capacities[stream]);
    }
    Ok(())
}

/// The smallest capacity of one stream from `least` to `enough` (which passes), the others as in `trial`.
fn shrink(
    test: &mut impl Test,
    trial: &mut [Option<u64>],
    stream: usize,
    least: u64,
    enough: u64,
) -> Result<u64, AnalysisError> {
    let (mut low, mut high) = (least, enough.max(least));
    while low < high {
        let middle = low.midpoint(high);
        trial[stream] = Some(middle);
        match test.test(trial)? {
            Verdict::Passes => high = middle,
            Verdict::Fails(_) => low = middle + 1,
        }
    }
    Ok(high)
}
