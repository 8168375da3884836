//! What a session adds up over its calls.

use rdu_dataflow::{Counters, Run};
use rdu_memory::tier::Counts;

/// One unit, over all calls of its kernel.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnitSum {
    pub counters: Counters,
    pub firings: u64,
}

/// One stream, over all calls of its kernel.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamSum {
    pub tokens: u64,
    /// The largest of the calls' marks.
    pub high_water: u64,
}

/// One tier, all its channels together.
#[derive(Clone, Copy, Debug, Default)]
pub struct TierTotals {
    /// Read and written, as units asked.
    pub asked_bytes: [u64; 2],
    pub counts: Counts,
}

/// One kernel, over all its calls.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub calls: u64,
    pub firings: u64,
    /// Cycles of executing.
    pub run_cycles: u64,
    /// Cycles of loading its program and its arguments and of starting it.
    pub call_cycles: u64,
    /// Cycles after memory had answered the last read, until the call ended.
    pub drain_cycles: u64,
    /// What each tier did while the kernel ran.
    pub tiers: Vec<TierTotals>,
    pub units: Vec<UnitSum>,
    pub streams: Vec<StreamSum>,
}

impl Totals {
    pub fn add(&mut self, run: &Run) {
        self.calls += 1;
        self.firings += run.firings;
        self.run_cycles += run.cycles;
        self.units.resize(run.units.len(), UnitSum::default());
        self.streams.resize(run.streams.len(), StreamSum::default());
        for (sum, unit) in self.units.iter_mut().zip(&run.units) {
            sum.firings += unit.firings;
            sum.counters.busy += unit.counters.busy;
            sum.counters.data += unit.counters.data;
            sum.counters.space += unit.counters.space;
            sum.counters.memory += unit.counters.memory;
            sum.counters.idle += unit.counters.idle;
        }
        for (sum, stream) in self.streams.iter_mut().zip(&run.streams) {
            sum.tokens += stream.tokens;
            sum.high_water = sum.high_water.max(stream.high_water);
        }
    }

    pub fn add_tier(&mut self, tier: usize, during: TierTotals) {
        self.tiers.resize(self.tiers.len().max(tier + 1), TierTotals::default());
        let sum = &mut self.tiers[tier];
        sum.counts = sum.counts.plus(during.counts);
        sum.asked_bytes = [0, 1].map(|at| sum.asked_bytes[at] + during.asked_bytes[at]);
    }
}

/// A session, over all its calls.
#[derive(Clone, Debug, Default)]
pub struct SessionTotals {
    /// Machine time so far.
    pub cycles: u64,
    pub firings: u64,
    pub tiers: Vec<TierTotals>,
}
