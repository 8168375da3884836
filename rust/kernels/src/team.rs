//! Threads that stay awake for a while: to wake one takes longer than many a product.

use std::{
    cell::Cell,
    hint::spin_loop,
    ops::Range,
    ptr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering},
    },
};

use rayon::{Yield, current_num_threads, current_thread_index, prelude::*, yield_now};

/// Works under way in the process. Beside another one nobody keeps watch: threads that wait for each other's end would
/// wait for ever, and there is enough to do.
static WORKS: AtomicUsize = AtomicUsize::new(0);

/// Looks for a job between two offers to give the processor away: longer than what lies between two products.
const LOOKS: usize = 2000;

/// Tasks that a thread takes one by one where nobody is awake: enough to even out what else the processor does.
const TASKS_PER_THREAD: usize = 8;

/// Multiply-adds, or values copied, up to which one thread is done before another one has begun.
const THREADED: usize = 1 << 16;

thread_local! {
    /// The team of the work that this thread leads.
    static TEAM: Cell<*const Team> = const { Cell::new(ptr::null()) };
}

/// On a busy host somebody else may have the processor after a while.
fn wait(looks: usize) {
    if looks < LOOKS {
        spin_loop();
    } else {
        std::thread::yield_now();
    }
}

/// A stretch of parallel tasks. Each thread begins with a part of its own, and goes through it in order: neighbours lie
/// behind each other in memory.
struct Job<'a> {
    parts: Vec<Part>,
    /// Parts that have an owner.
    owned: AtomicUsize,
    run: &'a (dyn Fn(usize) + Sync),
}

/// Tasks that are left of a part: the first in the upper half, the end in the lower.
#[repr(align(64))]
struct Part(AtomicU64);

impl Part {
    fn new(tasks: Range<usize>) -> Self {
        Part(AtomicU64::new((tasks.start as u64) << 32 | tasks.end as u64))
    }

    /// Takes the first task for the part's owner, and the last for anybody else.
    fn take(&self, owner: bool) -> Option<usize> {
        let bounds = |left: u64| ((left >> 32) as usize, left as u32 as usize);
        let less = |left| {
            let (first, end) = bounds(left);
            (first < end).then(|| if owner { left + (1 << 32) } else { left - 1 })
        };
        let (first, end) = bounds(self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok()?);
        Some(if owner { first } else { end - 1 })
    }
}

impl<'a> Job<'a> {
    fn new(count: usize, threads: usize, run: &'a (dyn Fn(usize) + Sync)) -> Self {
        let parts = (0..threads).map(|at| Part::new(at * count / threads..(at + 1) * count / threads)).collect();
        Job { parts, owned: AtomicUsize::new(0), run }
    }

    /// Does tasks until none is left.
    fn work(&self) {
        let mine = self.owned.fetch_add(1, Ordering::Relaxed);
        for at in mine..mine + self.parts.len() {
            let part = &self.parts[at % self.parts.len()];
            while let Some(task) = part.take(at == mine && mine < self.parts.len()) {
                (self.run)(task);
            }
        }
    }
}

/// Who leads a work, and who looks for its jobs.
#[derive(Default)]
struct Team {
    /// The job under way, null if there is none; it lies on the leader's stack.
    job: AtomicPtr<Job<'static>>,
    /// Jobs so far.
    jobs: AtomicUsize,
    /// Threads that may have seen it.
    inside: AtomicUsize,
    /// Threads that look.
    looking: AtomicUsize,
    over: AtomicBool,
}

/// Takes one away when it is dropped, whichever way that comes about.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Counted(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Team {
    /// Looks for jobs until the work is over.
    fn look(&self) {
        let _looking = Counted::new(&self.looking);
        let (mut looks, mut helped) = (0, 0);
        while !self.over.load(Ordering::SeqCst) && WORKS.load(Ordering::SeqCst) == 1 {
            // Once for each: whoever came back would only take the job's memory from those who are still at it. A job is
            // there before it is counted, so that none is missed.
            let jobs = self.jobs.load(Ordering::SeqCst);
            if jobs != helped && self.help() {
                (looks, helped) = (0, jobs);
            } else {
                looks += 1;
            }
            if looks < LOOKS || yield_now() != Some(Yield::Executed) {
                wait(looks);
            }
        }
    }

    /// Whether there was a job.
    fn help(&self) -> bool {
        if self.job.load(Ordering::Relaxed).is_null() {
            return false;
        }
        let _inside = Counted::new(&self.inside);
        // SAFETY: a job that is not null is on the stack of `lead`, which takes the pointer back and then waits until
        // nobody is inside; in the one order of these accesses, `inside` was raised before the pointer was read.
        let Some(job) = (unsafe { self.job.load(Ordering::SeqCst).as_ref() }) else { return false };
        job.work();
        true
    }

    /// Does at most 2^32 tasks on this thread and on those that look.
    fn lead(&self, count: usize, run: &(dyn Fn(usize) + Sync)) {
        let job = Job::new(count, self.looking.load(Ordering::Relaxed) + 1, run);
        let end = Ended(self);
        self.job.store(ptr::from_ref(&job).cast_mut().cast(), Ordering::SeqCst);
        self.jobs.fetch_add(1, Ordering::SeqCst);
        job.work();
        drop(end);
    }
}

/// Takes the job back and waits for those who are still at it, even if a task has panicked.
struct Ended<'a>(&'a Team);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.job.store(ptr::null_mut(), Ordering::SeqCst);
        let mut looks = 0;
        while self.0.inside.load(Ordering::SeqCst) != 0 {
            looks += 1;
            wait(looks);
        }
    }
}

