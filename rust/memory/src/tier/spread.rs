//! How a transfer lies over the channels.

use crate::dram::{Dram, DramError};

/// Bursts that follow each other in a channel. `address` is that of the first, in some channel: all channels count theirs
/// alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub address: u64,
    pub bursts: u64,
    /// Number of the first burst in its channel.
    first: u64,
}

impl Run {
    /// The same for two channels in one state.
    pub fn alike(one: Option<Run>, two: Option<Run>) -> bool {
        one.map(|run| (run.first, run.bursts)) == two.map(|run| (run.first, run.bursts))
    }
}

/// The runs of a transfer.
pub enum Runs {
    /// Every channel gets the same.
    Same(Run),
    /// One entry for each channel.
    Each(Vec<Option<Run>>),
}

#[derive(Clone, Debug)]
pub struct Spread {
    channels: u64,
    burst_bytes: u64,
    /// Bytes that follow each other in a channel.
    granule_bytes: u64,
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
        Some(Spread { channels, burst_bytes, granule_bytes, capacity_bytes })
    }

    /// Where `bytes` at `address` lie; `request` names them in an error. No bytes move nothing but take a burst's time,
    /// so they are none.
    pub fn runs(&self, dram: &Dram, request: u64, address: u64, bytes: u64) -> Result<Runs, DramError> {
        if bytes == 0 {
            return Err(DramError::Empty { request, address });
        }
        let end = u128::from(address) + u128::from(bytes);
        if end > u128::from(self.capacity_bytes) {
            let (device, capacity_bytes) = (dram.config().name.clone(), self.capacity_bytes);
            return Err(DramError::Outside { device, request, address, end, capacity_bytes });
        }
        // The sizes of a map are powers of two only where its granules are; the whole of one channel may be anything.
        let round = self.granule_bytes.checked_mul(self.channels);
        if let Some(round) = round
            && address.is_multiple_of(round)
            && bytes.is_multiple_of(round)
        {
            let bursts = bytes / self.channels / self.burst_bytes;
            return Ok(Runs::Same(Run { address, bursts, first: address / self.channels / self.burst_bytes }));
        }
        let mut runs: Vec<Option<Run>> = vec![None; self.channels as usize];
        let (mut at, end) = (address - address % self.burst_bytes, address + bytes);
        while at < end {
            let stop = (at - at % self.granule_bytes).saturating_add(self.granule_bytes).min(end);
            let (channel, first) = dram.map().channel(at);
            let bursts = (stop - at).div_ceil(self.burst_bytes);
            match &mut runs[channel as usize] {
                Some(run) => run.bursts += bursts,
                none => *none = Some(Run { address: at, bursts, first }),
            }
            at = stop;
        }
        Ok(Runs::Each(runs))
    }
}
