//! Weights of linear operators into memory as the tiles that they stream, whole or cut for several sockets.

use crate::contents::Contents;
use crate::error::MachineError;
use rdu_kernels::{
    BlockRows, BlockType, Coded, Element, Loss, Packed, Room, Rows, VECTOR_BYTES, pack, pack_blocks, pack_into,
    tile_count,
};
use std::ops::Range;

/// What several sockets share out: the outputs of a weight, or the dimension that it sums over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Outputs,
    Inputs,
}

/// A row-major weight `[outer][inner]`.
#[derive(Clone, Copy, Debug)]
pub struct Weight<'a> {
    pub rows: Rows<'a>,
    pub outer: usize,
    pub inner: usize,
}

/// Where a part of a weight begins; for whole numbers also where the scales of its outputs do.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub tiles: u64,
    pub scales: Option<u64>,
}

/// Cuts a weight into parts of one size, one for each place, and writes them there; what is missing from the last stays
/// as it is in memory. Whole numbers and their scales are those of the whole weight, however it is cut.
///
/// Returns what quantising took. Errors: as `pack`; places outside of memory.
pub fn put_tiles(
    contents: &mut Contents,
    weight: Weight,
    element: Element,
    cut: Cut,
    places: &[Place],
) -> Result<Loss, MachineError> {
    match (cut, element) {
        (Cut::Outputs, _) => outputs(contents, weight, element, places),
        (Cut::Inputs, Element::Int8) => whole_inputs(contents, weight, places),
        (Cut::Inputs, _) => inputs(contents, weight, element, places),
    }
}

/// Cuts a weight into tiles of blocks as `put_tiles` does; a reduced dimension only between blocks.
///
/// Errors: as `pack_blocks`; places outside of memory.
pub fn put_blocks(
    contents: &mut Contents,
    rows: BlockRows,
    [outer, inner]: [usize; 2],
    kind: BlockType,
    cut: Cut,
    places: &[Place],
) -> Result<Coded, MachineError> {
    let mut done = Coded::default();
    let count = inner / BlockType::WEIGHTS;
    let whole = if cut == Cut::Outputs { outer } else { count };
    // Each part's room is that of the longest.
    let size = whole.div_ceil(places.len().max(1));
    for (mine, place) in parts(whole, places.len()).zip(places) {
        let (outputs, columns) = if cut == Cut::Outputs { (mine, 0..count) } else { (0..outer, mine) };
        if outputs.is_empty() || columns.is_empty() {
            continue;
        }
        let tiles = outputs.len().div_ceil(BlockType::LANES);
        let from = columns.len() * kind.bytes() * VECTOR_BYTES;
        let to = if cut == Cut::Outputs { from } else { size * kind.bytes() * VECTOR_BYTES };
        let rows = match rows {
            BlockRows::Stored(data) => {
                let row = count * kind.bytes();
                BlockRows::Stored(data.get(outputs.start * row..outputs.end * row).unwrap_or_default())
            }
            BlockRows::Rounded(rows) => BlockRows::Rounded(slice(rows, outputs.start * inner..outputs.end * inner)),
        };
        let room = contents.write(place.tiles, (tiles * to) as u64)?;
        let part = if from == to {
            pack_blocks(kind, rows, [outputs.len(), inner], columns, room)?
        } else {
            // Tiles of a shorter part lie as far from each other as those of the others.
            let mut packed = vec![0; tiles * from];
            let part = pack_blocks(kind, rows, [outputs.len(), inner], columns, &mut packed)?;
            for (tile, room) in packed.chunks_exact(from).zip(room.chunks_exact_mut(to)) {
                room[..from].copy_from_slice(tile);
            }
            part
        };
        done = Coded { loss: done.loss.plus(&part.loss), not_finite: done.not_finite + part.not_finite };
    }
    Ok(done)
}

/// Rows are quantised one by one, so that a part's are what they are in the whole.
fn outputs(contents: &mut Contents, weight: Weight, element: Element, places: &[Place]) -> Result<Loss, MachineError> {
    let Weight { rows, outer, inner } = weight;
    let mut loss = Loss::default();
    for (mine, &place) in parts(outer, places.len()).zip(places) {
        if !mine.is_empty() {
            let rows = slice(rows, mine.start * inner..mine.end * inner);
            loss = loss.plus(&part(contents, Weight { rows, outer: mine.len(), inner }, element, place)?);
        }
    }
    Ok(loss)
}

fn inputs(contents: &mut Contents, weight: Weight, element: Element, places: &[Place]) -> Result<Loss, MachineError> {
    let Weight { rows, outer, inner } = weight;
    let size = inner.div_ceil(places.len().max(1));
    for (mine, &place) in parts(inner, places.len()).zip(places) {
        match rows {
            Rows::Bf16(data) => {
                let data = columns(data, inner, mine, size);
                part(contents, Weight { rows: Rows::Bf16(&data), outer, inner: size }, element, place)?;
            }
            Rows::F32(data) => {
                let data = columns(data, inner, mine, size);
                part(contents, Weight { rows: Rows::F32(&data), outer, inner: size }, element, place)?;
            }
        }
    }
    Ok(Loss::default())
}

