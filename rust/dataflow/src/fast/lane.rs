//! A stream as tracks of timestamps: when its producer took slots, and when its consumer freed them.

use super::body::{Each, Grains, Use};
use super::log::Log;
use super::pace::{Pace, Reach, Tables};
use super::track::{Ahead, Track};
use crate::stream::Stream;

/// A stream in motion. It counts in portions of `share` tokens, the largest that both ends move whole; a paced one in
/// firings of the unit at either end.
// Laid out by cache lines: all streams use the first two, those that are not paced the third, few the rest.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(super) struct Lane {
    pace: Option<Box<Pace>>,
    /// Units at both ends, in dataflow order.
    pub from: usize,
    pub to: usize,
    /// From `made` to visible.
    delay: i64,
    /// When slots were taken.
    made: Track,

    /// When slots are free again, less the release.
    freed: Track,
    release: i64,
    /// From the end of a firing to free.
    credit: i64,
    capacity: u64,
    /// The most slots taken at a time among the entries of `made` checked so far.
    high: u64,
    /// Tokens ever, initial ones included: consumed, slot taken, arrival known.
    consumed: u64,

    taken: u64,
    visible: u64,
    initial: i64,
    checked: i64,
    pub share: u64,
    /// From leaving the producer to visible.
    latency: i64,
    last_seen: i64,
    /// Tokens taken, and consumed, in periods that were skipped.
    skipped: u64,

    /// Both tracks are those of the units' logs.
    logged: bool,
    /// Initial tokens that are less than a portion.
    stuck: u64,
    /// When tokens are visible, where that is not a fixed time after `made`.
    seen: Option<Track>,
}

impl Lane {
    /// A stream of `slots` slots between two units, with their places in dataflow order and their logs.
    pub(super) fn new(
        stream: &Stream,
        slots: usize,
        (from, to): ((usize, &Log), (usize, &Log)),
        grains: &Grains,
        times: &mut Vec<i64>,
        tables: &Tables,
    ) -> Self {
        // Both ends move whole portions, so initial tokens that are less than one stay where they are.
        let (initial, stuck) = (stream.initial / grains.share, stream.initial % grains.share);
        let capacity = (slots as u64 - stuck) / grains.share;
        let (latency, credit) = (stream.latency as i64, stream.credit as i64);
        let delay = grains.latency.map_or(0, |of_producer| of_producer + latency);
        let pace = grains.paced().map(|rates| Box::new(Pace::new(rates, capacity, initial, tables)));
        let logged = grains.rates.is_some();
        let (made, seen, (freed, release)) = if logged {
            let (freed, ii) = to.1.freed();
            (from.1.made(), None, (freed, ii + credit))
        } else {
            let made = Track::new(times, capacity, grains.produced);
            // Initial tokens are visible at 0: their entries, which come before entry 0, say so.
            for entry in 1..=initial.div_ceil(grains.produced) as i64 {
                times[made.index(-entry)] = -delay;
            }
            let seen = grains.latency.is_none().then(|| Track::new(times, capacity, grains.produced));
            // Long enough for the slots that the consumer frees at once and for those before, which `check` asks for.
            (made, seen, (Track::new(times, 2 * capacity, grains.consumed), 0))
        };
        Lane {
            pace,
            taken: initial,
            visible: initial,
            consumed: 0,
            capacity,
            initial: initial as i64,
            share: grains.share,
            skipped: 0,
            stuck,
            from: from.0,
            to: to.0,
            made,
            seen,
            freed,
            release,
            logged,
            delay,
            latency,
            credit,
            last_seen: 0,
            high: initial,
            checked: 0,
        }
    }

    /// Cycles from the start of a firing to when its tokens are visible, at least.
    pub(super) fn least_delay(&self) -> i64 {
        self.latency.max(self.delay)
    }

    #[inline(always)]
    pub(super) fn tokens(&self) -> u64 {
        self.visible - self.consumed
    }

