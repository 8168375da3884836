//! A tier of the machine: the channels of one kind of memory behind the network that leads to them.
//!
//! A transfer leaves its unit, reaches the controllers after the way there, is cut at the borders of the interleaving into
//! a run of bursts for each channel, and is done when its last burst has come the way back. Runs of a transfer that follow
//! each other in a channel are one: that is how an AGCU coalesces.
//!
//! Channels share nothing, so channels that have seen the same do the same. Those share one simulation (a *group*) until
//! traffic parts them, and join again when their states meet: a stream over all channels costs no more than one over a
//! single channel, and nothing is approximated.

mod clock;
mod counts;
mod spread;

pub use counts::Counts;

use crate::dram::{Answer, Channel, Config, Dram, DramError};
use crate::error::MemoryError;
use clock::Clock;
use spread::Spread;
use std::collections::VecDeque;

/// A tier; cycles are those of the machine's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    pub device: Config,
    pub clock_hz: u64,
    /// From a unit to the controllers, and back.
    pub request_cycles: u64,
    pub response_cycles: u64,
}

/// A transfer that is done: as it was called when it was asked for, and when its bytes were there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    pub unit: u32,
    pub number: u64,
    pub write: bool,
    pub cycle: u64,
}

/// One transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// When it leaves its unit.
    pub cycle: u64,
    pub unit: u32,
    pub number: u64,
    pub write: bool,
    pub address: u64,
    pub bytes: u64,
}

/// Channels in the same state.
#[derive(Clone, Debug)]
struct Group {
    channel: Channel,
    members: Vec<u32>,
    /// Places of the transfers that have a run in the channel, reads and writes, each in order of asking: writes may wait
    /// for long.
    flying: [VecDeque<u32>; 2],
    /// The tick up to which all answers have been handed out, whatever reads are still to be asked.
    until: u64,
}

/// A transfer under way.
#[derive(Clone, Copy, Debug)]
struct Flight {
    unit: u32,
    number: u64,
    write: bool,
    /// Groups that have not answered.
    left: u32,
    /// The latest answer so far.
    tick: u64,
}

/// A tier in motion. Time never runs backwards.
#[derive(Clone, Debug)]
pub struct Tier {
    dram: Dram,
    spread: Spread,
    clock: Clock,
    request_cycles: u64,
    response_cycles: u64,
    groups: Vec<Group>,
    /// For each channel, what it has done that the group that it is in now has not.
    apart: Vec<Counts>,
    flights: Vec<Flight>,
    /// Places in `flights` that are free.
    free: Vec<u32>,
    under_way: usize,
    /// All requests before this cycle are known.
    now: u64,
    /// When groups are compared next, and how far apart comparisons are, in ticks.
    next_meeting: u64,
    meeting_ticks: u64,
    answers: Vec<Answer>,
    /// The first transfer that could not be, and all such transfers that are still to be answered.
    fault: Option<DramError>,
    refused: Vec<Done>,
    /// Transfers so far, and their bytes: read, written.
    asked: u64,
    asked_bytes: [u64; 2],
}

impl Tier {
    pub fn new(description: Description) -> Result<Self, MemoryError> {
        let Description { device, clock_hz, request_cycles, response_cycles } = description;
        let name = device.name.clone();
        let wrong = |what, value, rule| Err(MemoryError::Value { device: name.clone(), what, value, rule });
        if clock_hz == 0 {
            return wrong("clock_hz", clock_hz, "at least 1");
        }
        if request_cycles.checked_add(response_cycles).is_none_or(|cycles| cycles == 0 || cycles > 1 << 40) {
            return wrong("request_cycles + response_cycles", 0, "between 1 and 2^40");
        }
        let dram = Dram::new(device)?;
        let Some(spread) = Spread::new(&dram) else {
            return wrong("map.interleave_bytes", 0, "given where there is more than one channel");
        };
        let channels = dram.config().organisation.all_channels() as u32;
        let group = Group {
            channel: Channel::new(dram.config(), dram.map(), 0),
            members: (0..channels).collect(),
            flying: Default::default(),
            until: 0,
        };
        // A refresh closes all rows: then states that differed may be the same again.
        let meeting_ticks = u64::from(dram.config().timings.trefi.max(1));
        Ok(Tier {
            clock: Clock::new(clock_hz, dram.config().tick_fs()),
            spread,
            request_cycles,
            response_cycles,
            groups: vec![group],
            apart: vec![Counts::default(); channels as usize],
            flights: Vec::new(),
            free: Vec::new(),
            under_way: 0,
            now: 0,
            next_meeting: meeting_ticks,
            meeting_ticks,
            answers: Vec::new(),
            fault: None,
            refused: Vec::new(),
            asked: 0,
            asked_bytes: [0; 2],
            dram,
        })
    }

