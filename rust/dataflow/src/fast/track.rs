//! A track: the timestamps that the unit at one end of a stream leaves for the unit at the other.
//!
//! A track has one entry for each *grain* of tokens that its unit moves at once, so that a firing writes one entry
//! however many tokens it moves. All tracks lie in one array of times.

use super::body::{Each, Use};
use super::pace::Reach;
use super::passes::{any_later, later, put};

/// A ring of timestamps in the array of times; its length is a power of two.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Track {
    pub(super) base: usize,
    pub(super) mask: usize,
    /// Tokens of one entry.
    pub(super) grain: u64,
    /// Entries ever written.
    pub(super) entries: i64,
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
    pub(super) fn new(times: &mut Vec<i64>, tokens: u64, grain: u64) -> Self {
        let length = tokens.div_ceil(grain).next_power_of_two() as usize;
        let base = times.len();
        times.resize(base + length, 0);
        Track { base, mask: length - 1, grain, entries: 0 }
    }

    /// The entry of a token; a grain of 1 is the rule, and saves the division.
    #[inline(always)]
    pub(super) fn entry(&self, token: i64) -> i64 {
        if self.grain == 1 { token } else { token.div_euclid(self.grain as i64) }
    }

    #[inline(always)]
    pub(super) fn index(&self, entry: i64) -> usize {
        self.base + (entry as usize & self.mask)
    }

    #[inline(always)]
    pub(super) fn ring<'a>(&self, times: &'a [i64]) -> &'a [i64] {
        &times[self.base..=self.base + self.mask]
    }

    /// `count` entries from `entry` on.
    #[inline(always)]
    pub(super) fn span<'a>(&self, times: &'a [i64], entry: i64, count: usize, add: i64) -> Span<'a> {
        let at = entry as usize & self.mask;
        let room = self.mask + 1 - at;
        let from = self.base + at;
        if count <= room {
            return Span { one: &times[from..from + count], two: &[], add };
        }
        Span { one: &times[from..from + room], two: &times[self.base..self.base + count - room], add }
    }

    /// Appends the entries of firings that happen at `at`, plus `add` each.
    #[inline(always)]
    pub(super) fn append(&mut self, times: &mut [i64], end: &Use, next: usize, at: &[i64], add: i64) {
        match &end.rate {
            Each::Same(rate) if *rate == self.grain => self.extend(times, at, add),
            Each::Same(rate) => at.iter().for_each(|at| self.repeat(times, *rate, at + add)),
            Each::Table(rates) => {
                at.iter().zip(&rates[next..]).for_each(|(at, &rate)| self.repeat(times, rate, at + add))
            }
        }
    }

    /// Appends one entry for each of `at`.
    #[inline(always)]
    pub(super) fn extend(&mut self, times: &mut [i64], at: &[i64], add: i64) {
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

    /// Everything is `cycles` later.
    pub(super) fn shift(&self, times: &mut [i64], cycles: i64) {
        times[self.base..=self.base + self.mask].iter_mut().for_each(|time| *time += cycles);
    }

    #[inline(always)]
    pub(super) fn repeat(&mut self, times: &mut [i64], tokens: u64, time: i64) {
        let count = if self.grain == 1 { tokens } else { tokens / self.grain };
        for _ in 0..count {
            let at = self.index(self.entries);
            times[at] = time;
            self.entries += 1;
        }
    }
}

/// Successive entries of a track, around its end, and what to add to them.
pub(super) struct Span<'a> {
    one: &'a [i64],
    two: &'a [i64],
    add: i64,
}

impl<'a> Span<'a> {
    /// Those up to the end of the track, and those after.
    #[inline(always)]
    pub(super) fn parts(&self) -> (&'a [i64], &'a [i64]) {
        (self.one, self.two)
    }

    /// Sets `out` to the times.
    #[inline(always)]
    pub(super) fn put(&self, out: &mut [i64]) {
        let mut from = 0;
        for part in [self.one, self.two] {
            put(&mut out[from..from + part.len()], part, self.add);
            if from + part.len() == out.len() {
                return;
            }
            from += part.len();
        }
    }

    /// Sets `out` to the later of `than` and the times. Raising in place would be a conditional store for each firing.
    #[inline(always)]
    pub(super) fn later(&self, than: &[i64], out: &mut [i64]) {
        let mut from = 0;
        for part in [self.one, self.two] {
            let to = from + part.len();
            later(&mut out[from..to], &than[from..to], part, self.add);
            if to == out.len() {
                return;
            }
            from = to;
        }
    }

    /// Whether any of these times is later than that of `than` in the same place.
    #[inline(always)]
    pub(super) fn any_later(&self, than: &Span) -> bool {
        let any_later = |these, those| any_later(these, those, self.add - than.add);
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

/// What the next firings of a unit find at one end of a stream: the times of tokens `first` and on of a track.
pub(super) struct Ahead<'a> {
    track: &'a Track,
    first: i64,
    add: i64,
    /// Which times these are, if the stream is paced.
    reach: Option<&'a Reach>,
}

impl<'a> Ahead<'a> {
    #[inline(always)]
    pub(super) fn new(track: &'a Track, first: i64, add: i64, reach: Option<&'a Reach>) -> Self {
        Ahead { track, first, add, reach }
    }

