//! The keys of agent.toml. agent.toml.example shows each of them; a test holds it against these declarations.

use super::{CONCURRENT_MAX, DATABASES_MAX, DENY_MAX, DRAIN_SECS_MAX, POLL_WAIT_SECS_MAX};
use crate::declare;
use crate::declare::TableSpec;
use crate::settings::{Declared, Number, RawSecret, Spanned, Text, Texts, section};

/// Every key there is.
pub const KEYS: &TableSpec = &RawAgentConfig::TABLE;

section! {
    /// The outermost table.
    pub struct RawAgentConfig {
        server: Option<RawServer>;
        agent: Option<RawAgent>;
        databases: Spanned<Vec<RawAgentDatabase>>, within 1..=DATABASES_MAX;
    }
}

section! {
    /// The server that the agent asks for work.
    pub struct RawServer {
        /// Plain http is accepted for this machine only; anywhere else use https.
        url: Text;
        /// The agent's API token, or the file that holds it.
        token: RawSecret;
        /// Sends the token unencrypted to another host. Only where the network between is trusted.
        allow_insecure: Option<bool>;
        /// An HTTP proxy. The environment is not asked.
        proxy: Text;
        /// Certificates to trust instead of the usual authorities, in PEM.
        ca_file: Text;
        /// What to present where the server asks agents for a certificate, in PEM: one with the agent's name among its
        /// DNS names, then those of its issuers.
        client_cert_file: Text;
        /// The private key of that certificate, in PEM.
        client_key_file: Text;
        /// The key that signs execution tokens, in hexadecimal.
        public_key: Text;
    }
}

section! {
    /// The agent itself.
    pub struct RawAgent {
        /// Where the agent keeps the journal of what it ran. One agent, one folder.
        state_dir: Text;
        /// The subject of the agent's token, which execution tokens must name. Without it: as the server names it at
        /// the first use of the token.
        id: Text;
    } [work: Work]
}

declare! {
    /// How an agent works.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Work {
        /// Seconds that the server may hold a poll until there is a job.
        poll_wait_secs: u64 = POLL_WAIT_SECS_MAX, within 1..=POLL_WAIT_SECS_MAX;
        /// Statements that run at the same time.
        max_concurrent: u32 = 2, within 1..=CONCURRENT_MAX;
        /// Seconds that running statements get when the agent stops.
        drain_secs: u64 = 60, within 0..=DRAIN_SECS_MAX;
    }
}

section! {
    /// A database in an environment that this agent serves; the names are those of server.toml.
    pub struct RawAgentDatabase {
        name: Text;
        environment: Text;
        driver: Text;
        /// Of `driver = "sqlite"`. The file must be there; an agent never creates a database.
        path: Text;
        /// Of `driver = "postgresql"` or `"mysql"`, with or without the password. Or `host`, `port` and `database`.
        url: Text;
        /// Name or address of the server; what begins with `/` is a Unix socket.
        host: Text;
        port: Number;
        /// Name of the database on the server.
        database: Text;
        user: Text;
        /// Any bytes, for MySQL in UTF-8; the newline at the end of a file is dropped.
        password: RawSecret;
        /// `verify-full`, `require` (server not verified) or `off`. `off` on this machine, else `verify-full`.
        tls: Text;
        /// Certificates to trust instead of the usual authorities, in PEM.
        ca_file: Text;
        /// Seconds that a statement waits for a lock at most, whatever the server's execution policy allows.
        lock_timeout_secs: Number;
        /// Refuses everything but reads, whatever was approved.
        read_only: Option<bool>;
        /// Words and names that no statement may hold, whatever was approved, the text of a block or a routine included:
        /// `drop table`, `hr.salaries`.
        deny: Texts, within 0..=DENY_MAX;
        /// Rows returned at most, whatever the server allows.
        max_rows: Number;
        /// Bytes of rows returned at most.
        max_result_bytes: Number;
        /// Seconds that a job may take; 0 leaves it to the server.
        max_statement_secs: Number;
    }
}
