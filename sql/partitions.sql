-- gps_coordinates as a table partitioned by time, if its operator wants that: old points go by dropping a partition.
--
-- Partitions belong to the extension, as the table does, for a dump to hold their rows and to make none of them: what
-- restores it has made the table by CREATE EXTENSION.

-- Bounds are read and written as text. In other forms than ISO an abbreviation may be that of another zone.
CREATE FUNCTION _point_partitions() RETURNS TABLE (part regclass, from_time timestamptz, to_time timestamptz)
LANGUAGE sql STABLE
SET datestyle = 'ISO'
SET timezone = 'UTC'
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

CREATE FUNCTION _require_superuser() RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) THEN
        RAISE EXCEPTION 'role "%" cannot make partitions of gps_coordinates, for it is no superuser', current_user
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = 'Partitions become members of the extension, which only a superuser can see to.',
                  HINT = 'Have a superuser call partition_points(), and upkeep(), or schedule it.';
    END IF;
END
$$;
COMMENT ON FUNCTION _require_superuser IS 'raises insufficient_privilege, with what to do, where the caller is no superuser; stable';

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

CREATE FUNCTION _stored_columns(relation regclass) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
      FROM pg_attribute a
     WHERE a.attrelid = _stored_columns.relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '';
END;
COMMENT ON FUNCTION _stored_columns IS 'the columns of a table that are not generated, as a statement has them; stable';

