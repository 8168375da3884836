use rayon::prelude::*;

use crate::{
    Element, KernelError, Vectors,
    error::Check,
    quantize::quantize,
    round::{bf16_bits, bf16_value},
};

/// Columns transposed at once: 64 bytes of a bf16 row, so that each cache line is read once.
const COLUMNS: usize = 32;

/// A borrowed row-major matrix `[outer][inner]`; bf16 as its 16 bits.
#[derive(Debug, Clone, Copy)]
pub enum Rows<'a> {
    Bf16(&'a [u16]),
    F32(&'a [f32]),
}

impl Rows<'_> {
    /// How many values are NaN or infinite.
    pub fn not_finite(&self) -> usize {
        match self {
            Rows::Bf16(data) => count(data, |bits| !bf16_value(bits).is_finite()),
            Rows::F32(data) => count(data, |value: f32| !value.is_finite()),
        }
    }
}

fn count<T: Copy + Sync>(data: &[T], wanted: impl Fn(T) -> bool + Sync) -> usize {
    data.par_chunks(1 << 16).map(|part| part.iter().filter(|value| wanted(**value)).count()).sum()
}

/// An owned weight in tiles `[ceil(outer / lanes)][inner][lanes]`.
#[derive(Debug, Clone, PartialEq)]
pub enum Packed {
    Bf16(Vec<u16>),
    F32(Vec<f32>),
    /// Each row quantised: one scale for each output. See `quantize`.
    Int8 {
        tiles: Vec<i8>,
        scales: Vec<f32>,
        loss: Loss,
    },
}

/// Room for a weight in tiles, element by element as `Packed` has them.
#[derive(Debug)]
pub enum Room<'a> {
    Bf16(&'a mut [u16]),
    F32(&'a mut [f32]),
}

/// Sums of squares: of what quantisation took from the weights, and of the weights.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Loss {
    pub lost: f64,
    pub total: f64,
}

impl Packed {
    pub fn as_vectors(&self) -> Vectors<'_> {
        match self {
            Packed::Bf16(data) => Vectors::Bf16(data),
            Packed::F32(data) => Vectors::F32(data),
            Packed::Int8 { tiles, .. } => Vectors::Int8(tiles),
        }
    }

    /// What each output is to be multiplied by, where the weights are whole numbers.
    pub fn scales(&self) -> Option<&[f32]> {
        match self {
            Packed::Int8 { scales, .. } => Some(scales),
            _ => None,
        }
    }
}

/// Tiles that `outer` outputs fill.
pub const fn tile_count(outer: usize, element: Element) -> usize {
    outer.div_ceil(element.lanes())
}

/// Cuts a row-major weight into tiles: element (o, k) goes to `(o / lanes * inner + k) * lanes + o % lanes`.
///
/// Outputs missing from the last tile are zero. bf16 from f32 rounds to nearest even; f32 from bf16 is exact; int8 is
/// quantised row by row.
/// Errors: `rows` has not `outer * inner` elements, or the result's size overflows.
pub fn pack(rows: Rows, outer: usize, inner: usize, element: Element) -> Result<Packed, KernelError> {
    let len = tiled_len(rows, outer, inner, element)?;
    match (rows, element) {
        (_, Element::Bf16) => {
            let mut packed = vec![0; len];
            pack_into(rows, outer, inner, Room::Bf16(&mut packed))?;
            Ok(Packed::Bf16(packed))
        }
        (_, Element::F32) => {
            let mut packed = vec![0.0; len];
            pack_into(rows, outer, inner, Room::F32(&mut packed))?;
            Ok(Packed::F32(packed))
        }
        (Rows::Bf16(data), Element::Int8) => int8_tiles(data, inner, len, outer, bf16_value),
        (Rows::F32(data), Element::Int8) => int8_tiles(data, inner, len, outer, |v| v),
    }
}

/// `pack`, to where the tiles are wanted; what they are padded with is left as it is.
///
/// Errors: as `pack`, and room of another length than the tiles'.
pub fn pack_into(rows: Rows, outer: usize, inner: usize, tiles: Room) -> Result<(), KernelError> {
    let (element, room) = match &tiles {
        Room::Bf16(tiles) => (Element::Bf16, tiles.len()),
        Room::F32(tiles) => (Element::F32, tiles.len()),
    };
    CHECK.length("tiles", room, tiled_len(rows, outer, inner, element)?)?;
    match (rows, tiles) {
        (Rows::Bf16(data), Room::Bf16(tiles)) => fill::<_, _, 32>(data, inner, tiles, |v| v),
        (Rows::F32(data), Room::Bf16(tiles)) => fill::<_, _, 32>(data, inner, tiles, bf16_bits),
        (Rows::Bf16(data), Room::F32(tiles)) => fill::<_, _, 16>(data, inner, tiles, bf16_value),
        (Rows::F32(data), Room::F32(tiles)) => fill::<_, _, 16>(data, inner, tiles, |v| v),
    }
    Ok(())
}

