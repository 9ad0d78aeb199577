//! agent.toml: what loads, what does not, and that all problems are reported at once.

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
            caps: Caps::default(),
        }]
    );
    let shown = format!("{:?}", (&config.server, &config.databases));
    assert!(!shown.contains("secret"));
}

#[test]
fn all_problems_are_reported_at_once() {
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
driver = "oracle"
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
            "databases[2].path",
            "databases[3]",
            "databases[3].read_only",
            "server.public_key",
            "server.token",
            "stray",
        ]
    );
    let all = found.to_string();
    assert!(all.contains("`oracle`; this program has `sqlite`"), "{all}");
}

#[test]
fn a_wrong_file_is_reported_with_its_place() {
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
    let example = include_str!("../../../agent.toml.example");
    let (text, on_a_server) = example.split_once("# A database on a server:").unwrap();
    let uncommented = |text: &str| -> String {
        let lines = text
            .lines()
            .map(|line| line.strip_prefix("# ").unwrap_or(line));
        let keys = lines.filter(|line| line.contains(" = ") || line.starts_with('['));
        keys.flat_map(|line| [line, "\n"]).collect()
    };
    let alternatives = ["url = ", "password_file = ", "ca_file = "];
    let server: String = uncommented(on_a_server)
        .lines()
        .filter(|line| alternatives.iter().all(|key| !line.starts_with(key)))
        .flat_map(|line| [line, "\n"])
        .collect();
    let all: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(key)
                if key.contains(" = ")
                    && ![
                        "token_file",
                        "ca_file",
                        "client_cert_file",
                        "client_key_file",
                    ]
                    .iter()
                    .any(|name| key.starts_with(name)) =>
            {
                key
            }
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
    let both = AgentConfig::parse(&format!("{text}{server}"), Path::new("/base"), &set).unwrap();
    let DriverConfig::Postgres(endpoint) = &both.databases[1].driver else {
        panic!("{:?}", both.databases);
    };
    assert_eq!(
        (endpoint.tls, endpoint.port, endpoint.lock_timeout_secs),
        (Tls::VerifyFull, 5432, 5)
    );
    for key in ["proxy", "id", "token_file", "ca_file", "read_only", "deny"] {
        assert!(text.contains(&format!("# {key} = ")), "{key} is not shown");
    }
}

#[test]
fn a_file_of_the_old_agent_loads_unchanged() {
    let old = r#"
agent_id = "agent-1"
poll_interval_ms = 1000
max_concurrent = 4
[server]
url = "http://127.0.0.1:3000"
agent_token = "${TOKEN}"
[schema_sync] # at start
enabled = true
sync_on_startup = true
interval_secs = 0
[databases.app.development]
url = "postgres://me:secret@127.0.0.1/app"
[databases."app".staging]
driver = "mysql"
host = "127.0.0.1"
database = "app"
password = "p"
"#;
    let config = parse(old).unwrap();
    assert_eq!(config.state_dir, Path::new("/base/agent-state"));
    assert_eq!(config.work.max_concurrent, 4);
    let targets: Vec<String> = config
        .databases
        .iter()
        .map(|d| d.target.to_string())
        .collect();
    assert_eq!(targets, ["app/development", "app/staging"]);
    let dialects: Vec<Dialect> = config
        .databases
        .iter()
        .map(|d| d.driver.dialect())
        .collect();
    assert_eq!(dialects, [Dialect::Postgres, Dialect::MySql]);
    // Problems keep their lines.
    let wrong = old.replace(
        "[databases.app.development]\nurl",
        "[databases.app.development]\nuri",
    );
    let problems = parse(&wrong).unwrap_err().to_string();
    assert!(problems.contains("agent.toml:13: "), "{problems}");
}

#[test]
fn caps_are_read_and_bounded() {
    let caps = |keys: &str| {
        parse(&format!("{SMALL}{keys}")).map(|config| config.databases[0].caps.clone())
    };
    let read = caps(
        "deny = [\"drop table\"]\nmax_rows = 5\nmax_result_bytes = 1000\nmax_statement_secs = 3",
    )
    .unwrap();
    let expected = Caps {
        deny: vec!["drop table".to_owned()],
        max_rows: 5,
        max_result_bytes: 1000,
        max_statement_secs: 3,
    };
    assert_eq!(read, expected);
    for keys in [
        "max_rows = 10001",
        "max_rows = 0",
        "max_result_bytes = 99999999",
        "max_statement_secs = 86401",
    ] {
        let problems = caps(keys).unwrap_err().to_string();
        assert!(problems.contains("is not from"), "{keys}: {problems}");
    }
}

#[test]
fn authorities_of_the_server_are_read_at_once() {
    let text = SMALL.replace("token =", "ca_file = \"nowhere.pem\"\ntoken =");
    let problems = parse(&text).unwrap_err().to_string();
    assert!(
        problems.contains("does not hold certificates"),
        "{problems}"
    );
}

