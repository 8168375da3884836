//! What is to be placed, where, and the bytes alive at once.

use super::error::AllocationError;
use std::collections::BTreeMap;

/// Bytes that must stay from their first use to their last, both included, in the order of the schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    pub name: String,
    pub bytes: u64,
    /// A power of two: the offset in the PMU is a multiple of it.
    pub alignment_bytes: u64,
    pub first_use: u64,
    pub last_use: u64,
}

/// Equal PMUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    pub capacity_bytes: u64,
    pub pmus: u64,
    /// A buffer that fits nowhere whole may be cut at multiples of so many bytes.
    pub split_bytes: Option<u64>,
}

/// A part of a buffer (most often all of it) in one PMU. Pieces of one buffer follow each other in the buffer's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Index of the buffer.
    pub buffer: usize,
    pub pmu: usize,
    pub offset_bytes: u64,
    pub bytes: u64,
}

pub(super) const MOST_BUFFERS: usize = 1 << 16;
const MOST_BYTES: u64 = 1 << 46;
const MOST_PMUS: u64 = 1 << 20;

pub(super) fn check(buffers: &[Buffer], space: &Space) -> Result<(), AllocationError> {
    let outside = |what, value, rule| Err(AllocationError::Space { what, value, rule });
    if buffers.len() > MOST_BUFFERS {
        return outside("the number of buffers", buffers.len() as u64, "at most 65536");
    }
    if !(1..=MOST_BYTES).contains(&space.capacity_bytes) {
        return outside("capacity_bytes", space.capacity_bytes, "between 1 and 2^46");
    }
    if !(1..=MOST_PMUS).contains(&space.pmus) {
        return outside("pmus", space.pmus, "between 1 and 2^20");
    }
    if let Some(bytes) = space.split_bytes
        && (!bytes.is_power_of_two() || bytes > space.capacity_bytes)
    {
        return outside("split_bytes", bytes, "a power of two, no larger than a PMU");
    }
    let mut names = BTreeMap::new();
    for buffer in buffers {
        let wrong =
            |what, value, rule: String| Err(AllocationError::Buffer { name: buffer.name.clone(), what, value, rule });
        if !(1..=MOST_BYTES).contains(&buffer.bytes) {
            return wrong("bytes", buffer.bytes, "between 1 and 2^46".to_owned());
        }
        if !buffer.alignment_bytes.is_power_of_two() || buffer.alignment_bytes > MOST_BYTES {
            return wrong("alignment_bytes", buffer.alignment_bytes, "a power of two, at most 2^46".to_owned());
        }
        if buffer.last_use < buffer.first_use {
            let rule = format!("at least {}, its first use", buffer.first_use);
            return wrong("last_use", buffer.last_use, rule);
        }
        if names.insert(buffer.name.as_str(), ()).is_some() {
            return Err(AllocationError::Twice { name: buffer.name.clone() });
        }
    }
    Ok(())
}

/// The most bytes alive at one step, and the first such step: a lower bound for every allocation.
pub fn live_bytes(buffers: &[Buffer]) -> (u64, u64) {
    live(buffers).into_iter().fold((0, 0), |most, (step, bytes)| if bytes > most.0 { (bytes, step) } else { most })
}

/// Bytes alive from each step on at which that changes.
pub(super) fn live(buffers: &[Buffer]) -> Vec<(u64, u64)> {
    let mut changes: BTreeMap<u64, i128> = BTreeMap::new();
    for buffer in buffers {
        *changes.entry(buffer.first_use).or_default() += i128::from(buffer.bytes);
        // A last use at the end of time never ends.
        if let Some(after) = buffer.last_use.checked_add(1) {
            *changes.entry(after).or_default() -= i128::from(buffer.bytes);
        }
    }
    let mut alive = 0;
    changes
        .into_iter()
        .map(|(step, change)| {
            alive += change;
            (step, alive as u64)
        })
        .collect()
}
