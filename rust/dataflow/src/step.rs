//! `step`: the reference engine. One firing at a time, each with its time and, if asked, its values.
//!
//! Firing times are unique whatever the order of evaluation (a Kahn network), so the engine fires any unit that can
//! fire, as often as it can, and computes *when* from the timestamps in the stream's slots. Only memory needs time
//! order: when nothing can fire any more, it is told all requests up to a cycle that nothing still unknown can precede
//! (see `door`). A merge needs it too: it fires when it is the earliest of all that is left, since nothing can come any
//! more that was there before.

use crate::counters::{Counters, Run, StreamTotals, UnitTotals};
use crate::deadlock::{Wait, explain};
use crate::door::Doors;
use crate::engine::{Decisions, Parts, Watch};
use crate::error::RunError;
use crate::nest::Cursor;
use crate::observer::{Fired, Probe, State};
use crate::operator::{Firing, Operator, Tokens};
use crate::port::Memory;
use crate::program::{Action, Bound, MOST_LOOSE, Program};
use crate::ring::Ring;
use crate::unit::{Choice, Unit};
use std::time::{Duration, Instant};

/// Firings before the first poll of the watch; a firing that moves long tokens may take a millisecond.
const POLL: u64 = 1 << 6;
/// Time between two polls that the engine aims at.
const PACE: Duration = Duration::from_millis(4);

/// Runs a program; with `VALUES`, `operators` has one entry per unit.
pub(crate) fn run<const VALUES: bool, P: Probe>(
    parts: Parts,
    operators: &mut [Box<dyn Operator>],
    probe: P,
) -> Result<Run, RunError> {
    Engine::<VALUES, P>::new(parts.bound, parts.memory, operators, parts.decisions, probe).run(parts.watch)
}

/// A unit in motion.
struct Standing {
    cursor: Cursor,
    /// Start of the last firing + its ii.
    ready: u64,
    counters: Counters,
    firings: u64,
    first: u64,
    end: u64,
    waits: Option<Wait>,
}

/// What a unit does next.
enum Next {
    Action(usize),
    Wait(Wait),
    Ended,
}

struct Engine<'a, const VALUES: bool, P: Probe> {
    bound: &'a Bound<'a>,
    program: &'a Program,
    operators: &'a mut [Box<dyn Operator>],
    decisions: Decisions<'a>,
    probe: P,
    /// Units that take what comes first.
    merges: Vec<usize>,
    rings: Vec<Ring>,
    states: Vec<Standing>,
    doors: Doors<'a>,
    ready: Vec<u32>,
    firings: u64,
    inputs: Tokens,
    outputs: Tokens,
}

impl<'a, const VALUES: bool, P: Probe> Engine<'a, VALUES, P> {
    fn new(
        bound: &'a Bound<'a>,
        memory: &'a mut dyn Memory,
        operators: &'a mut [Box<dyn Operator>],
        decisions: Decisions<'a>,
        probe: P,
    ) -> Self {
        let program = bound.program;
        let first_come = |&unit: &usize| program.units[unit].choice == Some(Choice::FirstCome);
        let ring = |(at, stream): (usize, &crate::stream::Stream)| {
            let from_memory = program.units[stream.from.0].port.is_some();
            Ring::new(stream, bound.slots[at], from_memory, VALUES)
        };
        let state = |code: &Vec<_>| Standing {
            cursor: Cursor::new(code),
            ready: 0,
            counters: Counters::default(),
            firings: 0,
            first: 0,
            end: 0,
            waits: None,
        };
        let order: Vec<usize> = (0..program.units.len()).collect();
        Engine {
            rings: program.streams.iter().enumerate().map(ring).collect(),
            states: bound.code.iter().map(state).collect(),
            doors: Doors::new(bound, &order, memory),
            ready: (0..program.units.len() as u32).collect(),
            firings: 0,
            inputs: Tokens::default(),
            outputs: Tokens::default(),
            merges: (0..program.units.len()).filter(first_come).collect(),
            decisions,
            probe,
            bound,
            program,
            operators,
        }
    }

