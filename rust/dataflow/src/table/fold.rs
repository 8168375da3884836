//! Operators that make one token of all since the last.

use super::kernel::{Kernel, multicast};
use crate::operator::{Block, Firing, Operator};

pub(super) struct Fold {
    pub kernel: Kernel,
    pub start: f32,
    pub acc: Vec<f32>,
}

impl Fold {
    fn absorb<'a>(&mut self, mut inputs: impl Iterator<Item = &'a [f32]>) -> Result<(), String> {
        let lanes = self.acc.len();
        let Some(first) = inputs.next() else { return Ok(()) };
        if let Kernel::Fold(_, fold) = self.kernel {
            first.chunks_exact(lanes).for_each(|token| fold(&mut self.acc, token));
            return Ok(());
        }
        let second = inputs.next().unwrap_or(&[]);
        if first.len() != second.len() {
            return Err(format!(
                "a firing takes {} values of one input and {} of the other",
                first.len(),
                second.len()
            ));
        }
        for (a, b) in first.chunks_exact(lanes).zip(second.chunks_exact(lanes)) {
            self.acc.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
        }
        Ok(())
    }

    fn emit(&mut self, out: &mut [f32]) -> Result<(), String> {
        if out.len() != self.acc.len() {
            return Err(format!("a fold makes one token of {} values, not {}", self.acc.len(), out.len()));
        }
        out.copy_from_slice(&self.acc);
        self.acc.fill(self.start);
        Ok(())
    }
}

impl Operator for Fold {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        self.absorb(firing.inputs.iter().map(|input| input.1))?;
        firing.outputs.multicast(|out| self.emit(out))
    }

    fn fire_many(&mut self, block: Block<'_, '_>) -> Result<(), String> {
        let firings = block.firings;
        let each = |values: &[f32]| values.len() / firings;
        multicast(block.outputs, |out| {
            for (at, out) in out.chunks_exact_mut(self.acc.len()).take(firings).enumerate() {
                let part = |values: &'_ [f32]| at * each(values)..(at + 1) * each(values);
                self.absorb(block.inputs.iter().map(|input| &input.1[part(input.1)]))?;
                self.emit(out)?;
            }
            match each(out) == self.acc.len() {
                true => Ok(()),
                false => Err(format!("a fold makes one token of {} values, not {}", self.acc.len(), each(out))),
            }
        })?;
        if block.outputs.is_empty() {
            self.absorb(block.inputs.iter().map(|input| input.1))?;
        }
        Ok(())
    }
}
