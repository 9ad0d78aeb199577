//! `request`: listing, deciding, resuming, following.

use super::super::Failure;
use super::super::output::{
    decision_words, factor_words, operation_words, reason_words, short_id, status_words, visible,
};
use super::execute::WaitOptions;
use super::follow::{FollowOptions, Follower};
use super::listing::{Kind, Listing};
use super::result::{self, ResultOptions, ResultsOptions};
use super::{CommandError, CommonOptions, ServerSession, question, rehearse, show, with};
use crate::client::{MovedReply, RequestReply, path_of, with_query};
use crate::error::counted;
use serde_json::{Value, json};
use std::io::{self, IsTerminal};

/// The commands under `request`.
#[derive(Debug, clap::Subcommand)]
pub enum RequestVerb {
    /// List requests, newest first
    #[command(before_help = "Examples:\n  \
        dbward request list --mine-to-approve\n  \
        dbward request list --status pending -d app --format csv")]
    List(ListOptions),
    /// Show a request, and what to do next
    #[command(
        before_help = "Examples:\n  dbward request show 69ee3b17\n  dbward request show 69ee --format json"
    )]
    Show(OneRequest),
    /// Show why a request was decided as it was
    #[command(before_help = "Examples:\n  dbward request why 69ee3b17")]
    Why(OneRequest),
    /// Approve the current step
    #[command(
        before_help = "Examples:\n  dbward request approve 69ee3b17 --comment \"checked the rows\""
    )]
    Approve(ApproveOptions),
    /// Reject a request
    #[command(
        before_help = "Examples:\n  dbward request reject 69ee3b17 --reason \"no WHERE on the tenant\""
    )]
    Reject(RejectOptions),
    /// Cancel a request of your own
    #[command(
        before_help = "Examples:\n  dbward request cancel 69ee3b17 --reason \"not needed any more\""
    )]
    Cancel(CancelOptions),
    /// Have an agent try a write that waits for approval, and take it back
    #[command(before_help = "Examples:\n  dbward request rehearse 69ee3b17")]
    Rehearse(RehearseOptions),
    /// Send an approved request to an agent, and wait for its result
    #[command(before_help = "Examples:\n  \
        dbward request resume 69ee3b17\n  \
        dbward request resume 69ee3b17 --acknowledge-unknown-outcome --reason \"no row was changed\"")]
    Resume(ResumeOptions),
    /// Print the stored result of a request
    #[command(before_help = "Examples:\n  \
        dbward request result 69ee3b17 --format csv -o rows.csv\n  \
        dbward request result 69ee3b17 --list")]
    Result(ResultOptions),
    /// Wait for a request, and print its result
    #[command(before_help = "Examples:\n  dbward request watch 69ee3b17 --timeout 1h --fail")]
    Watch(WatchOptions),
    /// List stored results, as `dbward results`
    #[command(hide = true, before_help = "Examples:\n  dbward request results")]
    Results(ResultsOptions),
}

/// Which requests.
#[derive(Debug, clap::Args)]
pub struct ListOptions {
    /// Only those that wait for your approval
    #[arg(long, visible_alias = "pending-for-me")]
    mine_to_approve: bool,
    /// Only with this status
    #[arg(long)]
    status: Option<String>,
    /// Only of this database
    #[arg(long, short = 'd', value_name = "NAME")]
    database: Option<String>,
    /// Only of this environment
    #[arg(long, short = 'e', value_name = "NAME")]
    environment: Option<String>,
    /// Only of this requester
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    common: CommonOptions,
}

/// One request.
#[derive(Debug, clap::Args)]
pub struct OneRequest {
    /// Its id, the beginning of it, or `latest` for the newest
    #[arg(value_name = "REQUEST")]
    id: String,
    #[command(flatten)]
    common: CommonOptions,
}

#[derive(Debug, clap::Args)]
pub struct ApproveOptions {
    /// What others read with your vote
    #[arg(long, short = 'c', value_name = "TEXT")]
    comment: Option<String>,
    /// Approve as this one of the step's approvers, such as group:dba
    #[arg(long, value_name = "SELECTOR")]
    selector: Option<String>,
    #[command(flatten)]
    request: OneRequest,
}

#[derive(Debug, clap::Args)]
pub struct RejectOptions {
    /// Why
    #[arg(long, short = 'r', visible_alias = "comment", value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    request: OneRequest,
}

#[derive(Debug, clap::Args)]
pub struct CancelOptions {
    /// Why
    #[arg(long, short = 'r', value_name = "TEXT")]
    reason: Option<String>,
    /// Do not ask before cancelling what runs
    #[arg(long, short = 'y')]
    yes: bool,
    #[command(flatten)]
    request: OneRequest,
}

#[derive(Debug, clap::Args)]
pub struct RehearseOptions {
    /// Do not wait for what comes of it
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    request: OneRequest,
}

