//! Delivers what the outbox holds: one thread finds what is due, others make the attempts.
//!
//! Each channel is a lane: its notifications are attempted one after another, oldest first, by a thread that lives as
//! long as its batch. The configuration bounds how many lanes there are, and so how many threads; it bounds further how
//! many lanes are served at one time of those that are known to answer at once. All others are served in addition, so
//! that nobody waits for a receiver that says nothing, however many of them there are. A lane that fails pauses.
//! Nothing here is needed to keep a notification: what is claimed is a row, and a start makes due again what a crash
//! left claimed.

mod asked;
mod dispatcher;
mod email;
mod lane;
mod lookups;
mod messages;
mod slack;
mod webhook;

use crate::actions::App;
use crate::clock::Timestamp;
use crate::config::NetworkReach;
use crate::crypto::random;
use crate::domain::delivery::FailedAttempt;
use crate::domain::policy::notification::{EMAIL, REMINDERS, SLACK};
use crate::error::Error;
use crate::outbound::{Http, MailThreads, SlackApi};
use crate::store::{DeliveryEnd, DueDelivery};
use dispatcher::Dispatcher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a thread serves one lane before others have their turn.
const TURN: Duration = Duration::from_secs(2);
/// A lane whose attempt takes as long is slow.
const SLOW: Duration = Duration::from_secs(2);

