//! First ready, first come. A read queue and a write queue; a request whose row was opened for it moves to a list of
//! its own and goes first. Reads have priority until the write queue passes its high mark or no read waits; while a
//! refresh is owed nothing new begins in the channel.

use super::issue::Device;
use super::queue::{Burst, Origin, Queue};
use super::{Offer, Schedule};
use crate::dram::banks::MOST_BANKS;
use crate::dram::command::Kind;
use crate::dram::config::{Config, Page, Scheduler};
use crate::dram::map::AddressMap;
use crate::dram::refresh::Order;
use crate::dram::statistics::Opening;
use std::collections::VecDeque;

const NEVER: u64 = u64::MAX;

/// Requests whose row is open for them, at most one a bank.
#[derive(Clone, Debug)]
struct Active {
    banks: u64,
    kind: [Kind; MOST_BANKS],
    burst: [Burst; MOST_BANKS],
    /// Older first; of the same age, the one opened first.
    age: [u64; MOST_BANKS],
    opened: [u64; MOST_BANKS],
}

/// The latest row command on a rising edge, for what may follow on the falling edge that ends it.
#[derive(Clone, Copy, Debug)]
struct Rising {
    pseudo_channel: u8,
    /// `None`: all banks.
    bank: Option<u8>,
    falling: u64,
}

/// The state of one channel's controller.
#[derive(Clone, Debug)]
pub struct Frfcfs {
    device: Device,
    queues: [Queue; 2],
    writing: bool,
    high: usize,
    low: usize,
    active: Active,
    /// Refreshes owed, and since when.
    orders: VecDeque<Order>,
    owed_since: u64,
    /// Nothing of this sort can go out earlier.
    column_next: u64,
    row_next: u64,
    order_next: u64,
    clock: u64,
    /// The next tick at which any of this, or the calendar, has something to do.
    due: u64,
    refresh_next: u64,
    one_bus: bool,
    half_ticks: bool,
    close_page: bool,
    rising: Rising,
}

/// The best of what could go out: the age of the one that goes, and when the others can.
#[derive(Clone, Copy)]
struct Choice {
    age: u64,
    bank: usize,
    next: u64,
}

const NOBODY: Choice = Choice { age: NEVER, bank: 0, next: NEVER };

impl Choice {
    #[inline]
    fn consider(&mut self, tick: u64, from: u64, age: u64, bank: usize) {
        if from > tick {
            self.next = self.next.min(from);
        } else if age < self.age {
            if self.found() {
                self.next = tick + 1;
            }
            self.age = age;
            self.bank = bank;
        } else {
            self.next = tick + 1;
        }
    }

    #[inline]
    fn found(&self) -> bool {
        self.age != NEVER
    }
}

impl Frfcfs {
    pub fn new(config: &Config, map: &AddressMap, channel: u32) -> Self {
        let c = &config.controller;
        let protect = c.scheduler == Scheduler::FrfcfsRowHit;
        let writes = c.write_queue as usize;
        let commands = &config.organisation.commands;
        Frfcfs {
            device: Device::new(config, map, channel),
            queues: [Queue::new(c.read_queue as usize, protect), Queue::new(writes, protect)],
            writing: false,
            // Over the high share of the queue: at least one more than its floor.
            high: writes * c.write_high_percent as usize / 100 + 1,
            low: (writes * c.write_low_percent as usize).div_ceil(100),
            active: Active {
                banks: 0,
                kind: [Kind::Read; MOST_BANKS],
                burst: [Burst::default(); MOST_BANKS],
                age: [0; MOST_BANKS],
                opened: [0; MOST_BANKS],
            },
            orders: VecDeque::new(),
            owed_since: 0,
            column_next: NEVER,
            row_next: NEVER,
            order_next: NEVER,
            clock: 0,
            due: 1,
            refresh_next: 0,
            one_bus: !commands.row_bus,
            half_ticks: commands.ticks_per_clock == 2,
            close_page: c.page == Page::Closed,
            rising: Rising { pseudo_channel: 0, bank: None, falling: 0 },
        }
    }

    #[inline]
    fn is_rising(&self, tick: u64) -> bool {
        !self.half_ticks || tick % 2 == 1
    }

    #[inline]
    fn to_rising(&self, tick: u64) -> u64 {
        if self.half_ticks { tick | 1 } else { tick }
    }

    #[inline]
    fn mode(&self) -> Kind {
        Kind::of(self.writing)
    }

