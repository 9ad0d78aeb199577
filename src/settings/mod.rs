//! Configuration files: TOML in which every value knows its place, `${NAME}` from the environment, secrets, and one
//! declaration for each key. Read here are `server.toml` (by `config`) and `agent.toml` (by `agent`).

mod declared;
pub mod example;
mod expand;
mod problem;
mod secret;
mod section;

pub(crate) use declared::section;
pub use declared::{Declared, OneOrMore, OrEmpty, Part, Present, RawSecret, Setting, path};
pub use expand::expand;
pub use problem::{GivenSecret, Location, Notes, Problem, Problems, SecretPlaces, Spanned};
pub use secret::{SECRET_BYTES_MAX, Secret};
pub use section::{Number, Section, Text, Texts};

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest configuration file, in bytes: thousands of workflows fit.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The environment of a process.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The variables of this process.
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The text of the file at `path`, and its folder, where relative paths in it start.
///
/// # Errors
/// That it cannot be read, is too large, or not UTF-8.
pub fn read_file(path: &Path) -> Result<(String, PathBuf), Problems> {
    let unreadable = |message: String| Problems {
        file: path.display().to_string(),
        list: vec![Problem {
            key: String::new(),
            line: None,
            message,
        }],
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|e| unreadable(format!("cannot read the file: {e}")))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(format!(
            "the file is larger than {FILE_BYTES_MAX} bytes"
        )));
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        let valid = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|b| **b == b'\n').count();
        unreadable(format!("line {line} is not UTF-8"))
    })?;
    let absolute = std::path::absolute(path)
        .map_err(|e| unreadable(format!("the folder of the file cannot be found: {e}")))?;
    let base = absolute.parent().unwrap_or(Path::new("/"));
    Ok((text, base.to_owned()))
}

/// A configuration that can be applied.
pub struct Applicable<T> {
    pub value: T,
    pub warnings: Vec<Problem>,
    pub secrets: SecretPlaces,
}

/// Reads `text` as the table `R`, with variables from `env`, and lets `check` make of it what it means.
///
/// # Errors
/// All problems, under the name `file`.
pub fn read<R: Declared, T>(
    text: &str,
    file: &str,
    env: Env<'_>,
    check: impl FnOnce(&R, &mut Notes) -> Option<T>,
) -> Result<Applicable<T>, Problems> {
    let (expanded, mut list) = expand(text, env);
    let unexpanded: Vec<_> = list.iter().map(|p| p.line).collect();
    let (raw, mut notes) = section::read(&expanded, &R::TABLE, R::read);
    let checked = raw.and_then(|raw| check(&raw, &mut notes));
    // What a missing variable left out is not a problem of its own.
    let own = notes.problems.into_iter();
    list.extend(own.filter(|p| p.line.is_none() || !unexpanded.contains(&p.line)));
    match checked {
        Some(value) if list.is_empty() => Ok(Applicable {
            value,
            warnings: in_order(notes.warnings),
            secrets: SecretPlaces::of(&notes.secrets, text),
        }),
        _ => Err(Problems {
            file: file.to_owned(),
            list: in_order(list),
        }),
    }
}

/// Reads `text` as whatever it holds, with variables from `env`: for a file in which other programs keep keys too.
///
/// # Errors
/// What is not TOML, and variables that are not set; under the name `file`.
pub fn values(text: &str, file: &str, env: Env<'_>) -> Result<serde_json::Value, Problems> {
    let (expanded, mut list) = expand(text, env);
    let read = toml::from_str::<serde_json::Value>(&expanded);
    if let Err(e) = &read {
        let before = e
            .span()
            .map(|span| &expanded[..span.start.min(expanded.len())]);
        list.push(Problem {
            key: String::new(),
            line: before.map(|text| 1 + text.matches('\n').count()),
            message: e.message().to_owned(),
        });
    }
    match read {
        Ok(value) if list.is_empty() => Ok(value),
        _ => Err(Problems {
            file: file.to_owned(),
            list: in_order(list),
        }),
    }
}

fn in_order(mut list: Vec<Problem>) -> Vec<Problem> {
    list.sort_by_key(|p| p.line);
    list
}
