//! What a bank would send next, and which bank's turn it is.

use super::{BankQueues, NEVER};
use crate::dram::banks::MOST_BANKS;
use crate::dram::command::Kind;

/// What a bank would send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Open,
    Close,
    /// Of its hits of this kind the one at this place.
    Access(Kind, usize),
}

impl Wish {
    fn is_access(self) -> bool {
        matches!(self, Wish::Access(..))
    }
}

impl BankQueues {
    /// Sends what is ready, the banks taking turns: one command, or one on each bus. After the `ordered` one of a refresh
    /// only the other bus is left. Notes when there may be more.
    #[inline(always)]
    pub(super) fn send_ready(&mut self, tick: u64, ordered: bool) {
        let asked = self.waiting() & !self.barred;
        let (openers, closers) = (asked & !self.device.banks.open, self.closers() & asked);
        let (rows, rows_next) = self.ready_rows(tick, openers, closers);
        let (columns, columns_next) = self.ready_columns(tick, asked);
        let (ready, mut next) = (rows | columns, rows_next.min(columns_next));
        let mut left = ready;
        let mut on_both = self.dual && !ordered;
        while let Some((bank, wish)) = self.choose(tick, left, closers, &mut next) {
            self.send(tick, bank, wish);
            if ready & !(1 << bank) != 0 {
                next = tick + 1;
            }
            // What becomes of this bank does not matter to the others.
            left = !(1 << bank) & if wish.is_access() { rows } else { columns };
            if !std::mem::take(&mut on_both) {
                break;
            }
        }
        self.command_next = self.command_next.min(next);
    }

    /// Of the banks that are ready the next in turn, and its command; `next`: before when none of those passed over may.
    #[inline(always)]
    fn choose(&mut self, tick: u64, ready: u64, closers: u64, next: &mut u64) -> Option<(usize, Wish)> {
        // From the bank after the last turn on.
        let first = self.turn as u32 + 1;
        let mut turned = ready.rotate_right(first);
        while turned != 0 {
            let bank = (turned.trailing_zeros() + first) as usize % MOST_BANKS;
            turned &= turned - 1;
            match self.wish(tick, bank, closers >> bank & 1 == 1) {
                Ok(wish) => {
                    self.turn = bank;
                    return Some((bank, wish));
                }
                Err(from) => *next = (*next).min(from),
            }
        }
        None
    }

    /// When a bank may next want to send something, at the earliest.
    #[inline(always)]
    pub(super) fn bank_from(&self, bank: usize) -> u64 {
        let (banks, [reads, writes]) = (&self.device.banks, &self.lines);
        let is_in = |set: u64| set >> bank & 1 == 1;
        if !is_in(banks.open) {
            return if is_in(self.waiting()) { banks.activate_from(bank) } else { NEVER };
        }
        let closes = if is_in(reads.closers | writes.closers) { banks.precharge_from(bank) } else { NEVER };
        let read = if is_in(reads.hits) { banks.column_from(Kind::Read, bank) } else { NEVER };
        let write = if is_in(writes.hits) { banks.column_from(Kind::Write, bank) } else { NEVER };
        closes.min(read).min(write)
    }

    /// Banks whose oldest request misses, unless hits keep the row open.
    #[inline(always)]
    fn closers(&self) -> u64 {
        let [reads, writes] = &self.lines;
        if writes.is_empty() {
            return reads.closers & !(reads.hits & !self.capped);
        }
        let mut misses = reads.closers | writes.closers;
        let mut both = reads.waiting() & writes.waiting() & misses;
        while both != 0 {
            let bank = both.trailing_zeros() as usize;
            both &= both - 1;
            let came = |kind: usize| self.lines[kind].oldest(bank).map_or(NEVER, |(arrival, _)| arrival);
            let first = if came(0) < came(1) { reads } else { writes };
            misses &= first.closers | !(1 << bank);
        }
        misses & !((reads.hits | writes.hits) & !self.capped)
    }

