//! Which word lies in which bank.

use super::description::Sram;
use super::error::SramError;

/// How consecutive words spread over the banks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Word w in bank w mod banks.
    Linear,
    /// Rows of `row_bytes`, each shifted by one bank against the row above (a diagonal skew): a row and a column of a
    /// matrix with this pitch are both free of conflicts. Rows shorter than a line must divide it; the skew then goes
    /// line by line, which serves their columns as well.
    Skewed { row_bytes: u64 },
}

/// A layout on the banks of one PMU. Lines are never torn: word w lies in row w / banks of its bank in any layout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placement {
    pub banks: u64,
    /// Words between two shifts by a bank, a multiple of `banks`; none: linear.
    pub row_words: Option<u64>,
}

impl Placement {
    pub fn new(sram: &Sram, layout: Layout) -> Result<Self, SramError> {
        let banks = sram.description().banks;
        let Layout::Skewed { row_bytes } = layout else {
            return Ok(Placement { banks, row_words: None });
        };
        let (line, word) = (sram.line_bytes(), sram.description().bank_bytes);
        let whole = row_bytes > 0 && (row_bytes.is_multiple_of(line) || line.is_multiple_of(row_bytes));
        if !whole || row_bytes > sram.description().capacity_bytes {
            let padded = row_bytes.max(1).div_ceil(line).saturating_mul(line);
            return Err(SramError::Row { row_bytes, line_bytes: line, padded_bytes: padded });
        }
        Ok(Placement { banks, row_words: Some(row_bytes.max(line) / word) })
    }

    /// Banks by which the row of this word is shifted.
    pub fn shift(&self, word: u64) -> u64 {
        self.row_words.map_or(0, |row| word / row % self.banks)
    }

    /// The bank of a word.
    pub fn bank(&self, word: u64) -> u64 {
        (word % self.banks + self.shift(word)) % self.banks
    }

    /// After so many words everything repeats: a shift by this much changes no bank.
    pub fn period_words(&self) -> u64 {
        self.row_words.map_or(self.banks, |row| row * self.banks)
    }
}
