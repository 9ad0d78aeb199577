-- What each agent last stated of the dialect of a database, with a description that failed too: it takes work from an
-- agent, and decides nothing else.

CREATE TABLE stated_dialects (
    database_name TEXT NOT NULL,
    environment   TEXT NOT NULL,
    agent_id      TEXT NOT NULL REFERENCES users (id),
    dialect       TEXT NOT NULL CHECK (dialect IN ('postgresql', 'mysql', 'sqlite')),
    audit_seq     INTEGER NOT NULL,
    PRIMARY KEY (database_name, environment, agent_id)
) STRICT, WITHOUT ROWID;

INSERT INTO stated_dialects (database_name, environment, agent_id, dialect, audit_seq)
SELECT database_name, environment, agent_id, dialect, audit_seq FROM reported_dialects;

CREATE TRIGGER stated_dialects_insert BEFORE INSERT ON stated_dialects
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
BEGIN SELECT RAISE(ABORT, 'dialect without its audit event'); END;

CREATE TRIGGER stated_dialects_update BEFORE UPDATE ON stated_dialects
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR NEW.database_name IS NOT OLD.database_name OR NEW.environment IS NOT OLD.environment
  OR NEW.agent_id IS NOT OLD.agent_id
BEGIN SELECT RAISE(ABORT, 'dialect without its audit event'); END;

CREATE TRIGGER stated_dialects_kept BEFORE DELETE ON stated_dialects
BEGIN SELECT RAISE(ABORT, 'stated dialects are kept'); END;
