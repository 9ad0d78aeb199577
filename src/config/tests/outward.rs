//! Claims about webhooks, notification policies and Slack in server.toml.

mod proxy;

use super::{EXAMPLE, loads, refused, warnings};
use crate::config::{Config, MailSecurity, WebhookFormat};
use crate::crypto::uuid;
use crate::domain::id::Target;

const HEAD: &str = "state_dir = \"x\"\n[[databases]]\nname = \"app\"\nenvironments = [\"production\", \"staging\"]\n";
/// What no message, no text and no debug output may have in it.
const SECRET: &str = "hunter2-hunter2";

fn with(rest: &str) -> String {
    format!("{HEAD}{rest}")
}

fn hook(lines: &str) -> String {
    with(&format!("[[webhooks]]\n{lines}\n"))
}

/// The only problem of a webhook with this URL, or none.
fn url_problem(top: &str, url: &str) -> Option<String> {
    let text = format!("{top}\n{}", hook(&format!("id = \"a\"\nurl = \"{url}\"")));
    match super::parse(&text) {
        Ok(_) => None,
        Err(problems) => {
            assert_eq!(problems.list.len(), 1, "{problems}");
            Some(problems.to_string())
        }
    }
}

#[test]
fn every_notification_key_has_its_effect() {
    let config = loads(&with(&format!(
        "[[webhooks]]\nid = \"ops-alerts\"\nurl = \"http://127.0.0.1:9999/hook\"\nsecret = \"{SECRET}\"\n\
         events = [\"request.created\", \"request.break_glass\"]\n\
         [[webhooks]]\nid = \"chat\"\nurl = \"https://hooks.example.com/a?b=c\"\nformat = \"slack\"\n\
         [[notification_policies]]\nenvironment = \"production\"\nwebhooks = [\"chat\"]\nevents = [\"*\"]\n\
         [[notification_policies]]\ndatabase = \"app\"\nwebhooks = []\nevents = [\"request.approved\"]\n\
         [slack]\nbot_token = \"{SECRET}\"\nsigning_secret = \"{SECRET}\"\nchannel = \"C0000000001\"\n\
         [slack.channels]\nproduction = \"C0000000002\"\ndefault = \"#ops\"\n"
    )));
    let [ops, chat] = config.webhooks.as_slice() else {
        panic!("{:?}", config.webhooks);
    };
    assert_eq!(
        (ops.id.as_str(), ops.url.url(), ops.format),
        (
            "ops-alerts",
            "http://127.0.0.1:9999/hook",
            WebhookFormat::Generic
        )
    );
    assert_eq!(ops.secret.as_ref().unwrap().expose(), SECRET);
    assert_eq!(
        ops.events.names(),
        ["request.break_glass", "request.created"]
    );
    assert_eq!(
        (chat.format, chat.secret.is_none()),
        (WebhookFormat::Slack, true)
    );
    assert_eq!(chat.events.names(), ["*"]);
    let ids: Vec<String> = config
        .policies
        .notification
        .iter()
        .map(|p| p.id())
        .collect();
    assert_eq!(ids, ["np:*:production", "np:app:*"]);
    let target = Target::new("app", "staging").unwrap();
    let policy = config.policies.notification(&target).unwrap();
    assert_eq!(policy.events.names(), ["request.approved"]);
    let slack = config.slack.as_ref().unwrap();
    assert_eq!(
        (
            slack.bot_token.expose(),
            slack.signing_secret.expose(),
            slack.channel.as_str()
        ),
        (SECRET, SECRET, "C0000000001")
    );
    assert_eq!(slack.channels["production"], "C0000000002");
    assert_eq!(slack.channels["default"], "#ops");
    assert!(!format!("{config:?}").contains(SECRET));
    assert!(!config.policies.canonical().contains("hooks.example.com"));
    assert_eq!(slack.channel_of(Some("production")), "C0000000002");
    assert_eq!(slack.channel_of(Some("staging")), "C0000000001");
    assert_eq!(slack.channel_of(None), "#ops");
    assert_eq!(slack.api.url(), "https://slack.com/api");
    assert_eq!(warnings(&config), [""; 0]);
}

#[test]
fn the_example_of_a_webhook_is_one_with_its_defaults() {
    let text = EXAMPLE.replace("#state_dir", "state_dir");
    let [start, end] = ["#[[webhooks]]", "#secret_file"].map(|mark| text.find(mark).unwrap());
    let hook = text[start..end].replace("\n#", "\n").replace("\n ", "\n# ");
    let config = loads(&format!("state_dir = \"x\"\n{}", &hook[1..]));
    let example = &config.webhooks[0];
    assert_eq!(example.format, WebhookFormat::default());
    assert_eq!(example.events.names(), ["*"]);
}

