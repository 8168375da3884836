//! The balance equations: how often each unit goes through its cycle so that every stream gets what it gives.

/// The smallest positive whole numbers `r` with `r[from] × produced = r[to] × consumed` for every edge
/// (from, to, produced, consumed), per connected part; `None` where there are none, or none below 2^64.
///
/// An edge that moves nothing at both ends says nothing and joins nothing.
pub fn repetitions(units: usize, edges: &[(usize, usize, u64, u64)]) -> Option<Vec<u64>> {
    let mut touching: Vec<Vec<usize>> = vec![Vec::new(); units];
    for (at, edge) in edges.iter().enumerate() {
        touching[edge.0].push(at);
        touching[edge.1].push(at);
    }
    // Each unit's rate relative to the first of its part, as a reduced fraction.
    let mut rates: Vec<Option<(u128, u128)>> = vec![None; units];
    let mut repetitions = vec![0; units];
    for first in 0..units {
        if rates[first].is_some() {
            continue;
        }
        rates[first] = Some((1, 1));
        let (mut part, mut seen) = (vec![first], 0);
        while let Some(&unit) = part.get(seen) {
            seen += 1;
            for &at in &touching[unit] {
                let (from, to, produced, consumed) = edges[at];
                if produced == 0 && consumed == 0 {
                    continue;
                }
                let (other, times, over) =
                    if unit == from { (to, produced, consumed) } else { (from, consumed, produced) };
                let rate = scaled(rates[unit]?, times.into(), over.into())?;
                match rates[other] {
                    Some(known) if known != rate => return None,
                    Some(_) => {}
                    None => {
                        rates[other] = Some(rate);
                        part.push(other);
                    }
                }
            }
        }
        let mut whole = 1u128;
        for &unit in &part {
            let (_, over) = rates[unit]?;
            whole = (whole / gcd(whole, over)).checked_mul(over)?;
        }
        let mut shared = 0;
        for &unit in &part {
            let (times, over) = rates[unit]?;
            let count = times.checked_mul(whole / over)?;
            shared = gcd(shared, count);
            repetitions[unit] = u64::try_from(count).ok()?;
        }
        let shared = u64::try_from(shared).ok()?;
        part.iter().for_each(|&unit| repetitions[unit] /= shared);
    }
    Some(repetitions)
}

/// `rate × times ÷ over`, reduced; `None` where it is not positive and finite.
fn scaled(rate: (u128, u128), times: u128, over: u128) -> Option<(u128, u128)> {
    if times == 0 || over == 0 {
        return None;
    }
    let (a, b) = (gcd(rate.0, over), gcd(times, rate.1));
    let up = (rate.0 / a).checked_mul(times / b)?;
    Some((up, (rate.1 / b).checked_mul(over / a)?)).map(|(up, down)| (up / gcd(up, down), down / gcd(up, down)))
}

pub(crate) fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_whole_numbers_balance_every_edge() {
        // A CD player's 44.1 kHz to the 48 kHz of a DAT recorder, in five steps.
        let cd_to_dat = [(0, 1, 1, 1), (1, 2, 2, 3), (2, 3, 2, 7), (3, 4, 8, 7), (4, 5, 5, 1)];
        assert_eq!(repetitions(6, &cd_to_dat), Some(vec![147, 147, 98, 28, 32, 160]));
        // Parts are independent, and a unit without edges goes through its cycle once.
        assert_eq!(repetitions(5, &[(0, 1, 4, 6), (3, 2, 1, 10)]), Some(vec![3, 2, 1, 10, 1]));
        assert_eq!(repetitions(1, &[(0, 0, 3, 3)]), Some(vec![1]));
        assert_eq!(repetitions(2, &[(0, 1, 0, 0)]), Some(vec![1, 1]));
    }

    #[test]
    fn rates_that_no_numbers_balance_have_none() {
        assert_eq!(repetitions(2, &[(0, 1, 1, 1), (0, 1, 2, 1)]), None);
        assert_eq!(repetitions(1, &[(0, 0, 1, 2)]), None);
        assert_eq!(repetitions(2, &[(0, 1, 1, 0)]), None);
        // 10^18 × 10^18 is beyond 64 bits.
        let big = 1_000_000_000_000_000_000;
        assert_eq!(repetitions(3, &[(0, 1, big, 1), (1, 2, big, 1)]), None);
    }
}
