//! What would become of a statement if somebody made a request of it now. Nothing is stored and nothing is audited.

use super::App;
use super::approvers::{NamedApprovers, of_step};
use super::dialects::known_dialect;
use super::resolve_policy::{Predicted, counted, predict};
use crate::domain::actor::Caller;
use crate::domain::decision::Decision;
use crate::domain::id::Target;
use crate::domain::permission::Permission;
use crate::domain::request::Opening;
use crate::domain::schema::Schema;
use crate::domain::sql::TEXT_BYTES_MAX;
use crate::error::Error;

/// What would happen.
pub struct Preflight {
    pub target: Target,
    pub policy_version: String,
    pub predicted: Predicted,
    /// Who could approve it, for each entry of each step of the workflow; none where nobody has to.
    pub approvers: Vec<Vec<NamedApprovers>>,
    /// Tables that the statement names, with the rows that their database estimates, where it is known.
    pub tables: Vec<(String, Option<i64>)>,
}

/// Predicts what a request of `sql` would come to. Counted with `first`, and not where the same call looks once more.
///
/// # Errors
/// 400 `validation_error`; 403 `forbidden` for somebody who may not even make a request that only reads; 429
/// `rate_limited`; 503 when no thread is free to read the statement.
pub fn preflight(
    app: &App,
    caller: &Caller,
    target: Target,
    sql: &str,
    first: bool,
) -> Result<Preflight, Error> {
    if !caller.may_on(Permission::RequestCreate, &target) {
        caller.require_on(Permission::RequestCreateSelect, &target)?;
    }
    if sql.len() > TEXT_BYTES_MAX {
        return Err(Error::invalid(format!(
            "sql is {} bytes long, at most {TEXT_BYTES_MAX} are allowed",
            sql.len()
        )));
    }
    if sql.contains('\0') {
        return Err(Error::invalid("sql contains a NUL character"));
    }
    if sql.trim().is_empty() {
        return Err(Error::invalid("sql is empty"));
    }
    let predicted = match first {
        true => counted(app, caller, &target, sql)?,
        false => predict(app, caller, &target, sql)?,
    };
    let tables = tables(app, caller, &target, &predicted)?;
    let approvers = approvers(app, caller, &target, &predicted)?;
    Ok(Preflight {
        approvers,
        policy_version: app.active().version.clone(),
        predicted,
        tables,
        target,
    })
}

fn approvers(
    app: &App,
    caller: &Caller,
    target: &Target,
    predicted: &Predicted,
) -> Result<Vec<Vec<NamedApprovers>>, Error> {
    let workflow = predicted
        .assessment
        .as_ref()
        .and_then(|a| a.workflow.as_ref());
    let waits = |decision: &Decision| decision.opening == Opening::Pending;
    let Some(workflow) = workflow.filter(|_| predicted.decision.as_ref().is_ok_and(waits)) else {
        return Ok(Vec::new());
    };
    let own = (!workflow.allow_self_approve).then_some(caller.subject.as_str());
    let left_out = own.into_iter().collect();
    let (active, now) = (app.active(), app.clock.now());
    app.store.read(|view| {
        let steps = workflow.steps.iter();
        let people = steps.map(|step| of_step(app, view, &active, step, target, now, &left_out));
        people.collect()
    })
}

fn tables(
    app: &App,
    caller: &Caller,
    target: &Target,
    predicted: &Predicted,
) -> Result<Vec<(String, Option<i64>)>, Error> {
    let Some(analysis) = &predicted.analysis else {
        return Ok(Vec::new());
    };
    estimated_rows(app, caller, target, &analysis.tables)
}

/// Tables with the rows that their database estimates, where it is known and the caller may know it.
///
/// # Errors
/// When the store cannot read.
pub fn estimated_rows(
    app: &App,
    caller: &Caller,
    target: &Target,
    names: &[String],
) -> Result<Vec<(String, Option<i64>)>, Error> {
    let snapshot = app.schema(target)?;
    let dialect = known_dialect(app, &app.active(), target)?;
    let schema = snapshot.schema(dialect);
    let rows = |name: &str| match (&schema, dialect) {
        // What a table holds is for those who may see the tables of the database.
        (Schema::Ready(snapshot), Some(dialect))
            if caller.may_on(Permission::RequestView, target) =>
        {
            snapshot
                .table(name, dialect)
                .map(|table| table.estimated_rows)
                .filter(|rows| *rows >= 0)
        }
        _ => None,
    };
    Ok(names
        .iter()
        .map(|name| (name.clone(), rows(name)))
        .collect())
}
