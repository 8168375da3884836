//! What a channel did: counts, latencies, and for every idle tick of a data bus its cause.

use super::command::{Command, Kind};
use super::gain::Gain;
use super::idle::Idle;
use super::latencies::Latencies;
use std::collections::VecDeque;

/// How a burst came to its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    Hit,
    /// Opened for it at this tick.
    At(u64),
}

/// One data bus, that of a pseudo channel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bus {
    /// After the last beat.
    pub end: u64,
    /// Whether it moved anything since counting began.
    pub used: bool,
    last: u8,
    queued: u32,
    /// The latest span without requests, and the latest barred by refresh; command time.
    pub empty: (u64, u64),
    pub refresh: (u64, u64),
}

impl Bus {
    /// A bus that moved nothing waits on since the beginning.
    pub fn shift(&mut self, ticks: u64) {
        if self.used {
            self.end += ticks;
            for span in [&mut self.empty, &mut self.refresh] {
                span.0 = span.0.saturating_add(ticks);
                span.1 = span.1.saturating_add(ticks);
            }
        }
    }
}

/// Counts of a channel.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    pub commands: [u64; Command::COUNT],
    /// By kind.
    pub bursts: [u64; 2],
    pub bytes: [u64; 2],
    /// Bursts that never waited for their row to be opened for them.
    pub row_hits: u64,
    /// Of reads.
    pub latencies: Latencies,
    pub busy_ticks: u64,
    pub idle: Idle,
    /// Tick after the last beat of all.
    pub end: u64,
    pub(super) buses: [Bus; 4],
    /// Of each bus, what lies between bursts that have been sent but may be over later than a look at the books.
    gaps: Gaps,
}

pub(super) type Gaps = Option<Box<[VecDeque<Gap>; 4]>>;

/// Idle time before a burst, and how it was charged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gap {
    end: u64,
    idle: Idle,
}

/// What a channel has done until some tick. Ticks of all data buses: `data_ticks` + idle = `elapsed_ticks`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub elapsed_ticks: u64,
    pub data_ticks: u64,
    pub idle: Idle,
    /// Of bursts that have been sent, or answered from a write that waited.
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub row_hits: u64,
    pub row_misses: u64,
}

fn overlap(a: (u64, u64), b: (u64, u64)) -> u64 {
    a.1.min(b.1).saturating_sub(a.0.max(b.0))
}

impl Statistics {
    #[inline]
    pub fn arrived(&mut self, tick: u64, pseudo_channel: usize) {
        let bus = &mut self.buses[pseudo_channel % 4];
        if bus.queued == 0 {
            bus.empty.1 = tick + 1;
        }
        bus.queued += 1;
    }

    /// A refresh bars the buses of `pseudo_channels` from `from` to `to`.
    pub fn barred(&mut self, pseudo_channels: std::ops::Range<usize>, from: u64, to: u64) {
        for bus in &mut self.buses[pseudo_channels] {
            bus.refresh = (from, to.max(bus.refresh.1));
        }
    }

    /// A burst's column command goes out at `tick`, its data from `start` to `end`.
    #[inline(always)]
    pub fn burst(
        &mut self,
        tick: u64,
        kind: Kind,
        pseudo_channel: usize,
        data: (u64, u64),
        opening: Opening,
        reopen: u64,
    ) {
        let (start, end) = data;
        let bus = &mut self.buses[pseudo_channel % 4];
        let gap = start.saturating_sub(bus.end);
        self.busy_ticks += end.saturating_sub(start.max(bus.end));
        if gap > 0 {
            match &mut self.gaps {
                None => Self::charge(&mut self.idle, bus, tick, gap, kind, opening, reopen),
                Some(gaps) => {
                    let mut idle = Idle::default();
                    Self::charge(&mut idle, bus, tick, gap, kind, opening, reopen);
                    self.idle = self.idle.plus(idle);
                    let gaps = &mut gaps[pseudo_channel % 4];
                    while gaps.front().is_some_and(|gap| gap.end < tick) {
                        gaps.pop_front();
                    }
                    gaps.push_back(Gap { end: start, idle });
                }
            }
        }
        bus.end = bus.end.max(end);
        bus.used = true;
        bus.last = kind as u8;
        bus.queued -= 1;
        if bus.queued == 0 {
            bus.empty = (tick, u64::MAX);
        }
        self.end = self.end.max(end);
    }

    /// Adds the causes of the `gap` before the data of a burst to `idle`: first the time without requests, then that of
    /// a refresh, the rest is what held up this burst.
    #[inline]
    fn charge(idle: &mut Idle, bus: &Bus, tick: u64, gap: u64, kind: Kind, opening: Opening, reopen: u64) {
        let from = tick.saturating_sub(gap);
        let mut rest = gap;
        let mut charge = |cause: &mut u64, ticks: u64| {
            let ticks = ticks.min(rest);
            *cause += ticks;
            rest -= ticks;
        };
        // Before the first tick there is only time to fill: the way from command to data.
        if bus.empty.1 > from || gap > tick {
            charge(&mut idle.no_request, overlap((from, tick), bus.empty) + (gap - (tick - from)));
        }
        if bus.refresh.1 > from {
            charge(&mut idle.refresh, overlap((from, tick), bus.refresh));
        }
        if let Opening::At(opened) = opening {
            charge(&mut idle.row_miss, tick - opened + reopen);
        }
        match opening {
            Opening::Hit if bus.last != kind as u8 => idle.turnaround += rest,
            _ => idle.bank_conflict += rest,
        }
    }