    /// Everything that can fire fires; then memory answers or a merge fires; until nothing is left.
    fn run(mut self, watch: Watch) -> Result<Run, RunError> {
        // Only how often the watch is polled follows the clock of the host, never a result.
        let (mut polled, mut stride, mut next_poll) = (Instant::now(), POLL, POLL);
        loop {
            while let Some(unit) = self.ready.pop() {
                while self.fire(unit as usize)? {
                    if self.firings >= next_poll {
                        if !watch(self.firings) {
                            return Err(RunError::Interrupted);
                        }
                        if self.firings >= MOST_LOOSE && self.bound.is_loose() {
                            return Err(RunError::Endless { firings: self.firings });
                        }
                        stride = if polled.elapsed() < PACE / 2 { stride * 2 } else { (stride / 2).max(1) };
                        (polled, next_poll) = (Instant::now(), self.firings + stride);
                    }
                }
            }
            let merge = self.earliest_merge();
            match (merge, self.doors.earliest()) {
                (None, None) => break,
                (Some((start, unit, at)), others) if others.is_none_or(|cycle| start <= cycle) => {
                    self.states[unit].waits = None;
                    self.fire_action(unit, at)?;
                    self.ready.push(unit as u32);
                }
                (merge, _) => self.answer(merge.map_or(u64::MAX, |(start, ..)| start)),
            }
        }
        self.finish()
    }

    /// Fires `unit` once if it can, by the firing rule; otherwise notes what it waits for.
    #[inline]
    fn fire(&mut self, unit: usize) -> Result<bool, RunError> {
        match self.next(unit)? {
            Next::Action(at) => self.fire_action(unit, at),
            Next::Wait(wait) => {
                self.states[unit].waits = Some(wait);
                Ok(false)
            }
            Next::Ended => {
                self.states[unit].waits = None;
                Ok(false)
            }
        }
    }

    /// The phase of the unit's next firing: from its nest, or from the token that decides.
    #[inline]
    fn next(&mut self, unit: usize) -> Result<Next, RunError> {
        let Some(at) = self.states[unit].cursor.phase(&self.bound.code[unit]) else { return Ok(Next::Ended) };
        let Some(choice) = self.program.units[unit].choice else { return Ok(Next::Action(at)) };
        if let Decisions::Replay(tapes) = &self.decisions {
            let choice = tapes[unit].get(self.states[unit].firings as usize);
            return Ok(choice.map_or(Next::Ended, |&phase| Next::Action(at + phase as usize)));
        }
        match choice {
            Choice::Control(input) => {
                let stream = self.program.inputs(unit)[input];
                let Some(value) = self.rings[stream].peek() else {
                    self.rings[stream].tokens_needed = 1;
                    return Ok(Next::Wait(Wait::Data(stream)));
                };
                let phase = chosen(self.program, unit, value, self.states[unit].firings)?;
                Ok(Next::Action(at + phase))
            }
            // A merge fires from `earliest_merge` alone; until then it waits for a token on any input.
            Choice::FirstCome => {
                for &stream in self.program.inputs(unit) {
                    self.rings[stream].tokens_needed = 0;
                }
                let mut wait = Wait::Data(self.program.inputs(unit)[0]);
                for phase in 0..self.program.units[unit].phases.len() {
                    if let Err(why @ Wait::Space(_)) = self.constraints(unit, &self.program.actions[at + phase]) {
                        wait = why;
                    }
                }
                Ok(Next::Wait(wait))
            }
        }
    }

