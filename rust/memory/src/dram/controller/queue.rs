//! Requests that wait. Each bank has two lists in order of age: those that hit its open row, and the others.

use super::burst::{Burst, Origin};
use crate::dram::banks::{CLOSED, MOST_BANKS};

/// No slot.
const NONE: u16 = u16::MAX;
/// Slots of a queue, at most: a full line of every bank.
pub const MOST_SLOTS: usize = 1 << 14;

#[derive(Clone, Copy, Debug)]
struct Slot {
    burst: Burst,
    /// Counts up with each entry: age.
    order: u64,
    /// Tick of acceptance; several may share one.
    arrival: u64,
    next: u16,
}

const EMPTY: Slot =
    Slot { burst: Burst { id: 0, address: 0, row: 0, bank: 0, bytes: 0, since: 0 }, order: 0, arrival: 0, next: NONE };

/// An age that names its bank: the least of several tells both.
#[inline]
fn rank_of(order: u64, bank: usize) -> u64 {
    order << 6 | bank as u64
}

/// The banks of a set, in order.
fn banks_of(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bank = set.trailing_zeros() as usize;
        set &= set.wrapping_sub(1);
        (bank < MOST_BANKS).then_some(bank)
    })
}

#[derive(Clone, Copy, Debug)]
struct List {
    head: u16,
    tail: u16,
}

/// A bounded queue of one kind of request.
#[derive(Clone, Debug)]
pub struct Queue {
    slots: Vec<Slot>,
    /// Unused slots; the last is the first to go.
    free: Vec<u16>,
    hit_lists: [List; MOST_BANKS],
    other_lists: [List; MOST_BANKS],
    order: u64,
    /// Whether a younger miss must leave a row open that an older request hits.
    protect_hits: bool,
    /// Banks with a request that hits, with one that does not, and of these the ones that may close the row.
    pub hits: u64,
    pub others: u64,
    pub closers: u64,
    /// Banks whose hits wait until the row has been closed for an older request that waited too long.
    pub held: u64,
    /// Age of the oldest hit and of the oldest other, of banks in those sets, as `rank_of` has it.
    pub hit_rank: [u64; MOST_BANKS],
    pub other_rank: [u64; MOST_BANKS],
}

impl Queue {
    pub fn new(capacity: usize, protect_hits: bool) -> Self {
        let capacity = capacity.min(MOST_SLOTS);
        let none = List { head: NONE, tail: NONE };
        Queue {
            slots: vec![EMPTY; capacity],
            free: (0..capacity as u16).rev().collect(),
            hit_lists: [none; MOST_BANKS],
            other_lists: [none; MOST_BANKS],
            order: 0,
            protect_hits,
            hits: 0,
            others: 0,
            closers: 0,
            held: 0,
            hit_rank: [0; MOST_BANKS],
            other_rank: [0; MOST_BANKS],
        }
    }

    #[inline]
    fn slot(&self, at: u16) -> &Slot {
        self.slots.get(at as usize).unwrap_or(&EMPTY)
    }

    #[inline]
    fn link(&mut self, at: u16, next: u16) {
        if let Some(slot) = self.slots.get_mut(at as usize) {
            slot.next = next;
        }
    }

    /// Banks with any request.
    #[inline]
    pub fn waiting(&self) -> u64 {
        self.hits | self.others
    }

    /// Banks with hits, with others, and with others that may close the row.
    #[inline]
    pub fn sets(&self) -> (u64, u64, u64) {
        (self.hits, self.others, self.closers)
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting() == 0
    }

    #[inline]
    pub fn room(&self) -> usize {
        self.free.len()
    }

    #[inline]
    pub fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// Whether a request of this bank and address waits.
    pub fn holds(&self, bank: usize, address: u64) -> bool {
        self.entries(bank).any(|slot| slot.burst.address == address)
    }

    /// All that wait, bank by bank.
    pub fn bursts(&self) -> impl Iterator<Item = &Burst> {
        banks_of(self.waiting()).flat_map(|bank| self.entries(bank)).map(|slot| &slot.burst)
    }

    /// Parts hits from others anew, where `open` says which row of a bank is open.
    pub fn sort(&mut self, open: impl Fn(usize) -> Option<u32>) {
        for bank in banks_of(self.waiting()) {
            self.closed(bank);
            if let Some(row) = open(bank) {
                self.opened(bank, row);
            }
        }
    }

