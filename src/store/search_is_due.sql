-- Whether it is time to look for old points again. With an old snapshot open, a search passes over all that has
-- been processed since, at some 0.3 µs a page; the more that is, the more rarely it is made.
SELECT coalesce(
    (SELECT r.search_pages < 2000 OR r.finished_at + r.search_pages * interval '100 us' < clock_timestamp()
       FROM @extschema@.worker_runs r
      WHERE r.search_pages IS NOT NULL AND r.started_at > clock_timestamp() - interval '1 hour'
      ORDER BY r.started_at DESC
      LIMIT 1), true)