#[derive(Debug, clap::Args)]
pub struct ResumeOptions {
    /// Run a lost execution again, having looked at what it did
    #[arg(long, requires = "reason")]
    acknowledge_unknown_outcome: bool,
    /// What was found
    #[arg(long, short = 'r', value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    wait: WaitOptions,
    #[command(flatten)]
    request: OneRequest,
}

#[derive(Debug, clap::Args)]
pub struct WatchOptions {
    #[command(flatten)]
    wait: WaitOptions,
    #[command(flatten)]
    request: OneRequest,
}

/// Runs a command under `request`.
pub(super) fn run(verb: RequestVerb) -> Result<u8, Failure> {
    match verb {
        RequestVerb::List(o) => with(&o.common, |s| list(s, &o)),
        RequestVerb::Show(o) => with(&o.common, |s| show::run(s, &o.id)),
        RequestVerb::Why(o) => with(&o.common, |s| why(s, &o.id)),
        RequestVerb::Approve(o) => with(&o.request.common, |s| approve(s, &o)),
        RequestVerb::Reject(o) => with(&o.request.common, |s| reject(s, &o)),
        RequestVerb::Cancel(o) => with(&o.request.common, |s| cancel(s, &o)),
        RequestVerb::Rehearse(o) => with(&o.request.common, |s| {
            rehearse::run(s, &o.request.id, o.no_wait)
        }),
        RequestVerb::Resume(o) => with(&o.request.common, |s| resume(s, &o)),
        RequestVerb::Result(o) => with(&o.common, |s| result::show(s, &o)),
        RequestVerb::Watch(o) => with(&o.request.common, |s| watch(s, &o)),
        RequestVerb::Results(o) => with(&o.common, |s| result::list(s, &o)),
    }
}

const INBOX: Listing = Listing {
    key: "requests",
    columns: &[
        ("ID", "id", Kind::Id),
        ("WAITS", "created_at", Kind::Age),
        ("WHERE", "database environment", Kind::Where),
        ("WHO", "requester", Kind::Text),
        ("WHAT", "detail", Kind::Long),
        ("ROWS", "max_affected_rows", Kind::RareNumber),
        ("RISK", "risk_level", Kind::Text),
    ],
    empty: "Nothing waits for you.",
};

const REQUESTS: Listing = Listing {
    key: "requests",
    columns: &[
        ("ID", "id", Kind::Id),
        ("STATUS", "status", Kind::Text),
        ("MADE", "created_at", Kind::Time),
        ("WHERE", "database environment", Kind::Where),
        ("WHO", "requester", Kind::Text),
        ("WHAT", "detail", Kind::Long),
        ("RISK", "risk_level", Kind::Text),
    ],
    empty: "No requests that you may see.",
};

fn list(session: &ServerSession, o: &ListOptions) -> Result<u8, CommandError> {
    let parameters = [
        ("limit", Some(o.limit.to_string())),
        ("status", o.status.clone()),
        ("database", o.database.clone()),
        ("environment", o.environment.clone()),
        ("user", o.user.clone()),
        (
            "pending_for_me",
            o.mine_to_approve.then(|| "true".to_owned()),
        ),
    ];
    let path = with_query(&path_of(&["requests"]), &parameters);
    let listing = if o.mine_to_approve { INBOX } else { REQUESTS };
    listing.print_with(session, &path, |items| {
        let first = items
            .first()
            .and_then(|item| item["id"].as_str())
            .unwrap_or_default();
        Some(format!(
            "{}. Show one: dbward request show {}",
            counted(items.len(), "request"),
            first.get(..4).unwrap_or_default()
        ))
    })
}

/// `{"name": value}` with what is set, as a body.
fn body(fields: &[(&str, Option<&str>)]) -> String {
    let set = fields
        .iter()
        .filter_map(|(name, value)| Some(((*name).to_owned(), json!((*value)?))));
    Value::Object(set.collect()).to_string()
}

fn approve(session: &ServerSession, o: &ApproveOptions) -> Result<u8, CommandError> {
    let id = session.voted_id(&o.request.id)?;
    let body = body(&[
        ("comment", o.comment.as_deref()),
        ("selector", o.selector.as_deref()),
    ]);
    let document = session
        .client
        .send(&path_of(&["requests", &id, "approve"]), &body)?;
    let moved: MovedReply = document.read()?;
    let short = short_id(&id);
    let as_whom = moved
        .matched_selector
        .as_deref()
        .map(|s| format!(" as {}", super::super::output::selector_words(s)));
    let sentence = match (
        moved.status.as_str(),
        moved.step_completed < moved.total_steps,
    ) {
        ("pending", true) => format!(
            "Approved{}. {short} still waits for approval: {} of {} done.",
            as_whom.unwrap_or_default(),
            moved.step_completed,
            counted(moved.total_steps, "step")
        ),
        (status, _) => format!(
            "Approved{}. {short} is {}.",
            as_whom.unwrap_or_default(),
            status_words(status)
        ),
    };
    session.done(&document, &sentence, "")
}

