//! Tile SRAM by itself: a PMU's costs, and the allocator. Buffers go by index; Python has the names too.

use crate::errors::Class;
use crate::watch::detached;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rdu_memory::sram::{
    Access, Allocation, AllocationError, BankPorts, Buffer, Cost, Description, Layout, Matrix, Pattern, PingPong, Port,
    Remedies, Space, Sram as Pmu, SramError, allocate,
};

static DESCRIPTION: Class = Class::new("MemoryDescriptionError");
static TRANSFER: Class = Class::new("TransferError");
static FULL: Class = Class::new("SramFullError");

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Sram>()?;
    module.add_function(wrap_pyfunction!(allocate_sram, module)?)
}

/// Capacity, banks, bytes of a bank, of the read and the write port, addresses a cycle, latency in cycles.
type Sizes = (u64, u64, u64, u64, u64, u64, u64);
/// Addresses of gathered lanes, or none; then base, stride and lanes; bytes of an element; bytes of a skewed row.
type AccessRow = (Option<Vec<u64>>, u64, i64, u64, u64, Option<u64>);
/// Cycles, conflict cycles, words, words of the busiest bank, addresses, bytes.
type CostRow = (u64, u64, u64, u64, u64, u64);
/// Elapsed, write, write waiting for space, read, read waiting for data, overlap, contention: all cycles.
type OverlapRow = (u64, u64, u64, u64, u64, u64, u64);
/// Name, bytes, alignment, first use, last use.
type BufferRow = (String, u64, u64, u64, u64);
/// Pieces (buffer, PMU, offset, bytes), lower bound, fullest step, high-water mark of each PMU in use.
type AllocationRow = (Vec<(usize, usize, u64, u64)>, u64, u64, Vec<u64>);

/// One PMU, checked.
#[pyclass(frozen, module = "rdu._core")]
struct Sram {
    pmu: Pmu,
}

#[pymethods]
impl Sram {
    #[new]
    fn new(py: Python<'_>, name: String, sizes: Sizes, dual_port: bool, address_per_lane: bool) -> PyResult<Self> {
        let (capacity_bytes, banks, bank_bytes, read, write, addresses_per_cycle, latency_cycles) = sizes;
        let description = Description {
            name,
            capacity_bytes,
            banks,
            bank_bytes,
            read_bytes_per_cycle: read,
            write_bytes_per_cycle: write,
            addresses_per_cycle,
            latency_cycles,
            bank_ports: if dual_port { BankPorts::ReadAndWrite } else { BankPorts::Shared },
            address_per_lane,
        };
        Pmu::new(description).map(|pmu| Sram { pmu }).map_err(|error| raise(py, &error))
    }

    /// The cost of one vector.
    fn cost(&self, py: Python<'_>, asked: AccessRow, write: bool) -> PyResult<CostRow> {
        let port = if write { Port::Write } else { Port::Read };
        let (pmu, access) = (&self.pmu, access(asked));
        py.detach(|| pmu.cost(&access, port)).map(row).map_err(|error| raise(py, &error))
    }

    /// Words by bank of one vector.
    fn bank_words(&self, py: Python<'_>, asked: AccessRow) -> PyResult<Vec<u64>> {
        let (pmu, access) = (&self.pmu, access(asked));
        let demand = py.detach(|| pmu.demand(&access, Port::Read));
        demand.map(|demand| demand.bank_words).map_err(|error| raise(py, &error))
    }

    /// Cycles and conflict cycles of a vector written and a vector read, again and again.
    fn pair(&self, py: Python<'_>, write: AccessRow, read: AccessRow) -> PyResult<(u64, u64)> {
        let pair = self.pmu.pair(&access(write), &access(read)).map_err(|error| raise(py, &error))?;
        Ok((pair.cycles, pair.conflict_cycles))
    }

    /// Blocks through buffers in turn; `counts` are vectors written and read per block, blocks and buffers.
    fn ping_pong(
        &self,
        py: Python<'_>,
        write: AccessRow,
        read: AccessRow,
        counts: (u64, u64, u64, u64),
    ) -> PyResult<OverlapRow> {
        let (written_vectors, read_vectors, blocks, buffers) = counts;
        let (write, read) = (access(write), access(read));
        let run = PingPong { write, read, written_vectors, read_vectors, blocks, buffers };
        let pmu = &self.pmu;
        let o = py.detach(|| pmu.ping_pong(&run)).map_err(|error| raise(py, &error))?;
        Ok((
            o.elapsed_cycles,
            o.write_cycles,
            o.write_space_cycles,
            o.read_cycles,
            o.read_data_cycles,
            o.overlap_cycles,
            o.contention_cycles,
        ))
    }

