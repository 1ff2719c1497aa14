-- Indexes of sources, over all tables of a partitioned one.
--
-- The index of a partitioned table is there from adoption on, so that partitions that are made later or attached
-- get theirs by PostgreSQL; those of partitions that are there are built one by one, and attached to it. The chunks of
-- a hypertable get theirs in the same way, without being attached: an index that inherits is known to TimescaleDB alone.

-- ---------------------------------------------------------------------------------------------
-- The tables of a tree
-- ---------------------------------------------------------------------------------------------
-- Tables of points, and their indexes, are looked up without a query over pg_class: Citus hides shards from those.
COMMENT ON FUNCTION _relation IS 'the row of pg_class of a relation, from the cache; null if there is none; stable, strict, parallel safe';

CREATE FUNCTION _tables_of(relation regclass) RETURNS TABLE (part regclass, parent regclass, level integer, partitioned boolean)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c.oid::regclass, NULL::regclass, 0, c.relkind = 'p' OR _is_hypertable(c.oid)
      FROM _relation(_tables_of.relation) c WHERE c.oid IS NOT NULL
    UNION ALL
    SELECT t.relid, t.parentrelid, t.level, NOT t.isleaf
      FROM pg_partition_tree(_tables_of.relation) t
     WHERE t.relid <> _tables_of.relation
    UNION ALL
    SELECT i.inhrelid, i.inhparent, 1, false
      FROM pg_inherits i
     WHERE i.inhparent = _tables_of.relation AND (SELECT _is_hypertable(_tables_of.relation));
END;
COMMENT ON FUNCTION _tables_of IS
    'a table and, if it is partitioned, all partitions of it, at any level, or the chunks of a hypertable; none but leaves hold rows; stable';

CREATE FUNCTION _qualified(relation regclass) RETURNS text
LANGUAGE sql STABLE
RETURN (SELECT format('%I.%I', n.nspname, c.relname)
          FROM _relation(_qualified.relation) c JOIN pg_namespace n ON n.oid = c.relnamespace);
COMMENT ON FUNCTION _qualified IS 'the name of a table, with its schema, as a statement has it; stable';

-- ---------------------------------------------------------------------------------------------
-- What is there
-- ---------------------------------------------------------------------------------------------
CREATE FUNCTION _is_index_of(index_name text, relation regclass) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pg_index i CROSS JOIN LATERAL _relation(i.indexrelid) c
                    WHERE i.indrelid = _is_index_of.relation AND c.relname = _is_index_of.index_name
                      AND (i.indisvalid OR c.relkind = 'I'));
END;
COMMENT ON FUNCTION _is_index_of IS 'whether a usable index of this name belongs to a table; stable';

-- Whether a valid index leads with these columns, over the rows of a condition or (null) over all of them. That of
-- a partitioned table is but a form, valid or not, by which later partitions get theirs.
CREATE FUNCTION _has_index(relation regclass, columns name[], condition text DEFAULT NULL) RETURNS boolean
LANGUAGE sql STABLE
SET quote_all_identifiers = off
BEGIN ATOMIC
    SELECT NOT EXISTS (
        SELECT FROM _tables_of(_has_index.relation) t
         WHERE NOT EXISTS (
            SELECT FROM pg_index i
             CROSS JOIN LATERAL _relation(i.indexrelid) c
              JOIN pg_am m ON m.oid = c.relam AND m.amname = 'btree'
             WHERE i.indrelid = t.part AND (i.indisvalid OR t.partitioned)
               AND pg_get_expr(i.indpred, i.indrelid) IS NOT DISTINCT FROM _has_index.condition
               AND NOT EXISTS (
                    SELECT FROM unnest(_has_index.columns) WITH ORDINALITY AS k (name, position)
                      LEFT JOIN pg_attribute a
                        ON a.attrelid = i.indrelid AND a.attname = k.name AND a.attnum = i.indkey[k.position - 1]
                     WHERE a.attname IS NULL)));
END;
COMMENT ON FUNCTION _has_index IS 'whether a usable index of a table, and of each of its partitions, leads with the columns; stable';

CREATE FUNCTION _has_indexes(relation regclass, device_column name, time_column name) RETURNS boolean
LANGUAGE sql STABLE
RETURN _has_index(relation, ARRAY[device_column, time_column], '(NOT processed)')
   AND _has_index(relation, ARRAY[time_column], '((processed)::integer = 0)')
   AND _has_index(relation, ARRAY[device_column, time_column]);
COMMENT ON FUNCTION _has_indexes IS 'whether a table has the indexes that a source needs; stable';

CREATE FUNCTION _suffix(index_name name) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN substring(index_name FROM '_osrm_(?:unprocessed|waiting|device_time)$');
COMMENT ON FUNCTION _suffix IS 'the end of the name of an index that adoption adds; null for any other; immutable';

