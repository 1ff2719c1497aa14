-- Kilometres, days and trips of fixed rows: edges, days of 23 and 25 hours, two midnights, bad arguments.

\set VERBOSITY terse
SET timezone = 'UTC';
CREATE EXTENSION osrm_matcher;

CREATE FUNCTION line_between(lon_from float8, lon_to float8) RETURNS text LANGUAGE sql
RETURN encode_polyline(ARRAY[lon_from, (lon_from + lon_to) / 2, lon_to], '{60.1,60.1,60.1}');
INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count, match_status, grade, length_m, max_speed_mps) VALUES
    ('car', '2024-05-04 10:00Z', '2024-05-04 10:05Z', line_between(24.90, 24.92), 3, 'matched', 'good', 1000, 11),
    ('car', '2024-05-04 10:05Z', '2024-05-04 10:10Z', line_between(24.92, 24.94), 3, 'matched', 'doubtful', 2000, 40),
    ('car', '2024-05-04 10:12Z', '2024-05-04 10:14Z', line_between(24.95, 24.96), 3, 'raw', 'raw', 400, 50),
    ('car', '2024-05-04 10:19Z', '2024-05-04 10:20Z', line_between(24.96, 24.97), 3, 'matched', 'good', 500, 12),
    -- Through midnight in UTC, and three hours later in Helsinki's night.
    ('car', '2024-05-04 23:50Z', '2024-05-05 00:10Z', line_between(24.90, 24.94), 3, 'matched', 'good', 4000, 13),
    -- As an import leaves it.
    ('van', '2024-05-04 10:00Z', '2024-05-04 10:05Z', line_between(24.90, 24.92), 3, 'matched', 'good', NULL, NULL);

-- A range: what lies on roads, what is doubtful and what is raw, told apart.
\x on
SELECT * FROM get_device_distance('car', '2024-05-04', '2024-05-05');
SELECT * FROM get_device_distance('car', '-infinity', 'infinity');
SELECT * FROM get_device_distance('nobody', '2024-05-04', '2024-05-05');
SELECT * FROM get_device_distance('van', '2024-05-04', '2024-05-05');
\x off
-- Paths at the edges count by their share of the time.
SELECT distance_m, driving_time, first_start, last_stop FROM get_device_distance('car', '2024-05-04 10:04Z', '2024-05-04 10:07:30Z');
SELECT distance_m, driving_time FROM get_device_distance('car', '2024-05-04 10:01Z', '2024-05-04 10:02Z');
SELECT distance_m FROM get_device_distance('car', '2024-05-04 10:10Z', '2024-05-04 10:12Z');
SELECT distance_m FROM get_device_distance('car', '2024-05-04 10:01Z', '2024-05-04 10:01Z');

-- Days: by the zone that is named, else by the session's; all parts of a path count once.
SELECT device_id, period, start_time, end_time, distance_m, first_start, last_stop FROM get_distances('{car,car,nobody,NULL}', '2024-05-01', '2024-06-01');
SELECT period, start_time, end_time, distance_m FROM get_distances('{car}', '2024-05-04 10:04Z', '2024-06-01', time_zone => 'Europe/Helsinki');
SELECT device_id, period, distance_m FROM get_distances(NULL, '-infinity', 'infinity', by => 'week');
SELECT device_id, period, distance_m FROM get_distances(NULL, '-infinity', 'infinity', by => 'month');
SELECT count(*) FROM get_distances('{}', '-infinity', 'infinity');
SELECT count(*) FROM get_distances('{nobody}', '-infinity', 'infinity');
SELECT device_id, day, distance_m, matched_m, doubtful_m, raw_m, driving_time FROM device_days;
SET timezone = 'Europe/Helsinki';
SELECT day, start_time, distance_m FROM device_days WHERE device_id = 'car';
SET timezone = 'UTC';

