//! The verdict on one statement: what kind it is, whether it reads, writes or is refused, and why.

use super::analysis::Leading;
use super::analysis::{Category, SqlVerdict, StatementClass};
use super::by_words;
use super::cross_check::{self, ParseFailure, Tokens};
use super::definitions::{definition, safe_ddl};
use super::functions::{first_danger, spaced_calls};
use super::judged::{Judged, write};
use super::leading_keywords;
use super::names_by_words;
use super::review;
use super::token::{StatementTokens, TokenKind};
use super::upkeep;
use super::walk::Walk;
use crate::domain::dialect::Dialect;
use sqlparser::ast::{CopySource, CopyTarget, SetExpr, Statement};

/// Judges the statement of `stmt`, the `number`th of its text; `hint_sets` where an optimizer hint changes a setting.
pub(super) fn judge(
    stmt: &StatementTokens<'_>,
    tokens: Tokens,
    dialect: Dialect,
    number: usize,
    hint_sets: bool,
) -> Judged {
    let leading = leading_keywords::judge(stmt, dialect);
    let as_it_stands = matches!(leading, Leading::Parse | Leading::Refused(_));
    let mut judged = match leading {
        Leading::Settled(verdict) => settled(verdict, stmt, dialect),
        Leading::Refused(verdict) => refused(stmt, tokens, dialect, number, verdict),
        Leading::Parse => parsed(stmt, tokens, dialect, number, true),
        Leading::Explain { runs, inner } => explained(stmt, tokens, dialect, number, runs, inner),
    };
    by_words::inside_string(&mut judged, stmt, dialect, number);
    escalate(&mut judged, stmt, dialect, hint_sets);
    if judged.verdict.kind == "unknown" {
        judged.verdict.kind = leading_keywords::label(stmt);
    }
    if dialect == Dialect::MySql {
        judged.unknown_functions.extend(spaced_calls(stmt));
    }
    for finding in &mut judged.findings {
        finding.fit(dialect);
        finding.offset = stmt.offset_at(finding.line, finding.column);
    }
    if as_it_stands {
        upkeep::review(&mut judged, stmt, dialect, number);
    }
    judged
}

/// What needs no tree. The WHERE of a SHOW is an expression like any other: it may call.
fn settled(verdict: SqlVerdict, stmt: &StatementTokens<'_>, dialect: Dialect) -> Judged {
    let mut judged = Judged::settled(verdict);
    let opens = (0..stmt.toks.len()).any(|i| stmt.kind(i) == Some(TokenKind::Open));
    if opens && judged.verdict.kind == "show" {
        judged.unknown_functions = names_by_words::names(stmt, dialect).unknown_functions;
    }
    judged
}

/// A dangerous function or hint makes a write of what would only read, and more than structure of DDL.
fn escalate(judged: &mut Judged, stmt: &StatementTokens<'_>, dialect: Dialect, hint_sets: bool) {
    let class = judged.verdict.class;
    if !matches!(class, StatementClass::Select | StatementClass::Ddl) {
        return;
    }
    let queries = judged.verdict.kind == "select";
    let danger = if hint_sets {
        Some("carries a hint that changes a setting".to_owned())
    } else if queries && class == StatementClass::Select && hides_write(stmt) {
        Some("has words of a write in it".to_owned())
    } else {
        first_danger(stmt, dialect).map(|(why, _)| why)
    };
    let Some(why) = danger else { return };
    // A column that takes its default from a sequence is ordinary DDL.
    if class == StatementClass::Ddl && why == "calls `nextval`" {
        return;
    }
    judged.safe_ddl = false;
    judged.verdict.class = StatementClass::Dml;
    judged.verdict.reason = why;
    judged.verdict.category = Category::Dml;
}

/// Whether the words of a query that the tree calls reading mean a write or a lock: should the parser ever take one
/// for an alias, the words still give it away. A column of such a name costs an approval.
fn hides_write(stmt: &StatementTokens<'_>) -> bool {
    (0..stmt.toks.len()).any(|i| {
        let unqualified = i == 0 || stmt.kind(i - 1) != Some(TokenKind::Dot);
        let then = |words: &[&str]| stmt.is_any(i + 1, words);
        unqualified
            && (stmt.is(i, "into")
                || (stmt.is(i, "for") && then(&["update", "share", "no", "key"]))
                || (stmt.is(i, "lock") && then(&["in"]))
                || (stmt.is(i, "delete") && then(&["from"]))
                || (stmt.is(i, "update") && stmt.is(i + 2, "set"))
                || (stmt.is(i, "procedure") && then(&["analyse"])))
    })
}