    fn mode_wanted(&self) -> bool {
        let (reads, writes) = (&self.queues[0], &self.queues[1]);
        if self.writing {
            writes.len() >= self.low || reads.is_empty()
        } else {
            writes.len() >= self.high || reads.is_empty()
        }
    }

    #[inline]
    fn set_mode(&mut self, tick: u64) {
        let wanted = self.mode_wanted();
        if wanted != self.writing {
            self.writing = wanted;
            self.column_next = tick;
            self.row_next = tick;
        }
    }

    /// The bank's row has changed.
    fn row_changed(&mut self, bank: usize) {
        let row = self.device.banks.row[bank];
        self.queues[0].row_changed(bank, row);
        self.queues[1].row_changed(bank, row);
    }

    /// Sends the column command of the oldest ready request whose row was opened for it.
    #[inline]
    fn try_active(&mut self, tick: u64) -> bool {
        let mut choice = NOBODY;
        let mut set = self.active.banks;
        let banks = &self.device.banks;
        while set != 0 {
            let bank = set.trailing_zeros() as usize;
            set &= set - 1;
            choice.consider(tick, banks.column_from(self.active.kind[bank], bank), self.active.age[bank], bank);
        }
        if banks.column_bus > tick {
            return false;
        }
        self.column_next = self.to_rising(choice.next);
        if !choice.found() {
            return false;
        }
        let bank = choice.bank;
        self.active.banks &= !(1 << bank);
        let (kind, burst) = (self.active.kind[bank], self.active.burst[bank]);
        let others = choice.next;
        self.send_column(tick, kind, &burst, Opening::At(self.active.opened[bank]));
        if (self.queues[0].hits | self.queues[1].hits) == 0 {
            // Only those of this list are left; what kept them back then still does.
            self.column_next = self.column_next.max(self.to_rising(others));
        }
        // Its bank may be closed from now on.
        self.row_next = self.row_next.min(self.device.banks.precharge_from(bank));
        self.order_next = self.order_next.min(tick);
        true
    }

    #[inline(always)]
    fn send_column(&mut self, tick: u64, kind: Kind, burst: &Burst, opening: Opening) {
        let bank = burst.bank as usize;
        let wanted = self.queues[0].hits | self.queues[1].hits | self.active.banks;
        let close = self.close_page && wanted >> bank & 1 == 0;
        self.device.column(tick, kind, burst, opening, opening == Opening::Hit, close);
        if close {
            self.row_changed(bank);
            self.row_next = self.row_next.min(tick + 1);
        }
        // The earliest that a data bus can take the next.
        let banks = &self.device.banks;
        let mut next = banks.column_bus;
        if banks.layout.pseudo_channels == 1 {
            let read = banks.rank_column_from(Kind::Read, 0);
            next = next.max(read.min(banks.rank_column_from(Kind::Write, 0)));
        }
        self.column_next = self.to_rising(next);
    }

    /// The oldest ready hit of the queue whose turn it is; the column bus is free.
    #[inline]
    fn choose_hit(&self, tick: u64) -> Choice {
        let mode = self.mode();
        let queue = &self.queues[mode as usize];
        let mut choice = NOBODY;
        let banks = &self.device.banks;
        for pc in 0..banks.layout.pseudo_channels {
            let mut hits = queue.hits & banks.layout.pseudo_channel_banks[pc % MOST_BANKS];
            if hits == 0 {
                continue;
            }
            let least = banks.rank_column_from(mode, pc);
            if least > tick {
                choice.next = choice.next.min(least);
                continue;
            }
            while hits != 0 {
                let bank = hits.trailing_zeros() as usize;
                hits &= hits - 1;
                choice.consider(tick, banks.column_from(mode, bank), queue.hit_order[bank], bank);
            }
        }
        choice
    }

    #[inline]
    fn take_hit(&mut self, tick: u64, bank: usize) {
        let mode = self.mode();
        let queue = &mut self.queues[mode as usize];
        let (burst, _) = queue.take_hit(bank);
        self.send_column(tick, mode, &burst, Opening::Hit);
        if self.queues[mode as usize].closers >> bank & 1 == 1 {
            self.row_next = self.row_next.min(self.device.banks.precharge_from(bank));
        }
    }

