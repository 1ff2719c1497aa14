-- The way back: how one gets rid of the extension without losing what it made.

CREATE FUNCTION keep_paths(new_schema name, OUT paths regclass, OUT stops regclass)
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    item text;
BEGIN
    IF format('%I', new_schema) = '@extschema@' THEN
        RAISE EXCEPTION 'the tables are in schema "%" already', new_schema
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name another schema, so that the extension can be created again.';
    END IF;
    IF new_schema ~ '^pg_' OR new_schema = 'information_schema' THEN
        RAISE EXCEPTION 'schema "%" is of the system', new_schema
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Make one for the paths: CREATE SCHEMA kept;';
    END IF;
    -- No row is copied: the tables leave the extension and move.
    FOREACH item IN ARRAY ARRAY['cached_polylines', 'stops'] LOOP
        EXECUTE format('ALTER EXTENSION osrm_matcher DROP SEQUENCE @extschema@.%I', item || '_id_seq');
        EXECUTE format('ALTER EXTENSION osrm_matcher DROP TABLE @extschema@.%I', item);
        EXECUTE format('ALTER TABLE @extschema@.%I SET SCHEMA %I', item, new_schema);
    END LOOP;
    paths := format('%I.cached_polylines', new_schema)::regclass;
    stops := format('%I.stops', new_schema)::regclass;
    RAISE NOTICE 'the extension has no tables of paths and stops any more: runs and reads fail'
        USING HINT = 'In the same transaction: DROP EXTENSION osrm_matcher;';
END
$$;
COMMENT ON FUNCTION keep_paths IS
    'takes the tables of paths and stops out of the extension into another schema, so that DROP EXTENSION leaves them; the last step before that; volatile, strict';

CREATE FUNCTION release_all() RETURNS TABLE (what text, done boolean)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    adopted regclass;
    detail text;
BEGIN
    RETURN QUERY SELECT 'processing is off the schedule', @extschema@.unschedule_processing();
    RETURN QUERY SELECT 'upkeep is off the schedule', @extschema@.unschedule_upkeep();
    FOR adopted IN SELECT a.relation FROM @extschema@.adopted_sources a WHERE a.shard_of IS NULL ORDER BY 1 LOOP
        -- One that cannot be released keeps none of the others.
        BEGIN
            what := format('table %s is as it was', adopted);
            done := @extschema@.release_source(adopted);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
            what := format('table %s stays adopted: %s', adopted, concat_ws(': ', SQLERRM, nullif(detail, '')));
            done := false;
        END;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION release_all IS
    'takes all jobs off the schedule and releases all adopted tables, as far as they can be; says what became of each; paths stay; volatile';
