//! A stream as two tracks of timestamps: when its producer took slots, and when its consumer freed them.
//!
//! A track has one entry for each *grain* of tokens that its unit moves at once, so that a firing writes one entry
//! however many tokens it moves. The tracks of all lanes lie in one array of times.

use super::body::{CHUNK, Each, Grains, Use};
use super::passes::{any_later, later, put};
use crate::stream::Stream;

/// A ring of timestamps in the array of times; its length is a power of two.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Track {
    base: usize,
    mask: usize,
    /// Tokens of one entry.
    grain: u64,
    /// Entries ever written.
    entries: i64,
}

/// The entries that hold the tokens `first`, `first + step`, and so on.
struct Walk {
    entry: i64,
    rest: u64,
    whole: i64,
    part: u64,
    grain: u64,
}

impl Walk {
    #[inline(always)]
    fn new(first: i64, step: u64, grain: u64) -> Self {
        if grain == 1 {
            return Walk { entry: first, rest: 0, whole: step as i64, part: 0, grain };
        }
        let (entry, rest) = (first.div_euclid(grain as i64), first.rem_euclid(grain as i64) as u64);
        Walk { entry, rest, whole: (step / grain) as i64, part: step % grain, grain }
    }

    #[inline(always)]
    fn next(&mut self) -> i64 {
        let entry = self.entry;
        self.rest += self.part;
        let carry = self.rest >= self.grain;
        self.rest -= if carry { self.grain } else { 0 };
        self.entry += self.whole + i64::from(carry);
        entry
    }
}

impl Track {
    /// Room for `tokens` tokens at the end of `times`.
    fn new(times: &mut Vec<i64>, tokens: u64, grain: u64) -> Self {
        let length = tokens.div_ceil(grain).next_power_of_two() as usize;
        let base = times.len();
        times.resize(base + length, 0);
        Track { base, mask: length - 1, grain, entries: 0 }
    }

    /// The entry of a token; a grain of 1 is the rule, and saves the division.
    #[inline(always)]
    fn entry(&self, token: i64) -> i64 {
        if self.grain == 1 { token } else { token.div_euclid(self.grain as i64) }
    }

    #[inline(always)]
    fn index(&self, entry: i64) -> usize {
        self.base + (entry as usize & self.mask)
    }

    /// `count` entries from `entry` on.
    #[inline(always)]
    fn span<'a>(&self, times: &'a [i64], entry: i64, count: usize, add: i64) -> Span<'a> {
        let at = entry as usize & self.mask;
        let room = self.mask + 1 - at;
        let from = self.base + at;
        if count <= room {
            return Span { one: &times[from..from + count], two: &[], add };
        }
        Span { one: &times[from..from + room], two: &times[self.base..self.base + count - room], add }
    }

    /// Raises each of `out` to the time of tokens `first`, `first + step`, ... plus `add`.
    #[inline(always)]
    fn raise(&self, times: &[i64], first: i64, step: u64, add: i64, out: &mut [i64]) {
        let mut walk = Walk::new(first, step, self.grain);
        if step == self.grain {
            let mut than = [0; CHUNK];
            let than = &mut than[..out.len()];
            than.copy_from_slice(out);
            self.span(times, walk.entry, out.len(), add).later(than, out);
        } else {
            for out in out {
                *out = (*out).max(times[self.index(walk.next())] + add);
            }
        }
    }

    /// The same where each firing moves its own number of tokens, from token `next` on.
    #[inline(always)]
    fn raise_each(&self, times: &[i64], mut next: i64, rates: &[u64], add: i64, out: &mut [i64]) {
        for (out, &rate) in out.iter_mut().zip(rates) {
            if rate > 0 {
                next += rate as i64;
                *out = (*out).max(times[self.index(self.entry(next - 1))] + add);
            }
        }
    }

    /// Appends the entries of firings that happen at `at`, plus `add` each.
    #[inline(always)]
    fn append(&mut self, times: &mut [i64], rate: &Each<u64>, next: usize, at: &[i64], add: i64) {
        match rate {
            Each::Same(rate) if *rate == self.grain => self.extend(times, at, add),
            Each::Same(rate) => at.iter().for_each(|at| self.repeat(times, *rate, at + add)),
            Each::Table(rates) => {
                at.iter().zip(&rates[next..]).for_each(|(at, &rate)| self.repeat(times, rate, at + add))
            }
        }
    }

    /// Appends one entry for each of `at`.
    #[inline(always)]
    fn extend(&mut self, times: &mut [i64], at: &[i64], add: i64) {
        let first = self.entries as usize & self.mask;
        let room = self.mask + 1 - first;
        let to = self.base + first;
        if at.len() <= room {
            put(&mut times[to..to + at.len()], at, add);
        } else {
            put(&mut times[to..to + room], &at[..room], add);
            put(&mut times[self.base..self.base + at.len() - room], &at[room..], add);
        }
        self.entries += at.len() as i64;
    }

    #[inline(always)]
    fn repeat(&mut self, times: &mut [i64], tokens: u64, time: i64) {
        let count = if self.grain == 1 { tokens } else { tokens / self.grain };
        for _ in 0..count {
            let at = self.index(self.entries);
            times[at] = time;
            self.entries += 1;
        }
    }
}

