-- Adoption: points are read from a table that the application has already. Needs support.sql.
--
-- Adoption adds two columns with constant defaults, which touches no row, and indexes. An index of a large
-- table takes time, and inside of a function it would hold up writers while it is built; so beyond a size
-- it is left as a statement for CREATE INDEX CONCURRENTLY, which no function may run, and the source is
-- taken into use by the next run that finds the index ready.

-- ---------------------------------------------------------------------------------------------
-- From columns to expressions
-- ---------------------------------------------------------------------------------------------
-- The type of a column, domains looked through; an error names what is missing.
CREATE FUNCTION _column_type(relation regclass, column_name name) RETURNS regtype
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    type_id oid;
BEGIN
    SELECT a.atttypid INTO type_id
      FROM pg_attribute a
     WHERE a.attrelid = relation AND a.attname = column_name AND a.attnum > 0 AND NOT a.attisdropped;
    IF type_id IS NULL THEN
        RAISE EXCEPTION 'table % has no column "%"', relation, column_name
            USING ERRCODE = 'undefined_column',
                  HINT = 'Name the table''s columns: adopt_source(relation, device_column => ..., time_column => ..., ...).';
    END IF;
    WHILE EXISTS (SELECT FROM pg_type t WHERE t.oid = type_id AND t.typtype = 'd') LOOP
        SELECT t.typbasetype INTO type_id FROM pg_type t WHERE t.oid = type_id;
    END LOOP;
    RETURN type_id;
END
$$;
COMMENT ON FUNCTION _column_type IS 'base type of a column; stable';

