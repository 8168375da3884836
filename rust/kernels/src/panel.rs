//! The innermost loop of products at several positions: a panel of weights against a register block of positions.

use std::{hint::black_box, marker::PhantomData};

use crate::{
    interleave::group,
    simd::{Simd, WIDTH},
    tile::Lanes,
};

/// Steps between two requests for memory: many at once would wait for each other, and the multipliers for them.
const STEP: usize = 16;
/// Bytes of a cache line.
const LINE: usize = 64;

/// Where a stretch of a tile's weights comes from, panel by panel.
pub(crate) trait Source {
    /// What one step along the reduced dimension takes.
    type Item;
    /// Whether all panels lie in the same items.
    const SHARED: bool;

    fn items(&self, panel: usize) -> &[Self::Item];
    fn lanes<S: Simd, const PANEL: usize>(simd: S, item: &Self::Item) -> S::Lanes;
}

/// Vectors as they are stored, widened in registers: for few positions this costs less than keeping them.
pub(crate) struct Stored<'a, W: Lanes>(pub &'a [W::Stored]);

impl<W: Lanes> Source for Stored<'_, W> {
    type Item = W::Stored;
    const SHARED: bool = true;

    #[inline(always)]
    fn items(&self, _: usize) -> &[W::Stored] {
        self.0
    }

    #[inline(always)]
    fn lanes<S: Simd, const PANEL: usize>(simd: S, item: &W::Stored) -> S::Lanes {
        W::panel::<S, PANEL>(simd, item)
    }
}

/// Panels that were widened before, `stride` apart, of which `depth` are filled.
pub(crate) struct Widened<'a> {
    pub panels: &'a [[f32; WIDTH]],
    pub stride: usize,
    pub depth: usize,
}

impl Source for Widened<'_> {
    type Item = [f32; WIDTH];
    const SHARED: bool = false;

    #[inline(always)]
    fn items(&self, panel: usize) -> &[[f32; WIDTH]] {
        &self.panels[panel * self.stride..][..self.depth]
    }

    #[inline(always)]
    fn lanes<S: Simd, const PANEL: usize>(simd: S, item: &[f32; WIDTH]) -> S::Lanes {
        simd.load(item)
    }
}

/// A stretch of the reduced dimension of one tile, at all positions held.
pub(crate) struct Stretch<'a, Q, T> {
    pub source: Q,
    pub panels: usize,
    /// Interleaved, all of the reduced dimension.
    pub x: &'a [f32],
    pub inner: usize,
    pub start: usize,
    pub ahead: Ahead<T>,
}

/// Weights that will be read next, to be asked for a few at a time.
pub(crate) struct Ahead<T> {
    first: *const [u8; LINE],
    lines: usize,
    weights: PhantomData<T>,
}

impl<T> Ahead<T> {
    pub fn new(next: &[T]) -> Self {
        Ahead { first: next.as_ptr().cast(), lines: size_of_val(next).div_ceil(LINE), weights: PhantomData }
    }
}

impl<'a, T> Stretch<'a, (), T> {
    /// The same with weights.
    #[inline(always)]
    pub fn of<Q: Source>(self, source: Q) -> Stretch<'a, Q, T> {
        let Stretch { panels, x, inner, start, ahead, .. } = self;
        Stretch { source, panels, x, inner, start, ahead }
    }
}

impl<Q: Source, T> Stretch<'_, Q, T> {
    /// sums[panel][p] = fma(panel[k], x[p][k], sums[panel][p]) for k ascending, in register blocks of positions.
    #[inline(always)]
    pub fn multiply<S: Simd>(&self, simd: S, sums: &mut [[f32; WIDTH]]) {
        let positions = sums.len() / self.panels;
        let depth = self.source.items(0).len();
        let steps = self.panels * positions.div_ceil(S::BLOCK) * depth.div_ceil(STEP);
        // Kept from the optimiser, which would divide anew in the innermost loop.
        let rate = black_box(self.ahead.lines.div_ceil(steps.max(1)));
        let (mut done, mut line) = (0, 0);
        while done < positions {
            let size = group(positions - done, S::BLOCK);
            match size {
                12 if S::BLOCK >= 12 => self.panels::<S, 12>(simd, done, rate, &mut line, sums),
                8 if S::BLOCK >= 8 => self.panels::<S, 8>(simd, done, rate, &mut line, sums),
                6 if S::BLOCK >= 6 => self.panels::<S, 6>(simd, done, rate, &mut line, sums),
                5 if S::BLOCK >= 5 => self.panels::<S, 5>(simd, done, rate, &mut line, sums),
                4 => self.panels::<S, 4>(simd, done, rate, &mut line, sums),
                3 => self.panels::<S, 3>(simd, done, rate, &mut line, sums),
                2 => self.panels::<S, 2>(simd, done, rate, &mut line, sums),
                _ => self.panels::<S, 1>(simd, done, rate, &mut line, sums),
            }
            done += size;
        }
    }

    #[inline(always)]
    fn panels<S: Simd, const P: usize>(
        &self,
        simd: S,
        first: usize,
        rate: usize,
        line: &mut usize,
        sums: &mut [[f32; WIDTH]],
    ) {
        let positions = sums.len() / self.panels;
        for panel in 0..self.panels {
            let Some(sums) = sums[panel * positions + first..].first_chunk_mut::<P>() else { return };
            let items = self.source.items(panel);
            match panel {
                1 if Q::SHARED => self.registers::<S, P, 1>(simd, items, first, rate, line, sums),
                2 if Q::SHARED => self.registers::<S, P, 2>(simd, items, first, rate, line, sums),
                3 if Q::SHARED => self.registers::<S, P, 3>(simd, items, first, rate, line, sums),
                _ => self.registers::<S, P, 0>(simd, items, first, rate, line, sums),
            }
        }
    }

    /// The innermost block: `P` sums stay in registers. `rate` lines at a time are asked for from `line` on.
    #[inline(always)]
    fn registers<S: Simd, const P: usize, const PANEL: usize>(
        &self,
        simd: S,
        items: &[Q::Item],
        first: usize,
        rate: usize,
        line: &mut usize,
        sums: &mut [[f32; WIDTH]; P],
    ) {
        let depth = items.len();
        let x = &self.x[first * self.inner + self.start * P..].as_chunks::<P>().0[..depth];
        let mut lanes = [simd.splat(0.0); P];
        for p in 0..P {
            lanes[p] = simd.load(&sums[p]);
        }
        let mut start = 0;
        // Indices: a call of an iterator that is not inlined would cost the registers.
        while start < depth {
            let next = depth.min(start + STEP);
            let end = self.ahead.lines.min(*line + rate);
            while *line < end {
                simd.prefetch(self.ahead.first.wrapping_add(*line));
                *line += 1;
            }
            for k in start..next {
                let weight = Q::lanes::<S, PANEL>(simd, &items[k]);
                for p in 0..P {
                    lanes[p] = simd.fma(weight, simd.splat(x[k][p]), lanes[p]);
                }
            }
            start = next;
        }
        for p in 0..P {
            simd.store(lanes[p], &mut sums[p]);
        }
    }
}
