//! The description of a DRAM device, in the order of a data sheet. Times are in CK unless the name says otherwise.

mod check;

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
}
