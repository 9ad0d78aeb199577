//! Tokens made by another implementation (see tests/oidc/make.sh), good ones and attacks, against what must come out.

use super::*;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const TOKENS: &str = include_str!("../../../tests/oidc/tokens.txt");
const KEYS: &[u8] = include_bytes!("../../../tests/oidc/keys.json");
const NEXT_KEYS: &[u8] = include_bytes!("../../../tests/oidc/next-keys.json");

/// What the tokens were made for.
const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn token(name: &str) -> &'static str {
    let found = TOKENS
        .lines()
        .find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no token {name}"))
}

fn keys() -> KeySet {
    KeySet::parse(KEYS).unwrap()
}

fn check_with(token: &str, keys: &KeySet, now: Timestamp) -> Result<JwtClaims, JwtError> {
    let rules = JwtRules {
        issuer: "https://id.example.com",
        audiences: &["dbward".to_owned()],
        groups_claim: "groups",
        subject_claim: "sub",
        name_claim: "name",
        email_claim: "email",
        claims: BTreeSet::from([
            "level",
            "realm_access.roles",
            "https://example.com/roles",
            "realm.access",
            "flag",
            "sub.x",
            "nowhere.at.all",
        ]),
    };
    verify(token, keys, &rules, now)
}

fn check(name: &str) -> Result<JwtClaims, JwtError> {
    check_with(token(name), &keys(), NOW)
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

#[test]
fn good_tokens_of_every_algorithm_count() {
    let names = TOKENS.lines().filter_map(|l| l.split(' ').next());
    let mut checked = 0;
    for name in names.filter(|n| n.starts_with("good-")) {
        let keys = if name == "good-next" {
            KeySet::parse(NEXT_KEYS).unwrap()
        } else {
            keys()
        };
        let claims = check_with(token(name), &keys, NOW);
        let claims = claims.unwrap_or_else(|e| panic!("{name}: {e:?}"));
        if !name.starts_with("good-claims") {
            assert_eq!(claims.subject, "requester", "{name}");
            assert_eq!(claims.access.groups, set(&["backend", "staff"]), "{name}");
        }
        checked += 1;
    }
    assert_eq!(checked, 14);
}

/// Every attack, and the reason for which it must fail: another reason would mean that the one rule does not hold.
const ATTACKS: &[(&str, JwtError)] = {
    use JwtError::*;
    &[
        ("none", Algorithm),
        ("None", Algorithm),
        ("no-alg", Algorithm),
        ("hmac-of-public-key", Algorithm),
        ("hmac-said-rsa", Signature),
        ("pss", Algorithm),
        ("pss-said-rsa", Signature),
        ("es512", Algorithm),
        ("lower-case", Algorithm),
        ("other-hash", Signature),
        ("key-for-other-alg", UnknownKey),
        ("ec-alg-on-rsa-key", UnknownKey),
        ("rsa-alg-on-ec-key", UnknownKey),
        ("es384-on-p256", UnknownKey),
        ("der-signature", Signature),
        ("der-signature-384", Signature),
        ("zero-signature", Signature),
        ("contradicting-key", UnknownKey),
        ("small-key", UnknownKey),
        ("encryption-key", UnknownKey),
        ("stranger", Signature),
        ("unknown-kid", UnknownKey),
        ("without-kid", UnknownKey),
        ("kid-long", Malformed),
        ("alg-list", Malformed),
        ("alg-null", Malformed),
        ("typ-number", Malformed),
        ("kid-number", Malformed),
        ("empty-signature", Signature),
        ("crit", Header),
        ("crit-empty", Header),
        ("jku", Header),
        ("jwk", Header),
        ("x5u", Header),
        ("x5c", Header),
        ("b64", Header),
        ("zip", Header),
        ("nested", Header),
        ("logout", Header),
        ("head-key-twice", Malformed),
        ("head-key-twice-escaped", Malformed),
        ("head-not-object", Malformed),
        ("head-and-more", Malformed),
        ("iss-missing", Issuer),
        ("iss-slash", Issuer),
        ("iss-case", Issuer),
        ("iss-null", Malformed),
        ("iss-list", Malformed),
        ("aud-missing", Audience),
        ("aud-other", Audience),
        ("aud-empty", Audience),
        ("aud-object", Malformed),
        ("aud-mixed", Malformed),
        ("aud-null", Malformed),
        ("aud-mixed-first", Malformed),
        ("aud-nested", Malformed),
        ("azp-other", Audience),
        ("exp-missing", Expired),
        ("exp-past", Expired),
        ("exp-text", Malformed),
        ("exp-huge", Malformed),
        ("exp-null", Malformed),
        ("exp-integer-huge", Malformed),
        ("exp-beyond-floats", Malformed),
        ("exp-negative", Malformed),
        ("nbf-future", NotYet),
        ("iat-future", NotYet),
        ("sub-missing", Subject),
        ("sub-empty", Subject),
        ("sub-number", Malformed),
        ("sub-control", Subject),
        ("sub-star", Subject),
        ("sub-system", Subject),
        ("sub-anonymous", Subject),
        ("sub-spaced", Subject),
        ("sub-spaced-wide", Subject),
        ("sub-invisible", Subject),
        ("sub-turned", Subject),
        ("sub-list", Malformed),
        ("sub-long", Subject),
        ("claim-twice", Malformed),
        ("claim-twice-deep", Malformed),
        ("claim-twice-in-list", Malformed),
        ("claim-twice-escaped", Malformed),
        ("claims-not-object", Malformed),
        ("too-long", Malformed),
    ]
};

#[test]
fn every_attack_fails_for_its_own_reason() {
    for (name, reason) in ATTACKS {
        let failed = check(&format!("attack-{name}")).err();
        assert_eq!(failed, Some(*reason), "{name}");
    }
    let made = TOKENS.lines().filter(|l| l.starts_with("attack-")).count();
    assert_eq!(made, ATTACKS.len(), "every attack that is made is checked");
}

#[test]
fn clocks_may_differ_by_thirty_seconds() {
    let timed = token("timed");
    let at = |secs: i64| check_with(timed, &keys(), Timestamp(secs * 1000)).map(|_| ());
    assert_eq!(at(1_800_000_000 - 31), Err(JwtError::NotYet));
    assert_eq!(at(1_800_000_000 - 30), Ok(()));
    assert_eq!(at(1_800_003_600 + 29), Ok(()));
    assert_eq!(at(1_800_003_600 + 30), Err(JwtError::Expired));
    let claims = check("timed").unwrap();
    assert_eq!(claims.expires_at, Timestamp(1_800_003_600_000));
}

#[test]
fn claims_are_found_by_path_and_only_strings_count() {
    let claims = check("good-claims").unwrap();
    assert_eq!(claims.subject, "approver");
    assert_eq!(claims.access.groups, set(&["single"]));
    let values = |name: &str| claims.access.values[name].clone();
    assert_eq!(values("level"), set(&["high"]));
    assert_eq!(values("realm_access.roles"), set(&["lead", "dev"]));
    assert_eq!(values("https://example.com/roles"), set(&["literal"]));
    assert_eq!(values("realm.access"), set(&["dotted"]));
    for name in ["flag", "sub.x", "nowhere.at.all"] {
        assert_eq!(values(name), set(&[]), "{name}");
    }
}

#[test]
fn subjects_and_groups_are_taken_as_they_are_written() {
    let claims = check("good-claims-email").unwrap();
    assert_eq!(claims.subject, "first.last+tag@example.com");
    // What looks like a selector or stands for everybody elsewhere is a name here, and no more.
    assert_eq!(claims.access.groups, set(&["team:backend", "a b", "*"]));
}

#[test]
fn a_token_has_one_form() {
    let good = token("good-RS256");
    let parts: Vec<&str> = good.split('.').collect();
    let [head, claims, signature] = parts[..] else {
        panic!()
    };
    let ends_otherwise = |text: &str| {
        // 256 bytes leave two bits in the last character that mean nothing; another one is another text.
        let (start, last) = text.split_at(text.len() - 1);
        let code = |c: u8| match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'-' => 62,
            _ => 63,
        };
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let other = alphabet[usize::from(code(last.as_bytes()[0]) ^ 1)];
        format!("{start}{}", other as char)
    };
    for bad in [
        format!("{head}.{claims}.{}", ends_otherwise(signature)),
        format!("{head}.{claims}.{signature}=="),
        format!("{head}=.{claims}.{signature}"),
        format!("{head}. {claims}.{signature}"),
        format!("{head}.{claims}.{signature}\n"),
        format!(" {good}"),
        format!("{good}.{signature}"),
        format!("{head}.{claims}.{signature}.a.b"),
        format!("{head}.{claims}"),
        format!(".{claims}.{signature}"),
        format!("{head}.{claims}.{}", signature.replace(['-', '_'], "+")),
        head.to_owned(),
        "..".to_owned(),
        String::new(),
        "eyJ".to_owned(),
        "é.é.é".to_owned(),
    ] {
        assert_eq!(
            check_with(&bad, &keys(), NOW).err(),
            Some(JwtError::Malformed),
            "{bad}"
        );
    }
    let without_claims = format!("{head}..{signature}");
    assert_eq!(
        check_with(&without_claims, &keys(), NOW).err(),
        Some(JwtError::Signature)
    );
}

