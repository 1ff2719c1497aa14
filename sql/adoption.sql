-- Adoption: points are read from a table that the application has already.
--
-- Adoption adds two columns with constant defaults, which touches no row, and indexes. An index of a large
-- table takes time, and inside of a function it would hold up writers while it is built; so beyond a size
-- it is left as a statement for CREATE INDEX CONCURRENTLY, which no function may run, and the source is
-- taken into use by the next run that finds the index ready.

-- ---------------------------------------------------------------------------------------------
-- Adopting
-- ---------------------------------------------------------------------------------------------
CREATE FUNCTION adopt_source(
    relation regclass,
    device_column name DEFAULT 'username',
    time_column name DEFAULT 'created_at',
    coordinates_column name DEFAULT 'coords',
    longitude_column name DEFAULT NULL,
    latitude_column name DEFAULT NULL,
    accuracy_column name DEFAULT NULL,
    coordinate_order text DEFAULT 'lonlat',
    time_zone text DEFAULT 'UTC',
    time_unit text DEFAULT NULL,
    dry_run boolean DEFAULT false)
RETURNS TABLE (step integer, what text, statement text, done boolean)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
#variable_conflict use_column
DECLARE
    device_type regtype;
    source @extschema@.adopted_sources;
    base name;
    unprocessed_index text;
    context_index text;
    has_context boolean;
    small boolean;
    kind "char";
    space name;
    attempt integer := 0;