    fn list(&self, mut at: u16) -> impl Iterator<Item = &Slot> {
        std::iter::from_fn(move || {
            let slot = self.slots.get(at as usize)?;
            at = slot.next;
            Some(slot)
        })
    }

    /// The hits of a bank, then the others.
    fn entries(&self, bank: usize) -> impl Iterator<Item = &Slot> {
        let bank = bank % MOST_BANKS;
        self.list(self.hit_lists[bank].head).chain(self.list(self.other_lists[bank].head))
    }

    /// The requests of some banks with when they came, the oldest first.
    pub fn by_age(&self, banks: u64) -> Vec<(u64, &Burst)> {
        let mut slots: Vec<&Slot> = banks_of(self.waiting() & banks).flat_map(|bank| self.entries(bank)).collect();
        slots.sort_unstable_by_key(|slot| slot.order);
        slots.into_iter().map(|slot| (slot.arrival, &slot.burst)).collect()
    }

    /// Adds a request that came at `arrival`, the bank's open row being `row`. The queue must not be full.
    #[inline(always)]
    pub fn push(&mut self, burst: Burst, arrival: u64, row: u32) {
        let Some(at) = self.free.pop() else { return };
        let Some(slot) = self.slots.get_mut(at as usize) else { return };
        let bank = burst.bank as usize % MOST_BANKS;
        let order = self.order;
        self.order += 1;
        *slot = Slot { burst, order, arrival, next: NONE };
        if burst.row == row {
            let tail = std::mem::replace(&mut self.hit_lists[bank].tail, at);
            if self.hits >> bank & 1 == 1 {
                self.link(tail, at);
            } else {
                self.hit_lists[bank].head = at;
                self.hit_rank[bank] = rank_of(order, bank);
                self.hits |= 1 << bank;
            }
        } else {
            let tail = std::mem::replace(&mut self.other_lists[bank].tail, at);
            if self.others >> bank & 1 == 1 {
                self.link(tail, at);
            } else {
                self.other_lists[bank].head = at;
                self.other_rank[bank] = rank_of(order, bank);
                self.others |= 1 << bank;
                if row != CLOSED {
                    self.update_closer(bank);
                }
            }
        }
    }

    /// Takes the oldest hit of a bank, which must have one.
    #[inline(always)]
    pub fn take_hit(&mut self, bank: usize) -> Burst {
        let bank = bank % MOST_BANKS;
        let at = self.hit_lists[bank].head;
        let Slot { burst, next, .. } = *self.slot(at);
        self.free.push(at);
        self.hit_lists[bank].head = next;
        if next == NONE {
            self.hits &= !(1 << bank);
        } else {
            self.hit_rank[bank] = rank_of(self.slot(next).order, bank);
        }
        if self.others >> bank & 1 == 1 {
            self.update_closer(bank);
        }
        burst
    }

    /// Takes a hit of a bank that comes after so many others.
    pub fn take_later_hit(&mut self, bank: usize, place: usize) -> Option<Burst> {
        let list = &self.hit_lists[bank % MOST_BANKS];
        let mut before = list.head;
        for _ in 1..place {
            before = self.slot(before).next;
        }
        let at = self.slot(before).next;
        let Slot { burst, next, .. } = *self.slots.get(at as usize)?;
        self.link(before, next);
        if next == NONE {
            self.hit_lists[bank % MOST_BANKS].tail = before;
        }
        self.free.push(at);
        Some(burst)
    }

    /// Takes the oldest request of a closed bank, which must have one, and its tick of acceptance.
    #[inline(always)]
    pub fn take_other(&mut self, bank: usize) -> (Burst, u64) {
        let bank = bank % MOST_BANKS;
        let at = self.other_lists[bank].head;
        let Slot { burst, arrival, next, .. } = *self.slot(at);
        self.free.push(at);
        self.set_others(bank, List { head: next, ..self.other_lists[bank] });
        (burst, arrival)
    }

    /// The oldest request of a bank, and when it came.
    #[inline]
    pub fn oldest(&self, bank: usize) -> Option<(u64, &Burst)> {
        let bank = bank % MOST_BANKS;
        let hit = self.slots.get(self.hit_lists[bank].head as usize);
        let other = self.slots.get(self.other_lists[bank].head as usize);
        let slot = match (hit, other) {
            (Some(hit), Some(other)) if other.order < hit.order => other,
            (hit, other) => hit.or(other)?,
        };
        Some((slot.arrival, &slot.burst))
    }