#[test]
fn every_changed_byte_breaks_a_token() {
    let good = token("good-ES256");
    for n in 0..good.len() {
        let mut bytes = good.as_bytes().to_vec();
        bytes[n] = if bytes[n] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(check_with(&changed, &keys(), NOW).is_err(), "byte {n}");
    }
    for n in 0..good.len() {
        assert!(check_with(&good[..n], &keys(), NOW).is_err(), "cut at {n}");
    }
}

#[test]
fn after_a_rotation_only_the_new_keys_count() {
    let next = KeySet::parse(NEXT_KEYS).unwrap();
    let check = |name: &str, keys: &KeySet| check_with(token(name), keys, NOW).map(|_| ());
    assert_eq!(check("good-next", &keys()), Err(JwtError::UnknownKey));
    assert_eq!(check("good-next", &next), Ok(()));
    assert_eq!(check("good-RS256", &next), Err(JwtError::UnknownKey));
}

/// How many keys of a set with this one are kept.
fn kept(key: &str) -> usize {
    let set = KeySet::parse(format!("{{\"keys\":[{key}]}}").as_bytes());
    set.unwrap().len()
}

#[test]
fn only_rsa_signature_keys_of_good_size_are_kept() {
    assert_eq!(keys().len(), 5);
    let n =
        |front: &[u8], bytes: usize| URL_SAFE_NO_PAD.encode([front, &vec![0xff; bytes]].concat());
    let rsa = |n: String, e: &str, more: &str| {
        kept(&format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"{more}}}"#))
    };
    for (bytes, wanted) in [(255, 0), (256, 1), (1024, 1), (1025, 0)] {
        assert_eq!(rsa(n(&[], bytes), "AQAB", ""), wanted, "{bytes}");
    }
    // Some write a zero in front, as in DER; it makes no number larger.
    assert_eq!(rsa(n(&[0], 256), "AQAB", ""), 1);
    assert_eq!(rsa(n(&[0], 255), "AQAB", ""), 0);
    for e in ["", "AA", "AQAA", "AQAAAAAB", "AQAB="] {
        assert_eq!(rsa(n(&[], 256), e, ""), 0, "{e}");
    }
    for (more, wanted) in [
        (r#","use":"sig","key_ops":["sign","verify"]"#, 1),
        (r#","key_ops":["encrypt"]"#, 0),
        (r#","key_ops":"verify""#, 0),
        (r#","use":"enc""#, 0),
        (r#","alg":"PS256""#, 0),
        (r#","alg":"ES256""#, 0),
        (r#","kid":7"#, 0),
    ] {
        assert_eq!(rsa(n(&[], 256), "AQAB", more), wanted, "{more}");
    }
}

#[test]
fn only_points_of_the_right_width_are_kept() {
    let ec = |curve: &str, x: usize| {
        let part = |width: usize| URL_SAFE_NO_PAD.encode(vec![1; width]);
        let (x, y) = (part(x), part(32));
        kept(&format!(r#"{{"kty":"EC"{curve},"x":"{x}","y":"{y}"}}"#))
    };
    assert_eq!(ec(r#","crv":"P-256""#, 32), 1);
    assert_eq!(ec(r#","crv":"P-256""#, 31), 0);
    assert_eq!(ec(r#","crv":"P-384""#, 32), 0);
    assert_eq!(ec("", 32), 0);
    assert_eq!((kept("7"), kept("{}")), (0, 0));
}

#[test]
fn a_point_off_its_curve_signs_nothing() {
    let one = URL_SAFE_NO_PAD.encode([1; 32]);
    let json = format!(
        r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"ec-256","x":"{one}","y":"{one}"}}]}}"#
    );
    let keys = KeySet::parse(json.as_bytes()).unwrap();
    assert_eq!(
        check_with(token("good-ES256"), &keys, NOW).err(),
        Some(JwtError::Signature)
    );
}

#[test]
fn key_sets_are_bounded() {
    let key = r#"{"kty":"oct"}"#;
    let many = |n: usize| format!("{{\"keys\":[{}]}}", vec![key; n].join(","));
    assert_eq!(
        KeySet::parse(many(KEYS_MAX).as_bytes()).map(|s| s.len()),
        Ok(0)
    );
    assert_eq!(
        KeySet::parse(many(KEYS_MAX + 1).as_bytes()),
        Err(KeySetError::TooMany)
    );
    let padded = format!("{{\"keys\":[]}}{}", " ".repeat(KEY_SET_BYTES_MAX));
    assert_eq!(KeySet::parse(padded.as_bytes()), Err(KeySetError::TooLarge));
    for bad in ["", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]", "<html>"] {
        assert_eq!(
            KeySet::parse(bad.as_bytes()),
            Err(KeySetError::Malformed),
            "{bad}"
        );
    }
}

#[test]
fn lists_of_a_claim_are_bounded() {
    let many: Vec<String> = (0..VALUES_MAX + 50).map(|n| format!("g{n:03}")).collect();
    let long = "x".repeat(VALUE_BYTES_MAX + 1);
    let claims =
        serde_json::json!({"many": many, "odd": ["", "a\nb", long, "good", null, ["deep"]]});
    let Value::Object(claims) = claims else {
        panic!()
    };
    assert_eq!(values(&claims, "many").len(), VALUES_MAX);
    assert_eq!(values(&claims, "odd"), set(&["good"]));
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let deep = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
    assert!(strict::object(deep(100).as_bytes()).is_some());
    assert!(strict::object(deep(8_000).as_bytes()).is_none());
}
