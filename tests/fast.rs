//! `fast` equals `step`: in every counter, on every random program, deadlocks included.

use proptest::prelude::*;
use rdu::dataflow::{
    Answer, Call, Memory, Mode, Nest, NoMemory, Pattern, Phase, Port, Program, Request, Run, RunError, Setup, Stream,
    Times, Unit, simulate,
};
use std::collections::VecDeque;

/// A program that balances by construction: in one iteration a unit fires once for each of its phases, and as many
/// tokens enter a stream as leave it, in random portions.
#[derive(Clone, Debug)]
struct Sketch {
    units: Vec<UnitSketch>,
    streams: Vec<StreamSketch>,
    iterations: [u64; 3],
}

#[derive(Clone, Debug)]
struct UnitSketch {
    /// (ii, latency) of each phase.
    phases: Vec<(u64, u64)>,
    /// Which of the three levels of the loop nest are loops of their own.
    nested: [bool; 2],
    /// Requests in flight, for a load or store unit, and which of the two it is.
    outstanding: Option<usize>,
    write: bool,
}

#[derive(Clone, Debug)]
struct StreamSketch {
    ends: (usize, usize),
    tokens: u32,
    cuts: (Vec<u32>, Vec<u32>),
    extra: u64,
    latency: u64,
    credit: u64,
    initial: u64,
}

fn sketch(units: usize, memory: bool, most: u64) -> impl Strategy<Value = Sketch> {
    (2..=units).prop_flat_map(move |count| {
        let outstanding = if memory { prop::option::weighted(0.4, 1usize..6).boxed() } else { Just(None).boxed() };
        // One constant latency and interval is as frequent as phases that differ.
        let phases = prop_oneof![
            (1u64..4, 0u64..6, 1usize..5).prop_map(|(ii, latency, count)| vec![(ii, latency); count]),
            prop::collection::vec((1u64..4, 0u64..9), 1..5),
        ];
        let unit = (phases, any::<[bool; 2]>(), outstanding, any::<bool>());
        let unit =
            unit.prop_map(|(phases, nested, outstanding, write)| UnitSketch { phases, nested, outstanding, write });
        let cuts = || prop::collection::vec(0u32..7, 4);
        let stream = (
            ((0..count, 0..count), 1u32..7, (cuts(), cuts())),
            (prop_oneof![0u64..6, 20u64..90], 1u64..5, 0u64..4, prop_oneof![Just(0u64), 0u64..9]),
        )
            .prop_map(|((ends, tokens, cuts), (extra, latency, credit, initial))| StreamSketch {
                ends,
                tokens,
                cuts,
                extra,
                latency,
                credit,
                initial,
            });
        let iterations = [1u64..4, 1u64..6, 1..most];
        (prop::collection::vec(unit, count), prop::collection::vec(stream, 0..count + 3), iterations)
            .prop_map(|(units, streams, iterations)| Sketch { units, streams, iterations })
    })
}

/// `tokens` in as many portions as there are phases.
fn portions(tokens: u32, cuts: &[u32], phases: usize) -> Vec<u32> {
    let mut marks: Vec<u32> = cuts[..phases - 1].iter().map(|&cut| cut.min(tokens)).collect();
    marks.sort_unstable();
    marks.push(tokens);
    marks.iter().scan(0, |from, &to| Some(to - std::mem::replace(from, to))).collect()
}

fn nest(sketch: &UnitSketch, [outer, middle, inner]: [u64; 3]) -> Vec<Nest> {
    let body = (0..sketch.phases.len()).map(|phase| Nest::Fire { phase, times: Times::Fixed(1) }).collect();
    let around = |body, times| vec![Nest::Loop { body, times: Times::Fixed(times) }];
    match sketch.nested {
        [false, false] => around(body, outer * middle * inner),
        [true, false] => around(around(body, middle * inner), outer),
        [false, true] => around(around(body, inner), outer * middle),
        [true, true] => around(around(around(body, inner), middle), outer),
    }
}

