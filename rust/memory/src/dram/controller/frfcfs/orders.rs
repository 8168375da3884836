//! What a refresh that is owed needs.

use super::{Frfcfs, NEVER};
use crate::dram::refresh::Order;

impl Frfcfs {
    /// Sends what the oldest refresh owed needs next. Orders wait in line: one at a time.
    pub(super) fn try_order(&mut self, tick: u64) -> bool {
        if tick < self.order_next {
            return false;
        }
        let Some(&order) = self.orders.front() else { return false };
        let banks = &self.device.banks;
        let (open, unit, bank) = match order {
            Order::Unit(unit) => (banks.layout.unit_banks[unit] & banks.open != 0, unit, None),
            Order::Bank(bank) => (banks.open >> bank & 1 == 1, banks.layout.of(bank).unit(), Some(bank)),
        };
        let scope = bank.map_or(banks.layout.unit_banks[unit], |bank| 1 << bank);
        let pc = banks.layout.of(scope.trailing_zeros() as usize).pseudo_channel();
        let from = match (open, bank) {
            (true, None) => banks.precharge_all_from(unit),
            (true, Some(bank)) => banks.precharge_from(bank),
            (false, None) => self.to_rising(banks.refresh_all_from(unit).max(banks.row_bus)),
            (false, Some(bank)) => self.to_rising(banks.refresh_bank_from(bank).max(banks.row_bus)),
        };
        let from = from.max(banks.row_bus);
        if from > tick {
            self.order_next = from;
            return false;
        }
        if open && self.active.banks & scope != 0 {
            // The requests whose rows were opened go first; the last of them calls again.
            self.order_next = NEVER;
            return false;
        }
        if !self.is_rising(tick) {
            let paired = tick == self.rising.falling && self.rising.pseudo_channel as usize == pc;
            let apart = bank.is_some_and(|bank| self.rising.bank.is_some_and(|other| other as usize != bank));
            if !open || (paired && !apart) {
                self.order_next = tick + 1;
                return false;
            }
        }
        match (open, bank) {
            (true, None) => {
                self.device.precharge_all(tick, unit);
                let mut closed = scope;
                while closed != 0 {
                    let bank = closed.trailing_zeros() as usize;
                    self.queues.iter_mut().for_each(|queue| queue.closed(bank));
                    closed &= closed - 1;
                }
            }
            (true, Some(bank)) => {
                self.device.precharge(tick, bank);
                self.queues.iter_mut().for_each(|queue| queue.closed(bank));
            }
            (false, None) => self.device.refresh_all(tick, unit, self.owed_since),
            (false, Some(bank)) => self.device.refresh_bank(tick, bank, self.owed_since),
        }
        let rules = &self.device.banks.rules;
        let ticks = if open { rules.pre_ticks } else { rules.ref_ticks };
        self.record_rising(tick, pc, bank, ticks);
        self.order_next = self.device.banks.row_bus;
        if !open {
            self.orders.pop_front();
            if self.orders.is_empty() {
                // Nothing began while they waited, anywhere in the channel.
                let pcs = self.device.banks.layout.pseudo_channels;
                self.device.statistics.barred(0..pcs, self.owed_since, tick + 1);
                self.hit_next = tick;
                self.row_next = tick;
            }
        }
        true
    }

    /// Asks the calendar.
    #[cold]
    pub(super) fn owe(&mut self, tick: u64) {
        if tick >= self.device.refresher.next() {
            if self.orders.is_empty() {
                self.owed_since = tick;
            }
            self.device.refresher.tick(tick, &mut self.orders);
            self.order_next = self.order_next.min(tick);
        }
        self.refresh_next = self.device.refresher.next();
    }
}
