-- The sum of all migrations, for reading. Written by `UPDATE_GOLDEN=1 cargo test --test it schema_sql`.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE transitions (
    from_status TEXT NOT NULL,
    to_status   TEXT NOT NULL,
    PRIMARY KEY (from_status, to_status)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER transitions_fixed_insert BEFORE INSERT ON transitions
BEGIN SELECT RAISE(ABORT, 'transitions are fixed'); END;

CREATE TRIGGER transitions_fixed_update BEFORE UPDATE ON transitions
BEGIN SELECT RAISE(ABORT, 'transitions are fixed'); END;

CREATE TRIGGER transitions_fixed_delete BEFORE DELETE ON transitions
BEGIN SELECT RAISE(ABORT, 'transitions are fixed'); END;

CREATE TABLE audit_events (
    seq                INTEGER PRIMARY KEY,
    id                 TEXT NOT NULL,
    event_type         TEXT NOT NULL,
    event_category     TEXT NOT NULL,
    event_version      INTEGER NOT NULL,
    outcome            TEXT NOT NULL CHECK (outcome = 'success' OR outcome = 'denied' OR outcome = 'failure' OR outcome = 'info'),
    actor_id           TEXT NOT NULL,
    actor_type         TEXT NOT NULL CHECK (actor_type = 'user' OR actor_type = 'agent' OR actor_type = 'system'),
    resource_type      TEXT,
    resource_id        TEXT,
    peer_ip            TEXT,
    client_ip          TEXT,
    client_ip_source   TEXT,
    request_id         TEXT,
    operation          TEXT,
    database_name      TEXT,
    environment        TEXT,
    detail_fingerprint TEXT,
    detail_raw         TEXT,
    reason             TEXT,
    metadata_json      TEXT NOT NULL CHECK (json_valid(metadata_json)),
    prev_hash          TEXT CHECK (length(prev_hash) = 64),
    created_at         TEXT NOT NULL,
    event_hash         TEXT NOT NULL CHECK (length(event_hash) = 64),
    created_at_ms      INTEGER NOT NULL,
    -- The move, also inside the hashed metadata; the two must agree.
    from_status        TEXT,
    to_status          TEXT,
    CHECK ((from_status IS NULL) = (to_status IS NULL)),
    CHECK (to_status IS NULL OR request_id IS NOT NULL),
    CHECK (from_status IS (metadata_json ->> '$.from_status')),
    CHECK (to_status IS (metadata_json ->> '$.to_status')),
    FOREIGN KEY (from_status, to_status) REFERENCES transitions (from_status, to_status)
) STRICT;

CREATE UNIQUE INDEX audit_events__request ON audit_events (request_id, to_status, seq);

CREATE INDEX audit_events__actor ON audit_events (actor_id, seq);

CREATE INDEX audit_events__type ON audit_events (event_type, seq);

CREATE INDEX audit_events__target ON audit_events (database_name, environment, seq)
    WHERE database_name IS NOT NULL;

CREATE INDEX audit_events__time ON audit_events (created_at_ms);

CREATE INDEX audit_events__trouble ON audit_events (outcome, seq) WHERE outcome <> 'success';

CREATE TABLE audit_purges (
    id            INTEGER PRIMARY KEY,
    bound_seq     INTEGER NOT NULL,
    last_hash     TEXT NOT NULL CHECK (length(last_hash) = 64),
    purged_before TEXT NOT NULL,
    retained      INTEGER NOT NULL,
    key_id        TEXT NOT NULL,
    signature     TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT;

CREATE TRIGGER audit_chained BEFORE INSERT ON audit_events
WHEN NEW.seq IS NOT (
        SELECT coalesce(max(seq), (SELECT coalesce(max(bound_seq), 0) FROM audit_purges)) + 1 FROM audit_events)
  OR NEW.prev_hash IS NOT coalesce(
        (SELECT event_hash FROM audit_events WHERE seq = NEW.seq - 1),
        (SELECT last_hash FROM audit_purges WHERE bound_seq = NEW.seq - 1 ORDER BY id DESC LIMIT 1))
BEGIN SELECT RAISE(ABORT, 'audit event out of chain'); END;

CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit_events
BEGIN SELECT RAISE(ABORT, 'audit events never change'); END;

CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit_events
WHEN OLD.seq > (SELECT coalesce(max(bound_seq), 0) FROM audit_purges)
BEGIN SELECT RAISE(ABORT, 'audit events are kept'); END;

CREATE TRIGGER audit_purges_no_update BEFORE UPDATE ON audit_purges
BEGIN SELECT RAISE(ABORT, 'purges never change'); END;

CREATE TRIGGER audit_purges_no_delete BEFORE DELETE ON audit_purges
BEGIN SELECT RAISE(ABORT, 'purges are kept'); END;

CREATE TABLE policy_versions (
    sha256        TEXT PRIMARY KEY CHECK (length(sha256) = 64),
    text          TEXT NOT NULL,
    audit_seq     INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER policy_versions_no_update BEFORE UPDATE ON policy_versions
BEGIN SELECT RAISE(ABORT, 'policy versions never change'); END;

CREATE TRIGGER policy_versions_insert BEFORE INSERT ON policy_versions
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR EXISTS (SELECT 1 FROM policy_versions WHERE sha256 = NEW.sha256)
BEGIN SELECT RAISE(ABORT, 'policy version without its audit event'); END;

CREATE TABLE users (
    id              TEXT PRIMARY KEY,
    subject_type    TEXT NOT NULL CHECK (subject_type IN ('user', 'agent')),
    status          TEXT NOT NULL CHECK (status IN ('active', 'suspended')),
    source          TEXT NOT NULL CHECK (source IN ('config', 'oidc', 'token')),
    slack_user_id   TEXT UNIQUE,
    created_at_ms   INTEGER NOT NULL,
    updated_at_ms   INTEGER NOT NULL,
    last_seen_at_ms INTEGER,
    audit_seq       INTEGER NOT NULL
, slack_linkers_json TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(slack_linkers_json)), claimed_email TEXT, claims_json TEXT CHECK (claims_json IS NULL OR json_valid(claims_json)), claims_at_ms INTEGER, slack_linked_with TEXT) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    id              TEXT PRIMARY KEY,
    subject_type    TEXT NOT NULL CHECK (subject_type IN ('user', 'agent')),
    subject_id      TEXT NOT NULL REFERENCES users (id),
    token_hash      TEXT NOT NULL UNIQUE CHECK (length(token_hash) = 64),
    token_prefix    TEXT NOT NULL,
    name            TEXT,
    roles_json      TEXT NOT NULL CHECK (json_valid(roles_json)),
    -- How the named roles count: see RoleMode. Fixed when the token is issued.
    role_mode       TEXT NOT NULL CHECK (role_mode IN ('resolved', 'grant', 'ceiling')),
    groups_json     TEXT NOT NULL CHECK (json_valid(groups_json)),
    issuer          TEXT NOT NULL,
    created_at_ms   INTEGER NOT NULL,
    expires_at_ms   INTEGER,
    revoked_at_ms   INTEGER,
    last_used_at_ms INTEGER,
    audit_seq       INTEGER NOT NULL
, issuers_json TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(issuers_json)), bound_to_json TEXT CHECK (json_valid(bound_to_json)), parent_id TEXT REFERENCES tokens (id), session_id TEXT) STRICT, WITHOUT ROWID;

