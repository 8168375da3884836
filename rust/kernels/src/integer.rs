use std::ptr;

use crate::{
    region::Task,
    row::AHEAD,
    simd::{Simd, WIDTH},
};

/// Runs of sixteen outputs in a tile.
const RUNS: usize = 4;
/// Positions whose sums are held at once beside a run's pairs.
const POSITIONS: usize = 24;

/// Whole numbers times whole numbers: sums are exact, so that their order needs no declaring.
pub(crate) struct Integers<'a> {
    pub task: Task<'a>,
    /// `[positions of the product][pairs]`
    pub x: &'a [i32],
    /// One for each position of the product.
    pub scales: &'a [f32],
    pub weight: &'a [[i8; RUNS * WIDTH]],
}

impl Integers<'_> {
    #[inline(always)]
    pub fn run<S: Simd>(mut self, simd: S) {
        if self.task.positions.len() == 1 {
            self.row(simd);
        } else {
            self.block(simd);
        }
    }

    /// One position: pairs are made as the weights are read.
    #[inline(always)]
    fn row<S: Simd>(&mut self, simd: S) {
        let (inner, position) = (self.task.shape.inner, self.task.positions.start);
        let count = inner.div_ceil(2);
        let x = &self.x[position * count..(position + 1) * count];
        for tile in self.task.tiles.clone() {
            let weight = &self.weight[tile * inner..(tile + 1) * inner];
            let mut sums = [simd.zero_ints(); RUNS];
            let (twos, rest) = weight.as_chunks::<2>();
            for ([first, second], &x) in twos.iter().zip(x) {
                simd.prefetch(ptr::from_ref(first).wrapping_add(AHEAD));
                simd.prefetch(ptr::from_ref(second).wrapping_add(AHEAD));
                add_two(simd, first, second, x, &mut sums);
            }
            if let ([last], Some(&x)) = (rest, x.last()) {
                add_two(simd, last, &[0; RUNS * WIDTH], x, &mut sums);
            }
            let mut out = [[0; WIDTH]; RUNS];
            for (out, sum) in out.iter_mut().zip(sums) {
                simd.store_ints(sum, out);
            }
            self.give(0, tile, out.as_flattened());
        }
    }

    /// Many positions: each tile's pairs are made once.
    #[inline(always)]
    fn block<S: Simd>(&mut self, simd: S) {
        let (inner, positions) = (self.task.shape.inner, self.task.positions.clone());
        let count = inner.div_ceil(2);
        let mut panels = vec![[0; WIDTH]; RUNS * count];
        let mut sums = [[[0; WIDTH]; RUNS]; POSITIONS];
        for tile in self.task.tiles.clone() {
            let weight = &self.weight[tile * inner..(tile + 1) * inner];
            let (twos, rest) = weight.as_chunks::<2>();
            let last = rest.first().map(|last| [*last, [0; RUNS * WIDTH]]);
            for (k, [first, second]) in twos.iter().chain(&last).enumerate() {
                let (first, second) = (first.as_chunks::<WIDTH>().0, second.as_chunks::<WIDTH>().0);
                for run in 0..RUNS {
                    simd.store_pairs(simd.pair(&first[run], &second[run]), &mut panels[run * count + k]);
                }
            }
            for first in positions.clone().step_by(POSITIONS) {
                let held = POSITIONS.min(positions.end - first);
                let x = &self.x[first * count..(first + held) * count];
                for (run, panel) in panels.chunks_exact(count.max(1)).enumerate() {
                    multiply(simd, x, panel, run, &mut sums[..held]);
                }
                for (at, sums) in sums[..held].iter().enumerate() {
                    self.give(first - positions.start + at, tile, sums.as_flattened());
                }
            }
        }
    }

    /// Sums of one tile at the task's p-th position: one product of scales, one multiplication, and the bias.
    #[inline(always)]
    fn give(&mut self, p: usize, tile: usize, sums: &[i32]) {
        let shape = self.task.shape;
        let (first, scale) = (tile * sums.len(), self.scales[self.task.positions.start + p]);
        let y = self.task.out.place(p, first, sums.len(), shape.outer);
        match shape.scales {
            Some(scales) => {
                for ((y, sum), own) in y.iter_mut().zip(sums).zip(&scales[first..]) {
                    *y = *sum as f32 * (scale * own);
                }
            }
            None => {
                for (y, sum) in y.iter_mut().zip(sums) {
                    *y = *sum as f32 * scale;
                }
            }
        }
        shape.add_bias(first, y);
    }
}

#[inline(always)]
fn add_two<S: Simd>(
    simd: S,
    first: &[i8; RUNS * WIDTH],
    second: &[i8; RUNS * WIDTH],
    x: i32,
    sums: &mut [S::Ints; RUNS],
) {
    let (first, second) = (first.as_chunks::<WIDTH>().0, second.as_chunks::<WIDTH>().0);
    let x = simd.splat_pair(x);
    for run in 0..RUNS {
        sums[run] = simd.add_products(simd.pair(&first[run], &second[run]), x, sums[run]);
    }
}

/// One run of a tile at all positions held, in register blocks.
#[inline(always)]
fn multiply<S: Simd>(simd: S, x: &[i32], panel: &[[i32; WIDTH]], run: usize, sums: &mut [[[i32; WIDTH]; RUNS]]) {
    let mut done = 0;
    while done < sums.len() {
        let (x, sums) = (&x[done * panel.len()..], &mut sums[done..]);
        done += match sums.len().min(S::BLOCK) {
            12.. => registers::<S, 12>(simd, x, panel, run, sums),
            6.. => registers::<S, 6>(simd, x, panel, run, sums),
            4.. => registers::<S, 4>(simd, x, panel, run, sums),
            2.. => registers::<S, 2>(simd, x, panel, run, sums),
            _ => registers::<S, 1>(simd, x, panel, run, sums),
        };
    }
}

#[inline(always)]
fn registers<S: Simd, const P: usize>(
    simd: S,
    x: &[i32],
    panel: &[[i32; WIDTH]],
    run: usize,
    sums: &mut [[[i32; WIDTH]; RUNS]],
) -> usize {
    let depth = panel.len();
    let rows: [&[i32]; P] = std::array::from_fn(|p| &x[p * depth..(p + 1) * depth]);
    let mut held = [simd.zero_ints(); P];
    for k in 0..depth {
        let weight = simd.load_pairs(&panel[k]);
        for p in 0..P {
            held[p] = simd.add_products(weight, simd.splat_pair(rows[p][k]), held[p]);
        }
    }
    for p in 0..P {
        simd.store_ints(held[p], &mut sums[p][run]);
    }
    P
}
