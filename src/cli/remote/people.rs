//! `token` and `user`: who may come to the server, and with what.

use super::super::Failure;
use super::super::output::visible;
use super::listing::{Kind, Listing};
use super::{CommandError, CommonOptions, ServerSession, with};
use crate::cli::output::note;
use crate::client::{path_of, with_query};
use crate::clock::{Clock, Timestamp};
use crate::error::counted;
use serde_json::{Value, json};

/// The commands under `token`.
#[derive(Debug, clap::Subcommand)]
pub enum TokenVerb {
    /// Issue a token; it is printed once and never again
    #[command(before_help = "Examples:\n  \
        dbward token create --subject ci --roles readonly --expires 90d\n  \
        dbward token create --subject agent-eu-1 --agent --bound-to app/production --format quiet")]
    Create(TokenCreateOptions),
    /// List tokens
    #[command(before_help = "Examples:\n  dbward token list\n  dbward token list --subject ci")]
    List(TokenListOptions),
    /// Revoke a token at once
    #[command(
        before_help = "Examples:\n  dbward token revoke 0192a4c1\n  dbward token revoke 0192a4c1-0000-4000-8000-000000000000"
    )]
    Revoke(OneToken),
}

#[derive(Debug, clap::Args)]
pub struct TokenCreateOptions {
    /// Whose token it is
    #[arg(long, value_name = "NAME", visible_aliases = ["subject-id", "user"])]
    subject: String,
    /// The token of an agent
    #[arg(long)]
    agent: bool,
    /// What it is called in lists
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Its roles, with commas; none: those its subject holds at each call
    #[arg(
        long,
        visible_alias = "role",
        value_delimiter = ',',
        value_name = "ROLES"
    )]
    roles: Vec<String>,
    /// Its groups, with commas
    #[arg(
        long,
        visible_alias = "group",
        value_delimiter = ',',
        value_name = "GROUPS"
    )]
    groups: Vec<String>,
    /// When it expires: a time such as 2026-12-31T00:00:00Z, or 12h or 90d from now
    #[arg(long, visible_alias = "expires-at", value_name = "TIME", value_parser = expiry)]
    expires: Option<String>,
    /// Databases that an agent's token is for, as DATABASE/ENVIRONMENT
    #[arg(long, value_name = "TARGET", requires = "agent", value_parser = pair)]
    bound_to: Vec<(String, String)>,
    #[command(flatten)]
    common: CommonOptions,
}

#[derive(Debug, clap::Args)]
pub struct TokenListOptions {
    /// Only tokens of this subject
    #[arg(long, value_name = "NAME", visible_alias = "user")]
    subject: Option<String>,
    /// Revoked and expired ones as well
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    common: CommonOptions,
}

#[derive(Debug, clap::Args)]
pub struct OneToken {
    /// Its id, or the beginning of it
    #[arg(value_name = "TOKEN")]
    id: String,
    #[command(flatten)]
    common: CommonOptions,
}

/// The commands under `user`.
#[derive(Debug, clap::Subcommand)]
pub enum UserVerb {
    /// List the people that the server knows
    #[command(before_help = "Examples:\n  dbward user list")]
    List(CommonOptions),
    /// Suspend somebody: tokens are revoked, open requests cancelled
    #[command(before_help = "Examples:\n  dbward user suspend developer-2")]
    Suspend(OneUser),
    /// Let somebody work again; revoked tokens stay revoked
    #[command(before_help = "Examples:\n  dbward user activate developer-2")]
    Activate(OneUser),
    /// Link a Slack account to somebody, by default to you
    #[command(
        visible_alias = "update",
        before_help = "Examples:\n  \
        dbward user link-slack U012ABCDEF\n  \
        dbward user link-slack --none --user developer-2"
    )]
    LinkSlack(LinkOptions),
}

#[derive(Debug, clap::Args)]
pub struct OneUser {
    /// Their name
    #[arg(value_name = "USER")]
    id: String,
    #[command(flatten)]
    common: CommonOptions,
}

#[derive(Debug, clap::Args)]
pub struct LinkOptions {
    /// The Slack id of the person
    #[arg(value_name = "SLACK-ID", required_unless_present_any = ["slack_user_id", "none"])]
    slack_id: Option<String>,
    /// The same, as the 0.1.6 command line has it
    #[arg(long, value_name = "ID", hide = true)]
    slack_user_id: Option<String>,
    /// Unlink
    #[arg(long, conflicts_with_all = ["slack_id", "slack_user_id"])]
    none: bool,
    /// Whose account it is
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    #[command(flatten)]
    common: CommonOptions,
}

/// Runs a command under `token`.
pub(super) fn token(verb: TokenVerb) -> Result<u8, Failure> {
    match verb {
        TokenVerb::Create(o) => with(&o.common, |s| create_token(s, &o)),
        TokenVerb::List(o) => with(&o.common, |s| list_tokens(s, &o)),
        TokenVerb::Revoke(o) => with(&o.common, |s| {
            let id = s.token_id(&o.id)?;
            let document = s.client.delete(&path_of(&["tokens", &id]))?;
            s.done(&document, &format!("Revoked {}.", visible(&id)), "")
        }),
    }
}

