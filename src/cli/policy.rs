//! `dbward policy`: recorded decisions, decided again. `replay` holds them against the policies that decided; `test`
//! shows what the policies of another server.toml would make of the same requests.

use crate::cli::output::{note, say};
use crate::clock::{Clock, Timestamp};
use crate::config::Config;
use crate::domain::decision::replay::{Outlook, Replayed};
use crate::domain::facts::Facts;
use crate::error::counted;
use crate::store::each_decision;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Differences printed one by one; the rest are counted.
const DIFFERENCES_SHOWN: usize = 100;
/// Kinds of change counted one by one in a test: beyond these they are counted under one head.
const KINDS_MAX: usize = 1000;
/// Why a record is not decided again.
const BEFORE_FACTS: &str = "recorded before facts were kept whole";

/// Which decisions, and where they are recorded.
#[derive(Debug, clap::Args)]
pub struct PolicyOptions {
    /// Configuration: where the database is, and for a test the policies to try
    #[arg(long, value_name = "FILE", default_value = "server.toml")]
    pub config: PathBuf,
    /// The database file [default: dbward.db in the state_dir of the configuration]
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,
    /// Only requests made in the last so many days
    #[arg(long)]
    pub days: Option<u32>,
}

/// The same, for a test.
#[derive(Debug, clap::Args)]
pub struct PolicyTestOptions {
    #[command(flatten)]
    pub requests: PolicyOptions,
    /// Fail where anything would change
    #[arg(long)]
    pub strict: bool,
}

impl PolicyOptions {
    fn since(&self) -> Timestamp {
        match self.days {
            Some(days) => Timestamp(Clock::system().now().0 - i64::from(days) * 86_400_000),
            None => Timestamp(i64::MIN),
        }
    }
}

fn load(path: &Path) -> Result<Config, String> {
    let config = Config::load(path).map_err(|problems| problems.to_string())?;
    for warning in &config.warnings {
        note!("warning: {}: {warning}", path.display());
    }
    Ok(config)
}

/// Decides every recorded request again under the policies that decided it. A difference is the error.
pub fn replay(options: &PolicyOptions) -> Result<(), String> {
    let db = match &options.db {
        Some(db) => db.clone(),
        None => load(&options.config)?.state_dir.join("dbward.db"),
    };
    let (mut same, mut too_old, mut different) = (0u64, 0u64, 0u64);
    let mut shown = 0;
    each_decision(
        &db,
        options.since(),
        &mut |recorded, policies| match recorded.replay(policies) {
            Replayed::Same => same += 1,
            Replayed::TooOld => too_old += 1,
            Replayed::Different(differences) => {
                different += 1;
                for difference in differences {
                    shown += 1;
                    if shown <= DIFFERENCES_SHOWN {
                        say!("{}: {difference}", recorded.id);
                    }
                }
            }
        },
    )
    .map_err(|e| e.to_string())?;
    if shown > DIFFERENCES_SHOWN {
        say!("{}", counted(shown - DIFFERENCES_SHOWN, "more difference"));
    }
    say!("{} out as recorded", come(same));
    if too_old > 0 {
        say!("{too_old} not tried: {BEFORE_FACTS}");
    }
    if different > 0 {
        return Err(format!("{} out differently", come(different)));
    }
    Ok(())
}

/// `1 decision comes`, `2 decisions come`.
fn come(count: u64) -> String {
    let verb = if count == 1 { "comes" } else { "come" };
    format!("{} {verb}", counted(count, "decision"))
}

/// Changes of one kind to requests of one target and operation.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct DifferenceKind {
    outlook: Outlook,
    place: String,
}

struct Differences {
    count: u64,
    example: String,
}

/// Decides every recorded request under the policies of another configuration, and prints what would change.
pub fn test(test: &PolicyTestOptions) -> Result<(), String> {
    let options = &test.requests;
    let config = load(&options.config)?;
    let db = match &options.db {
        Some(db) => db.clone(),
        None => config.state_dir.join("dbward.db"),
    };
    let mut kinds: BTreeMap<DifferenceKind, Differences> = BTreeMap::new();
    let (mut same, mut unknown, mut others) = (0u64, 0u64, 0u64);
    each_decision(&db, options.since(), &mut |recorded, _| {
        let outlook = recorded.under(&config.policies);
        match outlook {
            Outlook::Same => same += 1,
            Outlook::Unknown => unknown += 1,
            outlook => {
                let target = Facts::from_text(&recorded.facts).map(|f| f.target.to_string());
                let place = format!("{} {}", target.unwrap_or_default(), recorded.operation);
                let kind = DifferenceKind { outlook, place };
                if let Some(seen) = kinds.get_mut(&kind) {
                    seen.count += 1;
                } else if kinds.len() < KINDS_MAX {
                    let example = recorded.id.clone();
                    kinds.insert(kind, Differences { count: 1, example });
                } else {
                    others += 1;
                }
            }
        }
    })
    .map_err(|e| e.to_string())?;
    say!(
        "{} against the requests of {}:",
        options.config.display(),
        db.display()
    );
    let mut changed = others;
    let mut head = "";
    for (kind, seen) in &kinds {
        changed += seen.count;
        let (title, how) = describe(&kind.outlook);
        if title != head {
            say!("{title}:");
            head = title;
        }
        say!(
            "  {:>6}  {}: {how} (such as {})",
            seen.count,
            kind.place,
            seen.example
        );
    }
    if others > 0 {
        say!(
            "and {}, of more kinds than are counted one by one",
            counted(others, "more change")
        );
    }
    say!("{same} would be decided as before");
    if unknown > 0 {
        say!("{unknown} not tried: {BEFORE_FACTS}");
    }
    if test.strict && changed > 0 {
        return Err(format!(
            "{} would be decided differently",
            counted(changed, "request")
        ));
    }
    Ok(())
}

fn describe(outlook: &Outlook) -> (&'static str, String) {
    match outlook {
        Outlook::AutoApproved { risk, reason } => {
            ("newly auto-approved", format!("risk {risk}, {reason}"))
        }
        Outlook::Blocked { code, message } => ("newly blocked", format!("{code}, {message}")),
        Outlook::Waiting { approvers } => {
            ("newly waiting", format!("for {}", approvers.join(", ")))
        }
        Outlook::OtherApprovers { before, after } => (
            "waiting for others",
            format!("{} instead of {}", after.join("; "), before.join("; ")),
        ),
        Outlook::Same | Outlook::Unknown => ("unchanged", String::new()),
    }
}
