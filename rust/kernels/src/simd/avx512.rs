use std::{arch::x86_64::*, array};

use super::{Simd, WIDTH, avx2::reduce_eight};

/// AVX-512F and BW, and VNNI if `VNNI`: sixteen lanes are one register. A value exists only where `Level` has found these
/// features.
#[derive(Clone, Copy)]
pub(crate) struct Avx512<const VNNI: bool>(());

impl Avx512<false> {
    /// The target features make calling this outside `Level::run` an `unsafe` act.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx2,fma,f16c")]
    pub(crate) fn new() -> Self {
        Avx512(())
    }
}

impl Avx512<true> {
    /// The same, outside `Level::run_whole`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma,f16c")]
    pub(crate) fn with_vnni() -> Self {
        Avx512(())
    }
}

impl<const VNNI: bool> Simd for Avx512<VNNI> {
    type Lanes = __m512;
    type Ints = __m512i;
    type Pairs = __m512i;
    const BLOCK: usize = 12;
    const SIDE: usize = 2;
    const OUTPUTS: usize = 128;

    #[inline(always)]
    fn prefetch<T>(self, line: *const T) {
        // SAFETY: a prefetch reads nothing and cannot fault, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
    }

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
    fn widen_bytes(self, values: &[i8; WIDTH]) -> Self::Lanes {
        // SAFETY: `self` proves AVX-512F; sixteen bytes are readable, and the load needs no alignment.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(values.as_ptr().cast()))) }
    }

    #[inline(always)]
    fn widen_nibbles(self, bytes: &[u8; WIDTH]) -> [Self::Lanes; 2] {
        // SAFETY: `self` proves AVX-512F; sixteen bytes are readable, and the load needs no alignment.
        unsafe {
            let both = _mm512_cvtepu8_epi32(_mm_loadu_si128(bytes.as_ptr().cast()));
            let low = _mm512_and_si512(both, _mm512_set1_epi32(15));
            [_mm512_cvtepi32_ps(low), _mm512_cvtepi32_ps(_mm512_srli_epi32::<4>(both))]
        }
    }

    #[inline(always)]
    fn widen_halves(self, bytes: &[u8; 2 * WIDTH]) -> Self::Lanes {
        // SAFETY: `self` proves AVX-512F; 32 bytes are readable, and the load needs no alignment.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(bytes.as_ptr().cast())) }
    }

    #[inline(always)]
    fn reduce(self, lanes: Self::Lanes) -> f32 {
        // SAFETY: `self` proves AVX-512F and, by `new`, AVX2.
        unsafe {
            let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(lanes)));
            reduce_eight(_mm256_add_ps(_mm512_castps512_ps256(lanes), high))
        }
    }

    #[inline(always)]
    fn reduce_all(self, lanes: [Self::Lanes; WIDTH]) -> Self::Lanes {
        // SAFETY: `self` proves AVX-512F.
        unsafe {
            // Each step halves the lanes of a value and puts two registers into one. The last two take turns with quarters
            // of registers, so that the values come in the order in which every fourth goes in.
            let lanes: [__m512; WIDTH] = array::from_fn(|at| lanes[at % 4 * 4 + at / 4]);
            let eights: [__m512; 8] = array::from_fn(|at| {
                let (one, other) = (lanes[2 * at], lanes[2 * at + 1]);
                _mm512_add_ps(
                    _mm512_shuffle_f32x4::<0b01_00_01_00>(one, other),
                    _mm512_shuffle_f32x4::<0b11_10_11_10>(one, other),
                )
            });
            let fours: [__m512; 4] = array::from_fn(|at| {
                let (one, other) = (eights[2 * at], eights[2 * at + 1]);
                _mm512_add_ps(
                    _mm512_shuffle_f32x4::<0b10_00_10_00>(one, other),
                    _mm512_shuffle_f32x4::<0b11_01_11_01>(one, other),
                )
            });
            let twos: [__m512; 2] = array::from_fn(|at| {
                let (one, other) = (fours[2 * at], fours[2 * at + 1]);
                _mm512_add_ps(
                    _mm512_shuffle_ps::<0b01_00_01_00>(one, other),
                    _mm512_shuffle_ps::<0b11_10_11_10>(one, other),
                )
            });
            _mm512_add_ps(
                _mm512_shuffle_ps::<0b10_00_10_00>(twos[0], twos[1]),
                _mm512_shuffle_ps::<0b11_01_11_01>(twos[0], twos[1]),
            )
        }
    }

    #[inline(always)]
    fn pair(self, first: &[i8; WIDTH], second: &[i8; WIDTH]) -> Self::Pairs {
        // SAFETY: `self` proves AVX-512F and AVX2; sixteen bytes of each are readable, and the loads need no alignment.
        unsafe {
            let first = _mm512_cvtepi8_epi32(_mm_loadu_si128(first.as_ptr().cast()));
            let second = _mm512_cvtepi8_epi32(_mm_loadu_si128(second.as_ptr().cast()));
            let low = _mm512_and_si512(first, _mm512_set1_epi32(0xffff));
            _mm512_or_si512(low, _mm512_slli_epi32::<16>(second))
        }
    }

    #[inline(always)]
    fn splat_pair(self, pair: i32) -> Self::Pairs {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_set1_epi32(pair) }
    }

    #[inline(always)]
    fn store_pairs(self, pairs: Self::Pairs, to: &mut [i32; WIDTH]) {
        // SAFETY: `self` proves AVX-512F; 64 bytes are writable, and the store needs no alignment.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), pairs) }
    }

    #[inline(always)]
    fn load_pairs(self, from: &[i32; WIDTH]) -> Self::Pairs {
        // SAFETY: `self` proves AVX-512F; 64 bytes are readable, and the load needs no alignment.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn add_products(self, a: Self::Pairs, b: Self::Pairs, sum: Self::Ints) -> Self::Ints {
        // SAFETY: `self` proves AVX-512F and BW, and VNNI if `VNNI`.
        unsafe { if VNNI { _mm512_dpwssd_epi32(sum, a, b) } else { _mm512_add_epi32(sum, _mm512_madd_epi16(a, b)) } }
    }

    #[inline(always)]
    fn zero_ints(self) -> Self::Ints {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    fn load_ints(self, from: &[i32; WIDTH]) -> Self::Ints {
        self.load_pairs(from)
    }

    #[inline(always)]
    fn store_ints(self, ints: Self::Ints, to: &mut [i32; WIDTH]) {
        self.store_pairs(ints, to);
    }
}
