//! Every level and thread count gives the bits of a naive loop in the declared order (`docs/numerics.md`).

use proptest::prelude::*;
use rdu::kernels::*;

/// Xorshift: values of mixed signs and magnitudes, or (`wild`) any bit pattern: NaN, infinities, denormals.
struct Source(u64);

impl Source {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }

    fn value(&mut self, wild: bool) -> f32 {
        const SPECIAL: [f32; 7] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1e-45, f32::MAX];
        let bits = self.next();
        match (wild, bits % 8) {
            (true, 0) => SPECIAL[(bits >> 8) as usize % SPECIAL.len()],
            (true, 1) => f32::from_bits(bits & 0x807f_ffff),
            (true, 2) => f32::from_bits(bits),
            _ => (bits as f32 / 4e9 - 0.5) * [1e-3, 1.0, 37.0, 1.0][(bits % 4) as usize],
        }
    }

    fn values(&mut self, len: usize, wild: bool) -> Vec<f32> {
        (0..len).map(|_| self.value(wild)).collect()
    }
}

fn source(seed: u64) -> Source {
    Source(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
}

/// Bits to compare. IEEE 754 leaves open which NaN comes out of two, and processors differ: all NaNs count as one.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| if v.is_nan() { 0x7fc0_0000 } else { v.to_bits() }).collect()
}

fn levels() -> impl Iterator<Item = Level> {
    Level::ALL.into_iter().filter(|level| level.is_supported())
}

fn packed_vectors(values: &[f32], element: Element) -> Packed {
    let mut padded = values.to_vec();
    padded.resize(values.len().next_multiple_of(element.lanes()), 0.0);
    match element {
        Element::F32 => Packed::F32(padded),
        Element::Bf16 => {
            let mut out = vec![0; padded.len()];
            narrow(&padded, &mut out).unwrap();
            Packed::Bf16(out)
        }
        Element::Int8 => {
            round(&mut padded, element);
            let tiles = padded.iter().map(|&value| value as i8).collect();
            Packed::Int8 { tiles, scales: Vec::new(), loss: Loss::default() }
        }
    }
}

fn fp32(packed: &Packed) -> Vec<f32> {
    match packed {
        Packed::F32(data) => data.clone(),
        Packed::Bf16(data) => data.iter().map(|&b| f32::from_bits(u32::from(b) << 16)).collect(),
        Packed::Int8 { tiles, .. } => tiles.iter().map(|&value| f32::from(value)).collect(),
    }
}

/// The adjacent-pair tree, as a recursion: its left half is the largest power of two below the count.
fn pair_tree(parts: &[f32]) -> f32 {
    if let [one] = parts {
        return *one;
    }
    let left = parts.len().next_power_of_two() / 2;
    pair_tree(&parts[..left]) + pair_tree(&parts[left..])
}

fn half_tree(mut lanes: Vec<f32>) -> f32 {
    while lanes.len() > 1 {
        let high = lanes.split_off(lanes.len() / 2);
        lanes.iter_mut().zip(high).for_each(|(low, high)| *low += high);
    }
    lanes[0]
}

/// The naive quantisation of each row: whole numbers as fp32, and what they count.
fn quantized(rows: &[f32], width: usize) -> (Vec<f32>, Vec<f32>) {
    let (mut values, mut scales) = (Vec::new(), Vec::new());
    for row in rows.chunks(width) {
        let largest = row.iter().fold(0.0_f32, |m, x| if m.is_nan() || m >= x.abs() { m } else { x.abs() });
        let scale = largest / 127.0;
        let whole = |x: f32| (x / scale).round_ties_even().clamp(-127.0, 127.0);
        values.extend(row.iter().map(|&x| if whole(x).is_nan() { 0.0 } else { whole(x) }));
        scales.push(scale);
    }
    (values, scales)
}

struct Case {
    x: Vec<f32>,
    /// As the weight holds them: whole numbers for int8.
    rows: Vec<f32>,
    scales: Option<Vec<f32>>,
    given: Vec<f32>,
    bias: Vec<f32>,
    positions: usize,
    inner: usize,
    outer: usize,
    splits: usize,
    element: Element,
}

