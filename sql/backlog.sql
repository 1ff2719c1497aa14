-- What waits: counted up to a number of points, and estimated beyond, from a number of points again.

-- Fleets send at whole seconds, or minutes: what was read of an end breaks off within such a moment, and may all be of it.
CREATE FUNCTION _density(fragments json, oldest timestamptz, newest timestamptz, before_last bigint, until timestamptz,
    OUT rate double precision, OUT tick bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF newest > oldest THEN
        rate := before_last / extract(epoch FROM newest - oldest);
        RETURN;
    END IF;
    SELECT t.points / nullif(t.seconds, 0), t.points INTO rate, tick
      FROM json_to_recordset(@extschema@._ask_source(fragments,
        'SELECT (SELECT count(*) FROM (SELECT FROM {relation} p
                  WHERE p.processed::int = 0 AND {since:$2} AND {until:($2 + interval ''1 us'')}
                  ORDER BY p.{time} LIMIT $5) q) AS points,
                extract(epoch FROM coalesce(
                    (SELECT {time_expression} FROM {relation} p
                      WHERE p.processed::int = 0 AND {since:($2 + interval ''1 us'')} AND {until:$3}
                      ORDER BY p.{time} LIMIT 1) - $2,
                    $2 - (SELECT {time_expression} FROM {relation} p
                           WHERE p.processed::int = 0 AND {since:($2 - interval ''1 day'')} AND {until:$2}
                           ORDER BY p.{time} DESC LIMIT 1))) AS seconds', NULL, oldest, until, 50000))
           AS t (points bigint, seconds double precision);
END
$$;
COMMENT ON FUNCTION _density IS
    'unprocessed points a second at an end of a source, by those read before its last moment; where all are of one moment, by all points of that, up to 50,000 (tick), and the time to the next or from the one before; stable';

-- The nearer to the end, the closer the places that are looked at: what is live is dense, and what came late thin. Where
-- the first point is long in coming there are none. That none is looked for before $2 tells the planner what partitions
-- there is nothing in.
CREATE FUNCTION _between(fragments json, begins timestamptz, ends timestamptz, early double precision, late double precision)
RETURNS double precision
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT sum((r.seconds - r.next_seconds) * (r.rate + r.next_rate) / 2)
          FROM (SELECT p.seconds, p.rate, lead(p.seconds) OVER w AS next_seconds, lead(p.rate) OVER w AS next_rate
                  FROM (VALUES (extract(epoch FROM ends - begins)::double precision, early), (0, late)
                        UNION ALL
                        SELECT c.seconds, coalesce(c.rate, greatest(early, late))
                          FROM json_to_recordset(@extschema@._ask_source(fragments,
                            'SELECT extract(epoch FROM $3 - t.at) AS seconds,
                                    CASE WHEN q.newest - q.oldest > q.oldest - t.at
                                         THEN q.points / extract(epoch FROM q.newest - q.oldest)
                                         WHEN q.newest > q.oldest THEN q.points / extract(epoch FROM q.newest - t.at) END AS rate
                               FROM (SELECT $3 - ($3 - $2) / 2 ^ n AS at FROM generate_series(1, 9) n) t
                              CROSS JOIN LATERAL (
                                SELECT min(o.at) AS oldest, o.newest, count(*) FILTER (WHERE o.at < o.newest) AS points
                                  FROM (SELECT l.at, max(l.at) OVER () AS newest
                                          FROM (SELECT {time_expression} AS at FROM {relation} p
                                                 WHERE p.processed::int = 0 AND {since:t.at} AND {since:$2}
                                                 ORDER BY p.{time} LIMIT 200) l) o
                                 GROUP BY o.newest) q', NULL, begins, ends))
                               AS c (seconds double precision, rate double precision)) AS p (seconds, rate)
                WINDOW w AS (ORDER BY p.seconds DESC)) r);
END
$$;
COMMENT ON FUNCTION _between IS
    'how many unprocessed points of a source lie between two moments, by their number a second at both (before and after) and at nine moments between, where that can be told from 200 points; stable';

-- long: one statement, so that both ends and what lies between them are of one moment.
-- Reads waiting points by their time, from both ends, until so many are counted. How many lie between is estimated, and
-- how many devices and windows they are of from forty of those that were read: how many points the device of each has.
-- An end counts by how dense it is.
CREATE FUNCTION _backlog_of(fragments json, since timestamptz, until timestamptz, most integer,
    OUT points bigint, OUT windows bigint, OUT devices bigint, OUT oldest timestamptz,
    OUT waiting_since timestamptz, OUT estimated boolean)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    seen record;
    early record;
    late record;
    all_points double precision;
    late_share double precision;
BEGIN
    SELECT * INTO seen FROM json_to_recordset(@extschema@._ask_source(fragments,
        'WITH first AS MATERIALIZED (
            SELECT p.{device} AS device, {time_expression} AS at, {arrival} AS arrival FROM {relation} p
             WHERE p.processed::int = 0 AND {since:$2} AND {until:$3}
             ORDER BY p.{time} LIMIT $5
        ), last AS MATERIALIZED (
            SELECT p.{device} AS device, {time_expression} AS at, {arrival} AS arrival FROM {relation} p
             WHERE p.processed::int = 0 AND {since:$2} AND {until:$3}
               AND {time_expression} > (SELECT max(f.at) FROM first f)
               AND (SELECT count(*) FROM first) = $5
             ORDER BY p.{time} DESC LIMIT $5
        ), ends AS (SELECT * FROM first UNION ALL SELECT * FROM last
        ), bounds AS (
            SELECT * FROM (SELECT min(at) AS oldest, max(at) AS gap_begins FROM first) f,
                   (SELECT min(at) AS gap_ends, max(at) AS newest, count(*) = $5 AS estimated FROM last) l
        ), devices AS (
            SELECT count(*) AS windows, sum(w.points) AS points, min(w.arrival) AS arrival
              FROM (SELECT e.device, count(*) AS points, min(e.arrival) AS arrival
                      FROM ends e GROUP BY e.device, date_bin($4, e.at, ''epoch'')) w
             GROUP BY w.device
        ), shares AS (
            SELECT s.nth > $5 AS late, 1 / c.points AS devices,
                   least(c.points, 1 + extract(epoch FROM date_bin($4, c.newest, ''epoch'') - date_bin($4, q.oldest, ''epoch''))
                                       / extract(epoch FROM $4)) / c.points AS windows
              FROM bounds b
             CROSS JOIN (SELECT e.device, row_number() OVER () AS nth FROM ends e) s
             CROSS JOIN LATERAL (
                SELECT count(*) AS points, min(o.at) AS oldest, max(o.at) AS newest
                  FROM (SELECT {time_expression} AS at FROM {relation} p
                         WHERE NOT p.processed AND p.{device} = s.device AND {since:$2} AND {until:$3}
                         ORDER BY p.{time} LIMIT 25) o) q
             CROSS JOIN LATERAL (
                SELECT q.points::numeric AS points, q.newest WHERE q.points BETWEEN 1 AND 24
                UNION ALL
                SELECT 1 + 24 * extract(epoch FROM b.newest - q.oldest) / extract(epoch FROM q.newest - q.oldest), b.newest
                 WHERE q.points = 25 AND q.newest > q.oldest) c
             WHERE b.estimated AND s.nth % greatest($5 / 20, 1) = 0
        )
        SELECT b.*, d.*, s.*,
               (SELECT count(*) FROM first f WHERE f.at < b.gap_begins) AS early,
               (SELECT count(*) FROM last l WHERE l.at > b.gap_ends) AS late
          FROM bounds b, (SELECT avg(devices) FILTER (WHERE NOT late) AS early_devices,
                                 avg(windows) FILTER (WHERE NOT late) AS early_windows,
                                 avg(devices) FILTER (WHERE late) AS late_devices,
                                 avg(windows) FILTER (WHERE late) AS late_windows FROM shares) s,
               (SELECT coalesce(sum(points), 0) AS points, coalesce(sum(windows), 0) AS windows,
                                 count(*) AS devices, min(arrival) AS waiting_since FROM devices) d',
        NULL, since, until, most / 2))
        AS s (points bigint, windows bigint, devices bigint, waiting_since timestamptz, estimated boolean, oldest timestamptz,
              gap_begins timestamptz, gap_ends timestamptz, newest timestamptz, early bigint, late bigint,
              early_devices double precision, early_windows double precision,
              late_devices double precision, late_windows double precision);
    SELECT seen.points, seen.windows, seen.devices, seen.oldest, seen.waiting_since, seen.estimated
      INTO points, windows, devices, oldest, waiting_since, estimated;
    IF estimated THEN
        SELECT * INTO early FROM @extschema@._density(fragments, seen.oldest, seen.gap_begins, seen.early, until);
        SELECT * INTO late FROM @extschema@._density(fragments, seen.gap_ends, seen.newest, seen.late, until);
        all_points := greatest(points, @extschema@._between(fragments, seen.gap_begins, seen.gap_ends, early.rate, late.rate)
            + CASE WHEN early.tick IS NULL THEN most / 2 ELSE 0 END + coalesce(late.tick, most / 2));
        late_share := late.rate / (early.rate + late.rate);
        devices := greatest(devices, all_points * (seen.early_devices + late_share * (seen.late_devices - seen.early_devices)));
        windows := greatest(windows, all_points * (seen.early_windows + late_share * (seen.late_windows - seen.early_windows)));
        points := all_points;
    END IF;
END
$$;
COMMENT ON FUNCTION _backlog_of IS
    'unprocessed points of one source in a range; exact up to so many, estimated beyond; stable';

-- Only an index by time, read in its order, lets a search end after so many: statistics, which know nothing of
-- what waits, may have all of it collected and sorted instead.
CREATE FUNCTION _backlog(most integer DEFAULT 2000,
    OUT points bigint, OUT windows bigint, OUT devices bigint, OUT oldest timestamptz,
    OUT waiting_since timestamptz, OUT estimated boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET jit = off
AS $$
BEGIN
    SELECT sum(b.points), sum(b.windows), sum(b.devices), min(b.oldest), min(b.waiting_since), bool_or(b.estimated)
      INTO points, windows, devices, oldest, waiting_since, estimated
      FROM @extschema@._sources() s
     CROSS JOIN LATERAL @extschema@._backlog_of(
                s.fragments, now() - @extschema@._look_back(), now() + interval '1 hour', most) b;
END
$$;
COMMENT ON FUNCTION _backlog IS
    'unprocessed points within the look-back; exact up to so many a source, estimated beyond; stable';

CREATE FUNCTION _first_waiting(fragments json, since timestamptz, until timestamptz, most integer, OUT points bigint, OUT oldest timestamptz)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT * INTO points, oldest FROM json_to_recordset(@extschema@._ask_source(fragments,
        'SELECT count(*) AS points, min(q.at) AS oldest
           FROM (SELECT {time_expression} AS at FROM {relation} p
                  WHERE p.processed::int = 0 AND {since:$2} AND {until:$3}
                  ORDER BY p.{time} LIMIT $5) q', NULL, since, until, most))
        AS c (points bigint, oldest timestamptz);
    -- A source that fails says nothing.
    points := coalesce(points, 0);
END
$$;
COMMENT ON FUNCTION _first_waiting IS
    'unprocessed points of a source in a range, counted up to so many, and the oldest of them; stable';

-- Points that no run takes by itself any more: an outage was longer than the look-back, or they came later still.
-- What lay in a table before it was adopted was never meant to be.
CREATE FUNCTION _behind_look_back(most integer DEFAULT 5000, OUT points bigint, OUT oldest timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET jit = off
AS $$
BEGIN
    SELECT coalesce(sum(w.points), 0), min(w.oldest) INTO points, oldest
      FROM @extschema@._sources() s
      LEFT JOIN @extschema@.adopted_sources a USING (relation)
     CROSS JOIN LATERAL @extschema@._first_waiting(
                s.fragments, coalesce(a.adopted_at - @extschema@._look_back(), '-infinity'), now() - @extschema@._look_back(), most) w;
END
$$;
COMMENT ON FUNCTION _behind_look_back IS
    'unprocessed points from before the look-back, counted up to so many a source, and the oldest of them; stable';

-- Points that no run takes yet: a device's clock may be ahead by a day, and no more.
CREATE FUNCTION _points_ahead(most integer DEFAULT 5000, OUT points bigint, OUT oldest timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET jit = off
AS $$
BEGIN
    SELECT coalesce(sum(w.points), 0), min(w.oldest) INTO points, oldest
      FROM @extschema@._sources() s
     CROSS JOIN LATERAL @extschema@._first_waiting(s.fragments, now() + interval '1 day', 'infinity', most) w;
END
$$;
COMMENT ON FUNCTION _points_ahead IS
    'unprocessed points of more than a day in the future, counted up to so many a source, and the first of them; stable';
