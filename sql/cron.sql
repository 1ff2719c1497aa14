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

-- Values of one field of a schedule ('*/5', '1-5,9', 'mon'), null where it cannot be read.
CREATE FUNCTION _cron_field(field text, low integer, high integer, names text[] DEFAULT '{}') RETURNS integer[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    item text;
    part text[];
    allowed integer[] := '{}';
BEGIN
    FOR i IN 1 .. cardinality(names) LOOP
        field := regexp_replace(field, '\m' || names[i] || '\M', (i - 1 + low)::text, 'gi');
    END LOOP;
    FOREACH item IN ARRAY string_to_array(field, ',') LOOP
        part := regexp_match(item, '^(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?$');
        IF part IS NULL OR part[3]::int = 0 THEN
            RETURN NULL;
        END IF;
        allowed := allowed || ARRAY(SELECT generate_series(
            coalesce(part[1]::int, low),
            coalesce(part[2]::int, CASE WHEN part[1] IS NULL OR part[3] IS NOT NULL THEN high ELSE part[1]::int END),
            coalesce(part[3]::int, 1)));
    END LOOP;
    RETURN allowed;
END
$$;
COMMENT ON FUNCTION _cron_field IS 'values that a field of a cron schedule allows; immutable, strict, parallel safe';

CREATE FUNCTION _next_run(schedule text, after timestamptz DEFAULT now()) RETURNS timestamptz
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    field text[] := regexp_split_to_array(btrim(schedule), '\s+');
    pause text := substring(schedule FROM '^\s*(\d+) seconds?\s*$');
    minutes integer[];
    hours integer[];
    days integer[];
    months integer[];
    weekdays integer[];
    day date;
    next_run timestamptz;
BEGIN
    IF pause IS NOT NULL THEN
        RETURN after + pause::double precision * interval '1 second';
    END IF;
    IF cardinality(field) <> 5 THEN
        RETURN NULL;
    END IF;
    minutes := @extschema@._cron_field(field[1], 0, 59);
    hours := @extschema@._cron_field(field[2], 0, 23);
    days := @extschema@._cron_field(field[3], 1, 31);
    months := @extschema@._cron_field(field[4], 1, 12, '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}');
    weekdays := @extschema@._cron_field(field[5], 0, 7, '{sun,mon,tue,wed,thu,fri,sat}');
    IF minutes IS NULL OR hours IS NULL OR days IS NULL OR months IS NULL OR weekdays IS NULL THEN
        RETURN NULL;
    END IF;
    FOR ahead IN 0 .. 1461 LOOP
        day := (after + interval '1 minute')::date + ahead;
        CONTINUE WHEN NOT extract(month FROM day)::int = ANY (months);
        -- As cron has it: where both days are restricted, either will do.
        CONTINUE WHEN NOT CASE
            WHEN field[3] LIKE '*%' OR field[5] LIKE '*%'
            THEN extract(day FROM day)::int = ANY (days)
                 AND (extract(dow FROM day)::int = ANY (weekdays) OR extract(isodow FROM day)::int = ANY (weekdays))
            ELSE extract(day FROM day)::int = ANY (days)
                 OR extract(dow FROM day)::int = ANY (weekdays) OR extract(isodow FROM day)::int = ANY (weekdays) END;
        SELECT min(day + make_interval(hours => h, mins => m)) INTO next_run
          FROM unnest(hours) h, unnest(minutes) m
         WHERE h < 24 AND m < 60 AND day + make_interval(hours => h, mins => m) > after;
        IF next_run IS NOT NULL THEN
            RETURN next_run;
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION _next_run IS
    'when a schedule runs next, by pg_cron''s own clock (UTC); null where the schedule cannot be read; stable, strict, parallel safe';

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
