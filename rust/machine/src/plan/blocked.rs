//! A plan at work: its tensors, and one step after another.

use super::linear::Quantized;
use super::{PlanOp, Workspace};
use crate::address::Address;
use crate::aside::{Stop, aside};
use crate::contents::Contents;
use crate::error::MachineError;
use crate::function::rotate;
use crate::kernel::Kernel;
use crate::timer::Asked;
use rdu_dataflow::{Call, Watch};
use rdu_kernels as kernels;

/// Runs the plans of calls, and `here` beside them on this thread; `watch` is polled every few milliseconds and stops both
/// with `false`.
pub fn run(
    calls: &[Asked<'_>],
    contents: &mut Contents,
    watch: Watch,
    here: impl FnOnce(Watch) -> Result<(), MachineError>,
) -> Result<(), MachineError> {
    let values = |stop: &Stop| {
        kernels::awake(|| calls.iter().try_for_each(|asked| values(asked.kernel, &asked.call, contents, stop)))
    };
    aside(watch, values, here)
}

/// The values of one call.
fn values(kernel: &Kernel, call: &Call, contents: &mut Contents, stop: &Stop) -> Result<(), MachineError> {
    let workspace = std::mem::take(&mut contents.workspace);
    let (tensors, quantized) = (vec![Vec::new(); kernel.tensors.len()], Vec::new());
    let mut blocked = Blocked { kernel, call, contents, tensors, quantized, workspace, stop };
    blocked.quantized.resize_with(kernel.tensors.len(), || None);
    blocked.run()?;
    let mut workspace = blocked.workspace;
    workspace.keep(|len| kernel.tensors.iter().any(|tensor| tensor.width * kernel.positions == len));
    contents.workspace = workspace;
    Ok(())
}

pub struct Blocked<'a> {
    pub kernel: &'a Kernel,
    pub call: &'a Call,
    pub contents: &'a mut Contents,
    /// `[positions][width]`, empty before they are made and after the last step that needs them.
    pub tensors: Vec<Vec<f32>>,
    /// Tensors that were quantised too.
    pub quantized: Vec<Option<Quantized>>,
    pub workspace: Workspace,
    pub stop: &'a Stop,
}

impl Blocked<'_> {
    fn run(&mut self) -> Result<(), MachineError> {
        let plan = &self.kernel.plan;
        let mut last = vec![0; self.tensors.len()];
        for (at, op) in plan.iter().enumerate() {
            op.tensors().into_iter().for_each(|tensor| last[tensor] = at);
        }
        let mut at = 0;
        while at < plan.len() {
            self.stop.check()?;
            let done = self.step(&plan[at..])?;
            for op in &plan[at..at + done] {
                for tensor in op.tensors().into_iter().filter(|&tensor| last[tensor] < at + done) {
                    self.workspace.give(std::mem::take(&mut self.tensors[tensor]));
                    self.quantized[tensor] = None;
                }
            }
            at += done;
        }
        Ok(())
    }

    /// Does the first of the steps that are left, and maybe some after it; returns how many.
    fn step(&mut self, ops: &[PlanOp]) -> Result<usize, MachineError> {
        match &ops[0] {
            PlanOp::Load { from, out } => self.load(from, *out)?,
            PlanOp::Store { x, to } => self.store(*x, to)?,
            PlanOp::Gather { table, element, out } => self.gather(table, *element, *out)?,
            PlanOp::Linear { .. } => return self.linears(ops),
            PlanOp::Norm { x, weight, element, group, eps, out } => {
                let weight = weight.resolve(&self.call.arguments);
                let weight = self.contents.values(weight, *group, (*element).into())?;
                self.make(*out, |this, first, y| {
                    Ok(kernels::rms_norm(this.at_rows(*x, *out, first, y.len()), *group, &weight, *eps, y)?)
                })?;
            }
            PlanOp::Heads { x, table, head_dim, interleaved, span, out } => self.make(*out, |this, first, y| {
                y.copy_from_slice(this.at_rows(*x, *out, first, y.len()));
                let Some(table) = table else { return Ok(()) };
                let at = this.addresses(table);
                for (p, row) in (first..).zip(y.chunks_mut(this.kernel.tensors[*out].width)) {
                    let address = match span {
                        None => at(p as u64 * table.run),
                        Some(span) => {
                            let first = Address { base: table.base, argument: table.argument };
                            first.further(p * span).resolve(&this.call.arguments)
                        }
                    };
                    let turn = this.contents.values(address, *head_dim, kernels::Element::F32)?;
                    for head in row.chunks_mut(*head_dim) {
                        rotate(head, &turn, *interleaved)?;
                    }
                }
                Ok(())
            })?,
            PlanOp::Append { x, cache, head_dim, span } => self.append(*x, *cache, *head_dim, *span)?,
            PlanOp::Weigh { .. } => self.weigh(&ops[0])?,
            PlanOp::Map { function, inputs, out } => self.make(*out, |this, first, y| {
                let inputs: Vec<&[f32]> =
                    inputs.iter().map(|&input| this.at_rows(input, *out, first, y.len())).collect();
                Ok(function.apply(&inputs, y)?)
            })?,
            PlanOp::Sum { inputs, order, out } => {
                let mut y = self.fresh(*out);
                let inputs: Vec<&[f32]> = inputs.iter().map(|&input| &self.tensors[input][..]).collect();
                order.add(&inputs, self.kernel.tensors[*out].width, &mut y)?;
                self.made(*out, y);
            }
        }
        Ok(1)
    }

    /// Room for a tensor; every value is to be written.
    pub fn fresh(&mut self, out: usize) -> Vec<f32> {
        self.workspace.take(self.kernel.tensors[out].width * self.kernel.positions)
    }

    /// Takes a finished tensor, rounded to its element.
    pub fn made(&mut self, out: usize, mut y: Vec<f32>) {
        kernels::round(&mut y, self.kernel.tensors[out].element.into());
        self.keep(out, y);
    }

    /// Takes a finished tensor whose values are rounded.
    pub fn keep(&mut self, out: usize, y: Vec<f32>) {
        // Layers of a loop take turns with the same tensors.
        self.quantized[out] = None;
        let old = std::mem::replace(&mut self.tensors[out], y);
        self.workspace.give(old);
    }

    pub fn wrong(&self, what: &str) -> MachineError {
        MachineError::Spec { kernel: self.kernel.name.clone(), what: what.into() }
    }
}
