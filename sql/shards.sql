-- More than one PostgreSQL: the points lie in a table that Citus distributes, whose shards are ordinary tables on its
-- workers. Those are the sources there, and paths lie beside them.
--
-- What Citus's catalogs say is asked by dynamic statements only: they may be missing.

-- ---------------------------------------------------------------------------------------------
-- Which devices a table holds
-- ---------------------------------------------------------------------------------------------
CREATE FUNCTION _check_key(device_key text, holds int8range) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (device_key IS NULL) <> (holds IS NULL) OR isempty(holds) THEN
        RAISE EXCEPTION 'device_key and holds go together: a number for each device, and which of them the table holds'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Such as device_key => ''hashtext(device_id)'', holds => ''[0, 1000000]''.';
    END IF;
    IF device_key IS NOT NULL THEN
        EXECUTE format('SELECT (%s)::bigint FROM (SELECT NULL::text) AS d (device_id)', device_key);
    END IF;
END
$$;
COMMENT ON FUNCTION _check_key IS 'raises an error where a key is no expression over device_id that gives a number; stable';

-- ---------------------------------------------------------------------------------------------
-- What Citus says
-- ---------------------------------------------------------------------------------------------
CREATE FUNCTION _distribution(relation regclass, OUT method text, OUT by_column name)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL THEN
        EXECUTE 'SELECT p.partmethod, column_to_column_name(p.logicalrelid, p.partkey)
                   FROM pg_dist_partition p WHERE p.logicalrelid = $1'
           INTO method, by_column USING relation;
    END IF;
END
$$;
COMMENT ON FUNCTION _distribution IS 'how Citus distributes a table, and by which column; null if it does not; stable';

CREATE FUNCTION _is_shard(relation regclass) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    is_shard boolean := false;
BEGIN
    IF to_regprocedure('pg_catalog.relation_is_a_known_shard(regclass)') IS NOT NULL THEN
        EXECUTE 'SELECT relation_is_a_known_shard($1)' INTO is_shard USING relation;
    END IF;
    RETURN is_shard;
END
$$;
COMMENT ON FUNCTION _is_shard IS 'whether a table is a shard of a table of Citus; stable';

-- Citus leaves schema public out of their names.
CREATE FUNCTION _local_shards(relation regclass) RETURNS TABLE (shard regclass, hashes int8range)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY EXECUTE
        'SELECT n.shard, int8range(s.shardminvalue::bigint, s.shardmaxvalue::bigint, ''[]'')
           FROM pg_dist_shard s
           JOIN pg_dist_placement p ON p.shardid = s.shardid AND p.shardstate = 1
           JOIN pg_dist_local_group g ON g.groupid = p.groupid
          CROSS JOIN LATERAL (SELECT to_regclass($2 || shard_name(s.logicalrelid, s.shardid)) AS shard) n
          WHERE s.logicalrelid = $1 AND n.shard IS NOT NULL'
      USING relation, CASE WHEN (@extschema@._relation(relation)).relnamespace = to_regnamespace('public') THEN 'public.' ELSE '' END;
END
$$;
COMMENT ON FUNCTION _local_shards IS 'shards of a distributed table that lie on this server, and the hashes of their devices; stable';

-- ---------------------------------------------------------------------------------------------
-- Adopting
-- ---------------------------------------------------------------------------------------------
-- The statements are for the coordinator, once: an ALTER of shards would break later moves of them.
CREATE FUNCTION _require_shardable(source adopted_sources) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    distribution record := @extschema@._distribution(source.relation);
    missing text;
BEGIN
    IF distribution.method IS NULL THEN
        RAISE EXCEPTION 'table % is not distributed', source.relation
            USING ERRCODE = 'wrong_object_type', HINT = 'adopt_source() takes it as it is.';
    ELSIF distribution.method <> 'h' OR distribution.by_column <> source.device_column THEN
        RAISE EXCEPTION 'table % is not distributed by column "%": points of a device would lie in several shards',
            source.relation, source.device_column
            USING ERRCODE = 'wrong_object_type',
                  HINT = format('SELECT create_distributed_table(%L, %L);', source.relation, source.device_column);
    END IF;
    source.ready := false;
    SELECT string_agg(s.statement || ';', ' ' ORDER BY s.step) INTO missing
      FROM @extschema@._adoption_steps(source) s WHERE s.statement IS NOT NULL;
    IF NOT (@extschema@._has_columns(source.relation)
            AND @extschema@._has_indexes(source.relation, source.device_column, source.time_column)) THEN
        RAISE EXCEPTION 'table % lacks columns or indexes that its shards are to have from it', source.relation
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'On the coordinator, once: ' || missing;
    END IF;
END
$$;
COMMENT ON FUNCTION _require_shardable IS 'raises an error, with what to do, where shards of a table cannot be sources; stable';

-- A distributed table is on record, too, as one that is not read: its columns are those of shards that come later.
CREATE FUNCTION adopt_shards(
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
    course_column name DEFAULT NULL,
    speed_column name DEFAULT NULL)
RETURNS TABLE (shard regclass, what text)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    form @extschema@.adopted_sources;
    source @extschema@.adopted_sources;
    here record;
