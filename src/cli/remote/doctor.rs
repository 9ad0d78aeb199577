//! `doctor`: every part of the way from here to a result, tried one after the other.

use super::{CommandError, CommonOptions, ServerSession};
use crate::client::{ClientError, MeReply, path_of};
use serde_json::{Value, json};

/// What a part came to.
struct Check {
    name: &'static str,
    /// `None` where it could not be looked at.
    good: Option<bool>,
    words: String,
}

/// `doctor`. Returns 1 where something is wrong.
pub fn run(common: &CommonOptions) -> Result<u8, CommandError> {
    let session = ServerSession::open(common)?;
    let checks = all(&session);
    let bad = checks.iter().any(|c| c.good == Some(false));
    let list: Vec<Value> = checks
        .iter()
        .map(|c| json!({"name": c.name, "ok": c.good, "message": c.words}))
        .collect();
    let mut out = String::new();
    for check in &checks {
        let mark = match check.good {
            Some(true) => "ok  ",
            Some(false) => "BAD ",
            None => "skip",
        };
        out.push_str(&format!("  {mark}  {:<13}  {}\n", check.name, check.words));
    }
    let end = if bad {
        "Something is wrong."
    } else {
        "All is well."
    };
    out.push_str(end);
    session.screen.done(
        &json!({"ok": !bad, "checks": list}).to_string(),
        &out,
        if bad { "bad" } else { "ok" },
    )?;
    Ok(u8::from(bad))
}

fn all(session: &ServerSession) -> Vec<Check> {
    let settings = &session.settings;
    let files: Vec<String> = settings
        .files
        .iter()
        .map(|f| f.display().to_string())
        .collect();
    let check = |name, good, words: String| Check { name, good, words };
    let mut checks = vec![
        check(
            "configuration",
            Some(true),
            match files.is_empty() {
                true => "variables alone".to_owned(),
                false => files.join(", "),
            },
        ),
        check("token from", Some(true), settings.token_origin()),
    ];
    let fetch = |path: &str| session.client.fetch(path).and_then(|d| d.read::<Value>());
    let health = fetch("/health");
    let reached = health.is_ok();
    checks.push(from("server", health, |v| {
        format!(
            "{} runs dbward {}",
            settings.url,
            v["version"].as_str().unwrap_or("of an unknown version")
        )
    }));
    if !reached {
        return checks;
    }
    checks.push(from("ready", fetch("/ready"), |v| {
        v["status"].as_str().unwrap_or("ok").to_owned()
    }));
    checks.extend(rights(session));
    checks.push(agents(fetch(&path_of(&["agents"]))));
    checks
}

/// Who the caller is, and what they may use.
fn rights(session: &ServerSession) -> [Check; 2] {
    let me = session
        .client
        .fetch(&path_of(&["me"]))
        .and_then(|d| d.read::<MeReply>());
    let who = from("you", me, |me| {
        let roles: Vec<&str> = me.roles.iter().map(|r| r.name.as_str()).collect();
        let roles = if roles.is_empty() {
            "no role".to_owned()
        } else {
            roles.join(", ")
        };
        format!("{} with {roles}", me.subject_id)
    });
    let list = session
        .client
        .fetch(&path_of(&["databases"]))
        .and_then(|d| d.read::<Value>());
    let databases = from("databases", list, |v| {
        format!(
            "{} that you may use",
            v["databases"].as_array().map_or(0, Vec::len)
        )
    });
    [who, databases]
}

fn agents(agents: Result<Value, ClientError>) -> Check {
    let alive = agents.as_ref().map(|v| {
        let list = v["agents"].as_array().into_iter().flatten();
        list.filter(|a| a["status"] != "offline").count()
    });
    let none = Check {
        name: "agents",
        good: Some(false),
        words: "none is there: nothing can be executed".to_owned(),
    };
    match alive {
        Ok(0) => none,
        Ok(n) => from("agents", agents, |_| format!("{n} there")),
        Err(_) => from("agents", agents, |_| String::new()),
    }
}

/// What a call came to; who may not look skips that part.
fn from<T>(
    name: &'static str,
    result: Result<T, ClientError>,
    words: impl FnOnce(T) -> String,
) -> Check {
    let (good, words) = match result {
        Ok(value) => (Some(true), words(value)),
        Err(e) if e.status == Some(403) => (None, "you may not look at it".to_owned()),
        Err(e) => (Some(false), e.to_string()),
    };
    Check {
        name,
        good,
        words: super::super::output::visible(&words),
    }
}
