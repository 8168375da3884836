//! A Python function as an operator: for prototypes, one call for each firing.

use crate::errors;
use numpy::{PyArray2, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use rdu_dataflow::{Firing, Operator};
use std::sync::{Arc, Mutex};

/// Where the exception that ended a run waits until the engine has returned.
pub type Failure = Arc<Mutex<Option<PyErr>>>;

/// The function of one unit in one run.
pub struct Function {
    call: Py<PyAny>,
    unit: String,
    /// Values in one token at each input and output.
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    firing: u64,
    failure: Failure,
}

impl Function {
    pub fn new(call: Py<PyAny>, unit: &str, inputs: &[usize], outputs: &[usize], failure: Failure) -> Self {
        Function { call, unit: unit.into(), inputs: inputs.into(), outputs: outputs.into(), firing: 0, failure }
    }

    fn call(&self, py: Python<'_>, firing: Firing<'_>) -> PyResult<()> {
        let argument = |(at, &lanes): (usize, &usize)| array(py, firing.inputs.get(at), lanes);
        let arguments = self.inputs.iter().enumerate().map(argument).collect::<PyResult<Vec<_>>>()?;
        let result = self.call.bind(py).call1(PyTuple::new(py, arguments)?)?;
        if firing.outputs.is_empty() {
            return Ok(());
        }
        let each: Option<Vec<Bound<'_, PyAny>>> = match (result.cast::<PyTuple>(), result.cast::<PyList>()) {
            (Ok(tuple), _) => Some(tuple.iter().collect()),
            (_, Ok(list)) => Some(list.iter().collect()),
            _ => None,
        };
        if let Some(each) = &each
            && each.len() != self.outputs.len()
        {
            let wanted = self.outputs.len();
            return Err(self.bad(py, format!("{} arrays for {wanted} outputs; return one for each", each.len())));
        }
        for (at, &lanes) in self.outputs.iter().enumerate() {
            let out = firing.outputs.get_mut(at);
            if !out.is_empty() {
                let value = each.as_ref().map_or(&result, |each| &each[at]);
                self.copy(py, value, at, out, lanes)?;
            }
        }
        Ok(())
    }

    fn copy(&self, py: Python<'_>, value: &Bound<'_, PyAny>, at: usize, out: &mut [f32], lanes: usize) -> PyResult<()> {
        let wanted = format!("float32 array of shape ({}, {lanes}) for output {at}", out.len() / lanes);
        let Ok(found) = value.cast::<PyArray2<f32>>() else {
            let kind = value.get_type().name()?;
            let shown = match (value.getattr("dtype"), value.getattr("shape")) {
                (Ok(dtype), Ok(shape)) => format!("an array of {dtype} and shape {shape}"),
                _ => format!("a {kind}"),
            };
            return Err(self.bad(py, format!("{shown}; return a {wanted}")));
        };
        if found.shape() != [out.len() / lanes, lanes] {
            let (rows, columns) = (found.shape()[0], found.shape()[1]);
            return Err(self.bad(py, format!("an array of shape ({rows}, {columns}); return a {wanted}")));
        }
        let found = found.try_readonly()?;
        match found.as_slice() {
            Ok(values) => out.copy_from_slice(values),
            Err(_) => out.iter_mut().zip(found.as_array()).for_each(|(y, &x)| *y = x),
        }
        Ok(())
    }

    fn bad(&self, py: Python<'_>, what: String) -> PyErr {
        errors::graph(py, format!("unit {:?}: the function of its firing {} returned {what}", self.unit, self.firing))
    }
}

impl Operator for Function {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let result = Python::attach(|py| self.call(py, firing));
        self.firing += 1;
        result.map_err(|error| {
            if let Ok(mut failure) = self.failure.lock() {
                *failure = Some(error);
            }
            "its function raised".to_string()
        })
    }
}

fn array<'py>(py: Python<'py>, values: &[f32], lanes: usize) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let array = PyArray2::<f32>::zeros(py, [values.len() / lanes, lanes], false);
    array.try_readwrite()?.as_slice_mut()?.copy_from_slice(values);
    Ok(array)
}
