//! From the front queues to those of the banks, one request a tick.

use super::{BankQueues, QUIET_TICKS};
use crate::dram::banks::MOST_BANKS;
use crate::dram::command::Kind;

impl BankQueues {
    /// Moves one request from the front to its bank's queue.
    #[inline(always)]
    pub(super) fn move_one(&mut self) {
        if self.front[1].is_empty() {
            if let Some(bank) = self.first_that_fits(Kind::Read) {
                self.move_from(Kind::Read, bank);
            }
        } else {
            self.move_either();
        }
    }

    /// A write in its turn, or a read.
    fn move_either(&mut self) {
        if self.draining == 0 && self.drains(self.clock) {
            self.draining = self.front[1].len();
        }
        let mut kind = Kind::of(self.draining > 0);
        let Some(mut bank) = self.first_that_fits(kind) else { return };
        if kind == Kind::Write {
            let mut writes = self.front[1].oldest(bank).into_iter();
            if writes.any(|(_, write)| self.holds(Kind::Read, bank, write.address)) {
                // The read of the old value goes first.
                self.draining = 0;
                kind = Kind::Read;
                let Some(read) = self.first_that_fits(kind) else { return };
                bank = read;
            } else {
                self.draining -= 1;
            }
        }
        self.move_from(kind, bank);
    }

    /// Moves the oldest request of a bank from the front, which must have one.
    #[inline(always)]
    fn move_from(&mut self, kind: Kind, bank: usize) {
        let (burst, _) = self.front[kind as usize].take_other(bank);
        let line = &mut self.lines[kind as usize];
        let before = line.sets();
        line.push(burst, self.clock, self.device.banks.row[bank % MOST_BANKS]);
        // One more read behind others changes nothing; a write may be the first that waits for no read.
        if kind == Kind::Write || self.lines[kind as usize].sets() != before {
            self.command_next = self.command_next.min(self.bank_from(bank).max(self.clock + 1));
        }
        let length = &mut self.lengths[bank % MOST_BANKS];
        *length += 1;
        self.full |= u64::from(usize::from(*length) >= self.line_room) << bank;
    }

    /// Whether writes begin to move at `tick` if they do not yet.
    #[inline(always)]
    fn drains(&self, tick: u64) -> bool {
        let writes = &self.front[1];
        !writes.is_empty()
            && (writes.is_full()
                || (writes.len() > self.idle_writes && self.waiting() == 0)
                || (self.is_quiet() && tick >= self.busy + QUIET_TICKS))
    }

    /// Whether only a few writes are left.
    #[inline(always)]
    pub(super) fn is_quiet(&self) -> bool {
        self.waiting() == 0 && self.front[0].is_empty() && !self.front[1].is_empty()
    }

    /// The bank of the oldest in front whose bank's queue has room.
    #[inline(always)]
    fn first_that_fits(&self, kind: Kind) -> Option<usize> {
        let front = &self.front[kind as usize];
        let (mut fits, mut least) = (front.others & !self.full, u64::MAX);
        while fits != 0 {
            least = least.min(front.other_rank[fits.trailing_zeros() as usize]);
            fits &= fits - 1;
        }
        (least != u64::MAX).then_some(least as usize % MOST_BANKS)
    }

    /// Whether `move_one` would do anything at `tick`.
    #[inline(always)]
    pub(super) fn could_move(&self, tick: u64) -> bool {
        let drains = !self.front[1].is_empty() && (self.draining > 0 || self.drains(tick));
        self.front[usize::from(drains)].others & !self.full != 0
    }

    /// Whether a request of this kind and address waits, in front or at its bank.
    pub(super) fn holds(&self, kind: Kind, bank: usize, address: u64) -> bool {
        [&self.front, &self.lines].iter().any(|queues| queues[kind as usize].holds(bank, address))
    }
}
