//! Claims about steps that nobody, or not everybody, can get satisfied.

use super::{loads, refused, warnings};
use crate::config::{Config, Problem};

const TEAM: &str = r#"
state_dir = "x"
[[databases]]
name = "app"
environments = ["staging", "production"]
[[databases]]
name = "shop"
environments = ["production"]
[[auth.groups]]
name = "pair"
members = ["first", "second"]
[[auth.roles]]
name = "app-lead"
permissions = ["request.view"]
databases = ["app"]
"#;

fn team(more: &str) -> Config {
    loads(&format!("{TEAM}{more}"))
}

#[test]
fn requester_who_is_needed_for_approval_is_a_warning() {
    let workflow = |options: &str| {
        format!(
            "[[workflows]]\n{options}\n[[workflows.steps]]\n\
             [[workflows.steps.approvers]]\ngroup = \"pair\"\nmin = 2\n"
        )
    };
    let warned = warnings(&team(&workflow("")));
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(
        warned[0].contains("requests of `first`, `second` cannot"),
        "{warned:?}"
    );
    let config = team(&workflow("allow_self_approve = true"));
    assert_eq!(warnings(&config), Vec::<String>::new());
}

#[test]
fn role_that_covers_only_some_targets_is_a_warning() {
    let config = team(
        "[[workflows]]\nenvironment = \"production\"\n[[workflows.steps]]\n\
         [[workflows.steps.approvers]]\nrole = \"app-lead\"\n",
    );
    let warned = warnings(&config);
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(
        warned[0].contains("workflows[0].steps[0]: for `shop/production`: nobody"),
        "{warned:?}"
    );
    // Where another workflow decides for the target that is not covered, nothing is wrong.
    let config = team(
        "[[workflows]]\nenvironment = \"production\"\n[[workflows.steps]]\n\
         [[workflows.steps.approvers]]\nrole = \"app-lead\"\n\
         [[workflows]]\ndatabase = \"shop\"\nenvironment = \"production\"\n",
    );
    assert_eq!(warnings(&config), Vec::<String>::new());
}

#[test]
fn suspended_approver_is_a_warning_and_not_an_error() {
    let config = team(
        "[[users]]\nid = \"first\"\nstatus = \"suspended\"\n[[workflows]]\n[[workflows.steps]]\n\
         [[workflows.steps.approvers]]\nuser = \"first\"\n",
    );
    assert!(
        warnings(&config)[0].contains("while the users it needs are suspended"),
        "{:?}",
        warnings(&config)
    );
}

#[test]
fn different_people_across_steps_are_matched_and_not_counted() {
    let steps = "[[workflows.steps]]\n[[workflows.steps.approvers]]\ngroup = \"pair\"\n\
                 [[workflows.steps]]\n[[workflows.steps.approvers]]\nuser = \"first\"\n";
    let workflow = format!(
        "[[workflows]]\nallow_same_approver_across_steps = false\nallow_self_approve = true\n{steps}"
    );
    // `second` takes the first step, although `first` could.
    assert_eq!(warnings(&team(&workflow)), Vec::<String>::new());
    let third = "[[workflows.steps]]\n[[workflows.steps.approvers]]\nuser = \"second\"\n";
    let problems = refused(&format!("{TEAM}{workflow}{third}"));
    assert!(
        problems[0].contains("workflows[0]: nobody can satisfy all steps"),
        "{problems:?}"
    );
    // Members of a role may come from tokens.
    let role = third.replace("user = \"second\"", "role = \"admin\"");
    team(&format!("{workflow}{role}"));
}

