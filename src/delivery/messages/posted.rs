//! The message of the Slack app about a request: one a request, written anew from what is stored whenever something
//! happens, so that it never shows a button for what is over. Statements are never in it.

use super::card::Card;
use super::{AskedPerson, NotificationFacts};
use crate::domain::approval::{Vote, VoteAction, count, current_step};
use crate::domain::policy::notification::REMINDERS;
use crate::domain::policy::workflow::{Mode, Workflow, WorkflowStep};
use crate::domain::request::{Request, Status};
use crate::domain::sql::escaped;
use crate::outbound::clip::{line, plain, short};
use crate::outbound::slack::{RESULT_ACTION, RESUME_ACTION, REVIEW_ACTION};
use serde_json::{Value, json};

/// Longest header, value, list of approvers, and reason, in bytes; Slack's limits are above them.
const HEADER_MAX: usize = 140;
const VALUE_MAX: usize = 300;
const STEPS_MAX: usize = 1_500;
const REASON_MAX: usize = 300;
/// Longest name of somebody who is asked; there are at most twenty.
const NAME_MAX: usize = 100;
/// A request as Slack shows it.
pub(in crate::delivery) struct RequestPost<'r> {
    pub(in crate::delivery) request: &'r Request,
    pub(in crate::delivery) workflow: Option<&'r Workflow>,
    pub(in crate::delivery) votes: &'r [Vote],
    /// People who are written of, and their accounts.
    pub(in crate::delivery) named: &'r [AskedPerson],
    /// Whom the event asks, while the request waits: neither its requester nor anybody who voted.
    pub(in crate::delivery) asked: &'r [AskedPerson],
    pub(in crate::delivery) public_url: Option<&'r str>,
    /// Whether it has expired, although nobody has written that yet.
    pub(in crate::delivery) is_late: bool,
}

