//! The keys of server.toml, each declared once: what may stand there, and the text of server.toml.example.
//!
//! [`RawConfig`] knows types, bounds and key names only; what the values mean is for the checks. Values that need no
//! further check stand in plain structs, some of them in `domain::policy`, and are named in brackets here.

pub(super) mod auth;
pub(super) mod outward;
mod policies;
pub(super) mod replication;
pub(super) mod storage;

pub use auth::{RawAuth, RawBinding, RawGroup, RawOidc, RawRole};
pub use outward::{RawEmail, RawNotificationPolicy, RawOnCall, RawOverride, RawSlack, RawWebhook};
pub use policies::{
    RawApprover, RawAutoApprove, RawExecutionPolicy, RawResultPolicy, RawReview, RawScope, RawStep,
    RawWorkflow,
};
pub use replication::RawReplication;
pub use storage::{RawResultStorage, RawS3};

use super::{DAYS_MAX, Process, ResultChannel, Retention};
use crate::declare::TableSpec;
use crate::domain::policy::Policies;
use crate::domain::policy::execution::SECS_MAX;
use crate::settings::{Declared, Number, OneOrMore, OrEmpty, Text, Texts, example, section};

/// Registered databases, at most: each is looked at for every workflow.
pub const DATABASES_MAX: usize = 500;
/// Environments of one database, at most.
pub const ENVIRONMENTS_MAX: usize = 32;
/// Workflows, at most; likewise execution policies.
pub const POLICIES_MAX: usize = 500;
/// Steps of one workflow, at most: nobody waits for more people than this.
pub const STEPS_MAX: usize = 16;
/// Approver entries of one step, at most.
pub const APPROVERS_MAX: usize = 16;
/// Roles, groups, and role bindings, at most of each.
pub const ROLES_MAX: usize = 1_000;
/// Users, members of one group, and subjects of one binding, at most of each.
pub const PEOPLE_MAX: usize = 10_000;
/// Names in a list of permissions or operations, at most; there are fewer.
pub const NAMES_MAX: usize = 64;
/// Webhooks, at most: each may be notified of every event, with a row for it.
pub const WEBHOOKS_MAX: usize = 50;
/// On-call groups, at most: who is on call is found out for every call.
pub const ON_CALL_MAX: usize = 50;
/// People of one rotation, and overrides of it, at most of each.
pub const TURNS_MAX: usize = 100;
/// Channels of Slack, at most: one an environment.
pub const CHANNELS_MAX: usize = 500;
/// Trusted proxies, at most: the list is walked for every call.
pub const PROXIES_MAX: usize = 256;
/// Networks that may be called, at most: the list is walked for every address.
const NETWORKS_MAX: usize = 256;
/// Longest time a dispatched job waits for an agent, in seconds.
const DISPATCH_SECS_MAX: u64 = 24 * 3600;

/// Every key there is.
pub const KEYS: &TableSpec = &RawConfig::TABLE;

/// What server.toml.example begins with.
const EXAMPLE_HEAD: &str = "\
server.toml: every key there is, commented out at its default.

Lines that begin with `# ` are prose; take the `#` away from the others to set them. What has no default is marked so: \
state_dir, and the entries of lists, which show what an entry looks like.

`${NAME}` is replaced by the environment variable of that name, `${NAME:-default}` by the default where it is not set. \
A value may hold anything inside double quotes; outside quotes it may be a number, `true`, `false` or a word. \
`dbward check-config` reports everything that is wrong with a file, with line numbers.";

/// The text of server.toml.example.
pub fn example() -> String {
    example::example(EXAMPLE_HEAD, KEYS)
}

