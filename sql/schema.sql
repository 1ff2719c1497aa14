-- The tables: points come in, batches say what was done, paths and stops are what readers see.

-- ---------------------------------------------------------------------------------------------
-- What must be so before anything is made: an error here says what to do.
-- ---------------------------------------------------------------------------------------------
DO $$
DECLARE
    taken text;
BEGIN
    IF getdatabaseencoding() <> 'UTF8' THEN
        RAISE EXCEPTION 'osrm_matcher needs a database with encoding UTF8, and this one has %', getdatabaseencoding()
            USING ERRCODE = 'feature_not_supported',
                  HINT = 'Make one: CREATE DATABASE fleet TEMPLATE template0 ENCODING ''UTF8'';';
    END IF;
    -- A function is in the way whatever its arguments: calls and comments could mean either. The build fills the names in.
    SELECT string_agg(t.name, ', ' ORDER BY t.name) INTO taken
      FROM (SELECT quote_ident(c.relname) FROM pg_class c
             WHERE c.relnamespace = '@extschema@'::regnamespace
               AND c.relname = ANY ('{gps_coordinates,adopted_sources,processing_batches,device_locks,cached_polylines,stops,known_seams,worker_runs,
                                      matching_jobs,path_reads,worker_health,cache_performance,osrm_groups,osrm_group_devices,device_days}')
            UNION ALL
            SELECT p.oid::regprocedure::text FROM pg_proc p
             WHERE p.pronamespace = '@extschema@'::regnamespace AND p.proname = ANY ('{@functions@}')) AS t (name);
    IF taken IS NOT NULL THEN
        RAISE EXCEPTION 'osrm_matcher has tables or functions of its own named like some that are in schema @extschema@: %', taken
            USING ERRCODE = CASE WHEN taken LIKE '%(%' THEN 'duplicate_function' ELSE 'duplicate_table' END,
                  HINT = 'Give it a schema of its own: CREATE SCHEMA osrm; CREATE EXTENSION osrm_matcher SCHEMA osrm;';
    END IF;
END
$$;

-- ---------------------------------------------------------------------------------------------
-- Points
-- ---------------------------------------------------------------------------------------------
CREATE TABLE gps_coordinates (
    id          bigserial,
    device_id   text NOT NULL
        CONSTRAINT device_id_is_1_to_255_bytes CHECK (octet_length(device_id) BETWEEN 1 AND 255),
    -- NaN sorts above every number, so BETWEEN refuses it as it refuses the infinities.
    longitude   double precision NOT NULL
        CONSTRAINT longitude_is_between_minus_180_and_180 CHECK (longitude BETWEEN -180 AND 180),
    latitude    double precision NOT NULL
        CONSTRAINT latitude_is_between_minus_90_and_90 CHECK (latitude BETWEEN -90 AND 90),
    recorded_at timestamptz NOT NULL
        CONSTRAINT recorded_at_is_finite CHECK (isfinite(recorded_at)),
    processed   boolean NOT NULL DEFAULT false,
    batch_id    uuid,
    created_at  timestamptz NOT NULL DEFAULT now(),
    accuracy    double precision,
    course      double precision,
    speed       double precision,
    vehicle_type text,
    -- One index serves as key and for reading a window with its context: marking a point as
    -- processed writes to every index, so each one more would cost all points their time.
    PRIMARY KEY (device_id, recorded_at, id)
)
-- Every point is updated once; a table that is vacuumed late makes the search for new ones slow.
WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