    pub fn config(&self) -> &Config {
        self.dram.config()
    }

    /// Channels simulated at the moment: those in other states.
    pub fn simulated(&self) -> usize {
        self.groups.len()
    }

    /// Bursts that were not worked out, because the same had come before: of the channels simulated.
    pub fn recalled(&self) -> u64 {
        self.groups.iter().map(|group| group.channel.recalled()).sum()
    }

    /// No transfer is done sooner than this after it was asked for.
    pub fn lookahead(&self) -> u64 {
        self.request_cycles + self.response_cycles
    }

    /// Bytes read and written so far, as they were asked for. The data buses move whole bursts, and none for a read that
    /// finds its data in a write that still waits: see `counts`.
    pub fn asked_bytes(&self) -> [u64; 2] {
        self.asked_bytes
    }

    /// Whether a transfer is under way.
    pub fn is_busy(&self) -> bool {
        self.under_way > 0 || !self.refused.is_empty()
    }

    /// The first transfer that could not be, if there was one.
    pub fn fault(&self) -> Option<&DramError> {
        self.fault.as_ref()
    }

    /// Takes a transfer. They come ordered by (cycle, unit), none before the last `advance`.
    pub fn ask(&mut self, transfer: &Transfer) {
        let &Transfer { cycle, unit, number, write, address, bytes } = transfer;
        self.asked += 1;
        let even = self.spread.even(address, bytes);
        let mut runs = Vec::new();
        if even.is_none() {
            match self.spread.each(&self.dram, self.asked - 1, address, bytes) {
                Ok(found) => runs = found,
                Err(fault) => {
                    // Whoever drives the tier looks for a fault in the end; until then no unit must wait for ever.
                    self.fault.get_or_insert(fault);
                    let cycle = cycle.saturating_add(self.lookahead()).max(self.known());
                    self.refused.push(Done { unit, number, write, cycle });
                    return;
                }
            }
            self.part(&runs);
        }
        self.asked_bytes[usize::from(write)] += bytes;
        let at = self.place(Flight { unit, number, write, left: 0, tick: 0 });
        let tick = self.clock.tick(cycle.saturating_add(self.request_cycles));
        let mut left = 0;
        for group in &mut self.groups {
            if let Some(run) = even.or_else(|| runs[group.members[0] as usize]) {
                group.offer(tick, write, run, at);
                left += 1;
            }
        }
        self.flights[at as usize].left = left;
    }

    /// A place for a transfer under way.
    fn place(&mut self, flight: Flight) -> u32 {
        self.under_way += 1;
        match self.free.pop() {
            Some(at) => {
                self.flights[at as usize] = flight;
                at
            }
            None => {
                self.flights.push(flight);
                self.flights.len() as u32 - 1
            }
        }
    }

    /// Parts groups whose members do not all get the same run.
    #[inline(never)]
    fn part(&mut self, runs: &[Option<spread::Run>]) {
        let mut at = 0;
        while at < self.groups.len() {
            let group = &mut self.groups[at];
            let first = runs[group.members[0] as usize];
            let (same, others): (Vec<u32>, Vec<u32>) =
                group.members.iter().partition(|&&member| runs[member as usize] == first);
            if !others.is_empty() {
                group.members = same;
                let parted = Group { members: others, ..group.clone() };
                for &flight in parted.flying.iter().flatten() {
                    self.flights[flight as usize].left += 1;
                }
                self.groups.push(parted);
            }
            at += 1;
        }
    }

