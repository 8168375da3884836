//! Stretches of an even stream between refreshes, worked out once.
//!
//! Far from the next refresh its distance decides nothing. States of one channel as seen from where the stream stands,
//! without that distance, are few: each leads to the next in the same way every time, so that a known chain of them is
//! walked without a look at single bursts. Only the time around refreshes is worked out anew.

use super::controller::{Origin, Schedule};
use super::gain::Gain;
use super::latencies::Latencies;
use super::run::Run;
use std::collections::HashMap;

/// States kept at most, after which no more are looked for; and as long as little was walked.
const KEPT: usize = 2048;
const TRIED: usize = 512;
/// Bursts of stretches worked out, at most, as long as hardly anything was walked.
const HOPED: u64 = 1 << 14;
/// Stretches that would fit between two refreshes.
const PARTS: u64 = 12;
/// Bursts of a stretch, at least and at most.
const SHORTEST: u64 = 32;
const LONGEST: u64 = 256;

/// How one state leads to another.
struct Course {
    to: usize,
    by: Origin,
    cut: u64,
    sent: u64,
    gain: Gain,
    latencies: (Vec<(usize, u64)>, u64),
}

/// A state, its controller as it was when first seen, and where that was.
struct State<S> {
    key: Vec<u64>,
    origin: Origin,
    controller: Box<S>,
    next: Option<Course>,
    /// Times that `next` was taken in the walk under way.
    taken: u64,
}

/// A stretch that is being worked out.
struct Open {
    from: usize,
    origin: Origin,
    cut: u64,
    sent: u64,
    before: Gain,
    latencies: Latencies,
}

/// The states of one channel.
pub(super) struct Stretches<S> {
    length: u64,
    /// A refresh that is at least so far away has no part in a stretch that takes less.
    reach: u64,
    /// Where the calendar's next refresh stands in a key.
    calendar_at: usize,
    states: Vec<State<S>>,
    by_hash: HashMap<u64, Vec<usize>>,
    open: Option<Open>,
    /// Bursts cut at which to look.
    pub pause: u64,
}

pub(super) fn hash(state: &[u64]) -> u64 {
    let add = |sum: u64, word: &u64| (sum ^ word).wrapping_mul(0xBF58_476D_1CE4_E5B9).rotate_left(29);
    state.iter().fold(0x9E37_79B9_7F4A_7C15, add)
}

impl<S: Schedule> Stretches<S> {
    /// `None` where stretches cannot be told apart, or refreshes come too often for any.
    pub fn new(run: &Run<'_, S>) -> Option<Self> {
        let device = run.lanes.first().filter(|_| S::RESUMES && run.is_plain())?.controller.device();
        let (rules, buses) = (&device.banks.rules, device.banks.layout.pseudo_channels as u64);
        let bursts = device.refresher.interval().saturating_mul(buses) / rules.burst_ticks.max(1) / PARTS;
        let length = 1 << bursts.clamp(1, LONGEST).ilog2();
        let mut banks = Vec::new();
        device.banks.encode(0, 0, &mut banks);
        (length >= SHORTEST).then(|| Stretches {
            length,
            // As long as data alone take, and half as long again and more for what else keeps them waiting.
            reach: 2 * length * rules.burst_ticks / buses,
            // The place of the stream, and what a run says before its first bank.
            calendar_at: 1 + Run::<S>::AHEAD + banks.len(),
            states: Vec::new(),
            by_hash: HashMap::new(),
            open: None,
            pause: length,
        })
    }

    /// To be called where the run has paused; `place` says where the stream stands, as `Skipper::place` does.
    pub fn look(&mut self, run: &mut Run<'_, S>, (origin, offset): (Origin, u64)) {
        self.pause = (run.cut / self.length + 1) * self.length;
        let open = self.open.take();
        let Some(device) = run.lanes.first().map(|lane| lane.controller.device()) else { return };
        let refresh = device.refresher.next();
        let calm = refresh >= run.tick.saturating_add(self.reach);
        if !calm || !run.counting || !run.cutter.is_between() || run.cutter.left() == 0 {
            return;
        }
        let mut key = Vec::with_capacity(1024);
        key.push(offset);
        run.encode(&origin, &mut key);
        if let Some(calendar) = key.get_mut(self.calendar_at) {
            *calendar = self.reach;
        }
        let Some(at) = self.state(run, key, origin) else {
            self.pause = u64::MAX;
            return;
        };
        if let Some(open) = open {
            self.close(open, run, at, &origin);
        }
        let (at, origin) = self.walk(run, at, origin);
        // A walk may have led near the next refresh, which then would count as a part of what follows.
        let begins = refresh >= origin.tick.saturating_add(self.reach);
        if let (Some(State { next: None, .. }), Some(lane), true) = (self.states.get(at), run.lanes.first(), begins) {
            let statistics = &lane.controller.device().statistics;
            let (before, latencies) = (statistics.gain(origin.tick), statistics.latencies.clone());
            self.open = Some(Open { from: at, origin, cut: run.cut, sent: run.sent(), before, latencies });
        }
        self.pause = (run.cut / self.length + 1) * self.length;
    }

