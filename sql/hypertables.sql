-- Hypertables of TimescaleDB, whose rows lie in chunks: tables that inherit from them. They are adopted as a
-- partitioned table is, but for the indexes of chunks, which are no parts of the hypertable's.
--
-- What TimescaleDB's catalogs say is asked by dynamic statements only: they may be missing. A relation of such a
-- name that is none of its own is anybody's, and is not asked.

CREATE FUNCTION _is_of_timescaledb(relation text) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = to_regclass(_is_of_timescaledb.relation)
                      AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'timescaledb');
END;
COMMENT ON FUNCTION _is_of_timescaledb IS 'whether a relation of this name belongs to TimescaleDB; stable';

CREATE FUNCTION _name_of(relation regclass) RETURNS TABLE (hypertable_schema name, hypertable_name name)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT n.nspname, c.relname FROM _relation(_name_of.relation) c JOIN pg_namespace n ON n.oid = c.relnamespace;
END;
COMMENT ON FUNCTION _name_of IS 'schema and name of a table, by which catalogs of TimescaleDB know it; stable';

CREATE FUNCTION _is_hypertable(relation regclass) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found boolean := false;
BEGIN
    IF @extschema@._is_of_timescaledb('_timescaledb_catalog.hypertable') THEN
        EXECUTE 'SELECT EXISTS (SELECT FROM @extschema@._name_of($1) JOIN _timescaledb_catalog.hypertable h
                                   ON (h.schema_name, h.table_name) = (hypertable_schema, hypertable_name))'
           INTO found
          USING relation;
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION _is_hypertable IS 'whether a table is a hypertable of TimescaleDB; stable';

-- ---------------------------------------------------------------------------------------------
-- Compressed chunks
-- ---------------------------------------------------------------------------------------------
-- A compressed row has no address to be marked by, so those chunks are not read: points in them are to us as if they had
-- been deleted for their age. To leave them out by a bound of the time that chunks are cut by keeps them out of
-- each plan, too. That column need not be the one that points are read by.
CREATE FUNCTION _readable(relation regclass) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    compressible boolean;
    condition text;
BEGIN
    -- To look through hundreds of chunks takes its time, and each run asks.
    IF @extschema@._is_hypertable(relation) THEN
        EXECUTE 'SELECT h.compression_enabled
                   FROM @extschema@._name_of($1) JOIN timescaledb_information.hypertables h USING (hypertable_schema, hypertable_name)'
           INTO compressible
          USING relation;
    END IF;
    IF compressible THEN
        EXECUTE 'SELECT format(''p.%I >= %s'', k.primary_dimension,
                               coalesce(max(k.range_end_integer)::text,
                                        format(''%L::%s'', to_char(max(k.range_end) AT TIME ZONE ''UTC'', ''YYYY-MM-DD HH24:MI:SS.US"Z"''),
                                               k.primary_dimension_type)))
                   FROM @extschema@._name_of($1) JOIN timescaledb_information.chunks k USING (hypertable_schema, hypertable_name)
                  WHERE k.is_compressed
                  GROUP BY k.primary_dimension, k.primary_dimension_type'
           INTO condition
          USING relation;
    END IF;
    RETURN condition;
END
$$;
COMMENT ON FUNCTION _readable IS
    'the condition on row p of a hypertable that is true of none in a chunk that is compressed, or older than one; null if none is; stable';

-- What comes into a compressed chunk lies uncompressed beside the rest, until that is compressed again.
CREATE FUNCTION _came_late(relation regclass, fragments json) RETURNS TABLE (chunk regclass, points bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    FOR chunk IN
        EXECUTE 'SELECT c.chunk
                   FROM @extschema@._name_of($1) JOIN timescaledb_information.chunks k USING (hypertable_schema, hypertable_name)
                  CROSS JOIN LATERAL (SELECT format(''%I.%I'', k.chunk_schema, k.chunk_name)::regclass AS chunk) c
                  WHERE k.is_compressed AND pg_relation_size(c.chunk) > 0
                  ORDER BY k.chunk_name'
          USING relation
    LOOP
        SELECT q.points INTO points FROM json_to_recordset(@extschema@._ask_source(
            (fragments::jsonb || jsonb_build_object('relation', @extschema@._qualified(chunk)))::json,
            'SELECT count(*) AS points FROM (SELECT FROM ONLY {relation} p WHERE NOT p.processed LIMIT 5000) late')) AS q (points bigint);
        IF points > 0 THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION _came_late IS
    'compressed chunks of an adopted hypertable that unprocessed points have come into since, and how many, counted up to 5,000; stable';
