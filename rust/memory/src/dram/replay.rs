//! Traffic through all channels of a device, in time order.

use super::Dram;
use super::command::{Command, Kind};
use super::config::Config;
use super::controller::{Burst, Offer, Origin, Schedule};
use super::error::DramError;
use super::statistics::{Idle, Latencies, Statistics};
use super::trace::Issued;
use super::traffic::{Cutter, Piece, Traffic};
use std::collections::VecDeque;

/// Bursts that wait in front of the controllers, for each channel.
pub const STAGED: usize = 64;
/// Offers of one kind to a channel before each tick.
const OFFERS: usize = 4;
/// Ticks of all channels handled between two looks at `stop`: a few milliseconds.
const PATIENCE: usize = 1 << 14;

/// How to replay.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// At most so many reads between acceptance and last beat, all channels together, from one queue in order. Without
    /// it a read and a write queue for each channel, filled in order, offer as much as the controllers take.
    pub outstanding: Option<u64>,
    /// Bursts to let pass before anything is counted.
    pub warmup: u64,
    /// Bursts to count before the replay ends; the rest of the traffic only keeps the queues full.
    pub measured: Option<u64>,
    /// Keep every command.
    pub trace: bool,
    /// Keep when each request was accepted and when it was done.
    pub times: bool,
    /// Jump over repeated state. The outcome is the same.
    pub skip: bool,
}

/// What came of it. Ticks are those of the controller, `tick_fs` femtoseconds each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replay {
    pub tick_fs: u64,
    /// From the start (or the end of the warm-up) to the last beat counted.
    pub elapsed_ticks: u64,
    /// Bursts counted.
    pub read_bursts: u64,
    pub written_bursts: u64,
    /// Bytes asked for in those bursts.
    pub read_bytes: u64,
    pub written_bytes: u64,
    /// Data moved / (peak x elapsed): whole bursts.
    pub peak_fraction: f64,
    /// Of reads, burst by burst: from acceptance, or from its time of arrival, to the last beat.
    pub latencies: Latencies,
    pub row_hits: u64,
    /// By `Command`.
    pub commands: [u64; Command::COUNT],
    /// Ticks of data buses, all channels: busy + idle = elapsed x buses.
    pub busy_ticks: u64,
    /// Of each channel.
    pub idle: Vec<Idle>,
    pub trace: Vec<Issued>,
    /// Ticks from which the latency of each request counts and after its last beat; empty unless asked for.
    pub times: Vec<(u64, u64)>,
    /// Of bursts, how many were jumped over.
    pub skipped_bursts: u64,
}

impl Replay {
    pub fn elapsed_ns(&self) -> f64 {
        self.ns(self.elapsed_ticks as f64)
    }

    pub fn ns(&self, ticks: f64) -> f64 {
        ticks * self.tick_fs as f64 * 1e-6
    }

    pub fn bytes(&self) -> u64 {
        self.read_bytes + self.written_bytes
    }

    pub fn bursts(&self) -> u64 {
        self.read_bursts + self.written_bursts
    }

    pub(super) fn fraction(&self, config: &Config) -> f64 {
        let moved = (self.bursts() * config.organisation.burst_bytes()) as f64;
        let seconds = self.elapsed_ticks as f64 * self.tick_fs as f64 * 1e-15;
        if seconds > 0.0 { moved / (config.peak_bytes_per_second() * seconds) } else { 0.0 }
    }

    pub fn row_hit_rate(&self) -> f64 {
        if self.bursts() == 0 { 0.0 } else { self.row_hits as f64 / self.bursts() as f64 }
    }

    pub fn mean_latency_ns(&self) -> f64 {
        self.ns(self.latencies.mean_ticks())
    }

    /// Within 1 %.
    pub fn quantile_latency_ns(&self, part: f64) -> f64 {
        self.ns(self.latencies.quantile_ticks(part) as f64)
    }

    pub fn idle_total(&self) -> Idle {
        self.idle.iter().fold(Idle::default(), |sum, &one| sum.plus(one))
    }
}

/// One channel and what waits for it.
pub(super) struct Lane<S> {
    pub controller: S,
    pub staged: [VecDeque<Burst>; 2],
    /// The next tick that has anything to do.
    pub due: u64,
}

impl<S: Schedule> Lane<S> {
    pub fn new(controller: S, staging: usize) -> Self {
        let queue = || VecDeque::with_capacity(staging);
        Lane { controller, staged: [queue(), queue()], due: 1 }
    }

    /// Whether something could be offered before the next tick.
    #[inline]
    fn can_offer(&self) -> bool {
        Kind::BOTH.iter().any(|&kind| !self.staged[kind as usize].is_empty() && self.controller.has_room(kind))
    }