impl Case {
    fn new(seed: u64, [positions, inner, outer, splits]: [usize; 4], element: Element, wild: bool) -> Case {
        let mut source = source(seed);
        let given = source.values(outer * inner, wild);
        let (rows, scales) = match element {
            Element::Int8 => {
                let (rows, scales) = quantized(&given, inner);
                (rows, Some(scales))
            }
            _ => {
                let mut rows = given.clone();
                round(&mut rows, element);
                (rows, None)
            }
        };
        let (x, bias) = (source.values(positions * inner, wild), source.values(outer, false));
        Case { x, rows, scales, given, bias, positions, inner, outer, splits, element }
    }

    fn weight(&self) -> Packed {
        pack(Rows::F32(&self.given), self.outer, self.inner, self.element).unwrap()
    }

    fn op<'a>(&'a self, weight: &'a Packed) -> Linear<'a> {
        let Case { positions, inner, outer, splits, .. } = *self;
        let (x, scales, bias) = (Activations::F32(&self.x), weight.scales(), Some(&self.bias[..]));
        Linear { x, positions, inner, weight: weight.as_vectors().into(), outer, splits, scales, bias }
    }

    fn naive(&self) -> Vec<f32> {
        let lanes = self.element.lanes();
        let mut y = Vec::new();
        for x in self.x.chunks(self.inner) {
            for (o, (weight, bias)) in self.rows.chunks(self.inner).zip(&self.bias).enumerate() {
                let part = |s| split_range(self.inner, lanes, self.splits, s);
                let sum = |s| part(s).fold(0.0, |sum, k| weight[k].mul_add(x[k], sum));
                let parts: Vec<f32> = (0..self.splits).map(sum).collect();
                let sum = pair_tree(&parts);
                y.push(self.scales.as_ref().map_or(sum, |scales| sum * scales[o]) + bias);
            }
        }
        y
    }

    /// Activations quantised too: exact sums, one product of scales, one multiplication, and the bias.
    fn naive_whole(&self) -> Vec<f32> {
        let (x, x_scales) = quantized(&self.x, self.inner);
        let mut y = Vec::new();
        for (x, x_scale) in x.chunks(self.inner).zip(&x_scales) {
            for (o, (weight, bias)) in self.rows.chunks(self.inner).zip(&self.bias).enumerate() {
                let sum: i64 = weight.iter().zip(x).map(|(w, x)| *w as i64 * *x as i64).sum();
                y.push(sum as f32 * (x_scale * self.scales.as_ref().unwrap()[o]) + bias);
            }
        }
        y
    }
}

