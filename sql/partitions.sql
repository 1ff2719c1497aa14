-- gps_coordinates as a table partitioned by time, if its operator wants that: old points go by dropping a partition.
--
-- Partitions belong to the extension, as the table does, for a dump to hold their rows and to make none of them: what
-- restores it has made the table by CREATE EXTENSION.

CREATE FUNCTION _point_partitions() RETURNS TABLE (part regclass, from_time timestamptz, to_time timestamptz)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT i.inhrelid::regclass, substring(b.bound, 'FROM [(]''([^'']+)''[)]')::timestamptz,
           substring(b.bound, 'TO [(]''([^'']+)''[)]')::timestamptz
      FROM pg_inherits i
     CROSS JOIN LATERAL _relation(i.inhrelid) c
     CROSS JOIN LATERAL pg_get_expr(c.relpartbound, c.oid) AS b (bound)
     WHERE i.inhparent = to_regclass('@extschema@.gps_coordinates')
     ORDER BY 2;
END;
COMMENT ON FUNCTION _point_partitions IS
    'partitions of gps_coordinates with their ranges, that of all other times last, without a range; none while it is one table; stable';

CREATE FUNCTION _points_are_partitioned() RETURNS boolean
LANGUAGE sql STABLE
RETURN (_relation(to_regclass('@extschema@.gps_coordinates'))).relkind = 'p';
COMMENT ON FUNCTION _points_are_partitioned IS 'whether gps_coordinates is partitioned; stable';

-- pg_extension_config_dump() does this, but for scripts of an extension alone.
CREATE FUNCTION _add_to_extension(relation regclass, dump boolean) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('ALTER EXTENSION osrm_matcher ADD TABLE %s', relation);
    IF dump THEN
        UPDATE pg_extension e
           SET extconfig = e.extconfig || relation::oid, extcondition = e.extcondition || ''::text
         WHERE e.extname = 'osrm_matcher';
    END IF;
END
$$;
COMMENT ON FUNCTION _add_to_extension IS 'makes a table a member of the extension, whose rows are dumped or not; volatile';

