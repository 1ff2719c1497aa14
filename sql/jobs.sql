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
    found bigint;
    total bigint := 0;
    job bigint;
BEGIN
    IF from_time IS NULL OR to_time IS NULL OR NOT isfinite(from_time) OR NOT isfinite(to_time)
       OR from_time >= to_time
    THEN
        RAISE EXCEPTION 'a % needs a finite range of times with its begin before its end', kind
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF cardinality(device_ids) = 0 THEN
        RAISE EXCEPTION 'a % of no devices does nothing', kind
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave device_ids out, or give null, for all devices.';
    END IF;
    -- A re-match is one of whole windows, and of those of this moment: what forget_device() has deleted of them
    -- comes back although windows may have another length when the job gets there.
    IF kind = 'rematch' THEN
        from_time := date_bin(@extschema@._window(), from_time, 'epoch');
        to_time := date_bin(@extschema@._window(), to_time + @extschema@._window() - interval '1 us', 'epoch');
    END IF;
    FOR source IN SELECT s.fragments FROM @extschema@._sources() s LOOP
        IF device_ids IS NOT NULL THEN
            found := cardinality(device_ids);
        ELSE
            SELECT q.found INTO found FROM json_to_recordset(@extschema@._ask_source(source.fragments,
                'WITH RECURSIVE known AS (
                    (SELECT p.{device} AS device FROM {relation} p WHERE p.{device} IS NOT NULL AND {readable}
                      ORDER BY p.{device} LIMIT 1)
                    UNION ALL
                    SELECT (SELECT p.{device} FROM {relation} p WHERE p.{device} > k.device AND {readable}
                             ORDER BY p.{device} LIMIT 1)
                      FROM known k WHERE k.device IS NOT NULL
                ) SELECT count(k.device) AS found FROM known k')) AS q (found bigint);
        END IF;
        total := total + coalesce(found, 0);
    END LOOP;
    INSERT INTO @extschema@.matching_jobs AS j (kind, from_time, to_time, device_ids, devices_total)
    SELECT _start_job.kind, _start_job.from_time, _start_job.to_time,
           CASE WHEN _start_job.device_ids IS NOT NULL
                THEN ARRAY(SELECT DISTINCT d FROM unnest(_start_job.device_ids) d
                            WHERE d IS NOT NULL ORDER BY d) END,
           total
    RETURNING j.job_id INTO job;
    RETURN job;
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

CREATE FUNCTION _next_device(fragments json, device_ids text[], after text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    next_device text;
BEGIN
    IF device_ids IS NOT NULL THEN
        RETURN (SELECT min(d) FROM unnest(device_ids) d WHERE after IS NULL OR d > after);
    END IF;
    SELECT q.device INTO next_device
      FROM json_to_recordset(@extschema@._require_answer(@extschema@._ask_source(fragments,
        'SELECT p.{device}::text AS device FROM {relation} p
          WHERE ' || CASE WHEN after IS NULL THEN 'p.{device} IS NOT NULL' ELSE 'p.{device} > {named:$1}' END
        || ' AND {readable} ORDER BY p.{device} LIMIT 1', after))) AS q (device text);
    RETURN next_device;
END
$$;
COMMENT ON FUNCTION _next_device IS
    'the device of a source that comes after another, of some devices (null: all); null after the last; stable';

-- Hops from one window to the next in the index; the bound of each hop by $2 says to the planner what partitions
-- there is nothing in.
CREATE FUNCTION _windows_with_points(fragments json, device_id text, from_time timestamptz, to_time timestamptz,
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
COMMENT ON FUNCTION _windows_with_points IS
    'where the next windows of a device begin that hold points in a range, null if there are none; stable';

CREATE FUNCTION _oldest_point(device_id text) RETURNS timestamptz
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

-- What is older than the oldest point that a device still has is left alone: its points went because of their
-- age, and its line is all that is left of them. Points that went from among others were deleted for a reason.
CREATE FUNCTION _windows_on_record(device_id text, from_time timestamptz, to_time timestamptz, most integer)
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

CREATE FUNCTION _next_windows(job matching_jobs, fragments json, most integer) RETURNS timestamptz[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    step interval := @extschema@._window();
    until timestamptz := job.to_time;
    starts timestamptz[];
BEGIN
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
COMMENT ON FUNCTION _next_windows IS
    'where the next windows begin that a job has to visit of the device that it has come to, null if there are none; stable';

-- A device's window may lie in two sources: once is enough. A re-match takes windows along that points of
-- these reach: points may have been moved or deleted.
CREATE FUNCTION _queue_windows(job matching_jobs, starts timestamptz[]) RETURNS bigint
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
COMMENT ON FUNCTION _queue_windows IS
    'makes windows of the device that a job has come to due, but for those that it has had; returns how many; volatile';

CREATE FUNCTION _is_held_up(job_id bigint) RETURNS boolean
LANGUAGE sql STABLE
RETURN (SELECT count(*) = 2000
          FROM (SELECT FROM processing_batches b
                 WHERE b.job_id = _is_held_up.job_id AND b.status = 'pending' AND b.next_attempt_at <= now()
                 LIMIT 2000) AS due);
COMMENT ON FUNCTION _is_held_up IS
    'whether a job has so many windows on record that are due, for their servers are away, that it needs no more; stable';

CREATE FUNCTION _advance_jobs(max_windows integer) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    job @extschema@.matching_jobs;
    fragments json;
    deadline timestamptz := clock_timestamp() + interval '1 second';
    starts timestamptz[];
    queued integer := 0;
    added integer;
    blocked boolean := false;
BEGIN
    PERFORM @extschema@._finish_jobs();
    SELECT * INTO job FROM @extschema@.matching_jobs j
     WHERE j.status = 'active' AND NOT @extschema@._is_held_up(j.job_id)
     ORDER BY EXISTS (SELECT FROM @extschema@._sources() s WHERE s.ordinal = j.cursor_source AND s.aside), j.job_id
     LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF job.job_id IS NULL THEN
        RETURN false;
    END IF;

    WHILE queued < max_windows AND clock_timestamp() < deadline LOOP
        SELECT s.fragments INTO fragments FROM @extschema@._sources() s WHERE s.ordinal = job.cursor_source;
        IF NOT FOUND THEN
            job.status := 'finishing';
            EXIT;
        END IF;
        IF job.cursor_time IS NULL THEN
            job.cursor_device := @extschema@._next_device(fragments, job.device_ids, job.cursor_device);
            IF job.cursor_device IS NULL THEN
                job.cursor_source := job.cursor_source + 1;
                CONTINUE;
            END IF;
            job.cursor_time := date_bin(@extschema@._window(), job.from_time, 'epoch');
        END IF;

        starts := @extschema@._next_windows(job, fragments, max_windows - queued);
        -- Whoever has the device must not be waited for.
        IF starts IS NOT NULL AND NOT @extschema@._lock_device(job.cursor_device) THEN
            blocked := true;
            EXIT;
        END IF;
        added := @extschema@._queue_windows(job, starts);
        job.windows_queued := job.windows_queued + added;
        IF cardinality(starts) = max_windows - queued THEN
            job.cursor_time := starts[cardinality(starts)] + @extschema@._window();
        ELSE
            job.devices_done := job.devices_done + 1;
            job.cursor_time := NULL;
        END IF;
        queued := queued + added;
    END LOOP;

    UPDATE @extschema@.matching_jobs j
       SET status = job.status, devices_done = job.devices_done, windows_queued = job.windows_queued,
           cursor_source = job.cursor_source, cursor_device = job.cursor_device, cursor_time = job.cursor_time,
           started_at = coalesce(j.started_at, now())
     WHERE j.job_id = job.job_id;
    RETURN NOT blocked;
END
$$;
COMMENT ON FUNCTION _advance_jobs IS
    'puts up to so many windows of the oldest active job on record as pending, looking for a second at most; says whether there may be more to find at once; never waits for another worker; volatile';

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
