//! Prose in the field's words: comments, messages, documents, the API description and the names of tests.

use super::source::{Source, sources};
use super::{files_under, none, read};

/// Words that no text of ours uses, and what to write instead. Several at once are compared word by word.
const BANNED: &[(&str, &str)] = &[
    (
        "he his him himself whoever",
        "they, the caller, the requester",
    ),
    ("told", "notified; informed; known"),
    ("said", "given; reported; written"),
    ("heard hears hear", "learns; receives"),
    ("behind", "after"),
    ("beside", "next to; with; besides"),
    ("is_no are_no", "is not a"),
    ("is_none are_none", "is not one; is missing"),
    ("in_force", "in effect; applied"),
    ("taken_over takes_over", "applied"),
    (
        "had_a_hand has_a_hand have_a_hand",
        "is in the issuer chain",
    ),
    ("goes_before go_before", "overrides; takes precedence over"),
    ("come_in comes_in came_in", "authenticate; log in"),
    ("let_in lets_in", "authenticate; admit"),
    ("spelled spells spell", "written; serialized; formatted"),
    ("spoil spoils spoiled", "invalid"),
    ("trouble", "problem; rejection reason"),
    ("mend mends mended", "fix; repair"),
    (
        "moat door doors clockwork phone",
        "network gate, HTTP layer, jobs, outbound",
    ),
    ("the_inside", "the backend"),
    (
        "answers_whether answers_how answers_its answers_false answers_true",
        "returns",
    ),
];

/// Where one of these words is right: a part of a path, the words around it, and the reason.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("", "there is no", "something does not exist"),
    ("", "there are no", "something does not exist"),
    ("", "there is none", "something does not exist"),
    ("", "there are none", "something does not exist"),
    ("", "is no more", "a comparison"),
    ("", "is no less", "a comparison"),
    ("", "is no longer", "a change"),
    ("", "behind a proxy", "the network's own word"),
    ("", "behind trusted proxies", "the network's own word"),
    (
        "ARCHITECTURE.md",
        "behind our own gate",
        "the network's own word",
    ),
    (
        "src/http/api/request_json.rs",
        "mend",
        "stored by earlier builds",
    ),
    (
        "src/domain/jwt/tests.rs",
        "said rsa",
        "names of test vectors",
    ),
    (
        "src/domain/decision/tests.rs",
        "is no statement",
        "a text that is not SQL",
    ),
    (
        "tests/it/tidy/source.rs",
        "the inside of",
        "between quotes, and no layer",
    ),
    (
        "tests/it/tidy/documents.rs",
        "taken over",
        "a hash is taken over bytes",
    ),
];

/// Files whose short comments are shown to users: help and documentation are generated from them.
const SHOWN: &[&str] = &[
    "src/cli/",
    "src/config/raw",
    "src/agent/config/raw.rs",
    "src/domain/policy/",
];

/// Words that add nothing to a comment.
const FILLERS: &str = "a an the of its it to for in by this that and or";

/// A text and where it begins.
struct Passage {
    place: String,
    text: String,
}

#[test]
fn prose_is_in_the_words_of_the_field() {
    let passages = passages();
    assert!(
        passages.len() > 5000,
        "only {} texts were read",
        passages.len()
    );
    let found: Vec<String> = passages
        .iter()
        .flat_map(|p| banned(&p.place, &p.text).map(|found| format!("{} {found}", p.place)))
        .collect();
    none("say it in the word of the field", &found);
}

#[test]
fn no_short_comment_repeats_the_name() {
    let mut found = Vec::new();
    let mut seen = 0;
    for source in sources("src") {
        if SHOWN.iter().any(|path| source.path.starts_with(path)) {
            continue;
        }
        let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
        for (n, comment) in lines.iter().enumerate() {
            let Some(comment) = comment.strip_prefix("/// ") else {
                continue;
            };
            seen += 1;
            let alone = n == 0 || !lines[n - 1].starts_with("///");
            let item = lines[n + 1..].iter().find(|line| !line.starts_with("#["));
            if alone && item.is_some_and(|item| repeats(comment, item)) {
                found.push(format!("{}:{} {comment}", source.path, n + 1));
            }
        }
    }
    assert!(seen > 1000, "only {seen} comments were read");
    none("delete what the name already says", &found);
}

