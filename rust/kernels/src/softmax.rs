use crate::{
    Level,
    exponential::exponential,
    simd::{Kernel, Simd, WIDTH},
};

/// Softmax of one row in place: m = max, e = exp(x - m), sum of e sequentially ascending in fp32, y = e / sum.
///
/// -inf gives 0 beside a finite value. A row with a NaN, a +inf or nothing but -inf becomes NaN. An empty row stays.
pub fn softmax(row: &mut [f32]) {
    softmax_at(Level::detect(), row);
}

/// `softmax` on a given level.
pub fn softmax_at(level: Level, row: &mut [f32]) {
    level.run(Softmax(row));
}

struct Softmax<'a>(&'a mut [f32]);

impl Kernel for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let row = self.0;
        // The largest of a row is the largest of its lanes'; which zero it is changes no power.
        let larger = |max: f32, x: f32| if x > max { x } else { max };
        let (vectors, rest) = row.as_chunks::<WIDTH>();
        let mut most = [f32::NEG_INFINITY; WIDTH];
        for vector in vectors {
            for lane in 0..WIDTH {
                most[lane] = larger(most[lane], vector[lane]);
            }
        }
        let max = most.iter().chain(rest).fold(f32::NEG_INFINITY, |max, x| larger(max, *x));
        for x in row.iter_mut() {
            *x = exponential(*x - max);
        }
        let mut sum = 0.0;
        for &e in row.iter() {
            sum += e;
        }
        for e in row.iter_mut() {
            *e /= sum;
        }
    }
}
