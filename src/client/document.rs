//! What a server answered, kept as it came: a program that asks for JSON gets these bytes and no copy of them.

use super::ClientError;
use serde::Deserialize;

/// A successful answer.
#[derive(Debug, Clone)]
pub struct Document {
    pub status: u16,
    bytes: Vec<u8>,
}

impl Document {
    pub(super) fn new(status: u16, bytes: Vec<u8>) -> Document {
        Document { status, bytes }
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Whether there is no body, as with 204.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// `bad_reply`, naming the position only: the text around it may be anything.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.bytes).map_err(|e| {
            let place = format!("line {} column {}", e.line(), e.column());
            let message = format!("the answer is not as expected: {place}");
            ClientError::no_answer("bad_reply", message)
        })
    }
}
