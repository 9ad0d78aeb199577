//! What a message for people shows, before it is written for one kind of receiver.

use super::NotificationFacts;
use crate::domain::sql::{escaped, escaped_exactly};
use std::borrow::Cow;

/// A message for people: what nobody would see in its texts is written out. They are not cut yet, nor fit for the
/// receiver's markup.
pub(super) struct Card<'f> {
    pub(super) title: String,
    /// Label and value, each of one line, the most important first.
    pub(super) lines: Vec<(&'static str, String)>,
    /// The statement, as notifications may show it.
    pub(super) detail: Option<Cow<'f, str>>,
    /// The stored statement is cut already.
    pub(super) detail_truncated: bool,
    pub(super) url: Option<&'f str>,
}

impl Card<'_> {
    /// Title and place in one line.
    pub(super) fn headline(&self) -> String {
        let place = self.lines.iter().find(|(label, _)| *label == "Database");
        match place {
            Some((_, place)) => format!("{}: {place}", self.title),
            None => self.title.clone(),
        }
    }
}

impl<'f> Card<'f> {
    pub(super) fn new(facts: &'f NotificationFacts) -> Card<'f> {
        let mut lines = Vec::new();
        let mut line = |label, value: Option<String>| {
            lines.extend(value.map(|v| (label, one_line(&escaped(&v)))));
        };
        let text = |name: &str| facts.text(name).map(str::to_owned);
        line("Requester", text("requester"));
        let place = text("database").zip(facts.text("environment"));
        line("Database", place.map(|(db, env)| format!("{db}/{env}")));
        let actor = text("actor").filter(|actor| facts.text("requester") != Some(actor));
        line("By", actor);
        line("Reason", text("reason"));
        line(
            "Comment",
            text("comment").filter(|c| facts.text("reason") != Some(c)),
        );
        line("Risk", text("risk_level"));
        let step = facts.number("step_number").zip(facts.number("total_steps"));
        line("Step", step.map(|(step, of)| format!("{step} of {of}")));
        line("Operation", text("operation"));
        line("Outcome", outcome(facts));
        line(
            "Rows affected",
            facts.number("rows_affected").map(|n| n.to_string()),
        );
        line("Request", text("request_id"));
        Card {
            title: title(facts),
            lines,
            detail: facts.text("detail").map(escaped_exactly),
            detail_truncated: facts.is_set("detail_truncated"),
            url: facts.text("url"),
        }
    }
}

/// A value without the ends of lines, so that none looks like further lines of ours.
fn one_line(text: &str) -> String {
    let ends = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.chars()
        .map(|c| if ends(c) { ' ' } else { c })
        .collect()
}

/// What an execution left in the database; none where nothing ran.
fn outcome(facts: &NotificationFacts) -> Option<String> {
    let words = match facts.text("outcome")? {
        "stopping" => "stopping: its agent has not reported yet",
        "rolled_back" => "rolled back: nothing took effect",
        "partial" => "partial: some of it took effect",
        "unknown" if facts.is_set("outcome_unproven") => {
            "unknown: its agent cannot prove that nothing took effect"
        }
        other => other,
    };
    Some(words.to_owned())
}

fn title(facts: &NotificationFacts) -> String {
    let event = facts.text("event").unwrap_or_default();
    let title = match event {
        "request.created" => "Approval needed",
        "request.auto_approved" => "Approved automatically",
        "request.break_glass" => "Emergency: runs without approval",
        "request.dispatched" => "Sent to the agents",
        "request.dispatch_timeout" => "No agent took it in time",
        "step.approved" => "Step approved, the next one needs approval",
        "request.approved" => "Approved",
        "request.rejected" => "Rejected",
        "request.cancelled" => "Cancelled",
        "request.expired" => "Expired",
        "request.corrupt" => "Differs from what was approved: it does not run",
        "execution.started" => "Execution started",
        "execution.completed" if facts.is_set("committed_after_cancel") => {
            "Committed although it had been cancelled"
        }
        "execution.completed" => "Executed",
        "execution.failed" => "Execution failed",
        "execution.lost" => "Execution lost: its outcome is unknown",
        "request.reminded" => "Still waiting for approval",
        "request.escalated" => "Waiting too long for approval",
        "audit.signed_checkpoint" => "Signed checkpoint of the audit log",
        "user.updated" => "A Slack account was linked to you",
        "webhook.tested" => "Test message",
        other => other,
    };
    title.to_owned()
}
