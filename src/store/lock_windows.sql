-- Locks what is on record of windows ($1 devices, $2 starts, $3 ends), and what they hold, until the transaction ends. Says
-- of which devices somebody else has a row of it.
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS w (device, start, "end")
), batches AS MATERIALIZED (
    SELECT b.batch_id FROM asked w
      JOIN @extschema@.processing_batches b ON b.device_id = w.device AND b.start_time = w.start
       FOR UPDATE OF b SKIP LOCKED
), paths AS MATERIALIZED (
    SELECT p.id FROM asked w
      JOIN @extschema@.cached_polylines p
        ON p.device_id = w.device AND p.start_time >= w.start AND p.start_time < w."end"
       FOR UPDATE OF p SKIP LOCKED
), stood AS MATERIALIZED (
    SELECT s.id FROM asked w
      JOIN @extschema@.stops s ON s.device_id = w.device AND s.start_time >= w.start AND s.start_time < w."end"
       FOR UPDATE OF s SKIP LOCKED
)
SELECT b.device_id FROM asked w
  JOIN @extschema@.processing_batches b ON b.device_id = w.device AND b.start_time = w.start
 WHERE b.batch_id NOT IN (SELECT m.batch_id FROM batches m)
UNION
SELECT p.device_id FROM asked w
  JOIN @extschema@.cached_polylines p
    ON p.device_id = w.device AND p.start_time >= w.start AND p.start_time < w."end"
 WHERE p.id NOT IN (SELECT m.id FROM paths m)
UNION
SELECT s.device_id FROM asked w
  JOIN @extschema@.stops s ON s.device_id = w.device AND s.start_time >= w.start AND s.start_time < w."end"
 WHERE s.id NOT IN (SELECT m.id FROM stood m)
