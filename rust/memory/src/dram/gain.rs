//! What a channel has counted, in all or in a while.

use super::command::Command;
use super::idle::Idle;
use super::statistics::{Bus, Gaps};

/// Counts as `Statistics` has them, but for latencies.
#[derive(Clone, Debug)]
pub(super) struct Gain {
    pub commands: [u64; Command::COUNT],
    pub bursts: [u64; 2],
    pub bytes: [u64; 2],
    pub row_hits: u64,
    pub busy_ticks: u64,
    pub idle: Idle,
    /// When it was noted, and how the buses stood then.
    pub tick: u64,
    pub end: u64,
    pub buses: [Bus; 4],
    pub gaps: Gaps,
}

impl Gain {
    /// What has been counted since `before` was noted.
    pub fn since(self, before: &Gain) -> Gain {
        let minus = |now: [u64; 2], then: [u64; 2]| [now[0] - then[0], now[1] - then[1]];
        Gain {
            commands: std::array::from_fn(|at| self.commands[at] - before.commands[at]),
            bursts: minus(self.bursts, before.bursts),
            bytes: minus(self.bytes, before.bytes),
            row_hits: self.row_hits - before.row_hits,
            busy_ticks: self.busy_ticks - before.busy_ticks,
            idle: self.idle.minus(before.idle),
            ..self
        }
    }
}
