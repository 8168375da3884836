use std::arch::x86_64::*;

use super::{Simd, WIDTH, avx2::reduce_eight};

/// AVX-512F: sixteen lanes are one register. A value exists only where `Level::run` has found the feature.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// The target features make calling this outside `Level::run` an `unsafe` act.
    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    pub(crate) fn new() -> Avx512 {
        Avx512(())
    }
}

impl Simd for Avx512 {
    type Lanes = __m512;
    const BLOCK: usize = 12;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Lanes {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, values: &[f32; WIDTH]) -> Self::Lanes {
        // SAFETY: `self` proves AVX-512F; sixteen floats are readable, and the load needs no alignment.
        unsafe { _mm512_loadu_ps(values.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, lanes: Self::Lanes, values: &mut [f32; WIDTH]) {
        // SAFETY: `self` proves AVX-512F; sixteen floats are writable, and the store needs no alignment.
        unsafe { _mm512_storeu_ps(values.as_mut_ptr(), lanes) }
    }

    #[inline(always)]
    fn fma(self, a: Self::Lanes, b: Self::Lanes, c: Self::Lanes) -> Self::Lanes {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn widen(self, values: &[u16; 2 * WIDTH]) -> [Self::Lanes; 2] {
        // SAFETY: `self` proves AVX-512F; 64 bytes are readable, and the load needs no alignment.
        unsafe {
            let both = _mm512_loadu_si512(values.as_ptr().cast());
            let even = _mm512_slli_epi32::<16>(both);
            let odd = _mm512_and_si512(both, _mm512_set1_epi32(0xffff_0000_u32 as i32));
            [_mm512_castsi512_ps(even), _mm512_castsi512_ps(odd)]
        }
    }

    #[inline(always)]
    fn reduce(self, lanes: Self::Lanes) -> f32 {
        // SAFETY: `self` proves AVX-512F and, by `new`, AVX2.
        unsafe {
            let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(lanes)));
            reduce_eight(_mm256_add_ps(_mm512_castps512_ps256(lanes), high))
        }
    }
}
