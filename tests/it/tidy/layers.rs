//! Who may use whom: our modules by layer, the crates of others by place.

use super::source::{Source, is_name, sources};
use super::{none, read};
use std::collections::BTreeSet;

/// Every module, and what it may name of ours besides itself: the modules above it, or fewer where the reason says so.
pub(super) const LAYERS: &[(&str, &str)] = &[
    ("error", ""),
    ("clock", "error"),
    ("crypto", "error"),
    ("metrics", ""),
    ("address", ""),
    // What a key is, without what reads it; so the rules can declare theirs.
    ("declare", ""),
    ("settings", "error declare"),
    ("domain", "error clock crypto declare"),
    ("analyzer", "error clock crypto domain"),
    ("export", "crypto domain"),
    (
        "config",
        "error clock crypto declare settings domain analyzer",
    ),
    ("store", "error clock crypto metrics domain export"),
    ("objects", "error clock crypto metrics domain config"),
    (
        "actions",
        "error clock crypto metrics address declare settings domain analyzer config store objects",
    ),
    // Cannot reach the store, so it cannot hold the store's lock while somebody far away is slow.
    // Of objects it sees what a bucket is reached by.
    (
        "outbound",
        "error clock crypto metrics domain config objects",
    ),
    (
        "delivery",
        "error clock crypto metrics domain config store objects actions outbound",
    ),
    // Knows no route and no rule.
    ("gate", "error clock crypto metrics address"),
    (
        "http",
        "error clock crypto metrics declare settings domain analyzer config store objects actions outbound gate",
    ),
    (
        "jobs",
        "error clock crypto metrics declare settings domain analyzer config store objects actions outbound",
    ),
    // Knows no verb: it copies what the store commits, and says when that may be answered.
    (
        "replication",
        "error clock crypto metrics domain config store objects outbound",
    ),
    (
        "server",
        "error clock crypto metrics declare settings domain analyzer config store objects actions outbound delivery gate http jobs replication",
    ),
    // The other end of the wire: these two could be a program of their own.
    ("client", "error clock crypto domain"),
    ("agent", "error clock crypto declare settings domain client"),
    (
        "cli",
        "error clock crypto metrics declare settings domain analyzer export config store objects actions outbound delivery gate http jobs \
         replication server client agent",
    ),
];

/// Every crate we depend on, by the name code has for it, and where it may be named.
const CRATES: &[(&str, &str)] = &[
    ("tiny_http", "src/http/"),
    ("httparse", "src/gate/"),
    (
        "rusqlite",
        "src/store/ src/agent/drivers/ src/agent/journal.rs src/agent/sample.rs",
    ),
    ("sqlparser", "src/domain/sql/"),
    ("unicode_security", "src/domain/sql/characters.rs"),
    ("ureq", "src/client/ src/outbound/"),
    ("lettre", "src/config/email.rs src/outbound/smtp.rs"),
    ("ed25519_dalek", "src/crypto.rs"),
    ("sha2", "src/crypto.rs"),
    (
        "ring",
        "src/crypto.rs src/agent/drivers/postgres/tls.rs src/agent/drivers/mysql/tls.rs",
    ),
    ("subtle", "src/crypto.rs"),
    ("jiff", "src/clock"),
    ("toml", "src/settings/"),
    ("env_logger", "src/cli/"),
    ("clap", "src/cli/"),
    ("comfy_table", "src/cli/output/"),
    ("indicatif", "src/cli/remote/"),
    ("clap_complete", "src/cli/pages.rs"),
    ("clap_mangen", "src/cli/pages.rs"),
    ("signal_hook", "src/cli/"),
    (
        "rustix",
        "src/metrics/process.rs src/gate/ src/replication/ src/server/ src/agent/wall/ src/agent/drivers/postgres/ src/cli/output/",
    ),
    ("postgres_protocol", "src/agent/drivers/postgres/"),
    ("bytes", "src/agent/drivers/postgres/"),
    ("fallible_iterator", "src/agent/drivers/postgres/"),
    (
        "rustls",
        "src/agent/drivers/postgres/ src/agent/drivers/mysql/ src/config/tls.rs src/gate/tls.rs",
    ),
    (
        "webpki_roots",
        "src/agent/drivers/postgres/ src/agent/drivers/mysql/",
    ),
    ("mysql", "src/agent/drivers/mod.rs"),
    (
        "percent_encoding",
        "src/http/ src/objects/s3/ src/outbound/code_exchange.rs src/agent/config src/client/people_api.rs",
    ),
    // Keys in files, and bytes in bodies.
    (
        "base64",
        "src/crypto.rs src/gate/connection/exchange.rs src/http/ src/server/",
    ),
    // Shapes that travel or rest as JSON. Of the domain: the claims, which are signed as their JSON bytes, the tables
    // of a database as its agent reports them, policies, facts and traces as kept text, and what an identity provider
    // signed.
    (
        "serde",
        "src/domain/execution_token.rs src/domain/rehearsal_token.rs src/domain/migration/ src/domain/schema.rs src/domain/jwt/ src/domain/kept.rs src/domain/decision/trace.rs src/export/ src/actions/ src/http/ src/client/ src/agent/ src/cli/",
    ),
    ("serde_json", "src/"),
    ("log", "src/"),
];