COMMENT ON TABLE gps_coordinates IS 'GPS points to be matched; insert device_id, longitude, latitude and recorded_at, the rest fills itself';
COMMENT ON COLUMN gps_coordinates.device_id IS 'name of the device, 1 to 255 bytes';
COMMENT ON COLUMN gps_coordinates.longitude IS 'degrees east, WGS 84, -180 to 180';
COMMENT ON COLUMN gps_coordinates.latitude IS 'degrees north, WGS 84, -90 to 90';
COMMENT ON COLUMN gps_coordinates.recorded_at IS 'when the device took the reading';
COMMENT ON COLUMN gps_coordinates.processed IS 'true once the outcome of the point''s window is stored';
COMMENT ON COLUMN gps_coordinates.batch_id IS 'the batch that took the point in';
COMMENT ON COLUMN gps_coordinates.created_at IS 'when the row was inserted';
COMMENT ON COLUMN gps_coordinates.accuracy IS 'standard deviation in metres as the device reports it; anything but a positive number counts as unknown';
COMMENT ON COLUMN gps_coordinates.course IS 'direction of travel as the device reports it, degrees clockwise from north, -360 to 360; anything else counts as unknown';
COMMENT ON COLUMN gps_coordinates.speed IS 'metres a second as the device reports it; below 3, or where it is unknown, its course is not looked at';
COMMENT ON COLUMN gps_coordinates.vehicle_type IS 'what kind of vehicle the device is in, for osrm_groups to go by';

CREATE INDEX gps_coordinates_unprocessed ON gps_coordinates (device_id, recorded_at) WHERE NOT processed;
COMMENT ON INDEX gps_coordinates_unprocessed IS 'finds the windows of a device that have new points';
-- Written so that only statements which say the same use it: to find one device's oldest point by it, those of
-- all would be read.
CREATE INDEX gps_coordinates_waiting ON gps_coordinates (recorded_at) WHERE processed::int = 0;
COMMENT ON INDEX gps_coordinates_waiting IS 'finds the devices that have new points, by their time';

-- ---------------------------------------------------------------------------------------------
-- Tables of the user that were adopted as further sources of points
-- ---------------------------------------------------------------------------------------------
-- The expressions are made by adopt_source() from column names; `p` is the row, `$value` what
-- a column is compared with: a device id as text, a timestamptz.
CREATE TABLE adopted_sources (
    relation             regclass PRIMARY KEY,
    device_column        name NOT NULL,
    device_value         text NOT NULL DEFAULT '$value',
    time_column          name NOT NULL,
    time_expression      text NOT NULL,
    bound_expression     text NOT NULL,
    longitude_expression text NOT NULL,
    latitude_expression  text NOT NULL,
    accuracy_expression  text,
    local_time           boolean NOT NULL DEFAULT false,
    added                text[] NOT NULL DEFAULT '{}',
    ready                boolean NOT NULL DEFAULT true,
    adopted_at           timestamptz NOT NULL DEFAULT now(),
    set_aside_at         timestamptz,
    set_aside_until      timestamptz,
    reason               text,
    course_expression    text,
    speed_expression     text,
    device_key           text,
    holds                int8range,
    shard_of             regclass,
    readable             text,
    column_types         jsonb,
    known_as             text
);
COMMENT ON TABLE adopted_sources IS 'tables of the user that points are read from; written by adopt_source() and release_source() only';
COMMENT ON COLUMN adopted_sources.device_value IS 'the text $value as a value that the device column is compared with; null where it cannot be one';
COMMENT ON COLUMN adopted_sources.time_expression IS 'the time of row p as timestamptz';
COMMENT ON COLUMN adopted_sources.bound_expression IS 'the timestamptz $value as a value that the time column is compared with';
COMMENT ON COLUMN adopted_sources.local_time IS 'whether the time column holds local time, whose order is not that of moments';
COMMENT ON COLUMN adopted_sources.added IS 'indexes that adoption added and release removes';
COMMENT ON COLUMN adopted_sources.set_aside_at IS 'since when the table fails and runs leave it out; null while it works';
COMMENT ON COLUMN adopted_sources.set_aside_until IS 'when runs try it again';
COMMENT ON COLUMN adopted_sources.reason IS 'what PostgreSQL said of it';
COMMENT ON COLUMN adopted_sources.device_key IS 'an expression over device_id that gives a number';
COMMENT ON COLUMN adopted_sources.holds IS 'which of these numbers the table''s devices have; empty: a distributed table, which is not read itself; null: it may hold any device';
COMMENT ON COLUMN adopted_sources.shard_of IS 'the distributed table that it is a shard of';
COMMENT ON COLUMN adopted_sources.readable IS 'the condition on row p that keeps compressed chunks of a hypertable, and older ones, from being read; null: all are read';
COMMENT ON COLUMN adopted_sources.column_types IS 'the columns that its points are read from, with the type that each had when the table was adopted';
COMMENT ON COLUMN adopted_sources.known_as IS 'its name when a run saw it last: another table may have that since';
COMMENT ON COLUMN adopted_sources.ready IS 'whether the indexes are there; a table is read only then';

