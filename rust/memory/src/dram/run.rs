//! Traffic through all channels of a device, in time order.

use super::Dram;
use super::command::Kind;
use super::controller::{Offer, Origin, Schedule};
use super::error::DramError;
use super::lane::Lane;
use super::replay::{Options, Replay};
use super::statistics::Statistics;
use super::traffic::{Cutter, Piece, Traffic};
use std::collections::VecDeque;

/// Bursts that wait in front of the controllers, for each channel.
pub const STAGED: usize = 64;

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
    pub mark: u64,
    /// Bursts jumped over.
    pub skipped: u64,
    pub times: Vec<(u64, u64)>,
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
        let mut lanes: Vec<_> = controllers.into_iter().map(Lane::new).collect();
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

    /// What `encode` says before the first lane's banks.
    pub const AHEAD: usize = 2;

    /// All that decides the future, as seen from `origin`.
    pub fn encode(&self, origin: &Origin, out: &mut Vec<u64>) {
        out.extend([self.waiting as u64, self.flying]);
        for lane in &self.lanes {
            lane.controller.encode(origin, out);
            let device = lane.controller.device();
            device.statistics.encode(origin.tick, device.banks.rules.longest_way(), out);
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

    pub fn start_counting(&mut self) {
        self.counting = true;
        self.before = self.sent();
        let end = self.end();
        self.since = end;
        for lane in &mut self.lanes {
            lane.controller.device_mut().statistics.restart(end);
        }
    }

    /// The tick after the last beat so far.
    pub fn end(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.controller.device().statistics.end).max().unwrap_or(0)
    }

    /// What channels do by themselves until `tick` once all has been sent.
    pub fn linger(&mut self, tick: u64) {
        let after = self.tick;
        self.lanes.iter_mut().for_each(|lane| lane.linger(after, tick));
    }

    pub fn finish(self) -> Replay {
        let end = self.end();
        self.finish_at(end)
    }

    /// Closes the books at `end`.
    pub fn finish_at(mut self, end: u64) -> Replay {
        self.collect(u64::MAX);
        let mut total = Statistics::default();
        let mut replay = Replay { tick_fs: self.dram.config().tick_fs(), ..Replay::default() };
        let buses = self.dram.config().organisation.pseudo_channels as usize;
        for lane in &mut self.lanes {
            let device = lane.controller.device_mut();
            device.statistics.finish(end, buses);
            let one = &device.statistics;
            total.repeat_gain(&one.gain(end), 1);
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
        replay.part_imbalance();
        replay.times = self.times;
        replay
    }
}
