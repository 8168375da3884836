//! The smallest capacities that pass a test, by the streams whose slots a failing cycle waits for.
//!
//! A cycle that is too slow stays too slow until one of the streams whose slots it waits for grows (Stuijk, Geilen and
//! Basten, "Throughput-buffering trade-off exploration for cyclo-static and synchronous dataflow graphs", IEEE
//! Transactions on Computers 57, 2008). So each failure is a clause: one of these streams, or the sum of some of them where
//! only the sum matters, must have more than this. A clause is made as strong as it can be before it is kept. Among the
//! vectors that satisfy all clauses the smallest is tried next (A*, with clauses that share no stream as the bound of what
//! is still to be added); the first that passes is the smallest of all.

use super::error::AnalysisError;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// Streams, by their place in the vector, whose levels in sum must be above this; see `Test::level`.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub streams: Vec<usize>,
    pub level: u128,
}

/// One of these groups must have more than this. Without any, no capacity helps.
pub(crate) type Clause = Vec<Group>;

/// What a test says of a vector of capacities; `None` is a stream without bound.
pub(crate) enum Verdict {
    Passes,
    Fails(Clause),
}

/// Tests capacities, and counts what that costs.
pub(crate) trait Test {
    fn test(&mut self, capacities: &[Option<u64>]) -> Result<Verdict, AnalysisError>;
    /// Work done so far, and more of it.
    fn work(&self) -> u64;
    fn spend(&mut self, work: u64);
    /// Capacities of one level are the same in effect; those of the next are larger by one step.
    fn level(&self, stream: usize, capacity: u64) -> u64;
    /// The smallest capacity of this level.
    fn of_level(&self, stream: usize, level: u64) -> u64;
}

/// Capacities, and whether no smaller sum passes.
pub(crate) struct Found {
    pub capacities: Vec<u64>,
    pub exact: bool,
}

/// The vector of smallest sum that passes, from `least` on; `enough` passes. After `most` work, as much again goes into
/// one that passes and another time as much into making it smaller.
pub(crate) fn smallest(test: &mut impl Test, least: &[u64], enough: &[u64], most: u64) -> Result<Found, AnalysisError> {
    let mut clauses: Vec<Clause> = Vec::new();
    // By the bound of what is needed in all; among equals those first to which the least is still to be added.
    let entry = |bound: u128, capacities: Vec<u64>| Reverse((bound, Reverse(sum(&capacities)), capacities));
    let mut heap = BinaryHeap::from([entry(sum(least), least.to_vec())]);
    let mut seen = BTreeSet::from([least.to_vec()]);
    while let Some(Reverse((bound, _, capacities))) = heap.pop() {
        if test.work() > most {
            break;
        }
        // Keeps the vectors that wait within some hundred megabytes.
        test.spend(4 * (clauses.len() + capacities.len()) as u64);
        let missing = missing(test, &clauses, &capacities);
        let total = sum(&capacities) + missing.cost;
        if total > bound {
            heap.push(entry(total, capacities));
            continue;
        }
        let Some(clause) = missing.first else {
            match test.test(&bounded(&capacities))? {
                Verdict::Passes => return Ok(Found { capacities, exact: true }),
                Verdict::Fails(clause) => clauses.push(strongest(test, &capacities, clause)?),
            }
            heap.push(entry(total, capacities));
            continue;
        };
        for group in &clauses[clause] {
            for &stream in &group.streams {
                let mut larger = capacities.clone();
                larger[stream] = match group.streams[..] {
                    [_] => test.of_level(stream, above(group.level)),
                    _ => next(test, stream, capacities[stream]),
                };
                if seen.insert(larger.clone()) {
                    // Its own bound follows when it comes up.
                    heap.push(entry(total.max(sum(&larger)), larger));
                }
            }
        }
    }
    // What every vector must have at least: clauses of one stream.
    let mut lower = least.to_vec();
    for clause in &clauses {
        if let [group] = &clause[..]
            && let [stream] = group.streams[..]
        {
            lower[stream] = lower[stream].max(test.of_level(stream, above(group.level)));
        }
    }
    let most = test.work().saturating_add(most);
    let mut capacities = grown(test, &lower, enough, most)?;
    minimise(test, &mut capacities, &lower, most.saturating_add(most))?;
    Ok(Found { capacities, exact: false })
}

fn sum(capacities: &[u64]) -> u128 {
    capacities.iter().map(|&capacity| u128::from(capacity)).sum()
}

/// The next level of a single stream.
fn above(level: u128) -> u64 {
    u64::try_from(level).unwrap_or(u64::MAX).saturating_add(1)
}

