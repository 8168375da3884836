//! The best of what could go out now.

use super::NEVER;

/// The age of the one that goes, and when the others can.
#[derive(Clone, Copy)]
pub struct Choice {
    pub age: u64,
    pub bank: usize,
    pub next: u64,
}

pub const NOBODY: Choice = Choice { age: NEVER, bank: 0, next: NEVER };

impl Choice {
    #[inline]
    pub fn found(&self) -> bool {
        self.age != NEVER
    }

    /// The oldest of `banks`, or of those before. `from` says when the rest of the rules let a bank go; it is only
    /// asked of banks that would be chosen.
    #[inline(always)]
    pub fn pick(&mut self, tick: u64, banks: u64, age: &[u64; 64], from: impl Fn(usize) -> u64) {
        let mut set = banks;
        while set != 0 {
            let bank = set.trailing_zeros() as usize;
            set &= set - 1;
            if age[bank] >= self.age {
                self.next = tick + 1;
                continue;
            }
            let from = from(bank);
            if from > tick {
                self.next = self.next.min(from);
                continue;
            }
            if self.found() {
                self.next = tick + 1;
            }
            (self.age, self.bank) = (age[bank], bank);
        }
    }
}
