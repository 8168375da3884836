//! One iteration of a connected part of a static program: the smallest number of firings after which every stream holds
//! what it held before.

use super::cycle::{NoCycle, cycle};
use super::error::AnalysisError;
use crate::error::BuildError;
use crate::program::{Call, Program};
use crate::repetition::repetitions;

/// Firings of one iteration at most; each is a node of the graph that is searched.
pub(crate) const MOST_FIRINGS: u64 = 1 << 20;

/// A firing's cycles.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub ii: u64,
    pub latency: u64,
}

/// Tokens of one stream in one iteration: entry k is how many were moved before the unit's firing k.
pub(crate) struct Flow {
    /// Indices into the program's streams, and into this part's units.
    pub stream: usize,
    pub from: usize,
    pub to: usize,
    pub made: Vec<u64>,
    pub taken: Vec<u64>,
}

/// Units that hang together by streams, with all firings of one iteration.
pub(crate) struct Iteration {
    /// Indices into the program's units.
    pub units: Vec<usize>,
    /// Cycles of each unit.
    pub repetitions: Vec<u64>,
    /// Where each unit's firings begin in `costs`, and their end.
    pub first: Vec<usize>,
    pub costs: Vec<Cost>,
    pub flows: Vec<Flow>,
}

/// The iterations of all connected parts, in the order of their first units.
pub(crate) fn iterations(program: &Program, call: &Call) -> Result<Vec<Iteration>, AnalysisError> {
    let mut cycles = Vec::with_capacity(program.units().len());
    for unit in program.units() {
        let name = || unit.name.clone();
        if unit.choice.is_some() {
            return Err(AnalysisError::Choice { unit: name() });
        }
        if unit.port.is_some() {
            return Err(AnalysisError::Memory { unit: name() });
        }
        let phases = cycle(&unit.nest, &call.arguments, MOST_FIRINGS).map_err(|why| match why {
            NoCycle::Arguments => BuildError::Arguments { unit: name(), given: call.arguments.len() }.into(),
            NoCycle::TooLarge(firings) => AnalysisError::TooLarge { firings, most: MOST_FIRINGS },
        })?;
        if phases.is_empty() {
            return Err(AnalysisError::Silent { unit: name() });
        }
        cycles.push(phases);
    }
    let moved = moved_in_cycles(program, &cycles).ok_or(AnalysisError::Overflow)?;
    let edges: Vec<_> = (program.streams().iter().zip(&moved))
        .map(|(stream, &(produced, consumed))| (stream.from.0, stream.to.0, produced, consumed))
        .collect();
    let counts = repetitions(cycles.len(), &edges).ok_or_else(|| unbalanced(program, &edges))?;
    let mut parts = parts(program, &counts);
    for part in &mut parts {
        part.expand(program, &cycles)?;
    }
    Ok(parts)
}

/// Tokens of each stream in one cycle of its producer and in one of its consumer.
fn moved_in_cycles(program: &Program, cycles: &[Vec<u32>]) -> Option<Vec<(u64, u64)>> {
    let mut moved = vec![(0u64, 0u64); program.streams().len()];
    for (at, phases) in cycles.iter().enumerate() {
        for &phase in phases {
            let phase = &program.units()[at].phases[phase as usize];
            for &(index, rate) in &phase.produce {
                let sum = &mut moved[program.outputs(at)[index]].0;
                *sum = sum.checked_add(rate.into())?;
            }
            for &(index, rate) in &phase.consume {
                let sum = &mut moved[program.inputs(at)[index]].1;
                *sum = sum.checked_add(rate.into())?;
            }
        }
    }
    Some(moved)
}

/// The first stream that cannot be balanced together with those before it.
fn unbalanced(program: &Program, edges: &[(usize, usize, u64, u64)]) -> AnalysisError {
    let units = program.units();
    let (mut good, mut bad) = (0, edges.len());
    while bad - good > 1 {
        let middle = good.midpoint(bad);
        let balances = repetitions(units.len(), &edges[..middle]).is_some();
        *if balances { &mut good } else { &mut bad } = middle;
    }
    let (from, to, produced, consumed) = edges[good];
    let (from, to) = (units[from].name.clone(), units[to].name.clone());
    AnalysisError::Unbalanced { stream: program.streams()[good].name.clone(), from, to, produced, consumed }
}

