//! What a token binds, claim by claim, and that existing agents still find what they look for.

use super::*;

const DETAIL: &str = "SELECT 1";
const NOW: Timestamp = Timestamp(1_767_225_600_000);

fn key() -> Keypair {
    Keypair::from_seed([7; 32])
}

fn claims() -> ExecutionClaims {
    ExecutionClaims {
        request_id: "5f6d7c1e-0000-4000-8000-000000000001".into(),
        execution_id: "5f6d7c1e-0000-4000-8000-000000000002".into(),
        operation: Operation::ExecuteSelect,
        database: "app".into(),
        environment: "production".into(),
        detail_hash: detail_hash(None, Operation::ExecuteSelect, DETAIL),
        issued_at: NOW,
        expires_at: NOW.plus_secs(TTL_SECS),
        requester_role: "unknown".into(),
        requester_subject_id: "requester".into(),
        agent_id: "agent-1".into(),
        statement_timeout_secs: 30,
        max_rows: Some(100),
        max_affected_rows: None,
        lock_timeout_secs: 5,
        policy_version: "ab12".into(),
        dialect: DialectFact::Known(Dialect::Sqlite),
        epoch: 0,
    }
}

fn check(
    token: &str,
    claims: &ExecutionClaims,
    now: Timestamp,
) -> Result<ExecutionClaims, TokenError> {
    let expected = Expected {
        request_id: &claims.request_id,
        execution_id: &claims.execution_id,
        operation: claims.operation,
        database: &claims.database,
        environment: &claims.environment,
        detail_hash: &claims.detail_hash,
        agent_id: &claims.agent_id,
        dialect: Dialect::Sqlite,
    };
    verify(token, &key().public(), now, &expected)
}

#[test]
fn what_was_signed_is_read_back() {
    for max in [None, Some(0), Some(u64::MAX)] {
        let mut c = claims();
        c.max_rows = max;
        c.max_affected_rows = max;
        c.statement_timeout_secs = u64::MAX;
        assert_eq!(check(&sign(&c, &key()), &c, NOW), Ok(c));
    }
}

#[test]
fn epoch_is_bound_and_its_absence_changes_nothing() {
    let without = sign(&claims(), &key());
    assert!(!without.contains("epoch"), "{without}");
    let mut with = claims();
    with.epoch = 7;
    let token = sign(&with, &key());
    assert_eq!(check(&token, &with, NOW).unwrap().epoch, 7);
    for altered in ["\"epoch\":8,", ""] {
        let altered = token.replace("\"epoch\":7,", altered);
        assert_ne!(altered, token);
        assert_eq!(check(&altered, &with, NOW), Err(TokenError::BadSignature));
    }
    // What existing agents verify does not know of it.
    let signature = |token: &str| {
        let value: Value = serde_json::from_str(token).unwrap();
        value["signature"].clone()
    };
    assert_eq!(signature(&token), signature(&without));
}

#[test]
fn a_token_with_any_claim_altered_is_refused() {
    let token = sign(&claims(), &key());
    let alterations = [
        ("request_id", "\"5f6d7c1e-0000-4000-8000-000000000009\""),
        ("execution_id", "\"5f6d7c1e-0000-4000-8000-000000000009\""),
        ("operation", "\"execute_dml\""),
        ("database", "\"apq\""),
        ("environment", "\"development\""),
        ("detail_hash", "\"00\""),
        ("issued_at", "\"2025-12-31T23:59:59.999+00:00\""),
        ("issued_at", "\"2026-01-01T00:00:00.000Z\""),
        ("expires_at", "\"2036-01-01T00:05:00.000+00:00\""),
        ("requester_role", "\"admin\""),
        ("requester_subject_id", "\"approver\""),
        ("agent_id", "\"agent-2\""),
        ("statement_timeout_secs", "0"),
        ("max_rows", "101"),
        ("max_rows", "null"),
        ("max_affected_rows", "0"),
        ("lock_timeout_secs", "3600"),
        ("policy_version", "\"\""),
        ("dialect", "\"any\""),
        ("dialect", "\"mysql\""),
    ];
    let names: std::collections::BTreeSet<&str> =
        alterations.iter().map(|(name, _)| *name).collect();
    let object: serde_json::Map<String, Value> = serde_json::from_str(&token).unwrap();
    for name in object.keys().filter(|n| !n.starts_with("signature")) {
        assert!(names.contains(name.as_str()), "{name} is not tried");
    }
    for (name, value) in alterations {
        let mut object = object.clone();
        object.insert(name.into(), serde_json::from_str(value).unwrap());
        let altered = serde_json::to_string(&object).unwrap();
        assert_eq!(
            check(&altered, &claims(), NOW),
            Err(TokenError::BadSignature),
            "{name} = {value}"
        );
    }
}