    /// Offers what waits, before `tick`. Returns how many were taken; `timed` leaves their `since` alone.
    #[inline]
    pub fn offer(&mut self, tick: u64, timed: bool) -> usize {
        let mut taken = 0;
        for kind in Kind::BOTH {
            for _ in 0..OFFERS {
                if !self.controller.has_room(kind) {
                    break;
                }
                let Some(mut burst) = self.staged[kind as usize].front().copied() else { break };
                let now = tick - S::LAG;
                if !timed {
                    burst.since = now;
                }
                match self.controller.offer(now, kind, burst) {
                    Offer::Full => break,
                    Offer::Taken | Offer::Merged(_) => taken += 1,
                }
                self.staged[kind as usize].pop_front();
            }
        }
        taken
    }

    #[inline]
    pub fn tick(&mut self, tick: u64) {
        self.controller.tick(tick);
        self.due = if self.can_offer() { tick + 1 } else { self.controller.next() };
    }
}

/// Everything that moves.
pub(super) struct Run<'a, S> {
    pub dram: &'a Dram,
    pub cutter: Cutter<'a>,
    pub lanes: Vec<Lane<S>>,
    pub options: Options,
    /// Bursts cut but not accepted; with `outstanding`, those in front of all lanes.
    pub waiting: usize,
    pub line: VecDeque<Piece>,
    /// Reads accepted and not answered, with `outstanding`.
    pub flying: u64,
    pub tick: u64,
    /// Bursts cut so far, and those that went out before counting began.
    pub cut: u64,
    pub before: u64,
    /// Tick at which counting began.
    pub since: u64,
    pub counting: bool,
    /// Bursts sent at which `step_plain` looks whether that means anything.
    mark: u64,
    /// Bursts jumped over.
    pub skipped: u64,
    times: Vec<(u64, u64)>,
}

impl<'a, S: Schedule> Run<'a, S> {
    pub fn new(
        dram: &'a Dram,
        traffic: &Traffic<'a>,
        options: Options,
        controllers: Vec<S>,
    ) -> Result<Self, DramError> {
        let cutter = Cutter::new(traffic, dram.config(), dram.map())?;
        if options.outstanding == Some(0) {
            let rule = "at least 1";
            return Err(DramError::Option { what: "outstanding", value: 0, rule });
        }
        let staging = STAGED * controllers.len();
        let mut lanes: Vec<_> = controllers.into_iter().map(|controller| Lane::new(controller, staging)).collect();
        for lane in &mut lanes {
            let device = lane.controller.device_mut();
            device.keep_done = options.times || options.outstanding.is_some();
            device.trace = options.trace.then(Vec::new);
        }
        let times = if options.times { vec![(u64::MAX, 0); traffic.requests() as usize] } else { Vec::new() };
        Ok(Run {
            dram,
            cutter,
            lanes,
            options,
            waiting: 0,
            line: VecDeque::new(),
            flying: 0,
            tick: 1,
            cut: 0,
            before: 0,
            since: 0,
            counting: options.warmup == 0,
            mark: 0,
            skipped: 0,
            times,
        })
    }

