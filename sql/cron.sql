-- What pg_cron knows of this extension's jobs. pg_cron is a soft dependency: it may be missing, or live in
-- another database, so its tables are named in dynamic statements only.

CREATE FUNCTION _cron_is_here() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron');
COMMENT ON FUNCTION _cron_is_here IS 'whether pg_cron is installed in this database; stable, parallel safe';

CREATE FUNCTION _require_cron() RETURNS void
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
                  ELSE format('In database "%s": SELECT cron.schedule_in_database(''osrm_matcher'', ''* * * * *'', ''CALL %s.process_pending()'', %L).',
                              home, '@extschema@', current_database()) END;
END
$$;
COMMENT ON FUNCTION _require_cron() IS
    'raises object_not_in_prerequisite_state, with what to do, where pg_cron is missing; stable';

COMMENT ON FUNCTION _next_run IS
    'when a schedule runs next, by pg_cron''s own clock (UTC); null where the schedule cannot be read; immutable, strict, parallel safe';

-- The schedule of a job of ours; no row where there is none or it cannot be seen from here.
CREATE FUNCTION _cron_job(job_name text)
RETURNS TABLE (job_id bigint, schedule text, active boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF @extschema@._cron_is_here() THEN
        RETURN QUERY EXECUTE
            'SELECT j.jobid, j.schedule, j.active FROM cron.job j
              WHERE j.jobname = $1 AND j.database = current_database() ORDER BY j.jobid LIMIT 1'
            USING job_name;
    END IF;
END
$$;
COMMENT ON FUNCTION _cron_job IS 'a job of pg_cron by its name; stable';

-- The jobs of schedule_processing, a row each; none where there are none or they cannot be seen from here.
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
