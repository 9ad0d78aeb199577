//! Lists of the API as tables: which members of each item are shown, and how.

use super::super::output::{
    Grid, GridCell, GridColumn, OutputFormat, operation_words, short_id, visible,
};
use super::{CommandError, ServerSession};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Columns that a narrow terminal goes without, the first to go first.
const OPTIONAL: [&str; 12] = [
    "RISK", "TO", "USED", "SLACK", "VERSION", "TRIES", "FORMAT", "SIGNED", "OUTCOME", "REQUEST",
    "WHO", "ROWS",
];

/// How a member is shown to people. Programs get it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// May be cut on a terminal.
    Long,
    /// Its first characters.
    Id,
    Number,
    /// A number that few items have: a table in which none has one goes without it.
    RareNumber,
    /// How long ago.
    Time,
    /// How long, alone.
    Age,
    /// Two members, as `database / environment`.
    Where,
    Operation,
    /// An array, with commas.
    List,
    /// An array of databases and environments.
    Targets,
}

/// What a list shows.
pub struct Listing {
    /// The member of the answer that is the list.
    pub key: &'static str,
    /// Title, member and kind of each column. A path inside a member is written with `.`, and `|` stands between members
    /// of which the first counts that is not null.
    pub columns: &'static [(&'static str, &'static str, Kind)],
    /// The sentence for an empty one.
    pub empty: &'static str,
}

impl Listing {
    /// Fetches a list and prints the items that are wanted. Programs that ask for JSON get the answer as it came.
    pub fn print_filtered(
        &self,
        session: &ServerSession,
        path: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<u8, CommandError> {
        let document = session.client.fetch(path)?;
        let text = document.text();
        let (objects, items) = self.items(&text)?;
        let kept = objects
            .into_iter()
            .zip(items)
            .filter(|(_, item)| wanted(item));
        let (objects, items): (Vec<String>, Vec<Value>) = kept.unzip();
        self.show(session, &text, objects, &items, None)
    }

    /// Fetches and prints a list.
    pub fn print(&self, session: &ServerSession, path: &str) -> Result<u8, CommandError> {
        self.print_with(session, path, |_| None)
    }

    /// The same, with a last line made from the number of items.
    pub fn print_with(
        &self,
        session: &ServerSession,
        path: &str,
        foot: impl FnOnce(&[Value]) -> Option<String>,
    ) -> Result<u8, CommandError> {
        let document = session.client.fetch(path)?;
        let text = document.text();
        let (objects, items) = self.items(&text)?;
        let foot = foot(&items).filter(|_| !items.is_empty());
        self.show(session, &text, objects, &items, foot)
    }

    fn show(
        &self,
        session: &ServerSession,
        text: &str,
        objects: Vec<String>,
        items: &[Value],
        foot: Option<String>,
    ) -> Result<u8, CommandError> {
        let mut grid = Grid {
            columns: self.heads(),
            rows: items.iter().map(|item| self.row(session, item)).collect(),
            objects,
            empty: Some(self.empty),
            ids: true,
            optional: &OPTIONAL,
        };
        if session.screen.format() == OutputFormat::Table {
            for (at, (_, _, kind)) in self.columns.iter().enumerate().rev() {
                if *kind == Kind::RareNumber {
                    grid.drop_if_null(at);
                }
            }
        }
        session.screen.rows(text, &grid, foot.as_deref())?;
        Ok(0)
    }

    /// The items, as they came and as values.
    fn items(&self, text: &str) -> Result<(Vec<String>, Vec<Value>), CommandError> {
        let unexpected = |_| CommandError::new("the answer is not as expected");
        let members: BTreeMap<&str, &RawValue> = serde_json::from_str(text).map_err(unexpected)?;
        let list = members.get(self.key).map_or("[]", |list| list.get());
        let raw: Vec<&RawValue> = serde_json::from_str(list).map_err(unexpected)?;
        let values = raw
            .iter()
            .map(|item| serde_json::from_str(item.get()).map_err(unexpected));
        let values = values.collect::<Result<_, _>>()?;
        Ok((
            raw.iter().map(|item| item.get().to_owned()).collect(),
            values,
        ))
    }

    fn heads(&self) -> Vec<GridColumn> {
        let head = |(title, _, kind): &(&str, &str, Kind)| GridColumn {
            title: (*title).to_owned(),
            numeric: matches!(kind, Kind::Number | Kind::RareNumber | Kind::Age),
            shrinks: matches!(kind, Kind::Long | Kind::List | Kind::Targets),
        };
        self.columns.iter().map(head).collect()
    }

    fn row(&self, session: &ServerSession, item: &Value) -> Vec<GridCell> {
        let cell = |(_, member, kind): &(&str, &str, Kind)| cell(session, item, member, *kind);
        self.columns.iter().map(cell).collect()
    }
}

fn cell(session: &ServerSession, item: &Value, member: &str, kind: Kind) -> GridCell {
    if kind == Kind::Where {
        let names: Vec<String> = member
            .split(' ')
            .filter_map(|m| text_of(&item[m]))
            .collect();
        return GridCell {
            shown: Some(visible(&names.join(" / "))),
            raw: Some(names.join("/")),
        };
    }
    let inside = |path: &str| path.split('.').fold(item, |value, key| &value[key]);
    let mut values = member.split('|').map(inside);
    let value = values
        .find(|value| !value.is_null())
        .unwrap_or(&Value::Null);
    let raw = text_of(value);
    let text = raw.clone().unwrap_or_default();
    let shown = match kind {
        _ if raw.is_none() => Some("-".to_owned()),
        Kind::List if text.is_empty() => Some("-".to_owned()),
        _ if value.is_boolean() => Some(if text == "true" { "yes" } else { "no" }.to_owned()),
        Kind::Id => Some(short_id(&text)),
        Kind::Time => Some(session.ages.ago(&text)),
        Kind::Age => Some(session.ages.age(&text)),
        Kind::Operation => Some(operation_words(&text).to_owned()),
        Kind::Targets => Some(targets(value)),
        Kind::Long => Some(text.split_whitespace().collect::<Vec<_>>().join(" ")),
        Kind::Text | Kind::Number | Kind::RareNumber | Kind::List | Kind::Where => Some(text),
    };
    GridCell { shown, raw }
}

fn targets(value: &Value) -> String {
    let pairs = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |value: &Value| text_of(value).unwrap_or_default();
    let pair = |t: &Value| format!("{}/{}", name(&t["database"]), name(&t["environment"]));
    pairs.iter().map(pair).collect::<Vec<_>>().join(", ")
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(text_of).collect()
}

/// A value as text; `None` for null and for what is not there.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(_) => Some(texts(value).join(", ")),
        other => Some(other.to_string()),
    }
}
