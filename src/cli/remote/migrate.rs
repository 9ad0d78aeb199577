//! `migrate`: files of migrations, sent as one request. Which of them are applied, the agent finds out.

use super::super::Failure;
use super::execute::{AboutOptions, WaitOptions, read_text, submit};
use super::settings::ClientSettings;
use super::target::TargetOptions;
use super::{CommandError, CommonOptions, ConnectionOptions, ServerSession, with};
use crate::cli::output::say;
use crate::clock::Clock;
use crate::crypto::{sha256_hex, write_private};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The commands under `migrate`.
#[derive(Debug, clap::Subcommand)]
pub enum MigrateVerb {
    /// Write an empty migration
    #[command(before_help = "Examples:\n  dbward migrate create add_paid_at")]
    Create(CreateOptions),
    /// Show which migrations are applied
    #[command(before_help = "Examples:\n  dbward migrate status -d app -e production")]
    Status(MigrateOptions),
    /// Apply what is not applied
    #[command(before_help = "Examples:\n  dbward migrate up -d app -e production --wait --fail")]
    Up(CountedOptions),
    /// Take the newest back
    #[command(before_help = "Examples:\n  dbward migrate down -d app -e development --count 2")]
    Down(CountedOptions),
    /// Correct what the database remembers, in an emergency
    #[command(before_help = "Examples:\n  \
        dbward migrate repair --mark-applied 20260102030405 -d app -e production --reason \"applied by hand\"")]
    Repair(RepairOptions),
}

#[derive(Debug, clap::Args)]
pub struct CreateOptions {
    /// What it does, in a few words
    #[arg(value_name = "NAME")]
    name: String,
    /// Folder of the migrations [default: migrations_dir of the configuration, or migrations]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    connection: ConnectionOptions,
}

#[derive(Debug, clap::Args)]
pub struct MigrateOptions {
    /// Folder of the migrations [default: migrations_dir of the configuration, or migrations]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    about: AboutOptions,
    #[command(flatten)]
    wait: WaitOptions,
    #[command(flatten)]
    common: CommonOptions,
}

#[derive(Debug, clap::Args)]
pub struct CountedOptions {
    /// At most so many [default: all up, one down]
    #[arg(long, short = 'n', value_name = "N")]
    count: Option<u64>,
    #[command(flatten)]
    rest: MigrateOptions,
}

#[derive(Debug, clap::Args)]
pub struct RepairOptions {
    /// Remember this version as applied
    #[arg(long, value_name = "VERSION", group = "action")]
    mark_applied: Option<String>,
    /// Forget this version
    #[arg(long, value_name = "VERSION", group = "action")]
    remove: Option<String>,
    #[command(flatten)]
    rest: MigrateOptions,
}

/// Runs a command under `migrate`.
pub(super) fn run(verb: MigrateVerb) -> Result<u8, Failure> {
    match verb {
        MigrateVerb::Create(o) => create(&o).map_err(|e| e.failure(false)),
        MigrateVerb::Status(o) => with(&o.common, |s| {
            submit(
                s,
                &o.target,
                &o.about,
                &o.wait,
                "migrate_status",
                String::new(),
            )
        }),
        MigrateVerb::Up(o) => with(&o.rest.common, |s| send(s, &o, true)),
        MigrateVerb::Down(o) => with(&o.rest.common, |s| send(s, &o, false)),
        MigrateVerb::Repair(o) => with(&o.rest.common, |s| repair(s, &o)),
    }
}

fn create(o: &CreateOptions) -> Result<u8, CommandError> {
    let dir = match &o.dir {
        Some(dir) => dir.clone(),
        // Writing a file needs no server.
        None => ClientSettings::load(&o.connection)
            .map_or_else(|_| "migrations".into(), |s| s.migrations_dir),
    };
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '_'
        }
    };
    let name: String = o.name.chars().map(plain).collect();
    let stamp: String = Clock::system()
        .now()
        .rfc3339()
        .chars()
        .filter(char::is_ascii_digit)
        .take(14)
        .collect();
    let file = dir.join(format!("{stamp}_{name}.sql"));
    let failed = |e: std::io::Error| CommandError::new(format!("{}: {e}", file.display()));
    std::fs::create_dir_all(&dir).map_err(failed)?;
    write_private(&file, b"-- migrate:up\n\n-- migrate:down\n").map_err(failed)?;
    say!("{}", file.display());
    Ok(0)
}

/// One file.
struct Migration {
    version: String,
    up: Section,
    down: Section,
}

/// What a file holds for one direction.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Section {
    sql: String,
    transactional: bool,
}

