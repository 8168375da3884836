//! The innermost loop of products at several positions: a panel of weights against a register block of positions.

use std::{hint::black_box, marker::PhantomData};

use crate::{
    interleave::group,
    simd::{SIDE, Simd, WIDTH},
    tile::{Lanes, Tiles},
};

/// Steps between two requests for memory: many at once would wait for each other, and the multipliers for them.
const STEP: usize = 16;
/// Bytes of a cache line.
const LINE: usize = 64;

/// Where a stretch of a tile's weights comes from, panel by panel.
pub(crate) trait Source {
    /// What one step along the reduced dimension takes.
    type Item;
    /// Panels of a tile.
    const PANELS: usize;

    fn items(&self, panel: usize) -> &[Self::Item];
    /// What goes to a panel.
    fn lanes<S: Simd>(simd: S, item: &Self::Item, panel: usize) -> S::Lanes;
}

/// Vectors as they are stored, widened in registers: for few positions this costs less than keeping them.
pub(crate) struct Stored<'a, W: Lanes>(pub &'a [W::Stored]);

impl<W: Lanes> Source for Stored<'_, W> {
    type Item = W::Stored;
    const PANELS: usize = W::PANELS;

    #[inline(always)]
    fn items(&self, _: usize) -> &[W::Stored] {
        self.0
    }

    #[inline(always)]
    fn lanes<S: Simd>(simd: S, item: &W::Stored, panel: usize) -> S::Lanes {
        W::panel(simd, item, panel)
    }
}

/// Panels that were widened before, `stride` apart, of which `depth` are filled.
pub(crate) struct Widened<'a, W> {
    pub panels: &'a [[f32; WIDTH]],
    pub stride: usize,
    pub depth: usize,
    pub tiles: PhantomData<W>,
}

impl<W: Tiles> Source for Widened<'_, W> {
    type Item = [f32; WIDTH];
    const PANELS: usize = W::PANELS;

    #[inline(always)]
    fn items(&self, panel: usize) -> &[[f32; WIDTH]] {
        &self.panels[panel * self.stride..][..self.depth]
    }

    #[inline(always)]
    fn lanes<S: Simd>(simd: S, item: &[f32; WIDTH], _: usize) -> S::Lanes {
        simd.load(item)
    }
}

/// A stretch of the reduced dimension of one tile, at all positions held.
pub(crate) struct Stretch<'a, Q, T> {
    pub source: Q,
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
        let Stretch { x, inner, start, ahead, .. } = self;
        Stretch { source, x, inner, start, ahead }
    }
}

impl<Q: Source, T> Stretch<'_, Q, T> {
    /// sums[panel][p] = fma(panel[k], x[p][k], sums[panel][p]) for k ascending, in register blocks of positions.
    #[inline(always)]
    pub fn multiply<S: Simd>(&self, simd: S, sums: &mut [[f32; WIDTH]]) {
        let positions = sums.len() / Q::PANELS;
        let depth = self.source.items(0).len();
        let blocks = Q::PANELS.div_ceil(side::<S, Q>()) * positions.div_ceil(S::BLOCK);
        // Kept from the optimiser, which would divide anew in the innermost loop.
        let rate = black_box(self.ahead.lines.div_ceil((blocks * depth.div_ceil(STEP)).max(1)));
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
        // Of two, the first and the last: which half of a vector goes there is known outside of the loop.
        self.registers::<S, P>(simd, 0, first, rate, line, sums);
        let mut panel = side::<S, Q>();
        while panel < Q::PANELS {
            self.registers::<S, P>(simd, panel, first, rate, line, sums);
            panel += side::<S, Q>();
        }
    }

    /// The innermost block: `P` sums of each of the panels side by side stay in registers. `rate` lines at a time are
    /// asked for from `line` on.
    #[inline(always)]
    fn registers<S: Simd, const P: usize>(
        &self,
        simd: S,
        panel: usize,
        first: usize,
        rate: usize,
        line: &mut usize,
        sums: &mut [[f32; WIDTH]],
    ) {
        let (positions, depth) = (sums.len() / Q::PANELS, self.source.items(0).len());
        let side = side::<S, Q>();
        let x = &self.x[first * self.inner + self.start * P..].as_chunks::<P>().0[..depth];
        let mut items = [self.source.items(panel); SIDE];
        let mut lanes = [[simd.splat(0.0); P]; SIDE];
        for at in 0..side {
            items[at] = &self.source.items(panel + at)[..depth];
            let sums = &sums[(panel + at) * positions + first..][..P];
            for p in 0..P {
                lanes[at][p] = simd.load(&sums[p]);
            }
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
                let mut weights = [simd.splat(0.0); SIDE];
                for at in 0..side {
                    weights[at] = Q::lanes(simd, &items[at][k], panel + at);
                }
                for p in 0..P {
                    let x = simd.splat(x[k][p]);
                    for at in 0..side {
                        lanes[at][p] = simd.fma(weights[at], x, lanes[at][p]);
                    }
                }
            }
            start = next;
        }
        for at in 0..side {
            let sums = &mut sums[(panel + at) * positions + first..][..P];
            for p in 0..P {
                simd.store(lanes[at][p], &mut sums[p]);
            }
        }
    }
}

/// Panels that lie side by side in registers: all take the activations that are read for one.
#[inline(always)]
const fn side<S: Simd, Q: Source>() -> usize {
    if S::SIDE < Q::PANELS { S::SIDE } else { Q::PANELS }
}
