//! Skipping whole periods of a run in which no memory, no values and no data-dependent units take part.
//!
//! One unit, the *reference*, is held at certain firings until nothing else can fire. What the program has then come to
//! does not depend on the order of evaluation, so two such states can be compared. If all that moved between them moved
//! by the same number of cycles, and loops only lost iterations, then the same will happen again, exactly, until a loop
//! runs out: those periods are added up at once. A state holds, for each unit, its place and when it is ready; for each
//! stream, the times of its tokens and of its free slots. A time before the unit that it matters to is ready counts as
//! then.

use super::body::{CHUNK, Piece, Place};
use super::rounds::{end_of, firings, main_piece, tokens};
use super::{Actor, Engine};
use crate::observer::Probe;
use crate::repetition::repetitions;

/// Firings between two checkpoints for each number of a state, so that looking for periods costs little.
const WORK: u64 = 16;
/// After so many times the work without a checkpoint, another unit becomes the reference.
const PATIENCE: u64 = 64;

/// What one checkpoint looked like.
struct Snapshot {
    units: Vec<Seen>,
    /// Tokens that passed and those on the stream, lane by lane.
    tokens: Vec<(u64, u64)>,
    /// All times of all lanes, one lane after another.
    times: Vec<i64>,
}

struct Seen {
    place: Place,
    ready: i64,
    end: i64,
    busy: i64,
    space: i64,
    firings: u64,
}

/// A snapshot is kept for as many checkpoints as came before it, so that a period of any length is found in the end
/// (Brent).
#[derive(Default)]
struct Memory {
    snapshot: Option<Snapshot>,
    seen: u64,
    until: u64,
}

/// The checkpoints of one connected part of a program.
pub(super) struct Periods {
    units: Vec<usize>,
    lanes: Vec<usize>,
    reference: usize,
    /// For each piece of the reference: firings, or iterations, from one checkpoint to the next; 0 for none.
    strides: Vec<u64>,
    /// For each piece and each loop of the reference.
    memories: Vec<Memory>,
    /// Firings of the part between two checkpoints.
    work: u64,
    /// The first multiple of a chunk in the reference's firings after the last checkpoint, and whether it was stopped there.
    round: u64,
    cut: bool,
    /// Firings of all units at the last checkpoint.
    last: u64,
}

