//! What the demo prints: where it runs, and commands to try, each of which works as printed after the first.

use super::super::output::Paint;
use crate::crypto::write_private;
use crate::error::Error;
use std::fmt::Write as _;
use std::path::Path;

/// What each thing to try shows, and its command, in order.
const COMMANDS: [(&str, &str); 7] = [
    (
        "A query runs at once",
        "dbward execute \"SELECT status, count(*) AS orders FROM orders GROUP BY status\"",
    ),
    (
        "A change in production waits for an approver",
        "dbward execute \"UPDATE customers SET active = 0 WHERE id = 42\" -e production --no-wait",
    ),
    (
        "The approver sees it",
        "dbward request list --mine-to-approve --server approver",
    ),
    (
        "and approves it",
        "dbward request approve $(dbward request list --mine-to-approve --server approver --limit 1 --format quiet) --server approver",
    ),
    ("The requester runs it", "dbward request watch latest"),
    (
        "A DELETE without WHERE is refused",
        "dbward execute \"DELETE FROM customers\"",
    ),
    (
        "The audit log proves itself",
        "dbward audit verify --server admin",
    ),
];

/// Writes the profile of the demo: `dbward.toml` with a server a person, and `env`, which a shell reads.
pub(super) fn write_profile(url: &str, folder: &Path, people: &[&str]) -> Result<(), Error> {
    let mut profile = String::from(
        "# Written by `dbward demo`.\ndefault_server = \"requester\"\ndefault_database = \"shop\"\n",
    );
    for person in people {
        let _ = write!(
            profile,
            "\n[servers.{person}]\nurl = \"{url}\"\ntoken_file = \"{person}-token\"\n"
        );
    }
    let file = folder.join("dbward.toml");
    let program = std::env::current_exe().map_err(|e| Error::internal("the path of dbward", e))?;
    let bin = program.parent().unwrap_or(Path::new("."));
    let env = format!(
        "export DBWARD_CONFIG={}\nPATH={}:\"$PATH\"\nexport PATH\nunset DBWARD_SERVER_URL DBWARD_TOKEN DBWARD_DATABASE \
         DBWARD_ENV DBWARD_SERVER\n",
        quoted(&file),
        quoted(bin)
    );
    let written = write_private(&file, profile.as_bytes())
        .and_then(|()| write_private(&folder.join("env"), env.as_bytes()));
    written.map_err(|e| Error::internal(format!("{}", folder.display()), e))
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

/// The guide, for a server at `url`.
pub(super) fn text(url: &str, folder: &Path, temporary: bool, paint: Paint) -> String {
    let kept = match temporary {
        true => "removed when the demo ends",
        false => "kept",
    };
    let mut out = String::new();
    let _ = writeln!(out, "dbward demo is running at {url}");
    let _ = writeln!(out, "  state      {} ({kept})", folder.display());
    let _ = writeln!(
        out,
        "  database   shop: customers, products, orders, order_items"
    );
    let _ = writeln!(
        out,
        "  people     requester, approver, admin: each with a token in that folder"
    );
    // The part after `#` never leaves the browser.
    for person in ["requester", "approver", "admin"] {
        let token = std::fs::read_to_string(folder.join(format!("{person}-token")));
        let token = token.unwrap_or_default();
        let _ = writeln!(
            out,
            "  console    {url}/#token={} as {person}",
            token.trim()
        );
    }
    let _ = writeln!(out, "\n{}", paint.dim("# 0. In another terminal"));
    let _ = writeln!(
        out,
        "{}",
        paint.bold(&format!(". {}", quoted(&folder.join("env"))))
    );
    for (n, (title, command)) in COMMANDS.iter().enumerate() {
        let _ = writeln!(out, "\n{}", paint.dim(&format!("# {}. {title}", n + 1)));
        let _ = writeln!(out, "{}", paint.bold(command));
    }
    let _ = writeln!(out, "\nCtrl-C ends the demo.");
    out
}
