//! How the agent logs in to PostgreSQL: passwords by SCRAM, TLS with every degree of care, and through PgBouncer.

use super::super::served::Served;
use super::super::{Place, claims, committed};
use super::cluster::Cluster;
use crate::support::{Request, eventually};
use dbward::agent::config::{AgentConfig, DatabaseEndpoint, DriverConfig, Password, Tls};
use rustix::process::Signal;

const SECRET: &str = "p w'\"%$é";

fn with_logins() -> Cluster {
    let cluster = Cluster::start("");
    let place = cluster.place(cluster.endpoint());
    for user in ["secured", "plain"] {
        let quoted = SECRET.replace('\'', "''");
        place.done(&[&format!(
            "CREATE ROLE {user} LOGIN SUPERUSER PASSWORD '{quoted}'"
        )]);
    }
    cluster
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn passwords_are_proved_by_scram_and_never_shown() {
    let cluster = with_logins();
    let check = |endpoint: DatabaseEndpoint| {
        let place = cluster.place(endpoint);
        place.wall.check(&place.driver)
    };
    check(cluster.login("plain", SECRET, Tls::Off)).unwrap();
    let why = check(cluster.login("plain", "wrong secret", Tls::Off)).unwrap_err();
    assert!(why.contains("28P01") && !why.contains("secret"), "{why}");
    let mut none = cluster.login("plain", "", Tls::Off);
    none.password = None;
    let why = check(none).unwrap_err();
    assert!(why.contains("asks for a password"), "{why}");
    // From a file, of any bytes but the newline at its end.
    let file = cluster.folder().join("password");
    std::fs::write(&file, format!("{SECRET}\r\n")).unwrap();
    let text = format!(
        "[server]\nurl = \"http://127.0.0.1:1\"\ntoken = \"t\"\n[agent]\nstate_dir = \"a\"\n[[databases]]\nname = \"shop\"\n\
         environment = \"development\"\ndriver = \"postgresql\"\nhost = \"localhost\"\nport = {}\ndatabase = \"postgres\"\n\
         user = \"plain\"\npassword_file = \"password\"\n",
        cluster.port
    );
    let config = AgentConfig::parse(&text, cluster.folder(), &|_| None).unwrap();
    let DriverConfig::Postgres(endpoint) = &config.databases[0].driver else {
        panic!("no server");
    };
    assert_eq!(
        endpoint.password,
        Some(Password(SECRET.as_bytes().to_vec()))
    );
    check(endpoint.clone()).unwrap();
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_password_may_be_bytes_that_are_not_text() {
    let cluster = with_logins();
    let bytes = b"p\xff\xfe'\x80w";
    let verifier = postgres_protocol::password::scram_sha_256(bytes);
    let place = cluster.place(cluster.endpoint());
    place.done(&[&format!("ALTER ROLE plain PASSWORD '{verifier}'")]);
    std::fs::write(
        cluster.folder().join("password"),
        [&bytes[..], b"\n"].concat(),
    )
    .unwrap();
    let of = |keys: &str| {
        let text = format!(
            "[server]\nurl = \"http://127.0.0.1:1\"\ntoken = \"t\"\n[agent]\nstate_dir = \"a\"\n\
             [[databases]]\nname = \"shop\"\nenvironment = \"development\"\ndriver = \"postgresql\"\n{keys}"
        );
        let config = AgentConfig::parse(&text, cluster.folder(), &|_| None).unwrap();
        let place = super::super::places::placed(config.databases[0].driver.clone());
        place.wall.check(&place.driver)
    };
    let (port, host) = (cluster.port, "127.0.0.1");
    of(&format!(
        "host = \"{host}\"\nport = {port}\ndatabase = \"postgres\"\nuser = \"plain\"\npassword_file = \"password\"\n"
    ))
    .unwrap();
    let url =
        |password: &str| format!("url = \"postgres://plain:{password}@{host}:{port}/postgres\"\n");
    of(&url("p%FF%FE'%80w")).unwrap();
    let why = of(&url("p%FF%FD'%80w")).unwrap_err();
    assert!(why.contains("28P01"), "{why}");
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn tls_is_as_careful_as_configured() {
    let cluster = with_logins();
    let check = |endpoint: DatabaseEndpoint| {
        let place = cluster.place(endpoint);
        place.wall.check(&place.driver)
    };
    let verified = cluster.login("secured", SECRET, Tls::VerifyFull);
    check(verified.clone()).unwrap();
    let place = cluster.place(verified.clone());
    assert_eq!(
        place.value("SELECT ssl AS s FROM pg_stat_ssl WHERE pid = pg_backend_pid()"),
        "true"
    );
    // The name that the certificate is for.
    let other = DatabaseEndpoint {
        host: "127.0.0.1".to_owned(),
        ..verified.clone()
    };
    let why = check(other).unwrap_err();
    assert!(
        why.starts_with("no TLS connection to the database"),
        "{why}"
    );
    // An authority that is trusted.
    let stranger = DatabaseEndpoint {
        ca_file: None,
        ..verified.clone()
    };
    let why = check(stranger).unwrap_err();
    assert!(
        why.starts_with("no TLS connection to the database"),
        "{why}"
    );
    let anybody = DatabaseEndpoint {
        host: "127.0.0.1".to_owned(),
        tls: Tls::Require,
        ca_file: None,
        ..verified.clone()
    };
    check(anybody).unwrap();
    let why = check(DatabaseEndpoint {
        tls: Tls::Off,
        ..verified
    })
    .unwrap_err();
    assert!(
        why.contains("28000") && why.contains("no encryption"),
        "{why}"
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_session_is_known_where_the_server_tracks_no_activities() {
    let cluster = Cluster::start("track_activities = off");
    let place = cluster.place(cluster.endpoint());
    place.done(&["CREATE TABLE u (id INTEGER)"]);
    place.done(&["CREATE INDEX CONCURRENTLY i ON u (id)"]);
    claims::cancelling_ends_a_write_in_the_database(
        place,
        &[
            "UPDATE t SET id = 1 WHERE id = 1",
            "INSERT INTO t SELECT 1 FROM generate_series(1, 100000000000) g WHERE g < 0",
        ],
    );
}

/// A server on which commits can be made to wait for somebody who is not there.
struct Hanging {
    served: Served,
    admin: Place,
    _cluster: Cluster,
}

impl Hanging {
    fn start() -> Hanging {
        let cluster = Cluster::start("synchronous_commit = on");
        let served = Served::start(cluster.place(cluster.endpoint()), 60);
        served
            .place
            .done(&["CREATE TABLE t (id BIGINT PRIMARY KEY)"]);
        Hanging {
            served,
            admin: cluster.place(cluster.endpoint()),
            _cluster: cluster,
        }
    }

    /// Has a request stop in its COMMIT.
    fn inside_a_commit(&self, sql: &str) -> Request {
        committed(
            self.admin
                .write(&["ALTER SYSTEM SET synchronous_standby_names = 'nobody'"]),
        );
        self.admin.done(&["SELECT pg_reload_conf()"]);
        let request = self.served.submit(sql, "");
        let hangs = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query = 'COMMIT'";
        eventually("the commit hangs", || self.admin.value(hangs) != "0");
        request
    }

    fn let_go(&self) {
        // These wait for nobody only when the second has worked.
        self.admin
            .write(&["ALTER SYSTEM RESET synchronous_standby_names"]);
        self.admin.write(&["SELECT pg_reload_conf()"]);
    }

    fn is_reported_as_committed(&self, request: &Request) {
        let reported = self.served.result(request).is(200);
        assert_eq!(
            (&reported.json["success"], &reported.json["rows_affected"]),
            (&true.into(), &1.into()),
            "{}",
            reported.raw()
        );
        assert_eq!(self.served.place.count("t"), 1);
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn an_agent_killed_inside_a_commit_learns_how_it_ended() {
    let mut hanging = Hanging::start();
    let request = hanging.inside_a_commit("INSERT INTO t VALUES (1) RETURNING id");
    hanging.served.kill_agent();
    hanging.served.start_agent();
    std::thread::park_timeout(std::time::Duration::from_millis(300));
    hanging.let_go();
    hanging.is_reported_as_committed(&request);
    // What it returned is lost, which is not the same as nothing.
    let reported = hanging.served.result(&request);
    let result = &reported.json["result_data"];
    assert_eq!(
        result["truncation_reason"],
        "result unavailable: the agent stopped after it was committed"
    );
    assert_eq!(result["truncated"], true);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn agent_asked_to_stop_inside_commit_tells_how_it_ended() {
    let mut hanging = Hanging::start();
    let request = hanging.inside_a_commit("INSERT INTO t VALUES (1)");
    hanging.served.agent().signal(Signal::TERM);
    hanging.let_go();
    hanging.served.agent_ends();
    hanging.is_reported_as_committed(&request);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn agent_that_has_to_stop_inside_a_commit_claims_nothing() {
    let mut hanging = Hanging::start();
    hanging.served.stop_agent();
    let at = hanging.served.server.requester().at;
    hanging.served.start_agent_with(at, "drain_secs = 0\n", &[]);
    let request = hanging.inside_a_commit("INSERT INTO t VALUES (1)");
    hanging.served.agent().signal(Signal::TERM);
    hanging.served.agent_ends();
    // The database commits it after all.
    assert_eq!(hanging.served.place.count("t"), 0);
    hanging.let_go();
    let place = &hanging.served.place;
    eventually("it is committed", || place.count("t") == 1);
    let lost = request.clone().is("execution_lost");
    let executions = lost.by.get(&lost.path("/executions")).is(200);
    assert_eq!(executions.json["executions"][0]["outcome"], "unknown");
    let resumed = lost.by.poke(&lost.path("/resume"));
    resumed.refused(422, "outcome_unknown");
}
