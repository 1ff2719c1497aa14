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
    FOR source IN SELECT s.fragments FROM @extschema@._sources() s LOOP
        IF device_ids IS NOT NULL THEN
            found := cardinality(device_ids);
        ELSE
            EXECUTE @extschema@._fill(
                'WITH RECURSIVE known AS (
                    (SELECT p.{device} AS device FROM {relation} p WHERE p.{device} IS NOT NULL
                      ORDER BY p.{device} LIMIT 1)
                    UNION ALL
                    SELECT (SELECT p.{device} FROM {relation} p WHERE p.{device} > k.device
                             ORDER BY p.{device} LIMIT 1)
                      FROM known k WHERE k.device IS NOT NULL
                ) SELECT count(k.device) FROM known k', source.fragments) INTO found;
        END IF;
        total := total + found;
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
CREATE FUNCTION _advance_jobs(max_windows integer) RETURNS integer
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    job @extschema@.matching_jobs;
    source record;
    step interval := @extschema@._window();
    deadline timestamptz := clock_timestamp() + interval '1 second';
    starts timestamptz[];
    queued integer := 0;
    added integer;
    next_device text;
BEGIN
    -- A job that somebody else moves on at this moment is left to them.
    UPDATE @extschema@.matching_jobs j
       SET status = 'done', finished_at = now()
     WHERE j.job_id IN (SELECT f.job_id FROM @extschema@.matching_jobs f WHERE f.status = 'finishing'
                           FOR UPDATE SKIP LOCKED)
       AND NOT EXISTS (SELECT FROM @extschema@.processing_batches b
                        WHERE b.job_id = j.job_id AND b.status IN ('pending', 'processing'));
    SELECT * INTO job FROM @extschema@.matching_jobs j
     WHERE j.status = 'active' ORDER BY j.job_id LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF job.job_id IS NULL THEN
        RETURN 0;
    END IF;

    WHILE queued < max_windows AND clock_timestamp() < deadline LOOP
        SELECT s.fragments INTO source FROM @extschema@._sources() s WHERE s.ordinal = job.cursor_source;
        IF NOT FOUND THEN
            job.status := 'finishing';
            EXIT;
        END IF;
        IF job.cursor_time IS NULL THEN
            -- On to the next device.
            IF job.device_ids IS NOT NULL THEN
                SELECT min(d) INTO next_device FROM unnest(job.device_ids) d
                 WHERE job.cursor_device IS NULL OR d > job.cursor_device;
            ELSE
                EXECUTE @extschema@._fill(
                    'SELECT p.{device}::text FROM {relation} p
                      WHERE ' || CASE WHEN job.cursor_device IS NULL THEN 'p.{device} IS NOT NULL'
                                      ELSE 'p.{device} > {named:$1}' END
                    || ' ORDER BY p.{device} LIMIT 1', source.fragments)
                   INTO next_device USING job.cursor_device;
            END IF;
            IF next_device IS NULL THEN
                job.cursor_source := job.cursor_source + 1;
                job.cursor_device := NULL;
                CONTINUE;
            END IF;
            job.cursor_device := next_device;
            job.cursor_time := date_bin(step, job.from_time, 'epoch');
        END IF;

        -- The next windows that hold points, hopping from one to the next in the index.
        EXECUTE @extschema@._fill(replace(
            'WITH RECURSIVE hop AS (
                SELECT first.at, 1 AS nth
                  FROM (SELECT {time_expression} AS at FROM {relation} p
                         WHERE {wanted} p.{device} = {named:$1}
                           AND p.{time} >= {bound:$2} AND p.{time} < {bound:$3}
                         ORDER BY p.{time} LIMIT 1) first
                UNION ALL
                SELECT next.at, h.nth + 1
                  FROM hop h
                 CROSS JOIN LATERAL (
                    SELECT {time_expression} AS at FROM {relation} p
                     WHERE {wanted} p.{device} = {named:$1}
                       AND p.{time} >= {bound:(date_bin($4, h.at, ''epoch'') + $4)} AND p.{time} < {bound:$3}
                     ORDER BY p.{time} LIMIT 1) next
                 WHERE h.nth < $5
            ) SELECT array_agg(date_bin($4, h.at, ''epoch'') ORDER BY h.at) FROM hop h',
            '{wanted}', CASE job.kind WHEN 'backfill' THEN 'NOT p.processed AND' ELSE '' END), source.fragments)
           INTO starts USING job.cursor_device, job.cursor_time, job.to_time, step, max_windows - queued;

        -- The lock that workers take on a device: whoever has it must not be waited for.
        EXIT WHEN starts IS NOT NULL
              AND NOT pg_try_advisory_xact_lock(hashtextextended(job.cursor_device, 7206149128));
        INSERT INTO @extschema@.processing_batches AS b (device_id, start_time, end_time, job_id)
        SELECT job.cursor_device, w.start, w.start + step, job.job_id FROM unnest(starts) AS w (start)
        ON CONFLICT (device_id, start_time) DO UPDATE
           SET status = 'pending', retry_count = 0, next_attempt_at = clock_timestamp(), job_id = job.job_id,
               updated_at = clock_timestamp()
         -- A device's window may lie in two sources: once is enough.
         WHERE b.status IN ('completed', 'failed') AND b.job_id IS DISTINCT FROM job.job_id;
        GET DIAGNOSTICS added = ROW_COUNT;
        job.windows_queued := job.windows_queued + added;
        IF cardinality(starts) = max_windows - queued THEN
            job.cursor_time := starts[cardinality(starts)] + step;
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
    RETURN queued;
END
$$;
COMMENT ON FUNCTION _advance_jobs IS
    'puts up to so many windows of the oldest active job on record as pending; never waits for another worker; volatile';

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

CREATE FUNCTION retry_failed(device_ids text[] DEFAULT NULL, from_time timestamptz DEFAULT '-infinity',
                             to_time timestamptz DEFAULT 'infinity')
RETURNS bigint
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    WITH failed AS (
        SELECT b.batch_id FROM processing_batches b
         WHERE b.status = 'failed'
           AND (retry_failed.device_ids IS NULL OR b.device_id = ANY (retry_failed.device_ids))
           AND b.end_time > retry_failed.from_time AND b.start_time < retry_failed.to_time
           FOR UPDATE SKIP LOCKED
    ), again AS (
        UPDATE processing_batches b
           SET status = 'pending', retry_count = 0, next_attempt_at = clock_timestamp(),
               updated_at = clock_timestamp()
          FROM failed f
         WHERE b.batch_id = f.batch_id
        RETURNING b.batch_id
    )
    SELECT count(*) FROM again;
END;
COMMENT ON FUNCTION retry_failed IS
    'makes failed windows of some devices (null: all) in a range due again, with their retries before them; returns how many; volatile';
