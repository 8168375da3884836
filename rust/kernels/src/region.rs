//! Products cut into tasks for the threads: by rows where there are many positions, by tiles where there are few.

use std::{ops::Range, ptr};

use crate::{
    Activations, BlockType, Level, Linear, Tiled, Vectors,
    block::Block,
    block_row::BlockRow,
    integer::Integers,
    interleave::{POSITIONS, interleave},
    order::{add_tree, split_range},
    row::Row,
    simd::{Bf16, Coding, F32, Format, Int8, Kernel, Q40, Q41, Q80, Simd, pair},
    team::each,
    tile::{BlockTiles, Lanes, Tiles},
};

/// Positions of one task where there are many: enough to be worth widening weights for.
const TASK_POSITIONS: usize = POSITIONS;

/// Most tasks of a thread by tiles: enough to even out what else the processor does, and to end together.
const MOST_TASKS_PER_THREAD: usize = 32;
/// The same at one position, whose tasks are over soon: neighbouring tiles are best read side by side.
const MOST_SHORT_TASKS_PER_THREAD: usize = 4;
/// Most vectors that such a task reads of several tiles: 512 KB, some microseconds.
const SHORT_TASK_VECTORS: usize = 1 << 13;

/// A checked product, and the tiles of it that are wanted.
pub(crate) struct Work<'a> {
    pub op: Linear<'a>,
    pub tiles: Range<usize>,
    pub y: &'a mut [f32],
}

/// What the tasks of one product share.
pub(crate) struct Shape<'a> {
    pub positions: usize,
    pub inner: usize,
    pub outer: usize,
    pub lanes: usize,
    pub scales: Option<&'a [f32]>,
    pub bias: Option<&'a [f32]>,
    /// k of each part.
    pub parts: Vec<Range<usize>>,
    pub weight: Tiled<'a>,
    pub x: &'a X<'a>,
}

/// Activations as the kernels take them.
pub(crate) enum X<'a> {
    /// One position.
    F32(&'a [f32]),
    /// Several positions, see `interleave`.
    Groups(Vec<f32>),
    /// Pairs of neighbours, `ceil(inner / 2)` for each position, of several interleaved; and a scale for each position.
    Pairs(Vec<i32>, &'a [f32]),
}

/// A stretch of tiles at a stretch of positions.
pub(crate) struct Task<'a> {
    pub shape: &'a Shape<'a>,
    pub tiles: Range<usize>,
    pub positions: Range<usize>,
    pub out: Out<'a>,
}

/// Where outputs go: output `o` of a task's p-th position is `rows[p][o - first]`.
pub(crate) struct Out<'a> {
    pub rows: Vec<&'a mut [f32]>,
    pub first: usize,
}

pub(crate) fn run(level: Level, work: Vec<Work>) {
    let threads = rayon::current_num_threads();
    let macs = |work: &Work| {
        let outputs = work.tiles.len().saturating_mul(work.op.weight.lanes());
        outputs.saturating_mul(work.op.inner).saturating_mul(work.op.positions)
    };
    let macs = work.iter().map(macs).fold(0, usize::saturating_add);
    // Products side by side often have the same activations.
    let first = |at: usize| work[..at].iter().position(|other| same(&other.op, &work[at].op)).unwrap_or(at);
    let made: Vec<Option<X>> =
        (0..work.len()).map(|at| (first(at) == at).then(|| X::new(&work[at].op, level.block()))).collect();
    let shapes: Vec<Shape> =
        (0..work.len()).filter_map(|at| Some(Shape::new(&work[at].op, made[first(at)].as_ref()?))).collect();
    let mut tasks = Vec::new();
    for (Work { op, tiles, y }, shape) in work.into_iter().zip(&shapes) {
        if op.positions == 0 || tiles.is_empty() {
            continue;
        }
        if op.positions < 2 * TASK_POSITIONS * threads {
            by_tiles(shape, op.positions, tiles, y, threads, &mut tasks);
        } else {
            for (index, y) in y.chunks_mut(TASK_POSITIONS * op.outer).enumerate() {
                let first = index * TASK_POSITIONS;
                let positions = first..(first + TASK_POSITIONS).min(op.positions);
                let rows = y.chunks_mut(op.outer).collect();
                tasks.push(Task { shape, tiles: tiles.clone(), positions, out: Out { rows, first: 0 } });
            }
        }
    }
    each(tasks, macs, |task| task.run_at(level));
}

