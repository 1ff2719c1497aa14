-- Where devices stood. A row of the table ends with its window, and a tracker that sleeps leaves a moment each time it
-- wakes, most of them every hour at least: rows that follow each other at one place are one stop.

-- A drive between parts them; a moment alone is no stop. No fix need have been taken in a window that a stop lies over: its
-- place counts all the same.
CREATE FUNCTION _stops_of(device_id text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE (id bigint, start_time timestamptz, end_time timestamptz, longitude double precision,
               latitude double precision, source_coordinates_count integer, weight integer, stop bigint)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 300
BEGIN ATOMIC
    SELECT r.id, r.start_time, r.end_time, r.longitude, r.latitude, r.source_coordinates_count,
           greatest(1, r.source_coordinates_count),
           count(*) FILTER (WHERE coalesce(
               r.start_time - r.stood_until > interval '75 min'
               OR 111320 * sqrt((r.latitude - r.stood_lat) ^ 2
                      + ((r.longitude - r.stood_lon) * cos(radians(r.latitude))) ^ 2) > 60
               OR r.start_time > r.stood_until
                  AND EXISTS (SELECT FROM cached_polylines p
                               WHERE p.device_id = _stops_of.device_id
                                 AND p.start_time >= r.stood_until AND p.start_time < r.start_time),
               true)) OVER (ORDER BY r.start_time)
      FROM (SELECT s.id, s.start_time, s.end_time, s.longitude, s.latitude, s.source_coordinates_count,
                   lag(s.end_time) OVER earlier AS stood_until, lag(s.longitude) OVER earlier AS stood_lon,
                   lag(s.latitude) OVER earlier AS stood_lat
              FROM stops s
             WHERE s.device_id = _stops_of.device_id AND s.start_time >= _stops_of.from_time
               AND s.start_time < _stops_of.to_time
            WINDOW earlier AS (ORDER BY s.start_time)) AS r;
END;
COMMENT ON FUNCTION _stops_of IS
    'rows of stops of a device that begin in [from_time, to_time), those of one stop with one number; stable, parallel safe';

-- The stops that reach into a range begin after the last path that begins before it, and end before the first one that
-- begins after it; the month is for a vehicle that is never driven.
CREATE FUNCTION get_device_stops(device_id text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE (start_time timestamptz, end_time timestamptz, longitude double precision,
               latitude double precision, source_coordinates_count bigint)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT min(n.start_time), max(n.end_time), sum(n.longitude * n.weight) / sum(n.weight),
           sum(n.latitude * n.weight) / sum(n.weight), sum(n.source_coordinates_count)
      FROM (SELECT greatest((SELECT p.start_time FROM cached_polylines p
                              WHERE p.device_id = get_device_stops.device_id AND p.start_time < get_device_stops.from_time
                              ORDER BY p.start_time DESC LIMIT 1), get_device_stops.from_time - interval '31 days') AS first,
                   least((SELECT p.start_time FROM cached_polylines p
                           WHERE p.device_id = get_device_stops.device_id AND p.start_time >= get_device_stops.to_time
                           ORDER BY p.start_time LIMIT 1), get_device_stops.to_time + interval '31 days') AS next
             WHERE get_device_stops.from_time < get_device_stops.to_time) AS bounds
     CROSS JOIN LATERAL _stops_of(get_device_stops.device_id, bounds.first, bounds.next) n
     GROUP BY n.stop
    HAVING max(n.end_time) >= get_device_stops.from_time AND min(n.start_time) < get_device_stops.to_time
       AND min(n.start_time) < max(n.end_time)
     ORDER BY 1;
END;
COMMENT ON FUNCTION get_device_stops IS
    'where and how long a device stood, stops that reach into [from_time, to_time), oldest first; stable, parallel safe, a null argument gives no rows';

-- ---------------------------------------------------------------------------------------------
-- A row a stop
-- ---------------------------------------------------------------------------------------------
-- A vehicle that is parked leaves a row a window, as much in a day as all its paths. Rows of days that are over become
-- one a stop and day. Its batch is null, for it is of several.
CREATE FUNCTION _join_stops(device_ids text[], at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    today timestamptz := date_trunc('day', at - interval '1 hour', 'UTC');
    ours text[];
    joined bigint;
BEGIN
    -- What a foreign key of somebody refers to stays.
    IF @extschema@._referred_to('@extschema@.stops') IS NOT NULL THEN
        RETURN 0;
    END IF;
    SELECT array_agg(d) INTO ours FROM unnest(device_ids) d WHERE @extschema@._lock_device(d);
    WITH one AS (
        SELECT array_agg(n.id ORDER BY n.start_time) AS ids, max(n.end_time) AS end_time,
               sum(n.longitude * n.weight) / sum(n.weight) AS longitude,
               sum(n.latitude * n.weight) / sum(n.weight) AS latitude,
               sum(n.source_coordinates_count) AS source_coordinates_count
          FROM unnest(ours) AS device
         CROSS JOIN LATERAL @extschema@._stops_of(device, '-infinity', today) n
         GROUP BY device, n.stop, date_trunc('day', n.start_time, 'UTC')
        HAVING count(*) > 1
    ), kept AS (
        -- With a new number: few old ones among many that are gone would keep all pages of their index.
        UPDATE @extschema@.stops s
           SET id = DEFAULT, end_time = o.end_time, longitude = o.longitude, latitude = o.latitude,
               source_coordinates_count = o.source_coordinates_count, batch_id = NULL
          FROM one o
         WHERE s.id = o.ids[1]
    ), gone AS (
        DELETE FROM @extschema@.stops s USING (SELECT unnest(o.ids[2:]) AS id FROM one o) AS others
         WHERE s.id = others.id
        RETURNING s.id
    )
    SELECT count(*) INTO joined FROM gone;
    RETURN joined;
END
$$;
COMMENT ON FUNCTION _join_stops IS
    'makes rows of stops of some devices, of the days before that of a moment (UTC), one a stop and day, and says how many fewer there are; passes over devices that a worker has; volatile';

CREATE FUNCTION _device_lots() RETURNS SETOF text[]
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT array_agg(n.device_id ORDER BY n.device_id)
      FROM (SELECT d.device_id, (row_number() OVER (ORDER BY d.device_id) - 1) / 500 AS lot FROM _batch_devices() d) AS n
     GROUP BY n.lot
     ORDER BY n.lot;
END;
COMMENT ON FUNCTION _device_lots IS 'devices that a window was ever matched of, 500 at a time; stable, parallel safe';

-- What such a row holds of windows that are matched anew, or forgotten, goes; the rest of it stays.
CREATE FUNCTION _cut_stops(device_ids text[], starts timestamptz[], ends timestamptz[]) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    WITH windows AS (
        SELECT w.device_id, w.start_time, w.end_time
          FROM unnest(_cut_stops.device_ids, _cut_stops.starts, _cut_stops.ends) AS w (device_id, start_time, end_time)
    ), crossing AS (
        SELECT DISTINCT c.id
          FROM windows w
         CROSS JOIN LATERAL (VALUES (w.start_time), (w.end_time)) AS e (edge)
         CROSS JOIN LATERAL (
            SELECT s.id, s.end_time, s.batch_id FROM @extschema@.stops s
             WHERE s.device_id = w.device_id AND s.start_time < e.edge
             ORDER BY s.start_time DESC LIMIT 1) AS c
         WHERE c.end_time > e.edge AND c.batch_id IS NULL
    ), gone AS (
        DELETE FROM @extschema@.stops s USING crossing c WHERE s.id = c.id
        RETURNING s.device_id, s.start_time, s.end_time, s.longitude, s.latitude, s.source_coordinates_count
    )
    INSERT INTO @extschema@.stops (device_id, start_time, end_time, longitude, latitude, source_coordinates_count)
    SELECT g.device_id, part.first, part.last, g.longitude, g.latitude,
           greatest(1, round(g.source_coordinates_count * extract(epoch FROM part.last - part.first)
                                                        / extract(epoch FROM g.end_time - g.start_time)))::integer
      FROM gone g
     CROSS JOIN LATERAL unnest(tstzmultirange(tstzrange(g.start_time, g.end_time))
                               - (SELECT range_agg(tstzrange(w.start_time, w.end_time)) FROM windows w
                                   WHERE w.device_id = g.device_id)) AS left_over
     -- A silence that the row bridged is borne out by points on both sides of it alone.
     CROSS JOIN LATERAL (
            SELECT greatest(lower(left_over), min(b.start_time)) AS first, least(upper(left_over), max(b.end_time)) AS last
              FROM @extschema@.processing_batches b
             WHERE b.device_id = g.device_id AND b.start_time < upper(left_over) AND b.end_time > lower(left_over)
               AND b.start_time > lower(left_over) - interval '1 day'
               AND (b.coordinate_count > 0 OR b.status IN ('pending', 'processing'))
            HAVING count(*) > 0) AS part;
END
$$;
COMMENT ON FUNCTION _cut_stops IS
    'takes what lies in some windows out of rows of stops that are of several; volatile';
