//! A change of every kind, with and without what is optional.

mod deliveries;
mod executions;
mod purges;
mod quarantine;
mod sessions;

use super::AT;
use crate::domain::actor::SubjectType;
use crate::domain::approval::{Vote, VoteAction};
use crate::domain::change::{
    AuthFailures, Change, CompletedSteps, ConfigurationChange, DETAIL_BYTES_MAX, DdlPassed,
    IdentityChange, LogChange, LostStep, NewRequest, NewSchema, Refused, RequestChange, RequestRef,
    RequestText, UserStatus,
};
use crate::domain::decision::Passed;
use crate::domain::dialect::Dialect;
use crate::domain::id::{Operation, Target};
use crate::domain::request::{Opening, Status, Transition};
use crate::domain::risk_level::RiskLevel;
use crate::domain::scope::Scope;
use crate::domain::token::{RoleMode, Token};
use crate::domain::user::ClaimedAccess;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

fn target() -> Target {
    Target::new("app", "production").unwrap()
}

fn request(status: Status) -> RequestRef {
    RequestRef {
        seq: 7,
        id: "request-id".into(),
        requester: "requester".into(),
        target: target(),
        operation: Operation::ExecuteDml,
        status,
    }
}

fn new_request(opening: Opening) -> NewRequest {
    NewRequest {
        seq: 7,
        id: "request-id".into(),
        requester: "requester".into(),
        token_id: None,
        target: target(),
        operation: Operation::ExecuteDml,
        dialect: crate::domain::sql::DialectFact::Any,
        step: opening.step(),
        emergency: false,
        allow_ddl: false,
        no_result_store: false,
        reason: None,
        total_steps: 0,
        approvers: Vec::new(),
        risk_level: RiskLevel::Low,
        policy_version: "0".repeat(64),
        expires_at: None,
        approval_expires_at: None,
        text: RequestText {
            detail: "DELETE FROM t WHERE a = 'secret'".into(),
            plan_json: None,
            workflow: None,
            facts_json: "{}".into(),
            trace_json: "{}".into(),
            context_json: None,
            dry_runs: Vec::new(),
            metadata_json: None,
            share_with: Vec::new(),
            idempotency_key: None,
            idempotency_fingerprint: None,
            fingerprint: "f1".into(),
            redacted: None,
        },
        row_bound: None,
        salt: [7; 32],
    }
}

fn created(case: &'static str, new: NewRequest) -> (&'static str, RequestChange) {
    (case, RequestChange::Created(Box::new(new)))
}

fn made() -> Vec<(&'static str, RequestChange)> {
    let mut pending = new_request(Opening::Pending);
    (pending.total_steps, pending.reason) = (2, Some("a \"reason\"\nin two lines, é".into()));
    pending.text.redacted = Some("DELETE FROM t WHERE a = ?".into());
    let mut emergency = new_request(Opening::BreakGlass);
    (emergency.emergency, emergency.allow_ddl) = (true, true);
    emergency.risk_level = RiskLevel::Unavailable;
    emergency.text.redacted = Some("é".repeat(DETAIL_BYTES_MAX / 2 + 1));
    let passed = Passed {
        classifier: true,
        reviewer: false,
        statements: 3,
    };
    let about = request(Status::BreakGlass);
    let ddl = DdlPassed::new(&about, &new_request(Opening::BreakGlass), passed);
    let full_ddl = DdlPassed {
        reason: Some("on fire".into()),
        redacted: Some("DROP TABLE t".into()),
        ..ddl.clone()
    };
    vec![
        created("pending", pending),
        created("auto-approved", new_request(Opening::AutoApproved)),
        created("break-glass, long statement", emergency),
        ("", RequestChange::DdlPassed(Box::new(ddl))),
        ("in full", RequestChange::DdlPassed(Box::new(full_ddl))),
    ]
}

fn vote(action: VoteAction, full: bool) -> Vote {
    Vote {
        actor: "approver".into(),
        action,
        selector: "role:dba".into(),
        step: 1,
        comment: full.then(|| "looks \"fine\"".into()),
        issued_by_requester: full,
        at: AT,
        counts: true,
    }
}