fn create_token(session: &ServerSession, o: &TokenCreateOptions) -> Result<u8, CommandError> {
    let mut body = json!({
        "subject_id": o.subject,
        "subject_type": if o.agent { "agent" } else { "user" },
        "roles": o.roles,
        "groups": o.groups,
    });
    if o.agent && o.roles.is_empty() {
        body["roles"] = json!(["agent-default"]);
    }
    let optional = [("name", &o.name), ("expires_at", &o.expires)];
    for (key, value) in optional
        .into_iter()
        .filter_map(|(k, v)| Some((k, v.as_ref()?)))
    {
        body[key] = json!(value);
    }
    if !o.bound_to.is_empty() {
        let pairs = o
            .bound_to
            .iter()
            .map(|(d, e)| json!({"database": d, "environment": e}));
        body["bound_to"] = pairs.collect();
    }
    let document = session
        .client
        .send(&path_of(&["tokens"]), &body.to_string())?;
    let issued: Value = document.read()?;
    let text = |key: &str| issued[key].as_str().map(visible).unwrap_or_default();
    if let Some(warning) = issued["warning"].as_str() {
        note!("warning: {}", visible(warning));
    }
    let expires = match issued["expires_at"].as_str() {
        Some(at) => format!("expires {}", session.ages.full(at)),
        None => "does not expire".to_owned(),
    };
    let sentence = format!(
        "{}\n\n  id       {}\n  subject  {}\n  it {expires}; it is shown only now",
        text("token"),
        text("id"),
        text("subject_id")
    );
    session.done(&document, &sentence, &text("token"))
}

const TOKENS: Listing = Listing {
    key: "tokens",
    columns: &[
        ("ID", "id", Kind::Id),
        ("SUBJECT", "subject_id", Kind::Text),
        ("STATUS", "status", Kind::Text),
        ("NAME", "name", Kind::Long),
        ("ROLES", "roles", Kind::List),
        ("EXPIRES", "expires_at", Kind::Time),
        ("USED", "last_used_at", Kind::Time),
    ],
    empty: "There are no tokens.",
};

fn list_tokens(session: &ServerSession, o: &TokenListOptions) -> Result<u8, CommandError> {
    TOKENS.print_filtered(session, &path_of(&["tokens"]), |token| {
        let of = o
            .subject
            .as_deref()
            .is_none_or(|name| token["subject_id"] == name);
        of && (o.all || token["status"] == "active")
    })
}

/// Runs a command under `user`.
pub(super) fn user(verb: UserVerb) -> Result<u8, Failure> {
    match verb {
        UserVerb::List(common) => with(&common, |s| {
            USERS.print(
                s,
                &with_query(&path_of(&["users"]), &[("limit", Some("1000".to_owned()))]),
            )
        }),
        UserVerb::Suspend(o) => with(&o.common, |s| suspend(s, &o.id)),
        UserVerb::Activate(o) => with(&o.common, |s| {
            let document = s.client.send(&path_of(&["users", &o.id, "activate"]), "")?;
            s.done(
                &document,
                &format!(
                    "{} is active.{}",
                    visible(&o.id),
                    warning(&document.read()?)
                ),
                "",
            )
        }),
        UserVerb::LinkSlack(o) => with(&o.common, |s| link_slack(s, &o)),
    }
}

const USERS: Listing = Listing {
    key: "users",
    columns: &[
        ("USER", "id", Kind::Text),
        ("STATUS", "status", Kind::Text),
        ("KIND", "subject_type", Kind::Text),
        ("ROLES", "roles", Kind::List),
        ("GROUPS", "groups", Kind::List),
        ("SLACK", "slack_user_id", Kind::Text),
        ("SEEN", "last_seen_at", Kind::Time),
    ],
    empty: "Nobody is known yet.",
};

fn suspend(session: &ServerSession, id: &str) -> Result<u8, CommandError> {
    let document = session
        .client
        .send(&path_of(&["users", id, "suspend"]), "")?;
    let done: Value = document.read()?;
    let cancelled = done["cancelled_requests"].as_array().map_or(0, Vec::len);
    let sentence = format!(
        "{} is suspended: {} revoked, {} cancelled.{}",
        visible(id),
        counted(done["revoked_tokens"].as_u64().unwrap_or(0), "token"),
        counted(cancelled, "request"),
        warning(&done)
    );
    session.done(&document, &sentence, "")
}

fn warning(answer: &Value) -> String {
    let text = answer["warning"].as_str();
    text.map(|text| format!("\nwarning: {}", visible(text)))
        .unwrap_or_default()
}

fn link_slack(session: &ServerSession, o: &LinkOptions) -> Result<u8, CommandError> {
    let user = match &o.user {
        Some(user) => user.clone(),
        None => session.me()?.subject_id,
    };
    let slack = o.slack_id.as_ref().or(o.slack_user_id.as_ref());
    let body = json!({"slack_user_id": slack}).to_string();
    let document = session.client.amend(&path_of(&["users", &user]), &body)?;
    let sentence = match slack {
        Some(slack) => format!("{} is {} on Slack.", visible(&user), visible(slack)),
        None => format!("{} is linked to no Slack account.", visible(&user)),
    };
    session.done(&document, &sentence, "")
}

/// Reads `app/production`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((database, environment)) if !database.is_empty() && !environment.is_empty() => {
            Ok((database.to_owned(), environment.to_owned()))
        }
        _ => Err("write it as DATABASE/ENVIRONMENT".to_owned()),
    }
}

/// Reads a time, or a length of time from now, as the server wants it.
fn expiry(text: &str) -> Result<String, String> {
    if Timestamp::parse(text).is_some() {
        return Ok(text.to_owned());
    }
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let secs = match unit {
        "h" => Some(3600),
        "d" => Some(86_400),
        _ => None,
    };
    let total = secs
        .zip(number.parse::<u64>().ok())
        .and_then(|(unit, n)| n.checked_mul(unit));
    total
        .map(|secs| Clock::system().now().plus_secs(secs).rfc3339())
        .ok_or_else(|| "write it like 2026-12-31T00:00:00Z, 12h or 90d".to_owned())
}