    /// The oldest ready activate or precharge that the queue whose turn it is asks for; the row bus is free.
    #[inline]
    fn choose_row(&self, tick: u64) -> Choice {
        let queue = &self.queues[self.mode() as usize];
        let banks = &self.device.banks;
        let mut choice = NOBODY;
        let openers = queue.waiting & !banks.open;
        let closers = queue.closers & !self.active.banks;
        let rising = self.is_rising(tick);
        for unit in 0..banks.layout.units {
            let scope = banks.layout.unit_banks[unit % MOST_BANKS];
            let mut set = openers & scope;
            let least = banks.unit_act_ok[unit % MOST_BANKS];
            if set != 0 && (least > tick || !rising) {
                choice.next = choice.next.min(self.to_rising(least.max(tick + 1)));
                set = 0;
            }
            while set != 0 {
                let bank = set.trailing_zeros() as usize;
                set &= set - 1;
                choice.consider(tick, banks.activate_from(bank), queue.head_order[bank], bank);
            }
            let mut set = closers & scope;
            let least = banks.unit_pre_ok[unit % MOST_BANKS];
            if set != 0 && least > tick {
                choice.next = choice.next.min(least);
                set = 0;
            }
            while set != 0 {
                let bank = set.trailing_zeros() as usize;
                set &= set - 1;
                let from = banks.precharge_from(bank);
                let late = !rising && from <= tick && !self.may_close_falling(tick, bank);
                choice.consider(tick, if late { tick + 1 } else { from }, queue.closer_order[bank], bank);
            }
        }
        choice
    }

    /// On the falling edge that ends a row command, its own bank cannot be precharged.
    fn may_close_falling(&self, tick: u64, bank: usize) -> bool {
        tick != self.rising.falling
            || self.rising.pseudo_channel != self.device.banks.layout.pseudo_channel_of[bank]
            || self.rising.bank.is_some_and(|other| other as usize != bank)
    }

    fn record_rising(&mut self, tick: u64, pseudo_channel: u8, bank: Option<usize>, ticks: u64) {
        if self.half_ticks && tick % 2 == 1 {
            self.rising = Rising { pseudo_channel, bank: bank.map(|bank| bank as u8), falling: tick + ticks };
        }
    }

    /// Opens the row of the bank's oldest request, or closes what is open.
    fn send_row(&mut self, tick: u64, choice: Choice) {
        let (mode, bank) = (self.mode(), choice.bank);
        // Others as they stand, and what this command makes possible.
        let mut next = choice.next;
        let pc = self.device.banks.layout.pseudo_channel_of[bank];
        if self.device.banks.open >> bank & 1 == 0 {
            let (burst, arrival) = self.queues[mode as usize].take_head(bank);
            self.device.activate(tick, bank, burst.row);
            self.row_changed(bank);
            self.active.banks |= 1 << bank;
            self.active.kind[bank] = mode;
            self.active.burst[bank] = burst;
            self.active.age[bank] = (arrival << 20) | (tick - arrival).min((1 << 20) - 1);
            self.active.opened[bank] = tick;
            let ready = self.device.banks.column_ok[0][bank].min(self.device.banks.column_ok[1][bank]);
            self.column_next = self.column_next.min(self.to_rising(ready));
            let ticks = self.device.banks.rules.act_ticks;
            self.record_rising(tick, pc, Some(bank), ticks);
        } else {
            self.device.precharge(tick, bank);
            self.row_changed(bank);
            let ticks = self.device.banks.rules.pre_ticks;
            self.record_rising(tick, pc, Some(bank), ticks);
            next = next.min(self.device.banks.activate_from(bank));
        }
        self.row_next = next.max(self.device.banks.row_bus);
    }

