//! Who sees which requests, and how lists of them are filtered and paged.

use crate::support::{SHOP, Server};
use serde_json::json;

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";
const SELECT: &str = "SELECT id, name FROM items WHERE id = 1";

#[test]
fn people_see_their_own_and_administrators_see_all() {
    let s = Server::shop();
    let one = s.requester().submit("production", UPDATE);
    let two = s
        .person("other", &["developer"])
        .submit("production", UPDATE);
    assert_eq!(s.requester().ids(""), [one.id.as_str()]);
    assert_eq!(s.admin().ids(""), [two.id.clone(), one.id.clone()]);
    s.requester().show(&two).refused(403, "forbidden");
    s.person("other", &["developer"])
        .show(&one)
        .refused(403, "forbidden");
    s.admin().show(&one).is(200);
}

#[test]
fn approvers_see_what_they_may_decide_and_what_they_decided() {
    let s = Server::shop();
    let approver = s.approver();
    let one = s.requester().submit("production", UPDATE);
    let two = s.requester().submit("production", UPDATE);
    s.requester().submit("development", UPDATE);
    assert_eq!(approver.ids(""), [two.id.clone(), one.id.clone()]);
    assert_eq!(
        approver.ids("pending_for_me=true"),
        [two.id.clone(), one.id.clone()]
    );
    approver.show(&one).is(200);
    approver.approve(&one).is(200);
    s.requester().cancel(&two).is(200);
    assert_eq!(approver.ids(""), [one.id.as_str()]);
    assert!(approver.ids("pending_for_me=true").is_empty());
    approver.show(&one).is(200);
    approver.show(&two).refused(403, "forbidden");
}

#[test]
fn nobody_waits_for_their_own_vote() {
    let s = Server::shop();
    let approver = s.person("approver", &["developer"]);
    let own = approver.submit("production", UPDATE);
    assert!(approver.ids("pending_for_me=true").is_empty());
    assert_eq!(
        s.person("approver-two", &["readonly"])
            .ids("pending_for_me=true"),
        [own.id]
    );
}

#[test]
fn scopes_bound_what_is_seen_and_made() {
    let s = Server::with(&format!(
        "{SHOP}\n[[auth.roles]]\nname = \"dev-only\"\n\
         permissions = [\"request.create\", \"request.view\", \"request.cancel\"]\nenvironments = [\"development\"]\n\
         [[auth.roles]]\nname = \"dev-admin\"\npermissions = [\"*\"]\nenvironments = [\"development\"]\n"
    ));
    let scoped = s.person("scoped", &["dev-only"]);
    scoped
        .create("production", SELECT)
        .refused(403, "forbidden");
    let own = scoped.submit("development", UPDATE);
    let there = s.requester().submit("production", UPDATE);
    let here = s.requester().submit("development", UPDATE);
    let admin = s.person("dev-admin", &["dev-admin"]);
    assert_eq!(admin.ids(""), [here.id.clone(), own.id.clone()]);
    admin.show(&there).refused(403, "forbidden");
    admin.show(&here).is(200);
    let databases = scoped.get("/api/databases").is(200).list("databases");
    assert_eq!(
        databases,
        [json!({"database": "shop", "environment": "development"})]
    );
}

#[test]
fn lists_are_filtered_before_they_are_cut() {
    let s = Server::shop();
    let requester = s.requester();
    let other = s.person("other", &["developer"]);
    let wanted = requester.submit("production", UPDATE);
    let mut reads = Vec::new();
    for _ in 0..5 {
        other.submit("staging", UPDATE);
        reads.insert(0, requester.submit("development", SELECT).id);
    }
    let admin = s.admin();
    assert_eq!(
        admin.ids("status=pending&environment=production&limit=1"),
        [wanted.id.as_str()]
    );
    assert_eq!(
        admin.ids("user=requester&operation=execute_dml&limit=1"),
        [wanted.id.as_str()]
    );
    assert_eq!(
        admin.ids("user=requester&status=dispatched&limit=3"),
        reads[..3]
    );
    assert_eq!(admin.ids("user=nobody"), [""; 0]);
    assert_eq!(admin.ids("database=shop").len(), 11);
    assert!(admin.ids("database=other").is_empty());
    let page = admin.get("/api/requests?user=requester&limit=2").is(200);
    assert_eq!(page.json["total"], 6);
    assert_eq!(
        (&page.json["limit"], &page.json["offset"]),
        (&json!(2), &json!(0))
    );
}

