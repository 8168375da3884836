//! The allocator: every buffer at an offset of its own for as long as it lives.

use super::buffer::{Buffer, Piece, Space, check, live_bytes};
use super::error::AllocationError;
use super::packing::Packing;
use super::remedy;
use super::search::{Watch, lower, orders, press};

/// Where the buffers lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// In the order of the buffers; the pieces of one buffer in the order of its bytes.
    pub pieces: Vec<Piece>,
    /// Bytes alive at the fullest step, and that step: no allocation needs less.
    pub lower_bound_bytes: u64,
    pub fullest_step: u64,
    /// Highest end of each PMU in use; PMUs are filled from the first on.
    pub pmu_high_water_bytes: Vec<u64>,
}

impl Allocation {
    /// Bytes taken up: the high-water marks of all PMUs together.
    pub fn high_water_bytes(&self) -> u64 {
        self.pmu_high_water_bytes.iter().sum()
    }
}

/// Nodes of a search in one order: to lower a packing that fits, and to find one at all. A node looks at every buffer,
/// so there are fewer of them for many buffers.
const LOWER_NODES: (u64, u64) = (4_000, 600_000);
const FIND_NODES: (u64, u64) = (64_000, 24_000_000);

fn nodes(buffers: &[Buffer], (most, looks): (u64, u64)) -> u64 {
    most.min(looks / (buffers.len() as u64).max(1))
}

pub(super) fn lower_nodes(buffers: &[Buffer]) -> u64 {
    nodes(buffers, LOWER_NODES)
}

/// Places every buffer, or says which found no place and what would fit. `watch` is asked now and then; `false` stops.
///
/// Offsets are fixed for the whole life. Buffers that live at the same step never overlap. Each order of a short list is
/// packed first fit and best fit; what takes one PMU is then pressed lower by search. Same input, same answer.
pub fn allocate(buffers: &[Buffer], space: &Space, watch: &mut Watch<'_>) -> Result<Allocation, AllocationError> {
    check(buffers, space)?;
    let (lower_bound_bytes, fullest_step) = live_bytes(buffers);
    match attempt(buffers, space, lower_bound_bytes, watch)? {
        Some(packing) => Ok(Allocation {
            pieces: packing.pieces,
            lower_bound_bytes,
            fullest_step,
            pmu_high_water_bytes: packing.tops,
        }),
        None => Err(remedy::full(buffers, space, watch)?),
    }
}

pub(super) fn attempt(
    buffers: &[Buffer],
    space: &Space,
    least: u64,
    watch: &mut Watch<'_>,
) -> Result<Option<Packing>, AllocationError> {
    let total = u128::from(space.capacity_bytes) * u128::from(space.pmus);
    if u128::from(least) > total {
        return Ok(None);
    }
    match orders(buffers, space, least, watch)? {
        Some(packing) if packing.tops.len() == 1 => {
            Ok(Some(lower(buffers, packing, least, lower_nodes(buffers), watch)?))
        }
        None if space.pmus == 1 => {
            let offsets = press(buffers, space.capacity_bytes, nodes(buffers, FIND_NODES), watch)?;
            Ok(offsets.map(|offsets| Packing::at(buffers, &offsets)))
        }
        packed => Ok(packed),
    }
}
