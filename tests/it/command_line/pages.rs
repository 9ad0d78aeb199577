//! Help, completion and man pages, held against the parser.

use super::console::Console;
use super::run;
use crate::support::Temp;
use clap::Command;
use std::fs;

/// Every command that does something, with the words that call it.
pub(super) fn commands() -> Vec<(Vec<String>, Command)> {
    let mut found = Vec::new();
    let mut open = vec![(Vec::new(), dbward::cli::command())];
    while let Some((words, command)) = open.pop() {
        for inner in command.get_subcommands() {
            if inner.is_hide_set() || inner.get_name() == "help" {
                continue;
            }
            let mut words = words.clone();
            words.push(inner.get_name().to_owned());
            open.push((words, inner.clone()));
        }
        found.push((words, command));
    }
    found
}

/// The long options that a page must name.
fn options(command: &Command) -> Vec<String> {
    let shown = command.get_arguments().filter(|a| !a.is_hide_set());
    shown
        .filter_map(|a| a.get_long().map(|long| format!("--{long}")))
        .collect()
}

/// The words of a line as a shell reads it, up to what the shell keeps for itself.
fn words(line: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '|' | '>' | '<' | ')' | ';') => break,
            (None, ' ') => found.push(String::new()),
            (_, c) => found.last_mut().unwrap().push(c),
        }
    }
    found.retain(|word| !word.is_empty());
    found
}

#[test]
fn every_command_opens_with_examples_that_parse() {
    for (words_of, command) in commands() {
        let examples = command
            .get_before_help()
            .unwrap_or_else(|| panic!("{words_of:?} has no examples"));
        let examples = examples.to_string();
        let lines: Vec<&str> = examples.lines().collect();
        assert_eq!(lines[0], "Examples:", "{words_of:?}");
        assert!(lines.len() > 1, "{words_of:?}");
        for line in &lines[1..] {
            let (_, call) = line
                .split_once("dbward ")
                .unwrap_or_else(|| panic!("{line}"));
            let call = words(&format!("dbward {call}"));
            if let Err(e) = dbward::cli::command().try_get_matches_from(&call) {
                assert_eq!(e.exit_code(), 0, "{line}: {e}");
            }
            assert!(
                words_of.is_empty() || call[1..].starts_with(&words_of),
                "{line} in {words_of:?}"
            );
        }
    }
}

#[test]
fn help_and_man_pages_name_every_option() {
    let dir = Temp::new();
    let folder = dir.path().to_str().unwrap();
    let (code, out, errors) = run(&["man", "--dir", folder]);
    assert_eq!((code, out.as_str(), errors.as_str()), (0, "", ""));
    for (words, command) in commands() {
        let mut call: Vec<&str> = words.iter().map(String::as_str).collect();
        call.push("--help");
        let (code, help, _) = run(&call);
        assert_eq!(code, 0, "{words:?}");
        let mut other = vec!["help"];
        other.extend(words.iter().map(String::as_str));
        assert_eq!(
            run(&other).1,
            help,
            "help and --help are one page: {words:?}"
        );
        let name: Vec<&str> = ["dbward"]
            .into_iter()
            .chain(words.iter().map(String::as_str))
            .collect();
        let page = fs::read_to_string(dir.path().join(format!("{}.1", name.join("-")))).unwrap();
        // Roff writes a hyphen that is not to be broken as `\-`.
        let page = page.replace("\\-", "-");
        for option in options(&command) {
            assert!(
                help.contains(&option),
                "no {option} in the help of {words:?}"
            );
            assert!(
                page.contains(&option),
                "no {option} in the man page of {words:?}"
            );
        }
        assert!(page.contains(".SH EXAMPLES"), "{words:?}");
    }
}

#[test]
fn completion_knows_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = run(&["completion", shell]);
        assert_eq!(code, 0);
        for (words, _) in commands() {
            for word in words {
                assert!(script.contains(&word), "no {word} in the script of {shell}");
            }
        }
        assert!(!script.contains("agent-child"), "{shell}");
    }
    assert_eq!(run(&["completion", "tcsh"]).0, 2);
}

#[test]
fn a_man_page_of_no_command_is_refused() {
    assert_eq!(
        run(&["man", "policy", "dance"]),
        (
            1,
            String::new(),
            "dbward: no command `dbward policy dance`\n".to_owned()
        )
    );
    let (code, page, _) = run(&["man", "policy", "test"]);
    assert!(
        code == 0
            && (page.contains("dbward-policy-test") || page.contains("dbward\\-policy\\-test")),
        "{page}"
    );
}

#[test]
fn slip_of_the_finger_is_answered_with_the_nearest_word() {
    for (call, words) in [
        (&["srve"][..], "serve"),
        (&["policy", "tset"], "test"),
        (&["serve", "--confg", "x"], "--config"),
        (&["serve", "--listen", "nowhere"], "127.0.0.1:3000"),
        (&["serve", "--accept-rollback", " "], "empty"),
    ] {
        let (code, out, errors) = run(call);
        assert!(
            code == 2 && out.is_empty() && errors.contains(words),
            "{call:?}: {errors}"
        );
    }
}

#[test]
fn help_fits_a_terminal_of_80_columns_and_is_whole() {
    let console = Console::at("");
    for (words, _) in commands() {
        let mut call: Vec<&str> = words.iter().map(String::as_str).collect();
        call.push("--help");
        let piped = console.run(None, &call).is(0).out;
        let seen = console
            .on_terminal(80, "", &call)
            .is(0)
            .out
            .replace('\r', "");
        let wide =
            |line: &&str| line.chars().count() > 80 && !line.trim_start().starts_with("dbward ");
        let wide: Vec<&str> = seen.lines().filter(wide).collect();
        assert!(wide.is_empty(), "{words:?}: {wide:#?}");
        let all = |page: &str| page.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(all(&seen), all(&piped), "{words:?}");
    }
}

#[test]
fn help_on_a_terminal_looks_as_its_golden_says() {
    let mut console = Console::at("");
    console.record_sentences(&["help", "preflight"], 0);
    console.record_sentences(&["help", "policy"], 0);
    console.golden("help");
}
