-- One row a window. A batch that is put off keeps what is known of its last outcome. Windows that are written
-- together have one time of completion, so that the index on it holds it once.
INSERT INTO @extschema@.processing_batches AS b (
    batch_id, device_id, start_time, end_time, status, coordinate_count, osrm_calls,
    processing_started_at, error_message, error_code, retry_count, next_attempt_at,
    context_start, context_end, duplicate_count, outlier_count, rejected_count, settles_at,
    osrm_group, processing_completed_at, outcome_xid)
SELECT n.*, CASE WHEN n.status <> 'pending' THEN (SELECT clock_timestamp()) END,
       CASE WHEN n.status <> 'pending' THEN pg_current_xact_id() END
  FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::text[],
              $6::integer[], $7::integer[], $8::timestamptz[], $9::text[], $10::text[],
              $11::integer[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[],
              $15::integer[], $16::integer[], $17::integer[], $18::timestamptz[], $19::text[])
    AS n (batch_id, device_id, start_time, end_time, status, coordinate_count, osrm_calls,
          processing_started_at, error_message, error_code, retry_count, next_attempt_at,
          context_start, context_end, duplicate_count, outlier_count, rejected_count, settles_at,
          osrm_group)
ON CONFLICT (device_id, start_time) DO UPDATE SET
    status = excluded.status,
    coordinate_count = excluded.coordinate_count,
    osrm_calls = excluded.osrm_calls,
    processing_started_at = excluded.processing_started_at,
    processing_completed_at = coalesce(excluded.processing_completed_at, b.processing_completed_at),
    outcome_xid = coalesce(excluded.outcome_xid, b.outcome_xid),
    error_message = excluded.error_message,
    error_code = excluded.error_code,
    retry_count = excluded.retry_count,
    next_attempt_at = excluded.next_attempt_at,
    context_start = coalesce(excluded.context_start, b.context_start),
    context_end = coalesce(excluded.context_end, b.context_end),
    duplicate_count = excluded.duplicate_count,
    outlier_count = excluded.outlier_count,
    rejected_count = excluded.rejected_count,
    settles_at = excluded.settles_at,
    osrm_group = CASE WHEN excluded.context_start IS NOT NULL OR b.context_start IS NULL THEN excluded.osrm_group
                      ELSE b.osrm_group END,
    updated_at = clock_timestamp()
