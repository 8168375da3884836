//! What answers the transfers of load and store units. The engine knows only this much of a memory.

/// One transfer asked of a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// When the request reaches the memory.
    pub cycle: u64,
    pub unit: u32,
    pub tier: u32,
    pub write: bool,
    pub address: u64,
    pub bytes: u64,
}

/// A memory that answers requests in time order.
pub trait Memory {
    /// No answer comes sooner than this many cycles after its request (at least 1): the engine's look-ahead.
    fn lookahead(&self) -> u64;
    /// Serves one request and returns the cycle at which its bytes are there. Requests come ordered by (cycle, unit).
    fn serve(&mut self, request: &Request) -> u64;
}

/// For programs without load or store units.
pub struct NoMemory;

impl Memory for NoMemory {
    fn lookahead(&self) -> u64 {
        1
    }

    fn serve(&mut self, request: &Request) -> u64 {
        request.cycle + 1
    }
}
