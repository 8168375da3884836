//! The pace of a stream between two units that each move the same short list of rates on it over and over.
//!
//! Then which firing of the one unit has to come before which firing of the other is the same again after a few firings,
//! and stands in a table. The stream has one time for each firing at either end, whatever the rates, and a unit looks up
//! those that its firings wait for.

use super::body::CHUNK;
use super::rates::{Rates, rounds, shared};
use super::track::Track;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Firings that one look at a time may settle.
const FEW: usize = 8;

/// Which firing of a writer each firing of a reader waits for.
// Readers go straight to the numbers: each hop is a line of the cache.
#[derive(Clone, Debug)]
struct Table {
    /// For the firings of a round of the reader, and a chunk more.
    by: Rc<[u32]>,
    /// How many of these firings can go when the writer has fired 0, 1, 2 times and so on, for the first that matter.
    possible: Rc<[u32]>,
    /// Firings in a round of both.
    writer: i64,
    reader: usize,
}

impl Table {
    /// `slack` tokens are there before the writer's first firing; the firings of the reader that they suffice for are left
    /// out.
    fn new(writer: &Rates, reader: &Rates, slack: u64) -> Self {
        let (of_writer, of_reader) = rounds(writer, reader);
        let first = reader.firings(slack);
        let by = |firing| writer.firings(reader.tokens(first + firing + 1) - slack - 1) as u32;
        let by: Rc<[u32]> = (0..of_reader + CHUNK as u64).map(by).collect();
        // A writer that fires far more often than its reader is looked up by halving.
        let fired = 0..2 * by.len() as u32;
        let possible = fired.map(|fired| by.partition_point(|&by| by < fired) as u32).collect();
        Table { by, possible, writer: of_writer as i64, reader: of_reader as usize }
    }
}

/// Tables by writer, reader and slack, and what `even` says of their rates.
type Made = HashMap<(Rates, Rates, u64), (Table, u64)>;

/// Tables that have been made; many streams have the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables(Rc<RefCell<Made>>);

impl Tables {
    fn get(&self, writer: &Rates, reader: &Rates, slack: u64) -> (Table, u64) {
        let key = (writer.clone(), reader.clone(), slack);
        let made = || (Table::new(writer, reader, slack), even(writer, reader));
        self.0.borrow_mut().entry(key).or_insert_with(made).clone()
    }
}

/// The rounds of a reader that come to whole rounds of a writer with the fewest tokens of slack for which any do.
fn even(writer: &Rates, reader: &Rates) -> u64 {
    let (shared, of_writer) = (shared(writer, reader), writer.round());
    (0..of_writer / shared).find(|rounds| (shared + rounds * reader.round()).is_multiple_of(of_writer)).unwrap_or(0)
}

/// The firings of a writer that the next firings of a reader wait for. Firings before the writer's first have long ended.
// One line of the cache.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    table: Table,
    /// The reader's next firing in its round.
    at: usize,
    /// The writer's firing that the round begins with.
    base: i64,
}

impl Reach {
    /// From firing `next` of the reader on.
    fn new(writer: &Rates, reader: &Rates, slack: u64, next: u64, tables: &Tables) -> Self {
        // A round of the reader is as good as so many tokens less slack, and one of the writer as so many more; so few
        // tables do for all slacks, and stay in the cache.
        let (shared, of_writer) = (shared(writer, reader), writer.round());
        let (least, portions) = (slack % shared, of_writer / shared);
        let (table, even) = tables.get(writer, reader, least);
        let more = slack / shared % portions * even % portions;
        let less = (slack - least + more * reader.round()) / of_writer;
        let since = (next + more * reader.length()) as i64 - reader.firings(least) as i64;
        let (round, at) = (since.div_euclid(table.reader as i64), since.rem_euclid(table.reader as i64));
        let base = round * table.writer - (less * writer.length()) as i64;
        Reach { at: at as usize, base, table }
    }

    /// How many of the next `most` firings, a chunk at most, can go when the writer has fired so often.
    #[inline(always)]
    pub(super) fn possible(&self, fired: i64, most: u64) -> u64 {
        let there = (fired - self.base).max(0);
        if let Some(&possible) = self.table.possible.get(there as usize) {
            return u64::from(possible).saturating_sub(self.at as u64).min(most);
        }
        let by = &self.table.by[self.at..self.at + most as usize];
        by.partition_point(|&by| i64::from(by) < there) as u64
    }

    /// All firings that can go when the writer has fired so often.
    pub(super) fn all(&self, fired: i64) -> u64 {
        let (there, table) = (fired - self.base, &self.table);
        let (rounds, rest) = (there.div_euclid(table.writer), there.rem_euclid(table.writer));
        let more = table.by[..table.reader].partition_point(|&by| i64::from(by) < rest);
        (rounds * table.reader as i64 + more as i64 - self.at as i64) as u64
    }

