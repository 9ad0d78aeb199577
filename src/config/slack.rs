//! What `[slack]` means: how the server speaks to Slack, and knows Slack when it calls.

use super::Secret;
use super::check::{environment_name, is_id, secret};
use super::endpoint::Endpoint;
use super::raw::outward::{API_BASE_URL, CHANNEL_DEFAULT};
use super::raw::{RawConfig, RawSlack};
use crate::domain::policy::Policies;
use crate::settings::Notes;
use std::collections::BTreeMap;
use std::path::Path;

/// The key of `[slack.channels]` for what concerns no environment.
const NO_ENVIRONMENT: &str = "default";

/// `[slack]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slack {
    /// Lets the server speak.
    pub bot_token: Secret,
    /// Proves that a call is from Slack.
    pub signing_secret: Secret,
    /// Where messages go, by id or by name.
    pub channel: String,
    /// The same for some environments.
    pub channels: BTreeMap<String, String>,
    /// Where its methods are, without a slash at the end.
    pub api: Endpoint,
}

impl Slack {
    /// Where messages about requests in `environment` go; without one, what concerns none.
    pub fn channel_of(&self, environment: Option<&str>) -> &str {
        let key = environment.unwrap_or(NO_ENVIRONMENT);
        self.channels.get(key).unwrap_or(&self.channel)
    }
}

/// Checks the section, if there is one.
pub(super) fn check(
    raw: &RawConfig,
    base: &Path,
    policies: &Policies,
    notes: &mut Notes,
) -> Option<Slack> {
    let section: &RawSlack = raw.slack.as_ref()?;
    let mut required = |one| {
        let read = secret(one, base, notes);
        if read.is_none() && !notes.has_problem(&one.at.key) && !notes.has_problem(&one.file_key())
        {
            notes.problem(&one.at, "this key is required");
        }
        read
    };
    let bot_token = required(&section.bot_token);
    let signing_secret = required(&section.signing_secret);
    let channel = match &section.channel {
        Some(spanned) if !is_id(spanned, notes) => None,
        Some(spanned) => Some(spanned.value.clone()),
        None => Some(CHANNEL_DEFAULT.to_owned()),
    };
    let mut channels = BTreeMap::new();
    for (environment, spanned) in &section.channels {
        if environment != NO_ENVIRONMENT {
            let mut name = spanned.clone();
            name.value.clone_from(environment);
            environment_name(&name, "*", policies, notes);
        }
        if is_id(spanned, notes) {
            channels.insert(environment.clone(), spanned.value.clone());
        }
    }
    let api = api(section, notes);
    Some(Slack {
        bot_token: bot_token?,
        signing_secret: signing_secret?,
        channel: channel?,
        channels,
        api: api?,
    })
}

/// The configured address of the API; a plain one only on this machine, since the token goes there.
fn api(section: &RawSlack, notes: &mut Notes) -> Option<Endpoint> {
    let Some(spanned) = &section.api_base_url else {
        return Endpoint::parse(API_BASE_URL).ok();
    };
    let trimmed = spanned.value.trim_end_matches('/');
    match Endpoint::parse(trimmed) {
        Ok(url) if url.url().contains('?') => {
            notes.problem(
                &spanned.at,
                "this is a URL with a query; methods are added to it",
            );
            None
        }
        Ok(url) if url.is_plain() && !url.is_here() => {
            notes.problem(
                &spanned.at,
                "this is a URL without encryption, and the bot token would be sent there",
            );
            None
        }
        Ok(url) => Some(url),
        Err(why) => {
            notes.problem(&spanned.at, format!("this is {why}"));
            None
        }
    }
}
