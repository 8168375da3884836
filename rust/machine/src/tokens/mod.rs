//! What units compute, token by token. Each operator gives the bits of its blocked twin in `plan`.
//!
//! Two orders of tokens occur. *Flat*: a tensor chunk by chunk (a chunk is one token wide), within a chunk position by
//! position: what linear operators take and give. *Rows*: position by position, head by head, then the head's chunks.

mod flow;
mod linear;
mod rows;
mod weigh;

use crate::contents::Contents;
use crate::element::Element;
use crate::function::Function;
use rdu_dataflow::{Call, Operator};
use serde::Deserialize;
use std::sync::{Arc, Mutex};

/// What a unit needs to know to score keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DotSpec {
    pub head_dim: usize,
    /// Query rows of each position.
    pub group: usize,
    pub positions: usize,
    pub scale: f32,
    pub window: Option<usize>,
    /// The argument that says how many keys are cached.
    pub past: usize,
    pub element: Element,
}

/// The operator of one unit, as the compiler describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum TokenOp {
    /// Reads one vector a firing; one element type for each address pattern.
    Load {
        elements: Vec<Element>,
    },
    /// Writes one vector a firing.
    Store {
        element: Element,
    },
    /// Hands tokens on.
    Copy,
    /// Multiplies one weight vector a firing (input 0) with activations held on chip (input 1).
    Mac {
        element: Element,
        positions: usize,
    },
    /// Adds the parts of a split sum as a binary tree (inputs below `parts`), then the bias.
    Gather {
        parts: usize,
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
    /// Flat to rows, rotated where there is a table (input 1).
    Heads {
        width: usize,
        head_dim: usize,
        interleaved: bool,
        positions: usize,
        out: Element,
    },
    /// Rows to flat, from one input for each cached head.
    Flatten {
        width: usize,
        head_dim: usize,
        from: Element,
        positions: usize,
        out: Element,
    },
    /// Scores of held queries (input 0) against key rows (inputs 1: cached, 2: of this call).
    Dot(DotSpec),
    /// Softmax of each row of scores, once all are there.
    Softmax {
        rows: usize,
        out: Element,
    },
    /// Sum of value rows (inputs 1 and 2) weighted by input 0.
    Mix {
        rows: usize,
        head_dim: usize,
        element: Element,
    },
    Map {
        function: Function,
        positions: usize,
        out: Element,
    },
}

impl TokenOp {
    /// A fresh operator for one call.
    pub fn start(&self, call: &Call, contents: &Arc<Mutex<Contents>>) -> Box<dyn Operator> {
        match *self {
            TokenOp::Load { ref elements } => {
                Box::new(flow::Load { elements: elements.clone(), contents: contents.clone() })
            }
            TokenOp::Store { element } => Box::new(flow::Store { element, contents: contents.clone() }),
            TokenOp::Copy => Box::new(flow::Copy),
            TokenOp::Mac { element, positions } => Box::new(linear::Mac::new(element, positions)),
            TokenOp::Gather { parts, positions } => Box::new(linear::Gather { parts, positions }),
            TokenOp::Norm { width, group, eps, positions, out } => {
                Box::new(rows::Norm::new(width, group, eps, positions, out))
            }
            TokenOp::Heads { width, head_dim, interleaved, positions, out } => {
                Box::new(rows::Heads::new(width, head_dim, interleaved, positions, out))
            }
            TokenOp::Flatten { width, head_dim, from, positions, out } => {
                Box::new(rows::Flatten::new(width, head_dim, from, positions, out))
            }
            TokenOp::Dot(ref spec) => {
                let past = call.arguments.get(spec.past).copied().unwrap_or(0) as usize;
                Box::new(weigh::Dot::new(spec.clone(), past))
            }
            TokenOp::Softmax { rows, out } => Box::new(weigh::Softmax::new(rows, out)),
            TokenOp::Mix { rows, head_dim, element } => Box::new(weigh::Mix::new(rows, head_dim, element)),
            TokenOp::Map { function, positions, out } => Box::new(rows::Map { function, positions, out }),
        }
    }
}

/// A vector's values in the element type that kernels take.
enum Packed {
    Bf16(Vec<u16>),
    F32(Vec<f32>),
}

impl Packed {
    /// `values` are already rounded to `element`, so nothing is lost.
    fn new(values: &[f32], element: Element) -> Result<Packed, String> {
        Ok(match element {
            Element::F32 => Packed::F32(values.to_vec()),
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
        }
    }
}
