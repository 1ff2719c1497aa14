-- Makes finished windows due again: $1 devices, $2 starts, of which some may be there twice. It is live work now, whatever
-- job asked for the window before.
SELECT @extschema@._make_due(array_agg(b.device_id), array_agg(b.start_time), array_agg(b.end_time))
  FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::timestamptz[])) AS w (device, start)
  JOIN @extschema@.processing_batches b ON b.device_id = w.device AND b.start_time = w.start
 WHERE b.status IN ('completed', 'failed')
