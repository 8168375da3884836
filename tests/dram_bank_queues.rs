//! The scheduler with a queue per bank sends what its rules say: beside it, the rules written down plainly, every tick
//! and every entry looked at.

mod dram_devices;

use std::collections::VecDeque;

use dram_devices::device;
use proptest::prelude::*;
use rdu::memory::dram::banks::Banks;
use rdu::memory::dram::command::Kind;
use rdu::memory::dram::config::{Page, Scheduler};
use rdu::memory::dram::refresh::{Order, Refresher};
use rdu::memory::dram::{Addresses, Command, Config, Dram, Each, Issued, Options, Traffic};

#[derive(Clone, Copy)]
struct Entry {
    kind: Kind,
    address: u64,
    bank: usize,
    row: u32,
    since: u64,
}

enum Wish {
    Open,
    Close,
    Access(usize),
}

/// A command as it goes out: tick, command, bank of the channel, row.
type Sent = (u64, Command, usize, u32);

struct Plain<'a> {
    config: &'a Config,
    banks: Banks,
    refresher: Refresher,
    orders: VecDeque<Order>,
    barred: u64,
    front: [Vec<Entry>; 2],
    lines: Vec<Vec<Entry>>,
    accesses: Vec<u32>,
    draining: usize,
    turn: usize,
    busy: u64,
    /// Requests answered.
    done: usize,
    sent: Vec<Sent>,
}

impl<'a> Plain<'a> {
    fn new(config: &'a Config) -> Self {
        let banks = Banks::new(config);
        Plain {
            config,
            refresher: Refresher::new(config, &banks),
            orders: VecDeque::new(),
            barred: 0,
            front: [Vec::new(), Vec::new()],
            lines: vec![Vec::new(); banks.layout.banks],
            accesses: vec![0; banks.layout.banks],
            draining: 0,
            turn: 0,
            busy: 0,
            done: 0,
            sent: Vec::new(),
            banks,
        }
    }

    fn holds(&self, kind: Kind, entry: &Entry) -> bool {
        let mut all = self.front[kind as usize].iter().chain(&self.lines[entry.bank]);
        all.any(|other| other.kind == kind && other.bank == entry.bank && other.address == entry.address)
    }

    /// Whether there was room.
    fn offer(&mut self, tick: u64, entry: Entry) -> bool {
        let c = &self.config.controller;
        let room = if entry.kind.is_write() { c.write_queue } else { c.read_queue };
        let front = &self.front[entry.kind as usize];
        if front.len() == room as usize {
            return false;
        }
        if self.holds(Kind::Write, &entry) {
            self.done += 1;
        } else {
            self.front[entry.kind as usize].push(Entry { since: tick, ..entry });
            self.busy = tick;
        }
        true
    }

    fn close(&mut self, tick: u64, bank: usize) {
        self.banks.precharge(tick, bank);
        self.accesses[bank] = 0;
        self.sent.push((tick, Command::Precharge, bank, 0));
    }

    /// A step towards the oldest refresh owed.
    fn step_order(&mut self, tick: u64) -> bool {
        let Some(&order) = self.orders.front() else { return false };
        let (scope, from, command) = match order {
            Order::Unit(unit) => {
                (self.banks.layout.unit_banks[unit], self.banks.refresh_all_from(unit), Command::RefreshAll)
            }
            Order::Bank(bank) => (1 << bank, self.banks.refresh_bank_from(bank), Command::RefreshBank),
        };
        self.barred = scope;
        let free = self.banks.row_bus <= tick;
        let open: Vec<usize> =
            (0..self.lines.len()).filter(|bank| (scope & self.banks.open) >> bank & 1 == 1).collect();
        if let Some(&bank) = open.iter().find(|&&bank| free && self.banks.precharge_from(bank) <= tick) {
            self.close(tick, bank);
            return true;
        }
        if !open.is_empty() || !free || from > tick {
            return false;
        }
        match order {
            Order::Unit(unit) => self.banks.refresh_all(tick, unit),
            Order::Bank(bank) => self.banks.refresh_bank(tick, bank),
        }
        self.sent.push((tick, command, scope.trailing_zeros() as usize, 0));
        self.orders.pop_front();
        self.barred = 0;
        true
    }

    fn wish(&self, tick: u64, bank: usize) -> Option<Wish> {
        let (line, banks) = (&self.lines[bank], &self.banks);
        let (oldest, rows_free) = (line.first()?, banks.row_bus <= tick);
        if banks.open >> bank & 1 == 0 {
            return (rows_free && banks.activate_from(bank) <= tick).then_some(Wish::Open);
        }
        let hits: Vec<usize> = (0..line.len()).filter(|&at| line[at].row == banks.row[bank]).collect();
        let kept = !hits.is_empty() && self.accesses[bank] < self.config.controller.row_hit_cap;
        if oldest.row != banks.row[bank] && !kept {
            if rows_free && banks.precharge_from(bank) <= tick {
                return Some(Wish::Close);
            }
            if tick > oldest.since + banks.rules.patience() {
                return None;
            }
        }
        let older_read =
            |at: usize| line[..at].iter().any(|other| !other.kind.is_write() && other.address == line[at].address);
        let may = |&at: &usize| {
            let entry = &line[at];
            let ready = banks.column_from(entry.kind, bank).max(banks.column_bus) <= tick;
            ready && !(entry.kind.is_write() && older_read(at))
        };
        hits.into_iter().find(may).map(Wish::Access)
    }

