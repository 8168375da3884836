//! A channel that remembers its courses against one that works everything out: no difference may show.

mod dram_devices;

use dram_devices::{device, hbm};
use proptest::prelude::*;
use rdu::memory::dram::{Answer, Channel, Dram};

/// What is asked of a channel next.
#[derive(Clone, Debug)]
enum Step {
    /// So many runs of the stream, one every so many ticks.
    Stream {
        runs: u64,
        every: u64,
    },
    /// The stream goes on elsewhere.
    Jump {
        to: u64,
    },
    Alone {
        write: bool,
        at: u64,
        bursts: u64,
    },
    Wait {
        ticks: u64,
    },
    Look,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (100..900u64, 0..8u64).prop_map(|(runs, every)| Step::Stream { runs, every }),
        1 => (0..100u64).prop_map(|to| Step::Jump { to: to * 1024 }),
        2 => (any::<bool>(), 0..4000u64, 1..9u64).prop_map(|(write, at, bursts)| Step::Alone { write, at, bursts }),
        3 => (1..4000u64).prop_map(|ticks| Step::Wait { ticks }),
        1 => Just(Step::Look),
    ];
    prop::collection::vec(step, 1..20)
}

/// Answers in the order in which they come out, and the books whenever somebody looks.
fn play(mut channel: Channel, burst_bytes: u64, each: u64, window: u64, steps: &[Step]) -> (Vec<Answer>, Vec<String>) {
    let (mut answers, mut books) = (Vec::new(), Vec::new());
    let (mut tick, mut next, mut id) = (0, 0, 0);
    let mut offer = |channel: &mut Channel, tick, write, address: u64, bursts: u64| {
        id += 1;
        channel.offer_run(tick, write, address % (1 << 20) * burst_bytes, bursts, id);
    };
    for step in steps {
        match *step {
            Step::Stream { runs, every } => {
                for _ in 0..runs {
                    offer(&mut channel, tick, false, next, each);
                    next += each;
                    tick += every;
                    if every > 0 && tick % window < every {
                        channel.advance(tick, &mut answers);
                    }
                }
            }
            Step::Jump { to } => next = to,
            Step::Alone { write, at, bursts } => offer(&mut channel, tick, write, at, bursts),
            Step::Wait { ticks } => {
                let end = tick + ticks;
                while tick < end {
                    tick = end.min(tick + window);
                    channel.advance(tick, &mut answers);
                }
            }
            Step::Look => {
                channel.settle(tick);
                books.push(format!("{:?}", channel.usage(tick)));
            }
        }
    }
    channel.advance(tick + 1_000_000, &mut answers);
    channel.settle(tick + 1_000_000);
    books.push(format!("{:?}", channel.usage(tick + 1_000_000)));
    (answers, books)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn nobody_can_tell(config in device(), each in 1..12u64, window in 1..200u64, steps in steps()) {
        let dram = Dram::new(config).unwrap();
        let burst_bytes = dram.config().organisation.burst_bytes();
        let channel = Channel::new(dram.config(), dram.map(), 0);
        let plain = play(channel.clone().without_recall(), burst_bytes, each, window, &steps);
        prop_assert_eq!(play(channel, burst_bytes, each, window, &steps), plain);
    }
}

/// The same stretch again and again, and each time something else behind it.
#[test]
fn what_comes_next_is_looked_at() {
    let dram = Dram::new(hbm()).unwrap();
    let steps = |each: u64| {
        (0..24u64).flat_map(move |turn| {
            [
                Step::Jump { to: 0 },
                Step::Stream { runs: 1600 / each, every: 0 },
                Step::Jump { to: 4096 + turn % 5 * 1000 },
                Step::Stream { runs: 1600 / each, every: 0 },
                Step::Wait { ticks: 20_000 },
            ]
        })
    };
    let channel = Channel::new(dram.config(), dram.map(), 0);
    let burst_bytes = dram.config().organisation.burst_bytes();
    for each in [8, 16] {
        let steps: Vec<Step> = steps(each).collect();
        let plain = play(channel.clone().without_recall(), burst_bytes, each, 100, &steps);
        assert_eq!(play(channel.clone(), burst_bytes, each, 100, &steps), plain);
    }
}

/// The share of a long stream that is recalled, after `writes` writes of a burst each.
fn recalled_share(writes: u64) -> f64 {
    let mut config = hbm();
    config.timings.trefi = 3900;
    let dram = Dram::new(config).unwrap();
    let mut channel = Channel::new(dram.config(), dram.map(), 0);
    let mut answers = Vec::new();
    let mut written = Vec::new();
    for at in 0..writes {
        channel.offer_run(0, true, (1 << 25) + at * 4096, 1, u64::MAX - at);
    }
    // 200 runs in the line, a new one for each answer: what an engine does with a limit of requests in flight.
    let (mut tick, mut next) = (0, 0);
    while answers.len() < 40_000 {
        while next < answers.len() as u64 + 200 {
            channel.offer_run(tick, false, next * 256 % (1 << 24), 8, next);
            next += 1;
        }
        tick += 100;
        channel.advance(tick, &mut answers);
        written.extend(answers.extract_if(.., |answer| answer.write));
    }
    assert_eq!(written.len(), 0, "the stream should keep the writes waiting");
    channel.recalled() as f64 / (8 * answers.len()) as f64
}

#[test]
fn a_long_stream_is_mostly_recalled() {
    let share = recalled_share(0);
    // What lies around a refresh is new until one has come at every place of a row; between them little ever is.
    assert!(share > 0.5, "{share}");
}

#[test]
fn writes_that_only_wait_do_not_matter() {
    assert_eq!(recalled_share(3), recalled_share(0));
}
