//! A matrix read by columns: what a transpose costs the read port.
//!
//! The alignment unit keeps the words it has read until every element in them has left, so that elements narrower than
//! a word cost no word twice: of bf16 in 4-byte words two neighbouring columns come out of the same words. That a PMU
//! transposes at full rate is published; that it does so by a diagonal skew and such a register is assumed.

use super::access::{Access, MOST_LANES};
use super::description::{Port, Sram};
use super::error::SramError;
use super::layout::Layout;

/// A matrix in a PMU, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrix {
    pub base_bytes: u64,
    pub rows: u64,
    pub columns: u64,
    pub element_bytes: u64,
    /// From one row to the next.
    pub pitch_bytes: u64,
    pub layout: Layout,
}

/// The cost of reading it by columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transposed {
    pub cycles: u64,
    pub conflict_cycles: u64,
    /// Vectors that leave: pieces of columns, as wide as the read port.
    pub vectors: u64,
}

impl Sram {
    /// Reads a matrix by columns, in vectors as wide as the read port.
    pub fn transpose(&self, matrix: &Matrix) -> Result<Transposed, SramError> {
        let (word, element) = (self.description().bank_bytes, matrix.element_bytes);
        if element == 0 {
            return Err(SramError::ElementOfNone);
        }
        if !element.is_multiple_of(word) && !word.is_multiple_of(element) {
            return Err(SramError::Straddles { element_bytes: element, bank_bytes: word });
        }
        let elements = u128::from(matrix.rows) * u128::from(matrix.columns);
        if elements == 0 || elements > u128::from(MOST_LANES) {
            let lanes = u64::try_from(elements).unwrap_or(u64::MAX);
            return Err(SramError::Lanes { lanes, most: MOST_LANES });
        }
        let row_bytes = u128::from(matrix.columns) * u128::from(element);
        if u128::from(matrix.pitch_bytes) < row_bytes || matrix.pitch_bytes > i64::MAX as u64 {
            let least_bytes = u64::try_from(row_bytes).unwrap_or(u64::MAX);
            return Err(SramError::Pitch { pitch_bytes: matrix.pitch_bytes, least_bytes });
        }
        // Elements that are read together: the columns that share a word, or one wide element.
        let together = (word / element).max(1);
        let lanes = (self.description().read_bytes_per_cycle / element).max(1);
        let mut total = Transposed::default();
        for column in (0..matrix.columns).step_by(together as usize) {
            let columns = together.min(matrix.columns - column);
            for row in (0..matrix.rows).step_by(lanes as usize) {
                let offset = u128::from(row) * u128::from(matrix.pitch_bytes) + u128::from(column * element);
                let base = u128::from(matrix.base_bytes) + offset;
                let access = Access::strided(
                    // Beyond 64 bits it lies outside in any case.
                    u64::try_from(base).unwrap_or(u64::MAX),
                    matrix.pitch_bytes as i64,
                    columns * element,
                    lanes.min(matrix.rows - row),
                );
                let cost = self.cost(&access.laid(matrix.layout), Port::Read)?;
                // The words may come faster than the port lets the elements leave.
                total.cycles += cost.cycles.max(columns);
                total.conflict_cycles += cost.cycles.max(columns) - (cost.cycles - cost.conflict_cycles).max(columns);
                total.vectors += columns;
            }
        }
        Ok(total)
    }
}
