//! What is written about the program agrees with the program.

use super::source::Source;
use super::{none, read, root};
use dbward::metrics::Metrics;
use std::collections::BTreeSet;

/// What a command line in the README may begin with, besides commands of ours and scripts of the repository.
const TOOLS: &str = ". curl export cd mkdir cp cat echo git kill systemctl sqlite3";
/// Commands of cargo that it may show.
const CARGO: &str = "build test bench run install fmt clippy";

#[test]
fn every_metric_is_documented() {
    let documented: BTreeSet<String> = read("docs/metrics.md")
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            assert!(
                cells.get(4).is_some_and(|when| when.len() > 10),
                "says when it moves: {line}"
            );
            format!("{} {} {}", cells[1], cells[2], cells[3])
        })
        .collect();
    let page = Metrics::new().render();
    let exported: BTreeSet<String> = Metrics::FAMILIES
        .iter()
        .map(|(name, labels)| {
            let kind = page
                .lines()
                .find_map(|line| line.strip_prefix(&format!("# TYPE {name} ")));
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            format!("`{name}` {} {}", kind.unwrap_or("?"), labels.join(", "))
        })
        .collect();
    let missing = exported
        .difference(&documented)
        .map(|row| format!("not in docs/metrics.md: {row}"));
    let strange = documented
        .difference(&exported)
        .map(|row| format!("only in docs/metrics.md: {row}"));
    none(
        "docs/metrics.md lists every metric",
        &missing.chain(strange).collect::<Vec<_>>(),
    );
}

#[test]
fn every_metric_moves() {
    let page = Source::read("src/metrics.rs");
    let fields: Vec<_> = page
        .strings
        .iter()
        .filter(|s| {
            ["dbward_", "process_"]
                .iter()
                .any(|own| s.value.starts_with(own))
                && !page.is_test(s.at)
        })
        .collect();
    assert_eq!(fields.len(), Metrics::FAMILIES.len());
    let sources = super::source::sources("src");
    let still: Vec<String> = fields
        .iter()
        .filter_map(|name| {
            let (field, _) = page.code[..name.at].rsplit_once(": ").unwrap();
            let field = field.trim_end().rsplit([' ', '\n']).next().unwrap();
            let field = format!(".{field}");
            let moves = |source: &Source| {
                let ends = |at: &usize| {
                    !source.code[at + field.len()..].starts_with(super::source::is_name)
                };
                source.path != page.path && source.uses(&field).iter().any(ends)
            };
            (!sources.iter().any(moves)).then(|| format!("{} {}", page.place(name.at), name.value))
        })
        .collect();
    none(
        "a metric that nobody moves is taken for a quiet system",
        &still,
    );
}

#[test]
fn the_agents_example_names_every_key() {
    let example = read("agent.toml.example");
    let named = |path: &String| {
        let name = path.rsplit('.').next().unwrap_or_default();
        let ways = [
            format!("{name} = "),
            format!("[{name}]"),
            format!("[[{name}]]"),
        ];
        let mut lines = example.lines().map(|line| line.trim_start_matches("# "));
        lines.any(|line| ways.iter().any(|way| line.starts_with(way)))
    };
    let paths = dbward::settings::example::paths(dbward::agent::config::KEYS);
    let missing: Vec<String> = paths.into_iter().filter(|path| !named(path)).collect();
    none("agent.toml.example names every key", &missing);
}

#[test]
fn permissions_and_risk_levels_are_documented() {
    use dbward::domain::permission::Permission;
    use dbward::domain::risk_level::RiskLevel;
    let page = read("docs/permissions-and-risk.md");
    let rows = |section: &str, column: &str| -> Vec<Vec<String>> {
        let (_, after) = page.split_once(section).unwrap();
        let table = after
            .lines()
            .skip_while(|l| !l.starts_with(&format!("| {column} |")));
        let rows = table.skip(2).take_while(|l| l.starts_with("| "));
        rows.map(|row| {
            row.split(" | ")
                .map(|c| c.trim_matches(['|', ' ']).to_owned())
                .collect()
        })
        .collect()
    };
    let documented: Vec<[String; 2]> = rows("## Permissions", "permission")
        .into_iter()
        .map(|row| {
            assert!(row[1].len() > 10, "says what it allows: {row:?}");
            [row[0].clone(), row[2].clone()]
        })
        .collect();
    let known: Vec<[String; 2]> = Permission::ALL
        .iter()
        .map(|p| {
            let divided = if p.is_undivided() { "no" } else { "yes" };
            [format!("`{}`", p.as_str()), divided.to_owned()]
        })
        .collect();
    assert_eq!(documented, known);
    let aliases = rows("## Permissions", "name");
    assert!(!aliases.is_empty());
    for row in aliases {
        let read: Vec<String> = Permission::from_config(row[0].trim_matches('`'))
            .iter()
            .map(|p| format!("`{}`", p.as_str()))
            .collect();
        assert_eq!(row[1], read.join(", "), "{row:?}");
    }
    let levels = rows("## Risk levels", "level");
    let documented: Vec<&str> = levels.iter().map(|row| row[0].trim_matches('`')).collect();
    let known: Vec<&str> = RiskLevel::ALL.iter().map(|l| l.as_str()).collect();
    assert_eq!(documented, known);
    for row in levels {
        let level = RiskLevel::parse(row[0].trim_matches('`')).unwrap();
        let possible = if level <= RiskLevel::High {
            "possible"
        } else {
            "never"
        };
        assert_eq!(row[2], possible, "{row:?}");
    }
}

