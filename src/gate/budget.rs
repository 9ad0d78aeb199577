//! Bytes that all connections share, with a bound for each token, so that nobody uses up what others need.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Bytes left of a common bound.
pub(super) struct ByteBudget {
    left: AtomicUsize,
    per_token_max: usize,
    /// Bytes by token; only large bodies come here, so one lock does.
    tokens: Mutex<HashMap<u64, usize>>,
}

/// Which bound a share would pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BudgetExceeded {
    /// That of everybody together.
    All,
    /// That of one token.
    Token,
}

impl ByteBudget {
    /// `bytes` for everybody together, of which one token takes `per_token_max` at most.
    pub(super) fn new(bytes: usize, per_token_max: usize) -> ByteBudget {
        ByteBudget {
            left: AtomicUsize::new(bytes),
            per_token_max,
            tokens: Mutex::default(),
        }
    }

    /// A share of nothing yet, counted under `token` if there is one. What is at most `free` bytes is never counted.
    pub(super) fn share(&self, token: Option<u64>, free: usize) -> Share<'_> {
        Share {
            budget: self,
            token,
            free,
            taken: 0,
        }
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<u64, usize>> {
        self.tokens.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// What one call has taken; given back when dropped.
pub(super) struct Share<'b> {
    budget: &'b ByteBudget,
    token: Option<u64>,
    free: usize,
    taken: usize,
}

impl Share<'_> {
    /// Makes the share cover `bytes`.
    ///
    /// # Errors
    /// The bound that has not that much left; the share stays as it was.
    pub(super) fn cover(&mut self, bytes: usize) -> Result<(), BudgetExceeded> {
        if bytes <= self.free || bytes <= self.taken {
            return Ok(());
        }
        let more = bytes - self.taken;
        if let Some(token) = self.token {
            let mut tokens = self.budget.tokens();
            let held = tokens.entry(token).or_default();
            if *held + more > self.budget.per_token_max {
                return Err(BudgetExceeded::Token);
            }
            *held += more;
        }
        let took = self
            .budget
            .left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| {
                left.checked_sub(more)
            });
        if took.is_err() {
            self.forget(more);
            return Err(BudgetExceeded::All);
        }
        self.taken = bytes;
        Ok(())
    }

    fn forget(&self, bytes: usize) {
        let Some(token) = self.token else {
            return;
        };
        let mut tokens = self.budget.tokens();
        if let Some(held) = tokens.get_mut(&token) {
            *held = held.saturating_sub(bytes);
            if *held == 0 {
                tokens.remove(&token);
            }
        }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if self.taken > 0 {
            self.forget(self.taken);
            self.budget.left.fetch_add(self.taken, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_exceed_the_budget_and_come_back() {
        let budget = ByteBudget::new(100, 100);
        let mut a = budget.share(None, 10);
        let mut b = budget.share(None, 10);
        assert_eq!(a.cover(60), Ok(()));
        assert_eq!(b.cover(50), Err(BudgetExceeded::All));
        assert_eq!(b.cover(10), Ok(()), "small ones are free");
        assert_eq!(a.cover(100), Ok(()));
        drop(a);
        assert_eq!(b.cover(100), Ok(()));
    }

    #[test]
    fn one_token_cannot_take_the_whole_budget() {
        let budget = ByteBudget::new(100, 40);
        let mut first = budget.share(Some(1), 0);
        let mut second = budget.share(Some(1), 0);
        let mut other = budget.share(Some(2), 0);
        assert_eq!(first.cover(30), Ok(()));
        assert_eq!(second.cover(20), Err(BudgetExceeded::Token));
        assert_eq!(other.cover(40), Ok(()));
        drop(first);
        assert_eq!(second.cover(40), Ok(()));
        drop((second, other));
        assert!(budget.tokens().is_empty(), "nothing is kept of the past");
    }

    #[test]
    fn a_refused_share_leaves_no_trace() {
        let budget = ByteBudget::new(10, 100);
        let mut share = budget.share(Some(1), 0);
        assert_eq!(share.cover(11), Err(BudgetExceeded::All));
        assert!(budget.tokens().is_empty());
        assert_eq!(share.cover(10), Ok(()));
    }
}