fn server(keys: &str) -> Result<DatabaseEndpoint, Problems> {
    let text = SMALL.replace("driver = \"sqlite\"\npath = \"app.db\"", keys);
    let config = parse(&text)?;
    match config
        .databases
        .into_iter()
        .next()
        .map(|database| database.driver)
    {
        Some(DriverConfig::Postgres(endpoint) | DriverConfig::MySql(endpoint)) => Ok(endpoint),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_url_is_read_part_by_part() {
    let url = |url: &str| server(&format!("driver = \"postgresql\"\nurl = \"{url}\""));
    let full = url("postgres://me:p%40ss%FF@db.example.com:6543/my%20db?sslmode=require").unwrap();
    assert_eq!(
        (full.host.as_str(), full.port, full.user.as_str()),
        ("db.example.com", 6543, "me")
    );
    assert_eq!(full.database, "my db");
    assert_eq!(full.password, Some(Password(b"p@ss\xff".to_vec())));
    assert_eq!(full.tls, Tls::Require);
    assert_eq!(format!("{:?}", full.password), "Some(***)");
    let local = url("postgresql://[::1]/db").unwrap();
    assert_eq!(
        (local.host.as_str(), local.port, local.tls),
        ("::1", 5432, Tls::Off)
    );
    assert_eq!(
        url("postgres://far.example.com/db").unwrap().tls,
        Tls::VerifyFull
    );
    for bad in [
        "mysql://a/b",
        "postgres://h:99999/db",
        "postgres://h/db?sslrootcert=x",
        "nonsense",
        "postgres://me:secret@h",
    ] {
        let spanned = url(bad).unwrap_err().to_string();
        assert!(
            spanned.contains("databases[0].url") && !spanned.contains("secret"),
            "{bad}: {spanned}"
        );
    }
}

#[test]
fn password_that_driver_cannot_take_is_named_at_the_start() {
    let folder = std::env::temp_dir().join(format!("dbward-password-{}", std::process::id()));
    std::fs::write(&folder, b"p\xff\n").unwrap();
    let file = format!(
        "host = \"h\"\ndatabase = \"d\"\npassword_file = {:?}",
        folder.to_str().unwrap()
    );
    let mysql = server(&format!("driver = \"mysql\"\n{file}"))
        .unwrap_err()
        .to_string();
    let postgres = server(&format!("driver = \"postgresql\"\n{file}")).unwrap();
    std::fs::remove_file(&folder).unwrap();
    assert!(
        mysql.contains("databases[0].password_file") && mysql.contains("is not UTF-8"),
        "{mysql}"
    );
    assert_eq!(postgres.password, Some(Password(b"p\xff".to_vec())));
    let url = server("driver = \"mysql\"\nurl = \"mysql://me:p%FF@h/d\"")
        .unwrap_err()
        .to_string();
    assert!(
        url.contains("databases[0].url") && url.contains("is not UTF-8"),
        "{url}"
    );
}

#[test]
fn keys_of_a_server_are_checked_together() {
    let ok = server("driver = \"mysql\"\nhost = \"127.0.0.1\"\ndatabase = \"d\"\npassword = \"p\"")
        .unwrap();
    assert_eq!(
        (ok.port, ok.user.as_str(), ok.tls, ok.lock_timeout_secs),
        (3306, "root", Tls::Off, 3600)
    );
    let far = server("driver = \"mysql\"\nhost = \"db.example.com\"\ndatabase = \"d\"").unwrap();
    assert_eq!(far.tls, Tls::VerifyFull);
    for (keys, says) in [
        ("driver = \"mysql\"", "databases[0].host"),
        ("driver = \"mysql\"\nhost = \"h\"", "databases[0].database"),
        (
            "driver = \"mysql\"\nurl = \"mysql://h/d\"\nhost = \"h\"",
            "use one of the two",
        ),
        (
            "driver = \"mysql\"\nurl = \"mysql://h/d\"\npath = \"x\"",
            "of the driver `sqlite`",
        ),
        (
            "driver = \"mysql\"\nurl = \"mysql://h/d\"\nlock_timeout_secs = 0",
            "lock_timeout_secs",
        ),
        (
            "driver = \"mysql\"\nurl = \"mysql://h/d\"\ntls = \"maybe\"",
            "databases[0].tls",
        ),
        (
            "driver = \"sqlite\"\npath = \"x\"\nhost = \"h\"",
            "of a database server",
        ),
        (
            "driver = \"mysql\"\nurl = \"mysql://h/d\"\npassword_file = \"/not/there\"",
            "cannot be read",
        ),
    ] {
        let spanned = server(keys).unwrap_err().to_string();
        assert!(spanned.contains(says), "{keys}: {spanned}");
    }
}
