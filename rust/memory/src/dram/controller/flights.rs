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
struct Flight {
    answer: Answer,
    left: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Flights {
    /// Those with nothing left are free places, listed in `free`.
    flights: Vec<Flight>,
    free: Vec<u32>,
    /// In order of time, then of `id`.
    done: VecDeque<Answer>,
}

impl Flights {
    /// A request of `bursts` bursts sets out; its place.
    pub fn depart(&mut self, id: u64, write: bool, bursts: u64) -> u32 {
        let flight = Flight { answer: Answer { tick: 0, id, write }, left: bursts };
        if let Some(place) = self.free.pop() {
            self.flights[place as usize] = flight;
            return place;
        }
        self.flights.push(flight);
        (self.flights.len() - 1) as u32
    }

    /// A burst of the request is done at `tick`.
    #[inline]
    pub fn land(&mut self, place: u32, tick: u64) {
        let Some(flight) = self.flights.get_mut(place as usize) else { return };
        flight.answer.tick = flight.answer.tick.max(tick);
        flight.left -= 1;
        if flight.left == 0 {
            let answer = flight.answer;
            self.free.push(place);
            self.answer(answer);
        }
    }

    pub fn answer(&mut self, answer: Answer) {
        // Ends rise but for merged bursts: the place is nearly always the last.
        let mut place = self.done.len();
        while place > 0 && self.done[place - 1] > answer {
            place -= 1;
        }
        self.done.insert(place, answer);
    }

    /// Moves what is done by `tick` to `answers`.
    pub fn arrive(&mut self, tick: u64, answers: &mut Vec<Answer>) {
        while let Some(&answer) = self.done.front().filter(|answer| answer.tick <= tick) {
            answers.push(answer);
            self.done.pop_front();
        }
    }

    /// The tick of the earliest answer that is certain.
    pub fn next(&self) -> Option<u64> {
        self.done.front().map(|answer| answer.tick)
    }

    /// What is still to be answered, whatever its places.
    pub fn encode(&self, out: &mut Vec<u64>) {
        let mut under_way: Vec<_> =
            self.flights.iter().filter(|flight| flight.left > 0).map(|flight| (flight.answer, flight.left)).collect();
        under_way.sort_unstable();
        out.extend([under_way.len() as u64, self.done.len() as u64]);
        for (Answer { tick, id, write }, left) in under_way {
            out.extend([tick, id, u64::from(write), left]);
        }
        out.extend(self.done.iter().flat_map(|answer| [answer.tick, answer.id, u64::from(answer.write)]));
    }
}
