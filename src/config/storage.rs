//! What `[result_storage]` means: in which folder or bucket results are kept, and who we are to the latter.

use super::Endpoint;
use super::Secret;
use super::check::{one_of, path};
use super::raw::storage::{BUCKET_DEFAULT, PERSIST_BYTES_DEFAULT, PREFIX_DEFAULT, REGION_DEFAULT};
use super::raw::{RawConfig, RawS3};
use crate::error::Shown;
use crate::settings::{Env, Location, Notes, Spanned, Text};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Longest region, in bytes; the longest there is has 14.
const REGION_BYTES_MAX: usize = 64;
/// Longest prefix, in bytes: followed by a key of ours, a key of the store (at most 1024).
const PREFIX_BYTES_MAX: usize = 512;
/// Longest id of an access key, in bytes.
const ACCESS_KEY_BYTES_MAX: usize = 128;
/// Largest shared credentials file, in bytes.
const PROFILES_BYTES_MAX: u64 = 256 * 1024;
/// The names of the environment that the tools of others use.
const ENV_ID: &str = "AWS_ACCESS_KEY_ID";
const ENV_SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const ENV_TOKEN: &str = "AWS_SESSION_TOKEN";

/// `[result_storage]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultStorage {
    /// The local folder; absolute. With a bucket: of results from before there was one.
    pub root_dir: PathBuf,
    /// Largest result that is taken from an agent, in bytes.
    pub max_persist_bytes: u64,
    /// The bucket where results are kept, if not in the folder.
    pub s3: Option<S3Storage>,
}

/// A bucket of a store that speaks S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Storage {
    pub bucket: String,
    /// Its region, which every signature names.
    pub region: String,
    /// Where the store is; without it, Amazon's of that region.
    pub endpoint: Option<Endpoint>,
    /// Whether the bucket stands in the path instead of the name of the host.
    pub path_style: bool,
    /// What all keys begin with, without slashes around it; may be empty.
    pub prefix: String,
    /// Whether objects are tagged with the time from which they may be removed.
    pub expiry_tag: bool,
    pub credentials: S3Credentials,
}

/// A key pair of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Credentials {
    /// The public half, which every call names.
    pub access_key_id: String,
    /// What calls are signed with.
    pub secret_access_key: Secret,
    /// Of a pair that was lent for a while.
    pub session_token: Option<Secret>,
}

/// Checks the section; `None` where it cannot be used, of which the notes have the reasons.
pub(super) fn check(
    raw: &RawConfig,
    state_dir: Option<&Path>,
    base: &Path,
    env: Env<'_>,
    notes: &mut Notes,
) -> Option<ResultStorage> {
    let default_dir = || state_dir.map(|dir| dir.join("results"));
    let Some(section) = &raw.result_storage else {
        return Some(ResultStorage {
            root_dir: default_dir()?,
            max_persist_bytes: PERSIST_BYTES_DEFAULT,
            s3: None,
        });
    };
    let is_s3 = one_of(&section.backend, Some(false), notes, |text| match text {
        "local" => Ok(Some(false)),
        "s3" => Ok(Some(true)),
        _ => Err("not one of `local`, `s3`"),
    });
    // Of a backend that is misspelled, nobody knows which keys go with it.
    let unclear = notes.has_problem(&section.at.key("backend").key);
    let s3 = match is_s3 {
        Some(true) => Some(s3(
            &section.s3,
            raw.process.allow_private_networks,
            base,
            env,
            notes,
        )),
        _ => {
            for at in section.s3_keys().filter(|_| !unclear) {
                notes.problem(at, "this key counts only with `backend = \"s3\"`");
            }
            None
        }
    };
    let bytes = section.max_persist_bytes.as_ref().map(|bytes| bytes.value);
    let root_dir = match &section.root_dir {
        Some(spanned) => path(spanned, base, notes),
        None => default_dir(),
    };
    Some(ResultStorage {
        root_dir: root_dir?,
        max_persist_bytes: bytes.unwrap_or(PERSIST_BYTES_DEFAULT),
        s3: match s3 {
            Some(bucket) => Some(bucket?),
            None => None,
        },
    })
}

fn s3(
    raw: &RawS3,
    trusts_private: bool,
    base: &Path,
    env: Env<'_>,
    notes: &mut Notes,
) -> Option<S3Storage> {
    let bucket = text_or(&raw.bucket, BUCKET_DEFAULT, notes, |text| {
        is_bucket(text).then(|| text.to_owned()).ok_or(
            "not a bucket: 3 to 63 of a-z, 0-9, `-`, `.`, a letter or digit at both ends, no two dots in a row",
        )
    });
    let prefix = text_or(&raw.prefix, PREFIX_DEFAULT, notes, tidy_prefix);
    let region = region(raw, env, notes);
    let endpoint = raw
        .endpoint
        .as_ref()
        .map(|spanned| endpoint(spanned, trusts_private, notes));
    let credentials = credentials(raw, base, env, notes);
    let endpoint = match endpoint {
        Some(read) => Some(read?),
        None => None,
    };
    let bucket = bucket?;
    // Stores of one's own rarely have a name for every bucket; Amazon's do.
    let path_style = raw.path_style.unwrap_or(endpoint.is_some());
    if !path_style {
        host_can_name(&bucket, endpoint.as_ref(), raw, notes)?;
    }
    Some(S3Storage {
        bucket,
        region: region?,
        endpoint,
        path_style,
        prefix: prefix?,
        expiry_tag: raw.expiry_tag.unwrap_or(true),
        credentials: credentials?,
    })
}

