//! Many who wait, few who work: long-polls cost nobody else anything, and lose nothing.

use crate::support::{ROWS, SHOP, Server, Waiting, eventually, ids};
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";
const SELECT: &str = "SELECT 1";

#[test]
fn two_hundred_long_polls_leave_sixteen_workers_to_others() {
    let s = Server::shop();
    let people: Vec<_> = (0..10)
        .map(|n| s.person(&format!("dev-{n}"), &["developer"]))
        .collect();
    let mut waiting: Vec<Waiting> = Vec::new();
    let mut requests = Vec::new();
    for person in &people {
        let request = person.submit("production", UPDATE);
        for n in 0..20 {
            let path = if n % 2 == 0 {
                "?wait=120"
            } else {
                "/result/stream"
            };
            waiting.push(person.wait(&request.path(path)));
        }
        requests.push(request);
    }
    s.until_parked(200);
    let start = Instant::now();
    for _ in 0..100 {
        s.requester().get("/api/me").is(200);
    }
    s.requester().submit("development", SELECT);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(s.parked(), 200);
    let start = Instant::now();
    for request in &requests {
        request.by.cancel(request).is(200);
    }
    for waiter in waiting {
        waiter.answer().is(200);
    }
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(s.parked(), 0);
}

#[test]
fn a_change_wakes_its_waiters_within_milliseconds_and_nobody_else() {
    let s = Server::shop();
    let one = s.requester().submit("production", UPDATE);
    let two = s.requester().submit("production", UPDATE);
    let (first, other) = (
        one.by.wait(&one.path("?wait=60")),
        two.by.wait(&two.path("?wait=60")),
    );
    s.until_parked(2);
    s.requester().cancel(&one).is(200);
    let start = Instant::now();
    first.answer().is(200);
    // Generous, for a machine that runs other tests at the same time; a poll of the database would take a second.
    assert!(
        start.elapsed() < Duration::from_millis(500),
        "{:?}",
        start.elapsed()
    );
    assert!(other.is_waiting());
    other.hang_up();
    eventually("the place is free again", || s.parked() == 0);
}

#[test]
fn no_wake_up_is_lost_between_waiting_and_finishing() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    for _ in 0..25 {
        let request = s.requester().submit("development", SELECT);
        let claim = agent.claim(&request.id);
        let waiter = {
            let request = request.clone();
            thread::spawn(move || request.by.get(&request.path("/result/stream?wait=20")))
        };
        agent.succeed(&claim.execution, ROWS).is(200);
        assert_eq!(waiter.join().unwrap().is(200).json["success"], true);
    }
}

#[test]
fn no_job_is_lost_in_race_between_polling_and_submitting() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    for _ in 0..25 {
        let waiting = agent.begin_poll(30);
        let request = s.requester().submit("development", SELECT);
        let offered = ids(&waiting.answer().is(200));
        assert_eq!(offered, [request.id.as_str()]);
        agent.run(&request.id);
    }
}

#[test]
fn twenty_agents_share_sixty_jobs_without_taking_one_twice() {
    let s = Server::shop();
    let workers: Vec<_> = (0..20)
        .map(|n| {
            let agent = s.agent(&format!("agent-{n}"));
            thread::spawn(move || {
                let mut done = 0;
                loop {
                    let offered = agent.begin_poll(30).answer();
                    if offered.status != 200 {
                        return done;
                    }
                    for id in ids(&offered) {
                        let claim = agent.try_claim(&id);
                        if claim.status == 200 {
                            agent.succeed(&claim.text("execution_id"), ROWS).is(200);
                            done += 1;
                        }
                    }
                }
            })
        })
        .collect();
    let requests: Vec<_> = (0..60)
        .map(|_| s.requester().submit("development", SELECT))
        .collect();
    for request in &requests {
        assert_eq!(
            request.by.get(&request.path("/result/stream")).is(200).json["success"],
            true
        );
    }
    let started = s.events("event_type=execution.started");
    assert_eq!(started.len(), 60);
    // Polls that still wait end when their token is revoked.
    let tokens = s
        .admin()
        .get("/api/tokens?limit=100")
        .is(200)
        .list("tokens");
    for token in tokens
        .iter()
        .filter(|t| t["subject_id"].as_str().unwrap().starts_with("agent-"))
    {
        s.admin()
            .delete(&format!("/api/tokens/{}", token["id"].as_str().unwrap()))
            .is(200);
    }
    let done: i32 = workers.into_iter().map(|w| w.join().unwrap()).sum();
    assert_eq!(done, 60);
}