-- Days of 23 and of 25 hours; a midnight that there is not, and one that comes twice. One path a minute.
INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count, grade, length_m)
SELECT name, t, t + interval '1 min', line_between(24.90, 24.91), 3, 'good', 1
  FROM (VALUES ('spring', '2024-03-30 12:00Z'::timestamptz), ('autumn', '2024-10-26 12:00Z'),
               ('no midnight', '2018-11-03 12:00Z'), ('two midnights', '2024-11-02 12:00Z')) AS change (name, noon)
 CROSS JOIN generate_series(noon, noon + interval '2 days', '1 min') AS t;
SELECT period, start_time, end_time, end_time - start_time AS hours, distance_m, first_start
  FROM get_distances('{spring}', '-infinity', 'infinity', time_zone => 'Europe/Helsinki');
SELECT period, start_time, end_time, end_time - start_time AS hours, distance_m, first_start
  FROM get_distances('{autumn}', '-infinity', 'infinity', time_zone => 'Europe/Helsinki');
SELECT period, start_time, end_time, end_time - start_time AS hours, distance_m
  FROM get_distances('{no midnight}', '-infinity', 'infinity', time_zone => 'America/Sao_Paulo');
SELECT period, start_time, end_time, end_time - start_time AS hours, distance_m
  FROM get_distances('{two midnights}', '-infinity', 'infinity', time_zone => 'America/Havana');

-- Trips: windows that follow each other are one; so are paths with a pause shorter than min_stop, but no line is
-- drawn across it.
SELECT start_time, end_time, distance_m, matched_m, doubtful_m, raw_m, driving_time, max_speed_mps, matched_share
  FROM get_device_trips('car', '2024-05-04', '2024-05-06');
SELECT start_time, encoded_polylines = ARRAY[encode_polyline('{24.90,24.91,24.92,24.93,24.94}', '{60.1,60.1,60.1,60.1,60.1}'),
                                             line_between(24.95, 24.96)] AS two_lines
  FROM get_device_trips('car', '2024-05-04', '2024-05-04 12:00Z') LIMIT 1;
SELECT count(*) FROM get_device_trips('car', '2024-05-04', '2024-05-06', min_stop => '1 min');
SELECT count(*) FROM get_device_trips('car', '2024-05-04', '2024-05-06', min_stop => '0');
SELECT count(*) FROM get_device_trips('car', '2024-05-04', '2024-05-06', min_stop => '1 day');
SELECT count(*) FROM get_device_trips('nobody', '2024-05-04', '2024-05-06');
-- Cut by the range, as metres are.
SELECT t.start_time, t.end_time, distance_m, v.longitude
  FROM get_device_trips('car', '2024-05-04 10:02:30Z', '2024-05-04 10:07:30Z') t
 CROSS JOIN LATERAL decode_polyline(t.encoded_polylines[1]) v;

-- Arguments that will not do: 22004 for null, 22023 for the others.
\set VERBOSITY sqlstate
SELECT * FROM get_device_distance(NULL, '2024-05-04', '2024-05-05');
SELECT * FROM get_device_distance('car', NULL, '2024-05-05');
SELECT * FROM get_device_distance('car', '2024-05-05', '2024-05-04');
SELECT * FROM get_distances('{car}', '2024-05-04', NULL);
SELECT * FROM get_distances('{car}', '2024-05-05', '2024-05-04');
SELECT * FROM get_distances('{car}', '2024-05-04', '2024-05-05', by => 'hour');
SELECT * FROM get_distances('{car}', '2024-05-04', '2024-05-05', by => NULL);
SELECT * FROM get_distances('{car}', '2024-05-04', '2024-05-05', time_zone => 'Mars/Olympus');
SELECT * FROM get_device_trips('car', '2024-05-05', '2024-05-04');
SELECT * FROM get_device_trips('car', '2024-05-04', '2024-05-05', min_stop => NULL);
SELECT * FROM get_device_trips('car', '2024-05-04', '2024-05-05', min_stop => '-1 s');

DROP FUNCTION line_between;
DROP EXTENSION osrm_matcher;
