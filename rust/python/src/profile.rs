//! How the core was built, so that a benchmark can refuse a debug build.

use pyo3::prelude::*;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(build_profile, module)?)
}

/// "release", or "debug" where the core was built with debug assertions.
#[pyfunction]
fn build_profile() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}
