use std::ptr;

use crate::{
    KernelError, Level, Vectors,
    error::Check,
    row::AHEAD,
    simd::{Bf16, F32, Format, Int8, Kernel, ROWS, Simd},
};

/// Vectors of a row that `mix` sums at once: enough independent sums to hide the latency of a multiply-add.
const COLUMNS: usize = 4;

/// Dot product: lane l sums `fma(b, a, sum)` over the vectors ascending from 0, then the lanes are added by halves
/// (l += l+16, l+8, l+4, l+2, l+1).
///
/// `a` may be shorter than `b`'s padded length; what is missing counts as zero. Errors: `a` longer than `b`, or `b`
/// not in whole vectors.
pub fn dot(a: &[f32], b: Vectors) -> Result<f32, KernelError> {
    dot_at(Level::detect(), a, b)
}

/// `dot` on a given level.
pub fn dot_at(level: Level, a: &[f32], b: Vectors) -> Result<f32, KernelError> {
    let mut out = [0.0];
    let check = Check("dot");
    b.check(check, "b")?;
    check.at_most("a", a.len(), b.len())?;
    let vectors_per_row = b.len() / b.element().lanes();
    scores_at(level, a, b, vectors_per_row, vectors_per_row, &mut out)?;
    Ok(out[0])
}

/// acc[i] = fma(p, v[i], acc[i]). `acc` may be shorter than `v`'s padded length.
///
/// Errors: `acc` longer than `v`, or `v` not in whole vectors.
pub fn accumulate(p: f32, v: Vectors, acc: &mut [f32]) -> Result<(), KernelError> {
    accumulate_at(Level::detect(), p, v, acc)
}

/// `accumulate` on a given level.
pub fn accumulate_at(level: Level, p: f32, v: Vectors, acc: &mut [f32]) -> Result<(), KernelError> {
    let check = Check("accumulate");
    v.check(check, "v")?;
    check.at_most("acc", acc.len(), v.len())?;
    level.run(Accumulate { p, v, acc });
    Ok(())
}

/// One firing of a multiply-accumulate unit: acc[lane] = fma(w[lane], x, acc[lane]) for one vector `w`.
///
/// Errors: `w` is not one vector, or `acc` has not its lanes.
pub fn mac(acc: &mut [f32], w: Vectors, x: f32) -> Result<(), KernelError> {
    let lanes = w.element().lanes();
    Check("mac").length("w", w.len(), lanes)?;
    Check("mac").length("acc", acc.len(), lanes)?;
    Level::detect().run(Accumulate { p: x, v: w, acc });
    Ok(())
}

/// out[r] = dot(q, row r), where row r is `vectors_per_row` vectors from vector `r * row_stride_vectors` on.
///
/// `q` may be shorter than a row; what is missing counts as zero. Errors: rows that do not exist, `q` longer than a
/// row, `rows` not in whole vectors.
pub fn scores(
    q: &[f32],
    rows: Vectors,
    row_stride_vectors: usize,
    vectors_per_row: usize,
    out: &mut [f32],
) -> Result<(), KernelError> {
    scores_at(Level::detect(), q, rows, row_stride_vectors, vectors_per_row, out)
}

/// `scores` on a given level.
pub fn scores_at(
    level: Level,
    q: &[f32],
    rows: Vectors,
    row_stride_vectors: usize,
    vectors_per_row: usize,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let check = Check("scores");
    check_rows(check, rows, out.len(), row_stride_vectors, vectors_per_row)?;
    check.at_most("q", q.len(), vectors_per_row * rows.element().lanes())?;
    match rows {
        Vectors::Bf16(rows) => {
            let rows = Rows::<Bf16> { data: rows.as_chunks().0, stride: row_stride_vectors, vectors_per_row };
            level.run(Scores { q, rows, out });
        }
        Vectors::F32(rows) => {
            let rows = Rows::<F32> { data: rows.as_chunks().0, stride: row_stride_vectors, vectors_per_row };
            level.run(Scores { q, rows, out });
        }
        Vectors::Int8(rows) => {
            let rows = Rows::<Int8> { data: rows.as_chunks().0, stride: row_stride_vectors, vectors_per_row };
            level.run(Scores { q, rows, out });
        }
    }
    Ok(())
}

/// acc[i] = fma(p[r], row r[i], acc[i]) for r ascending: `accumulate` over rows laid out as for `scores`.
///
/// `acc` may be shorter than a row. Errors: rows that do not exist, `acc` longer than a row, `rows` not in whole
/// vectors.
pub fn mix(
    p: &[f32],
    rows: Vectors,
    row_stride_vectors: usize,
    vectors_per_row: usize,
    acc: &mut [f32],
) -> Result<(), KernelError> {
    mix_at(Level::detect(), p, rows, row_stride_vectors, vectors_per_row, acc)
}