fn element() -> impl Strategy<Value = Element> {
    prop_oneof![Just(Element::Bf16), Just(Element::F32), Just(Element::Int8)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn linear_is_the_naive_loop(
        seed: u64, positions in 1_usize..20, inner in 1_usize..300, outer in 1_usize..200, splits in 1_usize..9,
        element in element(), wild: bool,
    ) {
        let case = Case::new(seed, [positions, inner, outer, splits], element, wild);
        let (weight, naive) = (case.weight(), case.naive());
        for level in levels() {
            let mut y = vec![f32::NAN; positions * outer];
            linear_at(level, case.op(&weight), 0..tile_count(outer, element), &mut y).unwrap();
            prop_assert_eq!(bits(&y), bits(&naive), "{:?}", level);
        }
    }

    #[test]
    fn whole_numbers_are_summed_exactly(
        seed: u64, positions in 1_usize..60, inner in 1_usize..300, outer in 1_usize..200, wild: bool,
    ) {
        let case = Case::new(seed, [positions, inner, outer, 1], Element::Int8, wild);
        let (weight, naive) = (case.weight(), case.naive_whole());
        for level in levels() {
            let (mut values, mut scales) = (vec![0; case.x.len()], vec![0.0; positions]);
            quantize_at(level, &case.x, inner, &mut values, &mut scales).unwrap();
            let (whole, expected) = quantized(&case.x, inner);
            prop_assert_eq!(bits(&scales), bits(&expected), "{:?}", level);
            prop_assert!(values.iter().zip(&whole).all(|(v, w)| f32::from(*v) == *w), "{:?}", level);
            let x = Activations::Int8 { values: &values, scales: &scales };
            let mut y = vec![f32::NAN; positions * outer];
            linear_at(level, Linear { x, ..case.op(&weight) }, 0..tile_count(outer, Element::Int8), &mut y).unwrap();
            prop_assert_eq!(bits(&y), bits(&naive), "{:?}", level);
        }
    }

    #[test]
    fn side_by_side_changes_no_bit(seed: u64, positions in 1_usize..120, sizes in prop::collection::vec(1_usize..150, 3)) {
        let elements = [Element::Bf16, Element::Int8, Element::F32];
        let cases: Vec<Case> = elements.iter().zip(&sizes)
            .map(|(&element, &outer)| Case::new(seed, [positions, 70, outer, 2], element, false)).collect();
        let weights: Vec<Packed> = cases.iter().map(Case::weight).collect();
        let mut ys: Vec<Vec<f32>> = sizes.iter().map(|outer| vec![f32::NAN; positions * outer]).collect();
        let ops = cases.iter().zip(&weights);
        let mut products: Vec<Product> =
            ops.zip(&mut ys).map(|((case, weight), y)| Product { op: case.op(weight), y }).collect();
        linears(&mut products).unwrap();
        for (case, y) in cases.iter().zip(&ys) {
            prop_assert_eq!(bits(y), bits(&case.naive()));
        }
    }

    #[test]
    fn rows_of_a_cache_are_the_naive_loops(
        seed: u64, width in 1_usize..200, count in 0_usize..20, gap in 0_usize..3, element in element(), wild: bool,
    ) {
        let mut source = source(seed);
        let lanes = element.lanes();
        let vectors = width.div_ceil(lanes);
        let (stride, padded) = (vectors + gap, vectors * lanes);
        let cache = packed_vectors(&source.values(count * stride * lanes, wild), element);
        let (wide, q) = (fp32(&cache), source.values(width, wild));
        let row = |r: usize| &wide[r * stride * lanes..][..padded];
        let dots: Vec<f32> = (0..count).map(|r| {
            let mut sums = vec![0.0_f32; lanes];
            for (i, value) in row(r).iter().enumerate() {
                sums[i % lanes] = value.mul_add(q.get(i).copied().unwrap_or(0.0), sums[i % lanes]);
            }
            half_tree(sums)
        }).collect();
        let (p, start) = (source.values(count, wild), source.values(width, wild));
        let mut mixed = start.clone();
        for (r, p) in p.iter().enumerate() {
            mixed.iter_mut().zip(row(r)).for_each(|(acc, v)| *acc = p.mul_add(*v, *acc));
        }
        for level in levels() {
            let mut out = vec![0.0; count];
            scores_at(level, &q, cache.as_vectors(), stride, vectors, &mut out).unwrap();
            prop_assert_eq!(bits(&out), bits(&dots), "{:?}", level);
            let mut acc = start.clone();
            mix_at(level, &p, cache.as_vectors(), stride, vectors, &mut acc).unwrap();
            prop_assert_eq!(bits(&acc), bits(&mixed), "{:?}", level);
            let mut acc = start.clone();
            for r in 0..count {
                let one = packed_vectors(row(r), element);
                prop_assert_eq!(bits(&[dot_at(level, &q, one.as_vectors()).unwrap()]), bits(&dots[r..=r]));
                accumulate_at(level, p[r], one.as_vectors(), &mut acc).unwrap();
            }
            prop_assert_eq!(bits(&acc), bits(&mixed), "{:?}", level);
        }
    }

    #[test]
    fn levels_agree(seed: u64, len in 0_usize..100, rows in 1_usize..4, wild: bool) {
        let mut source = source(seed);
        let width = len + 1;
        let (a, b) = (source.values(rows * width, wild), source.values(rows * width, wild));
        let half = source.values(len, false);
        let all = |level: Level| -> Vec<Vec<u32>> {
            let place = |f: &dyn Fn(&mut [f32])| { let mut v = a.clone(); f(&mut v); bits(&v) };
            let out = |f: &dyn Fn(&mut [f32]) -> Result<(), KernelError>| place(&|y| f(y).unwrap());
            let turn = |pairing| {
                let mut x = [&half[..], &half[..]].concat();
                rotate_at(level, &mut x, &b[..len], &a[..len], pairing).unwrap();
                bits(&x)
            };
            let mut narrowed = vec![0; a.len()];
            narrow_at(level, &a, &mut narrowed).unwrap();
            vec![
                narrowed.into_iter().map(u32::from).collect(),
                place(&|v| round_at(level, v, Element::Bf16)),
                place(&|v| round_at(level, v, Element::Int8)),
                place(&|v| exp_at(level, v)),
                place(&|v| silu_at(level, v)),
                place(&|v| softmax_at(level, v)),
                out(&|y| add_at(level, &a, &b, y)),
                out(&|y| mul_at(level, &a, &b, y)),
                out(&|y| silu_mul_at(level, &a, &b, y)),
                out(&|y| rms_norm_at(level, &a, width, &b[..width], 1e-5, y)),
                turn(Pairing::Half),
                turn(Pairing::Interleaved),
            ]
        };
        for level in levels() {
            prop_assert_eq!(all(level), all(Level::Scalar), "{:?}", level);
        }
    }

    #[test]
    fn a_tree_adds_adjacent_pairs(seed: u64, count in 1_usize..40, width in 1_usize..5) {
        let parts = source(seed).values(count * width, false);
        let column = |lane| pair_tree(&(0..count).map(|p| parts[p * width + lane]).collect::<Vec<_>>());
        let expected: Vec<f32> = (0..width).map(column).collect();
        let mut scratch = parts.clone();
        prop_assert_eq!(tree_sum(&mut scratch, width).unwrap(), expected);
    }

    #[test]
    fn parts_tile_the_reduced_dimension(inner in 0_usize..500, splits in 1_usize..20, element in element()) {
        let lanes = element.lanes();
        let mut end = 0;
        for s in 0..splits {
            let part = split_range(inner, lanes, splits, s);
            prop_assert_eq!(part.start, end);
            prop_assert!(part.end == inner || part.end.is_multiple_of(lanes));
            end = part.end;
        }
        prop_assert_eq!(end, inner);
    }

    #[test]
    fn packing_moves_each_element_to_its_lane(
        seed: u64, outer in 0_usize..70, inner in 1_usize..90, narrow_from: bool, to in element(),
    ) {
        let from = if narrow_from { Element::Bf16 } else { Element::F32 };
        let mut rows = source(seed).values(outer * inner, true);
        round(&mut rows, from);
        let mut narrowed = vec![0; rows.len()];
        narrow(&rows, &mut narrowed).unwrap();
        let rows_in = match from {
            Element::F32 => Rows::F32(&rows),
            _ => Rows::Bf16(&narrowed),
        };
        let mut expected = vec![0.0; outer.div_ceil(to.lanes()) * inner * to.lanes()];
        let whole = quantized(&rows, inner);
        for (index, value) in if to == Element::Int8 { &whole.0 } else { &rows }.iter().enumerate() {
            let (o, k) = (index / inner, index % inner);
            expected[(o / to.lanes() * inner + k) * to.lanes() + o % to.lanes()] = *value;
        }
        round(&mut expected, to);
        let packed = pack(rows_in, outer, inner, to).unwrap();
        prop_assert_eq!(bits(&fp32(&packed)), bits(&expected));
        prop_assert_eq!(packed.scales().map(bits), (to == Element::Int8).then(|| bits(&whole.1)));
    }
}

/// Large enough for threads, for several steps of depth, and for more positions than one register block holds.
#[test]
fn positions_and_ranges_change_no_bit() {
    for (element, splits, positions) in
        [(Element::Bf16, 1, 61), (Element::Bf16, 3, 500), (Element::F32, 5, 61), (Element::Int8, 2, 500)]
    {
        let (inner, outer) = (301, 300);
        let case = Case::new(7, [positions, inner, outer, splits], element, false);
        let weight = case.weight();
        let count = tile_count(outer, element);
        let naive = bits(&case.naive());
        let mut y = vec![0.0; positions * outer];
        linear(case.op(&weight), 0..count, &mut y).unwrap();
        assert_eq!(bits(&y), naive, "at once");
        let mut y = vec![0.0; positions * outer];
        for range in [3..count, 0..1, 1..3] {
            linear(case.op(&weight), range, &mut y).unwrap();
        }
        assert_eq!(bits(&y), naive, "by ranges of tiles");
        for (position, x) in case.x.chunks(inner).enumerate() {
            let mut y = vec![0.0; outer];
            let op = Linear { x: Activations::F32(x), positions: 1, ..case.op(&weight) };
            linear(op, 0..2, &mut y).unwrap();
            linear(op, 2..count, &mut y).unwrap();
            assert_eq!(bits(&y), naive[position * outer..][..outer], "position {position} alone");
        }
    }
}

#[test]
fn a_tile_range_leaves_the_other_outputs_alone() {
    let case = Case::new(3, [3, 40, 100, 2], Element::Bf16, false);
    let weight = case.weight();
    let mut y = vec![9.0; 300];
    linear(case.op(&weight), 1..2, &mut y).unwrap();
    let outside = |i: usize| !(32..64).contains(&(i % 100));
    assert!(y.iter().enumerate().all(|(i, v)| (*v == 9.0) == outside(i)));
}

#[test]
fn mac_firings_make_a_dot_product_per_lane() {
    let mut source = source(5);
    for element in [Element::Bf16, Element::F32] {
        let lanes = element.lanes();
        let (w, x) = (packed_vectors(&source.values(9 * lanes, false), element), source.values(9, false));
        let mut acc = vec![0.0; lanes];
        for (k, x) in x.iter().enumerate() {
            let wide = &fp32(&w)[k * lanes..][..lanes];
            mac(&mut acc, packed_vectors(wide, element).as_vectors(), *x).unwrap();
        }
        let (x, weight) = (Activations::F32(&x), w.as_vectors().into());
        let op = Linear { x, positions: 1, inner: 9, weight, outer: lanes, splits: 1, scales: None, bias: None };
        let mut y = vec![0.0; lanes];
        linear(op, 0..1, &mut y).unwrap();
        assert_eq!(acc, y);
    }
}

#[test]
fn rounding_is_to_nearest_even_and_keeps_nan() {
    let table = [
        (0x3f80_8000, 0x3f80_0000),
        (0x3f81_8000, 0x3f82_0000),
        (0x3f80_8001, 0x3f81_0000),
        (0x3f80_7fff, 0x3f80_0000),
        (0x7f7f_ffff, 0x7f80_0000),
        (0xff80_0000, 0xff80_0000),
        (0x0000_8000, 0),
        (0x0000_8001, 0x0001_0000),
        (0x7f80_0001, 0x7fc0_0000),
        (0xffff_ffff, 0xffff_0000),
        (0x8000_0000, 0x8000_0000),
    ];
    for (from, to) in table {
        let mut value = [f32::from_bits(from)];
        round(&mut value, Element::F32);
        assert_eq!(value[0].to_bits(), from);
        round(&mut value, Element::Bf16);
        assert_eq!(value[0].to_bits(), to, "{from:08x}");
        let mut narrowed = [0];
        narrow(&[f32::from_bits(from)], &mut narrowed).unwrap();
        assert_eq!(u32::from(narrowed[0]) << 16, to, "{from:08x}");
    }
}

#[test]
fn softmax_follows_its_order() {
    let mut row = source(1).values(77, false);
    row[5] = f32::NEG_INFINITY;
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut expected: Vec<f32> = row.iter().map(|x| x - max).collect();
    exp(&mut expected);
    let sum = expected.iter().fold(0.0, |sum, e| sum + e);
    expected.iter_mut().for_each(|e| *e /= sum);
    softmax(&mut row);
    assert_eq!((bits(&row), row[5]), (bits(&expected), 0.0));
    softmax(&mut []);
    let mut masked = [f32::NEG_INFINITY; 3];
    softmax(&mut masked);
    assert!(masked.iter().all(|y| y.is_nan()));
}

#[test]
fn rms_norm_follows_its_order() {
    let mut source = source(2);
    let (x, weight) = (source.values(2 * 37, false), source.values(37, false));
    let mut y = vec![0.0; 74];
    rms_norm(&x, 37, &weight, 1e-5, &mut y).unwrap();
    for (x, y) in x.chunks(37).zip(y.chunks(37)) {
        let mut lanes = vec![0.0_f32; 16];
        x.iter().enumerate().for_each(|(i, x)| lanes[i % 16] = x.mul_add(*x, lanes[i % 16]));
        let scale = 1.0 / (half_tree(lanes) / 37.0 + 1e-5).sqrt();
        let expected: Vec<f32> = x.iter().zip(&weight).map(|(x, w)| (x * scale) * w).collect();
        assert_eq!(y, expected);
    }
}

#[test]
fn rotation_pairs_as_named() {
    let (a, b, cos, sin) = (0.3_f32, -1.7_f32, 0.6_f32, 0.8_f32);
    let turned = (a.mul_add(cos, -(b * sin)), b.mul_add(cos, a * sin));
    let mut halves = [a, 5.0, b, 6.0];
    rotate(&mut halves, &[cos, 1.0], &[sin, 0.0], Pairing::Half).unwrap();
    assert_eq!(halves, [turned.0, 5.0, turned.1, 6.0]);
    let mut neighbours = [a, b, 5.0, 6.0];
    rotate(&mut neighbours, &[cos, 1.0], &[sin, 0.0], Pairing::Interleaved).unwrap();
    assert_eq!(neighbours, [turned.0, turned.1, 5.0, 6.0]);
}

#[test]
fn a_gate_follows_its_order() {
    let (gate, up) = (source(8).values(40, false), source(9).values(40, false));
    let mut y = vec![0.0; 40];
    silu_mul(&gate, &up, &mut y).unwrap();
    let mut e: Vec<f32> = gate.iter().map(|g| -g).collect();
    exp(&mut e);
    let expected: Vec<f32> = (0..40).map(|i| gate[i] / (1.0 + e[i]) * up[i]).collect();
    assert_eq!(y, expected);
    let mut silu_only = gate.clone();
    silu(&mut silu_only);
    mul(&silu_only, &up, &mut y).unwrap();
    assert_eq!(y, expected);
}

#[test]
fn wrong_lengths_are_named() {
    let y = &mut [0.0; 4][..];
    let weight = Vectors::Bf16(&[0; 64]);
    let x = Activations::F32(&[0.0; 2]);
    let op = Linear { x, positions: 1, inner: 2, weight: weight.into(), outer: 4, splits: 1, scales: None, bias: None };
    let short = Linear { x: Activations::F32(&[0.0; 1]), ..op };
    let whole = |values, scales| Linear {
        x: Activations::Int8 { values, scales },
        weight: Vectors::Int8(&[0; 128]).into(),
        ..op
    };
    let long = vec![0; LONGEST_INTEGER_SUM + 1];
    let table: Vec<(Result<(), KernelError>, &str)> = vec![
        (linear(short, 0..1, y), "linear: x has 1 elements, expected 2"),
        (linear(op, 0..1, &mut y[..3]), "linear: y has 3 elements, expected 4"),
        (linear(op, 0..2, y), "linear: tiles 0..2 asked for, the weight has 1"),
        (linear(Linear { splits: 0, ..op }, 0..1, y), "linear: splits is 0, must be at least 1"),
        (linear(Linear { bias: Some(&[]), ..op }, 0..1, y), "linear: bias has 0 elements, expected 4"),
        (linear(Linear { scales: Some(&[]), ..op }, 0..1, y), "linear: scales has 0 elements, expected 4"),
        (linear(whole(&[0; 2], &[]), 0..1, y), "linear: the scales of x has 0 elements, expected 1"),
        (
            linear(Linear { weight: weight.into(), ..whole(&[0; 2], &[1.0]) }, 0..1, y),
            "linear: the data is bf16, expected int8",
        ),
        (
            linear(Linear { inner: long.len(), ..whole(&long, &[1.0]) }, 0..1, y),
            "linear: a row of x has 133145 elements, at most 133144 fit",
        ),
        (linear(Linear { outer: 33, ..op }, 0..1, &mut [0.0; 33]), "linear: weight has 64 elements, expected 128"),
        (
            linear(Linear { positions: usize::MAX, ..op }, 0..1, y),
            "linear: the size of x overflows (18446744073709551615 x 2)",
        ),
        (dot(&[0.0; 65], weight).map(drop), "dot: a has 65 elements, at most 64 fit"),
        (
            dot(&[], Vectors::F32(&[0.0; 3])).map(drop),
            "dot: b has 3 elements, which is not a whole number of vectors of 16",
        ),
        (scores(&[], weight, 2, 1, y), "scores: rows has 64 elements, at least 224 are needed"),
        (mix(&[1.0], weight, 1, 2, &mut [0.0; 65]), "mix: acc has 65 elements, at most 64 fit"),
        (mac(y, weight, 1.0), "mac: w has 64 elements, expected 32"),
        (rms_norm(&[0.0; 5], 0, &[], 0.0, y), "rms_norm: width is 0, must be at least 1"),
        (rotate(y, &[1.0], &[0.0; 2], Pairing::Half), "rotate: cos has 1 elements, expected 2"),
        (add(&[0.0; 4], &[0.0; 3], y), "add: the second operand has 3 elements, expected 4"),
        (pack(Rows::F32(&[0.0; 5]), 2, 3, Element::F32).map(drop), "pack: rows has 5 elements, expected 6"),
        (tree_sum(&mut [], 1).map(drop), "tree_sum: parts has 0 elements, at least 1 are needed"),
    ];
    for (result, message) in table {
        assert_eq!(result.unwrap_err().to_string(), message);
    }
}
