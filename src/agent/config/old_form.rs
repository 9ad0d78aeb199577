//! agent.toml as the agent of 0.1.6 reads it, brought to our form line by line, so that problems keep their place.
//!
//! `[databases.NAME.ENVIRONMENT]` becomes an element of `[[databases]]`, `agent_token` becomes `token`,
//! `max_concurrent` of the outermost table one of `[agent]`; the rhythm of polls and of descriptions is ours, so
//! `poll_interval_ms` and `[schema_sync]` are left out.

/// Keys of 0.1.6 that mean nothing here.
const WITHOUT_EFFECT: [&str; 3] = ["poll_interval_ms", "agent_id", "health_file"];

/// A file in our form.
pub(super) struct Translated {
    pub text: String,
    /// Name and environment of each element of `databases`, where its header had them.
    pub names: Vec<Option<(String, String)>>,
    /// Whether anything in it was of the old form.
    pub is_old: bool,
}

pub(super) fn translated(text: &str) -> Translated {
    let mut out = Translated {
        text: String::with_capacity(text.len()),
        names: Vec::new(),
        is_old: false,
    };
    let mut table = String::new();
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        if let Some(header) = header(trimmed) {
            table = header.to_owned();
            if trimmed.starts_with("[[databases]]") {
                out.names.push(None);
            } else if let Some(named) = database(header) {
                out.names.push(Some(named));
                out.is_old = true;
                out.text.push_str("[[databases]]\n");
                continue;
            }
        }
        let key = trimmed.split('=').next().unwrap_or_default().trim();
        let renamed = match (table.as_str(), key) {
            ("server", "agent_token") => Some("token"),
            ("server", "agent_token_file") => Some("token_file"),
            ("", "max_concurrent") => Some("agent.max_concurrent"),
            _ => None,
        };
        if table == "schema_sync" || WITHOUT_EFFECT.contains(&key) {
            out.is_old = true;
            out.text.push_str("# ");
            out.text.push_str(line);
        } else if let Some(ours) = renamed {
            out.is_old = true;
            out.text.push_str(&line.replacen(key, ours, 1));
        } else {
            out.text.push_str(line);
        }
    }
    out
}

/// The name of the table that a header opens.
fn header(line: &str) -> Option<&str> {
    let inner = line
        .split('#')
        .next()?
        .trim()
        .strip_prefix('[')?
        .strip_suffix(']')?;
    let inner = inner
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
        .unwrap_or(inner);
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"');
    inner.chars().all(bare).then_some(inner)
}

/// Name and environment in `databases.NAME.ENVIRONMENT`.
fn database(header: &str) -> Option<(String, String)> {
    let (name, environment) = header.strip_prefix("databases.")?.split_once('.')?;
    let plain = |text: &str| text.trim_matches('"').to_owned();
    (!environment.contains('.')).then(|| (plain(name), plain(environment)))
}
