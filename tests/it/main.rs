//! The black-box tests: our server in this process, or the real program, and clients that say any bytes. Each area is
//! a file, each test a claim.
//!
//! - `requests`: making requests, finding them again, looking at them.
//! - `lists`: who sees which requests; filters and pages.
//! - `approvals`: votes, steps, selectors, and who may not.
//! - `awaited`: who or what a request waits for.
//! - `rejections`: votes against, votes too late, expiry.
//! - `lifecycle`: dispatch, resume, loss, cancellation, expiry.
//! - `agents`: registration, polls, claims, execution tokens.
//! - `shared_tokens`: several agents with one token.
//! - `bound_agents`: agents whose token is for some databases only.
//! - `reports`: heartbeats; reports in time, late, repeated and oversize.
//! - `outcomes`: what an execution left in the database, the same on every route, for every order of events.
//! - `results`: streams, sharing, and bytes that stay what they are.
//! - `downloads`: stored results whole, in part, as CSV; corrupt and missing ones.
//! - `buckets`: folder and bucket by the same claims; a store that speaks S3 in every mood.
//! - `tokens`: who issues which, and what losing one means.
//! - `inspection`: what one token can do now, and warnings of less than expected.
//! - `descent`: tokens end with what they were issued with.
//! - `ceilings`: tokens limited to the roles they name: what they vote and issue.
//! - `issuers`: votes by tokens with the requester in their issuer chain.
//! - `last_admin`: that the last administrator's token stays.
//! - `people`: who is known, Slack accounts, who may suspend whom.
//! - `groups`: what the configuration says of groups.
//! - `on_call`: groups whose members take turns.
//! - `gone`: votes of suspended people, and databases that left the configuration.
//! - `suspensions`: that they take effect everywhere at once.
//! - `row_bounds`: how many rows a request may change, and which agents run it.
//! - `roles`: deleting a custom role, effective at once.
//! - `abuse`: failed authentications and calls without end.
//! - `overload`: strangers, crowds and large answers, while the work of others goes on.
//! - `strict`: what is unknown is refused, never dropped.
//! - `faults`: what the machine may do to the server, and the table of limits.
//! - `matrix`: every route by every kind of caller, in one table.
//! - `oidc`: people of an identity provider: their tokens, their rights, and the provider in every mood.
//! - `auto_approve`: what risk lets through, and what never passes.
//! - `reviews`: review rules, their scopes, and emergencies with DDL.
//! - `slack`: the Slack app, against a Slack that signs, enforces limits and fails.
//! - `notifications`: who is notified of what, and that nobody learns more.
//! - `result_policies`: where results go, who sees them, how long.
//! - `state_file`: edits of the file while no server runs, and what comes of each.
//! - `retention`: what is over goes, and what is left proves itself.
//! - `resolution`: policies and decisions asked for beforehand.
//! - `decisions`: recorded decisions, decided again by the same policies and by others.
//! - `schemas`: what agents report of tables, and who sees it.
//! - `dialects`: texts run in the dialect that they were read in.
//! - `drivers`: the drivers of the agent on real databases, inside their wall.
//! - `oracle`: what is a read to us, on real databases.
//! - `migrations`: requests on migrations: what is refused, and what people see.
//! - `dry_runs`: statements explained for reviewers.
//! - `rehearsals`: writes that run before anybody has approved them, and leave nothing.
//! - `audit`: what stands in the log, who finds it, and its proof.
//! - `errors`: bad input of every kind, and the one shape of errors.
//! - `waiting`: many long-polls, few workers, no lost wake-up; drain.
//! - `one_request`: one request from end to end, and what each step leaves.
//! - `openapi`: the document held against the server.
//! - `metrics`: who reads them, and that they count.
//! - `monitoring`: alert rules and dashboard name only what exists.
//! - `agent_start`: how the real agent starts, and when it refuses to.
//! - `readme`: the README's first session and the first team of docs/first-team.md, as they stand there.
//! - `process`: the real program: files, signals, command line, an agent next to it.
//! - `leaks`: what the real program leaves for others to read.
//! - `reload`: a changed server.toml in the real program.
//! - `command_line`: what people type, and what they get.
//! - `console`: the pages for people, and what the API does for them.
//! - `crash`: the real program killed under load.
//! - `replication`: two machines, and what is lost with one of them.
//! - `demo`: the commands that the demo prints.
//! - `gate`: the gate under attack, over raw sockets.
//! - `tls`: the listener with a certificate.
//! - `upgrades`: states of earlier schemas open, prove themselves and go on.
//! - `tidy`: the rules of the house, held against the source tree.
//! - `support`: what all of them stand on.

mod abuse;
mod agent_start;
mod agents;
mod approvals;
mod audit;
mod audit_export;
mod auto_approve;
mod awaited;
mod backup;
mod bound_agents;
mod buckets;
mod ceilings;
mod command_line;
mod console;
mod corrupt;
mod crash;
mod decisions;
mod delivery;
mod demo;
mod descent;
mod dialects;
mod dispatch;
mod downloads;
mod drivers;
mod dry_runs;
mod errors;
mod faults;
mod gate;
mod gone;
mod groups;
mod inspection;
mod issuers;
mod last_admin;
mod leaks;
mod lifecycle;
mod lists;
mod matrix;
mod metrics;
mod migrations;
mod monitoring;
mod notifications;
mod oidc;
mod on_call;
mod openapi;
mod oracle;
mod outcomes;
mod overload;
mod packaging;
mod people;
mod process;
mod quarantine;
mod readme;
mod rehearsals;
mod rejections;
mod reload;
mod replication;
mod reports;
mod requests;
mod resolution;
mod result_policies;
mod results;
mod retention;
mod reviews;
mod roles;
mod row_bounds;
mod schemas;
mod sessions;
mod shared_tokens;
mod slack;
mod state_file;
mod strict;
mod support;
mod suspensions;
mod tidy;
mod tls;
mod tokens;
mod upgrades;
mod waiting;
