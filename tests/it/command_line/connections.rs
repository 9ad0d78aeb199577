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

/// The database and environment that a command is about, by what files, variables and options say.
fn target(console: &Console, token: &str, env: &[(&str, &str)], more: &[&str]) -> (String, String) {
    let call = [
        &["preflight", "SELECT 1", "--no-explain", "--format", "json"],
        more,
    ]
    .concat();
    let mut command = console.command(Some(token), &call);
    command
        .env_remove("DBWARD_DATABASE")
        .envs(env.iter().copied());
    // Whether it may run there is another question.
    let ran = super::console::finished(&mut command, "");
    let tried: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let text = |name: &str| tried[name].as_str().unwrap().to_owned();
    (text("database"), text("environment"))
}

#[test]
fn database_and_environment_come_from_files_variables_and_options() {
    let books = "[[databases]]\nname = \"books\"\nenvironments = [\"development\", \"staging\", \"production\"]\n";
    let server = Server::with(&format!("{}{books}", crate::support::SHOP));
    let console = Console::before(&server);
    let token = server.requester().token.unwrap();
    let mut nothing = console.command(Some(&token), &["preflight", "SELECT 1"]);
    let ran = super::console::finished(nothing.env_remove("DBWARD_DATABASE"), "").is(2);
    assert!(
        ran.errors.contains("no database is named"),
        "{}",
        ran.errors
    );
    let is = |env: &[(&str, &str)], more: &[&str], database: &str, environment: &str| {
        let found = target(&console, &token, env, more);
        assert_eq!(
            found,
            (database.to_owned(), environment.to_owned()),
            "{env:?} {more:?}"
        );
    };
    let folder = console.home().join(".config/dbward");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.toml"), "default_database = \"shop\"\n").unwrap();
    is(&[], &[], "shop", "development");
    let project = "default_environment = \"staging\"\n";
    fs::write(console.home().join("dbward.toml"), project).unwrap();
    is(&[], &[], "shop", "staging");
    let both = format!("default_database = \"books\"\n{project}");
    fs::write(console.home().join("dbward.toml"), both).unwrap();
    is(&[], &[], "books", "staging");
    is(&[("DBWARD_DATABASE", "shop")], &[], "shop", "staging");
    is(&[("DBWARD_ENV", "production")], &[], "books", "production");
    let variables = [("DBWARD_DATABASE", "shop"), ("DBWARD_ENV", "production")];
    is(
        &variables,
        &["-d", "books", "-e", "staging"],
        "books",
        "staging",
    );
    // What is empty counts for nothing.
    is(
        &[("DBWARD_DATABASE", ""), ("DBWARD_ENV", "")],
        &[],
        "books",
        "staging",
    );
    // A server may have its own.
    let own = format!(
        "default_database = \"shop\"\n{project}[servers.one]\nurl = \"{}\"\ntoken = \"{token}\"\n\
         database = \"books\"\nenvironment = \"production\"\n",
        url(&server)
    );
    fs::write(console.home().join("dbward.toml"), own).unwrap();
    is(&[], &[], "shop", "staging");
    is(&[], &["--server", "one"], "books", "production");
    is(
        &[("DBWARD_ENV", "development")],
        &["--server", "one"],
        "books",
        "development",
    );
}

#[test]
fn who_allows_plain_http_is_not_warned_of_it() {
    let server = Server::shop();
    let console = Console::before(&server);
    // Not an address of this machine by its name, and refused at once.
    let away = "http://0.0.0.0:1";
    let errors = |env: &[(&str, &str)]| {
        let mut command = console.command(None, &["whoami"]);
        command
            .env("DBWARD_SERVER_URL", away)
            .env("DBWARD_TOKEN", "dbw_x");
        super::console::finished(command.envs(env.iter().copied()), "")
            .is(1)
            .errors
    };
    let warned = |env: &[(&str, &str)]| errors(env).contains("sends your token unencrypted");
    let variable = |value: &'static str| [("DBWARD_ALLOW_INSECURE", value)];
    assert!(warned(&[]) && warned(&variable("0")) && warned(&variable("false")));
    assert!(!warned(&variable("1")) && !warned(&variable("true")));
    let file = console.home().join("dbward.toml");
    for (allowed, warns) in [("true", false), ("false", true)] {
        fs::write(&file, format!("[server]\nallow_insecure = {allowed}\n")).unwrap();
        assert_eq!(warned(&[]), warns, "allow_insecure = {allowed}");
    }
}

#[test]
fn old_setting_of_the_result_folder_is_reported_unused() {
    let server = Server::shop();
    let console = Console::before(&server);
    let token = server.requester().token.unwrap();
    let whoami = |toml: &str| {
        fs::write(console.home().join("dbward.toml"), toml).unwrap();
        console.run(Some(&token), &["whoami"]).is(0).errors
    };
    assert_eq!(
        whoami("[results]\ndir = \"results\"\nformat = \"table\"\n"),
        "warning: dbward.toml: `results.dir` is not used; --output FILE writes a result into a file\n"
    );
    assert_eq!(whoami("[results]\nformat = \"table\"\n"), "");
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
