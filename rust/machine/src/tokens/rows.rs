//! Units that collect a tensor, transform it, and send it in the order that the next units take.

use crate::element::Element;
use crate::function::{Function, rotate};
use rdu_dataflow::{Firing, Operator, Tokens};

/// How a row-major matrix is cut into tokens.
trait Order {
    fn element(&self) -> Element;

    /// Where token number `token` begins in the matrix, and how many values it holds; the rest of it is padding.
    fn place(&self, token: usize) -> (usize, usize);
}

/// Flat order: token n holds chunk n / positions of position n % positions.
#[derive(Clone, Copy)]
struct Flat {
    pub element: Element,
    pub positions: usize,
    pub width: usize,
}

impl Order for Flat {
    fn element(&self) -> Element {
        self.element
    }

    fn place(&self, token: usize) -> (usize, usize) {
        let lanes = self.element.lanes();
        let (start, p) = (token / self.positions * lanes, token % self.positions);
        (p * self.width + start, lanes.min(self.width.saturating_sub(start)))
    }
}

/// Rows order: each stretch of `head_dim` values padded to whole tokens.
#[derive(Clone, Copy)]
struct Rows {
    element: Element,
    head_dim: usize,
}

impl Order for Rows {
    fn element(&self) -> Element {
        self.element
    }

    fn place(&self, token: usize) -> (usize, usize) {
        let lanes = self.element.lanes();
        let per_head = self.head_dim.div_ceil(lanes);
        let start = token % per_head * lanes;
        (token / per_head * self.head_dim + start, lanes.min(self.head_dim - start))
    }
}

/// Collects tokens as they come.
struct Inlet<O> {
    order: O,
    taken: usize,
}

impl<O: Order> Inlet<O> {
    fn new(order: O) -> Self {
        Inlet { order, taken: 0 }
    }

    fn collect(&mut self, tokens: &[f32], matrix: &mut [f32]) {
        for token in tokens.chunks_exact(self.order.element().lanes()) {
            let (start, len) = self.order.place(self.taken);
            matrix[start..start + len].copy_from_slice(&token[..len]);
            self.taken += 1;
        }
    }
}

/// Sends a matrix, as many tokens a firing as the outputs take; values are rounded to the order's element.
struct Outlet<O> {
    order: O,
    sent: usize,
}

impl<O: Order> Outlet<O> {
    fn new(order: O) -> Self {
        Outlet { order, sent: 0 }
    }

    fn send(&mut self, matrix: &[f32], outputs: &mut Tokens) -> Result<(), String> {
        let (order, first) = (&self.order, self.sent);
        let lanes = order.element().lanes();
        let mut count = 0;
        outputs.multicast(|out| {
            count = out.len() / lanes;
            for (at, token) in out.chunks_exact_mut(lanes).enumerate() {
                let (start, len) = order.place(first + at);
                token[..len].copy_from_slice(&matrix[start..start + len]);
                token[len..].fill(0.0);
            }
            rdu_kernels::round(out, order.element().into());
            Ok(())
        })?;
        self.sent += count;
        Ok(())
    }
}

/// Norm over groups of a row.
pub struct Norm {
    input: Inlet<Flat>,
    out: Outlet<Flat>,
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
        if !firing.outputs.is_empty() && self.out.sent == 0 {
            let x = self.matrix.clone();
            let weight = self.weight.get(..self.group).ok_or("weights are missing")?;
            rdu_kernels::rms_norm(&x, self.group, weight, self.eps, &mut self.matrix)
                .map_err(|error| error.to_string())?;
        }
        self.out.send(&self.matrix, firing.outputs)
    }
}

/// Flat in, rows out; rotated where a table comes in.
pub struct Heads {
    input: Inlet<Flat>,
    out: Outlet<Rows>,
    interleaved: bool,
    matrix: Vec<f32>,
    table: Vec<f32>,
}

impl Heads {
    pub fn new(width: usize, head_dim: usize, interleaved: bool, positions: usize, out: Element) -> Self {
        Heads {
            input: Inlet::new(Flat { element: Element::F32, positions, width }),
            out: Outlet::new(Rows { element: out, head_dim }),
            interleaved,
            matrix: vec![0.0; width * positions],
            table: Vec::new(),
        }
    }
}

impl Operator for Heads {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        self.input.collect(firing.inputs.get(0), &mut self.matrix);
        self.table.extend_from_slice(firing.inputs.get(1));
        if !firing.outputs.is_empty() && self.out.sent == 0 && !self.table.is_empty() {
            let Flat { positions, width, .. } = self.input.order;
            for (row, turn) in self.matrix.chunks_mut(width).zip(self.table.chunks(self.table.len() / positions)) {
                for head in row.chunks_mut(self.out.order.head_dim) {
                    rotate(head, turn, self.interleaved).map_err(|error| error.to_string())?;
                }
            }
        }
        self.out.send(&self.matrix, firing.outputs)
    }
}

/// Rows in, one input for each group of heads; flat out.
pub struct Flatten {
    from: Rows,
    /// Per input: its rows so far.
    parts: Vec<(Inlet<Rows>, Vec<f32>)>,
    out: Outlet<Flat>,
    matrix: Vec<f32>,
}

impl Flatten {
    pub fn new(width: usize, head_dim: usize, from: Element, positions: usize, out: Element) -> Self {
        Flatten {
            from: Rows { element: from, head_dim },
            parts: Vec::new(),
            out: Outlet::new(Flat { element: out, positions, width }),
            matrix: vec![0.0; width * positions],
        }
    }

    /// Position p of part i is its p-th stretch; the parts lie side by side in a row.
    fn join(&mut self) -> Result<(), String> {
        let Flat { positions, width, .. } = self.out.order;
        let wide = width / self.parts.len().max(1);
        for (index, (inlet, part)) in self.parts.iter().enumerate() {
            let per_head = self.from.head_dim.div_ceil(self.from.element.lanes());
            if inlet.taken * self.from.head_dim != part.len() * per_head {
                return Err("rows are missing".to_string());
            }
            for (p, stretch) in part.chunks(wide).enumerate().take(positions) {
                self.matrix[p * width + index * wide..][..stretch.len()].copy_from_slice(stretch);
            }
        }
        Ok(())
    }
}

impl Operator for Flatten {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        for (index, tokens) in firing.inputs.iter() {
            while self.parts.len() <= index {
                self.parts.push((Inlet::new(self.from), Vec::new()));
            }
            let (inlet, part) = &mut self.parts[index];
            let (start, len) = self.from.place(inlet.taken + tokens.len() / self.from.element.lanes() - 1);
            part.resize(start + len, 0.0);
            inlet.collect(tokens, part);
        }
        if !firing.outputs.is_empty() && self.out.sent == 0 {
            self.join()?;
        }
        self.out.send(&self.matrix, firing.outputs)
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
