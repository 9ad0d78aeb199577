//! What stands between a commit and its answer where the state has a copy: nothing is answered or announced before the
//! copy has it and the lease lasts, and in asynchronous mode nobody waits for the copy.

use super::*;
use std::sync::{Condvar, Mutex, mpsc};
use std::thread;

/// A copy that does as a test says, and keeps what it is asked.
#[derive(Default)]
struct FakeReplica {
    state: Mutex<FakeState>,
    moved: Condvar,
    /// What has happened, in order: shared with the observer and with callers.
    log: Log,
    /// Looks at the file as others see it.
    file: Option<std::path::PathBuf>,
}

#[derive(Default)]
struct FakeState {
    is_awaited: bool,
    lease_over: bool,
    fails: bool,
    panics: bool,
    /// Calls wait until it is false.
    held: bool,
    /// How large the log may be while the copy is not reached.
    log_bytes_max: u64,
    /// The lease ends while a call is under way.
    ends_lease: bool,
    calls: usize,
}

type Log = Arc<Mutex<Vec<String>>>;

impl FakeReplica {
    fn set(&self, edit: impl FnOnce(&mut FakeState)) {
        edit(&mut self.state.lock().unwrap());
        self.moved.notify_all();
    }

    fn note(&self, what: impl Into<String>) {
        self.log.lock().unwrap().push(what.into());
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    /// Waits until it was asked so often.
    fn until_asked(&self, calls: usize) {
        let state = self.state.lock().unwrap();
        drop(self.moved.wait_while(state, |s| s.calls < calls).unwrap());
    }

    fn calls(&self) -> usize {
        self.state.lock().unwrap().calls
    }

    /// Requests that are committed.
    fn stored(&self) -> i64 {
        let file = Connection::open(self.file.as_ref().unwrap()).unwrap();
        file.query_row("SELECT count(*) FROM requests", [], |r| r.get(0))
            .unwrap()
    }
}

impl Replica for FakeReplica {
    fn is_awaited(&self) -> bool {
        self.state.lock().unwrap().is_awaited
    }

    fn may_write(&self) -> bool {
        self.note("lease");
        !self.state.lock().unwrap().lease_over
    }

    fn log_bytes_max(&self) -> u64 {
        self.state.lock().unwrap().log_bytes_max
    }

