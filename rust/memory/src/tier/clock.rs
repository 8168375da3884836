//! Two clocks: the cycles of the machine and the ticks of a device's controllers, both counted from 0.

const FEMTOSECONDS: u128 = 1_000_000_000_000_000;

/// Exact conversion, both ways to the first edge that is not earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// A cycle is `cycle / tick` ticks.
    cycle: u128,
    tick: u128,
}

impl Clock {
    /// A machine of `clock_hz` and a device whose ticks take `tick_fs`; neither is 0.
    pub fn new(clock_hz: u64, tick_fs: u64) -> Self {
        let (cycle, tick) = (FEMTOSECONDS, u128::from(clock_hz) * u128::from(tick_fs));
        let shared = gcd(cycle, tick);
        Clock { cycle: cycle / shared, tick: tick / shared }
    }

    /// The first tick that does not begin before `cycle`.
    pub fn tick(&self, cycle: u64) -> u64 {
        convert(cycle, self.cycle, self.tick)
    }

    /// The first cycle that does not begin before `tick`.
    pub fn cycle(&self, tick: u64) -> u64 {
        convert(tick, self.tick, self.cycle)
    }
}

fn convert(count: u64, from: u128, to: u128) -> u64 {
    let product = u128::from(count) * from;
    // Nearly always: a division of 128 bits takes several times as long.
    if let (Ok(product), Ok(to)) = (u64::try_from(product), u64::try_from(to)) {
        return product.div_ceil(to);
    }
    u64::try_from(product.div_ceil(to)).unwrap_or(u64::MAX)
}

fn gcd(one: u128, two: u128) -> u128 {
    if two == 0 { one } else { gcd(two, one % two) }
}

#[cfg(test)]
mod tests {
    use super::Clock;

    #[test]
    fn edges_are_rounded_up_and_never_drift() {
        // 1.6 GHz against 0.5556 ns: 1.125 ticks a cycle.
        let clock = Clock::new(1_600_000_000, 555_556);
        assert_eq!([0, 1, 2, 8].map(|cycle| clock.tick(cycle)), [0, 2, 3, 9]);
        assert_eq!([0, 1, 2, 9].map(|tick| clock.cycle(tick)), [0, 1, 2, 9]);
        for cycle in (0..1 << 40).step_by(1 << 33) {
            let tick = clock.tick(cycle);
            assert!(clock.cycle(tick) >= cycle && clock.cycle(tick - u64::from(tick > 0)) <= cycle);
        }
    }
}
