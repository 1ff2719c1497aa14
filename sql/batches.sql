-- Whose a device is, and how windows become due.

-- The lock that a worker takes on a device until its transaction ends; whoever does not get it passes the
-- device over. The number keeps the keys apart from other users'; those of another osrm_matcher, in another
-- database, have a lock space of their own anyway.
CREATE FUNCTION _lock_device(device_id text) RETURNS boolean
LANGUAGE sql VOLATILE
RETURN pg_try_advisory_xact_lock(hashtextextended(device_id, 7206149128));
COMMENT ON FUNCTION _lock_device IS
    'makes a device the caller''s own until its transaction ends; false where somebody else has it; volatile';

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
