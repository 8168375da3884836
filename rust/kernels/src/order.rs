use std::ops::Range;

use crate::error::{Check, KernelError};

/// Elements of the reduced dimension that part `s` of `splits` adds up.
///
/// Cuts fall on vector boundaries: of `ceil(inner / lanes)` chunks, part `s` has
/// `floor(s * chunks / splits) .. floor((s + 1) * chunks / splits)`. Past the last part, or with zero sizes: empty.
pub fn split_range(inner: usize, lanes: usize, splits: usize, s: usize) -> Range<usize> {
    if lanes == 0 || splits == 0 || s >= splits {
        return inner..inner;
    }
    let chunks = inner.div_ceil(lanes) as u128;
    // u128 holds any product of two usize; the quotient is at most `chunks`.
    let cut = |part: usize| ((part as u128 * chunks / splits as u128) as usize).saturating_mul(lanes).min(inner);
    cut(s)..cut(s + 1)
}

/// Adds rows of `width` values by an adjacent-pair binary tree: (p0+p1)+(p2+p3).., an odd last one is carried up.
///
/// The result is returned and stands in the first `width` values; the rest of `parts` is scratch afterwards.
/// Errors: `width` is zero, or `parts` is empty or not a whole number of rows.
pub fn tree_sum(parts: &mut [f32], width: usize) -> Result<&[f32], KernelError> {
    let check = Check("tree_sum");
    check.nonzero("width", width)?;
    check.at_least("parts", parts.len(), width)?;
    check.whole("parts", parts.len(), width)?;
    Ok(add_tree(parts, width))
}

#[inline(always)]
pub(crate) fn add_tree(parts: &mut [f32], width: usize) -> &[f32] {
    let mut count = parts.len() / width;
    while count > 1 {
        let (first, rest) = parts.split_at_mut(width);
        first.iter_mut().zip(&*rest).for_each(|(sum, other)| *sum += *other);
        for pair in 1..count / 2 {
            let (done, left) = parts.split_at_mut(2 * pair * width);
            let (one, other) = left.split_at(width);
            for ((sum, one), other) in done[pair * width..][..width].iter_mut().zip(one).zip(other) {
                *sum = one + other;
            }
        }
        if !count.is_multiple_of(2) {
            parts.copy_within((count - 1) * width..count * width, count / 2 * width);
        }
        count = count.div_ceil(2);
    }
    &parts[..width]
}
