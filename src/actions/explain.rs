//! Plans for preflights: statements that agents explain for somebody who has made no request of them, and who could read
//! the tables without asking anybody. Kept in memory and not audited: they change nothing, nothing depends on them, and a
//! restart costs a plan.

use super::App;
use super::dry_run::{JOBS_MAX, STATEMENTS_MAX};
use super::preflight::Preflight;
use crate::clock::Timestamp;
use crate::crypto::uuid;
use crate::domain::actor::Caller;
use crate::domain::dialect::Dialect;
use crate::domain::id::Target;
use crate::domain::permission::Permission;
use crate::domain::sql::{Analysis, DialectFact};
use crate::error::Error;
use crate::store::{DryRun, Explained};
use std::sync::{Mutex, MutexGuard};

/// Longest wait for plans, in milliseconds: an agent that is there answers within one.
pub const WAIT_MS_MAX: u64 = 30_000;
/// The wait where the caller names none.
pub const WAIT_MS_DEFAULT: u64 = 5_000;
/// Preflights of one person that wait for plans at one time: each of them is work for a database.
pub const OPEN_PER_PERSON_MAX: usize = 2;
/// The same for everybody.
pub const OPEN_MAX: usize = 64;
/// Statements of preflights in one answer to a poll, so that those of requests are never kept out.
const OFFERED_MAX: usize = JOBS_MAX as usize / 2;
/// What stands instead of a plan that did not come while others did.
const LATE: &str = "no agent explained it in time";

/// How far the plans of a preflight are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanStatus {
    /// Every statement has its plan.
    Ready,
    /// Some have none, each with the reason.
    Partial,
    /// No agent answered in time.
    Timeout,
    /// No agent is there that could.
    Unavailable,
    /// The caller, or everybody together, waits for as many as may be.
    Busy,
    /// The workflow says that nothing is explained.
    Disabled,
    /// The caller may not see what the tables of the database hold, which a plan tells.
    Forbidden,
    /// Reads of the database wait for an approval, and a plan tells of what the rows hold.
    NeedsApproval,
    /// It could not be requested, or cannot be read: such a statement is never sent to a database.
    Refused,
    /// The caller wanted none.
    NotRequested,
}

impl PlanStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            PlanStatus::Ready => "ready",
            PlanStatus::Partial => "partial",
            PlanStatus::Timeout => "timeout",
            PlanStatus::Unavailable => "unavailable",
            PlanStatus::Busy => "busy",
            PlanStatus::Disabled => "disabled",
            PlanStatus::Forbidden => "forbidden",
            PlanStatus::NeedsApproval => "needs_approval",
            PlanStatus::Refused => "refused",
            PlanStatus::NotRequested => "not_requested",
        }
    }
}

/// Whether agents were asked.
pub enum PlanStart {
    /// Agents were asked; [`take`] has the plans under this id.
    Asked(String),
    /// No agent was asked, for that reason.
    Refused(PlanStatus),
}

/// What came of it: nothing, or each statement with its plan or the reason why it has none.
pub struct Plans {
    pub status: PlanStatus,
    pub explained: Vec<(String, Explained)>,
}

impl Plans {
    /// No plan, for that reason.
    pub fn none(status: PlanStatus) -> Plans {
        Plans {
            status,
            explained: Vec::new(),
        }
    }
}

/// The preflights that wait for plans, oldest first.
#[derive(Default)]
pub struct OpenPreflights(Mutex<Vec<OpenPreflight>>);

struct OpenPreflight {
    id: String,
    by: String,
    target: Target,
    dialect: DialectFact,
    /// Until when somebody waits.
    until: Timestamp,
    statements: Vec<Statement>,
}

struct Statement {
    id: String,
    sql: String,
    state: StatementState,
}

enum StatementState {
    Waiting,
    Claimed { agent_id: String, token: String },
    Done(Explained),
}

impl StatementState {
    fn is_waiting(&self) -> bool {
        matches!(self, StatementState::Waiting)
    }
}

