//! Kernels, and a machine at work on them.

use crate::errors;
use crate::image::Image;
use crate::tier::{self, GivenTier};
use crate::watch::detached;
use numpy::{PyArray2, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pythonize::depythonize;
use rdu_dataflow::Call;
use rdu_kernels::Element;
use rdu_machine::timer::Asked;
use rdu_machine::totals::TierTotals;
use rdu_machine::{CallCosts, Contents, KernelSpec, Mode};
use rdu_memory::MemoryError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Kernel>()?;
    module.add_class::<Timer>()?;
    module.add_class::<Session>()
}

/// A mapped kernel, checked.
#[pyclass(frozen, module = "rdu._core")]
struct Kernel {
    inner: rdu_machine::Kernel,
}

#[pymethods]
impl Kernel {
    /// `description` is what the compiler's `lower` makes.
    #[new]
    fn new(py: Python<'_>, description: &Bound<'_, PyAny>) -> PyResult<Self> {
        let spec: KernelSpec = depythonize(description).map_err(|error| errors::graph(py, error.to_string()))?;
        let inner = rdu_machine::Kernel::new(spec).map_err(|error| errors::machine(py, error))?;
        Ok(Kernel { inner })
    }
}

/// Times passes on a machine, and keeps what they took.
#[pyclass(frozen, module = "rdu._core")]
struct Timer {
    inner: Arc<rdu_machine::Timer>,
}

#[pymethods]
impl Timer {
    /// `tiers`: descriptions of memory devices; `costs`: cycles of program load, and of all else that starts a call.
    #[new]
    fn new(py: Python<'_>, tiers: &Bound<'_, PyAny>, costs: (u64, u64)) -> PyResult<Self> {
        let tiers = tier::given(py, tiers)?.into_iter().map(GivenTier::build).collect::<Result<_, MemoryError>>();
        let tiers = tiers.map_err(|error| errors::machine(py, error.into()))?;
        let costs = CallCosts { program_load: costs.0, start: costs.1 };
        Ok(Timer { inner: Arc::new(rdu_machine::Timer::new(tiers, costs)) })
    }

    /// Passes that it need not time again.
    #[getter]
    fn passes(&self) -> usize {
        self.inner.passes()
    }
}

/// A machine at work: what its memories hold, and what its passes took.
#[pyclass(frozen, module = "rdu._core")]
struct Session {
    inner: Mutex<rdu_machine::Session>,
}

impl Session {
    fn lock(&self) -> MutexGuard<'_, rdu_machine::Session> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Session {
    /// `regions`: (address, bytes) of the state, zeroed.
    #[new]
    fn new(py: Python<'_>, image: &Image, timer: &Timer, regions: Vec<(u64, u64)>) -> PyResult<Self> {
        let mut contents = Contents { constant: image.shared(), ..Contents::default() };
        for (base, bytes) in regions {
            contents.state.reserve(base, bytes).map_err(|error| errors::machine(py, error))?;
        }
        let inner = rdu_machine::Session::new(Arc::clone(&timer.inner), contents);
        Ok(Session { inner: Mutex::new(inner) })
    }

    /// Runs the calls of a pass: (the number by which this timer knows the kernel, the kernel, arguments).
    ///
    /// `indices`: rows to look up; `timed`: rows that machine time looks up in their place. `mode`: "step" (values on
    /// every token), "split" (values in blocked kernels, time token by token) or "values".
    #[pyo3(signature = (calls, indices, timed, mode, progress=None))]
    fn run(
        &self,
        py: Python<'_>,
        calls: Vec<(usize, Py<Kernel>, Vec<u64>)>,
        indices: Vec<u64>,
        timed: Vec<u64>,
        mode: &str,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let mode = match mode {
            "step" => Mode::Step,
            "split" => Mode::Split,
            "values" => Mode::Values,
            _ => return Err(errors::graph(py, format!("mode is {mode:?}; choose step, split or values"))),
        };
        let mut asked = Vec::with_capacity(calls.len());
        for (id, kernel, arguments) in &calls {
            let call = Call { arguments: arguments.clone(), indices: indices.clone() };
            asked.push(Asked { id: *id, kernel: &kernel.get().inner, call });
        }
        detached(py, progress, |watch| self.lock().pass(&asked, &timed, mode, watch), errors::machine)
    }

    /// Writes float32 values at an address of the state.
    fn write(&self, py: Python<'_>, address: u64, values: PyReadonlyArray1<'_, f32>) -> PyResult<()> {
        let session = self.lock();
        let mut contents = session.contents().lock().unwrap_or_else(PoisonError::into_inner);
        contents.put(address, values.as_slice()?, Element::F32).map_err(|error| errors::machine(py, error))
    }

    /// Reads a float32 tensor `(positions, width)` that lies at an address chunk by chunk.
    fn read<'py>(
        &self,
        py: Python<'py>,
        address: u64,
        positions: usize,
        width: usize,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let session = self.lock();
        let contents = session.contents().lock().unwrap_or_else(PoisonError::into_inner);
        let array = PyArray2::zeros(py, [positions, width], false);
        let rows = array.try_readwrite()?.as_slice_mut().map(|y| contents.rows(address, width, y));
        rows?.map_err(|error| errors::machine(py, error))?;
        Ok(array)
    }

    /// Machine time so far, in cycles.
    #[getter]
    fn cycles(&self) -> u64 {
        self.lock().session_totals().cycles
    }

    /// What the session has counted: a dictionary of plain numbers and lists.
    fn totals<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let session = self.lock();
        let all = session.session_totals();
        let out = PyDict::new(py);
        out.set_item("cycles", all.cycles)?;
        out.set_item("firings", all.firings)?;
        out.set_item("traffic", traffic(&all.tiers))?;
        out.set_item("memory", tier::counted(py, &all.tiers)?)?;
        let mut kernels = Vec::new();
        for totals in session.totals() {
            let kernel = PyDict::new(py);
            kernel.set_item("calls", totals.calls)?;
            kernel.set_item("firings", totals.firings)?;
            kernel.set_item("run_cycles", totals.run_cycles)?;
            kernel.set_item("call_cycles", totals.call_cycles)?;
            kernel.set_item("drain_cycles", totals.drain_cycles)?;
            kernel.set_item("traffic", traffic(&totals.tiers))?;
            kernel.set_item("memory", tier::counted(py, &totals.tiers)?)?;
            let units: Vec<[u64; 6]> = totals
                .units
                .iter()
                .map(|unit| {
                    let c = unit.counters;
                    [c.busy, c.data, c.space, c.memory, c.idle, unit.firings]
                })
                .collect();
            kernel.set_item("units", units)?;
            let streams: Vec<[u64; 2]> = totals.streams.iter().map(|s| [s.tokens, s.high_water]).collect();
            kernel.set_item("streams", streams)?;
            kernels.push(kernel);
        }
        out.set_item("kernels", kernels)?;
        Ok(out)
    }
}

/// (bytes read, bytes written) of each tier.
fn traffic(tiers: &[TierTotals]) -> Vec<[u64; 2]> {
    tiers.iter().map(|tier| tier.asked_bytes).collect()
}
