-- What is on record of windows ($1 devices, $2 starts), in the order asked: the batch's id (a new
-- one where there is none) and its retries.
SELECT coalesce(b.batch_id, gen_random_uuid()),
       CASE WHEN b.status IN ('pending', 'processing') THEN b.retry_count ELSE 0 END
  FROM unnest($1::text[], $2::timestamptz[]) WITH ORDINALITY AS w (device, start, position)
  LEFT JOIN processing_batches b ON b.device_id = w.device AND b.start_time = w.start
 ORDER BY w.position
