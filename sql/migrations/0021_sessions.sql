-- People who signed in to the console through the identity provider. A row is a session that has not ended; its end
-- removes it, and stands in the audit log.

CREATE TABLE sessions (
    id              TEXT PRIMARY KEY,
    subject_id      TEXT NOT NULL REFERENCES users (id),
    session_hash    TEXT NOT NULL UNIQUE CHECK (length(session_hash) = 64),
    issuer          TEXT NOT NULL,
    -- What the claims said at sign-in.
    groups_json     TEXT NOT NULL CHECK (json_valid(groups_json)),
    claims_json     TEXT NOT NULL CHECK (json_valid(claims_json)),
    name            TEXT,
    email           TEXT,
    started_at_ms   INTEGER NOT NULL,
    expires_at_ms   INTEGER NOT NULL CHECK (expires_at_ms > started_at_ms),
    last_used_at_ms INTEGER NOT NULL,
    audit_seq       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions__subject ON sessions (subject_id);

CREATE INDEX sessions__expires ON sessions (expires_at_ms);

CREATE INDEX sessions__used ON sessions (last_used_at_ms);

CREATE TRIGGER sessions_insert BEFORE INSERT ON sessions
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR (SELECT resource_id FROM audit_events WHERE seq = NEW.audit_seq) IS NOT NEW.id
  OR (SELECT event_type FROM audit_events WHERE seq = NEW.audit_seq) IS NOT 'session.started'
  OR EXISTS (SELECT 1 FROM sessions WHERE id = NEW.id OR session_hash = NEW.session_hash)
BEGIN SELECT RAISE(ABORT, 'session without its audit event'); END;

-- All that ever changes is when it was last used.
CREATE TRIGGER sessions_update
BEFORE UPDATE OF id, subject_id, session_hash, issuer, groups_json, claims_json, name, email, started_at_ms,
    expires_at_ms, audit_seq ON sessions
BEGIN SELECT RAISE(ABORT, 'sessions do not change'); END;

CREATE TRIGGER sessions_delete BEFORE DELETE ON sessions
WHEN (SELECT resource_id FROM audit_events ORDER BY seq DESC LIMIT 1) IS NOT OLD.id
  OR (SELECT event_type FROM audit_events ORDER BY seq DESC LIMIT 1) IS NOT 'session.ended'
BEGIN SELECT RAISE(ABORT, 'session ended without its audit event'); END;

-- In which session a token was issued: it ends with the session.
ALTER TABLE tokens ADD COLUMN session_id TEXT;

CREATE INDEX tokens__session ON tokens (session_id) WHERE session_id IS NOT NULL;

-- As before, with the session.
DROP TRIGGER tokens_update;
CREATE TRIGGER tokens_update
BEFORE UPDATE OF id, subject_type, subject_id, token_hash, token_prefix, name, roles_json, role_mode, groups_json,
    issuer, issuers_json, bound_to_json, created_at_ms, expires_at_ms, revoked_at_ms, parent_id, session_id,
    audit_seq ON tokens
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events) OR NEW.audit_seq <= OLD.audit_seq
  -- All that ever changes is that a token is revoked, once.
  OR OLD.revoked_at_ms IS NOT NULL OR NEW.revoked_at_ms IS NULL
  OR NEW.id IS NOT OLD.id OR NEW.subject_type IS NOT OLD.subject_type OR NEW.subject_id IS NOT OLD.subject_id
  OR NEW.token_hash IS NOT OLD.token_hash OR NEW.roles_json IS NOT OLD.roles_json
  OR NEW.role_mode IS NOT OLD.role_mode OR NEW.groups_json IS NOT OLD.groups_json OR NEW.issuer IS NOT OLD.issuer
  OR NEW.issuers_json IS NOT OLD.issuers_json OR NEW.bound_to_json IS NOT OLD.bound_to_json
  OR NEW.expires_at_ms IS NOT OLD.expires_at_ms OR NEW.parent_id IS NOT OLD.parent_id
  OR NEW.session_id IS NOT OLD.session_id
BEGIN SELECT RAISE(ABORT, 'token changed without its audit event'); END;
