//! Deadlocks of programs with open and data-dependent units, and remedies in nests; both engines say the same.

use rdu::dataflow::{
    Call, Choice, Decisions, Mode, Nest, NoMemory, Phase, Program, Remedy, RunError, Setup, Stream, Times, Unit,
    simulate,
};

fn phase(consume: &[(usize, u32)], produce: &[(usize, u32)]) -> Phase {
    Phase { ii: 1, latency: 0, consume: consume.to_vec(), produce: produce.to_vec(), transfer: None }
}

fn unit(name: &str, times: Times, phases: Vec<Phase>) -> Unit {
    let nest = vec![Nest::Fire { phase: 0, times }];
    Unit { name: name.into(), phases, nest, port: None, choice: None }
}

fn stream(name: &str, from: (usize, usize), to: (usize, usize), capacity: u64) -> Stream {
    Stream { name: name.into(), from, to, capacity, latency: 1, credit: 0, initial: 0, lanes: 1 }
}

/// What both engines say of a program that must deadlock: the text and the remedy.
fn deadlock(program: &Program, tapes: &[Vec<u32>]) -> (String, Option<Remedy>) {
    let call = Call::default();
    let bound = program.bind(&call).unwrap();
    let run = |mode| {
        let (mut memory, mut watch) = (NoMemory, |_| true);
        let setup = Setup { decisions: Decisions::Replay(tapes), ..Setup::timing(&mut memory, &mut watch) };
        simulate(&bound, mode, setup).unwrap_err()
    };
    let error = run(Mode::Step);
    assert_eq!(error, run(Mode::Fast { skip: true }));
    let text = error.to_string();
    let RunError::Deadlock { remedy, .. } = error else { panic!("{text}") };
    (text, remedy)
}

#[test]
fn a_chain_that_ends_at_a_finished_unit_says_so() {
    let units = vec![
        unit("few", Times::Fixed(3), vec![phase(&[], &[(0, 1)])]),
        unit("pass", Times::Open, vec![phase(&[(0, 1)], &[(0, 1)])]),
        unit("many", Times::Fixed(5), vec![phase(&[(0, 1)], &[])]),
    ];
    let streams = vec![stream("in", (0, 0), (1, 0), 4), stream("out", (1, 0), (2, 0), 4)];
    let (text, remedy) = deadlock(&Program::new(units, streams).unwrap(), &[]);
    assert!(text.contains("many (after 3 firings) waits for a token on out from pass;"), "{text}");
    assert!(text.contains("pass (after 3 firings) waits for a token on in from few, which has finished;"), "{text}");
    assert_eq!(remedy, Some(Remedy::Tokens(vec!["out".into(), "in".into()])));
}

#[test]
fn an_open_unit_that_starves_does_not_hide_the_deadlock() {
    // The open unit comes first and waits for ever, as it may; the two behind it block each other.
    let units = vec![
        unit("open", Times::Open, vec![phase(&[(0, 2)], &[])]),
        unit("odd", Times::Fixed(3), vec![phase(&[], &[(0, 1)])]),
        unit("a", Times::Fixed(1), vec![phase(&[(0, 1)], &[(0, 1)])]),
        unit("b", Times::Fixed(1), vec![phase(&[(0, 1)], &[(0, 1)])]),
    ];
    let streams = vec![
        stream("odd->open", (1, 0), (0, 0), 9),
        stream("a->b", (2, 0), (3, 0), 1),
        stream("b->a", (3, 0), (2, 0), 1),
    ];
    let (text, remedy) = deadlock(&Program::new(units, streams).unwrap(), &[]);
    assert!(
        text.starts_with("deadlock after 3 cycles: a (after 0 firings) waits for a token on b->a from b"),
        "{text}"
    );
    assert_eq!(remedy, Some(Remedy::Tokens(vec!["b->a".into(), "a->b".into()])));
}

#[test]
fn a_stream_to_an_open_unit_that_starves_can_grow() {
    // The open unit takes two of "x" with one of "y", and "y" ends early: the rest of "x" must find room.
    let program = |capacity| {
        let units = vec![
            unit("x", Times::Fixed(9), vec![phase(&[], &[(0, 1)])]),
            unit("y", Times::Fixed(2), vec![phase(&[], &[(0, 1)])]),
            unit("open", Times::Open, vec![phase(&[(0, 2), (1, 1)], &[])]),
        ];
        let streams = vec![stream("x->open", (0, 0), (2, 0), capacity), stream("y->open", (1, 0), (2, 1), 2)];
        Program::new(units, streams).unwrap()
    };
    let (text, remedy) = deadlock(&program(2), &[]);
    assert!(text.contains("x (after 6 firings) waits for a free slot on x->open from open; open (after 2"), "{text}");
    assert_eq!(remedy, Some(Remedy::Capacities(vec![("x->open".into(), 5)])));
    let call = Call::default();
    let freed = program(5);
    let bound = freed.bind(&call).unwrap();
    simulate(&bound, Mode::Step, Setup::timing(&mut NoMemory, &mut |_| true)).unwrap();
}

