//! One run of a stream program: what is asked of it, and what comes back.

use crate::errors;
use crate::stream_function::Failure;
use crate::stream_memory::{Shared, StreamMemory};
use crate::stream_program::Structure;
use crate::tier::{self, GivenTier};
use crate::watch::detached;
use numpy::{IntoPyArray, PyArray1, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rdu_dataflow::observe::Several;
use rdu_dataflow::observe::intervals::Intervals;
use rdu_dataflow::observe::times::Times;
use rdu_dataflow::observe::trace::Trace;
use rdu_dataflow::table::Sink;
use rdu_dataflow::{
    Bound as Prepared, Decisions, Mode, NoMemory, Observer, Program, Run, RunError, Setup, Unit, simulate,
};
use rdu_machine::tiers::Tiers;
use rdu_machine::totals::TierTotals;
use rdu_memory::Tier;
use rdu_memory::tier::Counts;
use std::sync::Arc;

/// What Python asks of a run, as a dictionary with all of these keys.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Asked<'py> {
    fast: bool,
    skip: bool,
    progress: Option<Py<PyAny>>,
    record: bool,
    /// A recorded run whose values stand for those of this one.
    recording: Option<Bound<'py, Recording>>,
    /// Which units, from when, until when, and how many firings of each.
    trace: Option<(Vec<bool>, u64, u64, usize)>,
    /// Cycles of an interval.
    intervals: Option<u64>,
    /// By unit: numbers of firings.
    firing_times: Option<Vec<(usize, Vec<u64>)>>,
    /// Descriptions of the tiers that answer transfers.
    tiers: Option<Bound<'py, PyAny>>,
}

/// What the data-dependent units of a run chose, and how often each unit fired.
#[pyclass(frozen, module = "rdu._core")]
pub struct Recording {
    structure: Arc<Structure>,
    decisions: Vec<Vec<u32>>,
    firings: Vec<u64>,
}

/// The observers of one run.
struct Observed {
    trace: Option<Trace>,
    intervals: Option<Intervals>,
    times: Option<Times>,
}

impl Observed {
    fn new(asked: &mut Asked<'_>, units: usize) -> Self {
        let times = asked.firing_times.as_ref().map(|wanted| {
            let mut numbers = vec![Vec::new(); units];
            for (at, list) in wanted {
                numbers[*at].extend_from_slice(list);
            }
            Times::new(numbers)
        });
        Observed {
            trace: asked.trace.take().map(|(units, start, stop, most)| Trace::new(&units, start, stop, most)),
            intervals: asked.intervals.map(|length| Intervals::new(units, length)),
            times,
        }
    }

    fn all(&mut self) -> Vec<&mut dyn Observer> {
        let trace = self.trace.as_mut().map(|observer| observer as &mut dyn Observer);
        let intervals = self.intervals.as_mut().map(|observer| observer as &mut dyn Observer);
        let times = self.times.as_mut().map(|observer| observer as &mut dyn Observer);
        [trace, intervals, times].into_iter().flatten().collect()
    }
}

