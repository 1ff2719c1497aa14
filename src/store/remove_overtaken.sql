-- Deletes rows of longer windows of an earlier length, whose batches are gone, where they reach into
-- windows that are about to be written ($1 devices, $2 starts), and says whose they were. It is the last
-- row before a window, for what begins between the two was written later and has removed it by then.
DELETE FROM @extschema@.{table} t
 USING unnest($1::text[], $2::timestamptz[]) AS w (device, start)
 CROSS JOIN LATERAL (
    SELECT l.id, l.end_time, l.batch_id FROM @extschema@.{table} l
     WHERE l.device_id = w.device AND l.start_time < w.start
     ORDER BY l.start_time DESC LIMIT 1) AS last
 WHERE t.id = last.id
   AND last.end_time > w.start
   AND last.batch_id IS NOT NULL
   AND (SELECT b.batch_id FROM @extschema@.processing_batches b WHERE b.batch_id = last.batch_id) IS NULL
RETURNING t.device_id
