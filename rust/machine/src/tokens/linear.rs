//! A linear operator in two kinds of unit: macs, and the gather that joins them.

use super::Packed;
use crate::element::{Element, WeightElement};
use rdu_dataflow::{Firing, Operator};
use rdu_kernels::{BlockType, VECTOR_BYTES};
use serde::Deserialize;

/// One lane: part `first..first + inner` of the reduced dimension of one tile after another.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MacSpec {
    /// Blocks come as bytes, vector by vector.
    pub element: WeightElement,
    /// Element of the activations; whole numbers times whole numbers are summed exactly.
    pub x: Element,
    pub positions: usize,
    /// First tile's width of activations of this part, and its length in weight vectors; more of them are padding.
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
    /// Weight vectors of this tile so far.
    taken: usize,
    /// Bytes of a block that has not come whole.
    block: Vec<u8>,
    round: usize,
    /// `[position][lane]`
    sums: Vec<f32>,
    /// The same of whole numbers; they leave as the bits of 32-bit numbers.
    exact: Vec<i32>,
}

impl Mac {
    pub fn new(spec: MacSpec) -> Self {
        let count = spec.positions * spec.element.lanes();
        let (sums, exact) = match spec.x {
            Element::Int8 => (Vec::new(), vec![0; count]),
            _ => (vec![0.0; count], Vec::new()),
        };
        Mac { spec, held: Vec::new(), taken: 0, block: Vec::new(), round: 0, sums, exact }
    }

    /// Activation `k` of this part at a position.
    fn activation(&self, k: usize, position: usize) -> Result<f32, &'static str> {
        let MacSpec { element, x, positions, first, .. } = self.spec;
        let k = first * element.lanes() + k;
        let (chunk, lane) = (k / x.lanes(), k % x.lanes());
        let at = (chunk * positions + position) * x.lanes() + lane;
        self.held.get(at).copied().ok_or("weights ahead of activations")
    }

    /// Takes one weight vector.
    fn multiply(&mut self, weight: &[f32]) -> Result<(), String> {
        match self.spec.element {
            WeightElement::Values(element) => self.multiply_values(weight, element),
            WeightElement::Blocks(block) => self.multiply_blocks(weight, block.into()),
        }
    }

    /// Multiplies a block with its activations, at each position, once all of its vectors are there.
    fn multiply_blocks(&mut self, bytes: &[f32], kind: BlockType) -> Result<(), String> {
        self.block.extend(bytes.iter().map(|&byte| (byte as i8).cast_unsigned()));
        if self.block.len() < kind.bytes() * VECTOR_BYTES {
            return Ok(());
        }
        let first = self.taken / kind.bytes() * BlockType::WEIGHTS;
        for p in 0..self.spec.positions {
            let x =
                (first..first + BlockType::WEIGHTS).map(|k| self.activation(k, p)).collect::<Result<Vec<_>, _>>()?;
            let sums = &mut self.sums[p * BlockType::LANES..][..BlockType::LANES];
            rdu_kernels::mac_block(kind, sums, &self.block, &x).map_err(|error| error.to_string())?;
        }
        self.block.clear();
        Ok(())
    }

    /// Multiplies one weight vector with its activation, at each position.
    fn multiply_values(&mut self, weight: &[f32], element: Element) -> Result<(), String> {
        let lanes = element.lanes();
        let held = (0..self.spec.positions).map(|p| self.activation(self.taken, p)).collect::<Result<Vec<_>, _>>()?;
        for (sums, &x) in self.exact.chunks_exact_mut(lanes).zip(&held) {
            let x = x as i32;
            // Both are whole numbers from -127 to 127, and the compiler bounds their number: nothing can overflow.
            sums.iter_mut().zip(weight).for_each(|(sum, weight)| *sum = sum.wrapping_add(*weight as i32 * x));
        }
        if self.exact.is_empty() {
            let weight = Packed::new(weight, element)?;
            for (sums, &x) in self.sums.chunks_exact_mut(lanes).zip(&held) {
                rdu_kernels::mac(sums, weight.as_vectors(), x).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }
}

impl Operator for Mac {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let MacSpec { element, positions, inner, rounds, .. } = self.spec;
        let lanes = element.lanes();
        self.held.extend_from_slice(firing.inputs.get(1));
        let weight = firing.inputs.get(0);
        if weight.is_empty() {
            return Ok(());
        }
        if self.taken < inner {
            self.multiply(weight)?;
        }
        self.taken += 1;
        if firing.outputs.is_empty() {
            return Ok(());
        }
        let width = Element::F32.lanes();
        if !self.exact.is_empty() {
            self.sums = self.exact.iter().map(|sum| f32::from_bits(sum.cast_unsigned())).collect();
            self.exact.fill(0);
        }
        let sums = &mut self.sums;
        firing.outputs.multicast(|out| {
            for (token, out) in out.chunks_exact_mut(width).enumerate() {
                let (chunk, p) = (token / positions, token % positions);
                out.copy_from_slice(&sums[p * lanes + chunk * width..][..width]);
            }
            Ok(())
        })?;
        sums.fill(0.0);
        (self.taken, self.round) = (0, self.round + 1);
        if self.round == rounds {
            self.round = 0;
            self.held.clear();
        }
        Ok(())
    }
}

