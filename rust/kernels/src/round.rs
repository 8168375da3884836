use crate::{
    Element, KernelError, Level,
    error::Check,
    quantize::whole,
    simd::{Kernel, Simd},
};

/// Rounds fp32 values to a stream's element type: to nearest even for bf16, nothing for f32; for int8 to the nearest
/// whole number from -127 to 127, ties to even. NaN stays NaN, and as int8 is 0.
pub fn round(values: &mut [f32], element: Element) {
    round_at(Level::detect(), values, element);
}

/// `round` on a given level.
pub fn round_at(level: Level, values: &mut [f32], element: Element) {
    match element {
        Element::Bf16 => level.run(Round(values)),
        Element::F32 => {}
        Element::Int8 => level.run(Whole(values)),
    }
}

/// bf16 bits of fp32 values, rounded to nearest even. Errors: the lengths differ.
pub fn narrow(values: &[f32], out: &mut [u16]) -> Result<(), KernelError> {
    narrow_at(Level::detect(), values, out)
}

/// `narrow` on a given level.
pub fn narrow_at(level: Level, values: &[f32], out: &mut [u16]) -> Result<(), KernelError> {
    Check("narrow").length("out", out.len(), values.len())?;
    level.run(Narrow(values, out));
    Ok(())
}

/// fp32 values of bf16 bits, exactly. Errors: the lengths differ.
pub fn widen(bits: &[u16], out: &mut [f32]) -> Result<(), KernelError> {
    Check("widen").length("out", out.len(), bits.len())?;
    for (out, bits) in out.iter_mut().zip(bits) {
        *out = bf16_value(*bits);
    }
    Ok(())
}

/// Nearest bf16, ties to even; a NaN keeps its sign and upper payload and turns quiet.
#[inline(always)]
pub(crate) fn bf16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    let quiet = bits | 0x0040_0000;
    ((if value.is_nan() { quiet } else { rounded }) >> 16) as u16
}

#[inline(always)]
pub(crate) fn bf16_value(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

struct Round<'a>(&'a mut [f32]);

impl Kernel for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for value in self.0 {
            *value = bf16_value(bf16_bits(*value));
        }
    }
}

struct Whole<'a>(&'a mut [f32]);

impl Kernel for Whole<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for value in self.0 {
            *value = f32::from(whole(*value));
        }
    }
}

struct Narrow<'a>(&'a [f32], &'a mut [u16]);

impl Kernel for Narrow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (value, out) in self.0.iter().zip(self.1) {
            *out = bf16_bits(*value);
        }
    }
}
