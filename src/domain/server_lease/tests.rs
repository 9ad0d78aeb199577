//! Who may write when, by clocks that are turned; and what a lease becomes.

use super::*;

const LEASE: Duration = Duration::from_secs(10);

fn keys() -> ServerKeys {
    ServerKeys {
        signing: "s".to_owned(),
        audit: "a".to_owned(),
    }
}

fn lease() -> ServerLease {
    ServerLease::first("one", 10, true, &keys(), 0)
}

fn moment(start: Instant, after_ms: u64) -> Moment {
    Moment {
        instant: start + Duration::from_millis(after_ms),
        wall: Timestamp(1_000_000).plus_ms(after_ms),
    }
}

#[test]
fn holder_stops_before_another_begins_whatever_the_delay() {
    let start = Instant::now();
    // The renewal is sent at 0 and read by the other server after that delay, as the lease runs out at the latest.
    for delay_ms in [0, 1, 500, 3_000, 9_999] {
        let term = LeaseTerm {
            sent: moment(start, 0),
            lease: LEASE,
        };
        let watch = LeaseWatch::new("v".to_owned(), moment(start, delay_ms).instant);
        for ms in (0..40_000).step_by(7) {
            let now = moment(start, ms);
            let both = term.lasts(now) && watch.is_over(&lease(), now.instant);
            assert!(
                !both,
                "both may write {ms} ms after a renewal read after {delay_ms} ms"
            );
        }
    }
}

#[test]
fn term_lasts_to_its_end_and_not_beyond() {
    let start = Instant::now();
    let term = LeaseTerm {
        sent: moment(start, 0),
        lease: LEASE,
    };
    assert!(term.lasts(moment(start, 9_999)));
    assert!(!term.lasts(moment(start, 10_000)));
}

#[test]
fn suspended_machine_finds_its_term_over() {
    let start = Instant::now();
    let term = LeaseTerm {
        sent: moment(start, 0),
        lease: LEASE,
    };
    // The clock that cannot be set stood still meanwhile.
    let now = Moment {
        instant: start + Duration::from_millis(5),
        wall: Timestamp(1_000_000).plus_secs(60),
    };
    assert!(!term.lasts(now));
    // Set back, it takes nothing away from the other clock.
    let back = Moment {
        instant: start + LEASE,
        wall: Timestamp(0),
    };
    assert!(!term.lasts(back));
}

#[test]
fn watch_waits_tenth_longer_and_starts_again_with_each_renewal() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut watch = LeaseWatch::new("v1".to_owned(), at(0));
    assert!(!watch.is_over(&lease(), at(10_999)));
    assert!(watch.is_over(&lease(), at(11_000)));
    watch.note("v1", at(5_000));
    assert!(watch.is_over(&lease(), at(11_000)));
    watch.note("v2", at(11_000));
    assert!(!watch.is_over(&lease(), at(21_999)));
    assert!(watch.is_over(&lease(), at(22_000)));
}

#[test]
fn lease_given_up_is_over_at_once() {
    let now = Instant::now();
    assert!(LeaseWatch::new("v".to_owned(), now).is_over(&lease().given_up(None), now));
    // Who takes it next holds it.
    let last = LogHead {
        seq: 7,
        hash: "h".to_owned(),
    };
    let given_up = lease().given_up(Some(last.clone()));
    assert_eq!(given_up.head, last);
    let taken = given_up.taken_by("two", 10, true);
    assert_eq!(
        [given_up.head_is_last, taken.released, taken.head_is_last],
        [true, false, false]
    );
    assert!(!LeaseWatch::new("v".to_owned(), now).is_over(&taken, now));
}

#[test]
fn taking_over_counts_the_epoch_up_and_leaves_the_copy() {
    let first = lease().with_copy();
    assert_eq!((first.epoch, first.copy_epoch), (1, 1));
    let second = first.taken_by("two", 10, true);
    assert_eq!((second.epoch, second.copy_epoch), (2, 1));
    assert_eq!(second.with_copy().copy_epoch, 2);
    assert!(!first.is_same_reign(&second));
    assert!(second.is_same_reign(&second.renewed(None)));
}

#[test]
fn no_two_versions_are_alike() {
    let first = lease();
    let renewed = first.renewed(None);
    assert_ne!(first, renewed);
    assert_ne!(renewed, renewed.with_copy());
    assert_ne!(renewed.renewals, renewed.taken_by("two", 10, true).renewals);
}
