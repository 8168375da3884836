use std::ops::Range;

use half::f16;
use rayon::prelude::*;

use crate::{
    BlockType, KernelError, Loss, Rows, VECTOR_BYTES,
    block_rounding::{LARGEST, round_block},
    error::Check,
    gguf::widen_blocks,
    round::bf16_value,
};

const LANES: usize = BlockType::LANES;
const WEIGHTS: usize = BlockType::WEIGHTS;
const CHECK: Check = Check("pack_blocks");

/// A row-major weight `[outer][inner]`: rows of blocks as a file has them, or values to be rounded to such.
#[derive(Debug, Clone, Copy)]
pub enum BlockRows<'a> {
    Stored(&'a [u8]),
    Rounded(Rows<'a>),
}

/// What became of a weight in tiles of blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Coded {
    /// What rounding took; of stored blocks, nothing.
    pub loss: Loss,
    /// Weights whose block has a scale, or a least value, that is NaN or infinite.
    pub not_finite: usize,
}

/// Cuts a weight into tiles of blocks, see `BlockType`: of each row the blocks in `columns`.
///
/// Outputs missing from the last tile keep what `tiles` holds. Errors: `rows` is not `outer` rows of whole blocks, there
/// are no such columns, or room of another length than the tiles'.
pub fn pack_blocks(
    kind: BlockType,
    rows: BlockRows,
    [outer, inner]: [usize; 2],
    columns: Range<usize>,
    tiles: &mut [u8],
) -> Result<Coded, KernelError> {
    CHECK.whole("a row", inner, WEIGHTS)?;
    let count = inner / WEIGHTS;
    CHECK.at_most("columns", columns.end, count)?;
    CHECK.at_most("columns", columns.start, columns.end)?;
    let (found, wanted) = match rows {
        BlockRows::Stored(data) => (data.len(), CHECK.product("rows", outer, count * kind.bytes())?),
        BlockRows::Rounded(Rows::Bf16(data)) => (data.len(), CHECK.product("rows", outer, inner)?),
        BlockRows::Rounded(Rows::F32(data)) => (data.len(), CHECK.product("rows", outer, inner)?),
    };
    CHECK.length("rows", found, wanted)?;
    let tile_bytes = CHECK.product("a tile", columns.len(), kind.bytes() * VECTOR_BYTES)?;
    CHECK.length("tiles", tiles.len(), CHECK.product("tiles", outer.div_ceil(LANES), tile_bytes)?)?;
    if tiles.is_empty() {
        return Ok(Coded::default());
    }
    let each = tiles.par_chunks_mut(tile_bytes).enumerate().map(|(at, tile)| {
        let mut done = Coded::default();
        for lane in 0..LANES.min(outer - at * LANES) {
            let first = (at * LANES + lane) * count;
            for (column, block) in columns.clone().zip(tile.chunks_exact_mut(kind.bytes() * VECTOR_BYTES)) {
                let mut rounded = [0; LARGEST];
                let from = match rows {
                    BlockRows::Stored(data) => &data[(first + column) * kind.bytes()..][..kind.bytes()],
                    BlockRows::Rounded(rows) => {
                        let rounded = &mut rounded[..kind.bytes()];
                        done.loss = done.loss.plus(&round_rows(kind, rows, (first + column) * WEIGHTS, rounded));
                        rounded
                    }
                };
                done.not_finite += if is_finite(kind, from) { 0 } else { WEIGHTS };
                put(kind, from, lane, block);
            }
        }
        done
    });
    // One after the other: the same sum for any number of threads.
    let done: Vec<Coded> = each.collect();
    Ok(done.iter().fold(Coded::default(), |sum, tile| Coded {
        loss: sum.loss.plus(&tile.loss),
        not_finite: sum.not_finite + tile.not_finite,
    }))
}

/// The block of the 32 values from `first` on, and what it loses of them.
fn round_rows(kind: BlockType, rows: Rows, first: usize, block: &mut [u8]) -> Loss {
    let (mut values, mut held) = ([0.0; WEIGHTS], [0.0; WEIGHTS]);
    match rows {
        Rows::F32(data) => values.copy_from_slice(&data[first..first + WEIGHTS]),
        Rows::Bf16(data) => values.iter_mut().zip(&data[first..]).for_each(|(value, bits)| *value = bf16_value(*bits)),
    }
    round_block(kind, &values, block);
    widen_blocks(kind.stored(), block, &mut held);
    values.iter().zip(&held).fold(Loss::default(), |sum, (value, held)| {
        let (value, lost) = (f64::from(*value), f64::from(*value) - f64::from(*held));
        sum.plus(&Loss { lost: lost * lost, total: value * value })
    })
}

fn is_finite(kind: BlockType, block: &[u8]) -> bool {
    block.as_chunks::<2>().0.iter().take(kind.terms()).all(|term| f16::from_le_bytes(*term).is_finite())
}

/// Puts one output's block where a tile has it.
fn put(kind: BlockType, from: &[u8], lane: usize, block: &mut [u8]) {
    let (terms, numbers) = from.split_at(2 * kind.terms());
    for (at, term) in terms.chunks_exact(2).enumerate() {
        block[at * 2 * VECTOR_BYTES + 2 * lane..][..2].copy_from_slice(term);
    }
    let vectors = block[terms.len() * VECTOR_BYTES..].chunks_exact_mut(VECTOR_BYTES);
    match kind {
        BlockType::Q8_0 => vectors.zip(numbers).for_each(|(vector, number)| vector[lane] = *number),
        BlockType::Q4_0 | BlockType::Q4_1 => {
            // In a file the low halves come first, then the high ones; here they come in pairs.
            let low = numbers.chunks_exact(2).map(|two| two[0] & 15 | two[1] << 4);
            let high = numbers.chunks_exact(2).map(|two| two[0] >> 4 | two[1] & 0xf0);
            vectors.zip(low.chain(high)).for_each(|(vector, pair)| vector[lane] = pair);
        }
    }
}
