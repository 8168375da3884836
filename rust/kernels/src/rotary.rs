use crate::{
    KernelError, Level,
    error::Check,
    simd::{Kernel, Simd},
};

/// Which elements of a head are rotated together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pairing {
    /// Element i with i + d/2.
    Half,
    /// Element 2i with 2i + 1.
    Interleaved,
}

/// Rotates the pairs (a, b) of one head in place: a' = fma(a, cos, -(b*sin)), b' = fma(b, cos, a*sin).
///
/// `x` has d elements; `cos` and `sin` have d/2, one per pair. Errors: d is odd, or a table has another length.
pub fn rotate(x: &mut [f32], cos: &[f32], sin: &[f32], pairing: Pairing) -> Result<(), KernelError> {
    rotate_at(Level::detect(), x, cos, sin, pairing)
}

/// `rotate` on a given level.
pub fn rotate_at(level: Level, x: &mut [f32], cos: &[f32], sin: &[f32], pairing: Pairing) -> Result<(), KernelError> {
    let check = Check("rotate");
    check.whole("x", x.len(), 2)?;
    check.length("cos", cos.len(), x.len() / 2)?;
    check.length("sin", sin.len(), x.len() / 2)?;
    level.run(Rotate { x, cos, sin, pairing });
    Ok(())
}

struct Rotate<'a> {
    x: &'a mut [f32],
    cos: &'a [f32],
    sin: &'a [f32],
    pairing: Pairing,
}

impl Kernel for Rotate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let angles = self.cos.iter().zip(self.sin);
        match self.pairing {
            Pairing::Half => {
                let (first, second) = self.x.split_at_mut(self.cos.len());
                for ((a, b), (cos, sin)) in first.iter_mut().zip(second).zip(angles) {
                    (*a, *b) = turn(*a, *b, *cos, *sin);
                }
            }
            Pairing::Interleaved => {
                for (pair, (cos, sin)) in self.x.as_chunks_mut::<2>().0.iter_mut().zip(angles) {
                    *pair = turn(pair[0], pair[1], *cos, *sin).into();
                }
            }
        }
    }
}

#[inline(always)]
fn turn(a: f32, b: f32, cos: f32, sin: f32) -> (f32, f32) {
    (a.mul_add(cos, -(b * sin)), b.mul_add(cos, a * sin))
}
