//! The description of a DRAM device, in the order of a data sheet. Times are in CK unless the name says otherwise.

use super::error::DramError;
use super::map::AddressMap;
use serde::{Deserialize, Serialize};

/// A device: what it is, how fast its commands follow each other, who schedules them, where addresses lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub name: String,
    pub organisation: Organisation,
    pub timings: Timings,
    pub controller: Controller,
    pub map: Map,
}

/// How many of what. All channels are alike and share nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Organisation {
    #[serde(default = "one")]
    pub stacks: u32,
    /// Of each stack.
    pub channels: u32,
    /// Of each channel: own data bus and banks, shared command buses.
    #[serde(default = "one")]
    pub pseudo_channels: u32,
    /// Ranks of a DIMM, or stack levels (SID) of HBM, of each pseudo channel.
    #[serde(default = "one")]
    pub ranks: u32,
    /// Ranks are levels of one stack: they share activate windows, write-to-read times and refresh (HBM3, HBM4).
    #[serde(default)]
    pub ranks_stacked: bool,
    pub bank_groups: u32,
    /// Of each bank group.
    pub banks: u32,
    pub rows: u32,
    /// Column addresses of a row; each holds `bus_bits`.
    pub columns: u32,
    /// Data bus of one pseudo channel.
    pub bus_bits: u32,
    /// Beats of one burst.
    pub burst_length: u32,
    /// 2; 4 where data runs on a clock twice as fast as commands (HBM3, HBM4).
    #[serde(default = "two")]
    pub beats_per_clock: u32,
    #[serde(default)]
    pub commands: Commands,
}

/// How commands travel. A controller tick is `1 / ticks_per_clock` of a CK.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Commands {
    /// HBM: row and column commands have a bus each. DDR: one bus for all.
    pub row_bus: bool,
    /// 2 where half-CK row commands exist (HBM3, HBM4); then only precharges may start on a falling edge.
    pub ticks_per_clock: u32,
    /// Ticks a command holds its bus; its timings count from the last of them.
    pub activate_ticks: u32,
    pub precharge_ticks: u32,
    pub column_ticks: u32,
    pub refresh_ticks: u32,
}

impl Default for Commands {
    fn default() -> Self {
        let ticks = 1;
        let (activate_ticks, precharge_ticks, column_ticks, refresh_ticks) = (ticks, ticks, ticks, ticks);
        Commands { row_bus: false, ticks_per_clock: 1, activate_ticks, precharge_ticks, column_ticks, refresh_ticks }
    }
}

/// Least distances between commands, in CK; `_s` to another bank group, `_l` within one, `_r` to another rank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timings {
    /// Clock period in femtoseconds, so that time is exact.
    pub tck_fs: u64,
    /// Read command to first data.
    pub tcl: u32,
    /// Write command to first data.
    pub tcwl: u32,
    pub trcd_rd: u32,
    pub trcd_wr: u32,
    pub trp: u32,
    pub tras: u32,
    pub trc: u32,
    pub trrd_s: u32,
    pub trrd_l: u32,
    /// No more than four activates of a rank within this window.
    pub tfaw: u32,
    pub tccd_s: u32,
    pub tccd_l: u32,
    /// Write to write within a bank group, where it differs from `tccd_l` (DDR5).
    #[serde(default)]
    pub tccd_l_wr: Option<u32>,
    /// Read command to read command of another rank; default: the burst.
    #[serde(default)]
    pub tccd_r: Option<u32>,
    /// End of write data to read command.
    pub twtr_s: u32,
    pub twtr_l: u32,
    /// Write command to read command of another rank; default: as `twtr_s` within the rank.
    #[serde(default)]
    pub twtr_r: Option<u32>,
    /// Read command to write command.
    pub trtw: u32,
    /// Read command to write command of another rank; default: `trtw`.
    #[serde(default)]
    pub trtw_r: Option<u32>,
    /// End of write data to precharge.
    pub twr: u32,
    /// Read command to precharge.
    pub trtp: u32,
    /// Precharge to precharge of a rank.
    #[serde(default)]
    pub tppd: u32,
    /// Average distance of all-bank refreshes.
    pub trefi: u32,
    /// What an all-bank refresh takes.
    pub trfc: u32,
    /// Distance of per-bank refreshes.
    #[serde(default)]
    pub trefi_pb: u32,
    /// What a per-bank refresh takes.
    #[serde(default)]
    pub trfc_pb: u32,
    /// Per-bank refresh to an activate or a refresh of another bank.
    #[serde(default)]
    pub trrefd: u32,
}

