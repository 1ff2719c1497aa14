-- What is new since a moment, so that a page asks only for that.
--
-- What changes, changes by windows: a window's outcome replaces what the window held. So the answer
-- names the windows whose outcome was stored since, each with all that it holds now; whoever keeps a copy
-- replaces what it has of them. An outcome becomes visible when its transaction commits, a moment after
-- the time it bears: the search begins two minutes early, and what is told twice replaces itself.

CREATE FUNCTION get_changes(since timestamptz, device_ids text[] DEFAULT NULL)
RETURNS TABLE (device_id text, window_start timestamptz, window_end timestamptz, changed_at timestamptz,
               start_time timestamptz, end_time timestamptz, encoded_polyline text,
               osrm_confidence double precision, point_count integer, match_status text, grade text)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT b.device_id, b.start_time, b.end_time, b.processing_completed_at,
           p.start_time, p.end_time, p.encoded_polyline, p.osrm_confidence, p.point_count, p.match_status, p.grade
      FROM processing_batches b
      LEFT JOIN cached_polylines p
        ON p.device_id = b.device_id AND p.start_time >= b.start_time AND p.start_time < b.end_time
     WHERE b.processing_completed_at >= get_changes.since - interval '2 min'
       AND (get_changes.device_ids IS NULL OR b.device_id = ANY (get_changes.device_ids))
     ORDER BY b.device_id, b.start_time, p.start_time;
END;
COMMENT ON FUNCTION get_changes IS
    'windows of some devices (null: all) whose outcome was stored since a moment, a row a path; path columns are null where a window holds none; stable, parallel safe';

CREATE FUNCTION get_page_changes(since timestamptz, device_ids text[] DEFAULT NULL) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object(
               'since', coalesce(max(w.changed_at), get_page_changes.since),
               'windows', coalesce(json_agg(json_build_object(
                              'device', w.device_id, 'start_time', w.window_start, 'end_time', w.window_end,
                              'paths', w.paths) ORDER BY w.device_id, w.window_start), '[]'))
      FROM (SELECT c.device_id, c.window_start, c.window_end, max(c.changed_at) AS changed_at,
                   _known_json(concat('[', string_agg(_path_json(
                       c.start_time, c.end_time, c.encoded_polyline, c.osrm_confidence, c.point_count,
                       c.match_status, c.grade), E',\n' ORDER BY c.start_time)
                       FILTER (WHERE c.start_time IS NOT NULL), ']')) AS paths
              FROM get_changes(get_page_changes.since, get_page_changes.device_ids) c
             GROUP BY c.device_id, c.window_start, c.window_end) w;
END;
COMMENT ON FUNCTION get_page_changes IS
    'the same as one JSON document; ask next time with the "since" it gives; stable, parallel safe';
