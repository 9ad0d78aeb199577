//! A value that must not be seen: passwords, signing secrets, tokens of other services.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Largest secret read from a file, in bytes: a PEM key with its chain fits.
pub const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// A secret. Prints as `***`; its value is had by [`Secret::expose`] only, at the one place that needs it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `value` from view.
    pub fn new(value: impl Into<String>) -> Secret {
        Secret(value.into())
    }

    /// Reads a secret from the file of a `*_file` key: UTF-8, one line break at its end not counted.
    ///
    /// # Errors
    /// A sentence about the file, without anything of its content: unreadable, empty, too large or not UTF-8.
    pub fn from_file(path: &Path) -> Result<Secret, String> {
        let shown = path.display();
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(|e| format!("cannot read `{shown}`: {e}"))?;
        if bytes.len() as u64 > SECRET_BYTES_MAX {
            return Err(format!("`{shown}` is larger than {SECRET_BYTES_MAX} bytes"));
        }
        let text = String::from_utf8(bytes).map_err(|_| format!("`{shown}` is not UTF-8"))?;
        let value = text.strip_suffix('\n').unwrap_or(&text);
        let value = value.strip_suffix('\r').unwrap_or(value);
        if value.is_empty() {
            return Err(format!("`{shown}` is empty"));
        }
        Ok(Secret::new(value))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
