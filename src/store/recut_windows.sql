-- Batches of an earlier window length that overlap windows of the present one: $1 devices, $2
-- starts, $3 ends. No window is longer than a day.
SELECT DISTINCT b.batch_id, b.device_id, b.start_time, b.end_time
  FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS w (device, start, "end")
  JOIN processing_batches b
    ON b.device_id = w.device
   AND b.start_time > w.start - interval '1 day'
   AND b.start_time < w."end"
   AND b.end_time > w.start
   AND (b.start_time, b.end_time) <> (w.start, w."end")
