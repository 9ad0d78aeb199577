//! `login`, `logout` and `whoami`.

use super::super::output::{hidden_line, visible};
use super::settings::{ClientSettings, KeptTokens, output_of};
use super::{CommandError, ConnectionOptions, ServerSession};
use crate::client::{BearerToken, Client, ClientOptions, MeReply, path_of};
use std::path::PathBuf;

pub const LOGIN_EXAMPLES: &str = "Examples:\n  \
    dbward login < token-file\n  \
    dbward login --server production --token-command \"pass show dbward\"\n  \
    dbward login --token-file ~/token";

/// Where the token comes from. Never from an option: other users of the machine see those.
#[derive(Debug, clap::Args)]
pub struct LoginOptions {
    /// Read the token from this file
    #[arg(long, value_name = "FILE", group = "from")]
    token_file: Option<PathBuf>,
    /// Read the token from what this command prints
    #[arg(long, value_name = "COMMAND", group = "from")]
    token_command: Option<String>,
    #[command(flatten)]
    connection: ConnectionOptions,
}

/// `whoami`
pub fn whoami(session: &ServerSession) -> Result<u8, CommandError> {
    let document = session.client.fetch(&path_of(&["me"]))?;
    let me: MeReply = document.read()?;
    session.done(&document, &who(&me, &session.settings.url), &me.subject_id)
}

fn who(me: &MeReply, url: &str) -> String {
    let roles: Vec<&str> = me.roles.iter().map(|r| r.name.as_str()).collect();
    let list = |names: &[&str]| match names.is_empty() {
        true => "none".to_owned(),
        false => visible(&names.join(", ")),
    };
    let groups: Vec<&str> = me.groups.iter().map(String::as_str).collect();
    format!(
        "  {}\n  server  {url}\n  roles   {}\n  groups  {}\n",
        visible(&me.subject_id),
        list(&roles),
        list(&groups)
    )
}

/// `login`
pub fn login(options: &LoginOptions) -> Result<u8, CommandError> {
    let settings = ClientSettings::load(&options.connection)?;
    let text = match (&options.token_file, &options.token_command) {
        (Some(file), _) => std::fs::read_to_string(file)
            .map_err(|e| CommandError::new(format!("{}: {e}", file.display())))?,
        (None, Some(command)) => output_of(command)?,
        (None, None) => hidden_line("Token: ").map_err(|e| CommandError::new(e.to_string()))?,
    };
    if settings.has_oidc && options.token_file.is_none() && options.token_command.is_none() {
        eprintln!(
            "note: [server.oidc] is not used: this command line logs in with a token, which may be one of the provider"
        );
    }
    let token = BearerToken::new(&text).map_err(|e| CommandError::of(&e))?;
    let mut reach = ClientOptions::new(&settings.url, token);
    reach.allow_insecure = true;
    let client = Client::new(&reach).map_err(|e| CommandError::of(&e))?;
    // A token that does not work is not kept.
    let me: MeReply = client.fetch(&path_of(&["me"]))?.read()?;
    let path = KeptTokens::read()?.keep(&settings.url, text.trim())?;
    print!("{}", who(&me, &settings.url));
    println!("Kept in {}, which only you can read.", path.display());
    Ok(0)
}

/// `logout`
pub fn logout(connection: &ConnectionOptions) -> Result<u8, CommandError> {
    let settings = ClientSettings::load(connection)?;
    match KeptTokens::read()?.forget(&settings.url)? {
        true => println!(
            "Forgot the token for {}. It still counts: revoke it with `dbward token revoke`.",
            settings.url
        ),
        false => println!("No token was kept for {}.", settings.url),
    }
    Ok(0)
}
