//! `dbward check-config`: reports what is wrong with a configuration, without starting anything, and lists what deserves
//! a second look.

use crate::agent::config::{AgentConfig, DRIVERS};
use crate::cli::output::say;
use crate::clock::{Clock, Timestamp};
use crate::config::Config;
use crate::domain::policy::Policies;
use crate::domain::policy::on_call::{OnCallGroup, OnCallSource};
use crate::domain::policy::workflow::Rehearse;
use crate::error::counted;
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
    for (kind, remark) in remarks(&config, DRIVERS) {
        say!("{kind}: {file}: {remark}");
    }
    let p = &config.policies;
    say!(
        "{file}: ok: {}, {}, {}, {}, {}; policy version {}",
        counted(p.databases.len(), "database"),
        counted(p.workflows.len(), "workflow"),
        counted(p.execution.len(), "execution policy"),
        counted(p.groups.len(), "group"),
        counted(p.bindings.len(), "role binding"),
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
    say!("{}: ok: serves {}", path.display(), targets.join(", "));
    Ok(())
}

/// What deserves a second look where agents have `drivers`: each with its kind, `warning` or `note`.
fn remarks(config: &Config, drivers: &[&str]) -> Vec<(&'static str, String)> {
    let policies = &config.policies;
    let warnings = config.warnings.iter().map(ToString::to_string);
    let warnings = warnings.chain(undriven(policies, drivers));
    let now = Clock::system().now();
    let notes = overridable(policies)
        .into_iter()
        .chain(rehearsing(policies))
        .chain(groups(config));
    let notes = notes.chain([audit_key(config)]);
    let notes = notes.chain(policies.on_call.iter().map(|group| on_call(group, now)));
    let notes = notes.map(|note| ("note", note));
    warnings.map(|w| ("warning", w)).chain(notes).collect()
}

/// Databases in a dialect that none of `drivers` runs.
fn undriven(policies: &Policies, drivers: &[&str]) -> Vec<String> {
    let dialect = |d: &crate::domain::policy::Database| {
        let dialect = d.dialect.map(|dialect| dialect.as_str())?;
        (!drivers.contains(&dialect)).then(|| {
            format!(
                "databases: `{}` is {dialect}, and the agent of this program runs {} only; another agent must serve it",
                d.name,
                drivers.join(", ")
            )
        })
    };
    policies.databases.iter().filter_map(dialect).collect()
}

