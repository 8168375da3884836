//! Reads and writes against each other, in time: first come, first served, at each port and at each bank.
//!
//! The rule. A port takes its vectors in order, one at a time: the next when the last word of the one before has been
//! served. A bank serves one word a cycle and port, in the order in which the vectors came. With banks of two ports (1R1W)
//! reads and writes therefore never meet; a read in the cycle of a write to the same word gets the old value. With
//! banks of one port (1RW) whoever comes second at a bank waits for it. All addresses come from the same address units.
//! None of this is published for the SN40L: 64 bytes each way in the same cycle from 16 banks of 4 bytes need 1R1W.

use super::access::Access;
use super::cost::Demand;
use super::description::{BankPorts, Port, Sram};
use super::error::SramError;

/// When a vector was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// First cycle at the port.
    pub start: u64,
    /// The port takes the next vector from this cycle on.
    pub end: u64,
    /// Cycle at which a vector that is read has left the PMU.
    pub ready: u64,
    /// Cycles beyond the vector's own, spent waiting for banks or addresses that others held.
    pub wait_cycles: u64,
}

/// A PMU in motion.
#[derive(Clone, Debug)]
pub struct Ports<'a> {
    sram: &'a Sram,
    free: [u64; 2],
    /// When each bank is free again, by port; with shared ports both are the first.
    banks: [Vec<u64>; 2],
    /// The next address that nobody has; the address units make `addresses_per_cycle` of them in a cycle.
    address: u128,
}

impl<'a> Ports<'a> {
    pub fn new(sram: &'a Sram) -> Self {
        let idle = vec![0; sram.description().banks as usize];
        Ports { sram, free: [0; 2], banks: [idle.clone(), idle], address: 0 }
    }

    /// When the port can take another vector.
    pub fn free(&self, port: Port) -> u64 {
        self.free[port as usize]
    }

    /// Serves a vector that comes at cycle `now`, after all that came before it.
    pub fn serve(&mut self, now: u64, access: &Access, port: Port) -> Result<Served, SramError> {
        Ok(self.serve_demand(now, &self.sram.demand(access, port)?))
    }

    /// The same for a vector whose demand is known.
    pub fn serve_demand(&mut self, now: u64, demand: &Demand) -> Served {
        let description = self.sram.description();
        let side = demand.port as usize;
        let start = now.max(self.free[side]);
        let own = start + demand.cost.cycles;
        let rate = u128::from(description.addresses_per_cycle);
        self.address = self.address.max(u128::from(start) * rate) + u128::from(demand.cost.addresses);
        let mut end = own.max(self.address.div_ceil(rate) as u64);
        let banks = match description.bank_ports {
            BankPorts::ReadAndWrite => side,
            BankPorts::Shared => 0,
        };
        for (free, words) in self.banks[banks].iter_mut().zip(&demand.bank_words).filter(|(_, words)| **words > 0) {
            *free = (*free).max(start) + words;
            end = end.max(*free);
        }
        self.free[side] = end;
        Served { start, end, ready: end - 1 + description.latency_cycles, wait_cycles: end - own }
    }
}
