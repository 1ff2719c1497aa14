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
    stored         boolean NOT NULL DEFAULT false,
    stored_until   text
);
COMMENT ON TABLE path_reads IS 'what was read lately, one row a device and ten minutes; kept for a day, emptied by a crash';
COMMENT ON COLUMN path_reads.device_id IS 'null: all devices';
COMMENT ON COLUMN path_reads.points_cached IS 'points of the range that paths stood for';
COMMENT ON COLUMN path_reads.points_waiting IS 'points of the range that were in no path yet';
COMMENT ON COLUMN path_reads.stored IS 'whether last_accessed of the paths has been set';
COMMENT ON COLUMN path_reads.stored_until IS 'the device until which it has been set, in the order of their names; null: none yet';

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

-- Its paths are of one device, or of one after the other. A page of the fleet that stays open would have all paths of its
-- hours written every ten minutes. The planner knows nothing of the device: it must not take all paths for its own.
CREATE FUNCTION _store_read(note path_reads, deadline timestamptz, OUT touched bigint, OUT reached text, OUT stored boolean)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    device text := note.device_id;
    lag interval := CASE WHEN note.device_id IS NULL THEN interval '1 hour' ELSE interval '10 min' END;
    most bigint := 10000;
    written bigint;
BEGIN
    touched := 0;
    reached := note.stored_until;
    LOOP
        IF device IS NULL THEN
            SELECT p.device_id INTO device FROM @extschema@.cached_polylines p
             WHERE p.device_id > coalesce(reached, '') ORDER BY p.device_id LIMIT 1;
        END IF;
        stored := device IS NULL;
        EXIT WHEN stored;
        WITH due AS (
            SELECT c.id
              FROM @extschema@._stored_paths(device, note.from_time, note.to_time) p
              JOIN @extschema@.cached_polylines c ON c.id = p.id
             WHERE c.last_accessed < note.read_at - lag
             LIMIT most
               FOR UPDATE OF c SKIP LOCKED
        )
        UPDATE @extschema@.cached_polylines c SET last_accessed = note.read_at FROM due d WHERE c.id = d.id;
        GET DIAGNOSTICS written = ROW_COUNT;
        touched := touched + written;
        IF written < most THEN
            reached := device;
            device := NULL;
            stored := note.device_id IS NOT NULL;
        END IF;
        EXIT WHEN stored OR clock_timestamp() >= deadline;
    END LOOP;
END
$$;
COMMENT ON FUNCTION _store_read IS
    'sets last_accessed of the paths that a note speaks of, passing over locked ones, until a moment; says of how many, until which device, and whether that was all; volatile, parallel unsafe';

-- However much was read, live points wait no longer for it.
CREATE FUNCTION _store_reads() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    touched bigint := 0;
    deadline timestamptz := clock_timestamp() + interval '1 second';
    note record;
    done record;
BEGIN
    FOR note IN
        SELECT r.ctid AS place, r AS noted FROM @extschema@.path_reads r
         WHERE NOT r.stored ORDER BY r.read_at LIMIT 1000 FOR UPDATE SKIP LOCKED
    LOOP
        SELECT * INTO done FROM @extschema@._store_read(note.noted, deadline);
        UPDATE @extschema@.path_reads r SET stored = done.stored, stored_until = done.reached WHERE r.ctid = note.place;
        touched := touched + done.touched;
        EXIT WHEN clock_timestamp() >= deadline;
    END LOOP;
    RETURN touched;
END
$$;
COMMENT ON FUNCTION _store_reads IS
    'sets last_accessed of the paths that notes speak of, oldest note first, for a second at most, and says of how many; runs at the end of a run, and the next goes on; volatile, parallel unsafe';
