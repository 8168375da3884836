//! How soon a unit can write to memory that it is known not to be ready for: memory may look so far ahead.
//!
//! When nothing can fire, every unit waits for one thing at least: a token, a slot, or an answer. Its next firing comes
//! no sooner than that, which comes no sooner than the firing of another unit that makes it. So a chain of waits leads
//! from the unit that writes to an answer of memory, and along it firings take their intervals and tokens their way.

use super::Engine;
use super::body::{Each, Place};
use crate::deadlock::Wait;
use crate::observer::Probe;
use std::collections::HashMap;

/// A bound that is farther away than this many cycles needs no second look; a nearer one gets another after so many.
const FAR: u64 = 256;
const NEAR: u64 = 64;
/// Pieces of a nest that are looked at on the way to a token, at most: what comes later comes no sooner.
const PIECES: usize = 32;
/// Waits that a chain is followed through, at most.
const WAITS: usize = 256;

/// Before which cycle a unit asks for nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outlook {
    /// Requests that it had made then, and when that was.
    asked: u64,
    at: u64,
    until: u64,
}

impl<const VALUES: bool, P: Probe> Engine<'_, VALUES, P> {
    /// The cycle before which no write is asked of memory that has not been; nothing that is not known yet happens before
    /// `horizon`, and nothing can fire.
    pub(super) fn next_write(&mut self, horizon: u64) -> u64 {
        let mut outlooks = std::mem::take(&mut self.outlooks);
        let (mut found, mut first) = (HashMap::new(), u64::MAX);
        for (outlook, &place) in outlooks.iter_mut().zip(&self.doors.stores) {
            let Some((asked, waiting)) = self.doors.at(place).map(|door| door.asked()) else { continue };
            let is_old = outlook.until < horizon + FAR && outlook.at + NEAR <= horizon;
            if waiting.is_none() && (outlook.asked != asked || is_old) {
                let until = self.soonest(place, horizon as i64, &mut found) as u64;
                *outlook = Outlook { asked, at: horizon, until };
            }
            first = first.min(waiting.unwrap_or(outlook.until));
        }
        self.outlooks = outlooks;
        first
    }

    /// The next firing of unit `at` starts no sooner. What was found of others on the way is noted.
    fn soonest(&self, at: usize, horizon: i64, found: &mut HashMap<usize, i64>) -> i64 {
        if let Some(known) = found.get(&at) {
            return *known;
        }
        if found.len() == WAITS {
            return horizon;
        }
        // Who waits for itself waits for ever.
        found.insert(at, horizon);
        let actor = &self.actors[at];
        let soonest = match self.wait(at) {
            _ if actor.choice.is_some() => horizon,
            None => i64::MAX,
            Some(Wait::Memory) => horizon,
            Some(Wait::Space(stream)) => self.soonest(self.lanes[stream].to, horizon, found),
            Some(Wait::Data(stream)) => {
                let lane = &self.lanes[stream];
                if self.program.units[self.actors[lane.from].unit].port.is_some() {
                    horizon
                } else {
                    let first = self.soonest(lane.from, horizon, found);
                    first.saturating_add(self.cycles_before(lane.from, stream)).saturating_add(lane.least_delay())
                }
            }
        };
        let soonest = soonest.max(actor.ready);
        found.insert(at, soonest);
        soonest
    }

    /// Cycles from the next firing of unit `at` to the one that makes its next token on `lane`, at least.
    fn cycles_before(&self, at: usize, lane: usize) -> i64 {
        let (mut place, mut cycles) = (self.actors[at].place.clone(), 0i64);
        for _ in 0..PIECES {
            let Place { body, left, next, .. } = place;
            if left == 0 {
                return i64::MAX;
            }
            let body = &self.bodies[body];
            let without = match body.produce.iter().find(|end| end.lane == lane).map(|end| (end, &end.rate)) {
                None | Some((_, Each::Same(0))) => left,
                Some((end, _)) => end.firings(next, 0).min(left),
            };
            let ii = match &body.ii {
                Each::Same(ii) => *ii,
                Each::Table(iis) => iis.iter().copied().min().unwrap_or(0),
            };
            cycles = cycles.saturating_add(ii.saturating_mul(without as i64));
            if without < left {
                break;
            }
            place.advance(&self.pieces[at], body.actions.len(), left);
        }
        cycles
    }
}
