//! A PMU against what its description promises, tight in both directions, and the allocator on inputs with known answers.

use rdu::memory::sram::{
    Access, Allocation, AllocationError, BankPorts, Buffer, Description, Full, Layout, Matrix, Pair, PingPong, Port,
    Ports, Space, Sram, SramError, Transposed, allocate,
};

fn description() -> Description {
    Description {
        name: "pmu".into(),
        capacity_bytes: 512 << 10,
        banks: 16,
        bank_bytes: 4,
        read_bytes_per_cycle: 64,
        write_bytes_per_cycle: 64,
        addresses_per_cycle: 4,
        latency_cycles: 4,
        bank_ports: BankPorts::ReadAndWrite,
        address_per_lane: false,
    }
}

fn pmu() -> Sram {
    Sram::new(description()).unwrap()
}

fn shared() -> Sram {
    Sram::new(Description { bank_ports: BankPorts::Shared, ..description() }).unwrap()
}

/// 16 lanes of 4 bytes, `stride` words apart.
fn words(stride: i64) -> Access {
    Access::strided(if stride < 0 { 1 << 16 } else { 0 }, 4 * stride, 4, 16)
}

fn cycles(sram: &Sram, access: &Access) -> u64 {
    sram.initiation_interval(access, Port::Read).unwrap()
}

#[test]
fn a_stride_takes_as_many_cycles_as_it_shares_with_the_banks() {
    // gcd(stride, 16) lanes meet in each bank: Hockney and Jesshope's rule for interleaved memories.
    for (stride, want) in [(1, 1), (2, 2), (3, 1), (4, 4), (5, 1), (6, 2), (8, 8), (15, 1), (16, 16), (17, 1), (48, 16)]
    {
        assert_eq!(cycles(&pmu(), &words(stride)), want, "stride {stride}");
        assert_eq!(cycles(&pmu(), &words(-stride)), want, "stride -{stride}");
    }
    assert_eq!(cycles(&pmu(), &words(0)), 1, "one word for all lanes is read once");
}

#[test]
fn one_lane_more_than_the_banks_hold_is_one_cycle_more() {
    for (stride, most) in [(1, 16), (3, 16), (2, 8), (4, 4), (17, 16)] {
        let of = |lanes| cycles(&pmu(), &Access::strided(0, 4 * stride, 4, lanes));
        assert_eq!((of(most), of(most + 1)), (1, 2), "stride {stride}");
    }
}

#[test]
fn a_vector_of_64_bytes_takes_a_cycle_where_it_lies_in_one_line_of_words() {
    for element in [1, 2, 4, 8, 16, 64] {
        assert_eq!(cycles(&pmu(), &Access::contiguous(element, 64 / element)), 1);
    }
    // One byte past a word touches a 17th.
    assert_eq!(cycles(&pmu(), &Access::strided(4, 4, 4, 16)), 1);
    assert_eq!(cycles(&pmu(), &Access::strided(1, 4, 4, 16)), 2);
    let cost = pmu().cost(&Access::strided(1, 4, 4, 16), Port::Read).unwrap();
    assert_eq!((cost.words, cost.busiest_bank_words, cost.conflict_cycles), (17, 2, 0), "width, not conflict");
}

#[test]
fn conflicts_are_what_a_better_layout_would_save() {
    for (stride, want) in [(1, 0), (2, 1), (8, 7), (16, 15), (17, 0)] {
        assert_eq!(pmu().conflict_cycles(&words(stride), Port::Read).unwrap(), want, "stride {stride}");
    }
}

#[test]
fn a_narrow_port_takes_longer_and_calls_it_no_conflict() {
    let half = Sram::new(Description { write_bytes_per_cycle: 32, ..description() }).unwrap();
    let cost = |port| half.cost(&words(1), port).unwrap();
    assert_eq!((cost(Port::Read).cycles, cost(Port::Write).cycles), (1, 2));
    assert_eq!(cost(Port::Write).conflict_cycles, 0);
    // Stride 2 needs two rounds of the banks, and two of the port: neither adds to the other.
    assert_eq!(half.cost(&words(2), Port::Write).unwrap().cycles, 2);
}