BEGIN
    SELECT c.relkind, c.relname, n.nspname INTO kind, base, space
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation;
    IF kind IS DISTINCT FROM 'r' THEN
        RAISE EXCEPTION '% is not an ordinary table', relation
            USING ERRCODE = 'wrong_object_type',
                  HINT = 'Of a partitioned table, adopt the partitions that receive points.';
    END IF;
    IF EXISTS (SELECT FROM @extschema@.adopted_sources a WHERE a.relation = adopt_source.relation) THEN
        RAISE EXCEPTION 'table % is adopted already', relation
            USING ERRCODE = 'duplicate_object', HINT = 'To name other columns, release_source() it first.';
    END IF;
    IF EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                WHERE d.classid = 'pg_class'::regclass AND d.objid = relation
                  AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'osrm_matcher') THEN
        RAISE EXCEPTION 'table % belongs to osrm_matcher itself', relation USING ERRCODE = 'wrong_object_type';
    END IF;
    IF EXISTS (SELECT FROM pg_attribute a
                WHERE a.attrelid = relation AND a.attname IN ('processed', 'batch_id') AND NOT a.attisdropped) THEN
        RAISE EXCEPTION 'table % has a column "processed" or "batch_id" of its own', relation
            USING ERRCODE = 'duplicate_column', HINT = 'Rename it: adoption adds columns of these names.';
    END IF;

    -- What the worker is to read.
    source.relation := relation;
    source.device_column := device_column;
    source.time_column := time_column;
    device_type := @extschema@._column_type(relation, device_column);
    -- A device of another source may have a name that is no value of this type: that is nobody, not an error.
    CASE
        WHEN device_type IN ('text'::regtype, 'varchar', 'name') THEN source.device_value := '$value';
        WHEN device_type = 'bpchar'::regtype THEN source.device_value := '$value::bpchar';
        WHEN device_type IN ('int2'::regtype, 'int4', 'int8') THEN
            source.device_value := 'CASE WHEN $value ~ ''^(0|-?[1-9][0-9]{0,17})$'' THEN $value::bigint END';
        WHEN device_type = 'uuid'::regtype THEN
            source.device_value := 'CASE WHEN $value ~ ''^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'' THEN $value::uuid END';
        ELSE PERFORM @extschema@._refuse_type(relation, device_column, device_type, 'the name of a device');
    END CASE;
    SELECT e.expression, e.bound INTO source.time_expression, source.bound_expression
      FROM @extschema@._time_expressions(relation, time_column, time_zone, time_unit) e;
    IF longitude_column IS NULL AND latitude_column IS NULL THEN
        SELECT e.longitude, e.latitude INTO source.longitude_expression, source.latitude_expression
          FROM @extschema@._pair_expressions(relation, coordinates_column, coordinate_order) e;
    ELSIF longitude_column IS NULL OR latitude_column IS NULL THEN
        RAISE EXCEPTION 'longitude_column and latitude_column go together' USING ERRCODE = 'invalid_parameter_value';
    ELSE
        source.longitude_expression := @extschema@._number_expression(relation, longitude_column, 'a longitude', -180, 180);
        source.latitude_expression := @extschema@._number_expression(relation, latitude_column, 'a latitude', -90, 90);
    END IF;
    IF accuracy_column IS NOT NULL THEN
        source.accuracy_expression := @extschema@._number_expression(relation, accuracy_column, 'an accuracy', 0, 100000);
    END IF;

    -- What is to be done. An index of four megabytes of table is built in a tenth of a second or so.
    small := pg_relation_size(relation) <= 4 * 1024 * 1024;
    has_context := @extschema@._has_index(relation, device_column, time_column, false);
    unprocessed_index := left(base, 40) || '_osrm_unprocessed';
    context_index := left(base, 40) || '_osrm_device_time';
    RETURN QUERY VALUES
        (1, 'adds the column processed; no row is rewritten',
         format('ALTER TABLE %I.%I ADD COLUMN processed boolean NOT NULL DEFAULT false', space, base), NOT dry_run),
        (2, 'adds the column batch_id; no row is rewritten',
         format('ALTER TABLE %I.%I ADD COLUMN batch_id uuid', space, base), NOT dry_run),
        (3, CASE WHEN small THEN 'adds the index that finds new points; the table is small'
                 ELSE 'run this yourself, outside of a transaction; it holds up nobody. The index finds new points' END,
         format('CREATE INDEX %s%I ON %I.%I (%I, %I) WHERE NOT processed', CASE WHEN NOT small THEN 'CONCURRENTLY ' ELSE '' END,
                unprocessed_index, space, base, device_column, time_column), small AND NOT dry_run),
        (4, CASE WHEN has_context THEN 'nothing to do: an index on the device and the time is there'
                 WHEN small THEN 'adds the index that reads a device''s points; the table is small'
                 ELSE 'run this yourself, outside of a transaction; it holds up nobody. The index reads a device''s points' END,
         CASE WHEN NOT has_context THEN
             format('CREATE INDEX %s%I ON %I.%I (%I, %I)', CASE WHEN NOT small THEN 'CONCURRENTLY ' ELSE '' END,
                    context_index, space, base, device_column, time_column) END,
         has_context OR small AND NOT dry_run);
    IF dry_run THEN
        RETURN;
    END IF;

    -- The lock is wanted for an instant only, but to wait for it would hold up everybody behind us.
    LOOP
        BEGIN
            EXECUTE format('ALTER TABLE %I.%I ADD COLUMN processed boolean NOT NULL DEFAULT false, ADD COLUMN batch_id uuid',
                           space, base);
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            attempt := attempt + 1;
            IF attempt = 20 THEN
                RAISE EXCEPTION 'could not get hold of table %', relation
                    USING ERRCODE = 'lock_not_available',
                          HINT = 'A long transaction is using the table; adopt it when that has ended.';
            END IF;
            PERFORM pg_sleep(0.3);
        END;
    END LOOP;
    source.added := ARRAY[unprocessed_index::text];
    IF NOT has_context THEN
        source.added := source.added || context_index::text;
    END IF;
    IF small THEN
        EXECUTE format('CREATE INDEX %I ON %I.%I (%I, %I) WHERE NOT processed',
                       unprocessed_index, space, base, device_column, time_column);
        IF NOT has_context THEN
            EXECUTE format('CREATE INDEX %I ON %I.%I (%I, %I)', context_index, space, base, device_column, time_column);
        END IF;
    END IF;
    source.ready := small;
    source.adopted_at := now();
    INSERT INTO @extschema@.adopted_sources VALUES (source.*);
END
$$;
COMMENT ON FUNCTION adopt_source IS
    'lets points be read from a table of the application: adds the columns processed and batch_id and what indexes are missing, a large table''s as statements to be run; says what it does, and with dry_run only that; volatile';

CREATE FUNCTION release_source(relation regclass) RETURNS boolean
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
    source @extschema@.adopted_sources;
    space name;
    base name;
    item text;
    attempt integer := 0;
