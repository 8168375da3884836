//! The smallest stream capacities: for full throughput, and for running at all.

use super::busiest;
use super::error::AnalysisError;
use super::graph::{Edge, Kind, fixed, slots};
use super::iteration::{Cost, Flow, Iteration, iterations};
use super::ratio::{Critical, Graph, Ratio, Relaxed};
use super::search::{Clause, Found, Group, Test, Verdict, smallest};
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
        let mut room = Room {
            part,
            streams,
            steps: part.flows.iter().map(step).collect(),
            even_costs: (0..part.units.len()).map(|unit| is_even(&part.costs[part.firings(unit)])).collect(),
            even_rates: part.flows.iter().map(|flow| moves_evenly(&flow.made) && flow.made == flow.taken).collect(),
            edges,
            period: Some(ratio),
            work: 0,
            watch,
        };
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

/// All firings take the same times.
fn is_even(costs: &[Cost]) -> bool {
    costs.windows(2).all(|pair| (pair[0].ii, pair[0].latency) == (pair[1].ii, pair[1].latency))
}

/// All firings move the same number of tokens.
fn moves_evenly(sums: &[u64]) -> bool {
    sums.windows(2).all(|pair| pair[1] - pair[0] == sums[1])
}

/// A part whose streams are given room: with a period, whether it keeps up; without one, whether it runs at all.
struct Room<'a, 'w> {
    part: &'a Iteration,
    streams: &'a [Stream],
    /// Tokens move in multiples of this, per stream.
    steps: Vec<u64>,
    /// Units all of whose firings, and streams all of whose rates at both ends, are the same.
    even_costs: Vec<bool>,
    even_rates: Vec<bool>,
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
        Ok(Verdict::Fails(self.clause(&cycle, capacities)))
    }

    fn work(&self) -> u64 {
        self.work
    }

    fn spend(&mut self, work: u64) {
        self.work += work;
    }

    /// Only every so many slots make a difference.
    fn level(&self, stream: usize, capacity: u64) -> u64 {
        (capacity - self.streams[self.part.flows[stream].stream].initial) / self.steps[stream]
    }

    fn of_level(&self, stream: usize, level: u64) -> u64 {
        let initial = self.streams[self.part.flows[stream].stream].initial;
        initial.saturating_add(level.saturating_mul(self.steps[stream]))
    }
}

impl Room<'_, '_> {
    /// What must grow for the cycle to go away.
    ///
    /// Where all firings of the units along a stretch of it are alike, and streams move the same number of tokens with
    /// each, a slot more on one stream and one less on another shift only the firings in between: the sum matters.
    fn clause(&self, cycle: &[Edge], capacities: &[Option<u64>]) -> Clause {
        let slot = |edge: &Edge| if let Kind::Slot(number) = edge.kind { Some(number as usize) } else { None };
        let single = |stream: usize| Group { level: self.levels(&[stream], capacities), streams: vec![stream] };
        let mut streams: Vec<usize> = cycle.iter().filter_map(slot).collect();
        let all = streams.len();
        streams.sort_unstable();
        streams.dedup();
        // A stream that the cycle goes through twice counts twice in the sum; then each stream speaks for itself.
        if streams.len() < all {
            return streams.into_iter().map(single).collect();
        }
        let even = |edge: &Edge| match edge.kind {
            Kind::Busy => self.even_costs[self.unit(edge.from)],
            Kind::Token(number) | Kind::Slot(number) => {
                self.even_rates[number as usize] && self.even_costs[self.unit(edge.from)]
            }
        };
        // Begin behind an edge that is not even, so that no stretch is cut in two.
        let first = cycle.iter().position(|edge| !even(edge)).map_or(0, |at| at + 1);
        let mut groups: Vec<Vec<usize>> = vec![Vec::new()];
        for edge in cycle[first..].iter().chain(&cycle[..first]) {
            if !even(edge) {
                groups.push(Vec::new());
            }
            if let (Some(stream), Some(group)) = (slot(edge), groups.last_mut()) {
                group.push(stream);
            }
            if !even(edge) {
                groups.push(Vec::new());
            }
        }
        let group = |streams: Vec<usize>| Group { level: self.levels(&streams, capacities), streams };
        groups.into_iter().filter(|streams| !streams.is_empty()).map(group).collect()
    }

    fn levels(&self, streams: &[usize], capacities: &[Option<u64>]) -> u128 {
        let level = |&stream: &usize| capacities[stream].map_or(0, |capacity| self.level(stream, capacity));
        streams.iter().map(|stream| u128::from(level(stream))).sum()
    }

    /// The part's unit of a firing.
    fn unit(&self, node: u32) -> usize {
        self.part.first.partition_point(|&first| first <= node as usize) - 1
    }
}
