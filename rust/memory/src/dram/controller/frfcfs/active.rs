//! Requests whose row has been opened for them, at most one a bank.

use super::super::burst::{Burst, Origin};
use super::choice::{Choice, NOBODY};
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
}

impl Active {
    pub fn new() -> Self {
        Active {
            banks: 0,
            kind: [Kind::Read; MOST_BANKS],
            burst: [Burst::default(); MOST_BANKS],
            rank: [0; MOST_BANKS],
            opened: [0; MOST_BANKS],
        }
    }

    /// The row of `burst`, which came at `arrival`, is opened at `tick`.
    pub fn add(&mut self, tick: u64, kind: Kind, burst: Burst, arrival: u64) {
        let bank = burst.bank as usize % MOST_BANKS;
        self.banks |= 1 << bank;
        self.kind[bank] = kind;
        self.burst[bank] = burst;
        self.rank[bank] = arrival << 20 | (tick - arrival).min((1 << 14) - 1) << 6 | bank as u64;
        self.opened[bank] = tick;
    }

    /// The oldest that is ready.
    #[inline]
    pub fn choose(&self, tick: u64, banks: &Banks) -> Choice {
        let (mut choice, mut open, mut set) = (NOBODY, 0, self.banks);
        while set != 0 {
            let bank = set.trailing_zeros() as usize;
            set &= set - 1;
            let from = banks.column_ok[bank][self.kind[bank] as usize];
            if from <= tick {
                open |= 1 << bank;
            } else {
                choice.next = choice.next.min(from);
            }
        }
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
        for bank in self.each() {
            self.rank[bank] += by.tick << 20;
            self.opened[bank] += by.tick;
            self.burst[bank].shift(by);
        }
    }
}
