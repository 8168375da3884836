//! Running ahead of what has been offered: a read that comes while others wait in front of the controller only joins the
//! end of their line, so it changes nothing before the line has been used up.

use super::{Answer, Channel, Policy};

impl Channel {
    /// Lets time pass as far as no read that is still to be offered can matter, at most up to `tick`: before that no write
    /// may be offered. Hands out what is done by then, and returns the tick up to which all of that is known; reads may
    /// be offered at earlier ones.
    pub fn foresee(&mut self, tick: u64, answers: &mut Vec<Answer>) -> u64 {
        let until = self.run_ahead(tick);
        if until > self.now {
            self.now = until;
            self.hand_out(until, answers);
        }
        self.now
    }

    /// The tick that it has come to. Looks for a course only where the line has room for the longest, as it will have
    /// when more reads have come.
    fn run_ahead(&mut self, tick: u64) -> u64 {
        loop {
            let Channel { policy: Policy::Frfcfs(_), front, recall: Some(recall), .. } = self else {
                return self.now;
            };
            let taken = recall.walk.as_ref().map_or(0, |walk| walk.course.taken);
            let most = taken + recall.most();
            let lasts = front.line().is_some_and(|line| line.bursts >= most);
            if let Some(walk) = &recall.walk {
                let last = walk.end_tick() - 1;
                if last > tick || !lasts {
                    return last.min(tick);
                }
                self.arrive();
            } else {
                // Whoever works a course out has seen that the line lasts as long.
                if (lasts || recall.is_engaged()) && !self.work_on(tick) {
                    return tick;
                }
                if !lasts {
                    return self.ahead.saturating_sub(1);
                }
            }
            self.look();
        }
    }
}
