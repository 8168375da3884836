//! The short way through one channel that takes one kind of request as fast as it can, and the way to the end.

use super::controller::Schedule;
use super::error::DramError;
use super::lane::{Lane, OFFERS};
use super::run::Run;

/// Ticks of all channels handled between two looks at `stop`: a few milliseconds.
const PATIENCE: usize = 1 << 14;

/// Bursts cut, or a tick, at which somebody wants to look at a run.
#[derive(Clone, Copy)]
pub(super) struct Pause {
    pub cut: u64,
    pub tick: u64,
}

impl Pause {
    pub const NEVER: Pause = Pause { cut: u64::MAX, tick: u64::MAX };
}

impl<S: Schedule> Run<'_, S> {
    /// Whether one channel takes one kind of request as fast as it can: then staging decides nothing.
    pub fn is_plain(&self) -> bool {
        self.lanes.len() == 1
            && self.cutter.single_kind()
            && !self.cutter.is_timed()
            && self.options.outstanding.is_none()
            && !self.options.times
    }

    /// The same as so many times `step` if `is_plain`, without staging; returns early where `pause` says. Returns false
    /// when all is done.
    pub fn steps_plain(&mut self, steps: usize, pause: Pause) -> Result<bool, DramError> {
        let kind = self.cutter.kind();
        for _ in 0..steps {
            let Some(Lane { controller, .. }) = self.lanes.first_mut() else { return Ok(false) };
            let mut tick = self.tick;
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
            let mut sent = controller.device().statistics.bursts[kind as usize];
            let mut room = controller.has_room(kind);
            if !room && self.cut < pause.cut && !self.cutter.is_empty() {
                // There is nothing to offer before a command makes room.
                while !room && sent < self.mark {
                    let next = controller.next().max(tick + 1);
                    if next >= pause.tick {
                        break;
                    }
                    tick = next;
                    controller.tick(tick);
                    sent = controller.device().statistics.bursts[kind as usize];
                    room = controller.has_room(kind);
                }
            }
            let more = room && !self.cutter.is_empty();
            self.tick = if more { tick + 1 } else { controller.next().max(tick + 1) };
            if (sent >= self.mark || self.cutter.is_empty()) && !self.pass_mark(sent) {
                self.tick = tick;
                return Ok(false);
            }
            if self.cut >= pause.cut || self.tick >= pause.tick {
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

    /// Moves everything to its end.
    pub fn play(&mut self, stop: &dyn Fn() -> bool) -> Result<(), DramError> {
        if self.cutter.is_empty() {
            return Ok(());
        }
        if self.is_apart() {
            return self.play_apart(stop);
        }
        let plain = self.is_plain();
        loop {
            if plain {
                if !self.steps_plain(self.patience(), Pause::NEVER)? {
                    return Ok(());
                }
            } else {
                for _ in 0..self.patience() {
                    if !self.step()? {
                        return Ok(());
                    }
                }
            }
            if stop() {
                return Err(DramError::Stopped);
            }
        }
    }
}
