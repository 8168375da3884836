//! What units compute, token by token. Each operator gives the bits of its blocked twin in `plan`.
//!
//! Tensors travel *flat*: chunk by chunk (a chunk is one token wide), within a chunk position by position. Units side by
//! side work in lockstep: what one unit deals out, or takes, is one token for each of them in one firing.

mod flow;
mod linear;
mod peers;
mod rows;
mod source;
mod weigh;

use crate::contents::Contents;
use crate::element::Element;
use crate::function::Function;
use flow::{Operand, StoreSpec};
use linear::{GatherSpec, MacSpec};
use rdu_dataflow::{Call, Operator};
use rows::{FlattenSpec, HeadsSpec};
use serde::Deserialize;
use std::sync::{Arc, Mutex};
use weigh::{DotSpec, MixSpec, SoftmaxSpec};

/// The operator of one unit, as the compiler describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum TokenOp {
    /// Reads vectors; one operand for each address pattern.
    Load {
        operands: Vec<Operand>,
    },
    /// Writes vectors.
    Store(StoreSpec),
    /// Hands tokens on.
    Copy,
    /// Deals tokens out to its outputs.
    Deal,
    /// Multiplies one weight vector a firing (input 0) with activations held on chip (input 1).
    Mac(MacSpec),
    /// Adds the parts of a split sum as a binary tree (an input for each of `parts x units` lanes), then scales and bias.
    Gather(GatherSpec),
    /// Rows of a flat tensor as whole numbers; the rows' scales leave first.
    Quantise {
        width: usize,
        positions: usize,
    },
    /// Norm of each group of a flat tensor (input 0) with weights (input 1).
    Norm {
        width: usize,
        group: usize,
        eps: f32,
        positions: usize,
        out: Element,
    },
    /// Flat to heads, rotated where there is a table (input 1).
    Heads(HeadsSpec),
    /// Heads to flat, from one input for each unit.
    Flatten(FlattenSpec),
    /// Scores of held queries (input 0) against key rows (inputs 1: cached, 2: of this call).
    Dot(DotSpec),
    /// Softmax of each row of scores, once all are there.
    Softmax(SoftmaxSpec),
    /// Sum of value rows (inputs 1 and 2) weighted by input 0.
    Mix(MixSpec),
    Map {
        function: Function,
        positions: usize,
        out: Element,
    },
    /// Deals a group of vectors to sockets: output i gets stretch `order[i]`.
    Scatter {
        order: Vec<usize>,
    },
    /// Puts together what sockets sent: stretch i comes from input `order[i]`.
    Collect {
        order: Vec<usize>,
    },
    /// Adds what sockets sent: that of socket i comes from input `order[i]`.
    Sum {
        order: Vec<usize>,
    },
}

impl TokenOp {
    /// A fresh operator for one call.
    pub fn start(&self, call: &Call, contents: &Arc<Mutex<Contents>>) -> Box<dyn Operator> {
        let argument = |at: usize| call.arguments.get(at).copied().unwrap_or(0) as usize;
        match *self {
            TokenOp::Load { ref operands } => Box::new(flow::Load {
                read: vec![0; operands.len()],
                operands: operands.clone(),
                arguments: call.arguments.clone(),
                indices: call.indices.clone(),
                contents: contents.clone(),
            }),
            TokenOp::Store(ref spec) => Box::new(flow::Store {
                base: spec.at.resolve(&call.arguments),
                spec: spec.clone(),
                written: 0,
                contents: contents.clone(),
            }),
            TokenOp::Copy => Box::new(flow::Copy),
            TokenOp::Deal => Box::new(flow::Deal),
            TokenOp::Mac(ref spec) => Box::new(linear::Mac::new(spec.clone())),
            TokenOp::Gather(ref spec) => Box::new(linear::Gather::new(spec.clone())),
            TokenOp::Quantise { width, positions } => Box::new(rows::Quantise::new(width, positions)),
            TokenOp::Norm { width, group, eps, positions, out } => {
                Box::new(rows::Norm::new(width, group, eps, positions, out))
            }
            TokenOp::Heads(ref spec) => Box::new(rows::Heads::new(spec.clone())),
            TokenOp::Flatten(ref spec) => Box::new(rows::Flatten::new(spec.clone())),
            TokenOp::Dot(ref spec) => Box::new(weigh::Dot::new(spec.clone(), argument(spec.past))),
            TokenOp::Softmax(ref spec) => {
                Box::new(weigh::Softmax::new(spec.clone(), argument(spec.past), argument(spec.rounds)))
            }
            TokenOp::Mix(ref spec) => {
                Box::new(weigh::Mix::new(spec.clone(), argument(spec.past), argument(spec.rounds)))
            }
            TokenOp::Map { function, positions, out } => Box::new(rows::Map { function, positions, out }),
            TokenOp::Scatter { ref order } => Box::new(peers::Scatter { order: order.clone() }),
            TokenOp::Collect { ref order } => Box::new(peers::Collect { order: order.clone() }),
            TokenOp::Sum { ref order } => Box::new(peers::Sum { order: order.clone() }),
        }
    }
}

/// A vector's values in the element type that kernels take.
enum Packed {
    Bf16(Vec<u16>),
    F32(Vec<f32>),
    Int8(Vec<i8>),
}

impl Packed {
    /// `values` are already rounded to `element`, so nothing is lost.
    fn new(values: &[f32], element: Element) -> Result<Packed, String> {
        Ok(match element {
            Element::F32 => Packed::F32(values.to_vec()),
            Element::Int8 => Packed::Int8(values.iter().map(|&value| value as i8).collect()),
            Element::Bf16 => {
                let mut bits = vec![0; values.len()];
                rdu_kernels::narrow(values, &mut bits).map_err(|error| error.to_string())?;
                Packed::Bf16(bits)
            }
        })
    }

    fn as_vectors(&self) -> rdu_kernels::Vectors<'_> {
        match self {
            Packed::Bf16(bits) => rdu_kernels::Vectors::Bf16(bits),
            Packed::F32(values) => rdu_kernels::Vectors::F32(values),
            Packed::Int8(values) => rdu_kernels::Vectors::Int8(values),
        }
    }
}