    /// Sends for the next bank in turn; whether it was an access.
    fn send(&mut self, tick: u64) -> Option<bool> {
        let count = self.lines.len();
        let turns = (1..=count).map(|after| (self.turn + after) % count).filter(|bank| self.barred >> bank & 1 == 0);
        let (bank, wish) = turns.into_iter().find_map(|bank| Some((bank, self.wish(tick, bank)?)))?;
        self.turn = bank;
        self.busy = tick;
        match wish {
            Wish::Open => {
                let row = self.lines[bank][0].row;
                self.banks.activate(tick, bank, row);
                self.accesses[bank] = 0;
                self.sent.push((tick, Command::Activate, bank, row));
            }
            Wish::Close => self.close(tick, bank),
            Wish::Access(at) => {
                let entry = self.lines[bank].remove(at);
                let more = self.lines[bank].iter().any(|other| other.row == entry.row);
                let close = self.config.controller.page == Page::Closed && !more;
                self.banks.column(tick, entry.kind, bank, close);
                self.accesses[bank] = if close { 0 } else { self.accesses[bank] + 1 };
                self.done += 1;
                let command = match (entry.kind, close) {
                    (Kind::Read, false) => Command::Read,
                    (Kind::Read, true) => Command::ReadClose,
                    (Kind::Write, false) => Command::Write,
                    (Kind::Write, true) => Command::WriteClose,
                };
                self.sent.push((tick, command, bank, entry.row));
            }
        }
        Some(matches!(self.sent.last(), Some((_, command, ..)) if command.is_column()))
    }

    fn move_one(&mut self, tick: u64) {
        let c = &self.config.controller;
        let (writes, empty) = (self.front[1].len(), self.lines.iter().all(Vec::is_empty));
        let quiet = empty && self.front[0].is_empty() && writes > 0 && tick >= self.busy + 256;
        let drains = writes >= c.write_queue as usize || (empty && writes > c.idle_writes as usize) || quiet;
        if self.draining == 0 && drains {
            self.draining = writes;
        }
        let fits = |front: &[Entry], lines: &[Vec<Entry>]| {
            front.iter().position(|entry| lines[entry.bank].len() < c.bank_queue as usize)
        };
        let mut kind = usize::from(self.draining > 0);
        let Some(mut at) = fits(&self.front[kind], &self.lines) else { return };
        if kind == 1 {
            if self.holds(Kind::Read, &self.front[1][at]) {
                (self.draining, kind) = (0, 0);
                let Some(read) = fits(&self.front[0], &self.lines) else { return };
                at = read;
            } else {
                self.draining -= 1;
            }
        }
        let entry = self.front[kind].remove(at);
        self.lines[entry.bank].push(entry);
    }

    fn tick(&mut self, tick: u64) {
        self.refresher.tick(tick, &mut self.orders);
        let first = if self.step_order(tick) { Some(false) } else { self.send(tick) };
        if first.is_some() && self.config.organisation.commands.row_bus {
            // The bus of the first is taken: this is of the other sort.
            self.send(tick);
        }
        self.move_one(tick);
    }

    /// All commands of a run: 64 requests wait in front in order, four of each kind are offered before each tick.
    fn play(mut self, entries: &[Entry]) -> Vec<Sent> {
        let (mut staged, mut cut, mut waiting) = ([VecDeque::new(), VecDeque::new()], 0, 0);
        for tick in 1.. {
            while waiting < 64 && cut < entries.len() {
                staged[entries[cut].kind as usize].push_back(entries[cut]);
                (cut, waiting) = (cut + 1, waiting + 1);
            }
            for queue in &mut staged {
                for _ in 0..4 {
                    let Some(&entry) = queue.front() else { break };
                    if !self.offer(tick, entry) {
                        break;
                    }
                    queue.pop_front();
                    waiting -= 1;
                }
            }
            self.tick(tick);
            if self.done == entries.len() {
                break;
            }
        }
        self.sent
    }
}

fn sent(config: &Config, issued: &Issued) -> Sent {
    let o = &config.organisation;
    let rank = u32::from(issued.pseudo_channel) * o.ranks + u32::from(issued.rank);
    let bank = (rank * o.bank_groups + u32::from(issued.bank_group)) * o.banks + u32::from(issued.bank);
    (issued.tick, issued.command, bank as usize, issued.row)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn commands_are_those_of_the_plain_rules(
        config in device(),
        // Few rows of few banks, so that requests meet; now and then anywhere.
        places in prop::collection::vec((prop_oneof![4 => 0u64..1 << 9, 1 => any::<u64>()], any::<u8>()), 1..600),
        writes in 0u8..=255,
    ) {
        let mut config = config;
        prop_assume!(config.organisation.commands.ticks_per_clock == 1);
        config.controller.scheduler = Scheduler::BankQueues;
        let dram = Dram::new(config).expect("the device holds");
        let config = dram.config();
        let burst = config.organisation.burst_bytes();
        let addresses: Vec<u64> = places.iter().map(|(at, _)| at % (dram.capacity_bytes() / burst) * burst).collect();
        let kinds: Vec<bool> = places.iter().map(|&(_, dice)| dice < writes).collect();
        let traffic = Traffic {
            addresses: Addresses::List(&addresses),
            bytes: Each::All(burst),
            writes: Each::List(&kinds),
            arrivals_ps: None,
        };
        let replay = dram.replay(&traffic, &Options { trace: true, ..Options::default() }, &|| false).expect("plays");
        let entries: Vec<Entry> = addresses.iter().zip(&kinds).map(|(&address, &write)| {
            let at = dram.map().locate(address);
            Entry { kind: Kind::of(write), address, bank: at.bank as usize, row: at.row, since: 0 }
        }).collect();
        let traced: Vec<Sent> = replay.trace.iter().map(|issued| sent(config, issued)).collect();
        prop_assert_eq!(traced, Plain::new(config).play(&entries));
    }
}
