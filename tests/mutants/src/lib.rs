//! The rules and what they stand on, mounted from the program's own files. Nothing is written here.

#[path = "../../../src/clock/mod.rs"]
pub mod clock;
#[path = "../../../src/crypto.rs"]
pub mod crypto;
#[path = "../../../src/declare.rs"]
pub mod declare;
#[path = "../../../src/domain/mod.rs"]
pub mod domain;
#[path = "../../../src/error.rs"]
pub mod error;
