-- Reads of fixed rows: ranges, order, nulls, JSON, GeoJSON, points, stops.

\set VERBOSITY terse
SET timezone = 'UTC';
CREATE EXTENSION osrm_matcher;

INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, osrm_confidence, point_count,
                              source_coordinates_count, match_status, grade, reason) VALUES
    ('car', '2024-05-04 10:00Z', '2024-05-04 10:05Z', encode_polyline('{24.90,24.91,24.92}', '{60.10,60.11,60.12}'), 0.9, 3, 30, 'matched', 'good', NULL),
    ('car', '2024-05-04 10:05Z', '2024-05-04 10:10Z', encode_polyline('{24.92,24.93}', '{60.12,60.13}'), NULL, 2, 9, 'raw', 'raw', 'NoMatch'),
    ('van', '2024-05-04 10:02Z', '2024-05-04 10:03Z', encode_polyline('{24.90,24.91}', '{60.10,60.11}'), 0.4, 2, 5, 'matched', 'doubtful', NULL);

-- A range is half open; what reaches into it is in it.
SELECT start_time, match_status FROM get_device_paths('car', '2024-05-04 10:05:00.000001Z', '2024-05-04 10:06Z');
SELECT start_time FROM get_device_paths('car', '2024-05-04 09:00Z', '2024-05-04 10:00Z');
SELECT start_time FROM get_device_paths('car', '2024-05-04 09:00Z', '2024-05-04 10:00:01Z');
SELECT count(*) FROM get_device_paths('car', '-infinity', 'infinity');
SELECT count(*) FROM get_device_paths('car', NULL, 'infinity');
SELECT count(*) FROM get_device_paths(NULL, '-infinity', 'infinity');
SELECT count(*) FROM get_device_paths('car');
SELECT device_id, start_time FROM get_paths_between('{van,car,van,NULL}', '2024-05-04', '2024-05-05');
SELECT device_id, start_time FROM get_paths_between(NULL, '2024-05-04', '2024-05-05');
SELECT count(*) FROM get_paths_between('{}', '2024-05-04', '2024-05-05');
SELECT * FROM get_devices();

-- JSON.
SELECT jsonb_pretty(get_device_page_between('car', '2024-05-04', '2024-05-05')::jsonb);
SELECT get_device_page(NULL) IS NULL AS null_for_null;
SELECT get_device_page('"; \ ''');
SELECT jsonb_pretty(get_paths_geojson('{van}', '2024-05-04', '2024-05-05')::jsonb);
SELECT get_paths_geojson('{nobody}', '2024-05-04', '2024-05-05');

-- Points along the line share out its time by distance.
SELECT * FROM get_path_points('car', '2024-05-04', '2024-05-05');

-- Stops that touch are one.
INSERT INTO stops (device_id, start_time, end_time, longitude, latitude, source_coordinates_count) VALUES
    ('car', '2024-05-04 09:00Z', '2024-05-04 09:05Z', 24.9, 60.1, 10),
    ('car', '2024-05-04 09:05Z', '2024-05-04 09:08Z', 24.9, 60.1, 30),
    ('car', '2024-05-04 09:09Z', '2024-05-04 09:12Z', 24.95, 60.1, 5);
SELECT * FROM get_device_stops('car', '2024-05-04', '2024-05-05');

DROP EXTENSION osrm_matcher;
