//! What the audit events of all groups have in common.

use super::RequestRef;
use crate::domain::audit::{AuditEntry, EventOutcome};
use serde_json::{Map, Value};

/// An event about one thing, named by its kind and id.
pub(super) fn about(
    event_type: &'static str,
    category: &'static str,
    resource_type: &'static str,
    id: &str,
) -> AuditEntry {
    let mut e = AuditEntry::new(event_type, category, EventOutcome::Success);
    e.resource_type = Some(resource_type);
    e.resource_id = Some(id.to_owned());
    e
}

/// An event about a request.
pub(super) fn of_request(
    event_type: &'static str,
    category: &'static str,
    request: &RequestRef,
) -> AuditEntry {
    let mut e = about(event_type, category, "request", &request.id);
    e.request_id = Some(request.id.clone());
    e.operation = Some(request.operation.as_str());
    e.database = Some(request.target.database().to_owned());
    e.environment = Some(request.target.environment().to_owned());
    e
}

/// The fields of `value`; none where it is not an object.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
