//! What a refused start names of live rows that were edited, and what `--quarantine` makes of them.

use super::{columns, copied, edit, stopped, unguarded};
use dbward::clock::Clock;
use dbward::crypto::Keypair;
use dbward::domain::request::Status;
use dbward::server::state::StateDir;
use dbward::store::columns::{LiveRows, TABLES, UNTOLD};
use dbward::store::{
    AuditFilter, STATE_DIFFERS, StartChecks, Store, Verified, VerifyKeys, verify_chain,
};
use std::fs;
use std::path::Path;
use std::sync::Arc;

pub(super) fn start(folder: &Path, quarantine: bool) -> Result<Arc<Store>, dbward::error::Error> {
    let keys = StateDir::open(folder).unwrap().audit_keys(None).unwrap();
    let checks = StartChecks {
        quarantine,
        ..StartChecks::default()
    };
    let fatal = Arc::new(|why: &str| panic!("{why}"));
    Store::open_with(
        &folder.join("dbward.db"),
        Clock::system(),
        keys,
        fatal,
        &checks,
    )
}

/// Verifies with the audit key, so that the sums of the live rows are compared too.
fn verified_with_key(folder: &Path) -> Verified {
    let key = Keypair::load(&folder.join("audit-signing.key"))
        .unwrap()
        .unwrap();
    let public = |id: &str| Some(key.public()).filter(|public| public.id() == id);
    let keys = VerifyKeys::new(&public, Some(&key));
    let verified = verify_chain(&folder.join("dbward.db"), &keys, None).unwrap();
    assert!(verified.live_compared || !verified.valid);
    verified
}

fn events(store: &Store, event_type: &str) -> usize {
    let filter = AuditFilter {
        event_type: Some(event_type.to_owned()),
        ..AuditFilter::default()
    };
    let events = store.read(|view| view.list_events(&filter, 200, 0));
    events.unwrap().len()
}

/// Why the log does not say what this column of a live row must hold; none where it does.
pub(super) fn untold(table: &str, column: &str) -> Option<&'static str> {
    UNTOLD
        .iter()
        .find(|(name, columns, _)| *name == table && columns.contains(&column))
        .map(|(_, _, why)| *why)
}

#[test]
fn every_column_without_event_is_digested_and_named_once() {
    let mut named = std::collections::BTreeSet::new();
    for (table, columns, _) in UNTOLD {
        let table = TABLES.iter().find(|t| t.name == *table).unwrap();
        for column in *columns {
            assert!(table.digested().any(|digested| digested == *column));
            assert!(named.insert((table.name, *column)), "{column}");
        }
    }
}

