//! The maximum cycle ratio of a graph, in whole numbers: no rounding, and the critical cycle with it.
//!
//! A schedule of period λ exists if and only if no cycle has more cycles than λ times its distance. So λ starts at a
//! ratio that some cycle has; start times are relaxed along the edges (Bellman and Ford) until they fit, or until the
//! edges that set them close a cycle, whose ratio is then above λ and becomes the next λ. Firings are visited in the
//! order of their dependences within one iteration, and each round also carries every start time down the whole tree
//! of what set it, as in policy iteration (Howard): few rounds are needed.

use super::error::AnalysisError;
use super::graph::{Edge, Kind};
use crate::repetition::gcd;
use std::cmp::Ordering;

/// Cycles over iterations, reduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    pub cycles: u128,
    pub iterations: u128,
}

impl Ratio {
    pub(crate) fn new(cycles: u128, iterations: u128) -> Self {
        let shared = gcd(cycles, iterations).max(1);
        Ratio { cycles: cycles / shared, iterations: iterations / shared }
    }

    pub(crate) fn of(cycle: &[Edge]) -> Self {
        let sum = |part: fn(&Edge) -> u64| cycle.iter().map(|edge| u128::from(part(edge))).sum();
        Ratio::new(sum(|edge| edge.cycles), sum(|edge| edge.distance))
    }
}

impl Ord for Ratio {
    /// By continued fractions, so that nothing overflows; over 0 iterations is more than anything else.
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut a, mut b) = ((self.cycles, self.iterations), (other.cycles, other.iterations));
        loop {
            match (a.1, b.1) {
                (0, 0) => return Ordering::Equal,
                (0, _) => return Ordering::Greater,
                (_, 0) => return Ordering::Less,
                _ => {}
            }
            match (a.0 / a.1).cmp(&(b.0 / b.1)) {
                Ordering::Equal => (a, b) = ((b.1, b.0 % b.1), (a.1, a.0 % a.1)),
                unequal => return unequal,
            }
        }
    }
}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The largest ratio, the cycle that has it, and start times of a schedule with that period.
pub(crate) struct Critical {
    pub ratio: Ratio,
    pub cycle: Vec<Edge>,
    /// Start of each firing of iteration 0, times `ratio.iterations`.
    pub starts: Vec<i128>,
}

/// Polled between rounds with the edges looked at so far; `false` stops.
pub(crate) type Watch<'a> = &'a mut dyn FnMut(u64) -> bool;

/// A graph without a cycle of distance 0.
pub(crate) struct Graph {
    /// Firings in the order of their dependences within an iteration.
    order: Vec<u32>,
    /// Edges by their ends in that order, and where those of each place begin.
    edges: Vec<Edge>,
    first: Vec<usize>,
    /// Edges looked at so far, over the life of the graph.
    pub work: u64,
}

const NONE: u32 = u32::MAX;

impl Graph {
    /// `Err` is a cycle of distance 0: firings of one iteration that wait for each other.
    pub fn new(nodes: usize, edges: &[Edge]) -> Result<Self, Vec<Edge>> {
        let order = order(nodes, edges)?;
        let mut place = vec![0u32; nodes];
        order.iter().enumerate().for_each(|(at, &node)| place[node as usize] = at as u32);
        let mut first = vec![0usize; nodes + 1];
        edges.iter().for_each(|edge| first[place[edge.to as usize] as usize + 1] += 1);
        for at in 0..nodes {
            first[at + 1] += first[at];
        }
        let mut next = first.clone();
        let mut sorted = edges.to_vec();
        for edge in edges {
            let slot = &mut next[place[edge.to as usize] as usize];
            sorted[*slot] = *edge;
            *slot += 1;
        }
        let work = edges.len() as u64;
        Ok(Graph { order, edges: sorted, first, work })
    }

    /// The maximum cycle ratio; `known` is a cycle of the graph to start from.
    pub fn critical(&mut self, known: Vec<Edge>, watch: Watch) -> Result<Critical, AnalysisError> {
        let (mut ratio, mut cycle) = (Ratio::of(&known), known);
        loop {
            match self.relax(ratio, watch)? {
                Relaxed::Fits(starts) => return Ok(Critical { ratio, cycle, starts }),
                Relaxed::Cycle(found) => (ratio, cycle) = (Ratio::of(&found), found),
            }
        }
    }

    /// Start times of period `ratio`, or a cycle whose ratio is larger.
    pub fn relax(&mut self, ratio: Ratio, watch: Watch) -> Result<Relaxed, AnalysisError> {
        let costs = self.costs(ratio)?;
        let nodes = self.order.len();
        let mut starts = vec![0i128; nodes];
        // The edge that set each start.
        let mut setters = vec![NONE; nodes];
        loop {
            let mut changed = false;
            for (at, &node) in self.order.iter().enumerate() {
                let range = self.first[at]..self.first[at + 1];
                let mut start = starts[node as usize];
                for edge in range {
                    let candidate = starts[self.edges[edge].from as usize] + costs[edge];
                    if candidate > start {
                        start = candidate;
                        setters[node as usize] = edge as u32;
                        changed = true;
                    }
                }
                starts[node as usize] = start;
            }
            self.work += self.edges.len() as u64;
            if !changed {
                return Ok(Relaxed::Fits(starts));
            }
            if let Some(cycle) = self.settle(&setters, &costs, &mut starts) {
                return Ok(Relaxed::Cycle(cycle));
            }
            if !watch(self.work) {
                return Err(AnalysisError::Interrupted);
            }
        }
    }

