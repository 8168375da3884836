//! A front queue of reads and one of writes feed a queue per bank, one request a tick. Banks take turns; each offers
//! its first ready command. A row with queued hits is closed for an older request only after `row_hit_cap` accesses.
//! Writes move once their buffer is full, or once enough wait and the bank queues are empty; then that many move.

mod front;
mod wish;

use super::burst::{Burst, Origin};
use super::issue::Device;
use super::{Offer, Schedule};
use crate::dram::banks::MOST_BANKS;
use crate::dram::command::Kind;
use crate::dram::config::{Config, Page};
use crate::dram::map::AddressMap;
use crate::dram::refresh::{Order, Refresher};
use crate::dram::statistics::Opening;
use std::collections::VecDeque;
use wish::{Plan, Wish};

const NEVER: u64 = u64::MAX;
/// Writes too few to move by themselves do so after this many ticks in which nothing came or went.
const QUIET_TICKS: u64 = 256;

/// A request in a bank's queue.
#[derive(Clone, Copy, Debug)]
struct Entry {
    kind: Kind,
    burst: Burst,
}

/// The state of one channel's controller.
#[derive(Clone, Debug)]
pub struct BankQueues {
    device: Device,
    /// Reads and writes in front, oldest first.
    front: [Vec<Burst>; 2],
    front_room: [usize; 2],
    /// Of each kind, the place of the oldest in front whose bank's queue has room.
    fits: [Option<usize>; 2],
    /// Writes still to move before reads may.
    draining: usize,
    lines: Vec<VecDeque<Entry>>,
    line_room: usize,
    /// Banks with entries, and banks without room.
    waiting: u64,
    full: u64,
    /// Accesses to the open row, and when it was opened.
    accesses: [u32; MOST_BANKS],
    opened: [u64; MOST_BANKS],
    /// No wish of the bank comes true earlier; 0 when something changed.
    bank_next: [u64; MOST_BANKS],
    /// Of banks in the set, what their queues come to.
    plans: [Plan; MOST_BANKS],
    planned: u64,
    turn: usize,
    orders: VecDeque<Order>,
    owed_since: u64,
    /// Banks that must not begin anything: the order at the head is being carried out.
    barred: u64,
    cap: u32,
    idle_writes: usize,
    dual: bool,
    close_page: bool,
    /// No hits pass a miss that has waited longer and may close their row.
    patience_ticks: u64,
    clock: u64,
    /// When something last came or went.
    busy: u64,
    /// Nothing can be sent earlier.
    command_next: u64,
}

impl BankQueues {
    fn is_access(wish: Wish) -> bool {
        matches!(wish, Wish::Access(_))
    }

    /// Sends the next command in turn, if it is not of the sort `unlike`; one that is only loses its turn. Returns
    /// whether it was an access.
    fn send_next(&mut self, tick: u64, unlike: Option<bool>) -> Option<bool> {
        let (bank, wish) = self.choose(tick)?;
        let access = Self::is_access(wish);
        if unlike == Some(access) {
            return None;
        }
        self.send(tick, bank, wish);
        Some(access)
    }

    fn send(&mut self, tick: u64, bank: usize, wish: Wish) {
        match wish {
            Wish::Open => {
                let Some(entry) = self.lines[bank].front() else { return };
                self.device.activate(tick, bank, entry.burst.row);
                self.opened[bank] = tick;
                self.accesses[bank] = 0;
            }
            Wish::Close => {
                self.device.precharge(tick, bank);
                self.accesses[bank] = 0;
            }
            Wish::Access(place) => {
                let Some(Entry { kind, burst }) = self.lines[bank].remove(place) else { return };
                if self.lines[bank].is_empty() {
                    self.waiting &= !(1 << bank);
                }
                if self.full >> bank & 1 == 1 {
                    self.make_room(bank);
                }
                let first = self.accesses[bank] == 0;
                let opening = if first { Opening::At(self.opened[bank]) } else { Opening::Hit };
                let more = self.lines[bank].iter().any(|entry| entry.burst.row == burst.row);
                let close = self.close_page && !more;
                self.device.column(tick, kind, &burst, opening, !first, close);
                self.accesses[bank] = if close { 0 } else { self.accesses[bank] + 1 };
            }
        }
        self.bank_next[bank] = 0;
        self.planned &= !(1 << bank);
        self.busy = tick;
    }

    /// A step towards the refresh at the head: closes a bank, or refreshes. True if a command went out.
    fn try_order(&mut self, tick: u64) -> bool {
        let Some(&order) = self.orders.front() else { return false };
        let banks = &self.device.banks;
        let (scope, from) = match order {
            Order::Unit(unit) => (banks.layout.unit_banks[unit], banks.refresh_all_from(unit)),
            Order::Bank(bank) => (1 << bank, banks.refresh_bank_from(bank)),
        };
        self.barred = scope;
        let mut next = NEVER;
        let mut open = banks.open & scope;
        while open != 0 {
            let bank = open.trailing_zeros() as usize;
            open &= open - 1;
            let from = banks.precharge_from(bank).max(banks.row_bus);
            if from <= tick {
                self.device.precharge(tick, bank);
                self.accesses[bank] = 0;
                self.bank_next[bank] = 0;
                self.planned &= !(1 << bank);
                return true;
            }
            next = next.min(from);
        }
        if next == NEVER {
            let from = from.max(banks.row_bus);
            if from <= tick {
                match order {
                    Order::Unit(unit) => self.device.refresh_all(tick, unit, self.owed_since),
                    Order::Bank(bank) => self.device.refresh_bank(tick, bank, self.owed_since),
                }
                self.orders.pop_front();
                self.owed_since = tick;
                self.barred = 0;
                return true;
            }
            next = from;
        }
        self.command_next = self.command_next.min(next);
        false
    }
}

