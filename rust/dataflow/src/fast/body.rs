//! A unit's nest cut into straight pieces: short bodies of phases that run over and over, and the loops around them.

use super::rates::Rates;
use crate::nest::Code;
use crate::program::{Action, Bound};
use crate::repetition::gcd;

/// Firings that are evaluated together at most.
pub(crate) const CHUNK: usize = 128;
/// A loop whose whole body is no longer than this is one piece.
const LONGEST_BODY: u64 = 128;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Piece {
    /// Runs the body for so many firings.
    Run {
        body: usize,
        firings: u64,
    },
    Begin {
        times: u64,
    },
    End {
        begin: usize,
    },
}

/// What the two ends of a stream move at once, counted in the largest portion that both move whole.
#[derive(Clone, Debug)]
pub(crate) struct Grains {
    /// Tokens of that portion.
    pub share: u64,
    /// Portions that every phase of the producer, and of the consumer, moves a multiple of.
    pub produced: u64,
    pub consumed: u64,
    /// The producer's phases have one latency, and it is not a load unit.
    pub latency: Option<i64>,
    /// Portions that the producer and the consumer move in their firings, if these are short lists over and over: then
    /// the stream finds its times in the logs of the two units.
    pub rates: Option<(Rates, Rates)>,
}

impl Grains {
    fn are_one(&self) -> bool {
        self.produced == 1 && self.consumed == 1 && self.latency.is_some()
    }

    pub(crate) fn new(bound: &Bound, stream: usize) -> Self {
        let program = bound.program;
        let (from, to) = (program.streams[stream].from.0, program.streams[stream].to.0);
        let actions = |unit: usize| {
            let first = program.first_action[unit];
            &program.actions[first..first + program.units[unit].phases.len()]
        };
        let rate = |ends: &std::ops::Range<usize>| {
            program.ends[ends.clone()].iter().filter(|end| end.stream == stream).map(|end| end.rate).sum::<u64>()
        };
        let common = |all: u64, rate: u64| gcd(all.into(), rate.into()) as u64;
        let produced = actions(from).iter().map(|action| rate(&action.produce)).fold(0, common).max(1);
        let consumed = actions(to).iter().map(|action| rate(&action.consume)).fold(0, common).max(1);
        let share = common(produced, consumed);
        let mut latencies =
            actions(from).iter().filter(|action| rate(&action.produce) > 0).map(|action| action.latency as i64);
        let one = latencies.next().unwrap_or(0);
        let same = program.units[from].port.is_none() && latencies.all(|other| other == one);
        let portions = |unit: usize, input: bool| {
            let portion = |action: &Action| rate(if input { &action.consume } else { &action.produce }) / share;
            let mut all = actions(unit).iter().map(portion);
            let first = all.next()?;
            if program.units[unit].choice.is_none() && all.all(|other| other == first) {
                return Some(Rates::new([first].into_iter()));
            }
            Some(Rates::new(round(bound, unit)?.iter().map(|&at| portion(&program.actions[at]))))
        };
        let rates = || Some((portions(from, false)?, portions(to, true)?)).filter(|(from, to)| from.suit(to));
        let rates = if same { rates() } else { None };
        let (produced, consumed) = (produced / share, consumed / share);
        Grains { share, produced, consumed, latency: same.then_some(one), rates }
    }

    /// The rates at both ends, if which firings wait for which takes a table: not where each moves one token.
    pub(crate) fn paced(&self) -> Option<&(Rates, Rates)> {
        self.rates.as_ref().filter(|(produced, consumed)| !produced.are_one() || !consumed.are_one())
    }

    /// Firings of the producer that a stream of `slots` slots asks for, if it looks them up in the log of that unit.
    pub(super) fn firings_made(&self, slots: u64) -> Option<u64> {
        self.rates.as_ref().map(|(produced, consumed)| produced.most(slots / self.share + consumed.pauses()))
    }