    /// The number of the state with this key, which it is from now on if there is none; `None` if there are too many.
    fn state(&mut self, run: &mut Run<'_, S>, key: Vec<u64>, origin: Origin) -> Option<usize> {
        let alike = self.by_hash.entry(hash(&key)).or_default();
        if let Some(&at) = alike.iter().find(|&&at| self.states[at].key == key) {
            return Some(at);
        }
        let most = match run.cut / run.skipped.max(1) {
            0..4 => KEPT,
            4..16 => TRIED,
            _ => TRIED.min((HOPED / self.length) as usize),
        };
        if self.states.len() >= most {
            return None;
        }
        alike.push(self.states.len());
        let controller = &mut run.lanes.first_mut()?.controller;
        let books = std::mem::take(&mut controller.device_mut().statistics);
        let state = State { key, origin, controller: Box::new(controller.clone()), next: None, taken: 0 };
        controller.device_mut().statistics = books;
        self.states.push(state);
        Some(self.states.len() - 1)
    }

    /// Notes where the stretch that was worked out has led.
    fn close(&mut self, open: Open, run: &Run<'_, S>, to: usize, origin: &Origin) {
        let ticks = origin.tick - open.origin.tick;
        let (Some(state), Some(lane)) = (self.states.get_mut(open.from), run.lanes.first()) else { return };
        if ticks >= self.reach || run.cut == open.cut {
            return;
        }
        let by = origin.since(&open.origin);
        let statistics = &lane.controller.device().statistics;
        let gain = statistics.gain(origin.tick).since(&open.before);
        let latencies = statistics.latencies.gain(&open.latencies);
        state.next = Some(Course { to, by, cut: run.cut - open.cut, sent: run.sent() - open.sent, gain, latencies });
    }

    /// Follows what is known from the state `at` on, as long as no refresh is near and some traffic is left for the end.
    /// Returns the state that it leads to, and where the stream then stands.
    fn walk(&mut self, run: &mut Run<'_, S>, mut at: usize, begin: Origin) -> (usize, Origin) {
        let Some(lane) = run.lanes.first() else { return (at, begin) };
        let calendar = lane.controller.device().refresher.clone();
        let latest = calendar.next().saturating_sub(self.reach);
        let (mut left, mut unsent) = (run.cutter.left(), u64::MAX);
        if let Some(measured) = run.options.measured {
            unsent = measured.saturating_sub(run.sent());
        }
        let (mut origin, mut cut, mut sent) = (begin, 0, 0);
        let (mut taken, mut last) = (Vec::new(), None);
        while let Some(State { next: Some(course), taken: times, .. }) = self.states.get_mut(at) {
            if origin.tick > latest || course.by.id >= left || course.sent >= unsent {
                break;
            }
            if *times == 0 {
                taken.push(at);
            }
            *times += 1;
            origin = origin.plus(&course.by);
            (cut, sent) = (cut + course.cut, sent + course.sent);
            (left, unsent) = (left - course.by.id, unsent - course.sent);
            (last, at) = (Some(at), course.to);
        }
        let (Some(last), Some(lane)) = (last, run.lanes.first_mut()) else { return (at, begin) };
        let mut statistics = std::mem::take(&mut lane.controller.device_mut().statistics);
        for from in taken {
            let times = std::mem::take(&mut self.states[from].taken);
            if let Some(course) = &self.states[from].next {
                statistics.repeat_gain(&course.gain, times);
                statistics.latencies.add_gain(&course.latencies, times);
            }
        }
        if let Some(course) = &self.states[last].next {
            statistics.resume(&course.gain, origin.tick);
        }
        let end = &self.states[at];
        lane.controller.clone_from(&end.controller);
        lane.controller.shift(&origin.since(&end.origin));
        lane.controller.keep_calendar(calendar);
        lane.controller.device_mut().statistics = statistics;
        run.cutter.pass(origin.id - begin.id);
        run.tick = origin.tick;
        run.cut += cut;
        run.skipped += sent;
        (at, origin)
    }
}
