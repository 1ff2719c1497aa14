-- Whether it is time to look for old points again. With an old snapshot open, a search passes over all that has
-- been processed since, at some 0.3 µs a page; the more that is, the more rarely it is made. The last search is the last on
-- record: what was recorded while a clock was ahead says nothing. None is passed over by so many runs.
SELECT coalesce(
    (SELECT r.search_pages < 2000 OR r.finished_at + r.search_pages * interval '100 us' < clock_timestamp()
       FROM (SELECT * FROM @extschema@.worker_runs ORDER BY id DESC LIMIT 2000) r
      WHERE r.search_pages IS NOT NULL AND r.started_at > clock_timestamp() - interval '1 hour'
        AND r.finished_at <= clock_timestamp()
      ORDER BY r.id DESC
      LIMIT 1), true)
