-- Windows that must be left alone at $2: put off, or taken by hand less than $1 ago, which next_attempt_at says, too.
SELECT b.device_id, b.start_time, b.end_time
  FROM @extschema@.processing_batches b
 WHERE b.status IN ('pending', 'processing') AND b.next_attempt_at >= $2 - $1
   AND (b.status = 'pending' AND b.next_attempt_at > $2
        OR b.status = 'processing' AND b.processing_started_at >= $2 - $1)
