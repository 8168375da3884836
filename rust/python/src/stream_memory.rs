//! A machine's memory as the units of a stream program find it.
//!
//! Requests of one cycle come in the order of their units' names, so that the order of description means nothing, and a
//! run that waits for memory can be stopped there.

use rdu_dataflow::{Answer, Memory, Program, Request, Watch};
use rdu_machine::tiers::Tiers;
use std::cell::RefCell;

/// A watch that the engine and its memory share; once it has said stop, it goes on saying so.
pub struct Shared<'w> {
    watch: Watch<'w>,
    firings: u64,
    stopped: bool,
}

impl<'w> Shared<'w> {
    pub fn new(watch: Watch<'w>) -> RefCell<Self> {
        RefCell::new(Shared { watch, firings: 0, stopped: false })
    }

    /// Whether the run may go on, `firings` into it.
    pub fn goes_on(&mut self, firings: u64) -> bool {
        self.firings = firings;
        self.stopped = self.stopped || !(self.watch)(firings);
        !self.stopped
    }
}

pub struct StreamMemory<'a, 'w> {
    tiers: Tiers<'a>,
    watch: &'a RefCell<Shared<'w>>,
    /// For each unit: its place among the names, its requests so far, and how many of them may be open.
    ranks: Vec<usize>,
    asked: Vec<u64>,
    outstanding: Vec<u64>,
    /// Requests since the last `advance`.
    waiting: Vec<Request>,
    now: u64,
}

impl<'a, 'w> StreamMemory<'a, 'w> {
    pub fn new(tiers: Tiers<'a>, program: &Program, watch: &'a RefCell<Shared<'w>>) -> Self {
        let units = program.units();
        let mut order: Vec<usize> = (0..units.len()).collect();
        order.sort_unstable_by_key(|&unit| &units[unit].name);
        let mut ranks = vec![0; units.len()];
        order.iter().enumerate().for_each(|(rank, &unit)| ranks[unit] = rank);
        let outstanding =
            units.iter().map(|unit| unit.port.as_ref().map_or(0, |port| port.outstanding as u64)).collect();
        StreamMemory { tiers, watch, ranks, asked: vec![0; units.len()], outstanding, waiting: Vec::new(), now: 0 }
    }

    /// Lets the engine run to where it looks at the watch: whatever is open is answered at once.
    fn give_up(&mut self, answers: &mut Vec<Answer>) {
        self.waiting.clear();
        let cycle = self.now + self.tiers.lookahead();
        for (unit, (&asked, &most)) in self.asked.iter().zip(&self.outstanding).enumerate() {
            answers.extend((asked.saturating_sub(most)..asked).map(|number| Answer {
                unit: unit as u32,
                number,
                cycle,
            }));
        }
    }
}

impl Memory for StreamMemory<'_, '_> {
    fn lookahead(&self) -> u64 {
        self.tiers.lookahead()
    }

    fn ask(&mut self, request: &Request) {
        self.asked[request.unit as usize] = request.number + 1;
        self.waiting.push(*request);
    }

    fn advance(&mut self, cycle: u64, answers: &mut Vec<Answer>) {
        self.now = cycle;
        let goes_on = {
            let mut watch = self.watch.borrow_mut();
            let firings = watch.firings;
            watch.goes_on(firings)
        };
        if !goes_on {
            return self.give_up(answers);
        }
        // All requests of a cycle are here: none comes before `cycle` any more.
        self.waiting.sort_by_key(|request| (request.cycle, self.ranks[request.unit as usize]));
        self.waiting.drain(..).for_each(|request| self.tiers.ask(&request));
        self.tiers.advance(cycle, answers);
    }

    fn next_answer(&self) -> Option<u64> {
        if self.watch.borrow().stopped {
            return (!self.waiting.is_empty()).then(|| self.now + self.lookahead());
        }
        self.tiers.next_answer()
    }
}
