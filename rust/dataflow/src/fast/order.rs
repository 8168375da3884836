//! The order in which units are visited, and the set of those that may be able to fire.

use crate::program::Program;

/// Every unit after those that feed it, except around a loop, and depth first: a unit comes soon after its producers,
/// while what they made is still in the cache.
pub(crate) fn dataflow_order(program: &Program) -> Vec<usize> {
    let count = program.units.len();
    let (mut order, mut seen) = (Vec::with_capacity(count), vec![false; count]);
    let mut path: Vec<(usize, usize)> = Vec::new();
    let sinks = (0..count).filter(|&unit| program.outputs(unit).is_empty());
    for root in sinks.chain(0..count) {
        if !seen[root] {
            seen[root] = true;
            path.push((root, 0));
        }
        while let Some((unit, next)) = path.last_mut() {
            let Some(&stream) = program.inputs(*unit).get(*next) else {
                order.push(*unit);
                path.pop();
                continue;
            };
            *next += 1;
            let producer = program.streams[stream].from.0;
            if !seen[producer] {
                seen[producer] = true;
                path.push((producer, 0));
            }
        }
    }
    order
}

/// A set of units in two layers of bits, so that the next one is found at once among a hundred thousand.
pub(crate) struct Ready {
    words: Vec<u64>,
    /// One bit for each word that is not empty.
    summary: Vec<u64>,
}

impl Ready {
    /// None of `count` units.
    pub(crate) fn new(count: usize) -> Self {
        let words = count.div_ceil(64);
        Ready { words: vec![0; words], summary: vec![0; words.div_ceil(64)] }
    }

    #[inline(always)]
    pub(crate) fn insert(&mut self, unit: usize) {
        self.words[unit / 64] |= 1 << (unit % 64);
        self.summary[unit / 4096] |= 1 << (unit / 64 % 64);
    }

    /// Takes out the first unit from `from` on, or else the first of all.
    #[inline(always)]
    pub(crate) fn take(&mut self, from: usize) -> Option<usize> {
        let unit = self.find(from).or_else(|| self.find(0))?;
        self.words[unit / 64] &= !(1 << (unit % 64));
        if self.words[unit / 64] == 0 {
            self.summary[unit / 4096] &= !(1 << (unit / 64 % 64));
        }
        Some(unit)
    }

    #[inline(always)]
    fn find(&self, from: usize) -> Option<usize> {
        let word = from / 64;
        let here = self.words.get(word)? & (u64::MAX << (from % 64));
        if here != 0 {
            return Some(word * 64 + here.trailing_zeros() as usize);
        }
        let next = word + 1;
        let mut mask = u64::MAX << (next % 64);
        for at in next / 64..self.summary.len() {
            let bits = self.summary[at] & mask;
            if bits != 0 {
                let word = at * 64 + bits.trailing_zeros() as usize;
                return Some(word * 64 + self.words[word].trailing_zeros() as usize);
            }
            mask = u64::MAX;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_come_out_in_order_and_around() {
        let mut ready = Ready::new(10_000);
        (0..10_000).for_each(|unit| ready.insert(unit));
        (0..10_000).for_each(|unit| assert_eq!(ready.take(unit), Some(unit)));
        assert_eq!(ready.take(0), None);
        [9_999, 4_096, 63].into_iter().for_each(|unit| ready.insert(unit));
        assert_eq!((ready.take(64), ready.take(4_097), ready.take(9_999)), (Some(4_096), Some(9_999), Some(63)));
        assert_eq!(ready.take(5), None);
    }
}
