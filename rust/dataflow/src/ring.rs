//! A stream in motion: which tokens are where, and the timestamps that the firing rule asks for.

use crate::occupancy::{Occupancy, Slot};
use crate::stream::Stream;

/// Token n of the stream lies in slot n modulo the number of slots, a power of two of at least the capacity.
pub(crate) struct Ring {
    slots: Vec<Slot>,
    capacity: u64,
    /// Tokens whose slot is taken, whose arrival is known, and that were consumed; ever.
    pub taken: u64,
    visible: u64,
    pub consumed: u64,
    latency: u64,
    credit: u64,
    /// The units at both ends.
    pub from: usize,
    pub to: usize,
    /// Tokens (or slots) that a blocked consumer (producer) waits for; 0 when it is not blocked here.
    pub tokens_needed: u64,
    pub slots_needed: u64,
    /// Filled by a load unit: waiting for its tokens is waiting for memory.
    pub from_memory: bool,
    occupancy: Occupancy,
    lanes: usize,
    values: Vec<f32>,
}

impl Ring {
    /// `capacity`: the slots that the stream really uses, see `Bound`.
    pub fn new(stream: &Stream, capacity: usize, from_memory: bool, with_values: bool) -> Self {
        let len = capacity.next_power_of_two();
        Ring {
            slots: vec![Slot::default(); len],
            capacity: capacity as u64,
            taken: stream.initial,
            visible: stream.initial,
            consumed: 0,
            latency: stream.latency,
            credit: stream.credit,
            from: stream.from.0,
            to: stream.to.0,
            tokens_needed: 0,
            slots_needed: 0,
            from_memory,
            occupancy: Occupancy::default(),
            lanes: stream.lanes,
            values: if with_values { vec![0.0; len * stream.lanes] } else { Vec::new() },
        }
    }

    #[inline]
    fn at(&self, token: u64) -> usize {
        token as usize & (self.slots.len() - 1)
    }

    /// When the last of the next `count` tokens is visible; `None` if that is not known yet.
    #[inline]
    pub fn tokens(&self, count: u64) -> Option<u64> {
        if self.visible - self.consumed < count {
            return None;
        }
        Some((0..count).map(|next| self.slots[self.at(self.consumed + next)].visible).max().unwrap_or(0))
    }

    /// When the last of the next `count` slots is free; `None` if that is not known yet.
    #[inline]
    pub fn space(&self, count: u64) -> Option<u64> {
        if self.capacity - (self.taken - self.consumed) < count {
            return None;
        }
        // Slots are freed in order, so the last one is free last. One that was never used is free from the start.
        match (self.taken + count).checked_sub(self.capacity + 1) {
            Some(before) if count > 0 => Some(self.slots[self.at(before)].freed),
            _ => Some(0),
        }
    }

    /// Consumes `count` tokens; the producer may use their slots from `end` + credit latency. True if that wakes it.
    #[inline]
    pub fn consume(&mut self, count: u64, end: u64) -> bool {
        for _ in 0..count {
            let at = self.at(self.consumed);
            self.slots[at].freed = end + self.credit;
            self.consumed += 1;
        }
        self.occupancy.settle(&self.slots, self.taken, self.consumed);
        let wakes = self.slots_needed > 0 && self.capacity - (self.taken - self.consumed) >= self.slots_needed;
        if wakes {
            self.slots_needed = 0;
        }
        wakes
    }

    /// Takes `count` slots at `start`.
    #[inline]
    pub fn take(&mut self, count: u64, start: u64) {
        for _ in 0..count {
            let at = self.at(self.taken);
            self.slots[at].taken = start;
            self.taken += 1;
        }
        self.occupancy.settle(&self.slots, self.taken, self.consumed);
    }

    /// The next `count` tokens leave their producer at `end`. True if that wakes the consumer.
    #[inline]
    pub fn arrive(&mut self, count: u64, end: u64) -> bool {
        for _ in 0..count {
            let at = self.at(self.visible);
            self.slots[at].visible = end + self.latency;
            self.visible += 1;
        }
        let wakes = self.tokens_needed > 0 && self.visible - self.consumed >= self.tokens_needed;
        if wakes {
            self.tokens_needed = 0;
        }
        wakes
    }

    /// The most slots ever taken at a time.
    pub fn high_water(self) -> u64 {
        self.occupancy.high_water(&self.slots, self.taken, self.consumed)
    }

    /// The first value of the next token; `None` if it is not there yet.
    pub fn peek(&self) -> Option<f32> {
        (self.visible > self.consumed).then(|| self.values[self.at(self.consumed) * self.lanes])
    }

    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// Values of the next tokens to consume, written to `to`.
    pub fn read_values(&self, to: &mut [f32]) {
        for (next, token) in to.chunks_exact_mut(self.lanes).enumerate() {
            let at = self.at(self.consumed + next as u64) * self.lanes;
            token.copy_from_slice(&self.values[at..at + self.lanes]);
        }
    }

    /// Values of the next tokens whose slots are taken.
    pub fn write_values(&mut self, from: &[f32]) {
        for (next, token) in from.chunks_exact(self.lanes).enumerate() {
            let at = self.at(self.taken + next as u64) * self.lanes;
            self.values[at..at + self.lanes].copy_from_slice(token);
        }
    }
}
