//! One channel, driven step by step: requests are offered as time goes on, answers come out in order of time.

mod foresight;
mod front;

use super::command::Kind;
use super::config::{Config, Scheduler};
use super::controller::bank_queues::BankQueues;
use super::controller::flights::Flights;
use super::controller::frfcfs::Frfcfs;
use super::controller::{Answer, Origin, Schedule};
use super::map::AddressMap;
use super::recall::Recall;
use super::statistics::{Statistics, Usage};
use front::Front;

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
    front: Front,
    /// All ticks before this have been handled.
    ahead: u64,
    /// The latest tick that was asked for; less than `ahead`, or more on a course.
    now: u64,
    least: u64,
    recall: Option<Box<Recall>>,
}

impl Channel {
    /// Channel `number` of a device that `Config::check` accepts, idle.
    pub fn new(config: &Config, map: &AddressMap, number: u32) -> Self {
        let mut policy = match config.controller.scheduler {
            Scheduler::BankQueues => Policy::BankQueues(Box::new(BankQueues::new(config, map, number))),
            _ => Policy::Frfcfs(Box::new(Frfcfs::new(config, map, number))),
        };
        let device = each!(&mut policy, controller => controller.device_mut());
        device.flights = Some(Flights::default());
        device.statistics.keep_gaps();
        // A burst answered from a waiting write is the fastest; every other one needs a column command.
        let least = 1;
        let burst_bytes = config.organisation.burst_bytes();
        let recall = match &policy {
            Policy::Frfcfs(controller) => {
                let queue = u64::from(config.controller.read_queue);
                Recall::new(map.channel_span(), controller, queue).map(Box::new)
            }
            Policy::BankQueues(_) => None,
        };
        Channel { policy, map: map.clone(), burst_bytes, front: Front::default(), ahead: 1, now: 0, least, recall }
    }

    /// Bursts that were not worked out, because the same had come before.
    pub fn recalled(&self) -> u64 {
        self.recall.as_ref().map_or(0, |recall| recall.taken)
    }

    /// Works everything out, each time anew; the answers are the same.
    #[must_use]
    pub fn without_recall(mut self) -> Self {
        self.recall = None;
        self
    }

    /// No answer comes sooner than this many ticks after its offer.
    pub fn least_ticks(&self) -> u64 {
        self.least
    }

    /// Offers a burst at `tick`: the one that holds `address` of the device, which must lie in this channel.
    pub fn offer(&mut self, tick: u64, write: bool, address: u64, id: u64) -> Accept {
        self.run(tick);
        self.leave();
        let kind = Kind::of(write);
        if !each!(&self.policy, controller => controller.has_room(kind)) {
            return Accept::Full;
        }
        let (_, first) = self.map.channel(address);
        self.offer_rest(tick, write, first, 1, id);
        Accept::Taken
    }

    /// Offers `bursts` bursts at `tick`: the one that holds `address` of the device, which must lie in this channel,
    /// and those that follow it among the channel's own. They are answered together, when the last of them is done.
    ///
    /// It is the same as offering them one after another, each as soon as there is room: what finds none waits in front
    /// of the controller, reads and writes each in order. A run is never refused; of no bursts, it is done at once.
    pub fn offer_run(&mut self, tick: u64, write: bool, address: u64, bursts: u64, id: u64) -> Accept {
        let (_, first) = self.map.channel(address);
        self.offer_bursts(tick, write, first, bursts, id);
        Accept::Taken
    }

    /// The same, from the burst that is the channel's own number `first` on.
    pub(crate) fn offer_bursts(&mut self, tick: u64, write: bool, first: u64, bursts: u64, id: u64) {
        self.run(tick);
        self.offer_rest(tick, write, first, bursts, id);
    }

