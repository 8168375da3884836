//! `fast`: the same firing rule, many firings of a unit at a time.
//!
//! Firing times are a recurrence in maximum and plus: a firing starts at the latest of the end of the one before, the
//! tokens it takes and the slots it fills. All these are in the logs of the units around it, so a unit that is visited
//! fires as often as tokens and slots allow, in passes over slices: raise the starts to the tokens' times, raise them
//! to the slots' times, chain them, write them to its log. Units are visited in dataflow order, around and around;
//! there is no queue of events. `step` says what must come out.

mod body;
mod firing;
mod lane;
mod latest;
mod log;
mod order;
mod outlook;
mod pace;
mod passes;
mod period;
mod rates;
mod ready;
mod rounds;
mod scratch;
mod steady;
mod track;
mod values;

use crate::counters::{Counters, Run, StreamTotals, UnitTotals};
use crate::deadlock::{Wait, explain};
use crate::door::Doors;
use crate::engine::{Decisions, Parts, Watch};
use crate::error::RunError;
use crate::observer::Probe;
use crate::operator::Operator;
use crate::port::Memory;
use crate::program::{Bound, MOST_LOOSE, Program};
use crate::step::chosen;
use crate::unit::Choice;
use body::{Body, CHUNK, Grains, Piece, Place, pieces};
use lane::Lane;
use log::Log;
use order::{dataflow_order, reaches};
use outlook::Outlook;
use pace::Tables;
use period::Periods;
use ready::Ready;
use scratch::Scratch;
use std::time::{Duration, Instant};
use steady::ANY;
use values::Buffer;

/// Firings before the first poll of the watch, and the time between two polls that the engine aims at.
const POLL: u64 = 1 << 12;
const PACE: Duration = Duration::from_millis(4);

/// Runs a program; with `VALUES`, `operators` has one entry per unit.
pub(crate) fn run<const VALUES: bool, P: Probe>(
    parts: Parts,
    operators: &mut [Box<dyn Operator>],
    probe: P,
    skip: bool,
) -> Result<Run, RunError> {
    let Parts { bound, memory, decisions, watch } = parts;
    let mut engine = Engine::<VALUES, P>::new(bound, memory, operators, decisions, probe);
    let ports = bound.program.units.iter().any(|unit| unit.port.is_some());
    engine.skips = skip && !VALUES && !ports && !bound.is_loose();
    engine.dispatch(watch)
}

/// A unit in motion.
struct Actor {
    unit: usize,
    choice: Option<Choice>,
    place: Place,
    log: Log,
    /// Start of the last firing + its ii.
    ready: i64,
    firings: u64,
    /// The unit is held when it has fired so often.
    gate: u64,
    busy: i64,
    memory: i64,
    space: i64,
    first: i64,
    end: i64,
}

struct Engine<'a, const VALUES: bool, P: Probe> {
    bound: &'a Bound<'a>,
    program: &'a Program,
    operators: &'a mut [Box<dyn Operator>],
    decisions: Decisions<'a>,
    probe: P,
    /// Units in dataflow order, and the pieces of their nests in the same order.
    actors: Vec<Actor>,
    pieces: Vec<Vec<Piece>>,
    bodies: Vec<Body>,
    /// In the order of the program's streams; their timestamps lie in `times`.
    lanes: Vec<Lane>,
    times: Vec<i64>,
    buffers: Vec<Buffer>,
    ready: Ready,
    /// In dataflow order.
    doors: Doors<'a>,
    /// Of the units that write, in the order of the doors.
    outlooks: Vec<Outlook>,
    firings: u64,
    scratch: Box<Scratch>,
    /// Whether to look for periods, and where they are looked for now.
    skips: bool,
    periods: Option<Periods>,
}

impl<'a, const VALUES: bool, P: Probe> Engine<'a, VALUES, P> {
    fn new(
        bound: &'a Bound<'a>,
        memory: &'a mut dyn Memory,
        operators: &'a mut [Box<dyn Operator>],
        decisions: Decisions<'a>,
        probe: P,
    ) -> Self {
        let program = bound.program;
        let order = dataflow_order(program);
        let mut rank = vec![0; order.len()];
        order.iter().enumerate().for_each(|(at, &unit)| rank[unit] = at);
        let grains: Vec<_> = (0..program.streams.len()).map(|stream| Grains::new(bound, stream)).collect();
        let mut bodies = Vec::with_capacity(order.len());
        let pieces: Vec<_> = order.iter().map(|&unit| pieces(bound, &grains, unit, &mut bodies)).collect();
        let (mut times, tables) = (Vec::new(), Tables::default());
        let mut actor = |(&unit, pieces): (&usize, &Vec<Piece>)| Actor {
            unit,
            choice: program.units[unit].choice,
            place: Place::new(pieces),
            log: Log::new(bound, &grains, unit, &mut times),
            ready: 0,
            firings: 0,
            gate: u64::MAX,
            busy: 0,
            memory: 0,
            space: 0,
            first: 0,
            end: 0,
        };
        let actors: Vec<Actor> = order.iter().zip(&pieces).map(&mut actor).collect();
        let lane = |(at, stream): (usize, &crate::stream::Stream)| {
            let end = |unit: usize| (rank[unit], &actors[rank[unit]].log);
            let ends = (end(stream.from.0), end(stream.to.0));
            Lane::new(stream, bound.slots[at], ends, &grains[at], &mut times, &tables)
        };
        let lanes: Vec<Lane> = program.streams.iter().enumerate().map(lane).collect();
        let reach = reaches(program, &order).max().unwrap_or(0);
        let bytes = size_of_val(&times[..]) + size_of_val(&lanes[..]) + order.len() * size_of::<(Actor, Body)>();
        let buffer = |stream: &crate::stream::Stream| Buffer::new(stream.initial, stream.lanes);
        let doors = Doors::new(bound, &order, memory);
        Engine {
            actors,
            outlooks: vec![Outlook::default(); doors.stores.len()],
            doors,
            buffers: if VALUES { program.streams.iter().map(buffer).collect() } else { Vec::new() },
            ready: Ready::new(order.len(), reach, bytes),
            firings: 0,
            scratch: Scratch::new(),
            skips: false,
            periods: None,
            pieces,
            bodies,
            lanes,
            times,
            bound,
            program,
            operators,
            decisions,
            probe,
        }
    }