    /// What firing `ahead` from now waits for.
    #[inline(always)]
    pub(super) fn writer(&self, ahead: usize) -> i64 {
        let (at, table) = (self.at + ahead, &self.table);
        match table.by.get(at) {
            Some(&by) => self.base + i64::from(by),
            None => self.base + (at / table.reader) as i64 * table.writer + i64::from(table.by[at % table.reader]),
        }
    }

    /// The firing that the last of the next `count` firings waits for.
    #[inline(always)]
    pub(super) fn last(&self, count: usize) -> i64 {
        self.writer(count - 1)
    }

    /// What each of the next `count` firings waits for, less the first of these numbers.
    #[inline(always)]
    pub(super) fn writers(&self, count: usize) -> (i64, &[u32]) {
        (self.base, &self.table.by[self.at..self.at + count])
    }

    /// Sets `out` to what the next firings wait for, plus `add`.
    #[inline(always)]
    pub(super) fn put(&self, times: &[i64], track: &Track, add: i64, out: &mut [i64]) {
        let time = self.times(track.ring(times), add);
        let by = self.table.by[self.at..self.at + out.len()].as_chunks::<FEW>();
        let few = out.as_chunks_mut::<FEW>();
        few.0.iter_mut().zip(by.0).for_each(|(out, by)| *out = by.map(&time));
        few.1.iter_mut().zip(by.1).for_each(|(out, &by)| *out = time(by));
    }

    /// When the firing of the writer that a place of the table names happened, plus `add`.
    #[inline(always)]
    fn times<'a>(&self, ring: &'a [i64], add: i64) -> impl Fn(u32) -> i64 + use<'a> {
        let base = self.base as usize;
        move |by| ring[base.wrapping_add(by as usize) & (ring.len() - 1)] + add
    }

    /// Sets `out` to the later of `than` and what the next firings wait for, plus `add`.
    #[inline(always)]
    pub(super) fn later(&self, times: &[i64], track: &Track, add: i64, than: &[i64], out: &mut [i64]) {
        let time = self.times(track.ring(times), add);
        let than = than[..out.len()].as_chunks::<FEW>();
        let by = self.table.by[self.at..self.at + out.len()].as_chunks::<FEW>();
        let few = out.as_chunks_mut::<FEW>();
        for ((out, than), by) in few.0.iter_mut().zip(than.0).zip(by.0) {
            for at in 0..FEW {
                out[at] = than[at].max(time(by[at]));
            }
        }
        few.1.iter_mut().zip(than.1).zip(by.1).for_each(|((out, &than), &by)| *out = than.max(time(by)));
    }

    /// Whether none of the next `count` firings starts, at the times of `starts` from `first` on, before what it waits for,
    /// plus `add`.
    #[inline(always)]
    fn precedes(&self, times: &[i64], ends: &Track, add: i64, starts: &Track, first: i64, count: usize) -> bool {
        let (ends, (one, two)) = (ends.ring(times), starts.span(times, first, count, 0).parts());
        let (by_one, by_two) = self.table.by[self.at..self.at + count].split_at(one.len());
        let mut signs = 0;
        for (starts, by) in [(one, by_one), (two, by_two)] {
            for (start, &by) in starts.iter().zip(by) {
                signs |= start - add - ends[(self.base + i64::from(by)) as usize & (ends.len() - 1)];
            }
        }
        signs >= 0
    }

    /// The reader has fired `count` times, a chunk at most.
    #[inline(always)]
    pub(super) fn advance(&mut self, count: usize) {
        self.at += count;
        if self.at >= self.table.reader {
            self.base += (self.at / self.table.reader) as i64 * self.table.writer;
            self.at %= self.table.reader;
        }
    }
}

/// The pace of a stream.
// Laid out by cache lines.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(super) struct Pace {
    /// What the consumer's next firings wait for, and the producer's.
    pub(super) tokens: Reach,
    pub(super) slots: Reach,
    mark: Mark,
    pub(super) rates: Rc<(Rates, Rates)>,
    initial: u64,
    tables: Tables,
}

/// How far the firings of the producer have been checked against the high-water mark. With as many slots as the mark they
/// could go when certain firings of the consumer had ended; where those ended later, the mark rises.
#[derive(Clone, Debug)]
struct Mark {
    high: u64,
    /// The producer's next firing to be checked, and what it waits for.
    next: i64,
    reach: Reach,
}

impl Mark {
    fn new((produced, consumed): &(Rates, Rates), initial: u64, high: u64, next: i64, tables: &Tables) -> Self {
        let slack = high - initial;
        // The first firings need no slot that was used before.
        let next = (next as u64).max(produced.firings(slack));
        Mark { high, next: next as i64, reach: Reach::new(consumed, produced, slack, next, tables) }
    }
}

