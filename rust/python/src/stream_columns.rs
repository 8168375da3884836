//! From the builder's columns of numbers to the engine's program.

use crate::errors;
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use rdu_dataflow::{Choice, Nest, Pattern, Phase, Port, Program, Stream, Times, Unit};

type Numbers<'py> = PyReadonlyArray1<'py, i64>;

/// For each unit: name, firings (-1 is open), ii and latency.
pub type UnitColumns<'py> = (Vec<String>, Numbers<'py>, Numbers<'py>, Numbers<'py>);

/// For each stream: name, source, target, capacity, latency, credit, initial, lanes, produce and consume.
pub type StreamColumns<'py> = (
    Vec<String>,
    Numbers<'py>,
    Numbers<'py>,
    Numbers<'py>,
    Numbers<'py>,
    Numbers<'py>,
    Numbers<'py>,
    Numbers<'py>,
    Numbers<'py>,
    Numbers<'py>,
);

/// (end index, tokens) of one firing.
type Ends = Vec<(usize, u32)>;

/// How a unit transfers: tier, write, outstanding, patterns (address, run, stride, bytes), and the pattern of each phase.
type GivenPort = (usize, bool, usize, Vec<(u64, u64, u64, u64)>, Vec<usize>);

/// A unit that single numbers cannot say: its index, (ii, latency, consume, produce) of each phase, its nest, the input
/// that decides (-1: what comes first), if data do, and how it transfers, if it does.
pub type Special<'py> = (usize, Vec<(u64, u64, Ends, Ends)>, Bound<'py, PyAny>, Option<i64>, Option<GivenPort>);

pub fn program(
    py: Python<'_>,
    units: UnitColumns<'_>,
    streams: StreamColumns<'_>,
    special: Vec<Special<'_>>,
) -> PyResult<Program> {
    let (names, firings, ii, latency) = units;
    let columns = [firings.as_slice()?, ii.as_slice()?, latency.as_slice()?];
    check_lengths(py, "unit", names.len(), &columns)?;
    let [firings, ii, latency] = columns;
    let unit = |(at, name)| Unit {
        name,
        phases: vec![Phase { ii: ii[at] as u64, latency: latency[at] as u64, ..Phase::default() }],
        nest: vec![Nest::Fire { phase: 0, times: times(firings[at]) }],
        port: None,
        choice: None,
    };
    let mut units: Vec<Unit> = names.into_iter().enumerate().map(unit).collect();
    let mut plain = vec![true; units.len()];
    for (at, phases, nest, control, given) in special {
        let Some(unit) = units.get_mut(at) else {
            return Err(errors::graph(py, format!("unit {at} does not exist")));
        };
        let (port, patterns) = given.map_or((None, Vec::new()), |given| {
            let (port, patterns) = port(given);
            (Some(port), patterns)
        });
        let phase = |(at, (ii, latency, consume, produce))| {
            let transfer = patterns.get(at).copied();
            Phase { ii, latency, consume, produce, transfer }
        };
        unit.phases = phases.into_iter().enumerate().map(phase).collect();
        unit.port = port;
        unit.nest = nests(&nest)?;
        unit.choice = control.map(|input| usize::try_from(input).map_or(Choice::FirstCome, Choice::Control));
        plain[at] = false;
    }
    let streams = streams_of(py, &mut units, &plain, streams)?;
    Program::new(units, streams).map_err(|error| errors::build(py, error))
}

/// The streams; where they end at a plain unit, its one phase gets their rates.
fn streams_of(py: Python<'_>, units: &mut [Unit], plain: &[bool], columns: StreamColumns<'_>) -> PyResult<Vec<Stream>> {
    let (names, source, target, capacity, latency, credit, initial, lanes, produce, consume) = columns;
    let columns = [
        source.as_slice()?,
        target.as_slice()?,
        capacity.as_slice()?,
        latency.as_slice()?,
        credit.as_slice()?,
        initial.as_slice()?,
        lanes.as_slice()?,
        produce.as_slice()?,
        consume.as_slice()?,
    ];
    check_lengths(py, "stream", names.len(), &columns)?;
    let [source, target, capacity, latency, credit, initial, lanes, produce, consume] = columns;
    reserve(units, plain, source, |phase| &mut phase.produce);
    reserve(units, plain, target, |phase| &mut phase.consume);
    let mut ends = vec![(0, 0); units.len()];
    let mut streams = Vec::with_capacity(names.len());
    for (at, name) in names.into_iter().enumerate() {
        let (from, to) = (source[at] as usize, target[at] as usize);
        if from.max(to) >= units.len() {
            return Err(errors::graph(py, format!("stream {name:?}: unit {} does not exist", from.max(to))));
        }
        let (output, input) = (ends[from].1, ends[to].0);
        ends[from].1 += 1;
        ends[to].0 += 1;
        if plain[from] {
            units[from].phases[0].produce.push((output, produce[at] as u32));
        }
        if plain[to] {
            // A stream from a unit to itself has counted its output above, and its input here.
            units[to].phases[0].consume.push((input, consume[at] as u32));
        }
        streams.push(Stream {
            name,
            from: (from, output),
            to: (to, input),
            capacity: capacity[at] as u64,
            latency: latency[at] as u64,
            credit: credit[at] as u64,
            initial: initial[at] as u64,
            lanes: lanes[at] as usize,
        });
    }
    Ok(streams)
}

/// Room for exactly the ends that a unit has: most have one or two, and there may be many units.
fn reserve(units: &mut [Unit], plain: &[bool], ends: &[i64], side: fn(&mut Phase) -> &mut Ends) {
    let mut counts = vec![0; units.len()];
    for &unit in ends {
        if let Some(count) = counts.get_mut(unit as usize) {
            *count += 1;
        }
    }
    for ((unit, count), _) in units.iter_mut().zip(counts).zip(plain).filter(|(_, plain)| **plain) {
        side(&mut unit.phases[0]).reserve_exact(count);
    }
}

/// A port, and the pattern of each phase.
fn port(given: GivenPort) -> (Port, Vec<usize>) {
    let (tier, write, outstanding, patterns, phases) = given;
    let pattern = |(base, run, stride, bytes)| Pattern { base, argument: None, run, stride, bytes, indexed: false };
    (Port { tier, write, outstanding, patterns: patterns.into_iter().map(pattern).collect() }, phases)
}

fn check_lengths(py: Python<'_>, kind: &str, count: usize, columns: &[&[i64]]) -> PyResult<()> {
    match columns.iter().find(|column| column.len() != count) {
        None => Ok(()),
        Some(column) => Err(errors::graph(py, format!("{count} {kind}s have a column of {} numbers", column.len()))),
    }
}

fn times(count: i64) -> Times {
    u64::try_from(count).map_or(Times::Open, Times::Fixed)
}

/// A list of (phase or list, times or None).
fn nests(list: &Bound<'_, PyAny>) -> PyResult<Vec<Nest>> {
    list.try_iter()?
        .map(|entry| {
            let (body, times): (Bound<'_, PyAny>, Option<u64>) = entry?.extract()?;
            let times = times.map_or(Times::Open, Times::Fixed);
            Ok(match body.extract::<usize>() {
                Ok(phase) => Nest::Fire { phase, times },
                Err(_) => Nest::Loop { body: nests(&body)?, times },
            })
        })
        .collect()
}
