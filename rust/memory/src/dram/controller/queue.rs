//! Requests that wait, in order of age at each bank. For every bank it is known which is the oldest that hits the open
//! row and which is the oldest that does not.

use crate::dram::banks::{CLOSED, MOST_BANKS, relative_row};

/// No slot.
const NONE: u16 = u16::MAX;
/// Slots of a queue, at most; a fixed number spares a check at each access.
pub const MOST_SLOTS: usize = 1024;

/// A burst on its way through the controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Burst {
    /// The request it belongs to.
    pub id: u64,
    /// Place among the flights of a channel that is driven step by step.
    pub flight: u32,
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

    /// Moves it on by `by`.
    pub fn shift(&mut self, by: &Origin) {
        self.id += by.id;
        self.address += by.address;
        self.row += by.row;
        self.since += by.tick;
    }
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    burst: Burst,
    /// Counts up with each entry: age.
    order: u64,
    /// Tick of acceptance; several may share one.
    arrival: u64,
    next: u16,
    last: u16,
}

/// The list of a bank.
#[derive(Clone, Copy, Debug)]
struct Line {
    head: u16,
    tail: u16,
    /// Oldest that hits the open row.
    hit: u16,
    /// Oldest that another row keeps out.
    miss: u16,
}

const EMPTY: Line = Line { head: NONE, tail: NONE, hit: NONE, miss: NONE };

/// A bounded queue of one kind of request.
#[derive(Clone, Debug)]
pub struct Queue {
    slots: Box<[Slot; MOST_SLOTS]>,
    /// Unused slots, the last of `free_count` first to go.
    free: Box<[u16; MOST_SLOTS]>,
    free_count: usize,
    capacity: usize,
    lines: [Line; MOST_BANKS],
    order: u64,
    /// Whether a younger miss must leave a row open that an older request hits.
    protect_hits: bool,
    /// Banks with any request, with one that hits, and with one that may close the row.
    pub waiting: u64,
    pub hits: u64,
    pub closers: u64,
    /// Age of the oldest hit and of the oldest closer, of banks in those sets.
    pub hit_order: [u64; MOST_BANKS],
    pub closer_order: [u64; MOST_BANKS],
    /// Age of the oldest of all.
    pub head_order: [u64; MOST_BANKS],
}

impl Queue {
    pub fn new(capacity: usize, protect_hits: bool) -> Self {
        let slot = Slot { burst: Burst::default(), order: 0, arrival: 0, next: NONE, last: NONE };
        Queue {
            slots: Box::new([slot; MOST_SLOTS]),
            capacity: capacity.min(MOST_SLOTS),
            free: Box::new(std::array::from_fn(|at| at as u16)),
            free_count: capacity.min(MOST_SLOTS),
            lines: [EMPTY; MOST_BANKS],
            order: 0,
            protect_hits,
            waiting: 0,
            hits: 0,
            closers: 0,
            hit_order: [0; MOST_BANKS],
            closer_order: [0; MOST_BANKS],
            head_order: [0; MOST_BANKS],
        }
    }

    #[inline]
    fn slot(&self, at: u16) -> &Slot {
        &self.slots[at as usize % MOST_SLOTS]
    }

    #[inline]
    fn slot_mut(&mut self, at: u16) -> &mut Slot {
        &mut self.slots[at as usize % MOST_SLOTS]
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.capacity - self.free_count
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    #[inline]
    pub fn is_full(&self) -> bool {
        self.free_count == 0
    }

    /// Whether a request of this bank and address waits.
    pub fn holds(&self, bank: usize, address: u64) -> bool {
        self.line(bank).any(|at| self.slot(at).burst.address == address)
    }

    fn line(&self, bank: usize) -> impl Iterator<Item = u16> + '_ {
        let mut at = self.lines[bank % MOST_BANKS].head;
        std::iter::from_fn(move || {
            let now = (at != NONE).then_some(at)?;
            at = self.slot(now).next;
            Some(now)
        })
    }

    /// Adds a request that came at `arrival`, the bank's open row being `row`. The queue must not be full.
    #[inline]
    pub fn push(&mut self, burst: Burst, arrival: u64, row: u32) {
        if self.free_count == 0 {
            return;
        }
        self.free_count -= 1;
        let at = self.free[self.free_count % MOST_SLOTS];
        let bank = burst.bank as usize % MOST_BANKS;
        let order = self.order;
        self.order += 1;
        let last = self.lines[bank].tail;
        if last == NONE {
            self.lines[bank].head = at;
            self.head_order[bank] = order;
            self.waiting |= 1 << bank;
        } else {
            self.slot_mut(last).next = at;
        }
        *self.slot_mut(at) = Slot { burst, order, arrival, next: NONE, last };
        let line = &mut self.lines[bank];
        line.tail = at;
        if burst.row == row {
            if line.hit == NONE {
                line.hit = at;
                self.hit_order[bank] = order;
                self.hits |= 1 << bank;
            }
        } else if row != CLOSED && line.miss == NONE {
            line.miss = at;
            self.update_closer(bank);
        }
    }

