-- Writes stops; one that is there already in the same form keeps its row.
INSERT INTO @extschema@.stops AS s (
    device_id, start_time, end_time, longitude, latitude, source_coordinates_count, batch_id)
SELECT n.*
  FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::double precision[],
              $5::double precision[], $6::integer[], $7::uuid[]) AS n
ON CONFLICT (device_id, start_time) DO UPDATE SET
    end_time = excluded.end_time,
    longitude = excluded.longitude,
    latitude = excluded.latitude,
    source_coordinates_count = excluded.source_coordinates_count,
    created_at = clock_timestamp(),
    batch_id = excluded.batch_id
 WHERE (s.end_time, s.longitude, s.latitude, s.source_coordinates_count, s.batch_id)
       IS DISTINCT FROM
       (excluded.end_time, excluded.longitude, excluded.latitude,
        excluded.source_coordinates_count, excluded.batch_id)
