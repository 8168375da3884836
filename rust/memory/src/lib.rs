//! When the bytes are there: memory devices as channels with bandwidth, latency and refresh.

pub mod channels;
pub mod dram;
pub mod error;
pub mod sram;

pub use channels::{Channels, Device, Traffic};
pub use error::MemoryError;
