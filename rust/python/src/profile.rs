//! What a benchmark has to know of the host: how the core was built, and how fast memory is read.

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use std::time::Instant;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(build_profile, module)?)?;
    module.add_function(wrap_pyfunction!(read_seconds, module)?)
}

/// "release", or "debug" where the core was built with debug assertions.
#[pyfunction]
fn build_profile() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}

/// Seconds that all threads together take to read an array once.
#[pyfunction]
fn read_seconds(py: Python<'_>, words: PyReadonlyArray1<'_, u64>) -> PyResult<f64> {
    let words = words.as_slice()?;
    Ok(py.detach(|| {
        let began = Instant::now();
        std::hint::black_box(rdu_kernels::read(words));
        began.elapsed().as_secs_f64()
    }))
}
