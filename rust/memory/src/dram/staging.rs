//! Channels that run ahead of each other, each for as long as it has what it may take.
//!
//! Channels share nothing but the room in front of them: a burst is cut when another has been taken somewhere. A channel
//! with bursts in front therefore runs on by itself until it has taken all but the last of them, and its state stays
//! close at hand; only the ticks at which bursts were taken are merged. Behind the *front* all of them are known: what is
//! cut next is handed out up to there, and whoever stands at the front runs next.

use super::command::Kind;
use super::controller::{Burst, Schedule};
use super::error::DramError;
use super::lane::{Lane, OFFERS};
use super::run::{Run, STAGED};

/// Ticks that a channel may run ahead of the front.
const AHEAD: u64 = 1 << 12;
/// Bursts cut between two looks at `stop`: a few milliseconds.
const PATIENCE: u64 = 1 << 14;

/// How many bursts all channels together took at each tick from the front on.
struct Taken {
    counts: Vec<u16>,
    front: u64,
}

impl Taken {
    #[inline]
    fn add(&mut self, tick: u64, count: usize) {
        if let Some(sum) = self.counts.get_mut((tick % AHEAD) as usize) {
            *sum += count as u16;
        }
    }

    /// What was taken at the front, which moves on.
    #[inline]
    fn pass(&mut self) -> u16 {
        let count = self.counts.get_mut((self.front % AHEAD) as usize).map_or(0, std::mem::take);
        self.front += 1;
        count
    }
}

impl<S: Schedule> Lane<S> {
    /// No burst is taken before this tick, as far as anybody knows.
    fn takes_from(&self, kind: Kind) -> u64 {
        if self.staged[kind as usize].is_empty() { u64::MAX } else { self.due }
    }

    /// A burst to be taken from tick `since` on.
    #[inline]
    fn stage(&mut self, kind: Kind, burst: Burst) {
        if self.staged[kind as usize].is_empty() && self.controller.has_room(kind) {
            self.due = self.due.min(burst.since.max(self.clock + 1));
        }
        self.staged[kind as usize].push_back(burst);
    }

    /// Handles ticks as long as it is known what may be taken at them.
    fn run_ahead(&mut self, kind: Kind, taken: &mut Taken) {
        let (front, end) = (taken.front, taken.front + AHEAD);
        let Lane { controller, staged, due, clock } = self;
        let staged = &mut staged[kind as usize];
        while *due < end && !staged.is_empty() {
            let tick = *due;
            if controller.has_room(kind) {
                let mut left = OFFERS;
                if staged.len() < left && tick > front {
                    break;
                }
                while left > 0 && controller.has_room(kind) {
                    let Some(&burst) = staged.front().filter(|burst| burst.since <= tick) else { break };
                    let now = tick - S::LAG;
                    controller.offer(now, kind, Burst { since: now, ..burst });
                    staged.pop_front();
                    left -= 1;
                }
                taken.add(tick, OFFERS - left);
            }
            if controller.next() <= tick {
                controller.tick(tick);
            }
            *clock = tick;
            *due = controller.next().max(tick + 1);
            if controller.has_room(kind)
                && let Some(burst) = staged.front()
            {
                *due = burst.since.clamp(tick + 1, *due);
            }
        }
    }

    /// Handles ticks until all that came has been sent; the last of them.
    fn run_out(&mut self, kind: Kind, sent: u64) -> u64 {
        while self.controller.device().statistics.bursts[kind as usize] < sent {
            self.clock = self.due;
            self.controller.tick(self.due);
            self.due = self.controller.next().max(self.due + 1);
        }
        self.clock
    }
}

impl<S: Schedule> Run<'_, S> {
    /// Whether channels take bursts of one kind as fast as they can, and all of them count from the start.
    pub fn is_apart(&self) -> bool {
        self.lanes.len() > 1
            && self.cutter.single_kind()
            && !self.cutter.is_timed()
            && self.options.outstanding.is_none()
            && !self.options.times
            && self.options.warmup == 0
            && self.options.measured.is_none()
            && self.cut == 0
    }

    /// The same as `step` until all is done, if `is_apart`.
    pub fn play_apart(&mut self, stop: &dyn Fn() -> bool) -> Result<(), DramError> {
        let kind = self.cutter.kind();
        let mut taken = Taken { counts: vec![0; AHEAD as usize], front: self.tick };
        let mut room = STAGED * self.lanes.len();
        let mut offered = vec![0; self.lanes.len()];
        let mut look_at = PATIENCE;
        loop {
            let mut next = self.lanes.iter().map(|lane| lane.takes_from(kind)).min().unwrap_or(u64::MAX);
            // What was taken before makes room at the front; whoever had nothing may take of it at once.
            loop {
                while room > 0 {
                    let Some(mut piece) = self.cutter.cut()? else { break };
                    piece.burst.since = taken.front;
                    let Some(lane) = self.lanes.get_mut(piece.channel as usize) else { break };
                    lane.stage(kind, piece.burst);
                    next = next.min(lane.due);
                    offered[piece.channel as usize] += 1;
                    self.cut += 1;
                    room -= 1;
                }
                let empty = next == u64::MAX && self.cutter.is_empty();
                if empty || taken.front >= next {
                    break;
                }
                room += usize::from(taken.pass());
            }
            if next == u64::MAX {
                break;
            }
            for lane in self.lanes.iter_mut().filter(|lane| lane.takes_from(kind) <= next) {
                lane.run_ahead(kind, &mut taken);
            }
            if self.cut >= look_at {
                look_at = self.cut + PATIENCE;
                if stop() {
                    return Err(DramError::Stopped);
                }
            }
        }
        let ends = self.lanes.iter_mut().zip(&offered).map(|(lane, &offered)| lane.run_out(kind, offered));
        self.tick = ends.max().unwrap_or(self.tick);
        self.lanes.iter_mut().for_each(|lane| lane.linger(lane.clock, self.tick));
        Ok(())
    }
}
