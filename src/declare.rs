//! What a key of a configuration file is, declared once: its name, type, bounds, default and meaning.
//!
//! [`declare!`](crate::declare) makes a struct of values that need no check but their type and bounds. Its
//! declaration is all there is of such a key: the reader fills the struct from it, and server.toml.example is written
//! from it. Values that have to be checked against others are declared with `section!` in `settings`, in the same form.
//!
//! Here is data only: what reads files is in `settings`, which the rules do not see.

/// A table of a configuration file.
#[derive(Debug)]
pub struct TableSpec {
    /// What it is for, one line of a doc comment each.
    pub doc: &'static [&'static str],
    /// Its keys, by the struct that declares them.
    pub keys: &'static [&'static [KeySpec]],
}

impl TableSpec {
    /// Its keys, in the order of their declaration.
    pub fn keys(&self) -> impl Iterator<Item = &'static KeySpec> {
        let all = self.keys.iter().flat_map(|keys| keys.iter());
        all.filter(|key| !matches!(key.kind, KeyKind::Internal))
    }

    /// The names of its keys. A secret has a second one, for a file that holds it.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.keys().flat_map(|key| {
            let file = matches!(key.kind, KeyKind::Secret).then(|| format!("{}_file", key.name));
            [key.name.to_owned()].into_iter().chain(file)
        })
    }

    pub fn find(&self, name: &str) -> Option<&'static KeySpec> {
        self.keys().find(|key| {
            let file = || name.strip_suffix("_file") == Some(key.name);
            key.name == name || (matches!(key.kind, KeyKind::Secret) && file())
        })
    }
}

/// A key of a table.
#[derive(Debug)]
pub struct KeySpec {
    pub name: &'static str,
    /// What it means, one line of a doc comment each; empty where the key above speaks for both.
    pub doc: &'static [&'static str],
    /// What may be its value.
    pub kind: KeyKind,
    /// The default, or an example of what has none, as TOML.
    pub shown: fn() -> String,
}

/// What may be the value of a key.
#[derive(Debug, Clone, Copy)]
pub enum KeyKind {
    /// No key at all, but a field that its own code fills.
    Internal,
    /// `true` or `false`.
    Flag,
    /// A whole number within bounds.
    Number {
        min: u64,
        max: u64,
    },
    /// A string, which its reader checks.
    Text,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// A list of strings.
    Texts {
        /// Most entries.
        max: usize,
    },
    /// A table whose keys are names of the operator's own, each with a string.
    TextsByName {
        /// Most entries.
        max: usize,
    },
    /// A string that must not be seen, or the file that holds it, under this key with `_file` after it.
    Secret,
    Table(&'static TableSpec),
    /// A list of tables.
    Tables {
        /// Each of them.
        of: &'static TableSpec,
        /// Most entries.
        max: usize,
    },
    /// A table, or a list of them.
    TableOrTables {
        /// Each of them.
        of: &'static TableSpec,
        /// Most entries.
        max: usize,
    },
}

impl KeyKind {
    /// The same within these bounds: of a number its value, of a list its length.
    pub const fn within(self, min: u64, max: u64) -> KeyKind {
        let entries = max as usize;
        match self {
            KeyKind::Number { .. } => KeyKind::Number { min, max },
            KeyKind::Texts { .. } => KeyKind::Texts { max: entries },
            KeyKind::TextsByName { .. } => KeyKind::TextsByName { max: entries },
            KeyKind::Tables { of, .. } => KeyKind::Tables { of, max: entries },
            KeyKind::TableOrTables { of, .. } => KeyKind::TableOrTables { of, max: entries },
            other => other,
        }
    }

    /// The table that stands at such a key.
    pub fn table(&self) -> Option<&'static TableSpec> {
        match self {
            KeyKind::Table(of) | KeyKind::Tables { of, .. } | KeyKind::TableOrTables { of, .. } => {
                Some(of)
            }
            _ => None,
        }
    }
}

/// What a file has at a key: of the declared type, within the bounds.
#[derive(Debug, Clone, Copy)]
pub enum Given<'a> {
    /// Of [`KeyKind::Flag`].
    Flag(bool),
    /// Of [`KeyKind::Number`].
    Number(u64),
    /// Of [`KeyKind::Word`].
    Word(&'a str),
}

