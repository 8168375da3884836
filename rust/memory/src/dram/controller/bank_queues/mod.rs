//! A front queue of reads and one of writes feed a queue per bank, one request a tick. Banks take turns; each offers
//! its first ready command. A row with queued hits is closed for an older request only after `row_hit_cap` accesses.
//! Writes move once their buffer is full, or once enough wait and the bank queues are empty; then that many move.

mod front;
mod wish;

use super::burst::{Burst, Origin};
use super::issue::Device;
use super::queue::Queue;
use super::{Offer, Schedule};
use crate::dram::ahead::Ahead;
use crate::dram::banks::{CLOSED, MOST_BANKS};
use crate::dram::command::Kind;
use crate::dram::config::{Config, Page};
use crate::dram::map::AddressMap;
use crate::dram::refresh::{Order, Refresher};
use crate::dram::statistics::Opening;
use std::collections::VecDeque;
use wish::Wish;

const NEVER: u64 = u64::MAX;
/// Writes too few to move by themselves do so after this many ticks in which nothing came or went.
const QUIET_TICKS: u64 = 256;

/// The state of one channel's controller.
#[derive(Clone, Debug)]
pub struct BankQueues {
    device: Device,
    /// Reads and writes in front; none of them counts as a hit.
    front: [Queue; 2],
    /// Writes still to move before reads may.
    draining: usize,
    /// The queues of all banks, reads and writes, each with the tick at which it moved: no two moved at once.
    lines: [Queue; 2],
    /// Entries in the queue of each bank, both kinds; banks without room.
    lengths: [u16; MOST_BANKS],
    line_room: usize,
    full: u64,
    /// Accesses to the open row, banks with enough of them, and when the row was opened.
    accesses: [u32; MOST_BANKS],
    capped: u64,
    opened: [u64; MOST_BANKS],
    /// From when columns of the open row may be read or written, as far as the bank goes, and those that wait for that.
    column_from: [u64; MOST_BANKS],
    columns_ahead: Ahead,
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
    /// The next tick at which any of this, or the calendar, has something to do.
    due: u64,
    refresh_next: u64,
}

impl BankQueues {
    /// Banks with entries.
    #[inline]
    fn waiting(&self) -> u64 {
        self.lines[0].waiting() | self.lines[1].waiting()
    }

    /// The oldest entry of a bank.
    #[inline]
    fn oldest(&self, bank: usize) -> Option<&Burst> {
        let [reads, writes] = &self.lines;
        let read = reads.oldest(bank);
        if writes.waiting() >> bank & 1 == 0 {
            return read.map(|(_, burst)| burst);
        }
        let oldest = match (read, writes.oldest(bank)) {
            (Some(read), Some(write)) if write.0 < read.0 => write,
            (read, write) => read.or(write)?,
        };
        Some(oldest.1)
    }

    #[inline(always)]
    fn send(&mut self, tick: u64, bank: usize, wish: Wish) {
        let at = bank % MOST_BANKS;
        match wish {
            Wish::Open => {
                let Some(row) = self.oldest(bank).map(|burst| burst.row) else { return };
                self.device.activate(tick, bank, row);
                for line in self.lines.iter_mut().filter(|line| line.others >> bank & 1 == 1) {
                    line.opened(bank, row);
                }
                self.opened[at] = tick;
                let [read, write] = self.device.banks.column_ok[at];
                self.column_from[at] = read.min(write);
                self.columns_ahead.add(bank, self.column_from[at]);
            }
            Wish::Close => {
                self.device.precharge(tick, bank);
                self.closed(bank);
            }
            Wish::Access(kind, place) => {
                let line = &mut self.lines[kind as usize];
                let burst = if place == 0 { Some(line.take_hit(bank)) } else { line.take_later_hit(bank, place) };
                let Some(burst) = burst else { return };
                self.lengths[at] -= 1;
                self.full &= !(1 << bank);
                let first = self.accesses[at] == 0;
                let opening = if first { Opening::At(self.opened[at]) } else { Opening::Hit };
                let more = (self.lines[0].hits | self.lines[1].hits) >> bank & 1 == 1;
                let close = self.close_page && !more;
                self.device.column(tick, kind, &burst, opening, !first, close);
                self.accesses[at] += 1;
                self.capped |= u64::from(self.accesses[at] >= self.cap) << bank;
                if close {
                    self.closed(bank);
                }
            }
        }
        self.busy = tick;
        self.command_next = self.command_next.min(self.bank_from(bank).max(tick + 1));
    }

    /// A bank has been closed.
    #[inline]
    fn closed(&mut self, bank: usize) {
        self.lines.iter_mut().for_each(|line| line.closed(bank));
        self.accesses[bank % MOST_BANKS] = 0;
        self.capped &= !(1 << bank);
    }

