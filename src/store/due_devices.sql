-- Devices that have batches which are due: put off and due again, reopened, asked for by a job, or
-- claimed by hand and left for longer than $1. Those of jobs only if $2, the others only if not;
-- devices $4 are left out.
SELECT b.device_id
  FROM @extschema@.processing_batches b
 WHERE (b.job_id IS NOT NULL) = $2
   AND (b.status = 'pending' AND b.next_attempt_at <= clock_timestamp()
        OR b.status = 'processing' AND b.processing_started_at < clock_timestamp() - $1)
   AND b.device_id <> ALL ($4)
 GROUP BY b.device_id
 ORDER BY min(b.next_attempt_at)
 LIMIT $3