impl RequestPost<'_> {
    /// The message in the channel. `asks` mentions the approvers of the step that waits: a message that is only updated
    /// notifies nobody.
    pub(in crate::delivery) fn message(&self, asks: bool) -> Value {
        let headline = format!("{}: {}", self.title(), self.request.target);
        let mut blocks = vec![
            json!({"type": "header", "text": {"type": "plain_text", "text": short(&headline, HEADER_MAX, plain), "emoji": false}}),
            json!({"type": "section", "fields": self.fields()}),
        ];
        if let Some(reason) = &self.request.reason {
            blocks.push(section(&format!(
                "*Reason*\n{}",
                short(&escaped(reason), REASON_MAX, line)
            )));
        }
        if let Some(steps) = self.steps() {
            blocks.push(section(&steps));
        }
        blocks.push(context(&self.context()));
        if let Some(actions) = self.actions() {
            blocks.push(actions);
        }
        let asked = match asks && self.waits() {
            true => self.asked(),
            false => None,
        };
        blocks.extend(asked.map(|asked| section(&asked)));
        json!({"text": short(&headline, HEADER_MAX, line), "blocks": blocks})
    }

    /// What is written below it about one event, and whom that mentions.
    pub(in crate::delivery) fn reply(&self, facts: &NotificationFacts) -> Value {
        let card = Card::new(facts);
        let mut text = format!("*{}*", short(&card.title, VALUE_MAX, line));
        for (label, value) in &card.lines {
            if ["By", "Comment", "Step", "Outcome", "Rows affected"].contains(label) {
                text.push_str(&format!("\n{label}: {}", short(value, VALUE_MAX, line)));
            }
        }
        let event = facts.text("event").unwrap_or_default();
        if event == "request.rejected" || event == "request.cancelled" {
            let why = facts.text("reason");
            if let Some(why) = why {
                text.push_str(&format!(
                    "\nReason: {}",
                    short(&escaped(why), REASON_MAX, line)
                ));
            }
        }
        let mut mentioned = Vec::new();
        let asks = event == "step.approved" || REMINDERS.contains(&event);
        if asks && self.waits() {
            mentioned.extend(self.asked());
        }
        if event == "request.cancelled" || event == "request.expired" {
            mentioned.push(self.mentions_of_released(facts.text("actor")));
        }
        let own = facts.text("actor") == Some(&self.request.requester);
        if !asks && !own {
            mentioned.push(self.mention_of(&self.request.requester));
        }
        mentioned.retain(|names| !names.is_empty());
        if !mentioned.is_empty() {
            text.push_str(&format!("\n{}", mentioned.join(" ")));
        }
        json!({"text": text})
    }

    fn waits(&self) -> bool {
        self.request.status() == Status::Pending && !self.is_late && !self.request.corrupt
    }

    fn title(&self) -> &'static str {
        match self.request.status() {
            _ if self.request.corrupt => "Differs from what was approved: it does not run",
            Status::Pending if self.is_late => "Expired",
            Status::Pending => "Approval needed",
            Status::Approved => "Approved",
            Status::AutoApproved => "Approved automatically",
            Status::BreakGlass => "Emergency: runs without approval",
            Status::Dispatched => "Sent to the agents",
            Status::Running => "Running",
            Status::Executed => "Executed",
            Status::Failed => "Execution failed",
            Status::Rejected => "Rejected",
            Status::Cancelled => "Cancelled",
            Status::Expired => "Expired",
            Status::ExecutionLost => "Execution lost: its outcome is unknown",
        }
    }

    fn fields(&self) -> Vec<Value> {
        let request = self.request;
        let place = request.target.to_string();
        let id = match self.public_url {
            Some(url) => format!("<{url}/requests/{}|{}>", request.id, request.id),
            None => short(&request.id, VALUE_MAX, line),
        };
        [
            ("Requester", self.mention_of(&request.requester)),
            ("Database", short(&place, VALUE_MAX, line)),
            ("Operation", request.operation.as_str().to_owned()),
            ("Request", id),
        ]
        .map(|(label, value)| json!({"type": "mrkdwn", "verbatim": true, "text": format!("*{label}*\n{value}")}))
        .into()
    }

    /// Who approves, step by step, and how far that is.
    fn steps(&self) -> Option<String> {
        let workflow = self.workflow.filter(|w| !w.steps.is_empty())?;
        let current = current_step(workflow, self.votes);
        let lines = workflow.steps.iter().zip(0..).map(|(step, index)| {
            let mark = match index {
                _ if index < current => "done",
                _ if index == current && self.waits() => "now",
                _ => "later",
            };
            format!("{}. {} ({mark})", index + 1, self.step(step, index))
        });
        let text: Vec<String> = lines.collect();
        let text = short(&text.join("; "), STEPS_MAX, line);
        Some(format!("*Approvers*\n{text}"))
    }

    fn step(&self, step: &WorkflowStep, index: u32) -> String {
        let entries = step.approvers.iter().map(|entry| {
            let has = count(&entry.selector, index, self.votes).min(entry.min);
            // Escaped with all of them, so that no escape is cut.
            let name = short(&entry.selector.to_string(), VALUE_MAX, plain);
            match entry.min {
                1 if has == 0 => name,
                min => format!("{name} {has} of {min}"),
            }
        });
        let joined = match step.mode {
            Mode::All => " and ",
            Mode::Any => " or ",
        };
        entries.collect::<Vec<_>>().join(joined)
    }

    fn context(&self) -> String {
        let request = self.request;
        let mut parts = vec![format!("Risk: {}", request.risk_level.as_str())];
        if request.status() == Status::Pending && request.total_steps > 1 {
            let step = (request.current_step + 1).min(request.total_steps);
            parts.push(format!("step {step} of {}", request.total_steps));
        }
        if let Some(outcome) = request.outcome {
            parts.push(format!("outcome: {}", outcome.as_str()));
        }
        let rejected = self.votes.iter().rfind(|v| v.action == VoteAction::Reject);
        if let Some(vote) = rejected {
            parts.push(format!("by {}", self.mention_of(&vote.actor)));
            if let Some(why) = &vote.comment {
                parts.push(short(&escaped(why), REASON_MAX, line));
            }
        }
        parts.join(" · ")
    }

    /// The one button there is for what can be done now.
    fn actions(&self) -> Option<Value> {
        let (text, action) = match self.request.status() {
            Status::Pending if self.waits() => ("Review", REVIEW_ACTION),
            Status::Approved | Status::AutoApproved | Status::BreakGlass
                if !self.request.corrupt =>
            {
                ("Execute", RESUME_ACTION)
            }
            Status::Executed if !self.request.no_result_store => ("View result", RESULT_ACTION),
            _ => return None,
        };
        Some(json!({"type": "actions", "elements": [{
            "type": "button",
            "style": "primary",
            "text": {"type": "plain_text", "text": text},
            "action_id": action,
            "value": self.request.id,
        }]}))
    }

    /// Those who are asked, by mention where their account is known, else by name.
    fn asked(&self) -> Option<String> {
        let names: Vec<String> = self.asked.iter().map(mention).collect();
        (!names.is_empty()).then(|| format!("Asked: {}", names.join(", ")))
    }

    /// Mentions of those who were asked by a request that ended while it waited for them, but of who ended it.
    fn mentions_of_released(&self, actor: Option<&str>) -> String {
        if self.request.approved_at.is_some() || self.request.emergency {
            return String::new();
        }
        let others = self.asked.iter().filter(|p| actor != Some(p.id.as_str()));
        let mentioned = others.filter(|p| p.slack_user_id.is_some());
        let mentions: Vec<String> = mentioned.map(mention).collect();
        mentions.join(" ")
    }

    /// The mention of a person with an account, else their id.
    fn mention_of(&self, person: &str) -> String {
        match self.named.iter().find(|p| p.id == person) {
            Some(known) => mention(known),
            None => short(person, VALUE_MAX, line),
        }
    }
}

