//! What a channel has done, in numbers that can be subtracted: the difference of two is what happened in between.

use crate::dram::Idle;
use crate::dram::statistics::Usage;

/// Counts of one channel, or sums over some. Ticks are those of its data buses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// In whole bursts; among them those that were answered from a write that still waited.
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub row_hits: u64,
    pub row_misses: u64,
    pub busy_ticks: u64,
    pub idle: Idle,
}

impl Counts {
    pub(super) fn of(usage: Usage) -> Self {
        let Usage { data_ticks: busy_ticks, idle, read_bytes, written_bytes, row_hits, row_misses, .. } = usage;
        Counts { read_bytes, written_bytes, row_hits, row_misses, busy_ticks, idle }
    }

    fn numbers(self) -> [u64; 11] {
        let Idle { no_request, refresh, row_miss, turnaround, bank_conflict, imbalance } = self.idle;
        let moved = [self.read_bytes, self.written_bytes, self.row_hits, self.row_misses, self.busy_ticks];
        let [a, b, c, d, e] = moved;
        [a, b, c, d, e, no_request, refresh, row_miss, turnaround, bank_conflict, imbalance]
    }

    fn from_numbers(numbers: [u64; 11]) -> Self {
        let [read_bytes, written_bytes, row_hits, row_misses, busy_ticks, rest @ ..] = numbers;
        let [no_request, refresh, row_miss, turnaround, bank_conflict, imbalance] = rest;
        let idle = Idle { no_request, refresh, row_miss, turnaround, bank_conflict, imbalance };
        Counts { read_bytes, written_bytes, row_hits, row_misses, busy_ticks, idle }
    }

    /// Wraps around, so that a difference may stand for less than nothing until it is added again.
    #[must_use]
    pub fn plus(self, other: Counts) -> Counts {
        let (mine, theirs) = (self.numbers(), other.numbers());
        Counts::from_numbers(std::array::from_fn(|at| mine[at].wrapping_add(theirs[at])))
    }

    #[must_use]
    pub fn minus(self, other: Counts) -> Counts {
        let (mine, theirs) = (self.numbers(), other.numbers());
        Counts::from_numbers(std::array::from_fn(|at| mine[at].wrapping_sub(theirs[at])))
    }

    /// The sum over channels that were counted over the same time. What a channel waited for requests longer than the one
    /// that waited least is imbalance: somebody asked, but not this channel.
    pub fn sum(channels: &[Counts]) -> Counts {
        let least = channels.iter().map(|counts| counts.idle.no_request).min().unwrap_or(0);
        channels.iter().fold(Counts::default(), |sum, &counts| {
            let mut counts = counts;
            counts.idle.imbalance += counts.idle.no_request - least;
            counts.idle.no_request = least;
            sum.plus(counts)
        })
    }
}