    #[inline(always)]
    pub(super) fn space(&self) -> u64 {
        self.capacity - (self.taken - self.consumed)
    }

    /// How many of the next `most` firings of a unit, from firing `next` of its body on, find their tokens at this `end`
    /// of the stream, or their slots.
    #[inline(always)]
    pub(super) fn firings(&self, end: &Use, tokens: bool, next: usize, most: u64) -> u64 {
        match (&self.pace, tokens) {
            (Some(pace), true) => pace.tokens.possible(self.made.entries, most),
            (Some(pace), false) => pace.slots.possible(self.freed.entries, most),
            (None, true) => end.firings(next, self.tokens()).min(most),
            (None, false) => end.firings(next, self.space()).min(most),
        }
    }

    /// Whether the next firing finds less than `rate` tokens, or slots.
    pub(super) fn lacks(&self, tokens: bool, rate: u64) -> bool {
        match (&self.pace, tokens) {
            (Some(pace), true) => pace.tokens.possible(self.made.entries, 1) == 0,
            (Some(pace), false) => pace.slots.possible(self.freed.entries, 1) == 0,
            (None, true) => self.tokens() < rate / self.share,
            (None, false) => self.space() < rate / self.share,
        }
    }

    /// How many of the next `most` firings of a unit find their tokens at an end that is plain or paced, or their slots.
    #[inline(always)]
    pub(super) fn steady_firings<const PLAIN: bool>(&self, tokens: bool, most: u64) -> u64 {
        match (&self.pace, tokens) {
            (Some(pace), true) if !PLAIN => pace.tokens.possible(self.made.entries, most),
            (Some(pace), false) if !PLAIN => pace.slots.possible(self.freed.entries, most),
            (_, true) => self.tokens().min(most),
            (_, false) => self.space().min(most),
        }
    }

    /// Firings that are busy until `ends` plus `add` consume their tokens at a plain or paced end.
    #[inline(always)]
    pub(super) fn consume_steady<const PLAIN: bool>(&mut self, times: &mut [i64], ends: &[i64], add: i64) {
        if !PLAIN && let Some(pace) = &mut self.pace {
            self.freed.entries += ends.len() as i64;
            pace.tokens.advance(ends.len());
            if self.high < self.capacity {
                self.high = pace.check(times, &self.made, &self.freed, self.release);
            }
            return;
        }
        if self.logged {
            self.freed.entries += ends.len() as i64;
        } else {
            self.freed.extend(times, ends, add + self.credit);
        }
        self.consumed += ends.len() as u64;
        if self.high < self.capacity {
            self.check(times);
        }
    }

    /// Firings that start at `starts` take their slots at a plain or paced end.
    #[inline(always)]
    pub(super) fn produce_steady<const PLAIN: bool>(&mut self, times: &mut [i64], starts: &[i64]) {
        if !PLAIN && let Some(pace) = &mut self.pace {
            self.made.entries += starts.len() as i64;
            return pace.slots.advance(starts.len());
        }
        if self.logged {
            self.made.entries += starts.len() as i64;
        } else {
            self.made.extend(times, starts, 0);
        }
        self.taken += starts.len() as u64;
        self.visible += starts.len() as u64;
    }

    #[inline(always)]
    fn reach<const PLAIN: bool>(&self, of: fn(&Pace) -> &Reach) -> Option<&Reach> {
        if PLAIN { None } else { self.pace.as_deref().map(of) }
    }