    /// Of banks that would open or close a row, those that nearly certainly may, and before when none of the others may.
    #[inline(always)]
    fn ready_rows(&mut self, tick: u64, openers: u64, closers: u64) -> (u64, u64) {
        let banks = &mut self.device.banks;
        if openers | closers == 0 {
            return (0, NEVER);
        }
        if banks.row_bus > tick {
            return (0, banks.row_bus);
        }
        let (mut open, mut close, mut next) = (openers, closers, NEVER);
        let mut unit = 0;
        while unit < banks.layout.units {
            let scope = banks.layout.unit_banks[unit % MOST_BANKS];
            let (act, pre) = (banks.unit_act_ok[unit % MOST_BANKS], banks.unit_pre_ok[unit % MOST_BANKS]);
            if act > tick && open & scope != 0 {
                open &= !scope;
                next = next.min(act);
            }
            if pre > tick && close & scope != 0 {
                close &= !scope;
                next = next.min(pre);
            }
            unit += 1;
        }
        if open != 0 {
            let (ready, later) = banks.may_activate(tick, open);
            next = if ready == open { next } else { next.min(later) };
            open = ready;
        }
        if close != 0 {
            let (ready, later) = banks.may_precharge(tick, close);
            next = if ready == close { next } else { next.min(later) };
            close = ready;
        }
        (open | close, next)
    }

    /// The same of banks with hits.
    #[inline(always)]
    fn ready_columns(&mut self, tick: u64, asked: u64) -> (u64, u64) {
        let (banks, [reads, writes]) = (&self.device.banks, &self.lines);
        let hits = (reads.hits | writes.hits) & asked;
        if hits == 0 {
            return (0, NEVER);
        }
        if banks.column_bus > tick {
            return (0, banks.column_bus);
        }
        self.columns_ahead.pass(tick, &self.column_from);
        let near = hits & !self.columns_ahead.banks;
        let mut next = if near == hits { NEVER } else { self.columns_ahead.next };
        let mut ready = 0;
        for pc in 0..banks.layout.pseudo_channels {
            let scope = near & banks.layout.pseudo_channel_banks[pc % MOST_BANKS];
            let mut part = |set: u64, kind: Kind| {
                if set != 0 {
                    let from = banks.rank_column_from(kind, pc);
                    (ready, next) = if from > tick { (ready, next.min(from)) } else { (ready | set, next) };
                }
            };
            part(scope & reads.hits, Kind::Read);
            part(scope & writes.hits, Kind::Write);
        }
        (ready, next)
    }

    /// What the bank wants to send at `tick`, or when it next may; `closes`: it would rather close its row.
    #[inline(always)]
    fn wish(&self, tick: u64, bank: usize, closes: bool) -> Result<Wish, u64> {
        let banks = &self.device.banks;
        if banks.open >> bank & 1 == 0 {
            let from = banks.activate_from(bank).max(banks.row_bus);
            return if from <= tick { Ok(Wish::Open) } else { Err(from) };
        }
        let mut next = NEVER;
        if closes {
            next = banks.precharge_from(bank).max(banks.row_bus);
            if next <= tick {
                return Ok(Wish::Close);
            }
            let since = self.oldest(bank).map_or(0, |burst| burst.since);
            if tick > since.saturating_add(self.patience_ticks) {
                return Err(next);
            }
        }
        if self.lines[1].hits >> bank & 1 == 0 {
            if self.lines[0].hits >> bank & 1 == 1 {
                let from = banks.column_from(Kind::Read, bank).max(banks.column_bus);
                if from <= tick {
                    return Ok(Wish::Access(Kind::Read, 0));
                }
                next = next.min(from);
            }
            return Err(next);
        }
        for (kind, place) in self.accesses_of(bank).into_iter().flatten() {
            let from = banks.column_from(kind, bank).max(banks.column_bus);
            if from <= tick {
                return Ok(Wish::Access(kind, place));
            }
            next = next.min(from);
        }
        Err(next)
    }

    /// Of an open bank, the first hit that may go and the first of the other kind: all of a kind are ready at once.
    fn accesses_of(&self, bank: usize) -> [Option<(Kind, usize)>; 2] {
        let read = self.lines[0].hits_of(bank).next().map(|(came, _)| came);
        // An older read of the same place goes first.
        let waits = |came: u64, address: u64| {
            self.lines[0].hits_of(bank).any(|(before, read)| before < came && read.address == address)
        };
        let mut places = self.lines[1].hits_of(bank).enumerate();
        let write = places.find(|(_, (came, burst))| !waits(*came, burst.address));
        let write = write.map(|(place, (came, _))| (came, (Kind::Write, place)));
        match (read, write) {
            (Some(read), Some((came, write))) if came < read => [Some(write), Some((Kind::Read, 0))],
            (read, write) => [read.map(|_| (Kind::Read, 0)), write.map(|(_, write)| write)],
        }
    }
}