/// Runs and returns, by name: cycles, firings, fast (whether it ran so), units (a row of 8 numbers each), streams (a row
/// of 2), outputs (sink and values), with tiers their traffic (bytes read and written) and memory (what their buses did),
/// and what was asked for of recording, trace, intervals and firing_times.
pub fn run<'py>(
    py: Python<'py>,
    bound: &Prepared<'_>,
    program: &Program,
    structure: &Arc<Structure>,
    mut asked: Asked<'py>,
) -> PyResult<Bound<'py, PyDict>> {
    let units = program.units().len();
    let recording = asked.recording.take();
    if let Some(recording) = &recording
        && !Arc::ptr_eq(&recording.get().structure, structure)
    {
        let what = "the recorded run is of another program; it can time that program and what retimed() makes of it";
        return Err(errors::graph(py, what.into()));
    }
    let failure = Failure::default();
    let (mut operators, sinks): (Vec<_>, Vec<_>) = match (&structure.roles, &recording) {
        (Some(roles), None) => {
            let started = roles.iter().map(|role| role.start(py, &failure)).collect::<Result<Vec<_>, _>>();
            started.map_err(|what| errors::graph(py, what))?.into_iter().unzip()
        }
        _ => (Vec::new(), Vec::new()),
    };
    let mut observed = Observed::new(&mut asked, units);
    let replayed = recording.as_ref().map(|recording| &recording.get().decisions).or(structure.decided.as_ref());
    let chooses = program.units().iter().any(|unit| unit.choice.is_some());
    let mode = if asked.fast { Mode::Fast { skip: asked.skip } } else { Mode::Step };
    let mut tapes = Vec::new();
    let mut tiers = asked.tiers.take().map(|given| tiers_of(py, &given, program)).transpose()?;
    let mut counted = Vec::new();
    let run = detached(
        py,
        asked.progress.take(),
        |watch| {
            let mut several = Several(observed.all());
            let decisions = match (replayed, asked.record) {
                (Some(replayed), _) if chooses => Decisions::Replay(replayed),
                (_, true) => Decisions::Record(&mut tapes),
                _ => Decisions::Live,
            };
            let observer = if several.0.is_empty() { None } else { Some(&mut several as &mut dyn Observer) };
            let operators = if operators.is_empty() { None } else { Some(&mut operators[..]) };
            let Some(tiers) = &mut tiers else {
                return simulate(bound, mode, Setup { memory: &mut NoMemory, operators, decisions, observer, watch });
            };
            let shared = Shared::new(watch);
            let mut memory = StreamMemory::new(Tiers::new(tiers, 0), program, &shared);
            let watch = &mut |firings| shared.borrow_mut().goes_on(firings);
            let run = simulate(bound, mode, Setup { memory: &mut memory, operators, decisions, observer, watch })?;
            if !memory.pass(run.cycles) {
                return Err(RunError::Interrupted);
            }
            counted = tiers.iter_mut().map(|tier| totals(tier, run.cycles)).collect();
            Ok(run)
        },
        |py, error| match failure.lock().ok().and_then(|mut failure| failure.take()) {
            Some(raised) => raised,
            None => errors::run(py, error),
        },
    )?;
    if let Some(fault) = tiers.iter().flatten().find_map(Tier::fault) {
        return Err(errors::dram(py, fault.clone()));
    }
    let all = PyDict::new(py);
    if tiers.is_some() {
        let asked: Vec<[u64; 2]> = counted.iter().map(|tier: &TierTotals| tier.asked_bytes).collect();
        all.set_item("traffic", asked)?;
        all.set_item("memory", tier::counted(py, &counted)?)?;
    }
    all.set_item("cycles", run.cycles)?;
    all.set_item("firings", run.firings)?;
    all.set_item("fast", asked.fast && !bound.is_first_come())?;
    all.set_item("units", unit_rows(&run).into_pyarray(py).reshape([units, 8])?)?;
    let streams: Vec<u64> = run.streams.iter().flat_map(|stream| [stream.tokens, stream.high_water]).collect();
    all.set_item("streams", streams.into_pyarray(py).reshape([run.streams.len(), 2])?)?;
    all.set_item("outputs", outputs(py, sinks))?;
    let firings: Vec<u64> = run.units.iter().map(|unit| unit.firings).collect();
    if let Some(recording) = &recording {
        same_firings(py, program, &recording.get().firings, &firings)?;
    }
    if asked.record {
        let decisions = replayed.cloned().unwrap_or(tapes);
        all.set_item("recording", Recording { structure: Arc::clone(structure), decisions, firings })?;
    }
    add_observed(py, &all, observed, &asked, &run)?;
    Ok(all)
}

/// The tiers that the transfers of a program go to, as they are before a run.
fn tiers_of(py: Python<'_>, given: &Bound<'_, PyAny>, program: &Program) -> PyResult<Vec<Tier>> {
    let tiers = tier::given(py, given)?.into_iter().map(GivenTier::build).collect::<Result<Vec<_>, _>>();
    let tiers = tiers.map_err(|error| errors::memory(py, error.to_string()))?;
    let beyond = |unit: &&Unit| unit.port.as_ref().is_some_and(|port| port.tier >= tiers.len());
    match program.units().iter().find(beyond) {
        None => Ok(tiers),
        Some(unit) => Err(errors::graph(py, format!("unit {:?} names none of {} tiers", unit.name, tiers.len()))),
    }
}

