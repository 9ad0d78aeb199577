//! `audit`: the log as a list, its proof, and its export for another machine. One family of commands for a server, a
//! state file and an export.

use super::super::Failure;
use super::super::audit_offline::{OfflineProof, export_file, frozen_words, written};
use super::super::output::visible;
use super::listing::{Kind, Listing};
use super::{CommandError, CommonOptions, ConnectionOptions, ServerSession, with};
use crate::client::{Client, path_of, with_query};
use crate::error::counted;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;

/// Events or the proof of them. Without a subcommand, the options of the 0.1.6 command line.
#[derive(Debug, clap::Args)]
pub struct AuditOptions {
    #[command(subcommand)]
    verb: Option<AuditVerb>,
    #[command(flatten)]
    list: AuditListOptions,
    /// The same as `audit verify`
    #[arg(long)]
    verify: bool,
}

/// The commands under `audit`.
#[derive(Debug, clap::Subcommand)]
pub enum AuditVerb {
    /// List events, newest first
    #[command(before_help = "Examples:\n  \
        dbward audit list --request 69ee3b17\n  \
        dbward audit list --actor developer-1 --since 2026-01-02T00:00:00Z")]
    List(Box<AuditListOptions>),
    /// Prove the whole log: by the server, of a state file, or of an export; exits with 1 where it does not hold, with
    /// 3 where an export holds and is a part of the log
    #[command(before_help = "Examples:\n  \
        dbward audit verify\n  \
        dbward audit verify --db state/dbward.db --checkpoint /mnt/other/checkpoints.jsonl\n  \
        dbward audit verify --export audit.jsonl --public-key audit-keys.json")]
    Verify(Box<AuditVerifyOptions>),
    /// Write the log, oldest event first, so that another machine can prove it
    #[command(before_help = "Examples:\n  \
        dbward audit export --output audit.jsonl\n  \
        dbward audit export --since 120000 --output audit-2.jsonl\n  \
        dbward audit export --db state/dbward.db --since 2026-01-01T00:00:00Z")]
    Export(AuditExportOptions),
}

/// What is verified, and with what.
#[derive(Debug, clap::Args)]
pub struct AuditVerifyOptions {
    #[command(flatten)]
    pub offline: OfflineProof,
    #[command(flatten)]
    pub common: CommonOptions,
}

/// What is exported, and where to.
#[derive(Debug, clap::Args)]
pub struct AuditExportOptions {
    /// Only what comes after the event of this number, or from this time on
    #[arg(long, value_name = "NUMBER|TIME")]
    since: Option<String>,
    /// Read this state file instead of asking a server
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    db: Option<PathBuf>,
    /// Write into this file, which only its owner may read, once all of it is there
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    pub connection: ConnectionOptions,
}

/// Runs `audit`.
pub(super) fn audit(o: &AuditOptions) -> Result<u8, Failure> {
    match &o.verb {
        Some(AuditVerb::List(list)) => with(&list.common, |s| events(s, list)),
        Some(AuditVerb::Verify(options)) if options.offline.is_asked() => {
            let code = options.offline.run(&options.common.output)?;
            Ok(code)
        }
        Some(AuditVerb::Verify(options)) => with(&options.common, verify),
        Some(AuditVerb::Export(options)) => export(options).map_err(|e| e.failure(false)),
        None if o.verify => with(&o.list.common, verify),
        None => with(&o.list.common, |s| events(s, &o.list)),
    }
}

/// `audit verify`
fn verify(session: &ServerSession) -> Result<u8, CommandError> {
    let document = session.client.fetch(&path_of(&["audit", "verify"]))?;
    let read: Value = document.read()?;
    let valid = read["valid"] == json!(true);
    let sentence = match valid {
        true => format!(
            "The audit log holds: {}.{}",
            counted(read["total_events"].as_u64().unwrap_or(0), "event"),
            frozen_words(read["frozen_total"].as_i64().unwrap_or(0))
        ),
        false => format!(
            "The audit log does not hold: event {} is the first that is wrong, of {} read{}.",
            read["first_broken_id"]
                .as_str()
                .map_or_else(|| "unknown".to_owned(), visible),
            read["total_events"],
            // Servers before 0.3 do not say it.
            read["problem"]
                .as_str()
                .map_or_else(String::new, |problem| format!(": {}", visible(problem)))
        ),
    };
    session.done(
        &document,
        &sentence,
        if valid { "valid" } else { "invalid" },
    )?;
    Ok(u8::from(!valid))
}

