-- What a map's page asks for, as one JSON document. Needs read.sql and access.sql.

-- ---------------------------------------------------------------------------------------------
-- JSON
-- ---------------------------------------------------------------------------------------------
CREATE TYPE page_path AS (
    start_time       timestamptz,
    end_time         timestamptz,
    encoded_polyline text,
    osrm_confidence  double precision,
    point_count      integer,
    match_status     text,
    grade            text
);
COMMENT ON TYPE page_path IS 'an element of "paths" in the documents: a device_path without its device';

-- Everything is read in one snapshot, hence stable: a run that commits meanwhile is seen whole or not at all.
CREATE FUNCTION _device_page(device_id text, from_time timestamptz, to_time timestamptz, tail boolean)
RETURNS json
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    paths json;
    tails json;
    oldest timestamptz;
BEGIN
    SELECT json_agg(p) INTO paths
      FROM (SELECT c.start_time, c.end_time, c.encoded_polyline, c.osrm_confidence, c.point_count,
                   c.match_status, c.grade
              FROM @extschema@.cached_polylines c
             WHERE c.device_id = _device_page.device_id
               AND c.end_time >= from_time AND c.end_time < to_time + interval '2 days'
               AND c.start_time >= from_time - interval '2 days' AND c.start_time < to_time
             ORDER BY c.end_time) p;
    oldest := @extschema@._oldest_waiting(
        device_id, greatest(from_time, now() - @extschema@._setting('look_back', '1 day')), to_time);
    IF tail AND oldest IS NOT NULL THEN
        SELECT json_agg(t) INTO tails
          FROM (SELECT t.start_time, t.end_time, t.encoded_polyline, t.osrm_confidence, t.point_count,
                       t.match_status, t.grade
                  FROM @extschema@.get_device_tail(device_id) t
                 WHERE t.end_time >= from_time AND t.start_time < to_time) t;
    END IF;
    RETURN json_build_object(
        'device', device_id,
        'paths', CASE WHEN tails IS NULL THEN coalesce(paths, '[]')
                      WHEN paths IS NULL THEN tails
                      ELSE (rtrim(paths::text, ']') || ', ' || ltrim(tails::text, '['))::json END,
        'cached', tails IS NULL AND (paths IS NOT NULL OR oldest IS NULL),
        'processing_delay_ms',
        coalesce(greatest(0, round(extract(epoch FROM clock_timestamp() - oldest) * 1000)), 0)::bigint);
END
$$;
COMMENT ON FUNCTION _device_page IS 'the document of get_device_page(), read in one snapshot; stable, parallel safe';

CREATE FUNCTION get_device_page_between(device_id text, from_time timestamptz, to_time timestamptz, tail boolean DEFAULT false)
RETURNS json
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    page json := @extschema@._device_page(device_id, from_time, to_time, tail);
BEGIN
    PERFORM @extschema@.note_read(device_id, from_time, to_time);
    RETURN page;
END
$$;
COMMENT ON FUNCTION get_device_page_between IS
    'paths of a device in [from_time, to_time) as JSON, with its newest points as a raw tail if asked for; volatile (it notes the read), strict, parallel unsafe';

CREATE FUNCTION get_device_page(device_id text, hours numeric DEFAULT 24, tail boolean DEFAULT false)
RETURNS json
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN @extschema@.get_device_page_between(
        device_id, now() - hours::double precision * interval '1 hour', now() + interval '1 hour', tail);
END
$$;
COMMENT ON FUNCTION get_device_page IS
    'paths of a device of the last hours as JSON, with its newest points as a raw tail if asked for; volatile (it notes the read), strict, parallel unsafe';

CREATE FUNCTION _fleet_page(from_time timestamptz, to_time timestamptz) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object(
               'devices', coalesce(json_agg(json_build_object('device', d.device_id, 'paths', d.paths)), '[]'),
               'cached', true)
      FROM (SELECT p.device_id,
                   json_agg(ROW (p.start_time, p.end_time, p.encoded_polyline, p.osrm_confidence,
                                 p.point_count, p.match_status, p.grade)::page_path) AS paths
              FROM get_paths_between(NULL, _fleet_page.from_time, _fleet_page.to_time) p
             GROUP BY p.device_id
             ORDER BY p.device_id) d;
END;
COMMENT ON FUNCTION _fleet_page IS 'the document of get_fleet_page(), read in one snapshot; stable, parallel safe';

CREATE FUNCTION get_fleet_page(hours numeric DEFAULT 1) RETURNS json
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    from_time timestamptz := now() - hours::double precision * interval '1 hour';
    to_time timestamptz := now() + interval '1 hour';
    page json := @extschema@._fleet_page(from_time, to_time);
BEGIN
    PERFORM @extschema@.note_read(NULL, from_time, to_time);
    RETURN page;
END
$$;
COMMENT ON FUNCTION get_fleet_page IS
    'paths of all devices of the last hours as one JSON document; volatile (it notes the read), strict, parallel unsafe';

-- ---------------------------------------------------------------------------------------------
-- GeoJSON
-- ---------------------------------------------------------------------------------------------
CREATE FUNCTION _feature(path device_path) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object(
               'type', 'Feature',
               'geometry', json_build_object(
                   'type', 'LineString',
                   'coordinates', (SELECT json_agg(json_build_array(v.longitude, v.latitude) ORDER BY v.ordinal)
                                     FROM decode_polyline((path).encoded_polyline) v)),
               'properties', json_build_object(
                   'device', (path).device_id, 'start_time', (path).start_time, 'end_time', (path).end_time,
                   'osrm_confidence', (path).osrm_confidence, 'point_count', (path).point_count,
                   'match_status', (path).match_status, 'grade', (path).grade));
END;
COMMENT ON FUNCTION _feature IS 'a path as a GeoJSON Feature; stable, parallel safe';

CREATE FUNCTION get_paths_geojson(device_ids text[], from_time timestamptz, to_time timestamptz)
RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object('type', 'FeatureCollection',
                             'features', coalesce(json_agg(_feature(p)), '[]'))
      FROM get_paths_between(get_paths_geojson.device_ids, get_paths_geojson.from_time,
                             get_paths_geojson.to_time) p;
END;
COMMENT ON FUNCTION get_paths_geojson IS
    'paths of some devices (null: all) in [from_time, to_time) as a GeoJSON FeatureCollection; stable, parallel safe';

CREATE FUNCTION get_device_geojson(device_id text, hours numeric DEFAULT 24, tail boolean DEFAULT false)
RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object('type', 'FeatureCollection',
                             'features', coalesce(json_agg(_feature(p) ORDER BY (p).start_time), '[]'))
      FROM (SELECT d AS p FROM get_device_paths(get_device_geojson.device_id, get_device_geojson.hours) d
            UNION ALL
            SELECT t FROM get_device_tail(get_device_geojson.device_id) t WHERE get_device_geojson.tail) AS lines;
END;
COMMENT ON FUNCTION get_device_geojson IS
    'paths of a device of the last hours as a GeoJSON FeatureCollection, with its newest points as a raw tail if asked for; stable, parallel safe';
