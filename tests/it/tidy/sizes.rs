//! How large a file and a function may be.

use super::none;
use super::source::{Source, sources};

/// Lines of a file, so that it is read in one sitting.
const FILE_LINES: usize = 500;
/// Lines of a function, from its `fn` to its last brace: two screens.
const FUNCTION_LINES: usize = 70;

/// Functions that were longer than `FUNCTION_LINES` when the rule came: each one flat match over every kind of
/// expression. Only ever shorten this list.
const LONG_FUNCTIONS: &[(&str, &str)] = &[
    ("src/domain/sql/walk_expr.rs", "expr"),
    ("src/domain/sql/walk_expr.rs", "expr_branch"),
];

fn all() -> impl Iterator<Item = Source> {
    ["src", "tests", "benches"].into_iter().flat_map(sources)
}

#[test]
fn no_file_is_longer_than_one_sitting() {
    let mut found = Vec::new();
    for source in all() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES {
            found.push(format!(
                "{}: {lines} lines; split it by what it is about",
                source.path
            ));
        }
    }
    none(&format!("a file has at most {FILE_LINES} lines"), &found);
}

#[test]
fn no_function_is_longer_than_two_screens() {
    let (mut found, mut used) = (Vec::new(), Vec::new());
    for source in all() {
        for function in source.functions() {
            if function.lines <= FUNCTION_LINES {
                continue;
            }
            let known = LONG_FUNCTIONS
                .iter()
                .find(|(path, name)| *path == source.path && *name == function.name);
            match known {
                Some(known) => used.push(known),
                None => found.push(format!(
                    "{}:{} `{}` has {} lines",
                    source.path, function.line, function.name, function.lines
                )),
            }
        }
    }
    let idle = LONG_FUNCTIONS.iter().filter(|known| !used.contains(known));
    found.extend(idle.map(|(path, name)| {
        format!("{path}: `{name}` is short enough; take it from LONG_FUNCTIONS")
    }));
    none(
        &format!("a function has at most {FUNCTION_LINES} lines"),
        &found,
    );
}