/// Who picks the next command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheduler {
    /// Oldest ready request first.
    Frfcfs,
    /// The same, and a precharge never closes a row that an older request still hits.
    FrfcfsRowHit,
    /// A front queue feeds a queue per bank; banks take turns.
    BankQueues,
}

/// What becomes of a row after its last queued access.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Page {
    #[default]
    Open,
    /// The access precharges its bank if nothing queued hits the row.
    Closed,
}

/// What is refreshed when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refresh {
    None,
    /// All ranks and pseudo channels every `trefi`, one after the other.
    AllBank,
    /// Ranks take turns, `trefi` / ranks apart.
    AllBankStaggered,
    /// One bank of the channel every `trefi_pb`, in turn.
    PerBank,
    /// The same bank of every pseudo channel every `trefi_pb`, in turn (HBM3, HBM4).
    PerBankPaired,
}

/// Queues and policies of the controller of each channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Controller {
    pub scheduler: Scheduler,
    #[serde(default)]
    pub page: Page,
    pub refresh: Refresh,
    /// Requests.
    pub read_queue: u32,
    pub write_queue: u32,
    /// `frfcfs`: writes go when the queue is over this share, until it is under `write_low_percent` and reads wait.
    #[serde(default = "eighty")]
    pub write_high_percent: u32,
    #[serde(default = "twenty")]
    pub write_low_percent: u32,
    /// `bank_queues`: requests queued at each bank.
    #[serde(default = "eight")]
    pub bank_queue: u32,
    /// `bank_queues`: accesses to a row before an older request to another row of the bank may close it.
    #[serde(default = "four")]
    pub row_hit_cap: u32,
    /// `bank_queues`: with the bank queues empty, writes go when more than this wait.
    #[serde(default = "eight")]
    pub idle_writes: u32,
}

/// Where an address lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Map {
    /// Granules of this many bytes go round the channels; the rest of the address is closed up. Without it `fields`
    /// must place `channel` if there is more than one.
    #[serde(default)]
    pub interleave_bytes: Option<u64>,
    /// Turn each round of granules over the channels by a hash of the round's number, so that strides spread too.
    #[serde(default)]
    pub hashed: bool,
    /// Least significant first, above the burst: `column`, `pseudo_channel`, `bank_group`, `bank`, `rank`, `row`,
    /// `channel`. `name:bits` places that many bits, a bare name all that are left of it.
    pub fields: Vec<String>,
    #[serde(default)]
    pub xor: Vec<Xor>,
}

/// Exclusive-or of a field with bits of another, `with` as it stood before any exclusive-or.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Xor {
    pub field: String,
    pub with: String,
    /// The lowest bit of `with` that is used.
    #[serde(default)]
    pub from: u32,
}

fn one() -> u32 {
    1
}
fn two() -> u32 {
    2
}
fn four() -> u32 {
    4
}
fn eight() -> u32 {
    8
}
fn twenty() -> u32 {
    20
}
fn eighty() -> u32 {
    80
}

impl Organisation {
    pub fn burst_bytes(&self) -> u64 {
        u64::from(self.bus_bits) / 8 * u64::from(self.burst_length)
    }

    /// CK of a burst.
    pub fn burst_clocks(&self) -> u32 {
        self.burst_length / self.beats_per_clock.max(1)
    }

    /// Bursts of a row.
    pub fn bursts(&self) -> u32 {
        self.columns / self.burst_length.max(1)
    }

    /// Of the whole device.
    pub fn all_channels(&self) -> u64 {
        u64::from(self.stacks) * u64::from(self.channels)
    }

    /// Banks of a channel.
    pub fn all_banks(&self) -> u64 {
        [self.pseudo_channels, self.ranks, self.bank_groups, self.banks].iter().map(|&n| u64::from(n)).product()
    }

    pub fn channel_bytes(&self) -> u64 {
        self.all_banks() * u64::from(self.rows) * u64::from(self.columns) * (u64::from(self.bus_bits) / 8)
    }

    pub fn capacity_bytes(&self) -> u64 {
        self.all_channels() * self.channel_bytes()
    }
}

impl Config {
    /// Femtoseconds of a controller tick, the unit of all times below the configuration.
    pub fn tick_fs(&self) -> u64 {
        self.timings.tck_fs / u64::from(self.organisation.commands.ticks_per_clock.max(1))
    }

    /// Bytes per second with every data bus always busy.
    pub fn peak_bytes_per_second(&self) -> f64 {
        let o = &self.organisation;
        let bits_per_clock =
            u64::from(o.beats_per_clock) * o.all_channels() * u64::from(o.pseudo_channels) * u64::from(o.bus_bits);
        bits_per_clock as f64 / 8.0 / (self.timings.tck_fs as f64 * 1e-15)
    }

