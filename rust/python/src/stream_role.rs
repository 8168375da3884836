//! What the units of a program with values do with their tokens.

use crate::errors;
use crate::stream_function::{Failure, Function};
use numpy::{PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use rdu_dataflow::operator::Operator;
use rdu_dataflow::table::{self, Route, Sink, Source};
use rdu_dataflow::{Choice, Program};
use std::collections::HashMap;
use std::sync::Arc;

/// A role by unit.
pub enum Role {
    Source(Arc<Rows>),
    Sink,
    Route { control: Option<usize> },
    Table { name: String, lanes: Vec<usize> },
    Function { call: Py<PyAny>, name: String, inputs: Vec<usize>, outputs: Vec<usize> },
}

impl Role {
    pub fn name(&self) -> &str {
        match self {
            Role::Source(_) => "source",
            Role::Sink => "sink",
            Role::Route { .. } => "route",
            Role::Table { name, .. } => name,
            Role::Function { .. } => "function",
        }
    }

    /// Fresh state for one run; the second part is where a sink keeps what it takes.
    pub fn start(&self, py: Python<'_>, failure: &Failure) -> Result<(Box<dyn Operator>, Option<Sink>), String> {
        Ok(match self {
            Role::Source(rows) => (Box::new(Source { values: Shared(Arc::clone(rows)), at: 0 }), None),
            Role::Sink => {
                let sink = Sink::default();
                (Box::new(sink.clone()), Some(sink))
            }
            Role::Route { control } => (Box::new(Route { control: *control }), None),
            Role::Table { name, lanes } => (table::operator_of(name, lanes)?, None),
            Role::Function { call, name, inputs, outputs } => {
                let call = call.clone_ref(py);
                (Box::new(Function::new(call, name, inputs, outputs, Arc::clone(failure))), None)
            }
        })
    }
}

/// The rows of a source: the memory of a NumPy array that is kept alive here, not a copy of it.
pub struct Rows {
    _array: Py<PyArray2<f32>>,
    first: *const f32,
    count: usize,
}

// SAFETY: the memory belongs to the array, which lives as long as `Rows`, and is only read here. Who writes into the
// array while a run reads it gets either value, as with any NumPy code that releases the interpreter lock.
unsafe impl Send for Rows {}
// SAFETY: as above; nothing here changes after it was made.
unsafe impl Sync for Rows {}

impl Rows {
    fn new(array: &Bound<'_, PyArray2<f32>>) -> PyResult<Self> {
        let values = array.try_readonly()?;
        let values = values.as_slice()?;
        Ok(Rows { first: values.as_ptr(), count: values.len(), _array: array.clone().unbind() })
    }
}

/// Rows as one run holds them.
struct Shared(Arc<Rows>);

impl AsRef<[f32]> for Shared {
    fn as_ref(&self) -> &[f32] {
        // SAFETY: pointer and length are those of a contiguous array that `_array` keeps alive; NumPy refuses to resize
        // an array that others refer to.
        unsafe { std::slice::from_raw_parts(self.0.first, self.0.count) }
    }
}

/// The role of every unit, checked: `ops` has a name of the table, "source", "sink", "route" or a function for each.
pub fn roles(
    py: Python<'_>,
    program: &Program,
    ops: Vec<Bound<'_, PyAny>>,
    mut values: HashMap<usize, Bound<'_, PyArray2<f32>>>,
) -> PyResult<Vec<Role>> {
    let count = program.units().len();
    if ops.len() != count {
        return Err(errors::graph(py, format!("{} operators for {count} units; each unit needs one", ops.len())));
    }
    let lanes = |streams: &[usize]| streams.iter().map(|&at| program.streams()[at].lanes).collect::<Vec<_>>();
    let role = |(at, op): (usize, Bound<'_, PyAny>)| {
        let unit = &program.units()[at];
        if op.is_callable() {
            let (inputs, outputs) = (lanes(program.inputs(at)), lanes(program.outputs(at)));
            return Ok(Role::Function { call: op.unbind(), name: unit.name.clone(), inputs, outputs });
        }
        let name: String = op.extract()?;
        Ok(match name.as_str() {
            "source" => match values.remove(&at) {
                Some(rows) => Role::Source(Arc::new(Rows::new(&rows)?)),
                None => return Err(errors::graph(py, format!("source {:?} has no values", unit.name))),
            },
            "sink" => Role::Sink,
            "route" => {
                let control = match unit.choice {
                    Some(Choice::Control(input)) => Some(input),
                    _ => None,
                };
                Role::Route { control }
            }
            _ => {
                let lanes = lanes(program.inputs(at));
                table::operator_of(&name, &lanes)
                    .map_err(|what| errors::graph(py, format!("unit {:?}: {what}", unit.name)))?;
                Role::Table { name, lanes }
            }
        })
    };
    ops.into_iter().enumerate().map(role).collect()
}
