//! What agents say of their databases: accepted, remembered for risk, and shown.

use super::{App, dialects};
use crate::domain::actor::Caller;
use crate::domain::change::{ConfigurationChange, NewSchema};
use crate::domain::dialect::Dialect;
use crate::domain::id::Target;
use crate::domain::permission::Permission;
use crate::domain::policy::Policies;
use crate::domain::schema::{Schema, Snapshot};
use crate::error::{Error, Shown, cut};
use crate::store::{SchemaRow, Verdict};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Longest error message of a failed collection, in bytes.
pub const ERROR_BYTES_MAX: usize = 4096;
/// The environments that answer for a database where none is named, in this order; then the others by name.
const PREFERRED: [&str; 3] = ["production", "staging", "development"];

/// A description as an agent sends it.
#[derive(Debug, Clone)]
pub struct Description {
    /// Name of the database.
    pub database: String,
    /// Name of the environment.
    pub environment: String,
    /// `postgresql`, `mysql` or `sqlite`.
    pub dialect: String,
    /// `ready`, `partial` or `failed`.
    pub status: String,
    /// The tables, as JSON.
    pub snapshot: Option<String>,
    pub error_message: Option<String>,
}

/// Snapshots as they were last read; one for each registered target at most.
#[derive(Default)]
pub struct SnapshotCache {
    epoch: AtomicU64,
    by_target: Mutex<HashMap<Target, Arc<CachedSnapshot>>>,
}

/// What is remembered of one target.
#[derive(Debug)]
pub struct CachedSnapshot {
    epoch: u64,
    dialect: Option<Dialect>,
    collected_at: Option<String>,
    snapshot: Option<Option<Snapshot>>,
    /// What each agent reported and stated of the dialect.
    reported: HashMap<String, Dialect>,
    stated: HashMap<String, Dialect>,
}

impl SnapshotCache {
    /// Forgets everything: something was described anew.
    pub fn forget(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }
}

impl CachedSnapshot {
    /// The dialect whose texts an agent may run, of a target with that configured one.
    pub(super) fn runs(&self, agent_id: &str, configured: Option<Dialect>) -> Option<Dialect> {
        dialects::runs(
            configured,
            self.reported.get(agent_id).copied(),
            self.stated.get(agent_id).copied(),
        )
    }

    /// When the snapshot was collected; none where it is not of a database of that dialect.
    pub fn collected_at(&self, dialect: Option<Dialect>) -> Option<&str> {
        let counts = dialect.is_some() && self.dialect == dialect;
        self.collected_at.as_deref().filter(|_| counts)
    }

    /// The tables, as risk sees them; none where the snapshot is not of a database of that dialect.
    pub fn schema(&self, dialect: Option<Dialect>) -> Schema<'_> {
        match &self.snapshot {
            _ if dialect.is_none() || self.dialect != dialect => Schema::NotSynced,
            None => Schema::NotSynced,
            Some(None) => Schema::Failed,
            Some(Some(snapshot)) => Schema::Ready(snapshot),
        }
    }
}

impl App {
    /// What is known of a registered target's tables.
    ///
    /// # Errors
    /// When the store cannot read.
    pub fn schema(&self, target: &Target) -> Result<Arc<CachedSnapshot>, Error> {
        let epoch = self.caches.schemas.epoch.load(Ordering::SeqCst);
        {
            let known = self.caches.schemas.by_target.lock();
            let known = known.unwrap_or_else(|e| e.into_inner());
            if let Some(found) = known.get(target).filter(|r| r.epoch == epoch) {
                return Ok(Arc::clone(found));
            }
        }
        let (row, reported, stated) = self.store.read(|view| {
            Ok((
                view.find_schema(target)?,
                view.reported_dialects(target)?,
                view.stated_dialects(target)?,
            ))
        })?;
        let remembered = Arc::new(CachedSnapshot {
            epoch,
            dialect: row.as_ref().map(|r| r.dialect),
            collected_at: row
                .as_ref()
                .and_then(|r| r.collected_at)
                .map(|t| t.rfc3339()),
            snapshot: row
                .and_then(|r| r.snapshot_json)
                .map(|json| Snapshot::parse(&json)),
            reported: reported
                .into_iter()
                .map(|r| (r.agent_id, r.dialect))
                .collect(),
            stated: stated.into_iter().collect(),
        });
        if self.active().policies.database(target).is_some() {
            let known = self.caches.schemas.by_target.lock();
            let mut known = known.unwrap_or_else(|e| e.into_inner());
            known.insert(target.clone(), Arc::clone(&remembered));
        }
        Ok(remembered)
    }
}

