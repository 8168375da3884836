//! One pass over the buffers in a given order: each goes where it fits, and nothing moves afterwards.

use super::buffer::{Buffer, Piece, Space};
use super::error::AllocationError;
use super::search::Watch;

/// Buffers placed between two looks at the watch.
const LOOK: usize = 64;

/// Which of the rooms a buffer fits into it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// The lowest.
    First,
    /// The tightest; the open end of a PMU last.
    Best,
}

/// A piece in its PMU, for the life of its buffer.
#[derive(Clone, Copy, Debug)]
struct Held {
    start: u64,
    end: u64,
    first_use: u64,
    last_use: u64,
}

/// Room that is free for a whole life: offset, and bytes from there.
#[derive(Clone, Copy, Debug)]
struct Gap {
    offset: u64,
    bytes: u64,
    /// Ends at the capacity, not at another buffer.
    open: bool,
}

/// The pieces placed so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Packing {
    pub pieces: Vec<Piece>,
    /// Top of each PMU in use: the largest end ever taken.
    pub tops: Vec<u64>,
    /// By PMU, sorted by start.
    held: Vec<Vec<Held>>,
}

impl Packing {
    /// Places the buffers in this order; stops at the first that finds no place and names it.
    pub fn of(
        buffers: &[Buffer],
        space: &Space,
        order: &[usize],
        fit: Fit,
        watch: &mut Watch<'_>,
    ) -> Result<(Self, Option<usize>), AllocationError> {
        let mut packing = Packing::default();
        for (placed, &at) in order.iter().enumerate() {
            if placed.is_multiple_of(LOOK) && !watch() {
                return Err(AllocationError::Interrupted);
            }
            if !packing.place(at, &buffers[at], space, fit) {
                return Ok((packing, Some(at)));
            }
        }
        packing.pieces.sort_by_key(|piece| piece.buffer);
        Ok((packing, None))
    }

    /// The packing of one PMU with given offsets.
    pub fn at(buffers: &[Buffer], offsets: &[u64]) -> Self {
        let mut packing = Packing::default();
        for (at, (buffer, offset)) in buffers.iter().zip(offsets).enumerate() {
            packing.put(at, buffer, 0, *offset, buffer.bytes);
        }
        packing
    }

    pub fn high_water(&self) -> u64 {
        self.tops.iter().sum()
    }

    /// Whole if it can be; otherwise, if it may be split, in the largest rooms there are.
    pub fn place(&mut self, at: usize, buffer: &Buffer, space: &Space, fit: Fit) -> bool {
        let (pieces, mut left) = (self.pieces.len(), buffer.bytes);
        loop {
            if let Some((pmu, offset)) = self.whole(buffer, left, space, fit) {
                self.put(at, buffer, pmu, offset, left);
                return true;
            }
            let largest = space.split_bytes.and_then(|unit| {
                let (pmu, gap) = self.largest(buffer, space)?;
                let bytes = gap.bytes / unit * unit;
                (bytes > 0).then_some((pmu, gap.offset, bytes))
            });
            let Some((pmu, offset, bytes)) = largest else {
                self.pieces.truncate(pieces);
                return false;
            };
            // Had it fitted whole, it would have been placed: something is always left.
            self.put(at, buffer, pmu, offset, bytes);
            left -= bytes;
        }
    }

    /// Where so many bytes go whole: the PMU whose top rises least, the lowest of equals, a new one last.
    fn whole(&self, buffer: &Buffer, bytes: u64, space: &Space, fit: Fit) -> Option<(usize, u64)> {
        let mut best: Option<(u64, usize, u64)> = None;
        for pmu in 0..self.held.len() {
            let Some(offset) = self.offset(pmu, buffer, bytes, space, fit) else { continue };
            let rise = (offset + bytes).saturating_sub(self.tops[pmu]);
            if best.is_none_or(|(least, ..)| rise < least) {
                best = Some((rise, pmu, offset));
            }
            if rise == 0 {
                break;
            }
        }
        let fresh =
            || ((self.held.len() as u64) < space.pmus && bytes <= space.capacity_bytes).then_some(self.held.len());
        best.map(|(_, pmu, offset)| (pmu, offset)).or_else(|| fresh().map(|pmu| (pmu, 0)))
    }

    fn offset(&self, pmu: usize, buffer: &Buffer, bytes: u64, space: &Space, fit: Fit) -> Option<u64> {
        let mut fitting = self.gaps(pmu, buffer, space).filter(|gap| gap.bytes >= bytes);
        match fit {
            Fit::First => fitting.next(),
            Fit::Best => fitting.min_by_key(|gap| (gap.open, gap.bytes)),
        }
        .map(|gap| gap.offset)
    }

    /// The largest room for a life in any PMU, one in use before a new one.
    fn largest(&self, buffer: &Buffer, space: &Space) -> Option<(usize, Gap)> {
        let used = (0..self.held.len()).flat_map(|pmu| self.gaps(pmu, buffer, space).map(move |gap| (pmu, gap)));
        let fresh = (self.held.len() as u64) < space.pmus;
        let fresh = fresh.then_some((self.held.len(), Gap { offset: 0, bytes: space.capacity_bytes, open: true }));
        used.chain(fresh).fold(None, |most: Option<(usize, Gap)>, next| match most {
            Some(most) if most.1.bytes >= next.1.bytes => Some(most),
            _ => Some(next),
        })
    }

    /// Bytes of the largest room for a life, in one piece.
    pub fn largest_gap(&self, buffer: &Buffer, space: &Space) -> u64 {
        self.largest(buffer, space).map_or(0, |(_, gap)| gap.bytes)
    }

    /// The rooms of a PMU that are free while the buffer lives, from the bottom up.
    fn gaps(&self, pmu: usize, buffer: &Buffer, space: &Space) -> impl Iterator<Item = Gap> {
        let (first, last, mask) = (buffer.first_use, buffer.last_use, buffer.alignment_bytes - 1);
        let others = self.held[pmu].iter().filter(move |held| held.first_use <= last && first <= held.last_use);
        let ends = others.map(|held| (held.start, held.end, false)).chain([(space.capacity_bytes, 0, true)]);
        ends.scan(0u64, move |floor, (start, end, open)| {
            let offset = (*floor + mask) & !mask;
            *floor = (*floor).max(end);
            Some(Gap { offset, bytes: start.saturating_sub(offset), open })
        })
        .filter(|gap| gap.bytes > 0)
    }

    fn put(&mut self, at: usize, buffer: &Buffer, pmu: usize, offset: u64, bytes: u64) {
        if pmu == self.held.len() {
            self.held.push(Vec::new());
            self.tops.push(0);
        }
        let end = offset + bytes;
        let held = Held { start: offset, end, first_use: buffer.first_use, last_use: buffer.last_use };
        let row = &mut self.held[pmu];
        row.insert(row.partition_point(|other| other.start <= offset), held);
        self.tops[pmu] = self.tops[pmu].max(end);
        self.pieces.push(Piece { buffer: at, pmu, offset_bytes: offset, bytes });
    }
}
