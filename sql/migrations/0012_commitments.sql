-- A request proves what was approved: `request.created` carries a hash over its texts and this salt, which goes with
-- them. Requests from before have none.

ALTER TABLE request_texts ADD COLUMN salt BLOB CHECK (length(salt) = 32);

-- The event that froze it: what is stored is not what was asked for or approved. It stays so.
ALTER TABLE requests ADD COLUMN corrupt_seq INTEGER;

CREATE TRIGGER requests_frozen BEFORE UPDATE OF corrupt_seq ON requests
WHEN OLD.corrupt_seq IS NOT NULL
  OR NEW.corrupt_seq IS NOT (SELECT max(seq) FROM audit_events)
  OR 'request.corrupt' IS NOT (SELECT event_type FROM audit_events WHERE seq = NEW.corrupt_seq)
  OR NEW.id IS NOT (SELECT request_id FROM audit_events WHERE seq = NEW.corrupt_seq)
BEGIN SELECT RAISE(ABORT, 'request frozen without its audit event'); END;
