//! When chosen firings of chosen units start.

use crate::observer::{Fired, Observer};

/// The numbers asked for, one list per unit, and the start of each.
#[derive(Clone, Debug)]
pub struct Times {
    /// Per unit: (firing number, its start), in ascending order of the number.
    wanted: Vec<Vec<(u64, Option<u64>)>>,
    /// Per unit: how many of them are known.
    known: Vec<usize>,
}

impl Times {
    /// `numbers` has one list per unit, in any order; an empty one asks for nothing.
    pub fn new(numbers: Vec<Vec<u64>>) -> Self {
        let ascending = |mut numbers: Vec<u64>| {
            numbers.sort_unstable();
            numbers.dedup();
            numbers.into_iter().map(|number| (number, None)).collect()
        };
        Times { known: vec![0; numbers.len()], wanted: numbers.into_iter().map(ascending).collect() }
    }

    /// The start of a firing that was asked for; `None` if it was not, or if the unit did not fire so often.
    pub fn start(&self, unit: usize, number: u64) -> Option<u64> {
        let wanted = self.wanted.get(unit)?;
        wanted.binary_search_by_key(&number, |entry| entry.0).ok().and_then(|at| wanted[at].1)
    }
}

impl Observer for Times {
    fn fired(&mut self, firing: &Fired) {
        let known = &mut self.known[firing.unit];
        if let Some(next) = self.wanted[firing.unit].get_mut(*known)
            && next.0 == firing.number
        {
            next.1 = Some(firing.start);
            *known += 1;
        }
    }

    fn most_periods(&self, unit: usize, number: u64, _ready: u64, firings: u64, _cycles: u64) -> u64 {
        match self.wanted[unit].get(self.known[unit]) {
            Some(next) => (next.0 - number).checked_div(firings).unwrap_or(u64::MAX),
            None => u64::MAX,
        }
    }
}
