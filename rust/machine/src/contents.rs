//! What the memories hold: real bytes at real addresses.

use crate::error::MachineError;
use crate::plan::Workspace;
use memmap2::Mmap;
use rdu_kernels::{Element, Vectors};
use std::ops::Range;
use std::sync::Arc;

#[derive(Debug)]
struct Region {
    base: u64,
    bytes: usize,
    store: Store,
}

/// Where the host keeps a region; either begins on a 64-byte boundary.
#[derive(Debug)]
enum Store {
    /// Whole words, so that fresh zeroed memory costs nothing until it is touched; the data from one of them on.
    Words(Vec<u64>, usize),
    /// Part of a file, from a byte of it on; only to be read.
    File(Arc<Mmap>, usize),
}

impl Region {
    fn bytes(&self) -> &[u8] {
        match &self.store {
            Store::Words(words, offset) => &bytemuck::cast_slice(&words[*offset..])[..self.bytes],
            Store::File(map, at) => &map[*at..*at + self.bytes],
        }
    }

    fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        match &mut self.store {
            Store::Words(words, offset) => Some(&mut bytemuck::cast_slice_mut(&mut words[*offset..])[..self.bytes]),
            Store::File(..) => None,
        }
    }
}

/// A set of regions that do not overlap.
#[derive(Debug, Default)]
pub struct Image {
    regions: Vec<Region>,
}

impl Image {
    /// Adds `bytes` zeroed bytes at `base`.
    pub fn reserve(&mut self, base: u64, bytes: u64) -> Result<(), MachineError> {
        let at = self.free(base, bytes)?;
        let words = vec![0u64; (bytes as usize).div_ceil(8) + 7];
        let offset = (words.as_ptr() as usize).wrapping_neg() % 64 / 8;
        self.regions.insert(at, Region { base, bytes: bytes as usize, store: Store::Words(words, offset) });
        Ok(())
    }

    /// Adds part of a file at `base`, whose bytes can be read and not written.
    ///
    /// Errors: part of `base ..` is taken, or the file does not hold that part, or not on a 64-byte boundary.
    pub fn map(&mut self, base: u64, file: &Arc<Mmap>, part: Range<u64>) -> Result<(), MachineError> {
        let bytes = part.end.saturating_sub(part.start);
        let at = self.free(base, bytes)?;
        if part.end > file.len() as u64 || !part.start.is_multiple_of(64) {
            return Err(MachineError::Address { address: part.start, bytes });
        }
        let store = Store::File(file.clone(), part.start as usize);
        self.regions.insert(at, Region { base, bytes: bytes as usize, store });
        Ok(())
    }

    /// Base and bytes of each region, in the order of their addresses.
    pub fn regions(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.regions.iter().map(|region| (region.base, region.bytes()))
    }

    /// Where in the list a region would stand.
    fn free(&self, base: u64, bytes: u64) -> Result<usize, MachineError> {
        let at = self.regions.partition_point(|region| region.base < base);
        let overlaps =
            |region: &Region| base < region.base + region.bytes as u64 && region.base < base.saturating_add(bytes);
        let fits = base.checked_add(bytes).is_some() && usize::try_from(bytes).is_ok_and(|b| b < usize::MAX / 2);
        let near = &self.regions[at.saturating_sub(1)..(at + 1).min(self.regions.len())];
        if bytes == 0 || !fits || near.iter().any(overlaps) {
            return Err(MachineError::Overlap { base, bytes });
        }
        Ok(at)
    }

    fn find(&self, address: u64, bytes: u64) -> Option<(usize, Range<usize>)> {
        let at = self.regions.partition_point(|region| region.base <= address).checked_sub(1)?;
        let region = &self.regions[at];
        let start = address - region.base;
        let end = start.checked_add(bytes)?;
        (end <= region.bytes as u64).then_some((at, start as usize..end as usize))
    }

    pub fn read(&self, address: u64, bytes: u64) -> Option<&[u8]> {
        self.find(address, bytes).map(|(at, range)| &self.regions[at].bytes()[range])
    }

