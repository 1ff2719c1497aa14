-- Whether of windows ($1 devices, $2 starts) one is not on record, or due sooner than was written ($3, null: not again).
SELECT EXISTS (
    SELECT FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS w (device, start, due)
      LEFT JOIN @extschema@.processing_batches b ON b.device_id = w.device AND b.start_time = w.start
     WHERE b.batch_id IS NULL
        OR CASE b.status WHEN 'pending' THEN b.next_attempt_at WHEN 'completed' THEN b.settles_at
                         WHEN 'processing' THEN '-infinity' END < coalesce(w.due, 'infinity'))
