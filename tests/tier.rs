//! A tier against its channels one by one: sharing a simulation changes nothing, and the network adds its time.

mod dram_devices;

use dram_devices::{device as any_device, hbm};
use proptest::prelude::*;
use rdu::memory::MemoryError;
use rdu::memory::dram::config::Refresh;
use rdu::memory::dram::{Channel, Config, Dram};
use rdu::memory::tier::{Counts, Description, Done, Tier, Transfer};
use std::collections::BTreeMap;

const CHANNELS: u32 = 4;
const ROUND: u64 = 256 * CHANNELS as u64;
const CAPACITY: u64 = CHANNELS as u64 * 2 * 16 * 512 * 1024;

fn device(hashed: bool) -> Config {
    let mut config = hbm();
    config.organisation.channels = CHANNELS;
    config.map.hashed = hashed;
    config
}

/// A cycle of the machine is a tick of the device; 10 cycles to the controllers, 7 back.
fn tier(device: Config) -> Tier {
    let clock_hz = 1_000_000_000_000_000 / device.tick_fs();
    Tier::new(Description { device, clock_hz, request_cycles: 10, response_cycles: 7 }).unwrap()
}

fn transfer(cycle: u64, number: u64, write: bool, address: u64, bytes: u64) -> Transfer {
    Transfer { cycle, unit: 0, number, write, address, bytes }
}

/// Asks in order of time, a window at a time as an engine does, until all is answered.
fn play(tier: &mut Tier, transfers: &[Transfer], window: u64) -> BTreeMap<u64, u64> {
    let (mut answers, mut left, mut cycle) = (BTreeMap::new(), transfers, 0);
    let mut done: Vec<Done> = Vec::new();
    while !left.is_empty() || tier.is_busy() {
        let next = cycle + window;
        let many = left.partition_point(|transfer| transfer.cycle < next);
        left[..many].iter().for_each(|transfer| tier.ask(transfer));
        left = &left[many..];
        tier.advance(next, &mut done);
        for Done { number, cycle: at, .. } in done.drain(..) {
            assert!(at >= cycle + tier.lookahead(), "transfer {number}, done at {at}, was told only after {cycle}");
            assert_eq!(answers.insert(number, at), None);
        }
        cycle = next;
    }
    answers
}

/// What channels of their own answer: nothing shared, burst by burst.
fn alone(config: &Config, transfers: &[Transfer]) -> BTreeMap<u64, u64> {
    let dram = Dram::new(config.clone()).unwrap();
    let mut answers = BTreeMap::new();
    // Long enough for all that is asked at the end.
    let end = transfers.last().map_or(0, |last| last.cycle) + 100_000;
    for number in 0..CHANNELS {
        let mut channel = Channel::new(dram.config(), dram.map(), number);
        for transfer in transfers {
            let burst = config.organisation.burst_bytes();
            let first = transfer.address / burst * burst;
            let mine = (first..transfer.address + transfer.bytes)
                .step_by(burst as usize)
                .filter(|&address| dram.map().channel(address).0 == number)
                .collect::<Vec<_>>();
            if let Some(&first) = mine.first() {
                channel.offer_run(transfer.cycle + 10, transfer.write, first, mine.len() as u64, transfer.number);
            }
        }
        let mut found = Vec::new();
        channel.advance(end, &mut found);
        for answer in found {
            let at: &mut u64 = answers.entry(answer.id).or_default();
            *at = (*at).max(answer.tick + 7);
        }
    }
    answers
}

