//! Units that collect a tensor, transform it, and send it in the order that the next units take.

use crate::kernel::Element;
use crate::plan::{Function, rotate};
use rdu_dataflow::{Firing, Operator};

/// Flat order: token n holds chunk n / positions of position n % positions.
#[derive(Clone, Copy)]
pub struct Flat {
    lanes: usize,
    positions: usize,
    element: Element,
}

impl Flat {
    pub fn new(element: Element, positions: usize) -> Self {
        Flat { lanes: element.lanes(), positions, element }
    }

    fn place(&self, token: usize, width: usize) -> (usize, usize) {
        let (chunk, p) = (token / self.positions, token % self.positions);
        (p * width + chunk * self.lanes, self.lanes.min(width.saturating_sub(chunk * self.lanes)))
    }

    /// Puts `tokens` from number `first` on into a row-major matrix of `width` columns.
    fn collect(&self, tokens: &[f32], first: usize, width: usize, matrix: &mut [f32]) {
        for (at, token) in tokens.chunks_exact(self.lanes).enumerate() {
            let (start, len) = self.place(first + at, width);
            matrix[start..start + len].copy_from_slice(&token[..len]);
        }
    }

    /// Fills `out` with the tokens from number `first` on; the rest of a last chunk is zero.
    fn send(&self, matrix: &[f32], width: usize, first: usize, out: &mut [f32]) {
        for (at, token) in out.chunks_exact_mut(self.lanes).enumerate() {
            let (start, len) = self.place(first + at, width);
            token[..len].copy_from_slice(&matrix[start..start + len]);
            token[len..].fill(0.0);
        }
        rdu_kernels::round(out, self.element.into());
    }
}

/// Rows order: each stretch of `head_dim` values padded to whole tokens.
#[derive(Clone, Copy)]
struct Rows {
    lanes: usize,
    head_dim: usize,
    element: Element,
}

impl Rows {
    fn new(element: Element, head_dim: usize) -> Self {
        Rows { lanes: element.lanes(), head_dim, element }
    }

    fn place(&self, token: usize) -> (usize, usize) {
        let per_head = self.head_dim.div_ceil(self.lanes);
        let start = token % per_head * self.lanes;
        (token / per_head * self.head_dim + start, self.lanes.min(self.head_dim - start))
    }

    fn send(&self, matrix: &[f32], first: usize, out: &mut [f32]) {
        for (at, token) in out.chunks_exact_mut(self.lanes).enumerate() {
            let (start, len) = self.place(first + at);
            token[..len].copy_from_slice(&matrix[start..start + len]);
            token[len..].fill(0.0);
        }
        rdu_kernels::round(out, self.element.into());
    }
}

/// Norm over groups of a row.
pub struct Norm {
    input: Flat,
    out: Flat,
    width: usize,
    group: usize,
    eps: f32,
    matrix: Vec<f32>,
    weight: Vec<f32>,
    taken: usize,
    sent: usize,
}

impl Norm {
    pub fn new(width: usize, group: usize, eps: f32, positions: usize, out: Element) -> Self {
        Norm {
            input: Flat::new(Element::F32, positions),
            out: Flat::new(out, positions),
            width,
            group,
            eps,
            matrix: vec![0.0; width * positions],
            weight: Vec::new(),
            taken: 0,
            sent: 0,
        }
    }
}

impl Operator for Norm {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let tokens = firing.inputs.get(0);
        self.input.collect(tokens, self.taken, self.width, &mut self.matrix);
        self.taken += tokens.len() / self.input.lanes;
        self.weight.extend_from_slice(firing.inputs.get(1));
        if firing.outputs.is_empty() {
            return Ok(());
        }
        if self.sent == 0 {
            let x = self.matrix.clone();
            rdu_kernels::rms_norm(&x, self.group, &self.weight[..self.group], self.eps, &mut self.matrix)
                .map_err(|error| error.to_string())?;
        }
        let mut sent = 0;
        firing.outputs.multicast(|out| {
            self.out.send(&self.matrix, self.width, self.sent, out);
            sent = out.len() / self.out.lanes;
            Ok(())
        })?;
        self.sent += sent;
        Ok(())
    }
}

/// Flat in, rows out.
pub struct Heads {
    input: Flat,
    out: Rows,
    width: usize,
    interleaved: bool,
    matrix: Vec<f32>,
    table: Vec<f32>,
    taken: usize,
    sent: usize,
}

