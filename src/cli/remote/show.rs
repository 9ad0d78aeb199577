//! `request show`: what it is, what was found, who decided and who can, and the one next step for who asks.

use super::super::output::{
    Paint, approver_words, factor_words, indented, operation_words, selector_words, short_id,
    status_words, underlined, visible,
};
use super::plan;
use super::progress::waiting_words;
use super::rehearsal;
use super::{CommandError, ServerSession};
use crate::client::{FindingReply, MeReply, NotificationReply, RequestReply, StepReply, path_of};
use crate::error::counted;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What a request is: where, how risky, the statement, and what was found in it.
pub fn heading(paint: Paint, request: &RequestReply) -> String {
    let mut out = String::new();
    let id = short_id(&request.id);
    if request.database.is_empty() {
        return format!("Request {id}\n");
    }
    let emergency = if request.emergency {
        " · emergency"
    } else {
        ""
    };
    // Of migrations none is known.
    let risk = match request.risk_level.as_str() {
        "unavailable" => String::new(),
        level => format!(" · risk {}", visible(level)),
    };
    let _ = writeln!(
        out,
        "Request {} · {} on {} / {}{risk}{emergency}",
        paint.bold(&id),
        operation_words(&request.operation),
        visible(&request.database),
        visible(&request.environment)
    );
    out.push('\n');
    let findings = findings(request);
    let offset = findings.first().and_then(|f| f.offset);
    match migration_words(&request.detail).filter(|_| request.operation.starts_with("migrate_")) {
        Some(words) => out.push_str(&indented(&visible(&words))),
        None => out.push_str(&underlined(&request.detail, offset)),
    }
    for (n, finding) in findings.iter().enumerate() {
        let _ = writeln!(
            out,
            "  {}  {}{}",
            paint.accent("warning"),
            visible(&finding.message),
            place(request, finding)
        );
        // The first one's place is marked in the statement above.
        if n > 0 && request.detail.contains('\n') {
            out.push_str(&indented(&marked_line(&request.detail, finding)));
        }
        if !finding.fix.is_empty() {
            let _ = writeln!(out, "           fix: {}", visible(&finding.fix));
        }
    }
    out.push('\n');
    out
}

/// Who must approve a request, as a paragraph.
pub fn needed(request: &RequestReply) -> String {
    needs(request).map_or_else(String::new, |needs| format!("  {needs}\n\n"))
}

/// What a migration request runs, as its files have it. `None` for JSON that holds anything else: nothing is left out.
fn migration_words(detail: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Plan {
        direction: String,
        max_count: Option<u64>,
        migrations: Vec<Migration>,
        #[serde(rename = "versions")]
        _versions: Vec<String>,
        #[serde(rename = "format")]
        _format: String,
        #[serde(rename = "dir_sha256")]
        _dir_sha256: String,
    }
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Migration {
        version: String,
        sql: String,
        transactional: bool,
    }
    let plan: Plan = serde_json::from_str(detail).ok()?;
    let mut out = match plan.max_count {
        Some(count) => format!("{}, at most {count}\n", plan.direction),
        None => format!("{}\n", plan.direction),
    };
    for migration in plan.migrations {
        let outside = match migration.transactional {
            true => "",
            false => ", outside a transaction",
        };
        let _ = writeln!(out, "-- {}{outside}", migration.version);
        let _ = writeln!(out, "{}", migration.sql.trim_end());
    }
    Some(out)
}

/// Where a finding is, if the statement has several lines or it is not the only one.
fn place(request: &RequestReply, finding: &FindingReply) -> String {
    let alone = findings(request).len() == 1 && !request.detail.contains('\n');
    match (alone, finding.line) {
        (true, _) | (_, 0) => String::new(),
        (false, line) => format!(" (line {line}, column {})", finding.column),
    }
}

