//! Claims about single values: variables, address ranges, secrets.

use super::{env, loads, refused, warnings};
use crate::config::raw::PROXIES_MAX;
use crate::config::{Cidr, Config, ID_BYTES_MAX};
use crate::domain::id::Selector;
use crate::settings::expand;
use crate::settings::{FILE_BYTES_MAX, SECRET_BYTES_MAX, Secret};
use std::path::Path;

#[test]
fn variables_expand_in_values_of_every_kind() {
    let config = loads(
        "state_dir = '${DIR}/state'\nworkers = ${NUMBER}\n\
         shutdown_grace_secs = ${UNSET:-7}\nlisten = \"${UNSET:-0.0.0.0:80}\"",
    );
    assert_eq!(config.state_dir, Path::new("/data/state"));
    assert_eq!(
        (config.process.workers, config.process.shutdown_grace_secs),
        (4, 7)
    );
    assert_eq!(config.listen.to_string(), "0.0.0.0:80");
}

#[test]
fn expansion_follows_strings_and_comments() {
    let cases = [
        ("a = \"${QUOTED}\"", r#"a = "a\"b'c\\d""#),
        ("a = \"x\\\"${NUMBER}\"", "a = \"x\\\"4\""),
        ("a = \"\\\\\" # ${UNSET}", "a = \"\\\\\" # ${UNSET}"),
        ("a = '\\' # ${UNSET}", "a = '\\' # ${UNSET}"),
        (
            "a = \"\"\"\n\"${QUOTED}\"\"\"\"\nb = ${NUMBER}",
            "a = \"\"\"\n\"a\\\"b'c\\\\d\"\"\"\"\nb = 4",
        ),
        ("a = '''${DIR}''''\nb=${FLAG}", "a = '''/data''''\nb=true"),
        ("a = \"${AGAIN}\"", "a = \"${NUMBER}\""),
        ("a = \"${EMPTY:-x}$ {NUMBER}\"", "a = \"$ {NUMBER}\""),
        ("a = \"#${NUMBER}\"", "a = \"#4\""),
        ("# '\na = \"${NUMBER}\"", "# '\na = \"4\""),
    ];
    for (text, wanted) in cases {
        let (out, problems) = expand(text, &env);
        assert_eq!(out, wanted);
        assert_eq!(problems, [], "{text}");
    }
}

#[test]
fn value_of_a_variable_cannot_become_configuration() {
    let config = loads("state_dir = \"${LINES}\"\nworkers = 9");
    assert_eq!(config.process.workers, 9);
    assert_eq!(
        config.state_dir,
        Path::new("/srv/dbward/a\"\nworkers = 1\n#")
    );
    for bare in ["${LINES}", "${SENTENCE}", "${QUOTED}", "${EMPTY}"] {
        let problems = refused(&format!("state_dir = \"x\"\nworkers = {bare}"));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("cannot stand without quotes"));
        assert!(!problems[0].contains("and more"));
    }
}

#[test]
fn open_variable_is_a_problem_of_its_line() {
    let problems = refused("state_dir = \"x\"\nlisten = \"${DIR\"");
    assert_eq!(
        problems,
        ["2: ${: a variable is not closed by `}` on the same line"]
    );
}

#[test]
fn expanded_text_is_bounded() {
    let long = |_: &str| Some("x".repeat(1024 * 1024));
    let (out, problems) = expand(&"\"${A}\"".repeat(100), &long);
    assert!(out.len() < 6 * 1024 * 1024);
    assert!(problems[0].message.contains("too large"));
}

#[test]
fn cidr_contains_what_its_prefix_covers() {
    let cases = [
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("10.0.0.0/8", "::ffff:10.1.1.1", true),
        ("::ffff:10.0.0.0/104", "10.1.1.1", true),
        ("127.0.0.1", "127.0.0.1", true),
        ("127.0.0.1", "127.0.0.2", false),
        ("::1", "::1", true),
        ("fd00::/8", "fdff::1", true),
        ("fd00::/8", "fe00::1", false),
        ("0.0.0.0/0", "255.1.2.3", true),
        ("0.0.0.0/0", "::1", false),
        ("::/0", "::1", true),
        ("192.0.2.128/25", "192.0.2.127", false),
    ];
    for (range, address, wanted) in cases {
        let cidr = Cidr::parse(range).unwrap();
        let found = cidr.contains(address.parse().unwrap());
        assert_eq!(found, wanted, "{range} and {address}");
    }
    for bad in [
        "",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "::/129",
        "proxy.example.com",
        "::ffff:10.0.0.0/8",
        "10.0.0/8",
    ] {
        assert_eq!(Cidr::parse(bad), None, "{bad}");
    }
}

