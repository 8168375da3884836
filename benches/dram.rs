//! Requests per CPU second of the DRAM model, every burst timed, beside the goals and beside the simulators it is
//! measured against. `cargo bench --bench dram`. The peers' speeds are requests per CPU second of one thread on the same
//! streams, single channel: Ramulator 2.1 (c5b1c3a4) and DRAMsim3 (29817593), 500 k sequential and 200 k random reads.
//! `replay` is what anybody gets who asks for a replay, repeated states walked at once; `burst by burst` leaves that out.

use std::time::Instant;

use rdu::memory::dram::config::{Commands, Controller, Map, Organisation, Page, Refresh, Scheduler, Timings};
use rdu::memory::dram::{Addresses, Config, Dram, Each, Options, Traffic};

/// Goals in millions of requests per second.
const GOALS: [(&str, f64); 2] = [("sequential", 20.0), ("random", 4.0)];

fn device(name: &str, organisation: Organisation, timings: Timings, fields: &[&str], queue: u32) -> Config {
    Config {
        name: name.into(),
        organisation,
        timings,
        controller: Controller {
            scheduler: Scheduler::FrfcfsRowHit,
            page: Page::Open,
            refresh: Refresh::AllBank,
            read_queue: queue,
            write_queue: queue.min(64),
            write_high_percent: 80,
            write_low_percent: 20,
            bank_queue: 8,
            row_hit_cap: 4,
            idle_writes: 8,
        },
        map: Map {
            interleave_bytes: Some(256),
            hashed: false,
            fields: fields.iter().map(|field| field.to_string()).collect(),
            xor: Vec::new(),
        },
    }
}

/// HBM2 at 2 Gb/s a pin, times in CK of 1 ns.
fn hbm2(channels: u32, rows: u32) -> Config {
    let organisation = Organisation {
        stacks: 1,
        channels,
        pseudo_channels: 2,
        ranks: 1,
        ranks_stacked: false,
        bank_groups: 4,
        banks: 4,
        rows,
        columns: 128,
        bus_bits: 64,
        burst_length: 4,
        beats_per_clock: 2,
        commands: Commands { row_bus: true, activate_ticks: 2, ..Commands::default() },
    };
    let timings = Timings {
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
        trefi: 3900,
        trfc: 260,
        trefi_pb: 122,
        trfc_pb: 160,
        trrefd: 8,
    };
    let fields = ["column:1", "pseudo_channel", "bank_group", "column", "bank", "rank", "row"];
    device("hbm2-2000", organisation, timings, &fields, 64)
}

/// HBM3 at 6.4 Gb/s a pin, times in CK of 0.625 ns.
fn hbm3() -> Config {
    let mut config = hbm2(1, 1 << 14);
    config.name = "hbm3-6400".into();
    config.controller.read_queue = 128;
    let o = &mut config.organisation;
    (o.ranks, o.ranks_stacked, o.columns, o.bus_bits, o.burst_length, o.beats_per_clock) = (2, true, 256, 32, 8, 4);
    o.commands.ticks_per_clock = 2;
    (o.commands.activate_ticks, o.commands.column_ticks) = (3, 2);
    let t = &mut config.timings;
    (t.tck_fs, t.tcl, t.tcwl, t.trcd_rd, t.trcd_wr) = (625_000, 20, 10, 31, 15);
    (t.trp, t.tras, t.trc, t.trrd_l, t.tfaw) = (26, 45, 72, 5, 24);
    (t.tccd_r, t.twtr_s, t.twtr_l, t.trtw, t.twr, t.trtp, t.tppd) = (Some(3), 7, 10, 20, 33, 9, 2);
    (t.trefi, t.trfc, t.trefi_pb, t.trfc_pb) = (6240, 560, 195, 320);
    config
}

/// DDR4-3200, one rank, times in CK of 0.625 ns.
fn ddr4() -> Config {
    let mut config = hbm2(1, 1 << 16);
    config.name = "ddr4-3200".into();
    (config.controller.read_queue, config.controller.write_queue) = (32, 32);
    let o = &mut config.organisation;
    (o.pseudo_channels, o.columns, o.burst_length, o.commands) = (1, 1024, 8, Commands::default());
    let t = &mut config.timings;
    (t.tck_fs, t.tcl, t.tcwl, t.trcd_rd, t.trcd_wr) = (625_000, 22, 16, 22, 22);
    (t.trp, t.tras, t.trc, t.trrd_l, t.tfaw, t.tccd_s, t.tccd_l) = (22, 52, 74, 8, 34, 4, 8);
    (t.twtr_s, t.twtr_l, t.trtw, t.twr, t.trtp, t.trefi, t.trfc) = (4, 12, 12, 24, 12, 12480, 576);
    config.map.fields = ["bank_group", "column", "bank", "rank", "row"].map(String::from).to_vec();
    config
}

