//! What holds for every program: conservation, closed counters, and results that do not depend on numbering.
//! Then the memory path, with a memory of one known latency in place of a device.

use proptest::prelude::*;
use rdu::dataflow::{
    Answer, Call, Memory, Mode, Nest, NoMemory, Pattern, Phase, Port, Program, Request, Run, RunError, Setup, Stream,
    Times, Unit, simulate,
};

/// A random program in numbers; rates are chosen so that every stream balances.
#[derive(Clone, Debug)]
struct Sketch {
    iterations: u64,
    /// Per unit: firings in one iteration, and (ii, latency) of its phases, used in turn.
    units: Vec<(u64, Vec<(u64, u64)>)>,
    /// From, to, tokens scale, slots beyond the least, latency, credit, initial tokens.
    streams: Vec<(usize, usize, u64, u64, u64, u64, u64)>,
}

fn sketch() -> impl Strategy<Value = Sketch> {
    (2usize..7).prop_flat_map(|count| {
        let unit = (1u64..4, prop::collection::vec((1u64..4, 0u64..5), 1..4));
        let stream = (0..count, 0..count, 1u64..3, 0u64..6, 1u64..4, 0u64..3, 0u64..7);
        (1u64..12, prop::collection::vec(unit, count), prop::collection::vec(stream, 0..10))
            .prop_map(|(iterations, units, streams)| Sketch { iterations, units, streams })
    })
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Tokens that one firing of the producer and one of the consumer moves.
fn rates(sketch: &Sketch, from: usize, to: usize, scale: u64) -> (u64, u64) {
    let (producer, consumer) = (sketch.units[from].0, sketch.units[to].0);
    let common = gcd(producer, consumer);
    (consumer / common * scale, producer / common * scale)
}

/// The program, with unit `u` of the sketch numbered `number[u]`.
fn program(sketch: &Sketch, number: &[usize]) -> Program {
    let mut ends: Vec<(Vec<u64>, Vec<u64>)> = vec![Default::default(); sketch.units.len()];
    let mut streams = Vec::new();
    for (at, &(from, to, scale, extra, latency, credit, initial)) in sketch.streams.iter().enumerate() {
        // A forward edge needs no initial tokens; without these a ring of units is a deadlock, which is wanted too.
        let (produce, consume) = rates(sketch, from, to, scale);
        let capacity = produce.max(consume).max(initial) + extra;
        let ports = (ends[from].1.len(), ends[to].0.len());
        ends[from].1.push(produce);
        ends[to].0.push(consume);
        let (from, to) = ((number[from], ports.0), (number[to], ports.1));
        streams.push(Stream { name: format!("s{at}"), from, to, capacity, latency, credit, initial, lanes: 1 });
    }
    let listed = |rates: &[u64]| rates.iter().map(|&rate| rate as u32).enumerate().collect::<Vec<_>>();
    let mut units: Vec<_> = (0..sketch.units.len()).map(|_| None).collect();
    for (at, (repeat, phases)) in sketch.units.iter().enumerate() {
        let phase = |&(ii, latency): &(u64, u64)| Phase {
            ii,
            latency,
            consume: listed(&ends[at].0),
            produce: listed(&ends[at].1),
            transfer: None,
        };
        let fire = |phase| Nest::Fire { phase, times: Times::Fixed(1) };
        let (firings, length) = (repeat * sketch.iterations, phases.len() as u64);
        let mut nest =
            vec![Nest::Loop { body: (0..phases.len()).map(fire).collect(), times: Times::Fixed(firings / length) }];
        nest.extend((0..(firings % length) as usize).map(fire));
        let phases = phases.iter().map(phase).collect();
        units[number[at]] = Some(Unit { name: format!("u{at}"), phases, nest, port: None, choice: None });
    }
    Program::new(units.into_iter().flatten().collect(), streams).unwrap()
}

fn run(program: &Program) -> Result<Run, RunError> {
    let call = Call::default();
    simulate(&program.bind(&call).unwrap(), Mode::Step, Setup::timing(&mut NoMemory, &mut |_| true))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn tokens_are_conserved_and_counters_close(sketch in sketch()) {
        let number: Vec<usize> = (0..sketch.units.len()).collect();
        let program = program(&sketch, &number);
        let Ok(run) = run(&program) else { return Ok(()) };
        for (unit, (repeat, _)) in run.units.iter().zip(&sketch.units) {
            prop_assert_eq!(unit.counters.total(), run.cycles);
            prop_assert_eq!(unit.firings, repeat * sketch.iterations);
            prop_assert!(unit.end_cycle <= run.cycles);
        }
        prop_assert_eq!(run.units.iter().map(|unit| unit.end_cycle).max(), Some(run.cycles));
        for ((totals, stream), &(from, to, scale, ..)) in run.streams.iter().zip(program.streams()).zip(&sketch.streams) {
            let (produce, consume) = rates(&sketch, from, to, scale);
            prop_assert_eq!(totals.tokens, run.units[from].firings * produce);
            prop_assert_eq!(totals.tokens, run.units[to].firings * consume);
            prop_assert!(totals.high_water <= stream.capacity);
            prop_assert!(totals.high_water >= produce.max(stream.initial));
        }
    }

    #[test]
    fn the_order_of_units_does_not_matter(
        (sketch, number) in sketch().prop_flat_map(|sketch| {
            let number = Just((0..sketch.units.len()).collect::<Vec<_>>()).prop_shuffle();
            (Just(sketch), number)
        })
    ) {
        let plain: Vec<usize> = (0..sketch.units.len()).collect();
        match (run(&program(&sketch, &plain)), run(&program(&sketch, &number))) {
            (Ok(one), Ok(other)) => {
                let back: Vec<_> = number.iter().map(|&at| other.units[at]).collect();
                prop_assert_eq!(&one, &Run { units: back, ..other });
            }
            (Err(RunError::Deadlock { cycle: one, .. }), Err(RunError::Deadlock { cycle: other, .. })) => {
                prop_assert_eq!(one, other);
            }
            (one, other) => prop_assert!(false, "{one:?} but {other:?}"),
        }
    }
}

#[test]
fn cycles_beyond_64_bits_are_refused_without_overflow() {
    let phase = Phase { ii: u64::MAX, latency: u64::MAX, ..Phase::default() };
    let nest = vec![Nest::Fire { phase: 0, times: Times::Fixed(u64::MAX) }];
    let units = ["a", "b"].map(|name| Unit {
        name: name.into(),
        phases: vec![phase.clone()],
        nest: nest.clone(),
        port: None,
        choice: None,
    });
    let program = Program::new(units.into(), vec![]).unwrap();
    assert!(program.bind(&Call::default()).is_err());
}

// --- memory ----------------------------------------------------------------------------------------------------------

/// Answers request n after `latencies[n % len]` cycles, one at a time with `gap` cycles between two answers.
struct Fake {
    latencies: Vec<u64>,
    gap: u64,
    free: u64,
    log: Vec<Request>,
    answers: Vec<Answer>,
}

impl Fake {
    fn new(latencies: &[u64], gap: u64) -> Self {
        Fake { latencies: latencies.to_vec(), gap, free: 0, log: Vec::new(), answers: Vec::new() }
    }
}

impl Memory for Fake {
    fn lookahead(&self) -> u64 {
        self.latencies.iter().copied().min().unwrap_or(1)
    }

    fn ask(&mut self, request: &Request) {
        let start = request.cycle.max(self.free);
        self.free = start + self.gap;
        let cycle = start + self.latencies[self.log.len() % self.latencies.len()];
        self.log.push(*request);
        self.answers.push(Answer { unit: request.unit, number: request.number, cycle });
    }

    fn advance(&mut self, _: u64, answers: &mut Vec<Answer>) {
        answers.append(&mut self.answers);
    }

    fn next_answer(&self) -> Option<u64> {
        self.answers.iter().map(|answer| answer.cycle).min()
    }
}

fn port(outstanding: usize, write: bool) -> Option<Port> {
    let pattern = Pattern { base: 4096, argument: None, run: 2, stride: 1024, bytes: 64, indexed: false };
    Some(Port { tier: 3, write, outstanding, patterns: vec![pattern] })
}

/// A unit that loads (or, with `write`, stores) one token per firing; `cycles` are ii and latency of its phases in turn.
fn transfer(
    name: &str,
    firings: u64,
    cycles: &[(u64, u64)],
    outstanding: usize,
    inputs: usize,
    outputs: usize,
) -> Unit {
    let phase = |&(ii, latency): &(u64, u64)| Phase {
        ii,
        latency,
        consume: (0..inputs).map(|input| (input, 1)).collect(),
        produce: (0..outputs).map(|output| (output, 1)).collect(),
        transfer: Some(0),
    };
    let body = (0..cycles.len()).map(|phase| Nest::Fire { phase, times: Times::Fixed(1) }).collect();
    let nest = vec![Nest::Loop { body, times: Times::Fixed(firings / cycles.len() as u64) }];
    let phases = cycles.iter().map(phase).collect();
    Unit { name: name.into(), phases, nest, port: port(outstanding, outputs == 0), choice: None }
}

fn consumer(name: &str, firings: u64) -> Unit {
    let phase = Phase { ii: 1, latency: 0, consume: vec![(0, 1)], ..Phase::default() };
    Unit {
        name: name.into(),
        phases: vec![phase],
        nest: vec![Nest::Fire { phase: 0, times: Times::Fixed(firings) }],
        port: None,
        choice: None,
    }
}

fn stream(from: usize, to: usize) -> Stream {
    let name = format!("{from}>{to}");
    Stream { name, from: (from, 0), to: (to, 0), capacity: 64, latency: 1, credit: 0, initial: 0, lanes: 1 }
}

fn run_with(memory: &mut Fake, units: Vec<Unit>, streams: Vec<Stream>) -> Run {
    let program = Program::new(units, streams).unwrap();
    let call = Call::default();
    let run = simulate(&program.bind(&call).unwrap(), Mode::Step, Setup::timing(memory, &mut |_| true)).unwrap();
    assert!(memory.log.is_sorted_by_key(|request| request.cycle), "requests are not in the order of time");
    assert!(run.units.iter().all(|unit| unit.counters.total() == run.cycles));
    run
}

#[test]
fn one_load_in_flight_takes_the_latency_each_time_and_the_wait_is_for_memory() {
    let mut memory = Fake::new(&[10], 0);
    let units = vec![transfer("load", 5, &[(1, 0)], 1, 0, 1), consumer("use", 5)];
    let run = run_with(&mut memory, units, vec![stream(0, 1)]);
    assert_eq!(memory.log.iter().map(|r| r.cycle).collect::<Vec<_>>(), [0, 10, 20, 30, 40]);
    // The last bytes are there at 50, visible at 51, and consumed by 52.
    assert_eq!((run.cycles, run.units[0].end_cycle), (52, 50));
    let (load, user) = (run.units[0].counters, run.units[1].counters);
    assert_eq!((load.busy, load.data, load.space, load.memory, load.idle), (5, 0, 0, 36, 11));
    assert_eq!((user.busy, user.data, user.space, user.memory, user.idle), (5, 0, 0, 47, 0));
}

#[test]
fn requests_in_flight_never_pass_the_limit_and_reach_it() {
    for outstanding in 1..12u64 {
        let mut memory = Fake::new(&[8], 0);
        let units = vec![transfer("load", 24, &[(1, 0)], outstanding as usize, 0, 1), consumer("use", 24)];
        run_with(&mut memory, units, vec![stream(0, 1)]);
        let expected: Vec<u64> = match outstanding {
            0..8 => (0..24).map(|n| n / outstanding * 8 + n % outstanding).collect(),
            _ => (0..24).collect(),
        };
        assert_eq!(memory.log.iter().map(|r| r.cycle).collect::<Vec<_>>(), expected, "{outstanding} in flight");
    }
}

#[test]
fn addresses_follow_the_pattern() {
    let mut memory = Fake::new(&[8], 0);
    run_with(&mut memory, vec![transfer("load", 4, &[(1, 0)], 4, 0, 1), consumer("use", 4)], vec![stream(0, 1)]);
    assert_eq!(memory.log.iter().map(|r| r.address).collect::<Vec<_>>(), [4096, 4160, 5120, 5184]);
    assert!(memory.log.iter().all(|r| (r.unit, r.tier, r.write, r.bytes) == (0, 3, false, 64)));
}

#[test]
fn answers_are_handed_on_in_order_of_issue() {
    let cycles = |latencies: &[u64]| {
        let units = vec![transfer("load", 2, &[(1, 0)], 2, 0, 1), consumer("use", 2)];
        let run = run_with(&mut Fake::new(latencies, 0), units, vec![stream(0, 1)]);
        (run.units[1].first_cycle, run.cycles)
    };
    // The second answer is there at 6 but waits for the first, at 50: tokens visible at 51, taken at 51 and 52.
    assert_eq!(cycles(&[50, 5]), (51, 53));
    // The first is taken at 6; the second, asked for at 1, is visible at 52.
    assert_eq!(cycles(&[5, 50]), (6, 53));
}

#[test]
fn requests_leave_in_order_of_issue() {
    // Address generation takes 9 cycles, then 0: the second request may not overtake the first.
    let mut memory = Fake::new(&[5], 0);
    let units = vec![transfer("load", 2, &[(1, 9), (1, 0)], 2, 0, 1), consumer("use", 2)];
    run_with(&mut memory, units, vec![stream(0, 1)]);
    assert_eq!(memory.log.iter().map(|r| (r.cycle, r.address)).collect::<Vec<_>>(), [(9, 4096), (9, 4160)]);
}

#[test]
fn a_store_ends_when_its_bytes_are_written() {
    let mut memory = Fake::new(&[10], 0);
    let units = vec![transfer("load", 3, &[(1, 0)], 4, 0, 1), transfer("store", 3, &[(2, 1)], 4, 1, 0)];
    let run = run_with(&mut memory, units, vec![stream(0, 1)]);
    // Loads ask at 0, 1, 2; tokens are visible at 11, 12, 13; the store fires at 11, 13, 15 and asks one cycle later.
    let asked: Vec<_> = memory.log.iter().map(|r| (r.cycle, r.write)).collect();
    assert_eq!(asked, [(0, false), (1, false), (2, false), (12, true), (14, true), (16, true)]);
    assert_eq!(run.cycles, 26);
    let store = run.units[1].counters;
    assert_eq!((store.busy, store.memory, store.idle), (6, 11, 9));
}

/// Two load units that share a slow memory, and a third whose requests wait for the first one's tokens.
fn contended(order: [usize; 5]) -> (Run, Vec<(u64, String)>) {
    let units = [
        transfer("even", 40, &[(6, 0)], 3, 0, 1),
        transfer("odd", 40, &[(6, 3)], 3, 0, 1),
        transfer("chained", 40, &[(2, 2)], 2, 1, 1),
        consumer("use odd", 40),
        consumer("use chained", 40),
    ];
    let number = |at: usize| order.iter().position(|&old| old == at).unwrap();
    let streams = [(0, 2), (1, 3), (2, 4)].map(|(from, to)| stream(number(from), number(to)));
    let mut memory = Fake::new(&[7], 2);
    let numbered: Vec<Unit> = order.iter().map(|&old| units[old].clone()).collect();
    let run = run_with(&mut memory, numbered, streams.into());
    let log = memory.log.iter().map(|r| (r.cycle, units[order[r.unit as usize]].name.clone())).collect();
    (Run { units: (0..5).map(|at| run.units[number(at)]).collect(), ..run }, log)
}

#[test]
fn memory_is_arbitrated_in_order_of_time_whatever_the_numbering() {
    let (run, log) = contended([0, 1, 2, 3, 4]);
    // No two requests of this program come in one cycle, so the numbering decides nothing.
    assert!(log.windows(2).all(|pair| pair[0].0 < pair[1].0), "{log:?}");
    for order in [[4, 3, 2, 1, 0], [2, 0, 1, 4, 3], [1, 2, 0, 3, 4]] {
        assert_eq!(contended(order), (run.clone(), log.clone()));
    }
}

#[test]
fn a_tie_goes_to_the_unit_with_the_lower_number() {
    let units = vec![
        transfer("a", 1, &[(1, 0)], 1, 0, 1),
        transfer("b", 1, &[(1, 0)], 1, 0, 1),
        consumer("use a", 1),
        consumer("use b", 1),
    ];
    let mut memory = Fake::new(&[7], 2);
    let run = run_with(&mut memory, units, vec![stream(0, 2), stream(1, 3)]);
    assert_eq!((run.units[0].end_cycle, run.units[1].end_cycle), (7, 9));
}
