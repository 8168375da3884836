//! Latencies of reads, counted in buckets.

/// Latencies below this are counted one by one; above, 128 to each doubling (under 1 % wide).
const EXACT: u64 = 256;
const STEPS: u64 = 128;

/// Buckets at most: latencies up to 2^35 ticks, longer ones count with those.
const BUCKETS: usize = 4096;
/// Buckets are made so many at a time: most latencies are short, and what is kept of a replay is copied often.
const MADE: usize = 128;

/// Latencies in ticks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// Of each bucket, as far as any was needed.
    counts: Vec<u64>,
    pub count: u64,
    pub sum: u64,
    pub most: u64,
}

impl Latencies {
    #[inline]
    fn index(ticks: u64) -> usize {
        if ticks < EXACT {
            return ticks as usize;
        }
        let shift = (63 - ticks.leading_zeros() - STEPS.trailing_zeros()) as u64;
        (shift * STEPS + (ticks >> shift)) as usize
    }

    /// The least latency that falls into a bucket.
    fn floor(index: usize) -> u64 {
        let index = index as u64;
        if index < EXACT {
            return index;
        }
        let shift = index / STEPS - 1;
        (index - shift * STEPS) << shift
    }

    #[inline]
    pub fn add(&mut self, ticks: u64) {
        match self.counts.get_mut(Self::index(ticks)) {
            Some(count) => *count += 1,
            None => self.add_longer(ticks),
        }
        self.count += 1;
        self.sum += ticks;
        self.most = self.most.max(ticks);
    }

    /// One that is longer than those before, or that counts with the longest.
    #[cold]
    fn add_longer(&mut self, ticks: u64) {
        *self.bucket(Self::index(ticks).min(BUCKETS - 1)) += 1;
    }

    fn bucket(&mut self, index: usize) -> &mut u64 {
        if index >= self.counts.len() {
            self.counts.resize((index + 1).next_multiple_of(MADE), 0);
        }
        &mut self.counts[index]
    }

    fn add_counts(&mut self, counts: impl Iterator<Item = (usize, u64)>) {
        for (at, more) in counts.filter(|&(_, more)| more > 0) {
            *self.bucket(at) += more;
            self.count += more;
        }
    }

    pub fn merge(&mut self, other: &Latencies) {
        self.add_counts(other.counts.iter().copied().enumerate());
        self.sum += other.sum;
        self.most = self.most.max(other.most);
    }

    /// Adds `times` all of `other`.
    pub(super) fn repeat_of(&mut self, other: &Latencies, times: u64) {
        self.add_gain(&other.gain(&Latencies::default()), times);
        self.most = self.most.max(other.most);
    }

    /// Adds `times` what came since `before`.
    pub fn repeat(&mut self, before: &Latencies, times: u64) {
        let gain = self.gain(before);
        self.add_gain(&gain, times);
    }

    /// What came since `before`: buckets and how much each grew, and by how much the sum did.
    pub(super) fn gain(&self, before: &Latencies) -> (Vec<(usize, u64)>, u64) {
        let then = before.counts.iter().copied().chain(std::iter::repeat(0));
        let grown = self.counts.iter().zip(then).map(|(now, then)| now - then).enumerate();
        (grown.filter(|&(_, more)| more > 0).collect(), self.sum - before.sum)
    }

    /// Adds `times` what `gain` found; none of it was longer than what was counted then.
    pub(super) fn add_gain(&mut self, (grown, sum): &(Vec<(usize, u64)>, u64), times: u64) {
        self.add_counts(grown.iter().map(|&(at, more)| (at, more * times)));
        self.sum += sum * times;
    }

    pub fn mean_ticks(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 }
    }

    /// The least bucket that holds at least `part` of all, 0 if there are none.
    pub fn quantile_ticks(&self, part: f64) -> u64 {
        let rank = (part * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Self::floor(index);
            }
        }
        0
    }

    /// Counts of latencies in [2^n, 2^(n+1)) ticks for n from 0 to 39; those under 1 count with the first, those over
    /// with the last.
    pub fn octaves(&self) -> [u64; 40] {
        let mut out = [0; 40];
        for (index, count) in self.counts.iter().enumerate() {
            out[(63 - Self::floor(index).max(1).leading_zeros() as usize).min(39)] += count;
        }
        out
    }
}
