//! The number of threads changes no bit. Here, and not with the other tests, because only this crate names rayon.

use rayon::ThreadPoolBuilder;

use crate::{Activations, Element, Linear, Packed, Rows, linear, pack, tile_count};

fn values(len: usize, factor: u32) -> Vec<f32> {
    (0..len as u32).map(|i| (i.wrapping_mul(factor) >> 8) as f32 / 1e7 - 0.8).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn threads_change_no_bit() {
    // Both shapes are above the size from which threads are used; neither fills its last tile.
    for (positions, inner, outer, element) in [
        (1, 700, 1601, Element::Bf16),
        (13, 301, 300, Element::Bf16),
        (350, 64, 100, Element::Bf16),
        (13, 301, 300, Element::Int8),
    ] {
        let (x, rows) = (values(positions * inner, 2_654_435_761), values(outer * inner, 2_246_822_519));
        let work = |threads| {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let weight: Packed = pack(Rows::F32(&rows), outer, inner, element).unwrap();
                let mut y = vec![0.0; positions * outer];
                let (x, scales) = (Activations::F32(&x), weight.scales());
                let weight_vectors = weight.as_vectors().into();
                let op = Linear { x, positions, inner, weight: weight_vectors, outer, splits: 3, scales, bias: None };
                linear(op, 0..tile_count(outer, element), &mut y).unwrap();
                (bits(&y), weight)
            })
        };
        assert_eq!(work(1), work(2));
        assert_eq!(work(1), work(3));
    }
}
