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
INSERT INTO "agents" VALUES('agent','{"operations":[],"scopes":[{"database":"app","environment":"development"},{"database":"app","environment":"production"}]}','0.1.6',4,0,0,0,'[]',1795986304926,1795986304926,7);
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
INSERT INTO "approvals" VALUES(1,3,0,'reject','admin','613a8329-6ce4-4677-b2a0-6a5a93f02eea','admin_override','no',0,1795986304966,12);
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
INSERT INTO "audit_events" VALUES(1,'11161b7c-fd7d-49c2-a769-8c27540b2860','config.synced','policy',1,'success','system','system','config','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"databases":1,"execution_policies":1,"groups":1,"notification_policies":1,"result_policies":1,"role_bindings":0,"roles":0,"users":0,"webhooks":1,"workflows":2}',NULL,'2026-11-29T21:05:04.772+00:00','e660722cfbfdf813be73dbc00865b9100a67a6d9747a160358c6489d7890620e',1795986304772,NULL,NULL);
INSERT INTO "audit_events" VALUES(2,'364957ec-c69a-4846-aabf-adecc2739734','token.created','token',1,'success','system','system','token','613a8329-6ce4-4677-b2a0-6a5a93f02eea',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"expires_at":null,"groups":[],"issuer":"system","issuers":[],"role_mode":"grant","roles":["admin"],"scopes":null,"subject_id":"admin","subject_type":"user"}','e660722cfbfdf813be73dbc00865b9100a67a6d9747a160358c6489d7890620e','2026-11-29T21:05:04.794+00:00','ea34e5b1d18c2a8c774696fa1f930d6ded7cb9e12bb02a75b73005f7c2ddfbb2',1795986304794,NULL,NULL);
INSERT INTO "audit_events" VALUES(3,'22886080-3cb0-459a-9563-99266dcb6a1a','token.created','token',1,'success','system','system','token','54941970-0121-422c-ba30-10e5aaa84490',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"expires_at":null,"groups":[],"issuer":"system","issuers":[],"role_mode":"grant","roles":["developer"],"scopes":null,"subject_id":"developer","subject_type":"user"}','ea34e5b1d18c2a8c774696fa1f930d6ded7cb9e12bb02a75b73005f7c2ddfbb2','2026-11-29T21:05:04.794+00:00','4dc5a70d1976741d759830cac9534f51d9074be8fa9f2e0ab1b7d3d74d1bc97e',1795986304794,NULL,NULL);
INSERT INTO "audit_events" VALUES(4,'bab0b34c-a894-4a4c-9f6f-081d1ff3be39','token.created','token',1,'success','system','system','token','8d8369af-977c-4279-a78d-89200e378d43',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"expires_at":null,"groups":[],"issuer":"system","issuers":[],"role_mode":"grant","roles":["agent-default"],"scopes":null,"subject_id":"agent","subject_type":"agent"}','4dc5a70d1976741d759830cac9534f51d9074be8fa9f2e0ab1b7d3d74d1bc97e','2026-11-29T21:05:04.794+00:00','cf889b4f50c0db49f9f28a58ef94c94a7fe231a6eaff3ae9030deeb4fd05d72a',1795986304794,NULL,NULL);
INSERT INTO "audit_events" VALUES(5,'f8260786-bbb6-4853-9ffc-057cb34f32e2','request.auto_approved','approval',1,'success','developer','user','request','f2aa7828-ac72-4435-9780-b33f6ba0330c','127.0.0.1','127.0.0.1','peer','f2aa7828-ac72-4435-9780-b33f6ba0330c','execute_select','app','development','51b009bf9f493db8c5b7c14a60a32da59b5ab07556839061a72d3e599d3d68fc','SELECT id FROM items WHERE id = ?','stored for upgrades','{"allow_ddl":false,"emergency":false,"from_status":"new","http_request_id":"9079ae4a8aadf3b3","policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","risk_level":"low","to_status":"auto_approved"}','cf889b4f50c0db49f9f28a58ef94c94a7fe231a6eaff3ae9030deeb4fd05d72a','2026-11-29T21:05:04.919+00:00','34be0defcb10a087357ae1a4d3deeceb93623bf1f07251edd39f4178a6eab8a7',1795986304919,'new','auto_approved');
INSERT INTO "audit_events" VALUES(6,'6e0b8283-7bb5-447d-9383-61adfe610af9','request.dispatched','approval',1,'success','developer','user','request','f2aa7828-ac72-4435-9780-b33f6ba0330c','127.0.0.1','127.0.0.1','peer','f2aa7828-ac72-4435-9780-b33f6ba0330c','execute_select','app','development',NULL,NULL,NULL,'{"from_status":"auto_approved","http_request_id":"9079ae4a8aadf3b3","to_status":"dispatched"}','34be0defcb10a087357ae1a4d3deeceb93623bf1f07251edd39f4178a6eab8a7','2026-11-29T21:05:04.919+00:00','e3117f541b5a439285473c4b32e5cf0d2b4a7409ce2a0cd761453187c3989ff8',1795986304919,'auto_approved','dispatched');
INSERT INTO "audit_events" VALUES(7,'c22fc749-b444-4890-803e-5823bc585031','agent.registered','agent',1,'success','agent','agent','agent','agent','127.0.0.1','127.0.0.1','peer',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"agent_version":"0.1.6","http_request_id":"435edb0db0c97541"}','e3117f541b5a439285473c4b32e5cf0d2b4a7409ce2a0cd761453187c3989ff8','2026-11-29T21:05:04.926+00:00','1172be142c14ed9692003f1e400802812482423f00e885129d994cf245eab8d2',1795986304926,NULL,NULL);
INSERT INTO "audit_events" VALUES(8,'b5402c4b-5ea2-455f-995f-634e2e3b642c','execution.started','execution',1,'success','agent','agent','request','f2aa7828-ac72-4435-9780-b33f6ba0330c','127.0.0.1','127.0.0.1','peer','f2aa7828-ac72-4435-9780-b33f6ba0330c','execute_select','app','development',NULL,NULL,NULL,'{"attempt":1,"execution_id":"5d1ab897-6cee-4379-84e6-eaa9e932779e","from_status":"dispatched","http_request_id":"f5d9f2d9282d0a69","statement_timeout_secs":30,"to_status":"running"}','1172be142c14ed9692003f1e400802812482423f00e885129d994cf245eab8d2','2026-11-29T21:05:04.927+00:00','7139fd726e76113485bffbbdc8084248c71d665c78e3e811664aa2f387211593',1795986304927,'dispatched','running');
INSERT INTO "audit_events" VALUES(9,'59339b08-e8af-4a57-8015-c72b9b527165','execution.completed','execution',1,'success','agent','agent','execution','5d1ab897-6cee-4379-84e6-eaa9e932779e','127.0.0.1','127.0.0.1','peer','f2aa7828-ac72-4435-9780-b33f6ba0330c','execute_select','app','development',NULL,NULL,NULL,'{"duration_ms":3,"from_status":"running","http_request_id":"9606a514b6b12fc1","late":false,"result_bytes":174,"result_sha256":"387e04cbd2feffdabaecb0ba832998cdb23c7f7557d47f175cbb860fbc900918","rows_affected":1,"to_status":"executed","truncated":false}','7139fd726e76113485bffbbdc8084248c71d665c78e3e811664aa2f387211593','2026-11-29T21:05:04.942+00:00','2b9ae7b3a25d56b08fd6fa3c7cc92ad1a74f1a50e965567fd3a3e23f8298235b',1795986304942,'running','executed');
INSERT INTO "audit_events" VALUES(10,'69664f39-350b-4405-a437-4c50de2a5b46','request.created','approval',1,'success','developer','user','request','1f8ca1e6-ecdb-46f3-b4eb-d5c9951c1056','127.0.0.1','127.0.0.1','peer','1f8ca1e6-ecdb-46f3-b4eb-d5c9951c1056','execute_dml','app','production','580d2e6f2da7744ef2d29c99dd869d64661dc851fc255631136f3fdbb08b9894','UPDATE items SET price = ? WHERE id = ?',NULL,'{"allow_ddl":false,"emergency":false,"from_status":"new","http_request_id":"d56886774ec3b50a","policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","risk_level":"unknown","to_status":"pending"}','2b9ae7b3a25d56b08fd6fa3c7cc92ad1a74f1a50e965567fd3a3e23f8298235b','2026-11-29T21:05:04.951+00:00','1d296fd987f3747ee0cc588daef32011005c2c75853420333842ea3229a18c1d',1795986304951,'new','pending');
INSERT INTO "audit_events" VALUES(11,'5aea8d9e-c1a1-4fb1-82d2-a208fff14f37','request.created','approval',1,'success','developer','user','request','726dd5a5-a540-4cdb-a804-33331c659713','127.0.0.1','127.0.0.1','peer','726dd5a5-a540-4cdb-a804-33331c659713','execute_dml','app','production','3a02ec4d7553a3d9fdc6308740725e7ac26e422b5bc7f3130ae0ae16644983ca','DELETE FROM items WHERE id = ?',NULL,'{"allow_ddl":false,"emergency":false,"from_status":"new","http_request_id":"3882ad7ff1c7ceab","policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","risk_level":"unknown","to_status":"pending"}','1d296fd987f3747ee0cc588daef32011005c2c75853420333842ea3229a18c1d','2026-11-29T21:05:04.956+00:00','fd238b59a945ff458fc720499a485f02dafdfcbed391c2f7822388ddef00ebbb',1795986304956,'new','pending');
INSERT INTO "audit_events" VALUES(12,'f4b35789-7110-46ed-a8b5-216b26707c91','request.rejected','approval',1,'success','admin','user','request','726dd5a5-a540-4cdb-a804-33331c659713','127.0.0.1','127.0.0.1','peer','726dd5a5-a540-4cdb-a804-33331c659713','execute_dml','app','production',NULL,NULL,'no','{"approval_comment":"no","from_status":"pending","http_request_id":"b5f157e21bc95731","selector":"admin_override","step_number":1,"to_status":"rejected"}','fd238b59a945ff458fc720499a485f02dafdfcbed391c2f7822388ddef00ebbb','2026-11-29T21:05:04.966+00:00','635b7104ff8041e12e8ec9343ee088837c9f37778c77bd443b9dcbbd4efec23a',1795986304966,'pending','rejected');
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
INSERT INTO "dry_run_jobs" VALUES('b59f42c8-3b09-4f59-845a-5a587b973222',2,0,'app','production','UPDATE items SET price = 2 WHERE id = 1','pending',NULL,NULL,NULL,NULL,NULL,1795986304951,NULL);
INSERT INTO "dry_run_jobs" VALUES('aa96a7e2-ca3c-4650-9088-d5c8b66fb647',3,0,'app','production','DELETE FROM items WHERE id = 2','pending',NULL,NULL,NULL,NULL,NULL,1795986304956,NULL);
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
INSERT INTO "executions" VALUES(1,'5d1ab897-6cee-4379-84e6-eaa9e932779e',1,1,'agent','completed',NULL,'{"agent_id":"agent","database":"app","detail_hash":"ef86a7c613305b665e6a323a191f8b20bce9c096840262464ffcd90da5d8db1e","environment":"development","execution_id":"5d1ab897-6cee-4379-84e6-eaa9e932779e","expires_at":"2026-11-29T21:10:04.927+00:00","issued_at":"2026-11-29T21:05:04.927+00:00","max_affected_rows":null,"max_rows":null,"operation":"execute_select","policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","request_id":"f2aa7828-ac72-4435-9780-b33f6ba0330c","requester_role":"developer","requester_subject_id":"developer","signature":"0bc92cb97d48341e0f6b4a23c9e27eb859edda4ed0fdee431444c34c0905c4fa4fc4b7484f027a8983e3fd2f0e672a186405324f354bfea419e7beaedab4d10d","signature_v2":"21a919490cf0f9b34479fec3319899d09d64ec51ef9f631be859a5ddbb55461f1ac6f3b89b4edd96ac40b6a08b634c7115f6230a1c180d38a5e90a8c80ca5b0e","statement_timeout_secs":30}',30,NULL,60,1795986364927,0,1795986304927,1795986304942,NULL,1,3,0,0,'f51fcba90463f44857a0e3d5602d16c8140a06d0c079d443f1497af92d826e6c',9);
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
INSERT INTO "meta" VALUES('instance','4f1f46cf-33ea-4469-8cf5-26311fd90375');
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
INSERT INTO "outbox" VALUES(1,'wd-f49f059f-1f35-4038-858e-558212bb98e9','ops','request.auto_approved',1,5,'{"actor":"developer","database":"app","delivery_id":"wd-f49f059f-1f35-4038-858e-558212bb98e9","detail":"SELECT id FROM items WHERE id = ?","emergency":false,"environment":"development","event":"request.auto_approved","operation":"execute_select","reason":"stored for upgrades","request_id":"f2aa7828-ac72-4435-9780-b33f6ba0330c","requester":"developer","risk_level":"low","status":"auto_approved","timestamp":"2026-11-29T21:05:04.919Z","total_steps":0}','pending',0,1795986304919,NULL,1795986304919,1795986304919);
INSERT INTO "outbox" VALUES(2,'wd-18c885fb-1aae-4e69-8f4f-f6a13f4657e8','ops','request.dispatched',1,6,'{"actor":"developer","database":"app","delivery_id":"wd-18c885fb-1aae-4e69-8f4f-f6a13f4657e8","detail":null,"environment":"development","event":"request.dispatched","operation":"execute_select","reason":null,"request_id":"f2aa7828-ac72-4435-9780-b33f6ba0330c","requester":"developer","status":"dispatched","timestamp":"2026-11-29T21:05:04.919Z"}','pending',0,1795986304919,NULL,1795986304919,1795986304919);
INSERT INTO "outbox" VALUES(3,'wd-cab8e65f-3f52-41bf-a5c4-92cf1461b024','ops','execution.started',1,8,'{"actor":"agent","attempt":1,"database":"app","delivery_id":"wd-cab8e65f-3f52-41bf-a5c4-92cf1461b024","detail":null,"environment":"development","event":"execution.started","execution_id":"5d1ab897-6cee-4379-84e6-eaa9e932779e","operation":"execute_select","reason":null,"request_id":"f2aa7828-ac72-4435-9780-b33f6ba0330c","requester":"developer","status":"running","timestamp":"2026-11-29T21:05:04.927Z"}','pending',0,1795986304927,NULL,1795986304927,1795986304927);
INSERT INTO "outbox" VALUES(4,'wd-0be69af7-cf2f-4689-95c3-8dbcaccd5d75','ops','execution.completed',1,9,'{"actor":"agent","database":"app","delivery_id":"wd-0be69af7-cf2f-4689-95c3-8dbcaccd5d75","detail":null,"duration_ms":3,"environment":"development","event":"execution.completed","execution_id":"5d1ab897-6cee-4379-84e6-eaa9e932779e","operation":"execute_select","reason":null,"request_id":"f2aa7828-ac72-4435-9780-b33f6ba0330c","requester":"developer","rows_affected":1,"status":"executed","timestamp":"2026-11-29T21:05:04.942Z"}','pending',0,1795986304942,NULL,1795986304942,1795986304942);
INSERT INTO "outbox" VALUES(5,'wd-99f8b2b5-39dd-4027-9949-c4efadf56e32','ops','request.created',2,10,'{"actor":"developer","database":"app","delivery_id":"wd-99f8b2b5-39dd-4027-9949-c4efadf56e32","detail":"UPDATE items SET price = ? WHERE id = ?","emergency":false,"environment":"production","event":"request.created","operation":"execute_dml","reason":null,"request_id":"1f8ca1e6-ecdb-46f3-b4eb-d5c9951c1056","requester":"developer","risk_level":"unknown","status":"pending","timestamp":"2026-11-29T21:05:04.951Z","total_steps":1}','pending',0,1795986304951,NULL,1795986304951,1795986304951);
INSERT INTO "outbox" VALUES(6,'wd-255c2aec-1177-4042-a5c0-f480af252d45','ops','request.created',3,11,'{"actor":"developer","database":"app","delivery_id":"wd-255c2aec-1177-4042-a5c0-f480af252d45","detail":"DELETE FROM items WHERE id = ?","emergency":false,"environment":"production","event":"request.created","operation":"execute_dml","reason":null,"request_id":"726dd5a5-a540-4cdb-a804-33331c659713","requester":"developer","risk_level":"unknown","status":"pending","timestamp":"2026-11-29T21:05:04.956Z","total_steps":1}','pending',0,1795986304956,NULL,1795986304956,1795986304956);
INSERT INTO "outbox" VALUES(7,'wd-68180170-e592-4bcf-9d78-371cbbc5e9fc','ops','request.rejected',3,12,'{"actor":"admin","comment":"no","database":"app","delivery_id":"wd-68180170-e592-4bcf-9d78-371cbbc5e9fc","detail":null,"environment":"production","event":"request.rejected","operation":"execute_dml","reason":"no","request_id":"726dd5a5-a540-4cdb-a804-33331c659713","requester":"developer","status":"rejected","step_number":1,"timestamp":"2026-11-29T21:05:04.966Z"}','pending',0,1795986304966,NULL,1795986304966,1795986304966);
CREATE TABLE outbox_counts (
    channel TEXT NOT NULL,
    status  TEXT NOT NULL,
    n       INTEGER NOT NULL,
    -- When a notification last entered the status; it outlives the notification.
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (channel, status)
) STRICT, WITHOUT ROWID;
INSERT INTO "outbox_counts" VALUES('ops','pending',7,1795986304966);
CREATE TABLE policy_versions (
    sha256        TEXT PRIMARY KEY CHECK (length(sha256) = 64),
    text          TEXT NOT NULL,
    audit_seq     INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "policy_versions" VALUES('0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51','{"version":1,"databases":[{"name":"app","environments":["development","production"],"dialect":"postgresql"}],"workflows":[{"database":"*","environment":"development","operations":[],"steps":[],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null},{"database":"*","environment":"production","operations":[],"steps":[{"mode":"all","approvers":[{"selector":"group:approvers","min":1}]}],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null}],"execution_policies":[{"database":"*","environment":"production","max_executions":1,"execution_window_secs":86400,"retry_on_failure":false,"statement_timeout_secs":30,"max_statement_timeout_secs":600,"max_rows":null,"migration_lease_duration_secs":null,"migration_statement_timeout_secs":null}],"sql_review":[],"auto_approve":[],"result_policies":[{"database":"*","environment":"*","retention_days":30,"delivery_mode":"both","access":[]}],"notification_policies":[{"database":"*","environment":"*","webhooks":["ops"],"events":["*"]}],"roles":[{"name":"admin","permissions":["*"],"databases":[],"environments":[],"built_in":true},{"name":"agent-default","permissions":["agent.poll","agent.claim","agent.heartbeat","agent.submit_result"],"databases":[],"environments":[],"built_in":true},{"name":"developer","permissions":["request.create","request.create_select","request.view","request.cancel","request.resume","result.view","token.revoke_own"],"databases":[],"environments":[],"built_in":true},{"name":"readonly","permissions":["request.create_select","request.view","result.view"],"databases":[],"environments":[],"built_in":true}],"groups":{"approvers":["approver"]},"role_bindings":[],"default_role":null,"role_mappings":[],"oidc_default_role":null,"approval_ttl_secs":86400,"dispatch_timeout_secs":300}',1,1795986304772);
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
INSERT INTO "request_contexts" VALUES(1,'ready','{"tables":["items"],"sql_review":{"blocked":false,"findings":[]},"risk":{"level":"Low","factors":["ReadOnly"]},"schema_snapshot_collected_at":null}',NULL,1795986304919,1795986304919);
INSERT INTO "request_contexts" VALUES(2,'collecting','{"tables":["items"],"sql_review":{"blocked":false,"findings":[]},"risk":{"level":"Unknown","factors":["SchemaNotSynced"]},"schema_snapshot_collected_at":null}',NULL,1795986304951,1795986304951);
INSERT INTO "request_contexts" VALUES(3,'collecting','{"tables":["items"],"sql_review":{"blocked":false,"findings":[]},"risk":{"level":"Unknown","factors":["SchemaNotSynced"]},"schema_snapshot_collected_at":null}',NULL,1795986304956,1795986304956);
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
INSERT INTO "requests" VALUES(1,'f2aa7828-ac72-4435-9780-b33f6ba0330c','developer','54941970-0121-422c-ba30-10e5aaa84490','app','development','execute_select','executed',9,0,0,0,'stored for upgrades',0,0,'low','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',1795986304919,1795986304942,1795986304942,NULL,1795986304919,1796072704919,'auto_approved',NULL,1795986304942,1,0,'5d1ab897-6cee-4379-84e6-eaa9e932779e','agent',NULL,NULL,NULL);
INSERT INTO "requests" VALUES(2,'1f8ca1e6-ecdb-46f3-b4eb-d5c9951c1056','developer','54941970-0121-422c-ba30-10e5aaa84490','app','production','execute_dml','pending',10,0,0,0,NULL,0,1,'unknown','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',1795986304951,1795986304951,NULL,1796072704951,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,NULL,NULL,1796072704951);
INSERT INTO "requests" VALUES(3,'726dd5a5-a540-4cdb-a804-33331c659713','developer','54941970-0121-422c-ba30-10e5aaa84490','app','production','execute_dml','rejected',12,0,0,0,NULL,0,1,'unknown','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',1795986304956,1795986304966,1795986304966,1796072704956,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE result_access (
    selector      TEXT NOT NULL,
    execution_seq INTEGER NOT NULL REFERENCES results (execution_seq),
    PRIMARY KEY (selector, execution_seq)
) STRICT, WITHOUT ROWID;
INSERT INTO "result_access" VALUES('user:developer',1);
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
INSERT INTO "results" VALUES(1,1,'local','f2aa7828-ac72-4435-9780-b33f6ba0330c/5d1ab897-6cee-4379-84e6-eaa9e932779e',174,'387e04cbd2feffdabaecb0ba832998cdb23c7f7557d47f175cbb860fbc900918',1795986304942,1798578304931,9);
CREATE TABLE schema_migrations (
    name          TEXT PRIMARY KEY,
    sha256        TEXT NOT NULL,
    applied_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "schema_migrations" VALUES('0001_initial','a9f47d38eb03bef12f5ccc037051eb60b938c432675e4f1ee806a990557a1a12',1795986304749);
INSERT INTO "schema_migrations" VALUES('0002_requester_counts','206be4eef1dc5f654d7516ea38f3e31bfa7b313bb36bc0d24f1530255b0410d2',1795986304749);
INSERT INTO "schema_migrations" VALUES('0003_outbox','ad9b99dc0b610567e4b58c3cc40f6a265e67aa82dd9498025062835938d13d5b',1795986304749);
INSERT INTO "schema_migrations" VALUES('0004_retention','1c9b45c0824387b069a315dd24faca3a648d027175fcb4ee6401603d3c4e2d83',1795986304749);
INSERT INTO "schema_migrations" VALUES('0005_tokens','b02aa3456de4ef6ff2a5770fb2c41c31e89d41cbe4c29588f4308ea1470cb5a1',1795986304749);
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
INSERT INTO "tokens" VALUES('54941970-0121-422c-ba30-10e5aaa84490','user','developer','31ccfcdc7a0ab6bd0ef8796bdf4c3efaead60736845f244289d8c7e394339933','fc313a98','bootstrap-developer','["developer"]','grant','[]','system',1795986304794,NULL,NULL,1795986304918,3,'[]',NULL);
INSERT INTO "tokens" VALUES('613a8329-6ce4-4677-b2a0-6a5a93f02eea','user','admin','017d3b6b971d1f6b5a93d127a8d081598d8c5c18f85e3d6fe316101645ecdb70','5bb46d00','bootstrap-admin','["admin"]','grant','[]','system',1795986304794,NULL,NULL,1795986304966,2,'[]',NULL);
INSERT INTO "tokens" VALUES('8d8369af-977c-4279-a78d-89200e378d43','agent','agent','863b851597e6220989423394d68779b1afd9b46e83d2e182477f2251bcfaee39','3fa54e86','bootstrap-agent','["agent-default"]','grant','[]','system',1795986304794,NULL,NULL,1795986304925,4,'[]',NULL);
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
INSERT INTO "users" VALUES('admin','user','active','token',NULL,1795986304794,1795986304794,1795986304966,2);
INSERT INTO "users" VALUES('agent','agent','active','token',NULL,1795986304794,1795986304794,1795986304925,4);
INSERT INTO "users" VALUES('developer','user','active','token',NULL,1795986304794,1795986304794,1795986304918,3);
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
COMMIT;