/// The smallest capacity above `capacity` that differs from it in effect.
fn next(test: &impl Test, stream: usize, capacity: u64) -> u64 {
    test.of_level(stream, test.level(stream, capacity).saturating_add(1))
}

/// What a vector lacks: the first clause that it fails, and slots that any larger vector must add.
struct Missing {
    first: Option<usize>,
    cost: u128,
}

fn missing(test: &impl Test, clauses: &[Clause], capacities: &[u64]) -> Missing {
    let mut counted = vec![false; capacities.len()];
    let mut missing = Missing { first: None, cost: 0 };
    for (number, clause) in clauses.iter().enumerate() {
        // Levels that each group lacks.
        let lacks = |group: &Group| {
            let levels = group.streams.iter().map(|&stream| u128::from(test.level(stream, capacities[stream])));
            (group.level + 1).saturating_sub(levels.sum())
        };
        if clause.iter().any(|group| lacks(group) == 0) {
            continue;
        }
        missing.first = missing.first.or(Some(number));
        let streams = || clause.iter().flat_map(|group| &group.streams);
        if streams().all(|&stream| !counted[stream]) {
            // Each level costs a stream one step, and the first one no more than that.
            let cost = |group: &Group| {
                let steps = group.streams.iter().map(|&stream| {
                    let capacity = capacities[stream];
                    u128::from(next(test, stream, capacity) - capacity)
                });
                lacks(group).saturating_mul(steps.min().unwrap_or(0))
            };
            missing.cost += clause.iter().map(cost).min().unwrap_or(0);
            streams().for_each(|&stream| counted[stream] = true);
        }
    }
    missing
}

/// The clause that a failure stands for, with as few streams and as large capacities as still fail.
fn strongest(test: &mut impl Test, capacities: &[u64], mut clause: Clause) -> Result<Clause, AnalysisError> {
    let streams: Vec<usize> = clause.iter().flat_map(|group| group.streams.clone()).collect();
    let mut trial = vec![None; capacities.len()];
    streams.iter().for_each(|&stream| trial[stream] = Some(capacities[stream]));
    // Keeps what it learns from a failure; false if the trial passes.
    let mut fails = |trial: &[Option<u64>], test: &mut _| -> Result<bool, AnalysisError> {
        match Test::test(test, trial)? {
            Verdict::Passes => Ok(false),
            Verdict::Fails(found) => {
                clause = found;
                Ok(true)
            }
        }
    };
    for &stream in &streams {
        let from = capacities[stream];
        trial[stream] = None;
        if fails(&trial, test)? {
            continue;
        }
        // It fails at `low` and passes at `high`.
        let (mut low, mut high) = (from, next(test, stream, from));
        loop {
            trial[stream] = Some(high);
            if !fails(&trial, test)? {
                break;
            }
            let step = high - from;
            (low, high) = (high, high.saturating_add(step));
        }
        while high - low > 1 {
            let middle = low.midpoint(high);
            trial[stream] = Some(middle);
            if fails(&trial, test)? {
                low = middle;
            } else {
                high = middle;
            }
        }
        trial[stream] = Some(low);
    }
    Ok(clause)
}

fn bounded(capacities: &[u64]) -> Vec<Option<u64>> {
    capacities.iter().copied().map(Some).collect()
}

/// From `lower` upwards, each failing cycle growing the streams it waits for, in steps that double; `enough` where that
/// leads nowhere.
fn grown(test: &mut impl Test, lower: &[u64], enough: &[u64], most: u64) -> Result<Vec<u64>, AnalysisError> {
    let mut capacities = lower.to_vec();
    let mut steps = vec![1u64; lower.len()];
    loop {
        match test.test(&bounded(&capacities))? {
            Verdict::Passes => return Ok(capacities),
            Verdict::Fails(clause) => {
                let mut grows = false;
                for stream in clause.into_iter().flat_map(|group| group.streams) {
                    if capacities[stream] >= enough[stream] {
                        continue;
                    }
                    let stepped = capacities[stream].saturating_add(steps[stream] - 1);
                    capacities[stream] = next(test, stream, stepped).min(enough[stream]);
                    steps[stream] = steps[stream].saturating_mul(2);
                    grows = true;
                }
                if !grows || test.work() > most {
                    return Ok(enough.to_vec());
                }
            }
        }
    }
}

/// Shrinks every stream as far as it goes while the others stay; those with the most to lose first.
fn minimise(test: &mut impl Test, capacities: &mut [u64], lower: &[u64], most: u64) -> Result<(), AnalysisError> {
    let mut order: Vec<usize> = (0..capacities.len()).collect();
    order.sort_by_key(|&stream| Reverse(capacities[stream] - lower[stream]));
    let mut trial = bounded(capacities);
    for stream in order {
        if test.work() > most {
            break;
        }
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
