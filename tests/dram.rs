//! Each command rule of a DRAM device is tight: the command goes out at exactly the tick the rule gives, and one clock
//! later when the rule asks for one more. Then what theory says a stream can reach, and descriptions that cannot be.

use rdu::memory::dram::config::{Commands, Controller, Map, Organisation, Page, Refresh, Scheduler, Timings};
use rdu::memory::dram::{Addresses, Command, Config, Dram, DramError, Each, Issued, Options, Replay, Traffic};

/// A DIMM with one command bus; times are those of DDR4-3200, in CK.
fn device() -> Config {
    Config {
        name: "dimm".into(),
        organisation: Organisation {
            stacks: 1,
            channels: 1,
            pseudo_channels: 1,
            ranks: 2,
            ranks_stacked: false,
            bank_groups: 4,
            banks: 4,
            rows: 1 << 10,
            columns: 1024,
            bus_bits: 64,
            burst_length: 8,
            beats_per_clock: 2,
            commands: Commands::default(),
        },
        timings: Timings {
            tck_fs: 625_000,
            tcl: 22,
            tcwl: 16,
            trcd_rd: 22,
            trcd_wr: 20,
            trp: 22,
            tras: 52,
            trc: 74,
            trrd_s: 4,
            trrd_l: 8,
            tfaw: 34,
            tccd_s: 4,
            tccd_l: 8,
            tccd_l_wr: None,
            tccd_r: Some(6),
            twtr_s: 4,
            twtr_l: 12,
            twtr_r: Some(3),
            trtw: 12,
            trtw_r: None,
            twr: 24,
            trtp: 12,
            tppd: 0,
            trefi: 12480,
            trfc: 576,
            trefi_pb: 0,
            trfc_pb: 0,
            trrefd: 0,
        },
        controller: Controller {
            scheduler: Scheduler::FrfcfsRowHit,
            page: Page::Open,
            refresh: Refresh::None,
            read_queue: 32,
            write_queue: 32,
            write_high_percent: 80,
            write_low_percent: 20,
            bank_queue: 8,
            row_hit_cap: 4,
            idle_writes: 8,
        },
        map: Map {
            interleave_bytes: None,
            hashed: false,
            fields: ["column", "bank_group", "bank", "rank", "row"].map(String::from).to_vec(),
            xor: Vec::new(),
        },
    }
}

/// A request: rank, bank group, bank, row, column; whether it writes; the tick it comes at.
type Ask = ([u64; 5], bool, u64);

fn read(place: [u64; 5]) -> Ask {
    (place, false, 0)
}

fn play(config: &Config, asks: &[Ask]) -> Vec<Issued> {
    let address =
        |[rank, group, bank, row, column]: [u64; 5]| (column | group << 7 | bank << 9 | rank << 11 | row << 12) * 64;
    let addresses: Vec<u64> = asks.iter().map(|ask| address(ask.0)).collect();
    let writes: Vec<bool> = asks.iter().map(|ask| ask.1).collect();
    let arrivals: Vec<u64> = asks.iter().map(|ask| ask.2 * 625).collect();
    let traffic = Traffic {
        addresses: Addresses::List(&addresses),
        bytes: Each::All(64),
        writes: Each::List(&writes),
        arrivals_ps: Some(&arrivals),
    };
    let dram = Dram::new(config.clone()).expect("the device holds");
    dram.replay(&traffic, &Options { trace: true, ..Options::default() }, &|| false).expect("plays").trace
}

/// Ticks from the `n`-th command of one sort to the `m`-th of another.
fn gap(trace: &[Issued], (first, n): (Command, usize), (second, m): (Command, usize)) -> u64 {
    let find = |command, n| trace.iter().filter(|at| at.command == command).nth(n).expect("it was sent").tick;
    find(second, m) - find(first, n)
}

