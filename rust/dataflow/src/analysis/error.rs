//! Why a program has no static analysis.

use crate::error::BuildError;
use thiserror::Error;

#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum AnalysisError {
    #[error(
        "unit {unit:?} chooses its phase by its tokens or by what comes first; only units whose rates are known \
         before the run can be analysed: take a run's counters instead"
    )]
    Choice { unit: String },
    #[error("unit {unit:?} reaches memory, whose times no static analysis knows; take a run's counters instead")]
    Memory { unit: String },
    #[error("unit {unit:?} never fires; give it a firing, or leave it and its streams out")]
    Silent { unit: String },
    #[error(
        "stream {stream:?} cannot stay balanced for ever: {from:?} sends {produced} tokens in one cycle of its phases, \
         {to:?} takes {consumed} in one of its own, and no numbers of cycles (below 2^64) balance these with the rates \
         of the other streams"
    )]
    Unbalanced { stream: String, from: String, to: String, produced: u64, consumed: u64 },
    #[error(
        "the units on {} wait for each other's tokens, whatever the capacities; one of these streams needs initial tokens",
        .streams.join(", ")
    )]
    Starved { streams: Vec<String> },
    #[error("one iteration has {firings} firings; an analysis looks at each of them, and at most at {most}")]
    TooLarge { firings: u128, most: u64 },
    #[error("the tokens or cycles of one iteration are too large for exact fractions of 128-bit numbers")]
    Overflow,
    #[error("interrupted")]
    Interrupted,
    #[error(transparent)]
    Build(#[from] BuildError),
}
