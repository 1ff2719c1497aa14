-- Forgetting a device, or a range of its times: what is stored of it goes at once.

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
    outer_from timestamptz;
    outer_to timestamptz;
BEGIN
    IF device_id IS NULL OR from_time IS NULL OR to_time IS NULL OR with_points IS NULL THEN
        RAISE EXCEPTION 'nothing is forgotten without the name of a device and a range: an argument is null'
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'Leave the range out for all times. delete_old() and upkeep() delete what is old of all devices.';
    END IF;
    -- A run that has the device would store again what it has read.
    PERFORM @extschema@._wait_for_device(device_id);
    SELECT least(from_time, min(b.start_time)), greatest(to_time, max(b.end_time)) INTO outer_from, outer_to
      FROM @extschema@.processing_batches b
     WHERE b.device_id = forget_device.device_id AND b.start_time < to_time AND b.end_time > from_time;
    points := 0;
    IF with_points THEN
        -- Windows that lie partly within the range, or whose outcome was decided there, have to be matched anew.
        PERFORM @extschema@._make_due(array_agg(r.device_id), array_agg(r.start_time), array_agg(r.end_time))
           FROM @extschema@._reached(ARRAY[forget_device.device_id], ARRAY[from_time], ARRAY[to_time], @extschema@._context_reach()) r
          WHERE r.start_time < from_time OR r.end_time > to_time;
        DELETE FROM @extschema@.gps_coordinates p
         WHERE p.device_id = forget_device.device_id AND p.recorded_at >= from_time AND p.recorded_at < to_time;
        GET DIAGNOSTICS points = ROW_COUNT;
    END IF;
    DELETE FROM @extschema@.cached_polylines c
     WHERE c.device_id = forget_device.device_id
       AND (c.start_time >= outer_from AND c.start_time < outer_to
            OR with_points AND c.start_time < to_time AND c.end_time > from_time);
    GET DIAGNOSTICS paths = ROW_COUNT;
    DELETE FROM @extschema@.stops s
     WHERE s.device_id = forget_device.device_id
       AND (s.start_time >= outer_from AND s.start_time < outer_to
            OR with_points AND s.start_time < to_time AND s.end_time > from_time);
    GET DIAGNOSTICS stops = ROW_COUNT;
    DELETE FROM @extschema@.processing_batches b
     WHERE b.device_id = forget_device.device_id
       AND b.start_time >= CASE WHEN with_points THEN from_time ELSE outer_from END
       AND b.end_time <= CASE WHEN with_points THEN to_time ELSE outer_to END;
    GET DIAGNOSTICS batches = ROW_COUNT;
    DELETE FROM @extschema@.path_reads r
     WHERE r.device_id = forget_device.device_id AND r.from_time < forget_device.to_time AND r.to_time > forget_device.from_time;
    GET DIAGNOSTICS reads = ROW_COUNT;
END
$$;
COMMENT ON FUNCTION forget_device IS
    'deletes paths, stops, batches and notes of reads of a device''s windows in a range (all times unless told otherwise), and its rows of gps_coordinates if asked; says how many of each; waits for a run that has the device; volatile';
