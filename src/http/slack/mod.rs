//! The Slack app's side of the API: what people click, submit and type there, done as the person to whom their account
//! is linked, by the same verbs as everything else.
//!
//! Reading order: `signature` (is it Slack), `payload` (what was done, by whom), `follow_up` (what takes a call of ours
//! and so comes after the answer), `submission` (what a dialog decides, at once), `views` (the dialogs, of `evidence` and
//! `blocks`), `workspace` (whose members count).
//!
//! Slack waits three seconds for an answer. Dialogs are opened by threads of their own from a bounded queue; votes and
//! new requests are decided before the answer, since only then can a field say what is wrong with it.

mod blocks;
mod evidence;
mod follow_up;
pub mod payload;
mod signature;
mod submission;
mod views;
mod workspace;

use super::HttpContext;
use super::authentication;
use super::call::HttpResponse;
use super::replies;
use super::route::{HandlerResult, RoutedRequest};
use crate::actions::App;
use crate::actions::identify;
use crate::config::{NetworkReach, Slack};
use crate::domain::actor::Caller;
use crate::domain::id::Target;
use crate::domain::permission::Permission;
use crate::error::{Error, ErrorKind};
use crate::outbound::SlackApi;
use follow_up::FollowUp;
use payload::{Action, Interaction, SlackActor, SlackCall};
use serde_json::json;
use signature::{Forged, SeenCalls};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::thread::JoinHandle;
use workspace::Workspaces;

/// Threads that call Slack after an answer: some may wait for a large result while others open dialogs.
const THREADS: usize = 8;
/// Calls that wait for one; further ones are answered 503, which Slack shows as a failure.
const WAITING_MAX: usize = 64;
/// Targets offered for a new request; a list of Slack has no more.
const TARGETS_MAX: usize = 100;
/// How often an act is tried again because another configuration was applied meanwhile.
const OVERTAKEN_MAX: usize = 3;

