//! What a static graph says before it runs: how often each unit fires, how fast the whole can be, what holds it back,
//! and how much room its streams need.
//!
//! The firings of one iteration and everything they wait for are a graph (`graph`) whose maximum cycle ratio (`ratio`)
//! is the exact number of cycles an iteration takes once a run has become periodic. The program is taken as if it went
//! on for ever.

mod capacities;
mod cycle;
mod error;
mod graph;
mod iteration;
mod ratio;
mod search;
mod steps;

pub use capacities::{Capacities, capacities};
pub use error::AnalysisError;
pub use ratio::Ratio;
pub use steps::{Step, Wait};

use crate::engine::Watch;
use crate::program::{Call, Program};
use graph::{Edge, Kind, fixed, slots};
use iteration::{Iteration, iterations};
use ratio::{Critical, Graph};

/// A connected part of a program, in its steady state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Units by index, with the cycles and the firings of each in one iteration.
    pub units: Vec<usize>,
    pub repetitions: Vec<u64>,
    pub firings: Vec<u64>,
    /// Cycles that an iteration takes; `None` if the part deadlocks.
    pub period: Option<Ratio>,
    /// The cycle of waiting that no schedule can beat; where the part deadlocks, firings that wait for each other.
    pub critical: Vec<Step>,
}

/// The steady state of every connected part.
pub fn analyse(program: &Program, call: &Call, watch: Watch) -> Result<Vec<Part>, AnalysisError> {
    let analysed = |part: &Iteration| {
        let mut edges = fixed(part, program.streams());
        for number in 0..part.flows.len() {
            let stream = &program.streams()[part.flows[number].stream];
            slots(part, number, stream, stream.capacity, &mut edges);
        }
        let (period, cycle) = match Graph::new(part.costs.len(), &edges) {
            Err(knot) => (None, knot),
            Ok(mut graph) => {
                let Critical { ratio, cycle, .. } = graph.critical(busiest(part, &edges), watch)?;
                (Some(ratio), cycle)
            }
        };
        Ok(Part {
            units: part.units.clone(),
            repetitions: part.repetitions.clone(),
            firings: (0..part.units.len()).map(|unit| part.firings(unit).len() as u64).collect(),
            period,
            critical: steps::steps(part, &cycle),
        })
    };
    iterations(program, call)?.iter().map(analysed).collect()
}

/// The unit that is busy longest in an iteration, as a cycle of the graph.
fn busiest(part: &Iteration, edges: &[Edge]) -> Vec<Edge> {
    let busy = |unit: usize| part.costs[part.firings(unit)].iter().map(|cost| u128::from(cost.ii)).sum::<u128>();
    // The first of equals.
    let unit = (0..part.units.len()).rev().max_by_key(|&unit| busy(unit)).unwrap_or(0);
    let firings = part.firings(unit);
    let own = |edge: &&Edge| edge.kind == Kind::Busy && firings.contains(&(edge.from as usize));
    edges.iter().filter(own).copied().collect()
}
