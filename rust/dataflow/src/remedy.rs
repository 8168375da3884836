//! The way out of a deadlock: the smallest capacities that free it, or that there are none.
//!
//! As long as none of the streams whose slots a circle of waiting waits for grows by what is lacking there, none of its
//! units can ever fire again, whatever else grows. So the smallest growth is found by best-first search over these
//! streams, going on from where the program stood. Where that is too much work (many streams that could grow by many
//! slots each), the stream that lacks the least grows in ever larger steps, and what is too much is taken back in the end
//! (Parks, "Bounded scheduling of process networks", 1995; Geilen and Basten, "Requirements on the execution of Kahn
//! process networks", 2003). A circle that waits for tokens only stays, whatever the capacities.

use crate::deadlock::Wait;
use crate::marking::Marking;
use crate::program::Bound;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt;

/// Work of the exact search, and of the other one: firings, and places that are looked at or copied. Together they take a
/// fraction of a second.
const EXACT: u64 = 1 << 18;
const GREEDY: u64 = 1 << 25;
/// Places that are looked at or copied in the time of a firing.
const PLACES: usize = 8;

/// What frees a deadlock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Capacities of these streams, by name: no smaller sum is enough, or, where finding that out is too much work, some
    /// that are enough.
    Capacities(Vec<(String, u64)>),
    /// No capacity: one of these streams needs tokens that nothing sends.
    Tokens(Vec<String>),
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remedy::Capacities(grown) => {
                let parts: Vec<String> =
                    grown.iter().map(|(stream, capacity)| format!("capacity {capacity} on '{stream}'")).collect();
                write!(f, "{} would free it", parts.join(" and "))
            }
            Remedy::Tokens(streams) => {
                let names: Vec<String> = streams.iter().map(|stream| format!("'{stream}'")).collect();
                write!(f, "no capacity frees it: it needs initial tokens on ")?;
                write!(f, "{}{}", if names.len() > 1 { "one of " } else { "" }, names.join(", "))
            }
        }
    }
}

/// What is found, by stream index.
enum Way {
    Capacities(BTreeMap<usize, u64>),
    Tokens(Vec<usize>),
}

/// The remedy for a run that stopped after so many firings of each unit; `tapes` has what data-dependent units choose.
/// `None` where the work runs out or the choices are not known.
pub fn remedy(bound: &Bound, firings: &[u64], tapes: &[Vec<u32>]) -> Option<Remedy> {
    let start = Marking::after(bound, firings, tapes)?;
    let name = |stream: usize| bound.program.streams[stream].name.clone();
    Some(match exact(bound, &start, EXACT).or_else(|| greedy(bound, &start, GREEDY))? {
        Way::Capacities(grown) => Remedy::Capacities(grown.into_iter().map(|(at, slots)| (name(at), slots)).collect()),
        Way::Tokens(streams) => Remedy::Tokens(streams.into_iter().map(name).collect()),
    })
}

/// The growth of smallest sum; `None` where `work` is not enough to find it.
fn exact(bound: &Bound, start: &Marking, mut work: u64) -> Option<Way> {
    // By growth in all and then by age; each marking with the capacities that are new.
    let mut heap = BinaryHeap::from([Reverse((0u64, 0u64))]);
    let mut waiting = BTreeMap::from([(0u64, (start.clone(), BTreeMap::new()))]);
    let (mut seen, mut born) = (BTreeSet::new(), 0);
    while let Some(Reverse((growth, age))) = heap.pop() {
        let (marking, grown) = waiting.remove(&age)?;
        let Some(stuck) = stuck(bound, &marking) else { return Some(Way::Capacities(grown)) };
        if stuck.full.is_empty() {
            return Some(Way::Tokens(stuck.starved));
        }
        for full in stuck.full {
            work = work.checked_sub(2 * places(bound))?;
            let mut larger = grown.clone();
            let capacity = marking.capacities[full.stream].checked_add(full.lacking)?;
            larger.insert(full.stream, capacity);
            if !seen.insert(larger.clone()) {
                continue;
            }
            let mut next = marking.clone();
            next.capacities[full.stream] = capacity;
            if !next.run(full.unit, &mut work) {
                return None;
            }
            born += 1;
            heap.push(Reverse((growth.checked_add(full.lacking)?, born)));
            waiting.insert(born, (next, larger));
        }
    }
    None
}

