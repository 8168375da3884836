use crate::{
    region::Task,
    simd::{Format, Simd},
};

/// Outputs summed at once: enough independent sums to hide the latency of a multiply-add, and few enough for registers.
pub(crate) const OUTPUTS: usize = 64;

/// Vectors that are asked for before they are needed: 2 KB hide how far memory is, and the processor's own prefetching
/// begins anew on every page.
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
        let mut tile = self.task.tiles.start;
        while tile < self.task.tiles.end {
            tile += match (OUTPUTS / W::LANES).min(self.task.tiles.end - tile) {
                4.. => self.tiles::<S, 4>(simd, tile),
                2.. => self.tiles::<S, 2>(simd, tile),
                _ => self.tiles::<S, 1>(simd, tile),
            };
        }
    }

    /// `TILES` tiles from `tile` on.
    #[inline(always)]
    fn tiles<S: Simd, const TILES: usize>(&mut self, simd: S, tile: usize) -> usize {
        let shape = self.task.shape;
        let weight = &self.weight[tile * shape.inner..];
        let width = TILES * W::LANES;
        let first = tile * W::LANES;
        let y = self.task.out.place(0, first, width, shape.outer);
        let mut parts = vec![0.0; shape.parts.len() * width];
        for (part, out) in shape.parts.iter().zip(parts.chunks_mut(width)) {
            // An empty part may start past the last vector: its sum stays 0.
            if part.is_empty() {
                continue;
            }
            let (x, weight) = (&self.x[part.clone()], &weight[part.start..]);
            let sums = columns::<W, S, TILES>(simd, x, weight, 1, shape.inner, [W::zero(simd); TILES]);
            for (out, sum) in out.chunks_mut(W::LANES).zip(sums) {
                W::store(simd, sum, out);
            }
        }
        shape.finish(&mut parts, width, first, y);
        TILES
    }
}

/// sums[c] = fma(vectors[k * k_stride + c * c_stride], x[k], sums[c]) for k ascending.
#[inline(always)]
pub(crate) fn columns<W: Format, S: Simd, const COLUMNS: usize>(
    simd: S,
    x: &[f32],
    vectors: &[W::Vector],
    k_stride: usize,
    c_stride: usize,
    mut sums: [W::Sum<S>; COLUMNS],
) -> [W::Sum<S>; COLUMNS] {
    for (k, &x) in x.iter().enumerate() {
        let x = simd.splat(x);
        for c in 0..COLUMNS {
            simd.prefetch(vectors.as_ptr().wrapping_add((k + AHEAD / COLUMNS) * k_stride + c * c_stride));
            sums[c] = W::fma_splat(simd, &vectors[k * k_stride + c * c_stride], x, sums[c]);
        }
    }
    sums
}