fn reject(session: &ServerSession, o: &RejectOptions) -> Result<u8, CommandError> {
    let id = session.voted_id(&o.request.id)?;
    let body = body(&[("comment", o.reason.as_deref())]);
    let document = session
        .client
        .send(&path_of(&["requests", &id, "reject"]), &body)?;
    session.done(
        &document,
        &format!("Rejected. {} is over.", short_id(&id)),
        "",
    )
}

fn cancel(session: &ServerSession, o: &CancelOptions) -> Result<u8, CommandError> {
    let id = session.request_id(&o.request.id)?;
    let request: RequestReply = session.client.fetch(&path_of(&["requests", &id]))?.read()?;
    let asks = io::stdin().is_terminal() && !session.screen.is_json() && !o.yes;
    if request.status == "running" && asks {
        let cancel = format!(
            "It runs, and may have changed rows. Cancel {}?",
            short_id(&id)
        );
        if !question::agrees(&cancel)? {
            return Err(CommandError::new("nothing was cancelled"));
        }
    }
    let body = body(&[("reason", o.reason.as_deref())]);
    let document = session
        .client
        .send(&path_of(&["requests", &id, "cancel"]), &body)?;
    session.done(&document, &format!("Cancelled {}.", short_id(&id)), "")
}

fn resume(session: &ServerSession, o: &ResumeOptions) -> Result<u8, CommandError> {
    let id = session.request_id(&o.request.id)?;
    let body = match o.acknowledge_unknown_outcome {
        true => json!({"acknowledge_unknown_outcome": true, "reason": o.reason}).to_string(),
        false => body(&[("reason", o.reason.as_deref())]),
    };
    let follower = Follower::new(session, o.wait.follow(false))?;
    let document = session
        .client
        .send(&path_of(&["requests", &id, "resume"]), &body)?;
    if o.wait.no_wait {
        return session.done(
            &document,
            &format!("Sent {} to the agents.", short_id(&id)),
            &id,
        );
    }
    follower.follow(session.client.fetch(&path_of(&["requests", &id]))?.read()?)
}

fn watch(session: &ServerSession, o: &WatchOptions) -> Result<u8, CommandError> {
    let id = session.request_id(&o.request.id)?;
    let request: RequestReply = session.client.fetch(&path_of(&["requests", &id]))?.read()?;
    let mine = session.me()?.subject_id == request.requester;
    // Asked to wait: then it waits, wherever it is printed.
    let options = FollowOptions {
        approval: !o.wait.no_wait,
        ..o.wait.follow(mine)
    };
    Follower::new(session, options)?.follow(request)
}

fn why(session: &ServerSession, prefix: &str) -> Result<u8, CommandError> {
    let id = session.request_id(prefix)?;
    let document = session.client.fetch(&path_of(&["requests", &id]))?;
    let request: RequestReply = document.read()?;
    let trace = &request.decision_trace;
    let text = |value: &Value| match value {
        Value::String(text) => visible(text),
        Value::Null => "none".to_owned(),
        other => visible(&other.to_string()),
    };
    let listed = |value: &Value, words: fn(&str) -> String| {
        let items = value.as_array().into_iter().flatten();
        let words: Vec<String> = items.filter_map(Value::as_str).map(words).collect();
        words.join(", ")
    };
    let (class, risk, decision) = (&trace["classification"], &trace["risk"], &trace["decision"]);
    let workflow = &trace["workflow"]["matched"];
    let rows = [
        (
            "It is",
            format!(
                "{}: {}",
                operation_words(class["resolved_operation"].as_str().unwrap_or_default()),
                text(&class["reason"])
            ),
        ),
        (
            "Review",
            match trace["sql_review"]["findings_count"].as_u64().unwrap_or(0) {
                0 => "no findings".to_owned(),
                n => counted(n, "finding"),
            },
        ),
        (
            "Risk",
            match listed(&risk["factors"], factor_words) {
                factors if factors.is_empty() => text(&risk["level"]),
                factors => format!("{}: {factors}", text(&risk["level"])),
            },
        ),
        (
            "Workflow",
            match workflow.is_null() {
                true => "none matches".to_owned(),
                false => format!(
                    "{} with {}",
                    text(&workflow["id"]),
                    counted(workflow["step_count"].as_u64().unwrap_or(0), "step")
                ),
            },
        ),
        (
            "Decision",
            format!(
                "{}: {}",
                decision_words(decision["outcome"].as_str().unwrap_or_default()),
                listed(&decision["reasons"], reason_words)
            ),
        ),
    ];
    let lines = rows.iter().map(|(label, words)| {
        format!(
            "  {}  {words}\n",
            session.screen.paint.dim(&format!("{label:<8}"))
        )
    });
    let sentence: String = lines.collect();
    session.done(&document, &sentence, &text(&decision["outcome"]))
}
