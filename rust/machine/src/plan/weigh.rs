//! Cached rows weighed by their scores, one query head after another.

use super::PlanOp;
use super::blocked::Blocked;
use crate::address::Address;
use crate::error::MachineError;
use rdu_kernels as kernels;

/// What a cached value costs, in multiply-adds of a product: it is used twice, in rows too short for all registers.
const MACS: usize = 8;

impl Blocked<'_> {
    /// Errors: `op` is no `Weigh`; heads that do not divide; a cache that is too short.
    pub fn weigh(&mut self, op: &PlanOp) -> Result<(), MachineError> {
        let &PlanOp::Weigh { query: q, head_dim, shared_heads, scale, window, parts, element, span, out, .. } = op
        else {
            return Err(self.wrong("a step that does not weigh"));
        };
        let mut y = self.fresh(out);
        let kernel = self.kernel;
        let heads = kernel.tensors[out].width / head_dim;
        if heads == 0
            || shared_heads == 0
            || parts == 0
            || !heads.is_multiple_of(shared_heads)
            || kernel.tensors[q].width != heads * head_dim
        {
            return Err(self.wrong("query heads do not divide over the cached heads"));
        }
        let element = kernels::Element::from(element);
        let per_head = head_dim.div_ceil(element.lanes());
        let stride = per_head * shared_heads;
        let query = &self.tensors[q][..];
        let caches = match span {
            None => vec![self.cached(op, 0, kernel.positions, stride)?],
            Some(span) => {
                (0..kernel.positions).map(|p| self.cached(op, p * span, 1, stride)).collect::<Result<_, _>>()?
            }
        };
        let rows = caches.iter().map(|cached| cached.past).max().unwrap_or(0) + kernel.positions;
        let one = |(at, y): (usize, &mut [f32])| -> Result<(), MachineError> {
            self.stop.check()?;
            let (p, head) = (at / heads, at % heads);
            let shared = head / (heads / shared_heads) * per_head;
            let (cached, own) = if span.is_some() { (&caches[p], 0) } else { (&caches[0], p) };
            let end = cached.past + own + 1;
            let start = window.map_or(0, |window| end.saturating_sub(window));
            let first = start * stride + shared;
            let (Some(keys), Some(values)) = (cached.keys.from_vector(first), cached.values.from_vector(first)) else {
                return Err(self.wrong("the cache is too short"));
            };
            let mut weights = vec![0.0; end - start];
            kernels::scores(&query[at * head_dim..(at + 1) * head_dim], keys, stride, per_head, &mut weights)?;
            weights.iter_mut().for_each(|s| *s *= scale);
            kernels::softmax(&mut weights);
            kernels::round(&mut weights, element);
            if parts == 1 {
                y.fill(0.0);
                return Ok(kernels::mix(&weights, values, stride, per_head, y)?);
            }
            let mut sums = vec![0.0; parts * head_dim];
            let mut mine = Vec::with_capacity(weights.len().div_ceil(parts));
            for (at, sum) in sums.chunks_exact_mut(head_dim).enumerate() {
                let skipped = (at + parts - start % parts) % parts;
                mine.clear();
                mine.extend(weights.get(skipped..).unwrap_or_default().iter().step_by(parts));
                if let Some(values) = values.from_vector(skipped * stride).filter(|_| !mine.is_empty()) {
                    kernels::mix(&mine, values, parts * stride, per_head, sum)?;
                }
            }
            y.copy_from_slice(kernels::tree_sum(&mut sums, head_dim)?);
            Ok(())
        };
        kernels::try_each(y.chunks_mut(head_dim).enumerate().collect(), query.len() * rows * MACS, one)?;
        self.made(out, y);
        Ok(())
    }

    /// The rows that a sequence's cache holds with `fresh` of this call; its arguments are `further` on than the first's.
    fn cached(&self, op: &PlanOp, further: usize, fresh: usize, stride: usize) -> Result<Cached<'_>, MachineError> {
        let &PlanOp::Weigh { keys, values, past, element, .. } = op else {
            return Err(self.wrong("a step that does not weigh"));
        };
        let arguments = &self.call.arguments;
        let past = arguments.get(past + further);
        let past = *past.ok_or_else(|| self.wrong("the call does not say how many rows are cached"))? as usize;
        let element = kernels::Element::from(element);
        let rows = past.saturating_add(fresh).saturating_mul(stride).saturating_mul(element.lanes());
        let vectors =
            |address: Address| self.contents.vectors(address.further(further).resolve(arguments), rows, element);
        Ok(Cached { past, keys: vectors(keys)?, values: vectors(values)? })
    }
}

/// Rows of one sequence, `past` of them from before this call.
struct Cached<'a> {
    past: usize,
    keys: kernels::Vectors<'a>,
    values: kernels::Vectors<'a>,
}
