-- Windows that must be left alone for now: put off, or taken by hand less than $1 ago.
SELECT b.device_id, b.start_time, b.end_time
  FROM @extschema@.processing_batches b
 WHERE b.status = 'pending' AND b.next_attempt_at > clock_timestamp()
    OR b.status = 'processing' AND b.processing_started_at >= clock_timestamp() - $1
