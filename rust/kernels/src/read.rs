use rayon::prelude::*;

use crate::{
    Level,
    simd::{Kernel, Simd},
};

/// Words of one task: enough to be read at the memory's full rate.
const TASK_WORDS: usize = 1 << 17;

/// Reads `words` once, on all threads, as fast as memory gives them: the yardstick of whatever waits for memory.
///
/// Returns their sum modulo 2^64, so that the reading cannot be left out.
pub fn read(words: &[u64]) -> u64 {
    let level = Level::detect();
    words.par_chunks(TASK_WORDS).map(|words| level.run(Sum { words })).reduce(|| 0, u64::wrapping_add)
}

struct Sum<'a> {
    words: &'a [u64],
}

impl Kernel for Sum<'_> {
    type Output = u64;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> u64 {
        self.words.iter().fold(0, |sum, word| sum.wrapping_add(*word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read() {
        let words: Vec<u64> = (0..3 * TASK_WORDS as u64 + 5).map(|word| word << 40).collect();
        let count = words.len() as u64;
        assert_eq!(read(&words), (count * (count - 1) / 2) << 40);
        assert_eq!(read(&[]), 0);
    }
}
