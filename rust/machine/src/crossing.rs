//! Tensors as they lie in memory: chunk by chunk, within a chunk position by position.

use crate::contents::Contents;
use crate::element::Element;
use crate::error::MachineError;
use rdu_kernels::{Vectors, each};

/// Chunks of one task: as much as a page of memory for each position.
const TASK_CHUNKS: usize = 64;

impl Contents {
    /// Reads a tensor `[positions][width]` that lies at `address`. `y` is all of it.
    pub fn rows(&self, address: u64, width: usize, y: &mut [f32]) -> Result<(), MachineError> {
        let (lanes, count) = shape(width, y.len());
        let Vectors::F32(tokens) = self.vectors(address, count, rdu_kernels::Element::F32)? else { return Ok(()) };
        let positions = y.len() / width.max(1);
        if positions == 1 {
            y.copy_from_slice(&tokens[..width]);
            return Ok(());
        }
        let row = |(p, y): (usize, &mut [f32])| {
            for (chunk, y) in y.chunks_mut(lanes).enumerate() {
                y.copy_from_slice(&tokens[(chunk * positions + p) * lanes..][..y.len()]);
            }
        };
        each(y.chunks_mut(width.max(1)).enumerate().collect(), count, row);
        Ok(())
    }

    /// Writes a tensor `[positions][width]` to `address`; what is missing from its last chunks becomes zeros.
    pub fn put_rows(&mut self, address: u64, width: usize, x: &[f32]) -> Result<(), MachineError> {
        let (lanes, count) = shape(width, x.len());
        let bytes = (count * size_of::<f32>()) as u64;
        let data = self.write(address, bytes)?;
        let tokens: &mut [f32] =
            bytemuck::try_cast_slice_mut(data).map_err(|_| MachineError::Address { address, bytes })?;
        let positions = x.len() / width.max(1);
        if positions == 1 {
            let (kept, missing) = tokens.split_at_mut(width);
            kept.copy_from_slice(x);
            missing.fill(0.0);
            return Ok(());
        }
        let chunks = |(at, tokens): (usize, &mut [f32])| {
            for (index, token) in tokens.chunks_mut(lanes).enumerate() {
                let (chunk, p) = (at * TASK_CHUNKS + index / positions, index % positions);
                let values = &x[p * width..(p + 1) * width][chunk * lanes..];
                let (kept, missing) = token.split_at_mut(lanes.min(values.len()));
                kept.copy_from_slice(&values[..kept.len()]);
                missing.fill(0.0);
            }
        };
        each(tokens.chunks_mut((TASK_CHUNKS * positions * lanes).max(1)).enumerate().collect(), count, chunks);
        Ok(())
    }
}

/// Lanes of a vector, and values of all vectors of a tensor of `len` values.
fn shape(width: usize, len: usize) -> (usize, usize) {
    let lanes = Element::F32.lanes();
    (lanes, width.div_ceil(lanes) * lanes * (len / width.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_put() {
        // Small ones by one thread, large ones by all; widths with and without a last chunk of its own.
        for (positions, width) in [(1, 16), (3, 40), (1, 5), (16, 5000), (2, 70_000)] {
            let mut contents = Contents::default();
            let count = shape(width, positions * width).1;
            contents.state.reserve(64, 4 * count as u64).unwrap();
            contents.write(64, 4 * count as u64).unwrap().fill(0xff);
            let x: Vec<f32> = (0..positions * width).map(|value| value as f32).collect();
            contents.put_rows(64, width, &x).unwrap();
            let mut y = vec![0.0; x.len()];
            contents.rows(64, width, &mut y).unwrap();
            assert_eq!(x, y, "{positions} x {width}");
            let last = contents.values(64 + 4 * (count as u64 - 16), 16, rdu_kernels::Element::F32).unwrap();
            let rest = (width - 1) % 16 + 1;
            assert_eq!(last[..rest], x[x.len() - rest..]);
            assert!(last[rest..].iter().all(|value| *value == 0.0), "padding");
            assert!(contents.put_rows(128, width, &x).is_err() && contents.rows(128, width, &mut y).is_err());
        }
    }
}
