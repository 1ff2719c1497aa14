-- Deletes rows of windows ($1 devices, $2 starts, $3 ends) that are not among the rows to be kept
-- ($4 devices, $5 start times), and says whose they were.
DELETE FROM @extschema@.{table} t
 USING unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS w (device, start, "end")
 WHERE t.device_id = w.device
   AND t.start_time >= w.start
   AND t.start_time < w."end"
   AND NOT EXISTS (SELECT FROM unnest($4::text[], $5::timestamptz[]) AS keep (device, start)
                    WHERE keep.device = t.device_id AND keep.start = t.start_time)
RETURNING t.device_id
