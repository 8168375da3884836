//! The exact high-water mark of a stream, although its two ends are evaluated at different times.

/// One slot: when it was taken, when its token is visible, and when it was freed again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slot {
    pub taken: u64,
    pub visible: u64,
    pub freed: u64,
}

/// Merges the times at which slots are taken with those at which they are freed, as far as both are known.
///
/// Slots are taken in order and freed in order, so the merge never lags by more than the capacity, and the ring itself
/// holds all it needs. The number of slots is a power of two.
#[derive(Clone, Debug, Default)]
pub(crate) struct Occupancy {
    taken: u64,
    freed: u64,
    high: u64,
}

impl Occupancy {
    /// Advances the merge: `taken` and `freed` slots are known so far.
    #[inline]
    pub(crate) fn settle(&mut self, slots: &[Slot], taken: u64, freed: u64) {
        let mask = slots.len() - 1;
        while self.taken < taken && self.freed < freed {
            if slots[self.freed as usize & mask].freed <= slots[self.taken as usize & mask].taken {
                self.freed += 1;
            } else {
                self.taken += 1;
                self.high = self.high.max(self.taken - self.freed);
            }
        }
    }

    /// The mark at the end of a run: slots that were taken and never freed count too.
    pub(crate) fn high_water(mut self, slots: &[Slot], taken: u64, freed: u64) -> u64 {
        self.settle(slots, taken, freed);
        if self.taken < taken {
            self.high = self.high.max(taken - self.freed);
        }
        self.high
    }
}