/// Successive entries of a track, around its end, and what to add to them.
pub(crate) struct Span<'a> {
    one: &'a [i64],
    two: &'a [i64],
    add: i64,
}

impl Span<'_> {
    /// Sets `out` to the times.
    #[inline(always)]
    pub(crate) fn put(&self, out: &mut [i64]) {
        let (out_one, out_two) = out.split_at_mut(self.one.len());
        put(out_one, self.one, self.add);
        if !self.two.is_empty() {
            put(out_two, self.two, self.add);
        }
    }

    /// Sets `out` to the later of `than` and the times. Raising in place would be a conditional store for each firing.
    #[inline(always)]
    pub(crate) fn later(&self, than: &[i64], out: &mut [i64]) {
        let (out_one, out_two) = out.split_at_mut(self.one.len());
        let (than_one, than_two) = than.split_at(self.one.len());
        later(out_one, than_one, self.one, self.add);
        if !self.two.is_empty() {
            later(out_two, than_two, self.two, self.add);
        }
    }

    /// Whether any of these times is later than that of `than` in the same place.
    #[inline(always)]
    fn any_later(&self, than: &Span) -> bool {
        if self.two.is_empty() && than.two.is_empty() {
            return any_later(self.one, than.one);
        }
        // Three runs between the ends of the two tracks.
        let (first, second) = (self.one.len().min(than.one.len()), self.one.len().max(than.one.len()));
        any_later(&self.one[..first], &than.one[..first])
            | match self.one.len() > first {
                true => any_later(&self.one[first..second], &than.two[..second - first]),
                false => any_later(&self.two[..second - first], &than.one[first..second]),
            }
            | any_later(&self.two[second - self.one.len()..], &than.two[second - than.one.len()..])
    }
}

/// A stream in motion. It counts in portions of `share` tokens, the largest that both ends move whole.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    /// Tokens ever, initial ones included: slot taken, arrival known, consumed.
    pub taken: u64,
    pub visible: u64,
    pub consumed: u64,
    pub capacity: u64,
    initial: i64,
    pub share: u64,
    /// Tokens taken, and consumed, in periods that were skipped.
    skipped: u64,
    /// Initial tokens that are less than a portion.
    stuck: u64,
    /// Units at both ends, in dataflow order.
    pub from: usize,
    pub to: usize,
    /// When slots were taken.
    made: Track,
    /// When tokens are visible, where that is not a fixed time after `made`.
    seen: Option<Track>,
    /// When slots are free again.
    freed: Track,
    /// From `made` to visible.
    delay: i64,
    /// From leaving the producer to visible, and from the end of a firing to free.
    latency: i64,
    credit: i64,
    last_seen: i64,
    /// The most slots taken at a time among the entries of `made` checked so far.
    high: u64,
    checked: i64,
}