    /// Says what cannot be: the key, its value and the rule.
    pub fn check(&self) -> Result<(), DramError> {
        self.check_organisation()?;
        self.check_timings()?;
        self.check_controller()?;
        AddressMap::new(self).map(|_| ())
    }

    fn rule(&self, key: &'static str, value: u64, holds: bool, rule: &'static str) -> Result<(), DramError> {
        if holds { Ok(()) } else { Err(DramError::Value { device: self.name.clone(), key, value, rule }) }
    }

    fn check_organisation(&self) -> Result<(), DramError> {
        let o = &self.organisation;
        let counts = [
            ("organisation.stacks", o.stacks, 64),
            ("organisation.channels", o.channels, 4096),
            ("organisation.pseudo_channels", o.pseudo_channels, 4),
            ("organisation.ranks", o.ranks, 16),
            ("organisation.bank_groups", o.bank_groups, 16),
            ("organisation.banks", o.banks, 64),
            ("organisation.rows", o.rows, 1 << 24),
            ("organisation.columns", o.columns, 1 << 20),
            ("organisation.bus_bits", o.bus_bits, 1 << 12),
            ("organisation.burst_length", o.burst_length, 64),
        ];
        for (key, value, most) in counts {
            self.rule(key, value.into(), value >= 1 && value <= most, "at least 1 and no more than any device has")?;
        }
        self.rule("organisation.banks", o.all_banks(), o.all_banks() <= 64, "at most 64 in a channel, all together")?;
        self.rule("organisation.bus_bits", o.bus_bits.into(), o.bus_bits.is_multiple_of(8), "a multiple of 8")?;
        let beats = o.beats_per_clock;
        self.rule("organisation.beats_per_clock", beats.into(), (1..=8).contains(&beats), "between 1 and 8")?;
        let whole = o.burst_length.is_multiple_of(beats);
        self.rule(
            "organisation.burst_length",
            o.burst_length.into(),
            whole,
            "whole CK: a multiple of beats_per_clock",
        )?;
        let whole = o.columns.is_multiple_of(o.burst_length);
        self.rule("organisation.columns", o.columns.into(), whole, "a multiple of the burst length")?;
        let c = &o.commands;
        let ticks = c.ticks_per_clock;
        self.rule("organisation.commands.ticks_per_clock", ticks.into(), ticks == 1 || ticks == 2, "1 or 2")?;
        self.rule(
            "organisation.commands.ticks_per_clock",
            ticks.into(),
            ticks == 1 || c.row_bus,
            "1 without a row bus: half-CK commands are row commands",
        )?;
        for (key, value) in [
            ("organisation.commands.activate_ticks", c.activate_ticks),
            ("organisation.commands.precharge_ticks", c.precharge_ticks),
            ("organisation.commands.column_ticks", c.column_ticks),
            ("organisation.commands.refresh_ticks", c.refresh_ticks),
        ] {
            self.rule(key, value.into(), (1..=8).contains(&value), "between 1 and 8")?;
        }
        Ok(())
    }