    /// Firings of the consumer, the same. What the high-water mark asks for may be as old as a whole capacity before the
    /// slots that the consumer frees at once.
    pub(super) fn firings_freed(&self, slots: u64) -> Option<u64> {
        self.rates.as_ref().map(|(produced, consumed)| consumed.most(2 * (slots / self.share) + produced.pauses()))
    }
}

/// The actions that `unit` repeats from its first firing to its last, if they are few.
fn round(bound: &Bound, unit: usize) -> Option<Vec<usize>> {
    if bound.program.units[unit].choice.is_some() {
        return None;
    }
    let (list, rest) = match bound.code[unit][..] {
        [Code::Fire { phase, .. }, ref rest @ ..] => (vec![phase as usize], rest),
        [Code::Begin { .. }, ref body @ ..] => {
            let (length, actions) = straight(body)?;
            (actions, &body[length + 1..])
        }
        _ => return None,
    };
    // What comes after must go on in the same way.
    let mut at = 0;
    for code in rest {
        let Code::Fire { phase, times } = *code else { return None };
        if times > LONGEST_BODY || (0..times as usize).any(|next| list[(at + next) % list.len()] != phase as usize) {
            return None;
        }
        at += times as usize;
    }
    Some(list)
}

/// A quantity of each firing of a body, laid out so that any `CHUNK` successive firings are one slice.
type Table<T> = Box<[T]>;

/// The same for all firings of a body, or a table.
#[derive(Clone, Debug)]
pub(crate) enum Each<T> {
    Same(T),
    Table(Table<T>),
}

/// One stream as a body uses it.
#[derive(Clone, Debug)]
pub(crate) struct Use {
    pub lane: usize,
    /// Tokens of one firing.
    pub rate: Each<u64>,
    /// For a table: tokens before firing i of two passes through the body.
    before: Table<u64>,
    /// The other end is a load unit: waiting here is waiting for memory.
    pub from_memory: bool,
    /// One token in each firing, and each token has its own entry at both ends of the stream.
    pub plain: bool,
    /// The stream is paced.
    pub paced: bool,
}

/// Phases that run one after another, over and over.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    pub actions: Vec<usize>,
    pub ii: Each<i64>,
    pub latency: Each<i64>,
    pub consume: Vec<Use>,
    pub produce: Vec<Use>,
    /// Their streams: all that a steady body asks for, in fewer lines of the cache.
    pub inputs: Box<[u32]>,
    pub outputs: Box<[u32]>,
    /// Waits for memory are possible: a transfer of its own, or tokens from a load unit.
    pub memory: bool,
    pub transfer: bool,
    /// A stream leads from the unit to itself, so that firing makes more firings possible.
    pub again: bool,
    /// The latency of all firings, if all its streams are plain or paced and memory has no part in it.
    pub steady: Option<i64>,
    /// They are plain, and firings have the same interval.
    pub plain: bool,
}

impl<T: Copy + PartialEq> Each<T> {
    pub(crate) fn is_table(&self) -> bool {
        matches!(self, Each::Table(_))
    }

    fn new(values: Vec<T>) -> Self {
        if values.iter().all(|value| *value == values[0]) { Each::Same(values[0]) } else { Each::Table(table(&values)) }
    }
}

fn table<T: Copy>(values: &[T]) -> Table<T> {
    values.iter().copied().cycle().take(values.len() + CHUNK).collect()
}

impl Use {
    /// Firings, from firing `at` of the body on, that move no more than `tokens`.
    #[inline(always)]
    pub(crate) fn firings(&self, at: usize, tokens: u64) -> u64 {
        match self.rate {
            Each::Same(1) => tokens,
            Each::Same(rate) => tokens / rate,
            Each::Table(_) => {
                let length = self.before.len() / 2;
                let (cycle, from) = (self.before[length], self.before[at]);
                let rest = tokens % cycle;
                let more = self.before[at + 1..at + length].partition_point(|before| before - from <= rest);
                tokens / cycle * length as u64 + more as u64
            }
        }
    }

