-- What a map's page asks for, as one JSON document.

-- ---------------------------------------------------------------------------------------------
-- JSON
-- ---------------------------------------------------------------------------------------------
-- Most of what a page costs is the copying of its text: paths are written straight into one.
CREATE AGGREGATE _paths_json(timestamptz, timestamptz, text, double precision, integer, text, text, text) (
    SFUNC = _add_path,
    STYPE = internal,
    FINALFUNC = _written_paths,
    PARALLEL = SAFE
);
CREATE AGGREGATE _fleet_json(text, text) (
    SFUNC = _add_device,
    STYPE = internal,
    FINALFUNC = _written_fleet,
    PARALLEL = SAFE
);

-- Everything is read in one snapshot, hence stable: a run that commits meanwhile is seen whole or not at all.
CREATE FUNCTION _device_page(device_id text, from_time timestamptz, to_time timestamptz, tail boolean)
RETURNS json
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    paths text;
    tails text;
    oldest timestamptz;
BEGIN
    SELECT @extschema@._paths_json(p.start_time, p.end_time, p.encoded_polyline, p.osrm_confidence, p.point_count,
                                   p.match_status, p.grade, p.reason) INTO paths
      FROM @extschema@.get_device_paths(_device_page.device_id, from_time, to_time) p;
    oldest := @extschema@._oldest_waiting(
        device_id, greatest(from_time, now() - @extschema@._look_back()), to_time);
    IF paths IS NULL AND oldest IS NULL AND @extschema@.holds_device(device_id) IS FALSE THEN
        RETURN json_build_object('device', device_id, 'paths', '[]'::json, 'cached', false, 'here', false,
                                 'processing_delay_ms', 0);
    END IF;
    IF tail AND oldest IS NOT NULL THEN
        SELECT @extschema@._paths_json(t.start_time, t.end_time, t.encoded_polyline, t.osrm_confidence, t.point_count,
                                       t.match_status, t.grade, t.reason ORDER BY t.end_time) INTO tails
          FROM @extschema@.get_device_tail(device_id) t
         WHERE t.end_time >= from_time AND t.start_time < to_time;
    END IF;
    RETURN @extschema@._page_json(
        device_id, paths, tails, tails IS NULL AND (paths IS NOT NULL OR oldest IS NULL),
        coalesce(greatest(0, round(extract(epoch FROM clock_timestamp() - oldest) * 1000)), 0)::bigint);
END
$$;
COMMENT ON FUNCTION _device_page IS 'the document of get_device_page(), read in one snapshot; stable, parallel unsafe';

CREATE FUNCTION get_device_page_between(device_id text, from_time timestamptz, to_time timestamptz, tail boolean DEFAULT false)
RETURNS json
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@.note_read(device_id, from_time, to_time);
    RETURN @extschema@._device_page(device_id, from_time, to_time, tail);
END
$$;
COMMENT ON FUNCTION get_device_page_between IS
    'paths of a device in [from_time, to_time) as JSON, with its newest points as a raw tail if asked for; volatile (it notes the read), strict, parallel unsafe';

CREATE FUNCTION get_device_page(device_id text, hours numeric DEFAULT 24, tail boolean DEFAULT false)
RETURNS json
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    from_time timestamptz := now() - hours::double precision * interval '1 hour';
    to_time timestamptz := now() + interval '1 hour';
BEGIN
    PERFORM @extschema@.note_read(device_id, from_time, to_time);
    RETURN @extschema@._device_page(device_id, from_time, to_time, tail);
END
$$;
COMMENT ON FUNCTION get_device_page IS
    'paths of a device of the last hours as JSON, with its newest points as a raw tail if asked for; volatile (it notes the read), strict, parallel unsafe';

CREATE FUNCTION get_fleet_page(hours numeric DEFAULT 1) RETURNS json
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    from_time timestamptz := now() - hours::double precision * interval '1 hour';
    to_time timestamptz := now() + interval '1 hour';
    fleet json;