/// How a gather makes outputs of its lanes' sums. Inputs: the lanes' tiles, lane `part * units + unit`; then of those that
/// there are, in this order, the scales of the rows, the scales of the outputs, and the bias.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatherSpec {
    pub parts: usize,
    pub units: usize,
    pub positions: usize,
    /// Sums are whole numbers, and each position has a scale.
    pub quantized: bool,
    /// Each output has a scale.
    pub scaled: bool,
}

/// Takes a tile from every lane at once, then sends them in order: the parts of each added as a tree, then scales and bias.
pub struct Gather {
    spec: GatherSpec,
    /// What the lanes sent.
    tiles: Vec<f32>,
    /// What the whole numbers of each position count.
    rows: Vec<f32>,
    unit: usize,
}

impl Gather {
    pub fn new(spec: GatherSpec) -> Self {
        Gather { spec, tiles: Vec::new(), rows: Vec::new(), unit: 0 }
    }

    /// The next tile: sums of its parts, each row's scale applied where there is one (and with it the outputs').
    fn tile(&mut self, scales: &[f32]) -> Result<Vec<f32>, String> {
        let GatherSpec { parts, units, positions, quantized, .. } = self.spec;
        let width = self.tiles.len() / (parts * units).max(1);
        let mut sums = Vec::with_capacity(parts * width);
        for part in 0..parts {
            let at = (part * units + self.unit) * width;
            sums.extend_from_slice(self.tiles.get(at..at + width).ok_or("a tile that no lane sent")?);
        }
        self.unit += 1;
        let lanes = Element::F32.lanes();
        let scale = |at: usize| scales.get(at / lanes / positions * lanes + at % lanes).copied();
        if quantized {
            let exact = |at: usize| {
                let parts = sums[at..].iter().step_by(width);
                let sum = parts.fold(0i32, |sum, part| sum.wrapping_add(part.to_bits().cast_signed()));
                let row = self.rows.get(at / lanes % positions).ok_or("sums ahead of their rows' scales")?;
                Ok(sum as f32 * (row * scale(at).unwrap_or(1.0)))
            };
            return (0..width).map(exact).collect();
        }
        rdu_kernels::tree_sum(&mut sums, width).map_err(|error| error.to_string())?;
        sums.truncate(width);
        if self.spec.scaled {
            sums.iter_mut().enumerate().for_each(|(at, sum)| *sum *= scale(at).unwrap_or(1.0));
        }
        Ok(sums)
    }
}

impl Operator for Gather {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let GatherSpec { parts, units, positions, quantized, scaled } = self.spec;
        let lanes = parts * units;
        if firing.inputs.iter().next().is_some_and(|(index, _)| index == 0) {
            self.tiles.clear();
            firing.inputs.iter().take(lanes).for_each(|(_, tile)| self.tiles.extend_from_slice(tile));
            self.unit = 0;
        }
        if quantized && !firing.inputs.get(lanes).is_empty() {
            self.rows = firing.inputs.get(lanes).to_vec();
        }
        if firing.outputs.is_empty() {
            return Ok(());
        }
        let beside = lanes + usize::from(quantized);
        let scales = if scaled { firing.inputs.get(beside) } else { &[] };
        let bias = firing.inputs.get(beside + usize::from(scaled));
        let sums = self.tile(scales)?;
        let width = Element::F32.lanes();
        firing.outputs.multicast(|out| {
            // The last tile may be wider than what is left of the tensor.
            out.copy_from_slice(sums.get(..out.len()).ok_or("more leaves than lanes sent")?);
            if !bias.is_empty() {
                for (token, out) in out.chunks_exact_mut(width).enumerate() {
                    let bias = bias.get(token / positions * width..).ok_or("a bias narrower than its tile")?;
                    out.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
                }
            }
            Ok(())
        })
    }
}
