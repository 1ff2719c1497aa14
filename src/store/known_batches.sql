-- What is on record of windows ($1 devices, $2 starts), in the order asked: the batch's id (a new
-- one where there is none), its retries, whether the window has had no outcome, whether what it has is
-- provisional, and the group of devices that it was matched in.
SELECT coalesce(b.batch_id, @extschema@._new_batch_id()),
       CASE WHEN b.status IN ('pending', 'processing') OR b.settles_at IS NOT NULL THEN b.retry_count ELSE 0 END,
       b.context_start IS NULL, b.status = 'completed' AND b.settles_at IS NOT NULL, b.osrm_group
  FROM unnest($1::text[], $2::timestamptz[]) WITH ORDINALITY AS w (device, start, position)
  LEFT JOIN @extschema@.processing_batches b ON b.device_id = w.device AND b.start_time = w.start
 ORDER BY w.position