BEGIN
    PERFORM @extschema@.note_read(NULL, from_time, to_time);
    -- Devices come in alphabetical order; to sort them here would copy all of their paths once more, and so would a
    -- subquery in RETURN.
    SELECT @extschema@._fleet_json(d.device_id, held.paths) INTO fleet
      FROM @extschema@.get_devices() d
     CROSS JOIN LATERAL (
            SELECT @extschema@._paths_json(p.start_time, p.end_time, p.encoded_polyline, p.osrm_confidence,
                                           p.point_count, p.match_status, p.grade, p.reason) AS paths
              FROM @extschema@.get_device_paths(d.device_id, from_time, to_time) p) AS held
     WHERE held.paths IS NOT NULL;
    RETURN fleet;
END
$$;
COMMENT ON FUNCTION get_fleet_page IS
    'paths of all devices of the last hours as one JSON document; volatile (it notes the read), strict, parallel unsafe';

-- ---------------------------------------------------------------------------------------------
-- GeoJSON
-- ---------------------------------------------------------------------------------------------
CREATE FUNCTION get_paths_geojson(device_ids text[], from_time timestamptz, to_time timestamptz)
RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object('type', 'FeatureCollection',
                             'features', coalesce(json_agg(
                                 _feature(p.device_id, p.start_time, p.end_time, p.encoded_polyline,
                                          p.osrm_confidence, p.point_count, p.match_status, p.grade, p.reason)), '[]'))
      FROM get_paths_between(get_paths_geojson.device_ids, get_paths_geojson.from_time,
                             get_paths_geojson.to_time) p;
END;
COMMENT ON FUNCTION get_paths_geojson IS
    'paths of some devices (null: all) in [from_time, to_time) as a GeoJSON FeatureCollection; stable, parallel safe';

CREATE FUNCTION get_device_geojson(device_id text, hours numeric DEFAULT 24, tail boolean DEFAULT false)
RETURNS json
LANGUAGE sql STABLE PARALLEL UNSAFE
BEGIN ATOMIC
    SELECT json_build_object('type', 'FeatureCollection',
                             'features', coalesce(json_agg(
                                 _feature(p.device_id, p.start_time, p.end_time, p.encoded_polyline,
                                          p.osrm_confidence, p.point_count, p.match_status, p.grade, p.reason)
                                 ORDER BY p.start_time), '[]'))
      FROM (SELECT d.* FROM get_device_paths(get_device_geojson.device_id, get_device_geojson.hours) d
            UNION ALL
            SELECT t.* FROM get_device_tail(get_device_geojson.device_id) t WHERE get_device_geojson.tail) AS p;
END;
COMMENT ON FUNCTION get_device_geojson IS
    'paths of a device of the last hours as a GeoJSON FeatureCollection, with its newest points as a raw tail if asked for; stable, parallel unsafe';

COMMENT ON FUNCTION _feature IS 'a path as a GeoJSON Feature, without coordinates if its line cannot be decoded; immutable, parallel safe';
COMMENT ON AGGREGATE _paths_json(timestamptz, timestamptz, text, double precision, integer, text, text, text) IS
    'columns of device_path as elements of "paths", in the order in which they come; immutable, parallel safe';
COMMENT ON AGGREGATE _fleet_json(text, text) IS
    'devices with what _paths_json() gives of each as the document of get_fleet_page(); immutable, parallel safe';
COMMENT ON FUNCTION _add_path IS 'takes a path into _paths_json(); immutable, parallel safe';
COMMENT ON FUNCTION _written_paths IS 'what _paths_json() has written, null if there was no path; immutable, parallel safe';
COMMENT ON FUNCTION _add_device IS 'takes a device into _fleet_json(); immutable, parallel safe';
COMMENT ON FUNCTION _written_fleet IS 'what _fleet_json() has written; immutable, parallel safe';
COMMENT ON FUNCTION _page_json IS 'the document of a page around its paths and tails; immutable, parallel safe';
