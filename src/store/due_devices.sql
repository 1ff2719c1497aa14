-- Devices that have batches which are due at $5: put off and due again, reopened, asked for by a job, claimed by
-- hand and left for longer than $1, or to be settled. Those of jobs only if $2, the others only if not;
-- devices $4 are left out, and so is what was due before $6. With each its number of windows that are due, and since when.
SELECT due.device_id, count(*), min(due.since)
  FROM (SELECT b.device_id, b.next_attempt_at AS since
          FROM @extschema@.processing_batches b
         WHERE b.status IN ('pending', 'processing') AND b.next_attempt_at >= $6 AND b.next_attempt_at <= $5
           AND (b.job_id IS NOT NULL) = $2
           AND (b.status = 'pending' OR b.processing_started_at < $5 - $1)
        UNION ALL
        SELECT b.device_id, b.settles_at
          FROM @extschema@.processing_batches b
         WHERE NOT $2 AND b.status = 'completed' AND b.settles_at >= $6 AND b.settles_at <= $5) due
 WHERE due.device_id <> ALL ($4)
 GROUP BY due.device_id
 ORDER BY min(due.since)
 LIMIT $3
