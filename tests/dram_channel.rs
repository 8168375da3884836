//! What holds for a channel that is driven step by step.

mod dram_devices;

use dram_devices::{device, hbm};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

use rdu::memory::dram::{Accept, Answer, Channel, Config, Dram, Usage};

/// Requests: an address to be folded into the device, ticks since the one before, whether it writes, bursts.
type Asks = Vec<(u64, u64, bool, u64)>;

/// Few rows and banks, so that requests meet; now and then anywhere; now and then a pause.
fn asks(most: usize) -> impl Strategy<Value = Asks> {
    let address = prop_oneof![4 => 0u64..1 << 14, 1 => any::<u64>()];
    let gap = prop_oneof![6 => 0u64..4, 2 => 0u64..40, 1 => 0u64..3000];
    prop::collection::vec((address, gap, any::<bool>(), 1u64..20), 1..most)
}

/// Long streams of runs that follow each other, mostly reads.
fn streams(most: usize) -> impl Strategy<Value = Asks> {
    let part = (0u64..1 << 16, 0u64..30, prop::bool::weighted(0.2), 1u64..10, 1u64..60);
    let unroll = |(start, gap, write, bursts, runs): (u64, u64, bool, u64, u64)| {
        (0..runs).map(move |run| ((start + run * bursts) * 32, gap, write, bursts))
    };
    prop::collection::vec(part, 1..most).prop_map(move |parts| parts.into_iter().flat_map(unroll).collect())
}

fn channel(config: &Config) -> (Dram, Channel) {
    let dram = Dram::new(config.clone()).expect("the device holds");
    let channel = Channel::new(dram.config(), dram.map(), 0);
    (dram, channel)
}

/// Offers all runs from tick `now` on and returns the tick after the last offer.
fn offer_all(channel: &mut Channel, capacity: u64, asks: &Asks, mut now: u64, answers: &mut Vec<Answer>) -> u64 {
    for (id, &(address, gap, write, bursts)) in asks.iter().enumerate() {
        now += gap;
        channel.offer_run(now, write, address % capacity, bursts, id as u64);
        channel.advance(now, answers);
    }
    now
}

fn check_books(usage: &Usage, before: &Usage) -> Result<(), TestCaseError> {
    prop_assert_eq!(usage.data_ticks + usage.idle.total(), usage.elapsed_ticks);
    prop_assert!(usage.data_ticks >= before.data_ticks);
    Ok(())
}

