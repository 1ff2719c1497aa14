-- The windows of devices $2 that are due (see due_devices.sql), at most $3: all of a device before the next.
SELECT b.device_id, b.start_time, b.end_time
  FROM @extschema@.processing_batches b
 WHERE b.device_id = ANY ($2)
   AND (b.status = 'pending' AND b.next_attempt_at <= clock_timestamp()
        OR b.status = 'processing' AND b.processing_started_at < clock_timestamp() - $1
        OR b.status = 'completed' AND b.settles_at <= clock_timestamp())
 ORDER BY array_position($2, b.device_id), b.start_time
 LIMIT $3