#[test]
fn a_good_token_for_something_else_is_refused() {
    type Change = fn(&mut ExecutionClaims);
    let changes: [(&str, Change); 9] = [
        ("request_id", |c| c.request_id = "other".into()),
        ("execution_id", |c| c.execution_id = "other".into()),
        ("operation", |c| c.operation = Operation::ExecuteDml),
        ("database", |c| c.database = "other".into()),
        ("environment", |c| c.environment = "other".into()),
        ("detail_hash", |c| c.detail_hash = "other".into()),
        ("agent_id", |c| c.agent_id = "other".into()),
        ("dialect", |c| {
            c.dialect = DialectFact::Known(Dialect::Postgres);
        }),
        ("dialect", |c| c.dialect = DialectFact::Unknown),
    ];
    for (name, change) in changes {
        let mut other = claims();
        change(&mut other);
        assert_eq!(
            check(&sign(&other, &key()), &claims(), NOW),
            Err(TokenError::Mismatch(name))
        );
    }
}

#[test]
fn fields_cannot_flow_into_each_other() {
    let (mut a, mut b) = (claims(), claims());
    (a.requester_role, a.requester_subject_id) = ("ab".into(), "c".into());
    (b.requester_role, b.requester_subject_id) = ("a".into(), "bc".into());
    let message = |c: &ExecutionClaims| bound_message(c, "", "");
    assert_ne!(message(&a), message(&b));
}

#[test]
fn a_token_is_good_until_its_last_millisecond() {
    let token = sign(&claims(), &key());
    let last = claims().expires_at;
    assert!(check(&token, &claims(), last).is_ok());
    assert_eq!(
        check(&token, &claims(), Timestamp(last.0 + 1)),
        Err(TokenError::Expired)
    );
}

#[test]
fn another_key_an_old_token_and_rubbish_are_refused() {
    let c = claims();
    let foreign = sign(&c, &Keypair::from_seed([8; 32]));
    assert_eq!(check(&foreign, &c, NOW), Err(TokenError::BadSignature));

    let good = sign(&c, &key());
    let mut old: serde_json::Map<String, Value> = serde_json::from_str(&good).unwrap();
    old.remove("signature_v2");
    let old = serde_json::to_string(&old).unwrap();
    assert_eq!(check(&old, &c, NOW), Err(TokenError::Unbound));

    let twice = good.replacen('{', "{\"database\":\"app\",", 1);
    let long = format!("{good}{}", " ".repeat(TOKEN_BYTES_MAX));
    for text in [
        "",
        "{}",
        "[]",
        "null",
        &twice,
        &long,
        &good[..good.len() - 1],
    ] {
        assert_eq!(check(text, &c, NOW), Err(TokenError::Malformed), "{text}");
    }
}

