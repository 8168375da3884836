use crate::{
    KernelError, Level,
    error::Check,
    simd::{Kernel, Simd, WIDTH},
};

/// Root-mean-square norm of each row: `y = (x * scale) * weight`, `scale = 1 / sqrt(mean(x^2) + eps)`.
///
/// `x` and `y` are `[rows][width]`, `weight` is `[width]`. Lane l of 16 sums `fma(x, x, sum)` over elements l, l+16, ...;
/// the lanes are added by halves; mean = sum / width; square root and divisions round correctly. `y` is not rounded.
/// Errors: `width` is zero, `x` is not whole rows, `weight` or `y` has another length.
pub fn rms_norm(x: &[f32], width: usize, weight: &[f32], eps: f32, y: &mut [f32]) -> Result<(), KernelError> {
    rms_norm_at(Level::detect(), x, width, weight, eps, y)
}

/// `rms_norm` on a given level.
pub fn rms_norm_at(
    level: Level,
    x: &[f32],
    width: usize,
    weight: &[f32],
    eps: f32,
    y: &mut [f32],
) -> Result<(), KernelError> {
    let check = Check("rms_norm");
    check.nonzero("width", width)?;
    check.whole("x", x.len(), width)?;
    check.length("weight", weight.len(), width)?;
    check.length("y", y.len(), x.len())?;
    level.run(RmsNorm { x, weight, eps, y });
    Ok(())
}

struct RmsNorm<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    eps: f32,
    y: &'a mut [f32],
}

impl Kernel for RmsNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.weight.len();
        for (x, y) in self.x.chunks_exact(width).zip(self.y.chunks_exact_mut(width)) {
            let (vectors, rest) = x.as_chunks::<WIDTH>();
            let mut sum = simd.splat(0.0);
            for vector in vectors {
                let vector = simd.load(vector);
                sum = simd.fma(vector, vector, sum);
            }
            // A missing element counts as zero, which leaves a sum of squares as it is.
            let mut last = [0.0; WIDTH];
            last[..rest.len()].copy_from_slice(rest);
            let last = simd.load(&last);
            let mean = simd.reduce(simd.fma(last, last, sum)) / width as f32;
            let scale = 1.0 / (mean + self.eps).sqrt();
            for ((y, x), weight) in y.iter_mut().zip(x).zip(self.weight) {
                *y = x * scale * weight;
            }
        }
    }
}
