//! What the first words of a statement settle, whether or not the parser knows the rest.
//!
//! The parser covers many dialects loosely and misses whole statements of each. What must be refused is therefore
//! recognised by its first words; so are SET, SHOW and PRAGMA, and the prefix of EXPLAIN, whose spellings differ.

use super::analysis::{Category, Leading, SqlVerdict, StatementClass, settled};
use super::compound;
use super::dangerous::DESCRIBING_PRAGMAS;
use super::token::{StatementTokens, TokenKind};
use crate::domain::dialect::Dialect;

/// The verdict of the first words of a statement.
pub(super) fn judge(stmt: &StatementTokens<'_>, dialect: Dialect) -> Leading {
    use Category::{CodeExecution, PrivilegeDdl, SecurityBoundary, TxControl};
    if dialect == Dialect::MySql && writes_file(stmt) {
        return refuse(
            "select",
            SecurityBoundary,
            "INTO OUTFILE writes a file on the database host",
        );
    }
    if stmt.kind(0) != Some(TokenKind::Word) {
        return Leading::Parse;
    }
    let second = |words: &[&str]| stmt.is_any(1, words);
    let word = stmt.text(0).to_ascii_lowercase();
    let mysql = dialect == Dialect::MySql;
    match word.as_str() {
        "begin" | "start" | "commit" | "rollback" | "savepoint" | "release" | "end" | "abort"
        | "xa" => refuse("transaction", TxControl, "transaction control"),
        "prepare" if second(&["transaction"]) => {
            refuse("transaction", TxControl, "transaction control")
        }
        "do" => refuse("do", CodeExecution, "DO runs code"),
        "load" => refuse("load", CodeExecution, "LOAD reads files or loads code"),
        "install" | "uninstall" if mysql => refuse(
            "install",
            CodeExecution,
            "INSTALL loads code into the server",
        ),
        "copy" if (1..stmt.toks.len()).any(|i| runs_program(stmt, i)) => refuse(
            "copy",
            CodeExecution,
            "COPY ... PROGRAM runs a program on the database host",
        ),
        "grant" | "revoke" => refuse("grant", PrivilegeDdl, "changes privileges"),
        "reassign" | "security" => refuse("grant", PrivilegeDdl, "changes ownership or labels"),
        "rename" if second(&["user"]) => refuse("alter_role", PrivilegeDdl, "changes a role"),
        "lock" | "unlock" => refuse("lock", SecurityBoundary, "takes or frees table locks"),
        "attach" | "detach" => refuse(
            "attach",
            SecurityBoundary,
            "attaches or detaches a database file",
        ),
        "vacuum" if dialect == Dialect::Sqlite => refuse(
            "vacuum",
            SecurityBoundary,
            "VACUUM rewrites or copies the whole file",
        ),
        "pragma" => pragma(stmt),
        "set" => super::settings::judge(stmt, dialect),
        "show" if dialect != Dialect::Sqlite => settled(
            "show",
            Category::ReadOnly,
            StatementClass::Select,
            "shows",
            true,
        ),
        "create" => create(stmt, dialect),
        "alter" => alter(stmt),
        "drop" => drop(stmt),
        "explain" | "describe" | "desc" => explain(stmt, dialect),
        "analyze" if mysql => analyze_statement(stmt),
        _ => Leading::Parse,
    }
}

fn refuse(kind: &'static str, category: Category, reason: &str) -> Leading {
    settled(kind, category, StatementClass::Rejected, reason, false)
}

fn runs_program(stmt: &StatementTokens<'_>, i: usize) -> bool {
    stmt.is(i, "program") && stmt.is_any(i - 1, &["to", "from"])
}

fn writes_file(stmt: &StatementTokens<'_>) -> bool {
    (1..stmt.toks.len()).any(|i| stmt.is_any(i, &["outfile", "dumpfile"]) && stmt.is(i - 1, "into"))
}

