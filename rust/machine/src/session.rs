//! One kernel call after another in machine time.

use crate::contents::Contents;
use crate::error::MachineError;
use crate::kernel::Kernel;
use crate::plan;
use crate::totals::{SessionTotals, Totals};
use rdu_dataflow::{self as dataflow, Call, Memory, Operator, Request, Run, Setup, Watch, simulate};
use rdu_memory::Channels;
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

/// The machine's memories as one call sees them.
struct Tiers<'a> {
    channels: &'a mut [Channels],
    /// Machine time at which the kernel started.
    origin: u64,
    /// When the last read was answered.
    last_answer: u64,
}

impl Memory for Tiers<'_> {
    fn lookahead(&self) -> u64 {
        self.channels.iter().map(Channels::least_cycles).min().unwrap_or(1)
    }

    fn serve(&mut self, request: &Request) -> u64 {
        let Some(tier) = self.channels.get_mut(request.tier as usize) else { return request.cycle + 1 };
        let done = tier.transfer(self.origin + request.cycle, request.address, request.bytes, request.write);
        let done = done - self.origin;
        if !request.write {
            self.last_answer = self.last_answer.max(done);
        }
        done
    }
}

/// A machine at work: its memories, what they hold, and its clock.
pub struct Session {
    channels: Vec<Channels>,
    costs: CallCosts,
    contents: Arc<Mutex<Contents>>,
    cycle: u64,
    firings: u64,
    /// The kernel that the units are configured for.
    configured: Option<usize>,
    totals: Vec<Totals>,
}

impl Session {
    pub fn new(channels: Vec<Channels>, costs: CallCosts, contents: Contents) -> Self {
        let contents = Arc::new(Mutex::new(contents));
        Session { channels, costs, contents, cycle: 0, firings: 0, configured: None, totals: Vec::new() }
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
        if mode != Mode::Step {
            let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
            plan::run(kernel, call, &mut contents, watch)?;
        }
        if mode != Mode::Values {
            self.time(id, kernel, call, mode == Mode::Step, watch)?;
        }
        Ok(())
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
        let before: Vec<_> = self.channels.iter().map(Channels::traffic).collect();
        let origin = self.cycle + overhead;
        let mut tiers = Tiers { channels: &mut self.channels, origin, last_answer: 0 };
        let run: Run = if with_values {
            let start = |op: &crate::tokens::TokenOp| op.start(call, &self.contents);
            let mut operators: Vec<Box<dyn Operator>> = kernel.operators.iter().map(start).collect();
            simulate(&bound, dataflow::Mode::Step, Setup::values(&mut tiers, &mut operators, watch))?
        } else {
            simulate(&bound, dataflow::Mode::Fast { skip: true }, Setup::timing(&mut tiers, watch))?
        };
        let last_answer = tiers.last_answer;
        self.configured = Some(id);
        self.cycle = origin + run.cycles;
        self.firings += run.firings;
        self.totals.resize(self.totals.len().max(id + 1), Totals::default());
        let totals = &mut self.totals[id];
        totals.add(&run);
        totals.call_cycles += overhead;
        totals.drain_cycles += run.cycles.saturating_sub(last_answer);
        for (tier, (channels, before)) in self.channels.iter().zip(before).enumerate() {
            totals.add_traffic(tier, before, channels.traffic());
        }
        Ok(())
    }

    /// Per kernel number; empty where a kernel was never called.
    pub fn totals(&self) -> &[Totals] {
        &self.totals
    }

    pub fn session_totals(&self) -> SessionTotals {
        let traffic = self.channels.iter().map(Channels::traffic).collect();
        SessionTotals { cycles: self.cycle, firings: self.firings, traffic }
    }
}
