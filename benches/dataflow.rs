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
use rdu::dataflow::{Bound, Call, Mode, NoMemory, Program, Run, RunError, Setup, simulate};
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const STEP: Mode = Mode::Step;
const EACH: Mode = Mode::Fast { skip: false };
const SKIP: Mode = Mode::Fast { skip: true };

/// A single figure takes at least so long; a run that takes longer than the other is given up.
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(100);

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

/// Million firings or stream transfers a second. The peers' graphs should reach 20 times the most that
/// `benches/peers/README.md` has for DAM.
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
    mixed("random-1000-4", |tokens| graphs::random(1000, tokens, 4)),
    mixed("random-1000-16", |tokens| graphs::random(1000, tokens, 16)),
    peer("adder-tree", |tokens| graphs::adder_tree(1024, tokens), 1 << 12, 20.0 * 8.1, 11),
    peer("broadcast-chain", |tokens| graphs::broadcast_chain(16, tokens), 1 << 20, 20.0 * 15.5, 16),
    peer("mesh", |tokens| graphs::mesh(32, tokens), 1 << 12, 20.0 * 7.8, 64),
];

const fn pipeline(name: &'static str, build: fn(u64) -> Program) -> Graph {
    Graph { name, build, tokens: 1 << 19, values: false, goal: Goal::Firings(400.0), beyond: Some(63) }
}