#[test]
fn oddities_are_warnings() {
    let config = loads(
        "state_dir = \"x\"\ntrusted_proxies = [\"0.0.0.0/0\"]\n\
         [[databases]]\nname = \"app\"\n\
         [[workflows]]\nenvironment = \"prod\"\noperations = [\"query\"]\n\
         [[execution_policies]]\nmax_statement_timeout_secs = 60\nmax_rows = 20000\n\
         migration_statement_timeout_secs = 600\n",
    );
    let warned = warnings(&config);
    for part in [
        "2: trusted_proxies[0]: this trusts everybody",
        "3: databases[0]: this database has no environments",
        "6: workflows[0].environment: no registered database has the environment `prod`",
        "7: workflows[0].operations[0]: `query` is read as `execute_select` only",
        "10: execution_policies[0].max_rows: agents return at most 10000 rows",
        "11: execution_policies[0].migration_statement_timeout_secs: above",
    ] {
        assert!(
            warned.iter().any(|w| w.starts_with(part)),
            "{part}: {warned:?}"
        );
    }
    assert_eq!(warned.len(), 6, "{warned:?}");
}

#[test]
fn limited_role_with_a_right_without_database_is_warned_of() {
    let role = |permissions: &str, scope: &str| {
        format!("[[auth.roles]]\nname = \"r\"\npermissions = {permissions}\n{scope}\n")
    };
    for (permission, scope) in [
        ("audit.view", "environments = [\"staging\"]"),
        ("user.write", "databases = [\"app\"]"),
        (
            "workflow.read",
            "databases = [\"app\"]\nenvironments = [\"*\"]",
        ),
    ] {
        let permissions = format!("[\"request.view\", \"{permission}\"]");
        let warned = warnings(&team(&role(&permissions, scope)));
        assert_eq!(warned.len(), 1, "{warned:?}");
        assert!(warned[0].contains("belongs to no database"), "{warned:?}");
    }
    for (permission, scope) in [
        ("audit.view", ""),
        ("audit.view", "databases = [\"*\"]\nenvironments = []"),
        ("request.approve", "environments = [\"staging\"]"),
        // Such a one is for everything of a part, and the message does not list what it lacks.
        ("*", "environments = [\"staging\"]"),
    ] {
        let config = team(&role(&format!("[\"{permission}\"]"), scope));
        assert_eq!(warnings(&config), Vec::<String>::new(), "{permission}");
    }
}

#[test]
fn nobody_has_the_servers_name_or_an_unreadable_one() {
    for id in ["system", "anonymous", "*", "ad\u{200b}min", "\u{202e}nimda"] {
        let named = format!("{TEAM}[[users]]\nid = \"{id}\"\n");
        let problems = refused(&named);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].contains("reserved, or holds an invisible"),
            "{problems:?}"
        );
        let member = format!("{TEAM}[[auth.groups]]\nname = \"g\"\nmembers = [\"{id}\"]\n");
        assert_eq!(refused(&member).len(), 1, "{id:?}");
        let bound =
            format!("{TEAM}[[auth.role_bindings]]\nrole = \"readonly\"\nsubjects = [\"{id}\"]\n");
        assert_eq!(refused(&bound).len(), 1, "{id:?}");
    }
}

#[test]
fn environments_without_workflow_and_aliases_are_warned_of() {
    let config = loads(
        "state_dir = \"./state\"\n[[databases]]\nname = \"app\"\nenvironments = [\"one\", \"two\", \"three\"]\n\
         dialect = \"postgres\"\n[[databases]]\nname = \"none\"\nenvironments = []\n[[workflows]]\n\
         environment = \"one\"\n[[workflows]]\nenvironment = \"two\"\noperations = [\"execute_select\"]\n",
    );
    let found: Vec<String> = config.warnings.iter().map(Problem::to_string).collect();
    assert_eq!(
        found,
        [
            "4: databases[0].environments[1]: no workflow applies to execute_dml, migrate_up, migrate_down, \
             migrate_status, migrate_repair on app/two, so such requests are refused",
            "4: databases[0].environments[2]: no workflow applies to app/three, so every request there is refused",
            "5: databases[0].dialect: `postgres` is read as `postgresql`; write that",
            "6: databases[1]: this database has no environments, so nothing can run on it",
        ]
    );
    let unknown = refused(
        "state_dir = \"x\"\n[[auth.roles]]\nname = \"dba\"\npermissions = [\"request.run\"]\n",
    );
    assert!(
        unknown[0].contains("there are request.create, "),
        "{unknown:?}"
    );
}
