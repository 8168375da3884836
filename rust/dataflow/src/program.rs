//! A program: validated once, then immutable. Binding a call's arguments gives what the engine runs.

use crate::error::BuildError;
use crate::nest::{Code, Nest, Phase, Times, count, flatten};
use crate::stream::Stream;
use crate::unit::{Choice, Pattern, Unit};
use indexmap::IndexSet;
use std::collections::BTreeSet;
use std::ops::Range;

/// The most slots that all streams together may really use: 2^27 slots of three timestamps are 3 GiB of host memory.
const MOST_SLOTS: u64 = 1 << 27;

/// The longest time of a unit or stream in a program whose number of firings only the data know, and the most firings of
/// such a run: together they stay below 2^63 cycles.
const LONGEST_LOOSE: u64 = 1 << 24;
pub(crate) const MOST_LOOSE: u64 = 1 << 37;

/// What a kernel call passes: loop counts and address bases by argument index, and rows for gathers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    pub arguments: Vec<u64>,
    pub indices: Vec<u64>,
}

/// One end that a firing touches: the unit's input or output index, the stream there, and the tokens moved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub index: usize,
    pub stream: usize,
    pub rate: u64,
}

/// A phase as the engine runs it: what it costs, and its ends as ranges of `Program::ends`.
#[derive(Clone, Debug)]
pub(crate) struct Action {
    pub ii: u64,
    pub latency: u64,
    pub transfer: Option<usize>,
    pub consume: Range<usize>,
    pub produce: Range<usize>,
    /// Number of the phase within its unit.
    pub phase: usize,
}

/// Units joined by streams.
#[derive(Clone, Debug, Default)]
pub struct Program {
    pub(crate) units: Vec<Unit>,
    pub(crate) streams: Vec<Stream>,
    /// Per unit: the stream at each input and output.
    inputs: Vec<Vec<usize>>,
    outputs: Vec<Vec<usize>>,
    /// The phases of all units, one unit after another, and where each unit's begin.
    pub(crate) actions: Vec<Action>,
    pub(crate) first_action: Vec<usize>,
    /// The ends of all phases, one phase after another.
    pub(crate) ends: Vec<End>,
}

/// A program with the arguments of one call.
pub struct Bound<'a> {
    pub(crate) program: &'a Program,
    pub(crate) code: Vec<Vec<Code>>,
    /// Slots that each stream really uses: its capacity, or all the tokens it ever carries where that is less.
    pub(crate) slots: Vec<usize>,
    pub(crate) call: &'a Call,
}

impl Bound<'_> {
    /// A unit that takes what comes first makes values depend on time.
    pub fn is_first_come(&self) -> bool {
        self.program.units.iter().any(|unit| unit.choice == Some(Choice::FirstCome))
    }

    /// Some unit's firings are known only when the program runs.
    pub fn is_loose(&self) -> bool {
        self.program.units.iter().any(Unit::is_loose)
    }
}

impl Program {
    /// Checks names, ends, capacities and phases.
    pub fn new(units: Vec<Unit>, streams: Vec<Stream>) -> Result<Self, BuildError> {
        unique("unit", units.iter().map(|unit| &unit.name))?;
        unique("stream", streams.iter().map(|stream| &stream.name))?;
        for stream in &streams {
            for (what, value) in [("capacity", stream.capacity), ("latency", stream.latency)] {
                if value < 1 {
                    let name = stream.name.clone();
                    return Err(BuildError::TooSmall { kind: "stream", name, what, value, least: 1 });
                }
            }
            if stream.initial > stream.capacity {
                let why = "the number of its initial tokens";
                return Err(capacity(stream, stream.initial, why));
            }
            for (end, unit) in [("producing", stream.from.0), ("consuming", stream.to.0)] {
                if unit >= units.len() {
                    let stream = stream.name.clone();
                    return Err(BuildError::NoSuchUnit { stream, end, unit, units: units.len() });
                }
            }
        }
        let inputs = ends(&units, &streams, "input", |stream| stream.to)?;
        let outputs = ends(&units, &streams, "output", |stream| stream.from)?;
        for (at, unit) in units.iter().enumerate() {
            check_unit(unit, &inputs[at], &outputs[at], &streams)?;
        }
        let mut program = Program { units, streams, inputs, outputs, ..Program::default() };
        program.flatten();
        Ok(program)
    }