/// A value that was given and is valid, the default where none was given, or `None` with a problem noted.
pub(super) fn text_or(
    spanned: &Text,
    default: &str,
    notes: &mut Notes,
    read: impl FnOnce(&str) -> Result<String, &'static str>,
) -> Option<String> {
    let Some(spanned) = spanned else {
        return Some(default.to_owned());
    };
    match read(&spanned.value) {
        Ok(value) => Some(value),
        Err(why) => {
            notes.problem(&spanned.at, format!("`{}` is {why}", Shown(&spanned.value)));
            None
        }
    }
}

fn is_bucket(text: &str) -> bool {
    let is_end = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    (3..=63).contains(&bytes.len())
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
        && is_end(bytes.first())
        && is_end(bytes.last())
        && !text.contains("..")
}

/// The prefix with single slashes, and none around it. Only letters that no part of a URL changes.
pub(super) fn tidy_prefix(text: &str) -> Result<String, &'static str> {
    if text.len() > PREFIX_BYTES_MAX {
        return Err("longer than 512 bytes");
    }
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
    if !text.bytes().all(is_plain) {
        return Err("not a prefix: only letters, digits, `-`, `_`, `.` and `/` may stand in one");
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    if parts.iter().any(|part| [".", ".."].contains(part)) {
        return Err("not a prefix: `.` and `..` lead elsewhere in a URL");
    }
    Ok(parts.join("/"))
}

fn region(raw: &RawS3, env: Env<'_>, notes: &mut Notes) -> Option<String> {
    let is_region = |text: &str| {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        (1..=REGION_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_plain)
    };
    if raw.region.is_some() {
        return text_or(&raw.region, REGION_DEFAULT, notes, |text| {
            is_region(text)
                .then(|| text.to_owned())
                .ok_or("not a region like `us-east-1`")
        });
    }
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
        match env(name).filter(|value| !value.is_empty()) {
            Some(value) if is_region(&value) => return Some(value),
            Some(_) => {
                let message = format!("the variable {name} is not a region like `us-east-1`");
                notes.problem(&raw.at.key("region"), message);
                return None;
            }
            None => {}
        }
    }
    Some(REGION_DEFAULT.to_owned())
}

fn endpoint(
    spanned: &Spanned<String>,
    trusts_private: bool,
    notes: &mut Notes,
) -> Option<Endpoint> {
    // Without the value in any of these: it may have a password in it.
    let endpoint = match Endpoint::parse(&spanned.value) {
        Ok(endpoint) => endpoint,
        Err(why) => {
            notes.problem(&spanned.at, format!("this is {why}"));
            return None;
        }
    };
    let host = endpoint.url().split("://").nth(1).unwrap_or_default();
    if host.trim_end_matches('/').contains(['/', '?']) {
        notes.problem(
            &spanned.at,
            "an endpoint is a scheme, a host and a port; the bucket and the prefix have keys of their own",
        );
        return None;
    }
    if !endpoint.is_allowed(trusts_private) {
        notes.problem(
            &spanned.at,
            "`http://` is for this machine only, or with `allow_private_networks = true`",
        );
        return None;
    }
    Some(endpoint)
}

/// Whether the bucket can stand in front of the name of the host; a problem is noted where it cannot.
fn host_can_name(
    bucket: &str,
    endpoint: Option<&Endpoint>,
    raw: &RawS3,
    notes: &mut Notes,
) -> Option<()> {
    let at = raw
        .endpoint
        .as_ref()
        .filter(|_| endpoint.is_some_and(Endpoint::is_address))
        .map(|spanned| &spanned.at);
    if let Some(at) = at {
        let message = "no bucket can stand in front of an address; set `path_style = true`";
        notes.problem(at, message);
        return None;
    }
    if bucket.contains('.') && endpoint.is_none_or(|e| !e.is_plain()) {
        let at = raw.bucket.as_ref().map_or(&raw.at, |spanned| &spanned.at);
        let message =
            "the certificate of a store covers no bucket with a dot; set `path_style = true`";
        notes.problem(at, message);
        return None;
    }
    Some(())
}

