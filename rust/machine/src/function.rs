//! Functions that blocked plans and token operators share.

use rdu_kernels::{KernelError, Pairing};
use serde::Deserialize;

/// An elementwise function.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    Copy,
    Add,
    Mul,
    Silu,
    SiluMul,
}

impl Function {
    /// y = f(inputs), all of one length.
    pub fn apply(self, inputs: &[&[f32]], y: &mut [f32]) -> Result<(), KernelError> {
        match (self, inputs) {
            (Function::Add, [a, b]) => rdu_kernels::add(a, b, y)?,
            (Function::Mul, [a, b]) => rdu_kernels::mul(a, b, y)?,
            (Function::SiluMul, [a, b]) => rdu_kernels::silu_mul(a, b, y)?,
            (_, inputs) => {
                if let Some(x) = inputs.first() {
                    y.copy_from_slice(&x[..y.len()]);
                }
                if self == Function::Silu {
                    rdu_kernels::silu(y);
                }
            }
        }
        Ok(())
    }
}

/// Rotates one head by a row of cosines and sines.
pub fn rotate(head: &mut [f32], turn: &[f32], interleaved: bool) -> Result<(), KernelError> {
    let pairing = if interleaved { Pairing::Interleaved } else { Pairing::Half };
    let half = head.len() / 2;
    rdu_kernels::rotate(head, &turn[..half], &turn[half..head.len()], pairing)
}
