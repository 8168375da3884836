//! `rdu._core`: the engine's face to Python. Conversion and errors only; each noun registers itself.

mod analysis;
mod dram;
mod errors;
mod image;
mod profile;
mod session;
mod sram;
mod stream_columns;
mod stream_description;
mod stream_function;
mod stream_memory;
mod stream_program;
mod stream_role;
mod stream_run;
mod tier;
mod watch;
mod weights;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    analysis::register(module)?;
    dram::register(module)?;
    image::register(module)?;
    profile::register(module)?;
    session::register(module)?;
    sram::register(module)?;
    stream_program::register(module)?;
    weights::register(module)
}
