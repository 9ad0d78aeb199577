//! `dbward check-config`: reports what is wrong with a configuration, without starting anything, and lists what deserves
//! a second look.

use crate::agent::config::{AgentConfig, DRIVERS};
use crate::config::Config;
use crate::domain::policy::Policies;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct Options {
    /// A server.toml [default: server.toml, unless only an agent.toml is checked]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// An agent.toml; server.toml is then checked only with --config
    #[arg(long, value_name = "FILE")]
    pub agent: Option<PathBuf>,
}

/// Prints warnings and how much was understood; every problem of both files is the error.
pub fn run(options: &Options) -> Result<(), String> {
    let mut problems = Vec::new();
    // With `--agent` alone, there may be no server.toml on this machine.
    if options.config.is_some() || options.agent.is_none() {
        let path = options
            .config
            .as_deref()
            .unwrap_or(Path::new("server.toml"));
        problems.extend(server(path).err());
    }
    if let Some(path) = &options.agent {
        problems.extend(agent(path).err());
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems.join("\n")),
    }
}

fn server(path: &Path) -> Result<(), String> {
    let config = Config::load(path).map_err(|problems| problems.to_string())?;
    let file = path.display();
    for warning in &config.warnings {
        println!("warning: {file}: {warning}");
    }
    let p = &config.policies;
    for warning in undriven(p) {
        println!("warning: {file}: {warning}");
    }
    for note in overridable(p).into_iter().chain(groups(&config)) {
        println!("note: {file}: {note}");
    }
    println!(
        "{file}: ok: {} databases, {} workflows, {} execution policies, {} groups, {} role bindings; policy version {}",
        p.databases.len(),
        p.workflows.len(),
        p.execution.len(),
        p.groups.len(),
        p.bindings.len(),
        &p.version()[..12]
    );
    Ok(())
}

fn agent(path: &Path) -> Result<(), String> {
    let config = AgentConfig::load(path).map_err(|problems| problems.to_string())?;
    let targets: Vec<String> = config
        .databases
        .iter()
        .map(|d| d.target.to_string())
        .collect();
    println!("{}: ok: serves {}", path.display(), targets.join(", "));
    Ok(())
}

/// Databases in a dialect that no driver of this program runs.
fn undriven(policies: &Policies) -> Vec<String> {
    let dialect = |d: &crate::domain::policy::Database| {
        let dialect = d.dialect.map(|dialect| dialect.as_str())?;
        (!DRIVERS.contains(&dialect)).then(|| {
            format!(
                "databases: `{}` is {dialect}, and the agent of this program runs {} only; another agent must serve it",
                d.name,
                DRIVERS.join(", ")
            )
        })
    };
    policies.databases.iter().filter_map(dialect).collect()
}

/// Workflows in which a holder of `*` may vote without being named.
fn overridable(policies: &Policies) -> Option<String> {
    let workflows = policies.workflows.iter();
    let ids: Vec<String> = workflows
        .filter(|w| w.admin_override && !w.steps.is_empty())
        .map(|w| w.id())
        .collect();
    (!ids.is_empty()).then(|| {
        format!(
            "workflows: a holder of `*` whom no step names may vote in {} (admin_override)",
            ids.join(", ")
        )
    })
}

/// Who decides who is in which group, where there is an identity provider.
fn groups(config: &Config) -> Vec<String> {
    let Some(oidc) = config.oidc.as_ref() else {
        return Vec::new();
    };
    let policies = &config.policies;
    let mut undefined = policies.group_names();
    undefined.retain(|name| !policies.groups.contains_key(*name));
    let claim = &oidc.groups_claim;
    let list = |names: Vec<&str>| (!names.is_empty()).then(|| names.join(", "));
    let alone = list(undefined.into_iter().collect()).map(|names| {
        format!(
            "auth.oidc: the claim `{claim}` alone decides who is in {names}, which `[[auth.groups]]` does not define"
        )
    });
    let added = policies.claim_groups.iter().map(String::as_str).collect();
    let added = list(added).map(|names| {
        format!("auth.groups: the claim `{claim}` adds people to {names} (from_claim)")
    });
    let names = policies.groups.keys().map(String::as_str);
    let configured = list(names.filter(|n| !policies.is_from_claim(n)).collect())
        .map(|names| format!("auth.groups: only the file decides who is in {names}"));
    [alone, added, configured].into_iter().flatten().collect()
}
