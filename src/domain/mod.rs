//! The rules: pure functions and the values they work on. No clock, no I/O, no order that depends on a hash map.

pub mod accounts;
pub mod actor;
pub mod agent;
pub mod approval;
pub mod audit;
pub mod chain;
pub mod change;
pub mod characters;
pub mod commitment;
pub mod decision;
pub mod delivery;
pub mod dialect;
pub mod execution;
pub mod execution_token;
pub mod facts;
pub mod feature;
pub mod head;
pub mod id;
pub mod jwt;
mod kept;
pub mod migration;
pub mod permission;
pub mod policy;
pub mod query_plan;
pub mod reach;
pub mod rehearsal;
pub mod rehearsal_token;
pub mod request;
pub mod risk;
pub mod risk_level;
pub mod row_bound;
pub mod schema;
pub mod scope;
pub mod server_lease;
pub mod session;
pub mod sign_in;
pub mod sql;
pub mod token;
pub mod user;
pub mod visibility;

#[cfg(test)]
mod tests;
