//! Values that are kept as text, in JSON of one exact form: policies, facts. A text that is not exactly of that form is
//! refused, rather than read as one that says less.
//!
//! `kept!` declares the members of a text once, for writing and for reading. The types of the rules know nothing of it.

use crate::domain::dialect::Dialect;
use crate::domain::id::{Operation, Selector, Target};
use crate::domain::permission::Permission;
use crate::domain::risk_level::RiskLevel;
use crate::domain::scope::Scope;
use crate::domain::sql::{DialectFact, ReviewRule, RuleAction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

/// A type whose values are kept as text.
pub trait Kept: Sized {
    /// Its form in JSON.
    type Text: Serialize + DeserializeOwned;
    /// The form of this value.
    fn text(&self) -> Self::Text;
    /// The value of that form; `None` for a text of another form.
    fn of(text: Self::Text) -> Option<Self>;
}

/// The text of a value. Strings, numbers, booleans and maps of strings always have one; should one not, the empty text
/// is one that the schema and every reader refuse.
pub fn write<T: Kept>(value: &T) -> String {
    json(&value.text())
}

/// The value of such a text; `None` for any other.
pub fn read<T: Kept>(text: &str) -> Option<T> {
    T::of(serde_json::from_str(text).ok()?)
}

fn json(text: &impl Serialize) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// How a member of a text stands for a value.
pub trait Form {
    type Value;
    type Member: Serialize + DeserializeOwned;
    fn member(value: &Self::Value) -> Self::Member;
    fn value(member: Self::Member) -> Option<Self::Value>;
}

impl<T: Kept> Form for T {
    type Value = T;
    type Member = T::Text;
    fn member(value: &T) -> T::Text {
        value.text()
    }
    fn value(member: T::Text) -> Option<T> {
        T::of(member)
    }
}

/// A list whose order does not matter: sorted by the text of its entries.
pub struct Sorted<T>(PhantomData<T>);

impl<T: Kept> Form for Sorted<T> {
    type Value = Vec<T>;
    type Member = Vec<T::Text>;
    fn member(value: &Vec<T>) -> Vec<T::Text> {
        let mut texts: Vec<T::Text> = value.iter().map(T::text).collect();
        texts.sort_by_cached_key(json);
        texts
    }
    fn value(member: Vec<T::Text>) -> Option<Vec<T>> {
        member.into_iter().map(T::of).collect()
    }
}

/// A member that older texts lack; it reads as the default there.
pub struct Younger<T>(PhantomData<T>);

impl<T: Kept + Default> Form for Younger<T> {
    type Value = T;
    type Member = Option<T::Text>;
    fn member(value: &T) -> Option<T::Text> {
        Some(value.text())
    }
    fn value(member: Option<T::Text>) -> Option<T> {
        member.map_or_else(|| Some(T::default()), T::of)
    }
}

/// A member that is left out at the default: younger than the first texts, which stay the ones they were.
pub struct OrDefault<T>(PhantomData<T>);

impl<T: Kept + Default + PartialEq> Form for OrDefault<T> {
    type Value = T;
    type Member = Option<T::Text>;
    fn member(value: &T) -> Option<T::Text> {
        (*value != T::default()).then(|| value.text())
    }
    fn value(member: Option<T::Text>) -> Option<T> {
        member.map_or_else(|| Some(T::default()), T::of)
    }
}

macro_rules! itself {
    ($($type:ty)*) => {$(
        impl Kept for $type {
            type Text = $type;
            fn text(&self) -> $type {
                self.clone()
            }
            fn of(text: $type) -> Option<$type> {
                Some(text)
            }
        }
    )*};
}
itself!(bool u32 u64 i64 usize String);

/// Types with a word for each value.
macro_rules! word {
    ($($type:ty, $write:expr, $read:expr;)*) => {$(
        impl $crate::domain::kept::Kept for $type {
            type Text = String;
            fn text(&self) -> String {
                let write: fn(&$type) -> String = $write;
                write(self)
            }
            fn of(text: String) -> Option<$type> {
                let read: fn(&str) -> Option<$type> = $read;
                read(&text)
            }
        }
    )*};
}
pub(crate) use word;

word! {
    Operation, |o| o.as_str().to_owned(), Operation::parse;
    Selector, ToString::to_string, Selector::parse;
    Permission, |p| p.as_str().to_owned(), |text| Permission::ALL.iter().find(|p| p.as_str() == text).copied();
    Dialect, |d| d.as_str().to_owned(), Dialect::parse;
    DialectFact, |d| d.as_str().to_owned(), DialectFact::parse;
    RiskLevel, |r| r.as_str().to_owned(), RiskLevel::parse;
    ReviewRule, |r| r.as_str().to_owned(), ReviewRule::parse;
    RuleAction, |a| a.as_str().to_owned(), RuleAction::parse;
}

impl<T: Kept> Kept for Option<T> {
    type Text = Option<T::Text>;
    fn text(&self) -> Option<T::Text> {
        self.as_ref().map(T::text)
    }
    fn of(text: Option<T::Text>) -> Option<Option<T>> {
        match text {
            Some(text) => T::of(text).map(Some),
            None => Some(None),
        }
    }
}

impl<T: Kept> Kept for Vec<T> {
    type Text = Vec<T::Text>;
    fn text(&self) -> Vec<T::Text> {
        self.iter().map(T::text).collect()
    }
    fn of(text: Vec<T::Text>) -> Option<Vec<T>> {
        text.into_iter().map(T::of).collect()
    }
}

impl<T: Kept + Ord> Kept for BTreeSet<T> {
    type Text = Vec<T::Text>;
    fn text(&self) -> Vec<T::Text> {
        self.iter().map(T::text).collect()
    }
    fn of(text: Vec<T::Text>) -> Option<BTreeSet<T>> {
        text.into_iter().map(T::of).collect()
    }
}

impl<T: Kept> Kept for BTreeMap<String, T> {
    type Text = BTreeMap<String, T::Text>;
    fn text(&self) -> Self::Text {
        let entry = |(name, value): (&String, &T)| (name.clone(), value.text());
        self.iter().map(entry).collect()
    }
    fn of(text: Self::Text) -> Option<Self> {
        let entry = |(name, text)| Some((name, T::of(text)?));
        text.into_iter().map(entry).collect()
    }
}

/// A database and an environment, which are members of the text around them.
pub trait Pair: Sized {
    /// Both.
    fn parts(&self) -> (&str, &str);
    /// The pair of both, where there can be one.
    fn of(database: &str, environment: &str) -> Option<Self>;
}

impl Pair for Scope {
    fn parts(&self) -> (&str, &str) {
        (&self.database, &self.environment)
    }
    fn of(database: &str, environment: &str) -> Option<Scope> {
        Some(Scope::of(database, environment))
    }
}

impl Pair for Target {
    fn parts(&self) -> (&str, &str) {
        (self.database(), self.environment())
    }
    fn of(database: &str, environment: &str) -> Option<Target> {
        Target::new(database, environment).ok()
    }
}

/// The text of a struct: a JSON object with these members in this order, none missing and no other. `[version 2 or 1]`
/// puts the version of the form before them, and reads an older one too; `[pair scope]` the two members of a pair.
macro_rules! kept {
    ($type:ident => $text:ident $([$(version $version:tt $(or $older:tt)?)? $(pair $pair:ident)?])? {
        $($(#[$attr:meta])* $field:ident: $form:ty,)*
    }) => {
        #[derive(::serde::Serialize, ::serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $text {
            $($(#[doc = stringify!($version)] version: u32,)?)?
            $($(#[doc = stringify!($pair)] database: String, environment: String,)?)?
            $($(#[$attr])* $field: <$form as $crate::domain::kept::Form>::Member,)*
        }

        impl $crate::domain::kept::Kept for $type {
            type Text = $text;
            fn text(&self) -> $text {
                $text {
                    $($(version: $version,)?)?
                    $($(
                        database: $crate::domain::kept::Pair::parts(&self.$pair).0.to_owned(),
                        environment: $crate::domain::kept::Pair::parts(&self.$pair).1.to_owned(),
                    )?)?
                    $($field: <$form as $crate::domain::kept::Form>::member(&self.$field),)*
                }
            }
            fn of(text: $text) -> Option<$type> {
                $($(
                    if ![$version $(, $older)?].contains(&text.version) {
                        return None;
                    }
                )?)?
                Some($type {
                    $($($pair: $crate::domain::kept::Pair::of(&text.database, &text.environment)?,)?)?
                    $($field: <$form as $crate::domain::kept::Form>::value(text.$field)?,)*
                })
            }
        }
    };
}
pub(crate) use kept;

/// The text of an enum: a JSON object whose member `tag` names the variant, with the fields of it.
macro_rules! kept_enum {
    ($type:ident => $text:ident, $tag:literal { $($variant:ident { $($field:ident: $form:ty),* },)* }) => {
        #[derive(::serde::Serialize, ::serde::Deserialize)]
        #[serde(tag = $tag, rename_all = "snake_case", deny_unknown_fields)]
        pub enum $text { $($variant { $($field: <$form as $crate::domain::kept::Form>::Member),* },)* }

        impl $crate::domain::kept::Kept for $type {
            type Text = $text;
            fn text(&self) -> $text {
                match self { $($type::$variant { $($field),* } => $text::$variant {
                    $($field: <$form as $crate::domain::kept::Form>::member($field)),*
                },)* }
            }
            fn of(text: $text) -> Option<$type> {
                Some(match text { $($text::$variant { $($field),* } => $type::$variant {
                    $($field: <$form as $crate::domain::kept::Form>::value($field)?),*
                },)* })
            }
        }
    };
}
pub(crate) use kept_enum;

/// A policy: a struct declared as with `declare!`, kept under its scope. A field that is younger than the first texts
/// is `#[omitted = "at its default"]`, which must be that of its type.
macro_rules! policy {
    (@form $type:ty) => { $type };
    (@form $type:ty, $mark:literal) => { $crate::domain::kept::OrDefault<$type> };
    (
        $(#[doc = $about:literal])* #[derive($($derive:ident),*)]
        pub struct $name:ident => $text:ident { $(
            $(#[doc = $doc:literal])* $(#[omitted = $mark:literal])?
            $field:ident: $type:ty
                $(= $default:expr $(, within $min:literal ..= $max:expr)? $(, shown $shown:literal)?)?;
        )* }
    ) => {
        $crate::declare! {
            $(#[doc = $about])* #[derive($($derive),*)]
            pub struct $name {
                /// Where it applies.
                scope: $crate::domain::scope::Scope;
                $(
                    $(#[doc = $doc])*
                    $field: $type $(= $default $(, within $min..=$max)? $(, shown $shown)?)?;
                )*
            }
        }
        $crate::domain::kept::kept! { $name => $text [pair scope] { $(
            $(#[doc = $mark] #[serde(default, skip_serializing_if = "Option::is_none")])?
            $field: $crate::domain::kept::policy!(@form $type $(, $mark)?),
        )* } }
    };
}
pub(crate) use policy;
