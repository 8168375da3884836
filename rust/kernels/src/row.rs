use std::{array, ptr};

use crate::{
    region::Task,
    simd::{Format, Simd},
};

/// Most tiles that are read side by side.
const TILES: usize = 4;
/// Vectors along the reduced dimension that a tile is read by before the next one has its turn.
const DEPTH: usize = 4;
/// Vectors of a tile that are asked for before they are needed: 2 KB hide how far memory is, and the processor's own
/// prefetching begins anew on every page.
pub(crate) const AHEAD: usize = 32;

/// Some tiles at one position; bound by the reading of weights.
pub(crate) struct Row<'a, W: Format> {
    pub task: Task<'a>,
    /// `[inner]`
    pub x: &'a [f32],
    pub weight: &'a [W::Vector],
}

impl<W: Format> Row<'_, W> {
    #[inline(always)]
    pub fn run<S: Simd>(mut self, simd: S) {
        let most = (S::OUTPUTS / W::LANES).clamp(1, TILES);
        let mut parts = vec![0.0; self.task.shape.parts.len() * most * W::LANES];
        let mut tile = self.task.tiles.start;
        while tile < self.task.tiles.end {
            tile += match most.min(self.task.tiles.end - tile) {
                4.. => self.tiles::<S, 4>(simd, tile, &mut parts),
                3 => self.tiles::<S, 3>(simd, tile, &mut parts),
                2 => self.tiles::<S, 2>(simd, tile, &mut parts),
                _ => self.tiles::<S, 1>(simd, tile, &mut parts),
            };
        }
    }

    /// `COUNT` tiles from `tile` on, with room for the sums of their parts.
    #[inline(always)]
    fn tiles<S: Simd, const COUNT: usize>(&mut self, simd: S, tile: usize, parts: &mut [f32]) -> usize {
        let shape = self.task.shape;
        let weight = &self.weight[tile * shape.inner..(tile + COUNT) * shape.inner];
        let width = COUNT * W::LANES;
        let first = tile * W::LANES;
        let y = self.task.out.place(0, first, width, shape.outer);
        let parts = &mut parts[..shape.parts.len() * width];
        for (part, out) in shape.parts.iter().zip(parts.chunks_mut(width)) {
            // An empty part may start past the last vector.
            if part.is_empty() {
                out.fill(0.0);
                continue;
            }
            let tiles = array::from_fn(|c| &weight[c * shape.inner..][part.clone()]);
            let sums = multiply::<W, S, COUNT>(simd, &self.x[part.clone()], tiles);
            for (out, sum) in out.chunks_mut(W::LANES).zip(sums) {
                W::store(simd, sum, out);
            }
        }
        shape.finish(parts, width, first, y);
        COUNT
    }
}

/// sums[c] = fma(tiles[c][k], x[k], sums[c]) for k ascending, from 0.
#[inline(always)]
fn multiply<W: Format, S: Simd, const COUNT: usize>(
    simd: S,
    x: &[f32],
    tiles: [&[W::Vector]; COUNT],
) -> [W::Sum<S>; COUNT] {
    let mut sums = [W::zero(simd); COUNT];
    let (whole, rest) = x.as_chunks::<DEPTH>();
    let vectors = tiles.map(|tile| tile.as_chunks::<DEPTH>());
    for (at, x) in whole.iter().enumerate() {
        for c in 0..COUNT {
            for (vector, x) in vectors[c].0[at].iter().zip(x) {
                simd.prefetch(ptr::from_ref(vector).wrapping_add(AHEAD));
                sums[c] = W::fma_splat(simd, vector, simd.splat(*x), sums[c]);
            }
        }
    }
    for c in 0..COUNT {
        for (vector, x) in vectors[c].1.iter().zip(rest) {
            sums[c] = W::fma_splat(simd, vector, simd.splat(*x), sums[c]);
        }
    }
    sums
}
