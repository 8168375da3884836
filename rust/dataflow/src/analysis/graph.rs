//! The firing rule of one iteration as a graph: a node for each firing, an edge for each thing that it waits for.

use super::iteration::{Cost, Flow, Iteration};
use crate::stream::Stream;

/// What an edge stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The unit is busy with its firing before.
    Busy,
    /// A token on the part's stream.
    Token(u32),
    /// A slot of the part's stream.
    Slot(u32),
}

/// `to` of iteration n starts no earlier than `cycles` after `from` of iteration n - `distance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    pub from: u32,
    pub to: u32,
    pub cycles: u64,
    pub distance: u64,
    pub kind: Kind,
}

/// Edges that no capacity changes: each unit's own, and the tokens.
pub(crate) fn fixed(part: &Iteration, streams: &[Stream]) -> Vec<Edge> {
    let mut edges = Vec::new();
    for unit in 0..part.units.len() {
        let firings = part.firings(unit);
        for at in firings.clone() {
            let (to, distance) = if at + 1 < firings.end { (at + 1, 0) } else { (firings.start, 1) };
            edges.push(Edge { from: at as u32, to: to as u32, cycles: part.costs[at].ii, distance, kind: Kind::Busy });
        }
    }
    for (number, flow) in part.flows.iter().enumerate() {
        tokens(part, flow, number, &streams[flow.stream], &mut edges);
    }
    edges
}

/// The consumer waits for the producing firings of the tokens it takes.
///
/// Left out is what follows from other edges: a firing that the consumer's own one before waits for too, and a producing
/// firing whose tokens cannot come later than those of the next.
fn tokens(part: &Iteration, flow: &Flow, number: usize, stream: &Stream, edges: &mut Vec<Edge>) {
    let (from, to) = (part.firings(flow.from), part.firings(flow.to));
    let costs = &part.costs[from.clone()];
    let mut before = None;
    for at in 0..to.len() {
        if flow.taken[at + 1] == flow.taken[at] {
            continue;
        }
        // Tokens numbered from the first that is made; the initial ones were made in iterations before.
        let token = |taken: u64| i128::from(taken) - i128::from(stream.initial);
        let (first, last) = (token(flow.taken[at]), token(flow.taken[at + 1] - 1));
        let (mut iteration, mut firing) = mover(&flow.made, last);
        let newest = (iteration, firing);
        if before == Some(newest) {
            continue;
        }
        before = Some(newest);
        let oldest = mover(&flow.made, first);
        // The latest that the tokens seen so far can come, relative to the start of `firing`.
        let mut known = None;
        loop {
            let Cost { ii, latency } = costs[firing];
            let moves = flow.made[firing + 1] > flow.made[firing];
            known = known.map(|cycles: u128| cycles + u128::from(ii));
            if moves && known.is_none_or(|known| u128::from(latency) > known) {
                known = Some(latency.into());
                edges.push(Edge {
                    from: (from.start + firing) as u32,
                    to: (to.start + at) as u32,
                    cycles: latency.saturating_add(stream.latency),
                    distance: distance(iteration),
                    kind: Kind::Token(number as u32),
                });
            }
            if (iteration, firing) <= oldest {
                break;
            }
            (iteration, firing) = if firing > 0 { (iteration, firing - 1) } else { (iteration - 1, from.len() - 1) };
        }
    }
}

/// The producer waits for the firing that frees the last slot it needs.
pub(crate) fn slots(part: &Iteration, number: usize, stream: &Stream, capacity: u64, edges: &mut Vec<Edge>) {
    let flow = &part.flows[number];
    let (from, to) = (part.firings(flow.from), part.firings(flow.to));
    let mut before = None;
    for at in 0..from.len() {
        if flow.made[at + 1] == flow.made[at] {
            continue;
        }
        // The token that must have been taken, numbered from the first that is ever taken.
        let token = i128::from(flow.made[at + 1] - 1) + i128::from(stream.initial) - i128::from(capacity);
        let freed = mover(&flow.taken, token);
        if before == Some(freed) {
            continue;
        }
        before = Some(freed);
        let (iteration, firing) = freed;
        let node = to.start + firing;
        edges.push(Edge {
            from: node as u32,
            to: (from.start + at) as u32,
            cycles: part.costs[node].ii.saturating_add(stream.credit),
            distance: distance(iteration),
            kind: Kind::Slot(number as u32),
        });
    }
}

/// The iteration (this one is 0, those before are negative) and the firing in it that moves a token.
fn mover(sums: &[u64], token: i128) -> (i128, usize) {
    let tokens = i128::from(sums[sums.len() - 1]);
    let rest = token.rem_euclid(tokens) as u64;
    (token.div_euclid(tokens), sums.partition_point(|&sum| sum <= rest) - 1)
}

/// No token that is needed is made in an iteration to come, since a stream holds at least its initial tokens and at most
/// its capacity.
fn distance(iteration: i128) -> u64 {
    u64::try_from(-iteration).unwrap_or(0)
}
