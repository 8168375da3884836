use std::ops::Range;

use rayon::prelude::*;

use crate::{
    Element, KernelError, Level, Vectors,
    block::Block,
    error::Check,
    order::{add_tree, split_range},
    simd::{Bf16, F32, Format, Kernel, Simd},
};

/// Multiply-adds below which starting threads costs more than it saves (about 1 MB of bf16 weights, one position).
const THREADED_MACS: usize = 1 << 19;

/// A matrix product with packed weights: `y[position][o] = sum over k of weight[o][k] * x[position][k] + bias[o]`.
#[derive(Debug, Clone, Copy)]
pub struct Linear<'a> {
    /// Activations `[positions][inner]`.
    pub x: &'a [f32],
    pub positions: usize,
    pub inner: usize,
    /// Tiles `[ceil(outer / lanes)][inner][lanes]`, see `pack`.
    pub weight: Vectors<'a>,
    pub outer: usize,
    /// Parts that the reduced dimension is cut into, see `split_range`.
    pub splits: usize,
    /// `[outer]`
    pub bias: Option<&'a [f32]>,
}

/// Computes the outputs of `tiles` into `y` (`[positions][outer]`, row-major) and leaves the others alone.
///
/// Order: each part of the reduced dimension sums `fma(w, x, sum)` from 0 with k ascending; `tree_sum` joins the parts;
/// the bias is added last. An output's bits depend neither on the other positions nor on the range of tiles. `y` is
/// not rounded. Errors: a length that does not follow from the shape, tiles that do not exist, no parts.
pub fn linear(op: Linear, tiles: Range<usize>, y: &mut [f32]) -> Result<(), KernelError> {
    linear_at(Level::detect(), op, tiles, y)
}

/// `linear` on a given level.
pub fn linear_at(level: Level, op: Linear, tiles: Range<usize>, y: &mut [f32]) -> Result<(), KernelError> {
    let lanes = op.weight.element().lanes();
    let check = Check("linear");
    check.nonzero("splits", op.splits)?;
    check.length("x", op.x.len(), check.product("x", op.positions, op.inner)?)?;
    check.length("y", y.len(), check.product("y", op.positions, op.outer)?)?;
    let count = op.outer.div_ceil(lanes);
    let tile_len = check.product("a weight tile", op.inner, lanes)?;
    check.length("weight", op.weight.len(), check.product("weight", count, tile_len)?)?;
    if let Some(bias) = op.bias {
        check.length("bias", bias.len(), op.outer)?;
    }
    if tiles.start > tiles.end || tiles.end > count {
        let Range { start, end } = tiles;
        return Err(KernelError::Tiles { kernel: check.0, start, end, count });
    }
    if op.positions == 0 || tiles.is_empty() {
        return Ok(());
    }
    let shape = Shape {
        inner: op.inner,
        outer: op.outer,
        bias: op.bias,
        parts: (0..op.splits).map(|s| split_range(op.inner, lanes, op.splits, s)).collect(),
    };
    match op.weight {
        Vectors::Bf16(weight) => run::<Bf16>(level, &shape, op.x, op.positions, weight.as_chunks().0, tiles, y),
        Vectors::F32(weight) => run::<F32>(level, &shape, op.x, op.positions, weight.as_chunks().0, tiles, y),
    }
    Ok(())
}

/// What every tile of one product shares.
pub(crate) struct Shape<'a> {
    pub inner: usize,
    pub outer: usize,
    pub bias: Option<&'a [f32]>,
    /// k of each part.
    pub parts: Vec<Range<usize>>,
}

fn run<W: Tiles>(
    level: Level,
    shape: &Shape,
    x: &[f32],
    positions: usize,
    weight: &[W::Vector],
    tiles: Range<usize>,
    y: &mut [f32],
) {
    let outputs = tiles.start * W::LANES..(tiles.end * W::LANES).min(shape.outer);
    let macs = outputs.len().saturating_mul(shape.inner).saturating_mul(positions);
    let threaded = macs > THREADED_MACS && rayon::current_num_threads() > 1;
    if positions == 1 {
        let group = W::ROW_TILES * W::LANES;
        let task = |(index, y): (usize, &mut [f32])| {
            let tile = tiles.start + index * W::ROW_TILES;
            level.run(Row::<W> { shape, x, weight, tile, y });
        };
        let y = &mut y[outputs];
        if threaded {
            y.par_chunks_mut(group).enumerate().for_each(task);
        } else {
            y.chunks_mut(group).enumerate().for_each(task);
        }
        return;
    }
    // Tiles are columns of y: each is computed into its own place and copied, so that threads share no slice.
    let mut columns = vec![0.0; tiles.len() * positions * W::LANES];
    let task = |(index, out): (usize, &mut [f32])| {
        let tile = tiles.start + index;
        let weight = &weight[tile * shape.inner..(tile + 1) * shape.inner];
        level.run(Block::<W> { shape, x, weight, tile, out });
    };
    if threaded {
        columns.par_chunks_mut(positions * W::LANES).enumerate().for_each(task);
    } else {
        columns.chunks_mut(positions * W::LANES).enumerate().for_each(task);
    }
    for (position, row) in y.chunks_mut(shape.outer).enumerate() {
        for (index, part) in row[outputs.clone()].chunks_mut(W::LANES).enumerate() {
            let start = (index * positions + position) * W::LANES;
            part.copy_from_slice(&columns[start..start + part.len()]);
        }
    }
}

/// Blocking of a format's tiles.
pub(crate) trait Tiles: Format {
    /// Tiles in flight at one position: enough independent sums to hide the latency of a multiply-add.
    const ROW_TILES: usize;
    /// Panels of 16 fp32 lanes in a tile.
    const PANELS: usize;

