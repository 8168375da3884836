//! The order in which units are visited.

use crate::program::Program;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Every unit after those that feed it, except around a loop, and soon after them, while what they made is still in the
/// cache.
pub(crate) fn dataflow_order(program: &Program) -> Vec<usize> {
    // Trees are best walked depth first; where units stand in the program as they follow each other, that is better.
    let (deep, flat) = (depth_first(program), in_turn(program));
    let far = |order: &[usize]| reaches(program, order).map(|reach| (reach as u128).pow(2)).sum::<u128>();
    if far(&deep) <= far(&flat) { deep } else { flat }
}

/// How far apart the two units of each stream are in `order`.
pub(crate) fn reaches<'a>(program: &'a Program, order: &[usize]) -> impl Iterator<Item = usize> + 'a {
    let mut rank = vec![0usize; order.len()];
    order.iter().enumerate().for_each(|(at, &unit)| rank[unit] = at);
    program.streams.iter().map(move |stream| rank[stream.from.0].abs_diff(rank[stream.to.0]))
}

/// Units as they stand in the program, but each after those that feed it; around a loop, the first that is left.
fn in_turn(program: &Program) -> Vec<usize> {
    let count = program.units.len();
    let mut missing: Vec<usize> = (0..count).map(|unit| program.inputs(unit).len()).collect();
    let mut free: BinaryHeap<_> = (0..count).filter(|&unit| missing[unit] == 0).map(Reverse).collect();
    let (mut order, mut seen, mut left) = (Vec::with_capacity(count), vec![false; count], 0..count);
    while let Some(unit) = free.pop().map(|Reverse(unit)| unit).or_else(|| left.find(|&unit| !seen[unit])) {
        if seen[unit] {
            continue;
        }
        seen[unit] = true;
        order.push(unit);
        for &stream in program.outputs(unit) {
            let consumer = program.streams[stream].to.0;
            missing[consumer] -= 1;
            if missing[consumer] == 0 {
                free.push(Reverse(consumer));
            }
        }
    }
    order
}

/// From each sink back along its inputs.
fn depth_first(program: &Program) -> Vec<usize> {
    let count = program.units.len();
    let (mut order, mut seen) = (Vec::with_capacity(count), vec![false; count]);
    let mut path: Vec<(usize, usize)> = Vec::new();
    let sinks = (0..count).filter(|&unit| program.outputs(unit).is_empty());
    for root in sinks.chain(0..count) {
        if !seen[root] {
            seen[root] = true;
            path.push((root, 0));
        }
        while let Some((unit, next)) = path.last_mut() {
            let Some(&stream) = program.inputs(*unit).get(*next) else {
                order.push(*unit);
                path.pop();
                continue;
            };
            *next += 1;
            let producer = program.streams[stream].from.0;
            if !seen[producer] {
                seen[producer] = true;
                path.push((producer, 0));
            }
        }
    }
    order
}