    fn check_timings(&self) -> Result<(), DramError> {
        let t = &self.timings;
        let o = &self.organisation;
        let positive = [
            ("timings.tcl", t.tcl),
            ("timings.tcwl", t.tcwl),
            ("timings.trcd_rd", t.trcd_rd),
            ("timings.trcd_wr", t.trcd_wr),
            ("timings.trp", t.trp),
            ("timings.tras", t.tras),
            ("timings.trc", t.trc),
            ("timings.trrd_s", t.trrd_s),
            ("timings.trrd_l", t.trrd_l),
            ("timings.tfaw", t.tfaw),
            ("timings.tccd_s", t.tccd_s),
            ("timings.tccd_l", t.tccd_l),
            ("timings.trtw", t.trtw),
            ("timings.trtp", t.trtp),
        ];
        for (key, value) in positive {
            self.rule(key, value.into(), (1..1 << 20).contains(&value), "at least 1 CK and less than a million")?;
        }
        let small = [
            ("timings.twtr_s", t.twtr_s),
            ("timings.twtr_l", t.twtr_l),
            ("timings.twr", t.twr),
            ("timings.tppd", t.tppd),
            ("timings.tccd_l_wr", t.tccd_l_wr.unwrap_or(0)),
            ("timings.tccd_r", t.tccd_r.unwrap_or(0)),
            ("timings.twtr_r", t.twtr_r.unwrap_or(0)),
            ("timings.trtw_r", t.trtw_r.unwrap_or(0)),
            ("timings.trefi", t.trefi),
            ("timings.trfc", t.trfc),
            ("timings.trefi_pb", t.trefi_pb),
            ("timings.trfc_pb", t.trfc_pb),
            ("timings.trrefd", t.trrefd),
        ];
        for (key, value) in small {
            self.rule(key, value.into(), value < 1 << 20, "less than a million CK")?;
        }
        let burst = o.burst_clocks();
        let ticks = u64::from(o.commands.ticks_per_clock);
        self.rule("timings.tck_fs", t.tck_fs, t.tck_fs > 0 && t.tck_fs < 1 << 40, "positive and under a millisecond")?;
        self.rule("timings.tck_fs", t.tck_fs, t.tck_fs.is_multiple_of(ticks), "a multiple of ticks_per_clock")?;
        self.rule("timings.trc", t.trc.into(), t.trc >= t.tras + t.trp, "at least tras + trp")?;
        self.rule("timings.tras", t.tras.into(), t.tras >= t.trcd_rd, "at least trcd_rd")?;
        self.rule("timings.trrd_l", t.trrd_l.into(), t.trrd_l >= t.trrd_s, "at least trrd_s")?;
        self.rule("timings.tfaw", t.tfaw.into(), t.tfaw >= t.trrd_s, "at least trrd_s")?;
        self.rule("timings.tccd_s", t.tccd_s.into(), t.tccd_s >= burst, "at least the CK of a burst")?;
        self.rule("timings.tccd_l", t.tccd_l.into(), t.tccd_l >= t.tccd_s, "at least tccd_s")?;
        if let Some(value) = t.tccd_l_wr {
            self.rule("timings.tccd_l_wr", value.into(), value >= t.tccd_s, "at least tccd_s")?;
        }
        if let Some(value) = t.tccd_r {
            self.rule("timings.tccd_r", value.into(), value >= burst, "at least the CK of a burst")?;
        }
        self.rule("timings.twtr_l", t.twtr_l.into(), t.twtr_l >= t.twtr_s, "at least twtr_s")?;
        // Data of the read must have left the bus when that of the write comes.
        let clear = (t.tcl + burst).saturating_sub(t.tcwl);
        self.rule("timings.trtw", t.trtw.into(), t.trtw >= clear, "at least tcl + the burst - tcwl")?;
        Ok(())
    }

    fn check_controller(&self) -> Result<(), DramError> {
        let (c, t) = (&self.controller, &self.timings);
        for (key, value) in [("controller.read_queue", c.read_queue), ("controller.write_queue", c.write_queue)] {
            self.rule(key, value.into(), (1..=1024).contains(&value), "between 1 and 1024")?;
        }
        let (high, low) = (c.write_high_percent, c.write_low_percent);
        self.rule("controller.write_high_percent", high.into(), high < 100, "under 100, or writes never drain")?;
        self.rule("controller.write_low_percent", low.into(), low <= high, "at most write_high_percent")?;
        self.rule("controller.bank_queue", c.bank_queue.into(), (1..=256).contains(&c.bank_queue), "1 to 256")?;
        let half = self.organisation.commands.ticks_per_clock == 2 && c.scheduler == Scheduler::BankQueues;
        self.rule("organisation.commands.ticks_per_clock", 2, !half, "1 with the scheduler bank_queues")?;
        self.rule("controller.row_hit_cap", c.row_hit_cap.into(), c.row_hit_cap >= 1, "at least 1")?;
        match c.refresh {
            Refresh::None => {}
            Refresh::AllBank | Refresh::AllBankStaggered => {
                self.rule("timings.trfc", t.trfc.into(), t.trfc >= 1, "at least 1, or refresh = none")?;
                // Between two refreshes each unit of them must close, refresh and get a row cycle of work done.
                let o = &self.organisation;
                let units = o.pseudo_channels * if o.ranks_stacked { 1 } else { o.ranks };
                let least = u64::from(t.trfc) + 2 * u64::from(t.trc) * u64::from(units);
                let rule = "more than trfc and two row cycles of each rank and pseudo channel";
                self.rule("timings.trefi", t.trefi.into(), u64::from(t.trefi) > least, rule)?;
            }
            Refresh::PerBank | Refresh::PerBankPaired => {
                self.rule("timings.trfc_pb", t.trfc_pb.into(), t.trfc_pb >= 1, "at least 1, or refresh = none")?;
                let pairs = if c.refresh == Refresh::PerBank { 1 } else { self.organisation.pseudo_channels };
                let least = u64::from(pairs) * (u64::from(t.trc) + u64::from(t.trrefd));
                let rule = "more than trc + trrefd for each bank refreshed together";
                self.rule("timings.trefi_pb", t.trefi_pb.into(), u64::from(t.trefi_pb) > least, rule)?;
            }
        }
        Ok(())
    }
}
