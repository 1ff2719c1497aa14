-- Which windows a job visits: devices of a source in their order, and of each the windows with points, or on record.

-- Where rows lie in many parts by their time, only those that a backfill is of are looked into: all others would have to be
-- for each device. A re-match comes to devices that have lost the points of its range, too.
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

-- Several at a time: to plan a look-up over hundreds of partitions takes longer than the look-up.
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

-- To look into hundreds of partitions for each device takes long: after two seconds, those that are known count.
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
