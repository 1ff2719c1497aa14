-- Who may do what. Comes last: it speaks of every function of the extension.
--
-- PUBLIC may encode and decode polylines and nothing else. Four kinds of roles are made by functions that
-- grant: readers of paths, writers of points, workers, and monitors. Whoever changes anything else is the extension's owner.

CREATE FUNCTION _functions(names text[]) RETURNS TABLE (signature text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE p.prokind WHEN 'p' THEN 'PROCEDURE ' ELSE 'FUNCTION ' END || p.oid::regprocedure
      FROM pg_proc p
      JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
      JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
                         AND e.extname = 'osrm_matcher'
     WHERE _functions.names IS NULL OR p.proname = ANY (_functions.names)
     ORDER BY 1;
END;
COMMENT ON FUNCTION _functions IS 'functions of the extension by name (null: all), as GRANT wants them; stable';

CREATE FUNCTION _grant(role name, functions text[], relations text[], give boolean) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    item text;
    form text := CASE WHEN give THEN 'GRANT %s ON %s TO %I' ELSE 'REVOKE %s ON %s FROM %I' END;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = role) THEN
        RAISE EXCEPTION 'role "%" does not exist', role USING ERRCODE = 'undefined_object';
    END IF;
    IF give THEN
        EXECUTE format(form, 'USAGE', 'SCHEMA @extschema@', role);
    END IF;
    FOR item IN SELECT f.signature FROM @extschema@._functions(functions) f LOOP
        EXECUTE format(form, 'EXECUTE', item, role);
    END LOOP;
    FOREACH item IN ARRAY relations LOOP
        EXECUTE format(form, 'SELECT', format('@extschema@.%I', item), role);
    END LOOP;
END
$$;
COMMENT ON FUNCTION _grant IS 'grants or revokes functions and reading of relations; volatile';

-- What each kind of role needs; the functions that theirs call are among them, PUBLIC's own too: the owner's default
-- privileges may keep those from PUBLIC.
CREATE FUNCTION _rights(kind text, OUT functions text[], OUT relations text[])
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT r.functions, r.relations
      FROM (VALUES
        ('reader',
         '{get_device_paths,get_paths_between,get_fleet_paths,get_devices,get_device_tail,get_device_stops,get_path_points,get_device_distance,get_distances,get_device_trips,get_device_page,get_device_page_between,get_fleet_page,get_device_geojson,get_paths_geojson,holds_device,get_changes,get_page_changes,get_device_positions,get_device_fixes,get_map_page,note_read,_stored_paths,_stops_of,_changed_windows,_shown_until,_window_paths,_max_gap,_look_back,_oldest_waiting,_waiting_points,_device_page,_fleet_json,_feature,_paths_json,_page_json,_known_json,_batch_devices,_known_devices,_map_template,_path_parts,_driven,_periods,_period_of,_period_start,_distances,_check_range,_line_length,_line_end,_join_lines,encode_polyline,decode_polyline}'::text[],
         '{cached_polylines,stops,processing_batches,device_days}'::text[]),
        ('worker',
         '{process_pending_gps,process_pending,_process_round,_require_commits,make_batches,claim_batches,match_batches}', '{}'),
        ('monitor',
         '{worker_status,worker_alerts,osrm_health,get_osrm_servers,get_osrm_groups,storage_advice,get_jobs,_cache_performance}',
         '{worker_health,cache_performance,matching_jobs,processing_batches,worker_runs}'))
        AS r (kind, functions, relations)
     WHERE r.kind = _rights.kind;
END;
COMMENT ON FUNCTION _rights IS 'functions and relations of a kind of role; immutable';

-- What a role needs as one of another kind stays with it. It is of that kind if it was granted what only that kind needs.
CREATE FUNCTION _rights_of_no_other(role name, kind text, OUT functions text[], OUT relations text[])
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH other AS (
        SELECT o.functions, o.relations
          FROM (VALUES ('reader'), ('worker'), ('monitor')) AS k (kind)
         CROSS JOIN LATERAL _rights(k.kind) o
         CROSS JOIN LATERAL _rights(_rights_of_no_other.kind) r
         WHERE EXISTS (SELECT FROM pg_proc p
                        CROSS JOIN LATERAL aclexplode(p.proacl) a
                         JOIN pg_roles w ON w.oid = a.grantee AND w.rolname = _rights_of_no_other.role
                        WHERE p.pronamespace = '@extschema@'::regnamespace AND p.proname = ANY (o.functions)
                          AND p.proname <> ALL (r.functions)))
    SELECT ARRAY(SELECT unnest(r.functions) EXCEPT SELECT unnest(o.functions) FROM other o),
           ARRAY(SELECT unnest(r.relations) EXCEPT SELECT unnest(o.relations) FROM other o)
      FROM _rights(_rights_of_no_other.kind) r;