impl<const VALUES: bool, P: Probe> Engine<'_, VALUES, P> {
    /// The connected parts of the program: no unit of one can hold up a unit of another.
    pub(super) fn parts(&self) -> Vec<Vec<usize>> {
        let mut part: Vec<usize> = (0..self.actors.len()).collect();
        fn root(part: &mut [usize], mut at: usize) -> usize {
            while part[at] != at {
                part[at] = part[part[at]];
                at = part[at];
            }
            at
        }
        for lane in &self.lanes {
            let (from, to) = (root(&mut part, lane.from), root(&mut part, lane.to));
            part[from.max(to)] = from.min(to);
        }
        let mut parts: Vec<Vec<usize>> = vec![Vec::new(); part.len()];
        for at in 0..part.len() {
            parts[root(&mut part, at)].push(at);
        }
        parts.retain(|units| !units.is_empty());
        parts
    }

    /// Starts to look for periods of a part. The unit with the most structure is the reference: its loops tell where
    /// states may come back.
    pub(super) fn watch_periods(&mut self, units: Vec<usize>) {
        let here = |unit: usize| units.binary_search(&unit).is_ok();
        let lanes: Vec<usize> = (0..self.lanes.len()).filter(|&lane| here(self.lanes[lane].from)).collect();
        let numbers: usize = lanes.iter().map(|&lane| self.lanes[lane].entries()).sum();
        let work = WORK * (numbers + 6 * units.len()) as u64;
        self.periods = Some(Periods {
            units,
            lanes,
            reference: 0,
            strides: Vec::new(),
            memories: Vec::new(),
            work,
            round: 0,
            cut: false,
            last: self.firings,
        });
        self.elect(None);
    }

    /// Chooses a reference other than `not` among the units that have not ended.
    fn elect(&mut self, not: Option<usize>) {
        let Some(mut periods) = self.periods.take() else { return };
        self.actors[periods.reference].gate = u64::MAX;
        let left = |&unit: &usize| firings(&self.pieces[unit]).saturating_sub(self.actors[unit].firings);
        let suits = |unit: &&usize| Some(**unit) != not && self.actors[**unit].place.left > 0;
        let structure = |unit: &&usize| (if not.is_none() { self.pieces[**unit].len() } else { 0 }, left(unit));
        let first = periods.units.iter().filter(suits).rev().max_by_key(structure);
        if let Some(&reference) = first {
            periods.reference = reference;
            self.lay_checkpoints(&mut periods);
            let actor = &mut self.actors[reference];
            actor.gate = actor.firings + periods.until_stop(&self.pieces[reference], &actor.place);
            periods.last = self.firings;
            self.ready.insert(reference);
            self.periods = Some(periods);
        }
    }

    /// How far apart the checkpoints of the reference are: whole iterations of the program where its streams say what
    /// that is, and work enough.
    fn lay_checkpoints(&self, periods: &mut Periods) {
        let (units, at) = (&periods.units, periods.reference);
        let pieces = &self.pieces[at];
        let rank = |unit: usize| units.binary_search(&unit).unwrap_or(0);
        let mains: Vec<_> = units.iter().map(|&unit| main_piece(&self.pieces[unit], &self.bodies)).collect();
        let moved = |unit: usize, lane: usize, input: bool| {
            mains[rank(unit)].map_or(0, |(main, _)| tokens(&self.pieces[unit], main, &self.bodies, lane, input))
        };
        let edge = |&lane: &usize| {
            let (from, to) = (self.lanes[lane].from, self.lanes[lane].to);
            (rank(from), rank(to), moved(from, lane, false), moved(to, lane, true))
        };
        let edges: Vec<_> = periods.lanes.iter().map(edge).collect();
        let rounds = repetitions(units.len(), &edges).map_or(1, |repetitions| repetitions[rank(at)]);

        let all: u64 = units.iter().map(|&unit| firings(&self.pieces[unit])).fold(0, u64::saturating_add);
        // Firings of the part for each of the reference.
        let share = (all / firings(pieces).max(1)).max(1);
        let main = mains[rank(at)].map(|(main, _)| main);
        let stride = |(piece, entry): (usize, &Piece)| {
            let (firings_of_round, most, unit) = match *entry {
                Piece::Run { body, firings } => (self.bodies[body].actions.len() as u64, firings, true),
                Piece::Begin { times } => {
                    let end = end_of(pieces, piece);
                    (firings(&pieces[piece + 1..end]), times, false)
                }
                Piece::End { .. } => return 0,
            };
            let iteration = if Some(piece) == main { rounds } else { 1 };
            let work = firings_of_round.saturating_mul(iteration).saturating_mul(share).max(1);
            let iterations = periods.work.div_ceil(work);
            // Small periods of the schedule are found sooner from numbers with many divisors.
            let iterations = if iterations > 12 { iterations.next_multiple_of(12) } else { iterations };
            let stride = iterations.saturating_mul(iteration).saturating_mul(if unit { firings_of_round } else { 1 });
            if stride <= most / 2 { stride } else { 0 }
        };
        periods.strides = pieces.iter().enumerate().map(stride).collect();
        periods.memories = pieces.iter().map(|_| Default::default()).collect();
    }

    /// The reference has come to where it is held. True if it is a checkpoint: then everything else must come to rest.
    #[inline(never)]
    pub(super) fn is_held(&mut self, at: usize) -> bool {
        let (Some(periods), actor) = (&mut self.periods, &mut self.actors[at]) else { return false };
        if actor.place.left == 0 {
            // It has ended, others may have long to go.
            self.elect(Some(at));
            return true;
        }
        if periods.checkpoint(&self.pieces[at], &actor.place).is_some() {
            return true;
        }
        actor.gate = actor.firings + periods.until_stop(&self.pieces[at], &actor.place);
        // After a checkpoint, bursts would go around the ends of all tracks. So one of the reference's is cut short there;
        // its neighbours wake it again.
        periods.cut = actor.firings == periods.round;
        periods.cut
    }

    /// Called now and then: another reference takes the place of one that does not move while others do.
    pub(super) fn lose_patience(&mut self) {
        if let Some(periods) = &self.periods
            && self.firings - periods.last > PATIENCE * periods.work
            && periods.strides.iter().any(|&stride| stride > 0)
        {
            let reference = periods.reference;
            self.elect(Some(reference));
        }
    }

    /// Nothing can fire. If the reference is held at a checkpoint, skips what repeats and lets it go; false if it is not.
    pub(super) fn pass_checkpoint(&mut self) -> bool {
        let Some(mut periods) = self.periods.take() else { return false };
        let at = periods.reference;
        let actor = &self.actors[at];
        let held = actor.firings == actor.gate && actor.place.left > 0;
        let cut = std::mem::take(&mut periods.cut) && !held;
        if cut {
            self.ready.insert(at);
        }
        if held {
            if let Some(piece) = periods.checkpoint(&self.pieces[at], &actor.place) {
                let mut memory = std::mem::take(&mut periods.memories[piece]);
                let skipped = memory.snapshot.as_ref().is_some_and(|before| self.skip(&periods, before));
                memory.seen += 1;
                if skipped || memory.seen >= memory.until {
                    let until = if skipped { 1 } else { 2 * memory.seen };
                    memory = Memory { snapshot: Some(self.snapshot(&periods)), seen: until / 2, until };
                }
                periods.memories[piece] = memory;
            }
            let actor = &mut self.actors[at];
            periods.round = actor.firings.next_multiple_of(CHUNK as u64);
            let stop = actor.firings + periods.until_stop(&self.pieces[at], &actor.place);
            actor.gate = if periods.round > actor.firings { stop.min(periods.round) } else { stop };
            periods.last = self.firings;
            self.ready.insert(at);
        }
        self.periods = Some(periods);
        held || cut
    }

    fn snapshot(&self, periods: &Periods) -> Snapshot {
        let seen = |&unit: &usize| {
            let Actor { place, ready, end, busy, space, firings, .. } = &self.actors[unit];
            Seen { place: place.clone(), ready: *ready, end: *end, busy: *busy, space: *space, firings: *firings }
        };
        let mut times = Vec::new();
        for &lane in &periods.lanes {
            let (tokens, slots) = self.lanes[lane].standing(&self.times);
            times.extend(tokens.chain(slots));
        }
        let tokens = |&lane: &usize| (self.lanes[lane].passed(), self.lanes[lane].held());
        Snapshot {
            units: periods.units.iter().map(seen).collect(),
            tokens: periods.lanes.iter().map(tokens).collect(),
            times,
        }
    }

    /// Cycles since `before` if everything that moved since then moved by as many.
    fn period(&self, periods: &Periods, before: &Snapshot) -> Option<i64> {
        let at = periods.units.binary_search(&periods.reference).ok()?;
        let cycles = self.actors[periods.reference].ready - before.units[at].ready;
        if cycles <= 0 {
            return None;
        }
        for (&unit, seen) in periods.units.iter().zip(&before.units) {
            let actor = &self.actors[unit];
            if actor.firings != seen.firings {
                if actor.ready - seen.ready != cycles || actor.end - seen.end != cycles {
                    return None;
                }
                actor.place.since(&seen.place)?;
            }
        }
        let mut times = &before.times[..];
        for (&lane, &(passed, held)) in periods.lanes.iter().zip(&before.tokens) {
            let lane = &self.lanes[lane];
            if lane.held() != held {
                return None;
            }
            // Both ends have as many times as then.
            let (tokens, slots) = lane.standing(&self.times);
            let (then_tokens, rest) = times.split_at_checked(tokens.len())?;
            let (then_slots, rest) = rest.split_at_checked(slots.len())?;
            times = rest;
            if lane.passed() == passed {
                continue;
            }
            let repeats = |now: i64, then: i64, ready: i64| now.max(ready) - then.max(ready - cycles) == cycles;
            let (to, from) = (self.actors[lane.to].ready, self.actors[lane.from].ready);
            if !tokens.zip(then_tokens).all(|(now, &then)| repeats(now, then, to))
                || !slots.zip(then_slots).all(|(now, &then)| repeats(now, then, from))
            {
                return None;
            }
        }
        Some(cycles)
    }

    /// Adds up as many periods as all loops and the observer allow; false if there are none.
    fn skip(&mut self, periods: &Periods, before: &Snapshot) -> bool {
        let Some(cycles) = self.period(periods, before) else { return false };
        let mut most = u64::MAX;
        for (&unit, seen) in periods.units.iter().zip(&before.units) {
            let actor = &self.actors[unit];
            if actor.firings == seen.firings {
                continue;
            }
            let Some((_, left, lost)) = actor.place.since(&seen.place) else { return false };
            most = most.min((left - 1) / lost);
            let firings = actor.firings - seen.firings;
            most = most.min(self.probe.most_periods(
                actor.unit,
                actor.firings,
                actor.ready as u64,
                firings,
                cycles as u64,
            ));
        }
        if most == 0 || most == u64::MAX {
            return false;
        }
        let later = cycles * most as i64;
        for (&unit, seen) in periods.units.iter().zip(&before.units) {
            let actor = &mut self.actors[unit];
            let firings = actor.firings - seen.firings;
            if firings == 0 {
                continue;
            }
            if let Some((level, _, lost)) = actor.place.since(&seen.place) {
                actor.place.lose(level, lost * most);
            }
            actor.log.shift(&mut self.times, later);
            actor.firings += firings * most;
            self.firings += firings * most;
            actor.ready += later;
            actor.end += later;
            actor.busy += (actor.busy - seen.busy) * most as i64;
            actor.space += (actor.space - seen.space) * most as i64;
        }
        for (&lane, &(passed, _)) in periods.lanes.iter().zip(&before.tokens) {
            let lane = &mut self.lanes[lane];
            let tokens = lane.passed() - passed;
            if tokens > 0 {
                lane.shift(&mut self.times, later, tokens * most);
            }
        }
        true
    }
}