fn program(sketch: &Sketch) -> Program {
    let mut units: Vec<Unit> = sketch
        .units
        .iter()
        .enumerate()
        .map(|(at, unit)| {
            let pattern = Pattern { base: 64, argument: None, run: 3, stride: 512, bytes: 64, indexed: false };
            let port = |outstanding| Port { tier: 0, write: unit.write, outstanding, patterns: vec![pattern] };
            let phase = |&(ii, latency): &(u64, u64)| Phase {
                ii,
                latency,
                transfer: unit.outstanding.map(|_| 0),
                ..Phase::default()
            };
            Unit {
                name: format!("u{at}"),
                phases: unit.phases.iter().map(phase).collect(),
                nest: nest(unit, sketch.iterations),
                port: unit.outstanding.map(port),
                choice: None,
            }
        })
        .collect();
    let mut ports = vec![(0, 0); units.len()];
    let mut streams = Vec::new();
    for (at, stream) in sketch.streams.iter().enumerate() {
        let (from, to) = stream.ends;
        let (output, input) = (ports[from].0, ports[to].1);
        ports[from].0 += 1;
        ports[to].1 += 1;
        let mut most = stream.initial;
        for (rate, phase) in portions(stream.tokens, &stream.cuts.0, units[from].phases.len()).iter().zip(0..) {
            most = most.max((*rate).into());
            if *rate > 0 {
                units[from].phases[phase].produce.push((output, *rate));
            }
        }
        for (rate, phase) in portions(stream.tokens, &stream.cuts.1, units[to].phases.len()).iter().zip(0..) {
            most = most.max((*rate).into());
            if *rate > 0 {
                units[to].phases[phase].consume.push((input, *rate));
            }
        }
        streams.push(Stream {
            name: format!("s{at}"),
            from: (from, output),
            to: (to, input),
            capacity: most.max(1) + stream.extra,
            latency: stream.latency,
            credit: stream.credit,
            initial: stream.initial,
            lanes: 1,
        });
    }
    Program::new(units, streams).unwrap()
}

/// One server that takes the latest of those who wait, and a varied time for each: who comes later changes the answers
/// of all that still wait.
#[derive(Default)]
struct LastCome {
    waiting: Vec<Request>,
    now: u64,
    free: u64,
}

impl Memory for LastCome {
    fn lookahead(&self) -> u64 {
        5
    }

    fn ask(&mut self, request: &Request) {
        assert!(request.cycle >= self.now, "a request came too late");
        self.waiting.push(*request);
    }

    fn advance(&mut self, cycle: u64, answers: &mut Vec<Answer>) {
        while let Some(first) = self.waiting.iter().map(|request| request.cycle).min() {
            let start = first.max(self.free);
            if start >= cycle {
                break;
            }
            let last = self.waiting.iter().rposition(|request| request.cycle <= start).unwrap();
            let Request { unit, number, address, .. } = self.waiting.remove(last);
            self.free = start + 1 + address / 64 % 3;
            answers.push(Answer { unit, number, cycle: start + 5 + (7 * number + u64::from(unit)) % 11 });
        }
        self.now = cycle;
    }

    fn next_answer(&self) -> Option<u64> {
        let first = self.waiting.iter().map(|request| request.cycle).min()?;
        Some(first.max(self.free).max(self.now) + 5)
    }
}

/// One server for reads in turn, which look ahead as far as no write is to come; a write goes first.
#[derive(Default)]
struct InTurn {
    reads: VecDeque<Request>,
    writes: VecDeque<Request>,
    now: u64,
    free: u64,
    /// No write comes before.
    promised: u64,
    foreseen: u64,
}

impl InTurn {
    /// Serves who begins before `end`; only while a read waits, where more reads may come before then.
    fn serve(&mut self, end: u64, all: bool, answers: &mut Vec<Answer>) -> u64 {
        let mut served = 0;
        loop {
            let (read, write) =
                (self.reads.front().map(|read| read.cycle), self.writes.front().map(|write| write.cycle));
            let Some(start) = read.into_iter().chain(write).min().map(|first| first.max(self.free)) else { break };
            if start >= end || (read.is_none() && !all) {
                break;
            }
            let is_write = write.is_some_and(|write| write <= start);
            let queue = if is_write { &mut self.writes } else { &mut self.reads };
            let Request { unit, number, address, .. } = queue.pop_front().unwrap();
            self.free = start + if is_write { 9 } else { 1 + address / 64 % 3 };
            answers.push(Answer { unit, number, cycle: start + 5 + (7 * number + u64::from(unit)) % 11 });
            served += 1;
        }
        served
    }
}

impl Memory for InTurn {
    fn lookahead(&self) -> u64 {
        5
    }

    fn ask(&mut self, request: &Request) {
        assert!(request.cycle >= self.now, "a request came too late");
        assert!(!request.write || request.cycle >= self.promised, "a write came that was not foreseen");
        (if request.write { &mut self.writes } else { &mut self.reads }).push_back(*request);
    }

    fn advance(&mut self, cycle: u64, answers: &mut Vec<Answer>) {
        self.serve(cycle, true, answers);
        self.now = cycle;
    }

