//! Tokens of agents that are bound to databases: whatever the agent announces, it comes near nothing else.

use crate::support::{Agent, Answer, SHOP, Server, ids};
use serde_json::{Value, json};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";
const SELECT: &str = "SELECT id FROM items WHERE id = 1";

/// Two databases where everything runs at once but production, which somebody approves.
const TWO: &str = r#"
[[databases]]
name = "other"
environments = ["development", "staging"]
[[workflows]]
database = "other"
environment = "staging"
"#;

fn server() -> Server {
    Server::with(&format!("{SHOP}{TWO}"))
}

fn issue(s: &Server, subject: &str, more: Value) -> Answer {
    let mut asked =
        json!({"subject_id": subject, "subject_type": "agent", "roles": ["agent-default"]});
    for (key, value) in more.as_object().unwrap() {
        asked[key] = value.clone();
    }
    s.admin().post("/api/tokens", &asked)
}

/// The field that binds a token to these pairs.
fn to(pairs: &[(&str, &str)]) -> Value {
    let pair = |(database, environment): &(&str, &str)| json!({"database": database, "environment": environment});
    json!({"bound_to": pairs.iter().map(pair).collect::<Vec<_>>()})
}

/// An agent with a token of these fields, which announces that it serves everything.
fn bound(s: &Server, subject: &str, more: Value) -> Agent {
    let token = issue(s, subject, more).is(201).text("token");
    let everything = json!({"databases": ["*"], "environments": ["*"]});
    Agent::new(s.bearer(subject, &token)).serving(everything)
}

/// A request of the requester that waits for agents.
fn dispatched(s: &Server, database: &str, environment: &str) -> String {
    let asked = json!({"database": database, "environment": environment, "detail": SELECT});
    let answer = s.requester().post("/api/requests", &asked).is(201);
    assert_eq!(answer.text("status"), "dispatched");
    answer.text("id")
}

#[test]
fn bound_agent_is_offered_and_claims_its_own_targets_only() {
    let s = server();
    let inside = dispatched(&s, "shop", "development");
    let elsewhere = dispatched(&s, "other", "development");
    let staging = dispatched(&s, "other", "staging");
    let table = [
        (to(&[("shop", "*")]), vec![&inside]),
        (to(&[("*", "staging")]), vec![&staging]),
        (
            to(&[("shop", "development"), ("other", "development")]),
            vec![&inside, &elsewhere],
        ),
        (
            to(&[("shop", "*"), ("other", "staging")]),
            vec![&inside, &staging],
        ),
        (to(&[("*", "production")]), vec![]),
        (json!({}), vec![&inside, &elsewhere, &staging]),
        (
            json!({"bound_to": null}),
            vec![&inside, &elsewhere, &staging],
        ),
    ];
    for (n, (more, may)) in table.into_iter().enumerate() {
        let agent = bound(&s, &format!("agent-{n}"), more.clone());
        assert_eq!(
            ids(&agent.poll_with(json!({"limit": 10}))),
            may.iter().map(|id| (*id).clone()).collect::<Vec<_>>(),
            "{more}"
        );
        for id in [&inside, &elsewhere, &staging] {
            if !may.contains(&id) {
                agent
                    .try_claim(id)
                    .refused(403, "forbidden")
                    .saying("token is not for");
            }
        }
    }
    let first = bound(&s, "last", to(&[("shop", "*")]));
    first.poll();
    first.try_claim(&inside).is(200);
    // An attempt on what it is not for is audited as every refusal is.
    let refused = s.events("event_type=attempt.refused&actor_id=agent-0");
    assert_eq!(refused.len(), 2);
}

#[test]
fn another_token_of_the_same_agent_lends_it_nothing() {
    let s = server();
    let elsewhere = dispatched(&s, "other", "development");
    let narrow = bound(&s, "agent-1", to(&[("shop", "*")]));
    let wide = bound(&s, "agent-1", json!({}));
    // What the agent serves is known by its name, and the wide token has just named everything.
    wide.poll();
    narrow.try_claim(&elsewhere).refused(403, "forbidden");
    assert!(narrow.jobs().is_empty());
    assert_eq!(wide.jobs(), [elsewhere.as_str()]);
    wide.try_claim(&elsewhere).is(200);
}

