-- Writes paths; one that is there already in the same form keeps its row and its age.
INSERT INTO @extschema@.cached_polylines AS c (
    device_id, start_time, end_time, encoded_polyline, osrm_confidence, point_count,
    processing_duration_ms, source_coordinates_count, match_status, grade, matched_share,
    mean_offset_m, length_m, fixes_length_m, max_speed_mps, reason, batch_id)
SELECT n.*
  FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::text[],
              $5::double precision[], $6::integer[], $7::integer[], $8::integer[], $9::text[],
              $10::text[], $11::real[], $12::real[], $13::real[], $14::real[], $15::real[],
              $16::text[], $17::uuid[]) AS n
ON CONFLICT (device_id, start_time) DO UPDATE SET
    end_time = excluded.end_time,
    encoded_polyline = excluded.encoded_polyline,
    osrm_confidence = excluded.osrm_confidence,
    point_count = excluded.point_count,
    processing_duration_ms = excluded.processing_duration_ms,
    source_coordinates_count = excluded.source_coordinates_count,
    created_at = clock_timestamp(),
    match_status = excluded.match_status,
    grade = excluded.grade,
    matched_share = excluded.matched_share,
    mean_offset_m = excluded.mean_offset_m,
    length_m = excluded.length_m,
    fixes_length_m = excluded.fixes_length_m,
    max_speed_mps = excluded.max_speed_mps,
    reason = excluded.reason,
    batch_id = excluded.batch_id
 WHERE (c.end_time, c.encoded_polyline, c.osrm_confidence, c.source_coordinates_count,
        c.match_status, c.grade, c.matched_share, c.mean_offset_m, c.length_m, c.fixes_length_m,
        c.max_speed_mps, c.reason, c.batch_id)
       IS DISTINCT FROM
       (excluded.end_time, excluded.encoded_polyline, excluded.osrm_confidence,
        excluded.source_coordinates_count, excluded.match_status, excluded.grade,
        excluded.matched_share, excluded.mean_offset_m, excluded.length_m, excluded.fixes_length_m,
        excluded.max_speed_mps, excluded.reason, excluded.batch_id)
RETURNING c.device_id