CREATE INDEX tokens__subject ON tokens (subject_id);

CREATE INDEX tokens__created ON tokens (created_at_ms, id);

CREATE TRIGGER users_insert BEFORE INSERT ON users
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR EXISTS (SELECT 1 FROM users WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'user without its audit event'); END;

CREATE TRIGGER users_no_delete BEFORE DELETE ON users
BEGIN SELECT RAISE(ABORT, 'users are kept'); END;

CREATE TRIGGER tokens_insert BEFORE INSERT ON tokens
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR EXISTS (SELECT 1 FROM tokens WHERE id = NEW.id OR token_hash = NEW.token_hash)
BEGIN SELECT RAISE(ABORT, 'token without its audit event'); END;

CREATE TRIGGER tokens_no_delete BEFORE DELETE ON tokens
BEGIN SELECT RAISE(ABORT, 'tokens are kept'); END;

CREATE TABLE requests (
    seq                    INTEGER PRIMARY KEY,
    id                     TEXT NOT NULL UNIQUE,
    requester              TEXT NOT NULL,
    token_id               TEXT,
    database_name          TEXT NOT NULL,
    environment            TEXT NOT NULL,
    operation              TEXT NOT NULL,
    status                 TEXT NOT NULL,
    audit_seq              INTEGER NOT NULL,
    emergency              INTEGER NOT NULL,
    allow_ddl              INTEGER NOT NULL,
    no_result_store        INTEGER NOT NULL,
    reason                 TEXT,
    current_step           INTEGER NOT NULL,
    total_steps            INTEGER NOT NULL,
    risk_level             TEXT NOT NULL,
    policy_version         TEXT NOT NULL REFERENCES policy_versions (sha256),
    created_at_ms          INTEGER NOT NULL,
    updated_at_ms          INTEGER NOT NULL,
    resolved_at_ms         INTEGER,
    expires_at_ms          INTEGER,
    approved_at_ms         INTEGER,
    approval_expires_at_ms INTEGER,
    dispatched_from        TEXT,
    dispatch_deadline_ms   INTEGER,
    first_completed_at_ms  INTEGER,
    executions_finished    INTEGER NOT NULL DEFAULT 0,
    executions_lost        INTEGER NOT NULL DEFAULT 0,
    execution_id           TEXT,
    claimed_by             TEXT,
    cancelled_by           TEXT,
    cancel_reason          TEXT,
    -- When the clock next has something to do with it.
    due_at_ms              INTEGER, dialect TEXT NOT NULL DEFAULT 'unknown'
    CHECK (dialect = 'postgresql' OR dialect = 'mysql' OR dialect = 'sqlite' OR dialect = 'any' OR dialect = 'unknown'), corrupt_seq INTEGER, max_affected_rows INTEGER CHECK (max_affected_rows >= 0), row_bound_source TEXT CHECK (row_bound_source IN ('request', 'policy')), rehearsed_rows INTEGER CHECK (rehearsed_rows >= 0),
    FOREIGN KEY (id, status, audit_seq) REFERENCES audit_events (request_id, to_status, seq)
) STRICT;