/// The message is written out here a second time, as existing agents build it.
#[test]
fn existing_agents_find_their_signature() {
    let c = claims();
    let token: Value = serde_json::from_str(&sign(&c, &key())).unwrap();
    let text = |name: &str| token[name].as_str().unwrap().to_owned();
    let message = format!(
        "{}|execute_select|production|app|{}|2026-01-01T00:05:00.000+00:00|unknown|requester",
        c.request_id,
        sha256_hex(b"SELECT 1"),
    );
    assert!(
        key()
            .public()
            .verifies(message.as_bytes(), &text("signature"))
    );
    assert_eq!(text("issued_at"), "2026-01-01T00:00:00.000+00:00");
}

/// The message is written out here a second time, so that agents of every version build the same.
#[test]
fn second_signature_covers_every_claim_with_its_length() {
    let field = |text: &str| [&(text.len() as u64).to_be_bytes(), text.as_bytes()].concat();
    let mut c = claims();
    let hash = c.detail_hash.clone();
    for epoch in [0, 7] {
        c.epoch = epoch;
        let mut fields = vec![
            "5f6d7c1e-0000-4000-8000-000000000001",
            "5f6d7c1e-0000-4000-8000-000000000002",
            "execute_select",
            "app",
            "production",
            &hash,
            "2026-01-01T00:00:00.000+00:00",
            "2026-01-01T00:05:00.000+00:00",
            "unknown",
            "requester",
            "agent-1",
            "30",
            "100",
            "",
            "5",
            "ab12",
            "sqlite",
        ];
        fields.extend((epoch > 0).then_some("7"));
        let mut message = b"dbward/execution-token/v2\n".to_vec();
        message.extend(fields.into_iter().flat_map(field));
        let token: Value = serde_json::from_str(&sign(&c, &key())).unwrap();
        let signature = token["signature_v2"].as_str().unwrap();
        assert!(key().public().verifies(&message, signature), "{epoch}");
    }
}

#[test]
fn token_of_largest_size_is_read_and_no_larger_one() {
    assert_eq!(TOKEN_BYTES_MAX, 16_384);
    let token = sign(&claims(), &key());
    let largest = format!("{token:<TOKEN_BYTES_MAX$}");
    assert_eq!(check(&largest, &claims(), NOW), Ok(claims()));
    let larger = format!("{largest} ");
    assert_eq!(check(&larger, &claims(), NOW), Err(TokenError::Malformed));
}

#[test]
fn refusals_say_what_is_wrong_without_the_token() {
    let table = [
        (TokenError::Malformed, "the token is malformed"),
        (TokenError::Unbound, "the token has no `signature_v2`"),
        (TokenError::BadSignature, "the signature does not match"),
        (TokenError::Expired, "the token has expired"),
        (
            TokenError::Mismatch("database"),
            "the token was issued for another `database`",
        ),
    ];
    for (error, text) in table {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn the_hash_covers_the_plan_else_the_detail() {
    let of = |text: &str| sha256_hex(text.as_bytes());
    let spaced = "{ \"b\": [1, {\"z\":null,\"a\":true}], \"a\": \"é\\u00e9\\n\", \"n\": 1.50 }";
    let sorted = "{\"a\":\"éé\\n\",\"b\":[1,{\"a\":true,\"z\":null}],\"n\":1.5}";
    let rows = [
        (Some("[\"a\"]"), Operation::ExecuteDml, "b", of("[\"a\"]")),
        (None, Operation::ExecuteDml, spaced, of(spaced)),
        (None, Operation::MigrateUp, spaced, of(sorted)),
        (None, Operation::MigrateDown, spaced, of(sorted)),
        (None, Operation::MigrateRepair, spaced, of(sorted)),
        (None, Operation::MigrateStatus, "", of("")),
        (None, Operation::MigrateUp, "{not json", of("{not json")),
        (
            None,
            Operation::MigrateUp,
            "[18446744073709551615, -9223372036854775808]",
            of("[18446744073709551615,-9223372036854775808]"),
        ),
        (Some(spaced), Operation::MigrateUp, "b", of(spaced)),
    ];
    for (plan, operation, detail, hash) in rows {
        assert_eq!(detail_hash(plan, operation, detail), hash, "{detail}");
    }
}
