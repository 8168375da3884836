use thiserror::Error;

/// Why a kernel refused its operands. Nothing has been written when one of these is returned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KernelError {
    /// An operand's length does not follow from the given shape.
    #[error("{kernel}: {operand} has {found} elements, expected {expected}")]
    Length { kernel: &'static str, operand: &'static str, found: usize, expected: usize },
    /// An operand is longer than what it is combined with.
    #[error("{kernel}: {operand} has {found} elements, at most {limit} fit")]
    TooLong { kernel: &'static str, operand: &'static str, found: usize, limit: usize },
    /// An operand ends before the last element that the shape asks for.
    #[error("{kernel}: {operand} has {found} elements, at least {needed} are needed")]
    TooShort { kernel: &'static str, operand: &'static str, found: usize, needed: usize },
    /// Packed data must come in whole 64-byte vectors.
    #[error("{kernel}: {operand} has {found} elements, which is not a whole number of vectors of {lanes}")]
    Ragged { kernel: &'static str, operand: &'static str, found: usize, lanes: usize },
    /// A size that must be at least one is zero.
    #[error("{kernel}: {size} is 0, must be at least 1")]
    Zero { kernel: &'static str, size: &'static str },
    /// The element type named and the one given differ.
    #[error("{kernel}: the data is {found}, expected {expected}")]
    Element { kernel: &'static str, found: &'static str, expected: &'static str },
    /// A range of tiles that the weight does not have.
    #[error("{kernel}: tiles {start}..{end} asked for, the weight has {count}")]
    Tiles { kernel: &'static str, start: usize, end: usize, count: usize },
    /// A shape whose element count does not fit this machine's address space.
    #[error("{kernel}: the size of {operand} overflows ({rows} x {width})")]
    Overflow { kernel: &'static str, operand: &'static str, rows: usize, width: usize },
}

/// Checks of one kernel's operands; each names the kernel and the operand when it fails.
#[derive(Clone, Copy)]
pub(crate) struct Check(pub &'static str);

impl Check {
    pub fn length(self, operand: &'static str, found: usize, expected: usize) -> Result<(), KernelError> {
        if found == expected {
            return Ok(());
        }
        let kernel = self.0;
        Err(KernelError::Length { kernel, operand, found, expected })
    }

    pub fn at_most(self, operand: &'static str, found: usize, limit: usize) -> Result<(), KernelError> {
        if found <= limit {
            return Ok(());
        }
        let kernel = self.0;
        Err(KernelError::TooLong { kernel, operand, found, limit })
    }

    pub fn at_least(self, operand: &'static str, found: usize, needed: usize) -> Result<(), KernelError> {
        if found >= needed {
            return Ok(());
        }
        let kernel = self.0;
        Err(KernelError::TooShort { kernel, operand, found, needed })
    }

    pub fn whole(self, operand: &'static str, found: usize, lanes: usize) -> Result<(), KernelError> {
        if found.is_multiple_of(lanes) {
            return Ok(());
        }
        let kernel = self.0;
        Err(KernelError::Ragged { kernel, operand, found, lanes })
    }

    pub fn nonzero(self, size: &'static str, value: usize) -> Result<(), KernelError> {
        if value > 0 {
            return Ok(());
        }
        Err(KernelError::Zero { kernel: self.0, size })
    }

    pub fn product(self, operand: &'static str, rows: usize, width: usize) -> Result<usize, KernelError> {
        let kernel = self.0;
        rows.checked_mul(width).ok_or(KernelError::Overflow { kernel, operand, rows, width })
    }
}
