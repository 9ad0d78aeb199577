//! What the demo prints: where it runs, the tokens, and six commands, each of which works as printed.

use super::Secrets;
use std::fmt::Write as _;
use std::path::Path;

/// The guide, for a server at `url`.
pub(super) fn text(url: &str, secrets: &Secrets, folder: &Path, temporary: bool) -> String {
    let mut out = String::new();
    let kept = if temporary {
        "removed when the demo ends"
    } else {
        "kept"
    };
    let _ = writeln!(out, "dbward demo is running at {url}");
    let _ = writeln!(out, "  state      {} ({kept})", folder.display());
    let _ = writeln!(
        out,
        "  database   shop: customers, products, orders, order_items"
    );
    let _ = writeln!(out, "  requester  {}", secrets.requester);
    let _ = writeln!(out, "  approver   {}", secrets.approver);
    let _ = writeln!(out, "  admin      {}", secrets.admin);
    for (n, (title, command)) in commands(url, secrets).iter().enumerate() {
        let _ = writeln!(out, "\n# {}. {title}\n{command}", n + 1);
    }
    let _ = writeln!(out, "\nCtrl-C ends the demo.");
    out
}

/// Title and command of each thing to try, in order.
fn commands(url: &str, s: &Secrets) -> [(&'static str, String); 6] {
    let call = |token: &str, path: &str| {
        format!("curl -sS -H 'Authorization: Bearer {token}' \"{url}{path}\"")
    };
    let create = |environment: &str, sql: &str| {
        format!(
            "{} -H 'Content-Type: application/json' -d '{{\"database\":\"shop\",\"environment\":\"{environment}\",\"detail\":\"{sql}\"}}'",
            call(&s.requester, "/api/requests")
        )
    };
    // The id of the newest request that the inner command lists, without any tool but grep and cut.
    let newest = |list: String| {
        format!("$({list} | grep -o '\"id\":\"[0-9a-f-]*\"' | head -n 1 | cut -d '\"' -f 4)")
    };
    let query = create(
        "development",
        "SELECT status, count(*) AS orders FROM orders GROUP BY status",
    );
    let waiting = call(&s.approver, "/api/requests?pending_for_me=true&limit=1");
    let approved = call(&s.requester, "/api/requests?status=approved&limit=1");
    [
        (
            "A query that runs at once, and its result",
            format!(
                "{}; echo",
                call(
                    &s.requester,
                    &format!("/api/requests/{}/result/stream", newest(query))
                )
            ),
        ),
        (
            "A change in production waits for an approver",
            format!(
                "{}; echo",
                create(
                    "production",
                    "UPDATE customers SET active = 0 WHERE id = 42"
                )
            ),
        ),
        (
            "The approver approves it",
            format!(
                "{} -H 'Content-Type: application/json' -d '{{\"comment\":\"looks right\"}}'; echo",
                call(
                    &s.approver,
                    &format!("/api/requests/{}/approve", newest(waiting))
                )
            ),
        ),
        (
            "The requester resumes it, and gets its result",
            format!(
                "ID={}; {} -X POST; echo; {}; echo",
                newest(approved),
                call(&s.requester, "/api/requests/$ID/resume"),
                call(&s.requester, "/api/requests/$ID/result/stream")
            ),
        ),
        (
            "A DELETE without WHERE is refused",
            format!("{}; echo", create("development", "DELETE FROM customers")),
        ),
        (
            "The audit log proves itself",
            format!("{}; echo", call(&s.admin, "/api/audit/verify")),
        ),
    ]
}
