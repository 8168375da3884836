//! A burst of a unit whose streams are all plain or paced and where memory has no part: the path of nearly all firings.

use super::Engine;
use super::passes::{chain, late, late_evenly};
use super::scratch::Scratch;
use crate::observer::Probe;

/// Any number of streams.
pub(super) const ANY: usize = usize::MAX;

/// The same streams, told to the compiler how many there are.
#[inline(always)]
fn known<const N: usize>(lanes: &[u32]) -> &[u32] {
    if N == ANY { lanes } else { &lanes[..N] }
}

impl<const VALUES: bool, P: Probe> Engine<'_, VALUES, P> {
    /// Fires a unit as often as it can, `most` times at most. If it is `PLAIN`, every stream is plain and firings have the
    /// same interval. `C` and `R` are the streams that it consumes from and produces on.
    #[inline(always)]
    pub(super) fn fire_steady<const C: usize, const R: usize, const PLAIN: bool>(
        &mut self,
        at: usize,
        body: usize,
        most: u64,
    ) -> u64 {
        let Self { bodies, lanes, times, actors, scratch, ready, .. } = self;
        let (body, actor) = (&bodies[body], &mut actors[at]);
        let (consume, produce) = (known::<C>(&body.inputs), known::<R>(&body.outputs));
        let Some(latency) = body.steady else { return 0 };
        let mut fired = most;
        for &lane in consume {
            fired = lanes[lane as usize].steady_firings::<PLAIN>(true, fired);
        }
        for &lane in produce {
            fired = lanes[lane as usize].steady_firings::<PLAIN>(false, fired);
        }
        if fired == 0 {
            return 0;
        }
        let (firings, next, before) = (fired as usize, actor.place.next, actor.ready);
        let same_ii = body.same_ii::<PLAIN>();
        let ii = same_ii.unwrap_or(0);
        let Scratch { starts, spare, data, ends, .. } = &mut **scratch;
        let (mut starts, mut spare, ends) =
            (&mut starts[..firings + 1], &mut spare[..firings + 1], &mut ends[..firings]);

        // When they start if they wait for tokens alone, ...
        let on_data = !consume.is_empty();
        for (rank, &lane) in consume.iter().enumerate() {
            let tokens = lanes[lane as usize].tokens_ahead::<PLAIN>();
            if !PLAIN {
                if rank == 0 || !tokens.are_past(times, &starts[1..]) {
                    actor.ready = tokens.start(rank == 0, times, &body.ii, next, before, &mut starts[1..], ends);
                }
            } else if rank == 0 {
                tokens.put(times, &mut starts[1..]);
            } else {
                tokens.later_steady(times, &starts[1..], &mut spare[1..]);
                std::mem::swap(&mut starts, &mut spare);
            }
        }
        if PLAIN && on_data {
            actor.ready = chain(starts, before, ii);
        }
        // ... when they do, which mostly is the same, ...
        let mut on_slots = false;
        for &lane in produce {
            let slots = lanes[lane as usize].slots_ahead::<PLAIN>();
            let first = !on_data && !on_slots;
            if !first && slots.are_past(times, &starts[1..]) {
                continue;
            }
            if on_data && !on_slots {
                data[..firings].copy_from_slice(&starts[1..]);
            }
            on_slots = true;
            if !PLAIN {
                actor.ready = slots.start(first, times, &body.ii, next, before, &mut starts[1..], ends);
            } else if first {
                slots.put(times, &mut starts[1..]);
            } else {
                slots.later_steady(times, &starts[1..], &mut spare[1..]);
                std::mem::swap(&mut starts, &mut spare);
            }
        }
        if PLAIN && on_slots {
            actor.ready = chain(starts, before, ii);
        }
        let starts = &starts[1..];
        // ... and how long they waited for slots: where tokens alone, and the firing before, would have let them start.
        let (busy, last_ii) = body.busy::<PLAIN>(next, firings);
        let waited = actor.ready - before - busy;
        if waited > 0 && on_slots {
            let data = &data[..firings];
            actor.space += match same_ii {
                _ if !on_data => waited,
                Some(ii) => late_evenly(data, starts, before, ii),
                None => late(data, starts, ends, before),
            };
        }
        actor.end = actor.end.max(actor.ready + (latency - last_ii).max(0));
        actor.busy += busy;
        if actor.firings == 0 {
            actor.first = starts[0];
        }
        let (ends, add) = same_ii.map_or((&*ends, 0), |ii| (starts, ii));
        actor.log.write(times, starts, ends, add);
        for &lane in consume {
            let lane = &mut lanes[lane as usize];
            lane.consume_steady::<PLAIN>(times, ends, add);
            ready.insert(lane.from);
        }
        for &lane in produce {
            let lane = &mut lanes[lane as usize];
            lane.produce_steady::<PLAIN>(times, starts);
            ready.insert(lane.to);
        }
        let length = body.actions.len();
        self.advance(at, length, firings);
        fired
    }

    /// Moves the unit on in its nest.
    #[inline(always)]
    pub(super) fn advance(&mut self, at: usize, length: usize, firings: usize) {
        let actor = &mut self.actors[at];
        actor.firings += firings as u64;
        actor.place.advance(&self.pieces[at], length, firings as u64);
        self.firings += firings as u64;
    }
}