-- Points that came early or late for their partition move to it. Its indexes are made as it is attached.
CREATE FUNCTION _make_partition(name text, bounds text, condition text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Every point is updated once; a table that is vacuumed late makes the search for new ones slow.
    EXECUTE format('CREATE TABLE @extschema@.%I (LIKE @extschema@.gps_coordinates INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
                    WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05)', name);
    PERFORM @extschema@._add_to_extension(format('@extschema@.%I', name)::regclass, true);
    IF condition IS NOT NULL THEN
        EXECUTE format('WITH moved AS (DELETE FROM @extschema@.gps_coordinates_rest p WHERE %s RETURNING p.*)
                        INSERT INTO @extschema@.%I SELECT m.* FROM moved m', condition, name);
    END IF;
    EXECUTE format('ALTER TABLE @extschema@.gps_coordinates ATTACH PARTITION @extschema@.%I %s', name, bounds);
END
$$;
COMMENT ON FUNCTION _make_partition IS 'makes a partition of gps_coordinates; volatile';

-- Partitions of the same length as the newest, unless another is asked for, for a week to come.
CREATE FUNCTION _make_partitions(since timestamptz DEFAULT NULL, every interval DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    step interval;
    start timestamptz;
    until timestamptz;
    made bigint := 0;
BEGIN
    SELECT coalesce(every, p.to_time - p.from_time), coalesce(p.to_time, date_bin(every, since, 'epoch')) INTO step, start
      FROM @extschema@._point_partitions() p ORDER BY p.to_time DESC NULLS LAST LIMIT 1;
    until := now() + greatest(interval '7 days', 2 * step);
    IF start < until THEN
        PERFORM @extschema@._lock_table('@extschema@.gps_coordinates_rest', 'A run or a long transaction is using it; the next upkeep() tries again.');
    END IF;
    WHILE start < until LOOP
        PERFORM @extschema@._make_partition(
            'gps_coordinates_' || to_char(start AT TIME ZONE 'UTC', 'YYYYMMDD_HH24MI'),
            format('FOR VALUES FROM (%L) TO (%L)', start, start + step),
            format('p.recorded_at >= %L AND p.recorded_at < %L', start, start + step));
        start := start + step;
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;
COMMENT ON FUNCTION _make_partitions IS
    'makes partitions of gps_coordinates ahead, if it has any; says how many; volatile';

CREATE FUNCTION _require_simple_points() RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    points regclass := '@extschema@.gps_coordinates'::regclass;
    size bigint := pg_total_relation_size(points);
    added text;
BEGIN
    IF size > 256 * 1024 * 1024 THEN
        RAISE EXCEPTION 'gps_coordinates takes %, too much to be copied while writers wait', pg_size_pretty(size)
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Let upkeep(points_older_than => ...) delete what is processed, and VACUUM FULL it; or have new points written to a partitioned table of yours, and adopt that.';
    END IF;
    SELECT string_agg(o.what, ', ') INTO added
      FROM (SELECT format('trigger "%s"', t.tgname) FROM pg_trigger t WHERE t.tgrelid = points AND NOT t.tgisinternal
            UNION ALL
            SELECT format('policy "%s"', p.polname) FROM pg_policy p WHERE p.polrelid = points
            UNION ALL
            SELECT 'a publication' FROM pg_publication_rel p WHERE p.prrelid = points) AS o (what);
    IF added IS NOT NULL THEN
        RAISE EXCEPTION 'gps_coordinates has what a new table would lack: %', added
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Drop it, and make it again afterwards.';
    END IF;
END
$$;
COMMENT ON FUNCTION _require_simple_points IS
    'raises an error, with what to do, where gps_coordinates is too large, or has too much about it, to be made anew; stable';

-- The same columns, constraints, indexes and comments, and the sequence; rows are copied by the caller.
CREATE FUNCTION _remake_points() RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    item record;
    about text := obj_description('@extschema@.gps_coordinates'::regclass, 'pg_class');
    rights aclitem[] := (@extschema@._relation('@extschema@.gps_coordinates'::regclass)).relacl;
BEGIN
    ALTER EXTENSION osrm_matcher DROP TABLE @extschema@.gps_coordinates;
    ALTER TABLE @extschema@.gps_coordinates RENAME TO gps_coordinates_whole;
    ALTER INDEX @extschema@.gps_coordinates_pkey RENAME TO gps_coordinates_whole_pkey;
    ALTER INDEX @extschema@.gps_coordinates_unprocessed RENAME TO gps_coordinates_whole_unprocessed;
    ALTER INDEX @extschema@.gps_coordinates_waiting RENAME TO gps_coordinates_whole_waiting;
    CREATE TABLE @extschema@.gps_coordinates (LIKE @extschema@.gps_coordinates_whole INCLUDING ALL) PARTITION BY RANGE (recorded_at);
    FOR item IN SELECT i.indexrelid::regclass AS name,
                       CASE WHEN i.indkey[0] = 2 THEN 'gps_coordinates_unprocessed' ELSE 'gps_coordinates_waiting' END AS known
                  FROM pg_index i WHERE i.indrelid = '@extschema@.gps_coordinates'::regclass AND i.indpred IS NOT NULL LOOP
        EXECUTE format('ALTER INDEX %s RENAME TO %I', item.name, item.known);
    END LOOP;
    EXECUTE format('COMMENT ON TABLE @extschema@.gps_coordinates IS %L', about);
    ALTER SEQUENCE @extschema@.gps_coordinates_id_seq OWNED BY @extschema@.gps_coordinates.id;
    PERFORM @extschema@._add_to_extension('@extschema@.gps_coordinates', false);
    -- Rights come after: what a member has as it joins is left out of dumps.
    FOR item IN SELECT a.* FROM aclexplode(rights) a
                 WHERE a.grantee <> (@extschema@._relation('@extschema@.gps_coordinates'::regclass)).relowner LOOP
        EXECUTE format('GRANT %s ON @extschema@.gps_coordinates TO %s%s', item.privilege_type,
                       CASE WHEN item.grantee = 0 THEN 'PUBLIC' ELSE item.grantee::regrole::text END,
                       CASE WHEN item.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
END
$$;
COMMENT ON FUNCTION _remake_points IS 'puts an empty partitioned table in the place of gps_coordinates, which is gps_coordinates_whole then; volatile';

CREATE FUNCTION partition_points(every interval DEFAULT '1 day') RETURNS bigint
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
    since timestamptz;
BEGIN
    IF every < interval '1 hour' OR extract(year FROM every) <> 0 OR extract(month FROM every) <> 0 THEN
        RAISE EXCEPTION 'a partition cannot be of %: an hour at least, and no months', every
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as 1 day, or 7 days.';
    END IF;
    IF @extschema@._points_are_partitioned() THEN
        RETURN @extschema@._make_partitions(every => every);
    END IF;
    PERFORM @extschema@._lock_table('@extschema@.gps_coordinates', 'A run or a long transaction is using it; try again when that has ended.');
    PERFORM @extschema@._require_simple_points();
    PERFORM @extschema@._remake_points();
    PERFORM @extschema@._make_partition('gps_coordinates_rest', 'DEFAULT', NULL);
    SELECT greatest(coalesce(min(p.recorded_at), now()), now() - interval '30 days') INTO since
      FROM @extschema@.gps_coordinates_whole p;
    PERFORM @extschema@._make_partitions(least(since, now()), every);
    INSERT INTO @extschema@.gps_coordinates SELECT p.* FROM @extschema@.gps_coordinates_whole p;
    DROP TABLE @extschema@.gps_coordinates_whole;
    RETURN (SELECT count(p.from_time) FROM @extschema@._point_partitions() p);
END
$$;
COMMENT ON FUNCTION partition_points IS
    'makes gps_coordinates, empty or small, a table partitioned by time, with partitions of a length for a week to come, which upkeep() goes on with; says how many were made; volatile, strict';

CREATE FUNCTION _drop_partition(old regclass) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    waits boolean;
    points bigint;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM %s p WHERE p.processed::int = 0)', old) INTO waits;
    IF waits THEN
        RETURN 0;
    END IF;
    points := @extschema@._count(old);
    EXECUTE format('ALTER EXTENSION osrm_matcher DROP TABLE %s', old);
    -- A foreign key that refers to gps_coordinates depends on each of its partitions, and lets go of one that is detached.
    EXECUTE format('ALTER TABLE @extschema@.gps_coordinates DETACH PARTITION %s', old);
    EXECUTE format('DROP TABLE %s', old);
    RETURN points;
END
$$;
COMMENT ON FUNCTION _drop_partition IS
    'drops a partition of gps_coordinates, unless it holds points that are to be processed; returns how many points it held, about; volatile';

-- Who uses the table now is not waited for.
CREATE FUNCTION _drop_partitions(cutoff timestamptz, INOUT failures text[], OUT points bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old regclass;
    dropped bigint;
BEGIN
    points := 0;
    FOR old IN SELECT p.part FROM @extschema@._point_partitions() p WHERE p.to_time <= cutoff LOOP
        BEGIN
            PERFORM @extschema@._lock_table('@extschema@.gps_coordinates', 'The next upkeep() tries again.');
        EXCEPTION WHEN lock_not_available THEN
            RETURN;
        END;
        SELECT a.* INTO failures, dropped FROM @extschema@._attempt(
            format('drop partition %s', old), format('SELECT @extschema@._drop_partition(%L)', old), failures) a;
        points := points + dropped;
    END LOOP;
END
$$;
COMMENT ON FUNCTION _drop_partitions IS
    'drops partitions of gps_coordinates that hold nothing but processed points from before a moment; returns how many points, about, and what has failed; volatile';

CREATE FUNCTION _delete_points(cutoff timestamptz, max_rows integer, INOUT failures text[], OUT points bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    single regclass := '@extschema@.gps_coordinates';
    deleted bigint;
BEGIN
    points := 0;
    IF @extschema@._points_are_partitioned() THEN
        SELECT d.* INTO failures, points FROM @extschema@._drop_partitions(cutoff, failures) d;
        single := to_regclass('@extschema@.gps_coordinates_rest');
    END IF;
    SELECT a.* INTO failures, deleted FROM @extschema@._attempt('delete old points',
        format('SELECT @extschema@._delete_before(%L, ''recorded_at'', $1, ''t.processed'', $2)', single),
        failures, cutoff, max_rows) a;
    points := points + deleted;
END
$$;
COMMENT ON FUNCTION _delete_points IS
    'deletes processed points from before a moment, whole partitions of them or up to so many; returns how many, about, and what has failed; volatile';