/// The line of a finding, with its place under it.
fn marked_line(sql: &str, finding: &FindingReply) -> String {
    let Some(at) = finding.offset.filter(|at| sql.is_char_boundary(*at)) else {
        return String::new();
    };
    let start = sql[..at].rfind('\n').map_or(0, |n| n + 1);
    let end = sql[at..].find('\n').map_or(sql.len(), |n| at + n);
    underlined(&sql[start..end], Some(at - start))
}

fn findings(request: &RequestReply) -> &[FindingReply] {
    let review = request.context.as_ref().and_then(|c| c.sql_review.as_ref());
    review.map(|r| r.findings.as_slice()).unwrap_or_default()
}

fn steps(request: &RequestReply) -> &[StepReply] {
    let progress = request.approval_progress.as_ref();
    progress.map(|p| p.steps.as_slice()).unwrap_or_default()
}

/// `Needs 2 of group dba, then 1 of role release-manager.`
fn needs(request: &RequestReply) -> Option<String> {
    if request.status != "pending" {
        return None;
    }
    let step = |step: &StepReply| {
        let all = step
            .approvers_required
            .iter()
            .map(|r| format!("{} of {}", r.min, selector_words(&r.selector)));
        all.collect::<Vec<_>>()
            .join(if step.mode == "any" { " or " } else { " and " })
    };
    let steps: Vec<String> = steps(request).iter().map(step).collect();
    let needs = format!("Needs {}.", steps.join(", then "));
    let notified = match notified(request).join(", ") {
        all if all.is_empty() => all,
        all => format!(" Notifies {all}."),
    };
    (!steps.is_empty()).then(|| format!("{needs}{notified}"))
}

/// Where the notifications of a request go, each place once.
fn notified(request: &RequestReply) -> Vec<String> {
    let mut places = Vec::new();
    let mut people = BTreeSet::new();
    for one in &request.notifications {
        let place = match (one.channel.as_str(), &one.webhook_id, &one.recipient) {
            ("email", _, Some(person)) => {
                people.insert(person);
                continue;
            }
            ("slack", ..) => "Slack".to_owned(),
            (channel, Some(id), _) => format!("{} {}", visible(channel), visible(id)),
            (channel, ..) => visible(channel),
        };
        if !places.contains(&place) {
            places.push(place);
        }
    }
    if !people.is_empty() {
        places.push(format!("{} by e-mail", people.len()));
    }
    places
}

/// `request show`
pub fn run(session: &ServerSession, prefix: &str) -> Result<u8, CommandError> {
    let id = session.request_id(prefix)?;
    let document = session.client.fetch(&path_of(&["requests", &id]))?;
    if session.screen.is_json() {
        return session.done(&document, "", "");
    }
    let request: RequestReply = document.read()?;
    let me = session.me()?;
    let mut out = heading(session.screen.paint, &request);
    out.push_str(&needed(&request));
    for (label, text) in facts(session, &request) {
        let _ = writeln!(
            out,
            "  {}  {text}",
            session.screen.paint.dim(&format!("{label:<9}"))
        );
    }
    let mut lines = rehearsal::lines(&request);
    lines.extend(rehearsal::offer(&request));
    for (n, line) in lines.iter().enumerate() {
        let label = if n == 0 { "Rehearsal" } else { "" };
        let label = session.screen.paint.dim(&format!("{label:<9}"));
        let _ = writeln!(out, "  {label}  {line}");
    }
    out.push_str(&plans(&request));
    out.push_str(&approvals(session, &request));
    out.push_str(&notifications(session, &request));
    let (words, command) = next_step(&request, &me);
    let _ = writeln!(
        out,
        "\n  {}  {words}",
        session.screen.paint.accent(&format!("{:<9}", "Next"))
    );
    if let Some(command) = command {
        let _ = writeln!(out, "             {}", session.screen.paint.bold(&command));
    }
    session
        .screen
        .done(&document.text(), &out, &request.status)?;
    Ok(0)
}

