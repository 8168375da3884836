//! Where operands lie: addresses that a call relocates.

use serde::Deserialize;

/// An address that a call argument may relocate.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Address {
    pub base: u64,
    #[serde(default)]
    pub argument: Option<usize>,
}

impl Address {
    /// The same relative to the argument that stands so many further on.
    pub fn further(self, arguments: usize) -> Address {
        Address { argument: self.argument.and_then(|argument| argument.checked_add(arguments)), ..self }
    }

    pub fn resolve(self, arguments: &[u64]) -> u64 {
        let argument = self.argument.and_then(|argument| arguments.get(argument));
        self.base.wrapping_add(argument.copied().unwrap_or(0))
    }
}
