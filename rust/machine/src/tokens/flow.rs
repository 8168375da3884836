//! Units that move tokens and do not change them.

use super::source::Source;
use crate::address::Address;
use crate::contents::Contents;
use crate::element::Element;
use rdu_dataflow::{Firing, Operator};
use rdu_kernels::VECTOR_BYTES;
use serde::Deserialize;
use std::sync::{Arc, Mutex};

const LOST: &str = "the contents of memory are lost";

/// What a load unit reads along one address pattern.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operand {
    pub element: Element,
    pub source: Source,
}

pub struct Load {
    pub operands: Vec<Operand>,
    /// Vectors read so far, per operand.
    pub read: Vec<u64>,
    pub arguments: Vec<u64>,
    pub indices: Vec<u64>,
    pub contents: Arc<Mutex<Contents>>,
}

impl Operator for Load {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let (transfer, _) = firing.transfer.ok_or("a load without an address")?;
        let (Some(Operand { element, source }), Some(read)) =
            (self.operands.get(transfer), self.read.get_mut(transfer))
        else {
            return Err("a load without an operand".into());
        };
        let lanes = element.lanes();
        let contents = self.contents.lock().map_err(|_| LOST)?;
        let first = *read;
        let mut moved = 0;
        firing.outputs.multicast(|out| {
            moved = (out.len() / lanes) as u64;
            for (token, out) in (first..).zip(out.chunks_exact_mut(lanes)) {
                let Some(address) = source.address(token, &self.arguments, &self.indices) else {
                    out.fill(0.0);
                    continue;
                };
                let values = contents.values(address, lanes, (*element).into()).map_err(|error| error.to_string())?;
                out.copy_from_slice(&values);
            }
            Ok(())
        })?;
        *read += moved;
        Ok(())
    }
}

/// Writes what comes, one vector after another; the next layer's begin `layer_bytes` later.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSpec {
    pub element: Element,
    pub at: Address,
    /// Vectors of one layer.
    pub tokens: u64,
    pub layer_bytes: u64,
    /// Rows come part by part; see `source::Cached`. (heads, vectors of a head, parts of it that come side by side)
    #[serde(default)]
    pub heads: Option<(u64, u64, u64)>,
}

pub struct Store {
    pub spec: StoreSpec,
    pub written: u64,
    pub base: u64,
    pub contents: Arc<Mutex<Contents>>,
}

impl Store {
    /// Which vector of its layer token `token` is.
    fn vector(&self, token: u64) -> u64 {
        let Some((heads, per_head, mixes)) = self.spec.heads else { return token };
        let (row, at) = (token / (heads * per_head), token % (heads * per_head));
        let (v, a, m) = (at / (heads * mixes), at / mixes % heads, at % mixes);
        row * heads * per_head + a * per_head + m * (per_head / mixes) + v
    }
}

impl Operator for Store {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let contents = self.contents.clone();
        let mut contents = contents.lock().map_err(|_| LOST)?;
        let lanes = self.spec.element.lanes();
        for (_, values) in firing.inputs.iter() {
            for token in values.chunks_exact(lanes) {
                let (layer, at) = (self.written / self.spec.tokens.max(1), self.written % self.spec.tokens.max(1));
                let address = self.base + layer * self.spec.layer_bytes + self.vector(at) * VECTOR_BYTES as u64;
                contents.put(address, token, self.spec.element.into()).map_err(|error| error.to_string())?;
                self.written += 1;
            }
        }
        Ok(())
    }
}

/// Hands tokens on: where fewer leave than come, the last of them.
pub struct Copy;

impl Operator for Copy {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        // Of several inputs, only one has tokens at a time.
        let Some((_, input)) = firing.inputs.iter().next() else { return Ok(()) };
        firing.outputs.multicast(|out| {
            out.copy_from_slice(input.get(input.len() - out.len()..).ok_or("more leaves than came")?);
            Ok(())
        })
    }
}

/// Deals tokens: output i gets the i-th stretch of what came; what is left over is padding.
pub struct Deal;

impl Operator for Deal {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let input = firing.inputs.get(0);
        let mut at = 0;
        let lanes: Vec<usize> = firing.outputs.iter().map(|(index, _)| index).collect();
        for index in lanes {
            let out = firing.outputs.get_mut(index);
            out.copy_from_slice(input.get(at..at + out.len()).ok_or("more lanes than tokens")?);
            at += out.len();
        }
        Ok(())
    }
}
