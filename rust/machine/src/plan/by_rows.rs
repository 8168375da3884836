//! Steps that make each position's values of that position alone: by all threads, once there is enough to do.

use super::blocked::Blocked;
use crate::error::MachineError;
use rdu_kernels as kernels;

/// What a value of a norm, a rotation, a gate or a quantised row costs, in multiply-adds.
pub const MACS: usize = 8;
/// Values of one task: a few microseconds.
const TASK: usize = 1 << 11;

impl Blocked<'_> {
    /// Makes a tensor, rounded to its element: `run` gets the first of some positions, and the room for their values.
    pub fn make(
        &mut self,
        out: usize,
        run: impl Fn(&Self, usize, &mut [f32]) -> Result<(), MachineError> + Sync,
    ) -> Result<(), MachineError> {
        let mut y = self.fresh(out);
        let tensor = self.kernel.tensors[out];
        let here = &*self;
        let rounded = |first: usize, y: &mut [f32]| -> Result<(), MachineError> {
            run(here, first, y)?;
            kernels::round(y, tensor.element.into());
            Ok(())
        };
        let positions = (TASK / tensor.width.max(1)).max(1);
        let work = y.len().saturating_mul(MACS);
        let tasks = y.chunks_mut((positions * tensor.width).max(1)).enumerate().collect();
        kernels::try_each(tasks, work, |(at, y)| rounded(at * positions, y))?;
        self.keep(out, y);
        Ok(())
    }

    /// The values of a tensor at the positions whose row of `out` begins with `first`, as many as `len` values of `out`.
    pub fn at_rows(&self, x: usize, out: usize, first: usize, len: usize) -> &[f32] {
        let (width, made) = (self.kernel.tensors[x].width, self.kernel.tensors[out].width.max(1));
        &self.tensors[x][first * width..first * width + len / made * width]
    }
}