#[test]
fn every_rule_is_tight() {
    use Command::*;
    type Change = fn(&mut Config, u32);
    // Name; the rule's value set to `x`; its value; requests; from and to; what `x` of the rule means in ticks.
    type Row<'a> = (&'a str, Change, u32, &'a [Ask], (Command, usize), (Command, usize), u32);
    let hit = [0, 0, 0, 0, 0];
    let (other_column, other_row) = ([0, 0, 0, 0, 1], [0, 0, 0, 1, 0]);
    let write = |place, tick| (place, true, tick);
    let five: Vec<Ask> = [0, 1, 2, 3].iter().map(|&g| read([0, g, 0, 0, 0])).chain([read([0, 0, 1, 0, 0])]).collect();
    let rows: [Row; 17] = [
        ("tRCD read", |c, x| c.timings.trcd_rd = x, 22, &[read(hit)], (Activate, 0), (Read, 0), 0),
        ("tRCD write", |c, x| c.timings.trcd_wr = x, 20, &[write(hit, 0)], (Activate, 0), (Write, 0), 0),
        ("tRAS", |c, x| c.timings.tras = x, 51, &[read(hit), read(other_row)], (Activate, 0), (Precharge, 0), 0),
        (
            "tRP",
            |c, x| (c.timings.trp, c.timings.trc) = (x, 52 + x),
            21,
            &[read(hit), read(other_row)],
            (Precharge, 0),
            (Activate, 1),
            0,
        ),
        ("tRC", |c, x| c.timings.trc = x, 90, &[read(hit), read(other_row)], (Activate, 0), (Activate, 1), 0),
        ("tRTP", |c, x| c.timings.trtp = x, 40, &[read(hit), read(other_row)], (Read, 0), (Precharge, 0), 0),
        (
            "tRRD_L",
            |c, x| c.timings.trrd_l = x,
            8,
            &[read(hit), read([0, 0, 1, 0, 0])],
            (Activate, 0),
            (Activate, 1),
            0,
        ),
        (
            "tRRD_S",
            |c, x| c.timings.trrd_s = x,
            5,
            &[read(hit), read([0, 1, 0, 0, 0])],
            (Activate, 0),
            (Activate, 1),
            0,
        ),
        ("tFAW", |c, x| c.timings.tfaw = x, 60, &five, (Activate, 0), (Activate, 4), 0),
        ("tCCD_L", |c, x| c.timings.tccd_l = x, 9, &[read(hit), read(other_column)], (Read, 0), (Read, 1), 0),
        ("tCCD_S", |c, x| c.timings.tccd_s = x, 7, &[read(hit), read([0, 1, 0, 0, 0])], (Read, 0), (Read, 1), 0),
        ("tCCD_R", |c, x| c.timings.tccd_r = Some(x), 11, &[read(hit), read([1, 0, 0, 0, 0])], (Read, 0), (Read, 1), 0),
        ("tRTW", |c, x| c.timings.trtw = x, 30, &[read(hit), write(other_column, 30)], (Read, 0), (Write, 0), 0),
        (
            "tWTR_L",
            |c, x| c.timings.twtr_l = x,
            12,
            &[write(hit, 0), (other_column, false, 30)],
            (Write, 0),
            (Read, 0),
            20,
        ),
        ("tWR", |c, x| c.timings.twr = x, 24, &[write(hit, 0), (other_row, false, 30)], (Write, 0), (Precharge, 0), 20),
        (
            "tPPD",
            |c, x| c.timings.tppd = x,
            40,
            &[read(hit), read([0, 1, 0, 0, 0]), read(other_row), read([0, 1, 0, 1, 0])],
            (Precharge, 0),
            (Precharge, 1),
            0,
        ),
        (
            "tRFC",
            |c, x| {
                c.controller.refresh = Refresh::AllBank;
                c.organisation.ranks = 1;
                c.timings.trfc = x;
            },
            300,
            // The first leaves a row to close; the second comes while the refresh runs.
            &[read(hit), ([0, 0, 0, 1, 0], false, 12_600)],
            (RefreshAll, 0),
            (Activate, 1),
            0,
        ),
    ];
    for (name, change, value, asks, first, second, offset) in rows {
        for more in [0, 1] {
            let mut config = device();
            change(&mut config, value + more);
            let found = gap(&play(&config, asks), first, second);
            assert_eq!(found, u64::from(value + more + offset), "{name} set to {}", value + more);
        }
    }
}

/// Plays evenly spaced or scattered reads.
fn stream(config: &Config, scattered: bool, count: u64) -> Replay {
    let dram = Dram::new(config.clone()).expect("the device holds");
    let bursts = dram.capacity_bytes() / 64;
    // A multiplier coprime to the number of bursts visits each once, far apart.
    let step = if scattered { 0x9E37_79B9_7F4A_7C15 } else { 1 };
    let addresses: Vec<u64> = (0..count).map(|k: u64| k.wrapping_mul(step) % bursts * 64).collect();
    let traffic = Traffic {
        addresses: Addresses::List(&addresses),
        bytes: Each::All(64),
        writes: Each::All(false),
        arrivals_ps: None,
    };
    dram.replay(&traffic, &Options::default(), &|| false).expect("plays")
}

