-- Forgetting a device, or a range of its times: what is stored of it goes at once.

CREATE FUNCTION _make_left_due(device_id text, from_time timestamptz, to_time timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    starts timestamptz[] := ARRAY(
        SELECT DISTINCT w FROM @extschema@._sources(_make_left_due.device_id) s
         CROSS JOIN unnest(@extschema@._windows_with_points(s.fragments, _make_left_due.device_id, from_time, to_time,
                                                            false, 2147483647)) w);
    devices text[] := array_fill(_make_left_due.device_id, ARRAY[cardinality(starts)]);
BEGIN
    PERFORM @extschema@._recut(devices, starts);
    PERFORM @extschema@._make_due(devices, starts, ARRAY(SELECT w + @extschema@._window() FROM unnest(starts) w));
END
$$;
COMMENT ON FUNCTION _make_left_due IS 'makes windows of a range due in which a device still has points; volatile';

CREATE FUNCTION _check_forgetting(device_id text, from_time timestamptz, to_time timestamptz, with_points boolean) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF device_id IS NULL OR from_time IS NULL OR to_time IS NULL OR with_points IS NULL THEN
        RAISE EXCEPTION 'nothing is forgotten without the name of a device and a range: an argument is null'
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'Leave the range out for all times. delete_old() and upkeep() delete what is old of all devices.';
    END IF;
    IF from_time >= to_time THEN
        RAISE EXCEPTION 'a range that is to be forgotten begins before it ends' USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;
COMMENT ON FUNCTION _check_forgetting IS 'refuses null, and a range that ends before it begins; immutable';

CREATE FUNCTION forget_device(
    device_id text,
    from_time timestamptz DEFAULT '-infinity',
    to_time timestamptz DEFAULT 'infinity',
    with_points boolean DEFAULT false,
    OUT paths bigint, OUT stops bigint, OUT batches bigint, OUT points bigint, OUT reads bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    windows_from timestamptz;
    windows_to timestamptz;
BEGIN
    PERFORM @extschema@._check_forgetting(device_id, from_time, to_time, with_points);
    PERFORM @extschema@._require_read_committed('forget_device()');
    -- A run that has the device would store again what it has read.
    PERFORM @extschema@._wait_for_device(device_id);
    SELECT min(b.start_time), max(b.end_time) INTO windows_from, windows_to
      FROM @extschema@.processing_batches b
     WHERE b.device_id = forget_device.device_id AND b.start_time < to_time AND b.end_time > from_time;
    points := 0;
    IF with_points THEN
        -- Windows around the range, for points within decided their outcome.
        PERFORM @extschema@._make_due(array_agg(r.device_id), array_agg(r.start_time), array_agg(r.end_time))
           FROM @extschema@._reached(ARRAY[forget_device.device_id], ARRAY[from_time], ARRAY[to_time],
                                     @extschema@._context_reach()) r;
        DELETE FROM @extschema@.gps_coordinates p
         WHERE p.device_id = forget_device.device_id AND p.recorded_at >= from_time AND p.recorded_at < to_time;
        GET DIAGNOSTICS points = ROW_COUNT;
    END IF;
    DELETE FROM @extschema@.cached_polylines c
     WHERE c.device_id = forget_device.device_id
       AND (c.start_time >= least(from_time, windows_from) AND c.start_time < greatest(to_time, windows_to)
            OR with_points AND c.start_time < to_time AND c.end_time > from_time);
    GET DIAGNOSTICS paths = ROW_COUNT;
    PERFORM @extschema@._cut_stops(ARRAY[forget_device.device_id], ARRAY[least(from_time, windows_from)],
                                   ARRAY[greatest(to_time, windows_to)]);
    DELETE FROM @extschema@.stops s
     WHERE s.device_id = forget_device.device_id
       AND (s.start_time >= least(from_time, windows_from) AND s.start_time < greatest(to_time, windows_to)
            OR with_points AND s.start_time < to_time AND s.end_time > from_time);
    GET DIAGNOSTICS stops = ROW_COUNT;
    DELETE FROM @extschema@.processing_batches b
     WHERE b.device_id = forget_device.device_id AND b.start_time >= windows_from AND b.end_time <= windows_to;
    GET DIAGNOSTICS batches = ROW_COUNT;
    IF with_points AND batches > 0 THEN
        PERFORM @extschema@._make_left_due(device_id, windows_from, windows_to);
    END IF;
    -- Windows of an earlier, greater length may have held more than the windows of today that the range touches.
    IF NOT with_points AND from_time > windows_from THEN
        PERFORM @extschema@._make_left_due(device_id, windows_from,
                                           date_bin(@extschema@._window(), from_time, 'epoch'));
    END IF;
    IF NOT with_points AND to_time < windows_to THEN
        PERFORM @extschema@._make_left_due(device_id,
            date_bin(@extschema@._window(), to_time + @extschema@._window() - interval '1 us', 'epoch'), windows_to);
    END IF;
    DELETE FROM @extschema@.path_reads r
     WHERE r.device_id = forget_device.device_id AND r.from_time < forget_device.to_time AND r.to_time > forget_device.from_time;
    GET DIAGNOSTICS reads = ROW_COUNT;
    DELETE FROM @extschema@.known_seams s WHERE s.device_id = forget_device.device_id;
END
$$;
COMMENT ON FUNCTION forget_device IS
    'deletes paths, stops, batches and notes of reads of a device''s windows in a range (all times unless told otherwise), and its rows of gps_coordinates if asked; says how many of each; waits for a run that has the device; volatile';
