//! Lists outside the code that name its modules and files: the code map, the crate of the rules, and what the mutants
//! change.

use super::layers::LAYERS;
use super::{files_under, none, read};

#[test]
fn the_code_map_names_every_layer_in_order() {
    let page = read("ARCHITECTURE.md");
    let (_, map) = page.split_once("\n## Code map\n").expect("a code map");
    let map = map.split_once("\n## ").expect("what follows it").0;
    let entries = map.split("\n- `").skip(1);
    let mut named: Vec<&str> = Vec::new();
    let mut offences = Vec::new();
    for entry in entries {
        let names = entry.split([':', '.']).next().unwrap_or_default();
        let names: Vec<&str> = names.split(['`', ',', ' ']).collect();
        named.extend(names.iter().filter(|name| !name.is_empty()));
        for (name, above) in LAYERS.iter().filter(|(name, _)| names.contains(name)) {
            let missing = above.split_terminator(' ').filter(|a| !named.contains(a));
            offences.extend(missing.map(|a| format!("`{name}` uses `{a}`, which comes later")));
        }
    }
    none("the code map is in an order of use", &offences);
    named.sort_unstable();
    let mut layers: Vec<&str> = LAYERS.iter().map(|(name, _)| *name).collect();
    layers.sort_unstable();
    assert_eq!(named, layers);
}

#[test]
fn the_crate_of_the_rules_mounts_what_the_rules_use() {
    let mounted = read("tests/mutants/src/lib.rs");
    let (_, below) = LAYERS.iter().find(|(name, _)| *name == "domain").unwrap();
    let missing: Vec<String> = below
        .split(' ')
        .chain(["domain"])
        .filter(|name| !mounted.contains(&format!("pub mod {name};\n")))
        .map(|name| format!("tests/mutants/src/lib.rs lacks `{name}`"))
        .collect();
    none("the rules build alone, for .ci/mutants", &missing);
}

#[test]
fn rules_crate_has_the_versions_of_the_program() {
    let dependencies = |path: &str| -> toml::Table {
        let mut manifest: toml::Table = read(path).parse().expect("a manifest");
        match manifest.remove("dependencies") {
            Some(toml::Value::Table(found)) => found,
            other => panic!("{path}: {other:?}"),
        }
    };
    let version = |dependency: &toml::Value| match dependency {
        toml::Value::Table(table) => table["version"].clone(),
        text => text.clone(),
    };
    let of_program = dependencies("Cargo.toml");
    let of_rules = dependencies("tests/mutants/Cargo.toml");
    assert!(of_rules.len() > 5, "{of_rules:?}");
    for (name, dependency) in &of_rules {
        assert_eq!(version(dependency), version(&of_program[name]), "{name}");
    }
}

#[test]
fn every_file_of_a_judge_is_changed_by_the_mutants() {
    let script = read(".ci/mutants");
    let (_, list) = script.split_once("files=(").expect("a list");
    let list = list.split_once(')').expect("its end").0;
    let patterns: Vec<&str> = list.split('\'').skip(1).step_by(2).collect();
    let files = files_under("src/domain");
    let matches = |pattern: &str, file: &str| match pattern.strip_suffix("*.rs") {
        Some(folder) => {
            let rest = file.strip_prefix(folder);
            rest.is_some_and(|name| name.ends_with(".rs") && !name.contains('/'))
        }
        None => pattern == file,
    };
    let mut wrong = Vec::new();
    for pattern in &patterns {
        if !files.iter().any(|file| matches(pattern, file)) {
            wrong.push(format!("{pattern} is no file"));
        }
        // What a judge has in files of its own is judged there too.
        let folder = pattern.replace(".rs", "/");
        let parts = files.iter().filter(|f| f.starts_with(&folder));
        for part in parts.filter(|f| !f.contains("/tests")) {
            if !patterns.iter().any(|pattern| matches(pattern, part)) {
                wrong.push(format!("{part} is left out"));
            }
        }
    }
    assert!(patterns.len() > 10, "{patterns:?}");
    none("list it in .ci/mutants", &wrong);
}