/// Mixed rates; the streams have room for as many iterations as the name says.
const fn mixed(name: &'static str, build: fn(u64) -> Program) -> Graph {
    Graph { name, build, tokens: 1 << 12, values: false, goal: Goal::Firings(150.0), beyond: None }
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

/// One run and the CPU seconds it took; `None` if it was given up.
fn once(bound: &Bound, mode: Mode, operators: Option<&mut [Box<dyn Operator>]>) -> Option<(Run, f64)> {
    let start = Instant::now();
    let (memory, watch) = (&mut NoMemory, &mut |_| start.elapsed() < LONGEST);
    let before = seconds(start);
    let setup = match operators {
        Some(operators) => Setup::values(memory, operators, watch),
        None => Setup::timing(memory, watch),
    };
    match simulate(bound, mode, setup) {
        Err(RunError::Interrupted) => None,
        done => Some((done.expect("the program runs"), seconds(start) - before)),
    }
}

/// The same timing run again and again for a while: the system counts CPU time in steps of some milliseconds.
fn often(bound: &Bound, mode: Mode) -> Option<(Run, f64)> {
    let (start, mut runs) = (Instant::now(), 1.0);
    let (run, mut total) = once(bound, mode, None)?;
    while start.elapsed() < SHORTEST {
        total += once(bound, mode, None)?.1;
        runs += 1.0;
    }
    Some((run, total / runs))
}

impl Graph {
    fn run(&self, mode: Mode, tokens: u64, repeat: bool) -> (Run, f64) {
        let program = (self.build)(tokens);
        let call = Call::default();
        let bound = program.bind(&call).expect("the program balances");
        let timing = |repeat| if repeat { often(&bound, mode) } else { once(&bound, mode, None) };
        let done =
            if self.values { once(&bound, mode, Some(&mut operators(&program, tokens))) } else { timing(repeat) };
        let (run, took) = done.expect("the run ends in time");
        if let Some(beyond) = self.beyond {
            assert_eq!(run.cycles, tokens + beyond, "{} has elapsed cycles in closed form", self.name);
        }
        (run, took)
    }

    /// Prints the rates of both modes, and what share of its goal `fast` reaches.
    fn bench(&self) {
        let (mut fast, mut step, mut per_firing) = (Vec::new(), Vec::new(), 1.0);
        for _ in 0..ROUNDS {
            let (run, took) = self.run(EACH, self.tokens, true);
            fast.push(run.firings as f64 / took / 1e6);
            per_firing = transfers(&run) as f64 / run.firings as f64;
            let (run, took) = self.run(STEP, self.tokens / 8, true);
            step.push(run.firings as f64 / took / 1e6);
        }
        let (fast, step) = (median(fast), median(step));
        let (moved, ratio) = (fast * per_firing, fast / step);
        let (goal, share) = match self.goal {
            Goal::Firings(goal) => (format!("{goal:.0} M firings/s"), fast / goal),
            Goal::Transfers(goal) => (format!("{goal:.0} M transfers/s"), moved / goal),
        };
        let share = 100.0 * share;
        println!("{:<16} {fast:>9.1} {moved:>11.1} {step:>9.1} {ratio:>6.1}   {goal:<18} {share:>5.0} %", self.name);
    }
}

fn transfers(run: &Run) -> u64 {
    run.streams.iter().map(|stream| stream.tokens).sum()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Median CPU seconds of a program in each mode, run in turns, each so many times; `None` if one was given up.
fn compare(program: &Program, modes: &[(Mode, usize)]) -> Option<Vec<f64>> {
    let call = Call::default();
    let bound = program.bind(&call).expect("the program balances");
    let (mut took, mut cycles) = (vec![Vec::new(); modes.len()], Vec::new());
    for round in 0..ROUNDS {
        for (took, &(mode, rounds)) in took.iter_mut().zip(modes) {
            if round < rounds {
                let (run, seconds) = often(&bound, mode)?;
                took.push(seconds);
                cycles.push(run.cycles);
            }
        }
    }
    assert!(cycles.iter().all(|other| *other == cycles[0]), "both modes take the same cycles");
    Some(took.into_iter().map(median).collect())
}

fn skipping() {
    let row = |name: &str, modes: &[(Mode, usize)], program: Program, figure: fn(&[f64]) -> String, goal: &str| {
        let figure =
            compare(&program, modes).map_or_else(|| format!("> {} s", LONGEST.as_secs()), |took| figure(&took));
        println!("{name:<48} {figure:>10}   {goal}");
    };
    let milliseconds = |took: &[f64]| format!("{:.2} ms", took[0] * 1e3);
    let gain = |took: &[f64]| format!("{:.0} x", took[0] / took[1]);
    let cost = |took: &[f64]| format!("{:+.1} %", 100.0 * (took[1] / took[0] - 1.0));
    let steady = graphs::pipeline(64, 1_000_000_000_000 / 64, 32, 1);
    row("10^12 firings of a steady pipeline", &[(SKIP, ROUNDS)], steady, milliseconds, "< 10 ms");
    let long = graphs::long_period(250_000_000);
    row("10^9 firings with a period of 10^5, gain", &[(EACH, 1), (SKIP, ROUNDS)], long, gain, ">= 50 x");
    let both = [(EACH, ROUNDS), (SKIP, ROUNDS)];
    row("67 M firings of prime loops, cost of looking", &both, graphs::prime_loops(64, 1 << 20), cost, "< 5 %");
    row("25 M firings of a growing backlog, the same", &both, graphs::backlog(1 << 23, 1 << 22), cost, "< 5 %");
}

/// Runs one graph once and prints firings, transfers, cycles and CPU seconds.
fn print_once(name: &str, tokens: &str, mode: &str) -> Result<(), String> {
    let graph = GRAPHS.iter().find(|graph| graph.name == name).ok_or("no such graph; see the table")?;
    let tokens = tokens.parse().map_err(|_| "tokens must be a whole number")?;
    let mode = match mode {
        "step" => STEP,
        "fast" => EACH,
        "skip" => SKIP,
        _ => return Err("the mode is step, fast (every firing timed) or skip".into()),
    };
    let (run, took) = graph.run(mode, tokens, false);
    println!("{} {} {} {took:.6}", run.firings, transfers(&run), run.cycles);
    Ok(())
}

fn main() {
    // Cargo adds --bench to what the caller says.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let refused = match arguments[..] {
        _ if cfg!(debug_assertions) => Err("a debug build says nothing about speed; use cargo bench".into()),
        ["--once", name, tokens, mode] => print_once(name, tokens, mode),
        _ => {
            let part = arguments.first().copied().unwrap_or_default();
            println!("{:<16} {:>9} {:>11} {:>9} {:>6}", "million per second", "firings", "transfers", "step", "ratio");
            GRAPHS.iter().filter(|graph| graph.name.contains(part)).for_each(Graph::bench);
            if "skipping".contains(part) {
                println!();
                skipping();
            }
            Ok(())
        }
    };
    if let Err(why) = refused {
        eprintln!("benches/dataflow.rs: {why}");
        std::process::exit(2);
    }
}
