//! One channel of a run and what waits in front of it.

use super::command::Kind;
use super::controller::{Burst, Offer, Schedule};
use std::collections::VecDeque;

/// Offers of one kind to a channel before each tick.
pub const OFFERS: usize = 4;

/// One channel and what waits for it.
pub(super) struct Lane<S> {
    pub controller: S,
    pub staged: [VecDeque<Burst>; 2],
    /// The next tick that has anything to do.
    pub due: u64,
    /// The last tick handled, where channels run ahead of each other.
    pub clock: u64,
}

impl<S: Schedule> Lane<S> {
    pub fn new(controller: S) -> Self {
        Lane { controller, staged: Default::default(), due: 1, clock: 0 }
    }

    /// Whether something could be offered before the next tick.
    #[inline]
    fn can_offer(&self) -> bool {
        Kind::BOTH.iter().any(|&kind| !self.staged[kind as usize].is_empty() && self.controller.has_room(kind))
    }

    /// Offers what waits, before `tick`. Returns how many were taken; `timed` leaves their `since` alone.
    #[inline]
    pub fn offer(&mut self, tick: u64, timed: bool) -> usize {
        let mut taken = 0;
        for kind in Kind::BOTH {
            for _ in 0..OFFERS {
                if !self.controller.has_room(kind) {
                    break;
                }
                let Some(mut burst) = self.staged[kind as usize].front().copied() else { break };
                let now = tick - S::LAG;
                if !timed {
                    burst.since = now;
                }
                match self.controller.offer(now, kind, burst) {
                    Offer::Full => break,
                    Offer::Taken | Offer::Merged(_) => taken += 1,
                }
                self.staged[kind as usize].pop_front();
            }
        }
        taken
    }

    #[inline]
    pub fn tick(&mut self, tick: u64) {
        self.controller.tick(tick);
        self.due = if self.can_offer() { tick + 1 } else { self.controller.next() };
    }

    /// Handles what is left to do between two ticks, the second included, with nothing more to take.
    pub fn linger(&mut self, after: u64, until: u64) {
        self.due = self.controller.next().max(after + 1);
        while self.due <= until {
            self.controller.tick(self.due);
            self.due = self.controller.next().max(self.due + 1);
        }
    }
}