/// Whether kind and tables say all of what a statement does; see [`StatementFacts::foreseen`].
///
/// [`StatementFacts::foreseen`]: super::StatementFacts::foreseen
pub(super) fn is_foreseen(
    stmt: &StatementTokens<'_>,
    verdict: &SqlVerdict,
    dialect: Dialect,
) -> bool {
    match verdict.class {
        StatementClass::Select => true,
        StatementClass::Ddl => matches!(
            verdict.kind,
            "create_table" | "create_view" | "create_index" | "alter_table"
        ),
        StatementClass::Dml => {
            let plain = matches!(
                verdict.kind,
                "insert" | "update" | "delete" | "merge" | "truncate"
            );
            // In a WITH, each part may be a write of its own; REPLACE deletes what it replaces.
            plain
                && !stmt.is_any(0, &["with", "replace"])
                && first_danger(stmt, dialect).is_none()
                && !hides_another_write(stmt)
        }
        StatementClass::Rejected => false,
    }
}

/// Whether the words of a write stand inside another statement.
pub(super) fn hides_another_write(stmt: &StatementTokens<'_>) -> bool {
    (1..stmt.toks.len()).any(|i| {
        (stmt.is(i, "delete") && stmt.is(i + 1, "from"))
            || (stmt.is(i, "update") && stmt.is(i + 2, "set"))
            || (stmt.is(i, "insert") && stmt.is(i + 1, "into"))
            || (stmt.is(i, "merge") && stmt.is(i + 1, "into"))
    })
}

/// A statement that its first words refuse. The tree only decides whether break-glass may pass it.
fn refused(
    stmt: &StatementTokens<'_>,
    tokens: Tokens,
    dialect: Dialect,
    number: usize,
    mut verdict: SqlVerdict,
) -> Judged {
    let mut judged = parsed(stmt, tokens, dialect, number, true);
    let eligible =
        judged.parse_failure.is_none() && judged.verdict.category == Category::BreakGlassDdl;
    if !eligible {
        verdict.category = Category::Unknown;
    }
    judged.parse_failure = None;
    judged.verdict = verdict;
    judged
}

fn explained(
    stmt: &StatementTokens<'_>,
    tokens: Tokens,
    dialect: Dialect,
    number: usize,
    runs: bool,
    inner: usize,
) -> Judged {
    let inner = stmt.from(inner);
    let mut judged = match leading_keywords::judge(&inner, dialect) {
        Leading::Settled(verdict) => Judged::settled(verdict),
        Leading::Refused(verdict) => refused(&inner, tokens, dialect, number, verdict),
        Leading::Parse => parsed(&inner, tokens, dialect, number, runs),
        Leading::Explain { .. } => unreadable(&inner),
    };
    let verdict = &mut judged.verdict;
    verdict.returns_rows = true;
    let plannable = matches!(
        verdict.kind,
        "select" | "insert" | "update" | "delete" | "merge" | "create_table"
    );
    let plannable = plannable && !runs && judged.parse_failure.is_none();
    if plannable
        && dialect == Dialect::MySql
        && verdict.class == StatementClass::Dml
        && verdict.kind != "select"
    {
        // The server refuses it with error 1792, and nobody should wait for that.
        let reason = "explains a write, which MariaDB does not do in the read-only transaction of a read; the change \
                      itself is explained for its reviewers";
        *verdict = SqlVerdict::refused("explain", Category::Unknown, reason);
        judged.safe_ddl = false;
        return judged;
    }
    if plannable {
        verdict.class = StatementClass::Select;
        verdict.category = Category::ReadOnly;
        verdict.reason = "explains without running".to_owned();
        judged.safe_ddl = false;
    }
    verdict.kind = "explain";
    judged
}

fn unreadable(stmt: &StatementTokens<'_>) -> Judged {
    let (line, column) = stmt.toks.first().map_or((1, 1), |t| (t.line, t.column));
    parse_failure(ParseFailure {
        line,
        column,
        message: "cannot read an EXPLAIN of an EXPLAIN".to_owned(),
    })
}

