//! A device description that cannot be.

use thiserror::Error;

#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum MemoryError {
    #[error("{device}: {what} is {value}; it must be {rule}")]
    Value { device: String, what: &'static str, value: u64, rule: &'static str },
}
