//! Where the instructions of a call go: what callgrind counted in each function itself, added up by part.

use std::collections::HashMap;

/// Parts by what the name of a function, or of its file, holds; the first that fits counts. What fits none is the rest:
/// routes, actions and the standard library.
const PARTS: [(&str, &[&str]); 10] = [
    ("SQLite", &["sqlite3.c", "rusqlite"]),
    ("memory", &["malloc", "calloc", "realloc", "free", "mem"]),
    ("signature", &["curve25519", "ed25519"]),
    ("hash", &["sha2::", "digest::", "hmac"]),
    ("parse", &["sqlparser"]),
    ("JSON", &["serde", "itoa::", "ryu::", "zmij"]),
    (
        "analyse",
        &[
            "dbward::domain::sql",
            "dbward::analyzer",
            "dbward::domain::risk",
        ],
    ),
    ("decide", &["dbward::domain"]),
    (
        "gate",
        &[
            "dbward::gate",
            "tiny_http",
            "dbward::http::listener",
            "chunked_transfer",
        ],
    ),
    ("store", &["dbward::store"]),
];
/// A part below this share of all is not worth a word.
const SHARE_MIN: f64 = 0.02;

/// The parts of a dump of callgrind, largest first, as `SQLite 41%, memory 16%`.
///
/// The format: `fl=`, `fi=` and `fe=` name files, `fn=` the function that the following lines of numbers belong to; the
/// line after `calls=` counts what was called, and is not the function's own.
pub fn of(dump: &str) -> String {
    let mut names = HashMap::new();
    let mut files = HashMap::new();
    let mut file = "";
    let mut counts = [0_u64; PARTS.len() + 1];
    let mut part = PARTS.len();
    let mut of_a_call = false;
    for line in dump.lines() {
        if let Some(named) = line.strip_prefix("fl=") {
            file = resolve(&mut files, named);
        } else if let Some(named) = ["fi=", "fe=", "cfi=", "cfl="]
            .iter()
            .find_map(|key| line.strip_prefix(key))
        {
            resolve(&mut files, named);
        } else if let Some(named) = line.strip_prefix("fn=") {
            part = part_of(file, resolve(&mut names, named));
        } else if let Some(named) = line.strip_prefix("cfn=") {
            resolve(&mut names, named);
        } else if line.starts_with("calls=") {
            of_a_call = true;
        } else if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c))
            && !std::mem::take(&mut of_a_call)
        {
            let own = line.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok());
            counts[part] += own.unwrap_or(0);
        }
    }
    let all = counts.iter().sum::<u64>().max(1) as f64;
    let mut shares: Vec<(&str, f64)> = PARTS
        .iter()
        .map(|(name, _)| *name)
        .chain(["the rest"])
        .zip(counts.iter().map(|n| *n as f64 / all))
        .filter(|(_, share)| *share >= SHARE_MIN)
        .collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    let words: Vec<String> = shares
        .iter()
        .map(|(name, share)| format!("{name} {:.0}%", share * 100.0))
        .collect();
    words.join(", ")
}

/// A name that stands in full at its first use, `(7) name`, and as `(7)` afterwards.
fn resolve<'d>(known: &mut HashMap<&'d str, &'d str>, named: &'d str) -> &'d str {
    match named.split_once(' ') {
        Some((id, name)) => {
            known.insert(id, name);
            name
        }
        None => known.get(named).copied().unwrap_or(named),
    }
}

fn part_of(file: &str, function: &str) -> usize {
    let fits = |words: &[&str]| {
        words
            .iter()
            .any(|word| function.contains(word) || file.ends_with(word))
    };
    PARTS
        .iter()
        .position(|(_, words)| fits(words))
        .unwrap_or(PARTS.len())
}
