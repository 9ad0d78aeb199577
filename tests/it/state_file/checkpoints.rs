//! A state that is older than its checkpoint file, or next to a forged one, does not start.

use super::*;

/// Starts the store of a folder with a checkpoint file next to it.
fn start_with(folder: &Path, accept_rollback: Option<&str>) -> Result<Arc<Store>, String> {
    let state = StateDir::open(folder).unwrap();
    let checks = StartChecks {
        checkpoint_file: Some(folder.join("checkpoints.jsonl")),
        accept_rollback: accept_rollback.map(str::to_owned),
        quarantine: false,
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
    assert_eq!(events[0].event.reason.as_deref(), Some("the disk is gone"));
    store.close().unwrap();
    drop(store);
    start_with(folder.path(), None).unwrap();
}

#[test]
fn a_checkpoint_file_that_is_gone_unreadable_or_forged_stops_the_start() {
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