    /// All requests before `cycle` have been asked: hands out the transfers done before `cycle + lookahead()`.
    pub fn advance(&mut self, cycle: u64, done: &mut Vec<Done>) {
        done.append(&mut self.refused);
        self.now = self.now.max(cycle);
        let tick = self.clock.tick(self.now.saturating_add(self.request_cycles));
        self.hand_out(done, |group, answers| group.channel.advance(tick, answers));
        if self.groups.len() > 1 && tick >= self.next_meeting {
            self.next_meeting = tick + self.meeting_ticks;
            self.join(tick);
        }
    }

    /// After `advance`, where no write is asked for before cycle `writes`: hands out what only such a write could change.
    pub fn foresee(&mut self, writes: u64, done: &mut Vec<Done>) {
        let tick = self.clock.tick(writes.saturating_add(self.request_cycles));
        self.hand_out(done, |group, answers| group.until = group.channel.foresee(tick, answers));
    }

    /// No transfer that is under way, nor a read that is still to be asked for, is done before this cycle.
    pub fn known(&self) -> u64 {
        let until = self.groups.iter().map(|group| group.until).min().unwrap_or(0);
        if until == 0 { 0 } else { self.clock.cycle(until) + self.response_cycles }
    }

    /// Hands out the transfers that groups answer.
    fn hand_out(&mut self, done: &mut Vec<Done>, mut answer: impl FnMut(&mut Group, &mut Vec<Answer>)) {
        for group in &mut self.groups {
            self.answers.clear();
            answer(group, &mut self.answers);
            for answer in &self.answers {
                let at = answer.id as u32;
                group.land(at, answer.write);
                let flight = &mut self.flights[at as usize];
                flight.left -= 1;
                flight.tick = flight.tick.max(answer.tick);
                if flight.left == 0 {
                    let cycle = self.clock.cycle(flight.tick) + self.response_cycles;
                    let Flight { unit, number, write, .. } = *flight;
                    done.push(Done { unit, number, write, cycle });
                    self.free.push(at);
                    self.under_way -= 1;
                }
            }
        }
    }

    /// Joins groups whose states have met.
    fn join(&mut self, tick: u64) {
        self.groups.iter_mut().for_each(|group| group.channel.settle(tick));
        let mut at = 0;
        while at < self.groups.len() {
            let mut other = at + 1;
            while other < self.groups.len() {
                let (one, two) = (&self.groups[at], &self.groups[other]);
                if one.flying != two.flying || !one.channel.same_state(&two.channel, tick) {
                    other += 1;
                    continue;
                }
                let two = self.groups.swap_remove(other);
                let one = &mut self.groups[at];
                one.until = one.until.min(two.until);
                let apart = Counts::of(two.channel.usage(tick)).minus(Counts::of(one.channel.usage(tick)));
                for &member in &two.members {
                    self.apart[member as usize] = self.apart[member as usize].plus(apart);
                }
                for &flight in two.flying.iter().flatten() {
                    self.flights[flight as usize].left -= 1;
                }
                one.members.extend(two.members);
                one.members.sort_unstable();
            }
            at += 1;
        }
    }

    /// What each channel has done up to `cycle`, idle time included; nothing may be under way.
    pub fn counts(&mut self, cycle: u64) -> Vec<Counts> {
        let tick = self.clock.tick(cycle);
        let mut all = self.apart.clone();
        for group in &mut self.groups {
            group.channel.settle(tick);
            let counts = Counts::of(group.channel.usage(tick));
            for &member in &group.members {
                all[member as usize] = all[member as usize].plus(counts);
            }
        }
        all
    }
}

impl Group {
    /// A run is through: nearly always the oldest.
    #[inline]
    fn land(&mut self, at: u32, write: bool) {
        let flying = &mut self.flying[usize::from(write)];
        if flying.front() == Some(&at) {
            flying.pop_front();
        } else if let Some(rank) = flying.iter().position(|&other| other == at) {
            flying.remove(rank);
        }
    }

    fn offer(&mut self, tick: u64, write: bool, run: spread::Run, at: u32) {
        self.flying[usize::from(write)].push_back(at);
        self.channel.offer_bursts(tick, write, run.first, run.bursts, u64::from(at));
    }
}