    fn sync(&self) -> Result<(), Error> {
        let mut state = self.state.lock().unwrap();
        state.calls += 1;
        self.moved.notify_all();
        let mut state = self.moved.wait_while(state, |s| s.held).unwrap();
        state.lease_over |= state.ends_lease;
        let (fails, panics) = (state.fails, state.panics);
        drop(state);
        assert!(!panics, "on purpose");
        match fails {
            true => Err(Error::unavailable("the copy is not confirmed")),
            false => {
                self.note(format!("copy of {}", self.stored()));
                Ok(())
            }
        }
    }
}

/// A store with such a copy, in the mode that waits; what is announced is noted too.
fn copied(temp: &Temp) -> (Arc<Store>, Arc<FakeReplica>) {
    let store = open(temp);
    let fake = Arc::new(FakeReplica {
        state: Mutex::new(FakeState {
            is_awaited: true,
            log_bytes_max: u64::MAX,
            ..FakeState::default()
        }),
        file: Some(temp.0.join("dbward.db")),
        ..FakeReplica::default()
    });
    let log = Arc::clone(&fake.log);
    store.observe(Arc::new(move |change| {
        if matches!(change, Change::Request(RequestChange::Created(_))) {
            log.lock().unwrap().push("announced".to_owned());
        }
    }));
    store
        .replicate(Arc::clone(&fake) as Arc<dyn Replica>)
        .unwrap();
    (store, fake)
}

/// Makes a request in a thread of its own, and notes the answer.
fn creating(
    store: &Arc<Store>,
    fake: &Arc<FakeReplica>,
) -> thread::JoinHandle<Result<String, Error>> {
    let (store, fake) = (Arc::clone(store), Arc::clone(fake));
    thread::spawn(move || {
        let answer = create(&store);
        fake.note("answered");
        answer
    })
}

#[track_caller]
fn refused<T>(answer: Result<T, Error>, words: &str) {
    let error = answer.err().expect("it is answered as done");
    assert_eq!(error.status(), 503);
    assert!(error.to_string().contains(words), "{error}");
}

/// Requests that a read shows.
fn shown(store: &Store) -> i64 {
    let counts = store.read(|v| v.request_counts()).unwrap();
    counts.iter().map(|(_, n)| n).sum()
}

const UNKNOWN: &str = "outcome unknown";
const UNCHANGED: &str = "nothing was changed";

#[test]
fn answer_follows_commit_copy_lease_and_announcement_in_this_order() {
    let temp = temp();
    let (store, fake) = copied(&temp);
    create(&store).unwrap();
    fake.note("answered");
    assert_eq!(
        fake.taken(),
        ["lease", "copy of 1", "lease", "announced", "answered"]
    );
}

#[test]
fn nobody_is_answered_or_woken_while_the_copy_is_awaited() {
    let temp = temp();
    let (store, fake) = copied(&temp);
    fake.set(|s| s.held = true);
    let first = creating(&store, &fake);
    fake.until_asked(1);
    // It is on the disk, and reads show it.
    assert_eq!(fake.stored(), 1);
    assert_eq!(shown(&store), 1);
    while store.queue.is_led() {
        thread::yield_now();
    }
    // More come meanwhile: one call serves all of them, after the one that is under way.
    let mut others = Vec::new();
    for stored in 2..=9 {
        // Each finds nobody writing. One that found the thread of the store at it would wait for its copy too.
        others.push(creating(&store, &fake));
        while fake.stored() < stored || store.queue.is_led() {
            thread::yield_now();
        }
    }
    // A read begins after the last of these transactions has ended.
    assert_eq!(shown(&store), 9);
    assert_eq!(fake.calls(), 1);
    fake.note("let go");
    fake.set(|s| s.held = false);
    for caller in others.into_iter().chain([first]) {
        caller.join().unwrap().unwrap();
    }
    assert_eq!(fake.calls(), 2);
    let log = fake.taken();
    let at = |what: &str| log.iter().position(|entry| entry == what).unwrap();
    assert!(at("let go") < at("announced"), "{log:?}");
    assert!(at("announced") < at("answered"), "{log:?}");
    assert_eq!(log.iter().filter(|entry| *entry == "announced").count(), 9);
}

#[test]
fn verdict_without_changes_waits_for_what_it_has_read() {
    let temp = temp();
    let (store, fake) = copied(&temp);
    fake.set(|s| (s.held, s.fails) = (true, true));
    let first = creating(&store, &fake);
    fake.until_asked(1);
    let (decided, is_decided) = mpsc::channel();
    let looking = {
        let store = Arc::clone(&store);
        thread::spawn(move || {
            store.change(Actor::system(), move |_, _| {
                decided.send(()).unwrap();
                Ok(Verdict::Same(7))
            })
        })
    };
    is_decided.recv().unwrap();
    // A read of the store begins after the transaction of that verdict has ended.
    assert_eq!(shown(&store), 1);
    fake.set(|s| s.held = false);
    refused(first.join().unwrap(), UNKNOWN);
    refused(looking.join().unwrap(), UNKNOWN);
    assert!(!fake.taken().contains(&"announced".to_owned()));

    // What the copy has already costs no further call.
    fake.set(|s| s.fails = false);
    store.sync_copy().unwrap();
    let calls = fake.calls();
    let same = store.change(Actor::system(), |_, _| Ok(Verdict::Same(7)));
    assert_eq!((same.unwrap(), fake.calls()), (7, calls));
}

#[test]
fn copy_that_fails_leaves_outcome_unknown_and_begins_nothing_more() {
    let temp = temp();
    let (store, fake) = copied(&temp);
    fake.set(|s| s.fails = true);
    refused(create(&store), UNKNOWN);
    assert_eq!(fake.stored(), 1);
    assert!(store.is_copy_broken());
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ran);
    let next = store.change(Actor::system(), move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(Verdict::Same(()))
    });
    refused(next, UNCHANGED);
    refused(store.bookkeep(|_| Ok(())), UNCHANGED);
    assert_eq!(ran.load(Ordering::SeqCst), 0, "a transaction has begun");
    assert_eq!(shown(&store), 1);
    refused(store.sync_copy(), UNCHANGED);
    assert!(!fake.taken().contains(&"announced".to_owned()));

    // Once the copy has it after all, it is announced, and writes go on.
    fake.set(|s| s.fails = false);
    store.sync_copy().unwrap();
    let late = fake.taken();
    assert_eq!(
        late.iter().filter(|entry| *entry == "announced").count(),
        1,
        "{late:?}"
    );
    create(&store).unwrap();
    assert!(verified(&temp, &store).valid);
}