/// Takes a description in; one that failed, or whose dialect is not that of the database, keeps what was known before.
///
/// # Errors
/// 400 `validation_error`; 403 for a target that the agent does not serve; 422 `database_not_registered`.
pub fn sync(app: &Arc<App>, caller: &Caller, input: Description) -> Result<(), Error> {
    caller.require(Permission::AgentPoll)?;
    let target = Target::new(&input.database, &input.environment)?;
    let dialect = Dialect::parse(&input.dialect).ok_or_else(|| {
        Error::invalid(format!("unknown dialect `{}`", Shown(&input.dialect)))
            .hint("one of postgresql, mysql, sqlite")
    })?;
    let status = ["ready", "partial", "failed"]
        .into_iter()
        .find(|s| *s == input.status)
        .ok_or_else(|| Error::invalid(format!("unknown status `{}`", Shown(&input.status))))?;
    let snapshot_json = input.snapshot.filter(|_| status != "failed");
    let parsed = snapshot_json.as_deref().map(Snapshot::parse);
    let tables = match (status, &parsed) {
        // What was described before stays.
        ("failed", _) | ("partial", None) => 0,
        (_, Some(Some(snapshot))) => snapshot.tables.len(),
        (_, Some(None)) => {
            return Err(Error::invalid(
                "snapshot is not a list of tables, or has too many",
            ));
        }
        (_, None) => {
            return Err(Error::invalid(format!(
                "status `{status}` needs a snapshot"
            )));
        }
    };
    if app.active().policies.database(&target).is_none() {
        return Err(Error::refused(
            "database_not_registered",
            format!("database {target} is not registered"),
        ));
    }
    if !caller.reaches(&target) {
        let message = format!("this agent's token is not for {target}");
        return Err(Error::forbidden(message));
    }
    let serves = app
        .store
        .agent_reports(&caller.subject)
        .iter()
        .any(|a| a.serves(&target));
    if !serves {
        return Err(
            Error::forbidden(format!("this agent does not serve {target}"))
                .hint("poll with this target among the capabilities first"),
        );
    }
    let mut new = NewSchema {
        target,
        dialect,
        known: None,
        is_used: true,
        status,
        snapshot_json,
        error_message: input.error_message.map(|m| cut(m, ERROR_BYTES_MAX)),
        agent_id: caller.subject.clone(),
        tables,
    };
    let cx = Arc::clone(app);
    app.store.change(caller.actor(), move |view, now| {
        let found = dialects::of_target(&cx.active().policies, view, &new.target, now)?;
        new.known = found.known;
        judge_dialect(&mut new, found.configured);
        let change = ConfigurationChange::SchemaSynced(new);
        Ok(Verdict::Write(vec![change.into()], ()))
    })
}

/// Whether a description counts: not against the configuration, and one that is not whole not against what is known.
fn judge_dialect(new: &mut NewSchema, configured: Option<Dialect>) {
    let (agent, target) = (&new.agent_id, &new.target);
    let Some(known) = new.known.filter(|known| *known != new.dialect) else {
        return;
    };
    let (known, reported) = (known.as_str(), new.dialect.as_str());
    if configured.is_none() && new.status == "ready" {
        log::warn!("agent {agent} reports {target} as {reported}, and it was {known} so far");
        return;
    }
    if new.status == "failed" {
        return;
    }
    new.is_used = false;
    log::warn!("agent {agent} reports {target} as {reported}, and it is {known}: not used");
    new.error_message = Some(format!(
        "reported as {reported}, and the dialect of the database is {known}"
    ));
}

