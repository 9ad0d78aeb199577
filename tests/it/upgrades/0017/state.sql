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
INSERT INTO "agents" VALUES('agent','{"features":[],"operations":[],"scopes":[{"database":"app","environment":"development"},{"database":"app","environment":"production"}]}','0.1.6',4,0,0,0,'[]',1795987075858,1795987075858,8);
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
INSERT INTO "approvals" VALUES(1,3,0,'reject','admin','3262002b-5bce-4c34-bea6-c366a0226748','admin_override','no',0,1795987075909,13);
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
INSERT INTO "audit_events" VALUES(1,'01a2292b-f1dd-757b-babd-d1af6061bedf','state.baseline','policy',1,'info','system','system',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"head_hash":"","head_seq":0,"key_id":"38d832c8a713199a","recipe_sha256":"fa223c4143773052d051c7e81e679e170e8bf78aadb7a548e8cc99cf4ae1a35e","signature":"d8980d66b10be694cf690ea644c6f4a05083ed644c84feb13f6057bc9e92e46eb6c31c61e22b7b7af5a8b1c1fb0a6e548ee9531b1ca838347121ac451a38dc06","sums":{"approvals":"0000000000000000000000000000000000000000000000000000000000000000","dry_run_jobs":"0000000000000000000000000000000000000000000000000000000000000000","executions":"0000000000000000000000000000000000000000000000000000000000000000","outbox":"0000000000000000000000000000000000000000000000000000000000000000","reported_dialects":"0000000000000000000000000000000000000000000000000000000000000000","request_approvers":"0000000000000000000000000000000000000000000000000000000000000000","request_contexts":"0000000000000000000000000000000000000000000000000000000000000000","request_texts":"0000000000000000000000000000000000000000000000000000000000000000","requests":"0000000000000000000000000000000000000000000000000000000000000000","results":"0000000000000000000000000000000000000000000000000000000000000000","schema_snapshots":"0000000000000000000000000000000000000000000000000000000000000000","stated_dialects":"0000000000000000000000000000000000000000000000000000000000000000","tokens":"0000000000000000000000000000000000000000000000000000000000000000","users":"0000000000000000000000000000000000000000000000000000000000000000"}}',NULL,'2026-11-29T21:17:55.549+00:00','790f0e00a33eda871c4d5130d49deb008c7ffa603fc86d9988ff14a5834a8d92',1795987075549,NULL,NULL);
INSERT INTO "audit_events" VALUES(2,'01a2292b-f1ff-7578-8954-bab2fd26bc7b','config.synced','policy',1,'success','system','system','config','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"databases":1,"execution_policies":1,"groups":1,"notification_policies":1,"result_policies":1,"role_bindings":0,"roles":0,"users":0,"webhooks":1,"workflows":2}','790f0e00a33eda871c4d5130d49deb008c7ffa603fc86d9988ff14a5834a8d92','2026-11-29T21:17:55.583+00:00','98029a7bd9860f95fc55da8b6d0faa86fa86efc30a484e439bc6dae7263ed0d9',1795987075583,NULL,NULL);
INSERT INTO "audit_events" VALUES(3,'01a2292b-f21a-7ac4-a3a3-f39af0ae8bf5','token.created','token',1,'success','system','system','token','3262002b-5bce-4c34-bea6-c366a0226748',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"expires_at":null,"groups":[],"hash_sha256":"06752816ec954235b4fdff6dd8e91768ed9fa24478d833e62e8317b48a8ec566","issuer":"system","issuers":[],"name":"bootstrap-admin","parent_id":null,"prefix":"fa5437ac","role_mode":"grant","roles":["admin"],"scopes":null,"subject_id":"admin","subject_type":"user"}','98029a7bd9860f95fc55da8b6d0faa86fa86efc30a484e439bc6dae7263ed0d9','2026-11-29T21:17:55.610+00:00','1ab3b5904960ab7f0dbc9294f16520cf15ea743da6db8caf49f3decfbe676ab9',1795987075610,NULL,NULL);
INSERT INTO "audit_events" VALUES(4,'01a2292b-f21a-7d8e-99a1-e20e03fa047f','token.created','token',1,'success','system','system','token','c54a675d-3ed7-4ce9-b81e-21b2823218ca',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"expires_at":null,"groups":[],"hash_sha256":"2b444428ef5698bd1fe07f6297e36ab8c5c2efe2ba0a9c1c940812ad6d228399","issuer":"system","issuers":[],"name":"bootstrap-developer","parent_id":null,"prefix":"79d9fc95","role_mode":"grant","roles":["developer"],"scopes":null,"subject_id":"developer","subject_type":"user"}','1ab3b5904960ab7f0dbc9294f16520cf15ea743da6db8caf49f3decfbe676ab9','2026-11-29T21:17:55.610+00:00','4cd73b58bcba422f04b5bcd0928c41d007c7ab140f1bcd6b59bd57888c51b93c',1795987075610,NULL,NULL);
INSERT INTO "audit_events" VALUES(5,'01a2292b-f21a-7fa2-b639-121e1261af6d','token.created','token',1,'success','system','system','token','ef55175c-e6a3-4434-b6be-11d3f66c9ca3',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"expires_at":null,"groups":[],"hash_sha256":"254b2a411d9a62321e37e2fe9aaa062cd3473b8e0752156a10aaf526d7d46c6f","issuer":"system","issuers":[],"name":"bootstrap-agent","parent_id":null,"prefix":"09e0a17f","role_mode":"grant","roles":["agent-default"],"scopes":null,"subject_id":"agent","subject_type":"agent"}','4cd73b58bcba422f04b5bcd0928c41d007c7ab140f1bcd6b59bd57888c51b93c','2026-11-29T21:17:55.610+00:00','83f410d2712f75480cccc2aaa64ad3fbce8ccb018c10c5fe2a9c13f6474c4dd6',1795987075610,NULL,NULL);
INSERT INTO "audit_events" VALUES(6,'01a2292b-f304-74c4-a235-5c656f9d2d9d','request.auto_approved','approval',1,'success','developer','user','request','37077416-3eb7-48bf-a715-ee2c8938db0b','127.0.0.1','127.0.0.1','peer','37077416-3eb7-48bf-a715-ee2c8938db0b','execute_select','app','development','51b009bf9f493db8c5b7c14a60a32da59b5ab07556839061a72d3e599d3d68fc','SELECT id FROM items WHERE id = ?','stored for upgrades','{"actor_token_id":"c54a675d-3ed7-4ce9-b81e-21b2823218ca","allow_ddl":false,"approval_expires_at":"2026-11-30T21:17:55.844Z","commitment":"8b76e3bba3c959cf2b9e79999e99a11ded529f68e41a3997640c9e9ce9956b13","context_commitment":"8f43c7ce070a5d6fe125f7ccddddb4c46e52c5dc383b6fe8fe0fe03872691ed1","dialect":"postgresql","emergency":false,"expires_at":null,"from_status":"new","http_request_id":"712cb62229bf5d2d","no_result_store":false,"policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","risk_level":"low","to_status":"auto_approved","total_steps":0}','83f410d2712f75480cccc2aaa64ad3fbce8ccb018c10c5fe2a9c13f6474c4dd6','2026-11-29T21:17:55.844+00:00','bbe19b3f1c2a421b1dd6a13f8f0048b211b72419b6bd8e86cf76945e28265498',1795987075844,'new','auto_approved');
INSERT INTO "audit_events" VALUES(7,'01a2292b-f304-71a5-9b09-bc3de24dcf39','request.dispatched','approval',1,'success','developer','user','request','37077416-3eb7-48bf-a715-ee2c8938db0b','127.0.0.1','127.0.0.1','peer','37077416-3eb7-48bf-a715-ee2c8938db0b','execute_select','app','development',NULL,NULL,NULL,'{"actor_token_id":"c54a675d-3ed7-4ce9-b81e-21b2823218ca","dispatch_deadline":"2026-11-29T21:22:55.844Z","from_status":"auto_approved","http_request_id":"712cb62229bf5d2d","to_status":"dispatched"}','bbe19b3f1c2a421b1dd6a13f8f0048b211b72419b6bd8e86cf76945e28265498','2026-11-29T21:17:55.844+00:00','caf3812ba943b31351ca78a8b6069779bd5c820d2acd9b3d9a35d1519826e588',1795987075844,'auto_approved','dispatched');
INSERT INTO "audit_events" VALUES(8,'01a2292b-f312-785b-81eb-3ce1b72f8c9a','agent.registered','agent',1,'success','agent','agent','agent','agent','127.0.0.1','127.0.0.1','peer',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"agent_version":"0.1.6","http_request_id":"4b1cf8aa6738e394"}','caf3812ba943b31351ca78a8b6069779bd5c820d2acd9b3d9a35d1519826e588','2026-11-29T21:17:55.858+00:00','27d39ffdd2b464b0a19a5ec9907253a97cc2457516782c576979095c402d9083',1795987075858,NULL,NULL);
INSERT INTO "audit_events" VALUES(9,'01a2292b-f31e-719c-b9dc-a4af60c18cef','execution.started','execution',1,'success','agent','agent','request','37077416-3eb7-48bf-a715-ee2c8938db0b','127.0.0.1','127.0.0.1','peer','37077416-3eb7-48bf-a715-ee2c8938db0b','execute_select','app','development',NULL,NULL,NULL,'{"agent_id":"agent","attempt":1,"execution_id":"01a2292b-f31e-75aa-85d8-192ab859ef3b","from_status":"dispatched","http_request_id":"cb3305b56034b9dd","lease_secs":60,"max_rows":null,"statement_timeout_secs":30,"to_status":"running","token_sha256":"eec1c9a9b53f690b10a33c1543e63c86f4d02e45d5d5363d974e824d7da4bc95"}','27d39ffdd2b464b0a19a5ec9907253a97cc2457516782c576979095c402d9083','2026-11-29T21:17:55.870+00:00','f12e876b56cd75aa2d2e12c4926a7759fbb2a7a60d99deebfd9416b38695a16d',1795987075870,'dispatched','running');
INSERT INTO "audit_events" VALUES(10,'01a2292b-f327-76f3-8e5c-bbeb251b00ff','execution.completed','execution',1,'success','agent','agent','execution','01a2292b-f31e-75aa-85d8-192ab859ef3b','127.0.0.1','127.0.0.1','peer','37077416-3eb7-48bf-a715-ee2c8938db0b','execute_select','app','development',NULL,NULL,NULL,'{"duration_ms":3,"error_sha256":null,"from_status":"running","http_request_id":"7b78b3bef3e22a8e","late":false,"outcome":"committed","report_sha256":"274b46c9f6f6d0e9cb6fa52818da974b39b10924a0bf54bd5e6a8c24892deb1a","result_access":[],"result_backend":"row","result_bytes":221,"result_expires_at":"2026-12-29T21:17:55.879Z","result_sha256":"44e4256d9e5c40be0c5f4c64a0de1d92c84359873022cbccdbbf3174f7b1e563","rows_affected":1,"to_status":"executed","truncated":false}','f12e876b56cd75aa2d2e12c4926a7759fbb2a7a60d99deebfd9416b38695a16d','2026-11-29T21:17:55.879+00:00','1778ef115ecc030bf2a06fc78e7c434d2a0fadbc4edd2e605b587f176d48f32a',1795987075879,'running','executed');
INSERT INTO "audit_events" VALUES(11,'01a2292b-f32f-7d9e-95ac-76df8d1c9d60','request.created','approval',1,'success','developer','user','request','245012e7-f19c-48b2-8a2f-bdd57e806d0b','127.0.0.1','127.0.0.1','peer','245012e7-f19c-48b2-8a2f-bdd57e806d0b','execute_dml','app','production','580d2e6f2da7744ef2d29c99dd869d64661dc851fc255631136f3fdbb08b9894','UPDATE items SET price = ? WHERE id = ?',NULL,'{"actor_token_id":"c54a675d-3ed7-4ce9-b81e-21b2823218ca","allow_ddl":false,"approval_expires_at":null,"commitment":"55eed02bc01abbc5cbf7a4cded96d191cab242d61bea9f63bf78fd6fb4cfa7e3","context_commitment":"1ae926d1a1ac59c145d875845eb88036acda806e79e270fd03285f2558cf89f7","dialect":"postgresql","emergency":false,"expires_at":"2026-11-30T21:17:55.887Z","from_status":"new","http_request_id":"ef0df392468495e7","no_result_store":false,"policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","risk_level":"unknown","to_status":"pending","total_steps":1}','1778ef115ecc030bf2a06fc78e7c434d2a0fadbc4edd2e605b587f176d48f32a','2026-11-29T21:17:55.887+00:00','70e1695df4ecf678c91e9c0e32de5a79cb729f55c99bc36afe0703c614bac037',1795987075887,'new','pending');
INSERT INTO "audit_events" VALUES(12,'01a2292b-f33c-718b-9bc9-175f9c468469','request.created','approval',1,'success','developer','user','request','9fc37c12-3733-4647-9fec-6454c8ec058f','127.0.0.1','127.0.0.1','peer','9fc37c12-3733-4647-9fec-6454c8ec058f','execute_dml','app','production','3a02ec4d7553a3d9fdc6308740725e7ac26e422b5bc7f3130ae0ae16644983ca','DELETE FROM items WHERE id = ?',NULL,'{"actor_token_id":"c54a675d-3ed7-4ce9-b81e-21b2823218ca","allow_ddl":false,"approval_expires_at":null,"commitment":"84d5be81e01c230d199094c97b9f968b187895a621626d25abd5b60ccfa67c83","context_commitment":"011f3c96f46719a4b0955d37913cbd868cb7c538f99aba637348423c11dfce23","dialect":"postgresql","emergency":false,"expires_at":"2026-11-30T21:17:55.900Z","from_status":"new","http_request_id":"fc261b400cd42d38","no_result_store":false,"policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","risk_level":"unknown","to_status":"pending","total_steps":1}','70e1695df4ecf678c91e9c0e32de5a79cb729f55c99bc36afe0703c614bac037','2026-11-29T21:17:55.900+00:00','a445e2b0a4502410b9674744848945a7ce2ffba6f7fd4ee6f5f425eb08ff8e75',1795987075900,'new','pending');
INSERT INTO "audit_events" VALUES(13,'01a2292b-f345-7d34-bb83-a4afe18846d9','request.rejected','approval',1,'success','admin','user','request','9fc37c12-3733-4647-9fec-6454c8ec058f','127.0.0.1','127.0.0.1','peer','9fc37c12-3733-4647-9fec-6454c8ec058f','execute_dml','app','production',NULL,NULL,'no','{"actor_token_id":"3262002b-5bce-4c34-bea6-c366a0226748","approval_comment":"no","from_status":"pending","http_request_id":"d43b73f8f41a3f62","selector":"admin_override","step_number":1,"to_status":"rejected"}','a445e2b0a4502410b9674744848945a7ce2ffba6f7fd4ee6f5f425eb08ff8e75','2026-11-29T21:17:55.909+00:00','9699ecda258948dff50f2d43b3354eb4209f5d1af4f315f0d4f6d3ac66f73c4b',1795987075909,'pending','rejected');
CREATE TABLE audit_head (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    seq           INTEGER NOT NULL,
    event_hash    TEXT NOT NULL,
    recipe_sha256 TEXT NOT NULL REFERENCES audit_recipes (sha256),
    sums_json     TEXT NOT NULL CHECK (json_valid(sums_json)),
    key_id        TEXT NOT NULL,
    signature     TEXT NOT NULL
) STRICT;
INSERT INTO "audit_head" VALUES(1,13,'9699ecda258948dff50f2d43b3354eb4209f5d1af4f315f0d4f6d3ac66f73c4b','fa223c4143773052d051c7e81e679e170e8bf78aadb7a548e8cc99cf4ae1a35e','{"approvals":"0000000000000000000000000000000000000000000000000000000000000000","dry_run_jobs":"59f7353fee68fb3b6e589938049effc23f40ef94f7adb1306c8369fcacb0bd56","executions":"0000000000000000000000000000000000000000000000000000000000000000","outbox":"e0df3a106ca79ba4d2a926a9f3a4a629e2ee59318f30faa00798ac02bfd79cf0","reported_dialects":"0000000000000000000000000000000000000000000000000000000000000000","request_approvers":"47263510a6c53c5c3f709ed08ceda15473aaa3808198c6b7ccfcb18e2e14e53c","request_contexts":"02f4450d3bb980fd30efacca97a68c1e3116a29333aac9b0c71d837316dadaad","request_texts":"fa8fcceb6bf82995a5bb55bed3b14c596d010ab4e4904d50e7ae8022e481e893","requests":"9470c9d1fe4e2b1a9e37a370eabf4b068d6fd1471d0d82c229b1c1174c58b315","results":"0000000000000000000000000000000000000000000000000000000000000000","schema_snapshots":"0000000000000000000000000000000000000000000000000000000000000000","stated_dialects":"0000000000000000000000000000000000000000000000000000000000000000","tokens":"a9d2044408abf539a96e3ccbeb25bf7e80bf377e3986be5619c85eb1003c79c3","users":"b2b66e3ef8f67764019958fbdbfb99aaf17d781b301b1777c11fb8e899ed6037"}','38d832c8a713199a','e77df11732a5fe379658812e0382d5914706fc5f039c6d897b768d91d5ad5497171f82314a2dd4d1649950595899fbe0aff4fae682dc09527f809f3aa9984109');
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
INSERT INTO "audit_recipes" VALUES('fa223c4143773052d051c7e81e679e170e8bf78aadb7a548e8cc99cf4ae1a35e','requests: SELECT live_row(0, 1, ''requests'', t.seq, t.id, t.requester, t.token_id, t.database_name, t.environment, t.operation, t.status, t.audit_seq, t.emergency, t.allow_ddl, t.no_result_store, t.reason, t.current_step, t.total_steps, t.risk_level, t.policy_version, t.created_at_ms, t.updated_at_ms, t.resolved_at_ms, t.expires_at_ms, t.approved_at_ms, t.approval_expires_at_ms, t.dispatched_from, t.dispatch_deadline_ms, t.first_completed_at_ms, t.executions_finished, t.executions_lost, t.execution_id, t.claimed_by, t.cancelled_by, t.cancel_reason, t.due_at_ms, t.dialect, t.corrupt_seq, t.max_affected_rows, t.row_bound_source) FROM requests t WHERE t.status NOT IN (''executed'', ''failed'', ''rejected'', ''cancelled'', ''expired'')
request_texts: SELECT live_row(0, 1, ''request_texts'', t.request_seq, t.detail, t.plan_json, t.workflow_json, t.facts_json, t.trace_json, t.metadata_json, t.share_with_json, t.fingerprint, t.redacted, t.salt) FROM requests o CROSS JOIN request_texts t ON t.request_seq = o.seq WHERE o.status NOT IN (''executed'', ''failed'', ''rejected'', ''cancelled'', ''expired'')
request_contexts: SELECT live_row(0, 1, ''request_contexts'', t.request_seq, t.status, t.context_json, t.explain_json, t.created_at_ms, t.updated_at_ms) FROM requests o CROSS JOIN request_contexts t ON t.request_seq = o.seq WHERE o.status NOT IN (''executed'', ''failed'', ''rejected'', ''cancelled'', ''expired'')
request_approvers: SELECT live_row(0, 1, ''request_approvers'', t.selector, t.request_seq) FROM requests o CROSS JOIN request_approvers t ON t.request_seq = o.seq WHERE o.status NOT IN (''executed'', ''failed'', ''rejected'', ''cancelled'', ''expired'')
approvals: SELECT live_row(0, 1, ''approvals'', t.id, t.request_seq, t.step_index, t.action, t.actor_id, t.token_id, t.matched_selector, t.comment, t.issued_by_requester, t.created_at_ms, t.audit_seq) FROM requests o CROSS JOIN approvals t ON t.request_seq = o.seq WHERE o.status NOT IN (''executed'', ''failed'', ''rejected'', ''cancelled'', ''expired'')
executions: SELECT live_row(0, 1, ''executions'', t.seq, t.id, t.request_seq, t.attempt, t.agent_id, t.status, t.claim_key, t.token_json, t.statement_timeout_secs, t.max_rows, t.lease_secs, t.started_at_ms, t.finished_at_ms, t.error_message, t.error_detail, t.rows_affected, t.duration_ms, t.truncated, t.late, t.report_sha256, t.audit_seq, t.outcome, t.outcome_unproven) FROM requests o CROSS JOIN executions t ON t.request_seq = o.seq WHERE o.status NOT IN (''executed'', ''failed'', ''rejected'', ''cancelled'', ''expired'')
results: SELECT live_row(0, 1, ''results'', t.execution_seq, t.request_seq, t.backend, t.object_key, t.content_length, t.checksum_sha256, t.stored_at_ms, t.expires_at_ms, t.audit_seq) FROM requests o CROSS JOIN results t ON t.request_seq = o.seq WHERE o.status NOT IN (''executed'', ''failed'', ''rejected'', ''cancelled'', ''expired'')
dry_run_jobs: SELECT live_row(0, 1, ''dry_run_jobs'', t.id, t.request_seq, t.statement_index, t.database_name, t.environment, t.sql_text, t.status, t.claimed_by, t.claim_token, t.claimed_at_ms, t.result_json, t.error_message, t.created_at_ms, t.finished_at_ms) FROM requests o CROSS JOIN dry_run_jobs t ON t.request_seq = o.seq WHERE o.status NOT IN (''executed'', ''failed'', ''rejected'', ''cancelled'', ''expired'')
users: SELECT live_row(0, 1, ''users'', t.id, t.subject_type, t.status, t.source, t.slack_user_id, t.created_at_ms, t.updated_at_ms, t.audit_seq, t.slack_linkers_json) FROM users t WHERE 1
tokens: SELECT live_row(0, 1, ''tokens'', t.id, t.subject_type, t.subject_id, t.token_hash, t.token_prefix, t.name, t.roles_json, t.role_mode, t.groups_json, t.issuer, t.created_at_ms, t.expires_at_ms, t.revoked_at_ms, t.audit_seq, t.issuers_json, t.bound_to_json, t.parent_id) FROM tokens t WHERE 1
schema_snapshots: SELECT live_row(0, 1, ''schema_snapshots'', t.database_name, t.environment, t.dialect, t.snapshot_json, t.collected_at_ms, t.last_status, t.last_error, t.last_sync_ms, t.agent_id, t.audit_seq) FROM schema_snapshots t WHERE 1
stated_dialects: SELECT live_row(0, 1, ''stated_dialects'', t.database_name, t.environment, t.agent_id, t.dialect, t.audit_seq) FROM stated_dialects t WHERE 1
reported_dialects: SELECT live_row(0, 1, ''reported_dialects'', t.database_name, t.environment, t.agent_id, t.dialect, t.reported_at_ms, t.audit_seq) FROM reported_dialects t WHERE 1
outbox: SELECT live_row(0, 1, ''outbox'', t.seq, t.delivery_id, t.channel, t.event_type, t.request_seq, t.audit_seq, t.payload_json, t.created_at_ms, t.recipient) FROM outbox t WHERE t.next_attempt_ms IS NOT NULL
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
INSERT INTO "dry_run_jobs" VALUES('b96ee602-8d79-4894-90e7-517985b93025',2,0,'app','production','UPDATE items SET price = 2 WHERE id = 1','pending',NULL,NULL,NULL,NULL,NULL,1795987075887,NULL);
INSERT INTO "dry_run_jobs" VALUES('76eb92fc-9c23-492e-ae7f-df644a5fc865',3,0,'app','production','DELETE FROM items WHERE id = 2','pending',NULL,NULL,NULL,NULL,NULL,1795987075900,NULL);
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
INSERT INTO "executions" VALUES(1,'01a2292b-f31e-75aa-85d8-192ab859ef3b',1,1,'agent','completed',NULL,'{"agent_id":"agent","database":"app","dialect":"postgresql","detail_hash":"ef86a7c613305b665e6a323a191f8b20bce9c096840262464ffcd90da5d8db1e","environment":"development","execution_id":"01a2292b-f31e-75aa-85d8-192ab859ef3b","expires_at":"2026-11-29T21:22:55.870+00:00","issued_at":"2026-11-29T21:17:55.870+00:00","lock_timeout_secs":5,"max_affected_rows":null,"max_rows":null,"operation":"execute_select","policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","request_id":"37077416-3eb7-48bf-a715-ee2c8938db0b","requester_role":"developer","requester_subject_id":"developer","signature":"683bbdf4eb314956cbc18ea15fcec6c8cca6bcd8a584f35cf39aa4e251bd5894e520563e75f89c3a51860b1fe4c98920ddb0f1da8b74ef2cb11a5a5e08ea1b00","signature_v2":"a624bd7ec55ffa49ceef7b0483d953ac08bc8e02d6368930dc7990879b0cf51ef4e8a6ef1837c5629dd15836c4472789e455b557cd7d33808981253e1f76c208","statement_timeout_secs":30}',30,NULL,60,1795987135870,0,1795987075870,1795987075879,NULL,1,3,0,0,'274b46c9f6f6d0e9cb6fa52818da974b39b10924a0bf54bd5e6a8c24892deb1a',10,'committed',0,NULL);
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
INSERT INTO "meta" VALUES('instance','980bc6d6-b6b1-40fa-af58-6f25fbc427e2');
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
INSERT INTO "outbox" VALUES(1,'wd-2330286f-6980-4e0b-8c4a-1ce814c20d37','ops','request.auto_approved',1,6,'{"actor":"developer","database":"app","delivery_id":"wd-2330286f-6980-4e0b-8c4a-1ce814c20d37","detail":"SELECT id FROM items WHERE id = ?","emergency":false,"environment":"development","event":"request.auto_approved","operation":"execute_select","reason":"stored for upgrades","request_id":"37077416-3eb7-48bf-a715-ee2c8938db0b","requester":"developer","risk_level":"low","status":"auto_approved","timestamp":"2026-11-29T21:17:55.844Z","total_steps":0}','pending',1,1795987080070,'the connection failed: Connection refused (os error 111)',1795987075844,1795987075860,NULL,1795987075844);
INSERT INTO "outbox" VALUES(2,'wd-f9196590-0502-49e4-b9ec-affae931adbb','ops','request.dispatched',1,7,'{"actor":"developer","database":"app","delivery_id":"wd-f9196590-0502-49e4-b9ec-affae931adbb","detail":null,"environment":"development","event":"request.dispatched","operation":"execute_select","reason":null,"request_id":"37077416-3eb7-48bf-a715-ee2c8938db0b","requester":"developer","status":"dispatched","timestamp":"2026-11-29T21:17:55.844Z"}','pending',0,1795987075866,NULL,1795987075844,1795987075866,NULL,1795987075844);
INSERT INTO "outbox" VALUES(3,'wd-310bd24d-9755-4941-88b6-22dcbcfaa250','ops','execution.started',1,9,'{"actor":"agent","attempt":1,"database":"app","delivery_id":"wd-310bd24d-9755-4941-88b6-22dcbcfaa250","detail":null,"environment":"development","event":"execution.started","execution_id":"01a2292b-f31e-75aa-85d8-192ab859ef3b","operation":"execute_select","reason":null,"request_id":"37077416-3eb7-48bf-a715-ee2c8938db0b","requester":"developer","status":"running","timestamp":"2026-11-29T21:17:55.870Z"}','pending',0,1795987075870,NULL,1795987075870,1795987075870,NULL,1795987075870);
INSERT INTO "outbox" VALUES(4,'wd-4769e69d-2d75-4c1e-bea0-0d7ee4e695c3','ops','execution.completed',1,10,'{"actor":"agent","database":"app","delivery_id":"wd-4769e69d-2d75-4c1e-bea0-0d7ee4e695c3","detail":null,"duration_ms":3,"environment":"development","event":"execution.completed","execution_id":"01a2292b-f31e-75aa-85d8-192ab859ef3b","operation":"execute_select","outcome":"committed","reason":null,"request_id":"37077416-3eb7-48bf-a715-ee2c8938db0b","requester":"developer","rows_affected":1,"status":"executed","timestamp":"2026-11-29T21:17:55.879Z"}','pending',0,1795987075879,NULL,1795987075879,1795987075879,NULL,1795987075879);
INSERT INTO "outbox" VALUES(5,'wd-b2e73df2-da52-4ac9-aa11-f5052e4ad00a','ops','request.created',2,11,'{"actor":"developer","database":"app","delivery_id":"wd-b2e73df2-da52-4ac9-aa11-f5052e4ad00a","detail":"UPDATE items SET price = ? WHERE id = ?","emergency":false,"environment":"production","event":"request.created","operation":"execute_dml","reason":null,"request_id":"245012e7-f19c-48b2-8a2f-bdd57e806d0b","requester":"developer","risk_level":"unknown","status":"pending","timestamp":"2026-11-29T21:17:55.887Z","total_steps":1}','pending',0,1795987075887,NULL,1795987075887,1795987075887,NULL,1795987075887);
INSERT INTO "outbox" VALUES(6,'wd-410bec11-eeec-41b9-86e1-3c0b6c85378d','ops','request.created',3,12,'{"actor":"developer","database":"app","delivery_id":"wd-410bec11-eeec-41b9-86e1-3c0b6c85378d","detail":"DELETE FROM items WHERE id = ?","emergency":false,"environment":"production","event":"request.created","operation":"execute_dml","reason":null,"request_id":"9fc37c12-3733-4647-9fec-6454c8ec058f","requester":"developer","risk_level":"unknown","status":"pending","timestamp":"2026-11-29T21:17:55.900Z","total_steps":1}','pending',0,1795987075900,NULL,1795987075900,1795987075900,NULL,1795987075900);
INSERT INTO "outbox" VALUES(7,'wd-81b8ce08-5d5f-46e7-8bed-e2592a67fb94','ops','request.rejected',3,13,'{"actor":"admin","comment":"no","database":"app","delivery_id":"wd-81b8ce08-5d5f-46e7-8bed-e2592a67fb94","detail":null,"environment":"production","event":"request.rejected","operation":"execute_dml","reason":"no","request_id":"9fc37c12-3733-4647-9fec-6454c8ec058f","requester":"developer","status":"rejected","step_number":1,"timestamp":"2026-11-29T21:17:55.909Z"}','pending',0,1795987075909,NULL,1795987075909,1795987075909,NULL,1795987075909);
CREATE TABLE outbox_counts (
    channel TEXT NOT NULL,
    status  TEXT NOT NULL,
    n       INTEGER NOT NULL,
    -- When a notification last entered the status; it outlives the notification.
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (channel, status)
) STRICT, WITHOUT ROWID;
INSERT INTO "outbox_counts" VALUES('ops','in_progress',0,1795987075855);
INSERT INTO "outbox_counts" VALUES('ops','pending',7,1795987075909);
CREATE TABLE policy_versions (
    sha256        TEXT PRIMARY KEY CHECK (length(sha256) = 64),
    text          TEXT NOT NULL,
    audit_seq     INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "policy_versions" VALUES('0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51','{"version":1,"databases":[{"name":"app","environments":["development","production"],"dialect":"postgresql"}],"workflows":[{"database":"*","environment":"development","operations":[],"steps":[],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null},{"database":"*","environment":"production","operations":[],"steps":[{"mode":"all","approvers":[{"selector":"group:approvers","min":1}]}],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null}],"execution_policies":[{"database":"*","environment":"production","max_executions":1,"execution_window_secs":86400,"retry_on_failure":false,"statement_timeout_secs":30,"max_statement_timeout_secs":600,"max_rows":null,"migration_lease_duration_secs":null,"migration_statement_timeout_secs":null}],"sql_review":[],"auto_approve":[],"result_policies":[{"database":"*","environment":"*","retention_days":30,"delivery_mode":"both","access":[]}],"notification_policies":[{"database":"*","environment":"*","webhooks":["ops"],"events":["*"]}],"roles":[{"name":"admin","permissions":["*"],"databases":[],"environments":[],"built_in":true},{"name":"agent-default","permissions":["agent.poll","agent.claim","agent.heartbeat","agent.submit_result"],"databases":[],"environments":[],"built_in":true},{"name":"developer","permissions":["request.create","request.create_select","request.view","request.cancel","request.resume","result.view","token.revoke_own"],"databases":[],"environments":[],"built_in":true},{"name":"readonly","permissions":["request.create_select","request.view","result.view"],"databases":[],"environments":[],"built_in":true}],"groups":{"approvers":["approver"]},"role_bindings":[],"default_role":null,"role_mappings":[],"oidc_default_role":null,"approval_ttl_secs":86400,"dispatch_timeout_secs":300}',2,1795987075583);
CREATE TABLE purged_requests (
    request_seq INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    audit_seq   INTEGER NOT NULL
) STRICT;
CREATE TABLE reported_dialects (
    database_name  TEXT NOT NULL,
    environment    TEXT NOT NULL,
    agent_id       TEXT NOT NULL REFERENCES users (id),
    dialect        TEXT NOT NULL CHECK (dialect IN ('postgresql', 'mysql', 'sqlite')),
    reported_at_ms INTEGER NOT NULL,
    audit_seq      INTEGER NOT NULL,
    PRIMARY KEY (database_name, environment, agent_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE request_approvers (
    selector    TEXT NOT NULL,
    request_seq INTEGER NOT NULL REFERENCES requests (seq),
    PRIMARY KEY (selector, request_seq)
) STRICT, WITHOUT ROWID;
INSERT INTO "request_approvers" VALUES('group:approvers',2);
CREATE TABLE request_contexts (
    request_seq   INTEGER PRIMARY KEY REFERENCES requests (seq),
    status        TEXT NOT NULL CHECK (status = 'collecting' OR status = 'ready' OR status = 'partial' OR status = 'unavailable'),
    context_json  TEXT NOT NULL CHECK (json_valid(context_json)),
    explain_json  TEXT CHECK (json_valid(explain_json)),
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT;
INSERT INTO "request_contexts" VALUES(1,'ready','{"tables":["items"],"sql_review":{"blocked":false,"findings":[]},"risk":{"level":"Low","factors":["ReadOnly"]},"schema_snapshot_collected_at":null}',NULL,1795987075844,1795987075844);
INSERT INTO "request_contexts" VALUES(2,'collecting','{"tables":["items"],"sql_review":{"blocked":false,"findings":[]},"risk":{"level":"Unknown","factors":["SchemaNotSynced"]},"schema_snapshot_collected_at":null}',NULL,1795987075887,1795987075887);
INSERT INTO "request_contexts" VALUES(3,'collecting','{"tables":["items"],"sql_review":{"blocked":false,"findings":[]},"risk":{"level":"Unknown","factors":["SchemaNotSynced"]},"schema_snapshot_collected_at":null}',NULL,1795987075900,1795987075900);
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
, salt BLOB CHECK (length(salt) = 32)) STRICT;
INSERT INTO "request_texts" VALUES(1,'SELECT id FROM items WHERE id = 1','["SELECT id FROM items WHERE id = 1"]','{"database":"*","environment":"development","operations":[],"steps":[],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null}','{"version":3,"database":"app","environment":"development","asked_operation":"execute_select","emergency":false,"allow_ddl":false,"has_reason":true,"sql":{"dialect":"postgresql","class":{"name":"select"},"statements":1,"ddl_eligible":false,"safe_ddl":false,"foreseen":true,"tables":["items"],"findings":[],"unknown_functions":[],"schema":"not_synced","effects":[]},"schema_collected_at":null,"requester":{"subject":"developer","roles":["developer"],"groups":[]}}','{"version":1,"classification":{"resolved_operation":"execute_select","reason":"reads only"},"sql_review":{"findings_count":0,"parse_failed":false},"risk":{"level":"low","factors":["ReadOnly"],"schema_status":"not_synced"},"workflow":{"matched":{"id":"wf:*:development:e3b0c44298fc","database":"*","environment":"development","step_count":0}},"decision":{"outcome":"auto_approved","reasons":["empty_steps"],"auto_approve_threshold":null}}',NULL,'[]','51b009bf9f493db8c5b7c14a60a32da59b5ab07556839061a72d3e599d3d68fc','SELECT id FROM items WHERE id = ?',X'FB07633EB3E38CA1F7086B0A3FC4FDE65BC5BD954F8B53F5CDEAA67FC1B21B84');
INSERT INTO "request_texts" VALUES(2,'UPDATE items SET price = 2 WHERE id = 1','["UPDATE items SET price = 2 WHERE id = 1"]','{"database":"*","environment":"production","operations":[],"steps":[{"mode":"all","approvers":[{"selector":"group:approvers","min":1}]}],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null}','{"version":3,"database":"app","environment":"production","asked_operation":"execute_select","emergency":false,"allow_ddl":false,"has_reason":false,"sql":{"dialect":"postgresql","class":{"name":"dml","ddl_only":false,"reason":"updates rows"},"statements":1,"ddl_eligible":false,"safe_ddl":false,"foreseen":true,"tables":["items"],"findings":[],"unknown_functions":[],"schema":"not_synced","effects":[]},"schema_collected_at":null,"requester":{"subject":"developer","roles":["developer"],"groups":[]}}','{"version":1,"classification":{"resolved_operation":"execute_dml","reason":"updates rows"},"sql_review":{"findings_count":0,"parse_failed":false},"risk":{"level":"unknown","factors":["SchemaNotSynced"],"schema_status":"not_synced"},"workflow":{"matched":{"id":"wf:*:production:e3b0c44298fc","database":"*","environment":"production","step_count":1}},"decision":{"outcome":"needs_approval","reasons":["no_auto_approve_rule"],"auto_approve_threshold":null}}',NULL,'[]','580d2e6f2da7744ef2d29c99dd869d64661dc851fc255631136f3fdbb08b9894','UPDATE items SET price = ? WHERE id = ?',X'7ED2FC1FCC28934539E0A59E3002B036D36403393EA28869DB61A35C7038F916');
INSERT INTO "request_texts" VALUES(3,'DELETE FROM items WHERE id = 2','["DELETE FROM items WHERE id = 2"]','{"database":"*","environment":"production","operations":[],"steps":[{"mode":"all","approvers":[{"selector":"group:approvers","min":1}]}],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null}','{"version":3,"database":"app","environment":"production","asked_operation":"execute_select","emergency":false,"allow_ddl":false,"has_reason":false,"sql":{"dialect":"postgresql","class":{"name":"dml","ddl_only":false,"reason":"deletes rows"},"statements":1,"ddl_eligible":false,"safe_ddl":false,"foreseen":true,"tables":["items"],"findings":[],"unknown_functions":[],"schema":"not_synced","effects":[]},"schema_collected_at":null,"requester":{"subject":"developer","roles":["developer"],"groups":[]}}','{"version":1,"classification":{"resolved_operation":"execute_dml","reason":"deletes rows"},"sql_review":{"findings_count":0,"parse_failed":false},"risk":{"level":"unknown","factors":["SchemaNotSynced"],"schema_status":"not_synced"},"workflow":{"matched":{"id":"wf:*:production:e3b0c44298fc","database":"*","environment":"production","step_count":1}},"decision":{"outcome":"needs_approval","reasons":["no_auto_approve_rule"],"auto_approve_threshold":null}}',NULL,'[]','3a02ec4d7553a3d9fdc6308740725e7ac26e422b5bc7f3130ae0ae16644983ca','DELETE FROM items WHERE id = ?',X'C6BA17EDCFDFB156CB8F2AF83E13BDC4FBBDBCB2C18BFCBEC44A067EB5E4BB69');
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
    due_at_ms              INTEGER, dialect TEXT NOT NULL DEFAULT 'unknown'
    CHECK (dialect = 'postgresql' OR dialect = 'mysql' OR dialect = 'sqlite' OR dialect = 'any' OR dialect = 'unknown'), corrupt_seq INTEGER, max_affected_rows INTEGER CHECK (max_affected_rows >= 0), row_bound_source TEXT CHECK (row_bound_source IN ('request', 'policy')),
    FOREIGN KEY (id, status, audit_seq) REFERENCES audit_events (request_id, to_status, seq)
) STRICT;
INSERT INTO "requests" VALUES(1,'37077416-3eb7-48bf-a715-ee2c8938db0b','developer','c54a675d-3ed7-4ce9-b81e-21b2823218ca','app','development','execute_select','executed',10,0,0,0,'stored for upgrades',0,0,'low','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',1795987075844,1795987075879,1795987075879,NULL,1795987075844,1796073475844,'auto_approved',NULL,1795987075879,1,0,'01a2292b-f31e-75aa-85d8-192ab859ef3b','agent',NULL,NULL,NULL,'postgresql',NULL,NULL,NULL);
INSERT INTO "requests" VALUES(2,'245012e7-f19c-48b2-8a2f-bdd57e806d0b','developer','c54a675d-3ed7-4ce9-b81e-21b2823218ca','app','production','execute_dml','pending',11,0,0,0,NULL,0,1,'unknown','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',1795987075887,1795987075887,NULL,1796073475887,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,NULL,NULL,1796073475887,'postgresql',NULL,NULL,NULL);
INSERT INTO "requests" VALUES(3,'9fc37c12-3733-4647-9fec-6454c8ec058f','developer','c54a675d-3ed7-4ce9-b81e-21b2823218ca','app','production','execute_dml','rejected',13,0,0,0,NULL,0,1,'unknown','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',1795987075900,1795987075909,1795987075909,1796073475900,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,NULL,NULL,NULL,'postgresql',NULL,NULL,NULL);
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
INSERT INTO "result_bodies" VALUES(1,X'7B225F6462776172645F726573756C74223A747275652C226572726F725F6D657373616765223A6E756C6C2C22657865637574696F6E5F6964223A2230316132323932622D663331652D373561612D383564382D313932616238353965663362222C226F7574636F6D65223A22636F6D6D6974746564222C226F7574636F6D655F756E70726F76656E223A66616C73652C22726573756C745F64617461223A5B7B226964223A317D5D2C22726F77735F6166666563746564223A312C2273756363657373223A747275652C227472756E6361746564223A66616C73657D');
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
INSERT INTO "results" VALUES(1,1,'row','37077416-3eb7-48bf-a715-ee2c8938db0b/01a2292b-f31e-75aa-85d8-192ab859ef3b',221,'44e4256d9e5c40be0c5f4c64a0de1d92c84359873022cbccdbbf3174f7b1e563',1795987075879,1798579075879,10);
CREATE TABLE schema_migrations (
    name          TEXT PRIMARY KEY,
    sha256        TEXT NOT NULL,
    applied_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "schema_migrations" VALUES('0001_initial','a9f47d38eb03bef12f5ccc037051eb60b938c432675e4f1ee806a990557a1a12',1795987075475);
INSERT INTO "schema_migrations" VALUES('0002_requester_counts','206be4eef1dc5f654d7516ea38f3e31bfa7b313bb36bc0d24f1530255b0410d2',1795987075475);
INSERT INTO "schema_migrations" VALUES('0003_outbox','ad9b99dc0b610567e4b58c3cc40f6a265e67aa82dd9498025062835938d13d5b',1795987075475);
INSERT INTO "schema_migrations" VALUES('0004_retention','1c9b45c0824387b069a315dd24faca3a648d027175fcb4ee6401603d3c4e2d83',1795987075475);
INSERT INTO "schema_migrations" VALUES('0005_tokens','b02aa3456de4ef6ff2a5770fb2c41c31e89d41cbe4c29588f4308ea1470cb5a1',1795987075475);
INSERT INTO "schema_migrations" VALUES('0006_head','be270601868bc622b1889dbf549aca15f138e6858c9eed32d7fcf36b14cacba9',1795987075475);
INSERT INTO "schema_migrations" VALUES('0007_result_bodies','449a2ee1e3788cac66f7809d8eaff018aec3ff8da2da1b77baf441464be57f03',1795987075475);
INSERT INTO "schema_migrations" VALUES('0008_outcomes','c4f77133c51fa179cfac81979317a2d3af24767a4720c1fe688df0f92ad52853',1795987075475);
INSERT INTO "schema_migrations" VALUES('0009_dialects','adfb7d6a9da8214f643e796a335ed1d3a919362662f83ebf95a20e095a471a4d',1795987075475);
INSERT INTO "schema_migrations" VALUES('0010_delivery','dfe72025dfe7e9d3da5e812ff1e43d29e5d1408f39081c48a4d0eed394f3d316',1795987075475);
INSERT INTO "schema_migrations" VALUES('0011_descent','783a8a282d09e4eb4b9f497d5d7ba29170572664935cfb530c148c5bda6af2c6',1795987075475);
INSERT INTO "schema_migrations" VALUES('0012_commitments','c27068a74c753f84f1c955b3c0c4e9d80be4ef442240d772e812210a8227fc61',1795987075475);
INSERT INTO "schema_migrations" VALUES('0013_row_bounds','4b7b0de0d58f01aed666c51f4e0b7c644d173b7814a20f093ac4936c65f0006e',1795987075475);
INSERT INTO "schema_migrations" VALUES('0014_stated_dialects','b6a69fe78bfbbfcdf31e3f49eec313d09f7b75034b636e37b219690d8843c62f',1795987075475);
INSERT INTO "schema_migrations" VALUES('0015_reminders','4497d1eb94e8acf31e71f98bb03ea09e307eed0467df497acb7029924fcc2bbe',1795987075475);
INSERT INTO "schema_migrations" VALUES('0016_error_details','0d393fafc9c1a6e32ff25fdc4cddaeca4b53dc9d5ce216a9aa1e0909b9490546',1795987075475);
INSERT INTO "schema_migrations" VALUES('0017_plain_comparisons','5b9a56245dac7301d7fa6d255e3b4f76a97edc956bc3febec48f06579c4d539f',1795987075475);
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
CREATE TABLE stated_dialects (
    database_name TEXT NOT NULL,
    environment   TEXT NOT NULL,
    agent_id      TEXT NOT NULL REFERENCES users (id),
    dialect       TEXT NOT NULL CHECK (dialect IN ('postgresql', 'mysql', 'sqlite')),
    audit_seq     INTEGER NOT NULL,
    PRIMARY KEY (database_name, environment, agent_id)
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
, issuers_json TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(issuers_json)), bound_to_json TEXT CHECK (json_valid(bound_to_json)), parent_id TEXT REFERENCES tokens (id)) STRICT, WITHOUT ROWID;
INSERT INTO "tokens" VALUES('3262002b-5bce-4c34-bea6-c366a0226748','user','admin','b73971f8fa659448058de94fc352e469046e24f48bade7a02b5044a9abbddf13','fa5437ac','bootstrap-admin','["admin"]','grant','[]','system',1795987075610,NULL,NULL,1795987075909,3,'[]',NULL,NULL);
INSERT INTO "tokens" VALUES('c54a675d-3ed7-4ce9-b81e-21b2823218ca','user','developer','18a923fd325a971fedd1fd92deff4281042f043f619ca02af333955ed15ba6af','79d9fc95','bootstrap-developer','["developer"]','grant','[]','system',1795987075610,NULL,NULL,1795987075843,4,'[]',NULL,NULL);
INSERT INTO "tokens" VALUES('ef55175c-e6a3-4434-b6be-11d3f66c9ca3','agent','agent','1da487749818798698bb9129ae2a1b0fe3ab569110ecac326cff91665c723d63','09e0a17f','bootstrap-agent','["agent-default"]','grant','[]','system',1795987075610,NULL,NULL,1795987075858,5,'[]',NULL,NULL);
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
, slack_linkers_json TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(slack_linkers_json))) STRICT, WITHOUT ROWID;
INSERT INTO "users" VALUES('admin','user','active','token',NULL,1795987075610,1795987075610,1795987075909,3,'[]');
INSERT INTO "users" VALUES('agent','agent','active','token',NULL,1795987075610,1795987075610,1795987075858,5,'[]');
INSERT INTO "users" VALUES('developer','user','active','token',NULL,1795987075610,1795987075610,1795987075843,4,'[]');
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
CREATE TRIGGER requests_move BEFORE UPDATE OF status, audit_seq ON requests
WHEN NEW.audit_seq <= OLD.audit_seq
  OR OLD.status IS NOT (SELECT from_status FROM audit_events WHERE seq = NEW.audit_seq)
BEGIN SELECT RAISE(ABORT, 'request moved without its audit event'); END;
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
CREATE INDEX outbox__final ON outbox (updated_at_ms) WHERE next_attempt_ms IS NULL;
CREATE INDEX idempotency_keys__request ON idempotency_keys (request_seq);
CREATE INDEX outbox__request ON outbox (request_seq) WHERE request_seq IS NOT NULL;
CREATE INDEX audit_events__category ON audit_events (event_category, seq);
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
CREATE TRIGGER tokens_update
BEFORE UPDATE OF id, subject_type, subject_id, token_hash, token_prefix, name, roles_json, role_mode, groups_json,
    issuer, issuers_json, bound_to_json, created_at_ms, expires_at_ms, revoked_at_ms, parent_id, audit_seq ON tokens
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events) OR NEW.audit_seq <= OLD.audit_seq
  -- All that ever changes is that a token is revoked, once.
  OR OLD.revoked_at_ms IS NOT NULL OR NEW.revoked_at_ms IS NULL
  OR NEW.id IS NOT OLD.id OR NEW.subject_type IS NOT OLD.subject_type OR NEW.subject_id IS NOT OLD.subject_id
  OR NEW.token_hash IS NOT OLD.token_hash OR NEW.roles_json IS NOT OLD.roles_json
  OR NEW.role_mode IS NOT OLD.role_mode OR NEW.groups_json IS NOT OLD.groups_json OR NEW.issuer IS NOT OLD.issuer
  OR NEW.issuers_json IS NOT OLD.issuers_json OR NEW.bound_to_json IS NOT OLD.bound_to_json
  OR NEW.expires_at_ms IS NOT OLD.expires_at_ms OR NEW.parent_id IS NOT OLD.parent_id
BEGIN SELECT RAISE(ABORT, 'token changed without its audit event'); END;
CREATE TRIGGER users_update
BEFORE UPDATE OF id, subject_type, status, source, slack_user_id, created_at_ms, updated_at_ms, slack_linkers_json,
    audit_seq ON users
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events) OR NEW.audit_seq <= OLD.audit_seq OR NEW.id IS NOT OLD.id
BEGIN SELECT RAISE(ABORT, 'user changed without its audit event'); END;
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
COMMIT;
