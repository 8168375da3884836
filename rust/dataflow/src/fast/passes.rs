//! Passes over slices of times, sixteen or eight at a time: that is a few vectors, and a slice that is cut at the end of a
//! track still goes by blocks, because the last block may overlap those before.

/// Sets `out` to successive times plus `add`.
#[inline(always)]
pub(super) fn put(out: &mut [i64], from: &[i64], add: i64) {
    #[inline(always)]
    fn blocks<const N: usize>(out: &mut [i64], from: &[i64], add: i64) {
        let (whole, rest) = out.as_chunks_mut::<N>();
        for (out, from) in whole.iter_mut().zip(from.as_chunks::<N>().0) {
            *out = from.map(|from| from + add);
        }
        if !rest.is_empty()
            && let (Some(out), Some(from)) = (out.last_chunk_mut::<N>(), from.last_chunk::<N>())
        {
            *out = from.map(|from| from + add);
        }
    }
    // Kept out of line, because passes are compiled into many places.
    #[inline(never)]
    fn few(out: &mut [i64], from: &[i64], add: i64) {
        out.iter_mut().zip(from).for_each(|(out, from)| *out = from + add);
    }
    let from = &from[..out.len()];
    match out.len() {
        0..8 => few(out, from, add),
        8..16 => blocks::<8>(out, from, add),
        _ => blocks::<16>(out, from, add),
    }
}

/// Sets `out` to the later of `than` and successive times plus `add`. Raising in place would be a conditional store for
/// each time.
#[inline(always)]
pub(super) fn later(out: &mut [i64], than: &[i64], from: &[i64], add: i64) {
    #[inline(always)]
    fn block<const N: usize>(out: &mut [i64; N], than: &[i64; N], from: &[i64; N], add: i64) {
        for at in 0..N {
            out[at] = than[at].max(from[at] + add);
        }
    }
    #[inline(always)]
    fn blocks<const N: usize>(out: &mut [i64], than: &[i64], from: &[i64], add: i64) {
        let (whole, rest) = out.as_chunks_mut::<N>();
        for ((out, than), from) in whole.iter_mut().zip(than.as_chunks().0).zip(from.as_chunks().0) {
            block(out, than, from, add);
        }
        if !rest.is_empty()
            && let (Some(out), Some(than), Some(from)) =
                (out.last_chunk_mut::<N>(), than.last_chunk(), from.last_chunk())
        {
            block(out, than, from, add);
        }
    }
    #[inline(never)]
    fn few(out: &mut [i64], than: &[i64], from: &[i64], add: i64) {
        out.iter_mut().zip(than).zip(from).for_each(|((out, than), from)| *out = (*than).max(from + add));
    }
    let (than, from) = (&than[..out.len()], &from[..out.len()]);
    match out.len() {
        0..8 => few(out, than, from, add),
        8..16 => blocks::<8>(out, than, from, add),
        _ => blocks::<16>(out, than, from, add),
    }
}

/// The signs of all differences `more - less - by`, in the sign of one number. Times are far from the ends of their range,
/// so differences have the right sign.
#[inline(always)]
fn signs(more: &[i64], less: &[i64], by: i64) -> i64 {
    #[inline(always)]
    fn block<const N: usize>(signs: &mut [i64; N], more: &[i64; N], less: &[i64; N], by: i64) {
        for at in 0..N {
            signs[at] |= more[at] - less[at] - by;
        }
    }
    #[inline(always)]
    fn blocks<const N: usize>(more: &[i64], less: &[i64], by: i64) -> i64 {
        let mut all = [0; N];
        let (whole, rest) = more.as_chunks::<N>();
        for (more, less) in whole.iter().zip(less.as_chunks().0) {
            block(&mut all, more, less, by);
        }
        if !rest.is_empty()
            && let (Some(more), Some(less)) = (more.last_chunk::<N>(), less.last_chunk())
        {
            block(&mut all, more, less, by);
        }
        all.into_iter().fold(0, |signs, sign| signs | sign)
    }
    #[inline(never)]
    fn few(more: &[i64], less: &[i64], by: i64) -> i64 {
        more.iter().zip(less).fold(0, |signs, (more, less)| signs | (more - less - by))
    }
    let less = &less[..more.len()];
    match more.len() {
        0..8 => few(more, less, by),
        8..16 => blocks::<8>(more, less, by),
        _ => blocks::<16>(more, less, by),
    }
}

/// Whether any of these times plus `add` is later than its neighbour in `than`.
#[inline(always)]
pub(super) fn any_later(these: &[i64], than: &[i64], add: i64) -> bool {
    signs(than, these, add) < 0
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
        return evenly(&mut starts[1..], before, ii);
    }
    let mut ready = before;
    for start in &mut starts[1..] {
        *start = (*start).max(ready);
        ready = *start + ii;
    }
    ready
}

/// Sets each start to the end of the firing before, which nothing holds up; returns the end of the last.
#[inline(always)]
pub(super) fn evenly(starts: &mut [i64], before: i64, ii: i64) -> i64 {
    let mut ready = before;
    for start in starts {
        *start = ready;
        ready += ii;
    }
    ready
}

/// `chain` where each firing has its own interval.
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
pub(super) fn late_of_three(
    data: &[i64],
    memory: &[i64],
    starts: &[i64],
    before: i64,
    end: impl Fn(i64, usize) -> i64,
) -> (i64, i64) {
    let (mut space, mut from_memory, mut ready) = (0, 0, before);
    for (firing, &start) in starts.iter().enumerate() {
        let wait = if data[firing] < start { start - ready } else { 0 };
        *(if memory[firing] == start { &mut from_memory } else { &mut space }) += wait;
        ready = end(start, firing);
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
            assert_eq!(any_later(&from, &than, 2), from.iter().zip(&than).any(|(these, than)| these + 2 > *than));
            for ii in 1..4 {
                let mut starts: Vec<i64> = [0].into_iter().chain(from.iter().copied()).collect();
                let mut ready = 2;
                let mut start = |at: &i64| {
                    let start = ready.max(*at);
                    ready = start + ii;
                    start
                };
                let expected: Vec<i64> = from.iter().map(&mut start).collect();
                assert_eq!(chain(&mut starts, 2, ii), expected[count - 1] + ii);
                assert_eq!(starts[1..], expected);
            }
        }
    }
}
