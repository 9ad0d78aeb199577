//! Waiting for a request: one line that changes on a terminal, one line a change elsewhere, the result at the end.
//!
//! The server holds each call until something moves; what moved between two calls is not missed, since each says what
//! was seen last.

use super::super::output::{short_id, status_words, visible};
use super::interrupts::Interrupts;
use super::progress::Progress;
use super::{CommandError, ServerSession, question, rehearsal, result};
use crate::cli::output::{note, to_errors};
use crate::client::{Client, ClientError, Document, MovedReply, RequestReply, path_of};
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How long the server is asked to hold a call.
const WAIT: Duration = Duration::from_secs(30);
/// Longest pause before a server that did not answer is asked again.
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// Failures in a row after which waiting ends.
const FAILURES_MAX: u32 = 20;
/// How often a request is sent to the agents again when no agent took it.
const RESUMES_MAX: u32 = 3;
/// How long a rehearsal is waited for: the server gives it up after a minute.
const REHEARSAL_WAIT: Duration = Duration::from_secs(90);
/// How long a result may take to be there after its request ended.
const RESULT_WAIT: Duration = Duration::from_secs(20);

/// Exit codes.
pub const PENDING: u8 = 2;
pub const EXECUTION_FAILED: u8 = 3;
pub const TIMED_OUT: u8 = 124;
pub const INTERRUPTED: u8 = 130;

/// What to wait for, and how long.
#[derive(Debug, Clone, Copy)]
pub struct FollowOptions {
    /// Whether approval is waited for; otherwise a pending request ends it.
    pub approval: bool,
    pub timeout: Option<Duration>,
    /// Whether an execution that failed is a failure of the command.
    pub fail: bool,
    /// Whether an approved request is sent to the agents.
    pub resume: bool,
}

/// What can happen while waiting.
#[derive(Clone)]
enum News {
    Reply(Box<Result<RequestReply, ClientError>>),
    /// What came of a call that was made once.
    Answer(Box<Result<Document, ClientError>>),
    Interrupted,
    Line(String),
}

/// Everything that waiting needs. Made before a request is, and makes the calls around it, so that no Ctrl-C is missed.
pub struct Follower<'a> {
    session: &'a ServerSession,
    options: FollowOptions,
    news: Receiver<News>,
    sender: Sender<News>,
    interrupts: Interrupts,
    progress: Progress,
    end: Option<Instant>,
    /// Whether Ctrl-C came while a call was waited for that is not given up.
    was_interrupted: bool,
}

/// Why a call that changes nothing has no answer.
pub enum CallEnd {
    Interrupted,
    Failed(ClientError),
}

/// Why a request is waited for no longer, although it is not where it was waited for.
pub enum WaitEnd {
    /// Everything is printed: the command ends with that exit code.
    Exit(u8),
    Failed(CommandError),
}

impl WaitEnd {
    /// How the command ends.
    pub fn ended(self) -> Result<u8, CommandError> {
        match self {
            WaitEnd::Exit(code) => Ok(code),
            WaitEnd::Failed(error) => Err(error),
        }
    }
}

impl From<CommandError> for WaitEnd {
    fn from(error: CommandError) -> WaitEnd {
        WaitEnd::Failed(error)
    }
}

impl From<ClientError> for WaitEnd {
    fn from(error: ClientError) -> WaitEnd {
        WaitEnd::Failed(error.into())
    }
}

