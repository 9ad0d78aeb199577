-- The signed head of the audit log, rewritten by every commit: the last event, and the sums of the live rows.

CREATE TABLE audit_recipes (
    sha256 TEXT PRIMARY KEY CHECK (length(sha256) = 64),
    -- How the sums are computed: a line a table, its name and its statement.
    text   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_head (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    seq           INTEGER NOT NULL,
    event_hash    TEXT NOT NULL,
    recipe_sha256 TEXT NOT NULL REFERENCES audit_recipes (sha256),
    sums_json     TEXT NOT NULL CHECK (json_valid(sums_json)),
    key_id        TEXT NOT NULL,
    signature     TEXT NOT NULL
) STRICT;

-- No event is appended after the head was written; only the next commit's head follows it.
CREATE TRIGGER audit_head_insert BEFORE INSERT ON audit_head
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) FROM audit_events)
BEGIN SELECT RAISE(ABORT, 'head of another chain'); END;

CREATE TRIGGER audit_head_update BEFORE UPDATE ON audit_head
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) FROM audit_events)
BEGIN SELECT RAISE(ABORT, 'head of another chain'); END;

CREATE TRIGGER audit_head_kept BEFORE DELETE ON audit_head
BEGIN SELECT RAISE(ABORT, 'the head is kept'); END;

CREATE TRIGGER audit_recipes_fixed BEFORE UPDATE ON audit_recipes
BEGIN SELECT RAISE(ABORT, 'recipes never change'); END;

CREATE TRIGGER audit_recipes_kept BEFORE DELETE ON audit_recipes
BEGIN SELECT RAISE(ABORT, 'recipes are kept'); END;
