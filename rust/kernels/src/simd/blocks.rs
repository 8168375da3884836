use super::{Simd, WIDTH};
use crate::VECTOR_BYTES;

pub(crate) type Vector = [u8; VECTOR_BYTES];

/// Runs of sixteen outputs in a tile of blocks.
pub(crate) const RUNS: usize = VECTOR_BYTES / WIDTH;

/// How the blocks of 64 outputs become fp32: each weight is `fma(q, d, m)` with its block's d and m.
pub(crate) trait Coding: Copy + Send + Sync {
    /// The vectors of a block.
    type Block: Copy + Send + Sync;

    fn vectors(block: &Self::Block) -> &[Vector];
    /// d and m of one run of outputs.
    fn terms<S: Simd>(simd: S, block: &Self::Block, run: usize) -> [S::Lanes; 2];
    /// The whole numbers of one run of outputs at `2 * pair` and the index after it.
    fn pair<S: Simd>(simd: S, block: &Self::Block, pair: usize, run: usize) -> [S::Lanes; 2];
}

/// q from -128 to 127; d * q is exact.
#[derive(Clone, Copy)]
pub(crate) struct Q80;

/// q from 0 to 15, d * (q - 8) as d * q - 8 * d: exact as well.
#[derive(Clone, Copy)]
pub(crate) struct Q40;

/// q from 0 to 15; d * q is exact, and adding m rounds once.
#[derive(Clone, Copy)]
pub(crate) struct Q41;

impl Coding for Q80 {
    type Block = [Vector; 34];

    #[inline(always)]
    fn vectors(block: &Self::Block) -> &[Vector] {
        block
    }

    #[inline(always)]
    fn terms<S: Simd>(simd: S, block: &Self::Block, run: usize) -> [S::Lanes; 2] {
        // Adding -0 changes nothing, not even the sign of zero.
        [halves(simd, &block[..2], run), simd.splat(-0.0)]
    }

    #[inline(always)]
    fn pair<S: Simd>(simd: S, block: &Self::Block, pair: usize, run: usize) -> [S::Lanes; 2] {
        let first = 2 + 2 * pair;
        [signed(simd, &block[first], run), signed(simd, &block[first + 1], run)]
    }
}

impl Coding for Q40 {
    type Block = [Vector; 18];

    #[inline(always)]
    fn vectors(block: &Self::Block) -> &[Vector] {
        block
    }

    #[inline(always)]
    fn terms<S: Simd>(simd: S, block: &Self::Block, run: usize) -> [S::Lanes; 2] {
        let scale = halves(simd, &block[..2], run);
        [scale, simd.fma(scale, simd.splat(-8.0), simd.splat(-0.0))]
    }

    #[inline(always)]
    fn pair<S: Simd>(simd: S, block: &Self::Block, pair: usize, run: usize) -> [S::Lanes; 2] {
        simd.widen_nibbles(&block[2 + pair].as_chunks().0[run])
    }
}

impl Coding for Q41 {
    type Block = [Vector; 20];

    #[inline(always)]
    fn vectors(block: &Self::Block) -> &[Vector] {
        block
    }

    #[inline(always)]
    fn terms<S: Simd>(simd: S, block: &Self::Block, run: usize) -> [S::Lanes; 2] {
        [halves(simd, &block[..2], run), halves(simd, &block[2..], run)]
    }

    #[inline(always)]
    fn pair<S: Simd>(simd: S, block: &Self::Block, pair: usize, run: usize) -> [S::Lanes; 2] {
        simd.widen_nibbles(&block[4 + pair].as_chunks().0[run])
    }
}

/// One run of the 64 fp16 numbers that two vectors hold.
#[inline(always)]
fn halves<S: Simd>(simd: S, vectors: &[Vector], run: usize) -> S::Lanes {
    simd.widen_halves(&vectors[run / 2].as_chunks().0[run % 2])
}

/// One run of a vector of whole numbers.
#[inline(always)]
fn signed<S: Simd>(simd: S, vector: &Vector, run: usize) -> S::Lanes {
    let mut values = [0; WIDTH];
    for (value, byte) in values.iter_mut().zip(&vector[run * WIDTH..]) {
        *value = byte.cast_signed();
    }
    simd.widen_bytes(&values)
}
