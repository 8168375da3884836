//! The loop nest of a unit: which phase each firing runs, without unrolling it.

use serde::Deserialize;

/// What one firing consumes, produces and costs. Ends that it leaves alone are not listed.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Cycles before the unit can fire again.
    pub ii: u64,
    /// Cycles from the start to the results leaving the unit.
    pub latency: u64,
    /// (input index, tokens) taken at the start.
    #[serde(default)]
    pub consume: Vec<(usize, u32)>,
    /// (output index, tokens) whose slots are reserved at the start.
    #[serde(default)]
    pub produce: Vec<(usize, u32)>,
    /// The address pattern that this firing's transfer follows, in a load or store unit.
    #[serde(default)]
    pub transfer: Option<usize>,
}

/// How often: known when the program is built, passed with each kernel call, or as long as the inputs deliver.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum Times {
    Fixed(u64),
    Argument { argument: usize, scale: u64 },
    Open,
}

/// Stands for an open count: more firings than any run has.
pub(crate) const FOREVER: u64 = u64::MAX;

impl Times {
    /// The count under these call arguments; `None` on overflow or a missing argument.
    pub fn resolve(self, arguments: &[u64]) -> Option<u64> {
        match self {
            Times::Fixed(times) => Some(times),
            Times::Argument { argument, scale } => arguments.get(argument)?.checked_mul(scale),
            Times::Open => Some(FOREVER),
        }
    }
}

/// A finite nest of phases, run from front to back.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum Nest {
    Fire { phase: usize, times: Times },
    Loop { body: Vec<Nest>, times: Times },
}

impl Nest {
    /// Hands every call argument that a count of the nest takes to `found`.
    pub(crate) fn arguments(&self, found: &mut impl FnMut(usize)) {
        let (Nest::Fire { times, .. } | Nest::Loop { times, .. }) = self;
        if let Times::Argument { argument, .. } = times {
            found(*argument);
        }
        if let Nest::Loop { body, .. } = self {
            body.iter().for_each(|nest| nest.arguments(found));
        }
    }
}

/// A nest as flat code with its counts resolved; empty loops are gone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Code {
    Fire { phase: u32, times: u64 },
    Begin { times: u64 },
    End { begin: u32 },
}

/// Flattens `nests` under `arguments` into `code`; phases are numbered from `first` on. Returns false on overflow or a
/// missing argument.
pub(crate) fn flatten(nests: &[Nest], arguments: &[u64], first: usize, code: &mut Vec<Code>) -> bool {
    for nest in nests {
        match nest {
            Nest::Fire { phase, times } => match times.resolve(arguments) {
                Some(0) => {}
                Some(times) => code.push(Code::Fire { phase: (first + phase) as u32, times }),
                None => return false,
            },
            Nest::Loop { body, times } => match times.resolve(arguments) {
                Some(0) => {}
                Some(times) => {
                    let begin = code.len() as u32;
                    code.push(Code::Begin { times });
                    if !flatten(body, arguments, first, code) {
                        return false;
                    }
                    if code.len() as u32 == begin + 1 {
                        code.pop();
                    } else {
                        code.push(Code::End { begin });
                    }
                }
                None => return false,
            },
        }
    }
    true
}

/// Firings of each of the `phases` phases from `first` on in the whole of `code`; `None` on overflow.
pub(crate) fn count(code: &[Code], first: usize, phases: usize) -> Option<Vec<u64>> {
    let mut totals = vec![0u64; phases];
    let mut outer: Vec<u64> = vec![1];
    for op in code {
        match *op {
            Code::Begin { times } => outer.push(outer[outer.len() - 1].checked_mul(times)?),
            Code::End { .. } => {
                outer.pop();
            }
            Code::Fire { phase, times } => {
                let total = &mut totals[phase as usize - first];
                *total = total.checked_add(times.checked_mul(outer[outer.len() - 1])?)?;
            }
        }
    }
    Some(totals)
}

/// Where a unit stands in its code: always at a `Fire` with firings left, or at the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cursor {
    at: usize,
    left: u64,
    loops: Vec<u64>,
}

impl Cursor {
    pub(crate) fn new(code: &[Code]) -> Self {
        let mut cursor = Cursor::default();
        cursor.settle(code);
        cursor
    }

    /// The phase of the next firing; `None` when the nest has ended.
    #[inline]
    pub(crate) fn phase(&self, code: &[Code]) -> Option<usize> {
        match code.get(self.at) {
            Some(Code::Fire { phase, .. }) => Some(*phase as usize),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn advance(&mut self, code: &[Code]) {
        self.left -= 1;
        if self.left == 0 {
            self.at += 1;
            self.settle(code);
        }
    }

    /// Firings of this phase that are left in a row.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// Advances by as many firings as are left in a row, or fewer.
    pub(crate) fn pass(&mut self, code: &[Code], firings: u64) {
        self.left -= firings;
        if self.left == 0 {
            self.at += 1;
            self.settle(code);
        }
    }

    /// At a place of the code that `settle` would stop at.
    pub(crate) fn standing(at: usize, left: u64, loops: Vec<u64>) -> Self {
        Cursor { at, left, loops }
    }

    /// Walks over loop edges to the next `Fire`.
    fn settle(&mut self, code: &[Code]) {
        loop {
            match code.get(self.at) {
                None => return,
                Some(Code::Fire { times, .. }) => {
                    self.left = *times;
                    return;
                }
                Some(Code::Begin { times }) => {
                    self.loops.push(*times);
                    self.at += 1;
                }
                Some(Code::End { begin }) => match self.loops.last_mut() {
                    Some(left) if *left > 1 => {
                        *left -= 1;
                        self.at = *begin as usize + 1;
                    }
                    _ => {
                        self.loops.pop();
                        self.at += 1;
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(nests: &[Nest], arguments: &[u64]) -> Vec<usize> {
        let mut code = Vec::new();
        assert!(flatten(nests, arguments, 7, &mut code));
        let mut cursor = Cursor::new(&code);
        let mut seen = Vec::new();
        while let Some(phase) = cursor.phase(&code) {
            seen.push(phase - 7);
            cursor.advance(&code);
        }
        let totals = count(&code, 7, 3).unwrap();
        for (phase, total) in totals.iter().enumerate() {
            assert_eq!(*total as usize, seen.iter().filter(|&&p| p == phase).count());
        }
        seen
    }

    #[test]
    fn a_nest_runs_from_front_to_back() {
        let fire = |phase, times| Nest::Fire { phase, times: Times::Fixed(times) };
        let nests = [
            fire(2, 1),
            Nest::Loop {
                times: Times::Argument { argument: 0, scale: 2 },
                body: vec![fire(0, 2), Nest::Loop { times: Times::Fixed(2), body: vec![fire(1, 1)] }],
            },
            fire(2, 1),
        ];
        assert_eq!(walk(&nests, &[1]), [2, 0, 0, 1, 1, 0, 0, 1, 1, 2]);
        assert_eq!(walk(&nests, &[0]), [2, 2]);
    }
}