fn traffic() -> impl Strategy<Value = Vec<Transfer>> {
    let whole = (0..64u64, 1..3u64).prop_map(|(round, rounds)| (round * ROUND, rounds * ROUND));
    let part = (0..64 * ROUND, 1..700u64);
    let one = (0..60u64, prop::bool::weighted(0.2), prop_oneof![3 => whole, 1 => part]);
    prop::collection::vec(one, 1..120).prop_map(|asked| {
        let mut cycle = 0;
        let one = |(number, (wait, write, (address, bytes)))| {
            // Now and then long enough for queues to run dry and refreshes to pass.
            cycle += if wait == 59 { 4000 } else { wait };
            transfer(cycle, number, write, address, bytes)
        };
        (0..).zip(asked).map(one).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_shared_simulation_is_as_good_as_one_for_each_channel(
        mut config in any_device(),
        transfers in traffic(),
        hashed: bool,
        window in 1..40u64,
    ) {
        config.organisation.channels = CHANNELS;
        config.map.interleave_bytes = Some(256);
        config.map.hashed = hashed;
        let mut tier = tier(config.clone());
        prop_assert_eq!(play(&mut tier, &transfers, window), alone(&config, &transfers));
    }

    #[test]
    fn every_byte_and_every_tick_is_counted(transfers in traffic()) {
        let mut tier = tier(device(true));
        let end = play(&mut tier, &transfers, 17).into_values().max().unwrap();
        let bursts = |t: &Transfer| (t.address + t.bytes).div_ceil(32) - t.address / 32;
        let moved = |write| transfers.iter().filter(|t| t.write == write).map(|t| 32 * bursts(t)).sum::<u64>();
        let channels = tier.counts(end);
        let all = Counts::sum(&channels);
        prop_assert_eq!([all.read_bytes, all.written_bytes], [moved(false), moved(true)]);
        // Two data buses a channel.
        prop_assert_eq!(all.busy_ticks + all.idle.total(), 2 * u64::from(CHANNELS) * end);
        prop_assert!(channels.iter().all(|c| c.idle.imbalance == 0));
    }
}

#[test]
fn a_stream_over_all_channels_is_simulated_once() {
    let mut tier = tier(device(true));
    let transfers: Vec<_> = (0..4000).map(|at| transfer(at, at, false, at * ROUND, ROUND)).collect();
    let answers = play(&mut tier, &transfers, 17);
    assert_eq!(tier.simulated(), 1);
    // 2 pseudo channels of 64 bits, two beats a tick, 4 channels: 128 bytes a cycle, less refresh.
    let end = *answers.values().max().unwrap();
    let rate = (4000 * ROUND) as f64 / end as f64;
    assert!(rate <= 128.0 * (1.0 - 260.0 / 1300.0) && rate > 128.0 * 0.70, "{rate} bytes a cycle");
}

#[test]
fn channels_that_were_parted_meet_again() {
    let mut tier = tier(device(false));
    let mut transfers = vec![transfer(0, 0, true, 0, 300)];
    transfers.extend((1..40).map(|at| transfer(500 * at, at, false, at * ROUND, ROUND)));
    play(&mut tier, &transfers[..2], 17);
    assert_eq!(tier.simulated(), 3, "two channels wrote, one of them less");
    let mut done = Vec::new();
    for next in &transfers[2..] {
        tier.ask(next);
        tier.advance(next.cycle + 500, &mut done);
    }
    assert_eq!(tier.simulated(), 1);
    let wrote: Vec<u64> = tier.counts(20_000).iter().map(|counts| counts.written_bytes).collect();
    assert_eq!(wrote, [256, 64, 0, 0], "each channel keeps what it did while they were parted");
}

#[test]
fn the_network_takes_its_time_both_ways() {
    let mut quiet = device(false);
    quiet.controller.refresh = Refresh::None;
    let done = play(&mut tier(quiet), &[transfer(100, 0, false, 0, 32)], 1);
    // Activate, read, first beat, burst: 14 + 14 + 2 ticks after the request arrives, and a tick or two to decide.
    let least = 100 + 10 + 30 + 7;
    assert!((least..=least + 3).contains(&done[&0]), "{}", done[&0]);
}

#[test]
fn what_cannot_be_is_named() {
    let mut tier = tier(device(false));
    let outside = [transfer(0, 0, false, CAPACITY - 64, 65), transfer(1, 1, false, 0, 0), transfer(2, 2, false, 0, 64)];
    let answers = play(&mut tier, &outside, 5);
    assert_eq!(answers.len(), 3, "nobody waits for ever");
    let fault = tier.fault().unwrap().to_string();
    assert!(fault.contains("0x3ffffc0") && fault.contains("do not lie in hbm"), "{fault}");

    let mut loose = device(false);
    loose.map.interleave_bytes = None;
    loose.map.fields.push("channel".into());
    let description = |device| Description { device, clock_hz: 1, request_cycles: 1, response_cycles: 0 };
    let error = Tier::new(description(loose)).unwrap_err();
    assert!(matches!(error, MemoryError::Value { what: "map.interleave_bytes", .. }), "{error}");
    let error = Tier::new(Description { clock_hz: 0, ..description(device(false)) }).unwrap_err();
    assert!(matches!(error, MemoryError::Value { what: "clock_hz", .. }), "{error}");
}
