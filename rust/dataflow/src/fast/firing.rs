//! Many firings of one unit at once: the passes of the recurrence, and what follows from the starts.

use super::Engine;
use super::body::{Body, CHUNK, Each};
use super::lane::Lane;
use super::passes::{chain, chain_each, late, late_evenly, late_of_three};
use super::values::compute;
use crate::engine::Decisions;
use crate::error::RunError;
use crate::observer::{Fired, Probe, State};
use std::cmp::Reverse;

/// The passes over the firings of a chunk.
pub(super) struct Scratch {
    /// When tokens of other units are there, and those of memory.
    data: [i64; CHUNK],
    memory: [i64; CHUNK],
    /// Starts, behind one place for the start before them.
    starts: [i64; CHUNK + 1],
    /// Starts + ii.
    ends: [i64; CHUNK],
    /// Where transfers go.
    addresses: Vec<u64>,
}

impl Scratch {
    pub(super) fn new() -> Box<Self> {
        let none = [0; CHUNK];
        Box::new(Scratch { data: none, memory: none, starts: [0; CHUNK + 1], ends: none, addresses: Vec::new() })
    }
}

impl<const VALUES: bool, P: Probe> Engine<'_, VALUES, P> {
    /// Fires unit `at` `firings` times; tokens, slots and room for its transfers are there.
    #[inline(always)]
    pub(super) fn fire(&mut self, at: usize, body: usize, firings: usize) -> Result<(), RunError> {
        let Self { bodies, lanes, times, actors, scratch, doors, ready, .. } = self;
        let (number, body, actor) = (body, &bodies[body], &mut actors[at]);
        let next = actor.place.next;
        let Scratch { data, memory, starts, ends, .. } = &mut **scratch;
        let (data, memory) = (&mut data[..firings], &mut memory[..firings]);
        let (chained, ends) = (&mut starts[..firings + 1], &mut ends[..firings]);
        let starts = &mut chained[1..];

        // When everything is there that a firing waits for, ...
        data.fill(0);
        for end in body.consume.iter().filter(|end| !end.from_memory) {
            lanes[end.lane].raise_tokens(times, end, next, data);
        }
        starts.copy_from_slice(data);
        if body.memory {
            memory.fill(0);
            for end in body.consume.iter().filter(|end| end.from_memory) {
                lanes[end.lane].raise_tokens(times, end, next, memory);
            }
            if let Some(door) = &doors[at] {
                let room = |ahead: usize| door.room(ahead as u64).unwrap_or(0) as i64;
                memory.iter_mut().enumerate().for_each(|(ahead, memory)| *memory = (*memory).max(room(ahead)));
            }
            starts.iter_mut().zip(&*memory).for_each(|(start, memory)| *start = (*start).max(*memory));
        }
        for end in &body.produce {
            lanes[end.lane].raise_space(times, end, next, starts);
        }

        // ... when it starts, given when the one before has ended, ...
        let before = actor.ready;
        let busy = match &body.ii {
            Each::Same(ii) => {
                actor.ready = chain(chained, before, *ii);
                let starts = &chained[1..];
                ends.iter_mut().zip(&*starts).for_each(|(end, start)| *end = start + ii);
                ii * firings as i64
            }
            Each::Table(iis) => {
                let iis = &iis[next..next + firings];
                actor.ready = chain_each(starts, ends, before, iis);
                iis.iter().sum()
            }
        };
        let starts = &chained[1..];
        let last = match &body.latency {
            Each::Same(latency) => starts[firings - 1] + latency,
            Each::Table(latencies) => {
                starts.iter().zip(&latencies[next..]).map(|(start, latency)| start + latency).fold(0, i64::max)
            }
        };
        actor.end = actor.end.max(actor.ready).max(last);
        actor.busy += busy;
        if actor.firings == 0 {
            actor.first = starts[0];
        }

        // ... and what it waited for: data, unless one of the others came later.
        let waited = actor.ready - before - busy;
        if waited > 0 && body.memory {
            let (space, from_memory) = late_of_three(data, memory, starts, ends, before);
            actor.space += space;
            actor.memory += from_memory;
        } else if waited > 0 && !body.produce.is_empty() {
            actor.space += if body.consume.is_empty() { waited } else { late(data, starts, ends, before) };
        }
        if P::ON || VALUES || body.transfer {
            return self.finish_slowly(at, number, firings, before);
        }
        for end in &body.consume {
            let lane = &mut lanes[end.lane];
            lane.consume(times, end, next, ends);
            ready.insert(lane.from);
        }
        for end in &body.produce {
            let lane = &mut lanes[end.lane];
            lane.produce(times, end, next, starts, Some(&body.latency));
            ready.insert(lane.to);
        }
        let length = body.actions.len();
        self.advance(at, length, firings);
        Ok(())
    }

    /// The same where every stream carries one token a firing and every firing takes the same time.
    #[inline(always)]
    pub(super) fn fire_plain(&mut self, at: usize, body: usize, firings: usize, ii: i64, latency: i64) {
        let Self { bodies, lanes, times, actors, scratch, ready, .. } = self;
        let (body, actor) = (&bodies[body], &mut actors[at]);
        let Scratch { data, memory, starts, .. } = &mut **scratch;
        let (data, chained) = (&mut data[..firings], &mut starts[..firings + 1]);
        latest(body, lanes, times, true, data, &mut chained[1..]);
        let before = actor.ready;
        actor.ready = chain(chained, before, ii);
        let starts = &chained[1..];
        actor.end = actor.end.max(actor.ready - ii + ii.max(latency));
        actor.busy += ii * firings as i64;
        if actor.firings == 0 {
            actor.first = starts[0];
        }
        let waited = actor.ready - before - ii * firings as i64;
        if waited > 0 && !body.produce.is_empty() {
            actor.space += if body.consume.is_empty() {
                waited
            } else {
                latest(body, lanes, times, false, &mut memory[..firings], data);
                late_evenly(data, starts, before, ii)
            };
        }
        for end in &body.consume {
            let lane = &mut lanes[end.lane];
            lane.plain_consume(times, starts, ii);
            ready.insert(lane.from);
        }
        for end in &body.produce {
            let lane = &mut lanes[end.lane];
            lane.plain_produce(times, starts);
            ready.insert(lane.to);
        }
        let length = body.actions.len();
        self.advance(at, length, firings);
    }

    /// Moves the unit on in its nest.
    #[inline(always)]
    fn advance(&mut self, at: usize, length: usize, firings: usize) {
        let actor = &mut self.actors[at];
        actor.firings += firings as u64;
        actor.place.advance(&self.pieces[at], length, firings as u64);
        self.firings += firings as u64;
    }

    /// The rest of a firing that somebody watches, that moves values, or that asks memory.
    #[inline(never)]
    fn finish_slowly(&mut self, at: usize, body: usize, firings: usize, before: i64) -> Result<(), RunError> {
        if P::ON {
            self.observe(at, body, firings, before);
        }
        let Self { bodies, lanes, times, actors, scratch, ready, program, .. } = self;
        let (body, actor) = (&bodies[body], &actors[at]);
        let (unit, next) = (actor.unit, actor.place.next);
        scratch.addresses.clear();
        if body.transfer
            && let Some(door) = &mut self.doors[at]
        {
            for firing in 0..firings {
                let number = body.actions[(next + firing) % body.actions.len()];
                let action = &program.actions[number];
                let cycle = (scratch.starts[firing + 1] as u64) + action.latency;
                let (address, oldest) = door.issue(unit, self.bound, action.transfer.unwrap_or(0), number, cycle);
                scratch.addresses.push(address);
                if oldest && let Some((request, _)) = door.asked.front() {
                    self.pending.push(Reverse((request.cycle, unit, at)));
                }
            }
        }
        if VALUES {
            let addresses = &scratch.addresses;
            compute(self.bound, &mut self.buffers, &mut *self.operators[unit], body, next, addresses, firings)
                .map_err(|what| RunError::Value { unit: program.units[unit].name.clone(), what })?;
        }
        if let Decisions::Record(tapes) = &mut self.decisions
            && program.units[unit].choice.is_some()
        {
            let phase = program.actions[body.actions[0]].phase as u32;
            tapes[unit].extend(std::iter::repeat_n(phase, firings));
        }
        for end in &body.consume {
            let lane = &mut lanes[end.lane];
            lane.consume(times, end, next, &scratch.ends[..firings]);
            ready.insert(lane.from);
        }
        for end in &body.produce {
            let lane = &mut lanes[end.lane];
            // The tokens of a load leave when memory answers.
            let leave = (!body.transfer).then_some(&body.latency);
            lane.produce(times, end, next, &scratch.starts[1..firings + 1], leave);
            ready.insert(lane.to);
        }
        let length = body.actions.len();
        self.advance(at, length, firings);
        Ok(())
    }

    fn observe(&mut self, at: usize, body: usize, firings: usize, before: i64) {
        let (body, actor, scratch) = (&self.bodies[body], &self.actors[at], &self.scratch);
        let mut ready = before;
        for firing in 0..firings {
            let action = &self.program.actions[body.actions[(actor.place.next + firing) % body.actions.len()]];
            let start = scratch.starts[firing + 1];
            let wait = match start {
                _ if start == ready => State::Busy,
                _ if scratch.data[firing] == start => State::Data,
                _ if body.memory && scratch.memory[firing] == start => State::Memory,
                _ => State::Space,
            };
            self.probe.fired(&Fired {
                unit: actor.unit,
                number: actor.firings + firing as u64,
                phase: action.phase,
                ready: ready as u64,
                start: start as u64,
                ii: action.ii,
                latency: action.latency,
                wait,
            });
            ready = scratch.ends[firing];
        }
    }

    /// Serves, in order of time, every request that nothing still unknown can precede.
    pub(super) fn answer(&mut self) {
        let horizon = self.pending.peek().map_or(0, |Reverse((first, ..))| first + self.memory.lookahead());
        while let Some(&Reverse((cycle, unit, at))) = self.pending.peek()
            && cycle < horizon
        {
            self.pending.pop();
            let Some(door) = &mut self.doors[at] else { continue };
            let Some((request, action)) = door.asked.pop_front() else { continue };
            if let Some((next, _)) = door.asked.front() {
                self.pending.push(Reverse((next.cycle, unit, at)));
            }
            let done = door.answer(self.memory.serve(&request)) as i64;
            self.actors[at].end = self.actors[at].end.max(done);
            self.ready.insert(at);
            for end in &self.program.ends[self.program.actions[action].produce.clone()] {
                let lane = &mut self.lanes[end.stream];
                lane.arrive(&mut self.times, end.rate / lane.share, done);
                self.ready.insert(lane.to);
            }
        }
    }
}

/// When the tokens of a plain body's next firings are there, and with `space` their slots too, in `out`.
#[inline(always)]
fn latest<'a>(
    body: &Body,
    lanes: &[Lane],
    times: &[i64],
    space: bool,
    mut other: &'a mut [i64],
    mut out: &'a mut [i64],
) {
    let (tokens, slots) = (body.consume.len(), if space { body.produce.len() } else { 0 });
    let count = out.len();
    if tokens + slots == 0 {
        return out.fill(0);
    }
    // Each pass reads what the one before wrote; the last one writes to `out`.
    if (tokens + slots) % 2 == 0 {
        std::mem::swap(&mut out, &mut other);
    }
    for pass in 0..tokens + slots {
        let span = match pass.checked_sub(tokens) {
            None => lanes[body.consume[pass].lane].plain_tokens(times, count),
            Some(slot) => lanes[body.produce[slot].lane].plain_space(times, count),
        };
        if pass == 0 {
            span.put(out)
        } else {
            span.later(other, out)
        }
        std::mem::swap(&mut out, &mut other);
    }
}