-- ---------------------------------------------------------------------------------------------
-- Groups of devices that are matched by OSRM servers of their own
-- ---------------------------------------------------------------------------------------------
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

-- ---------------------------------------------------------------------------------------------
-- Batches: the work on one window of one device
-- ---------------------------------------------------------------------------------------------
-- Ids that are made, or written, together lie together in the index.
CREATE FUNCTION _new_batch_id() RETURNS uuid
LANGUAGE sql VOLATILE
RETURN (overlay(lpad(to_hex((extract(epoch FROM clock_timestamp()) * 4096000)::bigint), 15, '0') PLACING '7' FROM 13 FOR 0)
        || right(gen_random_uuid()::text, 17))::uuid;
COMMENT ON FUNCTION _new_batch_id IS 'a new id that begins with the time, to 1/4096 of a millisecond (UUID version 7, RFC 9562); volatile';

CREATE TABLE processing_batches (
    batch_id                uuid PRIMARY KEY DEFAULT _new_batch_id(),
    device_id               text NOT NULL,
    start_time              timestamptz NOT NULL,
    end_time                timestamptz NOT NULL,
    status                  text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
    coordinate_count        integer NOT NULL DEFAULT 0,
    osrm_calls              integer NOT NULL DEFAULT 0,
    processing_started_at   timestamptz,
    processing_completed_at timestamptz,
    error_message           text,
    retry_count             integer NOT NULL DEFAULT 0,
    created_at              timestamptz NOT NULL DEFAULT now(),
    updated_at              timestamptz NOT NULL DEFAULT now(),
    error_code              text,
    next_attempt_at         timestamptz NOT NULL DEFAULT now(),
    context_start           timestamptz,
    context_end             timestamptz,
    duplicate_count         integer NOT NULL DEFAULT 0,
    outlier_count           integer NOT NULL DEFAULT 0,
    rejected_count          integer NOT NULL DEFAULT 0,
    job_id                  bigint,
    outcome_xid             xid8,
    settles_at              timestamptz,
    osrm_group              text,
    UNIQUE (device_id, start_time)
);
COMMENT ON TABLE processing_batches IS 'one row a device and window: what was done, or when it is due';
COMMENT ON COLUMN processing_batches.start_time IS 'begin of the window, inclusive';
COMMENT ON COLUMN processing_batches.end_time IS 'end of the window, exclusive';
COMMENT ON COLUMN processing_batches.coordinate_count IS 'points of the window that were read';
COMMENT ON COLUMN processing_batches.osrm_calls IS 'requests sent to OSRM in the last attempt';
COMMENT ON COLUMN processing_batches.error_code IS 'what OSRM or the extension says of a window that failed, was put off, or is raw: NoSegment, NoMatch, Unavailable, TimedOut';
COMMENT ON COLUMN processing_batches.retry_count IS 'attempts that failed since the last success';
COMMENT ON COLUMN processing_batches.next_attempt_at IS 'a pending batch is not taken before';
COMMENT ON COLUMN processing_batches.context_start IS 'points from here on decided the outcome';
COMMENT ON COLUMN processing_batches.context_end IS 'points before this decided the outcome; a later one within reopens the batch';
COMMENT ON COLUMN processing_batches.duplicate_count IS 'points that repeat a second already read';
COMMENT ON COLUMN processing_batches.outlier_count IS 'points left out as impossible: at (0, 0), reached or left at a speed no vehicle has, or at a place sent again';
COMMENT ON COLUMN processing_batches.rejected_count IS 'rows of adopted tables that hold no usable coordinate';
COMMENT ON COLUMN processing_batches.job_id IS 'the backfill or re-match that asked for the batch';
COMMENT ON COLUMN processing_batches.outcome_xid IS 'the transaction that stored the outcome';
COMMENT ON COLUMN processing_batches.settles_at IS 'when a completed window is matched once more, as a whole; its line is provisional until then; null: it is settled';
COMMENT ON COLUMN processing_batches.osrm_group IS 'the group of osrm_groups by whose servers the window was matched; null: by those of osrm_matcher.osrm_url';

