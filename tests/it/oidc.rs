//! People of an identity provider: which tokens count, what they permit, and what happens while the provider is slow,
//! wrong or away.

mod emails;
mod provider;
mod refused;
mod subjects;

use crate::support::{Idp, Key, Person, Request, SHOP, Server, key_set};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::thread;

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";
/// Made by another implementation; see the script next to them.
const TOKENS: &str = include_str!("../oidc/tokens.txt");
const KEYS: &str = include_str!("../oidc/keys.json");
/// Who the tokens say that issued them.
const ISSUER: &str = "https://id.example.com";

const RULES: &str = r#"
groups_claim = "groups"
[[auth.oidc.role_mappings]]
claim = "realm_access.roles"
value = "db-admins"
role = "admin"
[[auth.oidc.role_mappings]]
claim = "level"
value = "high"
role = "lead"
[[auth.roles]]
name = "lead"
permissions = ["request.approve"]
[[auth.role_bindings]]
role = "developer"
groups = ["backend"]
[[auth.role_bindings]]
role = "readonly"
subjects = ["approver"]
"#;

/// A shop whose people come from `issuer`; its keys are where `keys` says.
fn toml(top: &str, issuer: &str, keys: Option<&str>) -> String {
    let keys = keys.map_or(String::new(), |url| format!("jwks_uri = \"{url}\"\n"));
    let oidc =
        format!("[auth.oidc]\nissuer_url = \"{issuer}\"\nclient_id = \"dbward\"\n{keys}{RULES}");
    format!("{SHOP}[auth]\n{top}\n{oidc}")
}

fn server(idp: &Idp) -> Server {
    Server::with(&toml("", ISSUER, Some(&format!("{}/keys", idp.url()))))
}

/// Claims of somebody that are good for an hour from now.
fn claims(s: &Server, subject: &str) -> Value {
    let now = s.clock.now().0 / 1000;
    json!({"iss": ISSUER, "aud": "dbward", "sub": subject, "iat": now, "exp": now + 3600})
}

fn with(mut claims: Value, more: Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        claims[key] = value.clone();
    }
    claims
}

