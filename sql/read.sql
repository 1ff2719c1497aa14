-- Paths and points along paths as rows.
--
-- These only read: they run on a standby and in a read-only transaction. Bodies are of the BEGIN ATOMIC
-- kind: their names are bound when the extension is made, so no search_path can lead them astray, and
-- the planner still puts them into the query that calls them.

-- ---------------------------------------------------------------------------------------------
-- Paths
-- ---------------------------------------------------------------------------------------------
CREATE TYPE device_path AS (
    device_id        text,
    start_time       timestamptz,
    end_time         timestamptz,
    encoded_polyline text,
    osrm_confidence  double precision,
    point_count      integer,
    match_status     text,
    grade            text,
    reason           text
);
COMMENT ON TYPE device_path IS 'a piece of line that was driven without a break, as the readers give it';
COMMENT ON COLUMN device_path.encoded_polyline IS 'Google encoded polyline, precision 5';
COMMENT ON COLUMN device_path.osrm_confidence IS 'OSRM''s own score, 0 to 1; null where the line is not matched';
COMMENT ON COLUMN device_path.point_count IS 'vertices of the line';
COMMENT ON COLUMN device_path.match_status IS 'matched: on the road; raw: straight through the points; tail: points that are in no path yet';
COMMENT ON COLUMN device_path.grade IS 'good, doubtful, raw or tail: one word to colour a map by';
COMMENT ON COLUMN device_path.reason IS 'why the line is raw: NoSegment: the map has no road there; NoMatch: none of its roads fits; TimedOut, Unavailable: OSRM gave no answer; null where it is not raw';

