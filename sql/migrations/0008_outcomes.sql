-- What an execution left in the database, as its agent reports it; none before there is a report. `outcome_unproven` marks
-- failed writes of agents that report no outcomes.
ALTER TABLE executions ADD COLUMN outcome TEXT CHECK (outcome IN ('committed', 'rolled_back', 'partial', 'unknown'));

ALTER TABLE executions ADD COLUMN outcome_unproven INTEGER NOT NULL DEFAULT 0;

UPDATE executions SET outcome = 'committed' WHERE status = 'completed';
UPDATE executions SET outcome = 'unknown' WHERE status = 'lost';
UPDATE executions SET outcome = 'rolled_back' WHERE status = 'failed'
    AND (SELECT operation FROM requests WHERE seq = request_seq) IN ('execute_select', 'migrate_status');
UPDATE executions SET outcome = 'unknown', outcome_unproven = 1 WHERE status = 'failed' AND outcome IS NULL;

-- As before, with the two.
DROP TRIGGER executions_update;
CREATE TRIGGER executions_update
BEFORE UPDATE OF seq, id, request_seq, attempt, agent_id, status, claim_key, token_json, statement_timeout_secs,
    max_rows, lease_secs, started_at_ms, finished_at_ms, error_message, rows_affected, duration_ms, truncated, late,
    report_sha256, outcome, outcome_unproven, audit_seq ON executions
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events) OR NEW.audit_seq <= OLD.audit_seq
  OR NEW.id IS NOT OLD.id OR NEW.request_seq IS NOT OLD.request_seq OR NEW.agent_id IS NOT OLD.agent_id
  OR OLD.status IN ('completed', 'failed')
  -- One has an outcome exactly when it is over.
  OR (NEW.status = 'claimed') IS NOT (NEW.outcome IS NULL)
BEGIN SELECT RAISE(ABORT, 'execution changed without its audit event'); END;
