//! Refused attempts are audited, but nobody can grow the log at will: so many a minute and actor one by one, the rest
//! as one row; failed authentications as one row a minute and address, or IPv6 network, of a hundred, and one of the rest.

use super::App;
use crate::address::network_of;
use crate::domain::actor::{Actor, Caller};
use crate::domain::change::{AuthFailures, LogChange, Refused, RequestRef};
use crate::domain::request::Request;
use crate::error::{Error, ErrorKind};
use crate::store::Verdict;
use std::collections::HashMap;
use std::sync::Mutex;

/// Refusals of one actor audited singly in one minute.
pub const SINGLE_PER_MINUTE: u32 = 20;
/// Actors, and addresses, counted apart in one minute; further ones share one row.
pub const COUNTED_MAX: usize = 10_000;
/// Rows of failed authentications a minute, at most; further addresses share one: who owns many addresses must not
/// fill the disk with rows, nor hold up the writer, whom everybody waits for.
const FAILURE_ROWS_MAX: usize = 100;
/// Failed authentications of one address in one minute after which further ones have to wait: more than clients with an
/// old token make, though they share an address. A valid credential from there always passes, so that nobody can lock
/// others out.
pub const FAILURES_PER_MINUTE: u64 = 600;
/// The name of that shared row.
const OTHERS: &str = "others";
/// The reason of refusals that had different ones.
const SEVERAL: &str = "several reasons";

/// Counts of the current minute.
#[derive(Default)]
pub struct RefusalBudget {
    counts: Mutex<MinuteCounts>,
}

#[derive(Default)]
struct MinuteCounts {
    single: HashMap<String, u32>,
    /// By actor, attempt and code.
    beyond: HashMap<(String, &'static str, &'static str), (Actor, Refused)>,
    failures: HashMap<String, AuthFailures>,
}

impl RefusalBudget {
    /// Whether a refusal of this actor may still be audited singly; otherwise it is added up.
    fn spend(&self, actor: &Actor, refused: &Refused) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(|e| e.into_inner());
        let known = counts.single.contains_key(&actor.id);
        if known || counts.single.len() < COUNTED_MAX {
            let spent = counts.single.entry(actor.id.clone()).or_insert(0);
            if *spent < SINGLE_PER_MINUTE {
                *spent += 1;
                return true;
            }
        }
        let key = if counts.beyond.len() < COUNTED_MAX {
            actor.id.clone()
        } else {
            OTHERS.to_owned()
        };
        counts
            .beyond
            .entry((key, refused.attempt, refused.code))
            .and_modify(|(_, sum)| add(sum, refused))
            .or_insert_with(|| (actor.clone(), refused.clone()));
        false
    }

    /// Counts a failed authentication.
    pub fn note_failure(&self, address: &str, reason: &'static str) {
        let address: &str = &network_of(address);
        let mut counts = self.counts.lock().unwrap_or_else(|e| e.into_inner());
        let full = counts.failures.len() >= COUNTED_MAX;
        let address = if full && !counts.failures.contains_key(address) {
            OTHERS
        } else {
            address
        };
        counts
            .failures
            .entry(address.to_owned())
            .and_modify(|f| f.count += 1)
            .or_insert_with(|| AuthFailures {
                address: address.to_owned(),
                count: 1,
                reason,
            });
    }

    /// Failed authentications of an address in the current minute; of all that share a row, where it has none of its
    /// own, so that many addresses buy nobody more tries.
    pub fn failures_of(&self, address: &str) -> u64 {
        let counts = self.counts.lock().unwrap_or_else(|e| e.into_inner());
        let own = counts.failures.get(&*network_of(address));
        own.or_else(|| counts.failures.get(OTHERS))
            .map_or(0, |f| f.count)
    }

    /// The refusals beyond those that were audited singly, and the failed authentications, counted from now on anew.
    pub(crate) fn take(&self) -> (Vec<(Actor, Refused)>, Vec<AuthFailures>) {
        let mut counts = self.counts.lock().unwrap_or_else(|e| e.into_inner());
        let taken = std::mem::take(&mut *counts);
        let mut beyond: Vec<_> = taken.beyond.into_values().collect();
        beyond
            .sort_by(|(a, x), (b, y)| (&a.id, x.attempt, x.code).cmp(&(&b.id, y.attempt, y.code)));
        (beyond, in_rows(taken.failures.into_values().collect()))
    }
}

/// The addresses with the most failures, and all others in one row.
fn in_rows(mut failures: Vec<AuthFailures>) -> Vec<AuthFailures> {
    failures.sort_by(|a, b| (b.count, &a.address).cmp(&(a.count, &b.address)));
    let apart = failures.len().min(FAILURE_ROWS_MAX);
    let mut shared = failures.split_off(apart);
    // Those that were counted together already stand for many, too.
    if let Some(at) = failures.iter().position(|f| f.address == OTHERS)
        && !shared.is_empty()
    {
        shared.push(failures.remove(at));
    }
    let count = shared.iter().map(|f| f.count).sum();
    failures.extend(shared.into_iter().next().map(|first| AuthFailures {
        address: OTHERS.to_owned(),
        count,
        ..first
    }));
    failures.sort_by(|a, b| a.address.cmp(&b.address));
    failures
}

