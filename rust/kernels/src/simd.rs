//! Sixteen fp32 lanes on three instruction sets, and the two formats whose vectors they hold.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod format;
mod scalar;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
pub(crate) use format::{Bf16, F32, Format};
pub(crate) use scalar::Scalar;

/// fp32 lanes of one `Simd::Lanes`.
pub(crate) const WIDTH: usize = 16;

/// A computation written once and compiled for each level; `run` must be `#[inline(always)]` to inherit its features.
pub(crate) trait Kernel {
    type Output;
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Proof that the processor has an instruction set, and its sixteen-lane operations.
pub(crate) trait Simd: Copy {
    type Lanes: Copy;
    /// Positions whose accumulators fit the registers beside one panel of weights.
    const BLOCK: usize;

    fn splat(self, value: f32) -> Self::Lanes;
    fn load(self, values: &[f32; WIDTH]) -> Self::Lanes;
    fn store(self, lanes: Self::Lanes, values: &mut [f32; WIDTH]);
    /// a * b + c, rounded once.
    fn fma(self, a: Self::Lanes, b: Self::Lanes, c: Self::Lanes) -> Self::Lanes;
    /// The even and the odd elements of 32 bf16; two cheap bit operations, where keeping the order takes a shuffle.
    fn widen(self, values: &[u16; 2 * WIDTH]) -> [Self::Lanes; 2];
    /// Binary tree by halves: l += l+8, l += l+4, l += l+2, l += l+1.
    fn reduce(self, lanes: Self::Lanes) -> f32;
}
