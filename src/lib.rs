//! dbward: an approval server for SQL on production databases.
//!
//! The code map, in reading order; a module may use only modules above it (a test enforces it):
//!
//! - [`error`], [`clock`], [`crypto`], [`metrics`]: the lowest layer.
//! - [`declare`]: what a key of a configuration file is, declared once.
//! - [`settings`]: reads configuration files as they are declared, with the place of every value.
//! - [`domain`]: the rules. Pure: values in, values out.
//! - [`export`]: the audit log as lines for another machine.
//! - [`config`]: server.toml: what it has, and what that means.
//! - [`store`]: the memory. The only place that speaks SQLite to our own database.
//! - [`objects`]: stored results.
//! - [`actions`]: the verbs; each loads, decides and describes one change.
//! - [`outbound`]: the only place that calls others.
//! - [`delivery`]: makes the calls that the outbox asks for.
//! - [`gate`]: the only code on the network.
//! - [`http`]: the HTTP layer: routes, guards, replies.
//! - [`jobs`]: what happens by the clock.
//! - [`replication`]: the second copy of the state, and who may write it.
//! - [`client`], [`agent`]: the other end: a typed client of the API, and the executor next to the database.
//! - [`server`], [`cli`]: the wiring, and the command line.

// What cannot fail says why by its shape; a failure is an error, never a panic.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

pub mod actions;
pub mod agent;
pub mod analyzer;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod declare;
pub mod delivery;
pub mod domain;
pub mod error;
pub mod export;
pub mod gate;
pub mod http;
pub mod jobs;
pub mod metrics;
pub mod objects;
pub mod outbound;
pub mod replication;
pub mod server;
pub mod settings;
pub mod store;
