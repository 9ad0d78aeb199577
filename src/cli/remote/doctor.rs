//! `doctor`: every part of the way from here to a result, tried one after the other. For an agent, the way from its
//! databases to its server.

mod certificates;
mod copy;
mod files;
mod host;

use super::settings::ClientSettings;
use super::{CommandError, CommonOptions, ServerSession};
use crate::agent::RunningAgent;
use crate::agent::config::AgentConfig;
use crate::cli::output::{Screen, visible};
use crate::client::{Client, ClientError, MeReply, fetch_public, path_of};
use crate::error::counted;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub const EXAMPLES: &str = "Examples:\n  \
    dbward doctor\n  \
    dbward doctor --server https://dbward.example.com\n  \
    dbward doctor --agent agent.toml\n  \
    dbward doctor --server server.toml --backups /mnt/backup";

/// Targets whose approvers are looked for, below what one person may try in a minute.
const TARGETS_MAX: usize = 30;
/// A write that is only decided about, never sent.
const WRITE: &str = "UPDATE t SET a = 1 WHERE b = 2";

#[derive(Debug, clap::Args)]
pub struct DoctorOptions {
    /// Look at the way of the agent of this agent.toml instead: its token, its server, its databases
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    agent: Option<PathBuf>,
    /// The folder that holds backups, for the age of the newest; with --server server.toml
    #[arg(long, value_name = "DIR", requires = "server")]
    backups: Option<PathBuf>,
    #[command(flatten)]
    pub common: CommonOptions,
}

/// What a part came to.
struct Check {
    name: &'static str,
    /// `None` where it could not be looked at.
    good: Option<bool>,
    words: String,
}

fn check(name: &'static str, good: Option<bool>, words: impl AsRef<str>) -> Check {
    let words = visible(words.as_ref());
    Check { name, good, words }
}

/// `doctor`. Returns 1 where something is wrong.
pub fn run(options: &DoctorOptions) -> Result<u8, CommandError> {
    let common = &options.common;
    // On the machine of the server, its server.toml; the 0.1.6 command line does so too.
    let file = common.connection.server.as_deref().map(Path::new);
    if let Some(file) = &options.agent {
        return report(&Screen::new(&common.output, None), &of_agent(file));
    }
    if let Some(file) = file.filter(|path| path.is_file()) {
        return report(
            &Screen::new(&common.output, None),
            &host::of_host(file, options.backups.as_deref()),
        );
    }
    let settings = ClientSettings::load(&common.connection)?;
    let screen = Screen::new(&common.output, settings.results_format);
    let mut checks = of_settings(&settings);
    checks.extend(of_server(&settings.url));
    let reached = checks
        .iter()
        .all(|c| c.name != "server" || c.good.is_some_and(|good| good));
    match ServerSession::open(common) {
        Ok(session) if reached => {
            checks.extend(of_rights(&session));
            checks.push(of_agents(
                session
                    .client
                    .fetch(&path_of(&["agents"]))
                    .and_then(|d| d.read()),
            ));
            checks.push(of_approvers(&session.client));
            checks.extend(of_on_call(
                session
                    .client
                    .fetch(&path_of(&["groups"]))
                    .and_then(|d| d.read()),
            ));
        }
        Ok(_) => {}
        Err(e) => checks.push(check("token", Some(false), e.sentence())),
    }
    report(&screen, &checks)
}

fn report(screen: &Screen, checks: &[Check]) -> Result<u8, CommandError> {
    let bad = checks.iter().any(|c| c.good == Some(false));
    let list: Vec<Value> = checks
        .iter()
        .map(|c| json!({"name": c.name, "ok": c.good, "message": c.words}))
        .collect();
    let mut out = String::new();
    for check in checks {
        let mark = match check.good {
            Some(true) => "ok  ",
            Some(false) => "BAD ",
            None => "skip",
        };
        let words = check.words.replace('\n', "\n                       ");
        out.push_str(&format!("  {mark}  {:<13}  {words}\n", check.name));
    }
    let skipped = checks.iter().filter(|c| c.good.is_none()).count();
    out.push_str(&match (bad, skipped) {
        (true, _) => "Something is wrong.".to_owned(),
        (false, 0) => "All is well.".to_owned(),
        (false, 1) => "Nothing is wrong; one part was not looked at.".to_owned(),
        (false, n) => format!("Nothing is wrong; {n} parts were not looked at."),
    });
    screen.done(
        &json!({"ok": !bad, "checks": list}).to_string(),
        &out,
        if bad { "bad" } else { "ok" },
    )?;
    Ok(u8::from(bad))
}

fn of_settings(settings: &ClientSettings) -> Vec<Check> {
    let files: Vec<String> = settings
        .files
        .iter()
        .map(|f| f.display().to_string())
        .collect();
    let files = match files.is_empty() {
        true => "variables and options alone".to_owned(),
        false => files.join(", "),
    };
    vec![
        check("configuration", Some(true), files),
        check("token from", Some(true), settings.token_origin()),
    ]
}

