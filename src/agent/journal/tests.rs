//! The journal on disk: what it refuses, keeps and forgets.

use super::*;
use std::path::PathBuf;

struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let name = crate::crypto::hex(&crate::crypto::random::<8>());
        Folder(std::env::temp_dir().join(format!("dbward-journal-{name}")))
    }

    fn open(&self) -> Journal {
        Journal::open(&self.0).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

fn target() -> Target {
    Target::new("app", "development").unwrap()
}

const T0: Timestamp = Timestamp(1_767_225_600_000);

#[test]
fn an_execution_starts_once_and_never_again() {
    let folder = Folder::new();
    let journal = folder.open();
    assert!(journal.claimed("e1", "r1", "h", &target(), T0).unwrap());
    assert!(!journal.claimed("e1", "r1", "h", &target(), T0).unwrap());
    journal.finish("e1", "{}", T0).unwrap();
    journal.submitted("e1", true, T0).unwrap();
    drop(journal);
    assert!(
        !folder
            .open()
            .claimed("e1", "r1", "h", &target(), T0)
            .unwrap()
    );
}

#[test]
fn crash_leaves_what_is_known_and_names_what_is_not() {
    let folder = Folder::new();
    let journal = folder.open();
    for id in ["ran", "done", "reported", "refused"] {
        assert!(journal.claimed(id, "r", "h", &target(), T0).unwrap());
    }
    for id in ["done", "reported", "refused"] {
        journal.finish(id, "known", T0).unwrap();
    }
    journal.submitted("reported", true, T0).unwrap();
    journal.submitted("refused", false, T0).unwrap();
    // Nothing is closed in order: the file is read as a crash leaves it.
    let copy = Folder::new();
    std::fs::create_dir(&copy.0).unwrap();
    for name in ["journal.db", "journal.db-wal"] {
        std::fs::copy(folder.0.join(name), copy.0.join(name)).unwrap();
    }
    let journal = copy.open();
    let left = journal.unfinished().unwrap();
    assert_eq!((left.len(), left[0].execution_id.as_str()), (1, "ran"));
    assert_eq!(left[0].target, ("app".to_owned(), "development".to_owned()));
    assert_eq!(left[0].stage, Stage::Claimed);
    journal.finish("ran", "unknown", T0).unwrap();
    assert_eq!(journal.unsubmitted(10).unwrap(), ["done", "ran"]);
    assert_eq!(journal.outcome("ran").unwrap().as_deref(), Some("unknown"));
    assert_eq!(journal.outcome("done").unwrap().as_deref(), Some("known"));
    assert_eq!(journal.outcome("reported").unwrap(), None);
    assert_eq!(journal.unsubmitted(1).unwrap().len(), 1);
}

#[test]
fn states_are_left_in_order_only() {
    let folder = Folder::new();
    let journal = folder.open();
    assert!(journal.finish("e", "{}", T0).is_err());
    assert!(journal.claimed("e", "r", "h", &target(), T0).unwrap());
    assert!(journal.submitted("e", true, T0).is_err());
    journal.finish("e", "{}", T0).unwrap();
    assert!(journal.finish("e", "other", T0).is_err());
    assert_eq!(journal.outcome("e").unwrap().as_deref(), Some("{}"));
    let huge = " ".repeat(OUTCOME_BYTES_MAX + 1);
    assert!(journal.claimed("f", "r", "h", &target(), T0).unwrap());
    assert!(journal.finish("f", &huge, T0).is_err());
}

#[test]
fn only_what_is_settled_and_old_is_forgotten() {
    let folder = Folder::new();
    let journal = folder.open();
    for id in ["a", "b", "c"] {
        assert!(journal.claimed(id, "r", "h", &target(), T0).unwrap());
    }
    journal.finish("a", "{}", T0).unwrap();
    journal.finish("b", "{}", T0).unwrap();
    journal.submitted("a", true, T0).unwrap();
    let days = |n: u64| T0.plus_secs(n * 86_400);
    assert_eq!(journal.prune(days(30)).unwrap(), 0);
    assert_eq!(journal.prune(days(31)).unwrap(), 1);
    assert_eq!(journal.unsubmitted(10).unwrap(), ["b"]);
}

#[test]
fn highest_epoch_is_kept() {
    let folder = Folder::new();
    let journal = folder.open();
    let seen = [0, 3, 10, 9, 0, 11].map(|epoch| journal.enter_epoch(epoch).unwrap());
    assert_eq!(seen, [0, 3, 10, 10, 10, 11]);
    drop(journal);
    assert_eq!(folder.open().enter_epoch(2).unwrap(), 11);
}

#[test]
fn the_folder_is_private_and_has_one_agent() {
    let folder = Folder::new();
    let journal = folder.open();
    journal.set_public_key("aa").unwrap();
    journal.set_public_key("bb").unwrap();
    assert_eq!(journal.public_key().unwrap().as_deref(), Some("bb"));
    let second = Journal::open(&folder.0).err().unwrap().to_string();
    assert!(second.contains("another agent"), "{second}");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.0), 0o700);
    let mut files = 0;
    for entry in std::fs::read_dir(&folder.0).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        files += 1;
    }
    // The journal, and the lock of its one agent.
    assert!(files >= 2, "{files}");
    drop(journal);
    folder.open();
}
