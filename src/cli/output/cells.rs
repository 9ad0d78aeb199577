//! The tables of a result: rows of JSON objects whose cells are kept as they came, digit for digit.

use super::grid::{Grid, GridCell, GridColumn};
use serde_json::value::RawValue;
use std::collections::HashSet;

/// A cell and its key.
type KeyedCell<'a> = (String, &'a RawValue);

impl Grid {
    /// The rows of a result; `None` where an element is not an object. `columns` are name, key and type, where the
    /// agent names them.
    pub fn of_rows(rows: &RawValue, columns: Option<&[(String, String, String)]>) -> Option<Grid> {
        let rows: Vec<&RawValue> = serde_json::from_str(rows.get()).ok()?;
        let objects: Vec<Vec<KeyedCell>> =
            rows.iter().map(|row| object(row)).collect::<Option<_>>()?;
        let columns = match columns {
            Some(columns) => columns.to_vec(),
            None => keys_of(&objects),
        };
        let numeric = |key: &str| {
            let cells = objects
                .iter()
                .flat_map(|row| row.iter().filter(|(k, _)| k == key));
            let mut seen = false;
            for (_, cell) in cells {
                match cell.get().as_bytes().first() {
                    Some(b'n') => {}
                    Some(b'-' | b'0'..=b'9') => seen = true,
                    _ => return false,
                }
            }
            seen
        };
        let heads = columns.iter().map(|(name, key, _)| GridColumn {
            title: super::visible(name).replace('\n', "\\n"),
            numeric: numeric(key),
            shrinks: !numeric(key),
        });
        let cells = objects.iter().map(|row| {
            let cell = |key: &str| row.iter().find(|(k, _)| k == key).map(|(_, value)| *value);
            let cells = columns.iter().map(|(_, key, _)| cell_of(cell(key)));
            cells.collect()
        });
        Some(Grid {
            columns: heads.collect(),
            rows: cells.collect(),
            objects: rows.iter().map(|row| row.get().to_owned()).collect(),
            empty: None,
            ids: false,
            optional: &[],
        })
    }
}

/// A value of JSON as a cell: texts without their quotes, all else as it stands.
pub fn cell_of(value: Option<&RawValue>) -> GridCell {
    let Some(value) = value.map(RawValue::get).filter(|text| *text != "null") else {
        return GridCell::null();
    };
    match value.starts_with('"') {
        true => serde_json::from_str::<String>(value)
            .map_or_else(|_| GridCell::text(value), GridCell::text),
        false => GridCell::text(value),
    }
}

/// The keys of all rows, in the order in which they first occur: name, key and no type.
fn keys_of(objects: &[Vec<KeyedCell>]) -> Vec<(String, String, String)> {
    let mut known = HashSet::new();
    let keys = objects.iter().flatten().map(|(key, _)| key);
    let new = keys.filter(|key| known.insert((*key).clone()));
    new.map(|key| (key.clone(), key.clone(), String::new()))
        .collect()
}

/// The members of an object, in their order.
fn object(row: &RawValue) -> Option<Vec<KeyedCell<'_>>> {
    struct Members;

    impl<'de> serde::de::Visitor<'de> for Members {
        type Value = Vec<KeyedCell<'de>>;

        fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            f.write_str("a row object")
        }

        fn visit_map<M: serde::de::MapAccess<'de>>(
            self,
            mut map: M,
        ) -> Result<Self::Value, M::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry::<String, &RawValue>()? {
                members.push(member);
            }
            Ok(members)
        }
    }

    let mut reader = serde_json::Deserializer::from_str(row.get());
    serde::Deserializer::deserialize_map(&mut reader, Members).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_keep_their_order_and_every_digit() {
        let rows = r#"[{"b":9007199254740993,"a":"x\u0000"},{"b":null,"c":[1, 2]}]"#;
        let raw: &RawValue = serde_json::from_str(rows).unwrap();
        let grid = Grid::of_rows(raw, None).unwrap();
        let titles: Vec<&str> = grid.columns.iter().map(|c| c.title.as_str()).collect();
        assert_eq!(titles, ["b", "a", "c"]);
        assert_eq!(grid.rows[0][0], GridCell::text("9007199254740993"));
        assert_eq!(grid.rows[0][1], GridCell::text("x\0"));
        assert_eq!(
            grid.rows[1],
            [GridCell::null(), GridCell::null(), GridCell::text("[1, 2]")]
        );
        assert!(grid.columns[0].numeric && !grid.columns[1].numeric);
        assert!(Grid::of_rows(serde_json::from_str("[1]").unwrap(), None).is_none());
    }
}
