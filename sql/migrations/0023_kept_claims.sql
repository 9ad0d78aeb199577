-- What the claims of the identity provider last said of a person, and when that was kept: approvers who are such by
-- claims alone are notified after a restart too. Nobody may do anything by it.

ALTER TABLE users ADD COLUMN claims_json TEXT CHECK (claims_json IS NULL OR json_valid(claims_json));
ALTER TABLE users ADD COLUMN claims_at_ms INTEGER;

CREATE INDEX users__claims ON users (claims_at_ms) WHERE claims_at_ms IS NOT NULL;

-- As before, with the claims.
DROP TRIGGER users_update;
CREATE TRIGGER users_update
BEFORE UPDATE OF id, subject_type, status, source, slack_user_id, created_at_ms, updated_at_ms, slack_linkers_json,
    claimed_email, claims_json, claims_at_ms, audit_seq ON users
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events) OR NEW.audit_seq <= OLD.audit_seq OR NEW.id IS NOT OLD.id
BEGIN SELECT RAISE(ABORT, 'user changed without its audit event'); END;
