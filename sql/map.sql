-- What the map page asks for beside the documents of page.sql, and the page itself.

-- ---------------------------------------------------------------------------------------------
-- Where devices are, and what their receivers said
-- ---------------------------------------------------------------------------------------------
-- Hops from device to device in the key of processing_batches, which knows those that have only stood, too.
CREATE FUNCTION _batch_devices() RETURNS TABLE (device_id text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1000
BEGIN ATOMIC
    WITH RECURSIVE known AS (
        (SELECT b.device_id FROM processing_batches b ORDER BY b.device_id LIMIT 1)
        UNION ALL
        SELECT (SELECT b.device_id FROM processing_batches b
                 WHERE b.device_id > k.device_id ORDER BY b.device_id LIMIT 1)
          FROM known k
         WHERE k.device_id IS NOT NULL
    )
    SELECT k.device_id FROM known k WHERE k.device_id IS NOT NULL;
END;
COMMENT ON FUNCTION _batch_devices IS 'devices that a window was ever matched of, in alphabetical order; stable, parallel safe';

CREATE FUNCTION _known_devices() RETURNS TABLE (device_id text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1000
BEGIN ATOMIC
    SELECT d.device_id FROM _batch_devices() d UNION SELECT d.device_id FROM get_devices() d;
END;
COMMENT ON FUNCTION _known_devices IS
    'devices that have paths or that a window was ever matched of, those that have only stood included; stable, parallel safe';

-- The end of the last path, or the last stop, whichever is later. As on pages, what a wrong clock says is of later than
-- the next hour waits for its time: a single such fix would hide all that comes until then.
-- Of all devices, the last rows are found by hopping from device to device, which gives the name of each with them; a
-- row of a wrong clock has the device looked up as those are that were asked for.
CREATE FUNCTION get_device_positions(device_ids text[] DEFAULT NULL)
RETURNS TABLE (device_id text, "time" timestamptz, longitude double precision, latitude double precision, standing boolean)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1000
BEGIN ATOMIC
    WITH RECURSIVE last_paths AS (
        (SELECT c.device_id, c.start_time, c.end_time, c.encoded_polyline FROM cached_polylines c
          WHERE get_device_positions.device_ids IS NULL
          ORDER BY c.device_id DESC, c.start_time DESC LIMIT 1)
        UNION ALL
        SELECT one_before.* FROM last_paths l
         CROSS JOIN LATERAL (SELECT c.device_id, c.start_time, c.end_time, c.encoded_polyline FROM cached_polylines c
                              WHERE c.device_id < l.device_id ORDER BY c.device_id DESC, c.start_time DESC LIMIT 1) one_before
    ), last_stops AS (
        (SELECT s.device_id, s.start_time, s.end_time, s.longitude, s.latitude FROM stops s
          WHERE get_device_positions.device_ids IS NULL
          ORDER BY s.device_id DESC, s.start_time DESC LIMIT 1)
        UNION ALL
        SELECT one_before.* FROM last_stops l
         CROSS JOIN LATERAL (SELECT s.device_id, s.start_time, s.end_time, s.longitude, s.latitude FROM stops s
                              WHERE s.device_id < l.device_id ORDER BY s.device_id DESC, s.start_time DESC LIMIT 1) one_before
    ), one_by_one AS (
        SELECT unnest(get_device_positions.device_ids) AS device_id
        UNION
        SELECT l.device_id FROM last_paths l WHERE l.start_time >= now() + interval '1 hour'
        UNION
        SELECT l.device_id FROM last_stops l WHERE l.start_time >= now() + interval '1 hour'
    ), found AS (
        SELECT l.device_id, l.end_time, _line_end(l.encoded_polyline) AS place, false AS standing
          FROM last_paths l WHERE l.start_time < now() + interval '1 hour'
        UNION ALL
        SELECT l.device_id, l.end_time, ARRAY[l.longitude, l.latitude], true
          FROM last_stops l WHERE l.start_time < now() + interval '1 hour'
        UNION ALL
        SELECT o.device_id, p.end_time, _line_end(p.encoded_polyline), false FROM one_by_one o
         CROSS JOIN LATERAL (SELECT c.end_time, c.encoded_polyline FROM cached_polylines c
                              WHERE c.device_id = o.device_id AND c.start_time < now() + interval '1 hour'
                              ORDER BY c.start_time DESC LIMIT 1) p
        UNION ALL
        SELECT o.device_id, p.end_time, ARRAY[p.longitude, p.latitude], true FROM one_by_one o
         CROSS JOIN LATERAL (SELECT s.end_time, s.longitude, s.latitude FROM stops s
                              WHERE s.device_id = o.device_id AND s.start_time < now() + interval '1 hour'
                              ORDER BY s.start_time DESC LIMIT 1) p
    )
    SELECT DISTINCT ON (f.device_id) f.device_id, f.end_time, f.place[1], f.place[2], f.standing
      FROM found f WHERE f.place IS NOT NULL
     ORDER BY f.device_id, f.end_time DESC, f.standing;
END;
COMMENT ON FUNCTION get_device_positions IS
    'where some devices (null: all) were last as paths and stops know it, and whether they stood; stable, parallel safe';

-- With its owner's rights, as what is said of the points that wait: whoever may read paths may see the fixes that
-- they were made of, and no other column of the tables that those lie in.
CREATE FUNCTION get_device_fixes(device_id text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE ("time" timestamptz, longitude double precision, latitude double precision)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER ROWS 10000
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most constant integer := 100000;
    source record;
BEGIN
    RETURN QUERY
    WITH found AS (
        (SELECT p.recorded_at, p.longitude, p.latitude
           FROM @extschema@.gps_coordinates p
          WHERE p.device_id = get_device_fixes.device_id AND p.recorded_at >= from_time AND p.recorded_at < to_time
          ORDER BY p.recorded_at
          LIMIT most)
        UNION ALL
        SELECT q.at, q.lon, q.lat
          FROM @extschema@._sources(get_device_fixes.device_id) s
         CROSS JOIN LATERAL json_to_recordset(@extschema@._ask_source(
            s.fragments,
            'SELECT {time_expression} AS at, ({longitude})::double precision AS lon, ({latitude})::double precision AS lat
               FROM {relation} p
              WHERE p.{device} = {named:$1} AND {since:$2} AND {until:$3}
              ORDER BY p.{time} LIMIT $5', get_device_fixes.device_id, from_time, to_time, most, true))
            AS q (at timestamptz, lon double precision, lat double precision)
         WHERE s.ordinal > 0)
    SELECT f.recorded_at, f.longitude, f.latitude
      FROM found f
     WHERE f.longitude BETWEEN -180 AND 180 AND f.latitude BETWEEN -90 AND 90
     ORDER BY f.recorded_at
     LIMIT most;
END
$$;
COMMENT ON FUNCTION get_device_fixes IS
    'what a device''s receiver said in [from_time, to_time), oldest first, at most a hundred thousand; stable, parallel unsafe, a null argument gives no rows';

-- ---------------------------------------------------------------------------------------------
-- The page
-- ---------------------------------------------------------------------------------------------
-- A file beside the control file, put together when the extension is built (tests/setup/map_page.py): it holds
-- Leaflet, which has to be there then.
CREATE FUNCTION _map_file() RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN (SELECT c.setting || '/extension/osrm_matcher_map.html' FROM pg_config() c WHERE c.name = 'SHAREDIR');
COMMENT ON FUNCTION _map_file IS 'where the map page lies on the server; stable';

-- Only a superuser may read files of the server; readers read this one through it.
CREATE FUNCTION _map_template() RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    file text := @extschema@._map_file();
    template text := pg_read_file(file, 0, 16 * 1024 * 1024, true);
BEGIN
    IF template IS NULL THEN
        RAISE EXCEPTION 'reading the map page: there is no file "%"', file
            USING ERRCODE = 'undefined_file',
                  HINT = 'It is made where Leaflet is (on Debian: libjs-leaflet) when the extension is built: install that, then build and install again.';
    END IF;
    RETURN template;
END
$$;
COMMENT ON FUNCTION _map_template IS 'the map page without data; stable';

CREATE FUNCTION get_map_page(device_id text DEFAULT NULL, from_time timestamptz DEFAULT NULL,
                             to_time timestamptz DEFAULT NULL, fixes boolean DEFAULT false, options json DEFAULT '{}')
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given json;
BEGIN
    IF device_id IS NULL THEN
        given := json_build_object('options', options);
    ELSE
        to_time := coalesce(to_time, now());
        from_time := coalesce(from_time, to_time - interval '24 hours');
        given := json_build_object(
            'options', options,
            'day', json_build_object(
                'device', device_id, 'from_time', from_time, 'to_time', to_time, 'made_at', now(),
                'page', @extschema@._device_page(device_id, from_time, to_time, true),
                'stops', (SELECT coalesce(json_agg(s), '[]')
                            FROM @extschema@.get_device_stops(get_map_page.device_id, from_time, to_time) s),
                'fixes', CASE WHEN fixes THEN (
                    SELECT coalesce(json_agg(f), '[]')
                      FROM @extschema@.get_device_fixes(get_map_page.device_id, from_time, to_time) f) END));
    END IF;
    -- Within a script, the only letter that can end it is written as JSON may, too: after a backslash, whatever
    -- standard_conforming_strings makes of one.
    RETURN replace(@extschema@._map_template(), '{"nothing": "is given"}', replace(given::text, '<', E'\\u003c'));
END
$$;
COMMENT ON FUNCTION get_map_page IS
    'a map as one HTML text: with a device''s paths, stops and perhaps fixes of [from_time, to_time) inside it, or, without a device, the live page; stable, parallel unsafe';
