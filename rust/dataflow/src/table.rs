//! The elementary operators, as data: name, inputs, lanes, what they do, and how.

mod ends;
mod fold;
mod kernel;
mod pointwise;

use crate::operator::Operator;
use fold::Fold;
use kernel::{Kernel, Zip};
use pointwise::Pointwise;

pub use ends::{Route, Sink, Source};

/// How many values a token of the result has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lanes {
    /// As many as the tokens of every input, which are alike.
    Same,
    /// One; the inputs are alike.
    One,
    /// As many as the first input's; tokens of the other inputs have one value.
    First,
    /// As many as the inputs' together.
    Total,
}

impl Lanes {
    pub fn name(self) -> &'static str {
        match self {
            Lanes::Same => "same",
            Lanes::One => "one",
            Lanes::First => "first",
            Lanes::Total => "total",
        }
    }

    /// Values in one token of the result, from those of the inputs; `None` where they do not fit together.
    fn made(self, inputs: &[usize]) -> Option<usize> {
        let first = *inputs.first()?;
        let alike = inputs.iter().all(|&lanes| lanes == first);
        match self {
            Lanes::Same => alike.then_some(first),
            Lanes::One => alike.then_some(1),
            Lanes::First => inputs[1..].iter().all(|&lanes| lanes == 1).then_some(first),
            Lanes::Total => Some(inputs.iter().sum()),
        }
    }
}

/// One record of the operator table.
pub struct Entry {
    pub name: &'static str,
    pub doc: &'static str,
    /// Inputs that the operator wants; `None` for one or more.
    pub inputs: Option<usize>,
    pub lanes: Lanes,
    kernel: Kernel,
}

impl Entry {
    /// Takes any number of tokens and makes one; other operators make one token of one token of each input.
    pub fn folds(&self) -> bool {
        matches!(self.kernel, Kernel::Fold(..) | Kernel::FoldProducts)
    }
}

macro_rules! map {
    (|$x:ident| $result:expr) => {
        Kernel::Map(|from, to| to.iter_mut().zip(from).for_each(|(y, &$x)| *y = $result))
    };
}

macro_rules! zip {
    (|$a:ident, $b:ident| $result:expr) => {
        |to: &mut [f32], from: &[f32]| {
            to.iter_mut().zip(from).for_each(|(y, &$b)| {
                let $a = *y;
                *y = $result;
            })
        }
    };
}

const fn entry(name: &'static str, inputs: Option<usize>, lanes: Lanes, kernel: Kernel, doc: &'static str) -> Entry {
    Entry { name, doc, inputs, lanes, kernel }
}

const fn map(name: &'static str, kernel: Kernel, doc: &'static str) -> Entry {
    entry(name, Some(1), Lanes::Same, kernel, doc)
}

const fn zip(name: &'static str, inputs: Option<usize>, zip: Zip, doc: &'static str) -> Entry {
    entry(name, inputs, Lanes::Same, Kernel::Zip(zip), doc)
}

const fn fold(name: &'static str, start: f32, zip: Zip, doc: &'static str) -> Entry {
    entry(name, Some(1), Lanes::Same, Kernel::Fold(start, zip), doc)
}

const fn reduce(name: &'static str, kernel: Kernel, doc: &'static str) -> Entry {
    entry(name, Some(1), Lanes::One, kernel, doc)
}

