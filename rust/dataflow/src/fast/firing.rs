//! Many firings of one unit at once: the passes of the recurrence, and what follows from the starts.

use super::Engine;
use super::body::{Body, CHUNK, Each, Use};
use super::lane::Lane;
use super::passes::{chain, chain_each, evenly, late, late_evenly, late_of_three, put};
use super::track::Ahead;
use super::values::compute;
use crate::engine::Decisions;
use crate::error::RunError;
use crate::observer::{Fired, Probe, State};

/// A pass over the firings of a chunk, with a place in front for what comes before the first.
type Pass = [i64; CHUNK + 1];

/// The passes of one visit.
pub(super) struct Scratch {
    starts: Pass,
    spare: Pass,
    /// When tokens of other units are there, and those of memory.
    data: Pass,
    memory: Pass,
    /// Starts + ii.
    ends: [i64; CHUNK],
    /// Where transfers go.
    addresses: Vec<u64>,
}

impl Scratch {
    pub(super) fn new() -> Box<Self> {
        let (none, ends) = ([0; CHUNK + 1], [0; CHUNK]);
        Box::new(Scratch { starts: none, spare: none, data: none, memory: none, ends, addresses: Vec::new() })
    }
}

/// The latest of the times that firings wait for. Each stream's are taken in by a pass that reads what was found and
/// writes the spare slice, which is then the other.
struct Latest<'a> {
    found: &'a mut [i64],
    spare: &'a mut [i64],
    /// When the unit is ready; an earlier time is none.
    ready: i64,
    nothing: bool,
    /// Ends of streams that were taken in.
    taken: usize,
}

impl<'a> Latest<'a> {
    #[inline(always)]
    fn new(found: &'a mut Pass, spare: &'a mut Pass, firings: usize, ready: i64) -> Self {
        Latest { found: &mut found[..firings + 1], spare: &mut spare[..firings + 1], ready, nothing: true, taken: 0 }
    }

    #[inline(always)]
    fn take_tokens(&mut self, uses: &[Use], lanes: &[Lane], times: &[i64], next: usize) {
        uses.iter().for_each(|end| self.take(lanes[end.lane].tokens_ahead(), times, end, next));
    }

    #[inline(always)]
    fn take_slots(&mut self, uses: &[Use], lanes: &[Lane], times: &[i64], next: usize) {
        uses.iter().for_each(|end| self.take(lanes[end.lane].slots_ahead(), times, end, next));
    }

    /// Takes in one end of a stream, unless all its times are past: they only rise, so the last one tells.
    #[inline(always)]
    fn take(&mut self, ahead: Ahead, times: &[i64], end: &Use, next: usize) {
        if ahead.last(times, end, next, self.found.len() - 1) <= self.ready {
            return;
        }
        if !self.nothing && !ahead.matters(times, &self.found[1..]) {
            return;
        }
        if self.nothing && (end.plain || end.paced) {
            ahead.put(times, &mut self.found[1..]);
        } else {
            if self.nothing {
                self.found.fill(0);
            }
            ahead.later(times, end, next, &self.found[1..], &mut self.spare[1..]);
            std::mem::swap(&mut self.found, &mut self.spare);
        }
        self.nothing = false;
        self.taken += 1;
    }
}

