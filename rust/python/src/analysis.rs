//! Analysis of static stream programs. Units and streams go out by index; Python has the names.

use crate::errors;
use crate::stream_program::StreamProgram;
use crate::watch::detached;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use rdu_dataflow::analysis::{self, AnalysisError, Ratio, Step, Wait};

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(analyse, module)?)?;
    module.add_function(wrap_pyfunction!(capacities, module)?)
}

/// Numerator and denominator.
type Fraction = (u128, u128);
/// What is waited for and on which stream, the unit and firing waited for, those that wait, cycles, iterations.
type StepRow = (&'static str, Option<usize>, usize, u64, usize, u64, u128, u64);
/// Units, their cycles and firings in an iteration, its cycles (none in a deadlock), and the critical cycle.
type PartRow = (Vec<usize>, Vec<u64>, Vec<u64>, Option<Fraction>, Vec<StepRow>);
/// Capacities by stream and whether no smaller sum does.
type Sizes = (Vec<u64>, bool);

/// The steady state of every connected part.
#[pyfunction]
fn analyse(py: Python<'_>, program: PyRef<'_, StreamProgram>) -> PyResult<Vec<PartRow>> {
    let (program, call) = (program.program(), program.call());
    let parts = detached(py, None, |watch| analysis::analyse(program, call, watch), raise)?;
    let row = |part: analysis::Part| {
        let steps = part.critical.iter().map(step).collect();
        (part.units, part.repetitions, part.firings, part.period.map(fraction), steps)
    };
    Ok(parts.into_iter().map(row).collect())
}

/// The periods of all parts with unbounded streams; the smallest capacities that keep them; the smallest that run.
#[pyfunction]
fn capacities(py: Python<'_>, program: PyRef<'_, StreamProgram>, work: u64) -> PyResult<(Vec<Fraction>, Sizes, Sizes)> {
    let (program, call) = (program.program(), program.call());
    let found = detached(py, None, |watch| analysis::capacities(program, call, work, watch), raise)?;
    let periods = found.periods.into_iter().map(fraction).collect();
    Ok((periods, (found.full, found.full_exact), (found.live, found.live_exact)))
}

fn fraction(ratio: Ratio) -> Fraction {
    (ratio.cycles, ratio.iterations)
}

fn step(step: &Step) -> StepRow {
    let (kind, stream) = match step.wait {
        Wait::Busy => ("busy", None),
        Wait::Token(stream) => ("token", Some(stream)),
        Wait::Slot(stream) => ("slot", Some(stream)),
    };
    let ((from, from_firing), (to, to_firing)) = (step.from, step.to);
    (kind, stream, from, from_firing, to, to_firing, step.cycles, step.iterations)
}

fn raise(py: Python<'_>, error: AnalysisError) -> PyErr {
    match error {
        AnalysisError::Build(error) => errors::build(py, error),
        AnalysisError::Interrupted => PyKeyboardInterrupt::new_err(error.to_string()),
        _ => errors::graph(py, error.to_string()),
    }
}
