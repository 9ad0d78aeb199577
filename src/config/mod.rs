//! What server.toml means.
//!
//! Two stages: `raw` declares the keys and holds what the file has, [`Config`] is what it means. Loading is pure but
//! for reading the file and its variables, so a reload calls the same function and compares. Every problem is reported
//! at once, with its key path and line. docs/configuration.md follows a key from its declaration to its effect.

mod check;
mod cidr;
mod email;
mod endpoint;
mod identities;
mod oidc;
mod on_call;
mod policies;
mod raw;
mod reach;
mod replication;
mod slack;
mod storage;
mod tls;
mod webhooks;
mod workflows;

#[cfg(test)]
mod tests;

pub use cidr::Cidr;
pub use email::{Email, MailSecurity};
pub use endpoint::Endpoint;
pub use oidc::{AuthMode, Oidc};
pub use raw::{KEYS, example};
pub use reach::NetworkReach;
pub use replication::Replication;
pub use slack::Slack;
pub use storage::{ResultStorage, S3Credentials, S3Storage};
pub use tls::{SeenCertificate, ServerTls, TlsIdentity, is_for};
pub use webhooks::{Webhook, WebhookFormat};

use crate::domain::audit::Redaction;
use crate::domain::policy::Policies;
use crate::domain::policy::notification::{MailedPerson, RoutedWebhook, Routes};
use crate::settings::{self, Env};
pub use crate::settings::{Problem, Problems, Secret, SecretPlaces};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest id of a person and longest name of a group or role, in bytes: such a one still fits a selector.
pub const ID_BYTES_MAX: usize = crate::domain::id::Selector::BYTES_MAX - "group:".len();
/// Days that anything is kept, at most: a century.
const DAYS_MAX: u64 = 36_500;
/// Where the server listens unless configured otherwise: this machine only.
pub const LISTEN_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 3000);

/// Most worker threads: each may hold a request body and a result in memory.
const WORKERS_MAX: u64 = 512;
/// Most threads that deliver: each may wait ten seconds for a receiver.
const DELIVERY_WORKERS_MAX: u64 = 64;
/// Longest grace of a stop, in seconds.
const GRACE_SECS_MAX: u64 = 3600;
/// Most calls a minute that a limit may allow.
const CALLS_MAX: u64 = 1_000_000;
/// Most pending requests that a limit may allow.
const PENDING_MAX: u64 = 1_000_000;
/// Most bytes a day that a limit may allow: 1 TiB.
const BYTES_PER_DAY_MAX: u64 = 1 << 40;
/// Most bytes that may have to be free: 1 TiB.
const FREE_BYTES_MAX: u64 = 1 << 40;
/// Most live results.
const SLOTS_MAX: u64 = 100_000;
/// Longest time a live result waits, in seconds.
const SLOT_SECS_MAX: u64 = 24 * 3600;

crate::declare! {
    /// How the process works, and what it grants to everybody.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Process {
        /// Threads that answer calls: so many writes can share a commit. Waiting clients need none of them. 1 to 512;
        /// takes effect at a restart.
        workers: usize = 48, within 1..=WORKERS_MAX;
        /// Seconds that a stop may take, 0 to 3600: three quarters of them for executions and calls in flight, but for the
        /// last 5 s where that is less. A stop that hangs, for which 5 s are always left, ends the process then.
        shutdown_grace_secs: u64 = 20, within 0..=GRACE_SECS_MAX;
        /// Calls a minute that one person's token may make; 0 for no limit. Agents, and holders of `*` for everything,
        /// are never limited, here and by the two keys below.
        calls_per_minute: u32 = 0, within 0..=CALLS_MAX;
        /// Requests of one person that may be pending at one time; a further one is 429.
        pending_requests_per_person: u32 = 1_000, within 1..=PENDING_MAX;
        /// Bytes that the requests of one person may have in a day; 0 for no limit.
        request_bytes_per_day: u64 = 0, within 0..=BYTES_PER_DAY_MAX;
        /// Bytes that must be free in `state_dir` for a new request: below it, making one is 503, and everything that
        /// ends work goes on. 256 MiB; 0 for no limit.
        min_free_bytes: u64 = 268_435_456, within 0..=FREE_BYTES_MAX;
        /// Receivers of notifications that are called at one time, of those that are known to answer promptly. Each that
        /// is new, slow or silent is called besides, so that none of these waits for it. 1 to 64; takes effect at a
        /// restart.
        delivery_workers: usize = 8, within 1..=DELIVERY_WORKERS_MAX;
        /// Whether what this server calls may be on this machine or in a private network, and without encryption.
        allow_private_networks: bool = false;
    }
}

