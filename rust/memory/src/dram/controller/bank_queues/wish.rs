//! What a bank would send next.

use super::{BankQueues, NEVER};
use crate::dram::banks::MOST_BANKS;
use crate::dram::command::Kind;

/// What a bank would send, and from when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Open,
    Close,
    /// The entry at this place.
    Access(usize),
}

/// What a bank's queue holds for its open row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    /// Place and kind of the first hit, and of the first of the other kind.
    hits: [Option<(usize, Kind)>; 2],
    /// The front misses, and no hit keeps the row open.
    close: bool,
    /// Since when the front waits.
    since: u64,
}

impl BankQueues {
    /// What the bank, which is planned, wants to send at `tick`, or when it next may.
    fn wish(&self, tick: u64, bank: usize) -> Result<Wish, u64> {
        let (plan, banks) = (&self.plans[bank % MOST_BANKS], &self.device.banks);
        if banks.open >> bank & 1 == 0 {
            let from = banks.activate_from(bank).max(banks.row_bus);
            return if from <= tick { Ok(Wish::Open) } else { Err(from) };
        }
        let mut next = NEVER;
        // A front that misses comes before its hits.
        if plan.close && plan.hits[0].is_none_or(|(place, _)| place > 0) {
            next = banks.precharge_from(bank).max(banks.row_bus);
            if next <= tick {
                return Ok(Wish::Close);
            }
            if tick > plan.since.saturating_add(self.patience_ticks) {
                return Err(next);
            }
        }
        for (place, kind) in plan.hits.into_iter().flatten() {
            let from = banks.column_from(kind, bank).max(banks.column_bus);
            if from <= tick {
                return Ok(Wish::Access(place));
            }
            next = next.min(from);
        }
        Err(next)
    }

    /// What the queue of an open bank comes to, until it or the row changes.
    fn plan(&self, bank: usize) -> Plan {
        let (line, row) = (&self.lines[bank], self.device.banks.row[bank % MOST_BANKS]);
        let mut plan = Plan::default();
        let mut held = false;
        let mut seen = [false; 2];
        for (place, entry) in line.iter().enumerate().filter(|(_, entry)| entry.burst.row == row) {
            held = self.accesses[bank % MOST_BANKS] < self.cap;
            let kind = entry.kind;
            // Of hits of a kind the first decides: all are ready at the same tick.
            if seen[kind as usize] || kind == Kind::Write && self.waits_for_read(bank, place) {
                continue;
            }
            plan.hits[usize::from(seen != [false; 2])] = Some((place, kind));
            seen[kind as usize] = true;
            if seen == [true; 2] {
                break;
            }
        }
        let misses = line.front().is_some_and(|entry| entry.burst.row != row);
        plan.close = misses && !held;
        plan.since = line.front().map_or(0, |entry| entry.burst.since);
        plan
    }

    /// An older read of the same place goes first.
    fn waits_for_read(&self, bank: usize, place: usize) -> bool {
        let line = &self.lines[bank];
        let address = line[place].burst.address;
        line.iter().take(place).any(|entry| entry.kind == Kind::Read && entry.burst.address == address)
    }

    /// The next bank in turn with a command that is ready.
    pub(super) fn choose(&mut self, tick: u64) -> Option<(usize, Wish)> {
        let banks = self.lines.len();
        let ready = self.waiting & !self.barred;
        // From the bank after the last turn on, then from the first.
        let after = if self.turn + 1 >= banks { ready } else { ready & (NEVER << (self.turn + 1)) };
        for mut set in [after, ready & !after] {
            while set != 0 {
                let bank = set.trailing_zeros() as usize;
                set &= set - 1;
                if self.bank_next[bank] > tick {
                    continue;
                }
                if self.planned >> bank & 1 == 0 {
                    self.planned |= 1 << bank;
                    self.plans[bank % MOST_BANKS] = self.plan(bank);
                }
                match self.wish(tick, bank) {
                    Ok(wish) => {
                        self.turn = bank;
                        return Some((bank, wish));
                    }
                    Err(next) => self.bank_next[bank] = next,
                }
            }
        }
        None
    }
}
