//! Scopes: which databases in which environments. `*` stands for every name, here and nowhere else.

use crate::domain::id::{Target, is_name};
use std::fmt;

/// Stands for every name.
pub const ANY: &str = "*";

/// Whether `pattern`, a name or `*`, covers `name`. Every scope comes down to this.
fn covers_name(pattern: &str, name: &str) -> bool {
    pattern == ANY || pattern == name
}

/// A database and an environment, each a name or `*`: where a policy applies, what an agent serves, what its token is
/// bound to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    /// A database name or `*`.
    pub database: String,
    /// An environment name or `*`.
    pub environment: String,
}

impl Scope {
    /// The scope of everything.
    pub fn any() -> Scope {
        Scope::of(ANY, ANY)
    }

    /// The scope of these two, unchecked; see [`Scope::invalid_part`].
    pub fn of(database: &str, environment: &str) -> Scope {
        Scope {
            database: database.to_owned(),
            environment: environment.to_owned(),
        }
    }

    /// The part that is neither a name nor `*`, if one is.
    pub fn invalid_part(&self) -> Option<&str> {
        [&self.database, &self.environment]
            .into_iter()
            .find(|part| *part != ANY && !is_name(part))
            .map(String::as_str)
    }

    /// Whether `target` lies within.
    pub fn covers(&self, target: &Target) -> bool {
        covers_name(&self.database, target.database())
            && covers_name(&self.environment, target.environment())
    }

    /// How specifically this scope names `target`: `None` where it does not cover it. The environment weighs more
    /// than the database: (db, env) > (*, env) > (db, *) > (*, *).
    pub fn score(&self, target: &Target) -> Option<u8> {
        self.covers(target).then(|| self.weight())
    }

    /// How specific it is, whatever it names.
    pub fn weight(&self) -> u8 {
        let weight = |part: &str, weight: u8| if part == ANY { 0 } else { weight };
        weight(&self.database, 2) + weight(&self.environment, 4)
    }
}

impl Default for Scope {
    fn default() -> Self {
        Scope::any()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {})", self.database, self.environment)
    }
}

/// Of entries with a scope, the one whose scope names `target` most specifically; the last of equals.
pub fn most_specific<'a, T: 'a>(
    entries: impl IntoIterator<Item = &'a T>,
    scope: impl Fn(&T) -> &Scope,
    target: &Target,
) -> Option<&'a T> {
    entries
        .into_iter()
        .filter_map(|entry| Some((scope(entry).score(target)?, entry)))
        .max_by_key(|(score, _)| *score)
        .map(|(_, entry)| entry)
}

/// Whether an agent whose token is bound to these may work on `target`; one that is bound to nothing may anywhere.
pub fn reaches(bound_to: Option<&[Scope]>, target: &Target) -> bool {
    bound_to.is_none_or(|scopes| scopes.iter().any(|s| s.covers(target)))
}

/// Every pair of these databases and these environments: where a role holds. An empty list, and one with `*`, has
/// every name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoleScope {
    /// Names of databases, as configured.
    pub databases: Vec<String>,
    /// Names of environments, as configured.
    pub environments: Vec<String>,
}

/// Whether a list of a role has every name.
fn is_all(list: &[String]) -> bool {
    list.is_empty() || list.iter().any(|name| name == ANY)
}

impl RoleScope {
    /// Whether `target` lies within.
    pub fn covers(&self, target: &Target) -> bool {
        self.covers_names(target.database(), target.environment())
    }

    /// Whether a target of these names, if there were one, would lie within.
    pub fn covers_names(&self, database: &str, environment: &str) -> bool {
        let part = |list: &[String], name: &str| {
            list.is_empty() || list.iter().any(|pattern| covers_name(pattern, name))
        };
        part(&self.databases, database) && part(&self.environments, environment)
    }

    /// Whether everything lies within.
    pub fn covers_all(&self) -> bool {
        is_all(&self.databases) && is_all(&self.environments)
    }