/// Who can sign the audit log.
fn audit_key(config: &Config) -> String {
    match &config.audit_key_file {
        Some(file) => format!(
            "audit.key_file: those who can read {} can sign the audit log; a backup does not hold it",
            file.display()
        ),
        None => "audit.key_file: the key that signs the audit log lies in state_dir, and those who can read it can \
                 sign; it may lie elsewhere"
            .to_owned(),
    }
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

/// Workflows in which the count of a rehearsal tells of rows before anybody has agreed.
fn rehearsing(policies: &Policies) -> Option<String> {
    let workflows = policies.workflows.iter();
    let ids: Vec<String> = workflows
        .filter(|w| w.rehearse != Rehearse::Off && !w.steps.is_empty())
        .map(|w| w.id())
        .collect();
    (!ids.is_empty()).then(|| {
        format!(
            "workflows: who may make a request in {} can learn values of rows before anybody approves, by what a \
             rehearsal counts (rehearse)",
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
    undefined.retain(|name| !policies.groups.contains_key(*name) && !policies.is_on_call(name));
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

/// Who is on call in a group, or what decides that.
fn on_call(group: &OnCallGroup, now: Timestamp) -> String {
    let name = &group.name;
    match &group.source {
        OnCallSource::Service { service } => format!(
            "on_call: {} decides who is on call in {name}, while the server runs and reaches it",
            service.kind.as_str()
        ),
        OnCallSource::Rotation { rotation } => {
            let people: Vec<String> = rotation.at(now).into_iter().collect();
            match people.is_empty() {
                true => format!("on_call: nobody is on call in {name} now"),
                false => format!("on_call: {} is on call in {name} now", people.join(", ")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::remarks;
    use crate::config::Config;
    use std::path::Path;

    const ROTATION: &str =
        "[[on_call]]\nname = \"night\"\ntime_zone = \"UTC\"\npeople = [\"lead\"]\n";
    const TARGET: &str =
        "state_dir = \"state\"\n[[databases]]\nname = \"app\"\nenvironments = [\"production\"]\n";
    const STEP: &str = "[[workflows]]\n[[workflows.steps]]\nmode = \"any\"\n[[workflows.steps.approvers]]\n\
                        user = \"lead\"\n[[workflows.steps.approvers]]\nuser = \"other\"\n";
    const PROVIDER: &str =
        "[auth.oidc]\nissuer_url = \"https://id.example.com\"\nclient_id = \"dbward\"\n";
    const STRICT: &str = "[[workflows]]\nadmin_override = false\n";

    fn all_of(text: &str) -> Vec<String> {
        let config = Config::parse(text, Path::new("/"), &|_| None)
            .unwrap_or_else(|problems| panic!("{problems}"));
        let remarks = remarks(&config, &["sqlite", "postgresql"]).into_iter();
        remarks
            .map(|(kind, what)| format!("{kind}: {what}"))
            .collect()
    }

    /// All but where the audit key is, which always has a note.
    fn of(text: &str) -> Vec<String> {
        let mut remarks = all_of(text);
        remarks.retain(|remark| !remark.starts_with("note: audit.key_file: "));
        remarks
    }

    #[test]
    fn note_names_who_can_sign_log_wherever_the_key_is() {
        for (rest, expected) in [
            (
                "",
                "note: audit.key_file: the key that signs the audit log lies in state_dir, and those who can read it can \
                 sign; it may lie elsewhere",
            ),
            (
                "[audit]\nkey_file = \"tmp/../tmp/no-such-key\"\n",
                "note: audit.key_file: those who can read /tmp/../tmp/no-such-key can sign the audit log; a backup does \
                 not hold it",
            ),
        ] {
            let found = all_of(&format!("{TARGET}[[workflows]]\n{rest}"));
            assert_eq!(found, [expected]);
        }
    }

    fn alone(rest: &str) -> String {
        format!("{TARGET}{rest}")
    }

    /// Each with the one remark that it earns; what is in order earns none.
    fn oddities() -> Vec<(String, Option<&'static str>)> {
        vec![
            (alone("[[workflows]]\n"), None),
            (alone(&STEP.replace("[[workflows]]\n", STRICT)), None),
            (
                alone("dialect = \"mysql\"\n[[workflows]]\n"),
                Some(
                    "warning: databases: `app` is mysql, and the agent of this program runs sqlite, postgresql only",
                ),
            ),
            (
                alone("dialect = \"postgres\"\n[[workflows]]\n"),
                Some(
                    "warning: 5: databases[0].dialect: `postgres` is read as `postgresql`; write that",
                ),
            ),
            (
                alone("[[workflows]]\noperations = [\"execute_select\"]\n"),
                Some(
                    "warning: 4: databases[0].environments[0]: no workflow applies to execute_dml, ",
                ),
            ),
            (
                alone(
                    "[[databases]]\nname = \"b\"\nenvironments = [\"one\"]\n[[workflows]]\ndatabase = \"app\"\n",
                ),
                Some(
                    "warning: 7: databases[1].environments[0]: no workflow applies to b/one, so every request",
                ),
            ),
            (
                alone("[[databases]]\nname = \"b\"\nenvironments = []\n[[workflows]]\n"),
                Some("warning: 5: databases[1]: this database has no environments"),
            ),
            (
                alone(STEP),
                Some("note: workflows: a holder of `*` whom no step names may vote in wf:*:*:"),
            ),
            (
                alone(&STEP.replace(
                    "[[workflows]]\n",
                    &format!("{STRICT}rehearse = \"on_request\"\n"),
                )),
                Some(
                    "note: workflows: who may make a request in wf:*:*:e3b0c44298fc can learn values of rows before",
                ),
            ),
            (alone("[[workflows]]\nrehearse = \"on_request\"\n"), None),
            (
                alone(&format!(
                    "[[workflows]]\n[[auth.role_bindings]]\nrole = \"readonly\"\ngroups = [\"dba\"]\n{PROVIDER}"
                )),
                Some("note: auth.oidc: the claim `groups` alone decides who is in dba, which"),
            ),
            (
                alone(&format!(
                    "[[workflows]]\n[[auth.groups]]\nname = \"night\"\nfrom_claim = true\n{PROVIDER}"
                )),
                Some("note: auth.groups: the claim `groups` adds people to night (from_claim)"),
            ),
            (
                alone(&format!(
                    "[[workflows]]\n[[auth.groups]]\nname = \"leads\"\nmembers = [\"lead\"]\n{PROVIDER}"
                )),
                Some("note: auth.groups: only the file decides who is in leads"),
            ),
        ]
    }

    #[test]
    fn each_oddity_has_its_remark() {
        for (text, expected) in oddities() {
            let found = of(&text);
            let as_expected = match expected {
                Some(start) => found.len() == 1 && found[0].starts_with(start),
                None => found.is_empty(),
            };
            assert!(as_expected, "{text}\n{found:#?} and not {expected:?}");
        }
    }

    #[test]
    fn people_on_call_or_their_source_are_named() {
        let cases = [
            (
                alone(&format!(
                    "[[workflows]]\n{ROTATION}first_handover = \"2026-01-05\"\n"
                )),
                "note: on_call: lead is on call in night now",
            ),
            (
                alone(&format!(
                    "[[workflows]]\n{ROTATION}first_handover = \"2999-01-05\"\n"
                )),
                "note: on_call: nobody is on call in night now",
            ),
            (
                alone(
                    "[[workflows]]\n[[on_call]]\nname = \"night\"\nservice = \"opsgenie\"\nschedule = \"S\"\ntoken = \"t\"\n",
                ),
                "note: on_call: opsgenie decides who is on call in night, while the server",
            ),
        ];
        for (text, expected) in cases {
            let found = of(&text);
            let is_it = |remark: &String| remark.starts_with(expected);
            assert!(
                found.iter().any(is_it),
                "{text}\n{found:#?} and not {expected}"
            );
        }
    }
}
