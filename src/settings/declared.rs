//! Tables that are declared: `section!`, the types that its fields may have, and how each is read.

use super::problem::{GivenSecret, Location, Notes, Spanned};
use super::section::{Number, Section, Text, Texts};
use crate::declare::{KeyKind, KeySpec, Plain, TableSpec};
use std::path::{Path, PathBuf};

/// A table that is declared with `section!`.
pub trait Declared: Sized {
    /// Its keys.
    const TABLE: TableSpec;
    /// Its values, absent ones included.
    fn read(section: &Section<'_>) -> Self;
}

/// A type of values that stand for themselves until they are checked against others.
pub trait Setting: Sized {
    /// What a file may have for it.
    const KIND: KeyKind;
    /// The value at `key`; where it is wrong, as if it were absent.
    fn read(section: &Section<'_>, key: &str) -> Self;
}

impl Setting for Text {
    const KIND: KeyKind = KeyKind::Text;
    fn read(section: &Section<'_>, key: &str) -> Text {
        section.text(key)
    }
}

impl Setting for Option<bool> {
    const KIND: KeyKind = KeyKind::Flag;
    fn read(section: &Section<'_>, key: &str) -> Option<bool> {
        section.flag(key)
    }
}

impl Setting for Number {
    const KIND: KeyKind = KeyKind::Number {
        min: 0,
        max: u64::MAX,
    };
    fn read(section: &Section<'_>, key: &str) -> Number {
        section.number(key)
    }
}

impl Setting for Texts {
    const KIND: KeyKind = KeyKind::Texts { max: 0 };
    fn read(section: &Section<'_>, key: &str) -> Texts {
        section.texts(key)
    }
}

impl Setting for Vec<(String, Spanned<String>)> {
    const KIND: KeyKind = KeyKind::TextsByName { max: 0 };
    fn read(section: &Section<'_>, key: &str) -> Vec<(String, Spanned<String>)> {
        section.texts_by_name(key)
    }
}

impl<T: Declared> Setting for Option<T> {
    const KIND: KeyKind = KeyKind::Table(&T::TABLE);
    fn read(section: &Section<'_>, key: &str) -> Option<T> {
        section.section(key).map(|s| T::read(&s))
    }
}

/// A table that reads as an empty one where it is absent.
#[derive(Debug)]
pub struct OrEmpty<T>(pub T);

impl<T> std::ops::Deref for OrEmpty<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Declared> Setting for OrEmpty<T> {
    const KIND: KeyKind = <Option<T>>::KIND;
    fn read(section: &Section<'_>, key: &str) -> OrEmpty<T> {
        OrEmpty(T::read(&section.section_or_empty(key)))
    }
}

impl<T: Declared> Setting for Vec<T> {
    const KIND: KeyKind = KeyKind::Tables {
        of: &T::TABLE,
        max: 0,
    };
    fn read(section: &Section<'_>, key: &str) -> Vec<T> {
        section.sections(key).iter().map(T::read).collect()
    }
}

/// With the place of the list.
impl<T: Declared> Setting for Spanned<Vec<T>> {
    const KIND: KeyKind = <Vec<T>>::KIND;
    fn read(section: &Section<'_>, key: &str) -> Spanned<Vec<T>> {
        Spanned {
            value: Setting::read(section, key),
            at: section.place(key),
        }
    }
}

/// One table, or several.
#[derive(Debug)]
pub struct OneOrMore<T>(pub Vec<T>);

impl<T: Declared> Setting for OneOrMore<T> {
    const KIND: KeyKind = KeyKind::TableOrTables {
        of: &T::TABLE,
        max: 0,
    };
    fn read(section: &Section<'_>, key: &str) -> OneOrMore<T> {
        let all = section.section_or_sections(key);
        OneOrMore(all.iter().map(T::read).collect())
    }
}

/// A secret that stands in the file itself, or in one that the key with `_file` after it names.
pub struct RawSecret {
    /// Where the key of the secret stands, or would.
    pub at: Location,
    /// The secret itself.
    pub raw: Text,
    /// The path of its file.
    pub file: Text,
}

/// Without its values.
impl std::fmt::Debug for RawSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawSecret")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl RawSecret {
    /// Key path of the file's key.
    pub fn file_key(&self) -> String {
        format!("{}_file", self.at.key)
    }

