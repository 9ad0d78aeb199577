//! What the store promises: nothing changes without its audit event, a writer's failure hurts nobody else, and the
//! schema refuses what the code would never ask.

use super::*;
use crate::crypto::uuid;
use crate::domain::change::{
    ConfigurationChange, IdentityChange, NewRequest, RequestChange, RequestRef, RequestText,
    UserStatus,
};
use crate::domain::id::{Operation, Target};
use crate::domain::request::{Opening, Status};
use crate::domain::risk_level::RiskLevel;
use crate::domain::session::{ConsoleSession, SessionEnd};
use crate::domain::sql::DialectFact;
use crate::domain::token::{RoleMode, Token};
use std::sync::atomic::{AtomicUsize, Ordering};

mod attacks;
mod lists;
mod live_state;
mod outbox;
mod probe;
mod replica;
mod start;

struct Temp(std::path::PathBuf);

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn temp() -> Temp {
    let path = std::env::temp_dir().join(format!("dbward-store-{}", uuid()));
    std::fs::create_dir(&path).unwrap();
    Temp(path)
}

fn keys() -> AuditKeys {
    let current = Keypair::from_seed([7; 32]);
    let public = current.public();
    AuditKeys {
        known: [(public.id(), public)].into(),
        current,
    }
}

fn open(temp: &Temp) -> Arc<Store> {
    let (path, fatal): (_, Fatal) = (temp.0.join("dbward.db"), Arc::new(|why| panic!("{why}")));
    let store = Store::open(&path, Clock::system(), keys(), fatal).unwrap();
    store
        .change(Actor::system(), |_, _| {
            let synced = ConfigurationChange::ConfigSynced {
                policy_version: "0".repeat(64),
                policy_text: "text".into(),
                summary: serde_json::Map::new(),
                routes: Arc::default(),
            };
            Ok(Verdict::Write(vec![synced.into()], ()))
        })
        .unwrap();
    store
}

fn new_request(view: &View, opening: Opening) -> Result<NewRequest, Error> {
    Ok(NewRequest {
        seq: view.next_request_seq()?,
        id: uuid(),
        // Who makes it is who the event names.
        requester: "system".into(),
        token_id: None,
        target: Target::new("app", "production").unwrap(),
        operation: Operation::ExecuteDml,
        dialect: DialectFact::Any,
        step: opening.step(),
        emergency: false,
        allow_ddl: false,
        no_result_store: false,
        reason: None,
        total_steps: 1,
        approvers: Vec::new(),
        risk_level: RiskLevel::Unknown,
        policy_version: "0".repeat(64),
        expires_at: Some(Timestamp(4_102_444_800_000)),
        approval_expires_at: Some(Timestamp(4_102_444_800_000)),
        text: RequestText {
            detail: "UPDATE t SET a = 1 WHERE b = 2".into(),
            plan_json: None,
            workflow: None,
            facts_json: "{}".into(),
            trace_json: "{}".into(),
            context_json: None,
            dry_runs: Vec::new(),
            metadata_json: None,
            share_with: Vec::new(),
            idempotency_key: None,
            idempotency_fingerprint: None,
            fingerprint: "f".into(),
            redacted: None,
        },
        row_bound: None,
        salt: [7; 32],
    })
}

fn create(store: &Store) -> Result<String, Error> {
    store.change(Actor::system(), |view, _| {
        let new = new_request(view, Opening::Pending)?;
        let id = new.id.clone();
        Ok(Verdict::Write(
            vec![RequestChange::Created(Box::new(new)).into()],
            id,
        ))
    })
}

fn token(id: &str, hash: char) -> Change {
    IdentityChange::TokenCreated(Token {
        id: id.into(),
        subject_type: crate::domain::actor::SubjectType::User,
        subject_id: "requester".into(),
        hash: hash.to_string().repeat(64),
        prefix: "00000000".into(),
        name: None,
        roles: vec!["developer".into()],
        role_mode: RoleMode::Grant,
        groups: Vec::new(),
        issuer: "system".into(),
        issuers: Default::default(),
        bound_to: None,
        expires_at: None,
        parent_id: None,
        session_id: None,
    })
    .into()
}