/// A type of values that need no check but their type and bounds.
pub trait Value: Sized {
    /// What a file may have for it.
    const KIND: KeyKind;
    /// The value; `None` for what is not of the kind.
    fn of(given: Given<'_>) -> Option<Self>;
    /// The value as TOML.
    fn shown(&self) -> String;
}

/// A struct of such values.
pub trait Plain: Sized {
    const KEYS: &'static [KeySpec];
    /// Every value at its default.
    fn plain() -> Self;
    /// Sets the value of the key of that name.
    fn set(&mut self, name: &str, given: Given<'_>);
    /// The names of the keys that have other values in `other`.
    fn changed(&self, other: &Self) -> Vec<&'static str>;
}

impl Value for bool {
    const KIND: KeyKind = KeyKind::Flag;
    fn of(given: Given<'_>) -> Option<bool> {
        match given {
            Given::Flag(flag) => Some(flag),
            _ => None,
        }
    }
    fn shown(&self) -> String {
        self.to_string()
    }
}

macro_rules! number {
    ($($type:ty)*) => {$(
        impl Value for $type {
            const KIND: KeyKind = KeyKind::Number { min: 0, max: <$type>::MAX as u64 };
            fn of(given: Given<'_>) -> Option<$type> {
                match given {
                    Given::Number(number) => number.try_into().ok(),
                    _ => None,
                }
            }
            fn shown(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
number!(u32 u64 usize i64);

/// A value that may be absent; what the example shows for it is declared.
impl<T: Value> Value for Option<T> {
    const KIND: KeyKind = T::KIND;
    fn of(given: Given<'_>) -> Option<Option<T>> {
        T::of(given).map(Some)
    }
    fn shown(&self) -> String {
        self.as_ref().map(T::shown).unwrap_or_default()
    }
}

/// A struct of [`Value`]s, each declared by its meaning, name, type and default:
///
/// ```
/// dbward::declare! {
///     /// What it is for.
///     #[derive(Debug)]
///     pub struct Logging {
///         /// Bytes of one line.
///         line_bytes: u32 = 4096, within 64..=65536;
///         /// Lines kept. Without a default of its own, it says what the example shows.
///         lines: Option<u64> = None, within 1..=100, shown "10";
///     }
/// }
/// use dbward::declare::{Given, Plain};
/// let mut logging = Logging::plain();
/// logging.set("lines", Given::Number(3));
/// assert_eq!((logging.line_bytes, logging.lines), (4096, Some(3)));
/// assert_eq!((Logging::KEYS[1].shown)(), "10");
/// ```
///
/// A field without a default is not a key: it begins as its type's default, and its own code fills it.
///
/// `declare! { words Mode: "all" "any" }` makes an enum with `as_str` and `parse` such a value.
#[macro_export]
macro_rules! declare {
    (words $type:ty: $($word:literal)*) => {
        impl $crate::declare::Value for $type {
            const KIND: $crate::declare::KeyKind = $crate::declare::KeyKind::Word(&[$($word),*]);
            fn of(given: $crate::declare::Given<'_>) -> Option<$type> {
                match given {
                    $crate::declare::Given::Word(word) => <$type>::parse(word),
                    _ => None,
                }
            }
            fn shown(&self) -> String {
                format!("\"{}\"", self.as_str())
            }
        }
    };
    (
        $(#[doc = $about:literal])* $(#[derive($($derive:ident),*)])?
        pub struct $name:ident { $(
            $(#[doc = $doc:literal])*
            $field:ident: $type:ty
                $(= $default:expr $(, within $min:literal ..= $max:expr)? $(, shown $shown:literal)?)?;
        )* }
    ) => {
        $(#[doc = $about])* $(#[derive($($derive),*)])?
        pub struct $name { $($(#[doc = $doc])* pub $field: $type,)* }

        impl $crate::declare::Plain for $name {
            const KEYS: &'static [$crate::declare::KeySpec] = &[$(
                $crate::declare!(@key $field, $type, [$($doc)*] $(, ($default) $(, within $min, $max)? $(, shown $shown)?)?),
            )*];
            fn plain() -> Self {
                $name { $($field: $crate::declare!(@default $($default)?),)* }
            }
            fn set(&mut self, name: &str, given: $crate::declare::Given<'_>) {
                match name {
                    $($(stringify!($field) => {
                        $crate::declare!(@only $default);
                        if let Some(value) = $crate::declare::Value::of(given) {
                            self.$field = value;
                        }
                    })?)*
                    _ => {}
                }
            }
            fn changed(&self, other: &Self) -> Vec<&'static str> {
                let mut changed = Vec::new();
                $($(
                    $crate::declare!(@only $default);
                    if self.$field != other.$field {
                        changed.push(stringify!($field));
                    }
                )?)*
                changed
            }
        }
    };
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
    (@only $default:expr) => {};
    (@key $field:ident, $type:ty, [$($doc:literal)*]) => {
        $crate::declare::KeySpec {
            name: stringify!($field),
            doc: &[],
            kind: $crate::declare::KeyKind::Internal,
            shown: String::new,
        }
    };
    (@key $field:ident, $type:ty, [$($doc:literal)*], ($default:expr) $(, within $min:literal, $max:expr)? $(, shown $shown:literal)?) => {
        $crate::declare::KeySpec {
            name: stringify!($field),
            doc: &[$($doc),*],
            kind: <$type as $crate::declare::Value>::KIND $(.within($min, $max))?,
            shown: $crate::declare!(@shown $type, ($default) $(, $shown)?),
        }
    };
    (@shown $type:ty, ($default:expr)) => {
        || { let value: $type = $default; $crate::declare::Value::shown(&value) }
    };
    (@shown $type:ty, ($default:expr), $shown:literal) => { || $shown.to_owned() };
}
