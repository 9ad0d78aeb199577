-- What a database adds to an error and that quotes values of rows; shown to the requester alone, and in no event.
ALTER TABLE executions ADD COLUMN error_detail TEXT;
