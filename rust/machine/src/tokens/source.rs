//! Where the host keeps the vectors that a load unit streams: the order of need is not the order in which kernels read.

use crate::address::Address;
use rdu_kernels::VECTOR_BYTES;
use serde::Deserialize;

const BYTES: u64 = VECTOR_BYTES as u64;

/// The vectors of one operand, in the order in which its units need them.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// One vector after another; the next layer's begin `layer_bytes` later.
    Flat { at: Address, tokens: u64, layer_bytes: u64 },
    /// Rows of `run` vectors, chosen by the call's indices.
    Rows { at: Address, run: u64, stride: u64 },
    /// Weights of a linear operator, dealt to its lanes.
    Tiles { at: Address, layer_bytes: u64, order: Tiles },
    /// Cached rows, dealt to the units that weigh them.
    Cached { at: Address, seen: usize, order: Cached },
}

/// Tile `round * units + u`, part `s` of its sum, goes to lane `s * units + u`, one vector after another.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tiles {
    pub tiles: u64,
    pub inner: u64,
    pub width: u64,
    pub units: u64,
    pub splits: u64,
    /// Vectors of a lane and round: of the longest part.
    pub part: u64,
    pub rounds: u64,
}

/// Row `round * dots + c` of head `a`, part `m` of its vectors, goes to unit (a, c, m); `padded` vectors a row in all.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cached {
    pub heads: u64,
    pub per_head: u64,
    pub dots: u64,
    pub mixes: u64,
    pub padded: u64,
}

impl Tiles {
    /// Vectors of a whole pass, padding included.
    fn tokens(self) -> u64 {
        self.rounds * self.part * self.units * self.splits
    }

    /// The first and the last but one reduced index of part `s`.
    fn part_of(self, s: u64) -> (u64, u64) {
        let chunks = self.inner.div_ceil(self.width);
        let edge = |s: u64| (s * chunks / self.splits * self.width).min(self.inner);
        (edge(s), edge(s + 1))
    }

    /// Vector `token` as it lies in memory: tile by tile. `None`: padding.
    fn vector(self, token: u64) -> Option<u64> {
        let lanes = self.units * self.splits;
        let (lane, k, round) = (token % lanes, token / lanes % self.part, token / (lanes * self.part));
        let tile = round * self.units + lane % self.units;
        let (first, end) = self.part_of(lane / self.units);
        (tile < self.tiles && first + k < end).then(|| tile * self.inner + first + k)
    }
}

impl Cached {
    /// Row and vector of that row that `token` carries. `None`: padding.
    fn vector(self, token: u64) -> Option<(u64, u64)> {
        let round = self.dots * self.padded;
        let (round, at) = (token / round, token % round);
        if at >= self.dots * self.heads * self.per_head {
            return None;
        }
        let each = self.heads * self.dots * self.mixes;
        let (v, rest) = (at / each, at % each);
        let (a, c, m) = (rest / (self.dots * self.mixes), rest / self.mixes % self.dots, rest % self.mixes);
        Some((round * self.dots + c, a * self.per_head + m * (self.per_head / self.mixes) + v))
    }
}

impl Source {
    /// Where vector `token` lies; `None` for padding.
    pub fn address(&self, token: u64, arguments: &[u64], indices: &[u64]) -> Option<u64> {
        match *self {
            Source::Flat { at, tokens, layer_bytes } => {
                let (layer, token) = (token / tokens.max(1), token % tokens.max(1));
                Some(at.resolve(arguments) + layer * layer_bytes + token * BYTES)
            }
            Source::Rows { at, run, stride } => {
                let row = indices.get((token / run.max(1)) as usize)?;
                Some(at.resolve(arguments) + row * stride + token % run.max(1) * BYTES)
            }
            Source::Tiles { at, layer_bytes, order } => {
                let all = order.tokens().max(1);
                let vector = order.vector(token % all)?;
                Some(at.resolve(arguments) + token / all * layer_bytes + vector * BYTES)
            }
            Source::Cached { at, seen, order } => {
                let (row, vector) = order.vector(token)?;
                let seen = *arguments.get(seen)?;
                let vectors = order.heads * order.per_head;
                (row < seen).then(|| at.resolve(arguments) + (row * vectors + vector) * BYTES)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every vector of the operand occurs once, whatever the padding.
    #[test]
    fn tiles_are_dealt_whole() {
        for (tiles, inner, width, units, splits) in
            [(5, 70, 32, 2, 1), (5, 70, 32, 3, 2), (1, 33, 16, 1, 2), (4, 8, 4, 4, 2)]
        {
            let chunks = u64::div_ceil(inner, width);
            let part = (u64::div_ceil(chunks, splits) * width).min(inner);
            let order = Tiles { tiles, inner, width, units, splits, part, rounds: u64::div_ceil(tiles, units) };
            let mut seen: Vec<u64> = (0..order.tokens()).filter_map(|token| order.vector(token)).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..tiles * inner).collect::<Vec<_>>());
        }
    }

    #[test]
    fn cached_rows_are_dealt_whole() {
        for (dots, mixes) in [(1, 1), (4, 1), (1, 2), (2, 2)] {
            let order = Cached { heads: 3, per_head: 2, dots, mixes, padded: 8 };
            let mut seen: Vec<_> = (0..2 * dots * 8).filter_map(|token| order.vector(token)).collect();
            seen.sort_unstable();
            let all = (0..2 * dots).flat_map(|row| (0..6).map(move |vector| (row, vector)));
            assert_eq!(seen, all.collect::<Vec<_>>());
        }
    }
}