/// What the rules may not touch, since the same values must give the same decision: the time, the system, the log.
const IMPURE: &str =
    "SystemTime::now Instant::now std::fs std::net std::env std::thread std::process log::";

#[test]
fn a_module_uses_only_modules_above_it() {
    let mut offences = Vec::new();
    for source in sources("src") {
        let module = module(&source);
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let Some((_, above)) = LAYERS.iter().find(|(name, _)| *name == module) else {
            offences.push(format!(
                "{}:1 module `{module}` has no place in LAYERS",
                source.path
            ));
            continue;
        };
        for (at, named) in named_modules(&source) {
            let may = named == module || above.split(' ').any(|name| name == named);
            if !may {
                offences.push(format!(
                    "{} `{module}` may not use `{named}`",
                    source.place(at)
                ));
            }
        }
    }
    none("a module uses only modules above it", &offences);
}

#[test]
fn the_layers_form_no_circle() {
    let mut settled: Vec<&str> = Vec::new();
    let mut open: Vec<_> = LAYERS.iter().collect();
    while let Some(n) = open.iter().position(|(_, above)| {
        above
            .split_terminator(' ')
            .all(|name| settled.contains(&name))
    }) {
        settled.push(open.remove(n).0);
    }
    let left: Vec<String> = open.iter().map(|(name, _)| (*name).to_owned()).collect();
    none("the layers form no circle", &left);
}

/// Two files that name each other, since statements stand within statements.
const MUTUAL: [&str; 2] = ["domain::sql::compound", "domain::sql::leading_keywords"];

#[test]
fn no_two_files_use_each_other() {
    let sources = sources("src");
    let files: BTreeSet<String> = sources.iter().map(|s| module_path(&s.path)).collect();
    let mut uses = BTreeSet::new();
    for source in &sources {
        let from = module_path(&source.path);
        for at in source.uses("use ") {
            let text = source.code[at + 4..].split(';').next().unwrap_or_default();
            let named = expanded(text).into_iter();
            uses.extend(named.filter_map(|p| Some((from.clone(), file_of(&from, &p, &files)?))));
        }
    }
    assert!(uses.len() > 2_000, "only {} uses were found", uses.len());
    // The files of a folder may name what its `mod.rs` holds, which mounts them.
    let within = |a: &str, b: &str| a.starts_with(&format!("{b}::")) || b.is_empty();
    let mutual = uses.iter().filter(|(a, b)| {
        a < b && uses.contains(&(b.clone(), a.clone())) && !within(a, b) && !within(b, a)
    });
    let found: Vec<String> = mutual.map(|(a, b)| format!("{a} and {b}")).collect();
    assert_eq!(found, [MUTUAL.join(" and ")]);
}

/// `store::apply::outbox` of `src/store/apply/outbox.rs`; empty for the root.
fn module_path(file: &str) -> String {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    match path {
        "lib" | "main" => String::new(),
        path => path.replace('/', "::"),
    }
}