/// What the Slack app keeps between calls, and the threads that answer late. One for each running server.
pub struct SlackDesk {
    app: Arc<App>,
    api: SlackApi,
    seen: SeenCalls,
    workspaces: Workspaces,
    queue: Mutex<Option<SyncSender<Box<FollowUp>>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl SlackDesk {
    /// Starts its threads. Slack is called as far as `reach` goes.
    ///
    /// # Errors
    /// `internal` when a thread cannot be made.
    pub fn start(app: &Arc<App>, reach: &NetworkReach) -> Result<Arc<SlackDesk>, Error> {
        let (queue, waiting) = sync_channel(WAITING_MAX);
        let api = SlackApi::new(reach);
        let workspaces = Workspaces::start(api.clone());
        let workspaces = workspaces.map_err(|e| Error::internal("starting slack-workspace", e))?;
        let desk = Arc::new(SlackDesk {
            app: Arc::clone(app),
            api,
            seen: SeenCalls::default(),
            workspaces,
            queue: Mutex::new(Some(queue)),
            threads: Mutex::new(Vec::new()),
        });
        let waiting = Arc::new(Mutex::new(waiting));
        for n in 1..=THREADS {
            let (working, waiting) = (Arc::downgrade(&desk), Arc::clone(&waiting));
            let name = format!("slack-{n}");
            let thread = std::thread::Builder::new()
                .name(name.clone())
                .spawn(move || work(&working, &waiting))
                .map_err(|e| Error::internal(format!("starting {name}"), e))?;
            locked(&desk.threads).push(thread);
        }
        Ok(desk)
    }

    /// Ends calls that are under way, and the threads. What waits is dropped: the person who clicked sees nothing
    /// happen, and clicks again.
    pub fn stop(&self) {
        drop(locked(&self.queue).take());
        self.api.shutdown();
        self.workspaces.stop();
        let threads = std::mem::take(&mut *locked(&self.threads));
        let me = std::thread::current().id();
        for thread in threads.into_iter().filter(|t| t.thread().id() != me) {
            let _ = thread.join();
        }
    }

    /// Leaves a call to a thread.
    fn later(&self, follow_up: FollowUp) -> Result<(), Error> {
        let queue = locked(&self.queue);
        let is_taken = queue
            .as_ref()
            .is_some_and(|queue| queue.try_send(Box::new(follow_up)).is_ok());
        match is_taken {
            true => Ok(()),
            false => Err(Error::unavailable("too much is being done in Slack")),
        }
    }

    fn counted(&self, kind: &str, outcome: &str) {
        self.app.metrics.slack_calls.inc(&[kind, outcome]);
    }

    /// Whether somebody acts in our workspace: users of others have ids that mean nothing here.
    fn is_ours(&self, slack: &Slack, actor: &SlackActor) -> Result<bool, String> {
        let ours = self.workspaces.of(slack)?;
        Ok(actor.team.as_deref() == Some(&ours))
    }

    /// The person who acts, with the rights of this moment.
    ///
    /// # Errors
    /// A sentence for them.
    fn person(&self, slack: &Slack, actor: &SlackActor) -> Result<Caller, String> {
        match self.is_ours(slack, actor) {
            Ok(true) => {}
            Ok(false) => {
                log::warn!("somebody of another workspace acted in Slack");
                return Err("dbward works for members of its own workspace only.".to_owned());
            }
            Err(why) => {
                log::warn!("the workspace of the Slack app is not known: {why}");
                return Err("dbward cannot reach Slack now. Try again in a minute.".to_owned());
            }
        }
        identify::by_slack(&self.app, &actor.user, actor.origin.clone()).map_err(
            |error| match error.kind() {
                ErrorKind::Unauthenticated => not_linked(&actor.user),
                _ => words(&error),
            },
        )
    }

    /// Does something as the person who acts, once more where another configuration was applied meanwhile.
    fn act<T>(
        &self,
        slack: &Slack,
        actor: &SlackActor,
        mut verb: impl FnMut(&Caller) -> Result<T, Error>,
    ) -> Result<T, Refusal> {
        let mut tries = 0;
        loop {
            let caller = self.person(slack, actor).map_err(Refusal::Nobody)?;
            match verb(&caller) {
                Ok(done) => return Ok(done),
                Err(error) => {
                    let overtaken = self.app.is_overtaken(&caller, self.app.clock.now());
                    tries += 1;
                    if !(overtaken && tries < OVERTAKEN_MAX) {
                        if error.status() >= 500 {
                            log::error!("an act in Slack failed: {error}");
                        }
                        return Err(Refusal::Refused(error));
                    }
                }
            }
        }
    }
}

impl Drop for SlackDesk {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Does one thing after another until the desk stops. The thread does not keep it alive.
fn work(desk: &Weak<SlackDesk>, waiting: &Mutex<Receiver<Box<FollowUp>>>) {
    loop {
        let next = locked(waiting).recv();
        let (Ok(follow_up), Some(desk)) = (next, desk.upgrade()) else {
            return;
        };
        if locked(&desk.queue).is_none() {
            return;
        }
        let run = std::panic::AssertUnwindSafe(|| follow_up.run(&desk));
        if std::panic::catch_unwind(run).is_err() {
            desk.app.metrics.background_panics.inc(&[]);
            log::error!("an act in Slack made a thread panic");
        }
    }
}

/// Why nothing was done.
enum Refusal {
    /// Nobody of ours acts: a sentence.
    Nobody(String),
    Refused(Error),
}

impl Refusal {
    fn words(&self) -> String {
        match self {
            Refusal::Nobody(why) => why.clone(),
            Refusal::Refused(error) => words(error),
        }
    }
}

fn not_linked(slack_user_id: &str) -> String {
    format!(
        "Your Slack account is not linked to anybody who may act in dbward. Link it with: dbward user link-slack {slack_user_id}"
    )
}

/// An error as a sentence.
fn words(error: &Error) -> String {
    match (error.code(), error.hint_text()) {
        ("changed", _) => {
            "The request has changed since you opened this. Close it and look again.".to_owned()
        }
        (_, Some(hint)) => format!("{} ({hint})", error.message()),
        (_, None) => error.message().to_owned(),
    }
}

/// Lets a call of Slack through.
///
/// # Errors
/// 404 without the app; 401 for what Slack did not sign; 415 and 400 for what is not a form.
pub(super) fn admit(context: &HttpContext, ask: &RoutedRequest) -> Result<SlackCall, Error> {
    let active = context.app.active();
    let slack = active.outlets.slack.as_ref().ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            "not_found",
            "the Slack app is not configured",
        )
        .hint("add [slack] to server.toml")
    })?;
    let call = ask.call;
    let origin = authentication::origin(context, call);
    let now = context.app.clock.now().0.div_euclid(1_000);
    let time = call.only_header("x-slack-request-timestamp");
    let signature = call.only_header("x-slack-signature");
    let checked = match (time, signature) {
        (Some(time), Some(signature)) => {
            let secret = slack.signing_secret.expose();
            signature::verified(secret, time, signature, &call.body, now)
        }
        _ => Err(Forged::Malformed),
    };
    let checked = checked.and_then(|mac| context.slack.seen.note(mac, now));
    match checked {
        Ok(()) => SlackCall::read(call, slack.clone(), origin),
        Err(Forged::Full) => Err(Error::unavailable("too many calls of Slack came lately")),
        Err(forged) => {
            let app = &context.app;
            app.metrics.auth_failures.inc(&[forged.label()]);
            if let Some(address) = &origin.client_ip {
                app.caches.refusals.note_failure(address, forged.label());
            }
            Err(Error::unauthenticated())
        }
    }
}

