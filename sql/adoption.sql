-- Adoption: points are read from a table that the application has already.
--
-- Adoption adds two columns with constant defaults, which touches no row, and indexes. An index of a large
-- table takes time, and inside of a function it would hold up writers while it is built; so beyond a size
-- it is left as a statement for CREATE INDEX CONCURRENTLY, which no function may run, and the source is
-- taken into use by the next run that finds the index ready.

-- ---------------------------------------------------------------------------------------------
-- Adopting
-- ---------------------------------------------------------------------------------------------
-- What adoption adds says so itself, in its COMMENT: that lasts through a dump, and where the extension was dropped
-- without release_source(). A column of this name without it is the application's own.
CREATE FUNCTION _added_columns(relation regclass) RETURNS name[]
LANGUAGE sql STABLE
RETURN ARRAY(SELECT a.attname FROM pg_attribute a
              WHERE a.attrelid = _added_columns.relation AND a.attname IN ('processed', 'batch_id')
                AND col_description(a.attrelid, a.attnum) LIKE 'added by osrm_matcher%'
              ORDER BY a.attnum);
COMMENT ON FUNCTION _added_columns IS 'the columns of a table that adoption has added; stable';

CREATE FUNCTION _has_columns(relation regclass) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT count(*) = 2
      FROM pg_attribute a
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE a.attrelid = _has_columns.relation AND NOT a.attisdropped
       AND CASE a.attname
               WHEN 'processed' THEN a.atttypid = 'boolean'::regtype AND a.attnotnull
                                     AND pg_get_expr(d.adbin, d.adrelid) = 'false'
               WHEN 'batch_id' THEN a.atttypid = 'uuid'::regtype AND NOT a.attnotnull AND d.oid IS NULL END;
END;
COMMENT ON FUNCTION _has_columns IS 'whether a table has the columns that adoption adds; stable';

CREATE FUNCTION _describe_source(
    relation regclass, device_column name, time_column name, coordinates_column name, longitude_column name,
    latitude_column name, accuracy_column name, coordinate_order text, time_zone text, time_unit text,
    course_column name, speed_column name)
RETURNS adopted_sources
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source @extschema@.adopted_sources;
BEGIN
    IF num_nulls(relation, device_column, time_column, coordinate_order, time_zone,
                 coalesce(coordinates_column, longitude_column, latitude_column)) > 0 THEN
        RAISE EXCEPTION 'points cannot be read without a table, columns of devices, times and coordinates, their order and a time zone: an argument is null'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave out what is to have its default.';
    END IF;
    source.relation := relation;
    source.device_column := device_column;
    source.time_column := time_column;
    source.device_value := @extschema@._device_value(relation, device_column);
    source.local_time := @extschema@._column_type(relation, time_column) = 'timestamp'::regtype;
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
    IF course_column IS NOT NULL THEN
        source.course_expression := @extschema@._number_expression(relation, course_column, 'a course', -360, 360);
    END IF;
    IF speed_column IS NOT NULL THEN
        source.speed_expression := @extschema@._number_expression(relation, speed_column, 'a speed', 0, 100000);
    END IF;
    source.added := @extschema@._added_indexes(relation, device_column, time_column);
    -- An index of four megabytes of table is built in a tenth of a second or so, and so are those of 64 small tables.
    source.ready := NOT @extschema@._is_half_adopted(relation, device_column, time_column)
        AND ((SELECT sum(pg_relation_size(t.part)) <= 4 * 1024 * 1024 AND count(*) <= 64 FROM @extschema@._tables_of(relation) t)
             OR @extschema@._has_indexes(relation, device_column, time_column));
    source.readable := @extschema@._readable(relation);
    source.column_types := @extschema@._types_of(relation, ARRAY[
        device_column, time_column, CASE WHEN longitude_column IS NULL THEN coordinates_column END, longitude_column,
        latitude_column, accuracy_column, course_column, speed_column]);
    source.adopted_at := now();
    RETURN source;
END
$$;
COMMENT ON FUNCTION _describe_source IS
    'a table as a source, its columns as expressions; ready where its indexes can be added at once; stable';