#[test]
fn waiting_poll_wakes_for_its_own_targets_only() {
    let s = server();
    let narrow = bound(&s, "narrow", to(&[("other", "*")]));
    let waiting = narrow.begin_poll(30);
    s.until_parked(1);
    let wide = bound(&s, "wide", json!({}));
    let all = wide.begin_poll(30);
    s.until_parked(2);
    let inside = dispatched(&s, "shop", "development");
    assert_eq!(ids(&all.answer().is(200)), [inside.as_str()]);
    assert!(waiting.is_waiting());
    let own = dispatched(&s, "other", "development");
    assert_eq!(ids(&waiting.answer().is(200)), [own.as_str()]);
}

#[test]
fn it_explains_and_describes_only_what_its_token_is_for() {
    let s = server();
    s.requester().submit("production", UPDATE);
    let shop = bound(&s, "shop-agent", to(&[("shop", "*")]));
    let other = bound(&s, "other-agent", to(&[("other", "*")]));
    let offered = |agent: &Agent| agent.poll().list("dry_run_jobs");
    let jobs = offered(&shop);
    assert_eq!((jobs.len(), offered(&other).len()), (1, 0));
    let path = format!(
        "/api/agent/dry-run/{}/claim",
        jobs[0]["id"].as_str().unwrap()
    );
    other.person.poke(&path).refused(403, "forbidden");
    let claimed = shop.person.poke(&path).is(200);
    let reported = json!({"claim_token": claimed.json["claim_token"], "error": "no"});
    let path = path.replace("/claim", "/result");
    other
        .person
        .post(&path, &reported)
        .refused(403, "forbidden");
    let schema = |database: &str| {
        json!({
            "database": database, "environment": "development", "dialect": "postgresql", "status": "ready",
            "snapshot": {"tables": []},
        })
    };
    let sync = |agent: &Agent, database: &str| {
        agent
            .person
            .post("/api/agent/schema-sync", &schema(database))
    };
    sync(&other, "shop")
        .refused(403, "forbidden")
        .saying("token is not for");
    sync(&shop, "other").refused(403, "forbidden");
    sync(&other, "other").is(200);
}

#[test]
fn binding_is_shown_and_audited_and_bad_ones_are_refused() {
    let s = server();
    let id = issue(&s, "agent-1", to(&[("shop", "staging")]))
        .is(201)
        .text("id");
    let listed = s.admin().get("/api/tokens").is(200).list("tokens");
    let of = |id: &str| listed.iter().find(|t| t["id"] == id).unwrap()["bound_to"].clone();
    let scope = json!([{"database": "shop", "environment": "staging"}]);
    assert_eq!(of(&id), scope);
    let event = s.events("event_type=token.created").remove(0);
    let metadata: Value = serde_json::from_str(event["metadata_json"].as_str().unwrap()).unwrap();
    assert_eq!(metadata["scopes"], scope);
    let many: Vec<String> = (0..257).map(|n| format!("n{n}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|n| (n.as_str(), "staging")).collect();
    for bad in [
        to(&[]),
        to(&[("Shop", "staging")]),
        to(&[("", "*")]),
        to(&[("shop", "a b")]),
        to(&many),
        json!({"bound_to": {"database": "shop", "environment": "staging"}}),
        json!({"bound_to": [{"database": "shop"}]}),
        json!({"bound_to": [{"database": 7, "environment": "staging"}]}),
        json!({"bound_to": [{"database": "shop", "environment": "staging", "role": "x"}]}),
        json!({"bound_to": ["shop"]}),
        json!({"databases": ["shop"]}),
        json!({"scopes": [{"database": "shop", "environment": "staging"}]}),
    ] {
        issue(&s, "agent-1", bad.clone()).refused(400, "validation_error");
    }
    let person = json!({"subject_id": "somebody", "subject_type": "user", "roles": [], "bound_to": [{"database": "shop", "environment": "*"}]});
    s.admin()
        .post("/api/tokens", &person)
        .refused(400, "validation_error");
}
