//! What the Slack app posted, and who is known there. Which message is about which request is bookkeeping: lost, the next
//! event posts a new one.

use super::query::{RunStatement, tuple};
use super::{Store, View};
use crate::error::Error;
use rusqlite::params;

/// A message, as Slack names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlackMessage {
    /// Id of the channel.
    pub channel: String,
    /// Its time, which is its name there.
    pub ts: String,
}

impl View<'_> {
    /// The message about a request.
    pub fn slack_message(&self, request_seq: i64) -> Result<Option<SlackMessage>, Error> {
        self.connection.find(
            "SELECT channel, ts FROM slack_messages WHERE request_seq = ?1",
            [request_seq],
            |r| {
                let (channel, ts) = tuple(r)?;
                Ok(SlackMessage { channel, ts })
            },
        )
    }

    /// The message about the request of that id, whatever else can be read of it.
    pub fn slack_message_of(&self, request_id: &str) -> Result<Option<SlackMessage>, Error> {
        self.connection.find(
            "SELECT channel, ts FROM slack_messages WHERE request_seq = (SELECT seq FROM requests WHERE id = ?1)",
            [request_id],
            |r| {
                let (channel, ts) = tuple(r)?;
                Ok(SlackMessage { channel, ts })
            },
        )
    }

    /// Active people with a Slack account, and that account, up to `limit`.
    pub fn slack_people(&self, limit: u32) -> Result<Vec<(String, String)>, Error> {
        self.connection.list(
            "SELECT id, slack_user_id FROM users WHERE slack_user_id IS NOT NULL AND subject_type = 'user' \
             AND status = 'active' ORDER BY slack_user_id LIMIT ?1",
            [limit],
            tuple,
        )
    }
}

impl Store {
    /// Keeps which message is about a request; `None` where there is none any more. Nothing is kept of a request that
    /// was removed meanwhile.
    ///
    /// # Errors
    /// When the store cannot write.
    pub fn keep_slack_message(
        &self,
        request_seq: i64,
        message: Option<SlackMessage>,
    ) -> Result<(), Error> {
        self.bookkeep(move |connection| {
            match &message {
                Some(message) => connection.run(
                    "INSERT INTO slack_messages (request_seq, channel, ts) SELECT seq, ?2, ?3 FROM requests \
                     WHERE seq = ?1 ON CONFLICT (request_seq) DO UPDATE SET channel = ?2, ts = ?3",
                    params![request_seq, message.channel, message.ts],
                )?,
                None => connection.run(
                    "DELETE FROM slack_messages WHERE request_seq = ?1",
                    [request_seq],
                )?,
            };
            Ok(())
        })
    }
}