#[test]
fn one_person_cannot_take_every_place_to_wait() {
    let s = Server::shop();
    let request = s.requester().submit("production", UPDATE);
    let mut waiting: Vec<Waiting> = Vec::new();
    // On their way to be parked they are calls under way, of which a token has 32.
    for parked in [32, 64] {
        waiting.extend((0..32).map(|_| request.by.wait(&request.path("?wait=60"))));
        s.until_parked(parked);
    }
    let turned_away = request.by.get(&request.path("?wait=60")).is(200);
    assert_eq!(turned_away.text("status"), "pending");
    assert!(turned_away.header("retry-after").is_some());
    waiting.push(s.approver().wait(&request.path("?wait=60")));
    s.until_parked(65);
    s.requester().cancel(&request).is(200);
    waiting.into_iter().for_each(|w| drop(w.answer()));
}

#[test]
fn a_stop_answers_everybody_who_waits() {
    let mut s = Server::shop();
    let request = s.requester().submit("production", UPDATE);
    let look = request.by.wait(&request.path("?wait=60"));
    let stream = request.by.wait(&request.path("/result/stream"));
    let poll = s
        .agent("agent-1")
        .serving(json!({"databases": ["shop"], "environments": ["staging"]}))
        .begin_poll(30);
    s.until_parked(3);
    let start = Instant::now();
    let stopping = s.stop_in_background();
    assert_eq!(look.answer().is(200).text("status"), "pending");
    stream.answer().is(204);
    assert!(poll.answer().is(200).list("jobs").is_empty());
    stopping.join().unwrap();
    // An idle server stops at once, not after its grace.
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_draining_server_takes_nothing_new_and_finishes_what_runs() {
    let mut s = Server::with(&format!("shutdown_grace_secs = 60\n{SHOP}"));
    let (requester, approver, agent) = (s.requester(), s.approver(), s.agent("agent-1"));
    let pending = requester.submit("production", UPDATE);
    let runs = requester.submit("development", SELECT);
    let next = requester.submit("development", SELECT);
    let claim = agent.claim(&runs.id);
    let nobody = s.nobody();
    let stopping = s.stop_in_background();
    eventually("draining", || nobody.get("/ready").status == 503);
    let ready = nobody.get("/ready").json;
    assert_eq!(ready["status"], "draining");
    assert_eq!(
        ready["checks"],
        json!({"sqlite": "ok", "result_store": "ok"})
    );
    nobody.get("/health").is(200);
    requester
        .create("development", SELECT)
        .refused(503, "unavailable");
    agent.try_claim(&next.id).refused(503, "unavailable");
    assert!(ids(&agent.poll()).is_empty());
    assert!(
        agent
            .begin_poll(30)
            .answer()
            .is(200)
            .list("jobs")
            .is_empty()
    );
    requester.get(&next.path("?wait=60")).is(200);
    requester.get(&next.path("/result/stream")).is(204);
    approver.approve(&pending).is(200);
    agent.heartbeat(&claim.execution).is(200);
    agent.succeed(&claim.execution, ROWS).is(200);
    stopping.join().unwrap();
}

#[test]
fn a_look_that_waits_ends_with_the_change() {
    let s = Server::shop();
    let request = s.requester().submit("production", UPDATE);
    let waiting = request.by.wait(&request.path("?wait=60"));
    s.until_parked(1);
    assert!(waiting.is_waiting());
    s.approver().approve(&request).is(200);
    assert_eq!(waiting.answer().is(200).text("status"), "approved");
}

#[test]
fn a_look_that_waits_ends_with_its_time() {
    let s = Server::shop();
    let request = s.requester().submit("production", UPDATE);
    let waiting = request.by.wait(&request.path("?wait=99999"));
    s.until_parked(1);
    s.turn_only(119);
    assert!(waiting.is_waiting());
    s.turn_only(2);
    assert_eq!(waiting.answer().is(200).text("status"), "pending");
}

#[test]
fn a_look_does_not_wait_for_what_has_an_outcome() {
    let s = Server::shop();
    let request = s.requester().submit("production", UPDATE);
    s.requester().cancel(&request).is(200);
    assert_eq!(
        request
            .by
            .get(&request.path("?wait=60"))
            .is(200)
            .text("status"),
        "cancelled"
    );
    for wait in ["-1", "soon", ""] {
        request
            .by
            .get(&request.path(&format!("?wait={wait}")))
            .refused(400, "validation_error");
    }
}