/// Few positions: each task has some tiles, and their columns of every row.
fn by_tiles<'a>(
    shape: &'a Shape<'a>,
    positions: usize,
    tiles: Range<usize>,
    y: &'a mut [f32],
    threads: usize,
    tasks: &mut Vec<Task<'a>>,
) {
    let size = if positions == 1 {
        let most = (SHORT_TASK_VECTORS / shape.inner.max(1)).max(1);
        tiles.len().div_ceil(threads * MOST_SHORT_TASKS_PER_THREAD).min(most)
    } else {
        tiles.len().div_ceil(threads * MOST_TASKS_PER_THREAD)
    };
    let mine = tasks.len();
    for first in tiles.clone().step_by(size) {
        let out = Out { rows: Vec::with_capacity(positions), first: first * shape.lanes };
        tasks.push(Task { shape, tiles: first..(first + size).min(tiles.end), positions: 0..positions, out });
    }
    for row in y.chunks_mut(shape.outer) {
        let columns = &mut row[tiles.start * shape.lanes..(tiles.end * shape.lanes).min(shape.outer)];
        for (task, columns) in tasks[mine..].iter_mut().zip(columns.chunks_mut(size * shape.lanes)) {
            task.out.rows.push(columns);
        }
    }
}

/// Whether two products have the very same activations.
fn same(one: &Linear, other: &Linear) -> bool {
    let alike = match (one.x, other.x) {
        (Activations::F32(one), Activations::F32(other)) => ptr::eq(one, other),
        (Activations::Int8 { values: one, scales }, Activations::Int8 { values: other, scales: others }) => {
            ptr::eq(one, other) && ptr::eq(scales, others)
        }
        _ => false,
    };
    alike && one.inner == other.inner && one.positions == other.positions
}

impl<'a> X<'a> {
    fn new(op: &Linear<'a>, block: usize) -> Self {
        match op.x {
            Activations::F32(x) if op.positions == 1 => X::F32(x),
            Activations::F32(x) => X::Groups(interleave(x, op.inner, block)),
            Activations::Int8 { values, scales } => {
                let mut pairs = Vec::with_capacity(op.positions * op.inner.div_ceil(2));
                for row in values.chunks(op.inner.max(1)) {
                    let (twos, last) = row.as_chunks();
                    pairs.extend(twos.iter().map(|&[first, second]| pair(first, second)));
                    pairs.extend(last.iter().map(|&last| pair(last, 0)));
                }
                if op.positions > 1 {
                    pairs = interleave(&pairs, op.inner.div_ceil(2), block);
                }
                X::Pairs(pairs, scales)
            }
        }
    }
}

impl<'a> Shape<'a> {
    fn new(op: &Linear<'a>, x: &'a X<'a>) -> Self {
        let lanes = op.weight.lanes();
        Shape {
            positions: op.positions,
            inner: op.inner,
            outer: op.outer,
            lanes,
            scales: op.scales,
            bias: op.bias,
            parts: (0..op.splits).map(|s| split_range(op.inner, lanes, op.splits, s)).collect(),
            weight: op.weight,
            x,
        }
    }

