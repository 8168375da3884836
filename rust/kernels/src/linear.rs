use std::ops::Range;

use crate::{
    Element, KernelError, Level, Tiled, Vectors,
    error::Check,
    region::{self, Work},
};

/// Longest reduced dimension of whole numbers: its sum of products from -127 to 127 always fits 32 bits.
pub const LONGEST_INTEGER_SUM: usize = i32::MAX as usize / (127 * 127);

/// What a product multiplies its weights by: `[positions][inner]`.
#[derive(Debug, Clone, Copy)]
pub enum Activations<'a> {
    F32(&'a [f32]),
    /// Whole numbers from -127 to 127, and what they count: one scale for each position. See `quantize`.
    Int8 {
        values: &'a [i8],
        scales: &'a [f32],
    },
}

impl<'a> From<&'a [f32]> for Activations<'a> {
    fn from(values: &'a [f32]) -> Self {
        Activations::F32(values)
    }
}

impl<'a> From<&'a Vec<f32>> for Activations<'a> {
    fn from(values: &'a Vec<f32>) -> Self {
        Activations::F32(values)
    }
}

/// A matrix product with packed weights:
/// `y[position][o] = (sum over k of weight[o][k] * x[position][k]) * scales[o] + bias[o]`.
#[derive(Debug, Clone, Copy)]
pub struct Linear<'a> {
    pub x: Activations<'a>,
    pub positions: usize,
    pub inner: usize,
    pub weight: Tiled<'a>,
    pub outer: usize,
    /// Parts that the reduced dimension is cut into, see `split_range`.
    pub splits: usize,
    /// `[outer]`; none: 1.
    pub scales: Option<&'a [f32]>,
    /// `[outer]`
    pub bias: Option<&'a [f32]>,
}

/// A product and where it goes: `[positions][outer]`, row-major.
#[derive(Debug)]
pub struct Product<'a> {
    pub op: Linear<'a>,
    pub y: &'a mut [f32],
}

/// Computes the outputs of `tiles` into `y` (`[positions][outer]`, row-major) and leaves the others alone.
///
/// Order: each part of the reduced dimension sums `fma(w, x, sum)` from 0 with k ascending; `tree_sum` joins the parts;
/// the scale multiplies; the bias is added last. Whole numbers times whole numbers are summed exactly, then multiplied
/// by `scale of the position * scale of the output`. An output's bits depend neither on the other positions nor on the
/// range of tiles. `y` is not rounded. Errors: a length that does not follow from the shape, tiles that do not exist,
/// no parts; whole numbers against weights that are none, or more than `LONGEST_INTEGER_SUM` of them.
pub fn linear(op: Linear, tiles: Range<usize>, y: &mut [f32]) -> Result<(), KernelError> {
    linear_at(Level::detect(), op, tiles, y)
}

/// `linear` on a given level.
pub fn linear_at(level: Level, op: Linear, tiles: Range<usize>, y: &mut [f32]) -> Result<(), KernelError> {
    op.check(y.len())?;
    let count = op.tiles();
    if tiles.start > tiles.end || tiles.end > count {
        let Range { start, end } = tiles;
        return Err(KernelError::Tiles { kernel: CHECK.0, start, end, count });
    }
    region::run(level, vec![Work { op, tiles, y }]);
    Ok(())
}

/// Several whole products side by side: threads start and end once. Each gives the bits of `linear`.
pub fn linears(products: &mut [Product]) -> Result<(), KernelError> {
    linears_at(Level::detect(), products)
}

/// `linears` on a given level.
pub fn linears_at(level: Level, products: &mut [Product]) -> Result<(), KernelError> {
    for Product { op, y } in products.iter() {
        op.check(y.len())?;
    }
    let work = products.iter_mut().map(|Product { op, y }| Work { op: *op, tiles: 0..op.tiles(), y });
    region::run(level, work.collect());
    Ok(())
}

const CHECK: Check = Check("linear");

impl Linear<'_> {
    /// Tiles of the weight: one per `lanes` outputs.
    pub fn tiles(&self) -> usize {
        self.outer.div_ceil(self.weight.lanes())
    }

    fn check(&self, outputs: usize) -> Result<(), KernelError> {
        CHECK.nonzero("splits", self.splits)?;
        let inputs = CHECK.product("x", self.positions, self.inner)?;
        match self.x {
            Activations::F32(x) => CHECK.length("x", x.len(), inputs)?,
            Activations::Int8 { values, scales } => {
                if !matches!(self.weight, Tiled::Vectors(Vectors::Int8(_))) {
                    let found = self.weight.name();
                    return Err(KernelError::Element { kernel: CHECK.0, found, expected: Element::Int8.name() });
                }
                CHECK.length("x", values.len(), inputs)?;
                CHECK.length("the scales of x", scales.len(), self.positions)?;
                CHECK.at_most("a row of x", self.inner, LONGEST_INTEGER_SUM)?;
            }
        }
        CHECK.length("y", outputs, CHECK.product("y", self.positions, self.outer)?)?;
        self.weight.check(CHECK, self.outer, self.inner)?;
        for (what, values) in [("scales", self.scales), ("bias", self.bias)] {
            if let Some(values) = values {
                CHECK.length(what, values.len(), self.outer)?;
            }
        }
        Ok(())
    }
}
