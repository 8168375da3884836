#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::simd::{Kernel, Scalar, Simd};

/// Instruction set that a kernel runs on. All levels give the same bits; they differ in speed only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Plain Rust, any processor.
    Scalar,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// x86-64 with AVX-512F and BW.
    Avx512,
    /// The same with VNNI, for products of whole numbers.
    Avx512Vnni,
}

impl Level {
    /// Every level, slowest first.
    pub const ALL: [Level; 4] = [Level::Scalar, Level::Avx2, Level::Avx512, Level::Avx512Vnni];

    /// The fastest level of this processor. The answer is cached by the standard library.
    #[inline]
    pub fn detect() -> Level {
        if Level::Avx512Vnni.is_supported() {
            Level::Avx512Vnni
        } else if Level::Avx512.is_supported() {
            Level::Avx512
        } else if Level::Avx2.is_supported() {
            Level::Avx2
        } else {
            Level::Scalar
        }
    }

    /// Whether this processor has the level. An unsupported level falls back to `detect()` when it is asked for.
    #[inline]
    pub fn is_supported(self) -> bool {
        match self {
            Level::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => {
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && Level::Avx2.is_supported()
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni => is_x86_feature_detected!("avx512vnni") && Level::Avx512.is_supported(),
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 | Level::Avx512Vnni => false,
        }
    }

    /// Positions of this level's register blocks, see `Simd::BLOCK`.
    pub(crate) fn block(self) -> usize {
        self.run(Positions)
    }

    /// Runs `kernel` compiled for this level.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        let level = if self.is_supported() { self } else { Level::detect() };
        match level {
            Level::Scalar => kernel.run(Scalar),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `is_supported` has just found AVX2, FMA and F16C.
            Level::Avx2 => unsafe { run_avx2(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `is_supported` has just found AVX-512F and BW, AVX2, FMA and F16C.
            Level::Avx512 | Level::Avx512Vnni => unsafe { run_avx512(kernel) },
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 | Level::Avx512Vnni => kernel.run(Scalar),
        }
    }

    /// The same for a kernel of whole numbers, for which alone `Avx512Vnni` has instructions of its own.
    pub(crate) fn run_whole<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `is_supported` has just found AVX-512F, BW and VNNI, AVX2, FMA and F16C.
            Level::Avx512Vnni if self.is_supported() => unsafe { run_vnni(kernel) },
            _ => self.run(kernel),
        }
    }
}

struct Positions;

impl Kernel for Positions {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        S::BLOCK
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx2::new())
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx2,fma,f16c")]
fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx512::new())
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma,f16c")]
fn run_vnni<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx512::with_vnni())
}
