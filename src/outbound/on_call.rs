//! Asks a service whose turn it is. <https://developer.pagerduty.com/api-reference> (List all of the on-calls),
//! <https://docs.opsgenie.com/docs/who-is-on-call-api>.

use super::guard::NetworkReach;
use super::http::{Http, OutboundFailure};
use crate::clock::Timestamp;
use crate::config::{Endpoint, Secret};
use crate::domain::policy::on_call::{OnCallService, ServiceKind};
use serde_json::Value;

/// Largest answer, in bytes: a hundred people with all that is known of them.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;
/// People on call at once, at most: more is not what a schedule is for, and an answer that goes on is not understood.
const PEOPLE_MAX: usize = 100;

/// Asks services. Clones share their connections, of which none is kept.
#[derive(Clone)]
pub struct OnCallApi {
    local: Http,
    others: Http,
}

/// Somebody on call: their address, and when that ends, where the service says.
pub type OnCallPerson = (String, Option<Timestamp>);

impl OnCallApi {
    /// Asks as far as `reach` goes, and this machine where the configuration names it.
    pub fn new(reach: &NetworkReach) -> OnCallApi {
        OnCallApi {
            local: Http::new(reach.of_this_machine()),
            others: Http::new(reach.clone()),
        }
    }

    /// Who is on call now.
    ///
    /// # Errors
    /// For anything but an answer that is understood whole. Neither the token nor what the service wrote is repeated.
    pub fn ask(
        &self,
        service: &OnCallService,
        token: &Secret,
    ) -> Result<Vec<OnCallPerson>, OutboundFailure> {
        let is_here = Endpoint::parse(&service.api_base_url).is_ok_and(|url| url.is_here());
        let http = match is_here {
            true => &self.local,
            false => &self.others,
        };
        let (base, schedule, token) = (&service.api_base_url, &service.schedule, token.expose());
        let (url, accept, authorization) = match service.kind {
            ServiceKind::PagerDuty => (
                format!(
                    "{base}/oncalls?schedule_ids%5B%5D={schedule}&include%5B%5D=users&limit={PEOPLE_MAX}"
                ),
                "application/vnd.pagerduty+json;version=2",
                format!("Token token={token}"),
            ),
            ServiceKind::Opsgenie => (
                format!(
                    "{base}/v2/schedules/{schedule}/on-calls?flat=true&scheduleIdentifierType=id"
                ),
                "application/json",
                format!("GenieKey {token}"),
            ),
        };
        let headers = [
            ("accept", accept.to_owned()),
            ("authorization", authorization),
        ];
        let bytes = http.get_with(&url, &headers, ANSWER_BYTES_MAX)?;
        let answer: Value = serde_json::from_slice(&bytes)
            .map_err(|_| OutboundFailure::new("the answer is not JSON"))?;
        let people = match service.kind {
            ServiceKind::PagerDuty => of_pagerduty(&answer, schedule),
            ServiceKind::Opsgenie => of_opsgenie(&answer),
        };
        people
            .filter(|people| people.len() <= PEOPLE_MAX)
            .ok_or_else(|| OutboundFailure::new("the answer does not say who is on call"))
    }

    /// Ends every call in flight, on whatever thread, and refuses further ones.
    pub fn shutdown(&self) {
        self.local.shutdown();
        self.others.shutdown();
    }
}

/// `{"oncalls": [{"user": {"email"}, "schedule": {"id"}, "end"}], "more"}`
fn of_pagerduty(answer: &Value, schedule: &str) -> Option<Vec<OnCallPerson>> {
    if answer.get("more").and_then(Value::as_bool) == Some(true) {
        return None;
    }
    let on_calls = answer.get("oncalls")?.as_array()?.iter();
    let asked = on_calls.filter(|o| o["schedule"]["id"].as_str() == Some(schedule));
    asked
        .map(|o| {
            let email = o["user"]["email"].as_str()?.to_owned();
            let until = match &o["end"] {
                Value::Null => None,
                end => Some(Timestamp::parse(end.as_str()?)?),
            };
            Some((email, until))
        })
        .collect()
}

/// `{"data": {"onCallRecipients": ["ann@example.com"]}}`
fn of_opsgenie(answer: &Value) -> Option<Vec<OnCallPerson>> {
    let people = answer.get("data")?.get("onCallRecipients")?.as_array()?;
    let person = |one: &Value| Some((one.as_str()?.to_owned(), None));
    people.iter().map(person).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pagerduty_names_people_of_the_schedule_and_when_they_end() {
        let on_call = |schedule: Value, end: Value| {
            json!({"user": {"id": "PU", "type": "user", "email": "ann@example.com"}, "schedule": schedule,
                   "escalation_level": 1, "start": "2026-01-05T08:00:00Z", "end": end})
        };
        let this = || json!({"id": "PS", "type": "schedule_reference"});
        let answer =
            |on_calls: Vec<Value>| json!({"oncalls": on_calls, "more": false, "limit": 100});
        let read = |answer: &Value| of_pagerduty(answer, "PS");
        let ann = |until| Some(vec![("ann@example.com".to_owned(), until)]);
        let end = Timestamp::parse("2026-01-12T08:00:00Z");
        for (on_calls, people) in [
            (
                vec![on_call(this(), json!("2026-01-12T09:00:00+01:00"))],
                ann(end),
            ),
            (vec![on_call(this(), Value::Null)], ann(None)),
            // Of another schedule, and of none: on call by an escalation policy alone.
            (
                vec![
                    on_call(json!({"id": "PX"}), Value::Null),
                    on_call(Value::Null, Value::Null),
                ],
                Some(vec![]),
            ),
            (vec![], Some(vec![])),
            // What is not understood is refused whole.
            (vec![on_call(this(), json!("soon"))], None),
            (
                vec![json!({"user": {"id": "PU"}, "schedule": {"id": "PS"}})],
                None,
            ),
        ] {
            assert_eq!(read(&answer(on_calls.clone())), people, "{on_calls:?}");
        }
        assert_eq!(read(&json!({"oncalls": [], "more": true})), None);
        assert_eq!(read(&json!({"error": {"code": 2006}})), None);
    }

    #[test]
    fn opsgenie_lists_addresses() {
        let answer = json!({"data": {"_parent": {"id": "S", "enabled": true}, "onCallRecipients": ["ann@example.com"]},
                            "took": 0.1, "requestId": "r"});
        let people = of_opsgenie(&answer);
        assert_eq!(people, Some(vec![("ann@example.com".to_owned(), None)]));
        assert_eq!(
            of_opsgenie(&json!({"data": {"onCallRecipients": [{"id": "x"}]}})),
            None
        );
        assert_eq!(of_opsgenie(&json!({"message": "no"})), None);
    }
}