#[test]
fn secrets_come_from_files_as_well() {
    let folder = std::env::temp_dir().join(format!("dbward-config-{}", uuid()));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("secret"), format!("{SECRET}\n")).unwrap();
    std::fs::write(folder.join("blank"), " \n").unwrap();
    let parse = |text: &str| Config::parse(text, &folder, &|_| None);
    let url = "id = \"a\"\nurl = \"https://a.example.com\"\n";
    let config = parse(&hook(&format!("{url}secret_file = \"secret\""))).unwrap();
    assert_eq!(config.webhooks[0].secret.as_ref().unwrap().expose(), SECRET);
    let slack = "[slack]\nbot_token_file = \"./secret\"\nsigning_secret_file = \"secret\"\n";
    let config = parse(&with(slack)).unwrap().slack.unwrap();
    assert_eq!(config.bot_token.expose(), SECRET);
    assert_eq!(config.signing_secret.expose(), SECRET);
    assert_eq!(config.channel, "#db-approvals");
    for (lines, key, says) in [
        (
            "secret_file = \"secret\"\nsecret = \"x\"",
            "webhooks[0].secret_file",
            "keep one of the two",
        ),
        (
            "secret_file = \"blank\"",
            "webhooks[0].secret_file",
            "blank",
        ),
        (
            "secret_file = \"nothing\"",
            "webhooks[0].secret_file",
            "cannot read",
        ),
        ("secret = \" \"", "webhooks[0].secret", "blank"),
        ("secret = 7", "webhooks[0].secret", "a string is wanted"),
    ] {
        let problems = parse(&hook(&format!("{url}{lines}"))).unwrap_err();
        assert_eq!(problems.list.len(), 1, "{problems}");
        assert_eq!(problems.list[0].key, key);
        assert!(problems.list[0].message.contains(says), "{problems}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Texts after the head, with all their problems in order.
fn are_refused(cases: &[(&str, Vec<&str>)]) {
    for (rest, wanted) in cases {
        let found = refused(&with(rest));
        assert_eq!(found.len(), wanted.len(), "{found:?}");
        for (found, wanted) in found.iter().zip(wanted) {
            assert!(found.contains(wanted), "{found}\n  is not: {wanted}");
        }
    }
}

#[test]
fn wrong_notification_values_are_refused_by_key() {
    are_refused(&[
        (
            "[[webhooks]]\nurl = \"https://Hooks.example.com/x\"\n",
            vec!["webhooks[0].id: this key is required, for example `hooks-example-com`"],
        ),
        (
            "[[webhooks]]\nid = \"a\"\n",
            vec!["webhooks[0].url: this key is required"],
        ),
        (
            "[[webhooks]]\nid = \"-a\"\nurl = \"https://a.example.com\"\nformat = \"irc\"\n\
             [[webhooks]]\nid = \"B\"\nurl = \"https://a.example.com\"\n",
            vec![
                "webhooks[0].id: `-a` is not an id",
                "webhooks[0].format: `irc` is not one of `generic`, `slack`, `teams`, `google_chat`",
                "webhooks[1].id: `B` is not an id",
            ],
        ),
        (
            "[[webhooks]]\nid = \"a\"\nurl = \"https://a.example.com\"\n\
             [[webhooks]]\nid = \"a\"\nurl = \"https://b.example.com\"\n",
            vec!["webhooks[1].id: `a` is the id of another webhook already, on line 6"],
        ),
        (
            "[[webhooks]]\nid = \"a\"\nurl = \"https://a.example.com\"\n\
             events = [\"request.create\", \"request_created\", \"created\"]\n",
            vec![
                "webhooks[0].events[0]: `request.create` is not an event; known are `*`, `request.created`, ",
                "webhooks[0].events[2]: `created` is not an event",
            ],
        ),
    ]);
}

#[test]
fn policies_and_slack_are_refused_by_key() {
    are_refused(&[
        (
            "[[notification_policies]]\nenvironment = \"production\"\nwebhooks = [\"ghost\"]\nevents = [\"\"]\n\
             [[notification_policies]]\nenvironment = \"production\"\n\
             [[notification_policies]]\ndatabase = \"other\"\n",
            vec![
                "notification_policies[0].webhooks[0]: webhook `ghost` is not defined",
                "notification_policies[0].events[0]: `` is not an event",
                "notification_policies[1]: the scope (*, production) has a policy already, on line 5",
                "notification_policies[2].database: database `other` is not registered",
            ],
        ),
        (
            "[[webhooks]]\nid = \"a\"\nurl = \"https://a.example.com\"\n\
             [[notification_policies]]\nwebhooks = [\"a\", \"a\"]\n",
            vec!["notification_policies[0].webhooks[1]: `a` is in this list twice"],
        ),
        (
            "[slack]\nbot_token = \"\"\nchannel = \" \"\n[slack.channels]\nproduction = 7\n",
            vec![
                "slack.signing_secret: this key is required",
                "slack.bot_token: a blank secret",
                "slack.channel: ` ` is empty",
                "slack.channels.production: a string is wanted here",
            ],
        ),
        (
            "[slack]\nbot_token = \"x\"\nsigning_secret = \"x\"\nchannels = []\nurl = \"x\"\n",
            vec![
                "slack.channels: a table is wanted here",
                "slack.url: unknown key",
            ],
        ),
    ]);
}

#[test]
fn misspelled_webhook_is_one_problem_for_all_policies() {
    let found = refused(&with(
        "[[webhooks]]\nid = \"Ops\"\nurl = \"https://a.example.com\"\n[[notification_policies]]\nwebhooks = [\"ops\"]\n",
    ));
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn urls_that_lead_into_private_networks_need_leave() {
    const LEAVE: &str = "allow_private_networks = true";
    for (url, plain, with_leave) in [
        ("https://hooks.example.com/x", "", ""),
        ("http://127.0.0.1:9999/hook", "", ""),
        ("http://localhost:9999/hook", "", ""),
        ("https://[::1]/", "", ""),
        ("https://1.1.1.1/", "", ""),
        ("http://hooks.example.com/x", "for this machine only", ""),
        ("http://10.0.0.1/x", "for this machine only", ""),
        ("https://10.0.0.1/x", "is private", ""),
        ("https://192.168.1.1./x", "is private", ""),
        ("https://[fd00::1]/x", "is private", ""),
        (
            "https://169.254.169.254/x",
            "no service can have",
            "no service can have",
        ),
        (
            "https://[::ffff:169.254.169.254]/x",
            "no service can have",
            "no service can have",
        ),
        ("https://0.0.0.0/", "no service can have", "no service"),
        ("https://2130706433/", "is a number", "is a number"),
        ("https://0x7f000001/", "is a number", "is a number"),
        ("https://127.1/", "is a number", "is a number"),
        ("https://0177.0.0.1/", "is a number", "is a number"),
        ("ftp://a.example.com/", "begins with", "begins with"),
        (
            "https://u:p@a.example.com/",
            "a name or a password",
            "a name",
        ),
    ] {
        for (top, wanted) in [("", plain), (LEAVE, with_leave)] {
            let found = url_problem(top, url);
            let fits = match &found {
                None => wanted.is_empty(),
                Some(found) => !wanted.is_empty() && found.contains(wanted),
            };
            assert!(fits, "{url} with `{top}`: {found:?}");
        }
    }
}

#[test]
fn listed_networks_may_be_called_without_leave_for_all() {
    let top = "allow_networks = [\"10.1.0.0/16\", \"fd00::/8\", \"169.254.0.0/16\"]";
    for (url, wanted) in [
        ("https://10.1.2.3/x", ""),
        ("http://10.1.2.3/x", ""),
        ("https://[fd00::1]/x", ""),
        ("https://10.2.0.1/x", "is private"),
        ("http://10.2.0.1/x", "for this machine only"),
        ("http://hooks.example.com/x", "for this machine only"),
        ("https://169.254.169.254/x", "no service can have"),
    ] {
        let found = url_problem(top, url);
        let fits = match &found {
            None => wanted.is_empty(),
            Some(found) => !wanted.is_empty() && found.contains(wanted),
        };
        assert!(fits, "{url}: {found:?}");
    }
}

#[test]
fn the_public_address_is_an_address_without_its_last_slash() {
    let read = |url: &str| super::parse(&format!("public_url = \"{url}\"\n{HEAD}"));
    for (url, wanted) in [
        ("https://dbward.example.com", "https://dbward.example.com"),
        (
            "https://dbward.example.com/a/",
            "https://dbward.example.com/a",
        ),
        ("http://10.0.0.1:3000", "http://10.0.0.1:3000"),
    ] {
        assert_eq!(read(url).unwrap().public_url.as_deref(), Some(wanted));
    }
    for url in ["dbward.example.com", "https://a/?b", "https://a/#b", ""] {
        assert!(read(url).is_err(), "{url}");
    }
}

#[test]
fn events_are_known_by_both_spellings() {
    for name in ["request.created", "request_created"] {
        let text = hook(&format!(
            "id = \"a\"\nurl = \"https://a.example.com\"\nevents = [\"{name}\", \"break_glass\"]"
        ));
        let config = super::parse(&text).unwrap();
        assert_eq!(
            config.webhooks[0].events.names(),
            ["request.break_glass", "request.created"]
        );
    }
}

#[test]
fn mail_needs_a_server_a_sender_and_encryption() {
    let section = |lines: &str| with(&format!("[email]\n{lines}\n"));
    let good = "server = \"smtp.example.com\"\nfrom = \"dbward <a@example.com>\"\n";
    let email = loads(&section(good)).email.unwrap();
    assert_eq!(
        (email.server.as_str(), email.port),
        ("smtp.example.com", 587)
    );
    assert_eq!(email.security, MailSecurity::StartTls);
    let all =
        format!("{good}port = 465\nsecurity = \"tls\"\nusername = \"u\"\npassword = \"{SECRET}\"");
    let config = loads(&section(&all));
    assert_eq!(
        config
            .email
            .as_ref()
            .unwrap()
            .credentials
            .as_ref()
            .unwrap()
            .0,
        "u"
    );
    assert!(!format!("{config:?}").contains(SECRET));
    for (lines, wanted) in [
        (
            "from = \"a@example.com\"",
            vec!["email.server: this key is required"],
        ),
        ("server = \"a\"", vec!["email.from: this key is required"]),
        (
            "server = \"a:25\"\nfrom = \"a@b.c\"",
            vec!["email.server: `a:25` is not a host"],
        ),
        (
            "server = \"a\"\nfrom = \"nobody\"",
            vec!["email.from: `nobody` is not an address"],
        ),
        (
            "server = \"a\"\nfrom = \"a@b.c\"\nsecurity = \"none\"",
            vec!["email.security: `none` is for"],
        ),
        (
            "server = \"a\"\nfrom = \"a@b.c\"\nusername = \"u\"",
            vec!["email.username: a user name needs"],
        ),
        (
            "server = \"a\"\nfrom = \"a@b.c\"\npassword = \"u\"",
            vec!["email.password: a password needs"],
        ),
    ] {
        let found = refused(&section(lines));
        assert_eq!(found.len(), wanted.len(), "{found:?}");
        assert!(found[0].contains(wanted[0]), "{found:?}");
    }
    are_refused(&[(
        "[[users]]\nid = \"approver\"\nemail = \"approver\"\n",
        vec!["users[0].email: `approver` is not an e-mail address"],
    )]);
    let here = "server = \"localhost\"\nfrom = \"a@b.c\"\nsecurity = \"none\"";
    assert!(loads(&section(here)).email.is_some());
}

#[test]
fn no_message_has_a_secret_or_a_url_in_it() {
    for lines in [
        format!("url = \"http://hooks.example.com/{SECRET}\""),
        format!("url = \"https://u:{SECRET}@a.example.com\""),
        format!("url = \"https://10.0.0.1/{SECRET}\""),
        format!("url = \"{SECRET}\""),
        format!("url = \"https://{SECRET}\"\nsecret = [\"{SECRET}\"]"),
        format!("url = \"https://a.example.com\"\nsecret = \"{SECRET}\"\nsecret_file = \"x\""),
    ] {
        let found = refused(&hook(&format!("id = \"a\"\n{lines}")));
        assert!(!found.concat().contains(SECRET), "{found:?}");
    }
    let slack =
        format!("[slack]\nbot_token = \"{SECRET}\"\nsigning_secret = {{ x = \"{SECRET}\" }}\n");
    let found = refused(&with(&slack));
    assert!(!found.concat().contains(SECRET), "{found:?}");
}

#[test]
fn what_has_no_effect_is_a_warning() {
    let config = loads(&with(
        "[[webhooks]]\nid = \"a\"\nurl = \"https://a.example.com\"\nevents = [\"request.created\"]\n\
         [[webhooks]]\nid = \"b\"\nurl = \"https://b.example.com\"\nevents = [\"license_downgraded\"]\n\
         [[notification_policies]]\nwebhooks = [\"a\"]\nenvironment = \"moon\"\n",
    ));
    let spanned = warnings(&config).join("\n");
    for words in [
        "webhooks[0].events: these have no effect",
        "webhooks[1].events[0]: `license_downgraded` is never sent",
        "no registered database has the environment `moon`",
    ] {
        assert!(spanned.contains(words), "no `{words}` in {spanned}");
    }
    // A name that is never sent does not turn into everything.
    assert!(!config.webhooks[1].events.takes("request.created"));
}

#[test]
fn recipients_are_policy_and_their_addresses_are_not() {
    let version = |url: &str, events: &str| {
        let text = with(&format!(
            "[[webhooks]]\nid = \"a\"\nurl = \"{url}\"\n[[notification_policies]]\nwebhooks = [\"a\"]\nevents = {events}\n"
        ));
        loads(&text).policies.version()
    };
    let one = version("https://a.example.com", "[\"*\"]");
    assert_eq!(one, version("https://b.example.com", "[]"));
    assert_ne!(
        one,
        version("https://a.example.com", "[\"request.created\"]")
    );
}