impl Lane {
    /// A stream of `slots` slots between two units.
    pub(crate) fn new(
        stream: &Stream,
        slots: usize,
        ends: (usize, usize),
        grains: &Grains,
        times: &mut Vec<i64>,
    ) -> Self {
        // Both ends move whole portions, so initial tokens that are less than one stay where they are.
        let (initial, stuck) = (stream.initial / grains.share, stream.initial % grains.share);
        let capacity = (slots as u64 - stuck) / grains.share;
        let (latency, credit) = (stream.latency as i64, stream.credit as i64);
        let made = Track::new(times, capacity, grains.produced);
        let seen = grains.latency.is_none().then(|| Track::new(times, capacity, grains.produced));
        // Long enough for the slots that the consumer frees at once and for those before, which `check` asks for.
        let freed = Track::new(times, 2 * capacity, grains.consumed);
        let delay = grains.latency.map_or(0, |of_producer| of_producer + latency);
        // Initial tokens are visible at 0: their entries, which come before entry 0, say so.
        for entry in 1..=initial.div_ceil(grains.produced) as i64 {
            times[made.index(-entry)] = -delay;
        }
        Lane {
            taken: initial,
            visible: initial,
            consumed: 0,
            capacity,
            initial: initial as i64,
            share: grains.share,
            skipped: 0,
            stuck,
            from: ends.0,
            to: ends.1,
            made,
            seen,
            freed,
            delay,
            latency,
            credit,
            last_seen: 0,
            high: initial,
            checked: 0,
        }
    }

    #[inline(always)]
    pub(crate) fn tokens(&self) -> u64 {
        self.visible - self.consumed
    }

    #[inline(always)]
    pub(crate) fn space(&self) -> u64 {
        self.capacity - (self.taken - self.consumed)
    }

    /// Raises `out` to when the tokens of successive firings are visible.
    #[inline(always)]
    pub(crate) fn raise_tokens(&self, times: &[i64], end: &Use, next: usize, out: &mut [i64]) {
        let (track, add) = self.seen.as_ref().map_or((&self.made, self.delay), |seen| (seen, 0));
        let first = self.consumed as i64 - self.initial;
        match &end.rate {
            Each::Same(rate) => track.raise(times, first + *rate as i64 - 1, *rate, add, out),
            Each::Table(rates) => track.raise_each(times, first, &rates[next..], add, out),
        }
    }

    /// Raises `out` to when the slots of successive firings are free. Slots that were never used are free from 0 on:
    /// their entries, which come before entry 0, have not been written yet.
    #[inline(always)]
    pub(crate) fn raise_space(&self, times: &[i64], end: &Use, next: usize, out: &mut [i64]) {
        let first = self.taken as i64 - self.capacity as i64;
        match &end.rate {
            Each::Same(rate) => self.freed.raise(times, first + *rate as i64 - 1, *rate, 0, out),
            Each::Table(rates) => self.freed.raise_each(times, first, &rates[next..], 0, out),
        }
    }

