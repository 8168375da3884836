//! The cyclo-static cycle of a unit: the phases that its nest goes through over and over.

use crate::nest::Nest;

/// Why a nest has no cycle.
pub(crate) enum NoCycle {
    Arguments,
    /// So many firings before it repeats.
    TooLarge(u128),
}

/// The phase of each firing of one cycle; empty where the nest never fires.
///
/// A single fire repeats one phase, a single loop its body (also when the last round ends early, as a prefix of the body
/// behind the loop); anything else repeats as a whole. Of these phases the smallest part that repeats is the cycle.
pub(crate) fn cycle(nests: &[Nest], arguments: &[u64], most: u64) -> Result<Vec<u32>, NoCycle> {
    let mut nests = live(nests, arguments);
    if let [Nest::Loop { body, .. }, ref rest @ ..] = nests[..]
        && !rest.is_empty()
    {
        let body = live(body, arguments);
        let short = total(rest, arguments)? <= total(&body, arguments)?;
        if short && unrolled(&body, arguments, most)?.starts_with(&unrolled(rest, arguments, most)?) {
            nests = body;
        }
    }
    // A loop of a loop goes around the inner one, without end.
    while let [Nest::Loop { body, .. }] = nests[..] {
        nests = live(body, arguments);
    }
    let phases = match nests[..] {
        [Nest::Fire { phase, .. }] => vec![*phase as u32],
        _ => unrolled(&nests, arguments, most)?,
    };
    let period = period(&phases);
    Ok(phases[..period].to_vec())
}

/// Without what never fires.
fn live<'a>(nests: &'a [Nest], arguments: &[u64]) -> Vec<&'a Nest> {
    nests.iter().filter(|nest| size(nest, arguments) != Some(0)).collect()
}

/// Firings of a nest; `None` without the arguments that it needs.
fn size(nest: &Nest, arguments: &[u64]) -> Option<u128> {
    match nest {
        Nest::Fire { times, .. } => times.resolve(arguments).map(u128::from),
        Nest::Loop { body, times } => {
            let each = body.iter().try_fold(0u128, |sum, nest| Some(sum.saturating_add(size(nest, arguments)?)))?;
            Some(each.saturating_mul(times.resolve(arguments)?.into()))
        }
    }
}

fn total(nests: &[&Nest], arguments: &[u64]) -> Result<u128, NoCycle> {
    nests.iter().try_fold(0u128, |sum, nest| Some(sum.saturating_add(size(nest, arguments)?))).ok_or(NoCycle::Arguments)
}

fn unrolled(nests: &[&Nest], arguments: &[u64], most: u64) -> Result<Vec<u32>, NoCycle> {
    let firings = total(nests, arguments)?;
    if firings > most.into() {
        return Err(NoCycle::TooLarge(firings));
    }
    let mut phases = Vec::with_capacity(firings as usize);
    for nest in nests {
        unroll(nest, arguments, &mut phases)?;
    }
    Ok(phases)
}

fn unroll(nest: &Nest, arguments: &[u64], phases: &mut Vec<u32>) -> Result<(), NoCycle> {
    match nest {
        Nest::Fire { phase, times } => {
            let times = times.resolve(arguments).ok_or(NoCycle::Arguments)?;
            phases.extend((0..times).map(|_| *phase as u32));
        }
        Nest::Loop { body, times } => {
            let first = phases.len();
            let times = times.resolve(arguments).ok_or(NoCycle::Arguments)?;
            if times > 0 {
                body.iter().try_for_each(|nest| unroll(nest, arguments, phases))?;
            }
            let last = phases.len();
            // An empty body may be repeated any number of times.
            for _ in 1..if last > first { times } else { 1 } {
                phases.extend_from_within(first..last);
            }
        }
    }
    Ok(())
}

/// The smallest length whose repetition gives the whole list: from the longest border (Knuth, Morris and Pratt).
fn period(phases: &[u32]) -> usize {
    let mut borders = vec![0usize; phases.len()];
    for at in 1..phases.len() {
        let mut border = borders[at - 1];
        while border > 0 && phases[at] != phases[border] {
            border = borders[border - 1];
        }
        borders[at] = border + usize::from(phases[at] == phases[border]);
    }
    let shift = phases.len() - borders.last().copied().unwrap_or(0);
    if shift > 0 && phases.len().is_multiple_of(shift) { shift } else { phases.len() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nest::Times;

    fn fire(phase: usize, times: u64) -> Nest {
        Nest::Fire { phase, times: Times::Fixed(times) }
    }

    fn looped(times: u64, body: Vec<Nest>) -> Nest {
        Nest::Loop { body, times: Times::Fixed(times) }
    }

    fn phases(nests: &[Nest]) -> Vec<u32> {
        cycle(nests, &[], 100).unwrap_or_default()
    }

    #[test]
    fn a_cycle_is_what_repeats() {
        assert_eq!(phases(&[fire(3, 1 << 60)]), [3]);
        assert_eq!(phases(&[looped(1 << 60, vec![fire(0, 2), fire(1, 1)])]), [0, 0, 1]);
        // Eight firings of a cycle of three: two rounds and a bit.
        assert_eq!(phases(&[looped(2, vec![fire(0, 2), fire(1, 1)]), fire(0, 2)]), [0, 0, 1]);
        assert_eq!(phases(&[looped(2, vec![fire(0, 2), fire(1, 1)]), fire(1, 1)]), [0, 0, 1, 0, 0, 1, 1]);
        assert_eq!(phases(&[fire(1, 1), fire(0, 2)]), [1, 0, 0]);
        let endless = looped(1 << 40, vec![looped(1 << 40, vec![fire(0, 1), looped(3, vec![fire(1, 1)])])]);
        assert_eq!(phases(&[endless]), [0, 1, 1, 1]);
        // A body that repeats within itself, and loops that never run.
        assert_eq!(phases(&[looped(9, vec![looped(4, vec![fire(0, 1), fire(1, 1)])])]), [0, 1]);
        assert_eq!(phases(&[fire(2, 0), looped(7, vec![fire(0, 5)]), looped(3, vec![])]), [0]);
        assert!(phases(&[looped(1 << 62, vec![looped(1 << 62, vec![])])]).is_empty());
    }

    #[test]
    fn a_cycle_that_is_too_long_is_not_unrolled() {
        let long = [fire(0, 1 << 40), fire(1, 1)];
        assert!(matches!(cycle(&long, &[], 100), Err(NoCycle::TooLarge(n)) if n == (1 << 40) + 1));
    }
}
