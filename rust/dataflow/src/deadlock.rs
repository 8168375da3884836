//! Naming a deadlock: when nothing can fire, each blocked unit waits for another; the waits close a cycle.

use crate::error::{RunError, Waiting};
use crate::program::Program;

/// What a blocked unit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Data(usize),
    Space(usize),
    Memory,
}

/// The cycle of waits that is reached from the first blocked unit.
///
/// `bind` has checked that every stream balances, so a blocked unit never waits for one that has finished, and
/// following the waits must come back to a unit already seen.
pub(crate) fn explain(program: &Program, waits: &[Option<Wait>], firings: &[u64], cycle: u64) -> RunError {
    let mut path: Vec<usize> = Vec::new();
    let mut at = waits.iter().position(Option::is_some).unwrap_or(0);
    while !path.contains(&at) {
        path.push(at);
        at = match waits[at] {
            Some(Wait::Data(stream)) => program.streams[stream].from.0,
            Some(Wait::Space(stream)) => program.streams[stream].to.0,
            _ => break,
        };
    }
    let first = path.iter().position(|&unit| unit == at).unwrap_or(0);
    let cycle_of_waiting = path[first..]
        .iter()
        .filter_map(|&unit| {
            let (stream, data) = match waits[unit]? {
                Wait::Data(stream) => (stream, true),
                Wait::Space(stream) => (stream, false),
                Wait::Memory => return None,
            };
            let (unit, firings) = (program.units[unit].name.clone(), firings[unit]);
            Some(Waiting { unit, stream: program.streams[stream].name.clone(), data, firings })
        })
        .collect();
    RunError::Deadlock { cycle, cycle_of_waiting }
}
