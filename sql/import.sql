-- The cache that the application kept before: its lines become paths, so that nothing has to be matched
-- anew.

-- A time without time zone is of the zone that is named. Each number of a polyline ends with a byte below '_', and
-- two numbers are a vertex. What is too long for the readers' search is no line either.
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
        'SELECT p.device_id, p.start_time, p.end_time,
                CASE WHEN octet_length(p.device_id) BETWEEN 1 AND 255
                      AND isfinite(p.start_time) AND isfinite(p.end_time)
                      AND p.end_time >= p.start_time AND p.end_time < p.start_time + interval ''2 days''
                     THEN @extschema@._imported_line(p.line, $1) END AS line,
                CASE WHEN p.confidence <> ''NaN'' THEN least(1, greatest(0, p.confidence)) END AS confidence,
                length(regexp_replace(p.line, ''[_-~]'', '''', ''g'')) / 2 AS vertices
           FROM (SELECT o.%1$I::text AS device_id, %2$s AS start_time, %3$s AS end_time, o.%4$I::text AS line,
                        %5$s AS confidence
                   FROM %6$s o) p
          ORDER BY p.device_id, p.start_time, p.end_time DESC',
        device_column, zoned[1], zoned[2], polyline_column,
        CASE WHEN confidence_column IS NULL THEN 'NULL::double precision'
             ELSE format('o.%I::double precision', confidence_column) END,
        old);
END
$$;
COMMENT ON FUNCTION _old_paths IS
    'the query that reads an older cache, of $1 decimals, as text: its lines as they are stored here, null where there is none; stable';

-- A path may end when it begins, and takes that instant.
CREATE FUNCTION _is_taken(device_id text, from_time timestamptz, to_time timestamptz) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM _stored_paths(_is_taken.device_id, _is_taken.from_time,
                                             greatest(_is_taken.to_time, _is_taken.from_time + interval '1 us')) p
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

COMMENT ON FUNCTION _imported_line IS
    'a line of another store, of so many decimals, as it is stored here, null where it is no line; immutable, strict, parallel safe';

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
    old_path record;
BEGIN
    IF old IS NULL THEN
        RAISE EXCEPTION 'there is no table matched_paths' USING ERRCODE = 'undefined_table',
            HINT = 'Name the table: import_matched_paths(''schema.table'').';
    END IF;
    IF "precision" IS NULL OR "precision" NOT IN (5, 6) THEN
        RAISE EXCEPTION 'precision is %, and must be 5 or 6', coalesce("precision"::text, 'null')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM @extschema@._require_read_committed('import_matched_paths()');
    imported := 0;
    already_there := 0;
    refused := 0;
    -- What lies where paths are already, where windows are on record or are about to be, is left out. One by one, so
    -- that a line is seen by those that begin later and overlap it.
    FOR old_path IN EXECUTE @extschema@._old_paths(old, device_column, start_column, end_column, polyline_column,
                                                   confidence_column, time_zone) USING "precision"
    LOOP
        IF old_path.line IS NULL THEN
            refused := refused + 1;
            CONTINUE;
        END IF;
        INSERT INTO @extschema@.cached_polylines (device_id, start_time, end_time, encoded_polyline,
               osrm_confidence, point_count, match_status, grade)
        SELECT old_path.device_id, old_path.start_time, old_path.end_time, old_path.line,
               old_path.confidence, old_path.vertices, 'matched', 'good'
         WHERE NOT @extschema@._is_taken(old_path.device_id, old_path.start_time, old_path.end_time)
        ON CONFLICT (device_id, start_time) DO NOTHING;
        IF FOUND THEN
            imported := imported + 1;
        ELSE
            already_there := already_there + 1;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION import_matched_paths IS
    'copies lines of an older cache into cached_polylines, except where paths are already; counts what was left out; volatile';
