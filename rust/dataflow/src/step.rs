//! `step`: the reference engine. One firing at a time, each with its time and, if asked, its values.
//!
//! Firing times are unique whatever the order of evaluation (a Kahn network), so the engine fires any unit that can
//! fire, as often as it can, and computes *when* from the timestamps in the stream's slots. Only memory needs time
//! order: when nothing can fire any more, all requests earlier than the first one plus the memory's look-ahead are
//! served in order of time, because whatever is still unknown must wait for an answer to one of them.

use crate::counters::{Counters, Run, StreamTotals, UnitTotals};
use crate::deadlock::{Wait, explain};
use crate::error::RunError;
use crate::nest::{Cursor, Phase};
use crate::occupancy::{Occupancy, Slot};
use crate::operator::{Firing, Operator, Tokens};
use crate::port::{Memory, Request};
use crate::program::{Bound, Program};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Firings before the first poll of the watch; a firing that moves long tokens may take a millisecond.
const POLL: u64 = 1 << 6;
/// Time between two polls that the engine aims at.
const PACE: Duration = Duration::from_millis(4);

/// Called every few milliseconds with the number of firings so far; `false` stops the run.
pub type Watch<'a> = &'a mut dyn FnMut(u64) -> bool;

/// Runs the timing of a bound program; no values move.
pub fn run(bound: &Bound, memory: &mut dyn Memory, watch: Watch) -> Result<Run, RunError> {
    Engine::<false>::new(bound, memory, &mut []).run(watch)
}

/// Runs timing and values; `operators` has one entry per unit.
pub fn run_with_values(
    bound: &Bound,
    memory: &mut dyn Memory,
    operators: &mut [Box<dyn Operator>],
    watch: Watch,
) -> Result<Run, RunError> {
    Engine::<true>::new(bound, memory, operators).run(watch)
}

/// A stream in motion. Token n lies in slot n modulo the ring's length.
struct Ring {
    slots: Vec<Slot>,
    /// Tokens whose slot is taken, whose arrival is known, and that were consumed; ever.
    taken: u64,
    visible: u64,
    consumed: u64,
    /// Ring positions of the next token to take, to become visible and to consume.
    take_at: usize,
    visible_at: usize,
    consume_at: usize,
    /// Tokens (or slots) that a blocked consumer (producer) needs; 0 when it is not blocked here.
    data_needed: u64,
    space_needed: u64,
    /// Filled by a load unit: waiting for its tokens is waiting for memory.
    from_memory: bool,
    occupancy: Occupancy,
    values: Vec<f32>,
}

/// A unit in motion.
struct State {
    cursor: Cursor,
    /// Start of the last firing + its ii.
    ready: u64,
    counters: Counters,
    firings: u64,
    first: u64,
    end: u64,
    waits: Option<Wait>,
    /// Requests issued, and the cycle of the last one; completion times of the last `outstanding` ones; how many are answered.
    issued: u64,
    asked: u64,
    answered: u64,
    answers: Vec<u64>,
    /// Per address pattern: relocated base and transfers so far.
    patterns: Vec<(u64, u64)>,
    /// Firings under way to memory, oldest first: their phase.
    flying: VecDeque<u32>,
}

struct Engine<'a, const VALUES: bool> {
    bound: &'a Bound<'a>,
    program: &'a Program,
    memory: &'a mut dyn Memory,
    operators: &'a mut [Box<dyn Operator>],
    rings: Vec<Ring>,
    states: Vec<State>,
    ready: VecDeque<u32>,
    pending: Vec<Request>,
    firings: u64,
    inputs: Tokens,
    outputs: Tokens,
}