#[test]
fn copy_that_panics_keeps_nobody_waiting() {
    let temp = temp();
    let (store, fake) = copied(&temp);
    fake.set(|s| s.panics = true);
    refused(create(&store), UNKNOWN);
    fake.set(|s| s.panics = false);
    store.sync_copy().unwrap();
    create(&store).unwrap();
}

#[test]
fn lease_ended_during_the_copy_withholds_answer_and_announcement() {
    let temp = temp();
    let (store, fake) = copied(&temp);
    fake.set(|s| s.ends_lease = true);
    refused(create(&store), UNKNOWN);
    assert_eq!(fake.stored(), 1);
    refused(create(&store), UNCHANGED);
    // Also where the copy is reached: another server may have begun from one without it.
    refused(store.sync_copy(), UNCHANGED);
    assert!(!fake.taken().contains(&"announced".to_owned()));

    fake.set(|s| (s.ends_lease, s.lease_over) = (false, false));
    store.sync_copy().unwrap();
    assert!(fake.taken().contains(&"announced".to_owned()));
    create(&store).unwrap();
    assert_eq!(fake.stored(), 2);
}

#[test]
fn asynchronous_mode_answers_without_the_copy_while_the_lease_lasts() {
    let temp = temp();
    let (store, fake) = copied(&temp);
    // A caller that asked would wait for ever.
    fake.set(|s| (s.is_awaited, s.held) = (false, true));
    create(&store).unwrap();
    fake.note("answered");
    assert_eq!(fake.taken(), ["lease", "lease", "announced", "answered"]);
    assert_eq!(fake.calls(), 0);
    // A copy that is not reached keeps nobody from writing; a lease that is over does.
    fake.set(|s| (s.held, s.fails) = (false, true));
    refused(store.sync_copy(), UNCHANGED);
    assert!(store.is_copy_broken());
    create(&store).unwrap();
    fake.set(|s| s.lease_over = true);
    refused(create(&store), UNCHANGED);
    assert_eq!(fake.stored(), 2);
}

/// Bytes of a log that SQLite would have folded by itself, after its thousand pages; and requests that fill it.
const LOG_BYTES: u64 = 2 * 1_000 * 4_096;
const REQUESTS_MAX: usize = 2_000;

#[test]
fn write_ahead_log_is_left_to_the_copy() {
    let temp = temp();
    let (store, _) = copied(&temp);
    let auto: i64 = store
        .lock()
        .query_row("PRAGMA wal_autocheckpoint", [], |r| r.get(0))
        .unwrap();
    assert_eq!(auto, 0);
    let file = temp.0.join("dbward.db");
    let bytes = || std::fs::read(&file).unwrap();
    let before = bytes();
    let log = || std::fs::metadata(temp.0.join("dbward.db-wal")).unwrap();
    let full = (0..REQUESTS_MAX).find(|_| {
        create(&store).unwrap();
        log().len() > LOG_BYTES
    });
    assert!(full.is_some(), "the log begins anew by itself");
    assert!(!store.empty_log().unwrap());
    store.close().unwrap();
    assert!(log().len() > LOG_BYTES);
    assert!(bytes() == before, "the log was folded into the file");
}

