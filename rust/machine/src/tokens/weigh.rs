//! Weighing cached rows in three kinds of unit: scores, their softmax, and the weighted sum.

use super::Packed;
use crate::element::Element;
use rdu_dataflow::{Firing, Operator};
use serde::Deserialize;

/// One of `dots` units that score the keys of a head; unit `at` takes key rows at, at + dots, ...
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
    pub dots: usize,
    pub at: usize,
}

/// Scores of each held query against one key row after another. A key that a query may not see scores -inf.
pub struct Dot {
    spec: DotSpec,
    /// Keys that the cache holds before those of this call.
    past: usize,
    queries: Vec<f32>,
    key: Vec<f32>,
    /// Cached rows and new rows completed.
    rounds: usize,
    fresh: usize,
}

impl Dot {
    pub fn new(spec: DotSpec, past: usize) -> Self {
        Dot { spec, past, queries: Vec::new(), key: Vec::new(), rounds: 0, fresh: 0 }
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
        let DotSpec { head_dim, group, positions, scale, window, element, dots, at, .. } = self.spec;
        let key = Packed::new(&self.key, element)?;
        let row = head_dim.div_ceil(element.lanes()) * element.lanes();
        let cached = !firing.inputs.get(1).is_empty();
        // Every unit scores the new rows too: the softmax takes them from the first.
        let (number, there) = if cached {
            let number = self.rounds * dots + at;
            (number, number < self.past)
        } else {
            (self.past + self.fresh, true)
        };
        firing.outputs.multicast(|out| {
            out.fill(0.0);
            for (r, out) in out.iter_mut().enumerate().take(group * positions) {
                let last = self.past + r / group;
                let visible = there && number <= last && window.is_none_or(|window| last - number < window);
                let query = self.queries.get(r * row..(r + 1) * row).ok_or("keys ahead of queries")?;
                *out = if visible {
                    let score = rdu_kernels::dot(query, key.as_vectors()).map_err(|error| error.to_string())?;
                    score * scale
                } else {
                    f32::NEG_INFINITY
                };
            }
            Ok(())
        })?;
        self.key.clear();
        if cached {
            self.rounds += 1;
        } else {
            self.fresh += 1;
        }
        if self.fresh == positions {
            (self.rounds, self.fresh) = (0, 0);
            self.queries.clear();
        }
        Ok(())
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoftmaxSpec {
    pub rows: usize,
    pub positions: usize,
    pub past: usize,
    /// The argument that says how many rounds of `dots` cached rows come, beyond `past` rows of padding.
    pub rounds: usize,
    pub dots: usize,
    /// Key rows whose weights go together: one for each part of the sum.
    pub parts: usize,
    pub out: Element,
}

/// Collects the scores of all key rows, then sends the weights in the same order: of cached rows `parts` at a time, of
/// a new row in the place of the part that it will belong to.
pub struct Softmax {
    spec: SoftmaxSpec,
    past: usize,
    rounds: usize,
    /// `[row][key]`, cached keys first.
    scores: Vec<Vec<f32>>,
    /// Firings that took scores, and that sent weights.
    taken: usize,
    sent: usize,
}

impl Softmax {
    pub fn new(spec: SoftmaxSpec, past: usize, rounds: usize) -> Self {
        Softmax { scores: vec![Vec::new(); spec.rows], spec, past, rounds, taken: 0, sent: 0 }
    }
}

impl Operator for Softmax {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let SoftmaxSpec { rows, positions, dots, parts, .. } = self.spec;
        let rounds = self.rounds;
        for (at, (_, scores)) in firing.inputs.iter().enumerate() {
            let there = if self.taken < rounds { self.taken * dots + at < self.past } else { at == 0 };
            if there {
                self.scores.iter_mut().zip(scores).for_each(|(row, &score)| row.push(score));
            }
        }
        self.taken += usize::from(!firing.inputs.is_empty());
        if firing.outputs.is_empty() {
            return Ok(());
        }
        if self.sent == 0 {
            for row in &mut self.scores {
                rdu_kernels::softmax(row);
                rdu_kernels::round(row, self.spec.out.into());
            }
        }
        let cached = rounds * dots / parts;
        // Rows that only fill the last rounds have no weight.
        let keys = if self.sent < cached {
            self.sent * parts..self.past.min((self.sent + 1) * parts)
        } else {
            let key = self.past + self.sent - cached;
            key..key + 1
        };
        let scores = &self.scores;
        firing.outputs.multicast(|out| {
            out.fill(0.0);
            for key in keys.clone() {
                let place = out.iter_mut().skip(key % parts * rows);
                for (out, row) in place.zip(scores) {
                    *out = *row.get(key).ok_or("weights of a key that was never scored")?;
                }
            }
            Ok(())
        })?;
        self.sent += 1;
        if self.sent == cached + positions {
            (self.taken, self.sent) = (0, 0);
            self.scores.iter_mut().for_each(Vec::clear);
        }
        Ok(())
    }
}

/// One of `parts` units that add value rows (unit `at` takes rows at, at + parts, ...), or one part of a row's vectors.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixSpec {
    pub rows: usize,
    pub positions: usize,
    /// Vectors of a row that the unit takes.
    pub vectors: usize,
    pub past: usize,
    /// As of the softmax.
    pub rounds: usize,
    pub dots: usize,
    pub parts: usize,
    pub at: usize,
    pub element: Element,
}

