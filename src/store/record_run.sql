-- Adds a run, or what a further round did to run $1. The last round ($14) also says what
-- waits, if old points were searched for ($16). Servers that are left out are in $17 to $22.
INSERT INTO @extschema@.worker_runs AS r (
    id, started_at, finished_at, windows_completed, windows_failed, windows_deferred, points,
    rejected, paths, osrm_calls, duration_ms, osrm_error, delay_avg_ms, delay_max_ms,
    points_waiting, osrm_resume_at, xid, snapshot, search_pages, servers_left_out, group_error)
VALUES (coalesce($1, nextval('@extschema@.worker_runs_id_seq')), $2, clock_timestamp(), $3, $4, $5, $6,
        $7, $8, $9, $10, $11, $12, $13,
        CASE WHEN $14 AND $16::bigint IS NOT NULL THEN (SELECT b.points FROM @extschema@._backlog() AS b) END, $15,
        pg_current_xact_id(), pg_current_snapshot(), $16,
        (SELECT jsonb_agg(to_jsonb(s))
           FROM unnest($17::text[], $18::text[], $19::timestamptz[], $20::timestamptz[], $21::boolean[], $22::text[])
                AS s (server, why, since, until, at_its_wish, osrm_group)), $23)
ON CONFLICT (id) DO UPDATE SET
    finished_at = excluded.finished_at,
    windows_completed = r.windows_completed + excluded.windows_completed,
    windows_failed = r.windows_failed + excluded.windows_failed,
    windows_deferred = excluded.windows_deferred,
    points = r.points + excluded.points,
    rejected = r.rejected + excluded.rejected,
    paths = r.paths + excluded.paths,
    osrm_calls = r.osrm_calls + excluded.osrm_calls,
    duration_ms = r.duration_ms + excluded.duration_ms,
    osrm_error = excluded.osrm_error,
    osrm_resume_at = excluded.osrm_resume_at,
    xid = excluded.xid,
    snapshot = excluded.snapshot,
    delay_avg_ms = coalesce(
        (r.delay_avg_ms * r.points + excluded.delay_avg_ms * excluded.points)
            / nullif(r.points + excluded.points, 0),
        excluded.delay_avg_ms, r.delay_avg_ms),
    delay_max_ms = greatest(r.delay_max_ms, excluded.delay_max_ms),
    search_pages = excluded.search_pages,
    servers_left_out = excluded.servers_left_out,
    group_error = coalesce(excluded.group_error, r.group_error),
    points_waiting = coalesce(excluded.points_waiting, r.points_waiting)
RETURNING r.id