    /// Tokens of `firings` firings from firing `at` on.
    #[inline(always)]
    pub(crate) fn tokens(&self, at: usize, firings: usize) -> u64 {
        match &self.rate {
            Each::Same(rate) => rate * firings as u64,
            Each::Table(rates) => rates[at..at + firings].iter().sum(),
        }
    }
}

impl Body {
    /// Cycles from the start of every firing to its end, if that is always the same, as for a `PLAIN` body.
    #[inline(always)]
    pub(super) fn same_ii<const PLAIN: bool>(&self) -> Option<i64> {
        match &self.ii {
            Each::Same(ii) => Some(*ii),
            Each::Table(_) if PLAIN => Some(0),
            Each::Table(_) => None,
        }
    }

    /// Cycles that `firings` firings from number `next` on are busy, and those of the last.
    #[inline(always)]
    pub(super) fn busy<const PLAIN: bool>(&self, next: usize, firings: usize) -> (i64, i64) {
        match (self.same_ii::<PLAIN>(), &self.ii) {
            (None, Each::Table(iis)) => {
                let iis = &iis[next..next + firings];
                (iis.iter().sum(), iis[firings - 1])
            }
            (ii, _) => (ii.unwrap_or(0) * firings as i64, ii.unwrap_or(0)),
        }
    }

    fn new(bound: &Bound, grains: &[Grains], unit: usize, actions: Vec<usize>) -> Self {
        let program = bound.program;
        let all: Vec<&Action> = actions.iter().map(|&at| &program.actions[at]).collect();
        let uses = |input: bool, streams: &[usize]| -> Vec<Use> {
            let ends = |action: &Action| match input {
                true => &program.ends[action.consume.clone()],
                false => &program.ends[action.produce.clone()],
            };
            let rates = |&stream: &usize| {
                let share = grains[stream].share;
                let rate = |action: &&Action| {
                    ends(action).iter().find(|end| end.stream == stream).map_or(0, |end| end.rate / share)
                };
                (stream, all.iter().map(rate).collect::<Vec<u64>>())
            };
            let used = |(lane, rates): (usize, Vec<u64>)| {
                let paced = grains[lane].paced().is_some();
                if !paced && rates.iter().all(|&rate| rate == 0) {
                    return None;
                }
                let from_memory = input && program.units[program.streams[lane].from.0].port.is_some();
                let rate = Each::new(rates.clone());
                let sums = rates.iter().chain(&rates).scan(0, |sum, rate| {
                    let before = *sum;
                    *sum += rate;
                    Some(before)
                });
                let before = if matches!(rate, Each::Table(_)) { sums.collect() } else { Table::default() };
                let plain = !paced && matches!(rate, Each::Same(1)) && grains[lane].are_one();
                Some(Use { lane, rate, before, from_memory, plain, paced })
            };
            // A load unit has hundreds of streams and bodies, each of which uses few.
            let named = |stream: usize| all.iter().any(|action| ends(action).iter().any(|end| end.stream == stream));
            let concerned = |&&stream: &&usize| grains[stream].paced().is_some() || named(stream);
            streams.iter().filter(concerned).map(rates).filter_map(used).collect()
        };
        let consume = uses(true, program.inputs(unit));
        let produce = uses(false, program.outputs(unit));
        let transfer = all.iter().any(|action| action.transfer.is_some());
        let memory = transfer || consume.iter().any(|end| end.from_memory);
        let ii = Each::new(all.iter().map(|action| action.ii as i64).collect());
        let latency = Each::new(all.iter().map(|action| action.latency as i64).collect());
        let alone = consume.is_empty() && produce.is_empty();
        let all = |test: fn(&Use) -> bool| consume.iter().chain(&produce).all(test);
        let steady = match latency {
            Each::Same(latency) if !memory && !alone && all(|end| end.plain || end.paced) => Some(latency),
            _ => None,
        };
        Body {
            plain: all(|end| end.plain) && !ii.is_table(),
            steady,
            ii,
            latency,
            memory,
            again: produce.iter().any(|out| consume.iter().any(|input| input.lane == out.lane)),
            transfer,
            inputs: consume.iter().map(|end| end.lane as u32).collect(),
            outputs: produce.iter().map(|end| end.lane as u32).collect(),
            consume,
            produce,
            actions,
        }
    }
}

