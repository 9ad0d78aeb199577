//! The command line: parser, help, completion and man pages say the same.

mod approvers;
mod browser;
mod connections;
pub(crate) mod console;
mod device;
mod doctor;
mod every_command;
mod every_option;
mod interrupts;
mod old_command_line;
mod operations;
mod pages;
mod preflight;
mod programs;
mod rehearsals;
mod requests;
pub(crate) mod steady;
mod terminal;
mod waiting;

use crate::support::binary;
use std::process::Output;

/// Exit code, output and errors of the program.
fn run(arguments: &[&str]) -> (i32, String, String) {
    ended(binary().args(arguments).output().unwrap())
}

fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}