#[test]
fn bad_filters_are_400() {
    let s = Server::shop();
    for query in [
        "status=open",
        "operation=select",
        "limit=-1",
        "limit=ten",
        "offset=-1",
        "offset=10001",
        "offset=1.5",
        "pending_for_me=maybe",
        "cursor=nonsense",
        "cursor=",
    ] {
        let answer = s.requester().get(&format!("/api/requests?{query}"));
        assert_eq!(answer.status, 400, "{query}: {}", answer.raw());
    }
    s.requester()
        .get("/api/requests?offset=10001")
        .saying("cursor");
    for many in ["1000", "99999999999"] {
        let page = s
            .requester()
            .get(&format!("/api/requests?limit={many}"))
            .is(200);
        assert_eq!(page.json["limit"], 100);
    }
}

#[test]
fn pages_by_cursor_and_by_offset_show_everything_once() {
    let s = Server::shop();
    let mut made: Vec<String> = (0..7)
        .map(|_| s.requester().submit("production", UPDATE).id)
        .collect();
    made.reverse();
    let (mut by_cursor, mut path) = (Vec::new(), "limit=3".to_owned());
    loop {
        let page = s.requester().get(&format!("/api/requests?{path}")).is(200);
        let items = page.list("requests");
        assert!(items.len() <= 3);
        by_cursor.extend(items.iter().map(|r| r["id"].as_str().unwrap().to_owned()));
        assert_eq!(page.json.get("total").is_none(), path.contains("cursor"));
        let Some(cursor) = page.json["next_cursor"].as_str() else {
            break;
        };
        // What is made meanwhile does not shift the pages.
        if !path.contains("cursor") {
            s.requester().submit("development", SELECT);
        }
        path = format!("limit=3&cursor={cursor}");
    }
    assert_eq!(by_cursor, made);
    let by_offset: Vec<String> = [0, 3, 6]
        .iter()
        .flat_map(|n| {
            s.requester()
                .ids(&format!("status=pending&limit=3&offset={n}"))
        })
        .collect();
    assert_eq!(by_offset, made);
}

#[test]
fn pending_for_me_pages_too() {
    let s = Server::shop();
    let mut made: Vec<String> = (0..5)
        .map(|_| s.requester().submit("production", UPDATE).id)
        .collect();
    made.reverse();
    let first = s
        .approver()
        .get("/api/requests?pending_for_me=true&limit=2")
        .is(200);
    let cursor = first.text("next_cursor");
    assert_eq!(
        s.approver()
            .ids(&format!("pending_for_me=true&limit=2&cursor={cursor}")),
        made[2..4]
    );
    assert_eq!(
        s.approver().ids("pending_for_me=true&limit=2&offset=4"),
        made[4..]
    );
}

