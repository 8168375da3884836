//! Banks that wait for a time of their own, in order of that time.

use super::layout::MOST_BANKS;

/// Each bank is noted once, with a time that may since have moved on: it is looked up when the noted one comes.
#[derive(Clone, Debug)]
pub struct Ahead {
    /// The set of those noted.
    pub banks: u64,
    /// The first time noted.
    pub next: u64,
    ring: [(u64, u8); MOST_BANKS],
    first: usize,
    end: usize,
}

impl Default for Ahead {
    fn default() -> Self {
        Ahead { banks: 0, next: u64::MAX, ring: [(0, 0); MOST_BANKS], first: 0, end: 0 }
    }
}

impl Ahead {
    #[inline]
    pub fn add(&mut self, bank: usize, tick: u64) {
        if self.banks >> bank & 1 == 1 {
            return;
        }
        self.banks |= 1 << bank;
        // Times come nearly in order: the place is nearly always the last.
        let mut place = self.end;
        self.end = self.end.wrapping_add(1);
        while place != self.first && self.ring[place.wrapping_sub(1) % MOST_BANKS].0 > tick {
            self.ring[place % MOST_BANKS] = self.ring[place.wrapping_sub(1) % MOST_BANKS];
            place = place.wrapping_sub(1);
        }
        self.ring[place % MOST_BANKS] = (tick, bank as u8);
        self.next = self.next.min(tick);
    }

    /// Forgets the banks whose time, as `times` has it, has come by `tick`.
    #[inline]
    pub fn pass(&mut self, tick: u64, times: &[u64; MOST_BANKS]) {
        while tick >= self.next {
            let bank = self.ring[self.first % MOST_BANKS].1 as usize % MOST_BANKS;
            self.first = self.first.wrapping_add(1);
            self.banks &= !(1 << bank);
            self.next = if self.first == self.end { u64::MAX } else { self.ring[self.first % MOST_BANKS].0 };
            if times[bank] > tick {
                self.add(bank, times[bank]);
            }
        }
    }

    pub fn shift(&mut self, ticks: u64) {
        self.next = self.next.saturating_add(ticks);
        self.ring.iter_mut().for_each(|(tick, _)| *tick += ticks);
    }
}