impl Heads {
    pub fn new(width: usize, head_dim: usize, interleaved: bool, positions: usize, out: Element) -> Self {
        Heads {
            input: Flat::new(Element::F32, positions),
            out: Rows::new(out, head_dim),
            width,
            interleaved,
            matrix: vec![0.0; width * positions],
            table: Vec::new(),
            taken: 0,
            sent: 0,
        }
    }
}

impl Operator for Heads {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let tokens = firing.inputs.get(0);
        self.input.collect(tokens, self.taken, self.width, &mut self.matrix);
        self.taken += tokens.len() / self.input.lanes;
        self.table.extend_from_slice(firing.inputs.get(1));
        if firing.outputs.is_empty() {
            return Ok(());
        }
        if self.sent == 0 && !self.table.is_empty() {
            let per_position = self.table.len() / (self.matrix.len() / self.width);
            for (row, turn) in self.matrix.chunks_mut(self.width).zip(self.table.chunks(per_position)) {
                for head in row.chunks_mut(self.out.head_dim) {
                    rotate(head, turn, self.interleaved).map_err(|error| error.to_string())?;
                }
            }
        }
        let mut sent = 0;
        firing.outputs.multicast(|out| {
            self.out.send(&self.matrix, self.sent, out);
            sent = out.len() / self.out.lanes;
            Ok(())
        })?;
        self.sent += sent;
        Ok(())
    }
}

/// Rows in, one input for each group of heads; flat out.
pub struct Flatten {
    input: Rows,
    out: Flat,
    width: usize,
    positions: usize,
    /// Per input: the values of its rows so far, and the tokens that brought them.
    parts: Vec<(Vec<f32>, usize)>,
    matrix: Vec<f32>,
    sent: usize,
}

impl Flatten {
    pub fn new(width: usize, head_dim: usize, from: Element, positions: usize, out: Element) -> Self {
        Flatten {
            input: Rows::new(from, head_dim),
            out: Flat::new(out, positions),
            width,
            positions,
            parts: Vec::new(),
            matrix: vec![0.0; width * positions],
            sent: 0,
        }
    }
}

impl Operator for Flatten {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        for (index, tokens) in firing.inputs.iter() {
            self.parts.resize(self.parts.len().max(index + 1), (Vec::new(), 0));
            let (part, taken) = &mut self.parts[index];
            for token in tokens.chunks_exact(self.input.lanes) {
                let (_, len) = self.input.place(*taken);
                part.extend_from_slice(&token[..len]);
                *taken += 1;
            }
        }
        if firing.outputs.is_empty() {
            return Ok(());
        }
        if self.sent == 0 {
            // Position p of part i is its p-th stretch; the parts lie side by side in a row.
            let wide = self.width / self.parts.len().max(1);
            for (index, (part, _)) in self.parts.iter().enumerate() {
                for p in 0..self.positions {
                    let to = &mut self.matrix[p * self.width + index * wide..][..wide];
                    to.copy_from_slice(part.get(p * wide..(p + 1) * wide).ok_or("rows are missing")?);
                }
            }
        }
        let mut sent = 0;
        firing.outputs.multicast(|out| {
            self.out.send(&self.matrix, self.width, self.sent, out);
            sent = out.len() / self.out.lanes;
            Ok(())
        })?;
        self.sent += sent;
        Ok(())
    }
}

/// An elementwise function of flat fp32 tensors; each firing turns whole chunks into chunks of the output's width.
pub struct Map {
    pub function: Function,
    pub positions: usize,
    pub out: Flat,
}

impl Operator for Map {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let input = Flat::new(Element::F32, self.positions);
        let columns = firing.inputs.iter().next().map_or(0, |(_, x)| x.len()) / self.positions;
        // The firing's stretch of the tensor as a matrix of its own: elementwise functions do not see the rest.
        let stretch: Vec<Vec<f32>> = firing
            .inputs
            .iter()
            .map(|(_, tokens)| {
                let mut matrix = vec![0.0; tokens.len()];
                input.collect(tokens, 0, columns, &mut matrix);
                matrix
            })
            .collect();
        let inputs: Vec<&[f32]> = stretch.iter().map(Vec::as_slice).collect();
        let mut y = vec![0.0; columns * self.positions];
        self.function.apply(&inputs, &mut y).map_err(|error| error.to_string())?;
        firing.outputs.multicast(|out| {
            self.out.send(&y, columns, 0, out);
            Ok(())
        })
    }
}
