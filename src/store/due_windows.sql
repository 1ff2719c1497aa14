-- The windows of devices $2 that are due at $4, and were not before $5 (see due_devices.sql), at most $3: all of a device
-- before the next. Without OFFSET all that is on record of the devices might be looked through.
SELECT due.device_id, due.start_time, due.end_time
  FROM (SELECT b.device_id, b.start_time, b.end_time
          FROM @extschema@.processing_batches b
         WHERE b.status IN ('pending', 'processing') AND b.next_attempt_at >= $5 AND b.next_attempt_at <= $4
           AND (b.status = 'pending' OR b.processing_started_at < $4 - $1)
        UNION ALL
        SELECT b.device_id, b.start_time, b.end_time
          FROM @extschema@.processing_batches b
         WHERE b.status = 'completed' AND b.settles_at >= $5 AND b.settles_at <= $4
        OFFSET 0) due
 WHERE due.device_id = ANY ($2)
 ORDER BY array_position($2, due.device_id), due.start_time
 LIMIT $3