impl<'a, const VALUES: bool> Engine<'a, VALUES> {
    fn new(bound: &'a Bound<'a>, memory: &'a mut dyn Memory, operators: &'a mut [Box<dyn Operator>]) -> Self {
        let program = bound.program;
        let ring = |(at, stream): (usize, &crate::stream::Stream)| {
            let len = bound.slots[at];
            let initial = stream.initial as usize % len;
            Ring {
                slots: vec![Slot::default(); len],
                taken: stream.initial,
                visible: stream.initial,
                consumed: 0,
                take_at: initial,
                visible_at: initial,
                consume_at: 0,
                data_needed: 0,
                space_needed: 0,
                from_memory: program.units[stream.from.0].port.is_some(),
                occupancy: Occupancy::default(),
                values: if VALUES { vec![0.0; len * stream.lanes] } else { Vec::new() },
            }
        };
        let state = |(at, unit): (usize, &crate::unit::Unit)| {
            let port = unit.port.as_ref();
            let base = |p: &crate::unit::Pattern| {
                p.base.wrapping_add(p.argument.map_or(0, |argument| bound.call.arguments[argument]))
            };
            State {
                cursor: Cursor::new(&bound.code[at]),
                ready: 0,
                counters: Counters::default(),
                firings: 0,
                first: 0,
                end: 0,
                waits: None,
                issued: 0,
                asked: 0,
                answered: 0,
                answers: vec![0; port.map_or(0, |port| port.outstanding)],
                patterns: port.map_or(Vec::new(), |port| port.patterns.iter().map(|p| (base(p), 0)).collect()),
                flying: VecDeque::new(),
            }
        };
        Engine {
            rings: program.streams.iter().enumerate().map(ring).collect(),
            states: program.units.iter().enumerate().map(state).collect(),
            ready: (0..program.units.len() as u32).collect(),
            pending: Vec::new(),
            firings: 0,
            inputs: Tokens::default(),
            outputs: Tokens::default(),
            bound,
            program,
            memory,
            operators,
        }
    }

    /// Everything that can fire fires; then memory answers; until nothing is left.
    fn run(mut self, watch: Watch) -> Result<Run, RunError> {
        // Only how often the watch is polled follows the clock of the host, never a result.
        let (mut polled, mut stride, mut next_poll) = (Instant::now(), POLL, POLL);
        loop {
            while let Some(unit) = self.ready.pop_front() {
                while self.fire(unit as usize)? {
                    if self.firings >= next_poll {
                        if !watch(self.firings) {
                            return Err(RunError::Interrupted);
                        }
                        stride = if polled.elapsed() < PACE / 2 { stride * 2 } else { (stride / 2).max(1) };
                        (polled, next_poll) = (Instant::now(), self.firings + stride);
                    }
                }
            }
            if self.pending.is_empty() {
                break;
            }
            self.answer();
        }
        self.finish()
    }