    /// Whether all of `inner` lies within.
    pub fn contains(&self, inner: &RoleScope) -> bool {
        let part = |outer: &[String], inner: &[String]| {
            is_all(outer) || (!is_all(inner) && inner.iter().all(|name| outer.contains(name)))
        };
        part(&self.databases, &inner.databases) && part(&self.environments, &inner.environments)
    }

    /// The databases within by name; `None` for all.
    pub fn named_databases(&self) -> Option<&[String]> {
        (!is_all(&self.databases)).then_some(&self.databases[..])
    }

    /// The environments within by name; `None` for all.
    pub fn named_environments(&self) -> Option<&[String]> {
        (!is_all(&self.environments)).then_some(&self.environments[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role_scope(databases: &str, environments: &str) -> RoleScope {
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        RoleScope {
            databases: list(databases),
            environments: list(environments),
        }
    }

    #[test]
    fn more_specific_scope_has_higher_score() {
        let target = Target::new("app", "prod").unwrap();
        let table = [
            ("*", "*", Some(0)),
            ("app", "*", Some(2)),
            ("*", "prod", Some(4)),
            ("app", "prod", Some(6)),
            ("shop", "*", None),
            ("shop", "prod", None),
            ("*", "dev", None),
            ("app", "dev", None),
            ("", "prod", None),
        ];
        for (database, environment, score) in table {
            let scope = Scope::of(database, environment);
            assert_eq!(scope.score(&target), score, "{scope}");
            assert_eq!(scope.covers(&target), score.is_some(), "{scope}");
        }
    }

    #[test]
    fn most_specific_entry_wins_and_last_of_equals() {
        let target = Target::new("app", "prod").unwrap();
        let entries = [
            (1, Scope::of("app", "*")),
            (2, Scope::of("*", "prod")),
            (3, Scope::of("*", "prod")),
            (4, Scope::of("*", "*")),
            (5, Scope::of("shop", "prod")),
        ];
        let won = |entries: &[(u8, Scope)]| most_specific(entries, |e| &e.1, &target).map(|e| e.0);
        assert_eq!(won(&entries), Some(3));
        assert_eq!(won(&entries[4..]), None);
    }

    #[test]
    fn part_that_is_not_a_name_is_found() {
        assert_eq!(Scope::of("*", "prod").invalid_part(), None);
        assert_eq!(Scope::of("App", "prod").invalid_part(), Some("App"));
        assert_eq!(Scope::of("app", "**").invalid_part(), Some("**"));
        assert_eq!(Scope::of("app", "").invalid_part(), Some(""));
    }

    #[test]
    fn role_scope_is_a_product_of_names() {
        // Databases, environments; covers app/prod, covers everything.
        let table = [
            ("", "", true, true),
            ("*", "", true, true),
            ("shop *", "prod *", true, true),
            ("app", "", true, false),
            ("shop app", "dev prod", true, false),
            ("shop", "prod", false, false),
            ("app", "dev", false, false),
        ];
        let target = Target::new("app", "prod").unwrap();
        for (databases, environments, covers, all) in table {
            let scope = role_scope(databases, environments);
            assert_eq!(
                (scope.covers(&target), scope.covers_all()),
                (covers, all),
                "{scope:?}"
            );
            assert_eq!(
                scope.named_databases().is_none() && scope.named_environments().is_none(),
                all
            );
        }
    }

    #[test]
    fn contained_scope_reaches_no_further() {
        let table = [
            ("", "", "", "", true),
            ("*", "", "", "*", true),
            ("", "", "app", "prod", true),
            ("app", "", "", "", false),
            ("app", "", "*", "prod", false),
            ("app shop", "prod", "shop", "prod", true),
            ("app", "prod", "app shop", "prod", false),
            ("app", "prod", "app", "prod dev", false),
            ("app", "prod", "app", "", false),
        ];
        for (d, e, narrow_d, narrow_e, contained) in table {
            let (wide, narrow) = (role_scope(d, e), role_scope(narrow_d, narrow_e));
            assert_eq!(wide.contains(&narrow), contained, "{wide:?} {narrow:?}");
        }
    }
}