CREATE INDEX processing_batches_pending ON processing_batches (next_attempt_at) WHERE status IN ('pending', 'processing');
COMMENT ON INDEX processing_batches_pending IS 'finds what is due';
CREATE INDEX processing_batches_settling ON processing_batches (settles_at) WHERE settles_at IS NOT NULL AND status = 'completed';
COMMENT ON INDEX processing_batches_settling IS 'finds what is to be settled';
CREATE INDEX processing_batches_failed ON processing_batches (updated_at) WHERE status = 'failed';
COMMENT ON INDEX processing_batches_failed IS 'finds what failed';
CREATE INDEX processing_batches_completed_at ON processing_batches (processing_completed_at);
COMMENT ON INDEX processing_batches_completed_at IS 'what was done since a moment';
CREATE INDEX processing_batches_outcome_xid ON processing_batches (outcome_xid);
COMMENT ON INDEX processing_batches_outcome_xid IS 'what was committed since a snapshot';
CREATE INDEX processing_batches_job ON processing_batches (job_id) WHERE status IN ('pending', 'processing') AND job_id IS NOT NULL;
COMMENT ON INDEX processing_batches_job IS 'finds what a job has left';

-- Who has a device is said by a lock on a row here until the transaction ends. The rows are there from the
-- start and never change: a row a device would have to be waited for while another worker inserts it.
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

-- ---------------------------------------------------------------------------------------------
-- Paths and stops
-- ---------------------------------------------------------------------------------------------
CREATE TABLE cached_polylines (
    id                       bigserial PRIMARY KEY,
    device_id                text NOT NULL,
    start_time               timestamptz NOT NULL,
    end_time                 timestamptz NOT NULL,
    encoded_polyline         text NOT NULL,
    osrm_confidence          double precision,
    point_count              integer NOT NULL,
    processing_duration_ms   integer,
    source_coordinates_count integer,
    created_at               timestamptz NOT NULL DEFAULT now(),
    last_accessed            timestamptz NOT NULL DEFAULT now(),
    match_status             text NOT NULL DEFAULT 'matched' CHECK (match_status IN ('matched', 'raw')),
    grade                    text NOT NULL DEFAULT 'good' CHECK (grade IN ('good', 'doubtful', 'raw')),
    matched_share            real,
    mean_offset_m            real,
    length_m                 real,
    fixes_length_m           real,
    max_speed_mps            real,
    -- Dumps of 0.1.0 have other words here, and have to be restored.
    reason                   text,
    batch_id                 uuid,
    UNIQUE (device_id, start_time)
);
COMMENT ON TABLE cached_polylines IS 'paths: pieces of line that were driven without a break, ready to draw';
COMMENT ON COLUMN cached_polylines.encoded_polyline IS 'Google encoded polyline, precision 5';
COMMENT ON COLUMN cached_polylines.osrm_confidence IS 'OSRM''s own score, 0 to 1; null for a raw path';
COMMENT ON COLUMN cached_polylines.point_count IS 'vertices of the line';
COMMENT ON COLUMN cached_polylines.processing_duration_ms IS 'milliseconds spent on the path''s window';
COMMENT ON COLUMN cached_polylines.source_coordinates_count IS 'GPS points that the path stands for, one a second; others of a second are duplicates of the batch';
COMMENT ON COLUMN cached_polylines.created_at IS 'when the path got its present form';
COMMENT ON COLUMN cached_polylines.last_accessed IS 'when the path was last read, to some minutes';
COMMENT ON COLUMN cached_polylines.match_status IS 'matched: on the road; raw: straight through the points, see reason';
COMMENT ON COLUMN cached_polylines.grade IS 'good, doubtful or raw: one word to colour a map by';
COMMENT ON COLUMN cached_polylines.matched_share IS 'share of the path''s points that were matched, 0 to 1';
COMMENT ON COLUMN cached_polylines.mean_offset_m IS 'mean distance from point to road in metres';
COMMENT ON COLUMN cached_polylines.length_m IS 'length of the line in metres';
COMMENT ON COLUMN cached_polylines.fixes_length_m IS 'length of the straight way through the cleaned points in metres';
COMMENT ON COLUMN cached_polylines.max_speed_mps IS 'greatest mean speed that the line implies over 20 seconds, in metres a second';
COMMENT ON COLUMN cached_polylines.reason IS 'why the path is raw: NoSegment: the map has no road there; NoMatch: none of its roads fits; TimedOut, Unavailable: OSRM gave no answer; null for a matched path';