-- Paths of a device do not overlap, so one at most begins before a range and reaches into it, and their ends have
-- the order of their starts. The planner puts this into the query that calls it. Columns are named: a row of the
-- table would be another type as soon as somebody adds a column to it.
CREATE FUNCTION _stored_paths(device_id text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE (id bigint, device_id text, start_time timestamptz, end_time timestamptz, encoded_polyline text,
               osrm_confidence double precision, point_count integer, source_coordinates_count integer,
               match_status text, grade text, length_m real, max_speed_mps real, reason text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 300
BEGIN ATOMIC
    SELECT p.id, p.device_id, p.start_time, p.end_time, p.encoded_polyline, p.osrm_confidence, p.point_count,
           p.source_coordinates_count, p.match_status, p.grade, p.length_m, p.max_speed_mps, p.reason
      FROM cached_polylines p
     WHERE p.device_id = _stored_paths.device_id
       AND p.start_time >= coalesce((SELECT l.start_time FROM cached_polylines l
                                      WHERE l.device_id = _stored_paths.device_id
                                        AND l.start_time < _stored_paths.from_time
                                      ORDER BY l.start_time DESC LIMIT 1), _stored_paths.from_time)
       AND p.start_time < _stored_paths.to_time
       AND p.end_time >= _stored_paths.from_time
       AND _stored_paths.from_time < _stored_paths.to_time;
END;
COMMENT ON FUNCTION _stored_paths IS
    'rows of paths of a device that lie in or reach into [from_time, to_time); stable, parallel safe';

CREATE FUNCTION get_device_paths(device_id text, from_time timestamptz, to_time timestamptz)
RETURNS SETOF device_path
LANGUAGE sql STABLE PARALLEL SAFE ROWS 300
BEGIN ATOMIC
    SELECT p.device_id, p.start_time, p.end_time, p.encoded_polyline, p.osrm_confidence, p.point_count,
           p.match_status, p.grade, p.reason
      FROM _stored_paths(get_device_paths.device_id, get_device_paths.from_time, get_device_paths.to_time) p
     ORDER BY p.start_time;
END;
COMMENT ON FUNCTION get_device_paths(text, timestamptz, timestamptz) IS
    'paths of a device that lie in or reach into [from_time, to_time), oldest first; stable, parallel safe, a null argument gives no rows';

-- A device's clock may be ahead a little: what it says is of the next hour is shown, too.
CREATE FUNCTION get_device_paths(device_id text, hours numeric DEFAULT 24)
RETURNS SETOF device_path
LANGUAGE sql STABLE PARALLEL SAFE ROWS 300
BEGIN ATOMIC
    SELECT p.*
      FROM get_device_paths(get_device_paths.device_id,
                            now() - get_device_paths.hours::double precision * interval '1 hour',
                            now() + interval '1 hour') p;
END;
COMMENT ON FUNCTION get_device_paths(text, numeric) IS
    'paths of a device of the last hours, oldest first; stable, parallel safe, a null argument gives no rows';

-- Hops from device to device in the index on (device_id, start_time): the cost goes with the devices.
CREATE FUNCTION get_devices() RETURNS TABLE (device_id text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1000
BEGIN ATOMIC
    WITH RECURSIVE known AS (
        (SELECT p.device_id FROM cached_polylines p ORDER BY p.device_id LIMIT 1)
        UNION ALL
        SELECT (SELECT p.device_id FROM cached_polylines p
                 WHERE p.device_id > k.device_id ORDER BY p.device_id LIMIT 1)
          FROM known k
         WHERE k.device_id IS NOT NULL
    )
    SELECT k.device_id FROM known k WHERE k.device_id IS NOT NULL;
END;
COMMENT ON FUNCTION get_devices IS 'devices that have paths, in alphabetical order; stable, parallel safe';

-- The order within a device also keeps the planner from a join by hash, which would read the paths of all times.
CREATE FUNCTION get_paths_between(device_ids text[], from_time timestamptz, to_time timestamptz)
RETURNS SETOF device_path
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10000
BEGIN ATOMIC
    SELECT p.*
      FROM (SELECT DISTINCT unnest(get_paths_between.device_ids) AS device_id
            UNION ALL
            SELECT d.device_id FROM get_devices() d WHERE get_paths_between.device_ids IS NULL) AS asked
     CROSS JOIN LATERAL get_device_paths(asked.device_id, get_paths_between.from_time, get_paths_between.to_time) p
     ORDER BY p.device_id, p.start_time;
END;
COMMENT ON FUNCTION get_paths_between IS
    'paths of some devices (null: all) that lie in or reach into [from_time, to_time), by device, oldest first; stable, parallel safe';

CREATE FUNCTION get_fleet_paths(hours numeric DEFAULT 1)
RETURNS SETOF device_path
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10000
BEGIN ATOMIC
    SELECT * FROM get_paths_between(NULL, now() - get_fleet_paths.hours::double precision * interval '1 hour',
                                    now() + interval '1 hour');
END;
COMMENT ON FUNCTION get_fleet_paths IS
    'paths of all devices of the last hours, by device, oldest first; stable, parallel safe, null gives no rows';

-- ---------------------------------------------------------------------------------------------
-- The newest minutes
-- ---------------------------------------------------------------------------------------------
-- Points after the end of what is known of the device, at most one a second and about a thousand in all,
-- as straight lines. The first begins where the last path or stop ended, if that was a moment ago. What a wrong clock says
-- is of later than the next hour does not count. Its pace is reckoned once: put into the query, once for each point.
CREATE FUNCTION get_device_tail(device_id text)
RETURNS SETOF device_path
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gap interval := @extschema@._max_gap();
    known_until timestamptz;
    known_lon double precision;
    known_lat double precision;
BEGIN
    SELECT p.end_time, p.place[1], p.place[2] INTO known_until, known_lon, known_lat
      FROM (SELECT c.end_time, @extschema@._line_end(c.encoded_polyline) AS place
              FROM @extschema@.cached_polylines c
             WHERE c.device_id = get_device_tail.device_id AND c.start_time < now() + interval '1 hour'
             ORDER BY c.start_time DESC
             LIMIT 1) p;
    SELECT s.end_time, s.longitude, s.latitude INTO known_until, known_lon, known_lat
      FROM (SELECT s.end_time, s.longitude, s.latitude FROM @extschema@.stops s
             WHERE s.device_id = get_device_tail.device_id AND s.start_time < now() + interval '1 hour'
             ORDER BY s.start_time DESC LIMIT 1) s
     WHERE s.end_time > known_until OR known_until IS NULL
    UNION ALL SELECT known_until, known_lon, known_lat
     LIMIT 1;

    RETURN QUERY
    WITH waiting AS (
        SELECT w.recorded_at AS at, w.longitude AS lon, w.latitude AS lat
          FROM @extschema@._waiting_points(
                   get_device_tail.device_id,
                   greatest(known_until, now() - @extschema@._look_back()),
                   now() + interval '1 hour', 20000) w
         WHERE w.longitude BETWEEN -180 AND 180 AND w.latitude BETWEEN -90 AND 90
           AND NOT (w.longitude = 0 AND w.latitude = 0)
    ), pace AS MATERIALIZED (
        SELECT greatest(1, ceil(extract(epoch FROM max(at) - min(at)) / 1000))::int AS seconds FROM waiting
    ), thinned AS (
        SELECT DISTINCT ON (floor(extract(epoch FROM w.at) / p.seconds)) w.at, w.lon, w.lat
          FROM waiting w, pace p
         ORDER BY floor(extract(epoch FROM w.at) / p.seconds), w.at
    ), joined AS (
        SELECT t.at, t.lon, t.lat FROM thinned t WHERE t.at > known_until OR known_until IS NULL
        UNION ALL
        SELECT known_until, known_lon, known_lat WHERE known_lon IS NOT NULL
    ), numbered AS (
        SELECT b.*, count(*) FILTER (WHERE b.begins) OVER (ORDER BY b.at) AS line
          FROM (SELECT j.*, j.at - lag(j.at) OVER (ORDER BY j.at) > gap AS begins FROM joined j) b
    )
    SELECT get_device_tail.device_id, min(n.at), max(n.at),
           @extschema@.encode_polyline(array_agg(n.lon ORDER BY n.at), array_agg(n.lat ORDER BY n.at)),
           NULL::double precision, count(*)::int, 'tail', 'tail', NULL::text
      FROM numbered n
     GROUP BY n.line
    HAVING count(*) > 1
     ORDER BY 2;
END
$$;
COMMENT ON FUNCTION get_device_tail IS
    'a device''s points that are in no path yet as straight lines, match_status tail; a break longer than max_gap begins a new line; stable, parallel unsafe';
COMMENT ON FUNCTION _line_end IS
    'longitude and latitude of an encoded line''s last vertex, null if it has none or cannot be decoded; immutable, strict, parallel safe';

-- ---------------------------------------------------------------------------------------------
-- Points along the paths
-- ---------------------------------------------------------------------------------------------
CREATE FUNCTION get_path_points(device_id text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE ("time" timestamptz, longitude double precision, latitude double precision,
               match_status text, path_start timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10000
BEGIN ATOMIC
    -- A vertex has no time of its own: the path's time is shared out by the distance along the line, which goes the
    -- short way round where longitudes jump by 360 degrees.
    SELECT p.start_time + (p.end_time - p.start_time) * coalesce(v.along / nullif(v.length, 0), 0),
           v.longitude, v.latitude, p.match_status, p.start_time
      FROM get_device_paths(get_path_points.device_id, get_path_points.from_time, get_path_points.to_time) p
     CROSS JOIN LATERAL (
        SELECT s.*, sum(s.step) OVER (ORDER BY s.ordinal) AS along, sum(s.step) OVER () AS length
          FROM (SELECT d.*, coalesce(sqrt((d.latitude - lag(d.latitude) OVER earlier) ^ 2
                       + ((180 - abs(180 - abs(d.longitude - lag(d.longitude) OVER earlier)))
                          * cos(radians(d.latitude))) ^ 2), 0) AS step
                  FROM decode_polyline(p.encoded_polyline) d
                WINDOW earlier AS (ORDER BY d.ordinal)) AS s) AS v
     ORDER BY p.start_time, v.ordinal;
END;
COMMENT ON FUNCTION get_path_points IS
    'vertices of a device''s paths with the time at which each was passed, interpolated along the path; stable, parallel safe, a null argument gives no rows';
