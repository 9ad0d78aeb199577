//! The document that describes the API, held against the server that serves it.

use crate::support::{SHOP, Server};
use serde_json::Value;

#[test]
fn the_document_is_public_and_every_operation_in_it_is_there() {
    let s = Server::with(SHOP);
    let document = s.nobody().get("/api/openapi.json").is(200);
    assert_eq!(document.header("content-type"), Some("application/json"));
    assert!(document.text("openapi").starts_with("3.1"));
    let paths = document.json["paths"].as_object().unwrap().clone();
    for (template, operations) in paths {
        // An id that does not exist: a known path answers something other than "no path".
        let path = template.replace(['{', '}'], "");
        for method in operations
            .as_object()
            .unwrap()
            .keys()
            .filter(|k| *k != "parameters")
        {
            for person in [s.admin(), s.agent("agent-1").person] {
                let answer = person.call(&method.to_uppercase(), &path, &[], b"");
                let message = answer.json["error"]["message"].as_str().unwrap_or_default();
                assert!(
                    !message.starts_with("no path"),
                    "{method} {path}: {message}"
                );
                assert_ne!(answer.status, 405, "{method} {path}");
            }
        }
    }
}

#[test]
fn answers_carry_what_the_document_requires_of_them() {
    let notified = "[[webhooks]]\nid = \"ops\"\nurl = \"https://hooks.example.com\"\n[[notification_policies]]\n\
                webhooks = [\"ops\"]\n[[result_policies]]\n";
    let s = Server::with(&format!("{SHOP}{notified}"));
    let request = s.requester().submit("development", "SELECT 1");
    s.agent("agent-1").run(&request.id);
    let document = s.nobody().get("/api/openapi.json").json;
    let tokens = s.admin().get("/api/tokens").is(200).list("tokens");
    let token = tokens[0]["id"].as_str().unwrap();
    for (template, path) in [
        ("/api/requests", "/api/requests".to_owned()),
        ("/api/requests/{id}", request.path("")),
        ("/api/requests/{id}/executions", request.path("/executions")),
        ("/api/results", "/api/results".to_owned()),
        ("/api/databases", "/api/databases".to_owned()),
        ("/api/me", "/api/me".to_owned()),
        ("/api/users/{id}", "/api/users/requester".to_owned()),
        ("/api/groups", "/api/groups".to_owned()),
        ("/api/groups/{name}", "/api/groups/approvers".to_owned()),
        (
            "/api/tokens/{id}/inspect",
            format!("/api/tokens/{token}/inspect"),
        ),
        ("/api/tokens", "/api/tokens".to_owned()),
        ("/api/audit/events", "/api/audit/events".to_owned()),
        ("/api/audit/verify", "/api/audit/verify".to_owned()),
        ("/api/agents", "/api/agents".to_owned()),
        ("/api/workflows", "/api/workflows".to_owned()),
        ("/api/result-policies", "/api/result-policies".to_owned()),
        (
            "/api/notification-policies",
            "/api/notification-policies".to_owned(),
        ),
        ("/api/webhooks", "/api/webhooks".to_owned()),
        ("/api/webhooks/{id}", "/api/webhooks/ops".to_owned()),
        (
            "/api/webhook-deliveries",
            "/api/webhook-deliveries".to_owned(),
        ),
        ("/api/sign-in", "/api/sign-in".to_owned()),
        ("/health", "/health".to_owned()),
        ("/ready", "/ready".to_owned()),
    ] {
        let answer = s.admin().get(&path).is(200).json;
        let content =
            &document["paths"][template]["get"]["responses"]["200"]["content"]["application/json"];
        assert!(content["schema"].is_object(), "{template} has no schema");
        let missing = missing(&document, &content["schema"], &answer, template);
        assert!(missing.is_empty(), "{missing:?}");
    }
}

/// Slack's own shapes, this document, and a part of a result have none.
#[test]
fn every_body_and_answer_has_an_example_that_fits_its_schema() {
    let document = Server::with(SHOP).nobody().get("/api/openapi.json").json;
    let mut without = Vec::new();
    let mut tried = 0;
    let mut contents = vec![(String::new(), &document)];
    while let Some((at, part)) = contents.pop() {
        for (name, inner) in part.as_object().into_iter().flatten() {
            let at = format!("{at}/{name}");
            if name == "application/json" {
                let example = &inner["example"];
                match example {
                    Value::Null => without.push(at),
                    _ => {
                        let missing = missing(&document, &inner["schema"], example, &at);
                        assert!(missing.is_empty(), "{missing:?}");
                        tried += 1;
                    }
                }
            } else if name != "example" && name != "schemas" {
                contents.push((at, inner));
            }
        }
    }
    assert!(tried > 80, "{tried}");
    without.sort();
    let get = |path: &str| format!("/paths/{path}/get/responses");
    let post = |path: &str| format!("/paths/{path}/post/responses");
    let mut known = [
        format!("{}/200/content/application/json", get("/api/openapi.json")),
        format!(
            "{}/206/content/application/json",
            get("/api/requests/{id}/result/content")
        ),
        format!(
            "{}/200/content/application/json",
            post("/api/slack/commands")
        ),
        format!(
            "{}/200/content/application/json",
            post("/api/slack/interactions")
        ),
    ];
    known.sort();
    assert_eq!(without, known);
}

