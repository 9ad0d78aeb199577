//! What is wrong with a configuration, and where: collected, never only the first.

use crate::error::Shown;
use std::fmt;
use std::path::{Path, PathBuf};

/// Something wrong with the configuration, or worth a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Key path like `workflows[2].steps[0].approvers[1].role`, or `${NAME}` for a variable; empty for the whole file.
    pub key: String,
    /// Line of the file, from 1.
    pub line: Option<usize>,
    /// One sentence; never the value of a variable.
    pub message: String,
}

/// `12: workflows[2].steps[0]: the message`, with what is known.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "{line}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", Shown(&self.key))?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with one file, in the order of its lines; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The file, as it was named.
    pub file: String,
    pub list: Vec<Problem>,
}

/// One a line: `server.toml:12: workflows[2].steps[0]: the message`.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.list.iter().enumerate() {
            let newline = if n == 0 { "" } else { "\n" };
            let space = if problem.line.is_none() { " " } else { "" };
            write!(f, "{newline}{}:{space}{problem}", self.file)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// A place in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub key: String,
    /// Line, from 1.
    pub line: usize,
}

impl Location {
    /// The place of `key` in this table, on the table's own line.
    pub fn key(&self, key: &str) -> Location {
        let key = match self.key.as_str() {
            "" => key.to_owned(),
            table => format!("{table}.{key}"),
        };
        Location {
            key,
            line: self.line,
        }
    }

    /// The place of entry `n` of this list, on line `line`.
    pub fn entry(&self, n: usize, line: usize) -> Location {
        Location {
            key: format!("{}[{n}]", self.key),
            line,
        }
    }
}

/// A value as written in the file, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    pub value: T,
    pub at: Location,
}

/// A secret that a configuration gives.
#[derive(Debug)]
pub struct GivenSecret {
    pub at: Location,
    /// The file that holds it, as it is named; none where it stands in the configuration.
    pub file: Option<String>,
}

/// Where the secrets of a configuration lie.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecretPlaces {
    /// Lines of the configuration that hold one, and not a variable.
    pub lines: Vec<usize>,
    /// Files that hold one.
    pub files: Vec<PathBuf>,
}

impl SecretPlaces {
    /// The places of those in `text`, before its variables are expanded.
    pub(super) fn of(given: &[GivenSecret], text: &str) -> SecretPlaces {
        let mut places = SecretPlaces::default();
        for secret in given {
            let line = text.lines().nth(secret.at.line.saturating_sub(1));
            match &secret.file {
                Some(file) => places.files.push(file.into()),
                None if line.is_some_and(|line| line.contains("${")) => {}
                None => places.lines.push(secret.at.line),
            }
        }
        places
    }

    /// The same with the files at their places, for a configuration in that folder.
    pub fn in_folder(mut self, base: &Path) -> SecretPlaces {
        for file in &mut self.files {
            *file = base.join(&*file);
        }
        self
    }
}

/// Collects problems and warnings while a configuration is checked.
#[derive(Debug, Default)]
pub struct Notes {
    /// What keeps the configuration from loading.
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
    /// Every secret that the file gives, itself or as another file.
    pub secrets: Vec<GivenSecret>,
    /// An identity provider may put people into groups that the file does not know.
    pub open_groups: bool,
}

impl Notes {
    pub fn problem(&mut self, at: &Location, message: impl Into<String>) {
        self.problems.push(Problem {
            key: at.key.clone(),
            line: Some(at.line),
            message: message.into(),
        });
    }

    pub fn warn(&mut self, at: &Location, message: impl Into<String>) {
        self.warnings.push(Problem {
            key: at.key.clone(),
            line: Some(at.line),
            message: message.into(),
        });
    }

    /// Whether something at this key path or below it is wrong already.
    pub fn has_problem(&self, path: &str) -> bool {
        self.problems.iter().any(|p| {
            p.key
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.']))
        })
    }

    /// Whether the names of this list of tables are not all known, because the list, an entry or a name in it is
    /// wrong. Then what refers to a name is not judged: every complaint would only repeat the first.
    pub fn names_unclear(&self, list: &str) -> bool {
        self.problems.iter().any(|p| {
            let rest = p.key.strip_prefix(list);
            let after = rest.map(|r| r.trim_start_matches(|c: char| "[]0123456789".contains(c)));
            matches!(after, Some("" | ".name" | ".id"))
        })
    }
}