-- The lock is wanted for an instant only, but to wait for it would hold up everybody behind us. Autovacuum gives
-- way to whoever has waited for deadlock_timeout: so it is waited out for a lock that holds up no writer.
CREATE FUNCTION _lock_table(relation regclass, hint text, writers boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
    -- Whoever held it may have put another in its place, or dropped it: a number would say nothing of either.
    name text := relation;
BEGIN
    BEGIN
        PERFORM set_config('lock_timeout', (extract(epoch FROM current_setting('deadlock_timeout')::interval) * 1000
                                            + 1000)::integer::text, true);
        EXECUTE format('LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE', name);
        IF NOT writers THEN
            RETURN;
        END IF;
        PERFORM set_config('lock_timeout', '200ms', true);
        FOR attempt IN 1 .. 20 LOOP
            BEGIN
                EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', name);
                RETURN;
            EXCEPTION WHEN lock_not_available THEN
                CONTINUE WHEN attempt = 20;
                PERFORM pg_sleep(0.3);
            END;
        END LOOP;
    EXCEPTION WHEN lock_not_available THEN
        NULL;
    END;
    RAISE EXCEPTION 'could not get hold of table %', name USING ERRCODE = 'lock_not_available', HINT = hint;
END
$$;
COMMENT ON FUNCTION _lock_table IS
    'locks a table, partitions included, for altering it, or against others who would alter it, or raises lock_not_available after some seconds; volatile';

CREATE FUNCTION _warn_of_locks() RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sessions bigint := current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint;
    room bigint := sessions * current_setting('max_locks_per_transaction')::bigint;
    tables bigint;
BEGIN
    -- A table has five: its own, and those of its key and of three indexes. Others read, too, while a run holds them.
    WITH RECURSIVE part AS (
        SELECT a.relation::oid AS oid FROM @extschema@.adopted_sources a
        UNION ALL
        SELECT i.inhrelid FROM part p JOIN pg_inherits i ON i.inhparent = p.oid
    )
    SELECT count(*) INTO tables FROM part;
    IF 5 * tables > room / 2 THEN
        RAISE WARNING 'reading all adopted tables, which are % with their partitions, takes some % locks, more than half of the % that there is room for',
            tables, 5 * tables, room
            USING ERRCODE = 'configuration_limit_exceeded', DETAIL = 'Where there is no more room, runs and reads fail: out of shared memory (53200).',
                  HINT = format('ALTER SYSTEM SET max_locks_per_transaction = %s; then restart PostgreSQL.', ceil(20.0 * tables / sessions));
    END IF;
END
$$;
COMMENT ON FUNCTION _warn_of_locks IS
    'warns, with what to do, where the locks of all adopted tables come near what the server has room for; stable';

CREATE FUNCTION _warn_of_unusable(source adopted_sources) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    looked bigint;
    usable bigint;
BEGIN
    EXECUTE format('SELECT count(*), count(*) FILTER (WHERE q.at BETWEEN ''1980-01-06'' AND now() + interval ''1 day''
                                                      AND q.lon BETWEEN -180 AND 180 AND q.lat BETWEEN -90 AND 90)
                      FROM (SELECT %s AS at, (%s)::double precision AS lon, (%s)::double precision AS lat FROM %s p LIMIT 100) q',
                   source.time_expression, source.longitude_expression, source.latitude_expression,
                   @extschema@._qualified(source.relation))
       INTO looked, usable;
    IF looked > 0 AND usable = 0 THEN
        RAISE WARNING 'none of % rows of table % that were looked at holds a place and a time that can be a vehicle''s', looked, source.relation
            USING DETAIL = 'Rows without a usable place or time are marked as processed and counted as rejected; those of 1970, or of the future, wait.',
                  HINT = 'See that the columns named are those of places in degrees, longitude first, two numbers a point, and of times, and what time_unit says. release_source() takes it back.';
    END IF;
-- A table that cannot be read is set aside by the first run, with the reason.
EXCEPTION WHEN OTHERS THEN
    NULL;
END
$$;
COMMENT ON FUNCTION _warn_of_unusable IS
    'warns, with what to do, where a table holds rows and none of the first hundred can be a point; stable';

CREATE FUNCTION _take_steps(source adopted_sources, dry_run boolean)
RETURNS TABLE (step integer, what text, statement text, done boolean)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    has_columns boolean := @extschema@._has_columns(source.relation);
    whats text[];
    statements text[];
    at_once boolean[];
