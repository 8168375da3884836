//! The best of what could go out now.

use super::NEVER;
use crate::dram::banks::MOST_BANKS;

/// The one that goes, and when the others can.
#[derive(Clone, Copy)]
pub struct Choice {
    /// Its age; the last six bits are its bank.
    pub rank: u64,
    pub next: u64,
}

pub const NOBODY: Choice = Choice { rank: NEVER, next: NEVER };

impl Choice {
    #[inline]
    pub fn found(&self) -> bool {
        self.rank != NEVER
    }

    #[inline]
    pub fn bank(&self) -> usize {
        self.rank as usize % MOST_BANKS
    }

    /// The oldest of `banks`, or of those before; `from` says when a bank can go.
    #[inline(always)]
    pub fn pick(&mut self, tick: u64, banks: u64, rank: &[u64; MOST_BANKS], from: impl Fn(usize) -> u64) {
        let mut set = banks;
        while set != 0 {
            let bank = set.trailing_zeros() as usize;
            set &= set - 1;
            if rank[bank] >= self.rank {
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
            self.rank = rank[bank];
        }
    }
}
