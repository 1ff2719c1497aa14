-- Puts windows on record as pending: $1 devices, $2 starts, $3 ends, $4 batch ids. A batch that
-- waits for its next attempt or is in somebody's hands stays as it is.
INSERT INTO processing_batches AS b (device_id, start_time, end_time, batch_id)
SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::uuid[])
ON CONFLICT (device_id, start_time) DO UPDATE
   SET status = 'pending', retry_count = 0, next_attempt_at = clock_timestamp(), job_id = NULL,
       updated_at = clock_timestamp()
 WHERE b.status IN ('completed', 'failed')
