//! Errors of building and of running; each names the thing and its numbers.

use crate::remedy::Remedy;
use thiserror::Error;

#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum BuildError {
    #[error("two {kind}s are called {name:?}; names must be unique")]
    DuplicateName { kind: &'static str, name: String },
    #[error("stream {stream:?}: {end} unit {unit} does not exist (the program has {units})")]
    NoSuchUnit { stream: String, end: &'static str, unit: usize, units: usize },
    #[error("unit {unit:?}: {side} {index} is the end of {count} streams; it must be the end of exactly one")]
    FreeEnd { unit: String, side: &'static str, index: usize, count: usize },
    #[error("stream {stream:?}: capacity {capacity} is below {need}, {why}; make the capacity at least {need}")]
    Capacity { stream: String, capacity: u64, need: u64, why: &'static str },
    #[error("{kind} {name:?}: {what} is {value}; it must be at least {least}")]
    TooSmall { kind: &'static str, name: String, what: &'static str, value: u64, least: u64 },
    #[error("unit {unit:?}: {what} {index} does not exist")]
    NoSuchPhase { unit: String, what: &'static str, index: usize },
    #[error("unit {unit:?}: {what}")]
    Port { unit: String, what: &'static str },
    #[error("unit {unit:?}: {what}")]
    Choice { unit: String, what: String },
    #[error("the call passes {given} arguments, but unit {unit:?} needs more, or a loop count overflows 64 bits")]
    Arguments { unit: String, given: usize },
    #[error(
        "stream {stream:?} does not balance: {initial} initial + {produced} tokens from {from:?} cannot serve the \
         {consumed} that {to:?} takes"
    )]
    Starved { stream: String, initial: u64, produced: u64, consumed: u64, from: String, to: String },
    #[error(
        "stream {stream:?} does not balance: of {initial} initial + {produced} tokens from {from:?}, {to:?} takes only \
         {consumed}, and the rest does not fit into its capacity of {capacity}"
    )]
    Unread { stream: String, initial: u64, produced: u64, consumed: u64, capacity: u64, from: String, to: String },
    #[error(
        "stream {stream:?} would hold up to {slots} tokens at once; rdu has room for {most} more: lower its capacity"
    )]
    Slots { stream: String, slots: u64, most: u64 },
    #[error("unit {unit:?}: one phase lists {side} {index} twice; add the two rates")]
    Repeated { unit: String, side: &'static str, index: usize },
    #[error("the program could run for more than 2^63 cycles; cycles are counted in 64 bits")]
    Overflow,
    #[error("unit {unit:?}: {what}")]
    Operator { unit: String, what: String },
}

/// Why one unit of a deadlock cannot fire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub unit: String,
    pub stream: String,
    /// True: for a token; false: for a free slot.
    pub data: bool,
    pub firings: u64,
    /// The unit that should send the token or free the slot, and whether it has finished.
    pub on: String,
    pub finished: bool,
}

#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum RunError {
    #[error("deadlock after {cycle} cycles: {}{}", describe(.cycle_of_waiting), advise(.remedy))]
    Deadlock {
        cycle: u64,
        cycle_of_waiting: Vec<Waiting>,
        /// Of every unit.
        firings: Vec<u64>,
        /// `None` where the search gave up, or where data decide what fires.
        remedy: Option<Remedy>,
    },
    #[error("interrupted")]
    Interrupted,
    #[error("unit {unit:?}: {what}")]
    Value { unit: String, what: String },
    #[error("unit {unit:?} {what}")]
    Undecided { unit: String, what: String },
    #[error("the run passed {firings} firings without an end in sight; cycles of such a program fit no 64 bits")]
    Endless { firings: u64 },
}

fn describe(waiting: &[Waiting]) -> String {
    let parts: Vec<String> = waiting
        .iter()
        .map(|w| {
            let what = if w.data { "a token" } else { "a free slot" };
            let finished = if w.finished { ", which has finished" } else { "" };
            format!("{} (after {} firings) waits for {what} on {} from {}{finished}", w.unit, w.firings, w.stream, w.on)
        })
        .collect();
    parts.join("; ")
}

fn advise(remedy: &Option<Remedy>) -> String {
    remedy.as_ref().map_or(String::new(), |remedy| format!("; {remedy}"))
}
