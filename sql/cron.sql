-- What pg_cron knows of this extension's jobs. pg_cron is a soft dependency: it may be missing, or live in
-- another database, so its tables are named in dynamic statements only.

CREATE FUNCTION _cron_is_here() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron');
COMMENT ON FUNCTION _cron_is_here IS 'whether pg_cron is installed in this database; stable, parallel safe';

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

COMMENT ON FUNCTION _next_run IS
    'when a schedule runs next, by pg_cron''s own clock (UTC); null where the schedule cannot be read; immutable, strict, parallel safe';

-- The schedule of a job of ours, a row for each role that has one; none where there is none or it cannot be seen from here.
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

-- ---------------------------------------------------------------------------------------------
-- Setting jobs, and ending them
-- ---------------------------------------------------------------------------------------------
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

-- pg_cron knows a job by its name and its role, whatever database it is of: a name of two databases would be one job, and
-- another role's would run beside the caller's.
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
