//! Watches committed changes: wakes who waits for them, counts them, and knows how many executions run.

use crate::actions::App;
use crate::actions::topics::{self, WakeMode};
use crate::domain::approval::VoteAction;
use crate::domain::change::{
    Change, ConfigurationChange, IdentityChange, RehearsalChange, RehearsalStep, RequestChange,
};
use crate::domain::request::Status;
use crate::error::Error;
use crate::gate::hub::{Hub, Wake};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::Duration;

/// How often a stop looks whether calls have ended; executions that end wake it at once.
const LOOK: Duration = Duration::from_millis(20);

/// What a server knows about what goes on.
pub struct Activity {
    running: Mutex<i64>,
    changed: Condvar,
}

impl Activity {
    /// Starts to watch the store of `app`, announcing to `hub`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn attach(app: &Arc<App>, hub: &Arc<Hub>) -> Result<Arc<Activity>, Error> {
        let watch = Arc::new(Activity {
            running: Mutex::new(app.store.read(|view| view.count_running())?),
            changed: Condvar::new(),
        });
        let everybody = Arc::clone(hub);
        app.on_activated(Arc::new(move || {
            everybody.publish(topics::POLICIES, Wake::All);
        }));
        let (weak, hub, seen): (Weak<App>, _, _) =
            (Arc::downgrade(app), Arc::clone(hub), Arc::clone(&watch));
        app.store.observe(Arc::new(move |change| {
            if let Some(app) = weak.upgrade() {
                count(&app, change);
                if notifies(&app, change) {
                    app.due.notify();
                }
                if concerns_identity(change) {
                    app.caches.identities.forget();
                }
                if matches!(
                    change,
                    Change::Configuration(ConfigurationChange::SchemaSynced(_))
                ) {
                    app.caches.schemas.forget();
                }
            }
            if let Change::Request(change) = change {
                seen.follow(change);
            }
            for (topic, reach) in topics::announced(change) {
                let wake = match reach {
                    WakeMode::One => Wake::One,
                    WakeMode::All => Wake::All,
                };
                hub.publish(&topic, wake);
            }
        }));
        Ok(watch)
    }

    /// Waits until `done` says so of the number of running executions, at most for `grace`.
    pub fn wait_idle(&self, grace: Duration, done: impl Fn(i64) -> bool) {
        let end = std::time::Instant::now() + grace;
        let mut running = self.running.lock().unwrap_or_else(|e| e.into_inner());
        while !done(*running) && std::time::Instant::now() < end {
            running = self
                .changed
                .wait_timeout(running, LOOK)
                .unwrap_or_else(|e| e.into_inner())
                .0;
        }
    }

    fn follow(&self, change: &RequestChange) {
        let Some((from, to)) = change.moved() else {
            return;
        };
        let delta = i64::from(to == Status::Running) - i64::from(from == Some(Status::Running));
        if delta != 0 {
            *self.running.lock().unwrap_or_else(|e| e.into_inner()) += delta;
            self.changed.notify_all();
        }
    }
}

/// Whether there may be something to deliver after a change.
fn notifies(app: &App, change: &Change) -> bool {
    match change {
        Change::Request(_) => {
            let outlets = &app.active().outlets;
            !outlets.webhooks.is_empty() || outlets.email.is_some() || outlets.slack.is_some()
        }
        Change::Identity(IdentityChange::UserUpdated { .. }) => {
            app.active().outlets.slack.is_some()
        }
        Change::Delivery(_) => true,
        Change::Identity(_) | Change::Configuration(_) | Change::Log(_) => false,
    }
}

fn concerns_identity(change: &Change) -> bool {
    matches!(
        change,
        Change::Identity(
            IdentityChange::TokenCreated(_)
                | IdentityChange::TokenRevoked { .. }
                | IdentityChange::SessionEnded { .. }
                | IdentityChange::UserActivated(_)
                | IdentityChange::UserSuspended(_)
        )
    )
}

fn count(app: &App, change: &Change) {
    let metrics = &app.metrics;
    metrics.audit_events.inc(&[]);
    if let Change::Identity(IdentityChange::SessionEnded { why, .. }) = change {
        metrics.sessions_ended.inc(&[why.as_str()]);
    }
    let Change::Request(change) = change else {
        return;
    };
    if let Some((target, to)) = entered(change) {
        metrics.requests.inc(&[to.as_str(), &target.1, &target.0]);
    }
    match change {
        RequestChange::Rehearsal(RehearsalChange {
            step: RehearsalStep::Ended(ended),
            ..
        }) => metrics.rehearsals.inc(&[ended.status.as_str()]),
        RequestChange::Created(new) if new.emergency => metrics.break_glass.inc(&[]),
        RequestChange::StepApproved { vote, .. }
        | RequestChange::Approved { vote, .. }
        | RequestChange::Rejected { vote, .. } => {
            metrics.approvals.inc(&[match vote.action {
                VoteAction::Approve => "approve",
                VoteAction::Reject => "reject",
            }]);
            if let RequestChange::Approved { created_at, .. } = change {
                let waited_ms = vote.at.since(*created_at);
                metrics
                    .approval_wait
                    .observe(&[], waited_ms as f64 / 1000.0);
            }
        }
        RequestChange::ExecutionFinished {
            request, finished, ..
        } => {
            let status = if finished.end.outcome.is_success() {
                "completed"
            } else {
                "failed"
            };
            metrics.executions.inc(&[status]);
            if let Some(ms) = finished.duration_ms {
                let target = &request.target;
                metrics.execution_duration.observe(
                    &[target.database(), target.environment()],
                    ms as f64 / 1000.0,
                );
            }
        }
        RequestChange::ExecutionLost { report, .. } => {
            metrics.executions.inc(&["lost"]);
            if report.is_none() {
                metrics.lease_expirations.inc(&[]);
            }
        }
        _ => {}
    }
}

/// Database, environment and status that a request entered.
fn entered(change: &RequestChange) -> Option<((String, String), Status)> {
    let (_, to) = change.moved()?;
    let target = match change {
        RequestChange::Created(new) => &new.target,
        other => &other.request()?.target,
    };
    Some((
        (
            target.database().to_owned(),
            target.environment().to_owned(),
        ),
        to,
    ))
}
