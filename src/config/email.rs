//! What `[email]` means: by which server mail is sent, and from whom.

use super::check::{one_of, secret};
use super::raw::outward::PORT_DEFAULT;
use super::raw::{RawConfig, RawEmail};
use super::{Endpoint, Secret};
use crate::error::Shown;
use crate::settings::{Notes, Spanned};
use lettre::message::Mailbox;
use std::path::{Path, PathBuf};

/// How the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MailSecurity {
    /// Begins in the clear and is encrypted before anything is sent.
    #[default]
    StartTls,
    Tls,
    /// Not at all; only to this machine.
    None,
}

impl MailSecurity {
    const ALL: [MailSecurity; 3] = [
        MailSecurity::StartTls,
        MailSecurity::Tls,
        MailSecurity::None,
    ];

    fn as_str(self) -> &'static str {
        match self {
            MailSecurity::StartTls => "starttls",
            MailSecurity::Tls => "tls",
            MailSecurity::None => "none",
        }
    }
}

/// `[email]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    pub server: String,
    pub port: u16,
    pub security: MailSecurity,
    /// User name and password, where the server wants them.
    pub credentials: Option<(String, Secret)>,
    /// The sender: an address, or a name and an address.
    pub from: String,
    /// Certificates that are trusted besides the public ones.
    pub ca_file: Option<PathBuf>,
}

impl Email {
    /// Whether its server is this machine, by its name.
    pub fn is_here(&self) -> bool {
        Endpoint::parse(&format!("http://{}", self.server)).is_ok_and(|e| e.is_here())
    }
}

/// Whether mail can be sent to this address.
pub(super) fn is_address(text: &str) -> bool {
    text.parse::<lettre::Address>().is_ok()
}

/// Checks the section, if there is one.
pub(super) fn check(raw: &RawConfig, base: &Path, notes: &mut Notes) -> Option<Email> {
    let section = raw.email.as_ref()?;
    let security = one_of(&section.security, MailSecurity::default(), notes, |text| {
        MailSecurity::ALL
            .into_iter()
            .find(|s| s.as_str() == text)
            .ok_or("not one of `starttls`, `tls`, `none`")
    });
    let server = required(&section.server, section, "server", notes);
    let from = required(&section.from, section, "from", notes);
    let password = secret(&section.password, base, notes);
    let credentials = credentials(section, password, notes);
    let port = section
        .port
        .as_ref()
        .map_or(PORT_DEFAULT, |port| port.value as u16);
    let email = Email {
        server: host(server?, notes)?,
        port,
        security,
        credentials: credentials?,
        from: sender(from?, notes)?,
        ca_file: section.ca_file.as_ref().map(|file| base.join(&file.value)),
    };
    if security == MailSecurity::None && !email.is_here() {
        notes.problem(
            &section.at.key("security"),
            "`none` is for a server on this machine only: mail and password would be sent in the clear",
        );
        return None;
    }
    Some(email)
}

fn required<'r>(
    spanned: &'r Option<Spanned<String>>,
    section: &RawEmail,
    key: &str,
    notes: &mut Notes,
) -> Option<&'r Spanned<String>> {
    let place = section.at.key(key);
    if spanned.is_none() && !notes.has_problem(&place.key) {
        notes.problem(&place, "this key is required");
    }
    spanned.as_ref()
}

/// The host, which is one as it may stand in a URL.
fn host(spanned: &Spanned<String>, notes: &mut Notes) -> Option<String> {
    match Endpoint::parse(&format!("http://{}/", spanned.value)) {
        Ok(url) if url.host() == spanned.value.trim_matches(['[', ']']) => {
            Some(url.host().to_owned())
        }
        _ => {
            let message = format!(
                "`{}` is not a host; the port has a key of its own",
                Shown(&spanned.value)
            );
            notes.problem(&spanned.at, message);
            None
        }
    }
}

fn sender(spanned: &Spanned<String>, notes: &mut Notes) -> Option<String> {
    if spanned.value.parse::<Mailbox>().is_err() {
        let message = format!(
            "`{}` is not an address like `dbward@example.com` or `dbward <dbward@example.com>`",
            Shown(&spanned.value)
        );
        notes.problem(&spanned.at, message);
        return None;
    }
    Some(spanned.value.clone())
}

/// Both or neither; `None` where a problem is noted.
fn credentials(
    section: &RawEmail,
    password: Option<Secret>,
    notes: &mut Notes,
) -> Option<Option<(String, Secret)>> {
    match (&section.username, password) {
        (Some(name), Some(password)) => Some(Some((name.value.clone(), password))),
        (None, None) if section.password.raw.is_none() && section.password.file.is_none() => {
            Some(None)
        }
        (Some(name), None) => {
            if !notes.has_problem(&section.password.at.key) {
                notes.problem(&name.at, "a user name needs a password");
            }
            None
        }
        (None, Some(_)) => {
            notes.problem(&section.password.at, "a password needs a user name");
            None
        }
        (None, None) => None,
    }
}
