//! What the firings of a burst wait for, taken in stream by stream.

use super::body::Use;
use super::lane::Lane;
use super::scratch::Pass;
use super::track::Ahead;

/// The latest of the times that firings wait for. Each stream's are taken in by a pass that reads what was found and
/// writes the spare slice, which is then the other.
pub(super) struct Latest<'a> {
    pub(super) found: &'a mut [i64],
    pub(super) spare: &'a mut [i64],
    /// When the unit is ready; an earlier time is none.
    ready: i64,
    pub(super) nothing: bool,
}

impl<'a> Latest<'a> {
    #[inline(always)]
    pub(super) fn new(found: &'a mut Pass, spare: &'a mut Pass, firings: usize, ready: i64) -> Self {
        Latest { found: &mut found[..firings + 1], spare: &mut spare[..firings + 1], ready, nothing: true }
    }

    #[inline(always)]
    pub(super) fn take_tokens(&mut self, uses: &[Use], lanes: &[Lane], times: &[i64], next: usize) {
        uses.iter().for_each(|end| self.take(lanes[end.lane].tokens_ahead::<false>(), times, end, next));
    }

    #[inline(always)]
    pub(super) fn take_slots(&mut self, uses: &[Use], lanes: &[Lane], times: &[i64], next: usize) {
        uses.iter().for_each(|end| self.take(lanes[end.lane].slots_ahead::<false>(), times, end, next));
    }

    /// Takes in one end of a stream, unless all its times are past: they only rise, so the last one tells.
    #[inline(always)]
    fn take(&mut self, ahead: Ahead, times: &[i64], end: &Use, next: usize) {
        if ahead.last(times, end, next, self.found.len() - 1) <= self.ready {
            return;
        }
        if self.nothing && (end.plain || end.paced) {
            ahead.put(times, &mut self.found[1..]);
        } else {
            if self.nothing {
                self.found.fill(0);
            }
            ahead.later(times, end, next, &self.found[1..], &mut self.spare[1..]);
            std::mem::swap(&mut self.found, &mut self.spare);
        }
        self.nothing = false;
    }
}