    /// Fires `unit` once if it can, by the firing rule; otherwise notes what it waits for.
    #[inline]
    fn fire(&mut self, unit: usize) -> Result<bool, RunError> {
        let program = self.program;
        let code = &self.bound.code[unit];
        let Some(at) = self.states[unit].cursor.phase(code) else {
            self.states[unit].waits = None;
            return Ok(false);
        };
        let phase = &program.units[unit].phases[at];
        let Some((data, space, memory)) = self.constraints(unit, phase) else { return Ok(false) };

        let state = &mut self.states[unit];
        let start = state.ready.max(data).max(space).max(memory);
        let waited = start - state.ready;
        // The wait belongs to the constraint that came last; data wins a tie with space.
        match start {
            _ if waited == 0 => {}
            _ if data == start => state.counters.data += waited,
            _ if memory == start => state.counters.memory += waited,
            _ => state.counters.space += waited,
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

        let transfer = phase.transfer.map(|pattern| (pattern, self.request(unit, pattern, start + phase.latency)));
        if VALUES {
            self.compute(unit, at, transfer)?;
        }
        self.consume(unit, phase, start + phase.ii);
        self.produce(unit, phase, start, transfer.is_none().then_some(start + phase.latency));
        if transfer.is_some() {
            self.states[unit].flying.push_back(at as u32);
        }
        Ok(true)
    }

    /// When the last token, slot and answer needed are there (0 if none is needed); `None` if one is not known yet.
    #[inline]
    fn constraints(&mut self, unit: usize, phase: &Phase) -> Option<(u64, u64, u64)> {
        let (mut data, mut space, mut memory) = (0, 0, 0);
        for &(input, rate) in &phase.consume {
            let stream = self.program.inputs[unit][input];
            let ring = &mut self.rings[stream];
            let need = u64::from(rate);
            if ring.visible - ring.consumed < need {
                ring.data_needed = need;
                self.states[unit].waits = Some(Wait::Data(stream));
                return None;
            }
            let last = if ring.from_memory { &mut memory } else { &mut data };
            let mut at = ring.consume_at;
            for _ in 0..rate {
                *last = (*last).max(ring.slots[at].visible);
                at = if at + 1 == ring.slots.len() { 0 } else { at + 1 };
            }
        }
        for &(output, rate) in &phase.produce {
            let stream = self.program.outputs[unit][output];
            let ring = &mut self.rings[stream];
            let need = u64::from(rate);
            let len = ring.slots.len();
            if len as u64 - (ring.taken - ring.consumed) < need {
                ring.space_needed = need;
                self.states[unit].waits = Some(Wait::Space(stream));
                return None;
            }
            if rate > 0 {
                // Slots are freed in order, so the last one needed is free last. A slot never used is free at 0.
                space = space.max(ring.slots[(ring.take_at + rate as usize - 1) % len].freed);
            }
        }
        if phase.transfer.is_some() {
            let state = &mut self.states[unit];
            let most = state.answers.len() as u64;
            if state.issued - state.answered == most {
                state.waits = Some(Wait::Memory);
                return None;
            }
            if state.issued >= most {
                memory = memory.max(state.answers[(state.issued % most) as usize]);
            }
        }
        Some((data, space, memory))
    }

    /// Issues the transfer of this firing and returns its address.
    fn request(&mut self, unit: usize, transfer: usize, cycle: u64) -> u64 {
        let Some(port) = &self.program.units[unit].port else { return 0 };
        let state = &mut self.states[unit];
        let pattern = &port.patterns[transfer];
        let (base, count) = &mut state.patterns[transfer];
        let address = pattern.address(*base, *count, &self.bound.call.indices);
        *count += 1;
        state.issued += 1;
        // Requests leave in order of issue, also when a later firing has the shorter latency.
        let cycle = cycle.max(state.asked);
        state.asked = cycle;
        let (unit, tier) = (unit as u32, port.tier as u32);
        self.pending.push(Request { cycle, unit, tier, write: port.write, address, bytes: pattern.bytes });
        address
    }

    /// Takes this firing's tokens; their slots are free for the producer from `free` + credit latency.
    #[inline]
    fn consume(&mut self, unit: usize, phase: &Phase, free: u64) {
        for &(input, rate) in &phase.consume {
            let stream = self.program.inputs[unit][input];
            let (credit, from) = (self.program.streams[stream].credit, self.program.streams[stream].from.0);
            let ring = &mut self.rings[stream];
            for _ in 0..rate {
                ring.slots[ring.consume_at].freed = free + credit;
                ring.consume_at = if ring.consume_at + 1 == ring.slots.len() { 0 } else { ring.consume_at + 1 };
                ring.consumed += 1;
                ring.occupancy.settle(&ring.slots, ring.taken, ring.consumed);
            }
            if ring.space_needed > 0 && ring.slots.len() as u64 - (ring.taken - ring.consumed) >= ring.space_needed {
                ring.space_needed = 0;
                self.ready.push_back(from as u32);
            }
        }
    }

    /// Takes slots at `start`; the tokens leave at `done`, or when memory answers if that is not known yet.
    #[inline]
    fn produce(&mut self, unit: usize, phase: &Phase, start: u64, done: Option<u64>) {
        for &(output, rate) in &phase.produce {
            let stream = self.program.outputs[unit][output];
            let ring = &mut self.rings[stream];
            for _ in 0..rate {
                ring.slots[ring.take_at].taken = start;
                ring.take_at = if ring.take_at + 1 == ring.slots.len() { 0 } else { ring.take_at + 1 };
                ring.taken += 1;
                ring.occupancy.settle(&ring.slots, ring.taken, ring.consumed);
            }
            if let Some(done) = done {
                self.arrive(stream, rate, done);
            }
        }
    }

    /// `rate` tokens are visible on `stream` from `done` + its latency.
    #[inline]
    fn arrive(&mut self, stream: usize, rate: u32, done: u64) {
        let spec = &self.program.streams[stream];
        let ring = &mut self.rings[stream];
        for _ in 0..rate {
            ring.slots[ring.visible_at].visible = done + spec.latency;
            ring.visible_at = if ring.visible_at + 1 == ring.slots.len() { 0 } else { ring.visible_at + 1 };
        }
        ring.visible += u64::from(rate);
        if ring.data_needed > 0 && ring.visible - ring.consumed >= ring.data_needed {
            ring.data_needed = 0;
            self.ready.push_back(spec.to.0 as u32);
        }
    }

    /// Serves, in order of time, every pending request that nothing still unknown can precede.
    fn answer(&mut self) {
        // A stable sort keeps the order of issue, and runs fast over the sorted stretch that each unit leaves.
        self.pending.sort_by_key(|request| (request.cycle, request.unit));
        let horizon = self.pending[0].cycle + self.memory.lookahead();
        let count = self.pending.partition_point(|request| request.cycle < horizon);
        let pending = std::mem::take(&mut self.pending);
        for request in &pending[..count] {
            let done = self.memory.serve(request);
            let unit = request.unit as usize;
            let state = &mut self.states[unit];
            // Answers are handed on in order of issue: a later one waits for the earlier.
            let most = state.answers.len() as u64;
            let last = if state.answered == 0 { 0 } else { state.answers[((state.answered - 1) % most) as usize] };
            let done = done.max(last);
            state.answers[(state.answered % most) as usize] = done;
            state.answered += 1;
            state.end = state.end.max(done);
            if state.waits == Some(Wait::Memory) {
                state.waits = None;
                self.ready.push_back(request.unit);
            }
            if let Some(at) = state.flying.pop_front() {
                let phase = &self.program.units[unit].phases[at as usize];
                for &(output, rate) in &phase.produce {
                    self.arrive(self.program.outputs[unit][output], rate, done);
                }
            }
        }
        self.pending = pending;
        self.pending.drain(..count);
    }

    /// Moves values through the unit's operator.
    fn compute(&mut self, unit: usize, phase_at: usize, transfer: Option<(usize, u64)>) -> Result<(), RunError> {
        let phase = &self.program.units[unit].phases[phase_at];
        self.inputs.clear();
        self.outputs.clear();
        for &(input, rate) in &phase.consume {
            let stream = self.program.inputs[unit][input];
            let (ring, lanes) = (&self.rings[stream], self.program.streams[stream].lanes);
            let values = self.inputs.open(input, rate as usize * lanes);
            for (token, to) in values.chunks_exact_mut(lanes).enumerate() {
                let slot = (ring.consume_at + token) % ring.slots.len();
                to.copy_from_slice(&ring.values[slot * lanes..(slot + 1) * lanes]);
            }
        }
        for &(output, rate) in &phase.produce {
            let lanes = self.program.streams[self.program.outputs[unit][output]].lanes;
            self.outputs.open(output, rate as usize * lanes);
        }
        let firing = Firing { phase: phase_at, transfer, inputs: &self.inputs, outputs: &mut self.outputs };
        self.operators[unit]
            .fire(firing)
            .map_err(|what| RunError::Value { unit: self.program.units[unit].name.clone(), what })?;
        for &(output, _) in &phase.produce {
            let stream = self.program.outputs[unit][output];
            let (ring, lanes) = (&mut self.rings[stream], self.program.streams[stream].lanes);
            for (token, from) in self.outputs.get(output).chunks_exact(lanes).enumerate() {
                let slot = (ring.take_at + token) % ring.slots.len();
                ring.values[slot * lanes..(slot + 1) * lanes].copy_from_slice(from);
            }
        }
        Ok(())
    }

    /// Every unit must have ended; the rest of the elapsed cycles is idle.
    fn finish(self) -> Result<Run, RunError> {
        let cycles = self.states.iter().map(|state| state.end).max().unwrap_or(0);
        if self.states.iter().any(|state| state.waits.is_some()) {
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
        let streams = self.rings.into_iter().zip(&self.program.streams).map(|(ring, stream)| StreamTotals {
            tokens: ring.taken - stream.initial,
            high_water: ring.occupancy.high_water(&ring.slots, ring.taken, ring.consumed),
        });
        Ok(Run { cycles, firings: self.firings, units: units.collect(), streams: streams.collect() })
    }
}
