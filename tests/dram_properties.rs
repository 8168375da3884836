//! What holds for every DRAM device and any traffic. Commands are judged by a checker of its own, written from the
//! data-sheet rules: it measures from the last tick of one command to the last tick of another.

mod dram_devices;

use dram_devices::{device, hbm};
use proptest::prelude::*;
use rdu::memory::dram::config::{Refresh, Scheduler};
use rdu::memory::dram::{Addresses, Command, Config, Dram, Each, Issued, Options, Replay, Traffic};

/// A bank as the checker sees it: its open row.
type Rows = Vec<Option<u32>>;

/// Judges the commands of one channel.
struct Checker<'a> {
    config: &'a Config,
    scale: u64,
}

impl Checker<'_> {
    fn ticks(&self, command: Command) -> u64 {
        let c = &self.config.organisation.commands;
        u64::from(match command {
            Command::Activate => c.activate_ticks,
            Command::Precharge | Command::PrechargeAll => c.precharge_ticks,
            Command::RefreshAll | Command::RefreshBank => c.refresh_ticks,
            _ => c.column_ticks,
        })
    }

    fn unit(&self, at: &Issued) -> (u8, u8) {
        (at.pseudo_channel, if self.config.organisation.ranks_stacked { 0 } else { at.rank })
    }

    fn bank(&self, at: &Issued) -> usize {
        let o = &self.config.organisation;
        let rank = at.pseudo_channel as u32 * o.ranks + u32::from(at.rank);
        ((rank * o.bank_groups + u32::from(at.bank_group)) * o.banks + u32::from(at.bank)) as usize
    }

    /// Whether a command of a whole unit or one bank touches the other's bank.
    fn meets(&self, a: &Issued, b: &Issued) -> bool {
        let whole = |at: &Issued| matches!(at.command, Command::PrechargeAll | Command::RefreshAll);
        self.unit(a) == self.unit(b) && (whole(a) || whole(b) || self.bank(a) == self.bank(b))
    }

    /// Least clocks from one command to a later one, with the rule's name.
    fn rules(&self, a: &Issued, b: &Issued) -> Vec<(u32, &'static str)> {
        use Command::*;
        let (t, o) = (&self.config.timings, &self.config.organisation);
        let burst = o.burst_length / o.beats_per_clock;
        let mut rules = Vec::new();
        let (reads, writes) = (|c| matches!(c, Read | ReadClose), |c| matches!(c, Write | WriteClose));
        let closes = |c| matches!(c, Precharge | PrechargeAll);
        if self.meets(a, b) {
            match (a.command, b.command) {
                (Activate, Activate) => rules.push((t.trc, "tRC")),
                (Activate, c) if reads(c) => rules.push((t.trcd_rd, "tRCD")),
                (Activate, c) if writes(c) => rules.push((t.trcd_wr, "tRCD")),
                (Activate, c) if closes(c) => rules.push((t.tras, "tRAS")),
                (c, Activate) if closes(c) => rules.push((t.trp, "tRP")),
                (c, RefreshAll | RefreshBank) if closes(c) => rules.push((t.trp, "tRP to refresh")),
                (c, d) if reads(c) && closes(d) => rules.push((t.trtp, "tRTP")),
                (c, d) if writes(c) && closes(d) => rules.push((t.tcwl + burst + t.twr, "tWR")),
                (RefreshAll, Activate) => rules.push((t.trfc, "tRFC")),
                (RefreshBank, Activate) => rules.push((t.trfc_pb, "tRFCpb")),
                _ => {}
            }
        }
        let same_group = (a.rank, a.bank_group) == (b.rank, b.bank_group);
        if self.unit(a) == self.unit(b) {
            match (a.command, b.command) {
                (Activate, Activate) if same_group => rules.push((t.trrd_l, "tRRD_L")),
                (Activate, Activate) => rules.push((t.trrd_s, "tRRD_S")),
                (RefreshBank, RefreshBank) => rules.push((t.trrefd, "tRREFD")),
                (c, d) if closes(c) && closes(d) => rules.push((t.tppd, "tPPD")),
                _ => {}
            }
        }
        if a.pseudo_channel == b.pseudo_channel {
            let pick = |l, s, r| {
                if a.rank != b.rank {
                    r
                } else if same_group {
                    l
                } else {
                    s
                }
            };
            let after_write = |turn| t.tcwl + burst + turn;
            match (a.command, b.command) {
                (c, d) if reads(c) && reads(d) => {
                    rules.push((pick(t.tccd_l, t.tccd_s, t.tccd_r.unwrap_or(burst)), "tCCD"));
                }
                (c, d) if writes(c) && writes(d) => {
                    rules.push((pick(t.tccd_l_wr.unwrap_or(t.tccd_l), t.tccd_s, burst), "tCCD of writes"));
                }
                (c, d) if reads(c) && writes(d) => {
                    rules.push((pick(t.trtw, t.trtw, t.trtw_r.unwrap_or(t.trtw)), "tRTW"));
                }
                (c, d) if writes(c) && reads(d) => {
                    let other = t.twtr_r.unwrap_or(after_write(t.twtr_s));
                    rules.push((pick(after_write(t.twtr_l), after_write(t.twtr_s), other), "tWTR"));
                }
                _ => {}
            }
        }
        rules
    }

    fn check(&self, trace: &[Issued]) -> Result<(), String> {
        let o = &self.config.organisation;
        let (t, c) = (&self.config.timings, &o.commands);
        let last = |at: &Issued| at.tick + self.ticks(at.command) - 1;
        let mut rows: Rows = vec![None; o.all_banks() as usize];
        let mut closing = vec![(0, 0); o.all_banks() as usize];
        let mut data: Vec<u64> = vec![0; o.pseudo_channels as usize];
        for (at, b) in trace.iter().enumerate() {
            let row_bus = |at: &Issued| c.row_bus && !at.command.is_column();
            for a in trace[..at].iter().rev() {
                if b.tick - a.tick > 400 * self.scale {
                    break;
                }
                for (clocks, name) in self.rules(a, b) {
                    if last(b) < last(a) + u64::from(clocks) * self.scale {
                        return Err(format!("{name} of {clocks} CK broken by {a:?} then {b:?}"));
                    }
                }
                if row_bus(a) == row_bus(b) && b.tick < a.tick + self.ticks(a.command) {
                    return Err(format!("two commands on one bus: {a:?} and {b:?}"));
                }
            }
            if b.command == Command::Activate {
                let earlier = trace[..at].iter().rev();
                let fourth = earlier.filter(|a| a.command == b.command && self.unit(a) == self.unit(b)).nth(3);
                if fourth.is_some_and(|a| b.tick < a.tick + u64::from(t.tfaw) * self.scale) {
                    return Err(format!("tFAW broken by {b:?} after {fourth:?}"));
                }
            }
            let precharges = matches!(b.command, Command::Precharge | Command::PrechargeAll);
            if c.ticks_per_clock == 2 && b.tick % 2 == 0 && !precharges {
                return Err(format!("on a falling edge: {b:?}"));
            }
            let bank = self.bank(b);
            let banks = (0..rows.len()).filter(|&other| {
                let probe = |bank: usize| {
                    let rank = bank / (o.bank_groups * o.banks) as usize;
                    ((rank / o.ranks as usize) as u8, if o.ranks_stacked { 0 } else { (rank % o.ranks as usize) as u8 })
                };
                probe(other) == self.unit(b)
            });
            match b.command {
                Command::Activate => {
                    let (from, ticks) = closing[bank];
                    if rows[bank].is_some() || b.tick < from + ticks {
                        return Err(format!("activate of an open bank: {b:?}"));
                    }
                    rows[bank] = Some(b.row);
                }
                Command::Precharge => rows[bank] = None,
                Command::PrechargeAll => banks.for_each(|bank| rows[bank] = None),
                Command::RefreshAll if banks.into_iter().any(|bank| rows[bank].is_some()) => {
                    return Err(format!("refresh of open banks: {b:?}"));
                }
                Command::RefreshBank if rows[bank].is_some() => return Err(format!("refresh of an open bank: {b:?}")),
                Command::RefreshAll | Command::RefreshBank => {}
                column => {
                    if rows[bank] != Some(b.row) {
                        return Err(format!("row {:?} is open for {b:?}", rows[bank]));
                    }
                    let write = matches!(column, Command::Write | Command::WriteClose);
                    let start = b.tick + u64::from(if write { t.tcwl } else { t.tcl }) * self.scale;
                    let end = &mut data[b.pseudo_channel as usize];
                    if start < *end {
                        return Err(format!("two bursts share a slot of the data bus: {b:?}"));
                    }
                    *end = start + u64::from(o.burst_length / o.beats_per_clock) * self.scale;
                    if matches!(column, Command::ReadClose | Command::WriteClose) {
                        rows[bank] = None;
                        let wait = if write { t.tcwl + o.burst_length / o.beats_per_clock + t.twr } else { t.trtp };
                        closing[bank] = (b.tick, u64::from(wait + t.trp) * self.scale - 2 * self.scale);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Requests: addresses as numbers to be folded into the device, bytes, and which write.
type Mix = Vec<(u64, u64, bool)>;

fn mix(most: usize) -> impl Strategy<Value = Mix> {
    // Few rows and banks, so that requests meet; now and then anywhere.
    let address = prop_oneof![0u64..1 << 14, any::<u64>()];
    prop::collection::vec((address, 1u64..200, any::<bool>()), 1..most)
}

fn replay(config: &Config, mix: &Mix, options: &Options) -> Replay {
    let dram = Dram::new(config.clone()).expect("the device holds");
    let room = dram.capacity_bytes() - 256;
    let addresses: Vec<u64> = mix.iter().map(|&(address, _, _)| address % room).collect();
    let bytes: Vec<u64> = mix.iter().map(|&(_, bytes, _)| bytes).collect();
    let writes: Vec<bool> = mix.iter().map(|&(_, _, write)| write).collect();
    let traffic = Traffic {
        addresses: Addresses::List(&addresses),
        bytes: Each::List(&bytes),
        writes: Each::List(&writes),
        arrivals_ps: None,
    };
    // Some hundred requests never take so many looks, thousands of ticks apart: this would be a standstill.
    let looks = std::cell::Cell::new(0);
    let stop = || looks.replace(looks.get() + 1) > 500;
    dram.replay(&traffic, options, &stop).expect("the traffic comes through")
}

fn cases() -> ProptestConfig {
    // PROPTEST_CASES sets another number.
    ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(48),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn commands_keep_the_data_sheet(config in device(), mix in mix(400), outstanding in prop::option::of(1u64..40)) {
        let options = Options { trace: true, times: true, outstanding, ..Options::default() };
        let run = replay(&config, &mix, &options);
        let scale = u64::from(config.organisation.commands.ticks_per_clock);
        let checked = Checker { config: &config, scale }.check(&run.trace);
        prop_assert!(checked.is_ok(), "{}", checked.unwrap_err());
        // Bytes out are bytes asked, and nothing is answered before it was asked.
        let asked = |write| mix.iter().filter(|one| one.2 == write).map(|one| one.1).sum::<u64>();
        prop_assert_eq!((run.read_bytes, run.written_bytes), (asked(false), asked(true)));
        prop_assert!(run.times.iter().all(|(from, to)| from < to && *to <= run.elapsed_ticks));
        // Time of the data buses adds up.
        let buses = u64::from(config.organisation.pseudo_channels);
        prop_assert_eq!(run.busy_ticks + run.idle_total().total(), run.elapsed_ticks * buses);
        prop_assert!(run.peak_fraction <= 1.0);
        let sent: u64 = Command::ALL.iter().filter(|c| c.is_column()).map(|&c| run.commands[c as usize]).sum();
        prop_assert!(sent <= run.bursts(), "merged requests need no command");
        prop_assert_eq!(run.trace.len() as u64, run.commands.iter().sum::<u64>());
    }

    #[test]
    fn a_mix_replayed_is_the_same(config in device(), mix in mix(300)) {
        let options = Options { trace: true, times: true, ..Options::default() };
        prop_assert_eq!(replay(&config, &mix, &options), replay(&config, &mix, &options));
    }

    #[test]
    fn skipping_changes_nothing(
        config in device(),
        bursts in 1u64..70,
        count in 4096u64..30_000,
        write in any::<bool>(),
        channels in 1u32..5,
        start in 0u64..9,
        outstanding in prop::option::of(1u64..40),
    ) {
        let mut config = config;
        config.organisation.channels = channels;
        config.organisation.rows = 1 << 14;
        let dram = Dram::new(config).expect("the device holds");
        let burst = dram.config().organisation.burst_bytes();
        let count = count.min(dram.capacity_bytes() / (bursts * burst) - 1);
        let traffic = Traffic {
            addresses: Addresses::Pattern { start: start * 256 * u64::from(channels), stride: bursts * burst, count },
            bytes: Each::All(burst),
            writes: Each::All(write),
            arrivals_ps: None,
        };
        let run = |skip| dram.replay(&traffic, &Options { skip, outstanding, ..Options::default() }, &|| false);
        let (mut skipped, whole) = (run(true).expect("plays"), run(false).expect("plays"));
        skipped.skipped_bursts = 0;
        prop_assert_eq!(skipped, whole);
    }

    #[test]
    fn more_channels_never_slow_a_spread_stream(config in device(), doublings in 0u32..3, count in 200u64..3000) {
        let seconds = |channels: u32| {
            let mut config = config.clone();
            config.organisation.channels = channels;
            let dram = Dram::new(config).expect("the device holds");
            let burst = dram.config().organisation.burst_bytes();
            let traffic = Traffic {
                addresses: Addresses::Pattern { start: 0, stride: burst, count: count * 64 },
                bytes: Each::All(burst),
                writes: Each::All(false),
                arrivals_ps: None,
            };
            dram.replay(&traffic, &Options::default(), &|| false).expect("plays").elapsed_ticks
        };
        prop_assert!(seconds(2 << doublings) <= seconds(1 << doublings));
    }
}

/// A walk over known stretches may end just before a refresh, which is no part of the stretch that follows.
#[test]
fn walks_end_before_refreshes() {
    let mut config = hbm();
    (config.organisation.ranks, config.organisation.rows) = (2, 1 << 14);
    (config.controller.refresh, config.timings.trefi) = (Refresh::AllBankStaggered, 3900);
    (config.controller.scheduler, config.controller.read_queue) = (Scheduler::Frfcfs, 4);
    let dram = Dram::new(config).expect("the device holds");
    let burst = dram.config().organisation.burst_bytes();
    let traffic = Traffic {
        addresses: Addresses::Pattern { start: 0, stride: burst, count: 30_000 },
        bytes: Each::All(burst),
        writes: Each::All(false),
        arrivals_ps: None,
    };
    let run = |skip| dram.replay(&traffic, &Options { skip, ..Options::default() }, &|| false).expect("plays");
    let (mut skipped, whole) = (run(true), run(false));
    assert!(skipped.skipped_bursts > 0);
    skipped.skipped_bursts = 0;
    assert_eq!(skipped, whole);
}

#[test]
fn the_checker_can_fail() {
    let config = hbm();
    let at = |tick, command, bank_group| Issued {
        tick,
        command,
        channel: 0,
        pseudo_channel: 0,
        rank: 0,
        bank_group,
        bank: 0,
        row: 7,
        column: 0,
    };
    let checker = Checker { config: &config, scale: 1 };
    let early = [at(1, Command::Activate, 0), at(15, Command::Read, 0)];
    assert!(checker.check(&early).unwrap_err().contains("tRCD"));
    let ready = [at(1, Command::Activate, 0), at(16, Command::Read, 0)];
    assert_eq!(checker.check(&ready), Ok(()));
    let close = [at(1, Command::Activate, 0), at(4, Command::Activate, 1)];
    assert!(checker.check(&close).unwrap_err().contains("tRRD"));
}
