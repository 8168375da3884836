use crate::simd::{Bf16, F32, Format, Int8, Simd, WIDTH};

/// A format's tiles as panels of sixteen fp32 lanes, in the order in which the format sums its lanes.
pub(crate) trait Tiles: Format {
    /// Panels in a tile.
    const PANELS: usize;

    fn widen<S: Simd>(simd: S, vector: &Self::Vector) -> Self::Sum<S>;
    fn to_panels<S: Simd>(simd: S, lanes: Self::Sum<S>, panels: [&mut [f32; WIDTH]; MOST_PANELS]);
    fn from_panels<S: Simd>(simd: S, panels: &[[f32; WIDTH]]) -> Self::Sum<S>;
}

/// Panels of the widest tile; narrower ones leave the last alone.
pub(crate) const MOST_PANELS: usize = 4;

impl Tiles for Bf16 {
    const PANELS: usize = 2;

    #[inline(always)]
    fn widen<S: Simd>(simd: S, vector: &Self::Vector) -> Self::Sum<S> {
        simd.widen(vector)
    }

    #[inline(always)]
    fn to_panels<S: Simd>(simd: S, lanes: Self::Sum<S>, panels: [&mut [f32; WIDTH]; MOST_PANELS]) {
        for (lanes, panel) in lanes.into_iter().zip(panels) {
            simd.store(lanes, panel);
        }
    }

    #[inline(always)]
    fn from_panels<S: Simd>(simd: S, panels: &[[f32; WIDTH]]) -> Self::Sum<S> {
        [simd.load(&panels[0]), simd.load(&panels[1])]
    }
}

impl Tiles for F32 {
    const PANELS: usize = 1;

    #[inline(always)]
    fn widen<S: Simd>(simd: S, vector: &Self::Vector) -> Self::Sum<S> {
        simd.load(vector)
    }

    #[inline(always)]
    fn to_panels<S: Simd>(simd: S, lanes: Self::Sum<S>, panels: [&mut [f32; WIDTH]; MOST_PANELS]) {
        let [panel, ..] = panels;
        simd.store(lanes, panel);
    }

    #[inline(always)]
    fn from_panels<S: Simd>(simd: S, panels: &[[f32; WIDTH]]) -> Self::Sum<S> {
        simd.load(&panels[0])
    }
}

impl Tiles for Int8 {
    const PANELS: usize = 4;

    #[inline(always)]
    fn widen<S: Simd>(simd: S, vector: &Self::Vector) -> Self::Sum<S> {
        let runs = vector.as_chunks::<WIDTH>().0;
        std::array::from_fn(|run| simd.widen_bytes(&runs[run]))
    }

    #[inline(always)]
    fn to_panels<S: Simd>(simd: S, lanes: Self::Sum<S>, panels: [&mut [f32; WIDTH]; MOST_PANELS]) {
        for (lanes, panel) in lanes.into_iter().zip(panels) {
            simd.store(lanes, panel);
        }
    }

    #[inline(always)]
    fn from_panels<S: Simd>(simd: S, panels: &[[f32; WIDTH]]) -> Self::Sum<S> {
        [simd.load(&panels[0]), simd.load(&panels[1]), simd.load(&panels[2]), simd.load(&panels[3])]
    }
}
