//! Weights as their file stores them, widened.

use crate::errors;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use rdu_kernels::Blocks;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(dequantize, module)?)
}

/// GGUF blocks of 32 values as float32; `None` for a kind that only the `gguf` package knows, or a part of a block.
#[pyfunction]
fn dequantize<'py>(
    py: Python<'py>,
    kind: &str,
    blocks: PyReadonlyArray1<'py, u8>,
) -> PyResult<Option<Bound<'py, PyArray1<f32>>>> {
    let blocks = blocks.as_slice()?;
    let Some(kind) = Blocks::named(kind).filter(|kind| blocks.len().is_multiple_of(kind.bytes())) else {
        return Ok(None);
    };
    let widened = py.detach(|| {
        let mut out = vec![0.0; blocks.len() / kind.bytes() * Blocks::VALUES];
        rdu_kernels::dequantize(kind, blocks, &mut out).map(|()| out)
    });
    let out = widened.map_err(|error| errors::machine(py, error.into()))?;
    Ok(Some(out.into_pyarray(py)))
}
