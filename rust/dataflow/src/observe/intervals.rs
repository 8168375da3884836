//! The five counters of every unit, interval by interval.

use crate::observer::{Fired, Observer, State};

/// The most counters that are kept: 512 MiB of host memory.
const MOST: usize = 1 << 26;

/// Cycles by unit, interval and state. It wants every firing, so nothing is skipped under it.
#[derive(Clone, Debug)]
pub struct Intervals {
    length: u64,
    units: Vec<Row>,
    /// Intervals for which there is room.
    most: u64,
    full: bool,
}

#[derive(Clone, Debug, Default)]
struct Row {
    cells: Vec<[u64; 5]>,
    /// Up to where this unit's time is accounted for.
    until: u64,
}

impl Row {
    /// The unit is in `state` up to `until`.
    fn extend(&mut self, state: State, until: u64, length: u64) {
        while self.until < until {
            let at = self.until / length;
            if self.cells.len() as u64 <= at {
                self.cells.resize(at as usize + 1, [0; 5]);
            }
            let end = until.min((at + 1).saturating_mul(length));
            self.cells[at as usize][state as usize] += end - self.until;
            self.until = end;
        }
    }
}

impl Intervals {
    /// For a program of so many units; intervals are `length` cycles long, at least 1.
    pub fn new(units: usize, length: u64) -> Self {
        let most = (MOST / (5 * units.max(1))) as u64;
        Intervals { length: length.max(1), units: vec![Row::default(); units], most, full: false }
    }

    fn fits(&mut self, until: u64) -> bool {
        self.full |= until.div_ceil(self.length) > self.most;
        !self.full
    }

    /// Intervals, and counters by unit, interval and state (busy, data, space, memory, idle) of a run of so many cycles;
    /// `None` when they were too many to keep.
    pub fn finish(mut self, cycles: u64) -> Option<(usize, Vec<u64>)> {
        if !self.fits(cycles) {
            return None;
        }
        let count = cycles.div_ceil(self.length) as usize;
        let mut all = Vec::with_capacity(self.units.len() * count * 5);
        for mut row in self.units {
            row.extend(State::Idle, cycles, self.length);
            all.extend(row.cells.iter().flatten());
        }
        Some((count, all))
    }

    /// The shortest length for which a run of so many cycles can be kept.
    pub fn shortest(units: usize, cycles: u64) -> u64 {
        cycles.div_ceil((MOST / (5 * units.max(1))).max(1) as u64)
    }
}

impl Observer for Intervals {
    fn fired(&mut self, firing: &Fired) {
        if self.fits(firing.start + firing.ii) {
            let row = &mut self.units[firing.unit];
            row.extend(firing.wait, firing.start, self.length);
            row.extend(State::Busy, firing.start + firing.ii, self.length);
        }
    }

    fn most_periods(&self, _unit: usize, _number: u64, _ready: u64, _firings: u64, _cycles: u64) -> u64 {
        if self.full { u64::MAX } else { 0 }
    }
}
