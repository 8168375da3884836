//! How a transfer lies over the channels.

use crate::dram::{Dram, DramError};

/// Bursts that follow each other in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Number of the first burst in its channel.
    pub first: u64,
    pub bursts: u64,
}

#[derive(Clone, Debug)]
pub struct Spread {
    channels: u64,
    burst_bytes: u64,
    /// Bytes that follow each other in a channel.
    granule_bytes: u64,
    /// A granule in each channel: its bytes, and its bursts in a channel; `None` where that is more than the capacity.
    round: Option<(u64, u64)>,
    capacity_bytes: u64,
}

impl Spread {
    /// `None` for a map that chooses channels by bits among those of banks and rows.
    pub fn new(dram: &Dram) -> Option<Self> {
        let (config, capacity_bytes) = (dram.config(), dram.capacity_bytes());
        let channels = config.organisation.all_channels();
        let burst_bytes = config.organisation.burst_bytes();
        let granule_bytes = match config.map.interleave_bytes {
            Some(granule) => granule,
            None if channels == 1 => capacity_bytes,
            None => return None,
        };
        let round = granule_bytes.checked_mul(channels).map(|bytes| (bytes, granule_bytes / burst_bytes));
        Some(Spread { channels, burst_bytes, granule_bytes, round, capacity_bytes })
    }

    /// The run that every channel gets of `bytes` at `address`; `None` where they do not all get the same.
    #[inline]
    pub fn even(&self, address: u64, bytes: u64) -> Option<Run> {
        // The sizes of a map are powers of two only where its granules are; the whole of one channel may be anything.
        let (round, bursts) = self.round?;
        let (rounds, before) = match round.is_power_of_two() {
            true => (bytes >> round.trailing_zeros(), address >> round.trailing_zeros()),
            false => (bytes / round, address / round),
        };
        let inside = address.checked_add(bytes).is_some_and(|end| end <= self.capacity_bytes);
        let whole = rounds > 0 && rounds * round == bytes && before * round == address;
        (inside && whole).then(|| Run { first: before * bursts, bursts: rounds * bursts })
    }

    /// Where `bytes` at `address` lie, channel by channel; `request` names them in an error. No bytes move nothing but
    /// take a burst's time, so they are none.
    #[inline(never)]
    pub fn each(&self, dram: &Dram, request: u64, address: u64, bytes: u64) -> Result<Vec<Option<Run>>, DramError> {
        if bytes == 0 {
            return Err(DramError::Empty { request, address });
        }
        let end = u128::from(address) + u128::from(bytes);
        if end > u128::from(self.capacity_bytes) {
            let (device, capacity_bytes) = (dram.config().name.clone(), self.capacity_bytes);
            return Err(DramError::Outside { device, request, address, end, capacity_bytes });
        }
        let mut runs: Vec<Option<Run>> = vec![None; self.channels as usize];
        let (mut at, end) = (address - address % self.burst_bytes, address + bytes);
        while at < end {
            let stop = (at - at % self.granule_bytes).saturating_add(self.granule_bytes).min(end);
            let (channel, first) = dram.map().channel(at);
            let bursts = (stop - at).div_ceil(self.burst_bytes);
            match &mut runs[channel as usize] {
                Some(run) => run.bursts += bursts,
                none => *none = Some(Run { first, bursts }),
            }
            at = stop;
        }
        Ok(runs)
    }
}
