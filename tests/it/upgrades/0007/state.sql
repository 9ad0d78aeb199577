BEGIN TRANSACTION;
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
INSERT INTO "agents" VALUES('agent','{"operations":[],"scopes":[{"database":"app","environment":"development"},{"database":"app","environment":"production"}]}','0.1.6',4,0,0,0,'[]',1795986521169,1795986521169,8);
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
INSERT INTO "approvals" VALUES(1,3,0,'reject','admin','af650c5f-85ad-4b77-aee6-f5aa03baeea1','admin_override','no',0,1795986521223,13);
CREATE TABLE audit_events (
    seq                INTEGER PRIMARY KEY,
    id                 TEXT NOT NULL,
    event_type         TEXT NOT NULL,
    event_category     TEXT NOT NULL,
    event_version      INTEGER NOT NULL,
    outcome            TEXT NOT NULL CHECK (outcome IN ('success', 'denied', 'failure', 'info')),
    actor_id           TEXT NOT NULL,
    actor_type         TEXT NOT NULL CHECK (actor_type IN ('user', 'agent', 'system')),
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
INSERT INTO "audit_events" VALUES(1,'01a22923-7bd0-776a-a78d-7bcd594185b4','state.baseline','policy',1,'info','system','system',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"head_hash":"","head_seq":0,"key_id":"e8790ecf64c31547","recipe_sha256":"c5ad7175aa13af015f3bc0904dc3eef870c12b143a7e8821eb59c75d75d40408","signature":"085e4f8be7f91fc810a8b02576d17b51b716f4c8118172013cfe12a6411d8629457a21d15885b0e72b539deb9ae355fca8ef63e6a95572b4f4ff57fe2e497507","sums":{"approvals":"0000000000000000000000000000000000000000000000000000000000000000","dry_run_jobs":"0000000000000000000000000000000000000000000000000000000000000000","executions":"0000000000000000000000000000000000000000000000000000000000000000","outbox":"0000000000000000000000000000000000000000000000000000000000000000","request_approvers":"0000000000000000000000000000000000000000000000000000000000000000","request_contexts":"0000000000000000000000000000000000000000000000000000000000000000","request_texts":"0000000000000000000000000000000000000000000000000000000000000000","requests":"0000000000000000000000000000000000000000000000000000000000000000","results":"0000000000000000000000000000000000000000000000000000000000000000","schema_snapshots":"0000000000000000000000000000000000000000000000000000000000000000","tokens":"0000000000000000000000000000000000000000000000000000000000000000","users":"0000000000000000000000000000000000000000000000000000000000000000"}}',NULL,'2026-11-29T21:08:41.040+00:00','12f59ec653e883d24240815b5dbe0503eac782408b45e4e6fd9aa2d02e98c9e5',1795986521040,NULL,NULL);
INSERT INTO "audit_events" VALUES(2,'01a22923-7bd7-7721-bbaa-6ccf4e8b4752','config.synced','policy',1,'success','system','system','config','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"databases":1,"execution_policies":1,"groups":1,"notification_policies":1,"result_policies":1,"role_bindings":0,"roles":0,"users":0,"webhooks":1,"workflows":2}','12f59ec653e883d24240815b5dbe0503eac782408b45e4e6fd9aa2d02e98c9e5','2026-11-29T21:08:41.047+00:00','48b64d982883fe41642a5e049c0f2af2f781d843c00338491634743242c5557e',1795986521047,NULL,NULL);
INSERT INTO "audit_events" VALUES(3,'01a22923-7be7-7a6e-900c-f6f97aa6511b','token.created','token',1,'success','system','system','token','af650c5f-85ad-4b77-aee6-f5aa03baeea1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"expires_at":null,"groups":[],"issuer":"system","issuers":[],"role_mode":"grant","roles":["admin"],"scopes":null,"subject_id":"admin","subject_type":"user"}','48b64d982883fe41642a5e049c0f2af2f781d843c00338491634743242c5557e','2026-11-29T21:08:41.063+00:00','8599211fb8020e8878d9cd7dde0a2325a5bd43bf0ed9c7c8a955a182f5fdb685',1795986521063,NULL,NULL);
INSERT INTO "audit_events" VALUES(4,'01a22923-7be7-7647-a44d-f2babb35ee75','token.created','token',1,'success','system','system','token','6192d862-7e0c-4b66-9e90-dfa73cc65bb4',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"expires_at":null,"groups":[],"issuer":"system","issuers":[],"role_mode":"grant","roles":["developer"],"scopes":null,"subject_id":"developer","subject_type":"user"}','8599211fb8020e8878d9cd7dde0a2325a5bd43bf0ed9c7c8a955a182f5fdb685','2026-11-29T21:08:41.063+00:00','21b4c1b7302ff79e657c04deec3d4e809b7a73f5b316f13dd44cec96eee34eff',1795986521063,NULL,NULL);
INSERT INTO "audit_events" VALUES(5,'01a22923-7be7-78ee-a94d-41d7e04ce205','token.created','token',1,'success','system','system','token','0baffa65-3711-4ca8-b412-5190e5a1e859',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"expires_at":null,"groups":[],"issuer":"system","issuers":[],"role_mode":"grant","roles":["agent-default"],"scopes":null,"subject_id":"agent","subject_type":"agent"}','21b4c1b7302ff79e657c04deec3d4e809b7a73f5b316f13dd44cec96eee34eff','2026-11-29T21:08:41.063+00:00','a3c5828ee6aa73cbc765aa4e01e45687f090330ed80c2dd0b6febbbe93999652',1795986521063,NULL,NULL);
INSERT INTO "audit_events" VALUES(6,'01a22923-7c3b-711e-8466-50ba3898f378','request.auto_approved','approval',1,'success','developer','user','request','20ea898b-5782-4436-88c0-a775316153a1','127.0.0.1','127.0.0.1','peer','20ea898b-5782-4436-88c0-a775316153a1','execute_select','app','development','51b009bf9f493db8c5b7c14a60a32da59b5ab07556839061a72d3e599d3d68fc','SELECT id FROM items WHERE id = ?','stored for upgrades','{"allow_ddl":false,"emergency":false,"from_status":"new","http_request_id":"4f271c5afba0215b","policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","risk_level":"low","to_status":"auto_approved"}','a3c5828ee6aa73cbc765aa4e01e45687f090330ed80c2dd0b6febbbe93999652','2026-11-29T21:08:41.147+00:00','c04547e42f0e60c583fd5333102edcde70578874588c8cee8ed18386c7a9ff77',1795986521147,'new','auto_approved');
INSERT INTO "audit_events" VALUES(7,'01a22923-7c3b-776a-bf25-ca063ba80156','request.dispatched','approval',1,'success','developer','user','request','20ea898b-5782-4436-88c0-a775316153a1','127.0.0.1','127.0.0.1','peer','20ea898b-5782-4436-88c0-a775316153a1','execute_select','app','development',NULL,NULL,NULL,'{"from_status":"auto_approved","http_request_id":"4f271c5afba0215b","to_status":"dispatched"}','c04547e42f0e60c583fd5333102edcde70578874588c8cee8ed18386c7a9ff77','2026-11-29T21:08:41.147+00:00','12813eb75d6923aba60868f6c15bd88fa559314718ab1bc7f8f2f6cf7756aeea',1795986521147,'auto_approved','dispatched');
INSERT INTO "audit_events" VALUES(8,'01a22923-7c51-77eb-8b42-ab9d03060068','agent.registered','agent',1,'success','agent','agent','agent','agent','127.0.0.1','127.0.0.1','peer',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"agent_version":"0.1.6","http_request_id":"d45d7c13b233e4e3"}','12813eb75d6923aba60868f6c15bd88fa559314718ab1bc7f8f2f6cf7756aeea','2026-11-29T21:08:41.169+00:00','9c0af3e22187329d4367ac0a1c863aa14efe2f7a1838cf678f8f40b59ff5a77a',1795986521169,NULL,NULL);
INSERT INTO "audit_events" VALUES(9,'01a22923-7c57-7bf3-a9fc-a29606e5d99d','execution.started','execution',1,'success','agent','agent','request','20ea898b-5782-4436-88c0-a775316153a1','127.0.0.1','127.0.0.1','peer','20ea898b-5782-4436-88c0-a775316153a1','execute_select','app','development',NULL,NULL,NULL,'{"attempt":1,"execution_id":"01a22923-7c57-77ce-bb60-916a20e1029c","from_status":"dispatched","http_request_id":"44a138b6ee9e505a","statement_timeout_secs":30,"to_status":"running"}','9c0af3e22187329d4367ac0a1c863aa14efe2f7a1838cf678f8f40b59ff5a77a','2026-11-29T21:08:41.175+00:00','0e6615cedeea30eec0c0b035d526282ce9bf12a886346b5704804952d9e31a7a',1795986521175,'dispatched','running');
INSERT INTO "audit_events" VALUES(10,'01a22923-7c61-704e-900d-f86df032b054','execution.completed','execution',1,'success','agent','agent','execution','01a22923-7c57-77ce-bb60-916a20e1029c','127.0.0.1','127.0.0.1','peer','20ea898b-5782-4436-88c0-a775316153a1','execute_select','app','development',NULL,NULL,NULL,'{"duration_ms":3,"from_status":"running","http_request_id":"1d304e12ba5b4bce","late":false,"result_bytes":174,"result_sha256":"7894f7a52ccc123d9ba9c90daa9263e181fa7bd1a5fc95a5efdeefd0f90fb976","rows_affected":1,"to_status":"executed","truncated":false}','0e6615cedeea30eec0c0b035d526282ce9bf12a886346b5704804952d9e31a7a','2026-11-29T21:08:41.185+00:00','1ec83ec8f3ec1d8ecf53e9a947296368b5d215ac02df6eb858f24ad38155056f',1795986521185,'running','executed');
INSERT INTO "audit_events" VALUES(11,'01a22923-7c72-7d21-b15f-e95b1f527f0e','request.created','approval',1,'success','developer','user','request','afb11154-e7da-423d-9a6b-0a905bb03ae7','127.0.0.1','127.0.0.1','peer','afb11154-e7da-423d-9a6b-0a905bb03ae7','execute_dml','app','production','580d2e6f2da7744ef2d29c99dd869d64661dc851fc255631136f3fdbb08b9894','UPDATE items SET price = ? WHERE id = ?',NULL,'{"allow_ddl":false,"emergency":false,"from_status":"new","http_request_id":"f8541c0fd85d06ec","policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","risk_level":"unknown","to_status":"pending"}','1ec83ec8f3ec1d8ecf53e9a947296368b5d215ac02df6eb858f24ad38155056f','2026-11-29T21:08:41.202+00:00','6e09311700009c1045339642c050ff5759cdae1080f470c3ab46f76d633de0fd',1795986521202,'new','pending');
INSERT INTO "audit_events" VALUES(12,'01a22923-7c7d-7c4b-8b7f-cbacc0408dbe','request.created','approval',1,'success','developer','user','request','b12ef13c-f0e7-4db5-884d-a5cd51a8e854','127.0.0.1','127.0.0.1','peer','b12ef13c-f0e7-4db5-884d-a5cd51a8e854','execute_dml','app','production','3a02ec4d7553a3d9fdc6308740725e7ac26e422b5bc7f3130ae0ae16644983ca','DELETE FROM items WHERE id = ?',NULL,'{"allow_ddl":false,"emergency":false,"from_status":"new","http_request_id":"b278d4962f86d781","policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","risk_level":"unknown","to_status":"pending"}','6e09311700009c1045339642c050ff5759cdae1080f470c3ab46f76d633de0fd','2026-11-29T21:08:41.213+00:00','5c15cd9e8ae11ccc2f395eb18a8f5d682eeaade1471e3fb0b45bcce14bba8305',1795986521213,'new','pending');
INSERT INTO "audit_events" VALUES(13,'01a22923-7c87-7e4d-a4c4-398c09b2a9eb','request.rejected','approval',1,'success','admin','user','request','b12ef13c-f0e7-4db5-884d-a5cd51a8e854','127.0.0.1','127.0.0.1','peer','b12ef13c-f0e7-4db5-884d-a5cd51a8e854','execute_dml','app','production',NULL,NULL,'no','{"approval_comment":"no","from_status":"pending","http_request_id":"7bfc6986e2239954","selector":"admin_override","step_number":1,"to_status":"rejected"}','5c15cd9e8ae11ccc2f395eb18a8f5d682eeaade1471e3fb0b45bcce14bba8305','2026-11-29T21:08:41.223+00:00','d686da66ef3102cc3fbda82a2212e26a98e9f964f3f388b8aba5c2097eaa9cee',1795986521223,'pending','rejected');
CREATE TABLE audit_head (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    seq           INTEGER NOT NULL,
    event_hash    TEXT NOT NULL,
    recipe_sha256 TEXT NOT NULL REFERENCES audit_recipes (sha256),
    sums_json     TEXT NOT NULL CHECK (json_valid(sums_json)),
    key_id        TEXT NOT NULL,
    signature     TEXT NOT NULL
) STRICT;
INSERT INTO "audit_head" VALUES(1,13,'d686da66ef3102cc3fbda82a2212e26a98e9f964f3f388b8aba5c2097eaa9cee','c5ad7175aa13af015f3bc0904dc3eef870c12b143a7e8821eb59c75d75d40408','{"approvals":"0000000000000000000000000000000000000000000000000000000000000000","dry_run_jobs":"86b4c0ab6e59d53fa8b80f1295d2f8fa4584b93996d7ce827c55efdd4b198946","executions":"0000000000000000000000000000000000000000000000000000000000000000","outbox":"15276bc8f499301823af6dd8eb617eabef5d3f010a116981b75f7932dc6feac9","request_approvers":"9f11592906bcd9c3f96ab53539b54aaca8c11a8cddad726a2bae5e789b242f0b","request_contexts":"c2bf6ec4c65eb8e31fe0096243c67fbc45d86fdc4a6e775c67ed684a77ed53fe","request_texts":"ce66459ab02c3382f4b1ac277b8d1fa7bdbb5f7344e4a58f86ab53d243e6f3b4","requests":"19aed07ec294775879e9f098a019c98828a8d60b88797f71a06baed7f35a7ebd","results":"0000000000000000000000000000000000000000000000000000000000000000","schema_snapshots":"0000000000000000000000000000000000000000000000000000000000000000","tokens":"a93373bf1be00dfd99684319cb8c5fc5068d89fb33a54627ebac09d4f3cd2526","users":"4fc795bbaa3f5cc37c7f2a46c93d146d1121956ad4054e43db5de5f93efa5ec9"}','e8790ecf64c31547','4351996fd19b73cfe3318e9a3357af56d0639cee15d320c2da1466352057b1648a045c33f3b35f1831d9b40c3051539bb5b37740429b36da47a8c32017edb307');
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
CREATE TABLE audit_recipes (
    sha256 TEXT PRIMARY KEY CHECK (length(sha256) = 64),
    -- How the sums are computed: a line a table, its name and its statement.
    text   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "audit_recipes" VALUES('c5ad7175aa13af015f3bc0904dc3eef870c12b143a7e8821eb59c75d75d40408','requests: SELECT live_row(0, 1, ''requests'', t.seq, t.id, t.requester, t.token_id, t.database_name, t.environment, t.operation, t.status, t.audit_seq, t.emergency, t.allow_ddl, t.no_result_store, t.reason, t.current_step, t.total_steps, t.risk_level, t.policy_version, t.created_at_ms, t.updated_at_ms, t.resolved_at_ms, t.expires_at_ms, t.approved_at_ms, t.approval_expires_at_ms, t.dispatched_from, t.dispatch_deadline_ms, t.first_completed_at_ms, t.executions_finished, t.executions_lost, t.execution_id, t.claimed_by, t.cancelled_by, t.cancel_reason, t.due_at_ms) FROM requests t WHERE t.status NOT IN (''executed'', ''failed'', ''rejected'', ''cancelled'', ''expired'')
request_texts: SELECT live_row(0, 1, ''request_texts'', t.request_seq, t.detail, t.plan_json, t.workflow_json, t.facts_json, t.trace_json, t.metadata_json, t.share_with_json, t.fingerprint, t.redacted) FROM requests o CROSS JOIN request_texts t ON t.request_seq = o.seq WHERE o.status NOT IN (''executed'', ''failed'', ''rejected'', ''cancelled'', ''expired'')
request_contexts: SELECT live_row(0, 1, ''request_contexts'', t.request_seq, t.status, t.context_json, t.explain_json, t.created_at_ms, t.updated_at_ms) FROM requests o CROSS JOIN request_contexts t ON t.request_seq = o.seq WHERE o.status NOT IN (''executed'', ''failed'', ''rejected'', ''cancelled'', ''expired'')
request_approvers: SELECT live_row(0, 1, ''request_approvers'', t.selector, t.request_seq) FROM requests o CROSS JOIN request_approvers t ON t.request_seq = o.seq WHERE o.status NOT IN (''executed'', ''failed'', ''rejected'', ''cancelled'', ''expired'')
approvals: SELECT live_row(0, 1, ''approvals'', t.id, t.request_seq, t.step_index, t.action, t.actor_id, t.token_id, t.matched_selector, t.comment, t.issued_by_requester, t.created_at_ms, t.audit_seq) FROM requests o CROSS JOIN approvals t ON t.request_seq = o.seq WHERE o.status NOT IN (''executed'', ''failed'', ''rejected'', ''cancelled'', ''expired'')
executions: SELECT live_row(0, 1, ''executions'', t.seq, t.id, t.request_seq, t.attempt, t.agent_id, t.status, t.claim_key, t.token_json, t.statement_timeout_secs, t.max_rows, t.lease_secs, t.started_at_ms, t.finished_at_ms, t.error_message, t.rows_affected, t.duration_ms, t.truncated, t.late, t.report_sha256, t.audit_seq) FROM requests o CROSS JOIN executions t ON t.request_seq = o.seq WHERE o.status NOT IN (''executed'', ''failed'', ''rejected'', ''cancelled'', ''expired'')
results: SELECT live_row(0, 1, ''results'', t.execution_seq, t.request_seq, t.backend, t.object_key, t.content_length, t.checksum_sha256, t.stored_at_ms, t.expires_at_ms, t.audit_seq) FROM requests o CROSS JOIN results t ON t.request_seq = o.seq WHERE o.status NOT IN (''executed'', ''failed'', ''rejected'', ''cancelled'', ''expired'')
dry_run_jobs: SELECT live_row(0, 1, ''dry_run_jobs'', t.id, t.request_seq, t.statement_index, t.database_name, t.environment, t.sql_text, t.status, t.claimed_by, t.claim_token, t.claimed_at_ms, t.result_json, t.error_message, t.created_at_ms, t.finished_at_ms) FROM requests o CROSS JOIN dry_run_jobs t ON t.request_seq = o.seq WHERE o.status NOT IN (''executed'', ''failed'', ''rejected'', ''cancelled'', ''expired'')
users: SELECT live_row(0, 1, ''users'', t.id, t.subject_type, t.status, t.source, t.slack_user_id, t.created_at_ms, t.updated_at_ms, t.audit_seq) FROM users t WHERE 1
tokens: SELECT live_row(0, 1, ''tokens'', t.id, t.subject_type, t.subject_id, t.token_hash, t.token_prefix, t.name, t.roles_json, t.role_mode, t.groups_json, t.issuer, t.created_at_ms, t.expires_at_ms, t.revoked_at_ms, t.audit_seq, t.issuers_json, t.bound_to_json) FROM tokens t WHERE 1
schema_snapshots: SELECT live_row(0, 1, ''schema_snapshots'', t.database_name, t.environment, t.dialect, t.snapshot_json, t.collected_at_ms, t.last_status, t.last_error, t.last_sync_ms, t.agent_id, t.audit_seq) FROM schema_snapshots t WHERE 1
outbox: SELECT live_row(0, 1, ''outbox'', t.seq, t.delivery_id, t.channel, t.event_type, t.request_seq, t.audit_seq, t.payload_json, t.created_at_ms) FROM outbox t WHERE t.next_attempt_ms IS NOT NULL
');
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
INSERT INTO "dry_run_jobs" VALUES('ac3899ce-1553-4194-82d2-044062d3ca06',2,0,'app','production','UPDATE items SET price = 2 WHERE id = 1','pending',NULL,NULL,NULL,NULL,NULL,1795986521202,NULL);
INSERT INTO "dry_run_jobs" VALUES('124492e7-f110-4722-b360-ebd92fd8925a',3,0,'app','production','DELETE FROM items WHERE id = 2','pending',NULL,NULL,NULL,NULL,NULL,1795986521213,NULL);
CREATE TABLE executions (
    seq                    INTEGER PRIMARY KEY,
    id                     TEXT NOT NULL UNIQUE,
    request_seq            INTEGER NOT NULL REFERENCES requests (seq),
    attempt                INTEGER NOT NULL,
    agent_id               TEXT NOT NULL,
    status                 TEXT NOT NULL CHECK (status IN ('claimed', 'completed', 'failed', 'lost')),
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
    audit_seq              INTEGER NOT NULL,
    UNIQUE (request_seq, attempt)
) STRICT;
INSERT INTO "executions" VALUES(1,'01a22923-7c57-77ce-bb60-916a20e1029c',1,1,'agent','completed',NULL,'{"agent_id":"agent","database":"app","detail_hash":"ef86a7c613305b665e6a323a191f8b20bce9c096840262464ffcd90da5d8db1e","environment":"development","execution_id":"01a22923-7c57-77ce-bb60-916a20e1029c","expires_at":"2026-11-29T21:13:41.175+00:00","issued_at":"2026-11-29T21:08:41.175+00:00","max_affected_rows":null,"max_rows":null,"operation":"execute_select","policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","request_id":"20ea898b-5782-4436-88c0-a775316153a1","requester_role":"developer","requester_subject_id":"developer","signature":"02ba871e4e5c6d8ba373345ad4764fe35344a0e9e37053843da677f615fb3a17ed0d5b871a7196ad926170c5754a17ae87d63bca538163ea0f9365e2e2722101","signature_v2":"b17e85e6ca768e54964b7399d990a1f3fdf68aaa3a968ede255c79fb5ea825c0c48a16b80d7996d5608c7ebb7acdc0bfb397c76a735eaa285d8c8e9230869e0a","statement_timeout_secs":30}',30,NULL,60,1795986581175,0,1795986521175,1795986521185,NULL,1,3,0,0,'f51fcba90463f44857a0e3d5602d16c8140a06d0c079d443f1497af92d826e6c',10);
CREATE TABLE idempotency_keys (
    requester   TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    request_seq INTEGER NOT NULL REFERENCES requests (seq),
    PRIMARY KEY (requester, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('instance','364bdd12-aaaf-4be3-a86f-6c05b5cf1ad9');
CREATE TABLE outbox (
    seq             INTEGER PRIMARY KEY,
    delivery_id     TEXT NOT NULL UNIQUE,
    channel         TEXT NOT NULL,
    event_type      TEXT NOT NULL,
    request_seq     INTEGER REFERENCES requests (seq),
    audit_seq       INTEGER NOT NULL,
    payload_json    TEXT NOT NULL CHECK (json_valid(payload_json)),
    status          TEXT NOT NULL CHECK (status IN ('pending', 'in_progress', 'delivered', 'cancelled', 'dead')),
    attempts        INTEGER NOT NULL DEFAULT 0,
    next_attempt_ms INTEGER,
    last_error      TEXT,
    created_at_ms   INTEGER NOT NULL,
    updated_at_ms   INTEGER NOT NULL,
    CHECK ((status IN ('pending', 'in_progress')) = (next_attempt_ms IS NOT NULL))
) STRICT;
INSERT INTO "outbox" VALUES(1,'wd-4eaef31f-177f-4f85-be1c-0a24367014fa','ops','request.auto_approved',1,6,'{"actor":"developer","database":"app","delivery_id":"wd-4eaef31f-177f-4f85-be1c-0a24367014fa","detail":"SELECT id FROM items WHERE id = ?","emergency":false,"environment":"development","event":"request.auto_approved","operation":"execute_select","reason":"stored for upgrades","request_id":"20ea898b-5782-4436-88c0-a775316153a1","requester":"developer","risk_level":"low","status":"auto_approved","timestamp":"2026-11-29T21:08:41.147Z","total_steps":0}','pending',0,1795986521147,NULL,1795986521147,1795986521147);
INSERT INTO "outbox" VALUES(2,'wd-27bfb93e-14ef-4eea-86f4-39ced7d02e32','ops','request.dispatched',1,7,'{"actor":"developer","database":"app","delivery_id":"wd-27bfb93e-14ef-4eea-86f4-39ced7d02e32","detail":null,"environment":"development","event":"request.dispatched","operation":"execute_select","reason":null,"request_id":"20ea898b-5782-4436-88c0-a775316153a1","requester":"developer","status":"dispatched","timestamp":"2026-11-29T21:08:41.147Z"}','pending',0,1795986521147,NULL,1795986521147,1795986521147);
INSERT INTO "outbox" VALUES(3,'wd-5d756457-8d0a-4268-a140-6ed9fdf1f2ea','ops','execution.started',1,9,'{"actor":"agent","attempt":1,"database":"app","delivery_id":"wd-5d756457-8d0a-4268-a140-6ed9fdf1f2ea","detail":null,"environment":"development","event":"execution.started","execution_id":"01a22923-7c57-77ce-bb60-916a20e1029c","operation":"execute_select","reason":null,"request_id":"20ea898b-5782-4436-88c0-a775316153a1","requester":"developer","status":"running","timestamp":"2026-11-29T21:08:41.175Z"}','pending',0,1795986521175,NULL,1795986521175,1795986521175);
INSERT INTO "outbox" VALUES(4,'wd-68390875-09be-479f-b745-7441d3ad310b','ops','execution.completed',1,10,'{"actor":"agent","database":"app","delivery_id":"wd-68390875-09be-479f-b745-7441d3ad310b","detail":null,"duration_ms":3,"environment":"development","event":"execution.completed","execution_id":"01a22923-7c57-77ce-bb60-916a20e1029c","operation":"execute_select","reason":null,"request_id":"20ea898b-5782-4436-88c0-a775316153a1","requester":"developer","rows_affected":1,"status":"executed","timestamp":"2026-11-29T21:08:41.185Z"}','pending',0,1795986521185,NULL,1795986521185,1795986521185);
INSERT INTO "outbox" VALUES(5,'wd-249ef183-8575-49c2-9788-9d12ddc8f685','ops','request.created',2,11,'{"actor":"developer","database":"app","delivery_id":"wd-249ef183-8575-49c2-9788-9d12ddc8f685","detail":"UPDATE items SET price = ? WHERE id = ?","emergency":false,"environment":"production","event":"request.created","operation":"execute_dml","reason":null,"request_id":"afb11154-e7da-423d-9a6b-0a905bb03ae7","requester":"developer","risk_level":"unknown","status":"pending","timestamp":"2026-11-29T21:08:41.202Z","total_steps":1}','pending',0,1795986521202,NULL,1795986521202,1795986521202);
INSERT INTO "outbox" VALUES(6,'wd-397d331c-e719-4027-89a7-24965bd492b1','ops','request.created',3,12,'{"actor":"developer","database":"app","delivery_id":"wd-397d331c-e719-4027-89a7-24965bd492b1","detail":"DELETE FROM items WHERE id = ?","emergency":false,"environment":"production","event":"request.created","operation":"execute_dml","reason":null,"request_id":"b12ef13c-f0e7-4db5-884d-a5cd51a8e854","requester":"developer","risk_level":"unknown","status":"pending","timestamp":"2026-11-29T21:08:41.213Z","total_steps":1}','pending',0,1795986521213,NULL,1795986521213,1795986521213);
INSERT INTO "outbox" VALUES(7,'wd-bcd5736c-3bf9-47e9-bb38-4e3dda4b52be','ops','request.rejected',3,13,'{"actor":"admin","comment":"no","database":"app","delivery_id":"wd-bcd5736c-3bf9-47e9-bb38-4e3dda4b52be","detail":null,"environment":"production","event":"request.rejected","operation":"execute_dml","reason":"no","request_id":"b12ef13c-f0e7-4db5-884d-a5cd51a8e854","requester":"developer","status":"rejected","step_number":1,"timestamp":"2026-11-29T21:08:41.223Z"}','pending',0,1795986521223,NULL,1795986521223,1795986521223);
CREATE TABLE outbox_counts (
    channel TEXT NOT NULL,
    status  TEXT NOT NULL,
    n       INTEGER NOT NULL,
    -- When a notification last entered the status; it outlives the notification.
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (channel, status)
) STRICT, WITHOUT ROWID;
INSERT INTO "outbox_counts" VALUES('ops','pending',7,1795986521223);
CREATE TABLE policy_versions (
    sha256        TEXT PRIMARY KEY CHECK (length(sha256) = 64),
    text          TEXT NOT NULL,
    audit_seq     INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "policy_versions" VALUES('0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51','{"version":1,"databases":[{"name":"app","environments":["development","production"],"dialect":"postgresql"}],"workflows":[{"database":"*","environment":"development","operations":[],"steps":[],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null},{"database":"*","environment":"production","operations":[],"steps":[{"mode":"all","approvers":[{"selector":"group:approvers","min":1}]}],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null}],"execution_policies":[{"database":"*","environment":"production","max_executions":1,"execution_window_secs":86400,"retry_on_failure":false,"statement_timeout_secs":30,"max_statement_timeout_secs":600,"max_rows":null,"migration_lease_duration_secs":null,"migration_statement_timeout_secs":null}],"sql_review":[],"auto_approve":[],"result_policies":[{"database":"*","environment":"*","retention_days":30,"delivery_mode":"both","access":[]}],"notification_policies":[{"database":"*","environment":"*","webhooks":["ops"],"events":["*"]}],"roles":[{"name":"admin","permissions":["*"],"databases":[],"environments":[],"built_in":true},{"name":"agent-default","permissions":["agent.poll","agent.claim","agent.heartbeat","agent.submit_result"],"databases":[],"environments":[],"built_in":true},{"name":"developer","permissions":["request.create","request.create_select","request.view","request.cancel","request.resume","result.view","token.revoke_own"],"databases":[],"environments":[],"built_in":true},{"name":"readonly","permissions":["request.create_select","request.view","result.view"],"databases":[],"environments":[],"built_in":true}],"groups":{"approvers":["approver"]},"role_bindings":[],"default_role":null,"role_mappings":[],"oidc_default_role":null,"approval_ttl_secs":86400,"dispatch_timeout_secs":300}',2,1795986521047);
CREATE TABLE purged_requests (
    request_seq INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    audit_seq   INTEGER NOT NULL
) STRICT;
CREATE TABLE request_approvers (
    selector    TEXT NOT NULL,
    request_seq INTEGER NOT NULL REFERENCES requests (seq),
    PRIMARY KEY (selector, request_seq)
) STRICT, WITHOUT ROWID;
INSERT INTO "request_approvers" VALUES('group:approvers',2);
CREATE TABLE request_contexts (
    request_seq   INTEGER PRIMARY KEY REFERENCES requests (seq),
    status        TEXT NOT NULL CHECK (status IN ('collecting', 'ready', 'partial', 'unavailable')),
    context_json  TEXT NOT NULL CHECK (json_valid(context_json)),
    explain_json  TEXT CHECK (json_valid(explain_json)),
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT;
INSERT INTO "request_contexts" VALUES(1,'ready','{"tables":["items"],"sql_review":{"blocked":false,"findings":[]},"risk":{"level":"Low","factors":["ReadOnly"]},"schema_snapshot_collected_at":null}',NULL,1795986521147,1795986521147);
INSERT INTO "request_contexts" VALUES(2,'collecting','{"tables":["items"],"sql_review":{"blocked":false,"findings":[]},"risk":{"level":"Unknown","factors":["SchemaNotSynced"]},"schema_snapshot_collected_at":null}',NULL,1795986521202,1795986521202);
INSERT INTO "request_contexts" VALUES(3,'collecting','{"tables":["items"],"sql_review":{"blocked":false,"findings":[]},"risk":{"level":"Unknown","factors":["SchemaNotSynced"]},"schema_snapshot_collected_at":null}',NULL,1795986521213,1795986521213);
CREATE TABLE request_counts (
    status TEXT PRIMARY KEY,
    n      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "request_counts" VALUES('approved',0);
INSERT INTO "request_counts" VALUES('auto_approved',0);
INSERT INTO "request_counts" VALUES('break_glass',0);
INSERT INTO "request_counts" VALUES('cancelled',0);
INSERT INTO "request_counts" VALUES('dispatched',0);
INSERT INTO "request_counts" VALUES('executed',1);
INSERT INTO "request_counts" VALUES('execution_lost',0);
INSERT INTO "request_counts" VALUES('expired',0);
INSERT INTO "request_counts" VALUES('failed',0);
INSERT INTO "request_counts" VALUES('pending',1);
INSERT INTO "request_counts" VALUES('rejected',1);
INSERT INTO "request_counts" VALUES('running',0);
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
) STRICT;
INSERT INTO "request_texts" VALUES(1,'SELECT id FROM items WHERE id = 1','["SELECT id FROM items WHERE id = 1"]','{"database":"*","environment":"development","operations":[],"steps":[],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null}','{"version":3,"database":"app","environment":"development","asked_operation":"execute_select","emergency":false,"allow_ddl":false,"has_reason":true,"sql":{"dialect":"postgresql","class":{"name":"select"},"statements":1,"ddl_eligible":false,"safe_ddl":false,"foreseen":true,"tables":["items"],"findings":[],"unknown_functions":[],"schema":"not_synced","effects":[]},"schema_collected_at":null,"requester":{"subject":"developer","roles":["developer"],"groups":[]}}','{"version":1,"classification":{"resolved_operation":"execute_select","reason":"reads only"},"sql_review":{"findings_count":0,"parse_failed":false},"risk":{"level":"low","factors":["ReadOnly"],"schema_status":"not_synced"},"workflow":{"matched":{"id":"wf:*:development:e3b0c44298fc","database":"*","environment":"development","step_count":0}},"decision":{"outcome":"auto_approved","reasons":["empty_steps"],"auto_approve_threshold":null}}',NULL,'[]','51b009bf9f493db8c5b7c14a60a32da59b5ab07556839061a72d3e599d3d68fc','SELECT id FROM items WHERE id = ?');
INSERT INTO "request_texts" VALUES(2,'UPDATE items SET price = 2 WHERE id = 1','["UPDATE items SET price = 2 WHERE id = 1"]','{"database":"*","environment":"production","operations":[],"steps":[{"mode":"all","approvers":[{"selector":"group:approvers","min":1}]}],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null}','{"version":3,"database":"app","environment":"production","asked_operation":"execute_select","emergency":false,"allow_ddl":false,"has_reason":false,"sql":{"dialect":"postgresql","class":{"name":"dml","ddl_only":false,"reason":"updates rows"},"statements":1,"ddl_eligible":false,"safe_ddl":false,"foreseen":true,"tables":["items"],"findings":[],"unknown_functions":[],"schema":"not_synced","effects":[]},"schema_collected_at":null,"requester":{"subject":"developer","roles":["developer"],"groups":[]}}','{"version":1,"classification":{"resolved_operation":"execute_dml","reason":"updates rows"},"sql_review":{"findings_count":0,"parse_failed":false},"risk":{"level":"unknown","factors":["SchemaNotSynced"],"schema_status":"not_synced"},"workflow":{"matched":{"id":"wf:*:production:e3b0c44298fc","database":"*","environment":"production","step_count":1}},"decision":{"outcome":"needs_approval","reasons":["no_auto_approve_rule"],"auto_approve_threshold":null}}',NULL,'[]','580d2e6f2da7744ef2d29c99dd869d64661dc851fc255631136f3fdbb08b9894','UPDATE items SET price = ? WHERE id = ?');
INSERT INTO "request_texts" VALUES(3,'DELETE FROM items WHERE id = 2','["DELETE FROM items WHERE id = 2"]','{"database":"*","environment":"production","operations":[],"steps":[{"mode":"all","approvers":[{"selector":"group:approvers","min":1}]}],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null}','{"version":3,"database":"app","environment":"production","asked_operation":"execute_select","emergency":false,"allow_ddl":false,"has_reason":false,"sql":{"dialect":"postgresql","class":{"name":"dml","ddl_only":false,"reason":"deletes rows"},"statements":1,"ddl_eligible":false,"safe_ddl":false,"foreseen":true,"tables":["items"],"findings":[],"unknown_functions":[],"schema":"not_synced","effects":[]},"schema_collected_at":null,"requester":{"subject":"developer","roles":["developer"],"groups":[]}}','{"version":1,"classification":{"resolved_operation":"execute_dml","reason":"deletes rows"},"sql_review":{"findings_count":0,"parse_failed":false},"risk":{"level":"unknown","factors":["SchemaNotSynced"],"schema_status":"not_synced"},"workflow":{"matched":{"id":"wf:*:production:e3b0c44298fc","database":"*","environment":"production","step_count":1}},"decision":{"outcome":"needs_approval","reasons":["no_auto_approve_rule"],"auto_approve_threshold":null}}',NULL,'[]','3a02ec4d7553a3d9fdc6308740725e7ac26e422b5bc7f3130ae0ae16644983ca','DELETE FROM items WHERE id = ?');
CREATE TABLE requester_counts (
    requester TEXT NOT NULL,
    status    TEXT NOT NULL,
    n         INTEGER NOT NULL,
    PRIMARY KEY (requester, status)
) STRICT, WITHOUT ROWID;
INSERT INTO "requester_counts" VALUES('developer','auto_approved',0);
INSERT INTO "requester_counts" VALUES('developer','dispatched',0);
INSERT INTO "requester_counts" VALUES('developer','executed',1);
INSERT INTO "requester_counts" VALUES('developer','pending',1);
INSERT INTO "requester_counts" VALUES('developer','rejected',1);
INSERT INTO "requester_counts" VALUES('developer','running',0);
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
    due_at_ms              INTEGER,
    FOREIGN KEY (id, status, audit_seq) REFERENCES audit_events (request_id, to_status, seq)
) STRICT;
INSERT INTO "requests" VALUES(1,'20ea898b-5782-4436-88c0-a775316153a1','developer','6192d862-7e0c-4b66-9e90-dfa73cc65bb4','app','development','execute_select','executed',10,0,0,0,'stored for upgrades',0,0,'low','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',1795986521147,1795986521185,1795986521185,NULL,1795986521147,1796072921147,'auto_approved',NULL,1795986521185,1,0,'01a22923-7c57-77ce-bb60-916a20e1029c','agent',NULL,NULL,NULL);
INSERT INTO "requests" VALUES(2,'afb11154-e7da-423d-9a6b-0a905bb03ae7','developer','6192d862-7e0c-4b66-9e90-dfa73cc65bb4','app','production','execute_dml','pending',11,0,0,0,NULL,0,1,'unknown','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',1795986521202,1795986521202,NULL,1796072921202,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,NULL,NULL,1796072921202);
INSERT INTO "requests" VALUES(3,'b12ef13c-f0e7-4db5-884d-a5cd51a8e854','developer','6192d862-7e0c-4b66-9e90-dfa73cc65bb4','app','production','execute_dml','rejected',13,0,0,0,NULL,0,1,'unknown','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',1795986521213,1795986521223,1795986521223,1796072921213,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE result_access (
    selector      TEXT NOT NULL,
    execution_seq INTEGER NOT NULL REFERENCES results (execution_seq),
    PRIMARY KEY (selector, execution_seq)
) STRICT, WITHOUT ROWID;
INSERT INTO "result_access" VALUES('user:developer',1);
CREATE TABLE result_bodies (
    execution_seq INTEGER PRIMARY KEY REFERENCES executions (seq),
    body          BLOB NOT NULL
) STRICT;
INSERT INTO "result_bodies" VALUES(1,X'7B225F6462776172645F726573756C74223A747275652C226572726F725F6D657373616765223A6E756C6C2C22657865637574696F6E5F6964223A2230316132323932332D376335372D373763652D626236302D393136613230653130323963222C22726573756C745F64617461223A5B7B226964223A317D5D2C22726F77735F6166666563746564223A312C2273756363657373223A747275652C227472756E6361746564223A66616C73657D');
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
INSERT INTO "results" VALUES(1,1,'row','20ea898b-5782-4436-88c0-a775316153a1/01a22923-7c57-77ce-bb60-916a20e1029c',174,'7894f7a52ccc123d9ba9c90daa9263e181fa7bd1a5fc95a5efdeefd0f90fb976',1795986521185,1798578521185,10);
CREATE TABLE schema_migrations (
    name          TEXT PRIMARY KEY,
    sha256        TEXT NOT NULL,
    applied_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "schema_migrations" VALUES('0001_initial','a9f47d38eb03bef12f5ccc037051eb60b938c432675e4f1ee806a990557a1a12',1795986521007);
INSERT INTO "schema_migrations" VALUES('0002_requester_counts','206be4eef1dc5f654d7516ea38f3e31bfa7b313bb36bc0d24f1530255b0410d2',1795986521007);
INSERT INTO "schema_migrations" VALUES('0003_outbox','ad9b99dc0b610567e4b58c3cc40f6a265e67aa82dd9498025062835938d13d5b',1795986521007);
INSERT INTO "schema_migrations" VALUES('0004_retention','1c9b45c0824387b069a315dd24faca3a648d027175fcb4ee6401603d3c4e2d83',1795986521007);
INSERT INTO "schema_migrations" VALUES('0005_tokens','b02aa3456de4ef6ff2a5770fb2c41c31e89d41cbe4c29588f4308ea1470cb5a1',1795986521007);
INSERT INTO "schema_migrations" VALUES('0006_head','be270601868bc622b1889dbf549aca15f138e6858c9eed32d7fcf36b14cacba9',1795986521007);
INSERT INTO "schema_migrations" VALUES('0007_result_bodies','449a2ee1e3788cac66f7809d8eaff018aec3ff8da2da1b77baf441464be57f03',1795986521007);
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
, issuers_json TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(issuers_json)), bound_to_json TEXT CHECK (json_valid(bound_to_json))) STRICT, WITHOUT ROWID;
INSERT INTO "tokens" VALUES('0baffa65-3711-4ca8-b412-5190e5a1e859','agent','agent','b652f3738eec1a324d9824846ff8b7eee04df75c135038d02e8129186ce76b7e','681cc54d','bootstrap-agent','["agent-default"]','grant','[]','system',1795986521063,NULL,NULL,1795986521169,5,'[]',NULL);
INSERT INTO "tokens" VALUES('6192d862-7e0c-4b66-9e90-dfa73cc65bb4','user','developer','83faac12e411da4fbe79987de214e72d2b562b438ef744368ff3db2884388b0c','0af327dc','bootstrap-developer','["developer"]','grant','[]','system',1795986521063,NULL,NULL,1795986521146,4,'[]',NULL);
INSERT INTO "tokens" VALUES('af650c5f-85ad-4b77-aee6-f5aa03baeea1','user','admin','60a4deef0c71a5ba050cb582b8f25b33184dfe4365e9ce854e1d5c0c647a30b7','f89a8c26','bootstrap-admin','["admin"]','grant','[]','system',1795986521063,NULL,NULL,1795986521223,3,'[]',NULL);
CREATE TABLE transitions (
    from_status TEXT NOT NULL,
    to_status   TEXT NOT NULL,
    PRIMARY KEY (from_status, to_status)
) STRICT, WITHOUT ROWID;
INSERT INTO "transitions" VALUES('approved','cancelled');
INSERT INTO "transitions" VALUES('approved','dispatched');
INSERT INTO "transitions" VALUES('approved','expired');
INSERT INTO "transitions" VALUES('auto_approved','cancelled');
INSERT INTO "transitions" VALUES('auto_approved','dispatched');
INSERT INTO "transitions" VALUES('auto_approved','expired');
INSERT INTO "transitions" VALUES('break_glass','cancelled');
INSERT INTO "transitions" VALUES('break_glass','dispatched');
INSERT INTO "transitions" VALUES('break_glass','expired');
INSERT INTO "transitions" VALUES('dispatched','approved');
INSERT INTO "transitions" VALUES('dispatched','auto_approved');
INSERT INTO "transitions" VALUES('dispatched','break_glass');
INSERT INTO "transitions" VALUES('dispatched','cancelled');
INSERT INTO "transitions" VALUES('dispatched','executed');
INSERT INTO "transitions" VALUES('dispatched','execution_lost');
INSERT INTO "transitions" VALUES('dispatched','failed');
INSERT INTO "transitions" VALUES('dispatched','running');
INSERT INTO "transitions" VALUES('executed','dispatched');
INSERT INTO "transitions" VALUES('execution_lost','cancelled');
INSERT INTO "transitions" VALUES('execution_lost','dispatched');
INSERT INTO "transitions" VALUES('execution_lost','executed');
INSERT INTO "transitions" VALUES('execution_lost','failed');
INSERT INTO "transitions" VALUES('failed','dispatched');
INSERT INTO "transitions" VALUES('new','auto_approved');
INSERT INTO "transitions" VALUES('new','break_glass');
INSERT INTO "transitions" VALUES('new','pending');
INSERT INTO "transitions" VALUES('pending','approved');
INSERT INTO "transitions" VALUES('pending','cancelled');
INSERT INTO "transitions" VALUES('pending','expired');
INSERT INTO "transitions" VALUES('pending','rejected');
INSERT INTO "transitions" VALUES('running','cancelled');
INSERT INTO "transitions" VALUES('running','executed');
INSERT INTO "transitions" VALUES('running','execution_lost');
INSERT INTO "transitions" VALUES('running','failed');
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
) STRICT, WITHOUT ROWID;
INSERT INTO "users" VALUES('admin','user','active','token',NULL,1795986521063,1795986521063,1795986521223,3);
INSERT INTO "users" VALUES('agent','agent','active','token',NULL,1795986521063,1795986521063,1795986521169,5);
INSERT INTO "users" VALUES('developer','user','active','token',NULL,1795986521063,1795986521063,1795986521146,4);
CREATE TRIGGER transitions_fixed_insert BEFORE INSERT ON transitions
BEGIN SELECT RAISE(ABORT, 'transitions are fixed'); END;
CREATE TRIGGER transitions_fixed_update BEFORE UPDATE ON transitions
BEGIN SELECT RAISE(ABORT, 'transitions are fixed'); END;
CREATE TRIGGER transitions_fixed_delete BEFORE DELETE ON transitions
BEGIN SELECT RAISE(ABORT, 'transitions are fixed'); END;
CREATE UNIQUE INDEX audit_events__request ON audit_events (request_id, to_status, seq);
CREATE INDEX audit_events__actor ON audit_events (actor_id, seq);
CREATE INDEX audit_events__type ON audit_events (event_type, seq);
CREATE INDEX audit_events__target ON audit_events (database_name, environment, seq)
    WHERE database_name IS NOT NULL;
CREATE INDEX audit_events__time ON audit_events (created_at_ms);
CREATE INDEX audit_events__trouble ON audit_events (outcome, seq) WHERE outcome <> 'success';
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
CREATE TRIGGER policy_versions_no_update BEFORE UPDATE ON policy_versions
BEGIN SELECT RAISE(ABORT, 'policy versions never change'); END;
CREATE TRIGGER policy_versions_insert BEFORE INSERT ON policy_versions
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR EXISTS (SELECT 1 FROM policy_versions WHERE sha256 = NEW.sha256)
BEGIN SELECT RAISE(ABORT, 'policy version without its audit event'); END;
CREATE INDEX tokens__subject ON tokens (subject_id);
CREATE INDEX tokens__created ON tokens (created_at_ms, id);
CREATE TRIGGER users_insert BEFORE INSERT ON users
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR EXISTS (SELECT 1 FROM users WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'user without its audit event'); END;
CREATE TRIGGER users_update
BEFORE UPDATE OF id, subject_type, status, source, slack_user_id, created_at_ms, updated_at_ms, audit_seq ON users
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events) OR NEW.audit_seq <= OLD.audit_seq OR NEW.id IS NOT OLD.id
BEGIN SELECT RAISE(ABORT, 'user changed without its audit event'); END;
CREATE TRIGGER users_no_delete BEFORE DELETE ON users
BEGIN SELECT RAISE(ABORT, 'users are kept'); END;
CREATE TRIGGER tokens_insert BEFORE INSERT ON tokens
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR EXISTS (SELECT 1 FROM tokens WHERE id = NEW.id OR token_hash = NEW.token_hash)
BEGIN SELECT RAISE(ABORT, 'token without its audit event'); END;
CREATE TRIGGER tokens_no_delete BEFORE DELETE ON tokens
BEGIN SELECT RAISE(ABORT, 'tokens are kept'); END;
CREATE INDEX requests__requester ON requests (requester, seq);
CREATE INDEX requests__status ON requests (status, seq);
CREATE INDEX requests__target ON requests (database_name, environment, seq);
CREATE INDEX requests__due ON requests (due_at_ms) WHERE due_at_ms IS NOT NULL;
CREATE INDEX requests__dispatched ON requests (database_name, environment, audit_seq) WHERE status = 'dispatched';
CREATE INDEX requests__migrating ON requests (database_name, environment)
    WHERE status = 'running' AND operation IN ('migrate_up', 'migrate_down', 'migrate_repair');
CREATE TRIGGER requests_move BEFORE UPDATE OF status, audit_seq ON requests
WHEN NEW.audit_seq <= OLD.audit_seq
  OR OLD.status IS NOT (SELECT from_status FROM audit_events WHERE seq = NEW.audit_seq)
BEGIN SELECT RAISE(ABORT, 'request moved without its audit event'); END;
CREATE TRIGGER requests_fixed
BEFORE UPDATE OF seq, id, requester, token_id, database_name, environment, operation, emergency, allow_ddl,
    no_result_store, reason, total_steps, policy_version, created_at_ms ON requests
BEGIN SELECT RAISE(ABORT, 'what a request is never changes'); END;
CREATE TRIGGER requests_counted_insert AFTER INSERT ON requests
BEGIN UPDATE request_counts SET n = n + 1 WHERE status = NEW.status; END;
CREATE TRIGGER requests_counted_update AFTER UPDATE OF status ON requests
BEGIN
    UPDATE request_counts SET n = n - 1 WHERE status = OLD.status;
    UPDATE request_counts SET n = n + 1 WHERE status = NEW.status;
END;
CREATE TRIGGER request_texts_insert BEFORE INSERT ON request_texts
WHEN EXISTS (SELECT 1 FROM request_texts WHERE request_seq = NEW.request_seq)
BEGIN SELECT RAISE(ABORT, 'what a request says never changes'); END;
CREATE TRIGGER request_texts_fixed BEFORE UPDATE ON request_texts
BEGIN SELECT RAISE(ABORT, 'what a request says never changes'); END;
CREATE INDEX request_contexts__collecting ON request_contexts (created_at_ms) WHERE status = 'collecting';
CREATE INDEX request_approvers__request ON request_approvers (request_seq);
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
CREATE UNIQUE INDEX executions__claimed ON executions (request_seq) WHERE status = 'claimed';
CREATE INDEX executions__lease ON executions (lease_until_ms) WHERE status = 'claimed';
CREATE TRIGGER executions_insert BEFORE INSERT ON executions
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR EXISTS (SELECT 1 FROM executions WHERE id = NEW.id)
  OR (NEW.seq IS NOT NULL AND EXISTS (SELECT 1 FROM executions WHERE seq = NEW.seq))
BEGIN SELECT RAISE(ABORT, 'execution without its audit event'); END;
CREATE TRIGGER executions_update
BEFORE UPDATE OF seq, id, request_seq, attempt, agent_id, status, claim_key, token_json, statement_timeout_secs,
    max_rows, lease_secs, started_at_ms, finished_at_ms, error_message, rows_affected, duration_ms, truncated, late,
    report_sha256, audit_seq ON executions
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events) OR NEW.audit_seq <= OLD.audit_seq
  OR NEW.id IS NOT OLD.id OR NEW.request_seq IS NOT OLD.request_seq OR NEW.agent_id IS NOT OLD.agent_id
  OR OLD.status IN ('completed', 'failed')
BEGIN SELECT RAISE(ABORT, 'execution changed without its audit event'); END;
CREATE INDEX results__request ON results (request_seq);
CREATE INDEX results__expires ON results (expires_at_ms);
CREATE TRIGGER results_insert BEFORE INSERT ON results
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR EXISTS (SELECT 1 FROM results WHERE execution_seq = NEW.execution_seq)
BEGIN SELECT RAISE(ABORT, 'result without its audit event'); END;
CREATE TRIGGER results_fixed BEFORE UPDATE ON results
BEGIN SELECT RAISE(ABORT, 'results never change'); END;
CREATE INDEX result_access__execution ON result_access (execution_seq);
CREATE TRIGGER agents_insert BEFORE INSERT ON agents
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR EXISTS (SELECT 1 FROM agents WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'agent without its audit event'); END;
CREATE INDEX outbox__due ON outbox (channel, next_attempt_ms) WHERE next_attempt_ms IS NOT NULL;
CREATE INDEX outbox__status ON outbox (status, seq);
CREATE INDEX dry_run_jobs__pending ON dry_run_jobs (database_name, environment, created_at_ms)
    WHERE status = 'pending';
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
CREATE TRIGGER outbox_insert BEFORE INSERT ON outbox
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR NEW.event_type IS NOT (SELECT event_type FROM audit_events WHERE seq = NEW.audit_seq)
  OR (SELECT id FROM requests WHERE seq = NEW.request_seq)
     IS NOT (SELECT request_id FROM audit_events WHERE seq = NEW.audit_seq)
  OR NEW.status IS NOT 'pending'
  OR EXISTS (SELECT 1 FROM outbox WHERE delivery_id = NEW.delivery_id)
  OR (NEW.seq IS NOT NULL AND EXISTS (SELECT 1 FROM outbox WHERE seq = NEW.seq))
BEGIN SELECT RAISE(ABORT, 'notification without its audit event'); END;
CREATE TRIGGER outbox_fixed
BEFORE UPDATE OF seq, delivery_id, channel, event_type, request_seq, audit_seq, payload_json, created_at_ms ON outbox
BEGIN SELECT RAISE(ABORT, 'what a notification says never changes'); END;
CREATE TRIGGER outbox_kept BEFORE DELETE ON outbox WHEN OLD.status IN ('pending', 'in_progress')
BEGIN SELECT RAISE(ABORT, 'a notification is kept until it has ended'); END;
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
CREATE INDEX requests__settled ON requests (updated_at_ms)
    WHERE status IN ('executed', 'failed', 'rejected', 'cancelled', 'expired', 'execution_lost');
CREATE INDEX outbox__final ON outbox (updated_at_ms) WHERE next_attempt_ms IS NULL;
CREATE INDEX idempotency_keys__request ON idempotency_keys (request_seq);
CREATE INDEX outbox__request ON outbox (request_seq) WHERE request_seq IS NOT NULL;
CREATE INDEX audit_events__category ON audit_events (event_category, seq);
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
COMMIT;
