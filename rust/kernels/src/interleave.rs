use crate::team::each;

/// Positions whose partial sums are held at once: a multiple of every level's register block.
pub(crate) const POSITIONS: usize = 96;

/// Positions of the next register block where `left` are left: blocks of about the same size keep the multipliers busy.
#[inline(always)]
pub(crate) fn group(left: usize, block: usize) -> usize {
    match left.div_ceil(left.div_ceil(block)) {
        12.. => 12,
        8.. => 8,
        6.. => 6,
        size => size,
    }
}

/// Rows of activations as register blocks take them, of each `POSITIONS` of them: `[group][inner][position of the group]`,
/// from `[positions][inner]`.
pub(crate) fn interleave<T: Copy + Default + Send + Sync>(x: &[T], inner: usize, block: usize) -> Vec<T> {
    let mut out = vec![T::default(); x.len()];
    let held = (POSITIONS * inner).max(1);
    let pieces = out.chunks_mut(held).zip(x.chunks(held)).collect();
    each(pieces, x.len(), |(out, rows)| groups(rows, inner, block, out));
    out
}

/// At most `POSITIONS` rows.
fn groups<T: Copy>(mut rows: &[T], inner: usize, block: usize, mut out: &mut [T]) {
    while inner > 0 && !rows.is_empty() {
        let size = group(rows.len() / inner, block);
        let (to, out_left) = std::mem::take(&mut out).split_at_mut(size * inner);
        let (from, rows_left) = rows.split_at(size * inner);
        match size {
            12 => turn::<T, 12>(from, inner, to),
            8 => turn::<T, 8>(from, inner, to),
            6 => turn::<T, 6>(from, inner, to),
            5 => turn::<T, 5>(from, inner, to),
            4 => turn::<T, 4>(from, inner, to),
            3 => turn::<T, 3>(from, inner, to),
            2 => turn::<T, 2>(from, inner, to),
            _ => to.copy_from_slice(from),
        }
        (out, rows) = (out_left, rows_left);
    }
}

/// `[inner][P]` from `[P][inner]`.
fn turn<T: Copy, const P: usize>(from: &[T], inner: usize, to: &mut [T]) {
    let rows: [&[T]; P] = std::array::from_fn(|p| &from[p * inner..][..inner]);
    for (k, to) in to.as_chunks_mut::<P>().0.iter_mut().enumerate().take(inner) {
        *to = std::array::from_fn(|p| rows[p][k]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_its_positions_side_by_side() {
        // 102 rows: 96 in full blocks, then two blocks of three, which no level would rather have.
        let (inner, block) = (3, 6);
        let x: Vec<i32> = (0..102 * 3).collect();
        let out = interleave(&x, inner, block);
        assert_eq!(out[..6], [0, 3, 6, 9, 12, 15], "the first of six rows");
        assert_eq!(out[90 * 3 + 6..][..6], [271, 274, 277, 280, 283, 286], "the second of the last full block");
        assert_eq!(out[96 * 3..][..6], [288, 291, 294, 297, 300, 303]);
        let out = interleave(&x[..16 * 3], inner, block);
        assert_eq!(out[6 * 3..][..5], [18, 21, 24, 27, 30], "of sixteen, six and twice five");
        assert_eq!(interleave::<i32>(&[], 0, block), [0; 0]);
    }
}