crate::declare! {
    /// `[retention]`: how long what is over is kept.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Retention {
        /// Days after its last change that a request that ended is kept, with its votes and executions. One with a
        /// stored result is kept as long as that.
        request_ttl_days: u32 = 90, within 1..=DAYS_MAX;
        /// Days that the audit log is kept; what a kept request did always is, and the rest proves that nothing else is
        /// missing.
        audit_ttl_days: u32 = 365, within 1..=DAYS_MAX;
    }
}

crate::declare! {
    /// `[result_channel]`: how live results are passed on.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ResultChannel {
        /// Live results that may wait for their readers, and how many seconds each does.
        max_slots: usize = 10_000, within 1..=SLOTS_MAX;
        slot_ttl_secs: u64 = 600, within 1..=SLOT_SECS_MAX;
    }
}

/// A checked configuration of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Folder of everything the server keeps; absolute.
    pub state_dir: PathBuf,
    /// Address to listen on; `--listen` overrides it.
    pub listen: SocketAddr,
    /// Whom the server speaks TLS as; without it, plain HTTP.
    pub tls: Option<ServerTls>,
    /// How the process works.
    pub process: Process,
    /// Everything that decides about requests.
    pub policies: Policies,
    /// Who is notified, in the order of the file.
    pub webhooks: Vec<Webhook>,
    /// Where people reach the server; without a slash at its end.
    pub public_url: Option<String>,
    /// Networks of this machine or private ones that the server may call.
    pub allow_networks: Vec<Cidr>,
    /// The proxy that makes all calls by HTTP, if there is one.
    pub outbound_proxy: Option<String>,
    /// How the server sends mail, if it does.
    pub email: Option<Email>,
    /// How the server speaks to Slack, if it does.
    pub slack: Option<Slack>,
    /// Tokens with which services are asked who is on call, by the name of the group.
    pub on_call_tokens: BTreeMap<String, Secret>,
    /// People named in `[[users]]`, in the order of the file.
    pub users: Vec<ConfiguredUser>,
    /// How much of the SQL text the audit log keeps.
    pub redaction: Redaction,
    /// The key that signs the audit log, where it is not in `state_dir`.
    pub audit_key_file: Option<PathBuf>,
    /// A copy of every signed checkpoint.
    pub checkpoint_file: Option<PathBuf>,
    /// Where results are stored.
    pub result_storage: ResultStorage,
    /// The second copy of the state, if there is one.
    pub replication: Option<Replication>,
    /// How long what is over is kept.
    pub retention: Retention,
    /// How live results are passed on.
    pub result_channel: ResultChannel,
    /// What is logged, and how.
    pub logging: Logging,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// How people prove who they are.
    pub auth_mode: AuthMode,
    /// The identity provider, where people may come from one.
    pub oidc: Option<Oidc>,
    /// What is odd, but no error; for the log and `check-config`.
    pub warnings: Vec<Problem>,
    /// Where the secrets lie, for `doctor`.
    pub secrets: SecretPlaces,
}

/// An entry of `[[users]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredUser {
    /// Subject id.
    pub id: String,
    /// Whether the person may sign in; otherwise suspended.
    pub active: bool,
    /// Where the person is notified by mail.
    pub email: Option<String>,
}

