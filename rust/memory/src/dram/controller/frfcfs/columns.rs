//! Which read or write goes out.

use super::super::Burst;
use super::choice::{Choice, NOBODY};
use super::{Frfcfs, NEVER};
use crate::dram::banks::MOST_BANKS;
use crate::dram::command::Kind;
use crate::dram::statistics::Opening;

impl Frfcfs {
    /// Sends the column command of the oldest ready request whose row was opened for it; the column bus is free.
    #[inline]
    pub(super) fn try_active(&mut self, tick: u64) -> bool {
        if tick < self.active_next {
            return false;
        }
        let choice = self.active.choose(tick, &self.device.banks);
        self.active_next = choice.next;
        if choice.found() {
            self.send_active(tick, choice.bank());
        }
        choice.found()
    }

    #[inline(always)]
    fn send_active(&mut self, tick: u64, bank: usize) {
        let bank = bank % MOST_BANKS;
        self.active.banks &= !(1 << bank);
        let (kind, burst) = (self.active.kind[bank], self.active.burst[bank]);
        self.send_column(tick, kind, &burst, Opening::At(self.active.opened[bank]));
        // Its bank may be closed from now on.
        self.row_next = self.row_next.min(self.device.banks.precharge_from(bank));
        self.order_next = self.order_next.min(tick);
    }

    #[inline(always)]
    fn send_column(&mut self, tick: u64, kind: Kind, burst: &Burst, opening: Opening) {
        let bank = burst.bank as usize;
        let wanted = self.queues[0].hits | self.queues[1].hits | self.active.banks;
        let close = self.close_page && wanted >> bank & 1 == 0;
        self.device.column(tick, kind, burst, opening, opening == Opening::Hit, close);
        if close {
            self.queues.iter_mut().for_each(|queue| queue.closed(bank));
            self.row_next = self.row_next.min(tick + 1);
        }
        // The earliest that a data bus can take the next.
        let banks = &self.device.banks;
        let mut next = banks.column_bus;
        if banks.layout.pseudo_channels == 1 {
            let read = banks.rank_column_from(Kind::Read, 0);
            next = next.max(read.min(banks.rank_column_from(Kind::Write, 0)));
        }
        self.column_floor = next;
    }

    /// The oldest ready hit of the queue whose turn it is; the column bus is free.
    #[inline]
    pub(super) fn choose_hit(&self, tick: u64) -> Choice {
        let mode = self.mode();
        let queue = &self.queues[mode as usize];
        let mut choice = NOBODY;
        let mut hits = queue.hits & !queue.held;
        if hits == 0 {
            return choice;
        }
        let banks = &self.device.banks;
        for pc in 0..banks.layout.pseudo_channels {
            let scope = banks.layout.pseudo_channel_banks[pc % MOST_BANKS];
            let least = banks.rank_column_from(mode, pc);
            if hits & scope != 0 && least > tick {
                choice.next = choice.next.min(least);
                hits &= !scope;
            }
        }
        choice.pick(tick, hits, &queue.hit_rank, |bank| banks.column_from(mode, bank));
        choice
    }

    #[inline]
    pub(super) fn take_hit(&mut self, tick: u64, bank: usize) {
        let mode = self.mode();
        let queue = &mut self.queues[mode as usize];
        let burst = queue.take_hit(bank);
        self.weigh();
        let queue = &mut self.queues[mode as usize];
        if queue.closers >> bank & 1 == 1 {
            self.row_next = self.row_next.min(tick + 1);
            let waits = queue.oldest_other(bank).map_or(0, |arrival| tick - arrival);
            queue.held |= u64::from(waits > self.patience_ticks) << bank;
        }
        self.send_column(tick, mode, &burst, Opening::Hit);
    }

    /// A row was opened: its column commands may come at `ready`.
    #[inline]
    pub(super) fn expect_columns(&mut self, ready: u64) {
        self.active_next = self.active_next.min(ready);
        self.hit_next = self.hit_next.min(ready);
    }

    /// The earliest tick at which a column command can go out.
    #[inline]
    pub(super) fn column_due(&self) -> u64 {
        let hit_next = if self.orders.is_empty() { self.hit_next } else { NEVER };
        self.active_next.min(hit_next).max(self.column_floor)
    }
}
