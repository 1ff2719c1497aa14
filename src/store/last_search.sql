-- When all that may wait was searched last, if at $1 it is too early for that again; null if not. With an old snapshot
-- open, a search passes over all that has been done since, at some 0.3 µs a page; the more that is, the more rarely it is
-- made. The last search is the last on record: what was recorded while a clock was ahead says nothing. None is passed over
-- by so many runs.
SELECT CASE WHEN r.search_pages >= 2000 AND r.finished_at + r.search_pages * interval '100 us' >= $1 THEN r.started_at END
  FROM (SELECT * FROM @extschema@.worker_runs ORDER BY id DESC LIMIT 2000) r
 WHERE r.search_pages IS NOT NULL AND r.started_at > $1 - interval '1 hour' AND r.finished_at <= $1
 ORDER BY r.id DESC
 LIMIT 1
