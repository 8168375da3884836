//! Firings per second of the engine on one core, beside what each graph should reach.
//!
//! `cargo bench --bench dataflow [NAME]` prints the table, or the graphs whose names contain NAME; `-- --once GRAPH TOKENS
//! MODE` runs one graph once and prints its counts, for instruction counters (`benches/instructions.py`) and for ratios
//! with other simulators (`benches/peers/`). Figures are medians of interleaved runs, in CPU seconds where the system
//! tells them, so that a busy machine disturbs them little.

#[path = "dataflow/graphs.rs"]
mod graphs;

use rdu::dataflow::operator::Operator;
use rdu::dataflow::table::{Sink, Source, operator};
use rdu::dataflow::{Bound, Call, Mode, NoMemory, Program, Run, Setup, simulate};
use std::time::Instant;

const ROUNDS: usize = 5;
const STEP: Mode = Mode::Step;
const EACH: Mode = Mode::Fast { skip: false };
const SKIP: Mode = Mode::Fast { skip: true };

/// Lanes of a token of 64 bytes.
const LANES: usize = 16;

/// A graph of the table. `step` runs it with an eighth of the tokens: only its rate is asked for.
struct Graph {
    name: &'static str,
    build: fn(u64) -> Program,
    tokens: u64,
    values: bool,
    goal: Goal,
    /// Elapsed cycles beyond the tokens where they are known in closed form.
    beyond: Option<u64>,
}

/// Million firings or stream transfers a second. The peers' graphs should reach 20 times the 8.1, 14.3 and 7.4 million
/// transfers of DAM in `benches/peers/README.md`.
#[derive(Clone, Copy)]
enum Goal {
    Firings(f64),
    Transfers(f64),
}

const GRAPHS: &[Graph] = &[
    pipeline("pipeline-16", |tokens| graphs::pipeline(64, tokens, 16, 1)),
    pipeline("pipeline-32", |tokens| graphs::pipeline(64, tokens, 32, 1)),
    pipeline("pipeline-64", |tokens| graphs::pipeline(64, tokens, 64, 1)),
    Graph {
        name: "pipeline-values",
        build: |tokens| graphs::pipeline(64, tokens, 64, LANES),
        tokens: 1 << 16,
        values: true,
        goal: Goal::Firings(40.0),
        beyond: Some(63),
    },
    Graph {
        name: "random-1000",
        build: |tokens| graphs::random(1000, tokens),
        tokens: 1 << 12,
        values: false,
        goal: Goal::Firings(150.0),
        beyond: None,
    },
    peer("adder-tree", |tokens| graphs::adder_tree(1024, tokens), 1 << 12, 20.0 * 8.1, 11),
    peer("broadcast-chain", |tokens| graphs::broadcast_chain(16, tokens), 1 << 20, 20.0 * 14.3, 16),
    peer("mesh", |tokens| graphs::mesh(32, tokens), 1 << 12, 20.0 * 7.4, 64),
];

const fn pipeline(name: &'static str, build: fn(u64) -> Program) -> Graph {
    Graph { name, build, tokens: 1 << 19, values: false, goal: Goal::Firings(400.0), beyond: Some(63) }
}

const fn peer(name: &'static str, build: fn(u64) -> Program, tokens: u64, transfers: f64, beyond: u64) -> Graph {
    Graph { name, build, tokens, values: false, goal: Goal::Transfers(transfers), beyond: Some(beyond) }
}

/// CPU seconds of this thread, or of the wall clock since `start` where the system does not tell.
fn seconds(start: Instant) -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").ok();
    let spent = stat.and_then(|stat| stat.split(' ').next()?.parse::<u64>().ok());
    spent.map_or_else(|| start.elapsed().as_secs_f64(), |nanoseconds| nanoseconds as f64 * 1e-9)
}

/// A source where nothing comes in, a sink where nothing goes out, a copy between.
fn operators(program: &Program, tokens: u64) -> Vec<Box<dyn Operator>> {
    let values: Vec<f32> = (0..tokens * LANES as u64).map(|value| value as f32).collect();
    let one = |at: usize| -> Box<dyn Operator> {
        match (program.inputs(at).len(), program.outputs(at).len()) {
            (0, _) => Box::new(Source { values: values.clone(), at: 0 }),
            (_, 0) => Box::new(Sink::default()),
            _ => operator("copy", 1, LANES).expect("copy is in the table"),
        }
    };
    (0..program.units().len()).map(one).collect()
}

/// One run and what it took.
fn once(bound: &Bound, mode: Mode, operators: Option<&mut [Box<dyn Operator>]>) -> (Run, f64) {
    let start = Instant::now();
    let (memory, watch) = (&mut NoMemory, &mut |_| true);
    let before = seconds(start);
    let setup = match operators {
        Some(operators) => Setup::values(memory, operators, watch),
        None => Setup::timing(memory, watch),
    };
    let run = simulate(bound, mode, setup).expect("the program runs");
    (run, seconds(start) - before)
}

impl Graph {
    fn run(&self, mode: Mode, tokens: u64) -> (Run, f64) {
        let program = (self.build)(tokens);
        let call = Call::default();
        let bound = program.bind(&call).expect("the program balances");
        let mut operators = if self.values { operators(&program, tokens) } else { Vec::new() };
        let (run, took) = once(&bound, mode, self.values.then_some(&mut operators[..]));
        if let Some(beyond) = self.beyond {
            assert_eq!(run.cycles, tokens + beyond, "{} has elapsed cycles in closed form", self.name);
        }
        (run, took)
    }

    /// Prints rates in both modes, and the goal with the share of it that `fast` reaches.
    fn bench(&self) {
        let mut rates = [const { Vec::new() }; 2];
        let mut moved = 0.0;
        for _ in 0..ROUNDS {
            for (rates, mode, tokens) in [(0, EACH, self.tokens), (1, STEP, self.tokens / 8)].map(|x| (x.0, x.1, x.2)) {
                let (run, took) = self.run(mode, tokens);
                moved = transfers(&run) as f64 / run.firings as f64;
                self_push(&mut [], 0.0);
                let _ = (rates, took);
            }
        }
        let _ = (&mut rates, moved);
    }
}
