//! How the agent logs in to PostgreSQL: passwords by SCRAM, TLS with every degree of care, and through PgBouncer.

use super::super::served::Served;
use super::super::{Journal, Place, claims, committed, failure, job, migrations, running};
use super::cluster::{Cluster, command, free_port};
use crate::support::{Request, eventually};
use dbward::agent::config::{AgentConfig, DatabaseEndpoint, DriverConfig, Password, Tls};
use dbward::agent::drivers::{Cancel, JobEffect, RunOutcome};
use dbward::domain::id::Operation;
use rustix::process::Signal;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Child;

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

/// The pooler is killed when the test goes.
struct Pooler(Child);

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A database with a pooler of its own in front. Dropped in this order.
struct Pooled {
    place: Place,
    _pooler: Pooler,
    cluster: Cluster,
}

impl Pooled {
    fn start() -> Pooled {
        let cluster = Cluster::start("");
        let (pooler, endpoint) = pooled(&cluster);
        Pooled {
            place: cluster.place(endpoint),
            _pooler: pooler,
            cluster,
        }
    }
}

/// PgBouncer in front of `cluster`, in transaction mode with one session for everybody.
fn pooled(cluster: &Cluster) -> (Pooler, DatabaseEndpoint) {
    let program = std::env::var_os("DBWARD_TEST_PGBOUNCER").map(PathBuf::from);
    let program = program.expect("DBWARD_TEST_PGBOUNCER does not name the program");
    let port = free_port();
    let ini = format!(
        "[databases]\n* = host=127.0.0.1 port={} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
         unix_socket_dir =\nauth_type = any\npool_mode = transaction\nmax_client_conn = 50\ndefault_pool_size = 1\n\
         ignore_startup_parameters = extra_float_digits\n",
        cluster.port
    );
    let path = cluster.folder().join("pgbouncer.ini");
    std::fs::write(&path, ini).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let child = command(cluster.folder(), &program)
        .arg(&path)
        .spawn()
        .unwrap();
    let endpoint = DatabaseEndpoint {
        port,
        ..cluster.endpoint()
    };
    let place = cluster.place(endpoint.clone());
    eventually("the pooler is up", || {
        place.wall.check(&place.driver).is_ok()
    });
    (Pooler(child), endpoint)
}

/// What is in the session that everybody shares.
fn left(place: &Place) -> String {
    place.value(
        "SELECT (SELECT count(*) FROM pg_prepared_statements) || ' ' || (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory') \
         || ' ' || current_setting('search_path') || ' ' || current_setting('role') || ' ' || (SELECT count(*) FROM pg_cursors WHERE name <> '') \
         || ' ' || (SELECT count(*) FROM pg_listening_channels()) \
         || ' ' || (SELECT count(*) FROM pg_class WHERE relname = 'only_mine') AS v",
    )
}

const NOTHING: &str = "\"0 0 \\\"$user\\\", public none 0 0 0\"";

#[test]
#[ignore = "needs DBWARD_TEST_PGBOUNCER"]
fn nothing_of_a_failure_stays_in_a_session_of_pgbouncer() {
    let pooled = Pooled::start();
    let place = &pooled.place;
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    let takes = "CREATE FUNCTION takes() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN PERFORM pg_advisory_lock(8); RETURN NEW; END $$";
    place.done(&[
        takes,
        "CREATE TRIGGER takes BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION takes()",
    ]);
    let leaves = [
        "PREPARE mine AS SELECT 1",
        "SELECT pg_advisory_lock(7)",
        "SET search_path = nowhere",
    ];
    for sql in leaves {
        let (_, effect) = failure(place.write(&[sql, "SELECT 1 / 0"]));
        assert_eq!(effect, JobEffect::RolledBack);
        assert_eq!(left(place), NOTHING, "{sql}");
        let file = format!("{sql}; SELECT 1 / 0");
        let (_, effect) = failure(migrations::up(place, &[("1", &file)]));
        assert_eq!(effect, JobEffect::RolledBack);
        assert_eq!(left(place), NOTHING, "a migration with {sql}");
    }
    for plan in [
        &["INSERT INTO t VALUES (1)"][..],
        &["INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (1 / 0)"],
    ] {
        let rehearsed = job(Operation::ExecuteDml, plan);
        let report = place
            .wall
            .rehearse(&place.driver, &rehearsed, &Cancel::new());
        assert_eq!(report.is_ok(), plan.len() == 1, "{report:?}");
        assert_eq!(left(place), NOTHING, "a rehearsal of {plan:?}");
    }
    assert_eq!(place.count("t"), 0);
}

#[test]
#[ignore = "needs DBWARD_TEST_PGBOUNCER"]
fn rows_of_others_do_not_count_in_a_session_of_pgbouncer() {
    let pooled = Pooled::start();
    let place = &pooled.place;
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    // The database keeps counts of a session for a second or more after its transaction.
    let many = "INSERT INTO t SELECT generate_series(1, 100)";
    assert_eq!(place.done(&[many]), 100);
    let delete = "DELETE FROM t WHERE id = 1";
    assert_eq!(super::bounds::rehearsed(place, delete), 1);
    let mut bounded = job(Operation::ExecuteDml, &[delete]);
    bounded.max_affected_rows = Some(1);
    assert_eq!(place.run(&bounded), RunOutcome::Changed { rows: 1 });
    assert_eq!(place.count("t"), 99);
}

