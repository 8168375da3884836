//! The analysis of static programs against published figures and against the engine.

use rdu::dataflow::analysis::{AnalysisError, Part, Ratio, Wait, analyse, capacities};
use rdu::dataflow::{Call, Mode, Nest, NoMemory, Phase, Program, Setup, Stream, Times, Unit, simulate};

/// A unit with one input and one output at most, of one phase that takes `time` cycles.
struct Actor {
    time: u64,
    consume: u32,
    produce: u32,
}

fn actor(time: u64, consume: u32, produce: u32) -> Actor {
    Actor { time, consume, produce }
}

/// A chain of actors that hold their inputs and outputs for their whole execution time.
fn chain(actors: &[Actor], capacities: &[u64], iterations: &[u64]) -> Program {
    let unit = |(at, actor): (usize, &Actor)| Unit {
        name: format!("u{at}"),
        phases: vec![Phase {
            ii: actor.time,
            latency: actor.time - 1,
            consume: if actor.consume > 0 { vec![(0, actor.consume)] } else { vec![] },
            produce: if actor.produce > 0 { vec![(0, actor.produce)] } else { vec![] },
            transfer: None,
        }],
        nest: vec![Nest::Fire { phase: 0, times: Times::Fixed(iterations[at]) }],
        port: None,
        choice: None,
    };
    let stream = |(at, &capacity): (usize, &u64)| Stream {
        name: format!("s{at}"),
        from: (at, 0),
        to: (at + 1, 0),
        capacity,
        latency: 1,
        credit: 0,
        initial: 0,
        lanes: 1,
    };
    let streams = capacities.iter().enumerate().map(stream).collect();
    Program::new(actors.iter().enumerate().map(unit).collect(), streams).unwrap()
}

fn analysed(program: &Program) -> Vec<Part> {
    analyse(program, &Call::default(), &mut |_| true).unwrap()
}

fn cycles(program: &Program) -> u64 {
    let call = Call::default();
    let bound = program.bind(&call).unwrap();
    simulate(&bound, Mode::Step, Setup::timing(&mut NoMemory, &mut |_| true)).unwrap().cycles
}

/// The example of Stuijk, Geilen and Basten, "Exploring trade-offs in buffer requirements and throughput constraints for
/// synchronous dataflow graphs" (DAC 2006): a of 1 cycle sends 2, b of 2 takes 3 and sends 1, c of 2 takes 2.
fn example(alpha: u64, beta: u64, iterations: u64) -> Program {
    let actors = [actor(1, 0, 2), actor(2, 3, 1), actor(2, 2, 0)];
    chain(&actors, &[alpha, beta], &[3 * iterations, 2 * iterations, iterations])
}

#[test]
fn throughput_and_storage_of_the_example_are_the_published_ones() {
    // Sizes and throughputs of the paper's Pareto points: 6 → 1/7, 8 → 1/6, 9 → 1/5, 10 → 1/4.
    for (alpha, beta, period) in [(4, 2, 7), (6, 2, 6), (6, 3, 5), (7, 3, 4)] {
        let program = example(alpha, beta, 10);
        let part = &analysed(&program)[0];
        assert_eq!(part.repetitions, [3, 2, 1]);
        assert_eq!(part.period, Some(Ratio { cycles: period, iterations: 1 }), "{alpha} {beta}");
        // The engine gets there: so many cycles for each further iteration.
        let more = cycles(&example(alpha, beta, 110)) - cycles(&example(alpha, beta, 10));
        assert_eq!(u128::from(more), 100 * period);
    }
    let found = capacities(&example(99, 99, 1), &Call::default(), 1 << 20, &mut |_| true).unwrap();
    assert_eq!((found.live.iter().sum::<u64>(), found.live_exact), (6, true));
    assert_eq!((found.full.iter().sum::<u64>(), found.full_exact), (10, true));
    assert_eq!(found.periods, [Ratio { cycles: 4, iterations: 1 }]);
}

