//! How many distinct words a vector touches in each bank: the exact count, in closed form where there is one.

use super::access::Lanes;
use super::layout::Placement;

/// Distinct words by bank, built from runs of neighbouring words in constant time each.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    placement: Placement,
    /// Whole lines: one word in each bank.
    lines: i64,
    /// Differences along the circle of banks.
    steps: Vec<i64>,
    pub words: u64,
}

impl Tally {
    pub fn new(placement: Placement) -> Self {
        Tally { placement, lines: 0, steps: vec![0; placement.banks as usize + 1], words: 0 }
    }

    /// Adds words `first` to `last`, `times` over.
    pub fn run(&mut self, first: u64, last: u64, times: u64) {
        let banks = self.placement.banks;
        self.words += (last - first + 1) * times;
        let (top, bottom) = (first / banks, last / banks);
        if top == bottom {
            self.arc(first, last - first + 1, times);
        } else {
            self.lines += ((bottom - top - 1) * times) as i64;
            self.arc(first, banks - first % banks, times);
            self.arc(bottom * banks, last % banks + 1, times);
        }
    }

    /// Words of one line are neighbours on the circle of banks.
    fn arc(&mut self, first: u64, words: u64, times: u64) {
        let (banks, start, times) = (self.placement.banks, self.placement.bank(first), times as i64);
        let end = start + words;
        self.steps[start as usize] += times;
        if end <= banks {
            self.steps[end as usize] -= times;
        } else {
            self.steps[banks as usize] -= times;
            self.steps[0] += times;
            self.steps[(end - banks) as usize] -= times;
        }
    }

    /// Words by bank.
    pub fn counts(&self) -> Vec<u64> {
        let mut level = self.lines;
        let mut next = |step: &i64| {
            level += step;
            level as u64
        };
        self.steps[..self.placement.banks as usize].iter().map(&mut next).collect()
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Lanes {
    fn first_word(&self, lane: u64, word: u64) -> u64 {
        (self.base + lane * self.stride) / word
    }

    fn last_word(&self, lane: u64, word: u64) -> u64 {
        (self.base + lane * self.stride + self.element - 1) / word
    }

    /// Whether no word between the first and the last is left out.
    fn is_run(&self, word: u64) -> bool {
        self.count == 1 || self.stride <= self.element.max(word)
    }

    /// Distinct words, where `busiest` has a formula too.
    pub fn words(&self, word: u64) -> u64 {
        if self.is_run(word) { self.last_word(self.count - 1, word) - self.first_word(0, word) + 1 } else { self.count }
    }

    /// Distinct words by bank. The pattern repeats after at most a period of the layout, so the work does not grow with
    /// the lanes beyond it.
    pub fn tally(&self, placement: Placement, word: u64) -> Tally {
        let mut tally = Tally::new(placement);
        if self.is_run(word) {
            tally.run(self.first_word(0, word), self.last_word(self.count - 1, word), 1);
            return tally;
        }
        let period_bytes = placement.period_words() * word;
        // Lanes after which the same banks follow; the words are new, and each is counted with the first lane in it.
        let cycle = period_bytes / gcd(self.stride, period_bytes);
        let new = |lane: u64| {
            let before = if lane == 0 { 0 } else { self.last_word(lane - 1, word) + 1 };
            (self.first_word(lane, word).max(before), self.last_word(lane, word))
        };
        let mut add = |lane: u64, times: u64| {
            let (first, last) = new(lane);
            if first <= last && times > 0 {
                tally.run(first, last, times);
            }
        };
        // Lane 0 shares no word with a lane before it, so it stands for itself; lane `cycle` takes its place.
        add(0, 1);
        for lane in 1..=cycle.min(self.count - 1) {
            add(lane, (self.count - 1 - lane) / cycle + 1);
        }
        tally
    }

    /// Words in the fullest bank, where there is a formula for it.
    pub fn busiest(&self, placement: Placement, word: u64) -> Option<u64> {
        let banks = placement.banks;
        let (first, last) = (self.first_word(0, word), self.last_word(self.count - 1, word));
        let row = |at: u64| placement.row_words.map_or(0, |row| at / row);
        if self.is_run(word) {
            let (top, bottom) = (first / banks, last / banks);
            if top == bottom {
                return Some(1);
            }
            // The part of the first line ends where its row begins on the circle; the part of the last begins where its
            // own row does. They meet in a bank if one reaches into the other.
            let (head, tail) = (banks - first % banks, last % banks + 1);
            let from_head = (placement.shift(first) + banks - placement.shift(last) + first % banks) % banks;
            let meet = from_head < tail || from_head + head > banks;
            return Some(bottom - top - 1 + if meet { 2 } else { 1 });
        }
        let inside = self.base % word + self.element <= word && self.stride.is_multiple_of(word);
        if !inside {
            return None;
        }
        // Each lane is one word of its own; a step moves on by so many banks, and the banks in turn are banks / gcd.
        let stride = self.stride / word;
        let step = match placement.row_words {
            None => stride,
            Some(_) if row(first) == row(last) => stride,
            // Rows are whole lines: going down whole rows moves by the skew alone.
            Some(row) if stride.is_multiple_of(row) => stride / row,
            Some(_) => return None,
        };
        Some(self.count.div_ceil(banks / gcd(step, banks)))
    }
}