/// The pieces of `unit`; its bodies are added to `bodies`. A data-dependent unit has one body for each phase.
pub(crate) fn pieces(bound: &Bound, grains: &[Grains], unit: usize, bodies: &mut Vec<Body>) -> Vec<Piece> {
    let code = &bound.code[unit];
    let mut pieces = Vec::with_capacity(code.len());
    let mut begins: Vec<usize> = Vec::new();
    let mut at = 0;
    while at < code.len() {
        match code[at] {
            Code::Fire { phase, times } => {
                let phases =
                    if bound.program.units[unit].choice.is_some() { bound.program.units[unit].phases.len() } else { 1 };
                pieces.push(Piece::Run { body: bodies.len(), firings: times });
                bodies.extend((0..phases).map(|choice| Body::new(bound, grains, unit, vec![phase as usize + choice])));
            }
            Code::Begin { times } => match straight(&code[at + 1..]) {
                Some((length, actions)) => {
                    pieces.push(Piece::Run { body: bodies.len(), firings: times * actions.len() as u64 });
                    bodies.push(Body::new(bound, grains, unit, actions));
                    at += length + 1;
                }
                None => {
                    begins.push(pieces.len());
                    pieces.push(Piece::Begin { times });
                }
            },
            Code::End { .. } => pieces.push(Piece::End { begin: begins.pop().unwrap_or(0) }),
        }
        at += 1;
    }
    pieces
}

/// The firings up to the end of the loop that `code` is the body of, if there are no loops in it and they are few.
fn straight(code: &[Code]) -> Option<(usize, Vec<usize>)> {
    let (mut actions, mut left) = (Vec::new(), LONGEST_BODY);
    for (length, op) in code.iter().enumerate() {
        match *op {
            Code::Fire { phase, times } if times <= left => {
                left -= times;
                actions.extend((0..times).map(|_| phase as usize));
            }
            Code::End { .. } => return Some((length, actions)),
            _ => return None,
        }
    }
    None
}

/// Where a unit stands in its pieces: always in a `Run` with firings left, or at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub at: usize,
    /// The body that runs, and its firings left; 0 at the end.
    pub body: usize,
    pub left: u64,
    /// The next firing of the body.
    pub next: usize,
    pub loops: Vec<u64>,
}

impl Place {
    pub(crate) fn new(pieces: &[Piece]) -> Self {
        let mut place = Place::default();
        place.settle(pieces);
        place
    }

    #[inline(always)]
    pub(crate) fn advance(&mut self, pieces: &[Piece], length: usize, firings: u64) {
        self.left -= firings;
        if self.left == 0 {
            self.at += 1;
            self.settle(pieces);
        } else if length > 1 {
            self.next = (self.next + firings as usize) % length;
        }
    }

    fn settle(&mut self, pieces: &[Piece]) {
        self.next = 0;
        loop {
            match pieces.get(self.at) {
                None => return,
                Some(Piece::Run { body, firings }) => {
                    (self.body, self.left) = (*body, *firings);
                    return;
                }
                Some(Piece::Begin { times }) => {
                    self.loops.push(*times);
                    self.at += 1;
                }
                Some(Piece::End { begin }) => match self.loops.last_mut() {
                    Some(left) if *left > 1 => {
                        *left -= 1;
                        self.at = *begin + 1;
                    }
                    _ => {
                        self.loops.pop();
                        self.at += 1;
                    }
                },
            }
        }
    }
}
