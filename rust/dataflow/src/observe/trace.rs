//! The firings of chosen units in a window of time.

use crate::observer::{Fired, Observer};

/// Firings that start in `start..stop`, of the units asked for.
#[derive(Clone, Debug)]
pub struct Trace {
    start: u64,
    stop: u64,
    /// Firings kept of one unit at most.
    most: usize,
    /// Per unit; `None` for a unit that nobody asked for.
    units: Vec<Option<Kept>>,
}

#[derive(Clone, Debug, Default)]
struct Kept {
    firings: Vec<Fired>,
    /// There were more than fit.
    full: bool,
}

impl Trace {
    /// `units` says of each unit whether it is asked for.
    pub fn new(units: &[bool], start: u64, stop: u64, most: usize) -> Self {
        let kept = |&wanted: &bool| wanted.then(Kept::default);
        Trace { start, stop, most, units: units.iter().map(kept).collect() }
    }

    /// All firings, by start and then by unit; and whether none had to be left out.
    pub fn finish(self) -> (Vec<Fired>, bool) {
        let complete = self.units.iter().flatten().all(|kept| !kept.full);
        let mut firings: Vec<Fired> = self.units.into_iter().flatten().flat_map(|kept| kept.firings).collect();
        firings.sort_by_key(|fired| (fired.start, fired.unit));
        (firings, complete)
    }
}

impl Observer for Trace {
    fn fired(&mut self, firing: &Fired) {
        if let Some(kept) = &mut self.units[firing.unit]
            && firing.start >= self.start
            && firing.start < self.stop
        {
            match kept.firings.len() < self.most {
                true => kept.firings.push(*firing),
                false => kept.full = true,
            }
        }
    }

    fn most_periods(&self, unit: usize, _number: u64, ready: u64, firings: u64, cycles: u64) -> u64 {
        match &self.units[unit] {
            // The unit's next firing starts at `ready` or later; those skipped start before the new `ready`.
            Some(kept) if firings > 0 && ready < self.stop && !kept.full => {
                self.start.saturating_sub(ready).checked_div(cycles).unwrap_or(u64::MAX)
            }
            _ => u64::MAX,
        }
    }
}
