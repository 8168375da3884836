//! The graphs of the benchmark. Every unit has latency 0, every stream latency 1 and credit 0; plain units have ii 1.

use rdu::dataflow::{Nest, Phase, Program, Stream, Times, Unit};

#[derive(Default)]
struct Graph {
    units: Vec<Unit>,
    streams: Vec<Stream>,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
}

impl Graph {
    /// A unit that walks through `phases` of (firings, ii) again and again until it has fired `firings` times.
    fn unit(&mut self, phases: &[(u64, u64)], firings: u64) -> usize {
        let fire = |(phase, times): (usize, u64)| Nest::Fire { phase, times: Times::Fixed(times) };
        let round: u64 = phases.iter().map(|phase| phase.0).sum();
        let body: Vec<Nest> = phases.iter().map(|phase| phase.0).enumerate().map(fire).collect();
        let mut nest = vec![Nest::Loop { body, times: Times::Fixed(firings / round) }];
        let mut left = firings % round;
        for (at, phase) in phases.iter().enumerate() {
            nest.push(fire((at, phase.0.min(left))));
            left -= phase.0.min(left);
        }
        if let [_] = phases {
            nest = vec![fire((0, firings))];
        }
        let phases = phases.iter().map(|&(_, ii)| Phase { ii, ..Phase::default() }).collect();
        self.units.push(Unit { name: format!("u{}", self.units.len()), phases, nest, port: None, choice: None });
        self.inputs.push(0);
        self.outputs.push(0);
        self.units.len() - 1
    }

    fn plain(&mut self, firings: u64) -> usize {
        self.unit(&[(1, 1)], firings)
    }

    /// A stream with a rate at each end for each phase of that unit, taken in turn.
    fn join(&mut self, (from, produce): (usize, &[u32]), (to, consume): (usize, &[u32]), capacity: u64) {
        let ends = [(from, self.outputs[from]), (to, self.inputs[to])];
        let rates = |rates: &[u32], at: usize| Some(rates[at % rates.len()]).filter(|&rate| rate > 0);
        for (at, phase) in self.units[from].phases.iter_mut().enumerate() {
            phase.produce.extend(rates(produce, at).map(|rate| (ends[0].1, rate)));
        }
        for (at, phase) in self.units[to].phases.iter_mut().enumerate() {
            phase.consume.extend(rates(consume, at).map(|rate| (ends[1].1, rate)));
        }
        self.outputs[from] += 1;
        self.inputs[to] += 1;
        let name = format!("s{}", self.streams.len());
        let [from, to] = ends;
        self.streams.push(Stream { name, from, to, capacity, latency: 1, credit: 0, initial: 0, lanes: 1 });
    }

    /// A plain unit that takes one token from each of `from`.
    fn after(&mut self, from: &[usize], firings: u64, capacity: u64) -> usize {
        let unit = self.plain(firings);
        from.iter().for_each(|&from| self.join((from, &[1]), (unit, &[1]), capacity));
        unit
    }

    fn program(self) -> Program {
        Program::new(self.units, self.streams).expect("the graph builds")
    }
}

/// The capacity of all streams in the graphs that peers run too.
const CAPACITY: u64 = 32;

pub fn pipeline(units: usize, tokens: u64, capacity: u64, lanes: usize) -> Program {
    let mut graph = Graph::default();
    let mut last = graph.plain(tokens);
    for _ in 1..units {
        last = graph.after(&[last], tokens, capacity);
    }
    graph.streams.iter_mut().for_each(|stream| stream.lanes = lanes);
    graph.program()
}

/// `width` generators, a binary tree of adders, one consumer: tokens + log2(width) + 1 cycles.
pub fn adder_tree(width: usize, tokens: u64) -> Program {
    let mut graph = Graph::default();
    let mut row: Vec<usize> = (0..width).map(|_| graph.plain(tokens)).collect();
    while row.len() > 1 {
        row = row.chunks(2).map(|pair| graph.after(pair, tokens, CAPACITY)).collect();
    }
    graph.after(&row, tokens, CAPACITY);
    graph.program()
}

