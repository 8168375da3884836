//! Which row opens or closes.

use super::Frfcfs;
use super::choice::{Choice, NOBODY};
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
    #[inline]
    pub(super) fn choose_row(&mut self, tick: u64) -> Choice {
        let rising = self.is_rising(tick);
        let after = self.to_rising(tick + 1);
        let Frfcfs { queues, device, active, writing, rising: last, half_ticks, .. } = self;
        let (queue, banks) = (&queues[usize::from(*writing)], &mut device.banks);
        let mut choice = NOBODY;
        let mut openers = queue.others & !banks.open;
        let mut closers = queue.closers & !active.banks;
        for unit in 0..banks.layout.units {
            let scope = banks.layout.unit_banks[unit % MOST_BANKS];
            let least = banks.unit_act_ok[unit % MOST_BANKS];
            if openers & scope != 0 && (least > tick || !rising) {
                let least = if *half_ticks { least | 1 } else { least };
                choice.next = choice.next.min(least.max(after));
                openers &= !scope;
            }
            let least = banks.unit_pre_ok[unit % MOST_BANKS];
            if closers & scope != 0 && least > tick {
                choice.next = choice.next.min(least);
                closers &= !scope;
            }
        }
        if openers != 0 {
            let (ready, next) = banks.may_activate(tick, openers);
            choice.next = choice.next.min(next);
            choice.pick_ready(tick, ready, &queue.other_rank, |bank| banks.group_act_ok[banks.layout.of(bank).group()]);
        }
        if closers != 0 {
            let (ready, next) = banks.may_precharge(tick, closers);
            choice.next = choice.next.min(next);
            choice.pick_ready(tick, ready, &queue.other_rank, |bank| {
                let pc = banks.layout.of(bank).pseudo_channel();
                if rising || last.may_close(tick, pc, bank) { tick } else { tick + 1 }
            });
        }
        choice
    }

    pub(super) fn record_rising(&mut self, tick: u64, pseudo_channel: usize, bank: Option<usize>, ticks: u64) {
        if self.half_ticks && tick % 2 == 1 {
            let bank = bank.map(|bank| bank as u8);
            self.rising = Rising { pseudo_channel: pseudo_channel as u8, bank, falling: tick + ticks };
        }
    }

    /// Opens the row of the bank's oldest request, or closes what is open.
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
            self.active.add(tick, mode, burst, arrival);
            let [read, write] = self.device.banks.column_ok[bank];
            self.expect_columns(read.min(write));
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
