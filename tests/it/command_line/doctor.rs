//! `doctor`: a server at an address, and an agent where it runs.

use super::console::Console;
use crate::support::Server;
use std::fs;

fn agent_toml(url: &str, token: &str) -> String {
    format!(
        "[server]\nurl = \"{url}\"\ntoken = \"{token}\"\n[agent]\nstate_dir = \"agent-state\"\n[[databases]]\n\
         name = \"shop\"\nenvironment = \"development\"\ndriver = \"sqlite\"\npath = \"shop.db\"\n"
    )
}

#[test]
fn a_server_is_looked_at_without_a_token() {
    let server = Server::shop();
    let url = format!("http://{}", server.inner().addr());
    let console = Console::at("");
    let look = || console.run(None, &["doctor", "--server", &url]);
    let ran = look().is(1);
    assert!(
        ran.out
            .contains(&format!("ok    server         {url} runs dbward ")),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("ok    ready "), "{}", ran.out);
    assert!(
        ran.out
            .contains("BAD   token          there is no token for"),
        "{}",
        ran.out
    );
    // With one that was kept for the address, the rest of the way too.
    server.agent("agent-1").poll();
    let admin = server.admin().token.unwrap();
    let login = ["login", "--server", &url];
    console.run_with(None, &login, &format!("{admin}\n")).is(0);
    let ran = look().is(0);
    assert!(
        ran.out.contains("ok    you            admin, role admin"),
        "{}",
        ran.out
    );
    assert!(ran.out.ends_with("All is well.\n"), "{}", ran.out);
}

#[test]
fn an_agent_is_looked_at_where_it_runs() {
    let server = Server::shop();
    let url = format!("http://{}", server.inner().addr());
    let console = Console::at("");
    let file = console.home().join("agent.toml");
    let look = |text: String| {
        fs::write(&file, text).unwrap();
        console.run(None, &["doctor", "--agent", "agent.toml"])
    };
    rusqlite::Connection::open(console.home().join("shop.db"))
        .unwrap()
        .execute_batch("CREATE TABLE t (a)")
        .unwrap();
    let agent = server.agent("agent-1").person.token.unwrap();
    let good = agent_toml(&url, &agent);
    let ran = look(good.clone()).is(0);
    assert!(
        ran.out
            .contains("ok    token          it is of agent agent-1"),
        "{}",
        ran.out
    );
    assert!(
        ran.out
            .contains("ok    database       shop/development can be opened"),
        "{}",
        ran.out
    );
    let person = server.requester().token.unwrap();
    let ran = look(agent_toml(&url, &person)).is(1);
    assert!(
        ran.out
            .contains("BAD   token          it is not a token of an agent"),
        "{}",
        ran.out
    );
    let ran = look(agent_toml("http://127.0.0.1:1", &agent)).is(1);
    assert!(
        ran.out.contains("BAD   server ") && ran.out.contains("ok    database "),
        "{}",
        ran.out
    );
    let ran = look(good.replace("shop.db", "nowhere/shop.db")).is(1);
    assert!(
        ran.out.contains("BAD   database       shop/development: "),
        "{}",
        ran.out
    );
    let ran = look(good.replace("[agent]", "[agent]\nid = \"agent-2\"")).is(1);
    assert!(
        ran.out.contains("another agent than `agent-2`"),
        "{}",
        ran.out
    );
    let ran = look("nonsense = 1\n".to_owned()).is(1);
    assert!(
        ran.out.contains("BAD   configuration  agent.toml:1"),
        "{}",
        ran.out
    );
}
