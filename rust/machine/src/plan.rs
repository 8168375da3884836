//! The values of a call as blocked kernels: whole tensors at a time, in the order of addition that the tokens have.

use crate::address::Address;
use crate::contents::Contents;
use crate::element::Element;
use crate::error::MachineError;
use crate::function::{Function, rotate};
use crate::kernel::Kernel;
use rayon::prelude::*;
use rdu_dataflow::{Call, Pattern, RunError};
use rdu_kernels as kernels;
use rdu_kernels::Linear;
use serde::Deserialize;

/// Multiply-adds between two polls of the watch: a few milliseconds.
const POLL_MACS: usize = 1 << 28;
/// Multiply-adds below which threads cost more than they save.
const THREADED_MACS: usize = 1 << 19;

/// A tensor of `positions` rows; its values are rounded to `element` when it is made.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorSpec {
    pub width: usize,
    pub element: Element,
}

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
        element: Element,
        splits: usize,
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
        out: usize,
    },
    /// Appends rows to a cache, each head padded to whole vectors.
    Append {
        x: usize,
        cache: Address,
        head_dim: usize,
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
        element: Element,
        out: usize,
    },
    Map {
        function: Function,
        inputs: Vec<usize>,
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
            PlanOp::Map { inputs, out, .. } => inputs.iter().copied().chain([*out]).collect(),
        }
    }
}

/// Addresses of successive transfers of a pattern under a call.
pub fn addresses<'a>(pattern: &'a Pattern, call: &'a Call) -> impl Fn(u64) -> u64 + 'a {
    let base = Address { base: pattern.base, argument: pattern.argument }.resolve(&call.arguments);
    move |count| pattern.address(base, count, &call.indices)
}

/// Runs the plan of `kernel`; `watch` is polled every few milliseconds and stops it with `false`.
pub fn run(
    kernel: &Kernel,
    call: &Call,
    contents: &mut Contents,
    watch: &mut dyn FnMut(u64) -> bool,
) -> Result<(), MachineError> {
    let positions = kernel.positions;
    let mut tensors: Vec<Vec<f32>> = vec![Vec::new(); kernel.tensors.len()];
    for op in &kernel.plan {
        if !watch(0) {
            return Err(RunError::Interrupted.into());
        }
        let mut made = None;
        let mut fresh = |out: usize| {
            made = Some(out);
            vec![0.0f32; kernel.tensors[out].width * positions]
        };
        let y = match op {
            PlanOp::Load { from, out } => {
                let mut y = fresh(*out);
                let at = addresses(from, call);
                let width = kernel.tensors[*out].width;
                for (token, (p, range)) in flat_tokens(width, positions).enumerate() {
                    let values = contents.values(at(token as u64), range.len(), rdu_kernels::Element::F32)?;
                    y[p * width..][range].copy_from_slice(&values);
                }
                y
            }
            PlanOp::Store { x, to } => {
                let at = addresses(to, call);
                let width = kernel.tensors[*x].width;
                for (token, (p, range)) in flat_tokens(width, positions).enumerate() {
                    let values = &tensors[*x][p * width..][range];
                    contents.put(at(token as u64), values, rdu_kernels::Element::F32)?;
                }
                Vec::new()
            }
            PlanOp::Gather { table, element, out } => {
                let mut y = fresh(*out);
                let at = addresses(table, call);
                for (row, y) in y.chunks_mut(kernel.tensors[*out].width).enumerate() {
                    let address = at(row as u64 * table.run);
                    y.copy_from_slice(&contents.values(address, y.len(), (*element).into())?);
                }
                y
            }
            PlanOp::Linear { x, weight, bias, element, splits, out } => {
                let mut y = fresh(*out);
                let (inner, outer) = (kernel.tensors[*x].width, kernel.tensors[*out].width);
                let element = rdu_kernels::Element::from(*element);
                let tiles = outer.div_ceil(element.lanes());
                let address = weight.resolve(&call.arguments);
                let weight = contents.vectors(address, tiles * inner * element.lanes(), element)?;
                let bias = match bias {
                    Some(bias) => Some(contents.values(bias.resolve(&call.arguments), outer, element)?),
                    None => None,
                };
                let (x, bias) = (&tensors[*x][..], bias.as_deref());
                let linear = Linear { x, positions, inner, weight, outer, splits: *splits, bias };
                let step = (POLL_MACS / (positions * inner * element.lanes()).max(1)).max(1);
                for first in (0..tiles).step_by(step) {
                    kernels::linear(linear, first..(first + step).min(tiles), &mut y)?;
                    if !watch(0) {
                        return Err(RunError::Interrupted.into());
                    }
                }
                y
            }
            PlanOp::Norm { x, weight, element, group, eps, out } => {
                let mut y = fresh(*out);
                let weight = contents.values(weight.resolve(&call.arguments), *group, (*element).into())?;
                kernels::rms_norm(&tensors[*x], *group, &weight, *eps, &mut y)?;
                y
            }
            PlanOp::Heads { x, table, head_dim, interleaved, out } => {
                let mut y = fresh(*out);
                y.copy_from_slice(&tensors[*x]);
                if let Some(table) = table {
                    let at = addresses(table, call);
                    for (p, row) in y.chunks_mut(kernel.tensors[*out].width).enumerate() {
                        let row_address = at(p as u64 * table.run);
                        let turn = contents.values(row_address, *head_dim, rdu_kernels::Element::F32)?;
                        for head in row.chunks_mut(*head_dim) {
                            rotate(head, &turn, *interleaved)?;
                        }
                    }
                }
                y
            }
            PlanOp::Append { x, cache, head_dim } => {
                let spec = kernel.tensors[*x];
                let element = rdu_kernels::Element::from(spec.element);
                let head_bytes = (head_dim.div_ceil(element.lanes()) * kernels::VECTOR_BYTES) as u64;
                let address = cache.resolve(&call.arguments);
                for (head, values) in tensors[*x].chunks(*head_dim).enumerate() {
                    contents.put(address + head as u64 * head_bytes, values, element)?;
                }
                Vec::new()
            }
            PlanOp::Weigh { query, out, .. } => {
                let mut y = fresh(*out);
                weigh(op, kernel, call, contents, &tensors[*query], &mut y)?;
                y
            }
            PlanOp::Map { function, inputs, out } => {
                let mut y = fresh(*out);
                let inputs: Vec<&[f32]> = inputs.iter().map(|&input| &tensors[input][..]).collect();
                function.apply(&inputs, &mut y)?;
                y
            }
        };
        if let Some(out) = made {
            tensors[out] = y;
            kernels::round(&mut tensors[out], kernel.tensors[out].element.into());
        }
    }
    Ok(())
}

