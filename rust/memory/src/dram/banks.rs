//! What the device is doing: open rows, and the earliest tick for each next command.

use super::ahead::Ahead;
use super::command::Kind;
use super::config::Config;
use super::layout::Layout;
pub use super::layout::MOST_BANKS;
use super::timing::Rules;

/// The row of a closed bank.
pub const CLOSED: u32 = u32::MAX;

type Each<T> = [T; MOST_BANKS];

/// The state of all banks of a channel.
#[derive(Clone, Debug)]
pub struct Banks {
    pub rules: Rules,
    pub layout: Layout,
    /// The open row, or `CLOSED`.
    pub row: Each<u32>,
    /// The set of open banks.
    pub open: u64,
    pub act_ok: Each<u64>,
    pub pre_ok: Each<u64>,
    pub refpb_ok: Each<u64>,
    /// Banks whose `act_ok`, or `pre_ok`, had not come when last asked.
    acts_ahead: Ahead,
    pres_ahead: Ahead,
    /// By kind of the column command, as below.
    pub column_ok: Each<[u64; 2]>,
    pub group_act_ok: Each<u64>,
    pub group_column_ok: Each<[u64; 2]>,
    pub rank_column_ok: Each<[u64; 2]>,
    pub unit_act_ok: Each<u64>,
    pub unit_pre_ok: Each<u64>,
    /// As refreshes leave them; what rows and columns add is worked out when asked.
    unit_preab_ok: Each<u64>,
    unit_refpb_ok: Each<u64>,
    /// The latest of `unit_pre_ok`.
    pub pre_floor: u64,
    /// The last four activates of each unit, a ring; with 0 for "never" ticks begin past the window.
    pub acts: Each<[u64; 4]>,
    pub act_turn: Each<u8>,
    /// When the bus for row commands and the one for column commands are free; with one bus for all, the same.
    pub row_bus: u64,
    pub column_bus: u64,
    one_bus: bool,
    ranks_each: usize,
}

impl Banks {
    pub fn new(config: &Config) -> Self {
        let zero = [0; MOST_BANKS];
        Banks {
            rules: Rules::new(config),
            layout: Layout::new(config),
            row: [CLOSED; MOST_BANKS],
            open: 0,
            act_ok: zero,
            pre_ok: zero,
            refpb_ok: zero,
            acts_ahead: Ahead::default(),
            pres_ahead: Ahead::default(),
            column_ok: [[0; 2]; MOST_BANKS],
            group_act_ok: zero,
            group_column_ok: [[0; 2]; MOST_BANKS],
            rank_column_ok: [[0; 2]; MOST_BANKS],
            unit_act_ok: zero,
            unit_pre_ok: zero,
            unit_preab_ok: zero,
            unit_refpb_ok: zero,
            pre_floor: 0,
            acts: [[0; 4]; MOST_BANKS],
            act_turn: [0; MOST_BANKS],
            row_bus: 0,
            column_bus: 0,
            one_bus: !config.organisation.commands.row_bus,
            ranks_each: config.organisation.ranks as usize,
        }
    }

    #[inline]
    pub fn column_from(&self, kind: Kind, bank: usize) -> u64 {
        let (k, place) = (kind as usize, self.layout.of(bank));
        let ok = self.column_ok[bank % MOST_BANKS][k].max(self.group_column_ok[place.group()][k]);
        ok.max(self.rank_column_ok[place.rank()][k])
    }

    #[inline]
    pub fn activate_from(&self, bank: usize) -> u64 {
        let place = self.layout.of(bank);
        self.act_ok[bank % MOST_BANKS].max(self.group_act_ok[place.group()]).max(self.unit_act_ok[place.unit()])
    }

    #[inline]
    pub fn precharge_from(&self, bank: usize) -> u64 {
        self.pre_ok[bank % MOST_BANKS].max(self.unit_pre_ok[self.layout.of(bank).unit()])
    }

    /// Those of `banks` whose own row cycle lets them open at `tick`, and a tick before which none of the others may.
    #[inline]
    pub fn may_activate(&mut self, tick: u64, banks: u64) -> (u64, u64) {
        self.acts_ahead.pass(tick, &self.act_ok);
        (banks & !self.acts_ahead.banks, self.acts_ahead.next)
    }

    /// The same for closing.
    #[inline]
    pub fn may_precharge(&mut self, tick: u64, banks: u64) -> (u64, u64) {
        self.pres_ahead.pass(tick, &self.pre_ok);
        (banks & !self.pres_ahead.banks, self.pres_ahead.next)
    }

    fn latest(&self, unit: usize, times: &Each<u64>) -> u64 {
        let mut banks = self.layout.unit_banks[unit % MOST_BANKS];
        let mut latest = 0;
        while banks != 0 {
            latest = latest.max(times[banks.trailing_zeros() as usize]);
            banks &= banks - 1;
        }
        latest
    }