/// A part of whole rows' whole numbers: of each tile a stretch of its vectors, with the scales of whole rows.
fn whole_inputs(contents: &mut Contents, weight: Weight, places: &[Place]) -> Result<Loss, MachineError> {
    let Weight { rows, outer, inner } = weight;
    let Packed::Int8 { tiles, scales, loss } = pack(rows, outer, inner, Element::Int8)? else {
        return Ok(Loss::default());
    };
    let tiles: &[u8] = bytemuck::cast_slice(&tiles);
    let size = inner.div_ceil(places.len().max(1));
    for (mine, place) in parts(inner, places.len()).zip(places) {
        let room = contents.write(place.tiles, tiled_bytes(outer, size, Element::Int8))?;
        let (from, to) = (inner * VECTOR_BYTES, size * VECTOR_BYTES);
        let mine = mine.start * VECTOR_BYTES..mine.end * VECTOR_BYTES;
        for (tile, room) in tiles.chunks_exact(from).zip(room.chunks_exact_mut(to)) {
            room[..mine.len()].copy_from_slice(&tile[mine.clone()]);
        }
        if let Some(at) = place.scales {
            contents.put(at, &scales, Element::F32)?;
        }
    }
    Ok(loss)
}

/// Packs a part to where it is to lie.
fn part(contents: &mut Contents, weight: Weight, element: Element, place: Place) -> Result<Loss, MachineError> {
    let Weight { rows, outer, inner } = weight;
    let bytes = tiled_bytes(outer, inner, element);
    let room = contents.write(place.tiles, bytes)?;
    let unaligned = |_| MachineError::Address { address: place.tiles, bytes };
    match element {
        Element::Bf16 => {
            let tiles = bytemuck::try_cast_slice_mut(room).map_err(unaligned)?;
            pack_into(rows, outer, inner, Room::Bf16(tiles))?;
        }
        Element::F32 => {
            let tiles = bytemuck::try_cast_slice_mut(room).map_err(unaligned)?;
            pack_into(rows, outer, inner, Room::F32(tiles))?;
        }
        Element::Int8 => {
            if let Packed::Int8 { tiles, scales, loss } = pack(rows, outer, inner, element)? {
                room.copy_from_slice(bytemuck::cast_slice(&tiles));
                if let Some(at) = place.scales {
                    contents.put(at, &scales, Element::F32)?;
                }
                return Ok(loss);
            }
        }
    }
    Ok(Loss::default())
}

fn tiled_bytes(outer: usize, inner: usize, element: Element) -> u64 {
    tile_count(outer, element).saturating_mul(inner).saturating_mul(VECTOR_BYTES) as u64
}

/// `whole` in `count` stretches of one size; the last ones may be shorter, or empty.
fn parts(whole: usize, count: usize) -> impl Iterator<Item = Range<usize>> {
    let size = whole.div_ceil(count.max(1));
    (0..count).map(move |at| at.saturating_mul(size).min(whole)..(at + 1).saturating_mul(size).min(whole))
}

fn slice(rows: Rows, range: Range<usize>) -> Rows {
    match rows {
        Rows::Bf16(data) => Rows::Bf16(&data[range]),
        Rows::F32(data) => Rows::F32(&data[range]),
    }
}

