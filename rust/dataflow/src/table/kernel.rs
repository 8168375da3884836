//! How an operator of the table computes.

use crate::operator::copy;
pub(super) type Map = fn(&[f32], &mut [f32]);
pub(super) type Zip = fn(&mut [f32], &[f32]);

#[derive(Clone, Copy)]
pub(super) enum Kernel {
    /// Value by value.
    Map(Map),
    /// Value by value, the inputs one after another into the result.
    Zip(Zip),
    /// All tokens since the last result into one, in order of arrival.
    Fold(f32, Zip),
    /// The same with the products of two inputs' tokens, added up.
    FoldProducts,
    /// The values of one token into one.
    Reduce(fn(&[f32]) -> f32),
    Dot,
    /// Every value of a token with the one value of another.
    Scale(fn(f32, f32) -> f32),
    Concat,
}

/// Writes the same values to every output.
pub(super) fn multicast(
    outputs: &mut [(usize, &mut [f32])],
    write: impl FnOnce(&mut [f32]) -> Result<(), String>,
) -> Result<(), String> {
    let Some(((_, first), others)) = outputs.split_first_mut() else { return Ok(()) };
    write(first)?;
    for (_, other) in others {
        if other.len() != first.len() {
            return Err(format!("multicast of {} values to an output that takes {}", first.len(), other.len()));
        }
        copy(other, first);
    }
    Ok(())
}