/// Units that hang together, each part with the streams between them; nothing is expanded yet.
fn parts(program: &Program, counts: &[u64]) -> Vec<Iteration> {
    let mut place: Vec<Option<(usize, usize)>> = vec![None; counts.len()];
    let mut parts: Vec<Iteration> = Vec::new();
    for first in 0..counts.len() {
        if place[first].is_some() {
            continue;
        }
        let (number, mut units, mut seen) = (parts.len(), vec![first], 0);
        place[first] = Some((number, 0));
        while let Some(&unit) = units.get(seen) {
            seen += 1;
            let (inputs, outputs) = (program.inputs(unit).iter(), program.outputs(unit).iter());
            let sources = inputs.map(|&stream| program.streams()[stream].from.0);
            for other in sources.chain(outputs.map(|&stream| program.streams()[stream].to.0)) {
                if place[other].is_none() {
                    place[other] = Some((number, units.len()));
                    units.push(other);
                }
            }
        }
        units.sort_unstable();
        for (at, &unit) in units.iter().enumerate() {
            place[unit] = Some((number, at));
        }
        let repetitions = units.iter().map(|&unit| counts[unit]).collect();
        parts.push(Iteration { units, repetitions, first: vec![0], costs: Vec::new(), flows: Vec::new() });
    }
    for (stream, ends) in program.streams().iter().enumerate() {
        if let (Some((number, from)), Some((_, to))) = (place[ends.from.0], place[ends.to.0]) {
            parts[number].flows.push(Flow { stream, from, to, made: Vec::new(), taken: Vec::new() });
        }
    }
    parts
}

impl Iteration {
    /// Lists every firing of the iteration, and what each moves.
    fn expand(&mut self, program: &Program, cycles: &[Vec<u32>]) -> Result<(), AnalysisError> {
        let sizes = self.units.iter().zip(&self.repetitions);
        let firings: u128 = sizes.map(|(&unit, &times)| cycles[unit].len() as u128 * u128::from(times)).sum();
        if firings > MOST_FIRINGS.into() {
            return Err(AnalysisError::TooLarge { firings, most: MOST_FIRINGS });
        }
        for (&unit, &times) in self.units.iter().zip(&self.repetitions) {
            for _ in 0..times {
                let phases = cycles[unit].iter().map(|&phase| &program.units()[unit].phases[phase as usize]);
                self.costs.extend(phases.map(|phase| Cost { ii: phase.ii, latency: phase.latency }));
            }
            self.first.push(self.costs.len());
        }
        for flow in &mut self.flows {
            let stream = &program.streams()[flow.stream];
            let sums = |unit: usize, rate: &dyn Fn(u32) -> u64| {
                let cycle = &cycles[self.units[unit]];
                let mut sum = 0u64;
                let firings = cycle.iter().cycle().take(cycle.len() * self.repetitions[unit] as usize);
                let rest = firings.map(|&phase| {
                    sum = sum.checked_add(rate(phase))?;
                    Some(sum)
                });
                std::iter::once(Some(0)).chain(rest).collect::<Option<Vec<u64>>>().ok_or(AnalysisError::Overflow)
            };
            let of = |list: &[(usize, u32)], index: usize| {
                list.iter().find(|end| end.0 == index).map_or(0, |end| u64::from(end.1))
            };
            let (producer, consumer) = (&program.units()[stream.from.0], &program.units()[stream.to.0]);
            flow.made = sums(flow.from, &|phase| of(&producer.phases[phase as usize].produce, stream.from.1))?;
            flow.taken = sums(flow.to, &|phase| of(&consumer.phases[phase as usize].consume, stream.to.1))?;
        }
        Ok(())
    }

    /// Firings of the part's unit `unit`.
    pub fn firings(&self, unit: usize) -> std::ops::Range<usize> {
        self.first[unit]..self.first[unit + 1]
    }
}
