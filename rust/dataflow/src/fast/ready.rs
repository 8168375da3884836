//! The set of units that may be able to fire, and which of them is visited next.

/// Units of the smallest block, and of the largest: a block is part of one word of the set.
const BLOCK: usize = 16;
const WORD: usize = u64::BITS as usize;
/// Bytes of a cache that most processors have for each core, less what others need of it.
const CACHE: usize = 384 << 10;
/// Blocks in a window at most.
const DEEPEST: usize = 8;

/// A set of units in dataflow order, in two layers of bits, so that the next one is found at once among a hundred thousand.
///
/// It is walked block by block. When the front comes to a new block, the blocks behind it are visited again, each one turn
/// behind the block after it: tokens that it made have just been consumed there, so there is room for more. So a few
/// blocks are visited several times while their streams are in the cache, before the walk goes on.
pub(crate) struct Ready {
    words: Vec<u64>,
    /// One bit for each word that is not empty.
    summary: Vec<u64>,
    /// Units of a block, and blocks of the window that ends with the front.
    block: usize,
    depth: usize,
    front: usize,
    /// The block that is visited, the first unit that may come next in it, and its end.
    here: usize,
    at: usize,
    end: usize,
}

impl Ready {
    /// None of `count` units, whose streams join units no more than `reach` apart; `bytes` is what all of them touch.
    pub(crate) fn new(count: usize, reach: usize, bytes: usize) -> Self {
        let words = count.div_ceil(WORD);
        let block = reach.next_power_of_two().max(BLOCK);
        // A block behind the front finds no room where its consumers are farther away than the next block.
        let (block, depth) = match block {
            ..=WORD => (block, CACHE / (bytes / count.max(1) * block).max(1)),
            _ => (WORD, 1),
        };
        Ready {
            words: vec![0; words],
            summary: vec![0; words.div_ceil(WORD)],
            block,
            depth: depth.clamp(1, DEEPEST),
            front: 0,
            here: 0,
            at: 0,
            end: block,
        }
    }

    #[inline(always)]
    pub(crate) fn insert(&mut self, unit: usize) {
        self.words[unit / 64] |= 1 << (unit % 64);
        self.summary[unit / 4096] |= 1 << (unit / 64 % 64);
    }

    /// Takes out the unit that comes next; `None` if there is none.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> Option<usize> {
        loop {
            if self.at < self.end
                && let Some(word) = self.words.get_mut(self.at / 64)
            {
                let rest = *word & (u64::MAX << (self.at % 64));
                let unit = self.at / 64 * 64 + rest.trailing_zeros() as usize;
                if rest != 0 && unit < self.end {
                    *word &= !(1 << (unit % 64));
                    if *word == 0 {
                        self.summary[unit / 4096] &= !(1 << (unit / 64 % 64));
                    }
                    self.at = unit + 1;
                    return Some(unit);
                }
            }
            self.turn()?;
        }
    }

    /// Goes to the block before, or on to a new front; `None` if no unit is left.
    #[inline(always)]
    fn turn(&mut self) -> Option<()> {
        if self.here > 0 && self.front - self.here + 1 < self.depth {
            self.here -= 1;
        } else {
            let first = (self.front + 2).saturating_sub(self.depth) * self.block;
            self.front = match self.find(first).or_else(|| self.find(0))? {
                // Also beyond the last block, until those behind have had all their turns.
                unit if unit >= first && unit < (self.front + 2) * self.block => self.front + 1,
                unit => unit / self.block,
            };
            self.here = self.front;
        }
        (self.at, self.end) = (self.here * self.block, (self.here + 1) * self.block);
        Some(())
    }

    /// The first unit from `from` on.
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

    /// What comes out until nothing does.
    fn all(ready: &mut Ready) -> Vec<usize> {
        std::iter::from_fn(|| ready.take()).collect()
    }

    #[test]
    fn units_come_out_in_order_and_around() {
        for reach in [1, 40, 1000] {
            let mut ready = Ready::new(10_000, reach, 10_000 << 11);
            (0..10_000).for_each(|unit| ready.insert(unit));
            assert!(all(&mut ready).into_iter().eq(0..10_000));
            [9_999, 4_096, 63].into_iter().for_each(|unit| ready.insert(unit));
            let mut rest = all(&mut ready);
            rest.sort_unstable();
            assert_eq!(rest, [63, 4_096, 9_999]);
            assert_eq!(ready.take(), None);
        }
    }

    #[test]
    fn blocks_behind_the_front_have_their_turn_before_it_goes_on() {
        // Three blocks of 16 units, of 112 KiB each, are a window.
        let mut ready = Ready::new(96, 1, 96 * (7 << 10));
        (0..96).for_each(|unit| ready.insert(unit));
        let mut turns = Vec::new();
        while let Some(unit) = ready.take() {
            if unit % 16 == 0 {
                turns.push(unit / 16);
                if turns.iter().filter(|&&block| block == unit / 16).count() < 3 {
                    ready.insert(unit);
                }
            }
        }
        assert_eq!(turns, [0, 1, 0, 2, 1, 0, 3, 2, 1, 4, 3, 2, 5, 4, 3, 5, 4, 5]);
    }
}
