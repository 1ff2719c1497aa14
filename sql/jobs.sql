-- Backfill and re-match: work on a range of times, in the background of live work.
--
-- A job is a cursor that moves over source, device and time. Each round of a worker that has room left
-- lets it put a few more windows on record as pending; the worker then treats them like any others.

-- ---------------------------------------------------------------------------------------------
-- Starting
-- ---------------------------------------------------------------------------------------------
CREATE FUNCTION _start_job(kind text, from_time timestamptz, to_time timestamptz, device_ids text[]) RETURNS bigint
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
COMMENT ON FUNCTION _start_job IS 'adds a job; volatile';

CREATE FUNCTION start_backfill(from_time timestamptz, to_time timestamptz, device_ids text[] DEFAULT NULL)
RETURNS bigint
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT _start_job('backfill', start_backfill.from_time, start_backfill.to_time, start_backfill.device_ids);
END;
COMMENT ON FUNCTION start_backfill IS
    'matches the unprocessed points of a range, however old, in the background of live work; returns the job''s id; volatile';

CREATE FUNCTION start_rematch(from_time timestamptz, to_time timestamptz, device_ids text[] DEFAULT NULL)
RETURNS bigint
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT _start_job('rematch', start_rematch.from_time, start_rematch.to_time, start_rematch.device_ids);
END;
COMMENT ON FUNCTION start_rematch IS
    'matches all points of a range anew, in the background of live work; old paths stay until the new ones are there; returns the job''s id; volatile';

-- ---------------------------------------------------------------------------------------------
-- What the worker calls
-- ---------------------------------------------------------------------------------------------
-- A job that somebody else moves on at this moment is left to them.
CREATE FUNCTION _finish_jobs() RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    UPDATE matching_jobs j
       SET status = 'done', finished_at = now()
     WHERE j.job_id IN (SELECT f.job_id FROM matching_jobs f WHERE f.status = 'finishing'
                           FOR UPDATE SKIP LOCKED)
       AND NOT EXISTS (SELECT FROM processing_batches b
                        WHERE b.job_id = j.job_id AND b.status IN ('pending', 'processing'));
END;
COMMENT ON FUNCTION _finish_jobs IS 'ends the jobs all of whose windows are matched; volatile';

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

-- ---------------------------------------------------------------------------------------------
-- Watching, stopping, going on
-- ---------------------------------------------------------------------------------------------
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

-- Windows that are on record already, a round's at most, are still matched.
CREATE FUNCTION stop_job(job_id bigint) RETURNS boolean
LANGUAGE sql VOLATILE STRICT
BEGIN ATOMIC
    WITH stopped AS (
        UPDATE matching_jobs j SET status = 'stopped'
         WHERE j.job_id = stop_job.job_id AND j.status = 'active'
        RETURNING j.job_id
    )
    SELECT EXISTS (SELECT FROM stopped);
END;
COMMENT ON FUNCTION stop_job IS
    'lets a job put no more windows on record; false if it was not active; volatile, strict';

CREATE FUNCTION resume_job(job_id bigint) RETURNS boolean
LANGUAGE sql VOLATILE STRICT
BEGIN ATOMIC
    WITH resumed AS (
        UPDATE matching_jobs j SET status = 'active'
         WHERE j.job_id = resume_job.job_id AND j.status = 'stopped'
        RETURNING j.job_id
    )
    SELECT EXISTS (SELECT FROM resumed);
END;
COMMENT ON FUNCTION resume_job IS
    'lets a stopped job go on where it was; false if it was not stopped; volatile, strict';
