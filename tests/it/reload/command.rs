//! `dbward reload`: it ends as the reload that it asked for.

use super::open;
use super::running::Running;
use crate::support::{Program, SHOP, binary};
use std::fs;
use std::process::Command;

fn run(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn the_command_ends_as_its_reload_did() {
    let s = Running::start(SHOP);
    let file = s.dir.path().join("server.toml");
    let reload = || run(binary().arg("reload").arg("--config").arg(&file));
    s.write(&open());
    let (code, out, errors) = reload();
    assert!(code == 0 && out.contains("generation 2"), "{out}{errors}");
    assert_eq!(s.value("generation"), 2);
    s.write("colour = \"blue\"\n");
    let (code, out, errors) = reload();
    assert!(
        code == 1 && out.is_empty() && errors.contains("colour"),
        "{out}{errors}"
    );
    assert_eq!(
        (s.value("generation"), s.value("reload_failures_total")),
        (2, 0)
    );
    s.write(&open());
    let dir = s.dir.path().join("state");
    let number = fs::read_to_string(dir.join("server.pid")).unwrap();
    assert!(number.trim().parse::<u32>().is_ok());
    let Running { dir, program, .. } = s;
    program.stop();
    let (code, out, errors) = run(binary().arg("reload").arg("--config").arg(&file));
    assert!(code == 1 && out.is_empty(), "{out}");
    assert!(errors.contains("no server uses the state_dir"), "{errors}");
    // A number that is left over from a killed server is nobody to send a signal to.
    let (program, _) = Program::serve(dir.path());
    program.kill();
    let (code, _, errors) = run(binary().arg("reload").arg("--config").arg(&file));
    assert!(code == 1 && errors.contains("no server uses"), "{errors}");
}

#[test]
fn the_command_fails_where_only_the_server_refuses() {
    let s = Running::start(SHOP);
    let file = s.dir.path().join("server.toml");
    // The file is correct; that it would lock everybody out, only the server knows.
    s.write(&format!(
        "{SHOP}\n[[users]]\nid = \"admin\"\nstatus = \"suspended\"\n"
    ));
    let (code, out, errors) = run(binary().arg("reload").arg("--config").arg(&file));
    assert!(code == 1 && out.is_empty(), "{out}");
    assert!(errors.contains("did not apply"), "{errors}");
    assert!(errors.contains("could administer"), "{errors}");
    let other = s.dir.path().join("other.toml");
    s.write(SHOP);
    fs::copy(&file, &other).unwrap();
    let (code, _, errors) = run(binary().arg("reload").arg("--config").arg(&other));
    assert!(
        code == 1 && errors.contains("which was checked"),
        "{errors}"
    );
    let left = fs::read_dir(s.dir.path().join("state/reload")).unwrap();
    assert_eq!(left.count(), 0, "nothing is left of what was asked");
    s.stop();
}
