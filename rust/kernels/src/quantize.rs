use crate::{
    KernelError, Level,
    error::Check,
    simd::{Kernel, Simd},
};

/// The largest whole number: as far from zero as its opposite.
const LARGEST: f32 = 127.0;

/// Rows of fp32 as whole numbers and what they count: `scale = largest magnitude / 127`, `value = x / scale` to the
/// nearest whole number, ties to even, at most 127 from zero.
///
/// `x` and `values` are `[rows][width]`, `scales` is `[rows]`. A row of zeros has scale 0 and values 0. A row with an
/// infinity or NaN has a scale that is one, so that every product with it is NaN, and nothing is hidden. Errors:
/// `width` is zero, `x` is not whole rows, `values` or `scales` has another length.
pub fn quantize(x: &[f32], width: usize, values: &mut [i8], scales: &mut [f32]) -> Result<(), KernelError> {
    quantize_at(Level::detect(), x, width, values, scales)
}

/// `quantize` on a given level.
pub fn quantize_at(
    level: Level,
    x: &[f32],
    width: usize,
    values: &mut [i8],
    scales: &mut [f32],
) -> Result<(), KernelError> {
    let check = Check("quantize");
    check.nonzero("width", width)?;
    check.whole("x", x.len(), width)?;
    check.length("values", values.len(), x.len())?;
    check.length("scales", scales.len(), x.len() / width)?;
    level.run(Quantize { x, width, values, scales });
    Ok(())
}

struct Quantize<'a> {
    x: &'a [f32],
    width: usize,
    values: &'a mut [i8],
    scales: &'a mut [f32],
}

impl Kernel for Quantize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let rows = self.x.chunks_exact(self.width).zip(self.values.chunks_exact_mut(self.width));
        for ((x, values), scale) in rows.zip(self.scales) {
            // As bits, magnitudes are ordered like whole numbers, and NaN comes after infinity.
            let largest = x.iter().fold(0, |largest, x| x.abs().to_bits().max(largest));
            *scale = f32::from_bits(largest) / LARGEST;
            for (value, x) in values.iter_mut().zip(x) {
                *value = whole(x / *scale);
            }
        }
    }
}

/// The nearest whole number from -127 to 127, ties to even; NaN (nothing of nothing) gives 0.
#[inline(always)]
pub(crate) fn whole(x: f32) -> i8 {
    // 1.5 * 2^23: adding it leaves the nearest whole number, ties to even, in the low bits of the sum.
    const SHIFT: f32 = 12_582_912.0;
    let x = if x > LARGEST { LARGEST } else { x };
    let x = if x < -LARGEST { -LARGEST } else { x };
    let x = if x.is_nan() { 0.0 } else { x };
    (x + SHIFT).to_bits() as i8
}
