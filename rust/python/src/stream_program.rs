//! Stream programs: what `rdu.Builder` describes, checked once and run any number of times.

use crate::errors;
use crate::stream_columns::{self, Special, StreamColumns, UnitColumns};
use crate::stream_description;
use crate::stream_role::{self, Role};
use crate::stream_run::{self, Asked, Recording};
use numpy::{PyArray2, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rdu_dataflow::{Call, Choice, Program, Stream, Unit, table};
use std::collections::HashMap;
use std::sync::Arc;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<StreamProgram>()?;
    module.add_class::<Recording>()?;
    module.add_function(wrap_pyfunction!(operator_rules, module)?)?;
    module.add_function(wrap_pyfunction!(operators, module)?)
}

/// Every elementary operator: name, what it does, and how many inputs it takes (`None`: one or more).
#[pyfunction]
fn operators() -> Vec<(&'static str, &'static str, Option<usize>)> {
    table::TABLE.iter().map(|entry| (entry.name, entry.doc, entry.inputs)).collect()
}

/// Every elementary operator: name, inputs, whether it folds many tokens into one, and what it says of lanes.
#[pyfunction]
fn operator_rules() -> Vec<(&'static str, Option<usize>, bool, &'static str)> {
    table::TABLE.iter().map(|entry| (entry.name, entry.inputs, entry.folds(), entry.lanes.name())).collect()
}

/// What programs that differ only in times and capacities share; recorded runs belong to it.
pub struct Structure {
    /// One per unit, in a program with values.
    pub roles: Option<Vec<Role>>,
    /// What data-dependent units choose in a program without values: one list per unit.
    pub decided: Option<Vec<Vec<u32>>>,
}

/// A checked stream program. Its errors are those of `rdu.errors`.
#[pyclass(frozen, module = "rdu._core")]
pub(crate) struct StreamProgram {
    program: Program,
    call: Call,
    structure: Arc<Structure>,
}

/// Unit, phase (`None`: all), new ii and latency; `None` leaves a number as it is.
type UnitTimes = (usize, Option<usize>, Option<u64>, Option<u64>);
/// Stream, new capacity, latency and credit.
type StreamTimes = (usize, Option<u64>, Option<u64>, Option<u64>);

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
    /// `ops` is, for each unit of a program with values, the name of its operator (or "source", "sink" or "route") or a
    /// function; `values` has the rows of sources, `decided` the choices of data-dependent units, by unit.
    #[new]
    #[pyo3(signature = (units, streams, special, ops=None, values=None, decided=None))]
    fn new(
        py: Python<'_>,
        units: UnitColumns<'_>,
        streams: StreamColumns<'_>,
        special: Vec<Special<'_>>,
        ops: Option<Vec<Bound<'_, PyAny>>>,
        values: Option<HashMap<usize, Bound<'_, PyArray2<f32>>>>,
        decided: Option<HashMap<usize, PyReadonlyArray1<'_, u32>>>,
    ) -> PyResult<Self> {
        let program = stream_columns::program(py, units, streams, special)?;
        let call = Call::default();
        program.bind(&call).map_err(|error| errors::build(py, error))?;
        let roles = ops.map(|ops| stream_role::roles(py, &program, ops, values.unwrap_or_default())).transpose()?;
        let decided = decided.map(|decided| tapes(program.units().len(), decided)).transpose()?;
        Ok(StreamProgram { program, call, structure: Arc::new(Structure { roles, decided }) })
    }

    /// The program as plain dictionaries and lists, with the names of phases and tiers and the kinds of data-dependent
    /// units.
    fn describe<'py>(
        &self,
        py: Python<'py>,
        phases: HashMap<usize, Vec<String>>,
        kinds: HashMap<usize, String>,
        tiers: Vec<String>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let ops: Option<Vec<&str>> = self.structure.roles.as_ref().map(|roles| roles.iter().map(Role::name).collect());
        stream_description::describe(py, self.program(), ops.as_deref(), &phases, &kinds, &tiers)
    }

    /// Some unit takes what comes first, so that values depend on time.
    #[getter]
    fn merges(&self) -> bool {
        self.program.units().iter().any(|unit| unit.choice == Some(Choice::FirstCome))
    }

    /// The same units and streams with other times and capacities.
    fn retimed(&self, py: Python<'_>, units: Vec<UnitTimes>, streams: Vec<StreamTimes>) -> PyResult<Self> {
        let mut all: Vec<Unit> = self.program.units().to_vec();
        for (at, phase, ii, latency) in units {
            let phases = all.get_mut(at).map_or(&mut [][..], |unit| &mut unit.phases[..]);
            for (_, entry) in
                phases.iter_mut().enumerate().filter(|(number, _)| phase.is_none_or(|only| only == *number))
            {
                entry.ii = ii.unwrap_or(entry.ii);
                entry.latency = latency.unwrap_or(entry.latency);
            }
        }
        let mut joined: Vec<Stream> = self.program.streams().to_vec();
        for (at, capacity, latency, credit) in streams {
            if let Some(stream) = joined.get_mut(at) {
                stream.capacity = capacity.unwrap_or(stream.capacity);
                stream.latency = latency.unwrap_or(stream.latency);
                stream.credit = credit.unwrap_or(stream.credit);
            }
        }
        let program = Program::new(all, joined).map_err(|error| errors::build(py, error))?;
        program.bind(&self.call).map_err(|error| errors::build(py, error))?;
        Ok(StreamProgram { program, call: self.call.clone(), structure: Arc::clone(&self.structure) })
    }

    /// Runs to the end. `asked` says what is wanted beside the totals; see `stream_run::run` for what comes back.
    fn run<'py>(&self, py: Python<'py>, asked: Asked<'py>) -> PyResult<Bound<'py, PyDict>> {
        let bound = self.program().bind(self.call()).map_err(|error| errors::build(py, error))?;
        stream_run::run(py, &bound, &self.program, &self.structure, asked)
    }
}

fn tapes(units: usize, decided: HashMap<usize, PyReadonlyArray1<'_, u32>>) -> PyResult<Vec<Vec<u32>>> {
    let mut tapes = vec![Vec::new(); units];
    for (at, decisions) in decided {
        if let Some(tape) = tapes.get_mut(at) {
            tape.extend_from_slice(decisions.as_slice()?);
        }
    }
    Ok(tapes)
}
