-- Writes stops of open windows ($7 where those begin); one that is there already goes on.
INSERT INTO @extschema@.stops AS s (device_id, start_time, end_time, longitude, latitude,
                                     source_coordinates_count, batch_id)
SELECT n.device,
       coalesce((SELECT k.start_time FROM @extschema@.stops k
                  WHERE k.device_id = n.device AND k.start_time BETWEEN n.window_start AND n.start
                    AND k.end_time >= n.start
                  ORDER BY k.start_time DESC LIMIT 1), n.start),
       n."end", n.lon, n.lat, n.fixes, n.batch
  FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::double precision[], $5::double precision[],
              $6::integer[], $7::timestamptz[], $8::uuid[])
    AS n (device, start, "end", lon, lat, fixes, window_start, batch)
ON CONFLICT (device_id, start_time) DO UPDATE SET
    end_time = greatest(s.end_time, excluded.end_time),
    source_coordinates_count = greatest(s.source_coordinates_count, excluded.source_coordinates_count),
    created_at = clock_timestamp(),
    batch_id = excluded.batch_id
