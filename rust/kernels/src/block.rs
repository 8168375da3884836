use crate::{
    linear::{Shape, Tiles},
    order::add_tree,
    simd::{Kernel, Simd, WIDTH},
};

/// Positions whose partial sums are held at once: a multiple of every level's register block.
const POSITIONS: usize = 48;
/// Widened weights of one step: 8 KB of panel, and as much of x per position as stays in the first-level cache.
const DEPTH: usize = 128;

/// One tile at many positions; bound by the multiply-adds.
pub(crate) struct Block<'a, W: Tiles> {
    pub shape: &'a Shape<'a>,
    /// `[positions][inner]`
    pub x: &'a [f32],
    /// `[inner]` vectors of this tile.
    pub weight: &'a [W::Vector],
    pub tile: usize,
    /// `[positions][lanes]`
    pub out: &'a mut [f32],
}

impl<W: Tiles> Kernel for Block<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Block { shape, x, weight, tile, out } = self;
        let (inner, parts) = (shape.inner, shape.parts.len());
        let mut widened = [[0.0; WIDTH]; DEPTH];
        // [part][panel][position][16]
        let held = POSITIONS.min(out.len() / W::LANES);
        let mut sums = vec![[0.0; WIDTH]; parts * W::PANELS * held];
        for (index, out) in out.chunks_mut(POSITIONS * W::LANES).enumerate() {
            let first = index * POSITIONS;
            let positions = out.len() / W::LANES;
            let width = W::PANELS * positions;
            let sums = &mut sums[..parts * width];
            sums.fill([0.0; WIDTH]);
            for (part, sums) in shape.parts.iter().zip(sums.chunks_mut(width)) {
                for start in part.clone().step_by(DEPTH) {
                    let depth = DEPTH.min(part.end - start);
                    for (number, sums) in sums.chunks_mut(positions).enumerate() {
                        let panel = W::panel(&weight[start..start + depth], number, &mut widened);
                        multiply(simd, &x[first * inner + start..], inner, panel, sums);
                    }
                }
            }
            let total = add_tree(sums.as_flattened_mut(), width * WIDTH);
            for (position, out) in out.chunks_mut(W::LANES).enumerate() {
                for (panel, out) in out.chunks_mut(WIDTH).enumerate() {
                    let start = (panel * positions + position) * WIDTH;
                    out.copy_from_slice(&total[start..start + WIDTH]);
                }
                shape.add_bias(tile * W::LANES, out);
            }
        }
    }
}

/// sums[p] = fma(panel[k], x[p * stride + k], sums[p]) for k ascending, in register blocks of positions.
#[inline(always)]
fn multiply<S: Simd>(simd: S, x: &[f32], stride: usize, panel: &[[f32; WIDTH]], sums: &mut [[f32; WIDTH]]) {
    let mut done = 0;
    while done < sums.len() {
        let (x, sums) = (&x[done * stride..], &mut sums[done..]);
        let size = sums.len().min(S::BLOCK);
        done += match size {
            12.. => registers::<S, 12>(simd, x, stride, panel, sums),
            6.. => registers::<S, 6>(simd, x, stride, panel, sums),
            4.. => registers::<S, 4>(simd, x, stride, panel, sums),
            2.. => registers::<S, 2>(simd, x, stride, panel, sums),
            _ => registers::<S, 1>(simd, x, stride, panel, sums),
        };
    }
}

/// The innermost block: `P` sums stay in registers over the depth of the panel.
#[inline(always)]
fn registers<S: Simd, const P: usize>(
    simd: S,
    x: &[f32],
    stride: usize,
    panel: &[[f32; WIDTH]],
    sums: &mut [[f32; WIDTH]],
) -> usize {
    let depth = panel.len();
    let mut rows: [&[f32]; P] = [&[]; P];
    let mut lanes = [simd.splat(0.0); P];
    for p in 0..P {
        rows[p] = &x[p * stride..p * stride + depth];
        lanes[p] = simd.load(&sums[p]);
    }
    for k in 0..depth {
        let weight = simd.load(&panel[k]);
        for p in 0..P {
            lanes[p] = simd.fma(weight, simd.splat(rows[p][k]), lanes[p]);
        }
    }
    for p in 0..P {
        simd.store(lanes[p], &mut sums[p]);
    }
    P
}
