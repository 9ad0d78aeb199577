//! The plans of a request's statements on the screen.

use super::super::output::{indented, visible};
use crate::domain::query_plan;
use serde_json::Value;
use std::fmt::Write as _;

/// Each statement's plan, or why it has none.
pub fn printed(explained: &[Value]) -> String {
    let mut out = String::new();
    for one in explained {
        if let Value::String(error) = &one["error"] {
            let _ = writeln!(out, "  Plan       not explained: {}", visible(error));
            continue;
        }
        let steps = query_plan::steps(&one["plan"]).into_iter();
        let shown: String = steps.map(|step| format!("  {step}\n")).collect();
        let _ = write!(out, "  Plan\n{}", indented(&shown));
    }
    out
}
