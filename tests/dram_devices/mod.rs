//! Memories of every sort for the properties.

use proptest::prelude::*;
use rdu::memory::dram::Config;
use rdu::memory::dram::config::{Commands, Controller, Map, Organisation, Page, Refresh, Scheduler, Timings};

/// HBM of the second generation: two pseudo channels, row and column bus.
pub fn hbm() -> Config {
    Config {
        name: "hbm".into(),
        organisation: Organisation {
            stacks: 1,
            channels: 1,
            pseudo_channels: 2,
            ranks: 1,
            ranks_stacked: false,
            bank_groups: 4,
            banks: 4,
            rows: 512,
            columns: 128,
            bus_bits: 64,
            burst_length: 4,
            beats_per_clock: 2,
            commands: Commands { row_bus: true, activate_ticks: 2, ..Commands::default() },
        },
        timings: Timings {
            tck_fs: 1_000_000,
            tcl: 14,
            tcwl: 5,
            trcd_rd: 14,
            trcd_wr: 12,
            trp: 14,
            tras: 34,
            trc: 48,
            trrd_s: 4,
            trrd_l: 4,
            tfaw: 15,
            tccd_s: 2,
            tccd_l: 4,
            tccd_l_wr: None,
            tccd_r: None,
            twtr_s: 6,
            twtr_l: 8,
            twtr_r: None,
            trtw: 13,
            trtw_r: None,
            twr: 16,
            trtp: 5,
            tppd: 0,
            trefi: 1300,
            trfc: 260,
            trefi_pb: 122,
            trfc_pb: 160,
            trrefd: 8,
        },
        controller: Controller {
            scheduler: Scheduler::FrfcfsRowHit,
            page: Page::Open,
            refresh: Refresh::AllBank,
            read_queue: 64,
            write_queue: 64,
            write_high_percent: 80,
            write_low_percent: 20,
            bank_queue: 8,
            row_hit_cap: 4,
            idle_writes: 8,
        },
        map: Map {
            interleave_bytes: Some(256),
            hashed: false,
            fields: ["column:1", "pseudo_channel", "bank_group", "column", "bank", "rank", "row"]
                .map(String::from)
                .to_vec(),
            xor: Vec::new(),
        },
    }
}

/// HBM with half-clock row commands and two stack levels.
fn hbm3() -> Config {
    let mut config = hbm();
    let o = &mut config.organisation;
    (o.ranks, o.ranks_stacked, o.burst_length, o.bus_bits, o.columns) = (2, true, 8, 32, 256);
    o.beats_per_clock = 4;
    o.commands = Commands {
        row_bus: true,
        ticks_per_clock: 2,
        activate_ticks: 3,
        precharge_ticks: 1,
        column_ticks: 2,
        refresh_ticks: 1,
    };
    let t = &mut config.timings;
    (t.tcl, t.tcwl, t.trcd_rd, t.trcd_wr, t.trp, t.tras, t.trc) = (20, 10, 31, 15, 26, 46, 72);
    (t.trrd_l, t.tfaw, t.tccd_r, t.trtw, t.tppd, t.trefi_pb) = (5, 24, Some(3), 20, 2, 195);
    config
}

/// A DIMM of two ranks: one command a clock.
fn ddr() -> Config {
    let mut config = hbm();
    let o = &mut config.organisation;
    (o.pseudo_channels, o.ranks, o.burst_length, o.columns) = (1, 2, 8, 1024);
    o.commands = Commands::default();
    let t = &mut config.timings;
    (t.tcl, t.tcwl, t.trcd_rd, t.trcd_wr, t.trp, t.tras, t.trc) = (22, 16, 22, 22, 22, 52, 74);
    (t.trrd_l, t.tfaw, t.tccd_s, t.tccd_l, t.trtw) = (8, 34, 4, 8, 12);
    (t.tccd_r, t.trtw_r, t.twtr_r) = (Some(6), Some(12), Some(3));
    config.map.fields = ["bank_group", "column", "bank", "rank", "row"].map(String::from).to_vec();
    config
}

/// Any of them, with other queues, policies and timings.
pub fn device() -> impl Strategy<Value = Config> {
    let base = prop_oneof![Just(hbm()), Just(hbm3()), Just(ddr())];
    let refresh = prop_oneof![
        Just(Refresh::None),
        Just(Refresh::AllBank),
        Just(Refresh::AllBankStaggered),
        Just(Refresh::PerBank),
        Just(Refresh::PerBankPaired)
    ];
    let scheduler = prop_oneof![Just(Scheduler::FrfcfsRowHit), Just(Scheduler::Frfcfs), Just(Scheduler::BankQueues)];
    let queues = (1u32..80, 1u32..80, 1u32..10, 1u32..6);
    (base, scheduler, refresh, any::<bool>(), queues, 0u32..3, 1u32..30).prop_map(
        |(mut config, scheduler, refresh, closed, (reads, writes, bank, cap), slack, faw)| {
            let c = &mut config.controller;
            c.scheduler = if config.organisation.commands.ticks_per_clock == 2 && scheduler == Scheduler::BankQueues {
                Scheduler::Frfcfs
            } else {
                scheduler
            };
            c.refresh = refresh;
            c.page = if closed { Page::Closed } else { Page::Open };
            (c.read_queue, c.write_queue, c.bank_queue, c.row_hit_cap) = (reads, writes, bank, cap);
            let t = &mut config.timings;
            (t.trc, t.trtp, t.tccd_l, t.twr) = (t.trc + slack, t.trtp + slack, t.tccd_l + slack, t.twr + slack);
            t.tfaw = t.tfaw.max(faw);
            config
        },
    )
}