/// The running delivery; stopped and joined when dropped.
pub struct Delivery {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What all threads work with.
struct Shared {
    app: Arc<App>,
    http: Clients,
    slack: SlackApi,
    channel_ids: slack::ChannelIds,
    lookups: lookups::SlackLookups,
    settled: email::SettledMails,
    mail_threads: MailThreads,
    reach: NetworkReach,
    reports: Mutex<Vec<LaneReport>>,
    stop: AtomicBool,
}

/// One for receivers on this machine that the configuration names, one for all others.
struct Clients {
    local: Http,
    others: Http,
}

/// Notifications of one lane that a thread attempts in order.
struct Batch {
    channel: String,
    rows: Vec<DueDelivery>,
}

/// How a batch went.
struct LaneReport {
    channel: String,
    /// When its last attempt ended, before that was written: a pause runs from here.
    ended_at: Timestamp,
    /// The failure that ended it, unless it was of one notification only.
    failure: Option<FailedAttempt>,
    delivered: bool,
    slow: bool,
    /// Rows may still be claimed, because their end could not be written.
    unwritten: bool,
}

impl LaneReport {
    /// Nothing was attempted.
    fn new(channel: String, ended_at: Timestamp) -> LaneReport {
        LaneReport {
            channel,
            ended_at,
            failure: None,
            delivered: false,
            slow: false,
            unwritten: false,
        }
    }
}

/// What came of an attempt.
enum Attempt {
    /// With an account of who has it, where it is for several people and not as a matter of course.
    Delivered(Option<String>),
    Failed(FailedAttempt),
    /// Nobody is to receive it any more.
    Cancelled(&'static str),
}

impl Delivery {
    /// Starts delivery; of receivers that are known to answer at once, so many are served at one time. What an earlier
    /// process left claimed is due at once.
    ///
    /// # Errors
    /// When the store cannot write; `internal` when a thread cannot be made.
    pub fn start(app: &Arc<App>, workers: usize, reach: &NetworkReach) -> Result<Delivery, Error> {
        app.store.return_deliveries(None)?;
        let shared = Arc::new(Shared {
            app: Arc::clone(app),
            http: Clients {
                local: Http::new(reach.of_this_machine()),
                others: Http::new(reach.clone()),
            },
            slack: SlackApi::new(reach),
            channel_ids: slack::ChannelIds::default(),
            lookups: lookups::SlackLookups::default(),
            settled: email::SettledMails::default(),
            mail_threads: MailThreads::default(),
            reach: reach.clone(),
            reports: Mutex::new(Vec::new()),
            stop: AtomicBool::new(false),
        });
        let dispatching = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("delivery".to_owned())
            .spawn(move || dispatch(dispatching, workers))
            .map_err(|e| Error::internal("starting delivery", e))?;
        Ok(Delivery {
            shared,
            thread: Some(thread),
        })
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.app.due.notify();
        self.shared.http.local.shutdown();
        self.shared.http.others.shutdown();
        self.shared.slack.shutdown();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

/// Runs the dispatcher until the stop; a panic costs one round.
fn dispatch(shared: Arc<Shared>, workers: usize) {
    let mut dispatcher = Dispatcher::new(Arc::clone(&shared), workers);
    while !shared.is_stopping() {
        if catch_unwind(AssertUnwindSafe(|| dispatcher.round())).is_err() {
            shared.app.metrics.background_panics.inc(&[]);
            log::error!("delivery panicked; it goes on with its next round");
        }
    }
    dispatcher.join();
}

/// Attempts a batch, and reports how that went.
fn run(shared: &Shared, batch: Batch) {
    let channel = batch.channel.clone();
    let served = catch_unwind(AssertUnwindSafe(|| serve(shared, batch)));
    let report = served.unwrap_or_else(|_| {
        shared.app.metrics.background_panics.inc(&[]);
        log::error!("delivery to {channel} panicked; it is made again");
        LaneReport {
            unwritten: true,
            ..LaneReport::new(channel, shared.app.clock.now())
        }
    });
    shared
        .reports
        .lock()
        .unwrap_or_else(|e| e.into_inner())
        .push(report);
    shared.app.due.notify();
}

/// Attempts the notifications of a batch until one shows that the receiver is away, or the turn is over. The rest is
/// returned.
fn serve(shared: &Shared, batch: Batch) -> LaneReport {
    let mut report = LaneReport::new(batch.channel, shared.app.clock.now());
    let began = Instant::now();
    let mut rows = batch.rows.into_iter();
    for row in rows.by_ref() {
        let attempted = Instant::now();
        let attempt = catch_unwind(AssertUnwindSafe(|| attempt(shared, &row)));
        let attempt = attempt.unwrap_or_else(|_| {
            shared.app.metrics.background_panics.inc(&[]);
            Attempt::Failed(FailedAttempt::new(
                crate::domain::delivery::FailureKind::Rejected,
                "the server could not write the message",
            ))
        });
        report.ended_at = shared.app.clock.now();
        let stopped = shared.is_stopping() && !matches!(attempt, Attempt::Delivered(_));
        let end = match stopped {
            // The stop cut it off, which says nothing about the receiver.
            true => DeliveryEnd::Returned,
            false => end_of(shared, &row, &attempt),
        };
        observe(shared, &row, &end, attempted.elapsed());
        report.slow |= attempted.elapsed() >= SLOW;
        report.delivered |= matches!(end, DeliveryEnd::Delivered(_));
        report.unwritten |= written(shared, vec![(row.seq, end)]);
        if let Attempt::Failed(failure) = attempt {
            report.failure = Some(failure).filter(|f| f.pause_ms(1, 0) > 0);
        }
        if report.failure.is_some() || shared.is_stopping() || began.elapsed() >= TURN {
            break;
        }
    }
    let rest: Vec<_> = rows.map(|row| (row.seq, DeliveryEnd::Returned)).collect();
    if !rest.is_empty() {
        report.unwritten |= written(shared, rest);
    }
    report
}

fn attempt(shared: &Shared, row: &DueDelivery) -> Attempt {
    if REMINDERS.contains(&row.event_type.as_str()) && !messages::is_timely(row) {
        return Attempt::Cancelled("the step does not wait any more");
    }
    let active = shared.app.active();
    if row.channel == EMAIL {
        return email::attempt(shared, &active.outlets, row);
    }
    if row.channel == SLACK {
        return slack::attempt(shared, &active.outlets, row);
    }
    let found = active.outlets.webhooks.iter().find(|w| w.id == row.channel);
    let Some(webhook) = found else {
        return Attempt::Cancelled("the webhook is not configured any more");
    };
    match webhook::call(shared, &active.outlets, webhook, row) {
        Ok(()) => Attempt::Delivered(None),
        Err(failure) => Attempt::Failed(failure),
    }
}

fn end_of(shared: &Shared, row: &DueDelivery, attempt: &Attempt) -> DeliveryEnd {
    match attempt {
        Attempt::Delivered(account) => DeliveryEnd::Delivered(account.clone()),
        Attempt::Cancelled(why) => DeliveryEnd::Cancelled(why),
        Attempt::Failed(failure) => {
            let [roll] = random::<1>();
            match failure.retry_ms(row.attempts.saturating_add(1), roll) {
                Some(ms) => {
                    let at = shared.app.clock.now().plus_ms(ms);
                    DeliveryEnd::RetryAt(at, failure.reason.clone())
                }
                None => DeliveryEnd::Dead(failure.reason.clone()),
            }
        }
    }
}

/// Writes ends; whether that failed.
fn written(shared: &Shared, ends: Vec<(i64, DeliveryEnd)>) -> bool {
    match shared.app.store.end_deliveries(ends) {
        Ok(()) => false,
        Err(error) => {
            log::error!("how a delivery ended could not be written, it is made again: {error}");
            true
        }
    }
}

fn observe(shared: &Shared, row: &DueDelivery, end: &DeliveryEnd, took: Duration) {
    let metrics = &shared.app.metrics;
    let (outcome, is_end) = match end {
        DeliveryEnd::Delivered(_) => ("delivered", true),
        DeliveryEnd::RetryAt(..) => ("failed", false),
        DeliveryEnd::Dead(_) => ("dead", true),
        DeliveryEnd::Cancelled(_) => ("cancelled", true),
        DeliveryEnd::Returned => return,
    };
    metrics.delivery_attempts.inc(&[&row.channel, outcome]);
    metrics
        .delivery_duration
        .observe(&[&row.channel], took.as_secs_f64());
    if is_end {
        metrics.webhook_deliveries.inc(&[outcome]);
    }
    if let DeliveryEnd::Dead(why) = end {
        log::warn!(
            "notification {} for {} is given up: {why}",
            row.id,
            row.channel
        );
    }
}
