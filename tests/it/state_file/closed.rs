//! Rows that do not count any more, edited, taken out and put in: `verify` finds it, or nothing comes of it.

use super::{Outcome, columns, copied, edit_row, harmless, outcome, stopped, unguarded};
use dbward::store::columns::{LiveRows, TABLES};

#[test]
fn an_edit_of_a_closed_row_is_found_or_harmless() {
    let folder = stopped();
    let (mut wrong, mut found) = (Vec::new(), 0);
    let tables = TABLES.iter().filter(|t| {
        matches!(
            t.live,
            LiveRows::Open | LiveRows::While(_) | LiveRows::WithRequest
        )
    });
    for table in tables {
        let kinds = columns(&unguarded(folder.path()), table.name);
        for column in table.digested() {
            let copy = copied(folder.path());
            let kind = kinds.iter().find(|(name, _)| name == column).unwrap();
            if edit_row(copy.path(), table, column, &kind.1, false) == 0 {
                // Rows of these go when a request closes, or when a notification has arrived.
                assert!(
                    ["request_approvers", "outbox"].contains(&table.name),
                    "{}",
                    table.name
                );
                continue;
            }
            let outcome = outcome(copy.path(), "");
            found += i32::from(outcome == Outcome::Found);
            if (outcome == Outcome::Unnoticed) != harmless(table.name, column).is_some() {
                wrong.push(format!("{}.{column}: {outcome:?}", table.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(found > 50, "only {found} edits were found");
}

#[test]
fn closed_rows_taken_out_or_put_in_are_found() {
    let stopped = stopped();
    let closed = "(SELECT min(seq) FROM requests WHERE status = 'rejected')";
    let executed = "(SELECT min(execution_seq) FROM results)";
    for attack in [
        format!("DELETE FROM approvals WHERE request_seq = {closed}"),
        format!(
            "INSERT INTO approvals SELECT id + 50, request_seq, step_index, 'approve', 'approver-two', token_id, \
             matched_selector, comment, issued_by_requester, created_at_ms, audit_seq FROM approvals \
             WHERE request_seq = {closed}"
        ),
        format!("DELETE FROM result_bodies WHERE execution_seq = {executed}"),
        format!(
            "UPDATE result_bodies SET body = CAST('x' AS BLOB) WHERE execution_seq = {executed}"
        ),
        format!("INSERT INTO result_access VALUES ('user:stranger', {executed})"),
        format!("DELETE FROM result_access WHERE execution_seq = {executed}"),
        format!("DELETE FROM results WHERE execution_seq = {executed}"),
        format!("DELETE FROM executions WHERE seq = {executed}"),
        format!("DELETE FROM request_texts WHERE request_seq = {closed}"),
        format!("INSERT INTO request_approvers VALUES ('user:stranger', {closed})"),
    ] {
        let folder = copied(stopped.path());
        unguarded(folder.path()).execute_batch(&attack).unwrap();
        assert_eq!(outcome(folder.path(), ""), Outcome::Found, "{attack}");
    }
}
