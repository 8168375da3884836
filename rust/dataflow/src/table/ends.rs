//! Where values come from, where they go, and what hands them on.

use super::kernel::multicast;
use crate::operator::{Block, Firing, Operator, copy};
use std::sync::{Arc, Mutex};

/// Sends the rows of an array, one token a row.
pub struct Source<T = Vec<f32>> {
    pub values: T,
    pub at: usize,
}

impl<T: AsRef<[f32]>> Source<T> {
    fn send(&mut self, out: &mut [f32]) -> Result<(), String> {
        let rest = self.values.as_ref().get(self.at..).unwrap_or(&[]);
        copy(out, rest.get(..out.len()).ok_or_else(|| "the array has no more rows".to_string())?);
        self.at += out.len();
        Ok(())
    }
}

impl<T: AsRef<[f32]> + Send> Operator for Source<T> {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        firing.outputs.multicast(|out| self.send(out))
    }

    fn fire_many(&mut self, block: Block<'_, '_>) -> Result<(), String> {
        multicast(block.outputs, |out| self.send(out))
    }
}

/// Keeps every token it takes, for the caller to read after the run.
#[derive(Clone, Default)]
pub struct Sink {
    pub values: Arc<Mutex<Vec<f32>>>,
}

impl Sink {
    fn keep<'a>(&self, inputs: impl Iterator<Item = &'a [f32]>) -> Result<(), String> {
        let mut kept = self.values.lock().map_err(|_| "the sink's values are lost".to_string())?;
        inputs.for_each(|values| kept.extend_from_slice(values));
        Ok(())
    }
}

impl Operator for Sink {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        self.keep(firing.inputs.iter().map(|input| input.1))
    }

    fn fire_many(&mut self, block: Block<'_, '_>) -> Result<(), String> {
        self.keep(block.inputs.iter().map(|input| input.1))
    }
}

/// Hands on what it takes, all but the control: what a switch, a select, a gate and a merge do with values.
pub struct Route {
    /// The input that decides.
    pub control: Option<usize>,
}

impl Route {
    fn pass(from: Option<&[f32]>, out: &mut [f32]) -> Result<(), String> {
        match from {
            Some(values) if values.len() == out.len() => {
                copy(out, values);
                Ok(())
            }
            _ => Err(format!("it takes {} values and hands on {}", from.map_or(0, <[f32]>::len), out.len())),
        }
    }
}

impl Operator for Route {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let mut data = firing.inputs.iter().filter(|input| Some(input.0) != self.control);
        firing.outputs.multicast(|out| Route::pass(data.next().map(|input| input.1), out))
    }

    fn fire_many(&mut self, block: Block<'_, '_>) -> Result<(), String> {
        let mut data = block.inputs.iter().filter(|input| Some(input.0) != self.control);
        multicast(block.outputs, |out| Route::pass(data.next().map(|input| input.1), out))
    }
}