    fn next_answer(&self) -> Option<u64> {
        let first = self.reads.iter().chain(&self.writes).map(|request| request.cycle).min()?;
        Some(first.max(self.free).max(self.now) + 5)
    }

    fn foresee(&mut self, writes: u64, answers: &mut Vec<Answer>) {
        self.promised = self.promised.max(writes);
        self.foreseen += self.serve(writes, false, answers);
    }

    fn soonest(&self, request: &Request) -> u64 {
        request.cycle.max(if request.write { 0 } else { self.free }) + 5
    }
}

fn run(program: &Program, mode: Mode, memory: &mut dyn Memory) -> Result<Run, RunError> {
    let call = Call::default();
    simulate(&program.bind(&call).unwrap(), mode, Setup::timing(memory, &mut |_| true))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

    #[test]
    fn fast_is_step(sketch in sketch(7, false, 40)) {
        let program = program(&sketch);
        let step = run(&program, Mode::Step, &mut NoMemory);
        prop_assert_eq!(&run(&program, Mode::Fast { skip: false }, &mut NoMemory), &step);
        prop_assert_eq!(&run(&program, Mode::Fast { skip: true }, &mut NoMemory), &step);
    }

    #[test]
    fn fast_is_step_with_memory(sketch in sketch(6, true, 40)) {
        let program = program(&sketch);
        let step = run(&program, Mode::Step, &mut LastCome::default());
        prop_assert_eq!(&run(&program, Mode::Fast { skip: true }, &mut LastCome::default()), &step);
    }

    #[test]
    fn fast_is_step_with_a_memory_that_looks_ahead(sketch in sketch(6, true, 40)) {
        let program = program(&sketch);
        let step = run(&program, Mode::Step, &mut InTurn::default());
        prop_assert_eq!(&run(&program, Mode::Fast { skip: true }, &mut InTurn::default()), &step);
    }
}

/// Loads, and a store of what 64 of them give: memory answers nearly all before the engine has asked for what comes after.
#[test]
fn memory_looks_ahead_to_the_next_write() {
    let port = |write| {
        let pattern = Pattern { base: 0, argument: None, run: 1, stride: 64, bytes: 64, indexed: false };
        Some(Port { tier: 0, write, outstanding: 32, patterns: vec![pattern] })
    };
    let unit = |name: &str, times, consume, produce, port: Option<Port>| Unit {
        name: name.into(),
        phases: vec![Phase { consume, produce, ii: 1, latency: 3, transfer: port.as_ref().map(|_| 0) }],
        nest: vec![Nest::Fire { phase: 0, times: Times::Fixed(times) }],
        port,
        choice: None,
    };
    let units = vec![
        unit("load", 6400, vec![], vec![(0, 1)], port(false)),
        Unit {
            phases: vec![
                Phase { consume: vec![(0, 1)], ii: 1, latency: 3, ..Phase::default() },
                Phase { produce: vec![(0, 1)], ii: 1, latency: 3, ..Phase::default() },
            ],
            nest: vec![Nest::Loop {
                body: vec![
                    Nest::Fire { phase: 0, times: Times::Fixed(64) },
                    Nest::Fire { phase: 1, times: Times::Fixed(1) },
                ],
                times: Times::Fixed(100),
            }],
            ..unit("sum", 0, vec![], vec![], None)
        },
        unit("store", 100, vec![(0, 1)], vec![], port(true)),
    ];
    let stream = |name: &str, from, to| Stream {
        name: name.into(),
        from: (from, 0),
        to: (to, 0),
        capacity: 64,
        latency: 2,
        credit: 1,
        initial: 0,
        lanes: 1,
    };
    let program = Program::new(units, vec![stream("a", 0, 1), stream("b", 1, 2)]).unwrap();
    let step = run(&program, Mode::Step, &mut InTurn::default());
    let mut memory = InTurn::default();
    assert_eq!(run(&program, Mode::Fast { skip: true }, &mut memory), step);
    // The rest is what it answers anyway, within its look-ahead.
    assert!(memory.foreseen > 6400 / 2, "{} of 6400 reads were foreseen", memory.foreseen);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    /// Long enough for periods to be found, at every level of the nests.
    #[test]
    fn skipping_is_step(sketch in sketch(5, false, 4000)) {
        let program = program(&sketch);
        let step = run(&program, Mode::Step, &mut NoMemory);
        prop_assert_eq!(&run(&program, Mode::Fast { skip: true }, &mut NoMemory), &step);
    }
}