    /// For a plain end: when the next tokens are visible.
    #[inline(always)]
    pub(crate) fn plain_tokens<'a>(&self, times: &'a [i64], count: usize) -> Span<'a> {
        self.made.span(times, self.consumed as i64 - self.initial, count, self.delay)
    }

    /// For a plain end: when the next slots are free.
    #[inline(always)]
    pub(crate) fn plain_space<'a>(&self, times: &'a [i64], count: usize) -> Span<'a> {
        self.freed.span(times, self.taken as i64 - self.capacity as i64, count, 0)
    }

    /// For a plain end: firings that start at `starts` and are busy for `ii` consume a token each.
    #[inline(always)]
    pub(crate) fn plain_consume(&mut self, times: &mut [i64], starts: &[i64], ii: i64) {
        self.freed.extend(times, starts, ii + self.credit);
        self.consumed += starts.len() as u64;
        if self.high < self.capacity {
            self.check(times);
        }
    }

    /// For a plain end: firings that start at `starts` produce a token each.
    #[inline(always)]
    pub(crate) fn plain_produce(&mut self, times: &mut [i64], starts: &[i64]) {
        self.made.extend(times, starts, 0);
        self.taken += starts.len() as u64;
        self.visible += starts.len() as u64;
    }

    /// Firings that are busy until `ends` consume their tokens.
    #[inline(always)]
    pub(crate) fn consume(&mut self, times: &mut [i64], end: &Use, next: usize, ends: &[i64]) {
        self.freed.append(times, &end.rate, next, ends, self.credit);
        self.consumed += end.tokens(next, ends.len());
        if self.high < self.capacity {
            self.check(times);
        }
    }

    /// Firings that start at `starts` take their slots; their tokens leave after `latencies`, or when memory answers.
    #[inline(always)]
    pub(crate) fn produce(
        &mut self,
        times: &mut [i64],
        end: &Use,
        next: usize,
        starts: &[i64],
        leave: Option<&Each<i64>>,
    ) {
        self.made.append(times, &end.rate, next, starts, 0);
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

    /// Tokens that memory answered at `end`.
    pub(crate) fn arrive(&mut self, times: &mut [i64], tokens: u64, end: i64) {
        self.see(times, tokens, end);
        self.visible += tokens;
    }

    /// Raises the high-water mark: the slot of token t - high must be free when token t takes one. Each entry of `made`
    /// is looked at once, when that slot has been freed.
    #[inline(always)]
    fn check(&mut self, times: &[i64]) {
        let high = self.high as i64;
        if self.made.grain > 1 || self.freed.grain > 1 {
            return self.check_each(times, false);
        }
        // Until `high` tokens were taken there is nothing to look at.
        self.checked = self.checked.max(high - self.initial);
        let before = self.initial + self.checked - high;
        let count = (self.consumed as i64 - before).min(self.made.entries - self.checked);
        if count <= 0 {
            return;
        }
        let made = self.made.span(times, self.checked, count as usize, 0);
        let freed = self.freed.span(times, before, count as usize, 0);
        let over = freed.any_later(&made);
        if over {
            self.check_each(times, false);
        } else {
            self.checked += count;
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
                } else if times[self.freed.index(self.freed.entry(before))] <= made {
                    break;
                }
                self.high += 1;
            }
            self.checked += 1;
        }
    }

    /// Times that the stream holds.
    pub(crate) fn entries(&self) -> usize {
        self.made.mask + self.freed.mask + 2
    }

    /// When the tokens on the stream are visible, and when its free slots are free.
    pub(crate) fn standing<'a>(
        &self,
        times: &'a [i64],
    ) -> (impl ExactSizeIterator<Item = i64> + 'a, impl ExactSizeIterator<Item = i64> + 'a) {
        let (seen, add) = self.seen.map_or((self.made, self.delay), |seen| (seen, 0));
        let freed = self.freed;
        let first = seen.entry(self.consumed as i64 - self.initial);
        let tokens = (seen.entries - first).max(0) as usize;
        // Slots that were never used have no time.
        let free = freed.entry((self.taken as i64 - self.capacity as i64).max(0));
        let slots = (freed.entries - free).max(0) as usize;
        let token = move |ahead: usize| times[seen.index(first + ahead as i64)] + add;
        let slot = move |ahead: usize| times[freed.index(free + ahead as i64)];
        ((0..tokens).map(token), (0..slots).map(slot))
    }

    /// Everything on the stream is `cycles` later, and `tokens` more have passed.
    pub(crate) fn shift(&mut self, times: &mut [i64], cycles: i64, tokens: u64) {
        for track in [Some(self.made), self.seen, Some(self.freed)].into_iter().flatten() {
            times[track.base..=track.base + track.mask].iter_mut().for_each(|time| *time += cycles);
        }
        self.last_seen += cycles;
        self.skipped += tokens;
    }

    /// Tokens on the stream.
    pub(crate) fn held(&self) -> u64 {
        self.taken - self.consumed
    }

    /// Tokens that passed, initial ones included.
    pub(crate) fn passed(&self) -> u64 {
        self.taken + self.skipped
    }

    /// The most slots ever taken at a time.
    pub(crate) fn high_water(mut self, times: &[i64]) -> u64 {
        if self.high < self.capacity {
            self.check_each(times, true);
        }
        self.high * self.share + self.stuck
    }
}
