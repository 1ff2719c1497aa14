-- Windows ($1 devices, $2 starts) that new points of an open window reach are settled with it ($3), and tried
-- again at once if they had failed.
WITH reached AS MATERIALIZED (
    SELECT b.*, w.at FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS w (device, start, at)
      JOIN @extschema@.processing_batches b ON b.device_id = w.device AND b.start_time = w.start
), unsettled AS (
    UPDATE @extschema@.processing_batches b SET settles_at = r.at
      FROM reached r WHERE b.batch_id = r.batch_id AND b.status = 'completed'
)
SELECT @extschema@._make_due(array_agg(r.device_id), array_agg(r.start_time), array_agg(r.end_time))
  FROM reached r WHERE r.status = 'failed'
