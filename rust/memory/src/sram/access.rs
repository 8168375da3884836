//! One vector: the bytes that its lanes touch.

use super::description::Sram;
use super::error::SramError;
use super::layout::Layout;

/// Lanes of one access, at most: a whole PMU of 4-byte elements many times over.
pub const MOST_LANES: u64 = 1 << 22;

/// Where the lanes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Lane i at `base_bytes` + i · `stride_bytes`.
    Strided { base_bytes: u64, stride_bytes: i64, lanes: u64 },
    /// Each lane at its own address.
    Gathered { addresses_bytes: Vec<u64> },
}

/// A vector that is read or written in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    pub pattern: Pattern,
    pub element_bytes: u64,
    pub layout: Layout,
}

/// The lanes of a strided access from the lowest address up: the same bytes, whichever way the stride goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lanes {
    pub base: u64,
    pub stride: u64,
    pub element: u64,
    pub count: u64,
}

impl Access {
    /// A vector of neighbours, from address 0.
    pub fn contiguous(element_bytes: u64, lanes: u64) -> Self {
        Self::strided(0, element_bytes as i64, element_bytes, lanes)
    }

    pub fn strided(base_bytes: u64, stride_bytes: i64, element_bytes: u64, lanes: u64) -> Self {
        let pattern = Pattern::Strided { base_bytes, stride_bytes, lanes };
        Access { pattern, element_bytes, layout: Layout::Linear }
    }

    pub fn gathered(addresses_bytes: Vec<u64>, element_bytes: u64) -> Self {
        Access { pattern: Pattern::Gathered { addresses_bytes }, element_bytes, layout: Layout::Linear }
    }

    /// The same vector in another layout.
    pub fn laid(self, layout: Layout) -> Self {
        Access { layout, ..self }
    }

    pub fn lanes(&self) -> u64 {
        match &self.pattern {
            Pattern::Strided { lanes, .. } => *lanes,
            Pattern::Gathered { addresses_bytes } => addresses_bytes.len() as u64,
        }
    }

    /// Checks that every byte lies in the SRAM; the lanes from the lowest address up, if they have a stride.
    pub(super) fn checked(&self, sram: &Sram) -> Result<Option<Lanes>, SramError> {
        let (capacity, element) = (sram.description().capacity_bytes, self.element_bytes);
        if element == 0 {
            return Err(SramError::ElementOfNone);
        }
        let count = self.lanes();
        if !(1..=MOST_LANES).contains(&count) {
            return Err(SramError::Lanes { lanes: count, most: MOST_LANES });
        }
        let outside = |lane: u64, address: i128| SramError::Outside {
            lane,
            address_bytes: address,
            element_bytes: element,
            capacity_bytes: capacity,
        };
        let held = |address: i128| address >= 0 && address + i128::from(element) <= i128::from(capacity);
        match &self.pattern {
            Pattern::Strided { base_bytes, stride_bytes, .. } => {
                // A product of 2^22 and 2^63 fits 128 bits.
                let at = |lane: u64| i128::from(*base_bytes) + i128::from(lane) * i128::from(*stride_bytes);
                if !held(at(0)) {
                    return Err(outside(0, at(0)));
                }
                if !held(at(count - 1)) {
                    // The first lane that leaves, not the last: lanes move one way only.
                    let room = if *stride_bytes < 0 { at(0) } else { i128::from(capacity - element) - at(0) };
                    let lane = (room / i128::from(stride_bytes.unsigned_abs()) + 1) as u64;
                    return Err(outside(lane, at(lane)));
                }
                let base = at(0).min(at(count - 1)) as u64;
                Ok(Some(Lanes { base, stride: stride_bytes.unsigned_abs(), element, count }))
            }
            Pattern::Gathered { addresses_bytes } => {
                let all = || (0..).zip(addresses_bytes).map(|(lane, address)| (lane, i128::from(*address)));
                match all().find(|(_, address)| !held(*address)) {
                    Some((lane, address)) => Err(outside(lane, address)),
                    None => Ok(None),
                }
            }
        }
    }
}