impl Schedule for BankQueues {
    const LAG: u64 = 0;
    const RESUMES: bool = false;

    fn new(config: &Config, map: &AddressMap, channel: u32) -> Self {
        let c = &config.controller;
        let device = Device::new(config, map, channel);
        let banks = device.banks.layout.banks;
        let room = c.bank_queue as usize;
        BankQueues {
            front: [Vec::with_capacity(c.read_queue as usize), Vec::with_capacity(c.write_queue as usize)],
            front_room: [c.read_queue as usize, c.write_queue as usize],
            fits: [None; 2],
            draining: 0,
            lines: vec![VecDeque::with_capacity(room); banks],
            line_room: room,
            waiting: 0,
            full: 0,
            accesses: [0; MOST_BANKS],
            opened: [0; MOST_BANKS],
            bank_next: [0; MOST_BANKS],
            plans: [Plan::default(); MOST_BANKS],
            planned: 0,
            turn: 0,
            orders: VecDeque::new(),
            owed_since: 0,
            barred: 0,
            cap: c.row_hit_cap,
            idle_writes: c.idle_writes as usize,
            dual: config.organisation.commands.row_bus,
            close_page: c.page == Page::Closed,
            patience_ticks: device.banks.rules.patience(),
            clock: 0,
            busy: 0,
            command_next: NEVER,
            device,
        }
    }

    fn offer(&mut self, tick: u64, kind: Kind, burst: Burst) -> Offer {
        if !self.has_room(kind) {
            return Offer::Full;
        }
        let bank = burst.bank as usize;
        if self.holds(Kind::Write, bank, burst.address) {
            self.device.merge(tick + 1, kind, &burst);
            return Offer::Merged(tick + 1);
        }
        let front = &mut self.front[kind as usize];
        if self.full >> bank & 1 == 0 && self.fits[kind as usize].is_none() {
            self.fits[kind as usize] = Some(front.len());
        }
        front.push(burst);
        self.busy = tick;
        self.device.statistics.arrived(tick, self.device.banks.layout.of(bank).pseudo_channel());
        Offer::Taken
    }

    fn has_room(&self, kind: Kind) -> bool {
        self.front[kind as usize].len() < self.front_room[kind as usize]
    }

    fn tick(&mut self, tick: u64) {
        self.clock = tick;
        if tick >= self.device.refresher.next() {
            if self.orders.is_empty() {
                self.owed_since = tick;
            }
            self.device.refresher.tick(tick, &mut self.orders);
            self.command_next = 0;
        }
        if tick >= self.command_next {
            self.command_next = NEVER;
            let first = if self.try_order(tick) { Some(false) } else { self.send_next(tick, None) };
            if let Some(first) = first {
                if self.dual {
                    self.send_next(tick, Some(first));
                }
                self.command_next = tick + 1;
            } else {
                let mut set = self.waiting & !self.barred;
                while set != 0 {
                    self.command_next = self.command_next.min(self.bank_next[set.trailing_zeros() as usize]);
                    set &= set - 1;
                }
            }
        }
        self.move_one();
    }

    fn next(&self) -> u64 {
        let after = self.clock + 1;
        if self.could_move(after) {
            return after;
        }
        let drain = if self.draining == 0 && self.is_quiet() { self.busy + QUIET_TICKS } else { NEVER };
        drain.min(self.command_next).min(self.device.refresher.next()).max(after)
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn device_mut(&mut self) -> &mut Device {
        &mut self.device
    }

    fn encode(&self, origin: &Origin, out: &mut Vec<u64>) {
        let now = origin.tick;
        self.device.encode(origin, out);
        for front in &self.front {
            out.push(front.len() as u64);
            front.iter().for_each(|burst| burst.encode(origin, out));
        }
        for (bank, line) in self.lines.iter().enumerate() {
            out.extend([line.len() as u64, u64::from(self.accesses[bank].min(self.cap))]);
            for entry in line {
                out.push(entry.kind as u64);
                entry.burst.encode(origin, out);
            }
            let open = self.device.banks.open >> bank & 1 == 1;
            out.push(if open && self.accesses[bank] == 0 { now - self.opened[bank] } else { 0 });
        }
        out.extend([self.draining as u64, self.turn as u64, self.barred, self.orders.len() as u64]);
        out.extend(self.orders.iter().map(|order| order.encode()));
        out.push(if self.orders.is_empty() { 0 } else { now - self.owed_since });
        out.push(if self.is_quiet() { now - self.busy } else { 0 });
    }

    fn shift(&mut self, by: &Origin) {
        self.device.shift(by);
        self.front.iter_mut().flatten().for_each(|burst| burst.shift(by));
        self.lines.iter_mut().flatten().for_each(|entry| entry.burst.shift(by));
        self.opened.iter_mut().for_each(|opened| *opened += by.tick);
        self.owed_since += by.tick;
        self.clock += by.tick;
        self.busy += by.tick;
        // Looked at anew rather than moved: lower bounds may be low.
        self.bank_next = [0; MOST_BANKS];
        self.planned = 0;
        self.command_next = 0;
    }

    fn keep_calendar(&mut self, calendar: Refresher) {
        self.device.refresher = calendar;
    }
}
