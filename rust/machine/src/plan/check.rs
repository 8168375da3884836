//! What a plan must hold to before it may run: every tensor is there when it is read, and shapes fit.

use super::{PlanOp, TensorSpec};
use crate::function::Function;

/// In words, what is wrong with the first step that cannot be done.
pub fn check(plan: &[PlanOp], tensors: &[TensorSpec]) -> Result<(), String> {
    let mut made = vec![false; tensors.len()];
    for (at, op) in plan.iter().enumerate() {
        let step = |what: String| format!("step {at} of the plan {what}");
        if let Some(tensor) = op.tensors().into_iter().find(|&tensor| tensor >= tensors.len()) {
            return Err(step(format!("names tensor {tensor} of {}", tensors.len())));
        }
        if let Some(tensor) = op.reads().into_iter().find(|&tensor| !made[tensor]) {
            return Err(step(format!("reads tensor {tensor}, which no step before it makes")));
        }
        op.fits(|tensor| tensors[tensor].width).map_err(step)?;
        if let Some(tensor) = op.makes() {
            made[tensor] = true;
        }
    }
    Ok(())
}

impl PlanOp {
    /// The tensors that must be there before the step.
    fn reads(&self) -> Vec<usize> {
        match self {
            PlanOp::Load { .. } | PlanOp::Gather { .. } => Vec::new(),
            PlanOp::Store { x, .. }
            | PlanOp::Append { x, .. }
            | PlanOp::Linear { x, .. }
            | PlanOp::Norm { x, .. }
            | PlanOp::Heads { x, .. } => vec![*x],
            PlanOp::Weigh { query, .. } => vec![*query],
            PlanOp::Map { inputs, .. } | PlanOp::Sum { inputs, .. } => inputs.clone(),
        }
    }

    /// The tensor that is there after it.
    fn makes(&self) -> Option<usize> {
        match self {
            PlanOp::Store { .. } | PlanOp::Append { .. } => None,
            PlanOp::Load { out, .. }
            | PlanOp::Gather { out, .. }
            | PlanOp::Linear { out, .. }
            | PlanOp::Norm { out, .. }
            | PlanOp::Heads { out, .. }
            | PlanOp::Weigh { out, .. }
            | PlanOp::Map { out, .. }
            | PlanOp::Sum { out, .. } => Some(*out),
        }
    }

    fn fits(&self, width: impl Fn(usize) -> usize) -> Result<(), String> {
        let alike = |x: usize, out: usize| match (width(x), width(out)) {
            (from, to) if from == to => Ok(()),
            (from, to) => Err(format!("makes rows of {to} values of rows of {from}")),
        };
        let divides = |part: usize, x: usize| match width(x) {
            whole if part > 0 && whole.is_multiple_of(part) => Ok(()),
            whole => Err(format!("cuts rows of {whole} values into parts of {part}")),
        };
        match self {
            PlanOp::Linear { splits: 0, .. } => Err("cuts its sums into no parts".into()),
            PlanOp::Load { .. } | PlanOp::Store { .. } | PlanOp::Gather { .. } | PlanOp::Linear { .. } => Ok(()),
            PlanOp::Norm { x, group, out, .. } => alike(*x, *out).and_then(|()| divides(*group, *x)),
            PlanOp::Heads { x, head_dim, out, .. } => alike(*x, *out).and_then(|()| divides(*head_dim, *x)),
            PlanOp::Append { x, head_dim, .. } => divides(*head_dim, *x),
            PlanOp::Weigh { query, head_dim, out, .. } => alike(*query, *out).and_then(|()| divides(*head_dim, *out)),
            PlanOp::Sum { inputs, .. } if inputs.is_empty() => Err("adds no tensors".into()),
            PlanOp::Sum { inputs, out, .. } => inputs.iter().try_for_each(|input| alike(*input, *out)),
            PlanOp::Map { function, inputs, out } => {
                let wanted = match function {
                    Function::Copy | Function::Silu => 1,
                    Function::Add | Function::Mul | Function::SiluMul => 2,
                };
                if inputs.len() != wanted {
                    return Err(format!("takes {} tensors instead of {wanted}", inputs.len()));
                }
                inputs.iter().try_for_each(|input| alike(*input, *out))
            }
        }
    }
}