#[test]
fn a_starved_select_is_named_with_what_it_starves_for() {
    // Three choices of input 0, where only two tokens come.
    let program = |tokens| {
        let mut select =
            unit("select", Times::Fixed(5), vec![phase(&[(0, 1), (1, 1)], &[]), phase(&[(0, 1), (2, 1)], &[])]);
        select.choice = Some(Choice::Control(0));
        let units = vec![
            unit("control", Times::Fixed(5), vec![phase(&[], &[(0, 1)])]),
            unit("left", Times::Fixed(tokens), vec![phase(&[], &[(0, 1)])]),
            unit("right", Times::Fixed(2), vec![phase(&[], &[(0, 1)])]),
            select,
        ];
        let streams = (0..3).map(|at| stream(["control->", "left->", "right->"][at], (at, 0), (3, at), 2)).collect();
        Program::new(units, streams).unwrap()
    };
    let tapes = [vec![], vec![], vec![], vec![0, 1, 0, 0, 1]];
    let (text, remedy) = deadlock(&program(2), &tapes);
    let named = "select (after 3 firings) waits for a token on left-> from left, which has finished";
    assert!(text.ends_with(&format!("{named}; no capacity frees it: it needs initial tokens on 'left->'")), "{text}");
    assert_eq!(remedy, Some(Remedy::Tokens(vec!["left->".into()])));

    let call = Call::default();
    let freed = program(3);
    let bound = freed.bind(&call).unwrap();
    let (mut memory, mut watch) = (NoMemory, |_| true);
    let setup = Setup { decisions: Decisions::Replay(&tapes), ..Setup::timing(&mut memory, &mut watch) };
    assert_eq!(simulate(&bound, Mode::Step, setup).unwrap().units[3].firings, 5);
}

#[test]
fn the_search_goes_on_in_the_middle_of_a_nest() {
    let fire = |phase, times| Nest::Fire { phase, times: Times::Fixed(times) };
    let looped = |times, body| Nest::Loop { body, times: Times::Fixed(times) };
    // Twice: a thousand rounds of three to the left and one to the right, and then nine to the right, which the other
    // takes behind three more from the left.
    let program = |capacity| {
        let sends = vec![phase(&[], &[(0, 1)]), phase(&[], &[(1, 1)])];
        let takes = vec![phase(&[(0, 1)], &[]), phase(&[(1, 1)], &[])];
        let mut a = unit("a", Times::Fixed(1), sends);
        let mut b = unit("b", Times::Fixed(1), takes);
        let round = looped(1000, vec![fire(0, 3), fire(1, 1)]);
        a.nest = vec![looped(2, vec![round.clone(), fire(1, 9), fire(0, 3)])];
        b.nest = vec![looped(2, vec![round, fire(0, 3), fire(1, 9)])];
        Program::new(vec![a, b], vec![stream("l", (0, 0), (1, 0), 3), stream("r", (0, 1), (1, 1), capacity)]).unwrap()
    };
    let (text, remedy) = deadlock(&program(2), &[]);
    assert!(text.contains("a (after 4002 firings) waits for a free slot on r from b"), "{text}");
    assert_eq!(remedy, Some(Remedy::Capacities(vec![("r".into(), 9)])));
    let (_, remedy) = deadlock(&program(8), &[]);
    assert_eq!(remedy, Some(Remedy::Capacities(vec![("r".into(), 9)])));
}

#[test]
fn where_the_choices_are_known_capacities_are_found_too() {
    // A switch sends three to the left and one to the right, where a join wants the right one first.
    let program = |capacity| {
        let mut switch = unit(
            "switch",
            Times::Fixed(8),
            vec![phase(&[(0, 1), (1, 1)], &[(0, 1)]), phase(&[(0, 1), (1, 1)], &[(1, 1)])],
        );
        switch.choice = Some(Choice::Control(0));
        let units = vec![
            unit("control", Times::Fixed(8), vec![phase(&[], &[(0, 1)])]),
            unit("data", Times::Fixed(8), vec![phase(&[], &[(0, 1)])]),
            switch,
            unit("join", Times::Fixed(2), vec![phase(&[(1, 1), (0, 3)], &[])]),
        ];
        let streams = vec![
            stream("control", (0, 0), (2, 0), 2),
            stream("data", (1, 0), (2, 1), 2),
            stream("left", (2, 0), (3, 0), capacity),
            stream("right", (2, 1), (3, 1), 1),
        ];
        Program::new(units, streams).unwrap()
    };
    let tapes = [vec![], vec![], vec![0, 0, 0, 1, 0, 0, 0, 1], vec![]];
    let late = [vec![], vec![], vec![0, 0, 0, 0, 0, 0, 1, 1], vec![]];
    let (_, remedy) = deadlock(&program(3), &late);
    assert_eq!(remedy, Some(Remedy::Capacities(vec![("left".into(), 6)])));
    let call = Call::default();
    for (capacity, tapes) in [(3, &tapes), (6, &late)] {
        let freed = program(capacity);
        let bound = freed.bind(&call).unwrap();
        let (mut memory, mut watch) = (NoMemory, |_| true);
        let setup = Setup { decisions: Decisions::Replay(tapes), ..Setup::timing(&mut memory, &mut watch) };
        assert_eq!(simulate(&bound, Mode::Step, setup).unwrap().firings, 8 + 8 + 8 + 2);
    }
}