-- Points that came early or late for their partition move to it. Its indexes are made as it is attached, and tables that
-- foreign keys refer to are locked: writers of points shall not wait behind that.
CREATE FUNCTION _make_partition(name text, bounds text, condition text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
BEGIN
    -- Every point is updated once; a table that is vacuumed late makes the search for new ones slow.
    EXECUTE format('CREATE TABLE @extschema@.%I (LIKE @extschema@.gps_coordinates INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED)
                    WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05)', name);
    EXECUTE format('ALTER TABLE @extschema@.%I OWNER TO %s', name,
                   (@extschema@._relation('@extschema@.gps_coordinates'::regclass)).relowner::regrole);
    PERFORM @extschema@._add_to_extension(format('@extschema@.%I', name)::regclass, true);
    IF condition IS NOT NULL THEN
        EXECUTE format('WITH moved AS (DELETE FROM @extschema@.gps_coordinates_rest p WHERE %1$s RETURNING p.*)
                        INSERT INTO @extschema@.%2$I (%3$s) SELECT %3$s FROM moved',
                       condition, name, @extschema@._stored_columns('@extschema@.gps_coordinates'));
    END IF;
    EXECUTE format('ALTER TABLE @extschema@.gps_coordinates ATTACH PARTITION @extschema@.%I %s', name, bounds);
END
$$;
COMMENT ON FUNCTION _make_partition IS 'makes a partition of gps_coordinates; volatile';

-- Partitions of the same length as the newest, unless another is asked for, for a week to come.
CREATE FUNCTION _make_partitions(since timestamptz DEFAULT NULL, every interval DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO'
SET timezone = 'UTC'
AS $$
DECLARE
    step interval;
    start timestamptz;
    until timestamptz;
    made bigint := 0;
BEGIN
    -- Until the table is ours somebody else may have made them: what is there is looked at once more then.
    FOR look IN 1 .. 2 LOOP
        SELECT coalesce(every, p.to_time - p.from_time), coalesce(p.to_time, date_bin(every, since, 'epoch')) INTO step, start
          FROM @extschema@._point_partitions() p ORDER BY p.to_time DESC NULLS LAST LIMIT 1;
        until := now() + greatest(interval '7 days', 2 * step);
        IF (start < until) IS NOT TRUE THEN
            RETURN 0;
        END IF;
        PERFORM @extschema@._require_superuser();
        PERFORM @extschema@._lock_table('@extschema@.gps_coordinates_rest', 'A run or a long transaction is using it; the next upkeep() tries again.');
    END LOOP;
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

CREATE FUNCTION _points_obstacles() RETURNS SETOF text
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH points AS (SELECT c.* FROM _relation(to_regclass('@extschema@.gps_coordinates')) c)
    SELECT pg_describe_object(CASE WHEN r.ev_class <> p.oid THEN 'pg_class'::regclass ELSE d.classid END,
                              CASE WHEN r.ev_class <> p.oid THEN r.ev_class ELSE d.objid END, 0)
      FROM points p
      JOIN pg_type t ON t.oid = p.reltype
      JOIN pg_depend d ON (d.refclassid = 'pg_class'::regclass AND d.refobjid = p.oid)
                       OR (d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray))
      LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
      LEFT JOIN pg_trigger g ON d.classid = 'pg_trigger'::regclass AND g.oid = d.objid
      LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
     WHERE d.classid IN ('pg_rewrite'::regclass, 'pg_proc'::regclass, 'pg_policy'::regclass, 'pg_publication_rel'::regclass)
        OR d.classid = 'pg_class'::regclass AND d.deptype = 'n'
        OR NOT g.tgisinternal
        OR NOT k.convalidated
        OR k.contype = 'x'
        OR k.contype = 'f' AND k.confrelid = p.oid
    UNION
    SELECT format('unique index %s, without recorded_at', i.indexrelid::regclass)
      FROM points p JOIN pg_index i ON i.indrelid = p.oid
     WHERE i.indisunique AND NOT EXISTS (
            SELECT FROM pg_attribute a
             WHERE a.attrelid = p.oid AND a.attname = 'recorded_at'
               AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
    UNION
    SELECT format('identity of column %I', a.attname)
      FROM points p JOIN pg_attribute a ON a.attrelid = p.oid AND a.attidentity <> ''
    UNION
    SELECT format('security label of %s', l.provider)
      FROM points p JOIN pg_seclabel l ON l.classoid = 'pg_class'::regclass AND l.objoid = p.oid
    UNION
    SELECT w.what
      FROM points p
     CROSS JOIN LATERAL (VALUES
        ('a replica identity that is not its key', p.relreplident <> 'd'),
        ('a tablespace of its own', p.reltablespace <> 0),
        ('a table that it inherits from', EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = p.oid))) AS w (what, so)
     WHERE w.so
     ORDER BY 1;
END;
COMMENT ON FUNCTION _points_obstacles IS
    'what gps_coordinates has about it that a partitioned table could not have, or that would go with it or be lost; stable';

CREATE FUNCTION _require_simple_points() RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    size bigint := pg_total_relation_size('@extschema@.gps_coordinates');
    obstacles text;
BEGIN
    IF size > 256 * 1024 * 1024 THEN
        RAISE EXCEPTION 'gps_coordinates takes %, too much to be copied while writers wait', pg_size_pretty(size)
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Let upkeep(points_older_than => ...) delete what is processed, and VACUUM FULL it; or have new points written to a partitioned table of yours, and adopt that.';
    END IF;
    SELECT string_agg(o.what, ', ') INTO obstacles FROM @extschema@._points_obstacles() AS o (what);
    IF obstacles IS NOT NULL THEN
        RAISE EXCEPTION 'gps_coordinates has what a new table in its place would lack: %', obstacles
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Drop it, and make it again afterwards; a unique index then with recorded_at in it.';
    END IF;
END
$$;
COMMENT ON FUNCTION _require_simple_points IS
    'raises an error, with what to do, where gps_coordinates is too large, or has too much about it, to be made anew; stable';

-- In the words that make them again, under the same names: those of indexes are said for a table of this name.
CREATE FUNCTION _points_parts() RETURNS SETOF text
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH points AS (SELECT c.* FROM _relation(to_regclass('@extschema@.gps_coordinates')) c), parts (rank, statement) AS (
        SELECT 1, CASE WHEN k.oid IS NULL THEN pg_get_indexdef(i.indexrelid)
                       ELSE format('ALTER TABLE %s ADD CONSTRAINT %I %s', p.oid::regclass, k.conname, pg_get_constraintdef(k.oid)) END
          FROM points p
          JOIN pg_index i ON i.indrelid = p.oid
          LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = p.oid AND k.contype IN ('p', 'u')
        UNION ALL
        SELECT 2, format('COMMENT ON INDEX %s IS %L', i.indexrelid::regclass, obj_description(i.indexrelid, 'pg_class'))
          FROM points p JOIN pg_index i ON i.indrelid = p.oid
        UNION ALL
        SELECT 3, format('ALTER TABLE %s ADD CONSTRAINT %I %s', p.oid::regclass, k.conname, pg_get_constraintdef(k.oid))
          FROM points p JOIN pg_constraint k ON k.conrelid = p.oid AND k.contype = 'f'
        UNION ALL
        SELECT 4, format('COMMENT ON TABLE %s IS %L', p.oid::regclass, obj_description(p.oid, 'pg_class')) FROM points p
        UNION ALL
        SELECT 5, format('ALTER TABLE %s %s ROW LEVEL SECURITY', p.oid::regclass, w.what)
          FROM points p
         CROSS JOIN LATERAL (VALUES ('ENABLE', p.relrowsecurity), ('FORCE', p.relforcerowsecurity)) AS w (what, so)
         WHERE w.so
        UNION ALL
        SELECT 6, format('ALTER SEQUENCE %s OWNED BY %s.%I', d.objid::regclass, p.oid::regclass, a.attname)
          FROM points p
          JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = p.oid AND d.classid = 'pg_class'::regclass
                          AND d.deptype = 'a'
          JOIN pg_attribute a ON a.attrelid = p.oid AND a.attnum = d.refobjsubid
         CROSS JOIN LATERAL _relation(d.objid) c
         WHERE c.relkind = 'S'
    )
    SELECT s.statement FROM parts s ORDER BY s.rank;
END;
COMMENT ON FUNCTION _points_parts IS
    'statements for what gps_coordinates has beside its columns and checks: keys, indexes, comments, row level security, sequences; stable';

CREATE FUNCTION _points_rights() RETURNS SETOF text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT format('GRANT %s%s ON %s TO %s%s', a.privilege_type, ' (' || quote_ident(g.name) || ')', p.oid::regclass,
                  CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
                  CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
      FROM _relation(to_regclass('@extschema@.gps_coordinates')) p
     CROSS JOIN LATERAL (
        SELECT NULL::name, p.relacl
        UNION ALL
        SELECT t.attname, t.attacl FROM pg_attribute t WHERE t.attrelid = p.oid AND NOT t.attisdropped) AS g (name, rights)
     CROSS JOIN LATERAL aclexplode(g.rights) a
     WHERE a.grantee <> p.relowner;
END;
COMMENT ON FUNCTION _points_rights IS 'statements for what others may do with gps_coordinates and with columns of it; stable';

-- Rows are copied by the caller.
CREATE FUNCTION _remake_points() RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    whole regclass := '@extschema@.gps_coordinates';
    owner regrole := (@extschema@._relation(whole)).relowner;
    parts text[] := ARRAY(SELECT @extschema@._points_parts());
    rights text[] := ARRAY(SELECT @extschema@._points_rights());
    item text;
BEGIN
    ALTER EXTENSION osrm_matcher DROP TABLE @extschema@.gps_coordinates;
    ALTER TABLE @extschema@.gps_coordinates RENAME TO gps_coordinates_whole;
    FOR item IN SELECT format('ALTER INDEX %s RENAME TO %I', i.indexrelid::regclass, 'gps_coordinates_whole_' || i.indexrelid)
                  FROM pg_index i WHERE i.indrelid = whole LOOP
        EXECUTE item;
    END LOOP;
    CREATE TABLE @extschema@.gps_coordinates (LIKE @extschema@.gps_coordinates_whole INCLUDING ALL EXCLUDING INDEXES)
        PARTITION BY RANGE (recorded_at);
    EXECUTE format('ALTER TABLE @extschema@.gps_coordinates OWNER TO %s', owner);
    FOREACH item IN ARRAY parts LOOP
        EXECUTE item;
    END LOOP;
    PERFORM @extschema@._add_to_extension('@extschema@.gps_coordinates', false);
    -- Rights come after: what a member has as it joins is left out of dumps.
    FOREACH item IN ARRAY rights LOOP
        EXECUTE item;
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
    IF every NOT BETWEEN interval '1 hour' AND interval '366 days' OR extract(year FROM every) <> 0 OR extract(month FROM every) <> 0 THEN
        RAISE EXCEPTION 'a partition cannot be of %: an hour at least, 366 days at most, and no months', every
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as 1 day, or 7 days.';
    END IF;
    -- What writers commit while the lock is waited for would be missing in the copy.
    PERFORM @extschema@._require_read_committed('partition_points()');
    IF NOT @extschema@._points_are_partitioned() THEN
        PERFORM @extschema@._require_superuser();
        PERFORM @extschema@._lock_table('@extschema@.gps_coordinates', 'A run or a long transaction is using it; try again when that has ended.');
    END IF;
    -- Until the table is ours somebody else may have partitioned it.
    IF @extschema@._points_are_partitioned() THEN
        RETURN @extschema@._make_partitions(every => every);
    END IF;
    PERFORM @extschema@._require_simple_points();
    PERFORM @extschema@._remake_points();
    PERFORM @extschema@._make_partition('gps_coordinates_rest', 'DEFAULT', NULL);
    SELECT greatest(coalesce(min(p.recorded_at), now()), now() - interval '30 days') INTO since
      FROM @extschema@.gps_coordinates_whole p;
    PERFORM @extschema@._make_partitions(least(since, now()), every);
    EXECUTE format('INSERT INTO @extschema@.gps_coordinates (%1$s) SELECT %1$s FROM @extschema@.gps_coordinates_whole',
                   @extschema@._stored_columns('@extschema@.gps_coordinates'));
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
    IF EXISTS (SELECT FROM pg_constraint c WHERE c.confrelid = old AND c.contype = 'f') THEN
        EXECUTE format('ALTER TABLE @extschema@.gps_coordinates DETACH PARTITION %s', old);
    END IF;
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
    done bigint;
BEGIN
    points := 0;
    FOR old IN SELECT p.part FROM @extschema@._point_partitions() p WHERE p.to_time <= cutoff LOOP
        -- A point that came late would not be seen, and go with its partition.
        SELECT a.* INTO failures, done FROM @extschema@._attempt('drop partitions of gps_coordinates',
            'SELECT 1 FROM @extschema@._require_read_committed(''this'')', failures) a;
        EXIT WHEN done = 0;
        BEGIN
            PERFORM @extschema@._lock_table('@extschema@.gps_coordinates', 'The next upkeep() tries again.');
        EXCEPTION WHEN lock_not_available THEN
            RETURN;
        END;
        SELECT a.* INTO failures, done FROM @extschema@._attempt(
            format('drop partition %s', old), format('SELECT @extschema@._drop_partition(%L)', old), failures) a;
        points := points + done;
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