fn mention(person: &AskedPerson) -> String {
    match &person.slack_user_id {
        Some(account) => format!("<@{account}>"),
        None => short(&person.id, NAME_MAX, line),
    }
}

/// The message to somebody whose account was linked, or is not any more: they alone may know that it should not have been.
pub(in crate::delivery) fn linked(facts: &NotificationFacts) -> Value {
    let name = |field| short(facts.text(field).unwrap_or_default(), VALUE_MAX, line);
    let (person, actor) = (name("person"), name("actor"));
    let what = match facts.is_false("linked") {
        true => format!("does not act as *{person}* in dbward any more: {actor} ended the link"),
        false => format!("now acts as *{person}* in dbward: {actor} linked it"),
    };
    json!({"text": format!("This Slack account {what}. If that is not right, tell your administrators at once.")})
}

/// The message about a request of which no more can be read than what a notification says.
pub(in crate::delivery) fn unreadable(facts: &NotificationFacts) -> Value {
    let card = Card::new(facts);
    let mut text = format!("*{}*", short(&card.headline(), VALUE_MAX, line));
    for (label, value) in &card.lines {
        text.push_str(&format!("\n{label}: {}", short(value, VALUE_MAX, line)));
    }
    json!({"text": text, "blocks": [section(&text)]})
}

/// What is left of a message whose request is posted to another channel from now on.
pub(in crate::delivery) fn moved(channel: &str) -> Value {
    let text = format!("This request is continued in <#{channel}>.");
    json!({"text": text, "blocks": [section(&text)]})
}

/// A test message.
pub(in crate::delivery) fn tested(facts: &NotificationFacts) -> Value {
    let by = short(facts.text("actor").unwrap_or_default(), VALUE_MAX, line);
    json!({"text": format!("Test message of dbward, sent by {by}. Requests will be posted here.")})
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": {"type": "mrkdwn", "verbatim": true, "text": text}})
}

fn context(text: &str) -> Value {
    json!({"type": "context", "elements": [{"type": "mrkdwn", "verbatim": true, "text": text}]})
}