#[test]
fn lock_of_checkpoint_is_wait_or_503_and_never_end() {
    let temp = temp();
    // Its `fatal` panics, and a panic in a transaction is 503 to all: so it is counted.
    let fatal = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&fatal);
    drop(open(&temp));
    let path = temp.0.join("dbward.db");
    let count: Fatal = Arc::new(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let store = Store::open(&path, Clock::system(), keys(), count).unwrap();
    assert!(store.empty_log().unwrap());
    let patience: i64 = store
        .lock()
        .query_row("PRAGMA busy_timeout", [], |r| r.get(0))
        .unwrap();
    assert_eq!(patience, 5_000);

    // What Litestream takes before it folds the log.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    refused(
        create(&store),
        "another process holds the state file; nothing was changed",
    );
    assert_eq!(shown(&store), 0);

    let waiting = {
        let store = Arc::clone(&store);
        thread::spawn(move || create(&store))
    };
    other.execute_batch("ROLLBACK").unwrap();
    waiting.join().unwrap().unwrap();
    // And the whole of it, as often as it likes.
    for mode in ["PASSIVE", "RESTART", "TRUNCATE"] {
        other
            .query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))
            .unwrap();
        create(&store).unwrap();
    }
    assert_eq!(fatal.load(Ordering::SeqCst), 0);
    assert!(verified(&temp, &store).valid);
}

#[test]
fn litestream_is_known_by_what_it_counts() {
    let temp = temp();
    let (store, fake) = copied(&temp);
    let other = Connection::open(fake.file.as_ref().unwrap()).unwrap();
    let of_copier = || store.copier_wrote(&store.lock());
    other
        .execute_batch("INSERT INTO meta (key, value) VALUES ('note', 'x')")
        .unwrap();
    assert!(!of_copier());
    other
        .execute_batch("CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)")
        .unwrap();
    let checkpoint = || {
        let count = "INSERT INTO _litestream_seq (id, seq) VALUES (1, 1) \
                     ON CONFLICT (id) DO UPDATE SET seq = seq + 1";
        other.execute_batch(count).unwrap();
    };
    // The table is new.
    assert!(of_copier());
    for _ in 0..2 {
        checkpoint();
        assert!(of_copier());
        assert!(!of_copier());
    }
    // Without a copy, nobody's writes are excused.
    let alone = super::temp();
    let store = open(&alone);
    let other = Connection::open(alone.0.join("dbward.db")).unwrap();
    other
        .execute_batch("CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER); INSERT INTO _litestream_seq VALUES (1, 1)")
        .unwrap();
    assert!(!store.copier_wrote(&store.lock()));
}

#[test]
fn copy_under_way_does_not_count_for_later_commits() {
    let temp = temp();
    let (store, fake) = copied(&temp);
    fake.set(|s| (s.is_awaited, s.held) = (false, true));
    let sync = || {
        let (store, fake) = (Arc::clone(&store), Arc::clone(&fake));
        thread::spawn(move || {
            store.sync_copy().unwrap();
            fake.note("synced");
        })
    };
    let first = sync();
    fake.until_asked(1);
    create(&store).unwrap();
    let second = sync();
    fake.taken();
    fake.set(|s| s.held = false);
    first.join().unwrap();
    second.join().unwrap();
    // The first call may have been answered by either; the second has not ended before a call that began after it.
    assert!(fake.calls() >= 2, "{:?}", fake.taken());
}

#[test]
fn asynchronous_writes_end_where_the_uncopied_log_is_full() {
    let temp = temp();
    let (store, fake) = copied(&temp);
    fake.set(|s| (s.is_awaited, s.fails) = (false, true));
    create(&store).unwrap();
    assert!(store.sync_copy().is_err());
    create(&store).unwrap();
    fake.set(|s| s.log_bytes_max = 1);
    refused(create(&store), UNCHANGED);
    assert_eq!(shown(&store), 2);
    // A log of any size may be copied.
    fake.set(|s| s.fails = false);
    store.sync_copy().unwrap();
    create(&store).unwrap();
}