    fn offer_rest(&mut self, tick: u64, write: bool, address: u64, bursts: u64, id: u64) {
        // More reads come behind those that a course takes.
        if write && self.recall.as_ref().is_some_and(|recall| recall.is_engaged()) {
            self.leave();
        }
        let walks = self.recall.as_ref().is_some_and(|recall| recall.walk.is_some());
        let Channel { policy, front, map, burst_bytes, ahead, least, .. } = self;
        each!(policy, controller => {
            let Some(flights) = &mut controller.device_mut().flights else { return };
            if bursts == 0 {
                return flights.answer(Answer { tick: tick + *least, id, write }, u64::MAX);
            }
            let number = flights.depart(id, write, bursts);
            front.push(write, address, bursts, number);
            // On a course the controller has no room before its end, nor has it where it ran ahead of this tick.
            if !walks && *ahead <= tick + lag_of(&**controller) {
                front.feed(&mut **controller, map, *burst_bytes, tick);
            }
        });
    }

    fn flights(&self) -> Option<&Flights> {
        each!(&self.policy, controller => controller.device().flights.as_ref())
    }

    /// Lets time pass up to `tick` and hands out what is done by then, in order of time. Later offers must not be
    /// earlier than `tick`: then answers up to it cannot change any more.
    pub fn advance(&mut self, tick: u64, answers: &mut Vec<Answer>) {
        self.run(tick);
        self.hand_out(tick, answers);
    }

    /// Hands out what is done by `tick`, up to which everything was handled.
    fn hand_out(&mut self, tick: u64, answers: &mut Vec<Answer>) {
        let from = answers.len();
        let Channel { policy, recall, .. } = self;
        let Some(flights) = each!(policy, controller => &mut controller.device_mut().flights) else { return };
        flights.arrive(tick, answers);
        if let Some(walk) = recall.as_mut().and_then(|recall| recall.walk.as_mut()) {
            while let Some((number, done)) = walk.next_answer().filter(|&(_, done)| done <= tick) {
                answers.extend(flights.foreseen(number, done));
                walk.told += 1;
            }
            answers[from..].sort_unstable();
        }
    }

    /// The next tick at which something happens inside if nothing is offered.
    pub fn next_tick(&self) -> u64 {
        each!(&self.policy, controller => controller.next()).max(self.ahead)
    }

    /// The earliest answer that is certain already and has not been handed out.
    pub fn next_answer(&self) -> Option<u64> {
        let walk = self.recall.as_ref().and_then(|recall| recall.walk.as_ref());
        let foreseen = walk.and_then(|walk| walk.next_answer()).map(|(_, tick)| tick);
        [self.flights().and_then(Flights::next), foreseen].into_iter().flatten().min()
    }

    /// Works out what has passed of a course that is under way, so that all of the channel stands at `tick`.
    pub fn settle(&mut self, tick: u64) {
        self.run(tick);
        self.leave();
    }

    /// Counts so far; latencies only of bursts that were not on a course, and all of it only after `settle`.
    pub fn statistics(&self) -> &Statistics {
        &each!(&self.policy, controller => controller.device()).statistics
    }

    /// What the channel has done until `tick`, to which it must have been settled.
    pub fn usage(&self, tick: u64) -> Usage {
        let device = each!(&self.policy, controller => controller.device());
        device.statistics.usage(tick, device.banks.layout.pseudo_channels)
    }

    /// Whether from `tick` on both channels, of the same description, answer the same offers at the same ticks for
    /// ever. Both should have been settled at `tick`. What has passed and binds no more does not count, nor do
    /// statistics. True is certain; false may only mean that they would behave alike in spite of a difference.
    pub fn same_state(&self, other: &Channel, tick: u64) -> bool {
        let common = tick.max(self.ahead).max(other.ahead);
        let at = if self.next_tick() >= common && other.next_tick() >= common {
            common
        } else if self.ahead == other.ahead {
            self.ahead
        } else {
            return false;
        };
        self.encode(at) == other.encode(at)
    }

    /// All that decides the future, as it stands at `tick`; flights are numbered from the next.
    fn encode(&self, tick: u64) -> Vec<u64> {
        let mut out = Vec::with_capacity(1024);
        let next = self.flights().map_or(0, Flights::next_number);
        let origin = Origin { tick, id: next, ..Origin::default() };
        each!(&self.policy, controller => controller.encode(&origin, &mut out));
        self.flights().into_iter().for_each(|flights| flights.encode(&mut out));
        self.front.encode(next, &mut out);
        out
    }

