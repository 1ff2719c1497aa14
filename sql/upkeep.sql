-- Upkeep: what is old goes, in small steps; advice on the size.

-- ---------------------------------------------------------------------------------------------
-- What fails keeps nothing else from being done
-- ---------------------------------------------------------------------------------------------
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

-- ---------------------------------------------------------------------------------------------
-- Deleting
-- ---------------------------------------------------------------------------------------------
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

-- One step: hops over the devices and takes each one's oldest rows, until so many rows are found. Rows that
-- a worker has in hand, and those that somebody's foreign key refers to, are passed over. Without sequential scans what
-- has no index costs so much, on paper, that statements of an instant would be compiled for seconds.
CREATE FUNCTION _delete_before(relation regclass, time_column name, cutoff timestamptz, condition text, max_rows integer)
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

CREATE FUNCTION delete_old(
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

-- Another database cannot see what is logged of its jobs (see _schedule_jobs()): whoever can shortens that, too.
CREATE FUNCTION _trim_cron_log() RETURNS bigint
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

-- Commits after each step, so it can have no SET clause: every name is qualified. What has failed is an error at its
-- end, when all else is done: whoever calls it by a schedule sees no warnings.
CREATE PROCEDURE upkeep(
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

CREATE FUNCTION schedule_upkeep(schedule text DEFAULT '17 3 * * *', command text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN @extschema@._schedule_jobs(ARRAY['osrm_matcher_upkeep'], schedule, coalesce(command, 'CALL @extschema@.upkeep()'));
END
$$;
COMMENT ON FUNCTION schedule_upkeep IS
    'lets pg_cron call upkeep(), or another command, by a schedule (UTC); called again, it changes the schedule; volatile';

CREATE FUNCTION unschedule_upkeep() RETURNS boolean
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT count(*) FILTER (WHERE e.ended) > 0
      FROM (SELECT _end_job(j.job_id, j.role) AS ended FROM _cron_job('osrm_matcher_upkeep') j) e;
END;
COMMENT ON FUNCTION unschedule_upkeep IS 'takes upkeep off pg_cron''s schedule; false if it was not on it; volatile';

-- ---------------------------------------------------------------------------------------------
-- Advice
-- ---------------------------------------------------------------------------------------------
-- Looks at the last seven days of up to a hundred devices, of each from when it was first heard of in them; bytes are
-- those of table and indexes on disk.
CREATE FUNCTION storage_advice(days integer DEFAULT 30)
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