const CHECK: Check = Check("pack");

/// Elements of a weight in tiles, padding included.
fn tiled_len(rows: Rows, outer: usize, inner: usize, element: Element) -> Result<usize, KernelError> {
    let found = match rows {
        Rows::Bf16(data) => data.len(),
        Rows::F32(data) => data.len(),
    };
    CHECK.length("rows", found, CHECK.product("rows", outer, inner)?)?;
    let tile_len = CHECK.product("a tile", inner, element.lanes())?;
    CHECK.product("tiles", tile_count(outer, element), tile_len)
}

fn int8_tiles<A: Copy + Sync>(
    rows: &[A],
    inner: usize,
    len: usize,
    outer: usize,
    widen: impl Fn(A) -> f32 + Sync,
) -> Result<Packed, KernelError> {
    const LANES: usize = Element::Int8.lanes();
    let mut packed = vec![0; len];
    let mut scales = vec![0.0; outer];
    let mut losses = vec![Loss::default(); outer.div_ceil(LANES)];
    if len > 0 {
        let tiles = packed.par_chunks_mut(inner * LANES).zip(rows.par_chunks(inner * LANES));
        let rest = scales.par_chunks_mut(LANES).zip(&mut losses);
        tiles.zip(rest).try_for_each(|((tile, rows), (scales, loss))| {
            let wide: Vec<f32> = rows.iter().map(|row| widen(*row)).collect();
            let mut values = vec![0; wide.len()];
            quantize(&wide, inner, &mut values, scales)?;
            *loss = Loss::of(&wide, &values, inner, scales);
            transpose::<_, _, LANES>(&values, inner, tile, &|value| value);
            Ok::<_, KernelError>(())
        })?;
    }
    // One after the other: the same sum for any number of threads.
    let loss = losses.iter().fold(Loss::default(), |sum, loss| sum.plus(loss));
    Ok(Packed::Int8 { tiles: packed, scales, loss })
}

impl Loss {
    fn of(wide: &[f32], values: &[i8], inner: usize, scales: &[f32]) -> Loss {
        let mut sum = Loss::default();
        for ((wide, values), scale) in wide.chunks(inner).zip(values.chunks(inner)).zip(scales) {
            for (wide, value) in wide.iter().zip(values) {
                let wide = f64::from(*wide);
                let lost = wide - f64::from(*value) * f64::from(*scale);
                sum = sum.plus(&Loss { lost: lost * lost, total: wide * wide });
            }
        }
        sum
    }

    /// Both together.
    pub fn plus(self, other: &Loss) -> Loss {
        Loss { lost: self.lost + other.lost, total: self.total + other.total }
    }
}

fn fill<A, B, const LANES: usize>(rows: &[A], inner: usize, tiles: &mut [B], convert: impl Fn(A) -> B + Sync)
where
    A: Copy + Sync,
    B: Copy + Send,
{
    if !tiles.is_empty() {
        let tiles = tiles.par_chunks_mut(inner * LANES).zip(rows.par_chunks(inner * LANES));
        tiles.for_each(|(tile, rows)| transpose::<A, B, LANES>(rows, inner, tile, &convert));
    }
}

/// `tile[k][lane] = rows[lane][k]`, in blocks that stay in the first-level cache.
fn transpose<A: Copy, B: Copy, const LANES: usize>(
    rows: &[A],
    inner: usize,
    tile: &mut [B],
    convert: &impl Fn(A) -> B,
) {
    for (block, vectors) in tile.chunks_mut(COLUMNS * LANES).enumerate() {
        let depth = vectors.len() / LANES;
        for (lane, row) in rows.chunks(inner).enumerate() {
            let row = &row[block * COLUMNS..block * COLUMNS + depth];
            for (vector, value) in vectors.chunks_exact_mut(LANES).zip(row) {
                vector[lane] = convert(*value);
            }
        }
    }
}