    /// The last time that `count` firings need. Times on a track only rise.
    #[inline(always)]
    pub(super) fn last(&self, times: &[i64], end: &Use, next: usize, count: usize) -> i64 {
        if let Some(reach) = self.reach {
            return times[self.track.index(reach.last(count))] + self.add;
        }
        match end.tokens(next, count) as i64 {
            0 => i64::MIN,
            tokens => times[self.track.index(self.track.entry(self.first + tokens - 1))] + self.add,
        }
    }

    /// Sets `out` to the times of a plain or paced end.
    #[inline(always)]
    pub(super) fn put(&self, times: &[i64], out: &mut [i64]) {
        if let Some(reach) = self.reach {
            return reach.put(times, self.track, self.add, out);
        }
        self.track.span(times, self.first, out.len(), self.add).put(out);
    }

    /// The time that firing `ahead` from now needs, at a plain or paced end.
    #[inline(always)]
    fn time(&self, times: &[i64], ahead: usize) -> i64 {
        let entry = self.reach.map_or(self.first + ahead as i64, |reach| reach.writer(ahead));
        times[self.track.index(entry)] + self.add
    }

    /// Whether none of the times of a plain or paced end is later than those of `than`, seen at a glance: both only rise, so
    /// that in either half the last of these and the first of those tell.
    #[inline(always)]
    pub(super) fn are_past(&self, times: &[i64], than: &[i64]) -> bool {
        let half = than.len() / 2;
        self.time(times, half.max(1) - 1) <= than[0] && self.time(times, than.len() - 1) <= than[half]
    }

    /// Raises `starts` to the times of a plain or paced end, or sets them if this end is the `first`, and each to the end of
    /// the firing before, `ii` after its start. Returns the end of the last; sets `ends` where intervals differ. The first of
    /// the firings is number `next` of its body.
    // One pass for all: the gathering of times hides behind the chain, which takes three cycles for each firing.
    #[expect(clippy::too_many_arguments)]
    #[inline(never)]
    pub(super) fn start(
        &self,
        first: bool,
        times: &[i64],
        ii: &Each<i64>,
        next: usize,
        before: i64,
        starts: &mut [i64],
        ends: &mut [i64],
    ) -> i64 {
        let (ring, add) = (self.track.ring(times), self.add);
        let time = |entry: i64| ring[entry as usize & (ring.len() - 1)] + add;
        match self.reach {
            Some(reach) => {
                let (base, by) = reach.writers(starts.len());
                let found = by.iter().map(|&by| time(base + i64::from(by)));
                chain_found(first, found, ii, next, before, starts, ends)
            }
            None => chain_found(first, (self.first..).map(time), ii, next, before, starts, ends),
        }
    }

    /// Sets `out` to the later of `than` and the times of a plain or paced end.
    #[inline(always)]
    pub(super) fn later_steady(&self, times: &[i64], than: &[i64], out: &mut [i64]) {
        match self.reach {
            Some(reach) => reach.later(times, self.track, self.add, than, out),
            None => self.track.span(times, self.first, out.len(), self.add).later(than, out),
        }
    }

    /// Sets `out` to the later of `than` and the time that each firing needs.
    #[inline(always)]
    pub(super) fn later(&self, times: &[i64], end: &Use, next: usize, than: &[i64], out: &mut [i64]) {
        let than = &than[..out.len()];
        match &end.rate {
            _ if end.plain || end.paced => self.later_steady(times, than, out),
            Each::Same(rate) => {
                let mut walk = Walk::new(self.first + *rate as i64 - 1, *rate, self.track.grain);
                for (out, &than) in out.iter_mut().zip(than) {
                    *out = than.max(times[self.track.index(walk.next())] + self.add);
                }
            }
            Each::Table(rates) => {
                let mut token = self.first - 1;
                for ((out, &than), &rate) in out.iter_mut().zip(than).zip(&rates[next..]) {
                    token += rate as i64;
                    let time = times[self.track.index(self.track.entry(token))] + self.add;
                    *out = if rate > 0 { than.max(time) } else { than };
                }
            }
        }
    }
}

#[inline(always)]
fn chain_found(
    first: bool,
    found: impl Iterator<Item = i64>,
    ii: &Each<i64>,
    next: usize,
    before: i64,
    starts: &mut [i64],
    ends: &mut [i64],
) -> i64 {
    let all = starts.iter_mut().zip(found);
    let raise = |ready: i64, start: &mut i64, found: i64| {
        *start = ready.max(found).max(*start);
        *start
    };
    let set = |ready: i64, start: &mut i64, found: i64| {
        *start = ready.max(found);
        *start
    };
    match ii {
        Each::Same(ii) if first => all.fold(before, |ready, (start, found)| set(ready, start, found) + ii),
        Each::Same(ii) => all.fold(before, |ready, (start, found)| raise(ready, start, found) + ii),
        Each::Table(iis) => all.zip(ends).zip(&iis[next..]).fold(before, |ready, (((start, found), end), ii)| {
            *end = if first { set(ready, start, found) } else { raise(ready, start, found) } + ii;
            *end
        }),
    }
}