#[test]
fn secret_never_prints() {
    let secret = Secret::new("hunter2");
    assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "*** Some(***)");
    assert_eq!(secret.expose(), "hunter2");
}

#[test]
fn secret_file_loses_one_line_break_and_must_hold_something() {
    let path = std::env::temp_dir().join(format!("dbward-secret-{}", crate::crypto::uuid()));
    std::fs::write(&path, " key\n\n").unwrap();
    assert_eq!(Secret::from_file(&path).unwrap().expose(), " key\n");
    std::fs::write(&path, "\r\n").unwrap();
    assert!(Secret::from_file(&path).unwrap_err().ends_with("is empty"));
    std::fs::write(&path, vec![b'a'; SECRET_BYTES_MAX as usize + 1]).unwrap();
    assert!(Secret::from_file(&path).unwrap_err().contains("is larger"));
    std::fs::remove_file(&path).unwrap();
    assert!(
        Secret::from_file(&path)
            .unwrap_err()
            .contains("cannot read")
    );
}

#[test]
fn lists_are_bounded() {
    let many = "\"10.0.0.1\",".repeat(PROXIES_MAX + 1);
    let problems = refused(&format!("state_dir = \"x\"\ntrusted_proxies = [{many}]"));
    assert_eq!(
        problems,
        ["2: trusted_proxies: 257 entries are more than 256"]
    );
}

#[test]
fn longest_id_fits_a_selector() {
    let id = "x".repeat(ID_BYTES_MAX);
    assert!(Selector::parse(&format!("group:{id}")).is_some());
    loads(&format!("state_dir = \"x\"\n[[users]]\nid = \"{id}\""));
    let problems = refused(&format!("state_dir = \"x\"\n[[users]]\nid = \"{id}x\""));
    assert!(problems[0].contains("is longer than"), "{problems:?}");
}

#[test]
fn short_lease_of_migrations_loads_with_a_warning() {
    for (secs, warned) in [(1, true), (59, true), (60, false)] {
        let config = loads(&format!(
            "state_dir = 'state'\n[[execution_policies]]\nmigration_lease_duration_secs = {secs}\n"
        ));
        let policy = &config.policies.execution[0];
        assert_eq!(policy.migration_lease_duration_secs, Some(secs));
        let all = warnings(&config);
        assert_eq!(
            all.iter().any(|w| w.contains("below 60")),
            warned,
            "{all:?}"
        );
    }
    let zero = "state_dir = 'state'\n[[execution_policies]]\nmigration_lease_duration_secs = 0\n";
    assert!(refused(zero)[0].contains("migration_lease_duration_secs"));
}

#[test]
fn load_reads_a_file_and_names_it_in_problems() {
    let folder = std::env::temp_dir().join(format!("dbward-config-{}", crate::crypto::uuid()));
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("server.toml");
    std::fs::write(&path, "state_dir = \"./state\"\nworkers = 3").unwrap();
    let config = Config::load(&path).unwrap();
    assert_eq!(config.state_dir, folder.join("state"));
    assert_eq!(config.process.workers, 3);

    std::fs::write(&path, "workers = 3").unwrap();
    let text = Config::load(&path).unwrap_err().to_string();
    assert_eq!(
        text,
        format!("{}:1: state_dir: this key is required", path.display())
    );
    std::fs::write(&path, b"state_dir = \"x\"\n\xff").unwrap();
    let text = Config::load(&path).unwrap_err().to_string();
    assert!(text.contains("line 2 is not UTF-8"), "{text}");
    std::fs::write(&path, vec![b'#'; FILE_BYTES_MAX as usize + 1]).unwrap();
    let text = Config::load(&path).unwrap_err().to_string();
    assert!(text.contains("larger than"), "{text}");
    std::fs::remove_dir_all(&folder).unwrap();
    let text = Config::load(&path).unwrap_err().to_string();
    assert!(text.contains("server.toml: cannot read the file"), "{text}");
}
