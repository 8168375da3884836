//! Values on tokens: what a unit computes in one firing.

/// The tokens of one firing, by input or output index. Scratch that the engine reuses.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    spans: Vec<(usize, usize, usize)>,
    values: Vec<f32>,
}

impl Tokens {
    pub(crate) fn clear(&mut self) {
        self.spans.clear();
        self.values.clear();
    }

    /// Room for `count` values at end `index`.
    pub(crate) fn open(&mut self, index: usize, count: usize) -> &mut [f32] {
        let start = self.values.len();
        self.values.resize(start + count, 0.0);
        self.spans.push((index, start, start + count));
        &mut self.values[start..]
    }

    fn span(&self, index: usize) -> Option<(usize, usize)> {
        self.spans.iter().find(|span| span.0 == index).map(|span| (span.1, span.2))
    }

    /// Values at end `index`; empty when this firing leaves it alone.
    pub fn get(&self, index: usize) -> &[f32] {
        self.span(index).map_or(&[], |(start, end)| &self.values[start..end])
    }

    pub fn get_mut(&mut self, index: usize) -> &mut [f32] {
        match self.span(index) {
            Some((start, end)) => &mut self.values[start..end],
            None => &mut [],
        }
    }

    /// (end index, values) of every end that this firing touches, in the phase's order.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &[f32])> + Clone {
        self.spans.iter().map(|&(index, start, end)| (index, &self.values[start..end]))
    }

    /// Writes the same values to every end: a multicast.
    pub fn multicast(&mut self, mut write: impl FnMut(&mut [f32]) -> Result<(), String>) -> Result<(), String> {
        let Some(&(_, start, end)) = self.spans.first() else { return Ok(()) };
        write(&mut self.values[start..end])?;
        for &(_, other, stop) in &self.spans[1..] {
            if stop - other != end - start {
                return Err(format!("multicast of {} values to an output that takes {}", end - start, stop - other));
            }
            self.values.copy_within(start..end, other);
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

/// Values that are copied at once: one long copy between buffers that lie alike within their pages is several times slower
/// on some processors.
pub(crate) const PIECE: usize = 256;

/// Copies values piece by piece.
pub(crate) fn copy(to: &mut [f32], from: &[f32]) {
    for (to, from) in to.chunks_mut(PIECE).zip(from.chunks(PIECE)) {
        to.copy_from_slice(from);
    }
}

/// One firing, seen by the operator of its unit.
pub struct Firing<'a> {
    pub phase: usize,
    /// In a load or store unit: the address pattern that this firing follows, and where its transfer goes.
    pub transfer: Option<(usize, u64)>,
    pub inputs: &'a Tokens,
    pub outputs: &'a mut Tokens,
}

/// Successive firings of one phase, seen by the operator of their unit.
pub struct Block<'a, 'v> {
    pub phase: usize,
    pub firings: usize,
    /// In a load or store unit: the address pattern, and where each firing's transfer goes.
    pub transfers: Option<(usize, &'a [u64])>,
    /// (end index, values) of every end that the phase touches: the same number of values for each firing.
    pub inputs: &'a [(usize, &'v [f32])],
    pub outputs: &'a mut [(usize, &'v mut [f32])],
}

/// What a unit computes. Called in the order of the unit's firings.
pub trait Operator: Send {
    /// Fills `firing.outputs`; an `Err` says in words what does not fit.
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String>;

    /// The same for a whole block; an operator that can do better than one firing at a time says how.
    fn fire_many(&mut self, block: Block<'_, '_>) -> Result<(), String> {
        let (mut inputs, mut outputs) = (Tokens::default(), Tokens::default());
        for at in 0..block.firings {
            inputs.clear();
            outputs.clear();
            for (index, values) in block.inputs {
                let each = values.len() / block.firings;
                inputs.open(*index, each).copy_from_slice(&values[at * each..(at + 1) * each]);
            }
            for (index, values) in block.outputs.iter() {
                outputs.open(*index, values.len() / block.firings);
            }
            let transfer = block.transfers.map(|(pattern, addresses)| (pattern, addresses[at]));
            self.fire(Firing { phase: block.phase, transfer, inputs: &inputs, outputs: &mut outputs })?;
            for (index, values) in block.outputs.iter_mut() {
                let each = values.len() / block.firings;
                values[at * each..(at + 1) * each].copy_from_slice(outputs.get(*index));
            }
        }
        Ok(())
    }
}
