-- The message of the Slack app about a request, so that the next event updates it.

CREATE TABLE slack_messages (
    request_seq INTEGER PRIMARY KEY REFERENCES requests (seq),
    -- As Slack names both in its answer.
    channel     TEXT NOT NULL,
    ts          TEXT NOT NULL
) STRICT;
