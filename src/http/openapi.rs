//! `GET /api/openapi.json`: the description of this API, written by hand and held against the table of routes.

use super::Door;
use super::call::Reply;
use super::replies;
use super::router::{Answer, Ask};

/// The document, OpenAPI 3.1.
pub const DOCUMENT: &str = include_str!("openapi.json");

/// `GET /api/openapi.json`
pub fn document(_: &Door, _: &Ask) -> Answer {
    Ok(Reply::with_body(200, replies::JSON, DOCUMENT))
}
