use half::f16;

use super::{Simd, WIDTH, pair};

/// Plain Rust: the reference that the other levels are tested against.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

impl Simd for Scalar {
    type Lanes = [f32; WIDTH];
    type Ints = [i32; WIDTH];
    type Pairs = [i32; WIDTH];
    const BLOCK: usize = 4;
    const SIDE: usize = 1;
    const OUTPUTS: usize = 64;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Lanes {
        [value; WIDTH]
    }

    #[inline(always)]
    fn load(self, values: &[f32; WIDTH]) -> Self::Lanes {
        *values
    }

    #[inline(always)]
    fn store(self, lanes: Self::Lanes, values: &mut [f32; WIDTH]) {
        *values = lanes;
    }

    #[inline(always)]
    fn fma(self, a: Self::Lanes, b: Self::Lanes, mut c: Self::Lanes) -> Self::Lanes {
        for lane in 0..WIDTH {
            c[lane] = a[lane].mul_add(b[lane], c[lane]);
        }
        c
    }

    #[inline(always)]
    fn widen(self, values: &[u16; 2 * WIDTH]) -> [Self::Lanes; 2] {
        let mut pair = [[0.0; WIDTH]; 2];
        for lane in 0..WIDTH {
            pair[0][lane] = f32::from_bits(u32::from(values[2 * lane]) << 16);
            pair[1][lane] = f32::from_bits(u32::from(values[2 * lane + 1]) << 16);
        }
        pair
    }

    #[inline(always)]
    fn widen_bytes(self, values: &[i8; WIDTH]) -> Self::Lanes {
        values.map(f32::from)
    }

    #[inline(always)]
    fn widen_nibbles(self, bytes: &[u8; WIDTH]) -> [Self::Lanes; 2] {
        [bytes.map(|byte| f32::from(byte & 15)), bytes.map(|byte| f32::from(byte >> 4))]
    }

    #[inline(always)]
    fn widen_halves(self, bytes: &[u8; 2 * WIDTH]) -> Self::Lanes {
        std::array::from_fn(|lane| f16::from_le_bytes([bytes[2 * lane], bytes[2 * lane + 1]]).to_f32())
    }

    #[inline(always)]
    fn reduce(self, mut lanes: Self::Lanes) -> f32 {
        for half in [8, 4, 2, 1] {
            for lane in 0..half {
                lanes[lane] += lanes[lane + half];
            }
        }
        lanes[0]
    }

    #[inline(always)]
    fn pair(self, first: &[i8; WIDTH], second: &[i8; WIDTH]) -> Self::Pairs {
        std::array::from_fn(|lane| pair(first[lane], second[lane]))
    }

    #[inline(always)]
    fn splat_pair(self, pair: i32) -> Self::Pairs {
        [pair; WIDTH]
    }

    #[inline(always)]
    fn store_pairs(self, pairs: Self::Pairs, to: &mut [i32; WIDTH]) {
        *to = pairs;
    }

    #[inline(always)]
    fn load_pairs(self, from: &[i32; WIDTH]) -> Self::Pairs {
        *from
    }

    #[inline(always)]
    fn add_products(self, a: Self::Pairs, b: Self::Pairs, mut sum: Self::Ints) -> Self::Ints {
        for lane in 0..WIDTH {
            let (a, b) = (a[lane], b[lane]);
            let low = i32::from(a as i16) * i32::from(b as i16);
            sum[lane] += low + (a >> 16) * (b >> 16);
        }
        sum
    }

    #[inline(always)]
    fn zero_ints(self) -> Self::Ints {
        [0; WIDTH]
    }

    #[inline(always)]
    fn load_ints(self, from: &[i32; WIDTH]) -> Self::Ints {
        *from
    }

    #[inline(always)]
    fn store_ints(self, ints: Self::Ints, to: &mut [i32; WIDTH]) {
        *to = ints;
    }
}
