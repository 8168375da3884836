//! A tier that cannot be.

use crate::dram::DramError;
use thiserror::Error;

#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum MemoryError {
    #[error("{device}: {what} is {value}; it must be {rule}")]
    Value { device: String, what: &'static str, value: u64, rule: &'static str },
    #[error(transparent)]
    Dram(#[from] DramError),
}
