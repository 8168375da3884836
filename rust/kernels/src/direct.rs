use crate::{
    region::Task,
    simd::{Simd, WIDTH},
    tile::Lanes,
};

/// Vectors of a tile that meet all positions before the next ones do: 8 KB, which stay in the first-level cache.
const DEPTH: usize = 128;

/// Positions of the next register block where `left` are left: blocks of about the same size keep the multipliers busy.
#[inline(always)]
fn group(left: usize, block: usize) -> usize {
    match left.div_ceil(left.div_ceil(block)) {
        12.. => 12,
        8.. => 8,
        6.. => 6,
        size => size,
    }
}

/// Some tiles at some positions, few enough that widening weights in registers costs less than keeping them.
pub(crate) struct Direct<'a, W: Lanes> {
    pub task: Task<'a>,
    /// `[position of the task][inner]`
    pub x: &'a [f32],
    pub weight: &'a [W::Stored],
}

impl<W: Lanes> Direct<'_, W> {
    #[inline(always)]
    pub fn run<S: Simd>(mut self, simd: S) {
        let shape = self.task.shape;
        let (inner, count) = (shape.inner, self.task.positions.len());
        // [part][panel][position][16]
        let mut sums = vec![[0.0; WIDTH]; shape.parts.len() * W::PANELS * count];
        let mut parts = vec![0.0; shape.parts.len() * W::OUTPUTS];
        for tile in self.task.tiles.clone() {
            sums.fill([0.0; WIDTH]);
            let weight = &self.weight[tile * inner..(tile + 1) * inner];
            for (part, sums) in shape.parts.iter().zip(sums.chunks_mut(W::PANELS * count)) {
                for start in part.clone().step_by(DEPTH) {
                    let vectors = &weight[start..part.end.min(start + DEPTH)];
                    let after = tile * inner + start + vectors.len();
                    let next = &self.weight[after..(after + DEPTH).min(self.weight.len())];
                    Slice::<W> { x: self.x, inner, start, vectors, next }.multiply(simd, sums);
                }
            }
            for p in 0..count {
                for (to, part) in parts.chunks_mut(W::OUTPUTS).zip(sums.chunks(W::PANELS * count)) {
                    W::from_panels(simd, &part[p..], count, to);
                }
                let y = self.task.out.place(p, tile * W::OUTPUTS, W::OUTPUTS, shape.outer);
                shape.finish(&mut parts, W::OUTPUTS, tile * W::OUTPUTS, y);
            }
        }
    }
}

/// A stretch of the reduced dimension.
struct Slice<'a, W: Lanes> {
    /// All of the reduced dimension.
    x: &'a [f32],
    inner: usize,
    start: usize,
    vectors: &'a [W::Stored],
    /// What is read after them.
    next: &'a [W::Stored],
}

impl<W: Lanes> Slice<'_, W> {
    /// sums[panel][p] = fma(vector[k] of the panel, x[p][k], sums[panel][p]) for k ascending, in register blocks.
    #[inline(always)]
    fn multiply<S: Simd>(&self, simd: S, sums: &mut [[f32; WIDTH]]) {
        let positions = sums.len() / W::PANELS;
        let mut done = 0;
        while done < positions {
            let size = group(positions - done, S::BLOCK);
            // A few at a time, while the multipliers are busy.
            let lines = done * self.next.len() / positions..(done + size) * self.next.len() / positions;
            for line in &self.next[lines] {
                simd.prefetch(line);
            }
            match size {
                12 if S::BLOCK >= 12 => self.panels::<S, 12>(simd, done, sums),
                8 if S::BLOCK >= 8 => self.panels::<S, 8>(simd, done, sums),
                6 if S::BLOCK >= 6 => self.panels::<S, 6>(simd, done, sums),
                5 if S::BLOCK >= 5 => self.panels::<S, 5>(simd, done, sums),
                4 => self.panels::<S, 4>(simd, done, sums),
                3 => self.panels::<S, 3>(simd, done, sums),
                2 => self.panels::<S, 2>(simd, done, sums),
                _ => self.panels::<S, 1>(simd, done, sums),
            }
            done += size;
        }
    }

    #[inline(always)]
    fn panels<S: Simd, const P: usize>(&self, simd: S, first: usize, sums: &mut [[f32; WIDTH]]) {
        let positions = sums.len() / W::PANELS;
        for (panel, sums) in sums.chunks_mut(positions).enumerate() {
            let Some(sums) = sums[first..].first_chunk_mut::<P>() else { return };
            match panel {
                0 => self.registers::<S, P, 0>(simd, first, sums),
                1 => self.registers::<S, P, 1>(simd, first, sums),
                2 => self.registers::<S, P, 2>(simd, first, sums),
                _ => self.registers::<S, P, 3>(simd, first, sums),
            }
        }
    }

    /// The innermost block: `P` sums stay in registers, and each vector's sixteen lanes of a panel are widened there.
    #[inline(always)]
    fn registers<S: Simd, const P: usize, const PANEL: usize>(
        &self,
        simd: S,
        first: usize,
        sums: &mut [[f32; WIDTH]; P],
    ) {
        let depth = self.vectors.len();
        let mut rows = [&self.x[..0]; P];
        let mut lanes = [simd.splat(0.0); P];
        for p in 0..P {
            rows[p] = &self.x[(first + p) * self.inner + self.start..][..depth];
            lanes[p] = simd.load(&sums[p]);
        }
        for (k, vector) in self.vectors.iter().enumerate() {
            let weight = W::panel::<S, PANEL>(simd, vector);
            for p in 0..P {
                lanes[p] = simd.fma(weight, simd.splat(rows[p][k]), lanes[p]);
            }
        }
        for p in 0..P {
            simd.store(lanes[p], &mut sums[p]);
        }
    }
}
