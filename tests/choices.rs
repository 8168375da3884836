//! Programs whose values decide what fires: `fast` equals `step` in time and in values, and a recorded run is timed again
//! without values exactly as it was with them.

use proptest::prelude::*;
use rdu::dataflow::table::{Route, Sink, Source, operator};
use rdu::dataflow::unit::Choice;
use rdu::dataflow::{
    Call, Decisions, Mode, Nest, NoMemory, Operator, Phase, Program, Run, RunError, Setup, Stream, Times, Unit,
    simulate,
};

const MODES: [Mode; 3] = [Mode::Step, Mode::Fast { skip: false }, Mode::Fast { skip: true }];

/// Random numbers that shrink: when they run out, all further ones are 0.
struct Dice {
    rolls: Vec<u16>,
    at: usize,
}

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.at += 1;
        self.rolls.get(self.at - 1).map_or(0, |&roll| usize::from(roll) % sides)
    }

    fn any<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())].clone()
    }
}

/// What computes the values of a unit.
#[derive(Clone)]
enum Role {
    Source(Vec<f32>),
    Sink,
    Table(&'static str),
    /// With its control input.
    Route(usize),
}

/// Tokens that nobody takes yet: who sends them, how many in a firing, and in all (`None`: data decide).
#[derive(Clone, Copy)]
struct Wire {
    unit: usize,
    rate: u32,
    tokens: Option<u64>,
}

struct Flow {
    dice: Dice,
    lanes: usize,
    units: Vec<Unit>,
    roles: Vec<Role>,
    streams: Vec<Stream>,
    ends: Vec<(usize, usize)>,
    wires: Vec<Wire>,
}

impl Flow {
    fn unit(&mut self, firings: Option<u64>, role: Role, phases: usize, choice: Option<Choice>) -> usize {
        let phase = Phase { ii: 1 + self.dice.roll(4) as u64, latency: self.dice.roll(7) as u64, ..Phase::default() };
        let times = firings.map_or(Times::Open, Times::Fixed);
        self.units.push(Unit {
            name: format!("u{}", self.units.len()),
            phases: vec![phase; phases],
            nest: vec![Nest::Fire { phase: 0, times }],
            port: None,
            choice,
        });
        self.roles.push(role);
        self.ends.push((0, 0));
        self.units.len() - 1
    }

    /// A stream from phases of one unit to phases of another.
    fn join(&mut self, wire: Wire, sends: &[usize], unit: usize, rate: u32, takes: &[usize]) {
        let (output, input) = (self.ends[wire.unit].1, self.ends[unit].0);
        self.ends[wire.unit].1 += 1;
        self.ends[unit].0 += 1;
        for &phase in sends {
            self.units[wire.unit].phases[phase].produce.push((output, wire.rate));
        }
        for &phase in takes {
            self.units[unit].phases[phase].consume.push((input, rate));
        }
        self.streams.push(Stream {
            name: format!("s{}", self.streams.len()),
            from: (wire.unit, output),
            to: (unit, input),
            capacity: u64::from(wire.rate.max(rate)) + self.dice.roll(7) as u64,
            latency: 1 + self.dice.roll(4) as u64,
            credit: self.dice.roll(4) as u64,
            initial: 0,
            lanes: self.lanes,
        });
    }

    /// The phases of a wire's unit that send it: all but those of a gate that drop.
    fn senders(&self, wire: Wire) -> Vec<usize> {
        let gate = self.units[wire.unit].choice.is_some() && self.units[wire.unit].name.starts_with("gate");
        (usize::from(gate)..self.units[wire.unit].phases.len()).collect()
    }

    /// A stream that all phases send and take.
    fn pass(&mut self, wire: Wire, unit: usize, rate: u32) {
        let (sends, takes) = (self.senders(wire), (0..self.units[unit].phases.len()).collect::<Vec<_>>());
        self.join(wire, &sends, unit, rate, &takes);
    }

    /// Some wire, which now and then stays for others too.
    fn take(&mut self) -> Wire {
        let at = self.dice.roll(self.wires.len());
        if self.wires.len() > 1 && self.dice.roll(3) > 0 { self.wires.swap_remove(at) } else { self.wires[at] }
    }

    fn source(&mut self, first: Option<Vec<f32>>) -> Wire {
        let tokens = first.as_ref().map_or(1 + self.dice.roll(12), Vec::len);
        let mut values: Vec<f32> = (0..tokens * self.lanes).map(|_| self.dice.roll(13) as f32 / 2.0 - 3.0).collect();
        for (at, value) in first.into_iter().flatten().enumerate() {
            values[at * self.lanes] = value;
        }
        let unit = self.unit(Some(tokens as u64), Role::Source(values), 1, None);
        Wire { unit, rate: 1, tokens: Some(tokens as u64) }
    }

