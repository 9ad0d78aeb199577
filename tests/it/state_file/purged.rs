//! The tables that stand for what retention removed, edited while no server runs.

use super::{Outcome, columns, copied, outcome, unguarded};
use crate::support::{SHOP, Server, Temp};
use dbward::store::columns::{ColumnGuard, TABLES as ALL};
use std::path::Path;

/// These tables.
pub(super) const TABLES: [&str; 2] = ["audit_purges", "purged_requests"];

const DAY: u64 = 86_400;
const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

/// A state of which retention has removed events twice, and then requests.
fn purged() -> Temp {
    let s = Server::with(&format!(
        "shutdown_grace_secs = 1\n{SHOP}[retention]\nrequest_ttl_days = 1\naudit_ttl_days = 2\n"
    ));
    let cancelled = |n: usize| {
        for _ in 0..n {
            let request = s.requester().submit("production", UPDATE);
            s.requester().cancel(&request).is(200);
        }
    };
    for _ in 0..2 {
        cancelled(60);
        s.turn_only(4 * DAY);
        for _ in 0..8 {
            s.purge();
        }
    }
    cancelled(2);
    s.turn_only(DAY + DAY / 2);
    s.purge();
    s.requester().submit("production", UPDATE);
    copied(&s.stopped().state_dir())
}

fn rows(folder: &Path, table: &str) -> i64 {
    let count = format!("SELECT count(*) FROM {table}");
    unguarded(folder)
        .query_row(&count, [], |r| r.get(0))
        .unwrap()
}

/// Edits a column of the newest row, or makes another row the newest.
fn edit(folder: &Path, table: &str, column: &str, kind: &str) {
    let key = match table {
        "audit_purges" => "id",
        _ => "request_seq",
    };
    let which = match column {
        "id" if table == "audit_purges" => "min",
        _ => "max",
    };
    let value = match kind {
        "INTEGER" => format!("{column} + 1000"),
        _ => format!("{column} || 'x'"),
    };
    let changed = unguarded(folder).execute(
        &format!(
            "UPDATE {table} SET {column} = {value} WHERE {key} = (SELECT {which}({key}) FROM {table})"
        ),
        [],
    );
    assert_eq!(changed.unwrap(), 1, "{table}.{column}");
}

#[test]
fn an_edit_of_what_was_purged_is_found() {
    let folder = purged();
    assert_eq!(outcome(folder.path(), ""), Outcome::Unnoticed);
    for name in TABLES {
        let table = ALL.iter().find(|t| t.name == name).unwrap();
        assert!(rows(folder.path(), table.name) > 1, "{}", table.name);
        let kinds = columns(&unguarded(folder.path()), table.name);
        for (column, guard) in table.columns {
            let copy = copied(folder.path());
            let (_, kind) = kinds.iter().find(|(name, _)| name == column).unwrap();
            edit(copy.path(), table.name, column, kind);
            let noticed = outcome(copy.path(), "") != Outcome::Unnoticed;
            let expected = matches!(guard, ColumnGuard::Verified(_));
            assert_eq!(noticed, expected, "{}.{column}", table.name);
        }
    }
}

#[test]
fn rows_of_what_was_purged_are_missed_and_not_believed() {
    let folder = purged();
    for attack in [
        // The events of the first start are gone, and the head must be there all the same.
        "DELETE FROM audit_head",
        "DELETE FROM audit_purges WHERE id = (SELECT max(id) FROM audit_purges)",
        "DELETE FROM audit_purges",
        "DELETE FROM purged_requests",
        // A request that was not removed by retention.
        "INSERT INTO purged_requests SELECT seq, id, audit_seq FROM requests WHERE status = 'pending'",
        "INSERT INTO purged_requests SELECT seq, id, (SELECT max(audit_seq) FROM purged_requests) \
         FROM requests WHERE status = 'pending'; DELETE FROM requests WHERE status = 'pending'",
    ] {
        let copy = copied(folder.path());
        unguarded(copy.path()).execute_batch(attack).unwrap();
        assert_ne!(outcome(copy.path(), ""), Outcome::Unnoticed, "{attack}");
    }
}
