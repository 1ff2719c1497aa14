-- Finished windows whose outcome was decided by a span that new points lie in: devices $1, first
-- and last new point $2 and $3; $4 is the furthest that a span reaches beyond its window.
SELECT DISTINCT b.device_id, b.start_time, b.end_time
  FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS new (device, first, last)
  JOIN processing_batches b
    ON b.device_id = new.device
   AND b.start_time BETWEEN new.first - $4 AND new.last + $4
   AND b.context_start <= new.last
   AND b.context_end > new.first
 WHERE b.status IN ('completed', 'failed')
