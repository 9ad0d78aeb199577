//! What the tables of a MySQL or MariaDB database are: five questions to information_schema. Rows are the estimates of
//! the statistics; nothing is scanned.

use super::session::{MySqlDeadline, MySqlStop, Session};
use super::{ANSWER_WITHIN, MySql};
use crate::agent::drivers::snapshot::{
    ColumnDescription, ConstraintDescription, Index, SchemaDescription, TABLES_MAX,
    TableDescription, Trigger,
};
use crate::agent::drivers::{Cancel, cut};

/// Longest time for all of it, in seconds.
const DESCRIBE_SECS_MAX: u64 = 30;

/// Describes the database of `mysql`; the message says why not.
pub(super) fn describe(mysql: &MySql, cancel: &Cancel) -> Result<String, String> {
    let watch = MySqlDeadline::new(DESCRIBE_SECS_MAX, cancel);
    read(mysql, &watch).map_err(|stop| cut(watch.why(stop)))
}

fn read(mysql: &MySql, watch: &MySqlDeadline) -> Result<String, MySqlStop> {
    let mut session = mysql.connect(watch, Some(ANSWER_WITHIN))?;
    session.own("SET NAMES utf8mb4", watch)?;
    session.wait_briefly(watch)?;
    mysql.limit_time(&mut session, watch)?;
    let mut snapshot = SchemaDescription::default();
    for fill in [tables, columns, keys, indexes, triggers] {
        watch.look()?;
        fill(&mut session, &mut snapshot, watch)?;
    }
    snapshot.finish().map_err(MySqlStop::Failed)
}

type Row = [Option<String>];

fn text(row: &Row, n: usize) -> String {
    row.get(n).cloned().flatten().unwrap_or_default()
}

fn tables(
    session: &mut Session,
    snapshot: &mut SchemaDescription,
    watch: &MySqlDeadline,
) -> Result<(), MySqlStop> {
    let rows = session.ask(
        &format!(
            "SELECT TABLE_NAME, TABLE_ROWS, \
             ENGINE IN (SELECT ENGINE FROM information_schema.ENGINES WHERE TRANSACTIONS = 'YES') \
             FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() \
             AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY TABLE_NAME LIMIT {}",
            TABLES_MAX + 1
        ),
        watch,
    )?;
    for row in rows {
        let table = TableDescription {
            name: text(&row, 0),
            estimated_rows: text(&row, 1).parse().unwrap_or(-1),
            transactional: (text(&row, 2) == "0").then_some(false),
            ..TableDescription::default()
        };
        snapshot.add(table).map_err(MySqlStop::Failed)?;
    }
    Ok(())
}

fn columns(
    session: &mut Session,
    snapshot: &mut SchemaDescription,
    watch: &MySqlDeadline,
) -> Result<(), MySqlStop> {
    let rows = session.ask(
        "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, COLUMN_KEY \
         FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() ORDER BY TABLE_NAME, ORDINAL_POSITION",
        watch,
    )?;
    for row in rows {
        if let Some(table) = snapshot.table("", &text(&row, 0)) {
            table.columns.push(ColumnDescription {
                name: text(&row, 1),
                data_type: text(&row, 2),
                nullable: text(&row, 3) == "YES",
                default_value: row.get(4).cloned().flatten(),
                is_primary_key: text(&row, 5) == "PRI",
            });
        }
    }
    Ok(())
}

/// Primary, unique and foreign keys; one row a column.
fn keys(
    session: &mut Session,
    snapshot: &mut SchemaDescription,
    watch: &MySqlDeadline,
) -> Result<(), MySqlStop> {
    let rows = session.ask(
        "SELECT c.TABLE_NAME, c.CONSTRAINT_NAME, c.CONSTRAINT_TYPE, k.COLUMN_NAME, k.REFERENCED_TABLE_NAME, \
         k.REFERENCED_COLUMN_NAME, r.DELETE_RULE FROM information_schema.TABLE_CONSTRAINTS c \
         JOIN information_schema.KEY_COLUMN_USAGE k ON k.CONSTRAINT_SCHEMA = c.CONSTRAINT_SCHEMA \
         AND k.CONSTRAINT_NAME = c.CONSTRAINT_NAME AND k.TABLE_SCHEMA = c.TABLE_SCHEMA AND k.TABLE_NAME = c.TABLE_NAME \
         LEFT JOIN information_schema.REFERENTIAL_CONSTRAINTS r ON r.CONSTRAINT_SCHEMA = c.CONSTRAINT_SCHEMA \
         AND r.CONSTRAINT_NAME = c.CONSTRAINT_NAME AND r.TABLE_NAME = c.TABLE_NAME \
         WHERE c.TABLE_SCHEMA = DATABASE() ORDER BY 1, 2, k.ORDINAL_POSITION",
        watch,
    )?;
    for row in rows {
        let Some(table) = snapshot.table("", &text(&row, 0)) else {
            continue;
        };
        let name = text(&row, 1);
        let constraint_type = match text(&row, 2).as_str() {
            "PRIMARY KEY" => "primary_key",
            "FOREIGN KEY" => "foreign_key",
            _ => "unique",
        };
        let same =
            |c: &&mut ConstraintDescription| c.name == name && c.constraint_type == constraint_type;
        let column = text(&row, 3);
        let referenced = row.get(5).cloned().flatten();
        match table.constraints.last_mut().filter(same) {
            Some(constraint) => {
                constraint.columns.push(column);
                if let (Some(all), Some(one)) = (&mut constraint.referenced_columns, referenced) {
                    all.push(one);
                }
            }
            None => table.constraints.push(ConstraintDescription {
                name,
                constraint_type,
                columns: vec![column],
                referenced_table: row.get(4).cloned().flatten(),
                referenced_columns: referenced.map(|one| vec![one]),
                on_delete: row
                    .get(6)
                    .cloned()
                    .flatten()
                    .map(|rule| rule.replace(' ', "_")),
            }),
        }
    }
    Ok(())
}

fn indexes(
    session: &mut Session,
    snapshot: &mut SchemaDescription,
    watch: &MySqlDeadline,
) -> Result<(), MySqlStop> {
    let rows = session.ask(
        "SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME, NON_UNIQUE, INDEX_TYPE FROM information_schema.STATISTICS \
         WHERE TABLE_SCHEMA = DATABASE() ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX",
        watch,
    )?;
    for row in rows {
        let Some(table) = snapshot.table("", &text(&row, 0)) else {
            continue;
        };
        let name = text(&row, 1);
        let column = row
            .get(2)
            .cloned()
            .flatten()
            .unwrap_or_else(|| "(expression)".to_owned());
        match table.indexes.last_mut().filter(|index| index.name == name) {
            Some(index) => index.columns.push(column),
            None => table.indexes.push(Index {
                name,
                columns: vec![column],
                is_unique: text(&row, 3) == "0",
                index_type: text(&row, 4).to_lowercase(),
            }),
        }
    }
    Ok(())
}

fn triggers(
    session: &mut Session,
    snapshot: &mut SchemaDescription,
    watch: &MySqlDeadline,
) -> Result<(), MySqlStop> {
    let rows = session.ask(
        "SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME, EVENT_MANIPULATION FROM information_schema.TRIGGERS \
         WHERE EVENT_OBJECT_SCHEMA = DATABASE() ORDER BY 1, 2",
        watch,
    )?;
    for row in rows {
        if let Some(table) = snapshot.table("", &text(&row, 0)) {
            table.triggers.push(Trigger {
                name: text(&row, 1),
                event: text(&row, 2),
            });
        }
    }
    Ok(())
}
