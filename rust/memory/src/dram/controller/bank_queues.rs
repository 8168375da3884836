//! A front queue of reads and one of writes feed a queue per bank, one request a tick. Banks take turns; each offers
//! its first ready command. A row with queued hits is closed for an older request only after `row_hit_cap` accesses.
//! Writes move once their buffer is full, or once enough wait and the bank queues are empty; then that many move.

use super::burst::{Burst, Origin};
use super::issue::Device;
use super::{Offer, Schedule};
use crate::dram::banks::{CLOSED, MOST_BANKS};
use crate::dram::command::Kind;
use crate::dram::config::{Config, Page};
use crate::dram::map::AddressMap;
use crate::dram::refresh::Order;
use crate::dram::statistics::Opening;
use std::collections::VecDeque;

const NEVER: u64 = u64::MAX;
/// Writes too few to move by themselves do so after this many ticks in which nothing came or went.
const QUIET_TICKS: u64 = 256;

/// A request in a bank's queue.
#[derive(Clone, Copy, Debug)]
struct Entry {
    kind: Kind,
    burst: Burst,
}

/// What a bank would send, and from when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Open,
    Close,
    /// The entry at this place.
    Access(usize),
}

/// The state of one channel's controller.
#[derive(Clone, Debug)]
pub struct BankQueues {
    device: Device,
    /// Reads and writes in front, oldest first.
    front: [Vec<Burst>; 2],
    front_room: [usize; 2],
    /// Writes still to move before reads may.
    draining: usize,
    lines: Vec<VecDeque<Entry>>,
    line_room: usize,
    /// Banks with entries.
    waiting: u64,
    /// Accesses to the open row, and when it was opened.
    accesses: [u32; MOST_BANKS],
    opened: [u64; MOST_BANKS],
    /// No wish of the bank comes true earlier; 0 when something changed.
    bank_next: [u64; MOST_BANKS],
    turn: usize,
    orders: VecDeque<Order>,
    owed_since: u64,
    /// Banks that must not begin anything: the order at the head is being carried out.
    barred: u64,
    cap: u32,
    idle_writes: usize,
    dual: bool,
    close_page: bool,
    clock: u64,
    /// When something last came or went.
    busy: u64,
    /// Nothing can be sent earlier.
    command_next: u64,
}

impl BankQueues {
    pub fn new(config: &Config, map: &AddressMap, channel: u32) -> Self {
        let c = &config.controller;
        let device = Device::new(config, map, channel);
        let banks = device.banks.layout.banks;
        let room = c.bank_queue as usize;
        BankQueues {
            front: [Vec::with_capacity(c.read_queue as usize), Vec::with_capacity(c.write_queue as usize)],
            front_room: [c.read_queue as usize, c.write_queue as usize],
            draining: 0,
            lines: vec![VecDeque::with_capacity(room); banks],
            line_room: room,
            waiting: 0,
            accesses: [0; MOST_BANKS],
            opened: [0; MOST_BANKS],
            bank_next: [0; MOST_BANKS],
            turn: 0,
            orders: VecDeque::new(),
            owed_since: 0,
            barred: 0,
            cap: c.row_hit_cap,
            idle_writes: c.idle_writes as usize,
            dual: config.organisation.commands.row_bus,
            close_page: c.page == Page::Closed,
            clock: 0,
            busy: 0,
            command_next: NEVER,
            device,
        }
    }

    /// What the bank wants to send at `tick`, or when it next may.
    fn wish(&self, tick: u64, bank: usize) -> Result<Wish, u64> {
        let (line, banks) = (&self.lines[bank], &self.device.banks);
        let row = banks.row[bank];
        if row == CLOSED {
            let from = banks.activate_from(bank).max(banks.row_bus);
            return if from <= tick { Ok(Wish::Open) } else { Err(from) };
        }
        let mut next = NEVER;
        let mut seen = [false; 2];
        for (place, entry) in line.iter().enumerate() {
            if entry.burst.row != row {
                continue;
            }
            let kind = entry.kind;
            // Of hits of a kind the first decides: all are ready at the same tick.
            if seen[kind as usize] {
                continue;
            }
            if kind == Kind::Write && self.waits_for_read(bank, place) {
                continue;
            }
            seen[kind as usize] = true;
            // A front that misses comes before its hits.
            if let Some(from) = (place > 0 && next == NEVER).then(|| self.close_from(bank)).flatten() {
                if from <= tick {
                    return Ok(Wish::Close);
                }
                next = from;
            }
            let from = banks.column_from(kind, bank).max(banks.column_bus);
            if from <= tick {
                return Ok(Wish::Access(place));
            }
            next = next.min(from);
            if seen == [true; 2] {
                break;
            }
        }
        if let Some(from) = (seen == [false; 2]).then(|| self.close_from(bank)).flatten() {
            if from <= tick {
                return Ok(Wish::Close);
            }
            next = next.min(from);
        }
        Err(next)
    }

