//! The black-box tests: our server in this process, or the real program, and clients that say any bytes. Each area is
//! a file, each test a claim.
//!
//! - `requests`: making requests, finding them again, looking at them.
//! - `approvals`: votes, steps, selectors, and who may not.
//! - `lifecycle`: dispatch, resume, loss, cancellation, expiry.
//! - `agents`: registration, polls, claims, heartbeats, reports, execution tokens.
//! - `results`: streams, downloads, sharing, and stored bytes that stay what they are.
//! - `tokens`: who issues which, and what losing one means.
//! - `gate`: the gate under attack, over raw sockets.
//! - `tidy`: the rules of the house, held against the source tree.
//! - `support`: what all of them stand on.

mod agents;
mod approvals;
mod gate;
mod lifecycle;
mod requests;
mod results;
mod support;
mod tidy;
mod tokens;
