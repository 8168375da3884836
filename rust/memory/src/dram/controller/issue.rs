//! The device as a controller sees it: commands go out here, and are counted, traced and answered.

use super::burst::{Burst, Origin};
use super::flights::Flights;
use crate::dram::banks::{Banks, CLOSED, MOST_BANKS};
use crate::dram::command::{Command, Kind};
use crate::dram::config::Config;
use crate::dram::map::AddressMap;
use crate::dram::refresh::Refresher;
use crate::dram::statistics::{Opening, Statistics};
use crate::dram::trace::Issued;
use std::collections::VecDeque;
use std::sync::Arc;

/// A burst that is done, or will be at `tick`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    pub tick: u64,
    pub id: u64,
    /// When its latency began.
    pub since: u64,
}

/// Banks, calendar and books of one channel.
#[derive(Clone, Debug)]
pub struct Device {
    pub banks: Banks,
    pub refresher: Refresher,
    pub statistics: Statistics,
    /// Bursts answered since this was last emptied, if kept: reads, writes, merged; each in order of time.
    pub done: [VecDeque<Done>; 3],
    pub keep_done: bool,
    /// What a channel that is driven step by step answers.
    pub flights: Option<Flights>,
    pub trace: Option<Vec<Issued>>,
    pub channel: u32,
    map: Arc<AddressMap>,
}

impl Device {
    pub fn new(config: &Config, map: &AddressMap, channel: u32) -> Self {
        let banks = Banks::new(config);
        Device {
            refresher: Refresher::new(config, &banks),
            banks,
            statistics: Statistics::default(),
            done: Default::default(),
            keep_done: false,
            flights: None,
            trace: None,
            channel,
            map: Arc::new(map.clone()),
        }
    }

    #[inline(always)]
    fn record(&mut self, tick: u64, command: Command, bank: usize, row: u32, address: Option<u64>) {
        self.statistics.commands[command as usize] += 1;
        if self.trace.is_some() {
            self.keep(tick, command, bank, row, address);
        }
    }

    #[cold]
    fn keep(&mut self, tick: u64, command: Command, bank: usize, row: u32, address: Option<u64>) {
        let layout = &self.banks.layout;
        let each = layout.banks / layout.groups.max(1);
        let place = layout.of(bank);
        let issued = Issued {
            tick,
            command,
            channel: self.channel,
            pseudo_channel: place.pseudo_channel() as u8,
            rank: (place.rank() % (layout.ranks / layout.pseudo_channels)) as u8,
            bank_group: (place.group() % (layout.groups / layout.ranks)) as u8,
            bank: (bank % each) as u8,
            row: if row == CLOSED { 0 } else { row },
            column: address.map_or(0, |address| self.map.column(address)),
        };
        self.trace.iter_mut().for_each(|trace| trace.push(issued));
    }

    #[inline(always)]
    pub fn activate(&mut self, tick: u64, bank: usize, row: u32) {
        self.record(tick, Command::Activate, bank, row, None);
        self.banks.activate(tick, bank, row);
    }

    #[inline(always)]
    pub fn precharge(&mut self, tick: u64, bank: usize) {
        self.record(tick, Command::Precharge, bank, CLOSED, None);
        self.banks.precharge(tick, bank);
    }

    pub fn precharge_all(&mut self, tick: u64, unit: usize) {
        let first = self.banks.layout.unit_banks[unit].trailing_zeros() as usize;
        self.record(tick, Command::PrechargeAll, first, CLOSED, None);
        self.banks.precharge_all(tick, unit);
    }

    /// `since`: when the refresh fell due and barred its banks.
    pub fn refresh_all(&mut self, tick: u64, unit: usize, since: u64) {
        let first = self.banks.layout.unit_banks[unit].trailing_zeros() as usize;
        self.record(tick, Command::RefreshAll, first, CLOSED, None);
        self.banks.refresh_all(tick, unit);
        let pc = self.banks.layout.of(first).pseudo_channel();
        self.statistics.barred(pc..pc + 1, since, tick + self.banks.rules.ref_act);
    }

    pub fn refresh_bank(&mut self, tick: u64, bank: usize, since: u64) {
        self.record(tick, Command::RefreshBank, bank, CLOSED, None);
        self.banks.refresh_bank(tick, bank);
        let pc = self.banks.layout.of(bank).pseudo_channel();
        self.statistics.barred(pc..pc + 1, since, tick + 1);
    }

    /// Sends the column command of `burst` and answers it.
    #[inline(always)]
    pub fn column(&mut self, tick: u64, kind: Kind, burst: &Burst, opening: Opening, hit: bool, close: bool) {
        let bank = burst.bank as usize % MOST_BANKS;
        let command = match (kind, close) {
            (Kind::Read, false) => Command::Read,
            (Kind::Read, true) => Command::ReadClose,
            (Kind::Write, false) => Command::Write,
            (Kind::Write, true) => Command::WriteClose,
        };
        self.record(tick, command, bank, burst.row, Some(burst.address));
        self.banks.column(tick, kind, bank, close);
        let rules = &self.banks.rules;
        let start = tick + rules.data_start[kind as usize];
        let end = start + rules.burst_ticks;
        let statistics = &mut self.statistics;
        let pc = self.banks.layout.of(bank).pseudo_channel();
        statistics.burst(tick, kind, pc, (start, end), opening, rules.pre_act);
        statistics.bursts[kind as usize] += 1;
        statistics.bytes[kind as usize] += u64::from(burst.bytes);
        statistics.row_hits += u64::from(hit);
        if kind == Kind::Read {
            statistics.latencies.add(end - burst.since);
        }
        if self.keep_done {
            self.done[kind as usize].push_back(Done { tick: end, id: burst.id, since: burst.since });
        }
        if let Some(flights) = &mut self.flights {
            flights.land(burst.id, end);
        }
    }

    /// Answers a burst without touching the device: a write to the same place waits.
    pub fn merge(&mut self, tick: u64, kind: Kind, burst: &Burst) {
        let statistics = &mut self.statistics;
        statistics.bursts[kind as usize] += 1;
        statistics.bytes[kind as usize] += u64::from(burst.bytes);
        if kind == Kind::Read {
            statistics.latencies.add(tick.saturating_sub(burst.since));
        }
        statistics.end = statistics.end.max(tick);
        if self.keep_done {
            self.done[2].push_back(Done { tick, id: burst.id, since: burst.since });
        }
        if let Some(flights) = &mut self.flights {
            flights.land(burst.id, tick);
        }
    }

    pub fn encode(&self, origin: &Origin, out: &mut Vec<u64>) {
        self.banks.encode(origin.tick, origin.row, out);
        self.refresher.encode(origin.tick, out);
    }

    /// The statistics move by themselves.
    pub fn shift(&mut self, by: &Origin) {
        self.banks.shift(by.tick, by.row);
        self.refresher.shift(by.tick);
    }
}
