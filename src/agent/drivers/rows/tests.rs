//! Rows as JSON: values, keys and limits.

use super::*;

fn keys(names: &[&str]) -> Vec<String> {
    unique_keys(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())
}

#[test]
fn equal_names_get_keys_of_their_own() {
    assert_eq!(keys(&["id", "name", "id"]), ["id", "name", "id_2"]);
    assert_eq!(keys(&["id", "id", "id_2"]), ["id", "id_3", "id_2"]);
    assert_eq!(
        keys(&["id_2", "id", "id", "id"]),
        ["id_2", "id", "id_3", "id_4"]
    );
    assert_eq!(keys(&["", ""]), ["", "_2"]);
    // As many columns as SQLite allows, all of one name, are quick.
    assert_eq!(keys(&["x"; 2000])[1999], "x_2000");
}

#[test]
fn values_keep_every_digit() {
    let rows = [
        (Cell::Null, "null"),
        (Cell::Integer(i64::MIN), "-9223372036854775808"),
        (Cell::Integer(9_007_199_254_740_993), "9007199254740993"),
        (Cell::Real(0.1), "0.1"),
        (Cell::Real(1.0), "1.0"),
        (Cell::Real(-0.0), "-0.0"),
        (Cell::Real(1e300), "1e300"),
        (Cell::Real(f64::NAN), "\"NaN\""),
        (Cell::Real(f64::NEG_INFINITY), "\"-Infinity\""),
        (Cell::Text(b"a\"\n\x01"), "\"a\\\"\\n\\u0001\""),
        (Cell::Text(&[0x61, 0xff]), "\"\\\\x61ff\""),
        (Cell::Bytes(&[0, 0xab]), "\"\\\\x00ab\""),
    ];
    for (cell, json) in rows {
        let mut out = String::new();
        push_cell(&mut out, cell);
        assert_eq!(out, json);
        serde_json::from_str::<serde_json::Value>(&out).unwrap();
    }
}

#[test]
fn only_a_row_that_is_there_makes_a_result_truncated() {
    let mut rows = ResultRows::new(vec![("n".into(), None)], 2);
    assert!(rows.push(|_| Cell::Integer(1)) && rows.push(|_| Cell::Integer(2)));
    assert!(!rows.truncated());
    assert!(!rows.push(|_| Cell::Integer(3)) && rows.truncated());
    assert_eq!(
        rows.finish(),
        "{\"columns\":[{\"name\":\"n\",\"key\":\"n\",\"type\":\"integer\"}],\
         \"rows\":[{\"n\":1},{\"n\":2}],\"truncated\":true,\
         \"truncation_reason\":\"row limit reached (2)\"}"
    );
}

#[test]
fn row_that_would_be_too_large_is_left_out_whole() {
    let mut rows = ResultRows::new(vec![("a".into(), None), ("b".into(), None)], 10);
    let large = vec![b'x'; ROWS_BYTES_MAX];
    assert!(rows.push(|_| Cell::Integer(1)));
    assert!(!rows.push(|n| match n {
        0 => Cell::Integer(2),
        _ => Cell::Text(&large),
    }));
    let json: serde_json::Value = serde_json::from_str(&rows.finish()).unwrap();
    assert_eq!(json["rows"], serde_json::json!([{"a": 1, "b": 1}]));
    assert_eq!(json["truncation_reason"], "size limit reached (10 MB)");
}

#[test]
fn results_with_their_columns_keep_to_the_size_limit() {
    let wide = |n: usize| -> Vec<_> {
        let name = |n| format!("column_{n}_{}", "n".repeat(80));
        (0..n).map(|n| (name(n), None)).collect()
    };
    let value = vec![b'x'; 40];
    let mut filled = Results::new(u64::MAX, ROWS_BYTES_MAX);
    assert!(filled.begin(wide(40)));
    while filled.last().unwrap().push(|_| Cell::Text(&value)) {}
    assert!(filled.truncated());
    let json = filled.finish();
    assert!(json.len() <= ROWS_BYTES_MAX && json.len() > ROWS_BYTES_MAX - (64 << 10));
    // Columns alone are too much at last.
    let mut many = Results::new(u64::MAX, ROWS_BYTES_MAX);
    let begun = (0..RESULTS_MAX).filter(|_| many.begin(wide(2000))).count();
    assert!(begun > 10 && begun < RESULTS_MAX && many.truncated());
    let json = many.finish();
    assert!(json.len() <= ROWS_BYTES_MAX);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["truncation_reason"], "size limit reached (10 MB)");
}
