-- What cannot be a source of points, each with its own words and what to do instead.

-- What points could not be read from for long, or could not be marked in. A partition is refused as such only
-- where it is what adoption was asked for.
CREATE FUNCTION _kind_refusals(relation regclass) RETURNS TABLE (problem text, hint text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT format(r.problem, _kind_refusals.relation), format(r.hint, _kind_refusals.relation)
      FROM _relation(_kind_refusals.relation) c
     CROSS JOIN LATERAL (VALUES
        (c.relkind = 'v', '%s is a view: it has no rows of its own to be marked',
         'Adopt the table that it shows; if it shows several, each.'),
        (c.relkind = 'm', '%s is a materialized view: no row of it can be marked, and each refresh makes them anew',
         'Adopt the tables that it is made from.'),
        (c.relkind = 'f', '%s is a foreign table: it can have no index here, and its rows have no lasting place',
         'Adopt it in the database where it lies, or have its points written to a table of this one.'),
        (c.relkind NOT IN ('r', 'p', 'v', 'm', 'f'), '%s is not a table', 'Name the table that points are written to.'),
        (c.relkind IN ('r', 'p') AND c.relpersistence = 't', 'table %s is temporary: no other session can read it',
         'Have the points written to an ordinary table.'),
        (c.relkind IN ('r', 'p') AND c.relpersistence = 'u',
         'table %s is unlogged: a crash of the server empties it, points that wait included',
         'ALTER TABLE %s SET LOGGED; then adopt it.')) AS r (holds, problem, hint)
     WHERE r.holds;
END;
COMMENT ON FUNCTION _kind_refusals IS 'why a relation is of a kind that cannot hold points for us, and what to do; stable';

-- Columns cannot be added to a partition alone. An inheritance parent has neither common indexes, nor has a child
-- that comes later any of them. TimescaleDB, whose chunks are children, sees to the latter.
CREATE FUNCTION _family_refusals(relation regclass) RETURNS TABLE (problem text, hint text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE WHEN a.relation IS NOT NULL
                THEN format('table %s is a %s of %s, which is adopted: its points are read already', c.oid::regclass, r.what, r.root)
                ELSE format('table %s is a %s of %s', c.oid::regclass, r.what, r.root) END,
           CASE WHEN a.relation IS NOT NULL THEN 'There is nothing to do.'
                ELSE format('Adopt %s, with all its %ss.', r.root, r.what) END
      FROM _relation(_family_refusals.relation) c
     CROSS JOIN LATERAL (
        SELECT 'partition' AS what, pg_partition_root(c.oid) AS root WHERE c.relispartition
        UNION ALL
        SELECT 'chunk', i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid AND _is_hypertable(i.inhparent)) r
      LEFT JOIN adopted_sources a ON a.relation = r.root
    UNION ALL
    SELECT format('table %s has tables that inherit from it: an index of it holds none of their rows', c.oid::regclass),
           format('Adopt each of them that points are written to: %s.', k.children)
      FROM _relation(_family_refusals.relation) c
     CROSS JOIN LATERAL (
        SELECT string_agg(i.inhrelid::regclass::text, ', ' ORDER BY i.inhrelid) AS children
          FROM pg_inherits i
         WHERE i.inhparent = c.oid) k
     WHERE c.relkind = 'r' AND k.children IS NOT NULL AND NOT _is_hypertable(c.oid)
    UNION ALL
    SELECT format('partition of table %s: %s', _family_refusals.relation, k.problem), k.hint
      FROM _tables_of(_family_refusals.relation) t
     CROSS JOIN LATERAL _kind_refusals(t.part) k
     WHERE t.part <> _family_refusals.relation;
END;
COMMENT ON FUNCTION _family_refusals IS
    'why the tables that a table belongs to, or that belong to it, keep it from being adopted, and what to do; stable';

-- Marks are updates of the leaves that rows lie in. A rule of a partition is not asked by what goes through its
-- parent, but it is then.
CREATE FUNCTION _marking_refusals(relation regclass) RETURNS TABLE (problem text, hint text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT format('table %s has the rule "%s", which takes the place of what is done to its rows', t.part, r.rulename),
           format('DROP RULE %I ON %s; a trigger can do what it did. If rows go elsewhere by it, adopt that table.',
                  r.rulename, t.part)
      FROM _tables_of(_marking_refusals.relation) t
      JOIN pg_rewrite r ON r.ev_class = t.part
      JOIN LATERAL _relation(t.part) c ON c.relkind IN ('r', 'p')
     WHERE r.ev_type = '2' OR r.ev_type = '3' AND r.is_instead
    UNION ALL
    SELECT format('table %s is in the publication "%s", which publishes updates, and has no replica identity: none of its rows could be marked',
                  t.part, p.pubname),
           format('Give it a primary key that is not deferrable, or ALTER TABLE %s REPLICA IDENTITY FULL; or let the publication publish inserts alone: ALTER PUBLICATION %I SET (publish = ''insert'').',
                  t.part, p.pubname)
      FROM _tables_of(_marking_refusals.relation) t
     CROSS JOIN LATERAL _relation(t.part) c
      JOIN pg_publication p ON p.pubupdate
      JOIN pg_publication_tables l ON l.pubname = p.pubname
     WHERE NOT t.partitioned
       AND (to_regclass(format('%I.%I', l.schemaname, l.tablename)) = t.part
            OR to_regclass(format('%I.%I', l.schemaname, l.tablename)) IN (SELECT a.relid FROM pg_partition_ancestors(t.part) a))
       AND NOT CASE c.relreplident
                   WHEN 'f' THEN true
                   WHEN 'd' THEN EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.part AND i.indisprimary AND i.indimmediate)
                   WHEN 'i' THEN EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.part AND i.indisreplident)
                   ELSE false END;
END;
COMMENT ON FUNCTION _marking_refusals IS 'why rows of a table could not be marked as processed, and what to do; stable';

CREATE FUNCTION _distribution_refusals(relation regclass) RETURNS TABLE (problem text, hint text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (@extschema@._distribution(relation)).method IS NOT NULL THEN
        problem := format('table %s is distributed: its rows lie in shards, which are the sources where they are', relation);
        hint := format('On each server that has some: SELECT * FROM @extschema@.adopt_shards(%L, ...).', relation);
        RETURN NEXT;
    ELSIF @extschema@._is_shard(relation) THEN
        problem := format('table %s is a shard: to alter it would break later moves of it', relation);
        hint := 'SELECT * FROM @extschema@.adopt_shards(...) takes all shards of a distributed table that this server has.';
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION _distribution_refusals IS 'why a table of Citus cannot be adopted as it is, and what to do; stable';

CREATE FUNCTION _require_adoptable(relation regclass) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    refusal record;
BEGIN
    IF EXISTS (SELECT FROM @extschema@.adopted_sources a
                WHERE a.relation = _require_adoptable.relation AND a.holds IS DISTINCT FROM 'empty') THEN
        RAISE EXCEPTION 'table % is adopted already', relation
            USING ERRCODE = 'duplicate_object',
                  HINT = format('What is left of an adoption that was broken off: SELECT * FROM @extschema@.finish_adoption(%L). To name other columns, release_source() it first.', relation);
    END IF;
    SELECT r.* INTO refusal
      FROM (SELECT 0 AS nth, 'wrong_object_type' AS code, d.* FROM @extschema@._distribution_refusals(relation) d
            UNION ALL
            SELECT 1, 'wrong_object_type', k.* FROM @extschema@._kind_refusals(relation) k
            UNION ALL
            SELECT 2, 'wrong_object_type', f.* FROM @extschema@._family_refusals(relation) f
            UNION ALL
            SELECT 3, 'object_not_in_prerequisite_state', m.* FROM @extschema@._marking_refusals(relation) m) r
     ORDER BY r.nth LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '%', refusal.problem USING ERRCODE = refusal.code, HINT = refusal.hint;
    END IF;
    IF EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                WHERE d.classid = 'pg_class'::regclass AND d.objid = relation
                  AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'osrm_matcher') THEN
        RAISE EXCEPTION 'table % belongs to osrm_matcher itself', relation USING ERRCODE = 'wrong_object_type';
    END IF;
    IF NOT @extschema@._has_columns(relation) AND EXISTS (
        SELECT FROM pg_attribute a
         WHERE a.attrelid = relation AND a.attname IN ('processed', 'batch_id') AND NOT a.attisdropped)
    THEN
        RAISE EXCEPTION 'table % has a column "processed" or "batch_id" of its own', relation
            USING ERRCODE = 'duplicate_column', HINT = 'Rename it: adoption adds columns of these names.';
    END IF;
END
$$;
COMMENT ON FUNCTION _require_adoptable IS 'raises an error, with what to do, where a table cannot be adopted; stable';
