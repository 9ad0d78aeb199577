//! Claims about the proxy of all calls, and where Slack's methods are.

use super::super::*;

/// A server.toml that begins with these lines and ends with those.
fn around(first: &str, last: &str) -> String {
    format!(
        "{first}\nstate_dir = \"x\"\n[[databases]]\nname = \"app\"\nenvironments = [\"staging\"]\n{last}"
    )
}

#[test]
fn proxy_is_warned_of_and_no_other_url_is_one() {
    let config = loads(&around("outbound_proxy = \"http://10.0.0.1:3128/\"", ""));
    assert_eq!(
        config.outbound_proxy.as_deref(),
        Some("http://10.0.0.1:3128")
    );
    assert_eq!(config.reach().proxy, config.outbound_proxy);
    let warned: Vec<String> = config.warnings.iter().map(Problem::to_string).collect();
    assert!(
        warned[0].contains("outbound_proxy: the proxy finds the addresses"),
        "{warned:?}"
    );
    assert_eq!(loads(&around("", "")).reach().proxy, None);
    for (url, why) in [
        ("proxy:3128", "not a URL"),
        ("socks5://proxy:1080", "not a URL"),
        ("https://proxy:3128", "does not begin with `http://`"),
        ("http://proxy/path", "a URL with a path"),
        ("http://me:secret@proxy", "a name or a password"),
        ("", "not a URL"),
    ] {
        let found = refused(&around(&format!("outbound_proxy = \"{url}\""), ""));
        assert!(
            found[0].contains("outbound_proxy: ") && found[0].contains(why),
            "{found:?}"
        );
    }
}

#[test]
fn the_bot_token_goes_nowhere_in_the_clear() {
    let with = |url: &str| {
        let keys = "[slack]\nbot_token = \"x\"\nsigning_secret = \"y\"\n";
        around("", &format!("{keys}api_base_url = \"{url}\"\n"))
    };
    let slack = |url: &str| loads(&with(url)).slack.unwrap();
    assert_eq!(
        slack("https://gateway.example.com/api/").api.url(),
        "https://gateway.example.com/api"
    );
    assert_eq!(
        slack("http://127.0.0.1:9/api").api.url(),
        "http://127.0.0.1:9/api"
    );
    for (url, why) in [
        ("http://slack.com/api", "without encryption"),
        ("https://slack.com/api?x=y", "a URL with a query"),
        ("slack.com", "not a URL"),
    ] {
        let found = refused(&with(url));
        assert!(
            found[0].contains("slack.api_base_url: ") && found[0].contains(why),
            "{found:?}"
        );
    }
}
