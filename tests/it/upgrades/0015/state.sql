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
INSERT INTO "agents" VALUES('agent','{"features":[],"operations":[],"scopes":[{"database":"app","environment":"development"},{"database":"app","environment":"production"}]}','0.1.6',4,0,0,0,'[]',1795986810132,1795986810126,8);
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
INSERT INTO "approvals" VALUES(1,3,0,'reject','admin','435d9b81-9770-4d9e-97eb-8d2dd868cf8e','admin_override','no',0,1795986810150,13);
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
INSERT INTO "audit_events" VALUES(1,'01a22927-e4bc-7cb6-83cb-06d30bfd836b','state.baseline','policy',1,'info','system','system',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"head_hash":"","head_seq":0,"key_id":"f3841b64cc3d03e4","recipe_sha256":"bfc4d12bb99d8aadb358cdc8a45b66c4b8b069b872b0fb8eadcfbfd4d9350273","signature":"c977229990ea6d3f93d229d6de34280f95d5daceaec90ee98647fb627d7b440fa0cb0ac900cbc3b6b897fd5756a0ed9a11125c6b68531591868755e13773de0d","sums":{"approvals":"0000000000000000000000000000000000000000000000000000000000000000","dry_run_jobs":"0000000000000000000000000000000000000000000000000000000000000000","executions":"0000000000000000000000000000000000000000000000000000000000000000","outbox":"0000000000000000000000000000000000000000000000000000000000000000","reported_dialects":"0000000000000000000000000000000000000000000000000000000000000000","request_approvers":"0000000000000000000000000000000000000000000000000000000000000000","request_contexts":"0000000000000000000000000000000000000000000000000000000000000000","request_texts":"0000000000000000000000000000000000000000000000000000000000000000","requests":"0000000000000000000000000000000000000000000000000000000000000000","results":"0000000000000000000000000000000000000000000000000000000000000000","schema_snapshots":"0000000000000000000000000000000000000000000000000000000000000000","stated_dialects":"0000000000000000000000000000000000000000000000000000000000000000","tokens":"0000000000000000000000000000000000000000000000000000000000000000","users":"0000000000000000000000000000000000000000000000000000000000000000"}}',NULL,'2026-11-29T21:13:30.044+00:00','417543975c4da7365cd9eebe0e5e55786f529ebe43eb4594144998db68ed632e',1795986810044,NULL,NULL);
INSERT INTO "audit_events" VALUES(2,'01a22927-e4bf-758e-8a01-7de53fb62cfb','config.synced','policy',1,'success','system','system','config','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"databases":1,"execution_policies":1,"groups":1,"notification_policies":1,"result_policies":1,"role_bindings":0,"roles":0,"users":0,"webhooks":1,"workflows":2}','417543975c4da7365cd9eebe0e5e55786f529ebe43eb4594144998db68ed632e','2026-11-29T21:13:30.047+00:00','68331aecbea40af69200a32be0906ab98640e732d6d137ea01c6ee719c6b78b3',1795986810047,NULL,NULL);
INSERT INTO "audit_events" VALUES(3,'01a22927-e4c3-7ec9-9703-4cb0ede7bc85','token.created','token',1,'success','system','system','token','435d9b81-9770-4d9e-97eb-8d2dd868cf8e',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"expires_at":null,"groups":[],"hash_sha256":"bed11b3023fbd539edf7067c0c0fb69ad1bc552e9086293b9374bfe445849509","issuer":"system","issuers":[],"name":"bootstrap-admin","parent_id":null,"prefix":"3bbfc9fd","role_mode":"grant","roles":["admin"],"scopes":null,"subject_id":"admin","subject_type":"user"}','68331aecbea40af69200a32be0906ab98640e732d6d137ea01c6ee719c6b78b3','2026-11-29T21:13:30.051+00:00','afb8805d8ad8b8b07745f1d1c44fb5b82607b7e4adaddb4e91462b7a562f7fc0',1795986810051,NULL,NULL);
INSERT INTO "audit_events" VALUES(4,'01a22927-e4c3-7445-b35a-da9151dd13b6','token.created','token',1,'success','system','system','token','704c4ddc-30cd-4350-a030-04132a54cb35',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"expires_at":null,"groups":[],"hash_sha256":"08c505953b70ae9a4400524756d9f9c90665a99fc92ce91ab349c3a55a458add","issuer":"system","issuers":[],"name":"bootstrap-developer","parent_id":null,"prefix":"b1e63622","role_mode":"grant","roles":["developer"],"scopes":null,"subject_id":"developer","subject_type":"user"}','afb8805d8ad8b8b07745f1d1c44fb5b82607b7e4adaddb4e91462b7a562f7fc0','2026-11-29T21:13:30.051+00:00','23bbac7b95e37352e7ec66283ebff7343e0a613f3b6e792c41c7a7f8cd8eeeb0',1795986810051,NULL,NULL);
INSERT INTO "audit_events" VALUES(5,'01a22927-e4c3-7605-8e4f-02e226a71940','token.created','token',1,'success','system','system','token','9a59fcf7-3d45-400c-9293-5a06d22e49ce',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"expires_at":null,"groups":[],"hash_sha256":"e8f3570ff7a63cc7a0f13ea43e305b3dfb2dac179e6bf9cec62a2143804cb670","issuer":"system","issuers":[],"name":"bootstrap-agent","parent_id":null,"prefix":"fd5a6de9","role_mode":"grant","roles":["agent-default"],"scopes":null,"subject_id":"agent","subject_type":"agent"}','23bbac7b95e37352e7ec66283ebff7343e0a613f3b6e792c41c7a7f8cd8eeeb0','2026-11-29T21:13:30.051+00:00','b6f561f61b74f96dddbe481150c759e8c10f6bfc5b06f3c9b43b227bad733273',1795986810051,NULL,NULL);
INSERT INTO "audit_events" VALUES(6,'01a22927-e509-776e-b192-aca26da7852f','request.auto_approved','approval',1,'success','developer','user','request','cbd7942a-0633-417f-93a0-872bc7fa5496','127.0.0.1','127.0.0.1','peer','cbd7942a-0633-417f-93a0-872bc7fa5496','execute_select','app','development','51b009bf9f493db8c5b7c14a60a32da59b5ab07556839061a72d3e599d3d68fc','SELECT id FROM items WHERE id = ?','stored for upgrades','{"actor_token_id":"704c4ddc-30cd-4350-a030-04132a54cb35","allow_ddl":false,"approval_expires_at":"2026-11-30T21:13:30.121Z","commitment":"925c05271cf0d90d4e5a1f92cbfa230d72112c9aaad26bbf7be090e0cb8a97a3","context_commitment":"91f0d0febf75519523fc9d3fc60d21ab3a596c658529bb3d56ab2abe6d7e5897","dialect":"postgresql","emergency":false,"expires_at":null,"from_status":"new","http_request_id":"aed0ef03a09827bc","no_result_store":false,"policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","risk_level":"low","to_status":"auto_approved","total_steps":0}','b6f561f61b74f96dddbe481150c759e8c10f6bfc5b06f3c9b43b227bad733273','2026-11-29T21:13:30.121+00:00','33ecbc4f048d748a9034be50a2486034a4d27f06322012524a9907d9232344f4',1795986810121,'new','auto_approved');
INSERT INTO "audit_events" VALUES(7,'01a22927-e509-737f-a44b-c18641347825','request.dispatched','approval',1,'success','developer','user','request','cbd7942a-0633-417f-93a0-872bc7fa5496','127.0.0.1','127.0.0.1','peer','cbd7942a-0633-417f-93a0-872bc7fa5496','execute_select','app','development',NULL,NULL,NULL,'{"actor_token_id":"704c4ddc-30cd-4350-a030-04132a54cb35","dispatch_deadline":"2026-11-29T21:18:30.121Z","from_status":"auto_approved","http_request_id":"aed0ef03a09827bc","to_status":"dispatched"}','33ecbc4f048d748a9034be50a2486034a4d27f06322012524a9907d9232344f4','2026-11-29T21:13:30.121+00:00','94254d07be865dff93694d56d5f51ca29236321aea6e445ed48a9224dbfc2720',1795986810121,'auto_approved','dispatched');
INSERT INTO "audit_events" VALUES(8,'01a22927-e514-78e6-a0bd-e7f6a151f291','agent.registered','agent',1,'success','agent','agent','agent','agent','127.0.0.1','127.0.0.1','peer',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"agent_version":"0.1.6","http_request_id":"5a967c94508016cb"}','94254d07be865dff93694d56d5f51ca29236321aea6e445ed48a9224dbfc2720','2026-11-29T21:13:30.132+00:00','445d846fce70186831029453e397eed894c4c2e9b2af84733018741b3749cf37',1795986810132,NULL,NULL);
INSERT INTO "audit_events" VALUES(9,'01a22927-e516-74f8-8df6-0706090636ba','execution.started','execution',1,'success','agent','agent','request','cbd7942a-0633-417f-93a0-872bc7fa5496','127.0.0.1','127.0.0.1','peer','cbd7942a-0633-417f-93a0-872bc7fa5496','execute_select','app','development',NULL,NULL,NULL,'{"agent_id":"agent","attempt":1,"execution_id":"01a22927-e516-77d1-8fed-308f3b4d3714","from_status":"dispatched","http_request_id":"e441685cbc7dcf17","lease_secs":60,"max_rows":null,"statement_timeout_secs":30,"to_status":"running","token_sha256":"36ff9c8458057e7db7d9467386761f601f5a6ccb2628ddd42c48fb98e57aafb8"}','445d846fce70186831029453e397eed894c4c2e9b2af84733018741b3749cf37','2026-11-29T21:13:30.134+00:00','11a57e7e4f8725c9ce8c27099dcd77aaa2a1b84388cbfb2964bdfa7411b4ca81',1795986810134,'dispatched','running');
INSERT INTO "audit_events" VALUES(10,'01a22927-e519-7d84-9a12-e9f182d80748','execution.completed','execution',1,'success','agent','agent','execution','01a22927-e516-77d1-8fed-308f3b4d3714','127.0.0.1','127.0.0.1','peer','cbd7942a-0633-417f-93a0-872bc7fa5496','execute_select','app','development',NULL,NULL,NULL,'{"duration_ms":3,"error_sha256":null,"from_status":"running","http_request_id":"2c70bf2384a86a57","late":false,"outcome":"committed","report_sha256":"274b46c9f6f6d0e9cb6fa52818da974b39b10924a0bf54bd5e6a8c24892deb1a","result_access":[],"result_backend":"row","result_bytes":221,"result_expires_at":"2026-12-29T21:13:30.137Z","result_sha256":"3bab0e53e1ed8400fc85dc858be3c5aeb84f8a4e039f9a6dae5585b950ee0a1d","rows_affected":1,"to_status":"executed","truncated":false}','11a57e7e4f8725c9ce8c27099dcd77aaa2a1b84388cbfb2964bdfa7411b4ca81','2026-11-29T21:13:30.137+00:00','f4055beefcd22acc18627c14fdac7306416630c0e447c4fde4ff48430658deee',1795986810137,'running','executed');
INSERT INTO "audit_events" VALUES(11,'01a22927-e51c-701d-98ac-914c5ab295e4','request.created','approval',1,'success','developer','user','request','0923e02a-f321-46da-948c-3813554a0ca3','127.0.0.1','127.0.0.1','peer','0923e02a-f321-46da-948c-3813554a0ca3','execute_dml','app','production','580d2e6f2da7744ef2d29c99dd869d64661dc851fc255631136f3fdbb08b9894','UPDATE items SET price = ? WHERE id = ?',NULL,'{"actor_token_id":"704c4ddc-30cd-4350-a030-04132a54cb35","allow_ddl":false,"approval_expires_at":null,"commitment":"bf62956742b5be63a1715e0851ed082b4112aa0eb11308615c21e0ba6a52f5f2","context_commitment":"c618edd0707620555c5ff239623b55fd5ed08c65a02f78bd7390b3cb638a5f47","dialect":"postgresql","emergency":false,"expires_at":"2026-11-30T21:13:30.140Z","from_status":"new","http_request_id":"8b14ecee752b6624","no_result_store":false,"policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","risk_level":"unknown","to_status":"pending","total_steps":1}','f4055beefcd22acc18627c14fdac7306416630c0e447c4fde4ff48430658deee','2026-11-29T21:13:30.140+00:00','88895e6ba3b544b12d3e06c810fdb1681dcb78fece58060878a6eda07e839126',1795986810140,'new','pending');
INSERT INTO "audit_events" VALUES(12,'01a22927-e51f-704d-a0cf-d34a24dec8d6','request.created','approval',1,'success','developer','user','request','b1688a27-327e-45f0-be20-ed077f259e1a','127.0.0.1','127.0.0.1','peer','b1688a27-327e-45f0-be20-ed077f259e1a','execute_dml','app','production','3a02ec4d7553a3d9fdc6308740725e7ac26e422b5bc7f3130ae0ae16644983ca','DELETE FROM items WHERE id = ?',NULL,'{"actor_token_id":"704c4ddc-30cd-4350-a030-04132a54cb35","allow_ddl":false,"approval_expires_at":null,"commitment":"ff3203d34ae2307b9f480388d74759a45128807530032eba79e5bb57c5881ec4","context_commitment":"bdaf03c5fc207e1dde18e5e285da080ed9f53c46fe6a9d93d02ec316c4a26c36","dialect":"postgresql","emergency":false,"expires_at":"2026-11-30T21:13:30.143Z","from_status":"new","http_request_id":"53946635d4397c2b","no_result_store":false,"policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","risk_level":"unknown","to_status":"pending","total_steps":1}','88895e6ba3b544b12d3e06c810fdb1681dcb78fece58060878a6eda07e839126','2026-11-29T21:13:30.143+00:00','4b2bca743d99294252b3cb6ef6f4a2a47a5c2e645d20795bb76f9195718a5cda',1795986810143,'new','pending');
INSERT INTO "audit_events" VALUES(13,'01a22927-e526-7836-981d-68c4497a01a9','request.rejected','approval',1,'success','admin','user','request','b1688a27-327e-45f0-be20-ed077f259e1a','127.0.0.1','127.0.0.1','peer','b1688a27-327e-45f0-be20-ed077f259e1a','execute_dml','app','production',NULL,NULL,'no','{"actor_token_id":"435d9b81-9770-4d9e-97eb-8d2dd868cf8e","approval_comment":"no","from_status":"pending","http_request_id":"33e8263e69ba1960","selector":"admin_override","step_number":1,"to_status":"rejected"}','4b2bca743d99294252b3cb6ef6f4a2a47a5c2e645d20795bb76f9195718a5cda','2026-11-29T21:13:30.150+00:00','7bec38a4bf0059422bf0385f7f8c3f1c2b2802662df806da51da5c4e119ab0f6',1795986810150,'pending','rejected');
CREATE TABLE audit_head (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    seq           INTEGER NOT NULL,
    event_hash    TEXT NOT NULL,
    recipe_sha256 TEXT NOT NULL REFERENCES audit_recipes (sha256),
    sums_json     TEXT NOT NULL CHECK (json_valid(sums_json)),
    key_id        TEXT NOT NULL,
    signature     TEXT NOT NULL
) STRICT;
INSERT INTO "audit_head" VALUES(1,13,'7bec38a4bf0059422bf0385f7f8c3f1c2b2802662df806da51da5c4e119ab0f6','bfc4d12bb99d8aadb358cdc8a45b66c4b8b069b872b0fb8eadcfbfd4d9350273','{"approvals":"0000000000000000000000000000000000000000000000000000000000000000","dry_run_jobs":"58fb9f349f23acb792b4ecfbaec8e6ea2cf90f95ef7e7405f2dd234c3b32a459","executions":"0000000000000000000000000000000000000000000000000000000000000000","outbox":"6a2b727199b557a60a88136ce2b0778aea0c1d4232747a1b2e329f83d95dc6e0","reported_dialects":"0000000000000000000000000000000000000000000000000000000000000000","request_approvers":"4e5c826debd0c72d1e84276ea37b123494a531d322486e782b2a94d978abad7c","request_contexts":"267af4c9c3ea56560f0a7056cec3f805ad332c94adbebca9ffbde2420d6346a7","request_texts":"3c2275955d691dbb0cf8a7e809d9b3950819ae94038a917743b113a4152b4870","requests":"969225b332426593f34d3e926a756db5c08a9cd4d229e00818624be85aca380e","results":"0000000000000000000000000000000000000000000000000000000000000000","schema_snapshots":"0000000000000000000000000000000000000000000000000000000000000000","stated_dialects":"0000000000000000000000000000000000000000000000000000000000000000","tokens":"0e08d74e5f0af6be9e3a86e1728c1ea9ffd2c8df2ff0b62847ebf3a0899bca12","users":"164bc40a5c2c5c369e3ca3a147781fed903278414e22f31ba121767e253a655b"}','f3841b64cc3d03e4','eda048460552075b74000342768ba733ddc02fede489cff19cc80e7dd0ac9c0fc87eb1e0fa8f6da6b4d6e67ab9f6624af64004879095708f6c5e601f69e63401');
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
INSERT INTO "audit_recipes" VALUES('bfc4d12bb99d8aadb358cdc8a45b66c4b8b069b872b0fb8eadcfbfd4d9350273','requests: SELECT live_row(0, 1, ''requests'', t.seq, t.id, t.requester, t.token_id, t.database_name, t.environment, t.operation, t.status, t.audit_seq, t.emergency, t.allow_ddl, t.no_result_store, t.reason, t.current_step, t.total_steps, t.risk_level, t.policy_version, t.created_at_ms, t.updated_at_ms, t.resolved_at_ms, t.expires_at_ms, t.approved_at_ms, t.approval_expires_at_ms, t.dispatched_from, t.dispatch_deadline_ms, t.first_completed_at_ms, t.executions_finished, t.executions_lost, t.execution_id, t.claimed_by, t.cancelled_by, t.cancel_reason, t.due_at_ms, t.dialect, t.corrupt_seq, t.max_affected_rows, t.row_bound_source) FROM requests t WHERE t.status NOT IN (''executed'', ''failed'', ''rejected'', ''cancelled'', ''expired'')
request_texts: SELECT live_row(0, 1, ''request_texts'', t.request_seq, t.detail, t.plan_json, t.workflow_json, t.facts_json, t.trace_json, t.metadata_json, t.share_with_json, t.fingerprint, t.redacted, t.salt) FROM requests o CROSS JOIN request_texts t ON t.request_seq = o.seq WHERE o.status NOT IN (''executed'', ''failed'', ''rejected'', ''cancelled'', ''expired'')
request_contexts: SELECT live_row(0, 1, ''request_contexts'', t.request_seq, t.status, t.context_json, t.explain_json, t.created_at_ms, t.updated_at_ms) FROM requests o CROSS JOIN request_contexts t ON t.request_seq = o.seq WHERE o.status NOT IN (''executed'', ''failed'', ''rejected'', ''cancelled'', ''expired'')
request_approvers: SELECT live_row(0, 1, ''request_approvers'', t.selector, t.request_seq) FROM requests o CROSS JOIN request_approvers t ON t.request_seq = o.seq WHERE o.status NOT IN (''executed'', ''failed'', ''rejected'', ''cancelled'', ''expired'')
approvals: SELECT live_row(0, 1, ''approvals'', t.id, t.request_seq, t.step_index, t.action, t.actor_id, t.token_id, t.matched_selector, t.comment, t.issued_by_requester, t.created_at_ms, t.audit_seq) FROM requests o CROSS JOIN approvals t ON t.request_seq = o.seq WHERE o.status NOT IN (''executed'', ''failed'', ''rejected'', ''cancelled'', ''expired'')
executions: SELECT live_row(0, 1, ''executions'', t.seq, t.id, t.request_seq, t.attempt, t.agent_id, t.status, t.claim_key, t.token_json, t.statement_timeout_secs, t.max_rows, t.lease_secs, t.started_at_ms, t.finished_at_ms, t.error_message, t.rows_affected, t.duration_ms, t.truncated, t.late, t.report_sha256, t.audit_seq, t.outcome, t.outcome_unproven) FROM requests o CROSS JOIN executions t ON t.request_seq = o.seq WHERE o.status NOT IN (''executed'', ''failed'', ''rejected'', ''cancelled'', ''expired'')
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
INSERT INTO "dry_run_jobs" VALUES('963ddfc0-2e7c-4e2a-ba00-d20855105634',2,0,'app','production','UPDATE items SET price = 2 WHERE id = 1','pending',NULL,NULL,NULL,NULL,NULL,1795986810140,NULL);
INSERT INTO "dry_run_jobs" VALUES('22130713-eab9-4165-b8a8-d80584d27ee8',3,0,'app','production','DELETE FROM items WHERE id = 2','pending',NULL,NULL,NULL,NULL,NULL,1795986810143,NULL);
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
    audit_seq              INTEGER NOT NULL, outcome TEXT CHECK (outcome IN ('committed', 'rolled_back', 'partial', 'unknown')), outcome_unproven INTEGER NOT NULL DEFAULT 0,
    UNIQUE (request_seq, attempt)
) STRICT;
INSERT INTO "executions" VALUES(1,'01a22927-e516-77d1-8fed-308f3b4d3714',1,1,'agent','completed',NULL,'{"agent_id":"agent","database":"app","dialect":"postgresql","detail_hash":"ef86a7c613305b665e6a323a191f8b20bce9c096840262464ffcd90da5d8db1e","environment":"development","execution_id":"01a22927-e516-77d1-8fed-308f3b4d3714","expires_at":"2026-11-29T21:18:30.134+00:00","issued_at":"2026-11-29T21:13:30.134+00:00","max_affected_rows":null,"max_rows":null,"operation":"execute_select","policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","request_id":"cbd7942a-0633-417f-93a0-872bc7fa5496","requester_role":"developer","requester_subject_id":"developer","signature":"0c0ec7396994bc75e9771848bdf507dcab8e78197c6276c9ee7e3ff2f22a08063a79650ee6d44d2ab0efabb7397f55e63181c6bc1f6b31eb05f387ca193bb50f","signature_v2":"458b1fb2260dac2a4a329a41de140447b3796c0a29ef0807947cc7d52d36dc864d0b02ea0b570a7961970b6d869a5bdbf6c68c9343f8b86ae2eff062996bc90d","statement_timeout_secs":30}',30,NULL,60,1795986870134,0,1795986810134,1795986810137,NULL,1,3,0,0,'274b46c9f6f6d0e9cb6fa52818da974b39b10924a0bf54bd5e6a8c24892deb1a',10,'committed',0);
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
INSERT INTO "meta" VALUES('instance','54c7b759-b8b1-416f-99c1-857f59af5e89');
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
    updated_at_ms   INTEGER NOT NULL, recipient TEXT, pending_since_ms INTEGER,
    CHECK ((status IN ('pending', 'in_progress')) = (next_attempt_ms IS NOT NULL))
) STRICT;
INSERT INTO "outbox" VALUES(1,'wd-a1f770f8-aa2d-48e7-a279-14fb3e32abe9','ops','request.auto_approved',1,6,'{"actor":"developer","database":"app","delivery_id":"wd-a1f770f8-aa2d-48e7-a279-14fb3e32abe9","detail":"SELECT id FROM items WHERE id = ?","emergency":false,"environment":"development","event":"request.auto_approved","operation":"execute_select","reason":"stored for upgrades","request_id":"cbd7942a-0633-417f-93a0-872bc7fa5496","requester":"developer","risk_level":"low","status":"auto_approved","timestamp":"2026-11-29T21:13:30.121Z","total_steps":0}','pending',1,1795986814431,'the connection failed: Connection refused (os error 111)',1795986810121,1795986810126,NULL,1795986810121);
INSERT INTO "outbox" VALUES(2,'wd-655004dd-99b5-46bc-a806-a42993bc18df','ops','request.dispatched',1,7,'{"actor":"developer","database":"app","delivery_id":"wd-655004dd-99b5-46bc-a806-a42993bc18df","detail":null,"environment":"development","event":"request.dispatched","operation":"execute_select","reason":null,"request_id":"cbd7942a-0633-417f-93a0-872bc7fa5496","requester":"developer","status":"dispatched","timestamp":"2026-11-29T21:13:30.121Z"}','pending',0,1795986810132,NULL,1795986810121,1795986810132,NULL,1795986810121);
INSERT INTO "outbox" VALUES(3,'wd-f59c5628-c35f-4f02-933e-b32e0c0a6f4c','ops','execution.started',1,9,'{"actor":"agent","attempt":1,"database":"app","delivery_id":"wd-f59c5628-c35f-4f02-933e-b32e0c0a6f4c","detail":null,"environment":"development","event":"execution.started","execution_id":"01a22927-e516-77d1-8fed-308f3b4d3714","operation":"execute_select","reason":null,"request_id":"cbd7942a-0633-417f-93a0-872bc7fa5496","requester":"developer","status":"running","timestamp":"2026-11-29T21:13:30.134Z"}','pending',0,1795986810134,NULL,1795986810134,1795986810134,NULL,1795986810134);
INSERT INTO "outbox" VALUES(4,'wd-58723e41-daf4-44ef-8350-74c26c584ba5','ops','execution.completed',1,10,'{"actor":"agent","database":"app","delivery_id":"wd-58723e41-daf4-44ef-8350-74c26c584ba5","detail":null,"duration_ms":3,"environment":"development","event":"execution.completed","execution_id":"01a22927-e516-77d1-8fed-308f3b4d3714","operation":"execute_select","outcome":"committed","reason":null,"request_id":"cbd7942a-0633-417f-93a0-872bc7fa5496","requester":"developer","rows_affected":1,"status":"executed","timestamp":"2026-11-29T21:13:30.137Z"}','pending',0,1795986810137,NULL,1795986810137,1795986810137,NULL,1795986810137);
INSERT INTO "outbox" VALUES(5,'wd-eab516c0-5a48-4668-b714-99d650fd82e5','ops','request.created',2,11,'{"actor":"developer","database":"app","delivery_id":"wd-eab516c0-5a48-4668-b714-99d650fd82e5","detail":"UPDATE items SET price = ? WHERE id = ?","emergency":false,"environment":"production","event":"request.created","operation":"execute_dml","reason":null,"request_id":"0923e02a-f321-46da-948c-3813554a0ca3","requester":"developer","risk_level":"unknown","status":"pending","timestamp":"2026-11-29T21:13:30.140Z","total_steps":1}','pending',0,1795986810140,NULL,1795986810140,1795986810140,NULL,1795986810140);
INSERT INTO "outbox" VALUES(6,'wd-f272ac1b-21d9-421d-9f6c-2ba091500d91','ops','request.created',3,12,'{"actor":"developer","database":"app","delivery_id":"wd-f272ac1b-21d9-421d-9f6c-2ba091500d91","detail":"DELETE FROM items WHERE id = ?","emergency":false,"environment":"production","event":"request.created","operation":"execute_dml","reason":null,"request_id":"b1688a27-327e-45f0-be20-ed077f259e1a","requester":"developer","risk_level":"unknown","status":"pending","timestamp":"2026-11-29T21:13:30.143Z","total_steps":1}','pending',0,1795986810143,NULL,1795986810143,1795986810143,NULL,1795986810143);
INSERT INTO "outbox" VALUES(7,'wd-e11b5621-dd32-4f2e-983d-6fdaed029aba','ops','request.rejected',3,13,'{"actor":"admin","comment":"no","database":"app","delivery_id":"wd-e11b5621-dd32-4f2e-983d-6fdaed029aba","detail":null,"environment":"production","event":"request.rejected","operation":"execute_dml","reason":"no","request_id":"b1688a27-327e-45f0-be20-ed077f259e1a","requester":"developer","status":"rejected","step_number":1,"timestamp":"2026-11-29T21:13:30.150Z"}','pending',0,1795986810150,NULL,1795986810150,1795986810150,NULL,1795986810150);
CREATE TABLE outbox_counts (
    channel TEXT NOT NULL,
    status  TEXT NOT NULL,
    n       INTEGER NOT NULL,
    -- When a notification last entered the status; it outlives the notification.
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (channel, status)
) STRICT, WITHOUT ROWID;
INSERT INTO "outbox_counts" VALUES('ops','in_progress',0,1795986810124);
INSERT INTO "outbox_counts" VALUES('ops','pending',7,1795986810150);
CREATE TABLE policy_versions (
    sha256        TEXT PRIMARY KEY CHECK (length(sha256) = 64),
    text          TEXT NOT NULL,
    audit_seq     INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "policy_versions" VALUES('0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51','{"version":1,"databases":[{"name":"app","environments":["development","production"],"dialect":"postgresql"}],"workflows":[{"database":"*","environment":"development","operations":[],"steps":[],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null},{"database":"*","environment":"production","operations":[],"steps":[{"mode":"all","approvers":[{"selector":"group:approvers","min":1}]}],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null}],"execution_policies":[{"database":"*","environment":"production","max_executions":1,"execution_window_secs":86400,"retry_on_failure":false,"statement_timeout_secs":30,"max_statement_timeout_secs":600,"max_rows":null,"migration_lease_duration_secs":null,"migration_statement_timeout_secs":null}],"sql_review":[],"auto_approve":[],"result_policies":[{"database":"*","environment":"*","retention_days":30,"delivery_mode":"both","access":[]}],"notification_policies":[{"database":"*","environment":"*","webhooks":["ops"],"events":["*"]}],"roles":[{"name":"admin","permissions":["*"],"databases":[],"environments":[],"built_in":true},{"name":"agent-default","permissions":["agent.poll","agent.claim","agent.heartbeat","agent.submit_result"],"databases":[],"environments":[],"built_in":true},{"name":"developer","permissions":["request.create","request.create_select","request.view","request.cancel","request.resume","result.view","token.revoke_own"],"databases":[],"environments":[],"built_in":true},{"name":"readonly","permissions":["request.create_select","request.view","result.view"],"databases":[],"environments":[],"built_in":true}],"groups":{"approvers":["approver"]},"role_bindings":[],"default_role":null,"role_mappings":[],"oidc_default_role":null,"approval_ttl_secs":86400,"dispatch_timeout_secs":300}',2,1795986810047);
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
    status        TEXT NOT NULL CHECK (status IN ('collecting', 'ready', 'partial', 'unavailable')),
    context_json  TEXT NOT NULL CHECK (json_valid(context_json)),
    explain_json  TEXT CHECK (json_valid(explain_json)),
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT;
INSERT INTO "request_contexts" VALUES(1,'ready','{"tables":["items"],"sql_review":{"blocked":false,"findings":[]},"risk":{"level":"Low","factors":["ReadOnly"]},"schema_snapshot_collected_at":null}',NULL,1795986810121,1795986810121);
INSERT INTO "request_contexts" VALUES(2,'collecting','{"tables":["items"],"sql_review":{"blocked":false,"findings":[]},"risk":{"level":"Unknown","factors":["SchemaNotSynced"]},"schema_snapshot_collected_at":null}',NULL,1795986810140,1795986810140);
INSERT INTO "request_contexts" VALUES(3,'collecting','{"tables":["items"],"sql_review":{"blocked":false,"findings":[]},"risk":{"level":"Unknown","factors":["SchemaNotSynced"]},"schema_snapshot_collected_at":null}',NULL,1795986810143,1795986810143);
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
INSERT INTO "request_texts" VALUES(1,'SELECT id FROM items WHERE id = 1','["SELECT id FROM items WHERE id = 1"]','{"database":"*","environment":"development","operations":[],"steps":[],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null}','{"version":3,"database":"app","environment":"development","asked_operation":"execute_select","emergency":false,"allow_ddl":false,"has_reason":true,"sql":{"dialect":"postgresql","class":{"name":"select"},"statements":1,"ddl_eligible":false,"safe_ddl":false,"foreseen":true,"tables":["items"],"findings":[],"unknown_functions":[],"schema":"not_synced","effects":[]},"schema_collected_at":null,"requester":{"subject":"developer","roles":["developer"],"groups":[]}}','{"version":1,"classification":{"resolved_operation":"execute_select","reason":"reads only"},"sql_review":{"findings_count":0,"parse_failed":false},"risk":{"level":"low","factors":["ReadOnly"],"schema_status":"not_synced"},"workflow":{"matched":{"id":"wf:*:development:e3b0c44298fc","database":"*","environment":"development","step_count":0}},"decision":{"outcome":"auto_approved","reasons":["empty_steps"],"auto_approve_threshold":null}}',NULL,'[]','51b009bf9f493db8c5b7c14a60a32da59b5ab07556839061a72d3e599d3d68fc','SELECT id FROM items WHERE id = ?',X'90677FCB308BB27AC2D1F6091A1AB9C672712510806C68797488695608CAECC8');
INSERT INTO "request_texts" VALUES(2,'UPDATE items SET price = 2 WHERE id = 1','["UPDATE items SET price = 2 WHERE id = 1"]','{"database":"*","environment":"production","operations":[],"steps":[{"mode":"all","approvers":[{"selector":"group:approvers","min":1}]}],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null}','{"version":3,"database":"app","environment":"production","asked_operation":"execute_select","emergency":false,"allow_ddl":false,"has_reason":false,"sql":{"dialect":"postgresql","class":{"name":"dml","ddl_only":false,"reason":"updates rows"},"statements":1,"ddl_eligible":false,"safe_ddl":false,"foreseen":true,"tables":["items"],"findings":[],"unknown_functions":[],"schema":"not_synced","effects":[]},"schema_collected_at":null,"requester":{"subject":"developer","roles":["developer"],"groups":[]}}','{"version":1,"classification":{"resolved_operation":"execute_dml","reason":"updates rows"},"sql_review":{"findings_count":0,"parse_failed":false},"risk":{"level":"unknown","factors":["SchemaNotSynced"],"schema_status":"not_synced"},"workflow":{"matched":{"id":"wf:*:production:e3b0c44298fc","database":"*","environment":"production","step_count":1}},"decision":{"outcome":"needs_approval","reasons":["no_auto_approve_rule"],"auto_approve_threshold":null}}',NULL,'[]','580d2e6f2da7744ef2d29c99dd869d64661dc851fc255631136f3fdbb08b9894','UPDATE items SET price = ? WHERE id = ?',X'247ECA7C9E1F2CA97968D0E50798FCAA280859B7CDD3C27D01178236369513B2');
INSERT INTO "request_texts" VALUES(3,'DELETE FROM items WHERE id = 2','["DELETE FROM items WHERE id = 2"]','{"database":"*","environment":"production","operations":[],"steps":[{"mode":"all","approvers":[{"selector":"group:approvers","min":1}]}],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null}','{"version":3,"database":"app","environment":"production","asked_operation":"execute_select","emergency":false,"allow_ddl":false,"has_reason":false,"sql":{"dialect":"postgresql","class":{"name":"dml","ddl_only":false,"reason":"deletes rows"},"statements":1,"ddl_eligible":false,"safe_ddl":false,"foreseen":true,"tables":["items"],"findings":[],"unknown_functions":[],"schema":"not_synced","effects":[]},"schema_collected_at":null,"requester":{"subject":"developer","roles":["developer"],"groups":[]}}','{"version":1,"classification":{"resolved_operation":"execute_dml","reason":"deletes rows"},"sql_review":{"findings_count":0,"parse_failed":false},"risk":{"level":"unknown","factors":["SchemaNotSynced"],"schema_status":"not_synced"},"workflow":{"matched":{"id":"wf:*:production:e3b0c44298fc","database":"*","environment":"production","step_count":1}},"decision":{"outcome":"needs_approval","reasons":["no_auto_approve_rule"],"auto_approve_threshold":null}}',NULL,'[]','3a02ec4d7553a3d9fdc6308740725e7ac26e422b5bc7f3130ae0ae16644983ca','DELETE FROM items WHERE id = ?',X'0053F4EF3CD2129AACC96AF6220814F19A7E565B0A15C3675675CB3C3AEBD84A');
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
    CHECK (dialect IN ('postgresql', 'mysql', 'sqlite', 'any', 'unknown')), corrupt_seq INTEGER, max_affected_rows INTEGER CHECK (max_affected_rows >= 0), row_bound_source TEXT CHECK (row_bound_source IN ('request', 'policy')),
    FOREIGN KEY (id, status, audit_seq) REFERENCES audit_events (request_id, to_status, seq)
) STRICT;
INSERT INTO "requests" VALUES(1,'cbd7942a-0633-417f-93a0-872bc7fa5496','developer','704c4ddc-30cd-4350-a030-04132a54cb35','app','development','execute_select','executed',10,0,0,0,'stored for upgrades',0,0,'low','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',1795986810121,1795986810137,1795986810137,NULL,1795986810121,1796073210121,'auto_approved',NULL,1795986810137,1,0,'01a22927-e516-77d1-8fed-308f3b4d3714','agent',NULL,NULL,NULL,'postgresql',NULL,NULL,NULL);
INSERT INTO "requests" VALUES(2,'0923e02a-f321-46da-948c-3813554a0ca3','developer','704c4ddc-30cd-4350-a030-04132a54cb35','app','production','execute_dml','pending',11,0,0,0,NULL,0,1,'unknown','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',1795986810140,1795986810140,NULL,1796073210140,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,NULL,NULL,1796073210140,'postgresql',NULL,NULL,NULL);
INSERT INTO "requests" VALUES(3,'b1688a27-327e-45f0-be20-ed077f259e1a','developer','704c4ddc-30cd-4350-a030-04132a54cb35','app','production','execute_dml','rejected',13,0,0,0,NULL,0,1,'unknown','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',1795986810143,1795986810150,1795986810150,1796073210143,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,NULL,NULL,NULL,'postgresql',NULL,NULL,NULL);
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
INSERT INTO "result_bodies" VALUES(1,X'7B225F6462776172645F726573756C74223A747275652C226572726F725F6D657373616765223A6E756C6C2C22657865637574696F6E5F6964223A2230316132323932372D653531362D373764312D386665642D333038663362346433373134222C226F7574636F6D65223A22636F6D6D6974746564222C226F7574636F6D655F756E70726F76656E223A66616C73652C22726573756C745F64617461223A5B7B226964223A317D5D2C22726F77735F6166666563746564223A312C2273756363657373223A747275652C227472756E6361746564223A66616C73657D');
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
INSERT INTO "results" VALUES(1,1,'row','cbd7942a-0633-417f-93a0-872bc7fa5496/01a22927-e516-77d1-8fed-308f3b4d3714',221,'3bab0e53e1ed8400fc85dc858be3c5aeb84f8a4e039f9a6dae5585b950ee0a1d',1795986810137,1798578810137,10);
CREATE TABLE schema_migrations (
    name          TEXT PRIMARY KEY,
    sha256        TEXT NOT NULL,
    applied_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "schema_migrations" VALUES('0001_initial','a9f47d38eb03bef12f5ccc037051eb60b938c432675e4f1ee806a990557a1a12',1795986810028);
INSERT INTO "schema_migrations" VALUES('0002_requester_counts','206be4eef1dc5f654d7516ea38f3e31bfa7b313bb36bc0d24f1530255b0410d2',1795986810028);
INSERT INTO "schema_migrations" VALUES('0003_outbox','ad9b99dc0b610567e4b58c3cc40f6a265e67aa82dd9498025062835938d13d5b',1795986810028);
INSERT INTO "schema_migrations" VALUES('0004_retention','1c9b45c0824387b069a315dd24faca3a648d027175fcb4ee6401603d3c4e2d83',1795986810028);
INSERT INTO "schema_migrations" VALUES('0005_tokens','b02aa3456de4ef6ff2a5770fb2c41c31e89d41cbe4c29588f4308ea1470cb5a1',1795986810028);
INSERT INTO "schema_migrations" VALUES('0006_head','be270601868bc622b1889dbf549aca15f138e6858c9eed32d7fcf36b14cacba9',1795986810028);
INSERT INTO "schema_migrations" VALUES('0007_result_bodies','449a2ee1e3788cac66f7809d8eaff018aec3ff8da2da1b77baf441464be57f03',1795986810028);
INSERT INTO "schema_migrations" VALUES('0008_outcomes','c4f77133c51fa179cfac81979317a2d3af24767a4720c1fe688df0f92ad52853',1795986810028);
INSERT INTO "schema_migrations" VALUES('0009_dialects','adfb7d6a9da8214f643e796a335ed1d3a919362662f83ebf95a20e095a471a4d',1795986810028);
INSERT INTO "schema_migrations" VALUES('0010_delivery','dfe72025dfe7e9d3da5e812ff1e43d29e5d1408f39081c48a4d0eed394f3d316',1795986810028);
INSERT INTO "schema_migrations" VALUES('0011_descent','783a8a282d09e4eb4b9f497d5d7ba29170572664935cfb530c148c5bda6af2c6',1795986810028);
INSERT INTO "schema_migrations" VALUES('0012_commitments','c27068a74c753f84f1c955b3c0c4e9d80be4ef442240d772e812210a8227fc61',1795986810028);
INSERT INTO "schema_migrations" VALUES('0013_row_bounds','4b7b0de0d58f01aed666c51f4e0b7c644d173b7814a20f093ac4936c65f0006e',1795986810028);
INSERT INTO "schema_migrations" VALUES('0014_stated_dialects','b6a69fe78bfbbfcdf31e3f49eec313d09f7b75034b636e37b219690d8843c62f',1795986810028);
INSERT INTO "schema_migrations" VALUES('0015_reminders','4497d1eb94e8acf31e71f98bb03ea09e307eed0467df497acb7029924fcc2bbe',1795986810028);
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
INSERT INTO "tokens" VALUES('435d9b81-9770-4d9e-97eb-8d2dd868cf8e','user','admin','2741a4dcb04e805d449fef106d03e665146ea409ed841044d3746aecdaf7d250','3bbfc9fd','bootstrap-admin','["admin"]','grant','[]','system',1795986810051,NULL,NULL,1795986810150,3,'[]',NULL,NULL);
INSERT INTO "tokens" VALUES('704c4ddc-30cd-4350-a030-04132a54cb35','user','developer','e3a5bad0ea73573ad635f0d6d5dae058197dba1fd04384f219e67a828e48c518','b1e63622','bootstrap-developer','["developer"]','grant','[]','system',1795986810051,NULL,NULL,1795986810121,4,'[]',NULL,NULL);
INSERT INTO "tokens" VALUES('9a59fcf7-3d45-400c-9293-5a06d22e49ce','agent','agent','92b6d5fbc32cacceb4dd85ff6224c81bd520a355055464ab433011aeff6947ce','fd5a6de9','bootstrap-agent','["agent-default"]','grant','[]','system',1795986810051,NULL,NULL,1795986810126,5,'[]',NULL,NULL);
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
INSERT INTO "users" VALUES('admin','user','active','token',NULL,1795986810051,1795986810051,1795986810150,3,'[]');
INSERT INTO "users" VALUES('agent','agent','active','token',NULL,1795986810051,1795986810051,1795986810126,5,'[]');
INSERT INTO "users" VALUES('developer','user','active','token',NULL,1795986810051,1795986810051,1795986810121,4,'[]');
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
CREATE INDEX requests__migrating ON requests (database_name, environment)
    WHERE status = 'running' AND operation IN ('migrate_up', 'migrate_down', 'migrate_repair');
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
CREATE INDEX requests__settled ON requests (updated_at_ms)
    WHERE status IN ('executed', 'failed', 'rejected', 'cancelled', 'expired', 'execution_lost');
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
COMMIT;
