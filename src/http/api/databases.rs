//! `GET /api/databases`: what the caller may see of what is registered.

use crate::actions::view_requests;
use crate::domain::actor::Caller;
use crate::http::Door;
use crate::http::replies;
use crate::http::router::{Answer, Ask};
use serde_json::{Value, json};

/// `GET /api/databases`
pub fn list(door: &Door, caller: &Caller, _: &Ask) -> Answer {
    let targets = view_requests::databases(&door.app, caller)?;
    let databases: Vec<Value> = targets
        .iter()
        .map(|t| json!({"database": t.database, "environment": t.environment}))
        .collect();
    replies::json(200, &json!({"databases": databases}))
}
