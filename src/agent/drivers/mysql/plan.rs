//! What of a plan of MySQL or MariaDB anybody may read. The optimizer reads rows while it plans, those that a whole key
//! names, and writes their values into conditions, sort keys and errors; whether such a row fits the rest of the
//! statement shows in the form of the plan. So only names and numbers are passed on, and where rows were read nothing
//! but that.

use serde_json::{Value, json};

/// Members whose text names tables, keys, columns or ways to go about them. All other text may hold an expression.
const NAMES: [&str; 20] = [
    "access_type",
    "buffer_size",
    "buffer_type",
    "data_read_per_join",
    "eval_cost",
    "filtered",
    "first_match",
    "join_type",
    "key",
    "key_length",
    "keys",
    "partitions",
    "possible_keys",
    "prefix_cost",
    "query_cost",
    "read_cost",
    "ref",
    "sort_cost",
    "table_name",
    "used_key_parts",
];

/// Messages that no row has a part in.
const OF_NO_ROW: [&str; 2] = ["No tables used", "Deleting all rows"];

/// Ways of access of a table whose only row was read.
const READ: [&str; 2] = ["const", "system"];

/// The plan instead of one that depends on values of rows.
pub(super) fn of_rows() -> String {
    let message = "the server reads rows while it plans this, such as one that a whole key names; what it makes of their \
                   values is left out";
    json!({"query_block": {"select_id": 1, "table": {"message": message}}}).to_string()
}

/// `plan` without what it may tell of values; `None` for other text than a plan.
pub(super) fn without_values(plan: &str) -> Option<String> {
    let mut plan: Value = serde_json::from_str(plan).ok()?;
    if !plan.is_object() {
        return None;
    }
    match keep_names(&mut plan) {
        true => Some(plan.to_string()),
        false => Some(of_rows()),
    }
}

/// Leaves out all text that may hold values; whether no row was read for it. The parser follows 128 levels at most.
fn keep_names(value: &mut Value) -> bool {
    match value {
        // A list of names is looked at with its name. Where one item is of a row, nothing of the plan is shown.
        Value::Array(items) => items.iter_mut().all(keep_names),
        Value::Object(members) => {
            let text_of = |key: &str| members.get(key).and_then(Value::as_str);
            let no_row = text_of("access_type").is_none_or(|way| !READ.contains(&way))
                && members.get("message").is_none_or(|message| {
                    message
                        .as_str()
                        .is_some_and(|text| OF_NO_ROW.contains(&text))
                });
            let is_text = |value: &Value| match value {
                Value::String(_) => true,
                Value::Array(items) => items.iter().any(Value::is_string),
                _ => false,
            };
            members.retain(|key, value| {
                !is_text(value) || key == "message" || NAMES.contains(&key.as_str())
            });
            members
                .values_mut()
                .fold(no_row, |kept, member| keep_names(member) && kept)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_names_tables_and_tells_no_values() {
        let plan = json!({"query_block": {
            "select_id": 1,
            "cost_info": {"query_cost": "1.20"},
            "const_condition": "'MARKER' is not null",
            "having_condition": "count(0) > 'MARKER'",
            "filesort": {"sort_key": "concat(n.note,'MARKER')", "temporary_table": {"nested_loop": [
                {"table": {
                    "table_name": "n", "access_type": "ref", "possible_keys": ["note", "id"], "key": "note",
                    "key_length": "203", "used_key_parts": ["note"], "ref": ["const"], "rows": 7, "filtered": 100,
                    "attached_condition": "n.note <> 'MARKER'", "using_index": true,
                }},
                {"block-nl-join": {
                    "table": {"table_name": "c", "access_type": "ALL", "index_condition": "c.a = 'MARKER'"},
                    "join_type": "BNL", "anything_new": ["'MARKER'"], "attached_condition": "c.a = 'MARKER'",
                }},
            ]}},
            "subqueries": [{"query_block": {"select_id": 2, "table": {"message": "No tables used"}}}],
        }});
        let expected = json!({"query_block": {
            "select_id": 1,
            "cost_info": {"query_cost": "1.20"},
            "filesort": {"temporary_table": {"nested_loop": [
                {"table": {
                    "table_name": "n", "access_type": "ref", "possible_keys": ["note", "id"], "key": "note",
                    "key_length": "203", "used_key_parts": ["note"], "ref": ["const"], "rows": 7, "filtered": 100,
                    "using_index": true,
                }},
                {"block-nl-join": {"table": {"table_name": "c", "access_type": "ALL"}, "join_type": "BNL"}},
            ]}},
            "subqueries": [{"query_block": {"select_id": 2, "table": {"message": "No tables used"}}}],
        }});
        let shown: Value =
            serde_json::from_str(&without_values(&plan.to_string()).unwrap()).unwrap();
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_plan_made_of_rows_is_always_the_same() {
        for table in [
            json!({"table_name": "c", "access_type": "const", "rows": 1}),
            json!({"table_name": "<derived2>", "access_type": "system", "rows": 1}),
            json!({"message": "Impossible WHERE noticed after reading const tables"}),
            json!({"message": "Impossible WHERE"}),
            json!({"message": {"new": 1}}),
        ] {
            let plan = json!({"query_block": {"select_id": 1, "nested_loop": [
                {"table": {"table_name": "n", "access_type": "ALL", "rows": 9}},
                {"materialized": {"query_block": {"table": table}}},
            ]}});
            assert_eq!(without_values(&plan.to_string()), Some(of_rows()), "{plan}");
        }
        for other in ["", "-> Filter: (c.a = 'MARKER')", "[1]", "\"MARKER\""] {
            assert_eq!(without_values(other), None, "{other}");
        }
    }
}