/// Counts a refusal into the row of many, which says of them only what is the same in all.
fn add(sum: &mut Refused, one: &Refused) {
    sum.count += 1;
    if sum.message != one.message {
        SEVERAL.clone_into(&mut sum.message);
    }
    if sum.target != one.target {
        sum.target = None;
    }
    if sum.fingerprint != one.fingerprint {
        sum.fingerprint = None;
    }
}

impl App {
    /// The verdict on a refused attempt: audited where it is a matter of rights or rules and the budget allows.
    pub(crate) fn refuse<T>(
        &self,
        actor: &Actor,
        refused: Refused,
        error: Error,
    ) -> Result<Verdict<T>, Error> {
        if error.kind() == ErrorKind::Internal {
            return Err(error);
        }
        self.metrics.refusals.inc(&[error.code()]);
        let audited = matches!(error.kind(), ErrorKind::Forbidden | ErrorKind::Refused);
        if audited && self.caches.refusals.spend(actor, &refused) {
            return Ok(Verdict::Refuse(
                LogChange::AttemptRefused(refused).into(),
                error,
            ));
        }
        Err(error)
    }

    /// Audits a refusal that was decided before any transaction, and returns its error.
    pub(crate) fn refused(
        self: &std::sync::Arc<Self>,
        actor: Actor,
        refused: Refused,
        error: Error,
    ) -> Error {
        let app = std::sync::Arc::clone(self);
        let recorded = self.store.change::<()>(actor.clone(), move |_, _| {
            app.refuse(&actor, refused, error)
        });
        match recorded {
            Err(error) => error,
            Ok(()) => Error::bug("a refusal was not refused"),
        }
    }
}

/// A refused attempt that is about no request.
pub(super) fn refusal(attempt: &'static str, error: &Error) -> Refused {
    Refused {
        attempt,
        code: error.code(),
        message: error.message().to_owned(),
        request: None,
        target: None,
        fingerprint: None,
        blocked_rules: Vec::new(),
        count: 1,
    }
}

/// Records that the caller was refused a verb on a request, and returns the reason.
pub(super) fn refuse_verb<T>(
    app: &App,
    caller: &Caller,
    request: &Request,
    attempt: &'static str,
    error: Error,
) -> Result<Verdict<T>, Error> {
    let refused = Refused {
        attempt,
        code: error.code(),
        message: error.message().to_owned(),
        request: Some(RequestRef::from(request)),
        target: Some(request.target.clone()),
        fingerprint: None,
        blocked_rules: Vec::new(),
        count: 1,
    };
    app.refuse(&caller.actor(), refused, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_beyond_those_that_are_counted_apart_share_their_tries() {
        let budget = RefusalBudget::default();
        for n in 0..COUNTED_MAX {
            budget.note_failure(&format!("first {n}"), "unknown");
        }
        for n in 0..=FAILURES_PER_MINUTE {
            let address = format!("then {n}");
            budget.note_failure(&address, "unknown");
            assert_eq!(budget.failures_of(&address), n + 1);
        }
        // Earlier addresses are counted by themselves.
        assert_eq!(budget.failures_of("first 0"), 1);
        assert_eq!(RefusalBudget::default().failures_of("nobody"), 0);
    }

    #[test]
    fn addresses_of_one_ipv6_host_are_one_row() {
        let budget = RefusalBudget::default();
        for n in 0..5_000 {
            budget.note_failure(&format!("2001:db8::{n:x}"), "unknown");
        }
        assert_eq!(budget.failures_of("2001:db8::1:2:3"), 5_000);
        let (_, rows) = budget.take();
        let rows: Vec<_> = rows.iter().map(|f| (f.address.as_str(), f.count)).collect();
        assert_eq!(rows, [("2001:db8::/64", 5_000)]);
    }

    #[test]
    fn rows_of_a_minute_are_bounded_and_count_everything() {
        let budget = RefusalBudget::default();
        for n in 0..COUNTED_MAX + 50 {
            budget.note_failure(&format!("10.{}.{}.1", n / 200, n % 200), "unknown");
        }
        for _ in 0..3 {
            budget.note_failure("10.1.1.1", "unknown");
        }
        let (_, rows) = budget.take();
        assert!(rows.len() <= FAILURE_ROWS_MAX + 1, "{}", rows.len());
        let all: u64 = rows.iter().map(|f| f.count).sum();
        assert_eq!(all, COUNTED_MAX as u64 + 53);
        let of = |address| rows.iter().find(|f| f.address == address).map(|f| f.count);
        assert_eq!(of("10.1.1.1"), Some(4));
        assert!(of(OTHERS) > Some(9_000));
    }
}
