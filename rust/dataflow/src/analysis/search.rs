//! The smallest capacities that pass a test, by the streams whose slots a failing cycle waits for.
//!
//! A cycle that is too slow stays too slow until one of the streams whose slots it waits for grows (Stuijk, Geilen and
//! Basten, "Throughput-buffering trade-off exploration for cyclo-static and synchronous dataflow graphs", IEEE
//! Transactions on Computers 57, 2008). So each failure is a clause: one of these streams must have more than this. A
//! clause is made as strong as it can be before it is kept. Among the vectors that satisfy all clauses the smallest is
//! tried next (A*, with clauses that share no stream as the bound of what is still to be added); the first that passes is
//! the smallest of all.

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
    /// Work done so far, and more of it.
    fn work(&self) -> u64;
    fn spend(&mut self, work: u64);
    /// The smallest capacity above `capacity` that differs from it in effect.
    fn next(&self, stream: usize, capacity: u64) -> u64;
}

/// Capacities, and whether no smaller sum passes.
pub(crate) struct Found {
    pub capacities: Vec<u64>,
    pub exact: bool,
}

/// One of these streams must have more than this.
type Clause = Vec<(usize, u64)>;

/// The vector of smallest sum that passes, from `least` on; `enough` passes. After `most` work, as much again goes into
/// one that passes and another time as much into making it smaller.
pub(crate) fn smallest(test: &mut impl Test, least: &[u64], enough: &[u64], most: u64) -> Result<Found, AnalysisError> {
    let mut clauses: Vec<Clause> = Vec::new();
    let mut heap = BinaryHeap::from([Reverse((sum(least), least.to_vec()))]);
    let mut seen = BTreeSet::from([least.to_vec()]);
    while let Some(Reverse((bound, capacities))) = heap.pop() {
        let missing = missing(test, &clauses, &capacities);
        let total = sum(&capacities) + missing.cost;
        if total > bound {
            heap.push(Reverse((total, capacities)));
            continue;
        }
        let Some(clause) = missing.first else {
            match test.test(&bounded(&capacities))? {
                Verdict::Passes => return Ok(Found { capacities, exact: true }),
                Verdict::Fails(streams) => clauses.push(strongest(test, &capacities, &streams)?),
            }
            heap.push(Reverse((total, capacities)));
            if test.work() > most {
                break;
            }
            continue;
        };
        // Keeps the vectors that wait within some hundred megabytes.
        test.spend(4 * (clauses.len() + capacities.len()) as u64);
        for &(stream, capacity) in &clauses[clause] {
            let mut larger = capacities.clone();
            larger[stream] = test.next(stream, capacity);
            if seen.insert(larger.clone()) {
                // Its own bound follows when it comes up.
                heap.push(Reverse((total.max(sum(&larger)), larger)));
            }
        }
        if test.work() > most {
            break;
        }
    }
    // What every vector must have at least: clauses of one stream.
    let mut lower = least.to_vec();
    for clause in &clauses {
        if let [(stream, capacity)] = clause[..] {
            lower[stream] = lower[stream].max(test.next(stream, capacity));
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

/// What a vector lacks: the first clause that it fails, and slots that any larger vector must add.
struct Missing {
    first: Option<usize>,
    cost: u128,
}

fn missing(test: &impl Test, clauses: &[Clause], capacities: &[u64]) -> Missing {
    let mut counted = vec![false; capacities.len()];
    let mut missing = Missing { first: None, cost: 0 };
    for (number, clause) in clauses.iter().enumerate() {
        if clause.iter().any(|&(stream, capacity)| capacities[stream] > capacity) {
            continue;
        }
        missing.first = missing.first.or(Some(number));
        if clause.iter().all(|&(stream, _)| !counted[stream]) {
            let cost = |&(stream, capacity): &(usize, u64)| test.next(stream, capacity) - capacities[stream];
            missing.cost += u128::from(clause.iter().map(cost).min().unwrap_or(0));
            clause.iter().for_each(|&(stream, _)| counted[stream] = true);
        }
    }
    missing
}

/// The clause that a failure stands for, with as few streams and as large capacities as still fail.
fn strongest(test: &mut impl Test, capacities: &[u64], streams: &[usize]) -> Result<Clause, AnalysisError> {
    let mut trial = vec![None; capacities.len()];
    streams.iter().for_each(|&stream| trial[stream] = Some(capacities[stream]));
    for &stream in streams {
        let from = capacities[stream];
        trial[stream] = None;
        if matches!(test.test(&trial)?, Verdict::Fails(_)) {
            continue;
        }
        // It fails at `low` and passes at `high`.
        let (mut low, mut high) = (from, test.next(stream, from));
        let mut fails = |capacity: u64, test: &mut _| {
            trial[stream] = Some(capacity);
            Test::test(test, &trial).map(|verdict| matches!(verdict, Verdict::Fails(_)))
        };
        while fails(high, test)? {
            let step = high - from;
            (low, high) = (high, high.saturating_add(step));
        }
        while high - low > 1 {
            let middle = low.midpoint(high);
            if fails(middle, test)? {
                low = middle;
            } else {
                high = middle;
            }
        }
        trial[stream] = Some(low);
    }
    Ok(trial.iter().enumerate().filter_map(|(stream, capacity)| capacity.map(|capacity| (stream, capacity))).collect())
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
