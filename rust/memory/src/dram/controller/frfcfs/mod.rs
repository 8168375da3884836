//! First ready, first come. A read queue and a write queue; a request whose row was opened for it moves to a list of
//! its own and goes first. Reads have priority until the write queue passes its high mark or no read waits; while a
//! refresh is owed nothing new begins in the channel.

mod active;
mod choice;
mod columns;
mod orders;
mod rows;

use super::issue::Device;
use super::queue::Queue;
use super::{Burst, Offer, Origin, Schedule};
use crate::dram::banks::MOST_BANKS;
use crate::dram::command::Kind;
use crate::dram::config::{Config, Page, Scheduler};
use crate::dram::map::AddressMap;
use crate::dram::refresh::{Order, Refresher};
use active::Active;
use choice::{Choice, NOBODY};
use rows::Rising;
use std::collections::VecDeque;
use std::ops::Range;

const NEVER: u64 = u64::MAX;

/// The state of one channel's controller.
#[derive(Clone, Debug)]
pub struct Frfcfs {
    device: Device,
    queues: [Queue; 2],
    writing: bool,
    /// Whether `writing` changes at the next tick that may change it.
    turns: bool,
    /// How often it has changed.
    turned: u64,
    high: usize,
    low: usize,
    active: Active,
    /// Refreshes owed, and since when.
    orders: VecDeque<Order>,
    owed_since: u64,
    /// Nothing of this sort can go out earlier.
    active_next: u64,
    hit_next: u64,
    column_floor: u64,
    row_next: u64,
    order_next: u64,
    clock: u64,
    /// The next tick at which any of this, or the calendar, has something to do.
    due: u64,
    refresh_next: u64,
    one_bus: bool,
    half_ticks: bool,
    close_page: bool,
    /// Hits of a bank go before an older miss that has not waited longer.
    patience_ticks: u64,
    rising: Rising,
}

impl Frfcfs {
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

    #[inline(always)]
    fn mode_wanted(&self) -> bool {
        let (reads, writes) = (&self.queues[0], &self.queues[1]);
        let mark = if self.writing { self.low } else { self.high };
        writes.len() >= mark || reads.is_empty()
    }

    /// To be called whenever a request has come or gone.
    #[inline(always)]
    fn weigh(&mut self) {
        self.turns = self.mode_wanted() != self.writing;
    }

    #[inline]
    fn set_mode(&mut self, tick: u64) {
        if self.turns {
            self.writing = !self.writing;
            self.turned += 1;
            self.hit_next = tick;
            self.row_next = tick;
            self.weigh();
        }
    }

    #[inline]
    fn next_due(&self) -> u64 {
        let after = self.clock + 1;
        let mut next = self.to_rising(self.column_due().max(after)).min(self.refresh_next);
        if self.orders.is_empty() {
            next = next.min(self.row_next.max(self.device.banks.row_bus));
            if self.turns {
                return after;
            }
        } else {
            next = next.min(self.order_next);
        }
        next.max(after)
    }

    /// One command a tick, whatever its sort.
    fn tick_one_bus(&mut self, tick: u64) {
        let free = tick >= self.device.banks.column_bus;
        if free && self.try_active(tick) {
            return;
        }
        if !self.orders.is_empty() {
            self.try_order(tick);
            return;
        }
        self.set_mode(tick);
        if !free {
            return;
        }
        let mut hit = Choice { next: self.hit_next, ..NOBODY };
        if tick >= hit.next {
            hit = self.choose_hit(tick);
        }
        let mut row = Choice { next: self.row_next, ..NOBODY };
        if tick >= row.next {
            row = self.choose_row(tick);
        }
        (self.hit_next, self.row_next) = (hit.next, row.next);
        if hit.rank < row.rank {
            if row.found() {
                self.row_next = tick + 1;
            }
            self.take_hit(tick, hit.bank());
            self.hit_next = tick + 1;
        } else if row.found() {
            if hit.found() {
                self.hit_next = tick + 1;
            }
            self.send_row(tick, row);
        }
    }