    /// When the first request, which misses, may close the row; `None` while hits keep it open.
    fn close_from(&self, bank: usize) -> Option<u64> {
        let (line, banks) = (&self.lines[bank], &self.device.banks);
        let row = banks.row[bank];
        let misses = line.front().is_some_and(|entry| entry.burst.row != row);
        let held = line.iter().any(|entry| entry.burst.row == row) && self.accesses[bank] < self.cap;
        (misses && !held).then(|| banks.precharge_from(bank).max(banks.row_bus))
    }

    /// An older read of the same place goes first.
    fn waits_for_read(&self, bank: usize, place: usize) -> bool {
        let line = &self.lines[bank];
        let address = line[place].burst.address;
        line.iter().take(place).any(|entry| entry.kind == Kind::Read && entry.burst.address == address)
    }

    /// The next bank in turn with a command that is ready.
    fn choose(&mut self, tick: u64) -> Option<(usize, Wish)> {
        let banks = self.lines.len();
        let ready = self.waiting & !self.barred;
        // From the bank after the last turn on, then from the first.
        let after = if self.turn + 1 >= banks { ready } else { ready & (NEVER << (self.turn + 1)) };
        for mut set in [after, ready & !after] {
            while set != 0 {
                let bank = set.trailing_zeros() as usize;
                set &= set - 1;
                if self.bank_next[bank] > tick {
                    continue;
                }
                match self.wish(tick, bank) {
                    Ok(wish) => {
                        self.turn = bank;
                        return Some((bank, wish));
                    }
                    Err(next) => self.bank_next[bank] = next,
                }
            }
        }
        None
    }

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
                let first = self.accesses[bank] == 0;
                let opening = if first { Opening::At(self.opened[bank]) } else { Opening::Hit };
                let more = self.lines[bank].iter().any(|entry| entry.burst.row == burst.row);
                let close = self.close_page && !more;
                self.device.column(tick, kind, &burst, opening, !first, close);
                self.accesses[bank] = if close { 0 } else { self.accesses[bank] + 1 };
            }
        }
        self.bank_next[bank] = 0;
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

    /// Moves one request from the front to its bank's queue.
    fn move_one(&mut self) {
        if self.draining == 0 && self.drains(self.clock) {
            self.draining = self.front[1].len();
        }
        let mut kind = Kind::of(self.draining > 0);
        let Some(mut place) = self.first_that_fits(kind) else { return };
        if kind == Kind::Write {
            let burst = &self.front[1][place];
            if self.holds(Kind::Read, burst.bank as usize, burst.address) {
                // The read of the old value goes first.
                self.draining = 0;
                kind = Kind::Read;
                let Some(read) = self.first_that_fits(kind) else { return };
                place = read;
            } else {
                self.draining -= 1;
            }
        }
        let burst = self.front[kind as usize].remove(place);
        let bank = burst.bank as usize;
        self.lines[bank].push_back(Entry { kind, burst });
        self.waiting |= 1 << bank;
        self.bank_next[bank] = 0;
        self.command_next = 0;
    }

    /// Whether writes begin to move at `tick` if they do not yet.
    fn drains(&self, tick: u64) -> bool {
        let writes = self.front[1].len();
        writes >= self.front_room[1]
            || (writes > self.idle_writes && self.waiting == 0)
            || (self.is_quiet() && tick >= self.busy + QUIET_TICKS)
    }

    /// Whether only a few writes are left.
    fn is_quiet(&self) -> bool {
        self.waiting == 0 && self.front[0].is_empty() && !self.front[1].is_empty()
    }

    /// The oldest in front whose bank's queue has room.
    fn first_that_fits(&self, kind: Kind) -> Option<usize> {
        self.front[kind as usize].iter().position(|burst| self.lines[burst.bank as usize].len() < self.line_room)
    }

    /// Whether `move_one` would do anything at `tick`.
    fn could_move(&self, tick: u64) -> bool {
        let drains = self.draining > 0 || self.drains(tick);
        self.first_that_fits(Kind::of(drains)).is_some()
    }

    /// Whether a request of this kind and address waits, in front or at its bank.
    fn holds(&self, kind: Kind, bank: usize, address: u64) -> bool {
        self.front[kind as usize].iter().any(|burst| burst.address == address && burst.bank as usize == bank)
            || self.lines[bank].iter().any(|entry| entry.kind == kind && entry.burst.address == address)
    }
}

impl Schedule for BankQueues {
    const LAG: u64 = 0;

    fn offer(&mut self, tick: u64, kind: Kind, burst: Burst) -> Offer {
        if !self.has_room(kind) {
            return Offer::Full;
        }
        let bank = burst.bank as usize;
        if self.holds(Kind::Write, bank, burst.address) {
            self.device.merge(tick + 1, kind, &burst);
            return Offer::Merged(tick + 1);
        }
        self.front[kind as usize].push(burst);
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
        self.command_next = 0;
    }
}
