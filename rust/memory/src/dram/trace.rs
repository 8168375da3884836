//! What was sent to the device: one record a command.

use super::command::Command;

/// A command as it went out. Fields that it does not have are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issued {
    pub tick: u64,
    pub command: Command,
    pub channel: u32,
    pub pseudo_channel: u8,
    pub rank: u8,
    pub bank_group: u8,
    pub bank: u8,
    pub row: u32,
    /// In bursts.
    pub column: u32,
}
