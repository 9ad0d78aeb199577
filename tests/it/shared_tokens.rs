//! Several agents with one token: each claims and reports what its own poll offered.

use crate::support::{Agent, SHOP, Server};
use serde_json::json;

const SELECT: &str = "select id from items where id = 1";

const OTHER: &str = "\n[[databases]]\nname = \"other\"\nenvironments = [\"development\"]\n";

fn server() -> Server {
    Server::with(&format!("{SHOP}{OTHER}"))
}

fn serving(agent: &Agent, database: &str) -> Agent {
    let capabilities = json!({"databases": [database], "environments": ["development"]});
    agent.clone().serving(capabilities)
}

#[test]
fn what_one_serves_is_not_undone_by_poll_of_another() {
    let s = server();
    let both = s.agent("agent-1");
    let (one, two) = (serving(&both, "shop"), serving(&both, "other"));
    let read = s.requester().submit("development", SELECT);
    assert_eq!(one.jobs(), std::slice::from_ref(&read.id));
    assert!(two.jobs().is_empty());
    let synced = json!({
        "database": "shop", "environment": "development", "status": "ready", "dialect": "postgresql",
        "snapshot": {"tables": []},
    });
    let sync = || one.person.post("/api/agent/schema-sync", &synced);
    sync().is(200);
    one.try_claim(&read.id).is(200);
    let shown = s.admin().get("/api/agents").is(200);
    let databases = &shown.json["agents"][0]["capabilities"]["databases"];
    assert_eq!(databases.as_array().unwrap().len(), 2, "{databases}");
    // What nobody polled with for a minute is served no more.
    let read = s.requester().submit("development", SELECT);
    for _ in 0..4 {
        s.turn(20);
        two.poll();
    }
    one.try_claim(&read.id)
        .refused(403, "forbidden")
        .saying("does not serve shop");
    sync().refused(403, "forbidden");
}

#[test]
fn claim_goes_by_the_features_of_who_can_hold_it() {
    let s = server();
    let agent = s.agent("agent-1");
    let more = json!({"max_affected_rows": 5});
    let update = "UPDATE items SET price = 2 WHERE id = 1";
    let bounded = s.requester().submit_with("development", update, more);
    agent.poll_with(json!({"features": ["row_bound"]})).is(200);
    agent.poll();
    let claimed = agent.try_claim(&bounded.id).is(200);
    assert!(
        claimed.raw().contains("max_affected_rows"),
        "{}",
        claimed.raw()
    );
}

#[test]
fn only_so_many_reports_of_one_token_are_remembered() {
    let s = server();
    let agent = s.agent("agent-1");
    let read = s.requester().submit("development", SELECT);
    serving(&agent, "shop").poll();
    for n in 0..16 {
        serving(&agent, &format!("other-{n}")).poll();
    }
    agent.try_claim(&read.id).refused(403, "forbidden");
    serving(&agent, "shop").poll();
    for n in 0..15 {
        serving(&agent, &format!("other-{n}")).poll();
    }
    agent.try_claim(&read.id).is(200);
}
