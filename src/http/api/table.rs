//! The tables inside an envelope, read row by row: whatever their size, only one row is taken apart at a time.

use crate::error::Error;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

/// An envelope, as far as rendering needs it.
#[derive(serde::Deserialize)]
pub(super) struct Envelope<'a> {
    /// What the agent reported.
    #[serde(borrow)]
    pub(super) result_data: Option<&'a RawValue>,
    /// Whether something was left out.
    #[serde(default)]
    pub(super) truncated: bool,
}

/// A table of a result, its rows as the text that came.
#[derive(serde::Deserialize)]
pub(super) struct EnvelopeTable<'a> {
    /// Its rows: an array of objects.
    #[serde(borrow)]
    pub(super) rows: &'a RawValue,
    /// Its columns, where the agent names them.
    #[serde(default)]
    pub(super) columns: Option<Vec<EnvelopeColumn>>,
    /// Cells whose type is not that of their column: row and column from 0, and the type; in that order.
    #[serde(default)]
    pub(super) cell_types: Vec<(usize, usize, String)>,
    /// Further tables of the same result.
    #[serde(borrow, default)]
    pub(super) more_results: Vec<EnvelopeTable<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub(super) struct EnvelopeColumn {
    /// As the database names it; columns may share a name.
    pub(super) name: String,
    /// The key of its cells.
    pub(super) key: String,
    /// As the database calls its type, or that of its first value.
    #[serde(default, rename = "type")]
    pub(super) kind: Option<String>,
}

/// A cell: its key, and its JSON as it came.
pub(super) type EnvelopeCell<'a> = (Cow<'a, str>, &'a RawValue);

/// The members of an object, in their order.
pub(super) fn object(text: &str) -> Option<Vec<EnvelopeCell<'_>>> {
    let mut members = Vec::new();
    let mut reader = serde_json::Deserializer::from_str(text);
    Row(&mut members).deserialize(&mut reader).ok()?;
    Some(members)
}

impl<'a> Envelope<'a> {
    /// # Errors
    /// `internal` for bytes that are not an envelope.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Envelope<'a>, Error> {
        serde_json::from_slice(bytes)
            .map_err(|e| Error::internal("a stored result is not an envelope", e))
    }

    /// The table it holds; `None` for a result without rows.
    pub(super) fn table(&self) -> Option<EnvelopeTable<'a>> {
        serde_json::from_str(self.result_data?.get()).ok()
    }
}

impl<'a> EnvelopeTable<'a> {
    /// Calls `each` with every row, in order. The row is reused: it is only good until the next.
    ///
    /// # Errors
    /// What `each` returns; `None` inside for rows that are not objects.
    pub(super) fn each_row<E>(
        &self,
        mut each: impl FnMut(&[EnvelopeCell<'a>]) -> Result<(), E>,
    ) -> Result<(), Option<E>> {
        let failed = RefCell::new(None);
        let mut row = Vec::new();
        let rows = RowsVisitor {
            row: &mut row,
            each: &mut |row: &[EnvelopeCell<'a>]| match each(row) {
                Ok(()) => true,
                Err(error) => {
                    failed.replace(Some(error));
                    false
                }
            },
        };
        let mut reader = serde_json::Deserializer::from_str(self.rows.get());
        rows.deserialize(&mut reader)
            .map_err(|_| failed.into_inner())
    }
}

/// Reads an array of rows.
struct RowsVisitor<'r, 'a, F> {
    row: &'r mut Vec<EnvelopeCell<'a>>,
    each: &'r mut F,
}

impl<'de, F: FnMut(&[EnvelopeCell<'de>]) -> bool> DeserializeSeed<'de> for RowsVisitor<'_, 'de, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(&[EnvelopeCell<'de>]) -> bool> Visitor<'de> for RowsVisitor<'_, 'de, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array of rows")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut rows: S) -> Result<(), S::Error> {
        while rows.next_element_seed(Row(self.row))?.is_some() {
            if !(self.each)(self.row) {
                return Err(S::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

/// Reads one row into a buffer.
struct Row<'r, 'a>(&'r mut Vec<EnvelopeCell<'a>>);

impl<'de> DeserializeSeed<'de> for Row<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a row object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        self.0.clear();
        while let Some(Key(key)) = map.next_key()? {
            self.0.push((key, map.next_value()?));
        }
        Ok(())
    }
}

/// A key, borrowed where it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }

        deserializer.deserialize_str(Reader)
    }
}