fn parse_failure(parse_failure: ParseFailure) -> Judged {
    let mut judged = Judged::settled(SqlVerdict {
        kind: "unknown",
        category: Category::Unknown,
        class: StatementClass::Dml,
        reason: "cannot be read".to_owned(),
        returns_rows: true,
    });
    judged.parse_failure = Some(parse_failure);
    judged
}

fn parsed(
    stmt: &StatementTokens<'_>,
    tokens: Tokens,
    dialect: Dialect,
    number: usize,
    runs: bool,
) -> Judged {
    let statement = match cross_check::parse(stmt, tokens, dialect) {
        Ok(statement) => statement,
        Err(error) => {
            let mut judged = parse_failure(error);
            by_words::complete(&mut judged, stmt, dialect, number, runs);
            return judged;
        }
    };
    let mut walk = Walk::new(dialect, number, runs);
    let verdict = verdict(&statement, &mut walk);
    review::review(&statement, stmt, &mut walk);
    Judged {
        verdict,
        parse_failure: None,
        tables: walk.tables,
        findings: walk.findings,
        unknown_functions: walk.unknown_functions,
        safe_ddl: safe_ddl(&statement, dialect) && !walk.unknown,
        by_words: false,
    }
}

/// The verdict of the tree. Kinds that are not listed count as writes.
fn verdict(statement: &Statement, walk: &mut Walk) -> SqlVerdict {
    match statement {
        Statement::Query(query) => {
            walk.query(query);
            let returns_rows = true;
            // `WITH ... DELETE`: the parser wraps the write in a query.
            match query.body.as_ref() {
                SetExpr::Insert(_) => write("insert", "inserts rows", returns_rows),
                SetExpr::Update(_) => write("update", "updates rows", returns_rows),
                SetExpr::Delete(_) => write("delete", "deletes rows", returns_rows),
                SetExpr::Merge(_) => write("merge", "merges rows", returns_rows),
                _ => query_verdict(walk),
            }
        }
        Statement::Insert(insert) => {
            walk.insert(insert);
            write("insert", "inserts rows", insert.returning.is_some())
        }
        Statement::Update(update) => {
            walk.update(update);
            write("update", "updates rows", update.returning.is_some())
        }
        Statement::Delete(delete) => {
            walk.delete(delete);
            write("delete", "deletes rows", delete.returning.is_some())
        }
        Statement::Merge(merge) => {
            walk.merge(merge);
            write("merge", "merges rows", merge.output.is_some())
        }
        Statement::Call(function) => {
            walk.operands(function);
            write("call", "calls a procedure", true)
        }
        Statement::Copy { source, target, .. } => copy(source, target, walk),
        Statement::Truncate(truncate) => {
            for table in &truncate.table_names {
                walk.target(&table.name);
            }
            let mut verdict = write("truncate", "truncates a table", false);
            verdict.category = Category::BreakGlassDdl;
            verdict
        }
        Statement::Prepare { statement, .. } => {
            walk.statement(statement);
            write("prepare", "prepares a statement", false)
        }
        Statement::LISTEN { .. } | Statement::UNLISTEN { .. } => {
            write("listen", "listens to a channel", false)
        }
        Statement::NOTIFY { .. } => write("notify", "notifies a channel", false),
        Statement::ExplainTable { .. } => SqlVerdict {
            kind: "describe",
            category: Category::ReadOnly,
            class: StatementClass::Select,
            reason: "describes a table".to_owned(),
            returns_rows: true,
        },
        other => definition(other, walk),
    }
}

fn query_verdict(walk: &Walk) -> SqlVerdict {
    let (class, category, reason) = match (walk.write, walk.unknown) {
        (Some(why), _) => (StatementClass::Dml, Category::Dml, why),
        (None, true) => (
            StatementClass::Dml,
            Category::Unknown,
            "has a part that is not understood",
        ),
        (None, false) => (StatementClass::Select, Category::ReadOnly, "reads"),
    };
    SqlVerdict {
        kind: "select",
        category,
        class,
        reason: reason.to_owned(),
        returns_rows: true,
    }
}

fn copy(source: &CopySource, target: &CopyTarget, walk: &mut Walk) -> SqlVerdict {
    match source {
        CopySource::Table { table_name, .. } => walk.target(table_name),
        CopySource::Query(query) => walk.query(query),
    }
    if matches!(target, CopyTarget::Program { .. }) {
        return SqlVerdict::refused(
            "copy",
            Category::CodeExecution,
            "COPY ... PROGRAM runs a program on the database host",
        );
    }
    write("copy", "copies data", true)
}
