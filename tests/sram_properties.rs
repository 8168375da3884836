//! What holds for every access and every set of buffers: counts equal to counting, placements that never overlap.

use proptest::prelude::*;
use rdu::memory::sram::{
    Access, AllocationError, BankPorts, Buffer, Description, Layout, PingPong, Port, Ports, Space, Sram, allocate,
    live_bytes,
};
use std::collections::{BTreeMap, BTreeSet};

fn description() -> impl Strategy<Value = Description> {
    let banks = prop_oneof![Just(16u64), Just(8), Just(32), 1u64..20];
    let word = prop_oneof![Just(4u64), Just(2), Just(8), 1u64..9];
    (banks, word, 1u64..5, any::<bool>(), any::<bool>()).prop_flat_map(|(banks, word, addresses, shared, each)| {
        (1..=banks, 1..=banks).prop_map(move |(read, write)| Description {
            name: "pmu".into(),
            capacity_bytes: banks * word * 64,
            banks,
            bank_bytes: word,
            read_bytes_per_cycle: read * word,
            write_bytes_per_cycle: write * word,
            addresses_per_cycle: addresses,
            latency_cycles: 4,
            bank_ports: if shared { BankPorts::Shared } else { BankPorts::ReadAndWrite },
            address_per_lane: each,
        })
    })
}

fn layout(line: u64) -> impl Strategy<Value = Layout> {
    prop_oneof![
        Just(Layout::Linear),
        (1u64..5).prop_map(move |lines| Layout::Skewed { row_bytes: line * lines }),
        (1..=line)
            .prop_filter("rows divide a line", move |row| line.is_multiple_of(*row))
            .prop_map(|row_bytes| Layout::Skewed { row_bytes }),
    ]
}

/// An access of a PMU that lies inside it, strided or gathered.
fn access(of: &Description) -> impl Strategy<Value = Access> + use<> {
    let (capacity, word, line) = (of.capacity_bytes, of.bank_bytes, of.banks * of.bank_bytes);
    let element = prop_oneof![Just(word), 1..=2 * word, 1..=line, 1..=capacity];
    let stride = prop_oneof![
        (0..=4 * line),
        (0..=40u64).prop_map(move |words| words * word),
        (1..=8u64).prop_map(move |l| l * line)
    ];
    let strided = (element, stride, 1u64..100, any::<bool>(), any::<prop::sample::Index>()).prop_map(
        move |(element, stride, lanes, down, at)| {
            let lanes = (capacity - element).checked_div(stride).map_or(lanes, |most| lanes.min(most + 1));
            let span = (lanes - 1) * stride + element;
            let base = at.index((capacity - span + 1) as usize) as u64;
            if down {
                Access::strided(base + (lanes - 1) * stride, -(stride as i64), element, lanes)
            } else {
                Access::strided(base, stride as i64, element, lanes)
            }
        },
    );
    let gathered = (1..=2 * word).prop_flat_map(move |element| {
        prop::collection::vec(0..=capacity - element, 1..40).prop_map(move |at| Access::gathered(at, element))
    });
    (prop_oneof![3 => strided, 1 => gathered], layout(line)).prop_map(|(access, layout)| access.laid(layout))
}

fn accessed() -> impl Strategy<Value = (Description, Access, Access)> {
    description().prop_flat_map(|of| {
        let (first, second) = (access(&of), access(&of));
        (Just(of), first, second)
    })
}

/// The words of an access by bank, byte by byte and straight from the definition of the layouts.
fn brute(of: &Description, access: &Access) -> BTreeMap<u64, BTreeSet<u64>> {
    use rdu::memory::sram::Pattern;
    let starts: Vec<u64> = match &access.pattern {
        Pattern::Strided { base_bytes, stride_bytes, lanes } => {
            (0..*lanes as i64).map(|lane| (*base_bytes as i64 + lane * stride_bytes) as u64).collect()
        }
        Pattern::Gathered { addresses_bytes } => addresses_bytes.clone(),
    };
    let line = of.banks * of.bank_bytes;
    let mut words: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for byte in starts.into_iter().flat_map(|start| start..start + access.element_bytes) {
        let word = byte / of.bank_bytes;
        let skew = match access.layout {
            Layout::Linear => 0,
            Layout::Skewed { row_bytes } => byte / row_bytes.max(line),
        };
        words.entry((word + skew) % of.banks).or_default().insert(word);
    }
    words
}

