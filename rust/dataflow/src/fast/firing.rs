//! Many firings of one unit at once, whatever its streams and its phases: the passes of the recurrence, and what follows
//! from the starts.

use super::Engine;
use super::body::{Body, Each};
use super::lane::Lane;
use super::latest::Latest;
use super::passes::{chain, chain_each, evenly, late, late_evenly, late_of_three, put};
use super::scratch::Scratch;
use super::values::compute;
use crate::engine::Decisions;
use crate::error::RunError;
use crate::observer::{Fired, Probe, State};

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
        match &body.ii {
            Each::Same(ii) => actor.log.write(times, starts, starts, *ii),
            Each::Table(_) => actor.log.write(times, starts, ends, 0),
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
        let (starts, ends) = (&scratch.starts[1..firings + 1], &scratch.ends[..firings]);
        actors[at].log.write(times, starts, ends, 0);
        for end in &body.consume {
            let lane = &mut lanes[end.lane];
            lane.consume(times, end, next, ends, 0);
            ready.insert(lane.from);
        }
        for end in &body.produce {
            let lane = &mut lanes[end.lane];
            // The tokens of a load leave when memory answers.
            let leave = (!body.transfer).then_some(&body.latency);
            lane.produce(times, end, next, starts, leave);
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
        lanes[end.lane].tokens_ahead::<false>().later(times, end, next, spare, out);
    }
}