/// Makes this thread the leader, and lets everybody go in the end.
struct Leading<'a> {
    team: &'a Team,
    before: *const Team,
    _work: Counted<'a>,
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        TEAM.set(self.before);
        self.team.over.store(true, Ordering::SeqCst);
    }
}

/// Runs `work` on this thread of the pool, while the others look for its parallel parts without ever sleeping.
pub fn awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let team = Team::default();
    let counted = Counted::new(&WORKS);
    if current_num_threads() < 2 {
        return work();
    }
    let here = current_thread_index();
    rayon::in_place_scope(|scope| {
        let team = &team;
        scope.spawn_broadcast(move |_, context| {
            if Some(context.index()) != here {
                team.look();
            }
        });
        let leading = Leading { team, before: TEAM.replace(team), _work: counted };
        let result = work();
        drop(leading);
        result
    })
}

/// Runs every task, on as many threads as there are if all of them come to enough `work`, in multiply-adds or values
/// copied; side by side with those of `awake`, if this thread leads a work.
///
/// Tasks may run in any order, and must not wait for each other.
pub fn each<T: Send>(tasks: Vec<T>, work: usize, run: impl Fn(T) + Sync) {
    if work <= THREADED || current_num_threads() < 2 {
        return tasks.into_iter().for_each(run);
    }
    // SAFETY: `awake` sets the pointer while its team lives, and on this thread only.
    let team = unsafe { TEAM.get().as_ref() };
    let free = |team: &&Team| team.looking.load(Ordering::Relaxed) > 0 && team.job.load(Ordering::Relaxed).is_null();
    // Numbers of tasks have 32 bits.
    let Some(team) = team.filter(free).filter(|_| u32::try_from(tasks.len()).is_ok()) else {
        let longest = tasks.len().div_ceil(TASKS_PER_THREAD * current_num_threads());
        return tasks.into_par_iter().with_max_len(longest.max(1)).for_each(&run);
    };
    // Each is taken once, so that nobody ever waits for a lock.
    let tasks: Vec<Mutex<Option<T>>> = tasks.into_iter().map(|task| Mutex::new(Some(task))).collect();
    team.lead(tasks.len(), &|at| {
        let task = tasks[at].lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            run(task);
        }
    });
}

/// The same with tasks that may fail: the error of the first of them, in the order given, that does.
pub fn try_each<T: Send, E: Send>(
    tasks: Vec<T>,
    work: usize,
    run: impl Fn(T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let wrong: Mutex<Option<(usize, E)>> = Mutex::new(None);
    each(tasks.into_iter().enumerate().collect(), work, |(at, task)| {
        let Err(error) = run(task) else { return };
        let mut first = wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if first.as_ref().is_none_or(|(other, _)| at < *other) {
            *first = Some((at, error));
        }
    });
    let first = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
    first.map_or(Ok(()), |(_, error)| Err(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than enough for threads.
    const MUCH: usize = THREADED + 1;

    #[test]
    fn the_first_error_comes_out() {
        let odd = |at: usize| if at.is_multiple_of(2) { Ok(()) } else { Err(at) };
        for work in [0, MUCH] {
            assert_eq!(try_each((0..100).map(|at| 99 - at).collect(), work, odd), Err(99));
            assert_eq!(try_each(vec![0, 4, 2, 9, 7, 8], work, odd), Err(9));
            assert_eq!(rayon::scope(|_| awake(|| try_each((3..60).collect(), work, odd))), Err(3));
            assert_eq!(try_each(vec![0, 2], work, odd), Ok(()));
        }
    }

    fn sum(rounds: u64) -> u64 {
        let one = |round: u64| {
            let sum = Mutex::new(0);
            each((0..100u64).collect(), MUCH, |at| *sum.lock().unwrap() += at ^ round);
            sum.into_inner().unwrap()
        };
        (0..rounds).map(one).sum()
    }

    #[test]
    fn the_result_is_that_of_the_work() {
        let expected: u64 = (0..50u64).map(|round| (0..100).map(|at| at ^ round).sum::<u64>()).sum();
        assert_eq!(sum(50), expected);
        assert_eq!(rayon::scope(|_| awake(|| sum(50))), expected);
        assert_eq!(awake(|| sum(50)), expected, "outside of the pool too");
        assert_eq!(awake(|| awake(|| sum(50))), expected, "and within another work");
    }

    #[test]
    fn tasks_of_tasks_are_done_too() {
        let count = AtomicUsize::new(0);
        let inner = |_| each(vec![(); 5], MUCH, |()| _ = count.fetch_add(1, Ordering::Relaxed));
        rayon::scope(|_| awake(|| each((0..7).collect(), MUCH, inner)));
        assert_eq!(count.into_inner(), 35);
    }

    #[test]
    fn works_at_the_same_time_do_not_wait_for_each_other() {
        let one = || rayon::scope(|_| awake(|| sum(200)));
        let expected = sum(200);
        std::thread::scope(|threads| {
            let all: Vec<_> = (0..8).map(|_| threads.spawn(one)).collect();
            for thread in all {
                assert_eq!(thread.join().unwrap(), expected);
            }
        });
    }

    #[test]
    fn a_panic_lets_the_others_go() {
        let fails = |at| assert!(at < 30, "as it should");
        let caught = std::panic::catch_unwind(|| rayon::scope(|_| awake(|| each((0..40).collect(), MUCH, fails))));
        assert!(caught.is_err());
    }
}