impl Pace {
    pub(super) fn new(rates: &(Rates, Rates), capacity: u64, initial: u64, tables: &Tables) -> Self {
        let (produced, consumed) = rates;
        Pace {
            tokens: Reach::new(produced, consumed, initial, 0, tables),
            slots: Reach::new(consumed, produced, capacity - initial, 0, tables),
            mark: Mark::new(rates, initial, initial, 0, tables),
            initial,
            rates: Rc::new(rates.clone()),
            tables: tables.clone(),
        }
    }

    /// The most slots taken after a firing of the producer, of those firings that nothing still unknown can change.
    #[inline(always)]
    pub(super) fn check(&mut self, times: &[i64], starts: &Track, ends: &Track, add: i64) -> u64 {
        loop {
            let count = (starts.entries - self.mark.next).clamp(0, CHUNK as i64) as u64;
            let reach = &self.mark.reach;
            let count = reach.possible(ends.entries, count) as usize;
            if count == 0 {
                return self.mark.high;
            }
            // Times only rise: often the last slot was free when the first of these firings started.
            let first = times[starts.index(self.mark.next)];
            if times[ends.index(reach.last(count))] + add <= first
                || reach.precedes(times, ends, add, starts, self.mark.next, count)
            {
                self.mark.next += count as i64;
                self.mark.reach.advance(count);
                if count < CHUNK {
                    return self.mark.high;
                }
            } else {
                self.raise(times, starts, ends, add, count as i64);
            }
        }
    }

    /// The same when the run has ended and everything is known.
    pub(super) fn high_water(&mut self, times: &[i64], starts: &Track, ends: &Track, add: i64) -> u64 {
        let left = starts.entries - self.mark.next;
        if left > 0 {
            self.raise(times, starts, ends, add, left);
        }
        self.mark.high
    }

    /// Goes through `count` firings of the producer one by one, where some of them raise the mark.
    #[inline(never)]
    fn raise(&mut self, times: &[i64], starts: &Track, ends: &Track, add: i64, count: i64) {
        let (produced, consumed) = &*self.rates;
        let (mut high, first, ended) = (self.mark.high, self.mark.next, ends.entries as u64);
        for firing in first..first + count {
            let start = times[starts.index(firing)];
            let end = |firing: u64| times[ends.index(firing as i64)] + add;
            let taken = self.initial + produced.tokens(firing as u64 + 1);
            // From the firing that the mark asks for, up or down to the last that has ended.
            let mut over = consumed.firings((taken - high.min(taken)).min(consumed.tokens(ended))).min(ended);
            while over < ended && end(over) <= start {
                over += 1;
            }
            while over > 0 && end(over - 1) > start {
                over -= 1;
            }
            high = high.max(taken - consumed.tokens(over));
        }
        self.mark = Mark::new(&self.rates, self.initial, high, first + count, &self.tables);
    }

    /// Tokens taken by so many firings of the producer, initial ones included.
    pub(super) fn taken(&self, firings: u64) -> u64 {
        self.initial + self.rates.0.tokens(firings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For each of the reader's first firings the writer's firing that it waits for, found one by one; negative for none.
    fn one_by_one(writer: &[u64], reader: &[u64], slack: u64, firings: usize) -> Vec<i64> {
        let (mut written, mut read, mut next) = (slack, 0, -1);
        let one = |firing: usize| {
            read += reader[firing % reader.len()];
            while written < read {
                next += 1;
                written += writer[next as usize % writer.len()];
            }
            next
        };
        (0..firings).map(one).collect()
    }

    #[test]
    fn tables_say_what_each_firing_waits_for() {
        let lists: [&[u64]; 6] = [&[1], &[3], &[2, 0, 5], &[0, 7], &[4, 4, 1], &[100]];
        for (writer, reader) in lists.iter().flat_map(|writer| lists.map(|reader| (*writer, reader))) {
            let rates = (Rates::new(writer.iter().copied()), Rates::new(reader.iter().copied()));
            for slack in [0, 1, 6, 250] {
                let expected = one_by_one(writer, reader, slack, 1000);
                let mut reach = Reach::new(&rates.0, &rates.1, slack, 0, &Tables::default());
                let mut firing = 0;
                for count in [1, 7, CHUNK, 3, 50, CHUNK, 2].into_iter().cycle().take(14) {
                    for (ahead, &by) in expected[firing..firing + count].iter().enumerate() {
                        // Those that wait for nothing are given firings before the first.
                        assert_eq!(reach.writer(ahead).max(-1), by, "{writer:?} {reader:?} {slack} {firing}+{ahead}");
                    }
                    for fired in [0, 1, 5, 100, 700] {
                        let possible = expected.iter().filter(|by| **by < fired).count().saturating_sub(firing);
                        assert_eq!(reach.possible(fired, count as u64), possible.min(count) as u64);
                        if expected[999] >= fired && possible > 0 {
                            assert_eq!(reach.all(fired), possible as u64);
                        }
                    }
                    reach.advance(count);
                    firing += count;
                }
            }
        }
    }
}
