use crate::simd::{Bf16, F32, Format, Int8, Simd, WIDTH};

/// A format's tiles as panels of sixteen fp32 lanes, in the order in which the format sums its lanes.
pub(crate) trait Tiles: Format {
    /// Panels in a tile.
    const PANELS: usize;

    fn widen<S: Simd>(simd: S, vector: &Self::Vector) -> Self::Sum<S>;
    /// One run of lanes to each panel; panels are `stride` apart.
    fn to_panels<S: Simd>(simd: S, lanes: Self::Sum<S>, panels: &mut [[f32; WIDTH]], stride: usize);
    fn from_panels<S: Simd>(simd: S, panels: &[[f32; WIDTH]], stride: usize) -> Self::Sum<S>;
}

impl Tiles for Bf16 {
    const PANELS: usize = 2;

    #[inline(always)]
    fn widen<S: Simd>(simd: S, vector: &Self::Vector) -> Self::Sum<S> {
        simd.widen(vector)
    }

    #[inline(always)]
    fn to_panels<S: Simd>(simd: S, lanes: Self::Sum<S>, panels: &mut [[f32; WIDTH]], stride: usize) {
        for (at, lanes) in lanes.into_iter().enumerate() {
            simd.store(lanes, &mut panels[at * stride]);
        }
    }

    #[inline(always)]
    fn from_panels<S: Simd>(simd: S, panels: &[[f32; WIDTH]], stride: usize) -> Self::Sum<S> {
        [simd.load(&panels[0]), simd.load(&panels[stride])]
    }
}

impl Tiles for F32 {
    const PANELS: usize = 1;

    #[inline(always)]
    fn widen<S: Simd>(simd: S, vector: &Self::Vector) -> Self::Sum<S> {
        simd.load(vector)
    }

    #[inline(always)]
    fn to_panels<S: Simd>(simd: S, lanes: Self::Sum<S>, panels: &mut [[f32; WIDTH]], _: usize) {
        simd.store(lanes, &mut panels[0]);
    }

    #[inline(always)]
    fn from_panels<S: Simd>(simd: S, panels: &[[f32; WIDTH]], _: usize) -> Self::Sum<S> {
        simd.load(&panels[0])
    }
}

impl Tiles for Int8 {
    const PANELS: usize = 4;

    #[inline(always)]
    fn widen<S: Simd>(simd: S, vector: &Self::Vector) -> Self::Sum<S> {
        // Not by a closure: it would not be compiled for the level's instructions.
        let mut sum = Self::zero(simd);
        for (run, values) in vector.as_chunks::<WIDTH>().0.iter().enumerate() {
            sum[run] = simd.widen_bytes(values);
        }
        sum
    }

    #[inline(always)]
    fn to_panels<S: Simd>(simd: S, lanes: Self::Sum<S>, panels: &mut [[f32; WIDTH]], stride: usize) {
        for (at, lanes) in lanes.into_iter().enumerate() {
            simd.store(lanes, &mut panels[at * stride]);
        }
    }

    #[inline(always)]
    fn from_panels<S: Simd>(simd: S, panels: &[[f32; WIDTH]], stride: usize) -> Self::Sum<S> {
        let mut sum = Self::zero(simd);
        for (at, sum) in sum.iter_mut().enumerate() {
            *sum = simd.load(&panels[at * stride]);
        }
        sum
    }
}
