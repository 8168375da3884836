//! Rates that come again and again, at both ends of a stream.

use crate::repetition::gcd;

/// Firings in a table at most, and in a round of the other unit; streams of stranger rates keep their times per token.
const MOST_FIRINGS: u64 = 1 << 12;
const LONGEST_ROUND: u64 = 1 << 24;

/// Tokens that the firings of a unit move on one stream, over and over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rates {
    /// Tokens before each firing of a round, and of the round.
    before: Vec<u64>,
}

impl Rates {
    pub(super) fn new(rates: impl Iterator<Item = u64>) -> Self {
        let sums = rates.scan(0, |sum, rate| {
            *sum += rate;
            Some(*sum)
        });
        Rates { before: [0].into_iter().chain(sums).collect() }
    }

    /// Whether `self` and the rates at the other end are steady enough for tables.
    pub(super) fn suit(&self, other: &Rates) -> bool {
        let short = |(writer, reader): (&Rates, &Rates)| {
            let (round, firings) = rounds(writer, reader);
            round <= LONGEST_ROUND && firings <= MOST_FIRINGS
        };
        self.round() > 0 && other.round() > 0 && [(self, other), (other, self)].into_iter().all(short)
    }

    /// One token in each firing.
    pub(super) fn are_one(&self) -> bool {
        self.before == [0, 1]
    }

    pub(super) fn length(&self) -> u64 {
        self.before.len() as u64 - 1
    }

    pub(super) fn round(&self) -> u64 {
        self.before[self.before.len() - 1]
    }

    /// Tokens of the first `firings` firings.
    pub(super) fn tokens(&self, firings: u64) -> u64 {
        firings / self.length() * self.round() + self.before[(firings % self.length()) as usize]
    }

    /// The most firings whose tokens are no more than `tokens`; the next one moves token number `tokens`.
    pub(super) fn firings(&self, tokens: u64) -> u64 {
        let rest = tokens % self.round();
        tokens / self.round() * self.length() + self.before.partition_point(|&before| before <= rest) as u64 - 1
    }

    /// The most firings from one that moves some token up to those that move the `tokens` tokens from there on.
    pub(super) fn most(&self, tokens: u64) -> u64 {
        // As many as can be: where the last of these tokens is just the last of a firing.
        let (round, rest) = (self.round(), tokens % self.round());
        let firings = |&end: &u64| {
            let first = (end + round - rest) % round;
            self.firings(first + tokens) - self.firings(first)
        };
        self.before.iter().map(firings).max().unwrap_or(0)
    }

    /// A token more where firings may move none: such a firing is said to wait for what the one before it waited for.
    pub(super) fn pauses(&self) -> u64 {
        u64::from(self.before.windows(2).any(|pair| pair[0] == pair[1]))
    }
}

/// Tokens that the rounds of a writer and of a reader are multiples of.
pub(super) fn shared(writer: &Rates, reader: &Rates) -> u64 {
    gcd(writer.round().into(), reader.round().into()) as u64
}

/// Firings of a writer and of a reader after which both stand as before.
pub(super) fn rounds(writer: &Rates, reader: &Rates) -> (u64, u64) {
    let shared = shared(writer, reader);
    (writer.length().saturating_mul(reader.round() / shared), reader.length().saturating_mul(writer.round() / shared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_firings_are_found_at_the_ends_of_firings() {
        for list in [&[1][..], &[3], &[2, 0, 5], &[0, 7], &[4, 4, 1]] {
            let rates = Rates::new(list.iter().copied());
            for tokens in 0..40 {
                let anywhere = (0..rates.round()).map(|first| rates.firings(first + tokens) - rates.firings(first));
                assert_eq!(Some(rates.most(tokens)), anywhere.max(), "{list:?} {tokens}");
            }
        }
        assert_eq!([&[1][..], &[2, 0, 5]].map(|list| Rates::new(list.iter().copied()).pauses()), [0, 1]);
    }
}
