//! What server.toml said about whom the server tells: webhooks, who is told where, and Slack.

use super::{CHANNELS_MAX, NAMES_MAX, Text, Texts, WEBHOOKS_MAX};
use crate::config::problem::{Place, Said};
use crate::config::reader::Section;

/// `[[webhooks]]`.
#[derive(Debug)]
pub struct RawWebhook {
    pub at: Place,
    pub id: Text,
    pub url: Text,
    pub events: Texts,
    pub format: Text,
    pub secret: RawSecret,
}

/// `[[notification_policies]]`.
#[derive(Debug)]
pub struct RawNotificationPolicy {
    pub at: Place,
    pub database: Text,
    pub environment: Text,
    pub webhooks: Texts,
    pub events: Texts,
}

/// `[slack]`.
#[derive(Debug)]
pub struct RawSlack {
    pub at: Place,
    pub bot_token: RawSecret,
    pub signing_secret: RawSecret,
    pub channel: Text,
    /// By environment.
    pub channels: Vec<(String, Said<String>)>,
}

/// A secret that is said itself, or in the file that the key with `_file` behind it names.
pub struct RawSecret {
    /// Where the key of the secret stands, or would.
    pub at: Place,
    pub said: Text,
    pub file: Text,
}

/// Without what was said.
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

    /// Where it was said, itself or as a file, if it was.
    pub fn said_at(&self) -> Option<&Place> {
        let said = self.said.as_ref().or(self.file.as_ref());
        said.map(|said| &said.at)
    }

    pub(super) fn from(s: &Section<'_>, key: &str) -> RawSecret {
        RawSecret {
            at: s.place(key),
            said: s.text(key),
            file: s.text(&format!("{key}_file")),
        }
    }
}

impl RawWebhook {
    pub(super) fn from(s: &Section<'_>) -> RawWebhook {
        RawWebhook {
            at: s.at.clone(),
            id: s.text("id"),
            url: s.text("url"),
            events: s.texts("events", NAMES_MAX),
            format: s.text("format"),
            secret: RawSecret::from(s, "secret"),
        }
    }
}

impl RawNotificationPolicy {
    pub(super) fn from(s: &Section<'_>) -> RawNotificationPolicy {
        RawNotificationPolicy {
            at: s.at.clone(),
            database: s.text("database"),
            environment: s.text("environment"),
            webhooks: s.texts("webhooks", WEBHOOKS_MAX),
            events: s.texts("events", NAMES_MAX),
        }
    }
}

impl RawSlack {
    pub(super) fn from(s: &Section<'_>) -> RawSlack {
        RawSlack {
            at: s.at.clone(),
            bot_token: RawSecret::from(s, "bot_token"),
            signing_secret: RawSecret::from(s, "signing_secret"),
            channel: s.text("channel"),
            channels: s.texts_by_name("channels", CHANNELS_MAX),
        }
    }
}