CREATE FUNCTION _refuse_type(relation regclass, column_name name, type_id regtype, wanted text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'column "%" of table % is of type %, which cannot serve as %', column_name, relation, type_id, wanted
        USING ERRCODE = 'datatype_mismatch';
END
$$;
COMMENT ON FUNCTION _refuse_type IS 'raises datatype_mismatch; immutable';

-- A number that no cast may fail on: numeric holds more than double precision does.
CREATE FUNCTION _number_expression(relation regclass, column_name name, wanted text, low integer, high integer)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    type_id regtype := @extschema@._column_type(relation, column_name);
BEGIN
    CASE
        WHEN type_id IN ('float8'::regtype, 'float4', 'int2', 'int4', 'int8') THEN
            RETURN format('p.%I::double precision', column_name);
        WHEN type_id = 'numeric'::regtype THEN
            RETURN format('CASE WHEN p.%1$I BETWEEN %2$s AND %3$s THEN p.%1$I::double precision END',
                          column_name, low, high);
        ELSE
            PERFORM @extschema@._refuse_type(relation, column_name, type_id, wanted);
    END CASE;
END
$$;
COMMENT ON FUNCTION _number_expression IS 'the expression of a column that holds a number; stable';

-- Longitude and latitude out of one column. What holds no pair, gives null, and is counted as rejected.
CREATE FUNCTION _pair_expressions(relation regclass, column_name name, coordinate_order text,
                                  OUT longitude text, OUT latitude text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    type_id regtype := @extschema@._column_type(relation, column_name);
    type_name name;
    type_schema name;
    element text;
    number text;
    other text;
BEGIN
    SELECT t.typname, n.nspname INTO type_name, type_schema
      FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = type_id;
    CASE
        WHEN type_id IN ('float8[]'::regtype, 'float4[]', 'int2[]', 'int4[]', 'int8[]') THEN
            element := 'CASE WHEN cardinality(p.%1$I) = 2 THEN p.%1$I[%2$s]::double precision END';
            longitude := format(element, column_name, 1);
            latitude := format(element, column_name, 2);
        WHEN type_id = 'numeric[]'::regtype THEN
            element := 'CASE WHEN cardinality(p.%1$I) = 2 AND p.%1$I[%2$s] BETWEEN -180 AND 180 '
                    || 'THEN p.%1$I[%2$s]::double precision END';
            longitude := format(element, column_name, 1);
            latitude := format(element, column_name, 2);
        WHEN type_id = 'point'::regtype THEN
            longitude := format('p.%I[0]', column_name);
            latitude := format('p.%I[1]', column_name);
        WHEN type_name IN ('geometry', 'geography')
             AND EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                          WHERE d.classid = 'pg_type'::regclass AND d.objid = type_id
                            AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'postgis') THEN
            IF type_name = 'geometry' THEN
                EXECUTE format('SELECT %I.postgis_typmod_srid(a.atttypmod) FROM pg_attribute a
                                 WHERE a.attrelid = $1 AND a.attname = $2', type_schema)
                   INTO number USING relation, column_name;
                IF number NOT IN ('0', '4326') THEN
                    RAISE EXCEPTION 'column "%" of table % has SRID %, not 4326', column_name, relation, number
                        USING ERRCODE = 'feature_not_supported',
                              HINT = 'Add generated columns with longitude and latitude, and name those.';
                END IF;
            END IF;
            element := 'CASE WHEN %2$I.ST_GeometryType(p.%1$I::%2$I.geometry) = ''ST_Point'' '
                    || 'AND NOT %2$I.ST_IsEmpty(p.%1$I::%2$I.geometry) THEN %2$I.%3$I(p.%1$I::%2$I.geometry) END';
            longitude := format(element, column_name, type_schema, 'st_x');
            latitude := format(element, column_name, type_schema, 'st_y');
        ELSE
            PERFORM @extschema@._refuse_type(relation, column_name, type_id,
                'a pair of coordinates (an array of numbers, a point, or a geometry or geography of PostGIS)');
    END CASE;
    IF coordinate_order = 'latlon' THEN
        other := longitude;
        longitude := latitude;
        latitude := other;
    ELSIF coordinate_order IS DISTINCT FROM 'lonlat' THEN
        RAISE EXCEPTION 'coordinate_order is "%", and must be lonlat or latlon', coordinate_order
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;
COMMENT ON FUNCTION _pair_expressions IS 'the expressions of a column that holds a pair of coordinates; stable';

-- Time: the column as timestamptz, and a timestamptz ($t) as something that the column is compared with.
CREATE FUNCTION _time_expressions(relation regclass, column_name name, time_zone text, time_unit text,
                                  OUT expression text, OUT bound text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    type_id regtype := @extschema@._column_type(relation, column_name);
    factor bigint;
    low bigint;
    high bigint;
BEGIN
    CASE
        WHEN type_id = 'timestamptz'::regtype THEN
            expression := format('p.%I', column_name);
            bound := '$t';
        WHEN type_id = 'timestamp'::regtype THEN
            PERFORM now() AT TIME ZONE time_zone;
            expression := format('(p.%I AT TIME ZONE %L)', column_name, time_zone);
            bound := format('($t AT TIME ZONE %L)', time_zone);
        WHEN type_id IN ('int4'::regtype, 'int8', 'float8', 'numeric') THEN
            factor := CASE time_unit WHEN 's' THEN 1 WHEN 'ms' THEN 1000 WHEN 'us' THEN 1000000 END;
            IF factor IS NULL THEN
                RAISE EXCEPTION 'column "%" of table % is a number: time_unit must say whether it counts s, ms or us since 1970',
                    column_name, relation USING ERRCODE = 'invalid_parameter_value';
            END IF;
            -- The years 1 to 9999; what lies outside is no time.
            low := -62135596800 * factor;
            high := 253402300800 * factor;
            expression := format('CASE WHEN p.%1$I > %2$s AND p.%1$I < %3$s THEN to_timestamp(p.%1$I::double precision / %4$s) END',
                                 column_name, low, high, factor);
            bound := format(
                'CASE WHEN isfinite($t) THEN ceil(extract(epoch FROM $t) * %1$s)::%2$s WHEN $t > ''epoch'' THEN %4$s ELSE %3$s END',
                factor, CASE WHEN type_id IN ('int4'::regtype, 'int8') THEN 'bigint' ELSE type_id::text END, low, high);
            IF type_id IN ('float8'::regtype, 'numeric') THEN
                bound := replace(replace(bound, 'ceil(', '('), '%', '');
            END IF;
        ELSE
            PERFORM @extschema@._refuse_type(relation, column_name, type_id,
                'the time of a point (timestamp with or without time zone, or a number of s, ms or us since 1970)');
    END CASE;
END
$$;
COMMENT ON FUNCTION _time_expressions IS 'the expressions of a column that holds a time; stable';

-- Whether a valid index leads with these two columns: over the unprocessed rows, or over all of them.
CREATE FUNCTION _has_index(relation regclass, first_column name, second_column name, partial boolean) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (
        SELECT FROM pg_index i
          JOIN pg_class c ON c.oid = i.indexrelid
          JOIN pg_am m ON m.oid = c.relam AND m.amname = 'btree'
          JOIN pg_attribute d ON d.attrelid = i.indrelid AND d.attnum = i.indkey[0] AND d.attname = _has_index.first_column
          LEFT JOIN pg_attribute t ON t.attrelid = i.indrelid AND t.attnum = i.indkey[1] AND t.attname = _has_index.second_column
         WHERE i.indrelid = _has_index.relation AND i.indisvalid
           AND (_has_index.second_column IS NULL OR t.attname IS NOT NULL)
           AND CASE WHEN _has_index.partial THEN pg_get_expr(i.indpred, i.indrelid) = '(NOT processed)'
                    ELSE i.indpred IS NULL END);
END;
COMMENT ON FUNCTION _has_index IS 'whether a usable index leads with the columns; stable';

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
        WHEN device_type IN ('text'::regtype, 'varchar', 'name') THEN source.device_value := '$d';
        WHEN device_type = 'bpchar'::regtype THEN source.device_value := '$d::bpchar';
        WHEN device_type IN ('int2'::regtype, 'int4', 'int8') THEN
            source.device_value := 'CASE WHEN $d ~ ''^(0|-?[1-9][0-9]{0,17})$'' THEN $d::bigint END';
        WHEN device_type = 'uuid'::regtype THEN
            source.device_value := 'CASE WHEN $d ~ ''^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'' THEN $d::uuid END';
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
    FOR source IN SELECT s.* FROM @extschema@._sources() s WHERE s.place > 0 LOOP
        EXECUTE @extschema@._fill(
            'WITH RECURSIVE known AS (
                (SELECT p.{device} AS device FROM {relation} p
                  WHERE NOT p.processed AND p.{device} IS NOT NULL ORDER BY p.{device} LIMIT 1)
                UNION ALL
                SELECT (SELECT p.{device} FROM {relation} p
                         WHERE NOT p.processed AND p.{device} > k.device ORDER BY p.{device} LIMIT 1)
                  FROM known k WHERE k.device IS NOT NULL
            ), unusable AS (
                SELECT p.ctid AS place FROM {relation} p WHERE NOT p.processed AND p.{device} IS NULL
                UNION ALL
                SELECT bad.place
                  FROM known k
                 CROSS JOIN LATERAL (
                    SELECT p.ctid AS place FROM {relation} p
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
                SELECT p.ctid AS place FROM {relation} p
                 WHERE p.ctid = ANY (ARRAY(SELECT u.place FROM unusable u)) FOR UPDATE SKIP LOCKED
            )
            UPDATE {relation} p SET processed = true FROM held h WHERE p.ctid = h.place', source);
        GET DIAGNOSTICS here = ROW_COUNT;
        total := total + here;
    END LOOP;
    RETURN total;
END
$$;
COMMENT ON FUNCTION _reject_unreachable IS
    'marks rows of adopted tables that no window can hold as processed and returns how many; volatile';
