//! When the bytes are there: DRAM devices command by command, tiers of them behind a network, and the SRAM of tiles.

pub mod dram;
pub mod error;
pub mod sram;
pub mod tier;

pub use error::MemoryError;
pub use tier::Tier;