#[test]
fn gathered_lanes_wait_for_four_addresses_a_cycle() {
    let spread = |lanes: u64| Access::gathered((0..lanes).map(|lane| lane * 68).collect(), 4);
    assert_eq!((cycles(&pmu(), &spread(4)), cycles(&pmu(), &spread(5)), cycles(&pmu(), &spread(16))), (1, 2, 4));
    let crowded = Access::gathered((0..16).map(|lane| lane * 64).collect(), 4);
    let cost = pmu().cost(&crowded, Port::Read).unwrap();
    assert_eq!((cost.cycles, cost.conflict_cycles, cost.addresses), (16, 12, 16));
    let same = pmu().cost(&Access::gathered(vec![8; 16], 4), Port::Read).unwrap();
    assert_eq!((same.cycles, same.words), (4, 1), "one word, sixteen addresses");
}

#[test]
fn an_address_per_lane_is_a_choice_of_the_description() {
    let each = Sram::new(Description { address_per_lane: true, ..description() }).unwrap();
    let of = |stride| cycles(&each, &words(stride));
    assert_eq!((of(1), of(3), of(8), of(0)), (1, 4, 8, 1), "neighbours are one address in any case");
}

#[test]
fn a_skew_frees_rows_and_columns() {
    for row_words in [1, 2, 4, 8, 16, 32, 48, 256] {
        let skewed = Layout::Skewed { row_bytes: 4 * row_words };
        let column = Access::strided(0, 4 * row_words as i64, 4, 16);
        let row = Access::contiguous(4, 16);
        assert_eq!(cycles(&pmu(), &column.clone().laid(skewed)), 1, "a column of rows of {row_words}");
        assert_eq!(cycles(&pmu(), &row.laid(skewed)), 1, "a row of {row_words}");
        let linear = if row_words < 16 { row_words } else { 16 };
        assert_eq!(cycles(&pmu(), &column), linear);
    }
    let other = Access::strided(0, 1024, 4, 16).laid(Layout::Skewed { row_bytes: 64 });
    assert_eq!(cycles(&pmu(), &other), 16, "a skew made for rows of 64 bytes is none for rows of 1024");
}

#[test]
fn a_transpose_runs_at_full_rate_on_a_skew_and_at_a_bank_s_rate_without() {
    for (element, columns) in [(4, 64), (2, 128), (1, 256)] {
        let matrix =
            |layout| Matrix { base_bytes: 0, rows: 64, columns, element_bytes: element, pitch_bytes: 256, layout };
        let vectors = columns * 64 * element / 64;
        let skewed = pmu().transpose(&matrix(Layout::Skewed { row_bytes: 256 })).unwrap();
        assert_eq!(skewed, Transposed { cycles: vectors, conflict_cycles: 0, vectors }, "{element} bytes");
        let linear = pmu().transpose(&matrix(Layout::Linear)).unwrap();
        assert_eq!(linear, Transposed { cycles: 16 * vectors, conflict_cycles: 15 * vectors, vectors });
    }
}

#[test]
fn reads_and_writes_meet_only_at_banks_of_one_port() {
    let vector = words(1);
    assert_eq!(pmu().pair(&vector, &vector).unwrap(), Pair { cycles: 1, conflict_cycles: 0 });
    assert_eq!(shared().pair(&vector, &vector).unwrap(), Pair { cycles: 2, conflict_cycles: 1 });
    // The lower half of the banks for one, the upper half for the other.
    let (low, high) = (Access::contiguous(4, 8), Access::strided(32, 4, 4, 8));
    assert_eq!(shared().pair(&low, &high).unwrap().cycles, 1);
    assert_eq!(shared().pair(&low, &Access::strided(28, 4, 4, 8)).unwrap().cycles, 2);
    // 16 gathered addresses and one more: 17 at 4 a cycle.
    let gather = Access::gathered((0..16).map(|lane| lane * 4).collect(), 4);
    assert_eq!(pmu().pair(&vector, &gather).unwrap(), Pair { cycles: 5, conflict_cycles: 0 });
}

