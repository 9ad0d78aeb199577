//! `request rehearse`: asks agents what a request would change, and waits for it.

use super::super::output::short_id;
use super::follow::{FollowOptions, Follower};
use super::{CommandError, ServerSession, rehearsal};
use crate::client::{RequestReply, path_of};

/// `request rehearse`
pub fn run(session: &ServerSession, prefix: &str, no_wait: bool) -> Result<u8, CommandError> {
    let id = session.request_id(prefix)?;
    let mut follower = Follower::new(
        session,
        FollowOptions {
            approval: false,
            timeout: None,
            fail: false,
            resume: false,
        },
    )?;
    let path = path_of(&["requests", &id]);
    let asked = session
        .client
        .send(&path_of(&["requests", &id, "rehearse"]), "")?;
    if no_wait {
        let sentence = format!(
            "Asked for. See what came of it: dbward request show {}",
            short_id(&id)
        );
        return session.done(&asked, &sentence, &id);
    }
    let request: RequestReply = session.client.fetch(&path)?.read()?;
    let request = match follower.rehearsed(request) {
        Ok(request) => request,
        Err(end) => return end.ended(),
    };
    follower.release();
    let found = request.rehearsal.clone().unwrap_or_default();
    if found.status != "done" {
        let words = rehearsal::words(&found);
        return Err(CommandError::new(format!("the rehearsal is {words}"))
            .hint("votes are open all the same; a rehearsal only shows rows"));
    }
    let document = session.client.fetch(&path)?;
    let mut text = rehearsal::lines(&request);
    text.extend(rehearsal::bound(&request));
    session.done(&document, &text.join("\n"), &id)
}
