//! What cannot be described, and what cannot be replayed.

use thiserror::Error;

#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum DramError {
    #[error("{device}: {key} is {value}; it must be {rule}")]
    Value { device: String, key: &'static str, value: u64, rule: &'static str },
    #[error("{device}: map.fields has {field:?}; {rule}")]
    Field { device: String, field: String, rule: &'static str },
    #[error("{device}: map.fields places {placed} bits of {field}, whose size {size} takes {bits}")]
    Bits { device: String, field: &'static str, placed: u32, size: u64, bits: u32 },
    #[error("{device}: {key} is {value}; the address map needs a power of two there")]
    PowerOfTwo { device: String, key: &'static str, value: u64 },
    #[error("request {request}: bytes {address:#x} to {end:#x} do not lie in {device} of {capacity_bytes:#x} bytes")]
    Outside { device: String, request: u64, address: u64, end: u128, capacity_bytes: u64 },
    #[error("request {request} at {address:#x} asks for no bytes")]
    Empty { request: u64, address: u64 },
    #[error("{what} has {length} entries for {requests} requests")]
    Length { what: &'static str, length: u64, requests: u64 },
    #[error("request {request} arrives at {arrival_ps} ps, before request {before} at {before_ps} ps; sort them")]
    Order { request: u64, arrival_ps: u64, before: u64, before_ps: u64 },
    #[error("{what} is {value}; it must be {rule}")]
    Option { what: &'static str, value: u64, rule: &'static str },
    #[error("stopped")]
    Stopped,
}
