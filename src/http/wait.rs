//! Long-polls: a call that has to wait leaves its worker and is run again when something happened.
//!
//! The order that loses no wake-up is in [`TopicWatch`]: it reads the generations first, then the caller's rights once
//! more, and only then does the handler read its data.

use super::HttpContext;
use super::authentication;
use super::call::{HttpRequest, HttpResponse};
use super::route::RoutedRequest;
use crate::actions::topics;
use crate::clock::Timestamp;
use crate::domain::actor::Caller;
use crate::error::Error;
use crate::gate::Park;
use crate::gate::park::TOPICS_MAX;
use std::time::Duration;

/// `Retry-After` of a long-poll that was not let wait, in seconds.
pub const TURNED_AWAY_RETRY_SECS: u32 = 2;
/// Topics that a handler may name; the caller's token, person and policies are watched too.
pub const OWN_TOPICS_MAX: usize = TOPICS_MAX - 3;

/// What a call watches, with what it saw before it read anything.
pub struct TopicWatch {
    topics: Vec<(String, u64)>,
    /// Longest wait: it does not outlive the credential.
    longest: Duration,
}

impl TopicWatch {
    /// Starts to watch. Losing the token, the account or a role ends the wait, so these are watched too; that they
    /// still count is asked again, since they may have been lost before we watched.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub fn begin(
        context: &HttpContext,
        caller: &Caller,
        ask: &RoutedRequest,
        names: impl IntoIterator<Item = String>,
    ) -> Result<TopicWatch, Error> {
        let token = caller.token_id.as_deref().map(topics::token);
        let session = caller.session_id.as_deref().map(topics::session);
        let topics = names
            .into_iter()
            .take(OWN_TOPICS_MAX)
            .chain(token)
            .chain(session)
            .chain([
                topics::subject(&caller.subject),
                topics::POLICIES.to_owned(),
            ])
            .map(|name| {
                let seen = context.hub.generation(&name);
                (name, seen)
            })
            .collect();
        let caller = authentication::authenticate(context, ask.call)?;
        let left = caller
            .expires_at
            .map(|at| at.since(context.app.clock.now()));
        Ok(TopicWatch {
            topics,
            longest: left.map_or(Duration::MAX, Duration::from_millis),
        })
    }

    /// Waits for everybody's news: all who wait for it are woken.
    pub fn park(self, ask: &RoutedRequest, wait_secs: u64, memo: &str) -> HttpResponse {
        self.park_for(ask, Duration::from_secs(wait_secs), memo)
    }

    /// The same, where seconds are too coarse.
    pub fn park_for(self, ask: &RoutedRequest, wait: Duration, memo: &str) -> HttpResponse {
        self.wait(ask, wait, memo, false)
    }

    /// Waits for something that one of all who wait can take.
    pub fn park_in_line(self, ask: &RoutedRequest, wait_secs: u64, memo: &str) -> HttpResponse {
        self.wait(ask, Duration::from_secs(wait_secs), memo, true)
    }

    fn wait(
        self,
        ask: &RoutedRequest,
        wait: Duration,
        memo: &str,
        exclusive: bool,
    ) -> HttpResponse {
        let asked = wait.min(self.longest);
        let wait = ask
            .call
            .resume
            .as_ref()
            .map_or(asked, |r| r.left.min(asked));
        HttpResponse::park(Park {
            topics: self.topics,
            wait,
            memo: memo.to_owned(),
            exclusive,
        })
    }
}

/// When the call began, and what its handler left in its memo; on a first pass, now and nothing.
pub(super) fn began(call: &HttpRequest, now: Timestamp) -> (Timestamp, Option<String>) {
    let Some(resume) = &call.resume else {
        return (now, None);
    };
    match resume.memo.split_once(' ') {
        Some((ms, memo)) => {
            let began = ms.parse().map_or(now, Timestamp);
            (began, Some(memo.to_owned()))
        }
        None => (now, Some(String::new())),
    }
}

/// The memo of a call that began then.
pub(super) fn stamped(began: Timestamp, memo: &str) -> String {
    format!("{} {memo}", began.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::ResumeReason;
    use crate::http::call::Resume;

    fn call(resume: Option<Resume>) -> HttpRequest {
        HttpRequest {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            query: None,
            headers: Vec::new(),
            body: Vec::new(),
            peer: None,
            request_id: "r".to_owned(),
            resume,
            oversize: None,
            unread: false,
            certificate: None,
        }
    }

    #[test]
    fn the_memo_comes_back_with_the_time_the_call_began() {
        let now = Timestamp(5_000);
        assert_eq!(began(&call(None), now), (now, None));
        let resume = Resume {
            reason: ResumeReason::Event,
            memo: stamped(Timestamp(1_000), "pending 0"),
            left: Duration::from_secs(1),
        };
        let back = began(&call(Some(resume)), now);
        assert_eq!(back, (Timestamp(1_000), Some("pending 0".to_owned())));
    }

    #[test]
    fn only_news_let_a_call_wait_again() {
        for (reason, may) in [
            (ResumeReason::Event, true),
            (ResumeReason::Deadline, false),
            (ResumeReason::Shutdown, false),
            (ResumeReason::Full, false),
        ] {
            let resume = Resume {
                reason,
                memo: String::new(),
                left: Duration::ZERO,
            };
            assert_eq!(call(Some(resume)).may_wait(), may, "{reason:?}");
        }
        assert!(call(None).may_wait());
    }
}
