//! Weighing cached rows in three kinds of unit: scores, their softmax, and the weighted sum.

use super::{DotSpec, Packed};
use crate::element::Element;
use rdu_dataflow::{Firing, Operator};

/// Scores of each held query against one key row after another. A key that a query may not see scores -inf.
pub struct Dot {
    spec: DotSpec,
    /// Keys that the cache holds before those of this call.
    past: usize,
    queries: Vec<f32>,
    key: Vec<f32>,
    /// Key rows completed.
    rows: usize,
}

impl Dot {
    pub fn new(spec: DotSpec, past: usize) -> Self {
        Dot { spec, past, queries: Vec::new(), key: Vec::new(), rows: 0 }
    }
}

impl Operator for Dot {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        self.queries.extend_from_slice(firing.inputs.get(0));
        self.key.extend_from_slice(firing.inputs.get(1));
        self.key.extend_from_slice(firing.inputs.get(2));
        if firing.outputs.is_empty() {
            return Ok(());
        }
        let key = Packed::new(&self.key, self.spec.element)?;
        let row = self.spec.head_dim.div_ceil(self.spec.element.lanes()) * self.spec.element.lanes();
        let at = self.rows;
        firing.outputs.multicast(|out| {
            out.fill(0.0);
            for (r, out) in out.iter_mut().enumerate().take(self.spec.group * self.spec.positions) {
                let last = self.past + r / self.spec.group;
                let visible = at <= last && self.spec.window.is_none_or(|window| last - at < window);
                let query = self.queries.get(r * row..(r + 1) * row).ok_or("keys ahead of queries")?;
                *out = if visible {
                    let score = rdu_kernels::dot(query, key.as_vectors()).map_err(|error| error.to_string())?;
                    score * self.spec.scale
                } else {
                    f32::NEG_INFINITY
                };
            }
            Ok(())
        })?;
        self.key.clear();
        self.rows += 1;
        Ok(())
    }
}

/// Collects the scores of all key rows, then sends the weights in the same order.
pub struct Softmax {
    rows: usize,
    out: Element,
    /// `[row][key]`
    scores: Vec<Vec<f32>>,
    sent: usize,
}

impl Softmax {
    pub fn new(rows: usize, out: Element) -> Self {
        Softmax { rows, out, scores: vec![Vec::new(); rows], sent: 0 }
    }
}

impl Operator for Softmax {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        for (row, &score) in self.scores.iter_mut().zip(firing.inputs.get(0)) {
            row.push(score);
        }
        if firing.outputs.is_empty() {
            return Ok(());
        }
        if self.sent == 0 {
            for row in &mut self.scores {
                rdu_kernels::softmax(row);
                rdu_kernels::round(row, self.out.into());
            }
        }
        let (rows, sent) = (self.rows, self.sent);
        firing.outputs.multicast(|out| {
            out.fill(0.0);
            for (out, row) in out.iter_mut().zip(&self.scores[..rows]) {
                *out = *row.get(sent).ok_or("weights of a key that was never scored")?;
            }
            Ok(())
        })?;
        self.sent += 1;
        Ok(())
    }
}

/// Adds each value row, weighted, to the sum of each query.
pub struct Mix {
    rows: usize,
    head_dim: usize,
    element: Element,
    weights: Vec<f32>,
    value: Vec<f32>,
    /// `[row][head_dim padded to whole vectors]`
    sums: Vec<f32>,
    sent: usize,
}

impl Mix {
    pub fn new(rows: usize, head_dim: usize, element: Element) -> Self {
        let row = head_dim.div_ceil(element.lanes()) * element.lanes();
        Mix { rows, head_dim, element, weights: Vec::new(), value: Vec::new(), sums: vec![0.0; rows * row], sent: 0 }
    }
}

impl Operator for Mix {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        self.weights.extend_from_slice(firing.inputs.get(0));
        self.value.extend_from_slice(firing.inputs.get(1));
        self.value.extend_from_slice(firing.inputs.get(2));
        let row = self.head_dim.div_ceil(self.element.lanes()) * self.element.lanes();
        if self.value.len() == row {
            let value = Packed::new(&self.value, self.element)?;
            for (sum, &weight) in self.sums.chunks_exact_mut(row).zip(&self.weights[..self.rows]) {
                rdu_kernels::accumulate(weight, value.as_vectors(), sum).map_err(|error| error.to_string())?;
            }
            self.value.clear();
            self.weights.clear();
        }
        if firing.outputs.is_empty() {
            return Ok(());
        }
        let mut sent = 0;
        firing.outputs.multicast(|out| {
            out.copy_from_slice(self.sums.get(self.sent..self.sent + out.len()).ok_or("more rows than queries")?);
            rdu_kernels::round(out, self.element.into());
            sent = out.len();
            Ok(())
        })?;
        self.sent += sent;
        Ok(())
    }
}