    /// The merge that can fire first: its start, its number and the action.
    fn earliest_merge(&mut self) -> Option<(u64, usize, usize)> {
        let mut earliest: Option<(u64, usize, usize)> = None;
        for rank in 0..self.merges.len() {
            let unit = self.merges[rank];
            let Some(first) = self.states[unit].cursor.phase(&self.bound.code[unit]) else { continue };
            // First come is the input whose tokens are there first, whether or not their way on is free.
            let arrival = |phase: usize| {
                let end = self.program.ends[self.program.actions[first + phase].consume.clone()].first()?;
                self.rings[end.stream].tokens(end.rate).map(|arrival| (arrival, first + phase))
            };
            let Some((_, at)) = (0..self.program.units[unit].phases.len()).filter_map(arrival).min() else { continue };
            let Ok((data, space, memory)) = self.constraints(unit, &self.program.actions[at]) else { continue };
            let start = self.states[unit].ready.max(data).max(space).max(memory);
            if earliest.is_none_or(|(other, ..)| start < other) {
                earliest = Some((start, unit, at));
            }
        }
        earliest
    }

    /// Fires `unit` once, as action `at` says, if it can.
    #[inline]
    fn fire_action(&mut self, unit: usize, at: usize) -> Result<bool, RunError> {
        let code = &self.bound.code[unit];
        let phase = &self.program.actions[at];
        let (data, space, memory) = match self.constraints(unit, phase) {
            Ok(times) => times,
            Err(wait) => {
                self.states[unit].waits = Some(wait);
                return Ok(false);
            }
        };

        let state = &mut self.states[unit];
        let start = state.ready.max(data).max(space).max(memory);
        let waited = start - state.ready;
        // The wait belongs to the constraint that came last; data wins a tie with space.
        let wait = match start {
            _ if waited == 0 => State::Busy,
            _ if data == start => State::Data,
            _ if memory == start => State::Memory,
            _ => State::Space,
        };
        match wait {
            State::Data => state.counters.data += waited,
            State::Memory => state.counters.memory += waited,
            State::Space => state.counters.space += waited,
            _ => {}
        }
        if P::ON {
            let (number, ready, Action { phase, ii, latency, .. }) = (state.firings, state.ready, phase.clone());
            self.probe.fired(&Fired { unit, number, phase, ready, start, ii, latency, wait });
        }
        if let Decisions::Record(tapes) = &mut self.decisions
            && self.program.units[unit].choice.is_some()
        {
            tapes[unit].push(phase.phase as u32);
        }
        if state.firings == 0 {
            state.first = start;
        }
        state.counters.busy += phase.ii;
        state.ready = start + phase.ii;
        state.end = state.end.max(start + phase.ii.max(phase.latency));
        state.firings += 1;
        state.cursor.advance(code);
        self.firings += 1;

        let (free, done) = (start + phase.ii, start + phase.latency);
        let issue = |pattern| (pattern, self.doors.issue(unit, unit, self.bound, pattern, at, done));
        let transfer = phase.transfer.map(issue);
        if VALUES {
            self.compute(unit, at, transfer)?;
        }
        for end in &self.program.ends[phase.consume.clone()] {
            let ring = &mut self.rings[end.stream];
            if ring.consume(end.rate, free) {
                self.ready.push(ring.from as u32);
            }
        }
        for end in &self.program.ends[phase.produce.clone()] {
            let ring = &mut self.rings[end.stream];
            ring.take(end.rate, start);
            // The tokens of a load leave when memory answers.
            if transfer.is_none() && ring.arrive(end.rate, done) {
                self.ready.push(ring.to as u32);
            }
        }
        Ok(true)
    }

    /// When the last token, slot and answer needed are there (0 if none is needed), or what is not known yet.
    #[inline]
    fn constraints(&mut self, unit: usize, phase: &Action) -> Result<(u64, u64, u64), Wait> {
        let (mut data, mut space, mut memory) = (0, 0, 0);
        for end in &self.program.ends[phase.consume.clone()] {
            let ring = &mut self.rings[end.stream];
            let Some(there) = ring.tokens(end.rate) else {
                ring.tokens_needed = end.rate;
                return Err(Wait::Data(end.stream));
            };
            let last = if ring.from_memory { &mut memory } else { &mut data };
            *last = there.max(*last);
        }
        for end in &self.program.ends[phase.produce.clone()] {
            let ring = &mut self.rings[end.stream];
            let Some(free) = ring.space(end.rate) else {
                ring.slots_needed = end.rate;
                return Err(Wait::Space(end.stream));
            };
            space = free.max(space);
        }
        if phase.transfer.is_some()
            && let Some(door) = self.doors.at(unit)
        {
            memory = door.room(0).ok_or(Wait::Memory)?.max(memory);
        }
        Ok((data, space, memory))
    }

