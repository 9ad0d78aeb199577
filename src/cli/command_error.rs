//! Why a command failed, as people read it: one sentence, the place in the statement, one hint.

use super::Failure;
use super::output::{underlined, visible};
use crate::client::ClientError;
use crate::error::Error;
use serde_json::Value;

/// Why a command could not do what was asked.
#[derive(Debug)]
pub struct CommandError {
    message: String,
    place: Option<String>,
    hint: Option<String>,
    /// The server's own words, for programs.
    body: Option<String>,
    code: u8,
}

impl CommandError {
    pub fn new(message: impl Into<String>) -> CommandError {
        CommandError {
            message: message.into(),
            place: None,
            hint: None,
            body: None,
            code: 1,
        }
    }

    /// One of our own checks.
    pub fn of(error: &Error) -> CommandError {
        let mut made = CommandError::new(error.message());
        made.hint = error.hint_text().map(str::to_owned);
        made
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> CommandError {
        self.hint = Some(hint.into());
        self
    }

    /// The same, with the place in the statement that the server named.
    #[must_use]
    pub fn in_statement(mut self, sql: &str) -> CommandError {
        let body: Value = self
            .body
            .as_deref()
            .and_then(|body| serde_json::from_str(body).ok())
            .unwrap_or_default();
        let details = &body["error"]["details"];
        let finding = &details["findings"][0];
        let number = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
        let offset = number(&finding["offset"]).or_else(|| {
            let (line, column) = (number(&details["line"])?, number(&details["column"])?);
            offset_of(sql, line, column)
        });
        if offset.is_some() {
            self.place = Some(underlined(sql, offset));
        }
        self
    }

    /// What is wrong, and what to do, as one line.
    pub fn sentence(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}; {hint}", self.message),
            None => self.message.clone(),
        }
    }

    /// As it is printed: for people, or as the body that came.
    pub(super) fn failure(self, json: bool) -> Failure {
        let text = match self.body {
            Some(body) if json => body,
            _ => {
                let place = self.place.map(|p| format!("\n{}", p.trim_end()));
                let hint = self.hint.map(|hint| format!("\nhint: {hint}"));
                format!(
                    "error: {}{}{}",
                    self.message,
                    place.unwrap_or_default(),
                    hint.unwrap_or_default()
                )
            }
        };
        Failure {
            text,
            code: self.code,
        }
    }
}

/// The byte of a line and column, both from 1.
fn offset_of(sql: &str, line: usize, column: usize) -> Option<usize> {
    let start: usize = sql
        .split_inclusive('\n')
        .take(line.checked_sub(1)?)
        .map(str::len)
        .sum();
    let rest = sql.get(start..)?;
    let (at, _) = rest.char_indices().nth(column.checked_sub(1)?)?;
    Some(start + at)
}

impl From<ClientError> for CommandError {
    fn from(error: ClientError) -> CommandError {
        let (message, hint) = match (error.status, error.code.as_str()) {
            (None, "unreachable") => (
                format!("the server cannot be reached: {}", error.message),
                Some("`dbward doctor` looks at every part of the way".to_owned()),
            ),
            (None, "timeout") => ("the server did not answer in time".to_owned(), None),
            (Some(401), _) => (
                error.message.clone(),
                Some(
                    "the token is missing, expired or revoked: `dbward login`, or set DBWARD_TOKEN"
                        .to_owned(),
                ),
            ),
            _ => (error.message.clone(), error.hint.clone()),
        };
        CommandError {
            message: visible(&message),
            place: None,
            hint: hint.map(|hint| visible(&hint)),
            body: error.body,
            code: 1,
        }
    }
}

impl From<String> for CommandError {
    fn from(message: String) -> CommandError {
        CommandError::new(message)
    }
}
