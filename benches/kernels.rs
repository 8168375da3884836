//! Rates of the kernels. Goals: one position reads weights as fast as memory gives them; 64 positions reach at least
//! 50 GFLOP/s per core with AVX-512 and 30 with AVX2; packing 135 M elements takes less than 0.3 s.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rdu::kernels::*;

fn values(len: usize) -> Vec<f32> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 2e7 - 0.4).collect()
}

fn levels() -> impl Iterator<Item = Level> {
    Level::ALL.into_iter().filter(|level| level.is_supported())
}

fn refuse_debug_build() {
    if cfg!(debug_assertions) {
        panic!("rates of a debug build mean nothing: use `cargo bench`");
    }
}

/// Throughput in bytes of weights at one position, in multiply-adds times two (FLOP, shown as elements) at many.
fn linear_rate(bench: &mut Criterion) {
    refuse_debug_build();
    for (positions, inner, outer) in [(1, 576, 1536), (1, 4096, 4096), (64, 576, 1536), (64, 4096, 4096)] {
        let weight = pack(Rows::F32(&values(inner * outer)), outer, inner, Element::Bf16).expect("sizes agree");
        let x = values(positions * inner);
        let mut y = vec![0.0; positions * outer];
        let mut group = bench.benchmark_group(format!("linear/{positions}x{inner}x{outer}/bf16"));
        group.throughput(match positions {
            1 => Throughput::Bytes((inner * outer * 2) as u64),
            _ => Throughput::Elements((2 * positions * inner * outer) as u64),
        });
        group.sample_size(20);
        for level in levels().filter(|level| *level != Level::Scalar) {
            group.bench_function(BenchmarkId::from_parameter(format!("{level:?}")), |bench| {
                let (x, weight) = (Activations::F32(&x), weight.as_vectors().into());
                let op = Linear { x, positions, inner, weight, outer, splits: 1, scales: None, bias: None };
                bench.iter(|| linear_at(level, black_box(op), 0..outer / 32, &mut y));
            });
        }
        group.finish();
    }
}

/// One query against 1024 cached rows of 64 bf16, and the mix of as many.
fn cache_rate(bench: &mut Criterion) {
    let mut rows = vec![0; 1024 * 64];
    narrow(&values(1024 * 64), &mut rows).expect("sizes agree");
    let (q, mut out, mut acc) = (values(64), vec![0.0; 1024], vec![0.0; 64]);
    let mut group = bench.benchmark_group("cache/1024x64/bf16");
    group.throughput(Throughput::Bytes(1024 * 64 * 2));
    for level in levels() {
        group.bench_function(format!("scores/{level:?}"), |bench| {
            bench.iter(|| scores_at(level, &q, Vectors::Bf16(&rows), 2, 2, &mut out));
        });
        group.bench_function(format!("mix/{level:?}"), |bench| {
            bench.iter(|| mix_at(level, &out, Vectors::Bf16(&rows), 2, 2, &mut acc));
        });
    }
    group.finish();
}

fn element_rate(bench: &mut Criterion) {
    let (a, b) = (values(4096), values(4096));
    let mut y = vec![0.0; 4096];
    let mut group = bench.benchmark_group("elements/4096");
    group.throughput(Throughput::Elements(4096));
    for level in levels() {
        group.bench_function(format!("silu_mul/{level:?}"), |bench| {
            bench.iter(|| silu_mul_at(level, &a, &b, &mut y));
        });
        group.bench_function(format!("softmax/{level:?}"), |bench| {
            bench.iter(|| {
                y.copy_from_slice(&a);
                softmax_at(level, &mut y);
            });
        });
        group.bench_function(format!("rms_norm/{level:?}"), |bench| {
            bench.iter(|| rms_norm_at(level, &a, 4096, &b, 1e-5, &mut y));
        });
        group.bench_function(format!("round/{level:?}"), |bench| {
            bench.iter(|| {
                y.copy_from_slice(&a);
                round_at(level, &mut y, Element::Bf16);
            });
        });
    }
    group.finish();
}

fn pack_rate(bench: &mut Criterion) {
    // As many elements as the model that the goal is about.
    let (outer, inner) = (32_768, 4096);
    let rows = vec![0x3f80_u16; outer * inner];
    let mut group = bench.benchmark_group("pack/32768x4096");
    group.throughput(Throughput::Elements((outer * inner) as u64)).sample_size(10);
    group.bench_function("bf16", |bench| bench.iter(|| pack(Rows::Bf16(&rows), outer, inner, Element::Bf16)));
    group.finish();
}

criterion_group!(kernels, linear_rate, cache_rate, element_rate, pack_rate);
criterion_main!(kernels);
