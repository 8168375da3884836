//! Requests per CPU second of the DRAM model, every burst timed, beside the goals and beside the simulators it is
//! measured against. `cargo bench --bench dram`; words after `--` pick devices by name. Streams are those of the
//! simulators' own runs: 500 k sequential and 200 k random reads of a burst each, replayed until 0.2 s of CPU time have
//! passed. `replay` is what anybody gets who asks for a replay, repeated states walked at once; `each` leaves that out.

#[path = "dram/pages.rs"]
mod pages;

use std::time::Instant;

use rdu::memory::dram::{Addresses, Config, Dram, Each, Options, Traffic};

/// Requests of each stream, and goals in millions of requests per second.
const STREAMS: [(&str, u64, f64); 2] = [("sequential", 500_000, 20.0), ("random", 200_000, 4.0)];

/// Ramulator 2.1 (c5b1c3a4) and DRAMsim3 (29817593), requests per CPU second of one thread.
const PEERS: &str = include_str!("../python/rdu/testing/dram/speed.csv");

/// What a peer made of the stream on this device.
fn peer(config: &str, stream: &str) -> Option<(&'static str, f64)> {
    let pattern = if stream == "random" { "rand_read" } else { "seq_read" };
    let mut rows = PEERS.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let row = rows.find(|row| row.get(1) == Some(&config) && row.get(2) == Some(&pattern))?;
    Some((row.first()?, row.last()?.parse().ok()?))
}

/// CPU seconds of this thread, or those of the clock on the wall where the system does not say.
fn cpu_seconds(since: Instant) -> f64 {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let busy_ns = said.and_then(|said| said.split_whitespace().next()?.parse::<f64>().ok());
    busy_ns.map_or_else(|| since.elapsed().as_secs_f64(), |busy_ns| busy_ns * 1e-9)
}

fn mix64(k: u64) -> u64 {
    let x = k.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// Millions of requests per second.
fn rate(config: &Config, random: bool, requests: u64, skip: bool) -> f64 {
    let dram = Dram::new(config.clone()).expect("the device holds");
    let burst = config.organisation.burst_bytes();
    let bursts = dram.capacity_bytes() / burst;
    let address = |k: u64| if random { mix64(k) % bursts } else { k % bursts } * burst;
    let addresses: Vec<u64> = (0..requests).map(address).collect();
    let traffic = Traffic {
        addresses: Addresses::List(&addresses),
        bytes: Each::All(burst),
        writes: Each::All(false),
        arrivals_ps: None,
    };
    let options = Options { skip, ..Options::default() };
    let origin = Instant::now();
    // The system counts CPU time in steps of some milliseconds.
    let (mut replays, start) = (0, cpu_seconds(origin));
    while replays == 0 || cpu_seconds(origin) - start < 0.2 {
        dram.replay(&traffic, &options, &|| false).expect("plays");
        replays += 1;
    }
    (requests * replays) as f64 / (cpu_seconds(origin) - start) / 1e6
}

fn print(config: &Config) {
    for (stream, requests, goal) in STREAMS {
        let [found, plain] = [true, false].map(|skip| rate(config, stream == "random", requests, skip));
        let times = peer(&config.name, stream)
            .map_or_else(String::new, |(peer, speed)| format!("{:5.0} x {peer}", found * 1e6 / speed));
        let (name, channels) = (&config.name, config.organisation.all_channels());
        println!("{name:26} {channels:3}  {stream:10} {found:8.2} {plain:8.2} {goal:6} {times}");
    }
}

/// 64 GiB of a socket: four stacks of eight channels, every burst timed.
fn print_socket(config: &Config) {
    let dram = Dram::new(config.clone()).expect("the device holds");
    let burst = config.organisation.burst_bytes();
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
        "64 GiB of {}, {count} bursts: {:.3} s (goal 1 s), {:.1} % of peak, {:.2} % jumped over",
        config.name,
        start.elapsed().as_secs_f64(),
        run.peak_fraction * 100.0,
        run.skipped_bursts as f64 / count as f64 * 100.0,
    );
}

fn main() {
    if cfg!(debug_assertions) {
        eprintln!("rates of a debug build mean nothing: use `cargo bench`");
        std::process::exit(2);
    }
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_picked = |config: &Config| words.is_empty() || words.iter().any(|word| config.name.contains(word.as_str()));
    println!("                                           M requests/s   goal");
    println!("device               channels  stream       replay     each        times as fast as");
    let presets = pages::presets();
    pages::references().iter().chain(&presets).filter(|config| is_picked(config)).for_each(print);
    presets.iter().filter(|config| config.name == "hbm2e-3600" && is_picked(config)).for_each(print_socket);
}
