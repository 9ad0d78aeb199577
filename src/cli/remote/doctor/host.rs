//! `doctor --server server.toml`: what an operator has to know of the server of this machine. Every finding says what to
//! do. Nothing is changed but a small object in the bucket, which is removed again, as at every start.

use super::certificates::of_server_certificates;
use super::copy::{CopyPart, of_copy};
use super::files::of_server_files;
use super::{Check, check, of_agents, of_approvers, of_on_call, of_ready};
use crate::cli::backup::newest_of;
use crate::cli::demo::sentence;
use crate::cli::output::span;
use crate::client::{BearerToken, Client, ClientOptions, path_of};
use crate::clock::{Clock, Timestamp};
use crate::config::{Config, Endpoint};
use crate::error::counted;
use crate::outbound::http::{Answered, OutboundFailure};
use crate::outbound::{Http, SlackApi, discovery, smtp};
use crate::server::object_stores::try_bucket;
use crate::server::state::{StateDir, free_bytes};
use crate::store::try_checkpoint_file;
use serde_json::json;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// Clocks may differ by so much before tokens and signatures are refused somewhere, in seconds.
const CLOCK_SECS_MAX: u64 = 60;
/// A newest backup that is older is one that was missed, in seconds.
const BACKUP_SECS_MAX: u64 = 2 * 86_400;
/// How long Slack may take.
const SLACK_TIMEOUT: Duration = Duration::from_secs(10);

/// Looks at everything that a server.toml names; `backups` is a folder that holds backups.
pub fn of_host(file: &Path, backups: Option<&Path>) -> Vec<Check> {
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(problems) => return vec![check("configuration", Some(false), problems.to_string())],
    };
    let applied = match config.warnings.len() {
        0 => format!("{} can be applied", file.display()),
        n => format!(
            "{} can be applied, with {}: `dbward check-config` names them",
            file.display(),
            counted(n, "warning")
        ),
    };
    let mut checks = vec![
        check("configuration", Some(true), applied),
        of_server_files(file, &config, backups),
        disk(&config),
    ];
    checks.extend(of_server_certificates(&config));
    checks.extend(config.checkpoint_file.as_deref().map(of_checkpoint_file));
    let mut seen = Vec::new();
    checks.extend(outward(&config, &mut seen));
    checks.push(clock(&seen));
    let process = StateDir::holder(&config.state_dir);
    let (copy, part) = of_copy(&config, process.is_some());
    checks.extend(copy);
    checks.push(of_backups(backups));
    checks.extend(running(file, &config, process, &part));
    checks
}

/// Whether checkpoints can be written, also by a standby once it has the lease.
fn of_checkpoint_file(path: &Path) -> Check {
    match try_checkpoint_file(path) {
        Ok(()) => check(
            "checkpoints",
            Some(true),
            format!("{} can be written", path.display()),
        ),
        Err(e) => check(
            "checkpoints",
            Some(false),
            format!("{}; see [audit] checkpoint_file", sentence(&e)),
        ),
    }
}

fn disk(config: &Config) -> Check {
    let needed = config.process.min_free_bytes;
    let folders = [&config.state_dir, &config.result_storage.root_dir];
    let free = |path: &Path| {
        // The nearest folder that is there already.
        let there = path.ancestors().find(|path| path.is_dir());
        there.map_or(u64::MAX, free_bytes)
    };
    let least = folders.iter().map(|path| (free(path), path)).min();
    let Some((free, folder)) = least else {
        return check("disk", None, "there is no folder");
    };
    let mib = |bytes: u64| bytes / (1 << 20);
    let words = format!("{} MiB are free in {}", mib(free), folder.display());
    match (free < needed, free < needed.saturating_mul(4)) {
        (true, _) => check(
            "disk",
            Some(false),
            format!(
                "{words}, below min_free_bytes ({} MiB): no request is taken; make room",
                mib(needed)
            ),
        ),
        (_, true) => check(
            "disk",
            Some(false),
            format!(
                "{words}; below {} MiB no request is taken: make room",
                mib(needed)
            ),
        ),
        _ => check("disk", Some(true), words),
    }
}

/// Everything that the server calls. What an answer says of the time goes to `seen`.
fn outward(config: &Config, seen: &mut Vec<(String, Timestamp)>) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut head = |name: &'static str, of: &str, url: &str, place: &Endpoint| match head_of(
        config, url, place,
    ) {
        Ok(Answered { status, date }) => {
            let origin = place.origin();
            let at = date.as_deref().and_then(Timestamp::parse_http_date);
            seen.extend(at.map(|at| (origin.to_owned(), at)));
            let words = format!("{of}{origin} answers");
            match status {
                // Who does not know HEAD is there all the same.
                500.. if status != 501 => check(
                    name,
                    Some(false),
                    format!("{words} {status}: ask its operator"),
                ),
                _ => check(name, Some(true), words),
            }
        }
        Err(e) => {
            let origin = place.origin();
            let hint = "see network, firewall, outbound_proxy and allow_networks";
            check(name, Some(false), format!("{of}{origin}: {e}; {hint}"))
        }
    };
    for webhook in &config.webhooks {
        let of = format!("{} at ", webhook.id);
        checks.push(head("webhook", &of, webhook.url.url(), &webhook.url));
    }
    if let Some(oidc) = &config.oidc {
        let description = discovery::description_url(&oidc.issuer);
        let (url, place) = match &oidc.jwks_uri {
            Some(keys) => (keys.url(), keys),
            None => (description.as_str(), &oidc.issuer),
        };
        checks.push(head("oidc", "the provider ", url, place));
    }
    checks.extend(of_mail(config));
    checks.extend(of_slack(config));
    checks.extend(of_bucket(config));
    checks
}