fn roles(person: &Person) -> BTreeSet<String> {
    let me = person.get("/api/me").is(200);
    let names = me.list("roles");
    names
        .iter()
        .map(|r| r["name"].as_str().unwrap().to_owned())
        .collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

/// A provider with one key, a server that trusts it, and that key.
fn provided() -> (Idp, Server, Key) {
    let key = Key::new("one");
    let idp = Idp::start(&key_set(&[&key]));
    let s = server(&idp);
    (idp, s, key)
}

impl Server {
    fn signed(&self, key: &Key, claims: &Value) -> Person {
        self.bearer(
            claims["sub"].as_str().unwrap_or("nobody"),
            &key.sign(claims),
        )
    }
}

#[test]
fn valid_vectors_of_another_implementation_pass_and_attacks_fail() {
    let idp = Idp::start(KEYS);
    let s = server(&idp);
    let refusal = s.nobody().get("/api/me").is(401).json["error"]["message"].clone();
    let (mut good, mut bad) = (0, 0);
    for line in TOKENS.lines() {
        let (name, token) = line.split_once(' ').unwrap();
        // One is for other keys, and one for another time.
        if ["good-next", "timed"].contains(&name) {
            continue;
        }
        let answer = s.bearer(name, token).get("/api/me");
        if name.starts_with("good-") {
            answer.is(200);
            good += 1;
        } else {
            // The same words for all of them: nobody can probe.
            assert_eq!(answer.is(401).json["error"]["message"], refusal, "{name}");
            bad += 1;
        }
        // So many failures from one address would have to wait.
        s.minute();
    }
    assert!(good >= 13 && bad >= 80, "{good} {bad}");
    let people = s.admin().get("/api/users").is(200);
    let people = people.list("users");
    let from_there: Vec<_> = people.iter().filter(|u| u["source"] == "oidc").collect();
    assert_eq!(
        from_there.len(),
        3,
        "requester, approver and one by address: {from_there:?}"
    );
    assert_eq!(s.events("event_type=user.created").len(), 3);
}

#[test]
fn rights_come_from_claims_and_bindings_together() {
    let (_idp, s, key) = provided();
    let who = |subject: &str, more: Value| roles(&s.signed(&key, &with(claims(&s, subject), more)));
    assert_eq!(who("a", json!({})), set(&[]));
    assert_eq!(
        who("b", json!({"groups": ["backend"]})),
        set(&["developer"])
    );
    assert_eq!(
        who("c", json!({"groups": "backend", "level": "high"})),
        set(&["developer", "lead"])
    );
    assert_eq!(
        who("d", json!({"realm_access": {"roles": ["x", "db-admins"]}})),
        set(&["admin"])
    );
    assert_eq!(
        who(
            "e",
            json!({"level": ["low"], "groups": ["admin", "db-admins"]})
        ),
        set(&[])
    );
    assert_eq!(
        who("approver", json!({"level": ["high"]})),
        set(&["lead", "readonly"])
    );
    let me = s.signed(
        &key,
        &with(claims(&s, "approver"), json!({"groups": ["backend"]})),
    );
    assert_eq!(
        me.get("/api/me").is(200).json["groups"],
        json!(["approvers", "backend"])
    );
}

#[test]
fn default_role_of_the_provider_precedes_the_common_one() {
    let key = Key::new("one");
    let idp = Idp::start(&key_set(&[&key]));
    let keys = format!("{}/keys", idp.url());
    let plain = toml("default_role = \"readonly\"", ISSUER, Some(&keys));
    let s = Server::with(&plain);
    let who = |s: &Server, more: Value| roles(&s.signed(&key, &with(claims(s, "a"), more)));
    assert_eq!(who(&s, json!({})), set(&["readonly"]));
    let s = s.restart_with(&plain.replace("client_id", "default_role = \"developer\"\nclient_id"));
    assert_eq!(who(&s, json!({})), set(&["developer"]));
    assert_eq!(who(&s, json!({"level": "high"})), set(&["lead"]));
}

#[test]
fn people_of_provider_work_like_others_and_are_same_person() {
    let (idp, s, key) = provided();
    let requester = s.signed(
        &key,
        &with(
            claims(&s, "requester"),
            json!({"groups": ["backend", "approvers"]}),
        ),
    );
    let request = requester.submit("production", UPDATE).is_pending();
    requester.approve(&request).refused(403, "self_approval");
    // The same subject with a token of ours is the same person.
    s.requester()
        .approve(&request)
        .refused(403, "self_approval");
    assert_eq!(
        s.requester().show(&request).is(200).text("requester"),
        "requester"
    );
    // A group whose members the configuration lists is for the configuration to say.
    let claimed = with(claims(&s, "unlisted"), json!({"groups": ["approvers"]}));
    let unlisted = s.signed(&key, &claimed);
    assert_eq!(unlisted.get("/api/me").is(200).json["groups"], json!([]));
    unlisted.approve(&request).refused(403, "forbidden");
    assert!(unlisted.ids("pending_for_me=true").is_empty());
    // Unless it says that the claim adds people.
    let open = "members = [\"approver\"]\nfrom_claim = true";
    let s = s.restart_with(
        &toml("", ISSUER, Some(&format!("{}/keys", idp.url())))
            .replace("members = [\"approver\", \"approver-two\"]", open),
    );
    let request = Request {
        by: s.requester(),
        ..request
    };
    let lead = s.signed(
        &key,
        &with(claims(&s, "lead"), json!({"groups": ["approvers"]})),
    );
    assert_eq!(lead.approve(&request).is(200).text("status"), "approved");
    let stranger = s.signed(&key, &claims(&s, "stranger"));
    stranger.show(&request).refused(403, "forbidden");
}

#[test]
fn mode_names_peoples_credentials_and_agents_always_use_tokens() {
    let key = Key::new("one");
    let idp = Idp::start(&key_set(&[&key]));
    let keys = format!("{}/keys", idp.url());
    let mut s = Server::with(&toml("mode = \"both\"", ISSUER, Some(&keys)));
    let (person, agent) = (s.requester(), s.agent("agent-one"));
    for (mode, with_token, with_jwt) in
        [("token", 200, 401), ("oidc", 401, 200), ("both", 200, 200)]
    {
        s = s.restart_with(&toml(&format!("mode = \"{mode}\""), ISSUER, Some(&keys)));
        let jwt = s.signed(&key, &claims(&s, "a"));
        jwt.get("/api/me").is(with_jwt);
        let again = s.bearer("requester", person.token.as_deref().unwrap());
        again.get("/api/me").is(with_token);
        let agent = s.bearer("agent-one", agent.person.token.as_deref().unwrap());
        agent
            .post(
                "/api/agent/poll",
                &json!({"capabilities": {"databases": ["shop"], "environments": ["development"]}}),
            )
            .is(200);
        jwt.post("/api/agent/poll", &json!({}))
            .is(if with_jwt == 200 { 403 } else { 401 });
    }
}

#[test]
fn a_person_is_recorded_once_and_logins_once_an_hour() {
    let (_idp, s, key) = provided();
    let day = with(
        claims(&s, "newcomer"),
        json!({"exp": s.clock.now().0 / 1000 + 86_400, "groups": ["backend"]}),
    );
    let newcomer = s.signed(&key, &day);
    let created = || s.events("event_type=user.created");
    let logins = || s.events("event_type=auth.login_success");
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| newcomer.get("/api/me").is(200));
        }
    });
    assert_eq!((created().len(), logins().len()), (1, 1));
    assert_eq!(created()[0]["resource_id"], "newcomer");
    let metadata = |event: &Value| -> Value {
        serde_json::from_str(event["metadata_json"].as_str().unwrap()).unwrap()
    };
    assert_eq!(metadata(&created()[0])["source"], "oidc");
    let login = &logins()[0];
    assert_eq!(
        (&login["actor_id"], &login["outcome"]),
        (&json!("newcomer"), &json!("success"))
    );
    assert_eq!(metadata(login)["roles"], json!(["developer"]));
    s.turn(3_599);
    newcomer.get("/api/me").is(200);
    assert_eq!(logins().len(), 1);
    s.turn(1);
    newcomer.get("/api/me").is(200);
    assert_eq!((created().len(), logins().len()), (1, 2));
    s.flush();
    let people = s.admin().get("/api/users").is(200).list("users");
    let row = people.iter().find(|u| u["id"] == "newcomer").unwrap();
    assert_eq!(row["source"], "oidc");
    assert!(row["last_seen_at"].is_string());
}