#[test]
fn a_port_is_blocked_until_the_last_word_and_free_the_cycle_after() {
    let sram = pmu();
    let mut ports = Ports::new(&sram);
    let first = ports.serve(10, &words(4), Port::Read).unwrap();
    assert_eq!((first.start, first.end, first.ready), (10, 14, 17), "4 rounds, then 4 cycles from the last");
    let next = |now| ports.clone().serve(now, &words(1), Port::Read).unwrap().start;
    assert_eq!((next(13), next(14), next(15)), (14, 14, 15));
    let write = ports.serve(10, &words(1), Port::Write).unwrap();
    assert_eq!((write.start, write.end, write.wait_cycles), (10, 11, 0), "the write port is its own");
}

#[test]
fn who_comes_second_at_a_shared_bank_waits() {
    let sram = shared();
    let mut ports = Ports::new(&sram);
    ports.serve(0, &words(4), Port::Read).unwrap();
    // The read keeps banks 0, 4, 8 and 12 until cycle 4.
    let at = |base, now| ports.clone().serve(now, &Access::strided(base, 4, 4, 1), Port::Write).unwrap();
    assert_eq!((at(0, 3).end, at(0, 3).wait_cycles), (5, 1));
    assert_eq!((at(0, 4).end, at(0, 4).wait_cycles), (5, 0));
    assert_eq!((at(16, 0).end, at(32, 0).wait_cycles, at(48, 2).end), (5, 4, 5));
    assert_eq!((at(20, 3).end, at(20, 3).wait_cycles), (4, 0), "another bank");
}

#[test]
fn a_double_buffer_hides_the_shorter_side() {
    let run = |buffers, written_vectors, read_vectors| {
        let (write, read) = (words(1), words(1));
        pmu().ping_pong(&PingPong { write, read, written_vectors, read_vectors, blocks: 10, buffers }).unwrap()
    };
    let double = run(2, 100, 60);
    assert_eq!(double.elapsed_cycles, 100 * 10 + 60);
    assert_eq!((double.write_space_cycles, double.read_data_cycles), (0, 100 + 9 * 40));
    assert_eq!(double.overlap_cycles, 600 - 60);
    let slow = run(2, 60, 100);
    assert_eq!((slow.elapsed_cycles, slow.read_data_cycles), (60 + 1000, 60));
    assert_eq!(slow.write_space_cycles, 60 + 8 * 100 + 60 - 600, "the last half is free when eight have drained");
    let single = run(1, 100, 60);
    assert_eq!((single.elapsed_cycles, single.overlap_cycles), (1600, 0));
    assert_eq!(run(3, 100, 60).elapsed_cycles, double.elapsed_cycles, "a third part has nothing to hide");
}

#[test]
fn a_double_buffer_on_shared_banks_hides_nothing() {
    let of = PingPong { write: words(1), read: words(1), written_vectors: 8, read_vectors: 8, blocks: 6, buffers: 2 };
    let overlap = shared().ping_pong(&of).unwrap();
    // 96 vectors of whole lines, one at a time.
    assert_eq!(overlap.elapsed_cycles, 96);
    assert!(overlap.contention_cycles > 0);
    let (write, read) = (Access::contiguous(4, 8), Access::strided(32, 4, 4, 8));
    let halves = shared().ping_pong(&PingPong { write, read, ..of.clone() }).unwrap();
    assert_eq!(halves, pmu().ping_pong(&of).unwrap(), "halves in banks of their own are as good as two ports");
}