#[test]
fn the_total_is_what_paging_finds_for_everybody() {
    let s = Server::with(&format!(
        "{SHOP}\n[[auth.roles]]\nname = \"stager\"\npermissions = [\"request.view\", \"request.create\", \
         \"request.approve\"]\nenvironments = [\"staging\"]\n\
         [[auth.roles]]\nname = \"keeper\"\npermissions = [\"*\"]\nenvironments = [\"staging\"]\n"
    ));
    let (requester, other) = (s.requester(), s.person("other", &["developer"]));
    for by in [&requester, &other] {
        for environment in ["development", "staging", "production"] {
            by.submit(environment, SELECT);
        }
        by.submit("production", UPDATE);
        let request = by.submit("staging", UPDATE);
        by.cancel(&request).is(200);
        s.approver()
            .approve(&by.submit("production", UPDATE))
            .is(200);
    }
    let approver = s.person("approver", &["developer"]);
    approver.submit("staging", SELECT);
    let people = [
        s.admin(),
        requester,
        other,
        approver,
        s.person("stager", &["stager"]),
        s.person("keeper", &["keeper", "developer"]),
        s.person("nobody-special", &["readonly"]),
    ];
    let mut seen = Vec::new();
    for person in people {
        for filter in [
            "",
            "status=pending&",
            "status=cancelled&",
            "status=approved&",
            "environment=staging&",
        ] {
            let (mut found, mut cursor) = (0, String::new());
            let total = person.get(&format!("/api/requests?{filter}limit=3")).json["total"].clone();
            loop {
                let page = person
                    .get(&format!("/api/requests?{filter}limit=3{cursor}"))
                    .is(200)
                    .json;
                found += page["requests"].as_array().unwrap().len();
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(total, found, "{} {filter}", person.subject);
            seen.push(found);
        }
    }
    // An administrator sees them all, by status and place.
    assert_eq!(seen[..5], [13, 7, 2, 2, 5]);
    let all: Vec<usize> = seen.chunks(5).map(|by_filter| by_filter[0]).collect();
    assert_eq!(all, [13, 6, 6, 9, 3, 5, 0]);
}

#[test]
fn what_somebody_has_decided_is_listed_with_their_vote() {
    let s = Server::shop();
    let (person, approver) = (s.requester(), s.approver());
    let update = "UPDATE items SET price = 2 WHERE id = 1";
    let (approved, rejected) = (
        person.submit("production", update),
        person.submit("production", update),
    );
    person.submit("production", update);
    approver.approve(&approved).is(200);
    approver.reject(&rejected).is(200);
    let path = "/api/requests?decided_by_me=true";
    let listed = approver.get(path).is(200).list("requests");
    let votes: Vec<_> = listed
        .iter()
        .map(|r| (r["id"].as_str().unwrap(), r["your_vote"]["action"].as_str()))
        .collect();
    assert_eq!(
        votes,
        [
            (rejected.id.as_str(), Some("reject")),
            (approved.id.as_str(), Some("approve"))
        ]
    );
    assert!(person.get(path).is(200).list("requests").is_empty());
    let all = s.admin().get("/api/requests").is(200).list("requests");
    assert!(all.iter().all(|r| r.get("your_vote").is_none()) && all.len() == 3);
    s.admin()
        .get(&format!("{path}&pending_for_me=true"))
        .refused(400, "validation_error");
}

#[test]
fn lists_are_for_whom_a_request_can_be_shown() {
    let auditor = "[[auth.roles]]\nname = \"auditor\"\npermissions = [\"audit.view\"]\n";
    let s = Server::with(&format!("{SHOP}{auditor}"));
    let request = s.requester().submit("production", UPDATE);
    let stranger = s.person("stranger", &["auditor"]);
    for query in ["", "?decided_by_me=true"] {
        let answer = stranger.get(&format!("/api/requests{query}"));
        answer.refused(403, "forbidden").saying("request.view");
    }
    // Everybody may ask what waits for them.
    assert!(stranger.ids("pending_for_me=true").is_empty());
    // Whom a workflow names may look, also while nothing waits for them.
    let named = s.person("approver-two", &["auditor"]);
    named.approve(&request).is(200);
    assert!(named.ids("pending_for_me=true").is_empty());
    assert_eq!(named.ids(""), [request.id]);
}

#[test]
fn what_waits_for_somebody_is_filtered_before_it_is_cut() {
    let s = Server::shop();
    let old = s.requester().submit("production", UPDATE);
    for _ in 0..3 {
        s.person("other", &["developer"])
            .submit("production", UPDATE);
    }
    let page = s
        .approver()
        .get("/api/requests?pending_for_me=true&user=requester&limit=1");
    page.is(200);
    assert_eq!(page.json["requests"][0]["id"], old.id.as_str());
    assert_eq!(page.json["total"], 1);
    assert_eq!(page.json["next_cursor"], json!(null));
}

#[test]
fn operations_are_found_by_the_words_that_submit_them() {
    let s = Server::shop();
    let write = s.requester().submit("development", UPDATE);
    let read = s.requester().submit("development", SELECT);
    for word in ["execute_query", "execute", "query"] {
        assert_eq!(
            s.admin().ids(&format!("operation={word}")),
            [read.id.as_str(), write.id.as_str()]
        );
        let created = s.events(&format!(
            "event_type=request.auto_approved&operation={word}"
        ));
        assert_eq!(created.len(), 2);
    }
    assert_eq!(s.admin().ids("operation=execute_dml"), [write.id.as_str()]);
}

#[test]
fn approvers_are_in_the_order_of_the_workflow_when_repeated() {
    let toml = SHOP.replace(
        "[[workflows.steps.approvers]]\n",
        "[[workflows.steps.approvers]]\nuser = \"zoe\"\n\n[[workflows.steps.approvers]]\n",
    );
    let s = Server::with(&toml);
    let body = json!({"database": "shop", "environment": "production", "detail": UPDATE, "idempotency_key": "k"});
    let made = s.requester().post("/api/requests", &body);
    let again = s.requester().post("/api/requests", &body);
    made.is(201);
    again.is(200);
    assert_eq!(made.json["approvers"][0], "user:zoe");
    assert_eq!(again.json["approvers"], made.json["approvers"]);
    let shown = s
        .requester()
        .get(&format!("/api/requests/{}", made.text("id")));
    assert_eq!(shown.json["next_approvers"], made.json["approvers"]);
}
