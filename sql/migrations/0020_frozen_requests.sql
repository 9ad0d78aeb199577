-- Frozen requests stay part of the live state, whatever became of them, and a start finds them without a look at those
-- that are closed.

CREATE INDEX requests__frozen ON requests (corrupt_seq) WHERE corrupt_seq IS NOT NULL;