/// CPU seconds of this thread, or those of the clock on the wall where the system does not say.
fn cpu_seconds(since: Instant) -> f64 {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let busy_ns = said.and_then(|said| said.split_whitespace().next()?.parse::<f64>().ok());
    busy_ns.map_or_else(|| since.elapsed().as_secs_f64(), |busy_ns| busy_ns * 1e-9)
}

/// Millions of requests per second.
fn rate(config: &Config, random: bool, skip: bool) -> f64 {
    let requests: u64 = if random { 500_000 } else { 2_000_000 };
    let dram = Dram::new(config.clone()).expect("the device holds");
    let burst = config.organisation.burst_bytes();
    let bursts = dram.capacity_bytes() / burst;
    let spread = |k: u64| {
        let x = (k ^ (k >> 30)).wrapping_add(1).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 16
    };
    let address = |k: u64| if random { spread(k) % bursts } else { k % bursts } * burst;
    let addresses: Vec<u64> = (0..requests).map(address).collect();
    let traffic = Traffic {
        addresses: Addresses::List(&addresses),
        bytes: Each::All(burst),
        writes: Each::All(false),
        arrivals_ps: None,
    };
    let options = Options { skip, ..Options::default() };
    let origin = Instant::now();
    let seconds = (0..5).map(|_| {
        let start = cpu_seconds(origin);
        dram.replay(&traffic, &options, &|| false).expect("plays");
        cpu_seconds(origin) - start
    });
    requests as f64 / seconds.fold(f64::INFINITY, f64::min) / 1e6
}

fn main() {
    if cfg!(debug_assertions) {
        eprintln!("rates of a debug build mean nothing: use `cargo bench`");
        std::process::exit(2);
    }
    // Ramulator 2.1 sequential and random, DRAMsim3 sequential and random, requests per CPU second.
    let rows = [
        (hbm2(1, 1 << 15), [258_906.0, 75_855.0, 458_295.0, 99_369.0]),
        (hbm3(), [73_408.0, 27_811.0, f64::NAN, f64::NAN]),
        (ddr4(), [246_645.0, 105_775.0, 271_164.0, 105_808.0]),
    ];
    println!("                         M requests/s          goal   times as fast as");
    println!("device       stream      replay burst by burst        Ramulator 2   DRAMsim3");
    for (config, peers) in rows {
        for (random, (stream, goal)) in GOALS.into_iter().enumerate() {
            let [found, plain] = [true, false].map(|skip| rate(&config, random == 1, skip));
            let times = |peer: f64| if peer.is_nan() { "-".to_owned() } else { format!("{:.0}", found * 1e6 / peer) };
            let (ramulator, dramsim) = (times(peers[random]), times(peers[2 + random]));
            println!("{:12} {stream:10} {found:7.2} {plain:14.2} {goal:6} {ramulator:>12} {dramsim:>10}", config.name);
        }
    }
    // 64 GiB of a socket: four stacks of eight channels, every burst timed.
    let mut socket = hbm2(8, 1 << 17);
    socket.organisation.stacks = 4;
    socket.timings.tck_fs = 555_556;
    let dram = Dram::new(socket).expect("the device holds");
    let burst = dram.config().organisation.burst_bytes();
    let count = (64 << 30) / burst;
    let traffic = Traffic {
        addresses: Addresses::Pattern { start: 0, stride: burst, count },
        bytes: Each::All(burst),
        writes: Each::All(false),
        arrivals_ps: None,
    };
    let start = Instant::now();
    let run = dram.replay(&traffic, &Options { skip: true, ..Options::default() }, &|| false).expect("plays");
    println!(
        "64 GiB of a socket, {count} bursts: {:.3} s (goal 1 s), {:.1} % of peak, {:.2} % jumped over",
        start.elapsed().as_secs_f64(),
        run.peak_fraction * 100.0,
        run.skipped_bursts as f64 / count as f64 * 100.0,
    );
}
