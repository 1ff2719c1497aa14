-- From 0.1.0 to 0.2.0: open windows go on provisionally and settle; who has a device is said by locks on rows; new
-- points are found by their time; statements name the schema; distances, trips and the map.

-- What others have made that would be in the way, before anything is changed: an error here says what to do.
DO $$
DECLARE
    theirs text;
BEGIN
    SELECT string_agg(format('%s.%I', c.relname, a.attname), ', ' ORDER BY c.relname, a.attname) INTO theirs
      FROM pg_class c
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relnamespace = '@extschema@'::regnamespace
       AND (c.relname, a.attname) IN (
           ('gps_coordinates', 'course'), ('gps_coordinates', 'speed'), ('gps_coordinates', 'vehicle_type'),
           ('processing_batches', 'settles_at'), ('processing_batches', 'osrm_group'),
           ('path_reads', 'stored_until'), ('worker_runs', 'search_pages'), ('worker_runs', 'servers_left_out'),
           ('worker_runs', 'group_error'));
    IF theirs IS NOT NULL THEN
        RAISE EXCEPTION 'osrm_matcher 0.2.0 has columns of its own named like some that are there: %', theirs
            USING ERRCODE = 'duplicate_column',
                  HINT = 'Rename them, and who uses them, then update again: ALTER TABLE @extschema@.gps_coordinates RENAME COLUMN ... TO ...;';
    END IF;
    SELECT string_agg(format('%I', c.relname), ', ' ORDER BY c.relname) INTO theirs
      FROM pg_class c
     WHERE c.relnamespace = '@extschema@'::regnamespace
       AND c.relname IN ('osrm_groups', 'osrm_group_devices', 'device_locks', 'device_days', 'known_seams');
    IF theirs IS NOT NULL THEN
        RAISE EXCEPTION 'osrm_matcher 0.2.0 has tables of its own named like some that are in schema @extschema@: %', theirs
            USING ERRCODE = 'duplicate_table', HINT = 'Rename them, or move them to another schema, then update again.';
    END IF;
    -- Functions are in the way whatever their arguments: calls and comments could mean either.
    WITH members AS (
        SELECT p.oid, p.proname
          FROM pg_extension e
          JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
          JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
         WHERE d.deptype = 'e' AND e.extname = 'osrm_matcher'
    )
    SELECT string_agg(p.oid::regprocedure::text, ', ' ORDER BY p.oid::regprocedure::text) INTO theirs
      FROM pg_proc p
     WHERE p.pronamespace = '@extschema@'::regnamespace AND p.oid NOT IN (SELECT m.oid FROM members m)
       AND (p.proname IN (SELECT m.proname FROM members m) OR p.proname = ANY ('{
           _add_device, _add_path, _add_to_extension, _added_columns, _added_indexes, _adopt_moved, _adoption_alerts, _advance_job, _attempt,
           _batch_devices, _behind_look_back, _between, _came_late, _changed_columns, _check_forgetting, _check_key,
           _check_range, _count_devices, _cron_workers, _cut_stops, _delete_points, _delete_step, _density, _device_keys, _device_lots,
           _device_slot, _device_walk, _devices_on_record, _distances, _distribution, _distribution_refusals, _driven, _drop_partition,
           _drop_partitions, _end_job, _family_refusals, _first_waiting, _fleet_json, _follow_groups, _forget_reads, _grant_writing, _group_expression,
           _groups_of, _guard_osrm_groups, _has_indexes, _has_noted, _imported_line, _index_statements, _is_attached, _is_half_adopted, _is_held_up, _is_hypertable,
           _is_of_timescaledb, _is_profile, _is_shard, _is_source_column, _join_lines, _join_stops, _kind_refusals,
           _known_devices, _last_cron_run, _line_end, _line_length, _local_shards, _look_ahead, _make_checks,
           _make_left_due, _make_partition, _make_partitions, _map_file, _map_template, _marking_refusals, _name_of, _new_batch_id, _next_devices,
           _oldest_point, _osrm_problem, _osrm_servers, _partition_steps, _path_parts, _paths_json, _period_of,
           _period_start, _periods, _point_partitions, _points_ahead, _points_alerts, _points_are_partitioned, _points_obstacles, _points_parts,
           _points_problem, _points_rights, _put_off, _qualified, _readable, _referred_to, _relation, _remake_points,
           _replacement, _require_commits, _require_points, _require_read_committed, _require_shardable, _require_simple_points, _require_superuser,
           _restore_device_locks, _rights_of_no_other, _schedule_jobs, _server_alerts, _server_list, _shown_until, _step_job,
           _stops_of, _store_read, _stored_columns, _stored_paths, _suffix, _tables_of, _take_steps, _types_of, _unschedule_workers,
           _upkeep_alerts, _wanted_indexes, _warn_of_column, _warn_of_group, _warn_of_locks, _warn_of_unusable,
           _within, _writes_but_notes, _written_fleet, _written_paths, adopt_shards, attach_indexes, finish_adoption, forget_departed, get_device_distance,
           get_device_fixes,
           get_device_positions, get_device_trips, get_distances, get_map_page, get_osrm_groups, get_osrm_servers,
           grant_writer, holds_device, partition_points, rematch_arrived, revoke_writer}'));
    IF theirs IS NOT NULL THEN
        RAISE EXCEPTION 'osrm_matcher 0.2.0 has functions of its own named like some that are in schema @extschema@: %', theirs
            USING ERRCODE = 'duplicate_function', HINT = 'Rename them, or move them to another schema, then update again.';
    END IF;
    -- Of what is dropped below, and of the type that gets an attribute.
    WITH member AS (
        SELECT d.classid, d.objid
          FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
         WHERE d.deptype = 'e' AND e.extname = 'osrm_matcher'
    ), changed AS (
        SELECT m.classid, m.objid
          FROM member m
          LEFT JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
         WHERE p.proname IN ('worker_status', 'process_pending', 'schedule_processing', 'osrm_health', 'get_changes', 'adopt_source')
            OR m.classid = 'pg_class'::regclass AND m.objid = '@extschema@.worker_health'::regclass
    )
    SELECT string_agg(DISTINCT coalesce(w.ev_class::regclass::text, pg_describe_object(d.classid, d.objid, 0)), ', ') INTO theirs
      FROM (SELECT d.classid, d.objid FROM changed c JOIN pg_depend d ON d.refclassid = c.classid AND d.refobjid = c.objid
             WHERE d.deptype = 'n'
            UNION ALL
            SELECT 'pg_class'::regclass, a.attrelid FROM pg_attribute a
             WHERE a.atttypid = '@extschema@.device_path'::regtype AND NOT a.attisdropped
               AND (SELECT c.relkind IN ('r', 'p', 'm', 'f') FROM pg_class c WHERE c.oid = a.attrelid)) d
      LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
     WHERE NOT EXISTS (SELECT FROM member m WHERE m.objid = coalesce(w.ev_class, d.objid));
    IF theirs IS NOT NULL THEN
        RAISE EXCEPTION 'objects of yours depend on what osrm_matcher 0.2.0 changes: %', theirs
            USING ERRCODE = 'dependent_objects_still_exist',
                  HINT = 'Keep their definitions (pg_get_viewdef(), pg_get_functiondef()), drop them, update, and make them again.';
    END IF;
END
$$;

-- A scan of the table, for which writers wait: some seconds for twenty million points.
CREATE INDEX gps_coordinates_waiting ON gps_coordinates (recorded_at) WHERE processed::int = 0;
COMMENT ON INDEX gps_coordinates_waiting IS 'finds the devices that have new points, by their time';
COMMENT ON INDEX gps_coordinates_unprocessed IS 'finds the windows of a device that have new points';

ALTER TABLE gps_coordinates ADD COLUMN course double precision, ADD COLUMN speed double precision,
    ADD COLUMN vehicle_type text;
COMMENT ON COLUMN gps_coordinates.course IS 'direction of travel as the device reports it, degrees clockwise from north, -360 to 360; anything else counts as unknown';
COMMENT ON COLUMN gps_coordinates.speed IS 'metres a second as the device reports it; below 3, or where it is unknown, its course is not looked at';
COMMENT ON COLUMN gps_coordinates.vehicle_type IS 'what kind of vehicle the device is in, for osrm_groups to go by';
ALTER TABLE adopted_sources ADD COLUMN course_expression text, ADD COLUMN speed_expression text;

CREATE FUNCTION _new_batch_id() RETURNS uuid
LANGUAGE sql VOLATILE
RETURN (overlay(lpad(to_hex((extract(epoch FROM clock_timestamp()) * 4096000)::bigint), 15, '0') PLACING '7' FROM 13 FOR 0)
        || right(gen_random_uuid()::text, 17))::uuid;
COMMENT ON FUNCTION _new_batch_id IS
    'a new id that begins with the time, to 1/4096 of a millisecond (UUID version 7, RFC 9562); volatile';
ALTER TABLE processing_batches ALTER COLUMN batch_id SET DEFAULT _new_batch_id();
ALTER TABLE processing_batches ADD COLUMN settles_at timestamptz, ADD COLUMN osrm_group text;
COMMENT ON COLUMN processing_batches.outlier_count IS 'points left out as impossible: at (0, 0), reached or left at a speed no vehicle has, or at a place sent again';
COMMENT ON COLUMN processing_batches.osrm_group IS 'the group of osrm_groups by whose servers the window was matched; null: by those of osrm_matcher.osrm_url';
COMMENT ON COLUMN processing_batches.settles_at IS 'when a completed window is matched once more, as a whole; its line is provisional until then; null: it is settled';
CREATE INDEX processing_batches_settling ON processing_batches (settles_at) WHERE settles_at IS NOT NULL AND status = 'completed';
COMMENT ON INDEX processing_batches_settling IS 'finds what is to be settled';

CREATE TABLE osrm_groups (
    name          text PRIMARY KEY CHECK (name <> ''),
    osrm_url      text NOT NULL,
    profile       text NOT NULL DEFAULT 'driving',
    pattern       text CONSTRAINT pattern_is_a_regular_expression CHECK (pattern IS NULL OR ('' ~ pattern) IS NOT NULL),
    source_column name,
    source_value  text,
    CONSTRAINT source_column_comes_with_a_value CHECK ((source_column IS NULL) = (source_value IS NULL))
);
COMMENT ON TABLE osrm_groups IS 'groups of devices with OSRM servers and a profile of their own; written by its owner only';
COMMENT ON COLUMN osrm_groups.osrm_url IS 'addresses of the servers, as osrm_matcher.osrm_url has them';
COMMENT ON COLUMN osrm_groups.profile IS 'the profile named in OSRM''s URL';
COMMENT ON COLUMN osrm_groups.pattern IS 'a regular expression: devices whose names fit are in the group';
COMMENT ON COLUMN osrm_groups.source_column IS 'a column of tables that points lie in: devices whose newest row holds source_value there are in the group';
COMMENT ON COLUMN osrm_groups.source_value IS 'what source_column holds, as text';

CREATE TABLE osrm_group_devices (
    device_id  text PRIMARY KEY,
    osrm_group text NOT NULL
);
COMMENT ON TABLE osrm_group_devices IS 'devices that are in a group whatever their names and rows say';
SELECT pg_extension_config_dump('osrm_groups', '');
SELECT pg_extension_config_dump('osrm_group_devices', '');

CREATE TABLE device_locks (slot integer PRIMARY KEY);
INSERT INTO device_locks SELECT generate_series(0, 65535);
COMMENT ON TABLE device_locks IS 'what a worker locks while it has a device: the row that the device''s name hashes to';

-- What a run ends with, so that the next need not ask for it again. It is as good as gone when the fixes around it are
-- others, and nothing depends on it: it is unlogged, and a crash empties it.
CREATE UNLOGGED TABLE known_seams (
    device_id    text PRIMARY KEY,
    fingerprint  bigint NOT NULL,
    seam_time    timestamptz NOT NULL,
    longitude    double precision NOT NULL,
    latitude     double precision NOT NULL,
    on_road      boolean NOT NULL,
    hidden_noise double precision,
    radius       double precision NOT NULL,
    off_road     double precision NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE known_seams IS 'where the line of each device was joined last, from one slot of 15 minutes to the next; emptied by a crash';
COMMENT ON COLUMN known_seams.fingerprint IS 'a hash of all that decided it: where that is another, OSRM is asked again';
COMMENT ON COLUMN known_seams.hidden_noise IS 'standard deviation of the points around it in metres, where it is more than they show themselves';
COMMENT ON COLUMN known_seams.radius IS 'the radius in metres that suited them; 0: OSRM was not asked';
COMMENT ON COLUMN known_seams.off_road IS 'how far off the road they were found with it, in metres, as a standard deviation';

DROP INDEX IF EXISTS cached_polylines_recent, cached_polylines_last_accessed;
COMMENT ON COLUMN cached_polylines.max_speed_mps IS 'greatest mean speed that the line implies over 20 seconds, in metres a second';
COMMENT ON TABLE stops IS 'where and how long a vehicle stood, a row a window, and the moments at which one was heard of between two silences, without length; get_device_stops() joins rows of one place';
DROP INDEX IF EXISTS worker_runs_started_at, worker_runs_osrm_answered;
CREATE INDEX worker_runs_started_at ON worker_runs (started_at);
COMMENT ON INDEX worker_runs_started_at IS 'finds the runs since a moment';
CREATE INDEX worker_runs_osrm_answered ON worker_runs (id) WHERE osrm_error IS NULL AND osrm_calls > 0;
COMMENT ON INDEX worker_runs_osrm_answered IS 'finds when OSRM answered last';
ALTER TABLE worker_runs ADD COLUMN search_pages bigint, ADD COLUMN servers_left_out jsonb, ADD COLUMN group_error text;
COMMENT ON COLUMN worker_runs.points_waiting IS 'unprocessed points when the run ended, see _backlog(); null where old ones were not searched for';
COMMENT ON COLUMN worker_runs.search_pages IS 'pages that the search for points from before the live windows, and for what is due, looked at in vain; null where it was not made, or not to its end';
COMMENT ON COLUMN worker_runs.servers_left_out IS 'OSRM servers that failed, each with why, since when, and until when it is left out; null where none did';
COMMENT ON COLUMN worker_runs.group_error IS 'why a table of points did not say the group of a device, though it has a column for that; null where none was asked in vain';
-- A scan of the table: a second or so for a million paths.
UPDATE cached_polylines SET reason = CASE WHEN reason IN ('TooBig', 'Refused') THEN 'Unavailable' ELSE 'NoMatch' END
 WHERE reason NOT IN ('NoSegment', 'NoMatch', 'TimedOut', 'Unavailable');
COMMENT ON COLUMN cached_polylines.reason IS 'why the path is raw: NoSegment: the map has no road there; NoMatch: none of its roads fits; TimedOut, Unavailable: OSRM gave no answer; null for a matched path';
ALTER TYPE device_path ADD ATTRIBUTE reason text;
COMMENT ON COLUMN device_path.reason IS 'why the line is raw: NoSegment: the map has no road there; NoMatch: none of its roads fits; TimedOut, Unavailable: OSRM gave no answer; null where it is not raw';
ALTER TABLE matching_jobs ADD COLUMN sources_done regclass[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN matching_jobs.cursor_source IS 'the table that the cursor is in; null between two';
COMMENT ON COLUMN matching_jobs.sources_done IS 'tables that the cursor has passed, until it has passed all';
ALTER TABLE path_reads ADD COLUMN stored_until text;
COMMENT ON COLUMN path_reads.stored_until IS 'the device until which it has been set, in the order of their names; null: none yet';
CREATE INDEX path_reads_read_at ON path_reads (read_at);
COMMENT ON INDEX path_reads_read_at IS 'finds the notes that are too old';

DROP VIEW worker_health;
DROP ROUTINE _has_index;
DROP ROUTINE _index_name;
DROP ROUTINE _next_device;
DROP ROUTINE worker_status;
DROP ROUTINE _advance_jobs;
DROP ROUTINE get_jobs;
DROP ROUTINE process_pending;
DROP ROUTINE schedule_processing;
DROP ROUTINE _require_cron;
DROP ROUTINE _cron_job;
DROP ROUTINE osrm_health;
DROP ROUTINE get_changes;
DROP ROUTINE _describe_source;
DROP ROUTINE adopt_source;
DROP ROUTINE _lock_table;
DROP ROUTINE _sources;

ALTER TABLE adopted_sources ADD COLUMN device_key text, ADD COLUMN holds int8range, ADD COLUMN shard_of regclass,
    ADD COLUMN readable text, ADD COLUMN column_types jsonb, ADD COLUMN known_as text;
COMMENT ON COLUMN adopted_sources.device_key IS 'an expression over device_id that gives a number';
COMMENT ON COLUMN adopted_sources.holds IS 'which of these numbers the table''s devices have; empty: a distributed table, which is not read itself; null: it may hold any device';
COMMENT ON COLUMN adopted_sources.shard_of IS 'the distributed table that it is a shard of';
COMMENT ON COLUMN adopted_sources.readable IS 'the condition on row p that keeps compressed chunks of a hypertable, and older ones, from being read; null: all are read';
COMMENT ON COLUMN adopted_sources.column_types IS 'the columns that its points are read from, with the type that each had when the table was adopted';
COMMENT ON COLUMN adopted_sources.known_as IS 'its name when a run saw it last: another table may have that since';

CREATE FUNCTION _relation(relation oid) RETURNS pg_catalog.pg_class
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', '_relation_wrapper';
COMMENT ON FUNCTION _relation IS 'the row of pg_class of a relation, from the cache; null if there is none; stable, strict, parallel safe';

-- Hypertables of TimescaleDB, whose rows lie in chunks: tables that inherit from them. They are adopted as a
-- partitioned table is, but for the indexes of chunks, which are no parts of the hypertable's.
--
-- What TimescaleDB's catalogs say is asked by dynamic statements only: they may be missing. A relation of such a
-- name that is none of its own is anybody's, and is not asked.

CREATE FUNCTION _is_of_timescaledb(relation text) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = to_regclass(_is_of_timescaledb.relation)
                      AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'timescaledb');
END;
COMMENT ON FUNCTION _is_of_timescaledb IS 'whether a relation of this name belongs to TimescaleDB; stable';

CREATE FUNCTION _name_of(relation regclass) RETURNS TABLE (hypertable_schema name, hypertable_name name)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT n.nspname, c.relname FROM _relation(_name_of.relation) c JOIN pg_namespace n ON n.oid = c.relnamespace;
END;
COMMENT ON FUNCTION _name_of IS 'schema and name of a table, by which catalogs of TimescaleDB know it; stable';

CREATE FUNCTION _is_hypertable(relation regclass) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found boolean := false;
BEGIN
    IF @extschema@._is_of_timescaledb('_timescaledb_catalog.hypertable') THEN
        EXECUTE 'SELECT EXISTS (SELECT FROM @extschema@._name_of($1) JOIN _timescaledb_catalog.hypertable h
                                   ON (h.schema_name, h.table_name) = (hypertable_schema, hypertable_name))'
           INTO found
          USING relation;
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION _is_hypertable IS 'whether a table is a hypertable of TimescaleDB; stable';

-- ---------------------------------------------------------------------------------------------
-- Compressed chunks
-- ---------------------------------------------------------------------------------------------
-- A compressed row has no address to be marked by, so those chunks are not read: points in them are to us as if they had
-- been deleted for their age. To leave them out by a bound of the time that chunks are cut by keeps them out of
-- each plan, too. That column need not be the one that points are read by.
CREATE FUNCTION _readable(relation regclass) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    compressible boolean;
    condition text;
BEGIN
    -- To look through hundreds of chunks takes its time, and each run asks.
    IF @extschema@._is_hypertable(relation) THEN
        EXECUTE 'SELECT h.compression_enabled
                   FROM @extschema@._name_of($1) JOIN timescaledb_information.hypertables h USING (hypertable_schema, hypertable_name)'
           INTO compressible
          USING relation;
    END IF;
    IF compressible THEN
        EXECUTE 'SELECT format(''p.%I >= %s'', k.primary_dimension,
                               coalesce(max(k.range_end_integer)::text,
                                        format(''%L::%s'', to_char(max(k.range_end) AT TIME ZONE ''UTC'', ''YYYY-MM-DD HH24:MI:SS.US"Z"''),
                                               k.primary_dimension_type)))
                   FROM @extschema@._name_of($1) JOIN timescaledb_information.chunks k USING (hypertable_schema, hypertable_name)
                  WHERE k.is_compressed
                  GROUP BY k.primary_dimension, k.primary_dimension_type'
           INTO condition
          USING relation;
    END IF;
    RETURN condition;
END
$$;
COMMENT ON FUNCTION _readable IS
    'the condition on row p of a hypertable that is true of none in a chunk that is compressed, or older than one; null if none is; stable';

-- What comes into a compressed chunk lies uncompressed beside the rest, until that is compressed again.
CREATE FUNCTION _came_late(relation regclass, fragments json) RETURNS TABLE (chunk regclass, points bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    FOR chunk IN
        EXECUTE 'SELECT c.chunk
                   FROM @extschema@._name_of($1) JOIN timescaledb_information.chunks k USING (hypertable_schema, hypertable_name)
                  CROSS JOIN LATERAL (SELECT format(''%I.%I'', k.chunk_schema, k.chunk_name)::regclass AS chunk) c
                  WHERE k.is_compressed AND pg_relation_size(c.chunk) > 0
                  ORDER BY k.chunk_name'
          USING relation
    LOOP
        SELECT q.points INTO points FROM json_to_recordset(@extschema@._ask_source(
            (fragments::jsonb || jsonb_build_object('relation', @extschema@._qualified(chunk)))::json,
            'SELECT count(*) AS points FROM (SELECT FROM ONLY {relation} p WHERE NOT p.processed LIMIT 5000) late')) AS q (points bigint);
        IF points > 0 THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION _came_late IS
    'compressed chunks of an adopted hypertable that unprocessed points have come into since, and how many, counted up to 5,000; stable';

CREATE FUNCTION _device_keys(device_id text) RETURNS TABLE (device_key text, value bigint)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    FOR device_key IN SELECT DISTINCT a.device_key FROM @extschema@.adopted_sources a WHERE a.device_key IS NOT NULL LOOP
        BEGIN
            EXECUTE format('SELECT (%s)::bigint FROM (SELECT $1) AS d (device_id)', device_key) INTO value USING device_id;
        EXCEPTION WHEN OTHERS THEN
            value := NULL;
        END;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION _device_keys IS 'the keys by which sources say which devices they hold, and their values for one, null if there is none; stable, parallel unsafe';

CREATE FUNCTION holds_device(device_id text) RETURNS boolean
LANGUAGE plpgsql STABLE STRICT PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM @extschema@.gps_coordinates p WHERE p.device_id = holds_device.device_id) THEN
        RETURN true;
    END IF;
    -- Most databases have no source that says it: a fresh session need not plan the search for the key.
    IF NOT EXISTS (SELECT FROM @extschema@.adopted_sources a WHERE a.holds IS NOT NULL) THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT CASE WHEN bool_or(h.here) THEN true WHEN bool_and(h.here IS NOT NULL) THEN false END
              FROM (SELECT CASE WHEN isempty(a.holds) THEN false ELSE a.holds @> k.value END AS here
                      FROM @extschema@.adopted_sources a
                      LEFT JOIN @extschema@._device_keys(holds_device.device_id) k ON k.device_key = a.device_key) h);
END
$$;
COMMENT ON FUNCTION holds_device IS
    'whether points of a device lie on this server; null where not all adopted tables say which devices they hold; stable, strict, parallel unsafe';

CREATE FUNCTION _sources(device_id text DEFAULT NULL)
RETURNS TABLE (ordinal bigint, relation regclass, fragments json, aside boolean, back boolean)
LANGUAGE sql STABLE PARALLEL UNSAFE
BEGIN ATOMIC
    SELECT row_number() OVER (ORDER BY s.adopted, c.oid) - 1, s.relation,
           json_strip_nulls(json_build_object(
               'relation', format('%I.%I', n.nspname, c.relname),
               'device', quote_ident(s.device_column), 'named', s.device_value,
               'time', quote_ident(s.time_column), 'bound', s.bound_expression,
               'since', format(CASE WHEN s.local_time THEN 'p.%1$I >= least(%3$s) AND %4$s >= $value'
                                    ELSE 'p.%1$I >= %2$s' END,
                               s.time_column, s.bound_expression, b.around, s.time_expression) || coalesce(' AND ' || s.readable, ''),
               'readable', coalesce(s.readable, 'true'),
               'until', format(CASE WHEN s.local_time THEN 'p.%1$I < greatest(%3$s) AND %4$s < $value'
                                    ELSE 'p.%1$I < %2$s' END,
                               s.time_column, s.bound_expression, b.around, s.time_expression),
               'time_expression', s.time_expression, 'arrival', s.arrival_expression,
               'longitude', s.longitude_expression, 'latitude', s.latitude_expression,
               'accuracy', s.accuracy_expression, 'course', s.course_expression, 'speed', s.speed_expression,
               'owner', CASE WHEN s.adopted THEN c.relowner::oid::text END,
               'schema', quote_ident(n.nspname), 'row_security', c.relrowsecurity::text,
               'divided', c.relhassubclass::text,
               'key', s.device_key, 'lowest', lower(s.holds)::text, 'beyond', upper(s.holds)::text)),
           -- More than some minutes ahead only a clock can have put it that was ahead itself.
           coalesce(s.set_aside_until BETWEEN clock_timestamp() AND clock_timestamp() + interval '10 min', false),
           coalesce(s.set_aside_until NOT BETWEEN clock_timestamp() AND clock_timestamp() + interval '10 min', false)
      FROM (SELECT false AS adopted, to_regclass('@extschema@.gps_coordinates') AS relation,
                   'device_id' AS device_column, '$value' AS device_value,
                   'recorded_at' AS time_column, '$value' AS bound_expression,
                   'p.recorded_at' AS time_expression, false AS local_time,
                   'greatest(p.recorded_at, p.created_at)' AS arrival_expression,
                   'p.longitude' AS longitude_expression, 'p.latitude' AS latitude_expression,
                   'p.accuracy' AS accuracy_expression, 'p.course' AS course_expression,
                   'p.speed' AS speed_expression, NULL::timestamptz AS set_aside_until,
                   NULL AS device_key, NULL::int8range AS holds, NULL AS readable
            UNION ALL
            SELECT true, a.relation, a.device_column, a.device_value, a.time_column, a.bound_expression,
                   a.time_expression, a.local_time, a.time_expression, a.longitude_expression, a.latitude_expression,
                   coalesce(a.accuracy_expression, n.number), coalesce(a.course_expression, n.number),
                   coalesce(a.speed_expression, n.number), a.set_aside_until, a.device_key, a.holds, a.readable
              FROM adopted_sources a
             CROSS JOIN (VALUES ('NULL::double precision')) AS n (number)
             WHERE a.ready
               AND (_sources.device_id IS NULL OR a.holds IS NULL
                    OR coalesce(a.holds @> (SELECT k.value FROM _device_keys(_sources.device_id) k
                                             WHERE k.device_key = a.device_key), true))) AS s
     CROSS JOIN LATERAL _relation(s.relation) c
      JOIN pg_namespace n ON n.oid = c.relnamespace
     CROSS JOIN LATERAL (
        SELECT string_agg(replace(s.bound_expression, '$value', v.there) || v.back, ', ') AS around
          FROM (VALUES ('$value', ''),
                       ('(($value AT TIME ZONE ''UTC'' + interval ''2 hours'') AT TIME ZONE ''UTC'')', ' - interval ''2 hours'''),
                       ('(($value AT TIME ZONE ''UTC'' - interval ''2 hours'') AT TIME ZONE ''UTC'')', ' + interval ''2 hours''')) AS v (there, back)) b
     ORDER BY 1;
END;
COMMENT ON FUNCTION _sources IS
    'tables that points are read from, those that may hold a device (null: all), the extension''s own first, as number 0; whether runs leave one out, or are to take it back; stable, parallel unsafe';

-- Jobs go on where they are: the number of a source becomes the table, and those before it are passed.
UPDATE matching_jobs j SET sources_done = ARRAY(SELECT s.relation FROM _sources() s WHERE s.ordinal < j.cursor_source)
 WHERE j.status IN ('active', 'stopped');
ALTER TABLE matching_jobs ALTER cursor_source DROP DEFAULT, ALTER cursor_source DROP NOT NULL,
    ALTER cursor_source TYPE regclass USING NULL;
UPDATE matching_jobs j SET cursor_source = s.relation
  FROM _sources() s
 WHERE j.status IN ('active', 'stopped') AND s.ordinal = cardinality(j.sources_done);

CREATE FUNCTION _stored_paths(device_id text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE (id bigint, device_id text, start_time timestamptz, end_time timestamptz, encoded_polyline text,
               osrm_confidence double precision, point_count integer, source_coordinates_count integer,
               match_status text, grade text, length_m real, max_speed_mps real, reason text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 300
BEGIN ATOMIC
    SELECT p.id, p.device_id, p.start_time, p.end_time, p.encoded_polyline, p.osrm_confidence, p.point_count,
           p.source_coordinates_count, p.match_status, p.grade, p.length_m, p.max_speed_mps, p.reason
      FROM cached_polylines p
     WHERE p.device_id = _stored_paths.device_id
       AND p.start_time >= coalesce((SELECT l.start_time FROM cached_polylines l
                                      WHERE l.device_id = _stored_paths.device_id
                                        AND l.start_time < _stored_paths.from_time
                                      ORDER BY l.start_time DESC LIMIT 1), _stored_paths.from_time)
       AND p.start_time < _stored_paths.to_time
       AND p.end_time >= _stored_paths.from_time
       AND _stored_paths.from_time < _stored_paths.to_time;
END;
COMMENT ON FUNCTION _stored_paths IS
    'rows of paths of a device that lie in or reach into [from_time, to_time); stable, parallel safe';

CREATE OR REPLACE FUNCTION _tables_of(relation regclass) RETURNS TABLE (part regclass, parent regclass, level integer, partitioned boolean)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c.oid::regclass, NULL::regclass, 0, c.relkind = 'p' OR _is_hypertable(c.oid)
      FROM _relation(_tables_of.relation) c WHERE c.oid IS NOT NULL
    UNION ALL
    SELECT t.relid, t.parentrelid, t.level, NOT t.isleaf
      FROM pg_partition_tree(_tables_of.relation) t
     WHERE t.relid <> _tables_of.relation
    UNION ALL
    SELECT i.inhrelid, i.inhparent, 1, false
      FROM pg_inherits i
     WHERE i.inhparent = _tables_of.relation AND (SELECT _is_hypertable(_tables_of.relation));
END;
COMMENT ON FUNCTION _tables_of IS
    'a table and, if it is partitioned, all partitions of it, at any level, or the chunks of a hypertable; none but leaves hold rows; stable';

CREATE OR REPLACE FUNCTION _qualified(relation regclass) RETURNS text
LANGUAGE sql STABLE
RETURN (SELECT format('%I.%I', n.nspname, c.relname)
          FROM _relation(_qualified.relation) c JOIN pg_namespace n ON n.oid = c.relnamespace);

COMMENT ON FUNCTION _qualified IS 'the name of a table, with its schema, as a statement has it; stable';

CREATE OR REPLACE FUNCTION _is_index_of(index_name text, relation regclass) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pg_index i CROSS JOIN LATERAL _relation(i.indexrelid) c
                    WHERE i.indrelid = _is_index_of.relation AND c.relname = _is_index_of.index_name
                      AND (i.indisvalid OR c.relkind = 'I'));
END;
COMMENT ON FUNCTION _is_index_of IS 'whether a usable index of this name belongs to a table; stable';

-- Whether a valid index leads with these columns, over the rows of a condition or (null) over all of them. That of
-- a partitioned table is but a form, valid or not, by which later partitions get theirs.
CREATE OR REPLACE FUNCTION _has_index(relation regclass, columns name[], condition text DEFAULT NULL) RETURNS boolean
LANGUAGE sql STABLE
SET quote_all_identifiers = off
BEGIN ATOMIC
    SELECT NOT EXISTS (
        SELECT FROM _tables_of(_has_index.relation) t
         WHERE NOT EXISTS (
            SELECT FROM pg_index i
             CROSS JOIN LATERAL _relation(i.indexrelid) c
              JOIN pg_am m ON m.oid = c.relam AND m.amname = 'btree'
             WHERE i.indrelid = t.part AND (i.indisvalid OR t.partitioned)
               AND pg_get_expr(i.indpred, i.indrelid) IS NOT DISTINCT FROM _has_index.condition
               AND NOT EXISTS (
                    SELECT FROM unnest(_has_index.columns) WITH ORDINALITY AS k (name, position)
                      LEFT JOIN pg_attribute a
                        ON a.attrelid = i.indrelid AND a.attname = k.name AND a.attnum = i.indkey[k.position - 1]
                     WHERE a.attname IS NULL)));
END;
COMMENT ON FUNCTION _has_index IS 'whether a usable index of a table, and of each of its partitions, leads with the columns; stable';

CREATE OR REPLACE FUNCTION _has_indexes(relation regclass, device_column name, time_column name) RETURNS boolean
LANGUAGE sql STABLE
RETURN _has_index(relation, ARRAY[device_column, time_column], '(NOT processed)')
   AND _has_index(relation, ARRAY[time_column], '((processed)::integer = 0)')
   AND _has_index(relation, ARRAY[device_column, time_column]);

COMMENT ON FUNCTION _has_indexes IS 'whether a table has the indexes that a source needs; stable';

CREATE OR REPLACE FUNCTION _suffix(index_name name) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN substring(index_name FROM '_osrm_(?:unprocessed|waiting|device_time)$');

COMMENT ON FUNCTION _suffix IS 'the end of the name of an index that adoption adds; null for any other; immutable';

CREATE FUNCTION _is_half_adopted(relation regclass, device_column name, time_column name) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pg_index i CROSS JOIN LATERAL _relation(i.indexrelid) c
                    WHERE i.indrelid = _is_half_adopted.relation AND _suffix(c.relname) IS NOT NULL
                      AND (c.relkind = 'I' AND NOT i.indisvalid
                           OR (SELECT _is_hypertable(_is_half_adopted.relation)
                                  AND NOT _has_indexes(_is_half_adopted.relation, _is_half_adopted.device_column,
                                                       _is_half_adopted.time_column))));
END;
COMMENT ON FUNCTION _is_half_adopted IS
    'whether a partitioned table or a hypertable has indexes that adoption has begun and not all its partitions have; stable';

CREATE FUNCTION _added_columns(relation regclass) RETURNS name[]
LANGUAGE sql STABLE
RETURN ARRAY(SELECT a.attname FROM pg_attribute a
              WHERE a.attrelid = _added_columns.relation AND a.attname IN ('processed', 'batch_id')
                AND col_description(a.attrelid, a.attnum) LIKE 'added by osrm_matcher%'
              ORDER BY a.attnum);
COMMENT ON FUNCTION _added_columns IS 'the columns of a table that adoption has added; stable';

CREATE FUNCTION _index_name(relation regclass, suffix text, again boolean DEFAULT true) RETURNS name
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    base text;
    space oid;
    tail text := '';
    candidate text;
    number integer := 1;
BEGIN
    SELECT c.relname INTO candidate
      FROM pg_index i CROSS JOIN LATERAL @extschema@._relation(i.indexrelid) c
     WHERE i.indrelid = relation AND right(c.relname, length(suffix)) = suffix
     ORDER BY i.indisvalid OR c.relkind = 'I' DESC, 1 LIMIT 1;
    IF FOUND AND again THEN
        RETURN candidate;
    END IF;
    SELECT c.relname, c.relnamespace,
           CASE WHEN octet_length(c.relname) > 40 AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = c.oid)
                THEN '_' || c.oid ELSE '' END
      INTO base, space, tail
      FROM @extschema@._relation(relation) c;
    WHILE octet_length(base) > CASE WHEN tail = '' THEN 40 ELSE 35 END LOOP
        base := left(base, -1);
    END LOOP;
    base := base || tail;
    candidate := base || suffix;
    WHILE to_regclass(format('%s.%I', space::regnamespace, candidate)) IS NOT NULL
       OR EXISTS (SELECT FROM @extschema@.adopted_sources a WHERE candidate = ANY (a.added))
    LOOP
        number := number + 1;
        candidate := format('%s_%s%s', base, number, suffix);
    END LOOP;
    RETURN candidate;
END
$$;
COMMENT ON FUNCTION _index_name IS 'the name of an index that adoption adds, or of the one that it has added before; stable';

CREATE FUNCTION _added_indexes(relation regclass, device_column name, time_column name) RETURNS text[]
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT array_agg(CASE WHEN e.earlier AND _is_index_of(n.name, _added_indexes.relation)
                            OR NOT _has_index(_added_indexes.relation, w.columns, w.condition) THEN n.name END ORDER BY w.nth)
      FROM (SELECT _added_columns(_added_indexes.relation) <> '{}' AS earlier) e
     CROSS JOIN (VALUES
        (1, '_osrm_unprocessed', ARRAY[_added_indexes.device_column, _added_indexes.time_column], '(NOT processed)'),
        (2, '_osrm_waiting', ARRAY[_added_indexes.time_column], '((processed)::integer = 0)'),
        (3, '_osrm_device_time', ARRAY[_added_indexes.device_column, _added_indexes.time_column], NULL))
        AS w (nth, suffix, columns, condition)
     CROSS JOIN LATERAL (SELECT _index_name(_added_indexes.relation, w.suffix, e.earlier) AS name) n;
END;
COMMENT ON FUNCTION _added_indexes IS
    'names of the three indexes of a source, those of an earlier adoption included; null for one that the table has of its own; stable';

CREATE OR REPLACE FUNCTION _wanted_indexes(source adopted_sources)
RETURNS TABLE (name text, suffix text, definition text, title text, purpose text, there boolean)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT _wanted_indexes.source.added[w.nth], w.suffix, w.definition, w.title, w.purpose,
           _wanted_indexes.source.added[w.nth] IS NULL
           OR _is_index_of(_wanted_indexes.source.added[w.nth], _wanted_indexes.source.relation)
      FROM (VALUES
        (1, '_osrm_unprocessed', '(%1$I, %2$I) WHERE NOT processed', 'the index that finds new points', 'finds new points'),
        (2, '_osrm_waiting', '(%2$I) WHERE processed::int = 0', 'the index that finds new points by their time',
         'finds new points by their time'),
        (3, '_osrm_device_time', '(%1$I, %2$I)', 'the index that reads a device''s points', 'reads a device''s points'))
        AS f (nth, suffix, form, title, purpose)
     CROSS JOIN LATERAL (
        SELECT f.nth, f.suffix, format(f.form, _wanted_indexes.source.device_column, _wanted_indexes.source.time_column),
               f.title, f.purpose) AS w (nth, suffix, definition, title, purpose)
     ORDER BY w.nth;
