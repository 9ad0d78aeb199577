-- Everybody who had a hand in a token: its issuer, the issuer of the token it was issued with, and so on. Of tokens that
-- are there already only the issuer is known.
ALTER TABLE tokens ADD COLUMN issuers_json TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(issuers_json));

-- Pairs of a database and an environment that an agent's token is bound to; NULL for one that is bound to none.
ALTER TABLE tokens ADD COLUMN bound_to_json TEXT CHECK (json_valid(bound_to_json));

UPDATE tokens SET issuers_json = json_array(issuer);

-- As before, and who had a hand in it and what it is bound to never change either.
DROP TRIGGER tokens_update;
CREATE TRIGGER tokens_update
BEFORE UPDATE OF id, subject_type, subject_id, token_hash, token_prefix, name, roles_json, role_mode, groups_json,
    issuer, issuers_json, bound_to_json, created_at_ms, expires_at_ms, revoked_at_ms, audit_seq ON tokens
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events) OR NEW.audit_seq <= OLD.audit_seq
  -- All that ever changes is that a token is revoked, once.
  OR OLD.revoked_at_ms IS NOT NULL OR NEW.revoked_at_ms IS NULL
  OR NEW.id IS NOT OLD.id OR NEW.subject_type IS NOT OLD.subject_type OR NEW.subject_id IS NOT OLD.subject_id
  OR NEW.token_hash IS NOT OLD.token_hash OR NEW.roles_json IS NOT OLD.roles_json
  OR NEW.role_mode IS NOT OLD.role_mode OR NEW.groups_json IS NOT OLD.groups_json OR NEW.issuer IS NOT OLD.issuer
  OR NEW.issuers_json IS NOT OLD.issuers_json OR NEW.bound_to_json IS NOT OLD.bound_to_json
  OR NEW.expires_at_ms IS NOT OLD.expires_at_ms
BEGIN SELECT RAISE(ABORT, 'token changed without its audit event'); END;
