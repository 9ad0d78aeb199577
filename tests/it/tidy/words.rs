//! Words that do not belong into the code, and the few places where one of them does.

use super::source::{Source, sources};
use super::{files_under, none, read};
use std::path::Path;

/// A place that may say a word, and why.
type Allowed = (&'static str, &'static str, &'static str);

/// What ends a thread, or a process, instead of answering.
const PANICS: &str = ".unwrap() .expect( .unwrap_err() .expect_err( panic! unreachable! todo! unimplemented! \
                      process::exit process::abort";
const PANICS_ALLOWED: &[Allowed] = &[
    (
        "src/crypto.rs",
        "panic!",
        "without random bytes no secret can be made, and nothing may go on",
    ),
    (
        "src/agent/wall/child.rs",
        "process::exit",
        "a child whose agent is gone ends at once, whatever its other thread runs",
    ),
    (
        "src/cli/signals.rs",
        "process::exit",
        "a stop that hangs ends all the same",
    ),
    (
        "src/server/mod.rs",
        "process::exit",
        "after a COMMIT of unknown outcome only recovery can tell what is true",
    ),
    (
        "src/server/second_machine.rs",
        "process::exit",
        "a server that another one has replaced ends at once",
    ),
];

/// What writes past the log.
const PRINTS: &str = "println! eprintln! print! eprint! dbg!";

/// What waits without knowing for what.
const SLEEPS: &str = "sleep(";
const SLEEPS_ALLOWED: &[Allowed] = &[
    (
        "src/cli/reload.rs",
        "sleep(",
        "another process leaves the outcome in a file",
    ),
    (
        "src/cli/remote/sign_in.rs",
        "sleep(",
        "an identity provider wants so long a pause between two questions",
    ),
    (
        "src/gate/mod.rs",
        "sleep(",
        "a pause after accept failed: there is nothing to wait for",
    ),
    (
        "src/http/listener.rs",
        "sleep(",
        "std cannot join a thread with a limit",
    ),
    (
        "src/replication/keeper.rs",
        "sleep(",
        "nothing tells when a bucket can be reached again",
    ),
    (
        "src/replication/litestream.rs",
        "sleep(",
        "nothing tells when a child process or a bucket is ready",
    ),
    (
        "src/replication/mod.rs",
        "sleep(",
        "nothing tells when a bucket can be reached, or a lease is over",
    ),
    (
        "src/replication/standby.rs",
        "sleep(",
        "Litestream leaves in a file how far it is",
    ),
    (
        "src/agent/drivers/mysql/session.rs",
        "sleep(",
        "nobody can wait for a table that MariaDB leaves out of an answer",
    ),
    (
        "src/objects/s3/mod.rs",
        "sleep(",
        "a pause before a store is asked again: there is nothing to wait for",
    ),
    (
        "src/server/state.rs",
        "sleep(",
        "std cannot wait for the lock of a file with a limit",
    ),
];

/// Names that say nothing of what a module is for.
const NAMELESS: &str = "utils util helpers helper common manager service";

#[test]
fn nothing_panics_or_exits_outside_tests() {
    none(
        "answer an error instead",
        &offences("src", PANICS, PANICS_ALLOWED),
    );
}

#[test]
fn only_the_command_line_prints() {
    let mut found = offences("src", PRINTS, &[]);
    found.retain(|place| !place.starts_with("src/cli/") || place.contains("dbg!"));
    none("say it in the log", &found);
}

#[test]
fn nothing_sleeps() {
    none(
        "wait for the condition",
        &offences("src", SLEEPS, SLEEPS_ALLOWED),
    );
    let mut found = Vec::new();
    for source in sources("tests") {
        for at in source.mentions("sleep(") {
            found.push(source.place(at));
        }
    }
    none("turn the clock, or wait for the condition", &found);
}

#[test]
fn every_exception_is_still_needed() {
    let mut idle = Vec::new();
    for (path, word, _) in PANICS_ALLOWED.iter().chain(SLEEPS_ALLOWED) {
        if !Path::exists(&super::root().join(path)) || Source::read(path).uses(word).is_empty() {
            idle.push(format!("{path} has no `{word}` any more"));
        }
    }
    none("take it from the list", &idle);
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let all = ["src", "tests", "benches"].into_iter().flat_map(sources);
    let found: Vec<String> = all
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| format!("{}:1", source.path))
        .collect();
    none("the first line is a `//!` comment", &found);
}

#[test]
fn nothing_is_left_for_later() {
    // Put together, so that this file does not find itself.
    let marks = [
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("TO", "DO"),
    ];
    let mut found = Vec::new();
    for source in ["src", "tests", "benches"].into_iter().flat_map(sources) {
        for (n, line) in source.text.lines().enumerate() {
            let words = line.split(|c: char| !c.is_alphanumeric());
            if let Some(mark) = words.into_iter().find(|word| marks.contains(word)) {
                found.push(format!("{}:{} {mark}", source.path, n + 1));
            }
        }
    }
    none("do it now or write an issue", &found);
}

#[test]
fn every_module_has_a_telling_name() {
    let mut found = Vec::new();
    for source in ["src", "tests", "benches"].into_iter().flat_map(sources) {
        let parts = source
            .path
            .split('/')
            .map(|part| part.trim_end_matches(".rs"));
        if parts
            .into_iter()
            .any(|part| NAMELESS.split(' ').any(|name| name == part))
        {
            found.push(source.path.clone());
        }
        for name in NAMELESS.split(' ') {
            for at in source.mentions(&format!("mod {name} {{")) {
                found.push(source.place(at));
            }
        }
    }
    none("name it after what it holds", &found);
}

#[test]
fn nothing_points_to_one_machine() {
    let places = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("crates", ".io"),
    ];
    let found = lines_with(|line| places.into_iter().find(|place| line.contains(place)));
    none("no paths of one machine, no hosts of a registry", &found);
}

#[test]
fn no_line_ends_in_white_space() {
    let mut found = lines_with(|line| line.ends_with([' ', '\t', '\r']).then_some("white space"));
    // Statements and what was printed, as they are.
    found.retain(|place| {
        !place.starts_with("tests/sql/") && !place.starts_with("tests/golden/cli/")
    });
    none("cut it off", &found);
}

/// `path:line word` of every word outside tests that no exception allows.
fn offences(folder: &str, words: &str, allowed: &[Allowed]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources(folder) {
        for word in words.split(' ') {
            if !allowed
                .iter()
                .any(|(path, allowed, _)| source.path == *path && *allowed == word)
            {
                let places = source.uses(word).into_iter();
                found.extend(places.map(|at| format!("{} {word}", source.place(at))));
            }
        }
    }
    found
}

/// `path:line what` of every line of our texts in which `find` finds something.
fn lines_with(find: impl Fn(&str) -> Option<&'static str>) -> Vec<String> {
    let folders = "src tests benches sql docs .ci".split(' ');
    let mut paths: Vec<String> = folders.flat_map(files_under).collect();
    for entry in std::fs::read_dir(super::root()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        // Cargo writes the lock file, and names its registry in it.
        let ours = [".md", ".toml", ".example"]
            .iter()
            .any(|end| name.ends_with(end));
        if ours && entry.path().is_file() {
            paths.push(name);
        }
    }
    let mut found = Vec::new();
    for path in paths {
        for (n, line) in read(&path).split('\n').enumerate() {
            found.extend(find(line).map(|what| format!("{path}:{} {what}", n + 1)));
        }
    }
    found
}