#[test]
fn refused_start_names_row_and_column_wherever_the_log_tells() {
    let folder = stopped();
    let mut wrong = Vec::new();
    for table in TABLES.iter().filter(|t| t.live != LiveRows::Never) {
        let kinds = columns(&unguarded(folder.path()), table.name);
        for column in table.digested() {
            let copy = copied(folder.path());
            let kind = kinds.iter().find(|(name, _)| name == column).unwrap();
            edit(copy.path(), table, column, &kind.1);
            let error = start(copy.path(), false).err().unwrap();
            assert_eq!(error.code(), STATE_DIFFERS);
            let text = error.to_string();
            // The row whose key is another one now, and the one that is missing since.
            let whole = text.contains(" is missing") || text.contains("events say");
            let named = (text.contains("column") && text.contains(column)) || whole;
            let left = text.contains("the audit log does not say");
            if named == untold(table.name, column).is_some() || (!named && !left) {
                wrong.push(format!("{}.{column}: {text}", table.name));
            }
            let hint = error.hint_text().unwrap();
            assert!(hint.contains("restore") && hint.contains("--quarantine"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn after_quarantine_the_log_verifies_and_nothing_edited_counts() {
    let folder = stopped();
    let mut wrong = Vec::new();
    for table in TABLES.iter().filter(|t| t.live != LiveRows::Never) {
        let kinds = columns(&unguarded(folder.path()), table.name);
        for column in table.digested() {
            let copy = copied(folder.path());
            let kind = kinds.iter().find(|(name, _)| name == column).unwrap();
            edit(copy.path(), table, column, &kind.1);
            let store = match start(copy.path(), true) {
                Ok(store) => store,
                Err(error) => {
                    wrong.push(format!("{}.{column}: {error}", table.name));
                    continue;
                }
            };
            let (frozen, revoked, suspended) = (
                events(&store, "request.corrupt"),
                events(&store, "token.revoked"),
                events(&store, "user.disabled"),
            );
            let taken = match table.name {
                "tokens" => revoked > 0,
                "users" => suspended > 0,
                "schema_snapshots" | "stated_dialects" | "reported_dialects" | "outbox"
                | "sessions" => true,
                _ => frozen > 0,
            };
            if !taken || events(&store, "state.quarantined") != 1 {
                wrong.push(format!("{}.{column}: nothing was taken out", table.name));
            }
            store.close().unwrap();
            drop(store);
            let verified = verified_with_key(copy.path());
            if !verified.valid {
                let problem = verified.problem.unwrap();
                wrong.push(format!("{}.{column}: afterwards: {problem}", table.name));
            }
            if let Err(error) = start(copy.path(), false) {
                wrong.push(format!("{}.{column}: next start: {error}", table.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Attacks with rows that are put in or taken out, and what a quarantine makes of them: requests frozen, tokens revoked,
/// people suspended, each at least so many.
const ATTACKS: &[(&str, usize, usize, usize)] = &[
    (
        "DELETE FROM approvals WHERE id = (SELECT max(a.id) FROM approvals a JOIN requests r ON r.seq = a.request_seq \
      WHERE r.status = 'approved')",
        1,
        0,
        0,
    ),
    (
        "INSERT INTO approvals SELECT id + 50, request_seq, step_index, action, 'approver-two', token_id, \
      matched_selector, comment, issued_by_requester, created_at_ms, audit_seq FROM approvals a WHERE EXISTS \
      (SELECT 1 FROM requests r WHERE r.seq = a.request_seq AND r.status = 'pending')",
        1,
        0,
        0,
    ),
    ("DELETE FROM executions WHERE status = 'claimed'", 1, 0, 0),
    ("DELETE FROM requests WHERE status = 'pending'", 1, 0, 0),
    (
        "UPDATE requests SET status = 'approved' WHERE status = 'pending'",
        1,
        0,
        0,
    ),
    (
        "UPDATE requests SET status = 'approved' WHERE status = 'executed'",
        1,
        0,
        0,
    ),
    (
        "UPDATE requests SET corrupt_seq = 1 WHERE status = 'executed'",
        1,
        0,
        0,
    ),
    (
        "UPDATE tokens SET roles_json = '[\"admin\"]' WHERE subject_id = 'requester'",
        0,
        1,
        0,
    ),
    ("DELETE FROM tokens WHERE subject_id = 'requester'", 0, 1, 0),
    (
        "INSERT INTO tokens (id, subject_type, subject_id, token_hash, token_prefix, name, roles_json, role_mode, \
      groups_json, issuer, created_at_ms, audit_seq) SELECT 'forged', subject_type, subject_id, \
      'aa' || substr(token_hash, 3), token_prefix, name, roles_json, role_mode, groups_json, issuer, created_at_ms, \
      audit_seq FROM tokens WHERE subject_id = 'admin' LIMIT 1",
        0,
        1,
        0,
    ),
    (
        "INSERT INTO users SELECT 'forged', subject_type, status, source, NULL, created_at_ms, updated_at_ms, NULL, \
      audit_seq, slack_linkers_json, NULL, NULL, NULL, NULL FROM users WHERE id = 'approver'",
        0,
        0,
        1,
    ),
    ("DELETE FROM users WHERE id = 'approver'", 0, 0, 1),
];

#[test]
fn rows_put_in_or_taken_out_are_quarantined() {
    let folder = stopped();
    for (attack, frozen, revoked, suspended) in ATTACKS {
        let copy = copied(folder.path());
        let changed = unguarded(copy.path()).execute(attack, []).unwrap();
        assert!(changed > 0, "{attack}");
        let refused = start(copy.path(), false).err().unwrap();
        assert_eq!(refused.code(), STATE_DIFFERS, "{attack}");
        let store = start(copy.path(), true).unwrap();
        for (kind, least) in [
            ("request.corrupt", frozen),
            ("token.revoked", revoked),
            ("user.disabled", suspended),
        ] {
            assert!(events(&store, kind) >= *least, "{attack}: {kind}");
        }
        store.close().unwrap();
        drop(store);
        let verified = verified_with_key(copy.path());
        assert!(verified.valid, "{attack}: {verified:?}");
    }
}

#[test]
fn only_what_was_edited_is_frozen_where_the_log_tells() {
    let folder = stopped();
    unguarded(folder.path())
        .execute_batch(
            "UPDATE request_texts SET detail = 'DROP TABLE items' WHERE request_seq = \
             (SELECT seq FROM requests WHERE status = 'approved')",
        )
        .unwrap();
    let store = start(folder.path(), true).unwrap();
    assert_eq!(events(&store, "request.corrupt"), 1);
    assert_eq!(events(&store, "token.revoked"), 0);
    store.close().unwrap();
    drop(store);
    let verified = verified_with_key(folder.path());
    assert!(verified.valid, "{verified:?}");
    assert_eq!(verified.frozen.0, 1);
}

#[test]
fn another_edit_of_frozen_request_stops_start_and_is_verified() {
    let folder = stopped();
    let edit = "UPDATE request_texts SET detail = detail || ' ' WHERE request_seq = \
                (SELECT seq FROM requests WHERE status = 'approved')";
    unguarded(folder.path()).execute_batch(edit).unwrap();
    start(folder.path(), true).unwrap().close().unwrap();
    assert!(verified_with_key(folder.path()).valid);
    unguarded(folder.path()).execute_batch(edit).unwrap();
    let verified = verified_with_key(folder.path());
    assert!(!verified.valid);
    let refused = start(folder.path(), false).err().unwrap();
    assert_eq!(refused.code(), STATE_DIFFERS);
    // Nor does it thaw.
    unguarded(folder.path())
        .execute_batch("UPDATE requests SET corrupt_seq = NULL")
        .unwrap();
    let refused = start(folder.path(), false).err().unwrap().to_string();
    assert!(refused.contains("corrupt_seq"), "{refused}");
    let store = start(folder.path(), true).unwrap();
    let thawed = store.read(|view| {
        let request = view.list_events(&AuditFilter::default(), 200, 0)?;
        let frozen = request
            .iter()
            .flatten()
            .find(|e| e.event.event_type == "request.corrupt");
        view.request(frozen.unwrap().event.request_id.as_deref().unwrap())
    });
    let thawed = thawed.unwrap();
    assert!(thawed.corrupt && thawed.status() == Status::Approved);
}

#[test]
fn a_broken_chain_or_head_is_never_quarantined() {
    let folder = stopped();
    for attack in [
        "DELETE FROM audit_events WHERE seq = (SELECT max(seq) FROM audit_events)",
        "UPDATE audit_events SET event_hash = upper(event_hash) WHERE seq = (SELECT max(seq) FROM audit_events)",
        "DELETE FROM audit_head",
        "UPDATE audit_head SET seq = seq + 1",
        "UPDATE audit_head SET sums_json = json_set(sums_json, '$.tokens', 'x')",
        "UPDATE audit_head SET signature = upper(signature) || '0'",
    ] {
        let copy = copied(folder.path());
        unguarded(copy.path()).execute_batch(attack).unwrap();
        let before = fs::read(copy.path().join("dbward.db")).unwrap();
        let refused = start(copy.path(), true).err().unwrap();
        assert_eq!(refused.code(), STATE_DIFFERS, "{attack}");
        let after = fs::read(copy.path().join("dbward.db")).unwrap();
        assert!(before == after, "{attack}: the file was written");
    }
}
