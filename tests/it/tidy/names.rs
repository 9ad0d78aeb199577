//! Names in the field's words, and one type a name.

use super::none;
use super::source::sources;
use std::collections::BTreeMap;

/// Words that no name in the code uses, and the word of the field in their place.
const BANNED: &[(&str, &str)] = &[
    ("Said", "Spanned"),
    ("said", "raw, or what it holds"),
    ("Told", "what is notified"),
    ("told", "notified"),
    ("may_hear", "may_learn_status"),
    ("Hands", "IssuerChain"),
    ("Piece", "StatementTokens"),
    ("Unread", "ParseFailure"),
    ("spelled", "serialize, or canonical form"),
    ("mend", "fix"),
    ("spoiled", "invalid"),
    ("trouble", "rejection reason"),
    ("Door", "HttpContext"),
    ("crew", "thread_pool"),
    ("telling", "schema_sync"),
];

/// Words that open a declaration of a type.
const DECLARES: [&str; 5] = ["struct", "enum", "trait", "type", "union"];

/// What begins a visible declaration.
const VISIBLE: [&str; 3] = ["pub ", "pub(crate) ", "pub(super) "];

#[test]
fn names_are_words_of_the_field() {
    let mut found = Vec::new();
    for source in ["src", "tests", "benches"].into_iter().flat_map(sources) {
        for (n, line) in source.code.lines().enumerate() {
            for name in line.split(|c: char| !c.is_alphanumeric() && c != '_') {
                if let Some((word, better)) = BANNED.iter().find(|(word, _)| *word == name) {
                    found.push(format!("{}:{} `{word}`: {better}", source.path, n + 1));
                }
            }
        }
    }
    none("say it in the word of the field", &found);
}

#[test]
fn no_two_public_types_share_a_name() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources("src") {
        for (n, line) in source.code.lines().enumerate() {
            // A macro writes `$name`, which is not a name.
            if let Some(name) = declared(line).filter(|name| !name.is_empty()) {
                let place = format!("{}:{}", source.path, n + 1);
                places.entry(name.to_owned()).or_default().push(place);
            }
        }
    }
    assert!(places.len() > 200, "only {} types were found", places.len());
    let shared = places.iter().filter(|(_, places)| places.len() > 1);
    let found: Vec<String> = shared
        .map(|(name, places)| format!("{name}: {}", places.join(", ")))
        .collect();
    none("give each type a name of its own", &found);
}

#[test]
fn names_of_tests_have_ten_words_at_most() {
    let mut tests = 0;
    let mut found = Vec::new();
    for source in ["src", "tests", "benches"].into_iter().flat_map(sources) {
        for at in source.mentions("#[test]") {
            let rest = source.code[at..].split_once("fn ").expect("a test is a fn");
            let name: String = rest.1.chars().take_while(|c| *c != '(').collect();
            tests += 1;
            if name.split('_').count() > 10 {
                found.push(format!("{} `{name}`", source.place(at)));
            }
        }
    }
    assert!(tests > 1500, "only {tests} tests were found");
    none("name a test in ten words at most", &found);
}

/// The name of the visible type that a line declares.
fn declared(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let rest = VISIBLE.iter().find_map(|v| line.strip_prefix(v))?;
    let (kind, rest) = rest.split_once(' ')?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
    DECLARES
        .contains(&kind)
        .then(|| &rest[..end.unwrap_or(rest.len())])
}