/// What a server says to strangers.
fn of_server(url: &str) -> Vec<Check> {
    let health = fetch_public::<Value>(url, "/health", true);
    let reached = health.is_ok();
    let mut checks = vec![from("server", health, |v| {
        format!(
            "{url} runs dbward {}",
            v["version"].as_str().unwrap_or("of an unknown version")
        )
    })];
    if reached {
        checks.push(of_ready(url));
    }
    checks
}

fn of_ready(url: &str) -> Check {
    let ready = fetch_public(url, "/ready", true);
    from("ready", ready, |v: Value| {
        v["status"].as_str().unwrap_or("ok").to_owned()
    })
}

/// Whether somebody could approve a write, for each database that the caller may use.
fn of_approvers(client: &Client) -> Check {
    let list = client
        .fetch(&path_of(&["databases"]))
        .and_then(|d| d.read::<Value>());
    let list = match list {
        Ok(list) => list["databases"].as_array().cloned().unwrap_or_default(),
        Err(e) => return from("approvers", Err::<Value, _>(e), |_| String::new()),
    };
    let mut tally = WriteTally::default();
    for target in list.iter().take(TARGETS_MAX) {
        let body = json!({
            "database": target["database"], "environment": target["environment"], "sql": WRITE,
            "include_explain": false,
        });
        let tried = client.send(&path_of(&["preflight"]), &body.to_string());
        match tried.and_then(|d| d.read::<Value>()) {
            Ok(tried) => tally.take(&tried),
            // Servers before 0.3 do not say it.
            Err(e) if e.status == Some(404) => {
                return check("approvers", None, "the server does not tell");
            }
            Err(e) => return from("approvers", Err::<Value, _>(e), |_| String::new()),
        }
    }
    tally.check()
}

/// What comes of a write on each database.
#[derive(Default)]
struct WriteTally {
    /// Where it waits for approval, and where it runs without.
    waits: usize,
    runs: usize,
    /// Where nobody could approve it, and why.
    stuck: Vec<String>,
    /// Where no workflow takes it.
    untaken: Vec<String>,
    /// Whether somewhere the caller may not ask.
    is_hidden: bool,
}

impl WriteTally {
    fn take(&mut self, tried: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let place = format!(
            "{} / {}",
            text(&tried["database"]),
            text(&tried["environment"])
        );
        let refusal = &tried["refusal"];
        match (
            refusal["code"].as_str(),
            tried["policy"]["decision"].as_str(),
        ) {
            (Some("no_eligible_approver"), _) => self.stuck.push(format!(
                "{place}: {}; add people to the group or role in server.toml",
                text(&refusal["message"])
            )),
            (Some("no_matching_workflow"), _) => self.untaken.push(place),
            (Some("forbidden"), _) => self.is_hidden = true,
            (_, Some("needs_approval")) => self.waits += 1,
            (_, Some("auto_approved")) => self.runs += 1,
            _ => {}
        }
    }

    fn check(&self) -> Check {
        if !self.stuck.is_empty() {
            return check("approvers", Some(false), self.stuck.join("\n"));
        }
        let mut words = match (self.waits, self.runs) {
            (0, 0) if self.untaken.is_empty() && self.is_hidden => {
                return check("approvers", None, "known only to who may request writes");
            }
            (0, 0) if self.untaken.is_empty() => {
                return check(
                    "approvers",
                    None,
                    "there is no write that they could be asked for",
                );
            }
            (0, 0) => String::new(),
            (0, _) => "no write waits for approval".to_owned(),
            (_, 0) => "every write finds some".to_owned(),
            (..) => "every write that waits for approval finds some".to_owned(),
        };
        if !self.untaken.is_empty() {
            let join = if words.is_empty() { "" } else { "; " };
            words = format!(
                "{words}{join}no workflow takes a write on {}",
                self.untaken.join(", ")
            );
        }
        if self.is_hidden {
            words.push_str("; others are known only to who may request writes there");
        }
        let is_fine = self.untaken.is_empty() && !self.is_hidden;
        check("approvers", is_fine.then_some(true), words)
    }
}

/// Who the caller is, and what they may use.
fn of_rights(session: &ServerSession) -> [Check; 2] {
    let me = session
        .client
        .fetch(&path_of(&["me"]))
        .and_then(|d| d.read::<MeReply>());
    let who = from("you", me, |me| {
        let roles: Vec<&str> = me.roles.iter().map(|r| r.name.as_str()).collect();
        let roles = match roles.as_slice() {
            [] => "no role".to_owned(),
            [role] => format!("role {role}"),
            roles => format!("roles {}", roles.join(", ")),
        };
        format!("{}, {roles}", me.subject_id)
    });
    let list = session
        .client
        .fetch(&path_of(&["databases"]))
        .and_then(|d| d.read::<Value>());
    let databases = from("databases", list, |v| {
        let count = v["databases"].as_array().map_or(0, Vec::len);
        format!("{} that you may use", counted(count, "database"))
    });
    [who, databases]
}

