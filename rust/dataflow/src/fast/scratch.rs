//! The passes of one visit.

use super::body::CHUNK;

/// A pass over the firings of a chunk, with a place in front for what comes before the first.
pub(super) type Pass = [i64; CHUNK + 1];

/// The passes of one visit.
pub(super) struct Scratch {
    pub(super) starts: Pass,
    pub(super) spare: Pass,
    /// When tokens of other units are there, and those of memory.
    pub(super) data: Pass,
    pub(super) memory: Pass,
    /// Starts + ii.
    pub(super) ends: [i64; CHUNK],
    /// Where transfers go.
    pub(super) addresses: Vec<u64>,
}

impl Scratch {
    pub(super) fn new() -> Box<Self> {
        let (none, ends) = ([0; CHUNK + 1], [0; CHUNK]);
        Box::new(Scratch { starts: none, spare: none, data: none, memory: none, ends, addresses: Vec::new() })
    }
}