impl Periods {
    /// Firings from `place` to the next place where the reference may be held: a checkpoint within its piece, or the end
    /// of it.
    fn until_stop(&self, pieces: &[Piece], place: &Place) -> u64 {
        match (pieces.get(place.at), self.strides.get(place.at)) {
            (Some(Piece::Run { firings, .. }), Some(&stride)) if stride > 0 => {
                (stride - (firings - place.left) % stride).min(place.left)
            }
            _ => place.left,
        }
    }

    /// Whether `place` is a checkpoint, and which: the piece or the outermost loop that it divides into equal parts.
    fn checkpoint(&self, pieces: &[Piece], place: &Place) -> Option<usize> {
        let Some(Piece::Run { firings, .. }) = pieces.get(place.at) else { return None };
        let done = firings - place.left;
        if done > 0 {
            return (self.strides[place.at] > 0 && done.is_multiple_of(self.strides[place.at])).then_some(place.at);
        }
        // At the start of a piece: of which loops is this the start of a round, and of the first round of all within?
        let (mut level, mut found) = (place.loops.len(), None);
        for begin in (0..place.at).rev() {
            let Piece::Begin { times } = pieces[begin] else { break };
            level -= 1;
            let (stride, done) = (self.strides[begin], times - place.loops[level]);
            if stride > 0 && done.is_multiple_of(stride) {
                found = Some(begin);
            }
            if done > 0 {
                break;
            }
        }
        found
    }
}

impl Place {
    /// The one count that differs from `before`: its level (the number of loops for the innermost), what is left of it,
    /// and by how much it has become less. `None` if the places differ in any other way.
    fn since(&self, before: &Place) -> Option<(usize, u64, u64)> {
        if self.at != before.at || self.next != before.next || self.loops.len() != before.loops.len() {
            return None;
        }
        let counts = |place: &Place| place.loops.iter().copied().chain([place.left]).collect::<Vec<_>>();
        let (now, then) = (counts(self), counts(before));
        let level = now.iter().zip(&then).position(|(now, then)| now != then)?;
        if now[level + 1..] != then[level + 1..] || now[level] > then[level] {
            return None;
        }
        Some((level, now[level], then[level] - now[level]))
    }

    fn lose(&mut self, level: usize, count: u64) {
        match self.loops.get_mut(level) {
            Some(left) => *left -= count,
            None => self.left -= count,
        }
    }
}
