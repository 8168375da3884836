//! Weights in blocks: every level gives the bits of a naive loop over the fp32 values that the blocks stand for.

use proptest::prelude::*;
use rdu::kernels::*;

/// Xorshift.
struct Source(u64);

impl Source {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }

    fn values(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| (self.next() as f32 / 4e9 - 0.5) * [1e-3, 1.0, 37.0][(self.next() % 3) as usize]).collect()
    }

    /// Blocks as a file has them; `wild`: scales of any bits, NaN and infinities among them.
    fn blocks(&mut self, kind: BlockType, count: usize, wild: bool) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..count * kind.bytes()).map(|_| self.next() as u8).collect();
        for block in bytes.chunks_exact_mut(kind.bytes()).filter(|_| !wild) {
            // Exponents of 2^-7 and less; zeros among the scales.
            (0..kind.terms()).for_each(|term| block[2 * term + 1] &= 0x9f);
            if block[2] == 7 {
                block[..2].fill(0);
            }
        }
        bytes
    }
}

fn source(seed: u64) -> Source {
    Source(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
}

/// Bits to compare; which NaN comes out of two is left open.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| if v.is_nan() { 0x7fc0_0000 } else { v.to_bits() }).collect()
}

fn levels() -> impl Iterator<Item = Level> {
    Level::ALL.into_iter().filter(|level| level.is_supported())
}

/// What a file's blocks stand for. Half a byte times an infinite scale is NaN in tiles, and its zero has no sign.
fn widened(kind: BlockType, blocks: &[u8]) -> Vec<f32> {
    let mut out = vec![0.0; blocks.len() / kind.bytes() * BlockType::WEIGHTS];
    dequantize(kind.stored(), blocks, &mut out).unwrap();
    if kind == BlockType::Q4_0 {
        out.iter_mut().for_each(|value| *value = if value.is_infinite() { f32::NAN } else { *value + 0.0 });
    }
    out
}

fn packed(kind: BlockType, rows: BlockRows, outer: usize, inner: usize) -> (Vec<u8>, Coded) {
    let mut tiles = vec![0; kind.tiled_bytes(outer, inner).unwrap()];
    let done = pack_blocks(kind, rows, [outer, inner], 0..inner / BlockType::WEIGHTS, &mut tiles).unwrap();
    (tiles, done)
}

/// Sequential in each part, then an adjacent-pair tree of at most four parts.
fn naive(weights: &[f32], x: &[f32], inner: usize, splits: usize) -> Vec<f32> {
    let sum = |x: &[f32], row: &[f32], s| {
        split_range(inner, BlockType::LANES, splits, s).fold(0.0_f32, |sum, k| row[k].mul_add(x[k], sum))
    };
    let each = |x: &[f32], row: &[f32]| match splits {
        1 => sum(x, row, 0),
        2 => sum(x, row, 0) + sum(x, row, 1),
        3 => (sum(x, row, 0) + sum(x, row, 1)) + sum(x, row, 2),
        _ => (sum(x, row, 0) + sum(x, row, 1)) + (sum(x, row, 2) + sum(x, row, 3)),
    };
    x.chunks(inner).flat_map(|x| weights.chunks(inner).map(move |row| each(x, row))).collect()
}