impl<'a> Follower<'a> {
    pub fn new(
        session: &'a ServerSession,
        options: FollowOptions,
    ) -> Result<Follower<'a>, CommandError> {
        let (sender, news) = channel();
        let interrupts = Interrupts::start(sender.clone(), News::Interrupted)
            .map_err(|e| CommandError::new(format!("Ctrl-C cannot be listened for: {e}")))?;
        Ok(Follower {
            session,
            options,
            news,
            sender,
            interrupts,
            progress: Progress::new(),
            end: options.timeout.map(|timeout| Instant::now() + timeout),
            was_interrupted: false,
        })
    }

    /// Sends what makes or moves a request. After a Ctrl-C the answer is waited for all the same, since only it says what
    /// became of the request; the next call ends by it then. A second Ctrl-C ends the process.
    pub fn sent(&mut self, path: String, body: String) -> Result<Document, ClientError> {
        self.begin(move |client| client.send(&path, &body))?;
        loop {
            match self.receive(None) {
                Ok(News::Answer(answer)) => return *answer,
                Ok(News::Interrupted) => {
                    self.was_interrupted = true;
                    self.progress.clear();
                    note!(
                        "\nWaiting for the server to say what became of the request. Ctrl-C again stops that."
                    );
                }
                Ok(News::Reply(_) | News::Line(_)) => {}
                Err(()) => return Err(ClientError::not_made("no news can come")),
            }
        }
    }

    /// What a call reads that changes nothing; a Ctrl-C ends it.
    pub fn unless_interrupted(
        &mut self,
        call: impl FnOnce(&Client) -> Result<Document, ClientError> + Send + 'static,
    ) -> Result<Document, CallEnd> {
        if std::mem::take(&mut self.was_interrupted) {
            return Err(CallEnd::Interrupted);
        }
        self.begin(call).map_err(CallEnd::Failed)?;
        loop {
            match self.receive(None) {
                Ok(News::Answer(answer)) => return (*answer).map_err(CallEnd::Failed),
                Ok(News::Interrupted) => return Err(CallEnd::Interrupted),
                Ok(News::Reply(_) | News::Line(_)) => {}
                Err(()) => return Err(CallEnd::Failed(ClientError::not_made("no news can come"))),
            }
        }
    }

    /// Makes a call on a thread of its own, from where its answer comes as news, as a Ctrl-C does.
    fn begin(
        &mut self,
        call: impl FnOnce(&Client) -> Result<Document, ClientError> + Send + 'static,
    ) -> Result<(), ClientError> {
        self.interrupts.take_next();
        let (client, sender): (Client, _) = (self.session.client.clone(), self.sender.clone());
        std::thread::Builder::new()
            .name("call".to_owned())
            .spawn(move || {
                let _ = sender.send(News::Answer(Box::new(call(&client))));
            })
            .map_err(ClientError::not_made)?;
        Ok(())
    }

    /// From here on Ctrl-C ends the process.
    pub fn release(&self) {
        self.interrupts.release();
    }

    /// Waits until the request has an outcome, and prints its result. Returns the exit code.
    pub fn follow(mut self, request: RequestReply) -> Result<u8, CommandError> {
        self.outcome(request).or_else(WaitEnd::ended)
    }

    fn outcome(&mut self, mut request: RequestReply) -> Result<u8, WaitEnd> {
        self.interrupts.take_next();
        let asked = self.poller(request.id.clone())?;
        let mut resumes = 0;
        loop {
            self.progress.show(&request);
            if request.is_outcome() {
                self.progress.clear();
                return Ok(self.ended(&request)?);
            }
            if request.status == "pending" && !self.options.approval {
                self.progress.clear();
                return Ok(PENDING);
            }
            let waits = matches!(
                request.status.as_str(),
                "approved" | "auto_approved" | "break_glass"
            );
            if waits && !self.options.resume {
                self.progress.clear();
                note!(
                    "Send it to an agent with:  dbward request resume {}",
                    short_id(&request.id)
                );
                return Ok(0);
            }
            if waits && resumes < RESUMES_MAX {
                resumes += 1;
                request = self.resume(&request)?;
                continue;
            }
            let _ = asked.send(request.seen());
            let rehearses = request.is_rehearsing();
            request = self.next(&request, &asked)?;
            if rehearses && !request.is_rehearsing() {
                let lines = rehearsal::lines(&request);
                let first = lines.first().map_or("", String::as_str);
                self.progress.line(&request, &format!("rehearsal: {first}"));
            }
        }
    }

    /// Waits until an open rehearsal of the request is over, for a little longer than the server does; the request as it
    /// is then.
    pub fn rehearsed(&mut self, mut request: RequestReply) -> Result<RequestReply, WaitEnd> {
        self.interrupts.take_next();
        let asked = self.poller(request.id.clone())?;
        let end = Instant::now() + REHEARSAL_WAIT;
        while request.status == "pending" && request.is_rehearsing() && Instant::now() < end {
            self.progress.show(&request);
            let _ = asked.send(request.seen());
            request = self.next(&request, &asked)?;
        }
        self.progress.clear();
        Ok(request)
    }

    /// Where it stands next.
    fn next(
        &mut self,
        request: &RequestReply,
        asked: &Sender<String>,
    ) -> Result<RequestReply, WaitEnd> {
        let mut failures = 0;
        loop {
            match self.receive(self.end) {
                Ok(News::Reply(reply)) => match *reply {
                    Ok(request) => return Ok(request),
                    Err(e) if e.retryable && failures < FAILURES_MAX => {
                        failures += 1;
                        self.progress.note(&format!("{}; trying again", e.message));
                        let pause = Duration::from_secs(1 << failures.min(4)).min(PAUSE_MAX);
                        match self.receive(Some(Instant::now() + e.retry_after.unwrap_or(pause))) {
                            Ok(News::Interrupted) => return Err(self.stopped(request)),
                            _ => {
                                let _ = asked.send(request.seen());
                            }
                        }
                    }
                    Err(e) => {
                        self.progress.clear();
                        return Err(e.into());
                    }
                },
                Ok(News::Interrupted) => return Err(self.stopped(request)),
                Ok(News::Line(_) | News::Answer(_)) => {}
                Err(()) => {
                    self.progress.clear();
                    note!(
                        "Still {} after the time limit.\n{}",
                        status_words(&request.status),
                        goes_on(request)
                    );
                    return Err(WaitEnd::Exit(TIMED_OUT));
                }
            }
        }
    }

    /// The next news, or that the time is over.
    fn receive(&self, end: Option<Instant>) -> Result<News, ()> {
        let received = match end {
            Some(end) => self
                .news
                .recv_timeout(end.saturating_duration_since(Instant::now())),
            None => self.news.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        received.map_err(|_| ())
    }

    /// A thread that asks the server, each time it is given what was seen last.
    fn poller(&self, id: String) -> Result<Sender<String>, CommandError> {
        let (asked, questions) = channel::<String>();
        let (client, sender): (Client, _) = (self.session.client.clone(), self.sender.clone());
        std::thread::Builder::new()
            .name("follow".to_owned())
            .spawn(move || {
                for seen in questions {
                    let reply = client
                        .await_request(&id, WAIT, &seen)
                        .and_then(|d| d.read());
                    if sender.send(News::Reply(Box::new(reply))).is_err() {
                        return;
                    }
                }
            })
            .map_err(|e| CommandError::new(e.to_string()))?;
        Ok(asked)
    }

    /// Sends it to the agents again; the request as it is then.
    fn resume(&mut self, request: &RequestReply) -> Result<RequestReply, WaitEnd> {
        let path = path_of(&["requests", &request.id, "resume"]);
        match self.sent(path, String::new()) {
            Ok(_) => {}
            // Somebody else was faster, or it moved on.
            Err(e) if e.status == Some(409) => {}
            Err(e) => {
                self.progress.clear();
                return Err(e.into());
            }
        }
        let path = path_of(&["requests", &request.id]);
        match self.unless_interrupted(move |client| client.fetch(&path)) {
            Ok(document) => Ok(document.read()?),
            Err(CallEnd::Interrupted) => Err(self.stopped(request)),
            Err(CallEnd::Failed(e)) => Err(e.into()),
        }
    }

    /// What a Ctrl-C makes of waiting.
    fn stopped(&mut self, request: &RequestReply) -> WaitEnd {
        self.interrupted(request)
            .map_or_else(WaitEnd::Failed, WaitEnd::Exit)
    }

    /// Prints what came of it. Returns the exit code.
    fn ended(&mut self, request: &RequestReply) -> Result<u8, CommandError> {
        match request.status.as_str() {
            "executed" | "failed" => {}
            "rejected" => return Err(rejected(request)),
            "execution_lost" => {
                return Err(CommandError::new(
                    "the agent went silent while it ran this, and whether it took effect is unknown",
                )
                .hint(format!("look at the data, then: dbward request show {}", short_id(&request.id))));
            }
            status => {
                let by = request
                    .cancelled_by
                    .as_deref()
                    .map(|by| format!(" by {}", visible(by)));
                return Err(CommandError::new(format!(
                    "the request is {status}{}",
                    by.unwrap_or_default()
                )));
            }
        }
        let id = request.id.clone();
        let read =
            self.unless_interrupted(move |client| match client.await_result(&id, RESULT_WAIT) {
                Ok(Some(document)) => Ok(document),
                // Not streamed there: then it is stored.
                _ => client.fetch(&path_of(&["requests", &id, "result", "content"])),
            });
        let document = match read {
            Ok(document) => document,
            Err(CallEnd::Failed(e)) => return Err(e.into()),
            Err(CallEnd::Interrupted) => {
                let (doing, short) = (status_words(&request.status), short_id(&request.id));
                note!(
                    "\nRequest {} is {doing}. Print its result with:  dbward request result {short}",
                    request.id
                );
                return Ok(INTERRUPTED);
            }
        };
        self.interrupts.release();
        let succeeded = result::print(self.session, &document, &request.id)?;
        Ok(if self.options.fail && !succeeded {
            EXECUTION_FAILED
        } else {
            0
        })
    }

    /// Ctrl-C: the request goes on, unless its owner wants it cancelled.
    pub fn interrupted(&mut self, request: &RequestReply) -> Result<u8, CommandError> {
        self.progress.clear();
        let short = short_id(&request.id);
        note!();
        let asks = io::stdin().is_terminal() && io::stderr().is_terminal();
        let doing = status_words(&request.status);
        if !asks {
            note!(
                "Still {doing}. Request {}.\n{}",
                request.id,
                goes_on(request)
            );
            return Ok(INTERRUPTED);
        }
        self.interrupts.take_next();
        to_errors(format_args!(
            "Still {doing}. Cancel request {short}? [y/N] "
        ));
        let _ = io::stderr().flush();
        let sender = self.sender.clone();
        let _ = std::thread::Builder::new()
            .name("answer".to_owned())
            .spawn(move || {
                let mut line = String::new();
                let _ = io::stdin().lock().read_line(&mut line);
                let _ = sender.send(News::Line(line));
            });
        let yes = loop {
            match self.receive(None) {
                Ok(News::Line(line)) => break question::is_yes(&line),
                Ok(News::Interrupted) | Err(()) => {
                    note!();
                    break false;
                }
                Ok(News::Reply(_) | News::Answer(_)) => {}
            }
        };
        if !yes {
            note!("{}", goes_on(request));
            return Ok(INTERRUPTED);
        }
        let path = path_of(&["requests", &request.id, "cancel"]);
        let moved: MovedReply = self.session.client.send(&path, "{}")?.read()?;
        note!("Request {} is {}.", request.id, status_words(&moved.status));
        Ok(INTERRUPTED)
    }
}

fn rejected(request: &RequestReply) -> CommandError {
    let steps = request.approval_progress.iter().flat_map(|p| &p.steps);
    let vote = steps
        .flat_map(|s| &s.approvals)
        .find(|v| v.action == "reject");
    let by = vote
        .map(|v| format!(" by {}", visible(&v.user)))
        .unwrap_or_default();
    let error = CommandError::new(format!("the request was rejected{by}"));
    match vote.and_then(|v| v.comment.as_deref()) {
        Some(comment) => error.hint(format!("they say: {}", visible(comment))),
        None => error,
    }
}

fn goes_on(request: &RequestReply) -> String {
    format!(
        "It goes on without you. Continue with:  dbward request watch {}",
        short_id(&request.id)
    )
}
