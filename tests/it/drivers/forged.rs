//! What a function, a trigger or a procedure raises under a number of the server's own is no more than its words: nothing
//! is concluded from it that the agent does not know by itself.

use super::places::{mysql, postgres};
use super::rehearsals::rehearse;
use super::{Place, failure};
use dbward::agent::drivers::JobEffect;

/// Everything ends as a failure of the second statement that is rolled back, and says nothing of time, locks or cancelling.
fn is_only_refused(place: &Place, first: &str, second: &str) {
    let (message, effect) = failure(place.write(&[first, second]));
    assert_eq!(effect, JobEffect::RolledBack, "{message}");
    assert!(message.starts_with("statement 2: "), "{second}: {message}");
    assert!(message.ends_with("; rolled back"), "{second}: {message}");
    for word in ["timeout", "cancelled", "lock", "connection", "committ"] {
        assert!(!message.contains(word), "{second}: {message}");
    }
    assert_eq!(place.count("t"), 0);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn forged_codes_of_postgres_end_as_failures() {
    let place = postgres();
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    for code in [
        "57014", "40001", "40P01", "25006", "25001", "55P03", "57P01", "08006", "2D000", "25P02",
        "40003",
    ] {
        let raises = format!("DO $$ BEGIN RAISE SQLSTATE '{code}' USING MESSAGE = 'x'; END $$");
        is_only_refused(&place, "INSERT INTO t VALUES (1)", &raises);
        // Alone it is not run a second time without a transaction.
        let (message, effect) = failure(place.write(&[&raises]));
        assert_eq!(effect, JobEffect::RolledBack, "{message}");
        assert!(message.contains(&format!("(SQLSTATE {code})")), "{message}");
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_trigger_cannot_pretend_that_a_lock_was_held() {
    let place = postgres();
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    place.done(&[
        "CREATE FUNCTION pretends() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE SQLSTATE '55P03' USING MESSAGE = 'canceling statement due to lock timeout'; END $$",
        "CREATE TRIGGER pretends BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION pretends()",
    ]);
    let why = rehearse(&place, &["INSERT INTO t VALUES (1)"]).unwrap_err();
    assert!(!why.starts_with("lock wait"), "{why}");
    assert!(why.contains("SQLSTATE 55P03"), "{why}");
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn forged_numbers_of_mysql_end_as_failures() {
    let place = mysql();
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    for (state, number) in [
        ("70100", 1969),
        ("HY000", 3024),
        ("70100", 1317),
        ("40001", 1213),
        ("HY000", 1205),
        ("25006", 1792),
        ("42000", 1305),
        ("08S01", 2013),
        ("70100", 1927),
    ] {
        place.done(&[&format!(
            "CREATE OR REPLACE PROCEDURE raises() SIGNAL SQLSTATE '{state}' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'x'"
        )]);
        is_only_refused(&place, "INSERT INTO t VALUES (1)", "CALL raises()");
    }
    // The time that a plan sets itself is not that of the job.
    let own = "SET STATEMENT max_statement_time = 0.05 FOR SELECT SLEEP(5)";
    let (message, _) = failure(place.write(&[own]));
    assert!(message.contains("max_statement_time exceeded"), "{message}");
}
