//! Alert rules and dashboard name only what the page of metrics has.

use dbward::metrics::Metrics;
use serde_json::Value;
use std::collections::BTreeMap;

const ALERTS: &str = include_str!("../../packaging/monitoring/dbward-alerts.yml");
const DASHBOARD: &str = include_str!("../../packaging/monitoring/grafana-dashboard.json");
const DOCUMENTED: &str = include_str!("../../docs/metrics.md");

/// Words of PromQL, and the labels that Prometheus adds.
const WORDS: &[&str] = &[
    "and",
    "by",
    "changes",
    "delta",
    "histogram_quantile",
    "increase",
    "instance",
    "job",
    "le",
    "max_over_time",
    "or",
    "rate",
    "sum",
    "time",
    "up",
];

/// A family: its kind, its labels, and its row in docs/metrics.md.
struct Family {
    histogram: bool,
    labels: &'static [&'static str],
    row: &'static str,
}

fn families() -> BTreeMap<&'static str, Family> {
    let page = Metrics::new().render();
    let row = |name: &str| {
        let begin = format!("| `{name}` |");
        DOCUMENTED
            .lines()
            .find(|line| line.starts_with(&begin))
            .unwrap()
    };
    Metrics::FAMILIES
        .iter()
        .map(|(name, labels)| {
            let histogram = page.contains(&format!("# TYPE {name} histogram\n"));
            (
                *name,
                Family {
                    histogram,
                    labels,
                    row: row(name),
                },
            )
        })
        .collect()
}

/// What an expression names that nothing has.
fn strangers(expr: &str, families: &BTreeMap<&'static str, Family>) -> Vec<String> {
    let mut strange = Vec::new();
    let mut used: Vec<&Family> = Vec::new();
    let mut words: Vec<(&str, Option<&str>)> = Vec::new();
    let mut rest = expr;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    while let Some(at) = rest.find(|c: char| c.is_ascii_alphabetic()) {
        let digits = rest[..at].ends_with(|c: char| c.is_ascii_digit());
        let end = rest[at..]
            .find(|c| !is_word(c))
            .map_or(rest.len(), |n| at + n);
        let (word, after) = (&rest[at..end], &rest[end..]);
        let text = after
            .strip_prefix("=\"")
            .and_then(|after| after.split('"').next());
        // The unit of a span of time is not a word.
        if !digits {
            words.push((word, text));
        }
        rest = text.map_or(after, |text| &after[text.len() + 3..]);
    }
    for (word, _) in &words {
        let parts = ["_bucket", "_sum", "_count"];
        let base = parts.iter().find_map(|part| word.strip_suffix(part));
        let histogram = base
            .and_then(|base| families.get(base))
            .filter(|f| f.histogram);
        used.extend(histogram.or_else(|| families.get(word).filter(|f| !f.histogram)));
    }
    for (word, text) in words {
        let base = word.rsplit_once('_').map_or(word, |(base, _)| base);
        let label = used.iter().find(|family| family.labels.contains(&word));
        match (label, text) {
            (Some(family), Some(text)) if !family.row.contains(&format!("`{text}`")) => {
                strange.push(format!("{word}={text}"));
            }
            (Some(_), _) => {}
            (None, _) if WORDS.contains(&word) => {}
            (None, _) if families.get(word).is_some_and(|f| !f.histogram) => {}
            (None, _) if families.get(base).is_some_and(|f| f.histogram) => {}
            (None, _) => strange.push(word.to_owned()),
        }
    }
    strange
}

/// Every expression of the rules, with the name of its rule.
fn rules() -> Vec<(&'static str, &'static str)> {
    let lines: Vec<&str> = ALERTS.lines().map(str::trim).collect();
    let name = |line: &'static str| line.strip_prefix("- alert: ");
    let expr = |line: &'static str| line.strip_prefix("expr: '")?.strip_suffix('\'');
    lines
        .windows(2)
        .filter_map(|two| Some((name(two[0])?, expr(two[1])?)))
        .collect()
}

fn panels() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().unwrap() {
            found.push((
                title.to_owned(),
                target["expr"].as_str().unwrap().to_owned(),
            ));
            let legend = target["legendFormat"].as_str().unwrap_or_default();
            let labels = legend
                .split("{{")
                .skip(1)
                .map(|rest| rest.split("}}").next().unwrap());
            for label in labels {
                let expr = target["expr"].as_str().unwrap();
                let by =
                    expr.contains(&format!("by ({label}")) || expr.contains(&format!(", {label})"));
                let plain = Metrics::FAMILIES
                    .iter()
                    .any(|(name, labels)| *name == expr && labels.contains(&label));
                assert!(by || plain, "{title}: {label} is not a label of {expr}");
            }
        }
    }
    found
}

#[test]
fn alert_rules_name_only_what_exists() {
    let families = families();
    let rules = rules();
    assert_eq!(rules.len(), ALERTS.matches("- alert:").count());
    assert_eq!(rules.len(), ALERTS.matches("          action: ").count());
    assert!(rules.len() > 15);
    for (name, expr) in rules {
        assert_eq!(strangers(expr, &families), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn every_alert_rule_is_evaluated_and_sees_the_first_event() {
    let evaluated = include_str!("../monitoring/alerts.yml");
    let page = Metrics::new().render();
    for (name, expr) in rules() {
        for kind in ["fires", "is quiet"] {
            assert!(
                evaluated.contains(&format!("name: {name} {kind}\n")),
                "{name}"
            );
        }
        // What appears with its first event has not increased by it.
        for counter in expr.split("increase(").skip(1) {
            let counter = counter.split('[').next().unwrap();
            let (family, labels) = counter.split_once('{').unwrap_or((counter, "}"));
            let labels = labels.trim_end_matches('}');
            let is_there = page.lines().any(|line| {
                line.strip_prefix(family)
                    .is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(labels))
            });
            assert!(
                is_there,
                "{name}: {counter} is not on the page from the start"
            );
        }
    }
}

#[test]
fn dashboard_names_only_what_exists() {
    let families = families();
    let panels = panels();
    assert!(panels.len() > 30);
    for (title, expr) in panels {
        assert_eq!(strangers(&expr, &families), Vec::<String>::new(), "{title}");
    }
}

#[test]
fn what_does_not_exist_is_found() {
    let families = families();
    for (expr, strange) in [
        ("rate(dbward_no_total[5m]) > 1", "dbward_no_total"),
        (
            "dbward_approval_wait_seconds > 1",
            "dbward_approval_wait_seconds",
        ),
        ("dbward_queue_depth_count > 1", "dbward_queue_depth_count"),
        ("sum by (colour) (dbward_requests_total)", "colour"),
        ("dbward_requests_total{status=\"eaten\"}", "status=eaten"),
        ("averages(dbward_queue_depth)", "averages"),
    ] {
        assert_eq!(strangers(expr, &families), [strange], "{expr}");
    }
}
