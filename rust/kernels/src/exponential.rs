use crate::{
    Level,
    simd::{Kernel, Simd},
};

/// exp(x) in place, each value within 1 ulp, the same bits everywhere. NaN stays NaN; below about -104 gives 0.
pub fn exp(values: &mut [f32]) {
    exp_at(Level::detect(), values);
}

/// `exp` on a given level.
pub fn exp_at(level: Level, values: &mut [f32]) {
    level.run(Exp(values));
}

struct Exp<'a>(&'a mut [f32]);

impl Kernel for Exp<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for value in self.0 {
            *value = exponential(*value);
        }
    }
}

/// Past these the result is 0 or infinity.
const LOW: f32 = -104.0;
const HIGH: f32 = 89.0;
/// 1.5 * 2^23: adding it leaves the nearest integer in the low bits of the sum.
const SHIFT: f32 = 12_582_912.0;
/// ln 2 in two parts; the first has 15 significant bits, so that its products with n are exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// exp(x) = 2^n * exp(r), r = x - n ln 2, |r| <= ln(2)/2; polynomial of Cephes' `expf` (S. Moshier, netlib.org/cephes).
#[inline(always)]
pub(crate) fn exponential(x: f32) -> f32 {
    // Written as selects that keep a NaN: `clamp` costs a branch the vectoriser trips over.
    let x = if x > HIGH { HIGH } else { x };
    let x = if x < LOW { LOW } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, SHIFT);
    let n = shifted - SHIFT;
    let r = n.mul_add(-LN2_HIGH, x);
    let r = n.mul_add(-LN2_LOW, r);
    let q = 1.987_569_1e-4_f32;
    let q = q.mul_add(r, 1.398_2e-3);
    let q = q.mul_add(r, 8.333_452e-3);
    let q = q.mul_add(r, 4.166_579_6e-2);
    let q = q.mul_add(r, 1.666_666_5e-1);
    let q = q.mul_add(r, 5.0e-1);
    let p = q.mul_add(r * r, r) + 1.0;
    // 2^n in two factors: n reaches -150, past the smallest normal exponent. Only the last product can round.
    let n = shifted.to_bits().wrapping_sub(SHIFT.to_bits()) as i32;
    let half = n >> 1;
    p * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

#[cfg(test)]
mod tests {
    use super::exp;

    /// Distance in units of the last place of the correctly rounded result.
    fn ulps(found: f32, exact: f64) -> f64 {
        let nearest = exact as f32;
        let place = f64::from(f32::from_bits(nearest.to_bits() + 1)) - f64::from(nearest);
        (f64::from(found) - exact).abs() / place
    }

    #[test]
    fn exp_is_within_one_ulp() {
        // Every 997th float (a prime, to meet all low bits) from -88 to 88.7, both signs: normal results.
        for top in [88.7_f32, -87.3] {
            let mut x: Vec<f32> =
                (0..top.abs().to_bits()).step_by(997).map(|b| f32::from_bits(b).copysign(top)).collect();
            let exact: Vec<f64> = x.iter().map(|x| f64::from(*x).exp()).collect();
            exp(&mut x);
            let worst = x.iter().zip(&exact).map(|(x, e)| ulps(*x, *e)).fold(0.0, f64::max);
            assert!(worst < 1.0, "{worst} ulp up to {top}");
        }
    }

    #[test]
    fn exp_has_its_limits() {
        let table = [
            (0.0, 1.0),
            (-0.0, 1.0),
            (f32::NEG_INFINITY, 0.0),
            (-104.0, 0.0),
            (-1e30, 0.0),
            (f32::INFINITY, f32::INFINITY),
            (88.72284, f32::INFINITY),
            (-103.0, 1e-45),
            (f32::NAN, f32::NAN),
        ];
        for (x, expected) in table {
            let mut y = [x];
            exp(&mut y);
            assert!(y[0].to_bits() == f32::to_bits(expected) || y[0].is_nan() && x.is_nan(), "exp({x})");
        }
    }
}
