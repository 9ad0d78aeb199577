//! A state that is older than its checkpoint file, or next to a forged one, does not start.

use super::*;

/// Starts the store of a folder with a checkpoint file next to it.
fn start_with(folder: &Path, accept_rollback: Option<&str>) -> Result<Arc<Store>, String> {
    start_checked(
        folder,
        StartChecks {
            accept_rollback: accept_rollback.map(str::to_owned),
            ..StartChecks::default()
        },
    )
}

/// The same, held against more.
fn start_checked(folder: &Path, checks: StartChecks) -> Result<Arc<Store>, String> {
    let state = StateDir::open(folder).unwrap();
    let checks = StartChecks {
        checkpoint_file: Some(folder.join("checkpoints.jsonl")),
        ..checks
    };
    let fatal = Arc::new(|why: &str| panic!("{why}"));
    let (path, keys) = (folder.join("dbward.db"), state.audit_keys(None).unwrap());
    Store::open_with(&path, Clock::system(), keys, fatal, &checks).map_err(|e| e.to_string())
}

/// Enough events for a signed checkpoint.
fn checkpointed(store: &Arc<Store>) {
    for n in 0..110 {
        let login = IdentityChange::LoginSucceeded {
            id: format!("person-{n}"),
            roles: Default::default(),
        };
        store
            .change(Actor::system(), |_, _| {
                Ok(Verdict::Write(vec![login.into()], ()))
            })
            .unwrap();
    }
}

#[test]
fn a_state_older_than_its_checkpoint_file_is_a_rollback() {
    let folder = stopped();
    let lines = || {
        let text = fs::read_to_string(folder.path().join("checkpoints.jsonl"));
        text.unwrap_or_default().lines().count()
    };
    let (db, older) = (folder.path().join("dbward.db"), folder.path().join("older"));
    let store = start_with(folder.path(), None).unwrap();
    store.close().unwrap();
    drop(store);
    fs::copy(&db, &older).unwrap();
    let before = lines();
    let store = start_with(folder.path(), None).unwrap();
    checkpointed(&store);
    store.close().unwrap();
    drop(store);
    assert!(lines() > before);
    fs::copy(&older, &db).unwrap();
    let refused = start_with(folder.path(), None).err().unwrap();
    assert!(
        refused.contains("older than what was acknowledged"),
        "{refused}"
    );
    let store = start_with(folder.path(), Some("the disk is gone")).unwrap();
    let filter = AuditFilter {
        event_type: Some("audit.rollback_accepted".to_owned()),
        ..AuditFilter::default()
    };
    let events = store.read(|view| view.list_events(&filter, 10, 0)).unwrap();
    let event = &events[0].as_ref().unwrap().event;
    assert_eq!(event.reason.as_deref(), Some("the disk is gone"));
    store.close().unwrap();
    drop(store);
    start_with(folder.path(), None).unwrap();
}

#[test]
fn checkpoint_file_that_is_gone_unreadable_or_forged_stops_start() {
    let folder = stopped();
    let file = folder.path().join("checkpoints.jsonl");
    let store = start_with(folder.path(), None).unwrap();
    checkpointed(&store);
    store.close().unwrap();
    drop(store);
    let text = fs::read_to_string(&file).unwrap();
    // What a crash left of a line is not a line.
    fs::write(&file, format!("{text}{{\"half")).unwrap();
    start_with(folder.path(), None).unwrap().close().unwrap();
    fs::write(&file, text.replace("\"event_count\":", "\"event_count\":1")).unwrap();
    let forged = start_with(folder.path(), None).err().unwrap();
    assert!(forged.contains("not signed"), "{forged}");
    // A folder in its place cannot be read.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let unreadable = start_with(folder.path(), None).err().unwrap();
    assert!(unreadable.contains("cannot be read"), "{unreadable}");
    let accepted = start_with(folder.path(), Some("the disk is gone")).err();
    assert!(accepted.unwrap().contains("cannot be read"));
    fs::remove_dir(&file).unwrap();
    let gone = start_with(folder.path(), None).err().unwrap();
    assert!(gone.contains("missing"), "{gone}");
}

/// What is in the bucket, as a test turns it on and off.
#[derive(Default)]
struct Bucket {
    away: AtomicBool,
}

impl Replica for Bucket {
    fn is_awaited(&self) -> bool {
        true
    }

