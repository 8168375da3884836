use crate::{
    KernelError, Level,
    error::Check,
    exponential::exponential,
    simd::{Kernel, Simd},
};

/// y = a + b, element by element. Errors: the lengths differ.
pub fn add(a: &[f32], b: &[f32], y: &mut [f32]) -> Result<(), KernelError> {
    add_at(Level::detect(), a, b, y)
}

/// `add` on a given level.
pub fn add_at(level: Level, a: &[f32], b: &[f32], y: &mut [f32]) -> Result<(), KernelError> {
    binary(level, "add", a, b, y, |a, b| a + b)
}

/// y = a * b, element by element. Errors: the lengths differ.
pub fn mul(a: &[f32], b: &[f32], y: &mut [f32]) -> Result<(), KernelError> {
    mul_at(Level::detect(), a, b, y)
}

/// `mul` on a given level.
pub fn mul_at(level: Level, a: &[f32], b: &[f32], y: &mut [f32]) -> Result<(), KernelError> {
    binary(level, "mul", a, b, y, |a, b| a * b)
}

/// y = (gate / (1 + exp(-gate))) * up. Errors: the lengths differ.
pub fn silu_mul(gate: &[f32], up: &[f32], y: &mut [f32]) -> Result<(), KernelError> {
    silu_mul_at(Level::detect(), gate, up, y)
}

/// `silu_mul` on a given level.
pub fn silu_mul_at(level: Level, gate: &[f32], up: &[f32], y: &mut [f32]) -> Result<(), KernelError> {
    binary(
        level,
        "silu_mul",
        gate,
        up,
        y,
        #[inline(always)]
        |gate, up| sigmoid_linear(gate) * up,
    )
}

/// x / (1 + exp(-x)) in place.
pub fn silu(values: &mut [f32]) {
    silu_at(Level::detect(), values);
}

/// `silu` on a given level.
pub fn silu_at(level: Level, values: &mut [f32]) {
    level.run(Silu(values));
}

#[inline(always)]
fn sigmoid_linear(x: f32) -> f32 {
    x / (1.0 + exponential(-x))
}

struct Silu<'a>(&'a mut [f32]);

impl Kernel for Silu<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for x in self.0 {
            *x = sigmoid_linear(*x);
        }
    }
}

fn binary<F: Fn(f32, f32) -> f32>(
    level: Level,
    kernel: &'static str,
    a: &[f32],
    b: &[f32],
    y: &mut [f32],
    combine: F,
) -> Result<(), KernelError> {
    let check = Check(kernel);
    check.length("the second operand", b.len(), a.len())?;
    check.length("y", y.len(), a.len())?;
    level.run(Binary { a, b, y, combine });
    Ok(())
}

struct Binary<'a, F> {
    a: &'a [f32],
    b: &'a [f32],
    y: &'a mut [f32],
    combine: F,
}

impl<F: Fn(f32, f32) -> f32> Kernel for Binary<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for ((y, a), b) in self.y.iter_mut().zip(self.a).zip(self.b) {
            *y = (self.combine)(*a, *b);
        }
    }
}
