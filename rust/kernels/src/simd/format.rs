use std::array;

use super::{Simd, WIDTH};

/// Rows whose lanes are added at once.
pub(crate) const ROWS: usize = WIDTH / 2;

/// How one 64-byte vector of an element type meets fp32 accumulators.
pub(crate) trait Format: Copy + Send + Sync {
    /// One vector as stored.
    type Vector: Copy + Send + Sync;
    /// One fp32 accumulator per lane; the order inside is the format's own.
    type Sum<S: Simd>: Copy;
    /// Lanes of a vector.
    const LANES: usize;

    fn zero<S: Simd>(simd: S) -> Self::Sum<S>;
    /// sum[lane] = fma(vector[lane], x, sum[lane])
    fn fma_splat<S: Simd>(simd: S, vector: &Self::Vector, x: S::Lanes, sum: Self::Sum<S>) -> Self::Sum<S>;
    /// sum[lane] = fma(vector[lane], x[lane], sum[lane])
    fn fma_lanes<S: Simd>(simd: S, vector: &Self::Vector, x: Self::Sum<S>, sum: Self::Sum<S>) -> Self::Sum<S>;
    /// The first `LANES` values, in lane order; missing ones are zero.
    fn load<S: Simd>(simd: S, values: &[f32]) -> Self::Sum<S>;
    /// In lane order, as many as `values` takes.
    fn store<S: Simd>(simd: S, sum: Self::Sum<S>, values: &mut [f32]);
    /// Binary tree over the lanes by halves.
    fn reduce<S: Simd>(simd: S, sum: Self::Sum<S>) -> f32;
    /// `reduce` of each.
    #[inline(always)]
    fn reduce_rows<S: Simd>(simd: S, sums: [Self::Sum<S>; ROWS]) -> [f32; ROWS] {
        sums.map(|sum| Self::reduce(simd, sum))
    }
}

/// 16 fp32 lanes.
#[derive(Clone, Copy)]
pub(crate) struct F32;

/// 32 bf16 lanes, summed as the even ones and the odd ones.
#[derive(Clone, Copy)]
pub(crate) struct Bf16;

/// 64 int8 lanes, summed as four runs of sixteen.
#[derive(Clone, Copy)]
pub(crate) struct Int8;

impl Format for F32 {
    type Vector = [f32; WIDTH];
    type Sum<S: Simd> = S::Lanes;
    const LANES: usize = WIDTH;

    #[inline(always)]
    fn zero<S: Simd>(simd: S) -> S::Lanes {
        simd.splat(0.0)
    }

    #[inline(always)]
    fn fma_splat<S: Simd>(simd: S, vector: &Self::Vector, x: S::Lanes, sum: S::Lanes) -> S::Lanes {
        simd.fma(simd.load(vector), x, sum)
    }

    #[inline(always)]
    fn fma_lanes<S: Simd>(simd: S, vector: &Self::Vector, x: S::Lanes, sum: S::Lanes) -> S::Lanes {
        simd.fma(simd.load(vector), x, sum)
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, values: &[f32]) -> S::Lanes {
        let mut lanes = [0.0; WIDTH];
        for (lane, value) in lanes.iter_mut().zip(values) {
            *lane = *value;
        }
        simd.load(&lanes)
    }

    #[inline(always)]
    fn store<S: Simd>(simd: S, sum: S::Lanes, values: &mut [f32]) {
        let mut lanes = [0.0; WIDTH];
        simd.store(sum, &mut lanes);
        for (value, lane) in values.iter_mut().zip(&lanes) {
            *value = *lane;
        }
    }

    #[inline(always)]
    fn reduce<S: Simd>(simd: S, sum: S::Lanes) -> f32 {
        simd.reduce(sum)
    }
}

impl Format for Bf16 {
    type Vector = [u16; 2 * WIDTH];
    type Sum<S: Simd> = [S::Lanes; 2];
    const LANES: usize = 2 * WIDTH;

    #[inline(always)]
    fn zero<S: Simd>(simd: S) -> [S::Lanes; 2] {
        [simd.splat(0.0); 2]
    }

    #[inline(always)]
    fn fma_splat<S: Simd>(simd: S, vector: &Self::Vector, x: S::Lanes, sum: [S::Lanes; 2]) -> [S::Lanes; 2] {
        let [even, odd] = simd.widen(vector);
        [simd.fma(even, x, sum[0]), simd.fma(odd, x, sum[1])]
    }

