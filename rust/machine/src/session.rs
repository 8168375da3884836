//! One kernel call after another in machine time.

use crate::contents::Contents;
use crate::error::MachineError;
use crate::kernel::Kernel;
use crate::plan;
use crate::tiers::Tiers;
use crate::totals::{SessionTotals, TierTotals, Totals};
use rdu_dataflow::{self as dataflow, Call, Operator, Run, Setup, Watch, simulate};
use rdu_memory::Tier;
use rdu_memory::tier::Counts;
use std::sync::{Arc, Mutex, PoisonError};

/// Cycles that a call costs before its units start.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallCosts {
    /// When the kernel called is not the one that is configured.
    pub program_load: u64,
    pub argument_load: u64,
    pub execute: u64,
}

/// Which evaluation of the program to run; both give the same values and the same cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every token carries its values: the reference.
    Step,
    /// Values in blocked kernels, time token by token.
    Split,
    /// Values only: machine time stands still.
    Values,
}

/// A machine at work: its memories, what they hold, and its clock.
pub struct Session {
    tiers: Vec<Tier>,
    costs: CallCosts,
    contents: Arc<Mutex<Contents>>,
    cycle: u64,
    firings: u64,
    /// The kernel that the units are configured for.
    configured: Option<usize>,
    totals: Vec<Totals>,
}

impl Session {
    pub fn new(tiers: Vec<Tier>, costs: CallCosts, contents: Contents) -> Self {
        let contents = Arc::new(Mutex::new(contents));
        Session { tiers, costs, contents, cycle: 0, firings: 0, configured: None, totals: Vec::new() }
    }

    /// What the memories hold.
    pub fn contents(&self) -> &Mutex<Contents> {
        &self.contents
    }

    /// Runs one call of `kernel`, known to this session as number `id`.
    pub fn call(
        &mut self,
        id: usize,
        kernel: &Kernel,
        call: &Call,
        mode: Mode,
        watch: Watch,
    ) -> Result<(), MachineError> {
        if mode == Mode::Step {
            return self.time(id, kernel, call, true, watch);
        }
        let contents = Arc::clone(&self.contents);
        let mut contents = contents.lock().unwrap_or_else(PoisonError::into_inner);
        // Neither values nor time depend on the other: they take the same while.
        plan::run(kernel, call, &mut contents, watch, |watch| match mode {
            Mode::Values => Ok(()),
            _ => self.time(id, kernel, call, false, watch),
        })
    }

    /// Advances machine time by one call, with values on the tokens or without.
    fn time(
        &mut self,
        id: usize,
        kernel: &Kernel,
        call: &Call,
        with_values: bool,
        watch: Watch,
    ) -> Result<(), MachineError> {
        let bound = kernel.program.bind(call)?;
        let load = if self.configured == Some(id) { 0 } else { self.costs.program_load };
        let overhead = load + self.costs.argument_load + self.costs.execute;
        let origin = self.cycle + overhead;
        let before: Vec<_> = self.tiers.iter_mut().map(|tier| (tier.asked_bytes(), tier.counts(origin))).collect();
        let mut tiers = Tiers::new(&mut self.tiers, origin);
        let run: Run = if with_values {
            let start = |op: &crate::tokens::TokenOp| op.start(call, &self.contents);
            let mut operators: Vec<Box<dyn Operator>> = kernel.operators.iter().map(start).collect();
            simulate(&bound, dataflow::Mode::Step, Setup::values(&mut tiers, &mut operators, watch))?
        } else {
            simulate(&bound, dataflow::Mode::Fast { skip: true }, Setup::timing(&mut tiers, watch))?
        };
        let last_answer = tiers.last_read();
        tiers.check(&kernel.name)?;
        self.configured = Some(id);
        self.cycle = origin + run.cycles;
        self.firings += run.firings;
        self.totals.resize(self.totals.len().max(id + 1), Totals::default());
        let totals = &mut self.totals[id];
        totals.add(&run);
        totals.call_cycles += overhead;
        totals.drain_cycles += run.cycles.saturating_sub(last_answer);
        for (at, (tier, (asked, before))) in self.tiers.iter_mut().zip(before).enumerate() {
            let during: Vec<_> =
                tier.counts(self.cycle).iter().zip(before).map(|(now, then)| now.minus(then)).collect();
            let asked_bytes = [0, 1].map(|kind| tier.asked_bytes()[kind] - asked[kind]);
            totals.add_tier(at, TierTotals { asked_bytes, counts: Counts::sum(&during) });
        }
        Ok(())
    }

    /// Per kernel number; empty where a kernel was never called.
    pub fn totals(&self) -> &[Totals] {
        &self.totals
    }

    pub fn session_totals(&mut self) -> SessionTotals {
        let totals = |tier: &mut Tier| TierTotals {
            asked_bytes: tier.asked_bytes(),
            counts: Counts::sum(&tier.counts(self.cycle)),
        };
        let tiers = self.tiers.iter_mut().map(totals).collect();
        SessionTotals { cycles: self.cycle, firings: self.firings, tiers }
    }
}