#[test]
fn suspended_person_is_out_at_once_and_waits_for_nothing() {
    let (_idp, s, key) = provided();
    let person = s.signed(
        &key,
        &with(claims(&s, "newcomer"), json!({"groups": ["backend"]})),
    );
    let request = person.submit("production", UPDATE);
    let waiting = person.wait(&request.path("?wait=120"));
    s.until_parked(1);
    s.admin().poke("/api/users/newcomer/suspend").is(200);
    waiting.answer().is(401);
    person.get("/api/me").is(401);
    person.create("production", UPDATE).is(401);
    s.admin().poke("/api/users/newcomer/activate").is(200);
    person.get("/api/me").is(200);
}

#[test]
fn a_wait_ends_with_the_token() {
    let (_idp, s, key) = provided();
    let now = s.clock.now().0 / 1000;
    let short = with(
        claims(&s, "a"),
        json!({"exp": now + 60, "groups": ["backend"]}),
    );
    let person = s.signed(&key, &short);
    let request = person.submit("production", UPDATE);
    let waiting = person.wait(&request.path("?wait=120"));
    s.until_parked(1);
    // Sixty seconds, and thirty for clocks that differ.
    s.turn_only(80);
    assert!(waiting.is_waiting());
    s.turn_only(11);
    waiting.answer().is(401);
}

#[test]
fn failed_sign_in_is_counted_by_reason_without_the_token() {
    let (_idp, s, key) = provided();
    s.signed(&key, &with(claims(&s, "a"), json!({"aud": "other"})))
        .get("/api/me")
        .is(401);
    s.signed(&key, &with(claims(&s, "a"), json!({"exp": 1})))
        .get("/api/me")
        .is(401);
    s.bearer("x", "eyJ").get("/api/me").is(401);
    let page = s.inner().app().metrics.render();
    for reason in ["jwt_audience", "jwt_expired", "jwt_malformed"] {
        assert!(
            page.contains(&format!(
                "dbward_auth_failures_total{{reason=\"{reason}\"}} 1"
            )),
            "{reason}"
        );
    }
    assert!(page.contains("dbward_oidc_fetches_total{outcome=\"ok\"} 1"));
    assert!(page.contains("dbward_oidc_keys 1"));
    s.minute();
    let failures = s.events("event_type=auth.failures");
    assert_eq!(failures.len(), 1);
    assert!(!failures[0].to_string().contains("eyJ"));
}

