use super::{Simd, WIDTH};

/// Plain Rust: the reference that the other levels are tested against.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

impl Simd for Scalar {
    type Lanes = [f32; WIDTH];
    const BLOCK: usize = 4;

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
    fn reduce(self, mut lanes: Self::Lanes) -> f32 {
        for half in [8, 4, 2, 1] {
            for lane in 0..half {
                lanes[lane] += lanes[lane + half];
            }
        }
        lanes[0]
    }
}