    /// A unit of the operator table on one wire or two.
    fn compute(&mut self, name: &'static str, wires: &[Wire], fold: bool) -> Wire {
        let tokens = wires[0].tokens.filter(|_| wires.iter().all(|wire| wire.tokens == wires[0].tokens));
        let rates: Vec<u32> =
            [1, 2, 3].into_iter().filter(|&rate| tokens.unwrap_or(0).is_multiple_of(rate.into())).collect();
        let rate = self.dice.any(&rates);
        let firings = tokens.map(|tokens| tokens / u64::from(rate));
        let unit = self.unit(firings, Role::Table(name), 1, None);
        for &wire in wires {
            self.pass(wire, unit, rate);
        }
        if fold { Wire { unit, rate: 1, tokens: firings } } else { Wire { unit, rate, tokens } }
    }

    /// Control tokens: one for each firing of what they decide, sometimes more or fewer than there are data.
    fn control(&mut self, ways: usize, wire: Wire, rate: u32) -> Wire {
        let count = wire.tokens.map_or(6, |tokens| tokens as usize / rate as usize) + self.dice.roll(3);
        let first = (0..count).map(|_| self.dice.roll(ways) as f32).collect();
        self.source(Some(first))
    }

    fn switch(&mut self, wire: Wire, again: bool) -> Vec<Wire> {
        let (ways, rate) = (1 + self.dice.roll(3), 1 + self.dice.roll(2) as u32);
        let control = self.control(ways, wire, rate);
        let unit = self.unit(None, Role::Route(0), ways, Some(Choice::Control(0)));
        self.pass(control, unit, 1);
        self.pass(wire, unit, rate);
        let sent = Wire { unit, rate, tokens: None };
        let select = again.then(|| {
            let select = self.unit(None, Role::Route(0), ways, Some(Choice::Control(0)));
            self.pass(control, select, 1);
            select
        });
        let mut out = Vec::new();
        for way in 0..ways {
            // A stream belongs to one way, so it is joined here and not left open.
            let target = select.unwrap_or_else(|| self.unit(None, Role::Table("neg"), 1, None));
            if select.is_some() && self.dice.roll(2) > 0 {
                let between = self.unit(None, Role::Table("copy"), 1, None);
                self.join(sent, &[way], between, rate, &[0]);
                self.join(Wire { unit: between, ..sent }, &[0], target, rate, &[way]);
            } else {
                self.join(sent, &[way], target, rate, &[if again { way } else { 0 }]);
            }
            if !again {
                out.push(Wire { unit: target, ..sent });
            }
        }
        out.extend(select.map(|unit| Wire { unit, ..sent }));
        out
    }

    fn gate(&mut self, wire: Wire) -> Wire {
        let rate = 1 + self.dice.roll(2) as u32;
        let control = match self.dice.roll(2) {
            0 => self.control(2, wire, rate),
            _ => self.compute("positive", &[wire], false),
        };
        let unit = self.unit(None, Role::Route(0), 2, Some(Choice::Control(0)));
        self.units[unit].name = format!("gate{unit}");
        self.pass(control, unit, 1);
        self.pass(wire, unit, rate);
        Wire { unit, rate, tokens: None }
    }

    fn select(&mut self, one: Wire, other: Wire) -> Wire {
        let control = self.control(2, one, 1);
        let unit = self.unit(None, Role::Route(0), 2, Some(Choice::Control(0)));
        self.pass(control, unit, 1);
        for (way, wire) in [one, other].into_iter().enumerate() {
            let sends = self.senders(wire);
            self.join(wire, &sends, unit, 1, &[way]);
        }
        Wire { unit, rate: 1, tokens: None }
    }

