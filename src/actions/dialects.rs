//! Which dialect a database speaks: it decides how texts are read, and which agents may run them.

use super::{Active, App};
use crate::clock::Timestamp;
use crate::domain::dialect::Dialect;
use crate::domain::id::Target;
use crate::domain::policy::Policies;
use crate::domain::request::Request;
use crate::domain::sql::{Analysis, DialectFact};
use crate::error::Error;
use crate::store::View;
use std::collections::HashMap;
use std::sync::Arc;

/// What is known of a target's dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TargetDialect {
    /// As the configuration says.
    pub configured: Option<Dialect>,
    /// As configured, else as last reported by an agent that may serve the target.
    pub known: Option<Dialect>,
}

/// The dialect of a target.
pub(super) fn of_target(
    policies: &Policies,
    view: &View,
    target: &Target,
    now: Timestamp,
) -> Result<TargetDialect, Error> {
    let configured = policies.dialect(target);
    let known = match configured {
        Some(dialect) => Some(dialect),
        None => reported(view, target, now)?,
    };
    Ok(TargetDialect { configured, known })
}

/// The newest report of an agent that has a live token for the target: one that lost it decides nothing any more.
fn reported(view: &View, target: &Target, now: Timestamp) -> Result<Option<Dialect>, Error> {
    for report in view.reported_dialects(target)? {
        let serves = view
            .tokens_of(&report.agent_id)?
            .iter()
            .any(|stored| stored.counts(now) && stored.token.reaches(target));
        if serves {
            return Ok(Some(report.dialect));
        }
    }
    Ok(None)
}

/// The dialect whose texts an agent may run on a target, besides those that are the same in all.
pub(super) fn of_agent(
    policies: &Policies,
    view: &View,
    target: &Target,
    agent_id: &str,
) -> Result<Option<Dialect>, Error> {
    let reports = view.reported_dialects(target)?;
    let report = reports.into_iter().find(|r| r.agent_id == agent_id);
    let configured = policies.dialect(target);
    let statements = view.stated_dialects(target)?;
    let stated = statements.into_iter().find(|(id, _)| id == agent_id);
    Ok(runs(
        configured,
        report.map(|r| r.dialect),
        stated.map(|(_, dialect)| dialect),
    ))
}

/// The dialect that an agent reported, or, where it reported none, the configured one. None where it has stated another
/// since, though its description failed: what it speaks now is not what counts.
pub(super) fn runs(
    configured: Option<Dialect>,
    reported: Option<Dialect>,
    stated: Option<Dialect>,
) -> Option<Dialect> {
    let dialect = reported.or(configured);
    dialect.filter(|dialect| stated.is_none_or(|stated| stated == *dialect))
}

/// Refuses a target that has left the configuration.
///
/// # Errors
/// 422 `database_not_registered`.
pub(super) fn ensure_registered(policies: &Policies, target: &Target) -> Result<(), Error> {
    if policies.database(target).is_some() {
        return Ok(());
    }
    Err(Error::refused(
        "database_not_registered",
        format!("database {target} is not registered any more"),
    )
    .hint("an administrator has to add it to [[databases]] of server.toml again"))
}

/// Refuses a request whose target has left the configuration, or is read in another dialect now than when the request
/// was made.
///
/// # Errors
/// 422 `database_not_registered`; 409 `dialect_changed`.
pub(super) fn ensure_current(
    policies: &Policies,
    view: &View,
    request: &Request,
    now: Timestamp,
) -> Result<(), Error> {
    let target = &request.target;
    ensure_registered(policies, target)?;
    let known = of_target(policies, view, target, now)?.known;
    if request.dialect.holds(known) {
        return Ok(());
    }
    let now = known.map_or("unknown", Dialect::as_str);
    Err(Error::conflict(
        "dialect_changed",
        format!(
            "the dialect of {target} is {now} now, and the request was read as {}",
            request.dialect.as_str()
        ),
    )
    .hint("make a new request"))
}

/// The dialects that targets have now, each looked up once.
#[derive(Default)]
pub(super) struct KnownDialects(HashMap<Target, Option<Dialect>>);

impl KnownDialects {
    /// Whether [`ensure_current`] accepts a request.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn is_current(
        &mut self,
        policies: &Policies,
        view: &View,
        request: &Request,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let target = &request.target;
        if policies.database(target).is_none() {
            return Ok(false);
        }
        let known = match self.0.get(target) {
            Some(known) => *known,
            None => {
                let known = of_target(policies, view, target, now)?.known;
                self.0.insert(target.clone(), known);
                known
            }
        };
        Ok(request.dialect.holds(known))
    }
}

/// Refuses an agent that may not run what was read in that dialect.
///
/// # Errors
/// 409 `dialect_mismatch`.
pub(super) fn ensure_runs(
    policies: &Policies,
    view: &View,
    target: &Target,
    agent_id: &str,
    fact: DialectFact,
) -> Result<(), Error> {
    let runs = of_agent(policies, view, target, agent_id)?;
    if fact.runs_on(runs) {
        return Ok(());
    }
    let runs = runs.map_or("none", Dialect::as_str);
    Err(Error::conflict(
        "dialect_mismatch",
        format!(
            "the statement was read as {}, and the dialect of this agent's {target} is {runs}",
            fact.as_str()
        ),
    )
    .hint("configure `dialect` of the database, or let the agent report its tables"))
}

/// A report that the configuration contradicts.
pub(super) struct Contradiction {
    pub target: Target,
    pub agent_id: String,
    pub reported: Dialect,
    pub configured: Dialect,
}

/// Reports of agents that these policies contradict.
pub(super) fn contradictions(app: &App, policies: &Policies) -> Result<Vec<Contradiction>, Error> {
    let mut found = Vec::new();
    for target in policies.targets() {
        let Some(configured) = policies.dialect(&target) else {
            continue;
        };
        let reports = app.store.read(|view| view.reported_dialects(&target))?;
        for report in reports.into_iter().filter(|r| r.dialect != configured) {
            found.push(Contradiction {
                target: target.clone(),
                agent_id: report.agent_id,
                reported: report.dialect,
                configured,
            });
        }
    }
    Ok(found)
}

/// The dialect of a target, if it is known.
pub(super) fn known_dialect(
    app: &App,
    active: &Active,
    target: &Target,
) -> Result<Option<Dialect>, Error> {
    if let Some(configured) = active.policies.dialect(target) {
        return Ok(Some(configured));
    }
    let now = app.clock.now();
    let found = app
        .store
        .read(|view| of_target(&active.policies, view, target, now))?;
    Ok(found.known)
}

/// Reads a text in the dialect of its database, or in all where nobody knows which that is.
pub(super) fn analyze(
    app: &App,
    text: &str,
    dialect: Option<Dialect>,
) -> Result<Arc<Analysis>, Error> {
    match dialect {
        Some(dialect) => app.analyzer.analyze(text, dialect),
        None => app.analyzer.analyze_any(text),
    }
}