    /// When the next tokens are visible; at a `PLAIN` end, there is one for each firing.
    #[inline(always)]
    pub(super) fn tokens_ahead<const PLAIN: bool>(&self) -> Ahead<'_> {
        let seen = if PLAIN { None } else { self.seen.as_ref() };
        let (track, add) = seen.map_or((&self.made, self.delay), |seen| (seen, 0));
        Ahead::new(track, self.consumed as i64 - self.initial, add, self.reach::<PLAIN>(|pace| &pace.tokens))
    }

    /// When the next slots are free. Slots that were never used are free from 0 on: their entries, which come before entry
    /// 0, have not been written yet.
    #[inline(always)]
    pub(super) fn slots_ahead<const PLAIN: bool>(&self) -> Ahead<'_> {
        let first = self.taken as i64 - self.capacity as i64;
        Ahead::new(&self.freed, first, self.release, self.reach::<PLAIN>(|pace| &pace.slots))
    }

    /// Firings that are busy until `ends` plus `add` consume their tokens.
    #[inline(always)]
    pub(super) fn consume(&mut self, times: &mut [i64], end: &Use, next: usize, ends: &[i64], add: i64) {
        if self.logged {
            return self.consume_steady::<false>(times, ends, add);
        }
        self.freed.append(times, end, next, ends, add + self.credit);
        self.consumed += end.tokens(next, ends.len());
        if self.high < self.capacity {
            self.check(times);
        }
    }

    /// Firings that start at `starts` take their slots; their tokens leave after `latencies`, or when memory answers.
    #[inline(always)]
    pub(super) fn produce(
        &mut self,
        times: &mut [i64],
        end: &Use,
        next: usize,
        starts: &[i64],
        leave: Option<&Each<i64>>,
    ) {
        if self.logged {
            return self.produce_steady::<false>(times, starts);
        }
        self.made.append(times, end, next, starts, 0);
        let tokens = end.tokens(next, starts.len());
        self.taken += tokens;
        let Some(latency) = leave else { return };
        self.visible += tokens;
        if self.seen.is_some() {
            for (at, start) in starts.iter().enumerate() {
                let latency = match latency {
                    Each::Same(latency) => *latency,
                    Each::Table(latencies) => latencies[next + at],
                };
                let rate = match &end.rate {
                    Each::Same(rate) => *rate,
                    Each::Table(rates) => rates[next + at],
                };
                self.see(times, rate, start + latency);
            }
        }
    }

    /// `tokens` tokens leave their producer at `end`. A token that overtakes another is of no use to a firing that
    /// needs both, and a firing that needs the later one alone has been held up by the earlier one before it; so a
    /// running maximum is as good.
    #[inline(always)]
    fn see(&mut self, times: &mut [i64], tokens: u64, end: i64) {
        if tokens > 0
            && let Some(seen) = &mut self.seen
        {
            self.last_seen = self.last_seen.max(end + self.latency);
            seen.repeat(times, tokens, self.last_seen);
        }
    }

    /// Tokens that memory answered: so many at each of `ends`.
    pub(super) fn arrive(&mut self, times: &mut [i64], tokens: u64, ends: &[u64]) {
        if let Some(seen) = self.seen.as_mut().filter(|seen| seen.grain == tokens) {
            for &end in ends {
                self.last_seen = self.last_seen.max(end as i64 + self.latency);
                times[seen.index(seen.entries)] = self.last_seen;
                seen.entries += 1;
            }
        } else {
            ends.iter().for_each(|&end| self.see(times, tokens, end as i64));
        }
        self.visible += tokens * ends.len() as u64;
    }

    /// Raises the high-water mark: the slot of token t - high must be free when token t takes one. Each entry of `made`
    /// is looked at once, when that slot has been freed.
    #[inline(always)]
    fn check(&mut self, times: &[i64]) {
        let (grain, high) = (self.made.grain as i64, self.high as i64);
        // Until `high` tokens were taken there is nothing to look at.
        let rest = high - self.initial;
        self.checked = self.checked.max(if grain == 1 { rest } else { rest / grain });
        // The entries up to `last` are those whose slots have been freed.
        let known = self.consumed as i64 + rest;
        let last = self.made.entries.min(if grain == 1 { known } else { known.div_euclid(grain) });
        let count = last - self.checked;
        if count <= 0 {
            return;
        }
        // Times on both tracks only rise: often the last slot was free when the first of these tokens came.
        let before = self.initial + last * grain - 1 - high;
        if times[self.freed.index(self.freed.entry(before))] + self.release <= times[self.made.index(self.checked)] {
            self.checked = last;
        } else if grain > 1 || self.freed.grain > 1 {
            self.check_each(times, false);
        } else {
            let made = self.made.span(times, self.checked, count as usize, 0);
            let freed = self.freed.span(times, before + 1 - count, count as usize, self.release);
            if freed.any_later(&made) {
                self.check_each(times, false);
            } else {
                self.checked = last;
            }
        }
    }

    /// The same, one entry after another; at the `end` of a run, slots that were never freed count as taken.
    fn check_each(&mut self, times: &[i64], end: bool) {
        let grain = self.made.grain as i64;
        while self.checked < self.made.entries {
            let last = self.initial + (self.checked + 1) * grain - 1;
            let made = times[self.made.index(self.checked)];
            loop {
                let before = last - self.high as i64;
                if before < 0 {
                    break;
                }
                if before >= self.consumed as i64 {
                    if !end {
                        return;
                    }
                } else if times[self.freed.index(self.freed.entry(before))] + self.release <= made {
                    break;
                }
                self.high += 1;
            }
            self.checked += 1;
        }
    }

    /// Times that the stream holds.
    pub(super) fn entries(&self) -> usize {
        self.made.mask + self.freed.mask + 2
    }

    /// When the tokens on the stream are visible, and when its free slots are free.
    pub(super) fn standing<'a>(
        &'a self,
        times: &'a [i64],
    ) -> (impl ExactSizeIterator<Item = i64> + 'a, impl ExactSizeIterator<Item = i64> + 'a) {
        let (seen, add) = self.seen.map_or((self.made, self.delay), |seen| (seen, 0));
        let freed = self.freed;
        let first = seen.entry(self.consumed as i64 - self.initial);
        // Slots that were never used have no time.
        let free = freed.entry((self.taken as i64 - self.capacity as i64).max(0));
        let (tokens, slots) = match &self.pace {
            Some(pace) => (pace.tokens.all(seen.entries) as i64, pace.slots.all(freed.entries) as i64),
            None => (seen.entries - first, freed.entries - free),
        };
        let token = move |ahead: usize| {
            let entry = self.pace.as_ref().map_or(first + ahead as i64, |pace| pace.tokens.writer(ahead));
            times[seen.index(entry)] + add
        };
        let slot = move |ahead: usize| {
            let entry = self.pace.as_ref().map_or(free + ahead as i64, |pace| pace.slots.writer(ahead));
            times[freed.index(entry)] + self.release
        };
        ((0..tokens.max(0) as usize).map(token), (0..slots.max(0) as usize).map(slot))
    }

    /// Everything on the stream is `cycles` later, but what its units have in their logs, and `tokens` more have passed.
    pub(super) fn shift(&mut self, times: &mut [i64], cycles: i64, tokens: u64) {
        if !self.logged {
            [Some(self.made), self.seen, Some(self.freed)]
                .into_iter()
                .flatten()
                .for_each(|track| track.shift(times, cycles));
        }
        self.last_seen += cycles;
        self.skipped += tokens;
    }

    /// Tokens on the stream.
    pub(super) fn held(&self) -> u64 {
        match &self.pace {
            Some(pace) => pace.taken(self.made.entries as u64) - pace.rates.1.tokens(self.freed.entries as u64),
            None => self.taken - self.consumed,
        }
    }

    /// Tokens that passed, initial ones included.
    pub(super) fn passed(&self) -> u64 {
        let taken = self.pace.as_ref().map_or(self.taken, |pace| pace.taken(self.made.entries as u64));
        taken + self.skipped
    }

    /// The most slots ever taken at a time.
    pub(super) fn high_water(mut self, times: &[i64]) -> u64 {
        if self.high < self.capacity {
            match &mut self.pace {
                Some(pace) => self.high = pace.high_water(times, &self.made, &self.freed, self.release),
                None => self.check_each(times, true),
            }
        }
        self.high * self.share + self.stuck
    }
}
