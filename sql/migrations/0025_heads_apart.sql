-- No table changes: from here on the head of the log is signed for another purpose than the baselines in its events, so
-- that none of them passes for the head of a log that was cut there.
SELECT 1;