/// Every elementary operator; each product and sum is rounded to float32. Python's docs and tests loop over this table.
pub const TABLE: &[Entry] = &[
    map("copy", map!(|x| x), "y = x"),
    map("neg", map!(|x| -x), "y = -x"),
    map("abs", map!(|x| x.abs()), "y = |x|"),
    map("relu", map!(|x| x.max(0.0)), "y = max(x, 0)"),
    map("square", map!(|x| x * x), "y = x * x"),
    map("sqrt", map!(|x| x.sqrt()), "y = the square root of x"),
    map("floor", map!(|x| x.floor()), "y = the largest whole number that is not above x"),
    map("positive", map!(|x| truth(x > 0.0)), "y = 1 if x > 0, else 0"),
    zip("add", None, zip!(|a, b| a + b), "y = a + b + ..., from left to right"),
    zip("sub", Some(2), zip!(|a, b| a - b), "y = a - b"),
    zip("mul", None, zip!(|a, b| a * b), "y = a * b * ..., from left to right"),
    zip("div", Some(2), zip!(|a, b| a / b), "y = a / b"),
    zip("max", None, zip!(|a, b| a.max(b)), "y = max(a, b, ...)"),
    zip("min", None, zip!(|a, b| a.min(b)), "y = min(a, b, ...)"),
    zip("lt", Some(2), zip!(|a, b| truth(a < b)), "y = 1 if a < b, else 0"),
    zip("le", Some(2), zip!(|a, b| truth(a <= b)), "y = 1 if a <= b, else 0"),
    zip("gt", Some(2), zip!(|a, b| truth(a > b)), "y = 1 if a > b, else 0"),
    zip("ge", Some(2), zip!(|a, b| truth(a >= b)), "y = 1 if a >= b, else 0"),
    zip("eq", Some(2), zip!(|a, b| truth(a == b)), "y = 1 if a = b, else 0"),
    zip("ne", Some(2), zip!(|a, b| truth(a != b)), "y = 0 if a = b, else 1"),
    fold("sum", 0.0, zip!(|a, b| a + b), "the sum of all tokens since the last result"),
    fold("prod", 1.0, zip!(|a, b| a * b), "the product of all tokens since the last result"),
    fold("max_of", f32::NEG_INFINITY, zip!(|a, b| a.max(b)), "the largest of all tokens since the last result"),
    fold("min_of", f32::INFINITY, zip!(|a, b| a.min(b)), "the smallest of all tokens since the last result"),
    fold("last", 0.0, |to, from| to.copy_from_slice(from), "the last of all tokens since the last result"),
    entry("mac", Some(2), Lanes::Same, Kernel::FoldProducts, "the sum of a * b over all tokens since the last result"),
    entry("dot", Some(2), Lanes::One, Kernel::Dot, "the sum of a * b over the values of a token, in order"),
    reduce("lane_sum", Kernel::Reduce(|x| x.iter().fold(0.0, |a, b| a + b)), "the sum of a token's values, in order"),
    reduce("lane_max", Kernel::Reduce(largest), "the largest of a token's values"),
    reduce("lane_min", Kernel::Reduce(|x| x.iter().copied().fold(f32::INFINITY, f32::min)), "the smallest of them"),
    reduce(
        "argmax",
        Kernel::Reduce(argmax),
        "the number of the largest of a token's values, from 0 on, the first of equals",
    ),
    entry("scale", Some(2), Lanes::First, Kernel::Scale(|a, b| a * b), "every value of a times the one value of b"),
    entry("shift", Some(2), Lanes::First, Kernel::Scale(|a, b| a + b), "every value of a plus the one value of b"),
    entry("concat", None, Lanes::Total, Kernel::Concat, "the values of all inputs' tokens, one after another"),
];

fn truth(holds: bool) -> f32 {
    f32::from(u8::from(holds))
}

fn largest(token: &[f32]) -> f32 {
    token.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

fn argmax(token: &[f32]) -> f32 {
    let most = largest(token);
    token.iter().position(|&value| value == most).unwrap_or(0) as f32
}

/// The record of an operator.
pub fn find(name: &str) -> Result<&'static Entry, String> {
    TABLE.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let names: Vec<&str> = TABLE.iter().map(|entry| entry.name).collect();
        format!("there is no operator {name:?}; choose from {}", names.join(", "))
    })
}

/// An operator of the table for a unit with `inputs` inputs, all with tokens of `lanes` values.
pub fn operator(name: &str, inputs: usize, lanes: usize) -> Result<Box<dyn Operator>, String> {
    operator_of(name, &vec![lanes; inputs])
}

/// An operator of the table for a unit whose inputs have tokens of so many values.
pub fn operator_of(name: &str, lanes: &[usize]) -> Result<Box<dyn Operator>, String> {
    let entry = find(name)?;
    let inputs = lanes.len();
    if inputs == 0 || entry.inputs.is_some_and(|wanted| wanted != inputs) {
        let wanted = entry.inputs.map_or("at least 1".to_string(), |n| n.to_string());
        return Err(format!("operator {name:?} takes {wanted} inputs, the unit has {inputs}"));
    }
    let made = entry.lanes.made(lanes).filter(|&made| made > 0 && lanes[0] > 0);
    let Some(made) = made else {
        return Err(format!("operator {name:?} cannot take tokens of {lanes:?} values together"));
    };
    Ok(match entry.kernel {
        Kernel::Fold(start, _) => Box::new(Fold { kernel: entry.kernel, start, acc: vec![start; made] }),
        Kernel::FoldProducts => Box::new(Fold { kernel: entry.kernel, start: 0.0, acc: vec![0.0; made] }),
        kernel => Box::new(Pointwise { kernel, lanes: lanes.to_vec() }),
    })
}