/// Some columns of a row-major matrix, each row filled up with zeros to `size`.
fn columns<T: Copy + Default>(data: &[T], inner: usize, mine: Range<usize>, size: usize) -> Vec<T> {
    let mut found = vec![T::default(); data.len() / inner.max(1) * size];
    for (row, out) in data.chunks_exact(inner.max(1)).zip(found.chunks_exact_mut(size.max(1))) {
        out[..mine.len()].copy_from_slice(&row[mine.clone()]);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTER: usize = 70;
    const INNER: usize = 5;

    /// Tiles of each part, and its scales; part p at 65536 p, scales 32768 behind it.
    fn placed(element: Element, cut: Cut, count: usize) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
        let data: Vec<f32> = (0..OUTER * INNER).map(|at| (at * 37 % 101) as f32 - 50.0).collect();
        let mut contents = Contents::default();
        let places: Vec<Place> =
            (0..count as u64).map(|p| Place { tiles: p << 16, scales: Some((p << 16) + (1 << 15)) }).collect();
        places.iter().for_each(|place| contents.state.reserve(place.tiles, 1 << 16).unwrap());
        let weight = Weight { rows: Rows::F32(&data), outer: OUTER, inner: INNER };
        put_tiles(&mut contents, weight, element, cut, &places).unwrap();
        let (outer, inner) = match cut {
            Cut::Outputs => (OUTER.div_ceil(count), INNER),
            Cut::Inputs => (OUTER, INNER.div_ceil(count)),
        };
        let elements = tile_count(outer, element) * inner * element.lanes();
        let tiles = places.iter().map(|place| contents.values(place.tiles, elements, element).unwrap()).collect();
        let scales = places.iter().map(|place| contents.values((1 << 15) + place.tiles, outer, Element::F32).unwrap());
        (tiles, scales.collect())
    }

    /// Element (o, k) of tiles.
    fn at(tiles: &[f32], inner: usize, lanes: usize, o: usize, k: usize) -> f32 {
        tiles[(o / lanes * inner + k) * lanes + o % lanes]
    }

    #[test]
    fn parts_are_stretches_of_the_whole() {
        for element in [Element::Bf16, Element::F32, Element::Int8] {
            let lanes = element.lanes();
            let (whole, scales) = placed(element, Cut::Outputs, 1);
            for count in [2, 3, 4] {
                let size = OUTER.div_ceil(count);
                let (parts, beside) = placed(element, Cut::Outputs, count);
                for (o, k) in (0..OUTER).flat_map(|o| (0..INNER).map(move |k| (o, k))) {
                    let (p, row) = (o / size, o % size);
                    assert_eq!(at(&parts[p], INNER, lanes, row, k), at(&whole[0], INNER, lanes, o, k));
                    assert_eq!(beside[p][row], scales[0][o], "{element:?}: a row's scale is its own");
                }
                let size = INNER.div_ceil(count);
                let (parts, beside) = placed(element, Cut::Inputs, count);
                for (o, k) in (0..OUTER).flat_map(|o| (0..count * size).map(move |k| (o, k))) {
                    let wanted = if k < INNER { at(&whole[0], INNER, lanes, o, k) } else { 0.0 };
                    assert_eq!(at(&parts[k / size], size, lanes, o, k % size), wanted, "{element:?} {count} {o} {k}");
                }
                assert!(beside.iter().all(|part| *part == scales[0]), "{element:?}: scales are those of whole rows");
            }
        }
    }

    /// Blocks of each part, at 1 MiB times its number.
    fn placed_blocks(rows: &[u8], kind: BlockType, cut: Cut, count: usize) -> Vec<Vec<u8>> {
        let (outer, inner) = (OUTER, rows.len() / OUTER / kind.bytes() * BlockType::WEIGHTS);
        let mut contents = Contents::default();
        let places: Vec<Place> = (0..count as u64).map(|p| Place { tiles: p << 20, scales: None }).collect();
        places.iter().for_each(|place| contents.state.reserve(place.tiles, 1 << 20).unwrap());
        put_blocks(&mut contents, BlockRows::Stored(rows), [outer, inner], kind, cut, &places).unwrap();
        places.iter().map(|place| contents.read(place.tiles, 1 << 20).unwrap().to_vec()).collect()
    }

    #[test]
    fn parts_of_blocks_are_stretches_of_the_whole() {
        const BLOCKS: usize = 5;
        for kind in BlockType::ALL {
            let rows: Vec<u8> = (0..OUTER * BLOCKS * kind.bytes()).map(|at| (at * 37 % 251) as u8 & 0x3f).collect();
            // Byte `at` of block b of output o: byte `lane` of a vector, or the two bytes of a scale.
            let block = |tiles: &[u8], width: usize, o: usize, b: usize| -> Vec<u8> {
                let size = kind.bytes() * VECTOR_BYTES;
                let (tile, lane) = (o / BlockType::LANES, o % BlockType::LANES);
                let mine = &tiles[(tile * width + b) * size..][..size];
                let (head, body) = mine.split_at(kind.terms() * 2 * VECTOR_BYTES);
                let terms = head.chunks(2 * VECTOR_BYTES).flat_map(|term| [term[2 * lane], term[2 * lane + 1]]);
                terms.chain(body.chunks(VECTOR_BYTES).map(|vector| vector[lane])).collect()
            };
            let whole = &placed_blocks(&rows, kind, Cut::Outputs, 1)[0];
            for count in [2, 3, 4] {
                let (outputs, size) = (placed_blocks(&rows, kind, Cut::Outputs, count), OUTER.div_ceil(count));
                let (inputs, width) = (placed_blocks(&rows, kind, Cut::Inputs, count), BLOCKS.div_ceil(count));
                for (o, b) in (0..OUTER).flat_map(|o| (0..BLOCKS).map(move |b| (o, b))) {
                    let wanted = block(whole, BLOCKS, o, b);
                    assert_eq!(block(&outputs[o / size], BLOCKS, o % size, b), wanted, "{kind:?} {count} {o} {b}");
                    assert_eq!(block(&inputs[b / width], width, o, b % width), wanted, "{kind:?} {count} {o} {b}");
                }
            }
        }
    }
}
