//! How traffic is replayed, and what came of it.

use super::command::Command;
use super::config::Config;
use super::idle::Idle;
use super::latencies::Latencies;
use super::trace::Issued;

/// How to replay.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// At most so many reads between acceptance and last beat, all channels together, from one queue in order. Without
    /// it a read and a write queue for each channel, filled in order, offer as much as the controllers take.
    pub outstanding: Option<u64>,
    /// Bursts to let pass before anything is counted.
    pub warmup: u64,
    /// Bursts to count before the replay ends; the rest of the traffic only keeps the queues full.
    pub measured: Option<u64>,
    /// Keep every command.
    pub trace: bool,
    /// Keep when each request was accepted and when it was done.
    pub times: bool,
    /// Jump over repeated state. The outcome is the same.
    pub skip: bool,
}

/// What came of it. Ticks are those of the controller, `tick_fs` femtoseconds each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replay {
    pub tick_fs: u64,
    /// From the start (or the end of the warm-up) to the last beat counted.
    pub elapsed_ticks: u64,
    /// Bursts counted.
    pub read_bursts: u64,
    pub written_bursts: u64,
    /// Bytes asked for in those bursts.
    pub read_bytes: u64,
    pub written_bytes: u64,
    /// Data moved / (peak x elapsed): whole bursts.
    pub peak_fraction: f64,
    /// Of reads, burst by burst: from acceptance, or from its time of arrival, to the last beat.
    pub latencies: Latencies,
    pub row_hits: u64,
    /// By `Command`.
    pub commands: [u64; Command::COUNT],
    /// Ticks of data buses, all channels: busy + idle = elapsed x buses.
    pub busy_ticks: u64,
    /// Of each channel.
    pub idle: Vec<Idle>,
    pub trace: Vec<Issued>,
    /// Ticks from which the latency of each request counts and after its last beat; empty unless asked for.
    pub times: Vec<(u64, u64)>,
    /// Of bursts, how many were jumped over.
    pub skipped_bursts: u64,
}

impl Replay {
    pub fn elapsed_ns(&self) -> f64 {
        self.ns(self.elapsed_ticks as f64)
    }

    pub fn ns(&self, ticks: f64) -> f64 {
        ticks * self.tick_fs as f64 * 1e-6
    }

    pub fn bytes(&self) -> u64 {
        self.read_bytes + self.written_bytes
    }

    pub fn bursts(&self) -> u64 {
        self.read_bursts + self.written_bursts
    }

    pub(super) fn fraction(&self, config: &Config) -> f64 {
        let moved = (self.bursts() * config.organisation.burst_bytes()) as f64;
        let seconds = self.elapsed_ticks as f64 * self.tick_fs as f64 * 1e-15;
        if seconds > 0.0 { moved / (config.peak_bytes_per_second() * seconds) } else { 0.0 }
    }

    /// What a channel went without beyond the one that went without least, it did while others were busy.
    pub(super) fn part_imbalance(&mut self) {
        let least = self.idle.iter().map(|idle| idle.no_request).min().unwrap_or(0);
        for idle in &mut self.idle {
            idle.imbalance = idle.no_request - least;
            idle.no_request = least;
        }
    }

    pub fn row_hit_rate(&self) -> f64 {
        if self.bursts() == 0 { 0.0 } else { self.row_hits as f64 / self.bursts() as f64 }
    }

    pub fn mean_latency_ns(&self) -> f64 {
        self.ns(self.latencies.mean_ticks())
    }

    /// Within 1 %.
    pub fn quantile_latency_ns(&self, part: f64) -> f64 {
        self.ns(self.latencies.quantile_ticks(part) as f64)
    }

    pub fn idle_total(&self) -> Idle {
        self.idle.iter().fold(Idle::default(), |sum, &one| sum.plus(one))
    }
}
