-- Makes finished windows due again: $1 devices, $2 starts. It is live work now, whatever job asked for
-- the window before.
UPDATE processing_batches b
   SET status = 'pending', retry_count = 0, next_attempt_at = clock_timestamp(), job_id = NULL,
       updated_at = clock_timestamp()
  FROM unnest($1::text[], $2::timestamptz[]) AS w (device, start)
 WHERE b.device_id = w.device AND b.start_time = w.start AND b.status IN ('completed', 'failed')
