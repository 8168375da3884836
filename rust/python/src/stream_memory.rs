//! A machine's memory as the units of a stream program find it.
//!
//! Requests of one cycle come in the order of their units' names, so that the order of description means nothing, and a
//! run that waits for memory can be stopped there.

use rdu_dataflow::{Answer, Memory, Program, Request, Watch};
use rdu_machine::tiers::Tiers;
use std::cell::RefCell;

/// Cycles that memory may pass between two looks at the watch: idle channels refresh through so many in milliseconds.
const STRETCH: u64 = 1 << 28;
/// A request of so many bytes takes much longer to cut into bursts than a look takes.
const LARGE_BYTES: u64 = 1 << 20;

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

    /// Lets time pass until shortly before `cycle`, where a run ends; `false` if it was stopped meanwhile.
    pub fn pass(&mut self, cycle: u64) -> bool {
        self.pass_until(cycle.saturating_sub(STRETCH), &mut Vec::new())
    }

    fn goes_on(&self) -> bool {
        let mut watch = self.watch.borrow_mut();
        let firings = watch.firings;
        watch.goes_on(firings)
    }

    fn pass_until(&mut self, cycle: u64, answers: &mut Vec<Answer>) -> bool {
        loop {
            if !self.goes_on() {
                return false;
            }
            self.now = self.now.max(cycle.min(self.now.saturating_add(STRETCH)));
            self.tiers.advance(self.now, answers);
            if self.now >= cycle {
                return true;
            }
        }
    }

    /// Lets the engine run to where it looks at the watch: whatever is open is answered at once.
    fn give_up(&mut self, answers: &mut Vec<Answer>) {
        let cycle = self.now + self.tiers.lookahead();
        for (unit, (&asked, &most)) in (0..).zip(self.asked.iter().zip(&self.outstanding)) {
            let open = asked.saturating_sub(most)..asked;
            answers.extend(open.map(|number| Answer { unit, number, cycle }));
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
        // All requests of a cycle are here: none comes before `cycle` any more.
        self.waiting.sort_by_key(|request| (request.cycle, self.ranks[request.unit as usize]));
        for at in 0..self.waiting.len() {
            let request = self.waiting[at];
            // A channel that is asked for something runs up to that time at once.
            let takes_long = request.bytes >= LARGE_BYTES || request.cycle > self.now.saturating_add(STRETCH);
            if takes_long && !self.pass_until(request.cycle, answers) {
                break;
            }
            self.tiers.ask(&request);
        }
        self.waiting.clear();
        if !self.pass_until(cycle, answers) {
            self.give_up(answers);
        }
    }

    fn next_answer(&self) -> Option<u64> {
        // All that was open when the run was stopped has been answered.
        if self.watch.borrow().stopped { None } else { self.tiers.next_answer() }
    }
}
