-- last_accessed, without making readers write to paths: a read leaves a note, a run stores the notes.

-- A note is one row for a device's range, at most every ten minutes, in a table that no reader waits
-- for: it has no unique index, so two readers never meet, and it is unlogged, so that a transaction that
-- wrote nothing else ends without waiting for the disk or for a standby. A crash loses a few notes.
CREATE UNLOGGED TABLE path_reads (
    device_id      text,
    from_time      timestamptz NOT NULL,
    to_time        timestamptz NOT NULL,
    read_at        timestamptz NOT NULL DEFAULT now(),
    points_cached  bigint NOT NULL DEFAULT 0,
    points_waiting bigint NOT NULL DEFAULT 0,
    stored         boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE path_reads IS 'what was read lately, one row a device and ten minutes; kept for a day, emptied by a crash';
COMMENT ON COLUMN path_reads.device_id IS 'null: all devices';
COMMENT ON COLUMN path_reads.points_cached IS 'points of the range that paths stood for';
COMMENT ON COLUMN path_reads.points_waiting IS 'points of the range that were in no path yet';
COMMENT ON COLUMN path_reads.stored IS 'whether last_accessed of the paths has been set';

CREATE INDEX path_reads_device ON path_reads (device_id, read_at);
COMMENT ON INDEX path_reads_device IS 'finds a note that is recent enough to spare another';
CREATE INDEX path_reads_read_at ON path_reads (read_at);
COMMENT ON INDEX path_reads_read_at IS 'finds the notes that are too old';
CREATE INDEX path_reads_new ON path_reads (read_at) WHERE NOT stored;
COMMENT ON INDEX path_reads_new IS 'finds the notes that are not stored yet';

CREATE FUNCTION note_read(device_id text, from_time timestamptz, to_time timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Whoever has the notes as a whole, as VACUUM FULL has, is not waited for.
SET lock_timeout = '20ms'
AS $$
DECLARE
    alone boolean;
BEGIN
    -- A standby is read-only, too, and has no table of notes that could be asked. A serializable reader
    -- would be in conflict with other readers. Without a range nothing was read, and no device has a longer name.
    IF from_time IS NULL OR to_time IS NULL OR octet_length(device_id) > 255
       OR current_setting('transaction_read_only')::boolean
       OR current_setting('transaction_isolation') = 'serializable'
    THEN
        RETURN false;
    END IF;
    IF EXISTS (SELECT FROM @extschema@.path_reads r
                WHERE (r.device_id = note_read.device_id OR note_read.device_id IS NULL AND r.device_id IS NULL)
                  AND r.read_at BETWEEN now() - interval '10 min' AND now() + interval '10 min'
                  AND r.from_time <= note_read.from_time
                  AND r.to_time >= note_read.to_time - interval '10 min')
    THEN
        RETURN false;
    END IF;
    alone := @extschema@._writes_but_notes();
    INSERT INTO @extschema@.path_reads (device_id, from_time, to_time, points_cached, points_waiting)
    SELECT note_read.device_id, note_read.from_time, note_read.to_time,
           (SELECT coalesce(sum(p.source_coordinates_count), 0)
              FROM @extschema@._stored_paths(note_read.device_id, note_read.from_time, note_read.to_time) p),
           (SELECT count(*)
              FROM @extschema@._waiting_points(note_read.device_id, note_read.from_time, note_read.to_time, 10000));
    IF alone THEN
        PERFORM @extschema@._has_noted();
    END IF;
    RETURN true;
-- What is in the way of a note, be it a lock, a full disk, or a server that gives no transaction ids any more, is in no
-- reader's way. A cancel is none of the others.
EXCEPTION WHEN OTHERS THEN
    IF SQLSTATE <> '55P03' THEN
        RAISE LOG 'osrm_matcher: could not note that paths were read: %', SQLERRM;
    END IF;
    RETURN false;
END
$$;
COMMENT ON FUNCTION note_read IS
    'notes that paths of a device (null: all) were read, for last_accessed; once in ten minutes, nothing where that cannot be written, as on a standby, or in a read-only or serializable transaction; volatile, parallel unsafe';
COMMENT ON FUNCTION _writes_but_notes IS
    'whether the transaction has written nothing so far but notes; volatile, parallel unsafe';
COMMENT ON FUNCTION _has_noted IS
    'says that what was written last is a note, as was all before it, so that the commit waits neither for the disk nor for a standby; volatile, parallel unsafe';

-- What is a day old serves nothing any more, stored or not: the notes are never more than a day's.
CREATE FUNCTION _forget_reads() RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
    WITH gone AS (
        DELETE FROM path_reads r
         WHERE r.ctid = ANY (ARRAY(SELECT o.ctid FROM path_reads o
                                    WHERE o.read_at < now() - interval '1 day'
                                    ORDER BY o.read_at LIMIT 10000))
        RETURNING r.read_at
    )
    SELECT count(*) FROM gone;
END;
COMMENT ON FUNCTION _forget_reads IS
    'deletes notes of what was read more than a day ago; runs at the end of a run, whether or not notes can be stored; volatile, parallel unsafe';

CREATE FUNCTION _store_reads() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    touched bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM @extschema@.path_reads r WHERE NOT r.stored) THEN
        RETURN 0;
    END IF;
    WITH fresh AS (
        UPDATE @extschema@.path_reads r
           SET stored = true
         WHERE r.ctid = ANY (ARRAY(SELECT n.ctid FROM @extschema@.path_reads n
                                    WHERE NOT n.stored
                                    ORDER BY n.read_at LIMIT 1000
                                      FOR UPDATE SKIP LOCKED))
        RETURNING r.device_id, r.from_time, r.to_time, r.read_at
    ), asked AS (
        SELECT f.device_id, min(f.from_time) AS from_time, max(f.to_time) AS to_time, max(f.read_at) AS read_at
          FROM fresh f
         GROUP BY f.device_id
    ), devices AS (
        -- A page of the fleet that stays open would have all paths of its hours written every ten minutes.
        SELECT a.*, interval '10 min' AS lag FROM asked a WHERE a.device_id IS NOT NULL
        UNION ALL
        SELECT d.device_id, a.from_time, a.to_time, a.read_at, interval '1 hour'
          FROM asked a CROSS JOIN @extschema@.get_devices() d
         WHERE a.device_id IS NULL
    ), due AS (
        SELECT c.id, d.read_at
          FROM devices d
         CROSS JOIN LATERAL @extschema@._stored_paths(d.device_id, d.from_time, d.to_time) p
          JOIN @extschema@.cached_polylines c ON c.id = p.id
         WHERE c.last_accessed < d.read_at - d.lag
           FOR UPDATE OF c SKIP LOCKED
    )
    UPDATE @extschema@.cached_polylines c
       SET last_accessed = d.read_at
      FROM (SELECT due.id, max(due.read_at) AS read_at FROM due GROUP BY due.id) d
     WHERE c.id = d.id;
    GET DIAGNOSTICS touched = ROW_COUNT;
    RETURN touched;
END
$$;
COMMENT ON FUNCTION _store_reads IS
    'sets last_accessed of the paths that notes speak of, passing over locked ones; runs at the end of a run; volatile, parallel unsafe';
