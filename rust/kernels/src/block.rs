use rayon::prelude::*;

use crate::{
    region::Task,
    simd::{Simd, WIDTH},
    tile::Tiles,
};

/// Positions whose partial sums are held at once: a multiple of every level's register block.
const POSITIONS: usize = 96;
/// Vectors of a tile that are widened at once: 8 KB for each panel.
const DEPTH: usize = 128;

/// Positions of the next register block where `left` are left: at most a level's own.
#[inline(always)]
pub(crate) fn group(left: usize, block: usize) -> usize {
    match left.min(block) {
        12.. => 12,
        6.. => 6,
        4.. => 4,
        2.. => 2,
        _ => 1,
    }
}

/// Rows of activations as register blocks take them: `[group][inner][position of the group]`, from `[positions][inner]`.
pub(crate) fn interleave(x: &[f32], inner: usize, block: usize) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    if inner > 0 {
        let pieces = out.par_chunks_mut(block * inner).zip(x.par_chunks(block * inner));
        pieces.for_each(|(mut out, mut rows)| {
            while !rows.is_empty() {
                let size = group(rows.len() / inner, block);
                let (to, out_left) = std::mem::take(&mut out).split_at_mut(size * inner);
                let (from, rows_left) = rows.split_at(size * inner);
                for (p, row) in from.chunks_exact(inner).enumerate() {
                    for (to, value) in to.chunks_exact_mut(size).zip(row) {
                        to[p] = *value;
                    }
                }
                (out, rows) = (out_left, rows_left);
            }
        });
    }
    out
}

/// Some tiles at some positions; bound by the multiply-adds.
pub(crate) struct Block<'a, W: Tiles> {
    pub task: Task<'a>,
    /// The task's own, see `interleave`.
    pub x: &'a [f32],
    pub weight: &'a [W::Stored],
}

impl<W: Tiles> Block<'_, W> {
    #[inline(always)]
    pub fn run<S: Simd>(mut self, simd: S) {
        let shape = self.task.shape;
        let (inner, parts, count) = (shape.inner, shape.parts.len(), self.task.positions.len());
        // [panel][depth][16]
        let mut panels = vec![[0.0; WIDTH]; W::PANELS * DEPTH];
        // [part][panel][position][16]
        let mut sums = vec![[0.0; WIDTH]; parts * W::PANELS * POSITIONS.min(count)];
        for first in (0..count).step_by(POSITIONS) {
            let positions = POSITIONS.min(count - first);
            let x = &self.x[first * inner..(first + positions) * inner];
            let width = positions * W::PANELS;
            let sums = &mut sums[..parts * width];
            for tile in self.task.tiles.clone() {
                sums.fill([0.0; WIDTH]);
                let weight = &self.weight[tile * inner / W::DEPTH..(tile + 1) * inner / W::DEPTH];
                for (part, sums) in shape.parts.iter().zip(sums.chunks_mut(width)) {
                    for start in part.clone().step_by(DEPTH) {
                        let end = part.end.min(start + DEPTH);
                        W::to_panels(simd, &weight[start / W::DEPTH..end / W::DEPTH], &mut panels, DEPTH);
                        let next = &self.weight[((tile * inner + end) / W::DEPTH).min(self.weight.len())..];
                        let slice = Slice::<W> { x, inner, start, panels: &panels, depth: end - start, next };
                        slice.multiply(simd, sums);
                    }
                }
                self.give(simd, sums, positions, first, tile);
            }
        }
    }

    /// The finished sums of one tile at the positions from `first` on.
    #[inline(always)]
    fn give<S: Simd>(&mut self, simd: S, sums: &[[f32; WIDTH]], positions: usize, first: usize, tile: usize) {
        let shape = self.task.shape;
        let mut parts = vec![0.0; shape.parts.len() * W::OUTPUTS];
        for p in 0..positions {
            for (to, part) in parts.chunks_mut(W::OUTPUTS).zip(sums.chunks(positions * W::PANELS)) {
                W::from_panels(simd, &part[p..], positions, to);
            }
            let y = self.task.out.place(first + p, tile * W::OUTPUTS, W::OUTPUTS, shape.outer);
            shape.finish(&mut parts, W::OUTPUTS, tile * W::OUTPUTS, y);
        }
    }
}

/// A stretch of the reduced dimension at all positions held.
struct Slice<'a, W: Tiles> {
    /// Interleaved, all of the reduced dimension.
    x: &'a [f32],
    inner: usize,
    start: usize,
    /// `[panel][DEPTH]`, of which `depth` are filled.
    panels: &'a [[f32; WIDTH]],
    depth: usize,
    /// The weights that are widened after this.
    next: &'a [W::Stored],
}

impl<W: Tiles> Slice<'_, W> {
    /// sums[panel][p] = fma(panel[k], x[p][k], sums[panel][p]) for k ascending, in register blocks of positions.
    #[inline(always)]
    fn multiply<S: Simd>(&self, simd: S, sums: &mut [[f32; WIDTH]]) {
        let positions = sums.len() / W::PANELS;
        let mut done = 0;
        while done < positions {
            let size = group(positions - done, S::BLOCK);
            // A few at a time, while the multipliers are busy.
            let lines = done * self.depth / W::DEPTH / positions..(done + size) * self.depth / W::DEPTH / positions;
            for line in self.next.get(lines).unwrap_or_default() {
                simd.prefetch(line);
            }
            match size {
                12 => self.registers::<S, 12>(simd, done, sums),
                6 => self.registers::<S, 6>(simd, done, sums),
                4 => self.registers::<S, 4>(simd, done, sums),
                2 => self.registers::<S, 2>(simd, done, sums),
                _ => self.registers::<S, 1>(simd, done, sums),
            }
            done += size;
        }
    }

    /// The innermost block: `P` sums stay in registers over the depth of a panel.
    #[inline(always)]
    fn registers<S: Simd, const P: usize>(&self, simd: S, first: usize, sums: &mut [[f32; WIDTH]]) {
        let positions = sums.len() / W::PANELS;
        let x = &self.x[first * self.inner + self.start * P..][..self.depth * P];
        for (panel, sums) in self.panels.chunks(DEPTH).zip(sums.chunks_mut(positions)) {
            let Some(sums) = sums[first..].first_chunk_mut::<P>() else { return };
            let mut lanes = [simd.splat(0.0); P];
            for p in 0..P {
                lanes[p] = simd.load(&sums[p]);
            }
            for (weight, x) in panel.iter().zip(x.as_chunks::<P>().0) {
                let weight = simd.load(weight);
                for p in 0..P {
                    lanes[p] = simd.fma(weight, simd.splat(x[p]), lanes[p]);
                }
            }
            for p in 0..P {
                simd.store(lanes[p], &mut sums[p]);
            }
        }
    }
}
