//! The keys of server.toml that say whom the server notifies: webhooks, policies for them, and Slack.

use super::{CHANNELS_MAX, NAMES_MAX, RawScope, TURNS_MAX, WEBHOOKS_MAX};
use crate::settings::{Number, RawSecret, Spanned, Text, Texts, section};

/// Where messages go unless configured.
pub const CHANNEL_DEFAULT: &str = "#db-approvals";
/// Slack's API, unless configured: with its methods below it.
pub const API_BASE_URL: &str = "https://slack.com/api";
/// The port for mail of users, with STARTTLS.
pub const PORT_DEFAULT: u16 = 587;

/// Longest time until a reminder, in seconds.
const REMIND_SECS_MAX: u64 = 30 * 24 * 3600;
const PORT_MAX: u64 = 65_535;

section! {
    /// Who is notified of what happens, by a call; /api/webhook-deliveries shows how that goes. docs/notifications.md
    /// begins with nothing. No default.
    pub struct RawWebhook {
        /// a-z, 0-9 and `-`, at most 64 characters.
        id: Text, shown "\"ops-alerts\"";
        /// `http://` is for this machine only, and private addresses are refused, but with allow_networks or
        /// allow_private_networks. Anyone who knows the URL of a chat can write there: only its host is ever
        /// shown.
        url: Text, shown "\"https://hooks.example.com/dbward\"";
        /// Events it is notified of, everywhere, as long as no notification policy names it; [] for all:
        /// request.created, request.auto_approved, request.break_glass, request.dispatched, request.dispatch_timeout,
        /// step.approved, request.approved, request.rejected, request.cancelled, request.expired, request.corrupt,
        /// execution.started, execution.completed, execution.failed, execution.lost. Only who names
        /// audit.signed_checkpoint receives it, also where a policy names the webhook.
        events: Texts, within 0..=NAMES_MAX, shown "[]";
        /// `generic` for a JSON object, `slack` for an incoming webhook of Slack, `teams` for a Workflows webhook of
        /// Microsoft Teams, `google_chat` for one of Google Chat. Statements in it follow [audit] redaction.
        format: Text, shown "\"generic\"";
        /// Signs what is sent. Either the secret itself or a file that holds it; no default: unsigned.
        secret: RawSecret, shown "\"${WEBHOOK_SECRET}\"";
    }
}

section! {
    /// Who is notified of what in a scope. The most specific scope decides, alone. A webhook that some policy names
    /// fires only through policies; then its own events do not count.
    pub struct RawNotificationPolicy [scope: RawScope] {
        /// Ids of webhooks; [] keeps quiet those that other policies name.
        webhooks: Texts, within 0..=WEBHOOKS_MAX, shown "[]";
        /// Events as above, [] for all.
        events: Texts, within 0..=NAMES_MAX, shown "[]";
        /// Seconds after which those who are asked for an approval are reminded, and after which the people of
        /// escalate_to (role:NAME, group:NAME, user:ID) are notified, a minute to 30 days each. Webhooks receive
        /// request.reminded and request.escalated. No default: nobody is.
        remind_after_secs: Number, within 60..=REMIND_SECS_MAX, shown "14400";
        escalate_after_secs: Number, within 60..=REMIND_SECS_MAX, shown "28800";
        escalate_to: Texts, within 0..=NAMES_MAX, shown "[]";
    }
}

section! {
    /// A group whose members take turns: `group:NAME` names those who are on call at that moment, in workflows, notification
    /// policies and result policies; it gives no role. A rotation decides, or a service. No default.
    pub struct RawOnCall {
        name: Text, shown "\"dba-on-call\"";
        /// The zone in which all times of this group are.
        time_zone: Text, shown "\"Europe/Berlin\"";
        /// People who are on call a week each, in this order, and when the first of them begins: the next begins
        /// every week on that day, at that time.
        people: Texts, within 0..=TURNS_MAX, shown "[\"approver\", \"requester-one\"]";
        first_handover: Text, shown "\"2026-01-05T09:00\"";
        overrides: Vec<RawOverride>, within 0..=TURNS_MAX;
        /// In place of a rotation: `pagerduty` or `opsgenie`, which is asked every minute; its id of the schedule; and a
        /// token that may read it, either itself or in a file. People are known by the `email` of [[users]], else by an
        /// id that is their address there. What it answered counts for an hour; after that, nobody is on call by it.
        service: Text, shown "\"pagerduty\"";
        schedule: Text, shown "\"PSCHED1\"";
        token: RawSecret, shown "\"${ON_CALL_TOKEN}\"";
        /// Where its API is. No default: that of the service.
        api_base_url: Text, shown "\"https://api.eu.opsgenie.com\"";
    }
}

section! {
    /// Who is on call in place of the one whose turn it is. No default.
    pub struct RawOverride {
        /// [] for nobody.
        people: Texts, within 0..=TURNS_MAX, shown "[\"lead\"]";
        /// A time, or a date for its midnight, and the first minute after it. Of two for one time, the later in the file
        /// counts.
        from: Text, shown "\"2026-12-24T09:00\"";
        until: Text, shown "\"2026-12-27\"";
    }
}

section! {
    /// Mail by SMTP: requesters learn what becomes of their requests, and the approvers of a step that they are asked, as
    /// far as [[users]] has their addresses. No default: no mail.
    pub struct RawEmail {
        /// Its host; a private address needs allow_networks.
        server: Text, shown "\"smtp.example.com\"";
        port: Number, within 1..=PORT_MAX, shown PORT_DEFAULT;
        /// starttls, tls, or none, which is for a server on this machine only.
        security: Text, shown "\"starttls\"";
        /// Both or neither; the password itself or a file that holds it.
        username: Text, shown "\"dbward\"";
        password: RawSecret, shown "\"${SMTP_PASSWORD}\"";
        /// The sender: an address, or a name and an address.
        from: Text, shown "\"dbward <dbward@example.com>\"";
        /// Certificates that are trusted besides the public ones, relative to this file.
        ca_file: Text, shown "\"smtp-ca.pem\"";
    }
}

section! {
    /// The Slack app: requests are posted, decided and made in Slack; docs/notifications.md has its manifest. Statements
    /// are shown there in dialogs only, to those who may see them. No default.
    pub struct RawSlack {
        /// Each either itself or in a file.
        bot_token: RawSecret, shown "\"${SLACK_BOT_TOKEN}\"";
        signing_secret: RawSecret, shown "\"${SLACK_SIGNING_SECRET}\"";
        /// Where messages go, by id or name.
        channel: Text, shown format!("\"{CHANNEL_DEFAULT}\"");
        /// The same by environment, and under `default` for what concerns none; or as a table [slack.channels].
        channels: Vec<(String, Spanned<String>)>, within 0..=CHANNELS_MAX, shown "{ production = \"C0000000002\" }";
        /// Where Slack's methods are, for a gateway of your own in front of it.
        api_base_url: Text, shown format!("\"{API_BASE_URL}\"");
    }
}
