//! What a PMU is: banks of words behind a read port and a write port.

use super::error::SramError;

/// The most of each number: far beyond any chip, small enough that no sum of them overflows.
const MOST_CAPACITY: u64 = 1 << 40;
const MOST_BANKS: u64 = 4096;
const MOST_BANK_BYTES: u64 = 4096;
const MOST_ADDRESSES: u64 = 4096;
const MOST_LATENCY: u64 = 1 << 20;

/// The ports of one bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BankPorts {
    /// A read port and a write port (1R1W): a bank reads a word and writes a word in the same cycle.
    ReadAndWrite,
    /// One port for both (1RW): a bank reads a word or writes one.
    Shared,
}

/// The two ports of a PMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    Read,
    Write,
}

/// The numbers of a PMU. A bank serves one word per cycle and port; a *line* is one word of each bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    pub name: String,
    pub capacity_bytes: u64,
    pub banks: u64,
    /// Width of a bank's word.
    pub bank_bytes: u64,
    pub read_bytes_per_cycle: u64,
    pub write_bytes_per_cycle: u64,
    pub addresses_per_cycle: u64,
    /// From the cycle that serves the last word of a vector, that one included, to the vector's leaving.
    pub latency_cycles: u64,
    pub bank_ports: BankPorts,
    /// Whether lanes at a stride need an address each. If not, base and stride are one address, as in Plasticine's
    /// strided banking mode (ISCA 2017); gathered lanes need one each in any case.
    pub address_per_lane: bool,
}

/// A PMU that can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sram {
    description: Description,
}

impl Sram {
    pub fn new(description: Description) -> Result<Self, SramError> {
        let d = &description;
        let wrong = |what, value, rule: &str| {
            Err(SramError::Description { name: d.name.clone(), what, value, rule: rule.to_owned() })
        };
        let within = |what, value, most| {
            if (1..=most).contains(&value) { Ok(()) } else { wrong(what, value, &format!("between 1 and {most}")) }
        };
        within("banks", d.banks, MOST_BANKS)?;
        within("bank_bytes", d.bank_bytes, MOST_BANK_BYTES)?;
        within("capacity_bytes", d.capacity_bytes, MOST_CAPACITY)?;
        within("addresses_per_cycle", d.addresses_per_cycle, MOST_ADDRESSES)?;
        within("latency_cycles", d.latency_cycles, MOST_LATENCY)?;
        let line = d.banks * d.bank_bytes;
        if !d.capacity_bytes.is_multiple_of(line) {
            let rule = format!("a multiple of {line} (a line: one word of {} bytes of each bank)", d.bank_bytes);
            wrong("capacity_bytes", d.capacity_bytes, &rule)?;
        }
        let ports =
            [("read_bytes_per_cycle", d.read_bytes_per_cycle), ("write_bytes_per_cycle", d.write_bytes_per_cycle)];
        for (what, bytes) in ports {
            if bytes == 0 || bytes > line || !bytes.is_multiple_of(d.bank_bytes) {
                let rule = format!("a positive multiple of {} (bank_bytes) and at most {line} (a line)", d.bank_bytes);
                wrong(what, bytes, &rule)?;
            }
        }
        Ok(Sram { description })
    }

    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Bytes of a line: one word of each bank.
    pub fn line_bytes(&self) -> u64 {
        self.description.banks * self.description.bank_bytes
    }

    /// Words that a port moves in a cycle; at most one of each bank.
    pub fn port_words(&self, port: Port) -> u64 {
        let bytes = match port {
            Port::Read => self.description.read_bytes_per_cycle,
            Port::Write => self.description.write_bytes_per_cycle,
        };
        bytes / self.description.bank_bytes
    }
}