#[test]
fn banned_words_and_repeated_names_are_found() {
    let found = |text: &str| -> Vec<String> { banned("x", text).collect() };
    assert_eq!(found("Whoever said so").len(), 2);
    assert_eq!(found("This is no selector.").len(), 1);
    assert_eq!(
        found("There is no selector behind a proxy: `he`, the").len(),
        0
    );
    assert_eq!(found("a configuration in\nforce").len(), 1);
    assert!(repeats("The request.", "request: RequestRef,"));
    assert!(repeats("Its number.", "pub number: u64,"));
    assert!(!repeats("The request.", "/// It goes on."));
    assert!(!repeats("Newest first.", "pub events: Vec<Event>,"));
}

/// Whether a comment of at most three words says nothing that the declaration below it does not.
fn repeats(comment: &str, item: &str) -> bool {
    if item.starts_with("//") {
        return false;
    }
    let item = item.to_lowercase();
    let words: Vec<String> = words(comment)
        .into_iter()
        .filter(|word| !FILLERS.split(' ').any(|filler| filler == word))
        .collect();
    let named = |word: &String| item.contains(word.trim_end_matches('s'));
    (1..=3).contains(&words.len()) && words.iter().all(named)
}

/// The banned words of a text, each with what to write.
fn banned(place: &str, text: &str) -> impl Iterator<Item = String> {
    let mut text = format!(" {} ", words(text).join(" "));
    for (path, phrase, _) in ALLOWED {
        if place.contains(path) {
            text = text.replace(&format!(" {phrase} "), "  ");
        }
    }
    BANNED.iter().flat_map(move |(group, better)| {
        let text = text.clone();
        let phrases = group.split(' ').map(|phrase| phrase.replace('_', " "));
        phrases
            .filter(move |phrase| text.contains(&format!(" {phrase} ")))
            .map(move |phrase| format!("`{phrase}`: {better}"))
    })
}

/// The words of a text in lower case, without names of code, which stand in backquotes.
fn words(text: &str) -> Vec<String> {
    let prose = text.split('`').step_by(2).collect::<Vec<_>>().join(" ` ");
    // A sentence ends there, and with it a phrase.
    let prose = prose.replace(". ", " ` ");
    let words = prose.split(|c: char| !c.is_alphanumeric() && !"_`".contains(c));
    words
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// Every text of ours.
fn passages() -> Vec<Passage> {
    let mut found = Vec::new();
    for source in ["src", "tests", "benches"].into_iter().flat_map(sources) {
        comments(&source, &mut found);
        let of_src = source.path.starts_with("src/");
        let messages = source.strings.iter().filter(|_| of_src);
        found.extend(messages.map(|quoted| Passage {
            place: source.place(quoted.at),
            text: quoted.value.clone(),
        }));
        let functions = source.functions().into_iter();
        found.extend(functions.map(|function| Passage {
            place: format!("{}:{}", source.path, function.line),
            text: function.name.replace('_', " "),
        }));
    }
    let mut paths = files_under("docs");
    let others = "README.md ARCHITECTURE.md CHANGELOG.md server.toml.example agent.toml.example \
                  src/http/openapi.json Cargo.toml .ci/run .ci/long .ci/tested";
    paths.extend(others.split(' ').map(str::to_owned));
    for path in paths {
        let text = read(&path);
        let lines: Vec<&str> = text.lines().collect();
        // With the line after it, since a phrase may be broken.
        for (n, line) in lines.iter().enumerate() {
            let next = lines.get(n + 1).copied().unwrap_or_default();
            let head = next.split(' ').take(3).collect::<Vec<_>>().join(" ");
            found.push(Passage {
                place: format!("{path}:{}", n + 1),
                text: format!("{line} {head}"),
            });
        }
    }
    found
}

/// The comments of a file; lines that follow each other are one text.
fn comments(source: &Source, found: &mut Vec<Passage>) {
    let mut last = 0;
    for comment in &source.comments {
        let line = source.line(comment.at);
        let text = comment.value.trim_start_matches(['/', '!']);
        match found.last_mut().filter(|_| last > 0 && line == last + 1) {
            Some(passage) => passage.text.extend([" ", text]),
            None => found.push(Passage {
                place: format!("{}:{line}", source.path),
                text: text.to_owned(),
            }),
        }
        last = line;
    }
}