    pub fn write(&mut self, address: u64, bytes: u64) -> Option<&mut [u8]> {
        let (at, range) = self.find(address, bytes)?;
        self.regions[at].bytes_mut().map(|data| &mut data[range])
    }
}

/// What a session sees: constants that all sessions share, and state of its own.
#[derive(Debug, Default)]
pub struct Contents {
    pub constant: Arc<Image>,
    pub state: Image,
    pub workspace: Workspace,
}

impl Contents {
    pub fn read(&self, address: u64, bytes: u64) -> Result<&[u8], MachineError> {
        let found = self.state.read(address, bytes).or_else(|| self.constant.read(address, bytes));
        found.ok_or(MachineError::Address { address, bytes })
    }

    /// Constants cannot be written.
    pub fn write(&mut self, address: u64, bytes: u64) -> Result<&mut [u8], MachineError> {
        self.state.write(address, bytes).ok_or(MachineError::Address { address, bytes })
    }

    /// `elements` elements from `address` on, in place.
    pub fn vectors(&self, address: u64, elements: usize, element: Element) -> Result<Vectors<'_>, MachineError> {
        let bytes = elements as u64 * element.bytes() as u64;
        let unaligned = |_| MachineError::Address { address, bytes };
        let data = self.read(address, bytes)?;
        Ok(match element {
            Element::Bf16 => Vectors::Bf16(bytemuck::try_cast_slice(data).map_err(unaligned)?),
            Element::F32 => Vectors::F32(bytemuck::try_cast_slice(data).map_err(unaligned)?),
            Element::Int8 => Vectors::Int8(bytemuck::cast_slice(data)),
        })
    }

    /// `elements` elements from `address` on, widened to f32.
    pub fn values(&self, address: u64, elements: usize, element: Element) -> Result<Vec<f32>, MachineError> {
        Ok(match self.vectors(address, elements, element)? {
            Vectors::F32(data) => data.to_vec(),
            Vectors::Int8(data) => data.iter().map(|&value| f32::from(value)).collect(),
            Vectors::Bf16(bits) => {
                let mut out = vec![0.0; bits.len()];
                rdu_kernels::widen(bits, &mut out)?;
                out
            }
        })
    }

    /// Writes `values` from `address` on, rounded to `element`.
    pub fn put(&mut self, address: u64, values: &[f32], element: Element) -> Result<(), MachineError> {
        let bytes = values.len() as u64 * element.bytes() as u64;
        let unaligned = |_| MachineError::Address { address, bytes };
        let data = self.write(address, bytes)?;
        match element {
            Element::F32 => bytemuck::try_cast_slice_mut(data).map_err(unaligned)?.copy_from_slice(values),
            Element::Bf16 => rdu_kernels::narrow(values, bytemuck::try_cast_slice_mut(data).map_err(unaligned)?)?,
            Element::Int8 => {
                let mut whole = values.to_vec();
                rdu_kernels::round(&mut whole, element);
                // Whole numbers now: the conversion cuts nothing off.
                data.iter_mut().zip(&whole).for_each(|(byte, value)| *byte = (*value as i8).cast_unsigned());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_hold_what_was_put_and_nothing_else() {
        let mut contents = Contents::default();
        contents.state.reserve(256, 128).unwrap();
        contents.state.reserve(512, 64).unwrap();
        contents.put(256, &[1.0, 1.0 + 1e-6], Element::Bf16).unwrap();
        assert_eq!(contents.values(256, 3, Element::Bf16).unwrap(), [1.0, 1.0, 0.0]);
        assert!(contents.values(376, 8, Element::Bf16).is_err(), "past the end of the region");
        assert!(contents.read(128, 4).is_err() && contents.read(u64::MAX, 4).is_err());
        for (base, bytes) in [(300, 4), (200, 64), (500, 64), (1024, 0), (u64::MAX, 64)] {
            assert!(contents.state.reserve(base, bytes).is_err(), "{base} {bytes}");
        }
    }
}