/// Adds each of its value rows, weighted, to the sum of each query. A whole sum is rounded; parts of one are not.
pub struct Mix {
    spec: MixSpec,
    past: usize,
    rounds: usize,
    weights: Vec<f32>,
    value: Vec<f32>,
    /// `[row][vectors]`
    sums: Vec<f32>,
    taken: usize,
    sent: usize,
}

impl Mix {
    pub fn new(spec: MixSpec, past: usize, rounds: usize) -> Self {
        let sums = vec![0.0; spec.rows * spec.vectors * spec.element.lanes()];
        Mix { spec, past, rounds, weights: Vec::new(), value: Vec::new(), sums, taken: 0, sent: 0 }
    }
}

impl Operator for Mix {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let MixSpec { rows, vectors, dots, parts, at, element, .. } = self.spec;
        self.weights.extend_from_slice(firing.inputs.get(0));
        self.value.extend_from_slice(firing.inputs.get(1));
        self.value.extend_from_slice(firing.inputs.get(2));
        let row = vectors * element.lanes();
        if self.value.len() == row {
            let cached = self.rounds * dots / parts;
            // A new row goes to every part, and counts in the one that it will belong to.
            let mine = if self.taken < cached {
                self.taken * parts + at < self.past
            } else {
                (self.past + self.taken - cached) % parts == at
            };
            if mine {
                let value = Packed::new(&self.value, element)?;
                let weights = self.weights.get(at * rows..(at + 1) * rows).ok_or("values ahead of their weights")?;
                for (sum, &weight) in self.sums.chunks_exact_mut(row).zip(weights) {
                    rdu_kernels::accumulate(weight, value.as_vectors(), sum).map_err(|error| error.to_string())?;
                }
            }
            self.value.clear();
            self.weights.clear();
            self.taken += 1;
        }
        if firing.outputs.is_empty() {
            return Ok(());
        }
        let mut sent = 0;
        firing.outputs.multicast(|out| {
            out.copy_from_slice(self.sums.get(self.sent..self.sent + out.len()).ok_or("more rows than queries")?);
            if parts == 1 {
                rdu_kernels::round(out, element.into());
            }
            sent = out.len();
            Ok(())
        })?;
        self.sent += sent;
        if self.sent == self.sums.len() {
            (self.taken, self.sent) = (0, 0);
            self.sums.fill(0.0);
        }
        Ok(())
    }
}
