//! Where the caller of a write waits for its answer.

use crate::error::Error;
use std::sync::{Condvar, Mutex};

/// Where a caller waits for the answer.
pub(super) struct ReplySlot<T> {
    answer: Mutex<Option<Result<T, Error>>>,
    given: Condvar,
}

impl<T> ReplySlot<T> {
    pub(super) fn new() -> ReplySlot<T> {
        ReplySlot {
            answer: Mutex::new(None),
            given: Condvar::new(),
        }
    }

    pub(super) fn give(&self, answer: Option<Result<T, Error>>) {
        let answer = answer.unwrap_or_else(|| Err(Error::bug("a write has no answer")));
        *self.answer.lock().unwrap_or_else(|e| e.into_inner()) = Some(answer);
        self.given.notify_one();
    }

    pub(super) fn wait(&self) -> Result<T, Error> {
        let mut answer = self.answer.lock().unwrap_or_else(|e| e.into_inner());
        loop {
            if let Some(answer) = answer.take() {
                return answer;
            }
            answer = self.given.wait(answer).unwrap_or_else(|e| e.into_inner());
        }
    }
}
