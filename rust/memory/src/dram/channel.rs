//! One channel, driven step by step: requests are offered as time goes on, answers come out in order of time.

use super::command::Kind;
use super::config::{Config, Scheduler};
use super::controller::bank_queues::BankQueues;
use super::controller::flights::Flights;
use super::controller::frfcfs::Frfcfs;
use super::controller::{Answer, Burst, Offer, Origin, Schedule};
use super::map::AddressMap;
use super::statistics::{Statistics, Usage};
use std::collections::VecDeque;

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

/// Bursts of a run that have not found room in the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rest {
    /// Within the channel, in bursts.
    address: u64,
    bursts: u64,
    id: u64,
    flight: u32,
}

/// Reads and writes that wait in front of the controller, each in order.
#[derive(Clone, Debug, Default)]
struct Front {
    rests: [VecDeque<Rest>; 2],
}

impl Front {
    /// Offers at `tick` as much as the controller takes.
    fn feed<S: Schedule>(&mut self, controller: &mut S, map: &AddressMap, burst_bytes: u64, tick: u64) {
        for kind in Kind::BOTH {
            let rests = &mut self.rests[kind as usize];
            while let Some(rest) = rests.front_mut() {
                let burst = burst_at(map, burst_bytes, rest.address, tick, rest.id, rest.flight);
                if !controller.has_room(kind) || controller.offer(tick, kind, burst) == Offer::Full {
                    break;
                }
                rest.address += 1;
                rest.bursts -= 1;
                if rest.bursts == 0 {
                    rests.pop_front();
                }
            }
        }
    }

    fn encode(&self, out: &mut Vec<u64>) {
        for rests in &self.rests {
            out.push(rests.len() as u64);
            out.extend(rests.iter().flat_map(|rest| [rest.address, rest.bursts, rest.id]));
        }
    }
}

fn burst_at(map: &AddressMap, burst_bytes: u64, address: u64, since: u64, id: u64, flight: u32) -> Burst {
    let (bank, row) = map.bank_row(address);
    Burst { id, flight, address, row, bank: bank as u8, bytes: burst_bytes as u16, since }
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
        device.flights = Some(Flights::default());
        device.statistics.keep_gaps();
        // A burst answered from a waiting write is the fastest; every other one needs a column command.
        let least = 1;
        let burst_bytes = config.organisation.burst_bytes();
        Channel { policy, map: map.clone(), burst_bytes, front: Front::default(), ahead: 1, least }
    }

    /// No answer comes sooner than this many ticks after its offer.
    pub fn least_ticks(&self) -> u64 {
        self.least
    }

    /// Offers a burst at `tick`: the one that holds `address` of the device, which must lie in this channel.
    pub fn offer(&mut self, tick: u64, write: bool, address: u64, id: u64) -> Accept {
        self.run(tick);
        let kind = Kind::of(write);
        if !each!(&self.policy, controller => controller.has_room(kind)) {
            return Accept::Full;
        }
        self.offer_rest(tick, write, address, 1, id);
        Accept::Taken
    }

    /// Offers `bursts` bursts at `tick`: the one that holds `address` of the device, which must lie in this channel,
    /// and those that follow it among the channel's own. They are answered together, when the last of them is done.
    ///
    /// It is the same as offering them one after another, each as soon as there is room: what finds none waits in front
    /// of the controller, reads and writes each in order. A run is never refused; of no bursts, it is done at once.
    pub fn offer_run(&mut self, tick: u64, write: bool, address: u64, bursts: u64, id: u64) -> Accept {
        self.run(tick);
        self.offer_rest(tick, write, address, bursts, id);
        Accept::Taken
    }

    fn offer_rest(&mut self, tick: u64, write: bool, address: u64, bursts: u64, id: u64) {
        let (_, address) = self.map.channel(address);
        let Channel { policy, front, map, burst_bytes, least, .. } = self;
        each!(policy, controller => {
            let Some(flights) = &mut controller.device_mut().flights else { return };
            if bursts == 0 {
                return flights.answer(Answer { tick: tick + *least, id, write });
            }
            let flight = flights.depart(id, write, bursts);
            front.rests[usize::from(write)].push_back(Rest { address, bursts, id, flight });
            front.feed(&mut **controller, map, *burst_bytes, tick);
        });
    }

    /// Lets time pass up to `tick` and hands out what is done by then, in order of time. Later offers must not be
    /// earlier than `tick`: then answers up to it cannot change any more.
    pub fn advance(&mut self, tick: u64, answers: &mut Vec<Answer>) {
        self.run(tick);
        let device = each!(&mut self.policy, controller => controller.device_mut());
        if let Some(flights) = &mut device.flights {
            flights.arrive(tick, answers);
        }
    }

    /// The next tick at which something happens inside if nothing is offered.
    pub fn next_tick(&self) -> u64 {
        each!(&self.policy, controller => controller.next()).max(self.ahead)
    }

    /// The earliest answer that is certain already and has not been handed out.
    pub fn next_answer(&self) -> Option<u64> {
        each!(&self.policy, controller => controller.device()).flights.as_ref().and_then(Flights::next)
    }

    pub fn statistics(&self) -> &Statistics {
        &each!(&self.policy, controller => controller.device()).statistics
    }

    /// What the channel has done until `tick`, to which it must have been advanced.
    pub fn usage(&self, tick: u64) -> Usage {
        let device = each!(&self.policy, controller => controller.device());
        device.statistics.usage(tick, device.banks.layout.pseudo_channels)
    }

    /// Whether from `tick` on both channels, of the same description, answer the same offers at the same ticks for
    /// ever. Both should have been advanced to `tick`. What has passed and binds no more does not count, nor do
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

    /// All that decides the future, as it stands at `tick`.
    fn encode(&self, tick: u64) -> Vec<u64> {
        let mut out = Vec::with_capacity(1024);
        let origin = Origin { tick, ..Origin::default() };
        each!(&self.policy, controller => {
            controller.encode(&origin, &mut out);
            if let Some(flights) = &controller.device().flights {
                flights.encode(&mut out);
            }
        });
        self.front.encode(&mut out);
        out
    }

    /// Handles all ticks that a burst offered at `tick` cannot take part in.
    fn run(&mut self, tick: u64) {
        let Channel { policy, front, map, burst_bytes, ahead, .. } = self;
        each!(policy, controller => {
            // With a lag of 1 an offer at `tick` comes after that tick, with 0 before it.
            let lag = lag_of(&**controller);
            let end = tick + lag;
            loop {
                let next = controller.next().max(*ahead);
                if next >= end {
                    break;
                }
                controller.tick(next);
                *ahead = next + 1;
                front.feed(&mut **controller, map, *burst_bytes, next + 1 - lag);
            }
            *ahead = (*ahead).max(end);
        });
    }
}

fn lag_of<S: Schedule>(_: &S) -> u64 {
    S::LAG
}