    /// Handles all ticks that a burst offered at `tick` cannot take part in.
    #[inline]
    fn run(&mut self, tick: u64) {
        self.now = self.now.max(tick);
        // Only the controller with a lag of 1 has courses.
        let walk = self.recall.as_ref().and_then(|recall| recall.walk.as_ref());
        if walk.is_none_or(|walk| walk.end_tick() <= tick + 1) {
            self.run_on(tick);
        }
    }

    fn run_on(&mut self, tick: u64) {
        loop {
            if let Some(walk) = self.recall.as_ref().and_then(|recall| recall.walk.as_ref()) {
                if walk.end_tick() > tick + 1 {
                    return;
                }
                self.arrive();
                self.look();
            } else if !self.work(tick) {
                return;
            }
        }
    }

    /// Handles ticks one after another, up to `tick`; true if a course has begun before.
    fn work(&mut self, tick: u64) -> bool {
        while self.work_on(tick) {
            if self.look() {
                return true;
            }
        }
        false
    }

    /// Handles ticks one after another, up to `tick`; true if it is worth a look for a course before.
    fn work_on(&mut self, tick: u64) -> bool {
        let Channel { policy, front, map, burst_bytes, ahead, recall, .. } = self;
        let look_at = recall.as_ref().map_or(u64::MAX, |recall| recall.look_at);
        each!(policy, controller => {
            // With a lag of 1 an offer at `tick` comes after that tick, with 0 before it.
            let lag = lag_of(&**controller);
            let end = tick.saturating_add(lag);
            loop {
                let next = controller.next().max(*ahead);
                if next >= end {
                    *ahead = (*ahead).max(end);
                    return false;
                }
                if front.taken >= look_at {
                    return true;
                }
                controller.tick(next);
                *ahead = next + 1;
                front.feed(&mut **controller, map, *burst_bytes, next + 1 - lag);
            }
        })
    }

    /// Looks for a course that begins here; true if there is one.
    // Kept out of line: whole controllers on the stack are costly even where they are not used.
    #[inline(never)]
    fn look(&mut self) -> bool {
        let Channel { policy: Policy::Frfcfs(controller), front, ahead, recall: Some(recall), .. } = self else {
            return false;
        };
        let line = front.line();
        recall.look(controller, *ahead, front.taken, line);
        recall.walk.is_some()
    }

    /// The course under way has ended.
    fn arrive(&mut self) {
        let Channel { policy: Policy::Frfcfs(controller), front, ahead, recall: Some(recall), .. } = self else {
            return;
        };
        let Some(mut walk) = recall.walk.take() else { return };
        *ahead = walk.end_tick();
        if let Some(flights) = &mut controller.device_mut().flights {
            while let Some((number, tick)) = walk.next_answer() {
                if let Some(answer) = flights.foreseen(number, tick) {
                    flights.answer(answer, number);
                }
                walk.told += 1;
            }
            let begin = walk.begin;
            let left = walk.course.left.iter().map(|&(number, left, done)| {
                let tick = done.map_or(0, |done| begin.tick.wrapping_add(done));
                (begin.id.wrapping_add(number), left, tick)
            });
            flights.settle(begin.id + walk.course.flights + 1, left);
        }
        front.drop_reads(walk.course.taken);
        recall.arrive(walk, controller);
    }

    /// Leaves the course under way, if there is one: works out the part that has passed.
    fn leave(&mut self) {
        let Channel { policy: Policy::Frfcfs(controller), front, recall: Some(recall), .. } = self else { return };
        recall.drop_record(controller);
        recall.wait(front.taken);
        let Some(walk) = recall.walk.take() else { return };
        let told = &walk.course.answers[..walk.told];
        let told: Vec<u64> = told.iter().map(|(number, _)| walk.begin.id.wrapping_add(*number)).collect();
        recall.look_at = u64::MAX;
        recall.catch_up(controller);
        self.work(self.now);
        let Channel { policy: Policy::Frfcfs(controller), front, recall: Some(recall), .. } = self else { return };
        recall.wait(front.taken);
        if let Some(flights) = &mut controller.device_mut().flights {
            flights.forget(&told);
        }
    }
}

fn lag_of<S: Schedule>(_: &S) -> u64 {
    S::LAG
}