fn of_agents(agents: Result<Value, ClientError>) -> Check {
    let alive = agents.as_ref().map(|v| {
        let list = v["agents"].as_array().into_iter().flatten();
        list.filter(|a| a["status"] != "offline").count()
    });
    match alive {
        Ok(0) => check(
            "agents",
            Some(false),
            "none is there: nothing can be executed; `dbward doctor --agent agent.toml` looks at one where it runs",
        ),
        Ok(n) => from("agents", agents, |_| {
            format!("{} there", counted(n, "agent"))
        }),
        Err(_) => from("agents", agents, |_| String::new()),
    }
}

/// Whether somebody is on call in every group whose members take turns; nothing where there is no such group, or the
/// caller may not see groups.
fn of_on_call(groups: Result<Value, ClientError>) -> Option<Check> {
    let groups = groups.ok()?;
    let list = groups["groups"].as_array()?.iter();
    let on_call: Vec<&Value> = list.filter(|g| g["on_call"].is_object()).collect();
    let nobody = |g: &&&Value| g["members"].as_array().is_none_or(Vec::is_empty);
    let empty: Vec<String> = on_call.iter().filter(nobody).map(|g| reason(g)).collect();
    match (on_call.len(), empty.is_empty()) {
        (0, _) => None,
        (1, true) => Some(check("on call", Some(true), "somebody is")),
        (n, true) => Some(check(
            "on call",
            Some(true),
            format!("somebody in each of {n} groups"),
        )),
        (_, false) => Some(check("on call", Some(false), empty.join("\n"))),
    }
}

/// Why nobody is on call in a group.
fn reason(group: &Value) -> String {
    let name = group["name"].as_str().unwrap_or_default();
    match group["on_call"]["failure"].as_str() {
        Some(why) => format!("nobody in {name}: its service does not say ({why})"),
        None => format!("nobody in {name}"),
    }
}

/// The way of an agent: its configuration, its server, its token, its databases.
fn of_agent(file: &Path) -> Vec<Check> {
    let config = match AgentConfig::load(file) {
        Ok(config) => config,
        Err(problems) => return vec![check("configuration", Some(false), problems.to_string())],
    };
    let mut checks = vec![
        check("configuration", Some(true), file.display().to_string()),
        files::of_agent_files(file, &config),
    ];
    checks.extend(certificates::of_agent_certificates(&config));
    let server = of_server(&config.server.url);
    let is_there = server.iter().all(|c| c.good == Some(true));
    checks.extend(server);
    if is_there {
        checks.push(of_agent_token(&config));
    }
    match RunningAgent::try_databases(&config) {
        Err(e) => checks.push(check("databases", Some(false), e.message())),
        Ok(outcomes) => checks.extend(config.databases.iter().zip(outcomes).map(
            |(database, outcome)| match outcome {
                Ok(()) => check(
                    "database",
                    Some(true),
                    format!("{} can be opened", database.target),
                ),
                Err(why) => check(
                    "database",
                    Some(false),
                    format!("{}: {why}", database.target),
                ),
            },
        )),
    }
    checks
}

/// Whether the server takes the agent's token, and signs with the key that the agent trusts.
fn of_agent_token(config: &AgentConfig) -> Check {
    let client = match Client::new(&config.server) {
        Ok(client) => client,
        Err(e) => return check("token", Some(false), e.message()),
    };
    let reply = match client.public_key() {
        Ok(reply) => reply,
        Err(e) if e.status == Some(403) => {
            let words = format!("it is not a token of an agent: {e}");
            return check("token", Some(false), words);
        }
        Err(e) => return check("token", Some(false), e.to_string()),
    };
    let is_other = |own: &String| reply.agent_id.as_ref().is_some_and(|id| id != own);
    if let Some(own) = config.id.as_ref().filter(|own| is_other(own)) {
        let words = format!("the token is of another agent than `{own}`, which agent.toml names");
        return check("token", Some(false), words);
    }
    if let Some(key) = config
        .public_key
        .filter(|key| crate::crypto::hex(key) != reply.public_key)
    {
        let words = format!(
            "the server signs with another key than {}",
            crate::crypto::hex(&key)
        );
        return check("signing key", Some(false), words);
    }
    check(
        "token",
        Some(true),
        format!("it is of agent {}", reply.agent_id.unwrap_or_default()),
    )
}

/// What a call came to; who may not look skips that part.
fn from<T>(
    name: &'static str,
    result: Result<T, ClientError>,
    words: impl FnOnce(T) -> String,
) -> Check {
    match result {
        Ok(value) => check(name, Some(true), words(value)),
        Err(e) if e.status == Some(403) => check(name, None, "you may not look at it"),
        Err(e) => check(name, Some(false), e.to_string()),
    }
}
