//! Work on the pool's threads while this one keeps watch.

use crate::error::MachineError;
use rdu_dataflow::{RunError, Watch};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// Between two looks: short enough for Ctrl-C to feel immediate.
const LOOK: Duration = Duration::from_millis(10);

/// Tells work that it is wanted no more.
pub struct Stop(AtomicBool);

impl Stop {
    pub fn check(&self) -> Result<(), MachineError> {
        if self.0.load(Ordering::Relaxed) { Err(RunError::Interrupted.into()) } else { Ok(()) }
    }
}

/// Runs `work` on a thread of the pool: its parallel parts then start without a change of threads. `here` runs on this
/// thread at the same time. `watch`, which `here` gets too, is polled here, where signals arrive; `false`, or an error of
/// `here`, sets the stop that `work` checks. An error of `work` comes out before one of `here`, unless it was stopped.
pub fn aside(
    watch: Watch,
    work: impl FnOnce(&Stop) -> Result<(), MachineError> + Send,
    here: impl FnOnce(Watch) -> Result<(), MachineError>,
) -> Result<(), MachineError> {
    let stop = Stop(AtomicBool::new(false));
    // A thread of the pool that waited for another might wait for itself.
    if rayon::current_thread_index().is_some() {
        stop.0.store(!watch(0), Ordering::Relaxed);
        work(&stop)?;
        return here(watch);
    }
    let mut result = Err(RunError::Interrupted.into());
    let mut beside = Ok(());
    let (done, ended) = sync_channel(1);
    rayon::in_place_scope(|scope| {
        let (stop, result) = (&stop, &mut result);
        scope.spawn(move |_| {
            *result = work(stop);
            // Nobody listens only if the watch has panicked.
            let _ = done.send(());
        });
        beside = here(watch);
        if beside.is_err() {
            stop.0.store(true, Ordering::Relaxed);
        }
        while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            if !watch(0) {
                stop.0.store(true, Ordering::Relaxed);
            }
        }
    });
    match result {
        Err(MachineError::Run(RunError::Interrupted)) => beside.and(result),
        Err(_) => result,
        Ok(()) => beside,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_ends_when_the_watch_says_so() {
        let mut looks = 0;
        let mut watch = |_| {
            looks += 1;
            looks < 3
        };
        let forever = |stop: &Stop| {
            loop {
                stop.check()?;
                std::thread::yield_now();
            }
        };
        let found = aside(&mut watch, forever, |_| Ok(()));
        assert!(matches!(found, Err(MachineError::Run(RunError::Interrupted))));
        assert!(aside(&mut |_| true, |_| Ok(()), |_| Ok(())).is_ok());
        let wrong = || MachineError::Address { address: 1, bytes: 2 };
        let found = aside(&mut |_| true, forever, |_| Err(wrong()));
        assert!(matches!(found, Err(MachineError::Address { .. })), "an error here stops the work, and comes out");
        let found = aside(&mut |_| true, |_| Err(wrong()), |_| Ok(()));
        assert!(matches!(found, Err(MachineError::Address { .. })), "so does one of the work");
        let inside = rayon::scope(|_| aside(&mut |_| false, Stop::check, |_| Ok(())));
        assert!(inside.is_err(), "on a thread of the pool the watch is asked once, first");
    }
}
