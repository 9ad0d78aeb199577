//! Agents that reach PostgreSQL through PgBouncer in transaction mode: what they leave in a session, and what they find.

use super::super::{Journal, Place, committed, failure, job, migrations, running};
use super::cluster::{Cluster, command, free_port, programs};
use crate::support::eventually;
use dbward::agent::config::DatabaseEndpoint;
use dbward::agent::drivers::{Cancel, JobEffect, RunOutcome};
use dbward::domain::id::Operation;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Child;

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
    port: u16,
    _pooler: Pooler,
    cluster: Cluster,
}

impl Pooled {
    fn start() -> Pooled {
        let cluster = Cluster::start("");
        let (pooler, endpoint) = pooled(&cluster);
        Pooled {
            port: endpoint.port,
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
fn rows_of_others_do_not_count_in_session_of_pgbouncer() {
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
fn what_runs_in_no_transaction_is_refused_sessions_of_pgbouncer() {
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
fn session_of_pgbouncer_is_ended_in_its_own_transaction_only() {
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

/// Somebody else leaves their settings in the session that everybody shares: names mean what they mean in a new one.
#[test]
#[ignore = "needs DBWARD_TEST_PGBOUNCER"]
fn nothing_that_others_left_in_session_of_pgbouncer_is_inherited() {
    let pooled = Pooled::start();
    let place = &pooled.place;
    let leave = |sql: &str| {
        let port = pooled.port.to_string();
        let left = command(pooled.cluster.folder(), &programs().join("psql"))
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-U",
                "postgres",
                "-c",
                sql,
                "postgres",
            ])
            .status()
            .unwrap();
        assert!(left.success(), "{sql}");
    };
    place.done(&[
        "CREATE SCHEMA evil",
        "CREATE TABLE t (id INTEGER)",
        "CREATE TABLE evil.t (id INTEGER)",
        "INSERT INTO t VALUES (1)",
        "CREATE ROLE nobody_here",
        "CREATE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$no$$; END'",
        "CREATE TRIGGER refuses BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION refuses()",
    ]);
    for sql in [
        "SET search_path = evil",
        "SET ROLE nobody_here",
        "SET SESSION AUTHORIZATION nobody_here",
        "CREATE TEMP TABLE t (id INTEGER)",
        "SET session_replication_role = replica",
        "SET client_encoding = LATIN1",
    ] {
        leave(sql);
        assert_eq!(place.count("t WHERE chr(233) = 'é'"), 1, "{sql}");
        let report = place.wall.rehearse(
            &place.driver,
            &job(Operation::ExecuteDml, &["UPDATE t SET id = 2 WHERE id = 1"]),
            &Cancel::new(),
        );
        assert!(
            report.is_ok_and(|r| r.contains("\"rows_affected\":1")),
            "{sql}"
        );
        leave(sql);
        let (message, _) = failure(place.write(&["DELETE FROM t"]));
        assert!(message.contains("P0001"), "{sql}: {message}");
        leave(sql);
        assert_eq!(place.done(&["INSERT INTO t VALUES (3)"]), 1);
        place.done(&["UPDATE t SET id = 1 WHERE id = 1"]);
        assert_eq!(
            place.value("SELECT count(*) AS n FROM public.t WHERE id = 3"),
            "1",
            "{sql}"
        );
        place.done(&[
            "ALTER TABLE t DISABLE TRIGGER refuses",
            "DELETE FROM t WHERE id = 3",
            "ALTER TABLE t ENABLE TRIGGER refuses",
        ]);
        assert_eq!(left(place), NOTHING, "{sql}");
    }
}
