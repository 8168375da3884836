//! What answers the transfers of load and store units. The engine knows only this much of a memory.

/// One transfer asked of a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// When the request leaves its unit.
    pub cycle: u64,
    pub unit: u32,
    /// Transfers of the unit before this one.
    pub number: u64,
    pub tier: u32,
    pub write: bool,
    pub address: u64,
    pub bytes: u64,
}

/// A transfer that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub unit: u32,
    pub number: u64,
    /// When its bytes are there.
    pub cycle: u64,
}

/// A memory that answers requests as time goes on.
///
/// Units cannot ask again before they are answered, so the engine and its memory take turns: the engine tells all
/// requests up to a cycle that nothing unknown can precede, the memory tells all answers that no later request can change.
pub trait Memory {
    /// No answer comes sooner than this many cycles after its request (at least 1), and none within as many cycles of
    /// the last `advance` is still open: the engine's look-ahead.
    fn lookahead(&self) -> u64;
    /// Takes a request. They come ordered by (cycle, unit), those of a unit by number, none before the last `advance`.
    fn ask(&mut self, request: &Request);
    /// All requests before `cycle` have been asked: hands out at least the answers before `cycle + lookahead()`.
    fn advance(&mut self, cycle: u64, answers: &mut Vec<Answer>);
    /// No answer that is still to be handed out comes before this cycle; `None` if nothing was asked that was not answered.
    fn next_answer(&self) -> Option<u64>;
    /// After `advance`, where no write is asked before cycle `writes`, not even one that nobody knows of yet: hands out
    /// answers that only such a write could change. A memory that cannot tell hands out none.
    fn foresee(&mut self, writes: u64, answers: &mut Vec<Answer>) {
        let _ = (writes, answers);
    }
    /// A request that is asked next is not answered before this cycle.
    fn soonest(&self, request: &Request) -> u64 {
        request.cycle.saturating_add(self.lookahead())
    }
}

/// For programs without load or store units.
pub struct NoMemory;

impl Memory for NoMemory {
    fn lookahead(&self) -> u64 {
        1
    }

    fn ask(&mut self, _: &Request) {}

    fn advance(&mut self, _: u64, _: &mut Vec<Answer>) {}

    fn next_answer(&self) -> Option<u64> {
        None
    }
}
