//! Networks that are handed to whoever has a batch.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Some of a kind, one at least: one that all threads share, or some that one thread has at a time.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    items: Vec<T>,
    /// Positions of those that nobody has; `None` where the one there is, is shared.
    free: Option<Mutex<Vec<usize>>>,
    returned: Condvar,
}

/// One that is taken, until it is dropped: also where a panic does that.
struct Taken<'a> {
    position: usize,
    free: &'a Mutex<Vec<usize>>,
    returned: &'a Condvar,
}

impl<T> Pool<T> {
    /// One that any number of threads may use at once.
    pub(crate) fn shared(item: T) -> Self {
        Self { items: vec![item], free: None, returned: Condvar::new() }
    }

    /// Those that one thread may use at a time: two batches on a GPU take the memory of two, and the
    /// time of two as well.
    pub(crate) fn exclusive(items: Vec<T>) -> Self {
        let free = Some(Mutex::new((0..items.len()).collect()));
        Self { items, free, returned: Condvar::new() }
    }

    /// Whether any number of threads may use what there is at once.
    pub(crate) fn is_shared(&self) -> bool {
        self.free.is_none()
    }

    /// All of them.
    pub(crate) fn items(&self) -> &[T] {
        &self.items
    }

    /// Works with one, after waiting until there is one.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&T) -> R) -> R {
        let Some(free) = &self.free else { return work(&self.items[0]) };
        let taken = self.take(free);
        work(&self.items[taken.position])
    }

    fn take<'a>(&'a self, free: &'a Mutex<Vec<usize>>) -> Taken<'a> {
        let mut positions = lock(free);
        loop {
            if let Some(position) = positions.pop() {
                return Taken { position, free, returned: &self.returned };
            }
            positions = self.returned.wait(positions).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        lock(self.free).push(self.position);
        self.returned.notify_one();
    }
}

/// A panic while it was held has left a list of positions that is as good as any.
fn lock(free: &Mutex<Vec<usize>>) -> MutexGuard<'_, Vec<usize>> {
    free.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn one_thread_at_a_time_works_with_each() {
        let pool = Pool::exclusive(vec![AtomicUsize::new(0), AtomicUsize::new(0)]);
        let work = || {
            for _ in 0..500 {
                pool.with(|users| {
                    assert_eq!(users.fetch_add(1, Ordering::SeqCst), 0);
                    std::thread::yield_now();
                    users.fetch_sub(1, Ordering::SeqCst);
                });
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(work);
            }
        });
    }

    #[test]
    fn what_is_shared_is_used_by_several_at_once() {
        let pool = Pool::shared(7);
        assert_eq!(pool.with(|outer| outer + pool.with(|inner| *inner)), 14);
        assert_eq!(pool.items(), [7]);
    }

    #[test]
    fn one_that_was_lost_to_a_panic_comes_back() {
        let pool = Pool::exclusive(vec![1]);
        let panicked = catch_unwind(AssertUnwindSafe(|| pool.with(|item| assert_eq!(*item, 2))));
        assert!(panicked.is_err());
        assert_eq!(pool.with(|item| *item), 1);
    }
}
