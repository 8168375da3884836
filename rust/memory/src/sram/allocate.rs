//! The allocator: every buffer at an offset of its own for as long as it lives.

use super::buffer::{Buffer, Piece, Space, check, live_bytes};
use super::error::AllocationError;
use super::packing::Packing;
use super::remedy;
use super::search::{Found, Watch, climb, orders};

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

/// Packings that a climb tries: where all fits already, and where it does not.
const POLISH: u64 = 400;
const STRUGGLE: u64 = 20_000;
/// Buffer-to-buffer looks that a climb may take, so that its time does not grow with the square of the input.
const LOOKS: u64 = 200_000_000;

/// Places every buffer, or says which found no place and what would fit. `watch` is asked now and then; `false` stops.
///
/// Offsets are fixed for the whole life. Buffers that live at the same step never overlap. Each order of a short list is
/// packed first fit and best fit; with one PMU the best is then improved step by step. Same input, same answer.
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

fn attempt(
    buffers: &[Buffer],
    space: &Space,
    least: u64,
    watch: &mut Watch<'_>,
) -> Result<Option<Packing>, AllocationError> {
    let total = u128::from(space.capacity_bytes) * u128::from(space.pmus);
    if u128::from(least) > total {
        return Ok(None);
    }
    let size = (buffers.len() as u64).pow(2).max(1);
    let steps = |most: u64| most.min(LOOKS / size);
    let found = orders(buffers, space, least, watch)?;
    if space.pmus > 1 {
        return Ok(found.map(|(packing, ..)| packing));
    }
    if let Some(start) = found {
        return Ok(Some(climb(buffers, space, start, least, steps(POLISH), watch)?.0));
    }
    // Pack as if there were room, then press it down until there is.
    let roomy = Space { capacity_bytes: 1 << 62, ..*space };
    let packed: Found = orders(buffers, &roomy, least, watch)?;
    let Some(start) = packed else { return Ok(None) };
    let (packing, ..) = climb(buffers, &roomy, start, space.capacity_bytes, steps(STRUGGLE), watch)?;
    Ok((packing.high_water() <= space.capacity_bytes).then_some(packing))
}
