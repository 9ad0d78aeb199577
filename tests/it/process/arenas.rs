//! How many arenas the allocator of a server may have.

use super::serve;
use crate::support::{Program, SHOP, settled};

/// The variable of a running server that was started with it so.
fn in_effect(set: Option<&str>) -> Option<String> {
    let dir = settled(SHOP);
    let mut command = serve(dir.path());
    match set {
        Some(value) => command.env("MALLOC_ARENA_MAX", value),
        None => command.env_remove("MALLOC_ARENA_MAX"),
    };
    let program = Program::start(&mut command);
    program.line();
    // The process that listens is the one that was started, or its signals would not arrive.
    let variables = std::fs::read(format!("/proc/{}/environ", program.id())).unwrap();
    let found = variables
        .split(|b| *b == 0)
        .filter_map(|v| {
            std::str::from_utf8(v)
                .ok()?
                .strip_prefix("MALLOC_ARENA_MAX=")
        })
        .map(str::to_owned)
        .next();
    program.stop();
    found
}

#[test]
fn server_has_few_arenas_unless_its_environment_sets_them() {
    assert_eq!(in_effect(None).as_deref(), Some("2"));
    assert_eq!(in_effect(Some("7")).as_deref(), Some("7"));
}