#[test]
fn tokens_issued_by_provider_users_are_short_without_claims() {
    let key = Key::new("one");
    let idp = Idp::start(&key_set(&[&key]));
    let minter = "\n[[auth.roles]]\nname = \"minter\"\npermissions = [\"token.manage\"]\n\
                  [[auth.role_bindings]]\nrole = \"minter\"\nsubjects = [\"boss\"]\n\
                  [[auth.oidc.role_mappings]]\nclaim = \"boss\"\nvalue = \"yes\"\nrole = \"admin\"\n";
    let text = toml("", ISSUER, Some(&format!("{}/keys", idp.url())));
    let s = Server::with(&format!("{text}{minter}"));
    let more = json!({"boss": "yes", "groups": ["backend", "outside"]});
    let boss = s.signed(&key, &with(claims(&s, "boss"), more.clone()));
    assert!(roles(&boss).contains("admin"));
    let body = |roles: Value, more: Value| {
        let body = json!({"subject_id": "boss", "subject_type": "user", "roles": roles});
        with(body, more)
    };
    // Roles and groups that only the claims give are not in it.
    let chief = s.signed(&key, &with(claims(&s, "chief"), more.clone()));
    for (roles, more) in [
        (json!(["admin"]), json!({})),
        (json!(["developer"]), json!({})),
        (json!([]), json!({"groups": ["outside"]})),
    ] {
        let mut asked = body(roles, more);
        asked["subject_id"] = "chief".into();
        chief.post("/api/tokens", &asked).refused(403, "forbidden");
    }
    let answer = boss
        .post("/api/tokens", &body(json!([]), json!({})))
        .is(201);
    assert_eq!(answer.json["expires_at_inherited"], true);
    let own = s.bearer("boss", &answer.text("token"));
    assert_eq!(roles(&own), set(&["minter"]));
    // A day at most, explicit or not.
    let later = s.clock.now().plus_secs(86_400 + 60).rfc3339();
    boss.post(
        "/api/tokens",
        &body(json!([]), json!({"expires_at": later})),
    )
    .refused(400, "validation_error");
    // For others an administrator issues what is asked for.
    let agent =
        json!({"subject_id": "agent-7", "subject_type": "agent", "roles": ["agent-default"]});
    let answer = boss.post("/api/tokens", &agent).is(201);
    assert_eq!(answer.json["expires_at"], Value::Null);
    s.turn(86_399);
    own.get("/api/me").is(200);
    s.turn(2);
    own.get("/api/me").refused(401, "unauthenticated");
    // With 0 there is none.
    let none = text.replace("client_id", "minted_token_ttl_max_secs = 0\nclient_id");
    let s = s.restart_with(&format!("{none}{minter}"));
    let boss = s.signed(&key, &with(claims(&s, "boss"), more));
    boss.post("/api/tokens", &body(json!([]), json!({})))
        .refused(403, "forbidden")
        .saying("issue no tokens");
}

#[test]
fn claims_that_give_less_than_the_default_mint_no_more() {
    let key = Key::new("one");
    let idp = Idp::start(&key_set(&[&key]));
    let minter = "\n[[auth.roles]]\nname = \"minter\"\npermissions = [\"token.manage\"]\n\
                  [[auth.oidc.role_mappings]]\nclaim = \"mints\"\nvalue = \"yes\"\nrole = \"minter\"\n";
    let keys = format!("{}/keys", idp.url());
    let text = toml("default_role = \"developer\"", ISSUER, Some(&keys));
    let text = text.replace("client_id", "default_role = \"readonly\"\nclient_id");
    let s = Server::with(&format!("{text}{minter}"));
    let carl = s.signed(&key, &with(claims(&s, "carl"), json!({"mints": "yes"})));
    assert_eq!(roles(&carl), set(&["minter"]));
    for roles in [json!([]), json!(["developer"])] {
        let asked = json!({"subject_id": "carl", "subject_type": "user", "roles": roles});
        carl.post("/api/tokens", &asked).refused(403, "forbidden");
    }
}