END;

COMMENT ON FUNCTION _wanted_indexes IS 'the indexes of a source, and which of them its table has; stable';

CREATE FUNCTION _index_statements(index_name name, relation regclass, definition text, concurrently boolean)
RETURNS TABLE (nth integer, drops boolean, statement text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT s.nth, s.drops, s.statement
      FROM (SELECT CASE WHEN _index_statements.concurrently THEN 'CONCURRENTLY ' END) AS w (way)
     CROSS JOIN LATERAL (
        SELECT 1 AS nth, true AS drops, format('DROP INDEX %s%s', w.way, _qualified(i.indexrelid)) AS statement
          FROM pg_index i CROSS JOIN LATERAL _relation(i.indexrelid) c
         WHERE i.indrelid = _index_statements.relation AND c.relname = _index_statements.index_name
        UNION ALL
        SELECT 2, false, format('CREATE INDEX %s%I ON %s', w.way, _index_statements.index_name, _index_statements.definition)) s
     WHERE NOT _is_index_of(_index_statements.index_name, _index_statements.relation)
     ORDER BY s.nth;
END;
COMMENT ON FUNCTION _index_statements IS
    'statements that give a table an index of this name, if it has no usable one, on what the definition says; stable';

CREATE FUNCTION _is_attached(partition regclass, suffix text) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pg_index i
                    CROSS JOIN LATERAL pg_partition_ancestors(i.indexrelid) a
                    CROSS JOIN LATERAL _relation(a.relid) c
                    WHERE i.indrelid = _is_attached.partition AND a.relid <> i.indexrelid AND _suffix(c.relname) = _is_attached.suffix);
END;
COMMENT ON FUNCTION _is_attached IS 'whether an index of a partition is part of the one with this suffix of a table that it belongs to; stable';

CREATE OR REPLACE FUNCTION _partition_steps(source adopted_sources)
RETURNS TABLE (step integer, what text, statement text, at_once boolean)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH parts AS (
        SELECT t.*, t.partitioned OR pg_relation_size(t.part) = 0 AND count(*) OVER () <= 64 AS quick,
               (SELECT _is_hypertable(_partition_steps.source.relation)) AS chunk
          FROM _tables_of(_partition_steps.source.relation) t
         WHERE t.level > 0
    ), indexes AS (
        SELECT p.*, w.suffix, w.title, w.definition, _index_name(p.part, w.suffix) AS name
          FROM parts p CROSS JOIN _wanted_indexes(_partition_steps.source) w
         WHERE w.name IS NOT NULL AND NOT _is_attached(p.part, w.suffix)
           AND NOT (p.chunk AND _has_indexes(p.part, _partition_steps.source.device_column, _partition_steps.source.time_column))
    ), steps AS (
        SELECT i.partitioned, i.level, i.part, i.suffix, n.nth, i.quick,
               format(CASE WHEN i.quick THEN '%s %s %s %s %s'
                           ELSE 'run this yourself, outside of a transaction; it holds up nobody. It %s %s %s %s %s' END,
                      CASE WHEN n.drops THEN 'drops what a broken build has left of' ELSE 'adds' END, i.title,
                      CASE WHEN n.drops THEN 'in' ELSE 'to' END, CASE WHEN i.chunk THEN 'chunk' ELSE 'partition' END, i.part) AS what,
               n.statement
          FROM indexes i
         CROSS JOIN LATERAL _index_statements(
               i.name, i.part, format('%s%s %s', CASE WHEN i.partitioned THEN 'ONLY ' END, _qualified(i.part), i.definition), NOT i.quick) n
        UNION ALL
        SELECT DISTINCT i.partitioned, i.level, i.part, NULL::text, 0, i.quick,
               CASE WHEN i.quick THEN format('makes them part of those of the table that %s belongs to', i.part)
                    ELSE format('then this: it makes them part of those of the table that %s belongs to', i.part) END,
               format('SELECT %s.attach_indexes(%L)', '@extschema@', _qualified(i.part))
          FROM indexes i
         WHERE NOT i.chunk
    )
    SELECT (row_number() OVER (ORDER BY s.partitioned DESC, s.level, s.quick DESC, s.part, s.suffix, s.nth))::integer, s.what, s.statement, s.quick
      FROM steps s
     ORDER BY 1;
END;
COMMENT ON FUNCTION _partition_steps IS 'what the indexes of a partitioned table take in its partitions, or those of a hypertable in its chunks; stable';

CREATE OR REPLACE FUNCTION attach_indexes(partition regclass) RETURNS void
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
    pair record;
BEGIN
    PERFORM @extschema@._lock_table(partition, 'A run or a long transaction is using it; try again when that has ended.');
    FOR pair IN
        SELECT up.oid::regclass AS parent, c.oid::regclass AS child
          FROM pg_inherits h
          JOIN pg_index ui ON ui.indrelid = h.inhparent
         CROSS JOIN LATERAL @extschema@._relation(ui.indexrelid) up
          JOIN pg_index i ON i.indrelid = h.inhrelid
         CROSS JOIN LATERAL @extschema@._relation(i.indexrelid) c
         WHERE h.inhrelid = partition AND @extschema@._suffix(c.relname) = @extschema@._suffix(up.relname)
           AND NOT c.relispartition AND (i.indisvalid OR c.relkind = 'I')
    LOOP
        EXECUTE format('ALTER INDEX %s ATTACH PARTITION %s', pair.parent, pair.child);
    END LOOP;
END
$$;

COMMENT ON FUNCTION attach_indexes IS
    'makes indexes that adoption had built in a partition part of those of the table that it belongs to; a step of adopt_source(); volatile, strict';

