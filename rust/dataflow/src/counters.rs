//! What a run counts. Every unit is, in every cycle, in exactly one of five states.

/// Cycles of one unit by state; they sum to the elapsed cycles of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// `ii` cycles from each start.
    pub busy: u64,
    /// The last constraint met was a token from another unit.
    pub data: u64,
    /// The last constraint met was a free slot downstream.
    pub space: u64,
    /// The last constraint met was a transfer: a token from a load unit, or the limit of requests in flight.
    pub memory: u64,
    /// The unit has finished.
    pub idle: u64,
}

impl Counters {
    pub fn total(&self) -> u64 {
        self.busy + self.data + self.space + self.memory + self.idle
    }
}

/// One unit's part of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnitTotals {
    pub counters: Counters,
    pub firings: u64,
    /// Start of the first firing.
    pub first_cycle: u64,
    /// End of the last firing: its start + max(latency, ii), or the end of its transfer.
    pub end_cycle: u64,
}

/// One stream's part of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamTotals {
    /// Tokens that the producer sent.
    pub tokens: u64,
    /// The most slots taken at any time.
    pub high_water: u64,
}

/// What comes back from running a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Largest end of a unit.
    pub cycles: u64,
    pub firings: u64,
    pub units: Vec<UnitTotals>,
    pub streams: Vec<StreamTotals>,
}