    fn may_write(&self) -> bool {
        true
    }

    fn sync(&self) -> Result<(), Error> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(Error::unavailable("the bucket is away")),
            false => Ok(()),
        }
    }
}

/// The last event that the checkpoint file of the folder goes to.
fn last_in_file(folder: &Path) -> i64 {
    let text = fs::read_to_string(folder.join("checkpoints.jsonl")).unwrap_or_default();
    let count = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["event_count"].as_i64().unwrap()
    };
    text.lines().last().map_or(0, count)
}

#[test]
fn checkpoints_that_second_copy_lacks_are_not_in_the_file() {
    let folder = stopped();
    let confirmed = || StartChecks {
        confirmed: true,
        ..StartChecks::default()
    };
    let store = start_checked(folder.path(), confirmed()).unwrap();
    assert_eq!(last_in_file(folder.path()), 0, "there is no copy yet");
    let bucket = Arc::new(Bucket::default());
    store.replicate(Arc::clone(&bucket) as _).unwrap();
    store.sync_copy().unwrap();
    let first = last_in_file(folder.path());
    assert!(first > 0);
    checkpointed(&store);
    store.sync_copy().unwrap();
    let before = last_in_file(folder.path());
    assert!(before > first);
    bucket.away.store(true, Ordering::SeqCst);
    let login = IdentityChange::LoginSucceeded {
        id: "person".to_owned(),
        roles: Default::default(),
    };
    let unknown = store.change(Actor::system(), move |_, _| {
        let changes = (0..200).map(|_| login.clone().into());
        Ok(Verdict::Write(changes.collect(), ()))
    });
    assert!(unknown.unwrap_err().to_string().contains("outcome unknown"));
    assert_eq!(last_in_file(folder.path()), before);
    bucket.away.store(false, Ordering::SeqCst);
    store.sync_copy().unwrap();
    assert!(last_in_file(folder.path()) > before);
    store.close().unwrap();
}

#[test]
fn fetched_state_starts_without_checkpoint_file_of_the_machine_before() {
    let folder = stopped();
    let file = folder.path().join("checkpoints.jsonl");
    let (db, older) = (folder.path().join("dbward.db"), folder.path().join("older"));
    let stop = |store: Arc<Store>| store.close().unwrap();
    stop(start_with(folder.path(), None).unwrap());
    fs::copy(&db, &older).unwrap();
    fs::remove_file(&file).unwrap();
    assert!(start_with(folder.path(), None).is_err());
    let fetched = |confirmed| StartChecks {
        fetched: true,
        confirmed,
        ..StartChecks::default()
    };
    stop(start_checked(folder.path(), fetched(false)).unwrap());
    // Its own file goes further than a copy that answers wait for: that is a rollback, and otherwise what async may lose.
    let store = start_with(folder.path(), None).unwrap();
    checkpointed(&store);
    stop(store);
    let far = last_in_file(folder.path());
    fs::copy(&older, &db).unwrap();
    let refused = start_checked(folder.path(), fetched(true)).err().unwrap();
    assert!(
        refused.contains("older than what was acknowledged"),
        "{refused}"
    );
    let store = start_checked(folder.path(), fetched(false)).unwrap();
    assert!(last_in_file(folder.path()) < far);
    let filter = AuditFilter {
        event_type: Some("audit.rollback_accepted".to_owned()),
        ..AuditFilter::default()
    };
    let events = store.read(|view| view.list_events(&filter, 10, 0)).unwrap();
    assert_eq!(events.len(), 1);
    stop(store);
    stop(start_with(folder.path(), None).unwrap());
}

#[test]
fn accepting_a_rollback_does_not_accept_a_missing_head() {
    let folder = stopped();
    unguarded(folder.path())
        .execute_batch("DELETE FROM audit_head")
        .unwrap();
    for accepted in [None, Some("drill")] {
        let refused = start_with(folder.path(), accepted).err().unwrap();
        assert!(
            refused.contains("head of the audit log is missing"),
            "{refused}"
        );
    }
    // A file that claims to be older has another schema.
    unguarded(folder.path())
        .execute_batch("DELETE FROM schema_migrations WHERE name >= '0006'")
        .unwrap();
    let refused = start_with(folder.path(), Some("drill")).err().unwrap();
    assert!(
        refused.contains("is not the one that a migration made")
            || refused.contains("no migration made"),
        "{refused}"
    );
}
