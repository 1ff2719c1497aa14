-- Lines of an older cache: which are taken, which are not.

\set VERBOSITY terse
SET timezone = 'UTC';
CREATE EXTENSION osrm_matcher;

SELECT import_matched_paths();
CREATE TABLE matched_paths (device_id text, start_time timestamp, end_time timestamp, encoded_polyline text, score real);
INSERT INTO matched_paths VALUES
    ('car', '2024-05-04 10:00', '2024-05-04 10:05', encode_polyline('{24.90,24.91,24.92}', '{60.10,60.11,60.12}'), 1.2),
    ('car', '2024-05-04 10:05', '2024-05-04 10:10', encode_polyline('{24.92,-24.93}', '{60.12,-60.13}'), NULL),
    ('car', '2024-05-04 10:20', '2024-05-04 10:25', '_p~iF', 0.5),             -- one number only
    ('car', '2024-05-04 10:21', '2024-05-04 10:26', '_p~iF~ps|U', 0.5),        -- one vertex only
    ('car', '2024-05-04 10:22', '2024-05-04 10:27', '_p~iF~ps|U_ulLnnq', 0.5), -- breaks off
    ('car', '2024-05-04 10:23', '2024-05-04 10:28', 'ä', 0.5),
    ('car', '2024-05-04 10:24', '2024-05-04 10:20', '_p~iF~ps|U_ulLnnqC', 0.5),
    ('car', '2024-05-04 10:24', '2024-05-09 10:20', '_p~iF~ps|U_ulLnnqC', 0.5),
    ('car', '2024-05-04 10:24', 'infinity', '_p~iF~ps|U_ulLnnqC', 0.5),
    ('', '2024-05-04 10:24', '2024-05-04 10:25', '_p~iF~ps|U_ulLnnqC', 0.5),
    (NULL, '2024-05-04 10:24', '2024-05-04 10:25', '_p~iF~ps|U_ulLnnqC', 0.5),
    ('car', NULL, NULL, '_p~iF~ps|U_ulLnnqC', 0.5),
    ('car', '2024-05-04 10:24', '2024-05-04 10:25', NULL, 0.5);

SELECT * FROM import_matched_paths(confidence_column => 'score', time_zone => 'Europe/Helsinki');
SELECT device_id, start_time, end_time, encoded_polyline, osrm_confidence, point_count, match_status FROM cached_polylines ORDER BY start_time;
-- What is there is not taken twice, nor what overlaps it.
UPDATE matched_paths SET start_time = start_time + interval '1 min' WHERE device_id = 'car';
SELECT * FROM import_matched_paths(confidence_column => 'score', time_zone => 'Europe/Helsinki');

-- Precision 6 becomes precision 5.
CREATE TABLE other (vehicle varchar, a timestamptz, b timestamptz, line text);
INSERT INTO other VALUES ('van', '2024-05-04 10:00Z', '2024-05-04 10:05Z', encode_polyline('{24.90,24.91}', '{60.10,60.11}', 6));
SELECT * FROM import_matched_paths('other', 'vehicle', 'a', 'b', 'line', "precision" => 6);
SELECT encoded_polyline = encode_polyline('{24.90,24.91}', '{60.10,60.11}') AS same FROM cached_polylines WHERE device_id = 'van';
SELECT import_matched_paths('other');
SELECT import_matched_paths('other', 'vehicle', 'a', 'b', 'line', "precision" => 7);

DROP EXTENSION osrm_matcher;
DROP TABLE matched_paths, other;