#[test]
fn a_description_that_cannot_be_is_refused_by_name() {
    let wrong = |change: fn(&mut Description)| {
        let mut description = description();
        change(&mut description);
        Sram::new(description).unwrap_err().to_string()
    };
    assert_eq!(wrong(|d| d.banks = 0), "pmu: banks is 0; it must be between 1 and 4096");
    assert!(wrong(|d| d.bank_bytes = 0).starts_with("pmu: bank_bytes is 0"));
    assert!(wrong(|d| d.capacity_bytes = 1000).contains("capacity_bytes is 1000; it must be a multiple of 64"));
    assert!(wrong(|d| d.read_bytes_per_cycle = 128).contains("at most 64"));
    assert!(wrong(|d| d.write_bytes_per_cycle = 6).contains("a positive multiple of 4"));
    assert!(wrong(|d| d.addresses_per_cycle = 0).contains("addresses_per_cycle"));
    assert!(wrong(|d| d.latency_cycles = 0).contains("latency_cycles"));
}

#[test]
fn an_access_that_cannot_be_is_refused_by_name() {
    let wrong = |access: Access| pmu().cost(&access, Port::Read).unwrap_err();
    let end = 512 << 10;
    assert!(pmu().cost(&Access::strided(end - 64, 4, 4, 16), Port::Read).is_ok());
    assert!(matches!(wrong(Access::strided(end - 60, 4, 4, 16)), SramError::Outside { lane: 15, .. }));
    assert!(matches!(wrong(Access::strided(8, -4, 4, 4)), SramError::Outside { lane: 3, address_bytes: -4, .. }));
    assert!(matches!(wrong(Access::strided(0, i64::MAX, 4, 4)), SramError::Outside { lane: 1, .. }));
    assert!(matches!(wrong(Access::strided(0, i64::MIN, 4, 4)), SramError::Outside { lane: 1, .. }));
    assert!(matches!(wrong(Access::contiguous(u64::MAX, 1)), SramError::Outside { lane: 0, .. }));
    assert!(matches!(wrong(Access::gathered(vec![0, u64::MAX], 4)), SramError::Outside { lane: 1, .. }));
    assert!(matches!(wrong(Access::contiguous(0, 4)), SramError::ElementOfNone));
    assert!(matches!(wrong(Access::contiguous(4, 0)), SramError::Lanes { lanes: 0, .. }));
    assert!(matches!(wrong(Access::gathered(Vec::new(), 4)), SramError::Lanes { lanes: 0, .. }));
    let torn = wrong(words(1).laid(Layout::Skewed { row_bytes: 72 })).to_string();
    assert!(torn.contains("pad them to 128"), "{torn}");
}

// The allocator.

fn buffer(name: &str, bytes: u64, first_use: u64, last_use: u64) -> Buffer {
    Buffer { name: name.into(), bytes, alignment_bytes: 64, first_use, last_use }
}

fn one(capacity_bytes: u64) -> Space {
    Space { capacity_bytes, pmus: 1, split_bytes: None }
}

fn placed(buffers: &[Buffer], space: &Space) -> Result<Allocation, AllocationError> {
    allocate(buffers, space, &mut || true)
}

fn full(buffers: &[Buffer], space: &Space) -> Full {
    match placed(buffers, space) {
        Err(AllocationError::Full(full)) => *full,
        other => panic!("{other:?}"),
    }
}

#[test]
fn lives_that_do_not_meet_share_their_bytes() {
    let buffers = [buffer("a", 4096, 0, 3), buffer("b", 4096, 4, 7), buffer("c", 4096, 8, 9)];
    let allocation = placed(&buffers, &one(4096)).unwrap();
    assert_eq!((allocation.high_water_bytes(), allocation.lower_bound_bytes), (4096, 4096));
    let mut met = buffers.to_vec();
    met[0].last_use = 4;
    assert_eq!(full(&met, &one(8191)).live_bytes, 8192, "the last use counts");
    assert_eq!(placed(&met, &one(8192)).unwrap().high_water_bytes(), 8192);
}

