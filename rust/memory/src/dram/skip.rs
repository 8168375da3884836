//! Exact jumps over repeated state. A stream of equal steps through a device whose state, seen from where the stream
//! stands, has been the same before will do again what it did since: whole periods are added to all counts at once.

use super::Dram;
use super::controller::{Origin, Schedule};
use super::error::DramError;
use super::plain::Pause;
use super::replay::Options;
use super::run::Run;
use super::statistics::Statistics;
use super::stretch::Stretches;
use super::traffic::{Addresses, Each, Traffic};

/// Ticks handled between two looks at most.
const LOOKLESS: usize = 1 << 10;
/// Shorter streams are not worth a look.
const SHORT: u64 = 1 << 12;

/// The same traffic as evenly spaced requests, if that is what it is. Whole bursts that follow each other become
/// requests of a burst each.
pub(super) fn as_pattern<'a>(dram: &Dram, traffic: &Traffic<'a>) -> Option<Traffic<'a>> {
    let (Each::All(bytes), Each::All(write), None) = (traffic.bytes, traffic.writes, traffic.arrivals_ps) else {
        return None;
    };
    let (start, stride, count) = match traffic.addresses {
        Addresses::Pattern { start, stride, count } => (start, stride, count),
        Addresses::List(list) => {
            let [start, second, ..] = *list else { return None };
            let stride = second.checked_sub(start)?;
            let even = list.windows(2).all(|pair| pair[0].checked_add(stride) == Some(pair[1]));
            even.then_some((start, stride, list.len() as u64))?
        }
    };
    let burst = dram.config().organisation.burst_bytes();
    let joined = count == 1 || stride == bytes;
    let whole = start.is_multiple_of(burst) && bytes.is_multiple_of(burst) && bytes > 0;
    let pattern = |start, stride, count, bytes| Traffic {
        addresses: Addresses::Pattern { start, stride, count },
        bytes: Each::All(bytes),
        writes: Each::All(write),
        arrivals_ps: None,
    };
    if joined && whole {
        return Some(pattern(start, burst, count.checked_mul(bytes)? / burst, burst));
    }
    stride.is_multiple_of(burst).then(|| pattern(start, stride, count, bytes))
}

/// A state seen, and all counts then.
struct Seen {
    state: Vec<u64>,
    tick: u64,
    cut: u64,
    sent: u64,
    origin: Origin,
    statistics: Vec<Statistics>,
}

/// Looks for repeated state in a run of evenly spaced requests. What is found is compared with few states seen before,
/// those of the first, second, fourth, .. look, as Brent does with one (BIT 20, 1980): no period is too long.
pub(super) struct Skipper {
    /// The stream lies the same when it has moved by a multiple of this.
    span_bytes: u64,
    /// Rows that a span moves up, and bursts of a channel's address.
    span_rows: u32,
    span_bursts: u64,
    stride: u64,
    start: u64,
    /// Distance of two looks: ticks, or requests without refresh.
    every_ticks: u64,
    every_requests: u64,
    next_tick: u64,
    next_request: u64,
    looks: u64,
    seen: Vec<Seen>,
    /// Room for a state.
    state: Vec<u64>,
    done: bool,
}

impl Skipper {
    /// For traffic that `as_pattern` returned. `None` if this map never lies the same.
    pub fn new(dram: &Dram, traffic: &Traffic<'_>, cycle_ticks: u64) -> Option<Self> {
        let Addresses::Pattern { start, stride, count } = traffic.addresses else { return None };
        let (span_bursts, span_rows) = dram.map().row_span()?;
        let config = dram.config();
        let span_bytes = span_bursts.checked_mul(dram.map().span_scale() * config.organisation.burst_bytes())?;
        if count < SHORT || stride == 0 {
            return None;
        }
        let every_requests = (span_bytes / stride).clamp(1, 1 << 16);
        Some(Skipper {
            span_bytes,
            span_rows,
            span_bursts,
            stride,
            start,
            every_ticks: cycle_ticks,
            every_requests,
            next_tick: cycle_ticks,
            next_request: every_requests,
            looks: 0,
            seen: Vec::new(),
            state: Vec::new(),
            done: false,
        })
    }

    /// Where the stream stands, and what is left of its address then. Requests are never cut at a look: they are counted
    /// from the next whole one.
    fn place<S: Schedule>(&self, run: &Run<'_, S>) -> (Origin, u64) {
        let offset = self.start + run.cutter.request() * self.stride;
        let spans = offset / self.span_bytes;
        let row = (spans as u32).wrapping_mul(self.span_rows);
        let origin = Origin { tick: run.tick, row, address: spans * self.span_bursts, id: run.cutter.request() };
        (origin, offset % self.span_bytes)
    }

