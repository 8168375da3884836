//! Sixteen lanes on three instruction sets, and the formats whose vectors they hold.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod blocks;
mod format;
mod scalar;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
pub(crate) use blocks::{Coding, Q40, Q41, Q80, RUNS};
pub(crate) use format::{Bf16, F32, Format, Int8, ROWS};
pub(crate) use scalar::Scalar;

/// fp32 lanes of one `Simd::Lanes`.
pub(crate) const WIDTH: usize = 16;

/// Most panels of weights side by side in registers.
pub(crate) const SIDE: usize = 2;

/// Two whole numbers as two i16 in one i32: the first in the low half.
#[inline(always)]
pub(crate) fn pair(first: i8, second: i8) -> i32 {
    i32::from(first) & 0xffff | i32::from(second) << 16
}

/// A computation written once and compiled for each level; `run` must be `#[inline(always)]` to inherit its features.
pub(crate) trait Kernel {
    type Output;
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Proof that the processor has an instruction set, and its sixteen-lane operations.
pub(crate) trait Simd: Copy {
    type Lanes: Copy;
    /// Sixteen i32 sums; the order inside is the level's own.
    type Ints: Copy;
    /// Sixteen pairs of i16, one pair for each sum of `Ints`.
    type Pairs: Copy;
    /// Positions whose accumulators fit the registers, for `SIDE` panels of weights and beside these.
    const BLOCK: usize;
    /// Panels side by side, at most `SIDE`: with two, an activation is read for two multiply-adds.
    const SIDE: usize;
    /// Outputs whose sums fit the registers, with enough of them to hide the latency of a multiply-add.
    const OUTPUTS: usize;

    /// Asks for a cache line that will be read soon; it need not exist.
    #[inline(always)]
    fn prefetch<T>(self, _line: *const T) {}
    fn splat(self, value: f32) -> Self::Lanes;
    fn load(self, values: &[f32; WIDTH]) -> Self::Lanes;
    fn store(self, lanes: Self::Lanes, values: &mut [f32; WIDTH]);
    /// a * b + c, rounded once.
    fn fma(self, a: Self::Lanes, b: Self::Lanes, c: Self::Lanes) -> Self::Lanes;
    /// The even and the odd elements of 32 bf16; two cheap bit operations, where keeping the order takes a shuffle.
    fn widen(self, values: &[u16; 2 * WIDTH]) -> [Self::Lanes; 2];
    /// even[0], odd[0], even[1], odd[1], ..: what `widen` took apart.
    #[inline(always)]
    fn zip(self, even: Self::Lanes, odd: Self::Lanes, values: &mut [f32; 2 * WIDTH]) {
        let mut lanes = [[0.0; WIDTH]; 2];
        self.store(even, &mut lanes[0]);
        self.store(odd, &mut lanes[1]);
        for (at, value) in values.iter_mut().enumerate() {
            *value = lanes[at % 2][at / 2];
        }
    }
    /// Sixteen whole numbers as fp32.
    fn widen_bytes(self, values: &[i8; WIDTH]) -> Self::Lanes;
    /// Whole numbers from 0 to 15 as fp32: the low halves of sixteen bytes, and the high ones.
    fn widen_nibbles(self, bytes: &[u8; WIDTH]) -> [Self::Lanes; 2];
    /// Sixteen fp16 numbers, little-endian, as fp32.
    fn widen_halves(self, bytes: &[u8; 2 * WIDTH]) -> Self::Lanes;
    /// Binary tree by halves: l += l+8, l += l+4, l += l+2, l += l+1.
    fn reduce(self, lanes: Self::Lanes) -> f32;
    /// `reduce` of each, one beside the other.
    #[inline(always)]
    fn reduce_all(self, lanes: [Self::Lanes; WIDTH]) -> Self::Lanes {
        self.load(&lanes.map(|lanes| self.reduce(lanes)))
    }

    /// Pair number l is (first[l], second[l]).
    fn pair(self, first: &[i8; WIDTH], second: &[i8; WIDTH]) -> Self::Pairs;
    /// The same pair sixteen times: the first number in the low half of `pair`.
    fn splat_pair(self, pair: i32) -> Self::Pairs;
    fn store_pairs(self, pairs: Self::Pairs, to: &mut [i32; WIDTH]);
    fn load_pairs(self, from: &[i32; WIDTH]) -> Self::Pairs;
    /// sum + a.0 * b.0 + a.1 * b.1 of each pair; no step can overflow on numbers from -127 to 127.
    fn add_products(self, a: Self::Pairs, b: Self::Pairs, sum: Self::Ints) -> Self::Ints;
    fn zero_ints(self) -> Self::Ints;
    /// From the order of the lanes.
    fn load_ints(self, from: &[i32; WIDTH]) -> Self::Ints;
    /// In the order of the lanes.
    fn store_ints(self, ints: Self::Ints, to: &mut [i32; WIDTH]);
}
