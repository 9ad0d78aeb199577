PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE schema_migrations (
    name          TEXT PRIMARY KEY,
    sha256        TEXT NOT NULL,
    applied_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO schema_migrations VALUES('0001_initial','a9f47d38eb03bef12f5ccc037051eb60b938c432675e4f1ee806a990557a1a12',1795995724912);
INSERT INTO schema_migrations VALUES('0002_requester_counts','206be4eef1dc5f654d7516ea38f3e31bfa7b313bb36bc0d24f1530255b0410d2',1795995724912);
INSERT INTO schema_migrations VALUES('0003_outbox','ad9b99dc0b610567e4b58c3cc40f6a265e67aa82dd9498025062835938d13d5b',1795995724912);
INSERT INTO schema_migrations VALUES('0004_retention','1c9b45c0824387b069a315dd24faca3a648d027175fcb4ee6401603d3c4e2d83',1795995724912);
INSERT INTO schema_migrations VALUES('0005_tokens','b02aa3456de4ef6ff2a5770fb2c41c31e89d41cbe4c29588f4308ea1470cb5a1',1795995724912);
INSERT INTO schema_migrations VALUES('0006_head','be270601868bc622b1889dbf549aca15f138e6858c9eed32d7fcf36b14cacba9',1795995724912);
INSERT INTO schema_migrations VALUES('0007_result_bodies','449a2ee1e3788cac66f7809d8eaff018aec3ff8da2da1b77baf441464be57f03',1795995724912);
INSERT INTO schema_migrations VALUES('0008_outcomes','c4f77133c51fa179cfac81979317a2d3af24767a4720c1fe688df0f92ad52853',1795995724912);
INSERT INTO schema_migrations VALUES('0009_dialects','adfb7d6a9da8214f643e796a335ed1d3a919362662f83ebf95a20e095a471a4d',1795995724912);
INSERT INTO schema_migrations VALUES('0010_delivery','dfe72025dfe7e9d3da5e812ff1e43d29e5d1408f39081c48a4d0eed394f3d316',1795995724912);
INSERT INTO schema_migrations VALUES('0011_descent','783a8a282d09e4eb4b9f497d5d7ba29170572664935cfb530c148c5bda6af2c6',1795995724912);
INSERT INTO schema_migrations VALUES('0012_commitments','c27068a74c753f84f1c955b3c0c4e9d80be4ef442240d772e812210a8227fc61',1795995724912);
INSERT INTO schema_migrations VALUES('0013_row_bounds','4b7b0de0d58f01aed666c51f4e0b7c644d173b7814a20f093ac4936c65f0006e',1795995724912);
INSERT INTO schema_migrations VALUES('0014_stated_dialects','b6a69fe78bfbbfcdf31e3f49eec313d09f7b75034b636e37b219690d8843c62f',1795995724912);
INSERT INTO schema_migrations VALUES('0015_reminders','4497d1eb94e8acf31e71f98bb03ea09e307eed0467df497acb7029924fcc2bbe',1795995724912);
INSERT INTO schema_migrations VALUES('0016_error_details','0d393fafc9c1a6e32ff25fdc4cddaeca4b53dc9d5ce216a9aa1e0909b9490546',1795995724912);
INSERT INTO schema_migrations VALUES('0017_plain_comparisons','5b9a56245dac7301d7fa6d255e3b4f76a97edc956bc3febec48f06579c4d539f',1795995724912);
INSERT INTO schema_migrations VALUES('0018_slack','524af5a1d86490a6acaf01b2440bd489ba471f9e17c38264780a12021e2ca005',1795995724912);
INSERT INTO schema_migrations VALUES('0019_rehearsals','6afd2b9f39de6ef88ac499144c5111a69ea64fbd0f07af9c0d0a9a2cde151fcf',1795995724912);
INSERT INTO schema_migrations VALUES('0020_frozen_requests','ed15856dd9ad223da6097563a9a143611f9611cc27097cd4892f4d702c11740e',1795995724912);
INSERT INTO schema_migrations VALUES('0021_sessions','f93e18840de575ddd79d7d730ff46be1bb70e927e91faae7d4a9ad105aa28dcb',1795995724912);
INSERT INTO schema_migrations VALUES('0022_claimed_emails','618029f16a386e377bed1d0407cebb9db7c2b3f606432c1cf5d87950b716348f',1795995724912);
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES('instance','9cfa47e3-82d5-4d02-b57c-6ba107ec568e');
CREATE TABLE transitions (
    from_status TEXT NOT NULL,
    to_status   TEXT NOT NULL,
    PRIMARY KEY (from_status, to_status)
) STRICT, WITHOUT ROWID;
INSERT INTO transitions VALUES('approved','cancelled');
INSERT INTO transitions VALUES('approved','dispatched');
INSERT INTO transitions VALUES('approved','expired');
INSERT INTO transitions VALUES('auto_approved','cancelled');
INSERT INTO transitions VALUES('auto_approved','dispatched');
INSERT INTO transitions VALUES('auto_approved','expired');
INSERT INTO transitions VALUES('break_glass','cancelled');
INSERT INTO transitions VALUES('break_glass','dispatched');
INSERT INTO transitions VALUES('break_glass','expired');
INSERT INTO transitions VALUES('dispatched','approved');
INSERT INTO transitions VALUES('dispatched','auto_approved');
INSERT INTO transitions VALUES('dispatched','break_glass');
INSERT INTO transitions VALUES('dispatched','cancelled');
INSERT INTO transitions VALUES('dispatched','executed');
INSERT INTO transitions VALUES('dispatched','execution_lost');
INSERT INTO transitions VALUES('dispatched','failed');
INSERT INTO transitions VALUES('dispatched','running');
INSERT INTO transitions VALUES('executed','dispatched');
INSERT INTO transitions VALUES('execution_lost','cancelled');
INSERT INTO transitions VALUES('execution_lost','dispatched');
INSERT INTO transitions VALUES('execution_lost','executed');
INSERT INTO transitions VALUES('execution_lost','failed');
INSERT INTO transitions VALUES('failed','dispatched');
INSERT INTO transitions VALUES('new','auto_approved');
INSERT INTO transitions VALUES('new','break_glass');
INSERT INTO transitions VALUES('new','pending');
INSERT INTO transitions VALUES('pending','approved');
INSERT INTO transitions VALUES('pending','cancelled');
INSERT INTO transitions VALUES('pending','expired');
INSERT INTO transitions VALUES('pending','rejected');
INSERT INTO transitions VALUES('running','cancelled');
INSERT INTO transitions VALUES('running','executed');
INSERT INTO transitions VALUES('running','execution_lost');
INSERT INTO transitions VALUES('running','failed');
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
INSERT INTO audit_events VALUES(1,'01a229af-ecad-75ef-b4f1-30693e5fc693','state.baseline','policy',1,'info','system','system',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"head_hash":"","head_seq":0,"key_id":"252469a92d4572b3","recipe_sha256":"aee3e1cb31511b5aa10efdc1a8c9aa09ffbf5f1cedd7c426733b55c9b7bb9597","signature":"1b9070fc28a255e23298e213358b2ba76588e06120a87fdf9f2bbda365085e00b4d43f12faad1a266509028fca8f51c1a64564925b28194b56320fd890a8870e","sums":{"approvals":"0000000000000000000000000000000000000000000000000000000000000000","dry_run_jobs":"0000000000000000000000000000000000000000000000000000000000000000","executions":"0000000000000000000000000000000000000000000000000000000000000000","outbox":"0000000000000000000000000000000000000000000000000000000000000000","rehearsals":"0000000000000000000000000000000000000000000000000000000000000000","reported_dialects":"0000000000000000000000000000000000000000000000000000000000000000","request_approvers":"0000000000000000000000000000000000000000000000000000000000000000","request_contexts":"0000000000000000000000000000000000000000000000000000000000000000","request_texts":"0000000000000000000000000000000000000000000000000000000000000000","requests":"0000000000000000000000000000000000000000000000000000000000000000","results":"0000000000000000000000000000000000000000000000000000000000000000","schema_snapshots":"0000000000000000000000000000000000000000000000000000000000000000","sessions":"0000000000000000000000000000000000000000000000000000000000000000","stated_dialects":"0000000000000000000000000000000000000000000000000000000000000000","tokens":"0000000000000000000000000000000000000000000000000000000000000000","users":"0000000000000000000000000000000000000000000000000000000000000000"}}',NULL,'2026-11-29T23:42:04.973+00:00','37b995c50eb86b61b89e0d19a73ac2da2a64a1e391b235b5d1f7593d6177f25c',1795995724973,NULL,NULL);
INSERT INTO audit_events VALUES(2,'01a229af-ecc1-7295-ad78-3df073eda131','config.synced','policy',1,'success','system','system','config','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"databases":1,"execution_policies":1,"groups":1,"notification_policies":1,"result_policies":1,"role_bindings":0,"roles":0,"users":0,"webhooks":1,"workflows":2}','37b995c50eb86b61b89e0d19a73ac2da2a64a1e391b235b5d1f7593d6177f25c','2026-11-29T23:42:04.993+00:00','d27616d281b1301611e61abd69581365353d1021cafcf8de6d5a29e26c63b3a0',1795995724993,NULL,NULL);
INSERT INTO audit_events VALUES(3,'01a229af-ecdc-7cba-8992-1fe090592d77','token.created','token',1,'success','system','system','token','00538371-32fb-4564-a22c-adec42151bf3',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"expires_at":null,"groups":[],"hash_sha256":"52effaf9bc1dfb4aac21818a7f624ff6b06ea6f33a54a29aa95a97b90dca8283","issuer":"system","issuers":[],"name":"bootstrap-admin","parent_id":null,"prefix":"13415dd8","role_mode":"grant","roles":["admin"],"scopes":null,"session_id":null,"subject_id":"admin","subject_type":"user"}','d27616d281b1301611e61abd69581365353d1021cafcf8de6d5a29e26c63b3a0','2026-11-29T23:42:05.020+00:00','4ce70eeb4601f9a10ef2bc19075f300edbdb276968096bbee7c044441eea724c',1795995725020,NULL,NULL);
INSERT INTO audit_events VALUES(4,'01a229af-ecdc-7548-8818-11ce596cf79f','token.created','token',1,'success','system','system','token','d18f757e-93c3-407f-85fe-15e7b8827829',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"expires_at":null,"groups":[],"hash_sha256":"759c57a736b60112d02703836966fd14f63c84b794f14b8915494e644bb2b24a","issuer":"system","issuers":[],"name":"bootstrap-developer","parent_id":null,"prefix":"c53ab7d9","role_mode":"grant","roles":["developer"],"scopes":null,"session_id":null,"subject_id":"developer","subject_type":"user"}','4ce70eeb4601f9a10ef2bc19075f300edbdb276968096bbee7c044441eea724c','2026-11-29T23:42:05.020+00:00','f76d4be0197e7bc0d7f09348f36cd1c127f27cee18af2c4e4610d7752471f8bf',1795995725020,NULL,NULL);
INSERT INTO audit_events VALUES(5,'01a229af-ecdc-74f6-a8e3-0f26a6673cdb','token.created','token',1,'success','system','system','token','b0b477aa-1c1a-4cda-b614-7ae37ea23c24',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"expires_at":null,"groups":[],"hash_sha256":"5d17bea2f4054b2db1287d5734bd38e01ee4b5cdb82c8f5c1c27d9fc78320783","issuer":"system","issuers":[],"name":"bootstrap-agent","parent_id":null,"prefix":"e3ad4c85","role_mode":"grant","roles":["agent-default"],"scopes":null,"session_id":null,"subject_id":"agent","subject_type":"agent"}','f76d4be0197e7bc0d7f09348f36cd1c127f27cee18af2c4e4610d7752471f8bf','2026-11-29T23:42:05.020+00:00','b4f513da99198192b7a2088de6d850f859432d3bd61f60d47a19fd42a0280ec6',1795995725020,NULL,NULL);
INSERT INTO audit_events VALUES(6,'01a229af-f4ad-7968-88fb-b455269f79dd','agent.registered','agent',1,'success','agent','agent','agent','agent','127.0.0.1','127.0.0.1','peer',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"agent_version":"0.3.0","http_request_id":"e8e9a1a02f60edcb"}','b4f513da99198192b7a2088de6d850f859432d3bd61f60d47a19fd42a0280ec6','2026-11-29T23:42:07.021+00:00','4e4bb489effafa38acf29497b40eea174e0c33495087dd44f5be5b00784a21ff',1795995727021,NULL,NULL);
INSERT INTO audit_events VALUES(7,'01a229af-f4e9-767a-8b0e-0b99215c5f50','schema.snapshot_updated','agent',1,'success','agent','agent',NULL,NULL,'127.0.0.1','127.0.0.1','peer',NULL,NULL,'app','development',NULL,NULL,NULL,'{"dialect":"postgresql","http_request_id":"ae195d3ccc878573","status":"ready","tables":1}','4e4bb489effafa38acf29497b40eea174e0c33495087dd44f5be5b00784a21ff','2026-11-29T23:42:07.081+00:00','652b31f5b1d72030a9c2075c7c8028c445bd6bfd678f31444c090dc368d7f8b8',1795995727081,NULL,NULL);
INSERT INTO audit_events VALUES(8,'01a229b0-0002-76d3-8758-57d884ce5e7b','request.auto_approved','approval',1,'success','developer','user','request','9c5e9d52-fde5-4ec1-826a-91d493e47db9','127.0.0.1','127.0.0.1','peer','9c5e9d52-fde5-4ec1-826a-91d493e47db9','execute_select','app','development','66cbb3a40d4bbd150b75825ad291a6545399f3098fc1079e4d8b5bb061a6a481','SELECT ?',NULL,'{"actor_token_id":"d18f757e-93c3-407f-85fe-15e7b8827829","allow_ddl":false,"approval_expires_at":"2026-11-30T23:42:09.922Z","commitment":"645dac47662fb608adcf177cdf418dde0ea9d1a924512a8361a22e61e91cc204","context_commitment":"92b7b620dad316c44dc84e7ff8ed862ac92f3428bd601f114f80b25307f83dd1","dialect":"postgresql","emergency":false,"expires_at":null,"from_status":"new","http_request_id":"cdd103a09dd7bb37","no_result_store":false,"policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","risk_level":"low","to_status":"auto_approved","total_steps":0}','652b31f5b1d72030a9c2075c7c8028c445bd6bfd678f31444c090dc368d7f8b8','2026-11-29T23:42:09.922+00:00','77d2515dd4402e1f9d06af8f425265f3eb3867cb4f03f5d4d8735451c79f7285',1795995729922,'new','auto_approved');
INSERT INTO audit_events VALUES(9,'01a229b0-0002-7ec3-8098-31d1bb2bf9f7','request.dispatched','approval',1,'success','developer','user','request','9c5e9d52-fde5-4ec1-826a-91d493e47db9','127.0.0.1','127.0.0.1','peer','9c5e9d52-fde5-4ec1-826a-91d493e47db9','execute_select','app','development',NULL,NULL,NULL,'{"actor_token_id":"d18f757e-93c3-407f-85fe-15e7b8827829","dispatch_deadline":"2026-11-29T23:47:09.922Z","from_status":"auto_approved","http_request_id":"cdd103a09dd7bb37","to_status":"dispatched"}','77d2515dd4402e1f9d06af8f425265f3eb3867cb4f03f5d4d8735451c79f7285','2026-11-29T23:42:09.922+00:00','6517caf15c57714a9b0cadf299bb9a4ee0ed96addf91480ad2c5e8ccb574bd1a',1795995729922,'auto_approved','dispatched');
INSERT INTO audit_events VALUES(10,'01a229b0-0028-7a5a-896d-0b71528d2d6f','execution.started','execution',1,'success','agent','agent','request','9c5e9d52-fde5-4ec1-826a-91d493e47db9','127.0.0.1','127.0.0.1','peer','9c5e9d52-fde5-4ec1-826a-91d493e47db9','execute_select','app','development',NULL,NULL,NULL,'{"agent_id":"agent","attempt":1,"execution_id":"01a229b0-0028-76de-880a-8b371f5170e2","from_status":"dispatched","http_request_id":"a1b6090a7f2e7322","lease_secs":60,"max_rows":null,"statement_timeout_secs":30,"to_status":"running","token_sha256":"285813a328bf584567c8b9ae32f33dbc8d0e87d5154d94e05ed2b4d6fdab7dfe"}','6517caf15c57714a9b0cadf299bb9a4ee0ed96addf91480ad2c5e8ccb574bd1a','2026-11-29T23:42:09.960+00:00','64fb1d097a1e33ed4a3075d13f0a1c9757503b0d56dcff563f3e8b8bd4c0d4b3',1795995729960,'dispatched','running');
INSERT INTO audit_events VALUES(11,'01a229b0-0075-7c1c-b431-6988d8b69b5b','execution.completed','execution',1,'success','agent','agent','execution','01a229b0-0028-76de-880a-8b371f5170e2','127.0.0.1','127.0.0.1','peer','9c5e9d52-fde5-4ec1-826a-91d493e47db9','execute_select','app','development',NULL,NULL,NULL,'{"duration_ms":36,"error_sha256":null,"from_status":"running","http_request_id":"e7c457cef5ea8188","late":false,"outcome":"committed","report_sha256":"50cbab32c6a0a13022fc5ce6b3bbe7941032ee8ad767291a9c741401da8dfd46","result_access":[],"result_backend":"row","result_bytes":348,"result_expires_at":"2026-12-29T23:42:10.037Z","result_sha256":"da1ca481a37fff76fc4940d4ec7466767545055d453ec48ad7add7dd5d7f5d67","rows_affected":null,"to_status":"executed","truncated":false}','64fb1d097a1e33ed4a3075d13f0a1c9757503b0d56dcff563f3e8b8bd4c0d4b3','2026-11-29T23:42:10.037+00:00','306b8b6ed75ce82e8d9c8d8b42d6579f38f838eb4b21a4c0d3573a182f120204',1795995730037,'running','executed');
INSERT INTO audit_events VALUES(12,'01a229b0-0809-7b6a-8f86-d33f760517d1','request.created','approval',1,'success','developer','user','request','0d50edcf-ca3e-4f1b-ade4-a0cf3c3a8143','127.0.0.1','127.0.0.1','peer','0d50edcf-ca3e-4f1b-ade4-a0cf3c3a8143','execute_dml','app','production','abafa8903ab117d40d880782500b609dc75e0c14b15b3b8145f2e9f57b46480d','UPDATE t SET a = ? WHERE id = ?',NULL,'{"actor_token_id":"d18f757e-93c3-407f-85fe-15e7b8827829","allow_ddl":false,"approval_expires_at":null,"commitment":"5b9183a8574b683802fccdadcf64ad7f2bd3387e453c43887a00f62239a0efe0","context_commitment":"7a275313ec5a49d8faf6721cdd07f49f3005a2c92b32457f18091f792d8b1ed3","dialect":"postgresql","emergency":false,"expires_at":"2026-11-30T23:42:11.977Z","from_status":"new","http_request_id":"6bab6938378e8d03","no_result_store":false,"policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","risk_level":"unknown","to_status":"pending","total_steps":1}','306b8b6ed75ce82e8d9c8d8b42d6579f38f838eb4b21a4c0d3573a182f120204','2026-11-29T23:42:11.977+00:00','ebcfa4b2ce05694624ca431cc38af25149ec53ff066b15ff07518c47cab58da1',1795995731977,'new','pending');
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
CREATE TABLE policy_versions (
    sha256        TEXT PRIMARY KEY CHECK (length(sha256) = 64),
    text          TEXT NOT NULL,
    audit_seq     INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO policy_versions VALUES('0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51','{"version":1,"databases":[{"name":"app","environments":["development","production"],"dialect":"postgresql"}],"workflows":[{"database":"*","environment":"development","operations":[],"steps":[],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null},{"database":"*","environment":"production","operations":[],"steps":[{"mode":"all","approvers":[{"selector":"group:approvers","min":1}]}],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null}],"execution_policies":[{"database":"*","environment":"production","max_executions":1,"execution_window_secs":86400,"retry_on_failure":false,"statement_timeout_secs":30,"max_statement_timeout_secs":600,"max_rows":null,"migration_lease_duration_secs":null,"migration_statement_timeout_secs":null}],"sql_review":[],"auto_approve":[],"result_policies":[{"database":"*","environment":"*","retention_days":30,"delivery_mode":"both","access":[]}],"notification_policies":[{"database":"*","environment":"*","webhooks":["ops"],"events":["*"]}],"roles":[{"name":"admin","permissions":["*"],"databases":[],"environments":[],"built_in":true},{"name":"agent-default","permissions":["agent.poll","agent.claim","agent.heartbeat","agent.submit_result"],"databases":[],"environments":[],"built_in":true},{"name":"developer","permissions":["request.create","request.create_select","request.view","request.cancel","request.resume","result.view","token.revoke_own"],"databases":[],"environments":[],"built_in":true},{"name":"readonly","permissions":["request.create_select","request.view","result.view"],"databases":[],"environments":[],"built_in":true}],"groups":{"approvers":["approver"]},"role_bindings":[],"default_role":null,"role_mappings":[],"oidc_default_role":null,"approval_ttl_secs":86400,"dispatch_timeout_secs":300}',2,1795995724993);
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
, slack_linkers_json TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(slack_linkers_json)), claimed_email TEXT) STRICT, WITHOUT ROWID;
INSERT INTO users VALUES('admin','user','active','token',NULL,1795995725020,1795995725020,NULL,3,'[]',NULL);
INSERT INTO users VALUES('agent','agent','active','token',NULL,1795995725020,1795995725020,1795995726976,5,'[]',NULL);
INSERT INTO users VALUES('developer','user','active','token',NULL,1795995725020,1795995725020,1795995729921,4,'[]',NULL);
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
INSERT INTO tokens VALUES('00538371-32fb-4564-a22c-adec42151bf3','user','admin','6a34f3d67560e4190fcfb8ebad2131dc0d8a70c313bddb58931d5ad3d294b25a','13415dd8','bootstrap-admin','["admin"]','grant','[]','system',1795995725020,NULL,NULL,NULL,3,'[]',NULL,NULL,NULL);
INSERT INTO tokens VALUES('b0b477aa-1c1a-4cda-b614-7ae37ea23c24','agent','agent','9317f40b081d1b6fa88fca42892e2ef4a9de340aa969ae7d760dbd96789d8f1f','e3ad4c85','bootstrap-agent','["agent-default"]','grant','[]','system',1795995725020,NULL,NULL,1795995726976,5,'[]',NULL,NULL,NULL);
INSERT INTO tokens VALUES('d18f757e-93c3-407f-85fe-15e7b8827829','user','developer','ca009ede382be3ba9361be902857cf7b552a3560ce95c1e2bdd1f86c8dfa8155','c53ab7d9','bootstrap-developer','["developer"]','grant','[]','system',1795995725020,NULL,NULL,1795995729921,4,'[]',NULL,NULL,NULL);
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
INSERT INTO requests VALUES(1,'9c5e9d52-fde5-4ec1-826a-91d493e47db9','developer','d18f757e-93c3-407f-85fe-15e7b8827829','app','development','execute_select','executed',11,0,0,0,NULL,0,0,'low','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',1795995729922,1795995730037,1795995730037,NULL,1795995729922,1796082129922,'auto_approved',NULL,1795995730037,1,0,'01a229b0-0028-76de-880a-8b371f5170e2','agent',NULL,NULL,NULL,'postgresql',NULL,NULL,NULL,NULL);
INSERT INTO requests VALUES(2,'0d50edcf-ca3e-4f1b-ade4-a0cf3c3a8143','developer','d18f757e-93c3-407f-85fe-15e7b8827829','app','production','execute_dml','pending',12,0,0,0,NULL,0,1,'unknown','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',1795995731977,1795995731977,NULL,1796082131977,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,NULL,NULL,1796082131977,'postgresql',NULL,NULL,NULL,NULL);
CREATE TABLE request_counts (
    status TEXT PRIMARY KEY,
    n      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO request_counts VALUES('approved',0);
INSERT INTO request_counts VALUES('auto_approved',0);
INSERT INTO request_counts VALUES('break_glass',0);
INSERT INTO request_counts VALUES('cancelled',0);
INSERT INTO request_counts VALUES('dispatched',0);
INSERT INTO request_counts VALUES('executed',1);
INSERT INTO request_counts VALUES('execution_lost',0);
INSERT INTO request_counts VALUES('expired',0);
INSERT INTO request_counts VALUES('failed',0);
INSERT INTO request_counts VALUES('pending',1);
INSERT INTO request_counts VALUES('rejected',0);
INSERT INTO request_counts VALUES('running',0);
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
INSERT INTO request_texts VALUES(1,'SELECT 1','["SELECT 1"]','{"database":"*","environment":"development","operations":[],"steps":[],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null}','{"version":3,"database":"app","environment":"development","asked_operation":"execute_select","emergency":false,"allow_ddl":false,"has_reason":false,"sql":{"dialect":"postgresql","class":{"name":"select"},"statements":1,"ddl_eligible":false,"safe_ddl":false,"foreseen":true,"tables":[],"findings":[],"unknown_functions":[],"schema":"ready","effects":[]},"schema_collected_at":"2026-11-29T23:42:07.081Z","requester":{"subject":"developer","roles":["developer"],"groups":[]}}','{"version":1,"classification":{"resolved_operation":"execute_select","reason":"reads only"},"sql_review":{"findings_count":0,"parse_failed":false},"risk":{"level":"low","factors":["ReadOnly"],"schema_status":"ready"},"workflow":{"matched":{"id":"wf:*:development:e3b0c44298fc","database":"*","environment":"development","step_count":0}},"decision":{"outcome":"auto_approved","reasons":["empty_steps"],"auto_approve_threshold":null}}',NULL,'[]','66cbb3a40d4bbd150b75825ad291a6545399f3098fc1079e4d8b5bb061a6a481','SELECT ?',X'34f4f5551a30edce005fd80db08bb1fe92b739e416919d358087e159ffc696e4');
INSERT INTO request_texts VALUES(2,'UPDATE t SET a = 1 WHERE id = 1','["UPDATE t SET a = 1 WHERE id = 1"]','{"database":"*","environment":"production","operations":[],"steps":[{"mode":"all","approvers":[{"selector":"group:approvers","min":1}]}],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null}','{"version":3,"database":"app","environment":"production","asked_operation":"execute_select","emergency":false,"allow_ddl":false,"has_reason":false,"sql":{"dialect":"postgresql","class":{"name":"dml","ddl_only":false,"reason":"updates rows"},"statements":1,"ddl_eligible":false,"safe_ddl":false,"foreseen":true,"tables":["t"],"findings":[],"unknown_functions":[],"schema":"not_synced","effects":[]},"schema_collected_at":null,"requester":{"subject":"developer","roles":["developer"],"groups":[]}}','{"version":1,"classification":{"resolved_operation":"execute_dml","reason":"updates rows"},"sql_review":{"findings_count":0,"parse_failed":false},"risk":{"level":"unknown","factors":["SchemaNotSynced"],"schema_status":"not_synced"},"workflow":{"matched":{"id":"wf:*:production:e3b0c44298fc","database":"*","environment":"production","step_count":1}},"decision":{"outcome":"needs_approval","reasons":["no_auto_approve_rule"],"auto_approve_threshold":null}}',NULL,'[]','abafa8903ab117d40d880782500b609dc75e0c14b15b3b8145f2e9f57b46480d','UPDATE t SET a = ? WHERE id = ?',X'bfe40fcca0feaed9dee6742d40d7faaa87979da62fb53b4c0ebb13e6b16d2ddf');
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
INSERT INTO request_contexts VALUES(1,'ready','{"tables":[],"sql_review":{"blocked":false,"findings":[]},"risk":{"level":"Low","factors":["ReadOnly"]},"schema_snapshot_collected_at":"2026-11-29T23:42:07.081Z"}',NULL,1795995729922,1795995729922);
INSERT INTO request_contexts VALUES(2,'collecting','{"tables":["t"],"sql_review":{"blocked":false,"findings":[]},"risk":{"level":"Unknown","factors":["SchemaNotSynced"]},"schema_snapshot_collected_at":null}',NULL,1795995731977,1795995731977);
CREATE TABLE request_approvers (
    selector    TEXT NOT NULL,
    request_seq INTEGER NOT NULL REFERENCES requests (seq),
    PRIMARY KEY (selector, request_seq)
) STRICT, WITHOUT ROWID;
INSERT INTO request_approvers VALUES('group:approvers',2);
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
INSERT INTO executions VALUES(1,'01a229b0-0028-76de-880a-8b371f5170e2',1,1,'agent','completed','55b9b33340982d86afaef524e3fdb402','{"agent_id":"agent","database":"app","dialect":"postgresql","detail_hash":"a1879c30e1b528c8300b386d30c779597cb8d3c00df303e39f8e1994c6475760","environment":"development","execution_id":"01a229b0-0028-76de-880a-8b371f5170e2","expires_at":"2026-11-29T23:47:09.960+00:00","issued_at":"2026-11-29T23:42:09.960+00:00","lock_timeout_secs":5,"max_affected_rows":null,"max_rows":null,"operation":"execute_select","policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","request_id":"9c5e9d52-fde5-4ec1-826a-91d493e47db9","requester_role":"developer","requester_subject_id":"developer","signature":"e77ff9af8b14c6214aaf43614e7499c813c114aec710d755d8cf0c423082e03eb44a7731dc90f494ee2bc051dc30099a5dbe74d09e4027114b9d8c6e52e56302","signature_v2":"5d63f4361df986579fb1bcb19385b34002033ab7480930f9b6e3d44842377c6831cef624bffc32a39ce624de88957956fe01f30605ac3f4e50e98ff6069a5300","statement_timeout_secs":30}',30,NULL,60,1795995789960,0,1795995729960,1795995730037,NULL,NULL,36,0,0,'50cbab32c6a0a13022fc5ce6b3bbe7941032ee8ad767291a9c741401da8dfd46',11,'committed',0,NULL);
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
INSERT INTO results VALUES(1,1,'row','9c5e9d52-fde5-4ec1-826a-91d493e47db9/01a229b0-0028-76de-880a-8b371f5170e2',348,'da1ca481a37fff76fc4940d4ec7466767545055d453ec48ad7add7dd5d7f5d67',1795995730037,1798587730037,11);
CREATE TABLE result_access (
    selector      TEXT NOT NULL,
    execution_seq INTEGER NOT NULL REFERENCES results (execution_seq),
    PRIMARY KEY (selector, execution_seq)
) STRICT, WITHOUT ROWID;
INSERT INTO result_access VALUES('user:developer',1);
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
INSERT INTO agents VALUES('agent','{"features":["claims_v2","row_bound","rehearsal","outcome","dialect"],"operations":["execute_select","execute_dml","migrate_up","migrate_down","migrate_status","migrate_repair"],"scopes":[{"database":"app","environment":"development"}]}','0.3.0',2,0,1,6,'[]',1795995727021,1795995733033,6);
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
INSERT INTO outbox VALUES(1,'wd-9ce63ebc-171f-4f97-a09e-9ff9bc1520a8','ops','request.auto_approved',1,8,'{"actor":"developer","database":"app","delivery_id":"wd-9ce63ebc-171f-4f97-a09e-9ff9bc1520a8","detail":"SELECT ?","emergency":false,"environment":"development","event":"request.auto_approved","operation":"execute_select","reason":null,"request_id":"9c5e9d52-fde5-4ec1-826a-91d493e47db9","requester":"developer","risk_level":"low","status":"auto_approved","timestamp":"2026-11-29T23:42:09.922Z","total_steps":0}','pending',1,1795995734533,'the connection failed: Connection refused (os error 111)',1795995729922,1795995729948,NULL,1795995729922);
INSERT INTO outbox VALUES(2,'wd-d6dffd3f-10b3-4810-8757-59e36403a96c','ops','request.dispatched',1,9,'{"actor":"developer","database":"app","delivery_id":"wd-d6dffd3f-10b3-4810-8757-59e36403a96c","detail":null,"environment":"development","event":"request.dispatched","operation":"execute_select","reason":null,"request_id":"9c5e9d52-fde5-4ec1-826a-91d493e47db9","requester":"developer","status":"dispatched","timestamp":"2026-11-29T23:42:09.922Z"}','pending',0,1795995729952,NULL,1795995729922,1795995729952,NULL,1795995729922);
INSERT INTO outbox VALUES(3,'wd-c0ebb0bb-b3b6-413f-84bf-322b734b626b','ops','execution.started',1,10,'{"actor":"agent","attempt":1,"database":"app","delivery_id":"wd-c0ebb0bb-b3b6-413f-84bf-322b734b626b","detail":null,"environment":"development","event":"execution.started","execution_id":"01a229b0-0028-76de-880a-8b371f5170e2","operation":"execute_select","reason":null,"request_id":"9c5e9d52-fde5-4ec1-826a-91d493e47db9","requester":"developer","status":"running","timestamp":"2026-11-29T23:42:09.960Z"}','pending',0,1795995729960,NULL,1795995729960,1795995729960,NULL,1795995729960);
INSERT INTO outbox VALUES(4,'wd-54108e3d-9268-4d85-b64d-b8168b584c7d','ops','execution.completed',1,11,'{"actor":"agent","database":"app","delivery_id":"wd-54108e3d-9268-4d85-b64d-b8168b584c7d","detail":null,"duration_ms":36,"environment":"development","event":"execution.completed","execution_id":"01a229b0-0028-76de-880a-8b371f5170e2","operation":"execute_select","outcome":"committed","reason":null,"request_id":"9c5e9d52-fde5-4ec1-826a-91d493e47db9","requester":"developer","rows_affected":null,"status":"executed","timestamp":"2026-11-29T23:42:10.037Z"}','pending',0,1795995730037,NULL,1795995730037,1795995730037,NULL,1795995730037);
INSERT INTO outbox VALUES(5,'wd-634a25cf-2694-40a5-9c2f-665995fc96c6','ops','request.created',2,12,'{"actor":"developer","database":"app","delivery_id":"wd-634a25cf-2694-40a5-9c2f-665995fc96c6","detail":"UPDATE t SET a = ? WHERE id = ?","emergency":false,"environment":"production","event":"request.created","operation":"execute_dml","reason":null,"request_id":"0d50edcf-ca3e-4f1b-ade4-a0cf3c3a8143","requester":"developer","risk_level":"unknown","status":"pending","timestamp":"2026-11-29T23:42:11.977Z","total_steps":1}','pending',0,1795995731977,NULL,1795995731977,1795995731977,NULL,1795995731977);
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
INSERT INTO schema_snapshots VALUES('app','development','postgresql','{"tables":[{"name":"t","schema_name":"public","estimated_rows":-1,"columns":[{"name":"id","data_type":"integer","nullable":false,"default_value":null,"is_primary_key":true},{"name":"a","data_type":"integer","nullable":true,"default_value":null,"is_primary_key":false}],"constraints":[{"name":"t_pkey","constraint_type":"primary_key","columns":["id"],"referenced_table":null,"referenced_columns":null,"on_delete":null}],"indexes":[{"name":"t_pkey","columns":["id"],"is_unique":true,"index_type":"btree"}],"triggers":[]}]}',1795995727081,'ready',NULL,1795995727081,'agent',7);
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
INSERT INTO dry_run_jobs VALUES('70b6f87e-da79-456a-9031-ee96eba612fb',2,0,'app','production','UPDATE t SET a = 1 WHERE id = 1','pending',NULL,NULL,NULL,NULL,NULL,1795995731977,NULL);
CREATE TABLE requester_counts (
    requester TEXT NOT NULL,
    status    TEXT NOT NULL,
    n         INTEGER NOT NULL,
    PRIMARY KEY (requester, status)
) STRICT, WITHOUT ROWID;
INSERT INTO requester_counts VALUES('developer','auto_approved',0);
INSERT INTO requester_counts VALUES('developer','dispatched',0);
INSERT INTO requester_counts VALUES('developer','executed',1);
INSERT INTO requester_counts VALUES('developer','pending',1);
INSERT INTO requester_counts VALUES('developer','running',0);
CREATE TABLE outbox_counts (
    channel TEXT NOT NULL,
    status  TEXT NOT NULL,
    n       INTEGER NOT NULL,
    -- When a notification last entered the status; it outlives the notification.
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (channel, status)
) STRICT, WITHOUT ROWID;
INSERT INTO outbox_counts VALUES('ops','in_progress',0,1795995729937);
INSERT INTO outbox_counts VALUES('ops','pending',5,1795995731977);
CREATE TABLE purged_requests (
    request_seq INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    audit_seq   INTEGER NOT NULL
) STRICT;
CREATE TABLE audit_recipes (
    sha256 TEXT PRIMARY KEY CHECK (length(sha256) = 64),
    -- How the sums are computed: a line a table, its name and its statement.
    text   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO audit_recipes VALUES('aee3e1cb31511b5aa10efdc1a8c9aa09ffbf5f1cedd7c426733b55c9b7bb9597',replace('requests: SELECT live_row(0, 1, ''requests'', t.seq, t.id, t.requester, t.token_id, t.database_name, t.environment, t.operation, t.status, t.audit_seq, t.emergency, t.allow_ddl, t.no_result_store, t.reason, t.current_step, t.total_steps, t.risk_level, t.policy_version, t.created_at_ms, t.updated_at_ms, t.resolved_at_ms, t.expires_at_ms, t.approved_at_ms, t.approval_expires_at_ms, t.dispatched_from, t.dispatch_deadline_ms, t.first_completed_at_ms, t.executions_finished, t.executions_lost, t.execution_id, t.claimed_by, t.cancelled_by, t.cancel_reason, t.due_at_ms, t.dialect, t.corrupt_seq, t.max_affected_rows, t.row_bound_source, t.rehearsed_rows) FROM (SELECT seq FROM requests INDEXED BY requests__status WHERE status IN (''pending'', ''approved'', ''auto_approved'', ''break_glass'', ''dispatched'', ''running'', ''execution_lost'') UNION SELECT seq FROM requests INDEXED BY requests__frozen WHERE corrupt_seq IS NOT NULL) o CROSS JOIN requests t ON t.seq = o.seq\nrequest_texts: SELECT live_row(0, 1, ''request_texts'', t.request_seq, t.detail, t.plan_json, t.workflow_json, t.facts_json, t.trace_json, t.metadata_json, t.share_with_json, t.fingerprint, t.redacted, t.salt) FROM (SELECT seq FROM requests INDEXED BY requests__status WHERE status IN (''pending'', ''approved'', ''auto_approved'', ''break_glass'', ''dispatched'', ''running'', ''execution_lost'') UNION SELECT seq FROM requests INDEXED BY requests__frozen WHERE corrupt_seq IS NOT NULL) o CROSS JOIN request_texts t ON t.request_seq = o.seq\nrequest_contexts: SELECT live_row(0, 1, ''request_contexts'', t.request_seq, t.status, t.context_json, t.explain_json, t.created_at_ms, t.updated_at_ms) FROM (SELECT seq FROM requests INDEXED BY requests__status WHERE status IN (''pending'', ''approved'', ''auto_approved'', ''break_glass'', ''dispatched'', ''running'', ''execution_lost'') UNION SELECT seq FROM requests INDEXED BY requests__frozen WHERE corrupt_seq IS NOT NULL) o CROSS JOIN request_contexts t ON t.request_seq = o.seq\nrequest_approvers: SELECT live_row(0, 1, ''request_approvers'', t.selector, t.request_seq) FROM (SELECT seq FROM requests INDEXED BY requests__status WHERE status IN (''pending'', ''approved'', ''auto_approved'', ''break_glass'', ''dispatched'', ''running'', ''execution_lost'') UNION SELECT seq FROM requests INDEXED BY requests__frozen WHERE corrupt_seq IS NOT NULL) o CROSS JOIN request_approvers t ON t.request_seq = o.seq\napprovals: SELECT live_row(0, 1, ''approvals'', t.id, t.request_seq, t.step_index, t.action, t.actor_id, t.token_id, t.matched_selector, t.comment, t.issued_by_requester, t.created_at_ms, t.audit_seq) FROM (SELECT seq FROM requests INDEXED BY requests__status WHERE status IN (''pending'', ''approved'', ''auto_approved'', ''break_glass'', ''dispatched'', ''running'', ''execution_lost'') UNION SELECT seq FROM requests INDEXED BY requests__frozen WHERE corrupt_seq IS NOT NULL) o CROSS JOIN approvals t ON t.request_seq = o.seq\nexecutions: SELECT live_row(0, 1, ''executions'', t.seq, t.id, t.request_seq, t.attempt, t.agent_id, t.status, t.claim_key, t.token_json, t.statement_timeout_secs, t.max_rows, t.lease_secs, t.started_at_ms, t.finished_at_ms, t.error_message, t.error_detail, t.rows_affected, t.duration_ms, t.truncated, t.late, t.report_sha256, t.audit_seq, t.outcome, t.outcome_unproven) FROM (SELECT seq FROM requests INDEXED BY requests__status WHERE status IN (''pending'', ''approved'', ''auto_approved'', ''break_glass'', ''dispatched'', ''running'', ''execution_lost'') UNION SELECT seq FROM requests INDEXED BY requests__frozen WHERE corrupt_seq IS NOT NULL) o CROSS JOIN executions t ON t.request_seq = o.seq\nresults: SELECT live_row(0, 1, ''results'', t.execution_seq, t.request_seq, t.backend, t.object_key, t.content_length, t.checksum_sha256, t.stored_at_ms, t.expires_at_ms, t.audit_seq) FROM (SELECT seq FROM requests INDEXED BY requests__status WHERE status IN (''pending'', ''approved'', ''auto_approved'', ''break_glass'', ''dispatched'', ''running'', ''execution_lost'') UNION SELECT seq FROM requests INDEXED BY requests__frozen WHERE corrupt_seq IS NOT NULL) o CROSS JOIN results t ON t.request_seq = o.seq\ndry_run_jobs: SELECT live_row(0, 1, ''dry_run_jobs'', t.id, t.request_seq, t.statement_index, t.database_name, t.environment, t.sql_text, t.status, t.claimed_by, t.claim_token, t.claimed_at_ms, t.result_json, t.error_message, t.created_at_ms, t.finished_at_ms) FROM (SELECT seq FROM requests INDEXED BY requests__status WHERE status IN (''pending'', ''approved'', ''auto_approved'', ''break_glass'', ''dispatched'', ''running'', ''execution_lost'') UNION SELECT seq FROM requests INDEXED BY requests__frozen WHERE corrupt_seq IS NOT NULL) o CROSS JOIN dry_run_jobs t ON t.request_seq = o.seq\nrehearsals: SELECT live_row(0, 1, ''rehearsals'', t.seq, t.id, t.request_seq, t.status, t.asked_by, t.asked_at_ms, t.agent_id, t.token_json, t.claimed_at_ms, t.finished_at_ms, t.rows_affected, t.result_json, t.error_message, t.audit_seq) FROM (SELECT seq FROM requests INDEXED BY requests__status WHERE status IN (''pending'', ''approved'', ''auto_approved'', ''break_glass'', ''dispatched'', ''running'', ''execution_lost'') UNION SELECT seq FROM requests INDEXED BY requests__frozen WHERE corrupt_seq IS NOT NULL) o CROSS JOIN rehearsals t ON t.request_seq = o.seq\nusers: SELECT live_row(0, 1, ''users'', t.id, t.subject_type, t.status, t.source, t.slack_user_id, t.created_at_ms, t.updated_at_ms, t.audit_seq, t.slack_linkers_json, t.claimed_email) FROM users t WHERE 1\ntokens: SELECT live_row(0, 1, ''tokens'', t.id, t.subject_type, t.subject_id, t.token_hash, t.token_prefix, t.name, t.roles_json, t.role_mode, t.groups_json, t.issuer, t.created_at_ms, t.expires_at_ms, t.revoked_at_ms, t.audit_seq, t.issuers_json, t.bound_to_json, t.parent_id, t.session_id) FROM tokens t WHERE 1\nsessions: SELECT live_row(0, 1, ''sessions'', t.id, t.subject_id, t.session_hash, t.issuer, t.groups_json, t.claims_json, t.name, t.email, t.started_at_ms, t.expires_at_ms, t.last_used_at_ms, t.audit_seq) FROM sessions t WHERE 1\nschema_snapshots: SELECT live_row(0, 1, ''schema_snapshots'', t.database_name, t.environment, t.dialect, t.snapshot_json, t.collected_at_ms, t.last_status, t.last_error, t.last_sync_ms, t.agent_id, t.audit_seq) FROM schema_snapshots t WHERE 1\nstated_dialects: SELECT live_row(0, 1, ''stated_dialects'', t.database_name, t.environment, t.agent_id, t.dialect, t.audit_seq) FROM stated_dialects t WHERE 1\nreported_dialects: SELECT live_row(0, 1, ''reported_dialects'', t.database_name, t.environment, t.agent_id, t.dialect, t.reported_at_ms, t.audit_seq) FROM reported_dialects t WHERE 1\noutbox: SELECT live_row(0, 1, ''outbox'', t.seq, t.delivery_id, t.channel, t.event_type, t.request_seq, t.audit_seq, t.payload_json, t.created_at_ms, t.recipient) FROM outbox t WHERE t.next_attempt_ms IS NOT NULL\n','\n',char(10)));
CREATE TABLE audit_head (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    seq           INTEGER NOT NULL,
    event_hash    TEXT NOT NULL,
    recipe_sha256 TEXT NOT NULL REFERENCES audit_recipes (sha256),
    sums_json     TEXT NOT NULL CHECK (json_valid(sums_json)),
    key_id        TEXT NOT NULL,
    signature     TEXT NOT NULL
) STRICT;
INSERT INTO audit_head VALUES(1,12,'ebcfa4b2ce05694624ca431cc38af25149ec53ff066b15ff07518c47cab58da1','aee3e1cb31511b5aa10efdc1a8c9aa09ffbf5f1cedd7c426733b55c9b7bb9597','{"approvals":"0000000000000000000000000000000000000000000000000000000000000000","dry_run_jobs":"8719bef94519e1b3610d0753dc5da498d13329ba82b1483ed964a89e80f3de43","executions":"0000000000000000000000000000000000000000000000000000000000000000","outbox":"9af67d46d3c01814bd69c4e5a2295553aa457587c18209aeed98b2d6bc3b193a","rehearsals":"0000000000000000000000000000000000000000000000000000000000000000","reported_dialects":"1d0a6a874c777e4f7e3d0d7b32bd1a482d952c7e550514781b90d72bd1c93e7a","request_approvers":"3c4c5ee592d62c8a4fde09790b38818b65642c191003dcd8d0521c939fc87668","request_contexts":"2e39cce33675b26ee3e186038ab8ff601d1dabdf58a6cd69bb310a499b928ae8","request_texts":"e0e4aca64ca0f4ed82bb57efe5800e3f15c0a11015f2ce1af4e80fac8e0fa0d5","requests":"6880a6a75f58f37ae73e83c577e723aa016bdae261f647b8cce8d86d615698a5","results":"0000000000000000000000000000000000000000000000000000000000000000","schema_snapshots":"d0008e32475d675cb5299432211a585a430f91d7eb93bbc278ec8d568eb4e372","sessions":"0000000000000000000000000000000000000000000000000000000000000000","stated_dialects":"a971b582e82f7e4e85b5aaa6578f9bbdcbaf4ffe6177f2c11c7949b32375e7f6","tokens":"60a4fbe03aa0312e359ad55f329dfa33d0d6d19ab969fe04e9959360c748b1d1","users":"f2f3d8efa9ddd61f546f53701dbefd35ecf90466ce75f6328fa80340ffd86ffe"}','252469a92d4572b3','e00b6fd6706f9614479cab934e236aee719a3c302cdd2ebbf7d938ad009a8a61f704de3f3b0b85ba99152990b957b1542d9d73c73cba1f0735bd2cdc4b822202');
CREATE TABLE result_bodies (
    execution_seq INTEGER PRIMARY KEY REFERENCES executions (seq),
    body          BLOB NOT NULL
) STRICT;
INSERT INTO result_bodies VALUES(1,X'7b225f6462776172645f726573756c74223a747275652c226572726f725f6d657373616765223a6e756c6c2c22657865637574696f6e5f6964223a2230316132323962302d303032382d373664652d383830612d386233373166353137306532222c226f7574636f6d65223a22636f6d6d6974746564222c226f7574636f6d655f756e70726f76656e223a66616c73652c22726573756c745f64617461223a7b22636f6c756d6e73223a5b7b226e616d65223a223f636f6c756d6e3f222c226b6579223a223f636f6c756d6e3f222c2274797065223a22696e7465676572227d5d2c22726f7773223a5b7b223f636f6c756d6e3f223a317d5d2c227472756e6361746564223a66616c73652c227472756e636174696f6e5f726561736f6e223a6e756c6c7d2c22726f77735f6166666563746564223a6e756c6c2c2273756363657373223a747275652c227472756e6361746564223a66616c73657d');
CREATE TABLE reported_dialects (
    database_name  TEXT NOT NULL,
    environment    TEXT NOT NULL,
    agent_id       TEXT NOT NULL REFERENCES users (id),
    dialect        TEXT NOT NULL CHECK (dialect IN ('postgresql', 'mysql', 'sqlite')),
    reported_at_ms INTEGER NOT NULL,
    audit_seq      INTEGER NOT NULL,
    PRIMARY KEY (database_name, environment, agent_id)
) STRICT, WITHOUT ROWID;
INSERT INTO reported_dialects VALUES('app','development','agent','postgresql',1795995727081,7);
CREATE TABLE stated_dialects (
    database_name TEXT NOT NULL,
    environment   TEXT NOT NULL,
    agent_id      TEXT NOT NULL REFERENCES users (id),
    dialect       TEXT NOT NULL CHECK (dialect IN ('postgresql', 'mysql', 'sqlite')),
    audit_seq     INTEGER NOT NULL,
    PRIMARY KEY (database_name, environment, agent_id)
) STRICT, WITHOUT ROWID;
INSERT INTO stated_dialects VALUES('app','development','agent','postgresql',7);
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
BEGIN SELECT RAISE(ABORT, 'request purged without its audit event'); END
;
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
BEGIN SELECT RAISE(ABORT, 'execution changed without its audit event'); END
;
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
BEGIN SELECT RAISE(ABORT, 'token changed without its audit event'); END
;
CREATE INDEX users__claimed_email ON users (id) WHERE claimed_email IS NOT NULL;
CREATE TRIGGER users_update
BEFORE UPDATE OF id, subject_type, status, source, slack_user_id, created_at_ms, updated_at_ms, slack_linkers_json,
    claimed_email, audit_seq ON users
WHEN NEW.audit_seq IS NOT (SELECT max(seq) FROM audit_events) OR NEW.audit_seq <= OLD.audit_seq OR NEW.id IS NOT OLD.id
BEGIN SELECT RAISE(ABORT, 'user changed without its audit event'); END;
COMMIT;