    /// The hits of a bank, the oldest first, and when they came.
    pub fn hits_of(&self, bank: usize) -> impl Iterator<Item = (u64, &Burst)> {
        self.list(self.hit_lists[bank % MOST_BANKS].head).map(|slot| (slot.arrival, &slot.burst))
    }

    /// When the oldest miss of a bank came, if there is one.
    pub fn oldest_other(&self, bank: usize) -> Option<u64> {
        self.slots.get(self.other_lists[bank % MOST_BANKS].head as usize).map(|slot| slot.arrival)
    }

    fn set_hits(&mut self, bank: usize, list: List) {
        self.hit_lists[bank] = list;
        self.hits &= !(1 << bank);
        if let Some(slot) = self.slots.get(list.head as usize) {
            self.hits |= 1 << bank;
            self.hit_rank[bank] = rank_of(slot.order, bank);
        }
    }

    #[inline]
    fn set_others(&mut self, bank: usize, list: List) {
        self.other_lists[bank] = list;
        self.others &= !(1 << bank);
        if let Some(slot) = self.slots.get(list.head as usize) {
            self.others |= 1 << bank;
            self.other_rank[bank] = rank_of(slot.order, bank);
        }
    }

    fn append(&mut self, list: &mut List, at: u16) {
        if list.head == NONE {
            list.head = at;
        } else {
            self.link(list.tail, at);
        }
        list.tail = at;
        self.link(at, NONE);
    }

    /// A bank that was closed has opened `row`: its hits part from the others.
    #[inline]
    pub fn opened(&mut self, bank: usize, row: u32) {
        let bank = bank % MOST_BANKS;
        if self.others >> bank & 1 == 0 {
            return;
        }
        let (mut head, mut before, mut at) = (self.other_lists[bank].head, NONE, self.other_lists[bank].head);
        let mut hits = List { head: NONE, tail: NONE };
        while let Some(slot) = self.slots.get(at as usize) {
            let (hit, next) = (slot.burst.row == row, slot.next);
            if hit {
                if before == NONE {
                    head = next;
                } else {
                    self.link(before, next);
                }
                self.append(&mut hits, at);
            } else {
                before = at;
            }
            at = next;
        }
        if hits.head != NONE {
            self.set_hits(bank, hits);
            self.set_others(bank, List { head, tail: before });
        }
        self.update_closer(bank);
    }

    /// A bank has been closed.
    #[inline]
    pub fn closed(&mut self, bank: usize) {
        let bank = bank % MOST_BANKS;
        self.closers &= !(1 << bank);
        self.held &= !(1 << bank);
        if self.hits >> bank & 1 == 1 {
            self.join(bank);
        }
    }

    /// Puts the hits of a bank among its others.
    fn join(&mut self, bank: usize) {
        let (mut hit, mut other) = (self.hit_lists[bank].head, self.other_lists[bank].head);
        let mut all = List { head: NONE, tail: NONE };
        while hit != NONE || other != NONE {
            let first = other == NONE || hit != NONE && self.slot(hit).order < self.slot(other).order;
            let at = if first { &mut hit } else { &mut other };
            let oldest = *at;
            *at = self.slot(oldest).next;
            self.append(&mut all, oldest);
        }
        self.set_hits(bank, List { head: NONE, tail: NONE });
        self.set_others(bank, all);
    }

    /// Whether the oldest miss of an open bank may close its row.
    #[inline]
    fn update_closer(&mut self, bank: usize) {
        let (hits, others) = (self.hits >> bank & 1 == 1, self.others >> bank & 1 == 1);
        let arrival = |list: &List| self.slot(list.head).arrival;
        let protected = hits && self.protect_hits;
        let first = !protected || arrival(&self.other_lists[bank]) < arrival(&self.hit_lists[bank]);
        self.closers = self.closers & !(1 << bank) | u64::from(others && first) << bank;
    }

    /// All entries by bank.
    pub fn encode(&self, origin: &Origin, out: &mut Vec<u64>) {
        out.extend([self.hits, self.others, self.held]);
        for bank in banks_of(self.waiting()) {
            for slot in self.entries(bank) {
                out.extend([slot.order.wrapping_sub(self.order), slot.arrival.wrapping_sub(origin.tick)]);
                slot.burst.encode(origin, out);
            }
        }
    }

    pub fn shift(&mut self, by: &Origin) {
        for List { head: mut at, .. } in self.hit_lists.into_iter().chain(self.other_lists) {
            while let Some(slot) = self.slots.get_mut(at as usize) {
                slot.arrival += by.tick;
                slot.burst.shift(by);
                at = slot.next;
            }
        }
    }
}
