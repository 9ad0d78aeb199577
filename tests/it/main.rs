//! The black-box tests: our server in this process, or the real program, and clients that say any bytes. Each area is
//! a file, each test a claim.
//!
//! - `requests`: making requests, finding them again, looking at them.
//! - `approvals`: votes, steps, selectors, and who may not.
//! - `lifecycle`: dispatch, resume, loss, cancellation, expiry.
//! - `agents`: registration, polls, claims, heartbeats, reports, execution tokens.
//! - `results`: streams, downloads, sharing, and stored bytes that stay what they are.
//! - `tokens`: who issues which, and what losing one means.
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
mod errors;
mod gate;
mod lifecycle;
mod metrics;
mod openapi;
mod process;
mod requests;
mod results;
mod support;
mod tidy;
mod tokens;
mod waiting;