    /// Asks the calendar.
    #[cold]
    fn owe(&mut self, tick: u64) {
        if tick >= self.device.refresher.next() {
            if self.orders.is_empty() {
                self.owed_since = tick;
            }
            self.device.refresher.tick(tick, &mut self.orders);
            self.command_next = 0;
        }
        self.refresh_next = self.device.refresher.next();
    }

    #[inline]
    fn next_due(&self) -> u64 {
        let after = self.clock + 1;
        if self.could_move(after) {
            return after;
        }
        if self.front[1].is_empty() {
            return self.command_next.min(self.refresh_next).max(after);
        }
        let drain = if self.draining == 0 && self.is_quiet() { self.busy + QUIET_TICKS } else { NEVER };
        drain.min(self.command_next).min(self.refresh_next).max(after)
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
                self.closed(bank);
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
    const RESUMES: bool = true;

    fn new(config: &Config, map: &AddressMap, channel: u32) -> Self {
        let c = &config.controller;
        let device = Device::new(config, map, channel);
        let banks = device.banks.layout.banks;
        let room = c.bank_queue as usize;
        BankQueues {
            front: [c.read_queue, c.write_queue].map(|room| Queue::new(room as usize, false)),
            draining: 0,
            lines: [Queue::new(banks * room, true), Queue::new(banks * room, true)],
            lengths: [0; MOST_BANKS],
            line_room: room,
            full: 0,
            accesses: [0; MOST_BANKS],
            capped: 0,
            opened: [0; MOST_BANKS],
            column_from: [0; MOST_BANKS],
            columns_ahead: Ahead::default(),
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
            due: 1,
            refresh_next: 0,
            device,
        }
    }

    #[inline(always)]
    fn offer(&mut self, tick: u64, kind: Kind, burst: Burst) -> Offer {
        if !self.has_room(kind) {
            return Offer::Full;
        }
        let bank = burst.bank as usize;
        let writes = self.front[1].waiting() | self.lines[1].waiting();
        if writes >> bank & 1 == 1 && self.holds(Kind::Write, bank, burst.address) {
            self.device.merge(tick + 1, kind, &burst);
            return Offer::Merged(tick + 1);
        }
        self.front[kind as usize].push(burst, tick, CLOSED);
        self.busy = tick;
        // What finds its bank full waits for a command; writes may begin to move.
        if kind == Kind::Write || self.full >> bank & 1 == 0 {
            self.due = self.due.min(tick);
        }
        self.device.statistics.arrived(tick, self.device.banks.layout.of(bank).pseudo_channel());
        Offer::Taken
    }

    #[inline]
    fn has_room(&self, kind: Kind) -> bool {
        !self.front[kind as usize].is_full()
    }

    #[inline]
    fn tick(&mut self, tick: u64) {
        self.clock = tick;
        if tick >= self.refresh_next {
            self.owe(tick);
        }
        if tick >= self.command_next {
            self.command_next = NEVER;
            let ordered = !self.orders.is_empty() && self.try_order(tick);
            if ordered {
                self.command_next = tick + 1;
            }
            if self.dual || !ordered {
                self.send_ready(tick, ordered);
            }
        }
        self.move_one();
        self.due = self.next_due();
    }

    #[inline]
    fn next(&self) -> u64 {
        self.due
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
            front.by_age(NEVER).into_iter().for_each(|(_, burst)| burst.encode(origin, out));
        }
        for bank in 0..self.device.banks.layout.banks {
            out.extend([u64::from(self.lengths[bank]), u64::from(self.accesses[bank].min(self.cap))]);
            let [reads, writes] = [0, 1].map(|kind: usize| {
                let aged = self.lines[kind].by_age(1 << bank).into_iter();
                aged.map(move |(came, burst)| (came, kind as u64, burst))
            });
            let mut entries: Vec<_> = reads.chain(writes).collect();
            entries.sort_unstable_by_key(|&(came, ..)| came);
            for (_, kind, burst) in entries {
                out.push(kind);
                burst.encode(origin, out);
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
        self.front.iter_mut().chain(&mut self.lines).for_each(|queue| queue.shift(by));
        self.opened.iter_mut().chain(&mut self.column_from).for_each(|tick| *tick += by.tick);
        self.columns_ahead.shift(by.tick);
        self.owed_since += by.tick;
        self.clock += by.tick;
        self.busy += by.tick;
        for time in [&mut self.command_next, &mut self.due, &mut self.refresh_next] {
            *time = time.saturating_add(by.tick);
        }
    }

    fn keep_calendar(&mut self, calendar: Refresher) {
        self.refresh_next = calendar.next();
        self.device.refresher = calendar;
        self.due = self.due.min(self.refresh_next);
    }
}
