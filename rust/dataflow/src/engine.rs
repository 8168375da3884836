//! The one door to both engines: what a run needs besides the program, and what it may be told or asked.

use crate::counters::Run;
use crate::deadlock::advised;
use crate::error::RunError;
use crate::observer::{Observer, Off, Probe};
use crate::operator::Operator;
use crate::port::Memory;
use crate::program::Bound;
use crate::unit::Choice;
use crate::{fast, step};

/// Which evaluation; the results are identical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The reference: one firing at a time.
    Step,
    /// Firings in bursts; with `skip`, whole periods at once where the state of a timing run repeats.
    Fast { skip: bool },
}

/// Called every few milliseconds with the number of firings so far; `false` stops the run.
pub type Watch<'a> = &'a mut dyn FnMut(u64) -> bool;

/// What data-dependent units choose: the phase of each firing, one list per unit, empty for all other units.
#[derive(Debug, Default)]
pub enum Decisions<'a> {
    /// Read from the values.
    #[default]
    Live,
    /// Read from the values, and kept.
    Record(&'a mut Vec<Vec<u32>>),
    /// As kept by an earlier run.
    Replay(&'a [Vec<u32>]),
}

/// Everything a run needs besides its program.
pub struct Setup<'a> {
    pub memory: &'a mut dyn Memory,
    /// One per unit; `None` for timing alone.
    pub operators: Option<&'a mut [Box<dyn Operator>]>,
    pub decisions: Decisions<'a>,
    pub observer: Option<&'a mut dyn Observer>,
    pub watch: Watch<'a>,
}

impl<'a> Setup<'a> {
    /// Timing alone, unobserved.
    pub fn timing(memory: &'a mut dyn Memory, watch: Watch<'a>) -> Self {
        Setup { memory, operators: None, decisions: Decisions::Live, observer: None, watch }
    }

    /// Timing and values, one operator per unit.
    pub fn values(memory: &'a mut dyn Memory, operators: &'a mut [Box<dyn Operator>], watch: Watch<'a>) -> Self {
        Setup { operators: Some(operators), ..Setup::timing(memory, watch) }
    }
}

/// Runs a bound program to its end.
pub fn simulate(bound: &Bound, mode: Mode, setup: Setup) -> Result<Run, RunError> {
    let Setup { memory, operators, mut decisions, observer, watch } = setup;
    check(bound, operators.is_some(), &decisions)?;
    if let Decisions::Record(tapes) = &mut decisions {
        tapes.clear();
        tapes.resize(bound.program.units.len(), Vec::new());
    }
    let tapes: &[Vec<u32>] = if let Decisions::Replay(tapes) = decisions { tapes } else { &[] };
    let parts = Parts { bound, memory, decisions, watch };
    let run = match (operators, observer) {
        (None, None) => run::<false, _>(mode, parts, &mut [], Off),
        (None, Some(observer)) => run::<false, _>(mode, parts, &mut [], observer),
        (Some(operators), None) => run::<true, _>(mode, parts, operators, Off),
        (Some(operators), Some(observer)) => run::<true, _>(mode, parts, operators, observer),
    };
    run.map_err(|error| advised(error, bound, tapes))
}

pub(crate) struct Parts<'a> {
    pub bound: &'a Bound<'a>,
    pub memory: &'a mut dyn Memory,
    pub decisions: Decisions<'a>,
    pub watch: Watch<'a>,
}

fn run<const VALUES: bool, P: Probe>(
    mode: Mode,
    parts: Parts,
    operators: &mut [Box<dyn Operator>],
    probe: P,
) -> Result<Run, RunError> {
    match mode {
        Mode::Fast { skip } if !parts.bound.is_first_come() => fast::run::<VALUES, P>(parts, operators, probe, skip),
        // What comes first depends on the times of all that comes: only a merge needs the reference's order.
        _ => step::run::<VALUES, P>(parts, operators, probe),
    }
}

/// Data-dependent units need values, or what they chose before; a merge chooses by time, each time anew.
fn check(bound: &Bound, values: bool, decisions: &Decisions) -> Result<(), RunError> {
    for (at, unit) in bound.program.units.iter().enumerate() {
        let named = |what: &str| Err(RunError::Undecided { unit: unit.name.clone(), what: what.into() });
        match (unit.choice, decisions) {
            (None, _) => {}
            (Some(Choice::FirstCome), Decisions::Replay(_)) => {
                return named("takes what comes first, so its choices belong to one timing and cannot be replayed");
            }
            (Some(Choice::FirstCome), _) => {}
            (Some(Choice::Control(_)), Decisions::Replay(tapes)) => {
                let Some(tape) = tapes.get(at) else { return named("has no recorded choices") };
                if let Some(phase) = tape.iter().find(|&&phase| phase as usize >= unit.phases.len()) {
                    return named(&format!("has {} phases, but phase {phase} among its choices", unit.phases.len()));
                }
            }
            (Some(Choice::Control(_)), _) if values => {}
            (Some(Choice::Control(_)), _) => return named("chooses by its control values, and the run has no values"),
        }
    }
    Ok(())
}
