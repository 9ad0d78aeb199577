//! Which server, and by whose token: files, variables, named servers, `login`.

use super::console::{Console, shown};
use crate::support::Server;
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn url(server: &Server) -> String {
    format!("http://{}", server.inner().addr())
}

#[test]
fn files_and_variables_are_layers() {
    let server = Server::shop();
    let console = Console::before(&server);
    let (one, two) = (
        server.requester().token.unwrap(),
        server.approver().token.unwrap(),
    );
    let whoami = |more: &[&str], env: &[(&str, &str)]| {
        let mut args = vec!["whoami", "--format", "quiet"];
        args.extend(more);
        let mut command = console.command(None, &args);
        command.envs(env.iter().copied());
        super::console::finished(&mut command, "")
    };
    let ran = whoami(&[], &[]).is(1);
    assert!(
        ran.errors.contains("no server is named") && ran.errors.contains("DBWARD_SERVER_URL"),
        "{}",
        ran.errors
    );
    // The user's own file, below the project's, below variables.
    let folder = console.home().join(".config/dbward");
    fs::create_dir_all(&folder).unwrap();
    let global = format!("[server]\nurl = \"{}\"\ntoken = \"{one}\"\n", url(&server));
    fs::write(folder.join("config.toml"), &global).unwrap();
    assert_eq!(whoami(&[], &[]).is(0).out, "requester\n");
    let project = console.home().join("dbward.toml");
    fs::write(
        &project,
        format!("[server]\ntoken = \"${{OTHER:-{two}}}\"\n"),
    )
    .unwrap();
    assert_eq!(whoami(&[], &[]).is(0).out, "approver\n");
    assert_eq!(whoami(&[], &[("OTHER", &one)]).is(0).out, "requester\n");
    assert_eq!(
        whoami(&[], &[("DBWARD_TOKEN", &one)]).is(0).out,
        "requester\n"
    );
    // A token does not follow to an address that came after it.
    let ran = whoami(&[], &[("DBWARD_SERVER_URL", &url(&server))]).is(1);
    assert!(
        ran.errors
            .contains("the server comes from DBWARD_SERVER_URL, its token from"),
        "{}",
        ran.errors
    );
    // One file in place of both.
    let alone = console.home().join("alone.toml");
    fs::write(&alone, &global).unwrap();
    assert_eq!(
        whoami(&["--config", "alone.toml"], &[]).is(0).out,
        "requester\n"
    );
    assert_eq!(
        whoami(&[], &[("DBWARD_CONFIG", "alone.toml")]).is(0).out,
        "requester\n"
    );
}

#[test]
fn a_file_that_is_wrong_is_named_with_its_line() {
    let server = Server::shop();
    let console = Console::before(&server);
    let token = server.requester().token.unwrap();
    let whoami = || console.run(Some(&token), &["whoami"]);
    let project = console.home().join("dbward.toml");
    fs::write(&project, "[server\n").unwrap();
    assert!(whoami().is(1).errors.contains("dbward.toml:1"));
    fs::write(
        &project,
        "colour = \"blue\"\n[databases.app]\nurl = \"x\"\n",
    )
    .unwrap();
    let ran = whoami().is(0);
    assert_eq!(
        ran.errors,
        "warning: dbward.toml: `colour` means nothing here\n"
    );
}

#[test]
fn servers_have_names_and_tokens_of_their_own() {
    let server = Server::shop();
    let console = Console::before(&server);
    let (one, two) = (
        server.requester().token.unwrap(),
        server.approver().token.unwrap(),
    );
    fs::write(console.home().join("two-token"), format!("{two}\n")).unwrap();
    let at = url(&server);
    let text = format!(
        "default_server = \"one\"\n[servers.one]\nurl = \"{at}\"\ntoken_command = \"echo {one}\"\n\
         [servers.two]\nurl = \"{at}/\"\ntoken_file = \"two-token\"\n"
    );
    fs::write(console.home().join("dbward.toml"), text).unwrap();
    let whoami = |more: &[&str]| {
        let args: Vec<&str> = ["whoami", "--format", "quiet"]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        console.run(None, &args)
    };
    assert_eq!(whoami(&[]).is(0).out, "requester\n");
    assert_eq!(whoami(&["--server", "two"]).is(0).out, "approver\n");
    // A variable belongs to another server.
    let ran = console
        .run(
            Some(&one),
            &["whoami", "--server", "two", "--format", "quiet"],
        )
        .is(0);
    assert_eq!(ran.out, "approver\n");
    assert!(
        whoami(&["--server", "six"])
            .is(1)
            .errors
            .contains("known are one, two")
    );
}

#[test]
fn login_keeps_a_token_that_works_and_logout_forgets_it() {
    let server = Server::shop();
    let console = Console::before(&server);
    let token = server.requester().token.unwrap();
    fs::write(
        console.home().join("dbward.toml"),
        format!("[server]\nurl = \"{}\"\n", url(&server)),
    )
    .unwrap();
    let ran = console.run(None, &["whoami"]).is(1);
    assert!(ran.errors.contains("dbward login"), "{}", ran.errors);
    console
        .run_with(None, &["login"], "dbw_00000000000000000000000000000000\n")
        .is(1);
    let kept = console.home().join(".config/dbward/credentials.json");
    assert!(!kept.exists());
    let ran = console
        .run_with(None, &["login"], &format!("{token}\n"))
        .is(0);
    assert!(
        ran.out.contains("requester") && !ran.out.contains(&token),
        "{}",
        ran.out
    );
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&kept), mode(kept.parent().unwrap())), (0o600, 0o700));
    assert_eq!(
        console
            .run(None, &["whoami", "--format", "quiet"])
            .is(0)
            .out,
        "requester\n"
    );
    console.run(None, &["logout"]).is(0);
    console.run(None, &["whoami"]).is(1);
    // On a terminal the token is not shown as it is typed.
    let keys = format!("{token}\n");
    let seen = shown(
        console.command(None, &["login"]),
        80,
        Some(("Token: ", &keys)),
    )
    .is(0);
    assert!(
        seen.out.contains("requester") && !seen.out.contains(&token),
        "{}",
        seen.out
    );
}

#[test]
fn plain_http_to_another_machine_is_warned_of() {
    let server = Server::shop();
    let console = Console::before(&server);
    let mut command = console.command(None, &["whoami"]);
    command
        .env("DBWARD_SERVER_URL", "http://192.0.2.1.invalid:1")
        .env("DBWARD_TOKEN", "dbw_x");
    let ran = super::console::finished(&mut command, "").is(1);
    assert!(
        ran.errors
            .starts_with("warning: http://192.0.2.1.invalid:1 sends your token unencrypted"),
        "{}",
        ran.errors
    );
}

#[test]
fn whoami_looks_the_same_on_every_terminal() {
    let server = Server::shop();
    let mut console = Console::before(&server);
    let mine = server.requester().token.unwrap();
    console.record_wide(&mine, &["whoami"]).is(0);
    console.record(&mine, &["whoami", "--format", "json"]).is(0);
    console.golden("whoami");
}
