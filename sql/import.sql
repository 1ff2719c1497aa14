-- The cache that the application kept before: its lines become paths, so that nothing has to be matched
-- anew.

-- A time without time zone is of the zone that is named. A polyline is bytes from '?' to '~'; each number ends
-- with one below '_', and two numbers are a vertex.
CREATE FUNCTION _old_paths(
    old regclass, device_column name, start_column name, end_column name, polyline_column name,
    confidence_column name, time_zone text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    zoned text[];
BEGIN
    SELECT array_agg(CASE WHEN @extschema@._column_type(old, c) = 'timestamp'::regtype
                          THEN format('(o.%I AT TIME ZONE %L)', c, time_zone) ELSE format('o.%I', c) END ORDER BY n)
      INTO zoned FROM unnest(ARRAY[start_column, end_column]) WITH ORDINALITY AS t (c, n);
    RETURN format(
        'SELECT o.%1$I::text AS device_id, %2$s AS start_time, %3$s AS end_time, o.%4$I::text AS line,
                %5$s AS confidence,
                length(regexp_replace(o.%4$I::text, ''[_-~]'', '''', ''g'')) AS numbers
           FROM %6$s o',
        device_column, zoned[1], zoned[2], polyline_column,
        CASE WHEN confidence_column IS NULL THEN 'NULL::double precision'
             ELSE format('o.%I::double precision', confidence_column) END,
        old);
END
$$;
COMMENT ON FUNCTION _old_paths IS 'the query that reads an older cache, as text; stable';

CREATE FUNCTION _is_taken(device_id text, from_time timestamptz, to_time timestamptz) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM _stored_paths(_is_taken.device_id, _is_taken.from_time, _is_taken.to_time) p
                    WHERE p.end_time > _is_taken.from_time)
        OR EXISTS (SELECT FROM processing_batches b
                    WHERE b.device_id = _is_taken.device_id
                      AND b.start_time < _is_taken.to_time AND b.end_time > _is_taken.from_time
                      AND b.start_time > _is_taken.from_time - interval '2 days')
        OR _is_taken.to_time >= now() - _look_back()
           AND _oldest_waiting(_is_taken.device_id, greatest(_is_taken.from_time, now() - _look_back()),
                               _is_taken.to_time) IS NOT NULL;
END;
COMMENT ON FUNCTION _is_taken IS
    'whether a device has paths in a range, or windows that are on record or that a run is about to take; stable';

CREATE FUNCTION import_matched_paths(
    relation regclass DEFAULT NULL,
    device_column name DEFAULT 'device_id',
    start_column name DEFAULT 'start_time',
    end_column name DEFAULT 'end_time',
    polyline_column name DEFAULT 'encoded_polyline',
    confidence_column name DEFAULT NULL,
    "precision" integer DEFAULT 5,
    time_zone text DEFAULT 'UTC',
    OUT imported bigint, OUT already_there bigint, OUT refused bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old regclass := coalesce(relation, to_regclass('@extschema@.matched_paths'), to_regclass('public.matched_paths'));
BEGIN
    IF old IS NULL THEN
        RAISE EXCEPTION 'there is no table matched_paths' USING ERRCODE = 'undefined_table',
            HINT = 'Name the table: import_matched_paths(''schema.table'').';
    END IF;
    IF "precision" NOT IN (5, 6) THEN
        RAISE EXCEPTION 'precision is %, and must be 5 or 6', "precision" USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- What lies where paths are already, where windows are on record or are about to be, or is too long for
    -- the readers' search, is left out.
    EXECUTE format(
        'WITH old AS (
            %s
        ), judged AS (
            SELECT o.*,
                   coalesce(o.line ~ ''^[?-~]*[?-^]$'' AND o.numbers %% 2 = 0 AND o.numbers >= 4
                            AND octet_length(o.device_id) BETWEEN 1 AND 255
                            AND isfinite(o.start_time) AND isfinite(o.end_time)
                            AND o.end_time >= o.start_time AND o.end_time < o.start_time + interval ''2 days'', false) AS usable
              FROM old o
        ), added AS (
            INSERT INTO @extschema@.cached_polylines (device_id, start_time, end_time, encoded_polyline,
                   osrm_confidence, point_count, match_status, grade)
            SELECT DISTINCT ON (j.device_id, j.start_time) j.device_id, j.start_time, j.end_time,
                   CASE WHEN $1 = 5 THEN j.line
                        ELSE (SELECT @extschema@.encode_polyline(array_agg(v.longitude ORDER BY v.ordinal),
                                                                 array_agg(v.latitude ORDER BY v.ordinal))
                                FROM @extschema@.decode_polyline(j.line, $1) v) END,
                   CASE WHEN j.confidence IS NOT NULL THEN least(1, greatest(0, j.confidence)) END, j.numbers / 2, ''matched'', ''good''
              FROM judged j
             WHERE j.usable
               AND NOT @extschema@._is_taken(j.device_id, j.start_time, j.end_time)
             ORDER BY j.device_id, j.start_time, j.end_time DESC
            ON CONFLICT (device_id, start_time) DO NOTHING
            RETURNING id
        )
        SELECT (SELECT count(*) FROM added),
               (SELECT count(*) FILTER (WHERE j.usable) FROM judged j) - (SELECT count(*) FROM added),
               (SELECT count(*) FILTER (WHERE NOT j.usable) FROM judged j)',
        @extschema@._old_paths(old, device_column, start_column, end_column, polyline_column, confidence_column,
                               time_zone))
       INTO imported, already_there, refused USING "precision";
END
$$;
COMMENT ON FUNCTION import_matched_paths IS
    'copies lines of an older cache into cached_polylines, except where paths are already; counts what was left out; volatile';
