//! What waits in front of a controller: bursts that have not found room in it.

use super::super::command::Kind;
use super::super::controller::{Burst, Offer, Schedule};
use super::super::map::AddressMap;
use super::super::recall::Line;
use std::collections::VecDeque;

/// Flights in even pieces, one behind the other: a stream is one train, however long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Train {
    /// The next burst, within the channel; the flight that it belongs to; and bursts that this one still has.
    address: u64,
    number: u64,
    left: u64,
    /// Flights behind it, and the bursts of each.
    behind: u64,
    each: u64,
}

impl Train {
    fn bursts(&self) -> u64 {
        self.left + self.behind * self.each
    }

    /// Whether the flight goes on where the train ends, and has now joined it.
    fn couples(&mut self, address: u64, bursts: u64, number: u64) -> bool {
        let even = if self.behind == 0 { self.left <= bursts } else { self.each == bursts };
        let goes_on = address == self.address + self.bursts() && number == self.number + self.behind + 1;
        if even && goes_on {
            (self.behind, self.each) = (self.behind + 1, bursts);
        }
        even && goes_on
    }

    /// Takes bursts from its head, not more than there are.
    fn take(&mut self, bursts: u64) {
        self.address += bursts;
        if bursts < self.left || self.behind == 0 {
            self.left -= bursts;
            return;
        }
        let beyond = bursts - self.left;
        let gone = 1 + beyond / self.each;
        if gone > self.behind {
            self.left = 0;
        } else {
            self.left = self.each - beyond % self.each;
            self.number += gone;
        }
        self.behind = self.behind.saturating_sub(gone);
    }
}

/// Reads and writes, each in order.
#[derive(Clone, Debug, Default)]
pub struct Front {
    trains: [VecDeque<Train>; 2],
    /// Bursts that have gone on to the controller.
    pub taken: u64,
}

impl Front {
    /// Takes in a flight of at least one burst.
    pub fn push(&mut self, write: bool, address: u64, bursts: u64, number: u64) {
        let trains = &mut self.trains[usize::from(write)];
        if !trains.back_mut().is_some_and(|last| last.couples(address, bursts, number)) {
            trains.push_back(Train { address, number, left: bursts, behind: 0, each: 0 });
        }
    }

    /// Offers at `tick` as much as the controller takes.
    #[inline]
    pub fn feed<S: Schedule>(&mut self, controller: &mut S, map: &AddressMap, burst_bytes: u64, tick: u64) {
        self.feed_kind(controller, map, burst_bytes, tick, Kind::Read);
        self.feed_kind(controller, map, burst_bytes, tick, Kind::Write);
    }

    #[inline(always)]
    fn feed_kind<S: Schedule>(
        &mut self,
        controller: &mut S,
        map: &AddressMap,
        burst_bytes: u64,
        tick: u64,
        kind: Kind,
    ) {
        let trains = &mut self.trains[kind as usize];
        while controller.has_room(kind)
            && let Some(train) = trains.front_mut()
        {
            let Train { address, number: id, .. } = *train;
            let (bank, row) = map.bank_row(address);
            let burst = Burst { id, address, row, bank: bank as u8, bytes: burst_bytes as u16, since: tick };
            if controller.offer(tick, kind, burst) == Offer::Full {
                break;
            }
            train.take(1);
            self.taken += 1;
            if train.left == 0 {
                trains.pop_front();
            }
        }
    }

    /// As seen from the number of the next flight.
    pub fn encode(&self, next: u64, out: &mut Vec<u64>) {
        for trains in &self.trains {
            out.push(trains.len() as u64);
            for &Train { address, number, left, behind, each } in trains {
                out.extend([address, number.wrapping_sub(next), left, behind, each]);
            }
        }
    }

    /// The reads of one stream in even pieces that come next; `None` where writes wait too.
    pub fn line(&self) -> Option<Line> {
        let [reads, writes] = &self.trains;
        let train = reads.front()?;
        let &Train { address, number, left, behind, each } = train;
        let each = if behind == 0 { left } else { each };
        writes.is_empty().then(|| Line { number, address, left, each, bursts: train.bursts() })
    }

    /// Takes bursts from the line of reads that a course has used up.
    pub fn drop_reads(&mut self, mut bursts: u64) {
        self.taken += bursts;
        while let Some(train) = self.trains[0].front_mut()
            && bursts > 0
        {
            let part = train.bursts().min(bursts);
            train.take(part);
            bursts -= part;
            if train.left == 0 {
                self.trains[0].pop_front();
            }
        }
    }
}
