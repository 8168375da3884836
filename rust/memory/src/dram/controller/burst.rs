//! A burst inside a controller, and from where its state is looked at.

use crate::dram::banks::relative_row;

/// A burst on its way through the controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Burst {
    /// The request it belongs to; in a channel that is driven step by step, the number of its flight.
    pub id: u64,
    /// Address within the channel, in bursts.
    pub address: u64,
    pub row: u32,
    pub bank: u8,
    /// Bytes asked for, of those that the burst moves.
    pub bytes: u16,
    /// Tick from which its latency counts.
    pub since: u64,
}

/// Where and when a state is looked at: what is kept of times, rows, addresses and requests is relative to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    pub tick: u64,
    pub row: u32,
    pub address: u64,
    pub id: u64,
}

impl Origin {
    pub fn plus(&self, by: &Origin) -> Origin {
        Origin {
            tick: self.tick + by.tick,
            row: self.row.wrapping_add(by.row),
            address: self.address.wrapping_add(by.address),
            id: self.id + by.id,
        }
    }

    /// From `before`, which lies behind, to here; rows and addresses around the end of numbers.
    pub fn since(&self, before: &Origin) -> Origin {
        Origin {
            tick: self.tick - before.tick,
            row: self.row.wrapping_sub(before.row),
            address: self.address.wrapping_sub(before.address),
            id: self.id - before.id,
        }
    }
}

impl Burst {
    pub fn encode(&self, origin: &Origin, out: &mut Vec<u64>) {
        out.extend([
            self.id.wrapping_sub(origin.id),
            self.address.wrapping_sub(origin.address),
            relative_row(self.row, origin.row),
            u64::from(self.bank) << 16 | u64::from(self.bytes),
            self.since.wrapping_sub(origin.tick),
        ]);
    }

    /// Moves it on by `by`; rows and addresses may also go back, around the end of numbers.
    pub fn shift(&mut self, by: &Origin) {
        self.id += by.id;
        self.address = self.address.wrapping_add(by.address);
        self.row = self.row.wrapping_add(by.row);
        self.since += by.tick;
    }
}
