//! Where results are kept: the keys of a bucket, where its credentials come from, and what contradicts what.

use super::super::{Config, S3Storage};
use super::{BASE, loads, refused};
use std::path::Path;

/// Every key of the example, uncommented. A bucket has keys that a folder must not have, so there is one; and secrets
/// stand there themselves, not in files as well. TLS is two files, which are not here.
pub fn uncommented(example: &str) -> String {
    let lines = example
        .lines()
        .filter(|line| !line.contains("_file = ") && *line != "#[tls]")
        // An approver is one of three.
        .filter(|line| !line.starts_with("#group = ") && !line.starts_with("#user = "))
        // A rotation or a service decides who is on call.
        .filter(|line| !line.starts_with("#service = ") && !line.starts_with("#schedule = "))
        .filter(|line| !line.contains("ON_CALL_TOKEN") && !line.contains("opsgenie.com\""))
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        });
    let text: String = lines.collect();
    text.replace("backend = \"local\"", "backend = \"s3\"")
}

/// The keys of a bucket as server.toml.example shows them.
pub fn assert_defaults(s3: Option<S3Storage>) {
    let s3 = s3.unwrap();
    assert_eq!((&*s3.bucket, &*s3.region), ("dbward", "us-east-1"));
    assert_eq!(s3.endpoint.unwrap().url(), "https://s3.example.com");
    assert!(!s3.path_style && s3.expiry_tag);
    assert_eq!(s3.prefix, "results");
}

fn with(keys: &str) -> String {
    format!(
        "state_dir = \"./state\"\n[result_storage]\nbackend = \"s3\"\naccess_key_id = \"id\"\n\
         secret_access_key = \"hush\"\n{keys}"
    )
}

fn bucket(keys: &str) -> S3Storage {
    loads(&with(keys)).result_storage.s3.unwrap()
}

/// Loads a bucket without credentials of its own, under these variables.
fn under(variables: &[(&str, &str)], keys: &str) -> Result<S3Storage, String> {
    let env = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let text = format!("state_dir = \"./state\"\n[result_storage]\nbackend = \"s3\"\n{keys}");
    Config::parse(&text, Path::new(BASE), &env)
        .map(|config| config.result_storage.s3.unwrap())
        .map_err(|problems| problems.to_string())
}

#[test]
fn a_bucket_has_defaults() {
    let s3 = bucket("");
    assert_eq!(
        (&*s3.bucket, &*s3.region, &*s3.prefix),
        ("dbward", "us-east-1", "results")
    );
    assert!(s3.endpoint.is_none() && !s3.path_style && s3.expiry_tag);
    // A store of one's own rarely has a name for every bucket.
    assert!(bucket("endpoint = \"https://s3.example.com\"").path_style);
    let named = bucket("endpoint = \"https://s3.example.com\"\npath_style = false");
    assert!(!named.path_style);
}

#[test]
fn a_secret_never_shows() {
    let config = loads(&with("session_token = \"whisper\""));
    let shown = format!("{config:?}");
    assert!(!shown.contains("hush") && !shown.contains("whisper"));
    for keys in [
        "session_token = \"whi sper\"",
        "session_token_file = \"whisper\"\nsession_token = \"whisper\"",
        "endpoint = \"https://a:whisper@s3.example.com\"",
    ] {
        let problems = refused(&with(keys)).join("\n");
        assert!(!problems.contains("hush"), "{problems}");
        assert!(!problems.contains("whi"), "{problems}");
    }
}

#[test]
fn slashes_of_a_prefix_are_put_in_order() {
    for (spanned, meant) in [("", ""), ("/", ""), ("//a//b/", "a/b"), ("a", "a")] {
        let s3 = bucket(&format!("prefix = \"{spanned}\""));
        assert_eq!(s3.prefix, meant, "{spanned}");
    }
    for wrong in ["a b", "a%2f", "..", "a/./b", "é", &"x".repeat(513)] {
        let problems = refused(&with(&format!("prefix = \"{wrong}\"")));
        assert!(
            problems[0].contains("result_storage.prefix"),
            "{problems:?}"
        );
    }
}

#[test]
fn a_bucket_stands_before_a_host_only_where_it_can() {
    let endpoint = |url: &str| format!("endpoint = \"{url}\"\npath_style = false\n");
    for keys in [
        endpoint("http://127.0.0.1:9000"),
        endpoint("https://[::1]:9000"),
        "bucket = \"a.b\"".to_owned(),
        format!("{}bucket = \"a.b\"", endpoint("https://s3.example.com")),
    ] {
        let problems = refused(&with(&keys));
        assert!(problems[0].contains("`path_style = true`"), "{problems:?}");
        let in_path = keys.replace("path_style = false\n", "") + "\npath_style = true";
        assert!(bucket(&in_path).path_style);
    }
}