    /// Keeps what `usage` needs.
    pub fn keep_gaps(&mut self) {
        self.gaps = Some(Box::default());
    }

    /// The books as they stand at `tick`, which no later command precedes; `keep_gaps` from the start. What a burst
    /// that has not been sent waits for counts as a row miss until it is known.
    pub fn usage(&self, tick: u64, pseudo_channels: usize) -> Usage {
        let mut usage = Usage {
            elapsed_ticks: tick * pseudo_channels as u64,
            data_ticks: self.busy_ticks,
            idle: self.idle,
            read_bytes: self.bytes[0],
            written_bytes: self.bytes[1],
            row_hits: self.row_hits,
            row_misses: self.bursts.iter().sum::<u64>() - self.row_hits,
        };
        for (at, bus) in self.buses[..pseudo_channels].iter().enumerate() {
            if bus.end <= tick {
                let gap = tick - bus.end;
                let idle = &mut usage.idle;
                if bus.queued == 0 {
                    idle.no_request += gap;
                } else {
                    Self::charge(idle, bus, tick, gap, Kind::Read, Opening::At(0), 0);
                }
                continue;
            }
            // What has been sent but is not over: first the gaps, what is left is data.
            let mut later = bus.end - tick;
            for gap in self.gaps.iter().flat_map(|gaps| gaps[at].iter()).filter(|gap| gap.end > tick) {
                let ahead = gap.idle.last((gap.end - tick).min(gap.idle.total()));
                usage.idle = usage.idle.minus(ahead);
                later -= ahead.total();
            }
            usage.data_ticks -= later;
        }
        usage
    }

    /// Starts counting afresh at `tick`, in the middle of things.
    pub fn restart(&mut self, tick: u64) {
        let buses = self.buses.map(|bus| Bus { end: tick, used: false, ..bus });
        *self = Statistics { buses, end: tick, gaps: self.gaps.take(), ..Statistics::default() };
    }

    /// Charges what is left of each bus's time until `tick`.
    pub fn finish(&mut self, tick: u64, pseudo_channels: usize) {
        for bus in &mut self.buses[..pseudo_channels] {
            self.idle.no_request += tick.saturating_sub(bus.end);
            bus.end = bus.end.max(tick);
        }
        self.end = self.end.max(tick);
    }

    /// All counts so far but latencies, noted at `tick`.
    pub(super) fn gain(&self, tick: u64) -> Gain {
        Gain {
            commands: self.commands,
            bursts: self.bursts,
            bytes: self.bytes,
            row_hits: self.row_hits,
            busy_ticks: self.busy_ticks,
            idle: self.idle,
            tick,
            end: self.end,
            buses: self.buses,
            gaps: self.gaps.clone(),
        }
    }

    /// Adds `times` the counts of `gain`.
    pub(super) fn repeat_gain(&mut self, gain: &Gain, times: u64) {
        let plus =
            |now: &mut [u64], more: &[u64]| now.iter_mut().zip(more).for_each(|(now, more)| *now += more * times);
        plus(&mut self.commands, &gain.commands);
        plus(&mut self.bursts, &gain.bursts);
        plus(&mut self.bytes, &gain.bytes);
        self.row_hits += gain.row_hits * times;
        self.busy_ticks += gain.busy_ticks * times;
        self.idle = self.idle.map2(gain.idle, |now, more| now + more * times);
    }

    /// Buses stand at `tick` as they stood when `gain` was noted.
    pub(super) fn resume(&mut self, gain: &Gain, tick: u64) {
        let ticks = tick - gain.tick;
        self.end = self.end.max(gain.end + ticks);
        self.buses = gain.buses;
        self.buses.iter_mut().for_each(|bus| bus.shift(ticks));
        self.gaps.clone_from(&gain.gaps);
        for gap in self.gaps.iter_mut().flat_map(|gaps| gaps.iter_mut().flatten()) {
            gap.end += ticks;
        }
    }

    /// So many other requests wait for each bus in place of those `before`.
    pub(super) fn exchange(&mut self, before: [u32; 4], now: [u32; 4]) {
        for (bus, (before, now)) in self.buses.iter_mut().zip(before.into_iter().zip(now)) {
            bus.queued = bus.queued - before + now;
        }
    }

    /// Adds `times` what came since `before`, `ticks` being what passed since.
    pub fn repeat(&mut self, before: &Statistics, times: u64, ticks: u64) {
        let gain = self.gain(0).since(&before.gain(0));
        self.repeat_gain(&gain, times);
        self.latencies.repeat(&before.latencies, times);
        let shift = ticks * times;
        self.end += shift;
        self.buses.iter_mut().for_each(|bus| bus.shift(shift));
    }

    /// What later counts depend on beside the requests in the queues, times relative to `now`; spans that lie `margin`
    /// before all open gaps do not matter: as long as data come after their command, at least.
    pub fn encode(&self, now: u64, margin: u64, out: &mut Vec<u64>) {
        for bus in &self.buses {
            if !bus.used {
                out.push(u64::MAX);
                continue;
            }
            // Data ends may lie ahead of or behind `now`; a gap can only begin there.
            let from = bus.end.min(now);
            out.extend([bus.end.wrapping_sub(now), u64::from(bus.last)]);
            for span in [bus.empty, bus.refresh] {
                let past = span.1 <= from.saturating_sub(margin);
                out.extend(if past { [0, 0] } else { [span.0.wrapping_sub(now), span.1.wrapping_sub(now)] });
            }
        }
    }
}
