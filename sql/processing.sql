-- How processing is run: the procedure for the schedule, the schedule itself.

-- ---------------------------------------------------------------------------------------------
-- The procedure
-- ---------------------------------------------------------------------------------------------
-- It commits, so it can have neither a SET clause nor SECURITY DEFINER: all names are qualified.
CREATE PROCEDURE process_pending(max_seconds integer DEFAULT 50, windows_per_round integer DEFAULT 500,
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

COMMENT ON FUNCTION _require_commits(text, text) IS
    'raises an error, with what to call instead, where the procedure that calls cannot commit; volatile, strict';
COMMENT ON FUNCTION process_pending_gps(integer, integer) IS
    'processes what is pending, at most max_windows windows and max_seconds seconds, in the caller''s transaction; returns what was done';
COMMENT ON FUNCTION _process_round(bigint, integer, integer) IS
    'one round of process_pending; not to be called otherwise';
COMMENT ON FUNCTION make_batches(integer) IS
    'puts windows that have new points on record as pending batches; returns how many';
COMMENT ON FUNCTION claim_batches(integer) IS
    'takes pending batches for match_batches and returns their ids; a batch that is not matched within ten minutes goes back';
COMMENT ON FUNCTION match_batches(uuid[]) IS
    'matches batches that claim_batches returned; returns what was done';
COMMENT ON FUNCTION osrm_health() IS
    'asks each OSRM server for a sign of life; says how long it took and of what date its map is, or what is wrong and what to do';
COMMENT ON FUNCTION encode_polyline(double precision[], double precision[], integer) IS
    'longitudes and latitudes in degrees as a Google encoded polyline of precision 5 or 6';
COMMENT ON FUNCTION decode_polyline(text, integer) IS
    'the points of a Google encoded polyline of precision 5 or 6, in degrees, numbered from 1';

-- ---------------------------------------------------------------------------------------------
-- The schedule: a thin wrapper over pg_cron, which need not be there until it is called
-- ---------------------------------------------------------------------------------------------
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

CREATE FUNCTION unschedule_processing() RETURNS boolean
LANGUAGE sql VOLATILE
RETURN _unschedule_workers(0) > 0;
COMMENT ON FUNCTION unschedule_processing() IS
    'takes processing, with all its workers, off pg_cron''s schedule; false if it was not on it';
