//! The firing rule against exact cycle counts that follow from it by hand.

use rdu::dataflow::{
    Call, Counters, Mode, Nest, NoMemory, Phase, Program, Run, RunError, Setup, Stream, Times, Unit, simulate,
};

fn unit(name: &str, firings: u64, inputs: usize, outputs: usize) -> Unit {
    timed(name, firings, inputs, outputs, 1, 0)
}

fn timed(name: &str, firings: u64, inputs: usize, outputs: usize, ii: u64, latency: u64) -> Unit {
    let phase = Phase {
        ii,
        latency,
        consume: (0..inputs).map(|input| (input, 1)).collect(),
        produce: (0..outputs).map(|output| (output, 1)).collect(),
        transfer: None,
    };
    let nest = vec![Nest::Fire { phase: 0, times: Times::Fixed(firings) }];
    Unit { name: name.into(), phases: vec![phase], nest, port: None, choice: None }
}

fn stream(from: (usize, usize), to: (usize, usize), capacity: u64) -> Stream {
    let name = format!("{from:?}>{to:?}");
    Stream { name, from, to, capacity, latency: 1, credit: 0, initial: 0, lanes: 1 }
}

fn run(units: Vec<Unit>, streams: Vec<Stream>) -> Result<Run, RunError> {
    let program = Program::new(units, streams).unwrap();
    let call = Call::default();
    let bound = program.bind(&call).unwrap();
    simulate(&bound, Mode::Step, Setup::timing(&mut NoMemory, &mut |_| true))
}

/// 2^k generators of n tokens, a binary tree of adders, one consumer.
fn adder_tree(k: u32, n: u64) -> Run {
    let (mut units, mut streams) = (Vec::new(), Vec::new());
    let mut row: Vec<usize> = (0..1usize << k).collect();
    units.extend(row.iter().map(|g| unit(&format!("g{g}"), n, 0, 1)));
    while row.len() > 1 {
        row = row
            .chunks(2)
            .map(|pair| {
                let at = units.len();
                units.push(unit(&format!("a{at}"), n, 2, 1));
                streams.extend(pair.iter().enumerate().map(|(input, &from)| stream((from, 0), (at, input), 32)));
                at
            })
            .collect();
    }
    let at = units.len();
    units.push(unit("consumer", n, 1, 0));
    streams.push(stream((row[0], 0), (at, 0), 32));
    run(units, streams).unwrap()
}

#[test]
fn an_adder_tree_takes_n_plus_k_plus_1_cycles() {
    assert_eq!(adder_tree(10, 4096).cycles, 4107);
    assert_eq!(adder_tree(6, 65_536).cycles, 65_543);
}

#[test]
fn a_chain_takes_n_plus_k_cycles_and_capacity_1_halves_its_rate() {
    let chain = |n, k: usize, capacity| {
        let units = (0..=k).map(|at| unit(&format!("u{at}"), n, usize::from(at > 0), usize::from(at < k))).collect();
        run(units, (0..k).map(|at| stream((at, 0), (at + 1, 0), capacity)).collect()).unwrap().cycles
    };
    assert_eq!(chain(1000, 7, 32), 1007);
    // With one slot, a token must be visible (1), consumed (1) and its slot freed before the next: two cycles each.
    assert_eq!(chain(1000, 1, 1), 2000);
}

#[test]
fn every_wait_has_one_cause() {
    // A source of ii 1 feeds a slow unit of ii 3 through two slots.
    let units = vec![timed("fast", 100, 0, 1, 1, 2), timed("slow", 100, 1, 0, 3, 6)];
    let run = run(units, vec![stream((0, 0), (1, 0), 2)]).unwrap();
    // The first token is visible at 2 + 1; the last firing starts 99 * 3 later and ends max(3, 6) after that.
    assert_eq!(run.cycles, 3 + 99 * 3 + 6);
    assert_eq!(run.units[1].counters, Counters { busy: 300, data: 3, space: 0, memory: 0, idle: 3 });
    let fast = run.units[0].counters;
    assert_eq!((fast.busy, fast.data, fast.memory), (100, 0, 0));
    assert_eq!(fast.total(), run.cycles);
    assert_eq!(run.streams[0].high_water, 2);
    assert_eq!(run.streams[0].tokens, 100);
}

#[test]
fn high_water_is_what_time_says_not_the_order_of_evaluation() {
    // The consumer keeps up: a token is visible after 1 cycle and freed one later, so two slots are in use at most.
    let units = vec![unit("a", 1000, 0, 1), unit("b", 1000, 1, 0)];
    let run = run(units, vec![stream((0, 0), (1, 0), 512)]).unwrap();
    assert_eq!(run.streams[0].high_water, 2);
}

#[test]
fn a_deadlock_names_its_cycle() {
    let units = vec![unit("a", 5, 1, 1), unit("b", 5, 1, 1), unit("bystander", 5, 0, 0)];
    let error = run(units, vec![stream((0, 0), (1, 0), 4), stream((1, 0), (0, 0), 4)]).unwrap_err();
    let RunError::Deadlock { cycle_of_waiting, .. } = error else { panic!("{error}") };
    let names: Vec<_> = cycle_of_waiting.iter().map(|w| w.unit.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(cycle_of_waiting.iter().all(|w| w.data && w.firings == 0));
}

#[test]
fn an_interrupt_stops_the_run() {
    let program = Program::new(vec![unit("long", 1 << 40, 0, 0)], vec![]).unwrap();
    let call = Call::default();
    let bound = program.bind(&call).unwrap();
    let mut polls = 0;
    let stopped = simulate(
        &bound,
        Mode::Step,
        Setup::timing(&mut NoMemory, &mut |_| {
            polls += 1;
            polls < 3
        }),
    );
    assert_eq!(stopped, Err(RunError::Interrupted));
}
