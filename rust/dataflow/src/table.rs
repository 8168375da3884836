//! The elementary operators, as data: name, arity, what they do, and how.

use crate::operator::{Firing, Operator};

/// One record of the operator table.
pub struct Entry {
    pub name: &'static str,
    pub doc: &'static str,
    /// Inputs that the operator wants; `None` for one or more.
    pub inputs: Option<usize>,
    kernel: Kernel,
}

#[derive(Clone, Copy)]
enum Kernel {
    Map(fn(f32) -> f32),
    Zip(fn(f32, f32) -> f32),
    /// Folds all tokens consumed since the last result into one token, in order of arrival.
    Fold(f32, fn(f32, f32) -> f32),
}

/// Every elementary operator. The Python stubs, docs and tests loop over this table.
pub const TABLE: &[Entry] = &[
    Entry { name: "copy", doc: "y = x", inputs: Some(1), kernel: Kernel::Map(|x| x) },
    Entry { name: "neg", doc: "y = -x", inputs: Some(1), kernel: Kernel::Map(|x| -x) },
    Entry { name: "abs", doc: "y = |x|", inputs: Some(1), kernel: Kernel::Map(f32::abs) },
    Entry { name: "relu", doc: "y = max(x, 0)", inputs: Some(1), kernel: Kernel::Map(|x| x.max(0.0)) },
    Entry { name: "square", doc: "y = x * x", inputs: Some(1), kernel: Kernel::Map(|x| x * x) },
    Entry { name: "add", doc: "y = a + b + ..., from left to right", inputs: None, kernel: Kernel::Zip(|a, b| a + b) },
    Entry { name: "sub", doc: "y = a - b", inputs: Some(2), kernel: Kernel::Zip(|a, b| a - b) },
    Entry { name: "mul", doc: "y = a * b * ..., from left to right", inputs: None, kernel: Kernel::Zip(|a, b| a * b) },
    Entry { name: "max", doc: "y = max(a, b, ...)", inputs: None, kernel: Kernel::Zip(f32::max) },
    Entry { name: "min", doc: "y = min(a, b, ...)", inputs: None, kernel: Kernel::Zip(f32::min) },
    Entry {
        name: "sum",
        doc: "the sum of all tokens since the last result",
        inputs: Some(1),
        kernel: Kernel::Fold(0.0, |a, b| a + b),
    },
    Entry {
        name: "prod",
        doc: "the product of all tokens since the last result",
        inputs: Some(1),
        kernel: Kernel::Fold(1.0, |a, b| a * b),
    },
];

/// An operator of the table for a unit with `inputs` inputs and tokens of `lanes` values.
pub fn operator(name: &str, inputs: usize, lanes: usize) -> Result<Box<dyn Operator>, String> {
    let Some(entry) = TABLE.iter().find(|entry| entry.name == name) else {
        let names: Vec<&str> = TABLE.iter().map(|entry| entry.name).collect();
        return Err(format!("there is no operator {name:?}; choose from {}", names.join(", ")));
    };
    if inputs == 0 || entry.inputs.is_some_and(|wanted| wanted != inputs) {
        let wanted = entry.inputs.map_or("at least 1".to_string(), |n| n.to_string());
        return Err(format!("operator {name:?} takes {wanted} inputs, the unit has {inputs}"));
    }
    Ok(match entry.kernel {
        Kernel::Map(map) => Box::new(Zip { zip: |a, _| a, map }),
        Kernel::Zip(zip) => Box::new(Zip { zip, map: |x| x }),
        Kernel::Fold(start, fold) => Box::new(Fold { start, fold, acc: vec![start; lanes] }),
    })
}

struct Zip {
    zip: fn(f32, f32) -> f32,
    map: fn(f32) -> f32,
}

impl Operator for Zip {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let inputs = firing.inputs;
        firing.outputs.multicast(|out| {
            for (rank, (_, values)) in inputs.iter().enumerate() {
                if values.len() != out.len() {
                    return Err(format!("a firing takes {} values and makes {}", values.len(), out.len()));
                }
                for (y, &x) in out.iter_mut().zip(values) {
                    *y = if rank == 0 { x } else { (self.zip)(*y, x) };
                }
            }
            out.iter_mut().for_each(|y| *y = (self.map)(*y));
            Ok(())
        })
    }
}

struct Fold {
    start: f32,
    fold: fn(f32, f32) -> f32,
    acc: Vec<f32>,
}

impl Operator for Fold {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        for (_, values) in firing.inputs.iter() {
            for token in values.chunks(self.acc.len()) {
                for (acc, &x) in self.acc.iter_mut().zip(token) {
                    *acc = (self.fold)(*acc, x);
                }
            }
        }
        if firing.outputs.is_empty() {
            return Ok(());
        }
        let acc = &mut self.acc;
        firing.outputs.multicast(|out| {
            if out.len() != acc.len() {
                return Err(format!("a fold makes one token of {} values, not {}", acc.len(), out.len()));
            }
            out.copy_from_slice(acc);
            Ok(())
        })?;
        acc.fill(self.start);
        Ok(())
    }
}

/// Sends the rows of an array, one token a row.
pub struct Source {
    pub values: Vec<f32>,
    pub at: usize,
}

impl Operator for Source {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let rest = &self.values[self.at..];
        let mut taken = 0;
        firing.outputs.multicast(|out| {
            taken = out.len();
            let from = rest.get(..taken).ok_or_else(|| "the array has no more rows".to_string())?;
            out.copy_from_slice(from);
            Ok(())
        })?;
        self.at += taken;
        Ok(())
    }
}

/// Keeps every token it takes, for the caller to read after the run.
#[derive(Clone, Default)]
pub struct Sink {
    pub values: std::sync::Arc<std::sync::Mutex<Vec<f32>>>,
}

impl Operator for Sink {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let mut kept = self.values.lock().map_err(|_| "the sink's values are lost".to_string())?;
        firing.inputs.iter().for_each(|(_, values)| kept.extend_from_slice(values));
        Ok(())
    }
}