CREATE INDEX requests__requester ON requests (requester, seq);

CREATE INDEX requests__status ON requests (status, seq);

CREATE INDEX requests__target ON requests (database_name, environment, seq);

CREATE INDEX requests__due ON requests (due_at_ms) WHERE due_at_ms IS NOT NULL;

CREATE INDEX requests__dispatched ON requests (database_name, environment, audit_seq) WHERE status = 'dispatched';

CREATE TRIGGER requests_move BEFORE UPDATE OF status, audit_seq ON requests
WHEN NEW.audit_seq <= OLD.audit_seq
  OR OLD.status IS NOT (SELECT from_status FROM audit_events WHERE seq = NEW.audit_seq)
BEGIN SELECT RAISE(ABORT, 'request moved without its audit event'); END;

CREATE TABLE request_counts (
    status TEXT PRIMARY KEY,
    n      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER requests_counted_insert AFTER INSERT ON requests
BEGIN UPDATE request_counts SET n = n + 1 WHERE status = NEW.status; END;

CREATE TRIGGER requests_counted_update AFTER UPDATE OF status ON requests
BEGIN
    UPDATE request_counts SET n = n - 1 WHERE status = OLD.status;
    UPDATE request_counts SET n = n + 1 WHERE status = NEW.status;
END;

CREATE TABLE request_texts (
    request_seq             INTEGER PRIMARY KEY REFERENCES requests (seq),
    detail                  TEXT NOT NULL,
    plan_json               TEXT CHECK (json_valid(plan_json)),
    workflow_json           TEXT CHECK (json_valid(workflow_json)),
    facts_json              TEXT NOT NULL CHECK (json_valid(facts_json)),
    trace_json              TEXT NOT NULL CHECK (json_valid(trace_json)),
    metadata_json           TEXT CHECK (json_valid(metadata_json)),
    share_with_json         TEXT NOT NULL CHECK (json_valid(share_with_json)),
    fingerprint             TEXT NOT NULL,
    redacted                TEXT
, salt BLOB CHECK (length(salt) = 32)) STRICT;

CREATE TRIGGER request_texts_insert BEFORE INSERT ON request_texts
WHEN EXISTS (SELECT 1 FROM request_texts WHERE request_seq = NEW.request_seq)
BEGIN SELECT RAISE(ABORT, 'what a request says never changes'); END;

CREATE TRIGGER request_texts_fixed BEFORE UPDATE ON request_texts
BEGIN SELECT RAISE(ABORT, 'what a request says never changes'); END;

CREATE TABLE idempotency_keys (
    requester   TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    request_seq INTEGER NOT NULL REFERENCES requests (seq),
    PRIMARY KEY (requester, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE request_contexts (
    request_seq   INTEGER PRIMARY KEY REFERENCES requests (seq),
    status        TEXT NOT NULL CHECK (status = 'collecting' OR status = 'ready' OR status = 'partial' OR status = 'unavailable'),
    context_json  TEXT NOT NULL CHECK (json_valid(context_json)),
    explain_json  TEXT CHECK (json_valid(explain_json)),
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX request_contexts__collecting ON request_contexts (created_at_ms) WHERE status = 'collecting';

CREATE TABLE request_approvers (
    selector    TEXT NOT NULL,
    request_seq INTEGER NOT NULL REFERENCES requests (seq),
    PRIMARY KEY (selector, request_seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX request_approvers__request ON request_approvers (request_seq);

CREATE TABLE approvals (
    id                  INTEGER PRIMARY KEY,
    request_seq         INTEGER NOT NULL REFERENCES requests (seq),
    step_index          INTEGER NOT NULL,
    action              TEXT NOT NULL CHECK (action IN ('approve', 'reject')),
    actor_id            TEXT NOT NULL,
    token_id            TEXT,
    matched_selector    TEXT NOT NULL,
    comment             TEXT,
    issued_by_requester INTEGER NOT NULL,
    created_at_ms       INTEGER NOT NULL,
    audit_seq           INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX approvals__once ON approvals (request_seq, step_index, actor_id) WHERE action = 'approve';

CREATE UNIQUE INDEX approvals__override ON approvals (request_seq)
    WHERE action = 'approve' AND matched_selector = 'admin_override';

CREATE INDEX approvals__request ON approvals (request_seq);

CREATE INDEX approvals__actor ON approvals (actor_id, request_seq);

CREATE TRIGGER approvals_insert BEFORE INSERT ON approvals
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR NEW.actor_id IS NOT (SELECT actor_id FROM audit_events WHERE seq = NEW.audit_seq)
  OR (SELECT id FROM requests WHERE seq = NEW.request_seq)
     IS NOT (SELECT request_id FROM audit_events WHERE seq = NEW.audit_seq)
  OR (NEW.id IS NOT NULL AND EXISTS (SELECT 1 FROM approvals WHERE id = NEW.id))
BEGIN SELECT RAISE(ABORT, 'vote without its audit event'); END;

CREATE TRIGGER approvals_fixed BEFORE UPDATE ON approvals
BEGIN SELECT RAISE(ABORT, 'votes never change'); END;

CREATE TABLE executions (
    seq                    INTEGER PRIMARY KEY,
    id                     TEXT NOT NULL UNIQUE,
    request_seq            INTEGER NOT NULL REFERENCES requests (seq),
    attempt                INTEGER NOT NULL,
    agent_id               TEXT NOT NULL,
    status                 TEXT NOT NULL CHECK (status = 'claimed' OR status = 'completed' OR status = 'failed' OR status = 'lost'),
    claim_key              TEXT,
    token_json             TEXT NOT NULL CHECK (json_valid(token_json)),
    statement_timeout_secs INTEGER NOT NULL,
    max_rows               INTEGER,
    lease_secs             INTEGER NOT NULL,
    lease_until_ms         INTEGER NOT NULL,
    heartbeats             INTEGER NOT NULL DEFAULT 0,
    started_at_ms          INTEGER NOT NULL,
    finished_at_ms         INTEGER,
    error_message          TEXT,
    rows_affected          INTEGER,
    duration_ms            INTEGER,
    truncated              INTEGER NOT NULL DEFAULT 0,
    late                   INTEGER NOT NULL DEFAULT 0,
    report_sha256          TEXT,
    audit_seq              INTEGER NOT NULL, outcome TEXT CHECK (outcome = 'committed' OR outcome = 'rolled_back' OR outcome = 'partial' OR outcome = 'unknown'), outcome_unproven INTEGER NOT NULL DEFAULT 0, error_detail TEXT,
    UNIQUE (request_seq, attempt)
) STRICT;

CREATE UNIQUE INDEX executions__claimed ON executions (request_seq) WHERE status = 'claimed';

CREATE INDEX executions__lease ON executions (lease_until_ms) WHERE status = 'claimed';

CREATE TRIGGER executions_insert BEFORE INSERT ON executions
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR EXISTS (SELECT 1 FROM executions WHERE id = NEW.id)
  OR (NEW.seq IS NOT NULL AND EXISTS (SELECT 1 FROM executions WHERE seq = NEW.seq))
BEGIN SELECT RAISE(ABORT, 'execution without its audit event'); END;

CREATE TABLE results (
    execution_seq   INTEGER PRIMARY KEY REFERENCES executions (seq),
    request_seq     INTEGER NOT NULL REFERENCES requests (seq),
    backend         TEXT NOT NULL,
    object_key      TEXT NOT NULL,
    content_length  INTEGER NOT NULL,
    checksum_sha256 TEXT NOT NULL CHECK (length(checksum_sha256) = 64),
    stored_at_ms    INTEGER NOT NULL,
    expires_at_ms   INTEGER NOT NULL,
    audit_seq       INTEGER NOT NULL
) STRICT;

CREATE INDEX results__request ON results (request_seq);

CREATE INDEX results__expires ON results (expires_at_ms);

CREATE TRIGGER results_insert BEFORE INSERT ON results
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR EXISTS (SELECT 1 FROM results WHERE execution_seq = NEW.execution_seq)
BEGIN SELECT RAISE(ABORT, 'result without its audit event'); END;

CREATE TRIGGER results_fixed BEFORE UPDATE ON results
BEGIN SELECT RAISE(ABORT, 'results never change'); END;

CREATE TABLE result_access (
    selector      TEXT NOT NULL,
    execution_seq INTEGER NOT NULL REFERENCES results (execution_seq),
    PRIMARY KEY (selector, execution_seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX result_access__execution ON result_access (execution_seq);

CREATE TABLE agents (
    id                TEXT PRIMARY KEY,
    capabilities_json TEXT NOT NULL CHECK (json_valid(capabilities_json)),
    version           TEXT,
    max_concurrent    INTEGER NOT NULL,
    in_flight         INTEGER NOT NULL,
    draining          INTEGER NOT NULL,
    uptime_secs       INTEGER NOT NULL,
    active_jobs_json  TEXT NOT NULL CHECK (json_valid(active_jobs_json)),
    first_seen_at_ms  INTEGER NOT NULL,
    last_seen_at_ms   INTEGER NOT NULL,
    audit_seq         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER agents_insert BEFORE INSERT ON agents
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR EXISTS (SELECT 1 FROM agents WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'agent without its audit event'); END;

CREATE TABLE outbox (
    seq             INTEGER PRIMARY KEY,
    delivery_id     TEXT NOT NULL UNIQUE,
    channel         TEXT NOT NULL,
    event_type      TEXT NOT NULL,
    request_seq     INTEGER REFERENCES requests (seq),
    audit_seq       INTEGER NOT NULL,
    payload_json    TEXT NOT NULL CHECK (json_valid(payload_json)),
    status          TEXT NOT NULL CHECK (status = 'pending' OR status = 'in_progress' OR status = 'delivered' OR status = 'cancelled' OR status = 'dead'),
    attempts        INTEGER NOT NULL DEFAULT 0,
    next_attempt_ms INTEGER,
    last_error      TEXT,
    created_at_ms   INTEGER NOT NULL,
    updated_at_ms   INTEGER NOT NULL, recipient TEXT, pending_since_ms INTEGER,
    CHECK ((status IN ('pending', 'in_progress')) = (next_attempt_ms IS NOT NULL))
) STRICT;

CREATE INDEX outbox__due ON outbox (channel, next_attempt_ms) WHERE next_attempt_ms IS NOT NULL;

CREATE INDEX outbox__status ON outbox (status, seq);

CREATE TABLE schema_snapshots (
    database_name   TEXT NOT NULL,
    environment     TEXT NOT NULL,
    dialect         TEXT NOT NULL,
    snapshot_json   TEXT CHECK (json_valid(snapshot_json)),
    collected_at_ms INTEGER,
    last_status     TEXT NOT NULL,
    last_error      TEXT,
    last_sync_ms    INTEGER NOT NULL,
    agent_id        TEXT NOT NULL,
    audit_seq       INTEGER NOT NULL,
    PRIMARY KEY (database_name, environment)
) STRICT, WITHOUT ROWID;

CREATE TABLE dry_run_jobs (
    id              TEXT PRIMARY KEY,
    request_seq     INTEGER NOT NULL REFERENCES requests (seq),
    statement_index INTEGER NOT NULL,
    database_name   TEXT NOT NULL,
    environment     TEXT NOT NULL,
    sql_text        TEXT NOT NULL,
    status          TEXT NOT NULL CHECK (status IN ('pending', 'claimed', 'completed', 'failed')),
    claimed_by      TEXT,
    claim_token     TEXT,
    claimed_at_ms   INTEGER,
    result_json     TEXT CHECK (json_valid(result_json)),
    error_message   TEXT,
    created_at_ms   INTEGER NOT NULL,
    finished_at_ms  INTEGER,
    UNIQUE (request_seq, statement_index)
) STRICT;

CREATE INDEX dry_run_jobs__pending ON dry_run_jobs (database_name, environment, created_at_ms)
    WHERE status = 'pending';

CREATE TABLE requester_counts (
    requester TEXT NOT NULL,
    status    TEXT NOT NULL,
    n         INTEGER NOT NULL,
    PRIMARY KEY (requester, status)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER requester_counted_insert AFTER INSERT ON requests
BEGIN
    INSERT INTO requester_counts (requester, status, n) VALUES (NEW.requester, NEW.status, 1)
    ON CONFLICT (requester, status) DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER requester_counted_update AFTER UPDATE OF status ON requests
WHEN NEW.status IS NOT OLD.status
BEGIN
    UPDATE requester_counts SET n = n - 1 WHERE requester = OLD.requester AND status = OLD.status;
    INSERT INTO requester_counts (requester, status, n) VALUES (NEW.requester, NEW.status, 1)
    ON CONFLICT (requester, status) DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER requester_counted_delete AFTER DELETE ON requests
BEGIN
    UPDATE requester_counts SET n = n - 1 WHERE requester = OLD.requester AND status = OLD.status;
END;

CREATE INDEX outbox__channel ON outbox (channel, seq);

CREATE INDEX outbox__channel_status ON outbox (channel, status, seq);

CREATE INDEX outbox__trouble ON outbox (channel, updated_at_ms) WHERE last_error IS NOT NULL;

CREATE TABLE outbox_counts (
    channel TEXT NOT NULL,
    status  TEXT NOT NULL,
    n       INTEGER NOT NULL,
    -- When a notification last entered the status; it outlives the notification.
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (channel, status)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER outbox_counted_insert AFTER INSERT ON outbox
BEGIN
    INSERT INTO outbox_counts (channel, status, n, last_ms) VALUES (NEW.channel, NEW.status, 1, NEW.updated_at_ms)
    ON CONFLICT (channel, status) DO UPDATE SET n = n + 1, last_ms = NEW.updated_at_ms;
END;

CREATE TRIGGER outbox_counted_update AFTER UPDATE OF status ON outbox WHEN NEW.status IS NOT OLD.status
BEGIN
    UPDATE outbox_counts SET n = n - 1 WHERE channel = OLD.channel AND status = OLD.status;
    INSERT INTO outbox_counts (channel, status, n, last_ms) VALUES (NEW.channel, NEW.status, 1, NEW.updated_at_ms)
    ON CONFLICT (channel, status) DO UPDATE SET n = n + 1, last_ms = NEW.updated_at_ms;
END;

CREATE TRIGGER outbox_counted_delete AFTER DELETE ON outbox
BEGIN UPDATE outbox_counts SET n = n - 1 WHERE channel = OLD.channel AND status = OLD.status; END;

CREATE TRIGGER outbox_kept BEFORE DELETE ON outbox WHEN OLD.status IN ('pending', 'in_progress')
BEGIN SELECT RAISE(ABORT, 'a notification is kept until it has ended'); END;

CREATE TABLE purged_requests (
    request_seq INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    audit_seq   INTEGER NOT NULL
) STRICT;

CREATE INDEX purged_requests__event ON purged_requests (audit_seq);

CREATE TRIGGER purged_requests_insert BEFORE INSERT ON purged_requests
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR 'request.purged' IS NOT (SELECT event_type FROM audit_events WHERE seq = NEW.audit_seq)
  OR NOT EXISTS (SELECT 1 FROM audit_events e, json_each(e.metadata_json, '$.requests') j
                 WHERE e.seq = NEW.audit_seq AND j.value = NEW.id)
  -- Only what has ended, of which nothing runs and nothing is stored.
  OR NOT EXISTS (SELECT 1 FROM requests WHERE seq = NEW.request_seq AND id = NEW.id
                 AND status IN ('executed', 'failed', 'rejected', 'cancelled', 'expired', 'execution_lost'))
  OR EXISTS (SELECT 1 FROM executions WHERE request_seq = NEW.request_seq AND status = 'claimed')
  OR EXISTS (SELECT 1 FROM results WHERE request_seq = NEW.request_seq)
BEGIN SELECT RAISE(ABORT, 'request purged without its audit event'); END;

CREATE TRIGGER purged_requests_no_update BEFORE UPDATE ON purged_requests
BEGIN SELECT RAISE(ABORT, 'purged requests never change'); END;

CREATE TRIGGER purged_requests_kept BEFORE DELETE ON purged_requests
WHEN OLD.audit_seq > (SELECT coalesce(max(bound_seq), 0) FROM audit_purges)
  OR OLD.request_seq = (SELECT max(request_seq) FROM purged_requests)
BEGIN SELECT RAISE(ABORT, 'purged requests are kept'); END;

CREATE TRIGGER requests_insert BEFORE INSERT ON requests
WHEN EXISTS (SELECT 1 FROM requests WHERE id = NEW.id OR seq = NEW.seq)
  OR 'new' IS NOT (SELECT from_status FROM audit_events WHERE seq = NEW.audit_seq)
  OR EXISTS (SELECT 1 FROM purged_requests WHERE id = NEW.id)
  OR EXISTS (SELECT 1 FROM purged_requests WHERE request_seq >= NEW.seq)
BEGIN SELECT RAISE(ABORT, 'request without its audit event'); END;

CREATE TRIGGER requests_kept BEFORE DELETE ON requests
WHEN NOT EXISTS (SELECT 1 FROM purged_requests WHERE request_seq = OLD.seq AND id = OLD.id)
BEGIN SELECT RAISE(ABORT, 'requests are kept'); END;

CREATE TRIGGER requests_counted_delete AFTER DELETE ON requests
BEGIN UPDATE request_counts SET n = n - 1 WHERE status = OLD.status; END;

CREATE TRIGGER request_texts_kept BEFORE DELETE ON request_texts
WHEN NOT EXISTS (SELECT 1 FROM purged_requests WHERE request_seq = OLD.request_seq)
BEGIN SELECT RAISE(ABORT, 'requests are kept'); END;

CREATE TRIGGER approvals_kept BEFORE DELETE ON approvals
WHEN NOT EXISTS (SELECT 1 FROM purged_requests WHERE request_seq = OLD.request_seq)
BEGIN SELECT RAISE(ABORT, 'votes are kept'); END;

CREATE TRIGGER executions_kept BEFORE DELETE ON executions
WHEN NOT EXISTS (SELECT 1 FROM purged_requests WHERE request_seq = OLD.request_seq)
BEGIN SELECT RAISE(ABORT, 'executions are kept'); END;

CREATE TRIGGER results_kept BEFORE DELETE ON results
WHEN NOT EXISTS (SELECT 1 FROM audit_events e, json_each(e.metadata_json, '$.executions') j
                 WHERE e.seq = (SELECT max(seq) FROM audit_events) AND e.event_type = 'result.purged'
                 AND OLD.expires_at_ms <= e.created_at_ms
                 AND j.value = (SELECT id FROM executions WHERE seq = OLD.execution_seq))
BEGIN SELECT RAISE(ABORT, 'results are kept'); END;

CREATE TRIGGER audit_purges_insert BEFORE INSERT ON audit_purges
WHEN NEW.bound_seq <= (SELECT coalesce(max(bound_seq), 0) FROM audit_purges)
  OR NEW.bound_seq >= (SELECT coalesce(max(seq), 0) FROM audit_events)
  OR NEW.last_hash IS NOT (SELECT event_hash FROM audit_events WHERE seq = NEW.bound_seq)
  OR NEW.id IS NOT (SELECT coalesce(max(id), 0) + 1 FROM audit_purges)
  OR 'audit.signed_checkpoint' IS NOT (SELECT event_type FROM audit_events WHERE seq = NEW.bound_seq + 1)
  OR NEW.bound_seq + NEW.retained + 1 IS NOT (SELECT max(seq) FROM audit_events)
  OR NOT EXISTS (SELECT 1 FROM audit_events WHERE seq = (SELECT max(seq) FROM audit_events)
                 AND event_type = 'audit.purge_checkpoint'
                 AND (metadata_json ->> '$.last_purged_hash') IS NEW.last_hash
                 AND (metadata_json ->> '$.purged_before') IS NEW.purged_before
                 AND (metadata_json ->> '$.retained_count') IS NEW.retained)
  OR (SELECT min(seq) FROM audit_events WHERE request_id = (SELECT id FROM requests ORDER BY seq LIMIT 1))
     <= NEW.bound_seq
BEGIN SELECT RAISE(ABORT, 'purge out of bounds'); END;

CREATE UNIQUE INDEX audit_purges__bound ON audit_purges (bound_seq);

CREATE INDEX outbox__final ON outbox (updated_at_ms) WHERE next_attempt_ms IS NULL;

CREATE INDEX idempotency_keys__request ON idempotency_keys (request_seq);

CREATE INDEX outbox__request ON outbox (request_seq) WHERE request_seq IS NOT NULL;

CREATE INDEX audit_events__category ON audit_events (event_category, seq);

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

CREATE TRIGGER result_bodies_kept BEFORE DELETE ON result_bodies
WHEN EXISTS (SELECT 1 FROM results WHERE execution_seq = OLD.execution_seq)
BEGIN SELECT RAISE(ABORT, 'results are kept'); END;

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

CREATE TABLE reported_dialects (
    database_name  TEXT NOT NULL,
    environment    TEXT NOT NULL,
    agent_id       TEXT NOT NULL REFERENCES users (id),
    dialect        TEXT NOT NULL CHECK (dialect IN ('postgresql', 'mysql', 'sqlite')),
    reported_at_ms INTEGER NOT NULL,
    audit_seq      INTEGER NOT NULL,
    PRIMARY KEY (database_name, environment, agent_id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER reported_dialects_insert BEFORE INSERT ON reported_dialects
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
BEGIN SELECT RAISE(ABORT, 'dialect without its audit event'); END;

CREATE TRIGGER reported_dialects_update BEFORE UPDATE ON reported_dialects
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR NEW.database_name IS NOT OLD.database_name OR NEW.environment IS NOT OLD.environment
  OR NEW.agent_id IS NOT OLD.agent_id
BEGIN SELECT RAISE(ABORT, 'dialect without its audit event'); END;

CREATE TRIGGER reported_dialects_kept BEFORE DELETE ON reported_dialects
BEGIN SELECT RAISE(ABORT, 'reported dialects are kept'); END;

CREATE TRIGGER outbox_fixed
BEFORE UPDATE OF seq, delivery_id, channel, event_type, request_seq, audit_seq, payload_json, created_at_ms, recipient
ON outbox
BEGIN SELECT RAISE(ABORT, 'what a notification says never changes'); END;

CREATE INDEX tokens__parent ON tokens (parent_id) WHERE parent_id IS NOT NULL;

CREATE INDEX tokens__issuer ON tokens (issuer);

CREATE TRIGGER requests_frozen BEFORE UPDATE OF corrupt_seq ON requests
WHEN OLD.corrupt_seq IS NOT NULL
  OR NEW.corrupt_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR 'request.corrupt' IS NOT (SELECT event_type FROM audit_events WHERE seq = NEW.corrupt_seq)
  OR NEW.id IS NOT (SELECT request_id FROM audit_events WHERE seq = NEW.corrupt_seq)
BEGIN SELECT RAISE(ABORT, 'request frozen without its audit event'); END;

CREATE TRIGGER requests_fixed
BEFORE UPDATE OF seq, id, requester, token_id, database_name, environment, operation, emergency, allow_ddl,
    no_result_store, reason, total_steps, policy_version, created_at_ms, dialect, max_affected_rows, row_bound_source
    ON requests
BEGIN SELECT RAISE(ABORT, 'what a request is never changes'); END;

CREATE TABLE stated_dialects (
    database_name TEXT NOT NULL,
    environment   TEXT NOT NULL,
    agent_id      TEXT NOT NULL REFERENCES users (id),
    dialect       TEXT NOT NULL CHECK (dialect IN ('postgresql', 'mysql', 'sqlite')),
    audit_seq     INTEGER NOT NULL,
    PRIMARY KEY (database_name, environment, agent_id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER stated_dialects_insert BEFORE INSERT ON stated_dialects
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
BEGIN SELECT RAISE(ABORT, 'dialect without its audit event'); END;

CREATE TRIGGER stated_dialects_update BEFORE UPDATE ON stated_dialects
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR NEW.database_name IS NOT OLD.database_name OR NEW.environment IS NOT OLD.environment
  OR NEW.agent_id IS NOT OLD.agent_id
BEGIN SELECT RAISE(ABORT, 'dialect without its audit event'); END;

CREATE TRIGGER stated_dialects_kept BEFORE DELETE ON stated_dialects
BEGIN SELECT RAISE(ABORT, 'stated dialects are kept'); END;

CREATE TRIGGER outbox_insert BEFORE INSERT ON outbox
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR NOT EXISTS (SELECT 1 FROM audit_events WHERE seq = NEW.audit_seq AND (event_type = NEW.event_type
                 OR (NEW.event_type IN ('request.reminded', 'request.escalated')
                     AND event_type IN ('request.created', 'step.approved'))))
  OR (SELECT id FROM requests WHERE seq = NEW.request_seq)
     IS NOT (SELECT request_id FROM audit_events WHERE seq = NEW.audit_seq)
  OR NEW.status IS NOT 'pending'
  OR EXISTS (SELECT 1 FROM outbox WHERE delivery_id = NEW.delivery_id)
  OR (NEW.seq IS NOT NULL AND EXISTS (SELECT 1 FROM outbox WHERE seq = NEW.seq))
BEGIN SELECT RAISE(ABORT, 'notification without its audit event'); END;

CREATE INDEX requests__migrating ON requests (database_name, environment)
    WHERE status = 'running'
    AND (operation = 'migrate_up' OR operation = 'migrate_down' OR operation = 'migrate_repair');

CREATE INDEX requests__settled ON requests (updated_at_ms)
    WHERE (status = 'executed' OR status = 'failed' OR status = 'rejected' OR status = 'cancelled'
    OR status = 'expired' OR status = 'execution_lost');

CREATE TABLE slack_messages (
    request_seq INTEGER PRIMARY KEY REFERENCES requests (seq),
    -- As Slack names both in its answer.
    channel     TEXT NOT NULL,
    ts          TEXT NOT NULL
) STRICT;

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

CREATE TRIGGER requests_rehearsed BEFORE UPDATE OF rehearsed_rows ON requests
WHEN OLD.status IS NOT 'pending' OR EXISTS (SELECT 1 FROM approvals WHERE request_seq = OLD.seq)
  OR NOT EXISTS (SELECT 1 FROM rehearsals WHERE request_seq = OLD.seq AND status = 'done'
                 AND rows_affected IS NEW.rehearsed_rows AND audit_seq = (SELECT max(seq) FROM audit_events))
BEGIN SELECT RAISE(ABORT, 'a bound without its rehearsal'); END;

CREATE INDEX requests__frozen ON requests (corrupt_seq) WHERE corrupt_seq IS NOT NULL;

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

CREATE TRIGGER sessions_update
BEFORE UPDATE OF id, subject_id, session_hash, issuer, groups_json, claims_json, name, email, started_at_ms,
    expires_at_ms, audit_seq ON sessions
BEGIN SELECT RAISE(ABORT, 'sessions do not change'); END;

CREATE TRIGGER sessions_delete BEFORE DELETE ON sessions
WHEN (SELECT resource_id FROM audit_events ORDER BY seq DESC LIMIT 1) IS NOT OLD.id
  OR (SELECT event_type FROM audit_events ORDER BY seq DESC LIMIT 1) IS NOT 'session.ended'
BEGIN SELECT RAISE(ABORT, 'session ended without its audit event'); END;

CREATE INDEX tokens__session ON tokens (session_id) WHERE session_id IS NOT NULL;

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

CREATE INDEX users__claimed_email ON users (id) WHERE claimed_email IS NOT NULL;

CREATE INDEX users__claims ON users (claims_at_ms) WHERE claims_at_ms IS NOT NULL;

CREATE TRIGGER users_update
BEFORE UPDATE OF id, subject_type, status, source, slack_user_id, created_at_ms, updated_at_ms, slack_linkers_json,
    claimed_email, claims_json, claims_at_ms, slack_linked_with, audit_seq ON users
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events) OR NEW.audit_seq <= OLD.audit_seq OR NEW.id IS NOT OLD.id
BEGIN SELECT RAISE(ABORT, 'user changed without its audit event'); END;