-- An earlier adoption may have ended before all partitions had theirs, and its extension may be gone since.
CREATE FUNCTION _is_half_adopted(relation regclass, device_column name, time_column name) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pg_index i CROSS JOIN LATERAL _relation(i.indexrelid) c
                    WHERE i.indrelid = _is_half_adopted.relation AND _suffix(c.relname) IS NOT NULL
                      AND (c.relkind = 'I' AND NOT i.indisvalid
                           OR (SELECT _is_hypertable(_is_half_adopted.relation)
                                  AND NOT _has_indexes(_is_half_adopted.relation, _is_half_adopted.device_column,
                                                       _is_half_adopted.time_column))));
END;
COMMENT ON FUNCTION _is_half_adopted IS
    'whether a partitioned table or a hypertable has indexes that adoption has begun and not all its partitions have; stable';

-- ---------------------------------------------------------------------------------------------
-- What is to be there
-- ---------------------------------------------------------------------------------------------
-- The index of an earlier adoption (unless none is to be taken up again), a usable one before others, or else a name that no
-- other relation of the schema has or is to have. A partition or chunk has its number in it where its name is cut: others
-- begin alike.
CREATE FUNCTION _index_name(relation regclass, suffix text, again boolean DEFAULT true) RETURNS name
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    base text;
    space oid;
    tail text := '';
    candidate text;
    number integer := 1;
BEGIN
    SELECT c.relname INTO candidate
      FROM pg_index i CROSS JOIN LATERAL @extschema@._relation(i.indexrelid) c
     WHERE i.indrelid = relation AND right(c.relname, length(suffix)) = suffix
     ORDER BY i.indisvalid OR c.relkind = 'I' DESC, 1 LIMIT 1;
    IF FOUND AND again THEN
        RETURN candidate;
    END IF;
    SELECT c.relname, c.relnamespace,
           CASE WHEN octet_length(c.relname) > 40 AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = c.oid)
                THEN '_' || c.oid ELSE '' END
      INTO base, space, tail
      FROM @extschema@._relation(relation) c;
    WHILE octet_length(base) > CASE WHEN tail = '' THEN 40 ELSE 35 END LOOP
        base := left(base, -1);
    END LOOP;
    base := base || tail;
    candidate := base || suffix;
    WHILE to_regclass(format('%s.%I', space::regnamespace, candidate)) IS NOT NULL
       OR EXISTS (SELECT FROM @extschema@.adopted_sources a WHERE candidate = ANY (a.added))
    LOOP
        number := number + 1;
        candidate := format('%s_%s%s', base, number, suffix);
    END LOOP;
    RETURN candidate;
END
$$;
COMMENT ON FUNCTION _index_name IS 'the name of an index that adoption adds, or of the one that it has added before; stable';

-- An earlier adoption is known by its columns: where they are the application's own, so is each index, whatever its name.
CREATE FUNCTION _added_indexes(relation regclass, device_column name, time_column name) RETURNS text[]
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT array_agg(CASE WHEN e.earlier AND _is_index_of(n.name, _added_indexes.relation)
                            OR NOT _has_index(_added_indexes.relation, w.columns, w.condition) THEN n.name END ORDER BY w.nth)
      FROM (SELECT _added_columns(_added_indexes.relation) <> '{}' AS earlier) e
     CROSS JOIN (VALUES
        (1, '_osrm_unprocessed', ARRAY[_added_indexes.device_column, _added_indexes.time_column], '(NOT processed)'),
        (2, '_osrm_waiting', ARRAY[_added_indexes.time_column], '((processed)::integer = 0)'),
        (3, '_osrm_device_time', ARRAY[_added_indexes.device_column, _added_indexes.time_column], NULL))
        AS w (nth, suffix, columns, condition)
     CROSS JOIN LATERAL (SELECT _index_name(_added_indexes.relation, w.suffix, e.earlier) AS name) n;
END;
COMMENT ON FUNCTION _added_indexes IS
    'names of the three indexes of a source, those of an earlier adoption included; null for one that the table has of its own; stable';