impl<const VALUES: bool, P: Probe> Engine<'_, VALUES, P> {
    /// Fires unit `at` `firings` times; tokens, slots and room for its transfers are there.
    #[inline(always)]
    pub(super) fn fire(&mut self, at: usize, body: usize, firings: usize) -> Result<(), RunError> {
        let slowly = P::ON || VALUES;
        let Self { bodies, lanes, times, actors, scratch, doors, ready, .. } = self;
        let (number, body, actor) = (body, &bodies[body], &mut actors[at]);
        let (next, before) = (actor.place.next, actor.ready);
        let Scratch { starts, spare, data, memory, ends, .. } = &mut **scratch;

        // When everything is there that the firings wait for, ...
        let mut latest = Latest::new(starts, spare, firings, before);
        latest.take_tokens(&body.consume, lanes, times, next);
        latest.take_slots(&body.produce, lanes, times, next);
        let Latest { found: starts, spare, mut nothing, .. } = latest;
        if nothing && (body.transfer || body.ii.is_table()) {
            starts.fill(0);
            nothing = false;
        }
        if let Some(door) = doors.at(at) {
            door.raise(&mut starts[1..]);
        }

        // ... when they start, each given when the one before has ended, ...
        let ends = &mut ends[..firings];
        let busy = match &body.ii {
            Each::Same(ii) => {
                actor.ready = if nothing { evenly(&mut starts[1..], before, *ii) } else { chain(starts, before, *ii) };
                if slowly || body.transfer {
                    put(ends, &starts[1..], *ii);
                }
                ii * firings as i64
            }
            Each::Table(iis) => {
                let iis = &iis[next..next + firings];
                actor.ready = chain_each(&mut starts[1..], ends, before, iis);
                iis.iter().sum()
            }
        };
        let starts = &starts[1..];
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

        // ... and what they waited for: data, unless a slot or an answer came later.
        let waited = actor.ready - before - busy;
        if P::ON || (waited > 0 && body.memory) {
            let (data, memory) = (&mut data[1..firings + 1], &mut memory[1..firings + 1]);
            let spare = &mut spare[1..];
            tokens(body, lanes, times, next, false, data, spare);
            tokens(body, lanes, times, next, true, memory, spare);
            if let Some(door) = doors.at(at) {
                door.raise(memory);
            }
            let (space, from_memory) = match &body.ii {
                Each::Same(ii) => late_of_three(data, memory, starts, before, |start, _| start + ii),
                Each::Table(_) => late_of_three(data, memory, starts, before, |_, firing| ends[firing]),
            };
            actor.space += space;
            actor.memory += from_memory;
        } else if waited > 0 && !body.produce.is_empty() {
            let mut latest = Latest::new(data, memory, firings, before);
            latest.take_tokens(&body.consume, lanes, times, next);
            actor.space += match &body.ii {
                _ if latest.nothing => waited,
                Each::Same(ii) => late_evenly(&latest.found[1..], starts, before, *ii),
                Each::Table(_) => late(&latest.found[1..], starts, ends, before),
            };
        }
        if slowly || body.transfer {
            // Whichever slice the starts are in, the rest finds them.
            spare[1..].copy_from_slice(starts);
            return self.finish_slowly(at, number, firings, before);
        }
        for end in &body.consume {
            let lane = &mut lanes[end.lane];
            match &body.ii {
                Each::Same(ii) => lane.consume(times, end, next, starts, *ii),
                Each::Table(_) => lane.consume(times, end, next, ends, 0),
            }
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

    /// Fires a unit as often as it can, `most` times at most, where every stream is plain or paced and memory has no part;
    /// if it is `PLAIN`, every stream is plain and firings have the same interval. `C` and `R` are the streams that it
    /// consumes from and produces on.
    #[inline(always)]
    pub(super) fn fire_steady<const C: usize, const R: usize, const PLAIN: bool>(
        &mut self,
        at: usize,
        body: usize,
        most: u64,
    ) -> u64 {
        let Self { bodies, lanes, times, actors, scratch, ready, .. } = self;
        let (body, actor) = (&bodies[body], &mut actors[at]);
        let (consume, produce) = (known::<C>(&body.consume), known::<R>(&body.produce));
        let Some(latency) = body.steady else { return 0 };
        let (mut fired, next) = (most, actor.place.next);
        for end in consume {
            let lane = &lanes[end.lane];
            fired = if PLAIN { fired.min(lane.tokens()) } else { lane.firings(end, true, next, fired) };
        }
        for end in produce {
            let lane = &lanes[end.lane];
            fired = if PLAIN { fired.min(lane.space()) } else { lane.firings(end, false, next, fired) };
        }
        if fired == 0 {
            return 0;
        }
        let firings = fired as usize;
        let Scratch { starts, spare, data, memory, ends, .. } = &mut **scratch;
        let before = actor.ready;
        let (starts, on_data, on_slots) = if PLAIN {
            let (starts, spare) = (&mut starts[..firings + 1], &mut spare[..firings + 1]);
            let (starts, on_slots) = latest(consume, produce, lanes, times, starts, spare);
            (starts, !consume.is_empty(), on_slots)
        } else {
            let mut latest = Latest::new(starts, spare, firings, before);
            latest.take_tokens(consume, lanes, times, next);
            let on_data = !latest.nothing;
            if on_data && !produce.is_empty() {
                data[1..firings + 1].copy_from_slice(&latest.found[1..]);
            }
            let of_data = latest.taken;
            latest.take_slots(produce, lanes, times, next);
            let on_slots = latest.taken > of_data;
            (latest.found, on_data, on_slots)
        };
        if !PLAIN && !on_data && !on_slots {
            starts.fill(before);
        }
        let ends = &mut ends[..firings];
        let (busy, last_ii) = match &body.ii {
            Each::Same(ii) => {
                actor.ready = chain(starts, before, *ii);
                (ii * firings as i64, *ii)
            }
            Each::Table(_) if PLAIN => return 0,
            Each::Table(iis) => {
                let iis = &iis[next..next + firings];
                actor.ready = chain_each(&mut starts[1..], ends, before, iis);
                (iis.iter().sum(), iis[firings - 1])
            }
        };
        let starts = &starts[1..];
        actor.end = actor.end.max(actor.ready + (latency - last_ii).max(0));
        actor.busy += busy;
        if actor.firings == 0 {
            actor.first = starts[0];
        }
        let waited = actor.ready - before - busy;
        if waited > 0 && on_slots {
            actor.space += if !on_data {
                waited
            } else {
                let (data, spare) = (&mut data[..firings + 1], &mut memory[..firings + 1]);
                let data = if PLAIN { latest(consume, &[], lanes, times, data, spare).0 } else { data };
                match &body.ii {
                    Each::Same(ii) => late_evenly(&data[1..], starts, before, *ii),
                    Each::Table(_) => late(&data[1..], starts, ends, before),
                }
            };
        }
        let (ends, add) = match &body.ii {
            Each::Same(ii) => (starts, *ii),
            Each::Table(_) => (&*ends, 0),
        };
        for end in consume {
            let lane = &mut lanes[end.lane];
            if PLAIN {
                lane.plain_consume(times, ends, add);
            } else {
                lane.consume(times, end, next, ends, add);
            }
            ready.insert(lane.from);
        }
        for end in produce {
            let lane = &mut lanes[end.lane];
            if PLAIN {
                lane.plain_produce(times, starts);
            } else {
                lane.produce(times, end, next, starts, Some(&body.latency));
            }
            ready.insert(lane.to);
        }
        let length = body.actions.len();
        self.advance(at, length, firings);
        fired
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
        if body.transfer {
            for firing in 0..firings {
                let number = body.actions[(next + firing) % body.actions.len()];
                let action = &program.actions[number];
                let cycle = (scratch.starts[firing + 1] as u64) + action.latency;
                let pattern = action.transfer.unwrap_or(0);
                scratch.addresses.push(self.doors.issue(at, unit, self.bound, pattern, number, cycle));
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
            lane.consume(times, end, next, &scratch.ends[..firings], 0);
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
                _ if scratch.data[firing + 1] == start => State::Data,
                _ if body.memory && scratch.memory[firing + 1] == start => State::Memory,
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

    /// Takes turns with memory.
    #[inline(never)]
    pub(super) fn answer(&mut self) {
        let horizon = self.doors.ask(u64::MAX);
        let writes = self.next_write(horizon);
        let Self { doors, actors, lanes, times, ready, program, .. } = self;
        doors.answer(horizon, writes, |at, action, done| {
            // Answers of a unit come in order.
            let last = done.last().map_or(0, |&last| last as i64);
            actors[at].end = actors[at].end.max(last);
            ready.insert(at);
            for end in &program.ends[program.actions[action].produce.clone()] {
                let lane = &mut lanes[end.stream];
                lane.arrive(times, end.rate / lane.share, done);
                ready.insert(lane.to);
            }
        });
    }
}

/// When the tokens of the next firings are there, of memory or of all others.
fn tokens(
    body: &Body,
    lanes: &[Lane],
    times: &[i64],
    next: usize,
    from_memory: bool,
    out: &mut [i64],
    spare: &mut [i64],
) {
    out.fill(0);
    for end in body.consume.iter().filter(|end| end.from_memory == from_memory) {
        spare.copy_from_slice(out);
        lanes[end.lane].tokens_ahead().later(times, end, next, spare, out);
    }
}

/// Any number of streams.
pub(super) const ANY: usize = usize::MAX;

/// The same streams, told to the compiler how many there are.
#[inline(always)]
fn known<const N: usize>(uses: &[Use]) -> &[Use] {
    if N == ANY { uses } else { &uses[..N] }
}

/// When the tokens of a plain body's next firings, and their slots, are there: in one of the two slices, whose first places
/// stay free; and whether slots may have been later than all else.
#[inline(always)]
fn latest<'a>(
    consume: &[Use],
    produce: &[Use],
    lanes: &[Lane],
    times: &[i64],
    mut found: &'a mut [i64],
    mut spare: &'a mut [i64],
) -> (&'a mut [i64], bool) {
    let count = found.len() - 1;
    // Each pass reads what the one before wrote.
    for (rank, end) in consume.iter().enumerate() {
        let span = lanes[end.lane].plain_tokens(times, count);
        if rank == 0 {
            span.put(&mut found[1..]);
        } else {
            span.later(&found[1..], &mut spare[1..]);
            std::mem::swap(&mut found, &mut spare);
        }
    }
    let mut on_slots = false;
    for (rank, end) in produce.iter().enumerate() {
        let lane = &lanes[end.lane];
        if rank == 0 && consume.is_empty() {
            lane.plain_slots(times, count).put(&mut found[1..]);
        } else if lane.are_past(times, &found[1..]) {
            continue;
        } else {
            lane.plain_slots(times, count).later(&found[1..], &mut spare[1..]);
            std::mem::swap(&mut found, &mut spare);
        }
        on_slots = true;
    }
    if consume.is_empty() && produce.is_empty() {
        found.fill(0);
    }
    (found, on_slots)
}