CREATE TABLE stops (
    id                       bigserial PRIMARY KEY,
    device_id                text NOT NULL,
    start_time               timestamptz NOT NULL,
    end_time                 timestamptz NOT NULL,
    longitude                double precision NOT NULL,
    latitude                 double precision NOT NULL,
    source_coordinates_count integer NOT NULL,
    created_at               timestamptz NOT NULL DEFAULT now(),
    batch_id                 uuid,
    UNIQUE (device_id, start_time)
);
COMMENT ON TABLE stops IS 'where and how long a vehicle stood, a row a window, and the moments at which one was heard of between two silences, without length; get_device_stops() joins rows of one place';

-- ---------------------------------------------------------------------------------------------
-- Runs: insert-only, so that workers never wait for each other
-- ---------------------------------------------------------------------------------------------
CREATE TABLE worker_runs (
    id                bigserial PRIMARY KEY,
    started_at        timestamptz NOT NULL,
    finished_at       timestamptz NOT NULL,
    windows_completed integer NOT NULL DEFAULT 0,
    windows_failed    integer NOT NULL DEFAULT 0,
    windows_deferred  integer NOT NULL DEFAULT 0,
    points            bigint NOT NULL DEFAULT 0,
    rejected          bigint NOT NULL DEFAULT 0,
    paths             integer NOT NULL DEFAULT 0,
    osrm_calls        integer NOT NULL DEFAULT 0,
    duration_ms       integer NOT NULL DEFAULT 0,
    osrm_error        text,
    osrm_resume_at    timestamptz,
    points_waiting    bigint,
    delay_avg_ms      double precision,
    delay_max_ms      double precision,
    xid               xid8,
    snapshot          pg_snapshot,
    search_pages      bigint,
    servers_left_out  jsonb,
    group_error       text
);
COMMENT ON TABLE worker_runs IS 'what each run did; osrm_error is set where OSRM could not be reached';
COMMENT ON COLUMN worker_runs.osrm_resume_at IS 'when the server wants to be asked again, where it said so (Retry-After)';
COMMENT ON COLUMN worker_runs.points_waiting IS 'unprocessed points when the run ended, see _backlog(); null where old ones were not searched for';
COMMENT ON COLUMN worker_runs.delay_avg_ms IS 'mean age of the live points that the run took in, in milliseconds';
COMMENT ON COLUMN worker_runs.delay_max_ms IS 'greatest age of a live point that the run took in, in milliseconds';
COMMENT ON COLUMN worker_runs.xid IS 'the transaction of the run''s last round';
COMMENT ON COLUMN worker_runs.snapshot IS 'which transactions had ended when that round did';
COMMENT ON COLUMN worker_runs.search_pages IS 'pages that the search for points from before the live windows, and for what is due, looked at in vain; null where it was not made, or not to its end';
COMMENT ON COLUMN worker_runs.servers_left_out IS 'OSRM servers that failed, each with why, since when, and until when it is left out; null where none did';
COMMENT ON COLUMN worker_runs.group_error IS 'why a table of points did not say the group of a device, though it has a column for that; null where none was asked in vain';

