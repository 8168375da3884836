//! A DRAM device, command by command: see `config` for what describes it.

pub mod config;
pub mod error;
pub mod map;

pub use config::Config;
pub use error::DramError;
pub use map::{AddressMap, Location};
