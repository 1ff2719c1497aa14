-- One row a window whose line went on: what has come counts beside what was there.
INSERT INTO @extschema@.processing_batches AS b (
    batch_id, device_id, start_time, end_time, status, coordinate_count, osrm_calls,
    processing_started_at, error_message, error_code, settles_at, rejected_count,
    context_start, context_end, osrm_group, processing_completed_at, outcome_xid)
SELECT n.batch, n.device, n.start, n."end", 'completed', n.points, n.calls,
       n.started, n.message, n.code, n.settles, n.rejected,
       n.start, n."end", n.osrm_group, (SELECT clock_timestamp()), pg_current_xact_id()
  FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::integer[], $6::integer[],
              $7::timestamptz[], $8::text[], $9::text[], $10::timestamptz[], $11::integer[],
              $12::text[])
    AS n (batch, device, start, "end", points, calls, started, message, code, settles, rejected, osrm_group)
ON CONFLICT (device_id, start_time) DO UPDATE SET
    status = 'completed',
    coordinate_count = b.coordinate_count + excluded.coordinate_count,
    osrm_calls = excluded.osrm_calls,
    processing_started_at = excluded.processing_started_at,
    processing_completed_at = excluded.processing_completed_at,
    outcome_xid = excluded.outcome_xid,
    error_message = excluded.error_message,
    error_code = excluded.error_code,
    retry_count = 0,
    rejected_count = b.rejected_count + excluded.rejected_count,
    context_start = coalesce(b.context_start, excluded.context_start),
    context_end = coalesce(b.context_end, excluded.context_end),
    settles_at = excluded.settles_at,
    osrm_group = excluded.osrm_group,
    updated_at = excluded.processing_completed_at
