-- How the worker does, in one row, and views for a dashboard. Nothing here scans what is done.

-- Exact while a table is small; then what the statistics collector has counted.
CREATE FUNCTION _count(relation regclass, fragments json DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    live bigint;
    few bigint;
BEGIN
    SELECT sum(CASE WHEN pg_stat_get_live_tuples(c.oid) > 0 THEN pg_stat_get_live_tuples(c.oid)
                    ELSE greatest(c.reltuples, 0)::bigint END)
      INTO live
      FROM @extschema@._tables_of(relation) t
     CROSS JOIN LATERAL @extschema@._relation(t.part) c
     WHERE NOT t.partitioned;
    IF live > 20000 THEN
        RETURN live;
    END IF;
    IF fragments IS NULL THEN
        EXECUTE format('SELECT count(*) FROM (SELECT FROM %s LIMIT 10001) AS first_rows', relation) INTO few;
    ELSE
        SELECT q.few INTO few FROM json_to_recordset(@extschema@._ask_source(fragments,
            'SELECT count(*) AS few FROM (SELECT FROM {relation} LIMIT 10001) AS first_rows')) AS q (few bigint);
    END IF;
    RETURN CASE WHEN few <= 10000 THEN few ELSE greatest(live, few) END;
END
$$;
COMMENT ON FUNCTION _count IS 'rows of a table, which may be a source: exact up to 10,000, an estimate from the statistics beyond; stable';

-- ---------------------------------------------------------------------------------------------
-- One row for the operator
-- ---------------------------------------------------------------------------------------------
CREATE FUNCTION worker_status(
    OUT unprocessed_points bigint, OUT processed_points bigint, OUT active_devices bigint,
    OUT cached_paths bigint, OUT last_cache_update timestamptz,
    OUT windows_pending bigint, OUT windows_deferred bigint, OUT windows_failed bigint,
    OUT oldest_waiting timestamptz, OUT waiting_since timestamptz, OUT estimated boolean,
    OUT osrm_reachable boolean, OUT osrm_since timestamptz, OUT osrm_error text,
    OUT enabled boolean, OUT schedule text, OUT next_run timestamptz, OUT last_run json, OUT set_aside text[],
    OUT points_behind bigint, OUT workers bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    waiting record;
    newest @extschema@.worker_runs;
    reopened bigint;
BEGIN
    PERFORM @extschema@._require_points();
    SELECT * INTO waiting FROM @extschema@._backlog();
    unprocessed_points := waiting.points;
    oldest_waiting := waiting.oldest;
    waiting_since := waiting.waiting_since;
    estimated := waiting.estimated;
    SELECT greatest(0, sum(@extschema@._count(s.relation, s.fragments)) - unprocessed_points) INTO processed_points
      FROM @extschema@._sources() s;
    cached_paths := @extschema@._count('@extschema@.cached_polylines');
    SELECT b.points INTO points_behind FROM @extschema@._behind_look_back() b;
    estimated := estimated OR processed_points + unprocessed_points > 10000 OR cached_paths > 10000;

    -- A vehicle on the road has a window finished every minute: the last quarter of an hour is enough.
    SELECT count(*) INTO active_devices
      FROM (SELECT DISTINCT b.device_id FROM @extschema@.processing_batches b
             WHERE b.processing_completed_at > now() - interval '15 min') d;
    active_devices := greatest(active_devices, waiting.devices);
    SELECT b.processing_completed_at INTO last_cache_update
      FROM @extschema@.processing_batches b
     WHERE b.processing_completed_at IS NOT NULL
     ORDER BY b.processing_completed_at DESC
     LIMIT 1;

    -- A window with unprocessed points is pending, and so is one that is to be done again without any.
    SELECT count(*) FILTER (WHERE q.next_attempt_at > now()),
           count(*) FILTER (WHERE q.next_attempt_at <= now()
                              AND (q.processing_completed_at IS NOT NULL OR q.job_id IS NOT NULL))
      INTO windows_deferred, reopened
      FROM (SELECT b.next_attempt_at, b.processing_completed_at, b.job_id FROM @extschema@.processing_batches b
             WHERE b.status IN ('pending', 'processing')
             LIMIT 10000) q;
    windows_pending := greatest(0, waiting.windows - windows_deferred) + reopened;
    SELECT count(*) INTO windows_failed
      FROM (SELECT FROM @extschema@.processing_batches b WHERE b.status = 'failed' LIMIT 10000) q;

    SELECT s.reachable, s.since, s.error INTO osrm_reachable, osrm_since, osrm_error
      FROM @extschema@._osrm_seen() s;

    SELECT array_agg(a.message) INTO set_aside FROM @extschema@._set_aside_alerts() a;
    enabled := @extschema@._enabled();
    SELECT j.schedule, CASE WHEN j.active THEN @extschema@._next_run(j.schedule) END INTO schedule, next_run
      FROM @extschema@._cron_job('osrm_matcher') j;
    SELECT nullif(count(*), 0) INTO workers FROM @extschema@._cron_workers() w WHERE w.active;
    SELECT r.* INTO newest FROM @extschema@.worker_runs r ORDER BY r.id DESC LIMIT 1;
    last_run := CASE WHEN newest.id IS NOT NULL THEN row_to_json(newest) END;
END
$$;

-- What the runs saw of OSRM; asking it would make a reader wait (see osrm_health() for that).
CREATE FUNCTION _osrm_seen(OUT reachable boolean, OUT since timestamptz, OUT error text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    answered bigint;
BEGIN
    -- The order is that of their numbers, not of their times: a clock may have been ahead.
    SELECT r.id, r.started_at, true INTO answered, since, reachable
      FROM @extschema@.worker_runs r
     WHERE r.osrm_error IS NULL AND r.osrm_calls > 0
     ORDER BY r.id DESC LIMIT 1;
    SELECT r.osrm_error INTO error
      FROM @extschema@.worker_runs r
     WHERE r.osrm_error IS NOT NULL AND r.id > coalesce(answered, 0)
     ORDER BY r.id DESC LIMIT 1;
    IF FOUND THEN
        reachable := false;
        SELECT r.started_at INTO since
          FROM @extschema@.worker_runs r
         WHERE r.osrm_error IS NOT NULL AND r.id > coalesce(answered, 0)
         ORDER BY r.id LIMIT 1;
    END IF;
END
$$;
COMMENT ON FUNCTION _osrm_seen IS
    'whether OSRM answered the last run that asked it, and since when not; null where none has asked; stable';
COMMENT ON FUNCTION _osrm_servers IS 'addresses of the OSRM servers that are set, none where one cannot be used; stable, parallel safe';
COMMENT ON FUNCTION _osrm_problem IS 'why no OSRM server can be asked by the settings; null if one can; stable, parallel safe';

-- The servers as they are set, and what the last run saw of each.
CREATE FUNCTION get_osrm_servers()
RETURNS TABLE (server text, in_use boolean, since timestamptz, problem text, asked_again_at timestamptz,
               osrm_group text)
LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
    SELECT c.server, CASE WHEN l.server IS NOT NULL OR c.problem IS NOT NULL THEN false WHEN seen.reachable THEN true END,
           l.since, coalesce(c.problem, l.why), l.until, c.osrm_group
      FROM (SELECT NULL::text AS osrm_group, s.server, s.position, _osrm_problem() AS problem
              FROM (SELECT _osrm_servers() AS set) o
             CROSS JOIN LATERAL unnest(coalesce(nullif(o.set, '{}'), ARRAY[NULL])) WITH ORDINALITY AS s (server, position)
            UNION ALL
            SELECT g.name, s.server, s.position, NULL
              FROM osrm_groups g
             CROSS JOIN LATERAL unnest(_server_list(g.osrm_url)) WITH ORDINALITY AS s (server, position)) c
     CROSS JOIN _osrm_seen() seen
      LEFT JOIN (SELECT s.server, s.why, s.since, s.until, s.osrm_group
                   FROM (SELECT w.servers_left_out FROM worker_runs w ORDER BY w.id DESC LIMIT 1) last
                  CROSS JOIN jsonb_to_recordset(last.servers_left_out)
                             AS s (server text, why text, since timestamptz, until timestamptz, osrm_group text)) l
             ON l.server = c.server AND l.osrm_group IS NOT DISTINCT FROM c.osrm_group
     ORDER BY c.osrm_group COLLATE "C" NULLS FIRST, c.position;
END;
COMMENT ON FUNCTION get_osrm_servers IS
    'the OSRM servers that are set, those of osrm_matcher.osrm_url first (null where it cannot be used), then those of each group; whether the last run left one out, since when, why, and when it is asked again; stable';

COMMENT ON FUNCTION worker_status IS
    'how the worker does, in one row: what waits, what is done, OSRM, the last run and the next; stable, reads only what waits';

-- ---------------------------------------------------------------------------------------------
-- Views for a dashboard
-- ---------------------------------------------------------------------------------------------
CREATE VIEW worker_health AS
SELECT s.unprocessed_points AS points_waiting,
       s.windows_pending,
       s.windows_deferred,
       s.windows_failed,
       r.points AS points_last_hour,
       r.windows AS windows_last_hour,
       r.runs AS runs_last_hour,
       r.calls AS osrm_calls_last_hour,
       round(r.delay_avg_ms)::bigint AS delay_avg_ms,
       round(r.delay_max_ms)::bigint AS delay_max_ms,
       coalesce(greatest(0, round(extract(epoch FROM now() - s.waiting_since) * 1000)), 0)::bigint AS waiting_ms,
       s.osrm_reachable
  FROM worker_status() s
 CROSS JOIN (
    SELECT coalesce(sum(w.points), 0)::bigint AS points,
           coalesce(sum(w.windows_completed), 0)::bigint AS windows,
           count(*) AS runs,
           coalesce(sum(w.osrm_calls), 0)::bigint AS calls,
           sum(w.delay_avg_ms * w.points) / nullif(sum(w.points) FILTER (WHERE w.delay_avg_ms IS NOT NULL), 0)
               AS delay_avg_ms,
           max(w.delay_max_ms) AS delay_max_ms
      FROM worker_runs w
     WHERE w.started_at BETWEEN now() - interval '1 hour' AND statement_timestamp()) r;
COMMENT ON VIEW worker_health IS 'backlog, what the last hour did, and the delay of live points, one row';
COMMENT ON COLUMN worker_health.delay_avg_ms IS 'mean age of live points when they were taken into a path, last hour';
COMMENT ON COLUMN worker_health.delay_max_ms IS 'greatest age of a live point when it was taken into a path, last hour';
COMMENT ON COLUMN worker_health.waiting_ms IS 'for how long the point that waits longest has been waiting';

-- What rows say comes from all of them while the table is small, from some 2,000 of its pages beyond.
CREATE FUNCTION _cache_performance(
    OUT paths bigint, OUT devices bigint, OUT points_per_path double precision, OUT last_access timestamptz,
    OUT matched_share double precision, OUT hit_rate double precision, OUT reads_last_day bigint,
    OUT size_bytes bigint, OUT size text, OUT bytes_per_path double precision)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pages bigint := pg_relation_size('@extschema@.cached_polylines') / current_setting('block_size')::int;
BEGIN
    paths := @extschema@._count('@extschema@.cached_polylines');
    SELECT count(*) INTO devices FROM (SELECT FROM @extschema@.get_devices() LIMIT 100000) d;
    EXECUTE format(
        'SELECT avg(p.source_coordinates_count), avg((p.match_status = ''matched'')::int), max(p.last_accessed)
           FROM @extschema@.cached_polylines p %s',
        CASE WHEN pages > 2000 THEN format('TABLESAMPLE SYSTEM (%s) REPEATABLE (1)', 100.0 * 2000 / pages) END)
       INTO points_per_path, matched_share, last_access;
    -- The notes of reads are not there on a standby: an unlogged table is not copied.
    IF NOT pg_is_in_recovery() THEN
        SELECT sum(r.points_cached)::double precision / nullif(sum(r.points_cached + r.points_waiting), 0), count(*),
               greatest(max(r.read_at), last_access)
          INTO hit_rate, reads_last_day, last_access
          FROM @extschema@.path_reads r
         WHERE r.read_at > now() - interval '1 day';
    END IF;
    size_bytes := pg_total_relation_size('@extschema@.cached_polylines');
    size := pg_size_pretty(size_bytes);
    bytes_per_path := size_bytes / nullif(paths, 0)::double precision;
END
$$;
COMMENT ON FUNCTION _cache_performance IS 'the row of cache_performance; stable';

CREATE VIEW cache_performance AS
SELECT paths, devices, points_per_path, last_access, matched_share, hit_rate, reads_last_day, size_bytes, size,
       bytes_per_path
  FROM _cache_performance();
COMMENT ON VIEW cache_performance IS 'how much is cached and how well it serves, one row';
COMMENT ON COLUMN cache_performance.points_per_path IS 'GPS points that a path stands for, on average';
COMMENT ON COLUMN cache_performance.matched_share IS 'share of the paths that lie on roads; the others are raw';
COMMENT ON COLUMN cache_performance.hit_rate IS
    'of the points in the ranges that pages read in the last day, the share that paths stood for; a device''s reads count once in ten minutes';
COMMENT ON COLUMN cache_performance.size_bytes IS 'table and indexes on disk';