    fn step(&mut self) {
        let wire = self.take();
        let grown = match self.dice.roll(8) {
            0 => {
                let name = self.dice.any(&["copy", "neg", "positive"]);
                vec![self.compute(name, &[wire], false)]
            }
            1 => {
                let other = self.take();
                let fits = other.tokens == wire.tokens || other.tokens.is_none() || wire.tokens.is_none();
                let name = self.dice.any(&["add", "sub", "lt"]);
                vec![self.compute(name, &[wire, if fits { other } else { wire }], false)]
            }
            2 => vec![self.compute("sum", &[wire], true)],
            3 => self.switch(wire, false),
            4 | 5 => self.switch(wire, true),
            6 => vec![self.gate(wire)],
            _ => {
                let other = self.take();
                vec![self.select(wire, other)]
            }
        };
        self.wires.extend(grown);
    }
}

/// A program and what its units compute.
struct Made {
    units: Vec<Unit>,
    streams: Vec<Stream>,
    roles: Vec<Role>,
    lanes: usize,
}

fn made(rolls: Vec<u16>) -> Made {
    let empty = || Vec::new();
    let (units, streams, wires) = (Vec::new(), Vec::new(), Vec::new());
    let dice = Dice { rolls, at: 0 };
    let mut flow = Flow { dice, lanes: 1, units, roles: empty(), streams, ends: Vec::new(), wires };
    flow.lanes += flow.dice.roll(3);
    for _ in 0..2 {
        let source = flow.source(None);
        flow.wires.push(source);
    }
    for _ in 0..flow.dice.roll(6) {
        flow.step();
    }
    // Whatever is left goes to a sink; so does what was taken already by others.
    for wire in std::mem::take(&mut flow.wires) {
        let sink = flow.unit(wire.tokens, Role::Sink, 1, None);
        flow.pass(wire, sink, 1);
    }
    Made { units: flow.units, streams: flow.streams, roles: flow.roles, lanes: flow.lanes }
}

/// What a run with values gives: its totals, the bits of what each sink took, and what was decided.
type Outcome = (Result<Run, RunError>, Vec<Vec<u32>>, Vec<Vec<u32>>);

fn run(made: &Made, program: &Program, mode: Mode) -> Outcome {
    let sinks: Vec<Sink> = made.units.iter().map(|_| Sink::default()).collect();
    let inputs = |unit: usize| made.streams.iter().filter(|stream| stream.to.0 == unit).count();
    let mut operators: Vec<Box<dyn Operator>> = Vec::new();
    for (unit, role) in made.roles.iter().enumerate() {
        operators.push(match role {
            Role::Source(values) => Box::new(Source { values: values.clone(), at: 0 }),
            Role::Sink => Box::new(sinks[unit].clone()),
            Role::Table(name) => operator(name, inputs(unit), made.lanes).unwrap(),
            Role::Route(control) => Box::new(Route { control: Some(*control) }),
        });
    }
    let call = Call::default();
    let mut tapes = Vec::new();
    let (memory, watch) = (&mut NoMemory, &mut |_: u64| true);
    let setup = Setup { decisions: Decisions::Record(&mut tapes), ..Setup::values(memory, &mut operators, watch) };
    let found = simulate(&program.bind(&call).unwrap(), mode, setup);
    let bits = |sink: &Sink| sink.values.lock().unwrap().iter().map(|value| value.to_bits()).collect();
    (found, sinks.iter().map(bits).collect(), tapes)
}

fn replay(program: &Program, mode: Mode, tapes: &[Vec<u32>]) -> Result<Run, RunError> {
    let call = Call::default();
    let (memory, watch) = (&mut NoMemory, &mut |_: u64| true);
    let setup = Setup { decisions: Decisions::Replay(tapes), ..Setup::timing(memory, watch) };
    simulate(&program.bind(&call).unwrap(), mode, setup)
}

fn rolls() -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(any::<u16>(), 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn fast_is_step_in_values_and_time(rolls in rolls()) {
        let made = made(rolls);
        let program = Program::new(made.units.clone(), made.streams.clone()).unwrap();
        let step = run(&made, &program, Mode::Step);
        for mode in MODES {
            let found = run(&made, &program, mode);
            prop_assert_eq!(&found, &step, "{:?}", mode);
        }
    }

    #[test]
    fn a_recording_is_replayed_in_the_same_time(rolls in rolls()) {
        let made = made(rolls);
        let program = Program::new(made.units.clone(), made.streams.clone()).unwrap();
        let (Ok(step), _, tapes) = run(&made, &program, Mode::Step) else { return Ok(()) };
        for mode in MODES {
            prop_assert_eq!(&replay(&program, mode, &tapes), &Ok(step.clone()), "{:?}", mode);
        }
    }

    /// Under other times and capacities, wherever the same firings fire.
    #[test]
    fn a_replay_is_the_run_of_the_retimed_program(rolls in rolls(), times in prop::collection::vec((1u64..6, 0u64..9, 0u64..9), 1..20)) {
        let mut made = made(rolls);
        let program = Program::new(made.units.clone(), made.streams.clone()).unwrap();
        let (Ok(first), _, tapes) = run(&made, &program, Mode::Step) else { return Ok(()) };
        for (unit, &(ii, latency, _)) in made.units.iter_mut().zip(times.iter().cycle()) {
            unit.phases.iter_mut().for_each(|phase| (phase.ii, phase.latency) = (ii, latency));
        }
        for (stream, &(latency, credit, extra)) in made.streams.iter_mut().zip(times.iter().rev().cycle()) {
            (stream.latency, stream.credit, stream.capacity) = (latency, credit, stream.capacity + extra);
        }
        let other = Program::new(made.units.clone(), made.streams.clone()).unwrap();
        let (fresh, ..) = run(&made, &other, Mode::Step);
        let Ok(fresh) = fresh else { panic!("more room cannot stop what ran: {fresh:?}") };
        prop_assert!(fresh.firings >= first.firings);
        if fresh.firings == first.firings {
            for mode in MODES {
                prop_assert_eq!(&replay(&other, mode, &tapes), &Ok(fresh.clone()), "{:?}", mode);
            }
        }
    }
}