    /// Takes the slot out of its bank's list and returns what it held.
    #[inline]
    fn unlink(&mut self, bank: usize, at: u16) -> (Burst, u64) {
        let Slot { burst, arrival, next, last, .. } = *self.slot(at);
        if last == NONE {
            self.lines[bank].head = next;
            if next == NONE {
                self.waiting &= !(1 << bank);
            } else {
                self.head_order[bank] = self.slot(next).order;
            }
        } else {
            self.slot_mut(last).next = next;
        }
        if next == NONE {
            self.lines[bank].tail = last;
        } else {
            self.slot_mut(next).last = last;
        }
        self.free[self.free_count % MOST_SLOTS] = at;
        self.free_count += 1;
        (burst, arrival)
    }

    /// Takes the oldest hit of a bank, which must have one.
    #[inline]
    pub fn take_hit(&mut self, bank: usize) -> (Burst, u64) {
        let bank = bank % MOST_BANKS;
        let at = self.lines[bank].hit;
        let row = self.slot(at).burst.row;
        let mut next = self.slot(at).next;
        let taken = self.unlink(bank, at);
        // The next of the same row: in a stream, the very next.
        while next != NONE && self.slot(next).burst.row != row {
            next = self.slot(next).next;
        }
        self.set_hit(bank, next);
        if self.lines[bank].miss != NONE {
            self.update_closer(bank);
        }
        taken
    }

    /// Takes the oldest request of a bank, which must have one.
    pub fn take_head(&mut self, bank: usize) -> (Burst, u64) {
        let bank = bank % MOST_BANKS;
        let at = self.lines[bank].head;
        self.unlink(bank, at)
    }

    /// Row and request of the oldest request of a bank.
    pub fn head(&self, bank: usize) -> Option<&Burst> {
        let head = self.lines[bank % MOST_BANKS].head;
        (head != NONE).then(|| &self.slot(head).burst)
    }

    /// The bank now has `row` open, or `CLOSED`.
    pub fn row_changed(&mut self, bank: usize, row: u32) {
        let bank = bank % MOST_BANKS;
        let (mut hit, mut miss) = (NONE, NONE);
        let mut at = self.lines[bank].head;
        while row != CLOSED && at != NONE && (hit == NONE || miss == NONE) {
            let slot = self.slot(at);
            let first = if slot.burst.row == row { &mut hit } else { &mut miss };
            if *first == NONE {
                *first = at;
            }
            at = slot.next;
        }
        self.set_hit(bank, hit);
        self.lines[bank].miss = miss;
        self.update_closer(bank);
    }

    #[inline]
    fn set_hit(&mut self, bank: usize, at: u16) {
        self.lines[bank].hit = at;
        if at == NONE {
            self.hits &= !(1 << bank);
        } else {
            self.hits |= 1 << bank;
            self.hit_order[bank] = self.slot(at).order;
        }
    }

    fn update_closer(&mut self, bank: usize) {
        let Line { hit, miss, .. } = self.lines[bank];
        let may_close =
            miss != NONE && (!self.protect_hits || hit == NONE || self.slot(miss).arrival < self.slot(hit).arrival);
        if may_close {
            self.closers |= 1 << bank;
            self.closer_order[bank] = self.slot(miss).order;
        } else {
            self.closers &= !(1 << bank);
        }
    }

    /// All entries by bank and age.
    pub fn encode(&self, origin: &Origin, out: &mut Vec<u64>) {
        out.push(self.waiting);
        for bank in 0..MOST_BANKS {
            for at in self.line(bank) {
                let slot = self.slot(at);
                out.extend([slot.order.wrapping_sub(self.order), slot.arrival.wrapping_sub(origin.tick)]);
                slot.burst.encode(origin, out);
            }
        }
    }

    pub fn shift(&mut self, by: &Origin) {
        for bank in 0..MOST_BANKS {
            let mut at = self.lines[bank].head;
            while at != NONE {
                let slot = self.slot_mut(at);
                slot.arrival += by.tick;
                slot.burst.shift(by);
                at = slot.next;
            }
        }
    }
}