BEGIN
    SELECT a.* INTO form FROM @extschema@.adopted_sources a WHERE a.relation = adopt_shards.relation;
    IF form.relation IS NULL THEN
        form := @extschema@._describe_source(
            relation, device_column, time_column, coordinates_column, longitude_column, latitude_column,
            accuracy_column, coordinate_order, time_zone, time_unit, course_column, speed_column);
        PERFORM @extschema@._require_shardable(form);
        form.added := '{}';
        form.ready := false;
        form.holds := 'empty';
        form.device_key := format('worker_hash(%s)', replace(form.device_value, '$value', 'device_id'));
        INSERT INTO @extschema@.adopted_sources VALUES (form.*);
    END IF;
    FOR shard IN DELETE FROM @extschema@.adopted_sources a
                  WHERE a.shard_of = adopt_shards.relation
                    AND a.relation NOT IN (SELECT s.shard FROM @extschema@._local_shards(adopt_shards.relation) s)
                 RETURNING a.relation LOOP
        what := 'forgotten';
        RETURN NEXT;
    END LOOP;
    FOR here IN SELECT * FROM @extschema@._local_shards(relation) s ORDER BY s.shard LOOP
        source := form;
        source.relation := here.shard;
        source.shard_of := form.relation;
        source.holds := here.hashes;
        source.ready := @extschema@._has_indexes(here.shard, form.device_column, form.time_column);
        source.adopted_at := now();
        shard := here.shard;
        INSERT INTO @extschema@.adopted_sources VALUES (source.*) ON CONFLICT DO NOTHING;
        what := CASE WHEN FOUND THEN 'adopted' ELSE 'kept' END;
        RETURN NEXT;
    END LOOP;
    PERFORM @extschema@._warn_of_locks();
END
$$;
COMMENT ON FUNCTION adopt_shards IS
    'lets points be read from the shards of a distributed table that lie on this server, and forgets those that do no longer; called again, it needs the table only; volatile';

-- ---------------------------------------------------------------------------------------------
-- After shards have moved
-- ---------------------------------------------------------------------------------------------
CREATE FUNCTION _adopt_moved() RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT adopt_shards(a.relation) FROM adopted_sources a WHERE isempty(a.holds);
END;
COMMENT ON FUNCTION _adopt_moved IS 'adopt_shards() for each table that it was called for; volatile';

-- A device's points come all together, so one says it: the oldest that was matched names a batch that is not here.
CREATE FUNCTION rematch_arrived(since interval DEFAULT '30 days') RETURNS bigint
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source record;
    here text[];
    arrived text[] := '{}';
BEGIN
    PERFORM @extschema@._adopt_moved();
    FOR source IN SELECT s.fragments FROM @extschema@._sources() s WHERE s.ordinal > 0 LOOP
        SELECT array_agg(q.device) INTO here
          FROM json_to_recordset(@extschema@._require_answer(@extschema@._ask_source(source.fragments,
            @extschema@._device_walk('p.{device} IS NOT NULL', '{readable}', 'true') ||
            'SELECT k.device::text AS device, oldest.batch_id
              FROM known k
             CROSS JOIN LATERAL (
                SELECT p.batch_id FROM {relation} p
                 WHERE p.{device} = k.device AND {since:$2} AND {until:$3} AND p.batch_id IS NOT NULL
                 ORDER BY p.{time} LIMIT 1) oldest', NULL, now() - since, now()))) AS q (device text, batch_id uuid)
         WHERE NOT EXISTS (SELECT FROM @extschema@.processing_batches b WHERE b.batch_id = q.batch_id);
        arrived := arrived || here;
    END LOOP;
    RETURN CASE WHEN arrived <> '{}' THEN @extschema@.start_rematch(now() - since, now(), arrived) END;
END
$$;
COMMENT ON FUNCTION rematch_arrived IS
    'matches devices anew whose points were matched on another server, back to an age, as a job; returns its id, null if there are none; volatile, strict';

CREATE FUNCTION _devices_on_record() RETURNS TABLE (device_id text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH RECURSIVE known AS (
        SELECT least((SELECT p.device_id FROM cached_polylines p ORDER BY p.device_id LIMIT 1),
                     (SELECT b.device_id FROM processing_batches b ORDER BY b.device_id LIMIT 1)) AS device_id
        UNION ALL
        SELECT least((SELECT p.device_id FROM cached_polylines p
                       WHERE p.device_id > k.device_id ORDER BY p.device_id LIMIT 1),
                     (SELECT b.device_id FROM processing_batches b
                       WHERE b.device_id > k.device_id ORDER BY b.device_id LIMIT 1))
          FROM known k
         WHERE k.device_id IS NOT NULL
    )
    SELECT k.device_id FROM known k WHERE k.device_id IS NOT NULL;
END;
COMMENT ON FUNCTION _devices_on_record IS 'devices that have paths or batches, in alphabetical order; stable';

CREATE FUNCTION forget_departed(max_devices integer DEFAULT 1000,
    OUT devices bigint, OUT paths bigint, OUT stops bigint, OUT batches bigint)
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Devices of a shard that is not adopted yet would be taken for departed.
    PERFORM @extschema@._adopt_moved();
    IF (SELECT count(a.holds) < greatest(count(*), 1) FROM @extschema@.adopted_sources a) THEN
        RAISE EXCEPTION 'it is not known which devices lie on this server'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'SELECT relation, holds FROM @extschema@.adopted_sources; each of them has to say which devices it holds.';
    END IF;
    SELECT count(*), coalesce(sum(f.paths), 0), coalesce(sum(f.stops), 0), coalesce(sum(f.batches), 0)
      INTO devices, paths, stops, batches
      FROM (SELECT d.device_id FROM @extschema@._devices_on_record() d
             WHERE @extschema@.holds_device(d.device_id) IS FALSE LIMIT max_devices) gone
     CROSS JOIN LATERAL @extschema@.forget_device(gone.device_id) f;
END
$$;
COMMENT ON FUNCTION forget_departed IS
    'forgets up to so many devices whose points lie on this server no longer; says how many they were, and what was deleted of them; volatile, strict';
