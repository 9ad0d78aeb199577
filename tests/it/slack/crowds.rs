//! Many at once, and a Slack that takes its time: everybody is answered within the three seconds that Slack waits.

use super::{APPROVER, REQUESTER, UPDATE, link, link_all, posted, server, written_in};
use crate::support::{Answer, FakeSlack, Request, Server, decision, eventually};
use serde_json::json;
use std::time::{Duration, Instant};

/// How long Slack waits for an answer.
const SLACK_WAITS: Duration = Duration::from_secs(3);
/// Threads that open dialogs, and clicks that wait for one.
const THREADS: usize = 8;
const WAITING: usize = 64;

#[track_caller]
fn in_time(what: impl FnOnce() -> Answer) -> Answer {
    let began = Instant::now();
    let answer = what();
    let took = began.elapsed();
    assert!(took < SLACK_WAITS, "the answer took {took:?}");
    answer
}

fn waiting(s: &Server) -> (Request, String) {
    let request = s.requester().submit("production", UPDATE);
    let ts = posted(s, &request);
    (request, ts)
}

#[test]
fn slow_slack_delays_no_answer_and_excess_is_refused() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    link_all(&s);
    let (request, ts) = waiting(&s);
    // The workspace is known from here on.
    s.click(APPROVER, "dbward_review", &request.id, &ts).is(200);
    let open = slack.nth("views.open", 1);
    slack.hold("views.open");
    let click = || in_time(|| s.click(APPROVER, "dbward_review", &request.id, &ts));
    for n in 0..THREADS {
        click().is(200);
        slack.nth("views.open", n + 2);
    }
    for _ in 0..WAITING {
        click().is(200);
    }
    click().is(503);
    in_time(|| s.command(REQUESTER, "execute")).is(503);
    // What needs no call of ours goes on.
    in_time(|| s.command(REQUESTER, "help")).is(200);
    in_time(|| s.submit_dialog(APPROVER, &open, decision("approve", None))).is(200);
    assert_eq!(request.status(), "approved");
    slack.release();
    // Those that waited look at what is now: it is decided.
    eventually("all are answered", || {
        slack.of("chat.postEphemeral").len() + slack.of("views.open").len() >= 1 + THREADS + WAITING
    });
    click().is(200);
    assert_eq!(request.status(), "approved");
}

#[test]
fn of_two_decisions_at_once_one_counts() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    link_all(&s);
    let second = s.person("approver-two", &["readonly"]);
    link(&second, "approver-two", "U0SECOND");
    let (request, ts) = waiting(&s);
    let mut dialogs = Vec::new();
    for (n, user) in [APPROVER, "U0SECOND"].into_iter().enumerate() {
        s.click(user, "dbward_review", &request.id, &ts).is(200);
        dialogs.push((user, slack.nth("views.open", n + 1)));
    }
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let decide = |(user, open): &(&'static str, crate::support::SlackCall)| {
            let (s, user, open) = (&s, *user, open.clone());
            scope.spawn(move || s.submit_dialog(user, &open, decision("approve", None)))
        };
        let threads: Vec<_> = dialogs.iter().map(decide).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let mut refused = answers.iter().filter(|a| !a.is(200).raw().is_empty());
    let why = refused.next().expect("both decided").raw();
    assert!(
        why.contains("\"response_action\":\"errors\"") && why.contains("decision_block"),
        "{why}"
    );
    assert!(refused.next().is_none(), "nobody decided");
    let request = request.is("approved");
    let votes = request.by.show(&request).is(200).json["progress"]["votes"].clone();
    let votes = votes.as_array().map(Vec::len);
    let events = s.events(&format!(
        "event_type=request.approved&request_id={}",
        request.id
    ));
    assert_eq!(events.len(), 1, "{votes:?}");
}

#[test]
fn review_shows_the_rows_that_are_bound_and_rehearsed() {
    let slack = FakeSlack::start();
    let workflow = "environment = \"production\"\n";
    let shop =
        crate::support::SHOP.replace(workflow, &format!("{workflow}rehearse = \"on_request\"\n"));
    let s = Server::with(&format!(
        "{shop}{}{}{}[[execution_policies]]\nmax_affected_rows = 100\n",
        super::BOUND,
        crate::support::DELIVERS,
        slack.section()
    ));
    link_all(&s);
    let agent = s.agent("agent-1");
    let features = json!({"features": ["claims_v2", "outcome", "rehearsal", "row_bound"]});
    agent.poll_with(features).is(200);
    let request = s
        .requester()
        .submit("production", "DELETE FROM items WHERE id < 10");
    let ts = posted(&s, &request);
    let asked = s
        .requester()
        .poke(&request.path("/rehearse"))
        .is(202)
        .text("id");
    let review = |n| {
        s.click(APPROVER, "dbward_review", &request.id, &ts).is(200);
        written_in(&slack.nth("views.open", n).body)
    };
    let text = review(1);
    assert!(text.contains("at most 100 rows (policy)"), "{text}");
    assert!(text.contains("Rehearsal: waiting"), "{text}");
    agent
        .person
        .poke(&format!("/api/agent/rehearsals/{asked}/claim"))
        .is(200);
    let statement = json!({"kind": "delete", "table": "items", "rows": 9});
    let report = json!({"result": {"rows_affected": 9, "statements": [statement], "triggers": [],
        "warnings": [], "lock_wait_ms": null}});
    agent
        .person
        .post(&format!("/api/agent/rehearsals/{asked}/result"), &report)
        .is(200);
    let text = review(2);
    assert!(
        text.contains("A rehearsal changed 9 rows and was rolled back."),
        "{text}"
    );
    assert!(text.contains("at most 9 rows (rehearsal)"), "{text}");
    s.turn_only(3_600);
    let text = review(3);
    assert!(
        text.contains("rolled back, which may be others by now"),
        "{text}"
    );
}