    /// Sends what the oldest refresh owed needs next. Orders wait in line: one at a time.
    fn try_order(&mut self, tick: u64) -> bool {
        if tick < self.order_next {
            return false;
        }
        let Some(&order) = self.orders.front() else { return false };
        let banks = &self.device.banks;
        let (open, unit, bank) = match order {
            Order::Unit(unit) => (banks.layout.unit_banks[unit] & banks.open != 0, unit, None),
            Order::Bank(bank) => (banks.open >> bank & 1 == 1, banks.layout.unit_of[bank] as usize, Some(bank)),
        };
        let scope = bank.map_or(banks.layout.unit_banks[unit], |bank| 1 << bank);
        let pc = banks.layout.pseudo_channel_of[scope.trailing_zeros() as usize];
        let from = match (open, bank) {
            (true, None) => banks.precharge_all_from(unit),
            (true, Some(bank)) => banks.precharge_from(bank),
            (false, None) => self.to_rising(banks.unit_ref_ok[unit].max(banks.row_bus)),
            (false, Some(bank)) => self.to_rising(banks.refresh_bank_from(bank).max(banks.row_bus)),
        };
        let from = from.max(banks.row_bus);
        if from > tick {
            self.order_next = from;
            return false;
        }
        if open && self.active.banks & scope != 0 {
            // The requests whose rows were opened go first; the last of them calls again.
            self.order_next = NEVER;
            return false;
        }
        if !self.is_rising(tick) {
            let paired = tick == self.rising.falling && self.rising.pseudo_channel == pc;
            let apart = bank.is_some_and(|bank| self.rising.bank.is_some_and(|other| other as usize != bank));
            if !open || (paired && !apart) {
                self.order_next = tick + 1;
                return false;
            }
        }
        match (open, bank) {
            (true, None) => {
                self.device.precharge_all(tick, unit);
                let mut closed = scope;
                while closed != 0 {
                    self.row_changed(closed.trailing_zeros() as usize);
                    closed &= closed - 1;
                }
            }
            (true, Some(bank)) => {
                self.device.precharge(tick, bank);
                self.row_changed(bank);
            }
            (false, None) => self.device.refresh_all(tick, unit, self.owed_since),
            (false, Some(bank)) => self.device.refresh_bank(tick, bank, self.owed_since),
        }
        let rules = &self.device.banks.rules;
        let ticks = if open { rules.pre_ticks } else { rules.ref_ticks };
        self.record_rising(tick, pc, bank, ticks);
        self.order_next = self.device.banks.row_bus;
        if !open {
            self.orders.pop_front();
            if self.orders.is_empty() {
                // Nothing began while they waited, anywhere in the channel.
                let pcs = self.device.banks.layout.pseudo_channels;
                self.device.statistics.barred(0..pcs, self.owed_since, tick + 1);
                self.column_next = tick;
                self.row_next = tick;
            }
        }
        true
    }

    /// Asks the calendar.
    #[cold]
    fn owe(&mut self, tick: u64) {
        if tick >= self.device.refresher.next() {
            if self.orders.is_empty() {
                self.owed_since = tick;
            }
            self.device.refresher.tick(tick, &mut self.orders);
            self.order_next = self.order_next.min(tick);
        }
        self.refresh_next = self.device.refresher.next();
    }

    #[inline]
    fn next_due(&self) -> u64 {
        let after = self.clock + 1;
        let mut next = self.column_next.max(self.to_rising(after)).min(self.refresh_next);
        if self.orders.is_empty() {
            next = next.min(self.row_next);
            if self.mode_wanted() != self.writing {
                return after;
            }
        } else {
            next = next.min(self.order_next);
        }
        next.max(after)
    }

    /// One command a tick, whatever its sort.
    fn tick_one_bus(&mut self, tick: u64) {
        let mut column_due = tick >= self.column_next;
        if column_due && self.try_active(tick) {
            return;
        }
        if !self.orders.is_empty() {
            self.try_order(tick);
            return;
        }
        // From here on `column_next` is when requests whose rows were opened for them can go.
        let active_next = self.column_next;
        self.set_mode(tick);
        column_due |= tick >= self.column_next;
        let bus = self.device.banks.row_bus;
        if tick < bus {
            self.column_next = if column_due { bus } else { active_next };
            return;
        }
        let hit = if column_due { self.choose_hit(tick) } else { Choice { next: active_next, ..NOBODY } };
        let row = if tick >= self.row_next { self.choose_row(tick) } else { Choice { next: self.row_next, ..NOBODY } };
        self.column_next = active_next.min(hit.next);
        self.row_next = row.next;
        if hit.age < row.age {
            if row.found() {
                self.row_next = tick + 1;
            }
            self.take_hit(tick, hit.bank);
        } else if row.found() {
            if hit.found() {
                self.column_next = tick + 1;
            }
            self.send_row(tick, row);
        }
    }

    /// Column commands on a bus of their own.
    #[inline]
    fn tick_column_bus(&mut self, tick: u64) {
        let bus = self.device.banks.column_bus;
        let mut due = tick >= self.column_next && tick >= bus;
        if due && self.try_active(tick) {
            return;
        }
        if !self.orders.is_empty() {
            return;
        }
        let active_next = self.column_next;
        self.set_mode(tick);
        due |= tick >= self.column_next;
        if due {
            if tick < bus {
                self.column_next = self.to_rising(bus);
                return;
            }
            let hit = self.choose_hit(tick);
            self.column_next = self.to_rising(active_next.min(hit.next));
            if hit.found() {
                self.take_hit(tick, hit.bank);
            }
        }
    }

