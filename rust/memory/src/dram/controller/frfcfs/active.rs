//! Requests whose row has been opened for them, at most one a bank.

use super::super::burst::{Burst, Origin};
use super::choice::{Choice, NOBODY};
use crate::dram::ahead::Ahead;
use crate::dram::banks::{Banks, MOST_BANKS};
use crate::dram::command::Kind;

#[derive(Clone, Debug)]
pub struct Active {
    pub banks: u64,
    pub kind: [Kind; MOST_BANKS],
    pub burst: [Burst; MOST_BANKS],
    /// Older first; of the same age, the one opened first; then the bank.
    rank: [u64; MOST_BANKS],
    pub opened: [u64; MOST_BANKS],
    /// When their columns may be read or written, as far as the bank goes, and those that wait for that.
    from: [u64; MOST_BANKS],
    ahead: Ahead,
}

impl Active {
    pub fn new() -> Self {
        Active {
            banks: 0,
            kind: [Kind::Read; MOST_BANKS],
            burst: [Burst::default(); MOST_BANKS],
            rank: [0; MOST_BANKS],
            opened: [0; MOST_BANKS],
            from: [0; MOST_BANKS],
            ahead: Ahead::default(),
        }
    }

    /// The row of `burst`, which came at `arrival`, is opened at `tick` and can be used at `from`.
    #[inline]
    pub fn add(&mut self, tick: u64, kind: Kind, burst: Burst, arrival: u64, from: u64) {
        let bank = burst.bank as usize % MOST_BANKS;
        self.banks |= 1 << bank;
        self.kind[bank] = kind;
        self.burst[bank] = burst;
        self.rank[bank] = arrival << 20 | (tick - arrival).min((1 << 14) - 1) << 6 | bank as u64;
        self.opened[bank] = tick;
        self.from[bank] = from;
        self.ahead.add(bank, from);
    }

    /// The oldest that is ready.
    #[inline]
    pub fn choose(&mut self, tick: u64, banks: &Banks) -> Choice {
        self.ahead.pass(tick, &self.from);
        let mut choice = Choice { next: self.ahead.next, ..NOBODY };
        let open = self.banks & !self.ahead.banks;
        choice.pick(tick, open, &self.rank, |bank| banks.column_from(self.kind[bank % MOST_BANKS], bank));
        choice
    }

    pub fn is_write(&self, bank: usize) -> bool {
        self.kind[bank % MOST_BANKS] == Kind::Write
    }

    fn each(&self) -> impl Iterator<Item = usize> + use<> {
        let banks = self.banks;
        (0..MOST_BANKS).filter(move |bank| banks >> bank & 1 == 1)
    }

    pub fn encode(&self, origin: &Origin, out: &mut Vec<u64>) {
        let now = origin.tick;
        for bank in self.each() {
            let (rank, opened) = (self.rank[bank], self.opened[bank]);
            out.extend([self.kind[bank] as u64, rank.wrapping_sub(now << 20), now - opened]);
            self.burst[bank].encode(origin, out);
        }
    }

    pub fn shift(&mut self, by: &Origin) {
        self.ahead.shift(by.tick);
        for bank in self.each() {
            self.rank[bank] += by.tick << 20;
            self.opened[bank] += by.tick;
            self.from[bank] += by.tick;
            self.burst[bank].shift(by);
        }
    }
}
