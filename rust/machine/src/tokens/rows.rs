//! Units that collect a tensor, transform it, and send it in the order that the next units take.

use crate::element::Element;
use crate::function::{Function, rotate};
use rdu_dataflow::{Firing, Operator, Tokens};
use serde::Deserialize;

/// How a row-major matrix is cut into tokens: token n holds chunk n / positions of position n % positions.
#[derive(Clone, Copy)]
struct Flat {
    element: Element,
    positions: usize,
    width: usize,
}

impl Flat {
    /// Where token number `token` begins in the matrix, and how many values it holds; the rest of it is padding.
    fn place(&self, token: usize) -> (usize, usize) {
        let lanes = self.element.lanes();
        let (start, p) = (token / self.positions * lanes, token % self.positions);
        (p * self.width + start, lanes.min(self.width.saturating_sub(start)))
    }

    fn tokens(&self) -> usize {
        self.width.div_ceil(self.element.lanes()) * self.positions
    }
}

/// Collects tokens as they come.
struct Inlet {
    order: Flat,
    taken: usize,
}

impl Inlet {
    fn new(order: Flat) -> Self {
        Inlet { order, taken: 0 }
    }

    fn collect(&mut self, tokens: &[f32], matrix: &mut [f32]) {
        for token in tokens.chunks_exact(self.order.element.lanes()) {
            let (start, len) = self.order.place(self.taken);
            matrix[start..start + len].copy_from_slice(&token[..len]);
            self.taken += 1;
        }
    }
}

/// Sends a matrix, as many tokens a firing as the outputs take; values are rounded to the order's element.
struct Outlet {
    order: Flat,
    sent: usize,
}

impl Outlet {
    fn new(order: Flat) -> Self {
        Outlet { order, sent: 0 }
    }

    fn send(&mut self, matrix: &[f32], outputs: &mut Tokens) -> Result<(), String> {
        let (order, first) = (self.order, self.sent);
        let lanes = order.element.lanes();
        let mut count = 0;
        outputs.multicast(|out| {
            count = out.len() / lanes;
            for (at, token) in out.chunks_exact_mut(lanes).enumerate() {
                let (start, len) = order.place(first + at);
                token[..len].copy_from_slice(&matrix[start..start + len]);
                token[len..].fill(0.0);
            }
            rdu_kernels::round(out, order.element.into());
            Ok(())
        })?;
        self.sent += count;
        Ok(())
    }
}

/// Norm over groups of a row.
pub struct Norm {
    input: Inlet,
    out: Outlet,
    group: usize,
    eps: f32,
    matrix: Vec<f32>,
    weight: Vec<f32>,
}

impl Norm {
    pub fn new(width: usize, group: usize, eps: f32, positions: usize, out: Element) -> Self {
        Norm {
            input: Inlet::new(Flat { element: Element::F32, positions, width }),
            out: Outlet::new(Flat { element: out, positions, width }),
            group,
            eps,
            matrix: vec![0.0; width * positions],
            weight: Vec::new(),
        }
    }
}

impl Operator for Norm {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        self.input.collect(firing.inputs.get(0), &mut self.matrix);
        self.weight.extend_from_slice(firing.inputs.get(1));
        if firing.outputs.is_empty() {
            return Ok(());
        }
        if self.out.sent == 0 {
            let x = self.matrix.clone();
            let weight = self.weight.get(..self.group).ok_or("weights are missing")?;
            rdu_kernels::rms_norm(&x, self.group, weight, self.eps, &mut self.matrix)
                .map_err(|error| error.to_string())?;
        }
        self.out.send(&self.matrix, firing.outputs)?;
        if self.out.sent == self.out.order.tokens() {
            (self.input.taken, self.out.sent) = (0, 0);
            self.weight.clear();
        }
        Ok(())
    }
}

/// Whole numbers of a tensor's rows, and what they count.
pub struct Quantise {
    input: Inlet,
    out: Outlet,
    matrix: Vec<f32>,
    /// Made once a tensor is there, and gone once it has left.
    scales: Vec<f32>,
}

