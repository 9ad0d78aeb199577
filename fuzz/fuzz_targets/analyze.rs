//! The analysis of any text in any dialect: it may refuse, but never panics, overflows or hangs, and what it says of the
//! plan is true. Seed it with the statements of `tests/sql`.
#![no_main]

use dbward::domain::dialect::Dialect;
use dbward::domain::sql::{Class, STACK_BYTES, analyze};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: String| {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let checks = thread.spawn(move || {
        for dialect in [Dialect::Postgres, Dialect::MySql, Dialect::Sqlite] {
            check(&text, dialect);
        }
    });
    if let Ok(checks) = checks {
        assert!(checks.join().is_ok(), "the analysis panicked");
    }
});

fn check(text: &str, dialect: Dialect) {
    let Ok(analysis) = analyze(text, dialect) else {
        return;
    };
    match &analysis.plan {
        Some(plan) => {
            assert_eq!(plan.len(), analysis.statements.len());
            let mut rest = text;
            for piece in plan {
                let found = rest.find(piece.as_str());
                assert!(found.is_some(), "a piece of the plan is not the source's");
                rest = &rest[found.unwrap_or(0) + piece.len()..];
            }
        }
        None => assert!(!matches!(analysis.class, Class::Select | Class::Dml { .. })),
    }
}
