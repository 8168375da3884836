use std::arch::x86_64::*;

use super::{Simd, WIDTH};

/// AVX2, FMA and F16C: sixteen lanes are two registers. A value exists only where `Level::run` has found them.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// The target features make calling this outside `Level::run` an `unsafe` act.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(crate) fn new() -> Avx2 {
        Avx2(())
    }
}

impl Simd for Avx2 {
    type Lanes = [__m256; 2];
    /// Lanes 0-3 and 8-11, then 4-7 and 12-15: as interleaving leaves them.
    type Ints = [__m256i; 2];
    type Pairs = [__m256i; 2];
    const BLOCK: usize = 6;
    const SIDE: usize = 1;
    const OUTPUTS: usize = 64;

    #[inline(always)]
    fn prefetch<T>(self, line: *const T) {
        // SAFETY: a prefetch reads nothing and cannot fault, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Lanes {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_set1_ps(value); 2] }
    }

    #[inline(always)]
    fn load(self, values: &[f32; WIDTH]) -> Self::Lanes {
        let start = values.as_ptr();
        // SAFETY: `self` proves AVX2; sixteen floats are readable, and the loads need no alignment.
        unsafe { [_mm256_loadu_ps(start), _mm256_loadu_ps(start.add(8))] }
    }

    #[inline(always)]
    fn store(self, lanes: Self::Lanes, values: &mut [f32; WIDTH]) {
        let start = values.as_mut_ptr();
        // SAFETY: `self` proves AVX2; sixteen floats are writable, and the stores need no alignment.
        unsafe {
            _mm256_storeu_ps(start, lanes[0]);
            _mm256_storeu_ps(start.add(8), lanes[1]);
        }
    }

    #[inline(always)]
    fn fma(self, a: Self::Lanes, b: Self::Lanes, c: Self::Lanes) -> Self::Lanes {
        // SAFETY: `self` proves FMA.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    fn widen(self, values: &[u16; 2 * WIDTH]) -> [Self::Lanes; 2] {
        let start = values.as_ptr().cast::<__m256i>();
        // SAFETY: `self` proves AVX2; 64 bytes are readable, and the loads need no alignment.
        unsafe {
            let (low, high) = (_mm256_loadu_si256(start), _mm256_loadu_si256(start.add(1)));
            let upper = _mm256_set1_epi32(0xffff_0000_u32 as i32);
            let even = [_mm256_slli_epi32::<16>(low), _mm256_slli_epi32::<16>(high)];
            let odd = [_mm256_and_si256(low, upper), _mm256_and_si256(high, upper)];
            [
                [_mm256_castsi256_ps(even[0]), _mm256_castsi256_ps(even[1])],
                [_mm256_castsi256_ps(odd[0]), _mm256_castsi256_ps(odd[1])],
            ]
        }
    }

    #[inline(always)]
    fn zip(self, even: Self::Lanes, odd: Self::Lanes, values: &mut [f32; 2 * WIDTH]) {
        let start = values.as_mut_ptr();
        // SAFETY: `self` proves AVX2; 32 floats are writable, and the stores need no alignment.
        unsafe {
            for at in 0..2 {
                // Pairs 0, 1, 4, 5 and 2, 3, 6, 7: halves of the registers are zipped by themselves.
                let low = _mm256_unpacklo_ps(even[at], odd[at]);
                let high = _mm256_unpackhi_ps(even[at], odd[at]);
                _mm256_storeu_ps(start.add(16 * at), _mm256_permute2f128_ps::<0x20>(low, high));
                _mm256_storeu_ps(start.add(16 * at + 8), _mm256_permute2f128_ps::<0x31>(low, high));
            }
        }
    }