/// Offers each burst of the runs as soon as there is room and joins the answers by run.
fn burst_by_burst(channel: &mut Channel, config: &Config, capacity: u64, asks: &Asks) -> Vec<Answer> {
    let burst = config.organisation.burst_bytes();
    let mut offer = |tick, write, at: u64, id, answers: &mut Vec<Answer>| {
        channel.advance(tick, answers);
        channel.offer(tick, write, at % (capacity / burst) * burst, id) == Accept::Taken
    };
    let mut waiting = [VecDeque::new(), VecDeque::new()];
    let (mut asks, mut tick, mut answers) = (asks.iter().enumerate().peekable(), 1, Vec::new());
    let mut due = asks.peek().map_or(0, |(_, ask)| 1 + ask.1);
    while asks.peek().is_some() || waiting.iter().any(|line| !line.is_empty()) {
        for (kind, line) in waiting.iter_mut().enumerate() {
            while line.front().is_some_and(|&(at, id)| offer(tick, kind == 1, at, id, &mut answers)) {
                line.pop_front();
            }
        }
        while let Some((id, &(address, _, write, bursts))) = asks.next_if(|_| due == tick) {
            let line = &mut waiting[usize::from(write)];
            for at in (0..bursts).map(|turn| address % capacity / burst + turn) {
                if !line.is_empty() || !offer(tick, write, at, id as u64, &mut answers) {
                    line.push_back((at, id as u64));
                }
            }
            due = tick + asks.peek().map_or(0, |(_, ask)| ask.1);
        }
        tick += 1;
    }
    channel.advance(tick + 200_000, &mut answers);
    let mut joined = BTreeMap::new();
    for answer in answers {
        let one = joined.entry(answer.id).or_insert(answer);
        one.tick = one.tick.max(answer.tick);
    }
    let mut joined: Vec<Answer> = joined.into_values().collect();
    joined.sort_unstable();
    joined
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_channel_answers_alike_however_time_is_cut(config in device(), asks in asks(120), steps in prop::collection::vec(1u64..400, 1..40)) {
        let dram = Dram::new(config).expect("the device holds");
        let drive = |steps: &[u64]| {
            let mut channel = Channel::new(dram.config(), dram.map(), 0);
            let (mut now, mut answers, mut at) = (1, Vec::new(), steps.iter().cycle());
            for (id, &(address, gap, write, _)) in asks.iter().enumerate() {
                now += gap;
                while channel.offer(now, write, address % dram.capacity_bytes(), id as u64) == Accept::Full {
                    now += 200;
                }
                let seen = answers.len();
                // A look now and then at what is done by now.
                if at.next().is_some_and(|step| step % 3 == 0) {
                    channel.advance(now, &mut answers);
                }
                prop_assert!(answers[seen..].iter().all(|answer| answer.tick <= now));
            }
            channel.advance(now + 100_000, &mut answers);
            prop_assert!(answers.windows(2).all(|pair| pair[0].tick <= pair[1].tick), "time runs backwards");
            prop_assert_eq!(answers.len(), asks.len());
            Ok(answers)
        };
        prop_assert_eq!(drive(&steps)?, drive(&[1])?);
    }

    #[test]
    fn a_run_is_its_bursts_one_after_another(config in device(), mixed in asks(30), streams in streams(4)) {
        for asks in [mixed, streams] {
            let (dram, mut channel) = channel(&config);
            let capacity = dram.capacity_bytes();
            let mut single = channel.clone();
            let mut answers = Vec::new();
            let now = offer_all(&mut channel, capacity, &asks, 1, &mut answers);
            channel.advance(now + 200_000, &mut answers);
            prop_assert_eq!(&answers, &burst_by_burst(&mut single, &config, capacity, &asks));
            prop_assert!(answers.windows(2).all(|pair| pair[0] <= pair[1]), "time runs backwards");
        }
    }

    #[test]
    fn books_close_at_any_tick(config in device(), asks in asks(60), looks in prop::collection::vec(1u64..90, 1..20)) {
        let (dram, mut channel) = channel(&config);
        let (mut now, mut answers, mut before) = (1, Vec::new(), Usage::default());
        let mut looks = looks.iter().cycle();
        for (id, &(address, gap, write, bursts)) in asks.iter().enumerate() {
            now += gap;
            channel.offer_run(now, write, address % dram.capacity_bytes(), bursts, id as u64);
            now += looks.next().copied().unwrap_or(1);
            channel.advance(now, &mut answers);
            let usage = channel.usage(now);
            check_books(&usage, &before)?;
            before = usage;
        }
        now += 200_000;
        channel.advance(now, &mut answers);
        let usage = channel.usage(now);
        check_books(&usage, &before)?;
        let asked: u64 = asks.iter().map(|ask| ask.3).sum::<u64>() * config.organisation.burst_bytes();
        prop_assert_eq!(usage.read_bytes + usage.written_bytes, asked);
    }

    #[test]
    fn the_same_state_has_the_same_future(
        config in device(),
        before in asks(20),
        apart in (asks(20), asks(20)),
        since in asks(20),
        after in streams(4),
        pause in prop_oneof![Just(0u64), 0u64..20_000],
    ) {
        let (dram, mut one) = channel(&config);
        let capacity = dram.capacity_bytes();
        let mut lost = Vec::new();
        let start = offer_all(&mut one, capacity, &before, 1, &mut lost);
        let mut other = one.clone();
        prop_assert!(one.same_state(&other, start));
        let first = offer_all(&mut one, capacity, &apart.0, start, &mut lost);
        let second = offer_all(&mut other, capacity, &apart.1, start, &mut lost);
        let mut now = first.max(second) + pause;
        one.advance(now, &mut lost);
        other.advance(now, &mut lost);
        for part in [since, after] {
            let same = one.same_state(&other, now);
            prop_assert_eq!(same, other.same_state(&one, now));
            let mut futures = [Vec::new(), Vec::new()];
            let end = offer_all(&mut one, capacity, &part, now, &mut futures[0]);
            prop_assert_eq!(end, offer_all(&mut other, capacity, &part, now, &mut futures[1]));
            now = end + 3000;
            one.advance(now, &mut futures[0]);
            other.advance(now, &mut futures[1]);
            prop_assert!(!same || futures[0] == futures[1], "equal states part");
            prop_assert!(!same || one.same_state(&other, now), "equal states part later");
        }
    }
}

#[test]
fn what_is_past_a_refresh_is_forgotten() {
    let config = hbm();
    let (dram, mut one) = channel(&config);
    let mut other = one.clone();
    let burst = config.organisation.burst_bytes();
    let mut answers = Vec::new();
    // Different traffic, then the same stream over several refreshes, under load.
    for id in 0..40 {
        one.offer_run(id, id % 3 == 0, id * 7919 * burst % dram.capacity_bytes(), 8, id);
        other.offer_run(id, false, id * 64 * burst, 3, id);
    }
    let mut same_from = None;
    for block in 0..2000 {
        let tick = 600 + block * 16;
        for channel in [&mut one, &mut other] {
            channel.offer_run(tick, false, block * 8 * burst, 8, 1000 + block);
            channel.advance(tick, &mut answers);
        }
        match (one.same_state(&other, tick), same_from) {
            (true, None) => same_from = Some(tick),
            (false, Some(from)) => panic!("the same from {from} on, different at {tick}"),
            _ => {}
        }
    }
    let refreshes = u64::from(config.timings.trefi);
    assert!(same_from.is_some_and(|from| from < 600 + 3 * refreshes), "{same_from:?}");
}