#[test]
fn the_critical_cycle_adds_up_to_the_period() {
    let program = example(4, 2, 10);
    let part = &analysed(&program)[0];
    let cycles: u128 = part.critical.iter().map(|step| step.cycles).sum();
    let iterations: u64 = part.critical.iter().map(|step| step.iterations).sum();
    assert_eq!(part.period, Some(Ratio { cycles: cycles / u128::from(iterations), iterations: 1 }));
    for (step, next) in part.critical.iter().zip(part.critical.iter().cycle().skip(1)) {
        assert_eq!(step.to, next.from);
        let (from, to) = (step.from.0, step.to.0);
        match step.wait {
            Wait::Busy => assert_eq!(from, to),
            Wait::Token(stream) => assert_eq!((stream, stream + 1), (from, to)),
            Wait::Slot(stream) => assert_eq!((stream + 1, stream), (from, to)),
        }
    }
    // Two slots of the second stream are too few: they must be among what is waited for.
    assert!(part.critical.iter().any(|step| matches!(step.wait, Wait::Slot(_))));
}

#[test]
fn parts_that_do_not_hang_together_have_periods_of_their_own() {
    let mut units = example(4, 2, 1).units().to_vec();
    units.push(Unit { name: "alone".into(), ..chain(&[actor(9, 0, 0)], &[], &[5]).units()[0].clone() });
    let program = Program::new(units, example(4, 2, 1).streams().to_vec()).unwrap();
    let parts = analysed(&program);
    assert_eq!(parts.iter().map(|part| part.units.clone()).collect::<Vec<_>>(), [vec![0, 1, 2], vec![3]]);
    assert_eq!(parts[1].period, Some(Ratio { cycles: 9, iterations: 1 }));
    assert_eq!(parts[1].critical.len(), 1);
}

#[test]
fn firings_that_wait_for_each_other_are_a_deadlock() {
    // Three slots take one firing of a, which leaves no room for the next: b needs 3 tokens and gets 2.
    let part = &analysed(&example(3, 2, 1))[0];
    assert_eq!(part.period, None);
    assert!(part.critical.iter().all(|step| step.iterations == 0));
    assert!(part.critical.iter().any(|step| step.wait == Wait::Slot(0)));
}

#[test]
fn what_cannot_be_analysed_says_why() {
    let call = Call::default();
    let mut units = example(4, 2, 1).units().to_vec();
    units[1].phases[0].produce.clear();
    units[1].phases[0].produce.push((0, 0));
    let program = Program::new(units, example(4, 2, 1).streams().to_vec()).unwrap();
    let error = analyse(&program, &call, &mut |_| true).unwrap_err();
    assert!(matches!(error, AnalysisError::Unbalanced { ref stream, .. } if stream == "s1"), "{error}");

    let actors = [actor(1, 0, 1), actor(1, 3_000_000, 0)];
    let program = chain(&actors, &[4_000_000], &[3_000_000, 1]);
    let error = analyse(&program, &call, &mut |_| true).unwrap_err();
    assert!(matches!(error, AnalysisError::TooLarge { firings: 3_000_001, .. }), "{error}");

    let program = chain(&[actor(1, 0, 0)], &[], &[0]);
    let error = analyse(&program, &call, &mut |_| true).unwrap_err();
    assert_eq!(error, AnalysisError::Silent { unit: "u0".into() });

    let mut units = example(9, 9, 1).units().to_vec();
    units.push(units[2].clone());
    let mut streams = example(9, 9, 1).streams().to_vec();
    units[0].phases[0].consume.push((0, 3));
    units[2].phases[0].produce.push((0, 9));
    units.pop();
    streams.push(Stream { name: "back".into(), from: (2, 0), to: (0, 0), ..streams[0].clone() });
    let program = Program::new(units, streams).unwrap();
    let error = capacities(&program, &call, 1 << 20, &mut |_| true).unwrap_err();
    assert!(matches!(error, AnalysisError::Starved { ref streams } if streams.contains(&"back".into())), "{error}");
}
