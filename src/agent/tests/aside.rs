//! What the agent does besides executions: describing its databases, and explaining statements.

use super::*;

#[test]
fn databases_are_described_at_first_and_after_their_schema_changed() {
    let (fake, place) = (Fake::start(), Place::new());
    let agent = place.agent(&fake);
    let first = fake.wait(|seen| !seen.schemas.is_empty()).schemas[0].clone();
    let described = |name: &str| first[name].clone();
    assert_eq!(
        (
            described("database"),
            described("environment"),
            described("dialect")
        ),
        (json!("app"), json!("development"), json!("sqlite"))
    );
    assert_eq!(
        (described("status"), described("error_message")),
        (json!("ready"), json!(null))
    );
    let tables = &first["snapshot"]["tables"];
    assert_eq!(
        (&tables[0]["name"], &tables[0]["estimated_rows"]),
        (&json!("t"), &json!(3))
    );
    // A write that changes no schema is not looked at, and one that fails neither.
    fake.offer(Offer::new(Operation::ExecuteDml, &["DELETE FROM t"]));
    drop(fake.wait(|seen| seen.results.len() == 1));
    fake.offer(Offer::new(Operation::ExecuteDml, &["CREATE TABLE t (a)"]));
    drop(fake.wait(|seen| seen.results.len() == 2));
    fake.offer(Offer::new(
        Operation::ExecuteDml,
        &["/* new */ create TABLE u (a)"],
    ));
    let seen = fake.wait(|seen| seen.schemas.len() == 2);
    let tables = &seen.schemas[1]["snapshot"]["tables"];
    assert_eq!(tables.as_array().unwrap().len(), 2);
    assert_eq!(tables[0]["estimated_rows"], json!(0));
    drop(seen);
    agent.stop(LONG);
}

#[test]
fn refused_description_is_sent_again_and_a_failure_is_reported() {
    let (fake, place) = (Fake::start(), Place::new());
    fake.seen().schemas_refused = Some(503);
    std::fs::remove_file(place.0.join("app.db")).unwrap();
    let agent = place.agent(&fake);
    let mut seen = fake.wait(|seen| !seen.schemas.is_empty());
    seen.schemas_refused = None;
    drop(seen);
    let seen = fake.wait(|seen| seen.schemas.len() == 2);
    assert_eq!(seen.schemas[0], seen.schemas[1]);
    let last = &seen.schemas[1];
    assert_eq!(
        (&last["status"], &last["snapshot"]),
        (&json!("failed"), &json!(null))
    );
    let message = last["error_message"].as_str().unwrap();
    assert!(message.contains("not there"), "{message}");
    drop(seen);
    agent.stop(LONG);
}

#[test]
fn server_that_wants_no_descriptions_still_gets_its_work_done() {
    let (fake, place) = (Fake::start(), Place::new());
    fake.seen().schemas_refused = Some(404);
    let agent = place.agent(&fake);
    drop(fake.wait(|seen| seen.schemas.len() == 1));
    fake.offer(Offer::new(Operation::ExecuteDml, &["CREATE TABLE u (a)"]));
    assert_eq!(fake.result()["success"], json!(true));
    agent.stop(LONG);
    assert_eq!(fake.seen().schemas.len(), 1);
}

#[test]
fn statements_are_explained_once_and_jobs_go_on_meanwhile() {
    let (fake, place) = (Fake::start(), Place::new());
    let agent = place.agent(&fake);
    let good = fake.show("DELETE FROM t WHERE id = 1");
    let bad = fake.show("SELECT * FROM missing");
    fake.offer(Offer::new(Operation::ExecuteSelect, &["SELECT 1"]));
    assert_eq!(fake.result()["success"], json!(true));
    let seen = fake.wait(|seen| seen.plans.len() == 2);
    let plan = |id: &str| {
        seen.plans
            .iter()
            .find(|(other, _)| other == id)
            .unwrap()
            .1
            .clone()
    };
    let (good_plan, bad_plan) = (plan(&good), plan(&bad));
    assert_eq!(good_plan["claim_token"], json!(format!("token of {good}")));
    assert_eq!(good_plan["error"], json!(null));
    assert_eq!(good_plan["result"][0]["detail"], json!("SCAN t"));
    assert_eq!(bad_plan["result"], json!(null));
    assert_eq!(bad_plan["error"], json!("no such table: missing"));
    assert_eq!(seen.dry_claims, 2);
    drop(seen);
    agent.stop(LONG);
    assert_eq!(place.rows(), 3);
}

#[test]
fn more_statements_than_one_poll_shows_are_explained_without_spinning() {
    let (fake, place) = (Fake::start(), Place::new());
    for _ in 0..25 {
        fake.show("SELECT * FROM t");
    }
    let agent = place.agent(&fake);
    let seen = fake.wait(|seen| seen.plans.len() == 25);
    assert_eq!(seen.dry_claims, 25);
    // Each ten of them cost a poll that takes them, and some that find them still in line.
    assert!(seen.polls.len() < 25, "{}", seen.polls.len());
    drop(seen);
    agent.stop(LONG);
}

#[test]
fn unclaimable_statement_is_left_alone_and_polls_do_not_spin() {
    let (fake, place) = (Fake::start(), Place::new());
    fake.seen().dry_claims_refused = (usize::MAX, 500);
    let agent = place.agent(&fake);
    fake.show("SELECT 1");
    let before = fake.wait(|seen| seen.dry_claims == 1).polls.len();
    let began = Instant::now();
    let seen = fake.wait(|seen| seen.polls.len() >= before + 4);
    assert!(began.elapsed() > Duration::from_millis(900));
    assert_eq!(seen.dry_claims, 1);
    drop(seen);
    agent.stop(LONG);
    assert!(fake.seen().plans.is_empty());
}

#[test]
fn stopping_waits_for_no_description_or_plan() {
    let (fake, place) = (Fake::start(), Place::new());
    fake.seen().held = true;
    let agent = place.agent(&fake);
    fake.show("SELECT * FROM t");
    drop(fake.wait(|seen| seen.plans.len() == 1 && seen.schemas.len() == 1));
    let began = Instant::now();
    agent.stop(LONG);
    assert!(began.elapsed() < Duration::from_secs(4));
}
