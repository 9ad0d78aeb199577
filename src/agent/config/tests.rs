//! agent.toml: what loads, what does not, and that everything wrong is said at once.

use super::*;

fn parse(text: &str) -> Result<AgentConfig, Problems> {
    AgentConfig::parse(text, Path::new("/base"), &|name| match name {
        "TOKEN" => Some("dbw_secret".into()),
        "EMPTY" => Some(String::new()),
        "BAD" => Some("a\"\nurl = \"http://127.0.0.1:9".into()),
        _ => None,
    })
}

const SMALL: &str = r#"
[server]
url = "http://127.0.0.1:3000"
token = "${TOKEN}"
[agent]
state_dir = "state"
[[databases]]
name = "app"
environment = "development"
driver = "sqlite"
path = "app.db"
"#;

#[test]
fn a_small_file_loads_with_defaults() {
    let config = parse(SMALL).unwrap();
    assert_eq!(config.state_dir, Path::new("/base/state"));
    assert_eq!(
        (
            config.work.poll_wait_secs,
            config.work.max_concurrent,
            config.work.drain_secs
        ),
        (25, 2, 60)
    );
    assert!(config.public_key.is_none() && config.id.is_none());
    assert!(!config.server.allow_insecure);
    assert_eq!(
        config.databases,
        [DatabaseConfig {
            target: Target::new("app", "development").unwrap(),
            driver: DriverConfig::Sqlite {
                path: "/base/app.db".into(),
                read_only: false,
            },
        }]
    );
    assert!(!format!("{config:?}").contains("secret"));
}

#[test]
fn everything_wrong_is_said_at_once() {
    let text = r#"
stray = 1
[server]
url = "http://dbward.example.com"
token = 7
public_key = "zz"
[agent]
poll_wait_secs = 26
max_concurrent = "2"
drain_secs = -1
colour = "red"
[[databases]]
name = "App"
environment = "development"
driver = "sqlite"
path = "a"
[[databases]]
name = "app"
environment = "development"
driver = "postgres"
url = "x"
[[databases]]
name = "app"
environment = "staging"
driver = "sqlite"
[[databases]]
name = "app"
environment = "staging"
driver = "sqlite"
path = "b"
read_only = 1
"#;
    let found = parse(text).unwrap_err();
    let mut keys: Vec<&str> = found.list.iter().map(|p| p.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "agent.colour",
            "agent.drain_secs",
            "agent.max_concurrent",
            "agent.poll_wait_secs",
            "agent.state_dir",
            "databases[0]",
            "databases[1].driver",
            "databases[1].url",
            "databases[2].path",
            "databases[3]",
            "databases[3].read_only",
            "server.public_key",
            "server.token",
            "stray",
        ]
    );
    let all = found.to_string();
    assert!(
        all.contains("`postgres`; this version has `sqlite`"),
        "{all}"
    );
}

#[test]
fn a_wrong_file_is_told_with_its_place() {
    let rows = [
        ("", "agent.toml:1: server: this table is required"),
        ("[server\n", "agent.toml:1: syntax"),
        ("a = 1\na = 2\n", "agent.toml:2: syntax"),
        (
            "[server]\n\ntoken = \"${NOT_SET}\"\n",
            "agent.toml:3: ${NOT_SET}: this variable is not set",
        ),
        (
            "[server]\ntoken = ${BAD}",
            "agent.toml:2: ${BAD}: the value of this variable",
        ),
        ("a = \"${TOKEN", "not closed by `}`"),
        ("a = \"${A B}\"", "not the name of a variable"),
        ("a = \"${A:-${TOKEN}}\"", "a default cannot hold a variable"),
        (
            &SMALL.replace("http://127.0.0.1:3000", "http://db.example.com"),
            "server.url: ",
        ),
        (
            &SMALL.replace("token =", "token_file = \"nowhere\"\ntoken ="),
            "both there",
        ),
        (
            &SMALL.replace("token =", "token_file ="),
            "server.token_file: ",
        ),
        (&SMALL.replace("${TOKEN}", "a b"), "server.token: "),
        (
            &SMALL.replace("[[databases]]", "[databases]"),
            "databases: a list is wanted here, not a table",
        ),
    ];
    for (text, says) in rows {
        let spanned = parse(text).unwrap_err().to_string();
        assert!(spanned.contains(says), "{text}\n{spanned}");
        assert!(
            !spanned.contains("dbw_secret") && !spanned.contains(":9"),
            "{spanned}"
        );
    }
}

#[test]
fn variables_are_values_and_comments_are_left_alone() {
    let text = SMALL
        .replace("\"state\"", "\"${DIR:-the/default}\"")
        .replace("[agent]", "  # ${NOT_SET}\n[agent]\nid = \"${EMPTY:-no}\"");
    let config = parse(&text).unwrap();
    assert_eq!(config.state_dir, Path::new("/base/the/default"));
    assert_eq!(config.id, None);
}

/// Uncomments every key of the example, and holds them against the defaults.
#[test]
fn the_example_shows_every_key_at_its_default() {
    let text = include_str!("../../../agent.toml.example");
    let all: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(key) if key.contains(" = ") && !key.starts_with("token_file") => key,
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let set = |_: &str| Some("dbw_x".to_owned());
    let shown = AgentConfig::parse(&all, Path::new("/base"), &set).unwrap();
    let plain = AgentConfig::parse(text, Path::new("/base"), &set).unwrap();
    assert_eq!(shown.public_key, plain.public_key);
    assert_eq!(shown.work, plain.work);
    assert_eq!(shown.server.allow_insecure, plain.server.allow_insecure);
    assert_eq!(shown.databases, plain.databases);
    for key in ["proxy", "id", "token_file", "read_only"] {
        assert!(text.contains(&format!("# {key} = ")), "{key} is not shown");
    }
}
