-- The tables that points lie in, and what waits there.

-- ---------------------------------------------------------------------------------------------
-- Which devices a source holds, as far as it says so
-- ---------------------------------------------------------------------------------------------
-- A key that fails for some text says nothing of it.
CREATE FUNCTION _device_keys(device_id text) RETURNS TABLE (device_key text, value bigint)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    FOR device_key IN SELECT DISTINCT a.device_key FROM @extschema@.adopted_sources a WHERE a.device_key IS NOT NULL LOOP
        BEGIN
            EXECUTE format('SELECT (%s)::bigint FROM (SELECT $1) AS d (device_id)', device_key) INTO value USING device_id;
        EXCEPTION WHEN OTHERS THEN
            value := NULL;
        END;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION _device_keys IS 'the keys by which sources say which devices they hold, and their values for one, null if there is none; stable, parallel unsafe';

CREATE FUNCTION holds_device(device_id text) RETURNS boolean
LANGUAGE plpgsql STABLE STRICT PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM @extschema@.gps_coordinates p WHERE p.device_id = holds_device.device_id) THEN
        RETURN true;
    END IF;
    -- Most databases have no source that says it: a fresh session need not plan the search for the key.
    IF NOT EXISTS (SELECT FROM @extschema@.adopted_sources a WHERE a.holds IS NOT NULL) THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT CASE WHEN bool_or(h.here) THEN true WHEN bool_and(h.here IS NOT NULL) THEN false END
              FROM (SELECT CASE WHEN isempty(a.holds) THEN false ELSE a.holds @> k.value END AS here
                      FROM @extschema@.adopted_sources a
                      LEFT JOIN @extschema@._device_keys(holds_device.device_id) k ON k.device_key = a.device_key) h);
END
$$;
COMMENT ON FUNCTION holds_device IS
    'whether points of a device lie on this server; null where not all adopted tables say which devices they hold; stable, strict, parallel unsafe';

