//! A unit: a finite loop nest of phases, and for a load or store unit the addresses it visits.

use crate::nest::{Nest, Phase, Times};
use serde::Deserialize;

/// A unit of the program.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    pub name: String,
    pub phases: Vec<Phase>,
    pub nest: Vec<Nest>,
    /// How a load or store unit reaches memory; `None` for a unit that only computes.
    #[serde(default)]
    pub port: Option<Port>,
    /// What decides the phase of each firing where data do; the nest then only says how often the unit fires.
    #[serde(default)]
    pub choice: Option<Choice>,
}

/// How a data-dependent unit finds the phase of its next firing.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The first value of the next token at this input is the number of the phase: a switch, a select, a gate.
    Control(usize),
    /// Phase i takes from input i, and the input whose tokens were visible first wins, ties going to the lower: a merge.
    FirstCome,
}

impl Unit {
    /// Fires as long as its inputs deliver.
    pub fn is_open(&self) -> bool {
        matches!(self.nest[..], [Nest::Fire { times: Times::Open, .. }])
    }

    /// How often it fires, or which phases, is known only when the program runs.
    pub fn is_loose(&self) -> bool {
        self.choice.is_some() || self.is_open()
    }
}

/// The memory port of a load or store unit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Which memory answers: an index that the memory side gives meaning to.
    pub tier: usize,
    pub write: bool,
    /// Requests in flight at most.
    pub outstanding: usize,
    pub patterns: Vec<Pattern>,
}

/// Addresses of successive transfers: runs of `run` transfers, the runs `stride` bytes apart.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    pub base: u64,
    /// A call argument that is added to `base`.
    #[serde(default)]
    pub argument: Option<usize>,
    pub run: u64,
    pub stride: u64,
    /// Bytes of one transfer.
    pub bytes: u64,
    /// The r-th run starts at `indices[r] × stride` of the call instead of `r × stride`: a gather.
    #[serde(default)]
    pub indexed: bool,
}

impl Pattern {
    /// Address of transfer `count`, with the pattern's base already relocated to `base`.
    #[inline]
    pub fn address(&self, base: u64, count: u64, indices: &[u64]) -> u64 {
        self.address_in(base, count / self.run, count % self.run, indices)
    }

    /// Address of transfer `at` of a run.
    #[inline]
    pub(crate) fn address_in(&self, base: u64, run: u64, at: u64, indices: &[u64]) -> u64 {
        let row = if self.indexed { indices.get(run as usize).copied().unwrap_or(0) } else { run };
        base.wrapping_add(row.wrapping_mul(self.stride)).wrapping_add(at * self.bytes)
    }
}