#[test]
fn an_endpoint_is_encrypted_or_trusted() {
    for (url, open, trusted) in [
        ("https://s3.example.com", true, true),
        ("http://127.0.0.1:9000", true, true),
        ("http://localhost:9000/", true, true),
        ("http://s3.example.com", false, true),
        ("http://10.0.0.1", false, true),
        ("https://s3.example.com/?a", false, false),
        ("s3.example.com", false, false),
    ] {
        let text = with(&format!("endpoint = \"{url}\""));
        let loads = |text: &str| Config::parse(text, Path::new(BASE), &|_| None).is_ok();
        assert_eq!(loads(&text), open, "{url}");
        let trusting = format!("allow_private_networks = true\n{text}");
        assert_eq!(loads(&trusting), trusted, "{url}");
    }
}

#[test]
fn credentials_come_from_file_then_environment_then_the_shared_file() {
    let variables = [
        ("AWS_ACCESS_KEY_ID", "env-id"),
        ("AWS_SECRET_ACCESS_KEY", "env-secret"),
        ("AWS_SESSION_TOKEN", "env-token"),
        ("AWS_REGION", "eu-central-1"),
    ];
    let spanned = under(
        &variables,
        "access_key_id = \"id\"\nsecret_access_key = \"s\"",
    )
    .unwrap();
    assert_eq!(spanned.credentials.access_key_id, "id");
    // A token of another pair is not taken along.
    assert!(spanned.credentials.session_token.is_none());
    assert_eq!(spanned.region, "eu-central-1");
    let from_env = under(&variables, "region = \"us-west-2\"").unwrap();
    assert_eq!(from_env.credentials.access_key_id, "env-id");
    assert_eq!(
        from_env.credentials.secret_access_key.expose(),
        "env-secret"
    );
    assert_eq!(
        from_env.credentials.session_token.unwrap().expose(),
        "env-token"
    );
    assert_eq!(from_env.region, "us-west-2");

    let file = std::env::temp_dir().join(format!("dbward-profiles-{}", crate::crypto::uuid()));
    let profiles = "# ours\n[default]\naws_access_key_id = shared-id\naws_secret_access_key=a=b/c\n\n\
                    [other]\naws_access_key_id = other-id\n";
    std::fs::write(&file, profiles).unwrap();
    let path = file.to_str().unwrap();
    let shared = under(&[("AWS_SHARED_CREDENTIALS_FILE", path)], "").unwrap();
    assert_eq!(shared.credentials.access_key_id, "shared-id");
    assert_eq!(shared.credentials.secret_access_key.expose(), "a=b/c");
    for profile in ["other", "absent"] {
        let variables = [
            ("AWS_SHARED_CREDENTIALS_FILE", path),
            ("AWS_PROFILE", profile),
        ];
        let why = under(&variables, "").unwrap_err();
        assert!(
            why.contains(&format!("no access key under `[{profile}]`")),
            "{why}"
        );
    }
    std::fs::remove_file(&file).unwrap();
    let why = under(&[("AWS_SHARED_CREDENTIALS_FILE", path)], "").unwrap_err();
    assert!(why.contains("cannot read"), "{why}");
}

#[test]
fn half_a_key_and_none_are_refused_with_a_line() {
    let none = under(&[], "").unwrap_err();
    assert!(
        none.contains("server.toml:2: result_storage.access_key_id: no credentials"),
        "{none}"
    );
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        let why = under(&[(name, "x")], "").unwrap_err();
        assert!(why.contains("only one is set"), "{why}");
    }
    for (keys, wanted) in [
        (
            "access_key_id = \"a\"",
            "4: result_storage.access_key_id: without `secret_access_key`",
        ),
        (
            "secret_access_key = \"a\"",
            "4: result_storage.secret_access_key: without `access_key_id`",
        ),
        (
            "session_token = \"a\"",
            "4: result_storage.session_token: without `access_key_id`",
        ),
        (
            "access_key_id = \"a/b\"\nsecret_access_key = \"a\"",
            "the access key id is not one",
        ),
        (
            "access_key_id = \"a\"\nsecret_access_key = \"\"",
            "secret_access_key: a blank secret keeps nothing secret",
        ),
    ] {
        let why = under(&[], keys).unwrap_err();
        assert!(why.contains(wanted), "{why}");
    }
}

#[test]
fn keys_of_a_bucket_contradict_a_folder() {
    let text = "state_dir = \"./state\"\n[result_storage]\nbucket = \"a\"\npath_style = true\n\
                secret_access_key_file = \"s\"\n";
    for text in [
        text.to_owned(),
        text.replace("]\nb", "]\nbackend = \"local\"\nb"),
    ] {
        let problems = refused(&text);
        assert_eq!(problems.len(), 3, "{problems:?}");
        for problem in problems {
            assert!(
                problem.ends_with("this key counts only with `backend = \"s3\"`"),
                "{problem}"
            );
        }
    }
    // One problem, not fourteen.
    assert_eq!(
        refused(&text.replace("]\nb", "]\nbackend = \"S3\"\nb")).len(),
        1
    );
}
