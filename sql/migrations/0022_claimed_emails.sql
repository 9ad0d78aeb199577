-- The e-mail address that the identity provider last gave of a person: mail to them goes there after a restart too.

ALTER TABLE users ADD COLUMN claimed_email TEXT;

CREATE INDEX users__claimed_email ON users (id) WHERE claimed_email IS NOT NULL;

-- As before, with the address.
DROP TRIGGER users_update;
CREATE TRIGGER users_update
BEFORE UPDATE OF id, subject_type, status, source, slack_user_id, created_at_ms, updated_at_ms, slack_linkers_json,
    claimed_email, audit_seq ON users
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events) OR NEW.audit_seq <= OLD.audit_seq OR NEW.id IS NOT OLD.id
BEGIN SELECT RAISE(ABORT, 'user changed without its audit event'); END;
