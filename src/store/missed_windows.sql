-- Windows that were matched while source $1 was set aside, with the span that decided each: up to $4 of them, those
-- after one that was completed at $2 as batch $3, or the first.
SELECT b.device_id, b.start_time, b.end_time, b.context_start, b.context_end, b.processing_completed_at, b.batch_id
  FROM @extschema@.adopted_sources a
  JOIN @extschema@.processing_batches b
    ON b.processing_completed_at >= greatest(a.set_aside_at, $2)
   AND ($2 IS NULL OR (b.processing_completed_at, b.batch_id) > ($2, $3))
 WHERE a.relation = $1 AND b.status IN ('completed', 'failed') AND b.context_start IS NOT NULL
 ORDER BY b.processing_completed_at, b.batch_id
 LIMIT $4
