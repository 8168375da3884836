//! A memory device: channels side by side, addresses interleaved over them.
//!
//! Each channel moves one transfer at a time at its share of the device's bandwidth, and none while it refreshes. The
//! bytes arrive a fixed latency after the channel has moved them. Refreshes of the channels are staggered evenly.

use crate::error::MemoryError;

/// Time inside a device is counted in ticks of 2^-16 cycle, rounded up, so that a channel never exceeds its bandwidth.
const TICKS: u64 = 1 << 16;
/// A channel moves whole bursts.
pub const BURST_BYTES: u64 = 64;

/// The description of a device; cycles are those of the machine's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub name: String,
    pub channels: u64,
    pub interleave_bytes: u64,
    /// Turn each round of granules over the channels by a hash of the round's number, so that strides spread too.
    pub hashed: bool,
    /// Of all channels together.
    pub bytes_per_second: u64,
    pub clock_hz: u64,
    pub latency_cycles: u64,
    /// Cycles between two refreshes of a channel, and what one takes; a 0 in either: a memory that needs none.
    pub refresh_interval_cycles: u64,
    pub refresh_cycles: u64,
}

/// What a device has moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub read_bytes: u64,
    pub written_bytes: u64,
    /// Sum over the channels of the cycles in which they moved data, rounded down.
    pub busy_channel_cycles: u64,
}

/// A device in motion.
#[derive(Clone, Debug)]
pub struct Channels {
    device: Device,
    burst_ticks: u64,
    interval_ticks: u64,
    refresh_ticks: u64,
    /// When each channel is free again, and when the refresh begins that it meets next (or is in).
    free: Vec<u64>,
    refresh: Vec<u64>,
    busy_ticks: u128,
    traffic: Traffic,
}

impl Channels {
    pub fn new(device: Device) -> Result<Self, MemoryError> {
        let wrong = |what, value, rule| Err(MemoryError::Value { device: device.name.clone(), what, value, rule });
        if device.channels == 0 || device.channels > 1 << 16 {
            return wrong("channels", device.channels, "between 1 and 65536");
        }
        if device.interleave_bytes == 0 || !device.interleave_bytes.is_multiple_of(BURST_BYTES) {
            return wrong("interleave_bytes", device.interleave_bytes, "a positive multiple of 64");
        }
        if device.bytes_per_second == 0 || device.clock_hz == 0 {
            return wrong("bytes_per_second", device.bytes_per_second, "positive, as must the clock");
        }
        if device.latency_cycles == 0 {
            return wrong("latency_cycles", 0, "at least 1");
        }
        let channel_ticks = u128::from(BURST_BYTES * device.channels) * u128::from(device.clock_hz) * u128::from(TICKS);
        let burst_ticks = channel_ticks.div_ceil(u128::from(device.bytes_per_second));
        let Ok(burst_ticks) = u64::try_from(burst_ticks) else {
            return wrong("bytes_per_second", device.bytes_per_second, "enough to move a burst in 2^48 cycles");
        };
        let refresh_ticks = device.refresh_cycles.saturating_mul(TICKS);
        let interval_ticks = if refresh_ticks == 0 { 0 } else { device.refresh_interval_cycles.saturating_mul(TICKS) };
        if interval_ticks > 0 && refresh_ticks.saturating_add(burst_ticks) > interval_ticks {
            let rule = "long enough for a refresh and one burst";
            return wrong("refresh_interval_cycles", device.refresh_interval_cycles, rule);
        }
        let free = vec![0; device.channels as usize];
        let stagger = |channel| u128::from(interval_ticks) * u128::from(channel) / u128::from(device.channels);
        let refresh = (0..device.channels).map(|channel| stagger(channel) as u64).collect();
        let traffic = Traffic::default();
        Ok(Channels { device, burst_ticks, interval_ticks, refresh_ticks, free, refresh, busy_ticks: 0, traffic })
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// No transfer is answered sooner than this after it was asked.
    pub fn least_cycles(&self) -> u64 {
        self.device.latency_cycles + self.burst_ticks / TICKS
    }

    /// Moves `bytes` at `address`, asked for at `cycle`; returns the cycle at which they are there.
    ///
    /// Calls must come in order of `cycle`: each channel serves first come, first served.
    pub fn transfer(&mut self, cycle: u64, address: u64, bytes: u64, write: bool) -> u64 {
        let moved = if write { &mut self.traffic.written_bytes } else { &mut self.traffic.read_bytes };
        *moved += bytes;
        let (first, last) = (address / BURST_BYTES, (address + bytes.max(1) - 1) / BURST_BYTES);
        let mut done = 0;
        for burst in first..=last {
            let channel = self.channel(burst * BURST_BYTES);
            let begin = self.clear_of_refresh(channel, self.free[channel].max(cycle * TICKS));
            self.free[channel] = begin + self.burst_ticks;
            self.busy_ticks += u128::from(self.burst_ticks);
            done = done.max(self.free[channel]);
        }
        done.div_ceil(TICKS) + self.device.latency_cycles
    }

    /// The channel that holds `address`. Sequential addresses visit every channel once a round, hashed or not.
    fn channel(&self, address: u64) -> usize {
        let (granule, channels) = (address / self.device.interleave_bytes, self.device.channels);
        let round = granule / channels;
        // The multiplier is 2^64 divided by the golden ratio: neighbouring rounds land far apart.
        let turn = if self.device.hashed { round.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32 } else { 0 };
        ((granule + turn) % channels) as usize
    }

    /// The first tick from `begin` on at which a burst fits between two refreshes of the channel.
    fn clear_of_refresh(&mut self, channel: usize, begin: u64) -> u64 {
        if self.interval_ticks == 0 {
            return begin;
        }
        let next = &mut self.refresh[channel];
        if begin >= *next + self.refresh_ticks {
            let over = (begin - *next - self.refresh_ticks) / self.interval_ticks + 1;
            *next += over * self.interval_ticks;
        }
        if begin + self.burst_ticks > *next { *next + self.refresh_ticks } else { begin }
    }

    pub fn traffic(&self) -> Traffic {
        Traffic { busy_channel_cycles: (self.busy_ticks / u128::from(TICKS)) as u64, ..self.traffic }
    }
}