impl Quantise {
    pub fn new(width: usize, positions: usize) -> Self {
        Quantise {
            input: Inlet::new(Flat { element: Element::F32, positions, width }),
            out: Outlet::new(Flat { element: Element::Int8, positions, width }),
            matrix: vec![0.0; width * positions],
            scales: Vec::new(),
        }
    }
}

impl Operator for Quantise {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        self.input.collect(firing.inputs.get(0), &mut self.matrix);
        if firing.outputs.is_empty() {
            return Ok(());
        }
        let order = self.out.order;
        if self.scales.is_empty() {
            let (mut values, mut scales) = (vec![0; self.matrix.len()], vec![0.0; order.positions]);
            rdu_kernels::quantize(&self.matrix, order.width, &mut values, &mut scales)
                .map_err(|error| error.to_string())?;
            self.matrix.iter_mut().zip(values).for_each(|(x, value)| *x = f32::from(value));
            self.scales = scales;
            return firing.outputs.multicast(|out| {
                out.fill(0.0);
                out.iter_mut().zip(&self.scales).for_each(|(out, scale)| *out = *scale);
                Ok(())
            });
        }
        self.out.send(&self.matrix, firing.outputs)?;
        if self.out.sent == order.tokens() {
            (self.input.taken, self.out.sent) = (0, 0);
            self.scales.clear();
        }
        Ok(())
    }
}

/// How a tensor of heads goes to the units that weigh them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadsSpec {
    pub width: usize,
    pub head_dim: usize,
    /// Heads that share a unit, one after another.
    pub group: usize,
    /// Parts of a head that go to units of their own.
    pub mixes: usize,
    pub interleaved: bool,
    pub positions: usize,
    pub out: Element,
}

/// Flat in; out one vector for each unit at a time, rotated where a table comes in.
pub struct Heads {
    spec: HeadsSpec,
    input: Inlet,
    matrix: Vec<f32>,
    table: Vec<f32>,
    sent: usize,
}

impl Heads {
    pub fn new(spec: HeadsSpec) -> Self {
        Heads {
            input: Inlet::new(Flat { element: Element::F32, positions: spec.positions, width: spec.width }),
            matrix: vec![0.0; spec.width * spec.positions],
            table: Vec::new(),
            sent: 0,
            spec,
        }
    }

    fn rotate(&mut self) -> Result<(), String> {
        let HeadsSpec { width, head_dim, positions, interleaved, .. } = self.spec;
        for (row, turn) in self.matrix.chunks_mut(width).zip(self.table.chunks(self.table.len() / positions)) {
            for head in row.chunks_mut(head_dim) {
                rotate(head, turn, interleaved).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }
}

impl Operator for Heads {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        self.input.collect(firing.inputs.get(0), &mut self.matrix);
        self.table.extend_from_slice(firing.inputs.get(1));
        if firing.outputs.is_empty() {
            return Ok(());
        }
        if self.sent == 0 && !self.table.is_empty() {
            self.rotate()?;
        }
        let HeadsSpec { width, head_dim, group, mixes, positions, out: element, .. } = self.spec;
        let lanes = element.lanes();
        let per_head = head_dim.div_ceil(lanes);
        let (shared, each) = (width / head_dim / group, per_head / mixes);
        let (p, g, v) = (self.sent / (group * each), self.sent / each % group, self.sent % each);
        // One vector for each of `shared x mixes` units; an output of its own may be a copy of a unit's.
        let units = shared * mixes;
        let vector = |unit: usize, out: &mut [f32]| {
            let (head, at) = (unit / mixes * group + g, (unit % mixes * each + v) * lanes);
            let (start, len) = (p * width + head * head_dim + at, lanes.min(head_dim.saturating_sub(at)));
            out[..len].copy_from_slice(&self.matrix[start..start + len]);
            out[len..].fill(0.0);
            rdu_kernels::round(out, element.into());
        };
        let ends: Vec<(usize, usize)> = firing.outputs.iter().map(|(index, out)| (index, out.len())).collect();
        let dealt = ends.iter().filter(|end| end.1 == lanes && units > 1).count();
        let mut at = 0;
        for (index, len) in ends {
            let out = firing.outputs.get_mut(index);
            if len == lanes && units > 1 {
                // Every vector goes to as many units as take other rows of the same head.
                vector(at * units / dealt / mixes * mixes + at % mixes, out);
                at += 1;
            } else {
                out.chunks_exact_mut(lanes).enumerate().for_each(|(unit, out)| vector(unit, out));
            }
        }
        self.sent += 1;
        if self.sent == positions * group * each {
            (self.input.taken, self.sent) = (0, 0);
            self.table.clear();
        }
        Ok(())
    }
}

/// How weighed rows come back: one token from each unit (a, c, m) at a time. Several parts c of a sum are fp32.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlattenSpec {
    pub width: usize,
    pub head_dim: usize,
    pub group: usize,
    pub parts: usize,
    pub mixes: usize,
    pub from: Element,
    pub positions: usize,
    pub out: Element,
}

