//! The black-box tests: our server in this process, or the real program, and clients that say any bytes. Each area is
//! a file, each test a claim.
//!
//! - `requests`: making requests, finding them again, looking at them.
//! - `lists`: who sees which requests; filters and pages.
//! - `approvals`: votes, steps, selectors, and who may not.
//! - `rejections`: votes against, votes too late, expiry.
//! - `lifecycle`: dispatch, resume, loss, cancellation, expiry.
//! - `agents`: registration, polls, claims, execution tokens.
//! - `reports`: heartbeats; reports in time, late, repeated and oversize.
//! - `results`: streams, sharing, and bytes that stay what they are.
//! - `downloads`: stored results whole, in part, as CSV; corrupt and missing ones.
//! - `tokens`: who issues which, and what losing one means.
//! - `oidc`: people of an identity provider: their tokens, their rights, and the provider in every mood.
//! - `audit`: what stands in the log, who finds it, and its proof.
//! - `errors`: bad input of every kind, and the one shape of errors.
//! - `waiting`: many long-polls, few workers, no lost wake-up; drain.
//! - `openapi`: the document held against the server.
//! - `metrics`: who reads them, and that they count.
//! - `process`: the real program: files, signals, command line, an agent beside it.
//! - `crash`: the real program killed under load.
//! - `demo`: the commands that the demo prints.
//! - `gate`: the gate under attack, over raw sockets.
//! - `tidy`: the rules of the house, held against the source tree.
//! - `support`: what all of them stand on.

mod agents;
mod approvals;
mod audit;
mod crash;
mod demo;
mod downloads;
mod errors;
mod gate;
mod lifecycle;
mod lists;
mod metrics;
mod oidc;
mod openapi;
mod process;
mod rejections;
mod reports;
mod requests;
mod results;
mod support;
mod tidy;
mod tokens;
mod waiting;
