//! `execute`: sends SQL, and waits for what comes of it.

use super::follow::{CallEnd, FollowOptions, Follower, PENDING};
use super::rehearsal::rehearsed;
use super::show::{heading, needed};
use super::target::TargetOptions;
use super::{CommandError, CommonOptions, ServerSession, question};
use crate::cli::output::{Paint, note, short_id, to_errors};
use crate::client::{CreatedReply, NewRequestBody, RequestReply, path_of};
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;
use std::time::Duration;

pub const EXAMPLES: &str = "Examples:\n  \
    dbward execute \"SELECT count(*) FROM orders\" -d app\n  \
    dbward execute \"UPDATE orders SET status = 'refunded' WHERE id = 8812\" -d app -e production --reason \"ticket 4471\"\n  \
    dbward execute \"DELETE FROM carts WHERE idle > 90\" -d app -e production --rehearse\n  \
    dbward execute --file fix.sql -d app -e production --wait --timeout 30m --fail\n  \
    dbward execute \"SELECT 1\" --format csv --output one.csv";

/// Longest statement that is read, in bytes; the server takes less.
const SQL_BYTES_MAX: u64 = 1 << 20;

/// What to run, and how.
#[derive(Debug, clap::Args)]
pub struct ExecuteOptions {
    /// The SQL; `-`, or none where it is piped in, reads standard input
    #[arg(value_name = "SQL", conflicts_with = "file")]
    sql: Option<String>,
    /// Read the SQL from this file
    #[arg(long, short = 'f', value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    about: AboutOptions,
    /// Have an agent try it and take it back before anybody approves: the rows are shown, and no more may change later
    #[arg(long, help_heading = "Request")]
    rehearse: bool,
    #[command(flatten)]
    wait: WaitOptions,
    #[command(flatten)]
    pub common: CommonOptions,
}

/// What goes with the SQL.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Request")]
pub struct AboutOptions {
    /// Why, for those who approve and for the audit log
    #[arg(long, short = 'r', value_name = "TEXT")]
    pub reason: Option<String>,
    /// A ticket that it belongs to
    #[arg(long, value_name = "ID")]
    pub ticket: Option<String>,
    /// A repository that it belongs to
    #[arg(long, value_name = "NAME")]
    pub repo: Option<String>,
    /// Past all approvals, for those who may; audited and reported
    #[arg(long, requires = "reason")]
    pub emergency: bool,
    /// In an emergency, let some DDL through
    #[arg(long, requires = "emergency")]
    pub allow_ddl: bool,
    /// Who else may see the result: user:NAME, group:NAME or role:NAME
    #[arg(long, value_name = "SELECTOR")]
    pub share_with: Vec<String>,
    /// Repeating the command with the same key makes no second request
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Do not keep the result on the server
    #[arg(long)]
    pub no_result_store: bool,
    /// Refuse to commit when more rows than this would change
    #[arg(long, value_name = "N")]
    pub max_rows_affected: Option<u64>,
    /// Whether an agent is to try it before anybody approves.
    #[arg(skip)]
    pub rehearse: bool,
    /// Do not ask before an emergency
    #[arg(long, short = 'y')]
    pub yes: bool,
}

/// How long to wait.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Waiting")]
pub struct WaitOptions {
    /// Wait for approval [default on a terminal]
    #[arg(long, overrides_with = "no_wait")]
    pub wait: bool,
    /// Print the id, and exit with 2, where approval is needed [default where standard output is not a terminal]
    #[arg(long)]
    pub no_wait: bool,
    /// Stop waiting after so long, such as 90, 90s, 30m or 2h, and exit with 124
    #[arg(long, value_name = "TIME", value_parser = length_of_time)]
    pub timeout: Option<Duration>,
    /// Exit with 3 where the execution fails
    #[arg(long)]
    pub fail: bool,
}

impl WaitOptions {
    pub fn follow(&self, resume: bool) -> FollowOptions {
        // A script that reads standard output wants the id, although its errors are on a terminal.
        let is_watched = io::stdout().is_terminal() && io::stderr().is_terminal();
        let wanted = self.wait || self.timeout.is_some() || is_watched;
        FollowOptions {
            approval: wanted && !self.no_wait,
            timeout: self.timeout,
            fail: self.fail,
            resume,
        }
    }
}

/// `execute`
pub fn run(session: &ServerSession, options: &ExecuteOptions) -> Result<u8, CommandError> {
    let sql = read_sql(options)?;
    let about = AboutOptions {
        rehearse: options.rehearse,
        ..options.about.clone()
    };
    submit(
        session,
        &options.target,
        &about,
        &options.wait,
        "execute_query",
        sql,
    )
}

