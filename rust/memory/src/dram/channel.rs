//! One channel, driven step by step: requests are offered as time goes on, answers come out in order of time.

use super::command::Kind;
use super::config::{Config, Scheduler};
use super::controller::bank_queues::BankQueues;
use super::controller::frfcfs::Frfcfs;
use super::controller::{Burst, Offer, Schedule};
use super::map::AddressMap;
use super::statistics::Statistics;

/// A burst that is done: its request and the tick after its last beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub id: u64,
    pub tick: u64,
    pub write: bool,
}

/// What becomes of a request that is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    Taken,
    /// The queue is full; offer it again after the next answer of its kind.
    Full,
}

#[derive(Clone, Debug)]
enum Policy {
    Frfcfs(Box<Frfcfs>),
    BankQueues(Box<BankQueues>),
}

macro_rules! each {
    ($policy:expr, $controller:ident => $body:expr) => {
        match $policy {
            Policy::Frfcfs($controller) => $body,
            Policy::BankQueues($controller) => $body,
        }
    };
}

/// A channel in motion. Time never runs backwards: neither offers nor `advance` go behind the latest of them.
#[derive(Clone, Debug)]
pub struct Channel {
    policy: Policy,
    map: AddressMap,
    burst_bytes: u64,
    /// All ticks before this have been handled.
    ahead: u64,
    least: u64,
}

impl Channel {
    /// Channel `number` of a device that `Config::check` accepts, idle.
    pub fn new(config: &Config, map: &AddressMap, number: u32) -> Self {
        let mut policy = match config.controller.scheduler {
            Scheduler::BankQueues => Policy::BankQueues(Box::new(BankQueues::new(config, map, number))),
            _ => Policy::Frfcfs(Box::new(Frfcfs::new(config, map, number))),
        };
        let device = each!(&mut policy, controller => controller.device_mut());
        device.keep_done = true;
        // A burst answered from a waiting write is the fastest; every other one needs a column command.
        let least = 1;
        Channel { policy, map: map.clone(), burst_bytes: config.organisation.burst_bytes(), ahead: 1, least }
    }

    /// No answer comes sooner than this many ticks after its offer.
    pub fn least_ticks(&self) -> u64 {
        self.least
    }

    /// Offers a burst at `tick`: the one that holds `address` of the device, which must lie in this channel.
    pub fn offer(&mut self, tick: u64, write: bool, address: u64, id: u64) -> Accept {
        self.run(tick, false);
        let (_, local) = self.map.channel(address);
        let (bank, row) = self.map.bank_row(local);
        let bytes = self.burst_bytes as u16;
        let burst = Burst { id, address: local, row, bank: bank as u8, bytes, since: tick };
        match each!(&mut self.policy, controller => controller.offer(tick, Kind::of(write), burst)) {
            Offer::Full => Accept::Full,
            Offer::Taken | Offer::Merged(_) => Accept::Taken,
        }
    }

    /// Lets time pass up to `tick` and hands out what is done by then, in order of time. Later offers must not be
    /// earlier than `tick`: then answers up to it cannot change any more.
    pub fn advance(&mut self, tick: u64, answers: &mut Vec<Answer>) {
        self.run(tick, true);
        let from = answers.len();
        let device = each!(&mut self.policy, controller => controller.device_mut());
        for (kind, queue) in device.done.iter_mut().enumerate() {
            while queue.front().is_some_and(|done| done.tick <= tick) {
                let Some(done) = queue.pop_front() else { break };
                answers.push(Answer { id: done.id, tick: done.tick, write: kind == 1 });
            }
        }
        answers[from..].sort_by_key(|answer| (answer.tick, answer.id));
    }

    /// The next tick at which something happens inside if nothing is offered.
    pub fn next_tick(&self) -> u64 {
        each!(&self.policy, controller => controller.next()).max(self.ahead)
    }

    pub fn statistics(&self) -> &Statistics {
        &each!(&self.policy, controller => controller.device()).statistics
    }

    /// Handles all ticks that a burst offered at `tick` cannot take part in; with `whole`, up to `tick` itself.
    fn run(&mut self, tick: u64, whole: bool) {
        each!(&mut self.policy, controller => Self::run_controller(&mut **controller, &mut self.ahead, tick, whole));
    }

    fn run_controller<S: Schedule>(controller: &mut S, ahead: &mut u64, tick: u64, whole: bool) {
        // With a lag of 1 an offer at `tick` comes after that tick, with 0 before it.
        let end = if S::LAG == 1 { tick + 1 } else { tick };
        let end = if whole { end.max(tick) } else { end };
        loop {
            let next = controller.next().max(*ahead);
            if next >= end {
                break;
            }
            controller.tick(next);
            *ahead = next + 1;
        }
        *ahead = (*ahead).max(end);
    }
}