fn facts(session: &ServerSession, request: &RequestReply) -> Vec<(&'static str, String)> {
    let ages = session.ages;
    let status = match request.is_outcome() || request.status == "approved" {
        true => status_words(&request.status).to_owned(),
        false => waiting_words(request),
    };
    let mut facts = vec![
        ("Id", visible(&request.id)),
        ("Status", status),
        (
            "By",
            format!(
                "{}, {}",
                visible(&request.requester),
                ages.full(&request.created_at)
            ),
        ),
    ];
    let mut add = |label, text: Option<String>| facts.extend(text.map(|text| (label, text)));
    add("Reason", request.reason.as_deref().map(visible));
    let metadata = request.metadata.as_ref();
    for (label, key) in [("Ticket", "ticket"), ("Repo", "repo")] {
        add(label, metadata.and_then(|m| m[key].as_str()).map(visible));
    }
    add("Risk", risk_words(request));
    let tables = request.context.as_ref().and_then(|c| c.tables.as_ref());
    add(
        "Tables",
        tables
            .filter(|t| !t.is_empty())
            .map(|t| visible(&t.join(", "))),
    );
    add(
        "Bound",
        request.max_affected_rows.map(|n| {
            format!(
                "at most {}: what would change more is rolled back",
                counted(n, "row")
            )
        }),
    );
    let expires = match request.status.as_str() {
        "pending" => request.expires_at.as_deref(),
        "approved" => request.approval_expires_at.as_deref(),
        _ => None,
    };
    add("Expires", expires.map(|at| ages.full(at)));
    add("Agent", request.claimed_by.as_deref().map(visible));
    add(
        "Ended",
        request.resolved_at.as_deref().map(|at| ages.full(at)),
    );
    let why = request
        .cancel_reason
        .as_deref()
        .map(|r| format!(": {}", visible(r)));
    let by = request.cancelled_by.as_deref().map(visible);
    add(
        "Cancelled",
        by.map(|by| format!("by {by}{}", why.unwrap_or_default())),
    );
    facts
}

fn risk_words(request: &RequestReply) -> Option<String> {
    let risk = request.context.as_ref()?.risk.as_ref()?;
    let factors: Vec<String> = risk.factors.iter().map(|f| factor_words(f)).collect();
    let words = format!("{}: {}", visible(&request.risk_level), factors.join(", "));
    (!factors.is_empty()).then_some(words)
}

/// What the database says of the plan.
fn plans(request: &RequestReply) -> String {
    let context = request.context.as_ref();
    let explained = context.and_then(|context| context.explain.as_deref());
    plan::printed(explained.unwrap_or_default())
}

/// Step by step, who approved and who can.
fn approvals(session: &ServerSession, request: &RequestReply) -> String {
    let mut out = String::new();
    let steps = steps(request);
    for (n, step) in steps.iter().enumerate() {
        let wanted: Vec<String> = step
            .approvers_required
            .iter()
            .map(|r| {
                let whom = approver_words(&r.selector, &r.people, r.others);
                format!("{} of {} {whom}", r.current, r.min)
            })
            .collect();
        let label = match (n, steps.len()) {
            (_, 1) => "Approval".to_owned(),
            (n, _) => format!("Step {}", n + 1),
        };
        let done = if step.satisfied { ", done" } else { "" };
        let words = wanted.join(if step.mode == "any" { " or " } else { ", " });
        let _ = writeln!(
            out,
            "  {}  {words}{done}",
            session.screen.paint.dim(&format!("{label:<9}"))
        );
        for vote in &step.approvals {
            let comment = vote.comment.as_deref().map(|c| format!(": {}", visible(c)));
            let _ = writeln!(
                out,
                "             {} by {}, {}{}",
                if vote.action == "reject" {
                    "rejected"
                } else {
                    "approved"
                },
                visible(&vote.user),
                session.ages.ago(&vote.at),
                comment.unwrap_or_default()
            );
        }
    }
    out
}

/// Notifications of a request that are shown; all of them are in `dbward webhook deliveries`.
const NOTIFICATIONS_SHOWN: usize = 8;

