-- What is new since a moment, so that a page asks only for that.
--
-- What changes, changes by windows: a window's outcome replaces what the window held. So the answer
-- names the windows whose outcome was stored since, each with all that it holds now; whoever keeps a copy
-- replaces what it has of them.

-- What a standby that is behind shows is as old as what it has replayed. To it that is the present: what it catches up with
-- all at once bears times that are over by then.
CREATE FUNCTION _shown_until() RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(CASE WHEN pg_is_in_recovery() THEN pg_last_xact_replay_timestamp() END, now());
COMMENT ON FUNCTION _shown_until IS
    'until when this server knows what was committed: now, or on a standby the time of what was replayed last; stable, parallel safe';

-- An outcome becomes visible when its transaction commits, which may be long after the time it bears. Each run
-- notes which transactions had ended by then: whatever was committed after the last run before `since` is told.
-- (That run's own outcomes are, too: it had not committed when it made the note.) Clocks differ, so the search
-- begins two minutes early, and at the present where somebody's clock is ahead; what is told twice replaces itself.
-- Transactions after a restore into another cluster are numbered anew: numbers that are still to come say nothing.
CREATE FUNCTION _changed_windows(since timestamptz, device_ids text[]) RETURNS SETOF processing_batches
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    early timestamptz := CASE WHEN since IS NOT NULL THEN least(since, @extschema@._shown_until()) END - interval '2 min';
    next_xid xid8 := pg_snapshot_xmax(pg_current_snapshot());
    before record;
BEGIN
    SELECT r.xid, r.snapshot INTO before
      FROM @extschema@.worker_runs r
     WHERE r.started_at <= early AND r.finished_at <= early AND r.xid < next_xid
     ORDER BY r.started_at DESC LIMIT 1;
    IF FOUND THEN
        RETURN QUERY
        SELECT b.* FROM @extschema@.processing_batches b
         WHERE b.outcome_xid >= pg_snapshot_xmin(before.snapshot)
           AND (b.outcome_xid < next_xid OR b.processing_completed_at >= now())
           AND (b.outcome_xid = before.xid OR NOT pg_visible_in_snapshot(b.outcome_xid, before.snapshot))
           AND (device_ids IS NULL OR b.device_id = ANY (device_ids));
    ELSE
        RETURN QUERY
        SELECT b.* FROM @extschema@.processing_batches b
         WHERE b.processing_completed_at >= early
           AND (device_ids IS NULL OR b.device_id = ANY (device_ids));
    END IF;
END
$$;
COMMENT ON FUNCTION _changed_windows IS
    'windows of some devices (null: all) whose outcome was committed since a moment; stable, parallel safe';

-- The order keeps the planner from a join by hash, which would read the paths of all times.
CREATE FUNCTION _window_paths(device_id text, window_start timestamptz, window_end timestamptz)
RETURNS SETOF device_path
LANGUAGE sql STABLE PARALLEL SAFE ROWS 2
BEGIN ATOMIC
    SELECT p.device_id, p.start_time, p.end_time, p.encoded_polyline, p.osrm_confidence, p.point_count,
           p.match_status, p.grade, p.reason
      FROM cached_polylines p
     WHERE p.device_id = _window_paths.device_id
       AND p.start_time >= _window_paths.window_start AND p.start_time < _window_paths.window_end
     ORDER BY p.start_time;
END;
COMMENT ON FUNCTION _window_paths IS 'paths that begin in a window, oldest first; stable, parallel safe';

CREATE FUNCTION get_changes(since timestamptz, device_ids text[] DEFAULT NULL)
RETURNS TABLE (device_id text, window_start timestamptz, window_end timestamptz, changed_at timestamptz,
               start_time timestamptz, end_time timestamptz, encoded_polyline text,
               osrm_confidence double precision, point_count integer, match_status text, grade text,
               reason text)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT w.device_id, w.start_time, w.end_time, w.processing_completed_at,
           p.start_time, p.end_time, p.encoded_polyline, p.osrm_confidence, p.point_count, p.match_status, p.grade,
           p.reason
      FROM _changed_windows(get_changes.since, get_changes.device_ids) w
      LEFT JOIN LATERAL _window_paths(w.device_id, w.start_time, w.end_time) p ON true
     ORDER BY w.device_id, w.start_time, p.start_time;
END;
COMMENT ON FUNCTION get_changes IS
    'windows of some devices (null: all) whose outcome was committed since a moment, a row a path; path columns are null where a window holds none; stable, parallel safe';

CREATE FUNCTION get_page_changes(since timestamptz, device_ids text[] DEFAULT NULL) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object(
               'since', greatest(max(w.processing_completed_at),
                                 CASE WHEN get_page_changes.since IS NOT NULL
                                      THEN least(get_page_changes.since, _shown_until()) END),
               'windows', coalesce(json_agg(json_build_object(
                              'device', w.device_id, 'start_time', w.start_time, 'end_time', w.end_time,
                              'paths', _known_json(concat('[', held.paths, ']')))
                              ORDER BY w.device_id, w.start_time), '[]'))
      FROM _changed_windows(get_page_changes.since, get_page_changes.device_ids) w
     CROSS JOIN LATERAL (
            SELECT _paths_json(p.start_time, p.end_time, p.encoded_polyline, p.osrm_confidence, p.point_count,
                               p.match_status, p.grade, p.reason) AS paths
              FROM _window_paths(w.device_id, w.start_time, w.end_time) p) AS held;
END;
COMMENT ON FUNCTION get_page_changes IS
    'the same as one JSON document; ask next time with the "since" it gives; stable, parallel safe';
COMMENT ON FUNCTION _known_json IS 'text that is known to be JSON, as json; immutable, strict, parallel safe';
