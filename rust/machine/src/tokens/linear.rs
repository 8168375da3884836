//! A linear operator in two kinds of unit: macs, and the gather that joins them.

use super::Packed;
use crate::element::Element;
use rdu_dataflow::{Firing, Operator};

/// One weight vector a firing against activations held on chip; a tile of outputs after the whole reduced dimension.
pub struct Mac {
    element: Element,
    positions: usize,
    /// Activations so far, flat.
    held: Vec<f32>,
    /// Reduced index of the next weight vector.
    k: usize,
    /// `[position][lane]`
    sums: Vec<f32>,
}

impl Mac {
    pub fn new(element: Element, positions: usize) -> Self {
        Mac { element, positions, held: Vec::new(), k: 0, sums: vec![0.0; positions * element.lanes()] }
    }
}

impl Operator for Mac {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let lanes = self.element.lanes();
        self.held.extend_from_slice(firing.inputs.get(1));
        let weight = Packed::new(firing.inputs.get(0), self.element)?;
        let (chunk, lane) = (self.k / lanes, self.k % lanes);
        for (p, sums) in self.sums.chunks_exact_mut(lanes).enumerate() {
            let x = self.held.get((chunk * self.positions + p) * lanes + lane).ok_or("weights ahead of activations")?;
            rdu_kernels::mac(sums, weight.as_vectors(), *x).map_err(|error| error.to_string())?;
        }
        self.k += 1;
        if firing.outputs.is_empty() {
            return Ok(());
        }
        let (width, positions) = (Element::F32.lanes(), self.positions);
        let sums = &mut self.sums;
        firing.outputs.multicast(|out| {
            for (token, out) in out.chunks_exact_mut(width).enumerate() {
                let (chunk, p) = (token / positions, token % positions);
                out.copy_from_slice(&sums[p * lanes + chunk * width..][..width]);
            }
            Ok(())
        })?;
        sums.fill(0.0);
        self.k = 0;
        Ok(())
    }
}

/// One tile a firing: the parts of its sums added as a tree, then the bias.
pub struct Gather {
    pub parts: usize,
    pub positions: usize,
}

impl Operator for Gather {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let parts: Vec<&[f32]> = firing.inputs.iter().take(self.parts).map(|(_, values)| values).collect();
        let bias = firing.inputs.iter().nth(self.parts).map(|(_, values)| values);
        let width = parts.first().map_or(0, |part| part.len());
        let mut all = parts.concat();
        let sums = rdu_kernels::tree_sum(&mut all, width).map_err(|error| error.to_string())?;
        let (lanes, positions) = (Element::F32.lanes(), self.positions);
        firing.outputs.multicast(|out| {
            // The last tile may be wider than what is left of the tensor.
            out.copy_from_slice(&sums[..out.len()]);
            if let Some(bias) = bias {
                for (token, out) in out.chunks_exact_mut(lanes).enumerate() {
                    let bias = &bias[token / positions * lanes..][..lanes];
                    out.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
                }
            }
            Ok(())
        })
    }
}
