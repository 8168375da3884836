//! What a channel counted in a while.

use super::command::Command;
use super::idle::Idle;
use super::statistics::Bus;

/// Counts as `Statistics` has them, from one look to another.
#[derive(Clone, Debug)]
pub(super) struct Gain {
    pub commands: [u64; Command::COUNT],
    pub bursts: [u64; 2],
    pub bytes: [u64; 2],
    pub row_hits: u64,
    /// As `Latencies::gain` has it.
    pub latencies: (Vec<(usize, u64)>, u64),
    pub busy_ticks: u64,
    pub idle: Idle,
    /// When it was noted, and how the buses stood then.
    pub tick: u64,
    pub end: u64,
    pub buses: [Bus; 4],
}
