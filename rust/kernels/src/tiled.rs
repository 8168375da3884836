use crate::{BlockType, KernelError, Vectors, error::Check};

/// Borrowed tiles of a linear operator's weight.
#[derive(Debug, Clone, Copy)]
pub enum Tiled<'a> {
    /// `[ceil(outer / lanes)][inner][lanes]`, see `pack`.
    Vectors(Vectors<'a>),
    /// `[ceil(outer / 64)][inner / 32]` blocks of 64 outputs, see `pack_blocks`.
    Blocks(BlockType, &'a [u8]),
}

impl<'a> From<Vectors<'a>> for Tiled<'a> {
    fn from(vectors: Vectors<'a>) -> Self {
        Tiled::Vectors(vectors)
    }
}

impl Tiled<'_> {
    /// Outputs of a tile; and where the reduced dimension may be cut: at multiples of so many.
    pub const fn lanes(self) -> usize {
        match self {
            Tiled::Vectors(vectors) => vectors.element().lanes(),
            Tiled::Blocks(..) => BlockType::LANES,
        }
    }

    /// What the weights are.
    pub const fn name(self) -> &'static str {
        match self {
            Tiled::Vectors(vectors) => vectors.element().name(),
            Tiled::Blocks(kind, _) => kind.name(),
        }
    }

    pub(crate) fn check(self, check: Check, outer: usize, inner: usize) -> Result<(), KernelError> {
        let tiles = outer.div_ceil(self.lanes());
        match self {
            Tiled::Vectors(vectors) => {
                let tile_len = check.product("a weight tile", inner, self.lanes())?;
                check.length("weight", vectors.len(), check.product("weight", tiles, tile_len)?)
            }
            Tiled::Blocks(kind, data) => {
                check.whole("a row of the weight", inner, BlockType::WEIGHTS)?;
                let tile_len =
                    check.product("a weight tile", inner / BlockType::WEIGHTS, kind.bytes() * self.lanes())?;
                check.length("weight", data.len(), check.product("weight", tiles, tile_len)?)
            }
        }
    }
}