    /// Cycles, conflict cycles and vectors of reading a matrix by columns; `shape` is base, rows, columns, bytes of an
    /// element and pitch.
    fn transpose(
        &self,
        py: Python<'_>,
        shape: (u64, u64, u64, u64, u64),
        row_bytes: Option<u64>,
    ) -> PyResult<(u64, u64, u64)> {
        let (base_bytes, rows, columns, element_bytes, pitch_bytes) = shape;
        let matrix = Matrix { base_bytes, rows, columns, element_bytes, pitch_bytes, layout: layout(row_bytes) };
        let pmu = &self.pmu;
        let t = py.detach(|| pmu.transpose(&matrix)).map_err(|error| raise(py, &error))?;
        Ok((t.cycles, t.conflict_cycles, t.vectors))
    }
}

/// Offsets for buffers in PMUs of one capacity.
#[pyfunction]
fn allocate_sram(
    py: Python<'_>,
    buffers: Vec<BufferRow>,
    capacity_bytes: u64,
    pmus: u64,
    split_bytes: Option<u64>,
) -> PyResult<AllocationRow> {
    let buffers: Vec<Buffer> = buffers
        .into_iter()
        .map(|(name, bytes, alignment_bytes, first_use, last_use)| Buffer {
            name,
            bytes,
            alignment_bytes,
            first_use,
            last_use,
        })
        .collect();
    let space = Space { capacity_bytes, pmus, split_bytes };
    let found: Allocation = detached(py, None, |watch| allocate(&buffers, &space, &mut || watch(0)), refuse)?;
    let pieces = found.pieces.iter().map(|piece| (piece.buffer, piece.pmu, piece.offset_bytes, piece.bytes)).collect();
    Ok((pieces, found.lower_bound_bytes, found.fullest_step, found.pmu_high_water_bytes))
}

fn access(asked: AccessRow) -> Access {
    let (addresses, base_bytes, stride_bytes, lanes, element_bytes, row_bytes) = asked;
    let pattern = match addresses {
        Some(addresses_bytes) => Pattern::Gathered { addresses_bytes },
        None => Pattern::Strided { base_bytes, stride_bytes, lanes },
    };
    Access { pattern, element_bytes, layout: layout(row_bytes) }
}

fn layout(row_bytes: Option<u64>) -> Layout {
    row_bytes.map_or(Layout::Linear, |row_bytes| Layout::Skewed { row_bytes })
}

fn row(cost: Cost) -> CostRow {
    (cost.cycles, cost.conflict_cycles, cost.words, cost.busiest_bank_words, cost.addresses, cost.bytes)
}

fn raise(py: Python<'_>, error: &SramError) -> PyErr {
    let class = match error {
        SramError::Description { .. } => &DESCRIPTION,
        SramError::Row { .. }
        | SramError::ElementOfNone
        | SramError::Lanes { .. }
        | SramError::Outside { .. }
        | SramError::Count { .. }
        | SramError::Straddles { .. }
        | SramError::Pitch { .. } => &TRANSFER,
    };
    class.raise(py, (error.to_string(),))
}

fn refuse(py: Python<'_>, error: AllocationError) -> PyErr {
    let message = error.to_string();
    match error {
        AllocationError::Full(full) => {
            let fits = match remedies(py, full.remedies) {
                Ok(fits) => fits,
                Err(error) => return error,
            };
            FULL.raise(py, (message, full.buffer, full.needed_bytes, full.free_bytes, full.step, full.holders, fits))
        }
        AllocationError::Interrupted => PyKeyboardInterrupt::new_err(message),
        AllocationError::Buffer { .. } | AllocationError::Twice { .. } | AllocationError::Space { .. } => {
            TRANSFER.raise(py, (message,))
        }
    }
}

/// Those there are, by name.
fn remedies(py: Python<'_>, found: Remedies) -> PyResult<Bound<'_, PyDict>> {
    let fits = PyDict::new(py);
    let numbers =
        [("capacity_bytes", found.capacity_bytes), ("pmus", found.pmus), ("shrink_bytes", found.shrink_bytes)];
    for (name, value) in numbers.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))) {
        fits.set_item(name, value)?;
    }
    if found.split {
        fits.set_item("split", true)?;
    }
    if let Some(shorten) = found.shorten {
        fits.set_item("shorten", shorten)?;
    }
    Ok(fits)
}