fn kind() -> impl Strategy<Value = BlockType> {
    prop::sample::select(BlockType::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn blocks_multiply_as_the_values_they_stand_for(
        seed: u64, kind in kind(), positions in 1_usize..20, blocks in 1_usize..12, outer in 1_usize..200,
        splits in 1_usize..5, wild: bool,
    ) {
        let (mut source, inner) = (source(seed), blocks * BlockType::WEIGHTS);
        let stored = source.blocks(kind, outer * blocks, wild);
        let (x, bias) = (source.values(positions * inner), source.values(outer));
        let weights = widened(kind, &stored);
        let (tiles, done) = packed(kind, BlockRows::Stored(&stored), outer, inner);
        prop_assert_eq!(done.loss, Loss::default());
        // All of a block counts, also where zero times infinity is the only NaN.
        let strange = weights.chunks(BlockType::WEIGHTS).filter(|block| block.iter().any(|w| !w.is_finite())).count();
        prop_assert_eq!(done.not_finite, strange * BlockType::WEIGHTS);
        let mut expected = naive(&weights, &x, inner, splits);
        expected.iter_mut().zip(bias.iter().cycle()).for_each(|(y, bias)| *y += bias);
        let op = Linear {
            x: Activations::F32(&x), positions, inner, weight: Tiled::Blocks(kind, &tiles), outer, splits,
            scales: None, bias: Some(&bias),
        };
        for level in levels() {
            let mut y = vec![f32::NAN; positions * outer];
            linear_at(level, op, 0..op.tiles(), &mut y).unwrap();
            prop_assert_eq!(bits(&y), bits(&expected), "{:?}", level);
        }
    }

    #[test]
    fn a_firing_for_each_block_gives_the_same(seed: u64, kind in kind(), blocks in 1_usize..6) {
        let (mut source, inner) = (source(seed), blocks * BlockType::WEIGHTS);
        let stored = source.blocks(kind, BlockType::LANES * blocks, false);
        let x = source.values(inner);
        let (tiles, _) = packed(kind, BlockRows::Stored(&stored), BlockType::LANES, inner);
        let mut acc = vec![0.0; BlockType::LANES];
        for (block, x) in tiles.chunks(kind.bytes() * BlockType::LANES).zip(x.chunks(BlockType::WEIGHTS)) {
            mac_block(kind, &mut acc, block, x).unwrap();
        }
        prop_assert_eq!(bits(&acc), bits(&naive(&widened(kind, &stored), &x, inner, 1)));
    }

    #[test]
    fn some_columns_are_those_of_the_whole(seed: u64, kind in kind(), outer in 1_usize..150, cut in 0_usize..=5) {
        let (mut source, inner) = (source(seed), 5 * BlockType::WEIGHTS);
        let values = source.values(outer * inner);
        let rows = BlockRows::Rounded(Rows::F32(&values));
        let (whole, done) = packed(kind, rows, outer, inner);
        let block = kind.bytes() * BlockType::LANES;
        let mut joined = vec![Vec::new(); outer.div_ceil(BlockType::LANES)];
        let mut loss = Loss::default();
        for columns in [0..cut, cut..5] {
            let mut tiles = vec![0; joined.len() * columns.len() * block];
            loss = loss.plus(&pack_blocks(kind, rows, [outer, inner], columns.clone(), &mut tiles).unwrap().loss);
            let each = tiles.chunks(columns.len().max(1) * block);
            joined.iter_mut().zip(each).for_each(|(tile, part)| tile.extend_from_slice(part));
        }
        prop_assert_eq!(joined.concat(), whole);
        // The same terms in another order.
        prop_assert!((loss.lost - done.loss.lost).abs() <= 1e-12 * loss.lost);
    }
}

/// The largest error of a rounded weight: half a step, and what fp16 takes from the scale and the least value.
#[test]
fn rounding_loses_half_a_step() {
    let (outer, inner) = (3, 64);
    let values = source(5).values(outer * inner);
    for (kind, steps) in [(BlockType::Q8_0, 127.0), (BlockType::Q4_0, 8.0), (BlockType::Q4_1, 15.0)] {
        let (tiles, done) = packed(kind, BlockRows::Rounded(Rows::F32(&values)), outer, inner);
        // One output at a time: rows of the identity as activations.
        let x: Vec<f32> = (0..inner * inner).map(|at| f32::from(u8::from(at / inner == at % inner))).collect();
        let mut y = vec![0.0; inner * outer];
        let weight = Tiled::Blocks(kind, &tiles);
        let x = Activations::F32(&x);
        let op = Linear { x, positions: inner, inner, weight, outer, splits: 1, scales: None, bias: None };
        linear(op, 0..op.tiles(), &mut y).unwrap();
        let mut lost = 0.0;
        for o in 0..outer {
            for (k, block) in values[o * inner..][..inner].chunks(BlockType::WEIGHTS).enumerate() {
                let (least, most) = block.iter().fold((0.0_f32, 0.0_f32), |(l, m), v| (l.min(*v), m.max(*v)));
                let span = if kind == BlockType::Q4_1 { most - least } else { most.max(-least) };
                for (at, value) in block.iter().enumerate() {
                    let held = y[(k * BlockType::WEIGHTS + at) * outer + o];
                    // A whole step at q4_0's far end, which eight steps do not reach; fp16 rounds by 2^-11.
                    let step = span / steps * if kind == BlockType::Q4_0 { 1.0 } else { 0.5 };
                    assert!((held - value).abs() <= step + span * 2.0_f32.powi(-10), "{kind:?} {value} {held}");
                    lost += (f64::from(*value) - f64::from(held)).powi(2);
                }
            }
        }
        assert!((lost - done.loss.lost).abs() <= 1e-9 * lost, "{kind:?}: the loss is that of what is held");
    }
}

#[test]
fn what_is_not_finite_is_counted_by_blocks() {
    for kind in BlockType::ALL {
        for (value, strange) in [(f32::NAN, 32), (f32::INFINITY, 32), (1e9, 32), (0.0, 0), (60000.0, 0)] {
            let mut values = vec![0.0; 64];
            values[40] = value;
            let (_, done) = packed(kind, BlockRows::Rounded(Rows::F32(&values)), 1, 64);
            assert_eq!(done.not_finite, strange, "{kind:?} {value}");
        }
    }
}

#[test]
fn wrong_shapes_are_refused() {
    let kind = BlockType::Q4_0;
    let stored = vec![0; 2 * 18];
    let pack = |outer, inner, columns, len| {
        pack_blocks(kind, BlockRows::Stored(&stored), [outer, inner], columns, &mut vec![0; len]).is_err()
    };
    assert!(!pack(2, 32, 0..1, 64 * 18));
    assert!(pack(2, 33, 0..1, 64 * 18), "no whole block");
    assert!(pack(2, 32, 0..2, 64 * 18), "a column too many");
    assert!(pack(3, 32, 0..1, 64 * 18), "a row too many");
    assert!(pack(2, 32, 0..1, 63 * 18), "too little room");
    assert!(mac_block(kind, &mut [0.0; 64], &[0; 17 * 64], &[0.0; 32]).is_err());
    assert!(mac_block(kind, &mut [0.0; 64], &[0; 18 * 64], &[0.0; 31]).is_err());
    let (x, weight) = ([0.0; 48], Tiled::Blocks(kind, &[0; 18 * 64]));
    let op = |inner| Linear {
        x: Activations::F32(&x[..inner]),
        positions: 1,
        inner,
        weight,
        outer: 1,
        splits: 1,
        scales: None,
        bias: None,
    };
    assert!(linear(op(32), 0..1, &mut [0.0]).is_ok());
    assert!(linear(op(48), 0..1, &mut [0.0]).is_err(), "half a block");
    let whole = Linear { x: Activations::Int8 { values: &[0; 32], scales: &[0.0] }, ..op(32) };
    assert!(linear(whole, 0..1, &mut [0.0]).is_err(), "whole numbers against blocks");
    assert_eq!(kind.tiled_bytes(1, 48), None);
    assert_eq!((BlockType::named("q4_1"), BlockType::named("Q4_K")), (Some(BlockType::Q4_1), None));
}
