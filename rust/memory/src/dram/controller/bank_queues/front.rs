//! From the front queues to those of the banks, one request a tick.

use super::{BankQueues, Entry, QUIET_TICKS};
use crate::dram::command::Kind;

impl BankQueues {
    /// Moves one request from the front to its bank's queue.
    pub(super) fn move_one(&mut self) {
        if self.draining == 0 && self.drains(self.clock) {
            self.draining = self.front[1].len();
        }
        let mut kind = Kind::of(self.draining > 0);
        let Some(mut place) = self.fits[kind as usize] else { return };
        if kind == Kind::Write {
            let burst = &self.front[1][place];
            if self.holds(Kind::Read, burst.bank as usize, burst.address) {
                // The read of the old value goes first.
                self.draining = 0;
                kind = Kind::Read;
                let Some(read) = self.fits[kind as usize] else { return };
                place = read;
            } else {
                self.draining -= 1;
            }
        }
        let burst = self.front[kind as usize].remove(place);
        let bank = burst.bank as usize;
        self.lines[bank].push_back(Entry { kind, burst });
        self.waiting |= 1 << bank;
        self.bank_next[bank] = 0;
        self.planned &= !(1 << bank);
        self.command_next = 0;
        if self.lines[bank].len() >= self.line_room {
            self.full |= 1 << bank;
            let other = 1 - kind as usize;
            self.fits[other] = self.fits[other].and_then(|place| self.first_that_fits(other, place));
        }
        self.fits[kind as usize] = self.first_that_fits(kind as usize, place);
    }

    /// A bank's queue has room again.
    pub(super) fn make_room(&mut self, bank: usize) {
        self.full &= !(1 << bank);
        for (front, fits) in self.front.iter().zip(&mut self.fits) {
            let mut before = front.iter().take(fits.unwrap_or(front.len()));
            *fits = before.position(|burst| burst.bank as usize == bank).or(*fits);
        }
    }

    /// Whether writes begin to move at `tick` if they do not yet.
    fn drains(&self, tick: u64) -> bool {
        let writes = self.front[1].len();
        writes >= self.front_room[1]
            || (writes > self.idle_writes && self.waiting == 0)
            || (self.is_quiet() && tick >= self.busy + QUIET_TICKS)
    }

    /// Whether only a few writes are left.
    pub(super) fn is_quiet(&self) -> bool {
        self.waiting == 0 && self.front[0].is_empty() && !self.front[1].is_empty()
    }

    /// The oldest in front, from a place on, whose bank's queue has room.
    fn first_that_fits(&self, kind: usize, from: usize) -> Option<usize> {
        let mut rest = self.front[kind].iter().enumerate().skip(from);
        rest.find(|(_, burst)| self.full >> burst.bank & 1 == 0).map(|(place, _)| place)
    }

    /// Whether `move_one` would do anything at `tick`.
    pub(super) fn could_move(&self, tick: u64) -> bool {
        let drains = self.draining > 0 || self.drains(tick);
        self.fits[usize::from(drains)].is_some()
    }

    /// Whether a request of this kind and address waits, in front or at its bank.
    pub(super) fn holds(&self, kind: Kind, bank: usize, address: u64) -> bool {
        self.front[kind as usize].iter().any(|burst| burst.address == address && burst.bank as usize == bank)
            || self.lines[bank].iter().any(|entry| entry.kind == kind && entry.burst.address == address)
    }
}
