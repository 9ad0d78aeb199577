//! dbward: an approval server for SQL on production databases.
//!
//! ARCHITECTURE.md has the code map: what each module is for, in an order in which one uses only those above it.

// What cannot fail says why by its shape; a failure is an error, never a panic.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

pub mod actions;
pub mod address;
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