/// `mix` on a given level.
pub fn mix_at(
    level: Level,
    p: &[f32],
    rows: Vectors,
    row_stride_vectors: usize,
    vectors_per_row: usize,
    acc: &mut [f32],
) -> Result<(), KernelError> {
    let check = Check("mix");
    check_rows(check, rows, p.len(), row_stride_vectors, vectors_per_row)?;
    check.at_most("acc", acc.len(), vectors_per_row * rows.element().lanes())?;
    match rows {
        Vectors::Bf16(rows) => {
            let rows = Rows::<Bf16> { data: rows.as_chunks().0, stride: row_stride_vectors, vectors_per_row };
            level.run(Mix { p, rows, acc });
        }
        Vectors::F32(rows) => {
            let rows = Rows::<F32> { data: rows.as_chunks().0, stride: row_stride_vectors, vectors_per_row };
            level.run(Mix { p, rows, acc });
        }
        Vectors::Int8(rows) => {
            let rows = Rows::<Int8> { data: rows.as_chunks().0, stride: row_stride_vectors, vectors_per_row };
            level.run(Mix { p, rows, acc });
        }
    }
    Ok(())
}

fn check_rows(check: Check, rows: Vectors, count: usize, stride: usize, width: usize) -> Result<(), KernelError> {
    rows.check(check, "rows")?;
    let lanes = rows.element().lanes();
    let width = check.product("a row", width, lanes)?;
    let Some(last) = count.checked_sub(1) else {
        return Ok(());
    };
    let start = check.product("rows", check.product("rows", last, stride)?, lanes)?;
    check.at_least("rows", rows.len(), start.saturating_add(width))
}

struct Rows<'a, W: Format> {
    data: &'a [W::Vector],
    stride: usize,
    vectors_per_row: usize,
}

struct Scores<'a, W: Format> {
    q: &'a [f32],
    rows: Rows<'a, W>,
    out: &'a mut [f32],
}

impl<W: Format> Kernel for Scores<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Scores { q, rows, out } = self;
        let mut query = Vec::with_capacity(rows.vectors_per_row);
        for vector in 0..rows.vectors_per_row {
            query.push(W::load(simd, &q[(vector * W::LANES).min(q.len())..]));
        }
        let (several, rest) = out.as_chunks_mut::<ROWS>();
        for (at, out) in several.iter_mut().enumerate() {
            let mut sums = [W::zero(simd); ROWS];
            for (row, sum) in sums.iter_mut().enumerate() {
                *sum = rows.products::<S>(simd, &query, at * ROWS + row);
            }
            *out = W::reduce_rows(simd, sums);
        }
        let first = several.len() * ROWS;
        for (row, out) in rest.iter_mut().enumerate() {
            *out = W::reduce(simd, rows.products::<S>(simd, &query, first + row));
        }
    }
}

struct Mix<'a, W: Format> {
    p: &'a [f32],
    rows: Rows<'a, W>,
    acc: &'a mut [f32],
}

impl<W: Format> Kernel for Mix<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Mix { p, rows, acc } = self;
        if p.is_empty() {
            return;
        }
        for (index, acc) in acc.chunks_mut(COLUMNS * W::LANES).enumerate() {
            let vectors = &rows.data[index * COLUMNS..];
            match acc.len().div_ceil(W::LANES) {
                4 => rows.mix::<S, 4>(simd, p, vectors, acc),
                3 => rows.mix::<S, 3>(simd, p, vectors, acc),
                2 => rows.mix::<S, 2>(simd, p, vectors, acc),
                _ => rows.mix::<S, 1>(simd, p, vectors, acc),
            }
        }
    }
}

impl<W: Format> Rows<'_, W> {
    /// Lane by lane, the sums of a row's products with a query.
    #[inline(always)]
    fn products<S: Simd>(&self, simd: S, query: &[W::Sum<S>], row: usize) -> W::Sum<S> {
        let start = row * self.stride;
        let mut sum = W::zero(simd);
        for (vector, query) in self.data[start..start + self.vectors_per_row].iter().zip(query) {
            simd.prefetch(ptr::from_ref(vector).wrapping_add(ROWS * self.stride));
            sum = W::fma_lanes(simd, vector, *query, sum);
        }
        sum
    }

    #[inline(always)]
    fn mix<S: Simd, const COUNT: usize>(&self, simd: S, p: &[f32], vectors: &[W::Vector], acc: &mut [f32]) {
        let mut sums = [W::zero(simd); COUNT];
        for (sum, acc) in sums.iter_mut().zip(acc.chunks(W::LANES)) {
            *sum = W::load(simd, acc);
        }
        for (row, p) in p.iter().enumerate() {
            let p = simd.splat(*p);
            for (at, sum) in sums.iter_mut().enumerate() {
                simd.prefetch(vectors.as_ptr().wrapping_add((row + AHEAD / COUNT) * self.stride + at));
                *sum = W::fma_splat(simd, &vectors[row * self.stride + at], p, *sum);
            }
        }
        for (sum, acc) in sums.into_iter().zip(acc.chunks_mut(W::LANES)) {
            W::store(simd, sum, acc);
        }
    }
}

struct Accumulate<'a> {
    p: f32,
    v: Vectors<'a>,
    acc: &'a mut [f32],
}

impl Kernel for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        match self.v {
            Vectors::Bf16(v) => {
                for (acc, &v) in self.acc.iter_mut().zip(v) {
                    *acc = f32::from_bits(u32::from(v) << 16).mul_add(self.p, *acc);
                }
            }
            Vectors::F32(v) => {
                for (acc, &v) in self.acc.iter_mut().zip(v) {
                    *acc = v.mul_add(self.p, *acc);
                }
            }
            Vectors::Int8(v) => {
                for (acc, &v) in self.acc.iter_mut().zip(v) {
                    *acc = f32::from(v).mul_add(self.p, *acc);
                }
            }
        }
    }
}
