use std::{marker::PhantomData, ops::Range};

use crate::{
    interleave::POSITIONS,
    panel::{Ahead, Stored, Stretch, Widened},
    region::Task,
    simd::{Simd, WIDTH},
    tile::{Lanes, Tiles},
};

/// Vectors of a tile that meet all positions before the next ones do: 10 KB, and of each panel as widened, stay in cache.
const DEPTH: usize = 160;

/// Some tiles at some positions; bound by the multiply-adds.
pub(crate) struct Block<'a, W: Tiles> {
    pub task: Task<'a>,
    /// The task's own, see `interleave`.
    pub x: &'a [f32],
    pub weight: &'a [W::Stored],
}

/// How a tile's weights become lanes.
trait Widening<W: Tiles> {
    /// Goes on with `sums` over the steps `k` of a tile, with what they meet in `stretch`.
    fn multiply<S: Simd>(
        &mut self,
        simd: S,
        weight: &[W::Stored],
        k: Range<usize>,
        stretch: Stretch<(), W::Stored>,
        sums: &mut [[f32; WIDTH]],
    );
}

/// Once for all positions: `[panel][depth][16]`.
struct Once(Vec<[f32; WIDTH]>);

/// In registers, for each register block anew.
struct Anew;

impl<W: Tiles> Widening<W> for Once {
    #[inline(always)]
    fn multiply<S: Simd>(
        &mut self,
        simd: S,
        weight: &[W::Stored],
        k: Range<usize>,
        stretch: Stretch<(), W::Stored>,
        sums: &mut [[f32; WIDTH]],
    ) {
        W::to_panels(simd, &weight[k.start / W::DEPTH..k.end / W::DEPTH], &mut self.0, DEPTH);
        stretch
            .of(Widened::<W> { panels: &self.0, stride: DEPTH, depth: k.len(), tiles: PhantomData })
            .multiply(simd, sums);
    }
}

impl<W: Lanes> Widening<W> for Anew {
    #[inline(always)]
    fn multiply<S: Simd>(
        &mut self,
        simd: S,
        weight: &[W::Stored],
        k: Range<usize>,
        stretch: Stretch<(), W::Stored>,
        sums: &mut [[f32; WIDTH]],
    ) {
        stretch.of(Stored::<W>(&weight[k])).multiply(simd, sums);
    }
}

impl<W: Tiles> Block<'_, W> {
    /// Many positions: weights are widened once for all of them.
    #[inline(always)]
    pub fn run<S: Simd>(self, simd: S) {
        self.tiles(simd, Once(vec![[0.0; WIDTH]; W::PANELS * DEPTH]));
    }

    #[inline(always)]
    fn tiles<S: Simd>(mut self, simd: S, mut widening: impl Widening<W>) {
        let shape = self.task.shape;
        let (inner, count) = (shape.inner, self.task.positions.len());
        // [part][panel][position][16]
        let mut sums = vec![[0.0; WIDTH]; shape.parts.len() * W::PANELS * POSITIONS.min(count)];
        let mut parts = vec![0.0; shape.parts.len() * W::OUTPUTS];
        for first in (0..count).step_by(POSITIONS) {
            let positions = POSITIONS.min(count - first);
            let x = &self.x[first * inner..(first + positions) * inner];
            let width = positions * W::PANELS;
            let sums = &mut sums[..shape.parts.len() * width];
            for tile in self.task.tiles.clone() {
                sums.fill([0.0; WIDTH]);
                let (tile_start, tile_end) = (tile * inner / W::DEPTH, (tile + 1) * inner / W::DEPTH);
                let weight = &self.weight[tile_start..tile_end];
                for (part, sums) in shape.parts.iter().zip(sums.chunks_mut(width)) {
                    for k in stretches(part.clone(), W::DEPTH) {
                        let after = (tile_start + k.end / W::DEPTH).min(self.weight.len());
                        let next = &self.weight[after..(after + k.len() / W::DEPTH).min(self.weight.len())];
                        let (start, ahead) = (k.start, Ahead::new(next));
                        let stretch = Stretch { source: (), x, inner, start, ahead };
                        widening.multiply(simd, weight, k, stretch, sums);
                    }
                }
                for p in 0..positions {
                    for (to, part) in parts.chunks_mut(W::OUTPUTS).zip(sums.chunks(width)) {
                        W::from_panels(simd, &part[p..], positions, to);
                    }
                    let y = self.task.out.place(first + p, tile * W::OUTPUTS, W::OUTPUTS, shape.outer);
                    shape.finish(&mut parts, W::OUTPUTS, tile * W::OUTPUTS, y);
                }
            }
        }
    }
}

impl<W: Lanes> Block<'_, W> {
    /// Few positions: to widen weights in registers costs less than keeping them.
    #[inline(always)]
    pub fn run_few<S: Simd>(self, simd: S) {
        self.tiles(simd, Anew);
    }
}

/// A part in stretches of about the same length, at most `DEPTH`, cut at multiples of `whole`.
fn stretches(part: Range<usize>, whole: usize) -> impl Iterator<Item = Range<usize>> {
    let length = part.len().div_ceil(part.len().div_ceil(DEPTH).max(1)).next_multiple_of(whole).max(1);
    let end = part.end;
    part.step_by(length).map(move |start| start..end.min(start + length))
}
