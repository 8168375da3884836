//! How far a program can get, whatever the times: units fire while tokens and slots last.
//!
//! In a Kahn network the firings that can happen do not depend on their order, so counting tokens is enough to know
//! where a program ends, and a marking that was reached stays reachable when streams grow.

use crate::deadlock::Wait;
use crate::nest::{Code, Cursor};
use crate::program::Bound;

/// The tokens in every stream, and where every unit stands.
#[derive(Clone)]
pub(crate) struct Marking<'a> {
    bound: &'a Bound<'a>,
    cursors: Vec<Cursor>,
    /// What data-dependent units choose, by unit, and firings of each unit so far.
    tapes: &'a [Vec<u32>],
    fired: Vec<u64>,
    /// Tokens in each stream.
    held: Vec<u64>,
    pub capacities: Vec<u64>,
}

impl<'a> Marking<'a> {
    /// After so many firings of each unit; `None` if no run gets there, or where the choices of a unit are not known.
    pub fn after(bound: &'a Bound<'a>, firings: &[u64], tapes: &'a [Vec<u32>]) -> Option<Self> {
        let program = bound.program;
        let mut held: Vec<u64> = program.streams.iter().map(|stream| stream.initial).collect();
        let mut taken = vec![0u64; held.len()];
        let mut cursors = Vec::with_capacity(firings.len());
        for (unit, (code, &firings)) in bound.code.iter().zip(firings).enumerate() {
            let mut seen = Vec::new();
            cursors.push(Cursor::after(code, firings, &mut seen)?);
            if program.units[unit].choice.is_some() {
                let chosen = tapes.get(unit)?.get(..usize::try_from(firings).ok()?)?;
                let first = seen.first().map_or(0, |&(phase, _)| phase);
                seen = chosen.iter().map(|&phase| (first + phase as usize, 1)).collect();
            }
            for (phase, times) in seen {
                let action = &program.actions[phase];
                for end in &program.ends[action.produce.clone()] {
                    held[end.stream] = held[end.stream].checked_add(end.rate.checked_mul(times)?)?;
                }
                for end in &program.ends[action.consume.clone()] {
                    taken[end.stream] = taken[end.stream].checked_add(end.rate.checked_mul(times)?)?;
                }
            }
        }
        for (held, taken) in held.iter_mut().zip(taken) {
            *held = held.checked_sub(taken)?;
        }
        let capacities = program.streams.iter().map(|stream| stream.capacity).collect();
        Some(Marking { bound, cursors, tapes, fired: firings.to_vec(), held, capacities })
    }

    /// Lets `unit`, and all that this lets, fire as often as they can; false when the work ran out. Firings of one phase in
    /// a row count as one.
    pub fn run(&mut self, unit: usize, work: &mut u64) -> bool {
        let program = self.bound.program;
        let mut ready = vec![unit];
        while let Some(unit) = ready.pop() {
            let ends = program.inputs(unit).len() + program.outputs(unit).len();
            let mut fired = false;
            loop {
                match work.checked_sub(1 + ends as u64 / 4) {
                    Some(left) => *work = left,
                    None => return false,
                }
                if self.wait(unit).is_some() || !self.fire(unit) {
                    break;
                }
                fired = true;
            }
            if fired {
                let sources = program.inputs(unit).iter().map(|&stream| program.streams[stream].from.0);
                let targets = program.outputs(unit).iter().map(|&stream| program.streams[stream].to.0);
                for other in sources.chain(targets) {
                    // Many streams may lead to one unit.
                    if ready.last() != Some(&other) {
                        ready.push(other);
                    }
                }
            }
        }
        true
    }

    /// What the next firing lacks, in the engine's order; `None` also for a unit that has finished.
    pub fn wait(&self, unit: usize) -> Option<Wait> {
        self.lacks(unit).map(|(wait, _)| wait)
    }

    /// Slots by which the stream must grow for the unit's next firing.
    pub fn slots_lacking(&self, unit: usize) -> u64 {
        self.lacks(unit).map_or(0, |(_, count)| count)
    }

    pub fn has_finished(&self, unit: usize) -> bool {
        self.phase(unit).is_none()
    }

    /// The action of the unit's next firing.
    fn phase(&self, unit: usize) -> Option<usize> {
        let phase = self.cursors[unit].phase(&self.bound.code[unit])?;
        match self.bound.program.units[unit].choice {
            None => Some(phase),
            Some(_) => Some(phase + *self.tapes[unit].get(self.fired[unit] as usize)? as usize),
        }
    }