/// The paths of a `use`, its braces taken apart.
fn expanded(text: &str) -> Vec<String> {
    let Some((head, rest)) = text.trim().split_once('{') else {
        return vec![text.trim().to_owned()];
    };
    let inside = rest.rsplit_once('}').map_or(rest, |(inside, _)| inside);
    let mut depth = 0;
    let parts = inside.split(|c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    let parts = parts.flat_map(expanded).filter(|part| !part.is_empty());
    parts.map(|part| format!("{head}{part}")).collect()
}

/// The file that holds what `path` names, as written in the file `from`; none for one that is not ours.
fn file_of(from: &str, path: &str, files: &BTreeSet<String>) -> Option<String> {
    let mut at: Vec<&str> = from.split("::").filter(|s| !s.is_empty()).collect();
    let mut ours = false;
    for name in path.split("::") {
        match name {
            "crate" => at.clear(),
            "super" => drop(at.pop()),
            "self" => {}
            name => {
                let deeper = [&at[..], &[name]].concat().join("::");
                if !files.contains(&deeper) {
                    break;
                }
                at.push(name);
            }
        }
        ours = true;
    }
    let found = at.join("::");
    (ours && found != from).then_some(found)
}

#[test]
fn the_root_is_never_reached_by_super() {
    let mut offences = Vec::new();
    for source in sources("src") {
        let below =
            source.path.split('/').count() - 1 - usize::from(source.path.ends_with("/mod.rs"));
        for at in source.uses("super::") {
            let chain = &source.code[at..];
            let supers = chain
                .split("::")
                .take_while(|part| *part == "super")
                .count();
            if supers >= below {
                offences.push(format!(
                    "{} write `crate::`, so that the layers can be seen",
                    source.place(at)
                ));
            }
        }
    }
    none("the root is never reached by `super`", &offences);
}

#[test]
fn crates_of_others_are_named_only_in_their_place() {
    let mut offences = Vec::new();
    let sources = sources("src");
    for (name, places) in CRATES {
        for source in &sources {
            if places
                .split(' ')
                .any(|place| source.path.starts_with(place))
            {
                continue;
            }
            for at in names_crate(source, name) {
                offences.push(format!(
                    "{} names `{name}`; only {places} may",
                    source.place(at)
                ));
            }
        }
    }
    none("crates of others are named only in their place", &offences);
}

#[test]
fn every_layer_and_every_place_of_crate_is_still_needed() {
    let sources = sources("src");
    let layers = LAYERS.iter().filter(|(name, _)| {
        let has = |source: &Source| module(source) == *name;
        !sources.iter().any(has)
    });
    let mut idle: Vec<String> = layers
        .map(|(name, _)| format!("no layer `{name}`"))
        .collect();
    for (name, places) in CRATES {
        for place in places.split(' ') {
            let names = |source: &&Source| {
                source.path.starts_with(place) && !names_crate(source, name).is_empty()
            };
            if !sources.iter().any(|source| names(&source)) {
                idle.push(format!("nothing in {place} names `{name}`"));
            }
        }
    }
    none("take it from the list", &idle);
}

#[test]
fn every_crate_has_its_place() {
    let manifest = read("Cargo.toml");
    let dependencies = manifest
        .lines()
        .skip_while(|l| *l != "[dependencies]")
        .skip(1);
    let named = dependencies
        .take_while(|l| !l.starts_with('['))
        .filter_map(|l| l.split_once(" = "));
    let strange: Vec<String> = named
        .map(|(name, _)| name.replace('-', "_"))
        .filter(|name| name.starts_with(is_name) && CRATES.iter().all(|(known, _)| known != name))
        .map(|name| format!("Cargo.toml: `{name}` has no place in CRATES"))
        .collect();
    none("every crate has its place", &strange);
}

#[test]
fn the_rules_touch_nothing_but_their_values() {
    let mut offences = Vec::new();
    for source in sources("src/domain") {
        for impure in IMPURE.split(' ') {
            for at in source.uses(impure) {
                offences.push(format!("{} names `{impure}`", source.place(at)));
            }
        }
    }
    none("the domain has no clock, no system and no log", &offences);
}

#[test]
fn only_the_clock_reads_the_time_of_day() {
    let mut offences = Vec::new();
    for source in sources("src") {
        if source.path != "src/clock/mod.rs" {
            let found = source.uses("SystemTime::now").into_iter();
            offences.extend(found.map(|at| source.place(at)));
        }
    }
    none(
        "the time of day comes from the clock, which tests can turn",
        &offences,
    );
}

#[test]
fn the_http_layer_writes_only_through_verbs() {
    let mut offences = Vec::new();
    for source in sources("src/http") {
        let found = source.uses(".change(").into_iter();
        offences.extend(found.map(|at| source.place(at)));
    }
    none(
        "a handler calls an action and never `store.change`",
        &offences,
    );
}

/// The first name of a file below src.
fn module(source: &Source) -> &str {
    let name = source.path.split('/').nth(1).unwrap_or_default();
    name.strip_suffix(".rs").unwrap_or(name)
}

/// Every module of ours that the file names by `crate::`, tests included.
fn named_modules(source: &Source) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    for at in source.mentions("crate::") {
        let after = &source.code[at + "crate::".len()..];
        if let Some(group) = after.strip_prefix('{') {
            named.extend(heads(group).into_iter().map(|name| (at, name)));
        } else {
            named.push((at, first_name(after)));
        }
    }
    named
}

/// The first name of each part of an import in braces, which begins after the opening one.
fn heads(group: &str) -> Vec<String> {
    let (mut depth, mut start, mut heads) = (0, 0, Vec::new());
    for (n, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                heads.push(first_name(group[start..n].trim()));
                start = n + 1;
                if c == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    heads.retain(|name| !name.is_empty());
    heads
}

fn first_name(code: &str) -> String {
    code.chars().take_while(|c| is_name(*c)).collect()
}

/// Where a path begins with the name of a crate, or the crate itself is imported; outside tests.
fn names_crate(source: &Source, name: &str) -> Vec<usize> {
    let mut found = source.uses(&format!("{name}::"));
    found.retain(|at| !source.code[..*at].ends_with("::"));
    for import in [
        format!("use {name};"),
        format!("use {name} as "),
        format!("extern crate {name}"),
    ] {
        found.extend(source.uses(&import));
    }
    found
}

#[test]
fn imports_in_braces_are_taken_apart() {
    let text = "use crate::{clock::Clock, store::{self, View},\n domain::id};\nuse crate::gate;";
    let source = Source::new("src/x.rs", text.to_owned());
    let names: Vec<String> = named_modules(&source)
        .into_iter()
        .map(|(_, name)| name)
        .collect();
    assert_eq!(names, ["clock", "store", "domain", "gate"]);
}
