//! What must not change: bytes that are hashed or kept, held against golden files.
//!
//! A server that is upgraded reads what an older one wrote: it verifies the hashes of old audit events and computes old
//! decisions again. A golden file here changes only when something is added.

mod changes;
mod texts;

use std::path::Path;

/// Compares `text`, byte for byte, with a file of `tests/golden`; UPDATE_GOLDEN=1 writes the file instead.
#[track_caller]
fn golden(name: &str, text: &str) {
    // The crate of the rules alone mounts this file too, from a folder below.
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("tests/golden").join(name))
        .find(|path| path.parent().is_some_and(Path::is_dir))
        .unwrap_or_else(|| panic!("no tests/golden/{name}"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    for (line, (now, then)) in text.lines().zip(kept.lines()).enumerate() {
        assert_eq!(now, then, "{} line {}", path.display(), line + 1);
    }
    assert_eq!(text, kept, "{}", path.display());
}
