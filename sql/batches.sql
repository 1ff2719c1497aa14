-- Whose a device is, and how windows become due.

CREATE FUNCTION _device_slot(device_id text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN hashtextextended(device_id, 0) & 65535;
COMMENT ON FUNCTION _device_slot IS
    'the row of device_locks that stands for a device; others may share it; immutable, parallel safe';

-- Whoever empties all tables of a schema empties device_locks: a row that is missing must not be taken for one that
-- somebody has. Until the caller's transaction ends, nobody else has any row that it has put back.
CREATE FUNCTION _restore_device_locks(slot integer, may_wait boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    restored boolean;
BEGIN
    IF may_wait THEN
        LOCK TABLE @extschema@.device_locks IN SHARE ROW EXCLUSIVE MODE;
    ELSE
        BEGIN
            LOCK TABLE @extschema@.device_locks IN SHARE ROW EXCLUSIVE MODE NOWAIT;
        EXCEPTION WHEN lock_not_available THEN
            RETURN false;
        END;
    END IF;
    WITH missing AS (
        INSERT INTO @extschema@.device_locks AS l SELECT generate_series(0, 65535) ON CONFLICT DO NOTHING RETURNING l.slot
    )
    SELECT bool_or(m.slot = _restore_device_locks.slot) INTO restored FROM missing m;
    RETURN coalesce(restored, false);
END
$$;
COMMENT ON FUNCTION _restore_device_locks IS
    'puts back what is missing of device_locks; true where the caller has a slot thereby, false where somebody else puts them back; volatile';

-- A lock on a row takes no place in PostgreSQL's table of locks, however many a transaction has, and nobody
-- can take it who may not write to the table: an advisory lock is anybody's. Two devices may share a slot;
-- then one worker has both, and others come to them later.
CREATE FUNCTION _lock_device(device_id text) RETURNS boolean
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM device_locks l
                    WHERE l.slot = _device_slot(_lock_device.device_id) FOR UPDATE SKIP LOCKED)
        OR (NOT EXISTS (SELECT FROM device_locks l WHERE l.slot = _device_slot(_lock_device.device_id))
            AND _restore_device_locks(_device_slot(_lock_device.device_id), false));
END;
COMMENT ON FUNCTION _lock_device IS
    'makes a device the caller''s own until its transaction ends; false where somebody else has it; volatile';

CREATE FUNCTION _wait_for_device(device_id text) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT _restore_device_locks(_device_slot(_wait_for_device.device_id), true)
     WHERE NOT EXISTS (SELECT FROM device_locks l WHERE l.slot = _device_slot(_wait_for_device.device_id));
    SELECT FROM device_locks l WHERE l.slot = _device_slot(_wait_for_device.device_id) FOR UPDATE;
END;
COMMENT ON FUNCTION _wait_for_device IS
    'the same, after a wait for whoever has it; for those who may wait, which no worker may; volatile';

-- Whoever waits for a lock, or decides by what is not there, must see what others have committed meanwhile.
CREATE FUNCTION _require_read_committed(what text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    level text := current_setting('transaction_isolation');
BEGIN
    IF level NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION '% needs a transaction that is READ COMMITTED: one that is % does not see what others have committed since it began',
            what, upper(level)
            USING ERRCODE = 'active_sql_transaction',
                  HINT = 'Call it in one: BEGIN ISOLATION LEVEL READ COMMITTED; or for the session: SET default_transaction_isolation = ''read committed'';';
    END IF;
END
$$;
COMMENT ON FUNCTION _require_read_committed IS
    'raises active_sql_transaction, with what to do, in a transaction that goes by one snapshot; stable';

-- One that waits for its next attempt or is in somebody's hands stays as it is.
CREATE FUNCTION _make_due(device_ids text[], starts timestamptz[], ends timestamptz[], job_ids bigint[] DEFAULT NULL)
RETURNS bigint
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    WITH due AS (
        INSERT INTO processing_batches AS b (device_id, start_time, end_time, job_id)
        SELECT * FROM unnest(_make_due.device_ids, _make_due.starts, _make_due.ends, _make_due.job_ids)
        ON CONFLICT (device_id, start_time) DO UPDATE
           SET status = 'pending', retry_count = 0, next_attempt_at = clock_timestamp(),
               job_id = excluded.job_id, updated_at = clock_timestamp()
         WHERE b.status IN ('completed', 'failed')
        RETURNING b.batch_id
    )
    SELECT count(*) FROM due;
END;
COMMENT ON FUNCTION _make_due IS
    'puts windows on record as due, finished ones again, on behalf of a job or none; returns how many were not due before; volatile';

-- Batches of a device never overlap, so that of those that begin before a moment only the last can reach
-- beyond it, however long windows were when it was made.
CREATE FUNCTION _overlapped(device_ids text[], starts timestamptz[])
RETURNS TABLE (batch_id uuid, device_id text, start_time timestamptz, end_time timestamptz)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT b.batch_id, b.device_id, b.start_time, b.end_time
      FROM unnest(_overlapped.device_ids, _overlapped.starts) AS w (device_id, start_time)
     CROSS JOIN LATERAL (
        (SELECT l.* FROM processing_batches l
          WHERE l.device_id = w.device_id AND l.start_time < w.start_time
          ORDER BY l.start_time DESC LIMIT 1)
        UNION ALL
        SELECT i.* FROM processing_batches i
         WHERE i.device_id = w.device_id
           AND i.start_time >= w.start_time AND i.start_time < w.start_time + _window()) AS b
     WHERE b.end_time > w.start_time
       AND (b.start_time, b.end_time) <> (w.start_time, w.start_time + _window());
END;
COMMENT ON FUNCTION _overlapped IS
    'batches of another length that overlap windows of the present one; stable';

-- What goes and what takes its place stand in one statement: whatever becomes of the caller's run, the time
-- that an old batch covered stays on record. Old paths stay until the new ones are written.
CREATE FUNCTION _recut(device_ids text[], starts timestamptz[], job_id bigint DEFAULT NULL) RETURNS bigint
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    WITH forgotten AS (
        DELETE FROM processing_batches b
         WHERE b.batch_id = ANY (ARRAY(SELECT o.batch_id FROM _overlapped(_recut.device_ids, _recut.starts) o))
        RETURNING b.device_id, b.start_time, b.end_time
    ), covers AS (
        INSERT INTO processing_batches AS b (device_id, start_time, end_time, job_id)
        SELECT DISTINCT f.device_id, w.start_time, w.start_time + _window(), _recut.job_id
          FROM forgotten f
         CROSS JOIN LATERAL generate_series(date_bin(_window(), f.start_time, 'epoch'),
                                            f.end_time - interval '1 us', _window()) AS w (start_time)
        RETURNING b.batch_id
    )
    SELECT count(*) FROM covers;
END;
COMMENT ON FUNCTION _recut IS
    'replaces those batches by windows that are due, on behalf of a job or none; returns how many; volatile';

CREATE FUNCTION _reached(device_ids text[], firsts timestamptz[], lasts timestamptz[], reach interval)
RETURNS TABLE (device_id text, start_time timestamptz, end_time timestamptz)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT DISTINCT b.device_id, b.start_time, b.end_time
      FROM unnest(_reached.device_ids, _reached.firsts, _reached.lasts) AS new (device_id, first, last)
     CROSS JOIN LATERAL (
        (SELECT l.* FROM processing_batches l
          WHERE l.device_id = new.device_id AND l.start_time < new.first - _reached.reach
          ORDER BY l.start_time DESC LIMIT 1)
        UNION ALL
        SELECT n.* FROM processing_batches n
         WHERE n.device_id = new.device_id
           AND n.start_time BETWEEN new.first - _reached.reach AND new.last + _reached.reach) AS b
     WHERE b.status IN ('completed', 'failed')
       AND b.settles_at IS NULL
       AND b.context_start <= new.last AND b.context_end > new.first;
END;
COMMENT ON FUNCTION _reached IS
    'settled windows whose outcome was decided by a span that new points lie in, from the first to the last of each device; reach is the furthest that a span goes beyond its window; stable';

CREATE FUNCTION retry_failed(device_ids text[] DEFAULT NULL, from_time timestamptz DEFAULT '-infinity',
                             to_time timestamptz DEFAULT 'infinity')
RETURNS bigint
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    WITH failed AS (
        SELECT b.device_id, b.start_time, b.end_time, b.job_id
          FROM processing_batches b
         WHERE b.status = 'failed'
           AND (retry_failed.device_ids IS NULL OR b.device_id = ANY (retry_failed.device_ids))
           AND b.end_time > retry_failed.from_time AND b.start_time < retry_failed.to_time
           FOR UPDATE SKIP LOCKED
    )
    SELECT _make_due(array_agg(f.device_id), array_agg(f.start_time), array_agg(f.end_time), array_agg(f.job_id))
      FROM failed f;
END;
COMMENT ON FUNCTION retry_failed IS
    'makes failed windows of some devices (null: all) in a range due again, with their retries before them; returns how many; volatile';