/// The head of what is at `url` of `place`, reached as the server reaches it.
fn head_of(config: &Config, url: &str, place: &Endpoint) -> Result<Answered, OutboundFailure> {
    let reach = match place.is_here() {
        true => config.reach().of_this_machine(),
        false => config.reach(),
    };
    Http::new(reach).head(url)
}

fn of_mail(config: &Config) -> Option<Check> {
    let email = config.email.as_ref()?;
    let place = format!("{}:{}", email.server, email.port);
    Some(match smtp::greet(email, &config.reach()) {
        Ok(()) => check("mail", Some(true), format!("{place} takes the connection")),
        Err(e) => check("mail", Some(false), format!("{place}: {e}; see [email]")),
    })
}

fn of_slack(config: &Config) -> Option<Check> {
    let slack = config.slack.as_ref()?;
    let api = SlackApi::new(&config.reach());
    Some(
        match api.call(slack, "auth.test", &json!({}), SLACK_TIMEOUT) {
            Ok(_) => check("slack", Some(true), "it takes the bot token"),
            Err(e) => check("slack", Some(false), format!("{e}; see [slack] bot_token")),
        },
    )
}

fn of_bucket(config: &Config) -> Option<Check> {
    let bucket = &config.result_storage.s3.as_ref()?.bucket;
    Some(match try_bucket(config) {
        Ok(()) => check(
            "bucket",
            Some(true),
            format!("{bucket} takes and gives objects"),
        ),
        Err(e) => {
            let hint = e
                .hint_text()
                .map_or_else(String::new, |hint| format!("; {hint}"));
            check(
                "bucket",
                Some(false),
                format!("{bucket}: {}{hint}", sentence(&e)),
            )
        }
    })
}

/// The clock of this machine against those that answered.
fn clock(seen: &[(String, Timestamp)]) -> Check {
    let now = Clock::system().now();
    let apart = |at: &Timestamp| now.since(*at).max(at.since(now)) / 1000;
    match seen.iter().max_by_key(|(_, at)| apart(at)) {
        None => check(
            "clock",
            None,
            "nothing that was called says what time it is",
        ),
        Some((origin, at)) if apart(at) > CLOCK_SECS_MAX => {
            let words = format!(
                "it differs from that of {origin} by {}: set it by NTP, or tokens and signatures are refused",
                span(apart(at))
            );
            check("clock", Some(false), words)
        }
        Some((origin, _)) => check("clock", Some(true), format!("it is that of {origin}")),
    }
}

fn of_backups(folder: Option<&Path>) -> Check {
    let Some(folder) = folder else {
        return check(
            "backups",
            None,
            "name the folder that holds them: --backups DIR",
        );
    };
    let newest = match newest_of(folder) {
        Ok(newest) => newest,
        Err(e) => return check("backups", Some(false), format!("{}: {e}", folder.display())),
    };
    let Some((path, at)) = newest else {
        let words = format!(
            "{} holds none: `dbward backup {}/NAME`",
            folder.display(),
            folder.display()
        );
        return check("backups", Some(false), words);
    };
    let age = Clock::system().now().since(at) / 1000;
    let words = format!("the newest, {}, is {} old", path.display(), span(age));
    match age > BACKUP_SECS_MAX {
        true => check(
            "backups",
            Some(false),
            format!("{words}: see what runs `dbward backup`, and its log"),
        ),
        false => check(
            "backups",
            Some(true),
            format!("{words}; `dbward restore --check` verifies it"),
        ),
    }
}

/// The server itself, and what the administrator of a first start may ask it.
fn running(file: &Path, config: &Config, process: Option<u32>, part: &CopyPart) -> Vec<Check> {
    let Some(number) = process else {
        let words = format!(
            "none uses {}: `dbward serve --config {}`",
            config.state_dir.display(),
            file.display()
        );
        return vec![check("process", Some(false), words)];
    };
    let waits_for = match part {
        CopyPart::Writes => None,
        CopyPart::Begins => Some("there is no other server's copy yet".to_owned()),
        CopyPart::Follows { epoch } => Some(format!("another machine has it, epoch {epoch}")),
    };
    if let Some(other) = waits_for {
        let words = format!("process {number} listens once it has the lease; {other}");
        let asked = "`dbward doctor --server URL` asks the server that has the lease";
        return vec![
            check("process", Some(true), words),
            check("agents", None, asked),
        ];
    }
    let mut checks = vec![check(
        "process",
        Some(true),
        format!("process {number} serves it"),
    )];
    let token = fs::read_to_string(config.state_dir.join("admin-token"));
    let token = token.ok().and_then(|text| BearerToken::new(&text).ok());
    let asked = "`dbward doctor` with the token of an administrator looks at them";
    if config.tls.is_some() || config.listen.port() == 0 {
        for part in ["ready", "agents", "approvers"] {
            checks.push(check(
                part,
                None,
                "`dbward doctor --server URL` asks the server",
            ));
        }
        return checks;
    }
    let url = format!("http://{}", reached_at(config.listen));
    checks.push(of_ready(&url));
    let client = token.and_then(|token| Client::new(&ClientOptions::new(&url, token)).ok());
    let Some(client) = client else {
        checks.push(check("agents", None, asked));
        checks.push(check("approvers", None, asked));
        return checks;
    };
    let agents = client.fetch(&path_of(&["agents"])).and_then(|d| d.read());
    checks.push(of_agents(agents));
    checks.push(of_approvers(&client));
    checks.extend(of_on_call(
        client.fetch(&path_of(&["groups"])).and_then(|d| d.read()),
    ));
    checks
}

/// Where this machine reaches what listens there: an address that stands for all of them includes loopback.
fn reached_at(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