fn decided() -> Vec<(&'static str, RequestChange)> {
    let mut changes = Vec::new();
    for (case, full) in [("", false), ("with comment", true)] {
        changes.extend([
            (
                case,
                RequestChange::StepApproved {
                    request: request(Status::Pending),
                    vote: vote(VoteAction::Approve, full),
                    current_step: 1,
                    total_steps: 3,
                    approvers: Vec::new(),
                },
            ),
            (
                case,
                RequestChange::StepsCompleted(Box::new(CompletedSteps {
                    request: request(Status::Pending),
                    voter: "approver".into(),
                    current_step: 1 + u32::from(full),
                    total_steps: 2,
                    approvers: Vec::new(),
                    approval: full
                        .then_some((Transition::for_test(Status::Pending, Status::Approved), AT)),
                })),
            ),
            (
                case,
                RequestChange::Approved {
                    request: request(Status::Pending),
                    vote: vote(VoteAction::Approve, full),
                    step: Transition::for_test(Status::Pending, Status::Approved),
                    total_steps: 2,
                    votes: 2,
                    approval_expires_at: AT,
                    created_at: AT,
                },
            ),
            (
                case,
                RequestChange::Rejected {
                    request: request(Status::Pending),
                    vote: vote(VoteAction::Reject, full),
                    step: Transition::for_test(Status::Pending, Status::Rejected),
                },
            ),
            (
                case,
                RequestChange::Cancelled {
                    request: request(Status::Running),
                    step: Transition::for_test(Status::Running, Status::Cancelled),
                    reason: full.then(|| "not needed".into()),
                },
            ),
        ]);
    }
    changes
}

fn dispatched() -> Vec<(&'static str, RequestChange)> {
    let dispatched = |from, acknowledged| RequestChange::Dispatched {
        request: request(from),
        step: Transition::for_test(from, Status::Dispatched),
        deadline: AT,
        acknowledged,
    };
    let expired = |from| RequestChange::Expired {
        request: request(from),
        step: Transition::for_test(from, Status::Expired),
    };
    let returned = RequestChange::DispatchTimedOut {
        request: request(Status::Dispatched),
        step: Transition::for_test(Status::Dispatched, Status::Failed),
    };
    let acknowledged = Some("looked at the table".to_owned());
    vec![
        ("", dispatched(Status::Approved, None)),
        (
            "acknowledged",
            dispatched(Status::ExecutionLost, acknowledged),
        ),
        ("pending", expired(Status::Pending)),
        ("approved", expired(Status::Approved)),
        ("", returned),
    ]
}

fn tokens() -> Vec<(&'static str, IdentityChange)> {
    let plain = Token {
        id: "token-id".into(),
        subject_type: SubjectType::User,
        subject_id: "requester".into(),
        hash: "3".repeat(64),
        prefix: "00000000".into(),
        name: None,
        roles: Vec::new(),
        role_mode: RoleMode::Resolved,
        groups: Vec::new(),
        issuer: "system".into(),
        issuers: BTreeSet::new(),
        bound_to: None,
        expires_at: None,
        parent_id: None,
        session_id: None,
    };
    let ceiling = Token {
        name: Some("ci".into()),
        roles: vec!["b".into(), "a".into()],
        role_mode: RoleMode::Ceiling,
        groups: vec!["dba".into()],
        issuer: "admin".into(),
        issuers: ["ops".into(), "admin".into()].into(),
        expires_at: Some(AT),
        ..plain.clone()
    };
    let agent = Token {
        subject_type: SubjectType::Agent,
        subject_id: "agent-1".into(),
        role_mode: RoleMode::Grant,
        bound_to: Some(vec![
            Scope::of(target().database(), target().environment()),
            Scope::any(),
        ]),
        ..plain.clone()
    };
    let revoked = IdentityChange::TokenRevoked {
        token_id: "token-id".into(),
        subject_id: "requester".into(),
        with: None,
        ended: Vec::new(),
        kept: Vec::new(),
    };
    let revoked_with = IdentityChange::TokenRevoked {
        token_id: "token-id".into(),
        subject_id: "requester".into(),
        with: Some("parent".into()),
        ended: vec!["child".into()],
        kept: vec!["other".into()],
    };
    vec![
        ("resolved", IdentityChange::TokenCreated(plain)),
        ("ceiling", IdentityChange::TokenCreated(ceiling)),
        ("bound agent", IdentityChange::TokenCreated(agent)),
        ("", revoked),
        ("with others", revoked_with),
    ]
}

