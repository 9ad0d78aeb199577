//! The statements that `columns!` of the store makes, put together as it does.

use super::source::{Source, is_name};

/// What one `columns!` declares.
pub struct DeclaredColumns {
    /// Name of the enum.
    name: String,
    /// All columns, as a SELECT lists them.
    list: String,
    /// Where each statement is declared, and its text.
    pub statements: Vec<(usize, String)>,
}

/// Every declaration of a file, outside its tests.
pub fn declared_columns(source: &Source) -> Vec<DeclaredColumns> {
    let starts = source.uses("columns! {").into_iter();
    starts.map(|start| declared(source, start)).collect()
}

fn declared(source: &Source, start: usize) -> DeclaredColumns {
    let code = &source.code[start..];
    let (mut depth, mut end) = (0, code.len());
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => {
                end = at;
                break;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    let (mut columns, mut from, mut tails) = (Vec::new(), "", Vec::new());
    let inside = start..start + end;
    for quoted in source.strings.iter().filter(|q| inside.contains(&q.at)) {
        let before = source.code[start..quoted.at].trim_end();
        let rest = &source.code[quoted.at + 1..];
        let after = rest[rest.find('"').unwrap() + 1..].trim_start();
        match before.rsplit(' ').next() {
            Some("of") => {}
            Some("from") => from = &quoted.value,
            _ if after.starts_with(';') => tails.push((quoted.at, &quoted.value)),
            _ => columns.push(quoted.value.as_str()),
        }
    }
    let list = columns.join(", ");
    let name = code[..end].split("enum ").nth(1).unwrap_or_default();
    DeclaredColumns {
        name: name.split(' ').next().unwrap_or_default().to_owned(),
        statements: tails
            .into_iter()
            .map(|(at, tail)| (at, format!("SELECT {list} FROM {from} {tail}")))
            .collect(),
        list,
    }
}

/// A text with the constants of its file in their places: texts, lists of declared columns, and what it takes from
/// `others`.
pub fn filled(
    source: &Source,
    others: &[Source],
    declared: &[DeclaredColumns],
    text: &str,
) -> String {
    let mut text = text.to_owned();
    fill_texts(&mut text, source);
    for columns in declared {
        let is = format!(": &str = {}::LIST;", columns.name);
        for (at, _) in source.code.match_indices(&is) {
            fill(&mut text, &source.code[..at], &columns.list);
        }
    }
    let taken = |other: &&Source| {
        let module = other.path.rsplit('/').next().unwrap_or_default();
        let module = module.trim_end_matches(".rs");
        source.code.contains(&format!("::{module}::"))
    };
    for other in others.iter().filter(taken) {
        fill_texts(&mut text, other);
    }
    text
}

/// Puts the texts that are constants of `source` in their places.
fn fill_texts(text: &mut String, source: &Source) {
    for quoted in &source.strings {
        let before = source.code[..quoted.at].trim_end();
        if let Some(before) = before.strip_suffix(": &str =") {
            fill(text, before, &quoted.value);
        }
    }
}

/// Puts `value` where `text` has the constant whose name `before` ends with.
fn fill(text: &mut String, before: &str, value: &str) {
    let start = before.rfind(|c| !is_name(c)).map_or(0, |n| n + 1);
    *text = text.replace(&format!("{{{}}}", &before[start..]), value);
}

#[test]
fn a_declaration_is_read_as_the_macro_reads_it() {
    let text = "columns! {\n    /// What.\n    enum Pet of \"pets\" from \"pets p\" {\n        Name = \"p.name\",\n        \
                Legs = \"p.legs\",\n    }\n    BY_LEGS = \"WHERE p.legs = ?1\";\n}\nconst ALL: &str = Pet::LIST;\n";
    let source = Source::new("src/store/pets.rs", text.to_owned());
    let declared = declared_columns(&source);
    let statements: Vec<&str> = declared[0]
        .statements
        .iter()
        .map(|s| s.1.as_str())
        .collect();
    let expected = "SELECT p.name, p.legs FROM pets p WHERE p.legs = ?1";
    assert_eq!(statements, [expected]);
    let listed = filled(&source, &[], &declared, "SELECT {ALL} FROM pets p");
    assert_eq!(listed, "SELECT p.name, p.legs FROM pets p");
}