    /// Takes turns with memory; a merge fires at `merge`.
    fn answer(&mut self, merge: u64) {
        let Self { doors, states, rings, ready, program, .. } = self;
        let horizon = doors.ask(merge);
        doors.answer(horizon, horizon, |unit, action, done| {
            let state = &mut states[unit];
            state.end = done.iter().copied().fold(state.end, u64::max);
            if state.waits == Some(Wait::Memory) {
                state.waits = None;
                ready.push(unit as u32);
            }
            for end in &program.ends[program.actions[action].produce.clone()] {
                let ring = &mut rings[end.stream];
                for &done in done {
                    if ring.arrive(end.rate, done) {
                        ready.push(ring.to as u32);
                    }
                }
            }
        });
    }

    /// Moves values through the unit's operator.
    fn compute(&mut self, unit: usize, at: usize, transfer: Option<(usize, u64)>) -> Result<(), RunError> {
        let Action { consume, produce, phase, .. } = self.program.actions[at].clone();
        let (consume, produce) = (&self.program.ends[consume], &self.program.ends[produce]);
        self.inputs.clear();
        self.outputs.clear();
        for end in consume {
            let ring = &self.rings[end.stream];
            ring.read_values(self.inputs.open(end.index, end.rate as usize * ring.lanes()));
        }
        for end in produce {
            self.outputs.open(end.index, end.rate as usize * self.rings[end.stream].lanes());
        }
        let firing = Firing { phase, transfer, inputs: &self.inputs, outputs: &mut self.outputs };
        self.operators[unit]
            .fire(firing)
            .map_err(|what| RunError::Value { unit: self.program.units[unit].name.clone(), what })?;
        for end in produce {
            self.rings[end.stream].write_values(self.outputs.get(end.index));
        }
        Ok(())
    }

    /// Every unit must have ended; the rest of the elapsed cycles is idle.
    fn finish(self) -> Result<Run, RunError> {
        let cycles = self.states.iter().map(|state| state.end).max().unwrap_or(0);
        let blocked = |(state, unit): (&Standing, &Unit)| state.waits.is_some() && !unit.is_open();
        if self.states.iter().zip(&self.program.units).any(blocked) {
            let waits: Vec<_> = self.states.iter().map(|state| state.waits).collect();
            let firings: Vec<_> = self.states.iter().map(|state| state.firings).collect();
            return Err(explain(self.program, &waits, &firings, cycles));
        }
        let units = self.states.into_iter().map(|state| UnitTotals {
            counters: Counters { idle: cycles - state.ready, ..state.counters },
            firings: state.firings,
            first_cycle: state.first,
            end_cycle: state.end,
        });
        let streams = self
            .rings
            .into_iter()
            .zip(&self.program.streams)
            .map(|(ring, stream)| StreamTotals { tokens: ring.taken - stream.initial, high_water: ring.high_water() });
        Ok(Run { cycles, firings: self.firings, units: units.collect(), streams: streams.collect() })
    }
}

/// The phase that a control value chooses.
pub(crate) fn chosen(program: &Program, unit: usize, value: f32, firing: u64) -> Result<usize, RunError> {
    let unit = &program.units[unit];
    // Comparing as floats refuses fractions, infinities and NaN at once.
    match (0..unit.phases.len()).find(|&phase| phase as f32 == value) {
        Some(phase) => Ok(phase),
        None => Err(RunError::Value {
            unit: unit.name.clone(),
            what: format!(
                "its control value of firing {firing} is {value}; it must be a whole number from 0 to {}",
                unit.phases.len() - 1
            ),
        }),
    }
}
