//! Requests of one or more bursts on their way: how much of each is still to come, and which are done.

use std::collections::VecDeque;

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
    /// Number of the first that is kept.
    first: u64,
    flights: VecDeque<Flight>,
    /// In order of time, then of `id`; each with its number.
    done: VecDeque<(Answer, u64)>,
    /// Numbers and ticks of those that got done, where somebody wants to know.
    pub log: Option<Vec<(u64, u64)>>,
}

impl Flights {
    /// A request of `bursts` bursts sets out; its number.
    pub fn depart(&mut self, id: u64, write: bool, bursts: u64) -> u64 {
        self.flights.push_back(Flight { answer: Answer { tick: 0, id, write }, left: bursts });
        self.next_number() - 1
    }

    /// The number of the next to set out.
    pub fn next_number(&self) -> u64 {
        self.first + self.flights.len() as u64
    }

    fn flight(&mut self, number: u64) -> Option<&mut Flight> {
        self.flights.get_mut(number.checked_sub(self.first)? as usize)
    }

    /// A burst of the request is done at `tick`.
    #[inline]
    pub fn land(&mut self, number: u64, tick: u64) {
        let Some(flight) = self.flight(number) else { return };
        flight.answer.tick = flight.answer.tick.max(tick);
        flight.left -= 1;
        if flight.left == 0 {
            let answer = flight.answer;
            if let Some(log) = &mut self.log {
                log.push((number, answer.tick));
            }
            self.answer(answer, number);
            self.trim();
        }
    }

    /// Drops what is done from the front.
    fn trim(&mut self) {
        while self.flights.front().is_some_and(|flight| flight.left == 0) {
            self.flights.pop_front();
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

    /// Those under way that set out before number `end`, with their numbers.
    pub fn before(&self, end: u64) -> impl Iterator<Item = (u64, Flight)> {
        let numbered = (self.first..end).zip(self.flights.iter().copied());
        numbered.filter(|(_, flight)| flight.left > 0)
    }

    /// The answer of a flight that will be done at `tick`.
    pub fn foreseen(&self, number: u64, tick: u64) -> Option<Answer> {
        let flight = self.flights.get(number.checked_sub(self.first)? as usize)?;
        Some(Answer { tick, ..flight.answer })
    }

    /// Those before `end` stand as `left` says, by number; the others among them are done.
    pub fn settle(&mut self, end: u64, left: impl Iterator<Item = (u64, u64, u64)>) {
        for number in self.first..end {
            if let Some(flight) = self.flight(number) {
                flight.left = 0;
            }
        }
        for (number, bursts, tick) in left {
            if let Some(flight) = self.flight(number) {
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

    /// What is still to be answered.
    pub fn encode(&self, out: &mut Vec<u64>) {
        out.extend([self.before(u64::MAX).count() as u64, self.done.len() as u64]);
        let answers = self.done.iter().map(|(answer, _)| (*answer, 0));
        for (Answer { tick, id, write }, left) in
            self.before(u64::MAX).map(|(_, flight)| (flight.answer, flight.left)).chain(answers)
        {
            out.extend([tick, id, u64::from(write), left]);
        }
    }
}