/// Who we are: what the file says, else the environment, else the file that the tools of others share.
fn credentials(raw: &RawS3, base: &Path, env: Env<'_>, notes: &mut Notes) -> Option<S3Credentials> {
    let spanned = [
        &raw.access_key_id,
        &raw.secret_access_key,
        &raw.session_token,
    ];
    if let Some(first) = spanned.iter().find_map(|secret| secret.given_at()) {
        let [id, key, token] = spanned.map(|secret| super::check::secret(secret, base, notes));
        for (secret, name) in [
            (&raw.access_key_id, "access_key_id"),
            (&raw.secret_access_key, "secret_access_key"),
        ] {
            if secret.given_at().is_none() && !invalid(raw, name, notes) {
                let message = format!("without `{name}` nothing can be signed");
                notes.problem(first, message);
            }
        }
        // What was given and cannot be read is a problem already, and must not be left out.
        if raw.session_token.given_at().is_some() && token.is_none() {
            return None;
        }
        let at = raw.access_key_id.given_at().unwrap_or(first).clone();
        return checked(&at, id?, key?, token, notes);
    }
    let names = ["access_key_id", "secret_access_key", "session_token"];
    if names.iter().any(|name| invalid(raw, name, notes)) {
        return None;
    }
    let at = raw.at.key("access_key_id");
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    match (set(ENV_ID), set(ENV_SECRET)) {
        (Some(id), Some(key)) => {
            let token = set(ENV_TOKEN).map(Secret::new);
            checked(&at, Secret::new(id), Secret::new(key), token, notes)
        }
        (None, None) => shared(&at, env, notes),
        _ => {
            let message = format!("of the variables {ENV_ID} and {ENV_SECRET}, only one is set");
            notes.problem(&at, message);
            None
        }
    }
}

/// Whether this secret, or the key of its file, is wrong already.
fn invalid(raw: &RawS3, name: &str, notes: &Notes) -> bool {
    let key = raw.at.key(name).key;
    notes.has_problem(&key) || notes.has_problem(&format!("{key}_file"))
}

/// The pair, if its parts can be sent; never with a value in a message.
fn checked(
    at: &Location,
    id: Secret,
    secret_access_key: Secret,
    session_token: Option<Secret>,
    notes: &mut Notes,
) -> Option<S3Credentials> {
    let is_sent = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
    let id = id.expose();
    // These end the id within the header that carries it.
    let is_id = is_sent(id) && !id.contains(['/', ',', '=']);
    if id.is_empty() || id.len() > ACCESS_KEY_BYTES_MAX || !is_id {
        notes.problem(at, "the access key id is not one: letters and digits");
        return None;
    }
    if secret_access_key.expose().is_empty() {
        notes.problem(at, "the secret access key is empty");
        return None;
    }
    if session_token
        .as_ref()
        .is_some_and(|t| t.expose().is_empty() || !is_sent(t.expose()))
    {
        notes.problem(
            at,
            "the session token is empty, or holds what no header can",
        );
        return None;
    }
    Some(S3Credentials {
        access_key_id: id.to_owned(),
        secret_access_key,
        session_token,
    })
}

/// The pair of a profile in the shared credentials file.
fn shared(at: &Location, env: Env<'_>, notes: &mut Notes) -> Option<S3Credentials> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let named = set("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
    let usual = || set("HOME").map(|home| Path::new(&home).join(".aws/credentials"));
    let file = named.or_else(|| usual().filter(|path| path.is_file()));
    let Some(file) = file else {
        notes.problem(
            at,
            format!(
                "no credentials: set `access_key_id` and `secret_access_key`, or their `_file` keys, or the variables \
                 {ENV_ID} and {ENV_SECRET}"
            ),
        );
        return None;
    };
    let mut text = String::new();
    if let Err(e) =
        File::open(&file).and_then(|file| file.take(PROFILES_BYTES_MAX).read_to_string(&mut text))
    {
        notes.problem(at, format!("cannot read `{}`: {e}", file.display()));
        return None;
    }
    let profile = set("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
    let value = |key: &str| profile_value(&text, &profile, key).map(Secret::new);
    let (Some(id), Some(key)) = (value("aws_access_key_id"), value("aws_secret_access_key")) else {
        let message = format!(
            "`{}` has no access key under `[{}]`",
            file.display(),
            Shown(&profile)
        );
        notes.problem(at, message);
        return None;
    };
    checked(at, id, key, value("aws_session_token"), notes)
}

/// A value of a profile, in lines of `[profile]` and `key = value`.
fn profile_value<'t>(text: &'t str, profile: &str, key: &str) -> Option<&'t str> {
    let mut within = false;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            within = name.trim() == profile;
        } else if let (true, Some((name, value))) = (within, line.split_once('='))
            && name.trim().eq_ignore_ascii_case(key)
        {
            return Some(value.trim()).filter(|value| !value.is_empty());
        }
    }
    None
}