-- ---------------------------------------------------------------------------------------------
-- Sources, as fragments of SQL
-- ---------------------------------------------------------------------------------------------
-- Statements over sources, here and in src/store/, have marks, which the fragments replace. `p` is the row.
--   {relation}         the table
--   {device}, {time}   its columns, as an index has them
--   {named:X}          the text X as a value that {device} is compared with; null where it cannot be one
--   {since:X}          whether the row's time is the timestamptz X or later, and the row can be read
--   {until:X}          whether it is before X
--   {bound:X}          X as a value that {time} is compared with, where X is no more than infinite
--   {readable}         whether the row can be read, as all can but for compressed ones: for what has no {since:X}
--   {time_expression}  the time as timestamptz
--   {arrival}          since when the row has been waiting, as far as it says so
--   {longitude}, {latitude}, {accuracy}, {course}, {speed}
-- Local times do not have the order of moments where clocks change: an hour comes twice, another never, and
-- is written all the same. So the index is searched between the earliest and the latest that a moment can be
-- in local time, which differ only within two hours of a change, and what it finds is compared as moments.
-- What a bound is made of goes with no setting, for partitions to be known when a statement is planned: of times in UTC, so.
-- The table of our own may be made anew (partition_points()), so its name is looked up with each call.
-- Not in statements: `owner`, with whose rights they run, `schema`, `row_security`, whether the table
-- has policies, `divided`, whether its rows lie in partitions or chunks, and `key`, whose values for the devices that
-- the table holds go from `lowest` until before `beyond`.
CREATE FUNCTION _sources(device_id text DEFAULT NULL)
RETURNS TABLE (ordinal bigint, relation regclass, fragments json, aside boolean, back boolean)
LANGUAGE sql STABLE PARALLEL UNSAFE
BEGIN ATOMIC
    SELECT row_number() OVER (ORDER BY s.adopted, c.oid) - 1, s.relation,
           json_strip_nulls(json_build_object(
               'relation', format('%I.%I', n.nspname, c.relname),
               'device', quote_ident(s.device_column), 'named', s.device_value,
               'time', quote_ident(s.time_column), 'bound', s.bound_expression,
               'since', format(CASE WHEN s.local_time THEN 'p.%1$I >= least(%3$s) AND %4$s >= $value'
                                    ELSE 'p.%1$I >= %2$s' END,
                               s.time_column, s.bound_expression, b.around, s.time_expression) || coalesce(' AND ' || s.readable, ''),
               'readable', coalesce(s.readable, 'true'),
               'until', format(CASE WHEN s.local_time THEN 'p.%1$I < greatest(%3$s) AND %4$s < $value'
                                    ELSE 'p.%1$I < %2$s' END,
                               s.time_column, s.bound_expression, b.around, s.time_expression),
               'time_expression', s.time_expression, 'arrival', s.arrival_expression,
               'longitude', s.longitude_expression, 'latitude', s.latitude_expression,
               'accuracy', s.accuracy_expression, 'course', s.course_expression, 'speed', s.speed_expression,
               'owner', CASE WHEN s.adopted THEN c.relowner::oid::text END,
               'schema', quote_ident(n.nspname), 'row_security', c.relrowsecurity::text,
               'divided', c.relhassubclass::text,
               'key', s.device_key, 'lowest', lower(s.holds)::text, 'beyond', upper(s.holds)::text)),
           -- More than some minutes ahead only a clock can have put it that was ahead itself.
           coalesce(s.set_aside_until BETWEEN clock_timestamp() AND clock_timestamp() + interval '10 min', false),
           coalesce(s.set_aside_until NOT BETWEEN clock_timestamp() AND clock_timestamp() + interval '10 min', false)
      FROM (SELECT false AS adopted, to_regclass('@extschema@.gps_coordinates') AS relation,
                   'device_id' AS device_column, '$value' AS device_value,
                   'recorded_at' AS time_column, '$value' AS bound_expression,
                   'p.recorded_at' AS time_expression, false AS local_time,
                   'greatest(p.recorded_at, p.created_at)' AS arrival_expression,
                   'p.longitude' AS longitude_expression, 'p.latitude' AS latitude_expression,
                   'p.accuracy' AS accuracy_expression, 'p.course' AS course_expression,
                   'p.speed' AS speed_expression, NULL::timestamptz AS set_aside_until,
                   NULL AS device_key, NULL::int8range AS holds, NULL AS readable
            UNION ALL
            SELECT true, a.relation, a.device_column, a.device_value, a.time_column, a.bound_expression,
                   a.time_expression, a.local_time, a.time_expression, a.longitude_expression, a.latitude_expression,
                   coalesce(a.accuracy_expression, n.number), coalesce(a.course_expression, n.number),
                   coalesce(a.speed_expression, n.number), a.set_aside_until, a.device_key, a.holds, a.readable
              FROM adopted_sources a
             CROSS JOIN (VALUES ('NULL::double precision')) AS n (number)
             WHERE a.ready
               AND (_sources.device_id IS NULL OR a.holds IS NULL
                    OR coalesce(a.holds @> (SELECT k.value FROM _device_keys(_sources.device_id) k
                                             WHERE k.device_key = a.device_key), true))) AS s
     CROSS JOIN LATERAL _relation(s.relation) c
      JOIN pg_namespace n ON n.oid = c.relnamespace
     CROSS JOIN LATERAL (
        SELECT string_agg(replace(s.bound_expression, '$value', v.there) || v.back, ', ') AS around
          FROM (VALUES ('$value', ''),
                       ('(($value AT TIME ZONE ''UTC'' + interval ''2 hours'') AT TIME ZONE ''UTC'')', ' - interval ''2 hours'''),
                       ('(($value AT TIME ZONE ''UTC'' - interval ''2 hours'') AT TIME ZONE ''UTC'')', ' + interval ''2 hours''')) AS v (there, back)) b
     ORDER BY 1;
END;
COMMENT ON FUNCTION _sources IS
    'tables that points are read from, those that may hold a device (null: all), the extension''s own first, as number 0; whether runs leave one out, or are to take it back; stable, parallel unsafe';
COMMENT ON FUNCTION _ask_source IS
    'rows of a query over a source as JSON, asked with the rights of its owner, or of the reader where the table has policies; null where the source fails; stable, parallel unsafe';

