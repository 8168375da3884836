//! Which refresh falls due when.

use super::banks::Banks;
use super::config::{Config, Refresh};
use std::collections::VecDeque;

/// A refresh that the controller owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Of all banks of a unit (rank, or pseudo channel if ranks are stacked).
    Unit(usize),
    Bank(usize),
}

impl Order {
    pub fn encode(self) -> u64 {
        match self {
            Order::Unit(unit) => unit as u64,
            Order::Bank(bank) => 1 << 16 | bank as u64,
        }
    }
}

/// The calendar of a channel.
#[derive(Clone, Debug)]
pub struct Refresher {
    policy: Refresh,
    interval: u64,
    next: u64,
    units: usize,
    banks: usize,
    /// Unit, bank, or bank within rank, that comes next.
    turn: usize,
    /// `PerBankPaired`: the rank whose turn it is, banks due, and when each rank may begin another round.
    rank: usize,
    due: VecDeque<usize>,
    round_ok: Vec<u64>,
    ranks_each: usize,
    banks_each: usize,
    round_ticks: u64,
}

impl Refresher {
    pub fn new(config: &Config, banks: &Banks) -> Self {
        let (policy, layout) = (config.controller.refresh, &banks.layout);
        let interval = match policy {
            Refresh::None => u64::MAX,
            Refresh::AllBank => banks.rules.interval,
            Refresh::AllBankStaggered => (banks.rules.interval / layout.units as u64).max(1),
            Refresh::PerBank | Refresh::PerBankPaired => banks.rules.interval_pb,
        };
        Refresher {
            policy,
            interval,
            next: interval,
            units: layout.units,
            banks: layout.banks,
            turn: 0,
            rank: 0,
            due: VecDeque::new(),
            round_ok: vec![0; config.organisation.ranks as usize],
            ranks_each: config.organisation.ranks as usize,
            banks_each: (config.organisation.bank_groups * config.organisation.banks) as usize,
            round_ticks: banks.rules.refpb_act,
        }
    }

    /// Ticks from one refresh to the next.
    pub fn interval(&self) -> u64 {
        self.interval
    }

    /// The tick at which `tick` next has something to say.
    pub fn next(&self) -> u64 {
        if self.due.is_empty() { self.next } else { 0 }
    }

    /// Adds what falls due at `tick` to `orders`.
    pub fn tick(&mut self, tick: u64, orders: &mut VecDeque<Order>) {
        if self.due.is_empty() && tick < self.next {
            return;
        }
        match self.policy {
            Refresh::None => {}
            Refresh::AllBank => {
                self.next += self.interval;
                orders.extend((0..self.units).map(Order::Unit));
            }
            Refresh::AllBankStaggered => {
                self.next += self.interval;
                orders.push_back(Order::Unit(self.turn));
                self.turn = (self.turn + 1) % self.units;
            }
            Refresh::PerBank => {
                self.next += self.interval;
                orders.push_back(Order::Bank(self.turn));
                self.turn = (self.turn + 1) % self.banks;
            }
            Refresh::PerBankPaired => self.tick_paired(tick, orders),
        }
    }

    /// One bank a tick; a rank begins its next round only after the last refresh of this one has ended.
    fn tick_paired(&mut self, tick: u64, orders: &mut VecDeque<Order>) {
        if self.due.is_empty() {
            if tick < self.round_ok[self.rank] {
                self.next = tick + 1;
                return;
            }
            let each = self.ranks_each * self.banks_each;
            let place = self.rank * self.banks_each + self.turn;
            self.due.extend((0..self.banks / each).map(|pseudo_channel| pseudo_channel * each + place));
            self.next += self.interval;
        }
        let Some(bank) = self.due.pop_front() else { return };
        orders.push_back(Order::Bank(bank));
        if self.due.is_empty() {
            self.turn += 1;
            if self.turn == self.banks_each {
                self.turn = 0;
                self.round_ok[self.rank] = tick + self.round_ticks;
                self.rank = (self.rank + 1) % self.ranks_each;
            }
        }
    }

    /// Everything that decides what comes, times relative to `now`.
    pub fn encode(&self, now: u64, out: &mut Vec<u64>) {
        let next = if self.policy == Refresh::None { 0 } else { self.next.saturating_sub(now) };
        out.extend([next, self.turn as u64, self.rank as u64, self.due.len() as u64]);
        out.extend(self.due.iter().map(|&bank| bank as u64));
        out.extend(self.round_ok.iter().map(|ok| ok.saturating_sub(now)));
    }

    pub fn shift(&mut self, ticks: u64) {
        self.next = self.next.saturating_add(ticks);
        self.round_ok.iter_mut().for_each(|ok| *ok += ticks);
    }
}
