-- Groups of devices, each with OSRM servers and a profile of its own: what may stand in their tables, and which group
-- a device is in.

-- ---------------------------------------------------------------------------------------------
-- What may stand in the tables
-- ---------------------------------------------------------------------------------------------
-- Both functions raise an error that tells what is wrong. Constraints hold where triggers do not fire, too.
ALTER TABLE osrm_groups
    ADD CONSTRAINT osrm_url_names_servers CHECK (_server_list(osrm_url) IS NOT NULL),
    ADD CONSTRAINT profile_is_one CHECK (_is_profile(profile));

-- Where the database connects to is its owner's to say, whatever was granted on all tables of a schema.
CREATE FUNCTION _guard_osrm_groups() RETURNS trigger
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT pg_has_role(current_user, (SELECT c.relowner FROM pg_class c WHERE c.oid = TG_RELID), 'USAGE') THEN
        RAISE EXCEPTION 'only the owner of table osrm_groups may say which OSRM servers are asked'
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Which devices are in a group may be told by others: GRANT INSERT, UPDATE, DELETE ON osrm_group_devices TO ...;';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION _guard_osrm_groups IS 'refuses whoever is not the owner of osrm_groups; volatile';
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON osrm_groups
    FOR EACH STATEMENT EXECUTE FUNCTION _guard_osrm_groups();

CREATE FUNCTION _warn_of_column() RETURNS trigger
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT @extschema@._is_source_column(NEW.source_column) THEN
        RAISE WARNING 'no table of points has a column "%"; group % gets no device by it', NEW.source_column, NEW.name
            USING ERRCODE = 'undefined_column', HINT = 'Adopt the table that has it, or correct source_column.';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION _warn_of_column IS 'warns of a column that no table of points has; volatile';
CREATE TRIGGER warn_of_column AFTER INSERT OR UPDATE ON osrm_groups
    FOR EACH ROW WHEN (NEW.source_column IS NOT NULL) EXECUTE FUNCTION _warn_of_column();

-- The list follows its groups by triggers, not by a foreign key: a restore by several jobs fills the list before the
-- groups as well as after them, and would lose it all. A group that is not there is warned of, and counts for nothing.
CREATE FUNCTION _follow_groups() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        UPDATE @extschema@.osrm_group_devices d SET osrm_group = NEW.name WHERE d.osrm_group = OLD.name;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM @extschema@.osrm_group_devices d WHERE d.osrm_group = OLD.name;
    ELSE
        DELETE FROM @extschema@.osrm_group_devices;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION _follow_groups IS 'renames a group in the list of devices, too, or takes its part of the list away; volatile';
CREATE TRIGGER follow_name AFTER UPDATE ON osrm_groups
    FOR EACH ROW WHEN (NEW.name <> OLD.name) EXECUTE FUNCTION _follow_groups();
CREATE TRIGGER follow_end AFTER DELETE ON osrm_groups FOR EACH ROW EXECUTE FUNCTION _follow_groups();
CREATE TRIGGER follow_truncation AFTER TRUNCATE ON osrm_groups FOR EACH STATEMENT EXECUTE FUNCTION _follow_groups();

CREATE FUNCTION _warn_of_group() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    missing text;
BEGIN
    SELECT string_agg(DISTINCT format('"%s"', n.osrm_group), ', ') INTO missing
      FROM news n
     WHERE NOT EXISTS (SELECT FROM @extschema@.osrm_groups g WHERE g.name = n.osrm_group);
    IF missing IS NOT NULL THEN
        RAISE WARNING 'there is no group %; until it is made, its devices are matched as if they were not in the list', missing
            USING ERRCODE = 'foreign_key_violation', HINT = 'Insert it into osrm_groups, or correct osrm_group.';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION _warn_of_group IS 'warns of devices that are put in a group which is not there; volatile';
CREATE TRIGGER warn_of_group AFTER INSERT ON osrm_group_devices
    REFERENCING NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION _warn_of_group();
CREATE TRIGGER warn_of_change AFTER UPDATE ON osrm_group_devices
    REFERENCING NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION _warn_of_group();

-- ---------------------------------------------------------------------------------------------
-- Which group a device is in
-- ---------------------------------------------------------------------------------------------
CREATE FUNCTION _is_source_column(column_name name) RETURNS boolean
LANGUAGE sql STABLE
RETURN EXISTS (SELECT FROM _sources() s
                 JOIN pg_attribute a ON a.attrelid = s.relation AND a.attnum > 0 AND NOT a.attisdropped
                WHERE a.attname = _is_source_column.column_name);
COMMENT ON FUNCTION _is_source_column IS 'whether any table of points has a column; stable';

-- A column that is not there says nothing: devices are then as if they were not in the group by it.
CREATE FUNCTION _group_expression(relation regclass) RETURNS text
LANGUAGE sql STABLE
RETURN (SELECT 'CASE' || string_agg(format(' WHEN p.%I::text = %L THEN %L', a.attname, g.source_value, g.name), ''
                                    ORDER BY g.name COLLATE "C") || ' END'
          FROM osrm_groups g
          JOIN pg_attribute a ON a.attrelid = _group_expression.relation AND a.attname = g.source_column
                             AND a.attnum > 0 AND NOT a.attisdropped);
COMMENT ON FUNCTION _group_expression IS
    'the group that row p of a table of points says its device is in, as an expression; null where no group goes by a column of the table; stable';

CREATE FUNCTION _groups_of(device_ids text[], said text[]) RETURNS TABLE (device_id text, osrm_group text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT d.device_id,
           coalesce(m.osrm_group, d.said, (SELECT g.name FROM osrm_groups g
                                            WHERE d.device_id ~ g.pattern
                                            ORDER BY g.name COLLATE "C" LIMIT 1))
      FROM unnest(_groups_of.device_ids, _groups_of.said) AS d (device_id, said)
      LEFT JOIN (osrm_group_devices m JOIN osrm_groups k ON k.name = m.osrm_group) ON m.device_id = d.device_id;
END;
COMMENT ON FUNCTION _groups_of IS
    'groups of devices: that of the list, or what their newest rows have said, or the first by name whose pattern fits; null for none; stable';
COMMENT ON FUNCTION get_osrm_groups IS
    'which group of osrm_groups devices are in (null: all that have paths), null for none; volatile';
COMMENT ON FUNCTION _server_list IS
    'addresses of a list of OSRM servers; an error where one cannot be used; immutable, strict, parallel safe';
COMMENT ON FUNCTION _is_profile IS 'true, or an error where a text cannot be a profile; immutable, strict, parallel safe';
