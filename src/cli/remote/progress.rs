//! What is waited for, as people see it: one line that changes on a terminal, one line a change elsewhere.

use super::super::output::{Paint, selector_words, short_id, span, status_words, visible};
use crate::cli::output::note;
use crate::client::RequestReply;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// The line that says what is waited for.
pub(super) struct Progress {
    bar: ProgressBar,
    terminal: bool,
    last: String,
    since: Instant,
    was_pending: bool,
}

impl Progress {
    pub(super) fn new() -> Progress {
        let terminal = io::stderr().is_terminal();
        let target = if terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {took}{prefix}") {
            let took = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = out.write_str(&span(state.elapsed().as_secs()));
            };
            bar.set_style(style.with_key("took", took));
        }
        Progress {
            bar,
            terminal,
            last: String::new(),
            since: Instant::now(),
            was_pending: false,
        }
    }

    pub(super) fn show(&mut self, request: &RequestReply) {
        let mut words = waiting_words(request);
        if request.is_rehearsing() {
            words.push_str(" · being rehearsed");
        }
        if words == self.last {
            return;
        }
        if self.bar.is_finished() {
            self.bar.reset();
        }
        let (took, before) = (
            self.since.elapsed().as_secs(),
            std::mem::replace(&mut self.last, words.clone()),
        );
        self.since = Instant::now();
        if self.terminal {
            if self.was_pending && request.status != "pending" && request.approved_at.is_some() {
                let paint = Paint::new(true);
                self.bar
                    .suspend(|| note!("{} approved · after {}", paint.accent("✓"), span(took)));
            }
            let stop = if request.is_outcome() {
                ""
            } else {
                " · Ctrl-C to stop waiting"
            };
            self.bar.set_prefix(stop);
            self.bar.set_message(words);
            self.bar.reset_elapsed();
            self.bar.enable_steady_tick(Duration::from_millis(120));
        } else if !before.is_empty() || !request.is_outcome() {
            note!("{} {words}", short_id(&request.id));
        }
        self.was_pending = request.status == "pending";
    }

    /// Prints a line that stays.
    pub(super) fn line(&self, request: &RequestReply, words: &str) {
        let id = short_id(&request.id);
        self.bar.suspend(|| note!("{id} {words}"));
    }

    pub(super) fn note(&self, words: &str) {
        match self.terminal {
            true => self.bar.set_message(visible(words)),
            false => note!("{}", visible(words)),
        }
    }

    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// What a request waits for, on one line.
pub fn waiting_words(request: &RequestReply) -> String {
    match request.status.as_str() {
        "pending" => {
            let steps = request
                .approval_progress
                .as_ref()
                .map(|p| p.steps.as_slice())
                .unwrap_or_default();
            let index = usize::try_from(request.current_step).unwrap_or(usize::MAX);
            let Some(step) = steps.get(index) else {
                return status_words("pending").to_owned();
            };
            let wanted = step
                .approvers_required
                .iter()
                .map(|r| format!("{} of {} {}", r.current, r.min, selector_words(&r.selector)));
            let joined =
                wanted
                    .collect::<Vec<_>>()
                    .join(if step.mode == "any" { " or " } else { ", " });
            let of = match steps.len() {
                0 | 1 => String::new(),
                n => format!(" · step {} of {n}", index + 1),
            };
            format!("waiting for approval · {joined}{of}")
        }
        "dispatched" => match request.queue_hint.as_deref() {
            Some("no_agents") => format!(
                "waiting for an agent · none serves {} / {}",
                visible(&request.database),
                visible(&request.environment)
            ),
            Some("agents_saturated") => "waiting for an agent · all are busy".to_owned(),
            Some("agents_draining") => "waiting for an agent · all are stopping".to_owned(),
            _ => "waiting for an agent".to_owned(),
        },
        "running" => match &request.claimed_by {
            Some(agent) => format!("running on {}", visible(agent)),
            None => "running".to_owned(),
        },
        other => status_words(other).to_owned(),
    }
}
