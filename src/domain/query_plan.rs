//! What a database plans to do, as people read it: one line a step, the steps that feed it below it.

use crate::domain::sql::escaped_exactly;
use crate::error::counted;
use serde_json::Value;
use std::collections::HashMap;

/// Steps that are shown, and how deep they are followed.
const STEPS: usize = 20;

/// The steps of a plan, one a line, with what nobody sees written out; a plan of another shape as the text it is.
pub fn steps(plan: &Value) -> Vec<String> {
    lines(plan).unwrap_or_else(|| {
        let text = plan
            .as_str()
            .map_or_else(|| format!("{plan:#}"), str::to_owned);
        let lines = text.lines().take(STEPS);
        lines.map(|text| line(0, text)).collect()
    })
}

/// The plan of a database as lines; `None` for plans of another shape.
fn lines(plan: &Value) -> Option<Vec<String>> {
    let mut lines = of_sqlite(plan)
        .or_else(|| of_postgres(plan))
        .or_else(|| of_mysql(plan))?;
    lines.truncate(STEPS);
    Some(lines)
}

fn line(depth: usize, text: &str) -> String {
    format!("{}{}", "  ".repeat(depth), escaped_exactly(text))
}

/// Steps that name the one that they belong to.
fn of_sqlite(plan: &Value) -> Option<Vec<String>> {
    let mut depths: HashMap<i64, usize> = HashMap::new();
    let steps = plan.as_array().filter(|steps| !steps.is_empty())?;
    let step = |step: &Value| {
        let (id, parent) = (step["id"].as_i64()?, step["parent"].as_i64()?);
        let depth = depths
            .get(&parent)
            .map_or(0, |depth| (depth + 1).min(STEPS));
        depths.insert(id, depth);
        Some(line(depth, step["detail"].as_str()?))
    };
    steps.iter().map(step).collect()
}

/// Nodes that hold the nodes that feed them.
fn of_postgres(plan: &Value) -> Option<Vec<String>> {
    let top = plan.get(0).unwrap_or(plan).get("Plan")?;
    let mut lines = Vec::new();
    let mut open = vec![(0, top)];
    while let Some((depth, node)) = open.pop() {
        let mut text = node["Node Type"].as_str()?.to_owned();
        for (word, key) in [("using", "Index Name"), ("on", "Relation Name")] {
            if let Some(name) = node[key].as_str() {
                text.push_str(&format!(" {word} {name}"));
            }
        }
        if let Some(rows) = node["Plan Rows"].as_f64() {
            text.push_str(&format!(", about {}", counted(rows as u64, "row")));
        }
        lines.push(line(depth, &text));
        let inner = node["Plans"].as_array().into_iter().flatten().rev();
        open.extend(inner.map(|node| ((depth + 1).min(STEPS), node)));
    }
    Some(lines)
}

/// Objects in objects with tables among them, as MySQL and MariaDB write them.
fn of_mysql(plan: &Value) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    let mut open = vec![(0, "", plan.get("query_block")?)];
    while let Some((mut depth, key, value)) = open.pop() {
        let text = operation(key).map(str::to_owned).or_else(|| table(value));
        if let Some(text) = text.filter(|_| value.is_object()) {
            lines.push(line(depth, &text));
            depth = (depth + 1).min(STEPS);
        }
        match value {
            Value::Array(items) => open.extend(items.iter().rev().map(|item| (depth, "", item))),
            Value::Object(members) => {
                let inner = members.iter().rev();
                open.extend(inner.map(|(key, item)| (depth, key.as_str(), item)));
            }
            _ => {}
        }
    }
    (!lines.is_empty()).then_some(lines)
}

/// What a member stands for that holds the steps that feed it.
fn operation(key: &str) -> Option<&'static str> {
    Some(match key {
        "filesort" | "ordering_operation" => "sort",
        "temporary_table" => "temporary table",
        "grouping_operation" => "group",
        "duplicates_removal" => "distinct",
        _ => return None,
    })
}

/// How a table is read, where that is what the object tells.
fn table(object: &Value) -> Option<String> {
    let name = object["table_name"].as_str()?;
    let mut text = format!("{} on {name}", object["access_type"].as_str()?);
    if let Some(key) = object["key"].as_str() {
        text.push_str(&format!(" using {key}"));
    }
    let rows = ["rows_examined_per_scan", "rows"].map(|key| object[key].as_f64());
    if let Some(rows) = rows.into_iter().flatten().next() {
        text.push_str(&format!(", about {}", counted(rows as u64, "row")));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plans_are_trees_of_steps() {
        let sqlite = json!([
            {"id": 3, "parent": 0, "detail": "SEARCH o USING INDEX a"},
            {"id": 7, "parent": 0, "detail": "LIST SUBQUERY 1"},
            {"id": 9, "parent": 7, "detail": "SCAN t\u{1b}"},
        ]);
        assert_eq!(
            lines(&sqlite).unwrap(),
            [
                "SEARCH o USING INDEX a",
                "LIST SUBQUERY 1",
                "  SCAN t\\u{1b}"
            ]
        );
        let scan =
            |name: &str| json!({"Node Type": "Seq Scan", "Relation Name": name, "Plan Rows": 7});
        let postgres = json!([{"Plan": {
            "Node Type": "Hash Join", "Plan Rows": 12,
            "Plans": [scan("a"), {"Node Type": "Hash", "Plans": [scan("b")]}],
        }}]);
        assert_eq!(
            lines(&postgres).unwrap(),
            [
                "Hash Join, about 12 rows",
                "  Seq Scan on a, about 7 rows",
                "  Hash",
                "    Seq Scan on b, about 7 rows",
            ]
        );
        let one = json!([{"Plan": {"Node Type": "Result", "Plan Rows": 1}}]);
        assert_eq!(lines(&one).unwrap(), ["Result, about 1 row"]);
    }

    #[test]
    fn plans_of_mysql_and_mariadb_name_their_tables() {
        let mariadb = json!({"query_block": {"select_id": 1, "filesort": {"sort_key": "b.id", "temporary_table": {
            "nested_loop": [
                {"table": {"table_name": "a", "access_type": "range", "possible_keys": ["v"], "key": "v", "rows": 1}},
                {"block-nl-join": {"table": {"table_name": "b", "access_type": "ALL", "rows": 12}, "join_type": "BNL"}},
            ],
        }}}});
        assert_eq!(
            lines(&mariadb).unwrap(),
            [
                "sort",
                "  temporary table",
                "    range on a using v, about 1 row",
                "    ALL on b, about 12 rows",
            ]
        );
        let mysql = json!({"query_block": {"select_id": 1, "cost_info": {"query_cost": "1.00"}, "table": {
            "delete": true, "table_name": "t\u{1b}", "access_type": "const", "rows_examined_per_scan": 2, "rows": 9,
        }}});
        assert_eq!(lines(&mysql).unwrap(), ["const on t\\u{1b}, about 2 rows"]);
    }

    #[test]
    fn a_plan_of_another_shape_is_left_as_it_is() {
        for other in [
            json!("Seq Scan on t"),
            json!({"query_block": {"select_id": 1}}),
            json!([]),
            json!([{"id": 1}]),
            json!(null),
        ] {
            assert_eq!(lines(&other), None, "{other}");
        }
    }
}
