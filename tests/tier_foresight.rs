//! A tier that looks ahead, told when the next write comes, against one that does not: all is answered alike.

mod dram_devices;

use dram_devices::{device, hbm};
use proptest::prelude::*;
use rdu::memory::Tier;
use rdu::memory::dram::Config;
use rdu::memory::tier::{Counts, Description, Done, Transfer};
use std::collections::BTreeMap;

/// What is asked next: a stream of reads, so many at a time every so many cycles; or a write.
#[derive(Clone, Debug)]
enum Step {
    Reads { count: u64, every: u64, after: u64 },
    Write { at: u64, after: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (50..900u64, 0..12u64, 0..4000u64).prop_map(|(count, every, after)| Step::Reads { count, every, after }),
        1 => (0..4000u64, 0..4000u64).prop_map(|(at, after)| Step::Write { at, after }),
    ];
    prop::collection::vec(step, 1..16)
}

fn tier(mut device: Config, channels: u32) -> Option<Tier> {
    device.organisation.channels = channels;
    device.map.interleave_bytes = Some(256);
    let clock_hz = 1_000_000_000_000_000 / device.tick_fs();
    Tier::new(Description { device, clock_hz, request_cycles: 10, response_cycles: 7 }).ok()
}

/// Granules of all channels; now and then a part of one, which parts them.
fn transfers(steps: &[Step], channels: u64, part: u64) -> Vec<Transfer> {
    let round = 256 * channels;
    let (mut all, mut cycle, mut next) = (Vec::new(), 0, 0);
    for step in steps {
        let (count, every, wait, write, first) = match *step {
            Step::Reads { count, every, after } => (count, every, after, false, next),
            Step::Write { at, after } => (1, 0, after, true, at),
        };
        for number in first..first + count {
            let bytes = if number % part == part - 1 { 256 } else { round };
            all.push(Transfer {
                cycle,
                unit: 0,
                number: all.len() as u64,
                write,
                address: number % 2000 * round,
                bytes,
            });
            cycle += every;
        }
        next += if write { 0 } else { count };
        cycle += wait;
    }
    all
}

/// When each was done, and what was counted in all; how many were known before they had to be.
fn play(tier: &mut Tier, transfers: &[Transfer], window: u64, foresee: bool) -> (BTreeMap<u64, u64>, Vec<Counts>, u64) {
    let (mut answers, mut left, mut cycle, mut early) = (BTreeMap::new(), transfers, 0, 0);
    let mut done: Vec<Done> = Vec::new();
    while !left.is_empty() || tier.is_busy() {
        cycle += window;
        let many = left.partition_point(|transfer| transfer.cycle < cycle);
        left[..many].iter().for_each(|transfer| tier.ask(transfer));
        left = &left[many..];
        let known = tier.known();
        tier.advance(cycle, &mut done);
        if foresee {
            let write = left.iter().find(|transfer| transfer.write);
            tier.foresee(write.map_or(u64::MAX, |write| write.cycle), &mut done);
        }
        for Done { number, cycle: at, .. } in done.drain(..) {
            assert!(at >= known, "transfer {number}, done at {at}, was told only after {known}");
            assert_eq!(answers.insert(number, at), None);
            early += u64::from(at > cycle + tier.lookahead() + window);
        }
    }
    (answers, tier.counts(cycle + 1_000_000), early)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn nobody_can_tell(
        config in prop_oneof![Just(hbm()), device()],
        channels in 1..4u32,
        part in prop_oneof![Just(u64::MAX), 5..200u64],
        window in 1..200u64,
        steps in steps(),
    ) {
        let Some(tier) = tier(config, channels) else { return Ok(()) };
        let transfers = transfers(&steps, channels.into(), part);
        let (answers, counts, _) = play(&mut tier.clone(), &transfers, window, false);
        let ahead = play(&mut tier.clone(), &transfers, window, true);
        prop_assert_eq!((&ahead.0, &ahead.1), (&answers, &counts));
    }
}

#[test]
fn a_long_line_is_foreseen() {
    let mut config = hbm();
    config.timings.trefi = 3900;
    let mut tier = tier(config, 2).unwrap();
    let steps = [Step::Reads { count: 2000, every: 0, after: 0 }];
    let (answers, _, early) = play(&mut tier, &transfers(&steps, 2, u64::MAX), 20, true);
    // All but those at the end, where the line has no room for a course.
    assert_eq!(answers.len(), 2000);
    assert!(early > 1500, "{early} of 2000 were known early");
}
