use crate::{
    BlockType, KernelError, Level,
    error::Check,
    region::Task,
    simd::{Coding, Format, Int8, Kernel, Q40, Q41, Q80, RUNS, Simd},
};

/// Weights of a block.
const WEIGHTS: usize = BlockType::WEIGHTS;
/// Runs of sixteen outputs that are summed at once.
const AT_ONCE: usize = 2;
/// Vectors of a tile that are asked for before they are needed, see `row`.
const AHEAD: usize = 8;

/// Some tiles of blocks at one position.
pub(crate) struct BlockRow<'a, C: Coding> {
    pub task: Task<'a>,
    /// `[inner]`
    pub x: &'a [f32],
    pub weight: &'a [C::Block],
}

impl<C: Coding> BlockRow<'_, C> {
    #[inline(always)]
    pub fn run<S: Simd>(mut self, simd: S) {
        let shape = self.task.shape;
        let (x, count) = (self.x.as_chunks::<WEIGHTS>().0, shape.inner / WEIGHTS);
        for tile in self.task.tiles.clone() {
            let blocks = &self.weight[tile * count..(tile + 1) * count];
            let mut parts = vec![0.0; shape.parts.len() * BlockType::LANES];
            for (part, out) in shape.parts.iter().zip(parts.chunks_mut(BlockType::LANES)) {
                // Parts are cut at multiples of 64, see `split_range`.
                let mine = part.start / WEIGHTS..part.end / WEIGHTS;
                let mut sums = Int8::zero(simd);
                for (block, x) in blocks[mine.clone()].iter().zip(&x[mine]) {
                    sums = multiply::<C, S>(simd, block, x, sums);
                }
                Int8::store(simd, sums, out);
            }
            let first = tile * BlockType::LANES;
            let y = self.task.out.place(0, first, BlockType::LANES, shape.outer);
            shape.finish(&mut parts, BlockType::LANES, first, y);
        }
    }
}

/// sums[o] = fma(weight[k][o], x[k], sums[o]) for the 32 indices of a block ascending.
#[inline(always)]
fn multiply<C: Coding, S: Simd>(
    simd: S,
    block: &C::Block,
    x: &[f32; WEIGHTS],
    mut sums: [S::Lanes; RUNS],
) -> [S::Lanes; RUNS] {
    let vectors = C::vectors(block);
    let lines = vectors.len() / (WEIGHTS / 2);
    // Some runs at a time: their sums and terms fit the registers.
    for first in (0..RUNS).step_by(AT_ONCE) {
        let mut held = [simd.splat(0.0); AT_ONCE];
        let mut terms = [[simd.splat(0.0); 2]; AT_ONCE];
        for at in 0..AT_ONCE {
            held[at] = sums[first + at];
            terms[at] = C::terms(simd, block, first + at);
        }
        for (pair, [even, odd]) in x.as_chunks::<2>().0.iter().enumerate() {
            if first == 0 {
                for line in 0..lines {
                    simd.prefetch(vectors.as_ptr().wrapping_add(pair * lines + line + AHEAD));
                }
            }
            let (even, odd) = (simd.splat(*even), simd.splat(*odd));
            for at in 0..AT_ONCE {
                let ([one, other], [scale, least]) = (C::pair(simd, block, pair, first + at), terms[at]);
                held[at] = simd.fma(simd.fma(one, scale, least), even, held[at]);
                held[at] = simd.fma(simd.fma(other, scale, least), odd, held[at]);
            }
        }
        sums[first..first + AT_ONCE].copy_from_slice(&held);
    }
    sums
}

/// The firings of a multiply-accumulate unit that take one block of 64 outputs: acc[o] = fma(weight[k][o], x[k], acc[o])
/// for its 32 indices ascending.
///
/// Errors: `acc` has not 64 outputs, `x` not 32 values, or `block` is not of `kind`.
pub fn mac_block(kind: BlockType, acc: &mut [f32], block: &[u8], x: &[f32]) -> Result<(), KernelError> {
    let check = Check("mac_block");
    check.length("acc", acc.len(), BlockType::LANES)?;
    check.length("x", x.len(), WEIGHTS)?;
    check.length("block", block.len(), kind.bytes() * BlockType::LANES)?;
    let vectors = block.as_chunks().0;
    match kind {
        BlockType::Q8_0 => each::<Q80>(vectors.as_chunks().0, acc, x),
        BlockType::Q4_0 => each::<Q40>(vectors.as_chunks().0, acc, x),
        BlockType::Q4_1 => each::<Q41>(vectors.as_chunks().0, acc, x),
    }
    Ok(())
}

fn each<C: Coding>(blocks: &[C::Block], acc: &mut [f32], x: &[f32]) {
    for (block, x) in blocks.iter().zip(x.as_chunks().0) {
        Level::detect().run(Mac::<C> { block, acc, x });
    }
}

struct Mac<'a, C: Coding> {
    block: &'a C::Block,
    acc: &'a mut [f32],
    x: &'a [f32; WEIGHTS],
}

impl<C: Coding> Kernel for Mac<'_, C> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let sums = Int8::load(simd, self.acc);
        Int8::store(simd, multiply::<C, S>(simd, self.block, self.x, sums), self.acc);
    }
}
