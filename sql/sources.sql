-- The tables that points lie in, and what waits there.

-- ---------------------------------------------------------------------------------------------
-- Sources of points, as fragments of SQL
-- ---------------------------------------------------------------------------------------------
-- `p` is the row. In device_value `$d` stands for a device id as text, in bound_expression `$t` for a
-- timestamptz. The files of src/store/ use the same fragments.
CREATE FUNCTION _sources()
RETURNS TABLE (place bigint, relation regclass, device text, device_value text, "time" text,
               time_expression text, bound_expression text, longitude text, latitude text, arrival text)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT 0, 'gps_coordinates'::regclass, 'device_id', '$d', 'recorded_at',
           'p.recorded_at', '$t', 'p.longitude', 'p.latitude', 'greatest(p.recorded_at, p.created_at)'
    UNION ALL
    SELECT row_number() OVER (ORDER BY c.oid), s.relation, quote_ident(s.device_column), s.device_value,
           quote_ident(s.time_column), s.time_expression, s.bound_expression, s.longitude_expression,
           s.latitude_expression, s.time_expression
      FROM adopted_sources s
      JOIN pg_class c ON c.oid = s.relation
     WHERE s.ready
     ORDER BY 1;
END;
COMMENT ON FUNCTION _sources IS 'tables that points are read from, the extension''s own first; stable, parallel safe';

CREATE FUNCTION _fill(template text, source record, device text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    filled text := template;
    moment text;
BEGIN
    -- {bound:X}: the timestamptz expression X as a value that the time column is compared with.
    LOOP
        moment := substring(filled FROM '\{bound:([^}]*)\}');
        EXIT WHEN moment IS NULL;
        filled := replace(filled, '{bound:' || moment || '}', replace(source.bound_expression, '$t', moment));
    END LOOP;
    filled := replace(filled, '{relation}', source.relation::text);
    filled := replace(filled, '{device}', source.device);
    filled := replace(filled, '{device_value}', replace(source.device_value, '$d', coalesce(device, '$1')));
    filled := replace(filled, '{time}', source."time");
    filled := replace(filled, '{time_expression}', source.time_expression);
    filled := replace(filled, '{arrival}', source.arrival);
    filled := replace(filled, '{longitude}', source.longitude);
    RETURN replace(filled, '{latitude}', source.latitude);
END
$$;
COMMENT ON FUNCTION _fill IS 'a statement''s {marks} replaced by a source''s fragments; stable, parallel safe';

-- ---------------------------------------------------------------------------------------------
-- Points that are in no path yet
-- ---------------------------------------------------------------------------------------------
-- Both run with their owner's rights: whoever may read paths may see the newest of a device's
-- points through them, and no other row of the tables that points lie in.
CREATE FUNCTION _oldest_waiting(device_id text, from_time timestamptz, to_time timestamptz)
RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source record;
    candidate timestamptz;
    oldest timestamptz;
BEGIN
    SELECT p.recorded_at INTO oldest
      FROM @extschema@.gps_coordinates p
     WHERE NOT p.processed AND p.device_id = _oldest_waiting.device_id
       AND p.recorded_at >= from_time AND p.recorded_at < to_time
     ORDER BY p.recorded_at
     LIMIT 1;
    -- Most databases have no other source: a fresh session need not plan the search for them.
    IF NOT EXISTS (SELECT FROM @extschema@.adopted_sources) THEN
        RETURN oldest;
    END IF;
    FOR source IN SELECT * FROM @extschema@._sources() s WHERE s.place > 0 LOOP
        EXECUTE @extschema@._fill(
            'SELECT {time_expression} FROM {relation} p
              WHERE NOT p.processed AND p.{device} = {device_value}
                AND p.{time} >= {bound:$2} AND p.{time} < {bound:$3}
              ORDER BY p.{time} LIMIT 1', source)
           INTO candidate USING device_id, from_time, to_time;
        oldest := least(oldest, candidate);
    END LOOP;
    RETURN oldest;
END
$$;
COMMENT ON FUNCTION _oldest_waiting IS 'time of a device''s oldest unprocessed point in a range, null if there is none; stable, parallel safe';

CREATE FUNCTION _waiting_points(device_id text, from_time timestamptz, to_time timestamptz, most integer)
RETURNS TABLE (recorded_at timestamptz, longitude double precision, latitude double precision)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source record;
BEGIN
    RETURN QUERY
    SELECT p.recorded_at, p.longitude, p.latitude
      FROM @extschema@.gps_coordinates p
     WHERE NOT p.processed AND p.device_id = _waiting_points.device_id
       AND p.recorded_at >= from_time AND p.recorded_at < to_time
     ORDER BY p.recorded_at DESC
     LIMIT most;
    IF NOT EXISTS (SELECT FROM @extschema@.adopted_sources) THEN
        RETURN;
    END IF;
    FOR source IN SELECT * FROM @extschema@._sources() s WHERE s.place > 0 LOOP
        RETURN QUERY EXECUTE @extschema@._fill(
            'SELECT {time_expression}, ({longitude})::double precision, ({latitude})::double precision
               FROM {relation} p
              WHERE NOT p.processed AND p.{device} = {device_value}
                AND p.{time} >= {bound:$2} AND p.{time} < {bound:$3}
              ORDER BY p.{time} DESC LIMIT $4', source)
        USING device_id, from_time, to_time, most;
    END LOOP;
END
$$;
COMMENT ON FUNCTION _waiting_points IS 'a device''s newest unprocessed points in a range, at most so many a source; stable, parallel safe';