/// `[logging]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    /// Least important level that is written.
    pub level: log::LevelFilter,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Where notifications go, and where their links lead.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outlets {
    /// In the order of the file.
    pub webhooks: Vec<Webhook>,
    /// Where people reach the server; without a slash at its end.
    pub public_url: Option<String>,
    /// How mail is sent, if it is.
    pub email: Option<Email>,
    /// How the Slack app posts, if there is one.
    pub slack: Option<Slack>,
    /// Tokens with which services are asked who is on call, by the name of the group.
    pub on_call_tokens: BTreeMap<String, Secret>,
    /// Addresses of people, by their ids.
    pub addresses: BTreeMap<String, String>,
}

impl Outlets {
    /// Where every event goes under these policies.
    pub fn routes(&self, policies: &Policies) -> Routes {
        let webhooks = self.webhooks.iter().map(|w| RoutedWebhook {
            id: w.id.clone(),
            events: w.events.clone(),
        });
        let mut routes = Routes::new(webhooks.collect(), &policies.notification);
        if self.slack.is_some() {
            routes = routes.with_slack();
        }
        if self.email.is_none() {
            return routes;
        }
        let mut ids = policies.people();
        ids.extend(self.addresses.keys().map(String::as_str));
        let people = ids.into_iter().map(|id| {
            let groups = policies.groups_of(id);
            let roles = policies.roles_of(id, &groups).into_iter().map(|r| r.name);
            MailedPerson {
                id: id.to_owned(),
                has_address: self.addresses.contains_key(id),
                roles: roles.collect(),
                groups,
            }
        });
        routes.with_mail(people.collect(), Arc::new(policies.clone()))
    }
}

impl Config {
    /// Whether agents have to present a certificate.
    pub fn agents_certified(&self) -> bool {
        self.tls
            .as_ref()
            .is_some_and(|tls| tls.agents_ca_file.is_some())
    }

    /// Where notifications go.
    pub fn outlets(&self) -> Outlets {
        Outlets {
            webhooks: self.webhooks.clone(),
            public_url: self.public_url.clone(),
            email: self.email.clone(),
            slack: self.slack.clone(),
            on_call_tokens: self.on_call_tokens.clone(),
            addresses: self
                .users
                .iter()
                .filter(|user| user.active)
                .filter_map(|user| Some((user.id.clone(), user.email.clone()?)))
                .collect(),
        }
    }

    /// What the server may call beyond public addresses.
    pub fn reach(&self) -> NetworkReach {
        NetworkReach {
            here: self.process.allow_private_networks,
            private: self.process.allow_private_networks,
            networks: self.allow_networks.clone(),
            proxy: self.outbound_proxy.clone(),
        }
    }

    /// What calls to that bucket may reach: where the operator named this machine, this machine; no name that leads here
    /// can.
    pub fn bucket_reach(&self, bucket: &S3Storage) -> NetworkReach {
        match bucket.endpoint.as_ref().is_some_and(Endpoint::is_here) {
            true => self.reach().of_this_machine(),
            false => self.reach(),
        }
    }

    /// Reads and checks the file at `path`. Relative paths in it start at its folder; variables come from the
    /// environment of the process.
    ///
    /// # Errors
    /// All problems of the file, or the one that it cannot be read.
    pub fn load(path: &Path) -> Result<Config, Problems> {
        let (text, base) = settings::read_file(path)?;
        Config::parse(&text, &base, &settings::process_env).map_err(|mut problems| {
            problems.file = path.display().to_string();
            problems
        })
    }

    /// Checks `text`, with relative paths starting at `base` (absolute) and variables from `env`.
    ///
    /// # Errors
    /// All problems, under the file name `server.toml`.
    pub fn parse(text: &str, base: &Path, env: Env<'_>) -> Result<Config, Problems> {
        let check =
            |raw: &raw::RawConfig, notes: &mut settings::Notes| check::check(raw, base, env, notes);
        let read = settings::read(text, "server.toml", env, check)?;
        Ok(Config {
            warnings: read.warnings,
            secrets: read.secrets.in_folder(base),
            ..read.value
        })
    }
}