    /// Where it stands, itself or as a file, if it does.
    pub fn given_at(&self) -> Option<&Location> {
        let given = self.raw.as_ref().or(self.file.as_ref());
        given.map(|given| &given.at)
    }
}

impl Setting for RawSecret {
    const KIND: KeyKind = KeyKind::Secret;
    fn read(section: &Section<'_>, key: &str) -> RawSecret {
        let secret = RawSecret {
            at: section.place(key),
            raw: section.text(key),
            file: section.text(&format!("{key}_file")),
        };
        if let Some(at) = secret.given_at() {
            section.note_secret(GivenSecret {
                at: at.clone(),
                file: secret.file.as_ref().map(|file| file.value.clone()),
            });
        }
        secret
    }
}

/// The path of `raw`, as far as it is absolute or `base` is, without `.` in it.
pub fn path(raw: &Spanned<String>, base: &Path, notes: &mut Notes) -> Option<PathBuf> {
    if raw.value.is_empty() || raw.value.contains('\0') {
        notes.problem(&raw.at, "not a path");
        return None;
    }
    match std::path::absolute(base.join(&raw.value)) {
        Ok(path) => Some(path),
        Err(e) => {
            notes.problem(&raw.at, format!("cannot make the path absolute: {e}"));
            None
        }
    }
}

/// A struct of values that have to be checked against others, each declared by its meaning, name, type, largest length
/// or bounds, and what the example shows. `as "name"` is for a key that Rust cannot name. Structs in `[..]`, before or
/// after, have keys in the same table: of plain values (`declare!`), or declared like this one.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        pub struct $name:ident $([$($part:ident: $of:ty),*])? { $(
            $(#[doc = $doc:literal])*
            $field:ident $(as $key:literal)?: $type:ty
                $(, within $min:literal ..= $max:expr)? $(, shown $shown:expr)?;
        )* } $([$($after:ident: $then:ty),*])?
    ) => {
        $(#[doc = $about])*
        #[derive(Debug)]
        pub struct $name {
            /// Where it stands.
            #[allow(dead_code)] // Not every table is complained about as a whole.
            pub at: $crate::settings::Location,
            $($(pub $part: $of,)*)?
            $($(#[doc = $doc])* pub $field: $type,)*
            $($(pub $after: $then,)*)?
        }

        impl $crate::settings::Declared for $name {
            const TABLE: $crate::declare::TableSpec = $crate::declare::TableSpec {
                doc: &[$($about),*],
                keys: &[
                    $($(<$of as $crate::settings::Part>::KEYS,)*)?
                    <$name as $crate::settings::Part>::KEYS,
                    $($(<$then as $crate::settings::Part>::KEYS,)*)?
                ],
            };
            fn read(section: &$crate::settings::Section<'_>) -> Self {
                <$name as $crate::settings::Part>::read(section)
            }
        }

        impl $crate::settings::Part for $name {
            const KEYS: &'static [$crate::declare::KeySpec] = &[$($crate::declare::KeySpec {
                name: $crate::settings::section!(@name $field $($key)?),
                doc: &[$($doc),*],
                kind: <$type as $crate::settings::Setting>::KIND $(.within($min, $max as u64))?,
                shown: || $crate::settings::section!(@shown $($shown)?),
            },)*];
            fn read(section: &$crate::settings::Section<'_>) -> Self {
                $name {
                    at: section.at.clone(),
                    $($($part: $crate::settings::Part::read(section),)*)?
                    $($field: $crate::settings::Setting::read(
                        section,
                        $crate::settings::section!(@name $field $($key)?),
                    ),)*
                    $($($after: $crate::settings::Part::read(section),)*)?
                }
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $key:literal) => { $key };
    (@shown) => { String::new() };
    (@shown $shown:expr) => { $shown.to_string() };
}
pub(crate) use section;

/// Some of the keys of a table.
pub trait Part: Sized {
    const KEYS: &'static [KeySpec];
    /// Their values.
    fn read(section: &Section<'_>) -> Self;
}

impl<P: Plain> Part for P {
    const KEYS: &'static [KeySpec] = <P as Plain>::KEYS;
    fn read(section: &Section<'_>) -> P {
        let mut plain = P::plain();
        section.fill(&mut plain);
        plain
    }
}

/// The places of all keys that a table has, whatever their values.
#[derive(Debug)]
pub struct Present(pub Vec<Location>);

impl Part for Present {
    const KEYS: &'static [KeySpec] = &[];
    fn read(section: &Section<'_>) -> Present {
        Present(section.present())
    }
}