/// Some growth that is enough, as small as `work` makes it; `None` where `work` is not enough to find any.
fn greedy(bound: &Bound, start: &Marking, mut work: u64) -> Option<Way> {
    let mut marking = start.clone();
    let mut steps: BTreeMap<usize, u64> = BTreeMap::new();
    while let Some(stuck) = stuck(bound, &marking) {
        work = work.checked_sub(places(bound))?;
        let Some(full) = stuck.full.iter().min_by_key(|full| (full.lacking, full.stream)) else {
            return Some(Way::Tokens(stuck.starved));
        };
        let step = steps.entry(full.stream).or_insert(1);
        let capacity = &mut marking.capacities[full.stream];
        *capacity = capacity.checked_add(full.lacking.max(*step))?;
        *step = step.saturating_mul(2);
        if !marking.run(full.unit, &mut work) {
            return None;
        }
    }
    let mut grown: BTreeMap<usize, u64> =
        steps.into_keys().map(|stream| (stream, marking.capacities[stream])).collect();
    let mut order: Vec<usize> = grown.keys().copied().collect();
    order.sort_by_key(|&stream| Reverse(grown[&stream] - start.capacities[stream]));
    for stream in order {
        let (mut low, mut high) = (start.capacities[stream], grown[&stream]);
        while low < high {
            let middle = low.midpoint(high);
            grown.insert(stream, middle);
            match frees(bound, start, &grown, &mut work) {
                Some(true) => high = middle,
                Some(false) => low = middle + 1,
                // Out of work: what is known to be enough stays.
                None => break,
            }
        }
        grown.insert(stream, high);
    }
    grown.retain(|&stream, capacity| *capacity > start.capacities[stream]);
    Some(Way::Capacities(grown))
}

/// Whether these capacities are enough; `None` where the work runs out.
fn frees(bound: &Bound, start: &Marking, grown: &BTreeMap<usize, u64>, work: &mut u64) -> Option<bool> {
    *work = work.checked_sub(2 * places(bound))?;
    let mut marking = start.clone();
    grown.iter().for_each(|(&stream, &capacity)| marking.capacities[stream] = capacity);
    let producers: BTreeSet<usize> = grown.keys().map(|&stream| bound.program.streams[stream].from.0).collect();
    producers.iter().all(|&unit| marking.run(unit, work)).then(|| stuck(bound, &marking).is_none())
}

/// The work of looking at every unit and stream once.
fn places(bound: &Bound) -> u64 {
    ((bound.program.units.len() + bound.program.streams.len()) / PLACES + 1) as u64
}

/// Units none of which can fire before all can: what each of them waits for.
struct Stuck {
    full: Vec<Full>,
    /// Streams that lack tokens.
    starved: Vec<usize>,
}

/// A stream that lacks so many slots for the next firing of its producer.
struct Full {
    unit: usize,
    stream: usize,
    lacking: u64,
}

/// They wait for each other in a circle, or one after another for one that has finished; those that wait only for tokens
/// come first. `None` when all units with a fixed count have finished.
fn stuck(bound: &Bound, marking: &Marking) -> Option<Stuck> {
    let program = bound.program;
    // The walk that came by each unit, from 1 on.
    let mut walks = vec![0; program.units.len()];
    let mut found = None;
    for (start, spec) in program.units.iter().enumerate() {
        if walks[start] > 0 || marking.has_finished(start) || spec.is_open() {
            continue;
        }
        let (mut path, mut unit) = (Vec::new(), start);
        while walks[unit] == 0 && !marking.has_finished(unit) {
            walks[unit] = start + 1;
            path.push(unit);
            unit = match marking.wait(unit)? {
                Wait::Data(stream) => program.streams[stream].from.0,
                Wait::Space(stream) => program.streams[stream].to.0,
                Wait::Memory => return None,
            };
        }
        let waits_for_space = |&unit: &usize| matches!(marking.wait(unit), Some(Wait::Space(_)));
        let is_fixed = |&unit: &usize| !program.units[unit].is_open();
        if marking.has_finished(unit) {
            // What comes behind the last wait for a slot waits for tokens that will never be; an open unit may.
            let behind = path.iter().rposition(waits_for_space).map_or(0, |at| at + 1);
            if path[behind..].iter().any(is_fixed) {
                path.drain(..behind);
            }
        } else if walks[unit] == start + 1 {
            let entry = path.iter().position(|&seen| seen == unit)?;
            // Open units may wait in a circle for ever, as long as what waits for them gets its slots.
            if path[entry..].iter().any(is_fixed) {
                path.drain(..entry);
            }
        } else {
            // It leads into what an earlier walk found.
            continue;
        }
        let starves = !path.iter().any(waits_for_space);
        if starves || found.is_none() {
            found = Some(path);
        }
        if starves {
            break;
        }
    }
    let mut stuck = Stuck { full: Vec::new(), starved: Vec::new() };
    for unit in found? {
        match marking.wait(unit)? {
            Wait::Data(stream) => stuck.starved.push(stream),
            Wait::Space(stream) => stuck.full.push(Full { unit, stream, lacking: marking.slots_lacking(unit) }),
            Wait::Memory => return None,
        }
    }
    Some(stuck)
}