#[test]
fn the_readme_shows_only_commands_that_exist() {
    let (mut found, mut commands) = (Vec::new(), 0);
    for name in ["README.md", "docs/first-team.md"] {
        let document = read(name);
        let define = |line: &str| Some(line.split_once("() {")?.0.to_owned());
        let functions: Vec<String> = document.lines().filter_map(define).collect();
        let (mut in_shell, mut session, mut continued) = (false, false, false);
        for (n, line) in document.lines().enumerate() {
            if let Some(language) = line.strip_prefix("```") {
                in_shell = ["sh", "bash", "console"].contains(&language);
                // There the lines without a prompt are what was printed.
                session = language == "console";
                continue;
            }
            let begins = in_shell
                && (!session || line.starts_with("$ "))
                && !continued
                && !line.starts_with([' ', '#', '}', '\''])
                && !line.is_empty();
            continued = in_shell && line.ends_with('\\');
            commands += usize::from(begins);
            let command = ours(line.trim_start_matches("$ "), &functions);
            if begins && let Err(why) = command_exists(&command) {
                found.push(format!("{name}:{} {why}", n + 1));
            }
        }
    }
    assert!(commands >= 25, "only {commands} commands were read");
    none("both show only commands that exist", &found);
}

/// The command that a line runs: inside `NAME=$(..)`, in the body of a function, or as one of the functions that end in
/// `dbward "$@"`.
fn ours(line: &str, functions: &[String]) -> String {
    let inner = line
        .split_once("=$(")
        .filter(|(name, _)| !name.contains(' '));
    let line = inner.map_or(line, |(_, inner)| inner);
    if let Some((_, body)) = line.split_once("() {") {
        let assigned = body.split_once(") ").map_or(body, |(_, after)| after);
        return assigned.replace("\"$@\"", "--help");
    }
    match line.split_once(' ') {
        Some((name, rest)) if functions.iter().any(|f| f == name) => format!("dbward {rest}"),
        _ => line.to_owned(),
    }
}

/// Whether the command line can be meant: of what it begins with.
fn command_exists(line: &str) -> Result<(), String> {
    let mut words = line
        .split_whitespace()
        .skip_while(|word| word.contains('='));
    let first = words.next().unwrap_or_default();
    let command = first.rsplit('/').next().unwrap_or_default();
    let next = words.next().unwrap_or_default();
    if first.is_empty() {
        return Ok(());
    }
    if command == "dbward" {
        let known = next.starts_with('-') || our_commands().iter().any(|known| known == next);
        return known
            .then_some(())
            .ok_or_else(|| format!("no command `dbward {next}`"));
    }
    if command == "cargo" {
        return has(CARGO, next)
            .then_some(())
            .ok_or_else(|| format!("no `cargo {next}` here"));
    }
    if has(TOOLS, first) || root().join(first).is_file() {
        return Ok(());
    }
    Err(format!("no command `{first}`"))
}

fn has(list: &str, word: &str) -> bool {
    list.split(' ').any(|known| known == word)
}

/// The commands that `dbward --help` lists.
fn our_commands() -> Vec<String> {
    let command = dbward::cli::command();
    let known = command.get_subcommands().filter(|c| !c.is_hide_set());
    known.map(|c| c.get_name().to_owned()).collect()
}

#[test]
fn the_changelog_has_a_heading_for_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let headed = read("CHANGELOG.md").lines().any(|line| {
        line.starts_with("## ") && line.split([' ', '[', ']']).any(|word| word == version)
    });
    assert!(headed, "CHANGELOG.md has no `## {version}`");
}