    /// Sums of `width` outputs from `first` on, one row for each part, become the outputs that `y` has room for.
    #[inline(always)]
    pub fn finish(&self, parts: &mut [f32], width: usize, first: usize, y: &mut [f32]) {
        y.copy_from_slice(&add_tree(parts, width)[..y.len()]);
        if let Some(scales) = self.scales {
            for (y, scale) in y.iter_mut().zip(&scales[first..]) {
                *y *= *scale;
            }
        }
        self.add_bias(first, y);
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

impl Out<'_> {
    /// Outputs `first ..` of position `p`, as many of `lanes` as there are.
    #[inline(always)]
    pub fn place(&mut self, p: usize, first: usize, lanes: usize, outer: usize) -> &mut [f32] {
        let start = first - self.first;
        &mut self.rows[p][start..start + lanes.min(outer - first)]
    }
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.shape.weight {
            Tiled::Vectors(weight) => self.vectors(simd, weight),
            Tiled::Blocks(BlockType::Q8_0, weight) => self.blocks::<S, Q80>(simd, weight.as_chunks().0.as_chunks().0),
            Tiled::Blocks(BlockType::Q4_0, weight) => self.blocks::<S, Q40>(simd, weight.as_chunks().0.as_chunks().0),
            Tiled::Blocks(BlockType::Q4_1, weight) => self.blocks::<S, Q41>(simd, weight.as_chunks().0.as_chunks().0),
        }
    }
}

impl<'a> Task<'a> {
    fn run_at(self, level: Level) {
        match (self.shape.x, self.shape.weight) {
            (X::Pairs(x, scales), Tiled::Vectors(Vectors::Int8(weight))) => {
                level.run_whole(Integers { task: self, x, scales, weight: weight.as_chunks().0 });
            }
            _ => level.run(self),
        }
    }

    #[inline(always)]
    fn vectors<S: Simd>(self, simd: S, weight: Vectors<'a>) {
        match (self.shape.x, weight) {
            (X::F32(x), Vectors::Bf16(weight)) => self.row::<S, Bf16>(simd, x, weight.as_chunks().0),
            (X::F32(x), Vectors::F32(weight)) => self.row::<S, F32>(simd, x, weight.as_chunks().0),
            (X::F32(x), Vectors::Int8(weight)) => self.row::<S, Int8>(simd, x, weight.as_chunks().0),
            (X::Groups(x), Vectors::Bf16(weight)) => self.lanes::<S, Bf16>(simd, x, weight.as_chunks().0),
            (X::Groups(x), Vectors::F32(weight)) => self.lanes::<S, F32>(simd, x, weight.as_chunks().0),
            (X::Groups(x), Vectors::Int8(weight)) => self.lanes::<S, Int8>(simd, x, weight.as_chunks().0),
            // `run_at` takes whole numbers, and `Linear::check` refuses them against other weights.
            (X::Pairs(..), _) => {}
        }
    }

    #[inline(always)]
    fn blocks<S: Simd, C: Coding>(self, simd: S, weight: &'a [C::Block]) {
        match self.shape.x {
            X::F32(x) => BlockRow::<C> { task: self, x, weight }.run(simd),
            // To widen a block costs too much to be done for every few positions anew.
            X::Groups(x) => self.block::<BlockTiles<C>>(x, weight).run(simd),
            // `Linear::check` refuses whole numbers against blocks.
            X::Pairs(..) => {}
        }
    }

    #[inline(always)]
    fn row<S: Simd, W: Format>(self, simd: S, x: &[f32], weight: &[W::Vector]) {
        Row::<W> { task: self, x, weight }.run(simd);
    }

    #[inline(always)]
    fn lanes<S: Simd, W: Lanes>(self, simd: S, x: &'a [f32], weight: &'a [W::Stored]) {
        if self.shape.positions <= POSITIONS {
            self.block::<W>(x, weight).run_few(simd);
        } else {
            self.block::<W>(x, weight).run(simd);
        }
    }

    #[inline(always)]
    fn block<W: Tiles>(self, x: &'a [f32], weight: &'a [W::Stored]) -> Block<'a, W> {
        let inner = self.shape.inner;
        let x = &x[self.positions.start * inner..self.positions.end * inner];
        Block { task: self, x, weight }
    }
}
