//! What agents say of the tables of their databases, accepted and shown.

use crate::actions::schemas::{self, Described, Description};
use crate::domain::actor::Caller;
use crate::http::HttpContext;
use crate::http::replies;
use crate::http::route::{HandlerResult, RoutedRequest};
use serde_json::{Map, Value, json};

/// `POST /api/agent/schema-sync`
pub fn sync(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let body = ask.body()?;
    // Read whole, so that what a strict reader refuses is a 400 here and nothing that fails later; kept as it came.
    body.value("snapshot")?;
    let input = Description {
        database: body.needed_text("database")?,
        environment: body.needed_text("environment")?,
        dialect: body.needed_text("dialect")?,
        status: body.needed_text("status")?,
        snapshot: body.raw("snapshot").map(str::to_owned),
        error_message: body.text("error_message")?,
    };
    schemas::sync(&context.app, caller, input)?;
    replies::json(200, &json!({"status": "accepted"}))
}

/// `GET /api/schemas/{database}`: names and counts; everything with `summary=false`, or of one `table`.
pub fn show(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let query = ask.query();
    let (environment, table) = (query.text("environment")?, query.text("table")?);
    let summary = query.flag("summary")?.unwrap_or(true);
    let found = schemas::show(
        &context.app,
        caller,
        ask.id(),
        environment.as_deref(),
        table.as_deref(),
    )?;
    let mut answer = head(&found);
    match (table.is_some(), summary) {
        (true, _) => answer.insert("table".into(), found.tables.into_iter().next().into()),
        (false, true) => answer.insert(
            "tables".into(),
            found.tables.iter().map(summary_of).collect(),
        ),
        (false, false) => answer.insert("tables".into(), found.tables.into()),
    };
    replies::json(200, &Value::Object(answer))
}

/// What every description shows, its age and the last attempt to renew it included.
fn head(found: &Described) -> Map<String, Value> {
    let row = &found.row;
    let head = json!({
        "database": found.target.database(),
        "environment": found.target.environment(),
        "dialect": row.dialect.as_str(),
        "status": "ready",
        "collected_at": row.collected_at.map(|t| t.rfc3339()),
        "agent_id": row.agent_id,
        "last_sync": {
            "status": row.last_status,
            "at": row.last_sync.rfc3339(),
            "error_message": row.last_error,
        },
    });
    match head {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn summary_of(table: &Value) -> Value {
    let count = |list: &str| table[list].as_array().map_or(0, Vec::len);
    json!({
        "name": table["name"],
        "schema_name": table["schema_name"],
        "estimated_rows": table["estimated_rows"],
        "column_count": count("columns"),
        "constraint_count": count("constraints"),
        "index_count": count("indexes"),
    })
}
