//! Blocks that the tiles of a linear operator's weight may hold: whole numbers, and their scales in the same stream.

use crate::{Blocks, VECTOR_BYTES};

/// One kind of block of 32 weights of an output; a tile holds those of 64 outputs vector by vector.
///
/// First the 64 scales as fp16 in two vectors; in `Q4_1` two more with the least values; then the whole numbers, index
/// of the reduced dimension ascending: a byte each in `Q8_0`, else two in a byte, the even index in its low half. So
/// tiles have the bytes of the file's blocks and none more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlockType {
    Q8_0,
    Q4_0,
    Q4_1,
}

impl BlockType {
    pub const ALL: [BlockType; 3] = [BlockType::Q8_0, BlockType::Q4_0, BlockType::Q4_1];
    /// Outputs of a tile: one for each byte of a vector.
    pub const LANES: usize = VECTOR_BYTES;
    /// Weights of a block, all of one output.
    pub const WEIGHTS: usize = Blocks::VALUES;

    /// As descriptions name it.
    pub const fn name(self) -> &'static str {
        match self {
            BlockType::Q8_0 => "q8_0",
            BlockType::Q4_0 => "q4_0",
            BlockType::Q4_1 => "q4_1",
        }
    }

    /// The type of that name.
    pub fn named(name: &str) -> Option<BlockType> {
        BlockType::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The same in a file.
    pub const fn stored(self) -> Blocks {
        match self {
            BlockType::Q8_0 => Blocks::Q8_0,
            BlockType::Q4_0 => Blocks::Q4_0,
            BlockType::Q4_1 => Blocks::Q4_1,
        }
    }

    /// Bytes of one block; and vectors of the blocks of a tile's 64 outputs.
    pub const fn bytes(self) -> usize {
        self.stored().bytes()
    }

    /// fp16 numbers at the head of a block: two vectors of a tile each.
    pub const fn terms(self) -> usize {
        match self {
            BlockType::Q8_0 | BlockType::Q4_0 => 1,
            BlockType::Q4_1 => 2,
        }
    }

    /// Bytes of a weight in tiles; none if they overflow, or the reduced dimension is not whole blocks.
    pub fn tiled_bytes(self, outer: usize, inner: usize) -> Option<usize> {
        let blocks = inner.is_multiple_of(BlockType::WEIGHTS).then_some(inner / BlockType::WEIGHTS)?;
        outer.div_ceil(BlockType::LANES).checked_mul(blocks)?.checked_mul(self.bytes() * VECTOR_BYTES)
    }
}
