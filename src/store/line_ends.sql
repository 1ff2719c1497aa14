-- Until when there is a line of each device ($1) before a moment ($2), in the order asked; and the path that it ends with, if
-- that is a matched one that begins in a window ($3 where that begins).
SELECT c.end_time, g.*
  FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) WITH ORDINALITY AS d (device, moment, window_start, position)
  LEFT JOIN LATERAL (
        SELECT p.* FROM @extschema@.cached_polylines p
         WHERE p.device_id = d.device AND p.start_time <= d.moment
         ORDER BY p.start_time DESC LIMIT 1) c ON true
  LEFT JOIN LATERAL (
        SELECT c.start_time, c.encoded_polyline, c.osrm_confidence, c.source_coordinates_count, c.matched_share,
               c.mean_offset_m, c.length_m, c.fixes_length_m, c.max_speed_mps, c.grade = 'good'
         WHERE c.start_time >= d.window_start AND c.match_status = 'matched') g ON true
 ORDER BY d.position
