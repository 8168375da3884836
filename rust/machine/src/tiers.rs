//! The machine's memories as one call sees them: time starts with the kernel.

use crate::error::MachineError;
use rdu_dataflow::{Answer, Memory, Request};
use rdu_memory::Tier;
use rdu_memory::tier::{Done, Transfer};

pub struct Tiers<'a> {
    tiers: &'a mut [Tier],
    /// Machine time at which the kernel started.
    origin: u64,
    /// All requests before this cycle of the call are known.
    now: u64,
    /// When the last read was answered.
    last_read: u64,
    done: Vec<Done>,
    /// Requests to a tier that the machine has not.
    nowhere: Vec<Request>,
}

impl<'a> Tiers<'a> {
    pub fn new(tiers: &'a mut [Tier], origin: u64) -> Self {
        Tiers { tiers, origin, now: 0, last_read: 0, done: Vec::new(), nowhere: Vec::new() }
    }

    /// When the last read was answered.
    pub fn last_read(&self) -> u64 {
        self.last_read
    }

    fn hand_out(&mut self, answers: &mut Vec<Answer>) {
        for done in self.done.drain(..) {
            let cycle = done.cycle - self.origin;
            if !done.write {
                self.last_read = self.last_read.max(cycle);
            }
            answers.push(Answer { unit: done.unit, number: done.number, cycle });
        }
    }

    /// What a tier could not serve.
    pub fn check(&self, kernel: &str) -> Result<(), MachineError> {
        let wrong = |what: String| Err(MachineError::Spec { kernel: kernel.into(), what });
        if let Some(fault) = self.tiers.iter().find_map(Tier::fault) {
            return wrong(fault.to_string());
        }
        match self.nowhere.first() {
            Some(request) => wrong(format!("a transfer names tier {} of {}", request.tier, self.tiers.len())),
            None => Ok(()),
        }
    }
}

impl Memory for Tiers<'_> {
    fn lookahead(&self) -> u64 {
        self.tiers.iter().map(Tier::lookahead).min().unwrap_or(1)
    }

    fn ask(&mut self, request: &Request) {
        let &Request { cycle, unit, number, tier, write, address, bytes } = request;
        match self.tiers.get_mut(tier as usize) {
            Some(tier) => tier.ask(&Transfer { cycle: self.origin + cycle, unit, number, write, address, bytes }),
            None => self.nowhere.push(*request),
        }
    }

    fn advance(&mut self, cycle: u64, answers: &mut Vec<Answer>) {
        self.now = cycle;
        for tier in self.tiers.iter_mut() {
            tier.advance(self.origin + cycle, &mut self.done);
        }
        self.hand_out(answers);
    }

    fn next_answer(&self) -> Option<u64> {
        let next = self.now + self.lookahead();
        let busy = self.tiers.iter().filter(|tier| tier.is_busy());
        busy.map(|tier| next.max(tier.known().saturating_sub(self.origin))).min()
    }

    fn foresee(&mut self, writes: u64, answers: &mut Vec<Answer>) {
        for tier in self.tiers.iter_mut() {
            tier.foresee(self.origin.saturating_add(writes), &mut self.done);
        }
        self.hand_out(answers);
    }

    fn soonest(&self, request: &Request) -> u64 {
        let soonest = request.cycle.saturating_add(self.lookahead());
        match self.tiers.get(request.tier as usize) {
            Some(tier) if !request.write => soonest.max(tier.known().saturating_sub(self.origin)),
            _ => soonest,
        }
    }
}