    /// Lays the phases out one after another, with streams instead of end indices: what the engine walks.
    fn flatten(&mut self) {
        for (at, unit) in self.units.iter().enumerate() {
            self.first_action.push(self.actions.len());
            for (number, phase) in unit.phases.iter().enumerate() {
                let mut resolve = |rates: &[(usize, u32)], streams: &[usize]| {
                    let first = self.ends.len();
                    let end = |&(index, rate): &(usize, u32)| End { index, stream: streams[index], rate: rate.into() };
                    self.ends.extend(rates.iter().map(end));
                    first..self.ends.len()
                };
                self.actions.push(Action {
                    ii: phase.ii,
                    latency: phase.latency,
                    transfer: phase.transfer,
                    consume: resolve(&phase.consume, &self.inputs[at]),
                    produce: resolve(&phase.produce, &self.outputs[at]),
                    phase: number,
                });
            }
        }
    }

    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    pub fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// The streams at the inputs of `unit`.
    pub fn inputs(&self, unit: usize) -> &[usize] {
        &self.inputs[unit]
    }

    /// The streams at the outputs of `unit`.
    pub fn outputs(&self, unit: usize) -> &[usize] {
        &self.outputs[unit]
    }

    /// The call arguments that firings and their times depend on, in rising order: those of loop counts and of addresses.
    pub fn timed_arguments(&self) -> Vec<usize> {
        let mut found = BTreeSet::new();
        for unit in &self.units {
            unit.nest.iter().for_each(|nest| nest.arguments(&mut |argument| _ = found.insert(argument)));
            let patterns = unit.port.iter().flat_map(|port| &port.patterns);
            found.extend(patterns.filter_map(|pattern| pattern.argument));
        }
        found.into_iter().collect()
    }

    /// Resolves loop counts and checks that every stream balances and that cycles fit into 64 bits.
    pub fn bind<'a>(&'a self, call: &'a Call) -> Result<Bound<'a>, BuildError> {
        let mut produced = vec![0u64; self.streams.len()];
        let mut consumed = vec![0u64; self.streams.len()];
        let mut codes = Vec::with_capacity(self.units.len());
        let mut slots = Vec::with_capacity(self.streams.len());
        let (mut bound, mut left) = (0u128, MOST_SLOTS);
        let mut unknown = vec![false; self.streams.len()];
        for (at, unit) in self.units.iter().enumerate() {
            let arguments = || BuildError::Arguments { unit: unit.name.clone(), given: call.arguments.len() };
            let mut code = Vec::new();
            if !flatten(&unit.nest, &call.arguments, self.first_action[at], &mut code) {
                return Err(arguments());
            }
            let beyond = |pattern: &Pattern| pattern.argument.is_some_and(|argument| argument >= call.arguments.len());
            if unit.port.as_ref().is_some_and(|port| port.patterns.iter().any(beyond)) {
                return Err(arguments());
            }
            if unit.is_loose() {
                self.inputs[at].iter().chain(&self.outputs[at]).for_each(|&stream| unknown[stream] = true);
                self.check_loose(unit)?;
                codes.push(code);
                continue;
            }
            let totals = count(&code, self.first_action[at], unit.phases.len()).ok_or_else(arguments)?;
            for (phase, &firings) in unit.phases.iter().zip(&totals) {
                bound = bound.saturating_add(cycles(firings, phase.ii, phase.latency));
                add(&phase.consume, firings, &self.inputs[at], &mut consumed)?;
                add(&phase.produce, firings, &self.outputs[at], &mut produced)?;
            }
            codes.push(code);
        }
        for (at, stream) in self.streams.iter().enumerate() {
            let (produced, consumed) = (produced[at], consumed[at]);
            bound = bound.saturating_add(cycles(produced, stream.latency, stream.credit));
            let name = stream.name.clone();
            let (from, to) = (self.units[stream.from.0].name.clone(), self.units[stream.to.0].name.clone());
            let there = produced.checked_add(stream.initial).ok_or(BuildError::Overflow)?;
            if unknown[at] {
                if stream.latency.max(stream.credit) > LONGEST_LOOSE {
                    return Err(BuildError::Overflow);
                }
                slots.push(room(stream, stream.capacity, &mut left)?);
                continue;
            }
            if there < consumed {
                let initial = stream.initial;
                return Err(BuildError::Starved { stream: name, initial, produced, consumed, from, to });
            }
            if there - consumed > stream.capacity {
                let (initial, capacity) = (stream.initial, stream.capacity);
                return Err(BuildError::Unread { stream: name, initial, produced, consumed, capacity, from, to });
            }
            slots.push(room(stream, there.min(stream.capacity).max(1), &mut left)?);
        }
        if bound >= 1 << 63 {
            return Err(BuildError::Overflow);
        }
        Ok(Bound { program: self, code: codes, slots, call })
    }