    /// Nothing but times: what the compiler is asked to make fastest.
    const TIMING_ALONE: bool = !VALUES && !P::ON;

    /// Runs on the widest vectors that the processor has; what is computed is the same.
    fn dispatch(mut self, watch: Watch) -> Result<Run, RunError> {
        #[cfg(target_arch = "x86_64")]
        {
            if !P::ON && is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2") {
                // SAFETY: the processor has just been found to have these features.
                unsafe { self.run_avx2(watch)? };
                return self.finish();
            }
        }
        self.run(watch)?;
        self.finish()
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn run_avx2(&mut self, watch: Watch) -> Result<(), RunError> {
        self.run(watch)
    }

    /// Visits units until none can fire; then memory answers, or a checkpoint is passed; until nothing is left.
    #[inline(always)]
    fn run(&mut self, watch: Watch) -> Result<(), RunError> {
        let (mut polled, mut stride, mut next_poll) = (Instant::now(), POLL, POLL);
        // Parts that nothing joins have periods of their own, so each runs by itself.
        let parts = if self.skips { self.parts() } else { vec![(0..self.actors.len()).collect()] };
        for units in parts {
            units.iter().for_each(|&unit| self.ready.insert(unit));
            if self.skips {
                self.watch_periods(units);
            }
            loop {
                while let Some(unit) = self.ready.take() {
                    self.visit(unit)?;
                    if self.firings >= next_poll {
                        if !watch(self.firings) {
                            return Err(RunError::Interrupted);
                        }
                        if self.firings >= MOST_LOOSE && self.bound.is_loose() {
                            return Err(RunError::Endless { firings: self.firings });
                        }
                        self.lose_patience();
                        stride = if polled.elapsed() < PACE / 2 { stride * 2 } else { (stride / 2).max(1) };
                        (polled, next_poll) = (Instant::now(), self.firings + stride);
                    }
                }
                if self.doors.earliest().is_some() {
                    self.answer();
                } else if !self.pass_checkpoint() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Fires `actor` as often as it can.
    #[inline(always)]
    fn visit(&mut self, actor: usize) -> Result<(), RunError> {
        while let Some((body, left)) = self.upcoming(actor)? {
            let Actor { place, firings: fired, gate, .. } = &self.actors[actor];
            if fired == gate {
                if self.is_held(actor) {
                    return Ok(());
                }
                continue;
            }
            let (number, next, body) = (body, place.next, &self.bodies[body]);
            let most = left.min(CHUNK as u64).min(gate - fired);
            let mut firings = most;
            let again = body.again;
            if Self::TIMING_ALONE && body.steady.is_some() {
                // The loops over few streams are worth unrolling.
                let fired = match (body.inputs.len(), body.outputs.len()) {
                    (1, _) if !body.plain => self.fire_steady::<1, ANY, false>(actor, number, most),
                    (2, _) if !body.plain => self.fire_steady::<2, ANY, false>(actor, number, most),
                    _ if !body.plain => self.fire_steady::<ANY, ANY, false>(actor, number, most),
                    (0, 1) => self.fire_steady::<0, 1, true>(actor, number, most),
                    (1, 0) => self.fire_steady::<1, 0, true>(actor, number, most),
                    (1, 1) => self.fire_steady::<1, 1, true>(actor, number, most),
                    (1, 2) => self.fire_steady::<1, 2, true>(actor, number, most),
                    (2, 1) => self.fire_steady::<2, 1, true>(actor, number, most),
                    _ => self.fire_steady::<ANY, ANY, true>(actor, number, most),
                };
                if fired == most || (again && fired > 0) {
                    continue;
                }
                return Ok(());
            }
            for end in &body.consume {
                firings = self.lanes[end.lane].firings(end, true, next, firings);
            }
            for end in &body.produce {
                firings = self.lanes[end.lane].firings(end, false, next, firings);
            }
            if body.transfer
                && let Some(door) = self.doors.at(actor)
            {
                firings = firings.min(door.free());
            }
            let again = firings == most || again;
            if firings == 0 {
                return Ok(());
            }
            self.fire(actor, number, firings as usize)?;
            if !again {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The body that `actor` runs next, and for how many firings at most; `None` where it has ended or where the token
    /// that decides is not there.
    #[inline(always)]
    fn upcoming(&mut self, actor: usize) -> Result<Option<(usize, u64)>, RunError> {
        let Actor { unit, choice, place, firings, .. } = &self.actors[actor];
        if place.left == 0 {
            return Ok(None);
        }
        let Some(choice) = choice else { return Ok(Some((place.body, place.left))) };
        let chosen = self.choose(*choice, *unit, *firings)?;
        Ok(chosen.map(|(phase, run)| (place.body + phase, run.min(place.left))))
    }

    /// The phase that data choose, and for how many firings in a row.
    #[inline(never)]
    fn choose(&self, choice: Choice, unit: usize, firing: u64) -> Result<Option<(usize, u64)>, RunError> {
        if let Decisions::Replay(tapes) = &self.decisions {
            let rest = tapes[unit].get(firing as usize..).unwrap_or_default();
            let Some(&phase) = rest.first() else { return Ok(None) };
            let run = rest.iter().take(CHUNK).take_while(|&&other| other == phase).count();
            return Ok(Some((phase as usize, run as u64)));
        }
        let Choice::Control(input) = choice else { return Ok(None) };
        let stream = self.program.inputs(unit)[input];
        let there = (self.lanes[stream].tokens() * self.lanes[stream].share).min(CHUNK as u64) as usize;
        if there == 0 || !VALUES {
            return Ok(None);
        }
        let value = self.buffers[stream].peek(0);
        let phase = chosen(self.program, unit, value, firing)?;
        let run = (0..there).take_while(|&ahead| self.buffers[stream].peek(ahead) == value).count();
        Ok(Some((phase, run as u64)))
    }

    /// What `actor` waits for when nothing moves any more; `None` if it has ended.
    fn wait(&self, at: usize) -> Option<Wait> {
        let Actor { unit, choice, place, firings, .. } = &self.actors[at];
        if place.left == 0 {
            return None;
        }
        let body = match choice {
            None => place.body,
            Some(choice) => match (self.choose(*choice, *unit, *firings), choice) {
                (Ok(Some((phase, _))), _) => place.body + phase,
                (_, Choice::Control(input)) if !matches!(self.decisions, Decisions::Replay(_)) => {
                    return Some(Wait::Data(self.program.inputs(*unit)[*input]));
                }
                _ => return None,
            },
        };
        let body = &self.bodies[body];
        let action = &self.program.actions[body.actions[place.next]];
        for end in &self.program.ends[action.consume.clone()] {
            if self.lanes[end.stream].lacks(true, end.rate) {
                return Some(Wait::Data(end.stream));
            }
        }
        for end in &self.program.ends[action.produce.clone()] {
            if self.lanes[end.stream].lacks(false, end.rate) {
                return Some(Wait::Space(end.stream));
            }
        }
        Some(Wait::Memory)
    }

    /// Every unit must have ended; the rest of the elapsed cycles is idle.
    fn finish(self) -> Result<Run, RunError> {
        let cycles = self.actors.iter().map(|actor| actor.end).max().unwrap_or(0) as u64;
        let waits: Vec<_> = (0..self.actors.len()).map(|at| self.wait(at)).collect();
        let blocked =
            |(actor, wait): (&Actor, &Option<Wait>)| wait.is_some() && !self.program.units[actor.unit].is_open();
        if self.actors.iter().zip(&waits).any(blocked) {
            let (mut by_unit, mut firings) = (vec![None; waits.len()], vec![0; waits.len()]);
            for (actor, wait) in self.actors.iter().zip(waits) {
                (by_unit[actor.unit], firings[actor.unit]) = (wait, actor.firings);
            }
            return Err(explain(self.program, &by_unit, &firings, cycles));
        }
        let mut units = vec![UnitTotals::default(); self.actors.len()];
        for actor in &self.actors {
            let [ready, busy, space, memory] = [actor.ready, actor.busy, actor.space, actor.memory].map(|n| n as u64);
            // From cycle 0 until the last firing ended the unit was busy or waited.
            let counters = Counters { busy, data: ready - busy - space - memory, space, memory, idle: cycles - ready };
            let (first_cycle, end_cycle) = (actor.first as u64, actor.end as u64);
            units[actor.unit] = UnitTotals { counters, firings: actor.firings, first_cycle, end_cycle };
        }
        let streams = self.lanes.into_iter().zip(&self.program.streams).map(|(lane, stream)| StreamTotals {
            tokens: (lane.passed() - stream.initial / lane.share) * lane.share,
            high_water: lane.high_water(&self.times),
        });
        Ok(Run { cycles, firings: self.firings, units, streams: streams.collect() })
    }
}
