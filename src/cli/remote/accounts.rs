//! `login`, `logout` and `whoami`.

use super::super::output::{hidden_line, visible};
use super::kept::{KeptToken, KeptTokens};
use super::settings::{ClientSettings, output_of};
use super::sign_in::{self, SignInWay};
use super::{CommandError, ConnectionOptions, ServerSession};
use crate::cli::output::{say, to_output};
use crate::client::{BearerToken, Client, ClientOptions, MeReply, path_of};
use std::io::{self, IsTerminal};
use std::path::PathBuf;

pub const LOGIN_EXAMPLES: &str = "Examples:\n  \
    dbward login\n  \
    dbward login --browser\n  \
    dbward login --device --server production\n  \
    dbward login < token-file\n  \
    dbward login --server production --token-command \"pass show dbward\"\n  \
    dbward login --token-file ~/token";

/// Where the token comes from. Never from an option: other users of the machine see those. Without one of these, a
/// terminal signs in through the identity provider, if the server has one, and is asked for a token otherwise.
#[derive(Debug, clap::Args)]
pub struct LoginOptions {
    /// Sign in through the identity provider of the server, in a browser on this machine
    #[arg(long, group = "from")]
    browser: bool,
    /// The same in any browser, on any machine, with a code
    #[arg(long, group = "from")]
    device: bool,
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
    let named = match (&options.token_file, &options.token_command) {
        (Some(file), _) => Some(
            std::fs::read_to_string(file)
                .map_err(|e| CommandError::new(format!("{}: {e}", file.display())))?,
        ),
        (None, Some(command)) => Some(output_of(command)?),
        (None, None) => None,
    };
    let way = match (options.browser, options.device) {
        (true, _) => SignInWay::Browser,
        (_, true) => SignInWay::Device,
        _ => SignInWay::Either,
    };
    let asks = way != SignInWay::Either || (named.is_none() && io::stdin().is_terminal());
    let provider = match asks {
        true => sign_in::provider_of(&settings)?,
        false => None,
    };
    let (me, kept) = match (provider, named) {
        (Some(provider), _) => sign_in::run(&provider, way, |token| who_is(&settings, token))?,
        (None, _) if way != SignInWay::Either => {
            return Err(CommandError::new(format!(
                "{} names no identity provider to sign in through",
                visible(&settings.url)
            ))
            .hint("use a token, or name the provider: [server.oidc] with issuer and client_id in dbward.toml"));
        }
        (None, named) => {
            let text = match named {
                Some(text) => text,
                None => hidden_line("Token: ").map_err(|e| CommandError::new(e.to_string()))?,
            };
            let token = BearerToken::new(&text).map_err(|e| CommandError::of(&e))?;
            // A token that does not work is not kept.
            (who_is(&settings, token)?, KeptToken::plain(text.trim()))
        }
    };
    let path = KeptTokens::keep(&settings.url, kept)?;
    to_output(format_args!("{}", who(&me, &settings.url)));
    say!("Kept in {}, which only you can read.", path.display());
    Ok(0)
}

/// Who a token is of, for the server.
fn who_is(settings: &ClientSettings, token: BearerToken) -> Result<MeReply, CommandError> {
    let mut reach = ClientOptions::new(&settings.url, token);
    reach.allow_insecure = true;
    let client = Client::new(&reach).map_err(|e| CommandError::of(&e))?;
    Ok(client.fetch(&path_of(&["me"]))?.read()?)
}

/// `logout`
pub fn logout(connection: &ConnectionOptions) -> Result<u8, CommandError> {
    let settings = ClientSettings::load(connection)?;
    let url = visible(&settings.url);
    match KeptTokens::forget(&settings.url)? {
        Some(true) => say!(
            "Forgot the sign-in for {url}. Its token counts until it ends; the identity provider can end the session."
        ),
        Some(false) => say!(
            "Forgot the token for {url}. It still counts: revoke it with `dbward token revoke`."
        ),
        None => say!("No token was kept for {url}."),
    }
    Ok(0)
}
