-- The extension in a schema of the user's choice: what it brings, and that it leaves nothing behind.

\set VERBOSITY terse

CREATE SCHEMA "my fleet"; -- a name that has to be quoted wherever it is used
CREATE EXTENSION osrm_matcher SCHEMA "my fleet";

-- It cannot be moved afterwards: its functions name the schema.
ALTER EXTENSION osrm_matcher SET SCHEMA public;

-- Tables and views, of which all rows go with pg_dump.
SELECT c.relname, c.relkind, c.oid = ANY (e.extconfig) AS dumped
  FROM pg_extension e
  JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
  JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind IN ('r', 'v', 'S')
 WHERE e.extname = 'osrm_matcher'
 ORDER BY c.relname COLLATE "C";

-- Nothing lies outside of the schema.
SELECT count(*)
  FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_extension e ON e.oid = d.refobjid
 WHERE e.extname = 'osrm_matcher' AND p.pronamespace <> '"my fleet"'::regnamespace;

-- Everything that the extension brings is described. (A table's sequence and row type come with it.)
SELECT pg_describe_object(d.classid, d.objid, 0) COLLATE "C" AS without_a_comment
  FROM pg_extension e
  JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
 WHERE e.extname = 'osrm_matcher'
   AND obj_description(d.objid, d.classid::regclass::name) IS NULL
   AND NOT (d.classid = 'pg_class'::regclass
            AND EXISTS (SELECT FROM pg_class c WHERE c.oid = d.objid AND c.relkind = 'S'))
   AND d.classid <> 'pg_type'::regclass
   AND d.classid <> 'pg_rewrite'::regclass
 ORDER BY 1;

-- From a session whose search_path has the schema.
SET search_path = "my fleet";
INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
VALUES ('car', 24.94, 60.17, date_trunc('hour', now()) - interval '55 min'),
       ('car', 24.941, 60.17, date_trunc('hour', now()) - interval '54 min 40 s');
SELECT make_batches();
SELECT windows_failed, windows_deferred, points, rejected, osrm_error FROM process_pending_gps();

-- From one whose search_path has not.
SET search_path = '';
INSERT INTO "my fleet".gps_coordinates (device_id, longitude, latitude, recorded_at)
VALUES ('bus', 24.94, 60.17, date_trunc('hour', now()) - interval '55 min'),
       ('bus', 24.941, 60.17, date_trunc('hour', now()) - interval '54 min 40 s');
CALL "my fleet".process_pending();
SELECT count(*) FROM "my fleet".gps_coordinates WHERE NOT processed;
RESET search_path;

-- Ids of batches begin with when they were made, whoever makes them, so that new ones lie together in the index.
SELECT count(*) FILTER (WHERE substr(batch_id::text, 15, 1) = '7'
                          AND ('x' || left(replace(batch_id::text, '-', ''), 12))::bit(48)::bigint / 1000
                              BETWEEN extract(epoch FROM created_at) - 60 AND extract(epoch FROM clock_timestamp())) AS ordered_ids,
       count(*) AS batches
  FROM "my fleet".processing_batches;

-- Coordinates that cannot be are refused where they come in.
INSERT INTO "my fleet".gps_coordinates (device_id, longitude, latitude, recorded_at) VALUES ('car', 181, 0, now());
INSERT INTO "my fleet".gps_coordinates (device_id, longitude, latitude, recorded_at) VALUES ('car', 0, 'NaN', now());
INSERT INTO "my fleet".gps_coordinates (device_id, longitude, latitude, recorded_at) VALUES ('car', '-inf', 0, now());
INSERT INTO "my fleet".gps_coordinates (device_id, longitude, latitude, recorded_at) VALUES ('car', 0, 0, 'infinity');
INSERT INTO "my fleet".gps_coordinates (device_id, longitude, latitude, recorded_at) VALUES ('', 0, 0, now());

DROP EXTENSION osrm_matcher;
SELECT count(*) FROM pg_class WHERE relnamespace = '"my fleet"'::regnamespace;
SELECT count(*) FROM pg_proc WHERE pronamespace = '"my fleet"'::regnamespace;