/// Which events.
#[derive(Debug, Clone, clap::Args)]
pub struct AuditListOptions {
    /// Only of this actor
    #[arg(long, visible_alias = "user", value_name = "NAME")]
    actor: Option<String>,
    /// Only of this type, such as request.approved
    #[arg(long, visible_alias = "event-type", value_name = "TYPE")]
    event: Option<String>,
    /// Only of this category
    #[arg(long, visible_alias = "event-category", value_name = "NAME")]
    category: Option<String>,
    /// Only with this outcome
    #[arg(long, value_name = "NAME")]
    outcome: Option<String>,
    /// Only about this request
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// Only about this operation
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// Only what led to this status
    #[arg(long, value_name = "NAME")]
    status: Option<String>,
    /// Only about this database
    #[arg(long, short = 'd', value_name = "NAME")]
    database: Option<String>,
    /// Only about this environment
    #[arg(long, short = 'e', value_name = "NAME")]
    environment: Option<String>,
    /// Not before this time, such as 2026-01-02T03:04:05Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Not after this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    pub common: CommonOptions,
}

const EVENTS: Listing = Listing {
    key: "events",
    columns: &[
        ("WHEN", "created_at", Kind::Time),
        ("EVENT", "event_type", Kind::Text),
        ("WHO", "actor_id", Kind::Text),
        ("OUTCOME", "outcome", Kind::Text),
        ("REQUEST", "request_id", Kind::Id),
        ("WHERE", "database_name environment", Kind::Where),
        ("WHAT", "detail_raw", Kind::Long),
    ],
    empty: "No event matches.",
};

/// `audit list`
pub fn events(session: &ServerSession, o: &AuditListOptions) -> Result<u8, CommandError> {
    let request = match &o.request {
        Some(prefix) => Some(session.request_id(prefix)?),
        None => None,
    };
    let parameters = [
        ("actor_id", o.actor.clone()),
        ("event_type", o.event.clone()),
        ("event_category", o.category.clone()),
        ("outcome", o.outcome.clone()),
        ("request_id", request),
        ("operation", o.operation.clone()),
        ("status", o.status.clone()),
        ("database", o.database.clone()),
        ("environment", o.environment.clone()),
        ("since", o.since.clone()),
        ("until", o.until.clone()),
        ("limit", Some(o.limit.to_string())),
    ];
    EVENTS.print(
        session,
        &with_query(&path_of(&["audit", "events"]), &parameters),
    )
}

/// `audit export`
fn export(o: &AuditExportOptions) -> Result<u8, CommandError> {
    let since = o.since.as_deref();
    match &o.db {
        Some(db) => written(o.output.as_deref(), |out| export_file(db, since, out))?,
        None => {
            let session = ServerSession::open(&CommonOptions {
                connection: o.connection.clone(),
                ..CommonOptions::default()
            })?;
            written(o.output.as_deref(), |out| {
                export_pages(&session.client, since, out)
            })?;
        }
    }
    Ok(0)
}

/// Reads an export page by page; what is written is one export, whatever its pages were.
fn export_pages(
    client: &Client,
    since: Option<&str>,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let mut since = since.map(str::to_owned);
    let mut first = true;
    loop {
        let path = path_of(&["audit", "export"]);
        let page = client
            .fetch(&with_query(&path, &[("since", since.take())]))?
            .text();
        let (start, events) = page.split_once('\n').unwrap_or((&page, ""));
        let last = events.lines().next_back().unwrap_or_default();
        // Where each later page begins is where the one before ended, and every event says so.
        let written = match first {
            true => write!(out, "{start}\n{events}"),
            false => out.write_all(events.as_bytes()),
        };
        written.map_err(|e| CommandError::new(e.to_string()))?;
        if last.starts_with("{\"head\":") {
            return Ok(());
        }
        let seq = serde_json::from_str::<Value>(last)
            .ok()
            .and_then(|event| event["seq"].as_i64());
        let Some(seq) = seq else {
            return Err(CommandError::new(
                "the server sent a page of an export that has no end",
            ));
        };
        since = Some(seq.to_string());
        first = false;
    }
}