/// (position, columns) of each fp32 token of a tensor, in the order of its tokens.
pub fn flat_tokens(width: usize, positions: usize) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> {
    let lanes = Element::F32.lanes();
    (0..width.div_ceil(lanes)).flat_map(move |chunk| {
        let range = chunk * lanes..((chunk + 1) * lanes).min(width);
        (0..positions).map(move |p| (p, range.clone()))
    })
}

fn weigh(
    op: &PlanOp,
    kernel: &Kernel,
    call: &Call,
    contents: &Contents,
    query: &[f32],
    y: &mut [f32],
) -> Result<(), MachineError> {
    let &PlanOp::Weigh { query: q, keys, values, past, head_dim, shared_heads, scale, window, element, out } = op
    else {
        return Ok(());
    };
    let spec = |what: &str| MachineError::Spec { kernel: kernel.name.clone(), what: what.into() };
    let past = *call.arguments.get(past).ok_or_else(|| spec("the call does not say how many rows are cached"))?;
    let heads = kernel.tensors[out].width / head_dim;
    if heads == 0
        || shared_heads == 0
        || !heads.is_multiple_of(shared_heads)
        || kernel.tensors[q].width != heads * head_dim
    {
        return Err(spec("query heads do not divide over the cached heads"));
    }
    let element = rdu_kernels::Element::from(element);
    let per_head = head_dim.div_ceil(element.lanes());
    let stride = per_head * shared_heads;
    let rows = past as usize + kernel.positions;
    let cached =
        |address: Address| contents.vectors(address.resolve(&call.arguments), rows * stride * element.lanes(), element);
    let (keys, values) = (cached(keys)?, cached(values)?);
    let one = |(at, y): (usize, &mut [f32])| -> Result<(), MachineError> {
        let (p, head) = (at / heads, at % heads);
        let shared = head / (heads / shared_heads) * per_head;
        let end = past as usize + p + 1;
        let start = window.map_or(0, |window| end.saturating_sub(window));
        let first = start * stride + shared;
        let (Some(keys), Some(values)) = (keys.from_vector(first), values.from_vector(first)) else {
            return Err(spec("the cache is too short"));
        };
        let mut weights = vec![0.0; end - start];
        kernels::scores(&query[at * head_dim..(at + 1) * head_dim], keys, stride, per_head, &mut weights)?;
        weights.iter_mut().for_each(|s| *s *= scale);
        kernels::softmax(&mut weights);
        kernels::round(&mut weights, element);
        kernels::mix(&weights, values, stride, per_head, y)?;
        Ok(())
    };
    if query.len() * rows > THREADED_MACS {
        y.par_chunks_mut(head_dim).enumerate().try_for_each(one)
    } else {
        y.chunks_mut(head_dim).enumerate().try_for_each(one)
    }
}
