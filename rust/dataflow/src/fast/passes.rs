//! Passes over slices of times, eight at a time: that is one or two vectors, and a slice that is cut at the end of a
//! track still goes by eights, because the last eight may overlap those before.

const LANES: usize = 8;

/// Sets `out` to successive times plus `add`.
#[inline(always)]
pub(super) fn put(out: &mut [i64], from: &[i64], add: i64) {
    let from = &from[..out.len()];
    let (blocks, rest) = out.as_chunks_mut::<LANES>();
    for (out, from) in blocks.iter_mut().zip(from.as_chunks::<LANES>().0) {
        *out = from.map(|from| from + add);
    }
    if rest.is_empty() {
        return;
    }
    if let (Some(out), Some(from)) = (out.last_chunk_mut::<LANES>(), from.last_chunk::<LANES>()) {
        *out = from.map(|from| from + add);
    } else {
        out.iter_mut().zip(from).for_each(|(out, from)| *out = from + add);
    }
}

/// Sets `out` to the later of `than` and successive times plus `add`. Raising in place would be a conditional store for
/// each time.
#[inline(always)]
pub(super) fn later(out: &mut [i64], than: &[i64], from: &[i64], add: i64) {
    #[inline(always)]
    fn block(out: &mut [i64; LANES], than: &[i64; LANES], from: &[i64; LANES], add: i64) {
        for at in 0..LANES {
            out[at] = than[at].max(from[at] + add);
        }
    }
    let (than, from) = (&than[..out.len()], &from[..out.len()]);
    let (blocks, rest) = out.as_chunks_mut::<LANES>();
    for ((out, than), from) in blocks.iter_mut().zip(than.as_chunks().0).zip(from.as_chunks().0) {
        block(out, than, from, add);
    }
    if rest.is_empty() {
        return;
    }
    match (out.last_chunk_mut(), than.last_chunk(), from.last_chunk()) {
        (Some(out), Some(than), Some(from)) => block(out, than, from, add),
        _ => out.iter_mut().zip(than).zip(from).for_each(|((out, than), from)| *out = (*than).max(from + add)),
    }
}

/// The signs of all differences `more - less - by`, in the sign of one number. Times are far from the ends of their range,
/// so differences have the right sign.
#[inline(always)]
fn signs(more: &[i64], less: &[i64], by: i64) -> i64 {
    #[inline(always)]
    fn block(signs: &mut [i64; LANES], more: &[i64; LANES], less: &[i64; LANES], by: i64) {
        for at in 0..LANES {
            signs[at] |= more[at] - less[at] - by;
        }
    }
    let less = &less[..more.len()];
    let mut all = [0; LANES];
    let (blocks, rest) = more.as_chunks::<LANES>();
    for (more, less) in blocks.iter().zip(less.as_chunks().0) {
        block(&mut all, more, less, by);
    }
    if !rest.is_empty() {
        match (more.last_chunk(), less.last_chunk()) {
            (Some(more), Some(less)) => block(&mut all, more, less, by),
            _ => all[0] = more.iter().zip(less).fold(0, |signs, (more, less)| signs | (more - less - by)),
        }
    }
    all.into_iter().fold(0, |signs, sign| signs | sign)
}

/// Whether any of these times is later than its neighbour in `than`.
#[inline(always)]
pub(super) fn any_later(these: &[i64], than: &[i64]) -> bool {
    signs(than, these, 0) < 0
}

/// Raises each start, from the second place of `starts` on, to the end of the firing before, `ii` after its start; returns
/// the end of the last.
#[inline(always)]
pub(super) fn chain(starts: &mut [i64], before: i64, ii: i64) -> i64 {
    // Mostly either each firing has ended when the next can start, or all could have started long ago. Both are seen
    // many firings at a time; the rest goes one by one.
    let count = starts.len() - 1;
    starts[0] = before - ii;
    if signs(&starts[1..], &starts[..count], ii) >= 0 {
        return starts[count] + ii;
    }
    let (mut ready, mut signs) = (before, 0);
    for &start in &starts[1..] {
        signs |= ready - start;
        ready += ii;
    }
    if signs >= 0 {
        let mut ready = before;
        for start in &mut starts[1..] {
            *start = ready;
            ready += ii;
        }
        return ready;
    }
    let mut ready = before;
    for start in &mut starts[1..] {
        *start = (*start).max(ready);
        ready = *start + ii;
    }
    ready
}

/// The same where each firing has its own interval.
#[inline(always)]
pub(super) fn chain_each(starts: &mut [i64], ends: &mut [i64], before: i64, iis: &[i64]) -> i64 {
    starts.iter_mut().zip(ends).zip(iis).fold(before, |ready, ((start, end), ii)| {
        *start = (*start).max(ready);
        *end = *start + ii;
        *end
    })
}

/// Cycles waited by firings whose data were there before they started.
#[inline(always)]
pub(super) fn late(data: &[i64], starts: &[i64], ends: &[i64], before: i64) -> i64 {
    let wait = |data: i64, start: i64, ready: i64| if data < start { start - ready } else { 0 };
    let rest = data[1..].iter().zip(&starts[1..]).zip(ends);
    wait(data[0], starts[0], before) + rest.map(|((&data, &start), &ready)| wait(data, start, ready)).sum::<i64>()
}

/// The same where every firing is busy for `ii`.
#[inline(always)]
pub(super) fn late_evenly(data: &[i64], starts: &[i64], before: i64, ii: i64) -> i64 {
    let mut sum = if data[0] < starts[0] { starts[0] - before } else { 0 };
    let (data, next, last) = (&data[1..], &starts[1..], &starts[..starts.len() - 1]);
    for at in 0..data.len().min(next.len()).min(last.len()) {
        sum += if data[at] < next[at] { next[at] - last[at] - ii } else { 0 };
    }
    sum
}

/// The same, told apart: for space, and for memory.
#[inline(always)]
pub(super) fn late_of_three(data: &[i64], memory: &[i64], starts: &[i64], ends: &[i64], before: i64) -> (i64, i64) {
    let (mut space, mut from_memory, mut ready) = (0, 0, before);
    for (firing, &start) in starts.iter().enumerate() {
        let wait = if data[firing] < start { start - ready } else { 0 };
        *(if memory[firing] == start { &mut from_memory } else { &mut space }) += wait;
        ready = ends[firing];
    }
    (space, from_memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_rests_are_the_same_as_one_by_one() {
        for count in 1..40usize {
            let from: Vec<i64> = (0..count as i64).map(|at| at * 7 % 23).collect();
            let than: Vec<i64> = (0..count as i64).map(|at| at * 5 % 19).collect();
            let (mut out, mut both) = (vec![-1; count], vec![-1; count]);
            put(&mut out, &from, 3);
            later(&mut both, &than, &from, 3);
            for at in 0..count {
                assert_eq!((out[at], both[at]), (from[at] + 3, than[at].max(from[at] + 3)));
            }
            assert_eq!(any_later(&from, &than), from.iter().zip(&than).any(|(these, than)| these > than));
            for ii in 1..4 {
                let mut starts: Vec<i64> = [0].into_iter().chain(from.iter().copied()).collect();
                let mut ready = 2;
                let expected: Vec<i64> =
                    from.iter().map(|&at| (std::mem::replace(&mut ready, at.max(ready) + ii)).max(at)).collect();
                assert_eq!(chain(&mut starts, 2, ii), expected[count - 1] + ii);
                assert_eq!(starts[1..], expected);
            }
        }
    }
}