impl OpenPreflight {
    fn is_done(&self) -> bool {
        let done = |s: &Statement| matches!(s.state, StatementState::Done(_));
        self.statements.iter().all(done)
    }
}

impl OpenPreflights {
    fn open(&self) -> MutexGuard<'_, Vec<OpenPreflight>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Whether there was room.
    fn add(&self, new: OpenPreflight, now: Timestamp) -> bool {
        let mut open = self.open();
        open.retain(|o| o.until > now);
        let own = open.iter().filter(|o| o.by == new.by).count();
        if own >= OPEN_PER_PERSON_MAX || open.len() >= OPEN_MAX {
            return false;
        }
        open.push(new);
        true
    }

    /// Statements that an agent may explain; `targets` with the dialect that it runs there.
    pub fn waiting(&self, targets: &[(Target, Option<Dialect>)], now: Timestamp) -> Vec<DryRun> {
        let open = self.open();
        let fits = |o: &&OpenPreflight| {
            let runs = |(target, dialect): &(Target, Option<Dialect>)| {
                *target == o.target && o.dialect.runs_on(*dialect)
            };
            o.until > now && targets.iter().any(runs)
        };
        let offers = |o: &OpenPreflight| {
            let waiting = o.statements.iter().filter(|s| s.state.is_waiting());
            let offer = |s: &Statement| DryRun {
                id: s.id.clone(),
                request_id: o.id.clone(),
                target: o.target.clone(),
                dialect: o.dialect,
                sql: s.sql.clone(),
            };
            waiting.map(offer).collect::<Vec<_>>()
        };
        let offered = open.iter().filter(fits).flat_map(offers);
        offered.take(OFFERED_MAX).collect()
    }

    /// Where a statement belongs, and the dialect that it was read in.
    pub fn find(&self, id: &str) -> Option<(Target, DialectFact)> {
        let open = self.open();
        let found = open
            .iter()
            .find(|o| o.statements.iter().any(|s| s.id == id))?;
        Some((found.target.clone(), found.dialect))
    }

    /// Gives a waiting statement to an agent; the token that its answer must show.
    pub fn claim(&self, id: &str, agent_id: &str) -> Option<String> {
        let mut open = self.open();
        let mut statements = open.iter_mut().flat_map(|o| &mut o.statements);
        let found = statements.find(|s| s.id == id && s.state.is_waiting())?;
        let token = uuid();
        found.state = StatementState::Claimed {
            agent_id: agent_id.to_owned(),
            token: token.clone(),
        };
        Some(token)
    }

    /// Takes the answer of a claimed statement; the id of its preflight, or `None` if the claim does not count.
    pub fn finish(
        &self,
        id: &str,
        agent_id: &str,
        claim_token: &str,
        explained: Explained,
    ) -> Option<String> {
        let mut open = self.open();
        let claimed = |s: &Statement| match &s.state {
            StatementState::Claimed {
                agent_id: by,
                token,
            } => s.id == id && by == agent_id && token == claim_token,
            _ => false,
        };
        for preflight in open.iter_mut() {
            if let Some(found) = preflight.statements.iter_mut().find(|s| claimed(s)) {
                found.state = StatementState::Done(explained);
                return Some(preflight.id.clone());
            }
        }
        None
    }
}

/// Lets agents explain the statements of a preflight, where they may and can.
///
/// # Errors
/// When the store cannot read.
pub fn begin(
    app: &App,
    caller: &Caller,
    tried: &Preflight,
    wait_ms: u64,
) -> Result<PlanStart, Error> {
    let (statements, dialect) = match explainable(caller, tried) {
        Ok(found) => found,
        Err(why) => return Ok(PlanStart::Refused(why)),
    };
    let now = app.clock.now();
    if app.is_draining() || !is_served(app, &tried.target, dialect, now)? {
        return Ok(PlanStart::Refused(PlanStatus::Unavailable));
    }
    let id = uuid();
    let new = OpenPreflight {
        id: id.clone(),
        by: caller.subject.clone(),
        target: tried.target.clone(),
        dialect,
        until: now.plus_ms(wait_ms),
        statements,
    };
    Ok(match app.in_flight.open_preflights.add(new, now) {
        true => PlanStart::Asked(id),
        false => PlanStart::Refused(PlanStatus::Busy),
    })
}

