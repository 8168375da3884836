//! Channels that run ahead of each other do what they do tick by tick.

mod dram_devices;

use dram_devices::device;
use proptest::prelude::*;
use rdu::memory::dram::{Addresses, Dram, Each, Options, Traffic};

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn running_ahead_changes_nothing(
        config in device(),
        channels in 2u32..8,
        hashed in any::<bool>(),
        // Anywhere, or in a corner that few channels serve.
        addresses in prop::collection::vec(prop_oneof![3 => any::<u64>(), 1 => 0u64..512], 1..3000),
        bytes in 1u64..150,
        write in any::<bool>(),
        bent in prop::option::of(0u64..64),
    ) {
        let mut config = config;
        config.organisation.channels = channels;
        config.map.hashed = hashed;
        let dram = Dram::new(config).expect("the device holds");
        let room = dram.capacity_bytes() - bytes;
        // With `bent`, in order but for one of so many.
        let place = |(at, address): (usize, &u64)| match bent {
            Some(every) if !(at as u64).is_multiple_of(every + 1) => at as u64 * bytes % room,
            _ => address % room,
        };
        let addresses: Vec<u64> = addresses.iter().enumerate().map(place).collect();
        let traffic = Traffic {
            addresses: Addresses::List(&addresses),
            bytes: Each::All(bytes),
            writes: Each::All(write),
            arrivals_ps: None,
        };
        // Times of single requests are only kept tick by tick.
        let run = |times| {
            let options = Options { trace: true, times, ..Options::default() };
            dram.replay(&traffic, &options, &|| false).expect("plays")
        };
        let (ahead, mut stepped) = (run(false), run(true));
        stepped.times.clear();
        prop_assert_eq!(ahead, stepped);
    }
}

#[test]
fn running_ahead_stops_when_asked_and_refuses_what_lies_outside() {
    let mut config = dram_devices::hbm();
    config.organisation.channels = 4;
    let dram = Dram::new(config).expect("the device holds");
    let mut addresses: Vec<u64> = (0..200_000).map(|k| k * 32 % dram.capacity_bytes()).collect();
    let replay = |addresses: &[u64], stop: bool| {
        let (addresses, bytes, writes) = (Addresses::List(addresses), Each::All(32), Each::All(false));
        let traffic = Traffic { addresses, bytes, writes, arrivals_ps: None };
        dram.replay(&traffic, &Options::default(), &|| stop).map(|run| run.read_bursts)
    };
    assert_eq!(replay(&addresses, false), Ok(200_000));
    assert!(replay(&addresses, true).is_err_and(|error| error.to_string().contains("stopped")));
    addresses[150_000] = dram.capacity_bytes();
    assert!(replay(&addresses, false).is_err_and(|error| error.to_string().contains("request 150000")));
}