    /// Where the number of firings is not known, single times are bounded instead of their sum; see `MOST_LOOSE`.
    fn check_loose(&self, unit: &Unit) -> Result<(), BuildError> {
        let longest = unit.phases.iter().map(|phase| phase.ii.max(phase.latency)).max().unwrap_or(0);
        if longest > LONGEST_LOOSE { Err(BuildError::Overflow) } else { Ok(()) }
    }
}

/// Takes `slots` of those that are `left`.
fn room(stream: &Stream, slots: u64, left: &mut u64) -> Result<usize, BuildError> {
    if slots > *left {
        return Err(BuildError::Slots { stream: stream.name.clone(), slots, most: *left });
    }
    *left -= slots;
    Ok(slots as usize)
}

/// An upper bound of the cycles that `times` events of `a + b` cycles add to a run.
fn cycles(times: u64, a: u64, b: u64) -> u128 {
    u128::from(times).saturating_mul(u128::from(a) + u128::from(b))
}

fn unique<'a>(kind: &'static str, names: impl Iterator<Item = &'a String>) -> Result<(), BuildError> {
    let mut seen = IndexSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(BuildError::DuplicateName { kind, name: name.clone() });
        }
    }
    Ok(())
}

fn capacity(stream: &Stream, need: u64, why: &'static str) -> BuildError {
    BuildError::Capacity { stream: stream.name.clone(), capacity: stream.capacity, need, why }
}

/// The stream at each end of each unit; every end index up to the largest must be used exactly once.
fn ends(
    units: &[Unit],
    streams: &[Stream],
    side: &'static str,
    end: impl Fn(&Stream) -> (usize, usize),
) -> Result<Vec<Vec<usize>>, BuildError> {
    let mut found: Vec<Vec<(usize, usize)>> = vec![Vec::new(); units.len()];
    for (at, stream) in streams.iter().enumerate() {
        let (unit, index) = end(stream);
        found[unit].push((index, at));
    }
    let mut all = Vec::with_capacity(units.len());
    for (unit, mut list) in units.iter().zip(found) {
        list.sort_unstable();
        for (index, pair) in list.iter().enumerate() {
            if pair.0 != index {
                let count = list.iter().filter(|other| other.0 == index).count();
                return Err(BuildError::FreeEnd { unit: unit.name.clone(), side, index, count });
            }
        }
        all.push(list.into_iter().map(|pair| pair.1).collect());
    }
    Ok(all)
}

