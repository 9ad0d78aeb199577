//! The document that a client gets and that is stored of an execution.

use super::{ERROR_BYTES_MAX, ExecutionReport};
use crate::domain::request::ExecutionEnd;
use crate::error::{Error, cut};
use serde_json::value::RawValue;

/// The document that a client gets and that is stored: keys in the order existing clients know, the result exactly as
/// it came.
pub(super) fn envelope(
    execution_id: &str,
    end: ExecutionEnd,
    report: &ExecutionReport,
) -> Result<Vec<u8>, Error> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let error = report
        .error_message
        .as_ref()
        .map_or("null".to_owned(), |m| {
            quoted(&cut(m.clone(), ERROR_BYTES_MAX))
        });
    let data = match &report.result_data {
        None => "null".to_owned(),
        // JSON as it came, digit for digit; a text that is not JSON is kept as a string.
        Some(text) => match serde_json::from_str::<&RawValue>(text) {
            Ok(raw) => raw.get().to_owned(),
            Err(_) => quoted(text),
        },
    };
    let summary = result_summary(&data);
    let rows = report
        .rows_affected
        .or(summary.rows_affected)
        .map_or("null".to_owned(), |n| n.to_string());
    let truncated = report.truncated || summary.truncated.unwrap_or(false);
    Ok(format!(
        "{{\"_dbward_result\":true,\"error_message\":{error},\"execution_id\":{id},\"outcome\":\"{outcome}\",\
         \"outcome_unproven\":{unproven},\"result_data\":{data},\"rows_affected\":{rows},\"success\":{success},\
         \"truncated\":{truncated}}}",
        id = quoted(execution_id),
        outcome = end.outcome.as_str(),
        unproven = end.unproven,
        success = end.outcome.is_success(),
    )
    .into_bytes())
}

/// What the result says of itself.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct ResultSummary {
    rows_affected: Option<u64>,
    truncated: Option<bool>,
}

fn result_summary(data: &str) -> ResultSummary {
    if data.starts_with('{') {
        serde_json::from_str(data).unwrap_or_default()
    } else {
        ResultSummary::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::ExecutionOutcome;

    const COMMITTED: ExecutionEnd = ExecutionEnd {
        outcome: ExecutionOutcome::Committed,
        unproven: false,
    };

    #[test]
    fn the_envelope_keeps_every_digit_and_the_order_of_columns() {
        let report = ExecutionReport {
            success: true,
            result_data: Some(
                r#"{"rows":[{"z":12345678901234567890123,"a":1.10}],"truncated":true}"#.to_owned(),
            ),
            ..ExecutionReport::default()
        };
        let text = String::from_utf8(envelope("e", COMMITTED, &report).unwrap()).unwrap();
        assert!(text.contains(r#"{"z":12345678901234567890123,"a":1.10}"#));
        assert!(text.ends_with(r#""success":true,"truncated":true}"#));
    }

    #[test]
    fn a_result_that_is_not_json_is_a_string() {
        let report = ExecutionReport {
            success: true,
            result_data: Some("3 rows\n".to_owned()),
            ..ExecutionReport::default()
        };
        let text = String::from_utf8(envelope("e", COMMITTED, &report).unwrap()).unwrap();
        assert!(text.contains(r#""result_data":"3 rows\n""#));
    }
}