-- An index that a table has of its own has no name among those added, and needs none.
CREATE FUNCTION _wanted_indexes(source adopted_sources)
RETURNS TABLE (name text, suffix text, definition text, title text, purpose text, there boolean)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT _wanted_indexes.source.added[w.nth], w.suffix, w.definition, w.title, w.purpose,
           _wanted_indexes.source.added[w.nth] IS NULL
           OR _is_index_of(_wanted_indexes.source.added[w.nth], _wanted_indexes.source.relation)
      FROM (VALUES
        (1, '_osrm_unprocessed', '(%1$I, %2$I) WHERE NOT processed', 'the index that finds new points', 'finds new points'),
        (2, '_osrm_waiting', '(%2$I) WHERE processed::int = 0', 'the index that finds new points by their time',
         'finds new points by their time'),
        (3, '_osrm_device_time', '(%1$I, %2$I)', 'the index that reads a device''s points', 'reads a device''s points'))
        AS f (nth, suffix, form, title, purpose)
     CROSS JOIN LATERAL (
        SELECT f.nth, f.suffix, format(f.form, _wanted_indexes.source.device_column, _wanted_indexes.source.time_column),
               f.title, f.purpose) AS w (nth, suffix, definition, title, purpose)
     ORDER BY w.nth;
END;
COMMENT ON FUNCTION _wanted_indexes IS 'the indexes of a source, and which of them its table has; stable';

-- What a build that was broken off has left is in the way of the next one, and costs writers as much as an index does.
CREATE FUNCTION _index_statements(index_name name, relation regclass, definition text, concurrently boolean)
RETURNS TABLE (nth integer, drops boolean, statement text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT s.nth, s.drops, s.statement
      FROM (SELECT CASE WHEN _index_statements.concurrently THEN 'CONCURRENTLY ' END) AS w (way)
     CROSS JOIN LATERAL (
        SELECT 1 AS nth, true AS drops, format('DROP INDEX %s%s', w.way, _qualified(i.indexrelid)) AS statement
          FROM pg_index i CROSS JOIN LATERAL _relation(i.indexrelid) c
         WHERE i.indrelid = _index_statements.relation AND c.relname = _index_statements.index_name
        UNION ALL
        SELECT 2, false, format('CREATE INDEX %s%I ON %s', w.way, _index_statements.index_name, _index_statements.definition)) s
     WHERE NOT _is_index_of(_index_statements.index_name, _index_statements.relation)
     ORDER BY s.nth;
END;
COMMENT ON FUNCTION _index_statements IS
    'statements that give a table an index of this name, if it has no usable one, on what the definition says; stable';

-- By whatever name: PostgreSQL gives those of a new partition names of its own.
CREATE FUNCTION _is_attached(partition regclass, suffix text) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pg_index i
                    CROSS JOIN LATERAL pg_partition_ancestors(i.indexrelid) a
                    CROSS JOIN LATERAL _relation(a.relid) c
                    WHERE i.indrelid = _is_attached.partition AND a.relid <> i.indexrelid AND _suffix(c.relname) = _is_attached.suffix);
END;
COMMENT ON FUNCTION _is_attached IS 'whether an index of a partition is part of the one with this suffix of a table that it belongs to; stable';

-- Partitions between come first, for those below to be attached to. An empty one takes no time, but hundreds of them do.
-- Where TimescaleDB has made a chunk's, they have names of its own.
CREATE FUNCTION _partition_steps(source adopted_sources)
RETURNS TABLE (step integer, what text, statement text, at_once boolean)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH parts AS (
        SELECT t.*, t.partitioned OR pg_relation_size(t.part) = 0 AND count(*) OVER () <= 64 AS quick,
               (SELECT _is_hypertable(_partition_steps.source.relation)) AS chunk
          FROM _tables_of(_partition_steps.source.relation) t
         WHERE t.level > 0
    ), indexes AS (
        SELECT p.*, w.suffix, w.title, w.definition, _index_name(p.part, w.suffix) AS name
          FROM parts p CROSS JOIN _wanted_indexes(_partition_steps.source) w
         WHERE w.name IS NOT NULL AND NOT _is_attached(p.part, w.suffix)
           AND NOT (p.chunk AND _has_indexes(p.part, _partition_steps.source.device_column, _partition_steps.source.time_column))
    ), steps AS (
        SELECT i.partitioned, i.level, i.part, i.suffix, n.nth, i.quick,
               format(CASE WHEN i.quick THEN '%s %s %s %s %s'
                           ELSE 'run this yourself, outside of a transaction; it holds up nobody. It %s %s %s %s %s' END,
                      CASE WHEN n.drops THEN 'drops what a broken build has left of' ELSE 'adds' END, i.title,
                      CASE WHEN n.drops THEN 'in' ELSE 'to' END, CASE WHEN i.chunk THEN 'chunk' ELSE 'partition' END, i.part) AS what,
               n.statement
          FROM indexes i
         CROSS JOIN LATERAL _index_statements(
               i.name, i.part, format('%s%s %s', CASE WHEN i.partitioned THEN 'ONLY ' END, _qualified(i.part), i.definition), NOT i.quick) n
        UNION ALL
        SELECT DISTINCT i.partitioned, i.level, i.part, NULL::text, 0, i.quick,
               CASE WHEN i.quick THEN format('makes them part of those of the table that %s belongs to', i.part)
                    ELSE format('then this: it makes them part of those of the table that %s belongs to', i.part) END,
               format('SELECT %s.attach_indexes(%L)', '@extschema@', _qualified(i.part))
          FROM indexes i
         WHERE NOT i.chunk
    )
    SELECT (row_number() OVER (ORDER BY s.partitioned DESC, s.level, s.quick DESC, s.part, s.suffix, s.nth))::integer, s.what, s.statement, s.quick
      FROM steps s
     ORDER BY 1;