fn check_unit(unit: &Unit, inputs: &[usize], outputs: &[usize], streams: &[Stream]) -> Result<(), BuildError> {
    let missing = |what, index| BuildError::NoSuchPhase { unit: unit.name.clone(), what, index };
    let mut nests: Vec<_> = unit.nest.iter().collect();
    while let Some(nest) = nests.pop() {
        match nest {
            Nest::Fire { phase, .. } if *phase >= unit.phases.len() => {
                return Err(missing("phase", *phase));
            }
            Nest::Fire { times: Times::Open, .. } if !unit.is_open() => {
                let what = "an open count must stand alone: the unit's nest is that one entry".into();
                return Err(BuildError::Choice { unit: unit.name.clone(), what });
            }
            Nest::Fire { .. } => {}
            Nest::Loop { times: Times::Open, .. } => {
                let what = "a loop cannot be open; give it a count".into();
                return Err(BuildError::Choice { unit: unit.name.clone(), what });
            }
            Nest::Loop { body, .. } => nests.extend(body),
        }
    }
    for phase in &unit.phases {
        if phase.ii < 1 {
            let name = unit.name.clone();
            return Err(BuildError::TooSmall { kind: "unit", name, what: "ii", value: phase.ii, least: 1 });
        }
        for (side, ends, rates) in [("input", inputs, &phase.consume), ("output", outputs, &phase.produce)] {
            for (rank, &(index, rate)) in rates.iter().enumerate() {
                let at = *ends.get(index).ok_or_else(|| missing(side, index))?;
                if rates[..rank].iter().any(|earlier| earlier.0 == index) {
                    return Err(BuildError::Repeated { unit: unit.name.clone(), side, index });
                }
                if u64::from(rate) > streams[at].capacity {
                    return Err(capacity(&streams[at], rate.into(), "the tokens moved by one firing"));
                }
            }
        }
        let patterns = unit.port.as_ref().map_or(0, |port| port.patterns.len());
        if phase.transfer.is_some_and(|transfer| transfer >= patterns) {
            return Err(missing("address pattern", phase.transfer.unwrap_or(0)));
        }
    }
    if unit.is_loose() {
        check_choice(unit, inputs.len())?;
    }
    if let Some(port) = &unit.port {
        let bad = |what| Err(BuildError::Port { unit: unit.name.clone(), what });
        if unit.phases.iter().any(|phase| phase.transfer.is_none()) {
            return bad("a phase of a load or store unit has no transfer");
        }
        if port.outstanding == 0 {
            return bad("outstanding is 0; at least one request must be allowed in flight");
        }
        if port.patterns.iter().any(|p| p.run == 0 || p.bytes == 0) {
            return bad("an address pattern has a run or a transfer of 0");
        }
    }
    Ok(())
}

/// A unit whose firings data decide: each firing must take what decides.
fn check_choice(unit: &Unit, inputs: usize) -> Result<(), BuildError> {
    let bad = |what: String| Err(BuildError::Choice { unit: unit.name.clone(), what });
    let takes = |phase: &Phase, index: usize| phase.consume.iter().find(|end| end.0 == index).map(|end| end.1);
    if !matches!(unit.nest[..], [Nest::Fire { phase: 0, .. }]) {
        return bad("a data-dependent unit says only how often it fires: its nest is one entry, of phase 0".into());
    }
    if unit.port.is_some() {
        return bad("a load or store unit has a fixed number of firings".into());
    }
    match unit.choice {
        None if unit.phases[0].consume.iter().all(|end| end.1 == 0) => {
            bad("it fires as long as its inputs deliver, but takes no token; give it a count".into())
        }
        None => Ok(()),
        Some(Choice::Control(input)) if input >= inputs => {
            bad(format!("its control is input {input}, but it has {inputs} inputs"))
        }
        Some(Choice::Control(input)) => match unit.phases.iter().position(|phase| takes(phase, input) != Some(1)) {
            Some(phase) => bad(format!("phase {phase} must take exactly one token from the control, input {input}")),
            None => Ok(()),
        },
        Some(Choice::FirstCome) if unit.phases.len() != inputs => {
            bad(format!("a merge has one phase for each input, not {} for {inputs}", unit.phases.len()))
        }
        Some(Choice::FirstCome) => {
            let wrong = |at: usize| unit.phases[at].consume.iter().any(|end| (end.0 == at) != (end.1 > 0));
            match (0..inputs).find(|&at| takes(&unit.phases[at], at).is_none() || wrong(at)) {
                Some(phase) => bad(format!("phase {phase} of a merge must take from input {phase} and from no other")),
                None => Ok(()),
            }
        }
    }
}

fn add(rates: &[(usize, u32)], firings: u64, ends: &[usize], totals: &mut [u64]) -> Result<(), BuildError> {
    for &(index, rate) in rates {
        let total = &mut totals[ends[index]];
        *total = firings.checked_mul(rate.into()).and_then(|n| total.checked_add(n)).ok_or(BuildError::Overflow)?;
    }
    Ok(())
}