    /// When to look next.
    fn pause(&self) -> Pause {
        match (self.done, self.every_ticks) {
            (true, _) => Pause::NEVER,
            (false, 0) => Pause { cut: self.next_request, ..Pause::NEVER },
            (false, _) => Pause { tick: self.next_tick, ..Pause::NEVER },
        }
    }

    /// To be called after each step, before the tick `run.tick`.
    #[inline]
    pub fn look<S: Schedule>(&mut self, run: &mut Run<'_, S>) {
        let due = if self.every_ticks > 0 { run.tick >= self.next_tick } else { run.cut >= self.next_request };
        if due && !self.done && run.counting && run.cutter.is_between() {
            self.look_well(run);
        }
    }

    #[inline(never)]
    fn look_well<S: Schedule>(&mut self, run: &mut Run<'_, S>) {
        if self.every_ticks > 0 {
            self.next_tick += self.every_ticks * ((run.tick - self.next_tick) / self.every_ticks + 1);
        } else {
            self.next_request = run.cut + self.every_requests;
        }
        let (origin, offset) = self.place(run);
        self.state.clear();
        self.state.push(offset);
        run.encode(&origin, &mut self.state);
        if let Some(before) = self.seen.iter().find(|seen| seen.state == self.state) {
            Self::jump(run, before, &origin);
            self.done = true;
            self.seen.clear();
            return;
        }
        self.looks += 1;
        if self.looks.is_power_of_two() {
            let statistics = run.lanes.iter().map(|lane| lane.controller.device().statistics.clone()).collect();
            let (state, tick, cut, sent) = (self.state.clone(), run.tick, run.cut, run.sent());
            self.seen.push(Seen { state, tick, cut, sent, origin, statistics });
        }
    }

    /// Adds as many periods as leave some of the traffic, or of what is to be measured, for the end.
    fn jump<S: Schedule>(run: &mut Run<'_, S>, before: &Seen, origin: &Origin) {
        let (ticks, requests) = (run.tick - before.tick, origin.id - before.origin.id);
        let (cut, sent) = (run.cut - before.cut, run.sent() - before.sent);
        if requests == 0 || cut == 0 {
            return;
        }
        let mut times = run.cutter.left().saturating_sub(1) / requests;
        if let Some(measured) = run.options.measured {
            times = times.min(measured.saturating_sub(run.sent() + 1) / sent.max(1));
        }
        // Rows stay within the device because the addresses do.
        let by = Origin {
            tick: ticks * times,
            row: (origin.row - before.origin.row) * times as u32,
            address: (origin.address - before.origin.address) * times,
            id: requests * times,
        };
        run.shift(&by, cut * times);
        run.skipped += sent * times;
        for (lane, before) in run.lanes.iter_mut().zip(&before.statistics) {
            lane.controller.device_mut().statistics.repeat(before, times, ticks);
        }
    }
}

/// Ticks after which the calendar of refreshes looks the same; 0 without refresh.
pub(super) fn calendar_ticks(dram: &Dram, run_banks: &super::banks::Banks) -> u64 {
    use super::config::Refresh;
    let layout = &run_banks.layout;
    match dram.config().controller.refresh {
        Refresh::None => 0,
        Refresh::AllBank => run_banks.rules.interval,
        Refresh::AllBankStaggered => (run_banks.rules.interval / layout.units as u64).max(1) * layout.units as u64,
        Refresh::PerBank => run_banks.rules.interval_pb * layout.banks as u64,
        Refresh::PerBankPaired => run_banks.rules.interval_pb * (layout.banks / layout.pseudo_channels) as u64,
    }
}

/// Plays evenly spaced requests to their end, with jumps.
pub(super) fn play<S: Schedule>(
    run: &mut Run<'_, S>,
    skipper: Option<Skipper>,
    stop: &dyn Fn() -> bool,
) -> Result<(), DramError> {
    let Some(mut skipper) = skipper.filter(|_| !run.cutter.is_empty()) else { return run.play(stop) };
    let plain = run.is_plain();
    let mut stretches = Stretches::new(run);
    let looks = if plain { run.patience() / LOOKLESS } else { run.patience() };
    loop {
        for _ in 0..looks {
            let mut pause = skipper.pause();
            if let Some(stretches) = &stretches {
                pause.cut = pause.cut.min(stretches.pause);
            }
            if !(if plain { run.steps_plain(LOOKLESS, pause)? } else { run.step()? }) {
                return Ok(());
            }
            skipper.look(run);
            if let Some(stretches) = stretches.as_mut().filter(|stretches| run.cut >= stretches.pause) {
                let place = skipper.place(run);
                stretches.look(run, place);
            }
        }
        if stop() {
            return Err(DramError::Stopped);
        }
    }
}

/// Whether these options leave room for jumps: nothing is kept of single bursts.
pub(super) fn may_skip(options: &Options) -> bool {
    options.skip && !options.trace && !options.times
}
