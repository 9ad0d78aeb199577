-- Small results are rows of the transaction that reports them, so that a result lives and goes with its request.

CREATE TABLE result_bodies (
    execution_seq INTEGER PRIMARY KEY REFERENCES executions (seq),
    body          BLOB NOT NULL
) STRICT;

CREATE TRIGGER result_bodies_insert BEFORE INSERT ON result_bodies
WHEN EXISTS (SELECT 1 FROM result_bodies WHERE execution_seq = NEW.execution_seq)
  OR NOT EXISTS (SELECT 1 FROM results WHERE execution_seq = NEW.execution_seq AND backend = 'row'
                 AND content_length = length(NEW.body) AND audit_seq = (SELECT max(seq) FROM audit_events))
BEGIN SELECT RAISE(ABORT, 'result without its audit event'); END;

CREATE TRIGGER result_bodies_fixed BEFORE UPDATE ON result_bodies
BEGIN SELECT RAISE(ABORT, 'results never change'); END;

-- A body goes just after its row.
CREATE TRIGGER result_bodies_kept BEFORE DELETE ON result_bodies
WHEN EXISTS (SELECT 1 FROM results WHERE execution_seq = OLD.execution_seq)
BEGIN SELECT RAISE(ABORT, 'results are kept'); END;
