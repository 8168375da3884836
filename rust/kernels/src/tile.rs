use crate::{
    BlockType,
    simd::{Bf16, Coding, F32, Format, Int8, RUNS, Simd, WIDTH},
};

/// A weight's tiles as panels of sixteen fp32 lanes, in the order in which its sums have them.
pub(crate) trait Tiles: Copy + Send + Sync {
    /// What a tile is made of.
    type Stored: Copy + Send + Sync;
    /// Of the reduced dimension, what one of these holds.
    const DEPTH: usize;
    /// Outputs of a tile.
    const OUTPUTS: usize;
    /// Panels in a tile.
    const PANELS: usize;

    /// One run of lanes to each panel; panels are `stride` apart.
    fn to_panels<S: Simd>(simd: S, stored: &[Self::Stored], panels: &mut [[f32; WIDTH]], stride: usize);
    /// Sums that lie as panels do, in the order of the outputs.
    fn from_panels<S: Simd>(simd: S, panels: &[[f32; WIDTH]], stride: usize, values: &mut [f32]);
}

/// Tiles whose lanes are widened one vector at a time.
pub(crate) trait Lanes: Tiles {
    /// The lanes that go to one panel.
    fn panel<S: Simd>(simd: S, vector: &Self::Stored, panel: usize) -> S::Lanes;
}

impl Tiles for Bf16 {
    type Stored = <Bf16 as Format>::Vector;
    const DEPTH: usize = 1;
    const OUTPUTS: usize = Bf16::LANES;
    const PANELS: usize = 2;

    #[inline(always)]
    fn to_panels<S: Simd>(simd: S, stored: &[Self::Stored], panels: &mut [[f32; WIDTH]], stride: usize) {
        for (k, vector) in stored.iter().enumerate() {
            for (at, lanes) in simd.widen(vector).into_iter().enumerate() {
                simd.store(lanes, &mut panels[at * stride + k]);
            }
        }
    }

    #[inline(always)]
    fn from_panels<S: Simd>(simd: S, panels: &[[f32; WIDTH]], stride: usize, values: &mut [f32]) {
        Bf16::store(simd, [simd.load(&panels[0]), simd.load(&panels[stride])], values);
    }
}

impl Tiles for F32 {
    type Stored = <F32 as Format>::Vector;
    const DEPTH: usize = 1;
    const OUTPUTS: usize = F32::LANES;
    const PANELS: usize = 1;

    #[inline(always)]
    fn to_panels<S: Simd>(simd: S, stored: &[Self::Stored], panels: &mut [[f32; WIDTH]], _: usize) {
        for (vector, panel) in stored.iter().zip(panels) {
            simd.store(simd.load(vector), panel);
        }
    }

    #[inline(always)]
    fn from_panels<S: Simd>(simd: S, panels: &[[f32; WIDTH]], _: usize, values: &mut [f32]) {
        F32::store(simd, simd.load(&panels[0]), values);
    }
}

impl Tiles for Int8 {
    type Stored = <Int8 as Format>::Vector;
    const DEPTH: usize = 1;
    const OUTPUTS: usize = Int8::LANES;
    const PANELS: usize = RUNS;

    #[inline(always)]
    fn to_panels<S: Simd>(simd: S, stored: &[Self::Stored], panels: &mut [[f32; WIDTH]], stride: usize) {
        for (k, vector) in stored.iter().enumerate() {
            for (run, values) in vector.as_chunks::<WIDTH>().0.iter().enumerate() {
                simd.store(simd.widen_bytes(values), &mut panels[run * stride + k]);
            }
        }
    }

    #[inline(always)]
    fn from_panels<S: Simd>(simd: S, panels: &[[f32; WIDTH]], stride: usize, values: &mut [f32]) {
        runs_from_panels(simd, panels, stride, values);
    }
}

/// Blocks of 64 outputs.
#[derive(Clone, Copy)]
pub(crate) struct BlockTiles<C>(C);

impl<C: Coding> Tiles for BlockTiles<C> {
    type Stored = C::Block;
    const DEPTH: usize = BlockType::WEIGHTS;
    const OUTPUTS: usize = BlockType::LANES;
    const PANELS: usize = RUNS;

    #[inline(always)]
    fn to_panels<S: Simd>(simd: S, stored: &[Self::Stored], panels: &mut [[f32; WIDTH]], stride: usize) {
        for (at, block) in stored.iter().enumerate() {
            for run in 0..RUNS {
                let [scale, least] = C::terms(simd, block, run);
                for pair in 0..Self::DEPTH / 2 {
                    let [one, other] = C::pair(simd, block, pair, run);
                    let k = run * stride + at * Self::DEPTH + 2 * pair;
                    simd.store(simd.fma(one, scale, least), &mut panels[k]);
                    simd.store(simd.fma(other, scale, least), &mut panels[k + 1]);
                }
            }
        }
    }

    #[inline(always)]
    fn from_panels<S: Simd>(simd: S, panels: &[[f32; WIDTH]], stride: usize, values: &mut [f32]) {
        runs_from_panels(simd, panels, stride, values);
    }
}

#[inline(always)]
fn runs_from_panels<S: Simd>(simd: S, panels: &[[f32; WIDTH]], stride: usize, values: &mut [f32]) {
    let mut sum = Int8::zero(simd);
    for (at, sum) in sum.iter_mut().enumerate() {
        *sum = simd.load(&panels[at * stride]);
    }
    Int8::store(simd, sum, values);
}

impl Lanes for Bf16 {
    #[inline(always)]
    fn panel<S: Simd>(simd: S, vector: &Self::Stored, panel: usize) -> S::Lanes {
        simd.widen(vector)[panel % Self::PANELS]
    }
}

impl Lanes for F32 {
    #[inline(always)]
    fn panel<S: Simd>(simd: S, vector: &Self::Stored, _: usize) -> S::Lanes {
        simd.load(vector)
    }
}

impl Lanes for Int8 {
    #[inline(always)]
    fn panel<S: Simd>(simd: S, vector: &Self::Stored, panel: usize) -> S::Lanes {
        simd.widen_bytes(&vector.as_chunks::<WIDTH>().0[panel % Self::PANELS])
    }
}