-- Fleets send at whole seconds, or minutes: what was read of an end breaks off within such a moment, and may all be of it.
CREATE FUNCTION _density(fragments json, oldest timestamptz, newest timestamptz, before_last bigint, until timestamptz,
    OUT rate double precision, OUT tick bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF newest > oldest THEN
        rate := before_last / extract(epoch FROM newest - oldest);
        RETURN;
    END IF;
    SELECT t.points / nullif(t.seconds, 0), t.points INTO rate, tick
      FROM json_to_recordset(@extschema@._ask_source(fragments,
        'SELECT (SELECT count(*) FROM (SELECT FROM {relation} p
                  WHERE p.processed::int = 0 AND {since:$2} AND {until:($2 + interval ''1 us'')}
                  ORDER BY p.{time} LIMIT $5) q) AS points,
                extract(epoch FROM coalesce(
                    (SELECT {time_expression} FROM {relation} p
                      WHERE p.processed::int = 0 AND {since:($2 + interval ''1 us'')} AND {until:$3}
                      ORDER BY p.{time} LIMIT 1) - $2,
                    $2 - (SELECT {time_expression} FROM {relation} p
                           WHERE p.processed::int = 0 AND {since:($2 - interval ''1 day'')} AND {until:$2}
                           ORDER BY p.{time} DESC LIMIT 1))) AS seconds', NULL, oldest, until, 50000))
           AS t (points bigint, seconds double precision);
END
$$;
COMMENT ON FUNCTION _density IS
    'unprocessed points a second at an end of a source, by those read before its last moment; where all are of one moment, by all points of that, up to 50,000 (tick), and the time to the next or from the one before; stable';

-- The nearer to the end, the closer the places that are looked at: what is live is dense, and what came late thin. Where
-- the first point is long in coming there are none. That none is looked for before $2 tells the planner what partitions
-- there is nothing in.
CREATE FUNCTION _between(fragments json, begins timestamptz, ends timestamptz, early double precision, late double precision)
RETURNS double precision
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT sum((r.seconds - r.next_seconds) * (r.rate + r.next_rate) / 2)
          FROM (SELECT p.seconds, p.rate, lead(p.seconds) OVER w AS next_seconds, lead(p.rate) OVER w AS next_rate
                  FROM (VALUES (extract(epoch FROM ends - begins)::double precision, early), (0, late)
                        UNION ALL
                        SELECT c.seconds, coalesce(c.rate, greatest(early, late))
                          FROM json_to_recordset(@extschema@._ask_source(fragments,
                            'SELECT extract(epoch FROM $3 - t.at) AS seconds,
                                    CASE WHEN q.newest - q.oldest > q.oldest - t.at
                                         THEN q.points / extract(epoch FROM q.newest - q.oldest)
                                         WHEN q.newest > q.oldest THEN q.points / extract(epoch FROM q.newest - t.at) END AS rate
                               FROM (SELECT $3 - ($3 - $2) / 2 ^ n AS at FROM generate_series(1, 9) n) t
                              CROSS JOIN LATERAL (
                                SELECT min(o.at) AS oldest, o.newest, count(*) FILTER (WHERE o.at < o.newest) AS points
                                  FROM (SELECT l.at, max(l.at) OVER () AS newest
                                          FROM (SELECT {time_expression} AS at FROM {relation} p
                                                 WHERE p.processed::int = 0 AND {since:t.at} AND {since:$2}
                                                 ORDER BY p.{time} LIMIT 200) l) o
                                 GROUP BY o.newest) q', NULL, begins, ends))
                               AS c (seconds double precision, rate double precision)) AS p (seconds, rate)
                WINDOW w AS (ORDER BY p.seconds DESC)) r);
END
$$;
COMMENT ON FUNCTION _between IS
    'how many unprocessed points of a source lie between two moments, by their number a second at both (before and after) and at nine moments between, where that can be told from 200 points; stable';

-- long: one statement, so that both ends and what lies between them are of one moment.
-- Reads waiting points by their time, from both ends, until so many are counted. How many lie between is estimated, and
-- how many devices and windows they are of from forty of those that were read: how many points the device of each has.
-- An end counts by how dense it is.
CREATE OR REPLACE FUNCTION _backlog_of(fragments json, since timestamptz, until timestamptz, most integer,
    OUT points bigint, OUT windows bigint, OUT devices bigint, OUT oldest timestamptz,
    OUT waiting_since timestamptz, OUT estimated boolean)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    seen record;
    early record;
    late record;
    all_points double precision;
    late_share double precision;
BEGIN
    SELECT * INTO seen FROM json_to_recordset(@extschema@._ask_source(fragments,
        'WITH first AS MATERIALIZED (
            SELECT p.{device} AS device, {time_expression} AS at, {arrival} AS arrival FROM {relation} p
             WHERE p.processed::int = 0 AND {since:$2} AND {until:$3}
             ORDER BY p.{time} LIMIT $5
        ), last AS MATERIALIZED (
            SELECT p.{device} AS device, {time_expression} AS at, {arrival} AS arrival FROM {relation} p
             WHERE p.processed::int = 0 AND {since:$2} AND {until:$3}
               AND {time_expression} > (SELECT max(f.at) FROM first f)
               AND (SELECT count(*) FROM first) = $5
             ORDER BY p.{time} DESC LIMIT $5
        ), ends AS (SELECT * FROM first UNION ALL SELECT * FROM last
        ), bounds AS (
            SELECT * FROM (SELECT min(at) AS oldest, max(at) AS gap_begins FROM first) f,
                   (SELECT min(at) AS gap_ends, max(at) AS newest, count(*) = $5 AS estimated FROM last) l
        ), devices AS (
            SELECT count(*) AS windows, sum(w.points) AS points, min(w.arrival) AS arrival
              FROM (SELECT e.device, count(*) AS points, min(e.arrival) AS arrival
                      FROM ends e GROUP BY e.device, date_bin($4, e.at, ''epoch'')) w
             GROUP BY w.device
        ), shares AS (
            SELECT s.nth > $5 AS late, 1 / c.points AS devices,
                   least(c.points, 1 + extract(epoch FROM date_bin($4, c.newest, ''epoch'') - date_bin($4, q.oldest, ''epoch''))
                                       / extract(epoch FROM $4)) / c.points AS windows
              FROM bounds b
             CROSS JOIN (SELECT e.device, row_number() OVER () AS nth FROM ends e) s
             CROSS JOIN LATERAL (
                SELECT count(*) AS points, min(o.at) AS oldest, max(o.at) AS newest
                  FROM (SELECT {time_expression} AS at FROM {relation} p
                         WHERE NOT p.processed AND p.{device} = s.device AND {since:$2} AND {until:$3}
                         ORDER BY p.{time} LIMIT 25) o) q
             CROSS JOIN LATERAL (
                SELECT q.points::numeric AS points, q.newest WHERE q.points BETWEEN 1 AND 24
                UNION ALL
                SELECT 1 + 24 * extract(epoch FROM b.newest - q.oldest) / extract(epoch FROM q.newest - q.oldest), b.newest
                 WHERE q.points = 25 AND q.newest > q.oldest) c
             WHERE b.estimated AND s.nth % greatest($5 / 20, 1) = 0
        )
        SELECT b.*, d.*, s.*,
               (SELECT count(*) FROM first f WHERE f.at < b.gap_begins) AS early,
               (SELECT count(*) FROM last l WHERE l.at > b.gap_ends) AS late
          FROM bounds b, (SELECT avg(devices) FILTER (WHERE NOT late) AS early_devices,
                                 avg(windows) FILTER (WHERE NOT late) AS early_windows,
                                 avg(devices) FILTER (WHERE late) AS late_devices,
                                 avg(windows) FILTER (WHERE late) AS late_windows FROM shares) s,
               (SELECT coalesce(sum(points), 0) AS points, coalesce(sum(windows), 0) AS windows,
                                 count(*) AS devices, min(arrival) AS waiting_since FROM devices) d',
        NULL, since, until, most / 2))
        AS s (points bigint, windows bigint, devices bigint, waiting_since timestamptz, estimated boolean, oldest timestamptz,
              gap_begins timestamptz, gap_ends timestamptz, newest timestamptz, early bigint, late bigint,
              early_devices double precision, early_windows double precision,
              late_devices double precision, late_windows double precision);
    SELECT seen.points, seen.windows, seen.devices, seen.oldest, seen.waiting_since, seen.estimated
      INTO points, windows, devices, oldest, waiting_since, estimated;
    IF estimated THEN
        SELECT * INTO early FROM @extschema@._density(fragments, seen.oldest, seen.gap_begins, seen.early, until);
        SELECT * INTO late FROM @extschema@._density(fragments, seen.gap_ends, seen.newest, seen.late, until);
        all_points := greatest(points, @extschema@._between(fragments, seen.gap_begins, seen.gap_ends, early.rate, late.rate)
            + CASE WHEN early.tick IS NULL THEN most / 2 ELSE 0 END + coalesce(late.tick, most / 2));
        late_share := late.rate / (early.rate + late.rate);
        devices := greatest(devices, all_points * (seen.early_devices + late_share * (seen.late_devices - seen.early_devices)));
        windows := greatest(windows, all_points * (seen.early_windows + late_share * (seen.late_windows - seen.early_windows)));
        points := all_points;
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION _backlog(most integer DEFAULT 2000,
    OUT points bigint, OUT windows bigint, OUT devices bigint, OUT oldest timestamptz,
    OUT waiting_since timestamptz, OUT estimated boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET jit = off
AS $$
BEGIN
    SELECT sum(b.points), sum(b.windows), sum(b.devices), min(b.oldest), min(b.waiting_since), bool_or(b.estimated)
      INTO points, windows, devices, oldest, waiting_since, estimated
      FROM @extschema@._sources() s
     CROSS JOIN LATERAL @extschema@._backlog_of(
                s.fragments, now() - @extschema@._look_back(), now() + interval '1 hour', most) b;
END
$$;

CREATE OR REPLACE FUNCTION _cache_performance(
    OUT paths bigint, OUT devices bigint, OUT points_per_path double precision, OUT last_access timestamptz,
    OUT matched_share double precision, OUT hit_rate double precision, OUT reads_last_day bigint,
    OUT size_bytes bigint, OUT size text, OUT bytes_per_path double precision)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pages bigint := pg_relation_size('@extschema@.cached_polylines') / current_setting('block_size')::int;
BEGIN
    paths := @extschema@._count('@extschema@.cached_polylines');
    SELECT count(*) INTO devices FROM (SELECT FROM @extschema@.get_devices() LIMIT 100000) d;
    EXECUTE format(
        'SELECT avg(p.source_coordinates_count), avg((p.match_status = ''matched'')::int), max(p.last_accessed)
           FROM @extschema@.cached_polylines p %s',
        CASE WHEN pages > 2000 THEN format('TABLESAMPLE SYSTEM (%s) REPEATABLE (1)', 100.0 * 2000 / pages) END)
       INTO points_per_path, matched_share, last_access;
    -- The notes of reads are not there on a standby: an unlogged table is not copied.
    IF NOT pg_is_in_recovery() THEN
        SELECT sum(r.points_cached)::double precision / nullif(sum(r.points_cached + r.points_waiting), 0), count(*),
               greatest(max(r.read_at), last_access)
          INTO hit_rate, reads_last_day, last_access
          FROM @extschema@.path_reads r
         WHERE r.read_at > now() - interval '1 day';
    END IF;
    size_bytes := pg_total_relation_size('@extschema@.cached_polylines');
    size := pg_size_pretty(size_bytes);
    bytes_per_path := size_bytes / nullif(paths, 0)::double precision;
END
$$;

CREATE FUNCTION _first_waiting(fragments json, since timestamptz, until timestamptz, most integer, OUT points bigint, OUT oldest timestamptz)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT * INTO points, oldest FROM json_to_recordset(@extschema@._ask_source(fragments,
        'SELECT count(*) AS points, min(q.at) AS oldest
           FROM (SELECT {time_expression} AS at FROM {relation} p
                  WHERE p.processed::int = 0 AND {since:$2} AND {until:$3}
                  ORDER BY p.{time} LIMIT $5) q', NULL, since, until, most))
        AS c (points bigint, oldest timestamptz);
    -- A source that fails says nothing.
    points := coalesce(points, 0);
END
$$;
COMMENT ON FUNCTION _first_waiting IS
    'unprocessed points of a source in a range, counted up to so many, and the oldest of them; stable';

CREATE OR REPLACE FUNCTION _behind_look_back(most integer DEFAULT 5000, OUT points bigint, OUT oldest timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET jit = off
AS $$
BEGIN
    SELECT coalesce(sum(w.points), 0), min(w.oldest) INTO points, oldest
      FROM @extschema@._sources() s
      LEFT JOIN @extschema@.adopted_sources a USING (relation)
     CROSS JOIN LATERAL @extschema@._first_waiting(
                s.fragments, coalesce(a.adopted_at - @extschema@._look_back(), '-infinity'), now() - @extschema@._look_back(), most) w;
END
$$;
COMMENT ON FUNCTION _behind_look_back IS
    'unprocessed points from before the look-back, counted up to so many a source, and the oldest of them; stable';

CREATE FUNCTION _points_ahead(most integer DEFAULT 5000, OUT points bigint, OUT oldest timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET jit = off
AS $$
BEGIN
    SELECT coalesce(sum(w.points), 0), min(w.oldest) INTO points, oldest
      FROM @extschema@._sources() s
     CROSS JOIN LATERAL @extschema@._first_waiting(s.fragments, now() + interval '1 day', 'infinity', most) w;
END
$$;
COMMENT ON FUNCTION _points_ahead IS
    'unprocessed points of more than a day in the future, counted up to so many a source, and the first of them; stable';

CREATE OR REPLACE FUNCTION _count(relation regclass, fragments json DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    live bigint;
    few bigint;
BEGIN
    SELECT sum(CASE WHEN pg_stat_get_live_tuples(c.oid) > 0 THEN pg_stat_get_live_tuples(c.oid)
                    ELSE greatest(c.reltuples, 0)::bigint END)
      INTO live
      FROM @extschema@._tables_of(relation) t
     CROSS JOIN LATERAL @extschema@._relation(t.part) c
     WHERE NOT t.partitioned;
    IF live > 20000 THEN
        RETURN live;
    END IF;
    IF fragments IS NULL THEN
        EXECUTE format('SELECT count(*) FROM (SELECT FROM %s LIMIT 10001) AS first_rows', relation) INTO few;
    ELSE
        SELECT q.few INTO few FROM json_to_recordset(@extschema@._ask_source(fragments,
            'SELECT count(*) AS few FROM (SELECT FROM {relation} LIMIT 10001) AS first_rows')) AS q (few bigint);
    END IF;
    RETURN CASE WHEN few <= 10000 THEN few ELSE greatest(live, few) END;
END
$$;
COMMENT ON FUNCTION _count IS 'rows of a table, which may be a source: exact up to 10,000, an estimate from the statistics beyond; stable';

CREATE OR REPLACE FUNCTION worker_status(
    OUT unprocessed_points bigint, OUT processed_points bigint, OUT active_devices bigint,
    OUT cached_paths bigint, OUT last_cache_update timestamptz,
    OUT windows_pending bigint, OUT windows_deferred bigint, OUT windows_failed bigint,
    OUT oldest_waiting timestamptz, OUT waiting_since timestamptz, OUT estimated boolean,
    OUT osrm_reachable boolean, OUT osrm_since timestamptz, OUT osrm_error text,
    OUT enabled boolean, OUT schedule text, OUT next_run timestamptz, OUT last_run json, OUT set_aside text[],
    OUT points_behind bigint, OUT workers bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    waiting record;
    newest @extschema@.worker_runs;
    reopened bigint;
BEGIN
    PERFORM @extschema@._require_points();
    SELECT * INTO waiting FROM @extschema@._backlog();
    unprocessed_points := waiting.points;
    oldest_waiting := waiting.oldest;
    waiting_since := waiting.waiting_since;
    estimated := waiting.estimated;
    SELECT greatest(0, sum(@extschema@._count(s.relation, s.fragments)) - unprocessed_points) INTO processed_points
      FROM @extschema@._sources() s;
    cached_paths := @extschema@._count('@extschema@.cached_polylines');
    SELECT b.points INTO points_behind FROM @extschema@._behind_look_back() b;
    estimated := estimated OR processed_points + unprocessed_points > 10000 OR cached_paths > 10000;

    -- A vehicle on the road has a window finished every minute: the last quarter of an hour is enough.
    SELECT count(*) INTO active_devices
      FROM (SELECT DISTINCT b.device_id FROM @extschema@.processing_batches b
             WHERE b.processing_completed_at > now() - interval '15 min') d;
    active_devices := greatest(active_devices, waiting.devices);
    SELECT b.processing_completed_at INTO last_cache_update
      FROM @extschema@.processing_batches b
     WHERE b.processing_completed_at IS NOT NULL
     ORDER BY b.processing_completed_at DESC
     LIMIT 1;

    -- A window with unprocessed points is pending, and so is one that is to be done again without any.
    SELECT count(*) FILTER (WHERE q.next_attempt_at > now()),
           count(*) FILTER (WHERE q.next_attempt_at <= now()
                              AND (q.processing_completed_at IS NOT NULL OR q.job_id IS NOT NULL))
      INTO windows_deferred, reopened
      FROM (SELECT b.next_attempt_at, b.processing_completed_at, b.job_id FROM @extschema@.processing_batches b
             WHERE b.status IN ('pending', 'processing')
             LIMIT 10000) q;
    windows_pending := greatest(0, waiting.windows - windows_deferred) + reopened;
    SELECT count(*) INTO windows_failed
      FROM (SELECT FROM @extschema@.processing_batches b WHERE b.status = 'failed' LIMIT 10000) q;

    SELECT s.reachable, s.since, s.error INTO osrm_reachable, osrm_since, osrm_error
      FROM @extschema@._osrm_seen() s;

    SELECT array_agg(a.message) INTO set_aside FROM @extschema@._set_aside_alerts() a;
    enabled := @extschema@._enabled();
    SELECT j.schedule, CASE WHEN j.active THEN @extschema@._next_run(j.schedule) END INTO schedule, next_run
      FROM @extschema@._cron_job('osrm_matcher') j;
    SELECT nullif(count(*), 0) INTO workers FROM @extschema@._cron_workers() w WHERE w.active;
    SELECT r.* INTO newest FROM @extschema@.worker_runs r ORDER BY r.id DESC LIMIT 1;
    last_run := CASE WHEN newest.id IS NOT NULL THEN row_to_json(newest) END;
END
$$;

CREATE FUNCTION "_server_list"(
	"servers" TEXT 
) RETURNS TEXT[] 
IMMUTABLE STRICT PARALLEL SAFE
LANGUAGE c 
AS 'MODULE_PATHNAME', '_server_list_wrapper';

CREATE FUNCTION "_is_profile"(
	"profile" TEXT 
) RETURNS bool 
IMMUTABLE STRICT PARALLEL SAFE
LANGUAGE c 
AS 'MODULE_PATHNAME', '_is_profile_wrapper';

CREATE FUNCTION "get_osrm_groups"(
	"device_ids" TEXT[] DEFAULT NULL 
) RETURNS TABLE (
	"device_id" TEXT,  
	"osrm_group" TEXT  
)
VOLATILE SECURITY DEFINER PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c 
AS 'MODULE_PATHNAME', 'get_osrm_groups_wrapper';

ALTER TABLE osrm_groups
    ADD CONSTRAINT osrm_url_names_servers CHECK (_server_list(osrm_url) IS NOT NULL),
    ADD CONSTRAINT profile_is_one CHECK (_is_profile(profile));

CREATE FUNCTION _guard_osrm_groups() RETURNS trigger
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT pg_has_role(current_user, (SELECT c.relowner FROM pg_class c WHERE c.oid = TG_RELID), 'USAGE') THEN
        RAISE EXCEPTION 'only the owner of table osrm_groups may say which OSRM servers are asked'
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Which devices are in a group may be told by others: GRANT INSERT, UPDATE, DELETE ON osrm_group_devices TO ...;';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION _guard_osrm_groups IS 'refuses whoever is not the owner of osrm_groups; volatile';
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON osrm_groups
    FOR EACH STATEMENT EXECUTE FUNCTION _guard_osrm_groups();

CREATE FUNCTION _warn_of_column() RETURNS trigger
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT @extschema@._is_source_column(NEW.source_column) THEN
        RAISE WARNING 'no table of points has a column "%"; group % gets no device by it', NEW.source_column, NEW.name
            USING ERRCODE = 'undefined_column', HINT = 'Adopt the table that has it, or correct source_column.';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION _warn_of_column IS 'warns of a column that no table of points has; volatile';
CREATE TRIGGER warn_of_column AFTER INSERT OR UPDATE ON osrm_groups
    FOR EACH ROW WHEN (NEW.source_column IS NOT NULL) EXECUTE FUNCTION _warn_of_column();

-- The list follows its groups by triggers, not by a foreign key: a restore by several jobs fills the list before the
-- groups as well as after them, and would lose it all. A group that is not there is warned of, and counts for nothing.
CREATE FUNCTION _follow_groups() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        UPDATE @extschema@.osrm_group_devices d SET osrm_group = NEW.name WHERE d.osrm_group = OLD.name;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM @extschema@.osrm_group_devices d WHERE d.osrm_group = OLD.name;
    ELSE
        DELETE FROM @extschema@.osrm_group_devices;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION _follow_groups IS 'renames a group in the list of devices, too, or takes its part of the list away; volatile';
CREATE TRIGGER follow_name AFTER UPDATE ON osrm_groups
    FOR EACH ROW WHEN (NEW.name <> OLD.name) EXECUTE FUNCTION _follow_groups();
CREATE TRIGGER follow_end AFTER DELETE ON osrm_groups FOR EACH ROW EXECUTE FUNCTION _follow_groups();
CREATE TRIGGER follow_truncation AFTER TRUNCATE ON osrm_groups FOR EACH STATEMENT EXECUTE FUNCTION _follow_groups();

CREATE FUNCTION _warn_of_group() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    missing text;
BEGIN
    SELECT string_agg(DISTINCT format('"%s"', n.osrm_group), ', ') INTO missing
      FROM news n
     WHERE NOT EXISTS (SELECT FROM @extschema@.osrm_groups g WHERE g.name = n.osrm_group);
    IF missing IS NOT NULL THEN
        RAISE WARNING 'there is no group %; until it is made, its devices are matched as if they were not in the list', missing
            USING ERRCODE = 'foreign_key_violation', HINT = 'Insert it into osrm_groups, or correct osrm_group.';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION _warn_of_group IS 'warns of devices that are put in a group which is not there; volatile';
CREATE TRIGGER warn_of_group AFTER INSERT ON osrm_group_devices
    REFERENCING NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION _warn_of_group();
CREATE TRIGGER warn_of_change AFTER UPDATE ON osrm_group_devices
    REFERENCING NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION _warn_of_group();

CREATE FUNCTION _is_source_column(column_name name) RETURNS boolean
LANGUAGE sql STABLE
RETURN EXISTS (SELECT FROM _sources() s
                 JOIN pg_attribute a ON a.attrelid = s.relation AND a.attnum > 0 AND NOT a.attisdropped
                WHERE a.attname = _is_source_column.column_name);
COMMENT ON FUNCTION _is_source_column IS 'whether any table of points has a column; stable';

CREATE FUNCTION _group_expression(relation regclass) RETURNS text
LANGUAGE sql STABLE
RETURN (SELECT 'CASE' || string_agg(format(' WHEN p.%I::text = %L THEN %L', a.attname, g.source_value, g.name), ''
                                    ORDER BY g.name COLLATE "C") || ' END'
          FROM osrm_groups g
          JOIN pg_attribute a ON a.attrelid = _group_expression.relation AND a.attname = g.source_column
                             AND a.attnum > 0 AND NOT a.attisdropped);
COMMENT ON FUNCTION _group_expression IS
    'the group that row p of a table of points says its device is in, as an expression; null where no group goes by a column of the table; stable';

CREATE FUNCTION _groups_of(device_ids text[], said text[]) RETURNS TABLE (device_id text, osrm_group text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT d.device_id,
           coalesce(m.osrm_group, d.said, (SELECT g.name FROM osrm_groups g
                                            WHERE d.device_id ~ g.pattern
                                            ORDER BY g.name COLLATE "C" LIMIT 1))
      FROM unnest(_groups_of.device_ids, _groups_of.said) AS d (device_id, said)
      LEFT JOIN (osrm_group_devices m JOIN osrm_groups k ON k.name = m.osrm_group) ON m.device_id = d.device_id;
END;
COMMENT ON FUNCTION _groups_of IS
    'groups of devices: that of the list, or what their newest rows have said, or the first by name whose pattern fits; null for none; stable';
COMMENT ON FUNCTION get_osrm_groups IS
    'which group of osrm_groups devices are in (null: all that have paths), null for none; volatile';
COMMENT ON FUNCTION _server_list IS
    'addresses of a list of OSRM servers; an error where one cannot be used; immutable, strict, parallel safe';
COMMENT ON FUNCTION _is_profile IS 'true, or an error where a text cannot be a profile; immutable, strict, parallel safe';

CREATE FUNCTION "_osrm_servers"() RETURNS TEXT[]
STRICT STABLE PARALLEL SAFE
LANGUAGE c
AS 'MODULE_PATHNAME', '_osrm_servers_wrapper';
COMMENT ON FUNCTION _osrm_servers IS 'addresses of the OSRM servers that are set, none where one cannot be used; stable, parallel safe';

CREATE FUNCTION "_osrm_problem"() RETURNS TEXT
STRICT STABLE PARALLEL SAFE
LANGUAGE c
AS 'MODULE_PATHNAME', '_osrm_problem_wrapper';
COMMENT ON FUNCTION _osrm_problem IS 'why no OSRM server can be asked by the settings; null if one can; stable, parallel safe';

CREATE FUNCTION get_osrm_servers()
RETURNS TABLE (server text, in_use boolean, since timestamptz, problem text, asked_again_at timestamptz,
               osrm_group text)
LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
    SELECT c.server, CASE WHEN l.server IS NOT NULL OR c.problem IS NOT NULL THEN false WHEN seen.reachable THEN true END,
           l.since, coalesce(c.problem, l.why), l.until, c.osrm_group
      FROM (SELECT NULL::text AS osrm_group, s.server, s.position, _osrm_problem() AS problem
              FROM (SELECT _osrm_servers() AS set) o
             CROSS JOIN LATERAL unnest(coalesce(nullif(o.set, '{}'), ARRAY[NULL])) WITH ORDINALITY AS s (server, position)
            UNION ALL
            SELECT g.name, s.server, s.position, NULL
              FROM osrm_groups g
             CROSS JOIN LATERAL unnest(_server_list(g.osrm_url)) WITH ORDINALITY AS s (server, position)) c
     CROSS JOIN _osrm_seen() seen
      LEFT JOIN (SELECT s.server, s.why, s.since, s.until, s.osrm_group
                   FROM (SELECT w.servers_left_out FROM worker_runs w ORDER BY w.id DESC LIMIT 1) last
                  CROSS JOIN jsonb_to_recordset(last.servers_left_out)
                             AS s (server text, why text, since timestamptz, until timestamptz, osrm_group text)) l
             ON l.server = c.server AND l.osrm_group IS NOT DISTINCT FROM c.osrm_group
     ORDER BY c.osrm_group COLLATE "C" NULLS FIRST, c.position;
END;
COMMENT ON FUNCTION get_osrm_servers IS
    'the OSRM servers that are set, those of osrm_matcher.osrm_url first (null where it cannot be used), then those of each group; whether the last run left one out, since when, why, and when it is asked again; stable';

CREATE OR REPLACE FUNCTION _osrm_seen(OUT reachable boolean, OUT since timestamptz, OUT error text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    answered bigint;
BEGIN
    -- The order is that of their numbers, not of their times: a clock may have been ahead.
    SELECT r.id, r.started_at, true INTO answered, since, reachable
      FROM @extschema@.worker_runs r
     WHERE r.osrm_error IS NULL AND r.osrm_calls > 0
     ORDER BY r.id DESC LIMIT 1;
    SELECT r.osrm_error INTO error
      FROM @extschema@.worker_runs r
     WHERE r.osrm_error IS NOT NULL AND r.id > coalesce(answered, 0)
     ORDER BY r.id DESC LIMIT 1;
    IF FOUND THEN
        reachable := false;
        SELECT r.started_at INTO since
          FROM @extschema@.worker_runs r
         WHERE r.osrm_error IS NOT NULL AND r.id > coalesce(answered, 0)
         ORDER BY r.id LIMIT 1;
    END IF;
END
$$;

COMMENT ON FUNCTION worker_status IS
    'how the worker does, in one row: what waits, what is done, OSRM, the last run and the next; stable, reads only what waits';

CREATE VIEW worker_health AS
SELECT s.unprocessed_points AS points_waiting,
       s.windows_pending,
       s.windows_deferred,
       s.windows_failed,
       r.points AS points_last_hour,
       r.windows AS windows_last_hour,
       r.runs AS runs_last_hour,
       r.calls AS osrm_calls_last_hour,
       round(r.delay_avg_ms)::bigint AS delay_avg_ms,
       round(r.delay_max_ms)::bigint AS delay_max_ms,
       coalesce(greatest(0, round(extract(epoch FROM now() - s.waiting_since) * 1000)), 0)::bigint AS waiting_ms,
       s.osrm_reachable
  FROM worker_status() s
 CROSS JOIN (
    SELECT coalesce(sum(w.points), 0)::bigint AS points,
           coalesce(sum(w.windows_completed), 0)::bigint AS windows,
           count(*) AS runs,
           coalesce(sum(w.osrm_calls), 0)::bigint AS calls,
           sum(w.delay_avg_ms * w.points) / nullif(sum(w.points) FILTER (WHERE w.delay_avg_ms IS NOT NULL), 0)
               AS delay_avg_ms,
           max(w.delay_max_ms) AS delay_max_ms
      FROM worker_runs w
     WHERE w.started_at BETWEEN now() - interval '1 hour' AND statement_timestamp()) r;

COMMENT ON VIEW worker_health IS 'backlog, what the last hour did, and the delay of live points, one row';

COMMENT ON COLUMN worker_health.delay_avg_ms IS 'mean age of live points when they were taken into a path, last hour';

COMMENT ON COLUMN worker_health.delay_max_ms IS 'greatest age of a live point when it was taken into a path, last hour';

COMMENT ON COLUMN worker_health.waiting_ms IS 'for how long the point that waits longest has been waiting';

CREATE OR REPLACE FUNCTION _kind_refusals(relation regclass) RETURNS TABLE (problem text, hint text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT format(r.problem, _kind_refusals.relation), format(r.hint, _kind_refusals.relation)
      FROM _relation(_kind_refusals.relation) c
     CROSS JOIN LATERAL (VALUES
        (c.relkind = 'v', '%s is a view: it has no rows of its own to be marked',
         'Adopt the table that it shows; if it shows several, each.'),
        (c.relkind = 'm', '%s is a materialized view: no row of it can be marked, and each refresh makes them anew',
         'Adopt the tables that it is made from.'),
        (c.relkind = 'f', '%s is a foreign table: it can have no index here, and its rows have no lasting place',
         'Adopt it in the database where it lies, or have its points written to a table of this one.'),
        (c.relkind NOT IN ('r', 'p', 'v', 'm', 'f'), '%s is not a table', 'Name the table that points are written to.'),
        (c.relkind IN ('r', 'p') AND c.relpersistence = 't', 'table %s is temporary: no other session can read it',
         'Have the points written to an ordinary table.'),
        (c.relkind IN ('r', 'p') AND c.relpersistence = 'u',
         'table %s is unlogged: a crash of the server empties it, points that wait included',
         'ALTER TABLE %s SET LOGGED; then adopt it.')) AS r (holds, problem, hint)
     WHERE r.holds;
END;

COMMENT ON FUNCTION _kind_refusals IS 'why a relation is of a kind that cannot hold points for us, and what to do; stable';

CREATE OR REPLACE FUNCTION _family_refusals(relation regclass) RETURNS TABLE (problem text, hint text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE WHEN a.relation IS NOT NULL
                THEN format('table %s is a %s of %s, which is adopted: its points are read already', c.oid::regclass, r.what, r.root)
                ELSE format('table %s is a %s of %s', c.oid::regclass, r.what, r.root) END,
           CASE WHEN a.relation IS NOT NULL THEN 'There is nothing to do.'
                ELSE format('Adopt %s, with all its %ss.', r.root, r.what) END
      FROM _relation(_family_refusals.relation) c
     CROSS JOIN LATERAL (
        SELECT 'partition' AS what, pg_partition_root(c.oid) AS root WHERE c.relispartition
        UNION ALL
        SELECT 'chunk', i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid AND _is_hypertable(i.inhparent)) r
      LEFT JOIN adopted_sources a ON a.relation = r.root
    UNION ALL
    SELECT format('table %s has tables that inherit from it: an index of it holds none of their rows', c.oid::regclass),
           format('Adopt each of them that points are written to: %s.', k.children)
      FROM _relation(_family_refusals.relation) c
     CROSS JOIN LATERAL (
        SELECT string_agg(i.inhrelid::regclass::text, ', ' ORDER BY i.inhrelid) AS children
          FROM pg_inherits i
         WHERE i.inhparent = c.oid) k
     WHERE c.relkind = 'r' AND k.children IS NOT NULL AND NOT _is_hypertable(c.oid)
    UNION ALL
    SELECT format('partition of table %s: %s', _family_refusals.relation, k.problem), k.hint
      FROM _tables_of(_family_refusals.relation) t
     CROSS JOIN LATERAL _kind_refusals(t.part) k
     WHERE t.part <> _family_refusals.relation;
END;
COMMENT ON FUNCTION _family_refusals IS
    'why the tables that a table belongs to, or that belong to it, keep it from being adopted, and what to do; stable';

CREATE OR REPLACE FUNCTION _marking_refusals(relation regclass) RETURNS TABLE (problem text, hint text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT format('table %s has the rule "%s", which takes the place of what is done to its rows', t.part, r.rulename),
           format('DROP RULE %I ON %s; a trigger can do what it did. If rows go elsewhere by it, adopt that table.',
                  r.rulename, t.part)
      FROM _tables_of(_marking_refusals.relation) t
      JOIN pg_rewrite r ON r.ev_class = t.part
      JOIN LATERAL _relation(t.part) c ON c.relkind IN ('r', 'p')
     WHERE r.ev_type = '2' OR r.ev_type = '3' AND r.is_instead
    UNION ALL
    SELECT format('table %s is in the publication "%s", which publishes updates, and has no replica identity: none of its rows could be marked',
                  t.part, p.pubname),
           format('Give it a primary key that is not deferrable, or ALTER TABLE %s REPLICA IDENTITY FULL; or let the publication publish inserts alone: ALTER PUBLICATION %I SET (publish = ''insert'').',
                  t.part, p.pubname)
      FROM _tables_of(_marking_refusals.relation) t
     CROSS JOIN LATERAL _relation(t.part) c
      JOIN pg_publication p ON p.pubupdate
      JOIN pg_publication_tables l ON l.pubname = p.pubname
     WHERE NOT t.partitioned
       AND (to_regclass(format('%I.%I', l.schemaname, l.tablename)) = t.part
            OR to_regclass(format('%I.%I', l.schemaname, l.tablename)) IN (SELECT a.relid FROM pg_partition_ancestors(t.part) a))
       AND NOT CASE c.relreplident
                   WHEN 'f' THEN true
                   WHEN 'd' THEN EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.part AND i.indisprimary AND i.indimmediate)
                   WHEN 'i' THEN EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.part AND i.indisreplident)
                   ELSE false END;
END;

COMMENT ON FUNCTION _marking_refusals IS 'why rows of a table could not be marked as processed, and what to do; stable';

CREATE FUNCTION _distribution_refusals(relation regclass) RETURNS TABLE (problem text, hint text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (@extschema@._distribution(relation)).method IS NOT NULL THEN
        problem := format('table %s is distributed: its rows lie in shards, which are the sources where they are', relation);
        hint := format('On each server that has some: SELECT * FROM @extschema@.adopt_shards(%L, ...).', relation);
        RETURN NEXT;
    ELSIF @extschema@._is_shard(relation) THEN
        problem := format('table %s is a shard: to alter it would break later moves of it', relation);
        hint := 'SELECT * FROM @extschema@.adopt_shards(...) takes all shards of a distributed table that this server has.';
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION _distribution_refusals IS 'why a table of Citus cannot be adopted as it is, and what to do; stable';

CREATE OR REPLACE FUNCTION _require_adoptable(relation regclass) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    refusal record;
BEGIN
    IF EXISTS (SELECT FROM @extschema@.adopted_sources a
                WHERE a.relation = _require_adoptable.relation AND a.holds IS DISTINCT FROM 'empty') THEN
        RAISE EXCEPTION 'table % is adopted already', relation
            USING ERRCODE = 'duplicate_object',
                  HINT = format('What is left of an adoption that was broken off: SELECT * FROM @extschema@.finish_adoption(%L). To name other columns, release_source() it first.', relation);
    END IF;
    SELECT r.* INTO refusal
      FROM (SELECT 0 AS nth, 'wrong_object_type' AS code, d.* FROM @extschema@._distribution_refusals(relation) d
            UNION ALL
            SELECT 1, 'wrong_object_type', k.* FROM @extschema@._kind_refusals(relation) k
            UNION ALL
            SELECT 2, 'wrong_object_type', f.* FROM @extschema@._family_refusals(relation) f
            UNION ALL
            SELECT 3, 'object_not_in_prerequisite_state', m.* FROM @extschema@._marking_refusals(relation) m) r
     ORDER BY r.nth LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '%', refusal.problem USING ERRCODE = refusal.code, HINT = refusal.hint;
    END IF;
    IF EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                WHERE d.classid = 'pg_class'::regclass AND d.objid = relation
                  AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'osrm_matcher') THEN
        RAISE EXCEPTION 'table % belongs to osrm_matcher itself', relation USING ERRCODE = 'wrong_object_type';
    END IF;
    IF NOT @extschema@._has_columns(relation) AND EXISTS (
        SELECT FROM pg_attribute a
         WHERE a.attrelid = relation AND a.attname IN ('processed', 'batch_id') AND NOT a.attisdropped)
    THEN
        RAISE EXCEPTION 'table % has a column "processed" or "batch_id" of its own', relation
            USING ERRCODE = 'duplicate_column', HINT = 'Rename it: adoption adds columns of these names.';
    END IF;
END
$$;
COMMENT ON FUNCTION _require_adoptable IS 'raises an error, with what to do, where a table cannot be adopted; stable';

-- One step: hops over the devices and takes each one's oldest rows, until so many rows are found. Rows that
-- a worker has in hand, and those that somebody's foreign key refers to, are passed over. Without sequential scans what
-- has no index costs so much, on paper, that statements of an instant would be compiled for seconds.
CREATE OR REPLACE FUNCTION _delete_before(relation regclass, time_column name, cutoff timestamptz, condition text, max_rows integer)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    deleted bigint;
BEGIN
    condition := condition || coalesce(' AND coalesce(' || @extschema@._referred_to(relation) || ') IS NULL', '');
    EXECUTE format(
        'WITH RECURSIVE known AS (
            (SELECT t.device_id FROM %1$s t ORDER BY t.device_id LIMIT 1)
            UNION ALL
            SELECT (SELECT t.device_id FROM %1$s t WHERE t.device_id > k.device_id ORDER BY t.device_id LIMIT 1)
              FROM known k WHERE k.device_id IS NOT NULL
        ), old AS MATERIALIZED (
            SELECT o.part, o.address
              FROM known k
             CROSS JOIN LATERAL (
                SELECT t.tableoid AS part, t.ctid AS address FROM %1$s t
                 WHERE t.device_id = k.device_id AND t.%2$I < $1 AND %3$s
                 ORDER BY t.%2$I LIMIT $2) o
             LIMIT $2
        ), held AS MATERIALIZED (
            SELECT t.tableoid AS part, t.ctid AS address
              FROM old o JOIN %1$s t ON t.ctid = o.address AND t.tableoid = o.part
             WHERE %3$s
               FOR UPDATE OF t SKIP LOCKED
        )
        DELETE FROM %1$s t USING held h WHERE t.ctid = h.address AND t.tableoid = h.part', relation, time_column, condition)
    USING cutoff, max_rows;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$$;
COMMENT ON FUNCTION _delete_before IS 'deletes up to so many rows of a table that are older than a moment; volatile';

CREATE OR REPLACE FUNCTION delete_old(
    paths_older_than interval DEFAULT '30 days',
    batches_older_than interval DEFAULT '30 days',
    points_older_than interval DEFAULT NULL,
    max_rows integer DEFAULT 10000,
    OUT paths bigint, OUT stops bigint, OUT batches bigint, OUT points bigint, OUT runs bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT s.paths, s.stops, s.batches, s.points, s.runs INTO paths, stops, batches, points, runs
      FROM @extschema@._delete_step(paths_older_than, batches_older_than, points_older_than, max_rows, NULL) s;
END
$$;
COMMENT ON FUNCTION delete_old IS
    'one step of upkeep: deletes up to max_rows each of paths with stops, batches, processed points and runs beyond an age; null keeps all; unprocessed points and tables of the application are never deleted from; volatile';

CREATE FUNCTION _delete_step(
    paths_older_than interval, batches_older_than interval, points_older_than interval, max_rows integer,
    INOUT failures text[],
    OUT paths bigint, OUT stops bigint, OUT batches bigint, OUT points bigint, OUT runs bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reach interval := justify_hours(2 * @extschema@._look_back());
BEGIN
    -- A point that comes late opens its window again: what that needs must still be there.
    IF least(paths_older_than, batches_older_than, points_older_than) < reach THEN
        RAISE EXCEPTION 'nothing younger than % may be deleted', reach
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Late points open windows of the look-back again; twice that has to stay.';
    END IF;
    IF greatest(paths_older_than, batches_older_than, points_older_than) > interval '1000 years' THEN
        RAISE EXCEPTION 'nothing is older than %', greatest(paths_older_than, batches_older_than, points_older_than)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give 1000 years at most; null keeps all.';
    END IF;
    IF max_rows IS NULL OR max_rows < 1 THEN
        RAISE EXCEPTION 'max_rows must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT a.* INTO failures, paths FROM @extschema@._attempt('delete old paths',
        'SELECT @extschema@._delete_before(''@extschema@.cached_polylines'', ''start_time'', $1, ''true'', $2)',
        failures, now() - paths_older_than, max_rows) a;
    SELECT a.* INTO failures, stops FROM @extschema@._attempt('delete old stops',
        'SELECT @extschema@._delete_before(''@extschema@.stops'', ''start_time'', $1, ''true'', $2)',
        failures, now() - paths_older_than, max_rows) a;
    SELECT a.failures INTO failures FROM @extschema@._attempt('delete old seams',
        'WITH gone AS (DELETE FROM @extschema@.known_seams s
                        WHERE s.device_id = ANY (ARRAY(SELECT o.device_id FROM @extschema@.known_seams o
                                                        WHERE o.seam_time < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))
                       RETURNING s.device_id)
         SELECT count(*) FROM gone',
        failures, now() - paths_older_than, max_rows) a;
    -- Late points find by its batch what they change, so it stays as long as there is anything to change.
    SELECT a.* INTO failures, batches FROM @extschema@._attempt('delete old batches', $do$
        SELECT @extschema@._delete_before(
            '@extschema@.processing_batches', 'start_time', $1,
            't.status = ''completed''
             AND (SELECT c.id FROM @extschema@.cached_polylines c
                   WHERE c.device_id = t.device_id AND c.start_time >= t.start_time AND c.start_time < t.end_time
                   LIMIT 1) IS NULL
             AND (SELECT s.id FROM @extschema@.stops s
                   WHERE s.device_id = t.device_id AND s.start_time >= t.start_time AND s.start_time < t.end_time
                   LIMIT 1) IS NULL', $2)$do$,
        failures, CASE WHEN paths_older_than IS NOT NULL AND batches_older_than IS NOT NULL AND paths < max_rows AND stops < max_rows
                       THEN now() - greatest(paths_older_than, batches_older_than) END, max_rows) a;
    SELECT d.* INTO failures, points
      FROM @extschema@._delete_points(now() - points_older_than, max_rows, failures) d;
    -- Their log is kept as long as batches are, and never for less than two days, which alerts look at.
    SELECT a.* INTO failures, runs FROM @extschema@._attempt('delete old runs',
        'WITH gone AS (DELETE FROM @extschema@.worker_runs r
                        WHERE r.id = ANY (ARRAY(SELECT o.id FROM @extschema@.worker_runs o
                                                 WHERE o.started_at < $1 ORDER BY o.started_at LIMIT $2))
                       RETURNING r.id)
         SELECT count(*) FROM gone',
        failures, now() - CASE WHEN batches_older_than IS NOT NULL THEN greatest(batches_older_than, interval '2 days') END, max_rows) a;
END
$$;
COMMENT ON FUNCTION _delete_step IS 'delete_old(), but for what has failed before, to which it adds what fails; volatile';

CREATE FUNCTION "_require_commits"(
	"call" TEXT,
	"instead" TEXT
) RETURNS VOID
STRICT VOLATILE PARALLEL UNSAFE
LANGUAGE c
AS 'MODULE_PATHNAME', '_require_commits_wrapper';
COMMENT ON FUNCTION _require_commits(text, text) IS
    'raises an error, with what to call instead, where the procedure that calls cannot commit; volatile, strict';

CREATE FUNCTION "_put_off"() RETURNS oid[]
VOLATILE STRICT PARALLEL UNSAFE
LANGUAGE c
AS 'MODULE_PATHNAME', '_put_off_wrapper';

CREATE FUNCTION "_make_checks"(
	"but" oid[]
) RETURNS VOID
VOLATILE STRICT PARALLEL UNSAFE
LANGUAGE c
AS 'MODULE_PATHNAME', '_make_checks_wrapper';

COMMENT ON FUNCTION _put_off IS 'tables that checks wait for, which are put off to the end of the transaction; volatile';
COMMENT ON FUNCTION _make_checks IS
    'makes checks that are put off to the end of the transaction, but for those that wait for a change of some tables; volatile, strict';

-- What has failed is given up until the next call: a step that is repeated need not fail, and warn, each time. A key or a
-- trigger that is put off to the end of the transaction would fail all of it, so it is made to speak here.
CREATE FUNCTION _attempt(what text, statement text, INOUT failures text[], cutoff timestamptz DEFAULT now(),
                         max_rows integer DEFAULT 0, OUT done bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reason text;
    about text;
    advice text;
    others oid[];
BEGIN
    done := 0;
    IF cutoff IS NULL OR EXISTS (SELECT FROM unnest(failures) f WHERE starts_with(f, what || ': ')) THEN
        RETURN;
    END IF;
    others := @extschema@._put_off();
    EXECUTE statement INTO done USING cutoff, max_rows;
    PERFORM @extschema@._make_checks(others);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS reason = MESSAGE_TEXT, about = PG_EXCEPTION_DETAIL, advice = PG_EXCEPTION_HINT;
    done := 0;
    reason := concat_ws('; ', reason, nullif(replace(about, E'\n', '; '), ''));
    failures := failures || format('%s: %s', what, reason);
    RAISE WARNING 'could not %: %', what, reason
        USING ERRCODE = SQLSTATE, DETAIL = 'All else is done without it.',
              HINT = CASE WHEN SQLSTATE = '2BP01' THEN 'Drop what depends on it, or have it read gps_coordinates as a whole; then call upkeep() again.'
                          ELSE coalesce(nullif(advice, ''), 'Mend that, and call upkeep() again.') END;
END
$$;
COMMENT ON FUNCTION _attempt IS
    'does a part of upkeep, a statement over a moment ($1) and a number of rows ($2), and says of how many rows or points; what fails is told of in a warning, added to failures, and not tried again with them; nothing without a moment; volatile';

-- What a foreign key lets no row go for; those that say CASCADE or SET NULL are in nobody's way.
CREATE FUNCTION _referred_to(relation regclass) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT string_agg(format('(SELECT true FROM %s r WHERE %s LIMIT 1)', c.conrelid::regclass, k.same), ', ')
      FROM pg_constraint c
     CROSS JOIN LATERAL (
        SELECT string_agg(format('r.%I = t.%I', r.attname, t.attname), ' AND ') AS same
          FROM unnest(c.conkey, c.confkey) AS k (referring, referred)
          JOIN pg_attribute r ON r.attrelid = c.conrelid AND r.attnum = k.referring
          JOIN pg_attribute t ON t.attrelid = c.confrelid AND t.attnum = k.referred) k
     WHERE c.confrelid = _referred_to.relation AND c.contype = 'f' AND c.confdeltype IN ('a', 'r');
END;
COMMENT ON FUNCTION _referred_to IS
    'expressions, for a row t of a table, that are null unless a foreign key refers to it; null if no foreign key refers to the table; stable';

CREATE FUNCTION _points_are_partitioned() RETURNS boolean
LANGUAGE sql STABLE
RETURN (_relation(to_regclass('@extschema@.gps_coordinates'))).relkind = 'p';
COMMENT ON FUNCTION _points_are_partitioned IS 'whether gps_coordinates is partitioned; stable';

-- Bounds are read and written as text. In other forms than ISO an abbreviation may be that of another zone.
CREATE FUNCTION _point_partitions() RETURNS TABLE (part regclass, from_time timestamptz, to_time timestamptz)
LANGUAGE sql STABLE
SET datestyle = 'ISO'
SET timezone = 'UTC'
BEGIN ATOMIC
    SELECT i.inhrelid::regclass, substring(b.bound, 'FROM [(]''([^'']+)''[)]')::timestamptz,
           substring(b.bound, 'TO [(]''([^'']+)''[)]')::timestamptz
      FROM pg_inherits i
     CROSS JOIN LATERAL _relation(i.inhrelid) c
     CROSS JOIN LATERAL pg_get_expr(c.relpartbound, c.oid) AS b (bound)
     WHERE i.inhparent = to_regclass('@extschema@.gps_coordinates')
     ORDER BY 2;
END;
COMMENT ON FUNCTION _point_partitions IS
    'partitions of gps_coordinates with their ranges, that of all other times last, without a range; none while it is one table; stable';

CREATE FUNCTION _require_superuser() RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) THEN
        RAISE EXCEPTION 'role "%" cannot make partitions of gps_coordinates, for it is no superuser', current_user
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = 'Partitions become members of the extension, which only a superuser can see to.',
                  HINT = 'Have a superuser call partition_points(), and upkeep(), or schedule it.';
    END IF;
END
$$;
COMMENT ON FUNCTION _require_superuser IS 'raises insufficient_privilege, with what to do, where the caller is no superuser; stable';

CREATE FUNCTION _add_to_extension(relation regclass, dump boolean) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('ALTER EXTENSION osrm_matcher ADD TABLE %s', relation);
    IF dump THEN
        UPDATE pg_extension e
           SET extconfig = e.extconfig || relation::oid, extcondition = e.extcondition || ''::text
         WHERE e.extname = 'osrm_matcher';
    END IF;
END
$$;
COMMENT ON FUNCTION _add_to_extension IS 'makes a table a member of the extension, whose rows are dumped or not; volatile';

CREATE FUNCTION _stored_columns(relation regclass) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
      FROM pg_attribute a
     WHERE a.attrelid = _stored_columns.relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '';
END;
COMMENT ON FUNCTION _stored_columns IS 'the columns of a table that are not generated, as a statement has them; stable';

-- Beyond the last hundred thousand runs of all jobs it is not looked for: nobody may shorten the log.
CREATE FUNCTION _last_cron_run(job_id bigint)
RETURNS TABLE (failed boolean, began timestamptz, message text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF @extschema@._cron_is_here() THEN
        RETURN QUERY EXECUTE
            'SELECT d.status = ''failed'', coalesce(d.start_time, d.end_time), d.return_message
               FROM cron.job_run_details d
              WHERE d.jobid = $1 AND d.status IN (''succeeded'', ''failed'')
                AND d.runid > (SELECT max(l.runid) FROM cron.job_run_details l) - 100000
              ORDER BY d.runid DESC LIMIT 1'
            USING job_id;
    END IF;
END
$$;
COMMENT ON FUNCTION _last_cron_run IS 'the last run of a job of pg_cron that has ended, as far as pg_cron''s log has it; stable';

-- Points that came early or late for their partition move to it. Its indexes are made as it is attached, and tables that
-- foreign keys refer to are locked: writers of points shall not wait behind that.
CREATE FUNCTION _make_partition(name text, bounds text, condition text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
BEGIN
    -- Every point is updated once; a table that is vacuumed late makes the search for new ones slow.
    EXECUTE format('CREATE TABLE @extschema@.%I (LIKE @extschema@.gps_coordinates INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED)
                    WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05)', name);
    EXECUTE format('ALTER TABLE @extschema@.%I OWNER TO %s', name,
                   (@extschema@._relation('@extschema@.gps_coordinates'::regclass)).relowner::regrole);
    PERFORM @extschema@._add_to_extension(format('@extschema@.%I', name)::regclass, true);
    IF condition IS NOT NULL THEN
        EXECUTE format('WITH moved AS (DELETE FROM @extschema@.gps_coordinates_rest p WHERE %1$s RETURNING p.*)
                        INSERT INTO @extschema@.%2$I (%3$s) SELECT %3$s FROM moved',
                       condition, name, @extschema@._stored_columns('@extschema@.gps_coordinates'));
    END IF;
    EXECUTE format('ALTER TABLE @extschema@.gps_coordinates ATTACH PARTITION @extschema@.%I %s', name, bounds);
END
$$;
COMMENT ON FUNCTION _make_partition IS 'makes a partition of gps_coordinates; volatile';

-- Partitions of the same length as the newest, unless another is asked for, for a week to come. Tables that foreign keys
-- refer to are locked as a partition is attached: writers of points shall not wait behind that.
CREATE FUNCTION _make_partitions(since timestamptz DEFAULT NULL, every interval DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO'
SET timezone = 'UTC'
AS $$
DECLARE
    step interval;
    start timestamptz;
    until timestamptz;
    made bigint := 0;
BEGIN
    -- Until the table is ours somebody else may have made them: what is there is looked at once more then.
    FOR look IN 1 .. 2 LOOP
        SELECT coalesce(every, p.to_time - p.from_time), coalesce(p.to_time, date_bin(every, since, 'epoch')) INTO step, start
          FROM @extschema@._point_partitions() p ORDER BY p.to_time DESC NULLS LAST LIMIT 1;
        until := now() + greatest(interval '7 days', 2 * step);
        IF (start < until) IS NOT TRUE THEN
            RETURN 0;
        END IF;
        PERFORM @extschema@._require_superuser();
        PERFORM @extschema@._lock_table('@extschema@.gps_coordinates_rest', 'A run or a long transaction is using it; the next upkeep() tries again.');
    END LOOP;
    WHILE start < until LOOP
        PERFORM @extschema@._make_partition(
            'gps_coordinates_' || to_char(start AT TIME ZONE 'UTC', 'YYYYMMDD_HH24MI'),
            format('FOR VALUES FROM (%L) TO (%L)', start, start + step),
            format('p.recorded_at >= %L AND p.recorded_at < %L', start, start + step));
        start := start + step;
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;
COMMENT ON FUNCTION _make_partitions IS
    'makes partitions of gps_coordinates ahead, if it has any; says how many; volatile';

CREATE FUNCTION _points_obstacles() RETURNS SETOF text
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH points AS (SELECT c.* FROM _relation(to_regclass('@extschema@.gps_coordinates')) c)
    SELECT pg_describe_object(CASE WHEN r.ev_class <> p.oid THEN 'pg_class'::regclass ELSE d.classid END,
                              CASE WHEN r.ev_class <> p.oid THEN r.ev_class ELSE d.objid END, 0)
      FROM points p
      JOIN pg_type t ON t.oid = p.reltype
      JOIN pg_depend d ON (d.refclassid = 'pg_class'::regclass AND d.refobjid = p.oid)
                       OR (d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray))
      LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
      LEFT JOIN pg_trigger g ON d.classid = 'pg_trigger'::regclass AND g.oid = d.objid
      LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
     WHERE d.classid IN ('pg_rewrite'::regclass, 'pg_proc'::regclass, 'pg_policy'::regclass, 'pg_publication_rel'::regclass)
        OR d.classid = 'pg_class'::regclass AND d.deptype = 'n'
        OR NOT g.tgisinternal
        OR NOT k.convalidated
        OR k.contype = 'x'
        OR k.contype = 'f' AND k.confrelid = p.oid
    UNION
    SELECT format('unique index %s, without recorded_at', i.indexrelid::regclass)
      FROM points p JOIN pg_index i ON i.indrelid = p.oid
     WHERE i.indisunique AND NOT EXISTS (
            SELECT FROM pg_attribute a
             WHERE a.attrelid = p.oid AND a.attname = 'recorded_at'
               AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
    UNION
    SELECT format('identity of column %I', a.attname)
      FROM points p JOIN pg_attribute a ON a.attrelid = p.oid AND a.attidentity <> ''
    UNION
    SELECT format('security label of %s', l.provider)
      FROM points p JOIN pg_seclabel l ON l.classoid = 'pg_class'::regclass AND l.objoid = p.oid
    UNION
    SELECT w.what
      FROM points p
     CROSS JOIN LATERAL (VALUES
        ('a replica identity that is not its key', p.relreplident <> 'd'),
        ('a tablespace of its own', p.reltablespace <> 0),
        ('a table that it inherits from', EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = p.oid))) AS w (what, so)
     WHERE w.so
     ORDER BY 1;
END;
COMMENT ON FUNCTION _points_obstacles IS
    'what gps_coordinates has about it that a partitioned table could not have, or that would go with it or be lost; stable';

CREATE FUNCTION _drop_partition(old regclass) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    waits boolean;
    points bigint;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM %s p WHERE p.processed::int = 0)', old) INTO waits;
    IF waits THEN
        RETURN 0;
    END IF;
    points := @extschema@._count(old);
    EXECUTE format('ALTER EXTENSION osrm_matcher DROP TABLE %s', old);
    -- A foreign key that refers to gps_coordinates depends on each of its partitions, and lets go of one that is detached.
    IF EXISTS (SELECT FROM pg_constraint c WHERE c.confrelid = old AND c.contype = 'f') THEN
        EXECUTE format('ALTER TABLE @extschema@.gps_coordinates DETACH PARTITION %s', old);
    END IF;
    EXECUTE format('DROP TABLE %s', old);
    RETURN points;
END
$$;
COMMENT ON FUNCTION _drop_partition IS
    'drops a partition of gps_coordinates, unless it holds points that are to be processed; returns how many points it held, about; volatile';

CREATE FUNCTION _require_simple_points() RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    size bigint := pg_total_relation_size('@extschema@.gps_coordinates');
    obstacles text;
BEGIN
    IF size > 256 * 1024 * 1024 THEN
        RAISE EXCEPTION 'gps_coordinates takes %, too much to be copied while writers wait', pg_size_pretty(size)
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Let upkeep(points_older_than => ...) delete what is processed, and VACUUM FULL it; or have new points written to a partitioned table of yours, and adopt that.';
    END IF;
    SELECT string_agg(o.what, ', ') INTO obstacles FROM @extschema@._points_obstacles() AS o (what);
    IF obstacles IS NOT NULL THEN
        RAISE EXCEPTION 'gps_coordinates has what a new table in its place would lack: %', obstacles
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Drop it, and make it again afterwards; a unique index then with recorded_at in it.';
    END IF;
END
$$;
COMMENT ON FUNCTION _require_simple_points IS
    'raises an error, with what to do, where gps_coordinates is too large, or has too much about it, to be made anew; stable';

-- In the words that make them again, under the same names: those of indexes are said for a table of this name.
CREATE FUNCTION _points_parts() RETURNS SETOF text
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH points AS (SELECT c.* FROM _relation(to_regclass('@extschema@.gps_coordinates')) c), parts (rank, statement) AS (
        SELECT 1, CASE WHEN k.oid IS NULL THEN pg_get_indexdef(i.indexrelid)
                       ELSE format('ALTER TABLE %s ADD CONSTRAINT %I %s', p.oid::regclass, k.conname, pg_get_constraintdef(k.oid)) END
          FROM points p
          JOIN pg_index i ON i.indrelid = p.oid
          LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = p.oid AND k.contype IN ('p', 'u')
        UNION ALL
        SELECT 2, format('COMMENT ON INDEX %s IS %L', i.indexrelid::regclass, obj_description(i.indexrelid, 'pg_class'))
          FROM points p JOIN pg_index i ON i.indrelid = p.oid
        UNION ALL
        SELECT 3, format('ALTER TABLE %s ADD CONSTRAINT %I %s', p.oid::regclass, k.conname, pg_get_constraintdef(k.oid))
          FROM points p JOIN pg_constraint k ON k.conrelid = p.oid AND k.contype = 'f'
        UNION ALL
        SELECT 4, format('COMMENT ON TABLE %s IS %L', p.oid::regclass, obj_description(p.oid, 'pg_class')) FROM points p
        UNION ALL
        SELECT 5, format('ALTER TABLE %s %s ROW LEVEL SECURITY', p.oid::regclass, w.what)
          FROM points p
         CROSS JOIN LATERAL (VALUES ('ENABLE', p.relrowsecurity), ('FORCE', p.relforcerowsecurity)) AS w (what, so)
         WHERE w.so
        UNION ALL
        SELECT 6, format('ALTER SEQUENCE %s OWNED BY %s.%I', d.objid::regclass, p.oid::regclass, a.attname)
          FROM points p
          JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = p.oid AND d.classid = 'pg_class'::regclass
                          AND d.deptype = 'a'
          JOIN pg_attribute a ON a.attrelid = p.oid AND a.attnum = d.refobjsubid
         CROSS JOIN LATERAL _relation(d.objid) c
         WHERE c.relkind = 'S'
    )
    SELECT s.statement FROM parts s ORDER BY s.rank;
END;
COMMENT ON FUNCTION _points_parts IS
    'statements for what gps_coordinates has beside its columns and checks: keys, indexes, comments, row level security, sequences; stable';

CREATE FUNCTION _points_rights() RETURNS SETOF text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT format('GRANT %s%s ON %s TO %s%s', a.privilege_type, ' (' || quote_ident(g.name) || ')', p.oid::regclass,
                  CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
                  CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
      FROM _relation(to_regclass('@extschema@.gps_coordinates')) p
     CROSS JOIN LATERAL (
        SELECT NULL::name, p.relacl
        UNION ALL
        SELECT t.attname, t.attacl FROM pg_attribute t WHERE t.attrelid = p.oid AND NOT t.attisdropped) AS g (name, rights)
     CROSS JOIN LATERAL aclexplode(g.rights) a
     WHERE a.grantee <> p.relowner;
END;
COMMENT ON FUNCTION _points_rights IS 'statements for what others may do with gps_coordinates and with columns of it; stable';

-- Rows are copied by the caller.
CREATE FUNCTION _remake_points() RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    whole regclass := '@extschema@.gps_coordinates';
    owner regrole := (@extschema@._relation(whole)).relowner;
    parts text[] := ARRAY(SELECT @extschema@._points_parts());
    rights text[] := ARRAY(SELECT @extschema@._points_rights());
    item text;
BEGIN
    ALTER EXTENSION osrm_matcher DROP TABLE @extschema@.gps_coordinates;
    ALTER TABLE @extschema@.gps_coordinates RENAME TO gps_coordinates_whole;
    FOR item IN SELECT format('ALTER INDEX %s RENAME TO %I', i.indexrelid::regclass, 'gps_coordinates_whole_' || i.indexrelid)
                  FROM pg_index i WHERE i.indrelid = whole LOOP
        EXECUTE item;
    END LOOP;
    CREATE TABLE @extschema@.gps_coordinates (LIKE @extschema@.gps_coordinates_whole INCLUDING ALL EXCLUDING INDEXES)
        PARTITION BY RANGE (recorded_at);
    EXECUTE format('ALTER TABLE @extschema@.gps_coordinates OWNER TO %s', owner);
    FOREACH item IN ARRAY parts LOOP
        EXECUTE item;
    END LOOP;
    PERFORM @extschema@._add_to_extension('@extschema@.gps_coordinates', false);
    -- Rights come after: what a member has as it joins is left out of dumps.
    FOREACH item IN ARRAY rights LOOP
        EXECUTE item;
    END LOOP;
END
$$;
COMMENT ON FUNCTION _remake_points IS 'puts an empty partitioned table in the place of gps_coordinates, which is gps_coordinates_whole then; volatile';

CREATE FUNCTION partition_points(every interval DEFAULT '1 day') RETURNS bigint
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
    since timestamptz;
BEGIN
    IF every NOT BETWEEN interval '1 hour' AND interval '366 days' OR extract(year FROM every) <> 0 OR extract(month FROM every) <> 0 THEN
        RAISE EXCEPTION 'a partition cannot be of %: an hour at least, 366 days at most, and no months', every
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as 1 day, or 7 days.';
    END IF;
    -- What writers commit while the lock is waited for would be missing in the copy.
    PERFORM @extschema@._require_read_committed('partition_points()');
    IF NOT @extschema@._points_are_partitioned() THEN
        PERFORM @extschema@._require_superuser();
        PERFORM @extschema@._lock_table('@extschema@.gps_coordinates', 'A run or a long transaction is using it; try again when that has ended.');
    END IF;
    -- Until the table is ours somebody else may have partitioned it.
    IF @extschema@._points_are_partitioned() THEN
        RETURN @extschema@._make_partitions(every => every);
    END IF;
    PERFORM @extschema@._require_simple_points();
    PERFORM @extschema@._remake_points();
    PERFORM @extschema@._make_partition('gps_coordinates_rest', 'DEFAULT', NULL);
    SELECT greatest(coalesce(min(p.recorded_at), now()), now() - interval '30 days') INTO since
      FROM @extschema@.gps_coordinates_whole p;
    PERFORM @extschema@._make_partitions(least(since, now()), every);
    EXECUTE format('INSERT INTO @extschema@.gps_coordinates (%1$s) SELECT %1$s FROM @extschema@.gps_coordinates_whole',
                   @extschema@._stored_columns('@extschema@.gps_coordinates'));
    DROP TABLE @extschema@.gps_coordinates_whole;
    RETURN (SELECT count(p.from_time) FROM @extschema@._point_partitions() p);
END
$$;
COMMENT ON FUNCTION partition_points IS
    'makes gps_coordinates, empty or small, a table partitioned by time, with partitions of a length for a week to come, which upkeep() goes on with; says how many were made; volatile, strict';

-- Who uses the table now is not waited for.
CREATE FUNCTION _drop_partitions(cutoff timestamptz, INOUT failures text[], OUT points bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old regclass;
    done bigint;
BEGIN
    points := 0;
    FOR old IN SELECT p.part FROM @extschema@._point_partitions() p WHERE p.to_time <= cutoff LOOP
        -- A point that came late would not be seen, and go with its partition.
        SELECT a.* INTO failures, done FROM @extschema@._attempt('drop partitions of gps_coordinates',
            'SELECT 1 FROM @extschema@._require_read_committed(''this'')', failures) a;
        EXIT WHEN done = 0;
        BEGIN
            PERFORM @extschema@._lock_table('@extschema@.gps_coordinates', 'The next upkeep() tries again.');
        EXCEPTION WHEN lock_not_available THEN
            RETURN;
        END;
        SELECT a.* INTO failures, done FROM @extschema@._attempt(
            format('drop partition %s', old), format('SELECT @extschema@._drop_partition(%L)', old), failures) a;
        points := points + done;
    END LOOP;
END
$$;
COMMENT ON FUNCTION _drop_partitions IS
    'drops partitions of gps_coordinates that hold nothing but processed points from before a moment; returns how many points, about, and what has failed; volatile';

CREATE FUNCTION _delete_points(cutoff timestamptz, max_rows integer, INOUT failures text[], OUT points bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    single regclass := '@extschema@.gps_coordinates';
    deleted bigint;
BEGIN
    points := 0;
    IF @extschema@._points_are_partitioned() THEN
        SELECT d.* INTO failures, points FROM @extschema@._drop_partitions(cutoff, failures) d;
        single := to_regclass('@extschema@.gps_coordinates_rest');
    END IF;
    SELECT a.* INTO failures, deleted FROM @extschema@._attempt('delete old points',
        format('SELECT @extschema@._delete_before(%L, ''recorded_at'', $1, ''t.processed'', $2)', single),
        failures, cutoff, max_rows) a;
    points := points + deleted;
END
$$;
COMMENT ON FUNCTION _delete_points IS
    'deletes processed points from before a moment, whole partitions of them or up to so many; returns how many, about, and what has failed; volatile';

-- Commits after each step, so it can have no SET clause: every name is qualified. What has failed is an error at its
-- end, when all else is done: whoever calls it by a schedule sees no warnings.
CREATE OR REPLACE PROCEDURE upkeep(
    paths_older_than interval DEFAULT '30 days',
    batches_older_than interval DEFAULT '30 days',
    points_older_than interval DEFAULT NULL,
    max_seconds integer DEFAULT 600)
LANGUAGE plpgsql
AS $$
DECLARE
    until pg_catalog.timestamptz := pg_catalog.clock_timestamp()
        OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => max_seconds);
    gone record;
    devices pg_catalog.text[];
    failures pg_catalog.text[];
BEGIN
    PERFORM @extschema@._require_commits('upkeep()', 'SELECT * FROM @extschema@.delete_old(); does a step of it.');
    IF pg_catalog.pg_is_in_recovery() THEN
        RAISE NOTICE 'nothing done: this server is a standby';
        RETURN;
    END IF;
    -- Each of its transactions sees what others have committed, whatever the default is; CHAIN keeps it so.
    IF pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed' THEN
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    END IF;
    IF @extschema@._points_are_partitioned() THEN
        SELECT a.failures INTO failures FROM @extschema@._attempt(
            'make partitions of gps_coordinates ahead', 'SELECT @extschema@._make_partitions()', failures) AS a;
        COMMIT AND CHAIN;
    END IF;
    LOOP
        SELECT * INTO gone
          FROM @extschema@._delete_step(paths_older_than, batches_older_than, points_older_than, 10000, failures);
        failures := gone.failures;
        COMMIT AND CHAIN;
        EXIT WHEN pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>=) until
               OR GREATEST(gone.paths, gone.stops, gone.batches, gone.points, gone.runs) OPERATOR(pg_catalog.=) 0;
    END LOOP;
    FOR devices IN SELECT * FROM @extschema@._device_lots() LOOP
        EXIT WHEN pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>=) until;
        SELECT a.failures INTO failures FROM @extschema@._attempt(
            'join stops', pg_catalog.format('SELECT @extschema@._join_stops(%L, $1)', devices), failures) AS a;
        COMMIT AND CHAIN;
    END LOOP;
    SELECT a.failures INTO failures FROM @extschema@._attempt(
        'delete old notes of readers', 'SELECT @extschema@._forget_reads()', failures) AS a;
    SELECT a.failures INTO failures FROM @extschema@._attempt(
        'store what readers noted', 'SELECT @extschema@._store_reads()', failures) AS a;
    SELECT a.failures INTO failures FROM @extschema@._attempt(
        'shorten the log of pg_cron', 'SELECT @extschema@._trim_cron_log()', failures) AS a;
    COMMIT;
    IF failures IS NOT NULL THEN
        RAISE EXCEPTION 'upkeep() could not %', pg_catalog.array_to_string(failures, '; nor ')
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'All else is done, and stays so.',
                  HINT = 'Mend that; the next upkeep() tries again.';
    END IF;
END
$$;
COMMENT ON PROCEDURE upkeep IS
    'makes partitions of gps_coordinates ahead if it has any, repeats delete_old() with a commit after each step until nothing is left to delete or its time is up, makes rows of stops one a stop and day, and keeps pg_cron''s log of our jobs to a day; what could not be done keeps nothing else from being done, and is an error at the end';

-- Looks at the last seven days of up to a hundred devices; bytes are those of table and indexes on disk.
CREATE OR REPLACE FUNCTION storage_advice(days integer DEFAULT 30)
RETURNS TABLE (table_name text, size_bytes bigint, row_count bigint, rows_per_device_day double precision,
               bytes_per_device_day double precision, expected_bytes double precision, expected_size text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    item record;
    device_days double precision;
    rows_found bigint;
    devices bigint;
BEGIN
    SELECT count(*) INTO devices FROM (SELECT FROM @extschema@._known_devices() LIMIT 100000) d;
    FOR item IN VALUES ('cached_polylines', 'start_time'), ('stops', 'start_time'),
                       ('processing_batches', 'start_time'), ('gps_coordinates', 'recorded_at')
    LOOP
        table_name := item.column1;
        SELECT sum(pg_total_relation_size(t.part)) INTO size_bytes
          FROM @extschema@._tables_of(('@extschema@.' || table_name)::regclass) t;
        row_count := @extschema@._count(('@extschema@.' || table_name)::regclass);
        EXECUTE format(
            'SELECT sum(greatest(3600, extract(epoch FROM now() - least(d.first, p.first, b.first)))) / 86400, sum(d.found)
               FROM (SELECT k.device_id FROM @extschema@._known_devices() k LIMIT 100) k
              CROSS JOIN LATERAL (
                 SELECT count(*) AS found, min(t.%2$I) AS first FROM @extschema@.%1$I t
                  WHERE t.device_id = k.device_id AND t.%2$I >= now() - interval ''7 days'' AND t.%2$I <= now()) d
              CROSS JOIN LATERAL (
                 SELECT min(c.start_time) AS first FROM @extschema@.cached_polylines c
                  WHERE c.device_id = k.device_id AND c.start_time >= now() - interval ''7 days'') p
              CROSS JOIN LATERAL (
                 SELECT min(w.start_time) AS first FROM @extschema@.processing_batches w
                  WHERE w.device_id = k.device_id AND w.start_time >= now() - interval ''7 days'') b',
            table_name, item.column2)
           INTO device_days, rows_found;
        rows_per_device_day := rows_found / nullif(device_days, 0);
        -- Fewer rows than that say more of empty pages than of rows.
        bytes_per_device_day := CASE WHEN row_count >= 1000 THEN rows_per_device_day * size_bytes / row_count END;
        expected_bytes := bytes_per_device_day * devices * days;
        expected_size := pg_size_pretty(expected_bytes::bigint);
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION storage_advice IS
    'size of each table, what a device adds a day (from the last week of up to a hundred devices), and what so many days of all devices will take, null while a table has less than 1,000 rows; stable';

CREATE OR REPLACE FUNCTION _make_left_due(device_id text, from_time timestamptz, to_time timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    starts timestamptz[] := ARRAY(
        SELECT DISTINCT w FROM @extschema@._sources(_make_left_due.device_id) s
         CROSS JOIN unnest(@extschema@._windows_with_points(s.fragments, _make_left_due.device_id, from_time, to_time,
                                                            false, 2147483647)) w);
    devices text[] := array_fill(_make_left_due.device_id, ARRAY[cardinality(starts)]);
BEGIN
    PERFORM @extschema@._recut(devices, starts);
    PERFORM @extschema@._make_due(devices, starts, ARRAY(SELECT w + @extschema@._window() FROM unnest(starts) w));
END
$$;

CREATE FUNCTION _check_forgetting(device_id text, from_time timestamptz, to_time timestamptz, with_points boolean) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF device_id IS NULL OR from_time IS NULL OR to_time IS NULL OR with_points IS NULL THEN
        RAISE EXCEPTION 'nothing is forgotten without the name of a device and a range: an argument is null'
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'Leave the range out for all times. delete_old() and upkeep() delete what is old of all devices.';
    END IF;
    IF from_time >= to_time THEN
        RAISE EXCEPTION 'a range that is to be forgotten begins before it ends' USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;
COMMENT ON FUNCTION _check_forgetting IS 'refuses null, and a range that ends before it begins; immutable';

COMMENT ON FUNCTION _make_left_due IS 'makes windows of a range due in which a device still has points; volatile';

CREATE OR REPLACE FUNCTION forget_device(
    device_id text,
    from_time timestamptz DEFAULT '-infinity',
    to_time timestamptz DEFAULT 'infinity',
    with_points boolean DEFAULT false,
    OUT paths bigint, OUT stops bigint, OUT batches bigint, OUT points bigint, OUT reads bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    windows_from timestamptz;
    windows_to timestamptz;
BEGIN
    PERFORM @extschema@._check_forgetting(device_id, from_time, to_time, with_points);
    PERFORM @extschema@._require_read_committed('forget_device()');
    -- A run that has the device would store again what it has read.
    PERFORM @extschema@._wait_for_device(device_id);
    SELECT min(b.start_time), max(b.end_time) INTO windows_from, windows_to
      FROM @extschema@.processing_batches b
     WHERE b.device_id = forget_device.device_id AND b.start_time < to_time AND b.end_time > from_time;
    points := 0;
    IF with_points THEN
        -- Windows around the range, for points within decided their outcome.
        PERFORM @extschema@._make_due(array_agg(r.device_id), array_agg(r.start_time), array_agg(r.end_time))
           FROM @extschema@._reached(ARRAY[forget_device.device_id], ARRAY[from_time], ARRAY[to_time],
                                     @extschema@._context_reach()) r;
        DELETE FROM @extschema@.gps_coordinates p
         WHERE p.device_id = forget_device.device_id AND p.recorded_at >= from_time AND p.recorded_at < to_time;
        GET DIAGNOSTICS points = ROW_COUNT;
    END IF;
    DELETE FROM @extschema@.cached_polylines c
     WHERE c.device_id = forget_device.device_id
       AND (c.start_time >= least(from_time, windows_from) AND c.start_time < greatest(to_time, windows_to)
            OR with_points AND c.start_time < to_time AND c.end_time > from_time);
    GET DIAGNOSTICS paths = ROW_COUNT;
    PERFORM @extschema@._cut_stops(ARRAY[forget_device.device_id], ARRAY[least(from_time, windows_from)],
                                   ARRAY[greatest(to_time, windows_to)]);
    DELETE FROM @extschema@.stops s
     WHERE s.device_id = forget_device.device_id
       AND (s.start_time >= least(from_time, windows_from) AND s.start_time < greatest(to_time, windows_to)
            OR with_points AND s.start_time < to_time AND s.end_time > from_time);
    GET DIAGNOSTICS stops = ROW_COUNT;
    DELETE FROM @extschema@.processing_batches b
     WHERE b.device_id = forget_device.device_id AND b.start_time >= windows_from AND b.end_time <= windows_to;
    GET DIAGNOSTICS batches = ROW_COUNT;
    IF with_points AND batches > 0 THEN
        PERFORM @extschema@._make_left_due(device_id, windows_from, windows_to);
    END IF;
    -- Windows of an earlier, greater length may have held more than the windows of today that the range touches.
    IF NOT with_points AND from_time > windows_from THEN
        PERFORM @extschema@._make_left_due(device_id, windows_from,
                                           date_bin(@extschema@._window(), from_time, 'epoch'));
    END IF;
    IF NOT with_points AND to_time < windows_to THEN
        PERFORM @extschema@._make_left_due(device_id,
            date_bin(@extschema@._window(), to_time + @extschema@._window() - interval '1 us', 'epoch'), windows_to);
    END IF;
    DELETE FROM @extschema@.path_reads r
     WHERE r.device_id = forget_device.device_id AND r.from_time < forget_device.to_time AND r.to_time > forget_device.from_time;
    GET DIAGNOSTICS reads = ROW_COUNT;
    DELETE FROM @extschema@.known_seams s WHERE s.device_id = forget_device.device_id;
END
$$;

CREATE OR REPLACE FUNCTION _has_columns(relation regclass) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT count(*) = 2
      FROM pg_attribute a
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE a.attrelid = _has_columns.relation AND NOT a.attisdropped
       AND CASE a.attname
               WHEN 'processed' THEN a.atttypid = 'boolean'::regtype AND a.attnotnull
                                     AND pg_get_expr(d.adbin, d.adrelid) = 'false'
               WHEN 'batch_id' THEN a.atttypid = 'uuid'::regtype AND NOT a.attnotnull AND d.oid IS NULL END;
END;

CREATE OR REPLACE FUNCTION _refuse_type(relation regclass, column_name name, type_id regtype, wanted text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'column "%" of table % is of type %, which cannot serve as %', column_name, relation, type_id, wanted
        USING ERRCODE = 'datatype_mismatch',
              HINT = 'Add a generated column (GENERATED ALWAYS AS ... STORED) of a type that can, or one that a trigger fills where PostgreSQL says that the expression is not immutable, and name that one.';
END
$$;
CREATE OR REPLACE FUNCTION _device_value(relation regclass, column_name name) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    type_id regtype := @extschema@._column_type(relation, column_name);
BEGIN
    IF EXISTS (SELECT FROM pg_attribute a JOIN pg_collation c ON c.oid = a.attcollation
                WHERE a.attrelid = relation AND a.attname = column_name AND NOT c.collisdeterministic) THEN
        RAISE EXCEPTION 'column "%" of table % takes different texts for equal, and so cannot tell devices apart',
            column_name, relation
            USING ERRCODE = 'collation_mismatch', HINT = 'Give it a deterministic collation, or name a generated column that has one.';
    END IF;
    CASE
        WHEN type_id IN ('text'::regtype, 'varchar', 'name') THEN
            RETURN '$value';
        WHEN type_id = 'bpchar'::regtype THEN
            -- Blanks at the end do not count there, and do in the name of another table's device.
            RETURN 'CASE WHEN right($value, 1) <> '' '' THEN $value::bpchar END';
        WHEN type_id IN ('int2'::regtype, 'int4', 'int8') THEN
            -- In two steps, for the second is not to be tried on what is no number.
            RETURN 'CASE WHEN $value ~ ''^(0|-?[1-9][0-9]{0,18})$'' THEN '
                || 'CASE WHEN $value::numeric BETWEEN -9223372036854775808 AND 9223372036854775807 THEN $value::bigint END END';
        WHEN type_id = 'uuid'::regtype THEN
            RETURN 'CASE WHEN $value ~ ''^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'' THEN $value::uuid END';
        ELSE
            PERFORM @extschema@._refuse_type(relation, column_name, type_id, 'the name of a device');
    END CASE;
END
$$;

CREATE OR REPLACE FUNCTION _time_expressions(relation regclass, column_name name, time_zone text, time_unit text,
                                  OUT expression text, OUT bound text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    type_id regtype := @extschema@._column_type(relation, column_name);
    factor bigint;
    low bigint;
    high bigint;
    whole boolean;
BEGIN
    CASE
        WHEN type_id = 'timestamptz'::regtype THEN
            expression := format('p.%I', column_name);
            bound := '$value';
        WHEN type_id = 'timestamp'::regtype THEN
            PERFORM now() AT TIME ZONE time_zone;
            expression := format('(p.%I AT TIME ZONE %L)', column_name, time_zone);
            bound := format('($value AT TIME ZONE %L)', time_zone);
        WHEN type_id IN ('int4'::regtype, 'int8', 'float8', 'numeric') THEN
            factor := CASE time_unit WHEN 's' THEN 1 WHEN 'ms' THEN 1000 WHEN 'us' THEN 1000000 END;
            IF factor IS NULL THEN
                RAISE EXCEPTION 'column "%" of table % is a number: time_unit must say whether it counts s, ms or us since 1970',
                    column_name, relation USING ERRCODE = 'invalid_parameter_value';
            END IF;
            -- The years 1 to 9999; what lies outside is no time.
            low := -62135596800 * factor;
            high := 253402300800 * factor;
            -- Moments are whole microseconds: what is within half of one is that moment. Of a double precision, to_timestamp()
            -- rounds to them; to convert a numeric to one would round twice.
            expression := format(
                'CASE WHEN p.%1$I > %2$s AND p.%1$I < %3$s THEN to_timestamp('
                    || CASE WHEN type_id = 'numeric'::regtype THEN 'round(p.%1$I * %5$s, 6)::double precision'
                            ELSE 'p.%1$I::double precision / %4$s' END || ') END',
                column_name, low, high, factor, trim_scale(1.0 / factor));
            whole := type_id IN ('int4'::regtype, 'int8');
            bound := format(
                'CASE WHEN isfinite($value) THEN (%1$s)::%2$s WHEN $value > ''epoch'' THEN %4$s ELSE %3$s END',
                -- Of a time in UTC, which goes with no setting: so partitions are known when a statement is planned.
                format(CASE WHEN whole THEN 'ceil(extract(epoch FROM $value AT TIME ZONE ''UTC'') * %s)'
                            ELSE '(extract(epoch FROM $value AT TIME ZONE ''UTC'') - 0.0000005) * %s' END, factor),
                CASE WHEN whole THEN 'bigint' ELSE type_id::text END, low, high);
        ELSE
            PERFORM @extschema@._refuse_type(relation, column_name, type_id,
                'the time of a point (timestamp with or without time zone, or a number of s, ms or us since 1970)');
    END CASE;
END
$$;

UPDATE adopted_sources
   SET device_value = replace(device_value, '$value::bpchar', 'CASE WHEN right($value, 1) <> '' '' THEN $value::bpchar END'),
       bound_expression = replace(regexp_replace(
           bound_expression, '\(extract\(epoch FROM \$value\) \* (\d+)\)::(double precision|numeric)',
           '((extract(epoch FROM $value) - 0.0000005) * \1)::\2'), 'FROM $value)', 'FROM $value AT TIME ZONE ''UTC'')'),
       time_expression = CASE WHEN bound_expression LIKE '%::numeric %' THEN regexp_replace(
           time_expression, 'to_timestamp\((p\..*)::double precision / (10*)\)', 'to_timestamp(round(\1 / \2, 6)::double precision)')
           ELSE time_expression END;

CREATE FUNCTION _types_of(relation regclass, columns name[]) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT jsonb_object_agg(a.attname, format_type(a.atttypid, NULL))
      FROM pg_attribute a
     WHERE a.attrelid = _types_of.relation AND a.attname = ANY (_types_of.columns) AND NOT a.attisdropped;
END;
COMMENT ON FUNCTION _types_of IS 'columns of a table with the type of each; stable';

-- Whose types have changed is read in a way that was made for others: what PostgreSQL says of that is no help.
CREATE FUNCTION _changed_columns(relation regclass) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('since the table was adopted, %s: release_source(%L), then adopt_source() again',
                  string_agg(CASE WHEN n.types ->> w.name IS NULL THEN format('column %I is gone', w.name)
                                  ELSE format('column %I has become %s from %s', w.name, n.types ->> w.name, w.type) END,
                             ', ' ORDER BY w.name),
                  a.relation)
      FROM adopted_sources a
     CROSS JOIN LATERAL jsonb_each_text(a.column_types) AS w (name, type)
     CROSS JOIN LATERAL _types_of(a.relation, ARRAY(SELECT jsonb_object_keys(a.column_types)::name)) AS n (types)
     WHERE a.relation = _changed_columns.relation AND n.types ->> w.name IS DISTINCT FROM w.type
     GROUP BY a.relation;
END;
-- Of tables that are adopted already, these two are known.
UPDATE adopted_sources SET column_types = _types_of(relation, ARRAY[device_column, time_column]);
COMMENT ON FUNCTION _changed_columns IS
    'which columns of an adopted table have not the types that they had, and what to do; null where all have; stable';

CREATE OR REPLACE FUNCTION _pair_expressions(relation regclass, column_name name, coordinate_order text,
                                  OUT longitude text, OUT latitude text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    type_id regtype := @extschema@._column_type(relation, column_name);
    type_name name;
    type_schema name;
    element text;
    number text;
    other text;
BEGIN
    SELECT t.typname, n.nspname INTO type_name, type_schema
      FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = type_id;
    CASE
        WHEN type_id IN ('float8[]'::regtype, 'float4[]', 'int2[]', 'int4[]', 'int8[]') THEN
            element := 'CASE WHEN cardinality(p.%1$I) = 2 THEN p.%1$I[%2$s]::double precision END';
            longitude := format(element, column_name, 1);
            latitude := format(element, column_name, 2);
        WHEN type_id = 'numeric[]'::regtype THEN
            element := 'CASE WHEN cardinality(p.%1$I) = 2 AND p.%1$I[%2$s] BETWEEN -180 AND 180 '
                    || 'THEN p.%1$I[%2$s]::double precision END';
            longitude := format(element, column_name, 1);
            latitude := format(element, column_name, 2);
        WHEN type_id = 'point'::regtype THEN
            longitude := format('p.%I[0]', column_name);
            latitude := format('p.%I[1]', column_name);
        WHEN type_name IN ('geometry', 'geography')
             AND EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                          WHERE d.classid = 'pg_type'::regclass AND d.objid = type_id
                            AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'postgis') THEN
            EXECUTE format('SELECT %I.postgis_typmod_srid(a.atttypmod) FROM pg_attribute a
                             WHERE a.attrelid = $1 AND a.attname = $2', type_schema)
               INTO number USING relation, column_name;
            IF number NOT IN ('0', '4326') THEN
                RAISE EXCEPTION 'column "%" of table % has SRID %, not 4326', column_name, relation, number
                    USING ERRCODE = 'feature_not_supported',
                          HINT = format('Add generated columns with longitude and latitude, and name those: GENERATED ALWAYS AS (%1$I.ST_X(%1$I.ST_Transform(%2$I::%1$I.geometry, 4326))) STORED, and ST_Y.',
                                        type_schema, column_name);
            END IF;
            element := 'CASE WHEN %2$I.ST_GeometryType(p.%1$I::%2$I.geometry) = ''ST_Point'' '
                    || 'AND NOT %2$I.ST_IsEmpty(p.%1$I::%2$I.geometry) THEN %2$I.%3$I(p.%1$I::%2$I.geometry) END';
            longitude := format(element, column_name, type_schema, 'st_x');
            latitude := format(element, column_name, type_schema, 'st_y');
        ELSE
            PERFORM @extschema@._refuse_type(relation, column_name, type_id,
                'a pair of coordinates (an array of numbers, a point, or a geometry or geography of PostGIS)');
    END CASE;
    IF coordinate_order = 'latlon' THEN
        other := longitude;
        longitude := latitude;
        latitude := other;
    ELSIF coordinate_order IS DISTINCT FROM 'lonlat' THEN
        RAISE EXCEPTION 'coordinate_order is "%", and must be lonlat or latlon', coordinate_order
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;
COMMENT ON FUNCTION _pair_expressions IS 'the expressions of a column that holds a pair of coordinates; stable';

CREATE OR REPLACE FUNCTION _describe_source(
    relation regclass, device_column name, time_column name, coordinates_column name, longitude_column name,
    latitude_column name, accuracy_column name, coordinate_order text, time_zone text, time_unit text,
    course_column name, speed_column name)
RETURNS adopted_sources
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source @extschema@.adopted_sources;
BEGIN
    IF num_nulls(relation, device_column, time_column, coordinate_order, time_zone,
                 coalesce(coordinates_column, longitude_column, latitude_column)) > 0 THEN
        RAISE EXCEPTION 'points cannot be read without a table, columns of devices, times and coordinates, their order and a time zone: an argument is null'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave out what is to have its default.';
    END IF;
    source.relation := relation;
    source.device_column := device_column;
    source.time_column := time_column;
    source.device_value := @extschema@._device_value(relation, device_column);
    source.local_time := @extschema@._column_type(relation, time_column) = 'timestamp'::regtype;
    SELECT e.expression, e.bound INTO source.time_expression, source.bound_expression
      FROM @extschema@._time_expressions(relation, time_column, time_zone, time_unit) e;
    IF longitude_column IS NULL AND latitude_column IS NULL THEN
        SELECT e.longitude, e.latitude INTO source.longitude_expression, source.latitude_expression
          FROM @extschema@._pair_expressions(relation, coordinates_column, coordinate_order) e;
    ELSIF longitude_column IS NULL OR latitude_column IS NULL THEN
        RAISE EXCEPTION 'longitude_column and latitude_column go together' USING ERRCODE = 'invalid_parameter_value';
    ELSE
        source.longitude_expression := @extschema@._number_expression(relation, longitude_column, 'a longitude', -180, 180);
        source.latitude_expression := @extschema@._number_expression(relation, latitude_column, 'a latitude', -90, 90);
    END IF;
    IF accuracy_column IS NOT NULL THEN
        source.accuracy_expression := @extschema@._number_expression(relation, accuracy_column, 'an accuracy', 0, 100000);
    END IF;
    IF course_column IS NOT NULL THEN
        source.course_expression := @extschema@._number_expression(relation, course_column, 'a course', -360, 360);
    END IF;
    IF speed_column IS NOT NULL THEN
        source.speed_expression := @extschema@._number_expression(relation, speed_column, 'a speed', 0, 100000);
    END IF;
    source.added := @extschema@._added_indexes(relation, device_column, time_column);
    -- An index of four megabytes of table is built in a tenth of a second or so, and so are those of 64 small tables.
    source.ready := NOT @extschema@._is_half_adopted(relation, device_column, time_column)
        AND ((SELECT sum(pg_relation_size(t.part)) <= 4 * 1024 * 1024 AND count(*) <= 64 FROM @extschema@._tables_of(relation) t)
             OR @extschema@._has_indexes(relation, device_column, time_column));
    source.readable := @extschema@._readable(relation);
    source.column_types := @extschema@._types_of(relation, ARRAY[
        device_column, time_column, CASE WHEN longitude_column IS NULL THEN coordinates_column END, longitude_column,
        latitude_column, accuracy_column, course_column, speed_column]);
    source.adopted_at := now();
    RETURN source;
END
$$;
COMMENT ON FUNCTION _describe_source IS
    'a table as a source, its columns as expressions; ready where its indexes can be added at once; stable';

CREATE OR REPLACE FUNCTION _adoption_steps(source adopted_sources)
RETURNS TABLE (step integer, what text, statement text, at_once boolean)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    qualified text := @extschema@._qualified(source.relation);
    has_columns boolean := @extschema@._has_columns(source.relation);
    partitioned boolean := (SELECT t.partitioned FROM @extschema@._tables_of(source.relation) t WHERE t.level = 0);
    wanted record;
    drops boolean;
BEGIN
    RETURN QUERY VALUES
        (1, CASE WHEN has_columns THEN 'nothing to do: the column processed is there'
                 ELSE 'adds the column processed; no row is rewritten' END,
         CASE WHEN NOT has_columns THEN
             format('ALTER TABLE %s ADD COLUMN processed boolean NOT NULL DEFAULT false', qualified) END, true),
        (2, CASE WHEN has_columns THEN 'nothing to do: the column batch_id is there'
                 ELSE 'adds the column batch_id; no row is rewritten' END,
         CASE WHEN NOT has_columns THEN format('ALTER TABLE %s ADD COLUMN batch_id uuid', qualified) END, true);
    step := 2;
    FOR wanted IN SELECT * FROM @extschema@._wanted_indexes(source) LOOP
        at_once := wanted.there OR source.ready OR partitioned;
        IF wanted.there THEN
            step := step + 1;
            what := format('nothing to do: %s is there', wanted.title);
            statement := NULL;
            RETURN NEXT;
            CONTINUE;
        END IF;
        FOR drops, statement IN
            SELECT n.drops, n.statement
              FROM @extschema@._index_statements(
                   wanted.name, source.relation,
                   format('%s%s %s', CASE WHEN partitioned AND NOT source.ready THEN 'ONLY ' END, qualified, wanted.definition), NOT at_once) n
        LOOP
            step := step + 1;
            what := CASE WHEN drops THEN format('drops what a broken build has left of %s', wanted.title)
                         WHEN source.ready THEN format('adds %s; the table is small', wanted.title)
                         WHEN partitioned THEN format('adds %s, for partitions to have theirs', wanted.title)
                         ELSE 'run this yourself, outside of a transaction; it holds up nobody. The index ' || wanted.purpose END;
            RETURN NEXT;
        END LOOP;
    END LOOP;
    IF partitioned AND NOT source.ready THEN
        RETURN QUERY SELECT s.step + _adoption_steps.step, s.what, s.statement, s.at_once
                       FROM @extschema@._partition_steps(source) s;
    END IF;
END
$$;
COMMENT ON FUNCTION _adoption_steps IS 'what adopting a table takes, and which of it is done at once; stable';

CREATE FUNCTION _lock_table(relation regclass, hint text, writers boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
    -- Whoever held it may have put another in its place, or dropped it: a number would say nothing of either.
    name text := relation;
BEGIN
    BEGIN
        PERFORM set_config('lock_timeout', (extract(epoch FROM current_setting('deadlock_timeout')::interval) * 1000
                                            + 1000)::integer::text, true);
        EXECUTE format('LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE', name);
        IF NOT writers THEN
            RETURN;
        END IF;
        PERFORM set_config('lock_timeout', '200ms', true);
        FOR attempt IN 1 .. 20 LOOP
            BEGIN
                EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', name);
                RETURN;
            EXCEPTION WHEN lock_not_available THEN
                CONTINUE WHEN attempt = 20;
                PERFORM pg_sleep(0.3);
            END;
        END LOOP;
    EXCEPTION WHEN lock_not_available THEN
        NULL;
    END;
    RAISE EXCEPTION 'could not get hold of table %', name USING ERRCODE = 'lock_not_available', HINT = hint;
END
$$;

COMMENT ON FUNCTION _lock_table IS
    'locks a table, partitions included, for altering it, or against others who would alter it, or raises lock_not_available after some seconds; volatile';

CREATE FUNCTION _warn_of_locks() RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sessions bigint := current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint;
    room bigint := sessions * current_setting('max_locks_per_transaction')::bigint;
    tables bigint;
BEGIN
    -- A table has five: its own, and those of its key and of three indexes. Others read, too, while a run holds them.
    WITH RECURSIVE part AS (
        SELECT a.relation::oid AS oid FROM @extschema@.adopted_sources a
        UNION ALL
        SELECT i.inhrelid FROM part p JOIN pg_inherits i ON i.inhparent = p.oid
    )
    SELECT count(*) INTO tables FROM part;
    IF 5 * tables > room / 2 THEN
        RAISE WARNING 'reading all adopted tables, which are % with their partitions, takes some % locks, more than half of the % that there is room for',
            tables, 5 * tables, room
            USING ERRCODE = 'configuration_limit_exceeded', DETAIL = 'Where there is no more room, runs and reads fail: out of shared memory (53200).',
                  HINT = format('ALTER SYSTEM SET max_locks_per_transaction = %s; then restart PostgreSQL.', ceil(20.0 * tables / sessions));
    END IF;
END
$$;
COMMENT ON FUNCTION _warn_of_locks IS
    'warns, with what to do, where the locks of all adopted tables come near what the server has room for; stable';

CREATE FUNCTION _warn_of_unusable(source adopted_sources) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    looked bigint;
    usable bigint;
BEGIN
    EXECUTE format('SELECT count(*), count(*) FILTER (WHERE q.at BETWEEN ''1980-01-06'' AND now() + interval ''1 day''
                                                      AND q.lon BETWEEN -180 AND 180 AND q.lat BETWEEN -90 AND 90)
                      FROM (SELECT %s AS at, (%s)::double precision AS lon, (%s)::double precision AS lat FROM %s p LIMIT 100) q',
                   source.time_expression, source.longitude_expression, source.latitude_expression,
                   @extschema@._qualified(source.relation))
       INTO looked, usable;
    IF looked > 0 AND usable = 0 THEN
        RAISE WARNING 'none of % rows of table % that were looked at holds a place and a time that can be a vehicle''s', looked, source.relation
            USING DETAIL = 'Rows without a usable place or time are marked as processed and counted as rejected; those of 1970, or of the future, wait.',
                  HINT = 'See that the columns named are those of places in degrees, longitude first, two numbers a point, and of times, and what time_unit says. release_source() takes it back.';
    END IF;
-- A table that cannot be read is set aside by the first run, with the reason.
EXCEPTION WHEN OTHERS THEN
    NULL;
END
$$;
COMMENT ON FUNCTION _warn_of_unusable IS
    'warns, with what to do, where a table holds rows and none of the first hundred can be a point; stable';

CREATE FUNCTION _take_steps(source adopted_sources, dry_run boolean)
RETURNS TABLE (step integer, what text, statement text, done boolean)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    has_columns boolean := @extschema@._has_columns(source.relation);
    whats text[];
    statements text[];
    at_once boolean[];
BEGIN
    -- What is to be done of hundreds of partitions takes its time to say: writers are held up after that.
    SELECT array_agg(s.what ORDER BY s.step), array_agg(s.statement ORDER BY s.step), array_agg(s.at_once ORDER BY s.step)
      INTO whats, statements, at_once FROM @extschema@._adoption_steps(source) s;
    IF NOT dry_run THEN
        PERFORM @extschema@._lock_table(source.relation, 'A long transaction is using the table; adopt it when that has ended.');
    END IF;
    FOR step, what, statement, done IN
        SELECT s.step, s.what, s.statement, s.at_once
          FROM unnest(whats, statements, at_once) WITH ORDINALITY AS s (what, statement, at_once, step) ORDER BY s.step
    LOOP
        IF dry_run THEN
            -- What is there already needs no doing.
            done := statement IS NULL;
        ELSIF done AND statement IS NOT NULL THEN
            EXECUTE statement;
        END IF;
        RETURN NEXT;
    END LOOP;
    IF NOT dry_run AND NOT has_columns THEN
        EXECUTE format('COMMENT ON COLUMN %1$s.processed IS ''added by osrm_matcher: whether the point has been processed'';
                        COMMENT ON COLUMN %1$s.batch_id IS ''added by osrm_matcher: the batch that took the point in''',
                       @extschema@._qualified(source.relation));
    END IF;
END
$$;
COMMENT ON FUNCTION _take_steps IS 'does what adoption does at once, and says what else there is to do, or with dry_run only says it; volatile';

-- long: its arguments alone take twenty lines.
CREATE FUNCTION adopt_source(
    relation regclass,
    device_column name DEFAULT 'username',
    time_column name DEFAULT 'created_at',
    coordinates_column name DEFAULT 'coords',
    longitude_column name DEFAULT NULL,
    latitude_column name DEFAULT NULL,
    accuracy_column name DEFAULT NULL,
    coordinate_order text DEFAULT 'lonlat',
    time_zone text DEFAULT 'UTC',
    time_unit text DEFAULT NULL,
    dry_run boolean DEFAULT false,
    course_column name DEFAULT NULL,
    speed_column name DEFAULT NULL,
    device_key text DEFAULT NULL,
    holds int8range DEFAULT NULL)
RETURNS TABLE (step integer, what text, statement text, done boolean)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
    source @extschema@.adopted_sources;
BEGIN
    IF dry_run IS NULL THEN
        RAISE EXCEPTION 'dry_run is null: say true or false' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM @extschema@._require_adoptable(relation);
    source := @extschema@._describe_source(
        relation, device_column, time_column, coordinates_column, longitude_column, latitude_column,
        accuracy_column, coordinate_order, time_zone, time_unit, course_column, speed_column);
    PERFORM @extschema@._check_key(device_key, holds);
    source.device_key := device_key;
    source.holds := holds;
    source.known_as := @extschema@._qualified(relation);
    PERFORM @extschema@._warn_of_unusable(source);
    IF NOT dry_run THEN
        PERFORM @extschema@._lock_table(
            relation, 'A long transaction is using the table; adopt it when that has ended.', writers => false);
        INSERT INTO @extschema@.adopted_sources VALUES (source.*);
    END IF;
    RETURN QUERY SELECT s.* FROM @extschema@._take_steps(source, dry_run) s;
    IF NOT dry_run THEN
        PERFORM @extschema@._warn_of_locks();
    END IF;
END
$$;
COMMENT ON FUNCTION adopt_source IS
    'lets points be read from a table of the application: adds the columns processed and batch_id and what indexes are missing, a large table''s as statements to be run; says what it does, and with dry_run only that; volatile';

CREATE FUNCTION finish_adoption(relation regclass) RETURNS TABLE (step integer, what text, statement text, done boolean)
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
    source @extschema@.adopted_sources;
    builder integer;
BEGIN
    SELECT a.* INTO source FROM @extschema@.adopted_sources a WHERE a.relation = finish_adoption.relation;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'table % is not adopted', relation
            USING ERRCODE = 'undefined_object', HINT = 'adopt_source() says what adopting it takes.';
    ELSIF source.shard_of IS NOT NULL OR isempty(source.holds) THEN
        RAISE EXCEPTION 'table % is adopted by adopt_shards()', relation
            USING ERRCODE = 'wrong_object_type', HINT = 'Call adopt_shards() as before: it says what is missing.';
    END IF;
    SELECT p.pid INTO builder
      FROM pg_stat_progress_create_index p
     WHERE p.datname = current_database() AND p.relid IN (SELECT t.part FROM @extschema@._tables_of(relation) t) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'an index of table % is being built, by process %', relation, builder
            USING ERRCODE = 'object_in_use', HINT = format('Let it come to its end, or break it off: SELECT pg_cancel_backend(%s);', builder);
    END IF;
    -- A table that is in use already is not as small as it may have been.
    source.ready := false;
    RETURN QUERY SELECT s.* FROM @extschema@._take_steps(source, false) s WHERE s.statement IS NOT NULL;
END
$$;
COMMENT ON FUNCTION finish_adoption IS
    'goes on with an adoption that was broken off: does what can be done at once, and says what else is left; no rows where nothing is; volatile, strict';

CREATE OR REPLACE FUNCTION release_source(relation regclass) RETURNS boolean
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
    source @extschema@.adopted_sources;
    item regclass;
    columns name[];
    used text;
BEGIN
    DELETE FROM @extschema@.adopted_sources a
     WHERE a.relation = release_source.relation
    RETURNING a.* INTO source;
    IF source.relation IS NULL THEN
        RETURN false;
    END IF;
    -- Shards have columns and indexes from the distributed table, which is not altered here. What is gone needs nothing.
    DELETE FROM @extschema@.adopted_sources a WHERE a.shard_of = release_source.relation;
    IF source.shard_of IS NOT NULL OR isempty(source.holds) OR (@extschema@._relation(relation)).oid IS NULL THEN
        RETURN true;
    END IF;
    PERFORM @extschema@._lock_table(
        relation, 'A run or a long transaction is using the table; release it when that has ended.');
    -- Those of partitions that are attached go with their parents', and so do those that TimescaleDB has made.
    FOR item IN SELECT i.indexrelid
                  FROM @extschema@._tables_of(relation) t
                  JOIN pg_index i ON i.indrelid = t.part
                 CROSS JOIN LATERAL @extschema@._relation(i.indexrelid) c
                 WHERE NOT c.relispartition AND CASE WHEN t.part = relation THEN c.relname = ANY (source.added)
                            ELSE @extschema@._suffix(c.relname) IN (SELECT @extschema@._suffix(a) FROM unnest(source.added) a) END
                 ORDER BY t.level LOOP
        IF (@extschema@._relation(item)).oid IS NOT NULL THEN
            EXECUTE format('DROP INDEX %s', item);
        END IF;
    END LOOP;
    columns := @extschema@._added_columns(relation);
    IF columns <> '{}' THEN
        EXECUTE (SELECT format('ALTER TABLE %s %s', relation, string_agg(format('DROP COLUMN %I', c), ', ')) FROM unnest(columns) c);
    ELSIF @extschema@._has_columns(relation) THEN
        RAISE NOTICE 'the columns "processed" and "batch_id" of table % stay: they do not say that adoption added them', relation
            USING HINT = format('If nothing else needs them: ALTER TABLE %s DROP COLUMN processed, DROP COLUMN batch_id;', relation);
    END IF;
    RETURN true;
EXCEPTION WHEN dependent_objects_still_exist THEN
    GET STACKED DIAGNOSTICS used = PG_EXCEPTION_DETAIL;
    RAISE EXCEPTION 'table % cannot be released: something uses what adoption added to it', relation
        USING ERRCODE = 'dependent_objects_still_exist', DETAIL = used,
              HINT = 'Drop it, or make it anew without the columns "processed" and "batch_id"; then release the table.';
END
$$;
COMMENT ON FUNCTION release_source IS
    'makes an adopted table what it was: columns and indexes that adoption added go, those that were there before stay, and so do paths; forgets one that is gone, and the shards of a distributed one; false if it was not adopted; volatile, strict';

CREATE FUNCTION _replacement(relation regclass, known_as text) RETURNS regclass
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c.oid::regclass
      FROM _relation(to_regclass(_replacement.known_as)) c
     WHERE c.oid <> _replacement.relation AND c.relkind IN ('r', 'p')
       AND NOT EXISTS (SELECT FROM adopted_sources o
                        WHERE o.relation = c.oid OR o.relation IN (SELECT p.relid FROM pg_partition_ancestors(c.oid) p));
END;
COMMENT ON FUNCTION _replacement IS
    'the table that has taken the name of an adopted one since, and is not read; null if there is none; stable';

CREATE OR REPLACE FUNCTION _use_ready_sources() RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A table that has become a partition of an adopted one is read with that. One that was dropped may be made anew, as by a
    -- restore: until its name is adopted again it stays on record, for the alert.
    DELETE FROM @extschema@.adopted_sources a
     WHERE (@extschema@._relation(a.relation)).oid IS NULL
           AND (a.known_as IS NULL OR a.holds IS NOT NULL
                OR EXISTS (SELECT FROM @extschema@.adopted_sources o WHERE o.relation = to_regclass(a.known_as)))
        OR EXISTS (SELECT FROM pg_partition_ancestors(a.relation) p JOIN @extschema@.adopted_sources o ON o.relation = p.relid
                    WHERE p.relid <> a.relation);
    UPDATE @extschema@.adopted_sources a
       SET known_as = n.name
      FROM (SELECT s.relation, @extschema@._qualified(s.relation) AS name FROM @extschema@.adopted_sources s) n
     WHERE n.relation = a.relation AND n.name <> coalesce(a.known_as, '')
       AND @extschema@._replacement(a.relation, a.known_as) IS NULL;
    IF EXISTS (SELECT FROM @extschema@.adopted_sources a WHERE NOT a.ready) THEN
        UPDATE @extschema@.adopted_sources a
           SET ready = true
         WHERE NOT a.ready AND a.holds IS DISTINCT FROM 'empty'
           AND @extschema@._has_indexes(a.relation, a.device_column, a.time_column);
    END IF;
    IF @extschema@._is_of_timescaledb('timescaledb_information.chunks') THEN
        UPDATE @extschema@.adopted_sources a
           SET readable = r.readable
          FROM (SELECT s.relation, @extschema@._readable(s.relation) AS readable FROM @extschema@.adopted_sources s) r
         WHERE r.relation = a.relation AND r.readable IS DISTINCT FROM a.readable;
    END IF;
END
$$;
COMMENT ON FUNCTION _use_ready_sources IS
    'takes adopted tables into use that have their indexes by now, learns their names, forgets those that were dropped and adopted anew, and looks what of them is compressed; volatile';

CREATE FUNCTION _check_key(device_key text, holds int8range) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (device_key IS NULL) <> (holds IS NULL) OR isempty(holds) THEN
        RAISE EXCEPTION 'device_key and holds go together: a number for each device, and which of them the table holds'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Such as device_key => ''hashtext(device_id)'', holds => ''[0, 1000000]''.';
    END IF;
    IF device_key IS NOT NULL THEN
        EXECUTE format('SELECT (%s)::bigint FROM (SELECT NULL::text) AS d (device_id)', device_key);
    END IF;
END
$$;
COMMENT ON FUNCTION _check_key IS 'raises an error where a key is no expression over device_id that gives a number; stable';

CREATE FUNCTION _distribution(relation regclass, OUT method text, OUT by_column name)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL THEN
        EXECUTE 'SELECT p.partmethod, column_to_column_name(p.logicalrelid, p.partkey)
                   FROM pg_dist_partition p WHERE p.logicalrelid = $1'
           INTO method, by_column USING relation;
    END IF;
END
$$;
COMMENT ON FUNCTION _distribution IS 'how Citus distributes a table, and by which column; null if it does not; stable';

CREATE FUNCTION _is_shard(relation regclass) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    is_shard boolean := false;
BEGIN
    IF to_regprocedure('pg_catalog.relation_is_a_known_shard(regclass)') IS NOT NULL THEN
        EXECUTE 'SELECT relation_is_a_known_shard($1)' INTO is_shard USING relation;
    END IF;
    RETURN is_shard;
END
$$;
COMMENT ON FUNCTION _is_shard IS 'whether a table is a shard of a table of Citus; stable';

CREATE FUNCTION _local_shards(relation regclass) RETURNS TABLE (shard regclass, hashes int8range)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY EXECUTE
        'SELECT n.shard, int8range(s.shardminvalue::bigint, s.shardmaxvalue::bigint, ''[]'')
           FROM pg_dist_shard s
           JOIN pg_dist_placement p ON p.shardid = s.shardid AND p.shardstate = 1
           JOIN pg_dist_local_group g ON g.groupid = p.groupid
          CROSS JOIN LATERAL (SELECT to_regclass($2 || shard_name(s.logicalrelid, s.shardid)) AS shard) n
          WHERE s.logicalrelid = $1 AND n.shard IS NOT NULL'
      USING relation, CASE WHEN (@extschema@._relation(relation)).relnamespace = to_regnamespace('public') THEN 'public.' ELSE '' END;
END
$$;
COMMENT ON FUNCTION _local_shards IS 'shards of a distributed table that lie on this server, and the hashes of their devices; stable';

CREATE FUNCTION _require_shardable(source adopted_sources) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    distribution record := @extschema@._distribution(source.relation);
    missing text;
BEGIN
    IF distribution.method IS NULL THEN
        RAISE EXCEPTION 'table % is not distributed', source.relation
            USING ERRCODE = 'wrong_object_type', HINT = 'adopt_source() takes it as it is.';
    ELSIF distribution.method <> 'h' OR distribution.by_column <> source.device_column THEN
        RAISE EXCEPTION 'table % is not distributed by column "%": points of a device would lie in several shards',
            source.relation, source.device_column
            USING ERRCODE = 'wrong_object_type',
                  HINT = format('SELECT create_distributed_table(%L, %L);', source.relation, source.device_column);
    END IF;
    source.ready := false;
    SELECT string_agg(s.statement || ';', ' ' ORDER BY s.step) INTO missing
      FROM @extschema@._adoption_steps(source) s WHERE s.statement IS NOT NULL;
    IF NOT (@extschema@._has_columns(source.relation)
            AND @extschema@._has_indexes(source.relation, source.device_column, source.time_column)) THEN
        RAISE EXCEPTION 'table % lacks columns or indexes that its shards are to have from it', source.relation
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'On the coordinator, once: ' || missing;
    END IF;
END
$$;
COMMENT ON FUNCTION _require_shardable IS 'raises an error, with what to do, where shards of a table cannot be sources; stable';

CREATE FUNCTION adopt_shards(
    relation regclass,
    device_column name DEFAULT 'username',
    time_column name DEFAULT 'created_at',
    coordinates_column name DEFAULT 'coords',
    longitude_column name DEFAULT NULL,
    latitude_column name DEFAULT NULL,
    accuracy_column name DEFAULT NULL,
    coordinate_order text DEFAULT 'lonlat',
    time_zone text DEFAULT 'UTC',
    time_unit text DEFAULT NULL,
    course_column name DEFAULT NULL,
    speed_column name DEFAULT NULL)
RETURNS TABLE (shard regclass, what text)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    form @extschema@.adopted_sources;
    source @extschema@.adopted_sources;
    here record;
BEGIN
    SELECT a.* INTO form FROM @extschema@.adopted_sources a WHERE a.relation = adopt_shards.relation;
    IF form.relation IS NULL THEN
        form := @extschema@._describe_source(
            relation, device_column, time_column, coordinates_column, longitude_column, latitude_column,
            accuracy_column, coordinate_order, time_zone, time_unit, course_column, speed_column);
        PERFORM @extschema@._require_shardable(form);
        form.added := '{}';
        form.ready := false;
        form.holds := 'empty';
        form.device_key := format('worker_hash(%s)', replace(form.device_value, '$value', 'device_id'));
        INSERT INTO @extschema@.adopted_sources VALUES (form.*);
    END IF;
    FOR shard IN DELETE FROM @extschema@.adopted_sources a
                  WHERE a.shard_of = adopt_shards.relation
                    AND a.relation NOT IN (SELECT s.shard FROM @extschema@._local_shards(adopt_shards.relation) s)
                 RETURNING a.relation LOOP
        what := 'forgotten';
        RETURN NEXT;
    END LOOP;
    FOR here IN SELECT * FROM @extschema@._local_shards(relation) s ORDER BY s.shard LOOP
        source := form;
        source.relation := here.shard;
        source.shard_of := form.relation;
        source.holds := here.hashes;
        source.ready := @extschema@._has_indexes(here.shard, form.device_column, form.time_column);
        source.adopted_at := now();
        shard := here.shard;
        INSERT INTO @extschema@.adopted_sources VALUES (source.*) ON CONFLICT DO NOTHING;
        what := CASE WHEN FOUND THEN 'adopted' ELSE 'kept' END;
        RETURN NEXT;
    END LOOP;
    PERFORM @extschema@._warn_of_locks();
END
$$;
COMMENT ON FUNCTION adopt_shards IS
    'lets points be read from the shards of a distributed table that lie on this server, and forgets those that do no longer; called again, it needs the table only; volatile';

CREATE FUNCTION _adopt_moved() RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT adopt_shards(a.relation) FROM adopted_sources a WHERE isempty(a.holds);
END;
COMMENT ON FUNCTION _adopt_moved IS 'adopt_shards() for each table that it was called for; volatile';

CREATE FUNCTION rematch_arrived(since interval DEFAULT '30 days') RETURNS bigint
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source record;
    here text[];
    arrived text[] := '{}';
BEGIN
    PERFORM @extschema@._adopt_moved();
    FOR source IN SELECT s.fragments FROM @extschema@._sources() s WHERE s.ordinal > 0 LOOP
        SELECT array_agg(q.device) INTO here
          FROM json_to_recordset(@extschema@._require_answer(@extschema@._ask_source(source.fragments,
            @extschema@._device_walk('p.{device} IS NOT NULL', '{readable}', 'true') ||
            'SELECT k.device::text AS device, oldest.batch_id
              FROM known k
             CROSS JOIN LATERAL (
                SELECT p.batch_id FROM {relation} p
                 WHERE p.{device} = k.device AND {since:$2} AND {until:$3} AND p.batch_id IS NOT NULL
                 ORDER BY p.{time} LIMIT 1) oldest', NULL, now() - since, now()))) AS q (device text, batch_id uuid)
         WHERE NOT EXISTS (SELECT FROM @extschema@.processing_batches b WHERE b.batch_id = q.batch_id);
        arrived := arrived || here;
    END LOOP;
    RETURN CASE WHEN arrived <> '{}' THEN @extschema@.start_rematch(now() - since, now(), arrived) END;
END
$$;
COMMENT ON FUNCTION rematch_arrived IS
    'matches devices anew whose points were matched on another server, back to an age, as a job; returns its id, null if there are none; volatile, strict';

CREATE FUNCTION _devices_on_record() RETURNS TABLE (device_id text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH RECURSIVE known AS (
        SELECT least((SELECT p.device_id FROM cached_polylines p ORDER BY p.device_id LIMIT 1),
                     (SELECT b.device_id FROM processing_batches b ORDER BY b.device_id LIMIT 1)) AS device_id
        UNION ALL
        SELECT least((SELECT p.device_id FROM cached_polylines p
                       WHERE p.device_id > k.device_id ORDER BY p.device_id LIMIT 1),
                     (SELECT b.device_id FROM processing_batches b
                       WHERE b.device_id > k.device_id ORDER BY b.device_id LIMIT 1))
          FROM known k
         WHERE k.device_id IS NOT NULL
    )
    SELECT k.device_id FROM known k WHERE k.device_id IS NOT NULL;
END;
COMMENT ON FUNCTION _devices_on_record IS 'devices that have paths or batches, in alphabetical order; stable';

CREATE FUNCTION forget_departed(max_devices integer DEFAULT 1000,
    OUT devices bigint, OUT paths bigint, OUT stops bigint, OUT batches bigint)
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Devices of a shard that is not adopted yet would be taken for departed.
    PERFORM @extschema@._adopt_moved();
    IF (SELECT count(a.holds) < greatest(count(*), 1) FROM @extschema@.adopted_sources a) THEN
        RAISE EXCEPTION 'it is not known which devices lie on this server'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'SELECT relation, holds FROM @extschema@.adopted_sources; each of them has to say which devices it holds.';
    END IF;
    SELECT count(*), coalesce(sum(f.paths), 0), coalesce(sum(f.stops), 0), coalesce(sum(f.batches), 0)
      INTO devices, paths, stops, batches
      FROM (SELECT d.device_id FROM @extschema@._devices_on_record() d
             WHERE @extschema@.holds_device(d.device_id) IS FALSE LIMIT max_devices) gone
     CROSS JOIN LATERAL @extschema@.forget_device(gone.device_id) f;
END
$$;
COMMENT ON FUNCTION forget_departed IS
    'forgets up to so many devices whose points lie on this server no longer; says how many they were, and what was deleted of them; volatile, strict';

CREATE OR REPLACE FUNCTION _schedule_alerts()
RETURNS TABLE (severity text, problem text, message text, hint text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    job record;
    last_start timestamptz;
    due timestamptz;
    ended record;
BEGIN
    SELECT * INTO job FROM @extschema@._cron_job('osrm_matcher');
    -- What was last put on record, less what was while a clock was ahead. A run that was long under way comes after
    -- others that began later.
    SELECT max(l.started_at) INTO last_start
      FROM (SELECT r.started_at FROM @extschema@.worker_runs r
             WHERE r.started_at <= statement_timestamp() ORDER BY r.id DESC LIMIT 10) l
     WHERE l.started_at > now() - interval '1 day';

    -- A schedule that cannot be read, or seen from here, is taken to be every minute.
    due := coalesce(@extschema@._next_run(job.schedule, coalesce(last_start, now() - interval '1 day')),
                    last_start + interval '1 min', '-infinity');

    -- A schedule kept by pg_cron in another database cannot be seen from here, but its runs can.
    IF @extschema@._cron_is_here() AND job.job_id IS NULL AND coalesce(last_start < now() - interval '5 min', true) THEN
        RETURN QUERY VALUES ('critical', 'schedule_missing', 'no schedule calls the worker, and nothing else has within 5 minutes',
                             'SELECT @extschema@.schedule_processing();');
    ELSIF job.active IS FALSE THEN
        RETURN QUERY VALUES ('critical', 'schedule_inactive', 'the schedule is there but not active',
                             format('SELECT cron.alter_job(%s, active => true);', job.job_id));
    ELSIF due < now() - interval '3 min' THEN
        SELECT * INTO ended FROM @extschema@._last_cron_run(job.job_id);
        RETURN QUERY SELECT 'critical', 'not_running',
            CASE WHEN last_start IS NULL THEN 'no run within a day'
                 ELSE format('the last run began %s ago', date_trunc('second', now() - last_start)) END
            || CASE WHEN ended.failed THEN format('; the last one of pg_cron failed: %s', ended.message)
                    WHEN job.job_id IS NOT NULL AND ended.failed IS NULL THEN '; none of pg_cron has ended yet' ELSE '' END,
            CASE WHEN ended.failed AND ended.message LIKE 'connection failed%'
                 THEN 'pg_cron connects as a client does, and is not let in: set cron.use_background_workers = on in postgresql.conf and restart, or let it in by pg_hba.conf (cron.host).'
                 WHEN job.job_id IS NOT NULL AND ended.failed IS NULL
                 THEN format('A new schedule begins at %s. If it does not, see that pg_cron is at work: SELECT * FROM pg_stat_activity WHERE application_name = ''pg_cron scheduler'';',
                             @extschema@._next_run(job.schedule))
                 ELSE 'Look at cron.job_run_details for the reason; without pg_cron, at what calls process_pending().' END;
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION _run_alerts(max_failures double precision, waiting_for interval)
RETURNS TABLE (severity text, problem text, message text, hint text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    first_waiting bigint;
    last_waiting bigint;
    finished bigint;
    failed bigint;
BEGIN
    -- Growing: more waits now than ten minutes ago, and more than a minute's work.
    SELECT r.points_waiting INTO first_waiting FROM @extschema@.worker_runs r
     WHERE r.started_at BETWEEN now() - interval '10 min' AND statement_timestamp() AND r.points_waiting IS NOT NULL ORDER BY r.started_at LIMIT 1;
    SELECT r.points_waiting INTO last_waiting FROM @extschema@.worker_runs r
     WHERE r.started_at BETWEEN now() - interval '10 min' AND statement_timestamp() AND r.points_waiting IS NOT NULL ORDER BY r.started_at DESC LIMIT 1;
    IF last_waiting > 1000 AND last_waiting > 1.2 * first_waiting AND waiting_for > interval '1 min' THEN
        RETURN QUERY SELECT 'warning', 'backlog_growing',
            format('%s points wait after the last run, %s ten minutes ago', last_waiting, first_waiting),
            'Points arrive faster than they are matched: raise osrm_matcher.concurrency or give OSRM more threads.';
    END IF;

    SELECT sum(r.windows_completed + r.windows_failed), sum(r.windows_failed) INTO finished, failed
      FROM @extschema@.worker_runs r WHERE r.started_at BETWEEN now() - interval '1 hour' AND statement_timestamp();
    IF failed > max_failures * finished THEN
        RETURN QUERY SELECT 'warning', 'failures',
            format('%s of %s windows failed within an hour', failed, finished),
            'SELECT error_code, error_message, count(*) FROM @extschema@.processing_batches WHERE status = ''failed'' GROUP BY 1, 2; then @extschema@.retry_failed().';
    END IF;
END
$$;

CREATE FUNCTION _points_problem(OUT problem text, OUT hint text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    named regclass := to_regclass('@extschema@.gps_coordinates');
    ours record;
BEGIN
    -- By the number of pg_class: its name may be that of a view over it.
    IF NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 1259 AND d.objid = named AND d.deptype = 'e') THEN
        -- No other table of the extension has such a column.
        SELECT c.oid::regclass AS relation, c.relnamespace::regnamespace AS space, c.relname INTO ours
          FROM pg_extension e
          JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
                          AND d.classid = 'pg_class'::regclass AND d.deptype = 'e'
          JOIN pg_attribute a ON a.attrelid = d.objid AND a.attname = 'recorded_at'
          JOIN pg_class c ON c.oid = d.objid AND c.relkind IN ('r', 'p') AND NOT c.relispartition
         WHERE e.extname = 'osrm_matcher';
        problem := concat(format('table %s is not there', '@extschema@.gps_coordinates'), ': it has become ' || ours.relation);
        hint := coalesce(nullif(concat_ws(' ',
            CASE WHEN ours.relname <> 'gps_coordinates' THEN format('ALTER TABLE %s RENAME TO gps_coordinates;', ours.relation) END,
            CASE WHEN ours.space <> '@extschema@'::regnamespace
                 THEN format('ALTER TABLE %s.gps_coordinates SET SCHEMA @extschema@;', ours.space) END), ''),
            'Restore it, or take the paths out with keep_paths() and create the extension anew.');
        RETURN;
    END IF;
    SELECT format('columns of table %s are not what they were: %s', named,
                  string_agg(CASE WHEN a.attname IS NULL THEN format('%s is gone', w.name)
                                  ELSE format('%s is %s', w.name, format_type(a.atttypid, a.atttypmod)) END, ', ')),
           format('Give them their names and types back: %s.', string_agg(w.name || ' ' || w.type, ', ')) INTO problem, hint
      FROM (VALUES ('device_id', 'text', 'S'), ('longitude', 'double precision', 'N'), ('latitude', 'double precision', 'N'),
                   ('recorded_at', 'timestamptz', NULL), ('created_at', 'timestamptz', NULL), ('processed', 'boolean', NULL),
                   ('batch_id', 'uuid', NULL), ('accuracy', 'double precision', 'N'), ('course', 'double precision', 'N'),
                   ('speed', 'double precision', 'N')) AS w (name, type, kind)
      LEFT JOIN pg_attribute a ON a.attrelid = named AND a.attname = w.name AND NOT a.attisdropped
      LEFT JOIN pg_type t ON t.oid = a.atttypid
     WHERE (t.oid = w.type::regtype OR t.typcategory = w.kind) IS NOT TRUE
    HAVING count(*) > 0;
END
$$;
COMMENT ON FUNCTION _points_problem IS
    'why points cannot be read from gps_coordinates, which somebody has moved or altered, and what to do; null where they can; stable';

CREATE FUNCTION _require_points() RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found record;
BEGIN
    SELECT p.* INTO found FROM @extschema@._points_problem() p;
    IF found.problem IS NOT NULL THEN
        RAISE EXCEPTION 'nothing is processed: %', found.problem
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = found.hint;
    END IF;
END
$$;
COMMENT ON FUNCTION _require_points IS 'raises an error, with what to do, where points cannot be read from gps_coordinates; stable';

CREATE OR REPLACE FUNCTION _set_aside_alerts() RETURNS TABLE (severity text, problem text, message text, hint text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT 'critical', 'source_set_aside', format('table %s is left out since %s: %s', a.relation, a.set_aside_at, a.reason),
           'Mend the table; runs try it again by themselves. If it is to be read no more, or in another way: release_source().'
      FROM adopted_sources a
     WHERE a.set_aside_at IS NOT NULL
    UNION ALL
    SELECT 'warning', 'points_compressed',
           format('%s points of table %s have come into %s, which is compressed: they are in no path', l.points, s.relation, l.chunk),
           format('SELECT decompress_chunk(%L); those from before the look-back then wait for start_backfill(). Compress chunks later than points come.', l.chunk)
      FROM _sources() s
      JOIN adopted_sources a ON a.relation = s.relation AND a.readable IS NOT NULL
     CROSS JOIN LATERAL _came_late(s.relation, s.fragments) l
    UNION ALL
    SELECT 'warning', 'windows_hindered', format('%s windows are put off: %s', count(*), max(b.error_message)),
           CASE b.error_code
               WHEN 'NotMarked' THEN 'A trigger or a rule of the table of points undoes the mark: it must let processed become true.'
               WHEN 'Locked' THEN 'SELECT * FROM pg_locks WHERE NOT granted; somebody''s transaction holds what has to be written.'
               ELSE 'Mend what PostgreSQL speaks of; the windows are tried again by themselves.' END
      FROM processing_batches b
     WHERE b.status = 'pending' AND b.error_code IN ('NotMarked', 'NotWritten', 'Locked')
     GROUP BY b.error_code
    UNION ALL
    SELECT 'critical', 'bad_address', format('nothing is processed: %s', _osrm_problem()),
           'See where it is set, and correct it there as a superuser: SELECT * FROM pg_db_role_setting; SELECT * FROM pg_file_settings;'
     WHERE _osrm_problem() IS NOT NULL
    UNION ALL
    SELECT 'critical', 'group_away',
           format('%s wait: %s', coalesce('devices of group ' || s.osrm_group, 'devices in no group'),
                  string_agg(format('%s has not answered since %s: %s', s.server, s.since, s.problem), '; ')),
           'SELECT * FROM osrm_health();'
      FROM get_osrm_servers() s
     WHERE EXISTS (SELECT FROM osrm_groups) AND (s.osrm_group IS NOT NULL OR _osrm_problem() IS NULL)
     GROUP BY s.osrm_group
    HAVING bool_and(s.in_use IS FALSE)
    UNION ALL
    (SELECT 'warning', 'group_unsaid', format('at %s: %s', r.started_at, r.group_error),
            'Mend what the column holds, or choose another source_column; then start_rematch() for its devices.'
       FROM worker_runs r
      WHERE r.started_at BETWEEN now() - interval '10 min' AND statement_timestamp() AND r.group_error IS NOT NULL
      ORDER BY r.started_at DESC LIMIT 1);
END;
COMMENT ON FUNCTION _set_aside_alerts IS 'tables, windows, groups of devices and what rows say of them that are set aside, and what keeps all from being processed, with their reasons; stable';

CREATE FUNCTION _server_alerts() RETURNS TABLE (severity text, problem text, message text, hint text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT 'warning', 'server_left_out', format('%s is left out since %s: %s', s.server, s.since, s.problem),
           'See that osrm-routed runs there; runs ask it again by themselves.'
      FROM (SELECT o.*, bool_and(o.in_use IS FALSE) OVER (PARTITION BY o.osrm_group) AS all_are FROM get_osrm_servers() o) s
     WHERE NOT s.in_use AND NOT s.all_are
    UNION ALL
    SELECT 'warning', 'group_column_missing',
           format('group %s goes by column %s, which no table of points has', g.name, quote_ident(g.source_column)),
           'Adopt the table that has it, or correct source_column in osrm_groups.'
      FROM osrm_groups g
     WHERE g.source_column IS NOT NULL AND NOT _is_source_column(g.source_column)
    UNION ALL
    SELECT 'warning', 'group_missing',
           format('%s devices of osrm_group_devices are in group %s, which is not in osrm_groups', count(*), m.osrm_group),
           'Make the group, or correct the list; until then they are matched as if they were not in it.'
      FROM osrm_group_devices m
     WHERE NOT EXISTS (SELECT FROM osrm_groups g WHERE g.name = m.osrm_group)
     GROUP BY m.osrm_group;
END;
COMMENT ON FUNCTION _server_alerts IS
    'OSRM servers that are left out while others of their group answer, groups by a column that is nowhere, and devices in a group that is not there, with their reasons; stable';

CREATE FUNCTION _adoption_alerts() RETURNS TABLE (severity text, problem text, message text, hint text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT 'warning', 'adoption_unfinished', format('table %s is adopted, but lacks indexes: it is not read', a.relation),
           format(E'SELECT statement FROM @extschema@.finish_adoption(%L) WHERE NOT done \\gexec', _qualified(a.relation))
      FROM adopted_sources a
     WHERE NOT a.ready AND a.holds IS DISTINCT FROM 'empty' AND a.adopted_at < now() - interval '1 hour'
    UNION ALL
    SELECT 'critical', 'source_replaced',
           format('table %s is not the one that was adopted, which %s: its points are not read', a.known_as,
                  coalesce('is ' || _qualified(a.relation) || ' now', 'was dropped')),
           format('If points are written to it, adopt it: SELECT * FROM adopt_source(%L, ...). If not: SELECT release_source(%L), and adopt that anew if it is to be read on.',
                  a.known_as, coalesce(_qualified(a.relation), a.relation::oid::text))
      FROM adopted_sources a
     WHERE _replacement(a.relation, a.known_as) IS NOT NULL
    UNION ALL
    SELECT 'warning', 'adoption_undone',
           format('the column "processed" of table %s may be null, or has no default: points where it is null are not found', a.relation),
           format('UPDATE %1$s SET processed = false WHERE processed IS NULL; ALTER TABLE %1$s ALTER processed SET DEFAULT false, ALTER processed SET NOT NULL;', a.relation)
      FROM adopted_sources a
      JOIN pg_attribute c ON c.attrelid = a.relation AND c.attname = 'processed' AND NOT (c.attnotnull AND c.atthasdef)
     WHERE a.set_aside_at IS NULL
    UNION ALL
    -- By its name alone: to look what it is of would wait for whoever has locked the table.
    SELECT 'warning', 'adoption_undone',
           format('table %s has no index %I, which adoption made: runs or pages may read all of it', a.relation, i.name),
           CASE WHEN EXISTS (SELECT FROM _index_statements(i.name, a.relation, i.definition, true) s WHERE s.drops)
                THEN format(E'SELECT statement FROM @extschema@.finish_adoption(%L) WHERE NOT done \\gexec', _qualified(a.relation))
                ELSE format('CREATE INDEX %s%I ON %s %s;', CASE WHEN c.relkind = 'r' AND NOT _is_hypertable(c.oid) THEN 'CONCURRENTLY ' END,
                            i.name, a.relation, i.definition) END
      FROM adopted_sources a
     CROSS JOIN LATERAL _relation(a.relation) c
     CROSS JOIN LATERAL _wanted_indexes(a) i
     WHERE a.ready AND c.oid IS NOT NULL AND NOT i.there
    UNION ALL
    SELECT 'warning', 'index_missing', format('table %s has no index %s: each run reads all of it', p.relation, i.name),
           format('CREATE INDEX %s%I ON %s %s;', CASE WHEN c.relkind = 'r' THEN 'CONCURRENTLY ' END, i.name, p.relation, i.definition)
      FROM (SELECT to_regclass('@extschema@.gps_coordinates')) AS p (relation)
     CROSS JOIN LATERAL _relation(p.relation) c
     CROSS JOIN (VALUES ('gps_coordinates_unprocessed', '(device_id, recorded_at) WHERE NOT processed'),
                        ('gps_coordinates_waiting', '(recorded_at) WHERE processed::int = 0')) AS i (name, definition)
     WHERE NOT _is_index_of(i.name, p.relation);
END;
COMMENT ON FUNCTION _adoption_alerts IS
    'adopted tables that are not as adoption makes them, or whose name another one has, and what gps_coordinates lacks; stable';

CREATE FUNCTION _points_alerts() RETURNS TABLE (severity text, problem text, message text, hint text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT 'warning', 'points_ahead',
           format('%s points are of more than a day in the future, the first of %s: no run takes them before their time',
                  CASE WHEN a.points < 5000 THEN a.points::text ELSE '5000 or more' END, a.oldest),
           'Were milliseconds taken for seconds, or is a clock wrong? Correct the times of these points, or delete them.'
      FROM _points_ahead() a
     WHERE a.points > 0
    UNION ALL
    SELECT 'warning', 'clocks_ahead',
           format('%s of %s devices have points of the future, of up to %s from now', d.ahead, d.devices, d.furthest),
           'Were local times stored as UTC? Insert times with their zone, or give adopt_source() the time_zone. A page shows no line before its time.'
      FROM (SELECT count(DISTINCT w.device_id) AS devices, date_trunc('minute', max(w.start_time) - now()) AS furthest,
                   count(DISTINCT w.device_id) FILTER (WHERE w.start_time > now() + interval '30 min') AS ahead
              FROM (SELECT b.device_id, b.start_time FROM processing_batches b
                     WHERE b.processing_completed_at > now() - interval '15 min'
                     ORDER BY b.processing_completed_at DESC LIMIT 1000) w) d
     WHERE d.ahead > 0 AND d.ahead >= 0.1 * d.devices
    UNION ALL
    SELECT 'warning', 'few_matched',
           format('%s of the last %s paths lie on roads, all others are raw, for %s mostly', c.matched, c.paths, c.reason),
           'Has OSRM the map of where the vehicles drive? Are longitude and latitude swapped, or no degrees? See where they are: '
           'SELECT p.device_id, l.longitude, l.latitude FROM @extschema@.cached_polylines p CROSS JOIN @extschema@.decode_polyline(p.encoded_polyline) l ORDER BY p.id DESC LIMIT 10;'
      FROM (SELECT count(*) AS paths, count(*) FILTER (WHERE p.match_status = 'matched') AS matched,
                   count(*) FILTER (WHERE p.reason IN ('NoSegment', 'NoMatch')) AS raw, mode() WITHIN GROUP (ORDER BY p.reason) AS reason
              FROM (SELECT q.match_status, q.reason, q.created_at FROM cached_polylines q ORDER BY q.id DESC LIMIT 200) p
             WHERE p.created_at > now() - interval '1 hour') c
     WHERE c.paths >= 10 AND c.raw > 0.9 * c.paths
    UNION ALL
    SELECT 'warning', 'points_rejected',
           format('%s of %s points of the last hour hold no usable place, time or device', r.rejected, r.points),
           'Places are degrees, longitude from -180 to 180, latitude from -90 to 90; for what adopted tables are read by, SELECT * FROM @extschema@.adopted_sources. '
           'Another column, unit or order: release_source(), then adopt_source() once more; what is older than the look-back then takes start_backfill().'
      FROM (SELECT sum(w.rejected) AS rejected, sum(w.points) AS points FROM worker_runs w
             WHERE w.started_at BETWEEN now() - interval '1 hour' AND statement_timestamp()) r
     WHERE r.rejected > 0.5 * r.points;
END;
COMMENT ON FUNCTION _points_alerts IS
    'whether points wait for a time to come, lie in the future though runs take them, where the map has no roads, or nowhere; stable';

CREATE OR REPLACE FUNCTION worker_alerts(
    max_delay interval DEFAULT '2 min',
    max_failures double precision DEFAULT 0.01,
    cache_budget bigint DEFAULT NULL)
RETURNS TABLE (severity text, problem text, message text, hint text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    now_is record;
    waiting_for interval;
    cache_size bigint := pg_total_relation_size('@extschema@.cached_polylines');
BEGIN
    -- All else that there is to tell begins with what waits.
    RETURN QUERY SELECT 'critical', 'points_unreadable', format('nothing is processed: %s', p.problem), p.hint
      FROM @extschema@._points_problem() p WHERE p.problem IS NOT NULL;
    IF FOUND THEN RETURN; END IF;
    SELECT * INTO now_is FROM @extschema@.worker_status();
    waiting_for := date_trunc('second', now() - now_is.waiting_since);

    IF NOT now_is.enabled THEN
        RETURN QUERY VALUES ('warning', 'disabled', 'processing is disabled',
                             'Set osrm_matcher.enabled to on when it is to go on.');
    ELSE
        RETURN QUERY SELECT a.* FROM @extschema@._schedule_alerts() a;
    END IF;
    RETURN QUERY SELECT a.* FROM @extschema@._upkeep_alerts() a;

    IF now_is.osrm_reachable IS FALSE THEN
        RETURN QUERY SELECT 'critical', 'osrm_away',
            format('OSRM has not answered since %s: %s', now_is.osrm_since, now_is.osrm_error),
            'SELECT * FROM @extschema@.osrm_health();';
    ELSE
        RETURN QUERY SELECT a.* FROM @extschema@._server_alerts() a;
    END IF;

    IF waiting_for > max_delay THEN
        RETURN QUERY SELECT 'warning', 'delay',
            format('a point has been waiting for %s', waiting_for),
            CASE WHEN now_is.osrm_reachable IS FALSE THEN 'OSRM has to be back first.'
                 ELSE 'If runs use their whole time, raise osrm_matcher.concurrency or give OSRM more threads; '
                      'if not, see pg_stat_activity for a long transaction that holds rows of the device.' END;
    END IF;

    IF now_is.points_behind > 0 THEN
        RETURN QUERY SELECT 'warning', 'behind_look_back',
            format('%s points are older than osrm_matcher.look_back; no run takes them by itself',
                   CASE WHEN now_is.points_behind < 5000 THEN now_is.points_behind::text ELSE '5000 or more' END),
            format('SELECT @extschema@.start_backfill(%L, %L);', b.oldest, now())
          FROM @extschema@._behind_look_back() b
         -- Those that a backfill has before it are no worry.
         WHERE NOT EXISTS (SELECT FROM @extschema@.matching_jobs j
                            WHERE j.kind = 'backfill' AND j.status IN ('active', 'finishing')
                              AND j.device_ids IS NULL AND j.from_time <= b.oldest);
    END IF;

    RETURN QUERY SELECT a.* FROM @extschema@._points_alerts() a;
    RETURN QUERY SELECT a.* FROM @extschema@._run_alerts(max_failures, waiting_for) a;

    IF cache_size > cache_budget THEN
        RETURN QUERY SELECT 'warning', 'cache_over_budget',
            format('the paths take %s, %s are allowed', pg_size_pretty(cache_size), pg_size_pretty(cache_budget)),
            'Keep paths for fewer days: see @extschema@.upkeep().';
    END IF;

    RETURN QUERY SELECT a.* FROM @extschema@._set_aside_alerts() a;
    RETURN QUERY SELECT a.* FROM @extschema@._adoption_alerts() a;
END
$$;
COMMENT ON FUNCTION worker_alerts IS
    'problems that there are, with what to do; no rows when all is well; cache_budget in bytes, null for none; stable';

-- Its paths are of one device, or of one after the other. A page of the fleet that stays open would have all paths of its
-- hours written every ten minutes. The planner knows nothing of the device: it must not take all paths for its own.
CREATE FUNCTION _store_read(note path_reads, deadline timestamptz, OUT touched bigint, OUT reached text, OUT stored boolean)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    device text := note.device_id;
    lag interval := CASE WHEN note.device_id IS NULL THEN interval '1 hour' ELSE interval '10 min' END;
    most bigint := 10000;
    written bigint;
BEGIN
    touched := 0;
    reached := note.stored_until;
    LOOP
        IF device IS NULL THEN
            SELECT p.device_id INTO device FROM @extschema@.cached_polylines p
             WHERE p.device_id > coalesce(reached, '') ORDER BY p.device_id LIMIT 1;
        END IF;
        stored := device IS NULL;
        EXIT WHEN stored;
        WITH due AS (
            SELECT c.id
              FROM @extschema@._stored_paths(device, note.from_time, note.to_time) p
              JOIN @extschema@.cached_polylines c ON c.id = p.id
             WHERE c.last_accessed < note.read_at - lag
             LIMIT most
               FOR UPDATE OF c SKIP LOCKED
        )
        UPDATE @extschema@.cached_polylines c SET last_accessed = note.read_at FROM due d WHERE c.id = d.id;
        GET DIAGNOSTICS written = ROW_COUNT;
        touched := touched + written;
        IF written < most THEN
            reached := device;
            device := NULL;
            stored := note.device_id IS NOT NULL;
        END IF;
        EXIT WHEN stored OR clock_timestamp() >= deadline;
    END LOOP;
END
$$;
COMMENT ON FUNCTION _store_read IS
    'sets last_accessed of the paths that a note speaks of, passing over locked ones, until a moment; says of how many, until which device, and whether that was all; volatile, parallel unsafe';

CREATE OR REPLACE FUNCTION _store_reads() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    touched bigint := 0;
    deadline timestamptz := clock_timestamp() + interval '1 second';
    note record;
    done record;
BEGIN
    FOR note IN
        SELECT r.ctid AS place, r AS noted FROM @extschema@.path_reads r
         WHERE NOT r.stored ORDER BY r.read_at LIMIT 1000 FOR UPDATE SKIP LOCKED
    LOOP
        SELECT * INTO done FROM @extschema@._store_read(note.noted, deadline);
        UPDATE @extschema@.path_reads r SET stored = done.stored, stored_until = done.reached WHERE r.ctid = note.place;
        touched := touched + done.touched;
        EXIT WHEN clock_timestamp() >= deadline;
    END LOOP;
    RETURN touched;
END
$$;
COMMENT ON FUNCTION _store_reads IS
    'sets last_accessed of the paths that notes speak of, oldest note first, for a second at most, and says of how many; runs at the end of a run, and the next goes on; volatile, parallel unsafe';

CREATE OR REPLACE FUNCTION _oldest_waiting(device_id text, from_time timestamptz, to_time timestamptz)
RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source record;
    oldest timestamptz;
BEGIN
    SELECT p.recorded_at INTO oldest
      FROM @extschema@.gps_coordinates p
     WHERE NOT p.processed AND p.device_id = _oldest_waiting.device_id
       AND p.recorded_at >= from_time AND p.recorded_at < to_time
     ORDER BY p.recorded_at
     LIMIT 1;
    -- Most databases have no other source: a fresh session need not plan the search for them.
    IF NOT EXISTS (SELECT FROM @extschema@.adopted_sources) THEN
        RETURN oldest;
    END IF;
    FOR source IN SELECT * FROM @extschema@._sources(device_id) s WHERE s.ordinal > 0 LOOP
        SELECT least(oldest, min(q.at)) INTO oldest
          FROM json_to_recordset(@extschema@._ask_source(
            source.fragments,
            'SELECT {time_expression} AS at FROM {relation} p
              WHERE NOT p.processed AND p.{device} = {named:$1}
                AND {since:$2} AND {until:$3}
              ORDER BY p.{time} LIMIT 1', device_id, from_time, to_time, for_reader => true)) AS q (at timestamptz);
    END LOOP;
    RETURN oldest;
END
$$;
COMMENT ON FUNCTION _oldest_waiting IS 'time of a device''s oldest unprocessed point in a range, null if there is none; stable, parallel unsafe';

CREATE OR REPLACE FUNCTION _waiting_points(device_id text, from_time timestamptz, to_time timestamptz, most integer)
RETURNS TABLE (recorded_at timestamptz, longitude double precision, latitude double precision)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source record;
BEGIN
    RETURN QUERY
    SELECT p.recorded_at, p.longitude::double precision, p.latitude::double precision
      FROM @extschema@.gps_coordinates p
     WHERE NOT p.processed AND p.device_id = _waiting_points.device_id
       AND p.recorded_at >= from_time AND p.recorded_at < to_time
     ORDER BY p.recorded_at DESC
     LIMIT most;
    IF NOT EXISTS (SELECT FROM @extschema@.adopted_sources) THEN
        RETURN;
    END IF;
    FOR source IN SELECT * FROM @extschema@._sources(device_id) s WHERE s.ordinal > 0 LOOP
        RETURN QUERY
        SELECT q.at, q.lon, q.lat
          FROM json_to_recordset(@extschema@._ask_source(
            source.fragments,
            'SELECT {time_expression} AS at, ({longitude})::double precision AS lon, ({latitude})::double precision AS lat
               FROM {relation} p
              WHERE NOT p.processed AND p.{device} = {named:$1}
                AND {since:$2} AND {until:$3}
              ORDER BY p.{time} DESC LIMIT $5', device_id, from_time, to_time, most, true))
            AS q (at timestamptz, lon double precision, lat double precision);
    END LOOP;
END
$$;
COMMENT ON FUNCTION _waiting_points IS 'a device''s newest unprocessed points in a range, at most so many a source; stable, parallel unsafe';

CREATE FUNCTION "_add_path"(
	"paths" internal,
	"start_time" timestamp with time zone,
	"end_time" timestamp with time zone,
	"encoded_polyline" TEXT,
	"osrm_confidence" double precision,
	"point_count" INT,
	"match_status" TEXT,
	"grade" TEXT,
	"reason" TEXT
) RETURNS internal
IMMUTABLE PARALLEL SAFE
LANGUAGE c
AS 'MODULE_PATHNAME', '_add_path_wrapper';

CREATE FUNCTION "_written_paths"(
	"paths" internal
) RETURNS TEXT
IMMUTABLE PARALLEL SAFE
LANGUAGE c
AS 'MODULE_PATHNAME', '_written_paths_wrapper';

CREATE FUNCTION "_add_device"(
	"devices" internal,
	"device_id" TEXT,
	"paths" TEXT
) RETURNS internal
IMMUTABLE PARALLEL SAFE
LANGUAGE c
AS 'MODULE_PATHNAME', '_add_device_wrapper';

CREATE FUNCTION _written_fleet(devices internal) RETURNS json
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_written_fleet_wrapper';

CREATE AGGREGATE _paths_json(timestamptz, timestamptz, text, double precision, integer, text, text, text) (
    SFUNC = _add_path,
    STYPE = internal,
    FINALFUNC = _written_paths,
    PARALLEL = SAFE
);
CREATE AGGREGATE _fleet_json(text, text) (
    SFUNC = _add_device,
    STYPE = internal,
    FINALFUNC = _written_fleet,
    PARALLEL = SAFE
);

COMMENT ON AGGREGATE _paths_json(timestamptz, timestamptz, text, double precision, integer, text, text, text) IS
    'columns of device_path as elements of "paths", in the order in which they come; immutable, parallel safe';
COMMENT ON AGGREGATE _fleet_json(text, text) IS
    'devices with what _paths_json() gives of each as the document of get_fleet_page(); immutable, parallel safe';
COMMENT ON FUNCTION _add_path IS 'takes a path into _paths_json(); immutable, parallel safe';
COMMENT ON FUNCTION _written_paths IS 'what _paths_json() has written, null if there was no path; immutable, parallel safe';
COMMENT ON FUNCTION _add_device IS 'takes a device into _fleet_json(); immutable, parallel safe';
COMMENT ON FUNCTION _written_fleet IS 'what _fleet_json() has written; immutable, parallel safe';

CREATE OR REPLACE FUNCTION get_fleet_page(hours numeric DEFAULT 1) RETURNS json
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    from_time timestamptz := now() - hours::double precision * interval '1 hour';
    to_time timestamptz := now() + interval '1 hour';
    fleet json;
BEGIN
    PERFORM @extschema@.note_read(NULL, from_time, to_time);
    -- Devices come in alphabetical order; to sort them here would copy all of their paths once more, and so would a
    -- subquery in RETURN.
    SELECT @extschema@._fleet_json(d.device_id, held.paths) INTO fleet
      FROM @extschema@.get_devices() d
     CROSS JOIN LATERAL (
            SELECT @extschema@._paths_json(p.start_time, p.end_time, p.encoded_polyline, p.osrm_confidence,
                                           p.point_count, p.match_status, p.grade, p.reason) AS paths
              FROM @extschema@.get_device_paths(d.device_id, from_time, to_time) p) AS held
     WHERE held.paths IS NOT NULL;
    RETURN fleet;
END
$$;

DROP FUNCTION _fleet_page(timestamptz, timestamptz);

CREATE OR REPLACE FUNCTION _device_page(device_id text, from_time timestamptz, to_time timestamptz, tail boolean)
RETURNS json
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    paths text;
    tails text;
    oldest timestamptz;
BEGIN
    SELECT @extschema@._paths_json(p.start_time, p.end_time, p.encoded_polyline, p.osrm_confidence, p.point_count,
                                   p.match_status, p.grade, p.reason) INTO paths
      FROM @extschema@.get_device_paths(_device_page.device_id, from_time, to_time) p;
    oldest := @extschema@._oldest_waiting(
        device_id, greatest(from_time, now() - @extschema@._look_back()), to_time);
    IF paths IS NULL AND oldest IS NULL AND @extschema@.holds_device(device_id) IS FALSE THEN
        RETURN json_build_object('device', device_id, 'paths', '[]'::json, 'cached', false, 'here', false,
                                 'processing_delay_ms', 0);
    END IF;
    IF tail AND oldest IS NOT NULL THEN
        SELECT @extschema@._paths_json(t.start_time, t.end_time, t.encoded_polyline, t.osrm_confidence, t.point_count,
                                       t.match_status, t.grade, t.reason ORDER BY t.end_time) INTO tails
          FROM @extschema@.get_device_tail(device_id) t
         WHERE t.end_time >= from_time AND t.start_time < to_time;
    END IF;
    RETURN @extschema@._page_json(
        device_id, paths, tails, tails IS NULL AND (paths IS NOT NULL OR oldest IS NULL),
        coalesce(greatest(0, round(extract(epoch FROM clock_timestamp() - oldest) * 1000)), 0)::bigint);
END
$$;
COMMENT ON FUNCTION _device_page IS 'the document of get_device_page(), read in one snapshot; stable, parallel unsafe';

CREATE OR REPLACE FUNCTION release_all() RETURNS TABLE (what text, done boolean)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    adopted regclass;
    detail text;
BEGIN
    RETURN QUERY SELECT 'processing is off the schedule', @extschema@.unschedule_processing();
    RETURN QUERY SELECT 'upkeep is off the schedule', @extschema@.unschedule_upkeep();
    FOR adopted IN SELECT a.relation FROM @extschema@.adopted_sources a WHERE a.shard_of IS NULL ORDER BY 1 LOOP
        -- One that cannot be released keeps none of the others.
        BEGIN
            what := format('table %s is as it was', adopted);
            done := @extschema@.release_source(adopted);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
            what := format('table %s stays adopted: %s', adopted, concat_ws(': ', SQLERRM, nullif(detail, '')));
            done := false;
        END;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION release_all IS
    'takes all jobs off the schedule and releases all adopted tables, as far as they can be; says what became of each; paths stay; volatile';

CREATE OR REPLACE FUNCTION keep_paths(new_schema name, OUT paths regclass, OUT stops regclass)
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    item text;
BEGIN
    IF format('%I', new_schema) = '@extschema@' THEN
        RAISE EXCEPTION 'the tables are in schema "%" already', new_schema
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name another schema, so that the extension can be created again.';
    END IF;
    IF new_schema ~ '^pg_' OR new_schema = 'information_schema' THEN
        RAISE EXCEPTION 'schema "%" is of the system', new_schema
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Make one for the paths: CREATE SCHEMA kept;';
    END IF;
    -- No row is copied: the tables leave the extension and move.
    FOREACH item IN ARRAY ARRAY['cached_polylines', 'stops'] LOOP
        EXECUTE format('ALTER EXTENSION osrm_matcher DROP SEQUENCE @extschema@.%I', item || '_id_seq');
        EXECUTE format('ALTER EXTENSION osrm_matcher DROP TABLE @extschema@.%I', item);
        EXECUTE format('ALTER TABLE @extschema@.%I SET SCHEMA %I', item, new_schema);
    END LOOP;
    paths := format('%I.cached_polylines', new_schema)::regclass;
    stops := format('%I.stops', new_schema)::regclass;
    RAISE NOTICE 'the extension has no tables of paths and stops any more: runs and reads fail'
        USING HINT = 'In the same transaction: DROP EXTENSION osrm_matcher;';
END
$$;
COMMENT ON FUNCTION keep_paths IS
    'takes the tables of paths and stops out of the extension into another schema, so that DROP EXTENSION leaves them; the last step before that; volatile, strict';

CREATE OR REPLACE FUNCTION "_join_lines"(
	"encoded" TEXT[], 
	"head" double precision, 
	"tail" double precision 
) RETURNS TEXT[] 
IMMUTABLE STRICT PARALLEL SAFE
LANGUAGE c 
AS 'MODULE_PATHNAME', '_join_lines_wrapper';

CREATE FUNCTION "_line_end"(
	"encoded" TEXT
) RETURNS double precision[]
IMMUTABLE STRICT PARALLEL SAFE
LANGUAGE c
AS 'MODULE_PATHNAME', '_line_end_wrapper';

COMMENT ON FUNCTION _line_end IS
    'longitude and latitude of an encoded line''s last vertex, null if it has none or cannot be decoded; immutable, strict, parallel safe';

CREATE OR REPLACE FUNCTION "_line_length"(
	"encoded" TEXT 
) RETURNS double precision 
IMMUTABLE STRICT PARALLEL SAFE
LANGUAGE c 
AS 'MODULE_PATHNAME', '_line_length_wrapper';

CREATE OR REPLACE FUNCTION _is_taken(device_id text, from_time timestamptz, to_time timestamptz) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM _stored_paths(_is_taken.device_id, _is_taken.from_time,
                                             greatest(_is_taken.to_time, _is_taken.from_time + interval '1 us')) p
                    WHERE p.end_time > _is_taken.from_time)
        OR EXISTS (SELECT FROM processing_batches b
                    WHERE b.device_id = _is_taken.device_id
                      AND b.start_time < _is_taken.to_time AND b.end_time > _is_taken.from_time
                      AND b.start_time > _is_taken.from_time - interval '2 days')
        OR _is_taken.to_time >= now() - _look_back()
           AND _oldest_waiting(_is_taken.device_id, greatest(_is_taken.from_time, now() - _look_back()),
                               _is_taken.to_time) IS NOT NULL;
END;

CREATE FUNCTION "_imported_line"(
	"encoded" TEXT,
	"decimals" INT
) RETURNS TEXT
IMMUTABLE STRICT PARALLEL SAFE
LANGUAGE c
AS 'MODULE_PATHNAME', '_imported_line_wrapper';

COMMENT ON FUNCTION _imported_line IS
    'a line of another store, of so many decimals, as it is stored here, null where it is no line; immutable, strict, parallel safe';

CREATE OR REPLACE FUNCTION _old_paths(
    old regclass, device_column name, start_column name, end_column name, polyline_column name,
    confidence_column name, time_zone text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    zoned text[];
BEGIN
    SELECT array_agg(CASE WHEN @extschema@._column_type(old, c) = 'timestamp'::regtype
                          THEN format('(o.%I AT TIME ZONE %L)', c, time_zone) ELSE format('o.%I', c) END ORDER BY n)
      INTO zoned FROM unnest(ARRAY[start_column, end_column]) WITH ORDINALITY AS t (c, n);
    RETURN format(
        'SELECT p.device_id, p.start_time, p.end_time,
                CASE WHEN octet_length(p.device_id) BETWEEN 1 AND 255
                      AND isfinite(p.start_time) AND isfinite(p.end_time)
                      AND p.end_time >= p.start_time AND p.end_time < p.start_time + interval ''2 days''
                     THEN @extschema@._imported_line(p.line, $1) END AS line,
                CASE WHEN p.confidence <> ''NaN'' THEN least(1, greatest(0, p.confidence)) END AS confidence,
                length(regexp_replace(p.line, ''[_-~]'', '''', ''g'')) / 2 AS vertices
           FROM (SELECT o.%1$I::text AS device_id, %2$s AS start_time, %3$s AS end_time, o.%4$I::text AS line,
                        %5$s AS confidence
                   FROM %6$s o) p
          ORDER BY p.device_id, p.start_time, p.end_time DESC',
        device_column, zoned[1], zoned[2], polyline_column,
        CASE WHEN confidence_column IS NULL THEN 'NULL::double precision'
             ELSE format('o.%I::double precision', confidence_column) END,
        old);
END
$$;

COMMENT ON FUNCTION _old_paths IS
    'the query that reads an older cache, of $1 decimals, as text: its lines as they are stored here, null where there is none; stable';

CREATE OR REPLACE FUNCTION import_matched_paths(
    relation regclass DEFAULT NULL,
    device_column name DEFAULT 'device_id',
    start_column name DEFAULT 'start_time',
    end_column name DEFAULT 'end_time',
    polyline_column name DEFAULT 'encoded_polyline',
    confidence_column name DEFAULT NULL,
    "precision" integer DEFAULT 5,
    time_zone text DEFAULT 'UTC',
    OUT imported bigint, OUT already_there bigint, OUT refused bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old regclass := coalesce(relation, to_regclass('@extschema@.matched_paths'), to_regclass('public.matched_paths'));
    old_path record;
BEGIN
    IF old IS NULL THEN
        RAISE EXCEPTION 'there is no table matched_paths' USING ERRCODE = 'undefined_table',
            HINT = 'Name the table: import_matched_paths(''schema.table'').';
    END IF;
    IF "precision" IS NULL OR "precision" NOT IN (5, 6) THEN
        RAISE EXCEPTION 'precision is %, and must be 5 or 6', coalesce("precision"::text, 'null')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM @extschema@._require_read_committed('import_matched_paths()');
    imported := 0;
    already_there := 0;
    refused := 0;
    -- What lies where paths are already, where windows are on record or are about to be, is left out. One by one, so
    -- that a line is seen by those that begin later and overlap it.
    FOR old_path IN EXECUTE @extschema@._old_paths(old, device_column, start_column, end_column, polyline_column,
                                                   confidence_column, time_zone) USING "precision"
    LOOP
        IF old_path.line IS NULL THEN
            refused := refused + 1;
            CONTINUE;
        END IF;
        INSERT INTO @extschema@.cached_polylines (device_id, start_time, end_time, encoded_polyline,
               osrm_confidence, point_count, match_status, grade)
        SELECT old_path.device_id, old_path.start_time, old_path.end_time, old_path.line,
               old_path.confidence, old_path.vertices, 'matched', 'good'
         WHERE NOT @extschema@._is_taken(old_path.device_id, old_path.start_time, old_path.end_time)
        ON CONFLICT (device_id, start_time) DO NOTHING;
        IF FOUND THEN
            imported := imported + 1;
        ELSE
            already_there := already_there + 1;
        END IF;
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION "_process_round"(
	"run" bigint, 
	"max_windows" INT, 
	"max_seconds" INT 
) RETURNS TABLE (
	"run_id" bigint,  
	"more" bool  
)
VOLATILE SECURITY DEFINER PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c 
AS 'MODULE_PATHNAME', '_process_round_wrapper';

CREATE OR REPLACE FUNCTION _device_slot(device_id text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN hashtextextended(device_id, 0) & 65535;

COMMENT ON FUNCTION _device_slot IS
    'the row of device_locks that stands for a device; others may share it; immutable, parallel safe';

-- Whoever empties all tables of a schema empties device_locks: a row that is missing must not be taken for one that
-- somebody has. Until the caller's transaction ends, nobody else has any row that it has put back.
CREATE FUNCTION _restore_device_locks(slot integer, may_wait boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    restored boolean;
BEGIN
    IF may_wait THEN
        LOCK TABLE @extschema@.device_locks IN SHARE ROW EXCLUSIVE MODE;
    ELSE
        BEGIN
            LOCK TABLE @extschema@.device_locks IN SHARE ROW EXCLUSIVE MODE NOWAIT;
        EXCEPTION WHEN lock_not_available THEN
            RETURN false;
        END;
    END IF;
    WITH missing AS (
        INSERT INTO @extschema@.device_locks AS l SELECT generate_series(0, 65535) ON CONFLICT DO NOTHING RETURNING l.slot
    )
    SELECT bool_or(m.slot = _restore_device_locks.slot) INTO restored FROM missing m;
    RETURN coalesce(restored, false);
END
$$;
COMMENT ON FUNCTION _restore_device_locks IS
    'puts back what is missing of device_locks; true where the caller has a slot thereby, false where somebody else puts them back; volatile';

-- A lock on a row takes no place in PostgreSQL's table of locks, however many a transaction has, and nobody
-- can take it who may not write to the table: an advisory lock is anybody's. Two devices may share a slot;
-- then one worker has both, and others come to them later.
CREATE OR REPLACE FUNCTION _lock_device(device_id text) RETURNS boolean
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM device_locks l
                    WHERE l.slot = _device_slot(_lock_device.device_id) FOR UPDATE SKIP LOCKED)
        OR (NOT EXISTS (SELECT FROM device_locks l WHERE l.slot = _device_slot(_lock_device.device_id))
            AND _restore_device_locks(_device_slot(_lock_device.device_id), false));
END;
COMMENT ON FUNCTION _lock_device IS
    'makes a device the caller''s own until its transaction ends; false where somebody else has it; volatile';

CREATE OR REPLACE FUNCTION _wait_for_device(device_id text) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT _restore_device_locks(_device_slot(_wait_for_device.device_id), true)
     WHERE NOT EXISTS (SELECT FROM device_locks l WHERE l.slot = _device_slot(_wait_for_device.device_id));
    SELECT FROM device_locks l WHERE l.slot = _device_slot(_wait_for_device.device_id) FOR UPDATE;
END;
COMMENT ON FUNCTION _wait_for_device IS
    'the same, after a wait for whoever has it; for those who may wait, which no worker may; volatile';

-- Whoever waits for a lock, or decides by what is not there, must see what others have committed meanwhile.
CREATE FUNCTION _require_read_committed(what text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    level text := current_setting('transaction_isolation');
BEGIN
    IF level NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION '% needs a transaction that is READ COMMITTED: one that is % does not see what others have committed since it began',
            what, upper(level)
            USING ERRCODE = 'active_sql_transaction',
                  HINT = 'Call it in one: BEGIN ISOLATION LEVEL READ COMMITTED; or for the session: SET default_transaction_isolation = ''read committed'';';
    END IF;
END
$$;
COMMENT ON FUNCTION _require_read_committed IS
    'raises active_sql_transaction, with what to do, in a transaction that goes by one snapshot; stable';

CREATE OR REPLACE FUNCTION _make_due(device_ids text[], starts timestamptz[], ends timestamptz[], job_ids bigint[] DEFAULT NULL)
RETURNS bigint
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    WITH due AS (
        INSERT INTO processing_batches AS b (device_id, start_time, end_time, job_id)
        SELECT * FROM unnest(_make_due.device_ids, _make_due.starts, _make_due.ends, _make_due.job_ids)
        ON CONFLICT (device_id, start_time) DO UPDATE
           SET status = 'pending', retry_count = 0, next_attempt_at = clock_timestamp(),
               job_id = excluded.job_id, updated_at = clock_timestamp()
         WHERE b.status IN ('completed', 'failed')
        RETURNING b.batch_id
    )
    SELECT count(*) FROM due;
END;

DROP ROUTINE _recut;
DROP ROUTINE _overlapped;
CREATE FUNCTION _overlapped(device_ids text[], starts timestamptz[])
RETURNS TABLE (batch_id uuid, device_id text, start_time timestamptz, end_time timestamptz)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT b.batch_id, b.device_id, b.start_time, b.end_time
      FROM unnest(_overlapped.device_ids, _overlapped.starts) AS w (device_id, start_time)
     CROSS JOIN LATERAL (
        (SELECT l.* FROM processing_batches l
          WHERE l.device_id = w.device_id AND l.start_time < w.start_time
          ORDER BY l.start_time DESC LIMIT 1)
        UNION ALL
        SELECT i.* FROM processing_batches i
         WHERE i.device_id = w.device_id
           AND i.start_time >= w.start_time AND i.start_time < w.start_time + _window()) AS b
     WHERE b.end_time > w.start_time
       AND (b.start_time, b.end_time) <> (w.start_time, w.start_time + _window());
END;
COMMENT ON FUNCTION _overlapped IS
    'batches of another length that overlap windows of the present one; stable';

CREATE FUNCTION _recut(device_ids text[], starts timestamptz[], job_id bigint DEFAULT NULL) RETURNS bigint
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    WITH forgotten AS (
        DELETE FROM processing_batches b
         WHERE b.batch_id = ANY (ARRAY(SELECT o.batch_id FROM _overlapped(_recut.device_ids, _recut.starts) o))
        RETURNING b.device_id, b.start_time, b.end_time
    ), covers AS (
        INSERT INTO processing_batches AS b (device_id, start_time, end_time, job_id)
        SELECT DISTINCT f.device_id, w.start_time, w.start_time + _window(), _recut.job_id
          FROM forgotten f
         CROSS JOIN LATERAL generate_series(date_bin(_window(), f.start_time, 'epoch'),
                                            f.end_time - interval '1 us', _window()) AS w (start_time)
        RETURNING b.batch_id
    )
    SELECT count(*) FROM covers;
END;
COMMENT ON FUNCTION _recut IS
    'replaces those batches by windows that are due, on behalf of a job or none; returns how many; volatile';

CREATE OR REPLACE FUNCTION _reached(device_ids text[], firsts timestamptz[], lasts timestamptz[], reach interval)
RETURNS TABLE (device_id text, start_time timestamptz, end_time timestamptz)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT DISTINCT b.device_id, b.start_time, b.end_time
      FROM unnest(_reached.device_ids, _reached.firsts, _reached.lasts) AS new (device_id, first, last)
     CROSS JOIN LATERAL (
        (SELECT l.* FROM processing_batches l
          WHERE l.device_id = new.device_id AND l.start_time < new.first - _reached.reach
          ORDER BY l.start_time DESC LIMIT 1)
        UNION ALL
        SELECT n.* FROM processing_batches n
         WHERE n.device_id = new.device_id
           AND n.start_time BETWEEN new.first - _reached.reach AND new.last + _reached.reach) AS b
     WHERE b.status IN ('completed', 'failed')
       AND b.settles_at IS NULL
       AND b.context_start <= new.last AND b.context_end > new.first;
END;

COMMENT ON FUNCTION _reached IS
    'settled windows whose outcome was decided by a span that new points lie in, from the first to the last of each device; reach is the furthest that a span goes beyond its window; stable';

CREATE OR REPLACE FUNCTION retry_failed(device_ids text[] DEFAULT NULL, from_time timestamptz DEFAULT '-infinity',
                             to_time timestamptz DEFAULT 'infinity')
RETURNS bigint
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    WITH failed AS (
        SELECT b.device_id, b.start_time, b.end_time, b.job_id
          FROM processing_batches b
         WHERE b.status = 'failed'
           AND (retry_failed.device_ids IS NULL OR b.device_id = ANY (retry_failed.device_ids))
           AND b.end_time > retry_failed.from_time AND b.start_time < retry_failed.to_time
           FOR UPDATE SKIP LOCKED
    )
    SELECT _make_due(array_agg(f.device_id), array_agg(f.start_time), array_agg(f.end_time), array_agg(f.job_id))
      FROM failed f;
END;

CREATE OR REPLACE FUNCTION _start_job(kind text, from_time timestamptz, to_time timestamptz, device_ids text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source record;
    job @extschema@.matching_jobs;
BEGIN
    IF from_time IS NULL OR to_time IS NULL OR NOT isfinite(from_time) OR NOT isfinite(to_time)
       OR from_time >= to_time
    THEN
        RAISE EXCEPTION 'a % needs a finite range of times with its begin before its end', kind
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF device_ids IS NOT NULL AND (SELECT count(d) FROM unnest(device_ids) d) = 0 THEN
        RAISE EXCEPTION 'a % of no devices does nothing', kind
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave device_ids out, or give null, for all devices.';
    END IF;
    -- A re-match is one of whole windows, and of those of this moment: what forget_device() has deleted of them
    -- comes back although windows may have another length when the job gets there.
    IF kind = 'rematch' THEN
        from_time := date_bin(@extschema@._window(), from_time, 'epoch');
        to_time := date_bin(@extschema@._window(), to_time + @extschema@._window() - interval '1 us', 'epoch');
    END IF;
    job.kind := kind;
    job.from_time := from_time;
    job.to_time := to_time;
    job.device_ids := CASE WHEN device_ids IS NOT NULL
                           THEN ARRAY(SELECT DISTINCT d FROM unnest(device_ids) d WHERE d IS NOT NULL ORDER BY d) END;
    job.devices_total := 0;
    FOR source IN SELECT s.relation, s.fragments FROM @extschema@._sources() s LOOP
        job.cursor_source := source.relation;
        job.devices_total := job.devices_total + @extschema@._count_devices(job, source.fragments);
    END LOOP;
    INSERT INTO @extschema@.matching_jobs AS j (kind, from_time, to_time, device_ids, devices_total)
    VALUES (job.kind, job.from_time, job.to_time, job.device_ids, job.devices_total)
    RETURNING j.job_id INTO job.job_id;
    RETURN job.job_id;
END
$$;
CREATE OR REPLACE FUNCTION start_backfill(from_time timestamptz, to_time timestamptz, device_ids text[] DEFAULT NULL)
RETURNS bigint
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT _start_job('backfill', start_backfill.from_time, start_backfill.to_time, start_backfill.device_ids);
END;

CREATE OR REPLACE FUNCTION start_rematch(from_time timestamptz, to_time timestamptz, device_ids text[] DEFAULT NULL)
RETURNS bigint
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT _start_job('rematch', start_rematch.from_time, start_rematch.to_time, start_rematch.device_ids);
END;

CREATE OR REPLACE FUNCTION _finish_jobs() RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    UPDATE matching_jobs j
       SET status = 'done', finished_at = now()
     WHERE j.job_id IN (SELECT f.job_id FROM matching_jobs f WHERE f.status = 'finishing'
                           FOR UPDATE SKIP LOCKED)
       AND NOT EXISTS (SELECT FROM processing_batches b
                        WHERE b.job_id = j.job_id AND b.status IN ('pending', 'processing'));
END;

CREATE OR REPLACE FUNCTION _oldest_point(device_id text) RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source record;
    oldest timestamptz;
BEGIN
    FOR source IN SELECT s.fragments FROM @extschema@._sources(device_id) s LOOP
        SELECT least(oldest, min(q.at)) INTO oldest
          FROM json_to_recordset(@extschema@._require_answer(@extschema@._ask_source(source.fragments,
            'SELECT {time_expression} AS at FROM {relation} p
              WHERE p.{device} = {named:$1} AND isfinite({time_expression}) AND {readable}
              ORDER BY p.{time} LIMIT 1', device_id))) AS q (at timestamptz);
    END LOOP;
    RETURN oldest;
END
$$;
COMMENT ON FUNCTION _oldest_point IS 'the time of the oldest point that a device still has; stable';

CREATE FUNCTION _device_walk(first text, within text, goes_on text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN replace(replace(replace(
    'WITH RECURSIVE known AS (
        (SELECT p.{device} AS device, 1 AS nth FROM {relation} p WHERE {first} AND {within} ORDER BY p.{device} LIMIT 1)
        UNION ALL
        SELECT (SELECT p.{device} FROM {relation} p WHERE p.{device} > k.device AND {within}
                 ORDER BY p.{device} LIMIT 1), k.nth + 1
          FROM known k WHERE k.device IS NOT NULL AND {goes_on}
    )', '{first}', first), '{within}', within), '{goes_on}', goes_on);
COMMENT ON FUNCTION _device_walk IS
    'the begin of a template of SQL over a source, which hops from one of its devices to the next in the index: known, with device, null after the last, and nth; immutable, strict, parallel safe';

CREATE FUNCTION _within(kind text, relation regclass, fragments json) RETURNS text
LANGUAGE sql STABLE
RETURN CASE WHEN kind = 'backfill'
                 AND (SELECT count(*) FROM pg_inherits i WHERE i.inhparent = relation) > 64
                 AND (_is_hypertable(relation)
                      OR EXISTS (SELECT FROM pg_partitioned_table t
                                   JOIN pg_attribute c ON c.attrelid = t.partrelid AND c.attnum = t.partattrs[0]
                                  WHERE t.partrelid = relation AND t.partstrat = 'r' AND quote_ident(c.attname) = fragments->>'time'))
            THEN '{since:$2} AND {until:$3}' ELSE '{readable}' END;
COMMENT ON FUNCTION _within IS 'which rows of a source a job of this kind looks for devices in, as a template of SQL; stable';

CREATE FUNCTION _next_devices(job matching_jobs, fragments json, most integer) RETURNS text[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    after text := job.cursor_device;
BEGIN
    IF job.device_ids IS NOT NULL THEN
        RETURN ARRAY(SELECT DISTINCT d FROM unnest(job.device_ids) d WHERE after IS NULL OR d > after ORDER BY d LIMIT most);
    END IF;
    RETURN (SELECT coalesce(array_agg(q.device ORDER BY q.nth), '{}')
              FROM json_to_recordset(@extschema@._require_answer(@extschema@._ask_source(fragments,
                   @extschema@._device_walk(
                       CASE WHEN after IS NULL THEN 'p.{device} IS NOT NULL' ELSE 'p.{device} > {named:$1}' END,
                       @extschema@._within(job.kind, job.cursor_source, fragments), 'k.nth < $5')
                   || ' SELECT k.device::text AS device, k.nth FROM known k WHERE k.device IS NOT NULL',
                   after, job.from_time, job.to_time, most))) AS q (device text, nth integer));
END
$$;
COMMENT ON FUNCTION _next_devices IS
    'up to so many devices that a job comes to next in the source that it is in; none after the last; stable';

CREATE FUNCTION _count_devices(job matching_jobs, fragments json) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF job.device_ids IS NOT NULL THEN
        RETURN cardinality(job.device_ids);
    END IF;
    RETURN coalesce((
        SELECT CASE WHEN q.is_all THEN q.found
                    ELSE greatest(q.found, (SELECT count(*) FROM @extschema@._devices_on_record())) END
          FROM json_to_recordset(@extschema@._ask_source(fragments,
               @extschema@._device_walk('p.{device} IS NOT NULL', @extschema@._within(job.kind, job.cursor_source, fragments),
                                        'clock_timestamp() < statement_timestamp() + interval ''2 seconds''')
               || ' SELECT count(k.device) AS found, count(*) = 0 OR count(*) > count(k.device) AS is_all FROM known k',
               NULL, job.from_time, job.to_time)) AS q (found bigint, is_all boolean)), 0);
END
$$;
COMMENT ON FUNCTION _count_devices IS
    'how many devices a job has to pass in the source that it is in, estimated where there is no time to count them; stable';

-- Hops from one window to the next in the index; the bound of each hop by $2 says to the planner what partitions
-- there is nothing in.
CREATE OR REPLACE FUNCTION _windows_with_points(fragments json, device_id text, from_time timestamptz, to_time timestamptz,
                                     only_unprocessed boolean, most integer)
RETURNS timestamptz[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    starts timestamptz[];
BEGIN
    SELECT array_agg(date_bin(@extschema@._window(), q.at, 'epoch') ORDER BY q.at) INTO starts
      FROM json_to_recordset(@extschema@._require_answer(@extschema@._ask_source(fragments, replace(
        'WITH RECURSIVE hop AS (
            SELECT first.at, 1 AS nth
              FROM (SELECT {time_expression} AS at FROM {relation} p
                     WHERE {wanted} p.{device} = {named:$1}
                       AND {since:$2} AND {until:$3}
                     ORDER BY p.{time} LIMIT 1) first
            UNION ALL
            SELECT next.at, h.nth + 1
              FROM hop h
             CROSS JOIN LATERAL (
                SELECT {time_expression} AS at FROM {relation} p
                 WHERE {wanted} p.{device} = {named:$1}
                   AND {since:(date_bin($4, h.at, ''epoch'') + $4)} AND {since:$2} AND {until:$3}
                 ORDER BY p.{time} LIMIT 1) next
             WHERE h.nth < $5
        ) SELECT h.at FROM hop h',
        '{wanted}', CASE WHEN only_unprocessed THEN 'NOT p.processed AND' ELSE '' END),
        device_id, from_time, to_time, most))) AS q (at timestamptz);
    RETURN starts;
END
$$;

CREATE OR REPLACE FUNCTION _windows_on_record(device_id text, from_time timestamptz, to_time timestamptz, most integer)
RETURNS timestamptz[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    oldest timestamptz := @extschema@._oldest_point(device_id);
BEGIN
    RETURN (SELECT array_agg(w.start ORDER BY w.start)
              FROM (SELECT DISTINCT w.start
                      FROM @extschema@.processing_batches b
                     CROSS JOIN LATERAL generate_series(
                               date_bin(@extschema@._window(), greatest(b.start_time, from_time), 'epoch'),
                               least(b.end_time, to_time) - interval '1 us', @extschema@._window()) AS w (start)
                     WHERE b.device_id = _windows_on_record.device_id
                       -- One of an earlier, greater length may reach into the range.
                       AND b.start_time >= coalesce((
                               SELECT max(l.start_time) FROM @extschema@.processing_batches l
                                WHERE l.device_id = _windows_on_record.device_id AND l.start_time < from_time), from_time)
                       AND b.end_time > from_time AND b.start_time < to_time AND b.end_time > oldest
                     ORDER BY 1 LIMIT most) w);
END
$$;

COMMENT ON FUNCTION _windows_on_record IS
    'where the next windows of a device begin that are on record of a range, with points or without, null if there are none; stable';

CREATE OR REPLACE FUNCTION _next_windows(job matching_jobs, fragments json, most integer) RETURNS timestamptz[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    step interval := @extschema@._window();
    until timestamptz := job.to_time;
    starts timestamptz[];
BEGIN
    -- No device has so long a name (src/pipeline/naming.rs).
    IF octet_length(job.cursor_device) > 255 THEN
        RETURN NULL;
    END IF;
    -- A window that a re-match touches is matched as a whole, though its points may lie beyond the range.
    IF job.kind = 'rematch' AND isfinite(until) THEN
        until := date_bin(step, until + step - interval '1 us', 'epoch');
    END IF;
    starts := @extschema@._windows_with_points(fragments, job.cursor_device, job.cursor_time, until,
                                               job.kind = 'backfill', most);
    IF job.kind = 'rematch' THEN
        starts := starts || @extschema@._windows_on_record(job.cursor_device, job.cursor_time, job.to_time, most);
        starts := ARRAY(SELECT DISTINCT w FROM unnest(starts) w ORDER BY w LIMIT most);
    END IF;
    RETURN nullif(starts, '{}');
END
$$;

CREATE OR REPLACE FUNCTION _queue_windows(job matching_jobs, starts timestamptz[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    devices text[] := array_fill(job.cursor_device, ARRAY[coalesce(cardinality(starts), 0)]);
    ends timestamptz[] := ARRAY(SELECT w + @extschema@._window() FROM unnest(starts) w);
    oldest timestamptz := CASE WHEN job.kind = 'rematch' THEN @extschema@._oldest_point(job.cursor_device) END;
    recut bigint;
    due bigint;
BEGIN
    recut := @extschema@._recut(devices, starts, job.job_id);
    SELECT @extschema@._make_due(array_agg(job.cursor_device), array_agg(w.start), array_agg(w."end"),
                                 array_agg(job.job_id))
      INTO due
      FROM (SELECT * FROM unnest(starts, ends)
            UNION
            SELECT r.start_time, r.end_time
              FROM @extschema@._reached(devices, starts, ends, @extschema@._context_reach()) r
             WHERE job.kind = 'rematch' AND r.end_time > oldest) AS w (start, "end")
     WHERE NOT EXISTS (SELECT FROM @extschema@.processing_batches b
                        WHERE b.device_id = job.cursor_device AND b.start_time = w.start
                          AND b.job_id = job.job_id);
    RETURN recut + due;
END
$$;

CREATE FUNCTION _is_held_up(job_id bigint) RETURNS boolean
LANGUAGE sql STABLE
RETURN (SELECT count(*) = 2000
          FROM (SELECT FROM processing_batches b
                 WHERE b.job_id = _is_held_up.job_id AND b.status = 'pending' AND b.next_attempt_at <= now()
                 LIMIT 2000) AS due);
COMMENT ON FUNCTION _is_held_up IS
    'whether a job has so many windows on record that are due, for their servers are away, that it needs no more; stable';

-- What can fail is a source that is read; that is looked at in a subtransaction of its own, which writes nothing.
CREATE FUNCTION _look_ahead(INOUT job matching_jobs, fragments json, most integer, INOUT devices text[], OUT starts timestamptz[])
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF job.cursor_time IS NULL THEN
        IF coalesce(cardinality(devices), 0) = 0 THEN
            devices := @extschema@._next_devices(job, fragments, 16);
        END IF;
        job.cursor_device := devices[1];
        devices := devices[2:];
        job.cursor_time := date_bin(@extschema@._window(), job.from_time, 'epoch');
    END IF;
    IF job.cursor_device IS NOT NULL THEN
        starts := @extschema@._next_windows(job, fragments, most);
    END IF;
END
$$;
COMMENT ON FUNCTION _look_ahead IS
    'a job at the next device of the source that it is in, if it is done with one, which comes first of those that are known to be next, and where up to so many of its windows begin; no device after the last; an error where a source fails; stable';

CREATE FUNCTION _step_job(job matching_jobs, starts timestamptz[], most integer) RETURNS matching_jobs
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF job.cursor_device IS NULL THEN
        job.sources_done := job.sources_done || job.cursor_source;
        job.cursor_source := NULL;
        job.cursor_time := NULL;
        RETURN job;
    END IF;
    IF starts IS NOT NULL THEN
        -- Whoever has the device must not be waited for.
        IF NOT @extschema@._lock_device(job.cursor_device) THEN
            RETURN NULL;
        END IF;
        job.windows_queued := job.windows_queued + @extschema@._queue_windows(job, starts);
    END IF;
    IF cardinality(starts) = most THEN
        job.cursor_time := starts[cardinality(starts)] + @extschema@._window();
    ELSE
        job.devices_done := job.devices_done + 1;
        job.cursor_time := NULL;
    END IF;
    RETURN job;
END
$$;
COMMENT ON FUNCTION _step_job IS
    'puts windows of the device that a job has come to on record, or the source as passed if there is no device, and moves the job on; null where somebody else has the device; volatile';

-- A source that is away is left for later, and others go first. The job keeps its place in it only if none of the
-- others can be gone on with: what it has had of it is passed by the second time.
CREATE FUNCTION _advance_job(job matching_jobs, most integer, deadline timestamptz) RETURNS matching_jobs
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source record;
    ahead record;
    next @extschema@.matching_jobs;
    away regclass[] := '{}';
    devices text[];
    enough bigint := job.windows_queued + most;
    room integer;
BEGIN
    -- What is no source any more is forgotten: a dump has its number, which may be another table's elsewhere.
    SELECT coalesce(array_agg(s.relation ORDER BY s.ordinal) FILTER (WHERE s.relation = ANY (job.sources_done)), '{}'),
           min(s.relation::oid) FILTER (WHERE s.relation = job.cursor_source)
      INTO job.sources_done, job.cursor_source
      FROM @extschema@._sources() s;
    WHILE job.windows_queued < enough AND clock_timestamp() < deadline LOOP
        SELECT s.relation, s.fragments INTO source FROM @extschema@._sources() s
         WHERE s.relation <> ALL (job.sources_done || away) AND NOT s.aside
         ORDER BY s.relation IS DISTINCT FROM job.cursor_source, s.ordinal LIMIT 1;
        EXIT WHEN NOT FOUND;
        next := job;
        IF next.cursor_source IS DISTINCT FROM source.relation THEN
            next.cursor_source := source.relation;
            next.cursor_device := NULL;
            next.cursor_time := NULL;
            devices := NULL;
        END IF;
        room := enough - job.windows_queued;
        BEGIN
            SELECT * INTO ahead FROM @extschema@._look_ahead(next, source.fragments, room, devices);
        EXCEPTION WHEN lock_not_available THEN
            away := away || source.relation;
            CONTINUE;
        END;
        next := @extschema@._step_job(ahead.job, ahead.starts, room);
        EXIT WHEN next.job_id IS NULL;
        job := next;
        devices := ahead.devices;
    END LOOP;
    IF NOT EXISTS (SELECT FROM @extschema@._sources() s WHERE s.relation <> ALL (job.sources_done)) THEN
        job.status := 'finishing';
        job.sources_done := '{}';
    END IF;
    RETURN job;
END
$$;
COMMENT ON FUNCTION _advance_job IS
    'moves a job on until it has put so many windows on record, until a moment, or until it can go no further for now; volatile';

-- A job that can go no further does not hold up the next one.
CREATE FUNCTION _advance_jobs(max_windows integer) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    active bigint;
    job @extschema@.matching_jobs;
    next @extschema@.matching_jobs;
    deadline timestamptz := clock_timestamp() + interval '1 second';
    queued integer := 0;
    moved boolean := false;
    others oid[];
BEGIN
    PERFORM @extschema@._finish_jobs();
    FOR active IN SELECT j.job_id FROM @extschema@.matching_jobs j WHERE j.status = 'active' ORDER BY j.job_id LOOP
        EXIT WHEN queued >= max_windows OR clock_timestamp() >= deadline;
        SELECT * INTO job FROM @extschema@.matching_jobs j
         WHERE j.job_id = active AND j.status = 'active' AND NOT @extschema@._is_held_up(j.job_id)
           FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        others := coalesce(others, @extschema@._put_off());
        next := @extschema@._advance_job(job, max_windows - queued, deadline);
        CONTINUE WHEN next IS NOT DISTINCT FROM job;
        UPDATE @extschema@.matching_jobs j
           SET status = next.status, devices_done = next.devices_done, windows_queued = next.windows_queued,
               cursor_source = next.cursor_source, cursor_device = next.cursor_device,
               cursor_time = next.cursor_time, sources_done = next.sources_done,
               started_at = coalesce(j.started_at, now())
         WHERE j.job_id = next.job_id;
        queued := queued + next.windows_queued - job.windows_queued;
        moved := true;
    END LOOP;
    PERFORM @extschema@._make_checks(others);
    RETURN moved;
END
$$;
COMMENT ON FUNCTION _advance_jobs IS
    'puts up to so many windows of active jobs on record as pending, the oldest job''s first, looking for a second at most; says whether there may be more to find at once; never waits for another worker; volatile';

CREATE FUNCTION get_jobs()
RETURNS TABLE (job_id bigint, kind text, status text, from_time timestamptz, to_time timestamptz, devices integer,
               windows_done bigint, share_done double precision, windows_per_minute double precision,
               time_left interval, created_at timestamptz, finished_at timestamptz)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH progress AS (
        SELECT j.*, j.windows_queued - (SELECT count(*) FROM processing_batches b
                                         WHERE b.job_id = j.job_id AND b.status IN ('pending', 'processing')) AS ready,
               CASE WHEN j.status IN ('finishing', 'done') THEN 1
                    ELSE (j.devices_done
                          + coalesce(extract(epoch FROM j.cursor_time - j.from_time)
                                     / extract(epoch FROM j.to_time - j.from_time), 0))::double precision
                         / greatest(j.devices_total, 1) END AS passed,
               extract(epoch FROM coalesce(j.finished_at, now()) - j.started_at)::double precision AS seconds
          FROM matching_jobs j
    ), shared AS (
        -- What the cursor has passed counts as done as far as it is matched.
        SELECT p.*, CASE WHEN p.status = 'done' THEN 1
                         ELSE least(p.passed, 1) * coalesce(p.ready / nullif(p.windows_queued, 0)::double precision, 1)
                         END AS share
          FROM progress p
    )
    SELECT s.job_id, s.kind,
           CASE WHEN s.status = 'finishing' AND s.ready = s.windows_queued THEN 'done' ELSE s.status END,
           s.from_time, s.to_time, cardinality(s.device_ids), s.ready, s.share,
           s.ready * 60 / nullif(s.seconds, 0),
           CASE WHEN s.status IN ('active', 'finishing') AND s.share > 0
                THEN make_interval(secs => round(s.seconds * (1 - s.share) / s.share)) END,
           s.created_at, s.finished_at
      FROM shared s
     ORDER BY s.job_id;
END;
COMMENT ON FUNCTION get_jobs IS
    'jobs with the share done, the rate and the time left, estimated from the devices passed; stable';

CREATE OR REPLACE FUNCTION stop_job(job_id bigint) RETURNS boolean
LANGUAGE sql VOLATILE STRICT
BEGIN ATOMIC
    WITH stopped AS (
        UPDATE matching_jobs j SET status = 'stopped'
         WHERE j.job_id = stop_job.job_id AND j.status = 'active'
        RETURNING j.job_id
    )
    SELECT EXISTS (SELECT FROM stopped);
END;

CREATE OR REPLACE FUNCTION resume_job(job_id bigint) RETURNS boolean
LANGUAGE sql VOLATILE STRICT
BEGIN ATOMIC
    WITH resumed AS (
        UPDATE matching_jobs j SET status = 'active'
         WHERE j.job_id = resume_job.job_id AND j.status = 'stopped'
        RETURNING j.job_id
    )
    SELECT EXISTS (SELECT FROM resumed);
END;

CREATE OR REPLACE FUNCTION "claim_batches"(
	"max_windows" INT DEFAULT 100 
) RETURNS SETOF uuid 
VOLATILE SECURITY DEFINER PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c 
AS 'MODULE_PATHNAME', 'claim_batches_wrapper';

CREATE OR REPLACE FUNCTION get_device_paths(device_id text, from_time timestamptz, to_time timestamptz)
RETURNS SETOF device_path
LANGUAGE sql STABLE PARALLEL SAFE ROWS 300
BEGIN ATOMIC
    SELECT p.device_id, p.start_time, p.end_time, p.encoded_polyline, p.osrm_confidence, p.point_count,
           p.match_status, p.grade, p.reason
      FROM _stored_paths(get_device_paths.device_id, get_device_paths.from_time, get_device_paths.to_time) p
     ORDER BY p.start_time;
END;

CREATE OR REPLACE FUNCTION get_device_paths(device_id text, hours numeric DEFAULT 24)
RETURNS SETOF device_path
LANGUAGE sql STABLE PARALLEL SAFE ROWS 300
BEGIN ATOMIC
    SELECT p.*
      FROM get_device_paths(get_device_paths.device_id,
                            now() - get_device_paths.hours::double precision * interval '1 hour',
                            now() + interval '1 hour') p;
END;

CREATE OR REPLACE FUNCTION get_devices() RETURNS TABLE (device_id text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1000
BEGIN ATOMIC
    WITH RECURSIVE known AS (
        (SELECT p.device_id FROM cached_polylines p ORDER BY p.device_id LIMIT 1)
        UNION ALL
        SELECT (SELECT p.device_id FROM cached_polylines p
                 WHERE p.device_id > k.device_id ORDER BY p.device_id LIMIT 1)
          FROM known k
         WHERE k.device_id IS NOT NULL
    )
    SELECT k.device_id FROM known k WHERE k.device_id IS NOT NULL;
END;

CREATE OR REPLACE FUNCTION get_paths_between(device_ids text[], from_time timestamptz, to_time timestamptz)
RETURNS SETOF device_path
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10000
BEGIN ATOMIC
    SELECT p.*
      FROM (SELECT DISTINCT unnest(get_paths_between.device_ids) AS device_id
            UNION ALL
            SELECT d.device_id FROM get_devices() d WHERE get_paths_between.device_ids IS NULL) AS asked
     CROSS JOIN LATERAL get_device_paths(asked.device_id, get_paths_between.from_time, get_paths_between.to_time) p
     ORDER BY p.device_id, p.start_time;
END;

CREATE OR REPLACE FUNCTION get_fleet_paths(hours numeric DEFAULT 1)
RETURNS SETOF device_path
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10000
BEGIN ATOMIC
    SELECT * FROM get_paths_between(NULL, now() - get_fleet_paths.hours::double precision * interval '1 hour',
                                    now() + interval '1 hour');
END;

CREATE FUNCTION _stops_of(device_id text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE (id bigint, start_time timestamptz, end_time timestamptz, longitude double precision,
               latitude double precision, source_coordinates_count integer, weight integer, stop bigint)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 300
BEGIN ATOMIC
    SELECT r.id, r.start_time, r.end_time, r.longitude, r.latitude, r.source_coordinates_count,
           greatest(1, r.source_coordinates_count),
           count(*) FILTER (WHERE coalesce(
               r.start_time - r.stood_until > interval '75 min'
               OR 111320 * sqrt((r.latitude - r.stood_lat) ^ 2
                      + ((r.longitude - r.stood_lon) * cos(radians(r.latitude))) ^ 2) > 60
               OR r.start_time > r.stood_until
                  AND EXISTS (SELECT FROM cached_polylines p
                               WHERE p.device_id = _stops_of.device_id
                                 AND p.start_time >= r.stood_until AND p.start_time < r.start_time),
               true)) OVER (ORDER BY r.start_time)
      FROM (SELECT s.id, s.start_time, s.end_time, s.longitude, s.latitude, s.source_coordinates_count,
                   lag(s.end_time) OVER earlier AS stood_until, lag(s.longitude) OVER earlier AS stood_lon,
                   lag(s.latitude) OVER earlier AS stood_lat
              FROM stops s
             WHERE s.device_id = _stops_of.device_id AND s.start_time >= _stops_of.from_time
               AND s.start_time < _stops_of.to_time
            WINDOW earlier AS (ORDER BY s.start_time)) AS r;
END;
COMMENT ON FUNCTION _stops_of IS
    'rows of stops of a device that begin in [from_time, to_time), those of one stop with one number; stable, parallel safe';

CREATE OR REPLACE FUNCTION get_device_stops(device_id text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE (start_time timestamptz, end_time timestamptz, longitude double precision,
               latitude double precision, source_coordinates_count bigint)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT min(n.start_time), max(n.end_time), sum(n.longitude * n.weight) / sum(n.weight),
           sum(n.latitude * n.weight) / sum(n.weight), sum(n.source_coordinates_count)
      FROM (SELECT greatest((SELECT p.start_time FROM cached_polylines p
                              WHERE p.device_id = get_device_stops.device_id AND p.start_time < get_device_stops.from_time
                              ORDER BY p.start_time DESC LIMIT 1), get_device_stops.from_time - interval '31 days') AS first,
                   least((SELECT p.start_time FROM cached_polylines p
                           WHERE p.device_id = get_device_stops.device_id AND p.start_time >= get_device_stops.to_time
                           ORDER BY p.start_time LIMIT 1), get_device_stops.to_time + interval '31 days') AS next
             WHERE get_device_stops.from_time < get_device_stops.to_time) AS bounds
     CROSS JOIN LATERAL _stops_of(get_device_stops.device_id, bounds.first, bounds.next) n
     GROUP BY n.stop
    HAVING max(n.end_time) >= get_device_stops.from_time AND min(n.start_time) < get_device_stops.to_time
       AND min(n.start_time) < max(n.end_time)
     ORDER BY 1;
END;
COMMENT ON FUNCTION get_device_stops IS
    'where and how long a device stood, stops that reach into [from_time, to_time), oldest first; stable, parallel safe, a null argument gives no rows';

CREATE FUNCTION _join_stops(device_ids text[], at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    today timestamptz := date_trunc('day', at - interval '1 hour', 'UTC');
    ours text[];
    joined bigint;
BEGIN
    -- What a foreign key of somebody refers to stays.
    IF @extschema@._referred_to('@extschema@.stops') IS NOT NULL THEN
        RETURN 0;
    END IF;
    SELECT array_agg(d) INTO ours FROM unnest(device_ids) d WHERE @extschema@._lock_device(d);
    WITH one AS (
        SELECT array_agg(n.id ORDER BY n.start_time) AS ids, max(n.end_time) AS end_time,
               sum(n.longitude * n.weight) / sum(n.weight) AS longitude,
               sum(n.latitude * n.weight) / sum(n.weight) AS latitude,
               sum(n.source_coordinates_count) AS source_coordinates_count
          FROM unnest(ours) AS device
         CROSS JOIN LATERAL @extschema@._stops_of(device, '-infinity', today) n
         GROUP BY device, n.stop, date_trunc('day', n.start_time, 'UTC')
        HAVING count(*) > 1
    ), kept AS (
        -- With a new number: few old ones among many that are gone would keep all pages of their index.
        UPDATE @extschema@.stops s
           SET id = DEFAULT, end_time = o.end_time, longitude = o.longitude, latitude = o.latitude,
               source_coordinates_count = o.source_coordinates_count, batch_id = NULL
          FROM one o
         WHERE s.id = o.ids[1]
    ), gone AS (
        DELETE FROM @extschema@.stops s USING (SELECT unnest(o.ids[2:]) AS id FROM one o) AS others
         WHERE s.id = others.id
        RETURNING s.id
    )
    SELECT count(*) INTO joined FROM gone;
    RETURN joined;
END
$$;
COMMENT ON FUNCTION _join_stops IS
    'makes rows of stops of some devices, of the days before that of a moment (UTC), one a stop and day, and says how many fewer there are; passes over devices that a worker has; volatile';

CREATE FUNCTION _cut_stops(device_ids text[], starts timestamptz[], ends timestamptz[]) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    WITH windows AS (
        SELECT w.device_id, w.start_time, w.end_time
          FROM unnest(_cut_stops.device_ids, _cut_stops.starts, _cut_stops.ends) AS w (device_id, start_time, end_time)
    ), crossing AS (
        SELECT DISTINCT c.id
          FROM windows w
         CROSS JOIN LATERAL (VALUES (w.start_time), (w.end_time)) AS e (edge)
         CROSS JOIN LATERAL (
            SELECT s.id, s.end_time, s.batch_id FROM @extschema@.stops s
             WHERE s.device_id = w.device_id AND s.start_time < e.edge
             ORDER BY s.start_time DESC LIMIT 1) AS c
         WHERE c.end_time > e.edge AND c.batch_id IS NULL
    ), gone AS (
        DELETE FROM @extschema@.stops s USING crossing c WHERE s.id = c.id
        RETURNING s.device_id, s.start_time, s.end_time, s.longitude, s.latitude, s.source_coordinates_count
    )
    INSERT INTO @extschema@.stops (device_id, start_time, end_time, longitude, latitude, source_coordinates_count)
    SELECT g.device_id, part.first, part.last, g.longitude, g.latitude,
           greatest(1, round(g.source_coordinates_count * extract(epoch FROM part.last - part.first)
                                                        / extract(epoch FROM g.end_time - g.start_time)))::integer
      FROM gone g
     CROSS JOIN LATERAL unnest(tstzmultirange(tstzrange(g.start_time, g.end_time))
                               - (SELECT range_agg(tstzrange(w.start_time, w.end_time)) FROM windows w
                                   WHERE w.device_id = g.device_id)) AS left_over
     -- A silence that the row bridged is borne out by points on both sides of it alone.
     CROSS JOIN LATERAL (
            SELECT greatest(lower(left_over), min(b.start_time)) AS first, least(upper(left_over), max(b.end_time)) AS last
              FROM @extschema@.processing_batches b
             WHERE b.device_id = g.device_id AND b.start_time < upper(left_over) AND b.end_time > lower(left_over)
               AND b.start_time > lower(left_over) - interval '1 day'
               AND (b.coordinate_count > 0 OR b.status IN ('pending', 'processing'))
            HAVING count(*) > 0) AS part;
END
$$;
COMMENT ON FUNCTION _cut_stops IS
    'takes what lies in some windows out of rows of stops that are of several; volatile';

CREATE OR REPLACE FUNCTION get_device_tail(device_id text)
RETURNS SETOF device_path
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gap interval := @extschema@._max_gap();
    known_until timestamptz;
    known_lon double precision;
    known_lat double precision;
BEGIN
    SELECT p.end_time, p.place[1], p.place[2] INTO known_until, known_lon, known_lat
      FROM (SELECT c.end_time, @extschema@._line_end(c.encoded_polyline) AS place
              FROM @extschema@.cached_polylines c
             WHERE c.device_id = get_device_tail.device_id AND c.start_time < now() + interval '1 hour'
             ORDER BY c.start_time DESC
             LIMIT 1) p;
    SELECT s.end_time, s.longitude, s.latitude INTO known_until, known_lon, known_lat
      FROM (SELECT s.end_time, s.longitude, s.latitude FROM @extschema@.stops s
             WHERE s.device_id = get_device_tail.device_id AND s.start_time < now() + interval '1 hour'
             ORDER BY s.start_time DESC LIMIT 1) s
     WHERE s.end_time > known_until OR known_until IS NULL
    UNION ALL SELECT known_until, known_lon, known_lat
     LIMIT 1;

    RETURN QUERY
    WITH waiting AS (
        SELECT w.recorded_at AS at, w.longitude AS lon, w.latitude AS lat
          FROM @extschema@._waiting_points(
                   get_device_tail.device_id,
                   greatest(known_until, now() - @extschema@._look_back()),
                   now() + interval '1 hour', 20000) w
         WHERE w.longitude BETWEEN -180 AND 180 AND w.latitude BETWEEN -90 AND 90
           AND NOT (w.longitude = 0 AND w.latitude = 0)
    ), pace AS MATERIALIZED (
        SELECT greatest(1, ceil(extract(epoch FROM max(at) - min(at)) / 1000))::int AS seconds FROM waiting
    ), thinned AS (
        SELECT DISTINCT ON (floor(extract(epoch FROM w.at) / p.seconds)) w.at, w.lon, w.lat
          FROM waiting w, pace p
         ORDER BY floor(extract(epoch FROM w.at) / p.seconds), w.at
    ), joined AS (
        SELECT t.at, t.lon, t.lat FROM thinned t WHERE t.at > known_until OR known_until IS NULL
        UNION ALL
        SELECT known_until, known_lon, known_lat WHERE known_lon IS NOT NULL
    ), numbered AS (
        SELECT b.*, count(*) FILTER (WHERE b.begins) OVER (ORDER BY b.at) AS line
          FROM (SELECT j.*, j.at - lag(j.at) OVER (ORDER BY j.at) > gap AS begins FROM joined j) b
    )
    SELECT get_device_tail.device_id, min(n.at), max(n.at),
           @extschema@.encode_polyline(array_agg(n.lon ORDER BY n.at), array_agg(n.lat ORDER BY n.at)),
           NULL::double precision, count(*)::int, 'tail', 'tail', NULL::text
      FROM numbered n
     GROUP BY n.line
    HAVING count(*) > 1
     ORDER BY 2;
END
$$;

CREATE OR REPLACE FUNCTION get_path_points(device_id text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE ("time" timestamptz, longitude double precision, latitude double precision,
               match_status text, path_start timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10000
BEGIN ATOMIC
    -- A vertex has no time of its own: the path's time is shared out by the distance along the line, which goes the
    -- short way round where longitudes jump by 360 degrees.
    SELECT p.start_time + (p.end_time - p.start_time) * coalesce(v.along / nullif(v.length, 0), 0),
           v.longitude, v.latitude, p.match_status, p.start_time
      FROM get_device_paths(get_path_points.device_id, get_path_points.from_time, get_path_points.to_time) p
     CROSS JOIN LATERAL (
        SELECT s.*, sum(s.step) OVER (ORDER BY s.ordinal) AS along, sum(s.step) OVER () AS length
          FROM (SELECT d.*, coalesce(sqrt((d.latitude - lag(d.latitude) OVER earlier) ^ 2
                       + ((180 - abs(180 - abs(d.longitude - lag(d.longitude) OVER earlier)))
                          * cos(radians(d.latitude))) ^ 2), 0) AS step
                  FROM decode_polyline(p.encoded_polyline) d
                WINDOW earlier AS (ORDER BY d.ordinal)) AS s) AS v
     ORDER BY p.start_time, v.ordinal;
END;

CREATE FUNCTION "_writes_but_notes"() RETURNS bool
STRICT VOLATILE PARALLEL UNSAFE
LANGUAGE c
AS 'MODULE_PATHNAME', '_writes_but_notes_wrapper';

CREATE FUNCTION "_has_noted"() RETURNS void
STRICT VOLATILE PARALLEL UNSAFE
LANGUAGE c
AS 'MODULE_PATHNAME', '_has_noted_wrapper';

CREATE OR REPLACE FUNCTION note_read(device_id text, from_time timestamptz, to_time timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Whoever has the notes as a whole, as VACUUM FULL has, is not waited for.
SET lock_timeout = '20ms'
AS $$
DECLARE
    alone boolean;
BEGIN
    -- A standby is read-only, too, and has no table of notes that could be asked. A serializable reader
    -- would be in conflict with other readers. Without a range nothing was read, and no device has a longer name.
    IF from_time IS NULL OR to_time IS NULL OR octet_length(device_id) > 255
       OR current_setting('transaction_read_only')::boolean
       OR current_setting('transaction_isolation') = 'serializable'
    THEN
        RETURN false;
    END IF;
    IF EXISTS (SELECT FROM @extschema@.path_reads r
                WHERE (r.device_id = note_read.device_id OR note_read.device_id IS NULL AND r.device_id IS NULL)
                  AND r.read_at BETWEEN now() - interval '10 min' AND now() + interval '10 min'
                  AND r.from_time <= note_read.from_time
                  AND r.to_time >= note_read.to_time - interval '10 min')
    THEN
        RETURN false;
    END IF;
    alone := @extschema@._writes_but_notes();
    INSERT INTO @extschema@.path_reads (device_id, from_time, to_time, points_cached, points_waiting)
    SELECT note_read.device_id, note_read.from_time, note_read.to_time,
           (SELECT coalesce(sum(p.source_coordinates_count), 0)
              FROM @extschema@._stored_paths(note_read.device_id, note_read.from_time, note_read.to_time) p),
           (SELECT count(*)
              FROM @extschema@._waiting_points(note_read.device_id, note_read.from_time, note_read.to_time, 10000));
    IF alone THEN
        PERFORM @extschema@._has_noted();
    END IF;
    RETURN true;
-- What is in the way of a note, be it a lock, a full disk, or a server that gives no transaction ids any more, is in no
-- reader's way. A cancel is none of the others.
EXCEPTION WHEN OTHERS THEN
    IF SQLSTATE <> '55P03' THEN
        RAISE LOG 'osrm_matcher: could not note that paths were read: %', SQLERRM;
    END IF;
    RETURN false;
END
$$;
COMMENT ON FUNCTION note_read IS
    'notes that paths of a device (null: all) were read, for last_accessed; once in ten minutes, nothing where that cannot be written, as on a standby, or in a read-only or serializable transaction; volatile, parallel unsafe';
COMMENT ON FUNCTION _writes_but_notes IS
    'whether the transaction has written nothing so far but notes; volatile, parallel unsafe';
COMMENT ON FUNCTION _has_noted IS
    'says that what was written last is a note, as was all before it, so that the commit waits neither for the disk nor for a standby; volatile, parallel unsafe';

-- What is a day old serves nothing any more, stored or not: the notes are never more than a day's.
CREATE FUNCTION _forget_reads() RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
    WITH gone AS (
        DELETE FROM path_reads r
         WHERE r.ctid = ANY (ARRAY(SELECT o.ctid FROM path_reads o
                                    WHERE o.read_at < now() - interval '1 day'
                                    ORDER BY o.read_at LIMIT 10000))
        RETURNING r.read_at
    )
    SELECT count(*) FROM gone;
END;
COMMENT ON FUNCTION _forget_reads IS
    'deletes notes of what was read more than a day ago; runs at the end of a run, whether or not notes can be stored; volatile, parallel unsafe';

CREATE OR REPLACE FUNCTION _path_parts(device_id text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE (start_time timestamptz, end_time timestamptz, metres double precision, grade text,
               max_speed_mps real, encoded_polyline text, cut_before double precision, cut_after double precision)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 300
BEGIN ATOMIC
    SELECT greatest(c.start_time, _path_parts.from_time), least(c.end_time, _path_parts.to_time),
           coalesce(c.length_m, _line_length(c.encoded_polyline)) * (1 - c.cut_before - c.cut_after),
           c.grade, c.max_speed_mps, c.encoded_polyline, c.cut_before, c.cut_after
      FROM (SELECT p.*,
                   CASE WHEN p.start_time < _path_parts.from_time
                        THEN extract(epoch FROM _path_parts.from_time - p.start_time)::double precision
                             / extract(epoch FROM p.end_time - p.start_time)::double precision
                        ELSE 0 END AS cut_before,
                   CASE WHEN p.end_time > _path_parts.to_time
                        THEN extract(epoch FROM p.end_time - _path_parts.to_time)::double precision
                             / extract(epoch FROM p.end_time - p.start_time)::double precision
                        ELSE 0 END AS cut_after
              FROM _stored_paths(_path_parts.device_id, _path_parts.from_time, _path_parts.to_time) p
             WHERE p.start_time >= _path_parts.from_time OR p.end_time > _path_parts.from_time) AS c;
END;

COMMENT ON FUNCTION _path_parts IS
    'paths of a device as far as they lie in [from_time, to_time), with the shares that do not; stable, parallel safe';

COMMENT ON FUNCTION _line_length IS 'metres along an encoded line, none if it cannot be decoded; immutable, strict, parallel safe';

COMMENT ON FUNCTION _join_lines IS
    'lines in the order of time, those that meet joined, without a share of the first and of the last; immutable, strict, parallel safe';

CREATE OR REPLACE FUNCTION _driven(device_id text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE (distance_m double precision, matched_m double precision, doubtful_m double precision,
               raw_m double precision, driving_time interval, max_speed_mps real, first_start timestamptz,
               last_stop timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT coalesce(sum(p.metres), 0), coalesce(sum(p.metres) FILTER (WHERE p.grade = 'good'), 0),
           coalesce(sum(p.metres) FILTER (WHERE p.grade = 'doubtful'), 0),
           coalesce(sum(p.metres) FILTER (WHERE p.grade = 'raw'), 0),
           coalesce(sum(p.end_time - p.start_time), '0'), max(p.max_speed_mps) FILTER (WHERE p.grade = 'good'),
           min(p.start_time), max(p.end_time)
      FROM _path_parts(_driven.device_id, _driven.from_time, _driven.to_time) p;
END;

COMMENT ON FUNCTION _driven IS 'what a device drove in [from_time, to_time), one row; stable, parallel safe';

CREATE OR REPLACE FUNCTION _period_start(local timestamp, time_zone text) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN (local AT TIME ZONE time_zone - interval '1 hour') AT TIME ZONE time_zone >= local
            THEN local AT TIME ZONE time_zone - interval '1 hour'
            ELSE local AT TIME ZONE time_zone END;

COMMENT ON FUNCTION _period_start IS 'the moment at which a local day begins; immutable, parallel safe';

CREATE FUNCTION _period_of(moment timestamptz, by text, time_zone text) RETURNS timestamp
LANGUAGE sql STABLE PARALLEL SAFE
RETURN date_trunc(by, moment AT TIME ZONE time_zone)
       + CASE WHEN _period_start(date_trunc(by, moment AT TIME ZONE time_zone) + ('1 ' || by)::interval, time_zone) <= moment
              THEN ('1 ' || by)::interval ELSE interval '0' END;
COMMENT ON FUNCTION _period_of IS 'when the day, week or month of a moment begins, by the clock there; stable, parallel safe';

CREATE OR REPLACE FUNCTION _periods(device_id text, from_time timestamptz, to_time timestamptz, by text, time_zone text)
RETURNS TABLE (period date, start_time timestamptz, end_time timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 30
SET jit = off
BEGIN ATOMIC
    WITH RECURSIVE strides AS (
        SELECT NULL::timestamp AS first, NULL::timestamp AS last, _periods.from_time AS next
        UNION ALL
        SELECT o.first, o.first + 31 * ('1 ' || _periods.by)::interval,
               _period_start(o.first + 32 * ('1 ' || _periods.by)::interval, _periods.time_zone)
          FROM (SELECT _period_of(greatest(n.start_time, s.next), _periods.by, _periods.time_zone) AS first
                  FROM strides s
                 CROSS JOIN LATERAL (
                    SELECT p.start_time FROM _stored_paths(_periods.device_id, s.next, _periods.to_time) p
                     WHERE p.start_time >= s.next OR p.end_time > s.next
                     ORDER BY p.start_time LIMIT 1) AS n
                OFFSET 0) AS o
    )
    SELECT p.local::date,
           greatest(_period_start(p.local, _periods.time_zone), _periods.from_time),
           least(_period_start(p.local + ('1 ' || _periods.by)::interval, _periods.time_zone), _periods.to_time)
      FROM strides s
     CROSS JOIN (SELECT _period_of((SELECT least(l.end_time, _periods.to_time) FROM cached_polylines l
                                     WHERE l.device_id = _periods.device_id AND l.start_time < _periods.to_time
                                     ORDER BY l.start_time DESC LIMIT 1), _periods.by, _periods.time_zone) AS last) AS known
     CROSS JOIN LATERAL generate_series(s.first, least(s.last, known.last), ('1 ' || _periods.by)::interval) AS p (local);
END;

COMMENT ON FUNCTION _periods IS
    'days, weeks or months of a time zone in which a device may have driven, as far as they lie in the range; stable, parallel safe';

CREATE OR REPLACE FUNCTION _distances(device_ids text[], from_time timestamptz, to_time timestamptz, by text, time_zone text)
RETURNS TABLE (device_id text, period date, start_time timestamptz, end_time timestamptz,
               distance_m double precision, matched_m double precision, doubtful_m double precision,
               raw_m double precision, driving_time interval, max_speed_mps real, first_start timestamptz,
               last_stop timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT asked.device_id, p.period, p.start_time, p.end_time, d.*
      FROM (SELECT DISTINCT unnest(_distances.device_ids) AS device_id
            UNION ALL
            SELECT k.device_id FROM get_devices() k WHERE _distances.device_ids IS NULL) AS asked
     CROSS JOIN LATERAL _periods(asked.device_id, _distances.from_time, _distances.to_time, _distances.by,
                                 _distances.time_zone) p
     CROSS JOIN LATERAL _driven(asked.device_id, p.start_time, p.end_time) d
     WHERE d.first_start IS NOT NULL;
END;

COMMENT ON FUNCTION _distances IS 'the rows of get_distances() without its checks and its order; stable, parallel safe';

CREATE OR REPLACE FUNCTION _check_range(from_time timestamptz, to_time timestamptz, VARIADIC others text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF from_time IS NULL OR to_time IS NULL OR array_position(others, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'no distance without a range: an argument is null' USING ERRCODE = 'null_value_not_allowed',
            HINT = 'All times are from -infinity to infinity; only device_ids may be null, for all devices.';
    END IF;
    IF from_time > to_time THEN
        RAISE EXCEPTION 'from_time % is after to_time %', from_time, to_time
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give the begin of the range first.';
    END IF;
END
$$;

COMMENT ON FUNCTION _check_range IS 'refuses a range that is none, and other arguments that are null; immutable, parallel safe';

CREATE OR REPLACE FUNCTION get_device_distance(device_id text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE (distance_m double precision, matched_m double precision, doubtful_m double precision,
               raw_m double precision, driving_time interval, max_speed_mps real, first_start timestamptz,
               last_stop timestamptz)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._check_range(from_time, to_time, device_id);
    RETURN QUERY SELECT d.* FROM @extschema@._driven(device_id, from_time, to_time) d;
END
$$;

COMMENT ON FUNCTION get_device_distance IS
    'metres that a device drove in [from_time, to_time), for how long, how fast, from when until when, one row; stable, parallel safe';

CREATE OR REPLACE FUNCTION get_distances(device_ids text[], from_time timestamptz, to_time timestamptz, by text DEFAULT 'day',
                              time_zone text DEFAULT current_setting('TimeZone'))
RETURNS TABLE (device_id text, period date, start_time timestamptz, end_time timestamptz,
               distance_m double precision, matched_m double precision, doubtful_m double precision,
               raw_m double precision, driving_time interval, max_speed_mps real, first_start timestamptz,
               last_stop timestamptz)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
BEGIN
    PERFORM @extschema@._check_range(from_time, to_time, by, time_zone);
    IF by NOT IN ('day', 'week', 'month') THEN
        RAISE EXCEPTION 'by is "%", and must be day, week or month', by USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- A time zone that nobody knows is refused by name.
    PERFORM now() AT TIME ZONE time_zone;
    RETURN QUERY
    SELECT d.* FROM @extschema@._distances(device_ids, from_time, to_time, by, time_zone) d
     ORDER BY d.device_id, d.period;
END
$$;

COMMENT ON FUNCTION get_distances IS
    'what some devices (null: all) drove in [from_time, to_time) by day, week or month of a time zone, a row a device and period with driving; stable, parallel safe';

CREATE VIEW device_days AS
SELECT d.device_id, d.period AS day, d.start_time, d.end_time, d.distance_m, d.matched_m, d.doubtful_m, d.raw_m,
       d.driving_time, d.max_speed_mps, d.first_start, d.last_stop
  FROM _distances(NULL, '-infinity', 'infinity', 'day', current_setting('TimeZone')) d;

COMMENT ON VIEW device_days IS 'what each device drove on each day of the session''s time zone, a row a device and day with driving';

COMMENT ON COLUMN device_days.start_time IS 'when the day begins: at midnight, which need not be 24 hours before the next';

COMMENT ON COLUMN device_days.distance_m IS 'metres of all paths of the day';

COMMENT ON COLUMN device_days.matched_m IS 'metres of paths on roads, grade good';

COMMENT ON COLUMN device_days.doubtful_m IS 'metres of paths on roads, grade doubtful';

COMMENT ON COLUMN device_days.raw_m IS 'metres of paths straight through the points';

COMMENT ON COLUMN device_days.driving_time IS 'time on paths, short halts included';

COMMENT ON COLUMN device_days.max_speed_mps IS 'greatest speed in metres a second';

COMMENT ON COLUMN device_days.first_start IS 'when the first path of the day begins, or its midnight';

COMMENT ON COLUMN device_days.last_stop IS 'when the last path of the day ends, or the midnight after it';

CREATE OR REPLACE FUNCTION get_device_trips(device_id text, from_time timestamptz, to_time timestamptz,
                                 min_stop interval DEFAULT '5 min')
RETURNS TABLE (start_time timestamptz, end_time timestamptz, distance_m double precision, matched_m double precision,
               doubtful_m double precision, raw_m double precision, driving_time interval, max_speed_mps real,
               matched_share double precision, encoded_polylines text[])
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._check_range(from_time, to_time, device_id, min_stop::text);
    IF min_stop < interval '0' THEN
        RAISE EXCEPTION 'min_stop is %, and must not be negative', min_stop USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
    WITH marked AS (
        SELECT p.*, coalesce(p.start_time - lag(p.end_time) OVER earlier >= min_stop AND
                             p.start_time > lag(p.end_time) OVER earlier, true) AS begins
          FROM @extschema@._path_parts(get_device_trips.device_id, from_time, to_time) p
        WINDOW earlier AS (ORDER BY p.start_time)
    ), numbered AS (
        SELECT m.*, count(*) FILTER (WHERE m.begins) OVER (ORDER BY m.start_time) AS trip FROM marked m
    )
    SELECT min(n.start_time), max(n.end_time), sum(n.metres),
           coalesce(sum(n.metres) FILTER (WHERE n.grade = 'good'), 0),
           coalesce(sum(n.metres) FILTER (WHERE n.grade = 'doubtful'), 0),
           coalesce(sum(n.metres) FILTER (WHERE n.grade = 'raw'), 0),
           sum(n.end_time - n.start_time), max(n.max_speed_mps) FILTER (WHERE n.grade = 'good'),
           coalesce(sum(n.metres) FILTER (WHERE n.grade <> 'raw'), 0) / nullif(sum(n.metres), 0),
           @extschema@._join_lines(array_agg(n.encoded_polyline ORDER BY n.start_time),
                                   max(n.cut_before), max(n.cut_after))
      FROM numbered n
     GROUP BY n.trip
     ORDER BY 1;
END
$$;

COMMENT ON FUNCTION get_device_trips IS
    'trips of a device in [from_time, to_time), oldest first; a pause of min_stop or longer, standing or silent, parts two; stable, parallel safe';

CREATE FUNCTION _feature(device_id text, start_time timestamptz, end_time timestamptz, encoded_polyline text,
                         osrm_confidence double precision, point_count integer, match_status text, grade text,
                         reason text) RETURNS json
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_feature_wrapper';

COMMENT ON FUNCTION _feature(text, timestamptz, timestamptz, text, double precision, integer, text, text, text) IS
    'a path as a GeoJSON Feature, without coordinates if its line cannot be decoded; immutable, parallel safe';

CREATE OR REPLACE FUNCTION get_paths_geojson(device_ids text[], from_time timestamptz, to_time timestamptz)
RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object('type', 'FeatureCollection',
                             'features', coalesce(json_agg(
                                 _feature(p.device_id, p.start_time, p.end_time, p.encoded_polyline,
                                          p.osrm_confidence, p.point_count, p.match_status, p.grade, p.reason)), '[]'))
      FROM get_paths_between(get_paths_geojson.device_ids, get_paths_geojson.from_time,
                             get_paths_geojson.to_time) p;
END;

CREATE OR REPLACE FUNCTION get_device_geojson(device_id text, hours numeric DEFAULT 24, tail boolean DEFAULT false)
RETURNS json
LANGUAGE sql STABLE PARALLEL UNSAFE
BEGIN ATOMIC
    SELECT json_build_object('type', 'FeatureCollection',
                             'features', coalesce(json_agg(
                                 _feature(p.device_id, p.start_time, p.end_time, p.encoded_polyline,
                                          p.osrm_confidence, p.point_count, p.match_status, p.grade, p.reason)
                                 ORDER BY p.start_time), '[]'))
      FROM (SELECT d.* FROM get_device_paths(get_device_geojson.device_id, get_device_geojson.hours) d
            UNION ALL
            SELECT t.* FROM get_device_tail(get_device_geojson.device_id) t WHERE get_device_geojson.tail) AS p;
END;

DROP FUNCTION _feature(device_path);

CREATE OR REPLACE FUNCTION _window_paths(device_id text, window_start timestamptz, window_end timestamptz)
RETURNS SETOF device_path
LANGUAGE sql STABLE PARALLEL SAFE ROWS 2
BEGIN ATOMIC
    SELECT p.device_id, p.start_time, p.end_time, p.encoded_polyline, p.osrm_confidence, p.point_count,
           p.match_status, p.grade, p.reason
      FROM cached_polylines p
     WHERE p.device_id = _window_paths.device_id
       AND p.start_time >= _window_paths.window_start AND p.start_time < _window_paths.window_end
     ORDER BY p.start_time;
END;

DROP ROUTINE _paths;

CREATE FUNCTION get_changes(since timestamptz, device_ids text[] DEFAULT NULL)
RETURNS TABLE (device_id text, window_start timestamptz, window_end timestamptz, changed_at timestamptz,
               start_time timestamptz, end_time timestamptz, encoded_polyline text,
               osrm_confidence double precision, point_count integer, match_status text, grade text,
               reason text)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT w.device_id, w.start_time, w.end_time, w.processing_completed_at,
           p.start_time, p.end_time, p.encoded_polyline, p.osrm_confidence, p.point_count, p.match_status, p.grade,
           p.reason
      FROM _changed_windows(get_changes.since, get_changes.device_ids) w
      LEFT JOIN LATERAL _window_paths(w.device_id, w.start_time, w.end_time) p ON true
     ORDER BY w.device_id, w.start_time, p.start_time;
END;

COMMENT ON FUNCTION get_changes IS
    'windows of some devices (null: all) whose outcome was committed since a moment, a row a path; path columns are null where a window holds none; stable, parallel safe';

-- What a standby that is behind shows is as old as what it has replayed. To it that is the present: what it catches up with
-- all at once bears times that are over by then.
CREATE FUNCTION _shown_until() RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(CASE WHEN pg_is_in_recovery() THEN pg_last_xact_replay_timestamp() END, now());
COMMENT ON FUNCTION _shown_until IS
    'until when this server knows what was committed: now, or on a standby the time of what was replayed last; stable, parallel safe';

CREATE OR REPLACE FUNCTION _changed_windows(since timestamptz, device_ids text[]) RETURNS SETOF processing_batches
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    early timestamptz := CASE WHEN since IS NOT NULL THEN least(since, @extschema@._shown_until()) END - interval '2 min';
    next_xid xid8 := pg_snapshot_xmax(pg_current_snapshot());
    before record;
BEGIN
    SELECT r.xid, r.snapshot INTO before
      FROM @extschema@.worker_runs r
     WHERE r.started_at <= early AND r.finished_at <= early AND r.xid < next_xid
     ORDER BY r.started_at DESC LIMIT 1;
    IF FOUND THEN
        RETURN QUERY
        SELECT b.* FROM @extschema@.processing_batches b
         WHERE b.outcome_xid >= pg_snapshot_xmin(before.snapshot)
           AND (b.outcome_xid < next_xid OR b.processing_completed_at >= now())
           AND (b.outcome_xid = before.xid OR NOT pg_visible_in_snapshot(b.outcome_xid, before.snapshot))
           AND (device_ids IS NULL OR b.device_id = ANY (device_ids));
    ELSE
        RETURN QUERY
        SELECT b.* FROM @extschema@.processing_batches b
         WHERE b.processing_completed_at >= early
           AND (device_ids IS NULL OR b.device_id = ANY (device_ids));
    END IF;
END
$$;
CREATE OR REPLACE FUNCTION get_page_changes(since timestamptz, device_ids text[] DEFAULT NULL) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object(
               'since', greatest(max(w.processing_completed_at),
                                 CASE WHEN get_page_changes.since IS NOT NULL
                                      THEN least(get_page_changes.since, _shown_until()) END),
               'windows', coalesce(json_agg(json_build_object(
                              'device', w.device_id, 'start_time', w.start_time, 'end_time', w.end_time,
                              'paths', _known_json(concat('[', held.paths, ']')))
                              ORDER BY w.device_id, w.start_time), '[]'))
      FROM _changed_windows(get_page_changes.since, get_page_changes.device_ids) w
     CROSS JOIN LATERAL (
            SELECT _paths_json(p.start_time, p.end_time, p.encoded_polyline, p.osrm_confidence, p.point_count,
                               p.match_status, p.grade, p.reason) AS paths
              FROM _window_paths(w.device_id, w.start_time, w.end_time) p) AS held;
END;

DROP FUNCTION _path_json(device_path);
DROP FUNCTION _path_json(timestamptz, timestamptz, text, double precision, integer, text, text);

CREATE OR REPLACE FUNCTION _batch_devices() RETURNS TABLE (device_id text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1000
BEGIN ATOMIC
    WITH RECURSIVE known AS (
        (SELECT b.device_id FROM processing_batches b ORDER BY b.device_id LIMIT 1)
        UNION ALL
        SELECT (SELECT b.device_id FROM processing_batches b
                 WHERE b.device_id > k.device_id ORDER BY b.device_id LIMIT 1)
          FROM known k
         WHERE k.device_id IS NOT NULL
    )
    SELECT k.device_id FROM known k WHERE k.device_id IS NOT NULL;
END;

COMMENT ON FUNCTION _batch_devices IS 'devices that a window was ever matched of, in alphabetical order; stable, parallel safe';

CREATE FUNCTION _device_lots() RETURNS SETOF text[]
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT array_agg(n.device_id ORDER BY n.device_id)
      FROM (SELECT d.device_id, (row_number() OVER (ORDER BY d.device_id) - 1) / 500 AS lot FROM _batch_devices() d) AS n
     GROUP BY n.lot
     ORDER BY n.lot;
END;
COMMENT ON FUNCTION _device_lots IS 'devices that a window was ever matched of, 500 at a time; stable, parallel safe';

CREATE FUNCTION _known_devices() RETURNS TABLE (device_id text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1000
BEGIN ATOMIC
    SELECT d.device_id FROM _batch_devices() d UNION SELECT d.device_id FROM get_devices() d;
END;
COMMENT ON FUNCTION _known_devices IS
    'devices that have paths or that a window was ever matched of, those that have only stood included; stable, parallel safe';

CREATE OR REPLACE FUNCTION get_device_positions(device_ids text[] DEFAULT NULL)
RETURNS TABLE (device_id text, "time" timestamptz, longitude double precision, latitude double precision, standing boolean)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1000
BEGIN ATOMIC
    WITH RECURSIVE last_paths AS (
        (SELECT c.device_id, c.start_time, c.end_time, c.encoded_polyline FROM cached_polylines c
          WHERE get_device_positions.device_ids IS NULL
          ORDER BY c.device_id DESC, c.start_time DESC LIMIT 1)
        UNION ALL
        SELECT one_before.* FROM last_paths l
         CROSS JOIN LATERAL (SELECT c.device_id, c.start_time, c.end_time, c.encoded_polyline FROM cached_polylines c
                              WHERE c.device_id < l.device_id ORDER BY c.device_id DESC, c.start_time DESC LIMIT 1) one_before
    ), last_stops AS (
        (SELECT s.device_id, s.start_time, s.end_time, s.longitude, s.latitude FROM stops s
          WHERE get_device_positions.device_ids IS NULL
          ORDER BY s.device_id DESC, s.start_time DESC LIMIT 1)
        UNION ALL
        SELECT one_before.* FROM last_stops l
         CROSS JOIN LATERAL (SELECT s.device_id, s.start_time, s.end_time, s.longitude, s.latitude FROM stops s
                              WHERE s.device_id < l.device_id ORDER BY s.device_id DESC, s.start_time DESC LIMIT 1) one_before
    ), one_by_one AS (
        SELECT unnest(get_device_positions.device_ids) AS device_id
        UNION
        SELECT l.device_id FROM last_paths l WHERE l.start_time >= now() + interval '1 hour'
        UNION
        SELECT l.device_id FROM last_stops l WHERE l.start_time >= now() + interval '1 hour'
    ), found AS (
        SELECT l.device_id, l.end_time, _line_end(l.encoded_polyline) AS place, false AS standing
          FROM last_paths l WHERE l.start_time < now() + interval '1 hour'
        UNION ALL
        SELECT l.device_id, l.end_time, ARRAY[l.longitude, l.latitude], true
          FROM last_stops l WHERE l.start_time < now() + interval '1 hour'
        UNION ALL
        SELECT o.device_id, p.end_time, _line_end(p.encoded_polyline), false FROM one_by_one o
         CROSS JOIN LATERAL (SELECT c.end_time, c.encoded_polyline FROM cached_polylines c
                              WHERE c.device_id = o.device_id AND c.start_time < now() + interval '1 hour'
                              ORDER BY c.start_time DESC LIMIT 1) p
        UNION ALL
        SELECT o.device_id, p.end_time, ARRAY[p.longitude, p.latitude], true FROM one_by_one o
         CROSS JOIN LATERAL (SELECT s.end_time, s.longitude, s.latitude FROM stops s
                              WHERE s.device_id = o.device_id AND s.start_time < now() + interval '1 hour'
                              ORDER BY s.start_time DESC LIMIT 1) p
    )
    SELECT DISTINCT ON (f.device_id) f.device_id, f.end_time, f.place[1], f.place[2], f.standing
      FROM found f WHERE f.place IS NOT NULL
     ORDER BY f.device_id, f.end_time DESC, f.standing;
END;

COMMENT ON FUNCTION get_device_positions IS
    'where some devices (null: all) were last as paths and stops know it, and whether they stood; stable, parallel safe';

CREATE OR REPLACE FUNCTION get_device_fixes(device_id text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE ("time" timestamptz, longitude double precision, latitude double precision)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER ROWS 10000
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most constant integer := 100000;
    source record;
BEGIN
    RETURN QUERY
    WITH found AS (
        (SELECT p.recorded_at, p.longitude, p.latitude
           FROM @extschema@.gps_coordinates p
          WHERE p.device_id = get_device_fixes.device_id AND p.recorded_at >= from_time AND p.recorded_at < to_time
          ORDER BY p.recorded_at
          LIMIT most)
        UNION ALL
        SELECT q.at, q.lon, q.lat
          FROM @extschema@._sources(get_device_fixes.device_id) s
         CROSS JOIN LATERAL json_to_recordset(@extschema@._ask_source(
            s.fragments,
            'SELECT {time_expression} AS at, ({longitude})::double precision AS lon, ({latitude})::double precision AS lat
               FROM {relation} p
              WHERE p.{device} = {named:$1} AND {since:$2} AND {until:$3}
              ORDER BY p.{time} LIMIT $5', get_device_fixes.device_id, from_time, to_time, most, true))
            AS q (at timestamptz, lon double precision, lat double precision)
         WHERE s.ordinal > 0)
    SELECT f.recorded_at, f.longitude, f.latitude
      FROM found f
     WHERE f.longitude BETWEEN -180 AND 180 AND f.latitude BETWEEN -90 AND 90
     ORDER BY f.recorded_at
     LIMIT most;
END
$$;

COMMENT ON FUNCTION get_device_fixes IS
    'what a device''s receiver said in [from_time, to_time), oldest first, at most a hundred thousand; stable, parallel unsafe, a null argument gives no rows';

CREATE OR REPLACE FUNCTION _map_file() RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN (SELECT c.setting || '/extension/osrm_matcher_map.html' FROM pg_config() c WHERE c.name = 'SHAREDIR');

COMMENT ON FUNCTION _map_file IS 'where the map page lies on the server; stable';

CREATE OR REPLACE FUNCTION _map_template() RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    file text := @extschema@._map_file();
    template text := pg_read_file(file, 0, 16 * 1024 * 1024, true);
BEGIN
    IF template IS NULL THEN
        RAISE EXCEPTION 'reading the map page: there is no file "%"', file
            USING ERRCODE = 'undefined_file',
                  HINT = 'It is made where Leaflet is (on Debian: libjs-leaflet) when the extension is built: install that, then build and install again.';
    END IF;
    RETURN template;
END
$$;

COMMENT ON FUNCTION _map_template IS 'the map page without data; stable';

CREATE OR REPLACE FUNCTION get_map_page(device_id text DEFAULT NULL, from_time timestamptz DEFAULT NULL,
                             to_time timestamptz DEFAULT NULL, fixes boolean DEFAULT false, options json DEFAULT '{}')
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given json;
BEGIN
    IF device_id IS NULL THEN
        given := json_build_object('options', options);
    ELSE
        to_time := coalesce(to_time, now());
        from_time := coalesce(from_time, to_time - interval '24 hours');
        given := json_build_object(
            'options', options,
            'day', json_build_object(
                'device', device_id, 'from_time', from_time, 'to_time', to_time, 'made_at', now(),
                'page', @extschema@._device_page(device_id, from_time, to_time, true),
                'stops', (SELECT coalesce(json_agg(s), '[]')
                            FROM @extschema@.get_device_stops(get_map_page.device_id, from_time, to_time) s),
                'fixes', CASE WHEN fixes THEN (
                    SELECT coalesce(json_agg(f), '[]')
                      FROM @extschema@.get_device_fixes(get_map_page.device_id, from_time, to_time) f) END));
    END IF;
    -- Within a script, the only letter that can end it is written as JSON may, too: after a backslash, whatever
    -- standard_conforming_strings makes of one.
    RETURN replace(@extschema@._map_template(), '{"nothing": "is given"}', replace(given::text, '<', E'\\u003c'));
END
$$;

COMMENT ON FUNCTION get_map_page IS
    'a map as one HTML text: with a device''s paths, stops and perhaps fixes of [from_time, to_time) inside it, or, without a device, the live page; stable, parallel unsafe';

CREATE OR REPLACE FUNCTION "make_batches"(
	"max_windows" INT DEFAULT 1000 
) RETURNS bigint 
VOLATILE SECURITY DEFINER PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c 
AS 'MODULE_PATHNAME', 'make_batches_wrapper';

CREATE OR REPLACE FUNCTION "match_batches"(
	"batch_ids" uuid[] 
) RETURNS TABLE (
	"windows_completed" INT,  
	"windows_failed" INT,  
	"windows_deferred" INT,  
	"points" bigint,  
	"rejected" bigint,  
	"paths" INT,  
	"osrm_calls" INT,  
	"duration_ms" INT,  
	"osrm_error" TEXT  
)
STRICT VOLATILE SECURITY DEFINER PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c 
AS 'MODULE_PATHNAME', 'match_batches_wrapper';

CREATE OR REPLACE FUNCTION "osrm_health"() RETURNS TABLE (
	"reachable" bool,  
	"round_trip_ms" double precision,  
	"data_version" TEXT,  
	"max_matching_size" INT,  
	"problem" TEXT,  
	"advice" TEXT,  
	"server" TEXT,  
	"osrm_group" TEXT  
)
STRICT VOLATILE SECURITY DEFINER PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c 
AS 'MODULE_PATHNAME', 'osrm_health_wrapper';
COMMENT ON FUNCTION osrm_health() IS
    'asks each OSRM server for a sign of life; says how long it took and of what date its map is, or what is wrong and what to do';

CREATE OR REPLACE FUNCTION "process_pending_gps"(
	"max_windows" INT DEFAULT 500, 
	"max_seconds" INT DEFAULT 30 
) RETURNS TABLE (
	"windows_completed" INT,  
	"windows_failed" INT,  
	"windows_deferred" INT,  
	"points" bigint,  
	"rejected" bigint,  
	"paths" INT,  
	"osrm_calls" INT,  
	"duration_ms" INT,  
	"osrm_error" TEXT  
)
VOLATILE SECURITY DEFINER PARALLEL UNSAFE
SET search_path TO pg_catalog, pg_temp
LANGUAGE c 
AS 'MODULE_PATHNAME', 'process_pending_gps_wrapper';

CREATE OR REPLACE PROCEDURE process_pending(max_seconds integer DEFAULT 50, windows_per_round integer DEFAULT 500,
                                 every interval DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
    until  pg_catalog.timestamptz :=
        pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+)
        pg_catalog.make_interval(secs => max_seconds);
    look   pg_catalog.timestamptz := pg_catalog.clock_timestamp();
    run_id pg_catalog.int8;
    more   pg_catalog.bool := true;
    left_s pg_catalog.int4;
    -- What statement_timeout would end ends by itself before: a round begins windows for a third of that, or two seconds.
    may_last pg_catalog.interval := pg_catalog.current_setting('statement_timeout');
    spare    pg_catalog.interval :=
        least(may_last OPERATOR(pg_catalog./) 2, pg_catalog.make_interval(secs => 3));
BEGIN
    PERFORM @extschema@._require_commits('process_pending()', 'SELECT * FROM @extschema@.process_pending_gps();');
    IF every OPERATOR(pg_catalog.<) pg_catalog.make_interval(secs => 1) THEN
        RAISE EXCEPTION 'a run cannot look for new points every %', every
            USING ERRCODE = 'invalid_parameter_value', HINT = 'A second is the least; null looks once.';
    END IF;
    IF pg_catalog.pg_is_in_recovery() THEN
        RAISE NOTICE 'nothing done: this server is a standby';
        RETURN;
    END IF;
    IF may_last OPERATOR(pg_catalog.>) pg_catalog.make_interval() THEN
        until := least(until, pg_catalog.statement_timestamp() OPERATOR(pg_catalog.+)
                              (may_last OPERATOR(pg_catalog.-) spare));
    END IF;
    -- Workers that share the work see what the others have committed, whatever the default is; CHAIN keeps it so.
    IF pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed' THEN
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    END IF;
    LOOP
        left_s := pg_catalog.ceil(pg_catalog.date_part('epoch',
            until OPERATOR(pg_catalog.-) pg_catalog.clock_timestamp()));
        EXIT WHEN left_s OPERATOR(pg_catalog.<=) 0;
        IF more THEN
            SELECT r.run_id, r.more INTO run_id, more
              FROM @extschema@._process_round(run_id, windows_per_round, left_s) AS r;
        ELSE
            look := look OPERATOR(pg_catalog.+) every;
            EXIT WHEN every IS NULL OR look OPERATOR(pg_catalog.>=) until;
            -- Until the next look no transaction is open for longer than the wait for it.
            PERFORM pg_catalog.pg_sleep_until(look);
            look := greatest(look, pg_catalog.clock_timestamp());
            run_id := NULL;
            more := true;
        END IF;
        COMMIT AND CHAIN;
    END LOOP;
END
$$;

COMMENT ON PROCEDURE process_pending(integer, integer, interval) IS
    'processes what is pending in rounds, with a commit after each, until nothing is left or max_seconds have passed, and looks again so often; what a schedule should call';

CREATE FUNCTION _cron_workers()
RETURNS TABLE (job_id bigint, number integer, active boolean, role text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF @extschema@._cron_is_here() THEN
        RETURN QUERY EXECUTE
            'SELECT j.jobid, coalesce(substring(j.jobname FROM ''[0-9]+$'')::integer, 1), j.active, j.username
               FROM cron.job j
              WHERE j.jobname ~ ''^osrm_matcher(_[0-9]{1,2})?$'' AND j.database = current_database()';
    END IF;
END
$$;
COMMENT ON FUNCTION _cron_workers IS 'the jobs of pg_cron that call the worker, each with its number and whose it is; stable';

CREATE FUNCTION _end_job(job_id bigint, role text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF role <> current_user AND NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) THEN
        RAISE WARNING 'job % of pg_cron goes on: it is role %''s', job_id, role
            USING HINT = format('As that role, or as a superuser: SELECT cron.unschedule(%s);', job_id);
        RETURN false;
    END IF;
    EXECUTE 'SELECT cron.unschedule($1)' USING job_id;
    RETURN true;
END
$$;
COMMENT ON FUNCTION _end_job IS
    'takes a job off pg_cron''s schedule if it is the caller''s, or the caller a superuser; a warning and false if not; volatile';

CREATE FUNCTION _schedule_jobs(job_names text[], schedule text, command text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    there text := 'cron.schedule_in_database(%L, %L, %L, %L)';
    job_name text;
    taken record;
    job bigint;
    first_job bigint;
BEGIN
    IF schedule IS NULL THEN
        RAISE EXCEPTION 'there is no schedule to set: it is null'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Give one such as ''* * * * *''. To end one: unschedule_processing(), unschedule_upkeep().';
    END IF;
    PERFORM @extschema@._require_cron((
        SELECT format('SELECT %s;', string_agg(format(there, n || '@' || current_database(), schedule, command, current_database()), ', '))
          FROM unnest(job_names) n));
    FOREACH job_name IN ARRAY job_names LOOP
        EXECUTE 'SELECT * FROM cron.job j WHERE j.jobname = $1 AND j.username = current_user AND j.database <> current_database()'
           INTO taken USING job_name;
        -- A database that is gone is this one under its old name, or was here before it: nothing runs there any more.
        IF taken.jobid IS NOT NULL AND NOT EXISTS (SELECT FROM pg_database d WHERE d.datname = taken.database) THEN
            PERFORM @extschema@._end_job(taken.jobid, taken.username);
        ELSIF taken.jobid IS NOT NULL THEN
            RAISE EXCEPTION 'pg_cron has a job "%" already, which is one of database "%"', job_name, taken.database
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      HINT = format('Give that a name of its own, then try again: SELECT cron.unschedule(%s), %s;', taken.jobid,
                                    format(there, job_name || '@' || taken.database, taken.schedule, taken.command, taken.database));
        END IF;
        PERFORM @extschema@._end_job(j.job_id, j.role) FROM @extschema@._cron_job(job_name) j WHERE j.role <> current_user;
        EXECUTE 'SELECT cron.schedule($1, $2, $3)' INTO job USING job_name, schedule, command;
        first_job := coalesce(first_job, job);
    END LOOP;
    RETURN first_job;
END
$$;
COMMENT ON FUNCTION _schedule_jobs IS
    'lets pg_cron run a command by jobs of these names in this database; called again, it changes them; returns the id of the first; volatile';

CREATE FUNCTION _cron_job(job_name text)
RETURNS TABLE (job_id bigint, schedule text, active boolean, role text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF @extschema@._cron_is_here() THEN
        RETURN QUERY EXECUTE
            'SELECT j.jobid, j.schedule, j.active, j.username FROM cron.job j
              WHERE j.jobname = $1 AND j.database = current_database() ORDER BY j.jobid'
            USING job_name;
    END IF;
END
$$;
COMMENT ON FUNCTION _cron_job IS 'a job of pg_cron by its name; stable';

CREATE FUNCTION _upkeep_alerts()
RETURNS TABLE (severity text, problem text, message text, hint text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT 'warning', a.problem, a.message, a.hint
      FROM _cron_job('osrm_matcher_upkeep') j
     CROSS JOIN LATERAL _last_cron_run(j.job_id) r
     CROSS JOIN LATERAL (VALUES
        -- What could not begin, as where no connection was left, has no time.
        (r.failed, 'upkeep_failed',
         format('upkeep failed%s: %s', ' ' || date_trunc('second', now() - r.began) || ' ago', r.message),
         format('Mend that; the next upkeep tries again (%s).', j.schedule)),
        (_next_run(j.schedule, r.began) < now() - interval '1 day', 'upkeep_not_running',
         format('the last upkeep began %s ago', date_trunc('second', now() - r.began)),
         CASE WHEN j.active THEN 'Look at cron.job_run_details for the reason.'
              ELSE format('SELECT cron.alter_job(%s, active => true);', j.job_id) END)) AS a (so, problem, message, hint)
     WHERE a.so;
END;
COMMENT ON FUNCTION _upkeep_alerts IS
    'whether the last scheduled upkeep failed, or the next is a day overdue, as far as pg_cron knows; stable';

CREATE FUNCTION _require_cron(there text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    home text := current_setting('cron.database_name', true);
BEGIN
    IF @extschema@._cron_is_here() THEN
        RETURN;
    END IF;
    RAISE EXCEPTION 'pg_cron is not installed in database "%"', current_database()
        USING ERRCODE = 'object_not_in_prerequisite_state',
              DETAIL = CASE
                  WHEN home IS NULL THEN 'pg_cron is not loaded: shared_preload_libraries does not name it.'
                  ELSE format('pg_cron keeps its jobs in database "%s".', home) END,
              HINT = CASE
                  WHEN home IS NULL THEN 'Add pg_cron to shared_preload_libraries, set cron.database_name, restart, then CREATE EXTENSION pg_cron.'
                  WHEN home = current_database() THEN 'CREATE EXTENSION pg_cron.'
                  ELSE format('In database "%s": %s', home, there) END;
END
$$;
COMMENT ON FUNCTION _require_cron IS
    'raises object_not_in_prerequisite_state, with what to do, where pg_cron is missing, or lives in another database: then the statement to run there; stable';

CREATE FUNCTION schedule_processing(schedule text DEFAULT '* * * * *', every interval DEFAULT NULL,
                                    workers integer DEFAULT 1) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- A CALL that commits must be the only statement of its job. One that looks again does so to the end of its
    -- minute. What is one worker's round is that of several together, so that none has all.
    command text := format('CALL @extschema@.process_pending(%s)', concat_ws(', ',
        '58, every => ' || quote_literal(every),
        CASE WHEN workers > 1 THEN 'windows_per_round => ' || greatest(500 / workers, 50) END));
    -- In a new session of this role, as pg_cron's is.
    may_last interval := (SELECT s.reset_val::bigint * interval '1 ms' FROM pg_settings s WHERE s.name = 'statement_timeout');
    first_job bigint;
BEGIN
    IF every < interval '1 s' THEN
        RAISE EXCEPTION 'a run cannot look for new points every %', every
            USING ERRCODE = 'invalid_parameter_value', HINT = 'A second is the least; null looks once.';
    END IF;
    IF workers IS NULL OR workers NOT BETWEEN 1 AND 64 THEN
        RAISE EXCEPTION 'cannot schedule % workers', coalesce(workers::text, 'null')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give a number from 1 to 64.';
    END IF;
    first_job := @extschema@._schedule_jobs(
        ARRAY(SELECT 'osrm_matcher' || CASE WHEN n > 1 THEN '_' || n ELSE '' END FROM generate_series(1, workers) n), schedule, command);
    PERFORM @extschema@._unschedule_workers(workers);
    IF every IS NOT NULL AND may_last BETWEEN interval '1 ms' AND interval '1 min' THEN
        RAISE WARNING 'in each minute, new points are looked for until shortly before statement_timeout, which is %', may_last
            USING HINT = format('ALTER ROLE %I IN DATABASE %I SET statement_timeout = 0;', current_user, current_database());
    END IF;
    RETURN first_job;
END
$$;
COMMENT ON FUNCTION schedule_processing(text, interval, integer) IS
    'lets pg_cron call process_pending, every minute unless told otherwise, so many times at once, and each call look again so often; called again, it changes the schedule; returns the id of the first worker''s job';

CREATE FUNCTION _unschedule_workers(but integer) RETURNS bigint
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT count(*) FILTER (WHERE e.ended)
      FROM (SELECT _end_job(w.job_id, w.role) AS ended FROM _cron_workers() w WHERE w.number > _unschedule_workers.but) e;
END;
COMMENT ON FUNCTION _unschedule_workers IS
    'takes all workers but the first so many off pg_cron''s schedule, as _end_job() does; returns how many; volatile';

CREATE OR REPLACE FUNCTION unschedule_processing() RETURNS boolean
LANGUAGE sql VOLATILE
RETURN _unschedule_workers(0) > 0;
COMMENT ON FUNCTION unschedule_processing() IS
    'takes processing, with all its workers, off pg_cron''s schedule; false if it was not on it';

CREATE OR REPLACE FUNCTION unschedule_upkeep() RETURNS boolean
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT count(*) FILTER (WHERE e.ended) > 0
      FROM (SELECT _end_job(j.job_id, j.role) AS ended FROM _cron_job('osrm_matcher_upkeep') j) e;
END;
COMMENT ON FUNCTION unschedule_upkeep IS 'takes upkeep off pg_cron''s schedule; false if it was not on it; volatile';

CREATE OR REPLACE FUNCTION schedule_upkeep(schedule text DEFAULT '17 3 * * *', command text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN @extschema@._schedule_jobs(ARRAY['osrm_matcher_upkeep'], schedule, coalesce(command, 'CALL @extschema@.upkeep()'));
END
$$;
COMMENT ON FUNCTION schedule_upkeep IS
    'lets pg_cron call upkeep(), or another command, by a schedule (UTC); called again, it changes the schedule; volatile';

-- Another database cannot see what is logged of its jobs (see _schedule_jobs()): whoever can shortens that, too.
CREATE OR REPLACE FUNCTION _trim_cron_log() RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    deleted bigint := 0;
BEGIN
    IF @extschema@._cron_is_here() THEN
        EXECUTE 'DELETE FROM cron.job_run_details d
                  WHERE d.end_time < now() - interval ''1 day''
                    AND (d.jobid IN (SELECT j.jobid FROM cron.job j WHERE j.jobname ~ ''^osrm_matcher(_[0-9]{1,2}|_upkeep)?(@.+)?$'')
                         OR d.command IN ($1, $2))'
          USING 'CALL @extschema@.process_pending()', 'CALL @extschema@.upkeep()';
        GET DIAGNOSTICS deleted = ROW_COUNT;
    END IF;
    RETURN deleted;
END
$$;
COMMENT ON FUNCTION _trim_cron_log IS 'deletes what pg_cron logged of this extension''s jobs, of whatever database, more than a day ago; volatile';

CREATE OR REPLACE FUNCTION _functions(names text[]) RETURNS TABLE (signature text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE p.prokind WHEN 'p' THEN 'PROCEDURE ' ELSE 'FUNCTION ' END || p.oid::regprocedure
      FROM pg_proc p
      JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
      JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
                         AND e.extname = 'osrm_matcher'
     WHERE _functions.names IS NULL OR p.proname = ANY (_functions.names)
     ORDER BY 1;
END;

CREATE OR REPLACE FUNCTION _rights(kind text, OUT functions text[], OUT relations text[])
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT r.functions, r.relations
      FROM (VALUES
        ('reader',
         '{get_device_paths,get_paths_between,get_fleet_paths,get_devices,get_device_tail,get_device_stops,get_path_points,get_device_distance,get_distances,get_device_trips,get_device_page,get_device_page_between,get_fleet_page,get_device_geojson,get_paths_geojson,holds_device,get_changes,get_page_changes,get_device_positions,get_device_fixes,get_map_page,note_read,_stored_paths,_stops_of,_changed_windows,_shown_until,_window_paths,_max_gap,_look_back,_oldest_waiting,_waiting_points,_device_page,_fleet_json,_feature,_paths_json,_page_json,_known_json,_batch_devices,_known_devices,_map_template,_path_parts,_driven,_periods,_period_of,_period_start,_distances,_check_range,_line_length,_line_end,_join_lines,encode_polyline,decode_polyline}'::text[],
         '{cached_polylines,stops,processing_batches,device_days}'::text[]),
        ('worker',
         '{process_pending_gps,process_pending,_process_round,_require_commits,make_batches,claim_batches,match_batches}', '{}'),
        ('monitor',
         '{worker_status,worker_alerts,osrm_health,get_osrm_servers,get_osrm_groups,storage_advice,get_jobs,_cache_performance}',
         '{worker_health,cache_performance,matching_jobs,processing_batches,worker_runs}'))
        AS r (kind, functions, relations)
     WHERE r.kind = _rights.kind;
END;
COMMENT ON FUNCTION _rights IS 'functions and relations of a kind of role; immutable';

CREATE FUNCTION _rights_of_no_other(role name, kind text, OUT functions text[], OUT relations text[])
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH other AS (
        SELECT o.functions, o.relations
          FROM (VALUES ('reader'), ('worker'), ('monitor')) AS k (kind)
         CROSS JOIN LATERAL _rights(k.kind) o
         CROSS JOIN LATERAL _rights(_rights_of_no_other.kind) r
         WHERE EXISTS (SELECT FROM pg_proc p
                        CROSS JOIN LATERAL aclexplode(p.proacl) a
                         JOIN pg_roles w ON w.oid = a.grantee AND w.rolname = _rights_of_no_other.role
                        WHERE p.pronamespace = '@extschema@'::regnamespace AND p.proname = ANY (o.functions)
                          AND p.proname <> ALL (r.functions)))
    SELECT ARRAY(SELECT unnest(r.functions) EXCEPT SELECT unnest(o.functions) FROM other o),
           ARRAY(SELECT unnest(r.relations) EXCEPT SELECT unnest(o.relations) FROM other o)
      FROM _rights(_rights_of_no_other.kind) r;
END;
COMMENT ON FUNCTION _rights_of_no_other IS
    'functions and relations of a kind of role, without those that a role needs as one of another kind; stable';

CREATE OR REPLACE FUNCTION grant_reader(role name) RETURNS void LANGUAGE sql VOLATILE STRICT
BEGIN ATOMIC
    SELECT _grant(grant_reader.role, r.functions, r.relations, true) FROM _rights('reader') r;
END;

COMMENT ON FUNCTION grant_reader IS
    'lets a role read paths, stops, pages, kilometres and trips, and the newest points of a device as its tail, and no more; volatile, strict';

CREATE OR REPLACE FUNCTION revoke_reader(role name) RETURNS void LANGUAGE sql VOLATILE STRICT
BEGIN ATOMIC
    SELECT _grant(revoke_reader.role, r.functions, r.relations, false) FROM _rights_of_no_other(revoke_reader.role, 'reader') r;
END;

CREATE OR REPLACE FUNCTION _grant_writing(role name, give boolean) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    form text := CASE WHEN give THEN 'GRANT %s ON %s TO %I' ELSE 'REVOKE %s ON %s FROM %I' END;
BEGIN
    PERFORM @extschema@._grant(role, '{}', '{}', give);
    EXECUTE format(form, 'INSERT', '@extschema@.gps_coordinates', role);
    EXECUTE format(form, 'USAGE', 'SEQUENCE @extschema@.gps_coordinates_id_seq', role);
END
$$;

COMMENT ON FUNCTION _grant_writing IS 'grants or revokes inserting of points; volatile';

CREATE OR REPLACE FUNCTION grant_writer(role name) RETURNS void LANGUAGE sql VOLATILE STRICT
BEGIN ATOMIC
    SELECT _grant_writing(grant_writer.role, true);
END;

COMMENT ON FUNCTION grant_writer IS
    'lets a role, such as that of a listener, insert points, and no more: it can read nothing; volatile, strict';

CREATE OR REPLACE FUNCTION revoke_writer(role name) RETURNS void LANGUAGE sql VOLATILE STRICT
BEGIN ATOMIC
    SELECT _grant_writing(revoke_writer.role, false);
END;

COMMENT ON FUNCTION revoke_writer IS 'takes back what grant_writer() gave; volatile, strict';

CREATE OR REPLACE FUNCTION grant_worker(role name) RETURNS void LANGUAGE sql VOLATILE STRICT
BEGIN ATOMIC
    SELECT _grant(grant_worker.role, r.functions, r.relations, true) FROM _rights('worker') r;
END;

CREATE OR REPLACE FUNCTION revoke_worker(role name) RETURNS void LANGUAGE sql VOLATILE STRICT
BEGIN ATOMIC
    SELECT _grant(revoke_worker.role, r.functions, r.relations, false) FROM _rights_of_no_other(revoke_worker.role, 'worker') r;
END;

CREATE OR REPLACE FUNCTION grant_monitor(role name) RETURNS void LANGUAGE sql VOLATILE STRICT
BEGIN ATOMIC
    SELECT _grant(grant_monitor.role, r.functions, r.relations, true) FROM _rights('monitor') r;
END;

CREATE OR REPLACE FUNCTION revoke_monitor(role name) RETURNS void LANGUAGE sql VOLATILE STRICT
BEGIN ATOMIC
    SELECT _grant(revoke_monitor.role, r.functions, r.relations, false) FROM _rights_of_no_other(revoke_monitor.role, 'monitor') r;
END;

DROP ROUTINE _device_key;

-- Adopted tables get the index that finds new points by their time; that of a large one is made by hand.
DO $$
DECLARE
    source @extschema@.adopted_sources;
    missing text;
BEGIN
    FOR source IN SELECT a.* FROM @extschema@.adopted_sources a JOIN pg_class c ON c.oid = a.relation LOOP
        source.added := source.added[1:1] || @extschema@._index_name(source.relation, '_osrm_waiting') || source.added[2:];
        UPDATE @extschema@.adopted_sources a SET added = source.added WHERE a.relation = source.relation;
        source.ready := pg_relation_size(source.relation) <= 4 * 1024 * 1024;
        SELECT s.statement INTO missing
          FROM @extschema@._adoption_steps(source) s WHERE s.statement LIKE '%processed::int = 0%';
        IF source.ready THEN
            EXECUTE missing;
        ELSE
            RAISE WARNING 'table % lacks an index, and each search for new points reads all of it until you run: %',
                source.relation, missing;
        END IF;
    END LOOP;
END
$$;

-- Polylines are nobody's secret; all else is the owner's until granted.
DO $$
DECLARE
    item text;
BEGIN
    FOR item IN
        SELECT f.signature FROM @extschema@._functions(NULL) f
         WHERE f.signature !~ '(encode|decode)_polyline'
    LOOP
        EXECUTE 'REVOKE ALL ON ' || item || ' FROM PUBLIC';
    END LOOP;
END
$$;

-- What a version of an extension grants is left out of dumps: the owner grants it.
DO $$
DECLARE
    missing text;
BEGIN
    SELECT string_agg(format('SELECT @extschema@.grant_%s(%L);', k.kind, a.grantee::regrole), ' '
                      ORDER BY k.kind, a.grantee::regrole::text) INTO missing
      FROM (VALUES ('reader', 'get_device_page'), ('worker', 'process_pending_gps'), ('monitor', 'worker_alerts'))
           AS k (kind, function)
      JOIN pg_proc p ON p.proname = k.function AND p.pronamespace = '@extschema@'::regnamespace
     CROSS JOIN LATERAL aclexplode(p.proacl) a
     WHERE a.grantee NOT IN (0, p.proowner);
    IF missing IS NOT NULL THEN
        RAISE WARNING 'roles lack what is new of what they were granted, and their calls fail until you run: %', missing;
    END IF;
END
$$;