    #[inline(always)]
    fn widen_bytes(self, values: &[i8; WIDTH]) -> Self::Lanes {
        let start = values.as_ptr().cast::<__m128i>();
        // SAFETY: `self` proves AVX2; sixteen bytes are readable, eight from the start and eight from the middle.
        unsafe {
            let (low, high) = (_mm_loadl_epi64(start), _mm_loadl_epi64(start.byte_add(8)));
            [_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(low)), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(high))]
        }
    }

    #[inline(always)]
    fn widen_nibbles(self, bytes: &[u8; WIDTH]) -> [Self::Lanes; 2] {
        let start = bytes.as_ptr().cast::<__m128i>();
        // SAFETY: `self` proves AVX2; sixteen bytes are readable, eight from the start and eight from the middle.
        unsafe {
            let bytes = [_mm_loadl_epi64(start), _mm_loadl_epi64(start.byte_add(8))];
            let (first, last) = (_mm256_cvtepu8_epi32(bytes[0]), _mm256_cvtepu8_epi32(bytes[1]));
            let low = _mm256_set1_epi32(15);
            [
                [_mm256_cvtepi32_ps(_mm256_and_si256(first, low)), _mm256_cvtepi32_ps(_mm256_and_si256(last, low))],
                [_mm256_cvtepi32_ps(_mm256_srli_epi32::<4>(first)), _mm256_cvtepi32_ps(_mm256_srli_epi32::<4>(last))],
            ]
        }
    }

    #[inline(always)]
    fn widen_halves(self, bytes: &[u8; 2 * WIDTH]) -> Self::Lanes {
        let start = bytes.as_ptr().cast::<__m128i>();
        // SAFETY: `self` proves F16C; 32 bytes are readable, and the loads need no alignment.
        unsafe { [_mm256_cvtph_ps(_mm_loadu_si128(start)), _mm256_cvtph_ps(_mm_loadu_si128(start.add(1)))] }
    }

    #[inline(always)]
    fn reduce(self, lanes: Self::Lanes) -> f32 {
        // SAFETY: `self` proves AVX2.
        unsafe { reduce_eight(_mm256_add_ps(lanes[0], lanes[1])) }
    }

    #[inline(always)]
    fn pair(self, first: &[i8; WIDTH], second: &[i8; WIDTH]) -> Self::Pairs {
        // SAFETY: `self` proves AVX2; sixteen bytes of each are readable, and the loads need no alignment.
        unsafe {
            let first = _mm256_cvtepi8_epi16(_mm_loadu_si128(first.as_ptr().cast()));
            let second = _mm256_cvtepi8_epi16(_mm_loadu_si128(second.as_ptr().cast()));
            [_mm256_unpacklo_epi16(first, second), _mm256_unpackhi_epi16(first, second)]
        }
    }

    #[inline(always)]
    fn splat_pair(self, pair: i32) -> Self::Pairs {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_set1_epi32(pair); 2] }
    }

    #[inline(always)]
    fn store_pairs(self, pairs: Self::Pairs, to: &mut [i32; WIDTH]) {
        let start = to.as_mut_ptr().cast::<__m256i>();
        // SAFETY: `self` proves AVX2; 64 bytes are writable, and the stores need no alignment.
        unsafe {
            _mm256_storeu_si256(start, pairs[0]);
            _mm256_storeu_si256(start.add(1), pairs[1]);
        }
    }

    #[inline(always)]
    fn load_pairs(self, from: &[i32; WIDTH]) -> Self::Pairs {
        let start = from.as_ptr().cast::<__m256i>();
        // SAFETY: `self` proves AVX2; 64 bytes are readable, and the loads need no alignment.
        unsafe { [_mm256_loadu_si256(start), _mm256_loadu_si256(start.add(1))] }
    }

    #[inline(always)]
    fn add_products(self, a: Self::Pairs, b: Self::Pairs, sum: Self::Ints) -> Self::Ints {
        // SAFETY: `self` proves AVX2.
        unsafe {
            [
                _mm256_add_epi32(sum[0], _mm256_madd_epi16(a[0], b[0])),
                _mm256_add_epi32(sum[1], _mm256_madd_epi16(a[1], b[1])),
            ]
        }
    }

    #[inline(always)]
    fn zero_ints(self) -> Self::Ints {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_setzero_si256(); 2] }
    }

    #[inline(always)]
    fn load_ints(self, from: &[i32; WIDTH]) -> Self::Ints {
        let ints = self.load_pairs(from);
        // SAFETY: `self` proves AVX2.
        unsafe {
            [_mm256_permute2x128_si256::<0x20>(ints[0], ints[1]), _mm256_permute2x128_si256::<0x31>(ints[0], ints[1])]
        }
    }

    #[inline(always)]
    fn store_ints(self, ints: Self::Ints, to: &mut [i32; WIDTH]) {
        let start = to.as_mut_ptr().cast::<__m256i>();
        // SAFETY: `self` proves AVX2; 64 bytes are writable, and the stores need no alignment.
        unsafe {
            _mm256_storeu_si256(start, _mm256_permute2x128_si256::<0x20>(ints[0], ints[1]));
            _mm256_storeu_si256(start.add(1), _mm256_permute2x128_si256::<0x31>(ints[0], ints[1]));
        }
    }
}

/// The last three steps of the tree by halves.
#[inline(always)]
pub(super) unsafe fn reduce_eight(lanes: __m256) -> f32 {
    // SAFETY: the caller proves AVX2.
    unsafe {
        let four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps::<1>(lanes));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
    }
}
