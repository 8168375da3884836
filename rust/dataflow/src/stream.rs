//! A bounded first-in first-out stream between two units.

use serde::Deserialize;

fn one() -> usize {
    1
}

/// Tokens flow from one output of `from` to one input of `to`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    pub name: String,
    /// Producing unit and the index of its output.
    pub from: (usize, usize),
    /// Consuming unit and the index of its input.
    pub to: (usize, usize),
    /// Slots, at least 1.
    pub capacity: u64,
    /// Cycles from leaving the producer to being visible at the consumer, at least 1.
    pub latency: u64,
    /// Cycles from a slot being freed to the producer knowing it.
    #[serde(default)]
    pub credit: u64,
    /// Tokens there at cycle 0; they take up capacity.
    #[serde(default)]
    pub initial: u64,
    /// Values in one token, when the program runs with values.
    #[serde(default = "one")]
    pub lanes: usize,
}
