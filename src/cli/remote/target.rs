//! Which database, in which environment.

use super::CommandError;
use super::settings::ClientSettings;

/// The database that a command is about.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Target")]
pub struct TargetOptions {
    /// Name of the database [default: DBWARD_DATABASE, or default_database of the configuration]
    #[arg(long, short = 'd', value_name = "NAME")]
    pub database: Option<String>,
    /// Name of the environment [default: DBWARD_ENV, or default_environment, or development]
    #[arg(long, short = 'e', value_name = "NAME", visible_alias = "env")]
    pub environment: Option<String>,
}

impl TargetOptions {
    /// Database and environment, by option, variable or configuration.
    pub fn resolve(&self, settings: &ClientSettings) -> Result<(String, String), CommandError> {
        let database = self.database.clone().or_else(|| settings.database.clone());
        let environment = self
            .environment
            .clone()
            .or_else(|| settings.environment.clone());
        let Some(database) = database else {
            return Err(CommandError::new("no database is named")
                .hint("give -d NAME, set DBWARD_DATABASE, or default_database in dbward.toml; `dbward databases` lists them"));
        };
        Ok((
            database,
            environment.unwrap_or_else(|| "development".to_owned()),
        ))
    }
}