    fn lacks(&self, unit: usize) -> Option<(Wait, u64)> {
        let program = self.bound.program;
        let action = &program.actions[self.phase(unit)?];
        for end in &program.ends[action.consume.clone()] {
            if self.held[end.stream] < end.rate {
                return Some((Wait::Data(end.stream), end.rate - self.held[end.stream]));
            }
        }
        for end in &program.ends[action.produce.clone()] {
            let free = self.capacities[end.stream] - self.held[end.stream];
            if free < end.rate {
                return Some((Wait::Space(end.stream), end.rate - free));
            }
        }
        None
    }

    /// Fires a unit that lacks nothing, several times at once where its phase repeats; false if it has finished.
    fn fire(&mut self, unit: usize) -> bool {
        let (program, code) = (self.bound.program, &self.bound.code[unit]);
        let Some(phase) = self.phase(unit) else { return false };
        let action = &program.actions[phase];
        let (consume, produce) = (&program.ends[action.consume.clone()], &program.ends[action.produce.clone()]);
        let mut times = self.cursors[unit].left();
        // The next choice may be another one, and a stream back to the same unit changes at both ends.
        if program.units[unit].choice.is_some() || consume.iter().any(|end| program.streams[end.stream].from.0 == unit)
        {
            times = 1;
        }
        for end in consume.iter().filter(|end| end.rate > 0) {
            times = times.min(self.held[end.stream] / end.rate);
        }
        for end in produce.iter().filter(|end| end.rate > 0) {
            times = times.min((self.capacities[end.stream] - self.held[end.stream]) / end.rate);
        }
        consume.iter().for_each(|end| self.held[end.stream] -= end.rate * times);
        produce.iter().for_each(|end| self.held[end.stream] += end.rate * times);
        self.cursors[unit].pass(code, times);
        self.fired[unit] += times;
        true
    }
}

impl Cursor {
    /// Past `firings` firings; adds to `seen` how often each phase fired. `None` if there are not so many.
    fn after(code: &[Code], mut firings: u64, seen: &mut Vec<(usize, u64)>) -> Option<Self> {
        let mut loops = Vec::new();
        let mut at = 0;
        while at < code.len() {
            match code[at] {
                Code::Fire { phase, times } => {
                    let passed = firings.min(times);
                    seen.push((phase as usize, passed));
                    firings -= passed;
                    if passed < times {
                        return Some(Cursor::standing(at, times - passed, loops));
                    }
                    at += 1;
                }
                Code::Begin { times } => {
                    let (end, body) = body(code, at)?;
                    let rounds = (firings / body).min(times);
                    firings -= rounds * body;
                    collect(code, at + 1, end, rounds, seen)?;
                    if rounds < times {
                        loops.push(times - rounds);
                        at += 1;
                    } else {
                        at = end + 1;
                    }
                }
                // Only whole rounds end, and these were passed at their beginning.
                Code::End { .. } => return None,
            }
        }
        (firings == 0).then(|| Cursor::standing(at, 0, loops))
    }
}

/// Where the loop that begins at `at` ends, and the firings of its body.
fn body(code: &[Code], at: usize) -> Option<(usize, u64)> {
    let (mut outer, mut firings, mut next) = (vec![1u64], 0u64, at + 1);
    loop {
        match *code.get(next)? {
            Code::Fire { times, .. } => firings = firings.checked_add(outer.last()?.checked_mul(times)?)?,
            Code::Begin { times } => outer.push(outer.last()?.checked_mul(times)?),
            Code::End { .. } if outer.len() == 1 => return Some((next, firings)),
            Code::End { .. } => drop(outer.pop()),
        }
        next += 1;
    }
}

/// Adds the firings of `rounds` rounds of the code between two places.
fn collect(code: &[Code], from: usize, to: usize, rounds: u64, seen: &mut Vec<(usize, u64)>) -> Option<()> {
    let mut outer = vec![rounds];
    for op in &code[from..to] {
        match *op {
            Code::Fire { phase, times } => seen.push((phase as usize, outer.last()?.checked_mul(times)?)),
            Code::Begin { times } => outer.push(outer.last()?.checked_mul(times)?),
            Code::End { .. } => drop(outer.pop()),
        }
    }
    Some(())
}