CREATE INDEX worker_runs_started_at ON worker_runs (started_at);
COMMENT ON INDEX worker_runs_started_at IS 'finds the runs since a moment';
CREATE INDEX worker_runs_osrm_answered ON worker_runs (id) WHERE osrm_error IS NULL AND osrm_calls > 0;
COMMENT ON INDEX worker_runs_osrm_answered IS 'finds when OSRM answered last';

-- ---------------------------------------------------------------------------------------------
-- Jobs: backfills and re-matches
-- ---------------------------------------------------------------------------------------------
CREATE TABLE matching_jobs (
    job_id         bigserial PRIMARY KEY,
    kind           text NOT NULL CHECK (kind IN ('backfill', 'rematch')),
    device_ids     text[],
    from_time      timestamptz NOT NULL CHECK (isfinite(from_time)),
    to_time        timestamptz NOT NULL CHECK (isfinite(to_time)),
    status         text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'stopped', 'finishing', 'done')),
    devices_total  bigint NOT NULL DEFAULT 0,
    devices_done   bigint NOT NULL DEFAULT 0,
    windows_queued bigint NOT NULL DEFAULT 0,
    -- A dump of 0.1.0 has a number here, which is no table: such a job begins anew.
    cursor_source  regclass,
    cursor_device  text,
    cursor_time    timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now(),
    started_at     timestamptz,
    finished_at    timestamptz,
    sources_done   regclass[] NOT NULL DEFAULT '{}',
    CHECK (from_time < to_time)
);
COMMENT ON TABLE matching_jobs IS 'backfills and re-matches; written by start_backfill(), start_rematch(), stop_job(), resume_job() and the worker';
COMMENT ON COLUMN matching_jobs.device_ids IS 'null: all devices';
COMMENT ON COLUMN matching_jobs.status IS 'finishing: all windows are on record, some are not matched yet';
COMMENT ON COLUMN matching_jobs.devices_total IS 'devices that the cursor has to pass, counted once a source';
COMMENT ON COLUMN matching_jobs.cursor_source IS 'the table that the cursor is in; null between two';
COMMENT ON COLUMN matching_jobs.cursor_device IS 'the device that the cursor is in; null before the first of a source';
COMMENT ON COLUMN matching_jobs.cursor_time IS 'windows of the device that begin before this are on record';
COMMENT ON COLUMN matching_jobs.sources_done IS 'tables that the cursor has passed, until it has passed all';

CREATE INDEX matching_jobs_open ON matching_jobs (job_id) WHERE status IN ('active', 'finishing');
COMMENT ON INDEX matching_jobs_open IS 'finds the oldest job that has work left';

-- ---------------------------------------------------------------------------------------------
-- Rows and sequences go with pg_dump
-- ---------------------------------------------------------------------------------------------
-- One statement each: they all change the same row of pg_extension.
DO $$
DECLARE
    member regclass;
BEGIN
    FOREACH member IN ARRAY ARRAY[
        'gps_coordinates', 'adopted_sources', 'osrm_groups', 'osrm_group_devices', 'processing_batches', 'cached_polylines', 'stops',
        'worker_runs', 'matching_jobs', 'gps_coordinates_id_seq', 'cached_polylines_id_seq', 'stops_id_seq', 'worker_runs_id_seq',
        'matching_jobs_job_id_seq']::regclass[]
    LOOP
        -- A table that was dropped has no name to be dumped by.
        PERFORM pg_extension_config_dump(member, CASE WHEN member = 'adopted_sources'::regclass
            THEN 'WHERE relation IN (SELECT c.oid FROM pg_catalog.pg_class c)' ELSE '' END);
    END LOOP;
END
$$;