BEGIN
    -- What is to be done of hundreds of partitions takes its time to say: writers are held up after that.
    SELECT array_agg(s.what ORDER BY s.step), array_agg(s.statement ORDER BY s.step), array_agg(s.at_once ORDER BY s.step)
      INTO whats, statements, at_once FROM @extschema@._adoption_steps(source) s;
    IF NOT dry_run THEN
        PERFORM @extschema@._lock_table(source.relation, 'A long transaction is using the table; adopt it when that has ended.');
    END IF;
    FOR step, what, statement, done IN
        SELECT s.step, s.what, s.statement, s.at_once
          FROM unnest(whats, statements, at_once) WITH ORDINALITY AS s (what, statement, at_once, step) ORDER BY s.step
    LOOP
        IF dry_run THEN
            -- What is there already needs no doing.
            done := statement IS NULL;
        ELSIF done AND statement IS NOT NULL THEN
            EXECUTE statement;
        END IF;
        RETURN NEXT;
    END LOOP;
    IF NOT dry_run AND NOT has_columns THEN
        EXECUTE format('COMMENT ON COLUMN %1$s.processed IS ''added by osrm_matcher: whether the point has been processed'';
                        COMMENT ON COLUMN %1$s.batch_id IS ''added by osrm_matcher: the batch that took the point in''',
                       @extschema@._qualified(source.relation));
    END IF;
END
$$;
COMMENT ON FUNCTION _take_steps IS 'does what adoption does at once, and says what else there is to do, or with dry_run only says it; volatile';

-- long: its arguments alone take twenty lines.
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
    dry_run boolean DEFAULT false,
    course_column name DEFAULT NULL,
    speed_column name DEFAULT NULL,
    device_key text DEFAULT NULL,
    holds int8range DEFAULT NULL)
RETURNS TABLE (step integer, what text, statement text, done boolean)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
    source @extschema@.adopted_sources;
BEGIN
    IF dry_run IS NULL THEN
        RAISE EXCEPTION 'dry_run is null: say true or false' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM @extschema@._require_adoptable(relation);
    source := @extschema@._describe_source(
        relation, device_column, time_column, coordinates_column, longitude_column, latitude_column,
        accuracy_column, coordinate_order, time_zone, time_unit, course_column, speed_column);
    PERFORM @extschema@._check_key(device_key, holds);
    source.device_key := device_key;
    source.holds := holds;
    source.known_as := @extschema@._qualified(relation);
    PERFORM @extschema@._warn_of_unusable(source);
    IF NOT dry_run THEN
        PERFORM @extschema@._lock_table(
            relation, 'A long transaction is using the table; adopt it when that has ended.', writers => false);
        INSERT INTO @extschema@.adopted_sources VALUES (source.*);
    END IF;
    RETURN QUERY SELECT s.* FROM @extschema@._take_steps(source, dry_run) s;
    IF NOT dry_run THEN
        PERFORM @extschema@._warn_of_locks();
    END IF;
END
$$;
COMMENT ON FUNCTION adopt_source IS
    'lets points be read from a table of the application: adds the columns processed and batch_id and what indexes are missing, a large table''s as statements to be run; says what it does, and with dry_run only that; volatile';

CREATE FUNCTION finish_adoption(relation regclass) RETURNS TABLE (step integer, what text, statement text, done boolean)
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
    source @extschema@.adopted_sources;
    builder integer;
BEGIN
    SELECT a.* INTO source FROM @extschema@.adopted_sources a WHERE a.relation = finish_adoption.relation;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'table % is not adopted', relation
            USING ERRCODE = 'undefined_object', HINT = 'adopt_source() says what adopting it takes.';
    ELSIF source.shard_of IS NOT NULL OR isempty(source.holds) THEN
        RAISE EXCEPTION 'table % is adopted by adopt_shards()', relation
            USING ERRCODE = 'wrong_object_type', HINT = 'Call adopt_shards() as before: it says what is missing.';
    END IF;
    SELECT p.pid INTO builder
      FROM pg_stat_progress_create_index p
     WHERE p.datname = current_database() AND p.relid IN (SELECT t.part FROM @extschema@._tables_of(relation) t) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'an index of table % is being built, by process %', relation, builder
            USING ERRCODE = 'object_in_use', HINT = format('Let it come to its end, or break it off: SELECT pg_cancel_backend(%s);', builder);
    END IF;
    -- A table that is in use already is not as small as it may have been.
    source.ready := false;
    RETURN QUERY SELECT s.* FROM @extschema@._take_steps(source, false) s WHERE s.statement IS NOT NULL;
END
$$;
COMMENT ON FUNCTION finish_adoption IS
    'goes on with an adoption that was broken off: does what can be done at once, and says what else is left; no rows where nothing is; volatile, strict';

CREATE FUNCTION release_source(relation regclass) RETURNS boolean
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
    source @extschema@.adopted_sources;
    item regclass;
    columns name[];
    used text;
BEGIN
    DELETE FROM @extschema@.adopted_sources a
     WHERE a.relation = release_source.relation
    RETURNING a.* INTO source;
    IF source.relation IS NULL THEN
        RETURN false;
    END IF;
    -- Shards have columns and indexes from the distributed table, which is not altered here. What is gone needs nothing.
    DELETE FROM @extschema@.adopted_sources a WHERE a.shard_of = release_source.relation;
    IF source.shard_of IS NOT NULL OR isempty(source.holds) OR (@extschema@._relation(relation)).oid IS NULL THEN
        RETURN true;
    END IF;
    PERFORM @extschema@._lock_table(
        relation, 'A run or a long transaction is using the table; release it when that has ended.');
    -- Those of partitions that are attached go with their parents', and so do those that TimescaleDB has made.
    FOR item IN SELECT i.indexrelid
                  FROM @extschema@._tables_of(relation) t
                  JOIN pg_index i ON i.indrelid = t.part
                 CROSS JOIN LATERAL @extschema@._relation(i.indexrelid) c
                 WHERE NOT c.relispartition AND CASE WHEN t.part = relation THEN c.relname = ANY (source.added)
                            ELSE @extschema@._suffix(c.relname) IN (SELECT @extschema@._suffix(a) FROM unnest(source.added) a) END
                 ORDER BY t.level LOOP
        IF (@extschema@._relation(item)).oid IS NOT NULL THEN
            EXECUTE format('DROP INDEX %s', item);
        END IF;
    END LOOP;
    columns := @extschema@._added_columns(relation);
    IF columns <> '{}' THEN
        EXECUTE (SELECT format('ALTER TABLE %s %s', relation, string_agg(format('DROP COLUMN %I', c), ', ')) FROM unnest(columns) c);
    ELSIF @extschema@._has_columns(relation) THEN
        RAISE NOTICE 'the columns "processed" and "batch_id" of table % stay: they do not say that adoption added them', relation
            USING HINT = format('If nothing else needs them: ALTER TABLE %s DROP COLUMN processed, DROP COLUMN batch_id;', relation);
    END IF;
    RETURN true;
EXCEPTION WHEN dependent_objects_still_exist THEN
    GET STACKED DIAGNOSTICS used = PG_EXCEPTION_DETAIL;
    RAISE EXCEPTION 'table % cannot be released: something uses what adoption added to it', relation
        USING ERRCODE = 'dependent_objects_still_exist', DETAIL = used,
              HINT = 'Drop it, or make it anew without the columns "processed" and "batch_id"; then release the table.';
END
$$;
COMMENT ON FUNCTION release_source IS
    'makes an adopted table what it was: columns and indexes that adoption added go, those that were there before stay, and so do paths; forgets one that is gone, and the shards of a distributed one; false if it was not adopted; volatile, strict';

-- ---------------------------------------------------------------------------------------------
-- What a run does about adopted tables before it begins
-- ---------------------------------------------------------------------------------------------
CREATE FUNCTION _use_ready_sources() RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A table that has become a partition of an adopted one is read with that. One that was dropped may be made anew, as by a
    -- restore: until its name is adopted again it stays on record, for the alert.
    DELETE FROM @extschema@.adopted_sources a
     WHERE (@extschema@._relation(a.relation)).oid IS NULL
           AND (a.known_as IS NULL OR a.holds IS NOT NULL
                OR EXISTS (SELECT FROM @extschema@.adopted_sources o WHERE o.relation = to_regclass(a.known_as)))
        OR EXISTS (SELECT FROM pg_partition_ancestors(a.relation) p JOIN @extschema@.adopted_sources o ON o.relation = p.relid
                    WHERE p.relid <> a.relation);
    UPDATE @extschema@.adopted_sources a
       SET known_as = n.name
      FROM (SELECT s.relation, @extschema@._qualified(s.relation) AS name FROM @extschema@.adopted_sources s) n
     WHERE n.relation = a.relation AND n.name <> coalesce(a.known_as, '')
       AND @extschema@._replacement(a.relation, a.known_as) IS NULL;
    IF EXISTS (SELECT FROM @extschema@.adopted_sources a WHERE NOT a.ready) THEN
        UPDATE @extschema@.adopted_sources a
           SET ready = true
         WHERE NOT a.ready AND a.holds IS DISTINCT FROM 'empty'
           AND @extschema@._has_indexes(a.relation, a.device_column, a.time_column);
    END IF;
    IF @extschema@._is_of_timescaledb('timescaledb_information.chunks') THEN
        UPDATE @extschema@.adopted_sources a
           SET readable = r.readable
          FROM (SELECT s.relation, @extschema@._readable(s.relation) AS readable FROM @extschema@.adopted_sources s) r
         WHERE r.relation = a.relation AND r.readable IS DISTINCT FROM a.readable;
    END IF;
END
$$;
COMMENT ON FUNCTION _use_ready_sources IS
    'takes adopted tables into use that have their indexes by now, learns their names, forgets those that were dropped and adopted anew, and looks what of them is compressed; volatile';
