//! docs/notifications.md, as a newcomer reads it: its configuration with other addresses, and its commands as they stand
//! there, before a server of its own process.

use crate::command_line::console::Console;
use crate::support::{
    FakeSlack, Manner, PostOffice, Program, SHOP, Sink, Temp, admin_of, binary, eventually, settled,
};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;

const PAGE: &str = include_str!("../../../docs/notifications.md");

/// The blocks of the section of that heading that are in `language`, without their indent.
fn blocks(heading: &str, language: &str) -> Vec<String> {
    let start = PAGE.find(heading).unwrap_or_else(|| panic!("no {heading}"));
    let section = &PAGE[start + heading.len()..];
    let section = &section[..section.find("\n## ").unwrap_or(section.len())];
    let (mut found, mut open) = (Vec::new(), None::<(bool, String)>);
    for line in section.lines().map(str::trim) {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => {
                let (wanted, block) = open.take().unwrap();
                if wanted {
                    found.push(block);
                }
            }
            (Some(named), None) => open = Some((named == language, String::new())),
            (None, Some((_, block))) => *block += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    found
}

/// The one line of commands in a block of that section that begins so, as arguments.
fn command(heading: &str, beginning: &str) -> Vec<String> {
    let blocks = blocks(heading, "").concat();
    let mut fitting = blocks.lines().filter(|line| line.starts_with(beginning));
    let line = fitting
        .next()
        .unwrap_or_else(|| panic!("no `{beginning}`: {blocks}"));
    assert_eq!(fitting.next(), None);
    let words = line.split(' ').skip(1);
    words.map(str::to_owned).collect()
}

/// A server with the configuration of the page, which leads to these receivers.
struct Newcomer {
    dir: Temp,
    program: Program,
    at: SocketAddr,
    console: Console,
}

impl Newcomer {
    /// `own` is server.toml but for its databases; each variable of the page has its value.
    fn start(own: &str, variables: &[(&str, &str)]) -> Newcomer {
        // What stands above all sections.
        let (top, sections): (Vec<&str>, Vec<&str>) =
            own.lines().partition(|line| line.starts_with("public_url"));
        let top = top.first().copied().unwrap_or_default();
        let dir = settled(&format!("{top}\n{SHOP}{}\n", sections.join("\n")));
        let mut serve = binary();
        serve.arg("serve").arg("--config");
        serve.arg(dir.path().join("server.toml"));
        let program = Program::start(serve.envs(variables.iter().copied()));
        let line = program.line();
        let at = line.strip_prefix("listening on http://").unwrap();
        let at = at.parse().unwrap();
        let console = Console::at(&format!("http://{at}"));
        Newcomer {
            dir,
            program,
            at,
            console,
        }
    }

    /// What a command prints, that the administrator of the first start runs.
    fn run(&self, arguments: &[String]) -> String {
        let token = fs::read_to_string(self.dir.path().join("state/admin-token")).unwrap();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ran = self.console.run(Some(token.trim()), &arguments);
        ran.is(0).out
    }

    /// The newest delivery, once it is delivered.
    fn delivered(&self) -> Value {
        let path = "/api/webhook-deliveries?limit=1";
        let admin = admin_of(self.at, self.dir.path());
        let mut newest = Value::Null;
        eventually("it is delivered", || {
            let list = admin.get(path).is(200).list("deliveries");
            newest = list.first().cloned().unwrap_or_default();
            newest["status"] == "delivered"
        });
        newest
    }
}

#[test]
fn first_message_reaches_each_kind_of_chat_as_page_says() {
    const HEADING: &str = "## From nothing to a first message";
    let [block] = &blocks(HEADING, "toml")[..] else {
        panic!("one configuration")
    };
    assert!(block.contains("format = \"slack\""));
    for (format, member) in [
        ("slack", "/blocks/0/type"),
        ("teams", "/attachments/0/contentType"),
        ("google_chat", "/cardsV2/0/card"),
        ("generic", "/event"),
    ] {
        assert!(
            PAGE.contains(&format!("(`format = \"{format}\"`")),
            "{format}"
        );
        let sink = Sink::start();
        let own = block.replace("\"slack\"", &format!("{format:?}"));
        let newcomer = Newcomer::start(&own, &[("OPS_WEBHOOK_URL", &sink.url())]);
        let out = newcomer.run(&command(HEADING, "dbward webhook test"));
        assert!(out.contains("A test message to ops is on its way"), "{out}");
        newcomer.delivered();
        let body = sink.received().remove(0).json();
        assert!(body.pointer(member).is_some(), "{format}: {body}");
        let out = newcomer.run(&command(HEADING, "dbward webhook deliveries"));
        assert!(out.contains("delivered"), "{out}");
        newcomer.program.stop();
    }
}

#[test]
fn a_url_in_the_file_needs_a_reload_only() {
    const HEADING: &str = "## From nothing to a first message";
    let sink = Sink::start();
    let newcomer = Newcomer::start("", &[]);
    let file = newcomer.dir.path().join("server.toml");
    let block = blocks(HEADING, "toml").concat();
    let mut text = fs::read_to_string(&file).unwrap();
    text += &block.replace("${OPS_WEBHOOK_URL}", &sink.url());
    fs::write(&file, text).unwrap();
    let reload = ["reload", "--config", file.to_str().unwrap()];
    newcomer.console.run(None, &reload).is(0);
    newcomer.run(&command(HEADING, "dbward webhook test"));
    newcomer.delivered();
    assert_eq!(sink.count(), 1);
    newcomer.program.stop();
}

#[test]
fn the_slack_app_posts_and_links_as_the_page_says() {
    const HEADING: &str = "## The Slack app";
    let slack = FakeSlack::start();
    let section = slack.section();
    let value = |key: &str| {
        let start = format!("{key} = \"");
        let found = section.lines().find_map(|l| l.strip_prefix(&start));
        found.unwrap().trim_end_matches('"').to_owned()
    };
    let api = format!("api_base_url = \"{}\"\n", value("api_base_url"));
    let own = blocks(HEADING, "toml").concat() + &api;
    let newcomer = Newcomer::start(
        &own,
        &[
            ("SLACK_BOT_TOKEN", &value("bot_token")),
            ("SLACK_SIGNING_SECRET", &value("signing_secret")),
        ],
    );
    let out = newcomer.run(&command(HEADING, "dbward user link-slack"));
    assert!(out.contains("U0123ABCDEF"), "{out}");
    let linked = slack.nth("chat.postMessage", 1);
    assert_eq!(linked.body["channel"], "U0123ABCDEF");
    newcomer.run(&command(HEADING, "dbward webhook test"));
    let tested = slack.nth("chat.postMessage", 2);
    assert_eq!(tested.body["channel"], "#db-approvals");
    newcomer.delivered();
    newcomer.program.stop();
}

#[test]
fn a_test_mail_arrives_as_the_page_says() {
    const HEADING: &str = "## Mail";
    let post = PostOffice::start();
    let section = post.section();
    let port = section.lines().find(|l| l.starts_with("port")).unwrap();
    let here = format!("server = \"127.0.0.1\"\n{port}\nsecurity = \"none\"");
    // The mail server of the tests knows no passwords.
    let own = blocks(HEADING, "toml").concat();
    for key in [
        "username = \"dbward\"\n",
        "password = \"${SMTP_PASSWORD}\"\n",
    ] {
        assert!(own.contains(key), "{own}");
    }
    let own = own
        .replace("server = \"smtp.example.com\"", &here)
        .replace("username = \"dbward\"\n", "")
        .replace("password = \"${SMTP_PASSWORD}\"\n", "");
    let newcomer = Newcomer::start(&own, &[]);
    newcomer.run(&command(HEADING, "dbward webhook test"));
    eventually("the mail", || post.letters().len() == 1);
    assert_eq!(post.letters()[0].to, "admin@example.com");
    newcomer.delivered();
    let out = newcomer.run(&command(HEADING, "dbward webhook deliveries"));
    let line = out.lines().nth(1).unwrap_or_default();
    for word in ["email", "admin", "webhook.tested", "delivered"] {
        assert!(line.split_whitespace().any(|w| w == word), "{word}: {out}");
    }
    newcomer.program.stop();
}

#[test]
fn dead_delivery_is_sent_again_as_the_page_says() {
    let sink = Sink::start();
    sink.manner(Manner::Status(404, String::new()));
    let newcomer = Newcomer::start(&sink.webhook("ops", ""), &[]);
    newcomer.run(&["webhook", "test", "ops"].map(str::to_owned));
    let admin = admin_of(newcomer.at, newcomer.dir.path());
    let mut dead = Vec::new();
    eventually("it is dead", || {
        let list = admin.get("/api/webhook-deliveries?status=dead").is(200);
        dead = list.list("deliveries");
        dead.len() == 1
    });
    sink.manner(Manner::Accepts);
    assert!(PAGE.contains("`dbward webhook redeliver DELIVERY`"));
    let id = dead[0]["id"].as_str().unwrap().to_owned();
    newcomer.run(&["webhook".into(), "redeliver".into(), id.clone()]);
    assert_eq!(newcomer.delivered()["id"], json!(id));
    assert_eq!(sink.count(), 2);
    newcomer.program.stop();
}