/// `POST /api/slack/commands`
pub fn command(context: &HttpContext, call: &SlackCall) -> HandlerResult {
    let desk = &context.slack;
    let command = call.command()?;
    let only = |text: &str, outcome: &str| {
        desk.counted("command", outcome);
        replies::json(200, &json!({"response_type": "ephemeral", "text": text}))
    };
    match command.word.as_str() {
        "execute" => {}
        "help" => {
            let usage = "`execute` opens a form for a new request, `help` shows this. Requests that wait for you are in the channel.";
            return only(usage, "done");
        }
        _ => return only("That is not a command of dbward; try `help`.", "refused"),
    }
    let Some(trigger) = command.trigger_id else {
        return only(
            "Slack did not allow a form to be opened; try again.",
            "refused",
        );
    };
    if desk.app.is_draining() {
        return only("dbward is restarting; try again in a minute.", "refused");
    }
    let caller = match desk.person(&call.slack, &command.actor) {
        Ok(caller) => caller,
        Err(why) => return only(&why, "refused"),
    };
    let targets = targets(&desk.app, &caller);
    if targets.is_empty() {
        return only(
            "There is no database for which you may make requests.",
            "refused",
        );
    }
    desk.counted("command", "queued");
    desk.later(FollowUp::Create {
        slack: call.slack.clone(),
        targets,
        trigger_id: trigger,
        channel: command.channel,
        user: command.actor.user,
    })?;
    Ok(HttpResponse::empty(200))
}

/// Where somebody may make requests, in order.
fn targets(app: &App, caller: &Caller) -> Vec<String> {
    let may = |target: &Target| {
        [Permission::RequestCreate, Permission::RequestCreateSelect]
            .into_iter()
            .any(|permission| caller.may_on(permission, target))
    };
    let active = app.active();
    let mut targets: Vec<String> = active
        .policies
        .targets()
        .filter(may)
        .map(|target| target.to_string())
        .collect();
    targets.sort();
    targets.dedup();
    targets.truncate(TARGETS_MAX);
    targets
}

/// `POST /api/slack/interactions`
pub fn interaction(context: &HttpContext, call: &SlackCall) -> HandlerResult {
    let desk = &context.slack;
    match call.interaction()? {
        Interaction::Clicked(Action { kind: None, .. }) | Interaction::Other => {
            desk.counted("other", "dropped");
            Ok(HttpResponse::empty(200))
        }
        Interaction::Clicked(action) => {
            desk.counted("button", "queued");
            let slack = call.slack.clone();
            desk.later(FollowUp::Clicked { slack, action })?;
            Ok(HttpResponse::empty(200))
        }
        Interaction::Submitted(dialog) => {
            let answer = submission::decide(desk, &call.slack, &dialog);
            let outcome = match answer {
                None => "done",
                Some(_) => "refused",
            };
            desk.counted("dialog", outcome);
            match answer {
                None => Ok(HttpResponse::empty(200)),
                Some(answer) => replies::json(200, &answer),
            }
        }
    }
}