END;
COMMENT ON FUNCTION _rights_of_no_other IS
    'functions and relations of a kind of role, without those that a role needs as one of another kind; stable';

CREATE FUNCTION grant_reader(role name) RETURNS void LANGUAGE sql VOLATILE STRICT
BEGIN ATOMIC
    SELECT _grant(grant_reader.role, r.functions, r.relations, true) FROM _rights('reader') r;
END;
COMMENT ON FUNCTION grant_reader IS
    'lets a role read paths, stops, pages, kilometres and trips, and the newest points of a device as its tail, and no more; volatile, strict';
CREATE FUNCTION revoke_reader(role name) RETURNS void LANGUAGE sql VOLATILE STRICT
BEGIN ATOMIC
    SELECT _grant(revoke_reader.role, r.functions, r.relations, false) FROM _rights_of_no_other(revoke_reader.role, 'reader') r;
END;
COMMENT ON FUNCTION revoke_reader IS 'takes back what grant_reader() gave; volatile, strict';

-- A row gets its id from the sequence, which its writer needs as much as the table.
CREATE FUNCTION _grant_writing(role name, give boolean) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    form text := CASE WHEN give THEN 'GRANT %s ON %s TO %I' ELSE 'REVOKE %s ON %s FROM %I' END;
BEGIN
    PERFORM @extschema@._grant(role, '{}', '{}', give);
    EXECUTE format(form, 'INSERT', '@extschema@.gps_coordinates', role);
    EXECUTE format(form, 'USAGE', 'SEQUENCE @extschema@.gps_coordinates_id_seq', role);
END
$$;
COMMENT ON FUNCTION _grant_writing IS 'grants or revokes inserting of points; volatile';

CREATE FUNCTION grant_writer(role name) RETURNS void LANGUAGE sql VOLATILE STRICT
BEGIN ATOMIC
    SELECT _grant_writing(grant_writer.role, true);
END;
COMMENT ON FUNCTION grant_writer IS
    'lets a role, such as that of a listener, insert points, and no more: it can read nothing; volatile, strict';
CREATE FUNCTION revoke_writer(role name) RETURNS void LANGUAGE sql VOLATILE STRICT
BEGIN ATOMIC
    SELECT _grant_writing(revoke_writer.role, false);
END;
COMMENT ON FUNCTION revoke_writer IS 'takes back what grant_writer() gave; volatile, strict';

CREATE FUNCTION grant_worker(role name) RETURNS void LANGUAGE sql VOLATILE STRICT
BEGIN ATOMIC
    SELECT _grant(grant_worker.role, r.functions, r.relations, true) FROM _rights('worker') r;
END;
COMMENT ON FUNCTION grant_worker IS 'lets a role run the worker, and no more: it can read nothing; volatile, strict';
CREATE FUNCTION revoke_worker(role name) RETURNS void LANGUAGE sql VOLATILE STRICT
BEGIN ATOMIC
    SELECT _grant(revoke_worker.role, r.functions, r.relations, false) FROM _rights_of_no_other(revoke_worker.role, 'worker') r;
END;
COMMENT ON FUNCTION revoke_worker IS 'takes back what grant_worker() gave; volatile, strict';

CREATE FUNCTION grant_monitor(role name) RETURNS void LANGUAGE sql VOLATILE STRICT
BEGIN ATOMIC
    SELECT _grant(grant_monitor.role, r.functions, r.relations, true) FROM _rights('monitor') r;
END;
COMMENT ON FUNCTION grant_monitor IS 'lets a role see how the worker does: status, alerts, views, jobs and batches; volatile, strict';
CREATE FUNCTION revoke_monitor(role name) RETURNS void LANGUAGE sql VOLATILE STRICT
BEGIN ATOMIC
    SELECT _grant(revoke_monitor.role, r.functions, r.relations, false) FROM _rights_of_no_other(revoke_monitor.role, 'monitor') r;
END;
COMMENT ON FUNCTION revoke_monitor IS 'takes back what grant_monitor() gave; volatile, strict';

-- Polylines are nobody's secret; all else is the owner's until granted.
DO $$
DECLARE
    item text;
BEGIN
    FOR item IN
        SELECT f.signature FROM @extschema@._functions(NULL) f
         WHERE f.signature !~ '(encode|decode)_polyline'
    LOOP
        EXECUTE 'REVOKE ALL ON ' || item || ' FROM PUBLIC';
    END LOOP;
END
$$;
