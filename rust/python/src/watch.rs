//! The one seam between a long engine call and the interpreter: detach, run, and let Ctrl-C and progress in.

use pyo3::prelude::*;
use std::time::{Duration, Instant};

/// Between two looks at signals and progress: often enough for Ctrl-C to feel immediate, too rare to cost anything.
const LOOK: Duration = Duration::from_millis(20);

/// Runs `work` without the interpreter lock.
///
/// `work` gets the engine's watch: called with the number of firings so far, it answers `false` when the run must stop,
/// because a signal's handler or `progress(firings)` raised; that exception is what comes out. Any other error goes
/// through `raise`.
pub fn detached<T, E>(
    py: Python<'_>,
    progress: Option<Py<PyAny>>,
    work: impl FnOnce(&mut dyn FnMut(u64) -> bool) -> Result<T, E> + Send,
    raise: impl FnOnce(Python<'_>, E) -> PyErr,
) -> PyResult<T>
where
    T: Send,
    E: Send,
{
    let mut pending = None;
    let (pending_inside, progress_inside) = (&mut pending, progress.as_ref());
    let result = py.detach(move || {
        let mut last = Instant::now();
        work(&mut |firings| {
            if last.elapsed() < LOOK {
                return true;
            }
            let looked = Python::attach(|py| {
                py.check_signals()?;
                progress_inside.map_or(Ok(()), |call| call.call1(py, (firings,)).map(drop))
            });
            last = Instant::now();
            looked.map_err(|error| *pending_inside = Some(error)).is_ok()
        })
    });
    match pending {
        Some(error) => Err(error),
        None => result.map_err(|error| raise(py, error)),
    }
}