/// A generator and `stages` stages; each but the last hands every token to the next stage and to a consumer of its own:
/// tokens + stages cycles.
pub fn broadcast_chain(stages: usize, tokens: u64) -> Program {
    let mut graph = Graph::default();
    let mut last = graph.plain(tokens);
    for _ in 1..stages {
        last = graph.after(&[last], tokens, CAPACITY);
        graph.after(&[last], tokens, CAPACITY);
    }
    graph.after(&[last], tokens, CAPACITY);
    graph.program()
}

/// `side` × `side` units take a token from west and north and give one to east and south; generators feed the west and
/// north edges, consumers drain the others: tokens + 2 side cycles.
pub fn mesh(side: usize, tokens: u64) -> Program {
    let mut graph = Graph::default();
    let mut north: Vec<usize> = (0..side).map(|_| graph.plain(tokens)).collect();
    for _ in 0..side {
        let mut west = graph.plain(tokens);
        for above in &mut north {
            west = graph.after(&[west, *above], tokens, CAPACITY);
            *above = west;
        }
        graph.after(&[west], tokens, CAPACITY);
    }
    north.into_iter().for_each(|last| _ = graph.after(&[last], tokens, CAPACITY));
    graph.program()
}

/// Units with one or two inputs from any of the 16 units before them, rates 1 to 4, every fourth unit cyclo-static in its
/// rates and its ii. An iteration is 2, 3, 4 or 6 firings of each unit; `iterations` must be even.
pub fn random(units: usize, iterations: u64, room: u64) -> Program {
    let (mut graph, mut state) = (Graph::default(), 1u64);
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut repeats = Vec::new();
    for at in 0..units {
        repeats.push([2u64, 3, 4, 6][draw(4)]);
        let cyclic = draw(4) == 0;
        let phases = [(1, 1 + draw(2) as u64), (1, 1 + draw(3) as u64)];
        let unit = graph.unit(&phases[usize::from(!cyclic)..], repeats[at] * iterations);
        for _ in 0..(1 + draw(2)).min(at) {
            let from = at - 1 - draw(at.min(16));
            let share = (1..=6).rev().find(|d| repeats[from] % d == 0 && repeats[at] % d == 0).unwrap_or(1);
            let (produce, consume) = ((repeats[at] / share) as u32, (repeats[from] / share) as u32);
            // A cyclo-static end moves the tokens of two firings as one more and one less.
            let uneven = |rate: u32| [rate + 1, rate - 1];
            let lone = |unit: &Unit, rate| if unit.phases.len() == 1 { [rate; 2] } else { uneven(rate) };
            let (produced, consumed) = (lone(&graph.units[from], produce), lone(&graph.units[unit], consume));
            graph.join((from, &produced), (unit, &consumed), room * repeats[from] * u64::from(produce));
        }
    }
    graph.program()
}

/// Four units whose loops of 3125 and 8 firings meet again after 25 000: a period of 100 000 firings.
pub fn long_period(tokens: u64) -> Program {
    let mut graph = Graph::default();
    let mut last = graph.plain(tokens);
    for phases in [&[(3124, 1), (1, 3)][..], &[(7, 1), (1, 2)], &[(1, 1)]] {
        let unit = graph.unit(phases, tokens);
        graph.join((last, &[1]), (unit, &[1]), CAPACITY);
        last = unit;
    }
    graph.program()
}

/// A pipeline whose units have loops of different prime lengths: no state comes back in any run that ends.
pub fn prime_loops(units: usize, tokens: u64) -> Program {
    let mut graph = Graph::default();
    let mut last = graph.plain(tokens);
    let prime = |n: &u64| (2..).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    for length in (1000..).filter(prime).take(units - 1) {
        let unit = graph.unit(&[(length - 1, 1), (1, 2)], tokens);
        graph.join((last, &[1]), (unit, &[1]), CAPACITY);
        last = unit;
    }
    graph.program()
}

/// Three units; the middle one is a third slower than its source, and the stream between them only fills: while it does,
/// no state comes back.
pub fn backlog(tokens: u64, capacity: u64) -> Program {
    let mut graph = Graph::default();
    let source = graph.plain(tokens);
    let slow = graph.unit(&[(2, 1), (1, 2)], tokens);
    graph.join((source, &[1]), (slow, &[1]), capacity);
    graph.after(&[slow], tokens, CAPACITY);
    graph.program()
}
