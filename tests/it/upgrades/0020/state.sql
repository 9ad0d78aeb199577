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
INSERT INTO "agents" VALUES('agent','{"features":[],"operations":["execute_select","execute_dml"],"scopes":[{"database":"app","environment":"development"},{"database":"app","environment":"production"}]}','0.3.0',2,0,0,7,'[]',1795967769730,1795967769882,15);
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
INSERT INTO "approvals" VALUES(1,2,0,'reject','approver','dab193b3-599e-4190-a2ad-8dd19abcebe6','group:approvers','ask the owner of items first',0,1795967769551,10);
INSERT INTO "approvals" VALUES(2,1,0,'approve','approver','dab193b3-599e-4190-a2ad-8dd19abcebe6','group:approvers','agreed',0,1795967769678,13);
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
INSERT INTO "audit_events" VALUES(1,'01a22805-58a9-7e9e-8169-55f82d0504de','state.baseline','policy',1,'info','system','system',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"head_hash":"","head_seq":0,"key_id":"5c3352bd4cd9fa22","recipe_sha256":"89590ee8bd2de7d8b8b679e3660341f31f7b08e025dc4980cd6255023d597467","signature":"255dafe3f97d3b081703b547e835ec5b57ba3ea144514abc1e781fcfea01a8bdf0a126505ec3c6d2a4b1bc4ff55ac2c556f054b99e99d6d5a7d160463953150b","sums":{"approvals":"0000000000000000000000000000000000000000000000000000000000000000","dry_run_jobs":"0000000000000000000000000000000000000000000000000000000000000000","executions":"0000000000000000000000000000000000000000000000000000000000000000","outbox":"0000000000000000000000000000000000000000000000000000000000000000","rehearsals":"0000000000000000000000000000000000000000000000000000000000000000","reported_dialects":"0000000000000000000000000000000000000000000000000000000000000000","request_approvers":"0000000000000000000000000000000000000000000000000000000000000000","request_contexts":"0000000000000000000000000000000000000000000000000000000000000000","request_texts":"0000000000000000000000000000000000000000000000000000000000000000","requests":"0000000000000000000000000000000000000000000000000000000000000000","results":"0000000000000000000000000000000000000000000000000000000000000000","schema_snapshots":"0000000000000000000000000000000000000000000000000000000000000000","stated_dialects":"0000000000000000000000000000000000000000000000000000000000000000","tokens":"0000000000000000000000000000000000000000000000000000000000000000","users":"0000000000000000000000000000000000000000000000000000000000000000"}}',NULL,'2026-11-29T15:56:08.745+00:00','e0b39ada6861155acb44cd85278e765870b44144a6e744430abd4947bc13c7bd',1795967768745,NULL,NULL);
INSERT INTO "audit_events" VALUES(2,'01a22805-58cc-76bb-b88e-5cdb34c3bd05','config.synced','policy',1,'success','system','system','config','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"databases":1,"execution_policies":1,"groups":1,"notification_policies":1,"result_policies":1,"role_bindings":0,"roles":0,"users":0,"webhooks":1,"workflows":2}','e0b39ada6861155acb44cd85278e765870b44144a6e744430abd4947bc13c7bd','2026-11-29T15:56:08.780+00:00','1c2c656420c788205aaaf9b0fc4fc4b32173b921be36840d6bd142f37d9f8fd3',1795967768780,NULL,NULL);
INSERT INTO "audit_events" VALUES(3,'01a22805-591f-7bfa-bb2d-2f177e56e2a3','token.created','token',1,'success','system','system','token','a8be82d2-a12f-4530-b89b-f36209c6229e',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"expires_at":null,"groups":[],"hash_sha256":"3557c87940c452e65bb059d046a616c206bea1730ee2e910f2be570e36a7e969","issuer":"system","issuers":[],"name":"bootstrap-admin","parent_id":null,"prefix":"3f62c131","role_mode":"grant","roles":["admin"],"scopes":null,"subject_id":"admin","subject_type":"user"}','1c2c656420c788205aaaf9b0fc4fc4b32173b921be36840d6bd142f37d9f8fd3','2026-11-29T15:56:08.863+00:00','b0b0a987b3053686c2edce142471fccf2a0bbe35fe5c1c77a881d22f510b72b4',1795967768863,NULL,NULL);
INSERT INTO "audit_events" VALUES(4,'01a22805-591f-7ec3-8f9f-86e115bc8ed5','token.created','token',1,'success','system','system','token','4df04bbb-bbb8-4770-ab3e-91a55f9e47ad',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"expires_at":null,"groups":[],"hash_sha256":"0145b05fe339b369b2c52130316d6f1811934ae7a836d4eb370c334a5ba6a1fc","issuer":"system","issuers":[],"name":"bootstrap-developer","parent_id":null,"prefix":"03c3c74a","role_mode":"grant","roles":["developer"],"scopes":null,"subject_id":"developer","subject_type":"user"}','b0b0a987b3053686c2edce142471fccf2a0bbe35fe5c1c77a881d22f510b72b4','2026-11-29T15:56:08.863+00:00','b0a82104c9dbd7e7ee7235a7cf16e82aa79c169df2b6da482b925c69a11db73e',1795967768863,NULL,NULL);
INSERT INTO "audit_events" VALUES(5,'01a22805-591f-71a9-bcde-0ed8e64ed2d2','token.created','token',1,'success','system','system','token','6bea28cc-1b3e-4a63-8e69-d388e0d89f4f',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"expires_at":null,"groups":[],"hash_sha256":"b3dc0a076966c3dba5844262877530ecb72311e29dd7a5d02948ad972e3e2419","issuer":"system","issuers":[],"name":"bootstrap-agent","parent_id":null,"prefix":"ce8b4dfc","role_mode":"grant","roles":["agent-default"],"scopes":null,"subject_id":"agent","subject_type":"agent"}','b0a82104c9dbd7e7ee7235a7cf16e82aa79c169df2b6da482b925c69a11db73e','2026-11-29T15:56:08.863+00:00','3b0435dcaa1a471fcb68595ff37fd1254b1533bbb9c362d61e498e2c3e0bda23',1795967768863,NULL,NULL);
INSERT INTO "audit_events" VALUES(6,'01a22805-5b08-7fab-a478-a025abcfeabe','token.created','token',1,'success','admin','user','token','11182fea-14a9-4d9a-b8f1-f154f3e4542d','127.0.0.1','127.0.0.1','peer',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"expires_at":null,"groups":[],"hash_sha256":"1261c75d5a6d4c2a11a3f01c6604e973a361d7cb19ace4ec27bad4492b49edf7","http_request_id":"1de05a805efee2a0","issuer":"admin","issuers":["admin"],"name":"laptop","parent_id":"a8be82d2-a12f-4530-b89b-f36209c6229e","prefix":"41ffdf92","role_mode":"grant","roles":["developer"],"scopes":null,"subject_id":"developer-two","subject_type":"user"}','3b0435dcaa1a471fcb68595ff37fd1254b1533bbb9c362d61e498e2c3e0bda23','2026-11-29T15:56:09.352+00:00','5d44adaa2ac076019b695c7582378bdb8e9ffc953bb50e5172cb3d8da1ebc1b3',1795967769352,NULL,NULL);
INSERT INTO "audit_events" VALUES(7,'01a22805-5b2f-7738-afb3-1c55957e0d49','token.created','token',1,'success','admin','user','token','dab193b3-599e-4190-a2ad-8dd19abcebe6','127.0.0.1','127.0.0.1','peer',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"expires_at":null,"groups":[],"hash_sha256":"191bcce250cf461e57283d6c5900e1199e1f02445bae2e50c13664905c5d02e8","http_request_id":"a452f06948767ece","issuer":"admin","issuers":["admin"],"name":null,"parent_id":"a8be82d2-a12f-4530-b89b-f36209c6229e","prefix":"0deffe43","role_mode":"grant","roles":["developer"],"scopes":null,"subject_id":"approver","subject_type":"user"}','5d44adaa2ac076019b695c7582378bdb8e9ffc953bb50e5172cb3d8da1ebc1b3','2026-11-29T15:56:09.391+00:00','1f140ee8a12819986cfb5d7b5d709f332846c871ddb94f7f60443b65b8b37381',1795967769391,NULL,NULL);
INSERT INTO "audit_events" VALUES(8,'01a22805-5b7b-78da-af95-24a13bbd3b06','request.created','approval',1,'success','developer-two','user','request','a5789dfe-2658-4e5f-a5d6-75a9a3cb978b','127.0.0.1','127.0.0.1','peer','a5789dfe-2658-4e5f-a5d6-75a9a3cb978b','execute_dml','app','production','580d2e6f2da7744ef2d29c99dd869d64661dc851fc255631136f3fdbb08b9894','UPDATE items SET price = ? WHERE id = ?','price list of May','{"actor_token_id":"11182fea-14a9-4d9a-b8f1-f154f3e4542d","allow_ddl":false,"approval_expires_at":null,"commitment":"a7129d67339f61762516de219b71e77765396503c71f28959eb8a146ce34a552","context_commitment":"a8448b958038f20abd128e9c776ed264bf4290d832d42da2dbd5e9111ac3b52f","dialect":"postgresql","emergency":false,"expires_at":"2026-11-30T15:56:09.467Z","from_status":"new","http_request_id":"c0ccf2bdcad1ea53","no_result_store":false,"policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","risk_level":"unknown","to_status":"pending","total_steps":1}','1f140ee8a12819986cfb5d7b5d709f332846c871ddb94f7f60443b65b8b37381','2026-11-29T15:56:09.467+00:00','754d866d3c27af88e1d91ec2c4b8af85bee2ca927f6159d06612a8c17b073e7a',1795967769467,'new','pending');
INSERT INTO "audit_events" VALUES(9,'01a22805-5bb7-73d6-a9f1-2cca146784e3','request.created','approval',1,'success','developer-two','user','request','1951d8a4-1907-46df-90e3-486f2013ad0f','127.0.0.1','127.0.0.1','peer','1951d8a4-1907-46df-90e3-486f2013ad0f','execute_dml','app','production','3a02ec4d7553a3d9fdc6308740725e7ac26e422b5bc7f3130ae0ae16644983ca','DELETE FROM items WHERE id = ?',NULL,'{"actor_token_id":"11182fea-14a9-4d9a-b8f1-f154f3e4542d","allow_ddl":false,"approval_expires_at":null,"commitment":"55f7875f41e37a809ef11edcbe49da57b82d6e1d9d3b21d5152f9574128e7e3a","context_commitment":"99d768221384ba6c87df66df8bf181a424cf8c57e9f8ded2ee62ade12f88935a","dialect":"postgresql","emergency":false,"expires_at":"2026-11-30T15:56:09.527Z","from_status":"new","http_request_id":"707ee18df69310a6","no_result_store":false,"policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","risk_level":"unknown","to_status":"pending","total_steps":1}','754d866d3c27af88e1d91ec2c4b8af85bee2ca927f6159d06612a8c17b073e7a','2026-11-29T15:56:09.527+00:00','a9ab854524e1e6dee571a87ed70082c1870c7fd225dbfea3befeb301fe390991',1795967769527,'new','pending');
INSERT INTO "audit_events" VALUES(10,'01a22805-5bcf-7fa9-9ddd-e81aec8a9c84','request.rejected','approval',1,'success','approver','user','request','1951d8a4-1907-46df-90e3-486f2013ad0f','127.0.0.1','127.0.0.1','peer','1951d8a4-1907-46df-90e3-486f2013ad0f','execute_dml','app','production',NULL,NULL,'ask the owner of items first','{"actor_token_id":"dab193b3-599e-4190-a2ad-8dd19abcebe6","approval_comment":"ask the owner of items first","from_status":"pending","http_request_id":"145a9598aaf38635","selector":"group:approvers","step_number":1,"to_status":"rejected"}','a9ab854524e1e6dee571a87ed70082c1870c7fd225dbfea3befeb301fe390991','2026-11-29T15:56:09.551+00:00','10a46547262c6f35e986fb44922b9a3a7fd31a2610258781617e14b8d9692091',1795967769551,'pending','rejected');
INSERT INTO "audit_events" VALUES(11,'01a22805-5c0d-71b0-94aa-6ea382d0c727','request.created','approval',1,'success','developer-two','user','request','61821867-eb03-4da3-a04a-7b4a8610326a','127.0.0.1','127.0.0.1','peer','61821867-eb03-4da3-a04a-7b4a8610326a','execute_dml','app','production','3a02ec4d7553a3d9fdc6308740725e7ac26e422b5bc7f3130ae0ae16644983ca','DELETE FROM items WHERE id = ?',NULL,'{"actor_token_id":"11182fea-14a9-4d9a-b8f1-f154f3e4542d","allow_ddl":false,"approval_expires_at":null,"commitment":"b09b29450da36724b073cb4e03e7c1c36d51a84d5bb75e428d33d88401972d19","context_commitment":"f4642039848c2a8e6bd88cc6983672b7defe4732d52cb526a657830f0c3cb4df","dialect":"postgresql","emergency":false,"expires_at":"2026-11-30T15:56:09.613Z","from_status":"new","http_request_id":"5e628be94e6ac9be","no_result_store":false,"policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","risk_level":"unknown","to_status":"pending","total_steps":1}','10a46547262c6f35e986fb44922b9a3a7fd31a2610258781617e14b8d9692091','2026-11-29T15:56:09.613+00:00','f3e66420cc98e4ff6eaea8c5a5f31b2852514561f3bcee12823dc81293cced00',1795967769613,'new','pending');
INSERT INTO "audit_events" VALUES(12,'01a22805-5c37-72cb-99ea-c776cfc01b94','request.cancelled','approval',1,'success','developer-two','user','request','61821867-eb03-4da3-a04a-7b4a8610326a','127.0.0.1','127.0.0.1','peer','61821867-eb03-4da3-a04a-7b4a8610326a','execute_dml','app','production',NULL,NULL,'not needed any more','{"actor_token_id":"11182fea-14a9-4d9a-b8f1-f154f3e4542d","from_status":"pending","http_request_id":"3307aa96fc6c5af2","to_status":"cancelled"}','f3e66420cc98e4ff6eaea8c5a5f31b2852514561f3bcee12823dc81293cced00','2026-11-29T15:56:09.655+00:00','cd9e28d8a3ca0517238a088d42666360bdf14926013d3757756b0dbcd678fba7',1795967769655,'pending','cancelled');
INSERT INTO "audit_events" VALUES(13,'01a22805-5c4e-7c88-8d73-72e3ccb1c2e4','request.approved','approval',1,'success','approver','user','request','a5789dfe-2658-4e5f-a5d6-75a9a3cb978b','127.0.0.1','127.0.0.1','peer','a5789dfe-2658-4e5f-a5d6-75a9a3cb978b','execute_dml','app','production',NULL,NULL,NULL,'{"actor_token_id":"dab193b3-599e-4190-a2ad-8dd19abcebe6","approval_comment":"agreed","approval_expires_at":"2026-11-30T15:56:09.678Z","from_status":"pending","http_request_id":"2f0a1532fb51dc26","selector":"group:approvers","step_number":1,"to_status":"approved","total_steps":1,"votes":1}','cd9e28d8a3ca0517238a088d42666360bdf14926013d3757756b0dbcd678fba7','2026-11-29T15:56:09.678+00:00','c95d390a1e7f63a4e5ca82a63c5e5a0d0808b67e156dec924248a05c85046368',1795967769678,'pending','approved');
INSERT INTO "audit_events" VALUES(14,'01a22805-5c6f-73ab-87d9-9fc494afac45','request.dispatched','approval',1,'success','developer-two','user','request','a5789dfe-2658-4e5f-a5d6-75a9a3cb978b','127.0.0.1','127.0.0.1','peer','a5789dfe-2658-4e5f-a5d6-75a9a3cb978b','execute_dml','app','production',NULL,NULL,NULL,'{"actor_token_id":"11182fea-14a9-4d9a-b8f1-f154f3e4542d","dispatch_deadline":"2026-11-29T16:01:09.711Z","from_status":"approved","http_request_id":"e98dfe4351ac19ab","to_status":"dispatched"}','c95d390a1e7f63a4e5ca82a63c5e5a0d0808b67e156dec924248a05c85046368','2026-11-29T15:56:09.711+00:00','34a010158869ec081895c8fbebc2c292b2db87b6d62b5a96bf7e995affca5e86',1795967769711,'approved','dispatched');
INSERT INTO "audit_events" VALUES(15,'01a22805-5c82-703a-a98c-9ef37c04d6a5','agent.registered','agent',1,'success','agent','agent','agent','agent','127.0.0.1','127.0.0.1','peer',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"agent_version":"0.3.0","http_request_id":"10e2d2cf1af152e8"}','34a010158869ec081895c8fbebc2c292b2db87b6d62b5a96bf7e995affca5e86','2026-11-29T15:56:09.730+00:00','df7766e8c3fa8e1ff8ce44e5ab2c480fcffecaf6ec4c67def51f40e9b4ee4802',1795967769730,NULL,NULL);
INSERT INTO "audit_events" VALUES(16,'01a22805-5c8f-7417-8de8-acbecc25ed01','schema.snapshot_updated','agent',1,'success','agent','agent',NULL,NULL,'127.0.0.1','127.0.0.1','peer',NULL,NULL,'app','production',NULL,NULL,NULL,'{"dialect":"postgresql","http_request_id":"a88eefc04d7e6a0a","status":"ready","tables":1}','df7766e8c3fa8e1ff8ce44e5ab2c480fcffecaf6ec4c67def51f40e9b4ee4802','2026-11-29T15:56:09.743+00:00','740d24fee65f2b324a613009a569ee4d27a29c9607f5e3bfebde7d32cf3c0044',1795967769743,NULL,NULL);
INSERT INTO "audit_events" VALUES(17,'01a22805-5ca1-7352-9431-54340d28588e','execution.started','execution',1,'success','agent','agent','request','a5789dfe-2658-4e5f-a5d6-75a9a3cb978b','127.0.0.1','127.0.0.1','peer','a5789dfe-2658-4e5f-a5d6-75a9a3cb978b','execute_dml','app','production',NULL,NULL,NULL,'{"agent_id":"agent","attempt":1,"execution_id":"01a22805-5ca1-7464-b0f7-06016199cf79","from_status":"dispatched","http_request_id":"460a53e8756b815e","lease_secs":60,"max_rows":null,"statement_timeout_secs":30,"to_status":"running","token_sha256":"c2d1b37d1eef920f5e4a4b95df1836b98e8f4dd153ed6ac8541f8b493fb85013"}','740d24fee65f2b324a613009a569ee4d27a29c9607f5e3bfebde7d32cf3c0044','2026-11-29T15:56:09.761+00:00','4f9dcd1f952816a888709b72421a5592902b6741b5793cf193012502670661d3',1795967769761,'dispatched','running');
INSERT INTO "audit_events" VALUES(18,'01a22805-5cd2-75fd-b848-21810292b532','execution.completed','execution',1,'success','agent','agent','execution','01a22805-5ca1-7464-b0f7-06016199cf79','127.0.0.1','127.0.0.1','peer','a5789dfe-2658-4e5f-a5d6-75a9a3cb978b','execute_dml','app','production',NULL,NULL,NULL,'{"duration_ms":12,"error_sha256":null,"from_status":"running","http_request_id":"f07819017bb5592f","late":false,"outcome":"committed","report_sha256":"96bc830c74c0f9184a0feb0bfb8ec469c6bd8fdf20779ca54c632c691658241a","result_access":[],"result_backend":"row","result_bytes":240,"result_expires_at":"2026-12-29T15:56:09.810Z","result_sha256":"c84ccaefa7ef005f38d0f4ffbed8c3c0e5cfa027a73de660d1d5e2a9b60d5b70","rows_affected":1,"to_status":"executed","truncated":false}','4f9dcd1f952816a888709b72421a5592902b6741b5793cf193012502670661d3','2026-11-29T15:56:09.810+00:00','c72567f8a4f63f3bf321d92dfa42ffdd7feec5dfc1e61276a2e0613e937c4223',1795967769810,'running','executed');
INSERT INTO "audit_events" VALUES(19,'01a22805-5cef-7763-857f-8e44edecf6e2','request.auto_approved','approval',1,'success','developer-two','user','request','1cb8e3fb-1598-480f-89fd-b8657e6dcd80','127.0.0.1','127.0.0.1','peer','1cb8e3fb-1598-480f-89fd-b8657e6dcd80','execute_select','app','development','cff08083d7599199a84e3ee39b86702d304b70c550cf84c1c49f76f9c8c894ef','SELECT id, name FROM items WHERE id = ?',NULL,'{"actor_token_id":"11182fea-14a9-4d9a-b8f1-f154f3e4542d","allow_ddl":false,"approval_expires_at":"2026-11-30T15:56:09.839Z","commitment":"972c11a77d9f0ace0e5f9bc670079b81641259fc3fc95cd0422775412da02537","context_commitment":"19cb5028bb1b0e29ad3e2164fa77e2a8a5c6ba42c741e221e8c8ddaee45d456f","dialect":"postgresql","emergency":false,"expires_at":null,"from_status":"new","http_request_id":"577e543769738c77","no_result_store":false,"policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","risk_level":"low","to_status":"auto_approved","total_steps":0}','c72567f8a4f63f3bf321d92dfa42ffdd7feec5dfc1e61276a2e0613e937c4223','2026-11-29T15:56:09.839+00:00','672f4f648c82811864b8cd0924d0be38dd922275264026499aaa0c9945a5e036',1795967769839,'new','auto_approved');
INSERT INTO "audit_events" VALUES(20,'01a22805-5cef-7809-9798-d5245396ebe3','request.dispatched','approval',1,'success','developer-two','user','request','1cb8e3fb-1598-480f-89fd-b8657e6dcd80','127.0.0.1','127.0.0.1','peer','1cb8e3fb-1598-480f-89fd-b8657e6dcd80','execute_select','app','development',NULL,NULL,NULL,'{"actor_token_id":"11182fea-14a9-4d9a-b8f1-f154f3e4542d","dispatch_deadline":"2026-11-29T16:01:09.839Z","from_status":"auto_approved","http_request_id":"577e543769738c77","to_status":"dispatched"}','672f4f648c82811864b8cd0924d0be38dd922275264026499aaa0c9945a5e036','2026-11-29T15:56:09.839+00:00','9ddca92612b837e2bf254a0218f2f9cb9ea2c25efd7641d2f8dc54ab5df8d4e0',1795967769839,'auto_approved','dispatched');
INSERT INTO "audit_events" VALUES(21,'01a22805-5d29-7aa0-81d8-d887a3835d81','execution.started','execution',1,'success','agent','agent','request','1cb8e3fb-1598-480f-89fd-b8657e6dcd80','127.0.0.1','127.0.0.1','peer','1cb8e3fb-1598-480f-89fd-b8657e6dcd80','execute_select','app','development',NULL,NULL,NULL,'{"agent_id":"agent","attempt":1,"execution_id":"01a22805-5d29-76f3-9de6-63862b88130c","from_status":"dispatched","http_request_id":"a8c5f48f34692e9c","lease_secs":60,"max_rows":null,"statement_timeout_secs":30,"to_status":"running","token_sha256":"91a1a7205b6fd29cf86af037e0767959b74179dfb75f822c48b4d71487829c13"}','9ddca92612b837e2bf254a0218f2f9cb9ea2c25efd7641d2f8dc54ab5df8d4e0','2026-11-29T15:56:09.897+00:00','68746c26863f99c8d39c940ccb174dd77f19a470e240a0d12dd388563ef34a43',1795967769897,'dispatched','running');
INSERT INTO "audit_events" VALUES(22,'01a22805-5d48-7931-bb01-e046673afd2f','execution.completed','execution',1,'success','agent','agent','execution','01a22805-5d29-76f3-9de6-63862b88130c','127.0.0.1','127.0.0.1','peer','1cb8e3fb-1598-480f-89fd-b8657e6dcd80','execute_select','app','development',NULL,NULL,NULL,'{"duration_ms":8,"error_sha256":null,"from_status":"running","http_request_id":"b9ca0b651ff3dd37","late":false,"outcome":"committed","report_sha256":"dfd478bfaa76fafe34fc0603b343bb9d3808867dab0552ade01474ce191bc2bd","result_access":[],"result_backend":"row","result_bytes":293,"result_expires_at":"2026-12-29T15:56:09.928Z","result_sha256":"63d94b4329d7ce87e8d3de8070f948c578d3a383af0af672249cb34136c51373","rows_affected":null,"to_status":"executed","truncated":false}','68746c26863f99c8d39c940ccb174dd77f19a470e240a0d12dd388563ef34a43','2026-11-29T15:56:09.928+00:00','571b607ca0a00e150378043db7e293b9a6dca320063e9782ccca417703ec5882',1795967769928,'running','executed');
INSERT INTO "audit_events" VALUES(23,'01a22805-5ec5-7450-bc16-ae96641e71f5','user.disabled','identity',1,'success','admin','user','user','developer-two','127.0.0.1','127.0.0.1','peer',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"by_config":false,"http_request_id":"954de085f931ab4e"}','571b607ca0a00e150378043db7e293b9a6dca320063e9782ccca417703ec5882','2026-11-29T15:56:10.309+00:00','a5374b39e15d898d949f1421c5353fa5a41f914d05121de5054cabc9e02fccdb',1795967770309,NULL,NULL);
INSERT INTO "audit_events" VALUES(24,'01a22805-5ec5-7a61-b68d-6a0b863d9f0d','token.revoked','token',1,'success','admin','user','token','11182fea-14a9-4d9a-b8f1-f154f3e4542d','127.0.0.1','127.0.0.1','peer',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"http_request_id":"954de085f931ab4e","subject_id":"developer-two"}','a5374b39e15d898d949f1421c5353fa5a41f914d05121de5054cabc9e02fccdb','2026-11-29T15:56:10.309+00:00','465817463db0675d6058b4861db052002b7839b93aaed8bb28759197743b2a7f',1795967770309,NULL,NULL);
INSERT INTO "audit_events" VALUES(25,'01a22805-5ee1-70e5-9270-2ce60cae506e','user.activated','identity',1,'success','admin','user','user','developer-two','127.0.0.1','127.0.0.1','peer',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"by_config":false,"http_request_id":"5cbd448494adaa7c"}','465817463db0675d6058b4861db052002b7839b93aaed8bb28759197743b2a7f','2026-11-29T15:56:10.337+00:00','409d3c8a4b196d1cec0cd84bca32fbde7ffbbd36d33a227d90b7c1a3cf697dcd',1795967770337,NULL,NULL);
INSERT INTO "audit_events" VALUES(26,'01a22805-5f0a-76e2-83eb-e380d7ce83cd','user.updated','identity',1,'success','admin','user','user','approver','127.0.0.1','127.0.0.1','peer',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"http_request_id":"a680361e00514e2f","linked_by":["admin"],"slack_user_id":"U024BE7LH"}','409d3c8a4b196d1cec0cd84bca32fbde7ffbbd36d33a227d90b7c1a3cf697dcd','2026-11-29T15:56:10.378+00:00','3d8740537f2cc3010f52bb36ffbbae772e642b04d80eb9520a146d65aa0213a9',1795967770378,NULL,NULL);
INSERT INTO "audit_events" VALUES(27,'01a22805-5f1b-761c-af77-2c5b5bd8affd','token.created','token',1,'success','admin','user','token','fed73efb-e588-4a93-851f-7449e8b26c36','127.0.0.1','127.0.0.1','peer',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"expires_at":null,"groups":[],"hash_sha256":"bee08bafd286fc0dbc5259d77e64e62908ad92c52d1cfec11bf565c25e4ff292","http_request_id":"df0728ffbc313647","issuer":"admin","issuers":["admin"],"name":null,"parent_id":"a8be82d2-a12f-4530-b89b-f36209c6229e","prefix":"c5a6d90a","role_mode":"resolved","roles":[],"scopes":null,"subject_id":"leaver","subject_type":"user"}','3d8740537f2cc3010f52bb36ffbbae772e642b04d80eb9520a146d65aa0213a9','2026-11-29T15:56:10.395+00:00','b2cb5295cee72261364fe3c000c7169c535a14ec77fc581cd0641c180be67c81',1795967770395,NULL,NULL);
INSERT INTO "audit_events" VALUES(28,'01a22805-5f2f-7148-beba-cfcb8e10ea26','token.revoked','token',1,'success','admin','user','token','fed73efb-e588-4a93-851f-7449e8b26c36','127.0.0.1','127.0.0.1','peer',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"http_request_id":"6a07049dcab3a312","subject_id":"leaver"}','b2cb5295cee72261364fe3c000c7169c535a14ec77fc581cd0641c180be67c81','2026-11-29T15:56:10.415+00:00','edf15356200bf591d239a1926ffbab6491df00650bb1be5bf8bf8a4b60751765',1795967770415,NULL,NULL);
INSERT INTO "audit_events" VALUES(29,'01a22805-5f84-7024-9581-b416dcb61428','request.blocked_by_review','request',1,'denied','developer','user',NULL,NULL,'127.0.0.1','127.0.0.1','peer',NULL,NULL,'app','production','a3aab4bcb3d42ab3c8ad835b0f64e9e49ae1d0b5fd973efff04201f01545dd69',NULL,'SQL blocked by review: DELETE without WHERE clause','{"attempt":"request.create","blocked_rules":["NoWhereDelete"],"code":"sql_blocked_by_review","count":1,"http_request_id":"b835b318910cf27e"}','edf15356200bf591d239a1926ffbab6491df00650bb1be5bf8bf8a4b60751765','2026-11-29T15:56:10.500+00:00','d55a003e104c537ba6dddf8198200fd1c1fc51cd505ef81c0c94766762fdc501',1795967770500,NULL,NULL);
INSERT INTO "audit_events" VALUES(30,'01a22805-5f98-72ef-8791-10670c32a505','request.created','approval',1,'success','developer','user','request','280b4131-a4e3-4511-87ca-afed11cc8551','127.0.0.1','127.0.0.1','peer','280b4131-a4e3-4511-87ca-afed11cc8551','execute_dml','app','production','580d2e6f2da7744ef2d29c99dd869d64661dc851fc255631136f3fdbb08b9894','UPDATE items SET price = ? WHERE id = ?',NULL,'{"actor_token_id":"4df04bbb-bbb8-4770-ab3e-91a55f9e47ad","allow_ddl":false,"approval_expires_at":null,"commitment":"84fdab9c9a6d2389e43880ab0cc176cba9371128bf48852696d4170aba9460a5","context_commitment":"e22d5072bfab8cd32dac90bef1c1d4337571409aa23c81e7698ed5743f9c55bc","dialect":"postgresql","emergency":false,"expires_at":"2026-11-30T15:56:10.520Z","from_status":"new","http_request_id":"260161125e6e5140","no_result_store":false,"policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","risk_level":"medium","to_status":"pending","total_steps":1}','d55a003e104c537ba6dddf8198200fd1c1fc51cd505ef81c0c94766762fdc501','2026-11-29T15:56:10.520+00:00','1291a880de8b4b577c92b74f23892c00e59568b734ef18d0000337d74442e0c3',1795967770520,'new','pending');
CREATE TABLE audit_head (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    seq           INTEGER NOT NULL,
    event_hash    TEXT NOT NULL,
    recipe_sha256 TEXT NOT NULL REFERENCES audit_recipes (sha256),
    sums_json     TEXT NOT NULL CHECK (json_valid(sums_json)),
    key_id        TEXT NOT NULL,
    signature     TEXT NOT NULL
) STRICT;
INSERT INTO "audit_head" VALUES(1,30,'1291a880de8b4b577c92b74f23892c00e59568b734ef18d0000337d74442e0c3','89590ee8bd2de7d8b8b679e3660341f31f7b08e025dc4980cd6255023d597467','{"approvals":"0000000000000000000000000000000000000000000000000000000000000000","dry_run_jobs":"cca825677d20b2eac7f83a2efb296f59a208816434944674ff03c58831da69bb","executions":"0000000000000000000000000000000000000000000000000000000000000000","outbox":"ead907a539a6bda1ac8c76d599f859a1eac5324fdffdffcb5b8a63c2a3d6203c","rehearsals":"0000000000000000000000000000000000000000000000000000000000000000","reported_dialects":"b3d8772d1a7a6ba20a73e0f8ada93e22b10cb6b08170a917fe950865efa9a851","request_approvers":"f0900b149218696bceb16729623ca0368dcb65f56cc20bbdd9e2471a2ced1a72","request_contexts":"617676154a527dbbad2e34f8613762514e3cb3ae97dad5ff1502461b933e175a","request_texts":"a81cd75b7b0f0a52544f84329571dae2668ccac0fa8f1614c5ed0c72a661f754","requests":"94856bb16db05e9dbcff97eae480ac2a099ca99184b10ec2c6658b371594f954","results":"0000000000000000000000000000000000000000000000000000000000000000","schema_snapshots":"306bb6450f9708876f5c0a0b057322e31ed5bc11c10ade64a3c7af62255bfc81","stated_dialects":"b8d140f4a58c6fb0b5765638a02cc17aed55693290ccd3fc35e01b40afc9fcae","tokens":"671427e9d9d83aa29a36897a4511df43fdf9e96bd4af6968b8197a1f2e915c77","users":"37e2663167abdd010718ee5ba9212911a58b2b314dc83dc49c8b8984cb563f6f"}','5c3352bd4cd9fa22','cd16bcd082193b5b57b9f47d844f3abc4d1cb9c03519ac3eb1fbce09d31575c39c2fd37bc113294fa39e58c1308cfff1de2c196aac21c87d256cd9f07b19220b');
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
INSERT INTO "audit_recipes" VALUES('89590ee8bd2de7d8b8b679e3660341f31f7b08e025dc4980cd6255023d597467','requests: SELECT live_row(0, 1, ''requests'', t.seq, t.id, t.requester, t.token_id, t.database_name, t.environment, t.operation, t.status, t.audit_seq, t.emergency, t.allow_ddl, t.no_result_store, t.reason, t.current_step, t.total_steps, t.risk_level, t.policy_version, t.created_at_ms, t.updated_at_ms, t.resolved_at_ms, t.expires_at_ms, t.approved_at_ms, t.approval_expires_at_ms, t.dispatched_from, t.dispatch_deadline_ms, t.first_completed_at_ms, t.executions_finished, t.executions_lost, t.execution_id, t.claimed_by, t.cancelled_by, t.cancel_reason, t.due_at_ms, t.dialect, t.corrupt_seq, t.max_affected_rows, t.row_bound_source, t.rehearsed_rows) FROM requests t WHERE (t.status = ''pending'' OR t.status = ''approved'' OR t.status = ''auto_approved'' OR t.status = ''break_glass'' OR t.status = ''dispatched'' OR t.status = ''running'' OR t.status = ''execution_lost'' OR t.corrupt_seq IS NOT NULL)
request_texts: SELECT live_row(0, 1, ''request_texts'', t.request_seq, t.detail, t.plan_json, t.workflow_json, t.facts_json, t.trace_json, t.metadata_json, t.share_with_json, t.fingerprint, t.redacted, t.salt) FROM requests o CROSS JOIN request_texts t ON t.request_seq = o.seq WHERE (o.status = ''pending'' OR o.status = ''approved'' OR o.status = ''auto_approved'' OR o.status = ''break_glass'' OR o.status = ''dispatched'' OR o.status = ''running'' OR o.status = ''execution_lost'' OR o.corrupt_seq IS NOT NULL)
request_contexts: SELECT live_row(0, 1, ''request_contexts'', t.request_seq, t.status, t.context_json, t.explain_json, t.created_at_ms, t.updated_at_ms) FROM requests o CROSS JOIN request_contexts t ON t.request_seq = o.seq WHERE (o.status = ''pending'' OR o.status = ''approved'' OR o.status = ''auto_approved'' OR o.status = ''break_glass'' OR o.status = ''dispatched'' OR o.status = ''running'' OR o.status = ''execution_lost'' OR o.corrupt_seq IS NOT NULL)
request_approvers: SELECT live_row(0, 1, ''request_approvers'', t.selector, t.request_seq) FROM requests o CROSS JOIN request_approvers t ON t.request_seq = o.seq WHERE (o.status = ''pending'' OR o.status = ''approved'' OR o.status = ''auto_approved'' OR o.status = ''break_glass'' OR o.status = ''dispatched'' OR o.status = ''running'' OR o.status = ''execution_lost'' OR o.corrupt_seq IS NOT NULL)
approvals: SELECT live_row(0, 1, ''approvals'', t.id, t.request_seq, t.step_index, t.action, t.actor_id, t.token_id, t.matched_selector, t.comment, t.issued_by_requester, t.created_at_ms, t.audit_seq) FROM requests o CROSS JOIN approvals t ON t.request_seq = o.seq WHERE (o.status = ''pending'' OR o.status = ''approved'' OR o.status = ''auto_approved'' OR o.status = ''break_glass'' OR o.status = ''dispatched'' OR o.status = ''running'' OR o.status = ''execution_lost'' OR o.corrupt_seq IS NOT NULL)
executions: SELECT live_row(0, 1, ''executions'', t.seq, t.id, t.request_seq, t.attempt, t.agent_id, t.status, t.claim_key, t.token_json, t.statement_timeout_secs, t.max_rows, t.lease_secs, t.started_at_ms, t.finished_at_ms, t.error_message, t.error_detail, t.rows_affected, t.duration_ms, t.truncated, t.late, t.report_sha256, t.audit_seq, t.outcome, t.outcome_unproven) FROM requests o CROSS JOIN executions t ON t.request_seq = o.seq WHERE (o.status = ''pending'' OR o.status = ''approved'' OR o.status = ''auto_approved'' OR o.status = ''break_glass'' OR o.status = ''dispatched'' OR o.status = ''running'' OR o.status = ''execution_lost'' OR o.corrupt_seq IS NOT NULL)
results: SELECT live_row(0, 1, ''results'', t.execution_seq, t.request_seq, t.backend, t.object_key, t.content_length, t.checksum_sha256, t.stored_at_ms, t.expires_at_ms, t.audit_seq) FROM requests o CROSS JOIN results t ON t.request_seq = o.seq WHERE (o.status = ''pending'' OR o.status = ''approved'' OR o.status = ''auto_approved'' OR o.status = ''break_glass'' OR o.status = ''dispatched'' OR o.status = ''running'' OR o.status = ''execution_lost'' OR o.corrupt_seq IS NOT NULL)
dry_run_jobs: SELECT live_row(0, 1, ''dry_run_jobs'', t.id, t.request_seq, t.statement_index, t.database_name, t.environment, t.sql_text, t.status, t.claimed_by, t.claim_token, t.claimed_at_ms, t.result_json, t.error_message, t.created_at_ms, t.finished_at_ms) FROM requests o CROSS JOIN dry_run_jobs t ON t.request_seq = o.seq WHERE (o.status = ''pending'' OR o.status = ''approved'' OR o.status = ''auto_approved'' OR o.status = ''break_glass'' OR o.status = ''dispatched'' OR o.status = ''running'' OR o.status = ''execution_lost'' OR o.corrupt_seq IS NOT NULL)
rehearsals: SELECT live_row(0, 1, ''rehearsals'', t.seq, t.id, t.request_seq, t.status, t.asked_by, t.asked_at_ms, t.agent_id, t.token_json, t.claimed_at_ms, t.finished_at_ms, t.rows_affected, t.result_json, t.error_message, t.audit_seq) FROM requests o CROSS JOIN rehearsals t ON t.request_seq = o.seq WHERE (o.status = ''pending'' OR o.status = ''approved'' OR o.status = ''auto_approved'' OR o.status = ''break_glass'' OR o.status = ''dispatched'' OR o.status = ''running'' OR o.status = ''execution_lost'' OR o.corrupt_seq IS NOT NULL)
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
INSERT INTO "dry_run_jobs" VALUES('1a57b4a2-6add-42d1-8306-e4b4b3567a9d',1,0,'app','production','UPDATE items SET price = 1200 WHERE id = 7','pending',NULL,NULL,NULL,NULL,NULL,1795967769467,NULL);
INSERT INTO "dry_run_jobs" VALUES('a2a8246e-82ec-405a-aedf-e0627f73cc49',2,0,'app','production','DELETE FROM items WHERE id = 9','pending',NULL,NULL,NULL,NULL,NULL,1795967769527,NULL);
INSERT INTO "dry_run_jobs" VALUES('0de0da46-f5b1-4139-9e5f-17a89ee5281b',3,0,'app','production','DELETE FROM items WHERE id = 10','pending',NULL,NULL,NULL,NULL,NULL,1795967769613,NULL);
INSERT INTO "dry_run_jobs" VALUES('9d8f8bea-100d-411e-b95f-c21f0565dbaf',5,0,'app','production','UPDATE items SET price = 1300 WHERE id = 8','pending',NULL,NULL,NULL,NULL,NULL,1795967770520,NULL);
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
INSERT INTO "executions" VALUES(1,'01a22805-5ca1-7464-b0f7-06016199cf79',1,1,'agent','completed','0b0f5bd5-6c0e-4c2b-9d3c-1b1a3b2c4d5e','{"agent_id":"agent","database":"app","dialect":"postgresql","detail_hash":"c0bedf34f001a2fb285abe1a5d4aa6109d651338630b7c4bf53a769b478fde4f","environment":"production","execution_id":"01a22805-5ca1-7464-b0f7-06016199cf79","expires_at":"2026-11-29T16:01:09.761+00:00","issued_at":"2026-11-29T15:56:09.761+00:00","lock_timeout_secs":5,"max_affected_rows":null,"max_rows":null,"operation":"execute_dml","policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","request_id":"a5789dfe-2658-4e5f-a5d6-75a9a3cb978b","requester_role":"developer","requester_subject_id":"developer-two","signature":"9d7f30699d13620494cc8750ae555d8a2a1bc801dd45139ab86b5b09cdc1a02bea194b1e430c1a3a85ba18f7050dab2bd51b852a469e2f227a95ffc61a8a1903","signature_v2":"f82a2cf4baa86eb628ead1d9cef48403bbe7a1d43dd0e763b0def0af5d3aa6c153ad1993c4e77596b5890c1142d1f013bbcb5334862f683ecf0bda2c5e9cb905","statement_timeout_secs":30}',30,NULL,60,1795967829761,0,1795967769761,1795967769810,NULL,1,12,0,0,'96bc830c74c0f9184a0feb0bfb8ec469c6bd8fdf20779ca54c632c691658241a',18,'committed',0,NULL);
INSERT INTO "executions" VALUES(2,'01a22805-5d29-76f3-9de6-63862b88130c',4,1,'agent','completed','1b0f5bd5-6c0e-4c2b-9d3c-1b1a3b2c4d5e','{"agent_id":"agent","database":"app","dialect":"postgresql","detail_hash":"df0a2fd5b1687736beb901886b843658e69b57c6a57523bfad42cbe907e83605","environment":"development","execution_id":"01a22805-5d29-76f3-9de6-63862b88130c","expires_at":"2026-11-29T16:01:09.897+00:00","issued_at":"2026-11-29T15:56:09.897+00:00","lock_timeout_secs":5,"max_affected_rows":null,"max_rows":null,"operation":"execute_select","policy_version":"0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51","request_id":"1cb8e3fb-1598-480f-89fd-b8657e6dcd80","requester_role":"developer","requester_subject_id":"developer-two","signature":"84975edf9b3abb350f678518d51efb9a95a42aabeed2a05eb39107d1da1e4937532bc05ac36c7cac3fef7a8c12375a14089640fb5499f04659fb71de5ed9350a","signature_v2":"e6b27be6f8871467e178e5d95b1f81377742b55f9393303195079eaf5f4337e8fa46b143701ef501874ae7edc24167955521faf73dc5dc72889496493cdfff01","statement_timeout_secs":30}',30,NULL,60,1795967829897,0,1795967769897,1795967769928,NULL,NULL,8,0,0,'dfd478bfaa76fafe34fc0603b343bb9d3808867dab0552ade01474ce191bc2bd',22,'committed',0,NULL);
CREATE TABLE idempotency_keys (
    requester   TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    request_seq INTEGER NOT NULL REFERENCES requests (seq),
    PRIMARY KEY (requester, key)
) STRICT, WITHOUT ROWID;
INSERT INTO "idempotency_keys" VALUES('developer-two','price-7','7988951310d3741e35c014341a0c871ab4400bb02f3ec4a1dd80b301471672e8',1);
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('instance','ba2b2221-475d-4b5a-9e2c-0853c54589cf');
INSERT INTO "meta" VALUES('probed_at','1795967769432');
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
INSERT INTO "outbox" VALUES(1,'wd-8100e886-498b-4152-bfff-e84a867238f7','ops','request.created',1,8,'{"actor":"developer-two","database":"app","delivery_id":"wd-8100e886-498b-4152-bfff-e84a867238f7","detail":"UPDATE items SET price = ? WHERE id = ?","emergency":false,"environment":"production","event":"request.created","operation":"execute_dml","reason":"price list of May","request_id":"a5789dfe-2658-4e5f-a5d6-75a9a3cb978b","requester":"developer-two","risk_level":"unknown","status":"pending","timestamp":"2026-11-29T15:56:09.467Z","total_steps":1}','pending',1,1795967775267,'the connection failed: Connection refused (os error 111)',1795967769467,1795967769497,NULL,1795967769467);
INSERT INTO "outbox" VALUES(2,'wd-5b948446-3119-426e-a2d7-43931dcd6fdc','ops','request.created',2,9,'{"actor":"developer-two","database":"app","delivery_id":"wd-5b948446-3119-426e-a2d7-43931dcd6fdc","detail":"DELETE FROM items WHERE id = ?","emergency":false,"environment":"production","event":"request.created","operation":"execute_dml","reason":null,"request_id":"1951d8a4-1907-46df-90e3-486f2013ad0f","requester":"developer-two","risk_level":"unknown","status":"pending","timestamp":"2026-11-29T15:56:09.527Z","total_steps":1}','pending',0,1795967769527,NULL,1795967769527,1795967769527,NULL,1795967769527);
INSERT INTO "outbox" VALUES(3,'wd-5ff98275-14fc-4172-ac61-a27ab480d47b','ops','request.rejected',2,10,'{"actor":"approver","comment":"ask the owner of items first","database":"app","delivery_id":"wd-5ff98275-14fc-4172-ac61-a27ab480d47b","detail":null,"environment":"production","event":"request.rejected","operation":"execute_dml","reason":"ask the owner of items first","request_id":"1951d8a4-1907-46df-90e3-486f2013ad0f","requester":"developer-two","status":"rejected","step_number":1,"timestamp":"2026-11-29T15:56:09.551Z"}','pending',0,1795967769551,NULL,1795967769551,1795967769551,NULL,1795967769551);
INSERT INTO "outbox" VALUES(4,'wd-a151cbe2-261b-4c63-a540-d21596805802','ops','request.created',3,11,'{"actor":"developer-two","database":"app","delivery_id":"wd-a151cbe2-261b-4c63-a540-d21596805802","detail":"DELETE FROM items WHERE id = ?","emergency":false,"environment":"production","event":"request.created","operation":"execute_dml","reason":null,"request_id":"61821867-eb03-4da3-a04a-7b4a8610326a","requester":"developer-two","risk_level":"unknown","status":"pending","timestamp":"2026-11-29T15:56:09.613Z","total_steps":1}','pending',0,1795967769613,NULL,1795967769613,1795967769613,NULL,1795967769613);
INSERT INTO "outbox" VALUES(5,'wd-0b31e7ea-bbaa-472d-abc3-de30cd9f3ee9','ops','request.cancelled',3,12,'{"actor":"developer-two","database":"app","delivery_id":"wd-0b31e7ea-bbaa-472d-abc3-de30cd9f3ee9","detail":null,"environment":"production","event":"request.cancelled","operation":"execute_dml","reason":"not needed any more","request_id":"61821867-eb03-4da3-a04a-7b4a8610326a","requester":"developer-two","status":"cancelled","timestamp":"2026-11-29T15:56:09.655Z"}','pending',0,1795967769655,NULL,1795967769655,1795967769655,NULL,1795967769655);
INSERT INTO "outbox" VALUES(6,'wd-336f537e-ca31-47ea-a032-ffafeb8c39b3','ops','request.approved',1,13,'{"actor":"approver","comment":"agreed","database":"app","delivery_id":"wd-336f537e-ca31-47ea-a032-ffafeb8c39b3","detail":null,"environment":"production","event":"request.approved","operation":"execute_dml","reason":null,"request_id":"a5789dfe-2658-4e5f-a5d6-75a9a3cb978b","requester":"developer-two","status":"approved","step_number":1,"timestamp":"2026-11-29T15:56:09.678Z","total_steps":1}','pending',0,1795967769678,NULL,1795967769678,1795967769678,NULL,1795967769678);
INSERT INTO "outbox" VALUES(7,'wd-2ef78065-dcf2-40c2-b6db-0e25764d8344','ops','request.dispatched',1,14,'{"actor":"developer-two","database":"app","delivery_id":"wd-2ef78065-dcf2-40c2-b6db-0e25764d8344","detail":null,"environment":"production","event":"request.dispatched","operation":"execute_dml","reason":null,"request_id":"a5789dfe-2658-4e5f-a5d6-75a9a3cb978b","requester":"developer-two","status":"dispatched","timestamp":"2026-11-29T15:56:09.711Z"}','pending',0,1795967769711,NULL,1795967769711,1795967769711,NULL,1795967769711);
INSERT INTO "outbox" VALUES(8,'wd-b214b602-6ca0-4200-a8b4-3f7f6c556d60','ops','execution.started',1,17,'{"actor":"agent","attempt":1,"database":"app","delivery_id":"wd-b214b602-6ca0-4200-a8b4-3f7f6c556d60","detail":null,"environment":"production","event":"execution.started","execution_id":"01a22805-5ca1-7464-b0f7-06016199cf79","operation":"execute_dml","reason":null,"request_id":"a5789dfe-2658-4e5f-a5d6-75a9a3cb978b","requester":"developer-two","status":"running","timestamp":"2026-11-29T15:56:09.761Z"}','pending',0,1795967769761,NULL,1795967769761,1795967769761,NULL,1795967769761);
INSERT INTO "outbox" VALUES(9,'wd-067a2d37-d6ca-435e-a231-b30849544201','ops','execution.completed',1,18,'{"actor":"agent","database":"app","delivery_id":"wd-067a2d37-d6ca-435e-a231-b30849544201","detail":null,"duration_ms":12,"environment":"production","event":"execution.completed","execution_id":"01a22805-5ca1-7464-b0f7-06016199cf79","operation":"execute_dml","outcome":"committed","reason":null,"request_id":"a5789dfe-2658-4e5f-a5d6-75a9a3cb978b","requester":"developer-two","rows_affected":1,"status":"executed","timestamp":"2026-11-29T15:56:09.810Z"}','pending',0,1795967769810,NULL,1795967769810,1795967769810,NULL,1795967769810);
INSERT INTO "outbox" VALUES(10,'wd-3f3b554c-3bd5-4a31-b59d-06942bc9e6c6','ops','request.auto_approved',4,19,'{"actor":"developer-two","database":"app","delivery_id":"wd-3f3b554c-3bd5-4a31-b59d-06942bc9e6c6","detail":"SELECT id, name FROM items WHERE id = ?","emergency":false,"environment":"development","event":"request.auto_approved","operation":"execute_select","reason":null,"request_id":"1cb8e3fb-1598-480f-89fd-b8657e6dcd80","requester":"developer-two","risk_level":"low","status":"auto_approved","timestamp":"2026-11-29T15:56:09.839Z","total_steps":0}','pending',0,1795967769839,NULL,1795967769839,1795967769839,NULL,1795967769839);
INSERT INTO "outbox" VALUES(11,'wd-d5e57e04-eb1d-48b7-bffc-69a27e2fdb23','ops','request.dispatched',4,20,'{"actor":"developer-two","database":"app","delivery_id":"wd-d5e57e04-eb1d-48b7-bffc-69a27e2fdb23","detail":null,"environment":"development","event":"request.dispatched","operation":"execute_select","reason":null,"request_id":"1cb8e3fb-1598-480f-89fd-b8657e6dcd80","requester":"developer-two","status":"dispatched","timestamp":"2026-11-29T15:56:09.839Z"}','pending',0,1795967769839,NULL,1795967769839,1795967769839,NULL,1795967769839);
INSERT INTO "outbox" VALUES(12,'wd-377a135d-3723-40d9-a9c5-733b6322be4d','ops','execution.started',4,21,'{"actor":"agent","attempt":1,"database":"app","delivery_id":"wd-377a135d-3723-40d9-a9c5-733b6322be4d","detail":null,"environment":"development","event":"execution.started","execution_id":"01a22805-5d29-76f3-9de6-63862b88130c","operation":"execute_select","reason":null,"request_id":"1cb8e3fb-1598-480f-89fd-b8657e6dcd80","requester":"developer-two","status":"running","timestamp":"2026-11-29T15:56:09.897Z"}','pending',0,1795967769897,NULL,1795967769897,1795967769897,NULL,1795967769897);
INSERT INTO "outbox" VALUES(13,'wd-da36f2a3-0801-4a8c-984a-28eb7710375e','ops','execution.completed',4,22,'{"actor":"agent","database":"app","delivery_id":"wd-da36f2a3-0801-4a8c-984a-28eb7710375e","detail":null,"duration_ms":8,"environment":"development","event":"execution.completed","execution_id":"01a22805-5d29-76f3-9de6-63862b88130c","operation":"execute_select","outcome":"committed","reason":null,"request_id":"1cb8e3fb-1598-480f-89fd-b8657e6dcd80","requester":"developer-two","rows_affected":null,"status":"executed","timestamp":"2026-11-29T15:56:09.928Z"}','pending',0,1795967769928,NULL,1795967769928,1795967769928,NULL,1795967769928);
INSERT INTO "outbox" VALUES(14,'wd-c65dc3a3-67ba-448e-a361-c0bbe2f61a23','ops','request.created',5,30,'{"actor":"developer","database":"app","delivery_id":"wd-c65dc3a3-67ba-448e-a361-c0bbe2f61a23","detail":"UPDATE items SET price = ? WHERE id = ?","emergency":false,"environment":"production","event":"request.created","operation":"execute_dml","reason":null,"request_id":"280b4131-a4e3-4511-87ca-afed11cc8551","requester":"developer","risk_level":"medium","status":"pending","timestamp":"2026-11-29T15:56:10.520Z","total_steps":1}','pending',0,1795967770520,NULL,1795967770520,1795967770520,NULL,1795967770520);
CREATE TABLE outbox_counts (
    channel TEXT NOT NULL,
    status  TEXT NOT NULL,
    n       INTEGER NOT NULL,
    -- When a notification last entered the status; it outlives the notification.
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (channel, status)
) STRICT, WITHOUT ROWID;
INSERT INTO "outbox_counts" VALUES('ops','in_progress',0,1795967769484);
INSERT INTO "outbox_counts" VALUES('ops','pending',14,1795967770520);
CREATE TABLE policy_versions (
    sha256        TEXT PRIMARY KEY CHECK (length(sha256) = 64),
    text          TEXT NOT NULL,
    audit_seq     INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "policy_versions" VALUES('0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51','{"version":1,"databases":[{"name":"app","environments":["development","production"],"dialect":"postgresql"}],"workflows":[{"database":"*","environment":"development","operations":[],"steps":[],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null},{"database":"*","environment":"production","operations":[],"steps":[{"mode":"all","approvers":[{"selector":"group:approvers","min":1}]}],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null}],"execution_policies":[{"database":"*","environment":"production","max_executions":1,"execution_window_secs":86400,"retry_on_failure":false,"statement_timeout_secs":30,"max_statement_timeout_secs":600,"max_rows":null,"migration_lease_duration_secs":null,"migration_statement_timeout_secs":null}],"sql_review":[],"auto_approve":[],"result_policies":[{"database":"*","environment":"*","retention_days":30,"delivery_mode":"both","access":[]}],"notification_policies":[{"database":"*","environment":"*","webhooks":["ops"],"events":["*"]}],"roles":[{"name":"admin","permissions":["*"],"databases":[],"environments":[],"built_in":true},{"name":"agent-default","permissions":["agent.poll","agent.claim","agent.heartbeat","agent.submit_result"],"databases":[],"environments":[],"built_in":true},{"name":"developer","permissions":["request.create","request.create_select","request.view","request.cancel","request.resume","result.view","token.revoke_own"],"databases":[],"environments":[],"built_in":true},{"name":"readonly","permissions":["request.create_select","request.view","result.view"],"databases":[],"environments":[],"built_in":true}],"groups":{"approvers":["approver"]},"role_bindings":[],"default_role":null,"role_mappings":[],"oidc_default_role":null,"approval_ttl_secs":86400,"dispatch_timeout_secs":300}',2,1795967768780);
CREATE TABLE purged_requests (
    request_seq INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    audit_seq   INTEGER NOT NULL
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
CREATE TABLE reported_dialects (
    database_name  TEXT NOT NULL,
    environment    TEXT NOT NULL,
    agent_id       TEXT NOT NULL REFERENCES users (id),
    dialect        TEXT NOT NULL CHECK (dialect IN ('postgresql', 'mysql', 'sqlite')),
    reported_at_ms INTEGER NOT NULL,
    audit_seq      INTEGER NOT NULL,
    PRIMARY KEY (database_name, environment, agent_id)
) STRICT, WITHOUT ROWID;
INSERT INTO "reported_dialects" VALUES('app','production','agent','postgresql',1795967769743,16);
CREATE TABLE request_approvers (
    selector    TEXT NOT NULL,
    request_seq INTEGER NOT NULL REFERENCES requests (seq),
    PRIMARY KEY (selector, request_seq)
) STRICT, WITHOUT ROWID;
INSERT INTO "request_approvers" VALUES('group:approvers',5);
CREATE TABLE request_contexts (
    request_seq   INTEGER PRIMARY KEY REFERENCES requests (seq),
    status        TEXT NOT NULL CHECK (status = 'collecting' OR status = 'ready' OR status = 'partial' OR status = 'unavailable'),
    context_json  TEXT NOT NULL CHECK (json_valid(context_json)),
    explain_json  TEXT CHECK (json_valid(explain_json)),
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT;
INSERT INTO "request_contexts" VALUES(1,'collecting','{"tables":["items"],"sql_review":{"blocked":false,"findings":[]},"risk":{"level":"Unknown","factors":["SchemaNotSynced"]},"schema_snapshot_collected_at":null}',NULL,1795967769467,1795967769467);
INSERT INTO "request_contexts" VALUES(2,'collecting','{"tables":["items"],"sql_review":{"blocked":false,"findings":[]},"risk":{"level":"Unknown","factors":["SchemaNotSynced"]},"schema_snapshot_collected_at":null}',NULL,1795967769527,1795967769527);
INSERT INTO "request_contexts" VALUES(3,'collecting','{"tables":["items"],"sql_review":{"blocked":false,"findings":[]},"risk":{"level":"Unknown","factors":["SchemaNotSynced"]},"schema_snapshot_collected_at":null}',NULL,1795967769613,1795967769613);
INSERT INTO "request_contexts" VALUES(4,'ready','{"tables":["items"],"sql_review":{"blocked":false,"findings":[]},"risk":{"level":"Low","factors":["ReadOnly"]},"schema_snapshot_collected_at":null}',NULL,1795967769839,1795967769839);
INSERT INTO "request_contexts" VALUES(5,'collecting','{"tables":["items"],"sql_review":{"blocked":false,"findings":[]},"risk":{"level":"Medium","factors":["LargeTable { rows: 1200 }"]},"schema_snapshot_collected_at":"2026-11-29T15:56:09.743Z"}',NULL,1795967770520,1795967770520);
CREATE TABLE request_counts (
    status TEXT PRIMARY KEY,
    n      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "request_counts" VALUES('approved',0);
INSERT INTO "request_counts" VALUES('auto_approved',0);
INSERT INTO "request_counts" VALUES('break_glass',0);
INSERT INTO "request_counts" VALUES('cancelled',1);
INSERT INTO "request_counts" VALUES('dispatched',0);
INSERT INTO "request_counts" VALUES('executed',2);
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
INSERT INTO "request_texts" VALUES(1,'UPDATE items SET price = 1200 WHERE id = 7','["UPDATE items SET price = 1200 WHERE id = 7"]','{"database":"*","environment":"production","operations":[],"steps":[{"mode":"all","approvers":[{"selector":"group:approvers","min":1}]}],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null}','{"version":3,"database":"app","environment":"production","asked_operation":"execute_select","emergency":false,"allow_ddl":false,"has_reason":true,"sql":{"dialect":"postgresql","class":{"name":"dml","ddl_only":false,"reason":"updates rows"},"statements":1,"ddl_eligible":false,"safe_ddl":false,"foreseen":true,"tables":["items"],"findings":[],"unknown_functions":[],"schema":"not_synced","effects":[]},"schema_collected_at":null,"requester":{"subject":"developer-two","roles":["developer"],"groups":[]}}','{"version":1,"classification":{"resolved_operation":"execute_dml","reason":"updates rows"},"sql_review":{"findings_count":0,"parse_failed":false},"risk":{"level":"unknown","factors":["SchemaNotSynced"],"schema_status":"not_synced"},"workflow":{"matched":{"id":"wf:*:production:e3b0c44298fc","database":"*","environment":"production","step_count":1}},"decision":{"outcome":"needs_approval","reasons":["no_auto_approve_rule"],"auto_approve_threshold":null}}',NULL,'[]','580d2e6f2da7744ef2d29c99dd869d64661dc851fc255631136f3fdbb08b9894','UPDATE items SET price = ? WHERE id = ?',X'A3C90C37C776C2F07D7D9DE5A9ABD2A795FA1AF3ACF8567948B16C99A1503788');
INSERT INTO "request_texts" VALUES(2,'DELETE FROM items WHERE id = 9','["DELETE FROM items WHERE id = 9"]','{"database":"*","environment":"production","operations":[],"steps":[{"mode":"all","approvers":[{"selector":"group:approvers","min":1}]}],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null}','{"version":3,"database":"app","environment":"production","asked_operation":"execute_select","emergency":false,"allow_ddl":false,"has_reason":false,"sql":{"dialect":"postgresql","class":{"name":"dml","ddl_only":false,"reason":"deletes rows"},"statements":1,"ddl_eligible":false,"safe_ddl":false,"foreseen":true,"tables":["items"],"findings":[],"unknown_functions":[],"schema":"not_synced","effects":[]},"schema_collected_at":null,"requester":{"subject":"developer-two","roles":["developer"],"groups":[]}}','{"version":1,"classification":{"resolved_operation":"execute_dml","reason":"deletes rows"},"sql_review":{"findings_count":0,"parse_failed":false},"risk":{"level":"unknown","factors":["SchemaNotSynced"],"schema_status":"not_synced"},"workflow":{"matched":{"id":"wf:*:production:e3b0c44298fc","database":"*","environment":"production","step_count":1}},"decision":{"outcome":"needs_approval","reasons":["no_auto_approve_rule"],"auto_approve_threshold":null}}',NULL,'[]','3a02ec4d7553a3d9fdc6308740725e7ac26e422b5bc7f3130ae0ae16644983ca','DELETE FROM items WHERE id = ?',X'B863568DB8F8E045E0A6BC55AFF32298FFE970583D53D665E7F2DEE431240C64');
INSERT INTO "request_texts" VALUES(3,'DELETE FROM items WHERE id = 10','["DELETE FROM items WHERE id = 10"]','{"database":"*","environment":"production","operations":[],"steps":[{"mode":"all","approvers":[{"selector":"group:approvers","min":1}]}],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null}','{"version":3,"database":"app","environment":"production","asked_operation":"execute_select","emergency":false,"allow_ddl":false,"has_reason":false,"sql":{"dialect":"postgresql","class":{"name":"dml","ddl_only":false,"reason":"deletes rows"},"statements":1,"ddl_eligible":false,"safe_ddl":false,"foreseen":true,"tables":["items"],"findings":[],"unknown_functions":[],"schema":"not_synced","effects":[]},"schema_collected_at":null,"requester":{"subject":"developer-two","roles":["developer"],"groups":[]}}','{"version":1,"classification":{"resolved_operation":"execute_dml","reason":"deletes rows"},"sql_review":{"findings_count":0,"parse_failed":false},"risk":{"level":"unknown","factors":["SchemaNotSynced"],"schema_status":"not_synced"},"workflow":{"matched":{"id":"wf:*:production:e3b0c44298fc","database":"*","environment":"production","step_count":1}},"decision":{"outcome":"needs_approval","reasons":["no_auto_approve_rule"],"auto_approve_threshold":null}}',NULL,'[]','3a02ec4d7553a3d9fdc6308740725e7ac26e422b5bc7f3130ae0ae16644983ca','DELETE FROM items WHERE id = ?',X'42B72232B3946E8233964CB8925123527026A99E840FCA13F888CF98FA15E193');
INSERT INTO "request_texts" VALUES(4,'SELECT id, name FROM items WHERE id = 7','["SELECT id, name FROM items WHERE id = 7"]','{"database":"*","environment":"development","operations":[],"steps":[],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null}','{"version":3,"database":"app","environment":"development","asked_operation":"execute_select","emergency":false,"allow_ddl":false,"has_reason":false,"sql":{"dialect":"postgresql","class":{"name":"select"},"statements":1,"ddl_eligible":false,"safe_ddl":false,"foreseen":true,"tables":["items"],"findings":[],"unknown_functions":[],"schema":"not_synced","effects":[]},"schema_collected_at":null,"requester":{"subject":"developer-two","roles":["developer"],"groups":[]}}','{"version":1,"classification":{"resolved_operation":"execute_select","reason":"reads only"},"sql_review":{"findings_count":0,"parse_failed":false},"risk":{"level":"low","factors":["ReadOnly"],"schema_status":"not_synced"},"workflow":{"matched":{"id":"wf:*:development:e3b0c44298fc","database":"*","environment":"development","step_count":0}},"decision":{"outcome":"auto_approved","reasons":["empty_steps"],"auto_approve_threshold":null}}',NULL,'[]','cff08083d7599199a84e3ee39b86702d304b70c550cf84c1c49f76f9c8c894ef','SELECT id, name FROM items WHERE id = ?',X'2766A868E3419140FE9F574207D9FF82088AC3FC1D3FFEE66BEEDB8FAB20EAF1');
INSERT INTO "request_texts" VALUES(5,'UPDATE items SET price = 1300 WHERE id = 8','["UPDATE items SET price = 1300 WHERE id = 8"]','{"database":"*","environment":"production","operations":[],"steps":[{"mode":"all","approvers":[{"selector":"group:approvers","min":1}]}],"require_reason":false,"allow_self_approve":false,"allow_same_approver_across_steps":true,"admin_override":true,"distinct_token_issuer":false,"explain":true,"pending_ttl_secs":null,"approval_ttl_secs":null,"statement_timeout_secs":null}','{"version":3,"database":"app","environment":"production","asked_operation":"execute_select","emergency":false,"allow_ddl":false,"has_reason":false,"sql":{"dialect":"postgresql","class":{"name":"dml","ddl_only":false,"reason":"updates rows"},"statements":1,"ddl_eligible":false,"safe_ddl":false,"foreseen":true,"tables":["items"],"findings":[],"unknown_functions":[],"schema":"ready","effects":[{"effect":"rows","rows":1200,"cascade":[]}]},"schema_collected_at":"2026-11-29T15:56:09.743Z","requester":{"subject":"developer","roles":["developer"],"groups":[]}}','{"version":1,"classification":{"resolved_operation":"execute_dml","reason":"updates rows"},"sql_review":{"findings_count":0,"parse_failed":false},"risk":{"level":"medium","factors":["LargeTable { rows: 1200 }"],"schema_status":"ready"},"workflow":{"matched":{"id":"wf:*:production:e3b0c44298fc","database":"*","environment":"production","step_count":1}},"decision":{"outcome":"needs_approval","reasons":["no_auto_approve_rule"],"auto_approve_threshold":null}}',NULL,'[]','580d2e6f2da7744ef2d29c99dd869d64661dc851fc255631136f3fdbb08b9894','UPDATE items SET price = ? WHERE id = ?',X'AEE00BCCC09EFF6EF0B2149395B0E86D5AA1946266C9C11738156D9D7E4CEF70');
CREATE TABLE requester_counts (
    requester TEXT NOT NULL,
    status    TEXT NOT NULL,
    n         INTEGER NOT NULL,
    PRIMARY KEY (requester, status)
) STRICT, WITHOUT ROWID;
INSERT INTO "requester_counts" VALUES('developer','pending',1);
INSERT INTO "requester_counts" VALUES('developer-two','approved',0);
INSERT INTO "requester_counts" VALUES('developer-two','auto_approved',0);
INSERT INTO "requester_counts" VALUES('developer-two','cancelled',1);
INSERT INTO "requester_counts" VALUES('developer-two','dispatched',0);
INSERT INTO "requester_counts" VALUES('developer-two','executed',2);
INSERT INTO "requester_counts" VALUES('developer-two','pending',0);
INSERT INTO "requester_counts" VALUES('developer-two','rejected',1);
INSERT INTO "requester_counts" VALUES('developer-two','running',0);
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
INSERT INTO "requests" VALUES(1,'a5789dfe-2658-4e5f-a5d6-75a9a3cb978b','developer-two','11182fea-14a9-4d9a-b8f1-f154f3e4542d','app','production','execute_dml','executed',18,0,0,0,'price list of May',1,1,'unknown','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',1795967769467,1795967769810,1795967769810,1796054169467,1795967769678,1796054169678,'approved',NULL,1795967769810,1,0,'01a22805-5ca1-7464-b0f7-06016199cf79','agent',NULL,NULL,NULL,'postgresql',NULL,NULL,NULL,NULL);
INSERT INTO "requests" VALUES(2,'1951d8a4-1907-46df-90e3-486f2013ad0f','developer-two','11182fea-14a9-4d9a-b8f1-f154f3e4542d','app','production','execute_dml','rejected',10,0,0,0,NULL,0,1,'unknown','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',1795967769527,1795967769551,1795967769551,1796054169527,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,NULL,NULL,NULL,'postgresql',NULL,NULL,NULL,NULL);
INSERT INTO "requests" VALUES(3,'61821867-eb03-4da3-a04a-7b4a8610326a','developer-two','11182fea-14a9-4d9a-b8f1-f154f3e4542d','app','production','execute_dml','cancelled',12,0,0,0,NULL,0,1,'unknown','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',1795967769613,1795967769655,1795967769655,1796054169613,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,'developer-two','not needed any more',NULL,'postgresql',NULL,NULL,NULL,NULL);
INSERT INTO "requests" VALUES(4,'1cb8e3fb-1598-480f-89fd-b8657e6dcd80','developer-two','11182fea-14a9-4d9a-b8f1-f154f3e4542d','app','development','execute_select','executed',22,0,0,0,NULL,0,0,'low','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',1795967769839,1795967769928,1795967769928,NULL,1795967769839,1796054169839,'auto_approved',NULL,1795967769928,1,0,'01a22805-5d29-76f3-9de6-63862b88130c','agent',NULL,NULL,NULL,'postgresql',NULL,NULL,NULL,NULL);
INSERT INTO "requests" VALUES(5,'280b4131-a4e3-4511-87ca-afed11cc8551','developer','4df04bbb-bbb8-4770-ab3e-91a55f9e47ad','app','production','execute_dml','pending',30,0,0,0,NULL,0,1,'medium','0cb5655aa3cba63dbaf753f970cfaf7bad43af70b0fd44be998cb4d87fdd6b51',1795967770520,1795967770520,NULL,1796054170520,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,NULL,NULL,1796054170520,'postgresql',NULL,NULL,NULL,NULL);
CREATE TABLE result_access (
    selector      TEXT NOT NULL,
    execution_seq INTEGER NOT NULL REFERENCES results (execution_seq),
    PRIMARY KEY (selector, execution_seq)
) STRICT, WITHOUT ROWID;
INSERT INTO "result_access" VALUES('user:developer-two',1);
INSERT INTO "result_access" VALUES('user:developer-two',2);
CREATE TABLE result_bodies (
    execution_seq INTEGER PRIMARY KEY REFERENCES executions (seq),
    body          BLOB NOT NULL
) STRICT;
INSERT INTO "result_bodies" VALUES(1,X'7B225F6462776172645F726573756C74223A747275652C226572726F725F6D657373616765223A6E756C6C2C22657865637574696F6E5F6964223A2230316132323830352D356361312D373436342D623066372D303630313631393963663739222C226F7574636F6D65223A22636F6D6D6974746564222C226F7574636F6D655F756E70726F76656E223A66616C73652C22726573756C745F64617461223A7B22726F7773223A5B5D2C22726F77735F6166666563746564223A317D2C22726F77735F6166666563746564223A312C2273756363657373223A747275652C227472756E6361746564223A66616C73657D');
INSERT INTO "result_bodies" VALUES(2,X'7B225F6462776172645F726573756C74223A747275652C226572726F725F6D657373616765223A6E756C6C2C22657865637574696F6E5F6964223A2230316132323830352D356432392D373666332D396465362D363338363262383831333063222C226F7574636F6D65223A22636F6D6D6974746564222C226F7574636F6D655F756E70726F76656E223A66616C73652C22726573756C745F64617461223A7B22726F7773223A5B7B226964223A372C226E616D65223A2262696379636C65227D5D2C227472756E6361746564223A66616C73652C227472756E636174696F6E5F726561736F6E223A6E756C6C7D2C22726F77735F6166666563746564223A6E756C6C2C2273756363657373223A747275652C227472756E6361746564223A66616C73657D');
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
INSERT INTO "results" VALUES(1,1,'row','a5789dfe-2658-4e5f-a5d6-75a9a3cb978b/01a22805-5ca1-7464-b0f7-06016199cf79',240,'c84ccaefa7ef005f38d0f4ffbed8c3c0e5cfa027a73de660d1d5e2a9b60d5b70',1795967769810,1798559769810,18);
INSERT INTO "results" VALUES(2,4,'row','1cb8e3fb-1598-480f-89fd-b8657e6dcd80/01a22805-5d29-76f3-9de6-63862b88130c',293,'63d94b4329d7ce87e8d3de8070f948c578d3a383af0af672249cb34136c51373',1795967769928,1798559769928,22);
CREATE TABLE schema_migrations (
    name          TEXT PRIMARY KEY,
    sha256        TEXT NOT NULL,
    applied_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "schema_migrations" VALUES('0001_initial','a9f47d38eb03bef12f5ccc037051eb60b938c432675e4f1ee806a990557a1a12',1795967768655);
INSERT INTO "schema_migrations" VALUES('0002_requester_counts','206be4eef1dc5f654d7516ea38f3e31bfa7b313bb36bc0d24f1530255b0410d2',1795967768655);
INSERT INTO "schema_migrations" VALUES('0003_outbox','ad9b99dc0b610567e4b58c3cc40f6a265e67aa82dd9498025062835938d13d5b',1795967768655);
INSERT INTO "schema_migrations" VALUES('0004_retention','1c9b45c0824387b069a315dd24faca3a648d027175fcb4ee6401603d3c4e2d83',1795967768655);
INSERT INTO "schema_migrations" VALUES('0005_tokens','b02aa3456de4ef6ff2a5770fb2c41c31e89d41cbe4c29588f4308ea1470cb5a1',1795967768655);
INSERT INTO "schema_migrations" VALUES('0006_head','be270601868bc622b1889dbf549aca15f138e6858c9eed32d7fcf36b14cacba9',1795967768655);
INSERT INTO "schema_migrations" VALUES('0007_result_bodies','449a2ee1e3788cac66f7809d8eaff018aec3ff8da2da1b77baf441464be57f03',1795967768655);
INSERT INTO "schema_migrations" VALUES('0008_outcomes','c4f77133c51fa179cfac81979317a2d3af24767a4720c1fe688df0f92ad52853',1795967768655);
INSERT INTO "schema_migrations" VALUES('0009_dialects','adfb7d6a9da8214f643e796a335ed1d3a919362662f83ebf95a20e095a471a4d',1795967768655);
INSERT INTO "schema_migrations" VALUES('0010_delivery','dfe72025dfe7e9d3da5e812ff1e43d29e5d1408f39081c48a4d0eed394f3d316',1795967768655);
INSERT INTO "schema_migrations" VALUES('0011_descent','783a8a282d09e4eb4b9f497d5d7ba29170572664935cfb530c148c5bda6af2c6',1795967768655);
INSERT INTO "schema_migrations" VALUES('0012_commitments','c27068a74c753f84f1c955b3c0c4e9d80be4ef442240d772e812210a8227fc61',1795967768655);
INSERT INTO "schema_migrations" VALUES('0013_row_bounds','4b7b0de0d58f01aed666c51f4e0b7c644d173b7814a20f093ac4936c65f0006e',1795967768655);
INSERT INTO "schema_migrations" VALUES('0014_stated_dialects','b6a69fe78bfbbfcdf31e3f49eec313d09f7b75034b636e37b219690d8843c62f',1795967768655);
INSERT INTO "schema_migrations" VALUES('0015_reminders','4497d1eb94e8acf31e71f98bb03ea09e307eed0467df497acb7029924fcc2bbe',1795967768655);
INSERT INTO "schema_migrations" VALUES('0016_error_details','0d393fafc9c1a6e32ff25fdc4cddaeca4b53dc9d5ce216a9aa1e0909b9490546',1795967768655);
INSERT INTO "schema_migrations" VALUES('0017_plain_comparisons','5b9a56245dac7301d7fa6d255e3b4f76a97edc956bc3febec48f06579c4d539f',1795967768655);
INSERT INTO "schema_migrations" VALUES('0018_slack','524af5a1d86490a6acaf01b2440bd489ba471f9e17c38264780a12021e2ca005',1795967768655);
INSERT INTO "schema_migrations" VALUES('0019_rehearsals','6afd2b9f39de6ef88ac499144c5111a69ea64fbd0f07af9c0d0a9a2cde151fcf',1795967768655);
INSERT INTO "schema_migrations" VALUES('0020_frozen_requests','ed15856dd9ad223da6097563a9a143611f9611cc27097cd4892f4d702c11740e',1795967768655);
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
INSERT INTO "schema_snapshots" VALUES('app','production','postgresql','{"tables": [{"name": "items", "schema_name": "public", "estimated_rows": 1200, "columns": [{"name": "id", "data_type": "bigint", "nullable": false, "is_primary_key": true}, {"name": "price", "data_type": "integer", "nullable": true, "is_primary_key": false}], "constraints": [{"constraint_type": "primary_key", "columns": ["id"]}], "indexes": []}]}',1795967769743,'ready',NULL,1795967769743,'agent',16);
CREATE TABLE slack_messages (
    request_seq INTEGER PRIMARY KEY REFERENCES requests (seq),
    -- As Slack names both in its answer.
    channel     TEXT NOT NULL,
    ts          TEXT NOT NULL
) STRICT;
CREATE TABLE stated_dialects (
    database_name TEXT NOT NULL,
    environment   TEXT NOT NULL,
    agent_id      TEXT NOT NULL REFERENCES users (id),
    dialect       TEXT NOT NULL CHECK (dialect IN ('postgresql', 'mysql', 'sqlite')),
    audit_seq     INTEGER NOT NULL,
    PRIMARY KEY (database_name, environment, agent_id)
) STRICT, WITHOUT ROWID;
INSERT INTO "stated_dialects" VALUES('app','production','agent','postgresql',16);
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
INSERT INTO "tokens" VALUES('11182fea-14a9-4d9a-b8f1-f154f3e4542d','user','developer-two','915ddb0fbaf06fc72949730a400d229b053bbe080d6eb8979fa966f4afc85641','41ffdf92','laptop','["developer"]','grant','[]','admin',1795967769352,NULL,1795967770309,1795967769465,24,'["admin"]',NULL,'a8be82d2-a12f-4530-b89b-f36209c6229e');
INSERT INTO "tokens" VALUES('4df04bbb-bbb8-4770-ab3e-91a55f9e47ad','user','developer','ca62990b3a8031c4c8f4c067f6784ab82cf31643b182ff5a7e029cdd8460b81a','03c3c74a','bootstrap-developer','["developer"]','grant','[]','system',1795967768863,NULL,NULL,1795967770456,4,'[]',NULL,NULL);
INSERT INTO "tokens" VALUES('6bea28cc-1b3e-4a63-8e69-d388e0d89f4f','agent','agent','f2fd4fae59879056973cd5e1776bd3279ce05725554b73d42059b1f7ed456bae','ce8b4dfc','bootstrap-agent','["agent-default"]','grant','[]','system',1795967768863,NULL,NULL,1795967769730,5,'[]',NULL,NULL);
INSERT INTO "tokens" VALUES('a8be82d2-a12f-4530-b89b-f36209c6229e','user','admin','8233b8f7103452ddd209608489e598095c2238632bedd794c78bbf01ef768403','3f62c131','bootstrap-admin','["admin"]','grant','[]','system',1795967768863,NULL,NULL,1795967770432,3,'[]',NULL,NULL);
INSERT INTO "tokens" VALUES('dab193b3-599e-4190-a2ad-8dd19abcebe6','user','approver','974aba362200d2aeebaf381565018c824400bb6f04ae7b3927e712d5e2fed487','0deffe43',NULL,'["developer"]','grant','[]','admin',1795967769391,NULL,NULL,1795967770473,7,'["admin"]',NULL,'a8be82d2-a12f-4530-b89b-f36209c6229e');
INSERT INTO "tokens" VALUES('fed73efb-e588-4a93-851f-7449e8b26c36','user','leaver','449db19a89b492daed90e3e3a3bd469b27a118516b54f59d9f1883c85e283336','c5a6d90a',NULL,'[]','resolved','[]','admin',1795967770395,NULL,1795967770415,NULL,28,'["admin"]',NULL,'a8be82d2-a12f-4530-b89b-f36209c6229e');
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
INSERT INTO "users" VALUES('admin','user','active','token',NULL,1795967768863,1795967768863,1795967770432,3,'[]');
INSERT INTO "users" VALUES('agent','agent','active','token',NULL,1795967768863,1795967768863,1795967769730,5,'[]');
INSERT INTO "users" VALUES('approver','user','active','token','U024BE7LH',1795967769391,1795967770378,1795967770473,26,'["admin"]');
INSERT INTO "users" VALUES('developer','user','active','token',NULL,1795967768863,1795967768863,1795967770456,4,'[]');
INSERT INTO "users" VALUES('developer-two','user','active','token',NULL,1795967769352,1795967770337,1795967769465,25,'[]');
INSERT INTO "users" VALUES('leaver','user','active','token',NULL,1795967770395,1795967770395,NULL,27,'[]');
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
COMMIT;
