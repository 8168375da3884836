//! The values of a call as blocked kernels: whole tensors at a time, in the order of addition that the tokens have.

mod blocked;
mod boundary;
mod by_rows;
mod check;
mod linear;
mod sum;
mod weigh;
mod workspace;

use crate::address::Address;
use crate::element::{Element, WeightElement};
use crate::function::Function;
use rdu_dataflow::Pattern;
use serde::Deserialize;

pub use blocked::run;
pub use check::check;
pub use sum::Order;
pub use workspace::Workspace;

/// A tensor of `positions` rows; its values are rounded to `element` when it is made.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorSpec {
    pub width: usize,
    pub element: Element,
}

/// Whose rows the positions of a call are: of one sequence, one behind the other, or of a sequence each, whose arguments
/// of the call stand so many behind those of the sequence before it.
pub type Span = Option<usize>;

/// One blocked step. Tensors are named by index; operands in memory by address.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum PlanOp {
    /// Reads a tensor that lies in memory as its tokens do: chunk by chunk, within a chunk position by position.
    Load {
        from: Pattern,
        out: usize,
    },
    Store {
        x: usize,
        to: Pattern,
    },
    /// Rows of a table, chosen by the call's indices; each row is one run of the pattern.
    Gather {
        table: Pattern,
        element: Element,
        out: usize,
    },
    Linear {
        x: usize,
        weight: Address,
        bias: Option<Address>,
        element: WeightElement,
        splits: usize,
        /// An fp32 scale for each output, where the weights are whole numbers.
        #[serde(default)]
        scales: Option<Address>,
        /// Whether each position's activations are quantised to int8 first.
        #[serde(default)]
        quantized: bool,
        out: usize,
    },
    /// Root-mean-square norm of each group of `group` values.
    Norm {
        x: usize,
        weight: Address,
        element: Element,
        group: usize,
        eps: f32,
        out: usize,
    },
    /// Rotates each head by the table's rows (cosines, then sines; one row a position), where there is a table.
    Heads {
        x: usize,
        table: Option<Pattern>,
        head_dim: usize,
        interleaved: bool,
        #[serde(default)]
        span: Span,
        out: usize,
    },
    /// Appends rows to a cache, each head padded to whole vectors.
    Append {
        x: usize,
        cache: Address,
        head_dim: usize,
        #[serde(default)]
        span: Span,
    },
    /// For each head: scores of a query against cached keys, softmax, and the sum of cached values weighted by it.
    Weigh {
        query: usize,
        keys: Address,
        values: Address,
        /// The argument that says how many rows the cache holds before this call's own.
        past: usize,
        head_dim: usize,
        shared_heads: usize,
        scale: f32,
        window: Option<usize>,
        /// Cached values are added in so many parts: row r belongs to part r modulo their number.
        parts: usize,
        element: Element,
        #[serde(default)]
        span: Span,
        out: usize,
    },
    Map {
        function: Function,
        inputs: Vec<usize>,
        out: usize,
    },
    /// Adds tensors in fp32: what several sockets have summed of their parts of a dimension.
    Sum {
        inputs: Vec<usize>,
        order: Order,
        out: usize,
    },
}

impl PlanOp {
    /// Every tensor that the step names.
    pub fn tensors(&self) -> Vec<usize> {
        match self {
            PlanOp::Load { out, .. } | PlanOp::Gather { out, .. } => vec![*out],
            PlanOp::Store { x, .. } | PlanOp::Append { x, .. } => vec![*x],
            PlanOp::Linear { x, out, .. } | PlanOp::Norm { x, out, .. } | PlanOp::Heads { x, out, .. } => {
                vec![*x, *out]
            }
            PlanOp::Weigh { query, out, .. } => vec![*query, *out],
            PlanOp::Map { inputs, out, .. } | PlanOp::Sum { inputs, out, .. } => {
                inputs.iter().copied().chain([*out]).collect()
            }
        }
    }
}
