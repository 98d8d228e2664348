//! Many tasks on a few threads, each task on one thread, results in the order of the tasks.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use deft_core::{ErrorKind, Result, ResultExt};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Bytes of a worker's stack: candle walks the graph of a training step by recursion.
const STACK: usize = 32 << 20;

/// Threads that compute whole tasks.
///
/// Each is a rayon pool of its own: candle's kernels split their work over the pool they are called
/// in, and with one thread in it they stay where they are, whatever `RAYON_NUM_THREADS` says. One
/// batch per thread is faster than one batch on all of them, and gives the same bytes at any count.
pub struct Workers {
    pools: Vec<ThreadPool>,
}

/// Whose result is next, and how it went so far.
struct Turn<F> {
    next: usize,
    consume: F,
    outcome: Result<(), Failure>,
}

enum Failure {
    Error(deft_core::Error),
    Panic(Box<dyn Any + Send>),
}

impl Workers {
    /// Starts so many threads, one at least.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unexpected`] when the system gives none.
    pub fn new(threads: usize) -> Result<Self> {
        let pool = || {
            let builder = ThreadPoolBuilder::new().num_threads(1).stack_size(STACK);
            builder.build().or_error(ErrorKind::Unexpected, "cannot start a thread")
        };
        Ok(Self { pools: (0..threads.max(1)).map(|_| pool()).collect::<Result<_>>()? })
    }

    /// Calls `compute` for every task and `consume` with the results, in the order of the tasks.
    ///
    /// No more results wait than there are threads. The first error, in the order of the tasks,
    /// ends it; a panic in a task goes on in the caller.
    ///
    /// # Errors
    ///
    /// Those of `compute` and `consume`.
    ///
    /// # Panics
    ///
    /// When one of them does.
    pub fn run<T: Send>(
        &self,
        tasks: usize,
        compute: impl Fn(usize) -> Result<T> + Sync,
        consume: impl FnMut(usize, T) -> Result<()> + Send,
    ) -> Result<()> {
        let started = AtomicUsize::new(0);
        let turn = Mutex::new(Turn { next: 0, consume, outcome: Ok(()) });
        let changed = Condvar::new();
        let work = |pool: &ThreadPool| {
            loop {
                let task = started.fetch_add(1, Ordering::Relaxed);
                if task >= tasks || lock(&turn).outcome.is_err() {
                    return;
                }
                let result = catch_unwind(AssertUnwindSafe(|| pool.install(|| compute(task))));
                let mut turn = lock(&turn);
                while turn.next != task && turn.outcome.is_ok() {
                    turn = changed.wait(turn).unwrap_or_else(PoisonError::into_inner);
                }
                if turn.outcome.is_err() {
                    return;
                }
                let turn = &mut *turn;
                turn.outcome = settle(result, |value| (turn.consume)(task, value));
                turn.next += 1;
                changed.notify_all();
            }
        };
        std::thread::scope(|scope| {
            let work = &work;
            let (last, others) = self.pools.split_last().expect("there is at least one thread");
            for pool in others.iter().take(tasks.saturating_sub(1)) {
                scope.spawn(move || work(pool));
            }
            work(last);
        });
        match turn.into_inner().unwrap_or_else(PoisonError::into_inner).outcome {
            Ok(()) => Ok(()),
            Err(Failure::Error(error)) => Err(error),
            Err(Failure::Panic(panic)) => resume_unwind(panic),
        }
    }

    /// Calls `f` for every item.
    ///
    /// # Errors
    ///
    /// Those of `f`: the first in the order of the items.
    pub fn for_each_mut<T: Send>(
        &self,
        items: &mut [T],
        f: impl Fn(&mut T) -> Result<()> + Sync,
    ) -> Result<()> {
        let items: Vec<Mutex<&mut T>> = items.iter_mut().map(Mutex::new).collect();
        self.run(items.len(), |task| f(&mut lock(&items[task])), |_, ()| Ok(()))
    }
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workers").field("threads", &self.pools.len()).finish()
    }
}

/// Hands a task's value on; panics of either side become a failure that wakes the other threads.
fn settle<T>(
    computed: std::thread::Result<Result<T>>,
    consume: impl FnOnce(T) -> Result<()>,
) -> Result<(), Failure> {
    let value = computed.map_err(Failure::Panic)?.map_err(Failure::Error)?;
    catch_unwind(AssertUnwindSafe(|| consume(value)))
        .map_err(Failure::Panic)?
        .map_err(Failure::Error)
}

/// Poison tells nothing here: a panic under the turn's lock is caught under it ([`settle`]), and one
/// under an item's is the outcome of its only task.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use deft_core::Error;

    #[test]
    fn results_come_in_order_at_any_thread_count() {
        for threads in [1, 3] {
            let workers = Workers::new(threads).expect("threads");
            let mut seen = Vec::new();
            workers
                .run(
                    20,
                    |task| Ok(task * task),
                    |task, square| {
                        seen.push((task, square));
                        Ok(())
                    },
                )
                .expect("no error");
            let wanted: Vec<_> = (0..20).map(|task| (task, task * task)).collect();
            assert_eq!(seen, wanted);
        }
    }

    #[test]
    fn the_first_error_in_order_ends_the_run() {
        let workers = Workers::new(3).expect("threads");
        let compute = |task| match task {
            5 | 7 => Err(Error::new(ErrorKind::Data, format!("task {task}"))),
            _ => Ok(()),
        };
        let mut consumed = 0;
        let error = workers.run(100, compute, |_, ()| {
            consumed += 1;
            Ok(())
        });
        assert_eq!((error.expect_err("task 5 fails").message(), consumed), ("task 5", 5));
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        let workers = Workers::new(2).expect("threads");
        let compute = |task: usize| if task == 3 { panic!("boom") } else { Ok(()) };
        let caught = catch_unwind(AssertUnwindSafe(|| workers.run(9, compute, |_, ()| Ok(()))));
        assert!(caught.is_err());
    }
}