fn buffers(most: usize) -> impl Strategy<Value = Vec<Buffer>> {
    let one = (1u64..1500, 0u32..8, 0u64..30, 0u64..12);
    prop::collection::vec(one, 0..most).prop_map(|all| {
        let buffer = |(at, (bytes, alignment, first_use, more)): (usize, (u64, u32, u64, u64))| Buffer {
            name: format!("b{at}"),
            bytes,
            alignment_bytes: 1 << alignment,
            first_use,
            last_use: first_use + more,
        };
        all.into_iter().enumerate().map(buffer).collect()
    })
}

/// Few buffers in any space, where a search may have to find out that they do not fit; many where there is room.
fn crowds() -> impl Strategy<Value = (Vec<Buffer>, Space)> {
    let roomy = space().prop_map(|space| Space { pmus: 200, ..space });
    prop_oneof![4 => (buffers(14), space()), 1 => (buffers(100), roomy)]
}

fn space() -> impl Strategy<Value = Space> {
    let split = prop_oneof![Just(None), Just(Some(64u64)), Just(Some(1))];
    (prop_oneof![Just(1u64), 1u64..6], 20u64..200, split).prop_map(|(pmus, vectors, split_bytes)| Space {
        capacity_bytes: vectors * 64,
        pmus,
        split_bytes,
    })
}