fn verified(temp: &Temp, store: &Store) -> Verified {
    store.verify(&temp.0.join("dbward.db")).unwrap()
}

#[test]
fn many_writers_share_commits_and_nothing_is_lost() {
    let temp = temp();
    let store = open(&temp);
    let threads: Vec<_> = (0..16)
        .map(|_| {
            let store = Arc::clone(&store);
            std::thread::spawn(move || (0..50).map(|_| create(&store).unwrap()).collect::<Vec<_>>())
        })
        .collect();
    let mut ids: Vec<String> = threads
        .into_iter()
        .flat_map(|t| t.join().unwrap())
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 800);
    for id in &ids {
        assert_eq!(
            store.read(|v| v.request(id)).unwrap().status(),
            Status::Pending
        );
    }
    let checked = verified(&temp, &store);
    assert_eq!(checked.problem, None);
    // 800 creations and the configuration, and a checkpoint after each hundred events.
    assert!(checked.total_events >= 801 + 8, "{checked:?}");
}

#[test]
fn writer_that_fails_or_panics_leaves_nothing_and_hurts_nobody() {
    let temp = temp();
    let store = open(&temp);
    let good = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..12)
        .map(|n| {
            let (store, good) = (Arc::clone(&store), Arc::clone(&good));
            std::thread::spawn(move || {
                for _ in 0..20 {
                    match n % 3 {
                        0 => {
                            create(&store).unwrap();
                            good.fetch_add(1, Ordering::SeqCst);
                        }
                        1 => {
                            let e = store
                                .change::<()>(Actor::system(), |_, _| Err(Error::invalid("no")))
                                .unwrap_err();
                            assert_eq!(e.status(), 400);
                        }
                        _ => {
                            let e = store
                                .change::<()>(Actor::system(), |_, _| panic!("on purpose"))
                                .unwrap_err();
                            assert_eq!(e.status(), 500);
                        }
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let counts = store.read(|v| v.request_counts()).unwrap();
    let pending = counts.iter().find(|(s, _)| s == "pending").unwrap().1;
    assert_eq!(pending, i64::try_from(good.load(Ordering::SeqCst)).unwrap());
    assert!(verified(&temp, &store).valid);
}

#[test]
fn a_change_that_the_schema_refuses_leaves_no_audit_event() {
    let temp = temp();
    let store = open(&temp);
    let before = store.read(|v| v.last_event()).unwrap();
    // A vote on a request that does not exist: the second change of the list fails, so the first is undone too.
    let error = store
        .change::<()>(Actor::system(), |view, _| {
            let new = new_request(view, Opening::Pending)?;
            let ghost = RequestRef {
                seq: 99,
                id: uuid(),
                requester: "requester".into(),
                target: new.target.clone(),
                operation: new.operation,
                status: Status::Pending,
            };
            let step = Opening::AutoApproved.dispatch().unwrap();
            Ok(Verdict::Write(
                vec![
                    RequestChange::Created(Box::new(new)).into(),
                    RequestChange::Dispatched {
                        request: ghost,
                        step,
                        deadline: Timestamp(0),
                        acknowledged: None,
                    }
                    .into(),
                ],
                (),
            ))
        })
        .unwrap_err();
    assert_eq!(error.status(), 500);
    assert_eq!(store.read(|v| v.last_event()).unwrap(), before);
}

#[test]
fn revoked_token_cannot_write_a_moment_after_its_check() {
    let temp = temp();
    let store = open(&temp);
    store
        .change(Actor::system(), |_, _| {
            Ok(Verdict::Write(vec![token("t1", 'a')], ()))
        })
        .unwrap();
    let actor = Actor {
        id: "requester".into(),
        kind: "user",
        token_id: Some("t1".into()),
        session_id: None,
        slack_linked_with: None,
        acts: true,
        origin: crate::domain::actor::Origin::default(),
    };
    store
        .change(actor.clone(), |_, _| Ok(Verdict::Same(())))
        .unwrap();
    store
        .change(Actor::system(), |_, _| {
            let revoked = IdentityChange::TokenRevoked {
                token_id: "t1".into(),
                subject_id: "requester".into(),
                with: None,
                ended: Vec::new(),
                kept: Vec::new(),
            };
            Ok(Verdict::Write(vec![revoked.into()], ()))
        })
        .unwrap();
    // Nor does the Slack account that was linked with it.
    let by_slack = Actor {
        token_id: None,
        slack_linked_with: actor.token_id.clone(),
        ..actor.clone()
    };
    for actor in [actor, by_slack] {
        let refused = store
            .change(actor, |_, _| Ok(Verdict::Same(())))
            .unwrap_err();
        assert_eq!(refused.code(), "unauthenticated");
    }
}

#[test]
fn ended_session_cannot_write_a_moment_after_its_check() {
    let temp = temp();
    let store = open(&temp);
    let write = |change: IdentityChange| {
        let written = store.change(Actor::system(), |_, _| {
            Ok(Verdict::Write(vec![change.into()], ()))
        });
        written.unwrap();
    };
    write(IdentityChange::UserCreated { id: "ann".into() });
    let session = ConsoleSession {
        id: "open".into(),
        subject_id: "ann".into(),
        hash: crate::crypto::sha256_hex(b"secret"),
        issuer: "https://id.example.com".into(),
        access: Default::default(),
        name: None,
        email: None,
        expires_at: Timestamp(i64::MAX),
    };
    write(IdentityChange::SessionStarted(session));
    let counts = |who: &str, id: &str| {
        let actor = Actor {
            id: who.into(),
            kind: "user",
            session_id: Some(id.into()),
            acts: true,
            ..Actor::system()
        };
        store.change(actor, |_, _| Ok(Verdict::Same(()))).is_ok()
    };
    assert!(counts("ann", "open"));
    assert!(!counts("bob", "open") && !counts("ann", "none"));
    write(IdentityChange::SessionEnded {
        id: "open".into(),
        subject_id: "ann".into(),
        why: SessionEnd::SignedOut,
        ended: Vec::new(),
    });
    assert!(!counts("ann", "open"));
}

#[test]
fn person_without_a_token_writes_only_while_known_and_active() {
    let temp = temp();
    let store = open(&temp);
    let somebody = |id: &str, kind: &'static str, acts: bool| Actor {
        id: id.into(),
        kind,
        token_id: None,
        session_id: None,
        slack_linked_with: None,
        acts,
        origin: crate::domain::actor::Origin::default(),
    };
    let counts = |actor: Actor| store.change(actor, |_, _| Ok(Verdict::Same(()))).is_ok();
    let write = |change: IdentityChange| {
        let written = store.change(Actor::system(), |_, _| {
            Ok(Verdict::Write(vec![change.into()], ()))
        });
        written.unwrap();
    };
    assert!(!counts(somebody("person", "user", true)));
    write(IdentityChange::UserCreated {
        id: "person".into(),
    });
    assert!(counts(somebody("person", "user", true)));
    assert!(!counts(somebody("person", "agent", true)));
    let status = |active| UserStatus {
        id: "person".into(),
        active,
        by_config: false,
    };
    write(IdentityChange::UserSuspended(status(false)));
    assert!(!counts(somebody("person", "user", true)));
    // The server may write about the person.
    assert!(counts(somebody("person", "user", false)));
    write(IdentityChange::UserActivated(status(true)));
    assert!(counts(somebody("person", "user", true)));
}

#[test]
fn second_start_finds_everything_and_an_edited_file_is_refused() {
    let temp = temp();
    let store = open(&temp);
    let id = create(&store).unwrap();
    store.close().unwrap();
    drop(store);
    let store = open(&temp);
    assert_eq!(store.read(|v| v.request(&id)).unwrap().id, id);
    drop(store);
    let raw = Connection::open(temp.0.join("dbward.db")).unwrap();
    raw.execute("UPDATE schema_migrations SET sha256 = 'x'", [])
        .unwrap();
    drop(raw);
    let path = temp.0.join("dbward.db");
    let refused = Store::open(&path, Clock::system(), keys(), Arc::new(|_| ()));
    assert!(refused.is_err_and(|e| e.to_string().contains("0001_initial")));
}

#[test]
fn a_database_of_another_program_is_refused_untouched() {
    let temp = temp();
    let path = temp.0.join("dbward.db");
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch("CREATE TABLE requests (id TEXT)")
        .unwrap();
    drop(raw);
    let before = std::fs::read(&path).unwrap();
    let refused = Store::open(&path, Clock::system(), keys(), Arc::new(|_| ()));
    assert!(refused.is_err_and(|e| e.to_string().contains("not made by this program")));
    assert_eq!(std::fs::read(&path).unwrap()[100..], before[100..]);
}

#[test]
fn events_that_another_process_appended_are_never_signed() {
    let temp = temp();
    drop(open(&temp));
    let fatal = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&fatal);
    let store = Store::open(
        &temp.0.join("dbward.db"),
        Clock::system(),
        keys(),
        Arc::new(move |_| {
            seen.fetch_add(1, Ordering::SeqCst);
        }),
    )
    .unwrap();
    create(&store).unwrap();
    let raw = Connection::open(temp.0.join("dbward.db")).unwrap();
    raw.execute_batch(
        "CREATE TEMP TABLE copied AS SELECT * FROM audit_events ORDER BY seq DESC LIMIT 1; \
         UPDATE copied SET seq = seq + 1, id = 'forged', prev_hash = event_hash, from_status = NULL, \
         to_status = NULL, metadata_json = '{}'; INSERT INTO audit_events SELECT * FROM copied",
    )
    .unwrap();
    let refused = create(&store).unwrap_err();
    assert_eq!(refused.status(), 503);
    assert_eq!(fatal.load(Ordering::SeqCst), 1);
}

/// Somebody with the file and their own shell, which runs none of our triggers.
fn unguarded(temp: &Temp) -> Connection {
    use rusqlite::config::DbConfig;
    let raw = Connection::open(temp.0.join("dbward.db")).unwrap();
    raw.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)
        .unwrap();
    raw.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    raw
}

#[test]
fn an_edited_event_is_found_and_named() {
    let temp = temp();
    let store = open(&temp);
    for _ in 0..5 {
        create(&store).unwrap();
    }
    store.close().unwrap();
    let raw = unguarded(&temp);
    let id: String = raw
        .query_row("SELECT id FROM audit_events WHERE seq = 3", [], |r| {
            r.get(0)
        })
        .unwrap();
    raw.execute("UPDATE audit_events SET actor_id = 'x' WHERE seq = 3", [])
        .unwrap();
    drop(raw);
    let found = verified(&temp, &store);
    assert!(!found.valid);
    assert_eq!(found.first_broken_id, Some(id));
    assert_eq!(found.total_events, 3);
}

#[test]
fn a_request_moved_or_made_without_the_log_is_found() {
    for tampering in [
        "UPDATE requests SET status = 'approved'",
        "CREATE TEMP TABLE copied AS SELECT * FROM requests; \
         UPDATE copied SET seq = 9, id = 'made'; INSERT INTO requests SELECT * FROM copied",
    ] {
        let temp = temp();
        let store = open(&temp);
        create(&store).unwrap();
        store.close().unwrap();
        unguarded(&temp).execute_batch(tampering).unwrap();
        assert!(!verified(&temp, &store).valid, "{tampering}");
    }
}

#[test]
fn a_heartbeat_that_is_not_yet_written_counts() {
    let temp = temp();
    let store = open(&temp);
    let now = store.now();
    store.extend_lease("e", now.plus_secs(60));
    let lease = store.read(|v| Ok(v.remembered_lease("e"))).unwrap();
    assert!(lease.is_some_and(|l| l.heartbeat_received && l.until == now.plus_secs(60)));
    // What is written need not be remembered.
    store.flush().unwrap();
    assert_eq!(store.read(|v| Ok(v.remembered_lease("e"))).unwrap(), None);
}
