//! Which row opens or closes.

use super::choice::{Choice, NOBODY};
use super::{Frfcfs, NEVER};
use crate::dram::banks::MOST_BANKS;

/// The latest row command on a rising edge, for what may follow on the falling edge that ends it.
#[derive(Clone, Copy, Debug)]
pub struct Rising {
    pub pseudo_channel: u8,
    /// `None`: all banks.
    pub bank: Option<u8>,
    pub falling: u64,
}

impl Frfcfs {
    /// The oldest ready activate or precharge that the queue whose turn it is asks for; the row bus is free.
    #[inline(always)]
    pub(super) fn choose_row(&mut self, tick: u64) -> Choice {
        let rising = self.is_rising(tick);
        let after = self.to_rising(tick + 1);
        let Frfcfs { queues, device, active, writing, rising: last, half_ticks, .. } = self;
        let (queue, banks) = (&queues[usize::from(*writing)], &mut device.banks);
        let mut next = NEVER;
        let mut openers = queue.others & !banks.open;
        if openers != 0 {
            for unit in 0..banks.layout.units {
                let scope = banks.layout.unit_banks[unit % MOST_BANKS];
                let least = banks.unit_act_ok[unit % MOST_BANKS];
                if openers & scope != 0 && (least > tick || !rising) {
                    let least = if *half_ticks { least | 1 } else { least };
                    next = next.min(least.max(after));
                    openers &= !scope;
                }
            }
            let (ready, later) = banks.may_activate(tick, openers);
            next = next.min(if ready == openers { NEVER } else { later });
            openers = ready;
        }
        let mut closers = queue.closers & !active.banks;
        if banks.pre_floor > tick {
            for unit in 0..banks.layout.units {
                let least = banks.unit_pre_ok[unit % MOST_BANKS];
                if least > tick {
                    next = next.min(least);
                    closers &= !banks.layout.unit_banks[unit % MOST_BANKS];
                }
            }
        }
        if closers != 0 {
            let (ready, later) = banks.may_precharge(tick, closers);
            next = next.min(if ready == closers { NEVER } else { later });
            closers = ready;
        }
        let mut left = openers | closers;
        while left != 0 {
            let (mut set, mut least) = (left, NEVER);
            while set != 0 {
                least = least.min(queue.other_rank[set.trailing_zeros() as usize]);
                set &= set - 1;
            }
            let bank = least as usize % MOST_BANKS;
            left &= !(1 << bank);
            let place = banks.layout.of(bank);
            let from = if openers >> bank & 1 == 1 {
                banks.group_act_ok[place.group()]
            } else if rising || last.may_close(tick, place.pseudo_channel(), bank) {
                tick
            } else {
                tick + 1
            };
            if from <= tick {
                return Choice { rank: least, next: if left == 0 { next } else { tick + 1 } };
            }
            next = next.min(from);
        }
        Choice { next, ..NOBODY }
    }

    #[inline]
    pub(super) fn record_rising(&mut self, tick: u64, pseudo_channel: usize, bank: Option<usize>, ticks: u64) {
        if self.half_ticks && tick % 2 == 1 {
            let bank = bank.map(|bank| bank as u8);
            self.rising = Rising { pseudo_channel: pseudo_channel as u8, bank, falling: tick + ticks };
        }
    }

    /// Opens the row of the bank's oldest request, or closes what is open.
    #[inline(always)]
    pub(super) fn send_row(&mut self, tick: u64, choice: Choice) {
        let (mode, bank) = (self.mode(), choice.bank());
        // Others as they stand, and what this command makes possible.
        let mut next = choice.next;
        let pc = self.device.banks.layout.of(bank).pseudo_channel();
        if self.device.banks.open >> bank & 1 == 0 {
            let (burst, arrival) = self.queues[mode as usize].take_other(bank);
            self.weigh();
            self.device.activate(tick, bank, burst.row);
            self.queues.iter_mut().for_each(|queue| queue.opened(bank, burst.row));
            let columns = self.device.banks.column_ok[bank];
            self.active.add(tick, mode, burst, arrival, columns[mode as usize]);
            self.expect_columns(columns[0].min(columns[1]));
            self.record_rising(tick, pc, Some(bank), self.device.banks.rules.act_ticks);
        } else {
            self.device.precharge(tick, bank);
            self.queues.iter_mut().for_each(|queue| queue.closed(bank));
            self.record_rising(tick, pc, Some(bank), self.device.banks.rules.pre_ticks);
            next = next.min(self.device.banks.activate_from(bank));
        }
        self.row_next = next;
    }
}

impl Rising {
    /// On the falling edge that ends a row command, its own bank cannot be precharged.
    #[inline]
    fn may_close(&self, tick: u64, pseudo_channel: usize, bank: usize) -> bool {
        tick != self.falling
            || self.pseudo_channel as usize != pseudo_channel
            || self.bank.is_some_and(|other| other as usize != bank)
    }
}
