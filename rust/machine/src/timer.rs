//! Machine time of passes: kernel calls one after another, from a machine at rest.
//!
//! A pass begins with closed rows and the refresh at its beginning, as the first one did: the host's call is far longer
//! than a row stays open. So a pass takes what its kernels, their loop counts and their addresses say, whatever came
//! before, and one that was timed before is looked up.

use crate::contents::Contents;
use crate::error::MachineError;
use crate::kernel::Kernel;
use crate::tiers::Tiers;
use crate::totals::{TierTotals, Totals, add_tiers};
use rdu_dataflow::{self as dataflow, Call, Operator, Run, RunError, Setup, Watch, simulate};
use rdu_memory::Tier;
use rdu_memory::tier::Counts;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Passes kept at most; the counters of one take some tens of kilobytes.
const KEPT: usize = 512;

/// Cycles that a call costs before its units start.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallCosts {
    /// When the kernel called is not the one that is configured.
    pub program_load: u64,
    /// Argument load and execute.
    pub start: u64,
}

/// One call of a pass: which kernel, the number by which its user knows it, and what the call passes.
pub struct Asked<'a> {
    pub id: usize,
    pub kernel: &'a Kernel,
    pub call: Call,
}

/// What a pass took.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    pub cycles: u64,
    pub firings: u64,
    /// By kernel number; empty where a kernel was not called.
    pub kernels: Vec<Totals>,
    pub tiers: Vec<TierTotals>,
}

/// All that a pass depends on.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    configured: Option<usize>,
    /// Of each call the kernel's number, and the arguments that time depends on.
    calls: Vec<(usize, Vec<u64>)>,
    /// Rows that gathers look up.
    rows: Vec<u64>,
}

/// Times passes on a machine.
pub struct Timer {
    /// Memories at rest.
    tiers: Vec<Tier>,
    costs: CallCosts,
    passes: Mutex<HashMap<Key, Arc<Pass>>>,
}

impl Timer {
    pub fn new(tiers: Vec<Tier>, costs: CallCosts) -> Self {
        Timer { tiers, costs, passes: Mutex::default() }
    }

    /// Passes that need not be timed again.
    pub fn passes(&self) -> usize {
        self.passes.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// What these calls take, one after another, when the units are configured for kernel `configured`; gathers look up
    /// `rows`.
    pub fn time(
        &self,
        configured: Option<usize>,
        calls: &[Asked<'_>],
        rows: &[u64],
        watch: Watch,
    ) -> Result<Arc<Pass>, MachineError> {
        let timed = |asked: &Asked<'_>| {
            let given = |&at: &usize| asked.call.arguments.get(at).copied().unwrap_or(0);
            (asked.id, asked.kernel.timed_arguments.iter().map(given).collect())
        };
        let key = Key { configured, calls: calls.iter().map(timed).collect(), rows: rows.to_vec() };
        let known = self.passes.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(pass) = known {
            return if watch(pass.firings) { Ok(pass) } else { Err(RunError::Interrupted.into()) };
        }
        let pass = Arc::new(self.simulate(configured, calls, rows, None, watch)?);
        let mut passes = self.passes.lock().unwrap_or_else(PoisonError::into_inner);
        if passes.len() == KEPT {
            passes.clear();
        }
        passes.insert(key, Arc::clone(&pass));
        Ok(pass)
    }

    /// The same, firing by firing; with `contents` values travel on the tokens.
    pub fn simulate(
        &self,
        mut configured: Option<usize>,
        calls: &[Asked<'_>],
        rows: &[u64],
        contents: Option<&Arc<Mutex<Contents>>>,
        watch: Watch,
    ) -> Result<Pass, MachineError> {
        let (mut tiers, mut pass) = (self.tiers.clone(), Pass::default());
        for asked in calls {
            let load = if configured == Some(asked.id) { 0 } else { self.costs.program_load };
            pass.call(&mut tiers, asked, rows, load + self.costs.start, contents, watch)?;
            configured = Some(asked.id);
        }
        for tier in &mut tiers {
            let counts = Counts::sum(&tier.counts(pass.cycles));
            pass.tiers.push(TierTotals { asked_bytes: tier.asked_bytes(), counts });
        }
        Ok(pass)
    }
}

impl Pass {
    /// One call more, after `overhead` cycles.
    fn call(
        &mut self,
        tiers: &mut [Tier],
        asked: &Asked<'_>,
        rows: &[u64],
        overhead: u64,
        contents: Option<&Arc<Mutex<Contents>>>,
        watch: Watch,
    ) -> Result<(), MachineError> {
        let &Asked { id, kernel, ref call } = asked;
        let timed = Call { arguments: call.arguments.clone(), indices: rows.to_vec() };
        let bound = kernel.program.bind(&timed)?;
        let origin = self.cycles + overhead;
        let before: Vec<_> = tiers.iter_mut().map(|tier| (tier.asked_bytes(), tier.counts(origin))).collect();
        let mut memory = Tiers::new(tiers, origin);
        let run: Run = match contents {
            Some(contents) => {
                let start = |op: &crate::tokens::TokenOp| op.start(call, contents);
                let mut operators: Vec<Box<dyn Operator>> = kernel.operators.iter().map(start).collect();
                simulate(&bound, dataflow::Mode::Step, Setup::values(&mut memory, &mut operators, watch))?
            }
            None => simulate(&bound, dataflow::Mode::Fast { skip: true }, Setup::timing(&mut memory, watch))?,
        };
        let last_answer = memory.last_read();
        memory.check(&kernel.name)?;
        self.cycles = origin + run.cycles;
        self.firings += run.firings;
        self.kernels.resize(self.kernels.len().max(id + 1), Totals::default());
        let totals = &mut self.kernels[id];
        totals.add(&run);
        totals.call_cycles += overhead;
        totals.drain_cycles += run.cycles.saturating_sub(last_answer);
        let during = tiers.iter_mut().zip(before).map(|(tier, (asked, before))| {
            let counts: Vec<_> =
                tier.counts(self.cycles).iter().zip(before).map(|(now, then)| now.minus(then)).collect();
            let asked_bytes = [0, 1].map(|kind| tier.asked_bytes()[kind] - asked[kind]);
            TierTotals { asked_bytes, counts: Counts::sum(&counts) }
        });
        add_tiers(&mut totals.tiers, &during.collect::<Vec<_>>());
        Ok(())
    }
}
