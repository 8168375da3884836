//! The smallest stream capacities: for full throughput, and for running at all.

use super::busiest;
use super::error::AnalysisError;
use super::graph::{Edge, Kind, fixed, slots};
use super::iteration::{Flow, Iteration, iterations};
use super::ratio::{Critical, Graph, Ratio, Relaxed};
use super::search::{Found, Test, Verdict, smallest};
use crate::engine::Watch;
use crate::program::{Call, Program};
use crate::repetition::gcd;
use crate::stream::Stream;

/// Capacities by stream, as small in sum as they can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacities {
    /// Cycles of an iteration with streams that are never full, one for each connected part.
    pub periods: Vec<Ratio>,
    /// With these, no part is slower than that.
    pub full: Vec<u64>,
    /// False where the work ran out: then smaller ones may do.
    pub full_exact: bool,
    /// With these, no part deadlocks.
    pub live: Vec<u64>,
    pub live_exact: bool,
}

/// Finds both; `work` is the number of edges of the graph of firings that the exact search may look at, for each part and
/// each of the two answers.
pub fn capacities(program: &Program, call: &Call, work: u64, watch: Watch) -> Result<Capacities, AnalysisError> {
    let streams = program.streams();
    let least: Vec<u64> = (0..streams.len()).map(|stream| least(program, stream)).collect();
    let mut all = Capacities {
        periods: Vec::new(),
        full: least.clone(),
        full_exact: true,
        live: least.clone(),
        live_exact: true,
    };
    for part in &iterations(program, call)? {
        let edges = fixed(part, streams);
        let mut graph = Graph::new(part.costs.len(), &edges).map_err(|knot| starved(part, streams, &knot))?;
        let Critical { ratio, starts, .. } = graph.critical(busiest(part, &edges), watch)?;
        all.periods.push(ratio);

        let chosen = |values: &[u64]| part.flows.iter().map(|flow| values[flow.stream]).collect::<Vec<u64>>();
        let least = chosen(&least);
        let enough: Vec<u64> = (least.iter().enumerate())
            .map(|(number, &least)| enough(part, number, &streams[part.flows[number].stream], least, ratio, &starts))
            .collect();
        let steps = part.flows.iter().map(step).collect();
        let mut room = Room { part, streams, steps, edges, period: Some(ratio), work: 0, watch };
        let full = smallest(&mut room, &least, &enough, work)?;
        (room.period, room.work) = (None, 0);
        let live = smallest(&mut room, &least, &full.capacities, work)?;
        for (found, values, exact) in
            [(full, &mut all.full, &mut all.full_exact), (live, &mut all.live, &mut all.live_exact)]
        {
            let Found { capacities, exact: found_exact } = found;
            part.flows.iter().zip(capacities).for_each(|(flow, capacity)| values[flow.stream] = capacity);
            *exact &= found_exact;
        }
    }
    Ok(all)
}

/// What a program must give a stream: its initial tokens and the tokens of one firing at either end.
fn least(program: &Program, stream: usize) -> u64 {
    let ends = &program.streams()[stream];
    let most = |unit: usize, index: usize, rates: fn(&crate::nest::Phase) -> &Vec<(usize, u32)>| {
        let phases = program.units()[unit].phases.iter();
        phases.flat_map(rates).filter(|end| end.0 == index).map(|end| u64::from(end.1)).max().unwrap_or(0)
    };
    let (produce, consume) = (most(ends.from.0, ends.from.1, |phase| &phase.produce), {
        most(ends.to.0, ends.to.1, |phase| &phase.consume)
    });
    produce.max(consume).max(ends.initial).max(1)
}

/// A capacity that the schedule `starts` never fills.
fn enough(part: &Iteration, number: usize, stream: &Stream, least: u64, period: Ratio, starts: &[i128]) -> u64 {
    let fits = |capacity: u64| {
        let mut edges = Vec::new();
        slots(part, number, stream, capacity, &mut edges);
        edges.iter().all(|edge| {
            let cycles = i128::from(edge.cycles) * period.iterations as i128;
            let back = i128::from(edge.distance).saturating_mul(period.cycles as i128);
            starts[edge.to as usize] >= starts[edge.from as usize].saturating_add(cycles).saturating_sub(back)
        })
    };
    let (mut low, mut high) = (least, least);
    while !fits(high) && high < u64::MAX / 2 {
        (low, high) = (high + 1, high.saturating_mul(2));
    }
    while low < high {
        let middle = low.midpoint(high);
        if fits(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    high
}

/// A cycle of distance 0 among tokens alone.
fn starved(part: &Iteration, streams: &[Stream], knot: &[Edge]) -> AnalysisError {
    let mut names: Vec<String> = Vec::new();
    for edge in knot {
        if let Kind::Token(number) = edge.kind {
            let name = &streams[part.flows[number as usize].stream].name;
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    AnalysisError::Starved { streams: names }
}

/// The largest number that divides all rates of a stream.
fn step(flow: &Flow) -> u64 {
    let rates = flow.made.windows(2).chain(flow.taken.windows(2)).map(|pair| pair[1] - pair[0]);
    rates.fold(0, |shared, rate| gcd(shared.into(), rate.into()) as u64).max(1)
}

/// A part whose streams are given room: with a period, whether it keeps up; without one, whether it runs at all.
struct Room<'a, 'w> {
    part: &'a Iteration,
    streams: &'a [Stream],
    /// Tokens move in multiples of this, per stream.
    steps: Vec<u64>,
    /// Those of unbounded streams.
    edges: Vec<Edge>,
    period: Option<Ratio>,
    work: u64,
    watch: Watch<'w>,
}

impl Test for Room<'_, '_> {
    fn test(&mut self, capacities: &[Option<u64>]) -> Result<Verdict, AnalysisError> {
        let unbounded = self.edges.len();
        for (number, capacity) in capacities.iter().enumerate() {
            if let Some(capacity) = *capacity {
                let stream = &self.streams[self.part.flows[number].stream];
                slots(self.part, number, stream, capacity, &mut self.edges);
            }
        }
        let graph = Graph::new(self.part.costs.len(), &self.edges);
        self.work += self.edges.len() as u64;
        self.edges.truncate(unbounded);
        if !(self.watch)(self.work) {
            return Err(AnalysisError::Interrupted);
        }
        let cycle = match (graph, self.period) {
            (Err(knot), _) => knot,
            (Ok(_), None) => return Ok(Verdict::Passes),
            (Ok(mut graph), Some(period)) => {
                let relaxed = graph.relax(period, self.watch)?;
                self.work += graph.work;
                match relaxed {
                    Relaxed::Fits(_) => return Ok(Verdict::Passes),
                    Relaxed::Cycle(cycle) => cycle,
                }
            }
        };
        let mut streams: Vec<usize> = cycle
            .iter()
            .filter_map(|edge| if let Kind::Slot(number) = edge.kind { Some(number as usize) } else { None })
            .collect();
        streams.sort_unstable();
        streams.dedup();
        Ok(Verdict::Fails(streams))
    }

    fn work(&self) -> u64 {
        self.work
    }

    fn spend(&mut self, work: u64) {
        self.work += work;
    }

    /// Only every so many slots make a difference.
    fn next(&self, stream: usize, capacity: u64) -> u64 {
        let (step, initial) = (self.steps[stream], self.streams[self.part.flows[stream].stream].initial);
        capacity.saturating_add(step - (capacity - initial) % step)
    }
}