/// What a tier has done in a run of so many cycles, all its channels together.
fn totals(tier: &mut Tier, cycles: u64) -> TierTotals {
    TierTotals { asked_bytes: tier.asked_bytes(), counts: Counts::sum(&tier.counts(cycles)) }
}

/// Busy, data, space, memory, idle, firings, first cycle and end cycle of every unit.
fn unit_rows(run: &Run) -> Vec<u64> {
    let row = |unit: &rdu_dataflow::UnitTotals| {
        let c = &unit.counters;
        [c.busy, c.data, c.space, c.memory, c.idle, unit.firings, unit.first_cycle, unit.end_cycle]
    };
    run.units.iter().flat_map(row).collect()
}

/// A sink's unit index and all its values, token by token: the memory that the run filled.
fn outputs(py: Python<'_>, sinks: Vec<Option<Sink>>) -> Vec<(usize, Bound<'_, PyArray1<f32>>)> {
    let values = |sink: Sink| sink.values.lock().ok().map(|mut values| std::mem::take(&mut *values));
    let output = |(at, sink): (usize, Option<Sink>)| Some((at, sink.and_then(values)?.into_pyarray(py)));
    sinks.into_iter().enumerate().filter_map(output).collect()
}

/// Units whose count is open may stop early where streams are too short; then the recorded values are not this run's.
fn same_firings(py: Python<'_>, program: &Program, recorded: &[u64], fired: &[u64]) -> PyResult<()> {
    match recorded.iter().zip(fired).position(|(recorded, fired)| recorded != fired) {
        None => Ok(()),
        Some(at) => {
            let (recorded, fired) = (recorded[at], fired[at]);
            let what = format!("it fired {fired} times, but {recorded} firings were recorded: streams are too short");
            Err(errors::run(py, RunError::Value { unit: program.units()[at].name.clone(), what }))
        }
    }
}

fn add_observed(
    py: Python<'_>,
    all: &Bound<'_, PyDict>,
    observed: Observed,
    asked: &Asked<'_>,
    run: &Run,
) -> PyResult<()> {
    if let Some(trace) = observed.trace {
        let (firings, complete) = trace.finish();
        let column =
            |value: fn(&rdu_dataflow::Fired) -> u64| firings.iter().map(value).collect::<Vec<u64>>().into_pyarray(py);
        let columns = [
            column(|fired| fired.unit as u64),
            column(|fired| fired.number),
            column(|fired| fired.phase as u64),
            column(|fired| fired.ready),
            column(|fired| fired.start),
            column(|fired| fired.start + fired.ii),
            column(|fired| fired.start + fired.latency),
            column(|fired| fired.wait as u64),
        ];
        all.set_item("trace", (columns.to_vec(), complete))?;
    }
    if let (Some(intervals), Some(length)) = (observed.intervals, asked.intervals) {
        let units = run.units.len();
        let Some((count, cells)) = intervals.finish(run.cycles) else {
            let least = Intervals::shortest(units, run.cycles);
            let what = format!("{units} units for {} cycles are too many intervals to keep", run.cycles);
            return Err(errors::graph(py, format!("intervals is {length}: {what}; make it at least {least}")));
        };
        all.set_item("intervals", cells.into_pyarray(py).reshape([units, count, 5])?)?;
    }
    if let (Some(times), Some(wanted)) = (observed.times, &asked.firing_times) {
        let starts = |(at, numbers): &(usize, Vec<u64>)| -> Vec<Option<u64>> {
            numbers.iter().map(|&number| times.start(*at, number)).collect()
        };
        all.set_item("firing_times", wanted.iter().map(starts).collect::<Vec<_>>())?;
    }
    Ok(())
}