fn send(session: &ServerSession, o: &CountedOptions, up: bool) -> Result<u8, CommandError> {
    let dir = o
        .rest
        .dir
        .clone()
        .unwrap_or_else(|| session.settings.migrations_dir.clone());
    let (files, dir_sha256) = read_dir(&dir)?;
    let migrations: Vec<Value> = files
        .iter()
        .map(|m| {
            let part = if up { &m.up } else { &m.down };
            json!({"version": m.version, "sql": part.sql, "transactional": part.transactional})
        })
        .collect();
    let versions: Vec<&str> = files.iter().map(|m| m.version.as_str()).collect();
    let mut detail = json!({
        "format": "v2",
        "direction": if up { "up" } else { "down" },
        "versions": versions,
        "migrations": migrations,
        "dir_sha256": dir_sha256,
    });
    if let Some(count) = o.count.or((!up).then_some(1)) {
        detail["max_count"] = json!(count);
    }
    let operation = if up { "migrate_up" } else { "migrate_down" };
    let r = &o.rest;
    submit(
        session,
        &r.target,
        &r.about,
        &r.wait,
        operation,
        detail.to_string(),
    )
}

fn repair(session: &ServerSession, o: &RepairOptions) -> Result<u8, CommandError> {
    let (action, version) = match (&o.mark_applied, &o.remove) {
        (Some(version), _) => ("mark_applied", version),
        (None, Some(version)) => ("remove", version),
        (None, None) => {
            return Err(CommandError::new("nothing to repair is named")
                .hint("--mark-applied VERSION or --remove VERSION"));
        }
    };
    if o.rest.about.reason.is_none() {
        return Err(CommandError::new("a repair needs a reason").hint("add --reason \"…\""));
    }
    let about = AboutOptions {
        emergency: true,
        ..o.rest.about.clone()
    };
    let detail = json!({"action": action, "version": version}).to_string();
    submit(
        session,
        &o.rest.target,
        &about,
        &o.rest.wait,
        "migrate_repair",
        detail,
    )
}

/// The migrations of a folder in order, and the hash over names and contents.
fn read_dir(dir: &Path) -> Result<(Vec<Migration>, String), CommandError> {
    let failed = |e: std::io::Error| CommandError::new(format!("{}: {e}", dir.display()));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let name = entry
            .map_err(failed)?
            .file_name()
            .to_string_lossy()
            .into_owned();
        if name.ends_with(".sql") {
            names.push(name);
        }
    }
    if names.is_empty() {
        return Err(
            CommandError::new(format!("{} has no migrations", dir.display()))
                .hint("dbward migrate create NAME"),
        );
    }
    names.sort();
    let (mut files, mut hashed) = (Vec::new(), String::new());
    for name in names {
        let text = read_text(&dir.join(&name))?;
        let _ = writeln!(hashed, "{name}\0{}", sha256_hex(text.as_bytes()));
        files.push(migration(&name, &text)?);
    }
    Ok((files, sha256_hex(hashed.as_bytes())))
}

fn migration(name: &str, text: &str) -> Result<Migration, CommandError> {
    let version = name.split(['_', '.']).next().unwrap_or_default().to_owned();
    let (mut up, mut down) = (None, None);
    let mut open: Option<&mut Option<Section>> = None;
    for line in text.lines() {
        let marker = line.trim().strip_prefix("-- migrate:");
        if let Some(marker) = marker {
            let begun = match marker.split_whitespace().next() {
                Some("up") => &mut up,
                Some("down") => &mut down,
                _ => {
                    return Err(CommandError::new(format!(
                        "{name}: `{}` is not a marker",
                        line.trim()
                    )));
                }
            };
            *begun = Some(Section {
                sql: String::new(),
                transactional: !marker.contains("transaction:false"),
            });
            open = Some(begun);
        } else if let Some(Some(section)) = open.as_deref_mut() {
            section.sql.push_str(line);
            section.sql.push('\n');
        }
    }
    let up = up.ok_or_else(|| {
        CommandError::new(format!("{name} has no `-- migrate:up`"))
            .hint("dbward migrate create writes both markers")
    })?;
    let trimmed = |section: Section| Section {
        sql: section.sql.trim().to_owned(),
        ..section
    };
    Ok(Migration {
        version,
        up: trimmed(up),
        down: trimmed(down.unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_version_and_two_directions() {
        let text = "-- note\n-- migrate:up transaction:false\nCREATE INDEX a ON b (c);\n\n-- migrate:down\nDROP INDEX a;\n";
        let read = migration("20260102_add.sql", text).ok().unwrap();
        assert_eq!(read.version, "20260102");
        let section = |sql: &str, transactional| Section {
            sql: sql.to_owned(),
            transactional,
        };
        assert_eq!(read.up, section("CREATE INDEX a ON b (c);", false));
        assert_eq!(read.down, section("DROP INDEX a;", true));
        assert!(migration("1_x.sql", "CREATE").is_err());
        assert!(migration("1_x.sql", "-- migrate:upp").is_err());
    }
}
