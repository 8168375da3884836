//! A device against what its description promises: theory bounds that fail in both directions.

use rdu::memory::{Channels, Device, MemoryError};

fn device() -> Device {
    Device {
        name: "test".into(),
        channels: 4,
        interleave_bytes: 256,
        hashed: false,
        bytes_per_second: 64_000_000_000,
        clock_hz: 1_000_000_000,
        latency_cycles: 100,
        refresh_interval_cycles: 0,
        refresh_cycles: 0,
    }
}

/// Bytes per cycle of a saturating sequential read.
fn streaming_rate(device: Device) -> f64 {
    let latency = device.latency_cycles;
    let mut channels = Channels::new(device).unwrap();
    let bytes = 64 * 200_000;
    let end = (0..200_000).map(|at| channels.transfer(0, at * 64, 64, false)).max().unwrap() - latency;
    bytes as f64 / end as f64
}

#[test]
fn one_transfer_takes_its_burst_and_the_latency() {
    // 64 GB/s over 4 channels at 1 GHz: 16 bytes a cycle and channel, 4 cycles a burst.
    let mut channels = Channels::new(device()).unwrap();
    assert_eq!(channels.transfer(10, 0, 64, false), 10 + 4 + 100);
    assert_eq!(channels.transfer(10, 64, 64, false), 10 + 8 + 100, "same channel: queued behind the first");
    assert_eq!(channels.transfer(10, 256, 64, false), 10 + 4 + 100, "next channel: at once");
    assert_eq!(channels.transfer(200, 512, 128, true), 200 + 8 + 100);
    assert_eq!(channels.traffic().read_bytes, 192);
    assert_eq!(channels.traffic().written_bytes, 128);
    assert_eq!(channels.traffic().busy_channel_cycles, 20);
}

#[test]
fn streaming_reaches_the_peak_and_never_exceeds_it() {
    let rate = streaming_rate(device());
    assert!(rate <= 64.0 && rate > 63.99, "{rate}");
}

#[test]
fn refresh_takes_its_share_and_no_more() {
    let refreshed = Device { refresh_interval_cycles: 3900, refresh_cycles: 260, ..device() };
    let ceiling = 64.0 * (1.0 - 260.0 / 3900.0);
    let rate = streaming_rate(refreshed);
    // A burst that does not fit before a refresh waits behind it: up to one burst of 4 cycles in 3900 is lost.
    assert!(rate <= ceiling * 1.001 && rate > ceiling * (1.0 - 4.0 / 3900.0) * 0.999, "{rate} against {ceiling}");
}

#[test]
fn a_refresh_blocks_until_its_last_cycle() {
    let refreshed = Device { refresh_interval_cycles: 1000, refresh_cycles: 50, ..device() };
    let at = |cycle| Channels::new(refreshed.clone()).unwrap().transfer(cycle, 0, 64, false);
    assert_eq!(at(1049), 1050 + 4 + 100, "blocked at t - 1");
    assert_eq!(at(1050), 1050 + 4 + 100, "ready at t");
    assert_eq!(at(996), 996 + 4 + 100, "the last burst that fits");
    assert_eq!(at(997), 1050 + 4 + 100, "the first that does not");
}

#[test]
fn a_refresh_of_no_length_is_none() {
    let device = Device { refresh_interval_cycles: 6, refresh_cycles: 0, ..device() };
    // Bursts of 4 cycles would hardly fit between instants 6 cycles apart.
    assert!(streaming_rate(device) > 63.99);
}

#[test]
fn impossible_devices_are_named() {
    let cases = [
        (Device { channels: 0, ..device() }, "channels"),
        (Device { interleave_bytes: 100, ..device() }, "interleave_bytes"),
        (Device { bytes_per_second: 0, ..device() }, "bytes_per_second"),
        (Device { latency_cycles: 0, ..device() }, "latency_cycles"),
        (Device { refresh_interval_cycles: 50, refresh_cycles: 50, ..device() }, "refresh_interval_cycles"),
    ];
    for (device, key) in cases {
        let MemoryError::Value { what, .. } = Channels::new(device).unwrap_err();
        assert_eq!(what, key);
    }
}

#[test]
fn hashing_spreads_a_stride_that_plain_interleaving_does_not() {
    // Every 1024 bytes is the same channel of four, unless rounds are turned.
    let end = |hashed| {
        let mut channels = Channels::new(Device { hashed, ..device() }).unwrap();
        (0..4000).map(|at| channels.transfer(0, at * 1024, 64, false)).max().unwrap() - 100
    };
    assert_eq!(end(false), 4 * 4000, "one channel takes them all");
    // Four channels share them; a hash is not a perfect deal, so the busiest may have a tenth more than its share.
    assert!(end(true) < 4 * 1100, "{}", end(true));
    let sequential = streaming_rate(Device { hashed: true, ..device() });
    assert!(sequential <= 64.0 && sequential > 63.9, "sequential reads lose nothing: {sequential}");
}
