//! What may be asked of a run besides its totals.

pub mod intervals;
pub mod times;
pub mod trace;

use crate::observer::{Fired, Observer};

/// Observers side by side.
#[derive(Default)]
pub struct Several<'a>(pub Vec<&'a mut dyn Observer>);

impl Observer for Several<'_> {
    fn fired(&mut self, firing: &Fired) {
        self.0.iter_mut().for_each(|observer| observer.fired(firing));
    }

    fn most_periods(&self, unit: usize, number: u64, ready: u64, firings: u64, cycles: u64) -> u64 {
        let most = |observer: &&mut dyn Observer| observer.most_periods(unit, number, ready, firings, cycles);
        self.0.iter().map(most).min().unwrap_or(u64::MAX)
    }
}
