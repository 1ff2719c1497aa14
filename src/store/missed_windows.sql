-- Windows that were matched while source $1 was set aside, with the span that decided each.
SELECT b.device_id, b.start_time, b.end_time, b.context_start, b.context_end
  FROM @extschema@.adopted_sources a
  JOIN @extschema@.processing_batches b ON b.processing_completed_at >= a.set_aside_at
 WHERE a.relation = $1 AND b.status IN ('completed', 'failed') AND b.context_start IS NOT NULL
