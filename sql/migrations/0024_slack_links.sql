-- With which token of their own a person linked their Slack account: the link ends with it. NULL where somebody else did,
-- where it was done without a token, and for links of before.

ALTER TABLE users ADD COLUMN slack_linked_with TEXT;

-- As before, with the token.
DROP TRIGGER users_update;
CREATE TRIGGER users_update
BEFORE UPDATE OF id, subject_type, status, source, slack_user_id, created_at_ms, updated_at_ms, slack_linkers_json,
    claimed_email, claims_json, claims_at_ms, slack_linked_with, audit_seq ON users
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events) OR NEW.audit_seq <= OLD.audit_seq OR NEW.id IS NOT OLD.id
BEGIN SELECT RAISE(ABORT, 'user changed without its audit event'); END;
