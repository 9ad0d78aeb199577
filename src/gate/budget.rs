//! A number of bytes that all connections share.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes left of a common bound.
pub(super) struct Budget {
    left: AtomicUsize,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Budget {
        Budget {
            left: AtomicUsize::new(bytes),
        }
    }

    /// A share of nothing yet. What is at most `free` bytes is never counted.
    pub(super) fn share(&self, free: usize) -> Share<'_> {
        Share {
            budget: self,
            free,
            taken: 0,
        }
    }
}

/// What one call has taken; given back when dropped.
pub(super) struct Share<'b> {
    budget: &'b Budget,
    free: usize,
    taken: usize,
}

impl Share<'_> {
    /// Makes the share cover `bytes`; false if the budget has not that much left.
    pub(super) fn cover(&mut self, bytes: usize) -> bool {
        if bytes <= self.free || bytes <= self.taken {
            return true;
        }
        let more = bytes - self.taken;
        let took = self
            .budget
            .left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| {
                left.checked_sub(more)
            });
        if took.is_ok() {
            self.taken = bytes;
        }
        took.is_ok()
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.taken, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_exceed_the_budget_and_come_back() {
        let budget = Budget::new(100);
        let mut a = budget.share(10);
        let mut b = budget.share(10);
        assert!(a.cover(60));
        assert!(!b.cover(50));
        assert!(b.cover(10), "small ones are free");
        assert!(a.cover(100));
        drop(a);
        assert!(b.cover(100));
    }
}