#[test]
fn a_search_finds_what_largest_first_does_not() {
    // The example of MiniMalloc's README: 12 bytes do, and every step is full.
    let of = |name, first, before: u64, bytes| Buffer { alignment_bytes: 1, ..buffer(name, bytes, first, before - 1) };
    let buffers = [of("1", 0, 3, 4), of("2", 3, 9, 4), of("3", 0, 9, 4), of("4", 9, 21, 4), of("5", 0, 21, 4)];
    assert_eq!(placed(&buffers, &one(12)).unwrap().high_water_bytes(), 12);
    assert_eq!(full(&buffers, &one(11)).remedies.capacity_bytes, Some(64));
}

#[test]
fn buffers_go_to_another_pmu_before_any_is_split() {
    let buffers = [buffer("a", 640, 0, 9), buffer("b", 640, 0, 9), buffer("c", 640, 0, 9)];
    let space = Space { capacity_bytes: 1024, pmus: 3, split_bytes: Some(64) };
    let allocation = placed(&buffers, &space).unwrap();
    assert_eq!(allocation.pmu_high_water_bytes, [640, 640, 640]);
    let two = placed(&buffers, &Space { pmus: 2, ..space }).unwrap();
    assert_eq!(two.pieces.len(), 4, "the third is split over what is left");
    assert_eq!(two.high_water_bytes(), 1920);
    let refused = full(&buffers, &Space { pmus: 2, split_bytes: None, ..space });
    assert!(refused.remedies.split && refused.remedies.pmus == Some(3), "{refused}");
}

#[test]
fn a_buffer_larger_than_a_pmu_takes_whole_ones_first() {
    let space = Space { capacity_bytes: 1024, pmus: 4, split_bytes: Some(64) };
    let allocation = placed(&[buffer("a", 2500, 0, 0), buffer("b", 400, 0, 0)], &space).unwrap();
    let sizes: Vec<u64> = allocation.pieces.iter().map(|piece| piece.bytes).collect();
    assert_eq!(sizes, [1024, 1024, 452, 400]);
}

#[test]
fn what_did_not_fit_is_told_with_what_would() {
    let buffers = [buffer("weights", 4096, 0, 9), buffer("scores", 3072, 1, 4), buffer("row", 2048, 3, 6)];
    let told = full(&buffers, &one(8192));
    assert_eq!((told.buffer.as_str(), told.needed_bytes, told.step, told.free_bytes), ("row", 2048, 3, 1024));
    assert_eq!(told.holders, [("weights".to_owned(), 4096), ("scores".to_owned(), 3072)]);
    assert_eq!(
        told.to_string(),
        "buffer \"row\" of 2048 bytes (steps 3 to 6) does not fit into 1 PMU of 8192 bytes: at step 3 1024 bytes are \
         free (1024 in one piece for its whole life); held by \"weights\" (4096), \"scores\" (3072). At step 3 9216 \
         bytes are alive together. What would fit: PMUs of 9216 bytes; or 2 PMUs; or \"row\" with at most 1024 bytes; \
         or \"weights\" last used at step 2"
    );
}

#[test]
fn what_would_fit_but_found_no_place_is_told_apart() {
    // Three of 640 in two of 1024: 1920 of 2048 bytes, and none of them can be cut.
    let buffers = [buffer("a", 640, 0, 9), buffer("b", 640, 0, 9), buffer("c", 640, 0, 9)];
    let told = full(&buffers, &Space { capacity_bytes: 1024, pmus: 2, split_bytes: None });
    assert_eq!((told.free_bytes, told.gap_bytes), (768, 384));
    assert!(told.to_string().contains("1920 bytes are alive together: less than there is, but"), "{told}");
}