#[test]
fn every_dependency_has_its_reason_next_to_it() {
    let manifest = read("Cargo.toml");
    let (mut section, mut above, mut seen, mut found) = ("", "", 0, Vec::new());
    for (n, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]")
            && line.contains(" = ")
            && !line.starts_with(['#', ' '])
        {
            seen += 1;
            let next_to_it = line
                .rsplit_once(" # ")
                .is_some_and(|(_, reason)| !reason.is_empty());
            if !next_to_it && !above.starts_with("# ") {
                found.push(format!("Cargo.toml:{} {line}", n + 1));
            }
        }
        above = line;
    }
    assert!(seen >= 10, "only {seen} dependencies were read");
    none("a dependency has a comment above or next to it", &found);
}

#[test]
fn the_lock_file_is_kept() {
    assert!(
        root().join("Cargo.lock").is_file(),
        "Cargo.lock is part of the repository"
    );
    let ignored = read(".gitignore")
        .lines()
        .any(|line| line.contains("Cargo.lock"));
    assert!(!ignored, ".gitignore leaves out Cargo.lock");
}

#[test]
fn json_keeps_no_order_and_no_digits_of_its_own() {
    // Hashes are taken over our JSON: a feature that some crate turns on for all would change them.
    let text = r#"{"b": 1.10, "a": 1}"#;
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(value.to_string(), r#"{"a":1,"b":1.1}"#);
}

#[test]
fn the_licence_is_the_one_the_manifest_names() {
    let licence = read("LICENSE");
    assert!(read("Cargo.toml").contains("license = \"Apache-2.0\""));
    for part in [
        "Apache License",
        "Version 2.0, January 2004",
        "9. Accepting Warranty",
        "END OF TERMS AND CONDITIONS",
    ] {
        assert!(licence.contains(part), "LICENSE lacks `{part}`");
    }
}

/// What stands in the repository, as documents name it: `actions/approve`, `tests/it/matrix/`, `domain/{token,user}.rs`.
#[test]
fn every_path_in_the_documents_is_there() {
    let entries = |folder: &str| -> Vec<String> {
        let folder = std::fs::read_dir(root().join(folder)).unwrap();
        let names = folder.map(|e| e.unwrap().file_name().into_string().unwrap());
        names
            .map(|n| n.trim_end_matches(".rs").to_owned())
            .collect()
    };
    let mut known = entries("src");
    let ours = "src tests sql docs packaging benches fuzz .ci";
    known.extend(ours.split(' ').map(str::to_owned));
    let mut documents: Vec<String> = entries("docs")
        .into_iter()
        .map(|n| format!("docs/{n}"))
        .collect();
    documents.extend(["ARCHITECTURE.md", "README.md"].map(str::to_owned));
    documents.retain(|name| name.ends_with(".md"));
    let (mut found, mut missing) = (0, Vec::new());
    for document in &documents {
        let mut in_code = false;
        for (n, line) in read(document).lines().enumerate() {
            in_code ^= line.starts_with("```");
            let spans = line.split('`').skip(1).step_by(2).filter(|_| !in_code);
            for path in spans.flat_map(alternatives) {
                let Some((first, _)) = path.split_once('/') else {
                    continue;
                };
                // `x` stands for any name.
                let any = path
                    .split(['/', '.'])
                    .any(|part| part == "x" || part.starts_with('<'));
                if any || path.contains(' ') || !known.iter().any(|name| name == first) {
                    continue;
                }
                found += 1;
                if !is_there(&path) {
                    missing.push(format!("{document}:{} {path}", n + 1));
                }
            }
        }
    }
    assert!(found > 100, "only {found} paths were read");
    none("documents name only what is there", &missing);
}

/// `a/{b,c}` is `a/b` and `a/c`.
fn alternatives(text: &str) -> Vec<String> {
    let parts = text
        .split_once('{')
        .and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    match parts {
        Some((before, (names, after))) => {
            let names = names.split(',');
            names.map(|name| format!("{before}{name}{after}")).collect()
        }
        None => vec![text.to_owned()],
    }
}

/// Whether a file or a folder has that path, from the root or from `src`; a module may leave out its `.rs`, and the end
/// of a name may be `*`.
fn is_there(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    ["", "src/"].into_iter().any(|from| {
        let whole = root().join(format!("{from}{path}"));
        let Some(start) = path.strip_suffix('*') else {
            return whole.exists() || root().join(format!("{from}{path}.rs")).is_file();
        };
        let (folder, start) = start.rsplit_once('/').unwrap_or(("", start));
        let entries = std::fs::read_dir(root().join(format!("{from}{folder}")));
        let mut names = entries.into_iter().flatten().flatten();
        names.any(|e| e.file_name().to_string_lossy().starts_with(start))
    })
}
