//! Engine errors as the Python exceptions of `rdu.errors`: one function per error enum.

use pyo3::call::PyCallArgs;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{IntoPyDict, PyDict, PyType};
use rdu_dataflow::{BuildError, Remedy, RunError};
use rdu_machine::MachineError;
use rdu_memory::dram::DramError;

static GRAPH: Class = Class::new("GraphError");
static RUN: Class = Class::new("RunError");
static COMPILE: Class = Class::new("CompileError");
static MEMORY: Class = Class::new("MemoryDescriptionError");
static TRANSFER: Class = Class::new("TransferError");
static DEADLOCK: Class = Class::new("DeadlockError");

/// An exception class of `rdu.errors`, imported when it is first raised.
pub struct Class {
    name: &'static str,
    class: PyOnceLock<Py<PyType>>,
}

impl Class {
    pub const fn new(name: &'static str) -> Self {
        Class { name, class: PyOnceLock::new() }
    }

    /// An exception of this class; where the class cannot be imported or called, the error that says why.
    pub fn raise<'py>(&self, py: Python<'py>, arguments: impl PyCallArgs<'py>) -> PyErr {
        let made = self.class.import(py, "rdu.errors", self.name).and_then(|class| class.call1(arguments));
        made.map_or_else(|error| error, PyErr::from_value)
    }
}

/// A graph that cannot be built, in words.
pub fn graph(py: Python<'_>, message: String) -> PyErr {
    GRAPH.raise(py, (message,))
}

pub fn build(py: Python<'_>, error: BuildError) -> PyErr {
    graph(py, error.to_string())
}

pub fn run(py: Python<'_>, error: RunError) -> PyErr {
    let message = error.to_string();
    match error {
        RunError::Deadlock { cycle_of_waiting, remedy, .. } => {
            let (units, streams): (Vec<_>, Vec<_>) = cycle_of_waiting.into_iter().map(|w| (w.unit, w.stream)).unzip();
            let capacities = remedy.map(|remedy| match remedy {
                Remedy::Capacities(grown) => grown.into_py_dict(py),
                Remedy::Tokens(_) => Ok(PyDict::new(py)),
            });
            match capacities.transpose() {
                Ok(capacities) => DEADLOCK.raise(py, (message, units, streams, capacities)),
                Err(error) => error,
            }
        }
        // `watch::detached` raises what stopped the run; without it the interrupt itself is all there is to say.
        RunError::Interrupted => PyKeyboardInterrupt::new_err(message),
        RunError::Value { .. } | RunError::Undecided { .. } | RunError::Endless { .. } => RUN.raise(py, (message,)),
    }
}

/// What the machine could not take or finish. Its arithmetic and its addresses follow from the compiler, so an error
/// there is one of compiling.
pub fn machine(py: Python<'_>, error: MachineError) -> PyErr {
    match error {
        MachineError::Build(error) => build(py, error),
        MachineError::Run(error) => run(py, error),
        other => COMPILE.raise(py, (other.to_string(),)),
    }
}

/// A memory that cannot be described so, in words.
pub fn memory(py: Python<'_>, message: String) -> PyErr {
    MEMORY.raise(py, (message,))
}

/// What a memory cannot be, and what it cannot serve.
pub fn dram(py: Python<'_>, error: DramError) -> PyErr {
    let message = error.to_string();
    match error {
        DramError::Value { .. } | DramError::Field { .. } | DramError::Bits { .. } | DramError::PowerOfTwo { .. } => {
            memory(py, format!("memory {message}"))
        }
        DramError::Outside { .. }
        | DramError::Empty { .. }
        | DramError::Length { .. }
        | DramError::Order { .. }
        | DramError::Option { .. } => TRANSFER.raise(py, (message,)),
        // `watch::detached` raises what stopped the replay; without it the interrupt itself is all there is to say.
        DramError::Stopped => PyKeyboardInterrupt::new_err(message),
    }
}
