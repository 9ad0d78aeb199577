//! Counters, gauges and histograms, printed as Prometheus text.
//!
//! Every family there can ever be is a field of [`Metrics`], with its labels and its help text: a test holds
//! this list against the documentation.

pub mod process;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;

/// Bounds of a histogram where it has none of its own, in seconds.
const SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
];
/// The same for what mostly takes less than a few milliseconds.
const SHORT_SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];
/// The same for what people take their time for: the bounds of [`SECONDS`], then up to three days.
const LONG_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0,
    3_600.0, 14_400.0, 86_400.0, 259_200.0,
];
/// Bounds of a number of writers.
const WRITERS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// At most this many label combinations a family; further ones are counted under `other`, so that nobody can grow
/// the page (or our memory) by inventing names.
pub const SERIES_MAX: usize = 1000;

/// A counter that only grows; with labels, one count for each combination.
pub struct Counter(Family<u64>);

/// A value that goes up and down.
pub struct Gauge(Family<i64>);

/// Observations by the bounds they do not exceed, with their sum and count.
pub struct Histogram {
    family: Family<Observed>,
    bounds: &'static [f64],
}

struct Family<T> {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    series: Mutex<BTreeMap<String, T>>,
}

#[derive(Default, Clone)]
struct Observed {
    /// As many as there are bounds, once something was observed.
    buckets: Vec<u64>,
    count: u64,
    sum: f64,
}

