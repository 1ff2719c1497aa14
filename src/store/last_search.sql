-- When all that may wait was searched last, if at $1 it is too early for that again; null if not. With an old snapshot
-- open, a search passes over all that has been done since, at some 0.3 µs a page; the more that is, the more rarely it is
-- made.
SELECT CASE WHEN r.search_pages >= 2000 AND r.finished_at + r.search_pages * interval '100 us' >= $1
            THEN least(r.started_at, $1) END
  FROM @extschema@.worker_runs r
 WHERE r.search_pages IS NOT NULL AND r.started_at > $1 - interval '1 hour'
 ORDER BY r.started_at DESC
 LIMIT 1