/// Who was notified, of what, and whether it arrived.
fn notifications(session: &ServerSession, request: &RequestReply) -> String {
    let mut out = String::new();
    let all = &request.notifications;
    for (n, notification) in all.iter().take(NOTIFICATIONS_SHOWN).enumerate() {
        let label = if n == 0 { "Notified" } else { "" };
        let _ = writeln!(
            out,
            "  {}  {}",
            session.screen.paint.dim(&format!("{label:<9}")),
            notification_words(session, notification)
        );
    }
    let left_out = all.len().saturating_sub(NOTIFICATIONS_SHOWN);
    if left_out > 0 {
        let _ = writeln!(out, "             and {left_out} more");
    }
    out
}

fn notification_words(session: &ServerSession, n: &NotificationReply) -> String {
    let whom = n.recipient.as_deref().or(n.webhook_id.as_deref());
    let whom = whom.map(|w| format!(" {}", visible(w))).unwrap_or_default();
    let ago = session.ages.ago(&n.updated_at);
    let why = n.last_error.as_deref().map(|e| format!(": {}", visible(e)));
    let why = why.unwrap_or_default();
    let outcome = match n.status.as_str() {
        "delivered" => format!("delivered {ago}"),
        "dead" => {
            format!(
                "not delivered after {}{why}",
                counted(n.attempts, "attempt")
            )
        }
        "cancelled" => "not delivered: it is not wanted any more".to_owned(),
        _ if n.attempts > 0 => {
            format!(
                "failed {}, is tried again{why}",
                counted(n.attempts, "time")
            )
        }
        _ => "not yet delivered".to_owned(),
    };
    format!(
        "{}{whom} of {}: {outcome}",
        visible(&n.channel),
        visible(&n.event_type)
    )
}

/// The next step for who asks, in words, and the command.
fn next_step(request: &RequestReply, me: &MeReply) -> (String, Option<String>) {
    let id = short_id(&request.id);
    let mine = request.requester == me.subject_id;
    let command = |text: &str| Some(format!("dbward request {text} {id}"));
    let whom = request
        .next_approvers
        .iter()
        .map(|s| selector_words(s))
        .collect::<Vec<_>>()
        .join(" or ");
    match request.status.as_str() {
        "pending" if request.may("approve") => (
            format!(
                "you can approve step {} as {whom}:",
                request.current_step + 1
            ),
            Some(format!("dbward request approve {id} --comment \"…\"")),
        ),
        "pending" if mine => (
            format!("{whom} can approve it; wait for it with:"),
            command("watch"),
        ),
        "pending" => (format!("{whom} can approve it"), None),
        "approved" | "auto_approved" | "break_glass" if request.may("resume") => (
            "send it to an agent, and get its result:".to_owned(),
            command("resume"),
        ),
        "approved" | "auto_approved" | "break_glass" => (
            format!("{} can send it to an agent", visible(&request.requester)),
            None,
        ),
        "dispatched" if request.queue_hint.as_deref() == Some("no_agents") => (
            "no agent serves this database; look at those there are:".to_owned(),
            Some("dbward agents".to_owned()),
        ),
        "dispatched" | "running" => ("wait for its result:".to_owned(), command("watch")),
        "executed" => ("get its result:".to_owned(), command("result")),
        "failed" => ("see why:".to_owned(), command("result")),
        "execution_lost" if request.may("resume") && !request.resume_needs_acknowledgement => {
            ("it only reads; run it again:".to_owned(), command("resume"))
        }
        "execution_lost" if request.may("resume") => (
            "look at the data first; if it did not take effect, run it again:".to_owned(),
            Some(format!(
                "dbward request resume {id} --acknowledge-unknown-outcome --reason \"…\""
            )),
        ),
        "execution_lost" => (
            format!(
                "{} decides whether it runs again",
                visible(&request.requester)
            ),
            None,
        ),
        _ => (
            "nothing more comes of it; a new request is made with:".to_owned(),
            Some("dbward execute".to_owned()),
        ),
    }
}