    /// A row and a column bus, no refresh owed and no change between reads and writes due.
    #[inline]
    fn tick_two_buses(&mut self, tick: u64) {
        let columns_from = self.active_next.min(self.hit_next).max(self.column_floor);
        if tick >= columns_from && self.is_rising(tick) && !self.try_active(tick) && tick >= self.hit_next {
            self.try_hit(tick);
        }
        if self.turns {
            self.set_mode(tick);
        }
        if tick >= self.row_next && tick >= self.device.banks.row_bus {
            self.try_row(tick);
        }
        let after = tick + 1;
        let columns_from = self.active_next.min(self.hit_next).max(self.column_floor).max(after);
        let rows_from = self.row_next.max(self.device.banks.row_bus).max(after);
        let turns_from = if self.turns { after } else { self.refresh_next };
        self.due = self.to_rising(columns_from).min(rows_from).min(turns_from);
    }

    #[inline]
    fn try_hit(&mut self, tick: u64) {
        let hit = self.choose_hit(tick);
        self.hit_next = hit.next;
        if hit.found() {
            self.hit_next = tick + 1;
            self.take_hit(tick, hit.bank());
        }
    }

    #[inline]
    fn try_row(&mut self, tick: u64) {
        let row = self.choose_row(tick);
        self.row_next = row.next;
        if row.found() {
            self.send_row(tick, row);
        }
    }

    /// Column commands on a bus of their own.
    fn tick_column_bus(&mut self, tick: u64) {
        if tick < self.device.banks.column_bus || self.try_active(tick) || !self.orders.is_empty() {
            return;
        }
        self.set_mode(tick);
        if tick >= self.hit_next {
            self.try_hit(tick);
        }
    }

    fn tick_row_bus(&mut self, tick: u64) {
        if !self.orders.is_empty() {
            self.try_order(tick);
            return;
        }
        self.set_mode(tick);
        if tick < self.row_next || tick < self.device.banks.row_bus {
            return;
        }
        self.try_row(tick);
    }
}

impl Frfcfs {
    /// Takes over when refreshes come next, so many ticks later.
    pub fn adopt_calendar(&mut self, other: &Frfcfs, ticks: u64) {
        self.device.refresher.clone_from(&other.device.refresher);
        self.device.refresher.shift(ticks);
        self.refresh_next = other.refresh_next.saturating_add(ticks);
        self.due = self.due.min(self.refresh_next);
    }

    /// Whether writes may only wait: as long as reads do too, `turned` stays the same, and what the writes are decides
    /// nothing, but for reads of what they will write.
    pub fn parks_writes(&self) -> bool {
        let writes_open = (0..MOST_BANKS).any(|bank| self.active.banks >> bank & 1 == 1 && self.active.is_write(bank));
        !(self.writing || self.turns || self.close_page || writes_open || self.queues[1].held != 0)
    }

    /// Reads that it has room for.
    pub fn room_for_reads(&self) -> u64 {
        self.queues[0].room() as u64
    }

    /// How often reads and writes have taken turns.
    pub fn turned(&self) -> u64 {
        self.turned
    }

    /// Whether a write to one of these addresses waits.
    pub fn awaits_write(&self, addresses: &Range<u64>) -> bool {
        !self.queues[1].is_empty() && self.queues[1].bursts().any(|burst| addresses.contains(&burst.address))
    }

    /// Writes that wait for each data bus.
    pub fn writes_waiting(&self) -> [u32; 4] {
        let mut waiting = [0; 4];
        for burst in self.queues[1].bursts() {
            waiting[self.device.banks.layout.of(burst.bank as usize).pseudo_channel() % 4] += 1;
        }
        waiting
    }

    /// Takes over the writes that wait.
    pub fn adopt_writes(&mut self, other: &Frfcfs) {
        self.queues[1].clone_from(&other.queues[1]);
        let banks = &self.device.banks;
        self.queues[1].sort(|bank| (banks.open >> bank & 1 == 1).then(|| banks.row[bank]));
    }

    /// As `Schedule::encode`, without the writes that wait and the refreshes that are to come.
    pub fn encode_reads(&self, origin: &Origin, out: &mut Vec<u64>) {
        self.device.banks.encode(origin.tick, origin.row, out);
        self.encode_queues(origin, &self.queues[..1], out);
    }

    fn encode_queues(&self, origin: &Origin, queues: &[Queue], out: &mut Vec<u64>) {
        let now = origin.tick;
        queues.iter().for_each(|queue| queue.encode(origin, out));
        // Which edge comes next and what goes first. Lower bounds of what comes next decide nothing.
        out.extend([u64::from(self.half_ticks) & now, u64::from(self.writing), self.active.banks]);
        out.push(self.orders.len() as u64);
        out.extend(self.orders.iter().map(|order| order.encode()));
        let owed = if self.orders.is_empty() { 0 } else { now - self.owed_since };
        let Rising { pseudo_channel, bank, falling } = self.rising;
        let pair = u64::from(pseudo_channel) << 8 | bank.map_or(1 << 16, u64::from);
        out.extend(if falling >= now { [owed, pair, falling - now + 1] } else { [owed, 0, 0] });
        self.active.encode(origin, out);
    }
}