END;
COMMENT ON FUNCTION _partition_steps IS 'what the indexes of a partitioned table take in its partitions, or those of a hypertable in its chunks; stable';

-- A statement that is null has nothing to do.
CREATE FUNCTION _adoption_steps(source adopted_sources)
RETURNS TABLE (step integer, what text, statement text, at_once boolean)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    qualified text := @extschema@._qualified(source.relation);
    has_columns boolean := @extschema@._has_columns(source.relation);
    partitioned boolean := (SELECT t.partitioned FROM @extschema@._tables_of(source.relation) t WHERE t.level = 0);
    wanted record;
    drops boolean;
BEGIN
    RETURN QUERY VALUES
        (1, CASE WHEN has_columns THEN 'nothing to do: the column processed is there'
                 ELSE 'adds the column processed; no row is rewritten' END,
         CASE WHEN NOT has_columns THEN
             format('ALTER TABLE %s ADD COLUMN processed boolean NOT NULL DEFAULT false', qualified) END, true),
        (2, CASE WHEN has_columns THEN 'nothing to do: the column batch_id is there'
                 ELSE 'adds the column batch_id; no row is rewritten' END,
         CASE WHEN NOT has_columns THEN format('ALTER TABLE %s ADD COLUMN batch_id uuid', qualified) END, true);
    step := 2;
    FOR wanted IN SELECT * FROM @extschema@._wanted_indexes(source) LOOP
        at_once := wanted.there OR source.ready OR partitioned;
        IF wanted.there THEN
            step := step + 1;
            what := format('nothing to do: %s is there', wanted.title);
            statement := NULL;
            RETURN NEXT;
            CONTINUE;
        END IF;
        FOR drops, statement IN
            SELECT n.drops, n.statement
              FROM @extschema@._index_statements(
                   wanted.name, source.relation,
                   format('%s%s %s', CASE WHEN partitioned AND NOT source.ready THEN 'ONLY ' END, qualified, wanted.definition), NOT at_once) n
        LOOP
            step := step + 1;
            what := CASE WHEN drops THEN format('drops what a broken build has left of %s', wanted.title)
                         WHEN source.ready THEN format('adds %s; the table is small', wanted.title)
                         WHEN partitioned THEN format('adds %s, for partitions to have theirs', wanted.title)
                         ELSE 'run this yourself, outside of a transaction; it holds up nobody. The index ' || wanted.purpose END;
            RETURN NEXT;
        END LOOP;
    END LOOP;
    IF partitioned AND NOT source.ready THEN
        RETURN QUERY SELECT s.step + _adoption_steps.step, s.what, s.statement, s.at_once
                       FROM @extschema@._partition_steps(source) s;
    END IF;
END
$$;
COMMENT ON FUNCTION _adoption_steps IS 'what adopting a table takes, and which of it is done at once; stable';

-- With the partition locked, nobody has its indexes, and nothing here is waited for.
CREATE FUNCTION attach_indexes(partition regclass) RETURNS void
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
    pair record;
BEGIN
    PERFORM @extschema@._lock_table(partition, 'A run or a long transaction is using it; try again when that has ended.');
    FOR pair IN
        SELECT up.oid::regclass AS parent, c.oid::regclass AS child
          FROM pg_inherits h
          JOIN pg_index ui ON ui.indrelid = h.inhparent
         CROSS JOIN LATERAL @extschema@._relation(ui.indexrelid) up
          JOIN pg_index i ON i.indrelid = h.inhrelid
         CROSS JOIN LATERAL @extschema@._relation(i.indexrelid) c
         WHERE h.inhrelid = partition AND @extschema@._suffix(c.relname) = @extschema@._suffix(up.relname)
           AND NOT c.relispartition AND (i.indisvalid OR c.relkind = 'I')
    LOOP
        EXECUTE format('ALTER INDEX %s ATTACH PARTITION %s', pair.parent, pair.child);
    END LOOP;
END
$$;
COMMENT ON FUNCTION attach_indexes IS
    'makes indexes that adoption had built in a partition part of those of the table that it belongs to; a step of adopt_source(); volatile, strict';
