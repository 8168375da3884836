//! A load or store unit's door to memory: requests leave in order, and their answers are handed on in that order.

use crate::port::Request;
use crate::program::Bound;
use crate::unit::Unit;
use std::collections::VecDeque;

/// The requests of one unit.
pub(crate) struct Door {
    /// Per address pattern: relocated base and transfers so far.
    patterns: Vec<(u64, u64)>,
    /// Requests that memory has not served yet, oldest first, each with the action of its firing.
    pub asked: VecDeque<(Request, usize)>,
    last_cycle: u64,
    pub issued: u64,
    answered: u64,
    /// When the last `outstanding` answers came.
    answers: Vec<u64>,
}

impl Door {
    /// The door of `unit`; `None` for a unit that only computes.
    pub(crate) fn new(unit: &Unit, bound: &Bound) -> Option<Self> {
        let port = unit.port.as_ref()?;
        let base = |p: &crate::unit::Pattern| {
            p.base.wrapping_add(p.argument.map_or(0, |argument| bound.call.arguments[argument]))
        };
        Some(Door {
            patterns: port.patterns.iter().map(|pattern| (base(pattern), 0)).collect(),
            asked: VecDeque::new(),
            last_cycle: 0,
            issued: 0,
            answered: 0,
            answers: vec![0; port.outstanding],
        })
    }

    /// When request `ahead` from now may be in flight; `None` if that is not known yet.
    #[inline]
    pub(crate) fn room(&self, ahead: u64) -> Option<u64> {
        let most = self.answers.len() as u64;
        match (self.issued + ahead).checked_sub(most) {
            None => Some(0),
            Some(before) => (before < self.answered).then(|| self.answers[(before % most) as usize]),
        }
    }

    /// Raises the starts of successive requests to when there is room for them.
    pub(crate) fn raise(&self, starts: &mut [i64]) {
        for (ahead, start) in (0..).zip(starts) {
            *start = (*start).max(self.room(ahead).unwrap_or(0) as i64);
        }
    }

    /// Requests that may be issued before another answer is known.
    pub(crate) fn free(&self) -> u64 {
        self.answers.len() as u64 - (self.issued - self.answered)
    }

    /// Issues the transfer of a firing of `action` that follows `pattern`, and returns its address. True: it is the
    /// oldest that is not served yet.
    #[inline]
    pub(crate) fn issue(
        &mut self,
        unit: usize,
        bound: &Bound,
        pattern: usize,
        action: usize,
        cycle: u64,
    ) -> (u64, bool) {
        let Some(port) = &bound.program.units[unit].port else { return (0, false) };
        let spec = &port.patterns[pattern];
        let (base, count) = &mut self.patterns[pattern];
        let address = spec.address(*base, *count, &bound.call.indices);
        *count += 1;
        self.issued += 1;
        // Requests leave in order of issue, also when a later firing has the shorter latency.
        self.last_cycle = cycle.max(self.last_cycle);
        let (cycle, unit, tier, bytes) = (self.last_cycle, unit as u32, port.tier as u32, spec.bytes);
        let oldest = self.asked.is_empty();
        self.asked.push_back((Request { cycle, unit, tier, write: port.write, address, bytes }, action));
        (address, oldest)
    }

    /// Notes an answer; answers are handed on in order of issue, so a later one waits for the earlier.
    pub(crate) fn answer(&mut self, done: u64) -> u64 {
        let most = self.answers.len() as u64;
        let last = self.answered.checked_sub(1).map_or(0, |last| self.answers[(last % most) as usize]);
        let done = done.max(last);
        self.answers[(self.answered % most) as usize] = done;
        self.answered += 1;
        done
    }
}
