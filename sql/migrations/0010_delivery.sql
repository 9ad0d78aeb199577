-- Who a notification is for where its channel reaches many people, and since when a repeated one waits.

ALTER TABLE outbox ADD COLUMN recipient TEXT;

ALTER TABLE outbox ADD COLUMN pending_since_ms INTEGER;

DROP TRIGGER outbox_fixed;

CREATE TRIGGER outbox_fixed
BEFORE UPDATE OF seq, delivery_id, channel, event_type, request_seq, audit_seq, payload_json, created_at_ms, recipient
ON outbox
BEGIN SELECT RAISE(ABORT, 'what a notification says never changes'); END;
