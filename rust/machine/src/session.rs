//! A machine at work: what its memories hold, and what its passes took.

use crate::contents::Contents;
use crate::error::MachineError;
use crate::plan;
use crate::timer::{Asked, Pass, Timer};
use crate::totals::{SessionTotals, Totals, add_tiers};
use rdu_dataflow::Watch;
use std::sync::{Arc, Mutex, PoisonError};

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

/// One sequence of passes.
pub struct Session {
    timer: Arc<Timer>,
    contents: Arc<Mutex<Contents>>,
    /// The kernel that the units are configured for.
    configured: Option<usize>,
    sums: SessionTotals,
    totals: Vec<Totals>,
}

impl Session {
    pub fn new(timer: Arc<Timer>, contents: Contents) -> Self {
        let contents = Arc::new(Mutex::new(contents));
        Session { timer, contents, configured: None, sums: SessionTotals::default(), totals: Vec::new() }
    }

    /// What the memories hold.
    pub fn contents(&self) -> &Mutex<Contents> {
        &self.contents
    }

    /// Runs the calls of a pass. Machine time has gathers look up `rows` instead of the calls' own.
    pub fn pass(&mut self, calls: &[Asked<'_>], rows: &[u64], mode: Mode, watch: Watch) -> Result<(), MachineError> {
        let (timer, configured) = (&self.timer, self.configured);
        let mut pass = Arc::default();
        if mode == Mode::Step {
            pass = Arc::new(timer.simulate(configured, calls, rows, Some(&self.contents), watch)?);
        } else {
            let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
            // Neither values nor time depend on the other: they take the same while.
            plan::run(calls, &mut contents, watch, |watch| {
                if mode == Mode::Split {
                    pass = timer.time(configured, calls, rows, watch)?;
                }
                Ok(())
            })?;
        }
        self.add(&pass);
        if mode != Mode::Values {
            self.configured = calls.last().map_or(configured, |asked| Some(asked.id));
        }
        Ok(())
    }

    fn add(&mut self, pass: &Pass) {
        self.sums.cycles += pass.cycles;
        self.sums.firings += pass.firings;
        add_tiers(&mut self.sums.tiers, &pass.tiers);
        self.totals.resize(self.totals.len().max(pass.kernels.len()), Totals::default());
        for (sum, totals) in self.totals.iter_mut().zip(&pass.kernels).filter(|(_, totals)| totals.calls > 0) {
            sum.merge(totals);
        }
    }

    /// Per kernel number; empty where a kernel was never called.
    pub fn totals(&self) -> &[Totals] {
        &self.totals
    }

    pub fn session_totals(&self) -> &SessionTotals {
        &self.sums
    }
}
