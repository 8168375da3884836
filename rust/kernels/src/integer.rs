use std::ptr;

use crate::{
    interleave::{POSITIONS, group},
    region::Task,
    row::AHEAD,
    simd::{Kernel, SIDE, Simd, WIDTH},
};

/// Runs of sixteen outputs in a tile.
const RUNS: usize = 4;
/// Pairs of a tile that meet all positions before the next ones do: 4 KB of each run stay in the first-level cache.
const DEPTH: usize = 64;

/// Whole numbers times whole numbers: sums are exact, so that their order needs no declaring.
pub(crate) struct Integers<'a> {
    pub task: Task<'a>,
    /// Pairs of all positions of the product; several are interleaved.
    pub x: &'a [i32],
    /// One for each position of the product.
    pub scales: &'a [f32],
    pub weight: &'a [[i8; RUNS * WIDTH]],
}

impl Kernel for Integers<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        if self.task.positions.len() == 1 {
            self.row(simd);
        } else {
            self.block(simd);
        }
    }
}

impl Integers<'_> {
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

    /// Several positions: each stretch of a tile becomes pairs once for all of them.
    #[inline(always)]
    fn block<S: Simd>(&mut self, simd: S) {
        let (inner, positions) = (self.task.shape.inner, self.task.positions.clone());
        let count = inner.div_ceil(2);
        let mut pairs = vec![[[0; WIDTH]; RUNS]; DEPTH];
        let mut sums = vec![[[0; WIDTH]; RUNS]; POSITIONS.min(positions.len())];
        for first in positions.clone().step_by(POSITIONS) {
            let held = POSITIONS.min(positions.end - first);
            let x = &self.x[first * count..(first + held) * count];
            for tile in self.task.tiles.clone() {
                sums.fill([[0; WIDTH]; RUNS]);
                for start in (0..count).step_by(DEPTH) {
                    let end = count.min(start + DEPTH);
                    let (from, after) = (tile * inner + 2 * start, tile * inner + inner.min(2 * end));
                    make_pairs(simd, &self.weight[from..after], &mut pairs);
                    let next = &self.weight[after..self.weight.len().min(after + 2 * DEPTH)];
                    Stretch { x, count, start, pairs: &pairs[..end - start], next }.multiply(simd, &mut sums[..held]);
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

/// Pairs of neighbours along the reduced dimension; the last of an odd number beside zeros.
#[inline(always)]
fn make_pairs<S: Simd>(simd: S, weight: &[[i8; RUNS * WIDTH]], pairs: &mut [[[i32; WIDTH]; RUNS]]) {
    let (twos, rest) = weight.as_chunks::<2>();
    for ([first, second], pairs) in twos.iter().zip(&mut *pairs) {
        make_pair(simd, first, second, pairs);
    }
    if let ([last], Some(pairs)) = (rest, pairs.get_mut(twos.len())) {
        make_pair(simd, last, &[0; RUNS * WIDTH], pairs);
    }
}

#[inline(always)]
fn make_pair<S: Simd>(
    simd: S,
    first: &[i8; RUNS * WIDTH],
    second: &[i8; RUNS * WIDTH],
    pairs: &mut [[i32; WIDTH]; RUNS],
) {
    let (first, second) = (first.as_chunks::<WIDTH>().0, second.as_chunks::<WIDTH>().0);
    for run in 0..RUNS {
        simd.store_pairs(simd.pair(&first[run], &second[run]), &mut pairs[run]);
    }
}

/// A stretch of a tile, and what it meets.
struct Stretch<'a> {
    /// Interleaved, all of the reduced dimension.
    x: &'a [i32],
    /// Pairs of a position.
    count: usize,
    start: usize,
    pairs: &'a [[[i32; WIDTH]; RUNS]],
    /// Weights that become pairs next.
    next: &'a [[i8; RUNS * WIDTH]],
}

impl Stretch<'_> {
    /// Adds to the sums of all positions held, in register blocks.
    #[inline(always)]
    fn multiply<S: Simd>(&self, simd: S, sums: &mut [[[i32; WIDTH]; RUNS]]) {
        let held = sums.len();
        let mut done = 0;
        while done < held {
            let size = group(held - done, S::BLOCK);
            let (lines, first) = (self.next.len(), done);
            done += size;
            for run in (0..RUNS).step_by(S::SIDE) {
                // A few at a time: many at once would wait for each other.
                let ahead = (first * RUNS + run * size) * lines / (held * RUNS)
                    ..(first * RUNS + (run + S::SIDE) * size) * lines / (held * RUNS);
                for line in &self.next[ahead] {
                    simd.prefetch(line);
                }
                match size {
                    12 if S::BLOCK >= 12 => self.registers::<S, 12>(simd, first, run, sums),
                    8 if S::BLOCK >= 8 => self.registers::<S, 8>(simd, first, run, sums),
                    6 if S::BLOCK >= 6 => self.registers::<S, 6>(simd, first, run, sums),
                    5 if S::BLOCK >= 5 => self.registers::<S, 5>(simd, first, run, sums),
                    4 => self.registers::<S, 4>(simd, first, run, sums),
                    3 => self.registers::<S, 3>(simd, first, run, sums),
                    2 => self.registers::<S, 2>(simd, first, run, sums),
                    _ => self.registers::<S, 1>(simd, first, run, sums),
                }
            }
        }
    }

    /// `P` sums of each of `S::SIDE` runs stay in registers.
    #[inline(always)]
    fn registers<S: Simd, const P: usize>(&self, simd: S, first: usize, run: usize, sums: &mut [[[i32; WIDTH]; RUNS]]) {
        let x = &self.x[first * self.count + self.start * P..].as_chunks::<P>().0[..self.pairs.len()];
        let sums = &mut sums[first..first + P];
        let mut held = [[simd.zero_ints(); P]; SIDE];
        for at in 0..S::SIDE {
            for p in 0..P {
                held[at][p] = simd.load_ints(&sums[p][run + at]);
            }
        }
        for k in 0..self.pairs.len() {
            // With one run, twice the same.
            let (pairs, last) = (&self.pairs[k], run + S::SIDE - 1);
            let weights = [simd.load_pairs(&pairs[run]), simd.load_pairs(&pairs[last])];
            for p in 0..P {
                let x = simd.splat_pair(x[k][p]);
                for at in 0..S::SIDE {
                    held[at][p] = simd.add_products(weights[at], x, held[at][p]);
                }
            }
        }
        for at in 0..S::SIDE {
            for p in 0..P {
                simd.store_ints(held[at][p], &mut sums[p][run + at]);
            }
        }
    }
}
