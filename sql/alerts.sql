-- What is wrong, and what to do about it.

CREATE FUNCTION _schedule_alerts()
RETURNS TABLE (severity text, problem text, message text, hint text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    job record;
    last_start timestamptz;
    due timestamptz;
    ended record;
BEGIN
    SELECT * INTO job FROM @extschema@._cron_job('osrm_matcher');
    -- What was last put on record, less what was while a clock was ahead. A run that was long under way comes after
    -- others that began later.
    SELECT max(l.started_at) INTO last_start
      FROM (SELECT r.started_at FROM @extschema@.worker_runs r
             WHERE r.started_at <= statement_timestamp() ORDER BY r.id DESC LIMIT 10) l
     WHERE l.started_at > now() - interval '1 day';

    -- A schedule that cannot be read, or seen from here, is taken to be every minute.
    due := coalesce(@extschema@._next_run(job.schedule, coalesce(last_start, now() - interval '1 day')),
                    last_start + interval '1 min', '-infinity');

    -- A schedule kept by pg_cron in another database cannot be seen from here, but its runs can.
    IF @extschema@._cron_is_here() AND job.job_id IS NULL AND coalesce(last_start < now() - interval '5 min', true) THEN
        RETURN QUERY VALUES ('critical', 'schedule_missing', 'no schedule calls the worker, and nothing else has within 5 minutes',
                             'SELECT @extschema@.schedule_processing();');
    ELSIF job.active IS FALSE THEN
        RETURN QUERY VALUES ('critical', 'schedule_inactive', 'the schedule is there but not active',
                             format('SELECT cron.alter_job(%s, active => true);', job.job_id));
    ELSIF due < now() - interval '3 min' THEN
        SELECT * INTO ended FROM @extschema@._last_cron_run(job.job_id);
        RETURN QUERY SELECT 'critical', 'not_running',
            CASE WHEN last_start IS NULL THEN 'no run within a day'
                 ELSE format('the last run began %s ago', date_trunc('second', now() - last_start)) END
            || CASE WHEN ended.failed THEN format('; the last one of pg_cron failed: %s', ended.message)
                    WHEN job.job_id IS NOT NULL AND ended.failed IS NULL THEN '; none of pg_cron has ended yet' ELSE '' END,
            CASE WHEN ended.failed AND ended.message LIKE 'connection failed%'
                 THEN 'pg_cron connects as a client does, and is not let in: set cron.use_background_workers = on in postgresql.conf and restart, or let it in by pg_hba.conf (cron.host).'
                 WHEN job.job_id IS NOT NULL AND ended.failed IS NULL
                 THEN format('A new schedule begins at %s. If it does not, see that pg_cron is at work: SELECT * FROM pg_stat_activity WHERE application_name = ''pg_cron scheduler'';',
                             @extschema@._next_run(job.schedule))
                 ELSE 'Look at cron.job_run_details for the reason; without pg_cron, at what calls process_pending().' END;
    END IF;
END
$$;
COMMENT ON FUNCTION _schedule_alerts IS 'what is wrong with how the worker is called; stable';

CREATE FUNCTION _upkeep_alerts()
RETURNS TABLE (severity text, problem text, message text, hint text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT 'warning', a.problem, a.message, a.hint
      FROM _cron_job('osrm_matcher_upkeep') j
     CROSS JOIN LATERAL _last_cron_run(j.job_id) r
     CROSS JOIN LATERAL (VALUES
        -- What could not begin, as where no connection was left, has no time.
        (r.failed, 'upkeep_failed',
         format('upkeep failed%s: %s', ' ' || date_trunc('second', now() - r.began) || ' ago', r.message),
         format('Mend that; the next upkeep tries again (%s).', j.schedule)),
        (_next_run(j.schedule, r.began) < now() - interval '1 day', 'upkeep_not_running',
         format('the last upkeep began %s ago', date_trunc('second', now() - r.began)),
         CASE WHEN j.active THEN 'Look at cron.job_run_details for the reason.'
              ELSE format('SELECT cron.alter_job(%s, active => true);', j.job_id) END)) AS a (so, problem, message, hint)
     WHERE a.so;
END;
COMMENT ON FUNCTION _upkeep_alerts IS
    'whether the last scheduled upkeep failed, or the next is a day overdue, as far as pg_cron knows; stable';

CREATE FUNCTION _run_alerts(max_failures double precision, waiting_for interval)
RETURNS TABLE (severity text, problem text, message text, hint text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    first_waiting bigint;
    last_waiting bigint;
    finished bigint;
    failed bigint;
BEGIN
    -- Growing: more waits now than ten minutes ago, and more than a minute's work.
    SELECT r.points_waiting INTO first_waiting FROM @extschema@.worker_runs r
     WHERE r.started_at BETWEEN now() - interval '10 min' AND statement_timestamp() AND r.points_waiting IS NOT NULL ORDER BY r.started_at LIMIT 1;
    SELECT r.points_waiting INTO last_waiting FROM @extschema@.worker_runs r
     WHERE r.started_at BETWEEN now() - interval '10 min' AND statement_timestamp() AND r.points_waiting IS NOT NULL ORDER BY r.started_at DESC LIMIT 1;
    IF last_waiting > 1000 AND last_waiting > 1.2 * first_waiting AND waiting_for > interval '1 min' THEN
        RETURN QUERY SELECT 'warning', 'backlog_growing',
            format('%s points wait after the last run, %s ten minutes ago', last_waiting, first_waiting),
            'Points arrive faster than they are matched: raise osrm_matcher.concurrency or give OSRM more threads.';
    END IF;

    SELECT sum(r.windows_completed + r.windows_failed), sum(r.windows_failed) INTO finished, failed
      FROM @extschema@.worker_runs r WHERE r.started_at BETWEEN now() - interval '1 hour' AND statement_timestamp();
    IF failed > max_failures * finished THEN
        RETURN QUERY SELECT 'warning', 'failures',
            format('%s of %s windows failed within an hour', failed, finished),
            'SELECT error_code, error_message, count(*) FROM @extschema@.processing_batches WHERE status = ''failed'' GROUP BY 1, 2; then @extschema@.retry_failed().';
    END IF;
END
$$;
COMMENT ON FUNCTION _run_alerts IS 'what is wrong by what the last runs say of themselves; stable';

CREATE FUNCTION _set_aside_alerts() RETURNS TABLE (severity text, problem text, message text, hint text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT 'critical', 'source_set_aside', format('table %s is left out since %s: %s', a.relation, a.set_aside_at, a.reason),
           'Mend the table; runs try it again by themselves. If it is to be read no more, or in another way: release_source().'
      FROM adopted_sources a
     WHERE a.set_aside_at IS NOT NULL
    UNION ALL
    SELECT 'warning', 'points_compressed',
           format('%s points of table %s have come into %s, which is compressed: they are in no path', l.points, s.relation, l.chunk),
           format('SELECT decompress_chunk(%L); those from before the look-back then wait for start_backfill(). Compress chunks later than points come.', l.chunk)
      FROM _sources() s
      JOIN adopted_sources a ON a.relation = s.relation AND a.readable IS NOT NULL
     CROSS JOIN LATERAL _came_late(s.relation, s.fragments) l
    UNION ALL
    SELECT 'warning', 'windows_hindered', format('%s windows are put off: %s', count(*), max(b.error_message)),
           CASE b.error_code
               WHEN 'NotMarked' THEN 'A trigger or a rule of the table of points undoes the mark: it must let processed become true.'
               WHEN 'Locked' THEN 'SELECT * FROM pg_locks WHERE NOT granted; somebody''s transaction holds what has to be written.'
               ELSE 'Mend what PostgreSQL speaks of; the windows are tried again by themselves.' END
      FROM processing_batches b
     WHERE b.status = 'pending' AND b.error_code IN ('NotMarked', 'NotWritten', 'Locked')
     GROUP BY b.error_code
    UNION ALL
    SELECT 'critical', 'bad_address', format('nothing is processed: %s', _osrm_problem()),
           'See where it is set, and correct it there as a superuser: SELECT * FROM pg_db_role_setting; SELECT * FROM pg_file_settings;'
     WHERE _osrm_problem() IS NOT NULL
    UNION ALL
    SELECT 'critical', 'group_away',
           format('%s wait: %s', coalesce('devices of group ' || s.osrm_group, 'devices in no group'),
                  string_agg(format('%s has not answered since %s: %s', s.server, s.since, s.problem), '; ')),
           'SELECT * FROM osrm_health();'
      FROM get_osrm_servers() s
     WHERE EXISTS (SELECT FROM osrm_groups) AND (s.osrm_group IS NOT NULL OR _osrm_problem() IS NULL)
     GROUP BY s.osrm_group
    HAVING bool_and(s.in_use IS FALSE)
    UNION ALL
    (SELECT 'warning', 'group_unsaid', format('at %s: %s', r.started_at, r.group_error),
            'Mend what the column holds, or choose another source_column; then start_rematch() for its devices.'
       FROM worker_runs r
      WHERE r.started_at BETWEEN now() - interval '10 min' AND statement_timestamp() AND r.group_error IS NOT NULL
      ORDER BY r.started_at DESC LIMIT 1);
END;
COMMENT ON FUNCTION _set_aside_alerts IS 'tables, windows, groups of devices and what rows say of them that are set aside, and what keeps all from being processed, with their reasons; stable';

CREATE FUNCTION _server_alerts() RETURNS TABLE (severity text, problem text, message text, hint text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT 'warning', 'server_left_out', format('%s is left out since %s: %s', s.server, s.since, s.problem),
           'See that osrm-routed runs there; runs ask it again by themselves.'
      FROM (SELECT o.*, bool_and(o.in_use IS FALSE) OVER (PARTITION BY o.osrm_group) AS all_are FROM get_osrm_servers() o) s
     WHERE NOT s.in_use AND NOT s.all_are
    UNION ALL
    SELECT 'warning', 'group_column_missing',
           format('group %s goes by column %s, which no table of points has', g.name, quote_ident(g.source_column)),
           'Adopt the table that has it, or correct source_column in osrm_groups.'
      FROM osrm_groups g
     WHERE g.source_column IS NOT NULL AND NOT _is_source_column(g.source_column)
    UNION ALL
    SELECT 'warning', 'group_missing',
           format('%s devices of osrm_group_devices are in group %s, which is not in osrm_groups', count(*), m.osrm_group),
           'Make the group, or correct the list; until then they are matched as if they were not in it.'
      FROM osrm_group_devices m
     WHERE NOT EXISTS (SELECT FROM osrm_groups g WHERE g.name = m.osrm_group)
     GROUP BY m.osrm_group;
END;
COMMENT ON FUNCTION _server_alerts IS
    'OSRM servers that are left out while others of their group answer, groups by a column that is nowhere, and devices in a group that is not there, with their reasons; stable';

CREATE FUNCTION _adoption_alerts() RETURNS TABLE (severity text, problem text, message text, hint text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT 'warning', 'adoption_unfinished', format('table %s is adopted, but lacks indexes: it is not read', a.relation),
           format(E'SELECT statement FROM @extschema@.finish_adoption(%L) WHERE NOT done \\gexec', _qualified(a.relation))
      FROM adopted_sources a
     WHERE NOT a.ready AND a.holds IS DISTINCT FROM 'empty' AND a.adopted_at < now() - interval '1 hour'
    UNION ALL
    SELECT 'critical', 'source_replaced',
           format('table %s is not the one that was adopted, which %s: its points are not read', a.known_as,
                  coalesce('is ' || _qualified(a.relation) || ' now', 'was dropped')),
           format('If points are written to it, adopt it: SELECT * FROM adopt_source(%L, ...). If not: SELECT release_source(%L), and adopt that anew if it is to be read on.',
                  a.known_as, coalesce(_qualified(a.relation), a.relation::oid::text))
      FROM adopted_sources a
     WHERE _replacement(a.relation, a.known_as) IS NOT NULL
    UNION ALL
    SELECT 'warning', 'adoption_undone',
           format('the column "processed" of table %s may be null, or has no default: points where it is null are not found', a.relation),
           format('UPDATE %1$s SET processed = false WHERE processed IS NULL; ALTER TABLE %1$s ALTER processed SET DEFAULT false, ALTER processed SET NOT NULL;', a.relation)
      FROM adopted_sources a
      JOIN pg_attribute c ON c.attrelid = a.relation AND c.attname = 'processed' AND NOT (c.attnotnull AND c.atthasdef)
     WHERE a.set_aside_at IS NULL
    UNION ALL
    -- By its name alone: to look what it is of would wait for whoever has locked the table.
    SELECT 'warning', 'adoption_undone',
           format('table %s has no index %I, which adoption made: runs or pages may read all of it', a.relation, i.name),
           CASE WHEN EXISTS (SELECT FROM _index_statements(i.name, a.relation, i.definition, true) s WHERE s.drops)
                THEN format(E'SELECT statement FROM @extschema@.finish_adoption(%L) WHERE NOT done \\gexec', _qualified(a.relation))
                ELSE format('CREATE INDEX %s%I ON %s %s;', CASE WHEN c.relkind = 'r' AND NOT _is_hypertable(c.oid) THEN 'CONCURRENTLY ' END,
                            i.name, a.relation, i.definition) END
      FROM adopted_sources a
     CROSS JOIN LATERAL _relation(a.relation) c
     CROSS JOIN LATERAL _wanted_indexes(a) i
     WHERE a.ready AND c.oid IS NOT NULL AND NOT i.there
    UNION ALL
    SELECT 'warning', 'index_missing', format('table %s has no index %s: each run reads all of it', p.relation, i.name),
           format('CREATE INDEX %s%I ON %s %s;', CASE WHEN c.relkind = 'r' THEN 'CONCURRENTLY ' END, i.name, p.relation, i.definition)
      FROM (SELECT to_regclass('@extschema@.gps_coordinates')) AS p (relation)
     CROSS JOIN LATERAL _relation(p.relation) c
     CROSS JOIN (VALUES ('gps_coordinates_unprocessed', '(device_id, recorded_at) WHERE NOT processed'),
                        ('gps_coordinates_waiting', '(recorded_at) WHERE processed::int = 0')) AS i (name, definition)
     WHERE NOT _is_index_of(i.name, p.relation);
END;
COMMENT ON FUNCTION _adoption_alerts IS
    'adopted tables that are not as adoption makes them, or whose name another one has, and what gps_coordinates lacks; stable';

-- Looks at what was stored last: a fleet whose lines are all raw, or of a time to come, is one whose points are not what
-- they seem, while a single vehicle may well be where no road is, or have a clock that is wrong.
CREATE FUNCTION _points_alerts() RETURNS TABLE (severity text, problem text, message text, hint text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT 'warning', 'points_ahead',
           format('%s points are of more than a day in the future, the first of %s: no run takes them before their time',
                  CASE WHEN a.points < 5000 THEN a.points::text ELSE '5000 or more' END, a.oldest),
           'Were milliseconds taken for seconds, or is a clock wrong? Correct the times of these points, or delete them.'
      FROM _points_ahead() a
     WHERE a.points > 0
    UNION ALL
    SELECT 'warning', 'clocks_ahead',
           format('%s of %s devices have points of the future, of up to %s from now', d.ahead, d.devices, d.furthest),
           'Were local times stored as UTC? Insert times with their zone, or give adopt_source() the time_zone. A page shows no line before its time.'
      FROM (SELECT count(DISTINCT w.device_id) AS devices, date_trunc('minute', max(w.start_time) - now()) AS furthest,
                   count(DISTINCT w.device_id) FILTER (WHERE w.start_time > now() + interval '30 min') AS ahead
              FROM (SELECT b.device_id, b.start_time FROM processing_batches b
                     WHERE b.processing_completed_at > now() - interval '15 min'
                     ORDER BY b.processing_completed_at DESC LIMIT 1000) w) d
     WHERE d.ahead > 0 AND d.ahead >= 0.1 * d.devices
    UNION ALL
    SELECT 'warning', 'few_matched',
           format('%s of the last %s paths lie on roads, all others are raw, for %s mostly', c.matched, c.paths, c.reason),
           'Has OSRM the map of where the vehicles drive? Are longitude and latitude swapped, or no degrees? See where they are: '
           'SELECT p.device_id, l.longitude, l.latitude FROM @extschema@.cached_polylines p CROSS JOIN @extschema@.decode_polyline(p.encoded_polyline) l ORDER BY p.id DESC LIMIT 10;'
      FROM (SELECT count(*) AS paths, count(*) FILTER (WHERE p.match_status = 'matched') AS matched,
                   count(*) FILTER (WHERE p.reason IN ('NoSegment', 'NoMatch')) AS raw, mode() WITHIN GROUP (ORDER BY p.reason) AS reason
              FROM (SELECT q.match_status, q.reason, q.created_at FROM cached_polylines q ORDER BY q.id DESC LIMIT 200) p
             WHERE p.created_at > now() - interval '1 hour') c
     WHERE c.paths >= 10 AND c.raw > 0.9 * c.paths
    UNION ALL
    SELECT 'warning', 'points_rejected',
           format('%s of %s points of the last hour hold no usable place, time or device', r.rejected, r.points),
           'Places are degrees, longitude from -180 to 180, latitude from -90 to 90; for what adopted tables are read by, SELECT * FROM @extschema@.adopted_sources. '
           'Another column, unit or order: release_source(), then adopt_source() once more; what is older than the look-back then takes start_backfill().'
      FROM (SELECT sum(w.rejected) AS rejected, sum(w.points) AS points FROM worker_runs w
             WHERE w.started_at BETWEEN now() - interval '1 hour' AND statement_timestamp()) r
     WHERE r.rejected > 0.5 * r.points;
END;
COMMENT ON FUNCTION _points_alerts IS
    'whether points wait for a time to come, lie in the future though runs take them, where the map has no roads, or nowhere; stable';

CREATE FUNCTION worker_alerts(
    max_delay interval DEFAULT '2 min',
    max_failures double precision DEFAULT 0.01,
    cache_budget bigint DEFAULT NULL)
RETURNS TABLE (severity text, problem text, message text, hint text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    now_is record;
    waiting_for interval;
    cache_size bigint := pg_total_relation_size('@extschema@.cached_polylines');
BEGIN
    -- All else that there is to tell begins with what waits.
    RETURN QUERY SELECT 'critical', 'points_unreadable', format('nothing is processed: %s', p.problem), p.hint
      FROM @extschema@._points_problem() p WHERE p.problem IS NOT NULL;
    IF FOUND THEN RETURN; END IF;
    SELECT * INTO now_is FROM @extschema@.worker_status();
    waiting_for := date_trunc('second', now() - now_is.waiting_since);

    IF NOT now_is.enabled THEN
        RETURN QUERY VALUES ('warning', 'disabled', 'processing is disabled',
                             'Set osrm_matcher.enabled to on when it is to go on.');
    ELSE
        RETURN QUERY SELECT a.* FROM @extschema@._schedule_alerts() a;
    END IF;
    RETURN QUERY SELECT a.* FROM @extschema@._upkeep_alerts() a;

    IF now_is.osrm_reachable IS FALSE THEN
        RETURN QUERY SELECT 'critical', 'osrm_away',
            format('OSRM has not answered since %s: %s', now_is.osrm_since, now_is.osrm_error),
            'SELECT * FROM @extschema@.osrm_health();';
    ELSE
        RETURN QUERY SELECT a.* FROM @extschema@._server_alerts() a;
    END IF;

    IF waiting_for > max_delay THEN
        RETURN QUERY SELECT 'warning', 'delay',
            format('a point has been waiting for %s', waiting_for),
            CASE WHEN now_is.osrm_reachable IS FALSE THEN 'OSRM has to be back first.'
                 ELSE 'If runs use their whole time, raise osrm_matcher.concurrency or give OSRM more threads; '
                      'if not, see pg_stat_activity for a long transaction that holds rows of the device.' END;
    END IF;

    IF now_is.points_behind > 0 THEN
        RETURN QUERY SELECT 'warning', 'behind_look_back',
            format('%s points are older than osrm_matcher.look_back; no run takes them by itself',
                   CASE WHEN now_is.points_behind < 5000 THEN now_is.points_behind::text ELSE '5000 or more' END),
            format('SELECT @extschema@.start_backfill(%L, %L);', b.oldest, now())
          FROM @extschema@._behind_look_back() b
         -- Those that a backfill has before it are no worry.
         WHERE NOT EXISTS (SELECT FROM @extschema@.matching_jobs j
                            WHERE j.kind = 'backfill' AND j.status IN ('active', 'finishing')
                              AND j.device_ids IS NULL AND j.from_time <= b.oldest);
    END IF;

    RETURN QUERY SELECT a.* FROM @extschema@._points_alerts() a;
    RETURN QUERY SELECT a.* FROM @extschema@._run_alerts(max_failures, waiting_for) a;

    IF cache_size > cache_budget THEN
        RETURN QUERY SELECT 'warning', 'cache_over_budget',
            format('the paths take %s, %s are allowed', pg_size_pretty(cache_size), pg_size_pretty(cache_budget)),
            'Keep paths for fewer days: see @extschema@.upkeep().';
    END IF;

    RETURN QUERY SELECT a.* FROM @extschema@._set_aside_alerts() a;
    RETURN QUERY SELECT a.* FROM @extschema@._adoption_alerts() a;
END
$$;
COMMENT ON FUNCTION worker_alerts IS
    'problems that there are, with what to do; no rows when all is well; cache_budget in bytes, null for none; stable';