impl Schedule for Frfcfs {
    const LAG: u64 = 1;
    const RESUMES: bool = true;

    fn new(config: &Config, map: &AddressMap, channel: u32) -> Self {
        let c = &config.controller;
        let protect = c.scheduler == Scheduler::FrfcfsRowHit;
        let writes = c.write_queue as usize;
        let commands = &config.organisation.commands;
        let device = Device::new(config, map, channel);
        Frfcfs {
            queues: [Queue::new(c.read_queue as usize, protect), Queue::new(writes, protect)],
            writing: false,
            turns: true,
            turned: 0,
            // Over the high share of the queue: at least one more than its floor.
            high: writes * c.write_high_percent as usize / 100 + 1,
            low: (writes * c.write_low_percent as usize).div_ceil(100),
            active: Active::new(),
            orders: VecDeque::new(),
            owed_since: 0,
            active_next: NEVER,
            hit_next: NEVER,
            column_floor: 0,
            row_next: NEVER,
            order_next: NEVER,
            clock: 0,
            due: 1,
            refresh_next: 0,
            one_bus: !commands.row_bus,
            half_ticks: commands.ticks_per_clock == 2,
            close_page: c.page == Page::Closed,
            patience_ticks: device.banks.rules.patience(),
            device,
            rising: Rising { pseudo_channel: 0, bank: None, falling: 0 },
        }
    }

    #[inline(always)]
    fn offer(&mut self, tick: u64, kind: Kind, burst: Burst) -> Offer {
        if self.queues[kind as usize].is_full() {
            return Offer::Full;
        }
        let bank = burst.bank as usize % MOST_BANKS;
        let writes = &self.queues[1];
        if writes.waiting() >> bank & 1 == 1 && writes.holds(bank, burst.address) {
            self.device.merge(tick + 1, kind, &burst);
            return Offer::Merged(tick + 1);
        }
        let queue = &mut self.queues[kind as usize];
        let (hits, others, closers) = (queue.hits, queue.others, queue.closers);
        queue.push(burst, tick, self.device.banks.row[bank]);
        if queue.hits != hits {
            if self.hit_next > tick + 1 {
                let from = self.device.banks.column_from(kind, bank);
                self.hit_next = self.hit_next.min(self.to_rising(from.max(tick + 1)));
            }
            self.due = self.due.min(self.to_rising(self.hit_next.max(self.column_floor).max(tick + 1)));
        } else if queue.closers != closers || queue.others != others {
            if self.row_next > tick + 1 {
                let banks = &self.device.banks;
                let closed = banks.open >> bank & 1 == 0;
                let from = if closed { banks.activate_from(bank) } else { banks.precharge_from(bank) };
                self.row_next = self.row_next.min(from.max(tick + 1));
            }
            self.due = self.due.min(self.row_next.max(self.device.banks.row_bus).max(tick + 1));
        }
        self.weigh();
        if self.turns && self.orders.is_empty() {
            self.due = self.due.min(tick + 1);
        }
        self.device.statistics.arrived(tick, self.device.banks.layout.of(bank).pseudo_channel());
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
        if !self.one_bus && !self.turns && self.orders.is_empty() {
            return self.tick_two_buses(tick);
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
        self.device.encode(origin, out);
        self.encode_queues(origin, &self.queues, out);
    }

    fn shift(&mut self, by: &Origin) {
        self.device.shift(by);
        self.queues.iter_mut().for_each(|queue| queue.shift(by));
        let times = [
            &mut self.active_next,
            &mut self.hit_next,
            &mut self.column_floor,
            &mut self.row_next,
            &mut self.order_next,
            &mut self.due,
            &mut self.refresh_next,
        ];
        for time in times {
            *time = time.saturating_add(by.tick);
        }
        self.clock += by.tick;
        self.owed_since += by.tick;
        self.rising.falling += by.tick;
        self.active.shift(by);
    }

    fn keep_calendar(&mut self, calendar: Refresher) {
        self.refresh_next = calendar.next();
        self.device.refresher = calendar;
        self.due = self.due.min(self.refresh_next);
    }
}