BEGIN
    DELETE FROM @extschema@.adopted_sources a
     WHERE a.relation = release_source.relation
    RETURNING a.* INTO source;
    IF source.relation IS NULL THEN
        RETURN false;
    END IF;
    SELECT n.nspname, c.relname INTO space, base
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation;
    LOOP
        BEGIN
            EXECUTE format('LOCK TABLE %I.%I IN ACCESS EXCLUSIVE MODE', space, base);
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            attempt := attempt + 1;
            IF attempt = 20 THEN
                RAISE EXCEPTION 'could not get hold of table %', relation
                    USING ERRCODE = 'lock_not_available',
                          HINT = 'A run or a long transaction is using the table; release it when that has ended.';
            END IF;
            PERFORM pg_sleep(0.3);
        END;
    END LOOP;
    FOREACH item IN ARRAY source.added LOOP
        EXECUTE format('DROP INDEX IF EXISTS %I.%I', space, item);
    END LOOP;
    EXECUTE format('ALTER TABLE %I.%I DROP COLUMN IF EXISTS processed, DROP COLUMN IF EXISTS batch_id', space, base);
    RETURN true;
END
$$;
COMMENT ON FUNCTION release_source IS
    'makes an adopted table what it was: columns and indexes that adoption added go, paths stay; false if it was not adopted; volatile, strict';

-- ---------------------------------------------------------------------------------------------
-- What a run does about adopted tables before it begins
-- ---------------------------------------------------------------------------------------------
-- Takes into use what has its indexes by now, and sets aside the rows that no window can hold: those
-- without a device or a time that is one.
CREATE FUNCTION _reject_unreachable() RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source record;
    here bigint;
    total bigint := 0;
BEGIN
    IF EXISTS (SELECT FROM @extschema@.adopted_sources a WHERE NOT a.ready) THEN
        UPDATE @extschema@.adopted_sources a
           SET ready = true
         WHERE NOT a.ready
           AND @extschema@._has_index(a.relation, a.device_column, a.time_column, true)
           AND @extschema@._has_index(a.relation, a.device_column, a.time_column, false);
    END IF;
    FOR source IN SELECT s.fragments FROM @extschema@._sources() s WHERE s.ordinal > 0 LOOP
        EXECUTE @extschema@._fill(
            'WITH RECURSIVE known AS (
                (SELECT p.{device} AS device FROM {relation} p
                  WHERE NOT p.processed AND p.{device} IS NOT NULL ORDER BY p.{device} LIMIT 1)
                UNION ALL
                SELECT (SELECT p.{device} FROM {relation} p
                         WHERE NOT p.processed AND p.{device} > k.device ORDER BY p.{device} LIMIT 1)
                  FROM known k WHERE k.device IS NOT NULL
            ), unusable AS (
                SELECT p.ctid AS address FROM {relation} p WHERE NOT p.processed AND p.{device} IS NULL
                UNION ALL
                SELECT bad.address
                  FROM known k
                 CROSS JOIN LATERAL (
                    SELECT p.ctid AS address FROM {relation} p
                     WHERE NOT p.processed AND p.{device} = k.device AND p.{time} IS NULL
                    UNION ALL
                    SELECT p.ctid FROM {relation} p
                     WHERE NOT p.processed AND p.{device} = k.device
                       AND p.{time} >= {bound:''infinity''::timestamptz}
                    UNION ALL
                    SELECT p.ctid FROM {relation} p
                     WHERE NOT p.processed AND p.{device} = k.device
                       AND p.{time} <= {bound:''-infinity''::timestamptz}) bad
            ), held AS MATERIALIZED (
                SELECT p.ctid AS address FROM {relation} p
                 WHERE p.ctid = ANY (ARRAY(SELECT u.address FROM unusable u)) FOR UPDATE SKIP LOCKED
            )
            UPDATE {relation} p SET processed = true FROM held h WHERE p.ctid = h.address', source.fragments);
        GET DIAGNOSTICS here = ROW_COUNT;
        total := total + here;
    END LOOP;
    RETURN total;
END
$$;
COMMENT ON FUNCTION _reject_unreachable IS
    'marks rows of adopted tables that no window can hold as processed and returns how many; volatile';
