//! Firings per second of `step` on one core: a 64-unit pipeline, and the adder tree that DAM is measured with (1024
//! generators, 4096 tokens each), with and without values. Criterion prints the rate as "elem/s".
//!
//! Goal for timing alone: the Rust simulator DAM moves 10 to 19 million tokens per CPU second on the same tree.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rdu::dataflow::operator::Operator;
use rdu::dataflow::table::{Sink, Source, operator};
use rdu::dataflow::{Call, Nest, NoMemory, Phase, Program, Stream, Times, Unit, step};

const GENERATORS: usize = 1024;
const TOKENS: u64 = 4096;
const STAGES: usize = 64;
const STAGE_TOKENS: u64 = 16_384;

fn unit(at: usize, firings: u64, inputs: usize, outputs: usize) -> Unit {
    let phase = Phase {
        ii: 1,
        latency: 1,
        consume: (0..inputs).map(|input| (input, 1)).collect(),
        produce: (0..outputs).map(|output| (output, 1)).collect(),
        transfer: None,
    };
    let nest = vec![Nest::Fire { phase: 0, times: Times::Fixed(firings) }];
    Unit { name: format!("u{at}"), phases: vec![phase], nest, port: None }
}

fn stream(from: usize, to: (usize, usize)) -> Stream {
    let name = format!("{from}>{to:?}");
    Stream { name, from: (from, 0), to, capacity: 32, latency: 1, credit: 0, initial: 0, lanes: 1 }
}

fn pipeline() -> Program {
    let unit = |at| unit(at, STAGE_TOKENS, usize::from(at > 0), usize::from(at + 1 < STAGES));
    let streams = (1..STAGES).map(|at| stream(at - 1, (at, 0))).collect();
    Program::new((0..STAGES).map(unit).collect(), streams).expect("the pipeline builds")
}

/// Generators, a binary tree of adders and one consumer.
fn adder_tree() -> Program {
    let mut units: Vec<Unit> = (0..GENERATORS).map(|at| unit(at, TOKENS, 0, 1)).collect();
    let (mut streams, mut row) = (Vec::new(), (0..GENERATORS).collect::<Vec<_>>());
    while row.len() > 1 {
        let first = units.len();
        for (rank, pair) in row.chunks(2).enumerate() {
            units.push(unit(first + rank, TOKENS, 2, 1));
            streams.extend(pair.iter().enumerate().map(|(input, &from)| stream(from, (first + rank, input))));
        }
        row = (first..units.len()).collect();
    }
    let last = units.len();
    units.push(unit(last, TOKENS, 1, 0));
    streams.push(stream(row[0], (last, 0)));
    Program::new(units, streams).expect("the adder tree builds")
}

/// A source where nothing comes in, a sink where nothing goes out, and between them what the inputs allow.
fn operators(program: &Program, tokens: u64) -> Vec<Box<dyn Operator>> {
    let values: Vec<f32> = (0..tokens).map(|token| token as f32).collect();
    let one = |at: usize| -> Box<dyn Operator> {
        match (program.inputs(at).len(), program.outputs(at).len()) {
            (0, _) => Box::new(Source { values: values.clone(), at: 0 }),
            (_, 0) => Box::new(Sink::default()),
            (1, _) => operator("copy", 1, 1).expect("copy is in the table"),
            (inputs, _) => operator("add", inputs, 1).expect("add is in the table"),
        }
    };
    (0..program.units().len()).map(one).collect()
}

fn bench(criterion: &mut Criterion) {
    if cfg!(debug_assertions) {
        eprintln!("benches/dataflow.rs: a debug build says nothing about speed; use cargo bench");
        std::process::exit(1);
    }
    for (name, program, tokens) in
        [("pipeline 64", pipeline(), STAGE_TOKENS), ("adder tree 1024x4096", adder_tree(), TOKENS)]
    {
        let call = Call::default();
        let bound = program.bind(&call).expect("the program balances");
        let run = || step::run(&bound, &mut NoMemory, &mut |_| true).expect("the program runs");
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(run().firings)).sample_size(10);
        group.bench_function("timing", |bencher| bencher.iter(run));
        group.bench_function("values", |bencher| {
            bencher.iter_batched(
                || operators(&program, tokens),
                |mut operators| step::run_with_values(&bound, &mut NoMemory, &mut operators, &mut |_| true),
                criterion::BatchSize::PerIteration,
            );
        });
        group.finish();
    }
}

criterion_group!(dataflow, bench);
criterion_main!(dataflow);