/// Rows in, from units side by side, the parts of a sum added as a tree; flat out.
pub struct Flatten {
    spec: FlattenSpec,
    taken: usize,
    out: Outlet,
    matrix: Vec<f32>,
}

impl Flatten {
    pub fn new(spec: FlattenSpec) -> Self {
        Flatten {
            taken: 0,
            out: Outlet::new(Flat { element: spec.out, positions: spec.positions, width: spec.width }),
            matrix: vec![0.0; spec.width * spec.positions],
            spec,
        }
    }
}

impl Operator for Flatten {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let FlattenSpec { width, head_dim, group, parts, mixes, from, .. } = self.spec;
        let lanes = if parts > 1 { Element::F32.lanes() } else { from.lanes() };
        let each = head_dim.div_ceil(from.lanes()) / mixes * (from.lanes() / lanes);
        let (row, v) = (self.taken / each, self.taken % each);
        let tokens: Vec<&[f32]> = firing.inputs.iter().map(|(_, token)| token).collect();
        for (unit, heads) in tokens.chunks_exact(parts * mixes).enumerate() {
            for m in 0..mixes {
                let mut sums: Vec<f32> =
                    heads.iter().skip(m).step_by(mixes).flat_map(|part| part.iter()).copied().collect();
                let mut sum = rdu_kernels::tree_sum(&mut sums, lanes).map_err(|error| error.to_string())?.to_vec();
                rdu_kernels::round(&mut sum, from.into());
                let (head, at) = (unit * group + row % group, (m * each + v) * lanes);
                // The rest of a head's last vector is padding, of which whole tokens may come.
                let len = lanes.min(head_dim.saturating_sub(at));
                let start = row / group * width + head * head_dim + at.min(head_dim);
                self.matrix.get_mut(start..start + len).ok_or("more rows than queries")?.copy_from_slice(&sum[..len]);
            }
        }
        self.taken += usize::from(!firing.inputs.is_empty());
        if firing.outputs.is_empty() {
            return Ok(());
        }
        self.out.send(&self.matrix, firing.outputs)?;
        if self.out.sent == self.out.order.tokens() {
            (self.taken, self.out.sent) = (0, 0);
        }
        Ok(())
    }
}

/// An elementwise function of flat fp32 tensors; each firing turns whole chunks into chunks of the output's width.
pub struct Map {
    pub function: Function,
    pub positions: usize,
    pub out: Element,
}

impl Operator for Map {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let positions = self.positions;
        // The firing's stretch of the tensor is a matrix of its own: elementwise functions do not see the rest.
        let width = firing.inputs.iter().next().map_or(0, |(_, x)| x.len()) / positions;
        let stretch: Vec<Vec<f32>> = firing
            .inputs
            .iter()
            .map(|(_, tokens)| {
                let mut matrix = vec![0.0; tokens.len()];
                Inlet::new(Flat { element: Element::F32, positions, width }).collect(tokens, &mut matrix);
                matrix
            })
            .collect();
        let inputs: Vec<&[f32]> = stretch.iter().map(Vec::as_slice).collect();
        let mut y = vec![0.0; width * positions];
        self.function.apply(&inputs, &mut y).map_err(|error| error.to_string())?;
        Outlet::new(Flat { element: self.out, positions, width }).send(&y, firing.outputs)
    }
}
