//! Operators that make as many tokens as they take.

use super::kernel::{Kernel, multicast};
use crate::operator::{Block, Firing, Operator, PIECE, copy};

/// Makes as many tokens as it takes of each input, so that many firings in a row are one long firing.
pub(super) struct Pointwise {
    pub kernel: Kernel,
    /// Values in one token of each input.
    pub lanes: Vec<usize>,
}

impl Pointwise {
    fn compute<'a>(&self, inputs: impl Iterator<Item = &'a [f32]> + Clone, out: &mut [f32]) -> Result<(), String> {
        let length = |values: &[f32], wanted: usize| match values.len() == wanted {
            true => Ok(()),
            false => Err(format!("a firing takes {} values where {wanted} fit what it makes", values.len())),
        };
        let mut rest = inputs.clone();
        let first = rest.next().ok_or_else(|| "a firing makes tokens of none".to_string())?;
        match self.kernel {
            Kernel::Map(map) => {
                length(first, out.len())?;
                for (from, out) in first.chunks(PIECE).zip(out.chunks_mut(PIECE)) {
                    map(from, out);
                }
            }
            Kernel::Zip(zip) => {
                length(first, out.len())?;
                copy(out, first);
                for values in rest {
                    length(values, out.len())?;
                    zip(out, values);
                }
            }
            Kernel::Reduce(reduce) => {
                length(first, out.len() * self.lanes[0])?;
                out.iter_mut().zip(first.chunks_exact(self.lanes[0])).for_each(|(y, token)| *y = reduce(token));
            }
            Kernel::Dot => {
                let second = rest.next().unwrap_or(&[]);
                length(first, out.len() * self.lanes[0])?;
                length(second, first.len())?;
                let tokens = first.chunks_exact(self.lanes[0]).zip(second.chunks_exact(self.lanes[0]));
                let dot = |(a, b): (&[f32], &[f32])| a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b);
                out.iter_mut().zip(tokens).for_each(|(y, pair)| *y = dot(pair));
            }
            Kernel::Scale(scale) => {
                let second = rest.next().unwrap_or(&[]);
                length(first, out.len())?;
                length(second, out.len() / self.lanes[0])?;
                let tokens = out.chunks_exact_mut(self.lanes[0]).zip(first.chunks_exact(self.lanes[0])).zip(second);
                for ((out, token), &factor) in tokens {
                    out.iter_mut().zip(token).for_each(|(y, &x)| *y = scale(x, factor));
                }
            }
            Kernel::Concat => {
                let made: usize = self.lanes.iter().sum();
                let tokens = out.len() / made;
                let mut before = 0;
                for (values, &lanes) in inputs.zip(&self.lanes) {
                    length(values, tokens * lanes)?;
                    for (out, token) in out.chunks_exact_mut(made).zip(values.chunks_exact(lanes)) {
                        out[before..before + lanes].copy_from_slice(token);
                    }
                    before += lanes;
                }
                length(out, if before == made { tokens * made } else { 0 })?;
            }
            Kernel::Fold(..) | Kernel::FoldProducts => {}
        }
        Ok(())
    }
}

impl Operator for Pointwise {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let inputs = firing.inputs;
        firing.outputs.multicast(|out| self.compute(inputs.iter().map(|input| input.1), out))
    }

    fn fire_many(&mut self, block: Block<'_, '_>) -> Result<(), String> {
        let inputs = block.inputs;
        multicast(block.outputs, |out| self.compute(inputs.iter().map(|input| input.1), out))
    }
}