/// What a statement is called that has no verdict of its own, by its first words; `unknown` if they are not known either.
pub(super) fn label(stmt: &StatementTokens<'_>) -> &'static str {
    const LABELS: &[(&str, &str)] = &[
        ("analyze", "analyze"),
        ("cache", "cache_index"),
        ("change", "change_replication"),
        ("checkpoint", "checkpoint"),
        ("close", "cursor"),
        ("cluster", "cluster"),
        ("comment", "comment"),
        ("deallocate", "deallocate"),
        ("declare", "cursor"),
        ("discard", "discard"),
        ("execute", "execute"),
        ("fetch", "cursor"),
        ("flush", "flush"),
        ("handler", "handler"),
        ("import", "import"),
        ("kill", "kill"),
        ("move", "cursor"),
        ("optimize", "optimize"),
        ("purge", "purge"),
        ("reindex", "reindex"),
        ("refresh", "refresh"),
        ("rename", "rename_table"),
        ("reset", "reset"),
        ("restart", "restart"),
        ("shutdown", "shutdown"),
        ("signal", "signal"),
        ("vacuum", "vacuum"),
    ];
    const CREATED: &[(&str, &str)] = &[
        ("collation", "create_collation"),
        ("conversion", "create_conversion"),
        ("domain", "create_domain"),
        ("event", "create_event"),
        ("extension", "create_extension"),
        ("language", "create_language"),
        ("operator", "create_operator"),
        ("policy", "create_policy"),
        ("publication", "create_publication"),
        ("rule", "create_rule"),
        ("server", "create_server"),
        ("statistics", "create_statistics"),
        ("subscription", "create_subscription"),
        ("tablespace", "create_tablespace"),
        ("trigger", "create_trigger"),
    ];
    let find = |list: &[(&str, &'static str)], word: &str| {
        list.iter()
            .find(|(w, _)| w.eq_ignore_ascii_case(word))
            .map(|(_, label)| *label)
    };
    let label = match stmt.kind(0) {
        Some(TokenKind::Word) if stmt.is(0, "create") => {
            object(stmt).and_then(|o| find(CREATED, o))
        }
        Some(TokenKind::Word) if stmt.is(0, "alter") => Some("alter"),
        Some(TokenKind::Word) => find(LABELS, stmt.text(0)),
        _ => None,
    };
    label.unwrap_or("unknown")
}

/// Pragmas that show a value when they are given none.
const PRAGMA_VALUES: &[&str] = &[
    "application_id",
    "auto_vacuum",
    "automatic_index",
    "busy_timeout",
    "cache_size",
    "cache_spill",
    "cell_size_check",
    "checkpoint_fullfsync",
    "data_version",
    "defer_foreign_keys",
    "encoding",
    "foreign_keys",
    "freelist_count",
    "fullfsync",
    "journal_mode",
    "journal_size_limit",
    "legacy_alter_table",
    "legacy_file_format",
    "locking_mode",
    "max_page_count",
    "mmap_size",
    "page_count",
    "page_size",
    "query_only",
    "read_uncommitted",
    "recursive_triggers",
    "reverse_unordered_selects",
    "schema_version",
    "secure_delete",
    "synchronous",
    "temp_store",
    "threads",
    "trusted_schema",
    "user_version",
    "wal_autocheckpoint",
];

/// Pragmas that read the file and report what is wrong with it.
const PRAGMA_CHECKS: &[&str] = &["foreign_key_check", "integrity_check", "quick_check"];

/// Only pragmas that describe are let through: some others act while they are compiled, even under EXPLAIN.
fn pragma(stmt: &StatementTokens<'_>) -> Leading {
    let at = if stmt.kind(2) == Some(TokenKind::Dot) {
        3
    } else {
        1
    };
    let name = stmt.name(at).to_ascii_lowercase();
    let rest = stmt.from(at + 1);
    let plain = |i: usize| {
        matches!(
            rest.kind(i),
            Some(TokenKind::Word | TokenKind::Quoted | TokenKind::Str | TokenKind::Number)
        )
    };
    let bare = rest.toks.is_empty();
    let in_parens = rest.toks.len() == 3
        && rest.kind(0) == Some(TokenKind::Open)
        && plain(1)
        && rest.kind(2) == Some(TokenKind::Close);
    let assigned = rest.toks.len() == 2 && rest.text(0) == "=" && plain(1);
    let listed = DESCRIBING_PRAGMAS.binary_search(&name.as_str()).is_ok()
        || PRAGMA_CHECKS.contains(&name.as_str());
    let describes = listed && (bare || in_parens || assigned);
    if describes || (bare && PRAGMA_VALUES.contains(&name.as_str())) {
        return settled(
            "pragma",
            Category::ReadOnly,
            StatementClass::Select,
            "describes the database",
            true,
        );
    }
    refuse(
        "pragma",
        Category::SecurityBoundary,
        "only pragmas that describe the database are allowed",
    )
}

/// The kind of object that a CREATE, ALTER or DROP is about, looked for after modifiers such as OR REPLACE or DEFINER.
pub(super) fn object(stmt: &StatementTokens<'_>) -> Option<&'static str> {
    /// Longest run of modifiers: `CREATE OR REPLACE ALGORITHM = MERGE DEFINER = a@b SQL SECURITY INVOKER VIEW`.
    const TOKENS_MAX: usize = 24;
    (1..stmt.toks.len().min(TOKENS_MAX))
        .find_map(|i| OBJECTS.iter().copied().find(|o| stmt.is(i, o)))
}

/// Words that end the search for the kind of object.
const OBJECTS: &[&str] = &[
    "aggregate",
    "collation",
    "conversion",
    "database",
    "default",
    "domain",
    "event",
    "extension",
    "function",
    "group",
    "index",
    "instance",
    "language",
    "operator",
    "package",
    "policy",
    "procedure",
    "publication",
    "role",
    "routine",
    "rule",
    "schema",
    "sequence",
    "server",
    "statistics",
    "subscription",
    "system",
    "table",
    "tablespace",
    "transform",
    "trigger",
    "type",
    "user",
    "view",
];

fn create(stmt: &StatementTokens<'_>, dialect: Dialect) -> Leading {
    use Category::{CodeExecution, PrivilegeDdl};
    // An aggregate in MySQL is `CREATE AGGREGATE FUNCTION`; both are code.
    match object(stmt) {
        Some("schema") => refuse("create_schema", PrivilegeDdl, "creates a schema"),
        Some("database") => refuse("create_database", PrivilegeDdl, "creates a database"),
        Some("type") => refuse("create_type", PrivilegeDdl, "creates a type"),
        Some("role" | "user" | "group") => refuse("create_role", PrivilegeDdl, "creates a role"),
        Some("function" | "aggregate" | "package") => {
            refuse("create_function", CodeExecution, "creates code")
        }
        Some("procedure" | "routine") => refuse("create_procedure", CodeExecution, "creates code"),
        Some("trigger") => Leading::Settled(compound::judge(stmt, "create_trigger", dialect)),
        Some("event") if dialect == Dialect::MySql => {
            Leading::Settled(compound::judge(stmt, "create_event", dialect))
        }
        Some("sequence") => Leading::Refused(SqlVerdict::refused(
            "create_sequence",
            Category::BreakGlassDdl,
            "creates a sequence",
        )),
        _ => Leading::Parse,
    }
}

fn alter(stmt: &StatementTokens<'_>) -> Leading {
    use Category::{CodeExecution, PrivilegeDdl, SecurityBoundary};
    match object(stmt) {
        Some("index") => refuse("alter_index", PrivilegeDdl, "alters an index"),
        Some("view") => refuse("alter_view", PrivilegeDdl, "alters a view"),
        Some("schema" | "database") => refuse("alter_schema", PrivilegeDdl, "alters a schema"),
        Some("role" | "user" | "group") => refuse("alter_role", PrivilegeDdl, "alters a role"),
        Some("default") => refuse(
            "alter_default_privileges",
            PrivilegeDdl,
            "changes privileges",
        ),
        Some("function" | "procedure" | "routine" | "aggregate" | "package") => {
            refuse("alter_function", CodeExecution, "alters code")
        }
        Some("system" | "instance") => refuse(
            "alter_system",
            SecurityBoundary,
            "changes the server's settings",
        ),
        _ => Leading::Parse,
    }
}

/// Every DROP is refused; four of them may pass with break-glass, if the parser reads them to the end.
fn drop(stmt: &StatementTokens<'_>) -> Leading {
    let (kind, category) = match object(stmt) {
        Some("table") => ("drop_table", Category::BreakGlassDdl),
        Some("view") => ("drop_view", Category::BreakGlassDdl),
        Some("index") => ("drop_index", Category::BreakGlassDdl),
        Some("sequence") => ("drop_sequence", Category::BreakGlassDdl),
        _ => ("drop", Category::PrivilegeDdl),
    };
    let what = kind.strip_prefix("drop_").unwrap_or("object");
    let article = if what.starts_with(['i', 'o']) {
        "an"
    } else {
        "a"
    };
    let verdict = SqlVerdict::refused(kind, category, &format!("drops {article} {what}"));
    if category == Category::BreakGlassDdl {
        Leading::Refused(verdict)
    } else {
        Leading::Settled(verdict)
    }
}

fn explain(stmt: &StatementTokens<'_>, dialect: Dialect) -> Leading {
    let opens_query = |i: usize| {
        stmt.is_any(i, &["select", "with", "values", "table"])
            || stmt.kind(i) == Some(TokenKind::Open)
    };
    let mut at = 1;
    let mut runs = false;
    match dialect {
        Dialect::Postgres => {
            if stmt.kind(1) == Some(TokenKind::Open) && !opens_query(2) {
                // Any mention of ANALYZE counts, `ANALYZE false` too: fail closed.
                while at < stmt.toks.len() && stmt.kind(at) != Some(TokenKind::Close) {
                    runs |= names_analyze(stmt, at);
                    at += 1;
                }
                at += 1;
            } else {
                while stmt.is_any(at, &["analyze", "analyse", "verbose"]) {
                    runs |= names_analyze(stmt, at);
                    at += 1;
                }
            }
        }
        Dialect::MySql => loop {
            if stmt.is_any(at, &["analyze", "extended", "partitions"]) {
                runs |= stmt.is(at, "analyze");
                at += 1;
            } else if stmt.is(at, "format") {
                at += if stmt.text(at + 1) == "=" { 3 } else { 2 };
            } else {
                break;
            }
        },
        Dialect::Sqlite => {
            if stmt.is(1, "query") && stmt.is(2, "plan") {
                at = 3;
            }
        }
    }
    if dialect == Dialect::MySql && !opens_statement(stmt, at) {
        return describe(stmt, at);
    }
    if at >= stmt.toks.len() || (dialect != Dialect::MySql && !stmt.is(0, "explain")) {
        return Leading::Parse;
    }
    Leading::Explain { runs, inner: at }
}

fn names_analyze(stmt: &StatementTokens<'_>, i: usize) -> bool {
    let name = stmt.name(i);
    name.eq_ignore_ascii_case("analyze") || name.eq_ignore_ascii_case("analyse")
}

fn opens_statement(stmt: &StatementTokens<'_>, i: usize) -> bool {
    const WORDS: &[&str] = &[
        "select", "with", "values", "table", "insert", "update", "delete", "replace", "merge",
    ];
    stmt.is_any(i, WORDS) || stmt.kind(i) == Some(TokenKind::Open)
}

/// MySQL's `DESCRIBE table [column]`: a name, perhaps qualified, perhaps followed by a column or a pattern.
fn describe(stmt: &StatementTokens<'_>, at: usize) -> Leading {
    let name = |i: usize| matches!(stmt.kind(i), Some(TokenKind::Word | TokenKind::Quoted));
    let mut end = at + 1;
    if stmt.kind(end) == Some(TokenKind::Dot) {
        end += 2;
    }
    if end < stmt.toks.len() && (name(end) || stmt.kind(end) == Some(TokenKind::Str)) {
        end += 1;
    }
    if at == 1 && name(at) && end == stmt.toks.len() && !stmt.is_any(at, &["for", "into"]) {
        return settled(
            "describe",
            Category::ReadOnly,
            StatementClass::Select,
            "describes a table",
            true,
        );
    }
    Leading::Parse
}

/// MariaDB's `ANALYZE [FORMAT = JSON] SELECT`, which runs its statement.
fn analyze_statement(stmt: &StatementTokens<'_>) -> Leading {
    let mut at = 1;
    if stmt.is(1, "format") {
        at = if stmt.text(2) == "=" { 4 } else { 3 };
    }
    if opens_statement(stmt, at) && !stmt.is(at, "table") {
        return Leading::Explain {
            runs: true,
            inner: at,
        };
    }
    Leading::Parse
}
