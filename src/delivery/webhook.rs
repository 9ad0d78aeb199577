//! Calls a webhook: the message in its format, signed where it has a secret.

use super::messages::{self, NotificationFacts};
use super::{Shared, asked};
use crate::clock::Timestamp;
use crate::config::{Outlets, Webhook, WebhookFormat};
use crate::crypto::{hex, hmac_sha256};
use crate::domain::delivery::{FailedAttempt, FailureKind};
use crate::store::DueDelivery;

/// Calls `webhook` once.
///
/// # Errors
/// Why the notification was not delivered.
pub(super) fn call(
    shared: &Shared,
    outlets: &Outlets,
    webhook: &Webhook,
    row: &DueDelivery,
) -> Result<(), FailedAttempt> {
    let public_url = outlets.public_url.as_deref();
    let mut facts = NotificationFacts::read(row, public_url)
        .ok_or_else(|| FailedAttempt::new(FailureKind::Refused, "the stored facts are not JSON"))?;
    if webhook.format != WebhookFormat::Generic {
        let for_slack = webhook.format == WebhookFormat::Slack;
        let people = asked::people(shared, outlets, &row.event_type, &facts, for_slack);
        facts.asked = people.map_err(|error| {
            log::error!("delivery cannot use the store: {error}");
            let why = "the server could not read who is asked";
            FailedAttempt::new(FailureKind::Rejected, why)
        })?;
    }
    let body = messages::body(webhook.format, &facts);
    let now = shared.app.clock.now();
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        ("x-dbward-event", row.event_type.clone()),
        ("x-dbward-delivery", row.id.clone()),
    ];
    if let Some(secret) = &webhook.secret {
        headers.extend(signatures(secret.expose(), now, &body));
    }
    let http = match webhook.url.is_here() {
        true => &shared.http.local,
        false => &shared.http.others,
    };
    let answer = http
        .post(webhook.url.url(), &headers, &body)
        .map_err(|why| FailedAttempt::new(FailureKind::Unreachable, why.to_string()))?;
    let wait = answer.retry_after.as_deref();
    let wait = wait.and_then(|text| retry_after_secs(text, now));
    match FailedAttempt::of_status(answer.status, wait) {
        None => Ok(()),
        Some(failure) => Err(failure),
    }
}

/// The signature that receivers of 0.1.6 check, of the body alone, and one that binds the time as well.
fn signatures(secret: &str, now: Timestamp, body: &[u8]) -> [(&'static str, String); 2] {
    let secs = now.0.div_euclid(1_000);
    let mut timed = format!("{secs}.").into_bytes();
    timed.extend_from_slice(body);
    let sign = |message: &[u8]| hex(&hmac_sha256(secret.as_bytes(), message));
    [
        ("x-dbward-signature", format!("sha256={}", sign(body))),
        (
            "x-dbward-signature-v2",
            format!("t={secs},v1={}", sign(&timed)),
        ),
    ]
}

/// Seconds that a `Retry-After` asks for: a number, or a date.
fn retry_after_secs(text: &str, now: Timestamp) -> Option<u64> {
    let text = text.trim();
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok();
    }
    let at = Timestamp::parse_http_date(text)?;
    Some(at.since(now).div_ceil(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_of_earlier_receivers_is_that_of_the_body() {
        let now = Timestamp(1_767_323_045_678);
        let [old, timed] = signatures("test-secret", now, b"hello");
        assert_eq!(
            old,
            (
                "x-dbward-signature",
                "sha256=bcc889a40667cab715e1dc22ad280692cf4bf1c3a280eeeca60d8dbcd8e4b993"
                    .to_owned()
            )
        );
        let mac = hex(&hmac_sha256(b"test-secret", b"1767323045.hello"));
        assert_eq!(timed.1, format!("t=1767323045,v1={mac}"));
    }

    #[test]
    fn a_wait_is_a_number_or_a_date() {
        let now = Timestamp::parse("2015-10-21T07:27:30Z").unwrap();
        for (text, secs) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(30)),
            ("Wed, 21 Oct 2015 07:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(retry_after_secs(text, now), secs, "{text}");
        }
    }
}