    /// Each edge's cycles less what its distance gives back, times the ratio's denominator.
    ///
    /// Checked once: no path of simple length can leave 128 bits. An edge whose distance alone outweighs all cycles of
    /// the graph is never part of a cycle with the largest ratio, nor does it ever set a start.
    fn costs(&self, ratio: Ratio) -> Result<Vec<i128>, AnalysisError> {
        let number = |n: u128| i128::try_from(n).map_err(|_| AnalysisError::Overflow);
        let (cycles, iterations) = (number(ratio.cycles)?, number(ratio.iterations)?);
        let longest = self.edges.iter().map(|edge| edge.cycles).max().unwrap_or(0);
        let most = i128::from(longest)
            .checked_mul(self.order.len() as i128 + 1)
            .and_then(|path| path.checked_mul(iterations))
            .filter(|path| *path < i128::MAX / 4)
            .ok_or(AnalysisError::Overflow)?;
        Ok((self.edges.iter())
            .map(|edge| {
                let back = i128::from(edge.distance).saturating_mul(cycles).min(2 * most);
                i128::from(edge.cycles) * iterations - back
            })
            .collect())
    }

    /// Follows what set each start to its root and carries the sums back; or finds the largest cycle among the setters.
    fn settle(&self, setters: &[u32], costs: &[i128], starts: &mut [i128]) -> Option<Vec<Edge>> {
        let nodes = setters.len();
        // The walk that reached each node, from 1 on; a walk that meets itself has closed a cycle.
        let mut walks = vec![0u32; nodes];
        let mut path = Vec::new();
        let mut best: Option<(Ratio, Vec<Edge>)> = None;
        for root in 0..nodes {
            let mut node = root;
            while walks[node] == 0 && setters[node] != NONE {
                walks[node] = root as u32 + 1;
                path.push(node);
                node = self.edges[setters[node] as usize].from as usize;
            }
            if walks[node] == root as u32 + 1
                && let Some(entry) = path.iter().position(|&seen| seen == node)
            {
                // Followed against the edges; a cycle is listed along them.
                let cycle: Vec<Edge> = path[entry..].iter().rev().map(|&at| self.edges[setters[at] as usize]).collect();
                let ratio = Ratio::of(&cycle);
                if best.as_ref().is_none_or(|(most, _)| ratio > *most) {
                    best = Some((ratio, cycle));
                }
                path.clear();
            }
            while let Some(node) = path.pop() {
                let edge = setters[node] as usize;
                starts[node] = starts[node].max(starts[self.edges[edge].from as usize] + costs[edge]);
            }
        }
        best.map(|(_, cycle)| cycle)
    }
}

pub(crate) enum Relaxed {
    Fits(Vec<i128>),
    Cycle(Vec<Edge>),
}

/// Firings so that each comes after those of its iteration that it waits for; or a cycle among them.
fn order(nodes: usize, edges: &[Edge]) -> Result<Vec<u32>, Vec<Edge>> {
    let within: Vec<&Edge> = edges.iter().filter(|edge| edge.distance == 0).collect();
    let mut waits = vec![0u32; nodes];
    let mut first = vec![0usize; nodes + 1];
    for edge in &within {
        waits[edge.to as usize] += 1;
        first[edge.from as usize + 1] += 1;
    }
    for at in 0..nodes {
        first[at + 1] += first[at];
    }
    let mut next = first.clone();
    let mut targets = vec![0u32; within.len()];
    for edge in &within {
        targets[next[edge.from as usize]] = edge.to;
        next[edge.from as usize] += 1;
    }
    let mut order: Vec<u32> = (0..nodes as u32).filter(|&node| waits[node as usize] == 0).collect();
    let mut seen = 0;
    while let Some(&node) = order.get(seen) {
        seen += 1;
        for &target in &targets[first[node as usize]..first[node as usize + 1]] {
            waits[target as usize] -= 1;
            if waits[target as usize] == 0 {
                order.push(target);
            }
        }
    }
    if order.len() == nodes { Ok(order) } else { Err(knot(&within, &waits)) }
}

/// A cycle among the nodes that still wait: each of them waits for another one. Edges other than a unit's own go first,
/// so that the cycle tells of streams.
fn knot(within: &[&Edge], waits: &[u32]) -> Vec<Edge> {
    let mut causes: Vec<Option<&Edge>> = vec![None; waits.len()];
    for edge in within {
        let cause = &mut causes[edge.to as usize];
        if waits[edge.from as usize] > 0 && cause.is_none_or(|known| known.kind == Kind::Busy) {
            *cause = Some(edge);
        }
    }
    let mut place = vec![None; waits.len()];
    let mut path: Vec<Edge> = Vec::new();
    let mut node = waits.iter().position(|&left| left > 0).unwrap_or(0);
    while place[node].is_none() {
        place[node] = Some(path.len());
        let Some(edge) = causes[node] else { break };
        path.push(*edge);
        node = edge.from as usize;
    }
    path.drain(..place[node].unwrap_or(0));
    path.reverse();
    path
}