#[test]
fn streams_keep_within_theory() {
    let mut config = device();
    config.organisation.ranks = 1;
    config.controller.refresh = Refresh::AllBank;
    config.map.fields = ["bank_group", "column", "bank", "rank", "row"].map(String::from).to_vec();
    let (t, burst) = (&config.timings, 4.0);
    let awake = 1.0 - f64::from(t.trfc) / f64::from(t.trefi);
    let sequential = stream(&config, false, 200_000).peak_fraction;
    // Closing the rows before a refresh and opening them after costs a little more.
    assert!(sequential <= awake && sequential > awake - 0.02, "{sequential} of {awake}");
    let random = stream(&config, true, 100_000).peak_fraction;
    let window = 4.0 * burst / f64::from(t.tfaw) * awake;
    assert!(random <= window && random > 0.9 * window, "{random} of {window}");
}

#[test]
fn no_request_starves_behind_row_hits() {
    for scheduler in [Scheduler::Frfcfs, Scheduler::FrfcfsRowHit, Scheduler::BankQueues] {
        let mut config = device();
        config.controller.scheduler = scheduler;
        config.controller.refresh = Refresh::None;
        config.timings.trefi = 1500;
        // Hits of one row at the pace of its bank group, which leaves no gap for a precharge, and one read of another row.
        let mut asks: Vec<Ask> = (0..8000).map(|k| read([0, 0, 0, 0, k % 128])).collect();
        asks.insert(40, read([0, 0, 0, 1, 0]));
        let trace = play(&config, &asks);
        let opened = trace.iter().find(|at| at.command == Command::Activate && at.row == 1).expect("it is served").tick;
        let waits = 8 * u64::from(config.timings.trefi) + 40 * u64::from(config.timings.tccd_l);
        assert!(opened < waits, "{scheduler:?}: {opened} ticks, at most {waits}");
        let last = trace.last().expect("something was sent").tick;
        assert!(last > 4 * waits, "the hits would have gone on until {last}");
    }
}

#[test]
fn refreshes_come_on_time() {
    let mut config = device();
    config.controller.refresh = Refresh::AllBank;
    let run = stream(&config, false, 200_000);
    let due = run.elapsed_ticks / u64::from(config.timings.trefi) * u64::from(config.organisation.ranks);
    assert!(run.commands[Command::RefreshAll as usize].abs_diff(due) <= 2);
    let idle = run.idle_total();
    assert_eq!(run.busy_ticks + idle.total(), run.elapsed_ticks);
    assert!(idle.refresh > 0);
}

#[test]
fn wrong_descriptions_are_named() {
    let refused = |change: fn(&mut Config), part: &str| {
        let mut config = device();
        change(&mut config);
        let error = Dram::new(config).expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(
        |c| c.timings.trc = c.timings.tras + c.timings.trp - 1,
        "timings.trc is 73; it must be at least tras + trp",
    );
    refused(|c| c.timings.tck_fs = 0, "timings.tck_fs is 0");
    refused(|c| c.organisation.banks = 0, "organisation.banks is 0");
    refused(|c| c.organisation.banks = 3, "organisation.banks is 3; the address map needs a power of two");
    refused(|c| c.controller.read_queue = 0, "controller.read_queue is 0");
    refused(|c| c.controller.write_low_percent = 90, "controller.write_low_percent is 90");
    refused(|c| c.map.fields.truncate(4), "map.fields places 0 bits of row, whose size 1024 takes 10");
    refused(|c| c.map.fields[0] = "col".into(), "map.fields has \"col\"; known are");
    let mut odd = device();
    odd.organisation.rows = 768;
    assert!(Dram::new(odd).is_ok(), "the topmost field needs no power of two");
}

#[test]
fn wrong_requests_are_named() {
    let dram = Dram::new(device()).expect("the device holds");
    let capacity = dram.capacity_bytes();
    let ask = |addresses: &[u64], bytes, arrivals_ps| {
        let (addresses, writes) = (Addresses::List(addresses), Each::All(false));
        let traffic = Traffic { addresses, bytes: Each::All(bytes), writes, arrivals_ps };
        dram.replay(&traffic, &Options::default(), &|| false).expect_err("refused")
    };
    assert!(matches!(ask(&[0, capacity], 1, None), DramError::Outside { request: 1, .. }));
    assert!(matches!(ask(&[u64::MAX], 64, None), DramError::Outside { request: 0, .. }));
    assert!(matches!(ask(&[64], 0, None), DramError::Empty { request: 0, address: 64 }));
    assert!(matches!(ask(&[0, 64], 64, Some(&[5, 4])), DramError::Order { request: 1, before: 0, .. }));
    assert!(matches!(ask(&[0, 64], 64, Some(&[5])), DramError::Length { length: 1, requests: 2, .. }));
    let stopped = dram.replay(
        &Traffic {
            addresses: Addresses::Pattern { start: 0, stride: 64, count: 1 << 20 },
            bytes: Each::All(64),
            writes: Each::All(false),
            arrivals_ps: None,
        },
        &Options::default(),
        &|| true,
    );
    assert_eq!(stopped, Err(DramError::Stopped));
}
