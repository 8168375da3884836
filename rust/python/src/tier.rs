//! Tiers of a machine as they cross the border: described on the way in, counted on the way out.

use crate::errors;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pythonize::depythonize;
use rdu_machine::totals::TierTotals;
use rdu_memory::dram::Config;
use rdu_memory::tier::Description;
use rdu_memory::{MemoryError, Tier};
use serde::Deserialize;

/// A tier as Python describes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenTier {
    device: Config,
    clock_hz: u64,
    request_cycles: u64,
    response_cycles: u64,
}

impl GivenTier {
    pub fn build(self) -> Result<Tier, MemoryError> {
        let GivenTier { device, clock_hz, request_cycles, response_cycles } = self;
        Tier::new(Description { device, clock_hz, request_cycles, response_cycles })
    }
}

/// The tiers of a list of descriptions.
pub fn given(py: Python<'_>, tiers: &Bound<'_, PyAny>) -> PyResult<Vec<GivenTier>> {
    depythonize(tiers).map_err(|error| errors::memory(py, error.to_string()))
}

/// What the data buses of each tier did, in ticks summed over them, and how its bursts found their rows.
pub fn counted<'py>(py: Python<'py>, tiers: &[TierTotals]) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let one = |tier: &TierTotals| {
        let (out, counts, idle) = (PyDict::new(py), tier.counts, tier.counts.idle);
        for (name, count) in [
            ("read_bytes", counts.read_bytes),
            ("written_bytes", counts.written_bytes),
            ("row_hits", counts.row_hits),
            ("row_misses", counts.row_misses),
            ("busy", counts.busy_ticks),
            ("no_request", idle.no_request),
            ("refresh", idle.refresh),
            ("row_miss", idle.row_miss),
            ("turnaround", idle.turnaround),
            ("bank_conflict", idle.bank_conflict),
            ("imbalance", idle.imbalance),
        ] {
            out.set_item(name, count)?;
        }
        Ok(out)
    };
    tiers.iter().map(one).collect()
}