#[test]
fn every_advice_holds() {
    let buffers = [buffer("weights", 4096, 0, 9), buffer("scores", 3072, 1, 4), buffer("row", 2048, 3, 6)];
    let advice = full(&buffers, &one(8192)).remedies;
    let capacity = advice.capacity_bytes.unwrap();
    assert!(placed(&buffers, &one(capacity)).is_ok() && placed(&buffers, &one(capacity - 64)).is_err());
    let pmus = advice.pmus.unwrap();
    assert!(placed(&buffers, &Space { pmus, ..one(8192) }).is_ok());
    let mut smaller = buffers.to_vec();
    smaller[2].bytes = advice.shrink_bytes.unwrap();
    assert!(placed(&smaller, &one(8192)).is_ok());
    smaller[2].bytes += 64;
    assert!(placed(&smaller, &one(8192)).is_err());
    let (name, last_use) = advice.shorten.unwrap();
    let mut shorter = buffers.to_vec();
    shorter.iter_mut().filter(|buffer| buffer.name == name).for_each(|buffer| buffer.last_use = last_use);
    assert!(placed(&shorter, &one(8192)).is_ok());
}

#[test]
fn bad_buffers_and_spaces_are_refused_by_name() {
    let wrong = |buffers: &[Buffer], space: &Space| placed(buffers, space).unwrap_err().to_string();
    let good = buffer("x", 64, 1, 2);
    assert_eq!(wrong(&[buffer("x", 0, 0, 0)], &one(64)), "buffer \"x\": bytes is 0; it must be between 1 and 2^46");
    assert!(wrong(&[buffer("x", 64, 2, 1)], &one(64)).contains("last_use is 1; it must be at least 2, its first use"));
    let odd = Buffer { alignment_bytes: 48, ..good.clone() };
    assert!(wrong(&[odd], &one(64)).contains("alignment_bytes is 48; it must be a power of two"));
    assert!(wrong(&[good.clone(), good.clone()], &one(64)).contains("two buffers are called \"x\""));
    assert!(wrong(std::slice::from_ref(&good), &one(0)).contains("capacity_bytes is 0"));
    assert!(wrong(std::slice::from_ref(&good), &Space { pmus: 0, ..one(64) }).contains("pmus is 0"));
    assert!(
        wrong(std::slice::from_ref(&good), &Space { split_bytes: Some(3), ..one(64) }).contains("split_bytes is 3")
    );
    let whole_time = Buffer { first_use: 0, last_use: u64::MAX, ..good };
    assert_eq!(placed(&[whole_time], &one(64)).unwrap().lower_bound_bytes, 64);
    assert!(placed(&[], &one(64)).unwrap().pieces.is_empty());
}

#[test]
fn a_watch_stops_the_allocator() {
    let buffers = [buffer("a", 64, 0, 0), buffer("b", 64, 0, 0)];
    assert_eq!(allocate(&buffers, &one(128), &mut || false), Err(AllocationError::Interrupted));
}

/// The inputs of `data/allocation`, whose README says where they come from; each is known to fit 1 MiB.
fn published(name: &str) -> Vec<Buffer> {
    let path = format!("{}/tests/data/allocation/{name}.csv", env!("CARGO_MANIFEST_DIR"));
    let row = |line: &str| {
        let field: Vec<u64> = line.split(',').map(|field| field.parse().unwrap()).collect();
        Buffer { alignment_bytes: 1, ..buffer(&field[0].to_string(), field[3], field[1], field[2] - 1) }
    };
    std::fs::read_to_string(path).unwrap().lines().skip(1).map(row).collect()
}

#[test]
fn published_hard_inputs_fit_the_megabyte_they_are_known_to_fit() {
    // The quick ones; B, E, H and I take more nodes than the allocator spends.
    for name in ["F", "J"] {
        let allocation = placed(&published(name), &one(1 << 20)).unwrap();
        assert!(allocation.high_water_bytes() <= 1 << 20);
    }
}