    pub fn precharge_all_from(&self, unit: usize) -> u64 {
        self.unit_preab_ok[unit].max(self.unit_pre_ok[unit]).max(self.latest(unit, &self.pre_ok))
    }

    pub fn refresh_all_from(&self, unit: usize) -> u64 {
        self.latest(unit, &self.refpb_ok)
    }

    /// When refreshes of single banks may follow what came in their unit.
    fn refresh_bank_after(&self, unit: usize) -> u64 {
        let last = self.acts[unit][(self.act_turn[unit] as usize + 3) % 4];
        self.unit_refpb_ok[unit].max(if last == 0 { 0 } else { last + self.rules.act_refpb })
    }

    pub fn refresh_bank_from(&self, bank: usize) -> u64 {
        self.refpb_ok[bank].max(self.refresh_bank_after(self.layout.of(bank).unit()))
    }

    /// The earliest any column command of `kind` can start in a pseudo channel, as far as its ranks go.
    #[inline]
    pub fn rank_column_from(&self, kind: Kind, pseudo_channel: usize) -> u64 {
        if self.ranks_each == 1 {
            return self.rank_column_ok[pseudo_channel % MOST_BANKS][kind as usize];
        }
        let first = pseudo_channel * self.ranks_each;
        let mut least = self.rank_column_ok[first % MOST_BANKS][kind as usize];
        for rank in first + 1..first + self.ranks_each {
            least = least.min(self.rank_column_ok[rank % MOST_BANKS][kind as usize]);
        }
        least
    }

    #[inline(always)]
    fn hold_row_bus(&mut self, until: u64) {
        self.row_bus = until;
        if self.one_bus {
            self.column_bus = until;
        }
    }

    // What has come so far lies before `tick`, so that later times need no comparison with earlier ones.
    #[inline(always)]
    pub fn activate(&mut self, tick: u64, bank: usize, row: u32) {
        let bank = bank % MOST_BANKS;
        let rules = &self.rules;
        let place = self.layout.of(bank);
        let (group, unit) = (place.group(), place.unit());
        self.row[bank] = row;
        self.open |= 1 << bank;
        self.act_ok[bank] = tick + rules.act_act_bank;
        self.pre_ok[bank] = tick + rules.act_pre;
        self.column_ok[bank] = rules.act_column.map(|ticks| tick + ticks);
        self.refpb_ok[bank] = tick + rules.act_ref;
        self.group_act_ok[group] = tick + rules.act_act_l;
        let turn = self.act_turn[unit] as usize % 4;
        self.acts[unit][turn] = tick;
        self.act_turn[unit] = ((turn + 1) % 4) as u8;
        let fourth_last = self.acts[unit][(turn + 1) % 4];
        let window = if fourth_last == 0 { 0 } else { fourth_last + rules.act_window };
        self.unit_act_ok[unit] = window.max(tick + rules.act_act_s);
        self.pres_ahead.add(bank, tick + rules.act_pre);
        self.hold_row_bus(tick + self.rules.act_ticks);
    }

    #[inline(always)]
    pub fn precharge(&mut self, tick: u64, bank: usize) {
        let bank = bank % MOST_BANKS;
        self.close(tick, bank);
        self.part_closings(tick, self.layout.of(bank).unit());
        self.hold_row_bus(tick + self.rules.pre_ticks);
    }

    #[inline]
    fn part_closings(&mut self, tick: u64, unit: usize) {
        if self.rules.pre_pre > 0 {
            self.unit_pre_ok[unit] = tick + self.rules.pre_pre;
            self.pre_floor = self.unit_pre_ok[unit];
        }
    }

    pub fn precharge_all(&mut self, tick: u64, unit: usize) {
        let mut banks = self.layout.unit_banks[unit] & self.open;
        while banks != 0 {
            self.close(tick, banks.trailing_zeros() as usize);
            banks &= banks - 1;
        }
        self.unit_act_ok[unit] = self.unit_act_ok[unit].max(tick + self.rules.pre_act);
        self.part_closings(tick, unit);
        self.hold_row_bus(tick + self.rules.pre_ticks);
    }

    /// The bank's row closes by a precharge that starts at `tick`.
    #[inline(always)]
    fn close(&mut self, tick: u64, bank: usize) {
        self.row[bank] = CLOSED;
        self.open &= !(1 << bank);
        self.act_ok[bank] = self.act_ok[bank].max(tick + self.rules.pre_act);
        self.refpb_ok[bank] = self.refpb_ok[bank].max(tick + self.rules.pre_ref);
        self.acts_ahead.add(bank, self.act_ok[bank]);
    }