CREATE FUNCTION _require_answer(answer json) RETURNS json
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF answer IS NULL THEN
        RAISE EXCEPTION 'a source of points does not answer'
            USING ERRCODE = 'lock_not_available', HINT = 'SELECT relation, reason FROM @extschema@.adopted_sources;';
    END IF;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION _require_answer IS
    'what _ask_source() says; an error where the source fails, for those who cannot go on without it; immutable';

CREATE FUNCTION _device_walk(first text, within text, goes_on text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN replace(replace(replace(
    'WITH RECURSIVE known AS (
        (SELECT p.{device} AS device, 1 AS nth FROM {relation} p WHERE {first} AND {within} ORDER BY p.{device} LIMIT 1)
        UNION ALL
        SELECT (SELECT p.{device} FROM {relation} p WHERE p.{device} > k.device AND {within}
                 ORDER BY p.{device} LIMIT 1), k.nth + 1
          FROM known k WHERE k.device IS NOT NULL AND {goes_on}
    )', '{first}', first), '{within}', within), '{goes_on}', goes_on);
COMMENT ON FUNCTION _device_walk IS
    'the begin of a template of SQL over a source, which hops from one of its devices to the next in the index: known, with device, null after the last, and nth; immutable, strict, parallel safe';

-- ---------------------------------------------------------------------------------------------
-- Whether the table of our own is what it was
-- ---------------------------------------------------------------------------------------------
-- PostgreSQL lets it be moved, renamed and altered. A run would find no points then, without a word, or end with an
-- error that names a column and no remedy.
CREATE FUNCTION _points_problem(OUT problem text, OUT hint text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    named regclass := to_regclass('@extschema@.gps_coordinates');
    ours record;
BEGIN
    -- By the number of pg_class: its name may be that of a view over it.
    IF NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 1259 AND d.objid = named AND d.deptype = 'e') THEN
        -- No other table of the extension has such a column.
        SELECT c.oid::regclass AS relation, c.relnamespace::regnamespace AS space, c.relname INTO ours
          FROM pg_extension e
          JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
                          AND d.classid = 'pg_class'::regclass AND d.deptype = 'e'
          JOIN pg_attribute a ON a.attrelid = d.objid AND a.attname = 'recorded_at'
          JOIN pg_class c ON c.oid = d.objid AND c.relkind IN ('r', 'p') AND NOT c.relispartition
         WHERE e.extname = 'osrm_matcher';
        problem := concat(format('table %s is not there', '@extschema@.gps_coordinates'), ': it has become ' || ours.relation);
        hint := coalesce(nullif(concat_ws(' ',
            CASE WHEN ours.relname <> 'gps_coordinates' THEN format('ALTER TABLE %s RENAME TO gps_coordinates;', ours.relation) END,
            CASE WHEN ours.space <> '@extschema@'::regnamespace
                 THEN format('ALTER TABLE %s.gps_coordinates SET SCHEMA @extschema@;', ours.space) END), ''),
            'Restore it, or take the paths out with keep_paths() and create the extension anew.');
        RETURN;
    END IF;
    SELECT format('columns of table %s are not what they were: %s', named,
                  string_agg(CASE WHEN a.attname IS NULL THEN format('%s is gone', w.name)
                                  ELSE format('%s is %s', w.name, format_type(a.atttypid, a.atttypmod)) END, ', ')),
           format('Give them their names and types back: %s.', string_agg(w.name || ' ' || w.type, ', ')) INTO problem, hint
      FROM (VALUES ('device_id', 'text', 'S'), ('longitude', 'double precision', 'N'), ('latitude', 'double precision', 'N'),
                   ('recorded_at', 'timestamptz', NULL), ('created_at', 'timestamptz', NULL), ('processed', 'boolean', NULL),
                   ('batch_id', 'uuid', NULL), ('accuracy', 'double precision', 'N'), ('course', 'double precision', 'N'),
                   ('speed', 'double precision', 'N')) AS w (name, type, kind)
      LEFT JOIN pg_attribute a ON a.attrelid = named AND a.attname = w.name AND NOT a.attisdropped
      LEFT JOIN pg_type t ON t.oid = a.atttypid
     WHERE (t.oid = w.type::regtype OR t.typcategory = w.kind) IS NOT TRUE
    HAVING count(*) > 0;
END
$$;
COMMENT ON FUNCTION _points_problem IS
    'why points cannot be read from gps_coordinates, which somebody has moved or altered, and what to do; null where they can; stable';

CREATE FUNCTION _require_points() RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found record;
BEGIN
    SELECT p.* INTO found FROM @extschema@._points_problem() p;
    IF found.problem IS NOT NULL THEN
        RAISE EXCEPTION 'nothing is processed: %', found.problem
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = found.hint;
    END IF;
END
$$;
COMMENT ON FUNCTION _require_points IS 'raises an error, with what to do, where points cannot be read from gps_coordinates; stable';

CREATE FUNCTION _replacement(relation regclass, known_as text) RETURNS regclass
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c.oid::regclass
      FROM _relation(to_regclass(_replacement.known_as)) c
     WHERE c.oid <> _replacement.relation AND c.relkind IN ('r', 'p')
       AND NOT EXISTS (SELECT FROM adopted_sources o
                        WHERE o.relation = c.oid OR o.relation IN (SELECT p.relid FROM pg_partition_ancestors(c.oid) p));
END;
COMMENT ON FUNCTION _replacement IS
    'the table that has taken the name of an adopted one since, and is not read; null if there is none; stable';

-- ---------------------------------------------------------------------------------------------
-- Points that are in no path yet
-- ---------------------------------------------------------------------------------------------
-- Both run with their owner's rights: whoever may read paths may see the newest of a device's
-- points through them, and no other row of the tables that points lie in.
CREATE FUNCTION _oldest_waiting(device_id text, from_time timestamptz, to_time timestamptz)
RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source record;
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
    FOR source IN SELECT * FROM @extschema@._sources(device_id) s WHERE s.ordinal > 0 LOOP
        SELECT least(oldest, min(q.at)) INTO oldest
          FROM json_to_recordset(@extschema@._ask_source(
            source.fragments,
            'SELECT {time_expression} AS at FROM {relation} p
              WHERE NOT p.processed AND p.{device} = {named:$1}
                AND {since:$2} AND {until:$3}
              ORDER BY p.{time} LIMIT 1', device_id, from_time, to_time, for_reader => true)) AS q (at timestamptz);
    END LOOP;
    RETURN oldest;
END
$$;
COMMENT ON FUNCTION _oldest_waiting IS 'time of a device''s oldest unprocessed point in a range, null if there is none; stable, parallel unsafe';

CREATE FUNCTION _waiting_points(device_id text, from_time timestamptz, to_time timestamptz, most integer)
RETURNS TABLE (recorded_at timestamptz, longitude double precision, latitude double precision)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source record;
BEGIN
    RETURN QUERY
    SELECT p.recorded_at, p.longitude::double precision, p.latitude::double precision
      FROM @extschema@.gps_coordinates p
     WHERE NOT p.processed AND p.device_id = _waiting_points.device_id
       AND p.recorded_at >= from_time AND p.recorded_at < to_time
     ORDER BY p.recorded_at DESC
     LIMIT most;
    IF NOT EXISTS (SELECT FROM @extschema@.adopted_sources) THEN
        RETURN;
    END IF;
    FOR source IN SELECT * FROM @extschema@._sources(device_id) s WHERE s.ordinal > 0 LOOP
        RETURN QUERY
        SELECT q.at, q.lon, q.lat
          FROM json_to_recordset(@extschema@._ask_source(
            source.fragments,
            'SELECT {time_expression} AS at, ({longitude})::double precision AS lon, ({latitude})::double precision AS lat
               FROM {relation} p
              WHERE NOT p.processed AND p.{device} = {named:$1}
                AND {since:$2} AND {until:$3}
              ORDER BY p.{time} DESC LIMIT $5', device_id, from_time, to_time, most, true))
            AS q (at timestamptz, lon double precision, lat double precision);
    END LOOP;
END
$$;
COMMENT ON FUNCTION _waiting_points IS 'a device''s newest unprocessed points in a range, at most so many a source; stable, parallel unsafe';
