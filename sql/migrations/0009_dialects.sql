-- In which dialect a request was read, and the dialect that each agent last reported of a database.

ALTER TABLE requests ADD COLUMN dialect TEXT NOT NULL DEFAULT 'unknown'
    CHECK (dialect IN ('postgresql', 'mysql', 'sqlite', 'any', 'unknown'));

-- Migrations are not read as SQL; what an older build read without keeping the dialect does not run.
UPDATE requests SET dialect = coalesce(
    (SELECT facts_json ->> '$.sql.dialect' FROM request_texts WHERE request_seq = requests.seq),
    CASE WHEN operation LIKE 'migrate%' THEN 'any' ELSE 'unknown' END);

DROP TRIGGER requests_fixed;
CREATE TRIGGER requests_fixed
BEFORE UPDATE OF seq, id, requester, token_id, database_name, environment, operation, emergency, allow_ddl,
    no_result_store, reason, total_steps, policy_version, created_at_ms, dialect ON requests
BEGIN SELECT RAISE(ABORT, 'what a request is never changes'); END;

CREATE TABLE reported_dialects (
    database_name  TEXT NOT NULL,
    environment    TEXT NOT NULL,
    agent_id       TEXT NOT NULL REFERENCES users (id),
    dialect        TEXT NOT NULL CHECK (dialect IN ('postgresql', 'mysql', 'sqlite')),
    reported_at_ms INTEGER NOT NULL,
    audit_seq      INTEGER NOT NULL,
    PRIMARY KEY (database_name, environment, agent_id)
) STRICT, WITHOUT ROWID;

INSERT INTO reported_dialects (database_name, environment, agent_id, dialect, reported_at_ms, audit_seq)
SELECT database_name, environment, agent_id, dialect, last_sync_ms, audit_seq FROM schema_snapshots
WHERE last_status = 'ready' AND agent_id IN (SELECT id FROM users);

CREATE TRIGGER reported_dialects_insert BEFORE INSERT ON reported_dialects
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
BEGIN SELECT RAISE(ABORT, 'dialect without its audit event'); END;

CREATE TRIGGER reported_dialects_update BEFORE UPDATE ON reported_dialects
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR NEW.database_name IS NOT OLD.database_name OR NEW.environment IS NOT OLD.environment
  OR NEW.agent_id IS NOT OLD.agent_id
BEGIN SELECT RAISE(ABORT, 'dialect without its audit event'); END;

CREATE TRIGGER reported_dialects_kept BEFORE DELETE ON reported_dialects
BEGIN SELECT RAISE(ABORT, 'reported dialects are kept'); END;
