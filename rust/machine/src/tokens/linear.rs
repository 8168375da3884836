//! A linear operator in two kinds of unit: macs, and the gather that joins them.

use super::Packed;
use crate::element::Element;
use rdu_dataflow::{Firing, Operator};
use serde::Deserialize;

/// One lane: part `first..first + inner` of the reduced dimension of one tile after another.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MacSpec {
    pub element: Element,
    pub positions: usize,
    /// First chunk of activations of this part, and its length in elements; more vectors than that are padding.
    pub first: usize,
    pub inner: usize,
    /// Tiles before the activations change.
    pub rounds: usize,
}

/// One weight vector a firing against activations held on chip; a tile of outputs after the whole part.
pub struct Mac {
    spec: MacSpec,
    /// Activations so far, flat.
    held: Vec<f32>,
    /// Reduced index of the next weight vector.
    k: usize,
    round: usize,
    /// `[position][lane]`
    sums: Vec<f32>,
}

impl Mac {
    pub fn new(spec: MacSpec) -> Self {
        let sums = vec![0.0; spec.positions * spec.element.lanes()];
        Mac { spec, held: Vec::new(), k: 0, round: 0, sums }
    }
}

impl Operator for Mac {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let MacSpec { element, positions, first, inner, rounds } = self.spec;
        let lanes = element.lanes();
        self.held.extend_from_slice(firing.inputs.get(1));
        let weight = firing.inputs.get(0);
        if weight.is_empty() {
            return Ok(());
        }
        if self.k < inner {
            let weight = Packed::new(weight, element)?;
            let (chunk, lane) = (first + self.k / lanes, self.k % lanes);
            for (p, sums) in self.sums.chunks_exact_mut(lanes).enumerate() {
                let x = self.held.get((chunk * positions + p) * lanes + lane).ok_or("weights ahead of activations")?;
                rdu_kernels::mac(sums, weight.as_vectors(), *x).map_err(|error| error.to_string())?;
            }
        }
        self.k += 1;
        if firing.outputs.is_empty() {
            return Ok(());
        }
        let width = Element::F32.lanes();
        let sums = &mut self.sums;
        firing.outputs.multicast(|out| {
            for (token, out) in out.chunks_exact_mut(width).enumerate() {
                let (chunk, p) = (token / positions, token % positions);
                out.copy_from_slice(&sums[p * lanes + chunk * width..][..width]);
            }
            Ok(())
        })?;
        sums.fill(0.0);
        (self.k, self.round) = (0, self.round + 1);
        if self.round == rounds {
            self.round = 0;
            self.held.clear();
        }
        Ok(())
    }
}

/// Takes a tile from every lane at once, then sends them in order: the parts of each added as a tree, then the bias.
pub struct Gather {
    pub parts: usize,
    pub units: usize,
    pub positions: usize,
    /// What the lanes sent: lane `part * units + unit`.
    tiles: Vec<f32>,
    unit: usize,
}

impl Gather {
    pub fn new(parts: usize, units: usize, positions: usize) -> Self {
        Gather { parts, units, positions, tiles: Vec::new(), unit: 0 }
    }
}

impl Operator for Gather {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let lanes = self.parts * self.units;
        let mut inputs = firing.inputs.iter().map(|(_, values)| values).peekable();
        if firing.inputs.iter().count() >= lanes {
            self.tiles.clear();
            inputs.by_ref().take(lanes).for_each(|tile| self.tiles.extend_from_slice(tile));
            self.unit = 0;
        }
        let bias = inputs.next();
        let width = self.tiles.len() / lanes;
        let mut parts = Vec::with_capacity(self.parts * width);
        for part in 0..self.parts {
            let at = (part * self.units + self.unit) * width;
            parts.extend_from_slice(self.tiles.get(at..at + width).ok_or("a tile that no lane sent")?);
        }
        self.unit += 1;
        let sums = rdu_kernels::tree_sum(&mut parts, width).map_err(|error| error.to_string())?;
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
