//! Tensors as they cross between a plan and memory.

use super::Span;
use super::blocked::Blocked;
use crate::address::Address;
use crate::element::Element;
use crate::error::MachineError;
use rdu_dataflow::Pattern;
use rdu_kernels::VECTOR_BYTES;
use std::ops::Range;

impl Blocked<'_> {
    pub fn load(&mut self, from: &Pattern, out: usize) -> Result<(), MachineError> {
        let mut y = self.fresh(out);
        let (width, positions) = (self.kernel.tensors[out].width, self.kernel.positions);
        let f32 = rdu_kernels::Element::F32;
        if let Some(base) = self.contiguous(from, tokens(width) * positions) {
            self.contents.rows(base, width, &mut y)?;
        } else {
            let at = self.addresses(from);
            for (token, (p, range)) in flat_tokens(width, positions).enumerate() {
                let values = self.contents.values(at(token as u64), range.len(), f32)?;
                y[p * width..][range].copy_from_slice(&values);
            }
        }
        self.made(out, y);
        Ok(())
    }

    pub fn store(&mut self, x: usize, to: &Pattern) -> Result<(), MachineError> {
        let (width, positions) = (self.kernel.tensors[x].width, self.kernel.positions);
        let f32 = rdu_kernels::Element::F32;
        if let Some(base) = self.contiguous(to, tokens(width) * positions) {
            self.contents.put_rows(base, width, &self.tensors[x])?;
        } else {
            for (token, (p, range)) in flat_tokens(width, positions).enumerate() {
                let address = self.addresses(to)(token as u64);
                self.contents.put(address, &self.tensors[x][p * width..][range], f32)?;
            }
        }
        Ok(())
    }

    pub fn gather(&mut self, table: &Pattern, element: Element, out: usize) -> Result<(), MachineError> {
        let mut y = self.fresh(out);
        for (row, y) in y.chunks_mut(self.kernel.tensors[out].width).enumerate() {
            let address = self.addresses(table)(row as u64 * table.run);
            y.copy_from_slice(&self.contents.values(address, y.len(), element.into())?);
        }
        self.made(out, y);
        Ok(())
    }

    /// Appends rows to a cache, each head padded to whole vectors.
    pub fn append(&mut self, x: usize, cache: Address, head_dim: usize, span: Span) -> Result<(), MachineError> {
        let element = rdu_kernels::Element::from(self.kernel.tensors[x].element);
        let head_bytes = (head_dim.div_ceil(element.lanes()) * VECTOR_BYTES) as u64;
        let width = self.kernel.tensors[x].width;
        let row_bytes = (width / head_dim) as u64 * head_bytes;
        for (p, row) in self.tensors[x].chunks(width.max(1)).enumerate() {
            let address = match span {
                None => cache.resolve(&self.call.arguments) + p as u64 * row_bytes,
                Some(span) => cache.further(p * span).resolve(&self.call.arguments),
            };
            // Heads that fill their vectors lie side by side.
            let (piece, bytes) =
                if head_dim.is_multiple_of(element.lanes()) { (width, row_bytes) } else { (head_dim, head_bytes) };
            for (at, values) in row.chunks(piece).enumerate() {
                self.contents.put(address + at as u64 * bytes, values, element)?;
            }
        }
        Ok(())
    }

    /// Addresses of successive transfers of a pattern under the call.
    pub fn addresses<'a>(&'a self, pattern: &'a Pattern) -> impl Fn(u64) -> u64 + 'a {
        let base = Address { base: pattern.base, argument: pattern.argument }.resolve(&self.call.arguments);
        move |count| pattern.address(base, count, &self.call.indices)
    }

    /// Where a pattern's first transfers begin, if all `count` of them lie one behind the other.
    fn contiguous(&self, pattern: &Pattern, count: usize) -> Option<u64> {
        let one_run = pattern.run >= count as u64 && !pattern.indexed;
        (one_run && pattern.bytes == VECTOR_BYTES as u64).then(|| self.addresses(pattern)(0))
    }
}

fn tokens(width: usize) -> usize {
    width.div_ceil(Element::F32.lanes())
}

/// (position, columns) of each fp32 token of a tensor, in the order of its tokens.
fn flat_tokens(width: usize, positions: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    let lanes = Element::F32.lanes();
    (0..tokens(width)).flat_map(move |chunk| {
        let range = chunk * lanes..((chunk + 1) * lanes).min(width);
        (0..positions).map(move |p| (p, range.clone()))
    })
}