    #[inline]
    fn tick_row_bus(&mut self, tick: u64) {
        if !self.orders.is_empty() {
            self.try_order(tick);
            return;
        }
        self.set_mode(tick);
        if tick < self.row_next || tick < self.device.banks.row_bus {
            return;
        }
        let row = self.choose_row(tick);
        self.row_next = row.next;
        if row.found() {
            self.send_row(tick, row);
        }
    }
}

impl Schedule for Frfcfs {
    const LAG: u64 = 1;

    #[inline]
    fn offer(&mut self, tick: u64, kind: Kind, burst: Burst) -> Offer {
        if self.queues[kind as usize].is_full() {
            return Offer::Full;
        }
        let bank = burst.bank as usize % MOST_BANKS;
        let writes = &self.queues[1];
        if writes.waiting >> bank & 1 == 1 && writes.holds(bank, burst.address) {
            self.device.merge(tick + 1, kind, &burst);
            return Offer::Merged(tick + 1);
        }
        let queue = &mut self.queues[kind as usize];
        let (hits, waiting, closers) = (queue.hits, queue.waiting, queue.closers);
        queue.push(burst, tick, self.device.banks.row[bank]);
        if queue.hits != hits {
            let from = self.device.banks.column_from(kind, bank);
            self.column_next = self.column_next.min(self.to_rising(from.max(tick + 1)));
            self.due = self.due.min(self.column_next);
        } else if queue.closers != closers || queue.waiting != waiting {
            let banks = &self.device.banks;
            let closed = banks.open >> bank & 1 == 0;
            let from = if closed { banks.activate_from(bank) } else { banks.precharge_from(bank) };
            self.row_next = self.row_next.min(from.max(tick + 1));
            self.due = self.due.min(self.row_next);
        }
        if kind != self.mode() && self.orders.is_empty() && self.mode_wanted() != self.writing {
            self.due = self.due.min(tick + 1);
        }
        self.device.statistics.arrived(tick, self.device.banks.layout.pseudo_channel_of[bank] as usize);
        Offer::Taken
    }

    #[inline]
    fn has_room(&self, kind: Kind) -> bool {
        !self.queues[kind as usize].is_full()
    }

    #[inline]
    fn tick(&mut self, tick: u64) {
        self.clock = tick;
        if tick >= self.refresh_next {
            self.owe(tick);
        }
        if self.one_bus {
            self.tick_one_bus(tick);
        } else {
            if self.is_rising(tick) {
                self.tick_column_bus(tick);
            }
            self.tick_row_bus(tick);
        }
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
        self.queues.iter().for_each(|queue| queue.encode(origin, out));
        // Which edge comes next and what goes first. Lower bounds of what comes next decide nothing.
        out.extend([u64::from(self.half_ticks) & now, u64::from(self.writing), self.active.banks]);
        out.push(self.orders.len() as u64);
        out.extend(self.orders.iter().map(|order| order.encode()));
        let owed = if self.orders.is_empty() { 0 } else { now - self.owed_since };
        let Rising { pseudo_channel, bank, falling } = self.rising;
        let pair = u64::from(pseudo_channel) << 8 | bank.map_or(1 << 16, u64::from);
        out.extend(if falling >= now { [owed, pair, falling - now + 1] } else { [owed, 0, 0] });
        let mut set = self.active.banks;
        while set != 0 {
            let bank = set.trailing_zeros() as usize;
            set &= set - 1;
            let (age, opened) = (self.active.age[bank], self.active.opened[bank]);
            out.extend([self.active.kind[bank] as u64, age.wrapping_sub(now << 20), now - opened]);
            self.active.burst[bank].encode(origin, out);
        }
    }

    fn shift(&mut self, by: &Origin) {
        self.device.shift(by);
        self.queues.iter_mut().for_each(|queue| queue.shift(by));
        let times =
            [&mut self.column_next, &mut self.row_next, &mut self.order_next, &mut self.due, &mut self.refresh_next];
        for time in times {
            *time = time.saturating_add(by.tick);
        }
        self.clock += by.tick;
        self.owed_since += by.tick;
        self.rising.falling += by.tick;
        let mut set = self.active.banks;
        while set != 0 {
            let bank = set.trailing_zeros() as usize;
            set &= set - 1;
            self.active.age[bank] += by.tick << 20;
            self.active.opened[bank] += by.tick;
            self.active.burst[bank].shift(by);
        }
    }
}
