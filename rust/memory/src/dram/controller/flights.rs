//! Requests of one or more bursts on their way: how much of each is still to come, and which are done.

use std::collections::{BTreeMap, VecDeque};

/// A request that is done: the tick after the last beat of its last burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answer {
    pub tick: u64,
    pub id: u64,
    pub write: bool,
}

/// A request under way; `answer.tick` is that of its latest burst so far.
#[derive(Clone, Copy, Debug)]
pub struct Flight {
    pub answer: Answer,
    /// Bursts still to come.
    pub left: u64,
}

/// Flights are numbered in the order in which they set out.
#[derive(Clone, Debug, Default)]
pub struct Flights {
    /// Number of the first that is kept in line.
    first: u64,
    /// From there on; the places of writes have nothing left.
    line: VecDeque<Flight>,
    /// By number. They may wait for long, and reads do not wait for them.
    writes: BTreeMap<u64, Flight>,
    /// In order of time, then of `id`; each with its number.
    done: VecDeque<(Answer, u64)>,
    /// Numbers and ticks of those that got done, where somebody wants to know.
    pub log: Option<Vec<(u64, u64)>>,
}

impl Flights {
    /// A request of `bursts` bursts sets out; its number.
    pub fn depart(&mut self, id: u64, write: bool, bursts: u64) -> u64 {
        let number = self.next_number();
        let flight = Flight { answer: Answer { tick: 0, id, write }, left: bursts };
        if write {
            self.writes.insert(number, flight);
        }
        self.line.push_back(Flight { left: if write { 0 } else { bursts }, ..flight });
        number
    }

    /// The number of the next to set out.
    pub fn next_number(&self) -> u64 {
        self.first + self.line.len() as u64
    }

    /// A burst of the request is done at `tick`.
    #[inline]
    pub fn land(&mut self, number: u64, tick: u64) {
        let read = number.checked_sub(self.first).and_then(|at| self.line.get_mut(at as usize));
        let read = read.filter(|flight| flight.left > 0);
        let Some(flight) = read.or_else(|| self.writes.get_mut(&number)) else { return };
        flight.answer.tick = flight.answer.tick.max(tick);
        flight.left -= 1;
        if flight.left == 0 {
            let answer = flight.answer;
            if let Some(log) = &mut self.log {
                log.push((number, answer.tick));
            }
            self.answer(answer, number);
            if answer.write {
                self.writes.remove(&number);
            }
            self.trim();
        }
    }

    /// Drops what is done from the front.
    fn trim(&mut self) {
        while self.line.front().is_some_and(|flight| flight.left == 0) {
            self.line.pop_front();
            self.first += 1;
        }
    }

    pub fn answer(&mut self, answer: Answer, number: u64) {
        // Ends rise but for merged bursts: the place is nearly always the last.
        let mut place = self.done.len();
        while place > 0 && self.done[place - 1].0 > answer {
            place -= 1;
        }
        self.done.insert(place, (answer, number));
    }

    /// Moves what is done by `tick` to `answers`.
    pub fn arrive(&mut self, tick: u64, answers: &mut Vec<Answer>) {
        while let Some(&(answer, _)) = self.done.front().filter(|(answer, _)| answer.tick <= tick) {
            answers.push(answer);
            self.done.pop_front();
        }
    }

    /// The tick of the earliest answer that is certain.
    pub fn next(&self) -> Option<u64> {
        self.done.front().map(|(answer, _)| answer.tick)
    }

    /// Reads under way that set out before number `end`, with their numbers.
    pub fn reads_before(&self, end: u64) -> impl Iterator<Item = (u64, Flight)> {
        let numbered = (self.first..end).zip(self.line.iter().copied());
        numbered.filter(|(_, flight)| flight.left > 0)
    }

    /// The answer of a read that will be done at `tick`.
    pub fn foreseen(&self, number: u64, tick: u64) -> Option<Answer> {
        let flight = self.line.get(number.checked_sub(self.first)? as usize)?;
        Some(Answer { tick, ..flight.answer })
    }

    /// Reads before `end` stand as `left` says, by number; the others among them are done.
    pub fn settle(&mut self, end: u64, left: impl Iterator<Item = (u64, u64, u64)>) {
        let mut left = left.peekable();
        // Most are done before the first that is not.
        let done = left.peek().map_or(end, |(number, ..)| *number).min(end).saturating_sub(self.first);
        let done = (done as usize).min(self.line.len());
        self.line.drain(..done);
        self.first += done as u64;
        let settled = end.saturating_sub(self.first) as usize;
        for (number, flight) in (self.first..).zip(self.line.iter_mut().take(settled)) {
            flight.left = 0;
            if let Some((_, bursts, tick)) = left.next_if(|(next, ..)| *next == number) {
                flight.left = bursts;
                flight.answer.tick = tick;
            }
        }
        self.trim();
    }

    /// Forgets the answers of flights that were handed out already.
    pub fn forget(&mut self, numbers: &[u64]) {
        self.done.retain(|(_, number)| !numbers.contains(number));
    }

    /// What is still to be answered, as seen from the next number.
    pub fn encode(&self, out: &mut Vec<u64>) {
        let next = self.next_number();
        out.extend([self.reads_before(next).count(), self.writes.len(), self.done.len()].map(|count| count as u64));
        let writes = self.writes.iter().map(|(&number, &flight)| (number, flight));
        for (number, Flight { answer: Answer { tick, id, write }, left }) in self.reads_before(next).chain(writes) {
            out.extend([next - number, tick, id, u64::from(write), left]);
        }
        for &(Answer { tick, id, write }, _) in &self.done {
            out.extend([tick, id, u64::from(write)]);
        }
    }
}