proptest! {
    #[test]
    fn costs_equal_counting_word_by_word((of, access, _) in accessed()) {
        let sram = Sram::new(of.clone()).unwrap();
        let words = brute(&of, &access);
        for port in [Port::Read, Port::Write] {
            let (cost, demand) = (sram.cost(&access, port).unwrap(), sram.demand(&access, port).unwrap());
            prop_assert_eq!(cost, demand.cost, "closed form against count");
            for (bank, count) in demand.bank_words.iter().enumerate() {
                prop_assert_eq!(*count, words.get(&(bank as u64)).map_or(0, |words| words.len() as u64));
            }
            let total: u64 = words.values().map(|words| words.len() as u64).sum();
            let busiest = words.values().map(|words| words.len() as u64).max().unwrap();
            prop_assert_eq!((cost.words, cost.busiest_bank_words), (total, busiest));
            let width = total.div_ceil(sram.port_words(port)).max(cost.addresses.div_ceil(of.addresses_per_cycle));
            prop_assert_eq!(cost.cycles, busiest.max(width));
            prop_assert_eq!(cost.conflict_cycles, cost.cycles - width);
        }
    }

    /// The promised schedule exists: words dealt in turn to that many cycles keep every bank and the port to their rate.
    #[test]
    fn the_cycles_of_a_cost_suffice((of, access, _) in accessed()) {
        let sram = Sram::new(of).unwrap();
        let demand = sram.demand(&access, Port::Read).unwrap();
        let by_bank = demand.bank_words.iter().enumerate().flat_map(|(bank, count)| vec![bank; *count as usize]);
        let mut cycles: Vec<Vec<usize>> = vec![Vec::new(); demand.cost.cycles as usize];
        for (at, bank) in by_bank.enumerate() {
            let cycle = at % cycles.len();
            prop_assert!(!cycles[cycle].contains(&bank), "a bank serves two words in a cycle");
            cycles[cycle].push(bank);
        }
        prop_assert!(cycles.iter().all(|words| words.len() as u64 <= sram.port_words(Port::Read)));
    }

    #[test]
    fn no_service_beats_the_interval_of_a_pair((of, write, read) in accessed(), rounds in 1u64..12) {
        // A pair is a whole number of cycles; served in a row, one pair may use addresses that the one before left over.
        let pair = |addresses_per_cycle| {
            Sram::new(Description { addresses_per_cycle, ..of.clone() }).unwrap().pair(&write, &read).unwrap().cycles
        };
        let least = pair(4096);
        prop_assert!(pair(of.addresses_per_cycle) >= least);
        let sram = Sram::new(of).unwrap();
        let mut ports = Ports::new(&sram);
        let mut end = 0;
        for _ in 0..rounds {
            let reading = ports.serve(0, &read, Port::Read).unwrap();
            let writing = ports.serve(0, &write, Port::Write).unwrap();
            for served in [reading, writing] {
                prop_assert!(served.start < served.end && served.ready >= served.end);
                end = end.max(served.end);
            }
        }
        prop_assert!(end >= least * rounds, "{end} for {rounds} pairs of {least}");
    }

    /// The closed form against vectors served one by one: an address more than one a cycle makes the model serve them.
    #[test]
    fn ping_pong_in_closed_form_is_ping_pong_served(
        fill in 1u64..12, drain in 1u64..12, blocks in 1u64..12, buffers in 1u64..5, stride in 1i64..20
    ) {
        let of = Description {
            name: "pmu".into(), capacity_bytes: 1 << 16, banks: 16, bank_bytes: 4, read_bytes_per_cycle: 64,
            write_bytes_per_cycle: 64, addresses_per_cycle: 4, latency_cycles: 4,
            bank_ports: BankPorts::ReadAndWrite, address_per_lane: false,
        };
        // Banks apart and one port each: never in each other's way, yet not known to be so beforehand.
        let shared = Sram::new(Description { bank_ports: BankPorts::Shared, banks: 32, ..of.clone() }).unwrap();
        let (write, read) = (Access::strided(0, 256, 4, 3), Access::strided(64, 128 * stride, 4, 2));
        let run = PingPong { write, read, written_vectors: fill, read_vectors: drain, blocks, buffers };
        let served = shared.ping_pong(&run).unwrap();
        let apart = Sram::new(Description { banks: 32, ..of }).unwrap().ping_pong(&run).unwrap();
        prop_assert_eq!(served, apart);
        prop_assert_eq!(served.overlap_cycles + served.elapsed_cycles, served.write_cycles + served.read_cycles);
    }

    #[test]
    fn sharing_bank_ports_never_helps(
        (of, write, read) in accessed(), fill in 1u64..8, drain in 1u64..8, blocks in 1u64..6, buffers in 1u64..4
    ) {
        let sram = |bank_ports| Sram::new(Description { bank_ports, ..of.clone() }).unwrap();
        let (two, one) = (sram(BankPorts::ReadAndWrite), sram(BankPorts::Shared));
        let alone = [two.cost(&write, Port::Write).unwrap().cycles, two.cost(&read, Port::Read).unwrap().cycles];
        let run = PingPong { write, read, written_vectors: fill, read_vectors: drain, blocks, buffers };
        let (apart, shared) = (two.ping_pong(&run).unwrap(), one.ping_pong(&run).unwrap());
        prop_assert!(shared.elapsed_cycles >= apart.elapsed_cycles);
        for overlap in [apart, shared] {
            let work = alone[0] * fill * blocks + alone[1] * drain * blocks;
            prop_assert_eq!(overlap.write_cycles + overlap.read_cycles, work + overlap.contention_cycles);
            prop_assert_eq!(overlap.elapsed_cycles, overlap.read_cycles + overlap.read_data_cycles);
            prop_assert!(buffers > 1 || overlap.overlap_cycles == 0);
        }
    }

    #[test]
    fn buffers_alive_together_never_overlap((buffers, space) in crowds()) {
        let (least, _) = live_bytes(&buffers);
        let allocation = match allocate(&buffers, &space, &mut || true) {
            Ok(allocation) => allocation,
            Err(AllocationError::Full(full)) => {
                prop_assert!(full.needed_bytes > full.gap_bytes || space.split_bytes.is_some(), "{}", full);
                return Ok(());
            }
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        };
        prop_assert_eq!(allocation.lower_bound_bytes, least);
        prop_assert!(allocation.high_water_bytes() >= least);
        prop_assert!(allocation.pmu_high_water_bytes.len() as u64 <= space.pmus);
        let mut bytes = vec![0; buffers.len()];
        for (at, piece) in allocation.pieces.iter().enumerate() {
            let owner = &buffers[piece.buffer];
            bytes[piece.buffer] += piece.bytes;
            prop_assert!(piece.offset_bytes.is_multiple_of(owner.alignment_bytes));
            prop_assert!(piece.offset_bytes + piece.bytes <= allocation.pmu_high_water_bytes[piece.pmu]);
            prop_assert!(allocation.pmu_high_water_bytes[piece.pmu] <= space.capacity_bytes);
            for other in &allocation.pieces[..at] {
                let them = &buffers[other.buffer];
                let apart = other.pmu != piece.pmu
                    || other.offset_bytes + other.bytes <= piece.offset_bytes
                    || piece.offset_bytes + piece.bytes <= other.offset_bytes
                    || them.last_use < owner.first_use
                    || owner.last_use < them.first_use;
                prop_assert!(apart, "{} and {}", owner.name, them.name);
            }
        }
        let asked: Vec<u64> = buffers.iter().map(|buffer| buffer.bytes).collect();
        prop_assert_eq!(bytes, asked);
        prop_assert_eq!(allocate(&buffers, &space, &mut || true).unwrap(), allocation, "the same answer each time");
    }

    /// The search against a plain one over all offsets, on inputs small enough for that.
    #[test]
    fn one_pmu_is_filled_as_well_as_can_be(sizes in prop::collection::vec((1u64..5, 0u64..6, 0u64..4), 1..7)) {
        let buffers: Vec<Buffer> = sizes.iter().enumerate().map(|(at, &(bytes, first_use, more))| Buffer {
            name: format!("b{at}"), bytes, alignment_bytes: 1, first_use, last_use: first_use + more,
        }).collect();
        let space = |capacity_bytes| Space { capacity_bytes, pmus: 1, split_bytes: None };
        let best = (1..).find(|height| fits(&buffers, &mut Vec::new(), *height)).unwrap();
        let found = allocate(&buffers, &space(best), &mut || true).unwrap();
        prop_assert!(found.high_water_bytes() == best);
        prop_assert!(best == 1 || allocate(&buffers, &space(best - 1), &mut || true).is_err());
        prop_assert_eq!(allocate(&buffers, &space(1000), &mut || true).unwrap().high_water_bytes(), best);
    }

    #[test]
    fn advice_of_a_refusal_holds(buffers in buffers(14), space in space()) {
        let Err(AllocationError::Full(full)) = allocate(&buffers, &space, &mut || true) else { return Ok(()) };
        let fits = |buffers: &[Buffer], space: &Space| allocate(buffers, space, &mut || true).is_ok();
        let advice = full.remedies;
        if let Some(capacity_bytes) = advice.capacity_bytes {
            let larger = Space { capacity_bytes, ..space };
            prop_assert!(fits(&buffers, &larger));
        }
        if let Some(pmus) = advice.pmus {
            let more = Space { pmus, ..space };
            prop_assert!(pmus > space.pmus && fits(&buffers, &more));
        }
        if advice.split {
            let split = Space { split_bytes: Some(64), ..space };
            prop_assert!(fits(&buffers, &split));
        }
        let change = |name: &str, change: &dyn Fn(&mut Buffer)| {
            let mut changed = buffers.clone();
            changed.iter_mut().filter(|buffer| buffer.name == name).for_each(change);
            changed
        };
        if let Some(bytes) = advice.shrink_bytes {
            prop_assert!(bytes < full.needed_bytes);
            prop_assert!(fits(&change(&full.buffer, &|buffer| buffer.bytes = bytes), &space));
        }
        if let Some((name, last)) = &advice.shorten {
            prop_assert!(fits(&change(name, &|buffer| buffer.last_use = *last), &space));
        }
    }
}

/// Whether the rest of the buffers fit below a height, by trying every offset of each.
fn fits(buffers: &[Buffer], offsets: &mut Vec<u64>, height: u64) -> bool {
    let Some(next) = buffers.get(offsets.len()) else { return true };
    for offset in 0..=height.saturating_sub(next.bytes) {
        let apart = |(other, at): (&Buffer, &u64)| {
            other.last_use < next.first_use
                || next.last_use < other.first_use
                || at + other.bytes <= offset
                || offset + next.bytes <= *at
        };
        if next.bytes <= height && buffers.iter().zip(offsets.iter()).all(apart) {
            offsets.push(offset);
            if fits(buffers, offsets, height) {
                return true;
            }
            offsets.pop();
        }
    }
    false
}
