//! Many firings of one unit at once: the passes of the recurrence, and what follows from the starts.

use super::Engine;
use super::body::{CHUNK, Each};
use super::lane::{lift, put};
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
    starts: [i64; CHUNK],
    /// Starts + ii.
    ends: [i64; CHUNK],
    /// Where transfers go.
    addresses: Vec<u64>,
}

impl Scratch {
    pub(super) fn new() -> Box<Self> {
        let none = [0; CHUNK];
        Box::new(Scratch { data: none, memory: none, starts: none, ends: none, addresses: Vec::new() })
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
        let (starts, ends) = (&mut starts[..firings], &mut ends[..firings]);

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
                actor.ready = chain(starts, before, *ii);
                ends.iter_mut().zip(&*starts).for_each(|(end, start)| *end = start + ii);
                ii * firings as i64
            }
            Each::Table(iis) => {
                let iis = &iis[next..next + firings];
                actor.ready = chain_each(starts, ends, before, iis);
                iis.iter().sum()
            }
        };
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
        let Scratch { data, starts, .. } = &mut **scratch;
        let (data, starts) = (&mut data[..firings], &mut starts[..firings]);
        let told_apart = !body.consume.is_empty() && !body.produce.is_empty();
        let tokens = if told_apart { &mut *data } else { &mut *starts };
        match body.consume.split_first() {
            None if body.produce.is_empty() => starts.fill(0),
            None => {}
            Some((first, rest)) => {
                copy(tokens, lanes[first.lane].plain_tokens(times, firings));
                rest.iter().for_each(|end| raise(tokens, lanes[end.lane].plain_tokens(times, firings)));
            }
        }
        if let Some((first, rest)) = body.produce.split_first() {
            let space = lanes[first.lane].plain_space(times, firings);
            if told_apart {
                raise_to(starts, data, space)
            } else {
                copy(starts, space)
            }
            rest.iter().for_each(|end| raise(starts, lanes[end.lane].plain_space(times, firings)));
        }
        let before = actor.ready;
        let ready_after = chain(starts, before, ii);
        let busy = ii * firings as i64;
        let waited = ready_after - before - busy;
        if waited > 0 && !body.produce.is_empty() {
            actor.space += if told_apart { late_evenly(data, starts, before, ii) } else { waited };
        }
        actor.ready = ready_after;
        actor.end = actor.end.max(ready_after - ii + ii.max(latency));
        actor.busy += busy;
        if actor.firings == 0 {
            actor.first = starts[0];
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
                let cycle = (scratch.starts[firing] as u64) + action.latency;
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
            lane.produce(times, end, next, &scratch.starts[..firings], leave);
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
            let start = scratch.starts[firing];
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

/// Sets `to` to successive times plus `add`.
#[inline(always)]
fn copy(to: &mut [i64], (one, two, add): (&[i64], &[i64], i64)) {
    let (to_one, to_two) = to.split_at_mut(one.len());
    put(to_one, one, add);
    if !two.is_empty() {
        put(to_two, two, add);
    }
}

/// Raises `to` to successive times plus `add`.
#[inline(always)]
fn raise(to: &mut [i64], (one, two, add): (&[i64], &[i64], i64)) {
    let (to_one, to_two) = to.split_at_mut(one.len());
    lift(to_one, one, add);
    if !two.is_empty() {
        lift(to_two, two, add);
    }
}

/// Sets `to` to the later of `than` and successive times plus `add`.
#[inline(always)]
fn raise_to(to: &mut [i64], than: &[i64], (one, two, add): (&[i64], &[i64], i64)) {
    let pass = |to: &mut [i64], than: &[i64], from: &[i64]| {
        for ((to, than), from) in to.iter_mut().zip(than).zip(from) {
            *to = (*than).max(from + add);
        }
    };
    let (to_one, to_two) = to.split_at_mut(one.len());
    let (than_one, than_two) = than.split_at(one.len());
    pass(to_one, than_one, one);
    if !two.is_empty() {
        pass(to_two, than_two, two);
    }
}

/// Raises each start to the end of the firing before, `ii` after its start; returns the end of the last.
#[inline(always)]
fn chain(starts: &mut [i64], before: i64, ii: i64) -> i64 {
    starts.iter_mut().fold(before, |ready, start| {
        *start = (*start).max(ready);
        *start + ii
    })
}

/// The same where each firing has its own interval.
#[inline(always)]
fn chain_each(starts: &mut [i64], ends: &mut [i64], before: i64, iis: &[i64]) -> i64 {
    starts.iter_mut().zip(ends).zip(iis).fold(before, |ready, ((start, end), ii)| {
        *start = (*start).max(ready);
        *end = *start + ii;
        *end
    })
}

/// Cycles waited by firings whose data were there before they started.
#[inline(always)]
fn late(data: &[i64], starts: &[i64], ends: &[i64], before: i64) -> i64 {
    let wait = |data: i64, start: i64, ready: i64| if data < start { start - ready } else { 0 };
    let rest = data[1..].iter().zip(&starts[1..]).zip(ends);
    wait(data[0], starts[0], before) + rest.map(|((&data, &start), &ready)| wait(data, start, ready)).sum::<i64>()
}

/// The same, told apart: for space, and for memory.
#[inline(always)]
fn late_of_three(data: &[i64], memory: &[i64], starts: &[i64], ends: &[i64], before: i64) -> (i64, i64) {
    let (mut space, mut from_memory, mut ready) = (0, 0, before);
    for (firing, &start) in starts.iter().enumerate() {
        let wait = if data[firing] < start { start - ready } else { 0 };
        *(if memory[firing] == start { &mut from_memory } else { &mut space }) += wait;
        ready = ends[firing];
    }
    (space, from_memory)
}

/// `late` where every firing is busy for `ii`.
#[inline(always)]
fn late_evenly(data: &[i64], starts: &[i64], before: i64, ii: i64) -> i64 {
    let wait = |data: i64, start: i64, ready: i64| if data < start { start - ready } else { 0 };
    let rest = data[1..].iter().zip(&starts[1..]).zip(starts);
    wait(data[0], starts[0], before) + rest.map(|((&data, &start), &last)| wait(data, start, last + ii)).sum::<i64>()
}