/// The plans of a preflight once they are complete, or, where its caller waits no `longer`, as far as they are; with
/// them it is over. What it came to may have changed since it began.
pub fn take(
    app: &App,
    caller: &Caller,
    tried: &Preflight,
    id: &str,
    longer: bool,
) -> Option<Plans> {
    let mut open = app.in_flight.open_preflights.open();
    let is_own = |o: &OpenPreflight| o.id == id && o.by == caller.subject;
    let Some(at) = open.iter().position(is_own) else {
        return Some(Plans::none(PlanStatus::Timeout));
    };
    let why_not = explainable(caller, tried).err();
    if longer && why_not.is_none() && !open[at].is_done() {
        return None;
    }
    let statements = open.remove(at).statements;
    if let Some(why) = why_not {
        return Some(Plans::none(why));
    }
    let is_done = |s: &Statement| matches!(s.state, StatementState::Done(_));
    if !statements.iter().any(is_done) {
        return Some(Plans::none(PlanStatus::Timeout));
    }
    let explained: Vec<(String, Explained)> = statements
        .into_iter()
        .map(|s| match s.state {
            StatementState::Done(explained) => (s.sql, explained),
            _ => (s.sql, Explained::Failed(LATE.to_owned())),
        })
        .collect();
    let is_plan = |(_, explained): &(String, Explained)| matches!(explained, Explained::Plan(_));
    let status = match explained.iter().all(is_plan) {
        true => PlanStatus::Ready,
        false => PlanStatus::Partial,
    };
    Some(Plans { status, explained })
}

/// The statements of a text that are explained; none of one that cannot be read.
pub(super) fn statements(analysis: &Analysis) -> Vec<String> {
    let plan = analysis.plan.iter().flatten();
    plan.take(STATEMENTS_MAX).cloned().collect()
}

/// The statements of what could be requested, and the dialect that they were read in.
fn explainable(
    caller: &Caller,
    tried: &Preflight,
) -> Result<(Vec<Statement>, DialectFact), PlanStatus> {
    let predicted = &tried.predicted;
    let (Some(analysis), Ok(decision)) = (&predicted.analysis, &predicted.decision) else {
        return Err(PlanStatus::Refused);
    };
    // A plan tells of values in rows: how many fit, which are there. Who could not read them here and now, without
    // asking anybody, gets no plan before there is a request on record.
    let needed = [Permission::RequestView, Permission::ResultView];
    if !needed
        .iter()
        .all(|right| caller.may_on(*right, &tried.target))
    {
        return Err(PlanStatus::Forbidden);
    }
    if !decision.workflow.as_ref().is_some_and(|w| w.explain) {
        return Err(PlanStatus::Disabled);
    }
    if !predicted.reads_run_at_once {
        return Err(PlanStatus::NeedsApproval);
    }
    let statements = statements(analysis).into_iter();
    let statements: Vec<Statement> = statements
        .map(|sql| Statement {
            id: uuid(),
            sql,
            state: StatementState::Waiting,
        })
        .collect();
    if statements.is_empty() {
        return Err(PlanStatus::Refused);
    }
    Ok((statements, analysis.dialect_fact))
}

/// Whether an agent is online that may explain what was read in that dialect.
fn is_served(
    app: &App,
    target: &Target,
    dialect: DialectFact,
    now: Timestamp,
) -> Result<bool, Error> {
    let known = app.schema(target)?;
    let configured = app.active().policies.dialect(target);
    let agents = app.store.agent_reports_for(target, now);
    Ok(agents
        .iter()
        .any(|a| !a.draining && dialect.runs_on(known.runs(&a.id, configured))))
}
