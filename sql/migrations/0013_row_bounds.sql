-- How many rows a request may change at most, and whether its requester or the execution policy says so.
ALTER TABLE requests ADD COLUMN max_affected_rows INTEGER CHECK (max_affected_rows >= 0);

ALTER TABLE requests ADD COLUMN row_bound_source TEXT CHECK (row_bound_source IN ('request', 'policy'));

-- As before, with the two.
DROP TRIGGER requests_fixed;
CREATE TRIGGER requests_fixed
BEFORE UPDATE OF seq, id, requester, token_id, database_name, environment, operation, emergency, allow_ddl,
    no_result_store, reason, total_steps, policy_version, created_at_ms, dialect, max_affected_rows, row_bound_source
    ON requests
BEGIN SELECT RAISE(ABORT, 'what a request is never changes'); END;
