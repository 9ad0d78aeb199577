//! Plans of MySQL and MariaDB, which anybody reads who may see the schema: nothing of what rows hold is in them.

use super::super::places::{mysql, placed};
use super::super::{Place, failure, job, running};
use crate::support::eventually;
use dbward::agent::drivers::{Cancel, StopReason};
use dbward::domain::id::Operation;
use std::sync::Arc;

fn explain(place: &Place, sql: &str) -> Result<String, String> {
    place.wall.explain(&place.driver, sql, &Cancel::new())
}

fn made() -> Place {
    let place = mysql();
    for sql in [
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, email VARCHAR(40)) ENGINE = InnoDB",
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, note VARCHAR(40), KEY (note)) ENGINE = InnoDB",
        "INSERT INTO customers VALUES (42, 'MARKER')",
        "INSERT INTO notes VALUES (1, 'x'), (2, 'MARKER'), (3, 'y')",
        "CREATE FUNCTION known(a VARCHAR(40)) RETURNS VARCHAR(40) DETERMINISTIC READS SQL DATA \
         RETURN (SELECT email FROM customers WHERE id = 42)",
    ] {
        place.done(&[sql]);
    }
    place
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn no_plan_of_mysql_holds_a_value_of_a_row() {
    let place = made();
    for sql in [
        "SELECT 1 FROM customers c JOIN notes n ON n.note = c.email WHERE c.id = 42",
        "SELECT 1 FROM customers c JOIN notes n ON n.note <> c.email WHERE c.id = 42",
        "SELECT 1 FROM customers c JOIN notes n ON n.id > 0 WHERE c.id = 42 ORDER BY concat(n.note, c.email)",
        "SELECT 1 FROM notes WHERE note = (SELECT email FROM customers WHERE id = 42)",
        "SELECT max(note) FROM notes HAVING max(note) > (SELECT max(email) FROM customers)",
        "UPDATE notes SET note = 'z' WHERE note = (SELECT email FROM customers WHERE id = 42)",
    ] {
        let plan = explain(&place, sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert!(!plan.contains("MARKER"), "{sql}: {plan}");
    }
    let why = explain(&place, "SELECT id FROM notes WHERE note = known('')").unwrap_err();
    assert!(why.contains("no plan is made"), "{why}");
    let plan = explain(&place, "SELECT id FROM notes WHERE note = 'x'").unwrap();
    assert!(
        plan.contains("\"table_name\":\"notes\"") && plan.contains("\"key\":\"note\""),
        "{plan}"
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn plan_of_mysql_is_the_same_whatever_a_row_holds() {
    let place = made();
    let asked = [
        "SELECT 1 FROM customers WHERE id = 42 AND email LIKE 'PREFIX%'",
        "SELECT n.id FROM customers c JOIN notes n ON n.id > 0 WHERE c.id = 42 AND c.email LIKE 'PREFIX%'",
        "SELECT 1 FROM notes WHERE (SELECT email FROM customers WHERE id = 42) LIKE 'PREFIX%'",
        "SELECT 1 FROM notes WHERE (SELECT max(email) FROM customers) LIKE 'PREFIX%'",
        "SELECT 1 FROM customers c JOIN notes n WHERE c.id = 42 \
         AND n.id > if(c.email LIKE 'PREFIX%', 9223372036854775807 + length(c.email), 1)",
    ];
    // With that a condition takes longer than a plan may, and only where the row fits.
    let terms: Vec<String> = (0..90)
        .map(|n| format!("length(sha2(repeat(concat(email, '{n}'), 900000), 512))"))
        .collect();
    let slow = format!(
        "SELECT * FROM customers WHERE id = 42 AND if(email LIKE 'PREFIX%', {} > 0, 1)",
        terms.join(" + ")
    );
    for sql in asked.into_iter().chain([&slow[..]]) {
        let plans = ["M", "X"].map(|prefix| explain(&place, &sql.replace("PREFIX", prefix)));
        assert_eq!(plans[0], plans[1], "{sql}");
        assert!(plans[0].is_ok(), "{sql}: {plans:?}");
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn plan_of_mysql_waits_for_a_lock_briefly_only() {
    let place = made();
    let shared = Arc::new(placed(place.driver.clone()));
    let held = ["LOCK TABLES notes WRITE", "SELECT SLEEP(60)"];
    let (cancel, started, holder) = running(&shared, job(Operation::ExecuteDml, &held));
    started.recv().unwrap();
    let sleeps = "SELECT count(*) AS n FROM information_schema.processlist WHERE db = DATABASE() AND state = 'User sleep'";
    eventually("the table is locked", || place.value(sleeps) == "1");
    let why = explain(&place, "SELECT id FROM notes").unwrap_err();
    cancel.ask(StopReason::Cancelled);
    failure(holder.join().unwrap());
    assert!(why.contains("error 1205"), "{why}");
}
