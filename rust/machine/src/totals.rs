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

impl TierTotals {
    fn add(&mut self, other: &TierTotals) {
        self.counts = self.counts.plus(other.counts);
        self.asked_bytes = [0, 1].map(|at| self.asked_bytes[at] + other.asked_bytes[at]);
    }
}

/// Adds tier by tier.
pub fn add_tiers(sums: &mut Vec<TierTotals>, others: &[TierTotals]) {
    sums.resize(sums.len().max(others.len()), TierTotals::default());
    sums.iter_mut().zip(others).for_each(|(sum, other)| sum.add(other));
}

impl UnitSum {
    fn add(&mut self, counters: &Counters, firings: u64) {
        self.firings += firings;
        self.counters.busy += counters.busy;
        self.counters.data += counters.data;
        self.counters.space += counters.space;
        self.counters.memory += counters.memory;
        self.counters.idle += counters.idle;
    }
}

impl StreamSum {
    fn add(&mut self, tokens: u64, high_water: u64) {
        self.tokens += tokens;
        self.high_water = self.high_water.max(high_water);
    }
}

impl Totals {
    /// One call more.
    pub fn add(&mut self, run: &Run) {
        self.calls += 1;
        self.firings += run.firings;
        self.run_cycles += run.cycles;
        self.units.resize(run.units.len(), UnitSum::default());
        self.streams.resize(run.streams.len(), StreamSum::default());
        self.units.iter_mut().zip(&run.units).for_each(|(sum, unit)| sum.add(&unit.counters, unit.firings));
        let streams = self.streams.iter_mut().zip(&run.streams);
        streams.for_each(|(sum, stream)| sum.add(stream.tokens, stream.high_water));
    }

    /// The calls of another sum of the same kernel.
    pub fn merge(&mut self, other: &Totals) {
        self.calls += other.calls;
        self.firings += other.firings;
        self.run_cycles += other.run_cycles;
        self.call_cycles += other.call_cycles;
        self.drain_cycles += other.drain_cycles;
        add_tiers(&mut self.tiers, &other.tiers);
        self.units.resize(other.units.len(), UnitSum::default());
        self.streams.resize(other.streams.len(), StreamSum::default());
        self.units.iter_mut().zip(&other.units).for_each(|(sum, unit)| sum.add(&unit.counters, unit.firings));
        let streams = self.streams.iter_mut().zip(&other.streams);
        streams.for_each(|(sum, stream)| sum.add(stream.tokens, stream.high_water));
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
