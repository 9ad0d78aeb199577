-- A list of more than two constants behind IN is a temporary table that each statement makes and drops, a third of the
-- price of an insert here. The same conditions, compared one by one: of the tables that every request writes, and of
-- the indexes that every change of a request consults. A CHECK has no bytes of its own in the file, so its text is
-- replaced in place, the way SQLite's manual describes in section 7 of ALTER TABLE.

DROP INDEX requests__migrating;
CREATE INDEX requests__migrating ON requests (database_name, environment)
    WHERE status = 'running'
    AND (operation = 'migrate_up' OR operation = 'migrate_down' OR operation = 'migrate_repair');

DROP INDEX requests__settled;
CREATE INDEX requests__settled ON requests (updated_at_ms)
    WHERE (status = 'executed' OR status = 'failed' OR status = 'rejected' OR status = 'cancelled'
    OR status = 'expired' OR status = 'execution_lost');

PRAGMA writable_schema = ON;

UPDATE sqlite_schema SET sql = replace(replace(sql,
    'outcome IN (''success'', ''denied'', ''failure'', ''info'')',
    'outcome = ''success'' OR outcome = ''denied'' OR outcome = ''failure'' OR outcome = ''info'''),
    'actor_type IN (''user'', ''agent'', ''system'')',
    'actor_type = ''user'' OR actor_type = ''agent'' OR actor_type = ''system''')
WHERE type = 'table' AND name = 'audit_events';

UPDATE sqlite_schema SET sql = replace(sql,
    'dialect IN (''postgresql'', ''mysql'', ''sqlite'', ''any'', ''unknown'')',
    'dialect = ''postgresql'' OR dialect = ''mysql'' OR dialect = ''sqlite'' OR dialect = ''any'' OR dialect = ''unknown''')
WHERE type = 'table' AND name = 'requests';

UPDATE sqlite_schema SET sql = replace(sql,
    'status IN (''collecting'', ''ready'', ''partial'', ''unavailable'')',
    'status = ''collecting'' OR status = ''ready'' OR status = ''partial'' OR status = ''unavailable''')
WHERE type = 'table' AND name = 'request_contexts';

UPDATE sqlite_schema SET sql = replace(replace(sql,
    'status IN (''claimed'', ''completed'', ''failed'', ''lost'')',
    'status = ''claimed'' OR status = ''completed'' OR status = ''failed'' OR status = ''lost'''),
    'outcome IN (''committed'', ''rolled_back'', ''partial'', ''unknown'')',
    'outcome = ''committed'' OR outcome = ''rolled_back'' OR outcome = ''partial'' OR outcome = ''unknown''')
WHERE type = 'table' AND name = 'executions';

UPDATE sqlite_schema SET sql = replace(sql,
    'status IN (''pending'', ''in_progress'', ''delivered'', ''cancelled'', ''dead'')',
    'status = ''pending'' OR status = ''in_progress'' OR status = ''delivered'' OR status = ''cancelled'' OR status = ''dead''')
WHERE type = 'table' AND name = 'outbox';

PRAGMA writable_schema = RESET;
