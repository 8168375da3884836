//! The log of a unit: one time for each of its firings, which the streams on both sides of it share.
//!
//! A firing takes its slots on all outputs when it starts, and frees those of all inputs a fixed time after it ends. So
//! where each firing moves as many tokens as its place in a short list says, streams need no times of their own: a burst is
//! written down once, however many streams there are, and stays in the cache for all neighbours.

use super::body::Grains;
use super::track::Track;
use crate::program::{Action, Bound};

/// Before every time that matters, and far from the end of the range: initial tokens and slots that were never used belong
/// to firings before the first.
pub(super) const LONG_AGO: i64 = i64::MIN / 4;

/// Where a unit writes down its firings.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// When firings started, if any stream asks.
    starts: Option<Track>,
    /// When they ended, if an input asks and that is not always as long after the start.
    ends: Option<Track>,
    /// Cycles from the start of every firing to its end, if that is always the same.
    ii: Option<i64>,
}

impl Log {
    /// The log of `unit`, in the array of times.
    pub(super) fn new(bound: &Bound, grains: &[Grains], unit: usize, times: &mut Vec<i64>) -> Self {
        let program = bound.program;
        let first = program.first_action[unit];
        let actions = &program.actions[first..first + program.units[unit].phases.len()];
        let ii = actions.first().map(|action| action.ii as i64);
        let ii = ii.filter(|&ii| actions.iter().all(|action: &Action| action.ii as i64 == ii));
        let longest = |streams: &[usize], firings: fn(&Grains, u64) -> Option<u64>| {
            streams.iter().filter_map(|&stream| firings(&grains[stream], bound.slots[stream] as u64)).max()
        };
        let made = longest(program.outputs(unit), Grains::firings_made);
        let freed = longest(program.inputs(unit), Grains::firings_freed);
        let (starts, ends) = if ii.is_some() { (made.max(freed), None) } else { (made, freed) };
        let mut track = |firings: u64| {
            let before = times.len();
            let track = Track::new(times, firings, 1);
            times[before..].fill(LONG_AGO);
            track
        };
        Log { starts: starts.map(&mut track), ends: ends.map(&mut track), ii }
    }

    /// Where the outputs find when slots were taken.
    pub(super) fn made(&self) -> Track {
        self.starts.unwrap_or_default()
    }

    /// Where the inputs find when slots were freed, and what to add.
    pub(super) fn freed(&self) -> (Track, i64) {
        (self.ends.or(self.starts).unwrap_or_default(), self.ii.unwrap_or(0))
    }

    /// Firings start at `starts` and end at `ends` plus `add`.
    #[inline(always)]
    pub(super) fn write(&mut self, times: &mut [i64], starts: &[i64], ends: &[i64], add: i64) {
        if let Some(track) = &mut self.starts {
            track.extend(times, starts, 0);
        }
        if let Some(track) = &mut self.ends {
            track.extend(times, ends, add);
        }
    }

    /// Everything is `cycles` later.
    pub(super) fn shift(&self, times: &mut [i64], cycles: i64) {
        [self.starts, self.ends].into_iter().flatten().for_each(|track| track.shift(times, cycles));
    }
}