/// A description to show: where it is from, and its row.
pub struct Described {
    /// The target it describes.
    pub target: Target,
    pub row: SchemaRow,
    pub tables: Vec<Value>,
}

/// The tables of a database, in the environment named or in the best one that the caller may view.
///
/// # Errors
/// 404 for an unknown database, environment or table, or nothing described; 403 `forbidden`.
pub fn show(
    app: &App,
    caller: &Caller,
    database: &str,
    environment: Option<&str>,
    table: Option<&str>,
) -> Result<Described, Error> {
    let active = app.active();
    let known: Vec<Target> = active
        .policies
        .targets()
        .filter(|t| t.database() == database)
        .collect();
    may_know(caller, &active.policies, database, environment)?;
    if known.is_empty() {
        return Err(Error::not_found("database", database));
    }
    let mut wanted: Vec<Target> = match environment {
        Some(name) => known
            .into_iter()
            .filter(|t| t.environment() == name)
            .collect(),
        None => known,
    };
    if wanted.is_empty() {
        let what = format!("environment of `{}`", Shown(database));
        return Err(Error::not_found(&what, environment.unwrap_or_default()));
    }
    let rank = |t: &Target| {
        let place = PREFERRED.iter().position(|p| *p == t.environment());
        (place.unwrap_or(PREFERRED.len()), t.environment().to_owned())
    };
    wanted.sort_by_key(rank);
    let mut hidden = false;
    for target in wanted {
        if !caller.may_on(Permission::RequestView, &target) {
            hidden = true;
            continue;
        }
        let row = app.store.read(|view| view.find_schema(&target))?;
        if let Some(row) = row.filter(|r| r.snapshot_json.is_some()) {
            return tables_of(target, row, table);
        }
    }
    if hidden {
        return Err(hidden_from_caller(database));
    }
    Err(Error::not_found("schema snapshot of", database).hint("an agent has to report it first"))
}

/// Refuses a caller who may see nothing under that name, without showing whether there is such a database.
fn may_know(
    caller: &Caller,
    policies: &Policies,
    database: &str,
    environment: Option<&str>,
) -> Result<(), Error> {
    let known = policies.targets().map(|t| t.environment().to_owned());
    let environments: Vec<String> = environment
        .map(str::to_owned)
        .into_iter()
        .chain(known)
        .collect();
    let scopes = caller.rights.scopes(Permission::RequestView);
    // The name need not be that of a target, nor even a name.
    let views = environments.iter().any(|environment| {
        scopes.iter().any(|parts| {
            parts
                .iter()
                .all(|scope| scope.covers_names(database, environment))
        })
    });
    if views {
        return Ok(());
    }
    Err(hidden_from_caller(database))
}

fn hidden_from_caller(database: &str) -> Error {
    Error::forbidden(format!(
        "permission denied: request.view on `{}`",
        Shown(database)
    ))
}

fn tables_of(target: Target, row: SchemaRow, table: Option<&str>) -> Result<Described, Error> {
    let json = row.snapshot_json.as_deref().unwrap_or("{}");
    let snapshot: Value = serde_json::from_str(json)
        .map_err(|e| Error::internal(format!("schema snapshot of {target}"), e))?;
    let mut tables: Vec<Value> = snapshot["tables"].as_array().cloned().unwrap_or_default();
    if let Some(name) = table {
        let (schema, bare) = match name.split_once('.') {
            Some((schema, bare)) => (Some(schema), bare),
            None => (None, name),
        };
        tables.retain(|t| t["name"] == bare && schema.is_none_or(|s| t["schema_name"] == s));
        if tables.len() != 1 {
            let what = if tables.is_empty() {
                "table"
            } else {
                "single table"
            };
            return Err(Error::not_found(what, name).hint("name it as schema.table"));
        }
    }
    Ok(Described {
        target,
        row,
        tables,
    })
}