    #[inline(always)]
    fn fma_lanes<S: Simd>(simd: S, vector: &Self::Vector, x: [S::Lanes; 2], sum: [S::Lanes; 2]) -> [S::Lanes; 2] {
        let [even, odd] = simd.widen(vector);
        [simd.fma(even, x[0], sum[0]), simd.fma(odd, x[1], sum[1])]
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, values: &[f32]) -> [S::Lanes; 2] {
        let mut pair = [[0.0; WIDTH]; 2];
        for (lane, value) in values.iter().take(2 * WIDTH).enumerate() {
            pair[lane % 2][lane / 2] = *value;
        }
        [simd.load(&pair[0]), simd.load(&pair[1])]
    }

    #[inline(always)]
    fn store<S: Simd>(simd: S, sum: [S::Lanes; 2], values: &mut [f32]) {
        if let Some(values) = values.first_chunk_mut() {
            return simd.zip(sum[0], sum[1], values);
        }
        let mut all = [0.0; 2 * WIDTH];
        simd.zip(sum[0], sum[1], &mut all);
        values.copy_from_slice(&all[..values.len()]);
    }

    #[inline(always)]
    fn reduce<S: Simd>(simd: S, sum: [S::Lanes; 2]) -> f32 {
        // Steps +16, +8, +4, +2 never mix an even lane with an odd one; step +1 joins the two.
        simd.reduce(sum[0]) + simd.reduce(sum[1])
    }

    #[inline(always)]
    fn reduce_rows<S: Simd>(simd: S, sums: [[S::Lanes; 2]; ROWS]) -> [f32; ROWS] {
        let mut both = [0.0; WIDTH];
        simd.store(simd.reduce_all(array::from_fn(|at| sums[at % ROWS][at / ROWS])), &mut both);
        array::from_fn(|row| both[row] + both[row + ROWS])
    }
}

impl Format for Int8 {
    type Vector = [i8; 4 * WIDTH];
    type Sum<S: Simd> = [S::Lanes; 4];
    const LANES: usize = 4 * WIDTH;

    #[inline(always)]
    fn zero<S: Simd>(simd: S) -> [S::Lanes; 4] {
        [simd.splat(0.0); 4]
    }

    #[inline(always)]
    fn fma_splat<S: Simd>(simd: S, vector: &Self::Vector, x: S::Lanes, sum: [S::Lanes; 4]) -> [S::Lanes; 4] {
        Int8::fma_lanes(simd, vector, [x; 4], sum)
    }

    #[inline(always)]
    fn fma_lanes<S: Simd>(simd: S, vector: &Self::Vector, x: [S::Lanes; 4], mut sum: [S::Lanes; 4]) -> [S::Lanes; 4] {
        for (run, values) in vector.as_chunks::<WIDTH>().0.iter().enumerate() {
            sum[run] = simd.fma(simd.widen_bytes(values), x[run], sum[run]);
        }
        sum
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, values: &[f32]) -> [S::Lanes; 4] {
        let mut runs = [[0.0; WIDTH]; 4];
        for (lane, value) in runs.as_flattened_mut().iter_mut().zip(values) {
            *lane = *value;
        }
        [simd.load(&runs[0]), simd.load(&runs[1]), simd.load(&runs[2]), simd.load(&runs[3])]
    }

    #[inline(always)]
    fn store<S: Simd>(simd: S, sum: [S::Lanes; 4], values: &mut [f32]) {
        let mut runs = [[0.0; WIDTH]; 4];
        for (run, sum) in runs.iter_mut().zip(sum) {
            simd.store(sum, run);
        }
        for (value, lane) in values.iter_mut().zip(runs.as_flattened()) {
            *value = *lane;
        }
    }

    #[inline(always)]
    fn reduce<S: Simd>(simd: S, sum: [S::Lanes; 4]) -> f32 {
        let mut runs = [[0.0; WIDTH]; 4];
        for (run, sum) in runs.iter_mut().zip(sum) {
            simd.store(sum, run);
        }
        let [a, b, c, d] = runs;
        simd.reduce(simd.load(&std::array::from_fn(|lane| (a[lane] + c[lane]) + (b[lane] + d[lane]))))
    }
}
