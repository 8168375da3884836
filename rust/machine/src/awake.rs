//! Keeping the threads of the pool awake: to wake one takes longer than many a step of a plan.

use rayon::{Yield, current_num_threads, current_thread_index, yield_now};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Works under way in the process. Beside another one nobody keeps watch: threads that wait for each other's end would
/// wait for ever, and there is enough to do.
static WORKS: AtomicUsize = AtomicUsize::new(0);

/// Counts a work, and says that it is over, whichever way it ends.
struct Under<'a>(&'a AtomicBool);

impl<'a> Under<'a> {
    fn way(over: &'a AtomicBool) -> Self {
        WORKS.fetch_add(1, Ordering::SeqCst);
        Under(over)
    }
}

impl Drop for Under<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
        WORKS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Runs `work` on this thread of the pool, while the others look for its parallel parts without ever sleeping.
pub fn awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let over = AtomicBool::new(false);
    let under = Under::way(&over);
    if current_num_threads() < 2 {
        return work();
    }
    let here = current_thread_index();
    let look = || {
        while !over.load(Ordering::SeqCst) && WORKS.load(Ordering::SeqCst) == 1 {
            if yield_now() != Some(Yield::Executed) {
                // On a busy host somebody else may have the processor.
                std::thread::yield_now();
            }
        }
    };
    rayon::in_place_scope(|scope| {
        scope.spawn_broadcast(|_, context| {
            if Some(context.index()) != here {
                look();
            }
        });
        let result = work();
        drop(under);
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    fn sum(rounds: u64) -> u64 {
        (0..rounds).map(|round| (0..1000u64).into_par_iter().map(|at| at ^ round).sum::<u64>()).sum()
    }

    #[test]
    fn the_result_is_that_of_the_work() {
        assert_eq!(rayon::scope(|_| awake(|| sum(50))), sum(50));
        assert_eq!(awake(|| sum(50)), sum(50), "outside of the pool too");
    }

    #[test]
    fn works_at_the_same_time_do_not_wait_for_each_other() {
        let one = || rayon::scope(|_| awake(|| sum(200)));
        std::thread::scope(|threads| {
            let all: Vec<_> = (0..8).map(|_| threads.spawn(one)).collect();
            for thread in all {
                assert_eq!(thread.join().unwrap(), sum(200));
            }
        });
        assert_eq!(WORKS.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_panic_lets_the_others_go() {
        let caught = std::panic::catch_unwind(|| rayon::scope(|_| awake(|| assert_eq!(sum(1), 0))));
        assert!(caught.is_err());
    }
}
