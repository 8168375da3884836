//! The memory model by itself: a description in, requests as borrowed arrays, counts and times in ticks out.

use crate::errors;
use crate::watch::detached;
use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rdu_memory::dram::{Addresses, Dram as Device, Each, Options, Replay, Traffic};
use std::cell::RefCell;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Dram>()
}

type Column<'py> = PyReadonlyArray1<'py, u64>;
/// Addresses, bytes, which are writes, and arrivals in ps; bytes and writes may be one for all.
type Requests<'py> = (Column<'py>, Column<'py>, PyReadonlyArray1<'py, bool>, Option<Column<'py>>);
/// Start, stride and count, bytes of each, whether they are writes.
type Pattern = (u64, u64, u64, u64, bool);

/// How a replay is asked for.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Asked {
    outstanding: Option<u64>,
    warmup: u64,
    measure: Option<u64>,
    times: bool,
    trace: usize,
    skip: bool,
}

impl Asked {
    fn options(&self) -> Options {
        Options {
            outstanding: self.outstanding,
            warmup: self.warmup,
            measured: self.measure,
            trace: self.trace > 0,
            times: self.times,
            skip: self.skip,
        }
    }
}

/// A memory, checked.
#[pyclass(frozen, module = "rdu._core")]
struct Dram {
    device: Device,
}

#[pymethods]
impl Dram {
    #[new]
    fn new(py: Python<'_>, description: Bound<'_, PyAny>) -> PyResult<Self> {
        let config = pythonize::depythonize(&description).map_err(|error| errors::memory(py, error.to_string()))?;
        Device::new(config).map(|device| Dram { device }).map_err(|error| errors::dram(py, error))
    }

    /// What follows from the description.
    fn facts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (config, facts) = (self.device.config(), PyDict::new(py));
        facts.set_item("capacity_bytes", config.organisation.capacity_bytes())?;
        facts.set_item("burst_bytes", config.organisation.burst_bytes())?;
        facts.set_item("channels", config.organisation.all_channels())?;
        facts.set_item("peak_bytes_per_second", config.peak_bytes_per_second())?;
        facts.set_item("tick_fs", config.tick_fs())?;
        Ok(facts)
    }

    fn replay<'py>(&self, py: Python<'py>, requests: Requests<'py>, asked: Asked) -> PyResult<Bound<'py, PyDict>> {
        let (addresses, bytes, writes, arrivals) = requests;
        let traffic = Traffic {
            addresses: Addresses::List(addresses.as_slice()?),
            bytes: each(bytes.as_slice()?),
            writes: each(writes.as_slice()?),
            arrivals_ps: arrivals.as_ref().map(|column| column.as_slice()).transpose()?,
        };
        self.run(py, &traffic, &asked)
    }

    fn replay_pattern<'py>(&self, py: Python<'py>, pattern: Pattern, asked: Asked) -> PyResult<Bound<'py, PyDict>> {
        let (start, stride, count, bytes, write) = pattern;
        let addresses = Addresses::Pattern { start, stride, count };
        let traffic = Traffic { addresses, bytes: Each::All(bytes), writes: Each::All(write), arrivals_ps: None };
        self.run(py, &traffic, &asked)
    }
}

impl Dram {
    fn run<'py>(&self, py: Python<'py>, traffic: &Traffic<'_>, asked: &Asked) -> PyResult<Bound<'py, PyDict>> {
        let options = asked.options();
        let work = |watch: &mut dyn FnMut(u64) -> bool| {
            let watch = RefCell::new(watch);
            self.device.replay(traffic, &options, &|| !(watch.borrow_mut())(0))
        };
        let replay = detached(py, None, work, errors::dram)?;
        made(py, replay, asked)
    }
}

/// A column of one entry stands for all requests.
fn each<T: Copy>(column: &[T]) -> Each<'_, T> {
    match column {
        [one] => Each::All(*one),
        list => Each::List(list),
    }
}

fn made<'py>(py: Python<'py>, replay: Replay, asked: &Asked) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    out.set_item("elapsed_ticks", replay.elapsed_ticks)?;
    out.set_item("read_bursts", replay.read_bursts)?;
    out.set_item("written_bursts", replay.written_bursts)?;
    out.set_item("bytes_read", replay.read_bytes)?;
    out.set_item("bytes_written", replay.written_bytes)?;
    out.set_item("peak_fraction", replay.peak_fraction)?;
    out.set_item("row_hits", replay.row_hits)?;
    let latencies = &replay.latencies;
    let known = latencies.count > 0;
    out.set_item("mean_latency_ticks", known.then(|| latencies.mean_ticks()))?;
    out.set_item("p50_latency_ticks", known.then(|| latencies.quantile_ticks(0.5)))?;
    out.set_item("p99_latency_ticks", known.then(|| latencies.quantile_ticks(0.99)))?;
    out.set_item("latency_counts", PyArray1::from_slice(py, &latencies.octaves()))?;
    out.set_item("commands", replay.commands.to_vec())?;
    out.set_item("busy_ticks", replay.busy_ticks)?;
    let idle = replay.idle.iter().flat_map(|idle| {
        [idle.no_request, idle.refresh, idle.row_miss, idle.turnaround, idle.bank_conflict, idle.imbalance]
    });
    let idle = PyArray1::from_iter(py, idle).reshape([replay.idle.len(), 6])?;
    out.set_item("idle_ticks", idle)?;
    let times = asked.times.then(|| {
        let flat = replay.times.iter().flat_map(|&(accepted, done)| [accepted, done]);
        PyArray1::from_iter(py, flat).reshape([replay.times.len(), 2])
    });
    out.set_item("times", times.transpose()?)?;
    let trace = (asked.trace > 0).then(|| trace(py, &replay, asked.trace)).transpose()?;
    out.set_item("trace", trace)?;
    Ok(out)
}

/// Rows of tick, command, channel, pseudo channel, rank, bank group, bank, row and column.
fn trace<'py>(py: Python<'py>, replay: &Replay, most: usize) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let issued = &replay.trace[..most.min(replay.trace.len())];
    let rows = issued.iter().flat_map(|one| {
        let place = [one.pseudo_channel, one.rank, one.bank_group, one.bank].map(u64::from);
        let [pseudo_channel, rank, bank_group, bank] = place;
        let (command, channel) = (one.command as u64, u64::from(one.channel));
        let (row, column) = (u64::from(one.row), u64::from(one.column));
        [one.tick, command, channel, pseudo_channel, rank, bank_group, bank, row, column]
    });
    PyArray1::from_iter(py, rows).reshape([issued.len(), 9])
}
