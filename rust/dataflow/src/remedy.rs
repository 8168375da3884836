//! The way out of a deadlock: the smallest capacities that free it, or that there are none.
//!
//! As long as none of the streams whose slots a circle of waiting waits for grows by what is lacking there, none of its
//! units can ever fire again, whatever else grows. So the smallest growth is found by best-first search over these
//! streams, going on from where the program stood (Parks, "Bounded scheduling of process networks", 1995, grows the
//! smallest full stream; Geilen and Basten, "Requirements on the execution of Kahn process networks", 2003, those of the
//! circle). A circle that waits for tokens only stays, whatever the capacities.

use crate::deadlock::Wait;
use crate::marking::Marking;
use crate::program::Bound;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt;

/// Firings that the search may look at: a fraction of a second.
pub const BUDGET: u64 = 1 << 22;
/// Markings that may wait to be looked at; each has a place for every unit and stream.
const MOST_PLACES: usize = 1 << 24;

/// What frees a deadlock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Capacities of these streams, by name: no smaller sum is enough.
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

/// The remedy for a run that stopped after so many firings of each unit; `tapes` has what data-dependent units choose.
/// `None` where the budget runs out or the choices are not known.
pub fn remedy(bound: &Bound, firings: &[u64], tapes: &[Vec<u32>], mut budget: u64) -> Option<Remedy> {
    let program = bound.program;
    let start = Marking::after(bound, firings, tapes)?;
    let most = MOST_PLACES / (program.units.len() + program.streams.len()).max(1);
    // By growth in all and then by age; `grown` has the streams' new capacities.
    let mut heap = BinaryHeap::from([Reverse((0u64, 0usize))]);
    let mut waiting = BTreeMap::from([(0usize, (start, BTreeMap::<usize, u64>::new()))]);
    let mut seen = BTreeSet::new();
    let mut born = 0;
    while let Some(Reverse((growth, age))) = heap.pop() {
        let (marking, grown) = waiting.remove(&age)?;
        let Some(path) = stuck(bound, &marking) else {
            let name = |(&stream, &capacity): (&usize, &u64)| (program.streams[stream].name.clone(), capacity);
            return Some(Remedy::Capacities(grown.iter().map(name).collect()));
        };
        let full: Vec<(usize, usize)> = (path.iter())
            .filter_map(|&unit| match marking.wait(unit) {
                Some(Wait::Space(stream)) => Some((unit, stream)),
                _ => None,
            })
            .collect();
        if full.is_empty() {
            let streams = path.iter().filter_map(|&unit| match marking.wait(unit) {
                Some(Wait::Data(stream)) => Some(program.streams[stream].name.clone()),
                _ => None,
            });
            return Some(Remedy::Tokens(streams.collect()));
        }
        for (unit, stream) in full {
            let lacking = marking.slots_lacking(unit);
            let capacity = marking.capacities[stream].checked_add(lacking)?;
            let mut larger = grown.clone();
            larger.insert(stream, capacity);
            if !seen.insert(larger.clone()) {
                continue;
            }
            let mut next = marking.clone();
            next.capacities[stream] = capacity;
            if !next.run(unit, &mut budget) || waiting.len() >= most {
                return None;
            }
            born += 1;
            heap.push(Reverse((growth.checked_add(lacking)?, born)));
            waiting.insert(born, (next, larger));
        }
    }
    None
}

/// Units none of which can fire before all can: they wait for each other in a circle, or one after another for one that
/// has finished. Some that wait only for tokens, if there are any; `None` when all units with a fixed count have
/// finished.
fn stuck(bound: &Bound, marking: &Marking) -> Option<Vec<usize>> {
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
        if !path.iter().any(waits_for_space) {
            return Some(path);
        }
        found = found.or(Some(path));
    }
    found
}
