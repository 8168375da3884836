//! Watching a run: every firing with its times. An engine without an observer is compiled without the calls.

/// What a unit is doing in a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Busy,
    Data,
    Space,
    Memory,
    Idle,
}

/// One firing. From `ready` to `start` the unit waited, as `wait` says; then it is busy for `ii` cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fired {
    pub unit: usize,
    /// Firings of the unit before this one.
    pub number: u64,
    pub phase: usize,
    pub ready: u64,
    pub start: u64,
    pub ii: u64,
    pub latency: u64,
    /// `Busy` when it did not wait.
    pub wait: State,
}

/// Sees every firing that the engine evaluates: those of one unit in order, those of different units in any order.
pub trait Observer {
    fn fired(&mut self, firing: &Fired);

    /// Asked before whole periods are skipped. The unit stands before firing `number` and is ready at `ready`; each
    /// period is `firings` firings and `cycles` cycles. How many may be skipped without losing what is wanted?
    fn most_periods(&self, _unit: usize, _number: u64, _ready: u64, _firings: u64, _cycles: u64) -> u64 {
        u64::MAX
    }
}

/// An observer, or none at compile time.
pub(crate) trait Probe {
    const ON: bool;
    fn fired(&mut self, firing: &Fired);
    fn most_periods(&self, unit: usize, number: u64, ready: u64, firings: u64, cycles: u64) -> u64;
}

pub(crate) struct Off;

impl Probe for Off {
    const ON: bool = false;

    #[inline(always)]
    fn fired(&mut self, _: &Fired) {}

    fn most_periods(&self, _: usize, _: u64, _: u64, _: u64, _: u64) -> u64 {
        u64::MAX
    }
}

impl Probe for &mut dyn Observer {
    const ON: bool = true;

    fn fired(&mut self, firing: &Fired) {
        (**self).fired(firing);
    }

    fn most_periods(&self, unit: usize, number: u64, ready: u64, firings: u64, cycles: u64) -> u64 {
        (**self).most_periods(unit, number, ready, firings, cycles)
    }
}