/// What an agent reads is for no eye; its answers are not named here.
#[test]
fn answers_that_show_a_statement_show_it_escaped_too() {
    let s = Server::with(&format!(
        "{SHOP}[sql_review]\nhidden_characters = \"warn\"\n[audit]\nredaction = \"none\"\n"
    ));
    let document = s.nobody().get("/api/openapi.json").json;
    let mut shown = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for (field, next) in [
            ("detail", "detail_escaped"),
            ("detail_raw", "detail_raw_escaped"),
        ] {
            let answers = schema["required"].to_string().contains("\"id\"");
            if answers && schema["properties"][field].is_object() {
                assert!(schema["properties"][next].is_object(), "{name}");
                assert!(schema["required"].to_string().contains(next), "{name}");
                shown.push(name.as_str());
            }
        }
    }
    assert_eq!(shown, ["AuditEvent", "RequestHead"]);

    let lie = "SELECT 1 /* \u{202e}\r tfel ot thgir \u{1b}[2K é */";
    let honest = r"SELECT 1 /* \u{202e}\u{d} tfel ot thgir \u{1b}[2K é */";
    let long = format!("{lie}/*{}*/", "\u{200b}".repeat(300));
    let lies = s.requester().submit("production", lie);
    let more = s.requester().submit("production", &long);
    let plain = s.requester().submit("production", "SELECT 'é', 1\r\n");
    let one = |id: &str| s.admin().get(&format!("/api/requests/{id}")).is(200).json;
    let listed = s.admin().get("/api/requests").is(200).list("requests");
    let item = |id: &str| listed.iter().find(|r| r["id"] == *id).unwrap().clone();
    for request in [one(&lies.id), item(&lies.id)] {
        assert_eq!(
            (&request["detail"], &request["detail_escaped"]),
            (&lie.into(), &honest.into())
        );
    }
    for request in [one(&plain.id), item(&plain.id)] {
        assert_eq!(request["detail"], "SELECT 'é', 1\r\n");
        assert_eq!(request.get("detail_escaped"), Some(&Value::Null));
    }
    let whole = format!("{honest}/*{}*/", r"\u{200b}".repeat(300));
    assert_eq!(one(&more.id)["detail_escaped"], whole);
    let cut = item(&more.id)["detail_escaped"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        cut.len() <= 1024 + '…'.len_utf8() && cut.ends_with('…'),
        "{cut}"
    );
    assert!(whole.starts_with(cut.trim_end_matches('…')), "{cut}");
    let page = s
        .admin()
        .get("/api/audit/events?limit=100")
        .is(200)
        .list("events");
    let created = page.iter().find(|e| e["detail_raw"] == lie).unwrap();
    assert_eq!(created["detail_raw_escaped"], honest);
    let created = page
        .iter()
        .find(|e| e["detail_raw"] == "SELECT 'é', 1\r\n")
        .unwrap();
    assert_eq!(created.get("detail_raw_escaped"), Some(&Value::Null));
}

/// Required properties that are not there, and values of another type.
fn missing(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(&reference[1..]).unwrap();
        return missing(document, target, value, at);
    }
    let mut found = Vec::new();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        found.extend(missing(document, part, value, at));
    }
    let named: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is = |name: &&str| match *name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => true,
    };
    if !named.is_empty() && !named.iter().any(is) {
        found.push(format!("{at} is not a {named:?}: {value}"));
    }
    for name in schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if value.is_object() && value.get(name).is_none() {
            found.push(format!("{at}.{name} is missing"));
        }
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(inner) = value.get(name) {
            found.extend(missing(document, property, inner, &format!("{at}.{name}")));
        }
    }
    for inner in value.as_array().into_iter().flatten() {
        if schema["items"].is_object() {
            found.extend(missing(
                document,
                &schema["items"],
                inner,
                &format!("{at}[]"),
            ));
        }
    }
    found
}
