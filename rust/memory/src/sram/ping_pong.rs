//! Buffers in turn: one fills while another drains.

use super::access::Access;
use super::cost::Demand;
use super::description::{BankPorts, Port, Sram};
use super::error::SramError;
use super::ports::Ports;

/// Blocks that pass through `buffers` equal parts of a PMU in turn; 2 is the double buffer, 1 a single one.
///
/// The writer fills a part as soon as it is drained, the reader drains it as soon as it is full. Every vector touches
/// the banks as the two given here do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PingPong {
    pub write: Access,
    pub read: Access,
    /// Vectors of one block.
    pub written_vectors: u64,
    pub read_vectors: u64,
    pub blocks: u64,
    pub buffers: u64,
}

/// Who worked when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overlap {
    /// From the first write to the last read.
    pub elapsed_cycles: u64,
    /// Cycles of the write port at work, and until its last write those in which it waited for a part to drain.
    pub write_cycles: u64,
    pub write_space_cycles: u64,
    /// Cycles of the read port at work, and until its last read those in which it waited for a part to fill.
    pub read_cycles: u64,
    pub read_data_cycles: u64,
    /// Cycles in which both worked.
    pub overlap_cycles: u64,
    /// Cycles that vectors waited for banks or addresses of the other port; part of the work above.
    pub contention_cycles: u64,
}

/// Where the ports contend, vectors are served one by one: at most so many.
const MOST_VECTORS: u64 = 1 << 20;
/// Cycles and counts stay far from overflow.
const MOST: u64 = 1 << 30;

impl Sram {
    /// The overlap of filling and draining.
    pub fn ping_pong(&self, of: &PingPong) -> Result<Overlap, SramError> {
        let (write, read) = (self.demand(&of.write, Port::Write)?, self.demand(&of.read, Port::Read)?);
        let counts = [
            ("written_vectors", of.written_vectors),
            ("read_vectors", of.read_vectors),
            ("blocks", of.blocks),
            ("buffers", of.buffers),
        ];
        for (what, value) in counts {
            if !(1..=MOST).contains(&value) {
                return Err(SramError::Count { what, value, most: MOST });
            }
        }
        // With fewer addresses than come in a cycle, and a bank port for each, neither side ever sees the other.
        let apart = self.description().bank_ports == BankPorts::ReadAndWrite
            && write.cost.addresses + read.cost.addresses <= self.description().addresses_per_cycle;
        let blocks = u128::from(of.blocks);
        let longest = u128::from(of.written_vectors) * u128::from(write.cost.cycles)
            + u128::from(of.read_vectors) * u128::from(read.cost.cycles);
        if longest * blocks > 1 << 62 {
            return Err(SramError::Count { what: "blocks", value: of.blocks, most: ((1u128 << 62) / longest) as u64 });
        }
        let vectors = (u128::from(of.written_vectors) + u128::from(of.read_vectors)) * blocks;
        if apart {
            Ok(closed(
                of.written_vectors * write.cost.cycles,
                of.read_vectors * read.cost.cycles,
                of.blocks,
                of.buffers,
            ))
        } else if vectors <= u128::from(MOST_VECTORS) {
            Ok(served(self, of, &write, &read))
        } else {
            let most = MOST_VECTORS / (of.written_vectors + of.read_vectors);
            Err(SramError::Count { what: "blocks", value: of.blocks, most })
        }
    }
}

/// Ports that do not meet: the block recurrence solved. `fill` and `drain` are the cycles of a block.
fn closed(fill: u64, drain: u64, blocks: u64, buffers: u64) -> Overlap {
    let (write_cycles, read_cycles) = (fill * blocks, drain * blocks);
    let (last_fill, elapsed_cycles) = if buffers == 1 {
        ((blocks - 1) * (fill + drain) + fill, blocks * (fill + drain))
    } else {
        // Block k begins to fill when block k - buffers has drained; the slower side sets the pace.
        let waited = if blocks > buffers { fill + (blocks - buffers) * drain } else { 0 };
        (fill + ((blocks - 1) * fill).max(waited), fill + (blocks - 1) * fill.max(drain) + drain)
    };
    Overlap {
        elapsed_cycles,
        write_cycles,
        write_space_cycles: last_fill - write_cycles,
        read_cycles,
        read_data_cycles: elapsed_cycles - read_cycles,
        // Whoever waits, waits for the other to work: one of them always does.
        overlap_cycles: write_cycles + read_cycles - elapsed_cycles,
        contention_cycles: 0,
    }
}

/// Vector by vector; of two that could come at the same cycle, the read comes first.
fn served(sram: &Sram, of: &PingPong, write: &Demand, read: &Demand) -> Overlap {
    let mut ports = Ports::new(sram);
    let mut overlap = Overlap::default();
    let (writes, reads) = (of.written_vectors * of.blocks, of.read_vectors * of.blocks);
    let (mut written, mut done) = (0, 0);
    // When each block was full, and when it was drained.
    let (mut full, mut drained): (Vec<u64>, Vec<u64>) = (Vec::new(), Vec::new());
    let mut both_until = 0;
    while done < reads {
        let at = |ready: Option<&u64>, port| ready.map(|ready| (*ready).max(ports.free(port)));
        let read_at = at(full.get((done / of.read_vectors) as usize), Port::Read);
        let block = written / of.written_vectors;
        let gate = match block.checked_sub(of.buffers) {
            None => Some(&0),
            Some(before) => drained.get(before as usize),
        };
        let write_at = if written < writes { at(gate, Port::Write) } else { None };
        let reads_next = match (read_at, write_at) {
            (Some(read), Some(write)) => read <= write,
            (read, _) => read.is_some(),
        };
        let (now, demand) = if reads_next { (read_at, read) } else { (write_at, write) };
        // One of them can always go: a part is full, or a part is drained.
        let Some(now) = now else { break };
        let served = ports.serve_demand(now, demand);
        let (busy, waited) = match demand.port {
            Port::Read => (&mut overlap.read_cycles, &mut overlap.read_data_cycles),
            Port::Write => (&mut overlap.write_cycles, &mut overlap.write_space_cycles),
        };
        *busy += served.end - served.start;
        *waited = served.end - *busy;
        overlap.contention_cycles += served.wait_cycles;
        both_until = served.end.max(both_until);
        if reads_next {
            done += 1;
            if done % of.read_vectors == 0 {
                drained.push(served.end);
            }
        } else {
            written += 1;
            if written % of.written_vectors == 0 {
                full.push(served.end);
            }
        }
    }
    overlap.elapsed_cycles = both_until;
    overlap.overlap_cycles = overlap.write_cycles + overlap.read_cycles - overlap.elapsed_cycles;
    overlap
}
