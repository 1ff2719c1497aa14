-- Until when there is a line of each device ($1) before a moment ($2), in the order asked.
SELECT (SELECT c.end_time FROM @extschema@.cached_polylines c
         WHERE c.device_id = d.device AND c.start_time <= d.moment
         ORDER BY c.start_time DESC LIMIT 1)
  FROM unnest($1::text[], $2::timestamptz[]) WITH ORDINALITY AS d (device, moment, position)
 ORDER BY d.position
