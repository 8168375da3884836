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
    /// Older first; of the same age, the one opened first.
    age: [u64; MOST_BANKS],
    pub opened: [u64; MOST_BANKS],
}

impl Active {
    pub fn new() -> Self {
        Active {
            banks: 0,
            kind: [Kind::Read; MOST_BANKS],
            burst: [Burst::default(); MOST_BANKS],
            age: [0; MOST_BANKS],
            opened: [0; MOST_BANKS],
        }
    }

    /// The row of `burst`, which came at `arrival`, is opened at `tick`.
    pub fn add(&mut self, tick: u64, kind: Kind, burst: Burst, arrival: u64) {
        let bank = burst.bank as usize % MOST_BANKS;
        self.banks |= 1 << bank;
        self.kind[bank] = kind;
        self.burst[bank] = burst;
        self.age[bank] = (arrival << 20) | (tick - arrival).min((1 << 20) - 1);
        self.opened[bank] = tick;
    }

    /// The oldest that is ready.
    #[inline]
    pub fn choose(&self, tick: u64, banks: &Banks) -> Choice {
        let mut choice = NOBODY;
        choice.pick(tick, self.banks, &self.age, |bank| banks.column_from(self.kind[bank % MOST_BANKS], bank));
        choice
    }

    fn each(&self) -> impl Iterator<Item = usize> + use<> {
        let banks = self.banks;
        (0..MOST_BANKS).filter(move |bank| banks >> bank & 1 == 1)
    }

    pub fn encode(&self, origin: &Origin, out: &mut Vec<u64>) {
        let now = origin.tick;
        for bank in self.each() {
            let (age, opened) = (self.age[bank], self.opened[bank]);
            out.extend([self.kind[bank] as u64, age.wrapping_sub(now << 20), now - opened]);
            self.burst[bank].encode(origin, out);
        }
    }

    pub fn shift(&mut self, by: &Origin) {
        for bank in self.each() {
            self.age[bank] += by.tick << 20;
            self.opened[bank] += by.tick;
            self.burst[bank].shift(by);
        }
    }
}
