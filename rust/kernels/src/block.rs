use crate::{
    region::Task,
    simd::{Format, Simd, WIDTH},
    tile::{MOST_PANELS, Tiles},
};

/// Positions whose partial sums are held at once: a multiple of every level's register block.
const POSITIONS: usize = 48;
/// Vectors of a tile that are widened at once: 8 KB for each panel.
const DEPTH: usize = 128;

/// Widened weights, by panel and depth.
type Panels = [[[f32; WIDTH]; DEPTH]; MOST_PANELS];

/// Some tiles at some positions; bound by the multiply-adds.
pub(crate) struct Block<'a, W: Format> {
    pub task: Task<'a>,
    /// `[positions][inner]`, the task's own.
    pub x: &'a [f32],
    pub weight: &'a [W::Vector],
}

impl<W: Tiles> Block<'_, W> {
    #[inline(always)]
    pub fn run<S: Simd>(mut self, simd: S) {
        let shape = self.task.shape;
        let (inner, parts, count) = (shape.inner, shape.parts.len(), self.task.positions.len());
        let mut panels: Box<Panels> = Box::new([[[0.0; WIDTH]; DEPTH]; MOST_PANELS]);
        // [part][position][panel][16]
        let mut sums = vec![[0.0; WIDTH]; parts * W::PANELS * POSITIONS.min(count)];
        for first in (0..count).step_by(POSITIONS) {
            let positions = POSITIONS.min(count - first);
            let x = &self.x[first * inner..(first + positions) * inner];
            let width = positions * W::PANELS;
            let sums = &mut sums[..parts * width];
            for tile in self.task.tiles.clone() {
                sums.fill([0.0; WIDTH]);
                let weight = &self.weight[tile * inner..(tile + 1) * inner];
                for (part, sums) in shape.parts.iter().zip(sums.chunks_mut(width)) {
                    for start in part.clone().step_by(DEPTH) {
                        let vectors = &weight[start..part.end.min(start + DEPTH)];
                        let [a, b, c, d] = &mut *panels;
                        for (k, vector) in vectors.iter().enumerate() {
                            let to = [&mut a[k], &mut b[k], &mut c[k], &mut d[k]];
                            W::to_panels(simd, W::widen(simd, vector), to);
                        }
                        let next = &self.weight[(tile * inner + start + vectors.len()).min(self.weight.len())..];
                        multiply::<S, W>(simd, &x[start..], inner, &panels, vectors.len(), next, sums);
                    }
                }
                self.give(simd, sums, width, first, tile);
            }
        }
    }

    /// The finished sums of one tile at the positions from `first` on.
    #[inline(always)]
    fn give<S: Simd>(&mut self, simd: S, sums: &[[f32; WIDTH]], width: usize, first: usize, tile: usize) {
        let shape = self.task.shape;
        let mut parts = vec![0.0; shape.parts.len() * W::LANES];
        for p in 0..width / W::PANELS {
            for (to, part) in parts.chunks_mut(W::LANES).zip(sums.chunks(width)) {
                W::store(simd, W::from_panels(simd, &part[p * W::PANELS..(p + 1) * W::PANELS]), to);
            }
            let y = self.task.out.place(first + p, tile * W::LANES, W::LANES, shape.outer);
            shape.finish(&mut parts, W::LANES, tile * W::LANES, y);
        }
    }
}

/// sums[p][panel] = fma(panel[k], x[p * stride + k], sums[p][panel]) for k ascending, in register blocks of positions.
#[inline(always)]
fn multiply<S: Simd, W: Tiles>(
    simd: S,
    x: &[f32],
    stride: usize,
    panels: &Panels,
    depth: usize,
    next: &[W::Vector],
    sums: &mut [[f32; WIDTH]],
) {
    let positions = sums.len() / W::PANELS;
    let mut done = 0;
    while done < positions {
        // The weights that are widened after this, a few at a time while the multipliers are busy.
        for line in next.iter().take(depth).skip(done * depth / positions).take(depth * S::BLOCK / positions + 1) {
            simd.prefetch(line);
        }
        let (x, sums) = (&x[done * stride..], &mut sums[done * W::PANELS..]);
        done += match (positions - done).min(S::BLOCK) {
            12.. => registers::<S, W, 12>(simd, x, stride, panels, depth, sums),
            6.. => registers::<S, W, 6>(simd, x, stride, panels, depth, sums),
            4.. => registers::<S, W, 4>(simd, x, stride, panels, depth, sums),
            2.. => registers::<S, W, 2>(simd, x, stride, panels, depth, sums),
            _ => registers::<S, W, 1>(simd, x, stride, panels, depth, sums),
        };
    }
}

/// The innermost block: `P` sums stay in registers over the depth of a panel, and x in the first-level cache over all.
#[inline(always)]
fn registers<S: Simd, W: Tiles, const P: usize>(
    simd: S,
    x: &[f32],
    stride: usize,
    panels: &Panels,
    depth: usize,
    sums: &mut [[f32; WIDTH]],
) -> usize {
    for (number, panel) in panels.iter().enumerate().take(W::PANELS) {
        let panel = &panel[..depth];
        let rows: [&[f32]; P] = std::array::from_fn(|p| &x[p * stride..p * stride + depth]);
        let mut lanes = [simd.splat(0.0); P];
        for p in 0..P {
            lanes[p] = simd.load(&sums[p * W::PANELS + number]);
        }
        for k in 0..depth {
            let weight = simd.load(&panel[k]);
            for p in 0..P {
                lanes[p] = simd.fma(weight, simd.splat(rows[p][k]), lanes[p]);
            }
        }
        for p in 0..P {
            simd.store(lanes[p], &mut sums[p * W::PANELS + number]);
        }
    }
    P
}