#[test]
#[ignore = "needs DBWARD_TEST_PGBOUNCER"]
fn what_runs_in_no_transaction_is_refused_the_sessions_of_pgbouncer() {
    let pooled = Pooled::start();
    let place = &pooled.place;
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    let sql = "CREATE INDEX CONCURRENTLY i ON t (id)";
    let file = format!("-- migrate:up transaction:false\n{sql}");
    for outcome in [place.write(&[sql]), migrations::up(place, &[("1", &file)])] {
        let (message, effect) = failure(outcome);
        assert!(
            message.contains("a connection pooler stands before"),
            "{message}"
        );
        assert_eq!(effect, JobEffect::RolledBack);
    }
    assert_eq!(place.count("pg_class WHERE relname = 'i'"), 0);
    let direct = pooled.cluster.place(pooled.cluster.endpoint());
    direct.done(&[sql]);
    migrations::migrated(migrations::up(
        &direct,
        &[(
            "1",
            "-- migrate:up transaction:false\nDROP INDEX CONCURRENTLY i",
        )],
    ));
}

#[test]
#[ignore = "needs DBWARD_TEST_PGBOUNCER"]
fn a_session_of_pgbouncer_is_ended_in_its_own_transaction_only() {
    let pooled = Pooled::start();
    let place = std::sync::Arc::new(pooled.place);
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    let mut earlier = Journal::default();
    let write = job(Operation::ExecuteDml, &["INSERT INTO t VALUES (1)"]);
    place
        .wall
        .run(&place.driver, &write, &Cancel::new(), &mut earlier);
    let direct = pooled.cluster.place(pooled.cluster.endpoint());
    let process = |session: &str| session.split('@').next().unwrap().to_owned();
    let ended = earlier.session.unwrap();
    // Somebody else, in the same process.
    let sleeps = ["INSERT INTO t VALUES (2)", "SELECT pg_sleep(5)"];
    let (_, started, other) = running(&place, job(Operation::ExecuteDml, &sleeps));
    started.recv().unwrap();
    let works = "SELECT pid::text AS v FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()";
    eventually("it sleeps", || {
        direct.rows(works).0["rows"] != serde_json::json!([])
    });
    assert_eq!(direct.value(works), format!("\"{}\"", process(&ended)));
    direct.wall.end_session(&direct.driver, &ended);
    let outcome = other.join().unwrap();
    assert_eq!(committed(outcome), 1);
}

#[test]
#[ignore = "needs DBWARD_TEST_PGBOUNCER"]
fn nothing_of_a_job_stays_in_a_session_of_pgbouncer() {
    let pooled = Pooled::start();
    let place = &pooled.place;
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    for plan in [
        &["SET search_path = nowhere", "SET statement_timeout = 1"][..],
        &["CREATE TEMPORARY TABLE only_mine (id INTEGER)"],
        &["PREPARE mine AS SELECT 1"],
        &["SELECT pg_advisory_lock(7)"],
        &["LISTEN anything"],
        &["SET ROLE pg_monitor"],
        &["DECLARE held CURSOR WITH HOLD FOR SELECT 1"],
    ] {
        assert_eq!(place.done(plan), 0);
    }
    assert_eq!(left(place), NOTHING);
    let described = place.wall.describe(&place.driver, &Cancel::new()).unwrap();
    assert!(described.contains("\"name\":\"t\""), "{described}");
    let explain = |sql: &str| place.wall.explain(&place.driver, sql, &Cancel::new());
    explain("DELETE FROM t").unwrap();
    explain("DELETE FROM missing").unwrap_err();
    assert_eq!(left(place), NOTHING);
    assert_eq!(place.done(&["INSERT INTO t VALUES (1), (2)"]), 2);
    assert_eq!(place.count("t"), 2);
    let (_, effect) = failure(place.write(&["INSERT INTO t VALUES (3)", "SELECT 1 / 0"]));
    assert_eq!(effect, JobEffect::RolledBack);
    assert_eq!(place.count("t"), 2);
    let many = job(
        Operation::ExecuteSelect,
        &["SELECT generate_series(1, 100000)"],
    );
    assert!(matches!(
        place.run(&many),
        RunOutcome::Rows {
            truncated: true,
            ..
        }
    ));
    assert_eq!(place.count("t"), 2);
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
    fn inside_a_commit(&self) -> Request {
        committed(
            self.admin
                .write(&["ALTER SYSTEM SET synchronous_standby_names = 'nobody'"]),
        );
        self.admin.done(&["SELECT pg_reload_conf()"]);
        let request = self.served.submit("INSERT INTO t VALUES (1)", "");
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
    let request = hanging.inside_a_commit();
    hanging.served.kill_agent();
    hanging.served.start_agent();
    std::thread::park_timeout(std::time::Duration::from_millis(300));
    hanging.let_go();
    hanging.is_reported_as_committed(&request);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn an_agent_asked_to_stop_inside_a_commit_tells_how_it_ended() {
    let mut hanging = Hanging::start();
    let request = hanging.inside_a_commit();
    hanging.served.agent().signal(Signal::TERM);
    hanging.let_go();
    hanging.served.agent_ends();
    hanging.is_reported_as_committed(&request);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn an_agent_that_has_to_stop_inside_a_commit_claims_nothing() {
    let mut hanging = Hanging::start();
    hanging.served.stop_agent();
    let at = hanging.served.server.requester().at;
    hanging.served.start_agent_with(at, "drain_secs = 0\n", &[]);
    let request = hanging.inside_a_commit();
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
