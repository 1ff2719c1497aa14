-- How far and how long: kilometres of a range, of days, of trips.
--
-- What is summed up are paths, which is what a map shows. Points that are in no path yet count nothing, and
-- what an open window shows counts as it stands. These only read: they run on a standby.

-- ---------------------------------------------------------------------------------------------
-- Parts of paths
-- ---------------------------------------------------------------------------------------------
-- A vertex has no time of its own: a path that reaches out of the range counts by its share of the time there,
-- as get_path_points() shares it out. Paths of a device do not overlap, so no more than one begins before the
-- range and reaches into it. Imported paths come without a length.
CREATE FUNCTION _path_parts(device_id text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE (start_time timestamptz, end_time timestamptz, metres double precision, grade text,
               max_speed_mps real, encoded_polyline text, cut_before double precision, cut_after double precision)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 300
BEGIN ATOMIC
    SELECT greatest(c.start_time, _path_parts.from_time), least(c.end_time, _path_parts.to_time),
           coalesce(c.length_m, _line_length(c.encoded_polyline)) * (1 - c.cut_before - c.cut_after),
           c.grade, c.max_speed_mps, c.encoded_polyline, c.cut_before, c.cut_after
      FROM (SELECT p.*,
                   CASE WHEN p.start_time < _path_parts.from_time
                        THEN extract(epoch FROM _path_parts.from_time - p.start_time)::double precision
                             / extract(epoch FROM p.end_time - p.start_time)::double precision
                        ELSE 0 END AS cut_before,
                   CASE WHEN p.end_time > _path_parts.to_time
                        THEN extract(epoch FROM p.end_time - _path_parts.to_time)::double precision
                             / extract(epoch FROM p.end_time - p.start_time)::double precision
                        ELSE 0 END AS cut_after
              FROM _stored_paths(_path_parts.device_id, _path_parts.from_time, _path_parts.to_time) p
             WHERE p.start_time >= _path_parts.from_time OR p.end_time > _path_parts.from_time) AS c;
END;
COMMENT ON FUNCTION _path_parts IS
    'paths of a device as far as they lie in [from_time, to_time), with the shares that do not; stable, parallel safe';

COMMENT ON FUNCTION _line_length IS 'metres along an encoded line, none if it cannot be decoded; immutable, strict, parallel safe';
COMMENT ON FUNCTION _join_lines IS
    'lines in the order of time, those that meet joined, without a share of the first and of the last; immutable, strict, parallel safe';

CREATE FUNCTION _driven(device_id text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE (distance_m double precision, matched_m double precision, doubtful_m double precision,
               raw_m double precision, driving_time interval, max_speed_mps real, first_start timestamptz,
               last_stop timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT coalesce(sum(p.metres), 0), coalesce(sum(p.metres) FILTER (WHERE p.grade = 'good'), 0),
           coalesce(sum(p.metres) FILTER (WHERE p.grade = 'doubtful'), 0),
           coalesce(sum(p.metres) FILTER (WHERE p.grade = 'raw'), 0),
           coalesce(sum(p.end_time - p.start_time), '0'), max(p.max_speed_mps) FILTER (WHERE p.grade = 'good'),
           min(p.start_time), max(p.end_time)
      FROM _path_parts(_driven.device_id, _driven.from_time, _driven.to_time) p;
END;
COMMENT ON FUNCTION _driven IS 'what a device drove in [from_time, to_time), one row; stable, parallel safe';

-- ---------------------------------------------------------------------------------------------
-- Days, weeks and months
-- ---------------------------------------------------------------------------------------------
-- Where clocks go back over midnight, a day has two: it begins with the first.
CREATE FUNCTION _period_start(local timestamp, time_zone text) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN (local AT TIME ZONE time_zone - interval '1 hour') AT TIME ZONE time_zone >= local
            THEN local AT TIME ZONE time_zone - interval '1 hour'
            ELSE local AT TIME ZONE time_zone END;
COMMENT ON FUNCTION _period_start IS 'the moment at which a local day begins; immutable, parallel safe';

-- Where clocks go back over midnight, the next period has begun with the first one already.
CREATE FUNCTION _period_of(moment timestamptz, by text, time_zone text) RETURNS timestamp
LANGUAGE sql STABLE PARALLEL SAFE
RETURN date_trunc(by, moment AT TIME ZONE time_zone)
       + CASE WHEN _period_start(date_trunc(by, moment AT TIME ZONE time_zone) + ('1 ' || by)::interval, time_zone) <= moment
              THEN ('1 ' || by)::interval ELSE interval '0' END;
COMMENT ON FUNCTION _period_of IS 'when the day, week or month of a moment begins, by the clock there; stable, parallel safe';

-- Strides of so many periods, each from a path on: what lies between, be it decades after a clock that once was
-- wrong, costs nothing. SET keeps the planner from putting this into the query that calls it, where each path would
-- reckon these expressions anew.
CREATE FUNCTION _periods(device_id text, from_time timestamptz, to_time timestamptz, by text, time_zone text)
RETURNS TABLE (period date, start_time timestamptz, end_time timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 30
SET jit = off
BEGIN ATOMIC
    WITH RECURSIVE strides AS (
        SELECT NULL::timestamp AS first, NULL::timestamp AS last, _periods.from_time AS next
        UNION ALL
        SELECT o.first, o.first + 31 * ('1 ' || _periods.by)::interval,
               _period_start(o.first + 32 * ('1 ' || _periods.by)::interval, _periods.time_zone)
          FROM (SELECT _period_of(greatest(n.start_time, s.next), _periods.by, _periods.time_zone) AS first
                  FROM strides s
                 CROSS JOIN LATERAL (
                    SELECT p.start_time FROM _stored_paths(_periods.device_id, s.next, _periods.to_time) p
                     WHERE p.start_time >= s.next OR p.end_time > s.next
                     ORDER BY p.start_time LIMIT 1) AS n
                OFFSET 0) AS o
    )
    SELECT p.local::date,
           greatest(_period_start(p.local, _periods.time_zone), _periods.from_time),
           least(_period_start(p.local + ('1 ' || _periods.by)::interval, _periods.time_zone), _periods.to_time)
      FROM strides s
     CROSS JOIN (SELECT _period_of((SELECT least(l.end_time, _periods.to_time) FROM cached_polylines l
                                     WHERE l.device_id = _periods.device_id AND l.start_time < _periods.to_time
                                     ORDER BY l.start_time DESC LIMIT 1), _periods.by, _periods.time_zone) AS last) AS known
     CROSS JOIN LATERAL generate_series(s.first, least(s.last, known.last), ('1 ' || _periods.by)::interval) AS p (local);
END;
COMMENT ON FUNCTION _periods IS
    'days, weeks or months of a time zone in which a device may have driven, as far as they lie in the range; stable, parallel safe';

CREATE FUNCTION _distances(device_ids text[], from_time timestamptz, to_time timestamptz, by text, time_zone text)
RETURNS TABLE (device_id text, period date, start_time timestamptz, end_time timestamptz,
               distance_m double precision, matched_m double precision, doubtful_m double precision,
               raw_m double precision, driving_time interval, max_speed_mps real, first_start timestamptz,
               last_stop timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT asked.device_id, p.period, p.start_time, p.end_time, d.*
      FROM (SELECT DISTINCT unnest(_distances.device_ids) AS device_id
            UNION ALL
            SELECT k.device_id FROM get_devices() k WHERE _distances.device_ids IS NULL) AS asked
     CROSS JOIN LATERAL _periods(asked.device_id, _distances.from_time, _distances.to_time, _distances.by,
                                 _distances.time_zone) p
     CROSS JOIN LATERAL _driven(asked.device_id, p.start_time, p.end_time) d
     WHERE d.first_start IS NOT NULL;
END;
COMMENT ON FUNCTION _distances IS 'the rows of get_distances() without its checks and its order; stable, parallel safe';

-- ---------------------------------------------------------------------------------------------
-- What is asked
-- ---------------------------------------------------------------------------------------------
CREATE FUNCTION _check_range(from_time timestamptz, to_time timestamptz, VARIADIC others text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF from_time IS NULL OR to_time IS NULL OR array_position(others, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'no distance without a range: an argument is null' USING ERRCODE = 'null_value_not_allowed',
            HINT = 'All times are from -infinity to infinity; only device_ids may be null, for all devices.';
    END IF;
    IF from_time > to_time THEN
        RAISE EXCEPTION 'from_time % is after to_time %', from_time, to_time
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give the begin of the range first.';
    END IF;
END
$$;
COMMENT ON FUNCTION _check_range IS 'refuses a range that is none, and other arguments that are null; immutable, parallel safe';

CREATE FUNCTION get_device_distance(device_id text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE (distance_m double precision, matched_m double precision, doubtful_m double precision,
               raw_m double precision, driving_time interval, max_speed_mps real, first_start timestamptz,
               last_stop timestamptz)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._check_range(from_time, to_time, device_id);
    RETURN QUERY SELECT d.* FROM @extschema@._driven(device_id, from_time, to_time) d;
END
$$;
COMMENT ON FUNCTION get_device_distance IS
    'metres that a device drove in [from_time, to_time), for how long, how fast, from when until when, one row; stable, parallel safe';

CREATE FUNCTION get_distances(device_ids text[], from_time timestamptz, to_time timestamptz, by text DEFAULT 'day',
                              time_zone text DEFAULT current_setting('TimeZone'))
RETURNS TABLE (device_id text, period date, start_time timestamptz, end_time timestamptz,
               distance_m double precision, matched_m double precision, doubtful_m double precision,
               raw_m double precision, driving_time interval, max_speed_mps real, first_start timestamptz,
               last_stop timestamptz)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
BEGIN
    PERFORM @extschema@._check_range(from_time, to_time, by, time_zone);
    IF by NOT IN ('day', 'week', 'month') THEN
        RAISE EXCEPTION 'by is "%", and must be day, week or month', by USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- A time zone that nobody knows is refused by name.
    PERFORM now() AT TIME ZONE time_zone;
    RETURN QUERY
    SELECT d.* FROM @extschema@._distances(device_ids, from_time, to_time, by, time_zone) d
     ORDER BY d.device_id, d.period;
END
$$;
COMMENT ON FUNCTION get_distances IS
    'what some devices (null: all) drove in [from_time, to_time) by day, week or month of a time zone, a row a device and period with driving; stable, parallel safe';

CREATE VIEW device_days AS
SELECT d.device_id, d.period AS day, d.start_time, d.end_time, d.distance_m, d.matched_m, d.doubtful_m, d.raw_m,
       d.driving_time, d.max_speed_mps, d.first_start, d.last_stop
  FROM _distances(NULL, '-infinity', 'infinity', 'day', current_setting('TimeZone')) d;
COMMENT ON VIEW device_days IS 'what each device drove on each day of the session''s time zone, a row a device and day with driving';
COMMENT ON COLUMN device_days.start_time IS 'when the day begins: at midnight, which need not be 24 hours before the next';
COMMENT ON COLUMN device_days.distance_m IS 'metres of all paths of the day';
COMMENT ON COLUMN device_days.matched_m IS 'metres of paths on roads, grade good';
COMMENT ON COLUMN device_days.doubtful_m IS 'metres of paths on roads, grade doubtful';
COMMENT ON COLUMN device_days.raw_m IS 'metres of paths straight through the points';
COMMENT ON COLUMN device_days.driving_time IS 'time on paths, short halts included';
COMMENT ON COLUMN device_days.max_speed_mps IS 'greatest speed in metres a second';
COMMENT ON COLUMN device_days.first_start IS 'when the first path of the day begins, or its midnight';
COMMENT ON COLUMN device_days.last_stop IS 'when the last path of the day ends, or the midnight after it';

-- ---------------------------------------------------------------------------------------------
-- Trips
-- ---------------------------------------------------------------------------------------------
CREATE FUNCTION get_device_trips(device_id text, from_time timestamptz, to_time timestamptz,
                                 min_stop interval DEFAULT '5 min')
RETURNS TABLE (start_time timestamptz, end_time timestamptz, distance_m double precision, matched_m double precision,
               doubtful_m double precision, raw_m double precision, driving_time interval, max_speed_mps real,
               matched_share double precision, encoded_polylines text[])
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._check_range(from_time, to_time, device_id, min_stop::text);
    IF min_stop < interval '0' THEN
        RAISE EXCEPTION 'min_stop is %, and must not be negative', min_stop USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
    WITH marked AS (
        SELECT p.*, coalesce(p.start_time - lag(p.end_time) OVER earlier >= min_stop AND
                             p.start_time > lag(p.end_time) OVER earlier, true) AS begins
          FROM @extschema@._path_parts(get_device_trips.device_id, from_time, to_time) p
        WINDOW earlier AS (ORDER BY p.start_time)
    ), numbered AS (
        SELECT m.*, count(*) FILTER (WHERE m.begins) OVER (ORDER BY m.start_time) AS trip FROM marked m
    )
    SELECT min(n.start_time), max(n.end_time), sum(n.metres),
           coalesce(sum(n.metres) FILTER (WHERE n.grade = 'good'), 0),
           coalesce(sum(n.metres) FILTER (WHERE n.grade = 'doubtful'), 0),
           coalesce(sum(n.metres) FILTER (WHERE n.grade = 'raw'), 0),
           sum(n.end_time - n.start_time), max(n.max_speed_mps) FILTER (WHERE n.grade = 'good'),
           coalesce(sum(n.metres) FILTER (WHERE n.grade <> 'raw'), 0) / nullif(sum(n.metres), 0),
           @extschema@._join_lines(array_agg(n.encoded_polyline ORDER BY n.start_time),
                                   max(n.cut_before), max(n.cut_after))
      FROM numbered n
     GROUP BY n.trip
     ORDER BY 1;
END
$$;
COMMENT ON FUNCTION get_device_trips IS
    'trips of a device in [from_time, to_time), oldest first; a pause of min_stop or longer, standing or silent, parts two; stable, parallel safe';
