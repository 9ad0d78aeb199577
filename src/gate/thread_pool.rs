//! Threads for connections: started when needed, reused for a while, counted, waited for.

use crate::metrics::Metrics;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// How long a thread without work waits for some: bridges the gap between short connections, and lets a burst's
/// threads go soon after it.
const IDLE: Duration = Duration::from_secs(5);

type PoolJob = Box<dyn FnOnce() + Send>;

/// The threads. How many there may be is the business of who hands out the jobs.
pub(super) struct ThreadPool {
    stack_bytes: usize,
    metrics: Arc<Metrics>,
    state: Mutex<ThreadPoolState>,
    work: Condvar,
    ended: Condvar,
}

#[derive(Default)]
struct ThreadPoolState {
    /// Jobs given to waiting threads and not taken yet.
    jobs: VecDeque<PoolJob>,
    /// Waiting threads that no job is meant for. Counted down by who hands out the job, under the lock: two jobs can
    /// never count on the same thread.
    free: usize,
    threads: usize,
    started: u64,
    closing: bool,
}

impl ThreadPool {
    pub(super) fn new(stack_bytes: usize, metrics: Arc<Metrics>) -> Arc<ThreadPool> {
        Arc::new(ThreadPool {
            stack_bytes,
            metrics,
            state: Mutex::default(),
            work: Condvar::new(),
            ended: Condvar::new(),
        })
    }

    /// Runs `job` on a waiting thread or a new one; false if the system gives no thread.
    pub(super) fn run(self: &Arc<ThreadPool>, job: impl FnOnce() + Send + 'static) -> bool {
        let mut state = self.lock();
        if state.free > 0 {
            state.free -= 1;
            state.jobs.push_back(Box::new(job));
            drop(state);
            self.work.notify_one();
            return true;
        }
        state.threads += 1;
        state.started += 1;
        let name = format!("gate-{}", state.started);
        drop(state);
        let thread_pool = self.clone();
        let started = thread::Builder::new()
            .name(name)
            .stack_size(self.stack_bytes)
            .spawn(move || thread_pool.work(Box::new(job)));
        if started.is_err() {
            self.lock().threads -= 1;
        }
        started.is_ok()
    }

    fn work(&self, first: PoolJob) {
        let mut job = Some(first);
        while let Some(run) = job {
            if catch_unwind(AssertUnwindSafe(run)).is_err() {
                self.metrics.background_panics.inc(&[]);
            }
            job = self.next();
        }
    }

    /// The next job for this thread; `None` when it has been idle for long enough, and then it is counted out.
    fn next(&self) -> Option<PoolJob> {
        let mut state = self.lock();
        state.free += 1;
        let until = Instant::now() + IDLE;
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || state.closing {
                state.free -= 1;
                state.threads -= 1;
                self.ended.notify_all();
                return None;
            }
            state = self
                .work
                .wait_timeout(state, left)
                .unwrap_or_else(|e| e.into_inner())
                .0;
        }
    }

    /// Lets waiting threads go and waits until all have ended, at most `within`; says how many have not.
    pub(super) fn join(&self, within: Duration) -> usize {
        let until = Instant::now() + within;
        let mut state = self.lock();
        state.closing = true;
        self.work.notify_all();
        while state.threads > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self
                .ended
                .wait_timeout(state, left)
                .unwrap_or_else(|e| e.into_inner())
                .0;
        }
        state.threads
    }

    fn lock(&self) -> MutexGuard<'_, ThreadPoolState> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn jobs_at_the_same_moment_never_share_a_thread() {
        let thread_pool = ThreadPool::new(128 * 1024, Arc::new(Metrics::new()));
        for _ in 0..50 {
            let barrier = Arc::new(std::sync::Barrier::new(9));
            for _ in 0..8 {
                let barrier = barrier.clone();
                assert!(thread_pool.run(move || {
                    barrier.wait();
                }));
            }
            barrier.wait();
        }
        assert_eq!(thread_pool.join(Duration::from_secs(5)), 0);
    }

    #[test]
    fn a_panic_is_counted_and_the_thread_works_on() {
        let metrics = Arc::new(Metrics::new());
        let thread_pool = ThreadPool::new(128 * 1024, metrics.clone());
        assert!(thread_pool.run(|| panic!("expected by this test")));
        let (sender, receiver) = mpsc::channel();
        assert!(thread_pool.run(move || {
            let _ = sender.send(1);
        }));
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(thread_pool.join(Duration::from_secs(5)), 0);
        assert_eq!(metrics.background_panics.value(&[]), 1);
    }
}
