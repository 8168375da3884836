//! The doors of load and store units to memory: requests leave in order of time, and those of a unit are answered in the
//! order in which it asked.

use crate::port::{Answer, Memory, Request};
use crate::program::Bound;
use crate::unit::Unit;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// The requests of one unit.
pub(crate) struct Door {
    /// Per address pattern: relocated base, whole runs so far, and transfers of the run after them.
    patterns: Vec<(u64, u64, u64)>,
    /// Requests that memory has not heard of yet, oldest first, each with the action of its firing.
    waiting: VecDeque<(Request, usize)>,
    /// The action of each request that memory has taken, and when it was done, if that is known.
    flying: VecDeque<(usize, Option<u64>)>,
    last_cycle: u64,
    issued: u64,
    answered: u64,
    /// When the last `outstanding` answers came, the place of the next one, and when the last one came.
    answers: Vec<u64>,
    next_answer: usize,
    last_answer: u64,
}

impl Door {
    /// The door of `unit`; `None` for a unit that only computes.
    pub(crate) fn new(unit: &Unit, bound: &Bound) -> Option<Self> {
        let port = unit.port.as_ref()?;
        let base = |p: &crate::unit::Pattern| {
            p.base.wrapping_add(p.argument.map_or(0, |argument| bound.call.arguments[argument]))
        };
        Some(Door {
            patterns: port.patterns.iter().map(|pattern| (base(pattern), 0, 0)).collect(),
            waiting: VecDeque::new(),
            flying: VecDeque::new(),
            last_cycle: 0,
            issued: 0,
            answered: 0,
            answers: vec![0; port.outstanding],
            next_answer: 0,
            last_answer: 0,
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
        let most = self.answers.len() as u64;
        // The first requests of all need no answer, and what is not known yet holds up nobody here.
        let first = most.saturating_sub(self.issued).min(starts.len() as u64);
        let Some(before) = (self.issued + first).checked_sub(most) else { return };
        let known = self.answered.saturating_sub(before) as usize;
        let (late, early) = self.answers.split_at((before % most) as usize);
        let answers = early.iter().chain(late).take(known);
        for (start, &answer) in starts[first as usize..].iter_mut().zip(answers) {
            *start = (*start).max(answer as i64);
        }
    }

    /// Requests so far, and when the first leaves that memory has not heard of.
    pub(crate) fn asked(&self) -> (u64, Option<u64>) {
        (self.issued, self.waiting.front().map(|(request, _)| request.cycle))
    }

    /// Requests that may be issued before another answer is known.
    pub(crate) fn free(&self) -> u64 {
        self.answers.len() as u64 - (self.issued - self.answered)
    }

    /// Queues the transfer of a firing of `action` that follows `pattern`, and returns its address.
    #[inline]
    fn issue(&mut self, unit: usize, bound: &Bound, pattern: usize, action: usize, cycle: u64) -> u64 {
        let Some(port) = &bound.program.units[unit].port else { return 0 };
        let spec = &port.patterns[pattern];
        let (base, runs, at) = &mut self.patterns[pattern];
        let address = spec.address_in(*base, *runs, *at, &bound.call.indices);
        *at += 1;
        if *at == spec.run {
            (*runs, *at) = (*runs + 1, 0);
        }
        // Requests leave in order of issue, also when a later firing has the shorter latency.
        self.last_cycle = cycle.max(self.last_cycle);
        let (cycle, unit, tier, bytes) = (self.last_cycle, unit as u32, port.tier as u32, spec.bytes);
        let request = Request { cycle, unit, number: self.issued, tier, write: port.write, address, bytes };
        self.issued += 1;
        self.waiting.push_back((request, action));
        address
    }

    /// Notes when request `number` was done.
    fn land(&mut self, number: u64, cycle: u64) {
        let known = number.checked_sub(self.answered).and_then(|at| self.flying.get_mut(at as usize));
        if let Some((_, done)) = known {
            *done = Some(cycle);
        }
    }

    /// The oldest request if it was answered: its action, and when the answer is handed on. A later answer waits for the
    /// earlier.
    fn hand_on(&mut self) -> Option<(usize, u64)> {
        let &(action, done) = self.flying.front()?;
        let done = done?;
        self.flying.pop_front();
        self.last_answer = self.last_answer.max(done);
        self.answers[self.next_answer] = self.last_answer;
        self.next_answer = if self.next_answer + 1 == self.answers.len() { 0 } else { self.next_answer + 1 };
        self.answered += 1;
        Some((action, self.last_answer))
    }
}

/// All doors of a program, and the memory behind them.
pub(crate) struct Doors<'a> {
    memory: &'a mut dyn Memory,
    /// In the engine's order of units; `None` for a unit that only computes.
    doors: Vec<Option<Door>>,
    /// Place of each unit in that order.
    places: Vec<usize>,
    /// Units whose oldest request waits to be asked: its cycle, the unit, and its place.
    pending: BinaryHeap<Reverse<(u64, usize, usize)>>,
    answers: Vec<Answer>,
    /// Answers handed on together.
    done: Vec<u64>,
    /// Places of units that write.
    pub stores: Vec<usize>,
}

impl<'a> Doors<'a> {
    /// The doors of the units in `order`.
    pub fn new(bound: &Bound, order: &[usize], memory: &'a mut dyn Memory) -> Self {
        let mut places = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, &unit)| places[unit] = place);
        let doors = order.iter().map(|&unit| Door::new(&bound.program.units[unit], bound)).collect();
        let writes = |unit: usize| bound.program.units[unit].port.as_ref().is_some_and(|port| port.write);
        let stores = (0..order.len()).filter(|&place| writes(order[place])).collect();
        Doors { memory, doors, places, pending: BinaryHeap::new(), answers: Vec::new(), done: Vec::new(), stores }
    }

    #[inline]
    pub fn at(&self, place: usize) -> Option<&Door> {
        self.doors[place].as_ref()
    }

    /// Issues the transfer of a firing of `action` that follows `pattern`, and returns its address.
    #[inline]
    pub fn issue(
        &mut self,
        place: usize,
        unit: usize,
        bound: &Bound,
        pattern: usize,
        action: usize,
        cycle: u64,
    ) -> u64 {
        let Some(door) = &mut self.doors[place] else { return 0 };
        let address = door.issue(unit, bound, pattern, action, cycle);
        if door.waiting.len() == 1 {
            self.pending.push(Reverse((door.last_cycle, unit, place)));
        }
        address
    }

    /// Nothing that is not known yet can happen before this cycle; `None` if memory owes nothing.
    pub fn earliest(&self) -> Option<u64> {
        let first = self.pending.peek().map(|Reverse((cycle, ..))| *cycle);
        [first, self.memory.next_answer()].into_iter().flatten().min()
    }

    /// Tells memory, in order of time, every request that nothing still unknown can precede, and returns the cycle before
    /// which these are all. Something that is known to happen at `limit` may ask then.
    pub fn ask(&mut self, limit: u64) -> u64 {
        // What is unknown follows an answer: to a request that memory has taken, or to one that it is yet to take.
        let waiting =
            self.pending.iter().filter_map(|Reverse((.., place))| self.doors[*place].as_ref()?.waiting.front());
        let soonest = waiting.map(|(request, _)| self.memory.soonest(request));
        let horizon = soonest.chain(self.memory.next_answer()).fold(limit, u64::min);
        while let Some(&Reverse((cycle, unit, place))) = self.pending.peek()
            && cycle < horizon
        {
            self.pending.pop();
            let other = self.pending.peek().map_or((horizon, 0), |Reverse((cycle, other, _))| (*cycle, *other));
            let Some(door) = &mut self.doors[place] else { continue };
            while let Some((request, action)) = door.waiting.front() {
                if (request.cycle, unit) >= other.min((horizon, 0)) {
                    self.pending.push(Reverse((request.cycle, unit, place)));
                    break;
                }
                self.memory.ask(request);
                door.flying.push_back((*action, None));
                door.waiting.pop_front();
            }
        }
        horizon
    }

    /// Hands on the answers of memory, which has been asked everything before `horizon`, and before `writes` will be asked
    /// no write more: (place, action, cycles), those of one action that follow each other together.
    pub fn answer(&mut self, horizon: u64, writes: u64, mut hand_on: impl FnMut(usize, usize, &[u64])) {
        self.memory.advance(horizon, &mut self.answers);
        if writes > horizon {
            self.memory.foresee(writes, &mut self.answers);
        }
        let mut last = None;
        for answer in self.answers.drain(..) {
            let Some(&place) = self.places.get(answer.unit as usize) else { continue };
            let Some(door) = &mut self.doors[place] else { continue };
            door.land(answer.number, answer.cycle);
            while let Some((action, done)) = door.hand_on() {
                if let Some((place, action)) = last.filter(|&last| last != (place, action)) {
                    hand_on(place, action, &self.done);
                    self.done.clear();
                }
                last = Some((place, action));
                self.done.push(done);
            }
        }
        if let Some((place, action)) = last {
            hand_on(place, action, &self.done);
            self.done.clear();
        }
    }
}
