//! The cycles of an access: bank rounds, port width and addresses, whichever takes longest.

use super::access::Access;
use super::count::Tally;
use super::description::{BankPorts, Port, Sram};
use super::error::SramError;
use super::layout::Placement;
use std::collections::BTreeSet;

/// What one vector costs its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Cycles until the port can take the next vector: the initiation interval.
    pub cycles: u64,
    /// Those of them that a layout without conflicts would save.
    pub conflict_cycles: u64,
    /// Distinct words, in all banks and in the fullest.
    pub words: u64,
    pub busiest_bank_words: u64,
    /// Addresses that the address units generate for it.
    pub addresses: u64,
    /// Bytes asked for: lanes times element.
    pub bytes: u64,
}

/// What one vector asks of each bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    pub port: Port,
    pub cost: Cost,
    /// Distinct words by bank.
    pub bank_words: Vec<u64>,
}

/// A vector written and a vector read, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Cycles between two pairs.
    pub cycles: u64,
    /// Those of them that banks cost: within a vector, or one vector against the other.
    pub conflict_cycles: u64,
}

impl Sram {
    /// The cost of a vector. Exact: no schedule needs fewer cycles, and one needs no more, because words of a bank can
    /// be dealt to different cycles while every cycle keeps to the port's width (deal the words, sorted by bank, to the
    /// cycles in turn). A word that several lanes touch is read once.
    pub fn cost(&self, access: &Access, port: Port) -> Result<Cost, SramError> {
        let (placement, word) = (Placement::new(self, access.layout)?, self.description().bank_bytes);
        let lanes = access.checked(self)?;
        if let Some(lanes) = lanes
            && let Some(busiest) = lanes.busiest(placement, word)
        {
            let words = lanes.words(word);
            return Ok(self.costed(access, port, words, busiest));
        }
        Ok(self.demand(access, port)?.cost)
    }

    /// The cost of a vector with the words it touches in each bank.
    pub fn demand(&self, access: &Access, port: Port) -> Result<Demand, SramError> {
        let (placement, word) = (Placement::new(self, access.layout)?, self.description().bank_bytes);
        let tally = match (access.checked(self)?, &access.pattern) {
            (Some(lanes), _) => lanes.tally(placement, word),
            (None, super::Pattern::Gathered { addresses_bytes }) => {
                gathered(addresses_bytes, access.element_bytes, placement, word)
            }
            // `checked` gives lanes for every stride.
            (None, super::Pattern::Strided { .. }) => Tally::new(placement),
        };
        let bank_words = tally.counts();
        let busiest = bank_words.iter().copied().max().unwrap_or(0);
        Ok(Demand { port, cost: self.costed(access, port, tally.words, busiest), bank_words })
    }

    /// Cycles between two such vectors on one port: what a unit's `ii` must be to hand them on.
    pub fn initiation_interval(&self, access: &Access, port: Port) -> Result<u64, SramError> {
        Ok(self.cost(access, port)?.cycles)
    }

    /// Cycles of an access that bank conflicts cost.
    pub fn conflict_cycles(&self, access: &Access, port: Port) -> Result<u64, SramError> {
        Ok(self.cost(access, port)?.conflict_cycles)
    }

    /// Cycles between two firings that each write one vector and read another. Exact for banks with queues: words are
    /// edges between banks and port lanes, and a bipartite graph can be coloured with as many colours (cycles) as its
    /// largest degree (König 1916).
    pub fn pair(&self, write: &Access, read: &Access) -> Result<Pair, SramError> {
        let (write, read) = (self.demand(write, Port::Write)?, self.demand(read, Port::Read)?);
        let banks = match self.description().bank_ports {
            BankPorts::ReadAndWrite => 0,
            BankPorts::Shared => write.bank_words.iter().zip(&read.bank_words).map(|(w, r)| w + r).max().unwrap_or(0),
        };
        let addresses = write.cost.addresses + read.cost.addresses;
        let address_cycles = addresses.div_ceil(self.description().addresses_per_cycle);
        let cycles = write.cost.cycles.max(read.cost.cycles).max(banks).max(address_cycles);
        let alone = |cost: &Cost| cost.cycles - cost.conflict_cycles;
        let least = alone(&write.cost).max(alone(&read.cost)).max(address_cycles);
        Ok(Pair { cycles, conflict_cycles: cycles - least })
    }

    fn costed(&self, access: &Access, port: Port, words: u64, busiest: u64) -> Cost {
        let addresses = self.addresses(access);
        let address_cycles = addresses.div_ceil(self.description().addresses_per_cycle);
        let least = words.div_ceil(self.port_words(port)).max(address_cycles);
        let cycles = least.max(busiest);
        let bytes = access.lanes() * access.element_bytes;
        Cost { cycles, conflict_cycles: cycles - least, words, busiest_bank_words: busiest, addresses, bytes }
    }

    /// A gathered lane needs an address of its own; a run of neighbours is always one address.
    fn addresses(&self, access: &Access) -> u64 {
        match &access.pattern {
            super::Pattern::Gathered { addresses_bytes } => addresses_bytes.len() as u64,
            super::Pattern::Strided { stride_bytes, lanes, .. } => {
                let apart = stride_bytes.unsigned_abs() > access.element_bytes;
                if apart && self.description().address_per_lane { *lanes } else { 1 }
            }
        }
    }
}

/// Lanes anywhere: sort the words out one by one.
fn gathered(addresses: &[u64], element: u64, placement: Placement, word: u64) -> Tally {
    let mut tally = Tally::new(placement);
    let runs: BTreeSet<(u64, u64)> = addresses.iter().map(|at| (at / word, (at + element - 1) / word)).collect();
    let mut next = 0;
    for (first, last) in runs {
        if last >= next {
            tally.run(first.max(next), last, 1);
            next = last + 1;
        }
    }
    tally
}