    fn row<S: Simd>(simd: S, row: Row<Self>);
    /// Panel number `panel` of some weight vectors: the vectors themselves, or `buffer` after widening.
    fn panel<'a>(vectors: &'a [Self::Vector], panel: usize, buffer: &'a mut [[f32; 16]]) -> &'a [[f32; 16]];
}

impl Tiles for Bf16 {
    const ROW_TILES: usize = 4;
    const PANELS: usize = 2;

    #[inline(always)]
    fn row<S: Simd>(simd: S, row: Row<Self>) {
        row.tiles::<S, 4>(simd);
    }

    #[inline(always)]
    fn panel<'a>(vectors: &'a [[u16; 32]], panel: usize, buffer: &'a mut [[f32; 16]]) -> &'a [[f32; 16]] {
        for (wide, vector) in buffer.iter_mut().zip(vectors) {
            for lane in 0..16 {
                wide[lane] = f32::from_bits(u32::from(vector[16 * panel + lane]) << 16);
            }
        }
        &buffer[..vectors.len()]
    }
}

impl Tiles for F32 {
    const ROW_TILES: usize = 4;
    const PANELS: usize = 1;

    #[inline(always)]
    fn row<S: Simd>(simd: S, row: Row<Self>) {
        row.tiles::<S, 4>(simd);
    }

    #[inline(always)]
    fn panel<'a>(vectors: &'a [[f32; 16]], _: usize, _: &'a mut [[f32; 16]]) -> &'a [[f32; 16]] {
        vectors
    }
}

/// Up to `ROW_TILES` tiles at one position; bound by the reading of weights.
pub(crate) struct Row<'a, W: Format> {
    shape: &'a Shape<'a>,
    x: &'a [f32],
    weight: &'a [W::Vector],
    tile: usize,
    /// Outputs from the first lane of `tile` on.
    y: &'a mut [f32],
}

impl<W: Tiles> Kernel for Row<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        W::row(simd, self);
    }
}

impl<W: Tiles> Row<'_, W> {
    #[inline(always)]
    fn tiles<S: Simd, const TILES: usize>(self, simd: S) {
        let inner = self.shape.inner;
        let mut first = 0;
        for y in self.y.chunks_mut(TILES * W::LANES) {
            let tile = self.tile + first;
            if y.len().div_ceil(W::LANES) == TILES {
                self.shape.row::<W, S, TILES>(simd, self.x, &self.weight[tile * inner..], tile, y);
            } else {
                for (index, y) in y.chunks_mut(W::LANES).enumerate() {
                    let tile = tile + index;
                    self.shape.row::<W, S, 1>(simd, self.x, &self.weight[tile * inner..], tile, y);
                }
            }
            first += TILES;
        }
    }
}

impl Shape<'_> {
    /// `TILES` tiles from `tile` on, whose weights `weight` begins with.
    #[inline(always)]
    fn row<W: Tiles, S: Simd, const TILES: usize>(
        &self,
        simd: S,
        x: &[f32],
        weight: &[W::Vector],
        tile: usize,
        y: &mut [f32],
    ) {
        let width = TILES * W::LANES;
        if let [part] = self.parts.as_slice() {
            let sums = columns::<W, S, TILES>(simd, &x[part.clone()], weight, 1, self.inner, [W::zero(simd); TILES]);
            for (y, sum) in y.chunks_mut(W::LANES).zip(sums) {
                W::store(simd, sum, y);
            }
        } else {
            let mut parts = vec![0.0; self.parts.len() * width];
            for (part, out) in self.parts.iter().zip(parts.chunks_mut(width)) {
                // An empty part may start past the last vector: its sum stays 0.
                if part.is_empty() {
                    continue;
                }
                let (x, weight) = (&x[part.clone()], &weight[part.start..]);
                let sums = columns::<W, S, TILES>(simd, x, weight, 1, self.inner, [W::zero(simd); TILES]);
                for (out, sum) in out.chunks_mut(W::LANES).zip(sums) {
                    W::store(simd, sum, out);
                }
            }
            y.copy_from_slice(&add_tree(&mut parts, width)[..y.len()]);
        }
        self.add_bias(tile * W::LANES, y);
    }

    #[inline(always)]
    pub fn add_bias(&self, first: usize, y: &mut [f32]) {
        if let Some(bias) = self.bias {
            for (y, bias) in y.iter_mut().zip(&bias[first..]) {
                *y += *bias;
            }
        }
    }
}

/// sums[c] = fma(vectors[k * k_stride + c * c_stride], x[k], sums[c]) for k ascending.
#[inline(always)]
pub(crate) fn columns<W: Format, S: Simd, const COLUMNS: usize>(
    simd: S,
    x: &[f32],
    vectors: &[W::Vector],
    k_stride: usize,
    c_stride: usize,
    mut sums: [W::Sum<S>; COLUMNS],
) -> [W::Sum<S>; COLUMNS] {
    for (k, &x) in x.iter().enumerate() {
        let x = simd.splat(x);
        for c in 0..COLUMNS {
            sums[c] = W::fma_splat(simd, &vectors[k * k_stride + c * c_stride], x, sums[c]);
        }
    }
    sums
}

/// The element type decides a weight's lanes, and with them where the reduced dimension is cut.
impl Linear<'_> {
    pub fn element(&self) -> Element {
        self.weight.element()
    }

    /// Tiles of the weight: one per `lanes` outputs.
    pub fn tiles(&self) -> usize {
        self.outer.div_ceil(self.element().lanes())
    }
}
