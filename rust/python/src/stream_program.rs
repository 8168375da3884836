//! Stream programs: what `rdu.Builder` describes, checked once and run any number of times.

use crate::errors;
use crate::stream_description;
use crate::watch::detached;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pythonize::depythonize;
use rdu_dataflow::operator::Operator;
use rdu_dataflow::table::{self, Sink, Source};
use rdu_dataflow::{Call, Mode, NoMemory, Program, Setup, Stream, Unit, simulate};
use serde::de::DeserializeOwned;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<StreamProgram>()?;
    module.add_function(wrap_pyfunction!(operators, module)?)
}

/// Every elementary operator: name, what it does, and how many inputs it takes (`None`: one or more).
#[pyfunction]
fn operators() -> Vec<(&'static str, &'static str, Option<usize>)> {
    table::TABLE.iter().map(|entry| (entry.name, entry.doc, entry.inputs)).collect()
}

/// What a unit does with the values of its tokens.
enum Role {
    Source { values: Vec<f32> },
    Sink,
    Operator { name: String, inputs: usize, lanes: usize },
}

impl Role {
    fn name(&self) -> &str {
        match self {
            Role::Source { .. } => "source",
            Role::Sink => "sink",
            Role::Operator { name, .. } => name,
        }
    }

    /// Fresh state for one run; the second part is where a sink keeps what it takes.
    fn start(&self) -> Result<(Box<dyn Operator>, Option<Sink>), String> {
        Ok(match self {
            Role::Source { values } => (Box::new(Source { values: values.clone(), at: 0 }), None),
            Role::Sink => {
                let sink = Sink::default();
                (Box::new(sink.clone()), Some(sink))
            }
            Role::Operator { name, inputs, lanes } => (table::operator(name, *inputs, *lanes)?, None),
        })
    }
}

/// Busy, data, space, memory, idle, firings, first cycle and end cycle of a unit.
type UnitRow = [u64; 8];
/// Tokens and high-water mark of a stream.
type StreamRow = [u64; 2];
/// A sink's unit index and all its values, token by token.
type Output<'py> = (usize, Bound<'py, PyArray1<f32>>);

/// All of a run: cycles, firings, rows and outputs.
type Totals<'py> = (u64, u64, Vec<UnitRow>, Vec<StreamRow>, Vec<Output<'py>>);
/// A unit's role as Python names it: operator, values in one token, and a source's values.
type Named<'py> = (String, usize, Option<PyReadonlyArray1<'py, f32>>);

/// A checked stream program. Its errors are those of `rdu.errors`.
#[pyclass(frozen, module = "rdu._core")]
pub(crate) struct StreamProgram {
    program: Program,
    call: Call,
    /// One per unit, in a program with values.
    roles: Option<Vec<Role>>,
}

impl StreamProgram {
    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    pub(crate) fn call(&self) -> &Call {
        &self.call
    }
}

#[pymethods]
impl StreamProgram {
    /// `units` and `streams` are the engine's descriptions as dictionaries; `roles` is, for each unit of a program with
    /// values, the name of its operator (or "source" or "sink"), the values in one token, and a source's values.
    #[new]
    #[pyo3(signature = (units, streams, roles=None))]
    fn new(
        py: Python<'_>,
        units: &Bound<'_, PyAny>,
        streams: &Bound<'_, PyAny>,
        roles: Option<Vec<Named<'_>>>,
    ) -> PyResult<Self> {
        let program = Program::new(read::<Vec<Unit>>(py, units)?, read::<Vec<Stream>>(py, streams)?)
            .map_err(|error| errors::build(py, error))?;
        let call = Call::default();
        program.bind(&call).map_err(|error| errors::build(py, error))?;
        if let Some(unit) = program.units().iter().find(|unit| unit.port.is_some()) {
            let what = "a stream program has no memory, so no unit can have a port";
            return Err(errors::graph(py, format!("unit {:?}: {what}", unit.name)));
        }
        let roles = roles.map(|roles| checked(py, &program, roles)).transpose()?;
        Ok(StreamProgram { program, call, roles })
    }

    /// The program as plain dictionaries and lists.
    fn describe<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let ops: Option<Vec<&str>> = self.roles.as_ref().map(|roles| roles.iter().map(Role::name).collect());
        stream_description::describe(py, self.program(), ops.as_deref())
    }

    /// Runs step by step. Returns the cycles, the firings, a row per unit, a row per stream and the sinks' values.
    #[pyo3(signature = (progress=None))]
    fn run<'py>(&self, py: Python<'py>, progress: Option<Py<PyAny>>) -> PyResult<Totals<'py>> {
        let bound = self.program().bind(self.call()).map_err(|error| errors::build(py, error))?;
        let started = self.roles.iter().flatten().map(Role::start).collect::<Result<Vec<_>, _>>();
        let (mut operators, sinks): (Vec<_>, Vec<_>) =
            started.map_err(|what| errors::graph(py, what))?.into_iter().unzip();
        let run = detached(
            py,
            progress,
            |watch| match self.roles {
                Some(_) => simulate(&bound, Mode::Step, Setup::values(&mut NoMemory, &mut operators, watch)),
                None => simulate(&bound, Mode::Step, Setup::timing(&mut NoMemory, watch)),
            },
            errors::run,
        )?;
        let unit = |unit: &rdu_dataflow::UnitTotals| {
            let c = &unit.counters;
            [c.busy, c.data, c.space, c.memory, c.idle, unit.firings, unit.first_cycle, unit.end_cycle]
        };
        let mut outputs = Vec::new();
        for (at, sink) in sinks.into_iter().enumerate() {
            if let Some(mut values) = sink.as_ref().and_then(|sink| sink.values.lock().ok()) {
                outputs.push((at, std::mem::take(&mut *values).into_pyarray(py)));
            }
        }
        let streams = run.streams.iter().map(|stream| [stream.tokens, stream.high_water]).collect();
        Ok((run.cycles, run.firings, run.units.iter().map(unit).collect(), streams, outputs))
    }
}

fn read<T: DeserializeOwned>(py: Python<'_>, description: &Bound<'_, PyAny>) -> PyResult<T> {
    depythonize(description).map_err(|error| errors::graph(py, error.to_string()))
}

fn checked(py: Python<'_>, program: &Program, roles: Vec<Named<'_>>) -> PyResult<Vec<Role>> {
    let count = program.units().len();
    if roles.len() != count {
        return Err(errors::graph(py, format!("{} roles for {count} units; each unit needs one", roles.len())));
    }
    let mut all = Vec::with_capacity(count);
    for (at, (name, lanes, values)) in roles.into_iter().enumerate() {
        let unit = &program.units()[at].name;
        let role = match (name.as_str(), values) {
            ("source", Some(values)) => Role::Source { values: values.as_slice()?.to_vec() },
            ("source", None) => return Err(errors::graph(py, format!("source {unit:?} has no values"))),
            ("sink", _) => Role::Sink,
            _ => {
                let inputs = program.inputs(at).len();
                table::operator(&name, inputs, lanes)
                    .map_err(|what| errors::graph(py, format!("unit {unit:?}: {what}")))?;
                Role::Operator { name, inputs, lanes }
            }
        };
        all.push(role);
    }
    Ok(all)
}