    /// A read or write; with `close` its bank precharges itself as soon as it may.
    #[inline(always)]
    pub fn column(&mut self, tick: u64, kind: Kind, bank: usize, close: bool) {
        let k = kind as usize;
        let bank = bank % MOST_BANKS;
        let rules = &self.rules;
        let place = self.layout.of(bank);
        raise(&mut self.group_column_ok[place.group()], tick, rules.column_l[k]);
        raise(&mut self.rank_column_ok[place.rank()], tick, rules.column_s[k]);
        if self.ranks_each > 1 {
            let first = place.rank() - place.rank() % self.ranks_each;
            for other in (first..first + self.ranks_each).filter(|&other| other != place.rank()) {
                raise(&mut self.rank_column_ok[other % MOST_BANKS], tick, rules.column_r[k]);
            }
        }
        let pre = self.pre_ok[bank].max(tick + rules.column_pre[k]);
        self.pre_ok[bank] = pre;
        self.pres_ahead.add(bank, pre);
        self.column_bus = tick + rules.column_ticks;
        if self.one_bus {
            self.row_bus = self.column_bus;
        }
        if close {
            self.close(self.pre_ok[bank], bank);
        }
    }

    pub fn refresh_all(&mut self, tick: u64, unit: usize) {
        self.unit_act_ok[unit] = self.unit_act_ok[unit].max(tick + self.rules.ref_act);
        self.unit_preab_ok[unit] = self.unit_preab_ok[unit].max(tick + self.rules.ref_pre);
        self.hold_row_bus(tick + self.rules.ref_ticks);
    }

    pub fn refresh_bank(&mut self, tick: u64, bank: usize) {
        let unit = self.layout.of(bank).unit();
        self.act_ok[bank] = self.act_ok[bank].max(tick + self.rules.refpb_act);
        self.acts_ahead.add(bank, self.act_ok[bank]);
        self.unit_act_ok[unit] = self.unit_act_ok[unit].max(tick + self.rules.refpb_act_other);
        self.unit_refpb_ok[unit] = self.unit_refpb_ok[unit].max(tick + self.rules.refpb_refpb);
        self.hold_row_bus(tick + self.rules.ref_ticks);
    }

    /// All that decides the future: times as far as they lie ahead of `now`, rows relative to `row`.
    pub fn encode(&self, now: u64, row: u32, out: &mut Vec<u64>) {
        let (banks, groups, ranks, units) =
            (self.layout.banks, self.layout.groups, self.layout.ranks, self.layout.units);
        let times = [
            &self.act_ok[..banks],
            &self.pre_ok[..banks],
            &self.refpb_ok[..banks],
            self.column_ok[..banks].as_flattened(),
            &self.group_act_ok[..groups],
            self.group_column_ok[..groups].as_flattened(),
            self.rank_column_ok[..ranks].as_flattened(),
            &self.unit_act_ok[..units],
            &self.unit_pre_ok[..units],
            &self.unit_preab_ok[..units],
            &[self.row_bus, self.column_bus],
        ];
        out.extend(times.iter().flat_map(|times| times.iter().map(|time| time.saturating_sub(now))));
        out.push(self.open);
        out.extend(self.row[..banks].iter().map(|&open| if open == CLOSED { 0 } else { relative_row(open, row) }));
        for unit in 0..units {
            out.push(self.refresh_bank_after(unit).saturating_sub(now));
            let turn = self.act_turn[unit] as usize;
            let window = |at: usize| self.acts[unit][(turn + at) % 4] + self.rules.act_window;
            out.extend((0..4).map(|at| window(at).saturating_sub(now)));
        }
    }

    /// Moves all times ahead and all open rows up.
    pub fn shift(&mut self, ticks: u64, rows: u32) {
        // Slice by slice, which the compiler turns into vectors.
        let all: [&mut [u64]; 12] = [
            &mut self.act_ok,
            &mut self.pre_ok,
            &mut self.refpb_ok,
            &mut self.group_act_ok,
            &mut self.unit_act_ok,
            &mut self.unit_pre_ok,
            &mut self.unit_preab_ok,
            &mut self.unit_refpb_ok,
            self.column_ok.as_flattened_mut(),
            self.group_column_ok.as_flattened_mut(),
            self.rank_column_ok.as_flattened_mut(),
            self.acts.as_flattened_mut(),
        ];
        for times in all {
            times.iter_mut().for_each(|time| *time += ticks);
        }
        self.row_bus += ticks;
        self.column_bus += ticks;
        self.pre_floor += ticks;
        self.acts_ahead.shift(ticks);
        self.pres_ahead.shift(ticks);
        for row in self.row.iter_mut().filter(|row| **row != CLOSED) {
            *row = row.wrapping_add(rows);
        }
    }
}

/// Moves `ok` of both kinds up to `tick` and as many ticks.
#[inline]
fn raise(ok: &mut [u64; 2], tick: u64, ticks: [u64; 2]) {
    *ok = [ok[0].max(tick + ticks[0]), ok[1].max(tick + ticks[1])];
}

/// Never 0, which stands for a closed bank.
pub fn relative_row(row: u32, base: u32) -> u64 {
    u64::from(row.wrapping_sub(base)) + 1
}