fn people() -> Vec<(&'static str, IdentityChange)> {
    let user = |active, by_config| UserStatus {
        id: "requester".into(),
        active,
        by_config,
    };
    let id = || "requester".to_owned();
    let login = |roles| IdentityChange::LoginSucceeded { id: id(), roles };
    let updated = |slack_user_id: Option<String>| IdentityChange::UserUpdated {
        id: id(),
        linkers: slack_user_id.iter().map(|_| "admin".into()).collect(),
        slack_user_id,
        linked_with: None,
    };
    let linked_alone = IdentityChange::UserUpdated {
        id: id(),
        slack_user_id: Some("U123".into()),
        linkers: BTreeSet::new(),
        linked_with: Some("token-1".into()),
    };
    let email = || IdentityChange::UserEmailChanged {
        id: id(),
        email: "requester@example.com".into(),
    };
    let claims = || IdentityChange::UserClaimsKept {
        id: id(),
        access: ClaimedAccess {
            groups: ["dba".into()].into(),
            values: [("team".into(), ["data".into()].into())].into(),
        },
    };
    let agent = |version| IdentityChange::AgentRegistered {
        agent_id: "agent-1".into(),
        capabilities_json: "{}".into(),
        version,
    };
    vec![
        (
            "by the API",
            IdentityChange::UserActivated(user(true, false)),
        ),
        (
            "by configuration",
            IdentityChange::UserSuspended(user(false, true)),
        ),
        ("", IdentityChange::UserCreated { id: id() }),
        ("no role", login(BTreeSet::new())),
        ("roles", login(["developer".into(), "a".into()].into())),
        ("", email()),
        ("", claims()),
        ("", updated(None)),
        ("Slack", updated(Some("U123".into()))),
        ("Slack, by themselves", linked_alone),
        ("", agent(None)),
        ("version", agent(Some("0.2.0".into()))),
    ]
}

fn configuration() -> Vec<(&'static str, ConfigurationChange)> {
    let role = |lost| ConfigurationChange::RoleDeleted {
        name: "reviewer".into(),
        lost,
        policy_version: "4".repeat(64),
        policy_text: "text".into(),
    };
    let lost = |step| LostStep {
        workflow: "wf:app:production".into(),
        step,
        target: target(),
    };
    let schema = |ready: bool, other: bool| {
        ConfigurationChange::SchemaSynced(NewSchema {
            target: target(),
            dialect: Dialect::MySql,
            known: other.then_some(Dialect::Postgres),
            is_used: !other,
            status: if ready { "ready" } else { "failed" },
            snapshot_json: ready.then(|| "{}".into()),
            error_message: (!ready).then(|| "no connection".into()),
            agent_id: "agent-1".into(),
            tables: usize::from(ready) * 12,
        })
    };
    let Value::Object(summary) = json!({"workflows": 2, "databases": 1}) else {
        unreachable!()
    };
    let synced = ConfigurationChange::ConfigSynced {
        policy_version: "5".repeat(64),
        policy_text: "text".into(),
        summary,
        routes: Arc::default(),
    };
    let rejected = |problems| ConfigurationChange::ConfigRejected { problems };
    vec![
        ("", role(Vec::new())),
        ("steps lost", role(vec![lost(Some(1)), lost(None)])),
        ("", schema(true, false)),
        ("failed", schema(false, false)),
        ("another dialect", schema(true, true)),
        ("", synced),
        ("", rejected(vec!["first".into(), "second".into()])),
        ("none", rejected(Vec::new())),
    ]
}

fn refused() -> Vec<(&'static str, LogChange)> {
    let bare = Refused {
        attempt: "request.create",
        code: "sql_rejected",
        message: "drops a table".into(),
        request: None,
        target: None,
        fingerprint: None,
        blocked_rules: Vec::new(),
        count: 20,
    };
    let blocked = Refused {
        code: "sql_blocked_by_review",
        target: Some(target()),
        blocked_rules: vec!["NoWhereDelete".into()],
        ..bare.clone()
    };
    let new = Refused {
        target: Some(target()),
        fingerprint: Some("f2".into()),
        count: 1,
        ..bare.clone()
    };
    let known = Refused {
        attempt: "request.approve",
        code: "forbidden",
        request: Some(request(Status::Pending)),
        ..bare.clone()
    };
    let failures = AuthFailures {
        address: "192.0.2.1".into(),
        count: 9,
        reason: "unknown token",
    };
    vec![
        ("", LogChange::AttemptRefused(bare)),
        ("new request", LogChange::AttemptRefused(new)),
        ("request", LogChange::AttemptRefused(known)),
        ("blocked", LogChange::AttemptRefused(blocked)),
        ("", LogChange::AuthFailures(failures)),
    ]
}

type Case = (&'static str, Change);

fn group<T: Into<Change>, const N: usize>(cases: [Vec<(&'static str, T)>; N]) -> Vec<Case> {
    let cases = cases.into_iter().flatten();
    cases.map(|(case, change)| (case, change.into())).collect()
}

pub(super) fn every_change() -> Vec<Case> {
    [
        group([
            made(),
            decided(),
            dispatched(),
            executions::executed(),
            executions::rehearsed(),
            executions::corrupted(),
        ]),
        group([tokens(), people(), sessions::all()]),
        group([configuration()]),
        group([deliveries::deliveries()]),
        group([refused(), purges::purged()]),
    ]
    .concat()
}
