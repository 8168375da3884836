//! Linear steps of a plan that stand side by side: one parallel stretch for all of them.

use super::PlanOp;
use super::blocked::Blocked;
use super::by_rows::MACS;
use crate::element::WeightElement;
use crate::error::MachineError;
use rdu_kernels::{Activations, BlockType, Element, Linear, Product, Tiled, linear, linears, quantize, try_each};

/// Multiply-adds between two looks at the stop: a few milliseconds.
const STOP_MACS: usize = 1 << 28;

/// A tensor's rows as whole numbers, and a scale for each.
pub struct Quantized {
    values: Vec<i8>,
    scales: Vec<f32>,
}

impl Blocked<'_> {
    /// Runs the linear steps that `ops` begins with, as far as none needs what another makes; returns how many.
    pub fn linears(&mut self, ops: &[PlanOp]) -> Result<usize, MachineError> {
        let mut outs = Vec::new();
        for op in ops {
            match op {
                PlanOp::Linear { x, out, .. } if !outs.contains(x) && !outs.contains(out) => outs.push(*out),
                _ => break,
            }
        }
        let ops = &ops[..outs.len()];
        for op in ops {
            if let PlanOp::Linear { x, quantized: true, .. } = op {
                self.quantize(*x)?;
            }
        }
        let mut made: Vec<Vec<f32>> = outs.iter().map(|&out| self.fresh(out)).collect();
        let operands = ops.iter().map(|op| self.operand(op)).collect::<Result<Vec<_>, _>>()?;
        let mut products: Vec<Product> =
            operands.iter().zip(&mut made).map(|(operand, y)| Product { op: operand.op(), y }).collect();
        let macs = |op: &Linear| op.positions.saturating_mul(op.inner).saturating_mul(op.outer);
        if products.iter().map(|product| macs(&product.op)).fold(0, usize::saturating_add) <= STOP_MACS {
            linears(&mut products)?;
        } else {
            for Product { op, y } in products {
                let step = (STOP_MACS / (macs(&op) / op.tiles().max(1)).max(1)).max(1);
                for first in (0..op.tiles()).step_by(step) {
                    self.stop.check()?;
                    linear(op, first..(first + step).min(op.tiles()), y)?;
                }
            }
        }
        for (&out, y) in outs.iter().zip(made) {
            self.made(out, y);
        }
        Ok(outs.len())
    }

    fn quantize(&mut self, x: usize) -> Result<(), MachineError> {
        if self.quantized[x].is_none() {
            let (rows, width) = (&self.tensors[x], self.kernel.tensors[x].width);
            let (mut values, mut scales) = (vec![0; rows.len()], vec![0.0; self.kernel.positions]);
            let tasks = rows.chunks(width.max(1)).zip(values.chunks_mut(width.max(1))).zip(scales.chunks_mut(1));
            try_each(tasks.collect(), rows.len().saturating_mul(MACS), |((row, values), scale)| {
                quantize(row, width, values, scale)
            })?;
            self.quantized[x] = Some(Quantized { values, scales });
        }
        Ok(())
    }

    /// The tiles of a weight, in place.
    fn tiled(&self, at: u64, element: WeightElement, outer: usize, inner: usize) -> Result<Tiled<'_>, MachineError> {
        match element {
            WeightElement::Values(element) => {
                let element = Element::from(element);
                let count = outer.div_ceil(element.lanes()) * inner * element.lanes();
                Ok(self.contents.vectors(at, count, element)?.into())
            }
            WeightElement::Blocks(block) => {
                let kind = BlockType::from(block);
                let bytes = kind.tiled_bytes(outer, inner).ok_or_else(|| self.wrong("a weight of parts of blocks"))?;
                Ok(Tiled::Blocks(kind, self.contents.read(at, bytes as u64)?))
            }
        }
    }

    fn operand(&self, op: &PlanOp) -> Result<Operand<'_>, MachineError> {
        let &PlanOp::Linear { x, weight, bias, element, splits, scales, quantized, out } = op else {
            return Err(self.wrong("a step that is not linear"));
        };
        let (inner, outer) = (self.kernel.tensors[x].width, self.kernel.tensors[out].width);
        let arguments = &self.call.arguments;
        let weight = self.tiled(weight.resolve(arguments), element, outer, inner)?;
        let values = |address: Option<crate::address::Address>, element| match address {
            Some(address) => self.contents.values(address.resolve(arguments), outer, element).map(Some),
            None => Ok(None),
        };
        let (bias, scales) = (values(bias, element.beside().into())?, values(scales, Element::F32)?);
        let rows = match (quantized, &self.quantized[x]) {
            (true, Some(Quantized { values, scales })) => Activations::Int8 { values, scales },
            _ => Activations::F32(&self.tensors[x]),
        };
        Ok(Operand { rows, positions: self.kernel.positions, inner, weight, outer, splits, scales, bias })
    }
}

/// A linear step's operands, some of them widened copies.
struct Operand<'a> {
    rows: Activations<'a>,
    positions: usize,
    inner: usize,
    weight: Tiled<'a>,
    outer: usize,
    splits: usize,
    scales: Option<Vec<f32>>,
    bias: Option<Vec<f32>>,
}

impl Operand<'_> {
    fn op(&self) -> Linear<'_> {
        Linear {
            x: self.rows,
            positions: self.positions,
            inner: self.inner,
            weight: self.weight,
            outer: self.outer,
            splits: self.splits,
            scales: self.scales.as_deref(),
            bias: self.bias.as_deref(),
        }
    }
}