/// Makes a request and follows it.
pub fn submit(
    session: &ServerSession,
    target: &TargetOptions,
    about: &AboutOptions,
    wait: &WaitOptions,
    operation: &'static str,
    detail: String,
) -> Result<u8, CommandError> {
    let (database, environment) = target.resolve(&session.settings)?;
    if about.emergency && !about.yes && !confirmed(&database, &environment)? {
        return Err(CommandError::new("nothing was sent"));
    }
    ensure_known(session, about)?;
    let body = request_body(about, operation, (database, environment), detail);
    let text = serde_json::to_string(&body).map_err(|e| CommandError::new(e.to_string()))?;
    let mut follower = Follower::new(session, wait.follow(true))?;
    let document = follower
        .sent(path_of(&["requests"]), text)
        .map_err(|e| CommandError::from(e).in_statement(&body.detail))?;
    let created: CreatedReply = document.read()?;
    let unseen = RequestReply {
        id: created.id.clone(),
        status: created.status.clone(),
        ..RequestReply::default()
    };
    let path = path_of(&["requests", &created.id]);
    let request = match follower.unless_interrupted(move |client| client.fetch(&path)) {
        Ok(document) => document.read()?,
        Err(CallEnd::Interrupted) => return follower.interrupted(&unseen),
        // Somebody who may make requests and not look at them still learns what came of it.
        Err(CallEnd::Failed(e)) if e.status == Some(403) => unseen,
        Err(CallEnd::Failed(e)) => {
            let made = format!(
                "request {} is made; continue with: dbward request watch {}",
                created.id,
                short_id(&created.id)
            );
            return Err(CommandError::from(e).hint(made));
        }
    };
    let paint = Paint::new(io::stderr().is_terminal());
    to_errors(format_args!("{}", heading(paint, &request)));
    let request = match about.rehearse && !wait.no_wait {
        true => match follower.rehearsed(request) {
            Ok(request) => request,
            Err(end) => return end.ended(),
        },
        false => request,
    };
    let (rehearsed, needed) = (rehearsed(&request), needed(&request));
    to_errors(format_args!("{rehearsed}{needed}"));
    if created.status == "pending" && !wait.follow(true).approval {
        note!(
            "Continue with:  dbward request watch {}",
            short_id(&created.id)
        );
        session
            .screen
            .done(&document.text(), &created.id, &created.id)?;
        return Ok(PENDING);
    }
    follower.follow(request)
}

/// The body that makes a request on a target, which is a database and an environment.
fn request_body(
    about: &AboutOptions,
    operation: &'static str,
    (database, environment): (String, String),
    detail: String,
) -> NewRequestBody {
    let metadata = [("ticket", &about.ticket), ("repo", &about.repo)];
    let metadata: serde_json::Map<String, Value> = metadata
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?))))
        .collect();
    NewRequestBody {
        operation,
        database,
        environment,
        detail,
        reason: about.reason.clone(),
        idempotency_key: about.idempotency_key.clone(),
        emergency: about.emergency,
        allow_ddl: about.allow_ddl,
        no_result_store: about.no_result_store,
        share_with: about.share_with.clone(),
        metadata: (!metadata.is_empty()).then(|| metadata.into()),
        max_affected_rows: about.max_rows_affected,
        rehearse: about.rehearse,
    }
}

/// Fails where the server would take a wish that it does not know, and leave it out.
fn ensure_known(session: &ServerSession, about: &AboutOptions) -> Result<(), CommandError> {
    if about.max_rows_affected.is_none() && !about.rehearse {
        return Ok(());
    }
    let document: Value = session.client.fetch(&path_of(&["openapi.json"]))?.read()?;
    let known = &document["components"]["schemas"]["CreateRequest"]["properties"];
    if about.max_rows_affected.is_some() && known["max_affected_rows"].is_null() {
        let message = "this server cannot bound the rows that a statement changes";
        return Err(CommandError::new(message)
            .hint("without --max-rows-affected the statement runs unbounded"));
    }
    if about.rehearse && known["rehearse"].is_null() {
        let message = "this server cannot rehearse a statement";
        return Err(CommandError::new(message)
            .hint("without --rehearse nobody knows the rows before it runs"));
    }
    Ok(())
}

/// Asks on a terminal; a script is taken to mean it.
fn confirmed(database: &str, environment: &str) -> Result<bool, CommandError> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(true);
    }
    question::agrees(&format!(
        "Run on {database} / {environment} without approval? It is audited and reported."
    ))
}

fn read_sql(options: &ExecuteOptions) -> Result<String, CommandError> {
    let sql = match (&options.sql, &options.file) {
        (Some(sql), _) if sql != "-" => sql.clone(),
        (_, Some(file)) if file.as_os_str() != "-" => read_text(file)?,
        (None, None) if io::stdin().is_terminal() => {
            return Err(CommandError::new("there is no SQL to run")
                .hint("dbward execute \"SELECT 1\" -d NAME, or --file FILE, or pipe it in"));
        }
        _ => standard_input()?,
    };
    match sql.trim().is_empty() {
        true => Err(CommandError::new("the SQL is empty")),
        false => Ok(sql),
    }
}

/// SQL that is piped in.
pub fn standard_input() -> Result<String, CommandError> {
    let mut text = String::new();
    let mut input = io::stdin().lock().take(SQL_BYTES_MAX);
    input
        .read_to_string(&mut text)
        .map_err(|e| CommandError::new(format!("standard input: {e}")))?;
    Ok(text)
}

/// A file of SQL.
pub fn read_text(file: &std::path::Path) -> Result<String, CommandError> {
    std::fs::read_to_string(file).map_err(|e| CommandError::new(format!("{}: {e}", file.display())))
}

/// Reads `90`, `90s`, `30m` or `2h`.
pub fn length_of_time(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let secs = match unit {
        "s" => Some(1),
        "m" | "min" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    let total = secs
        .zip(number.parse::<u64>().ok())
        .and_then(|(unit, n)| n.checked_mul(unit));
    total
        .map(Duration::from_secs)
        .ok_or_else(|| "write it like 90, 90s, 30m or 2h".to_owned())
}