    /// Bursts whose column command has gone out (or that were merged), since counting began.
    pub fn sent(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.controller.device().statistics.bursts.iter().sum::<u64>()).sum()
    }

    /// All that decides the future, as seen from `origin`.
    pub fn encode(&self, origin: &Origin, out: &mut Vec<u64>) {
        out.extend([self.waiting as u64, self.flying]);
        for lane in &self.lanes {
            lane.controller.encode(origin, out);
            lane.controller.device().statistics.encode(origin.tick, 1 << 16, out);
            out.push(lane.due.saturating_sub(origin.tick));
            for staged in &lane.staged {
                out.push(staged.len() as u64);
                staged.iter().for_each(|burst| burst.encode(origin, out));
            }
            for done in &lane.controller.device().done {
                out.push(done.len() as u64);
                out.extend(done.iter().map(|done| done.tick.wrapping_sub(origin.tick)));
            }
        }
        for piece in &self.line {
            out.extend([piece.channel.into(), piece.kind as u64]);
            piece.burst.encode(origin, out);
        }
    }

    /// Moves everything on by `by`, with `cut` more bursts cut.
    pub fn shift(&mut self, by: &Origin, cut: u64) {
        self.tick += by.tick;
        self.cut += cut;
        self.cutter.pass(by.id);
        for lane in &mut self.lanes {
            lane.controller.shift(by);
            lane.due = lane.due.saturating_add(by.tick);
            lane.staged.iter_mut().flatten().for_each(|burst| burst.shift(by));
            for done in lane.controller.device_mut().done.iter_mut().flatten() {
                done.tick += by.tick;
                done.since += by.tick;
                done.id += by.id;
            }
        }
        self.line.iter_mut().for_each(|piece| piece.burst.shift(by));
    }

    /// Cuts and stages what may be staged before this tick.
    #[inline]
    fn stage(&mut self) -> Result<(), DramError> {
        let most = STAGED * self.lanes.len();
        let timed = self.cutter.is_timed();
        while self.waiting < most {
            if timed && self.cutter.arrival().is_some_and(|arrival| arrival + S::LAG > self.tick) {
                break;
            }
            let arrival = if timed { self.cutter.arrival().unwrap_or(0) } else { 0 };
            let Some(mut piece) = self.cutter.cut()? else { break };
            piece.burst.since = arrival;
            self.cut += 1;
            self.waiting += 1;
            if self.options.outstanding.is_some() {
                self.line.push_back(piece);
            } else {
                self.lanes[piece.channel as usize].staged[piece.kind as usize].push_back(piece.burst);
            }
        }
        Ok(())
    }

    /// One queue for all channels: offers its head while reads may fly.
    fn offer_line(&mut self, most: u64, timed: bool) {
        while let Some(&Piece { channel, kind, mut burst }) = self.line.front() {
            if kind == Kind::Read && self.flying >= most {
                break;
            }
            let lane = &mut self.lanes[channel as usize];
            let now = self.tick - S::LAG;
            if !timed {
                burst.since = now;
            }
            match lane.controller.offer(now, kind, burst) {
                Offer::Full => break,
                Offer::Merged(_) => {}
                Offer::Taken => self.flying += u64::from(kind == Kind::Read),
            }
            lane.due = self.tick;
            self.line.pop_front();
            self.waiting -= 1;
        }
    }

    /// The first tick before which the head of the line could be offered again, if only reads in flight keep it back.
    fn line_due(&self, most: u64) -> u64 {
        match self.line.front() {
            None => u64::MAX,
            Some(piece) if piece.kind == Kind::Read && self.flying >= most => {
                let first =
                    |lane: &Lane<S>| lane.controller.device().done[0].front().map_or(u64::MAX, |done| done.tick);
                self.lanes.iter().map(first).min().unwrap_or(u64::MAX).saturating_add(1)
            }
            Some(piece) if self.lanes[piece.channel as usize].controller.has_room(piece.kind) => self.tick + 1,
            Some(_) => u64::MAX,
        }
    }

    /// Takes note of what was answered before `tick`.
    fn collect(&mut self, tick: u64) {
        for lane in &mut self.lanes {
            for (kind, queue) in lane.controller.device_mut().done.iter_mut().enumerate() {
                while queue.front().is_some_and(|done| done.tick < tick) {
                    let Some(done) = queue.pop_front() else { break };
                    self.flying -= u64::from(kind == 0 && self.options.outstanding.is_some());
                    if let Some((from, to)) = self.times.get_mut(done.id as usize) {
                        *from = done.since.min(*from);
                        *to = done.tick.max(*to);
                    }
                }
            }
        }
    }

    /// Handles one tick and finds the next. Returns false when all is done.
    #[inline]
    pub fn step(&mut self) -> Result<bool, DramError> {
        let keep = self.options.times || self.options.outstanding.is_some();
        if keep {
            self.collect(self.tick);
        }
        let timed = self.cutter.is_timed();
        self.stage()?;
        let staged = self.waiting;
        if let Some(most) = self.options.outstanding {
            self.offer_line(most, timed);
        }
        let mut next = u64::MAX;
        let mut sent = 0;
        for lane in &mut self.lanes {
            let taken = lane.offer(self.tick, timed);
            self.waiting -= taken;
            if taken > 0 || lane.due <= self.tick {
                lane.tick(self.tick);
            }
            next = next.min(lane.due);
            sent += lane.controller.device().statistics.bursts.iter().sum::<u64>();
        }
        if let Some(most) = self.options.outstanding {
            next = next.min(self.line_due(most));
        }
        if self.waiting < staged && !timed && !self.cutter.is_empty() {
            // The place of what was taken is filled before the next tick, whatever else happens then.
            next = self.tick + 1;
        }
        if !self.counting && sent >= self.options.warmup {
            self.start_counting();
            sent = 0;
        }
        let all = self.counting && self.options.measured.is_some_and(|measured| sent >= measured);
        if all || (self.cutter.is_empty() && self.before + sent == self.cut) {
            return Ok(false);
        }
        if timed && self.waiting < STAGED * self.lanes.len() {
            next = next.min(self.cutter.arrival().map_or(u64::MAX, |arrival| arrival + S::LAG));
        }
        self.tick = next.max(self.tick + 1);
        Ok(true)
    }

    fn start_counting(&mut self) {
        self.counting = true;
        self.before = self.sent();
        let end = self.end();
        self.since = end;
        for lane in &mut self.lanes {
            lane.controller.device_mut().statistics.restart(end);
        }
    }

    /// The tick after the last beat so far.
    fn end(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.controller.device().statistics.end).max().unwrap_or(0)
    }

    pub fn finish(mut self) -> Replay {
        self.collect(u64::MAX);
        let end = self.end();
        let mut total = Statistics::default();
        let mut replay = Replay { tick_fs: self.dram.config().tick_fs(), ..Replay::default() };
        let buses = self.dram.config().organisation.pseudo_channels as usize;
        for lane in &mut self.lanes {
            let device = lane.controller.device_mut();
            device.statistics.finish(end, buses);
            let one = &device.statistics;
            for (sum, count) in total.commands.iter_mut().zip(one.commands) {
                *sum += count;
            }
            for kind in 0..2 {
                total.bursts[kind] += one.bursts[kind];
                total.bytes[kind] += one.bytes[kind];
            }
            total.row_hits += one.row_hits;
            total.busy_ticks += one.busy_ticks;
            total.latencies.merge(&one.latencies);
            replay.idle.push(one.idle);
            replay.trace.append(&mut device.trace.take().unwrap_or_default());
        }
        replay.trace.sort_by_key(|issued| issued.tick);
        replay.elapsed_ticks = end - self.since;
        [replay.read_bursts, replay.written_bursts] = total.bursts;
        [replay.read_bytes, replay.written_bytes] = total.bytes;
        replay.row_hits = total.row_hits;
        replay.busy_ticks = total.busy_ticks;
        replay.commands = total.commands;
        replay.latencies = total.latencies;
        replay.skipped_bursts = self.skipped;
        replay.peak_fraction = replay.fraction(self.dram.config());
        // What a channel went without beyond the one that went without least, it did while others were busy.
        let least = replay.idle.iter().map(|idle| idle.no_request).min().unwrap_or(0);
        for idle in &mut replay.idle {
            idle.imbalance = idle.no_request - least;
            idle.no_request = least;
        }
        replay.times = self.times;
        replay
    }

    /// Whether one channel takes one kind of request as fast as it can: then staging decides nothing.
    pub fn is_plain(&self) -> bool {
        self.lanes.len() == 1
            && self.cutter.single_kind()
            && !self.cutter.is_timed()
            && self.options.outstanding.is_none()
            && !self.options.times
    }

    /// The same as so many times `step` if `is_plain`, without staging; returns early where `pause` bursts have been cut.
    /// Returns false when all is done.
    pub fn steps_plain(&mut self, steps: usize, pause: u64) -> Result<bool, DramError> {
        let kind = self.cutter.kind();
        for _ in 0..steps {
            let Some(Lane { controller, .. }) = self.lanes.first_mut() else { return Ok(false) };
            let tick = self.tick;
            let mut offers = OFFERS;
            while offers > 0 && controller.has_room(kind) {
                let small = self.cutter.cut_small();
                let Some(mut burst) = (match small {
                    None => self.cutter.cut()?.map(|piece| piece.burst),
                    small => small,
                }) else {
                    break;
                };
                burst.since = tick - S::LAG;
                self.cut += 1;
                controller.offer(tick - S::LAG, kind, burst);
                offers -= 1;
            }
            if controller.next() <= tick {
                controller.tick(tick);
            }
            let more = controller.has_room(kind) && !self.cutter.is_empty();
            self.tick = if more { tick + 1 } else { controller.next().max(tick + 1) };
            let sent = controller.device().statistics.bursts[kind as usize];
            if (sent >= self.mark || self.cutter.is_empty()) && !self.pass_mark(sent) {
                return Ok(false);
            }
            if self.cut >= pause {
                break;
            }
        }
        Ok(true)
    }

    /// Called when the bursts sent may mean something: counting begins, or all is done.
    fn pass_mark(&mut self, mut sent: u64) -> bool {
        if !self.counting && sent >= self.options.warmup {
            self.start_counting();
            sent = 0;
        }
        let goal = if self.counting { self.options.measured.unwrap_or(u64::MAX) } else { self.options.warmup };
        let end = if self.cutter.is_empty() { self.cut - self.before } else { u64::MAX };
        self.mark = goal;
        !(self.counting && sent >= goal || sent == end)
    }

    /// Ticks to handle between two looks at `stop`.
    pub fn patience(&self) -> usize {
        (PATIENCE / self.lanes.len().max(1)).max(64)
    }

    pub fn play(mut self, stop: &dyn Fn() -> bool) -> Result<Replay, DramError> {
        if self.cutter.is_empty() {
            return Ok(self.finish());
        }
        let plain = self.is_plain();
        loop {
            if plain {
                if !self.steps_plain(self.patience(), u64::MAX)? {
                    return Ok(self.finish());
                }
            } else {
                for _ in 0..self.patience() {
                    if !self.step()? {
                        return Ok(self.finish());
                    }
                }
            }
            if stop() {
                return Err(DramError::Stopped);
            }
        }
    }
}