section! {
    /// The outermost table.
    pub struct RawConfig {
        /// Folder of the database, the keys, the first tokens and the results. Relative paths start at the folder of
        /// this file. Required, no default.
        state_dir: Text, shown "\"./state\"";
        /// Address and port to listen on; `--listen` overrides it. Takes effect at a restart.
        listen: Text, shown format!("\"{}\"", super::LISTEN_DEFAULT);
        /// Seconds until a dispatched job that no agent claims goes back to where it was dispatched from, at most a
        /// day.
        dispatch_timeout_secs: Number, within 1..=DISPATCH_SECS_MAX, shown Policies::empty().dispatch_timeout_secs;
        /// Proxies whose X-Forwarded-For is believed: addresses, or networks like "10.0.0.0/8".
        trusted_proxies: Texts, within 0..=PROXIES_MAX, shown "[]";
        /// Where people reach this server, for links in notifications. No default: no links.
        public_url: Text, shown "\"https://dbward.example.com\"";
        /// Networks of this machine or private ones that this server may call all the same: addresses, or networks
        /// like "10.0.0.0/8". Link-local addresses never are. Takes effect at a restart.
        allow_networks: Texts, within 0..=NETWORKS_MAX, shown "[]";
        /// A proxy that makes all calls by HTTP, but those to this machine; the environment is not asked for one. It
        /// finds the addresses, so that allow_networks and allow_private_networks hold for its own only. No default:
        /// none. Takes effect at a restart.
        outbound_proxy: Text, shown "\"http://proxy.example.com:3128\"";
        tls: Option<RawTls>;
        databases: Vec<RawDatabase>, within 0..=DATABASES_MAX;
        workflows: Vec<RawWorkflow>, within 0..=POLICIES_MAX;
        execution_policies: Vec<RawExecutionPolicy>, within 0..=POLICIES_MAX;
        auto_approve: Vec<RawAutoApprove>, within 0..=POLICIES_MAX;
        result_policies: Vec<RawResultPolicy>, within 0..=POLICIES_MAX;
        webhooks: Vec<RawWebhook>, within 0..=WEBHOOKS_MAX;
        notification_policies: Vec<RawNotificationPolicy>, within 0..=POLICIES_MAX;
        on_call: Vec<RawOnCall>, within 0..=ON_CALL_MAX;
        email: Option<RawEmail>;
        slack: Option<RawSlack>;
        sql_review: OneOrMore<RawReview>, within 0..=POLICIES_MAX;
        auth: OrEmpty<RawAuth>;
        users: Vec<RawUser>, within 0..=PEOPLE_MAX;
        retention: OrEmpty<RawRetention>;
        audit: OrEmpty<RawAudit>;
        result_storage: Option<RawResultStorage>;
        replication: Option<RawReplication>;
        result_channel: OrEmpty<RawResultChannel>;
        logging: OrEmpty<RawLogging>;
    } [process: Process]
}

section! {
    /// TLS on `listen`. Without this section the server speaks plain HTTP: let it listen on this machine only, or put a
    /// proxy in front.
    pub struct RawTls {
        /// PEM file with the server's certificate, then those of its issuers; relative to this file. A reload reads it
        /// again. Required in this section.
        cert_file: Text, shown "\"tls/server.crt\"";
        /// PEM file with its private key. A reload reads it again. Required in this section.
        key_file: Text, shown "\"tls/server.key\"";
        /// PEM file with the authorities of agents' certificates. With it, the token of an agent counts only on a
        /// connection that presents a certificate for the agent's name. A reload reads the file again; adding or
        /// removing the key takes effect at a restart. No default: certificates are not asked for.
        agents_ca_file: Text, shown "\"tls/agents-ca.crt\"";
    }
}

section! {
    /// A database on which requests can be made. No default: what is not registered is refused.
    pub struct RawDatabase {
        /// Name and environments: a lower-case letter, then a-z, 0-9, `_`, `-`, at most 63 in all.
        name: Text, shown "\"app\"";
        environments: Texts, within 0..=ENVIRONMENTS_MAX, shown "[\"development\", \"production\"]";
        /// postgresql, mysql or sqlite. Without it: what the agent reports; until it does, only statements that are
        /// the same in all three run.
        dialect: Text, shown "\"postgresql\"";
    }
}

section! {
    /// A person who is known before their first token; suspended people cannot do anything. No default.
    pub struct RawUser {
        id: Text, shown "\"approver\"";
        status: Text, shown "\"active\"";
        /// Where they are notified by mail, with [email]. Default: the address that the identity provider last gave.
        email: Text, shown "\"approver@example.com\"";
    }
}

section! {
    /// How long what is over is kept.
    pub struct RawRetention {
        /// Days that a stored result is kept, where no result policy says.
        result_ttl_days: Number, within 1..=DAYS_MAX, shown Policies::empty().result_ttl_days;
        /// Seconds a request waits for approval, and an approval for its use, 1 to 366 days.
        approval_ttl_secs: Number, within 1..=SECS_MAX, shown Policies::empty().approval_ttl_secs;
    } [kept: Retention]
}

section! {
    /// The audit log.
    pub struct RawAudit {
        /// What audit rows keep of the SQL text: `literals` replaces the literals in it, `full` keeps nothing, `none`
        /// keeps all.
        redaction: Text, shown "\"literals\"";
        /// Where the key is that signs the log and its head, relative to this file. Default: `audit-signing.key` in
        /// state_dir. Anyone who can read it can sign: keep it where backups of state_dir do not go. Takes effect at a
        /// restart.
        key_file: Text, shown "\"keys/audit-signing.key\"";
        /// A copy of every signed checkpoint, relative to this file, best on another disk: a start refuses a state that
        /// is older than its last line. Takes effect at a restart.
        checkpoint_file: Text, shown "\"checkpoints.jsonl\"";
    }
}

section! {
    /// Results on their way to a client that waits.
    pub struct RawResultChannel [channel: ResultChannel] {}
}

section! {
    /// What the server logs.
    pub struct RawLogging {
        /// off, error, warn, info, debug or trace; the variable RUST_LOG overrides it. Of libraries, which may write
        /// SQL, only warnings and errors are written, whatever it says.
        level: Text, shown "\"info\"";
        /// `text` for people, `json` for one object a line.
        format: Text, shown "\"text\"";
    }
}
