//! `GET /api/openapi.json`: the description of this API, written by hand and held against the table of routes.

use super::HttpContext;
use super::call::HttpResponse;
use super::replies;
use super::route::{HandlerResult, RoutedRequest};

/// The document, OpenAPI 3.1.
pub const DOCUMENT: &str = include_str!("openapi.json");

/// `GET /api/openapi.json`
pub fn document(_: &HttpContext, _: &RoutedRequest) -> HandlerResult {
    Ok(HttpResponse::with_body(200, replies::JSON, DOCUMENT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::route::{Guarded, Route};
    use crate::http::router::ROUTES;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    fn read() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    fn operations(document: &Value) -> Vec<(String, String, &Value)> {
        let paths = document["paths"].as_object().unwrap();
        paths
            .iter()
            .flat_map(|(path, item)| {
                let item = item.as_object().unwrap();
                item.iter()
                    .map(|(method, op)| (method.to_uppercase(), path.clone(), op))
            })
            .collect()
    }

    /// Routes that do something: neither pages nor what configuration manages.
    fn offered() -> Vec<&'static Route> {
        let does = |r: &&Route| !matches!(r.guarded, Guarded::Managed(_) | Guarded::Page(_));
        let found: Vec<_> = ROUTES.iter().filter(does).collect();
        assert!(found.len() > 50, "{} routes", found.len());
        found
    }

    fn operation<'d>(document: &'d Value, route: &Route) -> &'d Value {
        &document["paths"][route.path][route.method.to_lowercase()]
    }

    #[test]
    fn it_has_the_routes_there_are_and_no_others() {
        let document = read();
        let described: BTreeSet<(String, String)> = operations(&document)
            .into_iter()
            .map(|(method, path, _)| (method, path))
            .collect();
        // What only ever refuses is noise in a generated client.
        let served: BTreeSet<(String, String)> = offered()
            .iter()
            .map(|r| (r.method.to_owned(), r.path.to_owned()))
            .collect();
        assert_eq!(described, served);
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn every_operation_names_its_callers_and_answers() {
        let document = read();
        let mut ids = BTreeSet::new();
        for route in offered() {
            let op = operation(&document, route);
            let name = format!("{} {}", route.method, route.path);
            let (security, guarded) = match route.guarded {
                Guarded::Public(_) => (json!([]), false),
                Guarded::User(_) => (json!([{"userToken": []}]), true),
                Guarded::Agent(_) => (json!([{"agentToken": []}]), true),
                Guarded::Signed(_) => (json!([{"slackSignature": []}]), false),
                Guarded::Managed(_) | Guarded::Page(_) => panic!("{name} is not offered"),
            };
            assert_eq!(op["security"], security, "{name}");
            assert!(
                op["summary"].as_str().is_some_and(|s| !s.is_empty()),
                "{name}"
            );
            assert!(ids.insert(op["operationId"].as_str().unwrap()), "{name}");
            let answers = op["responses"].as_object().unwrap();
            let mut wanted = vec!["429", "500", "503"];
            wanted.extend(guarded.then_some(["401", "403"]).into_iter().flatten());
            for status in wanted {
                assert!(answers.contains_key(status), "{name}: {status}");
            }
            assert!(answers.keys().any(|s| s.starts_with('2')), "{name}");
            for (status, answer) in answers {
                let described = answer.get("$ref").is_some()
                    || answer.get("content").is_some()
                    || matches!(status.as_str(), "204" | "304");
                assert!(described, "{name}: {status}");
            }
        }
    }

    #[test]
    fn it_has_the_query_parameters_that_the_routes_know() {
        let document = read();
        for route in offered() {
            let op = operation(&document, route);
            let parameters = op["parameters"].as_array().into_iter().flatten();
            let described: BTreeSet<&str> = parameters
                .map(|p| match p["$ref"].as_str() {
                    Some(pointer) => document.pointer(&pointer[1..]).unwrap(),
                    None => p,
                })
                .filter(|p| p["in"] == "query")
                .map(|p| p["name"].as_str().unwrap())
                .collect();
            let known: BTreeSet<&str> = route.query.iter().copied().collect();
            assert_eq!(described, known, "{} {}", route.method, route.path);
        }
    }

    #[test]
    fn every_parameter_of_a_path_is_declared() {
        let document = read();
        for route in offered() {
            let op = operation(&document, route);
            let empty = Vec::new();
            let parameters: Vec<&Value> = op["parameters"]
                .as_array()
                .unwrap_or(&empty)
                .iter()
                .map(|p| match p["$ref"].as_str() {
                    Some(pointer) => document.pointer(&pointer[1..]).unwrap(),
                    None => p,
                })
                .collect();
            let declared: BTreeSet<&str> = parameters
                .iter()
                .map(|p| p["name"].as_str().unwrap())
                .collect();
            for segment in route.path.split('/') {
                if let Some(name) = segment.strip_prefix('{') {
                    let name = name.trim_end_matches('}');
                    assert!(declared.contains(name), "{}: {name}", route.path);
                }
            }
            let takes_query = parameters.iter().any(|p| p["in"] == "query");
            if takes_query || op.get("requestBody").is_some() {
                assert!(op["responses"].get("400").is_some(), "{}", route.path);
            }
        }
    }

    #[test]
    fn the_names_it_lists_are_the_ones_there_are() {
        use crate::domain::audit::{CATEGORIES, EventOutcome};
        use crate::domain::id::Operation;
        use crate::domain::permission::Permission;
        use crate::domain::request::Status;
        let document = read();
        let schemas = &document["components"]["schemas"];
        let statuses: Vec<&str> = Status::ALL.iter().map(|s| s.as_str()).collect();
        assert_eq!(schemas["Status"]["enum"], json!(statuses));
        let operations: Vec<&str> = Operation::ALL.iter().map(|o| o.as_str()).collect();
        assert_eq!(schemas["Operation"]["enum"], json!(operations));
        let deliveries = crate::store::DELIVERY_STATUSES;
        assert_eq!(schemas["DeliveryStatus"]["enum"], json!(deliveries));
        let permissions: Vec<&str> = Permission::ALL.iter().map(|p| p.as_str()).collect();
        let listed = &schemas["Role"]["properties"]["permissions"]["items"]["enum"];
        assert_eq!(*listed, json!(permissions));
        let events = &document["paths"]["/api/audit/events"]["get"]["parameters"];
        let listed = |name: &str| {
            let all = events.as_array().unwrap();
            all.iter().find(|p| p["name"] == name).unwrap()["schema"]["enum"].clone()
        };
        assert_eq!(listed("event_category"), json!(CATEGORIES));
        assert_eq!(listed("outcome"), json!(EventOutcome::NAMES));
    }

    #[test]
    fn every_reference_leads_somewhere_and_everything_is_referred_to() {
        fn gather<'d>(value: &'d Value, found: &mut BTreeSet<&'d str>) {
            match value {
                Value::Object(members) => {
                    for (name, member) in members {
                        match member.as_str() {
                            Some(pointer) if name == "$ref" => {
                                found.insert(pointer);
                            }
                            _ => gather(member, found),
                        }
                    }
                }
                Value::Array(items) => items.iter().for_each(|item| gather(item, found)),
                _ => {}
            }
        }
        let document = read();
        let mut pointers = BTreeSet::new();
        gather(&document, &mut pointers);
        assert!(pointers.len() > 50, "{}", pointers.len());
        for pointer in &pointers {
            assert!(document.pointer(&pointer[1..]).is_some(), "{pointer}");
        }
        for kind in ["schemas", "responses", "parameters"] {
            for name in document["components"][kind].as_object().unwrap().keys() {
                let pointer = format!("#/components/{kind}/{name}");
                assert!(pointers.contains(pointer.as_str()), "{pointer}");
            }
        }
    }
}
