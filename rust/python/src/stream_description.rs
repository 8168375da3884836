//! A stream program as plain dictionaries and lists: what pictures and other formats are made from.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use rdu_dataflow::{Choice, Nest, Pattern, Phase, Port, Program, Times};
use std::collections::HashMap;

/// Units with phases, nests and operators, and streams with rates; `ops` has one name per unit, where there are values.
/// `named` has the names of phases, `kinds` those of data-dependent units, by unit; `tiers` those of tiers.
pub fn describe<'py>(
    py: Python<'py>,
    program: &Program,
    ops: Option<&[&str]>,
    named: &HashMap<usize, Vec<String>>,
    kinds: &HashMap<usize, String>,
    tiers: &[String],
) -> PyResult<Bound<'py, PyDict>> {
    let units = PyList::empty(py);
    for (at, unit) in program.units().iter().enumerate() {
        let names = |ends: &[usize]| ends.iter().map(|&end| program.streams()[end].name.as_str()).collect::<Vec<_>>();
        let (inputs, outputs) = (names(program.inputs(at)), names(program.outputs(at)));
        let phases = PyList::empty(py);
        for (number, phase) in unit.phases.iter().enumerate() {
            let name = named.get(&at).and_then(|names| names.get(number));
            let entry = described(py, phase, name, &inputs, &outputs)?;
            if let (Some(port), Some(pattern)) = (&unit.port, phase.transfer) {
                entry.set_item("transfer", addresses(py, &port.patterns[pattern])?)?;
            }
            phases.append(entry)?;
        }
        let entry = PyDict::new(py);
        entry.set_item("name", &unit.name)?;
        entry.set_item("op", ops.map(|ops| ops[at]))?;
        entry.set_item("firings", firings(&unit.nest))?;
        entry.set_item("phases", phases)?;
        entry.set_item("nest", nest(py, &unit.nest)?)?;
        entry.set_item("choice", unit.choice.map(|choice| chosen(py, choice, kinds.get(&at), &inputs)).transpose()?)?;
        entry.set_item("transfer", unit.port.as_ref().map(|port| door(py, port, tiers)).transpose()?)?;
        units.append(entry)?;
    }
    let streams = PyList::empty(py);
    for stream in program.streams() {
        let (from, to) = (&program.units()[stream.from.0], &program.units()[stream.to.0]);
        let rate =
            |rates: &[(usize, u32)], index: usize| rates.iter().find(|end| end.0 == index).map_or(0, |end| end.1);
        let produce: Vec<u32> = from.phases.iter().map(|phase| rate(&phase.produce, stream.from.1)).collect();
        let consume: Vec<u32> = to.phases.iter().map(|phase| rate(&phase.consume, stream.to.1)).collect();
        let entry = PyDict::new(py);
        entry.set_item("name", &stream.name)?;
        entry.set_item("source", &from.name)?;
        entry.set_item("target", &to.name)?;
        entry.set_item("capacity", stream.capacity)?;
        entry.set_item("latency", stream.latency)?;
        entry.set_item("credit", stream.credit)?;
        entry.set_item("initial", stream.initial)?;
        entry.set_item("lanes", stream.lanes)?;
        entry.set_item("produce", produce)?;
        entry.set_item("consume", consume)?;
        streams.append(entry)?;
    }
    let all = PyDict::new(py);
    all.set_item("units", units)?;
    all.set_item("streams", streams)?;
    Ok(all)
}

/// What makes a unit data-dependent, and the stream that decides; a merge has none.
fn chosen<'py>(
    py: Python<'py>,
    choice: Choice,
    kind: Option<&String>,
    inputs: &[&str],
) -> PyResult<Bound<'py, PyDict>> {
    let control = match choice {
        Choice::Control(input) => inputs.get(input),
        Choice::FirstCome => None,
    };
    let entry = PyDict::new(py);
    entry.set_item("kind", kind)?;
    entry.set_item("control", control)?;
    Ok(entry)
}

/// What all transfers of a unit have in common.
fn door<'py>(py: Python<'py>, port: &Port, tiers: &[String]) -> PyResult<Bound<'py, PyDict>> {
    let entry = PyDict::new(py);
    entry.set_item("tier", tiers.get(port.tier))?;
    entry.set_item("write", port.write)?;
    entry.set_item("outstanding", port.outstanding)?;
    Ok(entry)
}

/// Where the transfers of a phase go.
fn addresses<'py>(py: Python<'py>, pattern: &Pattern) -> PyResult<Bound<'py, PyDict>> {
    let entry = PyDict::new(py);
    entry.set_item("address", pattern.base)?;
    entry.set_item("nbytes", pattern.bytes)?;
    entry.set_item("run", pattern.run)?;
    entry.set_item("stride", pattern.stride)?;
    Ok(entry)
}

fn described<'py>(
    py: Python<'py>,
    phase: &Phase,
    name: Option<&String>,
    inputs: &[&str],
    outputs: &[&str],
) -> PyResult<Bound<'py, PyDict>> {
    let entry = PyDict::new(py);
    if let Some(name) = name {
        entry.set_item("name", name)?;
    }
    entry.set_item("ii", phase.ii)?;
    entry.set_item("latency", phase.latency)?;
    for (side, rates, names) in [("consume", &phase.consume, inputs), ("produce", &phase.produce, outputs)] {
        let ends = PyDict::new(py);
        for &(index, rate) in rates {
            ends.set_item(names[index], rate)?;
        }
        entry.set_item(side, ends)?;
    }
    Ok(entry)
}

fn nest<'py>(py: Python<'py>, nests: &[Nest]) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for entry in nests {
        let described = PyDict::new(py);
        let times = match entry {
            Nest::Fire { phase, times } => {
                described.set_item("phase", phase)?;
                times
            }
            Nest::Loop { body, times } => {
                described.set_item("body", nest(py, body)?)?;
                times
            }
        };
        described.set_item("times", fixed(*times))?;
        list.append(described)?;
    }
    Ok(list)
}

/// Firings of a whole nest; `None` where that is not known before a run.
fn firings(nests: &[Nest]) -> Option<u64> {
    nests.iter().try_fold(0u64, |sum, nest| {
        let (inner, times) = match nest {
            Nest::Fire { times, .. } => (1, times),
            Nest::Loop { body, times } => (firings(body)?, times),
        };
        sum.checked_add(inner.checked_mul(fixed(*times)?)?)
    })
}

fn fixed(times: Times) -> Option<u64> {
    match times {
        Times::Fixed(times) => Some(times),
        _ => None,
    }
}
