-- Writes that run before anybody has approved them, in a transaction that is always rolled back.

CREATE TABLE rehearsals (
    seq            INTEGER PRIMARY KEY,
    id             TEXT NOT NULL UNIQUE,
    request_seq    INTEGER NOT NULL REFERENCES requests (seq),
    status         TEXT NOT NULL CHECK (status = 'waiting' OR status = 'claimed' OR status = 'done'
                   OR status = 'failed' OR status = 'unavailable' OR status = 'refused'),
    asked_by       TEXT NOT NULL,
    asked_at_ms    INTEGER NOT NULL,
    agent_id       TEXT,
    token_json     TEXT,
    claimed_at_ms  INTEGER,
    finished_at_ms INTEGER,
    rows_affected  INTEGER CHECK (rows_affected >= 0),
    result_json    TEXT CHECK (json_valid(result_json)),
    error_message  TEXT,
    audit_seq      INTEGER NOT NULL REFERENCES audit_events (seq),
    CHECK ((status = 'done') = (rows_affected IS NOT NULL)),
    CHECK ((status = 'waiting' OR status = 'claimed') = (finished_at_ms IS NULL))
) STRICT;

CREATE INDEX rehearsals__request ON rehearsals (request_seq, seq);

CREATE INDEX rehearsals__open ON rehearsals (asked_at_ms) WHERE finished_at_ms IS NULL;

CREATE TRIGGER rehearsals_insert BEFORE INSERT ON rehearsals
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR (SELECT resource_id FROM audit_events WHERE seq = NEW.audit_seq) IS NOT NEW.id
  OR EXISTS (SELECT 1 FROM rehearsals WHERE id = NEW.id)
  OR (NEW.seq IS NOT NULL AND EXISTS (SELECT 1 FROM rehearsals WHERE seq = NEW.seq))
BEGIN SELECT RAISE(ABORT, 'rehearsal without its audit event'); END;

CREATE TRIGGER rehearsals_update BEFORE UPDATE ON rehearsals
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events) OR NEW.audit_seq <= OLD.audit_seq
  OR (SELECT resource_id FROM audit_events WHERE seq = NEW.audit_seq) IS NOT NEW.id
  OR NEW.seq IS NOT OLD.seq OR NEW.id IS NOT OLD.id OR NEW.request_seq IS NOT OLD.request_seq
  OR OLD.finished_at_ms IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'rehearsal changed without its audit event'); END;

CREATE TRIGGER rehearsals_kept BEFORE DELETE ON rehearsals
WHEN NOT EXISTS (SELECT 1 FROM purged_requests WHERE request_seq = OLD.request_seq)
BEGIN SELECT RAISE(ABORT, 'rehearsals are kept'); END;

-- What a rehearsal changed before the first vote: the request may change no more.
ALTER TABLE requests ADD COLUMN rehearsed_rows INTEGER CHECK (rehearsed_rows >= 0);

CREATE TRIGGER requests_rehearsed BEFORE UPDATE OF rehearsed_rows ON requests
WHEN OLD.status IS NOT 'pending' OR EXISTS (SELECT 1 FROM approvals WHERE request_seq = OLD.seq)
  OR NOT EXISTS (SELECT 1 FROM rehearsals WHERE request_seq = OLD.seq AND status = 'done'
                 AND rows_affected IS NEW.rehearsed_rows AND audit_seq = (SELECT max(seq) FROM audit_events))
BEGIN SELECT RAISE(ABORT, 'a bound without its rehearsal'); END;
