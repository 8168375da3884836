//! A mapped kernel: its units and streams, what each unit computes, and the same computation as blocked kernels.

use crate::error::MachineError;
use crate::plan::{self, PlanOp, TensorSpec};
use crate::tokens::TokenOp;
use rdu_dataflow::{Program, Stream, Unit};
use serde::Deserialize;

/// A kernel as it crosses from the compiler.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelSpec {
    pub name: String,
    /// Rows of every tensor in one call.
    pub positions: usize,
    pub units: Vec<Unit>,
    pub streams: Vec<Stream>,
    /// What each unit computes, token by token.
    pub operators: Vec<TokenOp>,
    pub tensors: Vec<TensorSpec>,
    /// What the kernel computes, in blocked kernels.
    pub plan: Vec<PlanOp>,
}

/// A kernel that was checked.
pub struct Kernel {
    pub name: String,
    pub positions: usize,
    pub program: Program,
    pub operators: Vec<TokenOp>,
    pub tensors: Vec<TensorSpec>,
    pub plan: Vec<PlanOp>,
    /// The call arguments that machine time depends on.
    pub timed_arguments: Vec<usize>,
}

impl Kernel {
    pub fn new(spec: KernelSpec) -> Result<Self, MachineError> {
        let wrong = |what: String| Err(MachineError::Spec { kernel: spec.name.clone(), what });
        if spec.positions == 0 {
            return wrong("it has no positions".into());
        }
        if spec.operators.len() != spec.units.len() {
            return wrong(format!("{} units but {} operators", spec.units.len(), spec.operators.len()));
        }
        if let Err(what) = plan::check(&spec.plan, &spec.tensors) {
            return wrong(what);
        }
        let program = Program::new(spec.units, spec.streams)?;
        Ok(Kernel {
            name: spec.name,
            positions: spec.positions,
            timed_arguments: program.timed_arguments(),
            program,
            operators: spec.operators,
            tensors: spec.tensors,
            plan: spec.plan,
        })
    }
}