impl<T: Default> Family<T> {
    fn new(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Self {
        let series = Mutex::new(BTreeMap::new());
        Family {
            name,
            help,
            labels,
            series,
        }
    }

    fn with(&self, values: &[&str], update: impl FnOnce(&mut T)) {
        debug_assert_eq!(values.len(), self.labels.len(), "{}", self.name);
        let key = self.key(values);
        let mut series = self.series.lock().unwrap_or_else(|e| e.into_inner());
        if series.len() >= SERIES_MAX && !series.contains_key(&key) {
            let other = vec!["other"; self.labels.len()];
            let key = self.key(&other);
            return update(series.entry(key).or_default());
        }
        update(series.entry(key).or_default());
    }

    /// `{a="x",b="y"}`, escaped; empty without labels.
    fn key(&self, values: &[&str]) -> String {
        let mut out = String::new();
        for (label, value) in self.labels.iter().zip(values) {
            out.push_str(if out.is_empty() { "{" } else { "," });
            let escaped = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let _ = write!(out, "{label}=\"{escaped}\"");
        }
        if !out.is_empty() {
            out.push('}');
        }
        out
    }

    fn print(&self, out: &mut String, kind: &str, line: impl Fn(&mut String, &str, &T)) {
        let _ = writeln!(out, "# HELP {} {}", self.name, self.help);
        let _ = writeln!(out, "# TYPE {} {kind}", self.name);
        let series = self.series.lock().unwrap_or_else(|e| e.into_inner());
        if series.is_empty() && self.labels.is_empty() {
            line(out, "", &T::default());
        }
        for (key, value) in series.iter() {
            line(out, key, value);
        }
    }
}

impl Counter {
    fn new(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Counter {
        Counter(Family::new(name, help, labels))
    }

    /// Adds one for this combination of label values.
    pub fn inc(&self, values: &[&str]) {
        self.add(values, 1);
    }

    /// Adds `n` for this combination of label values.
    pub fn add(&self, values: &[&str], n: u64) {
        self.0.with(values, |count| *count += n);
    }

    /// The count of one combination; zero if it never moved.
    pub fn value(&self, values: &[&str]) -> u64 {
        let key = self.0.key(values);
        let series = self.0.series.lock().unwrap_or_else(|e| e.into_inner());
        series.get(&key).copied().unwrap_or(0)
    }
}

impl Gauge {
    fn new(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Gauge {
        Gauge(Family::new(name, help, labels))
    }

    pub fn set(&self, values: &[&str], value: i64) {
        self.0.with(values, |v| *v = value);
    }

    /// Adds `n`, which may be negative.
    pub fn add(&self, values: &[&str], n: i64) {
        self.0.with(values, |v| *v += n);
    }
}

impl Histogram {
    fn new(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Histogram {
        let family = Family::new(name, help, labels);
        Histogram {
            family,
            bounds: SECONDS,
        }
    }

    fn bounded(self, bounds: &'static [f64]) -> Histogram {
        Histogram { bounds, ..self }
    }

    /// Shows this combination before its first observation.
    fn show(&self, values: &[&str]) {
        self.family
            .with(values, |seen| seen.buckets.resize(self.bounds.len(), 0));
    }

    /// Records one observation, in the unit of the name.
    pub fn observe(&self, values: &[&str], value: f64) {
        self.family.with(values, |seen| {
            seen.buckets.resize(self.bounds.len(), 0);
            for (bucket, bound) in seen.buckets.iter_mut().zip(self.bounds) {
                *bucket += u64::from(value <= *bound);
            }
            seen.count += 1;
            seen.sum += value;
        });
    }
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $field:ident: $kind:ident($name:literal, $help:literal, [$($label:literal),*] $(, $bounds:ident)?);)*) => {
        /// Every metric family of the server.
        pub struct Metrics { $($(#[$doc])* #[doc = $help] pub $field: $kind,)* }

        impl Metrics {
            /// All families, those with labels empty.
            fn blank() -> Metrics {
                Metrics { $($field: $kind::new($name, $help, &[$($label),*])$(.bounded($bounds))?,)* }
            }

            /// The page, in the Prometheus text format 0.0.4.
            pub fn render(&self) -> String {
                let mut out = String::with_capacity(16 * 1024);
                $(self.$field.render(&mut out);)*
                out
            }

            /// Name and labels of every family, for the test that holds them against the documentation.
            pub const FAMILIES: &'static [(&'static str, &'static [&'static str])] =
                &[$(($name, &[$($label),*]),)*];
        }

        impl Default for Metrics {
            fn default() -> Self { Metrics::new() }
        }
    };
}

impl Metrics {
    /// All families, at zero, with the combinations of labels whose first event raises an alarm: what appears only with
    /// its first event has not increased by it.
    pub fn new() -> Metrics {
        let metrics = Metrics::blank();
        let counters = [
            (&metrics.executions, "completed failed lost"),
            (&metrics.webhook_deliveries, "delivered dead cancelled"),
            (&metrics.oidc_fetches, "ok failed"),
            (
                &metrics.sweep_stuck,
                "expire lease results requests objects",
            ),
            (&metrics.replication_failures, "copy lease"),
        ];
        for (counter, values) in counters {
            values.split(' ').for_each(|value| counter.add(&[value], 0));
        }
        for operation in ["put", "get", "delete", "list", "probe"] {
            metrics.result_store_duration.show(&[operation, "failed"]);
        }
        metrics
    }
}

impl Counter {
    fn render(&self, out: &mut String) {
        self.0.print(out, "counter", |out, key, value| {
            let _ = writeln!(out, "{}{key} {value}", self.0.name);
        });
    }
}

impl Gauge {
    fn render(&self, out: &mut String) {
        self.0.print(out, "gauge", |out, key, value| {
            let _ = writeln!(out, "{}{key} {value}", self.0.name);
        });
    }
}

impl Histogram {
    fn render(&self, out: &mut String) {
        self.family.print(out, "histogram", |out, key, seen| {
            let inner = key.trim_start_matches('{').trim_end_matches('}');
            let comma = if inner.is_empty() { "" } else { "," };
            let name = self.family.name;
            let none = std::iter::repeat(&0);
            for (count, bound) in seen.buckets.iter().chain(none).zip(self.bounds) {
                let _ = writeln!(out, "{name}_bucket{{{inner}{comma}le=\"{bound}\"}} {count}");
            }
            let _ = writeln!(
                out,
                "{name}_bucket{{{inner}{comma}le=\"+Inf\"}} {}",
                seen.count
            );
            let _ = writeln!(out, "{name}_sum{key} {}", seen.sum);
            let _ = writeln!(out, "{name}_count{key} {}", seen.count);
        });
    }
}

metrics! {
    http_requests: Counter("dbward_http_requests_total", "Answers sent, by route template.", ["method", "path", "status"]);
    http_duration: Histogram("dbward_http_request_duration_seconds", "Time from a whole request read to its answer ready; parked time of long-polls included.", ["method", "path"]);
    build_info: Gauge("dbward_build_info", "Always 1; the label says which version runs.", ["version"]);
    requests: Counter("dbward_requests_total", "Requests that entered a status.", ["status", "environment", "database"]);
    requests_current: Gauge("dbward_requests_current", "Requests in a status now.", ["status"]);
    oldest_pending: Gauge("dbward_requests_oldest_pending_seconds", "Age of the request that has waited longest for approval; 0 when none waits.", []);
    approvals: Counter("dbward_approvals_total", "Votes, by action: approve or reject.", ["action"]);
    approval_wait: Histogram("dbward_approval_wait_seconds", "Time from creation to final approval.", [], LONG_SECONDS);
    executions: Counter("dbward_agent_executions_total", "Executions that ended, by status: completed, failed or lost.", ["status"]);
    execution_duration: Histogram("dbward_execution_duration_seconds", "Duration of executions as their agent reports it.", ["database", "environment"]);
    lease_expirations: Counter("dbward_agent_lease_expirations_total", "Executions lost because their lease ran out.", []);
    agents_active: Gauge("dbward_agents_active", "Agents seen in the last 60 seconds.", []);
    agents_saturated: Gauge("dbward_agents_saturated", "Active agents that run as much as they may.", []);
    rehearsals: Counter("dbward_rehearsals_total", "Rehearsals that came to an end, by status: done, failed or unavailable.", ["status"]);
    break_glass: Counter("dbward_break_glass_total", "Emergency requests created.", []);
    break_glass_ddl_attempted: Counter("dbward_break_glass_ddl_attempted_total", "Emergency requests that asked for DDL.", []);
    break_glass_ddl_allowed: Counter("dbward_break_glass_ddl_allowed_total", "Emergency requests with DDL that were let through.", []);
    break_glass_ddl_denied: Counter("dbward_break_glass_ddl_denied_total", "Emergency requests with DDL that were refused.", []);
    auth_failures: Counter("dbward_auth_failures_total", "Failed authentications, by reason.", ["reason"]);
    oidc_fetches: Counter("dbward_oidc_fetches_total", "Times the keys of the identity provider were asked for, by outcome: ok or failed.", ["outcome"]);
    sign_ins: Counter("dbward_sign_ins_total", "Sign-ins to the console by browser that came back, by outcome: ok, or why not.", ["outcome"]);
    sessions_ended: Counter("dbward_sessions_ended_total", "Sessions of the console that ended, by why.", ["why"]);
    sessions: Gauge("dbward_sessions", "Sessions of the console that have not ended.", []);
    oidc_keys: Gauge("dbward_oidc_keys", "Keys of the identity provider that can be used, as last fetched.", []);
    refusals: Counter("dbward_refusals_total", "Attempts refused by a rule, by error code.", ["code"]);
    result_storage: Counter("dbward_result_storage_total", "Results written to the store, by outcome: stored, failed or skipped.", ["status"]);
    webhook_deliveries: Counter("dbward_webhook_deliveries_total", "Notifications that came to an end, by status: delivered, dead or cancelled.", ["status"]);
    delivery_attempts: Counter("dbward_delivery_attempts_total", "Attempts to deliver a notification, by endpoint and outcome: delivered, failed, dead or cancelled.", ["endpoint", "outcome"]);
    delivery_duration: Histogram("dbward_delivery_duration_seconds", "Time an attempt to deliver took, by endpoint.", ["endpoint"]);
    slack_calls: Counter("dbward_slack_calls_total", "Calls of Slack, by kind (command, button, dialog or other) and outcome: done, queued, refused or dropped.", ["kind", "outcome"]);
    outbox_current: Gauge("dbward_outbox_current", "Notifications in the outbox now, by status.", ["status"]);
    outbox_oldest: Gauge("dbward_outbox_oldest_seconds", "Age of the notification that has waited longest to be delivered; 0 when none waits.", []);
    purged: Counter("dbward_purged_total", "What retention removed, by kind: result, request, message, event or object.", ["kind"]);
    sweep_stuck: Counter("dbward_sweep_stuck_total", "Things that a job could not move or remove, once a turn, by job.", ["job"]);
    result_store_duration: Histogram("dbward_result_store_duration_seconds", "Time the result store took, by operation and outcome: ok or failed.", ["operation", "outcome"]);
    result_store_retries: Counter("dbward_result_store_retries_total", "Calls to a bucket that were made again, by reason: lost, or the status of the answer.", ["reason"]);
    on_call_fetches: Counter("dbward_on_call_fetches_total", "Times a service was asked who is on call, by group and outcome: ok or failed.", ["group", "outcome"]);
    on_call_people: Gauge("dbward_on_call_people", "People who are on call, by group.", ["group"]);
    background_panics: Counter("dbward_background_panics_total", "Panics caught in background threads.", []);
    call_panics: Counter("dbward_call_panics_total", "Panics caught in calls; each was answered 500.", []);
    store_batches: Counter("dbward_store_batches_total", "Transactions committed by the store.", []);
    store_changes: Counter("dbward_store_changes_total", "Changes inside those transactions.", []);
    store_batch_writers: Histogram("dbward_store_batch_writers", "Writers that shared a transaction.", [], WRITERS);
    store_commit_duration: Histogram("dbward_store_commit_duration_seconds", "Time a transaction took, from its beginning until it was durable.", [], SHORT_SECONDS);
    store_lock_wait: Histogram("dbward_store_lock_wait_seconds", "Time a read or a transaction waited for the one connection to the database.", [], SHORT_SECONDS);
    store_database_bytes: Gauge("dbward_store_database_bytes", "Size of the database file.", []);
    store_wal_bytes: Gauge("dbward_store_wal_bytes", "Size of the write-ahead log file.", []);
    disk_free_bytes: Gauge("dbward_disk_free_bytes", "Bytes free in the file system of the state directory.", []);
    audit_events: Counter("dbward_audit_events_total", "Audit events written.", []);
    audit_chain_length: Gauge("dbward_audit_chain_length", "Number of the newest audit event, counted since the database was made.", []);
    audit_last_checkpoint: Gauge("dbward_audit_last_checkpoint_seconds", "When the newest checkpoint of the audit log was signed, in seconds since 1970; 0 before the first.", []);
    gate_connections: Gauge("dbward_gate_connections", "Open client connections.", []);
    gate_connections_max: Gauge("dbward_gate_connections_max", "Most client connections at once.", []);
    gate_parked: Gauge("dbward_gate_parked", "Long-polls waiting without a worker.", []);
    gate_refused: Counter("dbward_gate_refused_total", "Connections and heads the gate turned away, by reason.", ["reason"]);
    gate_backend_lost: Counter("dbward_gate_backend_lost_total", "Backend connections dropped because the backend did not answer properly or in time.", []);
    queue_depth: Gauge("dbward_queue_depth", "Calls waiting for a worker.", []);
    workers: Gauge("dbward_workers", "Threads that handle calls.", []);
    workers_busy: Gauge("dbward_workers_busy", "Those of them that handle one now.", []);
    queue_full: Counter("dbward_queue_full_total", "Calls refused because the queue was full.", []);
    config_reload_failures: Counter("dbward_config_reload_failures_total", "Reloads that changed nothing because the new file was refused.", []);
    config_last_reload_success: Gauge("dbward_config_last_reload_success", "Whether the last reload took the new file over; 1 before the first.", []);
    tls_certificate_not_after: Gauge("dbward_tls_certificate_not_after_seconds", "When the certificate of the listener ends, in seconds since 1970; 0 without TLS.", []);
    replication_epoch: Gauge("dbward_replication_epoch", "Epoch of this server's lease; 0 without replication.", []);
    replication_confirmed: Gauge("dbward_replication_last_confirmed_seconds", "When everything was last known to be in the copy, in seconds since 1970; 0 without replication.", []);
    replication_sync: Histogram("dbward_replication_sync_duration_seconds", "Time until what was committed was in the copy.", []);
    replication_standbys: Gauge("dbward_replication_standbys", "Servers that stand by, as far as the bucket shows; 0 without replication.", []);
    replication_failures: Counter("dbward_replication_failures_total", "Times that the copy, or the lease, could not be reached.", ["what"]);
    config_generation: Gauge("dbward_config_generation", "Number of configurations applied since the start.", []);
    process_start_time: Gauge("process_start_time_seconds", "When the server started, in seconds since 1970.", []);
    process_resident_memory: Gauge("process_resident_memory_bytes", "Memory of the process that is in RAM.", []);
    process_threads: Gauge("process_threads", "Threads of the process.", []);
    process_open_fds: Gauge("process_open_fds", "Open file descriptors.", []);
    process_max_fds: Gauge("process_max_fds", "Most file descriptors that may be open.", []);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_plain_counters_print_zero() {
        let m = Metrics::new();
        m.http_requests.inc(&["GET", "/a\"b\\\n", "200"]);
        m.approval_wait.observe(&[], 0.3);
        let page = m.render();
        assert!(page.contains("{method=\"GET\",path=\"/a\\\"b\\\\\\n\",status=\"200\"} 1"));
        assert!(page.contains("dbward_break_glass_total 0\n"));
        assert!(page.contains("dbward_approval_wait_seconds_bucket{le=\"0.5\"} 1"));
        assert!(page.contains("dbward_approval_wait_seconds_bucket{le=\"0.25\"} 0"));
    }

    #[test]
    fn a_family_cannot_be_grown_without_bound() {
        let m = Metrics::new();
        for n in 0..SERIES_MAX + 50 {
            m.auth_failures.inc(&[&n.to_string()]);
        }
        assert_eq!(m.auth_failures.value(&["other"]), 50);
    }
}
