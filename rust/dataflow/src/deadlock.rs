//! Naming a deadlock: when nothing can fire, each blocked unit waits for another, until the waits close a circle or end
//! at a unit that has finished.

use crate::error::{RunError, Waiting};
use crate::program::{Bound, Program};
use crate::remedy::{Remedy, remedy};
use crate::unit::Choice;

/// What a blocked unit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Data(usize),
    Space(usize),
    Memory,
}

/// The circle of waits that is reached from the first blocked unit, or the chain of waits that leads from it to a unit
/// that has finished.
///
/// An open unit may wait for ever: only one with a fixed count is blocked.
pub(crate) fn explain(program: &Program, waits: &[Option<Wait>], firings: &[u64], cycle: u64) -> RunError {
    let blocked = |unit: &usize| waits[*unit].is_some() && !program.units[*unit].is_open();
    let mut at = (0..waits.len()).find(blocked).unwrap_or(0);
    let mut path: Vec<Waiting> = Vec::new();
    let mut place: Vec<Option<usize>> = vec![None; waits.len()];
    while place[at].is_none() {
        let (stream, data) = match waits[at] {
            Some(Wait::Data(stream)) => (&program.streams[stream], true),
            Some(Wait::Space(stream)) => (&program.streams[stream], false),
            Some(Wait::Memory) | None => break,
        };
        let on = if data { stream.from.0 } else { stream.to.0 };
        place[at] = Some(path.len());
        let waiting = Waiting {
            unit: program.units[at].name.clone(),
            stream: stream.name.clone(),
            data,
            firings: firings[at],
            on: program.units[on].name.clone(),
            finished: waits[on].is_none(),
        };
        path.push(waiting);
        at = on;
    }
    // A circle of open units alone is one more end that others wait for.
    let is_fixed = |unit: usize| !program.units[unit].is_open();
    let circle = place[at].filter(|&first| (0..waits.len()).any(|unit| is_fixed(unit) && place[unit] >= Some(first)));
    let cycle_of_waiting: Vec<Waiting> = path.into_iter().skip(circle.unwrap_or(0)).collect();
    // Waits for tokens alone, from a unit that must fire again, stay whatever the capacities; and whatever data decide,
    // as long as nothing depends on what comes first.
    let merges = program.units.iter().any(|unit| unit.choice == Some(Choice::FirstCome));
    let remedy = (!merges && cycle_of_waiting.iter().all(|waiting| waiting.data))
        .then(|| Remedy::Tokens(cycle_of_waiting.iter().map(|waiting| waiting.stream.clone()).collect()));
    RunError::Deadlock { cycle, cycle_of_waiting, firings: firings.to_vec(), remedy }
}

/// Adds to a deadlock what frees it; `tapes` has what data-dependent units choose, where that is known.
pub(crate) fn advised(mut error: RunError, bound: &Bound, tapes: &[Vec<u32>]) -> RunError {
    if let RunError::Deadlock { firings, remedy: found @ None, .. } = &mut error {
        *found = remedy(bound, firings, tapes);
    }
    error
}
