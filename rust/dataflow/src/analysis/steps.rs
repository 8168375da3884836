//! A cycle of the firing graph in terms of the program: units and streams.

use super::graph::{Edge, Kind};
use super::iteration::Iteration;

/// What the next firing waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The unit itself.
    Busy,
    /// A token on this stream.
    Token(usize),
    /// A slot of this stream.
    Slot(usize),
}

/// One step of a cycle of waiting: `to` waits for `from`; the firings are numbered within an iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub wait: Wait,
    /// Units by index, each with the number of its firing.
    pub from: (usize, u64),
    pub to: (usize, u64),
    /// From the start of one firing to the start of the other, at least.
    pub cycles: u128,
    /// So many iterations lie between them.
    pub iterations: u64,
}

/// The steps of a cycle, from its lowest firing on; successive busy steps of a unit are one step.
pub(crate) fn steps(part: &Iteration, cycle: &[Edge]) -> Vec<Step> {
    let firing = |node: u32| {
        let unit = part.first.partition_point(|&first| first <= node as usize) - 1;
        (part.units[unit], node as u64 - part.first[unit] as u64)
    };
    let lowest = (0..cycle.len()).min_by_key(|&at| cycle[at].from).unwrap_or(0);
    let mut steps: Vec<Step> = Vec::new();
    for edge in cycle[lowest..].iter().chain(&cycle[..lowest]) {
        let wait = match edge.kind {
            Kind::Busy => Wait::Busy,
            Kind::Token(flow) => Wait::Token(part.flows[flow as usize].stream),
            Kind::Slot(flow) => Wait::Slot(part.flows[flow as usize].stream),
        };
        let (from, to) = (firing(edge.from), firing(edge.to));
        match steps.last_mut() {
            Some(last) if last.wait == Wait::Busy && wait == Wait::Busy => {
                last.to = to;
                last.cycles += u128::from(edge.cycles);
                last.iterations += edge.distance;
            }
            _ => steps.push(Step { wait, from, to, cycles: edge.cycles.into(), iterations: edge.distance }),
        }
    }
    steps
}
