//! The bounded queue between the listener thread and the workers.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};

/// First in, first out; many may push and pop.
pub(super) struct WorkQueue<T> {
    state: Mutex<QueueState<T>>,
    filled: Condvar,
    max: usize,
}

struct QueueState<T> {
    items: VecDeque<T>,
    waiting: usize,
    closed: bool,
}

impl<T> WorkQueue<T> {
    /// A queue of at most `max` items, at least one.
    pub(super) fn new(max: usize) -> WorkQueue<T> {
        WorkQueue {
            state: Mutex::new(QueueState {
                items: VecDeque::new(),
                waiting: 0,
                closed: false,
            }),
            filled: Condvar::new(),
            max: max.max(1),
        }
    }

    /// Adds an item and says how many there are now.
    ///
    /// # Errors
    /// The item, when the queue is full or closed.
    pub(super) fn push(&self, item: T) -> Result<usize, T> {
        let mut state = self.lock();
        if state.closed || state.items.len() >= self.max {
            return Err(item);
        }
        state.items.push_back(item);
        let (len, wanted) = (state.items.len(), state.waiting > 0);
        drop(state);
        if wanted {
            self.filled.notify_one();
        }
        Ok(len)
    }

    /// The oldest item and how many are left; waits for one. `None` once the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<(T, usize)> {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.items.pop_front() {
                return Some((item, state.items.len()));
            }
            if state.closed {
                return None;
            }
            state.waiting += 1;
            state = self.filled.wait(state).unwrap_or_else(|e| e.into_inner());
            state.waiting -= 1;
        }
    }

    /// Takes no more; what is in it is still given out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, QueueState<T>> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn full_queue_refuses_and_closed_one_gives_out_the_rest() {
        let queue = WorkQueue::new(2);
        assert_eq!(queue.push(1), Ok(1));
        assert_eq!(queue.push(2), Ok(2));
        assert_eq!(queue.push(3), Err(3));
        queue.close();
        assert_eq!(queue.push(4), Err(4));
        assert_eq!(queue.pop(), Some((1, 1)));
        assert_eq!(queue.pop(), Some((2, 0)));
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn every_item_reaches_exactly_one_worker() {
        let queue = WorkQueue::new(8);
        let sum = thread::scope(|s| {
            let workers: Vec<_> = (0..4)
                .map(|_| s.spawn(|| std::iter::from_fn(|| queue.pop()).map(|p| p.0).sum::<u64>()))
                .collect();
            for n in 1..=10_000_u64 {
                let mut item = n;
                while let Err(back) = queue.push(item) {
                    item = back;
                    thread::yield_now();
                }
            }
            queue.close();
            workers.into_iter().map(|w| w.join().unwrap()).sum::<u64>()
        });
        assert_eq!(sum, 10_000 * 10_001 / 2);
    }
}
